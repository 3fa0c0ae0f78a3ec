/* Syncs that take longer than they do: the program's own pwrite and fdatasync stand before the C
 * library's, so a member of a forked cell can be given a slow disk. */
#ifndef TN_BENCH_SLOW_SYNC_H
#define TN_BENCH_SLOW_SYNC_H

#include <stdint.h>

/* Each durable write and each sync of this process takes this much longer, from now on. */
void slow_sync_set(uint64_t ns);

#endif
