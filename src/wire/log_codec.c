/* Messages of the log: see log_codec.h for the layout. Writer and reader walk the same table of
 * optional fields, so they cannot disagree about it. */
#include "wire/log_codec.h"

#include <stddef.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/crc32c.h"

enum {
    LEAD_BYTES = 12,
    ENTRY_LEAD_BYTES = TN_LOG_PAYLOAD_LEAD_BYTES,
    BALLOT_BYTES = 32,
    CONFIGURATION_BYTES = 24,
    /* Bits of a message's optional fields; those of the words follow in the order of `words`. */
    HAS_BALLOT = 1,
    HAS_PROMISED = 2,
    HAS_CHECKSUM = 4,
    HAS_COUNT = 8,
    HAS_WORDS_SHIFT = 4,
    /* Bits of an entry's. */
    ENTRY_SLOT = 1,
    ENTRY_BALLOT = 2,
    ENTRY_CONFIGURATION = 4,
    FLAGS_KNOWN = TN_LOG_FLAG_LAST_PAGE | TN_LOG_FLAG_BELOW_RETAINED | TN_LOG_FLAG_DIVERGED,
};

/* Fields of eight bytes. */
static const size_t words[] = {
    offsetof(struct tn_log_message, slot),      offsetof(struct tn_log_message, slot_end),
    offsetof(struct tn_log_message, committed), offsetof(struct tn_log_message, retained),
    offsetof(struct tn_log_message, accepted),  offsetof(struct tn_log_message, id),
    offsetof(struct tn_log_message, stamp),
};

#define WORDS_COUNT (sizeof(words) / sizeof(words[0]))
#define HAS_KNOWN ((1U << (HAS_WORDS_SHIFT + WORDS_COUNT)) - 1U)

_Static_assert(LEAD_BYTES + 2 * BALLOT_BYTES + 16 + 8 + 8 * WORDS_COUNT <= TN_LOG_MESSAGE_BYTES_MAX,
               "a message with every field is no longer than announced");
_Static_assert(ENTRY_LEAD_BYTES + 8 + BALLOT_BYTES + CONFIGURATION_BYTES == TN_LOG_ENTRY_BYTES_MAX,
               "an entry with every field is as long as announced");
_Static_assert(HAS_KNOWN <= UINT16_MAX, "the optional fields are two bytes");
_Static_assert(TN_LOG_RUN_MAX <= UINT16_MAX && TN_GROUP_ID_MAX <= UINT16_MAX, "two bytes each");
_Static_assert(sizeof(struct tn_log_ballot) == BALLOT_BYTES, "a ballot has no padding");

static uint64_t word_of(const struct tn_log_message *message, size_t index)
{
    uint64_t value;
    memcpy(&value, (const uint8_t *)message + words[index], sizeof(value));
    return value;
}

/* ---- Writing --------------------------------------------------------------------------------- */

static uint32_t message_presence(const struct tn_log_message *message)
{
    static const struct tn_log_ballot none;
    uint32_t has = 0;
    has |= tn_log_ballot_equal(message->ballot, none) ? 0U : HAS_BALLOT;
    has |= tn_log_ballot_equal(message->promised, none) ? 0U : HAS_PROMISED;
    has |= message->checksum_slot == 0 && message->checksum == 0 ? 0U : HAS_CHECKSUM;
    has |= message->count == 0 ? 0U : HAS_COUNT;
    for (size_t i = 0; i < WORDS_COUNT; i++) {
        has |= word_of(message, i) == 0 ? 0U : 1U << (HAS_WORDS_SHIFT + i);
    }
    return has;
}

static size_t presence_bytes(uint32_t has)
{
    size_t bytes = 0;
    bytes += has & HAS_BALLOT ? BALLOT_BYTES : 0U;
    bytes += has & HAS_PROMISED ? BALLOT_BYTES : 0U;
    bytes += has & HAS_CHECKSUM ? 16U : 0U;
    bytes += has & HAS_COUNT ? 8U : 0U;
    return bytes + 8U * (size_t)__builtin_popcount(has >> HAS_WORDS_SHIFT);
}

/* What the reader takes an entry's slot and ballot to be if it is not told. */
struct expected {
    uint64_t slot;
    struct tn_log_ballot ballot;
};

static void expect_after(struct expected *expected, const struct tn_log_entry *entry)
{
    expected->slot = entry->slot == 0 ? 0 : entry->slot + 1;
    expected->ballot = entry->ballot;
}

