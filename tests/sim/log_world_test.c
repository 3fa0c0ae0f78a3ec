/* The world of logs without faults: what is put is got, at every member, through crashes too; and
 * its registers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/random.h"
#include "sim/log_clients.h"
#include "sim/log_registers.h"

static struct tn__log_world *world;
static struct tn__log_judge *judge;
static struct tn__log_clients *clients;

static void woken(void *context, uint64_t code)
{
    (void)context;
    tn__log_clients_woken(clients, code);
}

/* Three members, one free and one leased group, four clients. */
static int begin(void **state)
{
    (void)state;
    struct tn__log_world_options options = {
        .seed = 3, .nodes_count = 3, .groups_count = 2, .once_slots = 1000, .once_max = 30};
    options.modes[0] = TN_LOG_MODE_FREE;
    options.modes[1] = TN_LOG_MODE_LEASED;
    options.log.window_slots = 16;
    struct tn__log_clients_options calls = {.seed = 4,
                                            .count = 4,
                                            .once_percent = 50,
                                            .read_percent = 40,
                                            .batch_percent = 20,
                                            .keys = 2,
                                            .think_ns = TN_MILLISECOND,
                                            .timeout_ns = 5 * TN_SECOND};
    world = tn__log_world_new();
    judge = tn__log_judge_new();
    clients = tn__log_clients_new();
    char why[128];
    assert_int_equal(tn__log_world_reset(world, &options, why, sizeof(why)), TN_OK);
    tn__log_judge_begin(judge, world);
    struct tn__log_world_hooks hooks = {.woken = woken};
    tn__log_world_set_hooks(world, &hooks);
    tn__log_clients_begin(clients, world, judge, &calls);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(tn__log_world_start(world, i), TN_OK);
    }
    tn__log_world_tenure(world, 0, 1, 1, tn__log_world_local(world, 0) + 600 * TN_SECOND);
    return 0;
}

static int end(void **state)
{
    (void)state;
    tn__log_clients_free(clients);
    tn__log_judge_free(judge);
    tn__log_world_free(world);
    return 0;
}

static void run_for(tn_time span)
{
    tn__log_world_run(world, tn__log_world_now(world) + span);
    for (uint32_t i = 0; i < tn__log_judge_violations_count(judge) && i < TN_LOG_VIOLATIONS_MAX;
         i++) {
        print_message("# %s: %s\n", tn__log_judge_violation(judge, i)->rule,
                      tn__log_judge_violation(judge, i)->text);
    }
    assert_int_equal(tn__log_judge_violations_count(judge), 0);
}

static void expect_equal_members(void)
{
    for (uint32_t g = 0; g < 2; g++) {
        for (uint32_t i = 0; i < 3; i++) {
            assert_int_equal(tn__log_world_executed(world, i, g),
                             tn__log_judge_committed(judge, g));
            assert_memory_equal(tn__log_world_registers(world, i, g),
                                tn__log_world_registers(world, 0, g),
                                sizeof(struct tn__log_registers));
        }
    }
}

static void every_call_is_answered_and_all_members_become_equal(void **state)
{
    (void)state;
    run_for(10 * TN_SECOND);
    tn__log_clients_stop(clients);
    run_for(10 * TN_SECOND);
    assert_int_equal(tn__log_clients_waiting(clients), 0);
    assert_true(tn__log_clients_done(clients) > 1000);
    expect_equal_members();
    tn__log_judge_histories(judge);
    assert_int_equal(tn__log_judge_violations_count(judge), 0);
    for (uint64_t name = 1; name <= tn__log_judge_operations_count(judge); name++) {
        assert_int_not_equal(tn__log_judge_operation(judge, name)->outcome, TN_LOG_OUTCOME_OPEN);
    }
}

