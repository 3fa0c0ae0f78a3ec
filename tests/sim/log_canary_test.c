/* The judge of logs is shown what must never be, and says so: worlds in which something that safety
 * rests on is broken on purpose, and histories made by hand.
 *
 * timeout: 600 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "sim/log_judge.h"
#include "sim/log_simulation.h"

/* ---- Broken worlds --------------------------------------------------------------------------- */

#define SEEDS_MAX 40U

struct broken {
    uint32_t unsafe;
    const char *rules; /* any of these is the answer */
    const char *text;
};

static const struct broken broken[] = {
    {TN_LOG_UNSAFE_EARLY_WRITTEN, "inv.P4 inv.P2", "the own vote counts before the own sync"},
    {TN_LOG_UNSAFE_NO_PROMISES, "inv.P2", "promises are not persisted"},
    {TN_LOG_UNSAFE_LOST_WRITE, "inv.P4 inv.P2", "a write is lost"},
    {TN_LOG_UNSAFE_REORDERED_APPLY, "inv.P6 N4", "entries are executed out of order"},
    {TN_LOG_UNSAFE_TAIL_KEPT, "inv.P4 inv.P2 liveness converged restart",
     "recovery does not make the tail durable"},
    {TN_LOG_UNSAFE_STALE_READ, "Reads 3", "a read does not wait for its slot"},
    {TN_LOG_UNSAFE_WRONG_RESULT, "N4", "a client is told another's result"},
    {TN_LOG_UNSAFE_TWICE, "inv.P5", "once-only ids are not looked at"},
    {TN_LOG_UNSAFE_WRONG_VALUE, "inv.P1 inv.P5", "a value changes on its way"},
    {TN_LOG_UNSAFE_FORGETFUL, "inv.P4", "a start does not find all that was written"},
    {TN_LOG_UNSAFE_DROPS, "N4", "what may be committed is called not chosen"},
};

static void Each_broken_world_is_seen_to_be_broken(void **state)
{
    (void)state;
    struct tn__log_simulation *simulation = tn__log_simulation_new();
    struct tn__log_simulation_result result;
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        bool seen = false;
        for (uint64_t seed = 1; seed <= SEEDS_MAX && !seen; seed++) {
            struct tn__log_simulation_request request = {
                .seed = seed, .events_max = 6000, .nodes = 3, .unsafe = broken[i].unsafe};
            tn__log_simulation_run(simulation, &request, &result);
            if (result.violations_count > 0) {
                assert_non_null(strstr(broken[i].rules, result.violations[0].rule));
                print_message("# %s: %s, seed %llu\n", broken[i].text, result.violations[0].rule,
                              (unsigned long long)seed);
                seen = true;
            }
        }
        assert_true(seen);
    }
    tn__log_simulation_free(simulation);
}

/* ---- Histories made by hand ------------------------------------------------------------------ */

static struct tn__log_world *world;
static struct tn__log_judge *judge;

static int begin(void **state)
{
    (void)state;
    struct tn__log_world_options options = {
        .seed = 1, .nodes_count = 3, .groups_count = 2, .once_slots = 100, .once_max = 10};
    options.modes[0] = TN_LOG_MODE_LEASED;
    options.modes[1] = TN_LOG_MODE_FREE;
    world = tn__log_world_new();
    judge = tn__log_judge_new();
    char why[128];
    assert_int_equal(tn__log_world_reset(world, &options, why, sizeof(why)), TN_OK);
    tn__log_judge_begin(judge, world);
    return 0;
}

static int end(void **state)
{
    (void)state;
    tn__log_judge_free(judge);
    tn__log_world_free(world);
    return 0;
}

static void expect_rule(const char *rule)
{
    assert_int_equal(tn__log_judge_violations_count(judge), 1);
    assert_string_equal(tn__log_judge_violation(judge, 0)->rule, rule);
}

static struct tn_log_ballot ballot(uint64_t attempt, tn_node_id node)
{
    return (struct tn_log_ballot){
        .attempt = attempt, .node = node, .mode_number = 1, .restart_word = 1};
}

static void see(enum tn__log_sight_kind kind, uint32_t process, struct tn__log_sight sight)
{
    sight.kind = (uint32_t)kind;
    sight.process = process;
    sight.real = tn__log_world_now(world);
    tn__log_judge_see(judge, &sight);
}

/* A record came onto a disk. */
static void durable(uint32_t process, uint8_t kind, struct tn_log_ballot under, uint64_t slot,
                    uint64_t digest)
{
    struct tn_log_record record = {.kind = kind, .ballot = under};
    struct tn_log_entry entry = {
        .slot = slot, .ballot = under, .value = {.kind = TN_LOG_VALUE_NOOP}};
    see(TN_LOG_SIGHT_DURABLE, process,
        (struct tn__log_sight){.record = &record,
                               .entries = &entry,
                               .digests = &digest,
                               .entries_count = slot > 0 ? 1 : 0});
}

