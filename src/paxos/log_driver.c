/* The driver of logs; the header tells the theory.
 *
 * A group is free, here, or leaving: taken out while writes of it were under way. One that leaves
 * keeps its id until the last of them is reported, so that a report is never taken for one of a
 * later group of that id, whose writes are counted from 1 again. */
#include "paxos/log_driver.h"

#include <string.h>

#include <tenure/error.h>

#include "base/assert.h"
#include "base/heap.h"
#include "base/random.h"
#include "paxos/log_driver_queue.h"

#define NONE TN__LOG_DRIVER_QUEUE_NONE

/* What waits for a write: a few answers of every group, and PROMISE pages of a full window. */
#define HELD_MIN 512U
#define HELD_OF_A_GROUP 4U
#define HELD_ENTRIES (8U * TN_LOG_RUN_MAX)

/* What one step says to itself, and what the answer to that does. */
#define LOOP_MESSAGES 256U
#define LOOP_ENTRIES (4U * TN_LOG_RUN_MAX)

_Static_assert(LOOP_MESSAGES >= 2 * TN_LOG_EFFECT_MESSAGES_MAX, "the loop takes two steps' words");
_Static_assert((LOOP_ENTRIES & (LOOP_ENTRIES - 1)) == 0, "a ring");
_Static_assert((HELD_ENTRIES & (HELD_ENTRIES - 1)) == 0, "a ring");

enum presence {
    FREE = 0,
    HERE,
    LEAVING,
};

struct group {
    struct tn_log *log;
    uint64_t durable;  /* every write up to this number is done */
    uint64_t appended; /* the newest write asked for */
    uint32_t id;
    uint32_t held_first; /* slots of the held queue, in the order of their making */
    uint32_t held_last;
    uint8_t presence; /* enum presence */
    uint8_t reserved[3];
};

struct tn__log_driver {
    struct tn__log_driver_world world;
    uint64_t restart_word;
    uint64_t dropped;
    uint32_t self;
    uint32_t groups_max;
    uint32_t groups_count; /* here or leaving */
    uint32_t heap_count;
    struct group *groups;
    uint32_t *order; /* groups_count places in `groups`, by rising id */
    uint32_t *due;
    struct tn__heap_entry *heap_entries;
    uint32_t *heap_places;
    struct tn__log_driver_queue held;
    struct tn__log_driver_queue loop;
    struct tn_log_effects effects;
};

/* ---- Memory ---------------------------------------------------------------------------------- */

