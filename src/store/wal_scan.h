/* Reading a whole log: every batch in its order, and what is wrong with it. Changes nothing.
 *
 *   segments in the order of their numbers
 *     batches one after the other: sequence n, n + 1, n + 2 ...
 *       a bad spot: no whole batch n where it should be.
 *         A later batch, here or in a later segment, says that n was synced      --> a gap: damage
 *         nothing does                                                           --> torn: cut
 *
 * A batch is written when all before it are synced, and says so by its mark. So a torn write can
 * only be the last one, and whatever vouches for what should be at a bad spot makes it damage, not
 * a tear (fault.D16): a mark at or above n; bytes after a damaged batch whose header is whole; a
 * segment made by recovery, which was synced before it had a name. A block that cannot be read is
 * never taken for torn.
 *
 * Batches at or above the first one of any later segment made by recovery were rewritten into
 * that one (W3): here they are passed over.
 *
 * A segment made by recovery vouches for its batches not being torn, but not for their being
 * durable: the directory may not have been synced, and its name be only in the cache. A number
 * missing in the row is no gap if the sequence goes on: such a segment was rewritten and is gone.
 *
 * A gap counts unless its segment is below the first one needed, or what it held was fetched from
 * peers since (healed). */
#ifndef TN_STORE_WAL_SCAN_H
#define TN_STORE_WAL_SCAN_H

#include "base/text.h"
#include "store/wal_codec.h"
#include "store/wal_window.h"

struct tn__wal_scan_segment {
    uint64_t number;
    uint64_t bytes;       /* of the file */
    uint64_t made_bytes;  /* it had when it was made */
    uint64_t end;         /* where its last whole batch ends */
    uint64_t batch_first; /* made by recovery: see struct tn__wal_head; 0: made ahead */
    uint64_t batch_last;
    uint64_t begins;  /* the sequence it begins with; 0: not known, or nothing in it */
    uint64_t vouched; /* what its first blocks vouch for */
    uint64_t later;   /* what those of later segments vouch for */
    uint64_t limit;   /* batches from here on are in later segments made by recovery; 0: none */
    uint32_t block_bytes;
    bool head_whole;
};

struct tn__wal_gap {
    uint64_t segment;
    uint64_t offset;
    uint64_t sequence; /* the first batch that is missing; 1 if that is not known */
    uint64_t last;     /* the last one; UINT64_MAX: nothing follows */
    uint64_t bytes;    /* torn: what is cut */
    const char *what;
    bool torn;   /* nothing vouches for it */
    bool counts; /* damage that matters */
};

/* Each may be NULL; what is not 0 ends the scan and is its result. */
struct tn__wal_scan_visitor {
    void *context;
    int (*batch)(void *context, const struct tn__wal_batch_head *head);
    /* `head` is NULL for a record that was saved from a damaged batch. */
    int (*record)(void *context, const struct tn__wal_batch_head *head,
                  const struct tn__wal_record *record, struct tn__wal_place place,
                  const uint8_t *bytes);
};

struct tn__wal_scan {
    /* The caller's: */
    struct tn__wal_window window; /* with files and memory; file TN_FILE_NONE */
    tn__file directory;
    struct tn__wal_scan_visitor visitor;
    struct tn__text *why;
    uint64_t segment_known; /* one with this number or above has existed */
    uint32_t block_bytes;   /* of a segment whose header is damaged */
    uint32_t read_mode;     /* TN_FILE_READ, and maybe TN_FILE_DIRECT */
    bool any_identity;      /* take the ids of the first segment */
    uint8_t cluster_id[16];
    uint8_t disk_id[16];

    /* What was found: */
    struct tn__wal_scan_segment *segments;
    uint64_t segments_count;
    uint64_t segments_capacity;
    struct tn__wal_gap *gaps;
    uint64_t gaps_count;
    uint64_t gaps_capacity;
    struct tn__wal_batch_head *tail; /* whole batches that nothing vouches for yet */
    uint64_t tail_count;
    uint64_t tail_capacity;
    uint64_t batches_count;
    uint64_t records_count;
    uint64_t bytes_cut;
    uint64_t sequence; /* of the last whole batch; 0: none */
    uint64_t mark;     /* the highest of a whole batch: up to here all is durable */
    uint64_t vouched;  /* and of segments' headers: up to here all was synced, so is not torn */
    uint64_t healed;
    uint64_t segment_first;
    bool damaged;

    /* Its own: */
    uint32_t seed;
    uint64_t next; /* the sequence expected; 0: any */
    int list_error;
};

/* Errors: those of the operations and of the visitor, TN_ERROR_NO_MEMORY, TN_ERROR_VERSION,
 * TN_ERROR_NOT_EMPTY; `why` says what and where. Release what was found in any case. */
int tn__wal_scan_run(struct tn__wal_scan *scan);
void tn__wal_scan_free(struct tn__wal_scan *scan);

/* The first gap that counts, in a sentence. */
void tn__wal_scan_describe(const struct tn__wal_scan *scan, struct tn__text *why);

/* Used by wal_scan.c and wal_scan_spot.c. */
int tn__wal_scan_gap(struct tn__wal_scan *scan, const struct tn__wal_gap *gap);
int tn__wal_scan_salvage(struct tn__wal_scan *scan, const struct tn__wal_batch_head *head);
/* No whole batch at `*at`: decide why. On return `*at` is where to go on, or the file's end. `head`
 * is NULL if not even the header is whole. */
int tn__wal_scan_spot(struct tn__wal_scan *scan, uint64_t index, uint64_t *at,
                      const struct tn__wal_batch_head *head);

#endif
