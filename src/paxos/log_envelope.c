/* The envelope's bytes; the header has the layout. */
#include "paxos/log_envelope.h"

#include "base/assert.h"
#include "base/bytes.h"

#define AT_MACHINE 0
#define AT_VERSION 4
#define AT_FLAGS 5
#define AT_NODE 6
#define AT_RESTART_WORD 8
#define AT_NUMBER 16
#define AT_CLIENT 24
#define AT_SEQUENCE 32

_Static_assert(AT_SEQUENCE + 8 == TN_ENVELOPE_BYTES, "the fields fill the envelope");

void tn__log_envelope_write(const struct tn__log_envelope *envelope, uint8_t *bytes)
{
    tn_assert((envelope->flags & ~TN_ENVELOPE_ONCE) == 0);
    tn_assert(envelope->node != 0);
    tn__put_u32(bytes + AT_MACHINE, envelope->machine);
    bytes[AT_VERSION] = TN_ENVELOPE_VERSION;
    bytes[AT_FLAGS] = envelope->flags;
    tn__put_u16(bytes + AT_NODE, envelope->node);
    tn__put_u64(bytes + AT_RESTART_WORD, envelope->restart_word);
    tn__put_u64(bytes + AT_NUMBER, envelope->number);
    tn__put_u64(bytes + AT_CLIENT, envelope->client);
    tn__put_u64(bytes + AT_SEQUENCE, envelope->sequence);
}

bool tn__log_envelope_read(struct tn__log_envelope *envelope, const uint8_t *bytes, size_t count)
{
    tn_assert(bytes != NULL || count == 0);
    if (count < TN_ENVELOPE_BYTES || bytes[AT_VERSION] != TN_ENVELOPE_VERSION ||
        (bytes[AT_FLAGS] & ~TN_ENVELOPE_ONCE) != 0) {
        return false;
    }
    *envelope = (struct tn__log_envelope){
        .machine = tn__get_u32(bytes + AT_MACHINE),
        .flags = bytes[AT_FLAGS],
        .node = tn__get_u16(bytes + AT_NODE),
        .restart_word = tn__get_u64(bytes + AT_RESTART_WORD),
        .number = tn__get_u64(bytes + AT_NUMBER),
        .client = tn__get_u64(bytes + AT_CLIENT),
        .sequence = tn__get_u64(bytes + AT_SEQUENCE),
    };
    return true;
}
