/* The envelope: its bytes, and what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "paxos/log_envelope.h"

static const struct tn__log_envelope sample = {
    .machine = 0x04030201,
    .flags = TN_ENVELOPE_ONCE,
    .node = 0x0807,
    .restart_word = 0x1111111122222222,
    .number = 0x3333333344444444,
    .client = 0x5555555566666666,
    .sequence = 0x7777777788888888,
};

static void the_bytes_are_those_of_the_layout(void **state)
{
    (void)state;
    uint8_t bytes[TN_ENVELOPE_BYTES];
    tn__log_envelope_write(&sample, bytes);
    static const uint8_t expected[TN_ENVELOPE_BYTES] = {
        0x01, 0x02, 0x03, 0x04, 1,    1,    0x07, 0x08, 0x22, 0x22, 0x22, 0x22, 0x11, 0x11,
        0x11, 0x11, 0x44, 0x44, 0x44, 0x44, 0x33, 0x33, 0x33, 0x33, 0x66, 0x66, 0x66, 0x66,
        0x55, 0x55, 0x55, 0x55, 0x88, 0x88, 0x88, 0x88, 0x77, 0x77, 0x77, 0x77};
    assert_memory_equal(bytes, expected, sizeof(expected));
}

static void what_was_written_is_read(void **state)
{
    (void)state;
    uint8_t bytes[TN_ENVELOPE_BYTES + 1] = {0};
    tn__log_envelope_write(&sample, bytes);
    struct tn__log_envelope read;
    assert_true(tn__log_envelope_read(&read, bytes, TN_ENVELOPE_BYTES));
    assert_memory_equal(&read, &sample, sizeof(sample));
    assert_true(tn__log_envelope_read(&read, bytes, TN_ENVELOPE_BYTES + 1));
}

static void what_is_no_envelope_is_told(void **state)
{
    (void)state;
    uint8_t bytes[TN_ENVELOPE_BYTES];
    struct tn__log_envelope read;
    tn__log_envelope_write(&sample, bytes);
    for (size_t count = 0; count < TN_ENVELOPE_BYTES; count++) {
        assert_false(tn__log_envelope_read(&read, bytes, count));
    }
    bytes[4] = 2; /* a later version */
    assert_false(tn__log_envelope_read(&read, bytes, sizeof(bytes)));
    tn__log_envelope_write(&sample, bytes);
    bytes[5] |= 2; /* a flag that is not known */
    assert_false(tn__log_envelope_read(&read, bytes, sizeof(bytes)));
    assert_false(tn__log_envelope_read(&read, NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bytes_are_those_of_the_layout),
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(what_is_no_envelope_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
