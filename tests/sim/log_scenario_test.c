/* Stories of a log: what the verbs do that the stories of tests/scenarios do not show, what the
 * judge sees, and commands that are wrong. The stories themselves are played by scenario_test.c. */
#include "sim/log_scenario.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "sim/scenario.h"

static void play_text(const char *text, struct tn__scenario_result *result)
{
    tn__scenario_play(text, strlen(text), result);
}

/* Plays without an error, and its text has this. */
static void expect(const char *text, const char *wanted, uint32_t violations)
{
    struct tn__scenario_result result;
    play_text(text, &result);
    if (result.errors_count != 0 || result.violations_count != violations ||
        strstr(result.text.bytes, wanted) == NULL) {
        print_error("wanted: %s\n%s", wanted, result.text.bytes);
    }
    assert_int_equal(result.errors_count, 0);
    assert_int_equal(result.violations_count, violations);
    assert_non_null(strstr(result.text.bytes, wanted));
    tn__scenario_result_free(&result);
}

/* ---- Disks ----------------------------------------------------------------------------------- */

static void test_P1_and_P6_a_disk_that_lies_is_seen_by_the_judge(void **state)
{
    (void)state;
    static const char text[] = "log nodes=3\n\nlead node=1 token=7\n\npropose node=1 value=a\n\n"
                               "deliver kind=accept\n\ncrash node=3\n\ndisk node=3 alter slot=1\n\n"
                               "restart node=3\n\ndeliver kind=accepted\n\nadvance 50ms\n\n"
                               "deliver kind=heartbeat\n\n";
    expect(text, "!! 3 inv.P1: slot 1 is no-op here, and a at 1", 2);
    expect(text, "!! 3 inv.P6", 2);
}

#define UNDER_WAY                                                                                  \
    "log nodes=3\n\nlead node=1 token=7\n\ndisk node=2 wait\n\npropose node=1 value=a\n\n"         \
    "drop to=3\n\ndeliver\n\n"

static void test_V3_an_answer_waits_for_the_disk(void **state)
{
    (void)state;
    expect(UNDER_WAY, "2 V2 writes 1: a under 7.1.1, and says nothing yet", 0);
    expect(UNDER_WAY "deliver any\n\ndisk node=2 finish\n\ndeliver\n",
           "1 N3 has a majority: commits 1: a", 0);
    expect(UNDER_WAY "disk node=2 fail\n", "2 incident: its disk failed (node 2)", 0);
}

static void test_W3_a_crash_loses_what_was_not_durable_unless_the_disk_kept_it(void **state)
{
    (void)state;
    expect(UNDER_WAY "crash node=2\n\nrestart node=2\n",
           "2 W3 starts, run 2: promise 7.1.1, committed 0, accepted 0", 0);
    expect(UNDER_WAY "crash node=2 disk=keep\n\nrestart node=2\n",
           "2 W3 starts, run 2: promise 7.1.1, committed 0, accepted 1", 0);
}

/* ---- Messages -------------------------------------------------------------------------------- */

static void test_a_vote_that_comes_twice_counts_once(void **state)
{
    (void)state;
    expect("log nodes=5\n\nlead node=1 token=7\n\npropose node=1 value=a\n\ndrop to=3,4,5\n\n"
           "deliver\n\nduplicate kind=accepted\n\ndeliver\n\nshow log node=1\n",
           "1 accepted 1: a (7.1.1)\n", 0);
}

static void test_a_word_of_an_earlier_run_arrives_as_such(void **state)
{
    (void)state;
    expect("log nodes=3\n\nlead node=1 token=7\n\npropose node=1 value=a\n\nhold to=2\n\n"
           "crash node=1\n\nrestart node=1 connect\n\nsettle\n\ndeliver held\n\nshow log node=2\n",
           "2 empty", 0);
}

static void test_a_learner_learns_and_does_not_vote(void **state)
{
    (void)state;
    expect("log nodes=3 voters=1,2 learners=3\n\nlead node=1 token=7\n\n"
           "propose node=1 value=a\n\ndrop to=2\n\nsettle\n\nshow log node=1\n",
           "1 accepted 1: a (7.1.1)\n", 0);
    expect("log nodes=3 voters=1,2 learners=3\n\nlead node=1 token=7\n\n"
           "write node=1 value=a\n\nshow log node=3\n",
           "3 committed 1: a\n", 0);
}

