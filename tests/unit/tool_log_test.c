/* `tenure log` on real files: the program is run, and must change no byte. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/crc32c.h"
#include "os/file_posix.h"
#include "os/memory.h"
#include "store/wal.h"
#include "support/temporary.h"

static char path[512];
static struct tn__files files;
static tn__file directory;
static char output[1 << 20];
static char hello[] = "hello";

static const void *value_of(void *context, uint64_t handle)
{
    (void)handle;
    return context;
}

/* Three batches of group 7, slots 1 to 6, and one of group 9. */
static void write_log(void)
{
    struct tn__wal_options options = {
        .files = files,
        .directory = directory,
        .cluster_id = "cluster of three",
        .disk_id = "disk id drawn #1",
        .segment_bytes = 65536,
        .block_bytes = 4096,
        .allocate = tn__memory_resize,
    };
    struct tn__wal_visitor visitor = {0};
    struct tn__wal_report report;
    struct tn__wal *wal;
    struct tn__wal_batch *batch;
    char why[256];
    assert_int_equal(tn__wal_open(&wal, &options, &visitor, &report, why, sizeof(why)), TN_OK);
    assert_int_equal(tn__wal_batch_new(wal, &batch), TN_OK);
    for (uint32_t i = 0; i < 4; i++) {
        struct tn_log_ballot ballot = {.attempt = i + 1, .node = 2, .mode_number = 1};
        struct tn_log_entry entries[2] = {
            {.slot = 2 * i + 1,
             .ballot = ballot,
             .value = {.kind = TN_LOG_VALUE_PAYLOAD, .handle = 1, .bytes = 5, .digest = 11}},
            {.slot = 2 * i + 2, .ballot = ballot, .value = {.kind = TN_LOG_VALUE_NOOP}},
        };
        struct tn_log_record record = {.group = i == 3 ? 9 : 7,
                                       .kind = TN_LOG_RECORD_ACCEPT,
                                       .ballot = ballot,
                                       .entries_count = 2};
        tn__wal_batch_clear(batch);
        assert_int_equal(tn__wal_batch_add(batch, &record, entries, value_of, hello), TN_OK);
        assert_int_equal(tn__wal_write(wal, batch), TN_OK);
    }
    assert_int_equal(tn__wal_seal(wal), TN_OK);
    tn__wal_batch_free(batch);
    tn__wal_close(wal);
}

static int set_up(void **state)
{
    (void)state;
    files = tn__file_posix();
    if (!test_temporary_folder(path, sizeof(path), "tenure-log")) {
        return -1;
    }
    return files.operations->open_directory(files.context, path, false, &directory);
}

static bool remove_name(void *visitor, const char *name)
{
    (void)visitor;
    (void)files.operations->unlink(files.context, directory, name);
    return true;
}

static int tear_down(void **state)
{
    (void)state;
    (void)files.operations->list(files.context, directory, remove_name, NULL);
    files.operations->close(files.context, directory);
    return rmdir(path);
}

/* A sum over names and bytes of all files. */
static bool sum_name(void *visitor, const char *name)
{
    static uint8_t bytes[1 << 20];
    uint32_t *sum = visitor;
    tn__file file;
    size_t done = 0;
    assert_int_equal(files.operations->open(files.context, directory, name, TN_FILE_READ, &file),
                     TN_OK);
    assert_int_equal(files.operations->read(files.context, file, 0, bytes, sizeof(bytes), &done),
                     TN_OK);
    files.operations->close(files.context, file);
    *sum ^= tn__crc32c(tn__crc32c(0, name, strlen(name)), bytes, done);
    return true;
}

/* Run `tenure log ARGUMENTS`; its status. What it says on both outputs goes into `output`. */
static int run(const char *arguments)
{
    char command[2048];
    uint32_t before = 0;
    uint32_t after = 0;
    assert_int_equal(files.operations->list(files.context, directory, sum_name, &before), TN_OK);
    snprintf(command, sizeof(command), "%s/bin/tenure log %s 2>&1", TN_BINARY_DIR, arguments);
    FILE *stream = popen(command, "r");
    assert_non_null(stream);
    size_t length = fread(output, 1, sizeof(output) - 1, stream);
    output[length] = '\0';
    int status = pclose(stream);
    assert_true(WIFEXITED(status));
    assert_int_equal(files.operations->list(files.context, directory, sum_name, &after), TN_OK);
    assert_int_equal(before, after);
    return WEXITSTATUS(status);
}

static int run_on(const char *action, const char *options)
{
    char arguments[1024];
    snprintf(arguments, sizeof(arguments), "%s %s %s", action, path, options);
    return run(arguments);
}

static uint32_t lines_with(const char *text)
{
    uint32_t count = 0;
    for (const char *at = strstr(output, text); at != NULL; at = strstr(at + 1, text)) {
        count++;
    }
    return count;
}

static void flip_byte(const char *name, uint64_t offset)
{
    tn__file file;
    uint8_t byte;
    assert_int_equal(
        files.operations->open(files.context, directory, name, TN_FILE_READ | TN_FILE_WRITE, &file),
        TN_OK);
    assert_int_equal(tn__file_read_all(&files, file, offset, &byte, 1), TN_OK);
    byte ^= 0x10;
    assert_int_equal(tn__file_write_all(&files, file, offset, &byte, 1), TN_OK);
    files.operations->close(files.context, file);
}

