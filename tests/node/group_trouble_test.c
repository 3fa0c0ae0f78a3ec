/* Groups in trouble: bad values, machines that stand still, deadlines, stops with proposals under
 * way, disks that are full or fail, logs that are gone or damaged. Each has a clear error, and
 * nothing is reported as failed that may still be committed. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node/node_groups.h"
#include "os/clock.h"
#include "os/file_posix.h"
#include "support/group_cell.h"

static struct group_cell cell; /* too large for a stack */

static void make(uint32_t count)
{
    group_cell_make(&cell, count, TN_LOG_MODE_LEASED);
    group_cell_start_all(&cell);
}

static void await_state(uint32_t index, enum tn_log_state state, bool wanted)
{
    tn_time since = 0;
    struct tn_group_status status;
    do {
        assert_int_equal(tn_group_status(cell.groups[index], &status), 0);
    } while ((status.log.state == state) != wanted && cell_patience(&since));
    assert_int_equal(status.log.state == state, wanted);
}

/* ---- Refusals -------------------------------------------------------------------------------- */

static void what_cannot_be_proposed_is_refused_at_once(void **state)
{
    (void)state;
    make(1);
    struct tn_group *group = cell.groups[0];
    struct tn_propose_options options = {.machine = GROUP_MACHINE};
    static char large[TN_VALUE_BYTES_DEFAULT + 1];
    assert_int_equal(tn_group_propose(group, large, sizeof(large), &options, NULL, NULL, NULL),
                     TN_ERROR_TOO_LARGE);
    assert_int_equal(tn_group_propose(group, NULL, 1, &options, NULL, NULL, NULL),
                     TN_ERROR_INVALID);
    options.client = 5;
    assert_int_equal(tn_group_propose(group, "x", 1, &options, NULL, NULL, NULL), TN_ERROR_INVALID);
    options = (struct tn_propose_options){.machine = 8};
    assert_int_equal(tn_group_propose(group, "x", 1, &options, NULL, NULL, NULL),
                     TN_ERROR_NOT_FOUND);
    assert_int_equal(tn_group_propose_batch(group, NULL, 1, NULL, NULL, NULL), TN_ERROR_INVALID);
    assert_int_equal(tn_group_read(group, TN_READ_QUORUM, 0, NULL, NULL), TN_ERROR_INVALID);
    assert_int_equal(tn_group_value(group, 1000, large, 1, NULL, NULL), TN_ERROR_NOT_FOUND);
    assert_int_equal(group_cell_add(&cell, 0, 'a', 1), 1);
    group_cell_end(&cell);
}

static int never(void *data, const struct tn_execution *execution)
{
    (void)data;
    (void)execution;
    return TN_EXECUTED;
}

static void options_that_cannot_be_are_refused_with_a_reason(void **state)
{
    (void)state;
    make(1);
    struct tn_state_machine machines[2] = {{.id = 4, .execute = never},
                                           {.id = 4, .execute = never}};
    struct tn_state_machine reserved = {.id = TN_MACHINE_SYSTEM, .execute = never};
    const struct {
        struct tn_group_options options;
        int error;
    } rows[] = {
        {{.id = 3}, TN_ERROR_BUSY},
        {{.id = TN_GROUP_ID_MAX + 1}, TN_ERROR_INVALID},
        {{.id = 4, .mode = 3}, TN_ERROR_INVALID},
        {{.id = 4, .lease_table = "nowhere"}, TN_ERROR_NOT_FOUND},
        {{.id = 4, .machines = machines, .machines_count = 2}, TN_ERROR_INVALID},
        {{.id = 4, .machines = &reserved, .machines_count = 1}, TN_ERROR_INVALID},
        {{.id = 4, .machines_count = 1}, TN_ERROR_INVALID},
        {{.id = 4, .window_slots = 3}, TN_ERROR_INVALID},
        {{.id = 4, .value_bytes_max = 1ULL << 40}, TN_ERROR_INVALID},
        {{.id = 4, .batch_count = 5}, TN_ERROR_INVALID},
        {{.id = 4, .priority = 16}, TN_ERROR_INVALID},
        {{.id = 4, .quick = 2}, TN_ERROR_INVALID},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct tn_group *group = NULL;
        int error = tn_group_open(cell.cell.nodes[0].node, &rows[i].options, &group, cell.why,
                                  sizeof(cell.why));
        if (error != rows[i].error || group != NULL || cell.why[0] == '\0') {
            fail_msg("row %zu: %s: %s", i, tn_err_name(error), cell.why);
        }
    }
    assert_int_equal(group_cell_add(&cell, 0, 'a', 1), 1);
    group_cell_end(&cell);
}