static uint32_t entry_presence(const struct tn_log_entry *entry, const struct expected *expected)
{
    uint32_t has = 0;
    has |= entry->slot == expected->slot ? 0U : ENTRY_SLOT;
    has |= tn_log_ballot_equal(entry->ballot, expected->ballot) ? 0U : ENTRY_BALLOT;
    has |= entry->value.kind == TN_LOG_VALUE_CONFIGURATION ? ENTRY_CONFIGURATION : 0U;
    return has;
}

static size_t entry_presence_bytes(uint32_t has)
{
    return (has & ENTRY_SLOT ? 8U : 0U) + (has & ENTRY_BALLOT ? BALLOT_BYTES : 0U) +
           (has & ENTRY_CONFIGURATION ? CONFIGURATION_BYTES : 0U);
}

uint32_t tn__log_message_fit(const struct tn_log_message *message,
                             const struct tn_log_entry *entries, size_t room)
{
    size_t bytes = LEAD_BYTES + presence_bytes(message_presence(message));
    struct expected expected = {.ballot = message->ballot};
    for (uint32_t i = 0; i < message->entries_count; i++) {
        bytes += ENTRY_LEAD_BYTES + entry_presence_bytes(entry_presence(&entries[i], &expected)) +
                 entries[i].value.bytes;
        if (bytes > room) {
            return i;
        }
        expect_after(&expected, &entries[i]);
    }
    return message->entries_count;
}

size_t tn__log_message_bytes(const struct tn_log_message *message,
                             const struct tn_log_entry *entries)
{
    size_t bytes = LEAD_BYTES + presence_bytes(message_presence(message));
    struct expected expected = {.ballot = message->ballot};
    for (uint32_t i = 0; i < message->entries_count; i++) {
        bytes += ENTRY_LEAD_BYTES + entry_presence_bytes(entry_presence(&entries[i], &expected)) +
                 entries[i].value.bytes;
        expect_after(&expected, &entries[i]);
    }
    return bytes;
}

static uint8_t *put_ballot(uint8_t *at, const struct tn_log_ballot *ballot)
{
    tn__put_u64(at, ballot->token);
    tn__put_u64(at + 8, ballot->attempt);
    tn__put_u64(at + 16, ballot->restart_word);
    tn__put_u32(at + 24, ballot->mode_number);
    tn__put_u16(at + 28, ballot->node);
    tn__put_u16(at + 30, 0);
    return at + BALLOT_BYTES;
}

static uint8_t *put_configuration(uint8_t *at, const struct tn_log_value *value)
{
    memset(at, 0, CONFIGURATION_BYTES);
    tn__put_u32(at, value->voters);
    tn__put_u32(at + 4, value->learners);
    tn__put_u32(at + 8, value->version);
    tn__put_u32(at + 12, value->window_slots);
    at[16] = value->mode;
    return at + CONFIGURATION_BYTES;
}

static uint8_t *put_message(uint8_t *at, const struct tn_log_message *message)
{
    uint32_t has = message_presence(message);
    at[0] = message->kind;
    at[1] = message->flags;
    at[2] = message->reason;
    at[3] = 0;
    tn__put_u16(at + 4, (uint16_t)message->group);
    tn__put_u16(at + 6, (uint16_t)message->entries_count);
    tn__put_u16(at + 8, (uint16_t)has);
    tn__put_u16(at + 10, 0);
    at += LEAD_BYTES;
    at = has & HAS_BALLOT ? put_ballot(at, &message->ballot) : at;
    at = has & HAS_PROMISED ? put_ballot(at, &message->promised) : at;
    if (has & HAS_CHECKSUM) {
        tn__put_u64(at, message->checksum_slot);
        tn__put_u64(at + 8, message->checksum);
        at += 16;
    }
    if (has & HAS_COUNT) {
        tn__put_u64(at, message->count);
        at += 8;
    }
    for (size_t i = 0; i < WORDS_COUNT; i++) {
        if (has & 1U << (HAS_WORDS_SHIFT + i)) {
            tn__put_u64(at, word_of(message, i));
            at += 8;
        }
    }
    return at;
}

