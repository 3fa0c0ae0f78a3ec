/* The proposer cell, rule by rule, with three members. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "paxos/lease_proposer.h"

#define D_P 100

static struct tn_ballot ballot(uint64_t attempt)
{
    return (struct tn_ballot){attempt << 16 | 1, 1ULL << 32 | 7};
}

static struct tn__lease_answer from(uint32_t member, uint64_t attempt, tn_time now)
{
    return (struct tn__lease_answer){
        .members_count = 3, .member = member, .ballot = ballot(attempt), .now = now, .fenced = 1};
}

static enum tn__lease_outcome promise(struct tn__lease_proposer *proposer, uint32_t member,
                                      uint64_t attempt, tn_time now)
{
    struct tn__lease_answer answer = from(member, attempt, now);
    return tn__lease_proposer_promise(proposer, &answer);
}

static enum tn__lease_outcome promise_reporting(struct tn__lease_proposer *proposer,
                                                uint32_t member, uint64_t attempt, tn_time now,
                                                uint64_t reported)
{
    struct tn__lease_answer answer = from(member, attempt, now);
    answer.reported = ballot(reported);
    return tn__lease_proposer_promise(proposer, &answer);
}

static enum tn__lease_outcome closed(struct tn__lease_proposer *proposer, uint32_t member,
                                     uint64_t attempt, tn_time remaining)
{
    struct tn__lease_answer answer = from(member, attempt, 0);
    answer.remaining = remaining;
    return tn__lease_proposer_closed(proposer, &answer);
}

static enum tn__lease_outcome accepted(struct tn__lease_proposer *proposer, uint32_t member,
                                       uint64_t attempt, tn_time now)
{
    struct tn__lease_answer answer = from(member, attempt, now);
    return tn__lease_proposer_accepted(proposer, &answer);
}

/* An owner by attempt 1, begun at time 0 with members 0 and 1. */
static struct tn__lease_proposer owner(void)
{
    struct tn__lease_proposer proposer = {0};
    tn__lease_proposer_start(&proposer, ballot(1), 0, D_P);
    promise(&proposer, 0, 1, 1);
    assert_int_equal(promise(&proposer, 1, 1, 2), TN__LEASE_PROPOSE);
    assert_int_equal(accepted(&proposer, 0, 1, 3), TN__LEASE_COUNTED);
    assert_int_equal(accepted(&proposer, 1, 1, 4), TN__LEASE_OPENED);
    tn__lease_proposer_check(&proposer, 3);
    return proposer;
}

static void P1_the_deadline_counts_from_before_Prepare_is_sent(void **state)
{
    (void)state;
    struct tn__lease_proposer proposer = owner();
    assert_int_equal(proposer.lease_deadline, D_P); /* not 4 + D_P */
    assert_true(tn__lease_proposer_holds(&proposer, D_P - 1));
    assert_false(tn__lease_proposer_holds(&proposer, D_P));
    assert_int_equal(proposer.token, ballot(1).counter);
    assert_int_equal(proposer.epoch, 1); /* M1 */
}

static void P2_a_repeated_answer_counts_once(void **state)
{
    (void)state;
    struct tn__lease_proposer proposer = {0};
    tn__lease_proposer_start(&proposer, ballot(1), 0, D_P);
    assert_int_equal(promise(&proposer, 2, 1, 1), TN__LEASE_COUNTED);
    assert_int_equal(promise(&proposer, 2, 1, 1), TN__LEASE_NOTHING);
    assert_int_equal(promise(&proposer, 0, 1, 1), TN__LEASE_PROPOSE);
    assert_int_equal(accepted(&proposer, 2, 1, 1), TN__LEASE_COUNTED);
    assert_int_equal(accepted(&proposer, 2, 1, 1), TN__LEASE_NOTHING);
    assert_false(tn__lease_proposer_holds(&proposer, 1));
}

static void P2_an_answer_to_another_attempt_or_phase_is_nothing(void **state)
{
    (void)state;
    struct tn__lease_proposer proposer = {0};
    tn__lease_proposer_start(&proposer, ballot(2), 0, D_P);
    assert_int_equal(promise(&proposer, 0, 1, 1), TN__LEASE_NOTHING);
    assert_int_equal(accepted(&proposer, 0, 2, 1), TN__LEASE_NOTHING);
    assert_int_equal(closed(&proposer, 0, 1, 5), TN__LEASE_NOTHING);
    assert_int_equal(proposer.open | proposer.closed | proposer.accepted, 0);
}

