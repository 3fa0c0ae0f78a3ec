/* Leading: when Phase 1 begins, what it finds, when a leader stops. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/log_cell.h"

#define FAR (3600 * TN_SECOND)
#define MS TN_MILLISECOND

/* Three members; the first leads under token 1. */
static struct log_cell *led(void)
{
    struct log_cell *cell = cell_new(3, NULL);
    cell_tenure(cell, 0, 1, FAR);
    cell_run(cell, cell->now + 10 * MS);
    assert_int_equal(log_cell_status(cell, 0).state, TN_LOG_STATE_ACTIVE);
    return cell;
}

static struct log_cell *free_cell(uint32_t nodes)
{
    struct tn_log_options base = {.mode = TN_LOG_MODE_FREE, .window_slots = 16};
    return cell_new(nodes, &base);
}

static bool drop_all(struct log_cell *cell, uint32_t from, uint32_t to,
                     const struct tn_log_message *message)
{
    (void)from;
    (void)to;
    return (*(uint32_t *)cell->filter_data >> message->kind & 1U) == 0;
}

/* ---- N1 -------------------------------------------------------------------------------------- */

static void N1_begins_phase_1_only_inside_its_tenure(void **state)
{
    (void)state;
    struct log_cell *cell = cell_new(3, NULL);
    cell_propose(cell, 0, 1);
    cell_run(cell, cell->now + 5 * TN_SECOND);
    assert_int_equal(cell_counters(cell, 0).prepares, 0);
    cell_tenure(cell, 0, 1, cell->now); /* it is over already */
    cell_run(cell, cell->now + TN_SECOND);
    assert_int_equal(cell_counters(cell, 0).prepares, 0);
    cell_tenure(cell, 0, 2, cell->now + TN_SECOND);
    cell_run(cell, cell->now + 100 * MS);
    assert_int_equal(cell_counters(cell, 0).prepares, 1);
    assert_int_equal(cell->committed, 1);
    assert_int_equal(log_cell_status(cell, 0).ballot.token, 2);
    cell_free(cell);
}

static void N1_a_retired_leader_proposes_nothing(void **state)
{
    (void)state;
    struct log_cell *cell = cell_new(3, NULL);
    cell_tenure(cell, 0, 1, cell->now + TN_SECOND);
    cell_run(cell, cell->now + 2 * TN_SECOND);
    assert_int_equal(log_cell_status(cell, 0).state, TN_LOG_STATE_FOLLOWER);
    assert_int_equal(cell_counters(cell, 0).expired, 1);
    uint64_t number = cell_propose(cell, 0, 1);
    cell_run(cell, cell->now + TN_SECOND);
    assert_int_equal(cell->committed, 0);
    cell_event(cell, 0, TN_LOG_EVENT_CANCEL, number);
    assert_int_equal(cell->nodes[0].proposals[number].fate, CELL_REFUSED);
    assert_int_equal(cell->nodes[0].proposals[number].reason, TN_LOG_REASON_CANCELLED);
    cell_free(cell);
}

static void N1_late_votes_still_choose_what_a_retired_leader_proposed(void **state)
{
    (void)state;
    struct log_cell *cell = cell_new(3, NULL);
    cell_tenure(cell, 0, 1, cell->now + TN_SECOND);
    cell_run(cell, cell->now + 10 * MS);
    cell_propose(cell, 0, 3);
    cell->now += 2 * TN_SECOND; /* the tenure is over before a vote comes back */
    cell_fire(cell, 0);
    assert_int_equal(log_cell_status(cell, 0).state, TN_LOG_STATE_FOLLOWER);
    assert_int_equal(cell->committed, 0);
    cell_deliver_all(cell);
    assert_int_equal(cell->committed, 3); /* choosing reads no clock */
    cell_fire(cell, 0);
    assert_true(tn_log_ballot_is_none(log_cell_status(cell, 0).ballot));
    cell_free(cell);
}

