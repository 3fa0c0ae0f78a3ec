/* Disks that fail, lie, tear and rot, one fault at a time (the fault.D names of docs/testing.md).
 *
 * The rule that all of these come to: what a start shows is what was once written, whole; it says
 * "damaged" if it cannot vouch that all that was synced is there; and without damage it shows
 * everything that was reported durable. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "store/wal_codec.h"
#include "support/wal_rig.h"

enum {
    BATCHES = 40,
};

/* ---- One fault ----------------------------------------------------------------------------- */

static void D1_unsynced_writes_lost_or_reordered_lose_nothing_durable(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct rig rig;
        rig_init(&rig, seed);
        rig_must_recover(&rig);
        rig_write_many(&rig, (uint32_t)(seed % 20));
        tn__sim_disk_arm(rig.disk, &(struct tn__sim_disk_plan){.crash_at = 1 + seed % 3});
        (void)rig_write(&rig);
        rig_close(&rig);
        tn__sim_disk_restart(rig.disk, TN_SIM_DISK_ANY);
        rig_must_recover(&rig);
        rig_free(&rig);
    }
}

/* The last batch torn after every number of bytes, from either end. */
static void D2_a_batch_torn_anywhere_is_cut_and_nothing_else(void **state)
{
    (void)state;
    struct rig rig;
    rig_make_log(&rig, 9, false); /* batch 9 is a long one */
    static uint8_t whole[RIG_FILE_BYTES_MAX];
    static uint8_t torn[RIG_FILE_BYTES_MAX];
    char name[TN_WAL_NAME_BYTES];
    tn__wal_name(name, rig_last_segment(&rig), false);
    uint64_t size = rig_take_file(&rig, name, whole);
    /* Where does the last batch stand? */
    uint64_t end = size;
    while (tn__wal_zeros(whole + end - 512, 512)) {
        end -= 512;
    }
    uint64_t begin = end - 512;
    while (memcmp(whole + begin, "tnB1", 4) != 0) {
        begin -= 512;
    }
    assert_true(end - begin > 512);
    uint32_t cut = 0;
    for (uint64_t at = begin; at <= end; at += 4) {
        for (uint32_t front = 0; front < 2; front++) {
            struct rig copy;
            rig_copy(&copy, &rig, at);
            memcpy(torn, whole, size);
            memset(torn + (front ? begin : at), 0, (size_t)(front ? at - begin : end - at));
            tn__sim_disk_put(copy.disk, name, torn, size);
            copy.durable = 8;
            rig_must_recover(&copy);
            cut += copy.durable == 8;
            assert_true(copy.durable == 8 || memcmp(torn, whole, size) == 0);
            rig_free(&copy);
        }
    }
    assert_true(cut > 200);
    rig_free(&rig);
}

/* Every batch of the log, put in the place of every other one of its length, and of any in the
 * other segments. */
static void D4_a_batch_at_another_place_is_none(void **state)
{
    (void)state;
    struct rig rig;
    rig_make_log(&rig, BATCHES, true);
    static uint8_t from[RIG_FILE_BYTES_MAX];
    static uint8_t to[RIG_FILE_BYTES_MAX];
    uint32_t damaged = 0;
    uint64_t last = rig_last_segment(&rig);
    for (uint64_t source = 1; source <= last; source++) {
        for (uint64_t target = 1; target <= last; target++) {
            char name[TN_WAL_NAME_BYTES];
            tn__wal_name(name, source, false);
            uint64_t source_size = rig_take_file(&rig, name, from);
            tn__wal_name(name, target, false);
            uint64_t size = rig_take_file(&rig, name, to);
            for (uint64_t at = 512; at + 512 <= size; at += 512) {
                uint64_t other = source == target ? 1024 : at;
                if (other == at && source == target) {
                    continue;
                }
                if (other + 512 > source_size || memcmp(from + other, to + at, 512) == 0) {
                    continue;
                }
                struct rig copy;
                rig_copy(&copy, &rig, at);
                uint8_t old[512];
                memcpy(old, to + at, 512);
                memcpy(to + at, from + other, 512);
                tn__sim_disk_put(copy.disk, name, to, size);
                memcpy(to + at, old, 512);
                damaged += rig_must_judge_rightly(&copy);
                rig_free(&copy);
            }
        }
    }
    assert_true(damaged > 100);
    rig_free(&rig);
}

