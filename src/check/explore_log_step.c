/* What can happen to a small cluster of logs, and what then does: explore_log.h tells the theory.
 *
 * Each function makes one event happen to a copy of the state. What a cell decides the cell is
 * asked for; what stands around it here is what a node does around it:
 *  - a node that begins an attempt promises it itself in the same step; one that proposes accepts
 *    in the same step (N3); its own answers wait for its own write as everybody's do;
 *  - a node whose acceptor promises a higher ballot ends its own attempt;
 *  - a leader never learns by C1 or C2: it ends its attempt first (log_learner.h). */
#include "check/explore_log_state.h"

#include <string.h>

#include "base/assert.h"

struct step {
    const struct tn__explore_log *log;
    const struct tn__explore_log_cluster *from;
    tn__explore_emit *emit;
    void *sink;
};

static void emit(const struct step *step, const struct tn__explore_log_cluster *next,
                 uint32_t event)
{
    step->emit(step->sink, next, event);
}

static bool hosts_attempt(const struct tn__explore_log *log,
                          const struct tn__explore_log_cluster *cluster, uint32_t node,
                          uint32_t phase)
{
    return node < log->config.proposers && cluster->proposers[node].phase == phase;
}

static void stop(const struct tn__explore_log *log, struct tn__explore_log_cluster *cluster,
                 uint32_t proposer)
{
    struct tn__explore_log_attempt attempt;
    uint64_t forgotten[TN_EXPLORE_LOG_CAPACITY];
    tn__explore_log_attempt_unpack(log, cluster, proposer, &attempt);
    tn__log_proposer_stop(&attempt.proposer, attempt.proposals, forgotten);
    tn__explore_log_attempt_pack(log, cluster, proposer, &attempt);
}

/* A higher promise ends the node's own attempt. */
static void give_way(const struct tn__explore_log *log, struct tn__explore_log_cluster *cluster,
                     uint32_t node)
{
    if (node < log->config.proposers && cluster->proposers[node].phase != TN__LOG_IDLE &&
        cluster->proposers[node].ballot != cluster->nodes[node].promise) {
        stop(log, cluster, node);
    }
}

/* ---- Phase 1 --------------------------------------------------------------------------------- */

/* The acceptor's answer as it stands now; it leaves when what was written is durable. */
static void answer(struct tn__explore_log_cluster *cluster, uint32_t node, uint32_t proposer,
                   uint32_t slots)
{
    struct tn__explore_log_node *packed = &cluster->nodes[node];
    uint32_t bits = TN_EXPLORE_LOG_ANSWERED;
    bits |= packed->pending != 0 ? TN_EXPLORE_LOG_ANSWER_HELD : 0U;
    bits |= (uint32_t)packed->committed << TN_EXPLORE_LOG_ANSWER_COMMITTED_SHIFT;
    for (uint32_t i = packed->committed; i < slots; i++) {
        bits |= (uint32_t)packed->accepted[i] << (TN_EXPLORE_LOG_ANSWER_SLOTS_SHIFT + 3 * i);
    }
    packed->answers[proposer] = (uint16_t)bits;
}

static void begins(const struct step *step, uint32_t proposer, uint32_t ballot)
{
    const struct tn__explore_log *log = step->log;
    struct tn__explore_log_cluster next = *step->from;
    struct tn__explore_log_cells cells;
    struct tn__explore_log_attempt attempt;
    if ((next.used >> (ballot - 1) & 1U) != 0 ||
        log->config.attempts[ballot - 1].proposer != proposer) {
        return;
    }
    tn__explore_log_unpack(log, &next, proposer, &cells);
    struct tn_log_ballot b = tn__explore_log_ballot(log, ballot);
    if (tn__log_acceptor_prepare(&cells.acceptor, b) != TN__LOG_AGREE) {
        return; /* its own promise is above it */
    }
    stop(log, &next, proposer);
    next.used |= (uint8_t)(1U << (ballot - 1));
    tn__explore_log_pack(log, &next, proposer, &cells);
    tn__explore_log_attempt_unpack(log, &next, proposer, &attempt);
    tn__log_proposer_begin(&attempt.proposer, attempt.proposals, b, cells.learner.committed);
    tn__explore_log_attempt_pack(log, &next, proposer, &attempt);
    answer(&next, proposer, proposer, log->config.slots);
    emit(step, &next, tn__explore_log_event(TN_EXPLORE_LOG_BEGIN, proposer, ballot, 0));
}

