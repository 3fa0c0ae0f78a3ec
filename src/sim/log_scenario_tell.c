/* A turn of a log story's node, told when it has ended: first what changed of its role, then what
 * it wrote, said and committed, in that order; and if that is nothing, what became of the message
 * that arrived. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "sim/log_scenario_internal.h"

void tn__story_tell(struct tn__log_story *story, struct tn__story_turn *turn, uint32_t node,
                    enum tn__sequence_mark kind, const char *rule, const char *format, ...)
{
    char text[300];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    struct tn__scenario *scenario = story->scenario;
    if (scenario->muted) {
        return;
    }
    if (turn != NULL && !turn->told && turn->event == TN_LOG_EVENT_TIMER) {
        tn__scenario_row(scenario);
    }
    if (turn != NULL) {
        turn->told = true;
    }
    const char *space = rule[0] == '\0' ? "" : " ";
    tn__scenario_say(scenario, "%u %s%s%s", node + 1, rule, space, text);
    char mark[TN_SEQUENCE_TEXT_BYTES];
    snprintf(mark, sizeof(mark), "%s%s%.120s", rule, space, text);
    tn__sequence_mark(scenario->sequence, node, kind, mark);
}

/* ---- The role -------------------------------------------------------------------------------- */

static bool leads(const struct tn_log_status *status)
{
    return status->state == TN_LOG_STATE_UPDATING_PREVIOUS ||
           status->state == TN_LOG_STATE_ACTIVE || status->state == TN_LOG_STATE_UPDATING;
}

/* The higher ballot by which a leader was preempted. */
static struct tn_log_ballot preempted_by(const struct tn__story_turn *turn)
{
    if (turn->arrived == NULL) {
        return turn->after.promise;
    }
    return turn->arrived->kind == TN_LOG_ABORT ? turn->arrived->promised : turn->arrived->ballot;
}

static void tell_role(struct tn__log_story *story, struct tn__story_turn *turn)
{
    uint32_t node = turn->node;
    bool was = leads(&turn->before) || turn->before.state == TN_LOG_STATE_RECOVERING;
    struct tn__short ballot = tn__story_ballot(story, turn->after.ballot);
    if (turn->delta.preempted > 0) {
        tn__story_tell(story, turn, node, TN_SEQUENCE_REFUSED, "N1",
                       "gives way: %s is above its %s",
                       tn__story_ballot(story, preempted_by(turn)).text,
                       tn__story_ballot(story, turn->before.ballot).text);
    } else if (turn->delta.expired > 0) {
        tn__story_tell(story, turn, node, TN_SEQUENCE_SAID, "N1", "proposes no more");
    } else if (was && turn->after.state == TN_LOG_STATE_FOLLOWER) {
        bool taken = turn->arrived != NULL && turn->arrived->kind == TN_LOG_SUGGEST;
        tn__story_tell(story, turn, node, TN_SEQUENCE_SAID, "N1", "gives up %s%s",
                       tn__story_ballot(story, turn->before.ballot).text,
                       taken ? ": the number is taken" : "");
    }
    if (!leads(&turn->after) || leads(&turn->before)) {
        return;
    }
    tn__story_tell(story, turn, node, TN_SEQUENCE_GAINED, "N1",
                   "has a majority of promises: leads under %s", ballot.text);
    if (turn->after.recovery_end > turn->after.committed) {
        tn__story_tell(story, turn, node, TN_SEQUENCE_SAID, "M3",
                       "updating-previous: proposes again what was reported, up to slot %llu",
                       (unsigned long long)turn->after.recovery_end);
    }
}

static void tell_ready(struct tn__log_story *story, struct tn__story_turn *turn)
{
    if (turn->after.ready != 0 && turn->before.ready == 0) {
        tn__story_tell(story, turn, turn->node, TN_SEQUENCE_GAINED, "M4", "is ready");
    }
}

/* ---- The disk -------------------------------------------------------------------------------- */

/* A disk that was told to wait has finished a write. */
static void tell_written(struct tn__log_story *story, struct tn__story_turn *turn)
{
    const struct tn__story_node *node = &story->nodes[turn->node];
    if (turn->event == TN_LOG_EVENT_WRITE_FAILED) {
        tn__story_tell(story, turn, turn->node, TN_SEQUENCE_REFUSED, "W2", "its write has failed");
        return;
    }
    if (turn->event != TN_LOG_EVENT_WRITTEN) {
        return;
    }
    uint32_t last = node->records_count;
    while (last > 0 && !node->records[last - 1].durable) {
        last--;
    }
    tn_assert(last > 0);
    const struct tn__story_record *done = &node->records[last - 1];
    uint32_t count = done->record.entries_count;
    if (count == 0) {
        tn__story_tell(story, turn, turn->node, TN_SEQUENCE_SAID, "V3",
                       "its promise %s is on its disk",
                       tn__story_ballot(story, done->record.ballot).text);
    } else {
        tn__story_tell(
            story, turn, turn->node, TN_SEQUENCE_SAID, "V3", "on its disk: %s",
            tn__story_slots_in_words(done->entries[0].slot, done->entries[count - 1].slot).text);
    }
}

