/* Verbs for messages in flight: which of them arrive, are lost, wait, or are there twice. */
#include <string.h>

#include "base/assert.h"
#include "sim/scenario_internal.h"

/* What a command is about. */
struct choice {
    uint32_t kinds; /* one bit a kind */
    tn_member_set from;
    tn_member_set to;
    const char *ballot; /* as the story writes it; NULL: any */
    uint64_t only;      /* at most so many */
    bool held;
    bool any; /* none is no error */
};

static bool read_kinds(const char *text, uint32_t *kinds)
{
    static const char *const names[TN_MESSAGE_KINDS_END] = {
        "",       "prepare",  "promise", "closed",  "rejected",
        "accept", "accepted", "refused", "release", "learn"};
    *kinds = 0;
    const char *at = text;
    for (;;) {
        size_t length = strcspn(at, ",");
        uint32_t found = 0;
        for (uint32_t i = 1; i < TN_MESSAGE_KINDS_END; i++) {
            if (strlen(names[i]) == length && memcmp(names[i], at, length) == 0) {
                found = 1U << i;
            }
        }
        if (found == 0) {
            return false;
        }
        *kinds |= found;
        if (at[length] == '\0') {
            return true;
        }
        at += length + 1;
    }
}

static bool read_choice(struct tn__scenario *scenario, struct tn__scenario_command *command,
                        struct choice *choice)
{
    const char *kinds = tn__scenario_value(command, "kind");
    *choice = (struct choice){.kinds = UINT32_MAX, .only = UINT64_MAX};
    if (kinds != NULL && !read_kinds(kinds, &choice->kinds)) {
        tn__scenario_error(scenario, "kind=%s is not a list of kinds", kinds);
        return false;
    }
    choice->ballot = tn__scenario_value(command, "ballot");
    choice->held = tn__scenario_has(command, "held");
    choice->any = tn__scenario_has(command, "any");
    return tn__scenario_nodes_of(scenario, command, "from", UINT32_MAX, &choice->from) &&
           tn__scenario_nodes_of(scenario, command, "to", UINT32_MAX, &choice->to) &&
           tn__scenario_number_of(scenario, command, "only", &choice->only);
}

static bool matches(struct tn__scenario *scenario, const struct choice *choice, uint32_t slot)
{
    const struct tn__world_frame *frame = tn__world_frame(scenario->world, slot);
    const struct tn__scenario_arrow *arrow = tn__scenario_arrow(scenario, frame->serial);
    struct tn_message messages[TN_FRAME_ITEMS_MAX];
    if (arrow == NULL || arrow->held != choice->held || frame->waiting != 0 ||
        (choice->from >> frame->from & 1U) == 0 || (choice->to >> frame->to & 1U) == 0 ||
        (choice->kinds >> frame->kind & 1U) == 0) {
        return false;
    }
    if (choice->ballot == NULL) {
        return true;
    }
    return tn__world_frame_messages(scenario->world, slot, messages, TN_FRAME_ITEMS_MAX) > 0 &&
           strcmp(tn__scenario_ballot(scenario, messages[0].ballot).text, choice->ballot) == 0;
}

/* The messages in flight that are meant, as they are now: what they lead to is not among them. */
struct chosen {
    uint64_t serials[TN_WORLD_FRAMES_MAX];
    uint32_t count;
};

static void choose(struct tn__scenario *scenario, const struct choice *choice,
                   struct chosen *chosen)
{
    chosen->count = 0;
    for (uint32_t slot = tn__world_first_frame(scenario->world);
         slot != TN_WORLD_NONE && chosen->count < choice->only;
         slot = tn__world_next_frame(scenario->world, slot)) {
        if (matches(scenario, choice, slot)) {
            chosen->serials[chosen->count++] = tn__world_frame(scenario->world, slot)->serial;
        }
    }
}

static uint32_t find_frame(struct tn__scenario *scenario, uint64_t serial)
{
    uint32_t slot = tn__world_first_frame(scenario->world);
    while (slot != TN_WORLD_NONE && tn__world_frame(scenario->world, slot)->serial != serial) {
        slot = tn__world_next_frame(scenario->world, slot);
    }
    return slot;
}

bool tn__scenario_parted(const struct tn__scenario *scenario, uint32_t from, uint32_t to)
{
    return scenario->is_split && scenario->nodes[from].group != scenario->nodes[to].group;
}

static void deliver_chosen(struct tn__scenario *scenario, const struct chosen *chosen)
{
    for (uint32_t i = 0; i < chosen->count; i++) {
        uint32_t slot = find_frame(scenario, chosen->serials[i]);
        if (slot == TN_WORLD_NONE) {
            continue; /* gone with something that happened meanwhile */
        }
        const struct tn__world_frame *frame = tn__world_frame(scenario->world, slot);
        if (tn__scenario_parted(scenario, frame->from, frame->to)) {
            tn__world_drop_frame(scenario->world, slot);
        } else {
            tn__world_deliver_frame(scenario->world, slot);
        }
        tn__scenario_finish_writes(scenario);
    }
}

void tn__scenario_do_deliver(struct tn__scenario *scenario, struct tn__scenario_command *command)
{
    struct choice choice;
    struct chosen chosen;
    uint64_t repeat = 1;
    if (!read_choice(scenario, command, &choice) ||
        !tn__scenario_number_of(scenario, command, "repeat", &repeat)) {
        return;
    }
    for (uint64_t i = 0; i < repeat && i < TN__SCENARIO_ROUNDS_MAX; i++) {
        choose(scenario, &choice, &chosen);
        if (chosen.count == 0 && i == 0 && !choice.any) {
            tn__scenario_error(scenario, "no such message is in flight");
        }
        deliver_chosen(scenario, &chosen);
    }
}

