/* The set of fingerprints seen: open addressing, lock-free, never a deletion.
 *
 * A bucket is one cache line of three slots, so a look-up costs one miss in nearly every case, and
 * tn__explore_table_prefetch() hides that one. A slot is claimed by compare-and-swap on its low
 * word (zero: free) and published by its tag (zero: not yet). The tag names the candidate (see
 * explore_frontier.h) that stands for the state; a better one may replace it.
 *
 * Invariants:
 *  T1 a slot's low and high word never change once its tag is set;
 *  T2 every fingerprint is in the table at most once, at or after its home bucket, with no free
 *     slot between.
 * Relies on its caller for: growing only while no other thread is inside, and never filling it. */
#ifndef TN_CHECK_EXPLORE_TABLE_H
#define TN_CHECK_EXPLORE_TABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct tn__explore_print {
    uint64_t low; /* never zero */
    uint64_t high;
};

struct tn__explore_bucket;

struct tn__explore_table {
    struct tn__explore_bucket *buckets;
    uint64_t buckets_count;
};

/* False when there is no memory. `states_hint` sizes it. */
bool tn__explore_table_init(struct tn__explore_table *table, uint64_t states_hint);
void tn__explore_table_free(struct tn__explore_table *table);

uint64_t tn__explore_table_slots(const struct tn__explore_table *table);
uint64_t tn__explore_table_bytes(const struct tn__explore_table *table);

/* Move to a table of so many bytes, old and new one being there for a while. False, and nothing is
 * changed, when there is no memory. */
bool tn__explore_table_grow(struct tn__explore_table *table, uint64_t bytes);

void tn__explore_table_prefetch(const struct tn__explore_table *table,
                                struct tn__explore_print print);

/* True: the fingerprint was not there and now is, under `tag` (not zero). False: it was there
 * before. Either way `where` is its tag, for as long as the table does not grow. */
bool tn__explore_table_insert(struct tn__explore_table *table, struct tn__explore_print print,
                              uint32_t tag, _Atomic uint32_t **where);

#endif
