/* Messages in flight between the nodes of a log story: which of them arrive, are lost, wait, or are
 * there twice. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "sim/log_scenario_internal.h"

/* ---- Sending --------------------------------------------------------------------------------- */

/* A heartbeat that tells of no commit, and an answer to one, is not worth a line or an arrow,
 * unless the chains differ. It is in flight all the same. */
static bool is_drawn(const struct tn__log_story *story, const struct tn_log_message *message,
                     uint32_t to)
{
    if (message->kind == TN_LOG_HEARTBEAT) {
        return (message->flags & TN_LOG_FLAG_DIVERGED) != 0 ||
               message->committed > story->nodes[to].committed;
    }
    if (message->kind != TN_LOG_HEARTBEAT_ANSWER) {
        return true;
    }
    uint64_t slot = message->checksum_slot;
    return slot > 0 && slot < TN__STORY_SLOTS_MAX &&
           story->chosen[slot].value.kind != TN_LOG_VALUE_NONE &&
           story->chosen[slot].checksum != message->checksum;
}

static bool asks(uint8_t kind)
{
    return kind == TN_LOG_PREPARE || kind == TN_LOG_ACCEPT || kind == TN_LOG_HEARTBEAT ||
           kind == TN_LOG_FETCH || kind == TN_LOG_FORWARD || kind == TN_LOG_READ ||
           kind == TN_LOG_RESOLVE;
}

static void note_sent(struct tn__log_story *story, const char *label, uint32_t to)
{
    uint32_t i = 0;
    while (i < story->sent_count && strcmp(story->sent[i].label, label) != 0) {
        i++;
    }
    if (i == TN__STORY_SENT_MAX) {
        return; /* the drawing has it */
    }
    if (i == story->sent_count) {
        story->sent[story->sent_count++] = (struct tn__story_sent){0};
        memcpy(story->sent[i].label, label, strlen(label) + 1);
    }
    story->sent[i].to |= 1U << to;
}

void tn__story_say_sent(struct tn__log_story *story, uint32_t from)
{
    struct tn__growing_text line = {0};
    for (uint32_t i = 0; i < story->sent_count; i++) {
        tn__growing_add(&line, "%s%u->%s %s", i == 0 ? "  " : "    ", from + 1,
                        tn__story_members(story->sent[i].to).text, story->sent[i].label);
    }
    if (story->sent_count > 0) {
        tn__scenario_say(story->scenario, "%s", line.bytes);
    }
    tn__growing_clear(&line);
    story->sent_count = 0;
}

static void draw(struct tn__log_story *story, struct tn__story_message *sent)
{
    char label[TN_SEQUENCE_TEXT_BYTES];
    struct tn__scenario *scenario = story->scenario;
    const struct tn_log_message *message = &sent->message;
    tn__story_label(story, message, sent->entries, label);
    uint32_t actor = tn_log_ballot_is_none(message->ballot) || message->kind == TN_LOG_FORWARD
                         ? sent->from
                         : message->ballot.node - 1U;
    sent->arrow = tn__sequence_send(scenario->sequence, sent->from, sent->to, actor, label);
    if (message->kind == TN_LOG_ABORT || message->kind == TN_LOG_SUGGEST ||
        message->kind == TN_LOG_REFUSED) {
        tn__sequence_refusal(scenario->sequence, sent->arrow);
    }
    if (asks(message->kind)) {
        note_sent(story, label, sent->to);
    }
}

void tn__story_send(struct tn__log_story *story, uint32_t from, uint32_t to,
                    const struct tn_log_message *message, const struct tn_log_entry *entries)
{
    if (story->messages_count == TN__STORY_MESSAGES_MAX) {
        tn__scenario_error(story->scenario, "too many messages are in flight");
        return;
    }
    struct tn__story_message *sent = &story->messages[story->messages_count++];
    *sent = (struct tn__story_message){
        .message = *message,
        .entries = tn__story_copy(entries, message->entries_count),
        .serial = ++story->serials,
        .word = story->nodes[from].words[story->nodes[from].runs - 1],
        .from = from,
        .to = to,
        .arrow = TN_SEQUENCE_NONE,
    };
    sent->message.entries_first = 0;
    if (!story->scenario->muted && is_drawn(story, message, to)) {
        draw(story, sent);
    }
}

/* ---- Choosing -------------------------------------------------------------------------------- */

/* What a command is about. */
struct choice {
    uint32_t kinds; /* one bit a kind */
    tn_member_set from;
    tn_member_set to;
    const char *ballot; /* as the story writes it; NULL: any */
    uint64_t slot;      /* carries it, or speaks of it; 0: any */
    uint64_t only;      /* at most so many */
    bool held;
    bool any; /* none is no error */
};

struct chosen {
    uint64_t serials[TN__STORY_MESSAGES_MAX];
    uint32_t count;
};

