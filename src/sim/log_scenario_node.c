/* A node of a log story: the machine under its driver, a durable store, and what a turn says.
 *
 * The store is a list of records in the order of their writing, each durable or not yet. A crash
 * takes those that are not; a start recovers from the rest as a node does: the promise of the last
 * record, the prefix that it knew committed, and every entry, the newest of a slot last. */
#include <stdlib.h>
#include <string.h>

#include <tenure/error.h>

#include "base/assert.h"
#include "base/random.h"
#include "sim/log_scenario_internal.h"

/* What one event leads to at one node, in steps of the driver: far more than any story needs. */
#define STEPS_IN_A_TURN_MAX 256U

#define LOADED_MAX 64U

/* ---- Memory ---------------------------------------------------------------------------------- */

static void *allocated(size_t bytes)
{
    size_t padded = (bytes + 63) / 64 * 64;
    void *memory = aligned_alloc(64, padded);
    tn_assert(memory != NULL);
    memset(memory, 0, padded);
    return memory;
}

static void *grown(void *items, uint32_t count, uint32_t *room, size_t size)
{
    if (count < *room) {
        return items;
    }
    *room = *room == 0 ? 16 : 2 * *room;
    items = realloc(items, *room * size);
    tn_assert(items != NULL);
    return items;
}

struct tn_log_entry *tn__story_copy(const struct tn_log_entry *entries, uint32_t count)
{
    if (count == 0) {
        return NULL;
    }
    struct tn_log_entry *copy = malloc(count * sizeof(*copy));
    tn_assert(copy != NULL);
    memcpy(copy, entries, count * sizeof(*copy));
    return copy;
}

/* ---- The store ------------------------------------------------------------------------------- */

const struct tn_log_entry *tn__story_stored(const struct tn__story_node *node, uint64_t slot,
                                            bool durable_only)
{
    for (uint32_t i = node->records_count; i-- > 0;) {
        const struct tn__story_record *stored = &node->records[i];
        if (durable_only && !stored->durable) {
            continue;
        }
        for (uint32_t k = 0; k < stored->record.entries_count; k++) {
            if (stored->entries[k].slot == slot) {
                return &stored->entries[k];
            }
        }
    }
    return NULL;
}

uint64_t tn__story_highest(const struct tn__story_node *node)
{
    uint64_t highest = 0;
    for (uint32_t i = 0; i < node->records_count; i++) {
        for (uint32_t k = 0; k < node->records[i].record.entries_count; k++) {
            uint64_t slot = node->records[i].entries[k].slot;
            highest = slot > highest ? slot : highest;
        }
    }
    return highest;
}

static uint32_t pending_first(const struct tn__story_node *node)
{
    uint32_t first = node->records_count;
    while (first > 0 && !node->records[first - 1].durable) {
        first--;
    }
    return first;
}

/* ---- What the driver asks of the world ------------------------------------------------------- */

static struct tn__story_saying *saying_new(struct tn__log_story *story,
                                           enum tn__story_saying_kind kind,
                                           const struct tn_log_entry *entries, uint32_t count)
{
    struct tn__story_turn *turn = &story->turn;
    turn->sayings =
        grown(turn->sayings, turn->sayings_count, &turn->sayings_room, sizeof(*turn->sayings));
    struct tn__story_saying *saying = &turn->sayings[turn->sayings_count++];
    memset(saying, 0, sizeof(*saying));
    saying->kind = kind;
    saying->entries = tn__story_copy(entries, count);
    saying->entries_count = count;
    return saying;
}

static void world_append(void *context, const struct tn_log_record *record,
                         const struct tn_log_entry *entries)
{
    struct tn__log_story *story = context;
    struct tn__story_node *node = &story->nodes[story->turn.node];
    saying_new(story, TN__STORY_RECORD, entries, record->entries_count)->record = *record;
    node->records =
        grown(node->records, node->records_count, &node->records_room, sizeof(*node->records));
    node->records[node->records_count++] = (struct tn__story_record){
        .record = *record, .entries = tn__story_copy(entries, record->entries_count)};
    tn_assert(node->records_count - node->records_base == record->write);
}

static void world_send(void *context, tn_member_set to, const struct tn_log_message *message,
                       const struct tn_log_entry *entries)
{
    struct tn__log_story *story = context;
    struct tn__story_saying *saying =
        saying_new(story, TN__STORY_MESSAGE, entries, message->entries_count);
    saying->message = *message;
    saying->to = to;
    tn__story_judge_sent(story, story->turn.node, message);
}

static void world_commit(void *context, uint32_t group, const struct tn_log_entry *entries,
                         uint32_t count)
{
    struct tn__log_story *story = context;
    (void)group;
    saying_new(story, TN__STORY_COMMIT, entries, count);
    story->nodes[story->turn.node].committed = entries[count - 1].slot;
}

static void world_notify(void *context, uint32_t group, const struct tn_log_notice *notice)
{
    (void)group;
    saying_new(context, TN__STORY_NOTICE, NULL, 0)->notice = *notice;
}

