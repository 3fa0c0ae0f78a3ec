/* Which record holds which slot: for each group its runs, 32 bytes each, sorted by slot.
 *
 * The newest record wins a slot (it may be accepted again under a higher ballot, and learned after
 * that), so a run is cut where a newer one covers it, and what is left of it on either side still
 * points at the whole record. Runs are counted per segment: a segment that no run points into is
 * needed by nobody.
 *
 * Invariants: the runs of a group are sorted, not empty and do not overlap; a segment's count is
 * the number of runs that point into it. */
#ifndef TN_STORE_WAL_INDEX_H
#define TN_STORE_WAL_INDEX_H

#include "store/wal_codec.h"
#include "store/wal_memory.h"

struct tn__wal_run {
    uint64_t slot_first;
    uint64_t segment;
    uint64_t offset; /* of the record */
    uint32_t bytes;  /* of the record */
    uint32_t count;  /* slots that the record is the newest for */
};

_Static_assert(sizeof(struct tn__wal_run) == 32, "about 32 bytes a record");

struct tn__wal_runs {
    uint32_t group;
    uint32_t reserved;
    struct tn__wal_run *items; /* those from `first` to `end` */
    uint64_t first;
    uint64_t end;
    uint64_t capacity;
};

struct tn__wal_segment_runs {
    uint64_t number;
    uint64_t runs;
};

struct tn__wal_index {
    struct tn__wal_memory memory;
    struct tn__wal_runs *groups; /* sorted */
    uint64_t groups_count;
    uint64_t groups_capacity;
    struct tn__wal_segment_runs *segments; /* sorted */
    uint64_t segments_count;
    uint64_t segments_capacity;
};

void tn__wal_index_free(struct tn__wal_index *index);

/* Make room for `count` more runs of the group. Errors: TN_ERROR_NO_MEMORY. */
int tn__wal_index_reserve(struct tn__wal_index *index, uint32_t group, uint64_t segment,
                          uint64_t count);

/* Enter a run that is newer than all before it. Room for 2 was reserved: an old run may be cut in
 * two. */
void tn__wal_index_add(struct tn__wal_index *index, uint32_t group, const struct tn__wal_run *run);

/* The segment is there, with or without runs. Errors: TN_ERROR_NO_MEMORY. */
int tn__wal_index_segment(struct tn__wal_index *index, uint64_t number);

/* NULL: none holds the slot. Valid until the index changes. */
const struct tn__wal_run *tn__wal_index_find(const struct tn__wal_index *index, uint32_t group,
                                             uint64_t slot);

/* The lowest slot from which on every slot up to `slot` is there; slot + 1: not even that one. */
uint64_t tn__wal_index_reach(const struct tn__wal_index *index, uint32_t group, uint64_t slot);

/* The highest slot; 0: none. */
uint64_t tn__wal_index_last(const struct tn__wal_index *index, uint32_t group);

/* Forget runs whose slots are all below `slot`; the whole group; all that is in older segments. */
void tn__wal_index_retain(struct tn__wal_index *index, uint32_t group, uint64_t slot);
void tn__wal_index_drop(struct tn__wal_index *index, uint32_t group);
void tn__wal_index_purge(struct tn__wal_index *index, uint64_t segment);

/* Older segments, into which no run points, are gone. */
void tn__wal_index_trim(struct tn__wal_index *index, uint64_t segment);

/* The first segment that a run points into, or the last one that is there. */
uint64_t tn__wal_index_needed(const struct tn__wal_index *index);

/* Aborts with the violated invariant. For tests. */
void tn__wal_index_check(const struct tn__wal_index *index);

#endif
