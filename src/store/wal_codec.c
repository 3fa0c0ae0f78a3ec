/* Layouts of the log. Each structure is written and read field by field at fixed offsets. */
#include "store/wal_codec.h"

#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/text.h"

/* A segment's header. */
enum {
    HEAD_VERSION = 8,
    HEAD_BLOCK = 12,
    HEAD_NUMBER = 16,
    HEAD_BATCH_FIRST = 24,
    HEAD_BATCH_LAST = 32,
    HEAD_BYTES = 40,
    HEAD_CLUSTER = 48,
    HEAD_DISK = 64,
    HEAD_ZERO = 80,
    HEAD_CRC = 508,
};

/* A batch's header. */
enum {
    BATCH_CRC = 4,
    BATCH_SEGMENT = 8,
    BATCH_OFFSET = 16,
    BATCH_SEQUENCE = 24,
    BATCH_MARK = 32,
    BATCH_HEALED = 40,
    BATCH_SEGMENT_FIRST = 48,
    BATCH_LENGTH = 56,
    BATCH_USED = 64,
    BATCH_COUNT = 72,
    BATCH_RECORDS_CRC = 76,
};

/* A record's fixed part. */
enum {
    RECORD_BYTES = 4,
    RECORD_GROUP = 8,
    RECORD_KIND = 12,
    RECORD_FLAGS = 13,
    RECORD_COUNT = 14,
    RECORD_SLOT = 16,
    RECORD_COMMITTED = 24,
    RECORD_CHECKSUM = 32,
    RECORD_BALLOT = 40,
    RECORD_CONFIGURES = 1, /* flag: an entry is a configuration */
    RECORD_DOUBTFUL = 2,   /* flag of a STATE: a higher promise may have been lost */
};

/* An entry's fixed part, and the parts that follow it if its flags say so, in this order. */
enum {
    ENTRY_DIGEST = 4,
    ENTRY_KIND = 8,
    ENTRY_MODE = 9,
    ENTRY_FLAGS = 10,
    FLAG_SLOT = 1,          /* 8 bytes: its slot (STATE) */
    FLAG_BALLOT = 2,        /* 32 bytes: its ballot, if it is not the record's */
    FLAG_CONFIGURATION = 4, /* 16 bytes */
    SLOT_BYTES = 8,
    BALLOT_BYTES = 32,
    CONFIGURATION_BYTES = 16,
};

static const uint8_t head_magic[8] = "tnlogwal";
static const uint8_t batch_magic[4] = "tnB1";

bool tn__wal_zeros(const uint8_t *bytes, uint64_t length)
{
    uint64_t any = 0;
    uint64_t at = 0;
    for (; at + 8 <= length && any == 0; at += 8) {
        any = tn__get_u64(bytes + at);
    }
    for (; at < length; at++) {
        any |= bytes[at];
    }
    return any == 0;
}

static void ballot_encode(const struct tn_log_ballot *ballot, uint8_t *bytes)
{
    tn__put_u64(bytes, ballot->token);
    tn__put_u64(bytes + 8, ballot->attempt);
    tn__put_u64(bytes + 16, ballot->restart_word);
    tn__put_u32(bytes + 24, ballot->mode_number);
    tn__put_u16(bytes + 28, ballot->node);
    tn__put_u16(bytes + 30, 0);
}

static bool ballot_decode(const uint8_t *bytes, struct tn_log_ballot *ballot)
{
    *ballot = (struct tn_log_ballot){
        .token = tn__get_u64(bytes),
        .attempt = tn__get_u64(bytes + 8),
        .restart_word = tn__get_u64(bytes + 16),
        .mode_number = tn__get_u32(bytes + 24),
        .node = tn__get_u16(bytes + 28),
    };
    return tn__get_u16(bytes + 30) == 0;
}

/* ---- Segments ------------------------------------------------------------------------------ */

