/* C2: members that lag get committed slots from whoever has them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/log_cell.h"

#define FAR (3600 * TN_SECOND)
#define MS TN_MILLISECOND

static struct log_cell *led(const struct tn_log_options *base)
{
    struct log_cell *cell = cell_new(3, base);
    cell_tenure(cell, 0, 1, FAR);
    cell_run(cell, cell->now + 10 * MS);
    return cell;
}

static void propose_many(struct log_cell *cell, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        cell_propose(cell, 0, 10);
        cell_run(cell, cell->now + MS);
    }
}

static void C2_asks_at_once_when_a_connection_is_made(void **state)
{ /* PhxPaxos waits its whole interval, two and a half seconds, after each restart. */
    (void)state;
    struct log_cell *cell = led(NULL);
    cell_crash(cell, 2);
    propose_many(cell, 2);
    cell->now += 10 * TN_SECOND;
    tn_time before = cell->now;
    log_cell_start(cell, 2);
    assert_true(cell_mails(cell, TN_LOG_FETCH) >= 1);
    cell_deliver_all(cell);
    assert_int_equal(cell->nodes[2].committed, 20);
    assert_int_equal(cell->now, before); /* and it took no timer */
    cell_free(cell);
}

static void C2_what_memory_lacks_comes_from_the_store(void **state)
{
    (void)state;
    struct tn_log_options base = {.window_slots = 8, .retain_slots = 16};
    struct log_cell *cell = led(&base);
    cell->cut = 4;
    propose_many(cell, 30);
    cell->cut = 0;
    log_cell_connect(cell, 0, 2);
    cell_run(cell, cell->now + 10 * TN_SECOND);
    assert_true(cell_agrees(cell, 300));
    assert_true(cell->nodes[0].loads + cell->nodes[1].loads > 0);
    assert_true(cell_counters(cell, 2).fetched >= 280);
    cell_free(cell);
}

static void ceph_flaw_11_a_catch_up_run_is_bounded_in_bytes(void **state)
{ /* What was shared with a peer that lagged had no bound. */
    (void)state;
    struct tn_log_options base = {.window_slots = 64, .fetch_bytes = 1000};
    struct log_cell *cell = led(&base);
    cell->cut = 4;
    propose_many(cell, 10);
    cell->cut = 0;
    log_cell_connect(cell, 0, 2);
    uint32_t runs = 0;
    while (cell->nodes[2].committed < 100 && runs < 100) {
        uint32_t fetch = cell_find(cell, TN_LOG_FETCH, 2, CELL_NODES_MAX);
        if (fetch == cell->mail_count) {
            break;
        }
        cell_deliver(cell, fetch);
        uint32_t fetched = cell_find(cell, TN_LOG_FETCHED, CELL_NODES_MAX, 2);
        assert_true(cell->mail[fetched].message.entries_count <= 10);
        cell_deliver(cell, fetched);
        runs++;
    }
    assert_int_equal(cell->nodes[2].committed, 100);
    assert_int_equal(runs, 10); /* each answer brings the next question, one at a time */
    cell_free(cell);
}

static uint32_t asked[CELL_NODES_MAX];

static bool count_fetches(struct log_cell *cell, uint32_t from, uint32_t to,
                          const struct tn_log_message *message)
{
    (void)cell;
    asked[to] += from == 2 && message->kind == TN_LOG_FETCH;
    return true;
}

static void C2_one_member_serves_the_stream_and_not_the_leader_if_another_has_it(void **state)
{
    (void)state;
    struct tn_log_options base = {.window_slots = 8, .retain_slots = 16};
    struct log_cell *cell = led(&base);
    cell->cut = 4;
    propose_many(cell, 20);
    cell_run(cell, cell->now + TN_SECOND); /* node 1 knows what is committed */
    cell->cut = 0;
    memset(asked, 0, sizeof(asked));
    cell->filter = count_fetches;
    log_cell_connect(cell, 0, 2);
    log_cell_connect(cell, 1, 2);
    cell_run(cell, cell->now + TN_SECOND);
    assert_int_equal(cell->nodes[2].committed, 200);
    assert_true(asked[0] <= 2); /* it was asked when the connection was made */
    assert_true(asked[1] >= 10);
    cell_free(cell);
}

