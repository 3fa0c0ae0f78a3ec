/* The once-only table against an array without any cleverness, over random histories, with every
 * allocation failing once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "paxos/log_once.h"

/* ---- Memory that may fail -------------------------------------------------------------------- */

static int64_t blocks;
static uint64_t allocations;
static uint64_t fail_at; /* 0: never */
static uint64_t fail_one_in;
static uint64_t fail_random;

static void *allocate(void *context, void *block, size_t bytes)
{
    (void)context;
    if (bytes == 0) {
        blocks -= block != NULL;
        free(block);
        return NULL;
    }
    allocations++;
    if (allocations == fail_at ||
        (fail_one_in > 0 && tn__random_below(&fail_random, fail_one_in) == 0)) {
        return NULL;
    }
    blocks += block == NULL;
    return realloc(block, bytes);
}

static struct tn__once_result result_of(uint64_t value)
{
    fail_one_in = 0;
    struct tn__once_result result = {
        .bytes = allocate(NULL, NULL, 8), .count = (uint32_t)(value % 9), .capacity = 8};
    memcpy(result.bytes, &value, 8);
    return result;
}

static void drop(struct tn__once_result *result)
{
    if (result->bytes != NULL) {
        allocate(NULL, result->bytes, 0);
    }
}

/* ---- The plain model ------------------------------------------------------------------------- */

#define MODEL_MAX 512U

struct known {
    uint64_t client;
    uint64_t sequence;
    uint64_t slot;
    uint64_t value;
    uint64_t order; /* of use, ties of one slot */
};

static struct known model[MODEL_MAX];
static uint32_t model_count;
static uint64_t model_uses;

static struct known *model_find(uint64_t client)
{
    for (uint32_t i = 0; i < model_count; i++) {
        if (model[i].client == client) {
            return &model[i];
        }
    }
    return NULL;
}

static void model_advance(uint64_t slot, uint64_t slots)
{
    for (uint32_t i = 0; i < model_count;) {
        if (slot - model[i].slot > slots) {
            model[i] = model[--model_count];
        } else {
            i++;
        }
    }
}

static void model_keep(uint64_t client, uint64_t sequence, uint64_t slot, uint64_t value,
                       uint32_t clients_max)
{
    struct known *known = model_find(client);
    if (known == NULL) {
        if (model_count == clients_max) {
            uint32_t oldest = 0;
            for (uint32_t i = 1; i < model_count; i++) {
                oldest = model[i].order < model[oldest].order ? i : oldest;
            }
            model[oldest] = model[--model_count];
        }
        known = &model[model_count++];
    }
    *known = (struct known){client, sequence, slot, value, ++model_uses};
}

/* ---- Random histories ------------------------------------------------------------------------ */

static void look_and_keep(struct tn__once *once, uint64_t slot, uint64_t client, uint64_t sequence,
                          uint64_t value)
{
    const struct tn__once_result *kept;
    struct known *known = model_find(client);
    enum tn__once_verdict verdict = tn__once_look(once, client, sequence, &kept);
    if (known == NULL ? sequence != 1 : sequence < known->sequence) {
        assert_int_equal(verdict, TN__ONCE_EVICTED);
        return;
    }
    if (known != NULL && sequence == known->sequence) {
        assert_int_equal(verdict, TN__ONCE_REPEATED);
        assert_int_equal(kept->count, known->value % 9);
        assert_memory_equal(kept->bytes, &known->value, kept->count);
        known->slot = slot;
        known->order = ++model_uses;
        return;
    }
    assert_int_equal(verdict, TN__ONCE_NEW);
    fail_one_in = 3;
    while (!tn__once_reserve(once)) {
        tn__once_check(once);
    }
    fail_one_in = 0;
    struct tn__once_result result = result_of(value);
    uint64_t before = allocations;
    tn__once_keep(once, client, sequence, &result);
    assert_int_equal(allocations, before); /* what follows an execution cannot fail */
    drop(&result);
    model_keep(client, sequence, slot, value, once->clients_max);
}