static void N1_a_renewed_tenure_goes_on_leading(void **state)
{
    (void)state;
    struct log_cell *cell = cell_new(3, NULL);
    for (uint32_t i = 0; i < 5; i++) {
        cell_tenure(cell, 0, 1, cell->now + TN_SECOND);
        cell_run(cell, cell->now + 500 * MS);
        cell_propose(cell, 0, 1);
    }
    cell_run(cell, cell->now + 100 * MS);
    assert_int_equal(cell_counters(cell, 0).prepares, 1);
    assert_int_equal(cell->committed, 5);
    cell_free(cell);
}

static void N1_the_token_comes_first_in_the_ballot(void **state)
{
    (void)state;
    struct log_cell *cell = led();
    cell_propose(cell, 0, 2);
    cell_run(cell, cell->now + 100 * MS);
    for (uint32_t i = 0; i < 5; i++) { /* however many attempts the old tenure has behind it */
        cell_crash(cell, 0);
        log_cell_start(cell, 0);
        cell_tenure(cell, 0, 1, FAR);
        cell_run(cell, cell->now + 100 * MS);
    }
    assert_true(log_cell_status(cell, 0).ballot.attempt >= 6);
    cell_tenure(cell, 1, 2, FAR);
    cell_run(cell, cell->now + 100 * MS);
    assert_int_equal(log_cell_status(cell, 1).ballot.token, 2);
    assert_int_equal(log_cell_status(cell, 1).ballot.attempt, 1);
    assert_int_equal(log_cell_status(cell, 1).state, TN_LOG_STATE_ACTIVE);
    assert_int_equal(log_cell_status(cell, 0).state, TN_LOG_STATE_FOLLOWER);
    assert_int_equal(cell_counters(cell, 0).preempted, 1);
    cell_free(cell);
}

static void N1_a_former_owner_that_still_believes_gets_nothing_chosen(void **state)
{
    (void)state;
    struct log_cell *cell = led();
    cell_tenure(cell, 1, 2, FAR);
    cell_run(cell, cell->now + 10 * MS);
    cell_propose(cell, 0, 1); /* its tenure is not over in its own eyes */
    cell_run(cell, cell->now + TN_SECOND);
    assert_int_equal(log_cell_status(cell, 1).ready, 1);
    assert_int_equal(log_cell_status(cell, 0).ballot.node, 0);
    assert_int_equal(cell_counters(cell, 0).prepares, 1);
    cell_free(cell);
}

/* ---- Phase 1 --------------------------------------------------------------------------------- */

static void M3_an_uncommitted_value_is_proposed_again(void **state)
{
    (void)state;
    struct log_cell *cell = led();
    cell_propose(cell, 0, 3);
    while (cell_find(cell, TN_LOG_ACCEPT, 0, 2) < cell->mail_count) {
        cell_drop(cell, cell_find(cell, TN_LOG_ACCEPT, 0, 2));
    }
    cell_deliver(cell, cell_find(cell, TN_LOG_ACCEPT, 0, 1)); /* chosen, and nobody knows it */
    cell_drop_all(cell);
    cell_crash(cell, 0);
    cell_tenure(cell, 2, 2, FAR);
    cell_run(cell, cell->now + 100 * MS);
    assert_int_equal(cell->committed, 3);
    assert_int_equal(cell_counters(cell, 2).reproposed, 3);
    assert_int_equal(cell_counters(cell, 2).noops, 0);
    assert_int_equal(cell->slot_of[1], 1);
    assert_int_equal(cell->slot_of[3], 3);
    cell_free(cell);
}

static void N2_a_hole_becomes_a_noop(void **state)
{
    (void)state;
    struct log_cell *cell = led();
    cell_propose(cell, 0, 1);
    cell_drop_all(cell);      /* slot 1 is known to the leader alone */
    cell_propose(cell, 0, 1); /* slot 2 reaches a second member */
    cell_deliver(cell, cell_find(cell, TN_LOG_ACCEPT, 0, 1));
    cell_drop_all(cell);
    cell_crash(cell, 0);
    cell_tenure(cell, 2, 2, FAR);
    cell_run(cell, cell->now + 100 * MS);
    assert_int_equal(cell->committed, 2);
    assert_int_equal(cell->chosen[1].kind, TN_LOG_VALUE_NOOP);
    assert_int_equal(cell->chosen[2].kind, TN_LOG_VALUE_PAYLOAD);
    assert_int_equal(cell_counters(cell, 2).noops, 1);
    log_cell_start(cell, 0); /* and the one that knew better takes the noop */
    cell_run(cell, cell->now + 5 * TN_SECOND);
    assert_true(cell_agrees(cell, 2));
    cell_free(cell);
}

