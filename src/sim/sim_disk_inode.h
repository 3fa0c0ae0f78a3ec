/* One file of a simulated disk: what readers see, what is on the platter, and what is queued from
 * the one to the other. Private to sim_disk.c. */
#ifndef TN_SIM_SIM_DISK_INODE_H
#define TN_SIM_SIM_DISK_INODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/sim_disk_bytes.h"

/* A queued change: bytes at an offset, or, without bytes, a truncation to the offset. */
struct tn__sim_disk_change {
    struct tn__sim_disk_bytes bytes; /* at the same place within a sector as in the file */
    uint64_t offset;
    uint64_t length; /* 0: a truncation */
};

struct tn__sim_disk_inode {
    struct tn__sim_disk_bytes cached;
    struct tn__sim_disk_bytes durable;
    struct tn__sim_disk_change *queue;
    uint32_t queue_count;
    uint32_t queue_capacity;
};

struct tn__sim_disk_inode *tn__sim_disk_inode_new(void);
struct tn__sim_disk_inode *tn__sim_disk_inode_copy(const struct tn__sim_disk_inode *inode);
void tn__sim_disk_inode_free(struct tn__sim_disk_inode *inode);

void tn__sim_disk_inode_write(struct tn__sim_disk_inode *inode, uint64_t offset, const void *bytes,
                              uint64_t length);
void tn__sim_disk_inode_truncate(struct tn__sim_disk_inode *inode, uint64_t size);

/* Carry the whole queue over. */
void tn__sim_disk_inode_sync(struct tn__sim_disk_inode *inode);

/* The last write of the queue is durable at once, as far as it lies in durable bytes (a direct,
 * synchronous write); if it reaches beyond them it stays queued. */
void tn__sim_disk_inode_through(struct tn__sim_disk_inode *inode);

/* What is queued, in sectors of writes and in truncations; and: empty the queue, piece i of it
 * having landed exactly if lands[i]. */
uint64_t tn__sim_disk_inode_pieces(const struct tn__sim_disk_inode *inode);
void tn__sim_disk_inode_land(struct tn__sim_disk_inode *inode, const bool *lands);

/* Empty the queue; of each sector in it, `random` decides what lands. */
void tn__sim_disk_inode_scatter(struct tn__sim_disk_inode *inode, uint64_t *random);

/* Empty the queue; nothing lands. */
void tn__sim_disk_inode_drop(struct tn__sim_disk_inode *inode);

/* Readers see what is on the platter: after a restart, or a sync that failed and reverted. */
void tn__sim_disk_inode_revert(struct tn__sim_disk_inode *inode);

#endif
