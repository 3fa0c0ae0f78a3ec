/* The small generator: the same everywhere, for ever, since recorded seeds depend on it; bounded
 * draws that reach every value. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.h"

static void a_seed_gives_the_published_sequence(void **state)
{
    (void)state;
    uint64_t random = 1234567;
    static const uint64_t expected[] = {
        6457827717110365317ULL, 3203168211198807973ULL,  9817491932198370423ULL,
        4593380528125082431ULL, 16408922859458223821ULL,
    };
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        assert_true(tn__random_next(&random) == expected[i]);
    }
}

static void a_bounded_draw_stays_below_and_reaches_everything(void **state)
{
    (void)state;
    uint64_t random = 3;
    for (uint64_t bound = 1; bound <= 40; bound++) {
        uint64_t seen = 0;
        for (uint32_t i = 0; i < 4000; i++) {
            uint64_t drawn = tn__random_below(&random, bound);
            assert_true(drawn < bound);
            seen |= 1ULL << drawn;
        }
        assert_true(seen == (1ULL << bound) - 1);
    }
    assert_int_equal(tn__random_below(&random, 0), 0);
    assert_true(tn__random_below(&random, UINT64_MAX) < UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seed_gives_the_published_sequence),
        cmocka_unit_test(a_bounded_draw_stays_below_and_reaches_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