void tn__wal_head_encode(const struct tn__wal_head *head, uint8_t bytes[TN_WAL_HEAD_BYTES])
{
    memset(bytes, 0, TN_WAL_HEAD_BYTES);
    memcpy(bytes, head_magic, sizeof(head_magic));
    tn__put_u32(bytes + HEAD_VERSION, TN_WAL_VERSION);
    tn__put_u32(bytes + HEAD_BLOCK, head->block_bytes);
    tn__put_u64(bytes + HEAD_NUMBER, head->number);
    tn__put_u64(bytes + HEAD_BATCH_FIRST, head->batch_first);
    tn__put_u64(bytes + HEAD_BATCH_LAST, head->batch_last);
    tn__put_u64(bytes + HEAD_BYTES, head->bytes);
    memcpy(bytes + HEAD_CLUSTER, head->cluster_id, sizeof(head->cluster_id));
    memcpy(bytes + HEAD_DISK, head->disk_id, sizeof(head->disk_id));
    tn__put_u32(bytes + HEAD_CRC, tn__crc32c(0, bytes, HEAD_CRC));
}

enum tn__wal_verdict tn__wal_head_decode(const uint8_t bytes[TN_WAL_HEAD_BYTES],
                                         struct tn__wal_head *head)
{
    if (memcmp(bytes, head_magic, sizeof(head_magic)) != 0 ||
        tn__get_u32(bytes + HEAD_CRC) != tn__crc32c(0, bytes, HEAD_CRC)) {
        return TN_WAL_BAD;
    }
    if (tn__get_u32(bytes + HEAD_VERSION) > TN_WAL_VERSION) {
        return TN_WAL_NEWER;
    }
    *head = (struct tn__wal_head){
        .number = tn__get_u64(bytes + HEAD_NUMBER),
        .batch_first = tn__get_u64(bytes + HEAD_BATCH_FIRST),
        .batch_last = tn__get_u64(bytes + HEAD_BATCH_LAST),
        .bytes = tn__get_u64(bytes + HEAD_BYTES),
        .block_bytes = tn__get_u32(bytes + HEAD_BLOCK),
    };
    memcpy(head->cluster_id, bytes + HEAD_CLUSTER, sizeof(head->cluster_id));
    memcpy(head->disk_id, bytes + HEAD_DISK, sizeof(head->disk_id));
    bool block = head->block_bytes == TN_WAL_HEAD_BYTES || head->block_bytes == 4096;
    bool known = tn__get_u32(bytes + HEAD_VERSION) == TN_WAL_VERSION;
    bool ordered =
        head->batch_first <= head->batch_last && (head->batch_first > 0) == (head->batch_last > 0);
    bool zero = tn__wal_zeros(bytes + HEAD_ZERO, HEAD_CRC - HEAD_ZERO);
    return block && known && ordered && zero && head->number > 0 ? TN_WAL_WHOLE : TN_WAL_BAD;
}

uint32_t tn__wal_seed(const uint8_t cluster_id[16], const uint8_t disk_id[16])
{
    return tn__crc32c(tn__crc32c(0, cluster_id, 16), disk_id, 16);
}

/* ---- Batches ------------------------------------------------------------------------------- */

void tn__wal_batch_head_encode(const struct tn__wal_batch_head *head, uint32_t seed,
                               uint8_t bytes[TN_WAL_BATCH_BYTES])
{
    memcpy(bytes, batch_magic, sizeof(batch_magic));
    tn__put_u64(bytes + BATCH_SEGMENT, head->place.segment);
    tn__put_u64(bytes + BATCH_OFFSET, head->place.offset);
    tn__put_u64(bytes + BATCH_SEQUENCE, head->sequence);
    tn__put_u64(bytes + BATCH_MARK, head->mark);
    tn__put_u64(bytes + BATCH_HEALED, head->healed);
    tn__put_u64(bytes + BATCH_SEGMENT_FIRST, head->segment_first);
    tn__put_u64(bytes + BATCH_LENGTH, head->bytes);
    tn__put_u64(bytes + BATCH_USED, head->used);
    tn__put_u32(bytes + BATCH_COUNT, head->records_count);
    tn__put_u32(bytes + BATCH_RECORDS_CRC, head->records_crc);
    tn__put_u32(bytes + BATCH_CRC,
                tn__crc32c(seed, bytes + BATCH_SEGMENT, TN_WAL_BATCH_BYTES - BATCH_SEGMENT));
}

