/* The ring by liburing; the header tells what for.
 *
 * A write that moved less than it was to is gone on with, as a plain one would be; one that failed
 * is not tried again: what it left on the disk is unknown (W2). */
#define _GNU_SOURCE
#include "os/file_ring.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>

#include <tenure/error.h>

#include "base/assert.h"
#include "os/file_posix.h"

/* One write, and room for the kernel's own needs. */
#define RING_ENTRIES 4U

/* The largest single transfer, as in file_posix.c. */
#define TRANSFER_BYTES_MAX ((size_t)1 << 30)

/* How often the kernel may ask for another try before that counts as an error. */
#define TRIES_MAX 100U

struct tn__file_ring {
    struct io_uring kernel;
    const uint8_t *bytes; /* what is left of the write; NULL: none is under way */
    size_t length;
    uint64_t offset;
    int descriptor; /* of the file */
    uint32_t tries; /* that moved nothing, in a row */
};

int tn__file_ring_open(struct tn__file_ring **ring)
{
    struct tn__file_ring *made = calloc(1, sizeof(*made));
    if (made == NULL) {
        return TN_ERROR_NO_MEMORY;
    }
    /* Completions are taken when the loop next enters the kernel; older kernels know no such wish.
     */
    int status = io_uring_queue_init(RING_ENTRIES, &made->kernel, IORING_SETUP_COOP_TASKRUN);
    if (status == -EINVAL) {
        status = io_uring_queue_init(RING_ENTRIES, &made->kernel, 0);
    }
    if (status != 0) {
        free(made);
        return status == -ENOMEM ? TN_ERROR_NO_MEMORY : TN_ERROR_INVALID;
    }
    *ring = made;
    return TN_OK;
}

void tn__file_ring_close(struct tn__file_ring *ring)
{
    if (ring == NULL) {
        return;
    }
    int error;
    if (ring->bytes != NULL) {
        (void)tn__file_ring_end(ring, true, &error);
    }
    io_uring_queue_exit(&ring->kernel);
    free(ring);
}

int tn__file_ring_descriptor(const struct tn__file_ring *ring)
{
    return ring->kernel.ring_fd;
}

/* Hand over what is left. */
static bool submit(struct tn__file_ring *ring)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(&ring->kernel);
    tn_assert(entry != NULL); /* one at a time */
    size_t length = ring->length < TRANSFER_BYTES_MAX ? ring->length : TRANSFER_BYTES_MAX;
    io_uring_prep_write(entry, ring->descriptor, ring->bytes, (unsigned)length, ring->offset);
    int status;
    do {
        status = io_uring_submit(&ring->kernel);
    } while (status == -EINTR);
    return status == 1;
}

bool tn__file_ring_begin(struct tn__file_ring *ring, tn__file file, uint64_t offset,
                         const void *bytes, size_t length)
{
    tn_assert(ring->bytes == NULL && bytes != NULL && length > 0);
    ring->bytes = bytes;
    ring->length = length;
    ring->offset = offset;
    ring->descriptor = (int)file;
    ring->tries = 0;
    if (!submit(ring)) {
        ring->bytes = NULL;
        return false;
    }
    return true;
}

/* The write ended with `moved` bytes, or a negative error number. True: it is over. */
static bool take(struct tn__file_ring *ring, int moved, int *error)
{
    if ((moved == -EINTR || moved == -EAGAIN) && ring->tries < TRIES_MAX) {
        ring->tries += 1; /* the kernel asks for another try: nothing was written */
        moved = 0;
    } else if (moved <= 0) {
        *error = moved == 0 ? TN_ERROR_IO : tn__file_posix_error(-moved);
        return true;
    }
    tn_assert((size_t)moved <= ring->length);
    ring->bytes += moved;
    ring->length -= (size_t)moved;
    ring->offset += (uint64_t)moved;
    *error = TN_OK;
    if (ring->length > 0 && !submit(ring)) {
        *error = TN_ERROR_IO;
        return true;
    }
    return ring->length == 0;
}

bool tn__file_ring_end(struct tn__file_ring *ring, bool wait, int *error)
{
    tn_assert(ring->bytes != NULL);
    for (;;) {
        struct io_uring_cqe *completion = NULL;
        int status;
        do {
            status = wait ? io_uring_wait_cqe(&ring->kernel, &completion)
                          : io_uring_peek_cqe(&ring->kernel, &completion);
        } while (status == -EINTR);
        if (status != 0) {
            tn_assert(status == -EAGAIN && !wait);
            return false;
        }
        int moved = completion->res;
        io_uring_cqe_seen(&ring->kernel, completion);
        if (take(ring, moved, error)) {
            ring->bytes = NULL;
            return true;
        }
    }
}
