/* Single records, read by any thread beside the writer.
 *
 * A few readers are kept, each with an open segment and a piece of it, so that a peer that catches
 * up costs a large read now and then and not one a record. Who wants one takes it without waiting,
 * by an atomic flag; if all are taken, or the wanted segment is open nowhere, any free one is
 * turned to it; if none is free, a new one lives for this read. A piece may be older than what was
 * written since, so a record that does not check is read once more from the file itself. */
#include "store/wal_internal.h"

#include <string.h>

#include "base/assert.h"

enum {
    READERS_COUNT = 4,
};

struct reader {
    uint32_t taken;   /* atomic */
    uint32_t used_at; /* a turn of `turns`: the one used longest ago is turned over */
    tn__file file;
    uint64_t segment; /* 0: none */
    uint64_t offset;
    uint64_t have;
    uint8_t *bytes; /* aligned; NULL until first used */
};

struct tn__wal_readers {
    struct tn__wal_memory memory;
    uint64_t window_bytes;
    uint64_t first; /* atomic: segments below are gone */
    uint32_t turns; /* atomic */
    struct reader items[READERS_COUNT];
};

struct tn__wal_readers *tn__wal_readers_new(const struct tn__wal_memory *memory,
                                            uint64_t window_bytes)
{
    struct tn__wal_readers *readers =
        memory->allocate(memory->context, NULL, sizeof(*readers), false);
    if (readers != NULL) {
        *readers = (struct tn__wal_readers){.memory = *memory, .window_bytes = window_bytes};
        for (uint32_t i = 0; i < READERS_COUNT; i++) {
            readers->items[i].file = TN_FILE_NONE;
        }
    }
    return readers;
}

static void reader_close(struct reader *reader, const struct tn__files *files)
{
    if (reader->file != TN_FILE_NONE) {
        files->operations->close(files->context, reader->file);
    }
    reader->file = TN_FILE_NONE;
    reader->segment = 0;
    reader->have = 0;
}

void tn__wal_readers_free(struct tn__wal_readers *readers, const struct tn__files *files)
{
    if (readers == NULL) {
        return;
    }
    struct tn__wal_memory memory = readers->memory;
    for (uint32_t i = 0; i < READERS_COUNT; i++) {
        reader_close(&readers->items[i], files);
        tn__wal_memory_free(&memory, readers->items[i].bytes, true);
    }
    tn__wal_memory_free(&memory, readers, false);
}

static bool reader_take(struct reader *reader)
{
    return __atomic_exchange_n(&reader->taken, 1, __ATOMIC_SEQ_CST) == 0;
}

static void reader_close_if_gone(struct tn__wal_readers *readers, struct reader *reader,
                                 const struct tn__files *files)
{
    uint64_t first = __atomic_load_n(&readers->first, __ATOMIC_SEQ_CST);
    if (reader->segment < first) {
        reader_close(reader, files);
    }
}

/* Give it back. Who forgets segments meanwhile finds it taken, so look again afterwards. */
static void reader_give(struct tn__wal_readers *readers, struct reader *reader,
                        const struct tn__files *files)
{
    uint64_t segment = reader->segment;
    __atomic_store_n(&reader->taken, 0, __ATOMIC_SEQ_CST);
    if (segment < __atomic_load_n(&readers->first, __ATOMIC_SEQ_CST) && reader_take(reader)) {
        reader_close_if_gone(readers, reader, files);
        __atomic_store_n(&reader->taken, 0, __ATOMIC_SEQ_CST);
    }
}

void tn__wal_readers_forget(struct tn__wal_readers *readers, const struct tn__files *files,
                            uint64_t segment)
{
    __atomic_store_n(&readers->first, segment, __ATOMIC_SEQ_CST);
    for (uint32_t i = 0; i < READERS_COUNT; i++) {
        struct reader *reader = &readers->items[i];
        if (reader_take(reader)) {
            reader_close_if_gone(readers, reader, files);
            __atomic_store_n(&reader->taken, 0, __ATOMIC_SEQ_CST);
        }
    }
}

/* One with the segment open if there is, else the free one used longest ago. NULL: none is free. */
static struct reader *readers_take(struct tn__wal_readers *readers, uint64_t segment)
{
    struct reader *chosen = NULL;
    for (uint32_t i = 0; i < READERS_COUNT; i++) {
        struct reader *reader = &readers->items[i];
        if (!reader_take(reader)) {
            continue;
        }
        struct reader *other = reader;
        bool hit = chosen != NULL && chosen->segment == segment;
        if (!hit && (chosen == NULL || reader->segment == segment ||
                     (int32_t)(reader->used_at - chosen->used_at) < 0)) {
            other = chosen;
            chosen = reader;
        }
        if (other != NULL) {
            __atomic_store_n(&other->taken, 0, __ATOMIC_SEQ_CST);
        }
    }
    if (chosen != NULL) {
        chosen->used_at = __atomic_add_fetch(&readers->turns, 1, __ATOMIC_RELAXED);
    }
    return chosen;
}

