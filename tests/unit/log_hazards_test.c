/* Faults known of earlier systems, each tried on a whole machine. Those not here stand where their
 * rule is tested: ceph_flaw_1, 6, 12 in log_forward_test.c, 7 in log_messages_test.c, 11 in
 * log_catch_up_test.c, 13 and keyspace_flaw_4 in log_leader_test.c; phxpaxos_H1 in
 * log_acceptor_test.c, H2 in log_learner_test.c, H6 in wal_damage_test.c, H11 in wal_fault_test.c.
 * H9, data races, is what the whole suite is run under a thread sanitizer for (docs/testing.md). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/log_cell.h"

#define FAR (3600 * TN_SECOND)
#define MS TN_MILLISECOND

static struct log_cell *led(uint32_t nodes)
{
    struct log_cell *cell = cell_new(nodes, NULL);
    cell_tenure(cell, 0, 1, FAR);
    cell_run(cell, cell->now + 10 * MS);
    return cell;
}

/* ---- Ceph ------------------------------------------------------------------------------------ */

static void ceph_flaw_2_an_old_leader_that_is_cut_off_answers_no_read(void **state)
{ /* Its readers relied on the order of time-outs alone and could see the old state. */
    (void)state;
    struct log_cell *cell = led(5);
    cell->cut = 1;
    uint64_t number = cell_read(cell, 0);
    cell_tenure(cell, 1, 2, FAR);
    cell_run(cell, cell->now + 100 * MS);
    cell_propose(cell, 1, 3);
    cell_run(cell, cell->now + 10 * TN_SECOND);
    assert_int_equal(cell->committed, 3);
    assert_int_equal(cell->nodes[0].reads[number].done, 0);
    cell_free(cell);
}

static void ceph_flaw_3_times_of_one_member_mean_nothing_to_another(void **state)
{ /* Leases were points of one member's wall clock, compared with another's. */
    (void)state;
    struct log_cell *cell = led(3);
    cell_propose(cell, 0, 2);
    cell_run(cell, cell->now + TN_SECOND);
    struct tn_log_message heartbeat = {.kind = TN_LOG_HEARTBEAT, .stamp = 90 * TN_SECOND};
    heartbeat.ballot = log_cell_status(cell, 0).ballot;
    tn_time age = log_cell_status(cell, 1).age_ns;
    cell_forge(cell, 0, 1, &heartbeat); /* a stamp of the future was never this member's own */
    assert_int_equal(log_cell_status(cell, 1).age_ns, age);
    cell_free(cell);
}

static void ceph_flaw_4_slow_disks_cause_no_election(void **state)
{ /* Proposing stopped the lease's renewal, so a slow disk looked like a dead leader. */
    (void)state;
    struct tn_log_options base = {.mode = TN_LOG_MODE_FREE, .window_slots = 16};
    struct log_cell *cell = cell_new(3, &base);
    cell_propose(cell, 0, 1);
    cell_run(cell, cell->now + TN_SECOND);
    cell->slow_disks = true; /* nothing becomes durable for a long time */
    cell_propose(cell, 0, 5);
    for (uint32_t i = 0; i < 100; i++) {
        cell_deliver_all(cell);
        cell->now += 100 * MS;
        cell_propose(cell, 1, 1);
        for (uint32_t k = 0; k < 3; k++) {
            cell_fire(cell, k);
        }
    }
    assert_int_equal(cell_counters(cell, 0).prepares, 1);
    assert_int_equal(cell_counters(cell, 1).prepares, 0);
    assert_int_equal(cell_counters(cell, 2).prepares, 0);
    cell->slow_disks = false;
    cell_run(cell, cell->now + 20 * TN_SECOND);
    assert_true(cell_agrees(cell, 20));
    cell_free(cell);
}

static void ceph_flaw_5_reads_go_on_while_slots_are_in_flight(void **state)
{ /* A follower could not be read from an accept until the lease after its commit. */
    (void)state;
    struct log_cell *cell = led(3);
    cell_propose(cell, 0, 3);
    cell_run(cell, cell->now + TN_SECOND);
    cell->cut = 4;
    cell_propose(cell, 0, 2);
    cell_deliver(cell, cell_find(cell, TN_LOG_ACCEPT, 0, 1)); /* accepted and not chosen */
    uint64_t number = cell_read(cell, 1);
    cell_run(cell, cell->now + 200 * MS);
    assert_int_equal(cell->nodes[1].reads[number].done, 1);
    assert_true(log_cell_status(cell, 1).age_ns < 2 * TN_SECOND); /* and stale ones at any time */
    cell_free(cell);
}

