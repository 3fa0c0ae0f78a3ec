/* A batch in memory: room for the header, then records as they will stand on disk. What depends on
 * the place (sequence, mark, the end of each checksum) is filled in when it is written. */
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "store/wal_internal.h"

int tn__wal_batch_new(struct tn__wal *wal, struct tn__wal_batch **batch)
{
    const struct tn__wal_memory *memory = &wal->memory;
    struct tn__wal_batch *fresh = memory->allocate(memory->context, NULL, sizeof(*fresh), false);
    if (fresh == NULL) {
        return TN_ERROR_NO_MEMORY;
    }
    *fresh = (struct tn__wal_batch){
        .memory = *memory,
        .block_bytes = wal->options.block_bytes,
        .used = TN_WAL_BATCH_BYTES,
        .capacity = wal->options.block_bytes,
    };
    fresh->bytes = memory->allocate(memory->context, NULL, (size_t)fresh->capacity, true);
    if (fresh->bytes == NULL) {
        tn__wal_memory_free(memory, fresh, false);
        return TN_ERROR_NO_MEMORY;
    }
    *batch = fresh;
    return TN_OK;
}

void tn__wal_batch_free(struct tn__wal_batch *batch)
{
    if (batch != NULL) {
        struct tn__wal_memory memory = batch->memory;
        tn__wal_memory_free(&memory, batch->bytes, true);
        tn__wal_memory_free(&memory, batch->items, false);
        tn__wal_memory_free(&memory, batch, false);
    }
}

void tn__wal_batch_clear(struct tn__wal_batch *batch)
{
    batch->used = TN_WAL_BATCH_BYTES;
    batch->items_count = 0;
    batch->place = (struct tn__wal_place){0};
}

uint64_t tn__wal_batch_padded(const struct tn__wal_batch *batch)
{
    uint64_t block = batch->block_bytes;
    return (batch->used + block - 1) / block * block;
}

uint64_t tn__wal_batch_bytes(const struct tn__wal_batch *batch)
{
    return batch->items_count == 0 ? 0 : tn__wal_batch_padded(batch);
}

/* Room for one more record, and for the padding behind it. NULL: no memory. */
static uint8_t *batch_room(struct tn__wal_batch *batch, uint64_t bytes)
{
    void *items = batch->items;
    bool room = tn__wal_memory_grow(&batch->memory, &items, &batch->items_capacity,
                                    batch->items_count + 1, sizeof(batch->items[0]), false);
    batch->items = items;
    uint64_t need = batch->used + bytes;
    if (room && need > batch->capacity) {
        uint64_t block = batch->block_bytes;
        uint64_t more = need > 2 * batch->capacity ? need : 2 * batch->capacity;
        more = (more + block - 1) / block * block;
        uint8_t *grown =
            more > SIZE_MAX / 2
                ? NULL
                : batch->memory.allocate(batch->memory.context, batch->bytes, (size_t)more, true);
        room = grown != NULL;
        batch->bytes = room ? grown : batch->bytes;
        batch->capacity = room ? more : batch->capacity;
    }
    return room ? batch->bytes + batch->used : NULL;
}

static void batch_push(struct tn__wal_batch *batch, uint32_t bytes, uint32_t sum)
{
    tn_assert(batch->used + bytes <= batch->capacity);
    batch->items[batch->items_count++] =
        (struct tn__wal_item){.offset = batch->used, .bytes = bytes, .sum = sum};
    batch->used += bytes;
}

/* How many entries from the first on go into one record: consecutive slots, not too much at once.
 */
static uint32_t run_length(const struct tn_log_entry *entries, uint32_t count)
{
    uint64_t bytes = count > 0 ? entries[0].value.bytes : 0;
    uint32_t length = count > 0;
    while (length > 0 && length < count && length < TN_WAL_RECORD_ENTRIES_MAX &&
           entries[length].slot == entries[0].slot + length) {
        bytes += entries[length].value.bytes;
        if (bytes > TN_WAL_RECORD_VALUES_BYTES) {
            break;
        }
        length++;
    }
    return length;
}

static int add_run(struct tn__wal_batch *batch, struct tn__wal_record *record,
                   const struct tn_log_entry *entries, tn__wal_bytes bytes, void *context)
{
    uint64_t length = TN_WAL_RECORD_BYTES;
    record->configures = false;
    record->slot_first = record->count > 0 ? entries[0].slot : 0;
    for (uint32_t i = 0; i < record->count; i++) {
        length += tn__wal_entry_bytes(&entries[i], &record->ballot, record->kind);
        length += entries[i].value.bytes;
        record->configures |= entries[i].value.kind == TN_LOG_VALUE_CONFIGURATION;
    }
    tn_assert(length <= UINT32_MAX);
    uint8_t *room = batch_room(batch, length);
    if (room == NULL) {
        return TN_ERROR_NO_MEMORY;
    }
    uint8_t *at = room + TN_WAL_RECORD_BYTES;
    for (uint32_t i = 0; i < record->count; i++) {
        at = tn__wal_entry_encode(&entries[i], &record->ballot, record->kind, at);
    }
    for (uint32_t i = 0; i < record->count; i++) {
        if (entries[i].value.bytes > 0) {
            const void *value = bytes(context, entries[i].value.handle);
            tn_assert(value != NULL);
            memcpy(at, value, entries[i].value.bytes);
            at += entries[i].value.bytes;
        }
    }
    tn_assert(at == room + length);
    record->bytes = (uint32_t)length;
    batch_push(batch, record->bytes, tn__wal_record_encode(record, room));
    return TN_OK;
}

