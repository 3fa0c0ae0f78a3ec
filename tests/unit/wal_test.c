/* The log on a disk that does what it is told: what is written is read back, and space comes and
 * goes. Faults are in wal_fault_test.c, crashes in wal_crash_test.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "store/wal_codec.h"
#include "support/wal_rig.h"

static void W1_what_is_written_is_shown_at_the_next_start(void **state)
{
    (void)state;
    for (uint32_t direct = 0; direct < 2; direct++) {
        struct rig rig;
        rig_init(&rig, 1);
        rig.options.direct = direct;
        for (uint32_t run = 0; run < 6; run++) {
            rig_must_recover(&rig);
            assert_int_equal(rig.durable, run * 30);
            rig_must_read_all(&rig);
            rig_write_many(&rig, 30);
            rig_must_read_all(&rig);
            rig_close(&rig);
            tn__sim_disk_restart(rig.disk, TN_SIM_DISK_LOSE_ALL);
        }
        rig_free(&rig);
    }
}

/* ---- Records ------------------------------------------------------------------------------- */

static const void *bytes_of_handle(void *context, uint64_t handle)
{
    const uint8_t *area = context;
    return area + handle;
}

struct kept {
    uint32_t count;
    struct tn_log_record records[16];
    struct tn_log_entry entries[16][8];
    uint8_t bytes[16][8][64];
};

static int keep_record(void *context, const struct tn_log_record *record,
                       const struct tn_log_entry *entries, const void *const *bytes)
{
    struct kept *kept = context;
    assert_in_range(kept->count, 0, 15);
    assert_in_range(record->entries_count, 0, 8);
    for (uint32_t i = 0; i < record->entries_count; i++) {
        kept->entries[kept->count][i] = entries[i];
        if (entries[i].value.bytes > 0) {
            memcpy(kept->bytes[kept->count][i], bytes[i], entries[i].value.bytes);
        }
    }
    kept->records[kept->count++] = *record;
    return 0;
}

static struct tn_log_ballot some_ballot(uint64_t attempt)
{
    return (struct tn_log_ballot){.token = UINT64_MAX,
                                  .attempt = attempt,
                                  .restart_word = UINT64_MAX - 1,
                                  .mode_number = UINT32_MAX,
                                  .node = 65535};
}

/* Write the records to an empty log, start again and keep what is shown. */
static void round_trip(const struct tn_log_record *records,
                       const struct tn_log_entry *const *entries, uint32_t count,
                       const uint8_t *area, struct kept *kept)
{
    struct rig rig;
    rig_init(&rig, 1);
    assert_int_equal(rig_open(&rig), TN_OK);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(tn__wal_batch_add(rig.batch, &records[i], entries[i], bytes_of_handle,
                                           (void *)(uintptr_t)area),
                         TN_OK);
    }
    assert_int_equal(tn__wal_write(rig.wal, rig.batch), TN_OK);
    assert_int_equal(tn__wal_index(rig.wal, rig.batch), TN_OK);
    tn__wal_batch_free(rig.batch);
    tn__wal_close(rig.wal);
    rig.batch = NULL;
    struct tn__wal_visitor visitor = {.context = kept, .record = keep_record};
    memset(kept, 0, sizeof(*kept));
    assert_int_equal(
        tn__wal_open(&rig.wal, &rig.options, &visitor, &rig.report, rig.why, sizeof(rig.why)),
        TN_OK);
    assert_int_equal(rig.report.damaged, 0);
    rig_free(&rig);
}

