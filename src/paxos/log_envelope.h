/* The envelope: what a payload's bytes are, to those who execute it. The log itself never looks.
 *
 *   offset  bytes  field (little-endian)
 *        0      4  id of the state machine; 0: none
 *        4      1  version of this layout: 1
 *        5      1  flags: 1 = has a once-only id
 *        6      2  node that proposed it
 *        8      8  restart word of the incarnation that proposed it
 *       16      8  number of the proposal in that incarnation and group: 1, 2, 3 ...
 *       24      8  once-only id (N4): client
 *       32      8  once-only id (N4): sequence
 *       40      -  the value
 *
 * By (node, restart word, number) the proposing member knows its own proposals when they are
 * committed, whichever leader proposed them, and answers its caller from its own execution. */
#ifndef TN_PAXOS_LOG_ENVELOPE_H
#define TN_PAXOS_LOG_ENVELOPE_H

#include <tenure/types.h>

#define TN_ENVELOPE_BYTES 40U
#define TN_ENVELOPE_VERSION 1U
#define TN_ENVELOPE_ONCE 1U

struct tn__log_envelope {
    uint32_t machine;
    uint8_t flags;
    uint8_t reserved;
    tn_node_id node;
    uint64_t restart_word;
    uint64_t number;
    uint64_t client;
    uint64_t sequence;
};

/* Write TN_ENVELOPE_BYTES to `bytes`. */
void tn__log_envelope_write(const struct tn__log_envelope *envelope, uint8_t *bytes);

/* False: not an envelope (too short, or of an unknown version or flag). */
bool tn__log_envelope_read(struct tn__log_envelope *envelope, const uint8_t *bytes, size_t count);

#endif