static void M4_ready_is_who_has_committed_and_applied_what_phase_1_reported(void **state)
{
    (void)state;
    struct log_cell *cell = led();
    cell->slow_appliers = true;
    cell_propose(cell, 0, 2);
    cell_deliver(cell, cell_find(cell, TN_LOG_ACCEPT, 0, 1));
    cell_drop_all(cell);
    cell_crash(cell, 0);
    cell_tenure(cell, 1, 2, FAR);
    assert_int_equal(log_cell_status(cell, 1).state, TN_LOG_STATE_RECOVERING);
    cell_deliver(cell, cell_find(cell, TN_LOG_PREPARE, 1, 2));
    cell_deliver(cell, cell_find(cell, TN_LOG_PROMISE, 2, 1));
    assert_int_equal(log_cell_status(cell, 1).state, TN_LOG_STATE_UPDATING_PREVIOUS);
    assert_int_equal(log_cell_status(cell, 1).recovery_end, 2);
    cell_run(cell, cell->now + 100 * MS);
    assert_int_equal(log_cell_status(cell, 1).committed, 2);
    assert_int_equal(log_cell_status(cell, 1).ready, 0); /* not applied yet */
    cell_apply(cell, 1);
    assert_int_equal(log_cell_status(cell, 1).ready, 1);
    assert_int_equal(log_cell_status(cell, 1).state, TN_LOG_STATE_ACTIVE);
    cell_propose(cell, 1, 1);
    assert_int_equal(log_cell_status(cell, 1).state, TN_LOG_STATE_UPDATING);
    cell_free(cell);
}

static void V1_a_leader_that_is_behind_fetches_first_and_asks_again(void **state)
{
    (void)state;
    struct log_cell *cell = led();
    cell->cut = 1U << 2;
    cell_propose(cell, 0, 8);
    cell_run(cell, cell->now + 2 * TN_SECOND);
    assert_int_equal(log_cell_status(cell, 2).committed, 0);
    cell->cut = 0;
    cell_crash(cell, 0);
    cell_tenure(cell, 2, 2, FAR);
    cell_run(cell, cell->now + TN_SECOND);
    assert_int_equal(log_cell_status(cell, 2).state, TN_LOG_STATE_ACTIVE);
    assert_int_equal(log_cell_status(cell, 2).committed, 8);
    assert_int_equal(cell_counters(cell, 2).fetched, 8);
    assert_int_equal(cell_counters(cell, 2).reproposed, 0);
    cell_free(cell);
}

static void V1_a_promise_comes_in_pages_and_counts_with_its_last(void **state)
{
    (void)state;
    struct log_cell *cell = cell_new(3, NULL);
    cell->value_bytes = 600U << 10; /* a page takes one of them */
    cell_tenure(cell, 0, 1, FAR);
    cell_run(cell, cell->now + 10 * MS);
    cell_propose(cell, 0, 4);
    cell_fire(cell, 0);
    cell_fire(cell, 0);
    cell_fire(cell, 0);
    while (cell_find(cell, TN_LOG_ACCEPT, 0, 1) < cell->mail_count) {
        cell_deliver(cell, cell_find(cell, TN_LOG_ACCEPT, 0, 1));
    }
    cell_drop_all(cell);
    cell_crash(cell, 0);
    cell_tenure(cell, 2, 2, FAR);
    uint32_t pages = 0;
    while (log_cell_status(cell, 2).state == TN_LOG_STATE_RECOVERING) {
        cell_deliver(cell, cell_find(cell, TN_LOG_PREPARE, 2, 1));
        uint32_t page = cell_find(cell, TN_LOG_PROMISE, 1, 2);
        assert_true(cell->mail[page].message.entries_count <= 1);
        cell_deliver(cell, page);
        assert_true(++pages < 10);
    }
    assert_int_equal(pages, 4);
    cell_run(cell, cell->now + TN_SECOND);
    assert_int_equal(cell->committed, 4);
    cell_free(cell);
}

