/* Proposals on their way to a slot: queues, forwards, their three outcomes, and slow followers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/log_cell.h"

#define FAR (3600 * TN_SECOND)
#define MS TN_MILLISECOND

static void lead(struct log_cell *cell, uint32_t node, uint64_t token)
{
    cell_tenure(cell, node, token, FAR);
    cell_run(cell, cell->now + 10 * MS);
    for (uint32_t i = 0; i < cell->nodes_count; i++) {
        cell_event(cell, i, TN_LOG_EVENT_LEADER, node);
    }
    assert_int_equal(log_cell_status(cell, node).state, TN_LOG_STATE_ACTIVE);
}

static struct log_cell *led(const struct tn_log_options *base)
{
    struct log_cell *cell = cell_new(3, base);
    lead(cell, 0, 1);
    return cell;
}

static bool drop_kinds(struct log_cell *cell, uint32_t from, uint32_t to,
                       const struct tn_log_message *message)
{
    (void)from;
    (void)to;
    return (*(uint32_t *)cell->filter_data >> message->kind & 1U) == 0;
}

/* ---- N4 -------------------------------------------------------------------------------------- */

static void N4_a_proposal_at_any_member_reaches_the_leader_and_its_slot_comes_back(void **state)
{
    (void)state;
    struct log_cell *cell = led(NULL);
    uint64_t number = cell_propose(cell, 2, 4);
    cell_run(cell, cell->now + 100 * MS);
    assert_int_equal(cell->committed, 4);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(cell->nodes[2].proposals[number + i].fate, CELL_ASSIGNED);
        assert_int_equal(cell->nodes[2].proposals[number + i].slot, i + 1);
    }
    assert_int_equal(cell_counters(cell, 2).forwarded, 4);
    cell_free(cell);
}

static void N4_who_forwarded_hears_of_the_commit_at_once(void **state)
{
    (void)state;
    struct log_cell *cell = led(NULL);
    cell_run(cell, cell->now + 500 * MS);
    cell_propose(cell, 2, 1);
    cell_deliver_all(cell); /* no time passes */
    assert_int_equal(cell->nodes[2].committed, 1);
    cell_free(cell);
}

static void N4_a_copy_of_a_forward_is_not_a_second_proposal(void **state)
{
    (void)state;
    struct log_cell *cell = led(NULL);
    cell_propose(cell, 1, 2);
    cell_repeat(cell, cell_find(cell, TN_LOG_FORWARD, 1, 0));
    cell_run(cell, cell->now + 100 * MS);
    assert_int_equal(cell->committed, 2);
    assert_true(cell_counters(cell, 0).stale >= 1);
    cell_free(cell);
}

static void N4_a_copy_that_comes_after_the_leaders_restart_is_not_taken(void **state)
{
    (void)state;
    struct log_cell *cell = led(NULL);
    cell_propose(cell, 1, 2);
    cell_repeat(cell, cell_find(cell, TN_LOG_FORWARD, 1, 0));
    struct cell_mail copy = cell->mail[cell->mail_count - 1];
    cell->mail_count--; /* it stays in the network */
    cell_run(cell, cell->now + 100 * MS);
    assert_int_equal(cell->committed, 2);
    cell_crash(cell, 0);
    log_cell_start(cell, 0);
    lead(cell, 0, 2);
    cell->mail[cell->mail_count++] = copy;
    cell_run(cell, cell->now + 100 * MS);
    assert_int_equal(cell->committed, 2);
    cell_free(cell);
}

/* Numbers begin anew with each incarnation: by them alone the answer would fit. */
static void N4_an_answer_to_a_forward_of_an_earlier_incarnation_is_not_taken(void **state)
{
    (void)state;
    struct log_cell *cell = led(NULL);
    cell_tenure(cell, 0, 1, 0);
    cell_propose(cell, 1, 1);
    cell_deliver(cell, cell_find(cell, TN_LOG_FORWARD, 1, 0));
    cell_repeat(cell, cell_find(cell, TN_LOG_REFUSED, 0, 1));
    struct cell_mail answer = cell->mail[cell->mail_count - 1];
    cell->mail_count--; /* it stays in the network */
    cell_drop_all(cell);
    cell_crash(cell, 1);
    log_cell_start(cell, 1);
    lead(cell, 0, 2);
    assert_int_equal(cell_propose(cell, 1, 1), answer.message.id);
    assert_int_equal(cell_mails(cell, TN_LOG_FORWARD), 1);
    cell->mail[cell->mail_count++] = answer;
    cell_deliver(cell, cell_find(cell, TN_LOG_REFUSED, 0, 1));
    cell_run(cell, cell->now + TN_SECOND);
    assert_int_equal(cell->committed, 1);
    assert_int_equal(cell_counters(cell, 1).forwarded, 1);
    cell_free(cell);
}

