/* Crowds: who waits for others, how long, and who wakes the loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "node/node_crowd.h"

#define WRITE_NS (100 * TN_MICROSECOND)

static struct tn__crowd crowd;
static tn_time now;

static void make(void)
{
    memset(&crowd, 0, sizeof(crowd));
    now = TN_SECOND;
}

/* The loop takes up so many calls that were left before. */
static void take(uint32_t count)
{
    crowd.taken += count;
}

/* The loop gives what it took up, and its batch goes to the disk. */
static void give(uint32_t count)
{
    crowd.flushed = crowd.taken;
    crowd.given += count;
    assert_true(tn__crowd_begin(&crowd, now));
}

/* So many calls come, are given, and the disk writes them. */
static void send_wave(uint32_t count)
{
    (void)tn__crowd_left(&crowd, count);
    take(count);
    give(count);
}

static void write_wave(void)
{
    now += WRITE_NS;
    tn__crowd_written(&crowd, now);
}

static void a_call_that_finds_nobody_waiting_wakes_the_loop_and_waits_for_nobody(void **state)
{
    (void)state;
    make();
    assert_true(tn__crowd_left(&crowd, 1));
    take(1);
    assert_false(tn__crowd_waits(&crowd, now));
    assert_int_equal(tn__crowd_until(&crowd), TN_TIME_NEVER);
}

static void a_batch_without_calls_begins_nothing_and_ends_nothing(void **state)
{
    (void)state;
    make();
    assert_false(tn__crowd_begin(&crowd, now));
    tn__crowd_written(&crowd, now);
    assert_false(crowd.reopened);
    assert_true(tn__crowd_left(&crowd, 1));
    take(1);
    give(TN_CROWD_WAVE_MIN);
    write_wave();
    tn_time until = tn__crowd_until(&crowd);
    now += WRITE_NS;
    tn__crowd_written(&crowd, now); /* of another batch: the wave is waited for no longer by it */
    assert_int_equal(tn__crowd_until(&crowd), until);
    assert_true(tn__crowd_waits(&crowd, now));
}

static void calls_wait_while_the_disk_writes_a_wave_and_wake_nobody(void **state)
{
    (void)state;
    make();
    send_wave(1);
    assert_false(tn__crowd_left(&crowd, 1));
    take(1);
    assert_true(tn__crowd_waits(&crowd, now));
    assert_false(tn__crowd_left(&crowd, 100)); /* enough, but the disk is not done */
}

static void after_a_small_wave_nobody_waits(void **state)
{
    (void)state;
    make();
    send_wave(TN_CROWD_WAVE_MIN - 1);
    assert_false(tn__crowd_left(&crowd, 1));
    take(1);
    write_wave();
    assert_true(crowd.reopened);
    assert_false(tn__crowd_waits(&crowd, now));
    assert_true(tn__crowd_left(&crowd, 1));
}

static void a_large_wave_is_waited_for_and_the_call_that_completes_it_wakes_the_loop(void **state)
{
    (void)state;
    make();
    send_wave(TN_CROWD_WAVE_MIN);
    assert_false(tn__crowd_left(&crowd, 2));
    write_wave();
    take(2);
    assert_true(tn__crowd_waits(&crowd, now));
    assert_false(tn__crowd_left(&crowd, TN_CROWD_WAVE_MIN - 3));
    take(TN_CROWD_WAVE_MIN - 3);
    assert_true(tn__crowd_waits(&crowd, now));
    assert_true(tn__crowd_left(&crowd, 1));
    take(1);
    assert_false(tn__crowd_waits(&crowd, now));
    assert_true(crowd.reopened);
    assert_int_equal(tn__crowd_until(&crowd), TN_TIME_NEVER);
}

static void calls_left_while_a_wave_is_given_count_for_the_next_one(void **state)
{
    (void)state;
    make();
    (void)tn__crowd_left(&crowd, TN_CROWD_WAVE_MIN);
    take(TN_CROWD_WAVE_MIN);
    (void)tn__crowd_left(&crowd, 2); /* the list was taken: these are in the next one */
    give(TN_CROWD_WAVE_MIN);
    write_wave();
    assert_false(tn__crowd_left(&crowd, TN_CROWD_WAVE_MIN - 3));
    assert_true(tn__crowd_left(&crowd, 1));
}

