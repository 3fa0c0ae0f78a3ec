/* The simulated disk: names, open files, and the plan of faults. The bytes are sim_disk_inode.c's,
 * looking at files and harming them is sim_disk_harm.c's.
 *
 * Names have the same two states as bytes: `cached` is what lookups see, `durable` what a crash
 * leaves, and `queue` the changes since the directory was synced. Inodes are referred to by index;
 * one that nothing refers to any more is freed when the directory is synced and at a restart.
 *
 * All of it is bounded, and at the bounds the disk does what a real one does: a journal of changes
 * of names that is full is written out, and who wants one name or file too many is told that the
 * disk is full. */
#include "sim/sim_disk.h"

#include <stdlib.h>
#include <string.h>

#include <tenure/error.h>

#include "base/assert.h"
#include "base/random.h"
#include "sim/sim_disk_internal.h"

enum {
    DIRECT_BYTES = 512,
};

/* ---- Names --------------------------------------------------------------------------------- */

/* There is room for the change: names_make_room() was asked before. */
static void rename_queued(struct tn__sim_disk *disk, const char *from, const char *to,
                          int32_t inode)
{
    tn_assert(disk->queue_count < TN_SIM_DISK_QUEUE_MAX);
    struct tn__sim_disk_renaming *renaming = &disk->queue[disk->queue_count++];
    renaming->inode = inode;
    tn__sim_disk_name_copy(renaming->from, from);
    tn__sim_disk_name_copy(renaming->to, to);
    tn__sim_disk_renaming_apply(&disk->cached, renaming);
}

/* Carry the queued changes of names over: all of them, or each as the seed decides. */
static void names_settle(struct tn__sim_disk *disk, bool all)
{
    for (uint32_t i = 0; i < disk->queue_count; i++) {
        if (all || tn__random_below(&disk->random, 2) == 0) {
            tn__sim_disk_renaming_apply(&disk->durable, &disk->queue[i]);
        }
    }
    disk->queue_count = 0;
}

/* ---- Inodes and open files ----------------------------------------------------------------- */

static void directory_mark(const struct tn__sim_disk_names *directory, bool *marks)
{
    for (uint32_t i = 0; i < directory->count; i++) {
        marks[directory->entries[i].inode] = true;
    }
}

/* Free what no name, no queued change and no open file refers to. */
static void inodes_collect(struct tn__sim_disk *disk)
{
    bool marks[TN_SIM_DISK_INODES_MAX] = {false};
    directory_mark(&disk->cached, marks);
    directory_mark(&disk->durable, marks);
    for (uint32_t i = 0; i < disk->queue_count; i++) {
        if (disk->queue[i].inode != TN_SIM_DISK_NO_INODE) {
            marks[disk->queue[i].inode] = true;
        }
    }
    for (uint32_t i = 0; i < TN_SIM_DISK_OPEN_MAX; i++) {
        if (disk->handles[i].used && !disk->handles[i].is_directory) {
            marks[disk->handles[i].inode] = true;
        }
    }
    for (uint32_t i = 0; i < TN_SIM_DISK_INODES_MAX; i++) {
        if (!marks[i]) {
            tn__sim_disk_inode_free(disk->inodes[i]);
            disk->inodes[i] = NULL;
        }
    }
}

static int32_t inode_slot(const struct tn__sim_disk *disk)
{
    int32_t free_slot = 0;
    while (free_slot < TN_SIM_DISK_INODES_MAX && disk->inodes[free_slot] != NULL) {
        free_slot++;
    }
    return free_slot;
}

/* Before a change of names: room for it. TN_ERROR_DISK_FULL: there is none for one name more. */
static int names_make_room(struct tn__sim_disk *disk, bool one_more)
{
    /* What is queued may become durable beside all that is. */
    if (disk->durable.count + disk->queue_count >= TN_SIM_DISK_QUEUE_MAX) {
        names_settle(disk, true);
        inodes_collect(disk);
    }
    bool full = disk->durable.count + disk->queue_count >= TN_SIM_DISK_NAMES_MAX;
    return one_more && full ? TN_ERROR_DISK_FULL : TN_OK;
}

