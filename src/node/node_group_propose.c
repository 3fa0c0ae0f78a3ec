/* Proposals on the side of the callers, on any thread: one allocation, and one exchange to leave
 * the call for the loop. What happens to it then: node_group_calls.c. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "node/node_groups.h"
#include "os/clock.h"

#define TIMEOUT_NS_DEFAULT (10 * TN_SECOND)

/* Above this the caller computes the digest of the value, below it the loop: combining two digests
 * costs about as much as computing one of so many bytes. */
#define DIGEST_BYTES_MIN 8192U

/* How much before_propose may add to a value. */
#define REWRITE_BYTES 4096U

bool tn_proposal_error_is_final(int error)
{
    return error != TN_OK && error != TN_ERROR_UNKNOWN;
}

/* ---- Checks ---------------------------------------------------------------------------------- */

static const struct tn_state_machine *find_machine(const struct tn_group *group, uint32_t id)
{
    for (uint32_t i = 0; i < group->machines_count; i++) {
        if (group->machines[i].id == id) {
            return &group->machines[i];
        }
    }
    return NULL;
}

static int check_options(const struct tn_group *group, const struct tn_propose_options *options)
{
    if ((options->client == 0) != (options->sequence == 0)) {
        return TN_ERROR_INVALID;
    }
    if (options->machine != TN_MACHINE_NONE && find_machine(group, options->machine) == NULL) {
        return TN_ERROR_NOT_FOUND;
    }
    return atomic_load(&group->closed) ? TN_ERROR_CLOSED : 0;
}

static int check_value(const struct tn_group *group, const struct tn_propose_value *value)
{
    if (value->count > group->value_bytes_max) {
        return TN_ERROR_TOO_LARGE;
    }
    return value->bytes == NULL && value->count > 0 ? TN_ERROR_INVALID : 0;
}

/* N6: so many calls and bytes of a group at this node; each group has its own share. */
static bool admit(struct tn_group *group, uint32_t count, uint64_t bytes)
{
    return tn__call_count_add(&group->calls, count, bytes, group->calls_max,
                              group->calls_bytes_max);
}

/* ---- Calls ----------------------------------------------------------------------------------- */

static tn_time deadline_of(tn_time timeout_ns)
{
    tn_time now = tn__clock_now();
    tn_time timeout = timeout_ns == 0 ? TIMEOUT_NS_DEFAULT : timeout_ns;
    return timeout > TN_TIME_NEVER - now ? TN_TIME_NEVER : now + timeout;
}

/* Copy the value, and let its machine rewrite it. Errors: TN_ERROR_TOO_LARGE. */
static int fill_value(struct tn_proposal *call, const struct tn_state_machine *machine,
                      const struct tn_propose_value *value, size_t capacity)
{
    uint8_t *at = call->payload + TN_ENVELOPE_BYTES;
    size_t count = value->count;
    if (count > 0) {
        memcpy(at, value->bytes, count);
    }
    if (machine != NULL && machine->before_propose != NULL) {
        count = machine->before_propose(machine->data, call->group->id, value->bytes, value->count,
                                        at, capacity);
        if (count > capacity) {
            return TN_ERROR_TOO_LARGE;
        }
    }
    call->value_bytes = (uint32_t)count;
    if (count >= DIGEST_BYTES_MIN) {
        call->value_digest = tn__crc32c(0, at, count);
        call->digested = true;
    }
    return 0;
}

static size_t capacity_of(const struct tn_group *group, const struct tn_state_machine *machine,
                          size_t count)
{
    if (machine == NULL || machine->before_propose == NULL) {
        return count;
    }
    size_t capacity = count + REWRITE_BYTES;
    return capacity < group->value_bytes_max ? capacity : (size_t)group->value_bytes_max;
}

static int make_call(struct tn_group *group, const struct tn_propose_value *value,
                     const struct tn_propose_options *options, struct tn_proposal **made)
{
    const struct tn_state_machine *machine =
        options->machine == TN_MACHINE_NONE ? NULL : find_machine(group, options->machine);
    size_t capacity = capacity_of(group, machine, value->count);
    struct tn_proposal *call = malloc(sizeof(*call) + TN_ENVELOPE_BYTES + capacity);
    if (call == NULL) {
        return TN_ERROR_NO_MEMORY;
    }
    memset(call, 0, sizeof(*call));
    atomic_init(&call->block.references, 1);
    call->submit.kind = TN_OP_PROPOSE;
    call->cancel.kind = TN_OP_CANCEL;
    call->group = group;
    call->groups = group->groups;
    call->context = options->context;
    call->deadline = deadline_of(options->timeout_ns);
    call->envelope = (struct tn__log_envelope){
        .machine = options->machine,
        .flags = options->client != 0 ? TN_ENVELOPE_ONCE : 0,
        .node = group->node->config.ids[group->node->config.self],
        .restart_word = group->node->config.lease.restart_word,
        .client = options->client,
        .sequence = options->sequence,
    };
    call->distance = offsetof(struct tn_proposal, payload);
    int error = fill_value(call, machine, value, capacity);
    if (error != 0) {
        free(call);
        return error;
    }
    *made = call;
    return 0;
}

static void free_chain(struct tn_proposal *newest)
{
    while (newest != NULL) {
        struct tn_proposal *older = newest->list_next;
        free(newest);
        newest = older;
    }
}

/* All calls of a batch, each linked to the one before: by `submit`, and by `list_next` until they
 * are left. */
