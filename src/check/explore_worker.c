/* One worker of an exploration: takes blocks of parents, expands them, and finds for each successor
 * whether it is new.
 *
 * Successors go through a batch: emitted, made canonical, fingerprinted and their bucket
 * prefetched; when the batch is full (or the block over) they are looked up in the same order, by
 * which time the bucket is in the cache. */
#define _POSIX_C_SOURCE 200809L
#define XXH_INLINE_ALL

#include "check/explore_search.h"

#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "base/assert.h"

bool tn__explore_worker_init(struct tn__explore_worker *worker, struct tn__explore_search *search,
                             uint32_t number)
{
    memset(worker, 0, sizeof(*worker));
    worker->search = search;
    worker->number = number;
    size_t bytes = search->frontier.state_bytes;
    worker->parent_state = calloc(1, bytes);
    worker->batch_states = calloc(TN_EXPLORE_BATCH, bytes);
    return worker->parent_state != NULL && worker->batch_states != NULL;
}

void tn__explore_worker_free(struct tn__explore_worker *worker)
{
    free(worker->parent_state);
    free(worker->batch_states);
    free(worker->segments);
    memset(worker, 0, sizeof(*worker));
}

struct tn__explore_print tn__explore_print_of(const struct tn__explore_search *search,
                                              const void *state)
{
    XXH128_hash_t hash =
        XXH3_128bits_withSeed(state, search->model->state_bytes, search->options.hash_seed);
    struct tn__explore_print print = {.low = hash.low64 & search->low_mask,
                                      .high = hash.high64 & search->high_mask};
    /* Zero marks a free slot; giving it up costs two fingerprints in 2^64. */
    print.low += print.low == 0;
    return print;
}

static void note_finding(struct tn__explore_worker *worker, const char *violated, uint32_t parent,
                         uint32_t event)
{
    struct tn__explore_finding *finding = &worker->finding;
    if (violated == NULL || (finding->violated != NULL && finding->parent <= parent)) {
        return;
    }
    *finding = (struct tn__explore_finding){.violated = violated, .parent = parent, .event = event};
    atomic_store(&worker->search->violation_found, 1);
}

static void stop_for(struct tn__explore_search *search, enum tn__explore_stop why)
{
    int none = TN_EXPLORE_STOP_NONE;
    (void)atomic_compare_exchange_strong(&search->stop, &none, (int)why);
}

/* Close the run of candidates of the block in hand. */
static bool segment_close(struct tn__explore_worker *worker)
{
    if (worker->chunk == NULL || worker->chunk->slots_used == worker->segment_first) {
        return true;
    }
    if (worker->segments_count == worker->segments_size) {
        uint32_t size = worker->segments_size == 0 ? 1024 : worker->segments_size * 2;
        struct tn__explore_segment *grown =
            realloc(worker->segments, size * sizeof(*worker->segments));
        if (grown == NULL) {
            return false;
        }
        worker->segments = grown;
        worker->segments_size = size;
    }
    worker->segments[worker->segments_count++] = (struct tn__explore_segment){
        .block = worker->block,
        .first = worker->chunk_first + worker->segment_first,
        .count = worker->chunk->slots_used - worker->segment_first,
    };
    worker->segment_first = worker->chunk->slots_used;
    return true;
}

/* Make sure that there is a slot for one more candidate. */
static bool chunk_ready(struct tn__explore_worker *worker)
{
    struct tn__explore_frontier *frontier = &worker->search->frontier;
    if (worker->chunk != NULL && tn__explore_chunk_has_room(frontier, worker->chunk)) {
        return true;
    }
    if (!segment_close(worker)) {
        return false;
    }
    if (worker->chunk != NULL) {
        tn__explore_chunk_seal(frontier, worker->chunk);
    }
    uint32_t number = 0;
    worker->chunk = tn__explore_frontier_take(frontier, worker->number, &number);
    worker->chunk_first = number << frontier->slots_bits;
    worker->segment_first = 0;
    return worker->chunk != NULL;
}

