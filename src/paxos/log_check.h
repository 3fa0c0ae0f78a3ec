/* The check of a log's machine after a step: as tn_log_check(), for a fraction of its price.
 *
 * The rings have a place for every slot in memory, and nearly all of what tn_log_check() costs is
 * going through them. A step changes few of these places, and which ones can be told from outside:
 *
 *   acceptor   slots above those committed before, up to the highest (accept, learn, commit); the
 *              places of slots that were dropped, which now stand for slots a whole ring later
 *   proposer   slots above those committed before, up to the next one and to the highest that a
 *              page reported (merge, propose, votes); the places of what was committed, a whole
 *              ring later; all of them when the attempt is another one
 *
 * Those are checked after every step, and so is all that lies outside the rings. What only a
 * mistake could change besides is seen by whoever calls tn_log_check() once in a while: none of
 * the invariants over the rest heals of itself, since a place that was left wrong stays so until
 * its slot is used again, and a sum that is wrong stays so for ever. */
#ifndef TN_PAXOS_LOG_CHECK_H
#define TN_PAXOS_LOG_CHECK_H

#include <tenure/log.h>

/* As it was when it was last looked at. Zeros: never, so everything is looked at. */
struct tn__log_checked {
    struct tn_log_ballot ballot; /* of the proposer's attempt */
    uint64_t first;
    uint64_t committed;
    uint32_t phase;
    uint32_t is_known;
};

/* Verify what steps may have changed since `checked`, which becomes what is so now: aborts with the
 * invariant that is violated. */
void tn__log_check_step(const struct tn_log *log, tn_time now, struct tn__log_checked *checked);

#endif
