/* Appliers: threads that execute what is committed, each for the groups that hash to it.
 *
 * The loop stages what is committed, with a reference each, and hands over what came together:
 * one lock and one wake-up for all groups; and where nobody waits for an answer or a read, as at
 * most members, only after a millisecond: the way of a proposal is not theirs. Then the entries are
 * in the group's queue, and the group is in its thread's ready list. The thread takes the whole
 * queue, executes entry by entry (paxos/log_applier.h), answers barriers between two executions,
 * and tells the loop how far it is, once for whatever it did meanwhile. So a slow machine costs its
 * group time and the loop nothing.
 *
 * A queue that is full is no longer filled: what follows is only counted (`told`) and read back
 * from the store when the queue is empty; so a machine that stands still costs no memory. Recovery
 * is the same: everything below `told` is in the store. An entry may be read back once the write
 * that holds it is in the store's index (`safe_write`); an older one of the slot may be another
 * value.
 *
 * A machine that asks for a retry gets the same slot again after 1 ms, doubling to 1 s, and nothing
 * after it before; other groups of the thread go on meanwhile. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "node/node_groups.h"
#include "os/clock.h"

/* Entries of one group in one go, so that groups of a thread take turns. */
#define ENTRIES_AT_ONCE 512U

/* So many entries before its turn the beginning of an entry's value is fetched. */
#define AHEAD 4U

/* Until the store is looked at again. */
#define STORE_NS (5 * TN_MILLISECOND)

static _Thread_local const struct tn__groups *this_applier;

bool tn__on_applier(const struct tn__groups *groups)
{
    return this_applier == groups;
}

/* ---- The list of groups with work; under the mutex ------------------------------------------- */

void tn__apply_list_ready(struct tn_group *group)
{
    struct tn__applier *applier = group->applier;
    if (group->apply.ready || group->apply.busy || group->apply.stopped) {
        return; /* one that is busy looks again when it is done */
    }
    group->apply.ready = true;
    group->ready_next = NULL;
    if (applier->ready_last != NULL) {
        applier->ready_last->ready_next = group;
    } else {
        applier->ready_first = group;
    }
    applier->ready_last = group;
}

bool tn__applier_take_sleeper(struct tn__applier *applier)
{
    bool asleep = applier->idle && applier->ready_first != NULL;
    applier->idle = applier->idle && !asleep;
    return asleep;
}

void tn__applier_wake(struct tn__applier *applier)
{
    (void)sem_post(&applier->wanted);
}

void tn__apply_make_ready(struct tn_group *group)
{
    tn__apply_list_ready(group);
    if (tn__applier_take_sleeper(group->applier)) {
        tn__applier_wake(group->applier);
    }
}

static struct tn_group *take_ready(struct tn__applier *applier)
{
    struct tn_group *group = applier->ready_first;
    if (group != NULL) {
        applier->ready_first = group->ready_next;
        if (applier->ready_first == NULL) {
            applier->ready_last = NULL;
        }
        group->apply.ready = false;
    }
    return group;
}

static void unready(struct tn_group *group)
{
    struct tn__applier *applier = group->applier;
    struct tn_group *before = NULL;
    struct tn_group *at = applier->ready_first;
    while (at != NULL && at != group) {
        before = at;
        at = at->ready_next;
    }
    if (at == NULL) {
        return;
    }
    if (before != NULL) {
        before->ready_next = group->ready_next;
    } else {
        applier->ready_first = group->ready_next;
    }
    if (applier->ready_last == group) {
        applier->ready_last = before;
    }
    group->apply.ready = false;
}

/* ---- Executing ------------------------------------------------------------------------------- */

static void tell_loop(struct tn_group *group)
{
    if (!atomic_load(&group->applied_left) && !atomic_exchange(&group->applied_left, true)) {
        (void)tn__groups_leave(group->groups, &group->applied, &group->applied, &group->unhurried);
    }
}

