/* Is a whole run awake? Runs that are sabotaged on purpose, each at the phase whose verdict must
 * say so; and an operator who does not wait, whom the judge must find by chance. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sim/simulation.h"

#define SEEDS_MAX 60U

static struct tn__simulation *simulation;

static uint32_t count_of(const struct tn__simulation_result *result, const char *rule)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < result->violations_count && i < TN_JUDGE_VIOLATIONS_MAX; i++) {
        count += strcmp(result->violations[i].rule, rule) == 0;
    }
    return count;
}

/* From this phase on no frame is carried and no write is finished. */
static void stand_still(void *context, struct tn__world *world, enum tn__simulation_phase phase)
{
    const enum tn__simulation_phase *from = context;
    const struct tn__world_hooks nobody = {0};
    if (phase == *from) {
        tn__world_set_hooks(world, &nobody);
    }
}

/* Whoever owns the first name gives it up, again and again. */
static void pass_round(void *context, struct tn__world *world, enum tn__simulation_phase phase)
{
    (void)context;
    tn_time lease = tn__world_lease_options(world)->tables[0].proposer_ns;
    if (phase != TN_SIMULATION_STEADY) {
        return;
    }
    for (uint32_t round = 0; round < 8; round++) {
        for (uint32_t i = 0; i < tn__world_nodes(world); i++) {
            struct tn_lease_view view;
            if (tn__world_view(world, i, 0, "a", 1, &view) && view.owned != 0) {
                tn__world_ask(world, i, TN_REQUEST_DROP, "a");
            }
        }
        tn__world_run(world, tn__world_now(world) + lease);
    }
}

static void run_sabotaged(uint64_t seed, uint32_t nodes, const struct tn__simulation_sabotage *by,
                          struct tn__simulation_result *result)
{
    struct tn__simulation_request request = {
        .seed = seed, .nodes = nodes, .events_max = 2000, .sabotage = by};
    tn__simulation_run(simulation, &request, result);
}

static void A_cell_that_finds_no_owner_is_seen_by_liveness(void **state)
{
    (void)state;
    enum tn__simulation_phase from = TN_SIMULATION_HEALED;
    struct tn__simulation_sabotage sabotage = {&from, stand_still};
    struct tn__simulation_result result;
    run_sabotaged(2, 3, NULL, &result);
    assert_int_equal(result.violations_count, 0);
    run_sabotaged(2, 3, &sabotage, &result);
    assert_int_equal(count_of(&result, "liveness"), 1);
    assert_int_equal(result.violations_count, 1);
}

static void A_name_that_goes_round_is_seen_by_steady(void **state)
{
    (void)state;
    struct tn__simulation_sabotage sabotage = {NULL, pass_round};
    struct tn__simulation_result result;
    run_sabotaged(2, 3, &sabotage, &result);
    assert_int_equal(count_of(&result, "steady"), 1);
    assert_int_equal(result.violations_count, 1);
}

static void A_cell_that_does_not_come_back_is_seen_by_restart(void **state)
{
    (void)state;
    enum tn__simulation_phase from = TN_SIMULATION_RESTARTED;
    struct tn__simulation_sabotage sabotage = {&from, stand_still};
    struct tn__simulation_result result;
    run_sabotaged(2, 3, &sabotage, &result);
    assert_int_equal(count_of(&result, "restart"), 1);
    assert_int_equal(result.violations_count, 1);
}

static void F3_a_change_of_members_that_does_not_end_is_seen(void **state)
{
    (void)state;
    enum tn__simulation_phase from = TN_SIMULATION_HEALED;
    struct tn__simulation_sabotage sabotage = {&from, stand_still};
    struct tn__simulation_result result = {0};
    for (uint64_t seed = 1; seed <= SEEDS_MAX && count_of(&result, "members") == 0; seed++) {
        run_sabotaged(seed, 3, &sabotage, &result);
    }
    assert_int_equal(count_of(&result, "members"), 1);
}

/* An operator who opens the next version at once, and never says that a step is a larger one. */
static bool is_careless_operator_found(struct tn__world *world, struct tn__lease_judge *judge,
                                       struct tn__fault_plan *plan, struct tn__swarm *swarm)
{
    swarm->plan.careless = 1;
    assert_int_equal(tn__world_reset(world, &swarm->world, NULL, 0), 0);
    tn__lease_judge_begin(judge, world);
    tn__fault_plan_begin(plan, world, &swarm->plan);
    while (tn__world_events(world) < 20000 && tn__lease_judge_violations_count(judge) == 0 &&
           tn__world_step(world, TN_TIME_NEVER - 1)) {
    }
    if (tn__lease_judge_violations_count(judge) == 0) {
        return false;
    }
    const char *rule = tn__lease_judge_violation(judge, 0)->rule;
    assert_true(strcmp(rule, "F3") == 0 || strcmp(rule, "inv.L12") == 0 ||
                strcmp(rule, "inv.L1") == 0 || strcmp(rule, "inv.L4") == 0);
    return true;
}

static void F3_an_operator_who_does_not_wait_is_found_by_chance(void **state)
{
    (void)state;
    struct tn__world *world = tn__world_new();
    struct tn__lease_judge *judge = tn__lease_judge_new();
    struct tn__fault_plan *plan = tn__fault_plan_new();
    uint32_t found = 0;
    for (uint64_t seed = 1; seed <= SEEDS_MAX && found == 0; seed++) {
        struct tn__swarm swarm;
        tn__swarm_draw(seed, 0, 0, &swarm);
        found += swarm.world.standby_count != 0 &&
                 is_careless_operator_found(world, judge, plan, &swarm);
    }
    assert_int_not_equal(found, 0);
    tn__fault_plan_free(plan);
    tn__lease_judge_free(judge);
    tn__world_free(world);
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
        cmocka_unit_test(A_cell_that_finds_no_owner_is_seen_by_liveness),
        cmocka_unit_test(A_name_that_goes_round_is_seen_by_steady),
        cmocka_unit_test(A_cell_that_does_not_come_back_is_seen_by_restart),
        cmocka_unit_test(F3_a_change_of_members_that_does_not_end_is_seen),
        cmocka_unit_test(F3_an_operator_who_does_not_wait_is_found_by_chance),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
