/* One simulated file: a cached and a durable state with a queue in between. */
#include "sim/sim_disk_inode.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/random.h"

enum {
    SECTOR_BYTES = TN_SIM_DISK_SECTOR_BYTES,
    TEAR_BYTES = 8,
};

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

static bool is_truncation(const struct tn__sim_disk_change *change)
{
    return change->length == 0;
}

/* A part of a change lands: `length` bytes from `at` on. */
static void change_land(struct tn__sim_disk_bytes *file, const struct tn__sim_disk_change *change,
                        uint64_t at, uint64_t length)
{
    tn__sim_disk_bytes_land(file, change->offset + at, &change->bytes,
                            change->offset % SECTOR_BYTES + at, length);
}

static void change_apply(struct tn__sim_disk_bytes *file, const struct tn__sim_disk_change *change)
{
    if (is_truncation(change)) {
        tn__sim_disk_bytes_resize(file, change->offset);
    } else {
        change_land(file, change, 0, change->length);
    }
}

void tn__sim_disk_inode_write(struct tn__sim_disk_inode *inode, uint64_t offset, const void *bytes,
                              uint64_t length)
{
    if (length == 0) {
        return;
    }
    struct tn__sim_disk_change *change = queue_add(inode);
    *change = (struct tn__sim_disk_change){.offset = offset, .length = length};
    tn__sim_disk_bytes_write(&change->bytes, offset % SECTOR_BYTES, bytes, length);
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
    if (is_truncation(last) || last->offset + last->length > inode->durable.size) {
        return;
    }
    change_apply(&inode->durable, last);
    tn__sim_disk_bytes_free(&last->bytes);
    inode->queue_count--;
}

void tn__sim_disk_inode_drop(struct tn__sim_disk_inode *inode)
{
    for (uint32_t i = 0; i < inode->queue_count; i++) {
        tn__sim_disk_bytes_free(&inode->queue[i].bytes);
    }
    inode->queue_count = 0;
}

void tn__sim_disk_inode_revert(struct tn__sim_disk_inode *inode)
{
    tn__sim_disk_bytes_copy(&inode->cached, &inode->durable);
}

/* ---- What a crash lets through ------------------------------------------------------------- */

/* A change's part in one sector. */
struct piece {
    const struct tn__sim_disk_change *change;
    uint64_t at;
    uint64_t length;
};

/* Let one piece land: whole, not at all, or one end of it. */
static void piece_scatter(struct tn__sim_disk_bytes *file, const struct piece *piece,
                          uint64_t *random)
{
    uint64_t steps = (piece->length + TEAR_BYTES - 1) / TEAR_BYTES;
    uint64_t cut = TEAR_BYTES * tn__random_below(random, steps + 1);
    cut = cut < piece->length ? cut : piece->length;
    switch (tn__random_below(random, 4)) {
    case 0:
        break;
    case 1:
        change_land(file, piece->change, piece->at, piece->length);
        break;
    case 2:
        change_land(file, piece->change, piece->at, cut);
        break;
    default:
        change_land(file, piece->change, piece->at + cut, piece->length - cut);
        break;
    }
}

/* How much of a change lies in the sector of its byte `at`. */
static uint64_t piece_bytes(const struct tn__sim_disk_change *change, uint64_t at)
{
    uint64_t rest = SECTOR_BYTES - (change->offset + at) % SECTOR_BYTES;
    return rest < change->length - at ? rest : change->length - at;
}

/* The queued writes cut at sector bounds. Returns how many. */
static uint32_t queue_cut(const struct tn__sim_disk_inode *inode, struct piece **pieces)
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
            uint64_t length = piece_bytes(change, at);
            (*pieces)[count++] = (struct piece){.change = change, .at = at, .length = length};
            at += length;
        }
    }
    tn_assert(count <= most);
    return count;
}

void tn__sim_disk_inode_scatter(struct tn__sim_disk_inode *inode, uint64_t *random)
{
    for (uint32_t i = 0; i < inode->queue_count; i++) {
        if (is_truncation(&inode->queue[i]) && tn__random_below(random, 2) == 0) {
            tn__sim_disk_bytes_resize(&inode->durable, inode->queue[i].offset);
        }
    }
    struct piece *pieces;
    uint32_t count = queue_cut(inode, &pieces);
    /* In any order: of two writes to one sector the earlier may land last. */
    for (uint32_t i = count; i > 1; i--) {
        uint64_t j = tn__random_below(random, i);
        struct piece piece = pieces[i - 1];
        pieces[i - 1] = pieces[j];
        pieces[j] = piece;
    }
    for (uint32_t i = 0; i < count; i++) {
        piece_scatter(&inode->durable, &pieces[i], random);
    }
    free(pieces);
    /* The new size may land without the bytes: zeros where they should be. (fault.D14) */
    if (inode->durable.size < inode->cached.size && inode->queue_count > 0 &&
        tn__random_below(random, 2) == 0) {
        tn__sim_disk_bytes_resize(&inode->durable, inode->cached.size);
    }
    tn__sim_disk_inode_drop(inode);
}

static uint64_t change_pieces(const struct tn__sim_disk_change *change)
{
    uint64_t first = change->offset / SECTOR_BYTES;
    uint64_t end = (change->offset + change->length + SECTOR_BYTES - 1) / SECTOR_BYTES;
    return is_truncation(change) ? 1 : end - first;
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
        if (is_truncation(change)) {
            if (*lands) {
                tn__sim_disk_bytes_resize(&inode->durable, change->offset);
            }
            lands++;
            continue;
        }
        for (uint64_t at = 0; at < change->length; lands++) {
            uint64_t length = piece_bytes(change, at);
            if (*lands) {
                change_land(&inode->durable, change, at, length);
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
    tn__sim_disk_bytes_copy(&copy->cached, &inode->cached);
    tn__sim_disk_bytes_copy(&copy->durable, &inode->durable);
    for (uint32_t i = 0; i < inode->queue_count; i++) {
        const struct tn__sim_disk_change *change = &inode->queue[i];
        struct tn__sim_disk_change *twin = queue_add(copy);
        *twin = (struct tn__sim_disk_change){.offset = change->offset, .length = change->length};
        tn__sim_disk_bytes_copy(&twin->bytes, &change->bytes);
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
    tn__sim_disk_bytes_free(&inode->cached);
    tn__sim_disk_bytes_free(&inode->durable);
    free(inode);
}