static void C2_the_leader_serves_the_stream_if_nobody_else_has_it(void **state)
{
    (void)state;
    struct tn_log_options base = {.window_slots = 8, .retain_slots = 16};
    struct log_cell *cell = led(&base);
    cell->cut = 4;
    propose_many(cell, 20);
    cell_run(cell, cell->now + TN_SECOND);
    cell->cut = 0;
    cell_crash(cell, 1);
    memset(asked, 0, sizeof(asked));
    cell->filter = count_fetches;
    log_cell_connect(cell, 0, 2);
    cell_run(cell, cell->now + TN_SECOND);
    assert_int_equal(cell->nodes[2].committed, 200);
    assert_true(asked[0] >= 10);
    cell_free(cell);
}

static void C2_what_the_peers_have_deleted_needs_a_checkpoint(void **state)
{
    (void)state;
    struct tn_log_options base = {.window_slots = 8, .retain_slots = 16};
    struct log_cell *cell = led(&base);
    cell->cut = 4;
    propose_many(cell, 30);
    cell_event(cell, 0, TN_LOG_EVENT_RETAIN, 200);
    cell->cut = 0;
    log_cell_connect(cell, 0, 2);
    cell_run(cell, cell->now + 10 * TN_SECOND);
    assert_int_equal(cell->nodes[2].committed, 300); /* another one has it still */
    assert_int_equal(cell_count(cell, 2, TN_LOG_NOTICE_CHECKPOINT_NEEDED), 0);
    cell->cut = 4;
    propose_many(cell, 30);
    cell_event(cell, 0, TN_LOG_EVENT_RETAIN, 500);
    cell_event(cell, 1, TN_LOG_EVENT_RETAIN, 500);
    cell->cut = 0;
    log_cell_connect(cell, 0, 2);
    log_cell_connect(cell, 1, 2);
    cell_run(cell, cell->now + 20 * TN_SECOND);
    assert_int_equal(cell->nodes[2].committed, 300);
    const struct tn_log_notice *notice = cell_last(cell, 2, TN_LOG_NOTICE_CHECKPOINT_NEEDED);
    assert_non_null(notice);
    assert_int_equal(notice->slot, 301);
    assert_int_equal(cell_count(cell, 2, TN_LOG_NOTICE_CHECKPOINT_NEEDED), 1);
    cell_free(cell);
}

static void C2_an_answer_that_does_not_come_is_asked_for_elsewhere(void **state)
{
    (void)state;
    struct log_cell *cell = led(NULL);
    cell->cut = 4;
    propose_many(cell, 3);
    cell_run(cell, cell->now + TN_SECOND);
    cell->cut = 0;
    log_cell_connect(cell, 1, 2); /* it is asked, and is gone before it answers */
    assert_true(cell_find(cell, TN_LOG_FETCH, 2, 1) < cell->mail_count);
    cell_crash(cell, 1);
    cell_run(cell, cell->now + 10 * TN_SECOND);
    assert_int_equal(cell->nodes[2].committed, 30);
    cell_free(cell);
}

static void C2_a_stream_does_not_outrun_the_disk_it_is_written_to(void **state)
{
    (void)state;
    struct tn_log_options base = {.window_slots = 8, .retain_slots = 16};
    struct log_cell *cell = led(&base);
    cell->cut = 4;
    propose_many(cell, 50);
    cell->cut = 0;
    cell->slow_disks = true;
    log_cell_connect(cell, 0, 2);
    cell_deliver_all(cell);
    for (uint32_t i = 0; i < 20; i++) {
        cell->now += 10 * MS;
        cell_fire(cell, 2);
        cell_deliver_all(cell);
    }
    assert_true(cell->nodes[2].writes_count < 20);
    assert_true(cell->nodes[2].committed < 200);
    cell->slow_disks = false;
    cell_run(cell, cell->now + 10 * TN_SECOND);
    assert_int_equal(cell->nodes[2].committed, 500);
    cell_free(cell);
}

static void C2_nothing_is_fetched_while_all_goes_well(void **state)
{
    (void)state;
    struct log_cell *cell = led(NULL);
    propose_many(cell, 100);
    cell_run(cell, cell->now + 5 * TN_SECOND);
    assert_true(cell_agrees(cell, 1000));
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(cell_counters(cell, i).fetched, 0);
        assert_int_equal(cell_counters(cell, i).resent, 0);
    }
    cell_free(cell);
}