static void a_diskless_node_refuses_groups(void **state)
{
    (void)state;
    group_cell_make(&cell, 1, TN_LOG_MODE_LEASED);
    cell.cell.nodes[0].options.data_dir = NULL;
    cell_start(&cell.cell, 0);
    struct tn_group_options options = {.id = 1};
    struct tn_group *group = NULL;
    assert_int_equal(
        tn_group_open(cell.cell.nodes[0].node, &options, &group, cell.why, sizeof(cell.why)),
        TN_ERROR_INVALID);
    assert_non_null(strstr(cell.why, "data directory"));
    cell_end(&cell.cell);
}

/* ---- Machines -------------------------------------------------------------------------------- */

static void a_waiting_call_inside_execute_is_refused_and_no_deadlock(void **state)
{
    (void)state;
    make(1);
    atomic_store(&cell.counters[0].tempted, true);
    assert_int_equal(group_cell_add(&cell, 0, 'a', 1), 1);
    assert_int_equal(atomic_load(&cell.counters[0].wait_result), TN_ERROR_WRONG_THREAD);
    group_cell_end(&cell);
}

static _Atomic int closed_with;

static void close_inside(void *data, const struct tn_proposal_result *result)
{
    (void)result;
    atomic_store(&closed_with, tn_group_close(data));
}

static void a_group_cannot_be_closed_from_its_callback(void **state)
{
    (void)state;
    make(1);
    atomic_store(&closed_with, 0);
    struct tn_propose_options options = {.machine = GROUP_MACHINE};
    assert_int_equal(
        tn_group_propose(cell.groups[0], "x", 1, &options, close_inside, cell.groups[0], NULL), 0);
    tn_time since = 0;
    while (atomic_load(&closed_with) == 0 && cell_patience(&since)) {
    }
    assert_int_equal(atomic_load(&closed_with), TN_ERROR_WRONG_THREAD);
    assert_int_equal(group_cell_add(&cell, 0, 'a', 1), 1);
    group_cell_end(&cell);
}

static void a_machine_that_asks_for_a_retry_stalls_visibly_and_alone(void **state)
{
    (void)state;
    make(3);
    (void)group_cell_add(&cell, 0, 'a', 1);
    atomic_store(&cell.counters[1].retries, 1000000);
    struct tn_propose_options options = {.timeout_ns = CELL_PATIENCE_NS};
    for (uint32_t i = 0; i < 50; i++) { /* the others go on, and the log of the stalled one too */
        assert_int_equal(group_cell_try(&cell, 0, 'a', 1, &options, NULL), 0);
    }
    tn_time since = 0;
    struct tn_group_status status;
    do {
        assert_int_equal(tn_group_status(cell.groups[1], &status), 0);
    } while ((status.stalled == 0 || status.log.committed < 50) && cell_patience(&since));
    assert_int_equal(status.stalled, 1);
    assert_true(status.log.committed >= 50);
    assert_true(status.retries > 0);
    assert_true(status.executed < status.log.committed);
    options.timeout_ns = 300 * TN_MILLISECOND; /* committed, not executed here: nobody can say */
    assert_int_equal(group_cell_try(&cell, 1, 'a', 1, &options, NULL), TN_ERROR_UNKNOWN);
    struct tn_read_result read;
    assert_int_equal(
        tn_group_read_wait(cell.groups[1], TN_READ_QUORUM, 300 * TN_MILLISECOND, &read),
        TN_ERROR_TIMEOUT);
    atomic_store(&cell.counters[1].retries, 0);
    group_cell_await_equal(&cell, 51);
    assert_int_equal(tn_group_status(cell.groups[1], &status), 0);
    assert_int_equal(status.stalled, 0);
    assert_true(status.unknowns >= 1);
    group_cell_end(&cell);
}

