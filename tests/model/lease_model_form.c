/* The reductions of the small lease model: which states are as good as one.
 *
 * Normal form. A part of a state is dropped when no future event can tell the difference:
 *  - an answer that will never count: to a proposer that is down or has gone on to another ballot
 *    (ballots are used once), of the wrong phase, from an acceptor already counted, or closed (it
 *    cannot open: only an activation could make it the lease held, and that needs another phase);
 *  - a lease that is over, a quarantine that is over or will be set again by the restart;
 *  - fields of a phase that is not in progress, and the ballot of a proposer that is down;
 *  - how far beyond a proposer's deadline an acceptor's lies: the invariant needs only "not
 * before". An attempt whose deadline passed is made idle at once. The specification lets it linger,
 * for ever where abandoning is off, so this adds behaviours: a pass of the reduced graph implies
 * the pass of the full one. Dropped answers no longer use up room in the network, with the same
 * consequence.
 *
 * Symmetry. Proposers and acceptors are only compared for being the same, so a state's images under
 * renaming have the same future. The representative is the least image among those whose acceptors
 * are sorted, which spares most of the images: which of them are sorted does not depend on the
 * image that one starts from. */
#include "model/lease_model.h"

#include <string.h>

#include "base/assert.h"

static bool is_in(uint8_t set, uint32_t index)
{
    return (set >> index & 1) != 0;
}

bool tn__lease_model_reducible(const struct tn__lease_row *row)
{
    return row->guide == TN_LEASE_GUIDE_NONE &&
           (row->weaknesses & (TN_LEASE_COUNT_MESSAGES | TN_LEASE_SHIPPED)) == 0;
}

/* ---- normal form ---- */

bool tn__lease_message_normalise(const struct tn__lease_row *row,
                                 const struct tn__lease_state *state,
                                 struct tn__lease_message *message)
{
    const struct tn__lease_proposer *proposer = &state->proposers[message->proposer];
    bool expected =
        !is_in(state->crashed_proposers, message->proposer) && message->ballot == proposer->ballot;
    if (message->kind == TN_LEASE_ACCEPTED) {
        if (message->deadline > proposer->pending) {
            message->deadline = proposer->pending;
        }
        return expected && proposer->phase == TN_LEASE_ACCEPTING &&
               !is_in(proposer->accepted, message->acceptor);
    }
    if (message->kind != TN_LEASE_PROMISE) {
        return true;
    }
    if (!expected || proposer->phase != TN_LEASE_PREPARING ||
        is_in(proposer->open, message->acceptor)) {
        return false;
    }
    message->deadline = 0;
    if (message->owner == 0) {
        return true;
    }
    if (message->owner != message->proposer + 1) {
        return false;
    }
    if ((row->weaknesses & TN_LEASE_OWN_OPEN) != 0) {
        message->owner = 0;
        message->accepted_ballot = 0;
        return true;
    }
    return is_in(state->active, message->proposer) &&
           message->accepted_ballot == proposer->active_ballot;
}

static void acceptor_normalise(struct tn__lease_state *state, uint32_t a)
{
    struct tn__lease_acceptor *acceptor = &state->acceptors[a];
    if (acceptor->owner != 0 && acceptor->deadline <= state->now) {
        acceptor->owner = 0;
        acceptor->incarnation = 0;
        acceptor->ballot = 0;
        acceptor->deadline = 0;
    }
    if (acceptor->quarantine <= state->now || is_in(state->crashed_acceptors, a)) {
        acceptor->quarantine = 0;
    }
}

/* TimerContainment asks whether an acceptor's deadline is before the proposer's, not where. */
static void certificate_normalise(const struct tn__lease_row *row,
                                  const struct tn__lease_state *state, uint32_t p,
                                  struct tn__lease_proposer *proposer)
{
    for (uint32_t a = 0; a < row->acceptors_count; a++) {
        bool pending = proposer->phase == TN_LEASE_ACCEPTING && is_in(proposer->accepted, a);
        bool held = is_in(state->active, p) && is_in(proposer->certificate, a);
        uint8_t limit = pending ? proposer->pending : held ? proposer->deadline : 0;
        if (proposer->certificate_deadline[a] > limit) {
            proposer->certificate_deadline[a] = limit;
        }
    }
}

