/* The log as its users see it: opening, writing, and letting go. Theory in wal.h and in the files
 * that do the parts (wal_internal.h). */
#include "store/wal.h"

#include <string.h>

#include "base/assert.h"
#include "base/text.h"
#include "store/wal_internal.h"

/* ---- Opening and closing ------------------------------------------------------------------- */

static void check_options(const struct tn__wal_options *options)
{
    tn_assert(options->allocate != NULL);
    tn_assert(options->block_bytes == TN_WAL_HEAD_BYTES ||
              options->block_bytes == TN_WAL_BLOCK_BYTES_MAX);
    tn_assert(options->segment_bytes >= 4 * (uint64_t)options->block_bytes);
    tn_assert(options->segment_bytes % options->block_bytes == 0);
    tn_assert(options->value_bytes_max <= TN_VALUE_BYTES_MAX);
}

/* All memory that the log begins with. */
static int take_memory(struct tn__wal *wal)
{
    const struct tn__wal_memory *memory = &wal->memory;
    uint64_t window = wal->options.segment_bytes < TN_WAL_ZEROS_BYTES ? wal->options.segment_bytes
                                                                      : TN_WAL_ZEROS_BYTES;
    window =
        (window + TN_WAL_BLOCK_BYTES_MAX - 1) / TN_WAL_BLOCK_BYTES_MAX * TN_WAL_BLOCK_BYTES_MAX;
    wal->zeros_bytes = window;
    wal->block = memory->allocate(memory->context, NULL, wal->options.block_bytes, true);
    wal->zeros = memory->allocate(memory->context, NULL, (size_t)window, true);
    wal->readers = tn__wal_readers_new(memory, window);
    int error = tn__wal_batch_new(wal, &wal->own);
    if (wal->block == NULL || wal->zeros == NULL || wal->readers == NULL || error != TN_OK) {
        return TN_ERROR_NO_MEMORY;
    }
    memset(wal->zeros, 0, (size_t)window);
    return TN_OK;
}

int tn__wal_open(struct tn__wal **wal, const struct tn__wal_options *options,
                 const struct tn__wal_visitor *visitor, struct tn__wal_report *report, char *why,
                 size_t why_size)
{
    check_options(options);
    struct tn__text text;
    tn__text_init(&text, why, why_size);
    *report = (struct tn__wal_report){0};
    struct tn__wal_memory memory = {options->allocate, options->allocate_context};
    struct tn__wal *fresh = memory.allocate(memory.context, NULL, sizeof(*fresh), false);
    if (fresh == NULL) {
        tn__text_add(&text, "out of memory");
        return TN_ERROR_NO_MEMORY;
    }
    *fresh = (struct tn__wal){
        .options = *options,
        .memory = memory,
        .seed = tn__wal_seed(options->cluster_id, options->disk_id),
        .current.file = TN_FILE_NONE,
        .next.file = TN_FILE_NONE,
        .states.memory = memory,
        .index.memory = memory,
    };
    int error = take_memory(fresh);
    if (error == TN_OK) {
        error = tn__wal_recover(fresh, visitor, report, &text);
    } else {
        tn__text_add(&text, "out of memory");
    }
    if (error != TN_OK) {
        tn__wal_close(fresh);
        return error;
    }
    *wal = fresh;
    return TN_OK;
}

void tn__wal_close(struct tn__wal *wal)
{
    if (wal == NULL) {
        return;
    }
    const struct tn__files *files = &wal->options.files;
    struct tn__wal_memory memory = wal->memory;
    if (wal->current.file != TN_FILE_NONE) {
        files->operations->close(files->context, wal->current.file);
    }
    if (wal->next.file != TN_FILE_NONE) {
        files->operations->close(files->context, wal->next.file);
    }
    tn__wal_readers_free(wal->readers, files);
    tn__wal_states_free(&wal->states);
    tn__wal_index_free(&wal->index);
    tn__wal_batch_free(wal->own);
    tn__wal_memory_free(&memory, wal->block, true);
    tn__wal_memory_free(&memory, wal->zeros, true);
    tn__wal_memory_free(&memory, wal, false);
}