static void N4_what_a_former_leader_refused_is_forwarded_to_the_next(void **state)
{
    (void)state;
    struct log_cell *cell = led(NULL);
    cell_propose(cell, 1, 3); /* under way to the first */
    cell_tenure(cell, 0, 1, 0);
    lead(cell, 2, 2);
    cell_event(cell, 1, TN_LOG_EVENT_LEADER, 2);
    cell_run(cell, cell->now + TN_SECOND);
    assert_int_equal(cell->committed, 3);
    assert_int_equal(cell->nodes[1].proposals[1].fate, CELL_ASSIGNED);
    cell_free(cell);
}

static void N4_a_refused_forward_is_proposed_here_if_this_member_leads(void **state)
{
    (void)state;
    struct log_cell *cell = led(NULL);
    cell_tenure(cell, 0, 1, 0);
    cell_propose(cell, 1, 3);
    cell_deliver_all(cell);
    assert_int_equal(cell->committed, 0);
    cell_tenure(cell, 1, 2, FAR);
    cell_run(cell, cell->now + TN_SECOND);
    assert_int_equal(cell->committed, 3);
    for (uint32_t i = 1; i <= 3; i++) {
        assert_int_equal(cell->nodes[1].proposals[i].fate, CELL_ASSIGNED);
        assert_int_equal(cell->nodes[1].proposals[i].slot, i);
    }
    cell_free(cell);
}

static void N4_a_forward_that_is_not_answered_is_lost_and_never_sent_again(void **state)
{
    (void)state;
    struct log_cell *cell = led(NULL);
    uint32_t kinds = 1U << TN_LOG_FORWARD;
    cell->filter = drop_kinds;
    cell->filter_data = &kinds;
    cell_propose(cell, 1, 2);
    cell->filter = NULL;
    cell_run(cell, cell->now + 20 * TN_SECOND);
    assert_int_equal(cell->committed, 0);
    assert_int_equal(cell->nodes[1].proposals[1].fate, CELL_LOST);
    assert_int_equal(cell->nodes[1].proposals[2].fate, CELL_LOST);
    cell_free(cell);
}

static void ceph_flaw_12_what_may_have_been_proposed_is_never_said_to_have_failed(void **state)
{ /* Requests under way at an old leader were told to try again though they might still commit. */
    (void)state;
    struct log_cell *cell = led(NULL);
    uint32_t kinds = 1U << TN_LOG_ASSIGNED;
    cell->filter = drop_kinds;
    cell->filter_data = &kinds;
    cell_propose(cell, 1, 1);
    cell_deliver(cell, cell_find(cell, TN_LOG_FORWARD, 1, 0)); /* in a slot, and nobody says so */
    cell_drop_all(cell);
    cell_crash(cell, 0);
    log_cell_start(cell, 0);
    cell_run(cell, cell->now + TN_SECOND);
    assert_int_equal(cell->nodes[1].proposals[1].fate, CELL_LOST);
    cell->filter = NULL;
    lead(cell, 0, 2);
    cell_run(cell, cell->now + TN_SECOND);
    assert_int_equal(cell->committed, 1); /* here it was */
    assert_int_equal(cell->slot_of[1], 1);
    cell_free(cell);
}

