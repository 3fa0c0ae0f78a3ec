/* A few hundred seeds, those that once failed, and: same seed, same run.
 *
 * timeout: 600 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sim/simulation.h"

#define SEEDS 160U
#define SEED_FIRST 500000U

static struct tn__simulation *simulation;

static void run(uint64_t seed, struct tn__simulation_result *result)
{
    struct tn__simulation_request request = {.seed = seed};
    tn__simulation_run(simulation, &request, result);
    for (uint32_t i = 0; i < result->violations_count && i < TN_JUDGE_VIOLATIONS_MAX; i++) {
        print_message("# seed %llu: %s: %s\n", (unsigned long long)seed, result->violations[i].rule,
                      result->violations[i].text);
    }
    assert_int_equal(result->violations_count, 0);
}

static void No_seed_of_many_breaks_an_invariant_and_every_fault_happens(void **state)
{
    (void)state;
    struct tn__simulation_result result;
    uint64_t hits[TN_FAULTS_COUNT] = {0};
    uint64_t tenures = 0;
    print_message("# seeds %u to %u\n", SEED_FIRST, SEED_FIRST + SEEDS - 1);
    for (uint64_t seed = SEED_FIRST; seed < SEED_FIRST + SEEDS; seed++) {
        run(seed, &result);
        tenures += result.tenures;
        for (uint32_t i = 0; i < TN_FAULTS_COUNT; i++) {
            hits[i] += result.hits[i];
        }
    }
    assert_true(tenures > SEEDS);
    for (uint32_t i = 0; i < TN_FAULTS_COUNT; i++) {
        if (hits[i] == 0) {
            print_message("# never happened: %s\n", tn__fault_name((enum tn__fault)i));
        }
        assert_int_not_equal(hits[i], 0);
    }
}

static void Seeds_that_once_failed_pass(void **state)
{
    (void)state;
    FILE *file = fopen(TN_SOURCE_DIR "/tests/sim/seeds_regression.txt", "r");
    assert_non_null(file);
    char line[256];
    uint32_t seeds = 0;
    struct tn__simulation_result result;
    while (seeds < 1000 && fgets(line, sizeof(line), file) != NULL) {
        if (line[0] != '#') {
            run(strtoull(line, NULL, 10), &result);
            seeds++;
        }
    }
    fclose(file);
    assert_true(seeds > 0);
}

static void The_same_seed_is_the_same_run_and_another_is_not(void **state)
{
    (void)state;
    struct tn__simulation_result first;
    struct tn__simulation_result again;
    struct tn__simulation_result other;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        run(seed, &first);
        run(seed + 1, &other);
        run(seed, &again);
        assert_memory_equal(first.hash, again.hash, sizeof(first.hash));
        assert_int_equal(first.events, again.events);
        assert_memory_not_equal(first.hash, other.hash, sizeof(first.hash));
    }
}

static void Faults_left_off_do_not_happen(void **state)
{
    (void)state;
    struct tn__simulation_result result;
    struct tn__simulation_request request = {.seed = 3, .without = UINT64_MAX};
    tn__simulation_run(simulation, &request, &result);
    assert_int_equal(result.violations_count, 0);
    assert_int_equal(result.faults_on, 0);
    assert_int_equal(result.hits[TN_FAULT_LOSS] + result.hits[TN_FAULT_PAUSE], 0);
}

static int begin(void **state)
{
    (void)state;
    simulation = tn__simulation_new();
    return 0;
}

static int end(void **state)
{
    (void)state;
    tn__simulation_free(simulation);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(No_seed_of_many_breaks_an_invariant_and_every_fault_happens),
        cmocka_unit_test(Seeds_that_once_failed_pass),
        cmocka_unit_test(The_same_seed_is_the_same_run_and_another_is_not),
        cmocka_unit_test(Faults_left_off_do_not_happen),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
