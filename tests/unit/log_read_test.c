/* Quorum reads (Reads 3), stale ages (Reads 4), and how a damaged member comes back (W3). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

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

/* ---- Reads 3 --------------------------------------------------------------------------------- */

static void Reads_3_a_barrier_covers_all_that_was_committed_before_it(void **state)
{
    (void)state;
    struct log_cell *cell = led(3);
    cell_propose(cell, 0, 5);
    cell_deliver_all(cell); /* committed at the leader; the others do not know yet */
    assert_int_equal(cell->nodes[2].committed, 0);
    uint64_t number = cell_read(cell, 2);
    cell_deliver_all(cell);
    assert_int_equal(cell->nodes[2].reads[number].done, 1); /* one round trip: C1 by the answer */
    assert_int_equal(cell->nodes[2].reads[number].slot, 5);
    assert_int_equal(cell->nodes[2].committed, 5);
    cell_free(cell);
}

static void Reads_3_needs_a_majority(void **state)
{
    (void)state;
    struct log_cell *cell = led(3);
    cell->cut = 1U | 2U;
    uint64_t number = cell_read(cell, 2);
    cell_run(cell, cell->now + 5 * TN_SECOND);
    assert_int_equal(cell->nodes[2].reads[number].done, 0);
    cell->cut = 1;
    cell_run(cell, cell->now + 10 * TN_SECOND);
    assert_int_equal(cell->nodes[2].reads[number].done, 1); /* the leader is not needed */
    cell_free(cell);
}

static void Reads_3_one_round_serves_all_reads_that_came_before_it(void **state)
{
    (void)state;
    struct log_cell *cell = led(3);
    uint64_t first = cell_read(cell, 1); /* its round is out */
    for (uint32_t i = 0; i < 200; i++) {
        cell_read(cell, 1);
    }
    assert_int_equal(cell_counters(cell, 1).reads, 1);
    cell_run(cell, cell->now + 100 * MS);
    assert_int_equal(cell_counters(cell, 1).reads, 2);
    for (uint64_t i = first; i <= first + 200; i++) {
        assert_int_equal(cell->nodes[1].reads[i].done, 1);
    }
    cell_free(cell);
}

static void Reads_3_answers_to_an_earlier_try_or_run_do_not_count(void **state)
{
    (void)state;
    struct log_cell *cell = led(3);
    cell->cut = 1;
    cell_read(cell, 1);
    uint32_t read = cell_find(cell, TN_LOG_READ, 1, 2);
    uint64_t id = cell->mail[read].message.id;
    cell_deliver(cell, read);
    struct cell_mail late = cell->mail[cell_find(cell, TN_LOG_READ_ANSWER, 2, 1)];
    cell->mail_count--; /* its answer stays in the network */
    cell_drop_all(cell);
    cell_crash(cell, 1);
    cell->cut = 7;
    log_cell_start(cell, 1);
    cell->cut = 1;
    uint64_t number = cell_read(cell, 1);
    assert_true(cell->mail[cell_find(cell, TN_LOG_READ, 1, 2)].message.id != id);
    cell_drop_all(cell);
    cell->mail[cell->mail_count++] = late;
    cell_deliver(cell, 0);
    assert_int_equal(cell->nodes[1].reads[number].done, 0);
    assert_int_equal(cell_counters(cell, 1).stale, 1);
    cell_free(cell);
}

static void Reads_3_a_slot_that_nobody_finishes_is_filled_for_the_reader(void **state)
{
    (void)state;
    struct log_cell *cell = led(3);
    cell->cut = 4;
    cell_propose(cell, 0, 3); /* the second accepts; the votes are lost; the leader dies */
    cell_deliver(cell, cell_find(cell, TN_LOG_ACCEPT, 0, 1));
    cell_drop_all(cell);
    cell_crash(cell, 0);
    cell->cut = 2;
    log_cell_start(cell, 0);
    cell->nodes[0].disk->highest = 0; /* only the second one knows of the slots */
    cell_crash(cell, 0);
    cell->nodes[0].disk->slots[1].entry.slot = 0;
    cell->nodes[0].disk->slots[2].entry.slot = 0;
    cell->nodes[0].disk->slots[3].entry.slot = 0;
    log_cell_start(cell, 0);
    cell_tenure(cell, 2, 2, FAR);
    cell_run(cell, cell->now + TN_SECOND);
    assert_int_equal(log_cell_status(cell, 2).ready, 1); /* a majority has nothing */
    cell->cut = 0;
    cell_event(cell, 1, TN_LOG_EVENT_LEADER, 2);
    log_cell_connect(cell, 1, 2);
    uint64_t number = cell_read(cell, 1);
    cell_run(cell, cell->now + 2 * TN_SECOND);
    assert_int_equal(cell->nodes[1].reads[number].done, 1);
    assert_true(cell->nodes[1].reads[number].slot >= 3);
    assert_int_equal(cell->chosen[3].kind, TN_LOG_VALUE_NOOP);
    assert_true(cell_counters(cell, 2).resolved >= 3);
    cell_free(cell);
}