static void W1_every_kind_of_record_and_value_comes_back_as_it_was(void **state)
{
    (void)state;
    static const uint8_t area[64] = "the bytes of a value, and those of another value altogether";
    struct tn_log_entry accepted[4] = {
        {.slot = 7, .ballot = some_ballot(5), .value = {.kind = TN_LOG_VALUE_NOOP}},
        {.slot = 8,
         .ballot = some_ballot(5),
         .value = {.kind = TN_LOG_VALUE_PAYLOAD, .handle = 4, .bytes = 17, .digest = 99}},
        {.slot = 9,
         .ballot = some_ballot(5),
         .value = {.kind = TN_LOG_VALUE_CONFIGURATION,
                   .voters = 7,
                   .learners = 1U << 30,
                   .version = 3,
                   .window_slots = 128,
                   .mode = TN_LOG_MODE_FREE}},
        {.slot = 10, .ballot = some_ballot(5), .value = {.kind = TN_LOG_VALUE_PAYLOAD}},
    };
    struct tn_log_entry learned[2] = {
        {.slot = UINT64_MAX / 2,
         .ballot = some_ballot(1),
         .value = {.kind = TN_LOG_VALUE_PAYLOAD, .handle = 22, .bytes = 42}},
        {.slot = UINT64_MAX / 2 + 1,
         .ballot = some_ballot(4),
         .value = {.kind = TN_LOG_VALUE_PAYLOAD, .handle = 1, .bytes = 1}},
    };
    const struct tn_log_record records[] = {
        {.group = 0,
         .kind = TN_LOG_RECORD_PROMISE,
         .ballot = some_ballot(3),
         .committed = 5,
         .checksum = UINT64_MAX},
        {.group = TN_GROUP_ID_MAX,
         .kind = TN_LOG_RECORD_ACCEPT,
         .ballot = some_ballot(5),
         .entries_count = 4},
        {.group = 1, .kind = TN_LOG_RECORD_LEARN, .ballot = some_ballot(4), .entries_count = 2},
    };
    const struct tn_log_entry *entries[] = {NULL, accepted, learned};
    static struct kept kept;
    round_trip(records, entries, 3, area, &kept);
    assert_int_equal(kept.count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(kept.records[i].kind, records[i].kind);
        assert_int_equal(kept.records[i].group, records[i].group);
        assert_int_equal(kept.records[i].entries_count, records[i].entries_count);
        assert_true(tn_log_ballot_equal(kept.records[i].ballot, records[i].ballot));
        assert_true(kept.records[i].committed == records[i].committed);
        assert_true(kept.records[i].checksum == records[i].checksum);
        for (uint32_t j = 0; j < records[i].entries_count; j++) {
            struct tn_log_entry expected = entries[i][j];
            expected.value.handle = 0; /* the bytes are shown instead */
            assert_memory_equal(&kept.entries[i][j], &expected, sizeof(expected));
            assert_memory_equal(kept.bytes[i][j], area + entries[i][j].value.handle,
                                expected.value.bytes);
        }
    }
}

static void a_run_with_holes_or_too_long_becomes_several_records(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 1);
    rig.options.value_bytes_max = TN_VALUE_BYTES_DEFAULT;
    assert_int_equal(rig_open(&rig), TN_OK);
    static struct tn_log_entry entries[2500];
    static uint8_t area[400000];
    for (uint32_t i = 0; i < 2500; i++) {
        entries[i] = (struct tn_log_entry){
            .slot = 1 + i + (i >= 2000 ? 5 : 0),
            .ballot = some_ballot(1),
            .value = {.kind = TN_LOG_VALUE_PAYLOAD, .bytes = i >= 2490 ? 400000 : 10},
        };
    }
    struct tn_log_record record = {
        .kind = TN_LOG_RECORD_ACCEPT, .ballot = some_ballot(1), .entries_count = 2500};
    assert_int_equal(tn__wal_batch_add(rig.batch, &record, entries, bytes_of_handle, area), TN_OK);
    assert_int_equal(tn__wal_write(rig.wal, rig.batch), TN_OK);
    assert_int_equal(tn__wal_index(rig.wal, rig.batch), TN_OK);
    struct tn__wal_position position;
    const struct {
        uint64_t slot;
        uint32_t count;
    } expected[] = {{1, 1024}, {1025, 976}, {2006, 490 + 2}, {2498, 2}, {2500, 2}};
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(tn__wal_locate(rig.wal, 0, expected[i].slot, &position), TN_OK);
        assert_int_equal(position.slot_first, expected[i].slot);
        assert_int_equal(position.count, expected[i].count);
    }
    for (uint64_t slot = 2001; slot < 2006; slot++) {
        assert_int_equal(tn__wal_locate(rig.wal, 0, slot, &position), TN_ERROR_NOT_FOUND);
    }
    assert_int_equal(tn__wal_locate(rig.wal, 1, 1, &position), TN_ERROR_NOT_FOUND);
    rig_free(&rig);
}

