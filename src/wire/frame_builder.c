/* Frames of items: built in place, read all or nothing. */
#include "wire/frame_builder.h"

#include "base/assert.h"
#include "wire/codec.h"

void tn__frame_begin(struct tn__frame_builder *builder, uint8_t *bytes,
                     const struct tn__frame_header *header)
{
    tn_assert(bytes != NULL);
    builder->bytes = bytes;
    builder->header = *header;
    builder->header.kind = TN_FRAME_ITEMS;
    builder->header.version = TN_PROTOCOL_VERSION_MAX;
    builder->header.items_count = 0;
    builder->header.length = TN_FRAME_HEADER_BYTES;
}

bool tn__frame_add(struct tn__frame_builder *builder, const struct tn_message *message)
{
    struct tn__frame_header *header = &builder->header;
    if (header->items_count == TN_FRAME_ITEMS_MAX) {
        return false;
    }
    uint32_t item_bytes = tn__item_encode(builder->bytes + header->length, message);
    tn_assert(item_bytes <= TN_ITEM_BYTES_MAX);
    header->length += item_bytes;
    header->items_count++;
    return true;
}

uint32_t tn__frame_finish(struct tn__frame_builder *builder, uint64_t counter)
{
    builder->header.counter = counter;
    tn__frame_seal(builder->bytes, &builder->header);
    return builder->header.length;
}

enum tn__frame_fault tn__frame_items_read(const uint8_t *bytes,
                                          const struct tn__frame_header *header, uint8_t from,
                                          struct tn_message *messages)
{
    tn_assert(header->kind == TN_FRAME_ITEMS);
    tn_assert(header->items_count <= TN_FRAME_ITEMS_MAX);
    uint32_t at = TN_FRAME_HEADER_BYTES;
    for (uint32_t i = 0; i < header->items_count; i++) {
        uint32_t taken = tn__item_decode(bytes + at, header->length - at, &messages[i]);
        if (taken == 0) {
            return TN_FRAME_FAULT_ITEM;
        }
        messages[i].from = from;
        at += taken;
    }
    return at == header->length ? TN_FRAME_FAULT_NONE : TN_FRAME_FAULT_TRAILING;
}
