/* The driver: what waits for which write, what loops back, what a failed write takes with it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "support/lease_world.h"

static const struct tn_lease_table_options table = {.proposer_ns = 10 * TN_SECOND, .names_max = 64};

static void request(struct lease_world *world, const char *name)
{
    world_request(world, 0, TN_REQUEST_ACQUIRE, name);
}

static void a_cell_of_one_owns_within_one_turn(void **state)
{
    (void)state;
    struct lease_world *world = world_new(1, &table, true);
    request(world, "a"); /* Prepare, Promise, Accept, Accepted: all in the loop */
    assert_true(world_owns(world, 0, "a"));
    assert_int_equal(world->mail_count, 0);
    world_free(world);
}

static void an_own_vote_is_not_counted_before_it_is_durable(void **state)
{
    (void)state;
    struct lease_world *world = world_new(1, &table, false);
    world->slow_disks = true;
    world_run(world, world->now + 11 * TN_SECOND);
    request(world, "a");
    assert_false(world_owns(world, 0, "a"));
    assert_int_equal(world->nodes[0].driver->held_count, 1);
    world_write_done(world, 0);
    assert_true(world_owns(world, 0, "a"));
    world_free(world);
}

static void what_waited_for_a_failed_write_is_never_said(void **state)
{
    (void)state;
    struct lease_world *world = world_new(3, &table, false);
    world->slow_disks = true;
    world_run(world, world->now + 11 * TN_SECOND);
    request(world, "a");
    assert_int_equal(world->nodes[0].driver->held_count, 1);
    world_write_fails(world, 0);
    assert_int_equal(world->nodes[0].driver->held_count, 0);
    assert_int_equal(world->nodes[0].driver->dropped, 1);
    assert_int_equal(world->mail_count, 0);
    world_free(world);
}

static void more_held_messages_than_there_is_room_for_are_dropped_and_counted(void **state)
{
    (void)state;
    static const struct tn_lease_table_options large = {.proposer_ns = 10 * TN_SECOND,
                                                        .names_max = 8192};
    struct lease_world *world = world_new(1, &large, false);
    world->slow_disks = true;
    world_run(world, world->now + 11 * TN_SECOND);
    for (uint32_t i = 0; i < TN__DRIVER_HELD_MAX + 10; i++) {
        char name[3] = {(char)('a' + i % 26), (char)('a' + i / 26 % 26), (char)('a' + i / 676)};
        struct tn_request acquire = {.kind = TN_REQUEST_ACQUIRE, .name_bytes = 3};
        memcpy(acquire.name, name, 3);
        struct tn_event event = {.kind = TN_EVENT_REQUEST, .now = world->now, .request = &acquire};
        tn__driver_event(world->nodes[0].driver, &event);
    }
    assert_int_equal(world->nodes[0].driver->held_count, TN__DRIVER_HELD_MAX);
    assert_int_equal(world->nodes[0].driver->dropped, 10);
    world_write_done(world, 0);
    assert_int_equal(world->nodes[0].driver->held_count, 0);
    world->slow_disks = false;
    world_run(world, world->now + 2 * TN_SECOND); /* resends make up for what was dropped */
    struct tn_lease_status status;
    tn_lease_status(world->nodes[0].lease, world->now, &status);
    assert_int_equal(status.owned_count, TN__DRIVER_HELD_MAX + 10);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cell_of_one_owns_within_one_turn),
        cmocka_unit_test(an_own_vote_is_not_counted_before_it_is_durable),
        cmocka_unit_test(what_waited_for_a_failed_write_is_never_said),
        cmocka_unit_test(more_held_messages_than_there_is_room_for_are_dropped_and_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
