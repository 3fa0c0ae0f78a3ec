/* The lease cells as a model for the explorer: small clusters of the very code that production
 * runs.
 *
 * A configuration says how many proposers and acceptors there are, what may happen to them, and how
 * far the search goes. The state of a cluster (explore_lease_state.h) is packed to about a hundred
 * bytes; each transition unpacks the one cell concerned, calls its function, checks it and packs it
 * again, so what is searched is src/paxos and nothing else.
 *
 * What stands around the cells here is what a node does around them: the quarantine (A4), the
 * choice of a fresh ballot, the ceiling's gate before each answer (F1), the floor after a restart
 * (F2), whoever changes the membership (F3), the network and the passing of time. */
#ifndef TN_CHECK_EXPLORE_LEASE_H
#define TN_CHECK_EXPLORE_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "check/explore.h"

enum tn__explore_lease_feature {
    TN_EXPLORE_RENEW = 1U << 0,     /* an owner may start an attempt */
    TN_EXPLORE_RELEASE = 1U << 1,   /* an owner may release */
    TN_EXPLORE_WITHDRAW = 1U << 2,  /* a release may end an attempt that owns nothing */
    TN_EXPLORE_CRASH = 1U << 3,     /* nodes crash and restart, a proposer once */
    TN_EXPLORE_ABANDON = 1U << 4,   /* an attempt may be given up at any time (P5) */
    TN_EXPLORE_REDELIVER = 1U << 5, /* a delivered message may stay in the network */
    TN_EXPLORE_DROP = 1U << 6,      /* a message may be lost (else it may only be late for ever) */
    TN_EXPLORE_POLITE = 1U << 7,    /* our A1: a closed answer leaves the promise as it is */
    TN_EXPLORE_ANSWERS = 1U << 8,   /* refusals travel; else they arrive at once or are lost */
    TN_EXPLORE_FENCED = 1U << 9,    /* F1, F2, F4 with the real ceiling cell; inv.L11 */
    TN_EXPLORE_WRITE_FAILS = 1U << 10,   /* F4: a write of the ceiling may fail */
    TN_EXPLORE_WRITE_AT_ONCE = 1U << 15, /* F1: the write is over when the answer is made */
    TN_EXPLORE_FORGET = 1U << 11,  /* a quiet name's record may be dropped into the floor (F2) */
    TN_EXPLORE_ENDLESS = 1U << 12, /* no horizon: remaining times, ranks, ages */
    TN_EXPLORE_RATES = 1U << 13,   /* every node has a clock of its own */
    TN_EXPLORE_STALE = 1U << 14,   /* not ours: an acceptor's `now` may be one tick old (T1) */
};

#define TN_EXPLORE_LEASE_VERSIONS 3

/* One version of the membership: so many acceptors from that one on. */
struct tn__explore_version {
    uint8_t first;
    uint8_t count;
};

struct tn__explore_lease_config {
    const char *name;
    const char *about;
    uint32_t features;        /* enum tn__explore_lease_feature */
    uint8_t proposers;        /* 1 or 2 */
    uint8_t acceptors;        /* 1 to 5 */
    uint8_t ballots;          /* how many attempts in all; ENDLESS: 0 */
    uint8_t horizon;          /* the last moment; ENDLESS: 0 */
    uint8_t messages;         /* in flight at most */
    uint8_t proposer_ticks;   /* D_P */
    uint8_t acceptor_ticks;   /* D_A */
    uint8_t quarantine_ticks; /* D_Q */
    uint8_t guide;            /* enum tn__lease_guide (lease_rows.h) */
    uint8_t rate_slow;        /* RATES: a clock ticks at least so often ... */
    uint8_t rate_fast;        /* ... in so many moments, and once in each at most */
    /* F3: the versions of the membership, one after another; none: it never changes */
    struct tn__explore_version versions[TN_EXPLORE_LEASE_VERSIONS];
    uint8_t versions_count;
    uint8_t larger_step; /* F3: each change is a larger step, and the new version waits it out */
    uint8_t stride;      /* FENCED: ballots that a raised ceiling covers beyond the asked one */
    uint8_t table_row;   /* it is one of the rows that must exhaust */
    uint8_t setting;     /* where mutants run: not among those that must exhaust */
    uint8_t violates;    /* it shows a bound to be tight: a violation is the right verdict */
    uint8_t seconds;     /* about how long it takes on one core, reduced; 255: longer */
};

/* The configurations by index; false past the last one. */
bool tn__explore_lease_config_at(uint32_t index, struct tn__explore_lease_config *config);

uint32_t tn__explore_lease_count(void);

bool tn__explore_lease_config_find(const char *name, struct tn__explore_lease_config *config);

/* How a configuration is to be explored. */
struct tn__explore_lease {
    const struct tn__explore_lease_config *config; /* the copy below */
    struct tn__explore_lease_config config_copy;
    bool normalise;        /* merge states that no future event can tell apart */
    bool symmetry;         /* merge states that differ in names alone */
    uint32_t alike;        /* bit i: acceptor i is a member of the same versions as i - 1 */
    const char *invariant; /* judge by this one alone, e.g. "inv.L1"; NULL: by all */
    struct tn__explore_model model;
};

/* Fill `lease` and its model. `lease` must stay where it is while the model is in use. */
void tn__explore_lease_init(struct tn__explore_lease *lease,
                            const struct tn__explore_lease_config *config, bool reduced);

#endif
