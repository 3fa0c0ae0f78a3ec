/* Groups of quick machines: the loop executes what is little, the applier all else; whoever does,
 * it is done once, in order, and never by both at a time. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdatomic.h>

#include "node/node_groups.h"
#include "support/group_cell.h"
#include "support/slow_build.h"

/* Proposals one after the other. */
#define ALONE 40U

/* Proposals at once: more than the loop takes in one go. */
#define FLOOD (TN_SLOW_BUILD ? 3000U : 10000U)

static struct group_cell cell; /* too large for a stack */

static void make(uint32_t count, uint32_t quick)
{
    group_cell_make(&cell, count, TN_LOG_MODE_LEASED);
    cell.options.quick = quick;
    group_cell_start_all(&cell);
}

static uint64_t by_applier(uint32_t index)
{
    const struct counters *counters = &cell.counters[index];
    return atomic_load(&counters->executed) - atomic_load(&counters->on_loop);
}

/* ---- Who executes ---------------------------------------------------------------------------- */

static void nothing_executes_on_the_loop_unless_it_is_said_to_be_quick(void **state)
{
    (void)state;
    make(3, 0);
    for (uint32_t i = 1; i <= ALONE; i++) {
        assert_int_equal(group_cell_add(&cell, i % 3, 'a', 1), i);
    }
    group_cell_await_equal(&cell, ALONE);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(atomic_load(&cell.counters[i].on_loop), 0);
    }
    group_cell_end(&cell);
}

static void a_proposal_alone_is_executed_on_the_loop_of_who_waits_for_it(void **state)
{
    (void)state;
    make(3, 1);
    for (uint32_t i = 1; i <= ALONE; i++) {
        assert_int_equal(group_cell_add(&cell, i % 2, 'a', 1), i);
    }
    group_cell_await_equal(&cell, ALONE);
    assert_true(atomic_load(&cell.counters[0].on_loop) > 0);
    assert_true(atomic_load(&cell.counters[1].on_loop) > 0);
    assert_true(by_applier(2) > 0); /* there nobody waits: the loop has better things to do */
    group_cell_end(&cell);
}

struct flood {
    _Atomic uint32_t done;
    _Atomic uint32_t failed;
    _Atomic uint64_t last_slot;
    _Atomic bool disordered;
};

static void on_flood(void *data, const struct tn_proposal_result *result)
{
    struct flood *flood = data;
    if (result->error == 0) {
        uint64_t before = atomic_exchange(&flood->last_slot, result->slot);
        if (before >= result->slot) {
            atomic_store(&flood->disordered, true);
        }
    } else if (result->error != TN_ERROR_UNKNOWN) {
        atomic_fetch_add(&flood->failed, 1);
    }
    atomic_fetch_add(&flood->done, 1);
}

static void C3_loop_and_applier_share_a_group_in_one_order(void **state)
{
    (void)state;
    make(3, 1);
    struct flood flood = {0};
    struct tn_propose_options options = {.machine = GROUP_MACHINE};
    uint64_t alone = group_cell_add(&cell, 0, 'a', 1);
    tn_time since = 0;
    for (uint32_t i = 0; i < FLOOD;) {
        int error =
            tn_group_propose(cell.groups[0], "add z 1", 7, &options, on_flood, &flood, NULL);
        if (error == TN_ERROR_BUSY) { /* N6 */
            since = 0;
            (void)cell_patience(&since);
            continue;
        }
        assert_int_equal(error, 0);
        i += 1;
        if (i % (FLOOD / 10) == 0) { /* and some alone, when what went before is over */
            since = 0;
            while (atomic_load(&flood.done) < i) {
                assert_true(cell_patience(&since));
            }
            assert_int_equal(group_cell_add(&cell, 0, 'a', 1), ++alone);
        }
    }
    assert_int_equal(flood.failed, 0);
    assert_false(flood.disordered);
    group_cell_await_equal(&cell, alone);
    assert_true(atomic_load(&cell.counters[0].on_loop) > 0);
    assert_true(by_applier(0) > 0);
    group_cell_end(&cell);
}

static void a_retry_is_the_appliers_and_nothing_overtakes_it(void **state)
{
    (void)state;
    make(1, 1);
    (void)group_cell_add(&cell, 0, 'a', 1);
    uint64_t value = 1;
    for (uint32_t i = 0; i < 5; i++) {
        uint64_t before = by_applier(0);
        atomic_store(&cell.counters[0].retries, 3);
        struct flood flood = {0};
        struct tn_propose_options options = {.machine = GROUP_MACHINE};
        for (uint32_t j = 0; j < 3; j++) {
            assert_int_equal(
                tn_group_propose(cell.groups[0], "add z 1", 7, &options, on_flood, &flood, NULL),
                0);
        }
        assert_int_equal(group_cell_add(&cell, 0, 'a', 1), ++value);
        assert_int_equal(flood.done, 3);
        assert_false(flood.disordered);
        assert_int_equal(atomic_load(&cell.counters[0].retries), 0);
        assert_true(by_applier(0) > before);
    }
    struct tn_group_status status;
    assert_int_equal(tn_group_status(cell.groups[0], &status), 0);
    assert_int_equal(status.stalled, 0);
    assert_int_equal(status.retries, 15);
    group_cell_end(&cell);
}

