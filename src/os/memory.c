/* Blocks by malloc. One that is aligned cannot be grown by realloc, which would lose that. */
#define _GNU_SOURCE
#include "os/memory.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

enum {
    ALIGNMENT_BYTES = 4096,
};

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
    void *fresh = NULL;
    if (posix_memalign(&fresh, ALIGNMENT_BYTES, bytes) != 0) {
        return NULL;
    }
    if (block != NULL) {
        size_t old = malloc_usable_size(block);
        memcpy(fresh, block, old < bytes ? old : bytes);
        free(block);
    }
    return fresh;
}
