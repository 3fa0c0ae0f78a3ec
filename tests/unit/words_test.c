/* Durable words on a disk that crashes, fails, tears and rots.
 *
 * The judge is a pair of numbers kept outside: the highest restart count that was ever handed out,
 * and the highest ceiling that was ever acknowledged. Whatever happens to the disk, a start may
 * fail, but it may never hand out that count again nor remember a lower ceiling. Where one fault
 * at a time is played, a start may not fail either. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/random.h"
#include "sim/sim_disk.h"
#include "store/words.h"
#include "words_life.h"

static uint64_t count_operations(void)
{
    struct tn__sim_disk *disk = tn__sim_disk_new(1);
    struct judge judge = {0};
    live(disk, &judge);
    uint64_t count = tn__sim_disk_operations(disk);
    assert_int_equal(judge.restarts, 2);
    assert_int_equal(judge.ceiling, 400);
    assert_in_range(count, 30, OPERATIONS_MAX);
    tn__sim_disk_free(disk);
    return count;
}

/* ---- Beginning ----------------------------------------------------------------------------- */

static void V4_an_empty_directory_begins_only_by_an_explicit_bootstrap(void **state)
{
    (void)state;
    struct tn__sim_disk *disk = tn__sim_disk_new(1);
    struct tn__words_options options = options_of(disk);
    struct tn__words words;
    options.bootstrap = false;
    assert_int_equal(tn__words_open(&words, &options, why, sizeof(why)), TN_ERROR_NOT_FOUND);
    assert_non_null(strstr(why, "bootstrap"));
    options.bootstrap = true;
    assert_int_equal(tn__words_open(&words, &options, why, sizeof(why)), TN_OK);
    assert_true(words.bootstrapped);
    assert_false(words.repaired);
    assert_int_equal(words.restart_word, 0x1feedf00dULL);
    assert_int_equal(words.ceiling, 0);
    assert_int_equal(words.configuration, 1);
    tn__words_close(&words);
    options.bootstrap = false;
    assert_int_equal(tn__words_open(&words, &options, why, sizeof(why)), TN_OK);
    assert_false(words.bootstrapped);
    assert_false(words.repaired);
    assert_int_equal(words.restart_word >> 32, 2);
    tn__words_close(&words);
    tn__sim_disk_free(disk);
}

static void F1_F3_what_is_written_is_read_back_at_the_next_start(void **state)
{
    (void)state;
    struct tn__sim_disk *disk = tn__sim_disk_new(1);
    struct judge judge = {0};
    struct tn__words words;
    assert_int_equal(open_words(disk, &words, &judge), TN_OK);
    struct tn_record record = {.ceiling = 0x123456789abcULL, .configuration = 7, .left = 1};
    for (uint32_t i = 0; i < TN_TABLES_MAX; i++) {
        record.quarantine_ns[i] = record.ceiling * (i + 1);
    }
    assert_int_equal(tn__words_write(&words, &record), TN_OK);
    tn__sim_disk_restart(disk, TN_SIM_DISK_LOSE_ALL);
    assert_int_equal(open_words(disk, &words, &judge), TN_OK);
    assert_int_equal(words.ceiling, 0x123456789abcULL);
    assert_int_equal(words.configuration, 7);
    assert_int_equal(words.left, 1);
    tn__words_close(&words);
    tn__sim_disk_free(disk);
}

static void a_second_process_on_the_directory_is_refused_until_the_first_has_gone(void **state)
{
    (void)state;
    struct tn__sim_disk *disk = tn__sim_disk_new(1);
    struct judge judge = {0};
    struct tn__words first;
    struct tn__words second;
    assert_int_equal(open_words(disk, &first, &judge), TN_OK);
    assert_int_equal(open_words(disk, &second, &judge), TN_ERROR_LOCKED);
    assert_non_null(strstr(why, "another process"));
    assert_int_equal(raise_ceiling(&first, &judge, 5), TN_OK);
    tn__words_close(&first);
    assert_int_equal(open_words(disk, &second, &judge), TN_OK);
    tn__words_close(&second);
    tn__sim_disk_free(disk);
}