static void P2_the_renewal_base_is_open_only_while_that_lease_is_held(void **state)
{
    (void)state;
    struct tn__lease_proposer proposer = owner();
    tn__lease_proposer_start(&proposer, ballot(2), 50, D_P);
    assert_int_equal(promise_reporting(&proposer, 0, 2, 51, 1), TN__LEASE_COUNTED);
    assert_int_equal(proposer.open, 1);
    assert_int_equal(promise_reporting(&proposer, 1, 2, D_P, 1), TN__LEASE_COUNTED);
    assert_int_equal(proposer.closed, 2); /* the base has run out: closed */
}

static void P2_the_own_lease_under_another_ballot_is_closed(void **state)
{
    (void)state;
    struct tn__lease_proposer proposer = owner();
    tn__lease_proposer_start(&proposer, ballot(3), 50, D_P);
    promise_reporting(&proposer, 0, 3, 51, 2); /* the trace of an abandoned attempt 2 */
    assert_int_equal(proposer.closed, 1);
    struct tn__lease_proposer fresh = {0};
    tn__lease_proposer_start(&fresh, ballot(3), 50, D_P);
    promise_reporting(&fresh, 0, 3, 51, 2); /* and no lease is held at all */
    assert_int_equal(fresh.closed, 1);
}

static void P3_T1_an_open_quorum_after_the_deadline_proposes_nothing(void **state)
{
    (void)state;
    struct tn__lease_proposer proposer = {0};
    tn__lease_proposer_start(&proposer, ballot(1), 0, D_P);
    promise(&proposer, 0, 1, 1);
    assert_int_equal(promise(&proposer, 1, 1, D_P), TN__LEASE_ABANDONED);
    assert_int_equal(proposer.phase, TN__LEASE_IDLE);
}

static void P4_T1_an_accepted_quorum_after_the_deadline_makes_no_owner(void **state)
{
    (void)state;
    struct tn__lease_proposer proposer = {0};
    tn__lease_proposer_start(&proposer, ballot(1), 0, D_P);
    promise(&proposer, 0, 1, 1);
    promise(&proposer, 1, 1, 1);
    accepted(&proposer, 0, 1, 2);
    assert_int_equal(accepted(&proposer, 1, 1, D_P), TN__LEASE_ABANDONED);
    assert_int_equal(proposer.lease_deadline, 0);
}

static void P4_answers_after_the_activation_are_dropped(void **state)
{
    (void)state;
    struct tn__lease_proposer proposer = owner();
    struct tn__lease_proposer before = proposer;
    assert_int_equal(accepted(&proposer, 2, 1, 5), TN__LEASE_NOTHING);
    assert_memory_equal(&proposer, &before, sizeof(before));
}

static void P4_an_activation_while_held_renews_and_after_the_deadline_opens(void **state)
{
    (void)state;
    struct tn__lease_proposer proposer = owner();
    tn__lease_proposer_start(&proposer, ballot(2), 50, D_P);
    promise(&proposer, 0, 2, 51);
    promise(&proposer, 1, 2, 51);
    accepted(&proposer, 0, 2, 52);
    struct tn__lease_proposer late = proposer;
    assert_int_equal(accepted(&proposer, 1, 2, D_P - 1), TN__LEASE_RENEWED);
    assert_int_equal(proposer.token, ballot(1).counter); /* the tenure goes on */
    assert_int_equal(proposer.epoch, 1);
    assert_int_equal(accepted(&late, 1, 2, D_P), TN__LEASE_OPENED);
    assert_int_equal(late.token, ballot(2).counter);
    assert_int_equal(late.epoch, 2); /* M1: recovery standing is gone with the old epoch */
}

static void P4_a_reopened_tenure_has_the_token_of_its_renewal(void **state)
{
    (void)state;
    struct tn__lease_proposer proposer = owner();
    proposer.reopen = 1;
    tn__lease_proposer_start(&proposer, ballot(2), 50, D_P);
    promise(&proposer, 0, 2, 51);
    promise(&proposer, 1, 2, 51);
    accepted(&proposer, 0, 2, 52);
    assert_int_equal(accepted(&proposer, 1, 2, 53), TN__LEASE_REOPENED);
    assert_int_equal(proposer.token, ballot(2).counter);
    assert_int_equal(proposer.epoch, 1);
    assert_int_equal(proposer.reopen, 0);
}

static void F4_no_token_is_offered_when_an_acceptor_counted_keeps_no_ceiling(void **state)
{
    (void)state;
    struct tn__lease_proposer proposer = {0};
    tn__lease_proposer_start(&proposer, ballot(1), 0, D_P);
    promise(&proposer, 0, 1, 1);
    promise(&proposer, 1, 1, 1);
    struct tn__lease_answer answer = from(0, 1, 2);
    answer.fenced = 0;
    tn__lease_proposer_accepted(&proposer, &answer);
    assert_int_equal(accepted(&proposer, 1, 1, 3), TN__LEASE_OPENED);
    assert_int_equal(proposer.token, 0);
}