static void stall(struct tn_group *group, tn_time delay_min, tn_time delay_max)
{
    struct tn__apply *apply = &group->apply;
    apply->delay = apply->delay == 0 ? delay_min : 2 * apply->delay;
    apply->delay = apply->delay > delay_max ? delay_max : apply->delay;
    apply->retry_at = tn__clock_now() + apply->delay;
}

/* False: not now. */
static bool execute(struct tn_group *group, const struct tn_log_entry *entry, const void *bytes)
{
    struct tn__apply *apply = &group->apply;
    enum tn__log_applied applied = tn__log_applier_execute(apply->machines, entry, bytes);
    if (applied == TN__LOG_APPLIED) {
        atomic_store_explicit(&group->executed, entry->slot, memory_order_release);
        if (apply->told_stall) {
            apply->told_stall = false;
            atomic_store(&group->stalled, 0);
        }
        apply->delay = 0;
        return true;
    }
    pthread_mutex_lock(&group->table_of_calls.mutex);
    group->table_of_calls.executing = 0; /* its caller may give up between two tries */
    pthread_mutex_unlock(&group->table_of_calls.mutex);
    atomic_fetch_add(&group->retries, 1);
    apply->told_stall = true;
    atomic_store(&group->stalled, 1);
    stall(group, TN_RETRY_NS_MIN, TN_RETRY_NS_MAX);
    return false;
}

/* References of executed entries that are still to be given back: `count` of one block. */
struct executed {
    struct tn__block *block;
    uint32_t count;
};

static void give_back(struct executed *executed, uint64_t handle)
{
    struct tn__block *block = handle == 0 ? NULL : tn__block_near(executed->block, handle);
    if (block != executed->block && executed->count > 0) {
        tn__block_release_many(executed->block, executed->count);
        executed->count = 0;
    }
    executed->block = block;
    executed->count += block != NULL ? 1 : 0;
}

/* How much of a group in one go: so many entries, and whatever is begun before that time. */
struct bound {
    uint32_t entries;
    tn_time until;
};

static void execute_taken(struct tn_group *group, struct bound bound)
{
    struct tn__apply *apply = &group->apply;
    struct executed executed = {0};
    for (uint32_t i = 0; i < bound.entries && apply->taken_next < apply->taken_count; i++) {
        if (bound.until != TN_TIME_NEVER && i > 0 && tn__clock_now() >= bound.until) {
            break;
        }
        const struct tn_log_entry *entry = &apply->taken[apply->taken_next];
        uint64_t handle = entry->value.handle;
        const void *bytes = handle == 0 ? NULL : tn__payload_bytes(handle);
        if (apply->taken_next + AHEAD < apply->taken_count) {
            uint64_t ahead = entry[AHEAD].value.handle; /* in the loop's cache, or in none */
            __builtin_prefetch(tn__payload_bytes(ahead));
        }
        if (!execute(group, entry, bytes)) {
            break;
        }
        give_back(&executed, handle);
        apply->taken_next += 1;
    }
    give_back(&executed, 0);
}

static void execute_stored(struct tn_group *group, uint64_t told, uint32_t limit)
{
    struct tn__groups *groups = group->groups;
    uint64_t slot = tn__log_applier_slot(group->apply.machines) + 1;
    for (uint32_t i = 0; i < limit && slot <= told; i++, slot++) {
        const struct tn_log_entry *entry = NULL;
        const void *bytes = NULL;
        int error = tn__store_entry(&groups->store, group->applier->cursor, group->id, slot, &entry,
                                    &bytes);
        if (error != 0) {
            if (group->apply.delay == 0) {
                tn__node_log(group->node, TN_LOG_ERROR,
                             "group %u: slot %llu is committed, but cannot be read back: %s; its "
                             "machines stand still",
                             group->id, (unsigned long long)slot, tn_strerror(error));
            }
            atomic_store(&group->stalled, 1);
            group->apply.told_stall = true;
            stall(group, TN_SECOND, TN_SECOND);
            return;
        }
        if (!execute(group, entry, bytes)) {
            return;
        }
    }
}