static void sent(uint32_t process, struct tn_log_message message)
{
    see(TN_LOG_SIGHT_SENT, process, (struct tn__log_sight){.message = &message});
}

static void committed(uint32_t process, uint64_t slot, uint64_t digest)
{
    struct tn_log_entry entry = {.slot = slot, .value = {.kind = TN_LOG_VALUE_NOOP}};
    see(TN_LOG_SIGHT_COMMIT, process,
        (struct tn__log_sight){.entries = &entry, .digests = &digest, .entries_count = 1});
}

static void P1_two_values_under_one_ballot(void **state)
{
    (void)state;
    durable(0, TN_LOG_RECORD_ACCEPT, ballot(1, 1), 1, 10);
    durable(1, TN_LOG_RECORD_ACCEPT, ballot(1, 1), 1, 11);
    expect_rule("inv.P1");
}

static void P1_another_value_above_a_chosen_one(void **state)
{
    (void)state;
    durable(0, TN_LOG_RECORD_ACCEPT, ballot(1, 1), 1, 10);
    durable(1, TN_LOG_RECORD_ACCEPT, ballot(1, 1), 1, 10);
    assert_int_equal(tn__log_judge_violations_count(judge), 0);
    durable(2, TN_LOG_RECORD_ACCEPT, ballot(2, 3), 1, 11);
    expect_rule("inv.P1");
}

static void P1_a_value_chosen_below_another_that_was_accepted(void **state)
{
    (void)state;
    durable(0, TN_LOG_RECORD_ACCEPT, ballot(1, 1), 1, 10);
    durable(2, TN_LOG_RECORD_ACCEPT, ballot(2, 3), 1, 11);
    assert_int_equal(tn__log_judge_violations_count(judge), 0);
    durable(1, TN_LOG_RECORD_ACCEPT, ballot(1, 1), 1, 10);
    expect_rule("inv.P1");
}

static void P2_a_vote_below_a_promise_that_was_said(void **state)
{
    (void)state;
    durable(0, TN_LOG_RECORD_PROMISE, ballot(5, 2), 0, 0);
    sent(0, (struct tn_log_message){.kind = TN_LOG_PROMISE, .ballot = ballot(5, 2), .slot = 1});
    durable(0, TN_LOG_RECORD_ACCEPT, ballot(4, 1), 1, 10);
    expect_rule("inv.P2");
}

static void P2_a_restart_that_finds_a_lower_promise(void **state)
{
    (void)state;
    durable(0, TN_LOG_RECORD_PROMISE, ballot(5, 2), 0, 0);
    struct tn_log_recovered found = {.promise = ballot(4, 2)};
    see(TN_LOG_SIGHT_RECOVERED, 0, (struct tn__log_sight){.recovered = &found});
    expect_rule("inv.P2");
}

static void P3_a_promise_said_before_it_is_durable(void **state)
{
    (void)state;
    sent(0, (struct tn_log_message){.kind = TN_LOG_PROMISE, .ballot = ballot(5, 2), .slot = 1});
    expect_rule("inv.P3");
}

static void P3_a_promise_that_does_not_tell_of_a_slot(void **state)
{
    (void)state;
    durable(0, TN_LOG_RECORD_ACCEPT, ballot(1, 1), 1, 10);
    durable(0, TN_LOG_RECORD_PROMISE, ballot(5, 2), 0, 0);
    sent(0, (struct tn_log_message){
                .kind = TN_LOG_PROMISE, .ballot = ballot(5, 2), .slot = 1, .slot_end = 2});
    expect_rule("inv.P3");
}

static void P3_accepted_said_before_it_is_durable(void **state)
{
    (void)state;
    durable(0, TN_LOG_RECORD_ACCEPT, ballot(1, 1), 1, 10);
    sent(0, (struct tn_log_message){
                .kind = TN_LOG_ACCEPTED, .ballot = ballot(1, 1), .slot = 1, .slot_end = 3});
    expect_rule("inv.P3");
}

static void P4_a_restart_that_does_not_find_what_was_durable(void **state)
{
    (void)state;
    durable(0, TN_LOG_RECORD_ACCEPT, ballot(1, 1), 1, 10);
    struct tn_log_recovered found = {.promise = ballot(1, 1)};
    see(TN_LOG_SIGHT_RECOVERED, 0, (struct tn__log_sight){.recovered = &found});
    expect_rule("inv.P4");
}

