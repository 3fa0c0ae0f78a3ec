/* The plan of faults: what goes wrong in a simulated run, when, and how often (docs/simulation.md).
 *
 * The plan is the hooks of a world. It has two kinds of faults: those of single frames, writes and
 * timers, drawn by chance for each, and episodes, which begin, last and end: a partition, a pause,
 * a slow disk. Which kinds are on, and how strong, is drawn by the swarm (sim/swarm.h). Everything
 * follows from the plan's own stream of randomness.
 *
 * A run is faulty first and calm later: tn__fault_plan_heal() ends every episode, brings everybody
 * back, and from then on frames arrive soon, timers fire when due and writes succeed.
 *
 * Out of the plan are things that void what safety rests on (T2, T3, durable words): a clock beyond
 * rho, a disk that forgets what it has synced, a copied directory that votes. Canaries do those
 * (tests/sim/canary_test.c). */
#ifndef TN_SIM_FAULT_PLAN_H
#define TN_SIM_FAULT_PLAN_H

#include "sim/world.h"

/* Name, number in the list of faults, sentence. */
#define TN_FAULT_TABLE(X)                                                                          \
    X(LOSS, "N1", "a frame is lost")                                                               \
    X(LOSS_BURST, "N1", "for a while a link loses almost everything")                              \
    X(TAIL, "N2", "a frame takes many times longer than others")                                   \
    X(PARKED, "N2", "a frame is held past leases and quarantines")                                 \
    X(REORDER, "N3", "frames of one link overtake each other")                                     \
    X(LIFO, "N3", "for a while the last frame sent is the first to arrive")                        \
    X(DUPLICATE, "N4", "a frame arrives twice, at once")                                           \
    X(DUPLICATE_LATE, "N4", "a frame arrives again much later")                                    \
    X(AFTER_RESTART, "N4", "a frame arrives at a later run of its addressee")                      \
    X(WRONG_CONNECTION, "N4", "a frame arrives at another node, or as if from another")            \
    X(CORRUPT_BIT, "N5", "one bit of a frame is inverted")                                         \
    X(CORRUPT_RUN, "N5", "a run of a frame's bytes is overwritten")                                \
    X(CORRUPT_CUT, "N5", "a frame is cut short")                                                   \
    X(CORRUPT_LENGTH, "N5", "a frame's length field is wrong")                                     \
    X(CONCATENATED, "N5", "frames arrive in one piece, the last cut short")                        \
    X(PARTITION, "N6", "two sides do not hear each other")                                         \
    X(ONE_WAY, "N6", "a node speaks and hears nothing, or hears and is not heard")                 \
    X(GRAPH, "N7", "any directed graph of links is cut")                                           \
    X(FLAP_LEASE, "N9", "a cut comes and goes with the period of the lease")                       \
    X(FLAP_RENEWAL, "N9", "a cut comes and goes with the period of renewals")                      \
    X(SLOW_LINK, "N10", "a link carries few bytes a second")                                       \
    X(QUEUE_FULL, "N10", "a full queue drops what comes last")                                     \
    X(RECONNECT, "N11", "a connection is made anew, the old one still delivers")                   \
    X(HALF_OPEN, "N11", "one side sees a new connection, the other does not")                      \
    X(STALE_CLUSTER, "N12", "a frame of another cluster arrives")                                  \
    X(STALE_INCARNATION, "N12", "a frame of an earlier run of its sender arrives")                 \
    X(BURST, "N13", "a paused node finds ten or more frames")                                      \
    X(TARGETED, "N14", "for a while all frames of one kind are lost")                              \
    X(CRASH_AT_EFFECT, "C1", "a node crashes between two effects of a turn")                       \
    X(CRASH_IN_WRITE, "C1", "a node crashes in the midst of a write")                              \
    X(CRASH_IN_START, "C2", "a node crashes while it starts")                                      \
    X(CRASH_ALL, "C4", "all nodes crash at once")                                                  \
    X(CRASH_MAJORITY, "C4", "a majority crashes at once")                                          \
    X(AMNESIA, "C5", "a node finds its directory empty, and must not start")                       \
    X(CLOCK_AT_START, "C6", "a restarted machine's clock begins anew")                             \
    X(PAUSE, "C7", "a node stands still, a millisecond to an hour")                                \
    X(STALL, "C7", "a node stands still between acting and sending")                               \
    X(SLOW_NODE, "C8", "a node takes long for everything")                                         \
    X(START_TORN, "C9", "the write of the restart word is lost or torn")                           \
    X(COPY, "C9", "two processes run as one node, from copies of one directory")                   \
    X(OVERRUN, "C12", "timers are dispatched after the frames that waited")                        \
    X(RATES, "T1", "clocks run at different rates")                                                \
    X(RATE_CHANGE, "T1", "a clock's rate changes")                                                 \
    X(RATES_ADVERSE, "T1", "the owner's clock is slow, the acceptors' are fast")                   \
    X(RATES_AT_BOUND, "T2", "rates are exactly 1 - rho and 1 + rho")                               \
    X(COARSE, "T7", "clocks move in steps")                                                        \
    X(CLOCK_HIGH, "T7", "clocks read about 2^63")                                                  \
    X(TIMER_EARLY, "T8", "a timer fires a tick early")                                             \
    X(TIMER_LATE, "T8", "a timer fires late")                                                      \
    X(WRITE_FAILED, "D10", "a write of the durable words fails")                                   \
    X(SLOW_DISK, "D12", "for a while writes take up to a minute")                                  \
    X(MEMBER_ENTERS, "C3", "a node that was not there becomes a member, or returns")               \
    X(MEMBER_LEAVES, "C3", "a member leaves, and runs on or not")                                  \
    X(MEMBER_REPLACED, "C3", "one member leaves and another enters in one step")                   \
    X(MEMBERS_IN_A_ROW, "C3", "the next change of members begins as soon as it may")               \
    X(MEMBERS_JUMP, "C3", "any other set of nodes becomes the members in one step")

