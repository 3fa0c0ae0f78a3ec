/* Writes that nobody waits for: one at a time, by the kernel's ring (io_uring).
 *
 * The loop hands a write over and goes on; when the write has ended the ring's descriptor becomes
 * readable. So a batch of the log costs no thread its sleep: two hand-overs fewer on the way of
 * each proposal. Where the kernel has no ring, or does not let us have one (containers often
 * forbid it), tn__file_ring_open() says so and a thread writes instead (node/node_store.c). */
#ifndef TN_OS_FILE_RING_H
#define TN_OS_FILE_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/file.h"

struct tn__file_ring; /* Opaque. */

/* Errors: TN_ERROR_INVALID: this kernel offers none; TN_ERROR_NO_MEMORY. */
int tn__file_ring_open(struct tn__file_ring **ring);

/* Waits for the write that is under way. NULL is none. */
void tn__file_ring_close(struct tn__file_ring *ring);

/* Readable when the write has ended. The ring's, until it is closed. */
int tn__file_ring_descriptor(const struct tn__file_ring *ring);

/* Begin to write `length` bytes, which must stay as they are until the end, into a file opened with
 * TN_FILE_DIRECT: they are durable when it ends well. None may be under way. False: the kernel did
 * not take it, nothing was begun. */
bool tn__file_ring_begin(struct tn__file_ring *ring, tn__file file, uint64_t offset,
                         const void *bytes, size_t length);

/* Has the write that is under way ended? Then *error says how: as of tn__file_write_all(). With
 * `wait`: true as soon as it has. */
bool tn__file_ring_end(struct tn__file_ring *ring, bool wait, int *error);

#endif
