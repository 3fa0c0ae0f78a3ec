/* The proposer of one lease name: a cell, a plain value with pure functions.
 *
 * Rules: P1 to P6, T1, L1 for the owner itself, M1's epoch.
 *
 *            start (P1)            open quorum, now < t_d (P3)
 *     IDLE ------------> PREPARING ---------------------------> ACCEPTING
 *      ^ ^                   |                                      |
 *      | +-------------------+ ruled out, t_d passed (P5)           |
 *      +------------------------------------------------------------+
 *                 Accepted quorum, now < t_d: owner (P4); or P5
 *
 * Beside the phase stands what is held: `active`, the ballot of the lease, and `lease_deadline`. An
 * attempt that fails changes nothing of it; only the passing of its own deadline, a release or an
 * activation does.
 *
 * Invariants (tn__lease_proposer_check)
 *   1  phase is IDLE exactly if `ballot` is none
 *   2  the answer sets are disjoint where they must be, and empty outside their phase
 *   3  ACCEPTING has an open quorum; an attempt in ACCEPTING that has an accepted quorum is over
 *   4  `active` is none exactly if lease_deadline is 0
 *   5  a renewal's base is the active ballot or a lease that has run out since
 *   6  epoch is 0 exactly if no tenure was ever opened; a token belongs to a held lease
 * T1: t_d is stored at P1 and compared here, in the handlers, whatever order timers and messages
 * are dispatched in. */
#ifndef TN_PAXOS_LEASE_PROPOSER_H
#define TN_PAXOS_LEASE_PROPOSER_H

#include <stdbool.h>

#include <tenure/types.h>

enum tn__lease_phase {
    TN__LEASE_IDLE = 0,
    TN__LEASE_PREPARING,
    TN__LEASE_ACCEPTING,
};

struct tn__lease_proposer {
    struct tn_ballot ballot;  /* of the attempt in flight; none: idle */
    struct tn_ballot base;    /* P1: the renewal base, or none */
    struct tn_ballot active;  /* of the lease held, or none */
    tn_time attempt_deadline; /* t_d of the attempt, set at P1 before Prepare leaves (T1) */
    tn_time lease_deadline;   /* t_d of the lease held; 0: none */
    uint64_t token;           /* counter of the ballot that opened the tenure; 0: none offered */
    uint64_t epoch;           /* M1: tenures opened; recovery standing belongs to one epoch */
    tn_time hint;             /* the longest remaining time that refusals carried (P5) */
    uint16_t open;            /* members whose answer to Prepare was open */
    uint16_t closed;          /* ... was closed, or a rejection */
    uint16_t accepted;        /* members that granted the Accept */
    uint16_t refused;         /* ... refused it */
    uint8_t phase;            /* enum tn__lease_phase */
    uint8_t unfenced;         /* an acceptor counted keeps no ceiling: no token (F4) */
    uint8_t reopen;           /* the next activation gets a token of its own */
    uint8_t reserved[5];
};

_Static_assert(sizeof(struct tn__lease_proposer) == 104, "no padding: states are hashed as bytes");

enum tn__lease_outcome {
    TN__LEASE_NOTHING = 0, /* not the attempt in flight, or nothing follows from it yet */
    TN__LEASE_COUNTED,     /* counted, no quorum yet */
    TN__LEASE_PROPOSE,     /* P3: broadcast Accept */
    TN__LEASE_OPENED,      /* P4: owner; a tenure begins */
    TN__LEASE_RENEWED,     /* P4: owner; the tenure goes on */
    TN__LEASE_REOPENED,    /* P4: owner; the tenure goes on under a token of its own */
    TN__LEASE_ABANDONED,   /* P5: idle again, what is held is kept */
};

/* Is the lease held at `now`? The only test of ownership. */
static inline bool tn__lease_proposer_holds(const struct tn__lease_proposer *proposer, tn_time now)
{
    return proposer->lease_deadline != 0 && now < proposer->lease_deadline;
}

/* P1, with a fresh ballot above every one this incarnation has used. Idle is required. */
void tn__lease_proposer_start(struct tn__lease_proposer *proposer, struct tn_ballot ballot,
                              tn_time now, tn_time proposer_ns);

/* What a member answered, as the handlers below take it. */
struct tn__lease_answer {
    uint32_t members_count;    /* of the configuration */
    uint32_t member;           /* who answered: an identity, so that it counts once (P2) */
    struct tn_ballot ballot;   /* the attempt that it answers */
    struct tn_ballot reported; /* promise: the asker's own live lease, or none */
    tn_time remaining;         /* how long the lease in the way still excludes; 0: no lease */
    tn_time now;               /* T1: the one clock read of this event */
    uint32_t fenced;           /* accepted: 1 if the acceptor keeps a durable ceiling */
    uint32_t reserved;
};

/* P2 and P3: a promise, open or not. */
enum tn__lease_outcome tn__lease_proposer_promise(struct tn__lease_proposer *proposer,
                                                  const struct tn__lease_answer *answer);

/* P2 and P5: closed, or rejected for a higher promise. */
enum tn__lease_outcome tn__lease_proposer_closed(struct tn__lease_proposer *proposer,
                                                 const struct tn__lease_answer *answer);

/* P4: accepted. */
enum tn__lease_outcome tn__lease_proposer_accepted(struct tn__lease_proposer *proposer,
                                                   const struct tn__lease_answer *answer);

/* P5: the Accept was refused. */
enum tn__lease_outcome tn__lease_proposer_refused(struct tn__lease_proposer *proposer,
                                                  const struct tn__lease_answer *answer);

/* P5: give the attempt up, keep what is held. */
void tn__lease_proposer_abandon(struct tn__lease_proposer *proposer);

/* The timer: true if a lease was held whose deadline has passed; it is forgotten. */
bool tn__lease_proposer_expire(struct tn__lease_proposer *proposer, tn_time now);

/* P6: stop acting, end the attempt. `ballots` receives what is to be released: the attempt's ballot
 * and the active one, in that order; returns how many (0 to 2). */
uint32_t tn__lease_proposer_release(struct tn__lease_proposer *proposer,
                                    struct tn_ballot ballots[2]);

void tn__lease_proposer_check(const struct tn__lease_proposer *proposer, uint32_t members_count);

#endif
