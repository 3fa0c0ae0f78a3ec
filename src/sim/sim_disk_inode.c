/* One simulated file: a cached and a durable state with a queue in between. */
#include "sim/sim_disk_inode.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/random.h"

enum {
    SECTOR_BYTES = 512,
    TEAR_BYTES = 8,
};

/* Larger files than this are not for memory. */
#define FILE_BYTES_MAX ((uint64_t)1 << 30)

void *tn__sim_disk_allocate(void *old, size_t bytes)
{
    void *memory = realloc(old, bytes);
    tn_assert(memory != NULL || bytes == 0);
    return memory;
}

/* ---- Growing bytes ------------------------------------------------------------------------- */

static void bytes_resize(struct tn__sim_disk_bytes *file, uint64_t size)
{
    tn_assert(size <= FILE_BYTES_MAX);
    if (size > file->capacity) {
        uint64_t capacity = file->capacity == 0 ? SECTOR_BYTES : file->capacity;
        while (capacity < size) {
            capacity *= 2;
        }
        file->bytes = tn__sim_disk_allocate(file->bytes, capacity);
        memset(file->bytes + file->capacity, 0, capacity - file->capacity);
        file->capacity = capacity;
    }
    if (size < file->size) {
        memset(file->bytes + size, 0, file->size - size);
    }
    file->size = size;
}

static void bytes_write(struct tn__sim_disk_bytes *file, uint64_t offset, const uint8_t *bytes,
                        uint64_t length)
{
    if (length == 0) {
        return;
    }
    if (offset + length > file->size) {
        bytes_resize(file, offset + length);
    }
    memcpy(file->bytes + offset, bytes, length);
}

static void bytes_copy(struct tn__sim_disk_bytes *to, const struct tn__sim_disk_bytes *from)
{
    bytes_resize(to, 0);
    bytes_write(to, 0, from->bytes, from->size);
}

/* ---- The queue ----------------------------------------------------------------------------- */

static struct tn__sim_disk_change *queue_add(struct tn__sim_disk_inode *inode)
{
    if (inode->queue_count == inode->queue_capacity) {
        inode->queue_capacity = inode->queue_capacity == 0 ? 8 : 2 * inode->queue_capacity;
        inode->queue =
            tn__sim_disk_allocate(inode->queue, inode->queue_capacity * sizeof(inode->queue[0]));
    }
    return &inode->queue[inode->queue_count++];
}

static void change_apply(struct tn__sim_disk_bytes *file, const struct tn__sim_disk_change *change)
{
    if (change->bytes == NULL) {
        bytes_resize(file, change->offset);
    } else {
        bytes_write(file, change->offset, change->bytes, change->length);
    }
}

void tn__sim_disk_inode_write(struct tn__sim_disk_inode *inode, uint64_t offset, const void *bytes,
                              uint64_t length)
{
    if (length == 0) {
        return;
    }
    tn_assert(offset <= FILE_BYTES_MAX && length <= FILE_BYTES_MAX);
    struct tn__sim_disk_change *change = queue_add(inode);
    *change = (struct tn__sim_disk_change){
        .bytes = tn__sim_disk_allocate(NULL, length),
        .offset = offset,
        .length = length,
    };
    memcpy(change->bytes, bytes, length);
    change_apply(&inode->cached, change);
}

void tn__sim_disk_inode_truncate(struct tn__sim_disk_inode *inode, uint64_t size)
{
    struct tn__sim_disk_change *change = queue_add(inode);
    *change = (struct tn__sim_disk_change){.offset = size};
    change_apply(&inode->cached, change);
}

void tn__sim_disk_inode_sync(struct tn__sim_disk_inode *inode)
{
    for (uint32_t i = 0; i < inode->queue_count; i++) {
        change_apply(&inode->durable, &inode->queue[i]);
    }
    tn__sim_disk_inode_drop(inode);
}

void tn__sim_disk_inode_through(struct tn__sim_disk_inode *inode)
{
    tn_assert(inode->queue_count > 0);
    struct tn__sim_disk_change *last = &inode->queue[inode->queue_count - 1];
    if (last->bytes == NULL || last->offset + last->length > inode->durable.size) {
        return;
    }
    change_apply(&inode->durable, last);
    free(last->bytes);
    inode->queue_count--;
}

void tn__sim_disk_inode_drop(struct tn__sim_disk_inode *inode)
{
    for (uint32_t i = 0; i < inode->queue_count; i++) {
        free(inode->queue[i].bytes);
    }
    inode->queue_count = 0;
}

void tn__sim_disk_inode_revert(struct tn__sim_disk_inode *inode)
{
    bytes_copy(&inode->cached, &inode->durable);
}

/* ---- What a crash lets through ------------------------------------------------------------- */

/* Let one sector's part of a change land: whole, not at all, or one end of it. */
static void sector_scatter(struct tn__sim_disk_bytes *file, const struct tn__sim_disk_change *piece,
                           uint64_t *random)
{
    uint64_t steps = (piece->length + TEAR_BYTES - 1) / TEAR_BYTES;
    uint64_t cut = TEAR_BYTES * tn__random_below(random, steps + 1);
    cut = cut < piece->length ? cut : piece->length;
    switch (tn__random_below(random, 4)) {
    case 0:
        break;
    case 1:
        bytes_write(file, piece->offset, piece->bytes, piece->length);
        break;
    case 2:
        bytes_write(file, piece->offset, piece->bytes, cut);
        break;
    default:
        bytes_write(file, piece->offset + cut, piece->bytes + cut, piece->length - cut);
        break;
    }
}