static void P8_what_a_stalled_machine_missed_is_read_back_from_the_store(void **state)
{
    (void)state;
    make(3);
    (void)group_cell_add(&cell, 0, 'a', 1);
    group_cell_await_equal(&cell, 1);
    atomic_store(&cell.counters[1].retries, 1000000);
    static char value[64] = "add m 1";
    struct tn_propose_options options = {.machine = GROUP_MACHINE, .timeout_ns = CELL_PATIENCE_NS};
    struct tn_propose_value values[500];
    for (uint32_t i = 0; i < 500; i++) {
        values[i] = (struct tn_propose_value){.bytes = value, .count = sizeof(value)};
    }
    for (uint32_t i = 0; i < 20; i++) { /* more than the queue of the applier takes */
        tn_time since = 0;
        while (tn_group_propose_batch(cell.groups[0], values, 500, &options, NULL, NULL) ==
               TN_ERROR_BUSY) {
            assert_true(cell_patience(&since));
        }
    }
    struct tn_group_status status;
    tn_time since = 0;
    do {
        assert_int_equal(tn_group_status(cell.groups[1], &status), 0);
    } while (status.log.committed < 2 * TN_APPLY_ENTRIES_MAX && cell_patience(&since));
    assert_int_equal(status.stalled, 1);
    atomic_store(&cell.counters[1].retries, 0);
    group_cell_await_equal(&cell, 10001);
    assert_int_equal(group_cell_add(&cell, 1, 'm', 1), 10001);
    group_cell_await_equal(&cell, 10002);
    group_cell_end(&cell);
}

/* ---- Deadlines, cancels, stops --------------------------------------------------------------- */

struct ends {
    _Atomic uint32_t count;
    _Atomic uint32_t final;
    _Atomic uint32_t unknown;
    _Atomic uint32_t committed;
    _Atomic int last;
};

static void on_end(void *data, const struct tn_proposal_result *result)
{
    struct ends *ends = data;
    atomic_store(&ends->last, result->error);
    atomic_fetch_add(&ends->committed, result->error == 0 ? 1 : 0);
    atomic_fetch_add(&ends->unknown, result->error == TN_ERROR_UNKNOWN ? 1 : 0);
    atomic_fetch_add(&ends->final, tn_proposal_error_is_final(result->error) ? 1 : 0);
    atomic_fetch_add(&ends->count, 1);
}

static void await_ends(struct ends *ends, uint32_t count)
{
    tn_time since = 0;
    while (atomic_load(&ends->count) < count) {
        assert_true(cell_patience(&since));
    }
    assert_int_equal(atomic_load(&ends->count), count);
}

static void N4_without_a_leader_a_call_ends_as_not_chosen(void **state)
{
    (void)state;
    group_cell_make(&cell, 3, TN_LOG_MODE_LEASED);
    group_cell_start(&cell, 0);
    struct tn_propose_options options = {.timeout_ns = 200 * TN_MILLISECOND};
    assert_int_equal(group_cell_try(&cell, 0, 'a', 1, &options, NULL), TN_ERROR_NO_QUORUM);
    assert_true(tn_proposal_error_is_final(TN_ERROR_NO_QUORUM));
    struct ends ends = {0};
    struct tn_proposal *proposal = NULL;
    options = (struct tn_propose_options){.machine = GROUP_MACHINE, .timeout_ns = TN_TIME_NEVER};
    assert_int_equal(tn_group_propose(cell.groups[0], "x", 1, &options, on_end, &ends, &proposal),
                     0);
    tn_proposal_cancel(proposal);
    tn_proposal_cancel(proposal);
    await_ends(&ends, 1);
    assert_int_equal(ends.last, TN_ERROR_CANCELLED);
    tn_proposal_cancel(proposal); /* after its end: nothing */
    tn_proposal_free(proposal);
    struct tn_read_result read;
    assert_int_equal(
        tn_group_read_wait(cell.groups[0], TN_READ_QUORUM, 100 * TN_MILLISECOND, &read),
        TN_ERROR_TIMEOUT);
    group_cell_start(&cell, 1);
    group_cell_start(&cell, 2);
    assert_int_equal(group_cell_add(&cell, 0, 'a', 1), 1); /* and it was not chosen */
    group_cell_await_equal(&cell, 1);
    assert_int_equal(atomic_load(&cell.counters[0].executed), 1);
    group_cell_end(&cell);
}