static void a_batch_larger_than_a_segment_gets_one_of_its_own_size(void **state)
{
    (void)state;
    static uint8_t area[50000];
    struct rig rig;
    rig_init(&rig, 1);
    rig_must_recover(&rig);
    rig_write_many(&rig, 5);
    struct tn_log_entry entry = {.slot = 400,
                                 .value = {.kind = TN_LOG_VALUE_PAYLOAD, .bytes = sizeof(area)}};
    struct tn_log_record record = {.kind = TN_LOG_RECORD_ACCEPT, .entries_count = 1};
    for (uint32_t i = 0; i < 3; i++) {
        tn__wal_batch_clear(rig.batch);
        entry.slot++;
        memset(area, (int)i + 1, sizeof(area));
        assert_int_equal(tn__wal_batch_add(rig.batch, &record, &entry, bytes_of_handle, area),
                         TN_OK);
        assert_int_equal(tn__wal_write(rig.wal, rig.batch), TN_OK);
        assert_int_equal(tn__wal_index(rig.wal, rig.batch), TN_OK);
    }
    static uint8_t buffer[60000];
    const void *bytes[4];
    struct tn_log_entry entries[4];
    struct tn__wal_position position;
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(tn__wal_locate(rig.wal, 0, 401 + i, &position), TN_OK);
        assert_int_equal(
            tn__wal_read(rig.wal, &position, buffer, sizeof(buffer), &record, entries, bytes, 4),
            TN_OK);
        assert_int_equal(((const uint8_t *)bytes[0])[0], i + 1);
        assert_int_equal(((const uint8_t *)bytes[0])[sizeof(area) - 1], i + 1);
    }
    rig_free(&rig);
}

static void W1_configurations_are_restated_until_no_slot_can_need_them(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 1);
    rig_must_recover(&rig);
    for (uint32_t i = 0; i < 150; i++) {
        rig_write_many(&rig, 1);
        for (uint32_t group = 0; group < RIG_GROUPS; group++) {
            tn__wal_retain(rig.wal, group, UINT64_MAX); /* the records go, the states stay */
        }
    }
    struct rig_model model;
    rig_model_after(&model, 150);
    for (uint32_t i = 0; i < 2; i++) { /* the second start shows what the first restated */
        rig_close(&rig);
        assert_int_equal(rig_open(&rig), TN_OK);
        assert_int_equal(rig.report.damaged, 0);
    }
    uint32_t any = 0;
    for (uint32_t group = 0; group < RIG_GROUPS; group++) {
        uint32_t newest = 0;
        for (uint64_t slot = 1; slot <= model.groups[group].committed; slot++) {
            uint32_t batch = model.groups[group].slots[slot];
            newest = batch > 0 && batch % 13 == 0 ? batch : newest; /* it holds one */
        }
        assert_int_equal(rig.shown.groups[group].promise, model.groups[group].promise);
        assert_int_equal(rig.shown.groups[group].committed, model.groups[group].committed);
        assert_int_equal(rig.shown.groups[group].version, newest);
        any += newest;
    }
    assert_true(any > 0);
    rig_free(&rig);
}

/* ---- Space --------------------------------------------------------------------------------- */

