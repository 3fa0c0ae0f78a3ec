/* Randomness by getrandom(2). */
#define _GNU_SOURCE
#include "os/entropy.h"

#include <errno.h>
#include <sys/random.h>

#include <tenure/error.h>

int tn__entropy_draw(void *bytes, size_t length)
{
    char *at = bytes;
    while (length > 0) {
        ssize_t drawn = getrandom(at, length, 0);
        if (drawn < 0 && errno == EINTR) {
            continue;
        }
        if (drawn <= 0) {
            return TN_ERROR_IO;
        }
        at += drawn;
        length -= (size_t)drawn;
    }
    return TN_OK;
}
