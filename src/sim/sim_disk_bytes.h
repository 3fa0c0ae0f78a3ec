/* Growing bytes in sheets of one sector, which are shared by reference. Private to the disk.
 *
 * A disk has most of its bytes many times over: as readers see them, on the platter, in the queue
 * between the two, in the copy of a whole disk. A sheet that all of them have is there once; who
 * changes a part of it gets a sheet of its own first. A sheet of zeros is none at all, so a file
 * that was made long beforehand takes no room. Bytes past the size are zero. */
#ifndef TN_SIM_SIM_DISK_BYTES_H
#define TN_SIM_SIM_DISK_BYTES_H

#include <stddef.h>
#include <stdint.h>

enum {
    TN_SIM_DISK_SECTOR_BYTES = 512,
};

struct tn__sim_disk_sheet; /* Opaque. NULL: zeros. */

struct tn__sim_disk_bytes {
    struct tn__sim_disk_sheet **sheets;
    uint64_t size;
    uint64_t room; /* in sheets */
};

/* realloc that never returns NULL for a size above 0. */
void *tn__sim_disk_allocate(void *old, size_t bytes);

void tn__sim_disk_bytes_free(struct tn__sim_disk_bytes *file);
void tn__sim_disk_bytes_resize(struct tn__sim_disk_bytes *file, uint64_t size);
void tn__sim_disk_bytes_write(struct tn__sim_disk_bytes *file, uint64_t offset, const void *bytes,
                              uint64_t length);
/* The bytes must be there. */
void tn__sim_disk_bytes_read(const struct tn__sim_disk_bytes *file, uint64_t offset, void *bytes,
                             uint64_t length);

/* Write what `from` has at an offset, at the same place within a sector: whole sheets are shared.
 */
void tn__sim_disk_bytes_land(struct tn__sim_disk_bytes *file, uint64_t offset,
                             const struct tn__sim_disk_bytes *from, uint64_t from_offset,
                             uint64_t length);
void tn__sim_disk_bytes_copy(struct tn__sim_disk_bytes *to, const struct tn__sim_disk_bytes *from);

/* One past the last byte that is not zero. */
uint64_t tn__sim_disk_bytes_end(const struct tn__sim_disk_bytes *file);

#endif
