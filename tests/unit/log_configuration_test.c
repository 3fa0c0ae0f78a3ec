/* The configurations of a log: rule by rule, and random histories against a table that has one
 * entry for every slot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "paxos/log_configuration.h"

static struct tn__log_configurations beginning(tn_member_set voters, uint32_t window_slots)
{
    struct tn__log_configurations configurations;
    struct tn__log_configuration first = {.first_slot = 1,
                                          .voters = voters,
                                          .version = 1,
                                          .window_slots = window_slots,
                                          .mode = TN_LOG_MODE_LEASED,
                                          .mode_number = 1};
    tn__log_configurations_init(&configurations, &first);
    tn__log_configurations_check(&configurations);
    return configurations;
}

static struct tn_log_value change(uint32_t version, tn_member_set voters)
{
    return (struct tn_log_value){
        .kind = TN_LOG_VALUE_CONFIGURATION, .version = version, .voters = voters};
}

static void G2_a_change_decided_in_slot_i_governs_from_i_plus_alpha_on(void **state)
{
    (void)state;
    struct tn__log_configurations configurations = beginning(7, 4);
    struct tn_log_value value = change(2, 14);
    assert_true(tn__log_configuration_learn(&configurations, 10, &value));
    assert_int_equal(tn__log_configuration_at(&configurations, 13)->voters, 7);
    assert_int_equal(tn__log_configuration_at(&configurations, 14)->voters, 14);
    assert_int_equal(tn__log_configuration_at(&configurations, 1000)->voters, 14);
    assert_int_equal(tn__log_configuration_at(&configurations, 1)->voters, 7);
    tn__log_configurations_check(&configurations);
}

static void G2_one_change_is_in_flight(void **state)
{
    (void)state;
    struct tn__log_configurations configurations = beginning(7, 4);
    struct tn_log_value value = change(2, 14);
    assert_true(tn__log_configuration_learn(&configurations, 10, &value));
    value = change(3, 7);
    assert_false(tn__log_configuration_learn(&configurations, 13, &value));
    assert_int_equal(configurations.count, 2);
    assert_true(tn__log_configuration_learn(&configurations, 14, &value));
    assert_int_equal(tn__log_configuration_at(&configurations, 18)->voters, 7);
}

static void G1_what_is_no_legal_change_changes_nothing(void **state)
{
    (void)state;
    struct tn__log_configurations configurations = beginning(7, 4), before = configurations;
    struct tn_log_value wrong[8];
    for (uint32_t i = 0; i < 8; i++) {
        wrong[i] = change(2, 7);
    }
    wrong[0].version = 1;
    wrong[1].version = 3;
    wrong[2].voters = 0;
    wrong[3].learners = 4;    /* votes and learns */
    wrong[4].voters = 0xffff; /* sixteen of them */
    wrong[5].learners = 1U << TN_LOG_NODES_MAX;
    wrong[6].window_slots = TN_LOG_WINDOW_MAX + 1;
    wrong[7].mode = TN_LOG_MODE_FREE + 1;
    for (uint32_t i = 0; i < 8; i++) {
        assert_false(tn__log_configuration_learn(&configurations, 5, &wrong[i]));
        assert_memory_equal(&configurations, &before, sizeof(before));
    }
}

static void G2_a_change_of_mode_raises_its_number_and_zero_leaves_it_as_it_was(void **state)
{
    (void)state;
    struct tn__log_configurations configurations = beginning(7, 4);
    struct tn_log_value value = change(2, 7);
    value.mode = TN_LOG_MODE_FREE;
    value.window_slots = 2;
    assert_true(tn__log_configuration_learn(&configurations, 1, &value));
    value = change(3, 7);
    assert_true(tn__log_configuration_learn(&configurations, 5, &value));
    value = change(4, 7);
    value.mode = TN_LOG_MODE_FREE; /* the mode that it is in */
    assert_true(tn__log_configuration_learn(&configurations, 7, &value));
    assert_int_equal(tn__log_configuration_at(&configurations, 4)->mode_number, 1);
    for (uint64_t slot = 5; slot < 12; slot++) {
        assert_int_equal(tn__log_configuration_at(&configurations, slot)->mode, TN_LOG_MODE_FREE);
        assert_int_equal(tn__log_configuration_at(&configurations, slot)->mode_number, 2);
        assert_int_equal(tn__log_configuration_at(&configurations, slot)->window_slots, 2);
    }
}

static void N2_no_slot_is_in_the_window_whose_configuration_may_still_change(void **state)
{
    (void)state;
    struct tn__log_configurations configurations = beginning(7, 8);
    assert_int_equal(tn__log_configuration_window_end(&configurations, 0), 8);
    struct tn_log_value value = change(2, 7);
    value.window_slots = 2; /* decided in 1, governs from 9: a change in 9 governs from 11 */
    assert_true(tn__log_configuration_learn(&configurations, 1, &value));
    assert_int_equal(tn__log_configuration_window_end(&configurations, 1), 9);
    assert_int_equal(tn__log_configuration_window_end(&configurations, 2), 10);
    assert_int_equal(tn__log_configuration_window_end(&configurations, 5), 10);
    assert_int_equal(tn__log_configuration_window_end(&configurations, 8), 10);
    assert_int_equal(tn__log_configuration_window_end(&configurations, 9), 11);
}

