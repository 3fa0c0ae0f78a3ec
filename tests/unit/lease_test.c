/* The lease machine over real drivers: the rules as a whole node keeps them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "support/lease_world.h"

static const struct tn_lease_table_options table = {
    .proposer_ns = 10 * TN_SECOND, .names_max = 64, .observe = TN_OBSERVE_ONLINE};

#define NAME "master"

static uint32_t owners(struct lease_world *world)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < world->nodes_count; i++) {
        count += world_owns(world, i, NAME);
    }
    return count;
}

static void P4_a_majority_makes_an_owner_and_the_others_learn_of_it(void **state)
{
    (void)state;
    struct lease_world *world = world_new(3, &table, true);
    world_request(world, 0, TN_REQUEST_ACQUIRE, NAME);
    world_run(world, world->now);
    assert_true(world_owns(world, 0, NAME));
    assert_int_equal(owners(world), 1);
    const struct tn_notice *opened = world_last(world, 0, TN_NOTICE_OPENED);
    assert_non_null(opened);
    assert_int_equal(opened->epoch, 1); /* M1 */
    assert_int_not_equal(opened->token, 0);
    const struct tn_notice *learned = world_last(world, 1, TN_NOTICE_LEARNED); /* L1 */
    assert_non_null(learned);
    assert_int_equal(learned->node, 1);
    assert_int_equal(learned->token, opened->token);
    world_free(world);
}

static void P1_a_held_lease_is_renewed_again_and_again_in_one_tenure(void **state)
{
    (void)state;
    struct lease_world *world = world_new(3, &table, true);
    world_request(world, 0, TN_REQUEST_ACQUIRE, NAME);
    world_run(world, world->now);
    uint64_t token = world_token(world, 0, NAME);
    world_run(world, world->now + 100 * TN_SECOND);
    assert_true(world_owns(world, 0, NAME));
    assert_int_equal(world_token(world, 0, NAME), token);
    assert_int_equal(world_count(world, 0, TN_NOTICE_OPENED), 1);
    assert_in_range(world_count(world, 0, TN_NOTICE_RENEWED), 29, 31);
    assert_int_equal(world_count(world, 0, TN_NOTICE_LOST), 0);
    world_free(world);
}

static void A2_a_second_contender_waits_until_the_owner_is_gone(void **state)
{
    (void)state;
    struct lease_world *world = world_new(3, &table, true);
    world_request(world, 0, TN_REQUEST_ACQUIRE, NAME);
    world_run(world, world->now);
    uint64_t first = world_token(world, 0, NAME);
    world_request(world, 1, TN_REQUEST_ACQUIRE, NAME);
    world_run(world, world->now + 50 * TN_SECOND);
    assert_true(world_owns(world, 0, NAME));
    assert_int_equal(owners(world), 1);
    const struct tn_notice *failed = world_last(world, 1, TN_NOTICE_FAILED);
    assert_non_null(failed);
    assert_int_equal(failed->reason, TN_REASON_HELD);
    assert_int_equal(failed->node, 1);
    world_crash(world, 0);
    world_run(world, world->now + 25 * TN_SECOND);
    assert_true(world_owns(world, 1, NAME));
    assert_true(world_token(world, 1, NAME) > first); /* F1, F2: tokens rise */
    world_free(world);
}

static void P6_a_release_lets_the_next_one_in_at_once(void **state)
{
    (void)state;
    struct lease_world *world = world_new(3, &table, true);
    world_request(world, 0, TN_REQUEST_ACQUIRE, NAME);
    world_run(world, world->now);
    world_request(world, 1, TN_REQUEST_ACQUIRE, NAME);
    world_run(world, world->now);
    world_request(world, 0, TN_REQUEST_RELEASE, NAME);
    world_run(world, world->now + TN_SECOND); /* a back-off, not a lease */
    assert_false(world_owns(world, 0, NAME));
    assert_true(world_owns(world, 1, NAME));
    assert_int_equal(world_count(world, 0, TN_NOTICE_RELEASED), 1);
    world_free(world);
}