/* Answer the barriers whose slot is executed, and those whose time is over. */
static void answer_reads(struct tn_group *group, struct tn__read *reads)
{
    uint64_t executed = atomic_load(&group->executed);
    tn_time now = tn__clock_now();
    struct tn__read *left = NULL;
    while (reads != NULL) {
        struct tn__read *read = reads;
        reads = read->next;
        if (read->slot <= executed) {
            tn__read_end(read, TN_OK, executed, read->kind == TN_READ_STALE ? read->age_ns : 0);
        } else if (read->deadline <= now) {
            tn__read_end(read, TN_ERROR_TIMEOUT, executed, TN_TIME_NEVER);
        } else {
            read->next = left;
            left = read;
        }
    }
    if (left == NULL) {
        return;
    }
    pthread_mutex_lock(&group->applier->mutex);
    struct tn__read *last = left;
    tn_time *due = &group->applier->due;
    *due = last->deadline < *due ? last->deadline : *due;
    while (last->next != NULL) {
        last = last->next;
        *due = last->deadline < *due ? last->deadline : *due;
    }
    last->next = group->apply.reads;
    group->apply.reads = left;
    pthread_mutex_unlock(&group->applier->mutex);
}

/* Under the mutex. */
static void wait_until(struct tn_group *group, tn_time when)
{
    struct tn__applier *applier = group->applier;
    group->apply.wake_at = when;
    applier->due = when < applier->due ? when : applier->due;
}

/* What there is to do next; under the mutex. */
struct work {
    uint64_t told;
    bool stored; /* read back what is missing up to `told` */
    bool now;    /* not waiting for a retry */
    struct tn__read *reads;
};

/* The loop says what is indexed first and looks for who waits after; here the other way round. */
static bool awaits_store(struct tn_group *group)
{
    struct tn__apply *apply = &group->apply;
    atomic_store(&apply->awaits_store, true);
    bool waits = atomic_load(&group->indexed) < apply->safe_write;
    atomic_store(&apply->awaits_store, waits);
    return waits;
}

static struct work look(struct tn_group *group)
{
    struct tn__apply *apply = &group->apply;
    struct work work = {.told = apply->told, .reads = apply->reads};
    apply->reads = NULL;
    apply->reads_came = false;
    work.now = apply->wake_at == 0 || apply->wake_at <= tn__clock_now();
    if (!work.now) {
        return work;
    }
    apply->wake_at = 0;
    atomic_store_explicit(&apply->awaits_store, false, memory_order_relaxed);
    apply->retry_at = 0;
    if (apply->taken_next == apply->taken_count && apply->queue_count > 0) {
        struct tn_log_entry *entries = apply->taken;
        uint32_t capacity = apply->taken_capacity;
        apply->taken = apply->queue;
        apply->taken_count = apply->queue_count;
        apply->taken_capacity = apply->queue_capacity;
        apply->taken_next = 0;
        apply->queue = entries;
        apply->queue_count = 0;
        apply->queue_capacity = capacity;
        apply->queue_bytes = 0;
    }
    if (apply->taken_next == apply->taken_count && apply->from_store) {
        work.stored = tn__log_applier_slot(apply->machines) < apply->told;
        if (!work.stored) {
            apply->from_store = false; /* caught up: the queue is filled again */
        } else if (awaits_store(group)) {
            work.stored = false;
            wait_until(group, tn__clock_now() + STORE_NS);
        }
    }
    return work;
}

/* Something is left that could go on at once; under the mutex. */
static bool has_more(const struct tn_group *group)
{
    const struct tn__apply *apply = &group->apply;
    return apply->wake_at == 0 &&
           (apply->taken_next < apply->taken_count || apply->queue_count > 0 || apply->from_store);
}