enum tn__fault {
#define TN_FAULT_ENUM(name, id, sentence) TN_FAULT_##name,
    TN_FAULT_TABLE(TN_FAULT_ENUM)
#undef TN_FAULT_ENUM
        TN_FAULTS_COUNT,
};

_Static_assert(TN_FAULTS_COUNT <= 64, "sets of faults are 64-bit words");

/* "N1" and "LOSS" and the sentence. Static. */
const char *tn__fault_id(enum tn__fault fault);
const char *tn__fault_name(enum tn__fault fault);
const char *tn__fault_text(enum tn__fault fault);

static inline uint64_t tn__fault_bit(enum tn__fault fault)
{
    return 1ULL << (uint32_t)fault;
}

/* The changes of members (F3). With any of them on, the plan is the operator who makes them, by the
 * rule (paxos/configuration.h): a change opens when a majority of the version before has durably
 * left it, with the largest ceiling reported. A patient operator then waits D_Q; a hasty one makes
 * a step of one member, or one that is waited out by the members themselves, at once, if D_Q has
 * passed since a majority had left the version before that. */
#define TN_PLAN_MEMBER_FAULTS                                                                      \
    (tn__fault_bit(TN_FAULT_MEMBER_ENTERS) | tn__fault_bit(TN_FAULT_MEMBER_LEAVES) |               \
     tn__fault_bit(TN_FAULT_MEMBER_REPLACED) | tn__fault_bit(TN_FAULT_MEMBERS_IN_A_ROW) |          \
     tn__fault_bit(TN_FAULT_MEMBERS_JUMP))

#define TN_PLAN_NAMES_MAX 4U

struct tn__fault_plan_options {
    uint64_t faults; /* the set of those that are on */
    uint64_t seed;
    tn_time delay_ns;      /* a usual delay of a frame, at least TN_MICROSECOND */
    tn_time episode_ns;    /* the mean time between episodes */
    tn_time request_ns;    /* the mean time between requests of the program */
    tn_time change_ns;     /* the mean time from one change of members to the next, or nearly */
    tn_time granularity;   /* of all clocks, with COARSE */
    uint32_t loss_ppm;     /* chance of a frame to be lost, with LOSS */
    uint32_t trouble_ppm;  /* chance of a frame for each other fault of frames */
    uint32_t queue_frames; /* of a link, with QUEUE_FULL */
    uint32_t names_count;  /* 1 to TN_PLAN_NAMES_MAX: "a", "b", "c", "d" */
    uint32_t priorities;   /* 1: nodes ask with different priorities (H3) */
    uint32_t hasty;        /* 1: the operator waits no longer than F3 needs */
    uint32_t careless;     /* 1: nor does it wait at all, or say that a step is larger: a canary */
    uint32_t reserved;
};

struct tn__fault_plan; /* Opaque. */

struct tn__fault_plan *tn__fault_plan_new(void);
void tn__fault_plan_free(struct tn__fault_plan *plan);

/* Begin with a world that was just reset: install the hooks, set the clocks, start all nodes. */
void tn__fault_plan_begin(struct tn__fault_plan *plan, struct tn__world *world,
                          const struct tn__fault_plan_options *options);

/* End all faults, start or resume every node, and let every node want every name. */
void tn__fault_plan_heal(struct tn__fault_plan *plan);

/* After healing: is the change of members that was under way done, and is every member in? */
bool tn__fault_plan_settled(const struct tn__fault_plan *plan);

/* Every node that runs wants every name. */
void tn__fault_plan_want_all(struct tn__fault_plan *plan);

/* How often a fault has happened. */
uint64_t tn__fault_plan_hits(const struct tn__fault_plan *plan, enum tn__fault fault);

#endif
