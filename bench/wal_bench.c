/* The store alone, on real files.
 *
 *   wal_bench recovery DIR MEBIBYTES VALUE_BYTES ROUNDS
 *     a log of that size is written; a round reads its files and sums them (the floor), then starts
 *     the log. {"read_ms", "recovery_ms", "records", "bytes"}
 *   wal_bench append DIR WRITES ROUNDS
 *     a round appends batches of one 100 byte value, each synced, once by direct writes and once by
 *     fdatasync, in turns. {"direct_us", "data_sync_us"}: medians
 *
 * DIR is made, and what is in it is removed. One JSON object a round. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "os/clock.h"
#include "os/file_posix.h"
#include "os/file_probe.h"
#include "os/memory.h"
#include "store/wal.h"

enum {
    ENTRIES = 64,
    READ_BYTES = 1 << 20,
};

struct bench {
    struct tn__files files;
    tn__file directory;
    struct tn__wal *wal;
    struct tn__wal_batch *batch;
    struct tn__wal_report report;
    uint64_t slot;
    uint32_t direct;
    bool can_direct;
    uint64_t summed;
    uint8_t *buffer;
};

static void die(const char *what, int error)
{
    fprintf(stderr, "wal_bench: %s: %s\n", what, tn_strerror(error));
    exit(1);
}

static const void *value_of(void *context, uint64_t handle)
{
    (void)handle;
    return context;
}

static void open_log(struct bench *bench)
{
    struct tn__wal_options options = {
        .files = bench->files,
        .directory = bench->directory,
        .segment_bytes = (uint64_t)64 << 20,
        .block_bytes = 4096,
        .direct = bench->direct,
        .allocate = tn__memory_resize,
    };
    struct tn__wal_visitor visitor = {0};
    char why[256];
    int error = tn__wal_open(&bench->wal, &options, &visitor, &bench->report, why, sizeof(why));
    if (error == TN_OK) {
        error = tn__wal_batch_new(bench->wal, &bench->batch);
    }
    if (error != TN_OK || bench->report.damaged) {
        die(why, error);
    }
}

static void close_log(struct bench *bench)
{
    tn__wal_batch_free(bench->batch);
    tn__wal_close(bench->wal);
}

static void append(struct bench *bench, uint32_t count, uint32_t value_bytes)
{
    static struct tn_log_entry entries[ENTRIES];
    struct tn_log_ballot ballot = {.attempt = 1, .node = 1, .mode_number = 1};
    for (uint32_t i = 0; i < count; i++) {
        entries[i] = (struct tn_log_entry){
            .slot = ++bench->slot,
            .ballot = ballot,
            .value = {.kind = TN_LOG_VALUE_PAYLOAD, .bytes = value_bytes},
        };
    }
    struct tn_log_record record = {.kind = TN_LOG_RECORD_ACCEPT,
                                   .ballot = ballot,
                                   .entries_count = count,
                                   .committed = bench->slot - count};
    tn__wal_batch_clear(bench->batch);
    int error = tn__wal_batch_add(bench->batch, &record, entries, value_of, bench->buffer);
    if (error == TN_OK) {
        error = tn__wal_write(bench->wal, bench->batch);
    }
    if (error != TN_OK) {
        die("append", error);
    }
}

static bool remove_name(void *visitor, const char *name)
{
    const struct bench *bench = visitor;
    (void)bench->files.operations->unlink(bench->files.context, bench->directory, name);
    return true;
}

static void empty_directory(struct bench *bench)
{
    (void)bench->files.operations->list(bench->files.context, bench->directory, remove_name, bench);
}

/* Read a file whole and sum it. */
static bool read_name(void *visitor, const char *name)
{
    struct bench *bench = visitor;
    tn__file file;
    size_t done = 1;
    uint32_t sum = 0;
    if (bench->files.operations->open(bench->files.context, bench->directory, name, TN_FILE_READ,
                                      &file) != TN_OK) {
        return true;
    }
    for (uint64_t at = 0; done > 0; at += done) {
        if (bench->files.operations->read(bench->files.context, file, at, bench->buffer, READ_BYTES,
                                          &done) != TN_OK) {
            die("read", TN_ERROR_IO);
        }
        sum = tn__crc32c(sum, bench->buffer, done);
        bench->summed += done;
    }
    bench->files.operations->close(bench->files.context, file);
    bench->buffer[0] = (uint8_t)sum; /* used, so that it is summed */
    return true;
}

