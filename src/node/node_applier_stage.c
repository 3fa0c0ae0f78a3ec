/* What the loop leaves for the appliers: committed entries, and barriers (node_applier.c executes
 * them).
 *
 * What is committed is staged, with a reference each. After each frame and each write, and when the
 * turn ends, the staged entries of all groups of a thread become their queues, under one lock and
 * with one wake-up; where nobody waits for an answer or a read, as at most members, only after a
 * millisecond. All of it is the loop's but for what stands under the thread's mutex.
 *
 * A group whose machines are said to be quick is executed by the loop itself, if somebody waits for
 * it, it is little, and nothing of it is left from before: a proposal alone then waits for one
 * hand-over less. The loop claims it first (`busy`), so the thread keeps out; and a retry, or what
 * is left when the time is over, is the thread's again. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "node/node_groups.h"
#include "os/clock.h"

/* Commits that nobody waits for wake the thread at the end of the first turn after so long; or, if
 * there is no turn, after so long. */
#define LAZY_NS_MIN TN_MILLISECOND
#define LAZY_NS_MAX (4 * TN_MILLISECOND)

/* Quick groups, at the end of a turn: so many groups and entries are executed on the loop, and
 * nothing is begun after so long. The rest is the threads'. */
#define QUICK_GROUPS_MAX 16U
#define QUICK_ENTRIES_MAX 64U
#define QUICK_NS (100 * TN_MICROSECOND)

/* References for what is queued, a run of one block at a time. */
static void retain_all(const struct tn_log_entry *entries, uint32_t count)
{
    struct tn__block *block = NULL;
    uint32_t run = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t handle = entries[i].value.handle;
        struct tn__block *next = handle == 0 ? NULL : tn__block_near(block, handle);
        if (next == block) {
            run += 1;
            continue;
        }
        if (block != NULL) {
            tn__block_retain(block, run);
        }
        block = next;
        run = 1;
    }
    if (block != NULL) {
        tn__block_retain(block, run);
    }
}

static bool stage_grow(struct tn__apply *apply, uint32_t count)
{
    uint32_t capacity = apply->staged_capacity == 0 ? 64 : apply->staged_capacity;
    while (capacity < apply->staged_count + count) {
        capacity *= 2;
    }
    if (capacity == apply->staged_capacity) {
        return true;
    }
    struct tn_log_entry *grown = realloc(apply->staged, capacity * sizeof(*grown));
    if (grown == NULL) {
        return false;
    }
    apply->staged = grown;
    apply->staged_capacity = capacity;
    return true;
}

static bool queue_grow(struct tn__apply *apply, uint32_t count)
{
    if (apply->queue_count + count <= apply->queue_capacity) {
        return true;
    }
    uint32_t capacity = apply->queue_capacity == 0 ? 64 : apply->queue_capacity;
    while (capacity < apply->queue_count + count) {
        capacity *= 2;
    }
    struct tn_log_entry *grown = realloc(apply->queue, capacity * sizeof(*grown));
    if (grown == NULL) {
        return false;
    }
    apply->queue = grown;
    apply->queue_capacity = capacity;
    return true;
}

/* What is staged behind what is queued; if there is nothing, the two change places. */
static bool queue_staged(struct tn__apply *apply)
{
    bool room =
        apply->queue_count + apply->staged_count <= TN_APPLY_ENTRIES_MAX &&
        (apply->queue_count == 0 || apply->queue_bytes + apply->staged_bytes <= TN_APPLY_BYTES_MAX);
    if (apply->from_store || apply->staged_lost || !room) {
        return false;
    }
    if (apply->queue_count == 0) {
        struct tn_log_entry *entries = apply->queue;
        uint32_t capacity = apply->queue_capacity;
        apply->queue = apply->staged;
        apply->queue_capacity = apply->staged_capacity;
        apply->staged = entries;
        apply->staged_capacity = capacity;
    } else if (queue_grow(apply, apply->staged_count)) {
        memcpy(apply->queue + apply->queue_count, apply->staged,
               apply->staged_count * sizeof(*apply->staged));
    } else {
        return false;
    }
    apply->queue_count += apply->staged_count;
    apply->queue_bytes += apply->staged_bytes;
    return true;
}

/* Under the mutex. */
static void hand_over(struct tn_group *group)
{
    struct tn__apply *apply = &group->apply;
    tn_assert(apply->staged_upto > apply->told);
    if (!queue_staged(apply)) {
        for (uint32_t i = 0; i < apply->staged_count; i++) {
            if (apply->staged[i].value.handle != 0) {
                tn__block_release(tn__block_of(apply->staged[i].value.handle));
            }
        }
        apply->from_store = true;
        apply->safe_write = group->appended;
    }
    apply->told = apply->staged_upto;
    apply->staged_count = 0;
    apply->staged_bytes = 0;
    apply->staged_lost = false;
    apply->staged_listed = false;
    if (apply->wake_at == 0) {
        tn__apply_list_ready(group);
    }
}

/* Groups that the loop executes itself. */
struct quick {
    struct tn_group *groups[QUICK_GROUPS_MAX];
    uint32_t count;
    uint32_t entries;
};

