/* Files of the log: the one being written, the one being made, the ones that go away. */
#include "store/wal_internal.h"

#include <string.h>

#include "base/assert.h"

/* ---- The next segment ---------------------------------------------------------------------- */

void tn__wal_next_abandon(struct tn__wal *wal)
{
    struct tn__wal_next *next = &wal->next;
    const struct tn__files *files = &wal->options.files;
    if (next->file == TN_FILE_NONE) {
        return;
    }
    files->operations->close(files->context, next->file);
    if (!next->named) {
        char name[TN_WAL_NAME_BYTES];
        tn__wal_name(name, next->number, true);
        /* If that fails the next attempt, or the next start, removes it. */
        (void)files->operations->unlink(files->context, wal->options.directory, name);
    }
    *next = (struct tn__wal_next){.file = TN_FILE_NONE};
}

int tn__wal_next_begin(struct tn__wal *wal, uint64_t number, uint64_t bytes)
{
    struct tn__wal_next *next = &wal->next;
    const struct tn__file_operations *operations = wal->options.files.operations;
    void *context = wal->options.files.context;
    tn_assert(next->file == TN_FILE_NONE);
    char name[TN_WAL_NAME_BYTES];
    tn__wal_name(name, number, true);
    int error = operations->unlink(context, wal->options.directory, name);
    if (error != TN_OK && error != TN_ERROR_NOT_FOUND) {
        return error;
    }
    uint32_t mode = TN_FILE_READ | TN_FILE_WRITE | TN_FILE_CREATE | TN_FILE_EXCLUSIVE |
                    (wal->options.direct ? TN_FILE_DIRECT : 0);
    error = operations->open(context, wal->options.directory, name, mode, &next->file);
    if (error != TN_OK) {
        next->file = TN_FILE_NONE;
        return error;
    }
    next->number = number;
    next->bytes = bytes;
    next->zeroed = 0;
    next->named = false;
    next->synced = false;
    return operations->allocate(context, next->file, bytes);
}

/* W2: the zeros are really written. An extent that is only reserved costs a journal write each time
 * a part of it is used. */
int tn__wal_next_zero(struct tn__wal *wal, uint64_t zeros)
{
    struct tn__wal_next *next = &wal->next;
    const struct tn__files *files = &wal->options.files;
    int error = TN_OK;
    while (next->zeroed < next->bytes && zeros > 0 && error == TN_OK) {
        uint64_t length = next->bytes - next->zeroed;
        length = length < wal->zeros_bytes ? length : wal->zeros_bytes;
        length = length < zeros ? length : zeros;
        error = tn__file_write_all(files, next->file, next->zeroed, wal->zeros, (size_t)length);
        /* Synced piece by piece, or the last piece would wait for them all. */
        if (error == TN_OK && !wal->options.direct) {
            error = files->operations->data_sync(files->context, next->file);
        }
        next->zeroed += length;
        next->synced = false;
        zeros -= zeros < length ? zeros : length;
    }
    return error;
}

int tn__wal_next_name(struct tn__wal *wal, const struct tn__wal_head *head)
{
    struct tn__wal_next *next = &wal->next;
    const struct tn__files *files = &wal->options.files;
    const struct tn__file_operations *operations = files->operations;
    char fresh[TN_WAL_NAME_BYTES];
    char name[TN_WAL_NAME_BYTES];
    memset(wal->block, 0, wal->options.block_bytes);
    tn__wal_head_encode(head, wal->block);
    int error = tn__file_write_all(files, next->file, 0, wal->block, wal->options.block_bytes);
    if (error == TN_OK) {
        error = operations->sync(files->context, next->file);
    }
    tn__wal_name(fresh, next->number, true);
    tn__wal_name(name, next->number, false);
    if (error == TN_OK) {
        error = operations->rename(files->context, wal->options.directory, fresh, name);
    }
    if (error == TN_OK) {
        next->named = true;
        error = operations->sync_directory(files->context, wal->options.directory);
    }
    next->synced = error == TN_OK;
    return error;
}

/* One step. */
static int next_step(struct tn__wal *wal, uint64_t bytes, uint64_t zeros, bool *done)
{
    struct tn__wal_next *next = &wal->next;
    const struct tn__files *files = &wal->options.files;
    *done = false;
    if (next->file == TN_FILE_NONE) {
        return tn__wal_next_begin(wal, wal->current.number + 1, bytes);
    }
    if (next->bytes < bytes) {
        next->bytes = bytes;
        return files->operations->allocate(files->context, next->file, bytes);
    }
    if (next->zeroed < next->bytes) {
        return tn__wal_next_zero(wal, zeros);
    }
    if (!next->named) {
        struct tn__wal_head head = {
            .number = next->number,
            .bytes = next->bytes,
            .block_bytes = wal->options.block_bytes,
        };
        memcpy(head.cluster_id, wal->options.cluster_id, sizeof(head.cluster_id));
        memcpy(head.disk_id, wal->options.disk_id, sizeof(head.disk_id));
        return tn__wal_next_name(wal, &head);
    }
    if (!next->synced) {
        int error = files->operations->sync(files->context, next->file);
        next->synced = error == TN_OK;
        return error;
    }
    *done = true;
    return TN_OK;
}

