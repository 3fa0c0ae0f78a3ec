/* The configuration cell: F3. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "paxos/configuration.h"

#define QUARANTINE 10

static struct tn__configuration at(uint32_t version)
{
    return (struct tn__configuration){.version = version};
}

static bool is_silent(const struct tn__configuration *configuration, tn_time now)
{
    return !tn__configuration_answers(configuration, now);
}

static void F3_one_version_is_spoken_for_and_no_other(void **state)
{
    (void)state;
    struct tn__configuration configuration = at(3);
    assert_true(tn__configuration_takes(&configuration, 3));
    assert_false(tn__configuration_takes(&configuration, 2));
    assert_false(tn__configuration_takes(&configuration, 4));
    assert_true(tn__configuration_answers(&configuration, 0));
    assert_true(tn__configuration_attempts(&configuration));
}

static void F3_who_leaves_is_silent_at_once_and_has_left_when_that_is_durable(void **state)
{
    (void)state;
    struct tn__configuration configuration = at(1);
    assert_int_equal(tn__configuration_leave(&configuration), TN__CONFIGURATION_ASK);
    assert_int_equal(tn__configuration_record_left(&configuration), 1);
    assert_int_equal(tn__configuration_record_version(&configuration), 1);
    tn__configuration_asked(&configuration, 7);
    tn__configuration_check(&configuration);
    assert_true(is_silent(&configuration, 0));
    assert_false(tn__configuration_attempts(&configuration));
    assert_int_equal(tn__configuration_leave(&configuration), TN__CONFIGURATION_UNDER_WAY);
    assert_int_equal(tn__configuration_join(&configuration, 2, 0, false),
                     TN__CONFIGURATION_REFUSED);
    assert_int_equal(tn__configuration_written(&configuration, 6, 0, QUARANTINE),
                     TN__CONFIGURATION_SAME);
    assert_int_equal(configuration.left, 0);
    assert_int_equal(tn__configuration_written(&configuration, 7, 0, QUARANTINE),
                     TN__CONFIGURATION_LEFT);
    assert_int_equal(configuration.left, 1);
    assert_true(is_silent(&configuration, 1000));
    assert_false(tn__configuration_attempts(&configuration));
    tn__configuration_check(&configuration);
}

static void F3_who_joins_is_silent_until_that_is_durable_and_then_answers(void **state)
{
    (void)state;
    struct tn__configuration configuration = at(1);
    configuration.left = 1;
    assert_int_equal(tn__configuration_join(&configuration, 2, 55, false), TN__CONFIGURATION_ASK);
    tn__configuration_asked(&configuration, 1);
    assert_int_equal(tn__configuration_record_version(&configuration), 2);
    assert_int_equal(tn__configuration_record_left(&configuration), 0);
    assert_true(is_silent(&configuration, 0));
    assert_false(tn__configuration_attempts(&configuration));
    assert_true(tn__configuration_takes(&configuration, 1)); /* and answers nothing */
    assert_int_equal(tn__configuration_leave(&configuration), TN__CONFIGURATION_REFUSED);
    assert_int_equal(tn__configuration_written(&configuration, 1, 5, QUARANTINE),
                     TN__CONFIGURATION_JOINED);
    assert_int_equal(configuration.joining_ceiling, 55);
    assert_true(tn__configuration_takes(&configuration, 2));
    assert_false(tn__configuration_takes(&configuration, 1));
    assert_true(tn__configuration_answers(&configuration, 5)); /* one member: nothing to wait for */
    assert_true(tn__configuration_attempts(&configuration));
}

static void F3_a_larger_step_is_silent_for_D_Q(void **state)
{
    (void)state;
    struct tn__configuration configuration = at(1);
    assert_int_equal(tn__configuration_join(&configuration, 2, 0, true), TN__CONFIGURATION_ASK);
    tn__configuration_asked(&configuration, 1);
    assert_int_equal(tn__configuration_written(&configuration, 3, 5, QUARANTINE),
                     TN__CONFIGURATION_JOINED);
    assert_true(is_silent(&configuration, 5));
    assert_true(is_silent(&configuration, 5 + QUARANTINE - 1));
    assert_true(tn__configuration_answers(&configuration, 5 + QUARANTINE));
    assert_int_equal(tn__configuration_join(&configuration, 3, 0, false), TN__CONFIGURATION_ASK);
    tn__configuration_asked(&configuration, 4);
    assert_int_equal(tn__configuration_written(&configuration, 4, 6, QUARANTINE),
                     TN__CONFIGURATION_JOINED);
    assert_true(is_silent(&configuration, 6)); /* a small step shortens no wait */
    assert_true(tn__configuration_answers(&configuration, 5 + QUARANTINE));
}

