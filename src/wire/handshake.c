/* HELLO and REFUSAL frames to bytes and back. What the values mean to each other is in
 * handshake_compare.c. */
#include "wire/handshake.h"

#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"

enum {
    OFFSET_VERSION_MIN = 0,
    OFFSET_VERSION_MAX = 1,
    OFFSET_MEMBERS = 2,
    OFFSET_TABLES = 3,
    OFFSET_DISKLESS = 4,
    OFFSET_NAME = 5,
    OFFSET_ADDRESS = 6,
    OFFSET_CHANNEL = 7,
    OFFSET_CLUSTER = 8,
    OFFSET_CONFIGURATION = 24,
    OFFSET_DRIFT = 28,
    OFFSET_DISK = 32,
    FIXED_BYTES = 48,
    TABLE_BYTES = 24,
    REFUSAL_FIXED_BYTES = 4,
};

_Static_assert(TN_FRAME_HEADER_BYTES + FIXED_BYTES + 2 * TN_MEMBERS_MAX +
                       TABLE_BYTES * TN_TABLES_MAX + TN_MEMBER_NAME_BYTES_MAX +
                       TN_CLIENT_ADDRESS_BYTES_MAX <=
                   TN_FRAME_GREETING_BYTES_MAX,
               "the largest HELLO fits");
_Static_assert(TN_FRAME_HEADER_BYTES + REFUSAL_FIXED_BYTES + TN_REFUSAL_TEXT_BYTES_MAX <=
                   TN_FRAME_GREETING_BYTES_MAX,
               "the largest REFUSAL fits");

/* The length of a text, at most `most`; no byte behind its terminator is read. */
static size_t text_length(const char *text, size_t most)
{
    const char *end = memchr(text, '\0', most);
    return end != NULL ? (size_t)(end - text) : most;
}

/* Printable ASCII from `first` on: what may be shown in a terminal or a log as it came. */
static bool is_printable(const char *text, size_t length, char first)
{
    for (size_t i = 0; i < length; i++) {
        if (text[i] < first || text[i] > '~') {
            return false;
        }
    }
    return true;
}

static bool members_valid(const struct tn__hello *hello)
{
    if (hello->members_count < 1 || hello->members_count > TN_MEMBERS_MAX) {
        return false;
    }
    bool self = false;
    for (uint32_t i = 0; i < hello->members_count; i++) {
        self |= hello->members[i] == hello->node;
        if (hello->members[i] == 0) {
            return false;
        }
        for (uint32_t j = 0; j < i; j++) {
            if (hello->members[i] == hello->members[j]) {
                return false;
            }
        }
    }
    return self;
}

static bool duration_valid(tn_time duration)
{
    return duration > 0 && duration <= 2 * TN_DURATION_NS_MAX;
}

static bool tables_valid(const struct tn__hello *hello)
{
    if (hello->tables_count < 1 || hello->tables_count > TN_TABLES_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < hello->tables_count; i++) {
        const struct tn__hello_table *table = &hello->tables[i];
        if (!duration_valid(table->proposer_ns) || !duration_valid(table->acceptor_ns) ||
            !duration_valid(table->quarantine_ns)) {
            return false;
        }
    }
    return true;
}

bool tn__hello_valid(const struct tn__hello *hello)
{
    size_t name_bytes = text_length(hello->name, sizeof(hello->name));
    size_t address_bytes = text_length(hello->client_address, sizeof(hello->client_address));
    return hello->version_min >= 1 && hello->version_min <= hello->version_max &&
           hello->node != 0 && hello->restart_word != UINT64_MAX && hello->diskless <= 1 &&
           hello->connection < TN_CHANNELS_END && hello->drift_ppm <= TN_DRIFT_PPM_MAX &&
           name_bytes >= 1 && name_bytes <= TN_MEMBER_NAME_BYTES_MAX &&
           is_printable(hello->name, name_bytes, '!') &&
           address_bytes <= TN_CLIENT_ADDRESS_BYTES_MAX &&
           is_printable(hello->client_address, address_bytes, '!') && members_valid(hello) &&
           tables_valid(hello);
}

