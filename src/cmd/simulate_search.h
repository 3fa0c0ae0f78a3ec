/* One exploration, run and reported: by tenure-sim and by the explorers that mutants are built
 * into. */
#ifndef TN_CMD_SIMULATE_SEARCH_H
#define TN_CMD_SIMULATE_SEARCH_H

#include <stdbool.h>
#include <stdint.h>

#include "check/explore_lease.h"
#include "check/explore_log.h"

/* Statuses beside those of every program. */
#define TN_SEARCH_VIOLATION 3
#define TN_SEARCH_BOUND 4

struct tn__search_request {
    struct tn__explore_lease_config config;
    struct tn__explore_log_config log; /* the log's cells, if it has a name; else the lease's */
    const char *mutant;    /* whose explorer this is; NULL: the code as it is */
    const char *invariant; /* judge by this one alone; NULL: by all */
    const char *trace;     /* where a violation goes as a scenario; NULL: nowhere */
    uint64_t memory_bytes;
    uint64_t seed;
    uint32_t threads;
    bool reduced;
    bool json;
    bool quiet; /* of a series: one line, no story */
};

struct tn__search_totals {
    uint64_t states;
    uint64_t transitions;
    uint64_t elapsed_ns;
    uint64_t memory_bytes; /* the most of any */
    uint32_t searches;
    uint32_t wrong; /* those whose verdict was not the right one */
};

/* Explore and print. Returns 0 exhausted, TN_SEARCH_VIOLATION, TN_SEARCH_BOUND, or 1: the trace
 * file could not be written. `totals` are added to. */
int tn__search(const struct tn__search_request *request, struct tn__search_totals *totals);

/* The configuration of that name, of the lease's or of the log's; false: there is none. */
bool tn__search_config_find(struct tn__search_request *request, const char *name);

/* The heading of the lines that tn__search prints when quiet. */
void tn__search_heading(void);

#endif
