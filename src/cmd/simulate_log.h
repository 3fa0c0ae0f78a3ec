/* tenure-sim run --workload log: see simulate_log.c. */
#ifndef TN_CMD_SIMULATE_LOG_H
#define TN_CMD_SIMULATE_LOG_H

#include <stdbool.h>
#include <stdint.h>

/* What was asked for on the command line, as far as it concerns logs. */
struct tn__simulate_log {
    uint64_t seed;
    uint64_t seeds;
    uint64_t events_max; /* 0: the default */
    uint64_t span_ns;    /* 0: as long as there are events */
    const char *without; /* names of faults, or NULL */
    uint32_t nodes;
    uint32_t threads;
    bool trace;
    bool json;
    bool quiet;
};

/* Returns the exit status. */
int tn__simulate_log(const struct tn__simulate_log *arguments);

#endif
