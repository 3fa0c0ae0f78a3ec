/* The verbs that make the nodes of a log story and let things happen to them. */
#include "sim/log_scenario.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tenure/error.h>

#include "base/assert.h"
#include "sim/log_scenario_internal.h"

#define TIMERS_IN_A_ROW_MAX 10000U
#define TENURE_NS (10 * TN_SECOND)
#define TIME_HEIGHT 120U /* time matters little here: what is drawn is mostly who hears what */

static tn__story_verb do_tenure, do_lead, do_write, do_advance, do_crash, do_restart, do_disk;

static const struct {
    const char *name;
    tn__story_verb *run;
} verbs[] = {
    {"tenure", do_tenure},
    {"lead", do_lead},
    {"write", do_write},
    {"propose", tn__story_do_propose},
    {"cancel", tn__story_do_cancel},
    {"reconfigure", tn__story_do_reconfigure},
    {"read", tn__story_do_read},
    {"deliver", tn__story_do_deliver},
    {"settle", tn__story_do_settle},
    {"drop", tn__story_do_drop},
    {"hold", tn__story_do_hold},
    {"duplicate", tn__story_do_duplicate},
    {"split", tn__story_do_split},
    {"heal", tn__story_do_heal},
    {"advance", do_advance},
    {"crash", do_crash},
    {"restart", do_restart},
    {"disk", do_disk},
    {"status", tn__story_do_status},
    {"show", tn__story_do_show},
    {"check", tn__story_do_check},
};

bool tn__log_story_run(struct tn__scenario *scenario, struct tn__scenario_command *command)
{
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strcmp(command->verb, verbs[i].name) == 0) {
            verbs[i].run(scenario->log, command);
            return true;
        }
    }
    return false;
}

tn_time tn__log_story_now(const struct tn__scenario *scenario)
{
    return scenario->log->now;
}

uint32_t tn__log_story_nodes(const struct tn__scenario *scenario)
{
    return scenario->log->nodes_count;
}

void tn__log_story_free(struct tn__scenario *scenario)
{
    struct tn__log_story *story = scenario->log;
    if (story == NULL) {
        return;
    }
    tn__story_forget_messages(story);
    tn__story_forget_nodes(story);
    tn__growing_clear(&story->broken);
    free(story->proposed);
    free(story);
    scenario->log = NULL;
}

/* ---- log ------------------------------------------------------------------------------------- */

static bool read_mode(struct tn__scenario *scenario, struct tn__scenario_command *command,
                      uint32_t *mode)
{
    const char *value = tn__scenario_value(command, "mode");
    *mode = TN_LOG_MODE_LEASED;
    if (value != NULL && strcmp(value, "free") == 0) {
        *mode = TN_LOG_MODE_FREE;
    } else if (value != NULL && strcmp(value, "leased") != 0) {
        tn__scenario_error(scenario, "mode=%s is neither leased nor free", value);
        return false;
    }
    return true;
}

/* Without a word about it nothing is repeated, and nobody speaks when all is quiet: stories are
 * about messages that arrive or do not. */
static bool read_durations(struct tn__scenario *scenario, struct tn__scenario_command *command,
                           struct tn_log_options *options)
{
    options->heartbeat_ns = 50 * TN_MILLISECOND;
    options->idle_heartbeat_ns = 3600 * TN_SECOND;
    options->resend_ns = 3600 * TN_SECOND;
    options->election_ns = TN_SECOND;
    return tn__scenario_span_of(scenario, command, "heartbeat", &options->heartbeat_ns) &&
           tn__scenario_span_of(scenario, command, "idle", &options->idle_heartbeat_ns) &&
           tn__scenario_span_of(scenario, command, "resend", &options->resend_ns) &&
           tn__scenario_span_of(scenario, command, "election", &options->election_ns);
}

static bool read_members(struct tn__scenario *scenario, struct tn__scenario_command *command,
                         struct tn_log_options *options)
{
    const char *voters = tn__scenario_value(command, "voters");
    const char *learners = tn__scenario_value(command, "learners");
    if ((voters != NULL && !tn__scenario_nodes(voters, options->nodes_count, &options->voters)) ||
        (learners != NULL &&
         !tn__scenario_nodes(learners, options->nodes_count, &options->learners))) {
        tn__scenario_error(scenario, "voters= or learners= is not a list of nodes");
        return false;
    }
    return true;
}

