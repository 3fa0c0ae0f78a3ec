/* Barriers (Reads 3 and 4). A quorum read begins a round of the machine after it was asked for; the
 * round says which slot must be executed, and the applier answers between two executions. A round
 * that fails is begun anew, under a fresh id, until the deadline. */
#define _GNU_SOURCE
#include <stdlib.h>

#include "base/assert.h"
#include "node/node_groups.h"
#include "os/clock.h"

#define TIMEOUT_NS_DEFAULT (10 * TN_SECOND)
#define AGAIN_NS (20 * TN_MILLISECOND)

void tn__read_end(struct tn__read *read, int error, uint64_t slot, tn_time age_ns)
{
    struct tn_read_result result = {.error = error, .slot = slot, .age_ns = age_ns};
    atomic_fetch_sub(&read->group->reads_count, 1);
    read->done(read->data, &result);
    free(read);
}

static void end_later(struct tn__read *read, int error)
{
    struct tn__groups *groups = read->group->groups;
    read->error = error;
    read->next = groups->ended_reads;
    groups->ended_reads = read;
}

/* Take a read out of those under way; `before` is the one before it. */
static void reads_remove(struct tn_group *group, struct tn__read *read, struct tn__read *before)
{
    if (before != NULL) {
        before->next = read->next;
    } else {
        group->reads = read->next;
    }
    if (group->reads_last == read) {
        group->reads_last = before;
    }
    read->next = NULL;
}

static void begin_round(struct tn_group *group, struct tn__read *read)
{
    read->number = ++group->next_read;
    read->again_at = 0;
    struct tn_log_event event = {.kind = TN_LOG_EVENT_READ, .number = read->number};
    tn__groups_step(group->groups, group, &event);
}

/* Reads 4: the age of what is executed. That of the committed prefix, if all of it is executed;
 * else as old as when that was last so, and the time since. */
void tn__reads_refresh(struct tn_group *group, tn_time now)
{
    struct tn_log_status status;
    tn_log_status(group->log, now, &status);
    if (atomic_load(&group->executed) >= status.committed && status.age_ns != TN_TIME_NEVER) {
        group->fresh_at = now;
        group->fresh_age = status.age_ns;
    }
}

static tn_time stale_age(struct tn_group *group)
{
    tn_time now = tn__clock_now();
    tn__reads_refresh(group, now);
    return group->fresh_at == 0 ? TN_TIME_NEVER : group->fresh_age + (now - group->fresh_at);
}

void tn__reads_submit(struct tn_group *group, struct tn__read *read)
{
    if (!group->here || atomic_load(&group->closed)) {
        end_later(read, TN_ERROR_CLOSED);
        return;
    }
    read->next = NULL;
    if (read->kind == TN_READ_STALE) {
        read->age_ns = stale_age(group);
        tn__apply_read(group, read);
        return;
    }
    if (group->reads_last != NULL) {
        group->reads_last->next = read;
    } else {
        group->reads = read;
    }
    group->reads_last = read;
    tn__groups_due(group->groups, read->deadline);
    begin_round(group, read);
}

void tn__reads_notice(struct tn_group *group, const struct tn_log_notice *notice)
{
    struct tn__read *before = NULL;
    struct tn__read *read = group->reads;
    while (read != NULL && read->number != notice->number) {
        before = read;
        read = read->next;
    }
    if (read == NULL) {
        return; /* its deadline has passed */
    }
    if (notice->kind == TN_LOG_NOTICE_READ) {
        reads_remove(group, read, before);
        read->slot = notice->slot;
        tn__apply_read(group, read);
        return;
    }
    read->again_at = tn__clock_now() + AGAIN_NS;
    tn__groups_due(group->groups, read->again_at);
}

tn_time tn__reads_deadline(const struct tn_group *group)
{
    tn_time due = TN_TIME_NEVER;
    for (const struct tn__read *read = group->reads; read != NULL; read = read->next) {
        due = read->deadline < due ? read->deadline : due;
        due = read->again_at != 0 && read->again_at < due ? read->again_at : due;
    }
    return due;
}

