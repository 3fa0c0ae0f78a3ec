/* What a node of a log story writes, says, commits and tells its caller, as lines; and its messages
 * into flight. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/text.h"
#include "sim/log_scenario_internal.h"

#define LISTED_MAX 4U /* entries that are named one by one */

static bool is_waiting(const struct tn__log_story *story, uint32_t node)
{
    return story->nodes[node].disk == TN__SCENARIO_DISK_WAIT;
}

struct list {
    char text[160];
};

/* "1: a, 2: b", or "slots 2..9" when that would be long. */
static struct list list_of(const struct tn__log_story *story, const struct tn_log_entry *entries,
                           uint32_t count)
{
    struct list list;
    if (count > LISTED_MAX) {
        snprintf(list.text, sizeof(list.text), "slots %.30s",
                 tn__story_slots(entries[0].slot, entries[count - 1].slot).text);
    } else {
        tn__story_entries(story, entries, count, list.text, sizeof(list.text));
    }
    return list;
}

/* ---- Records --------------------------------------------------------------------------------- */

enum sort {
    SORT_NEW = 0,
    SORT_AGAIN,
    SORT_HOLE,
    SORT_RESOLVED,
    SORT_CONFIGURATION,
};

static enum sort sort_of(const struct tn__story_turn *turn, const struct tn_log_entry *entry)
{
    bool reported = entry->slot <= turn->after.recovery_end;
    if (entry->value.kind == TN_LOG_VALUE_NOOP) {
        return reported ? SORT_HOLE : SORT_RESOLVED;
    }
    if (reported) {
        return SORT_AGAIN;
    }
    return entry->value.kind == TN_LOG_VALUE_CONFIGURATION ? SORT_CONFIGURATION : SORT_NEW;
}

static void say_proposed(struct tn__log_story *story, struct tn__story_turn *turn, enum sort sort,
                         const struct tn_log_entry *entries, uint32_t count)
{
    struct list list = list_of(story, entries, count);
    struct tn__short slots = tn__story_slots_in_words(entries[0].slot, entries[count - 1].slot);
    struct tn__short ballot = tn__story_ballot(story, entries[0].ballot);
    uint32_t node = turn->node;
    switch (sort) {
    case SORT_NEW:
        tn__story_tell(story, turn, node, TN_SEQUENCE_SAID, "N2", "proposes %s under %s", list.text,
                       ballot.text);
        break;
    case SORT_AGAIN:
        tn__story_tell(story, turn, node, TN_SEQUENCE_SAID, "N2", "proposes again %s under %s",
                       list.text, ballot.text);
        break;
    case SORT_HOLE:
        tn__story_tell(story, turn, node, TN_SEQUENCE_SAID, "N2", "fills %s with a no-op",
                       slots.text);
        break;
    case SORT_RESOLVED:
        tn__story_tell(story, turn, node, TN_SEQUENCE_SAID, "Reads 3",
                       "fills %s with a no-op for a reader", slots.text);
        break;
    case SORT_CONFIGURATION:
        tn__story_tell(story, turn, node, TN_SEQUENCE_SAID, "G2",
                       "proposes %s: they govern from slot %llu on", list.text,
                       (unsigned long long)(entries[0].slot + story->options.window_slots));
        break;
    }
}

static void say_own_accept(struct tn__log_story *story, struct tn__story_turn *turn,
                           const struct tn__story_saying *saying)
{
    uint32_t first = 0;
    while (first < saying->entries_count) {
        enum sort sort = sort_of(turn, &saying->entries[first]);
        uint32_t end = first + 1;
        while (end < saying->entries_count && sort_of(turn, &saying->entries[end]) == sort) {
            end++;
        }
        say_proposed(story, turn, sort, &saying->entries[first], end - first);
        first = end;
    }
    if (is_waiting(story, turn->node)) {
        tn__story_tell(story, turn, turn->node, TN_SEQUENCE_SAID, "N3",
                       "its own vote waits for its disk");
    }
}

