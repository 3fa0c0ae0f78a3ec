/* The plan of faults of a world of logs: what goes wrong, when, and how often
 * (docs/simulation.md). It is the hooks of the world, as sim/fault_plan.h is of the world of
 * leases: faults of single frames, writes and timers are drawn for each; episodes begin, last and
 * end.
 *
 * It also hands out the lease of leased groups: an oracle with rising tokens, which now and then
 * makes a new owner while the old one still believes in its tenure (OVERLAP).
 *
 * What a disk may lose. A disk that forgets or garbles what it vouched for hurts, at one time, at
 * most as many voters as may fail: the next one only when the ones before have got back all that
 * they may have lost (W3). It hurts no batch that may be the last: that it was whole nothing on the
 * disk can tell, so it would be cut as torn, and a copy be lost without anybody's knowing. */
#ifndef TN_SIM_LOG_FAULTS_H
#define TN_SIM_LOG_FAULTS_H

#include "base/text.h"
#include "sim/log_world.h"

/* Name, number in the list of faults, sentence. */
#define TN_LOG_FAULT_TABLE(X)                                                                      \
    X(LOSS, "N1", "a frame is lost")                                                               \
    X(LOSS_BURST, "N1", "for a while almost everything is lost")                                   \
    X(TAIL, "N2", "a frame takes many times longer than others")                                   \
    X(PARKED, "N2", "a frame is held for very long, past restarts")                                \
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
    X(PARTITION, "N6", "two sides do not hear each other")                                         \
    X(ONE_WAY, "N6", "a node speaks and hears nothing, or hears and is not heard")                 \
    X(GRAPH, "N7", "any directed graph of links is cut")                                           \
    X(CLIENT_CUT, "N8", "an answer does not reach the client")                                     \
    X(FLAP, "N9", "a cut comes and goes with the period of heartbeats or elections")               \
    X(SLOW_LINK, "N10", "a link carries few bytes a second")                                       \
    X(QUEUE_FULL, "N10", "a full queue drops what comes last")                                     \
    X(RECONNECT, "N11", "a connection is made anew, the old one still delivers")                   \
    X(HALF_OPEN, "N11", "one side sees a new connection, the other does not")                      \
    X(STALE_CLUSTER, "N12", "a frame of another cluster arrives")                                  \
    X(STALE_INCARNATION, "N12", "a frame of an earlier run of its sender arrives")                 \
    X(BURST, "N13", "a paused node finds ten or more frames")                                      \
    X(TARGETED, "N14", "for a while all frames that begin with one kind are lost")                 \
    X(CRASH_AT_EFFECT, "C1", "a node crashes between two effects of a turn")                       \
    X(CRASH_IN_WRITE, "C1", "a node crashes in the midst of a write")                              \
    X(CRASH_IN_START, "C2", "a node crashes in its recovery, at any operation")                    \
    X(CRASH_ALL, "C4", "all nodes crash at once")                                                  \
    X(CRASH_MAJORITY, "C4", "a majority crashes at once")                                          \
    X(AMNESIA, "C5", "a node finds its log gone")                                                  \
    X(CLOCK_AT_START, "C6", "a restarted machine's clock begins anew")                             \
    X(PAUSE, "C7", "a node stands still, a millisecond to a minute")                               \
    X(SLOW_NODE, "C8", "a node executes slowly")                                                   \
    X(RETRY, "C8", "a state machine asks for retries")                                             \
    X(OVERRUN, "C12", "timers are dispatched after the frames that waited")                        \
    X(RATES, "T1", "clocks run at different rates")                                                \
    X(RATE_CHANGE, "T1", "a clock's rate changes")                                                 \
    X(JUMP, "T5", "a clock jumps forward")                                                         \
    X(COARSE, "T7", "clocks move in steps")                                                        \
    X(CLOCK_HIGH, "T7", "clocks read about 2^63")                                                  \
    X(TIMER_LATE, "T8", "a timer fires early or late")                                             \
    X(LOSE_ALL, "D1", "a crash loses all that was not synced")                                     \
    X(SCATTER, "D1", "a crash keeps any sectors of what was not synced, torn ones too (D2, D13)")  \
    X(KILLED, "D14", "a process ends, and what it had not synced stays in the page cache")         \
    X(LOST_SYNC, "D3", "a block that was synced has its old content again")                        \
    X(MISDIRECTED, "D4", "a block holds what was meant for another")                               \
    X(READ_ERROR, "D6", "a read fails")                                                            \
    X(ROT, "D7", "bits of a block are inverted (D16, D17, D18)")                                   \
    X(SYNC_FAILED, "D8", "an operation of a write fails for good, a sync among them (D9)")         \
    X(SYNC_REVERTED, "D8", "so it does, and readers see the old bytes")                            \
    X(DISK_FULL, "D10", "there is no space for another segment (D11)")                             \
    X(SHORT, "D10", "reads and writes move a few bytes at a time")                                 \
    X(SLOW_DISK, "D12", "for a while writes take up to seconds")                                   \
    X(FILE_LOST, "D15", "a segment is missing or empty")                                           \
    X(OVERLAP, "L1", "two nodes believe in their tenures at once")                                 \
    X(TENURE_LOST, "L2", "a tenure ends and nobody is told; hints are wrong")

