/* The runtime of groups as a whole. It is made with the first group that is opened, and stopped
 * with the node; node_groups.h says who does what. */
#define _GNU_SOURCE
#include "node/node_groups.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "base/random.h"
#include "os/clock.h"

/* The list of ops ends here when the loop takes no more. */
static struct tn__op ops_closed;

/* ---- Ops ------------------------------------------------------------------------------------- */

static bool push(struct tn__groups *groups, struct tn__op *newest, struct tn__op *oldest)
{
    struct tn__op *head = atomic_load_explicit(&groups->ops, memory_order_relaxed);
    do {
        if (head == &ops_closed) {
            return false;
        }
        oldest->next = head;
    } while (!atomic_compare_exchange_weak(&groups->ops, &head, newest));
    return true;
}

/* The loop takes back `woken` first and the list after: who sees it set is seen. */
static void wake(struct tn__groups *groups)
{
    if (!atomic_load(&groups->woken) && !atomic_exchange(&groups->woken, true)) {
        uv_async_send(&groups->wake);
    }
}

bool tn__groups_leave(struct tn__groups *groups, struct tn__op *newest, struct tn__op *oldest,
                      const _Atomic bool *unhurried)
{
    if (!push(groups, newest, oldest)) {
        return false;
    }
    if (unhurried == NULL || !atomic_load(unhurried)) {
        wake(groups);
    }
    return true;
}

bool tn__groups_leave_calls(struct tn__groups *groups, struct tn__op *newest, struct tn__op *oldest,
                            uint32_t count)
{
    if (!push(groups, newest, oldest)) {
        return false;
    }
    if (tn__crowd_left(&groups->crowd, count)) {
        wake(groups);
    }
    return true;
}

static struct tn__op *take_ops(struct tn__groups *groups, struct tn__op *leave)
{
    atomic_store(&groups->woken, false);
    struct tn__op *op = atomic_exchange(&groups->ops, leave);
    struct tn__op *oldest = NULL;
    while (op != NULL && op != &ops_closed) {
        struct tn__op *next = op->next;
        op->next = oldest;
        oldest = op;
        op = next;
    }
    return oldest;
}

static struct tn_proposal *submitted(struct tn__op *op)
{
    return (struct tn_proposal *)(void *)((uint8_t *)op - offsetof(struct tn_proposal, submit));
}

static struct tn_proposal *cancelled(struct tn__op *op)
{
    return (struct tn_proposal *)(void *)((uint8_t *)op - offsetof(struct tn_proposal, cancel));
}

/* ---- Executions ------------------------------------------------------------------------------ */

/* The loop hears of executions at once only while somebody waits for that: a leader that recovers,
 * or calls that may have lost their slots. Else it looks by itself, once in a while, at groups that
 * execute, and the applier says nothing meanwhile. */
#define WATCH_NS (20 * TN_MILLISECOND)

static void hear(struct tn__groups *groups, struct tn_group *group, tn_time now)
{
    uint64_t executed = atomic_load(&group->executed);
    if (group->here && executed > group->applied_told) {
        group->applied_told = executed;
        tn__reads_refresh(group, now);
    }
    if (!group->here || executed <= group->applied_stepped ||
        atomic_load_explicit(&group->unhurried, memory_order_relaxed)) {
        return;
    }
    group->applied_stepped = executed;
    struct tn_log_event event = {.kind = TN_LOG_EVENT_APPLIED, .number = executed};
    tn__groups_step(groups, group, &event);
    if (group->suspect != 0) {
        tn__calls_executed(group);
    }
    struct tn_log_status status;
    tn_log_status(group->log, tn__clock_now(), &status);
    bool recovering =
        status.leader == group->node->config.ids[group->node->config.self] && status.ready == 0;
    atomic_store(&group->unhurried, group->suspect == 0 && !recovering);
}

/* The applier is to say when it has executed more. */
static void watch_no_more(struct tn__groups *groups, struct tn_group *group)
{
    group->watched = false;
    atomic_store(&group->applied_left, false); /* before the slot is read: none is missed */
    hear(groups, group, tn__clock_now());
}

static void tell_applied(struct tn__groups *groups, struct tn_group *group)
{
    if (!group->here || !atomic_load_explicit(&group->unhurried, memory_order_relaxed)) {
        watch_no_more(groups, group);
        return;
    }
    hear(groups, group, tn__clock_now());
    group->watched = true;
    if (!group->watch_listed) {
        group->watch_listed = true;
        group->watch_next = groups->watched;
        groups->watched = group;
    }
    if (groups->watch_at == TN_TIME_NEVER) {
        groups->watch_at = groups->now + WATCH_NS;
    }
}

