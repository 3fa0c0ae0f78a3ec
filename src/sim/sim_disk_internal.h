/* The inside of a simulated disk, shared by the files that make it up; nobody else includes it. */
#ifndef TN_SIM_SIM_DISK_INTERNAL_H
#define TN_SIM_SIM_DISK_INTERNAL_H

#include "sim/sim_disk.h"
#include "sim/sim_disk_inode.h"
#include "sim/sim_disk_names.h"

enum {
    TN_SIM_DISK_INODES_MAX = 1024,
    TN_SIM_DISK_OPEN_MAX = 64,
    TN_SIM_DISK_QUEUE_MAX = TN_SIM_DISK_NAMES_MAX, /* with the durable names */
};

struct tn__sim_disk_handle {
    bool used;
    bool is_directory;
    bool writable;
    bool direct;
    bool locked;
    int32_t inode;
    uint64_t generation; /* of the slot: an old handle is told from its successor */
};

struct tn__sim_disk {
    uint64_t random;
    uint64_t operations;
    bool crashed;
    struct tn__sim_disk_plan plan;
    struct tn__sim_disk_inode *inodes[TN_SIM_DISK_INODES_MAX];
    struct tn__sim_disk_handle handles[TN_SIM_DISK_OPEN_MAX];
    uint8_t *shown; /* the file that was peeked at last */
    uint64_t shown_room;
    uint32_t queue_count;
    /* From here on what has not been counted is not initialised. */
    struct tn__sim_disk_names cached;
    struct tn__sim_disk_names durable;
    struct tn__sim_disk_renaming queue[TN_SIM_DISK_QUEUE_MAX];
};

/* A new file, empty, that no name stands for yet. */
int32_t tn__sim_disk_inode_add(struct tn__sim_disk *disk);

#endif
