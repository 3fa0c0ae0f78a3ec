/* Text that grows as it is written: for drawings and for the output of stories. The judges may use
 * malloc; when it fails, the program ends. */
#ifndef TN_CHECK_GROWING_TEXT_H
#define TN_CHECK_GROWING_TEXT_H

#include <stddef.h>

/* All zero: empty. `bytes` is NULL or terminated; the owner frees it with _clear(). */
struct tn__growing_text {
    char *bytes;
    size_t length;
    size_t room;
};

__attribute__((format(printf, 2, 3))) void tn__growing_add(struct tn__growing_text *text,
                                                           const char *format, ...);

void tn__growing_add_bytes(struct tn__growing_text *text, const char *bytes, size_t length);

/* With the characters replaced that XML reserves. */
void tn__growing_add_xml(struct tn__growing_text *text, const char *bytes, size_t length);

void tn__growing_clear(struct tn__growing_text *text);

#endif