static void recovery(struct bench *bench, uint64_t mebibytes, uint32_t value_bytes, uint32_t rounds)
{
    empty_directory(bench);
    open_log(bench);
    for (uint64_t bytes = 0; bytes < mebibytes << 20; bytes += tn__wal_batch_bytes(bench->batch)) {
        append(bench, ENTRIES, value_bytes);
    }
    close_log(bench);
    for (uint32_t round = 0; round < rounds + 1; round++) { /* the first one warms the cache */
        bench->summed = 0;
        tn_time began = tn__clock_now();
        (void)bench->files.operations->list(bench->files.context, bench->directory, read_name,
                                            bench);
        tn_time read = tn__clock_now() - began;
        began = tn__clock_now();
        open_log(bench);
        tn_time recovered = tn__clock_now() - began;
        close_log(bench);
        if (round > 0) {
            printf(
                "{\"read_ms\": %.2f, \"recovery_ms\": %.2f, \"records\": %llu, \"bytes\": %llu}\n",
                (double)read / 1e6, (double)recovered / 1e6,
                (unsigned long long)bench->report.records_count, (unsigned long long)bench->summed);
            fflush(stdout);
        }
    }
    empty_directory(bench);
}

static int compare_times(const void *a, const void *b)
{
    tn_time left = *(const tn_time *)a;
    tn_time right = *(const tn_time *)b;
    return left < right ? -1 : left > right;
}

/* The median of `count` appends, idle moments left to the making of the next segment. */
static double time_appends(struct bench *bench, uint32_t direct, tn_time *times, uint32_t count)
{
    bench->direct = direct;
    open_log(bench);
    for (bool more = true; more;) {
        (void)tn__wal_prepare(bench->wal, &more);
    }
    for (uint32_t i = 0; i < count; i++) {
        tn_time began = tn__clock_now();
        append(bench, 1, 100);
        times[i] = tn__clock_now() - began;
    }
    close_log(bench);
    empty_directory(bench);
    qsort(times, count, sizeof(times[0]), compare_times);
    return (double)times[count / 2] / 1e3;
}

static void appends(struct bench *bench, uint32_t count, uint32_t rounds)
{
    tn_time *times = calloc(count, sizeof(times[0]));
    if (times == NULL) {
        die("append", TN_ERROR_NO_MEMORY);
    }
    empty_directory(bench);
    for (uint32_t round = 0; round < rounds; round++) {
        double direct = bench->can_direct ? time_appends(bench, 1, times, count) : 0;
        double synced = time_appends(bench, 0, times, count);
        printf("{\"direct_us\": %.2f, \"data_sync_us\": %.2f}\n", direct, synced);
        fflush(stdout);
    }
    free(times);
}

int main(int argc, char **argv)
{
    struct bench bench = {.files = tn__file_posix(), .buffer = calloc(1, READ_BYTES)};
    bool recover = argc == 6 && strcmp(argv[1], "recovery") == 0;
    if (bench.buffer == NULL || (!recover && (argc != 5 || strcmp(argv[1], "append") != 0))) {
        fprintf(stderr, "usage: wal_bench recovery DIR MEBIBYTES VALUE_BYTES ROUNDS\n"
                        "       wal_bench append DIR WRITES ROUNDS\n");
        return 2;
    }
    int error = bench.files.operations->open_directory(bench.files.context, argv[2], true,
                                                       &bench.directory);
    struct tn__file_probe probe;
    if (error == TN_OK) {
        error = tn__file_posix_probe(bench.directory, &probe);
    }
    if (error != TN_OK) {
        die(argv[2], error);
    }
    bench.can_direct = probe.can_direct;
    if (recover) {
        recovery(&bench, strtoull(argv[3], NULL, 10), (uint32_t)strtoul(argv[4], NULL, 10),
                 (uint32_t)strtoul(argv[5], NULL, 10));
    } else {
        appends(&bench, (uint32_t)strtoul(argv[3], NULL, 10), (uint32_t)strtoul(argv[4], NULL, 10));
    }
    (void)rmdir(argv[2]);
    free(bench.buffer);
    return 0;
}
