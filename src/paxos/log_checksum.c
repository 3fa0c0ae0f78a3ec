/* C3: the chains of the members are compared, and the odd one out stops.
 *
 * Each heartbeat and each answer to one names a slot and the chain over all up to it. A leader
 * compares what its followers say with its own chain at that slot. A majority that agrees with it
 * at or beyond the slot where a follower differs is proof against that follower: it is told by a
 * flag, and stops. A majority that differs is proof against the leader: it stops itself. Without
 * either nobody can say who is wrong: an operator is told, and nobody stops. */
#include "base/assert.h"
#include "paxos/log_machine.h"

void tn__log_checksum_put(const struct tn_log *log, struct tn_log_message *message)
{
    tn_assert(message->checksum_slot == 0);
    message->checksum_slot = tn__log_committed(log);
    message->checksum = log->learner.checksum;
    tn_assert(message->checksum_slot <= message->committed);
}

/* This node and who agrees with it at or beyond the slot. */
static tn_member_set who_agrees(const struct tn_log *log, uint64_t slot)
{
    tn_member_set members = tn__log_bit(tn__log_self(log));
    tn_assert(slot >= 1);
    for (uint32_t i = 0; i < log->options.nodes_count; i++) {
        const struct tn__log_peer *peer = &log->peers[i];
        if (peer->agreed >= slot && peer->differs == 0) {
            members |= tn__log_bit(i);
        }
    }
    tn_assert(members != 0);
    return members;
}

bool tn__log_checksum_is_odd(const struct tn_log *log, uint32_t member)
{
    const struct tn__log_peer *peer = &log->peers[member];
    tn_assert(member < log->options.nodes_count);
    return peer->differs != 0 &&
           tn__log_configuration_quorum(tn__log_now(log), who_agrees(log, peer->differs));
}

static tn_member_set who_differs(const struct tn_log *log)
{
    tn_member_set members = 0;
    tn_assert(log->options.nodes_count >= 1);
    for (uint32_t i = 0; i < log->options.nodes_count; i++) {
        members |= log->peers[i].differs != 0 ? tn__log_bit(i) : 0;
    }
    tn_assert((members & tn__log_bit(tn__log_self(log))) == 0);
    return members;
}

void tn__log_checksum_compare(struct tn__log_turn *turn, const struct tn_log_message *message)
{
    struct tn_log *log = turn->log;
    struct tn__log_peer *peer = &log->peers[message->from];
    uint64_t slot = message->checksum_slot;
    uint64_t own = 0;
    if (slot == 0 || message->from == tn__log_self(log) ||
        !tn__log_learner_checksum_at(&log->learner, &log->acceptor, tn__log_slots(log), slot,
                                     &own)) {
        return; /* not known here, or not any more */
    }
    if (own == message->checksum) {
        peer->agreed = tn__log_larger(peer->agreed, slot);
        return;
    }
    log->counters.diverged++;
    peer->differs = peer->differs == 0 ? slot : tn__log_earlier(peer->differs, slot);
    tn_assert(peer->differs != 0);
    if (tn__log_configuration_quorum(tn__log_now(log), who_differs(log))) {
        tn__log_stop(turn, TN_LOG_REASON_DIVERGED);
        return;
    }
    tn__log_incident(turn, TN_LOG_REASON_PEER_DIVERGED, log->options.nodes[message->from]);
    if (tn__log_checksum_is_odd(log, message->from)) {
        log->heartbeat_last = 0; /* it is told at once */
    }
    tn_assert(log->stopped == 0);
}