/* Who is asked: the voters of the first slot that is not committed, and by N2 those of the next. */
static uint32_t asked(const struct tn__explore_log *log,
                      const struct tn__explore_log_cluster *cluster, uint32_t proposer)
{
    struct tn__explore_log_cells cells;
    const struct tn__explore_log_proposer *packed = &cluster->proposers[proposer];
    if (log->config.voters_next == 0) {
        return log->config.voters;
    }
    if (tn__explore_log_has(log, TN_EXPLORE_LOG_PREPARE)) {
        return (uint32_t)log->config.voters | log->config.voters_next;
    }
    tn__explore_log_unpack(log, cluster, proposer, &cells);
    uint64_t first = cells.learner.committed + 1;
    return tn__log_configuration_at(&cells.configurations, first)->voters |
           tn__log_configuration_at(&cells.configurations, packed->next)->voters;
}

static void answers(const struct step *step, uint32_t proposer, uint32_t node)
{
    const struct tn__explore_log *log = step->log;
    struct tn__explore_log_cluster next = *step->from;
    struct tn__explore_log_cells cells;
    uint32_t ballot = next.proposers[proposer].ballot;
    if ((next.nodes[node].promised >> proposer & 1U) != 0) {
        return; /* counted: another answer is stale */
    }
    tn__explore_log_unpack(log, &next, node, &cells);
    enum tn__log_verdict verdict =
        tn__log_acceptor_prepare(&cells.acceptor, tn__explore_log_ballot(log, ballot));
    if (verdict != TN__LOG_AGREE && verdict != TN__LOG_AGAIN) {
        return;
    }
    tn__explore_log_pack(log, &next, node, &cells);
    if (next.nodes[node].pending != 0 && next.nodes[node].answers[proposer] != 0 &&
        (next.nodes[node].answers[proposer] & TN_EXPLORE_LOG_ANSWER_HELD) == 0) {
        return; /* one that left stays in the network until the next one leaves */
    }
    answer(&next, node, proposer, log->config.slots);
    give_way(log, &next, node);
    emit(step, &next, tn__explore_log_event(TN_EXPLORE_LOG_ANSWER, node, ballot, 0));
}

/* A leader that has proposed in the row's last slot reads no promise any more: it could only add to
 * a majority that is there (N2), or name slots that are proposed, or unready it. */
static void receives(const struct step *step, uint32_t proposer, uint32_t node)
{
    const struct tn__explore_log *log = step->log;
    struct tn__explore_log_cluster next = *step->from;
    struct tn__explore_log_cells cells;
    struct tn__explore_log_attempt attempt;
    struct tn__log_acceptor acceptor;
    struct tn__log_slot slots[TN_EXPLORE_LOG_CAPACITY];
    struct tn_log_entry entries[TN_EXPLORE_LOG_SLOTS];
    uint64_t forgotten[TN_EXPLORE_LOG_SLOTS], slot_end;
    uint32_t forgotten_count;
    bool last;
    uint16_t bits = next.nodes[node].answers[proposer];
    bool done = next.proposers[proposer].phase == TN__LOG_LEADING &&
                next.proposers[proposer].next > log->config.slots;
    if ((bits & TN_EXPLORE_LOG_ANSWERED) == 0 || (bits & TN_EXPLORE_LOG_ANSWER_HELD) != 0 || done) {
        return;
    }
    uint32_t committed = tn__explore_log_answer_unpack(log, &next, bits, &acceptor, slots);
    tn__explore_log_unpack(log, &next, proposer, &cells);
    tn__explore_log_attempt_unpack(log, &next, proposer, &attempt);
    uint64_t from = attempt.proposer.cursors[node];
    uint32_t count = tn__log_acceptor_report(&acceptor, slots, from, committed, entries,
                                             log->config.page, &slot_end, &last);
    enum tn__log_page page = tn__log_proposer_promise(
        &attempt.proposer, attempt.proposals, &cells.configurations, node, attempt.proposer.ballot,
        from, slot_end, last, committed, cells.learner.committed, entries, count, forgotten,
        &forgotten_count);
    if (page != TN__LOG_PAGE_MORE && page != TN__LOG_PAGE_COUNTED) {
        return;
    }
    uint32_t ballot = next.proposers[proposer].ballot;
    tn__explore_log_attempt_pack(log, &next, proposer, &attempt);
    emit(step, &next, tn__explore_log_event(TN_EXPLORE_LOG_RECEIVE, node, ballot, 0));
}