int tn__wal_batch_add(struct tn__wal_batch *batch, const struct tn_log_record *record,
                      const struct tn_log_entry *entries, tn__wal_bytes bytes, void *context)
{
    tn_assert(record->kind >= TN_LOG_RECORD_PROMISE && record->kind <= TN_LOG_RECORD_LEARN);
    tn_assert(record->group <= TN_GROUP_ID_MAX);
    tn_assert(record->entries_count == 0 || record->kind != TN_LOG_RECORD_PROMISE);
    tn_assert(batch->place.segment == 0);
    uint64_t used = batch->used;
    uint64_t items_count = batch->items_count;
    struct tn__wal_record run = {
        .group = record->group,
        .kind = record->kind,
        .committed = record->committed,
        .checksum = record->checksum,
        .ballot = record->ballot,
    };
    uint32_t first = 0;
    do {
        const struct tn_log_entry *rest = record->entries_count > 0 ? entries + first : NULL;
        run.count = run_length(rest, record->entries_count - first);
        int error = add_run(batch, &run, rest, bytes, context);
        if (error != TN_OK) {
            batch->used = used;
            batch->items_count = items_count;
            return error;
        }
        first += run.count;
    } while (first < record->entries_count);
    return TN_OK;
}

int tn__wal_batch_copy(struct tn__wal_batch *batch, const struct tn__wal_record *record,
                       const uint8_t *bytes)
{
    uint8_t *room = batch_room(batch, record->bytes);
    if (room == NULL) {
        return TN_ERROR_NO_MEMORY;
    }
    memcpy(room, bytes, record->bytes);
    batch_push(batch, record->bytes, tn__wal_record_sum(room, record->bytes));
    return TN_OK;
}

int tn__wal_batch_state(struct tn__wal_batch *batch, const struct tn__wal_state *state)
{
    struct tn__wal_record record = {
        .group = state->group,
        .kind = TN_LOG_RECORD_STATE,
        .doubtful = state->doubtful,
        .slot_first = state->retained,
        .committed = state->committed,
        .checksum = state->checksum,
        .ballot = state->promise,
    };
    uint64_t length = TN_WAL_RECORD_BYTES;
    /* Those not yet committed are in records that are needed, and may still be replaced. */
    while (record.count < state->configurations_count &&
           state->configurations[record.count].slot <= state->committed) {
        struct tn_log_entry entry = {.value = state->configurations[record.count].value};
        length += tn__wal_entry_bytes(&entry, &record.ballot, record.kind);
        record.count++;
    }
    tn_assert(record.count <= TN_WAL_CONFIGURATIONS_MAX);
    uint8_t *room = batch_room(batch, length);
    if (room == NULL) {
        return TN_ERROR_NO_MEMORY;
    }
    uint8_t *at = room + TN_WAL_RECORD_BYTES;
    for (uint32_t i = 0; i < record.count; i++) {
        struct tn_log_entry entry = {
            .slot = state->configurations[i].slot,
            .value = state->configurations[i].value,
        };
        at = tn__wal_entry_encode(&entry, &record.ballot, record.kind, at);
    }
    record.configures = record.count > 0;
    record.bytes = (uint32_t)length;
    batch_push(batch, record.bytes, tn__wal_record_encode(&record, room));
    return TN_OK;
}

void tn__wal_batch_finish(struct tn__wal_batch *batch, struct tn__wal_batch_head *head,
                          uint32_t seed)
{
    uint32_t sum = 0;
    for (uint64_t i = 0; i < batch->items_count; i++) {
        const struct tn__wal_item *item = &batch->items[i];
        struct tn__wal_place place = {head->place.segment, head->place.offset + item->offset};
        uint8_t word[4];
        tn__put_u32(word,
                    tn__wal_record_place(batch->bytes + item->offset, item->sum, seed, place));
        sum = tn__crc32c(sum, word, sizeof(word));
    }
    head->bytes = tn__wal_batch_padded(batch);
    head->used = batch->used;
    head->records_count = (uint32_t)batch->items_count;
    head->records_crc = sum;
    tn_assert(head->bytes <= batch->capacity);
    memset(batch->bytes + batch->used, 0, head->bytes - batch->used);
    tn__wal_batch_head_encode(head, seed, batch->bytes);
}