static bool read_options(struct tn__scenario *scenario, struct tn__scenario_command *command,
                         struct tn_log_options *options)
{
    uint64_t nodes = 3;
    uint64_t window = 8;
    if (!tn__scenario_number_of(scenario, command, "nodes", &nodes) ||
        !tn__scenario_number_of(scenario, command, "window", &window) ||
        !read_mode(scenario, command, &options->mode) ||
        !read_durations(scenario, command, options)) {
        return false;
    }
    if (nodes < 1 || nodes > TN__STORY_NODES_MAX || window > TN_LOG_WINDOW_MAX) {
        tn__scenario_error(scenario, "nodes or window is out of range");
        return false;
    }
    options->nodes_count = (uint32_t)nodes;
    options->window_slots = (uint32_t)window;
    for (uint32_t i = 0; i < nodes; i++) {
        options->nodes[i] = (tn_node_id)(i + 1);
    }
    return read_members(scenario, command, options);
}

static void describe(struct tn__log_story *story)
{
    const struct tn_log_options *options = &story->options;
    char learners[64] = "";
    if (options->learners != 0) {
        snprintf(learners, sizeof(learners), ", learners %.28s",
                 tn__story_members(options->learners).text);
    }
    tn__scenario_say(story->scenario, "%u nodes, %s: voters %s%s, window %u slots",
                     options->nodes_count, options->mode == TN_LOG_MODE_FREE ? "free" : "leased",
                     tn__story_members(options->voters).text, learners, options->window_slots);
}

static void begin_drawing(struct tn__log_story *story)
{
    struct tn__sequence *sequence = story->scenario->sequence;
    for (uint32_t i = 0; i < story->nodes_count; i++) {
        char name[] = {'n', 'o', 'd', 'e', ' ', (char)('1' + i), '\0'};
        tn__sequence_lifeline(sequence, name);
        story->nodes[i].tenure_bar = story->nodes[i].down_bar = TN_SEQUENCE_NONE;
    }
    tn__sequence_legend(sequence, TN_SEQUENCE_LEASE,
                        story->options.mode == TN_LOG_MODE_LEASED ? "tenure: may lead" : NULL);
    tn__sequence_scale(sequence, TIME_HEIGHT);
    tn__sequence_legend(sequence, TN_SEQUENCE_EXCLUSION, NULL);
    tn__sequence_legend(sequence, TN_SEQUENCE_QUARANTINE, NULL);
}

/* Both sides of each connection hear of it. */
static void connect(struct tn__log_story *story, uint32_t node)
{
    for (uint32_t i = 0; i < story->nodes_count; i++) {
        if (i == node || !tn__story_is_up(story, i) ||
            (story->scenario->is_split && story->nodes[i].group != story->nodes[node].group)) {
            continue;
        }
        struct tn_log_event there = {.kind = TN_LOG_EVENT_CONNECTED, .from = node};
        struct tn_log_event here = {.kind = TN_LOG_EVENT_CONNECTED, .from = i};
        tn__story_event(story, i, &there);
        tn__story_event(story, node, &here);
        if (story->scenario->muted) {
            tn__story_deliver_all(story);
        }
    }
}

/* All start, and get to know each other, before the story begins. */
static void start_all(struct tn__log_story *story)
{
    story->scenario->muted = true;
    for (uint32_t i = 0; i < story->nodes_count; i++) {
        tn__story_start(story, i);
        tn__story_timer(story, i); /* its first look about */
    }
    for (uint32_t i = 0; i < story->nodes_count; i++) {
        connect(story, i);
    }
    story->scenario->muted = false;
}