void tn__story_say_record(struct tn__log_story *story, struct tn__story_turn *turn,
                          const struct tn__story_saying *saying)
{
    uint32_t node = turn->node;
    bool waits = is_waiting(story, node);
    bool others = turn->arrived != NULL &&
                  (turn->arrived->kind == TN_LOG_ACCEPT || turn->arrived->kind == TN_LOG_PREPARE);
    struct tn__short ballot = tn__story_ballot(story, saying->record.ballot);
    if (saying->record.kind == TN_LOG_RECORD_ACCEPT && others) {
        tn__story_tell(story, turn, node, TN_SEQUENCE_SAID, "V2",
                       waits ? "writes %s under %s, and says nothing yet" : "accepts %s under %s",
                       list_of(story, saying->entries, saying->entries_count).text, ballot.text);
    } else if (saying->record.kind == TN_LOG_RECORD_ACCEPT) {
        say_own_accept(story, turn, saying);
    } else if (saying->record.kind == TN_LOG_RECORD_PROMISE && waits && others) {
        tn__story_tell(story, turn, node, TN_SEQUENCE_SAID, "V1",
                       "writes its promise %s, and says nothing yet", ballot.text);
    } else if (saying->record.kind == TN_LOG_RECORD_LEARN &&
               turn->after.committed == turn->before.committed) {
        tn__story_tell(story, turn, node, TN_SEQUENCE_SAID, "C2", "learns %s",
                       list_of(story, saying->entries, saying->entries_count).text);
    }
}

/* ---- Phase 1 --------------------------------------------------------------------------------- */

/* All whom this turn's Prepares go to. */
static struct tn__short all_asked(const struct tn__story_turn *turn)
{
    tn_member_set members = 0;
    for (uint32_t i = 0; i < turn->sayings_count; i++) {
        bool asks = turn->sayings[i].kind == TN__STORY_MESSAGE &&
                    turn->sayings[i].message.kind == TN_LOG_PREPARE;
        members |= asks ? turn->sayings[i].to : 0;
    }
    return tn__story_members(members);
}

static void say_prepare(struct tn__log_story *story, struct tn__story_turn *turn,
                        const struct tn__story_saying *saying)
{
    struct tn__story_node *node = &story->nodes[turn->node];
    const struct tn_log_message *message = &saying->message;
    struct tn__short ballot = tn__story_ballot(story, message->ballot);
    unsigned long long slot = message->slot;
    if (turn->begun) {
        return; /* the same, to others */
    }
    turn->begun = true;
    if (!tn_log_ballot_equal(node->begun, message->ballot)) {
        node->begun = message->ballot;
        tn__story_tell(story, turn, turn->node, TN_SEQUENCE_SAID, "N1",
                       "recovering: begins Phase 1 under %s, from slot %llu", ballot.text, slot);
    } else if (turn->arrived != NULL && turn->arrived->kind == TN_LOG_PROMISE &&
               turn->arrived->committed <= turn->before.committed &&
               (turn->arrived->flags & TN_LOG_FLAG_LAST_PAGE) == 0) {
        tn__story_tell(story, turn, turn->node, TN_SEQUENCE_SAID, "V1",
                       "counts nothing yet: asks for the page from slot %llu on", slot);
    } else if (turn->after.state != TN_LOG_STATE_RECOVERING) {
        tn__story_tell(
            story, turn, turn->node, TN_SEQUENCE_SAID, "N2",
            "asks %s: slot %llu needs a majority of {%s}", all_asked(turn).text,
            (unsigned long long)turn->after.proposed + 1,
            tn__story_members(tn__story_voters_at(story, turn->after.proposed + 1)).text);
    } else {
        tn__story_tell(story, turn, turn->node, TN_SEQUENCE_SAID, "V1", "asks %s again",
                       all_asked(turn).text);
    }
}