static void V1_suggest_a_restart_takes_a_number_of_its_own(void **state)
{
    (void)state;
    struct log_cell *cell = free_cell(3);
    cell->slow_disks = true;
    cell_propose(cell, 0, 1); /* PREPARE leaves before its own promise is durable */
    cell_deliver(cell, cell_find(cell, TN_LOG_PREPARE, 0, 1));
    cell_write_done(cell, 1);
    cell_drop_all(cell);
    cell_crash(cell, 0); /* the promise to itself is lost: the number will come again */
    cell->slow_disks = false;
    log_cell_start(cell, 0);
    cell_drop_all(cell);
    cell_propose(cell, 0, 1);
    cell_run(cell, cell->now + 5 * TN_SECOND);
    assert_int_equal(cell_counters(cell, 1).suggests, 1);
    assert_int_equal(log_cell_status(cell, 0).ballot.attempt, 2);
    assert_int_equal(cell->committed, 1);
    assert_int_equal(cell_count(cell, 0, TN_LOG_NOTICE_INCIDENT), 0);
    cell_free(cell);
}

static void V1_two_processes_as_one_node_count_neither(void **state)
{
    (void)state;
    struct log_cell *cell = led();
    struct tn_log_message message = {.kind = TN_LOG_READ, .id = 7};
    uint64_t word = cell->nodes[2].options.restart_word;
    cell->nodes[2].options.restart_word = word + 1; /* the same count, another draw */
    cell_forge(cell, 2, 0, &message);
    cell->nodes[2].options.restart_word = word;
    const struct tn_log_notice *notice = cell_last(cell, 0, TN_LOG_NOTICE_INCIDENT);
    assert_non_null(notice);
    assert_int_equal(notice->reason, TN_LOG_REASON_DUPLICATE_NODE);
    assert_int_equal(notice->node, 3);
    cell->cut = 1U << 1;
    cell_propose(cell, 0, 1);
    cell_run(cell, cell->now + 2 * TN_SECOND);
    assert_int_equal(cell->committed, 0); /* its vote is not the second one */
    cell->cut = 0;
    cell_run(cell, cell->now + 5 * TN_SECOND);
    assert_int_equal(cell->committed, 1);
    cell_free(cell);
}

/* ---- N2: configurations ---------------------------------------------------------------------- */

static void N2_the_members_of_a_new_configuration_promise_before_its_first_slot(void **state)
{
    (void)state;
    struct tn_log_options base = {.window_slots = 8, .voters = 7};
    struct log_cell *cell = cell_new(5, &base);
    cell_tenure(cell, 0, 1, FAR);
    cell_run(cell, cell->now + 10 * MS);
    struct tn_log_value change = {.voters = 1U | 8U | 16U, .version = 2};
    cell->cut = 8U | 16U; /* slot 9 is governed by members that cannot be asked */
    cell_propose_configuration(cell, 0, &change);
    cell_run(cell, cell->now + 100 * MS);
    assert_int_equal(cell->committed, 1);
    assert_int_equal(log_cell_status(cell, 0).ready, 1); /* the next slot is still the old one's */
    cell_propose(cell, 0, 12);
    cell_run(cell, cell->now + 2 * TN_SECOND);
    assert_int_equal(cell->committed, 8);
    assert_int_equal(log_cell_status(cell, 0).ready, 0); /* M4: another may lead there */
    cell->cut = 0;
    cell_run(cell, cell->now + 5 * TN_SECOND);
    assert_int_equal(cell->committed, 13);
    assert_int_equal(log_cell_status(cell, 0).ready, 1);
    assert_int_equal(log_cell_status(cell, 0).configuration, 2);
    cell_crash(cell, 1); /* the old ones are not needed any more */
    cell_crash(cell, 2);
    cell_propose(cell, 0, 3);
    cell_run(cell, cell->now + 5 * TN_SECOND);
    assert_int_equal(cell->committed, 16);
    cell_free(cell);
}

