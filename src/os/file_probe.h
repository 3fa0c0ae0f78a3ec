/* What a directory's file system can do: the store chooses by it how to write (W2). */
#ifndef TN_OS_FILE_PROBE_H
#define TN_OS_FILE_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include <tenure/types.h>

struct tn__file_probe {
    bool can_direct; /* writes with TN_FILE_DIRECT work, with addresses of this alignment: */
    uint32_t alignment_bytes; /* 512 or 4096 */
    bool choose_direct;       /* and are not far slower than the page cache and fdatasync */
    tn_time direct_ns;        /* the best of a few durable writes of 4096 bytes */
    tn_time data_sync_ns;     /* the same by write and fdatasync */
};

/* Try it in the open directory `descriptor`, on a file without a name, or one whose name is gone at
 * once; takes some milliseconds. Errors: TN_ERROR_IO, TN_ERROR_DISK_FULL, TN_ERROR_READ_ONLY,
 * TN_ERROR_NO_MEMORY; a file system that cannot write directly is none. */
int tn__file_posix_probe(int64_t descriptor, struct tn__file_probe *probe);

#endif
