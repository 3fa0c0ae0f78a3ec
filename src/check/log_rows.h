/* The configurations under which the log's cells are explored: data alone (docs/exploration.md says
 * why these bounds are enough). */
#ifndef TN_CHECK_LOG_ROWS_H
#define TN_CHECK_LOG_ROWS_H

#include <stdbool.h>
#include <stdint.h>

#define TN_EXPLORE_LOG_NODES 5
#define TN_EXPLORE_LOG_PROPOSERS 2
#define TN_EXPLORE_LOG_BALLOTS 4
#define TN_EXPLORE_LOG_SLOTS 3

enum tn__explore_log_feature {
    TN_EXPLORE_LOG_WRITES = 1,   /* a durable write is an event; else it is over at once */
    TN_EXPLORE_LOG_POWER = 2,    /* a node loses power: what was not synced is gone */
    TN_EXPLORE_LOG_KILL = 4,     /* a process dies: what was written is read back, synced or not */
    TN_EXPLORE_LOG_FOLLOW = 8,   /* C1: followers commit by their leader's word */
    TN_EXPLORE_LOG_FETCH = 16,   /* C2: catch-up */
    TN_EXPLORE_LOG_PREPARE = 32, /* whoever may vote in any slot is asked; else as N2 has it */
};

/* An attempt. Those of a row are listed in the order that the specification gives them. */
struct tn__explore_log_ballot {
    uint8_t token; /* of the tenure; 0: free mode */
    uint8_t attempt;
    uint8_t proposer; /* 0 or 1: whose it is */
    uint8_t node;     /* the id it carries, 1 ...: two proposers with one id are a copied disk */
};

struct tn__explore_log_config {
    const char *name;
    const char *about;
    uint32_t features;
    uint8_t nodes;       /* the first `proposers` of them propose */
    uint8_t proposers;   /* 1 or 2 */
    uint8_t ballots;     /* attempts in all, each made at most once */
    uint8_t slots;       /* that are ever proposed */
    uint8_t window;      /* alpha */
    uint8_t page;        /* entries of one page of a promise */
    uint8_t crashes;     /* in all */
    uint8_t voters;      /* of the first configuration, a set of nodes */
    uint8_t voters_next; /* of a second one, which a leader may propose; 0: none */
    uint8_t setting;     /* where mutants run: not among those that must exhaust */
    uint8_t seconds;     /* about how long it takes on one core; 255: longer */
    struct tn__explore_log_ballot attempts[TN_EXPLORE_LOG_BALLOTS];
};

/* The rows by index; false past the last one. */
bool tn__explore_log_config_at(uint32_t index, struct tn__explore_log_config *config);

bool tn__explore_log_config_find(const char *name, struct tn__explore_log_config *config);

#endif
