/* Groups of real nodes on loopback, with real disks: what is proposed anywhere is executed
 * everywhere in the same order, once, also across restarts; and what each function of group.h
 * promises. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "os/clock.h"
#include "os/clock.h"
#include "support/group_cell.h"
#include "support/slow_build.h"

/* Proposals at once: more than memory keeps. */
#define FLOOD (TN_SLOW_BUILD ? 6000U : 20000U)

static struct group_cell cell; /* too large for a stack */

static void make(uint32_t count, enum tn_log_mode mode)
{
    group_cell_make(&cell, count, mode);
    group_cell_start_all(&cell);
}

/* ---- Proposing ------------------------------------------------------------------------------- */

static void a_group_of_one_commits_and_executes(void **state)
{
    (void)state;
    make(1, TN_LOG_MODE_LEASED);
    assert_int_equal(group_cell_add(&cell, 0, 'a', 5), 5);
    assert_int_equal(group_cell_add(&cell, 0, 'a', 6), 11);
    assert_int_equal(group_cell_add(&cell, 0, 'b', 1), 1);
    assert_int_equal(cell.counters[0].executed, 3);
    group_cell_end(&cell);
}

static void proposals_of_every_member_are_executed_by_all_in_one_order(enum tn_log_mode mode)
{
    make(3, mode);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < 30; i++) {
        sum += i;
        assert_int_equal(group_cell_add(&cell, i % 3, 'k', i), sum);
    }
    group_cell_await_equal(&cell, 30);
    assert_int_equal(cell.counters[2].executed, 30);
    assert_int_equal(cell.counters[1].sums['k' - 'a'], sum);
    group_cell_end(&cell);
}

static void N4_leased_proposals_of_every_member_are_executed_by_all_in_one_order(void **state)
{
    (void)state;
    proposals_of_every_member_are_executed_by_all_in_one_order(TN_LOG_MODE_LEASED);
}

static void N4_free_proposals_of_every_member_are_executed_by_all_in_one_order(void **state)
{
    (void)state;
    proposals_of_every_member_are_executed_by_all_in_one_order(TN_LOG_MODE_FREE);
}

struct flood {
    _Atomic uint32_t done;
    _Atomic uint32_t failed;
    /* Maybe not executed: a forward was not answered in time, or its leader lost its tenure before
     * it was proposed. On a slow machine only. */
    _Atomic uint32_t unknown;
    _Atomic uint32_t busy;
    _Atomic uint64_t last_slot;
    _Atomic bool disordered;
};

static void on_flood(void *data, const struct tn_proposal_result *result)
{
    struct flood *flood = data;
    if (result->error == TN_ERROR_UNKNOWN || result->error == TN_ERROR_NO_QUORUM) {
        atomic_fetch_add(&flood->unknown, 1);
    } else if (result->error != 0) {
        atomic_fetch_add(&flood->failed, 1);
    } else {
        uint64_t before = atomic_exchange(&flood->last_slot, result->slot);
        if (before >= result->slot) {
            atomic_store(&flood->disordered, true);
        }
    }
    atomic_fetch_add(&flood->done, 1);
}

static void flood_member(uint32_t index, uint32_t count, struct flood *flood)
{
    struct tn_propose_options options = {.machine = GROUP_MACHINE, .context = flood};
    for (uint32_t i = 0; i < count;) {
        int error =
            tn_group_propose(cell.groups[index], "add z 1", 7, &options, on_flood, flood, NULL);
        if (error == TN_ERROR_BUSY) { /* N6 */
            atomic_fetch_add(&flood->busy, 1);
            tn_time since = 0;
            (void)cell_patience(&since);
            continue;
        }
        assert_int_equal(error, 0);
        i += 1;
    }
    tn_time since = 0;
    while (atomic_load(&flood->done) < count) {
        assert_true(cell_patience(&since));
    }
}

static void thousands_in_flight_are_all_committed_in_order(void **state)
{
    (void)state;
    make(3, TN_LOG_MODE_LEASED);
    (void)group_cell_add(&cell, 0, 'a', 1);
    uint32_t unknown = 0;
    for (uint32_t i = 0; i < 3; i++) {
        struct flood flood = {0};
        flood_member(i, FLOOD, &flood);
        assert_int_equal(flood.failed, 0);
        assert_false(flood.disordered);
        assert_true(cell.counters[i].contexts >= FLOOD - flood.unknown);
        unknown += flood.unknown;
        print_message("# member %u: %u times busy, %u unknown\n", i, flood.busy, flood.unknown);
    }
    group_cell_await_equal(&cell, 3 * FLOOD + 1 - unknown);
    assert_in_range(cell.counters[0].sums['z' - 'a'], 3 * FLOOD - unknown, 3 * FLOOD);
    group_cell_end(&cell);
}

