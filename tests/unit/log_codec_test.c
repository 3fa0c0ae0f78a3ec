/* Messages of the log to bytes and back: what was said comes out, whatever is cut, changed or
 * appended is refused or is another valid message with exactly these bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "base/random.h"
#include "wire/log_codec.h"

#define FRAME_BYTES (1U << 20)
#define PAYLOAD_BYTES 4096U

static uint8_t payload_bytes[PAYLOAD_BYTES];
static uint8_t frame[FRAME_BYTES];
static uint8_t again[FRAME_BYTES];
static struct tn_log_entry entries[TN_LOG_RUN_MAX];
static struct tn_log_entry read_entries[TN_LOG_RUN_MAX];
static const uint8_t *read_payloads[TN_LOG_RUN_MAX];

/* A handle is one more than an offset into payload_bytes. */
static const void *payload(void *context, uint64_t handle)
{
    assert_ptr_equal(context, frame);
    assert_in_range(handle, 1, PAYLOAD_BYTES);
    return payload_bytes + handle - 1;
}

static const void *payload_read(void *context, uint64_t handle)
{
    (void)context;
    return read_payloads[handle];
}

static struct tn_log_ballot random_ballot(uint64_t *random)
{
    return (struct tn_log_ballot){
        .token = tn__random_below(random, 3),
        .attempt = tn__random_next(random),
        .restart_word = tn__random_below(random, UINT64_MAX),
        .mode_number = (uint32_t)tn__random_below(random, 3),
        .node = (tn_node_id)(1 + tn__random_below(random, 9)),
    };
}

static void random_value(uint64_t *random, struct tn_log_value *value)
{
    memset(value, 0, sizeof(*value));
    value->kind = (uint8_t)(1 + tn__random_below(random, 3));
    if (value->kind == TN_LOG_VALUE_PAYLOAD) {
        value->bytes = (uint32_t)tn__random_below(random, 200);
        value->handle = 1 + tn__random_below(random, PAYLOAD_BYTES - 200);
        value->digest = tn__crc32c(0, payload_bytes + value->handle - 1, value->bytes);
    } else if (value->kind == TN_LOG_VALUE_CONFIGURATION) {
        value->voters = (tn_member_set)tn__random_next(random);
        value->learners = (tn_member_set)tn__random_below(random, 2);
        value->version = (uint32_t)tn__random_below(random, 4);
        value->window_slots = (uint32_t)tn__random_below(random, 2);
        value->mode = (uint8_t)tn__random_below(random, 3);
    }
}

static uint64_t sometimes(uint64_t *random)
{
    return tn__random_below(random, 2) == 0 ? 0 : tn__random_next(random);
}

static void random_message(uint64_t *random, struct tn_log_message *message, uint32_t entries_max)
{
    memset(message, 0, sizeof(*message));
    message->kind = (uint8_t)(1 + tn__random_below(random, TN_LOG_MESSAGE_KINDS_END - 1));
    message->flags = (uint8_t)tn__random_below(random, 8);
    message->reason = (uint8_t)tn__random_below(random, TN_LOG_REASON_STOPPED + 1);
    message->group = (uint32_t)tn__random_below(random, TN_GROUP_ID_MAX + 1);
    message->count = (uint32_t)sometimes(random);
    message->slot = sometimes(random);
    message->slot_end = sometimes(random);
    message->committed = sometimes(random);
    message->retained = sometimes(random);
    message->accepted = sometimes(random);
    message->id = sometimes(random);
    message->checksum_slot = sometimes(random);
    message->checksum = sometimes(random);
    message->stamp = sometimes(random);
    if (tn__random_below(random, 2) == 0) {
        message->ballot = random_ballot(random);
    }
    if (tn__random_below(random, 2) == 0) {
        message->promised = random_ballot(random);
    }
    message->entries_count = (uint32_t)tn__random_below(random, entries_max + 1);
    uint64_t slot = tn__random_below(random, 3) == 0 ? 0 : 1 + tn__random_below(random, 1U << 20);
    struct tn_log_ballot ballot = message->ballot;
    for (uint32_t i = 0; i < message->entries_count; i++) {
        random_value(random, &entries[i].value);
        entries[i].slot = slot;
        entries[i].ballot = ballot;
        slot += slot == 0 ? 0 : tn__random_below(random, 5) == 0 ? 7 : 1;
        if (tn__random_below(random, 8) == 0) {
            ballot = tn__random_below(random, 3) == 0 ? (struct tn_log_ballot){0}
                                                      : random_ballot(random);
        }
    }
}

static void assert_same_entry(const struct tn_log_entry *a, const struct tn_log_entry *b,
                              const uint8_t *b_bytes)
{
    struct tn_log_value value = a->value;
    value.handle = 0;
    assert_int_equal(a->slot, b->slot);
    assert_true(tn_log_ballot_equal(a->ballot, b->ballot));
    assert_memory_equal(&value, &b->value, sizeof(value));
    if (value.bytes > 0) {
        assert_memory_equal(payload_bytes + a->value.handle - 1, b_bytes, value.bytes);
    }
}