static void C2_catching_up_does_not_delay_new_commits(void **state)
{
    (void)state;
    struct tn_log_options base = {.window_slots = 16, .retain_slots = 64};
    struct log_cell *cell = led(&base);
    cell->cut = 4;
    propose_many(cell, 100);
    cell->cut = 0;
    log_cell_connect(cell, 0, 2);
    for (uint32_t i = 0; i < 50; i++) {
        uint64_t before = cell->committed;
        cell_propose(cell, 0, 5);
        cell_deliver(cell, cell_find(cell, TN_LOG_ACCEPT, 0, 1));
        cell_deliver(cell, cell_find(cell, TN_LOG_ACCEPTED, 1, 0));
        assert_int_equal(cell->committed, before + 5);
        uint32_t fetch = cell_find(cell, TN_LOG_FETCH, 2, CELL_NODES_MAX);
        if (fetch < cell->mail_count) {
            cell_deliver(cell, fetch);
        }
    }
    cell_run(cell, cell->now + 20 * TN_SECOND);
    assert_true(cell_agrees(cell, 1250));
    cell_free(cell);
}

static void C2_a_leader_never_learns_what_it_may_have_proposed(void **state)
{
    (void)state;
    struct log_cell *cell = led(NULL);
    cell->cut = 2U | 4U;
    cell_propose(cell, 0, 2);
    cell->cut = 0;
    struct tn_log_message message = {
        .kind = TN_LOG_FETCHED, .slot = 1, .committed = 2, .entries_count = 2};
    struct tn_log_entry entries[2] = {0};
    for (uint32_t i = 0; i < 2; i++) {
        entries[i].slot = i + 1;
        entries[i].ballot = (struct tn_log_ballot){.token = 9, .attempt = 1, .node = 2};
        entries[i].value = (struct tn_log_value){.kind = TN_LOG_VALUE_NOOP};
    }
    cell_forge_entries(cell, 1, 0, &message, entries);
    assert_int_equal(cell->nodes[0].committed, 0);
    assert_int_equal(cell_counters(cell, 0).fetched, 0);
    cell_free(cell);
}

static void V3_catching_up_leaves_the_promise_alone(void **state)
{ /* phxpaxos_H1: the catch-up write stored the learned ballot as the promise and so lowered it. */
    (void)state;
    struct log_cell *cell = led(NULL);
    cell->cut = 4;
    propose_many(cell, 2);
    cell_run(cell, cell->now + TN_SECOND);
    cell->cut = 0;
    struct tn_log_message prepare = {.kind = TN_LOG_PREPARE, .slot = 1};
    prepare.ballot = (struct tn_log_ballot){.token = 5,
                                            .attempt = 1,
                                            .mode_number = 1,
                                            .node = 2,
                                            .restart_word = cell->nodes[1].options.restart_word};
    cell_forge(cell, 1, 2, &prepare);
    assert_int_equal(log_cell_status(cell, 2).promise.token, 5);
    log_cell_connect(cell, 1, 2);
    cell_deliver_all(cell);
    assert_int_equal(cell->nodes[2].committed, 20);
    assert_int_equal(log_cell_status(cell, 2).promise.token, 5);
    cell_crash(cell, 2);
    log_cell_start(cell, 2);
    assert_int_equal(log_cell_status(cell, 2).promise.token, 5);
    cell_free(cell);
}

static void C1_a_number_alone_commits_nothing_that_was_accepted_under_another_ballot(void **state)
{ /* phxpaxos_H2: a member took its own losing value for the chosen one of that number. */
    (void)state;
    struct log_cell *cell = led(NULL);
    cell->cut = 2;
    cell_propose(cell, 0, 1); /* the third accepts it under token 1; it is not chosen */
    uint32_t accept = cell_find(cell, TN_LOG_ACCEPT, 0, 2);
    cell_deliver(cell, accept);
    cell_drop_all(cell);
    cell_crash(cell, 0);
    cell->cut = 4;
    log_cell_start(cell, 0);
    cell->nodes[0].disk->slots[1].entry.slot = 0; /* it had not been durable there */
    cell->nodes[0].disk->highest = 0;
    cell_crash(cell, 0);
    log_cell_start(cell, 0);
    cell_tenure(cell, 1, 2, FAR);
    cell_propose(cell, 1, 1); /* another value is chosen in slot 1, by the first two */
    cell_run(cell, cell->now + TN_SECOND);
    assert_int_equal(cell->committed, 1);
    assert_int_equal(cell->chosen[1].digest, 2);
    cell->cut = 0;
    cell_run(cell, cell->now + 10 * TN_SECOND); /* the harness compares each commit with it */
    assert_true(cell_agrees(cell, 1));
    cell_free(cell);
}