static void P5_an_attempt_ends_once_no_majority_can_be_open(void **state)
{
    (void)state;
    struct tn__lease_proposer proposer = {0};
    tn__lease_proposer_start(&proposer, ballot(1), 0, D_P);
    assert_int_equal(closed(&proposer, 0, 1, 30), TN__LEASE_COUNTED);
    assert_int_equal(closed(&proposer, 0, 1, 30), TN__LEASE_NOTHING);
    assert_int_equal(closed(&proposer, 2, 1, 70), TN__LEASE_ABANDONED);
    assert_int_equal(proposer.hint, 70); /* what to wait for */
    tn__lease_proposer_check(&proposer, 3);
}

static void P5_refusals_by_a_majority_end_the_attempt(void **state)
{
    (void)state;
    struct tn__lease_proposer proposer = {0};
    tn__lease_proposer_start(&proposer, ballot(1), 0, D_P);
    promise(&proposer, 0, 1, 1);
    promise(&proposer, 1, 1, 1);
    struct tn__lease_answer answer = from(0, 1, 2);
    assert_int_equal(tn__lease_proposer_refused(&proposer, &answer), TN__LEASE_COUNTED);
    answer = from(2, 1, 2);
    assert_int_equal(tn__lease_proposer_refused(&proposer, &answer), TN__LEASE_ABANDONED);
}

static void P5_a_failed_renewal_changes_nothing_of_what_is_held(void **state)
{
    (void)state;
    struct tn__lease_proposer proposer = owner();
    tn__lease_proposer_start(&proposer, ballot(2), 50, D_P);
    closed(&proposer, 0, 2, 10);
    assert_int_equal(closed(&proposer, 1, 2, 10), TN__LEASE_ABANDONED);
    assert_true(tn__lease_proposer_holds(&proposer, D_P - 1));
    assert_int_equal(proposer.lease_deadline, D_P);
    assert_int_equal(proposer.token, ballot(1).counter);
    tn__lease_proposer_check(&proposer, 3);
}

static void P6_a_release_ends_the_attempt_and_names_both_ballots(void **state)
{
    (void)state;
    struct tn__lease_proposer proposer = owner();
    tn__lease_proposer_start(&proposer, ballot(2), 50, D_P);
    struct tn_ballot ballots[2];
    assert_int_equal(tn__lease_proposer_release(&proposer, ballots), 2);
    assert_true(tn_ballot_equal(ballots[0], ballot(2)));
    assert_true(tn_ballot_equal(ballots[1], ballot(1)));
    assert_false(tn__lease_proposer_holds(&proposer, 51));
    assert_int_equal(promise(&proposer, 0, 2, 52), TN__LEASE_NOTHING);
    assert_int_equal(tn__lease_proposer_release(&proposer, ballots), 0);
    tn__lease_proposer_check(&proposer, 3);
}

static void L1_the_owner_forgets_the_lease_at_its_deadline_and_not_before(void **state)
{
    (void)state;
    struct tn__lease_proposer proposer = owner();
    assert_false(tn__lease_proposer_expire(&proposer, D_P - 1));
    assert_true(tn__lease_proposer_expire(&proposer, D_P));
    assert_false(tn__lease_proposer_expire(&proposer, D_P));
    assert_int_equal(proposer.token, 0);
    tn__lease_proposer_check(&proposer, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(P1_the_deadline_counts_from_before_Prepare_is_sent),
        cmocka_unit_test(P2_a_repeated_answer_counts_once),
        cmocka_unit_test(P2_an_answer_to_another_attempt_or_phase_is_nothing),
        cmocka_unit_test(P2_the_renewal_base_is_open_only_while_that_lease_is_held),
        cmocka_unit_test(P2_the_own_lease_under_another_ballot_is_closed),
        cmocka_unit_test(P3_T1_an_open_quorum_after_the_deadline_proposes_nothing),
        cmocka_unit_test(P4_T1_an_accepted_quorum_after_the_deadline_makes_no_owner),
        cmocka_unit_test(P4_answers_after_the_activation_are_dropped),
        cmocka_unit_test(P4_an_activation_while_held_renews_and_after_the_deadline_opens),
        cmocka_unit_test(P4_a_reopened_tenure_has_the_token_of_its_renewal),
        cmocka_unit_test(F4_no_token_is_offered_when_an_acceptor_counted_keeps_no_ceiling),
        cmocka_unit_test(P5_an_attempt_ends_once_no_majority_can_be_open),
        cmocka_unit_test(P5_refusals_by_a_majority_end_the_attempt),
        cmocka_unit_test(P5_a_failed_renewal_changes_nothing_of_what_is_held),
        cmocka_unit_test(P6_a_release_ends_the_attempt_and_names_both_ballots),
        cmocka_unit_test(L1_the_owner_forgets_the_lease_at_its_deadline_and_not_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
