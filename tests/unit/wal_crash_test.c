/* Crash images: at every I/O step of writing, of a change of segment and of recovery, what the disk
 * may hold afterwards, and whether the log is still what was promised (W2, W3).
 *
 * With few unsynced pieces every subset of them is tried, each whole or not at all; with many, a
 * number drawn by seed, torn at multiples of 8 bytes and reordered besides. Of each image: recovery
 * succeeds without damage; it shows all batches reported durable and nothing that was not asked
 * for; and so does a recovery of that recovery, itself crashed at any step. */
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
    EXHAUSTIVE_PIECES = 8,
    SAMPLES = 12,
    BATCHES = 22, /* more than one change of segment */
    STEPS_MAX = 5000,
};

static uint64_t images;

/* A run: start, write the rest of BATCHES or until something fails; as a process would that stops
 * at the first error. */
static void live(struct rig *rig, uint32_t batches)
{
    if (rig_open(rig) != TN_OK) {
        return;
    }
    int shown = rig->report.damaged ? -1 : rig_shown_batches(rig);
    if (shown < 0) {
        fail_msg("shown: neither %u nor %u batches; damaged %u: %s", rig->durable, rig->written,
                 rig->report.damaged, rig->why);
    }
    rig->durable = (uint32_t)shown;
    rig->written = (uint32_t)shown;
    while (rig->written < batches && rig_write(rig) == TN_OK) {
    }
    if (rig->written == batches) {
        (void)tn__wal_seal(rig->wal);
    }
}

/* A rig whose machine crashed in the midst of operation `step` of a life; false: it has fewer. */
static bool crashed_at(struct rig *rig, const struct rig *from, uint64_t step, uint32_t batches)
{
    rig_copy(rig, from, step);
    tn__sim_disk_arm(rig->disk, &(struct tn__sim_disk_plan){.crash_at = step});
    live(rig, batches);
    bool crashed = tn__sim_disk_crashed(rig->disk);
    rig_close(rig);
    return crashed;
}

/* Draw one of the disk's images: number `i`, the first few being special. */
static void make_image(struct rig *image, const struct rig *crashed, uint64_t i, uint64_t seed)
{
    rig_copy(image, crashed, seed * 7919 + i);
    uint64_t pending = tn__sim_disk_pending(image->disk);
    images++;
    if (pending <= EXHAUSTIVE_PIECES && i < 1ULL << pending) {
        bool lands[EXHAUSTIVE_PIECES];
        for (uint32_t bit = 0; bit < EXHAUSTIVE_PIECES; bit++) {
            lands[bit] = (i >> bit & 1) != 0;
        }
        tn__sim_disk_restart_with(image->disk, lands);
        return;
    }
    enum tn__sim_disk_crash kinds[] = {TN_SIM_DISK_LOSE_ALL, TN_SIM_DISK_PROCESS_ONLY};
    tn__sim_disk_restart(image->disk, i < 2 ? kinds[i] : TN_SIM_DISK_ANY);
}

static uint64_t images_of(const struct rig *crashed, uint64_t samples)
{
    uint64_t pending = tn__sim_disk_pending(crashed->disk);
    return (pending <= EXHAUSTIVE_PIECES ? 1ULL << pending : 2) + samples;
}

/* Recover, write a little, recover again: nothing reported may be lost by the way. */
static void must_live_on(struct rig *image)
{
    rig_must_recover(image);
    rig_must_read_all(image);
    rig_write_many(image, 3);
    rig_close(image);
    tn__sim_disk_restart(image->disk, TN_SIM_DISK_LOSE_ALL);
    rig_must_recover(image);
    rig_must_read_all(image);
    rig_free(image);
}

static void crash_everywhere(uint32_t direct, uint32_t restarts)
{
    struct rig start;
    rig_init(&start, 1);
    start.options.direct = direct;
    start.halves = direct != 0; /* as where the kernel has a ring */
    start.options.segment_bytes = 4096;
    for (uint32_t i = 0; i < restarts; i++) { /* begin with a log of that many short runs */
        live(&start, 4 * (i + 1));
        rig_close(&start);
        tn__sim_disk_restart(start.disk, TN_SIM_DISK_PROCESS_ONLY);
    }
    uint64_t step = 1;
    struct rig crashed;
    for (; crashed_at(&crashed, &start, step, BATCHES); step++) {
        assert_in_range(step, 1, STEPS_MAX);
        uint64_t count = images_of(&crashed, SAMPLES);
        for (uint64_t i = 0; i < count; i++) {
            struct rig image;
            make_image(&image, &crashed, i, step);
            must_live_on(&image);
        }
        rig_free(&crashed);
    }
    rig_free(&crashed);
    print_message("%llu steps\n", (unsigned long long)step);
    assert_true(step > 40);
    rig_free(&start);
}

static void W3_every_image_of_every_step_keeps_what_was_durable(void **state)
{
    (void)state;
    images = 0;
    crash_everywhere(0, 0);
    crash_everywhere(1, 0);
    print_message("%llu images\n", (unsigned long long)images);
    assert_true(images > 1000);
}

static void W3_every_image_after_earlier_starts_keeps_what_was_durable(void **state)
{
    (void)state;
    images = 0;
    crash_everywhere(0, 3);
    crash_everywhere(1, 3);
    print_message("%llu images\n", (unsigned long long)images);
}

/* Crash while writing, then in every step of the recovery of each image, and of the recovery of
 * that. */