static uint8_t *put_entry(uint8_t *at, const struct tn_log_entry *entry,
                          const struct expected *expected)
{
    uint32_t has = entry_presence(entry, expected);
    at[0] = entry->value.kind;
    at[1] = (uint8_t)has;
    tn__put_u16(at + 2, 0);
    tn__put_u32(at + 4, entry->value.bytes);
    tn__put_u32(at + 8, entry->value.digest);
    at += ENTRY_LEAD_BYTES;
    if (has & ENTRY_SLOT) {
        tn__put_u64(at, entry->slot);
        at += 8;
    }
    at = has & ENTRY_BALLOT ? put_ballot(at, &entry->ballot) : at;
    return has & ENTRY_CONFIGURATION ? put_configuration(at, &entry->value) : at;
}

size_t tn__log_message_write(uint8_t *bytes, const struct tn_log_message *message,
                             const struct tn_log_entry *entries, tn__log_payload payload,
                             void *context)
{
    tn_assert(message->kind != 0 && message->kind < TN_LOG_MESSAGE_KINDS_END);
    tn_assert(message->group <= TN_GROUP_ID_MAX);
    tn_assert(message->entries_count <= TN_LOG_RUN_MAX);
    uint8_t *at = put_message(bytes, message);
    struct expected expected = {.ballot = message->ballot};
    for (uint32_t i = 0; i < message->entries_count; i++) {
        const struct tn_log_entry *entry = &entries[i];
        at = put_entry(at, entry, &expected);
        expect_after(&expected, entry);
        if (entry->value.bytes > 0) {
            memcpy(at, payload(context, entry->value.handle), entry->value.bytes);
            at += entry->value.bytes;
        }
    }
    return (size_t)(at - bytes);
}

/* ---- Reading --------------------------------------------------------------------------------- */

void tn__log_reader_begin(struct tn__log_reader *reader, const uint8_t *bytes,
                          const struct tn__frame_header *header)
{
    tn_assert(header->kind == TN_FRAME_LOG);
    *reader = (struct tn__log_reader){
        .at = bytes + TN_FRAME_HEADER_BYTES,
        .end = bytes + header->length,
        .left = header->items_count,
    };
}

static bool fail(struct tn__log_reader *reader)
{
    reader->fault = TN_FRAME_FAULT_ITEM;
    return false;
}