/* Under the mutex, which it leaves for the executions. */
static void run_group(struct tn__applier *applier, struct tn_group *group, struct bound bound)
{
    struct work work = look(group);
    group->apply.busy = true;
    pthread_mutex_unlock(&applier->mutex);
    uint64_t before = atomic_load(&group->executed);
    if (work.now && work.stored) {
        execute_stored(group, work.told, bound.entries);
    } else if (work.now) {
        execute_taken(group, bound);
    }
    if (work.reads != NULL) {
        answer_reads(group, work.reads);
    }
    if (atomic_load(&group->executed) != before) {
        atomic_store(&group->once_ids, tn__log_applier_clients(group->apply.machines));
        tell_loop(group);
    }
    pthread_mutex_lock(&applier->mutex);
    group->apply.busy = false;
    if (group->apply.retry_at != 0) {
        wait_until(group, group->apply.retry_at);
    }
    if (group->apply.stopped) {
        pthread_cond_broadcast(&applier->calm);
    } else if (has_more(group) || group->apply.reads_came) {
        tn__apply_make_ready(group);
    }
}

/* ---- On the loop ----------------------------------------------------------------------------- */

/* A machine that takes so long in one go is not quick, whatever it was said to be. */
#define SLOW_NS TN_MILLISECOND
#define SLOW_FOR_NS (100 * TN_MILLISECOND)

/* One go on the loop, at most; the clock is what bounds it. */
#define ENTRIES_ON_LOOP 64U

bool tn__apply_claim(struct tn_group *group, uint32_t entries_most)
{
    struct tn__apply *apply = &group->apply;
    if (!apply->ready || apply->busy || apply->stopped || group->applier->stop) {
        return false;
    }
    if (apply->from_store || apply->wake_at != 0 || apply->taken_next < apply->taken_count ||
        apply->queue_count > entries_most || apply->slow_until > group->groups->now) {
        return false;
    }
    unready(group);
    apply->busy = true;
    return true;
}

tn_time tn__apply_run_claimed(struct tn_group *group, tn_time now, tn_time until)
{
    struct tn__applier *applier = group->applier;
    pthread_mutex_lock(&applier->mutex);
    tn_assert(group->apply.busy && !group->apply.ready);
    tn_time due = applier->due;
    run_group(applier, group, (struct bound){ENTRIES_ON_LOOP, until});
    bool sooner = applier->due < due; /* the thread sleeps until `due` */
    pthread_mutex_unlock(&applier->mutex);
    if (sooner) {
        tn__applier_wake(applier);
    }
    tn_time ended = tn__clock_now();
    if (ended - now > SLOW_NS) {
        group->apply.slow_until = ended + SLOW_FOR_NS;
    }
    return ended;
}

/* ---- The thread ------------------------------------------------------------------------------ */

/* Groups that wait, or have a barrier whose time is over, become ready; the next such time is
 * noted. */
static void look_at_waiting(struct tn__applier *applier)
{
    tn_time now = tn__clock_now();
    if (applier->due > now) {
        return;
    }
    applier->due = TN_TIME_NEVER;
    for (struct tn_group *group = applier->members; group != NULL; group = group->applier_next) {
        tn_time due = group->apply.wake_at == 0 ? TN_TIME_NEVER : group->apply.wake_at;
        for (const struct tn__read *read = group->apply.reads; read != NULL; read = read->next) {
            due = read->deadline < due ? read->deadline : due;
        }
        if (due <= now) {
            tn__apply_make_ready(group);
        } else if (due < applier->due) {
            applier->due = due;
        }
    }
}

/* Not by a condition: who wakes from that has the mutex, and calls the kernel once more to leave
 * it. */
static void sleep_until(struct tn__applier *applier, tn_time due)
{
    if (due == TN_TIME_NEVER) {
        (void)sem_wait(&applier->wanted);
        return;
    }
    tn_time now = tn__clock_now();
    tn_time wait = due > now ? due - now : 0;
    wait = wait > TN_SECOND ? TN_SECOND : wait;
    tn_time end = tn__clock_awake() + wait;
    struct timespec when = {
        .tv_sec = (time_t)(end / TN_SECOND),
        .tv_nsec = (long)(end % TN_SECOND),
    };
    (void)sem_clockwait(&applier->wanted, CLOCK_MONOTONIC, &when);
}