static void W3_recovery_may_crash_at_any_step_and_be_repeated(void **state)
{
    (void)state;
    images = 0;
    uint64_t steps = 0;
    struct rig start;
    rig_init(&start, 1);
    start.options.segment_bytes = 4096;
    struct rig crashed;
    uint64_t random = 5;
    for (uint64_t step = 1; crashed_at(&crashed, &start, step, 12); step++) {
        struct rig image;
        make_image(&image, &crashed, 1 + tn__random_below(&random, 6), step);
        struct rig again;
        for (uint64_t at = 1; crashed_at(&again, &image, at, 0); at++) {
            struct rig last;
            make_image(&last, &again, tn__random_below(&random, 8), step + at);
            must_live_on(&last);
            rig_free(&again);
            steps++;
        }
        rig_free(&again);
        rig_free(&image);
        rig_free(&crashed);
    }
    rig_free(&crashed);
    rig_free(&start);
    print_message("%llu steps of recovery\n", (unsigned long long)steps);
    assert_true(steps > 500);
}

/* What recovery has shown was read from the page cache of a killed process: it must be durable by
 * the time it is shown to be there. */
static void W3_what_a_killed_process_left_in_the_cache_is_durable_once_recovered(void **state)
{
    (void)state;
    struct rig start;
    rig_init(&start, 1);
    struct rig crashed;
    uint32_t rewritten = 0;
    for (uint64_t step = 1; crashed_at(&crashed, &start, step, BATCHES); step++) {
        tn__sim_disk_restart(crashed.disk, TN_SIM_DISK_PROCESS_ONLY);
        rig_must_recover(&crashed);
        rewritten += crashed.report.bytes_rewritten > 0;
        rig_close(&crashed);
        tn__sim_disk_restart(crashed.disk, TN_SIM_DISK_LOSE_ALL);
        rig_must_recover(&crashed);
        rig_free(&crashed);
    }
    rig_free(&crashed);
    rig_free(&start);
    assert_true(rewritten > 20);
}

/* Write on and let go of what is older than a few slots, so that segments are removed. */
static void live_and_let_go(struct rig *rig)
{
    if (rig_open(rig) != TN_OK) {
        return;
    }
    while (rig->written < 3 * BATCHES && rig_write(rig) == TN_OK) {
        for (uint32_t group = 0; group < RIG_GROUPS; group++) {
            struct rig_model model;
            rig_model_after(&model, rig->written);
            tn__wal_retain(rig->wal, group, model.groups[group].committed);
        }
    }
}

/* What is gone must have been said to be gone, durably, before: else it is damage. */
static void W4_every_image_while_segments_are_removed_is_whole(void **state)
{
    (void)state;
    bool crashed = true;
    uint64_t step = 1;
    for (; crashed; step++) {
        struct rig rig;
        rig_init(&rig, step);
        rig.options.segment_bytes = 4096;
        rig.options.direct = step % 2;
        tn__sim_disk_arm(rig.disk, &(struct tn__sim_disk_plan){.crash_at = step});
        live_and_let_go(&rig);
        crashed = tn__sim_disk_crashed(rig.disk);
        rig_close(&rig);
        for (uint64_t i = 0; i < images_of(&rig, SAMPLES); i++) {
            struct rig image;
            make_image(&image, &rig, i, step);
            assert_int_equal(rig_open(&image), TN_OK);
            if (image.report.damaged) {
                fail_msg("step %llu: %s", (unsigned long long)step, image.why);
            }
            bool same = false;
            for (uint32_t batches = image.durable; batches <= image.written; batches++) {
                struct rig_model model;
                bool all = true;
                rig_model_after(&model, batches);
                for (uint32_t group = 0; group < RIG_GROUPS; group++) {
                    all = all && model.groups[group].promise == image.shown.groups[group].promise &&
                          model.groups[group].committed == image.shown.groups[group].committed;
                    for (uint64_t slot = model.groups[group].committed + 1; slot < RIG_SLOTS_MAX;
                         slot++) {
                        all = all && model.groups[group].slots[slot] ==
                                         image.shown.groups[group].slots[slot];
                    }
                }
                same = same || all;
            }
            assert_true(same);
            rig_free(&image);
        }
        rig_free(&rig);
    }
    assert_true(step > 150);
}

/* Many lives, each ended by a crash by chance or a kill, with segments dropped in between. */
static void W3_chance_crashes_over_many_lives_lose_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct rig rig;
        rig_init(&rig, seed);
        rig.options.direct = seed % 2;
        uint64_t random = seed;
        for (uint32_t life = 0; life < 12; life++) {
            struct tn__sim_disk_plan plan = {.crash_per_million = 20000,
                                             .short_transfers = seed % 3 == 0};
            tn__sim_disk_arm(rig.disk, &plan);
            live(&rig, rig.written + 10);
            rig_close(&rig);
            tn__sim_disk_restart(rig.disk, tn__random_below(&random, 3));
        }
        rig_must_recover(&rig);
        rig_must_read_all(&rig);
        rig_free(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(W3_every_image_of_every_step_keeps_what_was_durable),
        cmocka_unit_test(W3_every_image_after_earlier_starts_keeps_what_was_durable),
        cmocka_unit_test(W3_recovery_may_crash_at_any_step_and_be_repeated),
        cmocka_unit_test(W3_what_a_killed_process_left_in_the_cache_is_durable_once_recovered),
        cmocka_unit_test(W4_every_image_while_segments_are_removed_is_whole),
        cmocka_unit_test(W3_chance_crashes_over_many_lives_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