enum tn__log_fault {
#define TN_LOG_FAULT_ENUM(name, id, sentence) TN_LOG_FAULT_##name,
    TN_LOG_FAULT_TABLE(TN_LOG_FAULT_ENUM)
#undef TN_LOG_FAULT_ENUM
        TN_LOG_FAULTS_COUNT,
};

_Static_assert(TN_LOG_FAULTS_COUNT <= 64, "sets of faults are 64-bit words");

const char *tn__log_fault_id(enum tn__log_fault fault);
const char *tn__log_fault_name(enum tn__log_fault fault);
const char *tn__log_fault_text(enum tn__log_fault fault);

static inline uint64_t tn__log_fault_bit(enum tn__log_fault fault)
{
    return 1ULL << (uint32_t)fault;
}

struct tn__log_faults_options {
    uint64_t faults; /* the set of those that are on */
    uint64_t seed;
    tn_time delay_ns;   /* a usual delay of a frame */
    tn_time sync_ns;    /* a usual write with its sync */
    tn_time apply_ns;   /* until what is committed is executed */
    tn_time episode_ns; /* the mean time between episodes */
    tn_time tenure_ns;  /* of the oracle */
    tn_time granularity;
    uint32_t loss_ppm;
    uint32_t trouble_ppm; /* chance of a frame for each other fault of frames */
    uint32_t queue_frames;
    uint32_t reserved;
};

struct tn__log_faults; /* Opaque. */

struct tn__log_faults *tn__log_faults_new(void);
void tn__log_faults_free(struct tn__log_faults *faults);

/* Fill in the hooks of a world that are the plan's: all but that of wakes. */
void tn__log_faults_hooks(struct tn__log_faults *faults, struct tn__log_world_hooks *hooks);

/* Begin with a world that was just reset and has the hooks: set the clocks, start all nodes. */
void tn__log_faults_begin(struct tn__log_faults *faults, struct tn__log_world *world,
                          const struct tn__log_faults_options *options);

/* Wakes whose high byte is 0 are the plan's; the hook is who runs the simulation's. */
void tn__log_faults_woken(struct tn__log_faults *faults, uint64_t code);

/* End all faults and bring everybody back. */
void tn__log_faults_heal(struct tn__log_faults *faults);

uint64_t tn__log_faults_hits(const struct tn__log_faults *faults, enum tn__log_fault fault);
void tn__log_faults_hit(struct tn__log_faults *faults, enum tn__log_fault fault, uint64_t times);

#endif