int32_t tn__sim_disk_inode_add(struct tn__sim_disk *disk)
{
    int32_t free_slot = inode_slot(disk);
    if (free_slot == TN_SIM_DISK_INODES_MAX) {
        inodes_collect(disk);
        free_slot = inode_slot(disk);
    }
    tn_assert(free_slot < TN_SIM_DISK_INODES_MAX); /* more than names and open files */
    disk->inodes[free_slot] = tn__sim_disk_inode_new();
    return free_slot;
}

/* Open files are numbered generation * TN_SIM_DISK_OPEN_MAX + slot. */
static int handle_new(struct tn__sim_disk *disk, struct tn__sim_disk_handle handle, tn__file *file)
{
    for (uint32_t i = 0; i < TN_SIM_DISK_OPEN_MAX; i++) {
        if (!disk->handles[i].used) {
            handle.used = true;
            handle.generation = disk->handles[i].generation + 1;
            disk->handles[i] = handle;
            *file = (tn__file)(handle.generation * TN_SIM_DISK_OPEN_MAX + i);
            return TN_OK;
        }
    }
    return TN_ERROR_NO_MEMORY;
}

/* The open file; NULL if it was closed, by close() or by a restart. */
static struct tn__sim_disk_handle *handle_find(struct tn__sim_disk *disk, tn__file file)
{
    tn_assert(file >= 0);
    struct tn__sim_disk_handle *handle = &disk->handles[(uint64_t)file % TN_SIM_DISK_OPEN_MAX];
    bool same = handle->used && handle->generation == (uint64_t)file / TN_SIM_DISK_OPEN_MAX;
    return same ? handle : NULL;
}

static struct tn__sim_disk_inode *inode_find(struct tn__sim_disk *disk, tn__file file)
{
    const struct tn__sim_disk_handle *handle = handle_find(disk, file);
    return handle != NULL && !handle->is_directory ? disk->inodes[handle->inode] : NULL;
}

/* ---- The plan ------------------------------------------------------------------------------ */

static bool chance(struct tn__sim_disk *disk, uint32_t per_million)
{
    return per_million > 0 && tn__random_below(&disk->random, 1000000) < per_million;
}

/* Number an operation; its error if it shall fail. */
static int operation_begin(struct tn__sim_disk *disk, bool changes)
{
    if (disk->crashed) {
        return TN_ERROR_IO;
    }
    disk->operations++;
    const struct tn__sim_disk_plan *plan = &disk->plan;
    if (plan->read_only && changes) {
        return TN_ERROR_READ_ONLY;
    }
    uint64_t count = plan->fail_count > 0 ? plan->fail_count : 1;
    bool planned = plan->fail_at > 0 && disk->operations >= plan->fail_at &&
                   disk->operations - plan->fail_at < count;
    if (planned || chance(disk, plan->fail_per_million)) {
        return plan->fail_error != 0 ? plan->fail_error : TN_ERROR_IO;
    }
    return TN_OK;
}

/* The operation has taken effect; does the machine stop before it returns? */
static int operation_end(struct tn__sim_disk *disk)
{
    /* At the planned one, or, if that had no effect to stop in, at the next that has. */
    bool planned = disk->plan.crash_at > 0 && disk->operations >= disk->plan.crash_at;
    if (planned || chance(disk, disk->plan.crash_per_million)) {
        disk->crashed = true;
        return TN_ERROR_IO;
    }
    return TN_OK;
}

static size_t transfer_bytes(struct tn__sim_disk *disk, bool direct, size_t length)
{
    if (!disk->plan.short_transfers || length == 0) {
        return length;
    }
    size_t step = direct ? DIRECT_BYTES : 1;
    return step * (size_t)(1 + tn__random_below(&disk->random, (length + step - 1) / step));
}

