/* One message of the lease machine and its bytes (docs/wire_format.md, "Items").
 *
 *   offset  bytes  field
 *        0      1  kind in the low four bits; which optional fields follow in the high four
 *        1      1  table
 *        2      1  flags
 *        3      1  bytes of the name, 1 to TN_NAME_BYTES_MAX
 *        4      4  configuration
 *        8     16  ballot: counter, restart word
 *       24         what the kind always has, then the optional fields in the order of the bits
 *                  below, then the name
 *
 * Always:    PREPARE: durations 4, priority 1.  RELEASE: successor 2.
 * Optional:  0x10 promised 16 (REJECTED, REFUSED)      0x20 lease 16 (PROMISE, CLOSED, REFUSED)
 *            0x40 remaining 8 (PROMISE, CLOSED, REFUSED, LEARN)
 *            0x80 token 8 (LEARN)
 *
 * An optional field is present if and only if it is not zero, so every message has one encoding
 * and every valid encoding is one message (inv. codec 1). Fields that a kind does not have are not
 * on the wire and come out zero; nor are `after` and `to`, and `from` is the receiver's knowledge.
 */
#ifndef TN_WIRE_CODEC_H
#define TN_WIRE_CODEC_H

#include <tenure/event.h>

/* The longest time a message may claim to remain: twice the longest duration covers every D_A that
 * T2 can ask for at TN_DRIFT_PPM_MAX, and it is doubled for good measure. Adding it to a clock
 * cannot overflow. */
#define TN_WIRE_REMAINING_NS_MAX ((tn_time)(4 * TN_DURATION_NS_MAX))

/* Encode a message of this node's machine: at most TN_ITEM_BYTES_MAX into `bytes`. Returns how
 * many. Precondition: the message is one that tn__item_decode() accepts. */
uint32_t tn__item_encode(uint8_t *bytes, const struct tn_message *message);

/* Decode the item at the head of `length` bytes. Returns how many it took; 0 if it is not valid:
 * cut short, unknown kind or flag, a field out of range or not of that kind. */
uint32_t tn__item_decode(const uint8_t *bytes, size_t length, struct tn_message *message);

#endif
