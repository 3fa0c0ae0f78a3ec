/* A disk that does all that a real one may do: the table of store/file.h over memory, with faults.
 *
 * One disk is one data directory's file system. Each file has two states: what a reader sees (the
 * page cache) and what is on the platter. A write changes the first and is queued for the second;
 * sync() carries the queue over. At a crash each 512-byte sector of each queued write lands, or
 * does not, or is torn at a multiple of 8 bytes, in any order; a file's size goes the same way, and
 * so does each creation, rename and removal of a name since the directory was synced. (fault.D1,
 * D2, D13, D14; the model of docs/testing.md, "Disk".)
 *
 * Every operation but close() has a number, 1 from the last tn__sim_disk_arm(). A plan names the
 * operation that fails or in whose midst the machine crashes; a loop over all numbers is a proof
 * over all crash points. After a crash every call fails until tn__sim_disk_restart(). The random
 * choices follow from the seed alone.
 *
 * Not thread-safe; allocates with malloc and aborts when that fails. */
#ifndef TN_SIM_SIM_DISK_H
#define TN_SIM_SIM_DISK_H

#include "store/file.h"

struct tn__sim_disk; /* Opaque. */

/* What becomes of unsynced changes at a crash. */
enum tn__sim_disk_crash {
    TN_SIM_DISK_LOSE_ALL = 0,
    TN_SIM_DISK_ANY,          /* each as the seed decides */
    TN_SIM_DISK_PROCESS_ONLY, /* none: the machine goes on, and with it the page cache */
};

/* What a failed sync leaves behind (fault.D8). */
enum tn__sim_disk_failed_sync {
    TN_SIM_DISK_CLEAN = 0, /* readers see the new bytes, no later sync writes them (ext4, XFS) */
    TN_SIM_DISK_REVERTED,  /* readers see the old bytes at once (Btrfs) */
};

/* Faults to come; all zero: none. */
struct tn__sim_disk_plan {
    uint64_t fail_at;           /* the number of the operation that fails; 0: none */
    uint64_t fail_count;        /* how many in a row fail from there on; 0 means 1 */
    int fail_error;             /* with which error; TN_ERROR_IO if 0 */
    uint64_t crash_at;          /* the number of the operation in whose midst the machine crashes */
    uint32_t failed_sync;       /* enum tn__sim_disk_failed_sync */
    bool short_transfers;       /* reads and writes move 1 to 8 bytes at a time at first */
    bool read_only;             /* whatever changes the disk fails with TN_ERROR_READ_ONLY */
    uint64_t space_bytes;       /* of all files together; 0: unbounded */
    uint32_t fail_per_million;  /* chance of each operation to fail with fail_error */
    uint32_t crash_per_million; /* chance of a crash in the midst of each operation */
};

struct tn__sim_disk *tn__sim_disk_new(uint64_t seed);
void tn__sim_disk_free(struct tn__sim_disk *disk);

/* The table over this disk. Any path opens its one directory. */
struct tn__files tn__sim_disk_files(struct tn__sim_disk *disk);

/* Set the faults to come and number operations from 1 again. */
void tn__sim_disk_arm(struct tn__sim_disk *disk, const struct tn__sim_disk_plan *plan);

/* Operations numbered since then. */
uint64_t tn__sim_disk_operations(const struct tn__sim_disk *disk);

/* Has a planned crash come? */
bool tn__sim_disk_crashed(const struct tn__sim_disk *disk);

/* The machine stops (if the plan has not stopped it yet) and starts again: unsynced changes go as
 * `crash` says, every open file and lock is gone, the plan is empty. */
void tn__sim_disk_restart(struct tn__sim_disk *disk, enum tn__sim_disk_crash crash);

/* Unsynced changes: sectors of writes, truncations, changes of names. After a crash: what may land.
 */
uint64_t tn__sim_disk_pending(const struct tn__sim_disk *disk);

/* As tn__sim_disk_restart(), but change i lands exactly if lands[i], of tn__sim_disk_pending(). */
void tn__sim_disk_restart_with(struct tn__sim_disk *disk, const bool *lands);

/* ---- For tests: look at and harm the files directly, without faults and without numbers ------ */

/* The bytes of a file as a reader sees them, valid until the next call for this disk; NULL if there
 * is none. */
const uint8_t *tn__sim_disk_peek(struct tn__sim_disk *disk, const char *name, uint64_t *bytes);

/* Some of them, copied; false: they are not all there. */
bool tn__sim_disk_look(const struct tn__sim_disk *disk, const char *name, uint64_t offset,
                       void *bytes, size_t length);

/* The size of a file as a reader sees it, and where its zeros at the end begin; false if there is
 * none. */
bool tn__sim_disk_extent(const struct tn__sim_disk *disk, const char *name, uint64_t *bytes,
                         uint64_t *end);

/* Put a file there, durable, in place of what had the name. */
void tn__sim_disk_put(struct tn__sim_disk *disk, const char *name, const void *bytes,
                      size_t length);

/* Put a file in place of one as a reader sees it, durable, that differs from it in some of its
 * bytes; false: they are not all there. */
bool tn__sim_disk_patch(struct tn__sim_disk *disk, const char *name, uint64_t offset,
                        const void *bytes, size_t length);

/* Invert one bit of a file for good; false if it has no such bit. (fault.D7) */
bool tn__sim_disk_flip(struct tn__sim_disk *disk, const char *name, uint64_t bit);

/* Remove a name for good; false if there is none. (fault.D15) */
bool tn__sim_disk_remove(struct tn__sim_disk *disk, const char *name);

/* A disk with the same durable and cached content and none of the open files or plans: a copied
 * directory (fault.C9), or the state to try many faults from. */
struct tn__sim_disk *tn__sim_disk_copy(const struct tn__sim_disk *disk, uint64_t seed);

#endif
