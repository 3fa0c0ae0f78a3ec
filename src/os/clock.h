/* The two clocks of a machine. No other file reads a clock for the protocol. */
#ifndef TN_OS_CLOCK_H
#define TN_OS_CLOCK_H

#include <tenure/types.h>

/* Nanoseconds since boot, suspended time included (CLOCK_BOOTTIME): the `now` of every event. */
tn_time tn__clock_now(void);

/* Nanoseconds since boot while not suspended (CLOCK_MONOTONIC). Only for the self-check: the time
 * by which tn__clock_now() runs ahead of this one is the time the machine was suspended. */
tn_time tn__clock_awake(void);

/* Nanoseconds this machine has been suspended since boot, give or take the time between two reads:
 * growth by a millisecond or more means that it slept since the last call. */
tn_time tn__clock_suspended(void);

#endif
