/* The failed assertion: say which and where, then abort. It lives here because it prints; the pure
 * folders only declare it (base/assert.h), the one symbol of ours that they leave undefined. */
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void tn__assert_failed(const char *expression, const char *file, int line)
{
    fprintf(stderr, "tenure: assertion failed: %s (%s:%d)\n", expression, file, line);
    fflush(stderr);
    abort();
}