static void N5_a_batch_gets_a_slot_and_a_result_each(void **state)
{
    (void)state;
    make(3, TN_LOG_MODE_LEASED);
    (void)group_cell_add(&cell, 0, 'a', 1);
    struct flood flood = {0};
    struct tn_propose_value values[100];
    void *data[100];
    for (uint32_t i = 0; i < 100; i++) {
        values[i] = (struct tn_propose_value){.bytes = "add b 2", .count = 7};
        data[i] = &flood;
    }
    struct tn_propose_options options = {.machine = GROUP_MACHINE};
    assert_int_equal(tn_group_propose_batch(cell.groups[1], values, 100, &options, on_flood, data),
                     0);
    tn_time since = 0;
    while (atomic_load(&flood.done) < 100) {
        assert_true(cell_patience(&since));
    }
    assert_int_equal(flood.failed, 0);
    assert_false(flood.disordered);
    group_cell_await_equal(&cell, 101 - flood.unknown);
    assert_true(cell.counters[2].sums[1] >= 200 - 2 * flood.unknown);
    group_cell_end(&cell);
}

static void N5_proposals_are_gathered_by_count_bytes_or_delay(void **state)
{
    (void)state;
    group_cell_make(&cell, 1, TN_LOG_MODE_LEASED);
    cell.options.batch_count = 5;
    cell.options.batch_bytes = 100;
    cell.options.batch_delay_ns = 20 * TN_MILLISECOND;
    group_cell_start_all(&cell);
    (void)group_cell_add(&cell, 0, 'a', 1); /* alone: by delay */
    struct flood flood = {0};
    flood_member(0, 503, &flood);
    assert_int_equal(flood.failed + flood.unknown, 0);
    assert_false(flood.disordered);
    assert_int_equal(cell.counters[0].sums['z' - 'a'], 503);
    group_cell_end(&cell);
}

static void N4_a_once_only_id_has_its_effect_once(void **state)
{
    (void)state;
    make(3, TN_LOG_MODE_LEASED);
    struct tn_proposal_result result;
    struct tn_propose_options options = {
        .client = 99, .sequence = 1, .timeout_ns = CELL_PATIENCE_NS};
    assert_int_equal(group_cell_try(&cell, 0, 'o', 5, &options, &result), 0);
    assert_int_equal(result.repeated, 0);
    uint64_t slot = result.slot;
    assert_int_equal(group_cell_try(&cell, 1, 'o', 5, &options, &result), 0);
    assert_int_equal(result.repeated, 1);
    assert_memory_equal(result.bytes, "5", 1);
    assert_true(result.slot > slot);
    options.sequence = 2;
    assert_int_equal(group_cell_try(&cell, 2, 'o', 5, &options, &result), 0);
    assert_memory_equal(result.bytes, "10", 2);
    options.sequence = 1;
    struct tn_group_status status;
    assert_int_equal(tn_group_status(cell.groups[2], &status), 0);
    assert_int_equal(status.once_ids, 1);
    assert_int_equal(group_cell_try(&cell, 2, 'o', 5, &options, &result), TN_ERROR_EVICTED);
    assert_true(tn_proposal_error_is_final(TN_ERROR_EVICTED));
    group_cell_end(&cell);
}

static void a_large_value_crosses_whole(void **state)
{
    (void)state;
    make(3, TN_LOG_MODE_LEASED);
    (void)group_cell_add(&cell, 0, 'a', 1);
    size_t count = TN_SLOW_BUILD ? 1U << 20 : 8U << 20;
    char *bytes = malloc(count);
    assert_non_null(bytes);
    for (size_t i = 0; i < count; i++) {
        bytes[i] = (char)(i * 7 + i / 4096);
    }
    struct tn_propose_options options = {
        .machine = GROUP_MACHINE, .timeout_ns = CELL_PATIENCE_NS, .sequence = 1};
    struct tn_proposal_result result;
    for (uint32_t i = 0; i < 3; i++) {
        options.client = 50 + i;
        bytes[0] = (char)('A' + (int)i);
        int error = tn_group_propose_wait(cell.groups[i], bytes, count, &options, NULL, 0, &result);
        assert_int_equal(error, 0);
    }
    group_cell_await_equal(&cell, 4);
    char *read = malloc(count);
    assert_non_null(read);
    size_t read_count = 0;
    uint32_t machine = 0;
    assert_int_equal(
        tn_group_value(cell.groups[0], result.slot, read, count, &read_count, &machine), 0);
    assert_int_equal(read_count, count);
    assert_int_equal(machine, GROUP_MACHINE);
    assert_memory_equal(read, bytes, count);
    free(read);
    free(bytes);
    group_cell_end(&cell);
}

