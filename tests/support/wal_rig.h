/* A log on a simulated disk, written by a script, with a model of what it must say.
 *
 * Batch number i of the script is a function of i alone: runs accepted by three groups, slots
 * accepted again under higher ballots, promises, learned slots, configurations. So what the log
 * says after a start must be the model after some number of batches: all that were reported
 * durable, and at most the one more that was under way. */
#ifndef TN_TESTS_SUPPORT_WAL_RIG_H
#define TN_TESTS_SUPPORT_WAL_RIG_H

#include "sim/sim_disk.h"
#include "store/wal.h"

enum {
    RIG_GROUPS = 3,
    RIG_SLOTS_MAX = 512,
    RIG_VALUE_BYTES_MAX = 900,
    RIG_FILE_BYTES_MAX = 65536,
};

/* What a log says. */
struct rig_model {
    struct {
        uint64_t promise; /* the attempt of it */
        uint64_t committed;
        uint32_t slots[RIG_SLOTS_MAX]; /* by which batch of the script it was filled; 0: not */
        uint32_t version;              /* of the newest committed configuration */
    } groups[RIG_GROUPS];
};

struct rig {
    struct tn__sim_disk *disk;
    struct tn__wal_options options;
    const struct tn__file_operations *operations; /* in the place of the disk's; NULL: none */
    struct tn__wal *wal;
    struct tn__wal_batch *batch;
    struct tn__wal_report report;
    struct rig_model shown; /* by the last start */
    uint32_t written;       /* batches of the script that were asked for */
    uint32_t durable;       /* and reported durable */
    bool halves;            /* batches are written in two halves, where they can be */
    uint32_t halved;        /* so many were */
    uint64_t allocations;
    uint64_t fail_allocation; /* the number of the one that fails; 0: none */
    char why[512];
};

/* An empty log, not open. Segments of 8 KiB in blocks of 512 bytes, unless options are changed. */
void rig_init(struct rig *rig, uint64_t seed);
void rig_free(struct rig *rig);

/* Start; what it shows goes into rig->shown. */
int rig_open(struct rig *rig);
void rig_close(struct rig *rig);

/* Write the next batch of the script, and index it. */
int rig_write(struct rig *rig);
/* As many as that, all of which must succeed. */
void rig_write_many(struct rig *rig, uint32_t count);

/* The model after so many batches. */
void rig_model_after(struct rig_model *model, uint32_t batches);
/* Start must succeed, without damage, and show all that was durable and nothing that was not asked
 * for. */
void rig_must_recover(struct rig *rig);
/* How many batches the shown state is; -1: it is that of none between durable and written. */
int rig_shown_batches(const struct rig *rig);
/* Nothing shown differs from what was once written: each slot is of its batch and none is newer
 * than the last one asked for. For logs with damage. */
void rig_must_be_true(const struct rig *rig);
/* Every slot of the model can be located and read. */
void rig_must_read_all(struct rig *rig);

/* The value of a slot in a batch of the script. */
uint32_t rig_value(uint32_t batch, uint32_t group, uint64_t slot, uint8_t *bytes);

/* A disk with the same bytes; the log is not open there. */
void rig_copy(struct rig *copy, const struct rig *rig, uint64_t seed);

/* A log of `batches`, closed, of segments of 4 KiB; sealed: its last batch is vouched for. */
void rig_make_log(struct rig *rig, uint32_t batches, bool sealed);
/* A copy of a file, to be changed; RIG_FILE_BYTES_MAX at most. Returns its size. */
uint64_t rig_take_file(const struct rig *rig, const char *name, uint8_t *bytes);
uint64_t rig_last_segment(const struct rig *rig);
/* Start; nothing false may be shown, and without damage nothing may lack. Returns: damaged? */
bool rig_must_judge_rightly(struct rig *rig);
/* Damage stays damage at every later start, until it was healed. */
void rig_must_stay_damaged(struct rig *rig);

#endif
