/* The log's parts, one by one: the index of slots against a dumb model, what is restated of a
 * group, the window on a file, names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tenure/error.h>

#include "base/random.h"
#include "os/memory.h"
#include "sim/sim_disk.h"
#include "store/wal_index.h"
#include "store/wal_scan.h"
#include "store/wal_states.h"
#include "store/wal_window.h"

enum {
    GROUPS = 3,
    SLOTS = 200,
    STEPS = 400,
};

static const struct tn__wal_memory memory = {.allocate = tn__memory_resize};

/* ---- Index --------------------------------------------------------------------------------- */

struct model {
    uint64_t record[GROUPS][SLOTS]; /* the number of the record that holds the slot; 0: none */
};

static void must_agree(const struct tn__wal_index *index, const struct model *model)
{
    tn__wal_index_check(index);
    for (uint32_t group = 0; group < GROUPS; group++) {
        uint64_t last = 0;
        uint64_t reach = 1;
        for (uint64_t slot = 1; slot < SLOTS; slot++) {
            uint64_t record = model->record[group][slot];
            const struct tn__wal_run *run = tn__wal_index_find(index, group, slot);
            assert_int_equal(run == NULL ? 0 : run->offset, record);
            reach = record == 0 ? slot + 1 : reach;
            last = record == 0 ? last : slot;
            assert_int_equal(tn__wal_index_reach(index, group, slot), reach);
        }
        assert_int_equal(tn__wal_index_last(index, group), last);
    }
}

static void the_newest_record_wins_each_slot_as_in_a_dumb_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct tn__wal_index index = {.memory = memory};
        static struct model model;
        memset(&model, 0, sizeof(model));
        uint64_t random = seed;
        for (uint64_t step = 1; step <= STEPS; step++) {
            uint32_t group = (uint32_t)tn__random_below(&random, GROUPS);
            uint64_t slot = 1 + tn__random_below(&random, SLOTS - 20);
            uint64_t what = tn__random_below(&random, 20);
            if (what == 0) { /* whole runs below go */
                const struct tn__wal_run *run = tn__wal_index_find(&index, group, slot);
                uint64_t end = run == NULL ? slot : run->slot_first;
                tn__wal_index_retain(&index, group, slot);
                memset(model.record[group], 0, end * sizeof(model.record[group][0]));
            } else if (what == 1 && step % 7 == 0) {
                tn__wal_index_drop(&index, group);
                memset(model.record[group], 0, sizeof(model.record[group]));
            } else {
                struct tn__wal_run run = {
                    .slot_first = slot,
                    .segment = 1 + step / 50,
                    .offset = step,
                    .count = (uint32_t)(1 + tn__random_below(&random, 15)),
                };
                assert_int_equal(tn__wal_index_reserve(&index, group, run.segment, 2), TN_OK);
                tn__wal_index_add(&index, group, &run);
                for (uint64_t i = 0; i < run.count; i++) {
                    model.record[group][slot + i] = step;
                }
            }
            if (step % 20 == 0) {
                must_agree(&index, &model);
            }
        }
        must_agree(&index, &model);
        tn__wal_index_free(&index);
    }
}

static void K1_the_first_segment_needed_is_the_first_that_a_run_points_into(void **state)
{
    (void)state;
    struct tn__wal_index index = {.memory = memory};
    for (uint64_t segment = 1; segment <= 5; segment++) {
        struct tn__wal_run run = {.slot_first = segment, .segment = segment, .count = 1};
        assert_int_equal(tn__wal_index_reserve(&index, 7, segment, 2), TN_OK);
        tn__wal_index_add(&index, 7, &run);
    }
    assert_int_equal(tn__wal_index_needed(&index), 1);
    tn__wal_index_retain(&index, 7, 3);
    assert_int_equal(tn__wal_index_needed(&index), 3);
    tn__wal_index_trim(&index, 3);
    assert_int_equal(index.segments_count, 3);
    tn__wal_index_purge(&index, 5);
    assert_int_equal(tn__wal_index_needed(&index), 5);
    assert_null(tn__wal_index_find(&index, 7, 4));
    tn__wal_index_drop(&index, 7);
    assert_int_equal(tn__wal_index_needed(&index), 5); /* the last one is being written */
    tn__wal_index_check(&index);
    tn__wal_index_free(&index);
}

