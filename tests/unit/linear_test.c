/* The judges of linearizability: known verdicts, seeded anomalies, and random histories compared
 * with an exhaustive third judge that only knows the definition. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "check/linear.h"

#define NEVER TN_LINEAR_NEVER
#define SMALL_MAX 8U

#define READ(client, called, returned, index, result)                                              \
    {                                                                                              \
        called, returned, index, 0, 0, result, client, 0, TN_LINEAR_READ, 0                        \
    }
#define PUT(client, called, returned, index, value)                                                \
    {                                                                                              \
        called, returned, index, value, 0, 0, client, 0, TN_LINEAR_PUT, 0                          \
    }
#define SWAP(client, called, returned, index, old, value, result)                                  \
    {                                                                                              \
        called, returned, index, value, old, result, client, 0, TN_LINEAR_SWAP, 0                  \
    }

typedef struct tn__linear_operation operation;

#define EXPECT(witness, search, ...)                                                               \
    do {                                                                                           \
        const operation history[] = {__VA_ARGS__};                                                 \
        expect(history, sizeof(history) / sizeof(history[0]), witness, search);                    \
    } while (0)

static void expect(const operation *history, size_t count, enum tn__linear_verdict witness,
                   enum tn__linear_verdict search)
{
    struct tn__linear_report report;
    assert_int_equal(tn__linear_witness(history, count, &report), witness);
    assert_int_equal(report.why[0] != '\0', witness != TN_LINEAR_YES);
    assert_int_equal(tn__linear_search(history, count, 0, &report), search);
    assert_int_equal(report.why[0] != '\0', search != TN_LINEAR_YES);
}

static void good_histories_pass(void **state)
{
    (void)state;
    EXPECT(TN_LINEAR_YES, TN_LINEAR_YES, READ(1, 1, 2, 0, 0));
    EXPECT(TN_LINEAR_YES, TN_LINEAR_YES, PUT(1, 1, 2, 1, 7), READ(2, 3, 4, 1, 7));
    /* A read beside a write may see either. */
    EXPECT(TN_LINEAR_YES, TN_LINEAR_YES, PUT(1, 1, 9, 1, 7), READ(2, 3, 4, 0, 0));
    EXPECT(TN_LINEAR_YES, TN_LINEAR_YES, PUT(1, 1, 9, 1, 7), READ(2, 3, 4, 1, 7));
    /* Reads of one slot commute, whoever was first. */
    EXPECT(TN_LINEAR_YES, TN_LINEAR_YES, PUT(1, 1, 2, 1, 7), READ(2, 5, 9, 1, 7),
           READ(3, 3, 4, 1, 7));
    /* An unfinished write may have happened, late, or not at all. */
    EXPECT(TN_LINEAR_YES, TN_LINEAR_YES, PUT(1, 1, NEVER, 2, 7), READ(2, 3, 4, 0, 0),
           READ(2, 5, 6, 2, 7));
    EXPECT(TN_LINEAR_YES, TN_LINEAR_YES, PUT(1, 1, NEVER, 0, 7), READ(2, 3, 4, 0, 0));
    EXPECT(TN_LINEAR_YES, TN_LINEAR_YES, SWAP(1, 1, 2, 1, 0, 5, 1), SWAP(2, 1, 3, 2, 0, 6, 0),
           READ(1, 4, 5, 2, 5));
    EXPECT(TN_LINEAR_YES, TN_LINEAR_YES, SWAP(1, 1, NEVER, 1, 0, 5, 0), READ(2, 2, 3, 1, 5));
}

static void stale_read_is_found(void **state)
{
    (void)state;
    EXPECT(TN_LINEAR_NO, TN_LINEAR_NO, PUT(1, 1, 2, 1, 7), READ(2, 3, 4, 0, 0));
}

static void lost_update_is_found(void **state)
{
    (void)state;
    EXPECT(TN_LINEAR_NO, TN_LINEAR_NO, SWAP(1, 1, 2, 1, 0, 5, 1), SWAP(2, 3, 4, 2, 0, 6, 1));
}

static void dirty_read_is_found(void **state)
{
    (void)state; /* of a value that nobody wrote */
    EXPECT(TN_LINEAR_NO, TN_LINEAR_NO, PUT(1, 1, 2, 1, 7), READ(2, 3, 4, 1, 8));
}

static void write_applied_twice_is_found(void **state)
{
    (void)state;
    EXPECT(TN_LINEAR_NO, TN_LINEAR_NO, PUT(1, 1, 2, 1, 7), PUT(2, 3, 4, 2, 8), READ(3, 5, 6, 2, 8),
           READ(3, 7, 8, 3, 7));
}