static void H1_a_hand_over_goes_to_the_node_it_names(void **state)
{
    (void)state;
    for (uint32_t successor = 2; successor <= 3; successor++) {
        struct lease_world *world = world_new(3, &table, true);
        world_request(world, 0, TN_REQUEST_ACQUIRE, NAME);
        world_run(world, world->now);
        world_request(world, 1, TN_REQUEST_ACQUIRE, NAME);
        world_request(world, 2, TN_REQUEST_ACQUIRE, NAME);
        world_run(world, world->now);
        struct tn_request request = {.kind = TN_REQUEST_HAND_OVER,
                                     .name_bytes = sizeof(NAME) - 1,
                                     .successor = (tn_node_id)successor};
        memcpy(request.name, NAME, sizeof(NAME) - 1);
        world_submit(world, 0, &request);
        world_run(world, world->now + TN_SECOND);
        assert_true(world_owns(world, successor - 1, NAME));
        world_free(world);
    }
}

static void H2_who_drops_stands_back_for_two_leases(void **state)
{
    (void)state;
    struct lease_world *world = world_new(3, &table, true);
    world_request(world, 0, TN_REQUEST_ACQUIRE, NAME);
    world_run(world, world->now);
    world_request(world, 0, TN_REQUEST_DROP, NAME);
    world_run(world, world->now + 19 * TN_SECOND);
    assert_int_equal(owners(world), 0);
    world_run(world, world->now + 2 * TN_SECOND);
    assert_true(world_owns(world, 0, NAME));
    world_free(world);
}

static void H3_an_owner_yields_to_a_preferred_node_that_is_back(void **state)
{
    (void)state;
    struct lease_world *world = world_new(3, &table, true);
    struct tn_request request = {
        .kind = TN_REQUEST_ACQUIRE, .name_bytes = sizeof(NAME) - 1, .priority = 3};
    memcpy(request.name, NAME, sizeof(NAME) - 1);
    world_submit(world, 1, &request);
    world_run(world, world->now + 5 * TN_SECOND);
    assert_true(world_owns(world, 1, NAME));
    world_request(world, 0, TN_REQUEST_ACQUIRE, NAME);
    world_run(world, world->now + 30 * TN_SECOND);
    assert_true(world_owns(world, 0, NAME));
    world_run(world, world->now + 300 * TN_SECOND);
    assert_true(world_owns(world, 0, NAME)); /* and is left alone by the less preferred */
    world_free(world);
}

static void A4_a_restarted_acceptor_is_silent_for_D_Q(void **state)
{
    (void)state;
    struct lease_world *world = world_new(3, &table, false);
    world_request(world, 0, TN_REQUEST_ACQUIRE, NAME);
    tn_time quarantine = world->nodes[0].options.tables[0].quarantine_ns;
    world_run(world, TN_SECOND + quarantine - 1);
    assert_int_equal(owners(world), 0);
    assert_int_equal(world_count(world, 0, TN_NOTICE_OPENED), 0);
    world_run(world, world->now + 15 * TN_SECOND);
    assert_true(world_owns(world, 0, NAME));
    world_free(world);
}

static void T1_an_owner_cut_off_is_owner_no_longer_than_its_deadline(void **state)
{
    (void)state;
    struct lease_world *world = world_new(3, &table, true);
    world_request(world, 0, TN_REQUEST_ACQUIRE, NAME);
    world_run(world, world->now);
    world_request(world, 1, TN_REQUEST_ACQUIRE, NAME);
    world_run(world, world->now + 12 * TN_SECOND);
    world->cut = 1;
    tn_time end = world->now + 40 * TN_SECOND;
    bool moved = false;
    while (world->now < end) {
        world_run(world, world->now + 10 * TN_MILLISECOND);
        assert_true(owners(world) <= 1); /* inv.L1 */
        moved = moved || world_owns(world, 1, NAME);
    }
    assert_true(moved);
    assert_int_equal(world_count(world, 0, TN_NOTICE_LOST), 1);
    world_free(world);
}

static void finish_writes(struct lease_world *world)
{
    for (uint32_t i = 0; i < world->nodes_count; i++) {
        if (world->nodes[i].pending.write > world->nodes[i].disk.write) {
            world_write_done(world, i);
        }
    }
    world_deliver_all(world);
}

