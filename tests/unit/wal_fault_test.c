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
    FILE_BYTES_MAX = 65536,
};

/* A log of `batches`, closed, of segments of 4 KiB; sealed: its last batch is vouched for. */
static void make_log(struct rig *rig, uint32_t batches, bool sealed)
{
    rig_init(rig, 1);
    rig->options.segment_bytes = 4096;
    rig_must_recover(rig);
    rig_write_many(rig, batches);
    if (sealed) {
        assert_int_equal(tn__wal_seal(rig->wal), TN_OK);
    }
    rig_close(rig);
}

/* A copy of a file, to be changed. */
static uint64_t take_file(const struct rig *rig, const char *name, uint8_t *bytes)
{
    uint64_t size = 0;
    const uint8_t *found = tn__sim_disk_peek(rig->disk, name, &size);
    assert_non_null(found);
    assert_in_range(size, 0, FILE_BYTES_MAX);
    memcpy(bytes, found, size);
    return size;
}

static uint64_t last_segment(const struct rig *rig)
{
    uint64_t last = 0;
    for (uint64_t number = 1; number < 100; number++) {
        char name[TN_WAL_NAME_BYTES];
        uint64_t size;
        tn__wal_name(name, number, false);
        last = tn__sim_disk_peek(rig->disk, name, &size) != NULL ? number : last;
    }
    return last;
}

/* Start; nothing false may be shown, and without damage nothing may lack. Returns: damaged? */
static bool must_judge_rightly(struct rig *rig)
{
    int error = rig_open(rig);
    if (error != TN_OK) {
        fail_msg("no start: %s: %s", tn_err_name(error), rig->why);
    }
    rig_must_be_true(rig);
    if (rig->report.damaged) {
        assert_true(strlen(rig->why) > 40);
    } else {
        assert_int_equal(rig_shown_batches(rig), rig->written);
    }
    return rig->report.damaged;
}

