/* Writes that are slow or fail, and disks that lie. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "sim/log_faults_internal.h"

#define SEGMENTS_MAX 4096U
#define BLOCK 512U
/* So many bytes at the end of the newest segment's content are left alone, or as many as the two
 * longest batches can have: no later one vouches for the last batch, so nothing can tell that it is
 * harmed from its never having been written as a whole. */
#define TAIL_BYTES 32768U
#define MILLION 1000000U

/* ---- The files of a log ---------------------------------------------------------------------- */

static void name_of(uint32_t segment, char name[16])
{
    snprintf(name, 16, "%08u.wal", segment);
}

/* How long a segment is, and where the zeros at its end begin. False: there is none. */
static bool segment_of(const struct tn__sim_disk *disk, uint32_t segment, uint64_t *bytes,
                       uint64_t *end)
{
    char name[16];
    name_of(segment, name);
    return tn__sim_disk_extent(disk, name, bytes, end);
}

struct extent {
    uint32_t oldest;
    uint32_t newest; /* of those with batches */
    uint64_t end;    /* of what is written in it */
};

/* Where the log lies: the newest segment with more than zeros behind its header. False: nowhere. */
static bool extent_of(const struct tn__sim_disk *disk, struct extent *extent)
{
    uint32_t missing = 0;
    *extent = (struct extent){0};
    for (uint32_t s = 1; s < SEGMENTS_MAX && missing < 64; s++) {
        uint64_t bytes = 0;
        uint64_t end = 0;
        if (!segment_of(disk, s, &bytes, &end)) {
            missing++;
            continue;
        }
        missing = 0;
        extent->oldest = extent->oldest == 0 ? s : extent->oldest;
        if (end > BLOCK) {
            extent->newest = s;
            extent->end = end;
        }
    }
    return extent->newest != 0;
}

static uint64_t bytes_used(const struct tn__sim_disk *disk)
{
    uint64_t used = 0;
    uint32_t missing = 0;
    for (uint32_t s = 1; s < SEGMENTS_MAX && missing < 64; s++) {
        uint64_t bytes = 0;
        uint64_t end = 0;
        missing = segment_of(disk, s, &bytes, &end) ? 0 : missing + 1;
        used += bytes;
    }
    return used;
}

void tn__log_faults_remove_all(struct tn__log_faults *faults, uint32_t process)
{
    struct tn__sim_disk *disk = tn__log_world_disk(faults->world, process);
    uint32_t missing = 0;
    for (uint32_t s = 1; s < SEGMENTS_MAX && missing < 64; s++) {
        char name[16];
        name_of(s, name);
        missing = tn__sim_disk_remove(disk, name) ? 0 : missing + 1;
    }
}

/* ---- Who may be hurt ------------------------------------------------------------------------- */

bool tn__log_faults_may_hurt(struct tn__log_faults *faults, uint32_t process)
{
    const struct tn__log_world_options *options = tn__log_world_options(faults->world);
    tn_member_set voters = options->log.voters;
    tn__log_faults_look_at_hurt(faults);
    tn_member_set hurt = (faults->hurt | 1U << process) & voters;
    uint32_t may = ((uint32_t)__builtin_popcount(voters) - 1) / 2;
    return (uint32_t)__builtin_popcount(hurt) <= may;
}

/* Who is up, and in no group counts as damaged, has got back all that it may have lost, once the
 * disk says so too: a start before that finds the damage again. */
void tn__log_faults_look_at_hurt(struct tn__log_faults *faults)
{
    for (uint32_t i = 0; i < faults->nodes_count; i++) {
        if ((faults->hurt >> i & 1U) == 0 || !tn__log_world_is_up(faults->world, i) ||
            tn__log_world_has_failed(faults->world, i)) {
            continue;
        }
        bool whole = !tn__log_world_is_damaged(faults->world, i);
        for (uint32_t g = 0; g < tn__log_world_options(faults->world)->groups_count; g++) {
            struct tn_log_status status;
            tn_log_status(tn__log_world_log(faults->world, i, g),
                          tn__log_world_local(faults->world, i), &status);
            whole = whole && status.state != TN_LOG_STATE_DAMAGED &&
                    status.state != TN_LOG_STATE_STOPPED;
        }
        if (whole) {
            faults->hurt &= ~(1U << i);
        }
    }
}

/* ---- Lies ------------------------------------------------------------------------------------ */

static uint64_t tail_bytes(const struct tn__log_faults *faults, uint32_t process)
{
    uint64_t longest = 2 * tn__log_world_batch_bytes(faults->world, process);
    return longest > TAIL_BYTES ? longest : TAIL_BYTES;
}

/* A block of a segment that is surely vouched for by a later batch: of an older segment, or far
 * from the end of the newest. False: there is none. */
static bool pick_block(struct tn__log_faults *faults, uint32_t process, uint32_t *segment,
                       uint64_t *offset)
{
    const struct tn__sim_disk *disk = tn__log_world_disk(faults->world, process);
    uint64_t tail = tail_bytes(faults, process);
    struct extent extent;
    if (!extent_of(disk, &extent)) {
        return false;
    }
    *segment =
        extent.oldest + (uint32_t)tn__log_faults_below(faults, extent.newest - extent.oldest + 1);
    uint64_t bytes = 0;
    uint64_t end = 0;
    bool found = segment_of(disk, *segment, &bytes, &end);
    if (*segment == extent.newest) {
        bytes = extent.end > tail ? extent.end - tail : 0;
    } else if (*segment + 1 == extent.newest && extent.end < tail) {
        return false;
    }
    if (!found || bytes < BLOCK) {
        return false;
    }
    *offset = tn__log_faults_below(faults, bytes / BLOCK) * BLOCK;
    return true;
}

