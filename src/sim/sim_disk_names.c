/* A directory of the simulated disk: few names, searched one by one. */
#include "sim/sim_disk_names.h"

#include <string.h>

#include "base/assert.h"

int32_t tn__sim_disk_names_find(const struct tn__sim_disk_names *directory, const char *name)
{
    for (uint32_t i = 0; i < directory->count; i++) {
        if (strcmp(directory->entries[i].name, name) == 0) {
            return directory->entries[i].inode;
        }
    }
    return TN_SIM_DISK_NO_INODE;
}

void tn__sim_disk_name_copy(char to[TN_SIM_DISK_NAME_SIZE], const char *name)
{
    size_t length = strlen(name);
    tn_assert(length < TN_SIM_DISK_NAME_SIZE);
    memcpy(to, name, length + 1);
}

void tn__sim_disk_names_copy(struct tn__sim_disk_names *to, const struct tn__sim_disk_names *from)
{
    to->count = from->count;
    memcpy(to->entries, from->entries, from->count * sizeof(from->entries[0]));
}

void tn__sim_disk_names_set(struct tn__sim_disk_names *directory, const char *name, int32_t inode)
{
    uint32_t at = 0;
    while (at < directory->count && strcmp(directory->entries[at].name, name) != 0) {
        at++;
    }
    if (inode == TN_SIM_DISK_NO_INODE) {
        if (at < directory->count) {
            directory->entries[at] = directory->entries[--directory->count];
        }
        return;
    }
    if (at == directory->count) {
        tn_assert(directory->count < TN_SIM_DISK_NAMES_MAX);
        directory->count++;
        tn__sim_disk_name_copy(directory->entries[at].name, name);
    }
    directory->entries[at].inode = inode;
}

void tn__sim_disk_renaming_apply(struct tn__sim_disk_names *directory,
                                 const struct tn__sim_disk_renaming *renaming)
{
    if (renaming->from[0] != '\0') {
        tn__sim_disk_names_set(directory, renaming->from, TN_SIM_DISK_NO_INODE);
    }
    tn__sim_disk_names_set(directory, renaming->to, renaming->inode);
}
