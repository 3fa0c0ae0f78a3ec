/* Nodes on loopback: they elect, renew, let go and take over, with and without disks, on every kind
 * of address; and what each function of node.h promises to each thread. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/clock.h"
#include "support/node_cell.h"

/* What happened to a name at a node, as its callback saw it. */
struct watched {
    _Atomic uint32_t opened;
    _Atomic uint32_t renewed;
    _Atomic uint32_t reopened;
    _Atomic uint32_t lost;
    _Atomic uint32_t released;
    _Atomic uint64_t token;
    struct tn_node *node;
    _Atomic int result; /* of a call made inside the callback */
};

static void on_change(struct tn_node_lease *lease, const struct tn_notice *notice, void *data)
{
    struct watched *watched = data;
    bool owned = tn_node_lease_owned(lease, NULL, NULL);
    switch (notice->kind) {
    case TN_NOTICE_OPENED:
        atomic_store(&watched->token, notice->token);
        watched->opened += 1;
        break;
    case TN_NOTICE_RENEWED:
        watched->renewed += 1;
        break;
    case TN_NOTICE_REOPENED:
        assert_true(notice->token > atomic_load(&watched->token));
        atomic_store(&watched->token, notice->token);
        watched->reopened += 1;
        break;
    case TN_NOTICE_LOST:
        assert_false(owned);
        watched->lost += 1;
        break;
    case TN_NOTICE_RELEASED:
        assert_false(owned);
        watched->released += 1;
        break;
    default:
        break;
    }
}

static struct tn_node_lease *want(struct cell *cell, uint32_t index, const char *name,
                                  struct watched *watched)
{
    struct tn_node_lease_options options = {.on_change = on_change, .data = watched};
    struct tn_node_lease *lease = NULL;
    int error = tn_node_lease_open(cell->nodes[index].node, "fast", name,
                                   watched != NULL ? &options : NULL, &lease);
    assert_int_equal(error, 0);
    return lease;
}

static void await(_Atomic uint32_t *count, uint32_t least)
{
    tn_time since = 0;
    while (atomic_load(count) < least) {
        if (!cell_patience(&since)) {
            fail_msg("what was awaited %u times came %u times", least, atomic_load(count));
        }
    }
}

/* Wait until one of the leases is owned; returns which, and checks that no other is at that time.
 */
static uint32_t await_owner(struct tn_node_lease **leases, uint32_t count)
{
    tn_time since = 0;
    do {
        for (uint32_t i = 0; i < count; i++) {
            if (leases[i] != NULL && tn_node_lease_owned(leases[i], NULL, NULL)) {
                for (uint32_t j = 0; j < count; j++) {
                    bool both = j != i && leases[j] != NULL &&
                                tn_node_lease_owned(leases[j], NULL, NULL) &&
                                tn_node_lease_owned(leases[i], NULL, NULL);
                    assert_false(both);
                }
                return i;
            }
        }
    } while (cell_patience(&since));
    fail_msg("nobody came to own the name");
    return 0;
}

static void P4_three_nodes_elect_one_owner_and_renew_it(void **state)
{
    (void)state;
    struct cell cell;
    cell_make(&cell, 3, "127.0.0.1");
    cell_start_all(&cell);
    struct watched watched[3] = {0};
    struct tn_node_lease *leases[3];
    for (uint32_t i = 0; i < 3; i++) {
        leases[i] = want(&cell, i, "demo", &watched[i]);
    }
    uint32_t owner = await_owner(leases, 3);
    await(&watched[owner].renewed, 5);
    assert_int_equal(watched[owner].opened, 1);
    assert_int_equal(watched[owner].lost, 0);
    uint64_t token = 0;
    tn_time deadline = 0;
    assert_true(tn_node_lease_owned(leases[owner], &token, &deadline));
    assert_true(token != 0 && token == atomic_load(&watched[owner].token));
    assert_true(deadline > 0 && deadline <= tn__clock_now() + CELL_PROPOSER_NS);
    for (uint32_t i = 0; i < 3; i++) {
        struct tn_lease_view view;
        tn_time since = 0;
        do { /* L1: the others learn of it */
            (void)tn_node_who(cell.nodes[i].node, "fast", "demo", &view);
        } while (view.node != owner + 1 && cell_patience(&since));
        assert_int_equal(view.node, owner + 1);
        assert_int_equal(view.certain, i == owner);
    }
    cell_end(&cell);
}