static void F1_no_answer_leaves_before_the_ceiling_is_durable(void **state)
{
    (void)state;
    struct lease_world *world = world_new(3, &table, true);
    world->slow_disks = true;
    /* A counter past all ceilings comes along, in the header of a frame. */
    struct tn_message learn = {.configuration = 1,
                               .kind = TN_MESSAGE_LEARN,
                               .name_bytes = 1,
                               .name = "x",
                               .ballot = {1 << 16 | 2, 1ULL << 32 | 0x1001}};
    world->mail[world->mail_count++] = (struct world_mail){
        1, 0, 1ULL << 32 | 0x1001, world->nodes[0].disk.ceiling + TN_CEILING_STRIDE, learn};
    world_deliver_all(world);
    world_request(world, 0, TN_REQUEST_ACQUIRE, NAME);
    world_deliver_all(world);
    assert_int_equal(owners(world), 0); /* not even the Prepare has left */
    assert_int_equal(world->nodes[0].driver->held_count, 1);
    world_write_done(world, 0);
    world_deliver_all(world); /* it has now, but the others' promises wait for their own disks */
    assert_int_equal(owners(world), 0);
    assert_true(world->nodes[1].driver->held_count >= 1);
    finish_writes(world);
    assert_true(world_owns(world, 0, NAME));
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(world->nodes[i].disk.ceiling > world_token(world, 0, NAME));
    }
    world_free(world);
}

static void A4_the_ceiling_is_raised_during_the_quarantine_so_no_lease_waits_for_it(void **state)
{
    (void)state;
    struct lease_world *world = world_new(3, &table, true);
    world->slow_disks = true; /* from here on nothing becomes durable */
    world_request(world, 0, TN_REQUEST_ACQUIRE, NAME);
    world_deliver_all(world);
    assert_true(world_owns(world, 0, NAME));
    world_free(world);
}

static void F2_tokens_rise_over_restarts_of_all_nodes(void **state)
{
    (void)state;
    struct lease_world *world = world_new(3, &table, true);
    uint64_t last = 0;
    for (uint32_t round = 0; round < 6; round++) {
        uint32_t node = round % 3;
        world_request(world, node, TN_REQUEST_ACQUIRE, NAME);
        world_run(world, world->now + 30 * TN_SECOND);
        assert_true(world_owns(world, node, NAME));
        assert_true(world_token(world, node, NAME) > last); /* inv.L11 */
        last = world_token(world, node, NAME);
        for (uint32_t i = 0; i < 3; i++) {
            world_crash(world, i);
            world_start(world, i);
        }
        world_run(world, world->now + 11 * TN_SECOND);
    }
    world_free(world);
}

static void F4_a_failed_ceiling_write_means_silence_until_one_succeeds(void **state)
{
    (void)state;
    struct lease_world *world = world_new(3, &table, false);
    world->slow_disks = true;
    world_run(world, world->now + 11 * TN_SECOND);
    world_request(world, 0, TN_REQUEST_ACQUIRE, NAME);
    world_write_fails(world, 0);
    world_deliver_all(world);
    assert_int_equal(owners(world), 0);
    assert_int_equal(world_last(world, 0, TN_NOTICE_INCIDENT)->reason, TN_REASON_CEILING);
    world->slow_disks = false;
    finish_writes(world);
    world_run(world, world->now + 5 * TN_SECOND);
    assert_true(world_owns(world, 0, NAME));
    world_free(world);
}

static void F3_a_left_configuration_is_answered_no_more_and_the_next_one_is(void **state)
{
    (void)state;
    struct lease_world *world = world_new(3, &table, true);
    world_request(world, 0, TN_REQUEST_ACQUIRE, NAME);
    world_run(world, world->now);
    uint64_t token = world_token(world, 0, NAME);
    struct tn_request leave = {.kind = TN_REQUEST_LEAVE};
    uint64_t ceiling = 0;
    for (uint32_t i = 0; i < 3; i++) {
        world_submit(world, i, &leave);
        const struct tn_notice *left = world_last(world, i, TN_NOTICE_LEFT);
        assert_non_null(left);
        ceiling = left->token > ceiling ? left->token : ceiling;
        assert_int_equal(world->nodes[i].disk.left, 1);
    }
    world_run(world, world->now + 15 * TN_SECOND); /* D_Q passes; nobody can renew */
    assert_int_equal(owners(world), 0);
    struct tn_request join = {
        .kind = TN_REQUEST_JOIN, .members_count = 2, .configuration = 2, .ceiling = ceiling};
    join.members[0] = 2;
    join.members[1] = 3;
    world_submit(world, 1, &join);
    world_submit(world, 2, &join);
    assert_non_null(world_last(world, 1, TN_NOTICE_JOINED));
    struct tn_lease_status status;
    tn_lease_status(world->nodes[2].lease, world->now, &status);
    assert_int_equal(status.configuration, 2);
    assert_int_equal(status.self, 1);
    assert_true(status.counter >= token);
    world_free(world);
}