static void a_directory_of_another_cluster_or_node_is_refused_by_name(void **state)
{
    (void)state;
    struct tn__sim_disk *disk = tn__sim_disk_new(1);
    struct judge judge = {0};
    must_open(disk, &judge);
    struct tn__words words;
    struct tn__words_options options = options_of(disk);
    options.node = 4;
    assert_int_equal(tn__words_open(&words, &options, why, sizeof(why)), TN_ERROR_NOT_EMPTY);
    assert_non_null(strstr(why, "node 3"));
    assert_non_null(strstr(why, "node 4"));
    options = options_of(disk);
    options.cluster_id[15] ^= 1;
    assert_int_equal(tn__words_open(&words, &options, why, sizeof(why)), TN_ERROR_NOT_EMPTY);
    assert_non_null(strstr(why, "7468726565"));
    assert_non_null(strstr(why, "7468726564"));
    must_open(disk, &judge);
    assert_int_equal(judge.restarts, 2);
    tn__sim_disk_free(disk);
}

/* Change a field of a file and make its checksum right again. */
static void forge(struct tn__sim_disk *disk, uint32_t slot, uint32_t offset, uint32_t value)
{
    uint64_t bytes = 0;
    uint8_t record[TN_WORDS_RECORD_BYTES];
    const uint8_t *found = tn__sim_disk_peek(disk, names[slot], &bytes);
    assert_int_equal(bytes, sizeof(record));
    memcpy(record, found, sizeof(record));
    tn__put_u32(record + offset, value);
    tn__put_u32(record + 508, tn__crc32c(0, record, 508));
    tn__sim_disk_put(disk, names[slot], record, sizeof(record));
}

static void a_later_format_is_left_alone_and_named(void **state)
{
    (void)state;
    for (uint32_t slot = 0; slot < 2; slot++) {
        struct tn__sim_disk *disk = tn__sim_disk_new(1);
        struct judge judge = {0};
        must_open(disk, &judge);
        forge(disk, slot, 8, TN_WORDS_FORMAT + 1);
        struct tn__words words;
        assert_int_equal(open_words(disk, &words, &judge), TN_ERROR_VERSION);
        tn__sim_disk_free(disk);
    }
}

static void the_last_restart_count_is_never_passed(void **state)
{
    (void)state;
    struct tn__sim_disk *disk = tn__sim_disk_new(1);
    struct judge judge = {0};
    must_open(disk, &judge);
    forge(disk, 0, 44, UINT32_MAX - 2);
    forge(disk, 1, 44, UINT32_MAX - 2);
    struct tn__words_options options = options_of(disk);
    options.random = UINT32_MAX;
    struct tn__words words;
    assert_int_equal(tn__words_open(&words, &options, why, sizeof(why)), TN_OK);
    assert_true(words.restart_word == 0xfffffffeffffffffULL);
    tn__words_close(&words);
    assert_int_equal(tn__words_open(&words, &options, why, sizeof(why)), TN_ERROR_INVALID);
    assert_true(tn__words_diskless_restart_word(UINT64_MAX) != UINT64_MAX);
    assert_true(tn__words_diskless_restart_word(0) != 0);
    assert_int_equal(tn__words_diskless_restart_word(77), 77);
    tn__sim_disk_free(disk);
}

/* ---- Disk id and log ----------------------------------------------------------------------- */

static void V4_a_directory_keeps_the_disk_id_of_its_beginning(void **state)
{
    (void)state;
    struct tn__sim_disk *disk = tn__sim_disk_new(1);
    struct tn__words_options options = options_of(disk);
    struct tn__words words;
    for (uint32_t i = 0; i < 3; i++) {
        options.disk_id[15] = (uint8_t)('1' + i);
        assert_int_equal(tn__words_open(&words, &options, why, sizeof(why)), TN_OK);
        assert_memory_equal(words.disk_id, "disk id drawn #1", 16);
        struct judge judge = {.ceiling = words.ceiling};
        assert_int_equal(raise_ceiling(&words, &judge, 10 * i + 10), TN_OK);
        tn__words_close(&words);
        tn__sim_disk_restart(disk, TN_SIM_DISK_LOSE_ALL);
    }
    tn__sim_disk_free(disk);
}