bool tn__wal_found(const struct tn__wal *wal, uint32_t group, struct tn_log_recovered *recovered)
{
    /* V4: of whom a damaged log knows nothing may have promised anything. */
    *recovered = (struct tn_log_recovered){.damaged = wal->pinned > 0 ? 2 : 0};
    const struct tn__wal_state *state = tn__wal_states_find(&wal->states, group);
    if (state == NULL) {
        return false;
    }
    recovered->damaged = state->doubtful ? 2 : wal->pinned > 0;
    recovered->promise = state->promise;
    recovered->committed = state->committed;
    recovered->checksum = state->checksum;
    recovered->retained = tn__wal_index_reach(&wal->index, group, state->committed);
    uint64_t last = tn__wal_index_last(&wal->index, group);
    uint64_t upto = last > state->committed ? last : state->committed;
    recovered->damaged_upto = recovered->damaged ? upto : 0;
    return true;
}

/* ---- Writing ------------------------------------------------------------------------------- */

/* The end: whatever was being written may be there or not, now or after the next start (W2). */
static int fail(struct tn__wal *wal, int error)
{
    /* Not "disk full": that would say that nothing was written. */
    wal->failed = error == TN_ERROR_DISK_FULL ? TN_ERROR_IO : error;
    return wal->failed;
}

/* Groups that have gone need no restating. */
static void take_drops(struct tn__wal *wal)
{
    for (uint32_t i = 0; i < TN_WAL_DROPS_MAX; i++) {
        if (__atomic_load_n(&wal->drops[i], __ATOMIC_RELAXED) != 0) {
            uint32_t group = __atomic_exchange_n(&wal->drops[i], 0, __ATOMIC_ACQ_REL);
            tn__wal_states_drop(&wal->states, group - 1);
        }
    }
}

/* Have room in the current segment for a batch, or go on to the next. TN_ERROR_DISK_FULL: nothing
 * has been changed. */
static int make_room(struct tn__wal *wal, uint64_t bytes)
{
    if (bytes <= wal->current.bytes - wal->current.at) {
        return TN_OK;
    }
    int error = tn__wal_restate(wal);
    if (error != TN_OK) {
        return fail(wal, error);
    }
    uint64_t need = wal->options.block_bytes + tn__wal_batch_padded(wal->own) + bytes;
    bool done = false;
    uint64_t usual = wal->options.segment_bytes;
    error = tn__wal_next_make(wal, need > usual ? need : usual, UINT64_MAX, &done);
    if (error != TN_OK) {
        return error == TN_ERROR_DISK_FULL ? error : fail(wal, error);
    }
    tn__wal_next_enter(wal);
    error = tn__wal_put(wal, wal->own, true);
    wal->sealed = true;
    return error == TN_OK ? TN_OK : fail(wal, error);
}

/* Keep what a later segment restates up to date. */
static int apply_batch(struct tn__wal *wal, const struct tn__wal_batch *batch)
{
    int error = TN_OK;
    for (uint64_t i = 0; i < batch->items_count && error == TN_OK; i++) {
        const uint8_t *bytes = batch->bytes + batch->items[i].offset;
        struct tn__wal_record record;
        tn__wal_record_read(bytes, &record);
        error = tn__wal_states_apply(&wal->states, &record, bytes);
    }
    return error;
}

/* Say in the next batch what is not needed any more. */
static void advance_first(struct tn__wal *wal)
{
    uint64_t needed = __atomic_load_n(&wal->needed, __ATOMIC_ACQUIRE);
    needed = needed < wal->current.number ? needed : wal->current.number;
    needed = wal->pinned > 0 && wal->pinned < needed ? wal->pinned : needed;
    wal->segment_first = needed > wal->segment_first ? needed : wal->segment_first;
}

/* While batches follow each other the next segment grows with the use of this one, and is whole
 * when three quarters are used: zeros in small portions all the time make no batch wait for long,
 * which a quarter of the time with large ones did. */
#define ZEROS_BESIDE ((uint64_t)256 << 10)
#define PARTS 1024U

