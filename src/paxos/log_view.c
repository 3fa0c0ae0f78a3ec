/* Looking into a log's machine: its state, its counters, its values, and the check of everything.
 *
 * Invariants (tn_log_check), those of the cells besides:
 *   inv.G1 every write is numbered; none is durable that was not asked for
 *   inv.G2 a leader's own promise is its ballot: it votes for nobody else meanwhile
 *   inv.G3 what a leader proposed and has not committed is in the ring, under its ballot
 *   inv.G4 a follower's `acknowledged` is below its `next`, and that at or below the leader's
 *   inv.G5 bytes and counts of the queues are those of what lies in them
 *   inv.G6 every handle fits the stack of those to be forgotten
 *   inv.G7 a round's reads lie before those that wait
 *   inv.G8 what was learned and not yet committed is in the ring */
#include <string.h>

#include <tenure/error.h>

#include "base/assert.h"
#include "paxos/log_machine.h"

enum tn_log_state tn__log_state(const struct tn_log *log)
{
    tn_assert(log->damaged <= 2);
    if (log->stopped != 0) {
        return TN_LOG_STATE_STOPPED;
    }
    if (log->damaged != 0) {
        return TN_LOG_STATE_DAMAGED;
    }
    if (log->proposer.phase == TN__LOG_IDLE || log->retired != 0) {
        return TN_LOG_STATE_FOLLOWER;
    }
    if (log->proposer.phase == TN__LOG_PREPARING) {
        return TN_LOG_STATE_RECOVERING;
    }
    if (!tn__log_proposer_ready(&log->proposer, &log->configurations, tn__log_committed(log)) ||
        tn__log_committed(log) < log->recovery_end || log->applied < log->recovery_end) {
        return TN_LOG_STATE_UPDATING_PREVIOUS; /* M4: not ready yet */
    }
    return log->proposer.next == tn__log_committed(log) + 1 ? TN_LOG_STATE_ACTIVE
                                                            : TN_LOG_STATE_UPDATING;
}

void tn_log_counters(const struct tn_log *log, struct tn_log_counters *counters)
{
    *counters = log->counters;
}

/* Free mode: a majority, this node included, answered heartbeats sent at this time or later. */
static tn_time heard_by_majority(const struct tn_log *log, tn_time now)
{
    tn_time best = 0;
    for (uint32_t i = 0; i < log->options.nodes_count; i++) {
        tn_time since = i == tn__log_self(log) ? now : log->peers[i].answered;
        tn_member_set members = tn__log_bit(tn__log_self(log));
        for (uint32_t k = 0; k < log->options.nodes_count; k++) {
            members |= log->peers[k].answered >= since && since != 0 ? tn__log_bit(k) : 0;
        }
        if (since > best && tn__log_configuration_quorum(tn__log_now(log), members)) {
            best = since;
        }
    }
    tn_assert(best <= now);
    return best;
}

/* Reads 4. */
static tn_time age_of(const struct tn_log *log, tn_time now)
{
    tn_time since = log->fresh_at;
    if (tn__log_leads(log)) {
        if (tn__log_is_leased(log) && log->tenure_end > now &&
            tn__log_proposer_ready(&log->proposer, &log->configurations, tn__log_committed(log))) {
            return 0; /* nobody else commits */
        }
        since = tn__log_is_leased(log) ? since : heard_by_majority(log, now);
    }
    tn_assert(since <= now);
    return since == 0 ? TN_TIME_NEVER : now - since;
}

void tn_log_status(const struct tn_log *log, tn_time now, struct tn_log_status *status)
{
    const struct tn__log_configuration *config = tn__log_now(log);
    enum tn_log_state state = tn__log_state(log);
    bool leads = tn__log_leads(log);
    *status = (struct tn_log_status){
        .group = log->options.group,
        .mode = config->mode,
        .state = (uint32_t)state,
        .ready = state == TN_LOG_STATE_ACTIVE || state == TN_LOG_STATE_UPDATING,
        .leader = log->leader < log->options.nodes_count ? log->options.nodes[log->leader] : 0,
        .promise = log->acceptor.promise,
        .committed = tn__log_committed(log),
        .applied = log->applied,
        .proposed = leads ? log->proposer.next - 1 : log->acceptor.highest,
        .retained = log->retained,
        .checksum = log->learner.checksum,
        .recovery_end = log->recovery_end,
        .waiting = log->own.waiting + log->guests.waiting,
        .configuration = config->version,
        .voters = config->voters,
        .learners = config->learners,
        .age_ns = age_of(log, now),
    };
    if (log->proposer.phase != TN__LOG_IDLE) {
        status->ballot = log->proposer.ballot;
    }
    tn_assert(status->ready == 0 || leads);
}

int tn_log_value(const struct tn_log *log, uint64_t slot, struct tn_log_value *value)
{
    tn_assert(value != NULL);
    if (slot > tn__log_committed(log) ||
        !tn__log_acceptor_holds(&log->acceptor, tn__log_slots(log), slot)) {
        return TN_ERROR_NOT_FOUND;
    }
    *value = tn__log_slot_at(&log->acceptor, tn__log_slots(log), slot)->value;
    return TN_OK;
}

/* ---- The check of everything ----------------------------------------------------------------- */

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

void tn_log_check(const struct tn_log *log, tn_time now)
{
    struct tn__log_slot *slots = tn__log_slots(log);
    tn__log_configurations_check(&log->configurations);
    tn__log_acceptor_check(&log->acceptor, slots, tn__log_committed(log));
    tn__log_proposer_check(&log->proposer, tn__log_proposals(log), tn__log_committed(log));
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
    uint64_t bytes = 0;
    for (uint64_t slot = log->acceptor.first; slot <= tn__log_committed(log); slot++) {
        if (tn__log_acceptor_holds(&log->acceptor, slots, slot)) {
            bytes += tn__log_slot_at(&log->acceptor, slots, slot)->value.bytes;
        }
    }
    tn_assert(bytes == log->retained_bytes);
    check_leader(log);
    check_queue(log, &log->own);
    check_queue(log, &log->guests);
}