/* Turn both files into what format 1 wrote: neither disk id nor log. */
static void make_old(struct tn__sim_disk *disk)
{
    for (uint32_t slot = 0; slot < 2; slot++) {
        for (uint32_t offset = 128; offset < 152; offset += 4) {
            forge(disk, slot, offset, 0);
        }
        forge(disk, slot, 8, 1);
    }
}

static void V4_a_directory_of_format_1_gets_a_disk_id_and_keeps_its_words(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 40; n++) {
        struct tn__sim_disk *disk = tn__sim_disk_new(n);
        struct judge judge = {0};
        struct tn__words words;
        assert_int_equal(open_words(disk, &words, &judge), TN_OK);
        assert_int_equal(raise_ceiling(&words, &judge, 500), TN_OK);
        tn__words_close(&words);
        make_old(disk);
        /* The upgrade may crash at any operation, and be tried again with another id. */
        tn__sim_disk_arm(disk, &(struct tn__sim_disk_plan){.crash_at = n});
        struct tn__words_options options = options_of(disk);
        int error = tn__words_open(&words, &options, why, sizeof(why));
        uint8_t told[16] = {0};
        memcpy(told, words.disk_id, error == TN_OK ? sizeof(told) : 0);
        tn__words_close(&words);
        tn__sim_disk_restart(disk, TN_SIM_DISK_ANY);
        options.disk_id[15] = '2';
        assert_int_equal(tn__words_open(&words, &options, why, sizeof(why)), TN_OK);
        assert_int_equal(words.ceiling, 500);
        assert_memory_equal(words.disk_id, "disk id drawn #", 15);
        assert_true(words.disk_id[15] == '1' || words.disk_id[15] == '2');
        assert_true(error != TN_OK || memcmp(told, words.disk_id, sizeof(told)) == 0);
        assert_int_equal(words.log_segment, 0);
        tn__words_close(&words);
        tn__sim_disk_free(disk);
    }
}

static void V4_W3_what_is_said_of_the_log_survives_and_never_falls(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 20; n++) {
        struct tn__sim_disk *disk = tn__sim_disk_new(n);
        struct judge judge = {0};
        struct tn__words words;
        assert_int_equal(open_words(disk, &words, &judge), TN_OK);
        assert_int_equal(words.log_segment, 0);
        assert_int_equal(tn__words_write_log(&words, 7), TN_OK);
        assert_int_equal(tn__words_write_log(&words, 3), TN_OK);
        assert_int_equal(words.log_segment, 7);
        assert_int_equal(raise_ceiling(&words, &judge, 10), TN_OK);
        tn__sim_disk_arm(disk, &(struct tn__sim_disk_plan){.crash_at = n});
        int error = tn__words_write_log(&words, 8);
        assert_int_equal(words.log_segment, error == TN_OK ? 8 : 7);
        tn__words_close(&words);
        tn__sim_disk_restart(disk, TN_SIM_DISK_ANY);
        assert_int_equal(open_words(disk, &words, &judge), TN_OK);
        assert_in_range(words.log_segment, error == TN_OK ? 8 : 7, 8);
        tn__words_close(&words);
        tn__sim_disk_free(disk);
    }
}

/* ---- Crashes ------------------------------------------------------------------------------- */

/* Crash in the midst of operation n of a life, start again, crash in the midst of operation m of
 * that, and so on: for every n and m. */
