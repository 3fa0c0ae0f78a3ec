/* The exploration as a whole: sets up, runs level after level, settles each and keeps the books.
 *
 * A level is one or more rounds: all workers expand blocks until none is left, or until one says
 * that the table must grow, which is done between rounds with no worker inside. Then the level is
 * settled: its live candidates, block by block, become the next level. */
#define _POSIX_C_SOURCE 200809L

#include "check/explore.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "check/explore_search.h"

#define MEMORY_BYTES_DEFAULT (4ULL << 30)
/* Of the table's slots: grow above the first share, or, if there is no memory for that, go on to
 * the second. The rest is room for the batches in hand when a worker notices. */
#define LOAD_PERCENT_GROW 80
#define LOAD_PERCENT_MAX 95

uint64_t tn__explore_bytes(struct tn__explore_search *search)
{
    return tn__explore_table_bytes(&search->table) +
           atomic_load_explicit(&search->frontier.bytes, memory_order_relaxed) +
           atomic_load_explicit(&search->bytes_other, memory_order_relaxed);
}

static void note_peak(struct tn__explore_search *search, uint64_t more)
{
    uint64_t bytes = tn__explore_bytes(search) + more;
    if (bytes > search->result->bytes_peak) {
        search->result->bytes_peak = bytes;
    }
}

/* Between rounds: double the table, or grow it as far as memory goes; false when it is as full as
 * it may get. */
static bool table_grow(struct tn__explore_search *search)
{
    struct tn__explore_table *table = &search->table;
    uint64_t bytes = tn__explore_table_bytes(table);
    uint64_t used = tn__explore_bytes(search);
    uint64_t room =
        search->options.memory_bytes_max > used ? search->options.memory_bytes_max - used : 0;
    uint64_t wanted = bytes * 2 <= room ? bytes * 2 : room;
    /* A small step is not worth the copying. */
    if (wanted >= bytes + bytes / 4 && tn__explore_table_grow(table, wanted)) {
        note_peak(search, bytes);
        search->table_limit = tn__explore_table_slots(table) / 100 * LOAD_PERCENT_GROW;
        return true;
    }
    search->table_limit = tn__explore_table_slots(table) / 100 * LOAD_PERCENT_MAX;
    return atomic_load(&search->states_count) < search->table_limit;
}

/* A helper thread: one call of tn__explore_worker_expand() a round. */
static void *worker_main(void *argument)
{
    struct tn__explore_worker *worker = argument;
    struct tn__explore_search *search = worker->search;
    uint64_t seen = 0;
    for (;;) {
        pthread_mutex_lock(&search->lock);
        while (search->round == seen && !search->quit) {
            pthread_cond_wait(&search->changed, &search->lock);
        }
        seen = search->round;
        bool quit = search->quit;
        pthread_mutex_unlock(&search->lock);
        if (quit) {
            return NULL;
        }
        tn__explore_worker_expand(worker);
        pthread_mutex_lock(&search->lock);
        search->running--;
        pthread_cond_broadcast(&search->changed);
        pthread_mutex_unlock(&search->lock);
    }
}

static void round_run(struct tn__explore_search *search)
{
    pthread_mutex_lock(&search->lock);
    search->round++;
    search->running = search->workers_count - 1;
    pthread_cond_broadcast(&search->changed);
    pthread_mutex_unlock(&search->lock);
    tn__explore_worker_expand(&search->workers[0]);
    pthread_mutex_lock(&search->lock);
    while (search->running > 0) {
        pthread_cond_wait(&search->changed, &search->lock);
    }
    pthread_mutex_unlock(&search->lock);
}

/* Expand the whole level, or as far as a violation or a bound allows. */
static enum tn__explore_stop level_expand(struct tn__explore_search *search)
{
    atomic_store(&search->next_block, 0);
    for (;;) {
        atomic_store(&search->stop, TN_EXPLORE_STOP_NONE);
        round_run(search);
        note_peak(search, 0);
        enum tn__explore_stop stop = (enum tn__explore_stop)atomic_load(&search->stop);
        if (stop == TN_EXPLORE_STOP_GROW) {
            if (!table_grow(search)) {
                return TN_EXPLORE_STOP_MEMORY;
            }
            continue;
        }
        return stop;
    }
}