uint32_t tn__hello_write(uint8_t *bytes, const struct tn__hello *hello, tn_node_id receiver,
                         uint64_t counter)
{
    tn_assert(tn__hello_valid(hello));
    size_t name_bytes = strlen(hello->name);
    size_t address_bytes = strlen(hello->client_address);
    uint8_t *body = bytes + TN_FRAME_HEADER_BYTES;
    memset(body, 0, FIXED_BYTES);
    body[OFFSET_VERSION_MIN] = hello->version_min;
    body[OFFSET_VERSION_MAX] = hello->version_max;
    body[OFFSET_MEMBERS] = hello->members_count;
    body[OFFSET_TABLES] = hello->tables_count;
    body[OFFSET_DISKLESS] = hello->diskless;
    body[OFFSET_NAME] = (uint8_t)name_bytes;
    body[OFFSET_ADDRESS] = (uint8_t)address_bytes;
    body[OFFSET_CHANNEL] = hello->connection;
    memcpy(body + OFFSET_CLUSTER, hello->cluster_id, sizeof(hello->cluster_id));
    tn__put_u32(body + OFFSET_CONFIGURATION, hello->configuration);
    tn__put_u32(body + OFFSET_DRIFT, hello->drift_ppm);
    memcpy(body + OFFSET_DISK, hello->disk_id, sizeof(hello->disk_id));
    uint8_t *at = body + FIXED_BYTES;
    for (uint32_t i = 0; i < hello->members_count; i++, at += 2) {
        tn__put_u16(at, hello->members[i]);
    }
    for (uint32_t i = 0; i < hello->tables_count; i++, at += TABLE_BYTES) {
        tn__put_u64(at, hello->tables[i].proposer_ns);
        tn__put_u64(at + 8, hello->tables[i].acceptor_ns);
        tn__put_u64(at + 16, hello->tables[i].quarantine_ns);
    }
    memcpy(at, hello->name, name_bytes);
    at += name_bytes;
    memcpy(at, hello->client_address, address_bytes);
    at += address_bytes;
    struct tn__frame_header header = {
        .cluster_tag = tn__frame_cluster_tag(hello->cluster_id),
        .restart_word = hello->restart_word,
        .counter = counter,
        .length = (uint32_t)(at - bytes),
        .sender = hello->node,
        .receiver = receiver,
        .version = hello->version_max,
        .kind = TN_FRAME_HELLO,
    };
    tn__frame_seal(bytes, &header);
    return header.length;
}

/* The lists and texts behind the fixed part; their counts are in range and their bytes are there.
 */
static void hello_lists_read(const uint8_t *body, struct tn__hello *hello)
{
    const uint8_t *at = body + FIXED_BYTES;
    for (uint32_t i = 0; i < hello->members_count; i++, at += 2) {
        hello->members[i] = tn__get_u16(at);
    }
    for (uint32_t i = 0; i < hello->tables_count; i++, at += TABLE_BYTES) {
        hello->tables[i].proposer_ns = tn__get_u64(at);
        hello->tables[i].acceptor_ns = tn__get_u64(at + 8);
        hello->tables[i].quarantine_ns = tn__get_u64(at + 16);
    }
    memcpy(hello->name, at, body[OFFSET_NAME]);
    memcpy(hello->client_address, at + body[OFFSET_NAME], body[OFFSET_ADDRESS]);
}

