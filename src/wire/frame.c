/* Frame headers: written, delimited, checked. The layout stands in frame.h. */
#include "wire/frame.h"

#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/crc32c.h"

enum {
    OFFSET_VERSION = 4,
    OFFSET_KIND = 5,
    OFFSET_COUNT = 6,
    OFFSET_LENGTH = 8,
    OFFSET_CRC = 12,
    OFFSET_CLUSTER = 16,
    OFFSET_RESTART = 24,
    OFFSET_COUNTER = 32,
    OFFSET_SENDER = 40,
    OFFSET_RECEIVER = 42,
    OFFSET_ZERO = 44,
    /* The bytes that say whether this is a frame, and how long it is. */
    HEAD_BYTES = OFFSET_CRC,
};

_Static_assert(OFFSET_ZERO + 4 == TN_FRAME_HEADER_BYTES, "the header is as long as announced");
_Static_assert(TN_FRAME_GREETING_BYTES_MAX <= TN_FRAME_BYTES_MAX, "any buffer takes a greeting");
_Static_assert(TN_FRAME_ITEMS_MAX <= UINT16_MAX, "the count of items is two bytes");
_Static_assert(TN_LOG_FRAME_MESSAGES_MAX <= UINT16_MAX, "so is that of messages");

static const uint8_t magic[4] = {'t', 'n', 'r', 1};

int tn__frame_fault_error(enum tn__frame_fault fault)
{
    switch (fault) {
#define FAULT_ERROR(name, error, sentence)                                                         \
    case TN_FRAME_FAULT_##name:                                                                    \
        return TN_ERROR_##error;
        TN_FRAME_FAULT_TABLE(FAULT_ERROR)
#undef FAULT_ERROR
    case TN_FRAME_FAULT_NONE:
    case TN_FRAME_FAULTS_END:
        break;
    }
    return TN_OK;
}

const char *tn__frame_fault_text(enum tn__frame_fault fault)
{
    switch (fault) {
#define FAULT_TEXT(name, error, sentence)                                                          \
    case TN_FRAME_FAULT_##name:                                                                    \
        return sentence;
        TN_FRAME_FAULT_TABLE(FAULT_TEXT)
#undef FAULT_TEXT
    case TN_FRAME_FAULT_NONE:
    case TN_FRAME_FAULTS_END:
        break;
    }
    return "the frame is valid";
}

/* How long a frame of this kind may be. */
static enum tn__frame_fault check_length(uint8_t kind, uint32_t length)
{
    uint32_t least = TN_FRAME_HEADER_BYTES;
    uint32_t most = TN_FRAME_BYTES_MAX;
    if (kind == TN_FRAME_HELLO || kind == TN_FRAME_REFUSAL) {
        most = TN_FRAME_GREETING_BYTES_MAX;
    } else if (kind == TN_FRAME_PING || kind == TN_FRAME_PONG) {
        least = TN_FRAME_PING_BYTES;
        most = TN_FRAME_PING_BYTES;
    } else if (kind == TN_FRAME_LOG) {
        most = TN_LOG_FRAME_BYTES_MAX;
    }
    if (length > most) {
        return TN_FRAME_FAULT_LONG;
    }
    return length < least ? TN_FRAME_FAULT_SHORT : TN_FRAME_FAULT_NONE;
}

/* Is a body of this version and kind understood here? A greeting is of every version, 0 apart: its
 * beginning never changes, and it says which versions its sender speaks. */
static enum tn__frame_fault check_kind(uint8_t version, uint8_t kind)
{
    bool greeting = kind == TN_FRAME_HELLO || kind == TN_FRAME_REFUSAL;
    if (version < TN_PROTOCOL_VERSION_MIN || (version > TN_PROTOCOL_VERSION_MAX && !greeting)) {
        return TN_FRAME_FAULT_PROTOCOL;
    }
    if (kind == 0 || kind >= TN_FRAME_KINDS_END) {
        return TN_FRAME_FAULT_KIND;
    }
    return TN_FRAME_FAULT_NONE;
}

enum tn__frame_fault tn__frame_scan(const uint8_t *bytes, size_t length, uint32_t *frame_bytes)
{
    tn_assert(bytes != NULL || length == 0);
    *frame_bytes = 0;
    size_t magic_bytes = length < sizeof(magic) ? length : sizeof(magic);
    if (magic_bytes > 0 && memcmp(bytes, magic, magic_bytes) != 0) {
        return TN_FRAME_FAULT_MAGIC;
    }
    if (length <= OFFSET_KIND) {
        return TN_FRAME_FAULT_NONE;
    }
    enum tn__frame_fault fault = check_kind(bytes[OFFSET_VERSION], bytes[OFFSET_KIND]);
    if (fault != TN_FRAME_FAULT_NONE || length < HEAD_BYTES) {
        return fault;
    }
    uint32_t claimed = tn__get_u32(bytes + OFFSET_LENGTH);
    fault = check_length(bytes[OFFSET_KIND], claimed);
    if (fault == TN_FRAME_FAULT_NONE && length >= claimed) {
        *frame_bytes = claimed;
    }
    return fault;
}

/* The checksum of a whole frame, as if its own field were zero. */
static uint32_t frame_checksum(const uint8_t *bytes, uint32_t frame_bytes)
{
    static const uint8_t zero[4];
    uint32_t crc = tn__crc32c(0, bytes, OFFSET_CRC);
    crc = tn__crc32c(crc, zero, sizeof(zero));
    return tn__crc32c(crc, bytes + OFFSET_CLUSTER, frame_bytes - OFFSET_CLUSTER);
}