static int reader_turn(const struct tn__wal *wal, struct reader *reader, uint64_t segment)
{
    const struct tn__files *files = &wal->options.files;
    if (reader->segment == segment) {
        return TN_OK;
    }
    reader_close(reader, files);
    if (reader->bytes == NULL) {
        reader->bytes = wal->memory.allocate(wal->memory.context, NULL,
                                             (size_t)wal->readers->window_bytes, true);
        if (reader->bytes == NULL) {
            return TN_ERROR_NO_MEMORY;
        }
    }
    char name[TN_WAL_NAME_BYTES];
    tn__wal_name(name, segment, false);
    uint32_t mode = TN_FILE_READ | (wal->options.direct ? TN_FILE_DIRECT : 0);
    int error =
        files->operations->open(files->context, wal->options.directory, name, mode, &reader->file);
    if (error != TN_OK) {
        reader->file = TN_FILE_NONE;
        return error;
    }
    reader->segment = segment;
    return TN_OK;
}

/* Bring the piece that begins with the block of `offset`. */
static int reader_fill(const struct tn__wal *wal, struct reader *reader, uint64_t offset)
{
    const struct tn__files *files = &wal->options.files;
    reader->offset = offset / TN_WAL_BLOCK_BYTES_MAX * TN_WAL_BLOCK_BYTES_MAX;
    reader->have = 0;
    while (reader->have < wal->readers->window_bytes) {
        size_t done = 0;
        int error =
            files->operations->read(files->context, reader->file, reader->offset + reader->have,
                                    reader->bytes + reader->have,
                                    (size_t)(wal->readers->window_bytes - reader->have), &done);
        if (error != TN_OK) {
            return error;
        }
        reader->have += done;
        if (done == 0 || (wal->options.direct && done % TN_WAL_HEAD_BYTES != 0)) {
            break; /* the file ends here */
        }
    }
    return TN_OK;
}

static int reader_copy(const struct tn__wal *wal, struct reader *reader,
                       const struct tn__wal_position *position, uint8_t *buffer)
{
    uint64_t copied = 0;
    while (copied < position->bytes) {
        uint64_t at = position->offset + copied;
        if (at < reader->offset || at - reader->offset >= reader->have) {
            int error = reader_fill(wal, reader, at);
            if (error != TN_OK) {
                return error;
            }
            if (at - reader->offset >= reader->have) {
                return TN_ERROR_DAMAGED; /* the file is shorter than it was */
            }
        }
        uint64_t length = reader->offset + reader->have - at;
        length = length < position->bytes - copied ? length : position->bytes - copied;
        memcpy(buffer + copied, reader->bytes + (at - reader->offset), length);
        copied += length;
    }
    return TN_OK;
}

/* Copy the record and check it; once more from the file if the piece was too old. */
static int reader_read(const struct tn__wal *wal, struct reader *reader,
                       const struct tn__wal_position *position, uint8_t *buffer,
                       struct tn__wal_record *record)
{
    int error = reader_turn(wal, reader, position->segment);
    for (uint32_t attempt = 0; attempt < 2 && error == TN_OK; attempt++) {
        error = reader_copy(wal, reader, position, buffer);
        uint32_t crc;
        struct tn__wal_place place = {position->segment, position->offset};
        if (error == TN_OK &&
            tn__wal_record_check(buffer, position->bytes, wal->seed, place, record, &crc) &&
            record->bytes == position->bytes) {
            return TN_OK;
        }
        reader->have = 0;
        error = error == TN_ERROR_DAMAGED ? TN_OK : error;
    }
    return error == TN_OK ? TN_ERROR_DAMAGED : error;
}

int tn__wal_read(const struct tn__wal *wal, const struct tn__wal_position *position, void *buffer,
                 size_t buffer_bytes, struct tn_log_record *record, struct tn_log_entry *entries,
                 const void **bytes, uint32_t entries_max)
{
    tn_assert(buffer_bytes >= position->bytes);
    const struct tn__files *files = &wal->options.files;
    struct tn__wal_record found;
    struct reader single = {.file = TN_FILE_NONE};
    struct reader *reader = readers_take(wal->readers, position->segment);
    int error = reader_read(wal, reader != NULL ? reader : &single, position, buffer, &found);
    if (reader != NULL) {
        reader_give(wal->readers, reader, files);
    } else {
        reader_close(&single, files);
        tn__wal_memory_free(&wal->memory, single.bytes, true);
    }
    if (error != TN_OK) {
        return error;
    }
    if (found.count > entries_max) {
        return TN_ERROR_TOO_LARGE;
    }
    *record = (struct tn_log_record){
        .group = found.group,
        .kind = found.kind,
        .entries_count = found.count,
        .ballot = found.ballot,
        .committed = found.committed,
        .checksum = found.checksum,
    };
    tn__wal_record_entries(buffer, &found, entries, bytes);
    return TN_OK;
}