bool tn__wal_batch_head_decode(const uint8_t bytes[TN_WAL_BATCH_BYTES], uint32_t seed,
                               struct tn__wal_place place, uint32_t block_bytes,
                               struct tn__wal_batch_head *head)
{
    if (memcmp(bytes, batch_magic, sizeof(batch_magic)) != 0 ||
        tn__get_u32(bytes + BATCH_CRC) !=
            tn__crc32c(seed, bytes + BATCH_SEGMENT, TN_WAL_BATCH_BYTES - BATCH_SEGMENT)) {
        return false;
    }
    *head = (struct tn__wal_batch_head){
        .place.segment = tn__get_u64(bytes + BATCH_SEGMENT),
        .place.offset = tn__get_u64(bytes + BATCH_OFFSET),
        .sequence = tn__get_u64(bytes + BATCH_SEQUENCE),
        .mark = tn__get_u64(bytes + BATCH_MARK),
        .healed = tn__get_u64(bytes + BATCH_HEALED),
        .segment_first = tn__get_u64(bytes + BATCH_SEGMENT_FIRST),
        .bytes = tn__get_u64(bytes + BATCH_LENGTH),
        .used = tn__get_u64(bytes + BATCH_USED),
        .records_count = tn__get_u32(bytes + BATCH_COUNT),
        .records_crc = tn__get_u32(bytes + BATCH_RECORDS_CRC),
    };
    bool here = head->place.segment == place.segment && head->place.offset == place.offset;
    bool sized = head->bytes > 0 && head->bytes % block_bytes == 0 &&
                 head->used >= TN_WAL_BATCH_BYTES && head->used <= head->bytes &&
                 head->bytes - head->used < block_bytes;
    bool ordered = head->sequence > 0 && head->sequence < UINT64_MAX &&
                   head->mark < head->sequence && head->healed < head->sequence &&
                   head->segment_first > 0 && head->segment_first <= head->place.segment;
    return here && sized && ordered;
}

/* ---- Entries ------------------------------------------------------------------------------- */

static uint8_t entry_flags(const struct tn_log_entry *entry, const struct tn_log_ballot *ballot,
                           uint8_t kind)
{
    uint8_t flags = kind == TN_LOG_RECORD_STATE ? FLAG_SLOT : 0;
    if (kind != TN_LOG_RECORD_STATE && !tn_log_ballot_equal(entry->ballot, *ballot)) {
        flags |= FLAG_BALLOT;
    }
    if (entry->value.kind == TN_LOG_VALUE_CONFIGURATION) {
        flags |= FLAG_CONFIGURATION;
    }
    return flags;
}

static uint32_t flags_bytes(uint8_t flags)
{
    return TN_WAL_ENTRY_BYTES + ((flags & FLAG_SLOT) != 0 ? SLOT_BYTES : 0) +
           ((flags & FLAG_BALLOT) != 0 ? BALLOT_BYTES : 0) +
           ((flags & FLAG_CONFIGURATION) != 0 ? CONFIGURATION_BYTES : 0);
}

uint32_t tn__wal_entry_bytes(const struct tn_log_entry *entry, const struct tn_log_ballot *ballot,
                             uint8_t kind)
{
    return flags_bytes(entry_flags(entry, ballot, kind));
}