static void C1_commits_reach_followers_on_the_next_accept_or_heartbeat(void **state)
{
    (void)state;
    struct log_cell *cell = led(NULL);
    cell_propose(cell, 0, 1);
    cell_deliver_all(cell);
    assert_int_equal(cell->nodes[1].committed, 0);
    cell_propose(cell, 0, 1);
    cell_deliver(cell, cell_find(cell, TN_LOG_ACCEPT, 0, 1));
    assert_int_equal(cell->nodes[1].committed, 1);
    cell_deliver_all(cell);
    cell_run(cell, cell->now + 60 * MS);
    assert_true(cell_agrees(cell, 2));
    cell_free(cell);
}

static void accepts_beyond_the_ring_are_refused_and_catching_up_moves_it(void **state)
{
    (void)state;
    struct tn_log_options base = {.window_slots = 8, .retain_slots = 16};
    struct log_cell *cell = led(&base);
    struct tn_log_message accept = {.kind = TN_LOG_ACCEPT, .entries_count = 1};
    accept.ballot = log_cell_status(cell, 0).ballot;
    struct tn_log_entry entry = {.slot = 17, .value = {.kind = TN_LOG_VALUE_NOOP}};
    cell_forge_entries(cell, 0, 1, &accept, &entry);
    assert_int_equal(cell_counters(cell, 1).beyond, 1);
    entry.slot = 16;
    cell_forge_entries(cell, 0, 1, &accept, &entry);
    assert_int_equal(cell_counters(cell, 1).beyond, 1);
    assert_int_equal(log_cell_status(cell, 1).proposed, 16);
    cell_free(cell);
}

static void a_smaller_ring_than_before_does_not_forget_votes(void **state)
{
    (void)state;
    struct tn_log_options base = {.window_slots = 32, .retain_slots = 64};
    struct log_cell *cell = led(&base);
    cell_propose(cell, 0, 32);
    cell_deliver(cell, cell_find(cell, TN_LOG_ACCEPT, 0, 1));
    cell_drop_all(cell);
    cell_crash(cell, 1);
    cell->nodes[1].options.window_slots = 8;
    cell->nodes[1].options.retain_slots = 16;
    cell->nodes[1].options.waiting_max = 32;
    log_cell_start(cell, 1);
    /* W3: it never guesses. */
    assert_int_equal(log_cell_status(cell, 1).state, TN_LOG_STATE_DAMAGED);
    cell_free(cell);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(C2_asks_at_once_when_a_connection_is_made),
        cmocka_unit_test(C2_what_memory_lacks_comes_from_the_store),
        cmocka_unit_test(ceph_flaw_11_a_catch_up_run_is_bounded_in_bytes),
        cmocka_unit_test(C2_one_member_serves_the_stream_and_not_the_leader_if_another_has_it),
        cmocka_unit_test(C2_the_leader_serves_the_stream_if_nobody_else_has_it),
        cmocka_unit_test(C2_what_the_peers_have_deleted_needs_a_checkpoint),
        cmocka_unit_test(C2_an_answer_that_does_not_come_is_asked_for_elsewhere),
        cmocka_unit_test(C2_a_stream_does_not_outrun_the_disk_it_is_written_to),
        cmocka_unit_test(C2_nothing_is_fetched_while_all_goes_well),
        cmocka_unit_test(C2_catching_up_does_not_delay_new_commits),
        cmocka_unit_test(C2_a_leader_never_learns_what_it_may_have_proposed),
        cmocka_unit_test(V3_catching_up_leaves_the_promise_alone),
        cmocka_unit_test(C1_a_number_alone_commits_nothing_that_was_accepted_under_another_ballot),
        cmocka_unit_test(C1_commits_reach_followers_on_the_next_accept_or_heartbeat),
        cmocka_unit_test(accepts_beyond_the_ring_are_refused_and_catching_up_moves_it),
        cmocka_unit_test(a_smaller_ring_than_before_does_not_forget_votes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