static bool read_choice(struct tn__scenario *scenario, struct tn__scenario_command *command,
                        struct choice *choice)
{
    const char *kinds = tn__scenario_value(command, "kind");
    *choice = (struct choice){.kinds = UINT32_MAX, .only = UINT64_MAX};
    if (kinds != NULL && !tn__story_kinds(kinds, &choice->kinds)) {
        tn__scenario_error(scenario, "kind=%s is not a list of kinds", kinds);
        return false;
    }
    choice->ballot = tn__scenario_value(command, "ballot");
    choice->held = tn__scenario_has(command, "held");
    choice->any = tn__scenario_has(command, "any");
    return tn__scenario_nodes_of(scenario, command, "from", UINT32_MAX, &choice->from) &&
           tn__scenario_nodes_of(scenario, command, "to", UINT32_MAX, &choice->to) &&
           tn__scenario_number_of(scenario, command, "slot", &choice->slot) &&
           tn__scenario_number_of(scenario, command, "only", &choice->only);
}

static bool speaks_of(const struct tn__story_message *message, uint64_t slot)
{
    if (message->message.kind == TN_LOG_ACCEPTED) {
        return slot >= message->message.slot && slot < message->message.slot_end;
    }
    for (uint32_t i = 0; i < message->message.entries_count; i++) {
        if (message->entries[i].slot == slot) {
            return true;
        }
    }
    return false;
}

static bool matches(const struct tn__log_story *story, const struct choice *choice,
                    const struct tn__story_message *message)
{
    return message->held == choice->held && (choice->from >> message->from & 1U) != 0 &&
           (choice->to >> message->to & 1U) != 0 &&
           (choice->kinds >> message->message.kind & 1U) != 0 &&
           (choice->slot == 0 || speaks_of(message, choice->slot)) &&
           (choice->ballot == NULL ||
            strcmp(tn__story_ballot(story, message->message.ballot).text, choice->ballot) == 0);
}

/* Those in flight that are meant, as they are now: what they lead to is not among them. */
static void choose(const struct tn__log_story *story, const struct choice *choice,
                   struct chosen *chosen)
{
    chosen->count = 0;
    for (uint32_t i = 0; i < story->messages_count && chosen->count < choice->only; i++) {
        if (matches(story, choice, &story->messages[i])) {
            chosen->serials[chosen->count++] = story->messages[i].serial;
        }
    }
}

static bool choose_some(struct tn__log_story *story, const struct choice *choice,
                        struct chosen *chosen)
{
    choose(story, choice, chosen);
    if (chosen->count == 0 && !choice->any) {
        tn__scenario_error(story->scenario, "no such message is in flight");
    }
    return chosen->count > 0;
}

static uint32_t find(const struct tn__log_story *story, uint64_t serial)
{
    uint32_t place = 0;
    while (place < story->messages_count && story->messages[place].serial != serial) {
        place++;
    }
    return place;
}

/* Out of flight; its entries are the caller's. */
static struct tn__story_message take(struct tn__log_story *story, uint32_t place)
{
    tn_assert(place < story->messages_count);
    struct tn__story_message taken = story->messages[place];
    story->messages_count--;
    memmove(&story->messages[place], &story->messages[place + 1],
            (story->messages_count - place) * sizeof(story->messages[0]));
    return taken;
}

void tn__story_forget_messages(struct tn__log_story *story)
{
    while (story->messages_count > 0) {
        free(take(story, story->messages_count - 1).entries);
    }
}

/* ---- Arriving and being lost ----------------------------------------------------------------- */

static void lose(struct tn__log_story *story, uint32_t place)
{
    struct tn__story_message lost = take(story, place);
    if (lost.arrow != TN_SEQUENCE_NONE) {
        tn__scenario_row(story->scenario);
        tn__sequence_ends(story->scenario->sequence, lost.arrow, TN_SEQUENCE_LOST);
        tn__scenario_say(story->scenario, "  %u->%u %s lost", lost.from + 1, lost.to + 1,
                         tn__sequence_label(story->scenario->sequence, lost.arrow));
    }
    free(lost.entries);
}

static bool parted(const struct tn__log_story *story, uint32_t from, uint32_t to)
{
    return story->scenario->is_split && story->nodes[from].group != story->nodes[to].group;
}

static void arrive(struct tn__log_story *story, uint32_t place)
{
    uint32_t to = story->messages[place].to;
    if (!tn__story_is_up(story, to) || parted(story, story->messages[place].from, to)) {
        lose(story, place);
        return;
    }
    struct tn__story_message arrived = take(story, place);
    if (!story->scenario->muted) {
        tn__scenario_row(story->scenario);
    }
    if (arrived.arrow != TN_SEQUENCE_NONE) {
        tn__sequence_ends(story->scenario->sequence, arrived.arrow, TN_SEQUENCE_ARRIVED);
    }
    struct tn_log_event event = {
        .kind = TN_LOG_EVENT_MESSAGE,
        .from = arrived.from,
        .restart_word = arrived.word,
        .message = &arrived.message,
        .entries = arrived.entries,
        .entries_count = arrived.message.entries_count,
    };
    arrived.message.from = (uint8_t)arrived.from;
    tn__story_event(story, to, &event);
    free(arrived.entries);
}

