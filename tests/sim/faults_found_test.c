/* Faults that were found by simulation, each as a script that fails on the code of before
 * (docs/faults_found.md). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <tenure/error.h>

#include "support/world_script.h"

static struct tn__world_options three(void)
{
    return (struct tn__world_options){.nodes_count = 3,
                                      .tables = {{.proposer_ns = 10 * TN_SECOND, .names_max = 16}}};
}

/* An observer that counts tenures told of. */
static void count_opened(void *context, const struct tn__sight *sight)
{
    uint32_t *count = context;
    *count += sight->kind == TN_SIGHT_NOTICE && sight->notice->kind == TN_NOTICE_OPENED;
}

static void T1_an_attempt_in_flight_over_a_suspend_never_opens_a_tenure(void **state)
{
    (void)state;
    struct world_script script;
    struct tn__world_options options = three();
    script_begin(&script, &options);
    uint32_t opened = 0;
    struct tn__world_observer observer = {.context = &opened, .see = count_opened};
    tn__world_add_observer(script.world, &observer);
    tn__world_ask(script.world, 0, TN_REQUEST_ACQUIRE, "a");
    struct tn_request forsake = {.kind = TN_REQUEST_FORSAKE};
    tn__world_request(script.world, 0, &forsake);
    script_deliver(&script, 7);
    assert_int_equal(opened, 0);
    assert_false(script_owns(&script, 0, "a"));
    assert_int_equal(tn__lease_judge_violations_count(script.judge), 0);
    tn__world_run(script.world, tn__world_now(script.world) + TN_SECOND);
    script_deliver(&script, 7); /* the next attempt is a new one, and wins */
    assert_int_equal(opened, 1);
    script_end(&script);
}

/* Deliver frames from 0 to 1 only; node 1's writes stay in progress. */
static void deliver_0_to_1(struct world_script *script)
{
    uint32_t slot = tn__world_first_frame(script->world);
    while (slot != TN_WORLD_NONE) {
        const struct tn__world_frame *frame = tn__world_frame(script->world, slot);
        if (frame->from == 0 && frame->to == 1) {
            tn__world_deliver_frame(script->world, slot);
        } else {
            tn__world_drop_frame(script->world, slot);
        }
        slot = tn__world_first_frame(script->world);
    }
}

/* Node 0 starts again, a stride higher, and asks. */
static void ask_a_stride_higher(struct world_script *script)
{
    tn__world_crash(script->world, 0, TN_SIM_DISK_PROCESS_ONLY, 0);
    assert_int_equal(tn__world_start(script->world, 0, false), TN_OK);
    tn__world_run(script->world, tn__world_now(script->world) + TN_MILLISECOND);
    tn__world_finish_write(script->world, 0);
    tn__world_ask(script->world, 0, TN_REQUEST_ACQUIRE, "a");
    for (uint32_t i = 0; i < 4 && tn__world_is_writing(script->world, 0); i++) {
        tn__world_finish_write(script->world, 0);
    }
    deliver_0_to_1(script);
}

/* Acceptor 1 is asked for ever higher ballots while its first write is slow: records 1, 2, 3 ...
 * are asked for, 1 is written, the newest fails, those between were passed over. */
static void F1_what_waited_for_a_record_passed_over_is_not_said_after_the_next(void **state)
{
    (void)state;
    struct world_script script;
    struct tn__world_options options = three();
    script_begin(&script, &options);
    for (uint32_t i = 0; i < 4; i++) {
        ask_a_stride_higher(&script);
    }
    assert_true(tn__world_is_writing(script.world, 1));
    tn__world_finish_write(script.world, 1);
    assert_true(tn__world_is_writing(script.world, 1));
    struct tn__sim_disk_plan failure = {.fail_at = 1};
    tn__sim_disk_arm(tn__world_disk(script.world, 1), &failure);
    uint64_t ceiling = tn__world_ceiling(script.world, 1);
    tn__world_finish_write(script.world, 1);
    tn__world_run(script.world, tn__world_now(script.world) + 2 * TN_SECOND); /* F4: again */
    for (uint32_t i = 0; i < 4 && tn__world_is_writing(script.world, 1); i++) {
        tn__world_finish_write(script.world, 1);
        assert_true(tn__world_ceiling(script.world, 1) >= ceiling);
    }
    assert_int_equal(script_violations(&script, "F1"), 0);
    assert_int_equal(tn__lease_judge_violations_count(script.judge), 0);
    script_end(&script);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(T1_an_attempt_in_flight_over_a_suspend_never_opens_a_tenure),
        cmocka_unit_test(F1_what_waited_for_a_record_passed_over_is_not_said_after_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