/* C2: what the window of memory has lost is served out of the store. */
static void world_load(void *context, uint32_t group, const struct tn_log_load *load)
{
    struct tn__log_story *story = context;
    const struct tn__story_node *node = &story->nodes[story->turn.node];
    struct tn_log_entry entries[LOADED_MAX];
    struct tn_log_status status;
    uint32_t count = 0;
    tn_log_status(node->log, story->now, &status);
    for (uint64_t slot = load->slot;
         slot < load->slot_end && slot <= status.committed && count < LOADED_MAX; slot++) {
        const struct tn_log_entry *stored = tn__story_stored(node, slot, false);
        if (stored == NULL) {
            break;
        }
        entries[count++] = *stored;
    }
    struct tn_log_message message = {
        .kind = TN_LOG_FETCHED,
        .group = group,
        .from = (uint8_t)story->turn.node,
        .to = load->to,
        .slot = load->slot,
        .slot_end = load->slot + count,
        .committed = status.committed,
        .retained = status.retained,
        .accepted = status.proposed,
        .entries_count = count,
    };
    if (count > 0) {
        world_send(story, load->to, &message, entries);
    }
}

/* The bytes of all values live as long as the story. */
static void world_keep(void *context, uint64_t handle)
{
    (void)context;
    tn_assert(handle != 0);
}

/* ---- A turn ---------------------------------------------------------------------------------- */

static void forget_sayings(struct tn__story_turn *turn)
{
    for (uint32_t i = 0; i < turn->sayings_count; i++) {
        free(turn->sayings[i].entries);
    }
    turn->sayings_count = 0;
}

static void turn_begin(struct tn__log_story *story, uint32_t node, uint32_t event,
                       const struct tn_log_message *arrived)
{
    struct tn__story_turn *turn = &story->turn;
    tn_assert(!story->in_turn && tn__story_is_up(story, node));
    story->in_turn = true;
    turn->node = node;
    turn->event = event;
    turn->arrived = arrived;
    turn->told = turn->begun = false;
    tn_log_status(story->nodes[node].log, story->now, &turn->before);
    tn_log_counters(story->nodes[node].log, &turn->delta);
}

static void write_all(struct tn__log_story *story, uint32_t which)
{
    struct tn__story_node *node = &story->nodes[which];
    for (uint32_t i = pending_first(node); i < node->records_count; i++) {
        node->records[i].durable = true;
    }
    tn__log_driver_written(node->driver, 0, node->records[node->records_count - 1].record.write,
                           story->now, tn__random_next(&story->random));
}

static void step_applied(struct tn__log_story *story, uint32_t which)
{
    struct tn__story_node *node = &story->nodes[which];
    struct tn_log_event event = {.kind = TN_LOG_EVENT_APPLIED,
                                 .now = story->now,
                                 .random = tn__random_next(&story->random),
                                 .number = node->committed};
    node->committed_told = node->committed;
    tn__log_driver_event(node->driver, 0, &event);
}

/* What follows at once: writes of a disk that does not wait, execution, work that was left over. */
static void settle(struct tn__log_story *story, uint32_t which)
{
    struct tn__story_node *node = &story->nodes[which];
    for (uint32_t steps = 0; steps < STEPS_IN_A_TURN_MAX; steps++) {
        if (node->disk == TN__SCENARIO_DISK_AUTO && !node->failed &&
            pending_first(node) < node->records_count) {
            write_all(story, which);
        } else if (node->committed_told < node->committed) {
            step_applied(story, which);
        } else if (tn__log_driver_deadline(node->driver) <= story->now) {
            tn__log_driver_timers(node->driver, story->now, tn__random_next(&story->random), 1);
        } else {
            return;
        }
    }
    tn__scenario_error(story->scenario, "node %u does not come to rest", which + 1);
}

static void turn_end(struct tn__log_story *story)
{
    struct tn__story_turn *turn = &story->turn;
    struct tn__story_node *node = &story->nodes[turn->node];
    struct tn_log_counters before = turn->delta;
    settle(story, turn->node);
    tn_log_status(node->log, story->now, &turn->after);
    tn_log_counters(node->log, &turn->delta);
#define DELTA(name, sentence) turn->delta.name -= before.name;
    TN_LOG_COUNTER_TABLE(DELTA)
#undef DELTA
    tn_log_check(node->log, story->now);
    tn__log_driver_check(node->driver);
    tn__story_turn_ended(story);
    tn__story_judge_turn(story, turn);
    forget_sayings(turn);
    story->in_turn = false;
}

void tn__story_event(struct tn__log_story *story, uint32_t node, struct tn_log_event *event)
{
    event->now = story->now;
    event->random = tn__random_next(&story->random);
    turn_begin(story, node, event->kind, event->message);
    tn__log_driver_event(story->nodes[node].driver, 0, event);
    turn_end(story);
}

