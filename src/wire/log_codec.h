/* Messages of the log's machines and their bytes (docs/wire_format.md, "Messages of the log").
 *
 * A frame of kind TN_FRAME_LOG holds 1 to TN_LOG_FRAME_MESSAGES_MAX messages, of any groups, one
 * after the other. A message:
 *
 *   offset  bytes  field
 *        0      1  kind (enum tn_log_message_kind)
 *        1      1  flags (enum tn_log_message_flag)
 *        2      1  reason (enum tn_log_reason)
 *        3      1  zero
 *        4      2  group
 *        6      2  entries, at most TN_LOG_RUN_MAX
 *        8      2  which optional fields follow: one bit each, in the order of log_codec.c's table
 *       10      2  zero
 *       12         the optional fields: a ballot 32, a checksum and its slot 16, the others 8
 * and then its entries:
 *        0      1  kind of the value (enum tn_log_value_kind)
 *        1      1  what follows: 1 slot, 2 ballot, 4 configuration
 *        2      2  zero
 *        4      4  bytes of the payload
 *        8      4  digest: CRC-32C of the payload
 *       12         slot 8, ballot 32, configuration 24, then the payload
 *
 * A slot is there unless it is the one after the slot before (0 after 0; the first is expected to
 * be 0); a ballot unless it is that of the entry before (the first: of the message). An optional
 * field is there if and only if it is not zero. So every message has one encoding and every valid
 * encoding is one message (inv. codec 1). `after`, `to` and `from` are not on the wire, nor are
 * handles: a payload follows its entry, and a reader points at it. Before each payload stand at
 * least 12 bytes that have been read by then: the owner of the frame may write there.
 *
 * Pure. Payload bytes are copied once, from where they are to where the frame is built. */
#ifndef TN_WIRE_LOG_CODEC_H
#define TN_WIRE_LOG_CODEC_H

#include <tenure/log.h>

#include "wire/frame.h"

/* A message without entries, and an entry without payload, are at most this long. */
#define TN_LOG_MESSAGE_BYTES_MAX 160U
#define TN_LOG_ENTRY_BYTES_MAX 76U

/* The bytes before a payload that its reader may overwrite. */
#define TN_LOG_PAYLOAD_LEAD_BYTES 12U

/* The bytes behind a handle, `value->bytes` of them. */
typedef const void *(*tn__log_payload)(void *context, uint64_t handle);

/* How long the message is, with all its entries. */
size_t tn__log_message_bytes(const struct tn_log_message *message,
                             const struct tn_log_entry *entries);

/* How many of the entries, from the first on, fit in `room` bytes together with the message. */
uint32_t tn__log_message_fit(const struct tn_log_message *message,
                             const struct tn_log_entry *entries, size_t room);

/* Write it; returns its length, tn__log_message_bytes(). Precondition: it is one that a reader
 * accepts; `entries` are its message->entries_count entries. */
size_t tn__log_message_write(uint8_t *bytes, const struct tn_log_message *message,
                             const struct tn_log_entry *entries, tn__log_payload payload,
                             void *context);

/* Walks the messages of an opened frame of kind LOG. */
struct tn__log_reader {
    const uint8_t *at;
    const uint8_t *end;
    uint32_t left;
    enum tn__frame_fault fault;
};

void tn__log_reader_begin(struct tn__log_reader *reader, const uint8_t *bytes,
                          const struct tn__frame_header *header);

/* The next message; `entries` and `payloads` have room for TN_LOG_RUN_MAX, `payloads[i]` points
 * into the frame. Handles come out 0, entries_first too. False at the end, or at a fault: then
 * reader->fault says which, and what was read before stands. Digests are compared. */
bool tn__log_reader_next(struct tn__log_reader *reader, struct tn_log_message *message,
                         struct tn_log_entry *entries, const uint8_t **payloads);

#endif