static void N2_who_comes_is_asked_before_its_first_slot_is_reached(void **state)
{
    (void)state;
    struct tn_log_options base = {.window_slots = 8, .voters = 7};
    struct log_cell *cell = cell_new(5, &base);
    cell_tenure(cell, 0, 1, FAR);
    cell_run(cell, cell->now + 10 * MS);
    struct tn_log_value change = {.voters = 1U | 8U | 16U, .version = 2};
    cell_propose_configuration(cell, 0, &change);
    cell_deliver_all(cell);
    assert_int_equal(log_cell_status(cell, 3).promise.token, 1);
    assert_int_equal(log_cell_status(cell, 0).proposed, 1);
    cell_free(cell);
}

static void G2_a_configuration_is_known_after_a_restart(void **state)
{
    (void)state;
    struct tn_log_options base = {.window_slots = 8, .voters = 7};
    struct log_cell *cell = cell_new(4, &base);
    cell_tenure(cell, 0, 1, FAR);
    cell_run(cell, cell->now + 10 * MS);
    struct tn_log_value change = {.voters = 1U | 2U | 8U, .learners = 4, .version = 2};
    cell_propose_configuration(cell, 0, &change);
    for (uint32_t i = 0; i < 50; i++) {
        cell_propose(cell, 0, 4);
        cell_run(cell, cell->now + 20 * MS);
    }
    cell_crash(cell, 0);
    log_cell_start(cell, 0);
    assert_int_equal(log_cell_status(cell, 0).configuration, 2);
    assert_int_equal(log_cell_status(cell, 0).voters, change.voters);
    assert_int_equal(log_cell_status(cell, 0).learners, change.learners);
    cell_free(cell);
}

static void C4_a_learner_commits_and_has_no_vote(void **state)
{
    (void)state;
    struct tn_log_options base = {.window_slots = 16, .voters = 3, .learners = 4};
    struct log_cell *cell = cell_new(3, &base);
    cell_tenure(cell, 2, 1, FAR); /* a lease does not make a voter */
    cell_run(cell, cell->now + TN_SECOND);
    assert_int_equal(cell_counters(cell, 2).prepares, 0);
    cell_tenure(cell, 0, 2, FAR);
    cell_run(cell, cell->now + 100 * MS);
    cell_propose(cell, 0, 4);
    cell_run(cell, cell->now + TN_SECOND);
    assert_int_equal(cell->nodes[2].committed, 4);
    cell->cut = 2; /* the leader and the learner are no majority */
    cell_propose(cell, 0, 1);
    cell_run(cell, cell->now + TN_SECOND);
    assert_int_equal(cell->committed, 4);
    cell_free(cell);
}

/* ---- Free mode ------------------------------------------------------------------------------- */

static void N1_in_a_free_group_whoever_needs_to_propose_leads(void **state)
{
    (void)state;
    struct log_cell *cell = free_cell(3);
    cell_run(cell, cell->now + 10 * TN_SECOND);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(cell_counters(cell, i).prepares, 0); /* nobody needs to */
    }
    cell_propose(cell, 1, 1);
    cell_run(cell, cell->now + 100 * MS);
    assert_int_equal(cell->committed, 1);
    assert_int_equal(log_cell_status(cell, 1).ready, 1);
    cell_propose(cell, 0, 1); /* a leader is known: to it */
    cell_run(cell, cell->now + 5 * TN_SECOND);
    assert_int_equal(cell->committed, 2);
    assert_int_equal(cell_counters(cell, 0).prepares, 0);
    cell_free(cell);
}

