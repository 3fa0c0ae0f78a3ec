/* Where tests put their files: below TMPDIR, which the runner sets to a folder that it removes. */
#ifndef TN_TESTS_SUPPORT_TEMPORARY_H
#define TN_TESTS_SUPPORT_TEMPORARY_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A path of that name, whether there is such a file or not. */
static inline void test_temporary(char *path, size_t size, const char *name)
{
    const char *base = getenv("TMPDIR");
    snprintf(path, size, "%s/%s", base != NULL && base[0] != '\0' ? base : "/tmp", name);
}

/* Make a new folder, whose name begins so; false: it could not be made. Who makes it removes it. */
static inline bool test_temporary_folder(char *path, size_t size, const char *name)
{
    test_temporary(path, size, name);
    size_t length = strlen(path);
    if (length + 8 > size) { /* "-", six places for mkdtemp() to fill, and the end */
        return false;
    }
    path[length] = '-';
    memset(path + length + 1, 'X', 6);
    path[length + 7] = '\0';
    return mkdtemp(path) != NULL;
}

#endif