static void split_brain_is_found(void **state)
{
    (void)state; /* two sides each see their own write alone */
    EXPECT(TN_LINEAR_NO, TN_LINEAR_NO, PUT(1, 1, 2, 1, 7), PUT(2, 1, 2, 2, 8), READ(1, 3, 4, 1, 7),
           READ(2, 3, 4, 2, 8), READ(1, 5, 6, 1, 7));
}

static void value_going_back_is_found(void **state)
{
    (void)state;
    EXPECT(TN_LINEAR_NO, TN_LINEAR_NO, PUT(1, 1, 9, 1, 7), READ(2, 2, 3, 1, 7),
           READ(3, 4, 5, 0, 0));
}

static void results_swapped_between_clients_are_found(void **state)
{
    (void)state;
    EXPECT(TN_LINEAR_NO, TN_LINEAR_NO, PUT(1, 1, 2, 1, 7), READ(1, 3, 4, 2, 8), PUT(2, 5, 6, 2, 8),
           READ(2, 7, 8, 1, 7));
}

static void false_outcome_of_a_swap_is_found(void **state)
{
    (void)state;
    EXPECT(TN_LINEAR_NO, TN_LINEAR_NO, PUT(1, 1, 2, 1, 7), SWAP(2, 3, 4, 2, 7, 9, 0));
}

static void read_of_a_write_not_called_yet_is_found(void **state)
{
    (void)state;
    EXPECT(TN_LINEAR_NO, TN_LINEAR_NO, READ(2, 1, 2, 1, 7), PUT(1, 3, 4, 1, 7));
}

static void acknowledged_write_that_is_in_no_slot_is_found_by_the_witness(void **state)
{
    (void)state;
    EXPECT(TN_LINEAR_NO, TN_LINEAR_YES, PUT(1, 1, 2, 0, 7));
    EXPECT(TN_LINEAR_NO, TN_LINEAR_YES, PUT(1, 1, 2, 1, 7), PUT(2, 3, 4, 1, 8));
}

static void order_between_keys_is_the_witness_alone(void **state)
{
    (void)state; /* per key all is well, and so it is as a whole: linearizability is local */
    operation history[] = {PUT(1, 1, 2, 2, 7), PUT(1, 3, 4, 1, 8)};
    struct tn__linear_report report;
    history[1].key = 1;
    assert_int_equal(tn__linear_witness(history, 2, &report),
                     TN_LINEAR_NO); /* slots against time */
    assert_int_equal(tn__linear_search(history, 2, 0, &report), TN_LINEAR_YES);
}

static void budget_that_runs_out_is_told(void **state)
{
    (void)state;
    operation history[24];
    struct tn__linear_report report;
    for (uint32_t i = 0; i < 23; i++) {
        history[i] = (operation)PUT(i, 1, 100, i + 1, i + 1);
    }
    history[23] = (operation)READ(23, 200, 201, 23, 99);
    assert_int_equal(tn__linear_search(history, 24, 1000, &report), TN_LINEAR_UNDECIDED);
    assert_true(report.tried >= 1000);
}

/* ---- The third judge: every order of at most eight operations -------------------------------- */

static bool fits(uint64_t *value, const operation *one)
{
    bool returned = one->returned != NEVER;
    if (one->kind == TN_LINEAR_READ) {
        return !returned || one->result == *value;
    }
    bool writes = one->kind == TN_LINEAR_PUT || *value == one->expected;
    if (one->kind == TN_LINEAR_SWAP && returned && (one->result != 0) != writes) {
        return false;
    }
    *value = writes ? one->argument : *value;
    return true;
}

/* Can the operations not in `done` follow? Unfinished ones may be left out for ever. */
static bool any_order(const operation *history, uint32_t count, uint32_t done, uint64_t value)
{
    bool complete = true;
    for (uint32_t i = 0; i < count; i++) {
        complete = complete && ((done >> i & 1U) || history[i].returned == NEVER);
    }
    if (complete) {
        return true;
    }
    for (uint32_t i = 0; i < count; i++) {
        bool first = !(done >> i & 1U);
        for (uint32_t j = 0; j < count && first; j++) {
            first = (done >> j & 1U) || history[j].returned >= history[i].called;
        }
        uint64_t after = value;
        if (first && fits(&after, &history[i]) &&
            any_order(history, count, done | 1U << i, after)) {
            return true;
        }
    }
    return false;
}

