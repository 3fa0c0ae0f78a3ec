/* Bytes in shared sheets; the header tells the theory. */
#include "sim/sim_disk_bytes.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

enum {
    SECTOR_BYTES = TN_SIM_DISK_SECTOR_BYTES,
};

/* Larger files than this are not for memory. */
#define FILE_BYTES_MAX ((uint64_t)1 << 30)

struct tn__sim_disk_sheet {
    uint32_t references;
    uint8_t bytes[SECTOR_BYTES];
};

static const uint8_t zeros[SECTOR_BYTES];

void *tn__sim_disk_allocate(void *old, size_t bytes)
{
    void *memory = realloc(old, bytes);
    tn_assert(memory != NULL || bytes == 0);
    return memory;
}

/* ---- Sheets -------------------------------------------------------------------------------- */

static void release(struct tn__sim_disk_sheet *sheet)
{
    if (sheet == NULL) {
        return;
    }
    tn_assert(sheet->references > 0);
    sheet->references--;
    if (sheet->references == 0) {
        free(sheet);
    }
}

/* Let the place have a sheet that another has. */
static void share(struct tn__sim_disk_sheet **place, struct tn__sim_disk_sheet *sheet)
{
    if (*place == sheet) {
        return;
    }
    if (sheet != NULL) {
        sheet->references++;
    }
    release(*place);
    *place = sheet;
}

/* The place's own sheet, to be changed. */
static uint8_t *own(struct tn__sim_disk_sheet **place)
{
    struct tn__sim_disk_sheet *sheet = *place;
    if (sheet == NULL || sheet->references > 1) {
        struct tn__sim_disk_sheet *made = tn__sim_disk_allocate(NULL, sizeof(*made));
        made->references = 1;
        memcpy(made->bytes, sheet != NULL ? sheet->bytes : zeros, SECTOR_BYTES);
        release(sheet);
        *place = made;
    }
    return (*place)->bytes;
}

/* Bytes into one sheet, which they may fill. */
static void put(struct tn__sim_disk_sheet **place, uint64_t at, const uint8_t *bytes,
                uint64_t length)
{
    tn_assert(at + length <= SECTOR_BYTES);
    bool is_zero = *place == NULL || length == SECTOR_BYTES;
    if (is_zero && memcmp(bytes, zeros, length) == 0) {
        share(place, NULL);
        return;
    }
    memcpy(own(place) + at, bytes, length);
}

static uint64_t sheets_of(uint64_t bytes)
{
    return (bytes + SECTOR_BYTES - 1) / SECTOR_BYTES;
}

/* How much of a range lies in the sheet where it begins. */
static uint64_t within_sheet(uint64_t offset, uint64_t length)
{
    uint64_t rest = SECTOR_BYTES - offset % SECTOR_BYTES;
    return rest < length ? rest : length;
}

/* ---- Bytes --------------------------------------------------------------------------------- */

void tn__sim_disk_bytes_free(struct tn__sim_disk_bytes *file)
{
    for (uint64_t i = 0; i < sheets_of(file->size); i++) {
        release(file->sheets[i]);
    }
    free(file->sheets);
    *file = (struct tn__sim_disk_bytes){0};
}

void tn__sim_disk_bytes_resize(struct tn__sim_disk_bytes *file, uint64_t size)
{
    tn_assert(size <= FILE_BYTES_MAX);
    uint64_t count = sheets_of(size);
    if (count > file->room) {
        uint64_t room = file->room == 0 ? 1 : file->room;
        while (room < count) {
            room *= 2;
        }
        file->sheets = tn__sim_disk_allocate(file->sheets, room * sizeof(file->sheets[0]));
        memset(file->sheets + file->room, 0, (room - file->room) * sizeof(file->sheets[0]));
        file->room = room;
    }
    for (uint64_t i = count; i < sheets_of(file->size); i++) {
        share(&file->sheets[i], NULL);
    }
    uint64_t last = size % SECTOR_BYTES;
    if (size < file->size && last != 0 && file->sheets[count - 1] != NULL) {
        memset(own(&file->sheets[count - 1]) + last, 0, SECTOR_BYTES - last);
    }
    file->size = size;
}

static void make_room(struct tn__sim_disk_bytes *file, uint64_t end)
{
    if (end > file->size) {
        tn__sim_disk_bytes_resize(file, end);
    }
}

void tn__sim_disk_bytes_write(struct tn__sim_disk_bytes *file, uint64_t offset, const void *bytes,
                              uint64_t length)
{
    tn_assert(offset <= FILE_BYTES_MAX && length <= FILE_BYTES_MAX);
    if (length == 0) {
        return;
    }
    make_room(file, offset + length);
    for (uint64_t done = 0; done < length;) {
        uint64_t at = offset + done;
        uint64_t part = within_sheet(at, length - done);
        put(&file->sheets[at / SECTOR_BYTES], at % SECTOR_BYTES, (const uint8_t *)bytes + done,
            part);
        done += part;
    }
}

void tn__sim_disk_bytes_read(const struct tn__sim_disk_bytes *file, uint64_t offset, void *bytes,
                             uint64_t length)
{
    tn_assert(offset <= file->size && length <= file->size - offset);
    for (uint64_t done = 0; done < length;) {
        uint64_t at = offset + done;
        uint64_t part = within_sheet(at, length - done);
        const struct tn__sim_disk_sheet *sheet = file->sheets[at / SECTOR_BYTES];
        memcpy((uint8_t *)bytes + done, sheet != NULL ? sheet->bytes + at % SECTOR_BYTES : zeros,
               part);
        done += part;
    }
}

void tn__sim_disk_bytes_land(struct tn__sim_disk_bytes *file, uint64_t offset,
                             const struct tn__sim_disk_bytes *from, uint64_t from_offset,
                             uint64_t length)
{
    tn_assert(offset % SECTOR_BYTES == from_offset % SECTOR_BYTES);
    tn_assert(from_offset <= from->size && length <= from->size - from_offset);
    if (length == 0) {
        return;
    }
    make_room(file, offset + length);
    for (uint64_t done = 0; done < length;) {
        uint64_t at = offset + done;
        uint64_t part = within_sheet(at, length - done);
        struct tn__sim_disk_sheet **place = &file->sheets[at / SECTOR_BYTES];
        struct tn__sim_disk_sheet *sheet = from->sheets[(from_offset + done) / SECTOR_BYTES];
        if (part == SECTOR_BYTES) {
            share(place, sheet);
        } else {
            put(place, at % SECTOR_BYTES, sheet != NULL ? sheet->bytes + at % SECTOR_BYTES : zeros,
                part);
        }
        done += part;
    }
}

void tn__sim_disk_bytes_copy(struct tn__sim_disk_bytes *to, const struct tn__sim_disk_bytes *from)
{
    tn__sim_disk_bytes_resize(to, from->size);
    for (uint64_t i = 0; i < sheets_of(from->size); i++) {
        share(&to->sheets[i], from->sheets[i]);
    }
}

uint64_t tn__sim_disk_bytes_end(const struct tn__sim_disk_bytes *file)
{
    for (uint64_t i = sheets_of(file->size); i > 0; i--) {
        const struct tn__sim_disk_sheet *sheet = file->sheets[i - 1];
        for (uint64_t end = SECTOR_BYTES; sheet != NULL && end > 0; end--) {
            if (sheet->bytes[end - 1] != 0) {
                return (i - 1) * SECTOR_BYTES + end;
            }
        }
    }
    return 0;
}