static void crash_everywhere(enum tn__sim_disk_crash crash, uint64_t seeds)
{
    uint64_t count = count_operations();
    for (uint64_t seed = 0; seed < seeds; seed++) {
        for (uint64_t n = 1; n <= count; n++) {
            struct tn__sim_disk *disk = tn__sim_disk_new(1000 * n + seed);
            struct judge judge = {0};
            tn__sim_disk_arm(disk, &(struct tn__sim_disk_plan){.crash_at = n});
            live(disk, &judge);
            assert_true(tn__sim_disk_crashed(disk));
            tn__sim_disk_restart(disk, crash);
            bool crashed = true;
            uint64_t m = 1;
            for (; crashed; m++) {
                assert_in_range(m, 1, OPERATIONS_MAX);
                struct tn__sim_disk *again = tn__sim_disk_copy(disk, 77 * m + seed);
                struct judge later = judge;
                tn__sim_disk_arm(again, &(struct tn__sim_disk_plan){.crash_at = m});
                live(again, &later);
                crashed = tn__sim_disk_crashed(again);
                tn__sim_disk_restart(again, crash);
                must_open(again, &later);
                tn__sim_disk_free(again);
            }
            assert_true(m > 30);
            tn__sim_disk_free(disk);
        }
    }
}

static void F1_a_crash_at_any_operation_loses_nothing_acknowledged(void **state)
{
    (void)state;
    crash_everywhere(TN_SIM_DISK_LOSE_ALL, 1);
}

static void F1_a_torn_or_reordered_write_at_any_operation_loses_nothing_acknowledged(void **state)
{
    (void)state;
    crash_everywhere(TN_SIM_DISK_ANY, SEEDS);
}

static void F1_a_killed_process_at_any_operation_loses_nothing_acknowledged(void **state)
{
    (void)state;
    crash_everywhere(TN_SIM_DISK_PROCESS_ONLY, 1);
}

/* ---- Failures ------------------------------------------------------------------------------ */

/* Operation n fails; the life goes on as it can; then the machine crashes at operation m of the
 * next start, or the process does and then the machine. */
static void fail_everywhere(int error, uint64_t fail_count, uint32_t failed_sync, uint64_t seeds)
{
    uint64_t count = count_operations();
    for (uint64_t seed = 0; seed < seeds; seed++) {
        for (uint64_t n = 1; n <= count; n++) {
            struct tn__sim_disk *disk = tn__sim_disk_new(1000 * n + seed);
            struct judge judge = {0};
            tn__sim_disk_arm(disk, &(struct tn__sim_disk_plan){
                                       .fail_at = n,
                                       .fail_count = fail_count,
                                       .fail_error = error,
                                       .failed_sync = failed_sync,
                                   });
            live(disk, &judge);
            tn__sim_disk_restart(disk, TN_SIM_DISK_PROCESS_ONLY);
            for (uint64_t m = 1; m <= 40; m++) {
                struct tn__sim_disk *again = tn__sim_disk_copy(disk, 77 * m + seed);
                struct judge later = judge;
                tn__sim_disk_arm(again, &(struct tn__sim_disk_plan){.crash_at = m});
                live(again, &later);
                tn__sim_disk_restart(again, TN_SIM_DISK_ANY);
                must_open(again, &later);
                tn__sim_disk_free(again);
            }
            tn__sim_disk_free(disk);
        }
    }
}

static void F4_a_failure_of_any_operation_is_reported_and_survived(void **state)
{
    (void)state;
    fail_everywhere(TN_ERROR_IO, 1, TN_SIM_DISK_CLEAN, SEEDS);
    fail_everywhere(TN_ERROR_IO, 1, TN_SIM_DISK_REVERTED, SEEDS);
    fail_everywhere(TN_ERROR_IO, 5, TN_SIM_DISK_CLEAN, SEEDS);
}

static void F4_a_full_disk_at_any_operation_is_reported_and_survived(void **state)
{
    (void)state;
    fail_everywhere(TN_ERROR_DISK_FULL, 1, TN_SIM_DISK_CLEAN, 2);
    fail_everywhere(TN_ERROR_DISK_FULL, 4, TN_SIM_DISK_CLEAN, 2);
}