static void header_read(const uint8_t *bytes, struct tn__frame_header *header)
{
    *header = (struct tn__frame_header){
        .cluster_tag = tn__get_u64(bytes + OFFSET_CLUSTER),
        .restart_word = tn__get_u64(bytes + OFFSET_RESTART),
        .counter = tn__get_u64(bytes + OFFSET_COUNTER),
        .length = tn__get_u32(bytes + OFFSET_LENGTH),
        .sender = tn__get_u16(bytes + OFFSET_SENDER),
        .receiver = tn__get_u16(bytes + OFFSET_RECEIVER),
        .items_count = tn__get_u16(bytes + OFFSET_COUNT),
        .version = bytes[OFFSET_VERSION],
        .kind = bytes[OFFSET_KIND],
    };
}

/* Is the frame one that may arrive here, now, on this connection? */
static enum tn__frame_fault check_expected(const struct tn__frame_header *header,
                                           const struct tn__frame_expected *expected)
{
    if (expected->cluster_tag != 0 && header->cluster_tag != expected->cluster_tag) {
        return TN_FRAME_FAULT_CLUSTER;
    }
    bool anyone = header->kind == TN_FRAME_HELLO && header->receiver == 0;
    if (expected->receiver != 0 && header->receiver != expected->receiver && !anyone) {
        return TN_FRAME_FAULT_RECEIVER;
    }
    if (header->sender == 0 || (expected->sender != 0 && header->sender != expected->sender)) {
        return TN_FRAME_FAULT_SENDER;
    }
    if (header->restart_word == UINT64_MAX ||
        (expected->restart_word != 0 && header->restart_word != expected->restart_word)) {
        return TN_FRAME_FAULT_INCARNATION;
    }
    return TN_FRAME_FAULT_NONE;
}

static uint32_t items_max(uint8_t kind)
{
    return kind == TN_FRAME_ITEMS ? TN_FRAME_ITEMS_MAX
           : kind == TN_FRAME_LOG ? TN_LOG_FRAME_MESSAGES_MAX
                                  : 0;
}

enum tn__frame_fault tn__frame_open(const uint8_t *bytes, uint32_t frame_bytes,
                                    const struct tn__frame_expected *expected,
                                    struct tn__frame_header *header)
{
    uint32_t delimited = 0;
    enum tn__frame_fault fault = tn__frame_scan(bytes, frame_bytes, &delimited);
    if (fault != TN_FRAME_FAULT_NONE) {
        return fault;
    }
    tn_assert(delimited == frame_bytes);
    if (tn__get_u32(bytes + OFFSET_CRC) != frame_checksum(bytes, frame_bytes)) {
        return TN_FRAME_FAULT_CHECKSUM;
    }
    header_read(bytes, header);
    if (tn__get_u32(bytes + OFFSET_ZERO) != 0 && header->version <= TN_PROTOCOL_VERSION_MAX) {
        return TN_FRAME_FAULT_RESERVED;
    }
    if (header->items_count > items_max(header->kind)) {
        return TN_FRAME_FAULT_COUNT;
    }
    return check_expected(header, expected);
}

void tn__frame_seal(uint8_t *bytes, const struct tn__frame_header *header)
{
    tn_assert(check_kind(header->version, header->kind) == TN_FRAME_FAULT_NONE);
    tn_assert(check_length(header->kind, header->length) == TN_FRAME_FAULT_NONE);
    tn_assert(header->sender != 0);
    tn_assert(header->restart_word != UINT64_MAX);
    memcpy(bytes, magic, sizeof(magic));
    bytes[OFFSET_VERSION] = header->version;
    bytes[OFFSET_KIND] = header->kind;
    tn__put_u16(bytes + OFFSET_COUNT, header->items_count);
    tn__put_u32(bytes + OFFSET_LENGTH, header->length);
    tn__put_u64(bytes + OFFSET_CLUSTER, header->cluster_tag);
    tn__put_u64(bytes + OFFSET_RESTART, header->restart_word);
    tn__put_u64(bytes + OFFSET_COUNTER, header->counter);
    tn__put_u16(bytes + OFFSET_SENDER, header->sender);
    tn__put_u16(bytes + OFFSET_RECEIVER, header->receiver);
    tn__put_u32(bytes + OFFSET_ZERO, 0);
    tn__put_u32(bytes + OFFSET_CRC, frame_checksum(bytes, header->length));
}

/* Mix a word so that every bit of it sways every bit of the result (invertible). */
static uint64_t mix(uint64_t word)
{
    word = (word ^ (word >> 32)) * 0xd6e8feb86659fd93ULL;
    word = (word ^ (word >> 32)) * 0xd6e8feb86659fd93ULL;
    return word ^ (word >> 32);
}

uint64_t tn__frame_cluster_tag(const uint8_t cluster_id[16])
{
    uint64_t tag = mix(mix(tn__get_u64(cluster_id)) + 1 + tn__get_u64(cluster_id + 8));
    return tag != 0 ? tag : 1;
}

void tn__frame_ping_write(uint8_t *bytes, const struct tn__frame_header *header, uint64_t word)
{
    tn_assert(header->kind == TN_FRAME_PING || header->kind == TN_FRAME_PONG);
    struct tn__frame_header whole = *header;
    whole.version = TN_PROTOCOL_VERSION_MAX;
    whole.length = TN_FRAME_PING_BYTES;
    whole.items_count = 0;
    tn__put_u64(bytes + TN_FRAME_HEADER_BYTES, word);
    tn__frame_seal(bytes, &whole);
}

uint64_t tn__frame_ping_word(const uint8_t *bytes)
{
    return tn__get_u64(bytes + TN_FRAME_HEADER_BYTES);
}