static void A4_a_change_of_durations_waits_out_the_larger_of_old_and_new(void **state)
{
    (void)state;
    struct lease_world *world = world_new(3, &table, true);
    for (uint32_t i = 0; i < 3; i++) {
        world_crash(world, i);
        struct tn_lease_table_options *options = &world->nodes[i].options.tables[0];
        *options = (struct tn_lease_table_options){.proposer_ns = TN_SECOND, .names_max = 64};
        assert_int_equal(tn_lease_options_complete(&world->nodes[i].options, NULL, 0), 0);
        world_start(world, i);
    }
    tn_time began = world->now;
    world_request(world, 0, TN_REQUEST_ACQUIRE, NAME);
    world_run(world, began + 10 * TN_SECOND); /* an owner of the old cell may act until here */
    assert_int_equal(owners(world), 0);
    world_run(world, began + 12 * TN_SECOND);
    assert_true(world_owns(world, 0, NAME));
    /* It was waited out once: the next restart waits for the new D_Q only. */
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(world->nodes[i].disk.quarantine_ns[0] < 2 * TN_SECOND);
        world_crash(world, i);
        world_start(world, i);
    }
    world_request(world, 1, TN_REQUEST_ACQUIRE, NAME);
    world_run(world, world->now + 3 * TN_SECOND);
    assert_true(world_owns(world, 1, NAME));
    world_free(world);
}

static void A4_no_vote_leaves_before_its_quarantine_is_on_the_disk(void **state)
{
    (void)state;
    struct lease_world *world = world_new(1, &table, false);
    world->slow_disks = true;
    world_run(world, world->now + 30 * TN_SECOND);
    world_request(world, 0, TN_REQUEST_ACQUIRE, NAME);
    assert_false(world_owns(world, 0, NAME));
    world_write_done(world, 0);
    world_run(world, world->now + 2 * TN_SECOND);
    assert_true(world_owns(world, 0, NAME));
    world_free(world);
}

static void A1_a_copied_directory_is_refused_and_reported(void **state)
{
    (void)state;
    struct lease_world *world = world_new(3, &table, true);
    world_request(world, 0, TN_REQUEST_ACQUIRE, NAME);
    world_run(world, world->now);
    struct tn_message prepare = {.configuration = 1,
                                 .kind = TN_MESSAGE_PREPARE,
                                 .name_bytes = 1,
                                 .name = "x",
                                 .ballot = {7 << 16 | 1, 1ULL << 32 | 99}};
    world->mail[world->mail_count++] = (struct world_mail){0, 1, 1ULL << 32 | 99, 7 << 16, prepare};
    world_deliver_all(world);
    const struct tn_notice *incident = world_last(world, 1, TN_NOTICE_INCIDENT);
    assert_non_null(incident);
    assert_int_equal(incident->reason, TN_REASON_DUPLICATE_NODE);
    struct tn_lease_counters counters;
    tn_lease_counters(world->nodes[1].lease, &counters);
    assert_int_equal(counters.duplicates, 1);
    world_free(world);
}

static void a_counter_far_ahead_is_refused_and_does_not_poison(void **state)
{
    (void)state;
    struct lease_world *world = world_new(3, &table, true);
    struct tn_message prepare = {.configuration = 1,
                                 .kind = TN_MESSAGE_PREPARE,
                                 .name_bytes = 1,
                                 .name = "x",
                                 .ballot = {(UINT64_MAX >> 16) << 16 | 1, 1ULL << 32 | 0x1000}};
    world->mail[world->mail_count++] = (struct world_mail){0, 1, 1ULL << 32 | 0x1000, 0, prepare};
    world_deliver_all(world);
    assert_int_equal(world_last(world, 1, TN_NOTICE_INCIDENT)->reason, TN_REASON_COUNTER_LEAP);
    world_request(world, 1, TN_REQUEST_ACQUIRE, NAME);
    world_run(world, world->now + TN_SECOND);
    assert_true(world_owns(world, 1, NAME));
    world_free(world);
}

static void a_forsaken_lease_is_owned_no_more_and_won_again_under_a_new_token(void **state)
{
    (void)state;
    struct lease_world *world = world_new(3, &table, true);
    world_request(world, 0, TN_REQUEST_ACQUIRE, NAME);
    world_run(world, world->now + TN_SECOND);
    uint64_t token = world_token(world, 0, NAME);
    struct tn_request forsake = {.kind = TN_REQUEST_FORSAKE};
    world_submit(world, 0, &forsake);
    assert_false(world_owns(world, 0, NAME));
    assert_int_equal(world_last(world, 0, TN_NOTICE_LOST)->reason, TN_REASON_CLOCK);
    world_run(world, world->now + 25 * TN_SECOND);
    assert_true(world_owns(world, 0, NAME));
    assert_true(world_token(world, 0, NAME) > token);
    world_free(world);
}

