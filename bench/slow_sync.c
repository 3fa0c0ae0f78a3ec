/* Slow syncs; the header tells the shape. */
#define _GNU_SOURCE
#include "slow_sync.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static _Atomic uint64_t extra_ns;

void slow_sync_set(uint64_t ns)
{
    atomic_store(&extra_ns, ns);
}

static void dawdle(void)
{
    uint64_t ns = atomic_load(&extra_ns);
    struct timespec time = {(time_t)(ns / 1000000000U), (long)(ns % 1000000000U)};
    while (ns > 0 && nanosleep(&time, &time) != 0 && errno == EINTR) {
    }
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset)
{
    ssize_t done = syscall(SYS_pwrite64, fd, bytes, count, offset);
    int error = errno;
    if (atomic_load(&extra_ns) > 0 && (fcntl(fd, F_GETFL) & O_DSYNC) != 0) {
        dawdle();
    }
    errno = error;
    return done;
}

int fdatasync(int fd)
{
    int result = (int)syscall(SYS_fdatasync, fd);
    int error = errno;
    dawdle();
    errno = error;
    return result;
}