void tn__scenario_do_log(struct tn__scenario *scenario, struct tn__scenario_command *command)
{
    struct tn_log_options options = {0};
    char why[200];
    if (scenario->world != NULL || scenario->log != NULL) {
        tn__scenario_error(scenario, "there is a cluster already");
        return;
    }
    if (!read_options(scenario, command, &options)) {
        return;
    }
    options.restart_word = 1;
    if (tn_log_options_complete(&options, why, sizeof(why)) != TN_OK) {
        tn__scenario_say(scenario, "refused: %s", why);
        return;
    }
    struct tn__log_story *story = calloc(1, sizeof(*story));
    tn_assert(story != NULL);
    scenario->log = story;
    scenario->zero = TN__STORY_BEGIN_NS;
    story->scenario = scenario;
    story->options = options;
    story->nodes_count = options.nodes_count;
    story->now = TN__STORY_BEGIN_NS;
    story->random = 1;
    begin_drawing(story);
    tn__scenario_row(scenario);
    describe(story);
    start_all(story);
}

/* ---- Tenure and time ------------------------------------------------------------------------- */

/* The node whose timer is due first, not after `until`; nodes_count: none. */
static uint32_t next_due(const struct tn__log_story *story, tn_time until)
{
    uint32_t first = story->nodes_count;
    tn_time best = until;
    for (uint32_t i = 0; i < story->nodes_count; i++) {
        tn_time due = tn__story_deadline(story, i);
        if (due <= best && (first == story->nodes_count || due < best)) {
            best = due;
            first = i;
        }
    }
    return first;
}

/* Time passes, timers fire. */
static void pass_until(struct tn__log_story *story, tn_time until)
{
    for (uint32_t i = 0; i < TIMERS_IN_A_ROW_MAX; i++) {
        uint32_t node = next_due(story, until);
        if (node == story->nodes_count) {
            break;
        }
        tn_time due = tn__story_deadline(story, node);
        story->now = due > story->now ? due : story->now;
        tn__story_timer(story, node);
    }
    story->now = until;
}

static void cut_bar(struct tn__log_story *story, uint32_t *bar)
{
    if (*bar != TN_SEQUENCE_NONE) {
        tn__sequence_cut(story->scenario->sequence, *bar);
        *bar = TN_SEQUENCE_NONE;
    }
}

static bool one_node(struct tn__log_story *story, struct tn__scenario_command *command,
                     uint32_t *node)
{
    tn_member_set nodes;
    if (!tn__scenario_nodes_of(story->scenario, command, "node", 0, &nodes)) {
        return false;
    }
    *node = (uint32_t)__builtin_ctz(nodes);
    if (!tn__story_is_up(story, *node)) {
        tn__scenario_error(story->scenario, "node %u is down", *node + 1);
        return false;
    }
    return true;
}

/* A tenure's word to the node (N1); span 0: it is over. */
static void give_tenure(struct tn__log_story *story, uint32_t which, uint64_t token, tn_time span)
{
    struct tn__story_node *node = &story->nodes[which];
    struct tn_log_event event = {
        .kind = TN_LOG_EVENT_TENURE, .token = token, .deadline = span == 0 ? 0 : story->now + span};
    cut_bar(story, &node->tenure_bar);
    if (span != 0) {
        node->tenure_bar = tn__sequence_bar(story->scenario->sequence, which, TN_SEQUENCE_LEASE,
                                            which, story->now + span - story->scenario->zero);
        tn__story_tell(story, NULL, which, TN_SEQUENCE_GAINED, "M1",
                       "owns the lease for %s, token %llu", tn__scenario_seconds(span).text,
                       (unsigned long long)token);
    } else {
        tn__story_tell(story, NULL, which, TN_SEQUENCE_SAID, "M1", "owns the lease no more");
    }
    tn__story_event(story, which, &event);
}

static void do_tenure(struct tn__log_story *story, struct tn__scenario_command *command)
{
    uint32_t which;
    uint64_t token = 0;
    tn_time span = TENURE_NS;
    bool end = tn__scenario_has(command, "end");
    if (!one_node(story, command, &which) ||
        !tn__scenario_number_of(story->scenario, command, "token", &token) ||
        !tn__scenario_span_of(story->scenario, command, "for", &span)) {
        return;
    }
    if (!end && (token == 0 || span == 0)) {
        tn__scenario_error(story->scenario, "token= is missing");
        return;
    }
    give_tenure(story, which, token, end ? 0 : span);
}

/* ---- What is not the point of the story ------------------------------------------------------ */

