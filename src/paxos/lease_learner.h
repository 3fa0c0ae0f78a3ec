/* The learner of one lease name at a node that does not own it: a hint, good for finding the owner
 * and for not starting needless attempts, never for acting (L1). The owner's own learner is its
 * proposer cell, which uses t_d itself. */
#ifndef TN_PAXOS_LEASE_LEARNER_H
#define TN_PAXOS_LEASE_LEARNER_H

#include <stdbool.h>

#include <tenure/types.h>

struct tn__lease_learner {
    struct tn_ballot lease; /* the last lease heard of, or none */
    tn_time until;          /* when the hint ends; 0: none */
    uint64_t token;         /* as its owner says; 0: none */
};

_Static_assert(sizeof(struct tn__lease_learner) == 32, "no padding: states are hashed as bytes");

static inline bool tn__lease_learner_knows(const struct tn__lease_learner *learner, tn_time now)
{
    return learner->until != 0 && now < learner->until;
}

/* The owner of `lease` says that it holds for `remaining`, as of sending. Returns true if the owner
 * or its token is another than the hint said. A late word about an older lease of the same owner
 * changes nothing. */
static inline bool tn__lease_learner_learn(struct tn__lease_learner *learner,
                                           struct tn_ballot lease, uint64_t token,
                                           tn_time remaining, tn_time now)
{
    bool known = tn__lease_learner_knows(learner, now);
    if (known && tn_ballot_compare(lease, learner->lease) < 0 &&
        tn_ballot_same_owner(lease, learner->lease)) {
        return false;
    }
    bool news = !known || !tn_ballot_same_owner(lease, learner->lease) || token != learner->token;
    learner->lease = lease;
    learner->token = token;
    learner->until = remaining < TN_TIME_NEVER - now ? now + remaining : TN_TIME_NEVER;
    return news;
}

/* The incarnation of `lease` has released it. Returns true if the hint named that owner. */
static inline bool tn__lease_learner_forget(struct tn__lease_learner *learner,
                                            struct tn_ballot lease)
{
    if (learner->until == 0 || !tn_ballot_same_owner(lease, learner->lease) ||
        tn_ballot_compare(lease, learner->lease) < 0) {
        return false;
    }
    *learner = (struct tn__lease_learner){0};
    return true;
}

#endif
