/* What a seed means, and the table of faults. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sim/fault_plan.h"
#include "sim/swarm.h"

static void A_seed_means_the_same_whatever_is_left_off(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 1000; seed++) {
        struct tn__swarm all;
        struct tn__swarm some;
        tn__swarm_draw(seed, 0, 0, &all);
        tn__swarm_draw(seed, 0, tn__fault_bit(TN_FAULT_COARSE) | 7, &some);
        assert_int_equal(some.plan.faults, all.plan.faults & ~(tn__fault_bit(TN_FAULT_COARSE) | 7));
        some.plan.faults = all.plan.faults;
        assert_memory_equal(&all, &some, sizeof(all));
    }
}

static void Every_drawn_world_keeps_T2_and_T3_and_every_fault_is_on_and_off(void **state)
{
    (void)state;
    uint64_t on = 0;
    uint64_t off = 0;
    struct tn__world *world = tn__world_new();
    char why[256];
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct tn__swarm swarm;
        tn__swarm_draw(seed, 0, 0, &swarm);
        on |= swarm.plan.faults;
        off |= ~swarm.plan.faults;
        assert_int_equal(tn__world_reset(world, &swarm.world, why, sizeof(why)), 0);
        const struct tn_lease_options *options = tn__world_lease_options(world);
        tn_time least = tn_lease_exclusion_ns(options->tables[0].proposer_ns, options->drift_ppm) +
                        swarm.plan.granularity;
        assert_true(options->tables[0].acceptor_ns >= least);
        assert_true(options->tables[0].quarantine_ns >= least);
    }
    tn__world_free(world);
    uint64_t all = tn__fault_bit(TN_FAULTS_COUNT) - 1;
    assert_int_equal(on & all, all);
    assert_int_equal(off & all, all);
}

static void A_fixed_count_of_nodes_is_kept(void **state)
{
    (void)state;
    struct tn__swarm swarm;
    tn__swarm_draw(9, 6, 0, &swarm);
    assert_int_equal(swarm.world.nodes_count, 6);
}

static void The_options_of_a_seed_are_printed_with_its_faults(void **state)
{
    (void)state;
    char bytes[4096];
    struct tn__text text;
    struct tn__swarm swarm;
    tn__swarm_draw(1, 0, 0, &swarm);
    tn__text_init(&text, bytes, sizeof(bytes));
    tn__swarm_print(&swarm, &text);
    assert_false(text.cut);
    for (uint32_t i = 0; i < TN_FAULTS_COUNT; i++) {
        if ((swarm.plan.faults >> i & 1U) != 0) {
            assert_non_null(strstr(bytes, tn__fault_name((enum tn__fault)i)));
        }
        assert_true(strlen(tn__fault_id((enum tn__fault)i)) >= 2);
        assert_true(strlen(tn__fault_text((enum tn__fault)i)) > 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(A_seed_means_the_same_whatever_is_left_off),
        cmocka_unit_test(Every_drawn_world_keeps_T2_and_T3_and_every_fault_is_on_and_off),
        cmocka_unit_test(A_fixed_count_of_nodes_is_kept),
        cmocka_unit_test(The_options_of_a_seed_are_printed_with_its_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
