/* Frames: delimited from any cut of a stream, refused for each thing that can be wrong with them,
 * filled to the brim and read back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/random.h"
#include "wire/codec.h"
#include "wire/frame.h"
#include "wire/frame_builder.h"

static const struct tn__frame_header header_of_two = {
    .cluster_tag = 0x1122334455667788ULL,
    .restart_word = 0x500000006ULL,
    .sender = 2,
    .receiver = 3,
};
static const struct tn__frame_expected expected_of_two = {
    .cluster_tag = 0x1122334455667788ULL,
    .restart_word = 0x500000006ULL,
    .sender = 2,
    .receiver = 3,
};

static struct tn_message message_number(uint32_t i)
{
    struct tn_message message = {
        .kind = TN_MESSAGE_REFUSED,
        .name_bytes = TN_NAME_BYTES_MAX,
        .configuration = i,
        .ballot = {.counter = 0x10001 + ((uint64_t)i << 16), .restart_word = i},
        .promised = {.counter = i + 1, .restart_word = 1},
        .lease = {.counter = 0x10002, .restart_word = 1},
        .remaining = i + 1,
    };
    memset(message.name, 'a' + (int)(i % 26), sizeof(message.name));
    return message;
}

static uint32_t build(uint8_t *bytes, uint32_t items)
{
    struct tn__frame_builder builder;
    tn__frame_begin(&builder, bytes, &header_of_two);
    for (uint32_t i = 0; i < items; i++) {
        struct tn_message message = message_number(i);
        assert_true(tn__frame_add(&builder, &message));
    }
    return tn__frame_finish(&builder, 0x70001);
}

static void a_full_frame_is_read_back_and_takes_no_more(void **state)
{
    (void)state;
    static uint8_t bytes[TN_FRAME_BYTES_MAX];
    static struct tn_message messages[TN_FRAME_ITEMS_MAX];
    struct tn__frame_builder builder;
    tn__frame_begin(&builder, bytes, &header_of_two);
    for (uint32_t i = 0; i < TN_FRAME_ITEMS_MAX; i++) {
        struct tn_message message = message_number(i);
        assert_true(tn__frame_add(&builder, &message));
    }
    struct tn_message more = message_number(0);
    assert_false(tn__frame_add(&builder, &more));
    uint32_t length = tn__frame_finish(&builder, 0x70001);
    assert_in_range(length, TN_FRAME_HEADER_BYTES, TN_FRAME_BYTES_MAX);

    struct tn__frame_header header;
    assert_int_equal(tn__frame_open(bytes, length, &expected_of_two, &header), 0);
    assert_int_equal(header.kind, TN_FRAME_ITEMS);
    assert_int_equal(header.items_count, TN_FRAME_ITEMS_MAX);
    assert_int_equal(header.counter, 0x70001);
    assert_int_equal(header.length, length);
    assert_int_equal(header.sender, 2);
    assert_int_equal(header.receiver, 3);
    assert_int_equal(header.restart_word, 0x500000006ULL);
    assert_int_equal(tn__frame_items_read(bytes, &header, 9, messages), 0);
    for (uint32_t i = 0; i < TN_FRAME_ITEMS_MAX; i++) {
        struct tn_message expected = message_number(i);
        expected.from = 9;
        assert_memory_equal(&messages[i], &expected, sizeof(expected));
    }
}

static void an_empty_frame_is_a_frame(void **state)
{
    (void)state;
    static uint8_t bytes[TN_FRAME_BYTES_MAX];
    struct tn__frame_header header;
    struct tn_message message;
    assert_int_equal(build(bytes, 0), TN_FRAME_HEADER_BYTES);
    assert_int_equal(tn__frame_open(bytes, TN_FRAME_HEADER_BYTES, &expected_of_two, &header), 0);
    assert_int_equal(tn__frame_items_read(bytes, &header, 0, &message), 0);
}

static void a_ping_is_answered_with_its_word(void **state)
{
    (void)state;
    uint8_t bytes[TN_FRAME_PING_BYTES];
    struct tn__frame_header header = header_of_two;
    header.kind = TN_FRAME_PING;
    tn__frame_ping_write(bytes, &header, 0xabcdef);
    assert_int_equal(tn__frame_open(bytes, sizeof(bytes), &expected_of_two, &header), 0);
    assert_int_equal(header.kind, TN_FRAME_PING);
    assert_int_equal(tn__frame_ping_word(bytes), 0xabcdef);
}

static void a_stream_is_cut_into_frames_wherever_reads_end(void **state)
{
    (void)state;
    static uint8_t stream[3 * TN_FRAME_BYTES_MAX];
    uint32_t lengths[3];
    uint32_t total = 0;
    for (uint32_t i = 0; i < 3; i++) {
        lengths[i] = build(stream + total, i);
        total += lengths[i];
    }
    uint32_t at = 0;
    uint32_t frames = 0;
    for (uint32_t received = 0; received <= total; received++) {
        uint32_t frame_bytes = 0;
        assert_int_equal(tn__frame_scan(stream + at, received - at, &frame_bytes), 0);
        if (received - at == lengths[frames]) {
            assert_int_equal(frame_bytes, lengths[frames]);
            at += frame_bytes;
            if (++frames == 3) {
                break;
            }
        } else {
            assert_int_equal(frame_bytes, 0);
        }
    }
    assert_int_equal(frames, 3);
    uint32_t frame_bytes = 0;
    assert_int_equal(tn__frame_scan(stream, total, &frame_bytes), 0);
    assert_int_equal(frame_bytes, lengths[0]);
}

static void a_first_byte_that_is_wrong_is_refused_at_once(void **state)
{
    (void)state;
    static const char *const others[] = {"GET / HTTP/1.1", "\x16\x03\x01", "tnX", "\0\0\0\0"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        uint32_t frame_bytes = 1;
        enum tn__frame_fault fault = tn__frame_scan((const uint8_t *)others[i], 3, &frame_bytes);
        assert_int_equal(fault, TN_FRAME_FAULT_MAGIC);
        assert_int_equal(frame_bytes, 0);
    }
}

/* The first 12 bytes of a frame, and what scanning just these must say. */
struct head {
    uint8_t version;
    uint8_t kind;
    uint32_t length;
    enum tn__frame_fault fault;
};

