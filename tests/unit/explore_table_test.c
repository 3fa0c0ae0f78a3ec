/* The set of fingerprints of an exploration: what was put in is found, once, also after it grew and
 * when several threads put the same in. */
#define _POSIX_C_SOURCE 200809L

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <pthread.h>

#include <cmocka.h>

#include "base/random.h"
#include "check/explore_table.h"

#define PRINTS_COUNT 120000U

/* The same sequence for the same seed; some low words shared by two, to tell by the high word. */
static struct tn__explore_print print_next(uint64_t *random)
{
    uint64_t low = tn__random_next(random);
    struct tn__explore_print print = {.low = low | 1, .high = tn__random_next(random)};
    if (low % 64 == 0) {
        print.low = (low >> 58) + 1;
    }
    return print;
}

static void table_finds_what_was_put_in_also_after_growing(void **state)
{
    (void)state;
    struct tn__explore_table table;
    assert_true(tn__explore_table_init(&table, 0));
    for (uint32_t pass = 0; pass < 3; pass++) {
        uint64_t random = 42;
        for (uint32_t i = 0; i < PRINTS_COUNT; i++) {
            struct tn__explore_print print = print_next(&random);
            _Atomic uint32_t *where = NULL;
            tn__explore_table_prefetch(&table, print);
            bool fresh = tn__explore_table_insert(&table, print, i + 1, &where);
            assert_int_equal(fresh, pass == 0);
            assert_int_equal(atomic_load(where), i + 1);
        }
        /* By an odd amount, so that homes move by more than a doubling. */
        uint64_t before = tn__explore_table_bytes(&table);
        assert_true(tn__explore_table_grow(&table, before + before / 3));
        assert_true(tn__explore_table_bytes(&table) > before);
    }
    tn__explore_table_free(&table);
}

static void table_is_sized_by_the_hint(void **state)
{
    (void)state;
    struct tn__explore_table table;
    assert_true(tn__explore_table_init(&table, 3000000));
    assert_true(tn__explore_table_slots(&table) / 100 * 80 >= 3000000);
    assert_true(tn__explore_table_slots(&table) <= 2 * 3000000);
    tn__explore_table_free(&table);
}

struct racer {
    struct tn__explore_table *table;
    uint32_t number;
    uint32_t fresh_count;
};

static void *race(void *argument)
{
    struct racer *racer = argument;
    uint64_t random = 42;
    for (uint32_t i = 0; i < PRINTS_COUNT; i++) {
        _Atomic uint32_t *where = NULL;
        racer->fresh_count += tn__explore_table_insert(
            racer->table, print_next(&random), racer->number * PRINTS_COUNT + i + 1, &where);
    }
    return NULL;
}

static void table_lets_one_of_several_threads_in(void **state)
{
    (void)state;
    struct tn__explore_table table;
    assert_true(tn__explore_table_init(&table, 0));
    struct racer racers[4];
    pthread_t threads[4];
    for (uint32_t i = 0; i < 4; i++) {
        racers[i] = (struct racer){.table = &table, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    }
    uint32_t fresh_count = 0;
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        fresh_count += racers[i].fresh_count;
    }
    assert_int_equal(fresh_count, PRINTS_COUNT);
    tn__explore_table_free(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_finds_what_was_put_in_also_after_growing),
        cmocka_unit_test(table_is_sized_by_the_hint),
        cmocka_unit_test(table_lets_one_of_several_threads_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
