/* What the world shows, told twice: as lines of text and as a drawing.
 *
 * Messages become arrows here, starts, crashes and pauses bars. What a node does in a turn is
 * collected until the turn ends, and told by scenario_turn.c. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "sim/scenario_internal.h"

/* ---- Telling one thing ----------------------------------------------------------------------- */

void tn__scenario_tell(struct tn__scenario *scenario, struct tn__scenario_turn *turn,
                       uint32_t process, enum tn__sequence_mark kind, const char *rule,
                       const char *format, ...)
{
    char text[200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (turn != NULL) {
        turn->told = true;
    }
    if (scenario->muted) {
        return;
    }
    bool copy = process == tn__world_nodes(scenario->world);
    uint32_t member = tn__world_member(scenario->world, process);
    tn__scenario_say(scenario, "%u%s %s%s%s", member + 1, copy ? "'" : "", rule,
                     rule[0] == '\0' ? "" : " ", text);
    char mark[TN_SEQUENCE_TEXT_BYTES];
    snprintf(mark, sizeof(mark), "%s%s%.110s", rule, rule[0] == '\0' ? "" : " ", text);
    tn__sequence_mark(scenario->sequence, process, kind, mark);
}

static const char *name_suffix(const struct tn__scenario *scenario, const char *name,
                               uint32_t name_bytes, char suffix[TN_NAME_BYTES_MAX + 8])
{
    suffix[0] = '\0';
    if (name_bytes > 0 &&
        (strlen(scenario->name) != name_bytes || memcmp(scenario->name, name, name_bytes) != 0)) {
        snprintf(suffix, TN_NAME_BYTES_MAX + 8, " [%.*s]", (int)name_bytes, name);
    }
    return suffix;
}

/* A time of a process's clock, as real time. */
struct tn__short tn__scenario_when(const struct tn__scenario *scenario, uint32_t process,
                                   tn_time local)
{
    return tn__scenario_time(scenario, tn__world_real(scenario->world, process, local));
}

tn_time tn__scenario_real(const struct tn__scenario *scenario, uint32_t process, tn_time local)
{
    tn_time real = tn__world_real(scenario->world, process, local);
    return real == TN_TIME_NEVER ? real : real - scenario->zero;
}

void tn__scenario_cut_bar(struct tn__scenario *scenario, uint32_t *bar)
{
    if (*bar != TN_SEQUENCE_NONE) {
        tn__sequence_cut(scenario->sequence, *bar);
        *bar = TN_SEQUENCE_NONE;
    }
}

void tn__scenario_new_bar(struct tn__scenario *scenario, uint32_t *bar, uint32_t process,
                          enum tn__sequence_bar kind, struct tn_ballot ballot, tn_time until)
{
    tn__scenario_cut_bar(scenario, bar);
    if (!scenario->muted) {
        uint32_t actor = tn_ballot_is_none(ballot) ? process : tn_ballot_node(ballot) - 1U;
        *bar = tn__sequence_bar(scenario->sequence, process, kind, actor, until);
    }
}

void tn__scenario_label(const struct tn__scenario *scenario, const struct tn_message *message,
                        char label[TN_SEQUENCE_TEXT_BYTES])
{
    static const char *const kinds[TN_MESSAGE_KINDS_END] = {
        "?",      "Prepare",  "Promise", "Closed",  "Rejected",
        "Accept", "Accepted", "Refused", "Release", "Learn"};
    char suffix[TN_NAME_BYTES_MAX + 8];
    char successor[16] = "";
    tn_assert(message->kind < TN_MESSAGE_KINDS_END);
    if (message->kind == TN_MESSAGE_RELEASE && message->successor != 0) {
        snprintf(successor, sizeof(successor), " for %u", message->successor);
    }
    snprintf(label, TN_SEQUENCE_TEXT_BYTES, "%s %s%s%s", kinds[message->kind],
             tn__scenario_ballot(scenario, message->ballot).text, successor,
             name_suffix(scenario, message->name, message->name_bytes, suffix));
}

/* ---- Messages in flight ---------------------------------------------------------------------- */

struct tn__scenario_arrow *tn__scenario_arrow(struct tn__scenario *scenario, uint64_t serial)
{
    for (uint32_t i = 0; i < scenario->arrows_count; i++) {
        if (scenario->arrows[i].serial == serial) {
            return &scenario->arrows[i];
        }
    }
    return NULL;
}

/* Take the record out; returns its arrow, or TN_SEQUENCE_NONE. */
static uint32_t take_arrow(struct tn__scenario *scenario, uint64_t serial)
{
    struct tn__scenario_arrow *found = tn__scenario_arrow(scenario, serial);
    if (found == NULL) {
        return TN_SEQUENCE_NONE;
    }
    uint32_t arrow = found->arrow;
    *found = scenario->arrows[--scenario->arrows_count];
    return arrow;
}

static bool is_refusal(uint8_t kind)
{
    return kind == TN_MESSAGE_CLOSED || kind == TN_MESSAGE_REJECTED || kind == TN_MESSAGE_REFUSED;
}

/* The first message of a frame; false: it has none. */
static bool first_message(struct tn__scenario *scenario, uint32_t frame, struct tn_message *message)
{
    static const uint32_t room = TN_FRAME_ITEMS_MAX;
    struct tn_message messages[TN_FRAME_ITEMS_MAX];
    if (tn__world_frame_messages(scenario->world, frame, messages, room) == 0) {
        return false;
    }
    *message = messages[0];
    return true;
}

/* The slot of a frame that an observer is shown. */
static uint32_t slot_of(struct tn__scenario *scenario, const struct tn__world_frame *frame)
{
    uint32_t slot = tn__world_first_frame(scenario->world);
    while (slot != TN_WORLD_NONE && tn__world_frame(scenario->world, slot) != frame) {
        slot = tn__world_next_frame(scenario->world, slot);
    }
    return slot;
}

void tn__scenario_enter(struct tn__scenario *scenario, uint32_t slot)
{
    struct tn__world_frame *frame = tn__world_frame(scenario->world, slot);
    struct tn_message message;
    char label[TN_SEQUENCE_TEXT_BYTES];
    if (scenario->muted || scenario->arrows_count == TN__SCENARIO_ARROWS_MAX ||
        !first_message(scenario, slot, &message)) {
        return;
    }
    tn__scenario_label(scenario, &message, label);
    uint32_t actor = tn_ballot_node(message.ballot) - 1U;
    uint32_t arrow = tn__sequence_send(scenario->sequence, frame->from, frame->to, actor, label);
    if (is_refusal(message.kind)) {
        tn__sequence_refusal(scenario->sequence, arrow);
    }
    scenario->arrows[scenario->arrows_count++] =
        (struct tn__scenario_arrow){.serial = frame->serial, .arrow = arrow};
    bool proposes = message.kind == TN_MESSAGE_PREPARE || message.kind == TN_MESSAGE_ACCEPT ||
                    message.kind == TN_MESSAGE_RELEASE || message.kind == TN_MESSAGE_LEARN;
    if (proposes) {
        tn__growing_add(&scenario->sends, "%s%u->%u %s",
                        scenario->sends.length == 0 ? "  " : "    ", frame->from + 1, frame->to + 1,
                        label);
    }
}

void tn__scenario_flush_losses(struct tn__scenario *scenario)
{
    if (scenario->losses.length > 0) {
        tn__growing_add_bytes(&scenario->out, scenario->losses.bytes, scenario->losses.length);
    }
    tn__growing_clear(&scenario->losses);
}

static void see_gone(struct tn__scenario *scenario, const struct tn__sight *sight)
{
    uint32_t arrow = take_arrow(scenario, sight->frame->serial);
    if (arrow == TN_SEQUENCE_NONE || scenario->muted) {
        return;
    }
    if (!scenario->in_turn) {
        tn__scenario_row(scenario);
    }
    tn__sequence_ends(scenario->sequence, arrow, TN_SEQUENCE_LOST);
    /* What is lost as it leaves is told after the turn that sends it. */
    tn__growing_add(&scenario->losses, "  %u->%u %s lost\n", sight->frame->from + 1,
                    sight->frame->to + 1, tn__sequence_label(scenario->sequence, arrow));
    if (!scenario->in_turn) {
        tn__scenario_flush_losses(scenario);
    }
}

/* ---- Seeing ---------------------------------------------------------------------------------- */

static void see_event(struct tn__scenario *scenario, const struct tn__sight *sight)
{
    struct tn__scenario_node *node = &scenario->nodes[sight->process];
    tn_lease_counters(tn__world_lease(scenario->world, sight->process), &node->counters);
    scenario->sayings_count = 0;
    scenario->in_turn = true;
    if (sight->event->kind == TN_EVENT_FRAME && sight->event->items_count > 0) {
        scenario->arrived = sight->event->items[0];
        scenario->arrived.from = (uint8_t)sight->event->from;
    } else {
        scenario->arriving = false;
    }
    if (sight->event->kind != TN_EVENT_FRAME) {
        scenario->row_due = true;
    }
}

static void see_started(struct tn__scenario *scenario, const struct tn__sight *sight)
{
    uint32_t member = tn__world_member(scenario->world, sight->process);
    struct tn__scenario_node *node = &scenario->nodes[sight->process];
    if (scenario->runs_count[member] < TN__SCENARIO_RUNS_MAX) {
        scenario->runs[member][scenario->runs_count[member]++] = sight->word;
    }
    if (scenario->muted) {
        return;
    }
    struct tn_lease_status status;
    tn_lease_status(tn__world_lease(scenario->world, sight->process), sight->local, &status);
    tn__scenario_row(scenario);
    tn__scenario_cut_bar(scenario, &node->other_bar);
    tn__scenario_tell(scenario, NULL, sight->process, TN_SEQUENCE_SAID, "A4",
                      "starts, run %u, silent until %s", scenario->runs_count[member],
                      tn__scenario_when(scenario, sight->process, status.quarantine_end).text);
    tn__scenario_new_bar(scenario, &node->quarantine_bar, sight->process, TN_SEQUENCE_QUARANTINE,
                         (struct tn_ballot){0},
                         tn__scenario_real(scenario, sight->process, status.quarantine_end));
}

static void see_crashed(struct tn__scenario *scenario, const struct tn__sight *sight)
{
    struct tn__scenario_node *node = &scenario->nodes[sight->process];
    tn__growing_clear(&scenario->sends);
    scenario->sayings_count = 0;
    scenario->in_turn = false;
    if (scenario->muted) {
        return;
    }
    tn__scenario_flush_losses(scenario);
    tn__scenario_row(scenario);
    tn__scenario_tell(scenario, NULL, sight->process, TN_SEQUENCE_CRASHED, "", "crashes");
    tn__scenario_cut_bar(scenario, &node->lease_bar);
    tn__scenario_cut_bar(scenario, &node->exclusion_bar);
    tn__scenario_cut_bar(scenario, &node->quarantine_bar);
    tn__scenario_new_bar(scenario, &node->other_bar, sight->process, TN_SEQUENCE_DOWN,
                         (struct tn_ballot){0}, TN_TIME_NEVER);
}

static void see_delivered(struct tn__scenario *scenario, const struct tn__sight *sight)
{
    uint32_t arrow = take_arrow(scenario, sight->frame->serial);
    scenario->arriving = true;
    scenario->row_due = false;
    if (arrow == TN_SEQUENCE_NONE || scenario->muted) {
        return;
    }
    tn__scenario_row(scenario);
    tn__sequence_ends(scenario->sequence, arrow, TN_SEQUENCE_ARRIVED);
}

static void see_said(struct tn__scenario *scenario, const struct tn__sight *sight)
{
    if (scenario->row_due && !scenario->muted) {
        tn__scenario_row(scenario);
        scenario->row_due = false;
    }
    if (scenario->sayings_count == TN__SCENARIO_SAYINGS_MAX) {
        return;
    }
    struct tn__scenario_saying *saying = &scenario->sayings[scenario->sayings_count++];
    *saying = (struct tn__scenario_saying){.is_notice = sight->kind == TN_SIGHT_NOTICE};
    if (saying->is_notice) {
        saying->notice = *sight->notice;
    } else {
        saying->message = *sight->message;
        saying->to = (tn_member_set)sight->word;
    }
}

static void see_paused(struct tn__scenario *scenario, const struct tn__sight *sight)
{
    struct tn__scenario_node *node = &scenario->nodes[sight->process];
    bool paused = sight->kind == TN_SIGHT_PAUSED;
    tn__scenario_row(scenario);
    tn__scenario_cut_bar(scenario, &node->other_bar);
    tn__scenario_tell(scenario, NULL, sight->process, TN_SEQUENCE_SAID, "",
                      paused ? "is paused" : "goes on");
    if (paused) {
        tn__scenario_new_bar(scenario, &node->other_bar, sight->process, TN_SEQUENCE_PAUSED,
                             (struct tn_ballot){0}, TN_TIME_NEVER);
    }
}

void tn__scenario_see(void *context, const struct tn__sight *sight)
{
    struct tn__scenario *scenario = context;
    switch ((enum tn__sight_kind)sight->kind) {
    case TN_SIGHT_STARTED:
        see_started(scenario, sight);
        break;
    case TN_SIGHT_NOT_STARTED:
        tn__scenario_tell(scenario, NULL, sight->process, TN_SEQUENCE_REFUSED, "",
                          "does not start: %s", tn_strerror(-(int)sight->word));
        break;
    case TN_SIGHT_CRASHED:
        see_crashed(scenario, sight);
        break;
    case TN_SIGHT_PAUSED:
    case TN_SIGHT_RESUMED:
        see_paused(scenario, sight);
        break;
    case TN_SIGHT_EVENT:
        see_event(scenario, sight);
        break;
    case TN_SIGHT_SENT:
    case TN_SIGHT_NOTICE:
        see_said(scenario, sight);
        break;
    case TN_SIGHT_FRAME:
        tn__scenario_enter(scenario, slot_of(scenario, sight->frame));
        break;
    case TN_SIGHT_DELIVERED:
        see_delivered(scenario, sight);
        break;
    case TN_SIGHT_REFUSED:
    case TN_SIGHT_LOST:
        see_gone(scenario, sight);
        break;
    case TN_SIGHT_TURN_ENDED:
        tn__scenario_turn_ended(scenario, sight);
        break;
    case TN_SIGHT_RECORD:
    case TN_SIGHT_WAKE:
        break;
    }
}
