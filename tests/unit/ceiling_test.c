/* The ceiling cell: F1, F2, F4. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "paxos/ceiling.h"

static struct tn__ceiling at(uint64_t durable)
{
    return (struct tn__ceiling){
        .durable = durable, .pending = durable, .stride = 100, .enabled = 1};
}

static void F1_below_the_ceiling_an_answer_leaves_at_once(void **state)
{
    (void)state;
    struct tn__ceiling ceiling = at(50);
    uint64_t after = 9, wanted = 0;
    assert_int_equal(tn__ceiling_cover(&ceiling, 49, &after, &wanted), TN__CEILING_COVERED);
    assert_int_equal(after, 0);
}

static void F1_at_the_ceiling_it_waits_for_the_write_that_raises_it(void **state)
{
    (void)state;
    struct tn__ceiling ceiling = at(50);
    uint64_t after = 0, wanted = 0;
    assert_int_equal(tn__ceiling_cover(&ceiling, 50, &after, &wanted), TN__CEILING_ASK);
    assert_int_equal(wanted, 150);
    tn__ceiling_asked(&ceiling, wanted, 3);
    assert_int_equal(tn__ceiling_cover(&ceiling, 50, &after, &wanted), TN__CEILING_COVERED);
    assert_int_equal(after, 3);
    tn__ceiling_written(&ceiling, 2); /* an earlier write says nothing of this one */
    assert_int_equal(ceiling.durable, 50);
    tn__ceiling_written(&ceiling, 3);
    assert_int_equal(ceiling.durable, 150);
    assert_int_equal(tn__ceiling_cover(&ceiling, 149, &after, &wanted), TN__CEILING_COVERED);
    assert_int_equal(after, 0);
    tn__ceiling_check(&ceiling);
}

static void F1_it_is_raised_ahead_of_need(void **state)
{
    (void)state;
    struct tn__ceiling ceiling = at(1000);
    uint64_t wanted = 0;
    assert_false(tn__ceiling_should_raise(&ceiling, 900, &wanted));
    assert_true(tn__ceiling_should_raise(&ceiling, 960, &wanted));
    assert_int_equal(wanted, 1060);
    tn__ceiling_asked(&ceiling, wanted, 1);
    assert_false(tn__ceiling_should_raise(&ceiling, 960, &wanted)); /* under way */
}

static void F1_a_jump_past_a_write_in_flight_asks_for_another(void **state)
{
    (void)state;
    struct tn__ceiling ceiling = at(50);
    uint64_t after = 0, wanted = 0;
    tn__ceiling_cover(&ceiling, 50, &after, &wanted);
    tn__ceiling_asked(&ceiling, wanted, 1);
    assert_int_equal(tn__ceiling_cover(&ceiling, 5000, &after, &wanted), TN__CEILING_ASK);
    tn__ceiling_asked(&ceiling, wanted, 2);
    tn__ceiling_written(&ceiling, 1);
    assert_int_equal(ceiling.durable, 50); /* told less than it might: never more */
    tn__ceiling_written(&ceiling, 2);
    assert_int_equal(ceiling.durable, 5100);
}

static void F2_the_floor_is_the_largest_ballot_below_the_ceiling(void **state)
{
    (void)state;
    struct tn_ballot floor = tn__ceiling_floor(1000);
    struct tn_ballot highest = {999, UINT64_MAX - 1}, lowest = {1000, 1};
    assert_true(tn_ballot_compare(highest, floor) < 0);
    assert_true(tn_ballot_compare(lowest, floor) > 0);
    assert_true(tn_ballot_is_none(tn__ceiling_floor(0)));
}

static void F4_after_a_failed_write_ballots_at_or_above_it_are_not_answered(void **state)
{
    (void)state;
    struct tn__ceiling ceiling = at(50);
    uint64_t after = 0, wanted = 0;
    tn__ceiling_cover(&ceiling, 60, &after, &wanted);
    tn__ceiling_asked(&ceiling, wanted, 1);
    tn__ceiling_failed(&ceiling, 1, 777);
    assert_int_equal(tn__ceiling_cover(&ceiling, 60, &after, &wanted), TN__CEILING_SILENT);
    assert_int_equal(tn__ceiling_cover(&ceiling, 49, &after, &wanted), TN__CEILING_COVERED);
    tn__ceiling_asked(&ceiling, 200, 2);
    tn__ceiling_written(&ceiling, 2);
    assert_int_equal(tn__ceiling_cover(&ceiling, 60, &after, &wanted), TN__CEILING_COVERED);
    tn__ceiling_check(&ceiling);
}

static void a_diskless_node_covers_everything_and_never_writes(void **state)
{
    (void)state;
    struct tn__ceiling ceiling = {.stride = 100};
    uint64_t after = 0, wanted = 0;
    assert_int_equal(tn__ceiling_cover(&ceiling, UINT64_MAX - 1, &after, &wanted),
                     TN__CEILING_COVERED);
    assert_false(tn__ceiling_should_raise(&ceiling, UINT64_MAX - 1, &wanted));
    tn__ceiling_check(&ceiling);
}

static void the_ceiling_does_not_wrap(void **state)
{
    (void)state;
    struct tn__ceiling ceiling = at(UINT64_MAX - 10);
    uint64_t after = 0, wanted = 0;
    assert_int_equal(tn__ceiling_cover(&ceiling, UINT64_MAX - 5, &after, &wanted), TN__CEILING_ASK);
    assert_int_equal(wanted, UINT64_MAX);
    tn__ceiling_asked(&ceiling, wanted, 1);
    tn__ceiling_written(&ceiling, 1);
    assert_int_equal(tn__ceiling_cover(&ceiling, UINT64_MAX, &after, &wanted), TN__CEILING_SILENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(F1_below_the_ceiling_an_answer_leaves_at_once),
        cmocka_unit_test(F1_at_the_ceiling_it_waits_for_the_write_that_raises_it),
        cmocka_unit_test(F1_it_is_raised_ahead_of_need),
        cmocka_unit_test(F1_a_jump_past_a_write_in_flight_asks_for_another),
        cmocka_unit_test(F2_the_floor_is_the_largest_ballot_below_the_ceiling),
        cmocka_unit_test(F4_after_a_failed_write_ballots_at_or_above_it_are_not_answered),
        cmocka_unit_test(a_diskless_node_covers_everything_and_never_writes),
        cmocka_unit_test(the_ceiling_does_not_wrap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
