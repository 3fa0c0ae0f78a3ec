/* The floor: replication without a protocol, what a replicated log costs at least on this machine.
 *
 * Three processes on loopback. A proposal is handed in from another thread; the leader's loop takes
 * all that wait, sends them in one frame with a header and a CRC-32C to both followers, writes the
 * same bytes to its own preallocated file and syncs; a follower checks the CRC, writes, syncs and
 * answers with the number up to which it is durable. What a majority has is answered by callback.
 * No ballots, no elections, no recovery, no catch-up, nothing is ever read again. */
#ifndef TN_BENCH_FLOOR_H
#define TN_BENCH_FLOOR_H

#include "load.h"

struct floor_setting {
    const char *dir; /* where the three files go */
    uint32_t in_flight;
    uint32_t value_bytes;
    uint32_t direct; /* 1: O_DIRECT and O_DSYNC; 0: fdatasync */
    double seconds;
};

struct floor_result {
    struct load_result load;
    double cpu_us; /* a proposal, summed over the three processes, the load's thread included */
};

/* Start the three processes, run, end them. */
void floor_run(const struct floor_setting *setting, struct floor_result *result);

#endif
