/* The learner of a log: which ways lead to a commit, and the chain of checksums. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "paxos/log_learner.h"

#define CAPACITY 8

struct node {
    struct tn__log_acceptor acceptor;
    struct tn__log_slot slots[CAPACITY];
    struct tn__log_learner learner;
    struct tn__log_configurations configurations;
};

static struct tn_log_ballot ballot(uint64_t token)
{
    return (struct tn_log_ballot){
        .mode_number = 1, .token = token, .attempt = 1, .node = 1, .restart_word = 7};
}

static struct tn_log_value payload(uint32_t digest)
{
    return (struct tn_log_value){
        .kind = TN_LOG_VALUE_PAYLOAD, .handle = digest, .bytes = 4, .digest = digest};
}

static struct node fresh(void)
{
    struct node node = {0};
    struct tn__log_configuration first = {
        .first_slot = 1, .voters = 7, .version = 1, .window_slots = 2, .mode = 1, .mode_number = 1};
    tn__log_acceptor_init(&node.acceptor, CAPACITY, (struct tn_log_ballot){0}, 0);
    tn__log_configurations_init(&node.configurations, &first);
    return node;
}

static void accept(struct node *node, uint64_t token, uint64_t slot, uint32_t digest)
{
    struct tn_log_value value = payload(digest);
    uint64_t forgotten;
    assert_int_equal(tn__log_acceptor_accept(&node->acceptor, node->slots, ballot(token), slot,
                                             &value, node->learner.committed, &forgotten),
                     TN__LOG_ACCEPTED);
}

static const struct tn_log_value *commit(struct node *node)
{
    return tn__log_learner_commit(&node->learner, &node->acceptor, node->slots,
                                  &node->configurations);
}

static bool may_follow(const struct node *node, uint64_t token, uint64_t said)
{
    return tn__log_learner_may_follow(&node->learner, &node->acceptor, node->slots, ballot(token),
                                      said);
}

static void C1_follows_the_leader_in_what_was_accepted_under_its_ballot(void **state)
{
    (void)state;
    struct node node = fresh();
    accept(&node, 1, 1, 11);
    accept(&node, 1, 3, 13);
    assert_false(may_follow(&node, 1, 0)); /* not said yet */
    assert_true(may_follow(&node, 1, 3));
    assert_int_equal(commit(&node)->digest, 11);
    assert_false(may_follow(&node, 1, 3)); /* P8: slot 2 is missing: it is fetched */
    assert_int_equal(node.learner.committed, 1);
}

/* Hazard: success by the number of the instance makes an orphan the decision. */
static void phxpaxos_H2_an_orphan_under_another_ballot_is_never_committed_by_number(void **state)
{
    (void)state;
    struct node node = fresh();
    accept(&node, 1, 1, 99); /* lost: ballot 2 chose another value with the other members */
    assert_false(may_follow(&node, 2, 1));
    /* It is told of slot 2, which it accepts under 2; slot 1 is no less an orphan. */
    accept(&node, 2, 2, 12);
    assert_false(may_follow(&node, 2, 2));
    /* C2 brings what was chosen. */
    struct tn_log_value value = payload(11);
    uint64_t forgotten;
    tn__log_acceptor_learn(&node.acceptor, node.slots, 1, ballot(2), &value, &forgotten);
    assert_int_equal(forgotten, 99);
    assert_int_equal(commit(&node)->digest, 11);
    assert_true(may_follow(&node, 2, 2));
    assert_int_equal(commit(&node)->digest, 12);
}

static void P8_no_slot_is_skipped_and_a_configuration_is_learned_on_its_way(void **state)
{
    (void)state;
    struct node node = fresh();
    struct tn_log_value value = {.kind = TN_LOG_VALUE_CONFIGURATION, .version = 2, .voters = 14};
    uint64_t forgotten;
    accept(&node, 1, 1, 11);
    tn__log_acceptor_accept(&node.acceptor, node.slots, ballot(1), 2, &value, 0, &forgotten);
    commit(&node);
    assert_int_equal(node.configurations.count, 1);
    commit(&node);
    assert_int_equal(tn__log_configuration_at(&node.configurations, 3)->voters, 7);
    assert_int_equal(tn__log_configuration_at(&node.configurations, 4)->voters, 14);
}

