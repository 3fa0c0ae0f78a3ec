/* What a start makes of a log that is not as it was left: stale, missing, empty, damaged; of
 * operations and allocations that fail; and the hazards that another system's storage has shown.
 * The rule is that of wal_fault_test.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/assert.h"
#include "store/wal_codec.h"
#include "support/wal_rig.h"

enum {
    BATCHES = 40,
};

/* Valid batches of another time behind the end: of this place in another segment, of another
 * directory, of a run before. */
static void D14_stale_batches_behind_the_end_are_not_taken(void **state)
{
    (void)state;
    static uint8_t bytes[RIG_FILE_BYTES_MAX];
    static uint8_t stale[RIG_FILE_BYTES_MAX];
    for (uint32_t kind = 0; kind < 3; kind++) {
        struct rig rig;
        struct rig other;
        rig_make_log(&rig, 2, false);
        rig_make_log(&other, kind == 0 ? 30 : 12, false);
        if (kind == 1) {
            rig_free(&other);
            rig_init(&other, 1);
            other.options.disk_id[0] ^= 1;
            other.options.segment_bytes = 4096;
            rig_must_recover(&other);
            rig_write_many(&other, 12);
            rig_close(&other);
        }
        uint64_t size = rig_take_file(&rig, "00000001.wal", bytes);
        uint64_t stale_size =
            rig_take_file(&other, kind == 0 ? "00000002.wal" : "00000001.wal", stale);
        uint64_t end = size;
        while (tn__wal_zeros(bytes + end - 512, 512)) {
            end -= 512;
        }
        uint64_t length = size < stale_size ? size : stale_size;
        assert_true(length > end);
        memcpy(bytes + end, stale + end, length - end);
        tn__sim_disk_put(rig.disk, "00000001.wal", bytes, size);
        rig.written = kind == 2 ? 12 : 2; /* of one's own: as if they had been written now */
        assert_int_equal(rig_open(&rig), TN_OK);
        assert_int_equal(rig.report.damaged, 0);
        assert_true(rig_shown_batches(&rig) >= 2);
        assert_true(kind == 2 || rig.report.bytes_cut > 0);
        rig_free(&rig);
        rig_free(&other);
    }
}

static void D15_a_missing_or_empty_segment_is_damage(void **state)
{
    (void)state;
    for (uint32_t kind = 0; kind < 3; kind++) {
        struct rig rig;
        rig_make_log(&rig, BATCHES, true);
        uint64_t last = rig_last_segment(&rig);
        for (uint64_t number = 1; number <= last; number++) {
            char name[TN_WAL_NAME_BYTES];
            uint64_t size = 0;
            tn__wal_name(name, number, false);
            struct rig copy;
            rig_copy(&copy, &rig, number);
            copy.options.segment_known = last; /* as the words remember it */
            const uint8_t *bytes = tn__sim_disk_peek(rig.disk, name, &size);
            if (kind == 0) {
                assert_true(tn__sim_disk_remove(copy.disk, name));
            } else {
                tn__sim_disk_put(copy.disk, name, bytes, kind == 1 ? 0 : 512);
            }
            assert_true(rig_must_judge_rightly(&copy));
            rig_must_stay_damaged(&copy);
            rig_free(&copy);
        }
        rig_free(&rig);
    }
}

/* W3, V4: the words say that there was a log, and there is none. */
static void D15_a_log_that_is_gone_altogether_is_damage(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 1);
    rig.options.segment_known = 5;
    assert_int_equal(rig_open(&rig), TN_OK);
    assert_int_equal(rig.report.damaged, 1);
    assert_non_null(strstr(rig.why, "missing"));
    assert_int_equal(rig.report.segment, 6);
    struct tn_log_recovered found;
    assert_false(tn__wal_found(rig.wal, 0, &found));
    assert_int_equal(found.damaged, 2); /* its promise is lost too */
    rig_must_stay_damaged(&rig);
    assert_false(tn__wal_found(rig.wal, 0, &found));
    assert_int_equal(found.damaged, 2);
    assert_int_equal(tn__wal_heal(rig.wal), TN_OK);
    rig_close(&rig);
    rig_must_recover(&rig);
    rig_free(&rig);
}