static void P6_when_the_owner_closes_the_next_one_owns_with_a_larger_token(void **state)
{
    (void)state;
    struct cell cell;
    cell_make(&cell, 3, "127.0.0.1");
    cell_start_all(&cell);
    struct watched watched[3] = {0};
    struct tn_node_lease *leases[3];
    for (uint32_t i = 0; i < 3; i++) {
        leases[i] = want(&cell, i, "demo", &watched[i]);
    }
    uint64_t token = 0;
    for (uint32_t round = 0; round < 3; round++) {
        uint32_t owner = await_owner(leases, 3);
        uint64_t next = 0;
        assert_true(tn_node_lease_owned(leases[owner], &next, NULL));
        assert_true(next > token);
        token = next;
        leases[owner] = NULL; /* freed with its node */
        cell_stop(&cell, owner);
        cell_start(&cell, owner); /* a majority stays, and it must not vote before D_Q (A4) */
        watched[owner] = (struct watched){0};
        leases[owner] = want(&cell, owner, "demo", &watched[owner]);
    }
    cell_end(&cell);
}

static void H1_a_hand_over_makes_the_named_member_the_owner(void **state)
{
    (void)state;
    struct cell cell;
    cell_make(&cell, 3, "127.0.0.1");
    cell_start_all(&cell);
    struct watched watched[3] = {0};
    struct tn_node_lease *leases[3];
    for (uint32_t i = 0; i < 3; i++) {
        leases[i] = want(&cell, i, "demo", &watched[i]);
    }
    uint32_t owner = await_owner(leases, 3);
    uint32_t heir = (owner + 1) % 3;
    assert_int_equal(tn_node_lease_hand_over(leases[owner], "nobody"), TN_ERROR_NOT_FOUND);
    assert_int_equal(tn_node_lease_hand_over(leases[heir], cell.nodes[owner].name),
                     TN_ERROR_NOT_OWNER);
    assert_int_equal(tn_node_lease_hand_over(leases[owner], cell.nodes[heir].name), 0);
    assert_false(tn_node_lease_owned(leases[owner], NULL, NULL));
    assert_int_equal(tn_node_lease_wait(leases[heir], CELL_PATIENCE_NS), 0);
    assert_int_equal(watched[owner].released, 1);
    cell_end(&cell);
}

static void P6_after_a_release_nothing_is_owned_until_it_is_wanted_again(void **state)
{
    (void)state;
    struct cell cell;
    cell_make(&cell, 3, "127.0.0.1");
    cell_start_all(&cell);
    struct watched watched = {0};
    struct tn_node_lease *lease = want(&cell, 1, "demo", &watched);
    assert_int_equal(tn_node_lease_wait(lease, CELL_PATIENCE_NS), 0);
    uint64_t first = 0;
    assert_true(tn_node_lease_owned(lease, &first, NULL));
    assert_int_equal(tn_node_lease_release(lease), 0);
    uint64_t token = 1;
    tn_time deadline = 1;
    assert_false(tn_node_lease_owned(lease, &token, &deadline));
    assert_true(token == 0 && deadline == 0);
    assert_int_equal(tn_node_lease_wait(lease, 3 * CELL_PROPOSER_NS), TN_ERROR_TIMEOUT);
    assert_int_equal(tn_node_lease_acquire(lease), 0);
    assert_int_equal(tn_node_lease_wait(lease, CELL_PATIENCE_NS), 0);
    assert_true(tn_node_lease_owned(lease, &token, NULL));
    assert_true(token > first);
    assert_int_equal(tn_node_lease_reopen(lease), 0);
    await(&watched.reopened, 1);
    assert_int_equal(watched.lost, 0);
    uint64_t reopened = 0;
    assert_true(tn_node_lease_owned(lease, &reopened, NULL));
    assert_true(reopened > token);
    cell_end(&cell);
}