/* What a direct transfer asks of its operands. */
static bool transfer_aligned(const struct tn__sim_disk_handle *handle, uint64_t offset,
                             const void *bytes, size_t length)
{
    return !handle->direct || (offset % DIRECT_BYTES == 0 && length % DIRECT_BYTES == 0 &&
                               (uintptr_t)bytes % DIRECT_BYTES == 0);
}

static uint64_t bytes_used(const struct tn__sim_disk *disk)
{
    uint64_t used = 0;
    for (uint32_t i = 0; i < TN_SIM_DISK_INODES_MAX; i++) {
        used += disk->inodes[i] != NULL ? disk->inodes[i]->cached.size : 0;
    }
    return used;
}

/* ---- Operations ---------------------------------------------------------------------------- */

static int sim_open_directory(void *context, const char *path, bool create, tn__file *directory)
{
    struct tn__sim_disk *disk = context;
    tn_assert(path != NULL);
    tn_maybe(create);
    int error = operation_begin(disk, false);
    if (error == TN_OK) {
        error = handle_new(disk, (struct tn__sim_disk_handle){.is_directory = true}, directory);
    }
    return error != TN_OK ? error : operation_end(disk);
}

static int sim_list(void *context, tn__file directory, tn__file_visit visit, void *visitor)
{
    struct tn__sim_disk *disk = context;
    int error = operation_begin(disk, false);
    if (error != TN_OK || handle_find(disk, directory) == NULL) {
        return error != TN_OK ? error : TN_ERROR_IO;
    }
    for (uint32_t i = 0; i < disk->cached.count; i++) {
        if (!visit(visitor, disk->cached.entries[i].name)) {
            break;
        }
    }
    return operation_end(disk);
}

static int sim_open(void *context, tn__file directory, const char *name, uint32_t mode,
                    tn__file *file)
{
    struct tn__sim_disk *disk = context;
    int error = operation_begin(disk, (mode & TN_FILE_WRITE) != 0);
    if (error != TN_OK) {
        return error;
    }
    if (handle_find(disk, directory) == NULL) {
        return TN_ERROR_IO;
    }
    int32_t inode = tn__sim_disk_names_find(&disk->cached, name);
    if (inode == TN_SIM_DISK_NO_INODE && (mode & TN_FILE_CREATE) == 0) {
        return TN_ERROR_NOT_FOUND;
    }
    if (inode != TN_SIM_DISK_NO_INODE && (mode & TN_FILE_EXCLUSIVE) != 0) {
        return TN_ERROR_IO;
    }
    if (inode == TN_SIM_DISK_NO_INODE) {
        error = names_make_room(disk, true);
        if (error != TN_OK) {
            return error;
        }
        inode = tn__sim_disk_inode_add(disk);
        rename_queued(disk, "", name, inode);
    }
    struct tn__sim_disk_handle handle = {
        .inode = inode,
        .writable = (mode & TN_FILE_WRITE) != 0,
        .direct = (mode & TN_FILE_DIRECT) != 0,
    };
    error = handle_new(disk, handle, file);
    return error != TN_OK ? error : operation_end(disk);
}

static void sim_close(void *context, tn__file file)
{
    struct tn__sim_disk_handle *handle = handle_find(context, file);
    if (handle != NULL) {
        handle->used = false;
    }
}

static int sim_size(void *context, tn__file file, uint64_t *bytes)
{
    struct tn__sim_disk *disk = context;
    int error = operation_begin(disk, false);
    const struct tn__sim_disk_inode *inode = inode_find(disk, file);
    if (error != TN_OK || inode == NULL) {
        return error != TN_OK ? error : TN_ERROR_IO;
    }
    *bytes = inode->cached.size;
    return operation_end(disk);
}

