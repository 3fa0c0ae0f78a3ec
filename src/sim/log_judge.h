/* The judge of logs: sees all that happens in a world of logs and says which invariant is broken
 * (docs/simulation.md, "Invariants of the log").
 *
 * It shares no code with the rules it judges: it sees records, messages, commits, executions and
 * answers, knows what each node has on its disk, and draws its own conclusions. Values are known to
 * it by a hash of their bytes that the code does not use.
 *
 *   inv.P1   one value per slot for ever: chosen under one ballot, no other under a higher one; two
 *            values under one ballot are none
 *   inv.P2   promises never go down, nor is anything accepted below one that was said, over
 *            restarts too
 *   inv.P3   durable before said: what a PROMISE or an ACCEPTED says is on that node's disk; a
 *            PROMISE tells of everything that was accepted there
 *   inv.P4   what a client was told is on the disks of a majority, and what was durable is found
 *            again by every restart of an undamaged disk
 *   inv.P5   an executed value was proposed by a client, byte for byte, and once-only ids have
 *            their effect once
 *   inv.P6   equal prefixes: the same values, chains and states at each slot
 *   inv.P7   a leader is ready only when it has committed and applied all that was chosen before it
 *   inv.P8   no slot is skipped, none is applied twice
 *   inv.P9   nothing is committed that a majority does not have on disk
 *   N1       Phase 1 of a leased group runs inside a tenure, under its token
 *   N4       what is called not chosen is never committed; a result is that of its slot
 *   C2       only committed values are handed to those who lag
 *   Reads 3  a quorum read shows the state at its slot (and its place in time: see the witness)
 *   busy     a timer does not fire for ever without time passing
 *
 * The index witness: every completed operation has a slot; in the order of slots none comes before
 * one that had returned when it was called. */
#ifndef TN_SIM_LOG_JUDGE_H
#define TN_SIM_LOG_JUDGE_H

#include "sim/log_world.h"

#define TN_LOG_VIOLATIONS_MAX 16U

struct tn__log_violation {
    tn_time real;
    uint32_t process;
    char rule[12];
    char text[180];
};

enum tn__log_operation_kind {
    TN_LOG_OPERATION_COMMAND = 1,
    TN_LOG_OPERATION_READ,  /* a quorum read of a register */
    TN_LOG_OPERATION_STALE, /* what is here, and at which slot */
};

enum tn__log_outcome {
    TN_LOG_OUTCOME_OPEN = 0, /* unknown: for ever, if nothing more comes */
    TN_LOG_OUTCOME_DONE,
    TN_LOG_OUTCOME_NOT_CHOSEN,
    TN_LOG_OUTCOME_EVICTED,
};

/* An operation of a client; the name of its command is its place in the history + 1. */
struct tn__log_operation {
    struct tn__log_command command; /* a read: key alone */
    tn_time called;                 /* real times */
    tn_time returned;
    uint64_t slot; /* where it took effect: commands: of the first execution; 0: none known */
    uint64_t result;
    uint64_t once_client; /* N4; 0: none */
    uint64_t once_sequence;
    uint32_t group;
    uint8_t kind;    /* enum tn__log_operation_kind */
    uint8_t outcome; /* enum tn__log_outcome */
    uint8_t reserved[2];
};

struct tn__log_judge; /* Opaque. */

struct tn__log_judge *tn__log_judge_new(void);
void tn__log_judge_free(struct tn__log_judge *judge);

/* Begin anew with a world that was just reset, and observe it. */
void tn__log_judge_begin(struct tn__log_judge *judge, struct tn__log_world *world);

/* Give the judge something to see; the world does it by itself once begun. */
void tn__log_judge_see(void *judge, const struct tn__log_sight *sight);

uint32_t tn__log_judge_violations_count(const struct tn__log_judge *judge);
const struct tn__log_violation *tn__log_judge_violation(const struct tn__log_judge *judge,
                                                        uint32_t index);
void tn__log_judge_report(struct tn__log_judge *judge, uint32_t process, const char *rule,
                          const char *text);

/* ---- The history of the clients -------------------------------------------------------------- */

/* A client calls an operation; returns its name. What is in it but name and times is the caller's.
 */
uint64_t tn__log_judge_called(struct tn__log_judge *judge,
                              const struct tn__log_operation *operation);

/* The command's answer in this slot at this member. */
void tn__log_judge_answered(struct tn__log_judge *judge, uint32_t process, uint64_t name,
                            const struct tn__log_answered *answer);

/* A read (quorum or stale) returned this value; the member had executed up to `slot`. */
void tn__log_judge_read(struct tn__log_judge *judge, uint32_t process, uint64_t name,
                        uint64_t value, uint64_t slot);

/* The client was told that it was not chosen and never will be. */
void tn__log_judge_refused(struct tn__log_judge *judge, uint32_t process, uint64_t name);

const struct tn__log_operation *tn__log_judge_operation(const struct tn__log_judge *judge,
                                                        uint64_t name);
uint64_t tn__log_judge_operations_count(const struct tn__log_judge *judge);

/* After the run: every history, by the log's order and by search (check/linear.h). */
void tn__log_judge_histories(struct tn__log_judge *judge);

/* The highest slot that anybody committed. */
uint64_t tn__log_judge_committed(const struct tn__log_judge *judge, uint32_t group);

#endif