/* A tenure, and all that it leads to, in one line. */
static void do_lead(struct tn__log_story *story, struct tn__scenario_command *command)
{
    uint32_t which;
    uint64_t token = 0;
    struct tn_log_status status;
    if (!one_node(story, command, &which) ||
        !tn__scenario_number_of(story->scenario, command, "token", &token)) {
        return;
    }
    story->scenario->muted = true;
    if (token != 0) {
        give_tenure(story, which, token, TENURE_NS);
    }
    tn__story_deliver_all(story);
    story->scenario->muted = false;
    tn_log_status(story->nodes[which].log, story->now, &status);
    if (status.ready == 0) {
        tn__scenario_error(story->scenario, "node %u does not lead", which + 1);
        return;
    }
    tn__story_tell(story, NULL, which, TN_SEQUENCE_GAINED, "N1", "leads under %s",
                   tn__story_ballot(story, status.ballot).text);
}

/* A proposal that everybody has committed in the end, in one line. */
static void do_write(struct tn__log_story *story, struct tn__scenario_command *command)
{
    uint32_t which;
    struct tn_log_status before;
    struct tn_log_status after;
    if (!one_node(story, command, &which)) {
        return;
    }
    tn_log_status(story->nodes[which].log, story->now, &before);
    story->scenario->muted = true;
    tn__story_do_propose(story, command);
    tn__story_deliver_all(story);
    pass_until(story, story->now + story->options.heartbeat_ns);
    tn__story_deliver_all(story);
    story->scenario->muted = false;
    tn__scenario_row(story->scenario);
    tn_log_status(story->nodes[which].log, story->now, &after);
    if (after.committed == before.committed) {
        tn__scenario_error(story->scenario, "it is not committed");
        return;
    }
    tn__story_tell(story, NULL, which, TN_SEQUENCE_SAID, "N3", "has committed %s",
                   tn__story_slots_in_words(before.committed + 1, after.committed).text);
}

static void do_advance(struct tn__log_story *story, struct tn__scenario_command *command)
{
    struct tn__scenario *scenario = story->scenario;
    const char *to = tn__scenario_value(command, "to");
    const char *by = to == NULL ? tn__scenario_bare(command) : to;
    tn_time span = 0;
    if (by == NULL || !tn__scenario_span(by, &span)) {
        tn__scenario_error(scenario, "advance by how much?");
        return;
    }
    tn_time until = to != NULL ? scenario->zero + span : story->now + span;
    if (until < story->now) {
        tn__scenario_error(scenario, "that is past");
        return;
    }
    pass_until(story, until);
    tn__scenario_row(scenario);
}

/* ---- Crashes --------------------------------------------------------------------------------- */

static void do_crash(struct tn__log_story *story, struct tn__scenario_command *command)
{
    tn_member_set nodes;
    const char *disk = tn__scenario_value(command, "disk");
    if (!tn__scenario_nodes_of(story->scenario, command, "node", 0, &nodes)) {
        return;
    }
    bool keep = disk != NULL && strcmp(disk, "keep") == 0;
    if (disk != NULL && !keep && strcmp(disk, "lose") != 0) {
        tn__scenario_error(story->scenario, "disk=%s is neither keep nor lose", disk);
        return;
    }
    for (uint32_t i = 0; i < story->nodes_count; i++) {
        if ((nodes >> i & 1U) == 0 || !tn__story_is_up(story, i)) {
            continue;
        }
        struct tn__story_node *node = &story->nodes[i];
        uint32_t before = node->records_count;
        tn__story_stop(story, i, keep);
        uint32_t lost = before - node->records_count;
        cut_bar(story, &node->tenure_bar);
        tn__story_tell(story, NULL, i, TN_SEQUENCE_CRASHED, "",
                       lost == 0   ? "crashes"
                       : lost == 1 ? "crashes, and loses the write under way"
                                   : "crashes, and loses the writes under way");
        node->down_bar =
            tn__sequence_bar(story->scenario->sequence, i, TN_SEQUENCE_DOWN, i, TN_TIME_NEVER);
    }
}