static uint32_t count_segments(struct rig *rig)
{
    uint32_t count = 0;
    for (uint64_t number = 1; number < 200; number++) {
        char name[TN_WAL_NAME_BYTES];
        uint64_t bytes;
        tn__wal_name(name, number, false);
        count += tn__sim_disk_peek(rig->disk, name, &bytes) != NULL;
    }
    return count;
}

static void W4_segments_that_nobody_needs_go_away_and_the_promises_stay(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 1);
    rig_must_recover(&rig);
    rig_write_many(&rig, 120);
    uint32_t before = count_segments(&rig);
    assert_true(before > 5);
    /* Two groups let go; the third pins what it needs. */
    tn__wal_retain(rig.wal, 0, 60);
    tn__wal_retain(rig.wal, 1, 60);
    rig_write_many(&rig, 3);
    assert_int_equal(count_segments(&rig), before);
    tn__wal_retain(rig.wal, 2, 60);
    rig_write_many(&rig, 4);
    uint32_t after = count_segments(&rig);
    assert_true(after < before);
    struct tn__wal_position position;
    assert_int_equal(tn__wal_locate(rig.wal, 2, 3, &position), TN_ERROR_NOT_FOUND);
    assert_int_equal(tn__wal_locate(rig.wal, 2, 60, &position), TN_OK);
    rig_close(&rig);
    assert_int_equal(rig_open(&rig), TN_OK);
    assert_int_equal(rig.report.damaged, 0);
    struct rig_model model;
    rig_model_after(&model, 127);
    for (uint32_t group = 0; group < RIG_GROUPS; group++) {
        struct tn_log_recovered found;
        assert_true(tn__wal_found(rig.wal, group, &found));
        assert_int_equal(found.promise.attempt, model.groups[group].promise);
        assert_int_equal(found.committed, model.groups[group].committed);
        assert_int_equal(found.damaged, 0);
        assert_in_range(found.retained, 2, found.committed + 1);
        for (uint64_t slot = found.retained; slot <= found.committed; slot++) {
            assert_int_equal(tn__wal_locate(rig.wal, group, slot, &position), TN_OK);
        }
        assert_int_equal(tn__wal_locate(rig.wal, group, found.retained - 1, &position),
                         TN_ERROR_NOT_FOUND);
    }
    rig_free(&rig);
}

static void a_record_read_after_its_segment_went_is_not_found(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 1);
    rig_must_recover(&rig);
    rig_write_many(&rig, 100);
    static uint8_t buffer[65536];
    struct tn_log_entry entries[8];
    const void *bytes[8];
    struct tn_log_record record;
    struct tn__wal_position position;
    assert_int_equal(tn__wal_locate(rig.wal, 0, 1, &position), TN_OK);
    assert_int_equal(
        tn__wal_read(rig.wal, &position, buffer, sizeof(buffer), &record, entries, bytes, 8),
        TN_OK);
    for (uint32_t group = 0; group < RIG_GROUPS; group++) {
        tn__wal_retain(rig.wal, group, 60);
    }
    rig_write_many(&rig, 5);
    assert_int_equal(
        tn__wal_read(rig.wal, &position, buffer, sizeof(buffer), &record, entries, bytes, 8),
        TN_ERROR_NOT_FOUND);
    rig_free(&rig);
}

static void a_group_that_is_gone_pins_nothing_and_is_restated_no_more(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 1);
    rig_must_recover(&rig);
    rig_write_many(&rig, 60);
    tn__wal_drop(rig.wal, 2);
    tn__wal_retain(rig.wal, 0, 500);
    tn__wal_retain(rig.wal, 1, 500);
    struct tn_log_record record = {
        .group = 1, .kind = TN_LOG_RECORD_PROMISE, .ballot = some_ballot(7)};
    for (uint32_t i = 0; i < 60; i++) {
        tn__wal_batch_clear(rig.batch);
        assert_int_equal(tn__wal_batch_add(rig.batch, &record, NULL, NULL, NULL), TN_OK);
        assert_int_equal(tn__wal_write(rig.wal, rig.batch), TN_OK);
        assert_int_equal(tn__wal_index(rig.wal, rig.batch), TN_OK);
    }
    assert_in_range(count_segments(&rig), 1, 2);
    rig_close(&rig);
    assert_int_equal(rig_open(&rig), TN_OK);
    struct tn_log_recovered found;
    assert_true(tn__wal_found(rig.wal, 0, &found));
    assert_true(tn__wal_found(rig.wal, 1, &found));
    assert_int_equal(found.promise.attempt, 7);
    assert_false(tn__wal_found(rig.wal, 2, &found));
    rig_free(&rig);
}