static void D4_a_segment_under_another_name_is_damage(void **state)
{
    (void)state;
    static uint8_t bytes[RIG_FILE_BYTES_MAX];
    struct rig rig;
    rig_make_log(&rig, BATCHES, true);
    uint64_t size = rig_take_file(&rig, "00000002.wal", bytes);
    tn__sim_disk_put(rig.disk, "00000003.wal", bytes, size);
    assert_true(rig_must_judge_rightly(&rig));
    assert_non_null(strstr(rig.why, "00000003.wal"));
    rig_must_stay_damaged(&rig);
    rig_free(&rig);
}

/* Reads fail at every step of a start, once or for good. */
static void D6_a_sector_that_cannot_be_read_is_tried_again_and_then_is_damage(void **state)
{
    (void)state;
    struct rig rig;
    rig_make_log(&rig, BATCHES, true);
    const uint64_t counts[] = {1, 2, 3, 4, 6, 100000};
    uint32_t damaged = 0;
    uint32_t refused = 0;
    uint32_t whole = 0;
    for (uint64_t n = 1; n <= 80; n++) {
        for (uint32_t i = 0; i < 6; i++) {
            struct rig copy;
            rig_copy(&copy, &rig, n);
            tn__sim_disk_arm(copy.disk,
                             &(struct tn__sim_disk_plan){.fail_at = n, .fail_count = counts[i]});
            int error = rig_open(&copy);
            rig_must_be_true(&copy);
            refused += error != TN_OK;
            if (error == TN_OK && !copy.report.damaged) {
                assert_int_equal(rig_shown_batches(&copy), BATCHES);
                whole++;
            }
            damaged += error == TN_OK && copy.report.damaged;
            assert_true(i > 0 || error != TN_OK || !copy.report.damaged);
            rig_free(&copy);
        }
    }
    print_message("%u refused, %u damaged, %u whole\n", refused, damaged, whole);
    assert_true(damaged > 5 && refused > 50 && whole > 20);
    rig_free(&rig);
}

/* PhxPaxos sums every eighth byte: 175 of 200 changed bytes passed. Here each byte of each file is
 * changed in turn, by one bit and by all. */
static void phxpaxos_H11_a_change_of_any_single_byte_is_never_shown(void **state)
{
    (void)state;
    struct rig rig;
    rig_make_log(&rig, BATCHES, true);
    uint32_t damaged = 0;
    uint32_t harmless = 0;
    uint64_t random = 3;
    for (uint64_t number = 1; number <= rig_last_segment(&rig); number++) {
        char name[TN_WAL_NAME_BYTES];
        uint64_t size = 0;
        tn__wal_name(name, number, false);
        (void)tn__sim_disk_peek(rig.disk, name, &size);
        for (uint64_t at = 0; at < size; at++) {
            struct rig copy;
            rig_copy(&copy, &rig, at);
            uint64_t bits = tn__random_below(&random, 255) + 1;
            for (uint32_t bit = 0; bit < 8; bit++) {
                if ((bits >> bit & 1) != 0) {
                    assert_true(tn__sim_disk_flip(copy.disk, name, 8 * at + bit));
                }
            }
            bool found = rig_must_judge_rightly(&copy);
            damaged += found;
            harmless += !found;
            rig_free(&copy);
        }
    }
    print_message("%u changes are damage, %u are in bytes that hold nothing\n", damaged, harmless);
    assert_true(damaged > 15000);
    rig_free(&rig);
}