static void a_hostile_length_is_refused_before_anything_is_awaited(void **state)
{
    (void)state;
    static const struct head heads[] = {
        {1, TN_FRAME_ITEMS, TN_FRAME_BYTES_MAX, TN_FRAME_FAULT_NONE},
        {1, TN_FRAME_ITEMS, TN_FRAME_BYTES_MAX + 1, TN_FRAME_FAULT_LONG},
        {1, TN_FRAME_ITEMS, UINT32_MAX, TN_FRAME_FAULT_LONG},
        {1, TN_FRAME_ITEMS, TN_FRAME_HEADER_BYTES, TN_FRAME_FAULT_NONE},
        {1, TN_FRAME_ITEMS, TN_FRAME_HEADER_BYTES - 1, TN_FRAME_FAULT_SHORT},
        {1, TN_FRAME_ITEMS, 0, TN_FRAME_FAULT_SHORT},
        {1, TN_FRAME_HELLO, TN_FRAME_GREETING_BYTES_MAX, TN_FRAME_FAULT_NONE},
        {1, TN_FRAME_HELLO, TN_FRAME_GREETING_BYTES_MAX + 1, TN_FRAME_FAULT_LONG},
        {1, TN_FRAME_REFUSAL, TN_FRAME_GREETING_BYTES_MAX + 1, TN_FRAME_FAULT_LONG},
        {1, TN_FRAME_PING, TN_FRAME_PING_BYTES + 1, TN_FRAME_FAULT_LONG},
        {1, TN_FRAME_PONG, TN_FRAME_PING_BYTES - 1, TN_FRAME_FAULT_SHORT},
        {1, TN_FRAME_KINDS_END, TN_FRAME_HEADER_BYTES, TN_FRAME_FAULT_KIND},
        {1, 0, TN_FRAME_HEADER_BYTES, TN_FRAME_FAULT_KIND},
        {0, TN_FRAME_HELLO, TN_FRAME_HEADER_BYTES, TN_FRAME_FAULT_PROTOCOL},
        {2, TN_FRAME_ITEMS, TN_FRAME_HEADER_BYTES, TN_FRAME_FAULT_PROTOCOL},
        {2, TN_FRAME_HELLO, TN_FRAME_HEADER_BYTES, TN_FRAME_FAULT_NONE},
        {2, TN_FRAME_REFUSAL, TN_FRAME_HEADER_BYTES, TN_FRAME_FAULT_NONE},
    };
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        uint8_t bytes[12] = {'t', 'n', 'r', 1, heads[i].version, heads[i].kind};
        uint32_t frame_bytes = 1;
        tn__put_u32(bytes + 8, heads[i].length);
        if (tn__frame_scan(bytes, sizeof(bytes), &frame_bytes) != heads[i].fault) {
            fail_msg("row %zu", i);
        }
        assert_int_equal(frame_bytes, 0);
    }
}

static void any_damaged_bit_of_a_frame_is_noticed(void **state)
{
    (void)state;
    static uint8_t bytes[TN_FRAME_BYTES_MAX];
    uint32_t length = build(bytes, 2);
    for (uint32_t bit = 0; bit < 8 * length; bit++) {
        struct tn__frame_header header;
        uint32_t frame_bytes = 0;
        bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        /* A damaged length may ask for more bytes: then the frame ends where the claim says. */
        enum tn__frame_fault fault = tn__frame_scan(bytes, sizeof(bytes), &frame_bytes);
        if (fault == TN_FRAME_FAULT_NONE) {
            struct tn__frame_expected anything = {0};
            fault = tn__frame_open(bytes, frame_bytes, &anything, &header);
        }
        if (fault == TN_FRAME_FAULT_NONE) {
            fail_msg("bit %u went unnoticed", bit);
        }
        bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    }
}

