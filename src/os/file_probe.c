/* Two ways to make 4096 bytes durable, tried and timed on the file system itself.
 *
 * The range is preallocated, zeroed and synced before, as that of a segment is (store/wal.h), so
 * that what is timed is what a log's write costs. The file has no name, so that no crash leaves
 * anything behind. */
#define _GNU_SOURCE
#include "os/file_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <tenure/error.h>

#include "os/clock.h"
#include "os/file_posix.h"

enum {
    BLOCK_BYTES = 4096,
    ROUNDS = 9,
    SLOWER_MAX = 3,
    FILE_BYTES = 2 * BLOCK_BYTES * (ROUNDS + 1),
};

/* A file without a name; where that is not known, one that loses its name at once. */
static int open_nameless(int directory, int *file)
{
    *file = openat(directory, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (*file < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
        (void)unlinkat(directory, "probe.new", 0);
        *file = openat(directory, "probe.new", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (*file >= 0 && unlinkat(directory, "probe.new", 0) != 0) {
            close(*file);
            *file = -1;
        }
    }
    return *file >= 0 ? TN_OK : tn__file_posix_error(errno);
}

static int write_zeros(int file, const void *zeros)
{
    if (fallocate(file, 0, 0, FILE_BYTES) != 0 && errno != EOPNOTSUPP) {
        return tn__file_posix_error(errno);
    }
    for (off_t at = 0; at < FILE_BYTES; at += BLOCK_BYTES) {
        if (pwrite(file, zeros, BLOCK_BYTES, at) != BLOCK_BYTES) {
            return errno == ENOSPC ? TN_ERROR_DISK_FULL : TN_ERROR_IO;
        }
    }
    return fsync(file) == 0 ? TN_OK : tn__file_posix_error(errno);
}

/* Write one block, durable when this returns; the time it took, or NEVER. */
static tn_time time_write(int file, off_t at, const void *bytes, bool sync)
{
    tn_time began = tn__clock_now();
    if (pwrite(file, bytes, BLOCK_BYTES, at) != BLOCK_BYTES || (sync && fdatasync(file) != 0)) {
        return TN_TIME_NEVER;
    }
    return tn__clock_now() - began;
}

/* The device's physical sector, at most 4096; 4096 if it cannot be found. */
static uint32_t physical_sector(int file)
{
    static const char *const places[] = {"queue", "../queue"}; /* a disk; a partition */
    struct stat status;
    unsigned bytes = 0;
    for (uint32_t i = 0; i < 2 && bytes == 0 && fstat(file, &status) == 0; i++) {
        char name[128];
        snprintf(name, sizeof(name), "/sys/dev/block/%u:%u/%s/physical_block_size",
                 major(status.st_dev), minor(status.st_dev), places[i]);
        FILE *stream = fopen(name, "re");
        if (stream != NULL) {
            bytes = fscanf(stream, "%u", &bytes) == 1 ? bytes : 0;
            fclose(stream);
        }
    }
    return bytes == 512 ? 512 : BLOCK_BYTES;
}

/* The smallest alignment at which a direct write works; 0: none. */
static uint32_t find_alignment(int file, const uint8_t *block)
{
    for (uint32_t bytes = 512; bytes <= BLOCK_BYTES; bytes *= 8) {
        if (pwrite(file, block + bytes % BLOCK_BYTES, bytes, (off_t)bytes) == (ssize_t)bytes) {
            return bytes;
        }
    }
    return 0;
}

/* By turns, so that what else the machine does meets both alike; and the best of each, since that
 * only ever adds. */
static void compare(int file, int direct, const void *block, struct tn__file_probe *probe)
{
    for (int i = 1; i <= ROUNDS && probe->can_direct; i++) {
        off_t at = i * (off_t)BLOCK_BYTES;
        tn_time synced = time_write(file, at, block, true);
        tn_time straight = time_write(direct, FILE_BYTES / 2 + at, block, false);
        probe->can_direct = straight != TN_TIME_NEVER;
        probe->data_sync_ns = synced < probe->data_sync_ns ? synced : probe->data_sync_ns;
        probe->direct_ns = straight < probe->direct_ns ? straight : probe->direct_ns;
    }
}

static int probe_file(int file, uint8_t *block, struct tn__file_probe *probe)
{
    int error = write_zeros(file, block);
    if (error != TN_OK) {
        return error;
    }
    memset(block, 0x5a, BLOCK_BYTES);
    probe->direct_ns = TN_TIME_NEVER;
    probe->data_sync_ns = time_write(file, 0, block, true);
    if (probe->data_sync_ns == TN_TIME_NEVER) {
        return TN_ERROR_IO;
    }
    /* O_DSYNC cannot be set on an open file; by its other name the same file is opened anew. */
    char name[64];
    snprintf(name, sizeof(name), "/proc/self/fd/%d", file);
    int direct = open(name, O_RDWR | O_DIRECT | O_DSYNC | O_CLOEXEC);
    if (direct < 0) {
        return TN_OK;
    }
    uint32_t sector = physical_sector(file);
    probe->alignment_bytes = find_alignment(direct, block);
    if (probe->alignment_bytes > 0 && probe->alignment_bytes < sector) {
        probe->alignment_bytes = sector;
    }
    probe->can_direct = probe->alignment_bytes > 0;
    if (probe->can_direct) {
        compare(file, direct, block, probe);
    }
    /* It costs less of the processor, which copies nothing, and no thread has to wait for it: so
     * it is taken unless it is far slower. On a busy machine even the best of few is noise. */
    probe->choose_direct =
        probe->can_direct && probe->direct_ns / SLOWER_MAX <= probe->data_sync_ns;
    close(direct);
    return TN_OK;
}

int tn__file_posix_probe(int64_t descriptor, struct tn__file_probe *probe)
{
    *probe = (struct tn__file_probe){0};
    uint8_t *block = aligned_alloc(BLOCK_BYTES, 2 * BLOCK_BYTES);
    if (block == NULL) {
        return TN_ERROR_NO_MEMORY;
    }
    memset(block, 0, 2 * BLOCK_BYTES);
    int file = -1;
    int error = open_nameless((int)descriptor, &file);
    if (error == TN_OK) {
        error = probe_file(file, block, probe);
        close(file);
    }
    free(block);
    return error;
}
