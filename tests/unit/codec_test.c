/* Items to bytes and back: exact for what a kind has, zero for what it has not, and nothing that
 * is not one of the encoder's outputs is accepted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/random.h"
#include "wire/codec.h"

enum {
    OFFSET_NAME_BYTES = 3,
    OFFSET_COUNTER = 8,
    OFFSET_RESTART = 16,
    OFFSET_FIXED = 24,
};

static const struct tn_ballot ballot = {.counter = 0x10003, .restart_word = 0x100000007};
static const struct tn_ballot lease = {.counter = 0x20005, .restart_word = 0x300000009};

/* A message of a kind with every field that the kind has. */
static struct tn_message full_message(uint8_t kind, uint8_t name_bytes)
{
    struct tn_message message = {
        .configuration = 0xfffffffeU,
        .kind = kind,
        .table = TN_TABLES_MAX - 1,
        .name_bytes = name_bytes,
        .flags = TN_MESSAGE_FENCED | TN_MESSAGE_DUPLICATE | TN_MESSAGE_FULL,
        .ballot = ballot,
    };
    memset(message.name, 'n', name_bytes);
    if (kind == TN_MESSAGE_PREPARE) {
        message.durations = 0xdeadbeefU;
        message.priority = 15;
    }
    if (kind == TN_MESSAGE_REJECTED || kind == TN_MESSAGE_REFUSED) {
        /* F2's floor: the largest ballot below a ceiling, which is of no node. */
        message.promised = (struct tn_ballot){.counter = 0xffff0000, .restart_word = UINT64_MAX};
    }
    if (kind == TN_MESSAGE_PROMISE || kind == TN_MESSAGE_CLOSED || kind == TN_MESSAGE_REFUSED) {
        message.lease = lease;
    }
    if (kind == TN_MESSAGE_PROMISE || kind == TN_MESSAGE_CLOSED || kind == TN_MESSAGE_REFUSED ||
        kind == TN_MESSAGE_LEARN) {
        message.remaining = TN_WIRE_REMAINING_NS_MAX;
    }
    if (kind == TN_MESSAGE_LEARN) {
        message.token = UINT64_MAX;
    }
    if (kind == TN_MESSAGE_RELEASE) {
        message.successor = TN_NODE_ID_MAX;
    }
    return message;
}

static void assert_round_trip(const struct tn_message *message, const struct tn_message *expected)
{
    uint8_t bytes[TN_ITEM_BYTES_MAX];
    struct tn_message decoded;
    memset(&decoded, 0xa5, sizeof(decoded));
    uint32_t length = tn__item_encode(bytes, message);
    assert_in_range(length, 1, TN_ITEM_BYTES_MAX);
    assert_int_equal(tn__item_decode(bytes, length, &decoded), length);
    assert_memory_equal(&decoded, expected, sizeof(decoded));
}

static void every_kind_comes_back_as_it_went_with_names_of_every_length(void **state)
{
    (void)state;
    for (uint8_t kind = 1; kind < TN_MESSAGE_KINDS_END; kind++) {
        for (uint8_t name_bytes = 1; name_bytes <= TN_NAME_BYTES_MAX; name_bytes++) {
            struct tn_message message = full_message(kind, name_bytes);
            assert_round_trip(&message, &message);
        }
    }
}

static void what_a_kind_may_lack_comes_back_as_zero(void **state)
{
    (void)state;
    for (uint8_t kind = 1; kind < TN_MESSAGE_KINDS_END; kind++) {
        struct tn_message message = {.kind = kind, .name_bytes = 1, .name = "x", .ballot = ballot};
        if (kind == TN_MESSAGE_CLOSED) {
            message.lease = lease;
        }
        assert_round_trip(&message, &message);
    }
}

static void what_a_kind_does_not_have_is_not_on_the_wire(void **state)
{
    (void)state;
    for (uint8_t kind = 1; kind < TN_MESSAGE_KINDS_END; kind++) {
        struct tn_message expected = full_message(kind, 7);
        struct tn_message message = expected;
        message.after = 99;
        message.to = 5;
        message.from = 3;
        message.reserved = 1;
        message.name[7] = 'z';
        message.priority = 15;
        message.successor = 9;
        message.durations = 0xdeadbeefU;
        message.promised = (struct tn_ballot){.counter = 0xffff0000, .restart_word = UINT64_MAX};
        message.lease = lease;
        message.remaining = TN_WIRE_REMAINING_NS_MAX;
        message.token = UINT64_MAX;
        if (kind == TN_MESSAGE_RELEASE) {
            message.successor = expected.successor;
        }
        assert_round_trip(&message, &expected);
    }
}

static void a_cut_item_is_refused_at_every_length(void **state)
{
    (void)state;
    for (uint8_t kind = 1; kind < TN_MESSAGE_KINDS_END; kind++) {
        struct tn_message message = full_message(kind, 32);
        uint8_t bytes[TN_ITEM_BYTES_MAX];
        uint32_t length = tn__item_encode(bytes, &message);
        for (uint32_t cut = 0; cut < length; cut++) {
            /* Memory of just that size, so that a sanitizer sees a read past it. */
            struct tn_message decoded;
            uint8_t *exact = malloc(cut + 1);
            assert_non_null(exact);
            memcpy(exact + 1, bytes, cut);
            assert_int_equal(tn__item_decode(exact + 1, cut, &decoded), 0);
            free(exact);
        }
    }
}

struct harm {
    const char *what;
    uint8_t kind;
    uint8_t offset;
    uint8_t bytes_count;
    uint64_t value;
};

