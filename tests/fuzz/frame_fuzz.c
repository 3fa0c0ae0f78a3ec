/* Bytes as they come from a connection: split into frames, opened, their items read. The input is a
 * stream; each frame gets its right checksum first (an odd first byte says not to), since no fuzzer
 * guesses one. Whatever is accepted as items must encode to the same frame again. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "wire/frame.h"
#include "wire/frame_builder.h"
#include "wire/handshake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_items(const uint8_t *bytes, const struct tn__frame_header *header)
{
    static struct tn_message messages[TN_FRAME_ITEMS_MAX];
    static uint8_t again[TN_FRAME_BYTES_MAX];
    if (tn__frame_items_read(bytes, header, 1, messages) != TN_FRAME_FAULT_NONE) {
        return;
    }
    struct tn__frame_builder builder;
    tn__frame_begin(&builder, again, header);
    for (uint32_t i = 0; i < header->items_count; i++) {
        tn_assert(tn__frame_add(&builder, &messages[i]));
    }
    tn_assert(tn__frame_finish(&builder, header->counter) == header->length);
    tn_assert(memcmp(again, bytes, header->length) == 0);
}

static void read_frame(const uint8_t *bytes, uint32_t length)
{
    struct tn__frame_expected anything = {0};
    struct tn__frame_header header;
    if (tn__frame_open(bytes, length, &anything, &header) != TN_FRAME_FAULT_NONE) {
        return;
    }
    tn_assert(header.length == length);
    struct tn__hello hello;
    struct tn__refusal refusal;
    switch (header.kind) {
    case TN_FRAME_HELLO:
        (void)tn__hello_read(bytes, &header, &hello);
        break;
    case TN_FRAME_REFUSAL:
        (void)tn__refusal_read(bytes, &header, &refusal);
        break;
    case TN_FRAME_ITEMS:
        read_items(bytes, &header);
        break;
    default:
        tn_assert(length == TN_FRAME_PING_BYTES);
        (void)tn__frame_ping_word(bytes);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t stream[2 * TN_FRAME_BYTES_MAX];
    if (size < 1 || size - 1 > sizeof(stream)) {
        return 0;
    }
    bool mend = data[0] % 2 == 0;
    size--;
    memcpy(stream, data + 1, size);
    for (size_t at = 0; at < size;) {
        uint32_t frame_bytes = 0;
        if (tn__frame_scan(stream + at, size - at, &frame_bytes) != TN_FRAME_FAULT_NONE ||
            frame_bytes == 0) {
            break;
        }
        tn_assert(frame_bytes >= TN_FRAME_HEADER_BYTES && frame_bytes <= size - at);
        if (mend) {
            tn__put_u32(stream + at + 12, 0);
            tn__put_u32(stream + at + 12, tn__crc32c(0, stream + at, frame_bytes));
        }
        /* A copy of just these bytes, so that the sanitizer sees a read past them. */
        uint8_t *frame = malloc(frame_bytes);
        tn_assert(frame != NULL);
        memcpy(frame, stream + at, frame_bytes);
        read_frame(frame, frame_bytes);
        free(frame);
        at += frame_bytes;
    }
    return 0;
}