static uint32_t find_leader(void)
{
    tn_time since = 0;
    do {
        for (uint32_t i = 0; i < cell.cell.count; i++) {
            struct tn_group_status status;
            if (cell.groups[i] != NULL && tn_group_status(cell.groups[i], &status) == 0 &&
                status.log.ready) {
                return i;
            }
        }
    } while (cell_patience(&since));
    fail_msg("nobody leads");
    return 0;
}

static void N4_a_leader_without_a_majority_cannot_say_what_becomes_of_a_call(void **state)
{
    (void)state;
    make(3);
    (void)group_cell_add(&cell, 0, 'a', 1);
    uint32_t leader = find_leader();
    for (uint32_t i = 0; i < 3; i++) {
        if (i != leader) {
            group_cell_stop(&cell, i);
        }
    }
    struct tn_propose_options options = {.timeout_ns = 100 * TN_MILLISECOND};
    int error = group_cell_try(&cell, leader, 'a', 1, &options, NULL);
    /* Proposed while the lease lasted, or not any more. */
    assert_true(error == TN_ERROR_UNKNOWN || error == TN_ERROR_NO_QUORUM);
    group_cell_end(&cell);
}

static void a_stop_with_proposals_under_way_ends_each_once(void **state)
{
    (void)state;
    make(3);
    (void)group_cell_add(&cell, 0, 'a', 1);
    struct tn_propose_options options = {.machine = GROUP_MACHINE};
    for (uint32_t round = 0; round < 3; round++) {
        struct ends ends = {0};
        uint32_t proposed = 0;
        for (uint32_t i = 0; i < 3000; i++) {
            if (tn_group_propose(cell.groups[round], "add s 1", 7, &options, on_end, &ends, NULL) ==
                0) {
                proposed += 1;
            }
        }
        tn_time since = 0;
        while (atomic_load(&ends.count) < 100 && cell_patience(&since)) {
        }
        if (round == 1) { /* the node is told to stop, in the midst of it */
            tn_node_stop(cell.cell.nodes[round].node);
        }
        group_cell_stop(&cell, round);
        assert_int_equal(atomic_load(&ends.count), proposed);
        assert_int_equal(ends.final + ends.unknown + ends.committed, proposed);
        print_message("# %u committed, %u not chosen, %u unknown\n", ends.committed, ends.final,
                      ends.unknown);
        group_cell_start(&cell, round);
        (void)group_cell_add(&cell, round, 'a', 1);
        assert_true(atomic_load(&cell.counters[round].sums['s' - 'a']) >= ends.committed);
    }
    group_cell_await_equal(&cell, 4);
    group_cell_end(&cell);
}

/* ---- Disks ----------------------------------------------------------------------------------- */

/* File operations of one node that fail on demand, over the real ones. */
static struct tn__file_operations faulty;
static const struct tn__file_operations *real;
static _Atomic int write_error;
static _Atomic int allocate_error;
static _Atomic int sync_error;

static int faulty_write(void *context, tn__file file, uint64_t offset, const void *bytes,
                        size_t length, size_t *done)
{
    int error = atomic_load(&write_error);
    return error != 0 ? error : real->write(context, file, offset, bytes, length, done);
}

static int faulty_allocate(void *context, tn__file file, uint64_t bytes)
{
    int error = atomic_load(&allocate_error);
    return error != 0 ? error : real->allocate(context, file, bytes);
}

static int faulty_sync(void *context, tn__file file)
{
    int error = atomic_load(&sync_error);
    return error != 0 ? error : real->sync(context, file);
}

static int faulty_data_sync(void *context, tn__file file)
{
    int error = atomic_load(&sync_error);
    return error != 0 ? error : real->data_sync(context, file);
}

/* Start a node whose log is written through the faulty table; its words are not. */
static void start_faulty(uint32_t index)
{
    atomic_store(&write_error, 0);
    atomic_store(&allocate_error, 0);
    atomic_store(&sync_error, 0);
    cell_start(&cell.cell, index);
    struct tn_node *node = cell.cell.nodes[index].node;
    struct tn__files *files = &node->words.words.files;
    struct tn__files sound = *files;
    real = sound.operations;
    faulty = *real;
    faulty.write = faulty_write;
    faulty.allocate = faulty_allocate;
    faulty.sync = faulty_sync;
    faulty.data_sync = faulty_data_sync;
    pthread_mutex_lock(&node->words.writing);
    files->operations = &faulty; /* for what is opened from now on: the log */
    pthread_mutex_unlock(&node->words.writing);
    group_cell_open(&cell, index);
    pthread_mutex_lock(&node->words.writing);
    *files = sound;
    pthread_mutex_unlock(&node->words.writing);
}

