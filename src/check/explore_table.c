/* The set of fingerprints: see explore_table.h. The memory is mapped rather than allocated because
 * it must begin as zeros and is best in huge pages: half of the misses would be those of the TLB.
 */
#define _DEFAULT_SOURCE 1

#include "check/explore_table.h"

#include <sched.h>
#include <stddef.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "base/random.h"

#define SLOTS_A_BUCKET 3U
#define BUCKETS_COUNT_MIN (1ULL << 16)
#define BUCKETS_COUNT_MAX (1ULL << 40)

struct tn__explore_bucket {
    _Atomic uint64_t low[SLOTS_A_BUCKET];
    uint64_t high[SLOTS_A_BUCKET];
    _Atomic uint32_t tag[SLOTS_A_BUCKET];
    uint32_t unused;
};
_Static_assert(sizeof(struct tn__explore_bucket) == 64, "a bucket is one cache line");

static bool map_buckets(struct tn__explore_table *table, uint64_t count)
{
    tn_assert(count >= BUCKETS_COUNT_MIN && count <= BUCKETS_COUNT_MAX);
    size_t bytes = sizeof(struct tn__explore_bucket) * count;
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        return false;
    }
    /* Advice only: without huge pages the table is slower and no less right. */
    (void)madvise(memory, bytes, MADV_HUGEPAGE);
    table->buckets = memory;
    table->buckets_count = count;
    return true;
}

bool tn__explore_table_init(struct tn__explore_table *table, uint64_t states_hint)
{
    tn_assert(states_hint <= BUCKETS_COUNT_MAX);
    /* Four slots for three states: below the load at which the search would grow the table. */
    uint64_t count = states_hint / 3 * 4 / SLOTS_A_BUCKET;
    return map_buckets(table, count < BUCKETS_COUNT_MIN ? BUCKETS_COUNT_MIN : count);
}

void tn__explore_table_free(struct tn__explore_table *table)
{
    if (table->buckets != NULL) {
        (void)munmap(table->buckets, tn__explore_table_bytes(table));
        table->buckets = NULL;
    }
}

uint64_t tn__explore_table_slots(const struct tn__explore_table *table)
{
    return table->buckets_count * SLOTS_A_BUCKET;
}

uint64_t tn__explore_table_bytes(const struct tn__explore_table *table)
{
    return table->buckets_count * sizeof(struct tn__explore_bucket);
}

/* The first product spreads a fingerprint cut to few bits over all 64; the second scales that to
 * the number of buckets. Both keep the table's order when it grows: old buckets, walked from first
 * to last, go to new ones from first to last. */
static uint64_t home_of(const struct tn__explore_table *table, struct tn__explore_print print)
{
    uint64_t spread = print.low * 0x9e3779b97f4a7c15ULL;
    return (uint64_t)(((tn__u128)spread * table->buckets_count) >> 64);
}

void tn__explore_table_prefetch(const struct tn__explore_table *table,
                                struct tn__explore_print print)
{
    __builtin_prefetch(&table->buckets[home_of(table, print)], 1);
}

/* Between the claim and the tag lie two stores of another thread: wait for them politely. */
static void await_tag(_Atomic uint32_t *tag)
{
    while (atomic_load_explicit(tag, memory_order_acquire) == 0) {
        sched_yield();
    }
}

bool tn__explore_table_insert(struct tn__explore_table *table, struct tn__explore_print print,
                              uint32_t tag, _Atomic uint32_t **where)
{
    tn_assert(print.low != 0);
    tn_assert(tag != 0);
    uint64_t place = home_of(table, print);
    for (uint64_t step = 0; step < table->buckets_count; step++) {
        struct tn__explore_bucket *bucket = &table->buckets[place];
        place = place + 1 == table->buckets_count ? 0 : place + 1;
        for (uint32_t slot = 0; slot < SLOTS_A_BUCKET; slot++) {
            uint64_t low = atomic_load_explicit(&bucket->low[slot], memory_order_relaxed);
            if (low == 0 && atomic_compare_exchange_strong(&bucket->low[slot], &low, print.low)) {
                bucket->high[slot] = print.high;
                atomic_store_explicit(&bucket->tag[slot], tag, memory_order_release);
                *where = &bucket->tag[slot];
                return true;
            }
            if (low != print.low) {
                continue;
            }
            await_tag(&bucket->tag[slot]);
            if (bucket->high[slot] == print.high) {
                *where = &bucket->tag[slot];
                return false;
            }
        }
    }
    bool caller_let_the_table_fill_up = true;
    tn_assert(!caller_let_the_table_fill_up);
    return false;
}

bool tn__explore_table_grow(struct tn__explore_table *table, uint64_t bytes)
{
    uint64_t count = bytes / sizeof(struct tn__explore_bucket);
    tn_assert(count > table->buckets_count);
    struct tn__explore_table grown;
    if (count > BUCKETS_COUNT_MAX || !map_buckets(&grown, count)) {
        return false;
    }
    for (uint64_t i = 0; i < table->buckets_count; i++) {
        struct tn__explore_bucket *bucket = &table->buckets[i];
        for (uint32_t slot = 0; slot < SLOTS_A_BUCKET; slot++) {
            uint64_t low = atomic_load_explicit(&bucket->low[slot], memory_order_relaxed);
            if (low == 0) {
                continue;
            }
            struct tn__explore_print print = {.low = low, .high = bucket->high[slot]};
            _Atomic uint32_t *where = NULL;
            bool fresh = tn__explore_table_insert(
                &grown, print, atomic_load_explicit(&bucket->tag[slot], memory_order_relaxed),
                &where);
            tn_assert(fresh);
        }
    }
    tn__explore_table_free(table);
    *table = grown;
    return true;
}
