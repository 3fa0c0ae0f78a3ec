/* Looking at the files of a simulated disk and harming them, without faults and without numbers:
 * for tests, and for the faults of a disk that lies. */
#include "base/assert.h"
#include "sim/sim_disk_internal.h"

/* The file as readers see it; NULL: there is none. */
static const struct tn__sim_disk_bytes *cached_of(const struct tn__sim_disk *disk, const char *name)
{
    int32_t inode = tn__sim_disk_names_find(&disk->cached, name);
    return inode != TN_SIM_DISK_NO_INODE ? &disk->inodes[inode]->cached : NULL;
}

const uint8_t *tn__sim_disk_peek(struct tn__sim_disk *disk, const char *name, uint64_t *bytes)
{
    const struct tn__sim_disk_bytes *file = cached_of(disk, name);
    if (file == NULL) {
        return NULL;
    }
    if (file->size >= disk->shown_room) {
        disk->shown_room = file->size + 1;
        disk->shown = tn__sim_disk_allocate(disk->shown, disk->shown_room);
    }
    tn__sim_disk_bytes_read(file, 0, disk->shown, file->size);
    *bytes = file->size;
    return disk->shown;
}

bool tn__sim_disk_look(const struct tn__sim_disk *disk, const char *name, uint64_t offset,
                       void *bytes, size_t length)
{
    const struct tn__sim_disk_bytes *file = cached_of(disk, name);
    if (file == NULL || offset > file->size || length > file->size - offset) {
        return false;
    }
    tn__sim_disk_bytes_read(file, offset, bytes, length);
    return true;
}

bool tn__sim_disk_extent(const struct tn__sim_disk *disk, const char *name, uint64_t *bytes,
                         uint64_t *end)
{
    const struct tn__sim_disk_bytes *file = cached_of(disk, name);
    *bytes = file != NULL ? file->size : 0;
    *end = file != NULL ? tn__sim_disk_bytes_end(file) : 0;
    return file != NULL;
}

/* A new file, durable, gets the name. */
static void put(struct tn__sim_disk *disk, const char *name, int32_t inode)
{
    tn__sim_disk_inode_sync(disk->inodes[inode]);
    tn__sim_disk_names_set(&disk->cached, name, inode);
    tn__sim_disk_names_set(&disk->durable, name, inode);
}

void tn__sim_disk_put(struct tn__sim_disk *disk, const char *name, const void *bytes, size_t length)
{
    int32_t inode = tn__sim_disk_inode_add(disk);
    tn__sim_disk_inode_write(disk->inodes[inode], 0, bytes, length);
    put(disk, name, inode);
}

bool tn__sim_disk_patch(struct tn__sim_disk *disk, const char *name, uint64_t offset,
                        const void *bytes, size_t length)
{
    const struct tn__sim_disk_bytes *file = cached_of(disk, name);
    if (file == NULL || offset > file->size || length > file->size - offset) {
        return false;
    }
    int32_t inode = tn__sim_disk_inode_add(disk);
    tn__sim_disk_bytes_copy(&disk->inodes[inode]->cached, file);
    tn__sim_disk_bytes_copy(&disk->inodes[inode]->durable, file);
    tn__sim_disk_inode_write(disk->inodes[inode], offset, bytes, length);
    put(disk, name, inode);
    return true;
}

static void flip_byte(struct tn__sim_disk_bytes *file, uint64_t at, uint8_t inverted)
{
    uint8_t byte;
    if (at < file->size) {
        tn__sim_disk_bytes_read(file, at, &byte, 1);
        byte ^= inverted;
        tn__sim_disk_bytes_write(file, at, &byte, 1);
    }
}

bool tn__sim_disk_flip(struct tn__sim_disk *disk, const char *name, uint64_t bit)
{
    int32_t inode = tn__sim_disk_names_find(&disk->cached, name);
    if (inode == TN_SIM_DISK_NO_INODE || bit / 8 >= disk->inodes[inode]->cached.size) {
        return false;
    }
    flip_byte(&disk->inodes[inode]->cached, bit / 8, (uint8_t)(1U << (bit % 8)));
    flip_byte(&disk->inodes[inode]->durable, bit / 8, (uint8_t)(1U << (bit % 8)));
    return true;
}

bool tn__sim_disk_remove(struct tn__sim_disk *disk, const char *name)
{
    bool found = tn__sim_disk_names_find(&disk->cached, name) != TN_SIM_DISK_NO_INODE;
    tn__sim_disk_names_set(&disk->cached, name, TN_SIM_DISK_NO_INODE);
    tn__sim_disk_names_set(&disk->durable, name, TN_SIM_DISK_NO_INODE);
    return found;
}
