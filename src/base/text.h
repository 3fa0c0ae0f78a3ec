/* Bounded text building: append to a buffer, never past its end, always terminated. */
#ifndef TN_BASE_TEXT_H
#define TN_BASE_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/* A buffer of the caller's being filled. `cut` says that something did not fit. */
struct tn__text {
    char *bytes;
    size_t size;   /* of the buffer, the terminator included */
    size_t length; /* written so far, the terminator excluded */
    bool cut;
};

void tn__text_init(struct tn__text *text, char *bytes, size_t size);

__attribute__((format(printf, 2, 3))) void tn__text_add(struct tn__text *text, const char *format,
                                                        ...);

/* Append bytes as hexadecimal digits, two each. */
void tn__text_add_hex(struct tn__text *text, const void *bytes, size_t length);

#endif
