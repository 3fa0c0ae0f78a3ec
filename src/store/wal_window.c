/* Reading on mostly: what is left of the piece before moves to the front. */
#include "store/wal_window.h"

#include <string.h>

#include <tenure/error.h>

#include "base/assert.h"

enum {
    BLOCK_BYTES = 4096,
};

int tn__wal_window_open(struct tn__wal_window *window, tn__file directory, const char *name,
                        uint32_t mode)
{
    tn__wal_window_close(window);
    const struct tn__file_operations *operations = window->files.operations;
    int error = operations->open(window->files.context, directory, name, mode, &window->file);
    if (error != TN_OK) {
        window->file = TN_FILE_NONE;
        return error;
    }
    window->offset = 0;
    window->have = 0;
    window->unreadable_end = 0;
    error = operations->size(window->files.context, window->file, &window->file_bytes);
    if (error != TN_OK) {
        tn__wal_window_close(window);
    }
    return error;
}

void tn__wal_window_close(struct tn__wal_window *window)
{
    if (window->file != TN_FILE_NONE) {
        window->files.operations->close(window->files.context, window->file);
        window->file = TN_FILE_NONE;
    }
}

void tn__wal_window_free(struct tn__wal_window *window)
{
    tn__wal_window_close(window);
    tn__wal_memory_free(&window->memory, window->bytes, false);
    window->bytes = NULL;
    window->capacity = 0;
}

/* Is it the bytes that cannot be had, and not the file? */
static bool is_unreadable(int error)
{
    return error == TN_ERROR_IO || error == TN_ERROR_DAMAGED;
}

static int read_twice(struct tn__wal_window *window, uint64_t offset, uint8_t *bytes,
                      uint64_t length)
{
    int error = tn__file_read_all(&window->files, window->file, offset, bytes, (size_t)length);
    if (is_unreadable(error)) {
        error = tn__file_read_all(&window->files, window->file, offset, bytes, (size_t)length);
    }
    return error;
}

static int read_piece(struct tn__wal_window *window, uint64_t offset, uint8_t *bytes,
                      uint64_t length)
{
    window->read_bytes += length;
    int error = read_twice(window, offset, bytes, length);
    if (!is_unreadable(error)) {
        return error;
    }
    for (uint64_t at = 0; at < length;) {
        uint64_t step = BLOCK_BYTES - (offset + at) % BLOCK_BYTES;
        step = step < length - at ? step : length - at;
        error = read_twice(window, offset + at, bytes + at, step);
        if (is_unreadable(error)) {
            memset(bytes + at, 0, step);
            window->unreadable_end = offset + at + step;
        } else if (error != TN_OK) {
            return error;
        }
        at += step;
    }
    return TN_OK;
}

int tn__wal_window_get(struct tn__wal_window *window, uint64_t offset, uint64_t length,
                       const uint8_t **bytes)
{
    tn_assert(length > 0 && length <= window->file_bytes && offset <= window->file_bytes - length);
    bool inside = offset >= window->offset && offset - window->offset <= window->have;
    uint64_t kept = inside ? window->have - (offset - window->offset) : 0;
    if (inside && kept >= length) {
        *bytes = window->bytes + (offset - window->offset);
        return TN_OK;
    }
    uint64_t rest = window->file_bytes - offset;
    uint64_t want = length > window->ahead_bytes ? length : window->ahead_bytes;
    want = want < rest ? want : rest;
    void *block = window->bytes;
    if (!tn__wal_memory_grow(&window->memory, &block, &window->capacity, want, 1, false)) {
        return TN_ERROR_NO_MEMORY;
    }
    window->bytes = block;
    if (kept > 0) {
        memmove(window->bytes, window->bytes + (offset - window->offset), kept);
    }
    window->offset = offset;
    window->have = kept;
    int error = read_piece(window, offset + kept, window->bytes + kept, want - kept);
    if (error == TN_OK) {
        window->have = want;
        *bytes = window->bytes;
    }
    return error;
}