static void look_at_watched(struct tn__groups *groups, tn_time now)
{
    struct tn_group **link = &groups->watched;
    now = now > groups->now ? now : groups->now; /* no machine is asked about its past */
    while (*link != NULL) {
        struct tn_group *group = *link;
        if (group->watched && atomic_load(&group->executed) > group->applied_told) {
            hear(groups, group, now);
            link = &group->watch_next;
            continue;
        }
        *link = group->watch_next;
        group->watch_listed = false;
        if (group->watched) { /* it stands still */
            watch_no_more(groups, group);
        }
    }
    groups->watch_at = groups->watched != NULL ? now + WATCH_NS : TN_TIME_NEVER;
}

static void hear_in_a_hurry(struct tn__groups *groups, struct tn_group *group)
{
    if (atomic_load_explicit(&group->unhurried, memory_order_relaxed)) {
        return;
    }
    if (group->watched) {
        watch_no_more(groups, group);
    } else {
        hear(groups, group, tn__clock_now());
    }
}

void tn__groups_hurry(struct tn_group *group)
{
    atomic_store(&group->unhurried, false);
    tn__groups_mark_dirty(group); /* what it has not heard of yet it hears when the turn ends */
}

/* ---- Carrying out ---------------------------------------------------------------------------- */

static void carry_out(struct tn__groups *groups, struct tn__op *op)
{
    struct tn_proposal *call;
    switch (op->kind) {
    case TN_OP_PROPOSE:
        call = submitted(op);
        groups->crowd.taken += 1;
        tn__calls_submit(call->group, call);
        break;
    case TN_OP_CANCEL:
        call = cancelled(op);
        tn__calls_cancel(call);
        break;
    case TN_OP_READ: {
        struct tn__read *read = (struct tn__read *)(void *)op;
        tn__reads_submit(read->group, read);
        break;
    }
    case TN_OP_APPLIED: {
        size_t offset = offsetof(struct tn_group, applied);
        tell_applied(groups, (struct tn_group *)(void *)((uint8_t *)op - offset));
        break;
    }
    case TN_OP_WRITTEN:
        tn__store_told(&groups->store);
        break;
    case TN_OP_LOADED:
        tn__groups_loaded(groups, (struct tn__loaded *)(void *)op);
        break;
    default:
        tn_assert(false);
    }
}

/* ---- The turn -------------------------------------------------------------------------------- */

static void flush_dirty(struct tn__groups *groups)
{
    tn_time now = tn__clock_now();
    if (tn__crowd_waits(&groups->crowd, now)) {
        return;
    }
    groups->crowd.flushed = groups->crowd.taken;
    while (groups->dirty != NULL) {
        struct tn_group *group = groups->dirty;
        groups->dirty = group->dirty_next;
        group->dirty = false;
        if (group->here) {
            hear_in_a_hurry(groups, group);
            tn__group_lease_follow(group);
            tn__calls_flush(group, now);
        }
    }
}

static void take_up(struct tn__groups *groups, struct tn__op *leave)
{
    struct tn__op *op = take_ops(groups, leave);
    while (op != NULL) {
        struct tn__op *next = op->next; /* an op may be gone once it is carried out */
        carry_out(groups, op);
        op = next;
    }
}

static void run_ops(struct tn__groups *groups, struct tn__op *leave)
{
    tn__appliers_hand_over(groups); /* first of all: somebody may wait for what is committed */
    take_up(groups, leave);
    flush_dirty(groups);
    tn__groups_tell_ended(groups);
}

void tn__groups_run_ops(struct tn__groups *groups)
{
    run_ops(groups, NULL);
}

static void on_wake(uv_async_t *wake)
{
    struct tn__groups *groups = wake->data;
    if (!groups->stopped) {
        tn__node_turn_begin(groups->node);
        take_up(groups, NULL); /* the end of the turn does the rest, for all that came by then */
    }
}

void tn__groups_mark_dirty(struct tn_group *group)
{
    if (!group->dirty) {
        group->dirty = true;
        group->dirty_next = group->groups->dirty;
        group->groups->dirty = group;
    }
}

/* ---- Steps ----------------------------------------------------------------------------------- */