/* A history made by really doing the operations at a moment between call and return. */
static uint32_t make_history(uint64_t *random, operation *history)
{
    uint32_t count = 2 + (uint32_t)tn__random_below(random, SMALL_MAX - 1);
    uint64_t moments[SMALL_MAX], value = 0;
    for (uint32_t i = 0; i < count; i++) {
        moments[i] = 10 * (i + 1);
        history[i] = (operation){.client = i,
                                 .kind = 1 + (uint32_t)tn__random_below(random, 3),
                                 .called = moments[i] - 1 - tn__random_below(random, 9 * (i + 1)),
                                 .returned = moments[i] + 1 + tn__random_below(random, 40),
                                 .argument = 1 + tn__random_below(random, 3),
                                 .expected = tn__random_below(random, 4)};
        operation *one = &history[i];
        bool writes =
            one->kind == TN_LINEAR_PUT || (one->kind == TN_LINEAR_SWAP && value == one->expected);
        value = writes ? one->argument : value;
        one->result = one->kind == TN_LINEAR_READ ? value : (uint64_t)writes;
        one->index = i + 1;
        if (tn__random_below(random, 6) == 0) {
            one->returned = NEVER;
        }
    }
    return count;
}

static void random_good_histories_pass_and_mutated_ones_agree_with_exhaustion(void **state)
{
    (void)state;
    uint64_t random = 0;
    struct tn__linear_report report;
    uint32_t bad = 0, rounds = 20000;
    random = 41;
    for (uint32_t round = 0; round < rounds; round++) {
        operation history[SMALL_MAX];
        uint32_t count = make_history(&random, history);
        assert_int_equal(tn__linear_search(history, count, 0, &report), TN_LINEAR_YES);
        assert_true(any_order(history, count, 0, 0));
        operation *one = &history[tn__random_below(&random, count)];
        switch (tn__random_below(&random, 3)) {
        case 0:
            one->result = tn__random_below(&random, 4);
            break;
        case 1:
            one->called += tn__random_below(&random, 30);
            one->returned = one->called + 1 + tn__random_below(&random, 5);
            break;
        default:
            one->argument = 1 + tn__random_below(&random, 3);
        }
        bool good = any_order(history, count, 0, 0);
        bad += !good;
        assert_int_equal(tn__linear_search(history, count, 0, &report),
                         good ? TN_LINEAR_YES : TN_LINEAR_NO);
    }
    print_message("seed 41: %u of %u mutated histories are not linearizable\n", bad, rounds);
    assert_true(bad > rounds / 20);
}

/* The witness may only be stricter than the search, never laxer: it fixes the order. */
static void what_the_witness_passes_the_search_passes(void **state)
{
    (void)state;
    uint64_t random = 0;
    struct tn__linear_report report;
    uint32_t passed = 0, refused = 0;
    random = 42;
    for (uint32_t round = 0; round < 20000; round++) {
        operation history[SMALL_MAX];
        uint32_t count = make_history(&random, history);
        for (uint32_t i = 0; i < count; i++) { /* a read has the slot whose state it saw */
            history[i].index = i + 1;
        }
        assert_int_equal(tn__linear_witness(history, count, &report), TN_LINEAR_YES);
        operation *one = &history[tn__random_below(&random, count)];
        one->called += tn__random_below(&random, 30);
        one->returned = one->called + 1 + tn__random_below(&random, 5);
        bool yes = tn__linear_witness(history, count, &report) == TN_LINEAR_YES;
        passed += yes;
        refused += !yes;
        if (yes) {
            assert_int_equal(tn__linear_search(history, count, 0, &report), TN_LINEAR_YES);
        }
    }
    assert_true(passed > 1000 && refused > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_histories_pass),
        cmocka_unit_test(stale_read_is_found),
        cmocka_unit_test(lost_update_is_found),
        cmocka_unit_test(dirty_read_is_found),
        cmocka_unit_test(write_applied_twice_is_found),
        cmocka_unit_test(split_brain_is_found),
        cmocka_unit_test(value_going_back_is_found),
        cmocka_unit_test(results_swapped_between_clients_are_found),
        cmocka_unit_test(false_outcome_of_a_swap_is_found),
        cmocka_unit_test(read_of_a_write_not_called_yet_is_found),
        cmocka_unit_test(acknowledged_write_that_is_in_no_slot_is_found_by_the_witness),
        cmocka_unit_test(order_between_keys_is_the_witness_alone),
        cmocka_unit_test(budget_that_runs_out_is_told),
        cmocka_unit_test(random_good_histories_pass_and_mutated_ones_agree_with_exhaustion),
        cmocka_unit_test(what_the_witness_passes_the_search_passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
