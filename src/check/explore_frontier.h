/* The states of two levels: the one being expanded and the one being found.
 *
 * A state found is a candidate: its number names a chunk and a slot there. The slot's record says
 * which parent and event led to it; when another worker later meets the same state from a parent
 * that comes earlier, it makes a candidate of its own and the first one's record becomes
 * TN_EXPLORE_RECORD_DEAD. Numbers are never used twice in a search, so a number at or above the
 * level's first one is of this level.
 *
 * States lie packed: a mask byte for each eight bytes, then the bytes that are not zero. A chunk is
 * filled by one worker, and goes back to the pool once all of its live states were expanded. */
#ifndef TN_CHECK_EXPLORE_FRONTIER_H
#define TN_CHECK_EXPLORE_FRONTIER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define TN_EXPLORE_RECORD_DEAD UINT64_MAX

struct tn__explore_chunk {
    uint8_t *bytes;
    uint32_t *offsets;         /* of each slot's state in bytes */
    _Atomic uint64_t *records; /* of each slot: parent's rank << 32 | event */
    struct tn__explore_chunk *next_free;
    uint32_t bytes_used;
    uint32_t bytes_touched; /* the most ever used: what counts as memory */
    uint32_t slots_used;
    uint32_t worker; /* who fills it */
    _Atomic uint32_t alive;
};

struct tn__explore_frontier {
    uint32_t state_bytes; /* a multiple of eight */
    uint32_t slots_bits;  /* slots a chunk, as a power of two */
    uint32_t chunk_bytes;
    uint32_t directory_count;
    struct tn__explore_chunk **directory; /* by chunk number */
    _Atomic uint32_t numbers_used;
    pthread_mutex_t lock; /* of the pool */
    struct tn__explore_chunk *free_chunks;
    struct tn__explore_chunk **owned; /* every chunk there is, for the end */
    uint32_t owned_count;
    uint32_t owned_size;
    _Atomic uint64_t bytes; /* memory in use */
};

bool tn__explore_frontier_init(struct tn__explore_frontier *frontier, uint32_t state_bytes);
void tn__explore_frontier_free(struct tn__explore_frontier *frontier);

/* A chunk to fill, under a new number; NULL when memory or numbers are used up. */
struct tn__explore_chunk *tn__explore_frontier_take(struct tn__explore_frontier *frontier,
                                                    uint32_t worker, uint32_t *number);
void tn__explore_frontier_give_back(struct tn__explore_frontier *frontier,
                                    struct tn__explore_chunk *chunk);

/* Is there room for one more state, whatever its bytes? */
bool tn__explore_chunk_has_room(const struct tn__explore_frontier *frontier,
                                const struct tn__explore_chunk *chunk);

/* Put a state into the next slot. */
void tn__explore_chunk_add(struct tn__explore_frontier *frontier, struct tn__explore_chunk *chunk,
                           const uint8_t *state);

/* No more states for now: count the memory that the chunk has touched. */
void tn__explore_chunk_seal(struct tn__explore_frontier *frontier, struct tn__explore_chunk *chunk);

/* Unpack the state of a slot. */
void tn__explore_chunk_get(const struct tn__explore_frontier *frontier,
                           const struct tn__explore_chunk *chunk, uint32_t slot, uint8_t *state);

static inline struct tn__explore_chunk *
tn__explore_chunk_of(const struct tn__explore_frontier *frontier, uint32_t candidate)
{
    return frontier->directory[candidate >> frontier->slots_bits];
}

static inline uint32_t tn__explore_slot_of(const struct tn__explore_frontier *frontier,
                                           uint32_t candidate)
{
    return candidate & ((1U << frontier->slots_bits) - 1);
}

#endif