/* The worker whose segments are next in the order of blocks; NULL when all are taken. */
static struct tn__explore_worker *segment_next(struct tn__explore_search *search,
                                               const uint32_t *taken)
{
    struct tn__explore_worker *first = NULL;
    for (uint32_t i = 0; i < search->workers_count; i++) {
        struct tn__explore_worker *worker = &search->workers[i];
        if (taken[i] < worker->segments_count &&
            (first == NULL ||
             worker->segments[taken[i]].block < first->segments[taken[first->number]].block)) {
            first = worker;
        }
    }
    return first;
}

/* Append the live candidates of a segment to the next level. */
static uint32_t segment_settle(struct tn__explore_search *search,
                               const struct tn__explore_segment *segment, uint32_t count,
                               uint32_t *order, struct tn__explore_origin *origins)
{
    struct tn__explore_frontier *frontier = &search->frontier;
    struct tn__explore_chunk *chunk = tn__explore_chunk_of(frontier, segment->first);
    uint32_t slot = tn__explore_slot_of(frontier, segment->first);
    uint32_t before = count;
    for (uint32_t i = 0; i < segment->count; i++) {
        uint64_t record = atomic_load_explicit(&chunk->records[slot + i], memory_order_relaxed);
        if (record == TN_EXPLORE_RECORD_DEAD) {
            continue;
        }
        order[count] = segment->first + i;
        origins[count] = (struct tn__explore_origin){.parent = (uint32_t)(record >> 32),
                                                     .event = (uint32_t)record};
        count++;
    }
    atomic_fetch_add(&chunk->alive, count - before);
    return count;
}

static uint64_t candidates_count(const struct tn__explore_search *search)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < search->workers_count; i++) {
        for (uint32_t j = 0; j < search->workers[i].segments_count; j++) {
            total += search->workers[i].segments[j].count;
        }
    }
    return total;
}

/* Put every segment into `order`, and have all workers begin the next level with new chunks. */
static uint32_t segments_settle(struct tn__explore_search *search, uint32_t *order,
                                struct tn__explore_origin *origins)
{
    uint32_t taken[TN_EXPLORE_THREADS_MAX] = {0};
    uint32_t count = 0;
    struct tn__explore_worker *worker;
    while ((worker = segment_next(search, taken)) != NULL) {
        const struct tn__explore_segment *segment = &worker->segments[taken[worker->number]++];
        count = segment_settle(search, segment, count, order, origins);
    }
    for (uint32_t i = 0; i < search->workers_count; i++) {
        worker = &search->workers[i];
        if (worker->chunk != NULL) {
            tn__explore_chunk_seal(&search->frontier, worker->chunk);
            if (worker->chunk->slots_used == 0) {
                tn__explore_frontier_give_back(&search->frontier, worker->chunk);
            }
            worker->chunk = NULL;
        }
        worker->segments_count = 0;
        worker->segment_first = 0;
    }
    search->first_candidate = atomic_load(&search->frontier.numbers_used)
                              << search->frontier.slots_bits;
    return count;
}

/* S1: turn what was found into the next level. False when there is no memory. */
static bool level_settle(struct tn__explore_search *search, uint32_t level)
{
    uint64_t candidates = candidates_count(search);
    tn_assert(candidates <= UINT32_MAX);
    uint32_t *order = malloc((candidates + 1) * sizeof(*order));
    struct tn__explore_origin *origins = malloc((candidates + 1) * sizeof(*origins));
    if (order == NULL || origins == NULL) {
        free(order);
        free(origins);
        return false;
    }
    uint32_t count = segments_settle(search, order, origins);
    uint64_t dropped = search->order_count * sizeof(*order);
    atomic_fetch_add(&search->bytes_other, count * (sizeof(*order) + sizeof(*origins)));
    note_peak(search, 0);
    free(search->order);
    atomic_fetch_sub(&search->bytes_other, dropped);
    search->order = order;
    search->order_count = count;
    search->origins[level] = origins;
    search->level = level;
    search->result->level_states[level] = count;
    if (count > 0) {
        search->result->levels_count = level + 1;
        search->result->states_whole_count += count;
    }
    return true;
}