static void what_was_acknowledged_survives_a_crash_of_all(void **state)
{
    (void)state;
    run_for(2 * TN_SECOND);
    tn__log_clients_stop(clients);
    run_for(10 * TN_SECOND);
    struct tn__log_registers before[2];
    for (uint32_t g = 0; g < 2; g++) {
        before[g] = *tn__log_world_registers(world, 1, g);
    }
    for (uint32_t i = 0; i < 3; i++) {
        tn__log_world_crash(world, i, TN_SIM_DISK_LOSE_ALL, 0);
        assert_false(tn__log_world_is_up(world, i));
    }
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(tn__log_world_start(world, i), TN_OK);
    }
    tn__log_world_tenure(world, 2, 1, 2, tn__log_world_local(world, 2) + 600 * TN_SECOND);
    for (uint32_t i = 0; i < 3; i++) {
        tn__log_world_read(world, i, 0);
        tn__log_world_read(world, i, 1);
    }
    run_for(20 * TN_SECOND);
    expect_equal_members();
    for (uint32_t g = 0; g < 2; g++) {
        assert_memory_equal(tn__log_world_registers(world, 1, g)->values, before[g].values,
                            sizeof(before[g].values));
    }
}

static void a_member_that_was_down_catches_up(void **state)
{
    (void)state;
    run_for(TN_SECOND);
    tn__log_world_crash(world, 2, TN_SIM_DISK_LOSE_ALL, 0);
    run_for(5 * TN_SECOND);
    tn__log_clients_stop(clients);
    run_for(6 * TN_SECOND);
    assert_true(tn__log_judge_committed(judge, 0) > 300); /* far beyond its window */
    assert_int_equal(tn__log_world_start(world, 2), TN_OK);
    tn__log_world_connect(world, 2, 0);
    tn__log_world_connect(world, 2, 1);
    run_for(20 * TN_SECOND);
    expect_equal_members();
}

static void commands_are_read_as_they_were_written(void **state)
{
    (void)state;
    uint64_t random = 5;
    for (uint32_t i = 0; i < 1000; i++) {
        uint8_t bytes[TN_LOG_COMMAND_BYTES + 100];
        struct tn__log_command command = {.name = tn__random_next(&random),
                                          .argument = tn__random_next(&random),
                                          .expected = tn__random_next(&random),
                                          .kind = (uint8_t)(1 + tn__random_below(&random, 3)),
                                          .key = (uint8_t)tn__random_below(&random, 4),
                                          .padding = (uint16_t)tn__random_below(&random, 100)};
        struct tn__log_command read;
        size_t count = tn__log_command_write(&command, bytes);
        assert_true(tn__log_command_read(&read, bytes, count));
        assert_memory_equal(&read, &command, sizeof(command));
        assert_false(tn__log_command_read(&read, bytes, count - 1));
    }
}

static void registers_do_what_is_said(void **state)
{
    (void)state;
    struct tn__log_registers registers = {0};
    struct tn__log_command put = {.argument = 7, .kind = TN_LOG_COMMAND_PUT, .key = 1};
    struct tn__log_command swap = {
        .argument = 9, .expected = 7, .kind = TN_LOG_COMMAND_SWAP, .key = 1};
    struct tn__log_command add = {.argument = 5, .kind = TN_LOG_COMMAND_ADD, .key = 1};
    assert_int_equal(tn__log_registers_execute(&registers, &put), 1);
    assert_int_equal(tn__log_registers_execute(&registers, &swap), 1);
    assert_int_equal(tn__log_registers_execute(&registers, &swap), 0);
    assert_int_equal(registers.values[1], 9);
    assert_int_equal(tn__log_registers_execute(&registers, &add), 5);
    assert_int_equal(tn__log_registers_execute(&registers, &add), 10);
}

#define IN_A_WORLD(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_WORLD(every_call_is_answered_and_all_members_become_equal),
        IN_A_WORLD(what_was_acknowledged_survives_a_crash_of_all),
        IN_A_WORLD(a_member_that_was_down_catches_up),
        cmocka_unit_test(commands_are_read_as_they_were_written),
        cmocka_unit_test(registers_do_what_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