/* How much of the next segment there should be by now. */
static uint64_t zeros_goal(const struct tn__wal *wal)
{
    const struct tn__wal_current *current = &wal->current;
    uint64_t limit = current->bytes / 4 * 3;
    if (current->at >= limit) {
        return wal->options.segment_bytes;
    }
    uint64_t part = limit >= PARTS ? current->at / (limit / PARTS) : PARTS;
    return wal->options.segment_bytes / PARTS * (part < PARTS ? part : PARTS);
}

/* How many zeros to write now, in whole blocks. Those that are left when it is to be whole are due
 * however few they are, and what comes after the zeros too: then this is one block. */
static uint64_t zeros_due(const struct tn__wal *wal)
{
    uint64_t goal = zeros_goal(wal);
    uint64_t block = wal->options.block_bytes;
    uint64_t rest = wal->next.zeroed < goal ? goal - wal->next.zeroed : 0;
    if (goal < wal->options.segment_bytes) {
        return rest >= ZEROS_BESIDE ? rest / block * block : 0;
    }
    if (tn__wal_next_is_made(wal, goal)) {
        return 0;
    }
    return rest > block ? rest : block;
}

/* A writer without work begins when half of this segment is used. The first one of a run is so
 * small that its successor is begun at once. */
static bool idle_wants_next(const struct tn__wal *wal)
{
    const struct tn__wal_current *current = &wal->current;
    return current->bytes < wal->options.segment_bytes || current->at >= current->bytes / 2;
}

/* Make the next segment by and by. A full disk is told of when the segment is needed. */
static int prepare(struct tn__wal *wal, uint64_t zeros, bool *more)
{
    bool done = true;
    int error = TN_OK;
    if (zeros > 0) {
        error = tn__wal_next_make(wal, wal->options.segment_bytes, zeros, &done);
    }
    *more = error == TN_OK && !done;
    return error == TN_OK || error == TN_ERROR_DISK_FULL ? error : fail(wal, error);
}

/* The batch is on the disk, unless there was an error. */
static int settle(struct tn__wal *wal, const struct tn__wal_batch *batch, int error)
{
    wal->sealed = false;
    if (error == TN_OK) {
        error = apply_batch(wal, batch);
    }
    return error == TN_OK ? TN_OK : fail(wal, error);
}

int tn__wal_write(struct tn__wal *wal, struct tn__wal_batch *batch)
{
    tn_assert(batch->place.segment == 0);
    if (wal->failed != TN_OK || batch->items_count == 0) {
        return wal->failed;
    }
    take_drops(wal);
    uint64_t bytes = tn__wal_batch_padded(batch);
    int error = make_room(wal, bytes);
    if (error != TN_OK) {
        return error;
    }
    advance_first(wal);
    error = settle(wal, batch, tn__wal_put(wal, batch, true));
    return error != TN_OK || wal->options.apart ? error : tn__wal_ahead(wal);
}

bool tn__wal_write_begin(struct tn__wal *wal, struct tn__wal_batch *batch,
                         struct tn__wal_pending *pending)
{
    tn_assert(batch->place.segment == 0);
    if (wal->failed != TN_OK || !wal->options.direct || batch->items_count == 0 ||
        tn__wal_batch_padded(batch) > wal->current.bytes - wal->current.at) {
        return false;
    }
    take_drops(wal);
    advance_first(wal);
    tn__wal_put_begin(wal, batch, pending);
    return true;
}

int tn__wal_write_end(struct tn__wal *wal, struct tn__wal_batch *batch, int error)
{
    tn_assert(batch->place.segment == 0 && wal->failed == TN_OK);
    if (error == TN_OK) {
        tn__wal_put_end(wal, batch, true);
    }
    return settle(wal, batch, error);
}

int tn__wal_ahead(struct tn__wal *wal)
{
    if (wal->failed != TN_OK) {
        return wal->failed;
    }
    tn__wal_remove_old(wal, 4);
    bool more;
    int error = prepare(wal, zeros_due(wal), &more);
    return error == TN_ERROR_DISK_FULL ? TN_OK : error;
}

bool tn__wal_has_ahead(const struct tn__wal *wal, bool idle)
{
    bool wants = zeros_due(wal) > 0;
    if (idle && !wants) {
        wants = idle_wants_next(wal) && !tn__wal_next_is_made(wal, wal->options.segment_bytes);
    }
    return wal->failed == TN_OK && (wants || wal->oldest < wal->segment_first);
}