static void proposer_normalise(const struct tn__lease_row *row, struct tn__lease_state *state,
                               uint32_t p)
{
    struct tn__lease_proposer *proposer = &state->proposers[p];
    bool untimed =
        (row->weaknesses & TN_LEASE_LATE_TIMER) != 0 && proposer->phase == TN_LEASE_PREPARING;
    if (is_in(state->crashed_proposers, p)) {
        proposer->ballot = 0;
    }
    if (!untimed && state->now >= proposer->pending) {
        proposer->phase = TN_LEASE_IDLE;
    }
    if (untimed || proposer->phase == TN_LEASE_IDLE) {
        proposer->pending = 0;
    }
    if (proposer->phase != TN_LEASE_PREPARING) {
        proposer->open = 0;
    }
    if (proposer->phase != TN_LEASE_ACCEPTING) {
        proposer->accepted = 0;
    }
    if (!is_in(state->active, p)) {
        proposer->deadline = 0;
        proposer->active_ballot = 0;
        proposer->certificate = 0;
    }
    certificate_normalise(row, state, p, proposer);
}

/* Put packed messages in order, each once; returns their number. */
static uint8_t messages_sort(tn__lease_packed *messages, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        tn__lease_packed message = messages[i];
        uint32_t place = i;
        for (; place > 0 && messages[place - 1] > message; place--) {
            messages[place] = messages[place - 1];
        }
        messages[place] = message;
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (kept == 0 || messages[kept - 1] != messages[i]) {
            messages[kept++] = messages[i];
        }
    }
    for (uint32_t i = kept; i < count; i++) {
        messages[i] = 0;
    }
    return (uint8_t)kept;
}

void tn__lease_state_normalise(const struct tn__lease_row *row, struct tn__lease_state *state)
{
    for (uint32_t a = 0; a < row->acceptors_count; a++) {
        acceptor_normalise(state, a);
    }
    for (uint32_t p = 0; p < row->proposers_count; p++) {
        proposer_normalise(row, state, p);
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < state->messages_count; i++) {
        struct tn__lease_message message = tn__lease_message_unpack(state->messages[i]);
        if (tn__lease_message_normalise(row, state, &message)) {
            state->messages[count++] = tn__lease_message_pack(&message);
        }
    }
    for (uint32_t i = count; i < state->messages_count; i++) {
        state->messages[i] = 0;
    }
    state->messages_count = messages_sort(state->messages, count);
}

/* ---- symmetry ---- */

/* A renaming: proposer p becomes proposers[p], acceptor a becomes acceptors[a]. */
struct renaming {
    uint8_t proposers[TN_LEASE_MODEL_PROPOSERS_MAX];
    uint8_t acceptors[TN_LEASE_MODEL_ACCEPTORS_MAX];
};

static const uint8_t proposer_orders[][TN_LEASE_MODEL_PROPOSERS_MAX] = {{0, 1}, {1, 0}};
/* The first two leave the third acceptor alone, so they serve for two acceptors. */
static const uint8_t acceptor_orders[][TN_LEASE_MODEL_ACCEPTORS_MAX] = {
    {0, 1, 2}, {1, 0, 2}, {0, 2, 1}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0},
};

static uint32_t acceptor_orders_count(const struct tn__lease_row *row)
{
    static const uint32_t factorials[] = {1, 1, 2, 6};
    return factorials[row->acceptors_count];
}

static uint32_t renamings_count(const struct tn__lease_row *row)
{
    return row->proposers_count * acceptor_orders_count(row);
}

static struct renaming renaming_of(const struct tn__lease_row *row, uint32_t index)
{
    struct renaming renaming;
    uint32_t orders = acceptor_orders_count(row);
    memcpy(renaming.proposers, proposer_orders[index / orders], sizeof(renaming.proposers));
    memcpy(renaming.acceptors, acceptor_orders[index % orders], sizeof(renaming.acceptors));
    return renaming;
}