static void W2_a_segment_prepared_in_idle_moments_costs_its_first_writer_no_zeros(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 1);
    rig.options.segment_bytes = 65536;
    rig_must_recover(&rig);
    uint64_t most = 0;
    for (uint32_t i = 0; i < 120; i++) {
        bool more = true;
        for (uint32_t step = 0; more; step++) {
            assert_in_range(step, 0, 20);
            assert_int_equal(tn__wal_prepare(rig.wal, &more), TN_OK);
        }
        tn__sim_disk_arm(rig.disk, &(struct tn__sim_disk_plan){0});
        rig_write_many(&rig, 1);
        uint64_t operations = tn__sim_disk_operations(rig.disk);
        most = operations > most ? operations : most;
    }
    /* A batch: write, sync; a change of segment: the same for the STATE before it. */
    assert_int_equal(most, 4);
    rig_free(&rig);
}

/* How many bytes the file operations below are asked to write. */
static const struct tn__file_operations *counted_operations;
static uint64_t counted_bytes;

static int count_write(void *context, tn__file file, uint64_t offset, const void *bytes,
                       size_t length, size_t *done)
{
    counted_bytes += length;
    return counted_operations->write(context, file, offset, bytes, length, done);
}

static void W2_batches_in_a_row_wait_for_few_zeros_each(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 1);
    rig.options.segment_bytes = 1 << 20;
    counted_operations = tn__sim_disk_files(rig.disk).operations;
    struct tn__file_operations counting = *counted_operations;
    counting.write = count_write;
    rig.operations = &counting;
    rig_must_recover(&rig);
    struct tn_log_record record = {
        .group = 1, .kind = TN_LOG_RECORD_PROMISE, .ballot = some_ballot(7)};
    uint64_t most = 0;
    uint64_t all = 0;
    for (uint32_t i = 0; i < 5000; i++) {
        counted_bytes = 0;
        tn__wal_batch_clear(rig.batch);
        assert_int_equal(tn__wal_batch_add(rig.batch, &record, NULL, NULL, NULL), TN_OK);
        assert_int_equal(tn__wal_write(rig.wal, rig.batch), TN_OK);
        assert_int_equal(tn__wal_index(rig.wal, rig.batch), TN_OK);
        most = counted_bytes > most ? counted_bytes : most;
        all += counted_bytes;
    }
    assert_true(all > 4 << 20); /* two segments and more, and the zeros of their successors */
    assert_in_range(most, 256 << 10, 288 << 10);
    rig_free(&rig);
}

static void many_starts_take_little_space(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 1);
    rig.options.segment_bytes = 65536;
    uint64_t all = 0;
    for (uint32_t i = 0; i < 40; i++) {
        rig_must_recover(&rig);
        rig_write_many(&rig, 1);
        rig_close(&rig);
    }
    for (uint64_t number = 1; number < 100; number++) {
        char name[TN_WAL_NAME_BYTES];
        uint64_t bytes = 0;
        tn__wal_name(name, number, false);
        (void)tn__sim_disk_peek(rig.disk, name, &bytes);
        all += bytes;
    }
    assert_true(all < 40 * 8192);
    rig_free(&rig);
}

/* ---- Whose log it is ----------------------------------------------------------------------- */