/* The next one that failed and is to be begun anew. A step may change the list, so one at a time.
 */
static struct tn__read *next_again(struct tn_group *group, tn_time now)
{
    struct tn__read *read = group->reads;
    while (read != NULL && (read->again_at == 0 || read->again_at > now)) {
        read = read->next;
    }
    return read;
}

void tn__reads_timers(struct tn_group *group, tn_time now)
{
    struct tn__read *before = NULL;
    struct tn__read *read = group->reads;
    while (read != NULL) {
        struct tn__read *next = read->next;
        if (read->deadline <= now) {
            reads_remove(group, read, before);
            end_later(read, TN_ERROR_TIMEOUT);
        } else {
            before = read;
        }
        read = next;
    }
    for (read = next_again(group, now); read != NULL; read = next_again(group, now)) {
        begin_round(group, read);
    }
}

void tn__reads_end_all(struct tn_group *group)
{
    while (group->reads != NULL) {
        struct tn__read *read = group->reads;
        reads_remove(group, read, NULL);
        end_later(read, TN_ERROR_CLOSED);
    }
    while (group->apply.reads != NULL) { /* the applier has let go of the group */
        struct tn__read *read = group->apply.reads;
        group->apply.reads = read->next;
        end_later(read, TN_ERROR_CLOSED);
    }
}

/* ---- The callers' side ----------------------------------------------------------------------- */

int tn_group_read(struct tn_group *group, enum tn_read_kind kind, tn_time timeout_ns,
                  tn_read_callback done, void *data)
{
    if ((kind != TN_READ_QUORUM && kind != TN_READ_STALE) || done == NULL) {
        return TN_ERROR_INVALID;
    }
    if (atomic_load(&group->closed)) {
        return TN_ERROR_CLOSED;
    }
    if (atomic_fetch_add(&group->reads_count, 1) >= group->calls_max) {
        atomic_fetch_sub(&group->reads_count, 1);
        return TN_ERROR_BUSY;
    }
    struct tn__read *read = calloc(1, sizeof(*read));
    if (read == NULL) {
        atomic_fetch_sub(&group->reads_count, 1);
        return TN_ERROR_NO_MEMORY;
    }
    tn_time now = tn__clock_now();
    tn_time timeout = timeout_ns == 0 ? TIMEOUT_NS_DEFAULT : timeout_ns;
    read->op.kind = TN_OP_READ;
    read->group = group;
    read->kind = kind;
    read->done = done;
    read->data = data;
    read->age_ns = TN_TIME_NEVER;
    read->deadline = timeout > TN_TIME_NEVER - now ? TN_TIME_NEVER : now + timeout;
    if (!tn__groups_leave(group->groups, &read->op, &read->op, NULL)) {
        atomic_fetch_sub(&group->reads_count, 1);
        free(read);
        return TN_ERROR_CLOSED;
    }
    return 0;
}

struct waiter {
    pthread_mutex_t mutex;
    pthread_cond_t ended;
    bool done;
    struct tn_read_result result;
};

static void on_done(void *data, const struct tn_read_result *result)
{
    struct waiter *waiter = data;
    pthread_mutex_lock(&waiter->mutex);
    waiter->result = *result;
    waiter->done = true;
    pthread_cond_signal(&waiter->ended);
    pthread_mutex_unlock(&waiter->mutex);
}

int tn_group_read_wait(struct tn_group *group, enum tn_read_kind kind, tn_time timeout_ns,
                       struct tn_read_result *result)
{
    if (tn__node_on_loop(group->node) || tn__on_applier(group->groups)) {
        return TN_ERROR_WRONG_THREAD;
    }
    struct waiter waiter = {.done = false};
    if (pthread_mutex_init(&waiter.mutex, NULL) != 0) {
        return TN_ERROR_NO_MEMORY;
    }
    if (pthread_cond_init(&waiter.ended, NULL) != 0) {
        pthread_mutex_destroy(&waiter.mutex);
        return TN_ERROR_NO_MEMORY;
    }
    int error = tn_group_read(group, kind, timeout_ns, on_done, &waiter);
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
