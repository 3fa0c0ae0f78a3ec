/* What the real cells and the small model have in common: a state of a cluster in neutral terms.
 *
 * The two cannot be seen by one file (they share names, and nothing else), so the test of the
 * refinement writes a state of the real cells in these terms, and lease_refine.c reads it as a
 * state of the small model: the abstraction function. */
#ifndef TN_TESTS_MODEL_LEASE_REFINE_H
#define TN_TESTS_MODEL_LEASE_REFINE_H

#include <stdbool.h>
#include <stdint.h>

#include "check/explore.h"

#define TN_REFINE_ACCEPTORS 3
#define TN_REFINE_PROPOSERS 2
#define TN_REFINE_MESSAGES 10

/* A report of an own lease that is not the one being renewed. */
#define TN_REFINE_OTHER_BALLOT 7

enum tn__refine_kind {
    TN_REFINE_PREPARE,
    TN_REFINE_ACCEPT,
    TN_REFINE_RELEASE,
    TN_REFINE_PROMISE,
    TN_REFINE_ACCEPTED,
};

struct tn__refine_message {
    uint8_t kind;
    uint8_t proposer;
    uint8_t acceptor;
    uint8_t ballot;
    uint8_t incarnation;
    uint8_t reported; /* PROMISE: the own lease's ballot; 0: none; TN_REFINE_OTHER_BALLOT */
};

struct tn__refine_acceptor {
    bool down;
    uint8_t quarantine; /* its end, if that is still to come; else 0 */
    uint8_t promised;
    uint8_t ballot; /* of the lease that is live; 0: none */
    uint8_t owner;
    uint8_t incarnation;
    uint8_t deadline;
};

struct tn__refine_proposer {
    bool down;
    uint8_t incarnation;
    uint8_t last;  /* the ballot this incarnation last began with */
    uint8_t phase; /* 0 idle, 1 preparing, 2 accepting; below: while not idle */
    uint8_t pending;
    uint8_t open;     /* while preparing */
    uint8_t accepted; /* while accepting */
    uint8_t active;   /* the ballot it is owner by; 0: it is not */
    uint8_t deadline;
};

struct tn__refine_state {
    uint8_t now;
    uint8_t used;
    uint8_t messages_count;
    struct tn__refine_acceptor acceptors[TN_REFINE_ACCEPTORS];
    struct tn__refine_proposer proposers[TN_REFINE_PROPOSERS];
    struct tn__refine_message messages[TN_REFINE_MESSAGES];
};

struct tn__refine;

/* The small model of a row, where an attempt may also be given up (P5 at t_d): that the published
 * rows without retry leave out. NULL: no memory. */
struct tn__refine *tn__refine_open(const char *row);
void tn__refine_close(struct tn__refine *refine);

/* Is `after` where the small model can be within three steps from `before`? None is a stutter. */
bool tn__refine_step(struct tn__refine *refine, const struct tn__refine_state *before,
                     const struct tn__refine_state *after);

/* What the small model says of a row, reduced where it may be. */
enum tn__explore_verdict tn__refine_verdict(const char *row);

#endif
