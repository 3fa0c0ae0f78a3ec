/* What must hold in a story of a log, judged as it happens and said after each command.
 *
 *   inv.P1  a slot has one value for ever, whoever commits it, in whichever run
 *   inv.P2  no promise falls, neither within a run nor over a restart
 *   inv.P3  what a node says of its promise and its votes is on its disk
 *   inv.P6  who has committed the same slots has the same chain over them
 *   inv.P7  who is ready has everything that anybody has committed
 *   inv.P8  slots are committed one after the other, none left out
 *   inv.P9  what is committed is on the disks of a majority of the slot's own configuration
 *   inv.V2  one ballot gives a slot one value
 *
 * It goes by what the driver carried out and what the stores hold, never by what a machine believes
 * of the others; and it finds out by itself which configuration governs a slot. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "sim/log_scenario_internal.h"

__attribute__((format(printf, 4, 5))) static void broken(struct tn__log_story *story, uint32_t node,
                                                         const char *rule, const char *format, ...)
{
    char text[TN_SEQUENCE_TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    tn__growing_add(&story->broken, "!! %u %s: %s\n", node + 1, rule, text);
    story->scenario->result->violations_count++;
    tn__scenario_row(story->scenario);
    char mark[TN_SEQUENCE_TEXT_BYTES];
    snprintf(mark, sizeof(mark), "%s: %.120s", rule, text);
    tn__sequence_mark(story->scenario->sequence, node, TN_SEQUENCE_WRONG, mark);
}

void tn__log_story_judge(struct tn__scenario *scenario)
{
    struct tn__log_story *story = scenario->log;
    if (story->broken.length > 0) {
        tn__growing_add_bytes(&scenario->out, story->broken.bytes, story->broken.length);
        tn__growing_clear(&story->broken);
    }
}

static bool same_value(const struct tn_log_value *a, const struct tn_log_value *b)
{
    return a->kind == b->kind && a->handle == b->handle && a->bytes == b->bytes &&
           a->voters == b->voters && a->learners == b->learners && a->version == b->version;
}

/* ---- Configurations -------------------------------------------------------------------------- */

tn_member_set tn__story_voters_at(const struct tn__log_story *story, uint64_t slot)
{
    tn_member_set voters = story->options.voters;
    uint64_t governs_from = 1;
    uint32_t version = 1;
    uint64_t window = story->options.window_slots;
    for (uint64_t i = 1; i + window <= slot && i < TN__STORY_SLOTS_MAX; i++) {
        const struct tn_log_value *value = &story->chosen[i].value;
        if (value->kind == TN_LOG_VALUE_CONFIGURATION && i >= governs_from &&
            value->version == version + 1) {
            voters = value->voters;
            version = value->version;
            governs_from = i + window;
        }
    }
    return voters;
}

static bool is_majority(tn_member_set voters, tn_member_set members)
{
    return 2 * __builtin_popcount(voters & members) > __builtin_popcount(voters);
}

/* ---- Promises and what is said of them ------------------------------------------------------- */

void tn__story_judge_started(struct tn__log_story *story, uint32_t which)
{
    const struct tn__story_node *node = &story->nodes[which];
    struct tn_log_status status;
    tn_log_status(node->log, story->now, &status);
    if (tn_log_ballot_compare(status.promise, node->said) < 0) {
        broken(story, which, "inv.P2", "it comes back with promise %s, having promised %s",
               tn__story_ballot(story, status.promise).text,
               tn__story_ballot(story, node->said).text);
    }
}

static bool promise_is_durable(const struct tn__story_node *node, struct tn_log_ballot ballot)
{
    for (uint32_t i = node->records_count; i-- > 0;) {
        if (node->records[i].durable &&
            tn_log_ballot_compare(node->records[i].record.ballot, ballot) >= 0) {
            return true;
        }
    }
    return false;
}

void tn__story_judge_sent(struct tn__log_story *story, uint32_t which,
                          const struct tn_log_message *message)
{
    struct tn__story_node *node = &story->nodes[which];
    if (message->kind != TN_LOG_PROMISE && message->kind != TN_LOG_ACCEPTED) {
        return;
    }
    if (tn_log_ballot_compare(message->ballot, node->said) > 0) {
        node->said = message->ballot;
    }
    if (!promise_is_durable(node, message->ballot)) {
        broken(story, which, "inv.P3", "it says that it promised %s before that is on its disk",
               tn__story_ballot(story, message->ballot).text);
    }
    for (uint64_t slot = message->slot;
         message->kind == TN_LOG_ACCEPTED && slot < message->slot_end; slot++) {
        if (tn__story_stored(node, slot, true) == NULL) {
            broken(story, which, "inv.P3",
                   "it says that it accepted %llu before that is on its "
                   "disk",
                   (unsigned long long)slot);
        }
    }
}

/* ---- One value a ballot ---------------------------------------------------------------------- */

