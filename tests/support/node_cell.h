/* A cell of real nodes in one process, on loopback, with data directories of their own: for tests.
 *
 * Every wait is bounded by CELL_PATIENCE_NS, far above what any of them needs: a test fails by it
 * only if what it waits for never comes. */
#ifndef TN_TESTS_NODE_CELL_H
#define TN_TESTS_NODE_CELL_H

#include <pthread.h>

#include <tenure/node.h>

#define CELL_NODES_MAX 5
#define CELL_PATIENCE_NS (60 * TN_SECOND)
#define CELL_PROPOSER_NS (400 * TN_MILLISECOND)
#define CELL_LOG_BYTES 65536

struct cell_node {
    struct tn_node *node;
    struct tn_node_options options;
    char name[8];
    char address[64];
    char data_dir[160];
    uint16_t port;
    pthread_mutex_t mutex;
    char log[CELL_LOG_BYTES]; /* all lines, one after the other; under the mutex */
    size_t log_bytes;
    char why[512];
};

struct cell {
    uint32_t count;
    char directory[128];
    struct tn_node_member members[CELL_NODES_MAX];
    struct tn_node_table table;
    struct cell_node nodes[CELL_NODES_MAX];
};

/* A cell of `count` nodes named a, b, c ... on `host` ("127.0.0.1", "[::1]", "localhost"), none
 * started. The options of each may be changed before it is. */
void cell_make(struct cell *cell, uint32_t count, const char *host);

/* Start one, or all; the test fails if it does not start. */
void cell_start(struct cell *cell, uint32_t index);
void cell_start_all(struct cell *cell);

/* Start one that must be refused with this error; `why` then stands in its node. */
void cell_start_refused(struct cell *cell, uint32_t index, int error);

void cell_stop(struct cell *cell, uint32_t index);

/* Remove every file of a stopped node's data directory. */
void cell_wipe(struct cell *cell, uint32_t index);

/* Stop all, remove all. */
void cell_end(struct cell *cell);

/* Wait until the node's log contains the text. */
void cell_await_log(struct cell *cell, uint32_t index, const char *text);
uint32_t cell_count_log(struct cell *cell, uint32_t index, const char *text);

/* Wait until each running node sees `count` members connected. */
void cell_await_connected(struct cell *cell, uint32_t count);

/* Sleep for a moment between two looks; false once patience is over. `since` starts as 0. */
bool cell_patience(tn_time *since);

/* A port of loopback that nothing listens on at the moment. */
uint16_t cell_free_port(void);

/* A connected socket to a node's peer port, blocking, with a receive time-out. */
int cell_connect(const struct cell *cell, uint32_t index);

/* Status of one node; the test fails if there is none. */
void cell_status(struct cell *cell, uint32_t index, struct tn_node_status *status);

#endif