static void N1_in_a_free_group_a_leader_unheard_of_is_replaced(void **state)
{
    (void)state;
    struct log_cell *cell = free_cell(3);
    cell_propose(cell, 1, 1);
    cell_run(cell, cell->now + 5 * TN_SECOND);
    cell_crash(cell, 1);
    cell_propose(cell, 0, 1);
    cell_run(cell, cell->now + 20 * MS);
    assert_int_equal(cell->committed, 1);
    cell_run(cell, cell->now + 10 * TN_SECOND);
    assert_true(cell->committed == 2 || cell->nodes[0].proposals[1].fate == CELL_LOST);
    cell_propose(cell, 0, 1);
    cell_run(cell, cell->now + 3 * TN_SECOND);
    assert_int_equal(log_cell_status(cell, 0).ready, 1);
    assert_int_equal(cell->nodes[0].proposals[2].fate, CELL_ASSIGNED);
    cell_free(cell);
}

static void N1_in_a_free_group_a_member_without_a_vote_has_a_voter_lead(void **state)
{
    (void)state;
    struct tn_log_options base = {
        .mode = TN_LOG_MODE_FREE, .window_slots = 16, .voters = 3, .learners = 4};
    struct log_cell *cell = cell_new(3, &base);
    cell_propose(cell, 2, 2);
    cell_run(cell, cell->now + TN_SECOND);
    assert_int_equal(cell->committed, 2);
    assert_int_equal(cell_counters(cell, 2).prepares, 0);
    assert_int_equal(cell->nodes[2].proposals[1].fate, CELL_ASSIGNED);
    uint64_t number = cell_read(cell, 2);
    cell_run(cell, cell->now + TN_SECOND);
    assert_int_equal(cell->nodes[2].reads[number].done, 1);
    cell_free(cell);
}

static void G2_a_leader_that_is_voted_out_tells_what_it_committed_and_steps_down(void **state)
{
    (void)state;
    struct tn_log_options base = {.window_slots = 8};
    struct log_cell *cell = cell_new(3, &base);
    cell_tenure(cell, 0, 1, FAR);
    cell_run(cell, cell->now + 10 * MS);
    struct tn_log_value change = {.voters = 2U | 4U, .learners = 1, .version = 2};
    cell_propose_configuration(cell, 0, &change);
    cell_run(cell, cell->now + 10 * MS);
    cell_propose(cell, 0, 7); /* the last slots of the old one */
    cell_deliver_all(cell);
    assert_int_equal(log_cell_status(cell, 0).state, TN_LOG_STATE_FOLLOWER);
    assert_int_equal(cell->nodes[1].committed, 8); /* no time has passed */
    assert_int_equal(cell->nodes[2].committed, 8);
    cell_tenure(cell, 1, 2, FAR);
    cell_propose(cell, 1, 4);
    cell_run(cell, cell->now + 5 * TN_SECOND);
    assert_true(cell_agrees(cell, 12));
    cell_free(cell);
}

static void keyspace_flaw_4_duels_end_by_random_back_off(void **state)
{ /* It began again at once after a refusal, so all proposers moved in step for ever. */
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct log_cell *cell = free_cell(5);
        cell->random = seed;
        for (uint32_t i = 0; i < 5; i++) {
            cell_propose(cell, i, 1);
        }
        cell_run(cell, cell->now + 10 * TN_SECOND);
        assert_int_equal(cell->committed, 5);
        cell_free(cell);
    }
}

static void ceph_flaw_13_a_member_alone_recovers_what_it_had_accepted(void **state)
{ /* A quorum of one skipped Phase 1 and overwrote an accepted value. */
    (void)state;
    struct log_cell *cell = free_cell(1);
    cell->slow_disks = true;
    cell_propose(cell, 0, 2);
    cell_write_done(cell, 0); /* the promise; Phase 1 ends, Phase 2 is written */
    cell_write_done(cell, 0);
    assert_int_equal(cell->committed, 2);
    cell_crash(cell, 0);
    cell->slow_disks = false;
    cell->nodes[0].disk->committed = 0; /* what it knew of commits is lost */
    cell->nodes[0].disk->checksum = 0;
    cell->nodes[0].applied = 0;
    log_cell_start(cell, 0);
    cell_propose(cell, 0, 1);
    cell_run(cell, cell->now + TN_SECOND);
    assert_int_equal(cell->nodes[0].committed, 3);
    assert_int_equal(cell->chosen[1].digest, 1);
    assert_int_equal(cell->chosen[2].digest, 2);
    cell_free(cell);
}