void tn__story_timer(struct tn__log_story *story, uint32_t node)
{
    turn_begin(story, node, TN_LOG_EVENT_TIMER, NULL);
    tn__log_driver_timers(story->nodes[node].driver, story->now, tn__random_next(&story->random),
                          1);
    turn_end(story);
}

tn_time tn__story_deadline(const struct tn__log_story *story, uint32_t node)
{
    return tn__story_is_up(story, node) ? tn__log_driver_deadline(story->nodes[node].driver)
                                        : TN_TIME_NEVER;
}

bool tn__story_finish_write(struct tn__log_story *story, uint32_t which)
{
    struct tn__story_node *node = &story->nodes[which];
    uint32_t first = pending_first(node);
    if (!tn__story_is_up(story, which) || node->failed || first == node->records_count) {
        return false;
    }
    turn_begin(story, which, TN_LOG_EVENT_WRITTEN, NULL);
    node->records[first].durable = true;
    tn__log_driver_written(node->driver, 0, node->records[first].record.write, story->now,
                           tn__random_next(&story->random));
    turn_end(story);
    return true;
}

bool tn__story_fail_write(struct tn__log_story *story, uint32_t which)
{
    struct tn__story_node *node = &story->nodes[which];
    if (!tn__story_is_up(story, which) || node->failed ||
        pending_first(node) == node->records_count) {
        return false;
    }
    turn_begin(story, which, TN_LOG_EVENT_WRITE_FAILED, NULL);
    node->failed = true;
    tn__log_driver_failed(node->driver, story->now, tn__random_next(&story->random));
    turn_end(story);
    return true;
}

/* ---- Starting and stopping ------------------------------------------------------------------- */

bool tn__story_is_up(const struct tn__log_story *story, uint32_t node)
{
    tn_assert(node < story->nodes_count);
    return story->nodes[node].log != NULL;
}

static void restore(struct tn__story_node *node, struct tn_log *log)
{
    for (uint32_t i = 0; i < node->records_count; i++) {
        for (uint32_t k = 0; k < node->records[i].record.entries_count; k++) {
            uint64_t forgotten = 0;
            tn_maybe(tn_log_restore(log, &node->records[i].entries[k], &forgotten));
        }
    }
}

void tn__story_start(struct tn__log_story *story, uint32_t which)
{
    struct tn__story_node *node = &story->nodes[which];
    struct tn_log_options options = story->options;
    struct tn_log_recovered recovered = {.retained = 1};
    tn_assert(!tn__story_is_up(story, which) && node->runs < TN__STORY_RUNS_MAX);
    uint64_t word =
        ((uint64_t)(node->runs + 1) << 32) | (tn__random_next(&story->random) & 0xffffffffU);
    node->words[node->runs++] = word;
    options.self = (uint16_t)which;
    options.restart_word = word;
    if (node->records_count > 0) {
        const struct tn_log_record *last = &node->records[node->records_count - 1].record;
        recovered.promise = last->ballot;
        recovered.committed = recovered.applied = last->committed;
        recovered.checksum = last->checksum;
    }
    struct tn_log *log =
        tn_log_init(allocated(tn_log_size(&options)), &options, &recovered, story->now);
    restore(node, log);
    struct tn__log_driver_world world = {
        .context = story,
        .append = world_append,
        .send = world_send,
        .commit = world_commit,
        .notify = world_notify,
        .load = world_load,
        .retain = world_keep,
        .release = world_keep,
    };
    node->driver = tn__log_driver_init(allocated(tn__log_driver_size(1)), 1, which, word, &world);
    int error = tn__log_driver_add(node->driver, 0, log, story->now);
    tn_assert(error == TN_OK);
    node->log = log;
    node->records_base = node->records_count;
    node->committed = node->committed_told = recovered.committed;
    node->proposals = 0;
    node->failed = false;
    node->begun = (struct tn_log_ballot){0};
    tn__story_judge_started(story, which);
}

static void forget_record(struct tn__story_node *node)
{
    node->records_count--;
    free(node->records[node->records_count].entries);
}

void tn__story_stop(struct tn__log_story *story, uint32_t which, bool keep_disk)
{
    struct tn__story_node *node = &story->nodes[which];
    tn_assert(tn__story_is_up(story, which));
    free(node->driver);
    free(node->log);
    node->driver = NULL;
    node->log = NULL;
    uint32_t first = pending_first(node);
    while (!keep_disk && node->records_count > first) {
        forget_record(node);
    }
    for (uint32_t i = first; i < node->records_count; i++) {
        node->records[i].durable = true; /* W3: recovery rewrites and syncs them */
    }
}

void tn__story_forget_nodes(struct tn__log_story *story)
{
    for (uint32_t i = 0; i < story->nodes_count; i++) {
        struct tn__story_node *node = &story->nodes[i];
        if (tn__story_is_up(story, i)) {
            tn__story_stop(story, i, false);
        }
        while (node->records_count > 0) {
            forget_record(node);
        }
        free(node->records);
    }
    forget_sayings(&story->turn);
    free(story->turn.sayings);
}
