/* One simulated run of leases: a seed in, a verdict out.
 *
 *   draw the swarm --> faults, until the events or the seconds are used up --> heal
 *     --> the change of members under way, if any, comes to its end           (members)
 *     --> within 2 (D_P + D_Q) and the back-offs every name has an owner      (liveness)
 *     --> for ten lease times no owner changes                                (no alternation)
 *     --> crash everybody, start again, and every name has an owner once more
 * with the judge of leases watching every step. A run is a function of its request: the hash over
 * all that happened says whether two runs were one. */
#ifndef TN_SIM_SIMULATION_H
#define TN_SIM_SIMULATION_H

#include "sim/lease_judge.h"
#include "sim/swarm.h"

enum tn__simulation_phase {
    TN_SIMULATION_HEALED = 1, /* all faults have ended */
    TN_SIMULATION_STEADY,     /* everything has an owner, and shall keep it */
    TN_SIMULATION_RESTARTED,  /* everybody has crashed and begun anew */
};

/* For canaries: a run that goes wrong on purpose. Called when a phase begins; may do anything. */
struct tn__simulation_sabotage {
    void *context;
    void (*begin)(void *context, struct tn__world *world, enum tn__simulation_phase phase);
};

struct tn__simulation_request {
    uint64_t seed;
    uint64_t events_max; /* of the whole run, about; 0: 20000 */
    uint64_t without;    /* faults to leave off */
    tn_time span_ns;     /* of the faulty part; 0: as long as there are events */
    uint32_t nodes;      /* 0: as drawn */
    uint32_t reserved;
    const struct tn__world_observer *observer;      /* a trace; may be NULL */
    const struct tn__simulation_sabotage *sabotage; /* may be NULL */
};

struct tn__simulation_result {
    uint64_t hash[2];
    uint64_t events;
    tn_time simulated_ns;
    uint64_t tenures;
    uint64_t faults_on;
    uint64_t hits[TN_FAULTS_COUNT];
    uint32_t violations_count;
    struct tn__violation violations[TN_JUDGE_VIOLATIONS_MAX];
};

struct tn__simulation; /* Opaque: the memory of runs, one a thread. */

struct tn__simulation *tn__simulation_new(void);
void tn__simulation_free(struct tn__simulation *simulation);

void tn__simulation_run(struct tn__simulation *simulation,
                        const struct tn__simulation_request *request,
                        struct tn__simulation_result *result);

/* Of a request whose run shows a violation: leave off one fault after the other, as long as some
 * violation stays. Returns the set left off; what remains is needed. */
uint64_t tn__simulation_shrink(struct tn__simulation *simulation,
                               const struct tn__simulation_request *request);

#endif