static void N4_only_what_is_in_no_slot_and_no_forward_can_be_cancelled(void **state)
{
    (void)state;
    struct log_cell *cell = cell_new(3, NULL);
    cell_propose(cell, 1, 3); /* nobody leads */
    cell_event(cell, 1, TN_LOG_EVENT_CANCEL, 2);
    assert_int_equal(cell->nodes[1].proposals[2].fate, CELL_REFUSED);
    assert_int_equal(cell->nodes[1].proposals[2].reason, TN_LOG_REASON_CANCELLED);
    cell_event(cell, 1, TN_LOG_EVENT_CANCEL, 2);
    cell_event(cell, 1, TN_LOG_EVENT_CANCEL, 99);
    cell_tenure(cell, 0, 1, FAR);
    cell_event(cell, 1, TN_LOG_EVENT_LEADER, 0);
    cell_fire(cell, 1);
    assert_int_equal(cell_mails(cell, TN_LOG_FORWARD), 2); /* not one run any more */
    cell_event(cell, 1, TN_LOG_EVENT_CANCEL, 1);
    assert_int_equal(cell->nodes[1].proposals[1].fate, CELL_ASKED);
    cell_run(cell, cell->now + TN_SECOND);
    assert_int_equal(cell->committed, 2);
    assert_int_equal(cell->nodes[1].proposals[1].fate, CELL_ASSIGNED);
    cell_free(cell);
}

static void N4_a_leader_that_steps_down_refuses_its_guests_and_keeps_its_own(void **state)
{
    (void)state;
    struct log_cell *cell = led(NULL);
    cell->cut = 2U | 4U;
    cell_propose(cell, 0, 30); /* the window takes 16 */
    assert_int_equal(log_cell_status(cell, 0).waiting, 14);
    cell_drop_all(cell);
    cell->cut = 0;
    cell_tenure(cell, 0, 1, 0);
    lead(cell, 1, 2);
    cell_event(cell, 0, TN_LOG_EVENT_LEADER, 1);
    cell_run(cell, cell->now + TN_SECOND);
    for (uint32_t i = 17; i <= 30; i++) {
        assert_int_equal(cell->nodes[0].proposals[i].fate, CELL_ASSIGNED);
        assert_true(cell->slot_of[i] != 0);
    }
    cell_free(cell);
}

/* ---- N5, N6 ---------------------------------------------------------------------------------- */

static void N5_a_run_gets_one_slot_each_in_its_order_by_one_message(void **state)
{
    (void)state;
    struct tn_log_options base = {.window_slots = 1024};
    struct log_cell *cell = led(&base);
    cell_propose(cell, 0, 1000);
    assert_int_equal(cell_mails(cell, TN_LOG_ACCEPT), 2);
    cell_run(cell, cell->now + 100 * MS);
    assert_int_equal(cell->committed, 1000);
    for (uint32_t i = 1; i <= 1000; i++) {
        assert_int_equal(cell->chosen[i].digest, i);
    }
    cell_free(cell);
}

static void N6_past_the_bounds_is_busy_and_what_was_taken_is_proposed(void **state)
{
    (void)state;
    struct tn_log_options base = {.window_slots = 16, .waiting_max = 10, .waiting_bytes = 1000};
    struct log_cell *cell = cell_new(3, &base);
    cell_propose(cell, 1, 15);
    assert_int_equal(cell->nodes[1].proposals[10].fate, CELL_ASKED);
    assert_int_equal(cell->nodes[1].proposals[11].reason, TN_LOG_REASON_BUSY);
    assert_int_equal(cell_counters(cell, 1).busy, 5);
    lead(cell, 1, 1);
    cell_run(cell, cell->now + TN_SECOND);
    assert_int_equal(cell->committed, 10);
    cell_crash(cell, 1);
    log_cell_start(cell, 1);
    cell->value_bytes = 400;
    cell_propose(cell, 1, 4); /* two fit the bytes */
    assert_int_equal(cell->nodes[1].proposals[2].fate, CELL_ASKED);
    assert_int_equal(cell->nodes[1].proposals[3].reason, TN_LOG_REASON_BUSY);
    cell_free(cell);
}

static void N6_guests_are_bounded_too_and_wait_again_where_they_came_from(void **state)
{
    (void)state;
    struct tn_log_options base = {.window_slots = 8, .waiting_max = 16};
    struct log_cell *cell = led(&base);
    uint32_t kinds = 1U << TN_LOG_ACCEPTED;
    cell->filter = drop_kinds;
    cell->filter_data = &kinds;
    cell_propose(cell, 1, 16);
    cell_propose(cell, 2, 16); /* eight go into slots, sixteen wait at the leader */
    cell_deliver_all(cell);
    assert_true(cell_counters(cell, 0).busy > 0);
    cell->filter = NULL;
    cell_run(cell, cell->now + 20 * TN_SECOND);
    assert_int_equal(cell->committed, 32);
    cell_free(cell);
}