/* ---- Phase 2 --------------------------------------------------------------------------------- */

/* An answer to an accept: sent now, or when the write is over. */
static void vote(struct tn__explore_log_cluster *cluster, uint32_t node, uint32_t ballot,
                 uint32_t slot)
{
    struct tn__explore_log_node *packed = &cluster->nodes[node];
    uint16_t bit = tn__explore_log_vote(ballot, slot);
    if (packed->pending == 0) {
        packed->votes |= bit;
    } else if ((packed->votes & bit) == 0) {
        packed->held |= bit;
    }
}

/* One slot of a run, at one acceptor. */
static void accept(const struct tn__explore_log *log, struct tn__explore_log_cluster *cluster,
                   uint32_t node, uint32_t ballot, uint32_t slot)
{
    struct tn__explore_log_cells cells;
    uint64_t forgotten;
    struct tn_log_value value = tn__explore_log_value(log, cluster->values[ballot - 1][slot - 1]);
    tn__explore_log_unpack(log, cluster, node, &cells);
    enum tn__log_verdict verdict =
        tn__log_acceptor_accept(&cells.acceptor, cells.slots, tn__explore_log_ballot(log, ballot),
                                slot, &value, cells.learner.committed, &forgotten);
    if (verdict == TN__LOG_CONFLICT && tn__explore_log_judges(log, TN_EXPLORE_LOG_FLAW_VALUE)) {
        tn__explore_log_flaw(cluster, TN_EXPLORE_LOG_FLAW_VALUE); /* nobody here lies */
    }
    if (verdict != TN__LOG_ACCEPTED && verdict != TN__LOG_RESOLVED) {
        return;
    }
    tn__explore_log_pack(log, cluster, node, &cells);
    vote(cluster, node, ballot, slot);
}

static void accepts(const struct step *step, uint32_t node, uint32_t ballot, uint32_t slot)
{
    const struct tn__explore_log *log = step->log;
    struct tn__explore_log_cluster next = *step->from;
    bool old = (log->config.voters >> node & 1U) != 0;
    bool new = (log->config.voters_next >> node & 1U) != 0;
    if (next.values[ballot - 1][slot - 1] == 0 ||
        log->config.attempts[ballot - 1].proposer == node || /* in the step that proposed it */
        !(old || (new &&slot > log->config.window))) {
        return;
    }
    accept(log, &next, node, ballot, slot);
    give_way(log, &next, node);
    emit(step, &next, tn__explore_log_event(TN_EXPLORE_LOG_ACCEPT, node, ballot, slot));
}

static void propose(const struct step *step, uint32_t proposer, uint32_t id)
{
    const struct tn__explore_log *log = step->log;
    struct tn__explore_log_cluster next = *step->from;
    struct tn__explore_log_attempt attempt;
    struct tn__explore_log_cells cells;
    uint32_t ballot = next.proposers[proposer].ballot;
    uint32_t slot = next.proposers[proposer].next;
    struct tn_log_value value = tn__explore_log_value(log, id);
    tn__explore_log_unpack(log, &next, proposer, &cells);
    tn__explore_log_attempt_unpack(log, &next, proposer, &attempt);
    tn__log_proposer_next(&attempt.proposer, attempt.proposals, &cells.configurations,
                          cells.learner.committed);
    uint32_t proposed = tn__explore_log_value_id(
        tn__log_proposer_propose(&attempt.proposer, attempt.proposals, id == 0 ? NULL : &value));
    uint8_t *sent = &next.values[ballot - 1][slot - 1];
    if (*sent != 0 && *sent != proposed) {
        tn__explore_log_flaw(&next, TN_EXPLORE_LOG_FLAW_VALUE);
    }
    *sent = (uint8_t)proposed; /* N3: it leaves at once, whatever the own disk does */
    tn__explore_log_attempt_pack(log, &next, proposer, &attempt);
    accept(log, &next, proposer, ballot, slot);
    emit(step, &next, tn__explore_log_event(TN_EXPLORE_LOG_PROPOSE, proposer, ballot, proposed));
}

