/* Items: see codec.h for the layout. Each kind is one row of a table: what it always has, and what
 * it may have; encoder and decoder walk the same row, so they cannot disagree about it. */
#include "wire/codec.h"

#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"

enum {
    LEAD_BYTES = 24,
    BALLOT_BYTES = 16,
    KIND_MASK = 0x0f,
    /* Optional fields, the high half of the first byte. */
    HAS_PROMISED = 0x10,
    HAS_LEASE = 0x20,
    HAS_REMAINING = 0x40,
    HAS_TOKEN = 0x80,
    FLAGS_KNOWN = TN_MESSAGE_FENCED | TN_MESSAGE_DUPLICATE | TN_MESSAGE_FULL,
    PRIORITY_MAX = 15,
};

_Static_assert(TN_MESSAGE_KINDS_END <= KIND_MASK + 1, "a kind is four bits");
_Static_assert(LEAD_BYTES + 4 + 1 + 2 + 2 * BALLOT_BYTES + 8 + 8 + TN_NAME_BYTES_MAX <=
                   TN_ITEM_BYTES_MAX,
               "even an item with every field fits");
_Static_assert(TN_WIRE_REMAINING_NS_MAX >= 2 * TN_DURATION_NS_MAX, "T2 at the largest drift fits");

struct shape {
    uint8_t fixed_bytes; /* of what the kind always has, after the lead */
    uint8_t optional;    /* HAS_ bits that it may have */
    uint8_t required;    /* HAS_ bits that it must have */
};

static const struct shape shapes[KIND_MASK + 1] = {
    [TN_MESSAGE_PREPARE] = {.fixed_bytes = 5},
    [TN_MESSAGE_PROMISE] = {.optional = HAS_LEASE | HAS_REMAINING},
    [TN_MESSAGE_CLOSED] = {.optional = HAS_LEASE | HAS_REMAINING, .required = HAS_LEASE},
    [TN_MESSAGE_REJECTED] = {.optional = HAS_PROMISED},
    [TN_MESSAGE_REFUSED] = {.optional = HAS_PROMISED | HAS_LEASE | HAS_REMAINING},
    [TN_MESSAGE_RELEASE] = {.fixed_bytes = 2},
    [TN_MESSAGE_LEARN] = {.optional = HAS_REMAINING | HAS_TOKEN},
};

/* Bytes of the optional fields, by the high half of the first byte. */
static const uint8_t optional_bytes[16] = {
    0, 16, 16, 32, 8, 24, 24, 40, 8, 24, 24, 40, 16, 32, 32, 48,
};

/* A ballot that some incarnation may have taken. (A promise may also be F2's floor, the largest
 * ballot below a ceiling, which is nobody's.) */
static bool is_real(struct tn_ballot ballot)
{
    return tn_ballot_node(ballot) != 0 && ballot.restart_word != UINT64_MAX;
}

static uint8_t *put_ballot(uint8_t *at, struct tn_ballot ballot)
{
    tn__put_u64(at, ballot.counter);
    tn__put_u64(at + 8, ballot.restart_word);
    return at + BALLOT_BYTES;
}

static struct tn_ballot get_ballot(const uint8_t *at)
{
    return (struct tn_ballot){.counter = tn__get_u64(at), .restart_word = tn__get_u64(at + 8)};
}

/* Which optional fields of this message are there. */
static uint8_t presence(const struct tn_message *message, uint8_t optional)
{
    unsigned present = 0;
    present |= tn_ballot_is_none(message->promised) ? 0U : HAS_PROMISED;
    present |= tn_ballot_is_none(message->lease) ? 0U : HAS_LEASE;
    present |= message->remaining == 0 ? 0U : HAS_REMAINING;
    present |= message->token == 0 ? 0U : HAS_TOKEN;
    return (uint8_t)(present & optional);
}

static uint8_t *put_fixed(uint8_t *at, const struct tn_message *message)
{
    if (message->kind == TN_MESSAGE_PREPARE) {
        tn__put_u32(at, message->durations);
        at[4] = message->priority;
        return at + 5;
    }
    if (message->kind == TN_MESSAGE_RELEASE) {
        tn__put_u16(at, message->successor);
        return at + 2;
    }
    return at;
}

