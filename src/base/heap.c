/* The binary heap: sift up, sift down, and keep the places true. */
#include "base/heap.h"

#include <stdbool.h>

#include "base/assert.h"

static bool is_before(struct tn__heap_entry a, struct tn__heap_entry b)
{
    return a.key != b.key ? a.key < b.key : a.record < b.record;
}

static void put(struct tn__heap heap, uint32_t place, struct tn__heap_entry entry)
{
    heap.entries[place] = entry;
    heap.places[entry.record] = place + 1;
}

static void sift_up(struct tn__heap heap, uint32_t place, struct tn__heap_entry entry)
{
    while (place > 0) {
        uint32_t parent = (place - 1) / 2;
        if (!is_before(entry, heap.entries[parent])) {
            break;
        }
        put(heap, place, heap.entries[parent]);
        place = parent;
    }
    put(heap, place, entry);
}

static void sift_down(struct tn__heap heap, uint32_t place, struct tn__heap_entry entry)
{
    for (;;) {
        uint32_t child = 2 * place + 1;
        if (child >= *heap.count) {
            break;
        }
        if (child + 1 < *heap.count && is_before(heap.entries[child + 1], heap.entries[child])) {
            child++;
        }
        if (!is_before(heap.entries[child], entry)) {
            break;
        }
        put(heap, place, heap.entries[child]);
        place = child;
    }
    put(heap, place, entry);
}

void tn__heap_insert(struct tn__heap heap, uint32_t record, uint64_t key)
{
    tn_assert(heap.places[record] == 0);
    uint32_t place = (*heap.count)++;
    sift_up(heap, place, (struct tn__heap_entry){.key = key, .record = record});
    tn_assert(heap.places[record] != 0);
}

void tn__heap_remove(struct tn__heap heap, uint32_t record)
{
    tn_assert(heap.places[record] != 0);
    tn_assert(*heap.count > 0);
    uint32_t place = heap.places[record] - 1;
    heap.places[record] = 0;
    (*heap.count)--;
    if (place == *heap.count) {
        return;
    }
    struct tn__heap_entry last = heap.entries[*heap.count];
    if (place > 0 && is_before(last, heap.entries[(place - 1) / 2])) {
        sift_up(heap, place, last);
    } else {
        sift_down(heap, place, last);
    }
}

void tn__heap_move(struct tn__heap heap, uint32_t record, uint64_t key)
{
    tn_assert(heap.places[record] != 0);
    uint32_t place = heap.places[record] - 1;
    struct tn__heap_entry entry = {.key = key, .record = record};
    tn_assert(heap.entries[place].record == record);
    if (place > 0 && is_before(entry, heap.entries[(place - 1) / 2])) {
        sift_up(heap, place, entry);
    } else {
        sift_down(heap, place, entry);
    }
}