/* ---- Restarts -------------------------------------------------------------------------------- */

static void what_was_committed_survives_a_restart_of_all(void **state)
{
    (void)state;
    make(3, TN_LOG_MODE_LEASED);
    uint64_t sum = 0;
    for (uint32_t i = 1; i <= 100; i++) {
        sum = group_cell_add(&cell, i % 3, 'r', i);
    }
    for (uint32_t i = 0; i < 3; i++) {
        group_cell_stop(&cell, i);
    }
    group_cell_start_all(&cell);
    assert_int_equal(group_cell_add(&cell, 1, 'r', 1), sum + 1);
    group_cell_await_equal(&cell, 101);
    assert_int_equal(cell.counters[0].sums['r' - 'a'], sum + 1);
    group_cell_end(&cell);
}

static void C2_a_member_that_was_away_catches_up(void **state)
{
    (void)state;
    cell.options = (struct tn_group_options){0};
    make(3, TN_LOG_MODE_LEASED);
    (void)group_cell_add(&cell, 0, 'c', 1);
    group_cell_stop(&cell, 2);
    struct flood flood = {0};
    flood_member(0, FLOOD, &flood);
    assert_int_equal(flood.failed, 0);
    group_cell_start(&cell, 2);
    group_cell_await_equal(&cell, FLOOD + 1 - flood.unknown);
    assert_true(cell.counters[2].sums['z' - 'a'] >= FLOOD - flood.unknown);
    group_cell_end(&cell);
}

/* Long values, and one that is longer than what a frame of the stream holds else. */
static void propose_long(uint32_t count, uint32_t bytes)
{
    uint8_t *value = calloc(1, bytes);
    assert_non_null(value);
    struct tn_propose_options options = {
        .machine = GROUP_MACHINE, .timeout_ns = CELL_PATIENCE_NS, .client = 77};
    for (uint32_t i = 0; i < count; i++) {
        uint32_t length = i == 1 ? bytes : bytes / 16;
        options.sequence = i + 1; /* a forward that was lost is sent again */
        snprintf((char *)value, bytes, "add v %u and more", i);
        assert_int_equal(
            tn_group_propose_wait(cell.groups[0], value, length, &options, NULL, 0, NULL), 0);
    }
    free(value);
}

static void C2_a_member_that_was_away_is_served_no_faster_than_allowed(void **state)
{
    (void)state;
    group_cell_make(&cell, 3, TN_LOG_MODE_LEASED);
    cell.options.window_slots = 8; /* little is served from memory */
    for (uint32_t i = 0; i < 3; i++) {
        cell.cell.nodes[i].options.catch_up_bytes_per_second = 1 << 20;
    }
    group_cell_start_all(&cell);
    (void)group_cell_add(&cell, 0, 'c', 1);
    group_cell_stop(&cell, 2);
    propose_long(80, 1 << 19); /* 3 MiB, the last one in memory: 32 slots */
    tn_time began = tn__clock_awake();
    group_cell_start(&cell, 2);
    group_cell_await_equal(&cell, 81);
    /* Two members may serve it, and who serves does not wait for what it sends first. */
    assert_true(tn__clock_awake() - began >= TN_SECOND / 2);
    assert_int_equal(cell.counters[2].sums['v' - 'a'], 79 * 80 / 2);
    group_cell_end(&cell);
}