static void F3_an_older_version_or_the_same_is_never_joined(void **state)
{
    (void)state;
    struct tn__configuration configuration = at(4);
    assert_int_equal(tn__configuration_join(&configuration, 3, 0, false),
                     TN__CONFIGURATION_REFUSED);
    assert_int_equal(tn__configuration_join(&configuration, 4, 0, false),
                     TN__CONFIGURATION_REFUSED);
    assert_int_equal(configuration.joining, 0);
    assert_int_equal(tn__configuration_join(&configuration, 6, 0, false), TN__CONFIGURATION_ASK);
    tn__configuration_asked(&configuration, 1);
    assert_int_equal(tn__configuration_join(&configuration, 7, 0, false),
                     TN__CONFIGURATION_REFUSED);
    assert_int_equal(configuration.joining, 6);
}

static void F3_after_a_failed_write_a_leave_stays_silent_and_a_join_changes_nothing(void **state)
{
    (void)state;
    struct tn__configuration configuration = at(1);
    assert_int_equal(tn__configuration_join(&configuration, 2, 0, false), TN__CONFIGURATION_ASK);
    tn__configuration_asked(&configuration, 1);
    tn__configuration_failed(&configuration, 2, 2); /* another's */
    assert_int_equal(configuration.joining, 2);
    tn__configuration_failed(&configuration, 1, 1);
    tn__configuration_check(&configuration);
    assert_true(tn__configuration_takes(&configuration, 1));
    assert_true(tn__configuration_answers(&configuration, 0));
    assert_int_equal(tn__configuration_leave(&configuration), TN__CONFIGURATION_ASK);
    tn__configuration_asked(&configuration, 2);
    tn__configuration_failed(&configuration, 2, 2);
    tn__configuration_check(&configuration);
    assert_true(is_silent(&configuration, 0)); /* the disk may say that it has left */
    assert_int_equal(tn__configuration_written(&configuration, 9, 0, QUARANTINE),
                     TN__CONFIGURATION_SAME);
    assert_int_equal(tn__configuration_leave(&configuration), TN__CONFIGURATION_ASK);
}

static void F3_when_a_later_record_says_the_same_it_decides(void **state)
{
    (void)state;
    struct tn__configuration configuration = at(1);
    assert_int_equal(tn__configuration_join(&configuration, 2, 0, false), TN__CONFIGURATION_ASK);
    tn__configuration_asked(&configuration, 4);
    tn__configuration_failed(&configuration, 4, 6);
    tn__configuration_check(&configuration);
    assert_true(is_silent(&configuration, 0)); /* record 6 may open version 2 */
    assert_int_equal(tn__configuration_written(&configuration, 5, 0, QUARANTINE),
                     TN__CONFIGURATION_SAME);
    assert_int_equal(tn__configuration_written(&configuration, 6, 0, QUARANTINE),
                     TN__CONFIGURATION_JOINED);
    assert_true(tn__configuration_takes(&configuration, 2));

    assert_int_equal(tn__configuration_leave(&configuration), TN__CONFIGURATION_ASK);
    tn__configuration_asked(&configuration, 7);
    tn__configuration_failed(&configuration, 7, 8);
    tn__configuration_failed(&configuration, 8, 8); /* and that one failed too */
    tn__configuration_check(&configuration);
    assert_true(is_silent(&configuration, 0));
    assert_int_equal(configuration.leaving, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(F3_one_version_is_spoken_for_and_no_other),
        cmocka_unit_test(F3_who_leaves_is_silent_at_once_and_has_left_when_that_is_durable),
        cmocka_unit_test(F3_who_joins_is_silent_until_that_is_durable_and_then_answers),
        cmocka_unit_test(F3_a_larger_step_is_silent_for_D_Q),
        cmocka_unit_test(F3_an_older_version_or_the_same_is_never_joined),
        cmocka_unit_test(F3_after_a_failed_write_a_leave_stays_silent_and_a_join_changes_nothing),
        cmocka_unit_test(F3_when_a_later_record_says_the_same_it_decides),
    };
    return cmocka_run_group_tests_name("configuration", tests, NULL, NULL);
}
