/* Proposals on the loop, from the caller's hand to their outcome (N4).
 *
 *   submitted --> gathered --> given --> assigned --> executed: TN_OK (the applier says it)
 *                    ^           |          |
 *                    '-- parked <-'----------'   refused for want of a leader, or its slot went to
 *                                                another value: proposed again until the deadline
 *
 * What is told. *Not chosen* (any error but TN_ERROR_UNKNOWN) only of a call that the machine has
 * refused before proposing, or whose one slot holds another value; a call that was lost on its way,
 * or stood in more than one slot, is never told so (`again`). At a deadline or a cancel the machine
 * is asked (TN_LOG_EVENT_CANCEL): it refuses what it has not proposed or forwarded yet, and of the
 * rest the outcome is unknown.
 *
 * Calls that end inside a step are told after it (groups->ended), so no callback runs inside the
 * driver. */
#define _GNU_SOURCE
#include "base/assert.h"
#include "base/crc32c.h"
#include "node/node_groups.h"
#include "os/clock.h"

/* A context that a machine looks at right now is waited for. */
#define PATIENCE_NS (10 * TN_MILLISECOND)

/* Calls of a table that are looked through in one go. */
#define NUMBERS_MAX 256U

/* ---- Lists ----------------------------------------------------------------------------------- */

static void list_add(struct tn__call_list *list, struct tn_proposal *call)
{
    tn_assert(call->list == NULL);
    call->list_next = NULL;
    call->list_previous = list->last;
    if (list->last != NULL) {
        list->last->list_next = call;
    } else {
        list->first = call;
    }
    list->last = call;
    list->count += 1;
    list->bytes += call->value_bytes;
    call->list = list;
    call->state = TN_CALL_WAITING;
}

static void list_remove(struct tn_proposal *call)
{
    struct tn__call_list *list = call->list;
    tn_assert(list != NULL && list->count > 0);
    if (call->list_previous != NULL) {
        call->list_previous->list_next = call->list_next;
    } else {
        list->first = call->list_next;
    }
    if (call->list_next != NULL) {
        call->list_next->list_previous = call->list_previous;
    } else {
        list->last = call->list_previous;
    }
    list->count -= 1;
    list->bytes -= call->value_bytes;
    call->list = NULL;
}

/* ---- Ends ------------------------------------------------------------------------------------ */

void tn__call_end(struct tn_proposal *call, const struct tn_proposal_result *result)
{
    struct tn_group *group = call->group;
    tn__call_count_end(&group->calls, 1, call->value_bytes);
    if (result->error == TN_ERROR_UNKNOWN) {
        atomic_fetch_add(&group->unknowns, 1);
    }
    if (call->done != NULL) {
        call->done(call->data, result);
    }
    atomic_store(&call->ended, true);
    tn__block_release(&call->block);
}

/* Why a call was not proposed by its deadline. */
static int overdue(const struct tn_group *group)
{
    return group->groups->store.full ? TN_ERROR_DISK_FULL : TN_ERROR_NO_QUORUM;
}

/* It has been taken, and is in no list: tell it after the step. */
static void end_later(struct tn_proposal *call, int error)
{
    struct tn__groups *groups = call->group->groups;
    tn_assert(call->list == NULL);
    call->ending = call->again ? TN_ERROR_UNKNOWN : error;
    call->list_next = groups->ended;
    groups->ended = call;
}

static struct tn_proposal *take(struct tn_group *group, uint64_t number)
{
    pthread_mutex_lock(&group->table_of_calls.mutex);
    struct tn_proposal *call = tn__calls_take(&group->table_of_calls, number, true);
    pthread_mutex_unlock(&group->table_of_calls.mutex);
    return call;
}

static void park(struct tn_proposal *call)
{
    struct tn_group *group = call->group;
    if (atomic_load(&group->closed)) {
        end_later(call, TN_ERROR_CLOSED);
        return;
    }
    if (group->parked.count == 0) {
        group->parked_until = tn__clock_now() + TN_PARKED_NS;
    }
    list_add(&group->parked, call);
    tn__groups_due(group->groups, group->parked_until);
}