static void proposes(const struct step *step, uint32_t proposer)
{
    const struct tn__explore_log *log = step->log;
    struct tn__explore_log_attempt attempt;
    struct tn__explore_log_cells cells;
    if (step->from->proposers[proposer].next > log->config.slots) {
        return;
    }
    tn__explore_log_unpack(log, step->from, proposer, &cells);
    tn__explore_log_attempt_unpack(log, step->from, proposer, &attempt);
    switch (tn__log_proposer_next(&attempt.proposer, attempt.proposals, &cells.configurations,
                                  cells.learner.committed)) {
    case TN__LOG_NEXT_REPORTED:
        propose(step, proposer, 0);
        break;
    case TN__LOG_NEXT_FREE:
        propose(step, proposer, step->from->proposers[proposer].ballot);
        if (log->config.voters_next != 0 && cells.configurations.count == 1) {
            propose(step, proposer, TN_EXPLORE_LOG_CHANGE);
        }
        break;
    default:
        break;
    }
}

/* ---- Learners -------------------------------------------------------------------------------- */

/* The next slot is committed at the node, and whoever leads there has room again. */
static void commit(const struct tn__explore_log *log, struct tn__explore_log_cluster *cluster,
                   uint32_t node, struct tn__explore_log_cells *cells)
{
    struct tn__explore_log_attempt attempt;
    uint64_t forgotten[TN_EXPLORE_LOG_CAPACITY];
    const struct tn_log_value *value = tn__log_learner_commit(&cells->learner, &cells->acceptor,
                                                              cells->slots, &cells->configurations);
    uint32_t id = tn__explore_log_value_id(value);
    uint32_t slot = (uint32_t)cells->learner.committed;
    uint32_t ballot = tn__explore_log_number(log, cells->slots[slot].ballot);
    if (cluster->decided[slot - 1] == 0) {
        cluster->decided[slot - 1] = (uint8_t)id;
    } else if (cluster->decided[slot - 1] != id) {
        tn__explore_log_flaw(cluster, TN_EXPLORE_LOG_FLAW_AGREEMENT);
    }
    cluster->fetchable[slot - 1] |= (uint8_t)(1U << (ballot - 1));
    bool leads = hosts_attempt(log, cluster, node, TN__LOG_LEADING);
    bool prepares = hosts_attempt(log, cluster, node, TN__LOG_PREPARING);
    if (leads || prepares) {
        tn__explore_log_attempt_unpack(log, cluster, node, &attempt);
    }
    tn__explore_log_pack(log, cluster, node, cells);
    if (leads) {
        if (slot < attempt.proposer.next) {
            tn__log_proposer_committed(&attempt.proposer, attempt.proposals, slot);
        }
        if (tn__explore_log_has(log, TN_EXPLORE_LOG_FOLLOW)) {
            cluster->said[cluster->proposers[node].ballot - 1] = (uint8_t)slot; /* C1 */
        }
        tn__explore_log_attempt_pack(log, cluster, node, &attempt);
    } else if (prepares) {
        tn__log_proposer_advance(&attempt.proposer, attempt.proposals, slot, forgotten);
        tn_maybe(tn__log_proposer_settle(&attempt.proposer, &cells->configurations));
        tn__explore_log_attempt_pack(log, cluster, node, &attempt);
    }
}