static void W4_a_full_disk_stops_one_member_until_there_is_space(void **state)
{
    (void)state;
    group_cell_make(&cell, 3, TN_LOG_MODE_LEASED);
    start_faulty(2); /* it leads, or does not: the others have space */
    group_cell_start(&cell, 0);
    group_cell_start(&cell, 1);
    uint64_t sum = group_cell_add(&cell, 0, 'd', 1);
    print_message("# member %u leads\n", find_leader());
    /* The space ends when the next segment is to be made: so write more than one. */
    static char block[64 << 10];
    memset(block, 'x', sizeof(block));
    struct tn_propose_options options = {.machine = GROUP_MACHINE, .timeout_ns = CELL_PATIENCE_NS};
    atomic_store(&allocate_error, TN_ERROR_DISK_FULL);
    tn_time since = 0;
    while (cell_count_log(&cell.cell, 2, "no space left for the log") == 0) {
        assert_true(cell_patience(&since));
        int error =
            tn_group_propose_wait(cell.groups[0], block, sizeof(block), &options, NULL, 0, NULL);
        assert_true(error == 0 || error == TN_ERROR_UNKNOWN || error == TN_ERROR_DISK_FULL);
    }
    sum = group_cell_add(&cell, 0, 'd', 1); /* the other two go on */
    assert_int_equal(sum, 2);
    atomic_store(&allocate_error, 0);
    cell_await_log(&cell.cell, 2, "there is space for the log again");
    assert_int_equal(group_cell_add(&cell, 2, 'd', 1), 3);
    group_cell_await_equal(&cell, 3);
    group_cell_end(&cell);
}

static void W2_a_failing_sync_is_final_and_the_others_go_on(void **state)
{
    (void)state;
    group_cell_make(&cell, 3, TN_LOG_MODE_LEASED);
    group_cell_start(&cell, 0);
    group_cell_start(&cell, 1);
    start_faulty(2);
    assert_int_equal(group_cell_add(&cell, 2, 'f', 1), 1);
    group_cell_await_equal(&cell, 1);
    atomic_store(&sync_error, TN_ERROR_IO);
    atomic_store(&write_error, TN_ERROR_IO);
    struct tn_propose_options options = {.timeout_ns = 500 * TN_MILLISECOND};
    int error = group_cell_try(&cell, 2, 'f', 1, &options, NULL);
    assert_int_not_equal(error, TN_ERROR_CANCELLED);
    uint64_t sum = group_cell_add(&cell, 0, 'f', 1);
    cell_await_log(&cell.cell, 2, "the log could not be written");
    await_state(2, TN_LOG_STATE_STOPPED, true);
    atomic_store(&sync_error, 0); /* space or sound again: it stays stopped in this process */
    atomic_store(&write_error, 0);
    error = group_cell_try(&cell, 2, 'f', 1, &options, NULL);
    assert_int_equal(error, TN_ERROR_IO);
    assert_true(tn_proposal_error_is_final(error));
    group_cell_stop(&cell, 2);
    group_cell_start(&cell, 2); /* a new process on a sound disk takes part again */
    assert_int_equal(group_cell_add(&cell, 2, 'f', 1), sum + 1);
    group_cell_await_equal(&cell, sum + 1);
    group_cell_end(&cell);
}

/* Make what a node has open of its log a file that cannot be written. */
static void break_open_segments(uint32_t index)
{
    uint32_t broken = 0;
    int useless = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(useless >= 0);
    for (int file = 3; file < 1024; file++) {
        char link[64];
        char name[512];
        snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
        ssize_t length = readlink(link, name, sizeof(name) - 1);
        name[length > 0 ? length : 0] = '\0';
        if (strncmp(name, cell.cell.nodes[index].data_dir,
                    strlen(cell.cell.nodes[index].data_dir)) == 0 &&
            length > 4 && strcmp(name + length - 4, ".wal") == 0) {
            assert_int_equal(dup2(useless, file), file);
            broken += 1;
        }
    }
    close(useless);
    assert_true(broken > 0);
}

