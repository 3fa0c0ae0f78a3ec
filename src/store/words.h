/* Durable words: the few numbers a node must never forget (F1, F2, F3, the restart word).
 *
 * A data directory holds
 *   lock       held by flock(2) while a process uses the directory
 *   words.0    one record of TN_WORDS_RECORD_BYTES
 *   words.1    the same record again
 *   *.new      a record being made; never read
 *
 * Record:
 *   offset  bytes  field
 *        0      8  magic, "tnwords\0"
 *        8      4  format version, 2
 *       12      4  slot: 0 or 1, whichever file this is
 *       16      8  sequence: one more at each write, also at one that fails
 *       24     16  cluster id
 *       40      4  node id
 *       44      4  restart count
 *       48      8  ceiling (F1)
 *       56      4  configuration (F3)
 *       60      4  left (F3), 0 or 1
 *       64     64  quarantine: D_Q of each of 8 tables, 8 bytes each (A4)
 *      128     16  disk id (V4): random, drawn when the directory began
 *      144      8  log: a segment of the log with this number or a higher one was made; 0: none
 *      152    356  zero
 *      508      4  CRC-32C of all before it
 *
 * A write puts the same record into both files, one after the other: the second is not touched
 * before the first is durable, and the write is acknowledged when both are. So, with n the last
 * acknowledged sequence:
 *   inv. words 1  at any instant at least one file is whole, also in the middle of a torn write;
 *   inv. words 2  each whole file holds n or later, so the later of them never says less than was
 *                 acknowledged, whichever one of them a tear or damage has taken.
 * Hence an unreadable file is tolerated exactly when the other is whole, and is made anew at once;
 * with both gone nobody can say what was promised, and the node must not vote again under its
 * identity: TN_ERROR_DAMAGED. (Alternating slots would need one sync instead of two, but could not
 * tell a torn newest record, which is harmless, from a damaged one, which is not. The ceiling is
 * raised far ahead of need, so no lease waits for either.) Not detected: a whole directory put back
 * from an old copy; other members see its restart words (fault.C9).
 *
 * A file that a write or a sync has failed on is never used again: the next write makes a new one
 * under the name *.new, syncs it, renames it and syncs the directory. The same is done for both
 * files at each start, because what an earlier process left in the page cache may never have
 * reached the disk, though reading it back looks fine (fault.D8). Otherwise a write is made in
 * place, which needs no space on a full disk.
 *
 * Start: read, compare the identity, count one more, write, and only then is the restart word used.
 *
 * Format 1 had neither disk id nor log. Such a directory gets a disk id at its next start; until
 * that is durable nobody has been told one. */
#ifndef TN_STORE_WORDS_H
#define TN_STORE_WORDS_H

#include <tenure/error.h>
#include <tenure/event.h>

#include "store/file.h"

#define TN_WORDS_RECORD_BYTES 512
#define TN_WORDS_FORMAT 2
#define TN_DISK_ID_BYTES 16

struct tn__words_options {
    struct tn__files files;
    const char *path; /* of the data directory; used during tn__words_open() only */
    uint8_t cluster_id[16];
    tn_node_id node;
    uint32_t configuration; /* of a new directory; an existing one has its own */
    bool bootstrap;         /* V4: an empty or missing directory may be made this node's */
    uint32_t random;        /* drawn afresh: the low half of the restart word */
    /* Drawn afresh: the disk id of a directory that has none yet. */
    uint8_t disk_id[TN_DISK_ID_BYTES];
};

/* The state of an open directory. Fields up to the blank line may be read by the owner. */
struct tn__words {
    uint64_t restart_word;  /* count of starts << 32 | random; durable, never UINT64_MAX */
    uint64_t ceiling;       /* F1, as acknowledged */
    uint32_t configuration; /* F3 */
    uint32_t left;          /* F3 */
    tn_time quarantine_ns[TN_TABLES_MAX]; /* A4: of the last run, until the next write */
    uint8_t disk_id[TN_DISK_ID_BYTES];    /* V4 */
    uint64_t log_segment; /* W3: a log that has no segment of this number or above is damaged */
    bool bootstrapped;    /* the directory was empty: a new identity began */
    bool repaired;        /* one of the files was unreadable and has been made anew */

    bool fresh[2]; /* this file must be made anew at the next write */
    uint64_t
        ceiling_asked; /* the largest that any write of this process may have left on the disk */
    uint64_t log_segment_asked;
    uint16_t node;
    uint64_t sequence;
    uint8_t cluster_id[16];
    struct tn__files files;
    tn__file directory;
    tn__file lock;
    tn__file slots[2];
};

/* Open a data directory for this process and begin a new incarnation in it. On an error nothing is
 * open and `why` (why_size > 0) says which file, what is wrong and what to do. Errors:
 * TN_ERROR_NOT_FOUND (no such directory, or an empty one, and no bootstrap), TN_ERROR_LOCKED,
 * TN_ERROR_DAMAGED, TN_ERROR_NOT_EMPTY (of another cluster or node), TN_ERROR_VERSION,
 * TN_ERROR_INVALID (2^32 - 2 starts are used up), TN_ERROR_IO, TN_ERROR_DISK_FULL,
 * TN_ERROR_READ_ONLY, TN_ERROR_NO_MEMORY. */
int tn__words_open(struct tn__words *words, const struct tn__words_options *options, char *why,
                   size_t why_size);

/* Make a record durable; blocks. On 0 it is, and the fields of `words` say so. On an error it may
 * or may not be, the fields are unchanged, and a later call tries again on new files (F4 is the
 * caller's). A ceiling below that in `words` leaves it as it is. Precondition: the configuration is
 * not below that in `words`.
 * Errors: TN_ERROR_IO, TN_ERROR_DISK_FULL, TN_ERROR_READ_ONLY, TN_ERROR_NO_MEMORY. */
int tn__words_write(struct tn__words *words, const struct tn_record *record);

/* V4, W3: remember that the log's segment `number` exists, so that its loss is noticed: a directory
 * that had a log and has none is done voting. To be called before anything is promised by that log;
 * a number below the one remembered changes nothing. Blocks; never beside tn__words_write().
 * Errors: as tn__words_write(). */
int tn__words_write_log(struct tn__words *words, uint64_t number);

/* Close, and let another process have the directory. Also after a failed write. */
void tn__words_close(struct tn__words *words);

/* The restart word of a diskless node: random as a whole, never UINT64_MAX and never 0. */
uint64_t tn__words_diskless_restart_word(uint64_t random);

#endif