static void V4_a_log_of_another_cluster_or_directory_is_refused_by_name(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 1);
    rig_must_recover(&rig);
    rig_close(&rig);
    rig.options.cluster_id[3] ^= 1;
    assert_int_equal(rig_open(&rig), TN_ERROR_NOT_EMPTY);
    assert_non_null(strstr(rig.why, "00000001.wal"));
    assert_non_null(strstr(rig.why, "cluster"));
    rig.options.cluster_id[3] ^= 1;
    rig.options.disk_id[3] ^= 1;
    assert_int_equal(rig_open(&rig), TN_ERROR_NOT_EMPTY);
    assert_non_null(strstr(rig.why, "another data directory"));
    rig.options.disk_id[3] ^= 1;
    rig_must_recover(&rig);
    rig_free(&rig);
}

static void a_log_of_a_later_version_is_left_alone_and_named(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 1);
    rig_must_recover(&rig);
    rig_close(&rig);
    uint64_t size;
    static uint8_t bytes[65536];
    const uint8_t *found = tn__sim_disk_peek(rig.disk, "00000001.wal", &size);
    memcpy(bytes, found, size);
    bytes[8] = 2;
    uint32_t crc = tn__crc32c(0, bytes, 508);
    memcpy(bytes + 508, &crc, sizeof(crc));
    tn__sim_disk_put(rig.disk, "00000001.wal", bytes, size);
    assert_int_equal(rig_open(&rig), TN_ERROR_VERSION);
    assert_non_null(strstr(rig.why, "later version"));
    found = tn__sim_disk_peek(rig.disk, "00000001.wal", &size);
    assert_memory_equal(found, bytes, size);
    rig_free(&rig);
}

static int refuse_record(void *context, const struct tn_log_record *record,
                         const struct tn_log_entry *entries, const void *const *bytes)
{
    (void)context;
    (void)record;
    (void)entries;
    (void)bytes;
    return TN_ERROR_TOO_LARGE;
}

static void what_the_visitor_answers_ends_the_start(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 1);
    rig_must_recover(&rig);
    rig_write_many(&rig, 3);
    rig_close(&rig);
    struct tn__wal_visitor visitor = {.record = refuse_record};
    const struct tn__file_operations *operations = rig.options.files.operations;
    assert_int_equal(operations->open_directory(rig.options.files.context, "data", false,
                                                &rig.options.directory),
                     TN_OK);
    assert_int_equal(
        tn__wal_open(&rig.wal, &rig.options, &visitor, &rig.report, rig.why, sizeof(rig.why)),
        TN_ERROR_TOO_LARGE);
    rig.wal = NULL;
    rig_must_recover(&rig);
    rig_free(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(W1_what_is_written_is_shown_at_the_next_start),
        cmocka_unit_test(W1_every_kind_of_record_and_value_comes_back_as_it_was),
        cmocka_unit_test(a_run_with_holes_or_too_long_becomes_several_records),
        cmocka_unit_test(a_batch_larger_than_a_segment_gets_one_of_its_own_size),
        cmocka_unit_test(W1_configurations_are_restated_until_no_slot_can_need_them),
        cmocka_unit_test(W4_segments_that_nobody_needs_go_away_and_the_promises_stay),
        cmocka_unit_test(a_record_read_after_its_segment_went_is_not_found),
        cmocka_unit_test(a_group_that_is_gone_pins_nothing_and_is_restated_no_more),
        cmocka_unit_test(W2_a_segment_prepared_in_idle_moments_costs_its_first_writer_no_zeros),
        cmocka_unit_test(W2_batches_in_a_row_wait_for_few_zeros_each),
        cmocka_unit_test(many_starts_take_little_space),
        cmocka_unit_test(V4_a_log_of_another_cluster_or_directory_is_refused_by_name),
        cmocka_unit_test(a_log_of_a_later_version_is_left_alone_and_named),
        cmocka_unit_test(what_the_visitor_answers_ends_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