static void F4_a_failed_write_leaves_the_words_and_the_next_one_makes_files_anew(void **state)
{
    (void)state;
    struct tn__sim_disk *disk = tn__sim_disk_new(9);
    struct judge judge = {0};
    struct tn__words words;
    assert_int_equal(open_words(disk, &words, &judge), TN_OK);
    assert_int_equal(raise_ceiling(&words, &judge, 10), TN_OK);
    /* write, sync; then the second file. */
    tn__sim_disk_arm(disk, &(struct tn__sim_disk_plan){.fail_at = 2});
    assert_int_equal(raise_ceiling(&words, &judge, 20), TN_ERROR_IO);
    assert_int_equal(words.ceiling, 10);
    tn__sim_disk_arm(disk, &(struct tn__sim_disk_plan){0});
    assert_int_equal(raise_ceiling(&words, &judge, 30), TN_OK);
    /* unlink, open, write, sync, rename, sync the directory; then write, sync. */
    assert_int_equal(tn__sim_disk_operations(disk), 8);
    tn__sim_disk_arm(disk, &(struct tn__sim_disk_plan){0});
    assert_int_equal(raise_ceiling(&words, &judge, 40), TN_OK);
    assert_int_equal(tn__sim_disk_operations(disk), 4);
    tn__words_close(&words);
    tn__sim_disk_free(disk);
}

static void a_write_needs_no_space_and_a_start_says_when_it_lacks_it(void **state)
{
    (void)state;
    struct tn__sim_disk *disk = tn__sim_disk_new(1);
    struct judge judge = {0};
    struct tn__words words;
    tn__sim_disk_arm(disk, &(struct tn__sim_disk_plan){.space_bytes = 600});
    assert_int_equal(open_words(disk, &words, &judge), TN_ERROR_DISK_FULL);
    assert_non_null(strstr(why, "space"));
    tn__sim_disk_arm(disk, &(struct tn__sim_disk_plan){0});
    assert_int_equal(open_words(disk, &words, &judge), TN_OK);
    tn__sim_disk_arm(disk, &(struct tn__sim_disk_plan){.space_bytes = 1});
    assert_int_equal(raise_ceiling(&words, &judge, 10), TN_OK);
    tn__words_close(&words);
    tn__sim_disk_arm(disk, &(struct tn__sim_disk_plan){.read_only = true});
    assert_int_equal(open_words(disk, &words, &judge), TN_ERROR_READ_ONLY);
    assert_non_null(strstr(why, "permissions"));
    tn__sim_disk_free(disk);
}

static void short_transfers_are_completed(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct tn__sim_disk *disk = tn__sim_disk_new(seed);
        struct judge judge = {0};
        tn__sim_disk_arm(disk, &(struct tn__sim_disk_plan){.short_transfers = true});
        live(disk, &judge);
        assert_int_equal(judge.ceiling, 400);
        assert_int_equal(judge.restarts, 2);
        tn__sim_disk_restart(disk, TN_SIM_DISK_ANY);
        must_open(disk, &judge);
        tn__sim_disk_free(disk);
    }
}

/* ---- Damage -------------------------------------------------------------------------------- */

static struct tn__sim_disk *lived_disk(struct judge *judge)
{
    struct tn__sim_disk *disk = tn__sim_disk_new(5);
    live(disk, judge);
    tn__sim_disk_restart(disk, TN_SIM_DISK_LOSE_ALL);
    return disk;
}