static struct tn__log_reader reader_of(const uint8_t *bytes, size_t length, uint16_t count)
{
    struct tn__frame_header header = {
        .kind = TN_FRAME_LOG,
        .length = (uint32_t)(TN_FRAME_HEADER_BYTES + length),
        .items_count = count,
    };
    struct tn__log_reader reader;
    tn__log_reader_begin(&reader, bytes - TN_FRAME_HEADER_BYTES, &header);
    return reader;
}

static size_t write_random(uint64_t *random, struct tn_log_message *message, uint32_t entries_max)
{
    random_message(random, message, entries_max);
    uint8_t *at = frame + TN_FRAME_HEADER_BYTES;
    size_t length = tn__log_message_write(at, message, entries, payload, frame);
    assert_int_equal(length, tn__log_message_bytes(message, entries));
    return length;
}

static void a_message_comes_back_as_it_went(void **state)
{
    (void)state;
    uint64_t random = 11;
    for (uint32_t i = 0; i < 3000; i++) {
        struct tn_log_message message;
        struct tn_log_message read;
        size_t length = write_random(&random, &message, i % 100 == 0 ? TN_LOG_RUN_MAX : 20);
        struct tn__log_reader reader = reader_of(frame + TN_FRAME_HEADER_BYTES, length, 1);
        assert_true(tn__log_reader_next(&reader, &read, read_entries, read_payloads));
        assert_memory_equal(&read, &message, sizeof(read));
        for (uint32_t j = 0; j < message.entries_count; j++) {
            assert_same_entry(&entries[j], &read_entries[j], read_payloads[j]);
        }
        assert_false(tn__log_reader_next(&reader, &read, read_entries, read_payloads));
        assert_int_equal(reader.fault, TN_FRAME_FAULT_NONE);
    }
}

static void a_message_cut_anywhere_is_refused(void **state)
{
    (void)state;
    uint64_t random = 12;
    for (uint32_t i = 0; i < 200; i++) {
        struct tn_log_message message;
        size_t length = write_random(&random, &message, 4);
        for (size_t cut = 0; cut < length; cut++) {
            struct tn__log_reader reader = reader_of(frame + TN_FRAME_HEADER_BYTES, cut, 1);
            assert_false(tn__log_reader_next(&reader, &message, read_entries, read_payloads));
            assert_int_equal(reader.fault, TN_FRAME_FAULT_ITEM);
        }
    }
}

static void bytes_after_the_last_message_are_refused(void **state)
{
    (void)state;
    uint64_t random = 13;
    struct tn_log_message message;
    size_t length = write_random(&random, &message, 4);
    struct tn__log_reader reader = reader_of(frame + TN_FRAME_HEADER_BYTES, length + 1, 1);
    assert_true(tn__log_reader_next(&reader, &message, read_entries, read_payloads));
    assert_false(tn__log_reader_next(&reader, &message, read_entries, read_payloads));
    assert_int_equal(reader.fault, TN_FRAME_FAULT_TRAILING);
}

/* inv. codec 1: whatever is read is written as the bytes that it was read from. */
static void a_changed_byte_is_refused_or_makes_another_valid_message(void **state)
{
    (void)state;
    uint64_t random = 14;
    uint32_t refused = 0;
    for (uint32_t i = 0; i < 300; i++) {
        struct tn_log_message message;
        size_t length = write_random(&random, &message, 4);
        uint8_t *at = frame + TN_FRAME_HEADER_BYTES;
        for (size_t j = 0; j < length; j++) {
            uint8_t before = at[j];
            at[j] ^= (uint8_t)(1U << tn__random_below(&random, 8));
            struct tn__log_reader reader = reader_of(at, length, 1);
            bool valid = tn__log_reader_next(&reader, &message, read_entries, read_payloads);
            if (valid) {
                for (uint32_t k = 0; k < message.entries_count; k++) {
                    read_entries[k].value.handle = k;
                }
                size_t written =
                    tn__log_message_write(again, &message, read_entries, payload_read, NULL);
                assert_int_equal(written, (size_t)(reader.at - at));
                assert_memory_equal(again, at, written);
            }
            refused += valid ? 0 : 1;
            at[j] = before;
        }
    }
    assert_true(refused > 1000);
}