/* Another worker's candidate stands for the state: does this one, from an earlier parent, take its
 * place? If so the tag now names it and the other one is dead. */
static bool supersede(struct tn__explore_worker *worker, uint32_t parent, uint32_t candidate,
                      _Atomic uint32_t *where)
{
    struct tn__explore_search *search = worker->search;
    struct tn__explore_frontier *frontier = &search->frontier;
    uint32_t tag = atomic_load_explicit(where, memory_order_acquire);
    for (;;) {
        uint32_t other = tag - 1;
        if (other < search->first_candidate) {
            return false;
        }
        struct tn__explore_chunk *chunk = tn__explore_chunk_of(frontier, other);
        if (chunk->worker == worker->number) {
            return false;
        }
        _Atomic uint64_t *record = &chunk->records[tn__explore_slot_of(frontier, other)];
        uint64_t origin = atomic_load_explicit(record, memory_order_acquire);
        if (origin != TN_EXPLORE_RECORD_DEAD && origin >> 32 <= parent) {
            return false;
        }
        /* A dead record is one whose tag has just moved on: the exchange fails and tells. */
        if (atomic_compare_exchange_strong(where, &tag, candidate + 1)) {
            atomic_store_explicit(record, TN_EXPLORE_RECORD_DEAD, memory_order_release);
            return true;
        }
    }
}

/* Look one successor up, and keep it if it is new or the better candidate. */
static bool resolve(struct tn__explore_worker *worker, uint32_t index)
{
    struct tn__explore_search *search = worker->search;
    const struct tn__explore_model *model = search->model;
    const struct tn__explore_pending *pending = &worker->batch[index];
    const uint8_t *state = worker->batch_states + (size_t)index * search->frontier.state_bytes;
    if (!chunk_ready(worker)) {
        return false;
    }
    uint32_t slot = worker->chunk->slots_used;
    uint32_t candidate = worker->chunk_first + slot;
    /* Before the tag is seen by others, so that they can compare. */
    atomic_store_explicit(&worker->chunk->records[slot],
                          (uint64_t)pending->parent << 32 | pending->event, memory_order_relaxed);
    _Atomic uint32_t *where = NULL;
    bool fresh = tn__explore_table_insert(&search->table, pending->print, candidate + 1, &where);
    if (!fresh &&
        (search->workers_count == 1 || !supersede(worker, pending->parent, candidate, where))) {
        return true;
    }
    tn__explore_chunk_add(&search->frontier, worker->chunk, state);
    if (fresh) {
        worker->fresh_count++;
        worker->weight_sum += model->weight != NULL ? model->weight(model->context, state) : 0;
    }
    if (model->check != NULL) {
        note_finding(worker, model->check(model->context, state), pending->parent, pending->event);
    }
    return true;
}

static void batch_resolve(struct tn__explore_worker *worker)
{
    for (uint32_t i = 0; i < worker->batch_count; i++) {
        if (!resolve(worker, i)) {
            stop_for(worker->search, TN_EXPLORE_STOP_MEMORY);
            break;
        }
    }
    worker->batch_count = 0;
    atomic_fetch_add_explicit(&worker->search->states_count, worker->fresh_count,
                              memory_order_relaxed);
    worker->fresh_count = 0;
}

/* tn__explore_emit: one successor of the parent in hand. */
static void emit_successor(void *sink, const void *state, uint32_t event)
{
    struct tn__explore_worker *worker = sink;
    struct tn__explore_search *search = worker->search;
    const struct tn__explore_model *model = search->model;
    if (worker->batch_count == TN_EXPLORE_BATCH) {
        batch_resolve(worker);
    }
    worker->transitions_count++;
    uint8_t *copy =
        worker->batch_states + (size_t)worker->batch_count * search->frontier.state_bytes;
    memcpy(copy, state, model->state_bytes);
    if (model->canonicalise != NULL) {
        model->canonicalise(model->context, copy);
    }
    if (model->constraint != NULL && !model->constraint(model->context, copy)) {
        worker->cut_count++;
        if (model->check != NULL) {
            note_finding(worker, model->check(model->context, copy), worker->parent, event);
        }
        return;
    }
    struct tn__explore_pending *pending = &worker->batch[worker->batch_count++];
    pending->print = tn__explore_print_of(search, copy);
    pending->parent = worker->parent;
    pending->event = event;
    tn__explore_table_prefetch(&search->table, pending->print);
}

