/* A cell of nodes with one group each, whose machine is a register of counters: for tests.
 *
 * A value is text: "add KEY N" (KEY a letter, N a number), answered by the counter's new value as
 * text. What each member has executed is kept as a digest, so that members can be compared. */
#ifndef TN_TESTS_GROUP_CELL_H
#define TN_TESTS_GROUP_CELL_H

#include <stdatomic.h>

#include <tenure/group.h>

#include "support/node_cell.h"

#define GROUP_MACHINE 7U

struct counters {
    _Atomic uint64_t sums[26];
    _Atomic uint64_t executed; /* values */
    _Atomic uint64_t digest;   /* of slots and values, in order */
    _Atomic uint64_t slot;     /* of the last value */
    _Atomic uint32_t retries;  /* execute() asks for a retry so many times */
    _Atomic uint64_t contexts; /* executions that saw a context */
    _Atomic int wait_result;   /* of a waiting call made inside execute(), if `tempted` */
    _Atomic bool tempted;
    _Atomic bool held;         /* execute() waits while it is */
    _Atomic bool inside;       /* it does */
    _Atomic uint64_t pause_ns; /* each execution takes so long */
    _Atomic uint64_t on_loop;  /* executions on the node's loop */
    _Atomic uint32_t at_once;  /* executions under way: never more than one */
    const struct tn_node *node;
    struct tn_group *group;
};

struct group_cell {
    struct cell cell;
    struct tn_group *groups[CELL_NODES_MAX];
    struct counters counters[CELL_NODES_MAX];
    struct tn_group_options options;
    uint64_t sequences[CELL_NODES_MAX]; /* of once-only ids */
    char why[512];
};

void group_cell_make(struct group_cell *cell, uint32_t count, enum tn_log_mode mode);
void group_cell_start(struct group_cell *cell, uint32_t index);
/* Open the group at a node that was started. */
void group_cell_open(struct group_cell *cell, uint32_t index);
void group_cell_start_all(struct group_cell *cell);
/* Close the group, stop the node; what its machine held is forgotten. */
void group_cell_stop(struct group_cell *cell, uint32_t index);
void group_cell_end(struct group_cell *cell);

/* Propose "add KEY N" and wait; returns the counter's new value. The test fails on an error. */
uint64_t group_cell_add(struct group_cell *cell, uint32_t index, char key, uint64_t number);

/* The same; returns the error. */
int group_cell_try(struct group_cell *cell, uint32_t index, char key, uint64_t number,
                   const struct tn_propose_options *options, struct tn_proposal_result *result);

/* Wait until all running members have executed the same values, `least` or more. */
void group_cell_await_equal(struct group_cell *cell, uint64_t least);

#endif