int tn__wal_prepare(struct tn__wal *wal, bool *more)
{
    *more = false;
    uint64_t zeros = idle_wants_next(wal) ? TN_WAL_ZEROS_BYTES : 0;
    return wal->failed != TN_OK ? wal->failed : prepare(wal, zeros, more);
}

/* An empty batch: its mark vouches for the one before. */
static int put_empty(struct tn__wal *wal)
{
    int error = make_room(wal, wal->options.block_bytes);
    if (error != TN_OK) {
        return error;
    }
    advance_first(wal);
    tn__wal_batch_clear(wal->own);
    error = tn__wal_put(wal, wal->own, true);
    if (error != TN_OK) {
        return fail(wal, error);
    }
    wal->sealed = true;
    tn__wal_remove_old(wal, 4);
    return TN_OK;
}

int tn__wal_seal(struct tn__wal *wal)
{
    return wal->failed != TN_OK || wal->sealed ? wal->failed : put_empty(wal);
}

int tn__wal_heal(struct tn__wal *wal)
{
    if (wal->failed != TN_OK || wal->pinned == 0) {
        return wal->failed;
    }
    uint64_t healed = wal->healed;
    wal->healed = wal->before; /* what was written since may be damaged later, and then counts */
    int error = put_empty(wal);
    if (error == TN_OK) {
        wal->pinned = 0;
        wal->states.all_doubtful = false;
    } else {
        wal->healed = healed;
    }
    return error;
}

/* ---- Index --------------------------------------------------------------------------------- */

static void publish_needed(struct tn__wal *wal)
{
    uint64_t needed = tn__wal_index_needed(&wal->index);
    tn__wal_index_trim(&wal->index, needed);
    __atomic_store_n(&wal->needed, needed, __ATOMIC_RELEASE);
}

int tn__wal_index(struct tn__wal *wal, const struct tn__wal_batch *batch)
{
    tn_assert(batch->place.segment > 0);
    int error = tn__wal_index_segment(&wal->index, batch->place.segment);
    for (uint64_t i = 0; i < batch->items_count && error == TN_OK; i++) {
        const struct tn__wal_item *item = &batch->items[i];
        struct tn__wal_record record;
        tn__wal_record_read(batch->bytes + item->offset, &record);
        if (record.count == 0 || record.kind == TN_LOG_RECORD_STATE) {
            continue;
        }
        struct tn__wal_run run = {
            .slot_first = record.slot_first,
            .segment = batch->place.segment,
            .offset = batch->place.offset + item->offset,
            .bytes = record.bytes,
            .count = record.count,
        };
        error = tn__wal_index_reserve(&wal->index, record.group, run.segment, 2);
        if (error == TN_OK) {
            tn__wal_index_add(&wal->index, record.group, &run);
        }
    }
    publish_needed(wal);
    return error;
}

int tn__wal_locate(const struct tn__wal *wal, uint32_t group, uint64_t slot,
                   struct tn__wal_position *position)
{
    const struct tn__wal_run *run = tn__wal_index_find(&wal->index, group, slot);
    if (run == NULL) {
        return TN_ERROR_NOT_FOUND;
    }
    *position = (struct tn__wal_position){
        .segment = run->segment,
        .offset = run->offset,
        .bytes = run->bytes,
        .count = run->count,
        .slot_first = run->slot_first,
    };
    return TN_OK;
}

void tn__wal_retain(struct tn__wal *wal, uint32_t group, uint64_t slot)
{
    tn__wal_index_retain(&wal->index, group, slot);
    publish_needed(wal);
}

void tn__wal_drop(struct tn__wal *wal, uint32_t group)
{
    tn__wal_index_drop(&wal->index, group);
    publish_needed(wal);
    for (uint32_t i = 0; i < TN_WAL_DROPS_MAX; i++) {
        uint32_t none = 0;
        if (__atomic_compare_exchange_n(&wal->drops[i], &none, group + 1, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED)) {
            return;
        }
    }
}
