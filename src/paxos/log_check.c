/* The check of everything in a log's machine, and of what a step may have changed (log_check.h).
 *
 * Invariants, those of the cells besides:
 *   inv.G1 every write is numbered; none is durable that was not asked for
 *   inv.G2 a leader's own promise is its ballot: it votes for nobody else meanwhile
 *   inv.G3 what a leader proposed and has not committed is in the ring, under its ballot
 *   inv.G4 a follower's `acknowledged` is below its `next`, and that at or below the leader's
 *   inv.G5 bytes and counts of the queues are those of what lies in them
 *   inv.G6 every handle fits the stack of those to be forgotten
 *   inv.G7 a round's reads lie before those that wait
 *   inv.G8 what was learned and not yet committed is in the ring */
#include "paxos/log_check.h"

#include "base/assert.h"
#include "paxos/log_machine.h"

static void check_leader(const struct tn_log *log)
{
    if (log->proposer.phase == TN__LOG_IDLE) {
        tn_assert(log->retired == 0);
        return;
    }
    tn_assert(tn_log_ballot_equal(log->acceptor.promise, log->proposer.ballot)); /* inv.G2 */
    if (log->proposer.phase != TN__LOG_LEADING) {
        return;
    }
    struct tn__log_slot *slots = tn__log_slots(log);
    for (uint64_t slot = tn__log_committed(log) + 1; slot < log->proposer.next; slot++) {
        tn_assert(tn__log_acceptor_holds(&log->acceptor, slots, slot)); /* inv.G3 */
        tn_assert(tn_log_ballot_compare(tn__log_slot_at(&log->acceptor, slots, slot)->ballot,
                                        log->proposer.ballot) >= 0);
    }
    for (uint32_t i = 0; i < log->options.nodes_count; i++) {
        tn_assert(log->peers[i].acknowledged < log->peers[i].next); /* inv.G4 */
        tn_assert(log->peers[i].next <= log->proposer.next);
    }
}

static void check_queue(const struct tn_log *log, const struct tn__log_queue *queue)
{
    uint64_t bytes = 0;
    uint32_t count = 0;
    uint32_t waiting = 0;
    tn_assert(queue->head <= queue->next && queue->next <= queue->tail);
    tn_assert(queue->tail - queue->head <= queue->capacity);
    for (uint64_t i = queue->head; i < queue->tail; i++) {
        const struct tn__log_waiting *one = tn__log_waiting_at(log, queue, i);
        if (one->state != TN__LOG_GONE) {
            bytes += one->value.bytes;
            count++;
        }
        waiting += one->state == TN__LOG_WAITING ? 1 : 0;
        tn_assert(one->state != TN__LOG_WAITING || i >= queue->next);
        tn_assert(queue != &log->own || one->state != TN__LOG_WAITING ||
                  one->member == tn__log_self(log));
    }
    tn_assert(bytes == queue->bytes && count == queue->count); /* inv.G5 */
    tn_assert(waiting == queue->waiting);
}

/* All but the rings of slots and proposals. */
static void check_rest(const struct tn_log *log, tn_time now)
{
    struct tn__log_slot *slots = tn__log_slots(log);
    tn__log_configurations_check(&log->configurations);
    tn_assert(log->written <= log->writes);                 /* inv.G1 */
    tn_assert(log->forgets_count <= log->forgets_capacity); /* inv.G6 */
    tn_assert(log->learner.committed <= log->acceptor.highest);
    tn_assert(log->reads.head <= log->reads.end); /* inv.G7 */
    tn_assert(log->reads.end <= log->reads.tail);
    tn_assert(log->fresh_at <= now || now == 0);
    tn_assert(log->leader <= TN__LOG_NOBODY);
    tn_assert(log->stopped == 0 || log->proposer.phase == TN__LOG_IDLE);
    for (uint64_t slot = tn__log_committed(log) + 1; slot <= log->learned; slot++) {
        tn_assert(tn__log_acceptor_holds(&log->acceptor, slots, slot)); /* inv.G8 */
    }
    check_leader(log);
    check_queue(log, &log->own);
    check_queue(log, &log->guests);
}

void tn_log_check(const struct tn_log *log, tn_time now)
{
    struct tn__log_slot *slots = tn__log_slots(log);
    tn__log_acceptor_check(&log->acceptor, slots, tn__log_committed(log));
    tn__log_proposer_check(&log->proposer, tn__log_proposals(log), tn__log_committed(log));
    check_rest(log, now);
    uint64_t bytes = 0;
    for (uint64_t slot = log->acceptor.first; slot <= tn__log_committed(log); slot++) {
        if (tn__log_acceptor_holds(&log->acceptor, slots, slot)) {
            bytes += tn__log_slot_at(&log->acceptor, slots, slot)->value.bytes;
        }
    }
    tn_assert(bytes == log->retained_bytes);
}

/* ---- What a step may have changed ------------------------------------------------------------ */

static void check_slots(const struct tn_log *log, const struct tn__log_checked *checked)
{
    const struct tn__log_acceptor *acceptor = &log->acceptor;
    struct tn__log_slot *slots = tn__log_slots(log);
    uint64_t from = tn__log_larger(checked->committed + 1, acceptor->first);
    tn__log_acceptor_check_bounds(acceptor, tn__log_committed(log));
    tn__log_acceptor_check_slots(acceptor, slots, from, acceptor->highest + 1);
    /* Dropped: their places are those of slots a ring later. */
    uint64_t dropped = tn__log_larger(checked->first + acceptor->places, acceptor->first);
    tn__log_acceptor_check_slots(acceptor, slots, dropped, acceptor->first + acceptor->places);
}

static void check_proposals(const struct tn_log *log, const struct tn__log_checked *checked)
{
    const struct tn__log_proposer *proposer = &log->proposer;
    const struct tn__log_proposal *proposals = tn__log_proposals(log);
    uint64_t committed = tn__log_committed(log);
    if (proposer->phase != checked->phase ||
        !tn_log_ballot_equal(proposer->ballot, checked->ballot)) {
        tn__log_proposer_check(proposer, proposals, committed);
        return;
    }
    tn__log_proposer_check_bounds(proposer, committed);
    if (proposer->phase == TN__LOG_IDLE) {
        return; /* and was: nothing writes into the ring */
    }
    uint64_t end = tn__log_larger(proposer->next, proposer->reported + 1);
    for (uint32_t i = 0; i < log->options.nodes_count; i++) {
        end = tn__log_larger(end, proposer->seen[i] + 1);
    }
    tn__log_proposer_check_slots(proposer, proposals, committed, committed + 1, end);
    /* Committed: their places are those of slots a ring later. */
    uint64_t later = tn__log_larger(checked->committed + proposer->places, committed) + 1;
    tn__log_proposer_check_slots(proposer, proposals, committed, later,
                                 committed + proposer->places + 1);
}

void tn__log_check_step(const struct tn_log *log, tn_time now, struct tn__log_checked *checked)
{
    if (checked->is_known == 0) {
        tn_log_check(log, now);
    } else {
        tn_assert(log->acceptor.first >= checked->first); /* what was dropped stays so */
        tn_assert(tn__log_committed(log) >= checked->committed);
        check_slots(log, checked);
        check_proposals(log, checked);
        check_rest(log, now);
    }
    *checked = (struct tn__log_checked){
        .ballot = log->proposer.ballot,
        .first = log->acceptor.first,
        .committed = tn__log_committed(log),
        .phase = log->proposer.phase,
        .is_known = 1,
    };
}