static int make_chain(struct tn_group *group, const struct tn_propose_value *values, uint32_t count,
                      const struct tn_propose_options *options, struct tn_proposal **newest,
                      struct tn_proposal **oldest, uint64_t *bytes)
{
    *newest = NULL;
    *bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct tn_proposal *call = NULL;
        int error = check_value(group, &values[i]);
        if (error == 0) {
            error = make_call(group, &values[i], options, &call);
        }
        if (error != 0) {
            free_chain(*newest);
            return error;
        }
        *bytes += call->value_bytes;
        call->submit.next = *newest != NULL ? &(*newest)->submit : NULL;
        call->list_next = *newest;
        *oldest = i == 0 ? call : *oldest;
        *newest = call;
    }
    return 0;
}

static int propose(struct tn_group *group, const struct tn_propose_value *values, uint32_t count,
                   const struct tn_propose_options *options, tn_propose_callback done,
                   void *const *data, struct tn_proposal **proposal)
{
    static const struct tn_propose_options defaults;
    options = options != NULL ? options : &defaults;
    int error = check_options(group, options);
    if (error != 0) {
        return error;
    }
    struct tn_proposal *newest = NULL;
    struct tn_proposal *oldest = NULL;
    uint64_t bytes = 0;
    error = make_chain(group, values, count, options, &newest, &oldest, &bytes);
    if (error != 0) {
        return error;
    }
    if (!admit(group, count, bytes)) {
        free_chain(newest);
        return TN_ERROR_BUSY;
    }
    struct tn_proposal *call = newest;
    for (uint32_t i = count; i > 0; i--) {
        struct tn_proposal *older = call->list_next;
        call->done = done;
        call->data = data != NULL ? data[i - 1] : NULL;
        call->list_next = NULL;
        call = older;
    }
    if (proposal != NULL) {
        tn__block_retain(&newest->block, 1);
    }
    if (!tn__groups_leave_calls(group->groups, &newest->submit, &oldest->submit, count)) {
        tn__call_count_end(&group->calls, count, bytes);
        for (struct tn__op *op = &newest->submit; op != NULL;) {
            struct tn__op *older = op == &oldest->submit ? NULL : op->next;
            free((uint8_t *)op - offsetof(struct tn_proposal, submit));
            op = older;
        }
        return TN_ERROR_CLOSED;
    }
    if (proposal != NULL) {
        *proposal = newest;
    }
    return 0;
}

int tn_group_propose(struct tn_group *group, const void *bytes, size_t count,
                     const struct tn_propose_options *options, tn_propose_callback done, void *data,
                     struct tn_proposal **proposal)
{
    struct tn_propose_value value = {.bytes = bytes, .count = count};
    return propose(group, &value, 1, options, done, &data, proposal);
}

int tn_group_propose_batch(struct tn_group *group, const struct tn_propose_value *values,
                           uint32_t values_count, const struct tn_propose_options *options,
                           tn_propose_callback done, void *const *data)
{
    if (values == NULL || values_count < 1 || values_count > TN_LOG_RUN_MAX ||
        (options != NULL && options->client != 0 && values_count > 1)) {
        return TN_ERROR_INVALID; /* a once-only id is for one value */
    }
    return propose(group, values, values_count, options, done, data, NULL);
}

void tn_proposal_cancel(struct tn_proposal *proposal)
{
    if (atomic_load(&proposal->ended) || atomic_exchange(&proposal->cancelled, true)) {
        return;
    }
    tn__block_retain(&proposal->block, 1); /* the op's */
    if (!tn__groups_leave(proposal->groups, &proposal->cancel, &proposal->cancel, NULL)) {
        tn__block_release(&proposal->block); /* all calls have ended, or are about to */
    }
}

void tn_proposal_free(struct tn_proposal *proposal)
{
    if (proposal != NULL) {
        tn__block_release(&proposal->block);
    }
}

/* ---- Waiting --------------------------------------------------------------------------------- */

struct waiter {
    pthread_mutex_t mutex;
    pthread_cond_t ended;
    bool done;
    struct tn_proposal_result result;
    void *reply;
    size_t capacity;
};

static void on_done(void *data, const struct tn_proposal_result *result)
{
    struct waiter *waiter = data;
    pthread_mutex_lock(&waiter->mutex);
    waiter->result = *result;
    size_t count = result->bytes_count < waiter->capacity ? result->bytes_count : waiter->capacity;
    if (count > 0) {
        memcpy(waiter->reply, result->bytes, count);
    }
    waiter->result.bytes = waiter->reply;
    waiter->done = true;
    pthread_cond_signal(&waiter->ended); /* under the mutex: the waiter's stack lasts that long */
    pthread_mutex_unlock(&waiter->mutex);
}

int tn_group_propose_wait(struct tn_group *group, const void *bytes, size_t count,
                          const struct tn_propose_options *options, void *reply, size_t capacity,
                          struct tn_proposal_result *result)
{
    if (tn__node_on_loop(group->node) || tn__on_applier(group->groups)) {
        return TN_ERROR_WRONG_THREAD; /* it would wait for itself */
    }
    struct waiter waiter = {.reply = reply, .capacity = capacity};
    if (pthread_mutex_init(&waiter.mutex, NULL) != 0) {
        return TN_ERROR_NO_MEMORY;
    }
    if (pthread_cond_init(&waiter.ended, NULL) != 0) {
        pthread_mutex_destroy(&waiter.mutex);
        return TN_ERROR_NO_MEMORY;
    }
    int error = tn_group_propose(group, bytes, count, options, on_done, &waiter, NULL);
    if (error == 0) {
        pthread_mutex_lock(&waiter.mutex);
        while (!waiter.done) {
            pthread_cond_wait(&waiter.ended, &waiter.mutex);
        }
        pthread_mutex_unlock(&waiter.mutex);
        error = waiter.result.error;
    }
    if (result != NULL) {
        *result = waiter.result;
        result->error = error;
    }
    pthread_cond_destroy(&waiter.ended);
    pthread_mutex_destroy(&waiter.mutex);
    return error;
}