void tn__groups_tell_ended(struct tn__groups *groups)
{
    while (groups->ended != NULL) {
        struct tn_proposal *call = groups->ended;
        groups->ended = call->list_next;
        struct tn_proposal_result result = {.error = call->ending};
        tn__call_end(call, &result);
    }
    while (groups->ended_reads != NULL) {
        struct tn__read *read = groups->ended_reads;
        groups->ended_reads = read->next;
        tn__read_end(read, read->error, 0, TN_TIME_NEVER);
    }
    /* A callback may bring more notices about, but not grow the list under our feet: it is walked
     * by its index. */
    for (uint32_t i = 0; i < groups->notices_count; i++) {
        struct tn__groups_notice told = groups->notices[i];
        told.group->on_notice(told.group, &told.notice, told.group->data);
    }
    groups->notices_count = 0;
}

void tn__groups_tell_notice(struct tn_group *group, const struct tn_log_notice *notice)
{
    struct tn__groups *groups = group->groups;
    if (group->on_notice == NULL) {
        return;
    }
    if (groups->notices_count == groups->notices_capacity) {
        uint32_t capacity = groups->notices_capacity == 0 ? 64 : 2 * groups->notices_capacity;
        struct tn__groups_notice *grown =
            realloc(groups->notices, capacity * sizeof(*groups->notices));
        if (grown == NULL) {
            return; /* a notice is a hint: tn_group_status() has the state */
        }
        groups->notices = grown;
        groups->notices_capacity = capacity;
    }
    groups->notices[groups->notices_count++] =
        (struct tn__groups_notice){.group = group, .notice = *notice};
}

void tn__groups_step_at(struct tn__groups *groups, struct tn_group *group,
                        struct tn_log_event *event, tn_time now)
{
    tn_assert(!groups->stepping && group->here);
    groups->now = now > groups->now ? now : groups->now;
    event->now = groups->now;
    event->random = tn__random_next(&groups->node->random);
    groups->stepping = true;
    tn__log_driver_event(groups->driver, group->id, event);
    groups->stepping = false;
}

void tn__groups_step(struct tn__groups *groups, struct tn_group *group, struct tn_log_event *event)
{
    tn__groups_step_at(groups, group, event, tn__clock_now());
}

/* The clock, for machines that are stepped without tn__groups_step_at(). */
static tn_time read_clock(struct tn__groups *groups)
{
    groups->now = tn__clock_now(); /* T1 */
    return groups->now;
}

void tn__groups_written(struct tn__groups *groups, const struct tn__store_batch *batch)
{
    tn_time now = read_clock(groups);
    tn__crowd_written(&groups->crowd, now);
    groups->stepping = true;
    for (uint32_t i = 0; i < batch->groups_count; i++) {
        struct tn_group *group = tn__groups_find(groups, batch->groups[i]);
        if (group != NULL) {
            atomic_store(&group->indexed, batch->writes[i]);
            tn__apply_wake(group);
        }
        tn__log_driver_written(groups->driver, batch->groups[i], batch->writes[i], now,
                               tn__random_next(&groups->node->random));
    }
    groups->stepping = false;
}

void tn__groups_failed(struct tn__groups *groups)
{
    tn__crowd_end(&groups->crowd);
    groups->stepping = true;
    tn__log_driver_failed(groups->driver, read_clock(groups),
                          tn__random_next(&groups->node->random));
    groups->stepping = false;
}

void tn__groups_full(struct tn__groups *groups, bool full)
{
    for (struct tn_group *group = groups->first; group != NULL; group = group->next) {
        struct tn_log_event event = {.kind = TN_LOG_EVENT_STORE_FULL, .number = full ? 1 : 0};
        if (group->here) {
            tn__groups_step(groups, group, &event);
            group->follow = true;
            tn__groups_mark_dirty(group);
        }
    }
}

struct tn_group *tn__groups_find(const struct tn__groups *groups, uint32_t id)
{
    return id <= TN_GROUP_ID_MAX ? groups->by_id[id] : NULL;
}

void tn__groups_forget(struct tn__groups *groups, struct tn_group *group)
{
    tn_assert(!group->here);
    tn__apply_forget(group);
    groups->recent = NULL; /* it may be the group's */
    struct tn_group **link = &groups->first;
    while (*link != NULL && *link != group) {
        link = &(*link)->next;
    }
    if (*link != NULL) {
        *link = group->next;
        groups->count -= 1;
    }
    link = &groups->dirty;
    while (*link != NULL && *link != group) {
        link = &(*link)->dirty_next;
    }
    if (*link != NULL) {
        *link = group->dirty_next;
    }
    link = &groups->watched;
    while (*link != NULL && *link != group) {
        link = &(*link)->watch_next;
    }
    if (*link != NULL) {
        *link = group->watch_next;
    }
    if (groups->by_id[group->id] == group) {
        groups->by_id[group->id] = NULL;
    }
}