/* The violation that one thread alone would have met first; NULL if none was met. */
static const struct tn__explore_finding *first_finding(const struct tn__explore_search *search)
{
    const struct tn__explore_finding *first = NULL;
    for (uint32_t i = 0; i < search->workers_count; i++) {
        const struct tn__explore_finding *finding = &search->workers[i].finding;
        if (finding->violated != NULL && (first == NULL || finding->parent < first->parent)) {
            first = finding;
        }
    }
    return first;
}

static void counts_sum(struct tn__explore_search *search)
{
    struct tn__explore_result *result = search->result;
    result->states_count = atomic_load(&search->states_count);
    result->transitions_count = 0;
    result->cut_count = 0;
    result->weight_sum = 0;
    for (uint32_t i = 0; i < search->workers_count; i++) {
        result->transitions_count += search->workers[i].transitions_count;
        result->cut_count += search->workers[i].cut_count;
        result->weight_sum += search->workers[i].weight_sum;
    }
}

static void bound_reached(struct tn__explore_search *search, const char *which)
{
    search->result->verdict = TN_EXPLORE_BOUND;
    search->result->bound = which;
}

/* A violation, if there is one, goes before a bound. */
static bool finding_concludes(struct tn__explore_search *search, bool initial)
{
    const struct tn__explore_finding *finding = first_finding(search);
    if (finding == NULL) {
        return false;
    }
    search->result->verdict = TN_EXPLORE_VIOLATION;
    search->result->violated = finding->violated;
    tn__explore_trace_build(search, finding, initial);
    return true;
}

static void level_report(struct tn__explore_search *search, uint64_t began)
{
    const struct tn__explore_options *options = &search->options;
    counts_sum(search);
    if (options->now_ns != NULL) {
        search->result->elapsed_ns = options->now_ns(options->now_context) - began;
    }
    if (options->progress != NULL) {
        options->progress(options->progress_context, search->result);
    }
}

static void levels_run(struct tn__explore_search *search, uint64_t began)
{
    tn__explore_worker_begin(&search->workers[0]);
    if (finding_concludes(search, true)) {
        return;
    }
    bool settled = atomic_load(&search->stop) == TN_EXPLORE_STOP_NONE && level_settle(search, 0);
    for (uint32_t level = 1; settled && search->order_count > 0; level++) {
        level_report(search, began);
        if (level == search->options.levels_max) {
            bound_reached(search, "levels");
            return;
        }
        enum tn__explore_stop stop = level_expand(search);
        if (finding_concludes(search, false)) {
            return;
        }
        if (stop == TN_EXPLORE_STOP_STATES) {
            bound_reached(search, "states");
            return;
        }
        settled = stop == TN_EXPLORE_STOP_NONE && level_settle(search, level);
    }
    if (!settled) {
        bound_reached(search, "memory");
    }
}

static void options_complete(struct tn__explore_search *search,
                             const struct tn__explore_options *options)
{
    struct tn__explore_options *own = &search->options;
    if (options != NULL) {
        *own = *options;
    }
    own->threads_count = own->threads_count == 0 ? 1 : own->threads_count;
    own->memory_bytes_max =
        own->memory_bytes_max == 0 ? MEMORY_BYTES_DEFAULT : own->memory_bytes_max;
    own->levels_max = own->levels_max == 0 ? TN_EXPLORE_LEVELS_MAX : own->levels_max;
    own->fingerprint_bits = own->fingerprint_bits == 0 ? 128 : own->fingerprint_bits;
    tn_assert(own->threads_count <= TN_EXPLORE_THREADS_MAX);
    tn_assert(own->levels_max <= TN_EXPLORE_LEVELS_MAX);
    tn_assert(own->fingerprint_bits <= 128);
    uint32_t bits = own->fingerprint_bits;
    search->low_mask = bits >= 64 ? UINT64_MAX : (1ULL << bits) - 1;
    search->high_mask = bits == 128 ? UINT64_MAX : bits <= 64 ? 0 : (1ULL << (bits - 64)) - 1;
}

