/* The real file operations, in a directory of their own, and the durable words over them. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <tenure/error.h>

#include "os/clock.h"
#include "os/entropy.h"
#include "os/file_posix.h"
#include "os/file_probe.h"
#include "os/memory.h"
#include "store/words.h"
#include "support/temporary.h"

static char path[512];
static struct tn__files files;
static const struct tn__file_operations *operations;
static tn__file directory;

/* Every test gets an empty directory. */
static int set_up(void **state)
{
    (void)state;
    files = tn__file_posix();
    operations = files.operations;
    if (!test_temporary_folder(path, sizeof(path), "tenure-files")) {
        return -1;
    }
    return operations->open_directory(files.context, path, false, &directory);
}

static bool remove_name(void *visitor, const char *name)
{
    (void)visitor;
    (void)operations->unlink(files.context, directory, name);
    return true;
}

static int tear_down(void **state)
{
    (void)state;
    (void)operations->list(files.context, directory, remove_name, NULL);
    operations->close(files.context, directory);
    return rmdir(path);
}

static bool stop_at_first(void *visitor, const char *name)
{
    (void)name;
    *(bool *)visitor = true;
    return false;
}

static tn__file open_file(const char *name, uint32_t mode)
{
    tn__file file = TN_FILE_NONE;
    assert_int_equal(operations->open(files.context, directory, name, mode, &file), TN_OK);
    assert_true(file >= 0);
    return file;
}

static void bytes_written_at_an_offset_are_read_there(void **state)
{
    (void)state;
    tn__file file = open_file("a", TN_FILE_READ | TN_FILE_WRITE | TN_FILE_CREATE);
    uint64_t size = 99;
    char bytes[6] = {0};
    assert_int_equal(operations->size(files.context, file, &size), TN_OK);
    assert_int_equal(size, 0);
    assert_int_equal(tn__file_write_all(&files, file, 3, "abc", 3), TN_OK);
    assert_int_equal(operations->sync(files.context, file), TN_OK);
    assert_int_equal(operations->sync_directory(files.context, directory), TN_OK);
    assert_int_equal(operations->size(files.context, file, &size), TN_OK);
    assert_int_equal(size, 6);
    assert_int_equal(tn__file_read_all(&files, file, 0, bytes, 6), TN_OK);
    assert_memory_equal(bytes, "\0\0\0abc", 6);
    assert_int_equal(tn__file_read_all(&files, file, 1, bytes, 6), TN_ERROR_DAMAGED);
    assert_int_equal(operations->truncate(files.context, file, 4), TN_OK);
    assert_int_equal(operations->size(files.context, file, &size), TN_OK);
    assert_int_equal(size, 4);
    operations->close(files.context, file);
}

static void an_offset_beyond_all_files_is_refused(void **state)
{
    (void)state;
    tn__file file = open_file("a", TN_FILE_READ | TN_FILE_WRITE | TN_FILE_CREATE);
    size_t done = 0;
    char byte = 0;
    assert_int_equal(operations->write(files.context, file, UINT64_MAX, &byte, 1, &done),
                     TN_ERROR_INVALID);
    assert_int_equal(operations->read(files.context, file, (uint64_t)INT64_MAX, &byte, 1, &done),
                     TN_ERROR_INVALID);
    assert_int_equal(operations->truncate(files.context, file, UINT64_MAX), TN_ERROR_INVALID);
    operations->close(files.context, file);
}

static void names_are_made_moved_and_removed(void **state)
{
    (void)state;
    tn__file file = TN_FILE_NONE;
    assert_int_equal(operations->open(files.context, directory, "b", TN_FILE_READ, &file),
                     TN_ERROR_NOT_FOUND);
    uint32_t exclusive = TN_FILE_WRITE | TN_FILE_CREATE | TN_FILE_EXCLUSIVE;
    operations->close(files.context, open_file("a", exclusive));
    assert_int_equal(operations->open(files.context, directory, "a", exclusive, &file),
                     TN_ERROR_IO);
    assert_int_equal(operations->rename(files.context, directory, "a", "b"), TN_OK);
    assert_int_equal(operations->rename(files.context, directory, "a", "b"), TN_ERROR_NOT_FOUND);
    operations->close(files.context, open_file("b", TN_FILE_READ));
    assert_int_equal(operations->unlink(files.context, directory, "b"), TN_OK);
    assert_int_equal(operations->unlink(files.context, directory, "b"), TN_ERROR_NOT_FOUND);
}

static bool count_name(void *visitor, const char *name)
{
    uint32_t *count = visitor;
    assert_true(name[0] == 'a' || name[0] == 'b');
    (*count)++;
    return true;
}

static void a_directory_lists_its_names_as_often_as_asked(void **state)
{
    (void)state;
    operations->close(files.context, open_file("a", TN_FILE_WRITE | TN_FILE_CREATE));
    operations->close(files.context, open_file("b", TN_FILE_WRITE | TN_FILE_CREATE));
    for (uint32_t round = 0; round < 2; round++) {
        uint32_t count = 0;
        assert_int_equal(operations->list(files.context, directory, count_name, &count), TN_OK);
        assert_int_equal(count, 2);
    }
}