/* ---- Messages that led to no word ------------------------------------------------------------ */

static void tell_promise_counted(struct tn__log_story *story, struct tn__story_turn *turn)
{
    const struct tn_log_message *arrived = turn->arrived;
    if (arrived->committed > turn->before.committed) {
        tn__story_tell(story, turn, turn->node, TN_SEQUENCE_SAID, "V1",
                       "does not count %u: it has committed more", arrived->from + 1U);
    } else {
        tn__story_tell(story, turn, turn->node, TN_SEQUENCE_SAID, "V1",
                       "counts the promise of %u%s", arrived->from + 1U,
                       turn->after.state == TN_LOG_STATE_RECOVERING ? ", no majority yet" : "");
    }
}

static void tell_quiet(struct tn__log_story *story, struct tn__story_turn *turn)
{
    const struct tn_log_message *arrived = turn->arrived;
    uint32_t from = arrived->from + 1U;
    if (turn->delta.malformed > 0) {
        tn__story_tell(story, turn, turn->node, TN_SEQUENCE_REFUSED, "", "refuses it: malformed");
    } else if (turn->delta.beyond > 0) {
        tn__story_tell(story, turn, turn->node, TN_SEQUENCE_REFUSED, "V2",
                       "has no room for it yet");
    } else if (turn->delta.stale > 0) {
        tn__story_tell(story, turn, turn->node, TN_SEQUENCE_UNDRAWN, "",
                       "drops it: of another ballot or round");
    } else if (turn->after.state == TN_LOG_STATE_STOPPED) {
        tn__story_tell(story, turn, turn->node, TN_SEQUENCE_UNDRAWN, "", "has stopped");
    } else if (arrived->kind == TN_LOG_PROMISE) {
        tell_promise_counted(story, turn);
    } else if (arrived->kind == TN_LOG_ACCEPTED) {
        bool late = arrived->slot_end - 1 <= turn->before.committed;
        tn__story_tell(story, turn, turn->node, late ? TN_SEQUENCE_UNDRAWN : TN_SEQUENCE_SAID, "N3",
                       "counts %u for %s%s", from,
                       tn__story_slots_in_words(arrived->slot, arrived->slot_end - 1).text,
                       late ? ", committed before" : "");
    } else if (arrived->kind == TN_LOG_READ_ANSWER) {
        tn__story_tell(story, turn, turn->node, TN_SEQUENCE_SAID, "Reads 3",
                       "counts %u: up to slot %llu", from, (unsigned long long)arrived->accepted);
    }
}

/* A promise that brought the majority, or was too late, and led to words about other things. */
static void tell_ahead(struct tn__log_story *story, struct tn__story_turn *turn)
{
    if (turn->arrived != NULL && turn->arrived->kind == TN_LOG_PROMISE &&
        tn_log_ballot_equal(turn->arrived->ballot, turn->before.ballot) &&
        turn->arrived->committed > turn->before.committed) {
        tell_promise_counted(story, turn);
    }
}

/* ---- The turn -------------------------------------------------------------------------------- */

void tn__story_turn_ended(struct tn__log_story *story)
{
    struct tn__story_turn *turn = &story->turn;
    tell_written(story, turn);
    tell_ahead(story, turn);
    tell_role(story, turn);
    for (uint32_t i = 0; i < turn->sayings_count; i++) {
        const struct tn__story_saying *saying = &turn->sayings[i];
        switch ((enum tn__story_saying_kind)saying->kind) {
        case TN__STORY_RECORD:
            tn__story_say_record(story, turn, saying);
            break;
        case TN__STORY_MESSAGE:
            tn__story_say_message(story, turn, saying);
            break;
        case TN__STORY_COMMIT:
            tn__story_say_commit(story, turn, saying);
            break;
        case TN__STORY_NOTICE:
            tn__story_say_notice(story, turn, &saying->notice);
            break;
        }
    }
    tell_ready(story, turn);
    if (turn->arrived != NULL && !turn->told) {
        tell_quiet(story, turn);
    }
    tn__story_say_sent(story, turn->node);
}