/* A call that the machine has, if it has not ended: end it with `error` if it was not proposed. */
static void end_given(struct tn_group *group, uint64_t number, int error)
{
    pthread_mutex_lock(&group->table_of_calls.mutex);
    struct tn_proposal *call = tn__calls_find(&group->table_of_calls, number);
    if (call != NULL && group->table_of_calls.executing == number) {
        call->deadline = tn__clock_now() + PATIENCE_NS;
        call = NULL;
    }
    if (call != NULL) {
        call->ending = error;
    }
    pthread_mutex_unlock(&group->table_of_calls.mutex);
    if (call == NULL) {
        return;
    }
    struct tn_log_event event = {.kind = TN_LOG_EVENT_CANCEL, .number = number};
    tn__groups_step(group->groups, group, &event);
    call = take(group, number); /* unless the machine has refused it, or the applier answered it */
    if (call != NULL) {
        end_later(call, TN_ERROR_UNKNOWN);
    }
}

static void cancel(struct tn_proposal *call)
{
    struct tn_group *group = call->group;
    if (call->list != NULL) {
        list_remove(call);
        end_later(call, TN_ERROR_CANCELLED);
    } else if (call->number != 0 && group->here) {
        pthread_mutex_lock(&group->table_of_calls.mutex);
        bool here = tn__calls_find(&group->table_of_calls, call->number) == call;
        pthread_mutex_unlock(&group->table_of_calls.mutex);
        if (here) {
            end_given(group, call->number, TN_ERROR_CANCELLED);
        }
    }
}

void tn__calls_cancel(struct tn_proposal *call)
{
    if (!atomic_load(&call->ended)) { /* groups are closed on this thread: it is still there */
        cancel(call);
    }
    tn__block_release(&call->block); /* the op's */
}

/* ---- Giving ---------------------------------------------------------------------------------- */

void tn__calls_submit(struct tn_group *group, struct tn_proposal *call)
{
    if (!group->here || atomic_load(&group->closed)) {
        end_later(call, TN_ERROR_CLOSED);
        return;
    }
    if (group->gathered.count == 0 && group->batch_delay_ns != 0) {
        group->gathered_at = tn__clock_now(); /* N5 */
    }
    list_add(&group->gathered, call);
    tn__groups_mark_dirty(group);
}

/* The payload of a call under its number: the envelope, and the digest of both. */
static struct tn_log_value seal(struct tn_proposal *call)
{
    call->envelope.number = call->number;
    tn__log_envelope_write(&call->envelope, call->payload);
    uint32_t bytes = TN_ENVELOPE_BYTES + call->value_bytes;
    uint32_t digest = call->digested
                          ? tn__crc32c_combine(tn__crc32c(0, call->payload, TN_ENVELOPE_BYTES),
                                               call->value_digest, call->value_bytes)
                          : tn__crc32c(0, call->payload, bytes);
    return (struct tn_log_value){
        .handle = (uint64_t)(uintptr_t)call->payload,
        .bytes = bytes,
        .digest = digest,
        .kind = TN_LOG_VALUE_PAYLOAD,
    };
}

static void end_gathered(struct tn_group *group, int error)
{
    while (group->gathered.first != NULL) {
        struct tn_proposal *call = group->gathered.first;
        list_remove(call);
        end_later(call, error);
    }
}