bool tn__wal_next_is_made(const struct tn__wal *wal, uint64_t bytes)
{
    const struct tn__wal_next *next = &wal->next;
    return next->file != TN_FILE_NONE && next->bytes >= bytes && next->zeroed >= next->bytes &&
           next->named && next->synced;
}

int tn__wal_next_make(struct tn__wal *wal, uint64_t bytes, uint64_t zeros, bool *done)
{
    int error = next_step(wal, bytes, zeros, done);
    while (error == TN_OK && !*done && zeros == UINT64_MAX) {
        error = next_step(wal, bytes, zeros, done);
    }
    if (error != TN_OK) {
        tn__wal_next_abandon(wal);
    }
    return error;
}

void tn__wal_next_enter(struct tn__wal *wal)
{
    const struct tn__files *files = &wal->options.files;
    tn_assert(wal->next.named && wal->next.synced);
    if (wal->current.file != TN_FILE_NONE) {
        files->operations->close(files->context, wal->current.file);
    }
    wal->current = (struct tn__wal_current){
        .file = wal->next.file,
        .number = wal->next.number,
        .bytes = wal->next.bytes,
        .at = wal->options.block_bytes,
    };
    wal->next = (struct tn__wal_next){.file = TN_FILE_NONE};
}

/* ---- Batches ------------------------------------------------------------------------------- */

int tn__wal_restate(struct tn__wal *wal)
{
    int error = TN_OK;
    tn__wal_batch_clear(wal->own);
    for (uint64_t i = 0; i < wal->states.count && error == TN_OK; i++) {
        error = tn__wal_batch_state(wal->own, &wal->states.items[i]);
    }
    return error;
}

void tn__wal_put_begin(const struct tn__wal *wal, struct tn__wal_batch *batch,
                       struct tn__wal_pending *pending)
{
    const struct tn__wal_current *current = &wal->current;
    struct tn__wal_batch_head head = {
        .place = {current->number, current->at},
        .sequence = wal->sequence + 1,
        .mark = wal->durable,
        .healed = wal->healed,
        .segment_first = wal->segment_first,
    };
    tn__wal_batch_finish(batch, &head, wal->seed);
    tn_assert(head.bytes <= current->bytes - current->at);
    *pending = (struct tn__wal_pending){
        .file = current->file,
        .offset = current->at,
        .bytes = batch->bytes,
        .length = (size_t)head.bytes,
    };
}

void tn__wal_put_end(struct tn__wal *wal, struct tn__wal_batch *batch, bool synced)
{
    struct tn__wal_current *current = &wal->current;
    batch->place = (struct tn__wal_place){current->number, current->at};
    current->at += tn__wal_batch_padded(batch);
    tn_assert(current->at <= current->bytes);
    wal->sequence += 1;
    wal->durable = synced ? wal->sequence : wal->durable;
}

int tn__wal_put(struct tn__wal *wal, struct tn__wal_batch *batch, bool sync)
{
    const struct tn__files *files = &wal->options.files;
    struct tn__wal_pending pending;
    tn__wal_put_begin(wal, batch, &pending);
    int error =
        tn__file_write_all(files, pending.file, pending.offset, pending.bytes, pending.length);
    if (error == TN_OK && sync && !wal->options.direct) {
        error = files->operations->data_sync(files->context, pending.file);
    }
    if (error == TN_OK) {
        tn__wal_put_end(wal, batch, sync);
    }
    return error;
}

void tn__wal_remove_old(struct tn__wal *wal, uint64_t limit)
{
    const struct tn__files *files = &wal->options.files;
    if (wal->oldest < wal->segment_first) {
        tn__wal_readers_forget(wal->readers, files, wal->segment_first);
    }
    for (; limit > 0 && wal->oldest < wal->segment_first; limit--) {
        char name[TN_WAL_NAME_BYTES];
        tn__wal_name(name, wal->oldest, false);
        int error = files->operations->unlink(files->context, wal->options.directory, name);
        if (error != TN_OK && error != TN_ERROR_NOT_FOUND) {
            return; /* tried again after the next write; nobody relies on its being gone */
        }
        wal->oldest++;
    }
}
