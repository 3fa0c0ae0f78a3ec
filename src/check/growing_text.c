/* Text that grows by doubling. */
#include "check/growing_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define ROOM_LEAST 256U

/* Make room for `length` more bytes and a terminator. */
static void reserve(struct tn__growing_text *text, size_t length)
{
    size_t needed = text->length + length + 1;
    if (needed <= text->room) {
        return;
    }
    size_t room = text->room == 0 ? ROOM_LEAST : text->room;
    while (room < needed) {
        room *= 2;
    }
    char *grown = realloc(text->bytes, room);
    tn_assert(grown != NULL);
    text->bytes = grown;
    text->room = room;
}

void tn__growing_add_bytes(struct tn__growing_text *text, const char *bytes, size_t length)
{
    reserve(text, length);
    if (length > 0) {
        memcpy(text->bytes + text->length, bytes, length);
    }
    text->length += length;
    text->bytes[text->length] = '\0';
}

void tn__growing_add(struct tn__growing_text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int wanted = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    tn_assert(wanted >= 0);
    reserve(text, (size_t)wanted);
    va_start(arguments, format);
    int written = vsnprintf(text->bytes + text->length, (size_t)wanted + 1, format, arguments);
    va_end(arguments);
    tn_assert(written == wanted);
    text->length += (size_t)wanted;
}

void tn__growing_add_xml(struct tn__growing_text *text, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        switch (bytes[i]) {
        case '&':
            tn__growing_add_bytes(text, "&amp;", 5);
            break;
        case '<':
            tn__growing_add_bytes(text, "&lt;", 4);
            break;
        case '>':
            tn__growing_add_bytes(text, "&gt;", 4);
            break;
        case '"':
            tn__growing_add_bytes(text, "&quot;", 6);
            break;
        default:
            tn__growing_add_bytes(text, &bytes[i], 1);
            break;
        }
    }
}

void tn__growing_clear(struct tn__growing_text *text)
{
    free(text->bytes);
    *text = (struct tn__growing_text){0};
}