static void N3_the_window_bounds_slots_and_bytes_in_flight(void **state)
{
    (void)state;
    struct tn_log_options base = {.window_slots = 16, .window_bytes = 1000};
    struct log_cell *cell = led(&base);
    cell->cut = 2U | 4U;
    cell_propose(cell, 0, 12);
    assert_int_equal(log_cell_status(cell, 0).proposed, 10); /* of 100 bytes each */
    cell->value_bytes = 5000;
    cell_propose(cell, 0, 1);
    assert_int_equal(log_cell_status(cell, 0).proposed, 10);
    cell->cut = 0;
    cell_run(cell, cell->now + 5 * TN_SECOND);
    assert_int_equal(cell->committed, 13); /* alone, a large one is let through */
    cell_free(cell);
}

/* ---- Slow followers -------------------------------------------------------------------------- */

static void ceph_flaw_1_a_dead_member_does_not_hold_up_the_others(void **state)
{ /* Each write needed every member of the quorum: one slow disk stopped all for ten seconds. */
    (void)state;
    struct log_cell *cell = led(NULL);
    cell->cut = 4;
    tn_time before = cell->now;
    for (uint32_t i = 0; i < 100; i++) {
        cell_propose(cell, 0, 10);
        cell_run(cell, cell->now + MS);
    }
    assert_int_equal(cell->committed, 1000);
    assert_true(cell->now - before < TN_SECOND);
    assert_int_equal(cell_counters(cell, 0).prepares, 1); /* ceph_flaw_4: and no election came */
    cell->cut = 0;
    cell_run(cell, cell->now + 10 * TN_SECOND);
    assert_true(cell_agrees(cell, 1000));
    cell_free(cell);
}

static void N3_a_slow_follower_gets_no_more_than_its_bytes(void **state)
{
    (void)state;
    struct tn_log_options base = {.window_slots = 64, .retain_slots = 1024, .peer_bytes = 2000};
    struct log_cell *cell = led(&base);
    for (uint32_t i = 0; i < 40; i++) { /* it reads nothing; the other answers at once */
        cell_propose(cell, 0, 5);
        uint32_t accept = cell_find(cell, TN_LOG_ACCEPT, 0, 1);
        while (accept < cell->mail_count) {
            cell_deliver(cell, accept);
            cell_deliver(cell, cell_find(cell, TN_LOG_ACCEPTED, 1, 0));
            accept = cell_find(cell, TN_LOG_ACCEPT, 0, 1);
        }
    }
    assert_int_equal(cell->committed, 200);
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < cell->mail_count; i++) {
        if (cell->mail[i].to == 2 && cell->mail[i].message.kind == TN_LOG_ACCEPT) {
            bytes += 100ULL * cell->mail[i].message.entries_count;
        }
    }
    assert_true(bytes > 0 && bytes <= 2000);
    cell_run(cell, cell->now + 20 * TN_SECOND);
    assert_true(cell_agrees(cell, 200));
    cell_free(cell);
}

static void ceph_flaw_6_many_slots_are_in_flight_and_the_disk_overlaps_the_network(void **state)
{ /* One value at a time, and two syncs at the leader one after the other for each. */
    (void)state;
    struct log_cell *cell = led(NULL);
    cell->slow_disks = true;
    cell_propose(cell, 0, 4);
    cell_propose(cell, 0, 4);
    cell_propose(cell, 0, 4);
    assert_int_equal(cell_mails(cell, TN_LOG_ACCEPT), 6);
    assert_int_equal(cell->nodes[0].writes_count, 3);
    cell_writes_done(cell);
    cell_deliver_all(cell);
    cell_writes_done(cell);
    cell_deliver_all(cell);
    assert_int_equal(cell->committed, 12);
    cell_free(cell);
}