uint8_t *tn__wal_entry_encode(const struct tn_log_entry *entry, const struct tn_log_ballot *ballot,
                              uint8_t kind, uint8_t *bytes)
{
    uint8_t flags = entry_flags(entry, ballot, kind);
    tn__put_u32(bytes, kind == TN_LOG_RECORD_STATE ? 0 : entry->value.bytes);
    tn__put_u32(bytes + ENTRY_DIGEST, entry->value.digest);
    bytes[ENTRY_KIND] = entry->value.kind;
    bytes[ENTRY_MODE] = entry->value.mode;
    bytes[ENTRY_FLAGS] = flags;
    bytes[ENTRY_FLAGS + 1] = 0;
    bytes += TN_WAL_ENTRY_BYTES;
    if ((flags & FLAG_SLOT) != 0) {
        tn__put_u64(bytes, entry->slot);
        bytes += SLOT_BYTES;
    }
    if ((flags & FLAG_BALLOT) != 0) {
        ballot_encode(&entry->ballot, bytes);
        bytes += BALLOT_BYTES;
    }
    if ((flags & FLAG_CONFIGURATION) != 0) {
        tn__put_u32(bytes, entry->value.voters);
        tn__put_u32(bytes + 4, entry->value.learners);
        tn__put_u32(bytes + 8, entry->value.version);
        tn__put_u32(bytes + 12, entry->value.window_slots);
        bytes += CONFIGURATION_BYTES;
    }
    return bytes;
}

/* Read one fixed part; 0 if it cannot be one, else its bytes. */
static uint32_t entry_decode(const uint8_t *bytes, uint64_t available,
                             const struct tn__wal_record *record, uint32_t index,
                             struct tn_log_entry *entry)
{
    if (available < TN_WAL_ENTRY_BYTES || available < flags_bytes(bytes[ENTRY_FLAGS])) {
        return 0;
    }
    uint8_t flags = bytes[ENTRY_FLAGS];
    uint32_t length = flags_bytes(flags);
    *entry = (struct tn_log_entry){
        .slot = record->slot_first + index,
        .ballot = record->ballot,
        .value.bytes = tn__get_u32(bytes),
        .value.digest = tn__get_u32(bytes + ENTRY_DIGEST),
        .value.kind = bytes[ENTRY_KIND],
        .value.mode = bytes[ENTRY_MODE],
    };
    bool state = record->kind == TN_LOG_RECORD_STATE;
    bool configuration = entry->value.kind == TN_LOG_VALUE_CONFIGURATION;
    bool sound = flags < 8 && bytes[ENTRY_FLAGS + 1] == 0 && state == ((flags & FLAG_SLOT) != 0) &&
                 configuration == ((flags & FLAG_CONFIGURATION) != 0) &&
                 entry->value.kind <= TN_LOG_VALUE_CONFIGURATION &&
                 (!state || (configuration && entry->value.bytes == 0));
    bytes += TN_WAL_ENTRY_BYTES;
    if ((flags & FLAG_SLOT) != 0) {
        entry->slot = tn__get_u64(bytes);
        bytes += SLOT_BYTES;
    }
    if ((flags & FLAG_BALLOT) != 0) {
        sound = ballot_decode(bytes, &entry->ballot) && sound;
        bytes += BALLOT_BYTES;
    }
    if ((flags & FLAG_CONFIGURATION) != 0) {
        entry->value.voters = tn__get_u32(bytes);
        entry->value.learners = tn__get_u32(bytes + 4);
        entry->value.version = tn__get_u32(bytes + 8);
        entry->value.window_slots = tn__get_u32(bytes + 12);
    }
    return sound ? length : 0;
}

/* ---- Records ------------------------------------------------------------------------------- */

uint32_t tn__wal_record_encode(const struct tn__wal_record *record, uint8_t *bytes)
{
    tn_assert(record->count <= UINT16_MAX);
    tn__put_u32(bytes, 0);
    tn__put_u32(bytes + RECORD_BYTES, record->bytes);
    tn__put_u32(bytes + RECORD_GROUP, record->group);
    bytes[RECORD_KIND] = record->kind;
    bytes[RECORD_FLAGS] = (uint8_t)((record->configures ? RECORD_CONFIGURES : 0) |
                                    (record->doubtful ? RECORD_DOUBTFUL : 0));
    tn__put_u16(bytes + RECORD_COUNT, (uint16_t)record->count);
    tn__put_u64(bytes + RECORD_SLOT, record->slot_first);
    tn__put_u64(bytes + RECORD_COMMITTED, record->committed);
    tn__put_u64(bytes + RECORD_CHECKSUM, record->checksum);
    ballot_encode(&record->ballot, bytes + RECORD_BALLOT);
    return tn__wal_record_sum(bytes, record->bytes);
}