static void Reads_3_in_a_free_group_a_reader_recovers_the_slots_itself(void **state)
{
    (void)state;
    struct tn_log_options base = {.mode = TN_LOG_MODE_FREE, .window_slots = 16};
    struct log_cell *cell = cell_new(3, &base);
    uint64_t number = cell_read(cell, 2); /* an empty log needs nobody */
    cell_run(cell, cell->now + 100 * MS);
    assert_int_equal(cell->nodes[2].reads[number].done, 1);
    assert_int_equal(cell_counters(cell, 2).prepares, 0);
    cell_propose(cell, 0, 2);
    cell_run(cell, cell->now + 100 * MS);
    cell_propose(cell, 0, 2);
    cell_deliver(cell, cell_find(cell, TN_LOG_ACCEPT, 0, 1));
    cell_drop_all(cell);
    cell_crash(cell, 0);
    number = cell_read(cell, 2);
    cell_run(cell, cell->now + 10 * TN_SECOND);
    assert_int_equal(cell->nodes[2].reads[number].done, 1);
    assert_int_equal(cell->nodes[2].reads[number].slot, 4);
    assert_int_equal(cell_counters(cell, 2).prepares, 1);
    cell_free(cell);
}

static void Reads_3_a_new_configuration_is_asked_too(void **state)
{
    (void)state;
    struct tn_log_options base = {.window_slots = 8, .voters = 7};
    struct log_cell *cell = cell_new(5, &base);
    cell_tenure(cell, 0, 1, FAR);
    cell_run(cell, cell->now + 10 * MS);
    cell->cut = 2; /* the second, a voter of the old one, hears nothing of the change */
    struct tn_log_value change = {.voters = 1U | 8U | 16U, .version = 2};
    cell_propose_configuration(cell, 0, &change);
    cell_run(cell, cell->now + 100 * MS);
    cell_propose(cell, 0, 20);
    cell_run(cell, cell->now + TN_SECOND);
    assert_int_equal(cell->committed, 21);
    /* Now only the third of the old ones answers, whose slots end before the change governs. */
    cell->cut = 1;
    uint64_t number = cell_read(cell, 1);
    cell_run(cell, cell->now + 20 * TN_SECOND);
    assert_int_equal(cell->nodes[1].reads[number].done, 1);
    assert_true(cell->nodes[1].reads[number].slot >= 21);
    cell_free(cell);
}

static void reads_are_bounded(void **state)
{
    (void)state;
    struct log_cell *cell = led(3);
    cell->cut = 4;
    for (uint32_t i = 0; i < 4100; i++) {
        cell_read(cell, 2);
    }
    const struct tn_log_notice *notice = cell_last(cell, 2, TN_LOG_NOTICE_READ_FAILED);
    assert_non_null(notice);
    assert_int_equal(notice->reason, TN_LOG_REASON_BUSY);
    assert_int_equal(cell_count(cell, 2, TN_LOG_NOTICE_READ_FAILED), 4);
    cell->cut = 0;
    cell_run(cell, cell->now + 10 * TN_SECOND);
    assert_int_equal(cell->nodes[2].reads[4096].done, 1);
    cell_free(cell);
}

/* ---- Reads 4 --------------------------------------------------------------------------------- */

static void Reads_4_the_age_counts_from_the_own_send_time_of_what_was_answered(void **state)
{
    (void)state;
    struct log_cell *cell = led(3);
    cell_propose(cell, 0, 1);
    cell_run(cell, cell->now + 10 * TN_SECOND);
    assert_int_equal(log_cell_status(cell, 0).age_ns, 0);
    tn_time age = log_cell_status(cell, 1).age_ns;
    assert_true(age > 0 && age <= 2100 * MS); /* two idle heartbeats: sent, and given back */
    cell->cut = 2;
    cell_run(cell, cell->now + 10 * TN_SECOND);
    assert_int_equal(log_cell_status(cell, 1).age_ns, age + 10 * TN_SECOND);
    cell_free(cell);
}

