/* Blocks by malloc. One that is aligned cannot be grown by realloc, which would lose that.
 *
 * What is aligned goes to the disk past the page cache, and the kernel looks at each page of it
 * each time. So a large block lies in huge pages, if there are any: a mebibyte of zeros costs a
 * quarter of the CPU, a batch of 72 KiB two thirds. It is as long as its pages, and grows within
 * them without being moved. */
#define _GNU_SOURCE
#include "os/memory.h"

#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ALIGNMENT_BYTES ((size_t)4096)
#define HUGE_BYTES ((size_t)2 << 20)

/* Shorter blocks are not worth a huge page's memory. */
#define LARGE_BYTES ((size_t)64 << 10)

static void *take_large(size_t bytes)
{
    void *fresh = NULL;
    if (bytes > SIZE_MAX - HUGE_BYTES) {
        return NULL;
    }
    size_t whole = (bytes + HUGE_BYTES - 1) / HUGE_BYTES * HUGE_BYTES;
    if (posix_memalign(&fresh, HUGE_BYTES, whole) != 0) {
        return NULL;
    }
    (void)madvise(fresh, whole, MADV_HUGEPAGE); /* a wish: it may go unheard */
    return fresh;
}

static void *take_aligned(size_t bytes)
{
    void *fresh = NULL;
    if (bytes >= LARGE_BYTES) {
        return take_large(bytes);
    }
    return posix_memalign(&fresh, ALIGNMENT_BYTES, bytes) == 0 ? fresh : NULL;
}

void *tn__memory_resize(void *context, void *block, size_t bytes, bool aligned)
{
    (void)context;
    if (bytes == 0) {
        free(block);
        return NULL;
    }
    if (!aligned) {
        return realloc(block, bytes);
    }
    size_t old = block == NULL ? 0 : malloc_usable_size(block);
    if (old >= bytes && bytes >= LARGE_BYTES) {
        return block; /* there is room in its pages */
    }
    void *fresh = take_aligned(bytes);
    if (fresh != NULL && block != NULL) {
        memcpy(fresh, block, old < bytes ? old : bytes);
        free(block);
    }
    return fresh;
}
