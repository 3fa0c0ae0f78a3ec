/* Clocks by clock_gettime(2). */
#define _GNU_SOURCE
#include "os/clock.h"

#include <time.h>

#include "base/assert.h"

static tn_time read_clock(clockid_t clock)
{
    struct timespec time;
    int status = clock_gettime(clock, &time);
    /* It fails for clocks that a kernel does not have only; every kernel that runs this has both.
     */
    tn_assert(status == 0);
    return (tn_time)time.tv_sec * TN_SECOND + (tn_time)time.tv_nsec;
}

tn_time tn__clock_now(void)
{
    return read_clock(CLOCK_BOOTTIME);
}

tn_time tn__clock_awake(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

tn_time tn__clock_suspended(void)
{
    /* Awake first: a delay between the reads can then make the result too large, never negative. */
    tn_time awake = read_clock(CLOCK_MONOTONIC);
    tn_time now = read_clock(CLOCK_BOOTTIME);
    return now > awake ? now - awake : 0;
}
