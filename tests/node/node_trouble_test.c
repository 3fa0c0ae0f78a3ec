/* Trouble at home: a disk that does not take the words, a loop that stood still, a call too many.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "node/node_internal.h"
#include "support/node_cell.h"

static void (*plain_log)(enum tn_log_level level, const char *text, void *data);

static void file_bytes_allowed(rlim_t bytes)
{
    struct rlimit limit = {.rlim_cur = bytes, .rlim_max = RLIM_INFINITY};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* The words are open now, and no record was written yet. */
static void forbid_writes_once_open(enum tn_log_level level, const char *text, void *data)
{
    plain_log(level, text, data);
    if (strstr(text, "is new") != NULL) {
        file_bytes_allowed(0);
    }
}

static void F4_a_disk_that_takes_no_words_is_told_and_mended_by_a_later_write(void **state)
{
    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    struct cell cell;
    cell_make(&cell, 1, "127.0.0.1");
    plain_log = cell.nodes[0].options.on_log;
    cell.nodes[0].options.on_log = forbid_writes_once_open;
    cell_start(&cell, 0);
    struct tn_node_lease *lease = NULL;
    assert_int_equal(tn_node_lease_open(cell.nodes[0].node, "fast", "demo", NULL, &lease), 0);
    cell_await_log(&cell, 0, "could not be written");
    assert_int_equal(tn_node_lease_wait(lease, 3 * CELL_PROPOSER_NS), TN_ERROR_TIMEOUT);
    file_bytes_allowed(RLIM_INFINITY);
    assert_int_equal(tn_node_lease_wait(lease, CELL_PATIENCE_NS), 0);
    static struct tn_node_status status;
    cell_status(&cell, 0, &status);
    assert_true(status.counters.write_failures > 0);
    assert_true(status.counters.writes > 0);
    assert_true(status.lease.ceiling > 0);
    cell_end(&cell);
}

struct stood {
    struct tn_node *node;
    _Atomic uint32_t renewed;
    _Atomic uint32_t lost;
    _Atomic bool stand;
};

static void stand_still(struct tn_node_lease *lease, const struct tn_notice *notice, void *data)
{
    (void)lease;
    struct stood *stood = data;
    if (notice->kind == TN_NOTICE_RENEWED) {
        stood->renewed += 1;
        if (atomic_exchange(&stood->stand, false)) {
            struct timespec longer = {.tv_sec = 2, .tv_nsec = 300000000};
            nanosleep(&longer, NULL);
        }
    } else if (notice->kind == TN_NOTICE_LOST) {
        stood->lost += 1;
    }
}

static void await(_Atomic uint32_t *count, uint32_t least)
{
    tn_time since = 0;
    while (atomic_load(count) < least) {
        assert_true(cell_patience(&since));
    }
}

static void stand_still_in_a_cell_of(uint32_t count)
{
    struct cell cell;
    cell_make(&cell, count, "127.0.0.1");
    cell_start_all(&cell);
    struct stood stood = {.node = cell.nodes[0].node};
    struct tn_node_lease_options options = {.on_change = stand_still, .data = &stood};
    struct tn_node_lease *lease = NULL;
    assert_int_equal(tn_node_lease_open(stood.node, "fast", "demo", &options, &lease), 0);
    await(&stood.renewed, 2);
    atomic_store(&stood.stand, true);
    await(&stood.lost, 1);
    cell_await_log(&cell, 0, "this process stood still for");
    assert_int_equal(tn_node_lease_wait(lease, CELL_PATIENCE_NS), 0);
    static struct tn_node_status status;
    cell_status(&cell, 0, &status);
    assert_true(status.counters.suspends > 0);
    cell_end(&cell);
}

static void a_loop_that_stood_still_treats_its_leases_as_lost_and_wins_them_again(void **state)
{
    (void)state;
    stand_still_in_a_cell_of(3); /* in a turn that a frame began: the timer comes late */
    stand_still_in_a_cell_of(1); /* in the timer's own turn: only its length shows it */
}

