/* Where tests put their files: below TMPDIR, which the runner sets to a folder that it removes. */
#ifndef TN_TESTS_SUPPORT_TEMPORARY_H
#define TN_TESTS_SUPPORT_TEMPORARY_H

#include <stdio.h>
#include <stdlib.h>

/* A path of that name, whether there is such a file or not. */
static inline void test_temporary(char *path, size_t size, const char *name)
{
    const char *base = getenv("TMPDIR");
    snprintf(path, size, "%s/%s", base != NULL && base[0] != '\0' ? base : "/tmp", name);
}

#endif