static void D7_a_sector_of_zeros_or_of_the_past_is_damage(void **state)
{
    (void)state;
    static uint8_t bytes[RIG_FILE_BYTES_MAX];
    struct rig rig;
    rig_make_log(&rig, BATCHES, true);
    uint32_t damaged = 0;
    for (uint64_t number = 1; number <= rig_last_segment(&rig); number++) {
        char name[TN_WAL_NAME_BYTES];
        tn__wal_name(name, number, false);
        uint64_t size = rig_take_file(&rig, name, bytes);
        for (uint64_t at = 0; at < size; at += 512) {
            uint8_t old[512];
            struct rig copy;
            rig_copy(&copy, &rig, at);
            memcpy(old, bytes + at, 512);
            memset(bytes + at, 0, 512); /* what it was before it was written */
            tn__sim_disk_put(copy.disk, name, bytes, size);
            memcpy(bytes + at, old, 512);
            bool found = rig_must_judge_rightly(&copy);
            damaged += found;
            assert_true(found || tn__wal_zeros(old, 512) || number == rig_last_segment(&rig));
            rig_free(&copy);
        }
    }
    assert_true(damaged > 30);
    rig_free(&rig);
}

/* W2: the first failure of a sync or a write is final; what was under way may be there or not. */
static void D8_a_failed_sync_is_final_and_loses_nothing_durable(void **state)
{
    (void)state;
    uint32_t failures = 0;
    uint32_t halved = 0; /* failures while a batch was written in two halves */
    for (uint64_t n = 1; n <= 120; n++) {
        for (uint32_t kind = 0; kind < 6; kind++) {
            struct rig rig;
            rig_init(&rig, n);
            rig.options.segment_bytes = 4096;
            rig.options.direct = kind >= 2;
            rig.options.apart = kind >= 4;
            rig.halves = kind >= 4;
            rig_must_recover(&rig);
            tn__sim_disk_arm(rig.disk,
                             &(struct tn__sim_disk_plan){.fail_at = n, .failed_sync = kind % 2});
            int error = TN_OK;
            while (rig.written < BATCHES && error == TN_OK) {
                error = rig_write(&rig);
            }
            if (error != TN_OK) {
                failures++;
                halved += rig.halved > 0;
                uint32_t written = rig.written;
                assert_int_equal(error, TN_ERROR_IO);
                assert_int_equal(rig_write(&rig), TN_ERROR_IO);
                assert_int_equal(tn__wal_seal(rig.wal), TN_ERROR_IO);
                bool more;
                assert_int_equal(tn__wal_prepare(rig.wal, &more), TN_ERROR_IO);
                rig.written = written;
            }
            rig_close(&rig);
            tn__sim_disk_restart(rig.disk, n % 3);
            rig_must_recover(&rig);
            rig_close(&rig);
            tn__sim_disk_restart(rig.disk, TN_SIM_DISK_LOSE_ALL);
            rig_must_recover(&rig);
            rig_free(&rig);
        }
    }
    assert_true(failures > 200);
    assert_true(halved > 20);
}

/* W4: a full disk at any operation. Where it was met while a segment was made, nothing was written
 * and the write may be tried again; in a segment that has its space it is a failure like others. */
static void D10_a_full_disk_at_any_operation_writes_nothing_and_may_be_tried_again(void **state)
{
    (void)state;
    uint32_t retried = 0;
    for (uint64_t n = 1; n <= 150; n++) {
        struct rig rig;
        rig_init(&rig, n);
        rig.options.segment_bytes = 4096;
        rig.options.direct = n % 2;
        tn__sim_disk_arm(rig.disk, &(struct tn__sim_disk_plan){
                                       .fail_at = n,
                                       .fail_count = 3,
                                       .fail_error = TN_ERROR_DISK_FULL,
                                       .short_transfers = n % 3 == 0,
                                   });
        int error = rig_open(&rig);
        for (uint32_t i = 0; i < 5 && error == TN_ERROR_DISK_FULL; i++) {
            error = rig_open(&rig);
        }
        assert_int_equal(error, TN_OK);
        assert_int_equal(rig.report.damaged, 0);
        while (rig.written < BATCHES) {
            error = rig_write(&rig);
            if (error == TN_ERROR_DISK_FULL) {
                retried++;
                continue;
            }
            if (error != TN_OK) {
                assert_int_equal(error, TN_ERROR_IO);
                break;
            }
        }
        rig_close(&rig);
        tn__sim_disk_restart(rig.disk, TN_SIM_DISK_ANY);
        rig_must_recover(&rig);
        rig_free(&rig);
    }
    print_message("%u writes tried again\n", retried);
    assert_true(retried > 20);
}