static void C3_equal_prefixes_have_equal_chains_whatever_way_they_came(void **state)
{
    (void)state;
    struct node a = fresh(), b = fresh();
    uint64_t sum_a, sum_b, forgotten;
    for (uint32_t slot = 1; slot <= 6; slot++) {
        struct tn_log_value value = payload(10 + slot);
        value.handle = 500 + slot;
        accept(&a, 1, slot, 10 + slot);
        tn__log_acceptor_learn(&b.acceptor, b.slots, slot, ballot(5), &value, &forgotten);
        commit(&a);
        commit(&b);
        assert_true(a.learner.checksum == b.learner.checksum && a.learner.checksum != 0);
    }
    for (uint64_t slot = 1; slot <= 6; slot++) {
        assert_true(tn__log_learner_checksum_at(&a.learner, &a.acceptor, a.slots, slot, &sum_a) &&
                    tn__log_learner_checksum_at(&b.learner, &b.acceptor, b.slots, slot, &sum_b));
        assert_true(sum_a == sum_b);
    }
    assert_false(tn__log_learner_checksum_at(&a.learner, &a.acceptor, a.slots, 7, &sum_a));
    tn__log_acceptor_drop_first(&a.acceptor, a.slots);
    assert_false(tn__log_learner_checksum_at(&a.learner, &a.acceptor, a.slots, 1, &sum_a));
}

static void C3_the_chain_tells_every_field_and_every_order(void **state)
{
    (void)state;
    struct tn_log_value values[12];
    for (uint32_t i = 0; i < 12; i++) {
        values[i] = (struct tn_log_value){.kind = i < 4 ? TN_LOG_VALUE_PAYLOAD
                                                        : TN_LOG_VALUE_CONFIGURATION};
    }
    values[1].bytes = 1;
    values[2].digest = 1;
    values[3].kind = TN_LOG_VALUE_NOOP;
    values[5].voters = 1;
    values[6].learners = 1;
    values[7].version = 1;
    values[8].window_slots = 1;
    values[9].mode = 1;
    values[10].bytes = 1;
    values[11].digest = 1;
    for (uint32_t i = 0; i < 12; i++) {
        for (uint32_t j = 0; j < i; j++) {
            assert_true(tn_log_checksum(3, 1, &values[i]) != tn_log_checksum(3, 1, &values[j]));
            uint64_t forth = tn_log_checksum(tn_log_checksum(0, 1, &values[i]), 2, &values[j]);
            uint64_t back = tn_log_checksum(tn_log_checksum(0, 1, &values[j]), 2, &values[i]);
            assert_true(forth != back);
        }
        assert_true(tn_log_checksum(3, 1, &values[i]) != tn_log_checksum(3, 2, &values[i]));
        assert_true(tn_log_checksum(3, 1, &values[i]) != tn_log_checksum(4, 1, &values[i]));
    }
}

/* Members disagree about nothing, commit in any order of ways, and restart in between. */
static void C1_C2_random_histories_commit_what_was_chosen_in_order(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        uint64_t draw = seed, forgotten;
        struct node node = fresh();
        uint64_t chain = 0;
        for (uint32_t step = 0; step < 200; step++) {
            uint64_t next = node.learner.committed + 1;
            uint64_t slot = next + tn__random_below(&draw, 3);
            uint64_t token = 1 + tn__random_below(&draw, 3);
            /* Ballot 3 chooses 100 + slot; below it anything was proposed, and lost. */
            struct tn_log_value value =
                payload((uint32_t)(token == 3 ? 100 + slot : 1000 * token + slot));
            tn__log_acceptor_accept(&node.acceptor, node.slots, ballot(token), slot, &value,
                                    node.learner.committed, &forgotten);
            if (tn__random_below(&draw, 4) == 0) {
                struct tn_log_value chosen = payload((uint32_t)(100 + next));
                tn__log_acceptor_learn(&node.acceptor, node.slots, next, ballot(3), &chosen,
                                       &forgotten);
            }
            if (may_follow(&node, 3, next + tn__random_below(&draw, 2))) {
                const struct tn_log_value *committed = commit(&node);
                assert_int_equal(committed->digest, 100 + next);
                chain = tn_log_checksum(chain, next, committed);
                assert_true(node.learner.committed == next && node.learner.checksum == chain);
            }
            if (node.learner.committed - node.acceptor.first + 1 > 3) {
                tn__log_acceptor_drop_first(&node.acceptor, node.slots);
            }
            tn__log_acceptor_check(&node.acceptor, node.slots, node.learner.committed);
        }
        assert_true(node.learner.committed > 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(C1_follows_the_leader_in_what_was_accepted_under_its_ballot),
        cmocka_unit_test(phxpaxos_H2_an_orphan_under_another_ballot_is_never_committed_by_number),
        cmocka_unit_test(P8_no_slot_is_skipped_and_a_configuration_is_learned_on_its_way),
        cmocka_unit_test(C3_equal_prefixes_have_equal_chains_whatever_way_they_came),
        cmocka_unit_test(C3_the_chain_tells_every_field_and_every_order),
        cmocka_unit_test(C1_C2_random_histories_commit_what_was_chosen_in_order),
    };
    return cmocka_run_group_tests_name("log_learner", tests, NULL, NULL);
}