static uint8_t set_rename(uint8_t set, const uint8_t *names, uint32_t count)
{
    uint32_t renamed = 0;
    for (uint32_t i = 0; i < count; i++) {
        renamed |= (uint32_t)(set >> i & 1) << names[i];
    }
    return (uint8_t)renamed;
}

static uint8_t owner_rename(uint8_t owner, const struct renaming *renaming)
{
    return owner == 0 ? 0 : (uint8_t)(renaming->proposers[owner - 1] + 1);
}

static void image(const struct tn__lease_row *row, const struct tn__lease_state *state,
                  const struct renaming *renaming, struct tn__lease_state *out)
{
    uint32_t proposers = row->proposers_count;
    uint32_t acceptors = row->acceptors_count;
    *out = *state;
    out->active = set_rename(state->active, renaming->proposers, proposers);
    out->crashed_proposers = set_rename(state->crashed_proposers, renaming->proposers, proposers);
    out->crashed_acceptors = set_rename(state->crashed_acceptors, renaming->acceptors, acceptors);
    for (uint32_t a = 0; a < acceptors; a++) {
        struct tn__lease_acceptor *acceptor = &out->acceptors[renaming->acceptors[a]];
        *acceptor = state->acceptors[a];
        acceptor->owner = owner_rename(acceptor->owner, renaming);
    }
    for (uint32_t p = 0; p < proposers; p++) {
        const struct tn__lease_proposer *from = &state->proposers[p];
        struct tn__lease_proposer *proposer = &out->proposers[renaming->proposers[p]];
        *proposer = *from;
        proposer->open = set_rename(from->open, renaming->acceptors, acceptors);
        proposer->accepted = set_rename(from->accepted, renaming->acceptors, acceptors);
        proposer->certificate = set_rename(from->certificate, renaming->acceptors, acceptors);
        for (uint32_t a = 0; a < acceptors; a++) {
            proposer->certificate_deadline[renaming->acceptors[a]] = from->certificate_deadline[a];
        }
    }
    for (uint32_t i = 0; i < state->messages_count; i++) {
        out->messages[i] =
            tn__lease_message_rename(state->messages[i], renaming->proposers, renaming->acceptors);
    }
    (void)messages_sort(out->messages, state->messages_count);
}

/* All of an acceptor in one number, its owner renamed: what acceptors are sorted by. */
static uint64_t acceptor_key(const struct tn__lease_state *state, uint32_t a,
                             const struct renaming *renaming)
{
    const struct tn__lease_acceptor *acceptor = &state->acceptors[a];
    return (uint64_t)is_in(state->crashed_acceptors, a) << 48 | (uint64_t)acceptor->promised << 40 |
           (uint64_t)owner_rename(acceptor->owner, renaming) << 32 |
           (uint64_t)acceptor->incarnation << 24 | (uint64_t)acceptor->ballot << 16 |
           (uint64_t)acceptor->deadline << 8 | acceptor->quarantine;
}

/* Does an order of acceptors put these keys, each under the acceptor's old name, in order? */
static bool sorts_keys(const uint64_t *keys, const uint8_t *order, uint32_t count)
{
    uint64_t sorted[TN_LEASE_MODEL_ACCEPTORS_MAX] = {0};
    for (uint32_t a = 0; a < count; a++) {
        sorted[order[a]] = keys[a];
    }
    bool ascending = true;
    for (uint32_t a = 1; a < count; a++) {
        ascending = ascending && sorted[a - 1] <= sorted[a];
    }
    return ascending;
}

void tn__lease_state_least_image(const struct tn__lease_row *row, struct tn__lease_state *state)
{
    struct tn__lease_state least;
    bool any = false;
    uint32_t orders = acceptor_orders_count(row);
    uint64_t keys[TN_LEASE_MODEL_ACCEPTORS_MAX] = {0};
    for (uint32_t i = 0; i < renamings_count(row); i++) {
        struct renaming renaming = renaming_of(row, i);
        /* An owner's new name is part of the key, so keys change with the order of proposers. */
        for (uint32_t a = 0; i % orders == 0 && a < row->acceptors_count; a++) {
            keys[a] = acceptor_key(state, a, &renaming);
        }
        if (!sorts_keys(keys, renaming.acceptors, row->acceptors_count)) {
            continue;
        }
        struct tn__lease_state candidate;
        image(row, state, &renaming, &candidate);
        if (!any || memcmp(&candidate, &least, sizeof(least)) < 0) {
            least = candidate;
            any = true;
        }
    }
    tn_assert(any);
    *state = least;
}

