/* One simulated run of logs: a seed in, a verdict out.
 *
 *   draw the swarm --> faults, until the events or the seconds are used up --> heal
 *     --> every group goes on: something more is committed for every client's call    (liveness)
 *     --> no calls any more: nothing waits, all members have executed the same        (converged)
 *     --> crash everybody, start again, and once more all are equal                   (restart)
 * with the judge of logs watching every step, and the histories judged at the end. A run is a
 * function of its request: the hash over all that happened says whether two runs were one. */
#ifndef TN_SIM_LOG_SIMULATION_H
#define TN_SIM_LOG_SIMULATION_H

#include "sim/log_judge.h"
#include "sim/log_swarm.h"

struct tn__log_simulation_request {
    uint64_t seed;
    uint64_t events_max; /* of the faulty part, about; 0: 20000 */
    uint64_t without;    /* faults to leave off */
    tn_time span_ns;     /* of the faulty part; 0: as long as there are events */
    uint32_t nodes;      /* 0: as drawn */
    uint32_t unsafe;     /* enum tn__log_world_unsafe, for canaries */
    const struct tn__log_observer *observer; /* a trace; may be NULL */
};

struct tn__log_simulation_result {
    uint64_t hash[2];
    uint64_t events;
    tn_time simulated_ns;
    uint64_t committed;  /* slots, of all groups */
    uint64_t operations; /* called by clients */
    uint64_t done;       /* of them answered */
    uint64_t faults_on;
    uint64_t hits[TN_LOG_FAULTS_COUNT];
    uint32_t violations_count;
    struct tn__log_violation violations[TN_LOG_VIOLATIONS_MAX];
};

struct tn__log_simulation; /* Opaque: the memory of runs, one a thread. */

struct tn__log_simulation *tn__log_simulation_new(void);
void tn__log_simulation_free(struct tn__log_simulation *simulation);

void tn__log_simulation_run(struct tn__log_simulation *simulation,
                            const struct tn__log_simulation_request *request,
                            struct tn__log_simulation_result *result);

/* Of a request whose run shows a violation: leave off one fault after the other, as long as some
 * violation stays. Returns the set left off; what remains is needed. */
uint64_t tn__log_simulation_shrink(struct tn__log_simulation *simulation,
                                   const struct tn__log_simulation_request *request);

#endif