static void unknown_kinds_flags_reasons_and_fields_are_refused(void **state)
{
    (void)state;
    static const struct {
        size_t offset;
        uint8_t value;
    } rows[] = {
        {0, 0},    {0, TN_LOG_MESSAGE_KINDS_END},
        {1, 8},    {2, TN_LOG_REASON_STOPPED + 1},
        {3, 1},    {7, 0x10},
        {9, 0x08}, {10, 1},
        {11, 1},   {12, 9},
        {13, 8},   {14, 1},
        {16, 255},
    };
    struct tn_log_message message = {.kind = TN_LOG_FORWARD, .entries_count = 1};
    entries[0] = (struct tn_log_entry){.value = {.kind = TN_LOG_VALUE_NOOP}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t *at = frame + TN_FRAME_HEADER_BYTES;
        size_t length = tn__log_message_write(at, &message, entries, payload, frame);
        assert_int_equal(length, 24);
        at[rows[i].offset] = rows[i].value;
        struct tn__log_reader reader = reader_of(at, length, 1);
        struct tn_log_message read;
        if (tn__log_reader_next(&reader, &read, read_entries, read_payloads)) {
            fail_msg("row %zu is taken for valid", i);
        }
    }
}

static void a_payload_with_another_digest_is_refused(void **state)
{
    (void)state;
    struct tn_log_message message = {.kind = TN_LOG_ACCEPT, .entries_count = 1};
    entries[0] = (struct tn_log_entry){
        .slot = 1,
        .value = {.kind = TN_LOG_VALUE_PAYLOAD,
                  .handle = 1,
                  .bytes = 100,
                  .digest = tn__crc32c(0, payload_bytes, 100) ^ 1},
    };
    uint8_t *at = frame + TN_FRAME_HEADER_BYTES;
    size_t length = tn__log_message_write(at, &message, entries, payload, frame);
    struct tn__log_reader reader = reader_of(at, length, 1);
    assert_false(tn__log_reader_next(&reader, &message, read_entries, read_payloads));
    assert_int_equal(reader.fault, TN_FRAME_FAULT_ITEM);
}

static void a_run_is_cut_where_the_room_ends(void **state)
{
    (void)state;
    uint64_t random = 15;
    for (uint32_t i = 0; i < 200; i++) {
        struct tn_log_message message;
        random_message(&random, &message, 30);
        uint32_t count = message.entries_count;
        size_t whole = tn__log_message_bytes(&message, entries);
        assert_int_equal(tn__log_message_fit(&message, entries, whole), count);
        size_t room = tn__random_below(&random, whole);
        uint32_t fit = tn__log_message_fit(&message, entries, room);
        if (count > 0) {
            assert_true(fit < count);
            message.entries_count = fit + 1;
            assert_true(tn__log_message_bytes(&message, entries) > room);
        }
        message.entries_count = fit;
        assert_true(fit == 0 || tn__log_message_bytes(&message, entries) <= room);
    }
}

static void many_messages_share_a_frame(void **state)
{
    (void)state;
    uint64_t random = 16;
    struct tn_log_message messages[50];
    uint8_t *at = frame + TN_FRAME_HEADER_BYTES;
    for (uint32_t i = 0; i < 50; i++) {
        random_message(&random, &messages[i], 8);
        at += tn__log_message_write(at, &messages[i], entries, payload, frame);
    }
    struct tn__frame_header header = {
        .cluster_tag = 1,
        .restart_word = 1,
        .length = (uint32_t)(at - frame),
        .sender = 1,
        .receiver = 2,
        .items_count = 50,
        .version = TN_PROTOCOL_VERSION_MAX,
        .kind = TN_FRAME_LOG,
    };
    tn__frame_seal(frame, &header);
    struct tn__frame_expected anything = {0};
    assert_int_equal(tn__frame_open(frame, header.length, &anything, &header), 0);
    struct tn__log_reader reader;
    struct tn_log_message read;
    tn__log_reader_begin(&reader, frame, &header);
    for (uint32_t i = 0; i < 50; i++) {
        assert_true(tn__log_reader_next(&reader, &read, read_entries, read_payloads));
        assert_memory_equal(&read, &messages[i], sizeof(read));
    }
    assert_false(tn__log_reader_next(&reader, &read, read_entries, read_payloads));
    assert_int_equal(reader.fault, TN_FRAME_FAULT_NONE);
}

int main(void)
{
    uint64_t random = 1;
    for (uint32_t i = 0; i < PAYLOAD_BYTES; i++) {
        payload_bytes[i] = (uint8_t)tn__random_next(&random);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_comes_back_as_it_went),
        cmocka_unit_test(a_message_cut_anywhere_is_refused),
        cmocka_unit_test(bytes_after_the_last_message_are_refused),
        cmocka_unit_test(a_changed_byte_is_refused_or_makes_another_valid_message),
        cmocka_unit_test(unknown_kinds_flags_reasons_and_fields_are_refused),
        cmocka_unit_test(a_payload_with_another_digest_is_refused),
        cmocka_unit_test(a_run_is_cut_where_the_room_ends),
        cmocka_unit_test(many_messages_share_a_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
