/* The names of a simulated disk's one directory, in one of its two states, and changes of them.
 * Private to sim_disk.c. */
#ifndef TN_SIM_SIM_DISK_NAMES_H
#define TN_SIM_SIM_DISK_NAMES_H

#include <stdint.h>

enum {
    TN_SIM_DISK_NAMES_MAX = 512,
    TN_SIM_DISK_NAME_SIZE = 64,
    TN_SIM_DISK_NO_INODE = -1,
};

struct tn__sim_disk_name {
    int32_t inode;
    char name[TN_SIM_DISK_NAME_SIZE];
};

struct tn__sim_disk_names {
    uint32_t count;
    struct tn__sim_disk_name entries[TN_SIM_DISK_NAMES_MAX];
};

/* A change of names: `to` now stands for the inode (TN_SIM_DISK_NO_INODE: for nothing); `from`, if
 * not empty, no longer does. */
struct tn__sim_disk_renaming {
    int32_t inode;
    char from[TN_SIM_DISK_NAME_SIZE];
    char to[TN_SIM_DISK_NAME_SIZE];
};

/* The inode, or TN_SIM_DISK_NO_INODE. */
int32_t tn__sim_disk_names_find(const struct tn__sim_disk_names *directory, const char *name);

/* Make `name` stand for the inode; TN_SIM_DISK_NO_INODE removes it. */
void tn__sim_disk_names_set(struct tn__sim_disk_names *directory, const char *name, int32_t inode);

void tn__sim_disk_names_copy(struct tn__sim_disk_names *to, const struct tn__sim_disk_names *from);
void tn__sim_disk_name_copy(char to[TN_SIM_DISK_NAME_SIZE], const char *name);
void tn__sim_disk_renaming_apply(struct tn__sim_disk_names *directory,
                                 const struct tn__sim_disk_renaming *renaming);

#endif