static void judge_record(struct tn__log_story *story, uint32_t node,
                         const struct tn__story_saying *saying)
{
    for (uint32_t i = 0; i < saying->entries_count; i++) {
        const struct tn_log_entry *entry = &saying->entries[i];
        uint32_t k = 0;
        while (k < story->proposed_count &&
               (story->proposed[k].slot != entry->slot ||
                !tn_log_ballot_equal(story->proposed[k].ballot, entry->ballot))) {
            k++;
        }
        if (k < story->proposed_count) {
            if (!same_value(&story->proposed[k].value, &entry->value)) {
                broken(story, node, "inv.V2", "two values of slot %llu under %s",
                       (unsigned long long)entry->slot,
                       tn__story_ballot(story, entry->ballot).text);
            }
            continue;
        }
        if (story->proposed_count == story->proposed_room) {
            story->proposed_room = story->proposed_room == 0 ? 64 : 2 * story->proposed_room;
            story->proposed =
                realloc(story->proposed, story->proposed_room * sizeof(story->proposed[0]));
            tn_assert(story->proposed != NULL);
        }
        story->proposed[story->proposed_count++] = (struct tn__story_proposed){
            .ballot = entry->ballot, .slot = entry->slot, .value = entry->value};
    }
}

/* ---- Commits --------------------------------------------------------------------------------- */

/* inv.P9: whose disks hold this value of the slot? Nothing that was accepted later takes its place,
 * unless it is the same. */
static tn_member_set who_holds(const struct tn__log_story *story, uint64_t slot,
                               const struct tn_log_value *value)
{
    tn_member_set members = 0;
    for (uint32_t i = 0; i < story->nodes_count; i++) {
        const struct tn_log_entry *stored = tn__story_stored(&story->nodes[i], slot, true);
        if (stored != NULL && same_value(&stored->value, value)) {
            members |= 1U << i;
        }
    }
    return members;
}

static void judge_commit(struct tn__log_story *story, uint32_t node,
                         const struct tn_log_entry *entry)
{
    uint64_t slot = entry->slot;
    if (slot >= TN__STORY_SLOTS_MAX) {
        tn__scenario_error(story->scenario, "slots beyond %u are not judged", TN__STORY_SLOTS_MAX);
        return;
    }
    struct tn__story_chosen *chosen = &story->chosen[slot];
    if (chosen->value.kind == TN_LOG_VALUE_NONE) {
        tn_member_set holders = who_holds(story, slot, &entry->value);
        chosen->value = entry->value;
        chosen->node = node;
        chosen->checksum = tn_log_checksum(story->chosen[slot - 1].checksum, slot, &entry->value);
        if (!is_majority(tn__story_voters_at(story, slot), holders)) {
            broken(story, node, "inv.P9",
                   "slot %llu is committed, and only the disks of {%s} "
                   "hold it",
                   (unsigned long long)slot, tn__story_members(holders).text);
        }
    } else if (!same_value(&chosen->value, &entry->value)) {
        broken(story, node, "inv.P1", "slot %llu is %s here, and %s at %u",
               (unsigned long long)slot, tn__story_value(story, &entry->value).text,
               tn__story_value(story, &chosen->value).text, chosen->node + 1);
    }
}

static void judge_commits(struct tn__log_story *story, const struct tn__story_turn *turn)
{
    uint64_t next = turn->before.committed + 1;
    for (uint32_t i = 0; i < turn->sayings_count; i++) {
        const struct tn__story_saying *saying = &turn->sayings[i];
        if (saying->kind == TN__STORY_RECORD) {
            judge_record(story, turn->node, saying);
        }
        for (uint32_t k = 0; saying->kind == TN__STORY_COMMIT && k < saying->entries_count; k++) {
            if (saying->entries[k].slot != next) {
                broken(story, turn->node, "inv.P8", "slot %llu is committed, %llu is next",
                       (unsigned long long)saying->entries[k].slot, (unsigned long long)next);
            }
            next = saying->entries[k].slot + 1;
            judge_commit(story, turn->node, &saying->entries[k]);
        }
    }
}

static void judge_ready(struct tn__log_story *story, const struct tn__story_turn *turn)
{
    uint64_t highest = 0;
    for (uint64_t i = 1; i < TN__STORY_SLOTS_MAX; i++) {
        highest = story->chosen[i].value.kind != TN_LOG_VALUE_NONE ? i : highest;
    }
    if (turn->after.ready != 0 && turn->before.ready == 0 && turn->after.committed < highest) {
        broken(story, turn->node, "inv.P7", "it is ready, and slot %llu is committed elsewhere",
               (unsigned long long)highest);
    }
}

void tn__story_judge_turn(struct tn__log_story *story, const struct tn__story_turn *turn)
{
    if (tn_log_ballot_compare(turn->after.promise, turn->before.promise) < 0) {
        broken(story, turn->node, "inv.P2", "its promise falls from %s to %s",
               tn__story_ballot(story, turn->before.promise).text,
               tn__story_ballot(story, turn->after.promise).text);
    }
    judge_commits(story, turn);
    uint64_t committed = turn->after.committed;
    if (committed > turn->before.committed && committed < TN__STORY_SLOTS_MAX &&
        story->chosen[committed].checksum != turn->after.checksum) {
        broken(story, turn->node, "inv.P6", "its chain over 1..%llu is another",
               (unsigned long long)committed);
    }
    judge_ready(story, turn);
}