static void say_promise(struct tn__log_story *story, struct tn__story_turn *turn,
                        const struct tn__story_saying *saying)
{
    const struct tn_log_message *message = &saying->message;
    struct tn__text text;
    char bytes[260];
    tn__text_init(&text, bytes, sizeof(bytes));
    bool more = (message->flags & TN_LOG_FLAG_LAST_PAGE) == 0;
    if (message->committed >= message->slot) { /* V1 ignore */
        tn__text_add(&text, "; ignores what it has committed, up to %llu",
                     (unsigned long long)message->committed);
    }
    for (uint32_t i = 0; i < saying->entries_count && i < LISTED_MAX; i++) {
        tn__text_add(&text, "%s%llu: %s (%s)", i == 0 ? "; reports " : ", ",
                     (unsigned long long)saying->entries[i].slot,
                     tn__story_value(story, &saying->entries[i].value).text,
                     tn__story_ballot(story, saying->entries[i].ballot).text);
    }
    if (saying->entries_count > LISTED_MAX) {
        tn__text_add(&text, " ... %llu",
                     (unsigned long long)saying->entries[saying->entries_count - 1].slot);
    }
    if (more) {
        tn__text_add(&text, "; more follows");
    }
    tn__story_tell(story, turn, turn->node, TN_SEQUENCE_SAID, "V1", "agrees to %s%s",
                   tn__story_ballot(story, message->ballot).text, bytes);
}

static void say_refusal(struct tn__log_story *story, struct tn__story_turn *turn,
                        const struct tn_log_message *message)
{
    struct tn__short ballot = tn__story_ballot(story, message->ballot);
    struct tn__short promised = tn__story_ballot(story, message->promised);
    const char *rule = turn->arrived != NULL && turn->arrived->kind == TN_LOG_ACCEPT ? "V2" : "V1";
    if (message->kind == TN_LOG_ABORT) {
        tn__story_tell(story, turn, turn->node, TN_SEQUENCE_REFUSED, rule,
                       "aborts %s: it promised %s", ballot.text, promised.text);
    } else {
        tn__story_tell(story, turn, turn->node, TN_SEQUENCE_REFUSED, rule,
                       "suggests another number than %s: %s has it", ballot.text, promised.text);
    }
}

/* ---- Other messages -------------------------------------------------------------------------- */

/* Of an ACCEPT: only if it was not proposed in this turn. */
static void say_accept(struct tn__log_story *story, struct tn__story_turn *turn,
                       const struct tn__story_saying *saying)
{
    uint64_t slot = saying->entries[0].slot;
    if (slot <= turn->before.proposed && turn->delta.proposed == 0) {
        tn__story_tell(story, turn, turn->node, TN_SEQUENCE_SAID, "N3", "sends %s to %s%s",
                       list_of(story, saying->entries, saying->entries_count).text,
                       tn__story_members(saying->to).text, turn->delta.resent > 0 ? " again" : "");
    }
}

static void say_values(struct tn__log_story *story, struct tn__story_turn *turn, const char *rule,
                       const char *verb, const struct tn__story_saying *saying)
{
    char values[160];
    struct tn__text text;
    tn__text_init(&text, values, sizeof(values));
    for (uint32_t i = 0; i < saying->entries_count; i++) {
        const struct tn_log_value *value = &saying->entries[i].value;
        tn__text_add(&text, "%s%s", i == 0 ? "" : ", ", tn__story_value(story, value).text);
        if (value->handle != 0) {
            story->texts[value->handle - 1].forwarded = true;
        }
    }
    tn__story_tell(story, turn, turn->node, TN_SEQUENCE_SAID, rule, "%s %s to %s", verb, values,
                   tn__story_members(saying->to).text);
}

static void say_of_others(struct tn__log_story *story, struct tn__story_turn *turn,
                          const struct tn__story_saying *saying)
{
    const struct tn_log_message *message = &saying->message;
    uint32_t node = turn->node;
    struct tn__short to = tn__story_members(saying->to);
    switch ((enum tn_log_message_kind)message->kind) {
    case TN_LOG_FETCH:
        tn__story_tell(story, turn, node, TN_SEQUENCE_SAID, "C2",
                       "fetches from slot %llu on, of %s", (unsigned long long)message->slot,
                       to.text);
        break;
    case TN_LOG_FETCHED:
        if (message->entries_count > 0) {
            tn__story_tell(story, turn, node, TN_SEQUENCE_SAID, "C2", "sends %s to %s",
                           list_of(story, saying->entries, saying->entries_count).text, to.text);
        }
        break;
    case TN_LOG_FORWARD:
        say_values(story, turn, "N4", "forwards", saying);
        break;
    case TN_LOG_REFUSED:
        tn__story_tell(story, turn, node, TN_SEQUENCE_REFUSED, "N4", "refuses it: %s",
                       tn__story_reason(message->reason));
        break;
    case TN_LOG_READ:
        tn__story_tell(story, turn, node, TN_SEQUENCE_SAID, "Reads 3",
                       "asks how far each has accepted");
        break;
    case TN_LOG_READ_ANSWER:
        tn__story_tell(story, turn, node, TN_SEQUENCE_SAID, "Reads 3",
                       "has accepted up to slot %llu", (unsigned long long)message->accepted);
        break;
    case TN_LOG_RESOLVE:
        tn__story_tell(story, turn, node, TN_SEQUENCE_SAID, "Reads 3",
                       "asks %s to resolve the slots up to %llu", to.text,
                       (unsigned long long)message->slot);
        break;
    default:
        break;
    }
}