static void Reads_4_a_member_that_heard_nobody_does_not_know_its_age(void **state)
{
    (void)state;
    struct log_cell *cell = cell_new(3, NULL);
    cell_run(cell, cell->now + TN_SECOND);
    assert_int_equal(log_cell_status(cell, 1).age_ns, TN_TIME_NEVER);
    cell_free(cell);
}

static void Reads_4_a_leader_without_a_lease_is_as_fresh_as_its_majority(void **state)
{
    (void)state;
    struct tn_log_options base = {.mode = TN_LOG_MODE_FREE, .window_slots = 16};
    struct log_cell *cell = cell_new(3, &base);
    cell_propose(cell, 0, 1);
    cell_run(cell, cell->now + 3 * TN_SECOND);
    assert_true(log_cell_status(cell, 0).age_ns <= TN_SECOND);
    cell->cut = 1;
    cell_run(cell, cell->now + 10 * TN_SECOND);
    assert_true(log_cell_status(cell, 0).age_ns >= 10 * TN_SECOND);
    cell_free(cell);
}

/* ---- W3 -------------------------------------------------------------------------------------- */

static void damage(struct log_cell *cell, uint32_t node, uint32_t how)
{
    cell_crash(cell, node);
    memset(cell->nodes[node].disk->slots, 0, sizeof(cell->nodes[node].disk->slots));
    cell->nodes[node].disk->highest = 0;
    cell->nodes[node].disk->committed = 0;
    cell->nodes[node].disk->checksum = 0;
    cell->nodes[node].applied = 0;
    cell->nodes[node].votes_less = how;
    log_cell_start(cell, node);
    cell->nodes[node].votes_less = 0;
}

static void W3_a_damaged_member_does_not_vote_until_it_has_what_it_may_have_lost(void **state)
{
    (void)state;
    struct log_cell *cell = led(3);
    cell_propose(cell, 0, 10);
    cell_run(cell, cell->now + TN_SECOND);
    cell->cut = 2 | 4;
    damage(cell, 2, 1);
    assert_int_equal(log_cell_status(cell, 2).state, TN_LOG_STATE_DAMAGED);
    struct tn_log_message read = {.kind = TN_LOG_READ, .id = 5};
    struct tn_log_message prepare = {.kind = TN_LOG_PREPARE, .slot = 1};
    prepare.ballot = (struct tn_log_ballot){.token = 1,
                                            .attempt = 2,
                                            .mode_number = 1,
                                            .node = 1,
                                            .restart_word = cell->nodes[0].options.restart_word};
    cell->cut = 0;
    cell_forge(cell, 0, 2, &prepare);
    cell_forge(cell, 0, 2, &read);
    assert_int_equal(cell_mails(cell, TN_LOG_READ_ANSWER), 0); /* nothing that would count */
    assert_int_equal(cell_mails(cell, TN_LOG_PROMISE), 0);
    cell->cut = 2; /* with the leader alone it is no majority */
    cell_propose(cell, 0, 1);
    cell_run(cell, cell->now + 5 * TN_SECOND);
    assert_int_equal(cell->committed, 10);
    cell->cut = 0;
    cell_run(cell, cell->now + 10 * TN_SECOND);
    assert_int_equal(log_cell_status(cell, 2).state, TN_LOG_STATE_FOLLOWER);
    assert_true(cell->committed >= 11 + 16); /* the leader filled the window for it */
    assert_true(cell_agrees(cell, 27));
    cell_crash(cell, 1);
    cell_propose(cell, 0, 1);
    cell_run(cell, cell->now + 5 * TN_SECOND);
    assert_int_equal(cell->nodes[0].proposals[12].fate, CELL_ASSIGNED);
    assert_true(cell_agrees(cell, 28)); /* it votes again */
    cell_free(cell);
}