/* ---- As the node sees it --------------------------------------------------------------------- */

void tn__node_groups_turn_end(struct tn_node *node)
{
    struct tn__groups *groups = node->groups;
    if (groups == NULL || groups->stopped) {
        return;
    }
    run_ops(groups, NULL); /* what nobody woke us for, too */
    tn__groups_frames_flush(groups);
}

void tn__node_groups_turn_write(struct tn_node *node)
{
    struct tn__groups *groups = node->groups;
    if (groups == NULL || groups->stopped) {
        return;
    }
    bool begun =
        tn__store_turn_end(&groups->store) && tn__crowd_begin(&groups->crowd, tn__clock_now());
    if (!begun && groups->crowd.reopened && atomic_load(&groups->ops) != NULL) {
        wake(groups); /* left after the ops were taken, while others were waited for */
    }
    groups->crowd.reopened = false;
    tn__appliers_hand_over(groups);
}

/* The machines' deadline as the slack moves it. */
static tn_time machines_due(const struct tn__groups *groups)
{
    tn_time deadline = tn__log_driver_deadline(groups->driver);
    tn_time earliest = groups->timers_ran_at + TN_GROUPS_SLACK_NS;
    return groups->timers_more || deadline >= earliest ? deadline : earliest;
}

void tn__groups_due(struct tn__groups *groups, tn_time when)
{
    groups->due = when < groups->due ? when : groups->due;
}

tn_time tn__node_groups_deadline(const struct tn_node *node)
{
    const struct tn__groups *groups = node->groups;
    if (groups == NULL || groups->stopped) {
        return TN_TIME_NEVER;
    }
    tn_time due = machines_due(groups);
    due = groups->due < due ? groups->due : due;
    due = groups->appliers_due < due ? groups->appliers_due : due;
    due = groups->watch_at < due ? groups->watch_at : due;
    tn_time crowded_until = tn__crowd_until(&groups->crowd);
    return crowded_until < due ? crowded_until : due;
}

static void run_group_timers(struct tn__groups *groups, tn_time now)
{
    groups->due = TN_TIME_NEVER;
    for (struct tn_group *group = groups->first; group != NULL; group = group->next) {
        if (tn__calls_deadline(group) <= now) {
            tn__calls_timers(group, now);
        }
        if (tn__reads_deadline(group) <= now) {
            tn__reads_timers(group, now);
        }
        tn__groups_due(groups, tn__calls_deadline(group));
        tn__groups_due(groups, tn__reads_deadline(group));
    }
}

void tn__node_groups_timers(struct tn_node *node, tn_time now)
{
    struct tn__groups *groups = node->groups;
    if (groups == NULL || groups->stopped) {
        return;
    }
    groups->looked_at = now;
    if (machines_due(groups) <= now) {
        groups->timers_ran_at = now;
        groups->now = now > groups->now ? now : groups->now;
        groups->stepping = true;
        groups->timers_more = tn__log_driver_timers(groups->driver, groups->now,
                                                    tn__random_next(&node->random), TN_GROUPS_MAX);
        groups->stepping = false;
    }
    if (groups->due <= now) {
        run_group_timers(groups, now);
    }
    if (groups->watch_at <= now) {
        look_at_watched(groups, now);
    }
}

uint32_t tn__node_groups_look(const struct tn_node *node, uint32_t first,
                              struct tn_group_status *statuses, uint32_t most)
{
    const struct tn__groups *groups = node->groups;
    uint32_t count = 0;
    for (uint32_t id = first; groups != NULL && id <= TN_GROUP_ID_MAX && count < most; id++) {
        if (groups->by_id[id] != NULL && groups->by_id[id]->here) {
            tn__group_status(groups->by_id[id], &statuses[count++]);
        }
    }
    return count;
}

/* ---- Life ------------------------------------------------------------------------------------ */

