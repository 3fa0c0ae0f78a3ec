/* The configuration: which version of the membership a node speaks for, and when (F3).
 *
 * A cell, a plain value, one a node: all that F3 asks of one node by itself. Who its members are
 * the machine keeps beside it.
 *
 *            LEAVE, durable                     JOIN, durable
 *   open(v) ----------------> left(v), silent ----------------> open(v + 1)
 *      |                      reports its ceiling                    ^  silent D_Q after a larger
 *      +-------------------------------------------------------------+  step
 *
 * The write is asked for in two steps, like that of the ceiling: _leave() or _join() says whether
 * to write, _asked() tells the number of the write, _written() or _failed() ends it. From the
 * request on the node is silent: once the write is durable it must not have answered since.
 *
 * Invariants:
 *   1  a write is in flight exactly while the node is leaving or joining, and never for both;
 *   2  the version never falls, and nothing is ever said for a version but this one.
 *
 * Relied upon: members change one at a time, any other step says that it is a larger one; the next
 * version is opened when a majority of the previous one has durably left it and D_Q has passed
 * since, and its JOIN carries the largest ceiling that they reported; durations and members never
 * change together. (Exploration shows that a little less is enough: a step of one member needs no
 * wait of its own, as majorities of neighbours meet, but the step after it does.)
 */
#ifndef TN_PAXOS_CONFIGURATION_H
#define TN_PAXOS_CONFIGURATION_H

#include <stdbool.h>

#include <tenure/types.h>

struct tn__configuration {
    uint64_t write;           /* the number of the write that leaves or joins; 0: none in flight */
    uint64_t joining_ceiling; /* the largest that was reported, as the JOIN says */
    tn_time silent_until;     /* after a larger step */
    uint32_t version;         /* the version spoken for, durable */
    uint32_t left;            /* 1: durably left, or its disk may say so */
    uint32_t leaving;         /* 1: the write in flight makes `left` durable */
    uint32_t joining;         /* the version that the write in flight opens; 0: none */
    uint32_t larger_step;     /* of the join in flight: more than one member changes */
    uint32_t reserved;
};

_Static_assert(sizeof(struct tn__configuration) == 48, "no padding: states are hashed as bytes");

enum tn__configuration_verdict {
    TN__CONFIGURATION_REFUSED = 1, /* not now, or never an older version */
    TN__CONFIGURATION_UNDER_WAY,   /* being written already */
    TN__CONFIGURATION_ASK,         /* write, and say so with tn__configuration_asked() */
};

enum tn__configuration_change {
    TN__CONFIGURATION_SAME = 1,
    TN__CONFIGURATION_LEFT,   /* the version is durably left: report the ceiling */
    TN__CONFIGURATION_JOINED, /* the next one is open here */
};

/* Is a message that speaks for `version` taken? Exactly those of the node's own version. */
bool tn__configuration_takes(const struct tn__configuration *configuration, uint32_t version);

/* Does the acceptor answer now? A request that it takes and does not answer is passed over. */
bool tn__configuration_answers(const struct tn__configuration *configuration, tn_time now);

/* May the proposer begin an attempt? */
bool tn__configuration_attempts(const struct tn__configuration *configuration);

/* The node is told to leave its version, or to open a later one. */
enum tn__configuration_verdict tn__configuration_leave(struct tn__configuration *configuration);
enum tn__configuration_verdict tn__configuration_join(struct tn__configuration *configuration,
                                                      uint32_t version, uint64_t ceiling,
                                                      bool larger_step);
void tn__configuration_asked(struct tn__configuration *configuration, uint64_t write);

/* What the next record of the durable words has to say. */
uint32_t tn__configuration_record_version(const struct tn__configuration *configuration);
uint32_t tn__configuration_record_left(const struct tn__configuration *configuration);

/* Every write up to `write` is durable. `quarantine` is D_Q. */
enum tn__configuration_change tn__configuration_written(struct tn__configuration *configuration,
                                                        uint64_t write, tn_time now,
                                                        tn_time quarantine);

/* The write `write` has failed; `newest` is the last one asked for. When that one is later its
 * record says the same of the version, so it decides: else the disk could run ahead of the node. */
void tn__configuration_failed(struct tn__configuration *configuration, uint64_t write,
                              uint64_t newest);

void tn__configuration_check(const struct tn__configuration *configuration);

#endif