static void reopening_gives_the_next_holder_a_token_of_its_own(void **state)
{
    (void)state;
    struct lease_world *world = world_new(3, &table, true);
    world_request(world, 0, TN_REQUEST_ACQUIRE, NAME);
    world_run(world, world->now);
    for (uint32_t i = 0; i < 5; i++) {
        uint64_t token = world_token(world, 0, NAME);
        world_request(world, 0, TN_REQUEST_REOPEN, NAME);
        world_run(world, world->now);
        assert_int_equal(world_count(world, 0, TN_NOTICE_REOPENED), i + 1);
        assert_true(world_owns(world, 0, NAME));
        assert_true(world_token(world, 0, NAME) > token);
    }
    world_free(world);
}

static void F2_dropped_names_leave_their_promise_in_the_floor(void **state)
{
    (void)state;
    struct lease_world *world = world_new(3, &table, true);
    uint64_t last = 0;
    for (uint32_t round = 0; round < 200; round++) { /* more names than the table holds */
        char name[16] = "name-000";
        name[5] = (char)('0' + round / 100);
        name[6] = (char)('0' + round / 10 % 10);
        name[7] = (char)('0' + round % 10);
        world_request(world, round % 3, TN_REQUEST_ACQUIRE, name);
        world_run(world, world->now);
        assert_true(world_owns(world, round % 3, name));
        assert_true(world_token(world, round % 3, name) > last);
        last = world_token(world, round % 3, name);
        world_request(world, round % 3, TN_REQUEST_RELEASE, name);
        world_run(world, world->now + TN_SECOND);
    }
    world_run(world, world->now + 30 * TN_SECOND);
    for (uint32_t i = 0; i < 3; i++) {
        struct tn_lease_status status;
        tn_lease_status(world->nodes[i].lease, world->now, &status);
        assert_int_equal(status.names_count, 0); /* memory follows live names */
        struct tn_lease_counters counters;
        tn_lease_counters(world->nodes[i].lease, &counters);
        assert_int_equal(counters.dropped, 200);
    }
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(P4_a_majority_makes_an_owner_and_the_others_learn_of_it),
        cmocka_unit_test(P1_a_held_lease_is_renewed_again_and_again_in_one_tenure),
        cmocka_unit_test(A2_a_second_contender_waits_until_the_owner_is_gone),
        cmocka_unit_test(P6_a_release_lets_the_next_one_in_at_once),
        cmocka_unit_test(H1_a_hand_over_goes_to_the_node_it_names),
        cmocka_unit_test(H2_who_drops_stands_back_for_two_leases),
        cmocka_unit_test(H3_an_owner_yields_to_a_preferred_node_that_is_back),
        cmocka_unit_test(A4_a_restarted_acceptor_is_silent_for_D_Q),
        cmocka_unit_test(T1_an_owner_cut_off_is_owner_no_longer_than_its_deadline),
        cmocka_unit_test(F1_no_answer_leaves_before_the_ceiling_is_durable),
        cmocka_unit_test(A4_the_ceiling_is_raised_during_the_quarantine_so_no_lease_waits_for_it),
        cmocka_unit_test(F2_tokens_rise_over_restarts_of_all_nodes),
        cmocka_unit_test(F4_a_failed_ceiling_write_means_silence_until_one_succeeds),
        cmocka_unit_test(F3_a_left_configuration_is_answered_no_more_and_the_next_one_is),
        cmocka_unit_test(A4_a_change_of_durations_waits_out_the_larger_of_old_and_new),
        cmocka_unit_test(A4_no_vote_leaves_before_its_quarantine_is_on_the_disk),
        cmocka_unit_test(A1_a_copied_directory_is_refused_and_reported),
        cmocka_unit_test(a_counter_far_ahead_is_refused_and_does_not_poison),
        cmocka_unit_test(a_forsaken_lease_is_owned_no_more_and_won_again_under_a_new_token),
        cmocka_unit_test(reopening_gives_the_next_holder_a_token_of_its_own),
        cmocka_unit_test(F2_dropped_names_leave_their_promise_in_the_floor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