/* Damage stays damage at every later start, until it was healed. */
static void must_stay_damaged(struct rig *rig)
{
    for (uint32_t i = 0; i < 2; i++) {
        rig_close(rig);
        assert_int_equal(rig_open(rig), TN_OK);
        assert_int_equal(rig->report.damaged, 1);
        rig_must_be_true(rig);
    }
}

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
    make_log(&rig, 9, false); /* batch 9 is a long one */
    static uint8_t whole[FILE_BYTES_MAX];
    static uint8_t torn[FILE_BYTES_MAX];
    char name[TN_WAL_NAME_BYTES];
    tn__wal_name(name, last_segment(&rig), false);
    uint64_t size = take_file(&rig, name, whole);
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
    make_log(&rig, BATCHES, true);
    static uint8_t from[FILE_BYTES_MAX];
    static uint8_t to[FILE_BYTES_MAX];
    uint32_t damaged = 0;
    uint64_t last = last_segment(&rig);
    for (uint64_t source = 1; source <= last; source++) {
        for (uint64_t target = 1; target <= last; target++) {
            char name[TN_WAL_NAME_BYTES];
            tn__wal_name(name, source, false);
            uint64_t source_size = take_file(&rig, name, from);
            tn__wal_name(name, target, false);
            uint64_t size = take_file(&rig, name, to);
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
                damaged += must_judge_rightly(&copy);
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
    static uint8_t bytes[FILE_BYTES_MAX];
    struct rig rig;
    make_log(&rig, BATCHES, true);
    uint64_t size = take_file(&rig, "00000002.wal", bytes);
    tn__sim_disk_put(rig.disk, "00000003.wal", bytes, size);
    assert_true(must_judge_rightly(&rig));
    assert_non_null(strstr(rig.why, "00000003.wal"));
    must_stay_damaged(&rig);
    rig_free(&rig);
}

/* Reads fail at every step of a start, once or for good. */
static void D6_a_sector_that_cannot_be_read_is_tried_again_and_then_is_damage(void **state)
{
    (void)state;
    struct rig rig;
    make_log(&rig, BATCHES, true);
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
static void D7_a_change_of_any_single_byte_is_never_shown(void **state)
{
    (void)state;
    struct rig rig;
    make_log(&rig, BATCHES, true);
    uint32_t damaged = 0;
    uint32_t harmless = 0;
    uint64_t random = 3;
    for (uint64_t number = 1; number <= last_segment(&rig); number++) {
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
            bool found = must_judge_rightly(&copy);
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
    static uint8_t bytes[FILE_BYTES_MAX];
    struct rig rig;
    make_log(&rig, BATCHES, true);
    uint32_t damaged = 0;
    for (uint64_t number = 1; number <= last_segment(&rig); number++) {
        char name[TN_WAL_NAME_BYTES];
        tn__wal_name(name, number, false);
        uint64_t size = take_file(&rig, name, bytes);
        for (uint64_t at = 0; at < size; at += 512) {
            uint8_t old[512];
            struct rig copy;
            rig_copy(&copy, &rig, at);
            memcpy(old, bytes + at, 512);
            memset(bytes + at, 0, 512); /* what it was before it was written */
            tn__sim_disk_put(copy.disk, name, bytes, size);
            memcpy(bytes + at, old, 512);
            bool found = must_judge_rightly(&copy);
            damaged += found;
            assert_true(found || tn__wal_zeros(old, 512) || number == last_segment(&rig));
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
    for (uint64_t n = 1; n <= 120; n++) {
        for (uint32_t kind = 0; kind < 4; kind++) {
            struct rig rig;
            rig_init(&rig, n);
            rig.options.segment_bytes = 4096;
            rig.options.direct = kind / 2;
            rig_must_recover(&rig);
            tn__sim_disk_arm(rig.disk,
                             &(struct tn__sim_disk_plan){.fail_at = n, .failed_sync = kind % 2});
            int error = TN_OK;
            while (rig.written < BATCHES && error == TN_OK) {
                error = rig_write(&rig);
            }
            if (error != TN_OK) {
                failures++;
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
        make_log(&rig, BATCHES, false);
        rig_must_recover(&rig);
        static uint8_t bytes[6][FILE_BYTES_MAX];
        uint64_t sizes[6];
        char name[TN_WAL_NAME_BYTES];
        for (uint64_t number = 1; number <= 6; number++) {
            tn__wal_name(name, number, false);
            sizes[number - 1] = take_file(&rig, name, bytes[number - 1]);
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

/* Valid batches of another time behind the end: of this place in another segment, of another
 * directory, of a run before. */
static void D14_stale_batches_behind_the_end_are_not_taken(void **state)
{
    (void)state;
    static uint8_t bytes[FILE_BYTES_MAX];
    static uint8_t stale[FILE_BYTES_MAX];
    for (uint32_t kind = 0; kind < 3; kind++) {
        struct rig rig;
        struct rig other;
        make_log(&rig, 2, false);
        make_log(&other, kind == 0 ? 30 : 12, false);
        if (kind == 1) {
            rig_free(&other);
            rig_init(&other, 1);
            other.options.disk_id[0] ^= 1;
            other.options.segment_bytes = 4096;
            rig_must_recover(&other);
            rig_write_many(&other, 12);
            rig_close(&other);
        }
        uint64_t size = take_file(&rig, "00000001.wal", bytes);
        uint64_t stale_size = take_file(&other, kind == 0 ? "00000002.wal" : "00000001.wal", stale);
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
        make_log(&rig, BATCHES, true);
        uint64_t last = last_segment(&rig);
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
            assert_true(must_judge_rightly(&copy));
            must_stay_damaged(&copy);
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
    assert_int_equal(found.damaged, 1);
    must_stay_damaged(&rig);
    assert_int_equal(tn__wal_heal(rig.wal), TN_OK);
    rig_close(&rig);
    rig_must_recover(&rig);
    rig_free(&rig);
}

static void D15_a_segment_that_may_not_be_read_ends_the_start_by_name(void **state)
{
    (void)state;
    struct rig rig;
    make_log(&rig, 10, true);
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
    static uint8_t bytes[FILE_BYTES_MAX];
    for (uint32_t sealed = 0; sealed < 2; sealed++) {
        struct rig rig;
        make_log(&rig, BATCHES, sealed);
        uint32_t torn = 0;
        uint32_t batches = 0;
        for (uint64_t number = 1; number <= last_segment(&rig); number++) {
            char name[TN_WAL_NAME_BYTES];
            tn__wal_name(name, number, false);
            uint64_t size = take_file(&rig, name, bytes);
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
    make_log(&rig, BATCHES, true);
    char name[TN_WAL_NAME_BYTES];
    tn__wal_name(name, 3, false);
    assert_true(tn__sim_disk_flip(rig.disk, name, 8 * (512 + TN_WAL_BATCH_BYTES + 45)));
    assert_true(must_judge_rightly(&rig));
    for (uint32_t group = 0; group < RIG_GROUPS; group++) {
        struct tn_log_recovered found;
        assert_true(tn__wal_found(rig.wal, group, &found));
        assert_int_equal(found.damaged, 1);
        assert_true(found.damaged_upto >= found.committed);
    }
    rig_free(&rig);
}

/* W3: fetched again and said so, it is no damage any more; and until then the files stay. */
static void W3_damage_ends_when_it_was_healed_and_not_before(void **state)
{
    (void)state;
    for (uint64_t n = 0; n <= 12; n++) {
        struct rig rig;
        make_log(&rig, BATCHES, true);
        assert_true(tn__sim_disk_flip(rig.disk, "00000003.wal", 8 * 1200));
        assert_true(must_judge_rightly(&rig));
        for (uint32_t group = 0; group < RIG_GROUPS; group++) {
            tn__wal_retain(rig.wal, group, UINT64_MAX);
        }
        rig_write_many(&rig, 20);
        uint64_t size;
        assert_non_null(tn__sim_disk_peek(rig.disk, "00000003.wal", &size));
        must_stay_damaged(&rig);
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
        make_log(&rig, 20, false);
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
static void phxpaxos_truncation_offset_a_cut_end_is_followed_by_a_new_segment(void **state)
{
    (void)state;
    struct rig rig;
    make_log(&rig, 12, false);
    char name[TN_WAL_NAME_BYTES];
    uint64_t last = last_segment(&rig);
    tn__wal_name(name, last, false);
    static uint8_t bytes[FILE_BYTES_MAX];
    uint64_t size = take_file(&rig, name, bytes);
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
    make_log(&rig, 12, false);
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
    make_log(&rig, BATCHES, true);
    static uint8_t bytes[FILE_BYTES_MAX];
    uint64_t size = take_file(&rig, "00000002.wal", bytes);
    const uint64_t offsets[] = {512 + 56, 512 + 64, 512 + 72, 512 + 84, 512 + 94};
    for (uint32_t i = 0; i < 5; i++) {
        for (uint32_t j = 0; j < 6; j++) {
            struct rig copy;
            rig_copy(&copy, &rig, i);
            uint8_t old[4];
            memcpy(old, bytes + offsets[i], 4);
            memcpy(bytes + offsets[i], &lengths[j], 4);
            tn__sim_disk_put(copy.disk, "00000002.wal", bytes, size);
            assert_true(must_judge_rightly(&copy) || memcmp(old, &lengths[j], 4) == 0);
            memcpy(bytes + offsets[i], old, 4);
            rig_free(&copy);
        }
    }
    rig_free(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(D1_unsynced_writes_lost_or_reordered_lose_nothing_durable),
        cmocka_unit_test(D2_a_batch_torn_anywhere_is_cut_and_nothing_else),
        cmocka_unit_test(D4_a_batch_at_another_place_is_none),
        cmocka_unit_test(D4_a_segment_under_another_name_is_damage),
        cmocka_unit_test(D6_a_sector_that_cannot_be_read_is_tried_again_and_then_is_damage),
        cmocka_unit_test(D7_a_change_of_any_single_byte_is_never_shown),
        cmocka_unit_test(D7_a_sector_of_zeros_or_of_the_past_is_damage),
        cmocka_unit_test(D8_a_failed_sync_is_final_and_loses_nothing_durable),
        cmocka_unit_test(D10_a_full_disk_at_any_operation_writes_nothing_and_may_be_tried_again),
        cmocka_unit_test(W4_with_space_back_the_log_goes_on),
        cmocka_unit_test(D13_segments_removed_in_part_are_no_gap),
        cmocka_unit_test(D14_stale_batches_behind_the_end_are_not_taken),
        cmocka_unit_test(D15_a_missing_or_empty_segment_is_damage),
        cmocka_unit_test(D15_a_log_that_is_gone_altogether_is_damage),
        cmocka_unit_test(D15_a_segment_that_may_not_be_read_ends_the_start_by_name),
        cmocka_unit_test(D16_a_torn_end_is_told_from_damage_before_it),
        cmocka_unit_test(D18_a_damaged_promise_is_damage_of_every_group),
        cmocka_unit_test(W3_damage_ends_when_it_was_healed_and_not_before),
        cmocka_unit_test(every_operation_that_fails_is_reported_and_survived),
        cmocka_unit_test(every_allocation_that_fails_is_reported_and_survived),
        cmocka_unit_test(phxpaxos_truncation_offset_a_cut_end_is_followed_by_a_new_segment),
        cmocka_unit_test(phxpaxos_index_before_data_the_index_is_made_from_what_is_durable),
        cmocka_unit_test(phxpaxos_empty_file_one_being_made_is_no_part_of_the_log),
        cmocka_unit_test(phxpaxos_length_field_no_length_is_used_before_it_is_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