static int sim_read(void *context, tn__file file, uint64_t offset, void *bytes, size_t length,
                    size_t *done)
{
    struct tn__sim_disk *disk = context;
    int error = operation_begin(disk, false);
    const struct tn__sim_disk_handle *handle = handle_find(disk, file);
    const struct tn__sim_disk_inode *inode = inode_find(disk, file);
    if (error != TN_OK || inode == NULL) {
        return error != TN_OK ? error : TN_ERROR_IO;
    }
    if (!transfer_aligned(handle, offset, bytes, length)) {
        return TN_ERROR_INVALID;
    }
    uint64_t left = offset < inode->cached.size ? inode->cached.size - offset : 0;
    length = length < left ? length : (size_t)left;
    *done = transfer_bytes(disk, handle->direct, length);
    *done = *done < length ? *done : length;
    if (*done > 0) {
        tn__sim_disk_bytes_read(&inode->cached, offset, bytes, *done);
    }
    return operation_end(disk);
}

static int sim_write(void *context, tn__file file, uint64_t offset, const void *bytes,
                     size_t length, size_t *done)
{
    struct tn__sim_disk *disk = context;
    bool was_running = !disk->crashed;
    int error = operation_begin(disk, true);
    const struct tn__sim_disk_handle *handle = handle_find(disk, file);
    struct tn__sim_disk_inode *inode = inode_find(disk, file);
    if (inode == NULL || !handle->writable) {
        return TN_ERROR_IO;
    }
    if (error == TN_ERROR_IO && was_running) {
        /* A write that fails may have got some of its bytes in. */
        tn__sim_disk_inode_write(inode, offset, bytes, tn__random_below(&disk->random, length + 1));
    }
    if (error != TN_OK) {
        return error;
    }
    if (!transfer_aligned(handle, offset, bytes, length)) {
        return TN_ERROR_INVALID;
    }
    *done = transfer_bytes(disk, handle->direct, length);
    uint64_t end = offset + *done;
    uint64_t growth = end > inode->cached.size ? end - inode->cached.size : 0;
    bool full = disk->plan.space_bytes > 0 && bytes_used(disk) + growth > disk->plan.space_bytes;
    if (growth > 0 && full) {
        return TN_ERROR_DISK_FULL;
    }
    tn__sim_disk_inode_write(inode, offset, bytes, *done);
    error = operation_end(disk);
    if (error == TN_OK && handle->direct && *done > 0) {
        tn__sim_disk_inode_through(inode);
    }
    return error;
}

static int sim_allocate(void *context, tn__file file, uint64_t bytes)
{
    struct tn__sim_disk *disk = context;
    int error = operation_begin(disk, true);
    struct tn__sim_disk_inode *inode = inode_find(disk, file);
    if (error != TN_OK || inode == NULL) {
        return error != TN_OK ? error : TN_ERROR_IO;
    }
    uint64_t growth = bytes > inode->cached.size ? bytes - inode->cached.size : 0;
    if (disk->plan.space_bytes > 0 && bytes_used(disk) + growth > disk->plan.space_bytes) {
        return TN_ERROR_DISK_FULL;
    }
    if (growth > 0) {
        tn__sim_disk_inode_truncate(inode, bytes);
    }
    return operation_end(disk);
}

static int sim_truncate(void *context, tn__file file, uint64_t bytes)
{
    struct tn__sim_disk *disk = context;
    int error = operation_begin(disk, true);
    struct tn__sim_disk_inode *inode = inode_find(disk, file);
    if (error != TN_OK || inode == NULL) {
        return error != TN_OK ? error : TN_ERROR_IO;
    }
    tn__sim_disk_inode_truncate(inode, bytes);
    return operation_end(disk);
}

static int sim_sync(void *context, tn__file file)
{
    struct tn__sim_disk *disk = context;
    bool was_running = !disk->crashed;
    int error = operation_begin(disk, false);
    struct tn__sim_disk_inode *inode = inode_find(disk, file);
    if (inode == NULL) {
        return TN_ERROR_IO;
    }
    if (error != TN_OK) {
        /* fault.D8: some of it may be there, and what is not will never be. */
        if (was_running) {
            tn__sim_disk_inode_scatter(inode, &disk->random);
            if (disk->plan.failed_sync == TN_SIM_DISK_REVERTED) {
                tn__sim_disk_inode_revert(inode);
            }
        }
        return error;
    }
    error = operation_end(disk);
    if (error == TN_OK) {
        tn__sim_disk_inode_sync(inode);
    }
    return error;
}

