/* The learner of one log: how far the prefix is committed, and its checksum chain. A cell.
 *
 * A slot is chosen when a majority of its configuration accepted it under one ballot; it is
 * committed when, besides, every slot below it is (no read lease exists yet that R2 would add).
 * Three ways lead there: by votes:   the leader counts them (log_proposer.h); C1:         the
 * leader of ballot b says `committed`, and this node accepted the slot under that very b. Under
 * another ballot the accepted value may be an orphan: it is fetched; C2:         a peer sends the
 * value of a slot that it has committed.
 *
 * For C1 to hold, a leader says `committed` under b only for slots that it never proposed under b
 * (they were committed before its Phase 1, or fetched in recovery), or that it saw chosen by votes
 * under b. It never learns by C2 a slot that it has proposed: it steps down first.
 *
 * Invariants: committed never falls; the chain at committed is checksum. */
#ifndef TN_PAXOS_LOG_LEARNER_H
#define TN_PAXOS_LOG_LEARNER_H

#include "paxos/log_acceptor.h"
#include "paxos/log_configuration.h"

struct tn__log_learner {
    uint64_t committed; /* every slot up to here; 0: none */
    uint64_t checksum;  /* C3 */
};

/* Commit the next slot, which the acceptor's ring holds with the chosen value: the chain grows, and
 * a configuration in it is learned. Returns the value. */
const struct tn_log_value *tn__log_learner_commit(struct tn__log_learner *learner,
                                                  const struct tn__log_acceptor *acceptor,
                                                  struct tn__log_slot *slots,
                                                  struct tn__log_configurations *configurations);

/* C1: may the next slot be committed because the leader of `ballot` has committed up to `said`? */
bool tn__log_learner_may_follow(const struct tn__log_learner *learner,
                                const struct tn__log_acceptor *acceptor,
                                const struct tn__log_slot *slots, struct tn_log_ballot ballot,
                                uint64_t said);

/* C3: the chain over slots 1 .. slot, if it is still known here (the ring holds it, or slot is
 * `committed`). */
bool tn__log_learner_checksum_at(const struct tn__log_learner *learner,
                                 const struct tn__log_acceptor *acceptor,
                                 const struct tn__log_slot *slots, uint64_t slot,
                                 uint64_t *checksum);

#endif
