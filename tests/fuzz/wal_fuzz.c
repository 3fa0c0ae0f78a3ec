/* A segment of arbitrary bytes, recovered, read and written on. The first byte says what is mended
 * before, since no fuzzer guesses a checksum: 1: the segment's header; 2: each batch's header that
 * has its magic, and 4: the records in it as far as their lengths lead. Whatever it is, a start
 * must end, must show only what can be, and what it shows must be shown again by the next one. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "os/memory.h"
#include "sim/sim_disk.h"
#include "store/wal.h"
#include "store/wal_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    BYTES_MAX = 65536,
    BLOCK_BYTES = 512,
};

static const uint8_t cluster_id[16] = "cluster of fuzz";
static const uint8_t disk_id[16] = "disk id of fuzz";

static int see_state(void *context, const struct tn_log_record *record,
                     const struct tn_log_recovered *state,
                     const struct tn_log_value *configurations, const uint64_t *configuration_slots,
                     uint32_t configurations_count)
{
    uint64_t *sum = context;
    tn_assert(record->kind == TN_LOG_RECORD_STATE);
    *sum += state->committed;
    for (uint32_t i = 0; i < configurations_count; i++) {
        tn_assert(configurations[i].kind == TN_LOG_VALUE_CONFIGURATION);
        *sum += configuration_slots[i];
    }
    return 0;
}

static int see_record(void *context, const struct tn_log_record *record,
                      const struct tn_log_entry *entries, const void *const *bytes)
{
    uint64_t *sum = context;
    tn_assert(record->group <= TN_GROUP_ID_MAX && record->entries_count <= TN_LOG_RUN_MAX);
    for (uint32_t i = 0; i < record->entries_count; i++) {
        tn_assert((bytes[i] == NULL) == (entries[i].value.bytes == 0));
        *sum += entries[i].slot;
        *sum += tn__crc32c(0, bytes[i], entries[i].value.bytes); /* read every byte */
    }
    return 0;
}

static void mend(uint8_t *bytes, size_t size, uint8_t what)
{
    uint32_t seed = tn__wal_seed(cluster_id, disk_id);
    if ((what & 1) != 0 && size >= TN_WAL_HEAD_BYTES) {
        memcpy(bytes, "tnlogwal", 8);
        tn__put_u32(bytes + 8, TN_WAL_VERSION);
        tn__put_u64(bytes + 16, 1);
        memcpy(bytes + 48, cluster_id, 16);
        memcpy(bytes + 64, disk_id, 16);
        memset(bytes + 80, 0, 508 - 80);
        tn__put_u32(bytes + 508, tn__crc32c(0, bytes, 508));
    }
    for (size_t at = BLOCK_BYTES; at + TN_WAL_BATCH_BYTES <= size; at += BLOCK_BYTES) {
        uint32_t sum = 0;
        uint64_t used = tn__get_u64(bytes + at + 64);
        if ((what & 2) == 0 || memcmp(bytes + at, "tnB1", 4) != 0) {
            continue;
        }
        used = used < size - at ? used : size - at;
        for (size_t record = TN_WAL_BATCH_BYTES; record + TN_WAL_RECORD_BYTES <= used;) {
            uint32_t length = tn__get_u32(bytes + at + record + 4);
            if (length < TN_WAL_RECORD_BYTES || length > used - record || (what & 4) == 0) {
                break;
            }
            uint8_t *one = bytes + at + record;
            uint8_t word[4];
            struct tn__wal_place place = {1, at + record};
            tn__put_u32(word,
                        tn__wal_record_place(one, tn__wal_record_sum(one, length), seed, place));
            sum = tn__crc32c(sum, word, sizeof(word));
            record += length;
        }
        if ((what & 4) != 0) {
            tn__put_u32(bytes + at + 76, sum);
        }
        tn__put_u64(bytes + at + 8, 1);
        tn__put_u64(bytes + at + 16, at);
        tn__put_u32(bytes + at + 4, tn__crc32c(seed, bytes + at + 8, TN_WAL_BATCH_BYTES - 8));
    }
}

static struct tn__wal *start(struct tn__wal_options *options, uint64_t *sum)
{
    struct tn__wal_visitor visitor = {.context = sum, .state = see_state, .record = see_record};
    struct tn__wal_report report;
    struct tn__wal *wal = NULL;
    char why[256];
    const struct tn__file_operations *operations = options->files.operations;
    int error = operations->open_directory(options->files.context, "d", true, &options->directory);
    tn_assert(error == TN_OK);
    error = tn__wal_open(&wal, options, &visitor, &report, why, sizeof(why));
    tn_assert(error == TN_OK || error == TN_ERROR_VERSION || error == TN_ERROR_NOT_EMPTY);
    return error == TN_OK ? wal : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t bytes[BYTES_MAX];
    if (size < 1 || size - 1 > sizeof(bytes)) {
        return 0;
    }
    memcpy(bytes, data + 1, --size);
    mend(bytes, size, data[0]);
    struct tn__sim_disk *disk = tn__sim_disk_new(1);
    tn__sim_disk_put(disk, "00000001.wal", bytes, size);
    struct tn__wal_options options = {
        .files = tn__sim_disk_files(disk),
        .segment_bytes = 8192,
        .block_bytes = BLOCK_BYTES,
        .allocate = tn__memory_resize,
    };
    memcpy(options.cluster_id, cluster_id, 16);
    memcpy(options.disk_id, disk_id, 16);
    uint64_t sum = 0;
    struct tn__wal *wal = start(&options, &sum);
    if (wal != NULL) {
        tn_assert(tn__wal_seal(wal) == TN_OK);
        tn__wal_close(wal);
        wal = start(&options, &sum);
        tn_assert(wal != NULL);
        tn__wal_close(wal);
    }
    tn__sim_disk_free(disk);
    return 0;
}