static void ceph_flaw_8_a_promise_or_a_vote_that_comes_twice_counts_once(void **state)
{ /* Answers were counted, not told apart by their senders. */
    (void)state;
    struct log_cell *cell = cell_new(5, NULL);
    cell->cut = 4U | 8U | 16U;
    cell_tenure(cell, 0, 1, FAR);
    cell_deliver(cell, cell_find(cell, TN_LOG_PREPARE, 0, 1));
    cell_repeat(cell, cell_find(cell, TN_LOG_PROMISE, 1, 0));
    cell_repeat(cell, cell_find(cell, TN_LOG_PROMISE, 1, 0));
    cell_deliver_all(cell);
    assert_int_equal(log_cell_status(cell, 0).state, TN_LOG_STATE_RECOVERING);
    cell->cut = 0;
    cell_run(cell, cell->now + TN_SECOND);
    cell->cut = 4U | 8U | 16U;
    cell_propose(cell, 0, 1);
    cell_deliver(cell, cell_find(cell, TN_LOG_ACCEPT, 0, 1));
    cell_repeat(cell, cell_find(cell, TN_LOG_ACCEPTED, 1, 0));
    cell_repeat(cell, cell_find(cell, TN_LOG_ACCEPTED, 1, 0));
    cell_deliver_all(cell);
    assert_int_equal(cell->committed, 0);
    cell_free(cell);
}

static void ceph_flaw_9_numbers_belong_to_ids_and_not_to_ranks(void **state)
{ /* A number was a multiple of a hundred plus a rank that changed with the membership. */
    (void)state;
    struct tn_log_options base = {.window_slots = 8, .voters = 7};
    struct log_cell *cell = cell_new(4, &base);
    cell_tenure(cell, 2, 1, FAR);
    cell_run(cell, cell->now + 10 * MS);
    struct tn_log_ballot before = log_cell_status(cell, 2).ballot;
    struct tn_log_value change = {.voters = 2U | 4U | 8U, .version = 2}; /* the first one leaves */
    cell_propose_configuration(cell, 2, &change);
    cell_propose(cell, 2, 20);
    cell_run(cell, cell->now + 2 * TN_SECOND);
    assert_int_equal(cell->committed, 21);
    struct tn_log_ballot after = log_cell_status(cell, 2).ballot;
    assert_int_equal(after.node, 3);
    assert_int_equal(tn_log_ballot_compare(before, after), 0);
    cell_free(cell);
}

/* ---- Keyspace -------------------------------------------------------------------------------- */

/* What member `to` answers to an ACCEPT of slot 1 with a value of its own under this ballot. */
static uint32_t accept_at(struct log_cell *cell, uint32_t from, uint32_t to,
                          struct tn_log_ballot ballot, uint32_t digest)
{
    struct tn_log_message message = {.kind = TN_LOG_ACCEPT, .entries_count = 1, .ballot = ballot};
    struct tn_log_entry entry = {
        .slot = 1, .value = {.kind = TN_LOG_VALUE_PAYLOAD, .bytes = 9, .digest = digest}};
    cell_drop_all(cell);
    cell_forge_entries(cell, from, to, &message, &entry);
    assert_int_equal(cell->mail_count, 1);
    return cell->mail[0].message.kind;
}