/* ---- Disks ----------------------------------------------------------------------------------- */

static void N3_the_own_vote_counts_after_the_own_sync(void **state)
{
    (void)state;
    struct log_cell *cell = led();
    cell->slow_disks = true;
    cell_propose(cell, 0, 1);
    assert_int_equal(cell_mails(cell, TN_LOG_ACCEPT), 2); /* on their way before any sync */
    cell_deliver(cell, cell_find(cell, TN_LOG_ACCEPT, 0, 1));
    assert_int_equal(cell_mails(cell, TN_LOG_ACCEPTED), 0); /* durable before said */
    cell_write_done(cell, 1);
    cell_deliver(cell, cell_find(cell, TN_LOG_ACCEPTED, 1, 0));
    assert_int_equal(cell->committed, 0);
    cell_write_done(cell, 0);
    assert_int_equal(cell->committed, 1);
    cell_free(cell);
}

static void V3_a_failed_write_stops_the_machine(void **state)
{
    (void)state;
    struct log_cell *cell = led();
    cell->slow_disks = true;
    cell_propose(cell, 0, 1);
    cell_event(cell, 0, TN_LOG_EVENT_WRITE_FAILED, 0);
    assert_int_equal(log_cell_status(cell, 0).state, TN_LOG_STATE_STOPPED);
    assert_int_equal(cell_last(cell, 0, TN_LOG_NOTICE_INCIDENT)->reason, TN_LOG_REASON_DISK_FAILED);
    uint64_t number = cell_propose(cell, 0, 2);
    assert_int_equal(cell->nodes[0].proposals[number].reason, TN_LOG_REASON_STOPPED);
    cell_read(cell, 0);
    assert_int_equal(cell_count(cell, 0, TN_LOG_NOTICE_READ_FAILED), 1);
    for (uint32_t i = 0; i < cell->nodes[0].writes_count; i++) {
        free(cell->nodes[0].writes[i].entries);
    }
    cell->nodes[0].writes_count = 0; /* they never end */
    cell_drop_all(cell);
    cell->slow_disks = false;
    struct tn_log_message fetch = {.kind = TN_LOG_FETCH, .slot = 1, .slot_end = 9};
    cell_forge(cell, 1, 0, &fetch);
    assert_int_equal(cell->mail_count, 0);
    cell_tenure(cell, 1, 2, FAR);
    cell_run(cell, cell->now + TN_SECOND);
    assert_int_equal(log_cell_status(cell, 1).ready, 1); /* the others go on */
    cell_free(cell);
}

static void W4_a_full_disk_accepts_nothing_and_goes_on_when_there_is_space(void **state)
{
    (void)state;
    struct log_cell *cell = led();
    cell_propose(cell, 0, 1);
    cell_run(cell, cell->now + TN_SECOND);
    cell_event(cell, 1, TN_LOG_EVENT_STORE_FULL, 1);
    cell->cut = 4;
    cell_propose(cell, 0, 1);
    cell_run(cell, cell->now + TN_SECOND);
    assert_int_equal(cell->committed, 1);
    cell->cut = 0;
    cell_read(cell, 1); /* reads are served */
    cell_run(cell, cell->now + 5 * TN_SECOND);
    assert_int_equal(cell_count(cell, 1, TN_LOG_NOTICE_READ), 0); /* ... once it has the slot */
    cell_event(cell, 1, TN_LOG_EVENT_STORE_FULL, 0);
    cell_run(cell, cell->now + 5 * TN_SECOND);
    assert_int_equal(cell_count(cell, 1, TN_LOG_NOTICE_READ), 1);
    assert_true(cell_agrees(cell, 2));
    cell_event(cell, 0, TN_LOG_EVENT_STORE_FULL, 1);
    uint64_t number = cell_propose(cell, 0, 1);
    assert_int_equal(cell->nodes[0].proposals[number].reason, TN_LOG_REASON_DISK_FULL);
    cell_free(cell);
}