static void no_call_waits_longer_than_so_many_times_what_the_write_took(void **state)
{
    (void)state;
    make();
    send_wave(TN_CROWD_WAVE_MIN);
    write_wave();
    tn_time until = now + TN_CROWD_PATIENCE * WRITE_NS;
    assert_int_equal(tn__crowd_until(&crowd), until);
    assert_true(tn__crowd_waits(&crowd, until - 1));
    assert_false(tn__crowd_waits(&crowd, until));
    assert_true(tn__crowd_left(&crowd, 1));
}

static void no_call_waits_longer_than_the_bound_however_slow_the_disk_is(void **state)
{
    (void)state;
    make();
    send_wave(TN_CROWD_WAVE_MIN);
    tn_time until = now + TN_CROWD_NS;
    assert_int_equal(tn__crowd_until(&crowd), until);
    now = until - 2 * WRITE_NS;
    write_wave();
    assert_int_equal(tn__crowd_until(&crowd), until); /* a patience of four writes is longer */
    assert_true(tn__crowd_waits(&crowd, until - 1));
    assert_false(tn__crowd_waits(&crowd, until));
}

static void so_many_calls_do_not_wait_even_for_the_disk(void **state)
{
    (void)state;
    make();
    send_wave(1);
    take(TN_CROWD_CALLS_MAX - 1);
    assert_true(tn__crowd_waits(&crowd, now));
    take(1);
    assert_false(tn__crowd_waits(&crowd, now));
}

static void the_bound_of_calls_is_of_those_that_wait(void **state)
{
    (void)state;
    make();
    send_wave(TN_CROWD_CALLS_MAX);
    take(1);
    assert_true(tn__crowd_waits(&crowd, now));
}

static void a_log_that_failed_is_waited_for_by_nobody(void **state)
{
    (void)state;
    make();
    send_wave(TN_CROWD_WAVE_MIN);
    tn__crowd_end(&crowd);
    assert_false(tn__crowd_waits(&crowd, now));
    assert_true(tn__crowd_left(&crowd, 1));
}

static void counts_wrap_around(void **state)
{
    (void)state;
    make();
    atomic_store(&crowd.left, UINT32_MAX - 5);
    crowd.taken = UINT32_MAX - 5;
    crowd.flushed = crowd.taken;
    send_wave(TN_CROWD_WAVE_MIN); /* past the end */
    write_wave();
    assert_false(tn__crowd_left(&crowd, TN_CROWD_WAVE_MIN - 1));
    assert_true(tn__crowd_left(&crowd, 1));
    make();
    atomic_store(&crowd.left, UINT32_MAX - TN_CROWD_WAVE_MIN - 5);
    crowd.taken = UINT32_MAX - TN_CROWD_WAVE_MIN - 5;
    crowd.flushed = crowd.taken;
    send_wave(TN_CROWD_WAVE_MIN); /* the next one goes past it */
    write_wave();
    assert_false(tn__crowd_left(&crowd, 1)); /* the goal is past it, the count is not */
    assert_false(tn__crowd_left(&crowd, TN_CROWD_WAVE_MIN - 2));
    take(TN_CROWD_WAVE_MIN - 1);
    assert_true(tn__crowd_waits(&crowd, now));
    assert_true(tn__crowd_left(&crowd, 1));
    take(1);
    assert_false(tn__crowd_waits(&crowd, now));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_that_finds_nobody_waiting_wakes_the_loop_and_waits_for_nobody),
        cmocka_unit_test(a_batch_without_calls_begins_nothing_and_ends_nothing),
        cmocka_unit_test(calls_wait_while_the_disk_writes_a_wave_and_wake_nobody),
        cmocka_unit_test(after_a_small_wave_nobody_waits),
        cmocka_unit_test(a_large_wave_is_waited_for_and_the_call_that_completes_it_wakes_the_loop),
        cmocka_unit_test(calls_left_while_a_wave_is_given_count_for_the_next_one),
        cmocka_unit_test(no_call_waits_longer_than_so_many_times_what_the_write_took),
        cmocka_unit_test(no_call_waits_longer_than_the_bound_however_slow_the_disk_is),
        cmocka_unit_test(so_many_calls_do_not_wait_even_for_the_disk),
        cmocka_unit_test(the_bound_of_calls_is_of_those_that_wait),
        cmocka_unit_test(a_log_that_failed_is_waited_for_by_nobody),
        cmocka_unit_test(counts_wrap_around),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