static bool look_at_block(const struct tn__sim_disk *disk, uint32_t segment, uint64_t offset,
                          uint8_t block[BLOCK])
{
    char name[16];
    name_of(segment, name);
    return tn__sim_disk_look(disk, name, offset, block, BLOCK);
}

static bool lie(struct tn__log_faults *faults, struct tn__sim_disk *disk, uint32_t process,
                enum tn__log_fault fault)
{
    uint32_t segment = 0;
    uint64_t offset = 0;
    if (!pick_block(faults, process, &segment, &offset)) {
        return false;
    }
    uint8_t block[BLOCK] = {0};
    bool is_there = look_at_block(disk, segment, offset, block);
    tn_assert(is_there);
    uint32_t other = 0;
    uint64_t other_offset = 0;
    char name[16];
    name_of(segment, name);
    switch (fault) {
    case TN_LOG_FAULT_ROT:
        for (uint64_t i = 1 + tn__log_faults_below(faults, 4); i > 0; i--) {
            block[tn__log_faults_below(faults, BLOCK)] ^=
                (uint8_t)(1U << tn__log_faults_below(faults, 8));
        }
        break;
    case TN_LOG_FAULT_MISDIRECTED:
        if (!pick_block(faults, process, &other, &other_offset)) {
            return false;
        }
        is_there = look_at_block(disk, other, other_offset, block);
        tn_assert(is_there);
        break;
    case TN_LOG_FAULT_LOST_SYNC:
        memset(block, 0, BLOCK);
        if (faults->older[process] != NULL) {
            tn_maybe(look_at_block(faults->older[process], segment, offset, block));
        }
        break;
    default: { /* FILE_LOST: missing, or empty; the newest would take the last batches with it */
        struct extent extent;
        if (!extent_of(disk, &extent) || segment == extent.newest) {
            return false;
        }
        if (tn__log_faults_below(faults, 2) == 0) {
            tn__sim_disk_remove(disk, name);
        } else {
            tn__sim_disk_put(disk, name, block, 0);
        }
        return true;
    }
    }
    return tn__sim_disk_patch(disk, name, offset, block, BLOCK);
}

void tn__log_faults_harm(struct tn__log_faults *faults, uint32_t process)
{
    static const enum tn__log_fault lies[] = {TN_LOG_FAULT_LOST_SYNC, TN_LOG_FAULT_MISDIRECTED,
                                              TN_LOG_FAULT_ROT, TN_LOG_FAULT_FILE_LOST};
    struct tn__sim_disk *disk = tn__log_world_disk(faults->world, process);
    for (uint32_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        if (tn__log_faults_draw(faults, lies[i], MILLION / 8) &&
            tn__log_faults_may_hurt(faults, process) && lie(faults, disk, process, lies[i])) {
            faults->hurt |= 1U << process;
            tn__log_world_harmed(faults->world, process);
            tn__log_faults_count(faults, lies[i]);
            break;
        }
    }
    if (tn__log_faults_has(faults, TN_LOG_FAULT_LOST_SYNC)) {
        tn__sim_disk_free(faults->older[process]);
        faults->older[process] = tn__sim_disk_copy(disk, faults->options.seed);
    }
}

/* ---- Writes and reads ------------------------------------------------------------------------ */

tn_time tn__log_faults_write_at(void *context, uint32_t process)
{
    struct tn__log_faults *faults = context;
    struct tn__sim_disk *disk = tn__log_world_disk(faults->world, process);
    struct tn__sim_disk_plan plan = {0};
    tn_time now = tn__log_world_now(faults->world);
    tn_time took =
        faults->options.sync_ns / 2 + tn__log_faults_below(faults, faults->options.sync_ns) + 1;
    if (faults->is_calm) {
        tn__sim_disk_arm(disk, &plan);
        return now + took;
    }
    if ((faults->slow_disks >> process & 1U) != 0) {
        tn__log_faults_count(faults, TN_LOG_FAULT_SLOW_DISK);
        took *= 10 + tn__log_faults_below(faults, 1000);
    }
    if (tn__log_faults_draw(faults, TN_LOG_FAULT_SYNC_FAILED, 500)) {
        plan.fail_at = 1 + tn__log_faults_below(faults, 3);
        tn__log_faults_count(faults, TN_LOG_FAULT_SYNC_FAILED);
        if (tn__log_faults_draw(faults, TN_LOG_FAULT_SYNC_REVERTED, MILLION / 2)) {
            plan.failed_sync = TN_SIM_DISK_REVERTED;
            tn__log_faults_count(faults, TN_LOG_FAULT_SYNC_REVERTED);
        }
    }
    if (tn__log_faults_draw(faults, TN_LOG_FAULT_SHORT, MILLION / 50)) {
        plan.short_transfers = true;
        tn__log_faults_count(faults, TN_LOG_FAULT_SHORT);
    }
    if ((faults->full_disks >> process & 1U) != 0) {
        plan.space_bytes = bytes_used(disk) + 1;
    }
    tn__sim_disk_arm(disk, &plan);
    return now + took;
}

tn_time tn__log_faults_load_at(void *context, uint32_t process)
{
    struct tn__log_faults *faults = context;
    tn_maybe(process == 0);
    return tn__log_world_now(faults->world) + 1 +
           tn__log_faults_below(faults, 2 * faults->options.sync_ns);
}

void tn__log_faults_begin_full(struct tn__log_faults *faults, uint32_t process)
{
    faults->full_disks |= 1U << process;
    tn__log_faults_count(faults, TN_LOG_FAULT_DISK_FULL);
    tn__log_faults_wake(faults, tn__log_faults_span(faults, 2 * TN_SECOND), TN__LOG_FAULTS_FULL_END,
                        process);
}
