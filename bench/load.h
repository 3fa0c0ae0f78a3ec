/* A closed loop of proposals: so many in flight, each answered before its place is taken again.
 *
 * One thread proposes; answers come from another thread, in any order. The same load drives tenure
 * and the floor that it is measured against, so what the load costs is on both sides. */
#ifndef TN_BENCH_LOAD_H
#define TN_BENCH_LOAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define LOAD_IN_FLIGHT_MAX 4096U
#define LOAD_SAMPLES_MAX (1U << 20)

struct load;

struct load_place {
    struct load *load;
    uint64_t began;
    uint32_t index;
};

struct load {
    uint32_t in_flight;
    uint32_t value_bytes;
    uint64_t warm_up_ns;
    uint64_t run_ns;
    const _Atomic uint32_t *enough; /* not NULL: or until that is not 0 */
    /* Hand a proposal in. False: not now, it is tried again. */
    bool (*propose)(void *context, const void *bytes, uint32_t count, struct load_place *place);
    void *context;

    /* Inside: the answered places, written by the answering thread, taken by the proposing one. */
    uint32_t free[LOAD_IN_FLIGHT_MAX];
    _Atomic uint32_t freed; /* how many places were ever put into `free` */
    uint32_t taken;
    _Atomic uint32_t asleep;
    struct load_place places[LOAD_IN_FLIGHT_MAX];
    uint64_t measure_from;
    _Atomic uint64_t measure_to;
    uint64_t answered; /* within the measured time */
    uint64_t samples_count;
    uint32_t *samples; /* nanoseconds, LOAD_SAMPLES_MAX of them at most */
};

struct load_result {
    double rate;   /* answered proposals a second */
    double p10_us; /* of those that nothing else got in the way of, on a busy machine */
    double median_us;
    double p99_us;
    uint64_t answered;
};

/* Run the load on this thread; returns when its time is over and every place was answered. */
void load_run(struct load *load, struct load_result *result);

/* The proposal in this place is answered. From one thread at a time. */
void load_answer(struct load_place *place);

#endif