static void give_run(struct tn_group *group, uint32_t count, tn_time now)
{
    struct tn__groups *groups = group->groups;
    pthread_mutex_lock(&group->table_of_calls.mutex);
    bool room = tn__calls_reserve(&group->table_of_calls, count);
    uint64_t first = group->next_number;
    tn_time soonest = TN_TIME_NEVER;
    for (uint32_t i = 0; i < count && room; i++) {
        struct tn_proposal *call = group->gathered.first;
        list_remove(call);
        call->number = group->next_number++;
        call->state = TN_CALL_GIVEN;
        soonest = call->deadline < soonest ? call->deadline : soonest;
        groups->entries[i] = (struct tn_log_entry){.value = seal(call)};
        tn__block_hold(&group->held, &call->block, 1);
        tn__calls_insert(&group->table_of_calls, call);
    }
    pthread_mutex_unlock(&group->table_of_calls.mutex);
    if (!room) {
        end_gathered(group, TN_ERROR_NO_MEMORY);
        return;
    }
    if (soonest < group->calls_deadline) {
        group->calls_deadline = soonest;
        tn__groups_due(groups, soonest);
    }
    struct tn_log_event event = {
        .kind = TN_LOG_EVENT_PROPOSE,
        .number = first,
        .entries = groups->entries,
        .entries_count = count,
    };
    uint64_t assigned = group->assigned;
    tn__groups_step_at(groups, group, &event, now);
    groups->crowd.given += group->assigned > assigned ? count : 0;
}

/* N5: when what was gathered is to be given. In a crowd it waits (node_crowd.h). */
static tn_time gathered_due(const struct tn_group *group)
{
    bool by_turns =
        group->batch_count == 0 && group->batch_bytes == 0 && group->batch_delay_ns == 0;
    if (group->gathered.count == 0) {
        return TN_TIME_NEVER;
    }
    if (by_turns || (group->batch_count != 0 && group->gathered.count >= group->batch_count) ||
        (group->batch_bytes != 0 && group->gathered.bytes >= group->batch_bytes)) {
        tn_time until = tn__crowd_until(&group->groups->crowd);
        return until == TN_TIME_NEVER ? 0 : until;
    }
    return group->gathered_at + group->batch_delay_ns;
}

void tn__calls_flush(struct tn_group *group, tn_time now)
{
    tn_time due = gathered_due(group);
    if (due > now) {
        tn__groups_due(group->groups, due);
        return;
    }
    while (group->gathered.count > 0) {
        uint32_t count = group->gathered.count;
        give_run(group, count < TN_LOG_RUN_MAX ? count : TN_LOG_RUN_MAX, now);
    }
}

/* ---- What the machine says ------------------------------------------------------------------- */

static int refusal(const struct tn_group *group, enum tn_log_reason reason)
{
    switch (reason) {
    case TN_LOG_REASON_BUSY:
        return TN_ERROR_BUSY;
    case TN_LOG_REASON_CANCELLED:
        return TN_ERROR_CANCELLED;
    case TN_LOG_REASON_DISK_FAILED:
        return TN_ERROR_IO;
    case TN_LOG_REASON_DISK_FULL: /* whoever leads without space lets go, if there are others */
        return group->node->config.members_count == 1 ? TN_ERROR_DISK_FULL : 0;
    case TN_LOG_REASON_DIVERGED:
        return TN_ERROR_DAMAGED;
    case TN_LOG_REASON_STOPPED:
        return group->groups->store.failed ? TN_ERROR_IO : TN_ERROR_DAMAGED;
    default:
        return 0; /* for want of a leader: there may be one in time */
    }
}

static void on_refused(struct tn_group *group, uint64_t number, enum tn_log_reason reason)
{
    struct tn_proposal *call = take(group, number);
    if (call == NULL) {
        return;
    }
    int error = call->ending != 0 ? call->ending : refusal(group, reason);
    if (error != 0) {
        end_later(call, error);
    } else {
        park(call);
    }
}

/* N4: a forward is sent again only under a once-only id. */
static void on_lost(struct tn_group *group, uint64_t number)
{
    struct tn_proposal *call = take(group, number);
    if (call == NULL) {
        return;
    }
    call->again = true;
    if (call->envelope.client != 0 && call->ending == 0) {
        park(call);
    } else {
        end_later(call, TN_ERROR_UNKNOWN);
    }
}