static void P8_a_slot_that_is_skipped(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        durable(i, TN_LOG_RECORD_ACCEPT, ballot(1, 1), 2, 10);
    }
    committed(0, 2, 10);
    expect_rule("inv.P8");
}

static void P9_a_commit_that_no_majority_has_on_disk(void **state)
{
    (void)state;
    durable(0, TN_LOG_RECORD_ACCEPT, ballot(1, 1), 1, 10);
    committed(0, 1, 10);
    expect_rule("inv.P9");
}

static void P1_a_commit_of_another_value_than_the_chosen_one(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        durable(i, TN_LOG_RECORD_ACCEPT, ballot(1, 1), 1, 10);
    }
    committed(2, 1, 11);
    expect_rule("inv.P1");
}

static void C2_a_slot_learned_that_is_not_chosen(void **state)
{
    (void)state;
    durable(0, TN_LOG_RECORD_LEARN, ballot(1, 1), 1, 10);
    expect_rule("C2");
}

static void N1_phase_1_outside_the_tenure(void **state)
{
    (void)state;
    sent(0, (struct tn_log_message){.kind = TN_LOG_PREPARE, .ballot = ballot(1, 1), .slot = 1});
    expect_rule("N1");
}

static void a_damaged_frame_that_is_taken(void **state)
{
    (void)state;
    struct tn__log_frame frame = {.damaged = 1};
    see(TN_LOG_SIGHT_DELIVERED, 0, (struct tn__log_sight){.frame = &frame});
    expect_rule("wire");
}

static void a_timer_that_fires_for_ever(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 6000; i++) {
        see(TN_LOG_SIGHT_EVENT, 0, (struct tn__log_sight){.word = TN_LOG_EVENT_TIMER});
    }
    expect_rule("busy");
}

/* A slot far ahead is chosen, as the judge is made to believe, under a ballot below all others;
 * then a leader comes and knows nothing of it. */
static void P7_a_leader_that_is_ready_too_soon(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(tn__log_world_start(world, i), TN_OK);
    }
    struct tn_log_entry entry = {.slot = 5, .value = {.kind = TN_LOG_VALUE_NOOP}};
    uint64_t digest = 10;
    struct tn_log_record record = {.kind = TN_LOG_RECORD_ACCEPT, .ballot = ballot(0, 1)};
    for (uint32_t i = 0; i < 2; i++) {
        see(TN_LOG_SIGHT_DURABLE, i,
            (struct tn__log_sight){.group = 1,
                                   .record = &record,
                                   .entries = &entry,
                                   .digests = &digest,
                                   .entries_count = 1});
    }
    struct tn__log_operation operation = {.group = 1,
                                          .kind = TN_LOG_OPERATION_COMMAND,
                                          .command = {.argument = 7, .kind = TN_LOG_COMMAND_PUT}};
    struct tn__log_command command = operation.command;
    command.name = tn__log_judge_called(judge, &operation);
    tn__log_world_propose(world, 0, 1, &command, 1, 0, 0);
    tn__log_world_run(world, tn__log_world_now(world) + 10 * TN_SECOND);
    bool seen = false;
    for (uint32_t i = 0; i < tn__log_judge_violations_count(judge) && i < TN_LOG_VIOLATIONS_MAX;
         i++) {
        seen = seen || strcmp(tn__log_judge_violation(judge, i)->rule, "inv.P7") == 0;
    }
    assert_true(seen);
}

#define BY_HAND(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(Each_broken_world_is_seen_to_be_broken),
        BY_HAND(P1_two_values_under_one_ballot),
        BY_HAND(P1_another_value_above_a_chosen_one),
        BY_HAND(P1_a_value_chosen_below_another_that_was_accepted),
        BY_HAND(P1_a_commit_of_another_value_than_the_chosen_one),
        BY_HAND(P2_a_vote_below_a_promise_that_was_said),
        BY_HAND(P2_a_restart_that_finds_a_lower_promise),
        BY_HAND(P3_a_promise_said_before_it_is_durable),
        BY_HAND(P3_a_promise_that_does_not_tell_of_a_slot),
        BY_HAND(P3_accepted_said_before_it_is_durable),
        BY_HAND(P4_a_restart_that_does_not_find_what_was_durable),
        BY_HAND(P7_a_leader_that_is_ready_too_soon),
        BY_HAND(P8_a_slot_that_is_skipped),
        BY_HAND(P9_a_commit_that_no_majority_has_on_disk),
        BY_HAND(C2_a_slot_learned_that_is_not_chosen),
        BY_HAND(N1_phase_1_outside_the_tenure),
        BY_HAND(a_damaged_frame_that_is_taken),
        BY_HAND(a_timer_that_fires_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