static void W5_a_whole_log_is_listed_dumped_and_found_whole(void **state)
{
    (void)state;
    write_log();
    assert_int_equal(run_on("list", ""), 0);
    assert_non_null(strstr(output, "00000001.wal"));
    assert_non_null(strstr(output, "1 to 6"));
    assert_int_equal(run_on("verify", ""), 0);
    assert_non_null(strstr(output, "whole: "));
    assert_int_equal(run_on("dump", ""), 0);
    assert_int_equal(lines_with("    slot "), 8);
    assert_int_equal(lines_with("noop"), 4);
    assert_int_equal(run_on("dump", "--group 7"), 0);
    assert_int_equal(lines_with("    slot "), 6);
    assert_int_equal(run_on("dump", "--group 7 --from 4"), 0);
    assert_int_equal(lines_with("    slot "), 3);
    assert_int_equal(run_on("dump", "--group 8"), 0);
    assert_int_equal(strlen(output), 0);
}

static void W5_json_is_an_object_or_one_a_record(void **state)
{
    (void)state;
    write_log();
    assert_int_equal(run_on("verify", "--json"), 0);
    json_t *object = json_loads(output, 0, NULL);
    assert_non_null(object);
    assert_false(json_is_true(json_object_get(object, "damaged")));
    assert_int_equal(json_integer_value(json_object_get(object, "batches")), 6);
    assert_int_equal(json_array_size(json_object_get(object, "gaps")), 0);
    json_decref(object);
    assert_int_equal(run_on("dump", "--json --from 3"), 0);
    uint32_t count = 0;
    for (char *line = output, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        *end = '\0';
        object = json_loads(line, 0, NULL);
        assert_non_null(object);
        assert_string_equal(json_string_value(json_object_get(object, "kind")), "accept");
        assert_int_equal(json_array_size(json_object_get(object, "entries")), 2);
        json_decref(object);
        count++;
    }
    assert_int_equal(count, 3);
}

static void W5_damage_is_named_and_is_status_1(void **state)
{
    (void)state;
    write_log();
    flip_byte("00000001.wal", 3 * 4096 + 100);
    assert_int_equal(run_on("verify", ""), 1);
    assert_non_null(strstr(output, "00000001.wal offset 12288: a batch that had been synced"));
    assert_non_null(strstr(output, "damaged: "));
    assert_int_equal(run_on("list", ""), 1);
    assert_int_equal(run_on("dump", ""), 1);
    assert_int_equal(lines_with("    slot "), 6);
    assert_int_equal(run_on("verify", "--json"), 1);
    json_t *object = json_loads(output, 0, NULL);
    assert_non_null(object);
    assert_true(json_is_true(json_object_get(object, "damaged")));
    assert_int_equal(json_array_size(json_object_get(object, "gaps")), 1);
    json_decref(object);
}

static void W5_a_torn_end_is_said_and_is_no_damage(void **state)
{
    (void)state;
    write_log();
    flip_byte("00000001.wal", 6 * 4096 + 20); /* the seal, which is the last */
    assert_int_equal(run_on("verify", ""), 0);
    assert_non_null(strstr(output, "a torn end, which is no damage"));
}

static void W5_a_directory_in_use_may_be_read(void **state)
{
    (void)state;
    write_log();
    tn__file lock;
    assert_int_equal(files.operations->open(files.context, directory, "lock",
                                            TN_FILE_READ | TN_FILE_WRITE | TN_FILE_CREATE, &lock),
                     TN_OK);
    assert_int_equal(files.operations->lock(files.context, lock), TN_OK);
    assert_int_equal(run_on("verify", ""), 0);
    assert_non_null(strstr(output, "a node is using"));
    assert_non_null(strstr(output, "whole: "));
    files.operations->close(files.context, lock);
    assert_int_equal(run_on("verify", ""), 0);
    assert_null(strstr(output, "a node is using"));
}

static void W5_wrong_usage_and_missing_logs_are_said(void **state)
{
    (void)state;
    assert_int_equal(run_on("verify", ""), 1);
    assert_non_null(strstr(output, "there is no log in that directory"));
    assert_int_equal(run("verify /nonexistent/directory"), 1);
    assert_non_null(strstr(output, "/nonexistent/directory"));
    assert_non_null(strstr(output, "does not exist"));
    assert_int_equal(run_on("mend", ""), 2);
    assert_non_null(strstr(output, "list|dump|verify"));
    assert_int_equal(run("verify"), 2);
    assert_int_equal(run_on("dump", "--group 65536"), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(W5_a_whole_log_is_listed_dumped_and_found_whole, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(W5_json_is_an_object_or_one_a_record, set_up, tear_down),
        cmocka_unit_test_setup_teardown(W5_damage_is_named_and_is_status_1, set_up, tear_down),
        cmocka_unit_test_setup_teardown(W5_a_torn_end_is_said_and_is_no_damage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(W5_a_directory_in_use_may_be_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(W5_wrong_usage_and_missing_logs_are_said, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
