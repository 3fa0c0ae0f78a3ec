/* A closed loop of proposals; the header tells the shape.
 *
 * The ring of answered places needs no lock: one thread answers, one takes. Who finds it empty says
 * that it sleeps, looks once more, and waits on the counter itself (a futex), so an answer costs a
 * system call only when somebody sleeps. */
#define _GNU_SOURCE
#include "load.h"

#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "cell.h"

static int compare_samples(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

void load_answer(struct load_place *place)
{
    struct load *load = place->load;
    uint64_t now = cell_now_ns();
    if (now >= load->measure_from && now < atomic_load(&load->measure_to)) {
        load->answered += 1;
        if (place->began >= load->measure_from && load->samples_count < LOAD_SAMPLES_MAX) {
            uint64_t taken = now - place->began;
            load->samples[load->samples_count++] =
                taken > UINT32_MAX ? UINT32_MAX : (uint32_t)taken;
        }
    }
    uint32_t freed = atomic_load_explicit(&load->freed, memory_order_relaxed);
    load->free[freed % LOAD_IN_FLIGHT_MAX] = place->index;
    atomic_store(&load->freed, freed + 1);
    if (atomic_load(&load->asleep) != 0) {
        syscall(SYS_futex, &load->freed, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
}

/* Wait until a place is free, a tenth of a second at most. */
static void wait_for_place(struct load *load)
{
    struct timespec limit = {0, 100000000L};
    atomic_store(&load->asleep, 1);
    if (atomic_load(&load->freed) == load->taken) {
        syscall(SYS_futex, &load->freed, FUTEX_WAIT_PRIVATE, load->taken, &limit, NULL, 0);
    }
    atomic_store(&load->asleep, 0);
}

static void summarize(struct load *load, struct load_result *result)
{
    uint32_t count = (uint32_t)load->samples_count;
    qsort(load->samples, count, sizeof(load->samples[0]), compare_samples);
    *result = (struct load_result){
        .rate = (double)load->answered * 1e9 / (double)(load->measure_to - load->measure_from),
        .p10_us = count == 0 ? 0 : load->samples[count / 10] / 1e3,
        .median_us = count == 0 ? 0 : load->samples[count / 2] / 1e3,
        .p99_us = count == 0 ? 0 : load->samples[(uint64_t)count * 99 / 100] / 1e3,
        .answered = load->answered,
    };
}

void load_run(struct load *load, struct load_result *result)
{
    uint8_t *value = malloc(load->value_bytes + 1U);
    load->samples = malloc(LOAD_SAMPLES_MAX * sizeof(load->samples[0]));
    if (value == NULL || load->samples == NULL || load->in_flight > LOAD_IN_FLIGHT_MAX) {
        fprintf(stderr, "load: no memory\n");
        exit(1);
    }
    memset(value, 'v', load->value_bytes);
    for (uint32_t i = 0; i < load->in_flight; i++) {
        load->places[i] = (struct load_place){.load = load, .index = i};
        load->free[i] = i;
    }
    uint64_t start = cell_now_ns();
    load->measure_from = start + load->warm_up_ns;
    atomic_store(&load->measure_to, load->measure_from + load->run_ns);
    load->taken = 0;
    load->answered = 0;
    load->samples_count = 0;
    atomic_store(&load->freed, load->in_flight);
    uint64_t give_up = load->measure_to + 30ULL * TN_SECOND;
    for (;;) {
        uint64_t now = cell_now_ns();
        uint32_t freed = atomic_load(&load->freed);
        if (load->enough != NULL && atomic_load(load->enough) != 0 && now < load->measure_to &&
            now > load->measure_from) {
            atomic_store(&load->measure_to, now);
            give_up = now + 30ULL * TN_SECOND;
        }
        if (now >= load->measure_to && (freed - load->taken == load->in_flight || now > give_up)) {
            break;
        }
        if (freed == load->taken || now >= load->measure_to) {
            wait_for_place(load);
            continue;
        }
        struct load_place *place = &load->places[load->free[load->taken % LOAD_IN_FLIGHT_MAX]];
        place->began = now;
        if (load->propose(load->context, value, load->value_bytes, place)) {
            load->taken += 1;
        } else {
            cell_sleep_ms(1);
        }
    }
    summarize(load, result);
    free(load->samples);
    free(value);
}
