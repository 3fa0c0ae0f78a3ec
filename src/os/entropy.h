/* Randomness of the operating system, for restart words, ids and hash seeds. */
#ifndef TN_OS_ENTROPY_H
#define TN_OS_ENTROPY_H

#include <stddef.h>
#include <stdint.h>

/* Fill `bytes`. Blocks only in the first moments of a machine's life. Errors: TN_ERROR_IO. */
int tn__entropy_draw(void *bytes, size_t length);

#endif
