/* The configurations under which the lease protocol is explored: data alone.
 *
 * Each row is one setting of the published study of PaxosLease (a finite number of proposers,
 * acceptors, ballots and units of time, at most so many messages in flight), with what an
 * exhaustive search of it must give: how many distinct states the graph has, or how long the
 * shortest run to two owners is. Two models take their rows from here: the small one in
 * tests/model, which must give the exact numbers, and the one made of the real cells, which must
 * give the same verdicts.
 *
 * Rows that hold come first, then those that a weakened rule breaks. (The study has one more, an
 * abstract model of leases above a log: it has no row because it has none of these parameters.) */
#ifndef TN_CHECK_LEASE_ROWS_H
#define TN_CHECK_LEASE_ROWS_H

#include <stddef.h>
#include <stdint.h>

/* What can happen in a row. */
enum tn__lease_feature {
    TN_LEASE_CRASH = 1,      /* proposers crash and restart once, acceptors any number of times */
    TN_LEASE_RELEASE = 2,    /* an owner may release early */
    TN_LEASE_DROP = 4,       /* a message may be lost */
    TN_LEASE_RENEW = 8,      /* an owner may acquire again before its lease is over */
    TN_LEASE_ABANDON = 16,   /* an attempt may be given up at any time */
    TN_LEASE_REDELIVER = 32, /* a delivered message may stay, to be delivered again */
    TN_LEASE_PURGE = 64,     /* a crash and a restart discard what is under way to the process */
};

/* Rules that a row weakens. */
enum tn__lease_weakness {
    TN_LEASE_OVERWRITE = 1,        /* A2: acceptors replace another owner's live lease */
    TN_LEASE_LATE_TIMER = 2,       /* T1: the deadline is set when accept requests are sent */
    TN_LEASE_OWN_OPEN = 4,         /* P2: any lease of its own counts as open to a proposer */
    TN_LEASE_RELEASE_BY_OWNER = 8, /* A3: a release matches the owner, whatever the ballot */
    TN_LEASE_COUNT_MESSAGES = 16,  /* P2, P4: answers are counted, not acceptors */
    TN_LEASE_OWNER_BY_NODE = 32,   /* A2: owners are nodes, not incarnations */
    /* The protocol that Keyspace and ScalienDB shipped, which has a time-out for attempts
     * (retry_ticks) and knows no incarnations; a restarted proposer goes on with its ballots. */
    TN_LEASE_SHIPPED = 64,
    TN_LEASE_LATE_DISPATCH = 128, /* with SHIPPED: a time-out that is due may run late or never */
};

/* A guide leaves out choices that a known run does not need, so that breadth-first search reaches
 * it. The first proposer is p1, the first acceptor a1; a ballot is the one last begun with.
 * Identities are named, so nothing is symmetric. */
enum tn__lease_guide {
    TN_LEASE_GUIDE_NONE,
    /* p1 begins with ballot 2 and, once it was active and restarted, with 1; p2 with 3 and while p1
     * is active under 1. Only p1 and a2 crash, a2 only once p1 has crashed. Until p1 restarted no
     * time passes and a3 neither promises nor accepts. */
    TN_LEASE_GUIDE_INCARNATION,
    /* p1 uses ballot 1, from time 1; p2 uses 2 and 3, and 3 only when 2 was used (by anyone). No
     * proposer crashes, only a2 crashes, at time 0 in effect: its quarantine ends by 2 and no other
     * acceptor has one. a3 comes to ballot 2 by accepting it; a1 never accepts 1, a2 never 2. */
    TN_LEASE_GUIDE_RENEW_CRASH,
    /* p1 uses ballot 1, after time 0; p2 uses 2 and 3; no proposer crashes and only a2 does. */
    TN_LEASE_GUIDE_RELEASE_CRASH,
};

struct tn__lease_row {
    const char *name;
    uint8_t proposers_count;
    uint8_t acceptors_count;
    uint8_t ballots_count;
    uint8_t time_max;     /* the horizon, in ticks from 0 */
    uint8_t messages_max; /* in flight; a state with more is checked and not expanded */
    uint8_t proposer_ticks;
    uint8_t acceptor_ticks;
    uint8_t quarantine_ticks;
    uint8_t retry_ticks; /* with SHIPPED */
    uint8_t features;    /* of enum tn__lease_feature */
    uint8_t weaknesses;  /* of enum tn__lease_weakness */
    enum tn__lease_guide guide;
    uint32_t trace_states;      /* 0: no reachable state has two owners; else the shortest trace's
                                 * length,      the initial state included */
    uint64_t states_count;      /* distinct states, the constraint applied; 0: never counted */
    uint64_t transitions_count; /* states generated, the initial one included; 0: not recorded */
};

extern const struct tn__lease_row tn__lease_rows[];
extern const size_t tn__lease_rows_count;

/* The row of that name, or NULL. */
const struct tn__lease_row *tn__lease_row_find(const char *name);

#endif