static void a_directory_is_made_only_when_asked_and_only_one_level(void **state)
{
    (void)state;
    char below[600];
    tn__file made = TN_FILE_NONE;
    snprintf(below, sizeof(below), "%s/x", path);
    assert_int_equal(operations->open_directory(files.context, below, false, &made),
                     TN_ERROR_NOT_FOUND);
    assert_int_equal(operations->open_directory(files.context, below, true, &made), TN_OK);
    operations->close(files.context, made);
    struct stat status;
    assert_int_equal(stat(below, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
    assert_int_equal(operations->open_directory(files.context, below, true, &made), TN_OK);
    operations->close(files.context, made);
    assert_int_equal(rmdir(below), 0);
    snprintf(below, sizeof(below), "%s/x/y", path);
    assert_int_equal(operations->open_directory(files.context, below, true, &made),
                     TN_ERROR_NOT_FOUND);
}

static void a_link_or_a_directory_is_not_taken_for_a_file(void **state)
{
    (void)state;
    char name[600];
    snprintf(name, sizeof(name), "%s/link", path);
    assert_int_equal(symlink("nowhere", name), 0);
    tn__file file = TN_FILE_NONE;
    assert_int_equal(operations->open(files.context, directory, "link", TN_FILE_READ, &file),
                     TN_ERROR_IO);
    snprintf(name, sizeof(name), "%s/below", path);
    assert_int_equal(mkdir(name, 0700), 0);
    file = open_file("below", TN_FILE_READ);
    uint64_t size = 0;
    assert_int_equal(operations->size(files.context, file, &size), TN_ERROR_IO);
    operations->close(files.context, file);
    assert_int_equal(rmdir(name), 0);
}

/* What another process finds when it tries the lock: its exit status. */
static int try_lock_elsewhere(void)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        tn__file file = TN_FILE_NONE;
        int error = operations->open(files.context, directory, "lock", TN_FILE_WRITE, &file);
        error = error == TN_OK ? operations->lock(files.context, file) : error;
        _exit(-error);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return -WEXITSTATUS(status);
}

static void a_lock_keeps_other_processes_out_until_it_is_closed(void **state)
{
    (void)state;
    tn__file file = open_file("lock", TN_FILE_READ | TN_FILE_WRITE | TN_FILE_CREATE);
    assert_int_equal(try_lock_elsewhere(), TN_OK);
    assert_int_equal(operations->lock(files.context, file), TN_OK);
    assert_int_equal(try_lock_elsewhere(), TN_ERROR_LOCKED);
    operations->close(files.context, file);
    assert_int_equal(try_lock_elsewhere(), TN_OK);
}

static void F1_words_survive_on_a_real_file_system(void **state)
{
    (void)state;
    char why[512] = "";
    struct tn__words words;
    struct tn__words_options options = {
        .files = files,
        .path = path,
        .cluster_id = "real cluster 000",
        .node = 1,
        .configuration = 1,
        .bootstrap = true,
        .disk_id = "disk id drawn #1",
    };
    for (uint32_t start = 1; start <= 5; start++) {
        if (tn__words_open(&words, &options, why, sizeof(why)) != TN_OK) {
            fail_msg("%s", why);
        }
        assert_int_equal(words.restart_word >> 32, start);
        assert_int_equal(words.ceiling, (start - 1) * 10);
        assert_false(words.repaired);
        struct tn__words second;
        assert_int_equal(tn__words_open(&second, &options, why, sizeof(why)), TN_ERROR_LOCKED);
        struct tn_record record = {.ceiling = start * 10, .configuration = 1};
        assert_int_equal(tn__words_write(&words, &record), TN_OK);
        tn__words_close(&words);
    }
    assert_int_equal(operations->unlink(files.context, directory, "words.1"), TN_OK);
    assert_int_equal(tn__words_open(&words, &options, why, sizeof(why)), TN_OK);
    assert_true(words.repaired);
    assert_int_equal(words.ceiling, 50);
    tn__words_close(&words);
}

static void space_is_reserved_and_data_synced(void **state)
{
    (void)state;
    tn__file file = open_file("a", TN_FILE_READ | TN_FILE_WRITE | TN_FILE_CREATE);
    uint64_t size = 0;
    char bytes[8];
    assert_int_equal(operations->allocate(files.context, file, 100000), TN_OK);
    assert_int_equal(operations->size(files.context, file, &size), TN_OK);
    assert_int_equal(size, 100000);
    assert_int_equal(operations->allocate(files.context, file, 5), TN_OK);
    assert_int_equal(operations->allocate(files.context, file, UINT64_MAX), TN_ERROR_INVALID);
    assert_int_equal(operations->size(files.context, file, &size), TN_OK);
    assert_int_equal(size, 100000);
    assert_int_equal(tn__file_write_all(&files, file, 50000, "abcdefgh", 8), TN_OK);
    assert_int_equal(operations->data_sync(files.context, file), TN_OK);
    assert_int_equal(tn__file_read_all(&files, file, 49998, bytes, 8), TN_OK);
    assert_memory_equal(bytes, "\0\0abcdef", 8);
    operations->close(files.context, file);
}

static void the_probe_tells_what_the_file_system_can_and_leaves_nothing(void **state)
{
    (void)state;
    struct tn__file_probe probe;
    assert_int_equal(tn__file_posix_probe(directory, &probe), TN_OK);
    assert_true(probe.data_sync_ns > 0);
    assert_true(!probe.choose_direct || probe.can_direct);
    bool used = false;
    assert_int_equal(operations->list(files.context, directory, stop_at_first, &used), TN_OK);
    assert_false(used);
    print_message("direct %d, alignment %u, %lld ns; by data_sync %lld ns\n", probe.can_direct,
                  probe.alignment_bytes, (long long)probe.direct_ns, (long long)probe.data_sync_ns);
    if (!probe.can_direct) {
        return;
    }
    uint32_t block = probe.alignment_bytes;
    uint8_t *bytes = tn__memory_resize(NULL, NULL, 2 * (size_t)block, true);
    assert_non_null(bytes);
    memset(bytes, 7, 2 * (size_t)block);
    tn__file file = open_file("a", TN_FILE_READ | TN_FILE_WRITE | TN_FILE_CREATE | TN_FILE_DIRECT);
    assert_int_equal(operations->allocate(files.context, file, 4 * (uint64_t)block), TN_OK);
    assert_int_equal(tn__file_write_all(&files, file, block, bytes, block), TN_OK);
    assert_int_equal(tn__file_write_all(&files, file, 7, bytes, block), TN_ERROR_IO);
    assert_int_equal(tn__file_read_all(&files, file, 0, bytes, 2 * (size_t)block), TN_OK);
    assert_int_equal(bytes[block - 1], 0);
    assert_int_equal(bytes[block], 7);
    operations->close(files.context, file);
    (void)tn__memory_resize(NULL, bytes, 0, true);
}

static void memory_keeps_its_bytes_and_its_alignment_as_it_grows(void **state)
{
    (void)state;
    for (uint32_t aligned = 0; aligned < 2; aligned++) {
        uint8_t *block = NULL;
        for (size_t bytes = 1; bytes < 100000; bytes = bytes * 3 + 1) {
            block = tn__memory_resize(NULL, block, bytes, aligned);
            assert_non_null(block);
            assert_true(!aligned || (uintptr_t)block % 4096 == 0);
            block[bytes - 1] = (uint8_t)bytes;
            assert_int_equal(block[0], 1);
            assert_true(bytes < 4 || block[3] == 4);
        }
        assert_null(tn__memory_resize(NULL, block, 0, aligned));
/* A sanitizer ends the process instead of refusing so much. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        assert_null(tn__memory_resize(NULL, NULL, SIZE_MAX / 2, aligned));
#endif
    }
}

static void clocks_never_go_back_and_one_counts_suspended_time(void **state)
{
    (void)state;
    tn_time before = tn__clock_now();
    for (uint32_t i = 0; i < 1000; i++) {
        tn_time now = tn__clock_now();
        tn_time awake = tn__clock_awake();
        assert_true(now >= before);
        assert_true(tn__clock_now() >= awake);
        before = now;
    }
    assert_true(tn__clock_suspended() <= tn__clock_now());
}

static void entropy_is_drawn_whole_and_differs(void **state)
{
    (void)state;
    uint8_t first[300] = {0};
    uint8_t second[300] = {0};
    assert_int_equal(tn__entropy_draw(first, sizeof(first)), TN_OK);
    assert_int_equal(tn__entropy_draw(second, sizeof(second)), TN_OK);
    assert_memory_not_equal(first, second, sizeof(first));
    assert_memory_not_equal(first + 268, second + 268, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bytes_written_at_an_offset_are_read_there, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_offset_beyond_all_files_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_are_made_moved_and_removed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_directory_lists_its_names_as_often_as_asked, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_directory_is_made_only_when_asked_and_only_one_level,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_link_or_a_directory_is_not_taken_for_a_file, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_lock_keeps_other_processes_out_until_it_is_closed, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(F1_words_survive_on_a_real_file_system, set_up, tear_down),
        cmocka_unit_test_setup_teardown(space_is_reserved_and_data_synced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_probe_tells_what_the_file_system_can_and_leaves_nothing,
                                        set_up, tear_down),
        cmocka_unit_test(memory_keeps_its_bytes_and_its_alignment_as_it_grows),
        cmocka_unit_test(clocks_never_go_back_and_one_counts_suspended_time),
        cmocka_unit_test(entropy_is_drawn_whole_and_differs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
