/* CRC-32C: the published check values, and the fast path against the table and against the
 * definition, bit by bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "base/random.h"

/* By the polynomial itself, reflected. */
static uint32_t by_definition(const uint8_t *bytes, size_t length)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < length; i++) {
        crc ^= bytes[i];
        for (uint32_t bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78U : 0);
        }
    }
    return ~crc;
}

static void the_published_check_values_are_met(void **state)
{
    (void)state;
    uint8_t zeros[32] = {0};
    uint8_t ones[32];
    uint8_t rising[32];
    memset(ones, 0xff, sizeof(ones));
    for (uint8_t i = 0; i < 32; i++) {
        rising[i] = i;
    }
    assert_int_equal(tn__crc32c(0, "", 0), 0);
    assert_int_equal(tn__crc32c(0, "123456789", 9), 0xe3069283U);
    assert_int_equal(tn__crc32c(0, zeros, 32), 0x8a9136aaU);
    assert_int_equal(tn__crc32c(0, ones, 32), 0x62a8ab43U);
    assert_int_equal(tn__crc32c(0, rising, 32), 0x46dd794eU);
}

static void every_path_agrees_at_every_length_and_alignment(void **state)
{
    (void)state;
    uint64_t random = 1;
    uint8_t bytes[300];
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)tn__random_next(&random);
    }
    for (size_t start = 0; start < 9; start++) {
        for (size_t length = 0; length + start <= sizeof(bytes); length++) {
            uint32_t expected = by_definition(bytes + start, length);
            assert_int_equal(tn__crc32c(0, bytes + start, length), expected);
            assert_int_equal(tn__crc32c_portable(0, bytes + start, length), expected);
        }
    }
}

static void long_pieces_are_summed_as_well_side_by_side(void **state)
{
    (void)state;
    static uint8_t bytes[8192];
    uint64_t random = 7;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)tn__random_next(&random);
    }
    for (size_t length = 0; length <= sizeof(bytes) - 8; length += 1 + length % 13) {
        uint32_t before = (uint32_t)tn__random_next(&random);
        const uint8_t *at = bytes + length % 8;
        assert_int_equal(tn__crc32c(before, at, length), tn__crc32c_portable(before, at, length));
    }
}

static void a_sum_in_parts_is_the_sum_of_the_whole(void **state)
{
    (void)state;
    static const char text[] = "one owner at a time, and everyone can tell who";
    size_t length = sizeof(text) - 1;
    uint32_t whole = tn__crc32c(0, text, length);
    for (size_t cut = 0; cut <= length; cut++) {
        uint32_t crc = tn__crc32c(0, text, cut);
        assert_int_equal(tn__crc32c(crc, text + cut, length - cut), whole);
        assert_int_equal(
            tn__crc32c_combine(crc, tn__crc32c(0, text + cut, length - cut), length - cut), whole);
        crc = tn__crc32c_portable(0, text, cut);
        assert_int_equal(tn__crc32c(crc, text + cut, length - cut), whole);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_check_values_are_met),
        cmocka_unit_test(every_path_agrees_at_every_length_and_alignment),
        cmocka_unit_test(long_pieces_are_summed_as_well_side_by_side),
        cmocka_unit_test(a_sum_in_parts_is_the_sum_of_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
