/* Assertions about our own code: on in every build. Input from outside is never asserted on. */
#ifndef TN_BASE_ASSERT_H
#define TN_BASE_ASSERT_H

#include <stdbool.h>

/* Print where and what, then abort (os/assert.c). */
_Noreturn void tn__assert_failed(const char *expression, const char *file, int line);

#define tn_assert(expression)                                                                      \
    (__builtin_expect(!!(expression), 1) ? (void)0                                                 \
                                         : tn__assert_failed(#expression, __FILE__, __LINE__))

/* Both outcomes are expected: documentation that the compiler reads. */
#define tn_maybe(expression) ((void)(expression))

#endif