static int sim_sync_directory(void *context, tn__file directory)
{
    struct tn__sim_disk *disk = context;
    bool was_running = !disk->crashed;
    int error = operation_begin(disk, false);
    if (handle_find(disk, directory) == NULL) {
        return TN_ERROR_IO;
    }
    if (error != TN_OK) {
        if (was_running) {
            names_settle(disk, false);
        }
        return error;
    }
    error = operation_end(disk);
    if (error == TN_OK) {
        names_settle(disk, true);
        inodes_collect(disk);
    }
    return error;
}

static int sim_rename(void *context, tn__file directory, const char *from, const char *to)
{
    struct tn__sim_disk *disk = context;
    int error = operation_begin(disk, true);
    if (error != TN_OK || handle_find(disk, directory) == NULL) {
        return error != TN_OK ? error : TN_ERROR_IO;
    }
    int32_t inode = tn__sim_disk_names_find(&disk->cached, from);
    if (inode == TN_SIM_DISK_NO_INODE) {
        return TN_ERROR_NOT_FOUND;
    }
    bool one_more = tn__sim_disk_names_find(&disk->cached, to) == TN_SIM_DISK_NO_INODE;
    error = names_make_room(disk, one_more);
    if (error != TN_OK) {
        return error;
    }
    rename_queued(disk, from, to, inode);
    return operation_end(disk);
}

static int sim_unlink(void *context, tn__file directory, const char *name)
{
    struct tn__sim_disk *disk = context;
    int error = operation_begin(disk, true);
    if (error != TN_OK || handle_find(disk, directory) == NULL) {
        return error != TN_OK ? error : TN_ERROR_IO;
    }
    if (tn__sim_disk_names_find(&disk->cached, name) == TN_SIM_DISK_NO_INODE) {
        return TN_ERROR_NOT_FOUND;
    }
    error = names_make_room(disk, false);
    tn_assert(error == TN_OK);
    rename_queued(disk, "", name, TN_SIM_DISK_NO_INODE);
    return operation_end(disk);
}

static int sim_lock(void *context, tn__file file)
{
    struct tn__sim_disk *disk = context;
    int error = operation_begin(disk, false);
    struct tn__sim_disk_handle *handle = handle_find(disk, file);
    if (error != TN_OK || handle == NULL) {
        return error != TN_OK ? error : TN_ERROR_IO;
    }
    for (uint32_t i = 0; i < TN_SIM_DISK_OPEN_MAX; i++) {
        const struct tn__sim_disk_handle *other = &disk->handles[i];
        if (other != handle && other->used && other->locked && other->inode == handle->inode) {
            return TN_ERROR_LOCKED;
        }
    }
    handle->locked = true;
    return operation_end(disk);
}

static const struct tn__file_operations sim_operations = {
    .open_directory = sim_open_directory,
    .list = sim_list,
    .open = sim_open,
    .close = sim_close,
    .size = sim_size,
    .read = sim_read,
    .write = sim_write,
    .truncate = sim_truncate,
    .sync = sim_sync,
    .data_sync = sim_sync,
    .allocate = sim_allocate,
    .sync_directory = sim_sync_directory,
    .rename = sim_rename,
    .unlink = sim_unlink,
    .lock = sim_lock,
};

/* ---- Life and plan ------------------------------------------------------------------------- */

struct tn__sim_disk *tn__sim_disk_new(uint64_t seed)
{
    struct tn__sim_disk *disk = tn__sim_disk_allocate(NULL, sizeof(*disk));
    memset(disk, 0, offsetof(struct tn__sim_disk, cached));
    disk->cached.count = disk->durable.count = 0;
    disk->random = seed;
    return disk;
}

void tn__sim_disk_free(struct tn__sim_disk *disk)
{
    if (disk == NULL) {
        return;
    }
    for (uint32_t i = 0; i < TN_SIM_DISK_INODES_MAX; i++) {
        tn__sim_disk_inode_free(disk->inodes[i]);
    }
    free(disk->shown);
    free(disk);
}

