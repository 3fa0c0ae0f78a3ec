/* The inside of one exploration, shared by explore.c (levels), explore_worker.c (expansion) and
 * explore_trace.c (the way back).
 *
 * A state's rank is its place in its level. Ranks follow the order of blocks of TN_EXPLORE_BLOCK
 * parents, and inside a block the order in which its parents emit. Blocks are handed out in order
 * and each is expanded by one worker from its first parent to its last, so within one worker the
 * first candidate for a state is the right one, and between workers the smaller parent rank wins.
 *
 * Invariants:
 *  S1 at the end of a level the live candidates, in the order of blocks, are the states of the next
 *     level, each once, under the smallest parent rank that leads to them;
 *  S2 every block before one that was begun was begun: when a worker stops at a violation and the
 *     others finish their blocks, no earlier violation is missed. */
#ifndef TN_CHECK_EXPLORE_SEARCH_H
#define TN_CHECK_EXPLORE_SEARCH_H

#include <pthread.h>
#include <stdatomic.h>

#include "check/explore.h"
#include "check/explore_frontier.h"
#include "check/explore_table.h"

#define TN_EXPLORE_BLOCK 256U
#define TN_EXPLORE_BATCH 64U

/* How a state of one level came from the level before; kept for every state. */
struct tn__explore_origin {
    uint32_t parent; /* rank */
    uint32_t event;
};

/* A run of one worker's candidates from one block, inside one chunk. */
struct tn__explore_segment {
    uint32_t block;
    uint32_t first; /* candidate */
    uint32_t count;
};

/* The best violation a worker has met. */
struct tn__explore_finding {
    const char *violated; /* NULL: none */
    uint32_t parent;
    uint32_t event;
};

enum tn__explore_stop {
    TN_EXPLORE_STOP_NONE,
    TN_EXPLORE_STOP_GROW, /* the table must grow before anything more is inserted */
    TN_EXPLORE_STOP_MEMORY,
    TN_EXPLORE_STOP_STATES,
};

/* A successor between being emitted and being looked up. Its bytes are in batch_states. */
struct tn__explore_pending {
    struct tn__explore_print print;
    uint32_t parent;
    uint32_t event;
};

struct tn__explore_search;

struct tn__explore_worker {
    struct tn__explore_search *search;
    pthread_t thread;
    uint32_t number;
    /* the block in hand: parents next to end */
    uint32_t block;
    uint32_t next;
    uint32_t end;
    uint32_t parent; /* being expanded */
    uint8_t *parent_state;
    uint8_t *batch_states;
    uint32_t batch_count;
    struct tn__explore_pending batch[TN_EXPLORE_BATCH];
    /* the chunk being filled */
    struct tn__explore_chunk *chunk;
    uint32_t chunk_first;   /* candidate number of its slot 0 */
    uint32_t segment_first; /* slot where the block's run began */
    struct tn__explore_segment *segments;
    uint32_t segments_count;
    uint32_t segments_size;
    struct tn__explore_finding finding;
    uint32_t fresh_count; /* new states not yet added to the search's count */
    uint64_t transitions_count;
    uint64_t cut_count;
    uint64_t weight_sum;
};

struct tn__explore_search {
    const struct tn__explore_model *model;
    struct tn__explore_options options;
    struct tn__explore_result *result;
    struct tn__explore_table table;
    struct tn__explore_frontier frontier;
    uint64_t low_mask; /* of the fingerprint */
    uint64_t high_mask;
    uint64_t table_limit; /* states at which the table must grow */
    _Atomic uint64_t states_count;
    _Atomic uint64_t bytes_other; /* order, origins */
    /* the level being expanded */
    uint32_t level;
    uint32_t *order; /* candidate by rank */
    uint32_t order_count;
    uint32_t first_candidate; /* of the level being found */
    _Atomic uint32_t next_block;
    _Atomic int stop; /* enum tn__explore_stop */
    _Atomic int violation_found;
    struct tn__explore_origin *origins[TN_EXPLORE_LEVELS_MAX];
    /* the workers: number 0 is the calling thread */
    struct tn__explore_worker *workers;
    uint32_t workers_count;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t round;
    uint32_t running;
    bool quit;
};

/* Memory in use by all parts. */
uint64_t tn__explore_bytes(struct tn__explore_search *search);

bool tn__explore_worker_init(struct tn__explore_worker *worker, struct tn__explore_search *search,
                             uint32_t number);
void tn__explore_worker_free(struct tn__explore_worker *worker);

/* Emit the initial states as the first level, under event by event and parent 0. */
void tn__explore_worker_begin(struct tn__explore_worker *worker);

/* Expand blocks until none is left or the search must stop. */
void tn__explore_worker_expand(struct tn__explore_worker *worker);

/* The fingerprint of a canonical state under the search's seed and cut. */
struct tn__explore_print tn__explore_print_of(const struct tn__explore_search *search,
                                              const void *state);

/* Fill result->trace with the way to `finding`, met while expanding search->level (or among the
 * initial states, when `initial`). */
void tn__explore_trace_build(struct tn__explore_search *search,
                             const struct tn__explore_finding *finding, bool initial);

#endif