uint32_t tn__wal_record_sum(const uint8_t *bytes, uint32_t length)
{
    tn_assert(length >= TN_WAL_RECORD_BYTES);
    return tn__crc32c(0, bytes + RECORD_BYTES, length - RECORD_BYTES);
}

static uint32_t sum_complete(uint32_t sum, uint32_t seed, struct tn__wal_place place)
{
    uint8_t bytes[20];
    tn__put_u64(bytes, place.segment);
    tn__put_u64(bytes + 8, place.offset);
    tn__put_u32(bytes + 16, seed);
    return tn__crc32c(sum, bytes, sizeof(bytes));
}

uint32_t tn__wal_record_place(uint8_t *bytes, uint32_t sum, uint32_t seed,
                              struct tn__wal_place place)
{
    uint32_t crc = sum_complete(sum, seed, place);
    tn__put_u32(bytes, crc);
    return crc;
}

/* Can the fixed part be, apart from the entries? */
static bool record_sound(const struct tn__wal_record *record)
{
    switch (record->kind) {
    case TN_LOG_RECORD_PROMISE:
        return record->count == 0;
    case TN_LOG_RECORD_ACCEPT:
    case TN_LOG_RECORD_LEARN:
        return record->count <= TN_WAL_RECORD_ENTRIES_MAX &&
               (record->count == 0 || record->slot_first > 0) &&
               record->slot_first < UINT64_MAX - record->count;
    case TN_LOG_RECORD_STATE:
        return record->count <= TN_WAL_CONFIGURATIONS_MAX;
    default:
        return false;
    }
}

/* Most entries have no flag and nothing but their value: entry_decode() would find nothing wrong
 * with such a one, in its shortest form. Is this one of them? */
static bool entry_is_plain(const uint8_t *bytes, uint64_t available, uint32_t kind)
{
    return available >= TN_WAL_ENTRY_BYTES && kind != TN_LOG_RECORD_STATE &&
           bytes[ENTRY_FLAGS] == 0 && bytes[ENTRY_FLAGS + 1] == 0 &&
           bytes[ENTRY_KIND] < TN_LOG_VALUE_CONFIGURATION;
}

/* Do the fixed parts and the values after them fill the record exactly? */
static bool entries_sound(const uint8_t *bytes, const struct tn__wal_record *record)
{
    uint64_t at = TN_WAL_RECORD_BYTES;
    uint64_t values = 0;
    bool configures = false;
    for (uint32_t i = 0; i < record->count; i++) {
        if (entry_is_plain(bytes + at, record->bytes - at, record->kind)) {
            values += tn__get_u32(bytes + at);
            at += TN_WAL_ENTRY_BYTES;
            continue;
        }
        struct tn_log_entry entry;
        uint32_t length = entry_decode(bytes + at, record->bytes - at, record, i, &entry);
        if (length == 0) {
            return false;
        }
        at += length;
        values += entry.value.bytes;
        configures = configures || entry.value.kind == TN_LOG_VALUE_CONFIGURATION;
    }
    return at + values == record->bytes && configures == record->configures;
}

/* False: a part that must be zero is not. */
static bool record_decode(const uint8_t *bytes, struct tn__wal_record *record)
{
    *record = (struct tn__wal_record){
        .bytes = tn__get_u32(bytes + RECORD_BYTES),
        .group = tn__get_u32(bytes + RECORD_GROUP),
        .count = tn__get_u16(bytes + RECORD_COUNT),
        .kind = bytes[RECORD_KIND],
        .configures = (bytes[RECORD_FLAGS] & RECORD_CONFIGURES) != 0,
        .doubtful = (bytes[RECORD_FLAGS] & RECORD_DOUBTFUL) != 0,
        .slot_first = tn__get_u64(bytes + RECORD_SLOT),
        .committed = tn__get_u64(bytes + RECORD_COMMITTED),
        .checksum = tn__get_u64(bytes + RECORD_CHECKSUM),
    };
    return ballot_decode(bytes + RECORD_BALLOT, &record->ballot) &&
           bytes[RECORD_FLAGS] <= (RECORD_CONFIGURES | RECORD_DOUBTFUL) &&
           (!record->doubtful || record->kind == TN_LOG_RECORD_STATE);
}

