/* One item from any bytes: what is accepted lies within bounds and has this one encoding. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "wire/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tn_message message;
    uint32_t taken = tn__item_decode(data, size, &message);
    tn_assert(taken <= size && taken <= TN_ITEM_BYTES_MAX);
    if (taken > 0) {
        uint8_t again[TN_ITEM_BYTES_MAX];
        tn_assert(message.kind > 0 && message.kind < TN_MESSAGE_KINDS_END);
        tn_assert(message.table < TN_TABLES_MAX);
        tn_assert(message.name_bytes > 0 && message.name_bytes <= TN_NAME_BYTES_MAX);
        tn_assert(tn__item_encode(again, &message) == taken);
        tn_assert(memcmp(again, data, taken) == 0);
    }
    return 0;
}
