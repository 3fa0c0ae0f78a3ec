/* File operations as a table: the store asks for files through it and never calls a kernel.
 *
 * os/file_posix.h has the real table, sim/sim_disk.h one that loses, tears and fails. What the
 * store may rely on is exactly this:
 *  - nothing written is durable before sync() of that file has returned 0, and no name created,
 *    renamed or removed is before sync_directory() has. Until then any part of it may survive a
 *    crash, in any order, a sector torn;
 *  - a rename is atomic: afterwards, crash or not, the name stands for the old file or the new;
 *  - after a sync() that failed, what that file holds is unknown for ever: a later sync() of it, or
 *    reading it back, proves nothing. Only a file made anew does;
 *  - errors are enum tn_error: TN_ERROR_NOT_FOUND (no such name), TN_ERROR_DISK_FULL,
 *    TN_ERROR_READ_ONLY (also: no permission), TN_ERROR_LOCKED, TN_ERROR_NO_MEMORY (also: no file
 *    descriptors left), TN_ERROR_IO for all else. An interrupted call is repeated inside.
 * Every call may block. The real table may be called from several threads at once, the simulated
 * one from one at a time. */
#ifndef TN_STORE_FILE_H
#define TN_STORE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An open file or directory; negative: none. */
typedef int64_t tn__file;

#define TN_FILE_NONE ((tn__file)-1)

/* A name inside a directory: no slash, and terminated. */
#define TN_FILE_NAME_BYTES_MAX 255

enum tn__file_mode {
    TN_FILE_READ = 1,
    TN_FILE_WRITE = 2,
    TN_FILE_CREATE = 4,    /* make it if it is missing */
    TN_FILE_EXCLUSIVE = 8, /* with CREATE: it must be missing */
    /* Beside the page cache, and synchronous: a write that returned is durable as far as it lies in
     * bytes that were written and synced before, so that nothing but the bytes is new. Offsets,
     * lengths and addresses are multiples of what the file system wants: 512 or 4096. Not every one
     * can: os/file_posix.h has a probe. */
    TN_FILE_DIRECT = 16,
};

/* Called for each name of a directory but "." and ".."; false ends the walk. */
typedef bool (*tn__file_visit)(void *visitor, const char *name);

struct tn__file_operations {
    /* Open a directory; with `create` make it if it is missing (its parent must exist), for its
     * owner only. */
    int (*open_directory)(void *context, const char *path, bool create, tn__file *directory);
    int (*list)(void *context, tn__file directory, tn__file_visit visit, void *visitor);
    int (*open)(void *context, tn__file directory, const char *name, uint32_t mode, tn__file *file);
    /* Closing writes nothing and reports nothing: what matters has been synced. */
    void (*close)(void *context, tn__file file);
    int (*size)(void *context, tn__file file, uint64_t *bytes);
    /* At most `length` bytes at `offset`, fewer for no reason at all; 0 only at the end. */
    int (*read)(void *context, tn__file file, uint64_t offset, void *bytes, size_t length,
                size_t *done);
    /* Likewise; a write past the end extends the file, with zeros in between. */
    int (*write)(void *context, tn__file file, uint64_t offset, const void *bytes, size_t length,
                 size_t *done);
    int (*truncate)(void *context, tn__file file, uint64_t bytes);
    /* Data and size of one file. */
    int (*sync)(void *context, tn__file file);
    /* Data, and what is needed to read it back: cheaper than sync() where the size stays. */
    int (*data_sync)(void *context, tn__file file);
    /* Make the file at least `bytes` long and reserve the space, so that writing there does not
     * fail for want of it (where the file system can promise that). Not durable before sync(). */
    int (*allocate)(void *context, tn__file file, uint64_t bytes);
    /* The names of one directory. */
    int (*sync_directory)(void *context, tn__file directory);
    int (*rename)(void *context, tn__file directory, const char *from, const char *to);
    int (*unlink)(void *context, tn__file directory, const char *name);
    /* Take the file for this process until it is closed or the process ends, however it ends. */
    int (*lock)(void *context, tn__file file);
};

/* A table and what its functions are called with. */
struct tn__files {
    const struct tn__file_operations *operations;
    void *context;
};

/* Read exactly `length` bytes. Errors: as read(); TN_ERROR_DAMAGED if the file ends before. */
int tn__file_read_all(const struct tn__files *files, tn__file file, uint64_t offset, void *bytes,
                      size_t length);

/* Write exactly `length` bytes. Errors: as write(); TN_ERROR_IO if nothing moves any more. */
int tn__file_write_all(const struct tn__files *files, tn__file file, uint64_t offset,
                       const void *bytes, size_t length);

#endif