static void F4_a_diskless_cell_elects_and_offers_no_token(void **state)
{
    (void)state;
    struct cell cell;
    cell_make(&cell, 3, "127.0.0.1");
    for (uint32_t i = 0; i < 3; i++) {
        cell.nodes[i].options.data_dir = NULL;
    }
    cell_start_all(&cell);
    struct tn_node_lease *lease = want(&cell, 0, "demo", NULL);
    assert_int_equal(tn_node_lease_wait(lease, CELL_PATIENCE_NS), 0);
    uint64_t token = 1;
    assert_true(tn_node_lease_owned(lease, &token, NULL));
    assert_int_equal(token, 0);
    static struct tn_node_status status;
    cell_status(&cell, 0, &status);
    assert_int_equal(status.diskless, 1);
    cell_end(&cell);
}

static void A_node_alone_works_with_no_options_but_a_directory(void **state)
{
    (void)state;
    struct cell cell;
    cell_make(&cell, 1, "127.0.0.1");
    struct tn_node_options options = {.data_dir = cell.nodes[0].data_dir};
    cell.nodes[0].options = options;
    cell_start(&cell, 0);
    struct tn_node_lease *lease = NULL;
    assert_int_equal(tn_node_lease_open(cell.nodes[0].node, "leader", "demo", NULL, &lease), 0);
    assert_int_equal(tn_node_lease_wait(lease, CELL_PATIENCE_NS), 0);
    uint64_t token = 0;
    assert_true(tn_node_lease_owned(lease, &token, NULL));
    assert_true(token != 0);
    cell_end(&cell);
}

static void elect_on(const char *host)
{
    struct cell cell;
    cell_make(&cell, 3, host);
    cell_start_all(&cell);
    struct tn_node_lease *lease = want(&cell, 2, "demo", NULL);
    assert_int_equal(tn_node_lease_wait(lease, CELL_PATIENCE_NS), 0);
    cell_await_connected(&cell, 3);
    cell_end(&cell);
}

static void members_speak_over_ipv6(void **state)
{
    (void)state;
    elect_on("[::1]");
}

static void members_are_dialled_by_host_name(void **state)
{
    (void)state;
    elect_on("localhost");
}

/* ---- Threads -----------------------------------------------------------------------------------
 */

struct reader {
    struct tn_node_lease *lease;
    _Atomic bool *stop;
    uint64_t owned;
    uint64_t asked;
    uint64_t broken; /* answers that contradict themselves */
};

static void *read_owned(void *argument)
{
    struct reader *reader = argument;
    uint64_t last_token = 0;
    while (!atomic_load(reader->stop)) {
        uint64_t token = 0;
        tn_time deadline = 0;
        bool owned = tn_node_lease_owned(reader->lease, &token, &deadline);
        reader->asked += 1;
        reader->owned += owned ? 1 : 0;
        reader->broken += owned != (deadline != 0) || owned != (token != 0) ? 1 : 0;
        if (owned) {
            reader->broken += token < last_token ? 1 : 0;
            last_token = token;
        }
    }
    return NULL;
}

static void any_thread_may_ask_who_owns_while_tenures_come_and_go(void **state)
{
    (void)state;
    struct cell cell;
    cell_make(&cell, 3, "127.0.0.1");
    cell_start_all(&cell);
    struct tn_node_lease *lease = want(&cell, 0, "demo", NULL);
    _Atomic bool stop = false;
    struct reader readers[2] = {{.lease = lease, .stop = &stop}, {.lease = lease, .stop = &stop}};
    pthread_t threads[2];
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, read_owned, &readers[i]), 0);
    }
    for (uint32_t round = 0; round < 20; round++) {
        assert_int_equal(tn_node_lease_wait(lease, CELL_PATIENCE_NS), 0);
        assert_int_equal(tn_node_lease_release(lease), 0);
        assert_int_equal(tn_node_lease_acquire(lease), 0);
    }
    atomic_store(&stop, true);
    for (uint32_t i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        assert_true(readers[i].asked > 0);
        assert_int_equal(readers[i].broken, 0);
    }
    cell_end(&cell);
}

