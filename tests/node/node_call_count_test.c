/* How many calls are under way: counted by two words that several threads write. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "node/node_call_count.h"
#include "support/slow_build.h"

#define CALLS_MAX 8U
#define BYTES_MAX 1000U

static struct tn__call_count count;

static void make(void)
{
    memset(&count, 0, sizeof(count));
}

static bool add(uint32_t calls, uint64_t bytes)
{
    return tn__call_count_add(&count, calls, bytes, CALLS_MAX, BYTES_MAX);
}

static void N6_so_many_calls_are_under_way_and_no_more(void **state)
{
    (void)state;
    make();
    assert_true(add(5, 50));
    assert_int_equal(tn__call_count_now(&count), 5);
    assert_false(add(4, 1));
    assert_true(add(3, 1));
    assert_int_equal(tn__call_count_now(&count), 8);
    assert_false(add(1, 0));
    tn__call_count_end(&count, 1, 1);
    assert_int_equal(tn__call_count_now(&count), 7);
    assert_true(add(1, 0)); /* it has to look again for that */
    assert_false(add(1, 0));
}

static void N6_bytes_are_bounded_but_a_value_alone_is_never_too_long(void **state)
{
    (void)state;
    make();
    assert_true(add(1, 600));
    assert_false(add(1, 401));
    assert_true(add(1, 400));
    tn__call_count_end(&count, 1, 600);
    tn__call_count_end(&count, 1, 400);
    assert_true(add(1, 5000));
    assert_false(add(1, 1));
    assert_int_equal(tn__call_count_now(&count), 1);
    tn__call_count_end(&count, 1, 5000);
    assert_true(add(1, 1));
}

static void what_is_refused_leaves_nothing_behind(void **state)
{
    (void)state;
    make();
    assert_true(add(CALLS_MAX, 100));
    for (uint32_t i = 0; i < 100; i++) {
        assert_false(add(1, 900));
    }
    assert_int_equal(tn__call_count_now(&count), CALLS_MAX);
    tn__call_count_end(&count, CALLS_MAX, 100);
    assert_int_equal(tn__call_count_now(&count), 0);
    assert_true(add(CALLS_MAX, BYTES_MAX));
}

/* The bytes that ever came carry into the count of calls, in both words alike, and both wrap. */
static void words_carry_and_wrap_alike(void **state)
{
    (void)state;
    make();
    atomic_store(&count.came, UINT64_MAX - 300);
    atomic_store(&count.ended, UINT64_MAX - 300);
    atomic_store(&count.seen, UINT64_MAX - 300);
    for (uint32_t i = 0; i < 100; i++) {
        assert_true(add(CALLS_MAX, BYTES_MAX));
        assert_false(add(1, 0));
        assert_int_equal(tn__call_count_now(&count), CALLS_MAX);
        tn__call_count_end(&count, CALLS_MAX - 1, BYTES_MAX - 1);
        assert_int_equal(tn__call_count_now(&count), 1);
        tn__call_count_end(&count, 1, 1);
        assert_int_equal(tn__call_count_now(&count), 0);
    }
    atomic_store(&count.came, TN__CALLS_ONE - 1); /* one byte below a carry */
    atomic_store(&count.ended, TN__CALLS_ONE - 1);
    atomic_store(&count.seen, TN__CALLS_ONE - 1);
    assert_true(add(1, BYTES_MAX));
    assert_int_equal(tn__call_count_now(&count), 1);
    assert_false(add(1, 1));
    tn__call_count_end(&count, 1, BYTES_MAX);
    assert_int_equal(tn__call_count_now(&count), 0);
}

/* Each thread has at most one call under way: nobody is ever refused, and nothing is lost. */
#define THREADS 4U

struct worker {
    pthread_t thread;
    uint32_t refused;
    uint32_t number;
};

static void *work(void *argument)
{
    struct worker *worker = argument;
    uint32_t rounds = TN_SLOW_BUILD ? 20000 : 200000;
    for (uint32_t i = 0; i < rounds; i++) {
        uint64_t bytes = (i * 7 + worker->number) % 100;
        if (tn__call_count_add(&count, 1, bytes, THREADS, 100 * THREADS)) {
            tn__call_count_end(&count, 1, bytes);
        } else {
            worker->refused += 1;
        }
    }
    return NULL;
}

static void threads_that_keep_to_the_bounds_are_never_refused(void **state)
{
    (void)state;
    struct worker workers[THREADS] = {0};
    make();
    for (uint32_t i = 0; i < THREADS; i++) {
        workers[i].number = i;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
        assert_int_equal(workers[i].refused, 0);
    }
    assert_int_equal(atomic_load(&count.came), atomic_load(&count.ended));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(N6_so_many_calls_are_under_way_and_no_more),
        cmocka_unit_test(N6_bytes_are_bounded_but_a_value_alone_is_never_too_long),
        cmocka_unit_test(what_is_refused_leaves_nothing_behind),
        cmocka_unit_test(words_carry_and_wrap_alike),
        cmocka_unit_test(threads_that_keep_to_the_bounds_are_never_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
