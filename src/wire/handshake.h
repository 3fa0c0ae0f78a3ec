/* The handshake: the first frame of each side says who it is and what it takes for agreed.
 *
 * Each side sends one HELLO, reads one, and compares. Members that disagree about the cluster, the
 * members, a duration or the drift bound must not exchange votes: T2 and T3 are relations between
 * *different* nodes' durations, so one node with its own would void the exclusion of all. Who finds
 * a difference answers with a REFUSAL, which carries the sentence, and closes; the other side logs
 * that sentence, so both operators read the same. There is no word of consent: the first frame that
 * is no REFUSAL is one.
 *
 * HELLO body, after the frame header (which carries node id and restart word):
 *   offset  bytes  field
 *        0      1  lowest protocol version spoken
 *        1      1  highest protocol version spoken
 *        2      1  members, 1 to TN_MEMBERS_MAX
 *        3      1  lease tables, 1 to TN_TABLES_MAX
 *        4      1  1: diskless (no durable words, no fencing token); 0: fenced
 *        5      1  bytes of the member's name, 1 to TN_MEMBER_NAME_BYTES_MAX
 *        6      1  bytes of the client address, 0 to TN_CLIENT_ADDRESS_BYTES_MAX
 *        7      1  which connection this is (enum tn__channel)
 *        8     16  cluster id
 *       24      4  configuration: the version of the membership
 *       28      4  rho, parts per million
 *       32     16  disk id (V4): of the data directory; zero without one
 *       48         members, 2 bytes each; tables, 24 bytes each: D_P, D_A, D_Q; name; address
 * A sender whose highest version is above ours may append; what it appends is not looked at.
 *
 * REFUSAL body: the error number (4 bytes, two's complement), then the text to the frame's end. */
#ifndef TN_WIRE_HANDSHAKE_H
#define TN_WIRE_HANDSHAKE_H

#include "wire/frame.h"

/* Where a node's clients connect, as text to be shown; "[address]:port" of the longest kinds. */
#define TN_CLIENT_ADDRESS_BYTES_MAX 128

/* The text of a refusal. */
#define TN_REFUSAL_TEXT_BYTES_MAX 256

/* Two members have one connection for what must not wait, and, while logs are open, one for what is
 * long, so that no length of the one delays the other. */
enum tn__channel {
    TN_CHANNEL_CONTROL = 0, /* leases, votes, heartbeats */
    TN_CHANNEL_BULK,        /* entries of logs */
    TN_CHANNELS_END,
};

struct tn__hello_table {
    tn_time proposer_ns;   /* D_P */
    tn_time acceptor_ns;   /* D_A */
    tn_time quarantine_ns; /* D_Q */
};

struct tn__hello {
    uint64_t restart_word;
    uint8_t cluster_id[16];
    uint32_t configuration;
    uint32_t drift_ppm;
    tn_node_id node;
    uint8_t version_min;
    uint8_t version_max;
    uint8_t members_count;
    uint8_t tables_count;
    uint8_t diskless;
    uint8_t connection;  /* enum tn__channel */
    uint8_t disk_id[16]; /* all zero: none */
    tn_node_id members[TN_MEMBERS_MAX];
    struct tn__hello_table tables[TN_TABLES_MAX];
    char name[TN_MEMBER_NAME_BYTES_MAX + 1];              /* terminated; printable, no blanks */
    char client_address[TN_CLIENT_ADDRESS_BYTES_MAX + 1]; /* terminated; printable; may be "" */
};

struct tn__refusal {
    int error; /* an enum tn_error, or a number of a later version: tn_strerror() knows neither */
    char text[TN_REFUSAL_TEXT_BYTES_MAX + 1]; /* terminated, printable */
};

/* Is `hello` one that can be sent and compared? All ranges above, members distinct and `node` one
 * of them, durations in range. What tn__hello_read() guarantees of a peer's. */
bool tn__hello_valid(const struct tn__hello *hello);

/* Write a whole HELLO frame, at most TN_FRAME_GREETING_BYTES_MAX; returns its length. `receiver`: 0
 * if not known. `counter`: the highest ballot counter seen. Precondition: tn__hello_valid(). */
uint32_t tn__hello_write(uint8_t *bytes, const struct tn__hello *hello, tn_node_id receiver,
                         uint64_t counter);

/* Read the body of an opened HELLO frame. Errors: TN_ERROR_MALFORMED. */
int tn__hello_read(const uint8_t *bytes, const struct tn__frame_header *header,
                   struct tn__hello *hello);

/* May these two exchange votes? Returns 0, or the error and in `why` (why_size > 0) a sentence with
 * both values and the way out. Errors: TN_ERROR_VERSION, TN_ERROR_WRONG_CLUSTER,
 * TN_ERROR_WRONG_MEMBER (not a member, or a second node under our own id),
 * TN_ERROR_WRONG_CONFIGURATION (version, members, rho, tables or durations). */
int tn__handshake_compare(const struct tn__hello *ours, const struct tn__hello *theirs, char *why,
                          size_t why_size);

/* Is the peer the one that was dialled, by id and by name? Errors: TN_ERROR_WRONG_MEMBER. */
int tn__handshake_expect(const struct tn__hello *theirs, tn_node_id node, const char *name,
                         char *why, size_t why_size);

/* The version two compared sides speak: the highest common one. */
uint8_t tn__handshake_version(const struct tn__hello *ours, const struct tn__hello *theirs);

/* Write a whole REFUSAL frame, at most TN_FRAME_GREETING_BYTES_MAX; returns its length. Of `header`
 * the cluster tag, restart word, counter, sender and receiver are taken. `text` is cut to the
 * limit, and a byte that is not printable becomes '?'. */
uint32_t tn__refusal_write(uint8_t *bytes, const struct tn__frame_header *header, int error,
                           const char *text);

/* Read the body of an opened REFUSAL frame. Errors: TN_ERROR_MALFORMED (an error number that is not
 * negative, a text too long or not printable). */
int tn__refusal_read(const uint8_t *bytes, const struct tn__frame_header *header,
                     struct tn__refusal *refusal);

#endif
