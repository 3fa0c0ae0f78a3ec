/* The frontier of an exploration: states of any content come out as they went in, numbers are never
 * used twice, and what is given back is used again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "check/explore_frontier.h"

#define STATE_BYTES_MAX 4096U

/* A state with about so many of 256 bytes not zero. */
static void state_draw(uint64_t *random, uint32_t state_bytes, uint64_t density, uint8_t *state)
{
    for (uint32_t i = 0; i < state_bytes; i++) {
        bool present = tn__random_below(random, 256) < density;
        state[i] = present ? (uint8_t)tn__random_next(random) : 0;
    }
}

static void check_round_trip(uint32_t state_bytes, uint64_t density)
{
    struct tn__explore_frontier frontier;
    assert_true(tn__explore_frontier_init(&frontier, state_bytes));
    uint32_t number = 0;
    struct tn__explore_chunk *chunk = tn__explore_frontier_take(&frontier, 3, &number);
    assert_non_null(chunk);
    assert_int_equal(chunk->worker, 3);
    uint64_t random = 5;
    uint8_t state[STATE_BYTES_MAX];
    uint32_t count = 0;
    while (tn__explore_chunk_has_room(&frontier, chunk)) {
        state_draw(&random, state_bytes, density, state);
        tn__explore_chunk_add(&frontier, chunk, state);
        count++;
    }
    assert_in_range(count, 16, 1U << frontier.slots_bits);
    random = 5;
    for (uint32_t slot = 0; slot < count; slot++) {
        uint8_t back[STATE_BYTES_MAX];
        state_draw(&random, state_bytes, density, state);
        tn__explore_chunk_get(&frontier, chunk, slot, back);
        assert_memory_equal(back, state, state_bytes);
    }
    uint64_t before = frontier.bytes;
    tn__explore_chunk_seal(&frontier, chunk);
    assert_int_equal(frontier.bytes - before, chunk->bytes_used);
    tn__explore_frontier_free(&frontier);
}

static void frontier_gives_states_back_as_they_were(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {8, 72, 1024, STATE_BYTES_MAX};
    static const uint64_t densities[] = {0, 20, 256};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (size_t j = 0; j < sizeof(densities) / sizeof(densities[0]); j++) {
            check_round_trip(sizes[i], densities[j]);
        }
    }
}

static void frontier_reuses_chunks_and_never_numbers(void **state)
{
    (void)state;
    struct tn__explore_frontier frontier;
    assert_true(tn__explore_frontier_init(&frontier, 64));
    uint8_t zero[64] = {0};
    for (uint32_t i = 0; i < 1000; i++) {
        uint32_t number = 0;
        struct tn__explore_chunk *chunk = tn__explore_frontier_take(&frontier, 0, &number);
        assert_non_null(chunk);
        assert_int_equal(number, i);
        assert_int_equal(chunk->slots_used, 0);
        assert_ptr_equal(tn__explore_chunk_of(&frontier, number << frontier.slots_bits | 5), chunk);
        assert_int_equal(tn__explore_slot_of(&frontier, number << frontier.slots_bits | 5), 5);
        tn__explore_chunk_add(&frontier, chunk, zero);
        tn__explore_frontier_give_back(&frontier, chunk);
    }
    assert_int_equal(frontier.owned_count, 1);
    tn__explore_frontier_free(&frontier);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frontier_gives_states_back_as_they_were),
        cmocka_unit_test(frontier_reuses_chunks_and_never_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
