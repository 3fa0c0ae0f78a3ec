/* The small lease model's judgement of a state: the invariants, the constraint with its guides, and
 * how states and events are written. */
#include "model/lease_model.h"

#include <inttypes.h>

static bool is_in(uint8_t set, uint32_t index)
{
    return (set >> index & 1) != 0;
}

/* ---- invariants ---- */

static const char *check_proposer(const struct tn__lease_row *row,
                                  const struct tn__lease_state *state, uint32_t p)
{
    const struct tn__lease_proposer *proposer = &state->proposers[p];
    if (!is_in(state->active, p)) {
        return NULL;
    }
    if (state->now >= proposer->deadline) {
        return "ActiveImpliesUnexpired";
    }
    if (proposer->active_ballot == 0) {
        return "ActiveBallotWellFormed";
    }
    if ((row->weaknesses & TN_LEASE_COUNT_MESSAGES) == 0 &&
        __builtin_popcount(proposer->certificate) * 2 <= row->acceptors_count) {
        return "ActivationHasQuorum";
    }
    for (uint32_t a = 0; a < row->acceptors_count; a++) {
        if (is_in(proposer->certificate, a) &&
            proposer->deadline > proposer->certificate_deadline[a]) {
            return "TimerContainment";
        }
    }
    return NULL;
}

static const char *check_acceptor(const struct tn__lease_state *state, uint32_t a)
{
    const struct tn__lease_acceptor *acceptor = &state->acceptors[a];
    if (acceptor->owner != 0 && (acceptor->ballot == 0 || acceptor->deadline == 0)) {
        return "AcceptedCoherence";
    }
    if (acceptor->owner == 0 && (acceptor->ballot != 0 || acceptor->deadline != 0)) {
        return "AcceptedCoherence";
    }
    if (state->now < acceptor->quarantine && (acceptor->owner != 0 || acceptor->promised != 0)) {
        return "QuarantinePreventsParticipation";
    }
    return NULL;
}

const char *tn__lease_state_check(void *context, const void *bytes)
{
    const struct tn__lease_model *model = context;
    const struct tn__lease_state *state = bytes;
    if (__builtin_popcount(state->active) > 1) {
        return "LeaseExclusivity";
    }
    const char *violated = NULL;
    for (uint32_t p = 0; violated == NULL && p < model->row->proposers_count; p++) {
        violated = check_proposer(model->row, state, p);
    }
    for (uint32_t a = 0; violated == NULL && a < model->row->acceptors_count; a++) {
        violated = check_acceptor(state, a);
    }
    return violated;
}

/* ---- guides: lease_rows.h says what each allows ---- */

static bool inside_incarnation_guide(const struct tn__lease_state *state)
{
    const struct tn__lease_proposer *p1 = &state->proposers[0];
    const struct tn__lease_proposer *p2 = &state->proposers[1];
    const struct tn__lease_acceptor *a3 = &state->acceptors[2];
    bool p1_was_down = is_in(state->crashed_proposers, 0) || p1->incarnation == 1;
    bool a2_was_down = is_in(state->crashed_acceptors, 1) || state->acceptors[1].quarantine > 0;
    uint8_t p1_ballot = p1->incarnation == 0 ? 2 : 1;
    return (p1->ballot == 0 || p1->ballot == p1_ballot) && (p2->ballot == 0 || p2->ballot == 3) &&
           (p2->ballot != 3 || p1->incarnation == 1) && (state->crashed_proposers & ~1U) == 0 &&
           (state->crashed_acceptors & ~2U) == 0 && (!p1_was_down || p1->active_ballot != 0) &&
           (!a2_was_down || p1_was_down) &&
           (p1->incarnation != 0 || (a3->promised == 0 && a3->owner == 0)) &&
           (state->now == 0 || p1->incarnation == 1) &&
           (p2->ballot != 3 || (is_in(state->active, 0) && p1->active_ballot == 1));
}

static bool inside_renew_crash_guide(const struct tn__lease_state *state)
{
    uint8_t p1_ballot = state->proposers[0].ballot;
    uint8_t p2_ballot = state->proposers[1].ballot;
    const struct tn__lease_acceptor *acceptors = state->acceptors;
    return p1_ballot <= 1 && p2_ballot != 1 && (p2_ballot != 3 || is_in(state->used, 2)) &&
           (state->crashed_acceptors & ~2U) == 0 && acceptors[1].quarantine <= 2 &&
           acceptors[0].quarantine == 0 && acceptors[2].quarantine == 0 &&
           state->crashed_proposers == 0 &&
           (acceptors[2].promised != 2 || acceptors[2].ballot == 2) && acceptors[0].ballot != 1 &&
           acceptors[1].ballot != 2 && (p1_ballot != 1 || state->now >= 1);
}