/* Its disk is to know what it should find there, if the damage grows later. */
static void W3_before_a_damaged_member_votes_again_its_disk_says_how_far_it_has_all(void **state)
{
    (void)state;
    struct log_cell *cell = led(3);
    cell_propose(cell, 0, 10);
    cell_run(cell, cell->now + TN_SECOND);
    damage(cell, 2, 1);
    cell->slow_disks = true;
    bool said = false;
    for (uint32_t i = 0; i < 2000 && !said; i++) {
        cell->now += 10 * MS;
        for (uint32_t node = 0; node < 3; node++) {
            cell_fire(cell, node);
            cell_deliver_all(cell);
            while (!said && cell->nodes[node].writes_count > 0) {
                const struct tn_log_record *record = &cell->nodes[node].writes[0].record;
                said = node == 2 && record->kind == TN_LOG_RECORD_PROMISE &&
                       record->committed >= 10 + 16;
                assert_true(node != 2 || log_cell_status(cell, 2).state == TN_LOG_STATE_DAMAGED);
                cell_write_done(cell, node);
            }
        }
    }
    assert_true(said);
    assert_int_not_equal(log_cell_status(cell, 2).state, TN_LOG_STATE_DAMAGED);
    cell_free(cell);
}

static void W3_a_vote_under_way_cannot_choose_what_its_voter_has_lost(void **state)
{ /* The fourth accepted slot 1, its vote is under way, and its disk is damaged. The others that it
     asks have not seen the slot. Were it to vote again at once, they could choose another value
     with it, and then the vote arrives. */
    (void)state;
    struct log_cell *cell = led(5);
    cell->cut = 2U | 4U | 16U;
    cell_propose(cell, 0, 1);
    cell_deliver(cell, cell_find(cell, TN_LOG_ACCEPT, 0, 3));
    assert_int_equal(cell_mails(cell, TN_LOG_ACCEPTED), 1); /* to the leader, which is paused */
    struct cell_mail vote = cell->mail[0];
    cell->mail_count = 0;
    cell->cut = 1;
    damage(cell, 3, 1);
    cell_run(cell, cell->now + TN_SECOND);
    cell_tenure(cell, 1, 2, FAR); /* needs three of four: the damaged one must not be the third */
    cell->cut = 1U | 16U;
    cell_propose(cell, 1, 1);
    cell_run(cell, cell->now + 10 * TN_SECOND);
    assert_int_equal(cell->committed, 0);
    cell->mail[cell->mail_count++] = vote;
    cell->cut = 0;
    cell_run(cell, cell->now + 20 * TN_SECOND); /* the harness compares what each commits */
    assert_true(cell_agrees(cell, 1));
    cell_free(cell);
}

static void V4_without_its_promise_it_never_votes_again_and_still_learns(void **state)
{
    (void)state;
    struct log_cell *cell = led(3);
    cell_propose(cell, 0, 10);
    cell_run(cell, cell->now + TN_SECOND);
    cell->nodes[2].disk->promise = (struct tn_log_ballot){0};
    damage(cell, 2, 2);
    cell_run(cell, cell->now + 20 * TN_SECOND);
    assert_int_equal(log_cell_status(cell, 2).state, TN_LOG_STATE_DAMAGED);
    assert_int_equal(cell->nodes[2].committed, 10);
    cell_crash(cell, 1);
    cell_propose(cell, 0, 1);
    cell_run(cell, cell->now + 5 * TN_SECOND);
    assert_int_equal(cell->committed, 10);
    cell_free(cell);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(Reads_3_a_barrier_covers_all_that_was_committed_before_it),
        cmocka_unit_test(Reads_3_needs_a_majority),
        cmocka_unit_test(Reads_3_one_round_serves_all_reads_that_came_before_it),
        cmocka_unit_test(Reads_3_answers_to_an_earlier_try_or_run_do_not_count),
        cmocka_unit_test(Reads_3_a_slot_that_nobody_finishes_is_filled_for_the_reader),
        cmocka_unit_test(Reads_3_in_a_free_group_a_reader_recovers_the_slots_itself),
        cmocka_unit_test(Reads_3_a_new_configuration_is_asked_too),
        cmocka_unit_test(reads_are_bounded),
        cmocka_unit_test(Reads_4_the_age_counts_from_the_own_send_time_of_what_was_answered),
        cmocka_unit_test(Reads_4_a_member_that_heard_nobody_does_not_know_its_age),
        cmocka_unit_test(Reads_4_a_leader_without_a_lease_is_as_fresh_as_its_majority),
        cmocka_unit_test(W3_a_damaged_member_does_not_vote_until_it_has_what_it_may_have_lost),
        cmocka_unit_test(W3_before_a_damaged_member_votes_again_its_disk_says_how_far_it_has_all),
        cmocka_unit_test(W3_a_vote_under_way_cannot_choose_what_its_voter_has_lost),
        cmocka_unit_test(V4_without_its_promise_it_never_votes_again_and_still_learns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
