/* The rings of a log in memory: no more places than there are slots to keep, nothing lost when they
 * become more or fewer, and nothing kept that every member has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "paxos/log_machine.h"
#include "support/log_cell.h"

#define CAPACITY 256U
#define FAR (3600 * TN_SECOND)
#define MS TN_MILLISECOND

static struct tn_log_ballot ballot(void)
{
    return (struct tn_log_ballot){.mode_number = 1, .attempt = 1, .node = 1, .restart_word = 7};
}

static struct tn_log_value payload(uint64_t slot)
{
    return (struct tn_log_value){
        .kind = TN_LOG_VALUE_PAYLOAD, .handle = 1000 + slot, .bytes = 4, .digest = (uint32_t)slot};
}

/* ---- The acceptor ---------------------------------------------------------------------------- */

static void expect_held(const struct tn__log_acceptor *acceptor, struct tn__log_slot *slots)
{
    for (uint64_t slot = acceptor->first; slot <= acceptor->highest; slot++) {
        assert_true(tn__log_acceptor_holds(acceptor, slots, slot));
        assert_int_equal(tn__log_slot_at(acceptor, slots, slot)->value.handle, 1000 + slot);
    }
    tn__log_acceptor_check(acceptor, slots, acceptor->highest);
}

static void slots_are_kept_while_the_ring_grows_and_shrinks(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        static struct tn__log_slot slots[CAPACITY];
        struct tn__log_acceptor acceptor;
        struct tn_log_ballot none = {0};
        uint64_t random = seed;
        uint32_t most = 0;
        uint64_t next = 1 + tn__random_below(&random, 1000);
        memset(slots, 0, sizeof(slots));
        tn__log_acceptor_init(&acceptor, CAPACITY, none, next - 1);
        for (uint32_t i = 0; i < 24000; i++) {
            uint64_t used = acceptor.highest + 1 - acceptor.first;
            uint64_t wanted = i / 6000 % 2 == 0 ? 200 : 3; /* many for a while, then few */
            uint64_t forgotten = 0;
            if (used < CAPACITY && tn__random_below(&random, 2 * wanted) >= used) {
                struct tn_log_value value = payload(next);
                tn__log_acceptor_learn(&acceptor, slots, next++, ballot(), &value, &forgotten);
                assert_int_equal(forgotten, 0);
            } else if (used > 0) {
                uint64_t first = acceptor.first;
                assert_int_equal(tn__log_acceptor_drop_first(&acceptor, slots), 1000 + first);
            }
            most = acceptor.places > most ? acceptor.places : most;
            if (i % 97 == 0) {
                expect_held(&acceptor, slots);
            }
        }
        if (most < 128 || acceptor.places > 32) {
            print_message("seed %llu\n", (unsigned long long)seed);
        }
        assert_true(most >= 128);
        assert_true(acceptor.places <= 32); /* it ended with few */
    }
}

static void a_ring_that_reaches_down_has_a_place_for_each_slot(void **state)
{
    (void)state;
    static struct tn__log_slot slots[CAPACITY];
    struct tn__log_acceptor acceptor;
    struct tn_log_ballot none = {0};
    uint64_t forgotten;
    tn__log_acceptor_init(&acceptor, CAPACITY, none, 1000);
    tn__log_acceptor_reach_down(&acceptor, 901);
    for (uint64_t slot = 1000; slot > 900; slot--) { /* in any order */
        struct tn_log_value value = payload(slot);
        assert_false(tn__log_acceptor_holds(&acceptor, slots, slot));
        tn__log_acceptor_learn(&acceptor, slots, slot, ballot(), &value, &forgotten);
    }
    expect_held(&acceptor, slots);
}

/* ---- The proposer ---------------------------------------------------------------------------- */