static void N3_a_leader_does_not_run_away_from_its_own_disk(void **state)
{
    (void)state;
    struct tn_log_options base = {.window_slots = 8, .retain_slots = 64};
    struct log_cell *cell = led(&base);
    cell->slow_disks = true; /* its own stands still; the others' do not */
    for (uint32_t i = 0; i < 40; i++) {
        cell_propose(cell, 0, 4);
        for (uint32_t k = 0; k < 20 && cell->mail_count > 0; k++) {
            cell_deliver(cell, 0);
            while (cell->nodes[1].writes_count > 0) {
                cell_write_done(cell, 1);
            }
            while (cell->nodes[2].writes_count > 0) {
                cell_write_done(cell, 2);
            }
        }
    }
    assert_int_equal(cell->committed, 64); /* as many as its ring has places */
    cell->slow_disks = false;
    cell_run(cell, cell->now + 5 * TN_SECOND);
    assert_int_equal(cell->committed, 64 + 32); /* and as many as may wait */
    cell_free(cell);
}

static void the_own_vote_is_said_again_if_it_was_lost(void **state)
{
    (void)state;
    struct tn_log_options base = {.mode = TN_LOG_MODE_FREE, .window_slots = 16};
    struct log_cell *cell = cell_new(1, &base);
    cell->slow_disks = true;
    cell_propose(cell, 0, 1);
    cell_write_done(cell, 0);
    assert_int_equal(cell->nodes[0].held_count, 1); /* the vote waits for the write */
    free(cell->nodes[0].held[0].entries);
    cell->nodes[0].held_count = 0; /* a full driver drops it */
    cell_run(cell, cell->now + TN_SECOND);
    assert_int_equal(cell->committed, 1);
    cell_free(cell);
}

static void each_step_is_bounded_and_what_is_left_keeps_the_deadline_past(void **state)
{
    (void)state;
    struct tn_log_options base = {.window_slots = 4096, .waiting_max = 8192};
    struct log_cell *cell = led(&base);
    cell->value_bytes = 10000; /* a run takes a hundred */
    cell->slow_disks = true;
    cell_propose(cell, 0, 1000);
    assert_true(log_cell_status(cell, 0).proposed < 200);
    assert_true(tn_log_deadline(cell->nodes[0].log) <= cell->now);
    cell_run(cell, cell->now + TN_SECOND);
    assert_int_equal(cell->committed, 1000);
    cell_free(cell);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(N4_a_proposal_at_any_member_reaches_the_leader_and_its_slot_comes_back),
        cmocka_unit_test(N4_who_forwarded_hears_of_the_commit_at_once),
        cmocka_unit_test(N4_a_copy_of_a_forward_is_not_a_second_proposal),
        cmocka_unit_test(N4_a_copy_that_comes_after_the_leaders_restart_is_not_taken),
        cmocka_unit_test(N4_an_answer_to_a_forward_of_an_earlier_incarnation_is_not_taken),
        cmocka_unit_test(N4_what_a_former_leader_refused_is_forwarded_to_the_next),
        cmocka_unit_test(N4_a_refused_forward_is_proposed_here_if_this_member_leads),
        cmocka_unit_test(N4_a_forward_that_is_not_answered_is_lost_and_never_sent_again),
        cmocka_unit_test(ceph_flaw_12_what_may_have_been_proposed_is_never_said_to_have_failed),
        cmocka_unit_test(N4_only_what_is_in_no_slot_and_no_forward_can_be_cancelled),
        cmocka_unit_test(N4_a_leader_that_steps_down_refuses_its_guests_and_keeps_its_own),
        cmocka_unit_test(N5_a_run_gets_one_slot_each_in_its_order_by_one_message),
        cmocka_unit_test(N6_past_the_bounds_is_busy_and_what_was_taken_is_proposed),
        cmocka_unit_test(N6_guests_are_bounded_too_and_wait_again_where_they_came_from),
        cmocka_unit_test(N3_the_window_bounds_slots_and_bytes_in_flight),
        cmocka_unit_test(ceph_flaw_1_a_dead_member_does_not_hold_up_the_others),
        cmocka_unit_test(N3_a_slow_follower_gets_no_more_than_its_bytes),
        cmocka_unit_test(ceph_flaw_6_many_slots_are_in_flight_and_the_disk_overlaps_the_network),
        cmocka_unit_test(N3_a_leader_does_not_run_away_from_its_own_disk),
        cmocka_unit_test(the_own_vote_is_said_again_if_it_was_lost),
        cmocka_unit_test(each_step_is_bounded_and_what_is_left_keeps_the_deadline_past),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