void tn__scenario_do_settle(struct tn__scenario *scenario, struct tn__scenario_command *command)
{
    struct choice choice;
    struct chosen chosen;
    if (!read_choice(scenario, command, &choice)) {
        return;
    }
    for (uint32_t i = 0; i < TN__SCENARIO_ROUNDS_MAX; i++) {
        choose(scenario, &choice, &chosen);
        if (chosen.count == 0) {
            return;
        }
        deliver_chosen(scenario, &chosen);
    }
}

void tn__scenario_do_drop(struct tn__scenario *scenario, struct tn__scenario_command *command)
{
    struct choice choice;
    struct chosen chosen;
    if (!read_choice(scenario, command, &choice)) {
        return;
    }
    choose(scenario, &choice, &chosen);
    if (chosen.count == 0 && !choice.any) {
        tn__scenario_error(scenario, "no such message is in flight");
    }
    for (uint32_t i = 0; i < chosen.count; i++) {
        tn__world_drop_frame(scenario->world, find_frame(scenario, chosen.serials[i]));
    }
}

void tn__scenario_do_hold(struct tn__scenario *scenario, struct tn__scenario_command *command)
{
    struct choice choice;
    struct chosen chosen;
    if (!read_choice(scenario, command, &choice)) {
        return;
    }
    choose(scenario, &choice, &chosen);
    if (chosen.count == 0 && !choice.any) {
        tn__scenario_error(scenario, "no such message is in flight");
    }
    for (uint32_t i = 0; i < chosen.count; i++) {
        struct tn__scenario_arrow *arrow = tn__scenario_arrow(scenario, chosen.serials[i]);
        uint32_t slot = find_frame(scenario, chosen.serials[i]);
        const struct tn__world_frame *frame = tn__world_frame(scenario->world, slot);
        arrow->held = true;
        tn__world_plan_frame(scenario->world, slot, TN_TIME_NEVER);
        tn__sequence_held(scenario->sequence, arrow->arrow);
        tn__scenario_say(scenario, "  %u->%u %s is held", frame->from + 1, frame->to + 1,
                         tn__sequence_label(scenario->sequence, arrow->arrow));
    }
}

void tn__scenario_do_duplicate(struct tn__scenario *scenario, struct tn__scenario_command *command)
{
    struct choice choice;
    struct chosen chosen;
    if (!read_choice(scenario, command, &choice)) {
        return;
    }
    choose(scenario, &choice, &chosen);
    if (chosen.count == 0 && !choice.any) {
        tn__scenario_error(scenario, "no such message is in flight");
    }
    for (uint32_t i = 0; i < chosen.count; i++) {
        uint32_t slot = find_frame(scenario, chosen.serials[i]);
        uint32_t copy = tn__world_copy_frame(scenario->world, slot);
        if (copy == TN_WORLD_NONE) {
            tn__scenario_error(scenario, "too many messages are in flight");
            return;
        }
        tn__scenario_enter(scenario, copy);
        tn__growing_clear(&scenario->sends);
        const struct tn__world_frame *frame = tn__world_frame(scenario->world, copy);
        const struct tn__scenario_arrow *arrow = tn__scenario_arrow(scenario, frame->serial);
        tn__scenario_say(scenario, "  %u->%u %s twice", frame->from + 1, frame->to + 1,
                         tn__sequence_label(scenario->sequence, arrow->arrow));
    }
}

/* ---- Splits and latency ---------------------------------------------------------------------- */

void tn__scenario_do_split(struct tn__scenario *scenario, struct tn__scenario_command *command)
{
    uint32_t nodes = tn__world_nodes(scenario->world);
    for (uint32_t i = 0; i < nodes; i++) {
        scenario->nodes[i].group = i + nodes + 1; /* alone, unless named below */
    }
    const char *group;
    for (uint32_t number = 0; (group = tn__scenario_bare(command)) != NULL; number++) {
        tn_member_set members;
        if (!tn__scenario_nodes(group, nodes, &members)) {
            tn__scenario_error(scenario, "%s is not a list of nodes", group);
            return;
        }
        for (uint32_t i = 0; i < nodes; i++) {
            if ((members >> i & 1U) != 0) {
                scenario->nodes[i].group = number;
            }
        }
    }
    scenario->is_split = true;
}

void tn__scenario_do_heal(struct tn__scenario *scenario, struct tn__scenario_command *command)
{
    (void)command;
    scenario->is_split = false;
}

void tn__scenario_do_network(struct tn__scenario *scenario, struct tn__scenario_command *command)
{
    if (tn__scenario_has(command, "manual")) {
        scenario->latency = 0;
        return;
    }
    tn__scenario_span_of(scenario, command, "latency", &scenario->latency);
    if (scenario->latency == 0) {
        tn__scenario_error(scenario, "network latency= or manual?");
    }
}

void tn__scenario_frame_sent(void *context, uint32_t slot)
{
    struct tn__scenario *scenario = context;
    if (scenario->latency == 0) {
        return;
    }
    const struct tn__world_frame *frame = tn__world_frame(scenario->world, slot);
    if (tn__scenario_parted(scenario, frame->from, frame->to)) {
        tn__world_drop_frame(scenario->world, slot);
        return;
    }
    tn__world_plan_frame(scenario->world, slot, tn__world_now(scenario->world) + scenario->latency);
}