static void on_change_that_misbehaves(struct tn_node_lease *lease, const struct tn_notice *notice,
                                      void *data)
{
    struct watched *watched = data;
    if (notice->kind == TN_NOTICE_OPENED) {
        assert_int_equal(tn_node_lease_wait(lease, TN_SECOND), TN_ERROR_WRONG_THREAD);
        assert_int_equal(tn_node_close(watched->node), TN_ERROR_WRONG_THREAD);
        struct tn_lease_view view;
        assert_int_equal(tn_node_who(watched->node, "fast", "demo", &view), 0);
        assert_int_equal(view.owned, 1);
        atomic_store(&watched->result, tn_node_lease_release(lease));
        assert_false(tn_node_lease_owned(lease, NULL, NULL));
        watched->opened += 1;
    } else if (notice->kind == TN_NOTICE_RELEASED) {
        tn_node_lease_close(lease);
        watched->released += 1;
    }
}

static void a_callback_may_ask_release_and_close_and_may_not_wait(void **state)
{
    (void)state;
    struct cell cell;
    cell_make(&cell, 3, "127.0.0.1");
    cell_start_all(&cell);
    struct watched watched = {.node = cell.nodes[1].node, .result = 1};
    struct tn_node_lease_options options = {.on_change = on_change_that_misbehaves,
                                            .data = &watched};
    struct tn_node_lease *lease = NULL;
    assert_int_equal(tn_node_lease_open(cell.nodes[1].node, "fast", "demo", &options, &lease), 0);
    await(&watched.released, 1);
    assert_int_equal(watched.opened, 1);
    assert_int_equal(watched.result, 0);
    struct tn_node_lease *again = want(&cell, 1, "demo", NULL);
    assert_int_equal(tn_node_lease_wait(again, CELL_PATIENCE_NS), 0);
    cell_end(&cell);
}

static void stop_on_change(struct tn_node_lease *lease, const struct tn_notice *notice, void *data)
{
    (void)lease;
    struct watched *watched = data;
    if (notice->kind == TN_NOTICE_OPENED) {
        tn_node_stop(watched->node);
        watched->opened += 1;
    }
}

static void P6_a_stop_inside_a_callback_releases_and_the_next_owner_follows(void **state)
{
    (void)state;
    struct cell cell;
    cell_make(&cell, 3, "127.0.0.1");
    cell_start_all(&cell);
    struct watched watched = {.node = cell.nodes[0].node};
    struct tn_node_lease_options options = {.on_change = stop_on_change, .data = &watched};
    struct tn_node_lease *lease = NULL;
    assert_int_equal(tn_node_lease_open(cell.nodes[0].node, "fast", "demo", &options, &lease), 0);
    await(&watched.opened, 1);
    struct tn_node_lease *next = want(&cell, 1, "demo", NULL);
    assert_int_equal(tn_node_lease_wait(next, CELL_PATIENCE_NS), 0);
    assert_int_equal(tn_node_lease_wait(lease, CELL_PATIENCE_NS), TN_ERROR_CLOSED);
    assert_int_equal(tn_node_lease_release(lease), TN_ERROR_CLOSED);
    assert_false(tn_node_lease_owned(lease, NULL, NULL));
    struct tn_lease_view view;
    assert_int_equal(tn_node_who(cell.nodes[0].node, "fast", "demo", &view), TN_ERROR_CLOSED);
    cell_end(&cell);
}