static void W4_with_space_back_the_log_goes_on(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 1);
    rig_must_recover(&rig);
    tn__sim_disk_arm(rig.disk, &(struct tn__sim_disk_plan){.space_bytes = 30000});
    int error = TN_OK;
    while (error == TN_OK) {
        error = rig_write(&rig);
    }
    assert_int_equal(error, TN_ERROR_DISK_FULL);
    uint32_t written = rig.written;
    assert_in_range(written, 10, 60);
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(rig_write(&rig), TN_ERROR_DISK_FULL);
        assert_int_equal(rig.written, written);
    }
    rig_must_read_all(&rig); /* reads are served meanwhile */
    tn__sim_disk_arm(rig.disk, &(struct tn__sim_disk_plan){0});
    rig_write_many(&rig, 20);
    rig_close(&rig);
    rig_must_recover(&rig);
    assert_int_equal(rig.durable, written + 20);
    rig_free(&rig);
}

/* Removed names may stay or go in any order: what is not needed is no gap. */
static void D13_segments_removed_in_part_are_no_gap(void **state)
{
    (void)state;
    for (uint32_t subset = 0; subset < 64; subset++) {
        struct rig rig;
        rig_make_log(&rig, BATCHES, false);
        rig_must_recover(&rig);
        static uint8_t bytes[6][RIG_FILE_BYTES_MAX];
        uint64_t sizes[6];
        char name[TN_WAL_NAME_BYTES];
        for (uint64_t number = 1; number <= 6; number++) {
            tn__wal_name(name, number, false);
            sizes[number - 1] = rig_take_file(&rig, name, bytes[number - 1]);
        }
        for (uint32_t group = 0; group < RIG_GROUPS; group++) {
            tn__wal_retain(rig.wal, group, UINT64_MAX);
        }
        rig_write_many(&rig, 4);
        rig_close(&rig);
        uint64_t size;
        assert_null(tn__sim_disk_peek(rig.disk, "00000006.wal", &size));
        for (uint64_t number = 1; number <= 6; number++) {
            if ((subset >> (number - 1) & 1) != 0) {
                tn__wal_name(name, number, false);
                tn__sim_disk_put(rig.disk, name, bytes[number - 1], sizes[number - 1]);
            }
        }
        assert_int_equal(rig_open(&rig), TN_OK);
        assert_int_equal(rig.report.damaged, 0);
        for (uint64_t number = 1; number <= 6; number++) {
            tn__wal_name(name, number, false);
            assert_null(tn__sim_disk_peek(rig.disk, name, &size));
        }
        rig_free(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(D1_unsynced_writes_lost_or_reordered_lose_nothing_durable),
        cmocka_unit_test(D2_a_batch_torn_anywhere_is_cut_and_nothing_else),
        cmocka_unit_test(D4_a_batch_at_another_place_is_none),
        cmocka_unit_test(D4_a_segment_under_another_name_is_damage),
        cmocka_unit_test(D6_a_sector_that_cannot_be_read_is_tried_again_and_then_is_damage),
        cmocka_unit_test(phxpaxos_H11_a_change_of_any_single_byte_is_never_shown),
        cmocka_unit_test(D7_a_sector_of_zeros_or_of_the_past_is_damage),
        cmocka_unit_test(D8_a_failed_sync_is_final_and_loses_nothing_durable),
        cmocka_unit_test(D10_a_full_disk_at_any_operation_writes_nothing_and_may_be_tried_again),
        cmocka_unit_test(W4_with_space_back_the_log_goes_on),
        cmocka_unit_test(D13_segments_removed_in_part_are_no_gap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