static void write_promise(struct rig *rig, uint64_t attempt)
{
    struct tn_log_record record = {
        .group = 1,
        .kind = TN_LOG_RECORD_PROMISE,
        .ballot = {.token = attempt, .attempt = attempt, .node = 1},
    };
    tn__wal_batch_clear(rig->batch);
    assert_int_equal(tn__wal_batch_add(rig->batch, &record, NULL, NULL, NULL), TN_OK);
    assert_int_equal(tn__wal_write(rig->wal, rig->batch), TN_OK);
    assert_int_equal(tn__wal_index(rig->wal, rig->batch), TN_OK);
}

/* The first segment that is needed is gone, but the file that it was copied from is there still,
 * for its removal was not durable. Nothing is missing, and that stays so. */
static void D15_what_stands_in_for_a_missing_segment_is_kept(void **state)
{
    (void)state;
    static uint8_t bytes[RIG_FILE_BYTES_MAX];
    struct rig rig;
    rig_init(&rig, 1);
    rig_must_recover(&rig);
    write_promise(&rig, 5);
    rig_close(&rig);
    assert_int_equal(rig_open(&rig), TN_OK); /* nothing vouches for the promise: it is copied */
    rig_close(&rig);
    uint64_t size = rig_take_file(&rig, "00000002.wal", bytes);
    assert_int_equal(rig_open(&rig), TN_OK); /* and once more */
    write_promise(&rig, 7);                  /* it says that nothing below 3 is needed */
    rig_close(&rig);
    assert_int_equal(rig_open(&rig), TN_OK); /* which is copied into 4 */
    rig_close(&rig);
    assert_null(tn__sim_disk_peek(rig.disk, "00000002.wal", &(uint64_t){0}));
    tn__sim_disk_put(rig.disk, "00000002.wal", bytes, size);
    assert_true(tn__sim_disk_remove(rig.disk, "00000003.wal"));
    for (uint32_t i = 0; i < 3; i++) {
        rig.options.segment_known = rig.report.segment;
        assert_int_equal(rig_open(&rig), TN_OK);
        assert_string_equal(rig.why, "");
        assert_int_equal(rig.report.damaged, 0);
        struct tn_log_recovered found;
        assert_true(tn__wal_found(rig.wal, 1, &found));
        assert_int_equal(found.promise.attempt, 7);
        rig_close(&rig);
    }
    rig_free(&rig);
}

/* V4, D3. The log is lost as a whole, the node starts with a new one, and then blocks that were
 * written before, at the same places of a segment with the same number, are back. What they
 * promise is not the last that was promised. */
static void D3_blocks_of_a_log_that_was_lost_tell_no_promise(void **state)
{
    (void)state;
    static uint8_t before[RIG_FILE_BYTES_MAX];
    static uint8_t after[RIG_FILE_BYTES_MAX];
    struct rig rig;
    rig_make_log(&rig, BATCHES, true);
    uint64_t last = rig_last_segment(&rig);
    uint64_t number = last - 2;
    char name[TN_WAL_NAME_BYTES];
    tn__wal_name(name, number, false);
    uint64_t size_before = rig_take_file(&rig, name, before);
    for (uint64_t i = 1; i <= last; i++) {
        char gone[TN_WAL_NAME_BYTES];
        tn__wal_name(gone, i, false);
        tn_maybe(tn__sim_disk_remove(rig.disk, gone)); /* some were not needed any more */
    }
    rig.options.segment_known = number - 2;
    rig.options.starts = 2;
    assert_int_equal(rig_open(&rig), TN_OK);
    for (uint32_t i = 0; i < 24; i++) { /* the first segment, and most of the next one */
        const struct tn_log_record learned = {.group = i % RIG_GROUPS, .kind = TN_LOG_RECORD_LEARN};
        tn__wal_batch_clear(rig.batch);
        assert_int_equal(tn__wal_batch_add(rig.batch, &learned, NULL, NULL, NULL), TN_OK);
        assert_int_equal(tn__wal_write(rig.wal, rig.batch), TN_OK);
    }
    rig_close(&rig);
    uint64_t size = rig_take_file(&rig, name, after);
    uint64_t least = size < size_before ? size : size_before;
    assert_true(least >= 4 * 512);
    uint32_t came_back = 0;
    for (uint64_t at = 512; at + 512 <= least; at += 512) {
        struct rig copy;
        rig_copy(&copy, &rig, at);
        copy.options.starts = 3;
        bool same = tn__wal_zeros(before + at, 512) || tn__wal_zeros(after + at, 512);
        assert_true(tn__sim_disk_patch(copy.disk, name, at, before + at, least - at));
        assert_int_equal(rig_open(&copy), TN_OK);
        assert_int_equal(copy.report.damaged, 1);
        for (uint32_t group = 0; group < RIG_GROUPS; group++) {
            struct tn_log_recovered found;
            tn_maybe(tn__wal_found(copy.wal, group, &found));
            assert_int_equal(found.damaged, 2);
        }
        came_back += !same;
        rig_close(&copy);
        rig_free(&copy);
    }
    assert_true(came_back >= 3);
    rig_free(&rig);
}

