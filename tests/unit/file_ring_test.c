/* Writes by the kernel's ring, over real files. Where the kernel offers none these are skipped, and
 * say so; node_store's other way, a thread, has its tests in group_test. */
#define _GNU_SOURCE
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include <tenure/error.h>

#include "os/file_posix.h"
#include "os/file_ring.h"
#include "support/temporary.h"

enum {
    BLOCK = 4096,
    WAIT_MS = 60000,
};

static char path[512];
static struct tn__files files;
static tn__file directory;
static struct tn__file_ring *ring;

static int set_up(void **state)
{
    (void)state;
    files = tn__file_posix();
    if (!test_temporary_folder(path, sizeof(path), "tenure-ring")) {
        return -1;
    }
    ring = NULL;
    return files.operations->open_directory(files.context, path, false, &directory);
}

static int tear_down(void **state)
{
    (void)state;
    (void)files.operations->unlink(files.context, directory, "log");
    files.operations->close(files.context, directory);
    return rmdir(path);
}

static tn__file open_log(uint32_t mode)
{
    tn__file file = TN_FILE_NONE;
    assert_int_equal(files.operations->open(files.context, directory, "log", mode, &file), TN_OK);
    return file;
}

static void open_ring(void)
{
    int error = tn__file_ring_open(&ring);
    if (error == TN_ERROR_INVALID) {
        print_message("this kernel offers no ring\n");
        skip();
    }
    assert_int_equal(error, TN_OK);
}

/* As the loop does: wait for the descriptor, then look. */
static int wait_for_end(void)
{
    int error = -1;
    for (uint32_t looks = 0; looks < 1000; looks++) {
        struct pollfd polled = {.fd = tn__file_ring_descriptor(ring), .events = POLLIN};
        assert_true(poll(&polled, 1, WAIT_MS) >= 0);
        if (tn__file_ring_end(ring, false, &error)) {
            return error;
        }
    }
    fail_msg("a write does not end");
    return error;
}

static void what_was_written_can_be_read_back(void **state)
{
    (void)state;
    open_ring();
    tn__file file = open_log(TN_FILE_READ | TN_FILE_WRITE | TN_FILE_CREATE);
    static uint8_t bytes[8 * BLOCK];
    static uint8_t back[8 * BLOCK];
    for (uint32_t i = 0; i < 8; i++) {
        memset(bytes + i * BLOCK, (int)('a' + i), BLOCK);
        assert_true(tn__file_ring_begin(ring, file, (uint64_t)i * BLOCK, bytes + i * BLOCK, BLOCK));
        assert_int_equal(wait_for_end(), TN_OK);
    }
    assert_int_equal(tn__file_read_all(&files, file, 0, back, sizeof(back)), TN_OK);
    assert_memory_equal(back, bytes, sizeof(bytes));
    files.operations->close(files.context, file);
    tn__file_ring_close(ring);
}

static void a_write_that_fails_says_so_and_the_next_one_may_succeed(void **state)
{
    (void)state;
    open_ring();
    static uint8_t bytes[BLOCK];
    tn__file file = open_log(TN_FILE_READ | TN_FILE_WRITE | TN_FILE_CREATE);
    tn__file closed = open_log(TN_FILE_READ);
    assert_true(tn__file_ring_begin(ring, closed, 0, bytes, BLOCK));
    assert_int_equal(wait_for_end(), TN_ERROR_IO); /* it was not opened for writing */
    assert_true(tn__file_ring_begin(ring, file, 0, bytes, BLOCK));
    assert_int_equal(wait_for_end(), TN_OK);
    files.operations->close(files.context, closed);
    files.operations->close(files.context, file);
    tn__file_ring_close(ring);
}

/* A limit of the file's size cuts the write in the middle; what is left then fails. */
static void D9_a_short_write_is_gone_on_with(void **state)
{
    (void)state;
    open_ring();
    tn__file file = open_log(TN_FILE_READ | TN_FILE_WRITE | TN_FILE_CREATE);
    static uint8_t bytes[2 * BLOCK];
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct rlimit limit = {.rlim_cur = 5000, .rlim_max = before.rlim_max};
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_true(tn__file_ring_begin(ring, file, 0, bytes, sizeof(bytes)));
    int error = wait_for_end();
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    (void)signal(SIGXFSZ, handler);
    assert_int_equal(error, TN_ERROR_IO);
    uint64_t size = 0;
    assert_int_equal(files.operations->size(files.context, file, &size), TN_OK);
    assert_int_equal(size, 5000);
    files.operations->close(files.context, file);
    tn__file_ring_close(ring);
}

/* A direct write reads the memory while it goes on: who is told that it is over may change that. */
static void closing_waits_for_the_write_under_way(void **state)
{
    (void)state;
    enum { BYTES = 8 << 20 };
    open_ring();
    uint8_t *bytes = aligned_alloc(BLOCK, BYTES);
    uint8_t *back = malloc(BYTES);
    assert_non_null(bytes);
    assert_non_null(back);
    memset(bytes, 'y', BYTES);
    tn__file file = open_log(TN_FILE_READ | TN_FILE_WRITE | TN_FILE_CREATE);
    assert_int_equal(tn__file_write_all(&files, file, 0, bytes, BYTES), TN_OK);
    assert_int_equal(files.operations->sync(files.context, file), TN_OK);
    tn__file direct = TN_FILE_NONE;
    uint32_t mode = TN_FILE_READ | TN_FILE_WRITE | TN_FILE_DIRECT;
    if (files.operations->open(files.context, directory, "log", mode, &direct) != TN_OK) {
        print_message("this file system does not write directly\n");
        skip();
    }
    memset(bytes, 'z', BYTES);
    assert_true(tn__file_ring_begin(ring, direct, 0, bytes, BYTES));
    tn__file_ring_close(ring);
    memset(bytes, '!', BYTES);
    files.operations->close(files.context, direct);
    assert_int_equal(tn__file_read_all(&files, file, 0, back, BYTES), TN_OK);
    memset(bytes, 'z', BYTES);
    assert_memory_equal(back, bytes, BYTES);
    files.operations->close(files.context, file);
    free(bytes);
    free(back);
    tn__file_ring_close(NULL); /* none */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_written_can_be_read_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_write_that_fails_says_so_and_the_next_one_may_succeed,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(D9_a_short_write_is_gone_on_with, set_up, tear_down),
        cmocka_unit_test_setup_teardown(closing_waits_for_the_write_under_way, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