static void test_N4_what_was_cancelled_in_time_is_not_chosen(void **state)
{
    (void)state;
    expect("log nodes=3\n\npropose node=2 value=a\n\ncancel node=2 value=a\n",
           "2 N4 a: not chosen, cancelled", 0);
}

static void test_two_owners_at_once_and_the_larger_token_wins(void **state)
{
    (void)state;
    expect("log nodes=3\n\nlead node=1 token=7\n\nlead node=2 token=8\n\nstatus node=1\n",
           "1 follows 2, committed 0, promise 8.1.2", 0);
}

static void test_options_that_the_machine_refuses_are_refused_with_the_reason(void **state)
{
    (void)state;
    struct tn__scenario_result result;
    play_text("log window=9\n", &result);
    assert_int_equal(result.errors_count, 0);
    assert_non_null(strstr(result.text.bytes, "refused: window_slots must be a power of two"));
    assert_null(result.sequence);
    tn__scenario_result_free(&result);
}

/* ---- Commands that are wrong ----------------------------------------------------------------- */

static void test_a_command_that_cannot_be_done_is_an_error_that_says_why(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *complaint;
    } cases[] = {
        {"log nodes=9\n", "out of range"},
        {"log mode=idle\n", "neither leased nor free"},
        {"log voters=4\n", "is not a list of nodes"},
        {"log\n\nlog\n", "?? there is a cluster already"},
        {"log\n\ncluster\n", "?? there is a cluster already"},
        {"log\n\nacquire node=1\n", "?? this verb is none of a log's story"},
        {"log\n\ntenure node=1\n", "?? token= is missing"},
        {"log\n\nlead node=1\n", "?? node 1 does not lead"},
        {"log\n\nwrite node=1 value=a\n", "?? it is not committed"},
        {"log\n\npropose node=1\n", "?? value= is missing"},
        {"log\n\npropose node=1 value=a,,b\n", "?? a value has 1 to 23 characters"},
        {"log\n\npropose node=4 value=a\n", "is not a list of nodes"},
        {"log\n\ncancel node=1 value=a\n", "?? no such value was proposed there"},
        {"log\n\nreconfigure node=1\n", "?? voters= is missing"},
        {"log\n\ncrash node=1 disk=burnt\n", "is neither keep nor lose"},
        {"log\n\ndisk node=1 finish\n", "?? node 1 is not writing"},
        {"log\n\ndisk node=1 fail\n", "?? node 1 is not writing"},
        {"log\n\ndisk node=1 sing\n", "?? the disk shall wait"},
        {"log\n\ndisk node=1 alter slot=1\n", "?? only what lies on the disk"},
        {"log\n\nrestart node=1\n", "?? node 1 is up"},
        {"log\n\nshow\n", "?? show log?"},
        {"log\n\ndeliver\n", "?? no such message is in flight"},
        {"log\n\ndeliver kind=closed\n", "is not a list of kinds"},
        {"log\n\nsplit 1,2 4\n", "is not a list of nodes"},
        {"log\n\nadvance to=5s\n\nadvance to=1s\n", "?? that is past"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct tn__scenario_result result;
        play_text(cases[i].text, &result);
        if (strstr(result.text.bytes, cases[i].complaint) == NULL) {
            print_error("%s\n%s", cases[i].text, result.text.bytes);
        }
        assert_int_equal(result.errors_count, 1);
        assert_non_null(strstr(result.text.bytes, cases[i].complaint));
        tn__scenario_result_free(&result);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_P1_and_P6_a_disk_that_lies_is_seen_by_the_judge),
        cmocka_unit_test(test_V3_an_answer_waits_for_the_disk),
        cmocka_unit_test(test_W3_a_crash_loses_what_was_not_durable_unless_the_disk_kept_it),
        cmocka_unit_test(test_a_vote_that_comes_twice_counts_once),
        cmocka_unit_test(test_a_word_of_an_earlier_run_arrives_as_such),
        cmocka_unit_test(test_a_learner_learns_and_does_not_vote),
        cmocka_unit_test(test_N4_what_was_cancelled_in_time_is_not_chosen),
        cmocka_unit_test(test_two_owners_at_once_and_the_larger_token_wins),
        cmocka_unit_test(test_options_that_the_machine_refuses_are_refused_with_the_reason),
        cmocka_unit_test(test_a_command_that_cannot_be_done_is_an_error_that_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
