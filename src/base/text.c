/* Bounded text building on vsnprintf. */
#include "base/text.h"

#include <stdio.h>

#include "base/assert.h"

void tn__text_init(struct tn__text *text, char *bytes, size_t size)
{
    tn_assert(bytes != NULL);
    tn_assert(size > 0);
    *text = (struct tn__text){.bytes = bytes, .size = size};
    bytes[0] = '\0';
}

void tn__text_add(struct tn__text *text, const char *format, ...)
{
    tn_assert(text->length < text->size);
    size_t room = text->size - text->length;
    va_list arguments;
    va_start(arguments, format);
    int wanted = vsnprintf(text->bytes + text->length, room, format, arguments);
    va_end(arguments);
    tn_assert(wanted >= 0);
    if ((size_t)wanted >= room) {
        text->length = text->size - 1;
        text->cut = true;
    } else {
        text->length += (size_t)wanted;
    }
}

void tn__text_add_hex(struct tn__text *text, const void *bytes, size_t length)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < length; i++) {
        tn__text_add(text, "%02x", at[i]);
    }
}
