/* The state of a small cluster of logs, packed, and the ways between it and the cells.
 *
 * Ballots are numbers, 1, 2, ... in the row's list; 0 is none. A value is a number too: that of the
 * attempt which first proposed it, or one of the two below. What was proposed in a slot under a
 * ballot is kept once, in `values`: it is the Accept message, and whoever holds (ballot, slot)
 * holds that value. A cell that holds another one is found when it is packed (the flaw VALUE).
 *
 * Invariant: unpacking a node and packing it again loses nothing. */
#ifndef TN_CHECK_EXPLORE_LOG_STATE_H
#define TN_CHECK_EXPLORE_LOG_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "check/explore_log.h"
#include "paxos/log_acceptor.h"
#include "paxos/log_configuration.h"
#include "paxos/log_learner.h"
#include "paxos/log_proposer.h"

/* The ring of the cells: slot `s` lies in place `s`. */
#define TN_EXPLORE_LOG_CAPACITY 4U

/* Values that no attempt names. */
#define TN_EXPLORE_LOG_CHANGE 5U /* of the configuration, to the row's second one */
#define TN_EXPLORE_LOG_NOOP 6U

/* What a step has broken, or a state. */
enum tn__explore_log_flaw {
    TN_EXPLORE_LOG_FLAW_NONE = 0,
    TN_EXPLORE_LOG_FLAW_AGREEMENT, /* P1: two values committed in one slot */
    TN_EXPLORE_LOG_FLAW_PROMISE,   /* P2: a promise fell */
    TN_EXPLORE_LOG_FLAW_SAID,      /* P3: said, and not durable */
    TN_EXPLORE_LOG_FLAW_PREFIX,    /* P6: a committed prefix, or its chain, differs */
    TN_EXPLORE_LOG_FLAW_READY,     /* P7: ready, and not recovered */
    TN_EXPLORE_LOG_FLAW_SKIPPED,   /* P8 */
    TN_EXPLORE_LOG_FLAW_DURABLE,   /* P9: committed, and no majority has it durably */
    TN_EXPLORE_LOG_FLAW_VALUE,     /* rule V2: two values in one (ballot, slot) */
    TN_EXPLORE_LOG_FLAWS_END,
};

/* The answer of an acceptor to the attempt in hand: bits. */
#define TN_EXPLORE_LOG_ANSWERED 1U
#define TN_EXPLORE_LOG_ANSWER_HELD 2U
#define TN_EXPLORE_LOG_ANSWER_COMMITTED_SHIFT 2U /* 2 bits */
#define TN_EXPLORE_LOG_ANSWER_SLOTS_SHIFT 4U     /* 3 bits a slot: the accepted ballot */

struct tn__explore_log_node {
    uint8_t promise;
    uint8_t committed;
    uint8_t pending; /* 1: a write is under way */
    uint8_t accepted[TN_EXPLORE_LOG_SLOTS];
    uint8_t durable_promise;
    uint8_t durable[TN_EXPLORE_LOG_SLOTS]; /* what a loss of power leaves */
    uint8_t promised;                      /* bit p: counted by proposer p */
    uint8_t cursors;                       /* a nibble a proposer: where its next page begins */
    uint8_t seen;                          /* a nibble a proposer: the highest slot reported */
    uint8_t reserved;
    uint16_t votes; /* ACCEPTED, sent: bit (ballot - 1) * SLOTS + slot - 1 */
    uint16_t held;  /* ACCEPTED, waiting for the write */
    uint16_t answers[TN_EXPLORE_LOG_PROPOSERS];
};

struct tn__explore_log_proposer {
    uint8_t phase;
    uint8_t ballot;
    uint8_t from;
    uint8_t next;
    uint8_t reported;
    uint8_t merged[TN_EXPLORE_LOG_SLOTS]; /* the highest ballot reported, of slots not proposed */
};

struct tn__explore_log_cluster {
    uint8_t flaw;
    uint8_t used;    /* attempts made, bit ballot - 1 */
    uint8_t crashes; /* so far */
    uint8_t reserved;
    uint8_t decided[TN_EXPLORE_LOG_SLOTS];   /* the value that was committed first */
    uint8_t fetchable[TN_EXPLORE_LOG_SLOTS]; /* C2: the ballots by which it was, bits */
    uint8_t said[TN_EXPLORE_LOG_BALLOTS];    /* C1: committed up to here, said under the ballot */
    uint8_t values[TN_EXPLORE_LOG_BALLOTS][TN_EXPLORE_LOG_SLOTS];
    struct tn__explore_log_proposer proposers[TN_EXPLORE_LOG_PROPOSERS];
    struct tn__explore_log_node nodes[TN_EXPLORE_LOG_NODES];
};

_Static_assert(sizeof(struct tn__explore_log_node) == 22, "no padding");
_Static_assert(sizeof(struct tn__explore_log_proposer) == 8, "no padding");
_Static_assert(sizeof(struct tn__explore_log_cluster) == 26 + 16 + 22 * 5, "no padding");

/* The cells of one node. */
struct tn__explore_log_cells {
    struct tn__log_acceptor acceptor;
    struct tn__log_slot slots[TN_EXPLORE_LOG_CAPACITY];
    struct tn__log_learner learner;
    struct tn__log_configurations configurations;
};

