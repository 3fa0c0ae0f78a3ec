/* A file read in large pieces, in which single blocks may be unreadable (fault.D6).
 *
 * A read that fails is tried again, then block by block; a block that fails twice is taken for
 * zeros, which nothing valid is made of, and remembered. */
#ifndef TN_STORE_WAL_WINDOW_H
#define TN_STORE_WAL_WINDOW_H

#include "store/file.h"
#include "store/wal_memory.h"

struct tn__wal_window {
    struct tn__files files;
    struct tn__wal_memory memory;
    tn__file file;
    uint64_t file_bytes;
    uint64_t ahead_bytes; /* read at once, if nothing more is needed */
    uint8_t *bytes;       /* of the file from `offset` on, `have` of them */
    uint64_t capacity;
    uint64_t offset;
    uint64_t have;
    uint64_t unreadable_end; /* where the last unreadable block ends; 0: none */
    uint64_t read_bytes;     /* in all */
};

/* Open a file in place of the one before. Errors: as open() and size(). */
int tn__wal_window_open(struct tn__wal_window *window, tn__file directory, const char *name,
                        uint32_t mode);
void tn__wal_window_close(struct tn__wal_window *window);
void tn__wal_window_free(struct tn__wal_window *window);

/* The bytes from `offset` on, `length` of them, all inside the file; valid until the next call.
 * Errors: TN_ERROR_NO_MEMORY, and those of read() but TN_ERROR_IO. */
int tn__wal_window_get(struct tn__wal_window *window, uint64_t offset, uint64_t length,
                       const uint8_t **bytes);

#endif
