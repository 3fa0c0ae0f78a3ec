/* The log's parts, as its files share them.
 *
 *   wal.c           opening and closing, writing, healing
 *   wal_batch.c     a turn's records, encoded
 *   wal_segment.c   the segment being written and the one being made ahead
 *   wal_recover.c   what a start finds, shows and rewrites (over wal_scan.c)
 *   wal_read.c      single records, by any thread
 *   wal_states.c    what is restated of each group       wal_index.c   where each slot is
 *   wal_codec.c     bytes                                wal_window.c  reading in pieces
 *
 * The writer's thread owns all of struct tn__wal but `index` (the caller's lock), `readers` and
 * what is marked atomic. */
#ifndef TN_STORE_WAL_INTERNAL_H
#define TN_STORE_WAL_INTERNAL_H

#include "store/wal.h"
#include "store/wal_codec.h"
#include "store/wal_index.h"
#include "store/wal_memory.h"
#include "store/wal_scan.h"
#include "store/wal_states.h"

/* Groups whose end the writer has not heard of yet. More are not remembered: their state is
 * restated once more, which costs a record and harms nothing. */
#define TN_WAL_DROPS_MAX 64

/* Zeros written at once when a segment is made: the most that a write of the log may have to wait
 * for, about a millisecond. */
#define TN_WAL_ZEROS_BYTES ((uint64_t)1 << 20)

/* The first segment of a run is small, so that many starts take neither time nor space. */
#define TN_WAL_FIRST_DIVISOR 16

/* A damaged log's batches are numbered from the start's number times 2^40 on: a million millions of
 * batches for each of eight million starts, below 2^63 at most. */
#define TN_WAL_START_BITS 40
#define TN_WAL_STARTS_MASK ((1ULL << 23) - 1)

/* One record of a batch. */
struct tn__wal_item {
    uint64_t offset; /* in the batch */
    uint32_t bytes;
    uint32_t sum; /* its checksum without its place */
};

struct tn__wal_batch {
    struct tn__wal_memory memory;
    uint32_t block_bytes;
    uint32_t reserved;
    uint8_t *bytes; /* aligned; the header's room first */
    uint64_t used;
    uint64_t capacity; /* whole blocks */
    struct tn__wal_item *items;
    uint64_t items_count;
    uint64_t items_capacity;
    struct tn__wal_place place; /* where it was written; segment 0: it was not */
};

/* The segment being written. */
struct tn__wal_current {
    tn__file file;
    uint64_t number;
    uint64_t bytes; /* of the file */
    uint64_t at;    /* the next batch goes here */
};

/* The one after it: made as NUMBER.new, zeroed, synced, given a header, and only then its name. */
struct tn__wal_next {
    tn__file file; /* NONE: not begun */
    uint64_t number;
    uint64_t bytes;  /* it shall have */
    uint64_t zeroed; /* so far */
    bool named;
    bool synced;
};

struct tn__wal_readers;

struct tn__wal {
    struct tn__wal_options options;
    struct tn__wal_memory memory;
    uint32_t seed;
    int failed;             /* the error that ended it (W2) */
    uint64_t sequence;      /* of the last batch written */
    uint64_t durable;       /* of the last batch synced: the mark of the next */
    uint64_t healed;        /* W3 */
    uint64_t before;        /* all damage that this start found lies at or below */
    uint64_t segment_first; /* said by each batch: those below are not needed */
    uint64_t oldest;        /* files below are gone */
    uint64_t pinned;        /* W3: damage from here on that was not healed; 0: none */
    bool sealed;            /* the last batch holds nothing that a later one must vouch for */
    struct tn__wal_current current;
    struct tn__wal_next next;
    struct tn__wal_states states;
    struct tn__wal_batch *own; /* of the log itself: STATE, what recovery rewrites, seals */
    uint8_t *block;            /* aligned, a block */
    uint8_t *zeros;            /* aligned */
    uint64_t zeros_bytes;

    struct tn__wal_index index;       /* the caller's to lock */
    uint64_t needed;                  /* atomic: no run points below this segment */
    uint32_t drops[TN_WAL_DROPS_MAX]; /* atomic: group + 1 */
    struct tn__wal_readers *readers;
};

/* ---- wal_batch.c ---- */

/* Append a record of which `bytes` are those on disk. Errors: TN_ERROR_NO_MEMORY. */
int tn__wal_batch_copy(struct tn__wal_batch *batch, const struct tn__wal_record *record,
                       const uint8_t *bytes);
/* Append the STATE of a group. Errors: TN_ERROR_NO_MEMORY. */
int tn__wal_batch_state(struct tn__wal_batch *batch, const struct tn__wal_state *state);
/* Whole blocks that it takes. */
uint64_t tn__wal_batch_padded(const struct tn__wal_batch *batch);
/* Give header, records and padding their last bytes; `head` needs all but sizes and sums. */
void tn__wal_batch_finish(struct tn__wal_batch *batch, struct tn__wal_batch_head *head,
                          uint32_t seed);

/* ---- wal_segment.c ---- */

/* Make the next segment, at least `bytes` long, going on where it was left. `zeros`: how many may
 * be written now; *done: it is ready. Errors: those of the operations; after one the file is
 * gone. */
int tn__wal_next_make(struct tn__wal *wal, uint64_t bytes, uint64_t zeros, bool *done);
/* It is ready, and that long. */
bool tn__wal_next_is_made(const struct tn__wal *wal, uint64_t bytes);
/* By parts: without a name yet. `head` of the segment. */
int tn__wal_next_begin(struct tn__wal *wal, uint64_t number, uint64_t bytes);
int tn__wal_next_zero(struct tn__wal *wal, uint64_t zeros);
int tn__wal_next_name(struct tn__wal *wal, const struct tn__wal_head *head);
void tn__wal_next_abandon(struct tn__wal *wal);
/* The next segment becomes the current one. */
void tn__wal_next_enter(struct tn__wal *wal);
/* Restate every group in wal->own. Errors: TN_ERROR_NO_MEMORY. */
int tn__wal_restate(struct tn__wal *wal);
/* Write a batch into the current segment, where it must fit; durable if `sync`. */
int tn__wal_put(struct tn__wal *wal, struct tn__wal_batch *batch, bool sync);
/* By parts: what to write where; and that it was written. */
void tn__wal_put_begin(const struct tn__wal *wal, struct tn__wal_batch *batch,
                       struct tn__wal_pending *pending);
void tn__wal_put_end(struct tn__wal *wal, struct tn__wal_batch *batch, bool synced);
/* Remove files below segment_first, at most `limit`. */
void tn__wal_remove_old(struct tn__wal *wal, uint64_t limit);

/* ---- wal_recover.c ---- */

int tn__wal_recover(struct tn__wal *wal, const struct tn__wal_visitor *visitor,
                    struct tn__wal_report *report, struct tn__text *why);

/* ---- wal_read.c ---- */

/* NULL: no memory. */
struct tn__wal_readers *tn__wal_readers_new(const struct tn__wal_memory *memory,
                                            uint64_t window_bytes);
void tn__wal_readers_free(struct tn__wal_readers *readers, const struct tn__files *files);
/* Segments below are gone: let go of their files. */
void tn__wal_readers_forget(struct tn__wal_readers *readers, const struct tn__files *files,
                            uint64_t segment);

#endif