/* ---- States -------------------------------------------------------------------------------- */

/* A record of one entry at the slot: a configuration of that version, or a no-op. */
static void apply(struct tn__wal_states *states, uint8_t kind, uint64_t slot, uint32_t version,
                  uint64_t attempt, uint64_t committed)
{
    uint8_t bytes[TN_WAL_RECORD_BYTES + 128];
    struct tn__wal_record record = {
        .group = 4,
        .kind = kind,
        .count = slot > 0,
        .configures = version > 0,
        .slot_first = slot,
        .committed = committed,
        .checksum = committed * 3,
        .ballot = {.attempt = attempt, .node = 1},
    };
    struct tn_log_entry entry = {.slot = slot, .ballot = record.ballot};
    entry.value.kind = version > 0 ? TN_LOG_VALUE_CONFIGURATION : TN_LOG_VALUE_NOOP;
    entry.value.version = version;
    uint8_t *end = bytes + TN_WAL_RECORD_BYTES;
    if (slot > 0) {
        end = tn__wal_entry_encode(&entry, &record.ballot, kind, end);
    }
    record.bytes = (uint32_t)(end - bytes);
    (void)tn__wal_record_encode(&record, bytes);
    assert_int_equal(tn__wal_states_apply(states, &record, bytes), TN_OK);
}

static void V3_a_promise_never_falls_and_a_learned_slot_touches_none(void **state)
{
    (void)state;
    struct tn__wal_states states = {.memory = memory};
    apply(&states, TN_LOG_RECORD_PROMISE, 0, 0, 5, 10);
    apply(&states, TN_LOG_RECORD_PROMISE, 0, 0, 3, 4);
    apply(&states, TN_LOG_RECORD_LEARN, 9, 0, 99, 0);
    const struct tn__wal_state *found = tn__wal_states_find(&states, 4);
    assert_non_null(found);
    assert_int_equal(found->promise.attempt, 5);
    assert_int_equal(found->committed, 10);
    assert_int_equal(found->checksum, 30);
    assert_null(tn__wal_states_find(&states, 5));
    tn__wal_states_drop(&states, 4);
    assert_null(tn__wal_states_find(&states, 4));
    tn__wal_states_free(&states);
}

static void configurations_follow_their_slots_and_old_ones_are_forgotten(void **state)
{
    (void)state;
    struct tn__wal_states states = {.memory = memory};
    apply(&states, TN_LOG_RECORD_ACCEPT, 10, 1, 1, 0);
    apply(&states, TN_LOG_RECORD_ACCEPT, 30, 3, 1, 0);
    apply(&states, TN_LOG_RECORD_ACCEPT, 20, 2, 1, 0);
    apply(&states, TN_LOG_RECORD_ACCEPT, 30, 0, 2, 0); /* replaced by a no-op */
    apply(&states, TN_LOG_RECORD_ACCEPT, 20, 7, 2, 25);
    const struct tn__wal_state *found = tn__wal_states_find(&states, 4);
    assert_int_equal(found->configurations_count, 2);
    assert_int_equal(found->configurations[0].slot, 10);
    assert_int_equal(found->configurations[1].slot, 20);
    assert_int_equal(found->configurations[1].value.version, 7);
    apply(&states, TN_LOG_RECORD_ACCEPT, 50000, 8, 2, 40000);
    found = tn__wal_states_find(&states, 4);
    assert_int_equal(found->configurations_count, 2); /* 20 governs until 50000 does */
    assert_int_equal(found->configurations[0].slot, 20);
    tn__wal_states_free(&states);
}

/* ---- Windows and names --------------------------------------------------------------------- */

