/* An HTTP/1.1 response, bytes in, body out. Pure: the connection is cmd_http's.
 *
 * Understands a status line, headers, and a body by length, by chunks or until the end of the
 * connection; everything is bounded and what is malformed is refused for good. */
#ifndef TN_CMD_RESPONSE_H
#define TN_CMD_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The status line and all headers. */
#define TN_RESPONSE_HEAD_BYTES_MAX 8192

enum tn__response_state {
    TN_RESPONSE_HEAD = 0,
    TN_RESPONSE_LENGTH,     /* `remaining` bytes of body to come */
    TN_RESPONSE_CHUNK_SIZE, /* the line before a chunk */
    TN_RESPONSE_CHUNK,      /* `remaining` bytes of a chunk to come */
    TN_RESPONSE_CHUNK_END,  /* the line end behind a chunk */
    TN_RESPONSE_TRAILER,    /* lines until an empty one */
    TN_RESPONSE_TO_END,     /* until the connection ends */
    TN_RESPONSE_DONE,
    TN_RESPONSE_WRONG,
};

struct tn__response {
    uint32_t state;
    int status;         /* 200, 404 ...; 0 before the head is whole */
    uint64_t remaining; /* see the states */
    bool kept_alive;    /* another request may follow on the connection */
    bool line_begun;    /* TRAILER: the line is not empty; CHUNK_SIZE: a digit was seen */
    bool line_skipped;  /* CHUNK_SIZE: in an extension */
    size_t head_bytes;
    char head[TN_RESPONSE_HEAD_BYTES_MAX];
};

void tn__response_init(struct tn__response *response);

/* Take bytes; decoded body goes to `body` (of `body_size`), its length is added to `*body_bytes`.
 * Returns how many bytes were taken: fewer than given when the body is full, or the response is
 * done or wrong. */
size_t tn__response_feed(struct tn__response *response, const char *bytes, size_t length,
                         char *body, size_t body_size, size_t *body_bytes);

/* The connection has ended: is the response whole? */
bool tn__response_end(struct tn__response *response);

#endif