static void D15_a_segment_that_may_not_be_read_ends_the_start_by_name(void **state)
{
    (void)state;
    struct rig rig;
    rig_make_log(&rig, 10, true);
    tn__sim_disk_arm(rig.disk, &(struct tn__sim_disk_plan){.read_only = true});
    assert_int_equal(rig_open(&rig), TN_ERROR_READ_ONLY);
    tn__sim_disk_arm(rig.disk,
                     &(struct tn__sim_disk_plan){.fail_at = 3, .fail_error = TN_ERROR_READ_ONLY});
    assert_int_equal(rig_open(&rig), TN_ERROR_READ_ONLY);
    assert_non_null(strstr(rig.why, "00000001.wal"));
    tn__sim_disk_arm(rig.disk, &(struct tn__sim_disk_plan){0});
    rig_must_recover(&rig);
    rig_free(&rig);
}

/* One bit of each batch in turn: of the last one, which nothing vouches for, it is a tear; of any
 * other it is damage. With a seal behind it the last one is like any other. */
static void D16_a_torn_end_is_told_from_damage_before_it(void **state)
{
    (void)state;
    static uint8_t bytes[RIG_FILE_BYTES_MAX];
    for (uint32_t sealed = 0; sealed < 2; sealed++) {
        struct rig rig;
        rig_make_log(&rig, BATCHES, sealed);
        uint32_t torn = 0;
        uint32_t batches = 0;
        for (uint64_t number = 1; number <= rig_last_segment(&rig); number++) {
            char name[TN_WAL_NAME_BYTES];
            tn__wal_name(name, number, false);
            uint64_t size = rig_take_file(&rig, name, bytes);
            for (uint64_t at = 512; at < size; at += 512) {
                if (memcmp(bytes + at, "tnB1", 4) != 0) {
                    continue;
                }
                struct rig copy;
                rig_copy(&copy, &rig, at);
                copy.durable = BATCHES - 1;
                assert_true(tn__sim_disk_flip(copy.disk, name, 8 * (at + 90)));
                assert_int_equal(rig_open(&copy), TN_OK);
                rig_must_be_true(&copy);
                batches++;
                torn += !copy.report.damaged;
                if (!copy.report.damaged) {
                    assert_true(copy.report.bytes_cut > 0);
                    assert_int_equal(rig_shown_batches(&copy), sealed ? BATCHES : BATCHES - 1);
                }
                rig_free(&copy);
            }
        }
        assert_true(batches > BATCHES);
        assert_int_equal(torn, 1); /* the last batch, or the seal, which holds nothing */
        rig_free(&rig);
    }
}