static void a_name_belongs_to_one_handle_and_bad_names_are_refused(void **state)
{
    (void)state;
    struct cell cell;
    cell_make(&cell, 3, "127.0.0.1");
    cell_start_all(&cell);
    struct tn_node *node = cell.nodes[0].node;
    struct tn_node_lease *lease = want(&cell, 0, "demo", NULL);
    struct tn_node_lease *other = lease;
    assert_int_equal(tn_node_lease_open(node, "fast", "demo", NULL, &other), TN_ERROR_BUSY);
    assert_null(other);
    assert_int_equal(tn_node_lease_open(node, "slow", "demo", NULL, &other), TN_ERROR_NOT_FOUND);
    assert_int_equal(tn_node_lease_open(node, "fast", "", NULL, &other), TN_ERROR_INVALID);
    char name[66];
    memset(name, 'x', sizeof(name));
    name[65] = '\0';
    assert_int_equal(tn_node_lease_open(node, "fast", name, NULL, &other), TN_ERROR_INVALID);
    name[64] = '\0';
    assert_int_equal(tn_node_lease_open(node, "fast", name, NULL, &other), 0);
    struct tn_node_lease_options options = {.priority = 16};
    struct tn_node_lease *third = NULL;
    assert_int_equal(tn_node_lease_open(node, "fast", "x", &options, &third), TN_ERROR_INVALID);
    assert_int_equal(tn_node_lease_wait(lease, CELL_PATIENCE_NS), 0);
    assert_int_equal(tn_node_lease_wait(other, CELL_PATIENCE_NS), 0);
    tn_node_lease_close(other);
    tn_node_lease_close(NULL);
    static struct tn_node_status status;
    cell_status(&cell, 0, &status);
    assert_int_equal(status.leases_count, 1);
    assert_int_equal(status.lease.owned_count, 1);
    cell_end(&cell);
}

static void a_thousand_names_share_frames(void **state)
{
    (void)state;
    struct cell cell;
    cell_make(&cell, 3, "127.0.0.1");
    cell_start_all(&cell);
    enum { NAMES = 1000 };
    static struct tn_node_lease *leases[NAMES];
    for (uint32_t i = 0; i < NAMES; i++) {
        char name[16];
        snprintf(name, sizeof(name), "name-%u", i);
        leases[i] = want(&cell, 0, name, NULL);
    }
    for (uint32_t i = 0; i < NAMES; i++) {
        assert_int_equal(tn_node_lease_wait(leases[i], CELL_PATIENCE_NS), 0);
    }
    static struct tn_node_status status;
    tn_time since = 0;
    do {
        cell_status(&cell, 0, &status);
    } while (status.lease_counters.renewals < 3 * NAMES && cell_patience(&since));
    assert_true(status.lease_counters.renewals >= 3 * NAMES);
    assert_true(status.counters.items_out > 4 * status.counters.frames_out);
    cell_end(&cell);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(P4_three_nodes_elect_one_owner_and_renew_it),
        cmocka_unit_test(P6_when_the_owner_closes_the_next_one_owns_with_a_larger_token),
        cmocka_unit_test(H1_a_hand_over_makes_the_named_member_the_owner),
        cmocka_unit_test(P6_after_a_release_nothing_is_owned_until_it_is_wanted_again),
        cmocka_unit_test(F4_a_diskless_cell_elects_and_offers_no_token),
        cmocka_unit_test(A_node_alone_works_with_no_options_but_a_directory),
        cmocka_unit_test(members_speak_over_ipv6),
        cmocka_unit_test(members_are_dialled_by_host_name),
        cmocka_unit_test(any_thread_may_ask_who_owns_while_tenures_come_and_go),
        cmocka_unit_test(a_callback_may_ask_release_and_close_and_may_not_wait),
        cmocka_unit_test(P6_a_stop_inside_a_callback_releases_and_the_next_owner_follows),
        cmocka_unit_test(a_name_belongs_to_one_handle_and_bad_names_are_refused),
        cmocka_unit_test(a_thousand_names_share_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
