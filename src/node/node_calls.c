/* Calls of other threads, carried out on the loop.
 *
 * A call lies on its caller's stack and is linked into a list under a mutex; the loop takes the
 * whole list, carries it out in order and tells each caller. So nothing is allocated, and what is
 * bounded is the number of callers that wait. On the loop itself a call is carried out directly. */
#define _GNU_SOURCE
#include "node/node_internal.h"

#include <stddef.h>

#include "base/assert.h"

/* Which node's loop this thread is; every other thread has NULL here. */
static _Thread_local const struct tn_node *this_loop;

void tn__node_calls_enter(const struct tn_node *node)
{
    tn_assert(this_loop == NULL);
    this_loop = node;
}

bool tn__node_on_loop(const struct tn_node *node)
{
    return this_loop == node;
}

static int enqueue(struct tn__node_calls *calls, struct tn__node_call *call, bool must)
{
    if (calls->closed) {
        return TN_ERROR_CLOSED;
    }
    if (calls->count >= TN_CALLS_MAX && !must) {
        calls->refused += 1;
        return TN_ERROR_BUSY;
    }
    if (calls->last != NULL) {
        calls->last->next = call;
    } else {
        calls->first = call;
    }
    calls->last = call;
    calls->count += 1;
    uv_async_send(&calls->wake); /* under the mutex: the handle is there while not closed */
    return 0;
}

int tn__node_call(struct tn_node *node, int (*function)(struct tn_node *node, void *argument),
                  void *argument, bool must)
{
    if (tn__node_on_loop(node)) {
        return function(node, argument);
    }
    struct tn__node_calls *calls = &node->calls;
    struct tn__node_call call = {.function = function, .argument = argument};
    if (pthread_cond_init(&call.finished, NULL) != 0) {
        return TN_ERROR_NO_MEMORY;
    }
    pthread_mutex_lock(&calls->mutex);
    int error = enqueue(calls, &call, must);
    if (error == 0) {
        while (!call.done) {
            pthread_cond_wait(&call.finished, &calls->mutex);
        }
        error = call.result;
    }
    pthread_mutex_unlock(&calls->mutex);
    pthread_cond_destroy(&call.finished);
    return error;
}

/* Take the list, and answer each: by its function, or with CLOSED. */
static void answer_all(struct tn_node *node, bool carry_out)
{
    struct tn__node_calls *calls = &node->calls;
    pthread_mutex_lock(&calls->mutex);
    struct tn__node_call *call = calls->first;
    calls->first = NULL;
    calls->last = NULL;
    node->counters.requests_refused = calls->refused;
    while (call != NULL) {
        struct tn__node_call *next = call->next; /* the call is its caller's once it is done */
        int result = TN_ERROR_CLOSED;
        if (carry_out) {
            pthread_mutex_unlock(&calls->mutex);
            result = call->function(node, call->argument);
            pthread_mutex_lock(&calls->mutex);
        }
        calls->count -= 1;
        call->result = result;
        call->done = true;
        pthread_cond_signal(&call->finished);
        call = next;
    }
    pthread_mutex_unlock(&calls->mutex);
}

void tn__node_calls_run(struct tn_node *node)
{
    answer_all(node, true);
}

void tn__node_calls_close(struct tn_node *node)
{
    pthread_mutex_lock(&node->calls.mutex);
    node->calls.closed = true;
    pthread_mutex_unlock(&node->calls.mutex);
    answer_all(node, false);
}

int tn__node_calls_init(struct tn_node *node)
{
    return pthread_mutex_init(&node->calls.mutex, NULL) == 0 ? 0 : TN_ERROR_NO_MEMORY;
}

void tn__node_calls_free(struct tn_node *node)
{
    tn_assert(node->calls.first == NULL);
    pthread_mutex_destroy(&node->calls.mutex);
}