static void arrive_all(struct tn__log_story *story, const struct chosen *chosen)
{
    for (uint32_t i = 0; i < chosen->count; i++) {
        uint32_t place = find(story, chosen->serials[i]);
        if (place < story->messages_count) {
            arrive(story, place);
        }
    }
}

void tn__story_deliver_all(struct tn__log_story *story)
{
    struct choice all = {
        .kinds = UINT32_MAX, .from = UINT32_MAX, .to = UINT32_MAX, .only = UINT64_MAX};
    struct chosen chosen;
    for (uint32_t i = 0; i < TN__STORY_ROUNDS_MAX; i++) {
        choose(story, &all, &chosen);
        arrive_all(story, &chosen);
    }
}

/* ---- Verbs ----------------------------------------------------------------------------------- */

void tn__story_do_deliver(struct tn__log_story *story, struct tn__scenario_command *command)
{
    struct choice choice;
    struct chosen chosen;
    uint64_t repeat = 1;
    if (!read_choice(story->scenario, command, &choice) ||
        !tn__scenario_number_of(story->scenario, command, "repeat", &repeat)) {
        return;
    }
    for (uint64_t i = 0; i < repeat && i < TN__STORY_ROUNDS_MAX; i++) {
        choice.any = choice.any || i > 0;
        if (choose_some(story, &choice, &chosen)) {
            arrive_all(story, &chosen);
        }
    }
}

void tn__story_do_settle(struct tn__log_story *story, struct tn__scenario_command *command)
{
    struct choice choice;
    struct chosen chosen;
    if (!read_choice(story->scenario, command, &choice)) {
        return;
    }
    for (uint32_t i = 0; i < TN__STORY_ROUNDS_MAX; i++) {
        choose(story, &choice, &chosen);
        arrive_all(story, &chosen);
    }
}

void tn__story_do_drop(struct tn__log_story *story, struct tn__scenario_command *command)
{
    struct choice choice;
    struct chosen chosen;
    if (!read_choice(story->scenario, command, &choice) || !choose_some(story, &choice, &chosen)) {
        return;
    }
    for (uint32_t i = 0; i < chosen.count; i++) {
        lose(story, find(story, chosen.serials[i]));
    }
}

static void say_fate(struct tn__log_story *story, const struct tn__story_message *message,
                     const char *fate)
{
    char label[TN_SEQUENCE_TEXT_BYTES];
    tn__story_label(story, &message->message, message->entries, label);
    tn__scenario_say(story->scenario, "  %u->%u %s %s", message->from + 1, message->to + 1, label,
                     fate);
}

void tn__story_do_hold(struct tn__log_story *story, struct tn__scenario_command *command)
{
    struct choice choice;
    struct chosen chosen;
    if (!read_choice(story->scenario, command, &choice) || !choose_some(story, &choice, &chosen)) {
        return;
    }
    for (uint32_t i = 0; i < chosen.count; i++) {
        struct tn__story_message *message = &story->messages[find(story, chosen.serials[i])];
        message->held = true;
        if (message->arrow != TN_SEQUENCE_NONE) {
            tn__sequence_held(story->scenario->sequence, message->arrow);
        }
        say_fate(story, message, "is held");
    }
}

void tn__story_do_duplicate(struct tn__log_story *story, struct tn__scenario_command *command)
{
    struct choice choice;
    struct chosen chosen;
    if (!read_choice(story->scenario, command, &choice) || !choose_some(story, &choice, &chosen)) {
        return;
    }
    for (uint32_t i = 0; i < chosen.count; i++) {
        struct tn__story_message *message = &story->messages[find(story, chosen.serials[i])];
        uint64_t word = message->word;
        tn__story_send(story, message->from, message->to, &message->message, message->entries);
        story->messages[story->messages_count - 1].word = word;
        story->sent_count = 0;
        say_fate(story, message, "twice");
    }
}

void tn__story_do_split(struct tn__log_story *story, struct tn__scenario_command *command)
{
    for (uint32_t i = 0; i < story->nodes_count; i++) {
        story->nodes[i].group = i + story->nodes_count + 1; /* alone, unless named below */
    }
    const char *group;
    for (uint32_t number = 0; (group = tn__scenario_bare(command)) != NULL; number++) {
        tn_member_set members;
        if (!tn__scenario_nodes(group, story->nodes_count, &members)) {
            tn__scenario_error(story->scenario, "%s is not a list of nodes", group);
            return;
        }
        for (uint32_t i = 0; i < story->nodes_count; i++) {
            if ((members >> i & 1U) != 0) {
                story->nodes[i].group = number;
            }
        }
    }
    story->scenario->is_split = true;
}

void tn__story_do_heal(struct tn__log_story *story, struct tn__scenario_command *command)
{
    (void)command;
    story->scenario->is_split = false;
}
