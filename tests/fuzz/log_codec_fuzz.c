/* A frame body of log messages from any bytes (the first is their count): what is accepted is
 * written as the same bytes again (inv. codec 1), and nothing outside them is read. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "wire/log_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct tn_log_entry entries[TN_LOG_RUN_MAX];
static const uint8_t *payloads[TN_LOG_RUN_MAX];

static const void *payload(void *context, uint64_t handle)
{
    (void)context;
    return payloads[handle];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 65536) {
        return 0;
    }
    uint8_t *frame = malloc(TN_FRAME_HEADER_BYTES + size - 1); /* exactly: its end is watched */
    uint8_t *again = malloc(size);
    tn_assert(frame != NULL && again != NULL);
    memcpy(frame + TN_FRAME_HEADER_BYTES, data + 1, size - 1);
    struct tn__frame_header header = {
        .kind = TN_FRAME_LOG,
        .length = (uint32_t)(TN_FRAME_HEADER_BYTES + size - 1),
        .items_count = data[0],
    };
    struct tn__log_reader reader;
    tn__log_reader_begin(&reader, frame, &header);
    const uint8_t *at = reader.at;
    struct tn_log_message message;
    while (tn__log_reader_next(&reader, &message, entries, payloads)) {
        for (uint32_t i = 0; i < message.entries_count; i++) {
            entries[i].value.handle = i;
        }
        size_t bytes = tn__log_message_bytes(&message, entries);
        tn_assert(bytes == (size_t)(reader.at - at));
        tn_assert(tn__log_message_fit(&message, entries, bytes) == message.entries_count);
        tn_assert(tn__log_message_write(again, &message, entries, payload, NULL) == bytes);
        tn_assert(memcmp(again, at, bytes) == 0);
        at = reader.at;
    }
    free(again);
    free(frame);
    return 0;
}