/* ---- Silence --------------------------------------------------------------------------------- */

static void a_lost_accept_is_sent_again(void **state)
{
    (void)state;
    struct log_cell *cell = led();
    uint32_t kinds = 1U << TN_LOG_ACCEPT;
    cell->filter = drop_all;
    cell->filter_data = &kinds;
    cell_propose(cell, 0, 3);
    cell_run(cell, cell->now + 100 * MS);
    assert_int_equal(cell->committed, 0);
    cell->filter = NULL;
    cell_run(cell, cell->now + TN_SECOND);
    assert_int_equal(cell->committed, 3);
    assert_true(cell_counters(cell, 0).resent >= 3);
    cell_free(cell);
}

static void a_lost_prepare_is_sent_again(void **state)
{
    (void)state;
    struct log_cell *cell = cell_new(3, NULL);
    uint32_t kinds = 1U << TN_LOG_PREPARE | 1U << TN_LOG_PROMISE;
    cell->filter = drop_all;
    cell->filter_data = &kinds;
    cell_tenure(cell, 0, 1, FAR);
    cell_run(cell, cell->now + 100 * MS);
    assert_int_equal(log_cell_status(cell, 0).state, TN_LOG_STATE_RECOVERING);
    cell->filter = NULL;
    cell_run(cell, cell->now + TN_SECOND);
    assert_int_equal(log_cell_status(cell, 0).state, TN_LOG_STATE_ACTIVE);
    assert_int_equal(cell_counters(cell, 0).prepares, 1);
    cell_free(cell);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(N1_begins_phase_1_only_inside_its_tenure),
        cmocka_unit_test(N1_a_retired_leader_proposes_nothing),
        cmocka_unit_test(N1_late_votes_still_choose_what_a_retired_leader_proposed),
        cmocka_unit_test(N1_a_renewed_tenure_goes_on_leading),
        cmocka_unit_test(N1_the_token_comes_first_in_the_ballot),
        cmocka_unit_test(N1_a_former_owner_that_still_believes_gets_nothing_chosen),
        cmocka_unit_test(M3_an_uncommitted_value_is_proposed_again),
        cmocka_unit_test(N2_a_hole_becomes_a_noop),
        cmocka_unit_test(M4_ready_is_who_has_committed_and_applied_what_phase_1_reported),
        cmocka_unit_test(V1_a_leader_that_is_behind_fetches_first_and_asks_again),
        cmocka_unit_test(V1_a_promise_comes_in_pages_and_counts_with_its_last),
        cmocka_unit_test(V1_suggest_a_restart_takes_a_number_of_its_own),
        cmocka_unit_test(V1_two_processes_as_one_node_count_neither),
        cmocka_unit_test(N2_the_members_of_a_new_configuration_promise_before_its_first_slot),
        cmocka_unit_test(N2_who_comes_is_asked_before_its_first_slot_is_reached),
        cmocka_unit_test(G2_a_configuration_is_known_after_a_restart),
        cmocka_unit_test(C4_a_learner_commits_and_has_no_vote),
        cmocka_unit_test(N1_in_a_free_group_whoever_needs_to_propose_leads),
        cmocka_unit_test(N1_in_a_free_group_a_leader_unheard_of_is_replaced),
        cmocka_unit_test(N1_in_a_free_group_a_member_without_a_vote_has_a_voter_lead),
        cmocka_unit_test(G2_a_leader_that_is_voted_out_tells_what_it_committed_and_steps_down),
        cmocka_unit_test(keyspace_flaw_4_duels_end_by_random_back_off),
        cmocka_unit_test(ceph_flaw_13_a_member_alone_recovers_what_it_had_accepted),
        cmocka_unit_test(N3_the_own_vote_counts_after_the_own_sync),
        cmocka_unit_test(V3_a_failed_write_stops_the_machine),
        cmocka_unit_test(W4_a_full_disk_accepts_nothing_and_goes_on_when_there_is_space),
        cmocka_unit_test(a_lost_accept_is_sent_again),
        cmocka_unit_test(a_lost_prepare_is_sent_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
