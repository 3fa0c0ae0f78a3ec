/* A binary heap of (time, record index) in the caller's memory, with removal from the middle.
 *
 * Each record knows its place (place + 1, 0: not in the heap), so a record is found in O(1). Ties
 * are broken by record index: equal deadlines fire in a fixed order. */
#ifndef TN_BASE_HEAP_H
#define TN_BASE_HEAP_H

#include <stdint.h>

struct tn__heap_entry {
    uint64_t key;
    uint32_t record;
    uint32_t reserved;
};

/* A view of a heap; the arrays and the count are the owner's. */
struct tn__heap {
    struct tn__heap_entry *entries; /* room for every record */
    uint32_t *places;               /* by record: place + 1, or 0 */
    uint32_t *count;
};

/* Insert a record that is not in the heap, or remove one that is. */
void tn__heap_insert(struct tn__heap heap, uint32_t record, uint64_t key);
void tn__heap_remove(struct tn__heap heap, uint32_t record);

/* Another key for a record that is in the heap. */
void tn__heap_move(struct tn__heap heap, uint32_t record, uint64_t key);

#endif