static void keyspace_flaw_3_accepting_raises_the_promise(void **state)
{ /* A delayed lower proposal overwrote a chosen value: the acceptor's promise had stayed behind. */
    (void)state;
    struct log_cell *cell = cell_new(5, NULL);
    struct tn_log_ballot seven = {.token = 7,
                                  .attempt = 1,
                                  .mode_number = 1,
                                  .node = 2,
                                  .restart_word = cell->nodes[1].options.restart_word};
    struct tn_log_ballot ten = seven;
    ten.token = 10;
    ten.node = 3;
    ten.restart_word = cell->nodes[2].options.restart_word;
    struct tn_log_message prepare = {.kind = TN_LOG_PREPARE, .slot = 1, .ballot = seven};
    cell_forge(cell, 1, 0, &prepare);
    assert_int_equal(accept_at(cell, 2, 0, ten, 50), TN_LOG_ACCEPTED); /* no Prepare under ten */
    assert_int_equal(log_cell_status(cell, 0).promise.token, 10);
    assert_int_equal(accept_at(cell, 1, 0, seven, 51), TN_LOG_ABORT);
    cell_crash(cell, 0); /* and it is durable with the value */
    log_cell_start(cell, 0);
    assert_int_equal(log_cell_status(cell, 0).promise.token, 10);
    assert_int_equal(accept_at(cell, 1, 0, seven, 51), TN_LOG_ABORT);
    cell_free(cell);
}

static void keyspace_flaw_5_a_refusal_carries_the_promise_and_whose_it_is(void **state)
{
    (void)state;
    struct log_cell *cell = led(3);
    struct tn_log_message prepare = {.kind = TN_LOG_PREPARE, .slot = 1};
    prepare.ballot = (struct tn_log_ballot){.token = 0,
                                            .attempt = 1,
                                            .mode_number = 1,
                                            .node = 3,
                                            .restart_word = cell->nodes[2].options.restart_word};
    cell_drop_all(cell);
    cell_forge(cell, 2, 1, &prepare);
    assert_int_equal(cell->mail_count, 1);
    assert_int_equal(cell->mail[0].message.kind, TN_LOG_ABORT);
    assert_int_equal(cell->mail[0].message.promised.token, 1);
    assert_int_equal(cell->mail[0].message.promised.node, 1);
    assert_int_equal(cell->mail[0].message.ballot.node, 3); /* and which ballot it refuses */
    cell_free(cell);
}

static void keyspace_flaw_9_nothing_is_said_of_a_write_that_failed(void **state)
{
    (void)state;
    struct log_cell *cell = led(3);
    cell->slow_disks = true;
    cell_propose(cell, 0, 1);
    cell_deliver(cell, cell_find(cell, TN_LOG_ACCEPT, 0, 1));
    cell_drop_all(cell);
    cell_event(cell, 1, TN_LOG_EVENT_WRITE_FAILED, 0);
    for (uint32_t i = 0; i < 10; i++) {
        cell->now += TN_SECOND;
        cell_fire(cell, 1);
    }
    assert_int_equal(cell->mail_count, 0);
    cell_crash(cell, 1);
    cell->slow_disks = false;
    cell_free(cell);
}

/* ---- PhxPaxos -------------------------------------------------------------------------------- */

static void phxpaxos_H3_a_proposal_at_a_member_that_is_behind_can_be_given_up(void **state)
{ /* Its timer began only when the member was up to date, so a caller could wait for ever. */
    (void)state;
    struct log_cell *cell = led(3);
    cell->cut = 4;
    cell_propose(cell, 0, 10);
    cell_run(cell, cell->now + TN_SECOND);
    cell_crash(cell, 2);
    log_cell_start(cell, 2);
    uint64_t number = cell_propose(cell, 2, 1);
    cell_run(cell, cell->now + 10 * TN_SECOND);
    cell_event(cell, 2, TN_LOG_EVENT_CANCEL, number);
    assert_int_equal(cell->nodes[2].proposals[number].fate, CELL_REFUSED);
    cell->cut = 0;
    log_cell_connect(cell, 0, 2);
    cell_event(cell, 2, TN_LOG_EVENT_LEADER, 0);
    number = cell_propose(cell, 2, 1); /* and one that is behind may propose all the same */
    cell_deliver_all(cell);
    assert_int_equal(cell->nodes[2].proposals[number].fate, CELL_ASSIGNED);
    cell_free(cell);
}