static void say_heartbeat(struct tn__log_story *story, struct tn__story_turn *turn,
                          const struct tn__story_saying *saying)
{
    if ((saying->message.flags & TN_LOG_FLAG_DIVERGED) != 0) {
        tn__story_tell(story, turn, turn->node, TN_SEQUENCE_SAID, "C3",
                       "tells %s that a majority's chain is another",
                       tn__story_members(saying->to).text);
    }
}

void tn__story_say_message(struct tn__log_story *story, struct tn__story_turn *turn,
                           const struct tn__story_saying *saying)
{
    switch ((enum tn_log_message_kind)saying->message.kind) {
    case TN_LOG_PREPARE:
        say_prepare(story, turn, saying);
        break;
    case TN_LOG_PROMISE:
        say_promise(story, turn, saying);
        break;
    case TN_LOG_ABORT:
    case TN_LOG_SUGGEST:
        say_refusal(story, turn, &saying->message);
        break;
    case TN_LOG_ACCEPT:
        say_accept(story, turn, saying);
        break;
    case TN_LOG_HEARTBEAT:
        say_heartbeat(story, turn, saying);
        break;
    default:
        say_of_others(story, turn, saying);
        break;
    }
    if (turn->event == TN_LOG_EVENT_TIMER && !turn->told && !story->scenario->muted) {
        tn__scenario_row(story->scenario);
        turn->told = true;
    }
    for (uint32_t i = 0; i < story->nodes_count; i++) {
        if ((saying->to >> i & 1U) != 0) {
            tn__story_send(story, turn->node, i, &saying->message, saying->entries);
        }
    }
}

/* ---- Outcomes (N4) --------------------------------------------------------------------------- */

static bool is_of_this_run(const struct tn__log_story *story, const struct tn__story_turn *turn,
                           const struct tn__story_text *text)
{
    const struct tn__story_node *node = &story->nodes[turn->node];
    return text->node == turn->node && text->word == node->words[node->runs - 1];
}

static struct tn__story_text *text_of_number(struct tn__log_story *story,
                                             const struct tn__story_turn *turn, uint64_t number)
{
    for (uint32_t i = 0; i < story->texts_count; i++) {
        if (story->texts[i].number == number && is_of_this_run(story, turn, &story->texts[i])) {
            return &story->texts[i];
        }
    }
    return NULL;
}

/* What was proposed at this node, and what the slot that was committed means for it. */
static void tell_outcomes(struct tn__log_story *story, struct tn__story_turn *turn,
                          const struct tn_log_entry *entry, bool by_votes)
{
    for (uint32_t i = 0; i < story->texts_count; i++) {
        struct tn__story_text *text = &story->texts[i];
        if (text->resolved || !is_of_this_run(story, turn, text)) {
            continue;
        }
        if (entry->value.handle == i + 1) {
            text->resolved = true;
            if (!by_votes || text->forwarded) {
                tn__story_tell(story, turn, turn->node, TN_SEQUENCE_GAINED, "N4",
                               "%s: committed, slot %llu", text->bytes,
                               (unsigned long long)entry->slot);
            }
        } else if (text->slot == entry->slot) {
            text->resolved = true;
            tn__story_tell(story, turn, turn->node, TN_SEQUENCE_REFUSED, "N4",
                           "%s: not chosen, its slot is resolved otherwise", text->bytes);
        }
    }
}

