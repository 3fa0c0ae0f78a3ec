/* Packing and unpacking: explore_log_state.h tells the theory. */
#include "check/explore_log_state.h"

#include <string.h>

#include "base/assert.h"

void tn__explore_log_flaw(struct tn__explore_log_cluster *cluster, enum tn__explore_log_flaw flaw)
{
    if (cluster->flaw == TN_EXPLORE_LOG_FLAW_NONE) {
        cluster->flaw = (uint8_t)flaw;
    }
}

struct tn__explore_log_cluster tn__explore_log_open(const struct tn__explore_log *log,
                                                    const void *state)
{
    struct tn__explore_log_cluster cluster;
    memset(&cluster, 0, sizeof(cluster));
    memcpy(&cluster, state, log->model.state_bytes);
    return cluster;
}

struct tn_log_ballot tn__explore_log_ballot(const struct tn__explore_log *log, uint32_t number)
{
    tn_assert(number <= log->config.ballots);
    if (number == 0) {
        return (struct tn_log_ballot){0};
    }
    const struct tn__explore_log_ballot *attempt = &log->config.attempts[number - 1];
    /* Every attempt is of an incarnation of its own: the one before it may have crashed. */
    return (struct tn_log_ballot){.mode_number = 1,
                                  .token = attempt->token,
                                  .attempt = attempt->attempt,
                                  .node = attempt->node,
                                  .restart_word = number};
}

uint32_t tn__explore_log_number(const struct tn__explore_log *log, struct tn_log_ballot ballot)
{
    if (tn_log_ballot_is_none(ballot)) {
        return 0;
    }
    tn_assert(ballot.restart_word >= 1 && ballot.restart_word <= log->config.ballots);
    return (uint32_t)ballot.restart_word;
}

struct tn_log_value tn__explore_log_value(const struct tn__explore_log *log, uint32_t id)
{
    switch (id) {
    case 0:
        return (struct tn_log_value){0};
    case TN_EXPLORE_LOG_NOOP:
        return (struct tn_log_value){.kind = TN_LOG_VALUE_NOOP};
    case TN_EXPLORE_LOG_CHANGE:
        return (struct tn_log_value){
            .kind = TN_LOG_VALUE_CONFIGURATION, .version = 2, .voters = log->config.voters_next};
    default:
        return (struct tn_log_value){.kind = TN_LOG_VALUE_PAYLOAD, .bytes = 1, .digest = id};
    }
}

uint32_t tn__explore_log_value_id(const struct tn_log_value *value)
{
    switch (value->kind) {
    case TN_LOG_VALUE_NOOP:
        return TN_EXPLORE_LOG_NOOP;
    case TN_LOG_VALUE_CONFIGURATION:
        return TN_EXPLORE_LOG_CHANGE;
    default:
        return value->digest;
    }
}

/* What was proposed under the ballot; 0: nothing. */
static uint32_t value_at(const struct tn__explore_log_cluster *cluster, uint32_t ballot,
                         uint32_t slot)
{
    return ballot == 0 ? 0 : cluster->values[ballot - 1][slot - 1];
}

static void fill_ring(const struct tn__explore_log *log,
                      const struct tn__explore_log_cluster *cluster, struct tn__log_slot *slots,
                      uint32_t slot, uint32_t ballot)
{
    slots[slot] = (struct tn__log_slot){
        .ballot = tn__explore_log_ballot(log, ballot),
        .value = tn__explore_log_value(log, value_at(cluster, ballot, slot)),
    };
}

/* The cells learn the prefix as they did: slot by slot. */
static void commit_prefix(const struct tn__explore_log *log, uint32_t committed,
                          struct tn__explore_log_cells *cells)
{
    struct tn__log_configuration first = {.first_slot = 1,
                                          .voters = log->config.voters,
                                          .version = 1,
                                          .window_slots = log->config.window,
                                          .mode = TN_LOG_MODE_LEASED,
                                          .mode_number = 1};
    tn__log_configurations_init(&cells->configurations, &first);
    cells->learner = (struct tn__log_learner){0};
    for (uint32_t slot = 1; slot <= committed; slot++) {
        tn__log_learner_commit(&cells->learner, &cells->acceptor, cells->slots,
                               &cells->configurations);
    }
}

