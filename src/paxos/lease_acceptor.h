/* The acceptor of one lease name: a cell, a plain value with pure functions.
 *
 * Rules: A1 (prepare), A2 (accept), A3 (release), the timer. A4, the quarantine after a restart,
 * and F1 to F4, the durable ceiling and the configuration, are the node's and stand before every
 * cell (lease_voter.h).
 *
 * State                        Transition                          Function
 *   promised   highest ballot    A1 raises it, A2 and A3 too         _prepare _accept _release
 *   accepted   the lease, or 0   A2 sets, A3 and the timer clear     _accept _release _expire
 *   deadline   of the lease      A2 sets to now + D_A                _accept
 *
 * Invariants (tn__lease_acceptor_check)
 *   1  accepted is none exactly if deadline is 0
 *   2  promised >= accepted: an acceptor never holds what it could not promise
 *   3  promised never falls (its callers compare; a cell alone cannot know)
 * The owner of a lease is the incarnation that its ballot carries, so no owner is stored. */
#ifndef TN_PAXOS_LEASE_ACCEPTOR_H
#define TN_PAXOS_LEASE_ACCEPTOR_H

#include <stdbool.h>

#include <tenure/types.h>

struct tn__lease_acceptor {
    struct tn_ballot promised;
    struct tn_ballot accepted; /* none: no lease */
    tn_time deadline;          /* of the lease; 0: no lease */
};

_Static_assert(sizeof(struct tn__lease_acceptor) == 40, "no padding: states are hashed as bytes");

enum tn__lease_verdict {
    TN__LEASE_PROMISED = 1, /* A1: open, or the asker's own lease, which is reported */
    TN__LEASE_CLOSED,       /* A1: another owner's lease is live */
    TN__LEASE_REJECTED,     /* A1: a higher ballot is promised */
    TN__LEASE_ACCEPTED,     /* A2: granted */
    TN__LEASE_REFUSED,      /* A2: a higher promise, or a live lease of another owner */
    TN__LEASE_DUPLICATE,    /* A1, A2: the promised counter from another incarnation: copied disk */
};

/* The largest ballot with this counter: a floor (F2) or a released ballot's grave (A3). It is no
 * incarnation's own, since restart words are below UINT64_MAX. */
static inline struct tn_ballot tn__ballot_ceil(uint64_t counter)
{
    return (struct tn_ballot){.counter = counter, .restart_word = UINT64_MAX};
}

/* Is a lease held at `now`? A lease whose deadline has passed excludes nobody. */
static inline bool tn__lease_acceptor_is_live(const struct tn__lease_acceptor *acceptor,
                                              tn_time now)
{
    return acceptor->deadline != 0 && now < acceptor->deadline;
}

/* The timer: clear the lease if its own deadline has passed; a timer of an earlier lease finds a
 * later deadline and changes nothing. True if it cleared. */
bool tn__lease_acceptor_expire(struct tn__lease_acceptor *acceptor, tn_time now);

/* A1. `raise_when_closed` is the published rule, which raises the promise even when it answers
 * closed; ours leaves it, so that contenders do not disturb renewals. */
enum tn__lease_verdict tn__lease_acceptor_prepare(struct tn__lease_acceptor *acceptor,
                                                  struct tn_ballot ballot, tn_time now,
                                                  bool raise_when_closed);

/* A2, for the owner that is the ballot's incarnation. */
enum tn__lease_verdict tn__lease_acceptor_accept(struct tn__lease_acceptor *acceptor,
                                                 struct tn_ballot ballot, tn_time now,
                                                 tn_time acceptor_ns);

/* A3: true if exactly this lease was cleared. The promise rises past the ballot either way. */
bool tn__lease_acceptor_release(struct tn__lease_acceptor *acceptor, struct tn_ballot ballot);

void tn__lease_acceptor_check(const struct tn__lease_acceptor *acceptor);

#endif
