/* Whole transfers over operations that may move less than was asked for. */
#include "store/file.h"

#include <tenure/error.h>

#include "base/assert.h"

int tn__file_read_all(const struct tn__files *files, tn__file file, uint64_t offset, void *bytes,
                      size_t length)
{
    char *at = bytes;
    while (length > 0) {
        size_t done = 0;
        int error = files->operations->read(files->context, file, offset, at, length, &done);
        if (error != TN_OK) {
            return error;
        }
        if (done == 0) {
            return TN_ERROR_DAMAGED;
        }
        tn_assert(done <= length);
        at += done;
        offset += done;
        length -= done;
    }
    return TN_OK;
}

int tn__file_write_all(const struct tn__files *files, tn__file file, uint64_t offset,
                       const void *bytes, size_t length)
{
    const char *at = bytes;
    while (length > 0) {
        size_t done = 0;
        int error = files->operations->write(files->context, file, offset, at, length, &done);
        if (error != TN_OK) {
            return error;
        }
        if (done == 0) {
            return TN_ERROR_IO;
        }
        tn_assert(done <= length);
        at += done;
        offset += done;
        length -= done;
    }
    return TN_OK;
}