static void a_field_out_of_range_is_refused(void **state)
{
    (void)state;
    static const struct harm harms[] = {
        {"kind 0", TN_MESSAGE_ACCEPT, 0, 1, 0},
        {"unknown kind", TN_MESSAGE_ACCEPT, 0, 1, TN_MESSAGE_KINDS_END},
        {"a field that the kind has not", TN_MESSAGE_ACCEPT, 0, 1, TN_MESSAGE_ACCEPT | 0x80},
        {"closed by nothing", TN_MESSAGE_CLOSED, 0, 1, TN_MESSAGE_CLOSED | 0x40},
        {"table", TN_MESSAGE_ACCEPT, 1, 1, TN_TABLES_MAX},
        {"flag", TN_MESSAGE_ACCEPT, 2, 1, 8},
        {"no name", TN_MESSAGE_ACCEPT, OFFSET_NAME_BYTES, 1, 0},
        {"long name", TN_MESSAGE_ACCEPT, OFFSET_NAME_BYTES, 1, TN_NAME_BYTES_MAX + 1},
        {"a token in a promise", TN_MESSAGE_PROMISE, 0, 1, TN_MESSAGE_PROMISE | 0xe0},
        {"ballot of no node", TN_MESSAGE_ACCEPT, OFFSET_COUNTER, 8, 0x10000},
        {"no ballot", TN_MESSAGE_ACCEPT, OFFSET_COUNTER, 8, 0},
        {"restart word of the floor", TN_MESSAGE_ACCEPT, OFFSET_RESTART, 8, UINT64_MAX},
        {"priority", TN_MESSAGE_PREPARE, OFFSET_FIXED + 4, 1, 16},
        {"lease of no node", TN_MESSAGE_PROMISE, OFFSET_FIXED, 8, 0x10000},
        {"lease of the floor", TN_MESSAGE_PROMISE, OFFSET_FIXED + 8, 8, UINT64_MAX},
        {"remaining nothing", TN_MESSAGE_CLOSED, OFFSET_FIXED + 16, 8, 0},
        {"remaining for ever", TN_MESSAGE_CLOSED, OFFSET_FIXED + 16, 8,
         TN_WIRE_REMAINING_NS_MAX + 1},
        {"token nothing", TN_MESSAGE_LEARN, OFFSET_FIXED + 8, 8, 0},
    };
    for (size_t i = 0; i < sizeof(harms) / sizeof(harms[0]); i++) {
        const struct harm *harm = &harms[i];
        struct tn_message message = full_message(harm->kind, 5);
        /* Room behind it, so that a longer claim is not refused for being cut short. */
        uint8_t bytes[2 * TN_ITEM_BYTES_MAX] = {0};
        struct tn_message decoded;
        uint32_t length = tn__item_encode(bytes, &message);
        assert_int_equal(tn__item_decode(bytes, sizeof(bytes), &decoded), length);
        memcpy(bytes + harm->offset, &harm->value, harm->bytes_count);
        if (tn__item_decode(bytes, sizeof(bytes), &decoded) != 0) {
            fail_msg("accepted: %s", harm->what);
        }
    }
    /* A promise that is present but none, as a field of its own. */
    struct tn_message message = full_message(TN_MESSAGE_REJECTED, 5);
    uint8_t bytes[TN_ITEM_BYTES_MAX];
    uint32_t length = tn__item_encode(bytes, &message);
    memset(bytes + OFFSET_FIXED, 0, 16);
    assert_int_equal(tn__item_decode(bytes, length, &message), 0);
}

/* Of damaged encodings, what is still accepted encodes to the very bytes it came from. */
static void every_accepted_encoding_is_the_only_one_of_its_message(void **state)
{
    (void)state;
    uint64_t seed = 20;
    uint64_t random = seed;
    uint32_t accepted = 0;
    for (uint32_t i = 0; i < 200000; i++) {
        uint8_t kind = (uint8_t)(1 + tn__random_below(&random, TN_MESSAGE_KINDS_END - 1));
        struct tn_message message = full_message(kind, (uint8_t)(1 + i % TN_NAME_BYTES_MAX));
        uint8_t bytes[TN_ITEM_BYTES_MAX] = {0};
        uint8_t again[TN_ITEM_BYTES_MAX];
        tn__item_encode(bytes, &message);
        uint64_t bits = 1 + tn__random_below(&random, 3);
        for (uint64_t bit = 0; bit < bits; bit++) {
            uint64_t at = tn__random_below(&random, 8 * 56);
            bytes[at / 8] ^= (uint8_t)(1U << (at % 8));
        }
        struct tn_message decoded;
        uint32_t taken = tn__item_decode(bytes, sizeof(bytes), &decoded);
        if (taken > 0) {
            accepted++;
            if (tn__item_encode(again, &decoded) != taken || memcmp(again, bytes, taken) != 0) {
                fail_msg("seed %llu, round %u: two encodings", (unsigned long long)seed, i);
            }
        }
    }
    assert_in_range(accepted, 10000, 190000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_comes_back_as_it_went_with_names_of_every_length),
        cmocka_unit_test(what_a_kind_may_lack_comes_back_as_zero),
        cmocka_unit_test(what_a_kind_does_not_have_is_not_on_the_wire),
        cmocka_unit_test(a_cut_item_is_refused_at_every_length),
        cmocka_unit_test(a_field_out_of_range_is_refused),
        cmocka_unit_test(every_accepted_encoding_is_the_only_one_of_its_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