/* The helpers; fewer than asked for, when the machine gives no more. */
static void helpers_start(struct tn__explore_search *search)
{
    uint32_t wanted = search->options.threads_count;
    while (search->workers_count < wanted) {
        struct tn__explore_worker *worker = &search->workers[search->workers_count];
        if (!tn__explore_worker_init(worker, search, search->workers_count) ||
            pthread_create(&worker->thread, NULL, worker_main, worker) != 0) {
            tn__explore_worker_free(worker);
            return;
        }
        search->workers_count++;
    }
}

static void helpers_stop(struct tn__explore_search *search)
{
    pthread_mutex_lock(&search->lock);
    search->quit = true;
    pthread_cond_broadcast(&search->changed);
    pthread_mutex_unlock(&search->lock);
    for (uint32_t i = 1; i < search->workers_count; i++) {
        pthread_join(search->workers[i].thread, NULL);
    }
}

static bool search_init(struct tn__explore_search *search)
{
    struct tn__explore_result *result = search->result;
    uint32_t state_bytes = (search->model->state_bytes + 7) / 8 * 8;
    result->level_states = calloc(TN_EXPLORE_LEVELS_MAX, sizeof(*result->level_states));
    search->workers = calloc(search->options.threads_count, sizeof(*search->workers));
    if (result->level_states == NULL || search->workers == NULL ||
        !tn__explore_frontier_init(&search->frontier, state_bytes) ||
        !tn__explore_table_init(&search->table, search->options.states_hint) ||
        !tn__explore_worker_init(&search->workers[0], search, 0)) {
        return false;
    }
    search->workers_count = 1;
    search->table_limit = tn__explore_table_slots(&search->table) / 100 * LOAD_PERCENT_GROW;
    note_peak(search, 0);
    return search->result->bytes_peak <= search->options.memory_bytes_max;
}

static void search_free(struct tn__explore_search *search)
{
    for (uint32_t i = 0; search->workers != NULL && i < search->options.threads_count; i++) {
        tn__explore_worker_free(&search->workers[i]);
    }
    for (uint32_t i = 0; i < TN_EXPLORE_LEVELS_MAX; i++) {
        free(search->origins[i]);
    }
    free(search->workers);
    free(search->order);
    tn__explore_table_free(&search->table);
    tn__explore_frontier_free(&search->frontier);
}

void tn__explore(const struct tn__explore_model *model, const struct tn__explore_options *options,
                 struct tn__explore_result *result)
{
    tn_assert(model->state_bytes > 0);
    tn_assert(model->state_bytes <= TN_EXPLORE_STATE_BYTES_MAX);
    memset(result, 0, sizeof(*result));
    struct tn__explore_search *search = calloc(1, sizeof(*search));
    if (search == NULL) {
        result->verdict = TN_EXPLORE_BOUND;
        result->bound = "memory";
        return;
    }
    search->model = model;
    search->result = result;
    options_complete(search, options);
    const struct tn__explore_options *own = &search->options;
    uint64_t began = own->now_ns != NULL ? own->now_ns(own->now_context) : 0;
    if (search_init(search)) {
        pthread_mutex_init(&search->lock, NULL);
        pthread_cond_init(&search->changed, NULL);
        helpers_start(search);
        levels_run(search, began);
        helpers_stop(search);
        counts_sum(search);
        pthread_cond_destroy(&search->changed);
        pthread_mutex_destroy(&search->lock);
    } else {
        bound_reached(search, "memory");
    }
    if (own->now_ns != NULL) {
        result->elapsed_ns = own->now_ns(own->now_context) - began;
    }
    search_free(search);
    free(search);
}

void tn__explore_result_free(struct tn__explore_result *result)
{
    free(result->level_states);
    free(result->trace.events);
    free(result->trace.states);
    memset(result, 0, sizeof(*result));
}

const char *tn__explore_verdict_name(enum tn__explore_verdict verdict)
{
    switch (verdict) {
    case TN_EXPLORE_EXHAUSTED:
        return "exhausted";
    case TN_EXPLORE_VIOLATION:
        return "violation";
    case TN_EXPLORE_BOUND:
        return "bound";
    }
    return "unknown";
}