uint32_t tn__item_encode(uint8_t *bytes, const struct tn_message *message)
{
    tn_assert(message->kind > 0 && message->kind < TN_MESSAGE_KINDS_END);
    tn_assert(message->table < TN_TABLES_MAX);
    tn_assert((message->flags & ~(unsigned)FLAGS_KNOWN) == 0);
    tn_assert(message->name_bytes > 0 && message->name_bytes <= TN_NAME_BYTES_MAX);
    tn_assert(message->priority <= PRIORITY_MAX);
    tn_assert(is_real(message->ballot));
    tn_assert(message->remaining <= TN_WIRE_REMAINING_NS_MAX);
    struct shape shape = shapes[message->kind];
    uint8_t present = presence(message, shape.optional);
    tn_assert((present & shape.required) == shape.required);
    tn_assert(!(present & HAS_LEASE) || is_real(message->lease));

    bytes[0] = (uint8_t)(message->kind | present);
    bytes[1] = message->table;
    bytes[2] = message->flags;
    bytes[3] = message->name_bytes;
    tn__put_u32(bytes + 4, message->configuration);
    put_ballot(bytes + 8, message->ballot);
    uint8_t *at = put_fixed(bytes + LEAD_BYTES, message);
    if (present & HAS_PROMISED) {
        at = put_ballot(at, message->promised);
    }
    if (present & HAS_LEASE) {
        at = put_ballot(at, message->lease);
    }
    if (present & HAS_REMAINING) {
        tn__put_u64(at, message->remaining);
        at += 8;
    }
    if (present & HAS_TOKEN) {
        tn__put_u64(at, message->token);
        at += 8;
    }
    tn__copy_short(at, message->name, message->name_bytes);
    return (uint32_t)(at - bytes) + message->name_bytes;
}

/* Fill in the optional fields; false if one that is there says nothing, or cannot be. */
static bool get_optional(const uint8_t *at, uint8_t present, struct tn_message *message)
{
    if (present & HAS_PROMISED) {
        message->promised = get_ballot(at);
        at += BALLOT_BYTES;
        if (tn_ballot_is_none(message->promised)) {
            return false;
        }
    }
    if (present & HAS_LEASE) {
        message->lease = get_ballot(at);
        at += BALLOT_BYTES;
        if (!is_real(message->lease)) {
            return false;
        }
    }
    if (present & HAS_REMAINING) {
        message->remaining = tn__get_u64(at);
        at += 8;
        if (message->remaining == 0 || message->remaining > TN_WIRE_REMAINING_NS_MAX) {
            return false;
        }
    }
    if (present & HAS_TOKEN) {
        message->token = tn__get_u64(at);
        return message->token != 0;
    }
    return true;
}

uint32_t tn__item_decode(const uint8_t *bytes, size_t length, struct tn_message *message)
{
    if (length < LEAD_BYTES) {
        return 0;
    }
    uint8_t kind = bytes[0] & KIND_MASK;
    uint8_t present = (uint8_t)(bytes[0] & ~(unsigned)KIND_MASK);
    if (kind == 0 || kind >= TN_MESSAGE_KINDS_END) {
        return 0;
    }
    struct shape shape = shapes[kind];
    uint32_t name_bytes = bytes[3];
    uint32_t before_name = LEAD_BYTES + (uint32_t)shape.fixed_bytes + optional_bytes[present >> 4];
    if ((present & ~(unsigned)shape.optional) != 0 ||
        (present & shape.required) != shape.required || bytes[1] >= TN_TABLES_MAX ||
        (bytes[2] & ~(unsigned)FLAGS_KNOWN) != 0 || name_bytes == 0 ||
        name_bytes > TN_NAME_BYTES_MAX || length < before_name + name_bytes) {
        return 0;
    }
    *message = (struct tn_message){
        .configuration = tn__get_u32(bytes + 4),
        .kind = kind,
        .table = bytes[1],
        .flags = bytes[2],
        .name_bytes = (uint8_t)name_bytes,
        .ballot = get_ballot(bytes + 8),
    };
    if (!is_real(message->ballot)) {
        return 0;
    }
    const uint8_t *fixed = bytes + LEAD_BYTES;
    if (kind == TN_MESSAGE_PREPARE) {
        message->durations = tn__get_u32(fixed);
        message->priority = fixed[4];
        if (message->priority > PRIORITY_MAX) {
            return 0;
        }
    } else if (kind == TN_MESSAGE_RELEASE) {
        message->successor = tn__get_u16(fixed);
    }
    if (!get_optional(fixed + shape.fixed_bytes, present, message)) {
        return 0;
    }
    tn__copy_short(message->name, bytes + before_name, name_bytes);
    return before_name + name_bytes;
}
