/* The write-ahead log: one for all groups of a node, one sync covers them all (W1).
 *
 * A directory holds segments "00000001.wal" ..., preallocated and zero-filled (W2). A segment is a
 * header block, then *batches*: what one turn of the node wrote, padded to whole blocks, written
 * and synced as one. No block that has been synced is ever written again, so a torn write can only
 * hurt what was never vouched for. A batch says how far everything was synced when it was built:
 * the sync mark, by which recovery tells a torn tail from damage (W3). A new segment restates each
 * group's state (TN_LOG_RECORD_STATE), so no idle group pins an old one. docs/disk_format.md has
 * the bytes.
 *
 * Who may call what: tn__wal_open() before anybody else; a batch belongs to who builds it;
 * tn__wal_write(), its halves, prepare, seal and heal to one thread at a time, the writer;
 * tn__wal_index(), tn__wal_locate(), tn__wal_retain() and tn__wal_drop() touch the index and are
 * the caller's to lock; tn__wal_read() may run on any thread beside the writer, its positions never
 * change. Pure: files through store/file.h, memory through options.allocate. */
#ifndef TN_STORE_WAL_H
#define TN_STORE_WAL_H

#include <tenure/error.h>
#include <tenure/log.h>

#include "store/file.h"

struct tn__wal; /* Opaque. */

struct tn__wal_options {
    struct tn__files files;
    tn__file directory;     /* open, the caller's until tn__wal_close() */
    uint8_t cluster_id[16]; /* gid: a log of another cluster is refused (V4) */
    uint8_t disk_id[16];    /* of the data directory (V4) */
    uint64_t segment_bytes; /* [64 MiB]; the simulator takes 64 KiB */
    uint32_t block_bytes;   /* 512 or 4096: alignment of writes, buffers and lengths. [4096] */
    uint32_t direct;        /* files are opened with TN_FILE_DIRECT, writes are synchronous */
    uint32_t apart;         /* 1: tn__wal_write() leaves the next segment to tn__wal_ahead() */
    uint64_t value_bytes_max;
    /* W3: a segment with this number or a higher one has existed, by what is remembered elsewhere
     * (tn__words); if none is there now the log is damaged. 0: there may be no log. */
    uint64_t segment_known;
    /* How often this directory was started, this time included, by what is remembered elsewhere
     * (the restart word): the batches of a damaged log get numbers above all that an earlier start
     * can have given, so that none of those, should it come back, passes for one of these. 0: not
     * known. */
    uint64_t starts;
    /* Grow, shrink or (bytes 0) free a block; `aligned`: to block_bytes. NULL: no memory. */
    void *(*allocate)(void *context, void *block, size_t bytes, bool aligned);
    void *allocate_context;
};

/* What recovery shows, in the order of the log; a later record overrules an earlier one. Of `state`
 * the fields promise, committed, checksum and retained are what a segment's beginning restates;
 * what holds at the end of the log, tn__wal_found() tells. Each may be NULL. `bytes` of an entry
 * are borrowed until the call returns. A non-zero result ends recovery and is returned by
 * tn__wal_open(). */
struct tn__wal_visitor {
    void *context;
    int (*state)(void *context, const struct tn_log_record *record,
                 const struct tn_log_recovered *state, const struct tn_log_value *configurations,
                 const uint64_t *configuration_slots, uint32_t configurations_count);
    int (*record)(void *context, const struct tn_log_record *record,
                  const struct tn_log_entry *entries, const void *const *bytes);
};

/* What recovery found (docs/operations.md says what to do about it). */
struct tn__wal_report {
    uint64_t segments_count;
    uint64_t batches_count;
    uint64_t records_count;
    uint64_t bytes_read;
    uint64_t bytes_cut;       /* a torn tail past the last sync mark (W3) */
    uint64_t bytes_rewritten; /* the tail past the mark that was whole: written again and synced */
    uint64_t segment;         /* the one now being written: what tn__words_write_log() remembers */
    uint32_t damaged;         /* W3: bytes before the mark are damaged or missing: see `why` */
    uint32_t lost;            /* so are some, damaged or healed since: see tn__wal_heal() */
};

/* Read the log, check every byte of it, rewrite its tail (W3), and make it ready to be written. An
 * empty directory is a log that begins. With damage before the sync mark it succeeds with
 * report->damaged set: what was readable has been shown, and every group counts as damaged. Errors:
 * TN_ERROR_IO, TN_ERROR_NO_MEMORY, TN_ERROR_DISK_FULL, TN_ERROR_READ_ONLY, TN_ERROR_VERSION,
 * TN_ERROR_NOT_EMPTY (a log of another cluster or directory), those of the visitor; `why` says in
 * a sentence which file, which offset, what is wrong and what to do. */
int tn__wal_open(struct tn__wal **wal, const struct tn__wal_options *options,
                 const struct tn__wal_visitor *visitor, struct tn__wal_report *report, char *why,
                 size_t why_size);

/* Writes nothing: see tn__wal_seal(). NULL is none. */
void tn__wal_close(struct tn__wal *wal);

/* What recovery found of a group, its last record and every segment considered; to be asked before
 * the first write. `applied` is left 0. `damaged` is 2 if the promise may be lost, too (V4): damage
 * after which nothing tells it, or a damaged log that knows nothing of the group. False: nothing is
 * known, *recovered is all zero but `damaged`. */
bool tn__wal_found(const struct tn__wal *wal, uint32_t group, struct tn_log_recovered *recovered);

/* ---- Writing --------------------------------------------------------------------------------- */

