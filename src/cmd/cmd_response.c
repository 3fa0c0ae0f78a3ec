/* HTTP/1.1 responses: see cmd_response.h. One byte at a time outside of bodies, which are copied in
 * pieces. The head is gathered whole and read when its empty line has come. */
#include "cmd/cmd_response.h"

#include <string.h>
#include <strings.h>

#include "base/assert.h"

/* Sixteen hexadecimal digits would overflow; fifteen are more than any body. */
#define CHUNK_BYTES_MAX (1ULL << 60)

void tn__response_init(struct tn__response *response)
{
    memset(response, 0, offsetof(struct tn__response, head));
}

static void refuse(struct tn__response *response)
{
    response->state = TN_RESPONSE_WRONG;
    response->kept_alive = false;
}

static bool read_length(const char *text, uint64_t *length)
{
    uint64_t value = 0;
    if (*text < '0' || *text > '9') {
        return false;
    }
    for (; *text >= '0' && *text <= '9'; text++) {
        if (value > CHUNK_BYTES_MAX) {
            return false;
        }
        value = value * 10 + (uint64_t)(*text - '0');
    }
    *length = value;
    return *text == '\0' || *text == ' ' || *text == '\t';
}

/* The value of a header line if it has this name, else NULL. */
static const char *value_of(const char *line, const char *name)
{
    size_t length = strlen(name);
    if (strncasecmp(line, name, length) != 0 || line[length] != ':') {
        return NULL;
    }
    line += length + 1;
    return line + strspn(line, " \t");
}

/* "HTTP/1.x NNN": the status, or 0. */
static int read_status(const char *line)
{
    if (strncmp(line, "HTTP/1.", 7) != 0 || (line[7] != '0' && line[7] != '1') || line[8] != ' ') {
        return 0;
    }
    int status = 0;
    for (int i = 9; i < 12; i++) {
        if (line[i] < '0' || line[i] > '9') {
            return 0;
        }
        status = status * 10 + (line[i] - '0');
    }
    return status;
}

static void read_head(struct tn__response *response)
{
    bool chunked = false;
    bool sized = false;
    char *line = response->head;
    response->status = read_status(line);
    response->kept_alive = line[7] == '1';
    if (response->status == 0) {
        refuse(response);
        return;
    }
    for (char *end; (end = strstr(line, "\r\n")) != NULL; line = end + 2) {
        *end = '\0';
        const char *value = value_of(line, "content-length");
        if (value != NULL) {
            sized = read_length(value, &response->remaining);
            if (!sized) {
                refuse(response);
                return;
            }
        }
        value = value_of(line, "transfer-encoding");
        chunked = chunked || (value != NULL && strcasecmp(value, "chunked") == 0);
        value = value_of(line, "connection");
        if (value != NULL && strcasecmp(value, "close") == 0) {
            response->kept_alive = false;
        }
    }
    if (response->status / 100 == 1) { /* 100 Continue and its like: the real one follows */
        tn__response_init(response);
    } else if (response->status == 204 || response->status == 304) {
        response->state = TN_RESPONSE_DONE;
    } else if (chunked) {
        response->state = TN_RESPONSE_CHUNK_SIZE;
        response->remaining = 0;
    } else if (sized) {
        response->state = response->remaining == 0 ? TN_RESPONSE_DONE : TN_RESPONSE_LENGTH;
    } else {
        response->state = TN_RESPONSE_TO_END;
        response->kept_alive = false;
    }
}

static void take_head(struct tn__response *response, char c)
{
    if (c == '\0' || response->head_bytes + 1 >= sizeof(response->head)) {
        refuse(response);
        return;
    }
    response->head[response->head_bytes++] = c;
    size_t length = response->head_bytes;
    if (length >= 4 && memcmp(&response->head[length - 4], "\r\n\r\n", 4) == 0) {
        response->head[length] = '\0';
        read_head(response);
    }
}

static int hexadecimal(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void take_chunk_size(struct tn__response *response, char c)
{
    int digit = hexadecimal(c);
    if (c == '\n') {
        if (!response->line_begun) {
            refuse(response);
            return;
        }
        response->state = response->remaining == 0 ? TN_RESPONSE_TRAILER : TN_RESPONSE_CHUNK;
        response->line_begun = response->line_skipped = false;
    } else if (digit >= 0 && !response->line_skipped) {
        response->remaining = response->remaining * 16 + (uint64_t)digit;
        response->line_begun = true;
        if (response->remaining > CHUNK_BYTES_MAX) {
            refuse(response);
        }
    } else if (response->line_begun) {
        response->line_skipped = true;
    } else {
        refuse(response);
    }
}

static void take_line_end(struct tn__response *response, char c)
{
    if (response->state == TN_RESPONSE_CHUNK_END) {
        if (c == '\n') {
            response->state = TN_RESPONSE_CHUNK_SIZE;
        } else if (c != '\r') {
            refuse(response);
        }
        return;
    }
    tn_assert(response->state == TN_RESPONSE_TRAILER);
    if (c == '\n' && !response->line_begun) {
        response->state = TN_RESPONSE_DONE;
    } else {
        response->line_begun = c != '\n' && (response->line_begun || c != '\r');
    }
}

static size_t take_body(struct tn__response *response, const char *bytes, size_t length, char *body,
                        size_t room)
{
    size_t count = length < room ? length : room;
    if (response->state != TN_RESPONSE_TO_END && count > response->remaining) {
        count = (size_t)response->remaining;
    }
    memcpy(body, bytes, count);
    if (response->state != TN_RESPONSE_TO_END) {
        response->remaining -= count;
        if (response->remaining == 0) {
            response->state =
                response->state == TN_RESPONSE_CHUNK ? TN_RESPONSE_CHUNK_END : TN_RESPONSE_DONE;
        }
    }
    return count;
}

size_t tn__response_feed(struct tn__response *response, const char *bytes, size_t length,
                         char *body, size_t body_size, size_t *body_bytes)
{
    size_t at = 0;
    tn_assert(*body_bytes <= body_size);
    while (at < length && response->state != TN_RESPONSE_DONE &&
           response->state != TN_RESPONSE_WRONG) {
        switch (response->state) {
        case TN_RESPONSE_HEAD:
            take_head(response, bytes[at++]);
            break;
        case TN_RESPONSE_CHUNK_SIZE:
            take_chunk_size(response, bytes[at++]);
            break;
        case TN_RESPONSE_CHUNK_END:
        case TN_RESPONSE_TRAILER:
            take_line_end(response, bytes[at++]);
            break;
        default: {
            if (*body_bytes == body_size) {
                return at;
            }
            size_t count = take_body(response, bytes + at, length - at, body + *body_bytes,
                                     body_size - *body_bytes);
            at += count;
            *body_bytes += count;
        }
        }
    }
    return at;
}

bool tn__response_end(struct tn__response *response)
{
    if (response->state == TN_RESPONSE_TO_END) {
        response->state = TN_RESPONSE_DONE;
    }
    return response->state == TN_RESPONSE_DONE;
}