static void on_assigned(struct tn_group *group, const struct tn_log_notice *notice)
{
    pthread_mutex_lock(&group->table_of_calls.mutex);
    for (uint32_t i = 0; i < notice->count; i++) {
        struct tn_proposal *call = tn__calls_find(&group->table_of_calls, notice->number + i);
        if (call != NULL) {
            call->again = call->again || call->state == TN_CALL_ASSIGNED;
            call->state = TN_CALL_ASSIGNED;
            call->slot = notice->slot + i;
        }
    }
    pthread_mutex_unlock(&group->table_of_calls.mutex);
    uint64_t last = notice->slot + notice->count - 1;
    group->assigned = last > group->assigned ? last : group->assigned;
}

void tn__calls_notice(struct tn_group *group, const struct tn_log_notice *notice)
{
    switch (notice->kind) {
    case TN_LOG_NOTICE_ASSIGNED:
        on_assigned(group, notice);
        break;
    case TN_LOG_NOTICE_REFUSED:
        for (uint32_t i = 0; i < notice->count; i++) {
            on_refused(group, notice->number + i, notice->reason);
        }
        break;
    case TN_LOG_NOTICE_LOST:
        for (uint32_t i = 0; i < notice->count; i++) {
            on_lost(group, notice->number + i);
        }
        break;
    default: /* STATE */
        group->suspect = group->assigned;
        tn__groups_hurry(group);
        if (group->parked.count > 0) {
            group->parked_until = 0;
            tn__groups_due(group->groups, 0);
        }
        break;
    }
}

/* ---- Time ------------------------------------------------------------------------------------ */

tn_time tn__calls_deadline(const struct tn_group *group)
{
    tn_time due = group->calls_deadline;
    if (group->parked.count > 0) {
        due = group->parked_until < due ? group->parked_until : due;
    }
    tn_time gathered = gathered_due(group);
    return gathered < due ? gathered : due;
}

/* Numbers of calls in the table that are due, or (`slot`) whose slot is executed; at most
 * NUMBERS_MAX. The soonest deadline of the others is told. */
static uint32_t collect(struct tn_group *group, tn_time now, uint64_t slot, uint64_t *numbers,
                        tn_time *soonest)
{
    uint32_t count = 0;
    struct tn__call_table *table = &group->table_of_calls;
    pthread_mutex_lock(&table->mutex);
    for (uint32_t i = 0; i < table->buckets_count && count < NUMBERS_MAX; i++) {
        for (struct tn_proposal *call = table->buckets[i]; call != NULL && count < NUMBERS_MAX;
             call = call->table_next) {
            bool resolved = slot != 0 && call->state == TN_CALL_ASSIGNED && call->slot <= slot;
            if (call->deadline <= now || resolved) {
                numbers[count++] = call->number;
            } else if (call->deadline < *soonest) {
                *soonest = call->deadline;
            }
        }
    }
    pthread_mutex_unlock(&table->mutex);
    return count;
}

static void unpark(struct tn_group *group)
{
    while (group->parked.first != NULL) {
        struct tn_proposal *call = group->parked.first;
        list_remove(call);
        if (call->block.held > 0) {
            end_later(call, TN_ERROR_NO_QUORUM); /* its bytes may not change any more */
            continue;
        }
        call->number = 0;
        tn__calls_submit(group, call);
    }
}

static void end_due(const struct tn__call_list *list, tn_time now, tn_time *soonest)
{
    struct tn_proposal *call = list->first;
    while (call != NULL) {
        struct tn_proposal *next = call->list_next;
        if (call->deadline <= now) {
            list_remove(call);
            end_later(call, overdue(call->group));
        } else if (call->deadline < *soonest) {
            *soonest = call->deadline;
        }
        call = next;
    }
}