static void do_restart(struct tn__log_story *story, struct tn__scenario_command *command)
{
    tn_member_set nodes;
    bool connected = tn__scenario_has(command, "connect");
    if (!tn__scenario_nodes_of(story->scenario, command, "node", 0, &nodes)) {
        return;
    }
    for (uint32_t i = 0; i < story->nodes_count; i++) {
        struct tn__story_node *node = &story->nodes[i];
        if ((nodes >> i & 1U) == 0) {
            continue;
        }
        if (tn__story_is_up(story, i) || node->runs == TN__STORY_RUNS_MAX) {
            tn__scenario_error(story->scenario, "node %u is up, or started too often", i + 1);
            continue;
        }
        cut_bar(story, &node->down_bar);
        tn__story_start(story, i);
        struct tn_log_status status;
        tn_log_status(node->log, story->now, &status);
        tn__story_tell(story, NULL, i, TN_SEQUENCE_SAID, "W3",
                       "starts, run %u: promise %s, committed %llu, accepted %llu", node->runs,
                       tn__story_ballot(story, status.promise).text,
                       (unsigned long long)status.committed,
                       (unsigned long long)tn__story_highest(node));
        tn__story_timer(story, i);
        if (connected) {
            connect(story, i);
        }
    }
}

/* ---- Disks ----------------------------------------------------------------------------------- */

/* The disk of a node that is down tells a lie from now on: another value in a slot. */
static void alter(struct tn__log_story *story, uint32_t which, uint64_t slot)
{
    struct tn__story_node *node = &story->nodes[which];
    if (tn__story_is_up(story, which) || tn__story_stored(node, slot, true) == NULL) {
        tn__scenario_error(story->scenario, "only what lies on the disk of a node that is down "
                                            "can be altered");
        return;
    }
    for (uint32_t i = 0; i < node->records_count; i++) {
        for (uint32_t k = 0; k < node->records[i].record.entries_count; k++) {
            struct tn_log_entry *entry = &node->records[i].entries[k];
            if (entry->slot == slot) {
                entry->value = (struct tn_log_value){.kind = TN_LOG_VALUE_NOOP};
            }
        }
    }
    tn__story_tell(story, NULL, which, TN_SEQUENCE_REFUSED, "",
                   "its disk now has a no-op in slot "
                   "%llu",
                   (unsigned long long)slot);
}

static void finish(struct tn__log_story *story, uint32_t node, uint64_t only)
{
    uint64_t done = 0;
    while (done < only && tn__story_finish_write(story, node)) {
        done++;
    }
    if (done == 0) {
        tn__scenario_error(story->scenario, "node %u is not writing", node + 1);
    }
}

static void disk_of(struct tn__log_story *story, struct tn__scenario_command *command,
                    uint32_t node, uint64_t slot, uint64_t only)
{
    if (tn__scenario_has(command, "wait")) {
        story->nodes[node].disk = TN__SCENARIO_DISK_WAIT;
    } else if (tn__scenario_has(command, "auto")) {
        story->nodes[node].disk = TN__SCENARIO_DISK_AUTO;
        while (tn__story_finish_write(story, node)) {
        }
    } else if (tn__scenario_has(command, "alter")) {
        alter(story, node, slot);
    } else if (tn__scenario_has(command, "finish")) {
        finish(story, node, only);
    } else if (!tn__scenario_has(command, "fail")) {
        tn__scenario_error(story->scenario, "the disk shall wait, finish, fail, alter or auto?");
    } else if (!tn__story_fail_write(story, node)) {
        tn__scenario_error(story->scenario, "node %u is not writing", node + 1);
    }
}

static void do_disk(struct tn__log_story *story, struct tn__scenario_command *command)
{
    tn_member_set nodes;
    uint64_t slot = 0;
    uint64_t only = UINT64_MAX;
    if (!tn__scenario_nodes_of(story->scenario, command, "node", 0, &nodes) ||
        !tn__scenario_number_of(story->scenario, command, "slot", &slot) ||
        !tn__scenario_number_of(story->scenario, command, "only", &only)) {
        return;
    }
    for (uint32_t i = 0; i < story->nodes_count; i++) {
        if ((nodes >> i & 1U) != 0) {
            disk_of(story, command, i, slot, only);
        }
    }
}