/* The leader counts the votes for its next slot; each has come twice. */
static void chosen(const struct step *step, uint32_t proposer)
{
    const struct tn__explore_log *log = step->log;
    struct tn__explore_log_cluster next = *step->from;
    struct tn__explore_log_attempt attempt;
    struct tn__explore_log_cells cells;
    uint32_t slot = next.nodes[proposer].committed + 1U;
    uint32_t ballot = next.proposers[proposer].ballot;
    if (slot >= next.proposers[proposer].next) {
        return;
    }
    tn__explore_log_unpack(log, &next, proposer, &cells);
    tn__explore_log_attempt_unpack(log, &next, proposer, &attempt);
    for (uint32_t i = 0; i < 2 * log->config.nodes; i++) {
        uint32_t node = i / 2;
        if ((next.nodes[node].votes & tn__explore_log_vote(ballot, slot)) != 0) {
            tn__log_proposer_accepted(&attempt.proposer, attempt.proposals, node,
                                      attempt.proposer.ballot, slot, slot + 1,
                                      cells.learner.committed);
        }
    }
    if (!tn__log_proposer_chosen(&attempt.proposer, attempt.proposals, &cells.configurations,
                                 slot)) {
        return;
    }
    commit(log, &next, proposer, &cells);
    emit(step, &next, tn__explore_log_event(TN_EXPLORE_LOG_CHOSEN, proposer, ballot, slot));
}

/* C1. */
static void follows(const struct step *step, uint32_t node, uint32_t ballot)
{
    const struct tn__explore_log *log = step->log;
    struct tn__explore_log_cluster next = *step->from;
    struct tn__explore_log_cells cells;
    if (next.said[ballot - 1] <= next.nodes[node].committed ||
        hosts_attempt(log, &next, node, TN__LOG_LEADING)) {
        return;
    }
    tn__explore_log_unpack(log, &next, node, &cells);
    if (!tn__log_learner_may_follow(&cells.learner, &cells.acceptor, cells.slots,
                                    tn__explore_log_ballot(log, ballot), next.said[ballot - 1])) {
        return;
    }
    commit(log, &next, node, &cells);
    emit(step, &next, tn__explore_log_event(TN_EXPLORE_LOG_FOLLOWS, node, ballot, 0));
}

/* C2: the next slot, from somebody who had it committed by that ballot. */
static void fetches(const struct step *step, uint32_t node, uint32_t ballot)
{
    const struct tn__explore_log *log = step->log;
    struct tn__explore_log_cluster next = *step->from;
    struct tn__explore_log_cells cells;
    uint64_t forgotten;
    uint32_t slot = next.nodes[node].committed + 1U;
    if (slot > log->config.slots || (next.fetchable[slot - 1] >> (ballot - 1) & 1U) == 0) {
        return;
    }
    if (hosts_attempt(log, &next, node, TN__LOG_LEADING)) {
        stop(log, &next, node);
    }
    struct tn_log_value value = tn__explore_log_value(log, next.values[ballot - 1][slot - 1]);
    tn__explore_log_unpack(log, &next, node, &cells);
    tn__log_acceptor_learn(&cells.acceptor, cells.slots, slot, tn__explore_log_ballot(log, ballot),
                           &value, &forgotten); /* V3 */
    commit(log, &next, node, &cells);
    emit(step, &next, tn__explore_log_event(TN_EXPLORE_LOG_FETCHES, node, ballot, slot));
}

/* ---- Disks ----------------------------------------------------------------------------------- */

static void sync(const struct step *step, uint32_t node)
{
    struct tn__explore_log_cluster next = *step->from;
    struct tn__explore_log_node *packed = &next.nodes[node];
    if (packed->pending == 0) {
        return;
    }
    packed->durable_promise = packed->promise;
    memcpy(packed->durable, packed->accepted, sizeof(packed->durable));
    packed->pending = 0;
    packed->votes |= packed->held;
    packed->held = 0;
    for (uint32_t i = 0; i < TN_EXPLORE_LOG_PROPOSERS; i++) {
        packed->answers[i] &= (uint16_t)~TN_EXPLORE_LOG_ANSWER_HELD;
    }
    emit(step, &next, tn__explore_log_event(TN_EXPLORE_LOG_SYNC, node, 0, 0));
}

/* The process is gone, and what it had not sent. */
static void process_ends(const struct tn__explore_log *log, struct tn__explore_log_cluster *cluster,
                         uint32_t node)
{
    struct tn__explore_log_node *packed = &cluster->nodes[node];
    if (node < log->config.proposers) {
        stop(log, cluster, node);
    }
    for (uint32_t i = 0; i < TN_EXPLORE_LOG_PROPOSERS; i++) {
        if ((packed->answers[i] & TN_EXPLORE_LOG_ANSWER_HELD) != 0) {
            packed->answers[i] = 0;
        }
    }
    packed->held = 0;
    packed->pending = 0;
    packed->committed = 0;
    cluster->crashes++;
}