static void end_overdue(struct tn_group *group, tn_time now)
{
    uint64_t numbers[NUMBERS_MAX];
    tn_time soonest = TN_TIME_NEVER;
    end_due(&group->gathered, now, &soonest);
    end_due(&group->parked, now, &soonest);
    uint32_t count = collect(group, now, 0, numbers, &soonest);
    for (uint32_t i = 0; i < count; i++) {
        end_given(group, numbers[i], overdue(group));
    }
    /* More may be due: look again at once; those being executed are looked at a little later. */
    group->calls_deadline = count == 0 ? soonest : now + TN_MILLISECOND;
}

void tn__calls_timers(struct tn_group *group, tn_time now)
{
    if (group->calls_deadline <= now) {
        end_overdue(group, now);
    }
    if (group->parked.count > 0 && group->parked_until <= now) {
        unpark(group);
    }
    tn__calls_flush(group, now);
}

/* Every slot up to `executed` is; an assigned call in one of them that was not answered is not in
 * it. It stands nowhere else, unless `again`: so it may be proposed anew. */
void tn__calls_executed(struct tn_group *group)
{
    uint64_t executed = group->applied_told;
    uint64_t numbers[NUMBERS_MAX];
    tn_time soonest = TN_TIME_NEVER;
    uint32_t count = collect(group, 0, executed, numbers, &soonest);
    for (uint32_t i = 0; i < count; i++) {
        struct tn_proposal *call = take(group, numbers[i]);
        if (call != NULL && call->again) {
            end_later(call, TN_ERROR_UNKNOWN);
        } else if (call != NULL) {
            park(call);
        }
    }
    if (count < NUMBERS_MAX && executed >= group->suspect) {
        group->suspect = 0;
    }
}

void tn__calls_end_all(struct tn_group *group)
{
    end_gathered(group, TN_ERROR_CLOSED);
    while (group->parked.first != NULL) {
        struct tn_proposal *call = group->parked.first;
        list_remove(call);
        end_later(call, TN_ERROR_CLOSED);
    }
    uint64_t numbers[NUMBERS_MAX];
    tn_time soonest = TN_TIME_NEVER;
    uint32_t count = 0;
    do { /* each round ends what it collected: nothing is executed any more */
        count = collect(group, TN_TIME_NEVER, 0, numbers, &soonest);
        for (uint32_t i = 0; i < count; i++) {
            end_given(group, numbers[i], TN_ERROR_CLOSED);
        }
    } while (count > 0);
}

/* ---- The applier's side ---------------------------------------------------------------------- */

void *tn__calls_context(void *context, uint64_t number)
{
    struct tn_group *group = context;
    if (atomic_load(&group->table_of_calls.contexts) == 0) {
        return NULL; /* it was counted before it was proposed */
    }
    pthread_mutex_lock(&group->table_of_calls.mutex);
    struct tn_proposal *call = tn__calls_find(&group->table_of_calls, number);
    void *shown = NULL;
    if (call != NULL) {
        group->table_of_calls.executing = number; /* it does not end under the machine's eyes */
        shown = call->context;
    }
    pthread_mutex_unlock(&group->table_of_calls.mutex);
    return shown;
}

void tn__calls_answered(void *context, uint64_t number, uint64_t slot, enum tn__log_answer answer,
                        const void *result, size_t result_bytes)
{
    struct tn_group *group = context;
    pthread_mutex_lock(&group->table_of_calls.mutex);
    group->table_of_calls.executing = 0;
    struct tn_proposal *call = tn__calls_take(&group->table_of_calls, number, false);
    pthread_mutex_unlock(&group->table_of_calls.mutex);
    if (call == NULL) {
        return; /* its caller was told that the outcome is unknown */
    }
    struct tn_proposal_result told = {
        .error = answer == TN__LOG_ANSWER_EVICTED ? TN_ERROR_EVICTED : TN_OK,
        .repeated = answer == TN__LOG_ANSWER_REPEATED,
        .slot = answer == TN__LOG_ANSWER_EVICTED ? 0 : slot,
        .bytes = result,
        .bytes_count = result_bytes,
    };
    if (told.error != TN_OK && call->again) {
        told.error = TN_ERROR_UNKNOWN;
    }
    tn__call_end(call, &told);
}
