/* Memory of the log: the caller's, taken as it grows. */
#ifndef TN_STORE_WAL_MEMORY_H
#define TN_STORE_WAL_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tn__wal_memory {
    void *(*allocate)(void *context, void *block, size_t bytes, bool aligned);
    void *context;
};

static inline void tn__wal_memory_free(const struct tn__wal_memory *memory, void *block,
                                       bool aligned)
{
    if (block != NULL) {
        (void)memory->allocate(memory->context, block, 0, aligned);
    }
}

/* Room for `count` items in *block, at least doubling it. False: no memory, all is as before. */
static inline bool tn__wal_memory_grow(const struct tn__wal_memory *memory, void **block,
                                       uint64_t *capacity, uint64_t count, size_t item_bytes,
                                       bool aligned)
{
    if (count <= *capacity) {
        return true;
    }
    uint64_t more = *capacity < 8 ? 8 : 2 * *capacity;
    more = more < count ? count : more;
    if (more > SIZE_MAX / 2 / item_bytes) {
        return false;
    }
    void *grown = memory->allocate(memory->context, *block, (size_t)more * item_bytes, aligned);
    if (grown == NULL) {
        return false;
    }
    *block = grown;
    *capacity = more;
    return true;
}

#endif
