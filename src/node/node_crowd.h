/* Crowds: when calls that come wait for others, so that they share records, frames and syncs.
 *
 * A *wave* is the calls that went to the disk together. While the disk writes one, further calls
 * wait; who proposes meanwhile does not even wake the loop. When it is written, a large wave is
 * waited for once more: as many calls as it had are likely to come again, for who is answered
 * proposes anew. So calls under way make one wave and not two that follow each other at half the
 * size, and what a batch costs is paid half as often. The caller that completes the number wakes
 * the loop. A small wave is not waited for: where there is little to do nobody waits.
 *
 *   open --begin--> writing --written--> filling --enough, or its time is over--> open
 *                      '------- small, or failed; too many; too long ------------^
 *
 * inv. 1: a call that was left is looked at by the loop: its caller wakes it, or it is counted in
 * `left`, and whoever makes that `enough` does, or the loop turns when the disk is done, or at
 * `until`.
 *
 * tn__crowd_left() is for every thread, after the call is where the loop finds it; all else is the
 * loop's. */
#ifndef TN_NODE_CROWD_H
#define TN_NODE_CROWD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <tenure/types.h>

/* Nobody waits longer, and so many never wait. */
#define TN_CROWD_NS (2 * TN_MILLISECOND)
#define TN_CROWD_CALLS_MAX 512U

/* A wave that is waited for again has so many calls at least. */
#define TN_CROWD_WAVE_MIN 32U

/* How long, in units of what its write took: a majority has it, it is executed and its callers are
 * back after two or three. */
#define TN_CROWD_PATIENCE 4U

/* What several threads write stands so far from what others read all the time: processors share
 * memory by lines. */
#define TN_APART_BYTES 128U

struct tn__crowd {
    _Atomic bool holds;      /* calls wait */
    _Atomic bool writing;    /* for the disk; else for each other */
    _Atomic uint32_t left;   /* calls that were ever left; this and all counts below wrap around */
    _Atomic uint32_t enough; /* of `left`, for a wave */
    uint8_t apart[TN_APART_BYTES];

    /* Loop. */
    uint32_t taken;   /* calls that were ever taken up */
    uint32_t flushed; /* of them: given, or refused */
    uint32_t given;   /* calls that go to the disk with this turn's batch */
    uint32_t wave;
    tn_time began; /* to write the wave */
    tn_time until; /* no call waits longer */
    bool reopened; /* nobody waits any more, since this turn */
};

/* Calls were left. True: wake the loop. */
bool tn__crowd_left(struct tn__crowd *crowd, uint32_t count);

/* Do the calls that were taken up wait still? False, from now on: no. */
bool tn__crowd_waits(struct tn__crowd *crowd, tn_time now);

/* The batch with the calls that were given goes to the disk; false: there are none. */
bool tn__crowd_begin(struct tn__crowd *crowd, tn_time now);

/* A batch is written. */
void tn__crowd_written(struct tn__crowd *crowd, tn_time now);

/* Nobody waits any more. */
void tn__crowd_end(struct tn__crowd *crowd);

/* TN_TIME_NEVER: nobody waits. */
tn_time tn__crowd_until(const struct tn__crowd *crowd);

#endif