static void loses_power(const struct step *step, uint32_t node)
{
    struct tn__explore_log_cluster next = *step->from;
    struct tn__explore_log_node *packed = &next.nodes[node];
    process_ends(step->log, &next, node);
    packed->promise = packed->durable_promise;
    memcpy(packed->accepted, packed->durable, sizeof(packed->accepted));
    emit(step, &next, tn__explore_log_event(TN_EXPLORE_LOG_LOSES_POWER, node, 0, 0));
}

/* W3: what was written is read back from the page cache. It is not durable for that: recovery
 * writes the tail again and syncs it before the first answer. */
static void killed(const struct step *step, uint32_t node)
{
    struct tn__explore_log_cluster next = *step->from;
    struct tn__explore_log_node *packed = &next.nodes[node];
    process_ends(step->log, &next, node);
    packed->durable_promise = packed->promise; /* W3 */
    memcpy(packed->durable, packed->accepted, sizeof(packed->durable));
    emit(step, &next, tn__explore_log_event(TN_EXPLORE_LOG_KILLED, node, 0, 0));
}

static void disk_events(const struct step *step, uint32_t node)
{
    const struct tn__explore_log *log = step->log;
    sync(step, node);
    if (step->from->crashes >= log->config.crashes) {
        return;
    }
    if (tn__explore_log_has(log, TN_EXPLORE_LOG_POWER)) {
        loses_power(step, node);
    }
    if (tn__explore_log_has(log, TN_EXPLORE_LOG_KILL)) {
        killed(step, node);
    }
}

/* ---- Everything ------------------------------------------------------------------------------ */

static void proposer_events(const struct step *step, uint32_t proposer)
{
    const struct tn__explore_log *log = step->log;
    const struct tn__explore_log_cluster *from = step->from;
    for (uint32_t ballot = 1; ballot <= log->config.ballots; ballot++) {
        begins(step, proposer, ballot);
    }
    if (from->proposers[proposer].phase == TN__LOG_IDLE) {
        return;
    }
    uint32_t voters = asked(log, from, proposer);
    for (uint32_t node = 0; node < log->config.nodes; node++) {
        if ((voters >> node & 1U) != 0) {
            answers(step, proposer, node);
        }
        receives(step, proposer, node);
    }
    if (from->proposers[proposer].phase == TN__LOG_LEADING) {
        proposes(step, proposer);
        chosen(step, proposer);
    }
}

static void node_events(const struct step *step, uint32_t node)
{
    const struct tn__explore_log *log = step->log;
    for (uint32_t ballot = 1; ballot <= log->config.ballots; ballot++) {
        for (uint32_t slot = 1; slot <= log->config.slots; slot++) {
            accepts(step, node, ballot, slot);
        }
        if (tn__explore_log_has(log, TN_EXPLORE_LOG_FOLLOW)) {
            follows(step, node, ballot);
        }
        if (tn__explore_log_has(log, TN_EXPLORE_LOG_FETCH)) {
            fetches(step, node, ballot);
        }
    }
    disk_events(step, node);
}

void tn__explore_log_successors(void *context, const void *state, tn__explore_emit *emit_state,
                                void *sink)
{
    const struct tn__explore_log *log = context;
    struct tn__explore_log_cluster from = tn__explore_log_open(log, state);
    struct step step = {.log = log, .from = &from, .emit = emit_state, .sink = sink};
    if (from.flaw != TN_EXPLORE_LOG_FLAW_NONE) {
        return;
    }
    for (uint32_t i = 0; i < log->config.proposers; i++) {
        proposer_events(&step, i);
    }
    for (uint32_t i = 0; i < log->config.nodes; i++) {
        node_events(&step, i);
    }
}

void tn__explore_log_initial(void *context, tn__explore_emit *emit_state, void *sink)
{
    struct tn__explore_log_cluster cluster;
    (void)context;
    memset(&cluster, 0, sizeof(cluster));
    emit_state(sink, &cluster, tn__explore_log_event(TN_EXPLORE_LOG_INITIAL, 0, 0, 0));
}
