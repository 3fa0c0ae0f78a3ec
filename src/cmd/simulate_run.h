/* The inside of `tenure-sim run`, shared by the files that make it up; nobody else includes it.
 *
 *   simulate_run.c           the options
 *   simulate_run_campaign.c  seeds on threads, what is counted and printed, shrinking
 *   simulate_run_lease.c     leases as a workload
 *   simulate_run_log.c       logs as a workload
 */
#ifndef TN_CMD_SIMULATE_RUN_H
#define TN_CMD_SIMULATE_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include <tenure/types.h>

#include "base/text.h"

#define TN_RUN_THREADS_MAX 64U
#define TN_RUN_FAULTS_MAX 64U
#define TN_RUN_COUNTS_MAX 3U
#define TN_RUN_VIOLATIONS_MAX 16U

enum tn__run_status {
    TN_RUN_DONE = 0,
    TN_RUN_FAILED = 1,
    TN_RUN_USAGE = 2,
    TN_RUN_VIOLATION = 3,
};

struct tn__run_request {
    uint64_t seed;
    uint64_t events_max; /* 0: the default */
    uint64_t without;    /* faults to leave off */
    tn_time span_ns;     /* 0: as long as there are events */
    uint32_t nodes;      /* 0: as the seed says */
    bool trace;          /* print all that happens */
};

struct tn__run_violation {
    tn_time real;
    const char *rule; /* the runner's, until its next run */
    const char *text;
    uint32_t process;
};

struct tn__run_result {
    uint64_t hash[2];
    uint64_t events;
    tn_time simulated_ns;
    uint64_t faults_on;
    uint64_t hits[TN_RUN_FAULTS_MAX];
    uint64_t counts[TN_RUN_COUNTS_MAX];
    uint64_t violations_count; /* in all; the first ones are here */
    struct tn__run_violation violations[TN_RUN_VIOLATIONS_MAX];
};

/* A workload: what is simulated. A runner is the memory of its runs, one a thread. */
struct tn__run_workload {
    const char *option; /* as it stands in a command; "" for the default one */
    uint32_t faults_count;
    uint32_t nodes_max;
    uint32_t counts_count;
    bool tells_process; /* its violations say whose they are */
    const char *counts[TN_RUN_COUNTS_MAX];
    const char *counts_json[TN_RUN_COUNTS_MAX];
    const char *(*fault_name)(uint32_t fault);
    const char *(*fault_id)(uint32_t fault);
    const char *(*fault_text)(uint32_t fault);
    void *(*begin)(void);
    void (*end)(void *runner);
    void (*run)(void *runner, const struct tn__run_request *request, struct tn__run_result *result);
    uint64_t (*shrink)(void *runner, const struct tn__run_request *request);
    /* What the seed means, into `text`; returns the faults that are on. */
    uint64_t (*draw)(const struct tn__run_request *request, struct tn__text *text);
};

extern const struct tn__run_workload tn__run_lease;
extern const struct tn__run_workload tn__run_log;

struct tn__run_campaign {
    const struct tn__run_workload *workload;
    struct tn__run_request request; /* of the first seed */
    uint64_t seeds;
    uint32_t threads;
    bool events_given; /* events_max was asked for */
    bool json;
    bool quiet;
};

/* Run it and print what came of it. Returns the exit status. */
int tn__run_campaign(const struct tn__run_campaign *campaign);

#endif