int tn__hello_read(const uint8_t *bytes, const struct tn__frame_header *header,
                   struct tn__hello *hello)
{
    tn_assert(header->kind == TN_FRAME_HELLO);
    const uint8_t *body = bytes + TN_FRAME_HEADER_BYTES;
    uint32_t body_bytes = header->length - TN_FRAME_HEADER_BYTES;
    if (body_bytes < FIXED_BYTES || body[OFFSET_MEMBERS] > TN_MEMBERS_MAX ||
        body[OFFSET_TABLES] > TN_TABLES_MAX || body[OFFSET_NAME] > TN_MEMBER_NAME_BYTES_MAX ||
        body[OFFSET_ADDRESS] > TN_CLIENT_ADDRESS_BYTES_MAX) {
        return TN_ERROR_MALFORMED;
    }
    uint32_t wanted = FIXED_BYTES + 2U * body[OFFSET_MEMBERS] +
                      (uint32_t)TABLE_BYTES * body[OFFSET_TABLES] + body[OFFSET_NAME] +
                      body[OFFSET_ADDRESS];
    bool may_append = body[OFFSET_VERSION_MAX] > TN_PROTOCOL_VERSION_MAX;
    if (body_bytes < wanted || (body_bytes > wanted && !may_append)) {
        return TN_ERROR_MALFORMED;
    }
    *hello = (struct tn__hello){
        .restart_word = header->restart_word,
        .node = header->sender,
        .configuration = tn__get_u32(body + OFFSET_CONFIGURATION),
        .drift_ppm = tn__get_u32(body + OFFSET_DRIFT),
        .version_min = body[OFFSET_VERSION_MIN],
        .version_max = body[OFFSET_VERSION_MAX],
        .members_count = body[OFFSET_MEMBERS],
        .tables_count = body[OFFSET_TABLES],
        .diskless = body[OFFSET_DISKLESS],
        .connection = body[OFFSET_CHANNEL],
    };
    memcpy(hello->cluster_id, body + OFFSET_CLUSTER, sizeof(hello->cluster_id));
    memcpy(hello->disk_id, body + OFFSET_DISK, sizeof(hello->disk_id));
    hello_lists_read(body, hello);
    /* A text with a zero inside would read back shorter than it was sent. */
    bool whole = strlen(hello->name) == body[OFFSET_NAME] &&
                 strlen(hello->client_address) == body[OFFSET_ADDRESS] &&
                 header->version == hello->version_max &&
                 header->cluster_tag == tn__frame_cluster_tag(hello->cluster_id);
    return whole && tn__hello_valid(hello) ? TN_OK : TN_ERROR_MALFORMED;
}

uint32_t tn__refusal_write(uint8_t *bytes, const struct tn__frame_header *header, int error,
                           const char *text)
{
    tn_assert(error < 0);
    size_t length = text_length(text, TN_REFUSAL_TEXT_BYTES_MAX);
    uint8_t *body = bytes + TN_FRAME_HEADER_BYTES;
    tn__put_u32(body, (uint32_t)error);
    for (size_t i = 0; i < length; i++) {
        body[REFUSAL_FIXED_BYTES + i] = is_printable(text + i, 1, ' ') ? (uint8_t)text[i] : '?';
    }
    struct tn__frame_header whole = *header;
    whole.kind = TN_FRAME_REFUSAL;
    whole.version = TN_PROTOCOL_VERSION_MAX;
    whole.items_count = 0;
    whole.length = (uint32_t)(TN_FRAME_HEADER_BYTES + REFUSAL_FIXED_BYTES + length);
    tn__frame_seal(bytes, &whole);
    return whole.length;
}

int tn__refusal_read(const uint8_t *bytes, const struct tn__frame_header *header,
                     struct tn__refusal *refusal)
{
    tn_assert(header->kind == TN_FRAME_REFUSAL);
    const uint8_t *body = bytes + TN_FRAME_HEADER_BYTES;
    uint32_t body_bytes = header->length - TN_FRAME_HEADER_BYTES;
    if (body_bytes < REFUSAL_FIXED_BYTES ||
        body_bytes > REFUSAL_FIXED_BYTES + TN_REFUSAL_TEXT_BYTES_MAX) {
        return TN_ERROR_MALFORMED;
    }
    uint32_t number = tn__get_u32(body);
    uint32_t text_bytes = body_bytes - REFUSAL_FIXED_BYTES;
    const char *text = (const char *)body + REFUSAL_FIXED_BYTES;
    if (number <= INT32_MAX || !is_printable(text, text_bytes, ' ')) {
        return TN_ERROR_MALFORMED;
    }
    *refusal = (struct tn__refusal){.error = (int)(int32_t)number};
    memcpy(refusal->text, text, text_bytes);
    return TN_OK;
}