void tn__explore_worker_begin(struct tn__explore_worker *worker)
{
    const struct tn__explore_model *model = worker->search->model;
    worker->block = 0;
    worker->parent = 0;
    model->initial(model->context, emit_successor, worker);
    batch_resolve(worker);
    if (!segment_close(worker)) {
        stop_for(worker->search, TN_EXPLORE_STOP_MEMORY);
    }
}

/* The parents of the finished block need their chunks no more. */
static void block_release(struct tn__explore_worker *worker)
{
    struct tn__explore_search *search = worker->search;
    struct tn__explore_frontier *frontier = &search->frontier;
    uint32_t rank = worker->block * TN_EXPLORE_BLOCK;
    while (rank < worker->end) {
        struct tn__explore_chunk *chunk = tn__explore_chunk_of(frontier, search->order[rank]);
        uint32_t count = 1;
        while (rank + count < worker->end &&
               tn__explore_chunk_of(frontier, search->order[rank + count]) == chunk) {
            count++;
        }
        rank += count;
        if (atomic_fetch_sub(&chunk->alive, count) == count) {
            tn__explore_frontier_give_back(frontier, chunk);
        }
    }
}

static bool block_take(struct tn__explore_worker *worker)
{
    struct tn__explore_search *search = worker->search;
    if (atomic_load(&search->violation_found)) {
        return false;
    }
    uint64_t first = (uint64_t)atomic_fetch_add(&search->next_block, 1) * TN_EXPLORE_BLOCK;
    if (first >= search->order_count) {
        return false;
    }
    uint64_t end = first + TN_EXPLORE_BLOCK;
    worker->block = (uint32_t)(first / TN_EXPLORE_BLOCK);
    worker->next = (uint32_t)first;
    worker->end = (uint32_t)(end < search->order_count ? end : search->order_count);
    return true;
}

static void bounds_watch(struct tn__explore_search *search)
{
    uint64_t states = atomic_load_explicit(&search->states_count, memory_order_relaxed);
    if (states >= search->table_limit) {
        stop_for(search, TN_EXPLORE_STOP_GROW);
    }
    if (search->options.states_max != 0 && states >= search->options.states_max) {
        stop_for(search, TN_EXPLORE_STOP_STATES);
    }
}

void tn__explore_worker_expand(struct tn__explore_worker *worker)
{
    struct tn__explore_search *search = worker->search;
    const struct tn__explore_model *model = search->model;
    struct tn__explore_frontier *frontier = &search->frontier;
    for (;;) {
        if (worker->next == worker->end && !block_take(worker)) {
            return;
        }
        while (worker->next < worker->end &&
               atomic_load_explicit(&search->stop, memory_order_relaxed) == TN_EXPLORE_STOP_NONE) {
            worker->parent = worker->next++;
            uint32_t candidate = search->order[worker->parent];
            tn__explore_chunk_get(frontier, tn__explore_chunk_of(frontier, candidate),
                                  tn__explore_slot_of(frontier, candidate), worker->parent_state);
            model->successors(model->context, worker->parent_state, emit_successor, worker);
            bounds_watch(search);
        }
        batch_resolve(worker);
        if (!segment_close(worker) ||
            tn__explore_bytes(search) > search->options.memory_bytes_max) {
            stop_for(search, TN_EXPLORE_STOP_MEMORY);
        }
        if (worker->next == worker->end) {
            block_release(worker);
        }
        if (atomic_load(&search->stop) != TN_EXPLORE_STOP_NONE) {
            return;
        }
    }
}