static void a_suspend_ends_ownership_for_every_thread_before_the_loop_has_seen_it(void **state)
{
    (void)state;
    struct cell cell;
    cell_make(&cell, 1, "127.0.0.1");
    cell_start(&cell, 0);
    struct tn_node *node = cell.nodes[0].node;
    struct tn_node_lease *lease = NULL;
    assert_int_equal(tn_node_lease_open(node, "fast", "demo", NULL, &lease), 0);
    assert_int_equal(tn_node_lease_wait(lease, CELL_PATIENCE_NS), 0);
    /* The node believes that the machine was suspended less than it was: what it sees right after a
     * suspend. The loop may notice at any time; then the lease is lost and won again. */
    atomic_fetch_sub(&node->suspended_ns, TN_SECOND);
    bool owned = tn_node_lease_owned(lease, NULL, NULL);
    assert_true(!owned || cell_count_log(&cell, 0, "this machine was suspended for") > 0);
    cell_await_log(&cell, 0, "this machine was suspended for");
    assert_int_equal(tn_node_lease_wait(lease, CELL_PATIENCE_NS), 0);
    cell_end(&cell);
}

struct blocker {
    _Atomic bool inside;
    _Atomic bool go_on;
};

static int block(struct tn_node *node, void *argument)
{
    (void)node;
    struct blocker *blocker = argument;
    atomic_store(&blocker->inside, true);
    while (!atomic_load(&blocker->go_on)) {
        struct timespec moment = {.tv_nsec = 1000000};
        nanosleep(&moment, NULL);
    }
    return 7;
}

struct caller {
    struct tn_node *node;
    struct blocker *blocker;
    int result;
};

static void *call_block(void *argument)
{
    struct caller *caller = argument;
    caller->result = tn__node_call(caller->node, block, caller->blocker, false);
    return NULL;
}

static void *call_status(void *argument)
{
    struct caller *caller = argument;
    struct tn_lease_view view;
    caller->result = tn_node_who(caller->node, "fast", "demo", &view);
    return NULL;
}

static void calls_beyond_the_limit_are_refused_and_those_before_it_answered(void **state)
{
    (void)state;
    struct cell cell;
    cell_make(&cell, 1, "127.0.0.1");
    cell_start(&cell, 0);
    struct blocker blocker = {0};
    enum { MANY = 8 };
    struct caller callers[MANY + 1];
    pthread_t threads[MANY + 1];
    struct tn_node *node = cell.nodes[0].node;
    callers[0] = (struct caller){.node = node, .blocker = &blocker};
    assert_int_equal(pthread_create(&threads[0], NULL, call_block, &callers[0]), 0);
    tn_time since = 0;
    while (!atomic_load(&blocker.inside)) {
        assert_true(cell_patience(&since));
    }
    /* As if all but three places were taken. */
    pthread_mutex_lock(&node->calls.mutex);
    node->calls.count += TN_CALLS_MAX - 4;
    pthread_mutex_unlock(&node->calls.mutex);
    for (uint32_t i = 1; i <= MANY; i++) {
        callers[i] = (struct caller){.node = node, .result = 1};
        assert_int_equal(pthread_create(&threads[i], NULL, call_status, &callers[i]), 0);
    }
    uint64_t refused = 0;
    while (refused < MANY - 3 && cell_patience(&since)) {
        pthread_mutex_lock(&node->calls.mutex);
        refused = node->calls.refused;
        pthread_mutex_unlock(&node->calls.mutex);
    }
    atomic_store(&blocker.go_on, true);
    uint32_t busy = 0;
    uint32_t answered = 0;
    for (uint32_t i = 0; i <= MANY; i++) {
        pthread_join(threads[i], NULL);
        busy += callers[i].result == TN_ERROR_BUSY ? 1 : 0;
        answered += callers[i].result == TN_ERROR_NOT_FOUND ? 1 : 0;
    }
    assert_int_equal(callers[0].result, 7);
    assert_int_equal(busy, MANY - 3);
    assert_int_equal(answered, 3);
    cell_end(&cell);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(F4_a_disk_that_takes_no_words_is_told_and_mended_by_a_later_write),
        cmocka_unit_test(a_loop_that_stood_still_treats_its_leases_as_lost_and_wins_them_again),
        cmocka_unit_test(a_suspend_ends_ownership_for_every_thread_before_the_loop_has_seen_it),
        cmocka_unit_test(calls_beyond_the_limit_are_refused_and_those_before_it_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