/* The promise of a segment's STATE is damaged: the node must not vote as if it had given none. */
static void D18_a_damaged_promise_is_damage_of_every_group(void **state)
{
    (void)state;
    struct rig rig;
    rig_make_log(&rig, BATCHES, true);
    char name[TN_WAL_NAME_BYTES];
    tn__wal_name(name, 3, false);
    assert_true(tn__sim_disk_flip(rig.disk, name, 8 * (512 + TN_WAL_BATCH_BYTES + 45)));
    assert_true(rig_must_judge_rightly(&rig));
    for (uint32_t group = 0; group < RIG_GROUPS; group++) {
        struct tn_log_recovered found;
        assert_true(tn__wal_found(rig.wal, group, &found));
        assert_int_equal(found.damaged, 1);
        assert_true(found.damaged_upto >= found.committed);
    }
    rig_free(&rig);
}

/* A damaged log's tail stays beside its copy: it must not be copied again at each start, or a node
 * that starts again and again fills its disk. */
static void W3_starts_of_a_damaged_log_take_little_space(void **state)
{
    (void)state;
    struct rig rig;
    rig_make_log(&rig, BATCHES, false);
    assert_true(tn__sim_disk_flip(rig.disk, "00000003.wal", 8 * 1200));
    assert_true(rig_must_judge_rightly(&rig));
    for (uint32_t start = 0; start < 12; start++) {
        rig_close(&rig);
        assert_int_equal(rig_open(&rig), TN_OK);
        assert_int_equal(rig.report.damaged, 1);
        assert_int_equal(rig.report.bytes_rewritten, 0);
    }
    rig_free(&rig);
}

/* W3: fetched again and said so, it is no damage any more; and until then the files stay. */
static void W3_damage_ends_when_it_was_healed_and_not_before(void **state)
{
    (void)state;
    for (uint64_t n = 0; n <= 12; n++) {
        struct rig rig;
        rig_make_log(&rig, BATCHES, true);
        assert_true(tn__sim_disk_flip(rig.disk, "00000003.wal", 8 * 1200));
        assert_true(rig_must_judge_rightly(&rig));
        for (uint32_t group = 0; group < RIG_GROUPS; group++) {
            tn__wal_retain(rig.wal, group, UINT64_MAX);
        }
        rig_write_many(&rig, 20);
        uint64_t size;
        assert_non_null(tn__sim_disk_peek(rig.disk, "00000003.wal", &size));
        rig_must_stay_damaged(&rig);
        rig_close(&rig);
        assert_int_equal(rig_open(&rig), TN_OK);
        tn__sim_disk_arm(rig.disk, &(struct tn__sim_disk_plan){.crash_at = n});
        int error = tn__wal_heal(rig.wal);
        rig_close(&rig);
        tn__sim_disk_restart(rig.disk, TN_SIM_DISK_ANY);
        assert_int_equal(rig_open(&rig), TN_OK);
        assert_true(error != TN_OK || !rig.report.damaged);
        rig_free(&rig);
    }
}

/* W3: a healing speaks of the damage that its start found, not of what comes later to what was
 * written since that start, were it before the healing. */
static void W3_later_damage_of_what_was_written_before_a_healing_counts(void **state)
{
    (void)state;
    struct rig rig;
    rig_make_log(&rig, BATCHES, true);
    assert_true(tn__sim_disk_flip(rig.disk, "00000003.wal", 8 * 1200));
    assert_true(rig_must_judge_rightly(&rig));
    uint64_t segment = rig.report.segment;
    rig_write_many(&rig, 20);
    assert_int_equal(tn__wal_heal(rig.wal), TN_OK);
    rig_write_many(&rig, 5);
    assert_int_equal(tn__wal_seal(rig.wal), TN_OK);
    rig_close(&rig);
    for (uint64_t number = segment; number < rig_last_segment(&rig); number++) {
        char name[TN_WAL_NAME_BYTES];
        tn__wal_name(name, number, false);
        struct rig copy;
        rig_copy(&copy, &rig, number);
        assert_true(tn__sim_disk_flip(copy.disk, name, 8 * 1200));
        assert_int_equal(rig_open(&copy), TN_OK);
        assert_int_equal(copy.report.damaged, 1);
        rig_free(&copy);
    }
    assert_int_equal(rig_open(&rig), TN_OK);
    assert_int_equal(rig.report.damaged, 0);
    assert_int_equal(rig.report.lost, 1); /* it is to be held against its checksums */
    rig_free(&rig);
}