static void N2_a_majority_is_of_the_voters_and_by_identity(void **state)
{
    (void)state;
    struct tn__log_configuration three = {.voters = 7, .learners = 8};
    struct tn__log_configuration four = {.voters = 15};
    assert_false(tn__log_configuration_quorum(&three, 1));
    assert_true(tn__log_configuration_quorum(&three, 5));
    assert_false(tn__log_configuration_quorum(&three, 1 | 8 | 16)); /* C4: no vote */
    assert_false(tn__log_configuration_quorum(&four, 3));
    assert_true(tn__log_configuration_quorum(&four, 7));
}

static void a_trimmed_list_still_knows_what_lies_above(void **state)
{
    (void)state;
    struct tn__log_configurations configurations = beginning(7, 1);
    for (uint32_t i = 0; i < 4; i++) {
        struct tn_log_value value = change(2 + i, 1U << i);
        assert_true(tn__log_configuration_learn(&configurations, 10 * (i + 1), &value));
    }
    struct tn__log_configurations trimmed = configurations;
    tn__log_configuration_trim(&trimmed, 25);
    assert_int_equal(trimmed.count, 3);
    tn__log_configurations_check(&trimmed);
    for (uint64_t slot = 25; slot < 60; slot++) {
        assert_memory_equal(tn__log_configuration_at(&trimmed, slot),
                            tn__log_configuration_at(&configurations, slot),
                            sizeof(struct tn__log_configuration));
    }
}

/* The dumb model: what governs each slot, written out. */
#define SLOTS 400

struct model {
    struct tn__log_configuration of[SLOTS * 2];
    uint64_t pending; /* the first slot of the newest one */
};

static bool model_learn(struct model *model, uint64_t slot, const struct tn_log_value *value)
{
    struct tn__log_configuration now = model->of[slot];
    if (slot < model->pending || value->version != now.version + 1 || value->voters == 0) {
        return false;
    }
    uint64_t first = slot + now.window_slots;
    now.first_slot = first;
    now.version++;
    now.voters = value->voters;
    now.learners = value->learners;
    now.window_slots = value->window_slots == 0 ? now.window_slots : value->window_slots;
    if (value->mode != 0 && value->mode != now.mode) {
        now.mode = value->mode;
        now.mode_number++;
    }
    for (uint64_t i = first; i < SLOTS * 2; i++) {
        model->of[i] = now;
    }
    model->pending = first;
    return true;
}

/* The configuration of `slot` is settled if no change after `committed` can reach it. */
static bool model_is_settled(const struct model *model, uint64_t committed, uint64_t slot)
{
    for (uint64_t i = committed + 1; i <= slot; i++) {
        if (i + model->of[i].window_slots <= slot) {
            return false;
        }
    }
    return true;
}

static void run_history(uint64_t seed)
{
    struct tn__log_configurations configurations = beginning(7, 3);
    struct model model = {.pending = 1};
    for (uint64_t i = 0; i < SLOTS * 2; i++) {
        model.of[i] = configurations.list[0];
    }
    for (uint64_t slot = 1; slot < SLOTS; slot++) {
        if (tn__random_below(&seed, 3) == 0) {
            struct tn_log_value value =
                change(model.of[slot].version + (uint32_t)tn__random_below(&seed, 2),
                       (tn_member_set)tn__random_below(&seed, 32));
            value.window_slots = (uint32_t)tn__random_below(&seed, 5);
            value.mode = (uint8_t)tn__random_below(&seed, 3);
            assert_int_equal(tn__log_configuration_learn(&configurations, slot, &value),
                             model_learn(&model, slot, &value));
        }
        if (tn__random_below(&seed, 4) == 0) {
            tn__log_configuration_trim(&configurations, slot + 1);
        }
        tn__log_configurations_check(&configurations);
        uint64_t end = tn__log_configuration_window_end(&configurations, slot);
        for (uint64_t i = slot + 1; i <= slot + 8; i++) {
            assert_int_equal(i <= end, model_is_settled(&model, slot, i));
            assert_memory_equal(tn__log_configuration_at(&configurations, i), &model.of[i],
                                sizeof(model.of[i]));
        }
    }
}

static void G2_random_histories_give_each_slot_the_configuration_of_the_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        run_history(seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(G2_a_change_decided_in_slot_i_governs_from_i_plus_alpha_on),
        cmocka_unit_test(G2_one_change_is_in_flight),
        cmocka_unit_test(G1_what_is_no_legal_change_changes_nothing),
        cmocka_unit_test(G2_a_change_of_mode_raises_its_number_and_zero_leaves_it_as_it_was),
        cmocka_unit_test(N2_no_slot_is_in_the_window_whose_configuration_may_still_change),
        cmocka_unit_test(N2_a_majority_is_of_the_voters_and_by_identity),
        cmocka_unit_test(a_trimmed_list_still_knows_what_lies_above),
        cmocka_unit_test(G2_random_histories_give_each_slot_the_configuration_of_the_model),
    };
    return cmocka_run_group_tests_name("log_configuration", tests, NULL, NULL);
}