static void claim(struct quick *quick, struct tn_group *group)
{
    if (group->quick && quick->count < QUICK_GROUPS_MAX &&
        tn__apply_claim(group, QUICK_ENTRIES_MAX - quick->entries)) {
        quick->groups[quick->count++] = group;
        quick->entries += group->apply.queue_count;
    }
}

/* `quick`: what may be executed here is claimed; NULL: nothing may. */
static void hand_over_all(struct tn__applier *applier, struct quick *quick)
{
    applier->unsaid_since = 0;
    applier->hurried = false;
    pthread_mutex_lock(&applier->mutex);
    while (applier->staged != NULL) {
        struct tn_group *group = applier->staged;
        applier->staged = group->apply.staged_next;
        hand_over(group);
        if (quick != NULL) {
            claim(quick, group);
        }
    }
    bool asleep = tn__applier_take_sleeper(applier);
    pthread_mutex_unlock(&applier->mutex);
    if (asleep) {
        tn__applier_wake(applier); /* who wakes finds the mutex free */
    }
}

static void execute_quick(struct tn__groups *groups, const struct quick *quick)
{
    tn_time now = tn__clock_now();
    tn_time until = now + QUICK_NS;
    groups->executing = true;
    for (uint32_t i = 0; i < quick->count; i++) {
        now = tn__apply_run_claimed(quick->groups[i], now, until);
    }
    groups->executing = false;
}

/* Who waits for an execution here? Nobody does at most members most of the time. */
static bool is_awaited(const struct tn_group *group)
{
    return tn__call_count_now(&group->calls) > 0 ||
           atomic_load_explicit(&group->reads_count, memory_order_relaxed) > 0 ||
           !atomic_load_explicit(&group->unhurried, memory_order_relaxed);
}

static void list_staged(struct tn_group *group)
{
    struct tn__applier *applier = group->applier;
    if (applier->staged == NULL) {
        applier->unsaid_since = group->groups->now;
    }
    applier->hurried = applier->hurried || is_awaited(group);
    if (!group->apply.staged_listed) {
        group->apply.staged_listed = true;
        group->apply.staged_next = applier->staged;
        applier->staged = group;
    }
}

void tn__apply_commit(struct tn_group *group, const struct tn_log_entry *entries, uint32_t count)
{
    struct tn__apply *apply = &group->apply;
    tn_assert(entries[0].slot == apply->staged_upto + 1); /* P8 */
    if (apply->staged_count + count > TN_APPLY_ENTRIES_MAX) {
        hand_over_all(group->applier, NULL); /* inside a step: nothing executes here */
    }
    if (!apply->staged_lost && stage_grow(apply, count)) {
        retain_all(entries, count);
        memcpy(apply->staged + apply->staged_count, entries, count * sizeof(*entries));
        apply->staged_count += count;
        for (uint32_t i = 0; i < count; i++) {
            apply->staged_bytes += entries[i].value.bytes;
        }
    } else {
        apply->staged_lost = true;
    }
    apply->staged_upto = entries[count - 1].slot;
    list_staged(group);
}

void tn__appliers_hand_over(struct tn__groups *groups)
{
    struct quick quick = {0};
    groups->appliers_due = TN_TIME_NEVER;
    for (uint32_t i = 0; i < groups->appliers_count; i++) {
        struct tn__applier *applier = &groups->appliers[i];
        if (applier->staged == NULL) {
            continue;
        }
        if (applier->hurried || groups->looked_at >= applier->unsaid_since + LAZY_NS_MIN) {
            hand_over_all(applier, applier->hurried && !groups->executing ? &quick : NULL);
            continue;
        }
        tn_time due = applier->unsaid_since + LAZY_NS_MAX;
        groups->appliers_due = due < groups->appliers_due ? due : groups->appliers_due;
    }
    if (quick.count > 0) {
        execute_quick(groups, &quick);
    }
}

void tn__apply_forget(struct tn_group *group)
{
    struct tn_group **link = &group->applier->staged;
    while (*link != NULL && *link != group) {
        link = &(*link)->apply.staged_next;
    }
    if (*link != NULL) {
        *link = group->apply.staged_next;
    }
}

void tn__apply_read(struct tn_group *group, struct tn__read *read)
{
    group->applier->hurried = true; /* it may wait for what is staged */
    pthread_mutex_lock(&group->applier->mutex);
    read->next = group->apply.reads;
    group->apply.reads = read;
    group->apply.reads_came = true;
    tn__apply_make_ready(group);
    pthread_mutex_unlock(&group->applier->mutex);
}

void tn__apply_wake(struct tn_group *group)
{
    if (!atomic_load(&group->apply.awaits_store)) {
        return;
    }
    pthread_mutex_lock(&group->applier->mutex);
    if (atomic_load(&group->apply.awaits_store)) {
        atomic_store(&group->apply.awaits_store, false);
        group->apply.wake_at = 0;
        tn__apply_make_ready(group);
    }
    pthread_mutex_unlock(&group->applier->mutex);
}