/* ---- Every operation, every allocation ----------------------------------------------------- */

static void every_operation_that_fails_is_reported_and_survived(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 220; n++) {
        for (uint32_t direct = 0; direct < 2; direct++) {
            struct rig rig;
            rig_init(&rig, n);
            rig.options.segment_bytes = 4096;
            rig.options.direct = direct;
            tn__sim_disk_arm(rig.disk, &(struct tn__sim_disk_plan){.fail_at = n});
            for (uint32_t life = 0; life < 3; life++) {
                int error = rig_open(&rig);
                if (error == TN_OK) {
                    assert_int_equal(rig.report.damaged, 0);
                    int shown = rig_shown_batches(&rig);
                    assert_true(shown >= 0);
                    rig.durable = rig.written = (uint32_t)shown;
                    while (rig.written < 15 * (life + 1) && rig_write(&rig) == TN_OK) {
                    }
                } else {
                    assert_true(strlen(rig.why) > 10 || rig.wal == NULL);
                }
                rig_close(&rig);
            }
            tn__sim_disk_restart(rig.disk, TN_SIM_DISK_ANY);
            rig_must_recover(&rig);
            assert_true(rig.durable >= 14);
            rig_free(&rig);
        }
    }
}

static void every_allocation_that_fails_is_reported_and_survived(void **state)
{
    (void)state;
    bool failed = true;
    uint32_t failures = 0;
    for (uint64_t n = 1; failed; n++) {
        assert_in_range(n, 1, 2000);
        struct rig rig;
        rig_make_log(&rig, 20, false);
        rig.allocations = 0;
        rig.fail_allocation = n;
        int error = rig_open(&rig);
        assert_true(error == TN_OK || error == TN_ERROR_NO_MEMORY);
        while (error == TN_OK && rig.written < BATCHES) {
            error = rig_write(&rig);
        }
        failed = error != TN_OK;
        failures += failed;
        assert_true(error == TN_OK || error == TN_ERROR_NO_MEMORY);
        rig_close(&rig);
        rig.fail_allocation = 0;
        rig_must_recover(&rig);
        rig_free(&rig);
    }
    assert_true(failures > 20);
}

/* ---- Hazards that another system's storage has shown --------------------------------------- */

/* A torn end cut in the file but not in the writer's position let the next write go to offset 0. */
static void phxpaxos_H6_a_cut_end_is_followed_by_a_new_segment(void **state)
{
    (void)state;
    struct rig rig;
    rig_make_log(&rig, 12, false);
    char name[TN_WAL_NAME_BYTES];
    uint64_t last = rig_last_segment(&rig);
    tn__wal_name(name, last, false);
    static uint8_t bytes[RIG_FILE_BYTES_MAX];
    uint64_t size = rig_take_file(&rig, name, bytes);
    tn__sim_disk_put(rig.disk, name, bytes, size - 300); /* a file that ends in the midst */
    rig.durable = 1;
    assert_int_equal(rig_open(&rig), TN_OK);
    rig_must_be_true(&rig);
    if (!rig.report.damaged) {
        rig.durable = rig.written = (uint32_t)rig_shown_batches(&rig);
    }
    assert_true(rig.report.segment > last || rig.report.damaged);
    struct rig_model before = rig.shown;
    rig_close(&rig);
    assert_int_equal(rig_open(&rig), TN_OK);
    assert_memory_equal(&before, &rig.shown, sizeof(before));
    rig_free(&rig);
}

/* An index made durable before its data refused the start. Here the index is made from the data. */
static void phxpaxos_index_before_data_the_index_is_made_from_what_is_durable(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct rig rig;
        rig_init(&rig, seed);
        rig_must_recover(&rig);
        rig_write_many(&rig, 11);
        tn__sim_disk_arm(rig.disk, &(struct tn__sim_disk_plan){.crash_at = 1 + seed % 2});
        assert_int_not_equal(rig_write(&rig), TN_OK);
        rig_close(&rig);
        tn__sim_disk_restart(rig.disk, TN_SIM_DISK_ANY);
        rig_must_recover(&rig);
        rig_must_read_all(&rig);
        rig_free(&rig);
    }
}

