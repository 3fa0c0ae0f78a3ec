/* The other members of the cell: one connection to each, greeted, watched, and made again when
 * lost.
 *
 * Who dials: of two members the one with the higher id. So there is one connection a pair, and two
 * of one member at a time mean that the older is dead without our knowing: the newer replaces it,
 * unless it comes from an earlier start of that member (fault.N3, fault.N8).
 *
 * A connection is greeted (wire/handshake.h) before any vote crosses it. The dialling side sends
 * its HELLO; the accepting one compares, answers with its own HELLO or with a REFUSAL; the dialling
 * one compares too and says with its first frame of items that it agrees. So neither side counts
 * the other as connected before both have agreed.
 *
 * Still there? Each side sends something every TN_PEERS_TICK_MS, an empty frame if need be, and
 * cuts a connection on which nothing came for TN_PEERS_SILENT_TICKS of its own ticks. Ticks and not
 * times, so that a process that was stopped reads what waits for it before it judges.
 *
 * Bounds: at most TN_PEERS_STRANGERS_MAX connections that are not greeted yet, each for at most
 * TN_PEERS_GREETING_TICKS; a stranger may send no frame longer than a greeting; a member that does
 * not read is cut off at TN_PEERS_OUTPUT_BYTES_MAX. What sends anything that is no valid frame is
 * cut with the reason; who dials waits between dials, 50 ms doubling to 2 s, the upper half at
 * random.
 *
 * Bulk. Once tn__peers_want_bulk() was called, who dials also makes a second connection to each
 * member that is connected, greeted alike, for frames of log entries. It lives within the first:
 * with that it ends. What waits on it is bounded in bytes; a member that does not read loses frames
 * (counted), and nothing else waits for it.
 *
 * A reason is logged when it changes, not each time it is met again. Loop thread only. */
#ifndef TN_NET_PEERS_H
#define TN_NET_PEERS_H

#include <tenure/node.h>

#include "net/stream.h"
#include "wire/frame.h"
#include "wire/handshake.h"

#define TN_PEERS_TICK_MS 500
#define TN_PEERS_SILENT_TICKS 6   /* 3 s */
#define TN_PEERS_GREETING_TICKS 6 /* 3 s */
#define TN_PEERS_SETTLED_TICKS 10 /* a connection that stood 5 s begins the back-off anew */
#define TN_PEERS_STRANGERS_MAX 32
#define TN_PEERS_OUTPUT_BYTES_MAX (16U << 20) /* two messages on each of 100,000 names */
#define TN_PEERS_BULK_BYTES_MAX (32U << 20)   /* four times what one log has under way to a peer */
#define TN_PEERS_BACK_OFF_MS_MIN 50
#define TN_PEERS_BACK_OFF_MS_MAX 2000

struct tn__peers;

/* What the owner is told. Inside these it may send and flush, but not cut or close. */
struct tn__peers_events {
    /* A frame with items of a connected member, header checked, body not. `bytes` are borrowed. A
     * fault that is returned cuts the connection. */
    enum tn__frame_fault (*on_items)(void *owner, uint32_t member, const uint8_t *bytes,
                                     const struct tn__frame_header *header);
    void (*on_connected)(void *owner, uint32_t member, uint64_t restart_word, uint64_t counter);
    void (*on_disconnected)(void *owner, uint32_t member);
    void (*on_pong)(void *owner, uint32_t member, uint64_t word); /* may be NULL */
    /* A frame of log messages, header checked, body not. NULL: such frames are faults. */
    enum tn__frame_fault (*on_messages)(void *owner, uint32_t member, const uint8_t *bytes,
                                        const struct tn__frame_header *header);
    /* The bulk connection to a connected member stands; NULL: never mind. */
    void (*on_bulk)(void *owner, uint32_t member);
    uint64_t (*counter)(void *owner); /* the highest ballot counter seen, for headers */
    void (*on_log)(void *owner, enum tn_log_level level, const char *text);
};

struct tn__peers_member {
    char name[TN_MEMBER_NAME_BYTES_MAX + 1];
    char address_text[TN_ADDRESS_BYTES_MAX + 1];
    struct tn__address address;
};

struct tn__peers_options {
    const struct tn__peers_events *events;
    void *owner;
    const struct tn__hello *hello; /* ours; copied. Its members are those below, in order. */
    const struct tn__peers_member *members; /* copied; one for each id in the hello */
    uint32_t self;                          /* the index of this node */
    struct tn__tls_context *tls;            /* NULL: plain; borrowed */
    uint64_t random;                        /* seed of the jitter */
    struct tn_node_counters *counters;      /* borrowed; counted into */
};

/* Errors: TN_ERROR_NO_MEMORY. */
int tn__peers_open(struct tn__peers **peers, struct tn__net *net,
                   const struct tn__peers_options *options);

/* Listen for members with higher ids. Errors: as tn__listener_open(). */
int tn__peers_listen(struct tn__peers *peers, const char *address, char *why, size_t why_size);

/* The port listened on; 0: none. */
uint16_t tn__peers_port(const struct tn__peers *peers);

/* Begin to dial the members with lower ids. */
void tn__peers_start(struct tn__peers *peers);

bool tn__peers_connected(const struct tn__peers *peers, uint32_t member);

/* The fields that a frame builder wants for a frame to `member`. */
void tn__peers_header(const struct tn__peers *peers, uint32_t member,
                      struct tn__frame_header *header);

/* Append a whole frame for a member. False: it is not connected, and the frame is dropped. */
bool tn__peers_send(struct tn__peers *peers, uint32_t member, const uint8_t *bytes,
                    uint32_t length);

/* Make bulk connections from now on. */
void tn__peers_want_bulk(struct tn__peers *peers);

bool tn__peers_bulk_connected(const struct tn__peers *peers, uint32_t member);

/* Bytes that wait on the bulk connection of a member. */
size_t tn__peers_bulk_unsent(const struct tn__peers *peers, uint32_t member);

/* Append a whole frame of log messages, and take its memory if that saves a copy; `frame` is empty
 * after it. False: not connected, or too much waits on the bulk connection: the frame is dropped.
 */
bool tn__peers_give(struct tn__peers *peers, uint32_t member, enum tn__channel connection,
                    struct tn__buffer *frame);

/* The disk id that a member last said (V4), 16 bytes; zero: unknown. */
const uint8_t *tn__peers_disk_id(const struct tn__peers *peers, uint32_t member);

/* Ask a member to repeat a word, on its own connection. False: it is not connected. */
bool tn__peers_ping(struct tn__peers *peers, uint32_t member, uint64_t word);

/* Hand what was appended to the kernel, the control connections' first; of the bulk connections
 * that have something at most so many. */
void tn__peers_flush(struct tn__peers *peers, uint32_t bulk_most);

/* Fill in what the connection knows of a member: all fields. */
void tn__peers_status(const struct tn__peers *peers, uint32_t member,
                      struct tn_node_member_status *status);

/* End all connections, what was appended first, for at most `linger_ms`; no callback follows. The
 * memory is freed once the loop has run its closing callbacks. */
void tn__peers_close(struct tn__peers *peers, uint64_t linger_ms);

#endif