/* Without the table of operations between: by the ring where the kernel has one, else not. */
static void W2_a_log_that_cannot_be_written_any_more_is_final_too(void **state)
{
    (void)state;
    group_cell_make(&cell, 3, TN_LOG_MODE_LEASED);
    cell.cell.nodes[2].options.log_by_thread = 0;
    group_cell_start_all(&cell);
    assert_int_equal(group_cell_add(&cell, 2, 'f', 1), 1);
    group_cell_await_equal(&cell, 1);
    print_message("# %s\n",
                  cell.groups[2]->groups->store.ring != NULL ? "by the ring" : "by a thread");
    break_open_segments(2);
    uint64_t sum = group_cell_add(&cell, 0, 'f', 1);
    cell_await_log(&cell.cell, 2, "the log could not be written");
    await_state(2, TN_LOG_STATE_STOPPED, true);
    struct tn_propose_options options = {.timeout_ns = 500 * TN_MILLISECOND};
    assert_int_equal(group_cell_try(&cell, 2, 'f', 1, &options, NULL), TN_ERROR_IO);
    group_cell_stop(&cell, 2);
    group_cell_start(&cell, 2);
    assert_int_equal(group_cell_add(&cell, 2, 'f', 1), sum + 1);
    group_cell_await_equal(&cell, sum + 1);
    group_cell_end(&cell);
}

/* Do something to each segment of a stopped node's log; returns how many there are. */
static uint32_t with_segments(uint32_t index, void (*act)(const char *path))
{
    uint32_t count = 0;
    DIR *directory = opendir(cell.cell.nodes[index].data_dir);
    assert_non_null(directory);
    for (const struct dirent *entry = readdir(directory); entry != NULL;
         entry = readdir(directory)) {
        size_t length = strlen(entry->d_name);
        if (length > 4 && strcmp(entry->d_name + length - 4, ".wal") == 0) {
            char path[512];
            snprintf(path, sizeof(path), "%s/%.255s", cell.cell.nodes[index].data_dir,
                     entry->d_name);
            act(path);
            count += 1;
        }
    }
    closedir(directory);
    return count;
}

static void remove_file(const char *path)
{
    assert_int_equal(unlink(path), 0);
}

/* Change a byte well inside of what was vouched for. */
static void damage_file(const char *path)
{
    int file = open(path, O_RDWR | O_CLOEXEC);
    assert_true(file >= 0);
    for (off_t at = 8192; at < 24576; at += 512) {
        char byte = 0;
        if (pread(file, &byte, 1, at) == 1) {
            byte = (char)(byte ^ 0x40);
            assert_int_equal(pwrite(file, &byte, 1, at), 1);
        }
    }
    close(file);
}

/* V4: nobody knows what it had promised. */
static void V4_a_member_whose_log_is_gone_learns_and_votes_no_more(void **state)
{
    (void)state;
    make(3);
    for (uint32_t i = 0; i < 100; i++) {
        (void)group_cell_add(&cell, 0, 'w', 1);
    }
    group_cell_await_equal(&cell, 100);
    for (uint32_t round = 1; round <= 2; round++) { /* nor after another start */
        group_cell_stop(&cell, 2);
        if (round == 1) {
            assert_true(with_segments(2, remove_file) >= 1);
        }
        group_cell_start(&cell, 2);
        assert_int_equal(group_cell_add(&cell, 0, 'w', 1), 99 + 2 * round);
        assert_int_equal(group_cell_add(&cell, 2, 'w', 1), 100 + 2 * round);
        group_cell_await_equal(&cell, 100 + 2 * round);
        struct tn_group_status status;
        assert_int_equal(tn_group_status(cell.groups[2], &status), 0);
        assert_int_equal(status.log.state, TN_LOG_STATE_DAMAGED);
    }
    assert_true(cell_count_log(&cell.cell, 2, "the log is damaged") >= 1);
    group_cell_end(&cell);
}