/* The queued writes cut at sector bounds; the bytes stay the queue's. Returns how many. */
static uint32_t queue_cut(const struct tn__sim_disk_inode *inode,
                          struct tn__sim_disk_change **pieces)
{
    uint64_t most = 0;
    for (uint32_t i = 0; i < inode->queue_count; i++) {
        most += inode->queue[i].length / SECTOR_BYTES + 2;
    }
    *pieces = tn__sim_disk_allocate(NULL, (most + 1) * sizeof(**pieces));
    uint32_t count = 0;
    for (uint32_t i = 0; i < inode->queue_count; i++) {
        const struct tn__sim_disk_change *change = &inode->queue[i];
        for (uint64_t at = 0; at < change->length;) {
            uint64_t length = SECTOR_BYTES - (change->offset + at) % SECTOR_BYTES;
            length = length < change->length - at ? length : change->length - at;
            (*pieces)[count++] = (struct tn__sim_disk_change){
                .bytes = change->bytes + at,
                .offset = change->offset + at,
                .length = length,
            };
            at += length;
        }
    }
    tn_assert(count <= most);
    return count;
}

void tn__sim_disk_inode_scatter(struct tn__sim_disk_inode *inode, uint64_t *random)
{
    for (uint32_t i = 0; i < inode->queue_count; i++) {
        if (inode->queue[i].bytes == NULL && tn__random_below(random, 2) == 0) {
            bytes_resize(&inode->durable, inode->queue[i].offset);
        }
    }
    struct tn__sim_disk_change *pieces;
    uint32_t count = queue_cut(inode, &pieces);
    /* In any order: of two writes to one sector the earlier may land last. */
    for (uint32_t i = count; i > 1; i--) {
        uint64_t j = tn__random_below(random, i);
        struct tn__sim_disk_change piece = pieces[i - 1];
        pieces[i - 1] = pieces[j];
        pieces[j] = piece;
    }
    for (uint32_t i = 0; i < count; i++) {
        sector_scatter(&inode->durable, &pieces[i], random);
    }
    free(pieces);
    /* The new size may land without the bytes: zeros where they should be. (fault.D14) */
    if (inode->durable.size < inode->cached.size && inode->queue_count > 0 &&
        tn__random_below(random, 2) == 0) {
        bytes_resize(&inode->durable, inode->cached.size);
    }
    tn__sim_disk_inode_drop(inode);
}

static uint64_t change_pieces(const struct tn__sim_disk_change *change)
{
    uint64_t first = change->offset / SECTOR_BYTES;
    uint64_t end = (change->offset + change->length + SECTOR_BYTES - 1) / SECTOR_BYTES;
    return change->bytes == NULL ? 1 : end - first;
}

uint64_t tn__sim_disk_inode_pieces(const struct tn__sim_disk_inode *inode)
{
    uint64_t pieces = 0;
    for (uint32_t i = 0; i < inode->queue_count; i++) {
        pieces += change_pieces(&inode->queue[i]);
    }
    return pieces;
}

void tn__sim_disk_inode_land(struct tn__sim_disk_inode *inode, const bool *lands)
{
    for (uint32_t i = 0; i < inode->queue_count; i++) {
        const struct tn__sim_disk_change *change = &inode->queue[i];
        if (change->bytes == NULL) {
            if (*lands) {
                bytes_resize(&inode->durable, change->offset);
            }
            lands++;
            continue;
        }
        for (uint64_t at = 0; at < change->length; lands++) {
            uint64_t length = SECTOR_BYTES - (change->offset + at) % SECTOR_BYTES;
            length = length < change->length - at ? length : change->length - at;
            if (*lands) {
                bytes_write(&inode->durable, change->offset + at, change->bytes + at, length);
            }
            at += length;
        }
    }
    tn__sim_disk_inode_drop(inode);
}

/* ---- Life ---------------------------------------------------------------------------------- */

struct tn__sim_disk_inode *tn__sim_disk_inode_new(void)
{
    struct tn__sim_disk_inode *inode = tn__sim_disk_allocate(NULL, sizeof(*inode));
    *inode = (struct tn__sim_disk_inode){0};
    return inode;
}

struct tn__sim_disk_inode *tn__sim_disk_inode_copy(const struct tn__sim_disk_inode *inode)
{
    struct tn__sim_disk_inode *copy = tn__sim_disk_inode_new();
    bytes_copy(&copy->cached, &inode->cached);
    bytes_copy(&copy->durable, &inode->durable);
    for (uint32_t i = 0; i < inode->queue_count; i++) {
        const struct tn__sim_disk_change *change = &inode->queue[i];
        struct tn__sim_disk_change *twin = queue_add(copy);
        *twin = *change;
        if (change->bytes != NULL) {
            twin->bytes = tn__sim_disk_allocate(NULL, change->length);
            memcpy(twin->bytes, change->bytes, change->length);
        }
    }
    return copy;
}

void tn__sim_disk_inode_free(struct tn__sim_disk_inode *inode)
{
    if (inode == NULL) {
        return;
    }
    tn__sim_disk_inode_drop(inode);
    free(inode->queue);
    free(inode->cached.bytes);
    free(inode->durable.bytes);
    free(inode);
}
