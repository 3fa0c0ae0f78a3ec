/* The states of two levels: see explore_frontier.h. */
#define _POSIX_C_SOURCE 200809L

#include "check/explore_frontier.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

/* A chunk is large enough that taking one is rare and small enough that few half-empty ones lie
 * about; at 4096 slots, 2^20 chunks number 2^32 candidates (less one chunk: tags count from 1). */
#define CHUNK_BYTES_MIN (256U * 1024)
#define SLOTS_BITS_MAX 12
#define SLOTS_BITS_MIN 6
#define DIRECTORY_COUNT_MAX ((1U << 20) - 1)

static uint32_t packed_bytes_max(uint32_t state_bytes)
{
    return state_bytes + state_bytes / 8;
}

bool tn__explore_frontier_init(struct tn__explore_frontier *frontier, uint32_t state_bytes)
{
    tn_assert(state_bytes > 0);
    tn_assert(state_bytes % 8 == 0);
    memset(frontier, 0, sizeof(*frontier));
    frontier->state_bytes = state_bytes;
    frontier->slots_bits = SLOTS_BITS_MAX;
    /* Most states pack to a quarter or a half: slots for four times what fits unpacked. */
    while (frontier->slots_bits > SLOTS_BITS_MIN &&
           (state_bytes << frontier->slots_bits) / 4 > CHUNK_BYTES_MIN) {
        frontier->slots_bits--;
    }
    frontier->chunk_bytes = CHUNK_BYTES_MIN;
    while (frontier->chunk_bytes < packed_bytes_max(state_bytes) * 16) {
        frontier->chunk_bytes *= 2;
    }
    frontier->directory_count = DIRECTORY_COUNT_MAX;
    frontier->directory = calloc(frontier->directory_count, sizeof(*frontier->directory));
    if (frontier->directory == NULL) {
        return false;
    }
    pthread_mutex_init(&frontier->lock, NULL);
    return true;
}

void tn__explore_frontier_free(struct tn__explore_frontier *frontier)
{
    for (uint32_t i = 0; i < frontier->owned_count; i++) {
        free(frontier->owned[i]->bytes);
        free(frontier->owned[i]->offsets);
        free((void *)frontier->owned[i]->records);
        free(frontier->owned[i]);
    }
    free(frontier->owned);
    if (frontier->directory != NULL) {
        free(frontier->directory);
        pthread_mutex_destroy(&frontier->lock);
    }
    memset(frontier, 0, sizeof(*frontier));
}

/* Under the lock: one more chunk, remembered for the end. */
static struct tn__explore_chunk *chunk_new(struct tn__explore_frontier *frontier)
{
    if (frontier->owned_count == frontier->owned_size) {
        uint32_t size = frontier->owned_size == 0 ? 64 : frontier->owned_size * 2;
        struct tn__explore_chunk **owned = realloc(frontier->owned, size * sizeof(*owned));
        if (owned == NULL) {
            return NULL;
        }
        frontier->owned = owned;
        frontier->owned_size = size;
    }
    size_t slots = (size_t)1 << frontier->slots_bits;
    struct tn__explore_chunk *chunk = calloc(1, sizeof(*chunk));
    if (chunk == NULL) {
        return NULL;
    }
    frontier->owned[frontier->owned_count++] = chunk;
    chunk->bytes = malloc(frontier->chunk_bytes);
    chunk->offsets = malloc(slots * sizeof(*chunk->offsets));
    chunk->records = malloc(slots * sizeof(*chunk->records));
    if (chunk->bytes == NULL || chunk->offsets == NULL || chunk->records == NULL) {
        return NULL;
    }
    atomic_fetch_add_explicit(&frontier->bytes,
                              slots * (sizeof(*chunk->offsets) + sizeof(*chunk->records)),
                              memory_order_relaxed);
    return chunk;
}

struct tn__explore_chunk *tn__explore_frontier_take(struct tn__explore_frontier *frontier,
                                                    uint32_t worker, uint32_t *number)
{
    pthread_mutex_lock(&frontier->lock);
    uint32_t next = atomic_load_explicit(&frontier->numbers_used, memory_order_relaxed);
    struct tn__explore_chunk *chunk = frontier->free_chunks;
    if (next >= frontier->directory_count) {
        chunk = NULL;
    } else if (chunk != NULL) {
        frontier->free_chunks = chunk->next_free;
    } else {
        chunk = chunk_new(frontier);
    }
    if (chunk != NULL) {
        chunk->next_free = NULL;
        chunk->bytes_used = 0;
        chunk->slots_used = 0;
        chunk->worker = worker;
        frontier->directory[next] = chunk;
        *number = next;
        atomic_store_explicit(&frontier->numbers_used, next + 1, memory_order_relaxed);
    }
    pthread_mutex_unlock(&frontier->lock);
    return chunk;
}

void tn__explore_frontier_give_back(struct tn__explore_frontier *frontier,
                                    struct tn__explore_chunk *chunk)
{
    pthread_mutex_lock(&frontier->lock);
    chunk->next_free = frontier->free_chunks;
    frontier->free_chunks = chunk;
    pthread_mutex_unlock(&frontier->lock);
}

bool tn__explore_chunk_has_room(const struct tn__explore_frontier *frontier,
                                const struct tn__explore_chunk *chunk)
{
    return chunk->slots_used < 1U << frontier->slots_bits &&
           chunk->bytes_used + packed_bytes_max(frontier->state_bytes) <= frontier->chunk_bytes;
}

void tn__explore_chunk_add(struct tn__explore_frontier *frontier, struct tn__explore_chunk *chunk,
                           const uint8_t *state)
{
    tn_assert(tn__explore_chunk_has_room(frontier, chunk));
    uint8_t *begin = chunk->bytes + chunk->bytes_used;
    uint8_t *out = begin;
    for (uint32_t i = 0; i < frontier->state_bytes; i += 8) {
        uint8_t *mask = out++;
        uint64_t word;
        memcpy(&word, state + i, sizeof(word));
        uint32_t bits = 0;
        for (uint32_t j = 0; word != 0 && j < 8; j++) {
            uint32_t present = state[i + j] != 0;
            *out = state[i + j];
            out += present;
            bits |= present << j;
        }
        *mask = (uint8_t)bits;
    }
    chunk->offsets[chunk->slots_used++] = chunk->bytes_used;
    chunk->bytes_used += (uint32_t)(out - begin);
}

void tn__explore_chunk_seal(struct tn__explore_frontier *frontier, struct tn__explore_chunk *chunk)
{
    if (chunk->bytes_used > chunk->bytes_touched) {
        atomic_fetch_add_explicit(&frontier->bytes, chunk->bytes_used - chunk->bytes_touched,
                                  memory_order_relaxed);
        chunk->bytes_touched = chunk->bytes_used;
    }
}

void tn__explore_chunk_get(const struct tn__explore_frontier *frontier,
                           const struct tn__explore_chunk *chunk, uint32_t slot, uint8_t *state)
{
    tn_assert(slot < chunk->slots_used);
    const uint8_t *in = chunk->bytes + chunk->offsets[slot];
    memset(state, 0, frontier->state_bytes);
    for (uint32_t i = 0; i < frontier->state_bytes; i += 8) {
        for (uint32_t bits = *in++; bits != 0; bits &= bits - 1) {
            state[i + (uint32_t)__builtin_ctz(bits)] = *in++;
        }
    }
}
