/* HELLO and REFUSAL bodies from any bytes (the first says which): what is accepted is valid, can be
 * compared with ours, and is written as the same bytes again, appendages of later versions apart.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "wire/handshake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_hello(const uint8_t *bytes, const struct tn__frame_header *header)
{
    static const struct tn__hello ours = {
        .restart_word = 1,
        .cluster_id = "0123456789abcdef",
        .configuration = 1,
        .drift_ppm = 500,
        .node = 1,
        .version_min = 1,
        .version_max = 1,
        .members_count = 3,
        .tables_count = 1,
        .members = {1, 2, 3},
        .tables = {{1000000000, 1100000000, 1100000000}},
        .name = "one",
    };
    struct tn__hello theirs;
    char why[TN_REFUSAL_TEXT_BYTES_MAX + 1] = "";
    if (tn__hello_read(bytes, header, &theirs) != TN_OK) {
        return;
    }
    tn_assert(tn__hello_valid(&theirs));
    int error = tn__handshake_compare(&ours, &theirs, why, sizeof(why));
    tn_assert((error == TN_OK) == (why[0] == '\0'));
    uint8_t again[TN_FRAME_GREETING_BYTES_MAX];
    uint32_t length = tn__hello_write(again, &theirs, header->receiver, header->counter);
    tn_assert(length <= header->length);
    tn_assert(memcmp(again + TN_FRAME_HEADER_BYTES, bytes + TN_FRAME_HEADER_BYTES,
                     length - TN_FRAME_HEADER_BYTES) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size - 1 > TN_FRAME_GREETING_BYTES_MAX - TN_FRAME_HEADER_BYTES) {
        return 0;
    }
    uint8_t bytes[TN_FRAME_GREETING_BYTES_MAX] = {0};
    memcpy(bytes + TN_FRAME_HEADER_BYTES, data + 1, size - 1);
    struct tn__frame_header header = {
        .length = (uint32_t)(TN_FRAME_HEADER_BYTES + size - 1),
        .restart_word = 0x100000002ULL,
        .sender = 2,
        .receiver = 1,
        .version = size > 2 && data[2] > 0 ? data[2] : 1,
        .kind = data[0] % 2 == 0 ? TN_FRAME_HELLO : TN_FRAME_REFUSAL,
    };
    if (header.kind == TN_FRAME_REFUSAL) {
        struct tn__refusal refusal;
        if (tn__refusal_read(bytes, &header, &refusal) == TN_OK) {
            tn_assert(refusal.error < 0);
            tn_assert(strlen(refusal.text) <= TN_REFUSAL_TEXT_BYTES_MAX);
        }
        return 0;
    }
    if (size >= 25) {
        header.cluster_tag = tn__frame_cluster_tag(bytes + TN_FRAME_HEADER_BYTES + 8);
    }
    tn__frame_seal(bytes, &header);
    try_hello(bytes, &header);
    return 0;
}