/* The cells of one proposer. */
struct tn__explore_log_attempt {
    struct tn__log_proposer proposer;
    struct tn__log_proposal proposals[TN_EXPLORE_LOG_CAPACITY];
};

static inline bool tn__explore_log_has(const struct tn__explore_log *log, uint32_t feature)
{
    return (log->config.features & feature) != 0;
}

static inline uint16_t tn__explore_log_vote(uint32_t ballot, uint32_t slot)
{
    return (uint16_t)(1U << ((ballot - 1) * TN_EXPLORE_LOG_SLOTS + slot - 1));
}

/* The proposer whose attempt in hand a ballot is, or TN_EXPLORE_LOG_PROPOSERS. */
static inline uint32_t tn__explore_log_attempt_of(const struct tn__explore_log_cluster *cluster,
                                                  uint32_t ballot)
{
    uint32_t i = 0;
    while (i < TN_EXPLORE_LOG_PROPOSERS && (cluster->proposers[i].phase == TN__LOG_IDLE ||
                                            cluster->proposers[i].ballot != ballot)) {
        i++;
    }
    return i;
}

/* Is the search judged by this one? */
bool tn__explore_log_judges(const struct tn__explore_log *log, uint32_t flaw);

void tn__explore_log_flaw(struct tn__explore_log_cluster *cluster, enum tn__explore_log_flaw flaw);

struct tn_log_ballot tn__explore_log_ballot(const struct tn__explore_log *log, uint32_t number);
uint32_t tn__explore_log_number(const struct tn__explore_log *log, struct tn_log_ballot ballot);
struct tn_log_value tn__explore_log_value(const struct tn__explore_log *log, uint32_t id);
uint32_t tn__explore_log_value_id(const struct tn_log_value *value);

void tn__explore_log_unpack(const struct tn__explore_log *log,
                            const struct tn__explore_log_cluster *cluster, uint32_t node,
                            struct tn__explore_log_cells *cells);
/* Packs the acceptor and `committed`; where a write is not an event, all of it is durable. */
void tn__explore_log_pack(const struct tn__explore_log *log,
                          struct tn__explore_log_cluster *cluster, uint32_t node,
                          const struct tn__explore_log_cells *cells);

void tn__explore_log_attempt_unpack(const struct tn__explore_log *log,
                                    const struct tn__explore_log_cluster *cluster,
                                    uint32_t proposer, struct tn__explore_log_attempt *attempt);
void tn__explore_log_attempt_pack(const struct tn__explore_log *log,
                                  struct tn__explore_log_cluster *cluster, uint32_t proposer,
                                  const struct tn__explore_log_attempt *attempt);

/* The acceptor as it was when it gave the answer. */
uint32_t tn__explore_log_answer_unpack(const struct tn__explore_log *log,
                                       const struct tn__explore_log_cluster *cluster,
                                       uint16_t answer, struct tn__log_acceptor *acceptor,
                                       struct tn__log_slot *slots);

/* The voters of a slot, by the judge's own reckoning from what was decided. */
uint32_t tn__explore_log_voters(const struct tn__explore_log *log,
                                const struct tn__explore_log_cluster *cluster, uint32_t slot);

/* ---- The model's functions ------------------------------------------------------------------ */

void tn__explore_log_initial(void *context, tn__explore_emit *emit, void *sink);
void tn__explore_log_successors(void *context, const void *state, tn__explore_emit *emit,
                                void *sink);
void tn__explore_log_canonicalise(void *context, void *state);
const char *tn__explore_log_check(void *context, const void *state);
void tn__explore_log_print_state(void *context, const void *state, struct tn__text *text);
void tn__explore_log_print_event(void *context, uint32_t event, struct tn__text *text);

struct tn__explore_log_cluster tn__explore_log_open(const struct tn__explore_log *log,
                                                    const void *state);

/* ---- Events: a kind, a node, two arguments, a byte each -------------------------------------- */

enum tn__explore_log_event_kind {
    TN_EXPLORE_LOG_INITIAL,
    TN_EXPLORE_LOG_BEGIN,   /* node, ballot */
    TN_EXPLORE_LOG_ANSWER,  /* node, ballot */
    TN_EXPLORE_LOG_RECEIVE, /* node (the acceptor), ballot */
    TN_EXPLORE_LOG_PROPOSE, /* node, ballot, value */
    TN_EXPLORE_LOG_ACCEPT,  /* node, ballot, slot */
    TN_EXPLORE_LOG_CHOSEN,  /* node, ballot */
    TN_EXPLORE_LOG_FOLLOWS, /* node, ballot */
    TN_EXPLORE_LOG_FETCHES, /* node, ballot */
    TN_EXPLORE_LOG_SYNC,    /* node */
    TN_EXPLORE_LOG_LOSES_POWER,
    TN_EXPLORE_LOG_KILLED,
    TN_EXPLORE_LOG_EVENTS_END,
};

static inline uint32_t tn__explore_log_event(enum tn__explore_log_event_kind kind, uint32_t node,
                                             uint32_t ballot, uint32_t argument)
{
    return (uint32_t)kind | node << 8 | ballot << 16 | argument << 24;
}

#endif