static void W3_a_damaged_log_votes_again_once_all_is_fetched(void **state)
{
    (void)state;
    make(3);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < 100; i++) {
        sum = group_cell_add(&cell, 0, 'w', 1);
    }
    group_cell_await_equal(&cell, 100);
    group_cell_stop(&cell, 2);
    assert_true(with_segments(2, damage_file) >= 1);
    group_cell_start(&cell, 2);
    cell_await_log(&cell.cell, 2, "the log is damaged");
    struct tn_group_status status;
    assert_int_equal(tn_group_status(cell.groups[2], &status), 0);
    print_message("# state %u, committed %llu\n", status.log.state,
                  (unsigned long long)status.log.committed);
    sum = group_cell_add(&cell, 0, 'w', 1);
    await_state(2, TN_LOG_STATE_DAMAGED, false); /* it has fetched all that it may have held */
    assert_int_equal(group_cell_add(&cell, 2, 'w', 1), sum + 1);
    group_cell_await_equal(&cell, 102);
    atomic_store(&cell.cell.nodes[2].node->groups->store.heal_at, 0); /* ten minutes later */
    cell_await_log(&cell.cell, 2, "it counts as whole again");
    group_cell_stop(&cell, 2);
    group_cell_start(&cell, 2);
    assert_int_equal(group_cell_add(&cell, 2, 'w', 1), sum + 2);
    group_cell_await_equal(&cell, 103);
    assert_int_equal(cell_count_log(&cell.cell, 2, "the log is damaged"), 1);
    group_cell_end(&cell);
}

static void a_log_of_another_directory_is_refused(void **state)
{
    (void)state;
    make(3);
    (void)group_cell_add(&cell, 0, 'x', 1);
    group_cell_await_equal(&cell, 1);
    group_cell_stop(&cell, 1);
    group_cell_stop(&cell, 2);
    char command[1024];
    snprintf(command, sizeof(command), "cp '%s'/*.wal '%s'/", cell.cell.nodes[1].data_dir,
             cell.cell.nodes[2].data_dir);
    assert_int_equal(system(command), 0);
    cell_start(&cell.cell, 2);
    struct tn_group_options options = {.id = 3};
    int error = tn_group_open(cell.cell.nodes[2].node, &options, &cell.groups[2], cell.why,
                              sizeof(cell.why));
    assert_int_equal(error, TN_ERROR_NOT_EMPTY);
    assert_null(cell.groups[2]);
    print_message("# %s\n", cell.why);
    cell_start(&cell.cell, 1);
    group_cell_end(&cell);
}

static void a_member_without_the_group_is_no_trouble_to_the_others(void **state)
{
    (void)state;
    group_cell_make(&cell, 3, TN_LOG_MODE_LEASED);
    group_cell_start(&cell, 0);
    group_cell_start(&cell, 1);
    cell_start(&cell.cell, 2);
    for (uint32_t i = 1; i <= 20; i++) {
        assert_int_equal(group_cell_add(&cell, i % 2, 'u', 1), i);
    }
    static struct tn_node_status status;
    cell_status(&cell.cell, 2, &status);
    assert_true(status.counters.log_messages_stray > 0);
    group_cell_end(&cell);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_proposed_is_refused_at_once),
        cmocka_unit_test(options_that_cannot_be_are_refused_with_a_reason),
        cmocka_unit_test(a_diskless_node_refuses_groups),
        cmocka_unit_test(a_waiting_call_inside_execute_is_refused_and_no_deadlock),
        cmocka_unit_test(a_group_cannot_be_closed_from_its_callback),
        cmocka_unit_test(a_machine_that_asks_for_a_retry_stalls_visibly_and_alone),
        cmocka_unit_test(P8_what_a_stalled_machine_missed_is_read_back_from_the_store),
        cmocka_unit_test(N4_without_a_leader_a_call_ends_as_not_chosen),
        cmocka_unit_test(N4_a_leader_without_a_majority_cannot_say_what_becomes_of_a_call),
        cmocka_unit_test(a_stop_with_proposals_under_way_ends_each_once),
        cmocka_unit_test(W4_a_full_disk_stops_one_member_until_there_is_space),
        cmocka_unit_test(W2_a_failing_sync_is_final_and_the_others_go_on),
        cmocka_unit_test(W2_a_log_that_cannot_be_written_any_more_is_final_too),
        cmocka_unit_test(V4_a_member_whose_log_is_gone_learns_and_votes_no_more),
        cmocka_unit_test(W3_a_damaged_log_votes_again_once_all_is_fetched),
        cmocka_unit_test(a_log_of_another_directory_is_refused),
        cmocka_unit_test(a_member_without_the_group_is_no_trouble_to_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