void tn__wal_record_read(const uint8_t *bytes, struct tn__wal_record *record)
{
    bool sound = record_decode(bytes, record);
    tn_assert(sound);
}

bool tn__wal_record_check(const uint8_t *bytes, uint64_t available, uint32_t seed,
                          struct tn__wal_place place, struct tn__wal_record *record, uint32_t *crc)
{
    *record = (struct tn__wal_record){0};
    if (available < TN_WAL_RECORD_BYTES) {
        return false;
    }
    *crc = tn__get_u32(bytes);
    bool sound = record_decode(bytes, record);
    if (record->bytes < TN_WAL_RECORD_BYTES || record->bytes > available ||
        *crc != sum_complete(tn__wal_record_sum(bytes, record->bytes), seed, place)) {
        return false;
    }
    return sound && record->group <= TN_GROUP_ID_MAX && record_sound(record) &&
           entries_sound(bytes, record);
}

void tn__wal_record_entries(const uint8_t *bytes, const struct tn__wal_record *record,
                            struct tn_log_entry *entries, const void **values)
{
    uint64_t at = TN_WAL_RECORD_BYTES;
    for (uint32_t i = 0; i < record->count; i++) {
        uint32_t length = entry_decode(bytes + at, record->bytes - at, record, i, &entries[i]);
        tn_assert(length > 0);
        at += length;
    }
    for (uint32_t i = 0; i < record->count; i++) {
        values[i] = entries[i].value.bytes > 0 ? bytes + at : NULL;
        at += entries[i].value.bytes;
    }
    tn_assert(at == record->bytes);
}

struct tn__wal_cursor tn__wal_cursor_of(const uint8_t *bytes, const struct tn__wal_record *record)
{
    return (struct tn__wal_cursor){.record = record, .bytes = bytes, .at = TN_WAL_RECORD_BYTES};
}

bool tn__wal_cursor_next(struct tn__wal_cursor *cursor, struct tn_log_entry *entry)
{
    const struct tn__wal_record *record = cursor->record;
    if (cursor->index == record->count) {
        return false;
    }
    uint32_t length = entry_decode(cursor->bytes + cursor->at, record->bytes - cursor->at, record,
                                   cursor->index, entry);
    tn_assert(length > 0);
    cursor->at += length;
    cursor->index++;
    return true;
}

/* ---- Names --------------------------------------------------------------------------------- */

enum {
    DIGITS_MIN = 8,
    DIGITS_MAX = 19, /* any number of these fits 64 bits */
};

void tn__wal_name(char name[TN_WAL_NAME_BYTES], uint64_t number, bool fresh)
{
    struct tn__text text;
    tn__text_init(&text, name, TN_WAL_NAME_BYTES);
    tn__text_add(&text, "%08llu.%s", (unsigned long long)number, fresh ? "new" : "wal");
    tn_assert(!text.cut);
}

uint64_t tn__wal_name_number(const char *name, bool *fresh)
{
    uint64_t number = 0;
    size_t digits = 0;
    while (name[digits] >= '0' && name[digits] <= '9' && digits < DIGITS_MAX) {
        number = number * 10 + (uint64_t)(name[digits++] - '0');
    }
    *fresh = strcmp(name + digits, ".new") == 0;
    bool ours = *fresh || strcmp(name + digits, ".wal") == 0;
    bool padded = digits == DIGITS_MIN || (digits > DIGITS_MIN && name[0] != '0');
    return ours && padded ? number : 0;
}
