/* Frames: what goes over a connection between two members.
 *
 * A frame is a header of TN_FRAME_HEADER_BYTES and a body; all integers are little-endian.
 *
 *   offset  bytes  field
 *        0      4  magic, "tnr\x01"
 *        4      1  protocol version that the body is written in
 *        5      1  kind (enum tn__frame_kind)
 *        6      2  items or messages in the body; 0 unless the kind is ITEMS or LOG
 *        8      4  length of the whole frame, this header included
 *       12      4  CRC-32C of the whole frame, computed with this field zero
 *       16      8  cluster tag: tn__frame_cluster_tag() of the cluster id
 *       24      8  the sender's restart word
 *       32      8  the highest ballot counter the sender has seen
 *       40      2  the sender's node id
 *       42      2  the receiver's node id; in a HELLO 0 is allowed: "whoever answers here"
 *       44      4  zero
 *
 * What decides about a frame stands first, so that bytes which are no frame are refused after the
 * first wrong one, and a length out of bounds is refused before anything is awaited or copied.
 * The header has this layout in every protocol version, so that a HELLO can always be read and
 * differing versions are refused by a sentence and not by silence.
 *
 * Pure. A fault of a frame is one of the table below, each with its error and its sentence; after
 * one the connection has lost its place and can only be closed. */
#ifndef TN_WIRE_FRAME_H
#define TN_WIRE_FRAME_H

#include <tenure/error.h>
#include <tenure/types.h>

/* The versions of the protocol that this build speaks. */
#define TN_PROTOCOL_VERSION_MIN 1
#define TN_PROTOCOL_VERSION_MAX 1

/* A HELLO or REFUSAL frame: all that is accepted from a peer before it is known. Larger than the
 * present ones, so that later versions can append to them. */
#define TN_FRAME_GREETING_BYTES_MAX 1024

/* A PING or PONG: the header and a word that the PONG repeats. */
#define TN_FRAME_PING_BYTES (TN_FRAME_HEADER_BYTES + 8)

enum tn__frame_kind {
    TN_FRAME_HELLO = 1, /* the first frame of each side (handshake.h) */
    TN_FRAME_REFUSAL,   /* why the connection ends now (handshake.h) */
    TN_FRAME_ITEMS,     /* messages of the lease machine (codec.h); none: "still here" */
    TN_FRAME_PING,      /* to be answered at once */
    TN_FRAME_PONG,      /* the answer */
    TN_FRAME_LOG,       /* messages of the log's machines (log_codec.h) */
    TN_FRAME_KINDS_END,
};

/* Name, error, sentence. */
#define TN_FRAME_FAULT_TABLE(X)                                                                    \
    X(MAGIC, MALFORMED, "the bytes do not begin like a frame")                                     \
    X(PROTOCOL, VERSION, "the frame is of a protocol version that is not spoken here")             \
    X(KIND, MALFORMED, "the frame is of an unknown kind")                                          \
    X(LONG, TOO_LARGE, "the frame claims to be longer than its kind may be")                       \
    X(SHORT, MALFORMED, "the frame claims to be shorter than its kind must be")                    \
    X(RESERVED, MALFORMED, "a reserved field of the frame is not zero")                            \
    X(COUNT, MALFORMED, "the frame's count of items is out of range")                              \
    X(CHECKSUM, CHECKSUM, "the frame's checksum does not match")                                   \
    X(CLUSTER, WRONG_CLUSTER, "the frame is of another cluster")                                   \
    X(RECEIVER, WRONG_MEMBER, "the frame is addressed to another node")                            \
    X(SENDER, WRONG_MEMBER, "the frame is from another node than this connection's")               \
    X(INCARNATION, WRONG_MEMBER, "the frame is from another run of its sender")                    \
    X(ITEM, MALFORMED, "an item of the frame is not valid")                                        \
    X(TRAILING, MALFORMED, "bytes follow the last item of the frame")

enum tn__frame_fault {
    TN_FRAME_FAULT_NONE = 0,
#define TN_FRAME_FAULT_ENUM(name, error, sentence) TN_FRAME_FAULT_##name,
    TN_FRAME_FAULT_TABLE(TN_FRAME_FAULT_ENUM)
#undef TN_FRAME_FAULT_ENUM
        TN_FRAME_FAULTS_END,
};

/* The enum tn_error of a fault; TN_OK for NONE. */
int tn__frame_fault_error(enum tn__frame_fault fault);

/* The sentence of a fault. Static. */
const char *tn__frame_fault_text(enum tn__frame_fault fault);

/* A header, taken apart. */
struct tn__frame_header {
    uint64_t cluster_tag;
    uint64_t restart_word;
    uint64_t counter;
    uint32_t length; /* of the whole frame */
    tn_node_id sender;
    tn_node_id receiver;
    uint16_t items_count;
    uint8_t version;
    uint8_t kind;
};

/* What a frame must say to be taken; zero in a field: anything is. For a HELLO everything is zero
 * but, where it is known, the sender: handshake.h compares the rest and says what differs. */
struct tn__frame_expected {
    uint64_t cluster_tag;
    uint64_t restart_word; /* of the sender, from its HELLO: a connection is with one run of it */
    tn_node_id sender;
    tn_node_id receiver; /* this node */
};

/* Find the end of the first frame among the `length` bytes received so far. *frame_bytes becomes
 * its length if it is complete, 0 if more must be awaited: never more than TN_FRAME_BYTES_MAX in
 * all, TN_LOG_FRAME_BYTES_MAX for messages of the log and TN_FRAME_GREETING_BYTES_MAX for a
 * greeting. Looks at the first 12 bytes only. */
enum tn__frame_fault tn__frame_scan(const uint8_t *bytes, size_t length, uint32_t *frame_bytes);

/* Check one whole frame, as tn__frame_scan() delimited it, and take its header apart. The body
 * begins at bytes + TN_FRAME_HEADER_BYTES and ends at bytes + header->length. `header` is filled
 * also when the frame is not of the cluster or node expected, so that a refusal can name both. */
enum tn__frame_fault tn__frame_open(const uint8_t *bytes, uint32_t frame_bytes,
                                    const struct tn__frame_expected *expected,
                                    struct tn__frame_header *header);

/* Write the header in front of a body that is in place already, checksum included. Precondition:
 * header->length is that of the whole frame. */
void tn__frame_seal(uint8_t *bytes, const struct tn__frame_header *header);

/* The tag of a cluster id of 16 bytes; never 0. */
uint64_t tn__frame_cluster_tag(const uint8_t cluster_id[16]);

/* Write a PING or PONG (header->kind) of TN_FRAME_PING_BYTES; length and count are filled in here.
 */
void tn__frame_ping_write(uint8_t *bytes, const struct tn__frame_header *header, uint64_t word);

/* The word of an opened PING or PONG. */
uint64_t tn__frame_ping_word(const uint8_t *bytes);

#endif
