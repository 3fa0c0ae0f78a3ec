/* Items into a frame, and out of it: one frame a peer and turn, however many names it speaks of.
 *
 * The builder writes straight into memory of the caller's, which must be TN_FRAME_BYTES_MAX long;
 * it has no limit of its own to overrun: TN_FRAME_ITEMS_MAX items of TN_ITEM_BYTES_MAX fit. Begin,
 * add any number of times, finish; then the frame may be sent and the builder begun again. */
#ifndef TN_WIRE_FRAME_BUILDER_H
#define TN_WIRE_FRAME_BUILDER_H

#include <tenure/event.h>

#include "wire/frame.h"

struct tn__frame_builder {
    uint8_t *bytes; /* the caller's, TN_FRAME_BYTES_MAX */
    struct tn__frame_header header;
};

/* Begin a frame of items in `bytes`. From `header` the cluster tag, restart word, sender and
 * receiver are taken; kind, version, count and length are the builder's. */
void tn__frame_begin(struct tn__frame_builder *builder, uint8_t *bytes,
                     const struct tn__frame_header *header);

/* Append one message. False when the frame is full: finish it, send it, begin another. */
bool tn__frame_add(struct tn__frame_builder *builder, const struct tn_message *message);

/* Seal the frame; `counter` is the highest ballot counter this node has seen by now. Returns the
 * frame's length. */
uint32_t tn__frame_finish(struct tn__frame_builder *builder, uint64_t counter);

/* Read all items of an opened frame of items into `messages` (room for TN_FRAME_ITEMS_MAX), `from`
 * written into each. All or nothing: a fault means that no item may be used. */
enum tn__frame_fault tn__frame_items_read(const uint8_t *bytes,
                                          const struct tn__frame_header *header, uint8_t from,
                                          struct tn_message *messages);

#endif