static size_t padded(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

static uint32_t held_slots(uint32_t groups_max)
{
    uint32_t slots = HELD_MIN;
    while (slots < HELD_MIN + HELD_OF_A_GROUP * groups_max) {
        slots *= 2;
    }
    return slots;
}

size_t tn__log_driver_size(uint32_t groups_max)
{
    tn_assert(groups_max >= 1 && groups_max <= TN_GROUPS_MAX);
    return padded(sizeof(struct tn__log_driver)) + padded(groups_max * sizeof(struct group)) +
           3 * padded(groups_max * sizeof(uint32_t)) +
           padded(groups_max * sizeof(struct tn__heap_entry)) +
           padded(held_slots(groups_max) * sizeof(struct tn__log_driver_queued)) +
           padded(HELD_ENTRIES * sizeof(struct tn_log_entry)) +
           padded(LOOP_MESSAGES * sizeof(struct tn__log_driver_queued)) +
           padded(LOOP_ENTRIES * sizeof(struct tn_log_entry));
}

static void *carve(uint8_t **memory, size_t bytes)
{
    void *part = *memory;
    *memory += padded(bytes);
    return part;
}

struct tn__log_driver *tn__log_driver_init(void *memory, uint32_t groups_max, uint32_t self,
                                           uint64_t restart_word,
                                           const struct tn__log_driver_world *world)
{
    tn_assert(memory != NULL && (uintptr_t)memory % 64 == 0);
    tn_assert(self < TN_LOG_NODES_MAX);
    tn_assert(world->append != NULL && world->send != NULL && world->commit != NULL);
    tn_assert(world->notify != NULL && world->load != NULL);
    tn_assert(world->retain != NULL && world->release != NULL);
    uint8_t *rest = memory;
    struct tn__log_driver *driver = carve(&rest, sizeof(*driver));
    /* The effects and the rings are written before they are read: most of the memory is left as it
     * is. */
    memset(driver, 0, offsetof(struct tn__log_driver, effects));
    driver->world = *world;
    driver->restart_word = restart_word;
    driver->self = self;
    driver->groups_max = groups_max;
    driver->groups = carve(&rest, groups_max * sizeof(struct group));
    driver->order = carve(&rest, groups_max * sizeof(uint32_t));
    driver->due = carve(&rest, groups_max * sizeof(uint32_t));
    driver->heap_places = carve(&rest, groups_max * sizeof(uint32_t));
    driver->heap_entries = carve(&rest, groups_max * sizeof(struct tn__heap_entry));
    memset(driver->groups, 0, (size_t)(rest - (uint8_t *)driver->groups));
    driver->held.slots_count = held_slots(groups_max);
    driver->held.entries_count = HELD_ENTRIES;
    driver->held.slots =
        carve(&rest, driver->held.slots_count * sizeof(struct tn__log_driver_queued));
    driver->held.entries = carve(&rest, HELD_ENTRIES * sizeof(struct tn_log_entry));
    driver->loop.slots_count = LOOP_MESSAGES;
    driver->loop.entries_count = LOOP_ENTRIES;
    driver->loop.slots = carve(&rest, LOOP_MESSAGES * sizeof(struct tn__log_driver_queued));
    driver->loop.entries = carve(&rest, LOOP_ENTRIES * sizeof(struct tn_log_entry));
    tn_assert((size_t)(rest - (uint8_t *)memory) == tn__log_driver_size(groups_max));
    return driver;
}

/* ---- Groups ---------------------------------------------------------------------------------- */

/* How many of `order` have a smaller id. */
static uint32_t rank_of(const struct tn__log_driver *driver, uint32_t id)
{
    uint32_t low = 0;
    uint32_t high = driver->groups_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (driver->groups[driver->order[middle]].id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The group of this id, here or leaving; NULL: there is none. */
static struct group *group_of(const struct tn__log_driver *driver, uint32_t id)
{
    /* Ids are mostly 0, 1, 2 ...: then an id is its rank. */
    bool dense = id < driver->groups_count && driver->groups[driver->order[id]].id == id;
    uint32_t rank = dense ? id : rank_of(driver, id);
    if (rank == driver->groups_count) {
        return NULL;
    }
    struct group *group = &driver->groups[driver->order[rank]];
    return group->id == id ? group : NULL;
}

static struct group *group_here(const struct tn__log_driver *driver, uint32_t id)
{
    struct group *group = group_of(driver, id);
    return group != NULL && group->presence == HERE ? group : NULL;
}

static struct tn__heap heap_of(struct tn__log_driver *driver)
{
    return (struct tn__heap){.entries = driver->heap_entries,
                             .places = driver->heap_places,
                             .count = &driver->heap_count};
}

/* Keep the heap true after a step. */
static void follow_deadline(struct tn__log_driver *driver, const struct group *group)
{
    uint32_t record = (uint32_t)(group - driver->groups);
    uint32_t place = driver->heap_places[record];
    tn_time deadline = group->presence == HERE ? tn_log_deadline(group->log) : TN_TIME_NEVER;
    tn_time known = place != 0 ? driver->heap_entries[place - 1].key : TN_TIME_NEVER;
    if (deadline == known) {
        return;
    }
    if (place != 0 && deadline != TN_TIME_NEVER) {
        tn__heap_move(heap_of(driver), record, deadline);
    } else if (place != 0) {
        tn__heap_remove(heap_of(driver), record);
    } else {
        tn__heap_insert(heap_of(driver), record, deadline);
    }
}

int tn__log_driver_add(struct tn__log_driver *driver, uint32_t group, struct tn_log *log,
                       tn_time now)
{
    tn_maybe(now == 0);
    tn_assert(log != NULL && group <= TN_GROUP_ID_MAX);
    const struct group *taken = group_of(driver, group);
    if (taken != NULL) {
        return taken->presence == LEAVING ? TN_ERROR_BUSY : TN_ERROR_INVALID;
    }
    if (driver->groups_count == driver->groups_max) {
        return TN_ERROR_FULL;
    }
    uint32_t slot = 0;
    while (driver->groups[slot].presence != FREE) {
        slot++;
    }
    tn_assert(slot < driver->groups_max);
    driver->groups[slot] = (struct group){
        .log = log, .id = group, .held_first = NONE, .held_last = NONE, .presence = HERE};
    uint32_t rank = rank_of(driver, group);
    memmove(&driver->order[rank + 1], &driver->order[rank],
            (driver->groups_count - rank) * sizeof(driver->order[0]));
    driver->order[rank] = slot;
    driver->groups_count++;
    follow_deadline(driver, &driver->groups[slot]);
    return TN_OK;
}

struct tn_log *tn__log_driver_find(const struct tn__log_driver *driver, uint32_t group)
{
    const struct group *found = group_here(driver, group);
    return found != NULL ? found->log : NULL;
}

static void free_group(struct tn__log_driver *driver, struct group *group)
{
    tn_assert(group->presence != FREE && group->held_first == NONE);
    uint32_t rank = rank_of(driver, group->id);
    tn_assert(&driver->groups[driver->order[rank]] == group);
    driver->groups_count--;
    memmove(&driver->order[rank], &driver->order[rank + 1],
            (driver->groups_count - rank) * sizeof(driver->order[0]));
    *group = (struct group){0};
}

/* ---- References ------------------------------------------------------------------------------ */

static void retain_entries(struct tn__log_driver *driver, const struct tn_log_entry *entries,
                           uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (entries[i].value.handle != 0) {
            driver->world.retain(driver->world.context, entries[i].value.handle);
        }
    }
}

static void release_entries(struct tn__log_driver *driver, const struct tn_log_entry *entries,
                            uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (entries[i].value.handle != 0) {
            driver->world.release(driver->world.context, entries[i].value.handle);
        }
    }
}

/* ---- Carrying out ---------------------------------------------------------------------------- */

static tn_member_set self_bit(const struct tn__log_driver *driver)
{
    return (tn_member_set)1 << driver->self;
}

/* Its write is done, or it needs none: let the message go. */
static void let_go(struct tn__log_driver *driver, const struct tn_log_message *message,
                   const struct tn_log_entry *entries)
{
    tn_assert(message->to != 0 && message->entries_first == 0);
    if ((message->to & self_bit(driver)) != 0) {
        if (tn__log_driver_queue_put(&driver->loop, message, entries) != NONE) {
            retain_entries(driver, entries, message->entries_count);
        } else {
            driver->dropped++;
        }
    }
    if ((message->to & ~self_bit(driver)) != 0) {
        driver->world.send(driver->world.context, message->to & ~self_bit(driver), message,
                           entries);
    }
}

/* Its write is under way: keep a copy until it is done. */
static void hold(struct tn__log_driver *driver, struct group *group,
                 const struct tn_log_message *message, const struct tn_log_entry *entries)
{
    tn_assert(message->after > group->durable);
    uint32_t slot = tn__log_driver_queue_put(&driver->held, message, entries);
    if (slot == NONE) {
        driver->dropped++;
        return;
    }
    retain_entries(driver, entries, message->entries_count);
    if (group->held_last != NONE) {
        driver->held.slots[group->held_last].next = slot;
    } else {
        group->held_first = slot;
    }
    group->held_last = slot;
}

static void append_all(struct tn__log_driver *driver, struct group *group)
{
    struct tn_log_effects *effects = &driver->effects;
    for (uint32_t i = 0; i < effects->records_count; i++) {
        struct tn_log_record *record = &effects->records[i];
        const struct tn_log_entry *entries = effects->entries + record->entries_first;
        tn_assert(record->write > group->appended);
        tn_assert(record->entries_first + record->entries_count <= effects->entries_count);
        group->appended = record->write;
        record->group = group->id;
        record->entries_first = 0;
        driver->world.append(driver->world.context, record, entries);
    }
}

static void send_all(struct tn__log_driver *driver, struct group *group)
{
    struct tn_log_effects *effects = &driver->effects;
    for (uint32_t i = 0; i < effects->messages_count; i++) {
        struct tn_log_message *message = &effects->messages[i];
        const struct tn_log_entry *entries = effects->entries + message->entries_first;
        tn_assert(message->after <= group->appended);
        tn_assert(message->entries_first + message->entries_count <= effects->entries_count);
        message->group = group->id;
        message->entries_first = 0;
        if (message->after <= group->durable) {
            let_go(driver, message, entries);
        } else {
            hold(driver, group, message, entries);
        }
    }
}

/* In the order that log.h asks for: who needs bytes takes its reference before the forgets. */
static void carry_out(struct tn__log_driver *driver, struct group *group)
{
    const struct tn_log_effects *effects = &driver->effects;
    const struct tn__log_driver_world *world = &driver->world;
    tn_assert(effects->records_count <= TN_LOG_EFFECT_RECORDS_MAX);
    tn_assert(effects->messages_count <= TN_LOG_EFFECT_MESSAGES_MAX);
    tn_assert(effects->notices_count <= TN_LOG_EFFECT_NOTICES_MAX);
    tn_assert(effects->loads_count <= TN_LOG_EFFECT_LOADS_MAX);
    tn_assert(effects->forgets_count <= TN_LOG_EFFECT_FORGETS_MAX);
    tn_assert(effects->commit_first + effects->commit_count <= effects->entries_count ||
              effects->commit_count == 0);
    append_all(driver, group);
    send_all(driver, group);
    if (effects->commit_count > 0) {
        world->commit(world->context, group->id, effects->entries + effects->commit_first,
                      effects->commit_count);
    }
    for (uint32_t i = 0; i < effects->notices_count; i++) {
        world->notify(world->context, group->id, &effects->notices[i]);
    }
    for (uint32_t i = 0; i < effects->loads_count; i++) {
        world->load(world->context, group->id, &effects->loads[i]);
    }
    for (uint32_t i = 0; i < effects->forgets_count; i++) {
        if (effects->forgets[i] != 0) {
            world->release(world->context, effects->forgets[i]);
        }
    }
}

/* ---- Steps ----------------------------------------------------------------------------------- */

/* What one turn of a group is stepped with: each step draws randomness of its own. */
struct turn {
    tn_time now;
    uint64_t random;
};

/* A message of this node to itself, out of a queue. The machine takes the queue's references. */
static void step_own(struct tn__log_driver *driver, struct group *group, struct turn *turn,
                     struct tn__log_driver_queue *queue, uint32_t slot)
{
    struct tn__log_driver_queued *queued = &queue->slots[slot];
    queued->message.from = (uint8_t)driver->self;
    struct tn_log_event event = {
        .kind = TN_LOG_EVENT_MESSAGE,
        .from = driver->self,
        .now = turn->now,
        .random = tn__random_next(&turn->random),
        .restart_word = driver->restart_word,
        .message = &queued->message,
        .entries = tn__log_driver_queue_entries(queue, slot),
        .entries_count = queued->message.entries_count,
    };
    tn_log_step(group->log, &event, &driver->effects);
    tn__log_driver_queue_take(queue, slot);
    carry_out(driver, group);
}

static void run_loop(struct tn__log_driver *driver, struct group *group, struct turn *turn)
{
    for (;;) {
        uint32_t slot = tn__log_driver_queue_first(&driver->loop);
        if (slot == NONE) {
            return;
        }
        step_own(driver, group, turn, &driver->loop, slot);
    }
}

static void step(struct tn__log_driver *driver, struct group *group,
                 const struct tn_log_event *event, struct turn *turn)
{
    tn_assert(group->presence == HERE);
    tn_log_step(group->log, event, &driver->effects);
    carry_out(driver, group);
    run_loop(driver, group, turn);
}

/* A held message whose write is done: to others first, then to this node itself. */
static void let_go_held(struct tn__log_driver *driver, struct group *group, struct turn *turn,
                        uint32_t slot)
{
    const struct tn_log_message *message = &driver->held.slots[slot].message;
    const struct tn_log_entry *entries = tn__log_driver_queue_entries(&driver->held, slot);
    tn_member_set others = message->to & ~self_bit(driver);
    if (others != 0) {
        driver->world.send(driver->world.context, others, message, entries);
    }
    if ((message->to & self_bit(driver)) != 0) {
        step_own(driver, group, turn, &driver->held, slot);
        run_loop(driver, group, turn);
        return;
    }
    release_entries(driver, entries, message->entries_count);
    tn__log_driver_queue_take(&driver->held, slot);
}

/* Walks the group's list, at whose end new ones may be put meanwhile. */
static void let_go_of_all_durable(struct tn__log_driver *driver, struct group *group,
                                  struct turn *turn)
{
    uint32_t kept = NONE;
    for (;;) {
        uint32_t slot = kept == NONE ? group->held_first : driver->held.slots[kept].next;
        if (slot == NONE) {
            return;
        }
        const struct tn__log_driver_queued *queued = &driver->held.slots[slot];
        if (queued->message.after > group->durable) {
            kept = slot;
            continue;
        }
        if (kept == NONE) {
            group->held_first = queued->next;
        } else {
            driver->held.slots[kept].next = queued->next;
        }
        if (group->held_last == slot) {
            group->held_last = kept;
        }
        let_go_held(driver, group, turn, slot);
    }
}

static void drop_held(struct tn__log_driver *driver, struct group *group)
{
    while (group->held_first != NONE) {
        uint32_t slot = group->held_first;
        const struct tn__log_driver_queued *queued = &driver->held.slots[slot];
        group->held_first = queued->next;
        release_entries(driver, tn__log_driver_queue_entries(&driver->held, slot),
                        queued->message.entries_count);
        tn__log_driver_queue_take(&driver->held, slot);
        driver->dropped++;
    }
    group->held_last = NONE;
}

/* ---- What the world calls -------------------------------------------------------------------- */

void tn__log_driver_remove(struct tn__log_driver *driver, uint32_t group)
{
    struct group *gone = group_here(driver, group);
    if (gone == NULL) {
        return;
    }
    drop_held(driver, gone);
    gone->log = NULL;
    gone->presence = LEAVING;
    follow_deadline(driver, gone);
    if (gone->durable >= gone->appended) {
        free_group(driver, gone);
    }
}

void tn__log_driver_event(struct tn__log_driver *driver, uint32_t group,
                          const struct tn_log_event *event)
{
    tn_assert(tn__log_driver_queue_first(&driver->loop) == NONE);
    tn_assert(event->kind != TN_LOG_EVENT_WRITTEN && event->kind != TN_LOG_EVENT_WRITE_FAILED);
    struct group *here = group_here(driver, group);
    if (here == NULL) {
        release_entries(driver, event->entries, event->entries_count);
        return;
    }
    struct turn turn = {.now = event->now, .random = event->random};
    step(driver, here, event, &turn);
    follow_deadline(driver, here);
    tn_assert(tn__log_driver_queue_first(&driver->loop) == NONE);
}

void tn__log_driver_written(struct tn__log_driver *driver, uint32_t group, uint64_t write,
                            tn_time now, uint64_t random)
{
    struct group *written = group_of(driver, group);
    if (written == NULL) {
        return;
    }
    tn_assert(write <= written->appended);
    if (written->presence == LEAVING) {
        if (write == written->appended) {
            free_group(driver, written);
        }
        return;
    }
    if (write <= written->durable) {
        return;
    }
    written->durable = write;
    struct turn turn = {.now = now, .random = random};
    struct tn_log_event event = {.kind = TN_LOG_EVENT_WRITTEN,
                                 .now = now,
                                 .random = tn__random_next(&turn.random),
                                 .number = write};
    /* The machine first: it knows what is durable before its own votes come back to it. */
    step(driver, written, &event, &turn);
    let_go_of_all_durable(driver, written, &turn);
    follow_deadline(driver, written);
}

void tn__log_driver_failed(struct tn__log_driver *driver, tn_time now, uint64_t random)
{
    struct turn turn = {.now = now, .random = random};
    for (uint32_t i = 0; i < driver->groups_max; i++) {
        struct group *group = &driver->groups[i];
        if (group->presence == LEAVING) {
            free_group(driver, group);
        } else if (group->presence == HERE) {
            drop_held(driver, group); /* V2: what waited for it is never said */
            struct tn_log_event event = {.kind = TN_LOG_EVENT_WRITE_FAILED,
                                         .now = now,
                                         .random = tn__random_next(&turn.random),
                                         .number = group->durable + 1};
            step(driver, group, &event, &turn);
            follow_deadline(driver, group);
        }
    }
}

bool tn__log_driver_timers(struct tn__log_driver *driver, tn_time now, uint64_t random,
                           uint32_t limit)
{
    struct turn turn = {.now = now, .random = random};
    /* First take out who is due, then step each once: one that has work left over, and so is due
     * again at once, does not keep the others waiting. */
    uint32_t count = 0;
    while (count < limit && tn__log_driver_deadline(driver) <= now) {
        driver->due[count++] = driver->heap_entries[0].record;
        tn__heap_remove(heap_of(driver), driver->heap_entries[0].record);
    }
    for (uint32_t i = 0; i < count; i++) {
        struct group *group = &driver->groups[driver->due[i]];
        struct tn_log_event event = {
            .kind = TN_LOG_EVENT_TIMER, .now = now, .random = tn__random_next(&turn.random)};
        step(driver, group, &event, &turn);
        follow_deadline(driver, group);
    }
    return tn__log_driver_deadline(driver) <= now;
}

tn_time tn__log_driver_deadline(const struct tn__log_driver *driver)
{
    return driver->heap_count > 0 ? driver->heap_entries[0].key : TN_TIME_NEVER;
}

uint64_t tn__log_driver_dropped(const struct tn__log_driver *driver)
{
    return driver->dropped;
}

static uint64_t check_group(const struct tn__log_driver *driver, const struct group *group)
{
    uint64_t held = 0;
    uint32_t last = NONE;
    for (uint32_t slot = group->held_first; slot != NONE; slot = driver->held.slots[slot].next) {
        const struct tn__log_driver_queued *queued = &driver->held.slots[slot];
        tn_assert(queued->used == 1 && queued->message.group == group->id);
        tn_assert(queued->message.after > group->durable);
        tn_assert(queued->message.after <= group->appended);
        last = slot;
        held++;
    }
    tn_assert(group->held_last == last);
    tn_assert(group->presence == HERE || held == 0);
    uint32_t place = driver->heap_places[group - driver->groups];
    tn_assert(place == 0 ? group->presence != HERE || tn_log_deadline(group->log) == TN_TIME_NEVER
                         : driver->heap_entries[place - 1].key == tn_log_deadline(group->log));
    return held;
}

void tn__log_driver_check(const struct tn__log_driver *driver)
{
    tn__log_driver_queue_check(&driver->held);
    tn_assert(tn__log_driver_queue_first(&driver->loop) == NONE);
    uint64_t held = 0;
    for (uint32_t i = 0; i < driver->groups_count; i++) {
        const struct group *group = &driver->groups[driver->order[i]];
        tn_assert(group->presence != FREE);
        tn_assert(i == 0 || driver->groups[driver->order[i - 1]].id < group->id);
        held += check_group(driver, group);
    }
    tn_assert(driver->held.used == held);
}