static void a_machine_that_is_not_quick_is_the_appliers(void **state)
{
    (void)state;
    make(1, 1);
    atomic_store(&cell.counters[0].pause_ns, 3 * TN_MILLISECOND);
    for (uint32_t i = 1; i <= ALONE; i++) {
        assert_int_equal(group_cell_add(&cell, 0, 'a', 1), i);
    }
    assert_true(by_applier(0) > 0);
    group_cell_end(&cell);
}

/* ---- What callbacks may do there ------------------------------------------------------------- */

static void a_waiting_call_inside_execute_is_refused_on_the_loop_too(void **state)
{
    (void)state;
    make(1, 1);
    (void)group_cell_add(&cell, 0, 'a', 1);
    uint64_t sum = 1;
    tn_time since = 0;
    for (uint64_t before = 0; before == atomic_load(&cell.counters[0].on_loop);) {
        assert_true(cell_patience(&since));
        before = atomic_load(&cell.counters[0].on_loop);
        atomic_store(&cell.counters[0].wait_result, 0);
        atomic_store(&cell.counters[0].tempted, true);
        assert_int_equal(group_cell_add(&cell, 0, 'a', 1), ++sum);
        assert_int_equal(atomic_load(&cell.counters[0].wait_result), TN_ERROR_WRONG_THREAD);
    }
    group_cell_end(&cell);
}

struct chain {
    _Atomic uint32_t left;
    _Atomic uint32_t on_loop;
    _Atomic int error;
};

static void on_link(void *data, const struct tn_proposal_result *result)
{
    static const struct tn_propose_options options = {.machine = GROUP_MACHINE};
    struct chain *chain = data;
    struct tn_group *group = cell.groups[0];
    int error = result->error;
    atomic_fetch_add(&chain->on_loop, tn__node_on_loop(group->node) ? 1 : 0);
    if (error == 0 && atomic_load(&chain->left) > 1) {
        error = tn_group_propose(group, "add c 1", 7, &options, on_link, chain, NULL);
    }
    if (error != 0) {
        atomic_store(&chain->error, error);
    }
    atomic_fetch_sub(&chain->left, 1);
}

static void callbacks_on_the_loop_propose_again(void **state)
{
    (void)state;
    make(3, 1);
    (void)group_cell_add(&cell, 0, 'a', 1);
    struct chain chain = {.left = 100};
    struct tn_propose_options options = {.machine = GROUP_MACHINE};
    assert_int_equal(
        tn_group_propose(cell.groups[0], "add c 1", 7, &options, on_link, &chain, NULL), 0);
    tn_time since = 0;
    while (atomic_load(&chain.left) > 0 && atomic_load(&chain.error) == 0) {
        assert_true(cell_patience(&since));
    }
    assert_int_equal(chain.error, 0);
    assert_true(chain.on_loop > 0);
    group_cell_await_equal(&cell, 101);
    assert_int_equal(atomic_load(&cell.counters[0].sums['c' - 'a']), 100);
    group_cell_end(&cell);
}

static void N4_each_call_ends_once_when_a_quick_group_is_closed(void **state)
{
    (void)state;
    for (uint32_t round = 0; round < 4; round++) {
        make(3, 1);
        (void)group_cell_add(&cell, 0, 'a', 1);
        struct flood flood = {0};
        struct tn_propose_options options = {.machine = GROUP_MACHINE};
        uint32_t given = 0;
        for (uint32_t i = 0; i < 300; i++) {
            given += tn_group_propose(cell.groups[0], "add z 1", 7, &options, on_flood, &flood,
                                      NULL) == 0;
        }
        if (round % 2 == 0) {
            assert_int_equal(tn_group_close(cell.groups[0]), 0);
            cell.groups[0] = NULL;
        } else {
            cell_stop(&cell.cell, 0);
            cell.groups[0] = NULL;
        }
        assert_int_equal(atomic_load(&flood.done), given);
        group_cell_end(&cell);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_executes_on_the_loop_unless_it_is_said_to_be_quick),
        cmocka_unit_test(a_proposal_alone_is_executed_on_the_loop_of_who_waits_for_it),
        cmocka_unit_test(C3_loop_and_applier_share_a_group_in_one_order),
        cmocka_unit_test(a_retry_is_the_appliers_and_nothing_overtakes_it),
        cmocka_unit_test(a_machine_that_is_not_quick_is_the_appliers),
        cmocka_unit_test(a_waiting_call_inside_execute_is_refused_on_the_loop_too),
        cmocka_unit_test(callbacks_on_the_loop_propose_again),
        cmocka_unit_test(N4_each_call_ends_once_when_a_quick_group_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