/* A file made by a mere read, or left empty by a crash, refused the start. */
static void phxpaxos_empty_file_one_being_made_is_no_part_of_the_log(void **state)
{
    (void)state;
    struct rig rig;
    rig_make_log(&rig, 12, false);
    char name[TN_WAL_NAME_BYTES];
    for (uint64_t number = 1; number < 40; number += 9) {
        tn__wal_name(name, number, true);
        tn__sim_disk_put(rig.disk, name, "", 0);
    }
    rig_must_recover(&rig);
    uint64_t size;
    for (uint64_t number = 1; number < 40; number += 9) {
        tn__wal_name(name, number, true);
        assert_null(tn__sim_disk_peek(rig.disk, name, &size));
    }
    struct tn__wal_position gone = {.segment = 77, .offset = 512, .bytes = 100};
    uint8_t buffer[128];
    struct tn_log_record record;
    assert_int_equal(tn__wal_read(rig.wal, &gone, buffer, sizeof(buffer), &record, NULL, NULL, 0),
                     TN_ERROR_NOT_FOUND);
    assert_null(tn__sim_disk_peek(rig.disk, "00000077.wal", &size));
    rig_free(&rig);
}

/* A length read from the file was believed. */
static void phxpaxos_length_field_no_length_is_used_before_it_is_checked(void **state)
{
    (void)state;
    const uint32_t lengths[] = {0, 1, 71, 73, 0x7fffffff, 0xffffffff};
    struct rig rig;
    rig_make_log(&rig, BATCHES, true);
    static uint8_t bytes[RIG_FILE_BYTES_MAX];
    uint64_t size = rig_take_file(&rig, "00000002.wal", bytes);
    const uint64_t offsets[] = {512 + 56, 512 + 64, 512 + 72, 512 + 84, 512 + 94};
    for (uint32_t i = 0; i < 5; i++) {
        for (uint32_t j = 0; j < 6; j++) {
            struct rig copy;
            rig_copy(&copy, &rig, i);
            uint8_t old[4];
            memcpy(old, bytes + offsets[i], 4);
            memcpy(bytes + offsets[i], &lengths[j], 4);
            tn__sim_disk_put(copy.disk, "00000002.wal", bytes, size);
            assert_true(rig_must_judge_rightly(&copy) || memcmp(old, &lengths[j], 4) == 0);
            memcpy(bytes + offsets[i], old, 4);
            rig_free(&copy);
        }
    }
    rig_free(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(D14_stale_batches_behind_the_end_are_not_taken),
        cmocka_unit_test(D15_a_missing_or_empty_segment_is_damage),
        cmocka_unit_test(D15_a_log_that_is_gone_altogether_is_damage),
        cmocka_unit_test(D15_what_stands_in_for_a_missing_segment_is_kept),
        cmocka_unit_test(D3_blocks_of_a_log_that_was_lost_tell_no_promise),
        cmocka_unit_test(D15_a_segment_that_may_not_be_read_ends_the_start_by_name),
        cmocka_unit_test(D16_a_torn_end_is_told_from_damage_before_it),
        cmocka_unit_test(D18_a_damaged_promise_is_damage_of_every_group),
        cmocka_unit_test(W3_starts_of_a_damaged_log_take_little_space),
        cmocka_unit_test(W3_damage_ends_when_it_was_healed_and_not_before),
        cmocka_unit_test(W3_later_damage_of_what_was_written_before_a_healing_counts),
        cmocka_unit_test(every_operation_that_fails_is_reported_and_survived),
        cmocka_unit_test(every_allocation_that_fails_is_reported_and_survived),
        cmocka_unit_test(phxpaxos_H6_a_cut_end_is_followed_by_a_new_segment),
        cmocka_unit_test(phxpaxos_index_before_data_the_index_is_made_from_what_is_durable),
        cmocka_unit_test(phxpaxos_empty_file_one_being_made_is_no_part_of_the_log),
        cmocka_unit_test(phxpaxos_length_field_no_length_is_used_before_it_is_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