void tn__explore_log_unpack(const struct tn__explore_log *log,
                            const struct tn__explore_log_cluster *cluster, uint32_t node,
                            struct tn__explore_log_cells *cells)
{
    const struct tn__explore_log_node *packed = &cluster->nodes[node];
    tn__log_acceptor_init(&cells->acceptor, TN_EXPLORE_LOG_CAPACITY,
                          tn__explore_log_ballot(log, packed->promise), 0);
    memset(cells->slots, 0, sizeof(cells->slots));
    for (uint32_t slot = 1; slot <= log->config.slots; slot++) {
        if (packed->accepted[slot - 1] != 0) {
            fill_ring(log, cluster, cells->slots, slot, packed->accepted[slot - 1]);
            cells->acceptor.highest = slot;
        }
    }
    commit_prefix(log, packed->committed, cells);
}

void tn__explore_log_pack(const struct tn__explore_log *log,
                          struct tn__explore_log_cluster *cluster, uint32_t node,
                          const struct tn__explore_log_cells *cells)
{
    struct tn__explore_log_node *packed = &cluster->nodes[node];
    struct tn__explore_log_node before = *packed;
    tn__log_acceptor_check(&cells->acceptor, cells->slots, cells->learner.committed);
    tn__log_configurations_check(&cells->configurations);
    packed->promise = (uint8_t)tn__explore_log_number(log, cells->acceptor.promise);
    packed->committed = (uint8_t)cells->learner.committed;
    for (uint32_t slot = 1; slot <= log->config.slots; slot++) {
        const struct tn__log_slot *held = &cells->slots[slot];
        uint32_t ballot = tn__explore_log_number(log, held->ballot);
        packed->accepted[slot - 1] = (uint8_t)ballot;
        if (tn__explore_log_value_id(&held->value) != value_at(cluster, ballot, slot)) {
            tn__explore_log_flaw(cluster, TN_EXPLORE_LOG_FLAW_VALUE);
        }
    }
    if (packed->promise < before.promise &&
        tn__explore_log_judges(log, TN_EXPLORE_LOG_FLAW_PROMISE)) {
        tn__explore_log_flaw(cluster, TN_EXPLORE_LOG_FLAW_PROMISE);
    }
    if (!tn__explore_log_has(log, TN_EXPLORE_LOG_WRITES)) {
        packed->durable_promise = packed->promise;
        memcpy(packed->durable, packed->accepted, sizeof(packed->durable));
    } else if (packed->promise != before.promise ||
               memcmp(packed->accepted, before.accepted, sizeof(before.accepted)) != 0) {
        packed->pending = 1; /* a record: its answer waits for it */
    }
}

/* ---- Proposers ------------------------------------------------------------------------------- */

void tn__explore_log_attempt_unpack(const struct tn__explore_log *log,
                                    const struct tn__explore_log_cluster *cluster,
                                    uint32_t proposer, struct tn__explore_log_attempt *attempt)
{
    const struct tn__explore_log_proposer *packed = &cluster->proposers[proposer];
    struct tn__log_proposer *cell = &attempt->proposer;
    memset(attempt->proposals, 0, sizeof(attempt->proposals));
    tn__log_proposer_init(cell, TN_EXPLORE_LOG_CAPACITY);
    if (packed->phase == TN__LOG_IDLE) {
        return;
    }
    cell->phase = packed->phase;
    cell->ballot = tn__explore_log_ballot(log, packed->ballot);
    cell->from = packed->from;
    cell->next = packed->next;
    cell->reported = packed->reported;
    for (uint32_t i = 0; i < log->config.nodes; i++) {
        const struct tn__explore_log_node *node = &cluster->nodes[i];
        cell->promised |= (node->promised >> proposer & 1U) << i;
        cell->cursors[i] = node->cursors >> (4 * proposer) & 15U;
        cell->seen[i] = node->seen >> (4 * proposer) & 15U;
    }
    uint32_t committed = cluster->nodes[proposer].committed;
    for (uint32_t slot = committed + 1; slot <= log->config.slots; slot++) {
        bool proposed = cell->phase == TN__LOG_LEADING && slot < cell->next;
        uint32_t ballot = proposed ? packed->ballot : packed->merged[slot - 1];
        attempt->proposals[slot] = (struct tn__log_proposal){
            .reported = tn__explore_log_ballot(log, packed->merged[slot - 1]),
            .value = tn__explore_log_value(log, value_at(cluster, ballot, slot)),
            .proposed = proposed ? 1 : 0,
        };
    }
}