static void any_damaged_bit_of_one_file_is_noticed_and_mended(void **state)
{
    (void)state;
    struct judge judge = {0};
    struct tn__sim_disk *whole = lived_disk(&judge);
    for (uint32_t slot = 0; slot < 2; slot++) {
        for (uint64_t bit = 0; bit < 8ULL * TN_WORDS_RECORD_BYTES; bit++) {
            struct tn__sim_disk *disk = tn__sim_disk_copy(whole, bit);
            struct judge later = judge;
            struct tn__words words;
            assert_true(tn__sim_disk_flip(disk, names[slot], bit));
            assert_int_equal(open_words(disk, &words, &later), TN_OK);
            assert_int_equal(words.ceiling, judge.ceiling);
            assert_true(words.repaired);
            tn__words_close(&words);
            assert_int_equal(open_words(disk, &words, &later), TN_OK);
            assert_false(words.repaired);
            tn__words_close(&words);
            tn__sim_disk_free(disk);
        }
    }
    tn__sim_disk_free(whole);
}

static void D18_damage_to_both_files_ends_the_identity(void **state)
{
    (void)state;
    struct judge judge = {0};
    struct tn__sim_disk *whole = lived_disk(&judge);
    uint64_t random = 11;
    for (uint32_t i = 0; i < 500; i++) {
        struct tn__sim_disk *disk = tn__sim_disk_copy(whole, i);
        struct tn__words words;
        for (uint32_t slot = 0; slot < 2; slot++) {
            uint64_t bit = tn__random_below(&random, 8ULL * TN_WORDS_RECORD_BYTES);
            assert_true(tn__sim_disk_flip(disk, names[slot], bit));
        }
        assert_int_equal(open_words(disk, &words, &judge), TN_ERROR_DAMAGED);
        assert_non_null(strstr(why, "must not vote again"));
        assert_non_null(strstr(why, "new id"));
        tn__sim_disk_free(disk);
    }
    tn__sim_disk_free(whole);
}

static void D15_a_missing_short_or_long_file_is_mended_from_the_other(void **state)
{
    (void)state;
    struct judge judge = {0};
    struct tn__sim_disk *whole = lived_disk(&judge);
    static const uint8_t longer[2 * TN_WORDS_RECORD_BYTES];
    static const size_t sizes[] = {0, 1, 511, 513, 1024};
    for (uint32_t slot = 0; slot < 2; slot++) {
        struct tn__sim_disk *disk = tn__sim_disk_copy(whole, 1);
        struct judge later = judge;
        assert_true(tn__sim_disk_remove(disk, names[slot]));
        must_open(disk, &later);
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            uint8_t record[sizeof(longer)] = {0};
            uint64_t bytes = 0;
            const uint8_t *found = tn__sim_disk_peek(disk, names[slot], &bytes);
            memcpy(record, found, TN_WORDS_RECORD_BYTES);
            tn__sim_disk_put(disk, names[slot], record, sizes[i]);
            struct tn__words words;
            assert_int_equal(open_words(disk, &words, &later), TN_OK);
            assert_true(words.repaired);
            tn__words_close(&words);
        }
        tn__sim_disk_free(disk);
    }
    tn__sim_disk_free(whole);
}

static void D18_missing_words_in_a_used_directory_end_the_identity(void **state)
{
    (void)state;
    struct judge judge = {0};
    struct tn__sim_disk *disk = lived_disk(&judge);
    struct tn__words words;
    tn__sim_disk_put(disk, "wal", "x", 1);
    assert_true(tn__sim_disk_remove(disk, names[0]));
    assert_true(tn__sim_disk_remove(disk, names[1]));
    assert_int_equal(open_words(disk, &words, &judge), TN_ERROR_DAMAGED);
    assert_non_null(strstr(why, "missing"));
    tn__sim_disk_free(disk);
}

