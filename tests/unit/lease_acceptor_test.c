/* The acceptor cell, rule by rule. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "paxos/lease_acceptor.h"

#define D_A 100

/* Ballots of nodes 1 and 2, of first and second incarnations. */
#define ATTEMPT(attempt, node, start)                                                              \
    ((struct tn_ballot){(uint64_t)(attempt) << 16 | (node), (uint64_t)(start) << 32 | 7})

static struct tn__lease_acceptor holding(struct tn_ballot ballot, tn_time now)
{
    struct tn__lease_acceptor acceptor = {0};
    assert_int_equal(tn__lease_acceptor_accept(&acceptor, ballot, now, D_A), TN__LEASE_ACCEPTED);
    return acceptor;
}

static void A1_promises_what_is_not_below_its_promise(void **state)
{
    (void)state;
    struct tn__lease_acceptor acceptor = {0};
    struct tn_ballot low = ATTEMPT(1, 2, 1), high = ATTEMPT(2, 1, 1);
    assert_int_equal(tn__lease_acceptor_prepare(&acceptor, high, 0, false), TN__LEASE_PROMISED);
    assert_int_equal(tn__lease_acceptor_prepare(&acceptor, high, 0, false), TN__LEASE_PROMISED);
    assert_int_equal(tn__lease_acceptor_prepare(&acceptor, low, 0, false), TN__LEASE_REJECTED);
    assert_true(tn_ballot_equal(acceptor.promised, high));
    tn__lease_acceptor_check(&acceptor);
}

static void A1_answers_closed_and_leaves_the_promise_while_another_holds(void **state)
{
    (void)state;
    struct tn_ballot owner = ATTEMPT(1, 1, 1), other = ATTEMPT(9, 2, 1);
    struct tn__lease_acceptor acceptor = holding(owner, 0);
    assert_int_equal(tn__lease_acceptor_prepare(&acceptor, other, D_A - 1, false),
                     TN__LEASE_CLOSED);
    assert_true(tn_ballot_equal(acceptor.promised, owner));
    /* ... so the owner's renewal under a lower ballot than the contender's is not disturbed. */
    assert_int_equal(tn__lease_acceptor_prepare(&acceptor, ATTEMPT(2, 1, 1), D_A - 1, false),
                     TN__LEASE_PROMISED);
}

static void A1_as_published_raises_the_promise_though_it_answers_closed(void **state)
{
    (void)state;
    struct tn_ballot other = ATTEMPT(9, 2, 1);
    struct tn__lease_acceptor acceptor = holding(ATTEMPT(1, 1, 1), 0);
    assert_int_equal(tn__lease_acceptor_prepare(&acceptor, other, 1, true), TN__LEASE_CLOSED);
    assert_true(tn_ballot_equal(acceptor.promised, other));
}

static void A1_clears_an_expired_lease_first(void **state)
{
    (void)state;
    struct tn__lease_acceptor acceptor = holding(ATTEMPT(1, 1, 1), 0);
    assert_int_equal(tn__lease_acceptor_prepare(&acceptor, ATTEMPT(2, 2, 1), D_A, false),
                     TN__LEASE_PROMISED);
    assert_true(tn_ballot_is_none(acceptor.accepted));
    assert_int_equal(acceptor.deadline, 0);
}

static void A1_a_restarted_owner_is_another_owner(void **state)
{
    (void)state;
    struct tn__lease_acceptor acceptor = holding(ATTEMPT(1, 1, 1), 0);
    assert_int_equal(tn__lease_acceptor_prepare(&acceptor, ATTEMPT(2, 1, 2), 1, false),
                     TN__LEASE_CLOSED);
}

static void A1_A2_one_counter_from_two_incarnations_is_a_copied_directory(void **state)
{
    (void)state;
    struct tn__lease_acceptor acceptor = {0};
    struct tn_ballot first = {5 << 16 | 1, 1ULL << 32 | 7}, copy = {5 << 16 | 1, 1ULL << 32 | 8};
    assert_int_equal(tn__lease_acceptor_prepare(&acceptor, first, 0, false), TN__LEASE_PROMISED);
    assert_int_equal(tn__lease_acceptor_prepare(&acceptor, copy, 0, false), TN__LEASE_DUPLICATE);
    assert_int_equal(tn__lease_acceptor_accept(&acceptor, copy, 0, D_A), TN__LEASE_DUPLICATE);
    assert_true(tn_ballot_equal(acceptor.promised, first));
    assert_int_equal(acceptor.deadline, 0);
    /* A floor's counter is nobody's: below it is below it, and no more. */
    struct tn__lease_acceptor floored = {.promised = tn__ballot_ceil(first.counter)};
    assert_int_equal(tn__lease_acceptor_prepare(&floored, first, 0, false), TN__LEASE_REJECTED);
}