static void *run_applier(void *argument)
{
    struct tn__applier *applier = argument;
    this_applier = applier->groups;
    pthread_mutex_lock(&applier->mutex);
    while (!applier->stop) {
        struct tn_group *group = take_ready(applier);
        if (group != NULL) {
            run_group(applier, group, (struct bound){ENTRIES_AT_ONCE, TN_TIME_NEVER});
            continue;
        }
        look_at_waiting(applier);
        if (applier->ready_first == NULL) {
            applier->idle = true;
            tn_time due = applier->due;
            pthread_mutex_unlock(&applier->mutex);
            sleep_until(applier, due);
            pthread_mutex_lock(&applier->mutex);
            applier->idle = false;
        }
    }
    pthread_mutex_unlock(&applier->mutex);
    return NULL;
}

static int start(struct tn__groups *groups, struct tn__applier *applier)
{
    applier->groups = groups;
    applier->due = TN_TIME_NEVER;
    applier->cursor = calloc(1, sizeof(*applier->cursor));
    if (applier->cursor == NULL) {
        return TN_ERROR_NO_MEMORY;
    }
    pthread_mutex_init(&applier->mutex, NULL); /* these do not fail on Linux */
    (void)sem_init(&applier->wanted, 0, 0);
    pthread_cond_init(&applier->calm, NULL);
    if (pthread_create(&applier->thread, NULL, run_applier, applier) != 0) {
        (void)sem_destroy(&applier->wanted);
        pthread_cond_destroy(&applier->calm);
        pthread_mutex_destroy(&applier->mutex);
        free(applier->cursor);
        return TN_ERROR_NO_MEMORY;
    }
    applier->running = true;
    return 0;
}

int tn__appliers_start(struct tn__groups *groups, uint32_t count)
{
    tn_assert(count >= 1 && count <= TN_APPLIERS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        int error = start(groups, &groups->appliers[i]);
        if (error != 0) {
            return error;
        }
        groups->appliers_count += 1;
    }
    return 0;
}

void tn__appliers_stop(struct tn__groups *groups)
{
    for (uint32_t i = 0; i < groups->appliers_count; i++) {
        struct tn__applier *applier = &groups->appliers[i];
        pthread_mutex_lock(&applier->mutex);
        applier->stop = true;
        pthread_mutex_unlock(&applier->mutex);
        tn__applier_wake(applier);
    }
    for (uint32_t i = 0; i < groups->appliers_count; i++) {
        struct tn__applier *applier = &groups->appliers[i];
        if (applier->running) {
            pthread_join(applier->thread, NULL);
            applier->running = false;
            tn__store_cursor_free(applier->cursor);
        }
    }
}

/* ---- Groups come and go ---------------------------------------------------------------------- */

void tn__apply_begin(struct tn_group *group)
{
    struct tn__applier *applier = group->applier;
    pthread_mutex_lock(&applier->mutex);
    group->applier_next = applier->members;
    applier->members = group;
    if (group->apply.from_store) {
        tn__apply_make_ready(group);
    }
    pthread_mutex_unlock(&applier->mutex);
}

void tn__apply_end(struct tn_group *group)
{
    struct tn__applier *applier = group->applier;
    pthread_mutex_lock(&applier->mutex);
    group->apply.stopped = true;
    while (group->apply.busy && applier->running) {
        pthread_cond_wait(&applier->calm, &applier->mutex);
    }
    unready(group);
    struct tn_group **link = &applier->members;
    while (*link != NULL && *link != group) {
        link = &(*link)->applier_next;
    }
    if (*link != NULL) {
        *link = group->applier_next;
    }
    pthread_mutex_unlock(&applier->mutex);
}