static void proposals_are_kept_while_the_ring_grows(void **state)
{
    (void)state;
    static struct tn__log_proposal proposals[CAPACITY];
    struct tn__log_configurations configurations;
    struct tn__log_configuration first = {.first_slot = 1,
                                          .voters = 1,
                                          .version = 1,
                                          .window_slots = CAPACITY / 2,
                                          .mode = TN_LOG_MODE_LEASED,
                                          .mode_number = 1};
    struct tn__log_proposer proposer;
    uint64_t forgotten[1];
    uint32_t count;
    tn__log_configurations_init(&configurations, &first);
    tn__log_proposer_init(&proposer, CAPACITY);
    tn__log_proposer_begin(&proposer, proposals, ballot(), 5);
    assert_int_equal(tn__log_proposer_promise(&proposer, proposals, &configurations, 0, ballot(), 6,
                                              6, true, 5, 5, NULL, 0, forgotten, &count),
                     TN__LOG_PAGE_COUNTED);
    uint64_t committed = 5;
    for (uint32_t round = 0; round < 200; round++) {
        while (tn__log_proposer_next(&proposer, proposals, &configurations, committed) ==
                   TN__LOG_NEXT_FREE &&
               proposer.next - committed <= 1 + round % 100) {
            struct tn_log_value value = payload(proposer.next);
            (void)tn__log_proposer_propose(&proposer, proposals, &value);
        }
        assert_true(proposer.places < 4 * (proposer.next - committed) || proposer.places <= 128);
        while (proposer.next - committed > 1 + round % 7) {
            uint64_t slot = committed + 1;
            assert_int_equal(tn__log_proposal_at(&proposer, proposals, slot)->value.handle,
                             1000 + slot);
            tn__log_proposer_committed(&proposer, proposals, slot);
            committed = slot;
        }
        tn__log_proposer_check(&proposer, proposals, committed);
    }
    assert_true(proposer.places >= 64);
}

/* ---- The machine ----------------------------------------------------------------------------- */

static uint64_t kept(const struct log_cell *cell, uint32_t node)
{
    const struct tn__log_acceptor *acceptor = &cell->nodes[node].log->acceptor;
    return acceptor->highest + 1 - acceptor->first;
}

static void propose_many(struct log_cell *cell, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        cell_propose(cell, 0, 1);
        cell_run(cell, cell->now + MS);
    }
}

static void C2_what_every_member_has_leaves_memory_and_what_one_lacks_stays(void **state)
{
    (void)state;
    struct tn_log_options base = {.window_slots = 128, .retain_slots = CAPACITY};
    struct log_cell *cell = cell_new(3, &base);
    cell_tenure(cell, 0, 1, FAR);
    cell_run(cell, cell->now + 10 * MS);
    propose_many(cell, 100);
    cell_run(cell, cell->now + TN_SECOND);
    propose_many(cell, 3);
    for (uint32_t node = 0; node < 3; node++) {
        assert_true(kept(cell, node) <= 8);
        assert_true(cell->nodes[node].log->acceptor.places <= 16);
    }
    cell->cut = 4; /* member 2 hears nothing */
    propose_many(cell, 60);
    assert_true(kept(cell, 0) >= 60);
    assert_true(kept(cell, 1) <= 8); /* the leader serves it */
    cell->cut = 0;
    log_cell_connect(cell, 0, 2);
    cell_run(cell, cell->now + 10 * TN_SECOND);
    assert_true(cell_agrees(cell, 163));
    assert_int_equal(cell->nodes[0].loads, 0); /* out of memory */
    propose_many(cell, 3);
    assert_true(kept(cell, 0) <= 8);
    cell_free(cell);
}

static void what_is_not_in_the_store_yet_stays_in_memory(void **state)
{
    (void)state;
    struct tn_log_options base = {.window_slots = 128, .retain_slots = CAPACITY};
    struct log_cell *cell = cell_new(3, &base);
    cell_tenure(cell, 0, 1, FAR);
    cell_run(cell, cell->now + 10 * MS);
    propose_many(cell, 10);
    uint64_t durable = cell->nodes[0].log->durable;
    assert_true(durable > 0);
    cell->nodes[0].log->durable = 0; /* as if its disk had written nothing */
    cell->nodes[0].log->marked_write = UINT64_MAX;
    propose_many(cell, 30);
    assert_true(kept(cell, 0) >= 30);
    cell->nodes[0].log->durable = durable;
    cell->nodes[0].log->marked_write = 0;
    propose_many(cell, 5);
    assert_true(kept(cell, 0) <= 8);
    cell_free(cell);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_are_kept_while_the_ring_grows_and_shrinks),
        cmocka_unit_test(a_ring_that_reaches_down_has_a_place_for_each_slot),
        cmocka_unit_test(proposals_are_kept_while_the_ring_grows),
        cmocka_unit_test(C2_what_every_member_has_leaves_memory_and_what_one_lacks_stays),
        cmocka_unit_test(what_is_not_in_the_store_yet_stays_in_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