static void A2_refuses_to_overwrite_a_live_lease_of_another_owner(void **state)
{
    (void)state;
    struct tn_ballot owner = ATTEMPT(1, 1, 1);
    struct tn__lease_acceptor acceptor = holding(owner, 0);
    assert_int_equal(tn__lease_acceptor_accept(&acceptor, ATTEMPT(9, 2, 1), D_A - 1, D_A),
                     TN__LEASE_REFUSED);
    assert_true(tn_ballot_equal(acceptor.accepted, owner));
    assert_true(tn_ballot_equal(acceptor.promised, owner));
    assert_int_equal(tn__lease_acceptor_accept(&acceptor, ATTEMPT(9, 2, 1), D_A, D_A),
                     TN__LEASE_ACCEPTED);
}

static void A2_refuses_a_ballot_below_the_promise_and_raises_it_on_a_grant(void **state)
{
    (void)state;
    struct tn__lease_acceptor acceptor = {0};
    struct tn_ballot low = ATTEMPT(1, 1, 1), high = ATTEMPT(3, 2, 1);
    tn__lease_acceptor_prepare(&acceptor, high, 0, false);
    assert_int_equal(tn__lease_acceptor_accept(&acceptor, low, 0, D_A), TN__LEASE_REFUSED);
    struct tn_ballot higher = ATTEMPT(4, 2, 1);
    assert_int_equal(tn__lease_acceptor_accept(&acceptor, higher, 0, D_A), TN__LEASE_ACCEPTED);
    assert_true(tn_ballot_equal(acceptor.promised, higher));
    assert_int_equal(acceptor.deadline, D_A);
    tn__lease_acceptor_check(&acceptor);
}

static void A3_clears_exactly_the_released_lease(void **state)
{
    (void)state;
    struct tn_ballot first = ATTEMPT(1, 1, 1), second = ATTEMPT(2, 1, 1);
    struct tn__lease_acceptor acceptor = holding(second, 0);
    assert_false(tn__lease_acceptor_release(&acceptor, first)); /* same owner, other ballot */
    assert_true(tn__lease_acceptor_is_live(&acceptor, 1));
    assert_true(tn__lease_acceptor_release(&acceptor, second));
    assert_false(tn__lease_acceptor_is_live(&acceptor, 1));
    tn__lease_acceptor_check(&acceptor);
}

static void A3_a_late_accept_of_a_released_ballot_leaves_no_ghost(void **state)
{
    (void)state;
    struct tn_ballot ballot = ATTEMPT(1, 1, 1);
    struct tn__lease_acceptor acceptor = {0};
    assert_false(tn__lease_acceptor_release(&acceptor, ballot)); /* the release overtook it */
    assert_int_equal(tn__lease_acceptor_accept(&acceptor, ballot, 1, D_A), TN__LEASE_REFUSED);
    assert_int_equal(tn__lease_acceptor_prepare(&acceptor, ATTEMPT(2, 1, 1), 1, false),
                     TN__LEASE_PROMISED);
}

static void a_timer_of_an_earlier_lease_changes_nothing(void **state)
{
    (void)state;
    struct tn__lease_acceptor acceptor = holding(ATTEMPT(1, 1, 1), 0);
    tn__lease_acceptor_accept(&acceptor, ATTEMPT(2, 1, 1), 50, D_A);
    assert_false(tn__lease_acceptor_expire(&acceptor, D_A)); /* the first lease's deadline */
    assert_true(tn__lease_acceptor_is_live(&acceptor, D_A));
    assert_true(tn__lease_acceptor_expire(&acceptor, 50 + D_A));
}

static void T7_a_deadline_near_the_end_of_time_does_not_wrap(void **state)
{
    (void)state;
    struct tn__lease_acceptor acceptor = {0};
    tn__lease_acceptor_accept(&acceptor, ATTEMPT(1, 1, 1), UINT64_MAX - 5, D_A);
    assert_true(tn__lease_acceptor_is_live(&acceptor, UINT64_MAX - 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(A1_promises_what_is_not_below_its_promise),
        cmocka_unit_test(A1_answers_closed_and_leaves_the_promise_while_another_holds),
        cmocka_unit_test(A1_as_published_raises_the_promise_though_it_answers_closed),
        cmocka_unit_test(A1_clears_an_expired_lease_first),
        cmocka_unit_test(A1_a_restarted_owner_is_another_owner),
        cmocka_unit_test(A1_A2_one_counter_from_two_incarnations_is_a_copied_directory),
        cmocka_unit_test(A2_refuses_to_overwrite_a_live_lease_of_another_owner),
        cmocka_unit_test(A2_refuses_a_ballot_below_the_promise_and_raises_it_on_a_grant),
        cmocka_unit_test(A3_clears_exactly_the_released_lease),
        cmocka_unit_test(A3_a_late_accept_of_a_released_ballot_leaves_no_ghost),
        cmocka_unit_test(a_timer_of_an_earlier_lease_changes_nothing),
        cmocka_unit_test(T7_a_deadline_near_the_end_of_time_does_not_wrap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