struct tn__sim_disk *tn__sim_disk_copy(const struct tn__sim_disk *disk, uint64_t seed)
{
    struct tn__sim_disk *copy = tn__sim_disk_new(seed);
    for (uint32_t i = 0; i < TN_SIM_DISK_INODES_MAX; i++) {
        if (disk->inodes[i] != NULL) {
            copy->inodes[i] = tn__sim_disk_inode_copy(disk->inodes[i]);
        }
    }
    tn__sim_disk_names_copy(&copy->cached, &disk->cached);
    tn__sim_disk_names_copy(&copy->durable, &disk->durable);
    copy->queue_count = disk->queue_count;
    memcpy(copy->queue, disk->queue, disk->queue_count * sizeof(disk->queue[0]));
    return copy;
}

struct tn__files tn__sim_disk_files(struct tn__sim_disk *disk)
{
    return (struct tn__files){.operations = &sim_operations, .context = disk};
}

void tn__sim_disk_arm(struct tn__sim_disk *disk, const struct tn__sim_disk_plan *plan)
{
    disk->plan = *plan;
    disk->operations = 0;
}

uint64_t tn__sim_disk_operations(const struct tn__sim_disk *disk)
{
    return disk->operations;
}

bool tn__sim_disk_crashed(const struct tn__sim_disk *disk)
{
    return disk->crashed;
}

/* Every open file and lock is gone, and so is the plan. */
static void machine_stop(struct tn__sim_disk *disk)
{
    for (uint32_t i = 0; i < TN_SIM_DISK_OPEN_MAX; i++) {
        disk->handles[i].used = false;
    }
    disk->crashed = false;
    tn__sim_disk_arm(disk, &(struct tn__sim_disk_plan){0});
}

/* What is durable is all there is. */
static void machine_start(struct tn__sim_disk *disk)
{
    disk->queue_count = 0;
    tn__sim_disk_names_copy(&disk->cached, &disk->durable);
    for (uint32_t i = 0; i < TN_SIM_DISK_INODES_MAX; i++) {
        if (disk->inodes[i] != NULL) {
            tn__sim_disk_inode_drop(disk->inodes[i]);
            tn__sim_disk_inode_revert(disk->inodes[i]);
        }
    }
    inodes_collect(disk);
}

void tn__sim_disk_restart(struct tn__sim_disk *disk, enum tn__sim_disk_crash crash)
{
    machine_stop(disk);
    if (crash == TN_SIM_DISK_PROCESS_ONLY) {
        inodes_collect(disk);
        return;
    }
    if (crash == TN_SIM_DISK_ANY) {
        names_settle(disk, false);
        for (uint32_t i = 0; i < TN_SIM_DISK_INODES_MAX; i++) {
            if (disk->inodes[i] != NULL) {
                tn__sim_disk_inode_scatter(disk->inodes[i], &disk->random);
            }
        }
    }
    machine_start(disk);
}

uint64_t tn__sim_disk_pending(const struct tn__sim_disk *disk)
{
    uint64_t pending = disk->queue_count;
    for (uint32_t i = 0; i < TN_SIM_DISK_INODES_MAX; i++) {
        pending += disk->inodes[i] != NULL ? tn__sim_disk_inode_pieces(disk->inodes[i]) : 0;
    }
    return pending;
}

void tn__sim_disk_restart_with(struct tn__sim_disk *disk, const bool *lands)
{
    machine_stop(disk);
    for (uint32_t i = 0; i < disk->queue_count; i++) {
        if (*lands++) {
            tn__sim_disk_renaming_apply(&disk->durable, &disk->queue[i]);
        }
    }
    for (uint32_t i = 0; i < TN_SIM_DISK_INODES_MAX; i++) {
        if (disk->inodes[i] != NULL) {
            uint64_t pieces = tn__sim_disk_inode_pieces(disk->inodes[i]);
            tn__sim_disk_inode_land(disk->inodes[i], lands);
            lands += pieces;
        }
    }
    machine_start(disk);
}