/* The bytes behind a handle, `value->bytes` of them. */
typedef const void *(*tn__wal_bytes)(void *context, uint64_t handle);

/* One turn's records, encoded as they are added; grows by options.allocate. */
struct tn__wal_batch;

int tn__wal_batch_new(struct tn__wal *wal, struct tn__wal_batch **batch);
void tn__wal_batch_free(struct tn__wal_batch *batch);
void tn__wal_batch_clear(struct tn__wal_batch *batch);
uint64_t tn__wal_batch_bytes(const struct tn__wal_batch *batch);
/* `entries` is the record's first one; entries_first is not looked at. A long run becomes several
 * records. Errors: TN_ERROR_NO_MEMORY (the batch is as before). */
int tn__wal_batch_add(struct tn__wal_batch *batch, const struct tn_log_record *record,
                      const struct tn_log_entry *entries, tn__wal_bytes bytes, void *context);

/* Make the batch durable: it is when this returns 0. Errors: TN_ERROR_DISK_FULL: nothing was
 * written, it may be tried again (W4). Anything else is final: what was written is unknown and the
 * log takes no more (W2); every later call returns the same. */
int tn__wal_write(struct tn__wal *wal, struct tn__wal_batch *batch);

/* The same in two halves, for a writer that does not wait for the disk: where the batch needs but
 * one direct write, _begin() says which, the caller carries it out, and tells _end() how it went;
 * the batch is durable when that returns 0. False: it needs more (the next segment) or cannot be:
 * tn__wal_write(), which may take the place of _end() at any time before the write was begun, too.
 * Between the two nothing else may be asked of the log but what other threads may ask. Errors of
 * _end(): as tn__wal_write(); TN_ERROR_DISK_FULL is none of them, the space is there already. */
struct tn__wal_pending {
    tn__file file;
    uint64_t offset;
    const void *bytes; /* the batch's */
    size_t length;
};
bool tn__wal_write_begin(struct tn__wal *wal, struct tn__wal_batch *batch,
                         struct tn__wal_pending *pending);
int tn__wal_write_end(struct tn__wal *wal, struct tn__wal_batch *batch, int error);

/* Is there anything for tn__wal_ahead() to do, or, if the writer is `idle`, for tn__wal_prepare()?
 * Of the same thread. */
bool tn__wal_has_ahead(const struct tn__wal *wal, bool idle);

/* Make the next segment ahead of need: one bounded step, about a millisecond of zeros; *more: there
 * is more to do. For the writer while nothing waits for it, from half of a segment on. Errors: as
 * tn__wal_write(). */
int tn__wal_prepare(struct tn__wal *wal, bool *more);

/* The same when batches follow each other: the next segment grows with the use of this one, so that
 * it is whole before it is needed and no batch waits for many zeros; and files that nobody needs go
 * away (W4). tn__wal_write() does it itself, but with options.apart the writer does, after each:
 * who waits for the batch can be told before. Errors: as tn__wal_write(). */
int tn__wal_ahead(struct tn__wal *wal);

/* Vouch for the last batch, so that damage of it is told from a torn write: an empty batch, unless
 * there is one already. When nothing was written for a while, and before a clean end. Errors: as
 * tn__wal_write(). */
int tn__wal_seal(struct tn__wal *wal);

/* W3: every group has fetched what the damage may have taken, and that is written, with a record of
 * each that calls all of it committed: later starts need not count it as damage any more. Should
 * the damaged part grow, they do not see it either: where report->lost is set, the caller holds
 * what is there against the checksum of the committed prefix, and what fails is damage of that
 * group. Durable when it returns 0. Errors: as tn__wal_write(). */
int tn__wal_heal(struct tn__wal *wal);

/* Enter a durable batch into the index of slots. Errors: TN_ERROR_NO_MEMORY. */
int tn__wal_index(struct tn__wal *wal, const struct tn__wal_batch *batch);

/* ---- Reading --------------------------------------------------------------------------------- */

/* Where the newest durable record that holds (group, slot) is. */
struct tn__wal_position {
    uint64_t segment;
    uint64_t offset;     /* of the record */
    uint32_t bytes;      /* of the record, header included */
    uint32_t count;      /* slots that it is the newest for: others in it are to be passed over */
    uint64_t slot_first; /* the first of them */
};

/* Errors: TN_ERROR_NOT_FOUND. */
int tn__wal_locate(const struct tn__wal *wal, uint32_t group, uint64_t slot,
                   struct tn__wal_position *position);

/* Read one record into `buffer` (position->bytes of it) and check it. Entries point into it.
 * A record has at most TN_LOG_RUN_MAX entries. Errors: TN_ERROR_DAMAGED, TN_ERROR_IO,
 * TN_ERROR_NOT_FOUND (dropped meanwhile), TN_ERROR_NO_MEMORY, TN_ERROR_TOO_LARGE (entries_max). */
int tn__wal_read(const struct tn__wal *wal, const struct tn__wal_position *position, void *buffer,
                 size_t buffer_bytes, struct tn_log_record *record, struct tn_log_entry *entries,
                 const void **bytes, uint32_t entries_max);

/* ---- Space ----------------------------------------------------------------------------------- */

/* K1: slots of the group below `slot` are not needed any more; whole segments that nobody needs are
 * removed by the next tn__wal_write(). */
void tn__wal_retain(struct tn__wal *wal, uint32_t group, uint64_t slot);

/* The group is gone from this node: nothing of it is needed. Its writes have ended. */
void tn__wal_drop(struct tn__wal *wal, uint32_t group);

#endif