static void N4_the_table_does_what_a_plain_array_does(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        uint64_t random = seed;
        fail_random = seed;
        blocks = 0;
        model_count = 0;
        struct tn__once once;
        uint32_t clients_max = (uint32_t)(1 + tn__random_below(&random, 100));
        uint64_t slots = 1 + tn__random_below(&random, 200);
        uint64_t clients = 1 + tn__random_below(&random, 150);
        tn__once_init(&once, slots, clients_max, allocate, NULL);
        uint64_t slot = 0;
        for (uint32_t round = 0; round < 600; round++) {
            slot += tn__random_below(&random, 20) == 0 ? tn__random_below(&random, 300) : 1;
            tn__once_advance(&once, slot);
            model_advance(slot, slots);
            uint64_t client = tn__random_below(&random, clients) * 64;
            struct known *known = model_find(client);
            uint64_t sequence = known != NULL ? known->sequence + 2 - tn__random_below(&random, 4)
                                              : 1 + tn__random_below(&random, 2);
            look_and_keep(&once, slot, client, sequence, tn__random_next(&random));
            assert_int_equal(once.count, model_count);
            tn__once_check(&once);
        }
        tn__once_free(&once);
        assert_int_equal(blocks, 0);
    }
}

static void P6_the_digest_is_a_function_of_what_was_executed(void **state)
{
    (void)state;
    struct tn__once one, other;
    tn__once_init(&one, 100, 50, allocate, NULL);
    tn__once_init(&other, 100, 50, allocate, NULL);
    fail_one_in = 0;
    for (uint64_t slot = 1; slot <= 40; slot++) {
        struct tn__once *tables[2] = {&one, &other};
        for (uint32_t i = 0; i < 2; i++) {
            const struct tn__once_result *kept;
            tn__once_advance(tables[i], slot);
            struct tn__once_result result = result_of(slot);
            result.capacity = 8 - i; /* what is left over does not matter */
            if (tn__once_look(tables[i], slot % 7, 1 + slot / 7, &kept) == TN__ONCE_NEW &&
                tn__once_reserve(tables[i])) {
                tn__once_keep(tables[i], slot % 7, 1 + slot / 7, &result);
            }
            drop(&result);
        }
        assert_int_equal(tn__once_digest(&one), tn__once_digest(&other));
    }
    uint64_t before = tn__once_digest(&one);
    tn__once_advance(&one, 41);
    const struct tn__once_result *kept;
    assert_int_equal(tn__once_look(&one, 40 % 7, 1 + 40 / 7, &kept), TN__ONCE_REPEATED);
    assert_true(tn__once_digest(&one) != before); /* the slot of its last use counts */
    tn__once_free(&one);
    tn__once_free(&other);
}

static void N4_ids_are_evicted_by_slot(void **state)
{
    (void)state;
    struct tn__once once;
    const struct tn__once_result *kept;
    tn__once_init(&once, 10, 50, allocate, NULL);
    tn__once_advance(&once, 5);
    assert_true(tn__once_reserve(&once));
    struct tn__once_result result = result_of(1);
    tn__once_keep(&once, 9, 1, &result);
    tn__once_advance(&once, 15);
    assert_int_equal(once.count, 1); /* exactly the bound */
    assert_int_equal(tn__once_look(&once, 9, 2, &kept), TN__ONCE_NEW);
    tn__once_advance(&once, 16);
    assert_int_equal(once.count, 0); /* one beyond */
    assert_int_equal(tn__once_look(&once, 9, 2, &kept), TN__ONCE_EVICTED);
    tn__once_free(&once);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(N4_the_table_does_what_a_plain_array_does),
        cmocka_unit_test(P6_the_digest_is_a_function_of_what_was_executed),
        cmocka_unit_test(N4_ids_are_evicted_by_slot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