static void D6_a_window_gives_zeros_for_what_cannot_be_read_and_says_so(void **state)
{
    (void)state;
    struct tn__sim_disk *disk = tn__sim_disk_new(1);
    static uint8_t bytes[20000];
    for (uint32_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(1 + i % 251);
    }
    tn__sim_disk_put(disk, "f", bytes, sizeof(bytes));
    struct tn__wal_window window = {.files = tn__sim_disk_files(disk),
                                    .memory = memory,
                                    .file = TN_FILE_NONE,
                                    .ahead_bytes = 9000};
    tn__file directory;
    const uint8_t *got;
    assert_int_equal(
        window.files.operations->open_directory(window.files.context, "d", false, &directory),
        TN_OK);
    assert_int_equal(tn__wal_window_open(&window, directory, "f", TN_FILE_READ), TN_OK);
    for (uint64_t at = 0; at + 3000 <= sizeof(bytes); at += 700) {
        assert_int_equal(tn__wal_window_get(&window, at, 3000, &got), TN_OK);
        assert_memory_equal(got, bytes + at, 3000);
    }
    assert_int_equal(tn__wal_window_get(&window, 100, 3000, &got), TN_OK); /* and back */
    assert_memory_equal(got, bytes + 100, 3000);
    assert_int_equal(window.unreadable_end, 0);
    /* The large read fails twice, then its first block: the others are read. */
    assert_int_equal(tn__wal_window_open(&window, directory, "f", TN_FILE_READ), TN_OK);
    tn__sim_disk_arm(disk, &(struct tn__sim_disk_plan){.fail_at = 1, .fail_count = 4});
    assert_int_equal(tn__wal_window_get(&window, 0, 9000, &got), TN_OK);
    assert_true(tn__wal_zeros(got, 4096));
    assert_memory_equal(got + 4096, bytes + 4096, 9000 - 4096);
    assert_int_equal(window.unreadable_end, 4096);
    tn__wal_window_free(&window);
    tn__sim_disk_free(disk);
}

static void only_names_of_segments_are_numbers(void **state)
{
    (void)state;
    bool fresh;
    char name[TN_WAL_NAME_BYTES];
    const uint64_t numbers[] = {1, 99999999, 100000000, 9999999999999999999ULL};
    for (uint32_t i = 0; i < 4; i++) {
        for (uint32_t made = 0; made < 2; made++) {
            tn__wal_name(name, numbers[i], made);
            assert_true(tn__wal_name_number(name, &fresh) == numbers[i]);
            assert_int_equal(fresh, made);
        }
    }
    const char *const others[] = {
        "",          "words.0",      "words.0.new",   "lock",
        "1.wal",     "00000000.wal", "000000001.wal", "00000001.wal~",
        "00000001.", "00000001wal",  "x0000001.wal",  "123456789012345678901.wal"};
    for (uint32_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_int_equal(tn__wal_name_number(others[i], &fresh), 0);
    }
}

/* ---- A log of which only the files are known ------------------------------------------------ */

static void W5_a_scan_of_an_empty_directory_finds_nothing_and_no_fault(void **state)
{
    (void)state;
    struct tn__sim_disk *disk = tn__sim_disk_new(1);
    char why[128];
    struct tn__text text;
    tn__text_init(&text, why, sizeof(why));
    struct tn__wal_scan scan = {
        .window = {.files = tn__sim_disk_files(disk), .memory = memory, .file = TN_FILE_NONE},
        .why = &text,
        .block_bytes = 512,
        .read_mode = TN_FILE_READ,
        .any_identity = true,
    };
    assert_int_equal(scan.window.files.operations->open_directory(scan.window.files.context, "d",
                                                                  false, &scan.directory),
                     TN_OK);
    assert_int_equal(tn__wal_scan_run(&scan), TN_OK);
    assert_false(scan.damaged);
    assert_int_equal(scan.segments_count, 0);
    tn__wal_scan_free(&scan);
    tn__sim_disk_free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_record_wins_each_slot_as_in_a_dumb_model),
        cmocka_unit_test(K1_the_first_segment_needed_is_the_first_that_a_run_points_into),
        cmocka_unit_test(V3_a_promise_never_falls_and_a_learned_slot_touches_none),
        cmocka_unit_test(configurations_follow_their_slots_and_old_ones_are_forgotten),
        cmocka_unit_test(D6_a_window_gives_zeros_for_what_cannot_be_read_and_says_so),
        cmocka_unit_test(only_names_of_segments_are_numbers),
        cmocka_unit_test(W5_a_scan_of_an_empty_directory_finds_nothing_and_no_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