static enum tn__frame_fault open_as(const struct tn__frame_expected *expected)
{
    static uint8_t bytes[TN_FRAME_BYTES_MAX];
    struct tn__frame_header header;
    uint32_t length = build(bytes, 1);
    return tn__frame_open(bytes, length, expected, &header);
}

static void a_frame_of_another_cluster_node_or_run_is_refused(void **state)
{
    (void)state;
    struct tn__frame_expected expected = expected_of_two;
    assert_int_equal(open_as(&expected), TN_FRAME_FAULT_NONE);
    expected.cluster_tag++;
    assert_int_equal(open_as(&expected), TN_FRAME_FAULT_CLUSTER);
    expected = expected_of_two;
    expected.receiver++;
    assert_int_equal(open_as(&expected), TN_FRAME_FAULT_RECEIVER);
    expected = expected_of_two;
    expected.sender++;
    assert_int_equal(open_as(&expected), TN_FRAME_FAULT_SENDER);
    expected = expected_of_two;
    expected.restart_word++;
    assert_int_equal(open_as(&expected), TN_FRAME_FAULT_INCARNATION);
    expected = (struct tn__frame_expected){0};
    assert_int_equal(open_as(&expected), TN_FRAME_FAULT_NONE);
}

static void a_count_that_its_items_do_not_bear_out_is_refused(void **state)
{
    (void)state;
    static uint8_t bytes[TN_FRAME_BYTES_MAX];
    static struct tn_message messages[TN_FRAME_ITEMS_MAX];
    uint32_t length = build(bytes, 3);
    struct tn__frame_header header;
    assert_int_equal(tn__frame_open(bytes, length, &expected_of_two, &header), 0);
    header.items_count = 2;
    tn__frame_seal(bytes, &header);
    assert_int_equal(tn__frame_open(bytes, length, &expected_of_two, &header), 0);
    assert_int_equal(tn__frame_items_read(bytes, &header, 0, messages), TN_FRAME_FAULT_TRAILING);
    header.items_count = 4;
    tn__frame_seal(bytes, &header);
    assert_int_equal(tn__frame_open(bytes, length, &expected_of_two, &header), 0);
    assert_int_equal(tn__frame_items_read(bytes, &header, 0, messages), TN_FRAME_FAULT_ITEM);
    header.items_count = TN_FRAME_ITEMS_MAX + 1;
    tn__frame_seal(bytes, &header);
    assert_int_equal(tn__frame_open(bytes, length, &expected_of_two, &header),
                     TN_FRAME_FAULT_COUNT);
    header.items_count = 1;
    header.kind = TN_FRAME_HELLO;
    tn__frame_seal(bytes, &header);
    assert_int_equal(tn__frame_open(bytes, length, &expected_of_two, &header),
                     TN_FRAME_FAULT_COUNT);
}

static void each_fault_has_an_error_and_a_sentence(void **state)
{
    (void)state;
    assert_int_equal(tn__frame_fault_error(TN_FRAME_FAULT_NONE), TN_OK);
    for (int fault = 1; fault < TN_FRAME_FAULTS_END; fault++) {
        assert_true(tn__frame_fault_error((enum tn__frame_fault)fault) < 0);
        assert_in_range(strlen(tn__frame_fault_text((enum tn__frame_fault)fault)), 20, 90);
    }
    assert_int_equal(tn__frame_fault_error(TN_FRAME_FAULT_LONG), TN_ERROR_TOO_LARGE);
    assert_int_equal(tn__frame_fault_error(TN_FRAME_FAULT_CHECKSUM), TN_ERROR_CHECKSUM);
    assert_int_equal(tn__frame_fault_error(TN_FRAME_FAULT_CLUSTER), TN_ERROR_WRONG_CLUSTER);
}

static void a_cluster_tag_depends_on_every_bit_and_is_never_zero(void **state)
{
    (void)state;
    uint8_t id[16] = {0};
    uint64_t tag = tn__frame_cluster_tag(id);
    assert_true(tag != 0);
    for (uint32_t bit = 0; bit < 128; bit++) {
        id[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        assert_true(tn__frame_cluster_tag(id) != tag);
        assert_true(tn__frame_cluster_tag(id) != 0);
        id[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_frame_is_read_back_and_takes_no_more),
        cmocka_unit_test(an_empty_frame_is_a_frame),
        cmocka_unit_test(a_ping_is_answered_with_its_word),
        cmocka_unit_test(a_stream_is_cut_into_frames_wherever_reads_end),
        cmocka_unit_test(a_first_byte_that_is_wrong_is_refused_at_once),
        cmocka_unit_test(a_hostile_length_is_refused_before_anything_is_awaited),
        cmocka_unit_test(any_damaged_bit_of_a_frame_is_noticed),
        cmocka_unit_test(a_frame_of_another_cluster_node_or_run_is_refused),
        cmocka_unit_test(a_count_that_its_items_do_not_bear_out_is_refused),
        cmocka_unit_test(each_fault_has_an_error_and_a_sentence),
        cmocka_unit_test(a_cluster_tag_depends_on_every_bit_and_is_never_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