static void proposals_pack(const struct tn__explore_log *log,
                           struct tn__explore_log_cluster *cluster, uint32_t proposer,
                           const struct tn__explore_log_attempt *attempt)
{
    struct tn__explore_log_proposer *packed = &cluster->proposers[proposer];
    for (uint32_t slot = 1; slot <= log->config.slots; slot++) {
        const struct tn__log_proposal *place = &attempt->proposals[slot];
        bool proposed = place->proposed != 0;
        uint32_t reported = proposed ? 0 : tn__explore_log_number(log, place->reported);
        packed->merged[slot - 1] = (uint8_t)reported;
        /* A hole that was only looked at is filled again when it is proposed. */
        uint32_t id = reported == 0 && !proposed ? 0 : tn__explore_log_value_id(&place->value);
        if (id != value_at(cluster, proposed ? packed->ballot : reported, slot)) {
            tn__explore_log_flaw(cluster, TN_EXPLORE_LOG_FLAW_VALUE);
        }
    }
}

void tn__explore_log_attempt_pack(const struct tn__explore_log *log,
                                  struct tn__explore_log_cluster *cluster, uint32_t proposer,
                                  const struct tn__explore_log_attempt *attempt)
{
    struct tn__explore_log_proposer *packed = &cluster->proposers[proposer];
    const struct tn__log_proposer *cell = &attempt->proposer;
    tn__log_proposer_check(cell, attempt->proposals, cluster->nodes[proposer].committed);
    *packed = (struct tn__explore_log_proposer){.phase = (uint8_t)cell->phase};
    uint32_t mask = 15U << (4 * proposer);
    for (uint32_t i = 0; i < log->config.nodes; i++) {
        struct tn__explore_log_node *node = &cluster->nodes[i];
        node->promised &= (uint8_t) ~(1U << proposer);
        node->cursors &= (uint8_t)~mask;
        node->seen &= (uint8_t)~mask;
        if (cell->phase != TN__LOG_IDLE) {
            tn_assert(cell->cursors[i] <= TN_EXPLORE_LOG_SLOTS + 1);
            node->promised |= (uint8_t)((cell->promised >> i & 1U) << proposer);
            node->cursors |= (uint8_t)(cell->cursors[i] << (4 * proposer));
            node->seen |= (uint8_t)(cell->seen[i] << (4 * proposer));
        }
    }
    if (cell->phase == TN__LOG_IDLE) {
        for (uint32_t i = 0; i < log->config.nodes; i++) {
            cluster->nodes[i].answers[proposer] = 0; /* nobody waits for them */
        }
        return;
    }
    packed->ballot = (uint8_t)tn__explore_log_number(log, cell->ballot);
    packed->from = (uint8_t)cell->from;
    packed->next = (uint8_t)cell->next;
    packed->reported = (uint8_t)cell->reported;
    proposals_pack(log, cluster, proposer, attempt);
}

/* ---- Answers --------------------------------------------------------------------------------- */

uint32_t tn__explore_log_answer_unpack(const struct tn__explore_log *log,
                                       const struct tn__explore_log_cluster *cluster,
                                       uint16_t answer, struct tn__log_acceptor *acceptor,
                                       struct tn__log_slot *slots)
{
    tn_assert((answer & TN_EXPLORE_LOG_ANSWERED) != 0);
    tn__log_acceptor_init(acceptor, TN_EXPLORE_LOG_CAPACITY, tn__explore_log_ballot(log, 0), 0);
    memset(slots, 0, TN_EXPLORE_LOG_CAPACITY * sizeof(*slots));
    for (uint32_t slot = 1; slot <= log->config.slots; slot++) {
        uint32_t ballot =
            (uint32_t)answer >> (TN_EXPLORE_LOG_ANSWER_SLOTS_SHIFT + 3 * (slot - 1)) & 7U;
        if (ballot != 0) {
            fill_ring(log, cluster, slots, slot, ballot);
            acceptor->highest = slot;
        }
    }
    return (uint32_t)answer >> TN_EXPLORE_LOG_ANSWER_COMMITTED_SHIFT & 3U;
}

uint32_t tn__explore_log_voters(const struct tn__explore_log *log,
                                const struct tn__explore_log_cluster *cluster, uint32_t slot)
{
    for (uint32_t i = 1; i + log->config.window <= slot; i++) {
        if (cluster->decided[i - 1] == TN_EXPLORE_LOG_CHANGE) {
            return log->config.voters_next; /* G2: from i + alpha on */
        }
    }
    return log->config.voters;
}