static void D4_files_in_each_others_place_or_of_two_histories_are_refused(void **state)
{
    (void)state;
    struct judge judge = {0};
    struct tn__sim_disk *whole = lived_disk(&judge);
    uint8_t records[2][TN_WORDS_RECORD_BYTES];
    for (uint32_t slot = 0; slot < 2; slot++) {
        uint64_t bytes = 0;
        memcpy(records[slot], tn__sim_disk_peek(whole, names[slot], &bytes), sizeof(records[0]));
    }
    struct tn__sim_disk *disk = tn__sim_disk_copy(whole, 1);
    struct tn__words words;
    tn__sim_disk_put(disk, names[0], records[1], sizeof(records[1]));
    tn__sim_disk_put(disk, names[1], records[0], sizeof(records[0]));
    assert_int_equal(open_words(disk, &words, &judge), TN_ERROR_DAMAGED);
    tn__sim_disk_free(disk);

    disk = tn__sim_disk_copy(whole, 1);
    forge(disk, 0, 48, 1); /* the same sequence, another ceiling */
    assert_int_equal(open_words(disk, &words, &judge), TN_ERROR_DAMAGED);
    assert_non_null(strstr(why, "contradict"));
    tn__sim_disk_free(disk);

    disk = tn__sim_disk_copy(whole, 1);
    forge(disk, 0, 16, 1000); /* later, yet with a smaller ceiling */
    forge(disk, 0, 48, 1);
    assert_int_equal(open_words(disk, &words, &judge), TN_ERROR_DAMAGED);
    tn__sim_disk_free(disk);
    tn__sim_disk_free(whole);
}

static void D7_an_old_version_of_one_file_never_wins(void **state)
{
    (void)state;
    struct judge judge = {0};
    struct tn__sim_disk *disk = lived_disk(&judge);
    uint8_t old[2][TN_WORDS_RECORD_BYTES];
    for (uint32_t slot = 0; slot < 2; slot++) {
        uint64_t bytes = 0;
        memcpy(old[slot], tn__sim_disk_peek(disk, names[slot], &bytes), sizeof(old[0]));
    }
    for (uint32_t slot = 0; slot < 2; slot++) {
        live(disk, &judge);
        tn__sim_disk_put(disk, names[slot], old[slot], sizeof(old[slot]));
        must_open(disk, &judge);
    }
    tn__sim_disk_free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(V4_an_empty_directory_begins_only_by_an_explicit_bootstrap),
        cmocka_unit_test(F1_F3_what_is_written_is_read_back_at_the_next_start),
        cmocka_unit_test(a_second_process_on_the_directory_is_refused_until_the_first_has_gone),
        cmocka_unit_test(a_directory_of_another_cluster_or_node_is_refused_by_name),
        cmocka_unit_test(V4_a_directory_keeps_the_disk_id_of_its_beginning),
        cmocka_unit_test(V4_a_directory_of_format_1_gets_a_disk_id_and_keeps_its_words),
        cmocka_unit_test(V4_W3_what_is_said_of_the_log_survives_and_never_falls),
        cmocka_unit_test(a_later_format_is_left_alone_and_named),
        cmocka_unit_test(the_last_restart_count_is_never_passed),
        cmocka_unit_test(F1_a_crash_at_any_operation_loses_nothing_acknowledged),
        cmocka_unit_test(F1_a_torn_or_reordered_write_at_any_operation_loses_nothing_acknowledged),
        cmocka_unit_test(F1_a_killed_process_at_any_operation_loses_nothing_acknowledged),
        cmocka_unit_test(F4_a_failure_of_any_operation_is_reported_and_survived),
        cmocka_unit_test(F4_a_full_disk_at_any_operation_is_reported_and_survived),
        cmocka_unit_test(F4_a_failed_write_leaves_the_words_and_the_next_one_makes_files_anew),
        cmocka_unit_test(a_write_needs_no_space_and_a_start_says_when_it_lacks_it),
        cmocka_unit_test(short_transfers_are_completed),
        cmocka_unit_test(any_damaged_bit_of_one_file_is_noticed_and_mended),
        cmocka_unit_test(D18_damage_to_both_files_ends_the_identity),
        cmocka_unit_test(D15_a_missing_short_or_long_file_is_mended_from_the_other),
        cmocka_unit_test(D18_missing_words_in_a_used_directory_end_the_identity),
        cmocka_unit_test(D4_files_in_each_others_place_or_of_two_histories_are_refused),
        cmocka_unit_test(D7_an_old_version_of_one_file_never_wins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