static void C2_short_entries_count_for_what_they_cost(void **state)
{
    (void)state;
    group_cell_make(&cell, 3, TN_LOG_MODE_LEASED);
    cell.options.window_slots = 8;
    cell.options.waiting_max = 1024;
    for (uint32_t i = 0; i < 3; i++) {
        cell.cell.nodes[i].options.catch_up_bytes_per_second = 1 << 20;
    }
    group_cell_start_all(&cell);
    (void)group_cell_add(&cell, 0, 'c', 1);
    group_cell_stop(&cell, 2);
    struct flood flood = {0};
    flood_member(0, 12000, &flood); /* 0.8 MiB on the wire, but 2.9 by count */
    tn_time began = tn__clock_awake();
    group_cell_start(&cell, 2);
    group_cell_await_equal(&cell, 12001 - flood.unknown);
    assert_true(tn__clock_awake() - began >= TN_SECOND * 5 / 4); /* two members may serve it */
    group_cell_end(&cell);
}

static void a_group_is_closed_and_opened_again_beside_others(void **state)
{
    (void)state;
    make(3, TN_LOG_MODE_LEASED);
    uint64_t sum = 0;
    for (uint32_t round = 0; round < 5; round++) {
        sum = group_cell_add(&cell, round % 3, 'g', 10);
        uint32_t closed = (round + 1) % 3;
        assert_int_equal(tn_group_close(cell.groups[closed]), 0);
        cell.groups[closed] = NULL;
        struct tn_group_options options = cell.options;
        assert_int_equal(tn_group_open(cell.cell.nodes[closed].node, &options, &cell.groups[closed],
                                       cell.why, sizeof(cell.why)),
                         0);
        assert_int_equal(tn_group_close(cell.groups[closed]), 0);
        cell.groups[closed] = NULL;
        cell_stop(&cell.cell, closed);
        group_cell_start(&cell, closed);
    }
    assert_int_equal(sum, 50);
    group_cell_await_equal(&cell, 5);
    group_cell_end(&cell);
}

/* ---- Reading --------------------------------------------------------------------------------- */

static void a_quorum_read_sees_all_that_was_committed_before_it(void **state)
{
    (void)state;
    make(3, TN_LOG_MODE_LEASED);
    for (uint32_t i = 1; i <= 30; i++) {
        (void)group_cell_add(&cell, i % 3, 'q', 1);
        struct tn_read_result result;
        uint32_t reader = (i + 1) % 3;
        assert_int_equal(
            tn_group_read_wait(cell.groups[reader], TN_READ_QUORUM, CELL_PATIENCE_NS, &result), 0);
        assert_int_equal(cell.counters[reader].sums['q' - 'a'], i);
        assert_true(result.slot >= i);
    }
    group_cell_end(&cell);
}

static void a_stale_read_tells_slot_and_age(void **state)
{
    (void)state;
    make(3, TN_LOG_MODE_LEASED);
    (void)group_cell_add(&cell, 0, 's', 1);
    group_cell_await_equal(&cell, 1);
    tn_time since = 0;
    for (uint32_t i = 0; i < 3; i++) {
        struct tn_read_result result = {.age_ns = TN_TIME_NEVER};
        do {
            assert_int_equal(tn_group_read_wait(cell.groups[i], TN_READ_STALE, 0, &result), 0);
        } while (result.age_ns == TN_TIME_NEVER && cell_patience(&since));
        assert_true(result.slot >= 1);
        assert_true(result.age_ns < CELL_PATIENCE_NS);
    }
    group_cell_end(&cell);
}

static void on_read(void *data, const struct tn_read_result *result)
{
    assert_int_equal(result->error, TN_OK);
    atomic_store((_Atomic bool *)data, true);
}

static void a_read_that_comes_while_its_group_executes_is_answered_after_it(void **state)
{
    (void)state;
    make(1, TN_LOG_MODE_LEASED);
    (void)group_cell_add(&cell, 0, 'h', 1);
    atomic_store(&cell.counters[0].held, true);
    const struct tn_propose_options options = {.machine = GROUP_MACHINE};
    assert_int_equal(tn_group_propose(cell.groups[0], "add h 1", 7, &options, NULL, NULL, NULL), 0);
    tn_time since = 0;
    while (!atomic_load(&cell.counters[0].inside)) {
        assert_true(cell_patience(&since));
    }
    _Atomic bool answered = false;
    assert_int_equal(tn_group_read(cell.groups[0], TN_READ_STALE, 0, on_read, &answered), 0);
    nanosleep(&(struct timespec){0, 50000000L}, NULL); /* the loop has given it to the applier */
    atomic_store(&cell.counters[0].held, false);
    since = 0;
    while (!atomic_load(&answered)) {
        assert_true(cell_patience(&since));
    }
    group_cell_end(&cell);
}

/* ---- Looking --------------------------------------------------------------------------------- */

