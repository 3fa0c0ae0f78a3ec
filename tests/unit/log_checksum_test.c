/* C3: the member whose chain differs from a majority's stops, the leader included. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/log_cell.h"

#define FAR (3600 * TN_SECOND)
#define MS TN_MILLISECOND

/* A cell with a prefix; those of `odd` have another chain over it, as if their disks had lied. */
static struct log_cell *diverged(uint32_t nodes, uint32_t odd)
{
    struct log_cell *cell = cell_new(nodes, NULL);
    cell_tenure(cell, 0, 1, FAR);
    cell_run(cell, cell->now + 10 * MS);
    cell_propose(cell, 0, 5);
    cell_run(cell, cell->now + TN_SECOND);
    cell_propose(cell, 0, 1); /* a record that says how far all is committed */
    cell_run(cell, cell->now + TN_SECOND);
    for (uint32_t i = 0; i < nodes; i++) {
        if ((odd >> i & 1U) != 0) {
            cell_crash(cell, i);
            assert_true(cell->nodes[i].disk->committed >= 5);
            cell->nodes[i].disk->checksum ^= 1;
            log_cell_start(cell, i);
        }
    }
    cell_drop_all(cell);
    if ((odd & 1U) != 0) {
        cell_tenure(cell, 0, 2, FAR);
    }
    cell_run(cell, cell->now + 5 * TN_SECOND);
    return cell;
}

static uint32_t stopped(struct log_cell *cell)
{
    uint32_t members = 0;
    for (uint32_t i = 0; i < cell->nodes_count; i++) {
        members |= log_cell_status(cell, i).state == TN_LOG_STATE_STOPPED ? 1U << i : 0;
    }
    return members;
}

static void C3_an_odd_follower_stops_and_says_so(void **state)
{
    (void)state;
    struct log_cell *cell = diverged(3, 4);
    assert_int_equal(stopped(cell), 4);
    const struct tn_log_notice *notice = cell_last(cell, 2, TN_LOG_NOTICE_INCIDENT);
    assert_non_null(notice);
    assert_int_equal(notice->reason, TN_LOG_REASON_DIVERGED);
    notice = cell_last(cell, 0, TN_LOG_NOTICE_INCIDENT);
    assert_non_null(notice);
    assert_int_equal(notice->reason, TN_LOG_REASON_PEER_DIVERGED);
    assert_int_equal(notice->node, 3);
    cell_propose(cell, 0, 3);
    cell_run(cell, cell->now + TN_SECOND);
    assert_true(cell->nodes[1].committed >= 9); /* the others go on */
    cell_free(cell);
}

static void C3_an_odd_leader_stops_itself(void **state)
{
    (void)state;
    struct log_cell *cell = diverged(3, 1);
    assert_int_equal(stopped(cell), 1);
    assert_int_equal(cell_last(cell, 0, TN_LOG_NOTICE_INCIDENT)->reason, TN_LOG_REASON_DIVERGED);
    cell_tenure(cell, 1, 3, FAR);
    cell_run(cell, cell->now + TN_SECOND);
    assert_int_equal(log_cell_status(cell, 1).ready, 1);
    cell_free(cell);
}

static void C3_a_stopped_member_spreads_nothing(void **state)
{
    (void)state;
    struct log_cell *cell = diverged(3, 4);
    struct tn_log_message fetch = {.kind = TN_LOG_FETCH, .slot = 1, .slot_end = 6};
    struct tn_log_message prepare = {.kind = TN_LOG_PREPARE, .slot = 1};
    struct tn_log_message read = {.kind = TN_LOG_READ, .id = 5};
    prepare.ballot = (struct tn_log_ballot){.token = 9,
                                            .attempt = 1,
                                            .mode_number = 1,
                                            .node = 2,
                                            .restart_word = cell->nodes[1].options.restart_word};
    cell_drop_all(cell);
    cell_forge(cell, 1, 2, &fetch);
    cell_forge(cell, 1, 2, &prepare);
    cell_forge(cell, 1, 2, &read);
    assert_int_equal(cell->mail_count, 0);
    assert_int_equal(tn_log_deadline(cell->nodes[2].log), TN_TIME_NEVER);
    cell_free(cell);
}

static void C3_without_a_majority_on_either_side_nobody_stops(void **state)
{
    (void)state;
    struct log_cell *cell = diverged(2, 2);
    assert_int_equal(stopped(cell), 0);
    assert_int_equal(cell_last(cell, 0, TN_LOG_NOTICE_INCIDENT)->reason,
                     TN_LOG_REASON_PEER_DIVERGED);
    assert_true(cell_counters(cell, 0).diverged > 0);
    cell_free(cell);
}

static void C3_two_of_five_stop(void **state)
{
    (void)state;
    struct log_cell *cell = diverged(5, 8U | 16U);
    assert_int_equal(stopped(cell), 8U | 16U);
    cell_free(cell);
}

static void C3_equal_chains_stop_nobody(void **state)
{
    (void)state;
    struct log_cell *cell = diverged(5, 0);
    assert_int_equal(stopped(cell), 0);
    assert_int_equal(cell_counters(cell, 0).diverged, 0);
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(log_cell_status(cell, i).checksum, log_cell_status(cell, 0).checksum);
    }
    cell_free(cell);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(C3_an_odd_follower_stops_and_says_so),
        cmocka_unit_test(C3_an_odd_leader_stops_itself),
        cmocka_unit_test(C3_a_stopped_member_spreads_nothing),
        cmocka_unit_test(C3_without_a_majority_on_either_side_nobody_stops),
        cmocka_unit_test(C3_two_of_five_stop),
        cmocka_unit_test(C3_equal_chains_stop_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