static size_t room(const struct tn__log_reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

/* A ballot's bytes are there. None is spelled by its absence or, in an entry, by zeros; any other
 * names a node and one of its incarnations. */
static bool get_ballot(struct tn__log_reader *reader, struct tn_log_ballot *ballot, bool none_too)
{
    const uint8_t *at = reader->at;
    ballot->token = tn__get_u64(at);
    ballot->attempt = tn__get_u64(at + 8);
    ballot->restart_word = tn__get_u64(at + 16);
    ballot->mode_number = tn__get_u32(at + 24);
    ballot->node = tn__get_u16(at + 28);
    ballot->reserved = tn__get_u16(at + 30);
    reader->at += BALLOT_BYTES;
    if (ballot->node == 0) {
        static const struct tn_log_ballot none;
        return none_too && memcmp(ballot, &none, sizeof(none)) == 0;
    }
    return ballot->reserved == 0 && ballot->restart_word != UINT64_MAX;
}

/* The optional fields of a message; their bytes are there. */
static bool get_fields(struct tn__log_reader *reader, uint32_t has, struct tn_log_message *message)
{
    if ((has & HAS_BALLOT && !get_ballot(reader, &message->ballot, false)) ||
        (has & HAS_PROMISED && !get_ballot(reader, &message->promised, false))) {
        return false;
    }
    if (has & HAS_CHECKSUM) {
        message->checksum_slot = tn__get_u64(reader->at);
        message->checksum = tn__get_u64(reader->at + 8);
        reader->at += 16;
        if (message->checksum_slot == 0 && message->checksum == 0) {
            return false;
        }
    }
    if (has & HAS_COUNT) {
        uint64_t count = tn__get_u64(reader->at);
        reader->at += 8;
        if (count == 0 || count > UINT32_MAX) {
            return false;
        }
        message->count = (uint32_t)count;
    }
    for (size_t i = 0; i < WORDS_COUNT; i++) {
        if (has & 1U << (HAS_WORDS_SHIFT + i)) {
            uint64_t word = tn__get_u64(reader->at);
            reader->at += 8;
            if (word == 0) {
                return false;
            }
            memcpy((uint8_t *)message + words[i], &word, sizeof(word));
        }
    }
    return true;
}

static bool get_message(struct tn__log_reader *reader, struct tn_log_message *message)
{
    const uint8_t *at = reader->at;
    memset(message, 0, sizeof(*message));
    if (room(reader) < LEAD_BYTES) {
        return false;
    }
    message->kind = at[0];
    message->flags = at[1];
    message->reason = at[2];
    message->group = tn__get_u16(at + 4);
    message->entries_count = tn__get_u16(at + 6);
    uint32_t has = tn__get_u16(at + 8);
    if (message->kind == 0 || message->kind >= TN_LOG_MESSAGE_KINDS_END ||
        (message->flags & ~FLAGS_KNOWN) != 0 || message->reason > TN_LOG_REASON_STOPPED ||
        at[3] != 0 || message->entries_count > TN_LOG_RUN_MAX || (has & ~HAS_KNOWN) != 0 ||
        tn__get_u16(at + 10) != 0) {
        return false;
    }
    reader->at += LEAD_BYTES;
    return room(reader) >= presence_bytes(has) && get_fields(reader, has, message);
}

static bool get_configuration(struct tn__log_reader *reader, struct tn_log_value *value)
{
    static const uint8_t zero[7];
    const uint8_t *at = reader->at;
    value->voters = tn__get_u32(at);
    value->learners = tn__get_u32(at + 4);
    value->version = tn__get_u32(at + 8);
    value->window_slots = tn__get_u32(at + 12);
    value->mode = at[16];
    reader->at += CONFIGURATION_BYTES;
    return value->mode <= TN_LOG_MODE_FREE && memcmp(at + 17, zero, sizeof(zero)) == 0;
}

/* May a value of this kind be this long? */
static bool value_fits(const struct tn_log_value *value)
{
    switch (value->kind) {
    case TN_LOG_VALUE_NOOP:
    case TN_LOG_VALUE_CONFIGURATION:
        return value->bytes == 0 && value->digest == 0;
    case TN_LOG_VALUE_PAYLOAD:
        return value->bytes <= TN_PAYLOAD_BYTES_MAX;
    default:
        return false;
    }
}

static bool get_entry(struct tn__log_reader *reader, struct expected *expected,
                      struct tn_log_entry *entry, const uint8_t **payload)
{
    const uint8_t *at = reader->at;
    memset(entry, 0, sizeof(*entry));
    if (room(reader) < ENTRY_LEAD_BYTES) {
        return false;
    }
    struct tn_log_value *value = &entry->value;
    uint32_t has = at[1];
    value->kind = at[0];
    value->bytes = tn__get_u32(at + 4);
    value->digest = tn__get_u32(at + 8);
    reader->at += ENTRY_LEAD_BYTES;
    if (has > (ENTRY_SLOT | ENTRY_BALLOT | ENTRY_CONFIGURATION) || tn__get_u16(at + 2) != 0 ||
        !value_fits(value) || room(reader) < entry_presence_bytes(has)) {
        return false;
    }
    entry->slot = expected->slot;
    entry->ballot = expected->ballot;
    if (has & ENTRY_SLOT) {
        entry->slot = tn__get_u64(reader->at);
        reader->at += 8;
    }
    if ((has & ENTRY_BALLOT && !get_ballot(reader, &entry->ballot, true)) ||
        (has & ENTRY_CONFIGURATION && !get_configuration(reader, value)) ||
        has != entry_presence(entry, expected) || entry->slot == UINT64_MAX) {
        return false;
    }
    expect_after(expected, entry);
    *payload = reader->at;
    if (room(reader) < value->bytes) {
        return false;
    }
    reader->at += value->bytes;
    return tn__crc32c(0, *payload, value->bytes) == value->digest;
}

bool tn__log_reader_next(struct tn__log_reader *reader, struct tn_log_message *message,
                         struct tn_log_entry *entries, const uint8_t **payloads)
{
    if (reader->fault != TN_FRAME_FAULT_NONE) {
        return false;
    }
    if (reader->left == 0) {
        reader->fault = reader->at == reader->end ? TN_FRAME_FAULT_NONE : TN_FRAME_FAULT_TRAILING;
        return false;
    }
    if (!get_message(reader, message)) {
        return fail(reader);
    }
    struct expected expected = {.ballot = message->ballot};
    for (uint32_t i = 0; i < message->entries_count; i++) {
        if (!get_entry(reader, &expected, &entries[i], &payloads[i])) {
            return fail(reader);
        }
    }
    reader->left -= 1;
    return true;
}