uint64_t tn__lease_state_images(const struct tn__lease_row *row,
                                const struct tn__lease_state *state)
{
    uint32_t fixing = 0;
    for (uint32_t i = 0; i < renamings_count(row); i++) {
        struct renaming renaming = renaming_of(row, i);
        struct tn__lease_state candidate;
        image(row, state, &renaming, &candidate);
        fixing += memcmp(&candidate, state, sizeof(candidate)) == 0;
    }
    tn_assert(fixing > 0);
    return renamings_count(row) / fixing;
}

/* ---- congruence ---- */

/* The successors of a normal form, gathered. */
#define SUCCESSORS_MAX 96

struct gathered {
    uint32_t count;
    uint32_t events[SUCCESSORS_MAX];
    struct tn__lease_state states[SUCCESSORS_MAX];
};

static void gather(void *sink, const void *state, uint32_t event)
{
    struct gathered *gathered = sink;
    tn_assert(gathered->count < SUCCESSORS_MAX);
    gathered->events[gathered->count] = event;
    memcpy(&gathered->states[gathered->count], state, sizeof(struct tn__lease_state));
    gathered->count++;
}

struct comparison {
    const struct tn__lease_row *row;
    const struct tn__lease_state *normal;
    const struct gathered *normal_successors;
    const char *wrong;
};

/* The event of the normal form that corresponds to one of the state itself; false: none does. */
static bool event_normalise(const struct comparison *comparison, uint32_t *event)
{
    enum tn__lease_event kind = (enum tn__lease_event)(*event >> TN_LEASE_EVENT_SHIFT);
    if (kind != TN_LEASE_EVENT_DELIVER && kind != TN_LEASE_EVENT_DELIVER_KEEP &&
        kind != TN_LEASE_EVENT_LOSE) {
        return true;
    }
    struct tn__lease_message message = tn__lease_message_unpack((tn__lease_packed)*event);
    if (!tn__lease_message_normalise(comparison->row, comparison->normal, &message)) {
        return false;
    }
    *event = tn__lease_event_number(kind, tn__lease_message_pack(&message));
    return true;
}

static void compare(void *sink, const void *bytes, uint32_t event)
{
    struct comparison *comparison = sink;
    struct tn__lease_state after = *(const struct tn__lease_state *)bytes;
    tn__lease_state_normalise(comparison->row, &after);
    struct tn__lease_state expected = *comparison->normal;
    if (event_normalise(comparison, &event)) {
        const struct gathered *successors = comparison->normal_successors;
        for (uint32_t i = 0; i < successors->count; i++) {
            if (successors->events[i] == event) {
                expected = successors->states[i];
                break;
            }
        }
    }
    tn__lease_state_normalise(comparison->row, &expected);
    if (memcmp(&after, &expected, sizeof(after)) != 0) {
        comparison->wrong = "Congruence";
    }
}

const char *tn__lease_state_congruent(void *context, const void *bytes)
{
    const struct tn__lease_model *model = context;
    struct tn__lease_state normal = *(const struct tn__lease_state *)bytes;
    tn__lease_state_normalise(model->row, &normal);
    struct tn__lease_state again = normal;
    tn__lease_state_normalise(model->row, &again);
    if (memcmp(&again, &normal, sizeof(again)) != 0) {
        return "Idempotence";
    }
    struct gathered gathered = {.count = 0};
    model->explore.successors(context, &normal, gather, &gathered);
    struct comparison comparison = {
        .row = model->row, .normal = &normal, .normal_successors = &gathered};
    model->explore.successors(context, bytes, compare, &comparison);
    return comparison.wrong;
}