static bool inside_release_crash_guide(const struct tn__lease_state *state)
{
    uint8_t p1_ballot = state->proposers[0].ballot;
    uint8_t p2_ballot = state->proposers[1].ballot;
    return state->crashed_proposers == 0 && (state->crashed_acceptors & ~2U) == 0 &&
           p1_ballot <= 1 && p2_ballot != 1 && (state->now != 0 || p1_ballot == 0);
}

bool tn__lease_state_inside(void *context, const void *bytes)
{
    const struct tn__lease_model *model = context;
    const struct tn__lease_state *state = bytes;
    if (state->messages_count > model->row->messages_max) {
        return false;
    }
    switch (model->row->guide) {
    case TN_LEASE_GUIDE_NONE:
        return true;
    case TN_LEASE_GUIDE_INCARNATION:
        return inside_incarnation_guide(state);
    case TN_LEASE_GUIDE_RENEW_CRASH:
        return inside_renew_crash_guide(state);
    case TN_LEASE_GUIDE_RELEASE_CRASH:
        return inside_release_crash_guide(state);
    }
    return false;
}

/* ---- text ---- */

static void message_print(tn__lease_packed packed, struct tn__text *text)
{
    static const char *const kinds[] = {"prepare", "accept", "accepted", "release", "promise"};
    struct tn__lease_message message = tn__lease_message_unpack(packed);
    bool answer = message.kind == TN_LEASE_PROMISE || message.kind == TN_LEASE_ACCEPTED;
    tn__text_add(text, answer ? "%s(%u) a%u>p%u" : "%s(%u) p%u>a%u", kinds[message.kind],
                 message.ballot, (answer ? message.acceptor : message.proposer) + 1U,
                 (answer ? message.proposer : message.acceptor) + 1U);
    if (message.owner != 0) {
        tn__text_add(text, " reports p%u/%u", message.owner, message.accepted_ballot);
    }
}

void tn__lease_event_print(void *context, uint32_t event, struct tn__text *text)
{
    (void)context;
    uint32_t value = event & ((1U << TN_LEASE_EVENT_SHIFT) - 1);
    uint32_t index = (value >> 8) + 1;
    static const char *const names[] = {
        "begin",    "starts",
        "deliver",  "deliver and keep",
        "lose",     "has its quorum and asks for acceptance",
        "abandons", "releases",
        "crashes",  "restarts",
        "crashes",  "restarts",
        "tick",     "end",
    };
    enum tn__lease_event kind = (enum tn__lease_event)(event >> TN_LEASE_EVENT_SHIFT);
    switch (kind) {
    case TN_LEASE_EVENT_START:
        tn__text_add(text, "p%" PRIu32 " starts with ballot %" PRIu32, index, value & 0xff);
        return;
    case TN_LEASE_EVENT_DELIVER:
    case TN_LEASE_EVENT_DELIVER_KEEP:
    case TN_LEASE_EVENT_LOSE:
        tn__text_add(text, "%s ", names[kind]);
        message_print((tn__lease_packed)value, text);
        return;
    case TN_LEASE_EVENT_BEGIN:
    case TN_LEASE_EVENT_TICK:
    case TN_LEASE_EVENT_END:
        tn__text_add(text, "%s", names[kind]);
        return;
    case TN_LEASE_EVENT_CRASH_ACCEPTOR:
    case TN_LEASE_EVENT_RESTART_ACCEPTOR:
        tn__text_add(text, "a%" PRIu32 " %s", index, names[kind]);
        return;
    default:
        tn__text_add(text, "p%" PRIu32 " %s", index, names[kind]);
        return;
    }
}

void tn__lease_state_print(void *context, const void *bytes, struct tn__text *text)
{
    static const char phases[] = "ipa";
    const struct tn__lease_model *model = context;
    const struct tn__lease_state *state = bytes;
    tn__text_add(text, "t=%u", state->now);
    for (uint32_t p = 0; p < model->row->proposers_count; p++) {
        const struct tn__lease_proposer *proposer = &state->proposers[p];
        tn__text_add(text, " p%" PRIu32 "%s{%c ballot %u until %u, open %x accepted %x}", p + 1,
                     is_in(state->active, p) ? "*" : "", phases[proposer->phase], proposer->ballot,
                     proposer->pending, proposer->open, proposer->accepted);
    }
    for (uint32_t a = 0; a < model->row->acceptors_count; a++) {
        const struct tn__lease_acceptor *acceptor = &state->acceptors[a];
        tn__text_add(text, " a%" PRIu32 "{promised %u, p%u/%u until %u, silent to %u}", a + 1,
                     acceptor->promised, acceptor->owner, acceptor->ballot, acceptor->deadline,
                     acceptor->quarantine);
    }
    for (uint32_t i = 0; i < state->messages_count; i++) {
        tn__text_add(text, i == 0 ? " [" : "; ");
        message_print(state->messages[i], text);
    }
    tn__text_add(text, state->messages_count > 0 ? "]" : "");
}
