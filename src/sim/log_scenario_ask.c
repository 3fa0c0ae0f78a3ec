/* Verbs of a log story that ask: proposals, a new configuration, reads, and what the nodes have. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/text.h"
#include "sim/log_scenario_internal.h"

#define PROPOSED_AT_ONCE_MAX 64U

/* node=, of one that is up. */
static bool read_node(struct tn__log_story *story, struct tn__scenario_command *command,
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

/* ---- Proposals ------------------------------------------------------------------------------- */

/* A value's digest takes in who proposed it, as an envelope's does: no two proposals are equal. */
static bool add_text(struct tn__log_story *story, uint32_t which, const char *text, size_t length,
                     uint64_t bytes, struct tn_log_entry *entry)
{
    struct tn__story_node *node = &story->nodes[which];
    if (length == 0 || length >= TN__STORY_TEXT_BYTES ||
        story->texts_count == TN__STORY_TEXTS_MAX) {
        tn__scenario_error(story->scenario, "a value has 1 to %u characters, and a story %u values",
                           TN__STORY_TEXT_BYTES - 1, TN__STORY_TEXTS_MAX);
        return false;
    }
    struct tn__story_text *added = &story->texts[story->texts_count++];
    memcpy(added->bytes, text, length);
    added->node = which;
    added->word = node->words[node->runs - 1];
    added->number = ++node->proposals;
    uint32_t digest = tn__crc32c(0, added->bytes, sizeof(added->bytes));
    digest = tn__crc32c(digest, &added->word, sizeof(added->word));
    digest = tn__crc32c(digest, &added->number, sizeof(added->number));
    *entry = (struct tn_log_entry){.value = {.kind = TN_LOG_VALUE_PAYLOAD,
                                             .handle = story->texts_count,
                                             .bytes = (uint32_t)(bytes != 0 ? bytes : length),
                                             .digest = digest}};
    return true;
}

static void propose(struct tn__log_story *story, uint32_t node, const struct tn_log_entry *entries,
                    uint32_t count, uint32_t first_number)
{
    struct tn_log_event event = {.kind = TN_LOG_EVENT_PROPOSE,
                                 .number = first_number,
                                 .entries = entries,
                                 .entries_count = count};
    tn__story_event(story, node, &event);
}

void tn__story_do_propose(struct tn__log_story *story, struct tn__scenario_command *command)
{
    uint32_t which;
    uint64_t bytes = 0;
    struct tn_log_entry entries[PROPOSED_AT_ONCE_MAX];
    uint32_t count = 0;
    const char *at = tn__scenario_value(command, "value");
    bool apart = tn__scenario_has(command, "apart");
    if (!read_node(story, command, &which) ||
        !tn__scenario_number_of(story->scenario, command, "bytes", &bytes)) {
        return;
    }
    if (at == NULL || bytes > TN_PAYLOAD_BYTES_MAX) {
        tn__scenario_error(story->scenario, "value= is missing, or bytes= out of range");
        return;
    }
    uint32_t first = story->nodes[which].proposals + 1;
    while (count < PROPOSED_AT_ONCE_MAX) {
        size_t length = strcspn(at, ",");
        if (!add_text(story, which, at, length, bytes, &entries[count])) {
            return;
        }
        count++;
        if (at[length] == '\0') {
            break;
        }
        at += length + 1;
    }
    for (uint32_t i = 0; apart && i < count; i++) {
        propose(story, which, &entries[i], 1, first + i);
    }
    if (!apart) {
        propose(story, which, entries, count, first);
    }
}

void tn__story_do_cancel(struct tn__log_story *story, struct tn__scenario_command *command)
{
    uint32_t which;
    const char *value = tn__scenario_value(command, "value");
    if (!read_node(story, command, &which)) {
        return;
    }
    for (uint32_t i = story->texts_count; value != NULL && i-- > 0;) {
        const struct tn__story_text *text = &story->texts[i];
        if (text->node == which && strcmp(text->bytes, value) == 0) {
            struct tn_log_event event = {.kind = TN_LOG_EVENT_CANCEL, .number = text->number};
            tn__story_event(story, which, &event);
            return;
        }
    }
    tn__scenario_error(story->scenario, "no such value was proposed there");
}

void tn__story_do_reconfigure(struct tn__log_story *story, struct tn__scenario_command *command)
{
    uint32_t which;
    tn_member_set voters;
    tn_member_set learners = 0;
    struct tn_log_status status;
    const char *list = tn__scenario_value(command, "learners");
    if (!read_node(story, command, &which) ||
        !tn__scenario_nodes_of(story->scenario, command, "voters", 0, &voters)) {
        return;
    }
    if (list != NULL && !tn__scenario_nodes(list, story->nodes_count, &learners)) {
        tn__scenario_error(story->scenario, "learners=%s is not a list of nodes", list);
        return;
    }
    tn_log_status(story->nodes[which].log, story->now, &status);
    struct tn_log_entry entry = {.value = {.kind = TN_LOG_VALUE_CONFIGURATION,
                                           .voters = voters,
                                           .learners = learners,
                                           .version = status.configuration + 1}};
    propose(story, which, &entry, 1, ++story->nodes[which].proposals);
}

void tn__story_do_read(struct tn__log_story *story, struct tn__scenario_command *command)
{
    uint32_t which;
    if (read_node(story, command, &which)) {
        struct tn_log_event event = {.kind = TN_LOG_EVENT_READ,
                                     .number = ++story->nodes[which].reads};
        tn__story_event(story, which, &event);
    }
}

/* ---- What the nodes have --------------------------------------------------------------------- */

static void status_of(struct tn__log_story *story, uint32_t node)
{
    static const char *const states[] = {"?",      "follows",  "recovering", "updating-previous",
                                         "active", "updating", "damaged",    "stopped"};
    struct tn_log_status status;
    if (!tn__story_is_up(story, node)) {
        tn__scenario_say(story->scenario, "%u down", node + 1);
        return;
    }
    tn_log_status(story->nodes[node].log, story->now, &status);
    tn_assert(status.state < sizeof(states) / sizeof(states[0]));
    char role[64] = "nobody";
    if (status.state != TN_LOG_STATE_FOLLOWER) {
        snprintf(role, sizeof(role), "%s", tn__story_ballot(story, status.ballot).text);
    } else if (status.leader != 0) {
        snprintf(role, sizeof(role), "%u", status.leader);
    }
    tn__scenario_say(story->scenario, "%u %s %s, committed %llu, promise %s, voters %s", node + 1,
                     states[status.state], role, (unsigned long long)status.committed,
                     tn__story_ballot(story, status.promise).text,
                     tn__story_members(status.voters).text);
}

void tn__story_do_status(struct tn__log_story *story, struct tn__scenario_command *command)
{
    tn_member_set nodes;
    if (!tn__scenario_nodes_of(story->scenario, command, "node", UINT32_MAX, &nodes)) {
        return;
    }
    for (uint32_t i = 0; i < story->nodes_count; i++) {
        if ((nodes >> i & 1U) != 0) {
            status_of(story, i);
        }
    }
}

static const struct tn_log_entry *shown(const struct tn__log_story *story, uint32_t node,
                                        uint64_t slot)
{
    return tn__story_stored(&story->nodes[node], slot, !tn__story_is_up(story, node));
}

/* Slots first .. last of a store: "1: a, 2: b (7.1.1)", a ballot behind the last slot under it. */
static void add_slots(struct tn__log_story *story, struct tn__text *text, uint32_t node,
                      uint64_t first, uint64_t last, bool ballots)
{
    bool begun = false;
    for (uint64_t slot = first; slot <= last; slot++) {
        const struct tn_log_entry *stored = shown(story, node, slot);
        if (stored == NULL) {
            continue;
        }
        tn__text_add(text, "%s%llu: %s", begun ? ", " : "", (unsigned long long)slot,
                     tn__story_value(story, &stored->value).text);
        const struct tn_log_entry *next = slot < last ? shown(story, node, slot + 1) : NULL;
        if (ballots && (next == NULL || !tn_log_ballot_equal(next->ballot, stored->ballot))) {
            tn__text_add(text, " (%s)", tn__story_ballot(story, stored->ballot).text);
        }
        begun = true;
    }
}

static void show_log(struct tn__log_story *story, uint32_t which)
{
    struct tn__story_node *node = &story->nodes[which];
    struct tn_log_status status = {0};
    char line[400];
    struct tn__text text;
    uint64_t committed = 0;
    tn__text_init(&text, line, sizeof(line));
    if (tn__story_is_up(story, which)) {
        tn_log_status(node->log, story->now, &status);
        committed = status.committed;
    } else if (node->records_count > 0) {
        committed = node->records[node->records_count - 1].record.committed;
    }
    uint64_t highest = tn__story_highest(node);
    if (committed == 0 && highest == 0) {
        tn__text_add(&text, "empty");
    }
    if (committed > 0) {
        tn__text_add(&text, "committed ");
        add_slots(story, &text, which, 1, committed, false);
    }
    if (highest > committed) {
        tn__text_add(&text, "%saccepted ", committed > 0 ? "; " : "");
        add_slots(story, &text, which, committed + 1, highest, true);
    }
    tn__scenario_say(story->scenario, "%u %s", which + 1, line);
    tn__sequence_mark(story->scenario->sequence, which, TN_SEQUENCE_SAID, line);
}

void tn__story_do_show(struct tn__log_story *story, struct tn__scenario_command *command)
{
    tn_member_set nodes;
    if (!tn__scenario_has(command, "log")) {
        tn__scenario_error(story->scenario, "show log?");
        return;
    }
    if (!tn__scenario_nodes_of(story->scenario, command, "node", UINT32_MAX, &nodes)) {
        return;
    }
    for (uint32_t i = 0; i < story->nodes_count; i++) {
        if ((nodes >> i & 1U) != 0) {
            show_log(story, i);
        }
    }
}

void tn__story_do_check(struct tn__log_story *story, struct tn__scenario_command *command)
{
    (void)command;
    uint64_t highest = 0;
    for (uint64_t i = 1; i < TN__STORY_SLOTS_MAX; i++) {
        highest = story->chosen[i].value.kind != TN_LOG_VALUE_NONE ? i : highest;
    }
    tn__scenario_say(story->scenario, "committed up to %llu; invariants broken: %u",
                     (unsigned long long)highest, story->scenario->result->violations_count);
}