static void phxpaxos_H4_memory_never_runs_ahead_of_the_disk(void **state)
{ /* After a failed write a success message executed what was only in memory, and left a hole. */
    (void)state;
    struct log_cell *cell = led(3);
    cell->slow_disks = true;
    cell_propose(cell, 0, 2);
    uint32_t accept = cell_find(cell, TN_LOG_ACCEPT, 0, 1);
    cell_deliver(cell, accept);
    cell_event(cell, 1, TN_LOG_EVENT_WRITE_FAILED, 0);
    struct tn_log_message heartbeat = {.kind = TN_LOG_HEARTBEAT, .committed = 2};
    heartbeat.ballot = log_cell_status(cell, 0).ballot;
    cell_forge(cell, 0, 1, &heartbeat);
    assert_int_equal(cell->nodes[1].committed, 0);
    assert_int_equal(log_cell_status(cell, 1).state, TN_LOG_STATE_STOPPED);
    cell_free(cell);
}

static void phxpaxos_H5_the_largest_value_goes_through(void **state)
{ /* One near the limit hung: the limits of the value and of the message did not fit. */
    (void)state;
    struct tn_log_options base = {.window_slots = 16,
                                  .window_bytes = 1000,
                                  .peer_bytes = 1000,
                                  .waiting_bytes = 1000,
                                  .fetch_bytes = 1000,
                                  .retain_bytes = 1000};
    struct log_cell *cell = cell_new(3, &base);
    cell->value_bytes = TN_PAYLOAD_BYTES_MAX;
    cell_propose(cell, 1, 1); /* by forward, accept, and catch-up, past every bound in bytes */
    cell->cut = 4;
    cell_tenure(cell, 0, 1, FAR);
    cell_event(cell, 1, TN_LOG_EVENT_LEADER, 0);
    cell_run(cell, cell->now + TN_SECOND);
    assert_int_equal(cell->committed, 1);
    cell->cut = 0;
    log_cell_connect(cell, 1, 2);
    cell_run(cell, cell->now + 5 * TN_SECOND);
    assert_true(cell_agrees(cell, 1));
    cell_free(cell);
}

static void phxpaxos_H10_the_first_slot_that_is_retained_is_served(void **state)
{ /* The mark pointed at the slot just deleted, so who stood there was sent nothing. */
    (void)state;
    struct tn_log_options base = {.window_slots = 8, .retain_slots = 16};
    struct log_cell *cell = cell_new(3, &base);
    cell_tenure(cell, 0, 1, FAR);
    cell_run(cell, cell->now + 10 * MS);
    for (uint32_t i = 0; i < 10; i++) {
        cell_propose(cell, 0, 5);
        cell_run(cell, cell->now + MS);
        if (i == 3) {
            cell_run(cell, cell->now + TN_SECOND);
            cell->cut = 4;
        }
    }
    assert_int_equal(cell->nodes[2].committed, 20);
    cell_event(cell, 0, TN_LOG_EVENT_RETAIN, 21); /* it needs the very first one */
    cell_crash(cell, 1);
    cell->cut = 0;
    log_cell_connect(cell, 0, 2);
    cell_run(cell, cell->now + 10 * TN_SECOND);
    assert_int_equal(cell->nodes[2].committed, 50);
    assert_int_equal(cell_count(cell, 2, TN_LOG_NOTICE_CHECKPOINT_NEEDED), 0);
    cell_free(cell);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ceph_flaw_2_an_old_leader_that_is_cut_off_answers_no_read),
        cmocka_unit_test(ceph_flaw_3_times_of_one_member_mean_nothing_to_another),
        cmocka_unit_test(ceph_flaw_4_slow_disks_cause_no_election),
        cmocka_unit_test(ceph_flaw_5_reads_go_on_while_slots_are_in_flight),
        cmocka_unit_test(ceph_flaw_8_a_promise_or_a_vote_that_comes_twice_counts_once),
        cmocka_unit_test(ceph_flaw_9_numbers_belong_to_ids_and_not_to_ranks),
        cmocka_unit_test(keyspace_flaw_3_accepting_raises_the_promise),
        cmocka_unit_test(keyspace_flaw_5_a_refusal_carries_the_promise_and_whose_it_is),
        cmocka_unit_test(keyspace_flaw_9_nothing_is_said_of_a_write_that_failed),
        cmocka_unit_test(phxpaxos_H3_a_proposal_at_a_member_that_is_behind_can_be_given_up),
        cmocka_unit_test(phxpaxos_H4_memory_never_runs_ahead_of_the_disk),
        cmocka_unit_test(phxpaxos_H5_the_largest_value_goes_through),
        cmocka_unit_test(phxpaxos_H10_the_first_slot_that_is_retained_is_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
