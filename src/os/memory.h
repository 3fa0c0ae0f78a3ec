/* Memory for the store, which takes none itself: the `allocate` of struct tn__wal_options. */
#ifndef TN_OS_MEMORY_H
#define TN_OS_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

/* Make a block (NULL: a new one), keep what fits of its bytes, or with `bytes` 0 free it.
 * `aligned`: to 4096 bytes; the same at every call for one block. NULL: no memory, and the block is
 * as it was. Any thread. `context` is not used. */
void *tn__memory_resize(void *context, void *block, size_t bytes, bool aligned);

#endif