void tn__story_say_commit(struct tn__log_story *story, struct tn__story_turn *turn,
                          const struct tn__story_saying *saying)
{
    uint32_t kind = turn->arrived == NULL ? 0 : turn->arrived->kind;
    bool by_word = kind == TN_LOG_ACCEPT || kind == TN_LOG_HEARTBEAT || kind == TN_LOG_READ_ANSWER;
    bool by_votes = !by_word && kind != TN_LOG_FETCHED;
    tn__story_tell(story, turn, turn->node, by_votes ? TN_SEQUENCE_GAINED : TN_SEQUENCE_SAID,
                   by_votes  ? "N3"
                   : by_word ? "C1"
                             : "C2",
                   "%scommits %s", by_votes ? "has a majority: " : "",
                   list_of(story, saying->entries, saying->entries_count).text);
    for (uint32_t i = 0; i < saying->entries_count; i++) {
        tell_outcomes(story, turn, &saying->entries[i], by_votes);
    }
}

/* ---- Notices --------------------------------------------------------------------------------- */

static void say_assigned(struct tn__log_story *story, struct tn__story_turn *turn,
                         const struct tn_log_notice *notice)
{
    for (uint32_t i = 0; i < notice->count; i++) {
        struct tn__story_text *text = text_of_number(story, turn, notice->number + i);
        if (text != NULL) {
            text->slot = notice->slot + i;
        }
    }
    if (turn->arrived != NULL && turn->arrived->kind == TN_LOG_ASSIGNED) {
        tn__story_tell(
            story, turn, turn->node, TN_SEQUENCE_SAID, "N4", "hears: it is in %s",
            tn__story_slots_in_words(notice->slot, notice->slot + notice->count - 1).text);
    }
}

static void say_ended(struct tn__log_story *story, struct tn__story_turn *turn,
                      const struct tn_log_notice *notice)
{
    for (uint32_t i = 0; i < notice->count; i++) {
        struct tn__story_text *text = text_of_number(story, turn, notice->number + i);
        if (text == NULL) {
            continue;
        }
        text->resolved = true;
        if (notice->kind == TN_LOG_NOTICE_LOST) {
            tn__story_tell(story, turn, turn->node, TN_SEQUENCE_REFUSED, "N4",
                           "%s: unknown, its forward may have arrived", text->bytes);
        } else {
            tn__story_tell(story, turn, turn->node, TN_SEQUENCE_REFUSED, "N4", "%s: not chosen, %s",
                           text->bytes, tn__story_reason(notice->reason));
        }
    }
}

void tn__story_say_notice(struct tn__log_story *story, struct tn__story_turn *turn,
                          const struct tn_log_notice *notice)
{
    switch ((enum tn_log_notice_kind)notice->kind) {
    case TN_LOG_NOTICE_STATE:
        break; /* the role is told by itself */
    case TN_LOG_NOTICE_ASSIGNED:
        say_assigned(story, turn, notice);
        break;
    case TN_LOG_NOTICE_REFUSED:
    case TN_LOG_NOTICE_LOST:
        say_ended(story, turn, notice);
        break;
    case TN_LOG_NOTICE_READ:
        tn__story_tell(story, turn, turn->node, TN_SEQUENCE_GAINED, "Reads 3",
                       "may answer read %llu, from slot %llu on",
                       (unsigned long long)notice->number, (unsigned long long)notice->slot);
        break;
    case TN_LOG_NOTICE_READ_FAILED:
        tn__story_tell(story, turn, turn->node, TN_SEQUENCE_REFUSED, "Reads 3",
                       "cannot answer read %llu: %s", (unsigned long long)notice->number,
                       tn__story_reason(notice->reason));
        break;
    case TN_LOG_NOTICE_INCIDENT:
        tn__story_tell(story, turn, turn->node, TN_SEQUENCE_REFUSED, "incident:", "%s (node %u)",
                       tn__story_reason(notice->reason), notice->node);
        break;
    case TN_LOG_NOTICE_CHECKPOINT_NEEDED:
        tn__story_tell(story, turn, turn->node, TN_SEQUENCE_REFUSED, "C2",
                       "needs a checkpoint: nobody has slot %llu any more",
                       (unsigned long long)notice->slot);
        break;
    }
}