static void status_tells_leader_slots_and_states(void **state)
{
    (void)state;
    make(3, TN_LOG_MODE_LEASED);
    (void)group_cell_add(&cell, 0, 's', 1);
    group_cell_await_equal(&cell, 1);
    uint32_t ready = 0;
    for (uint32_t i = 0; i < 3; i++) {
        struct tn_group_status status;
        assert_int_equal(tn_group_status(cell.groups[i], &status), 0);
        assert_int_equal(status.log.group, 3);
        assert_int_equal(tn_group_id(cell.groups[i]), 3);
        assert_true(status.executed >= 1);
        assert_int_equal(status.stalled, 0);
        ready += status.log.ready;
    }
    assert_int_equal(ready, 1);
    group_cell_end(&cell);
}

static void several_groups_share_one_node_and_log(void **state)
{
    (void)state;
    make(3, TN_LOG_MODE_LEASED);
    struct tn_group *more[3][20];
    for (uint32_t i = 0; i < 3; i++) {
        for (uint32_t g = 0; g < 20; g++) {
            struct tn_group_options options = {.id = 100 + g, .mode = TN_LOG_MODE_FREE};
            assert_int_equal(tn_group_open(cell.cell.nodes[i].node, &options, &more[i][g], cell.why,
                                           sizeof(cell.why)),
                             0);
        }
    }
    struct tn_propose_options options = {.timeout_ns = CELL_PATIENCE_NS};
    for (uint32_t g = 0; g < 20; g++) {
        struct tn_proposal_result result;
        assert_int_equal(tn_group_propose_wait(more[g % 3][g], "x", 1, &options, NULL, 0, &result),
                         0);
    }
    (void)group_cell_add(&cell, 0, 'm', 1);
    group_cell_end(&cell); /* the node closes those that are open */
}

static void a_truncated_log_gives_up_its_beginning(void **state)
{
    (void)state;
    group_cell_make(&cell, 1, TN_LOG_MODE_LEASED);
    cell.options.window_slots = 16;
    group_cell_start_all(&cell);
    for (uint32_t i = 0; i < 200; i++) {
        (void)group_cell_add(&cell, 0, 't', 1);
    }
    struct tn_group_status status;
    assert_int_equal(tn_group_truncate(cell.groups[0], 1U << 30), TN_ERROR_INVALID);
    assert_int_equal(tn_group_truncate(cell.groups[0], 150), 0);
    assert_int_equal(tn_group_status(cell.groups[0], &status), 0);
    assert_in_range(status.log.retained, 2, 150);
    char byte;
    assert_int_equal(tn_group_value(cell.groups[0], 1, &byte, 1, NULL, NULL), TN_ERROR_NOT_FOUND);
    assert_int_equal(tn_group_value(cell.groups[0], 150, &byte, 1, NULL, NULL), 0);
    group_cell_end(&cell);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_of_one_commits_and_executes),
        cmocka_unit_test(N4_leased_proposals_of_every_member_are_executed_by_all_in_one_order),
        cmocka_unit_test(N4_free_proposals_of_every_member_are_executed_by_all_in_one_order),
        cmocka_unit_test(thousands_in_flight_are_all_committed_in_order),
        cmocka_unit_test(N5_a_batch_gets_a_slot_and_a_result_each),
        cmocka_unit_test(N5_proposals_are_gathered_by_count_bytes_or_delay),
        cmocka_unit_test(N4_a_once_only_id_has_its_effect_once),
        cmocka_unit_test(a_large_value_crosses_whole),
        cmocka_unit_test(what_was_committed_survives_a_restart_of_all),
        cmocka_unit_test(C2_a_member_that_was_away_catches_up),
        cmocka_unit_test(C2_a_member_that_was_away_is_served_no_faster_than_allowed),
        cmocka_unit_test(C2_short_entries_count_for_what_they_cost),
        cmocka_unit_test(a_group_is_closed_and_opened_again_beside_others),
        cmocka_unit_test(a_quorum_read_sees_all_that_was_committed_before_it),
        cmocka_unit_test(a_stale_read_tells_slot_and_age),
        cmocka_unit_test(a_read_that_comes_while_its_group_executes_is_answered_after_it),
        cmocka_unit_test(status_tells_leader_slots_and_states),
        cmocka_unit_test(several_groups_share_one_node_and_log),
        cmocka_unit_test(a_truncated_log_gives_up_its_beginning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