static int open_driver(struct tn__groups *groups)
{
    const struct tn_node *node = groups->node;
    groups->driver_bytes = tn__log_driver_size(TN_GROUPS_MAX);
    void *memory = mmap(NULL, groups->driver_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        return TN_ERROR_NO_MEMORY;
    }
    groups->driver_memory = memory;
    struct tn__log_driver_world world = tn__groups_world;
    world.context = groups;
    groups->driver = tn__log_driver_init(memory, TN_GROUPS_MAX, node->config.self,
                                         node->config.lease.restart_word, &world);
    return 0;
}

static void free_groups(struct tn__groups *groups)
{
    if (groups == NULL) {
        return;
    }
    for (uint32_t member = 0; member < TN_MEMBERS_MAX; member++) {
        for (uint32_t channel = 0; channel < TN_CHANNELS_END; channel++) {
            free(groups->builders[member][channel].frame.bytes);
        }
    }
    if (groups->driver_memory != NULL) {
        munmap(groups->driver_memory, groups->driver_bytes);
    }
    free((void *)groups->by_id);
    free((void *)groups->payloads);
    free(groups->entries);
    free(groups->notices);
    free(groups);
}

/* The last part of the opening belongs to the loop. */
static int begin_on_loop(struct tn_node *node, void *argument)
{
    struct tn__groups *groups = argument;
    if (node->stopping) {
        return TN_ERROR_CLOSED;
    }
    if (uv_async_init(&node->loop, &groups->wake, on_wake) != 0) {
        return TN_ERROR_NO_MEMORY;
    }
    groups->wake.data = groups;
    groups->wake_open = true;
    tn__store_ring_begin(&groups->store);
    node->groups = groups;
    tn__peers_want_bulk(node->peers);
    return 0;
}

static struct tn__groups *make_groups(struct tn_node *node)
{
    struct tn__groups *groups = calloc(1, sizeof(*groups));
    if (groups == NULL) {
        return NULL;
    }
    groups->node = node;
    groups->due = TN_TIME_NEVER;
    groups->appliers_due = TN_TIME_NEVER;
    groups->watch_at = TN_TIME_NEVER;
    groups->by_id = (struct tn_group **)calloc(TN_GROUP_ID_MAX + 1, sizeof(groups->by_id[0]));
    groups->entries = calloc(TN_LOG_RUN_MAX, sizeof(*groups->entries));
    groups->payloads = (const uint8_t **)calloc(TN_LOG_RUN_MAX, sizeof(groups->payloads[0]));
    if (groups->by_id == NULL || groups->entries == NULL || groups->payloads == NULL ||
        open_driver(groups) != 0) {
        free_groups(groups);
        return NULL;
    }
    return groups;
}

int tn__groups_open(struct tn_node *node, char *why, size_t why_size)
{
    struct tn__groups *groups = make_groups(node);
    if (groups == NULL) {
        return TN_ERROR_NO_MEMORY;
    }
    int error = tn__store_open(groups, why, why_size);
    if (error != 0) {
        free_groups(groups);
        return error;
    }
    uint32_t appliers = node->config.appliers_count;
    error = tn__appliers_start(groups, appliers == 0 ? 1 : appliers);
    if (error == 0) {
        error = tn__loads_start(groups);
    }
    if (error == 0) {
        error = tn__node_call(node, begin_on_loop, groups, true);
    }
    if (error != 0) {
        tn__loads_stop(groups);
        tn__appliers_stop(groups);
        tn__store_close(&groups->store);
        free_groups(groups);
    }
    return error;
}

void tn__node_groups_stop(struct tn_node *node)
{
    struct tn__groups *groups = node->groups;
    if (groups == NULL || groups->stopped) {
        return;
    }
    /* Nothing executes any more; then whoever waits is told. */
    tn__appliers_stop(groups);
    tn__loads_stop(groups);
    run_ops(groups, &ops_closed);
    for (struct tn_group *group = groups->first; group != NULL; group = group->next) {
        atomic_store(&group->closed, true);
        if (group->here) {
            tn__reads_end_all(group);
            tn__calls_end_all(group);
        }
    }
    tn__groups_tell_ended(groups);
    groups->stopped = true;
    tn__store_close(&groups->store);
    if (groups->wake_open) {
        uv_close((uv_handle_t *)&groups->wake, NULL);
    }
}

void tn__node_groups_free(struct tn_node *node)
{
    struct tn__groups *groups = node->groups;
    if (groups == NULL) {
        return;
    }
    tn_assert(groups->stopped);
    while (groups->first != NULL) {
        struct tn_group *group = groups->first;
        groups->first = group->next;
        tn__group_free(group);
    }
    node->groups = NULL;
    free_groups(groups);
}
