/* HTTP/1.x answers into bytes: heads, whole or chunked, and chunks. Pure; writes into the caller's
 * buffer and says how much, never past its end. */
#ifndef TN_HTTP_RESPONSE_H
#define TN_HTTP_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A head is never longer than this; the assertion in tn__http_response_head() says so. */
#define TN__HTTP_RESPONSE_HEAD_BYTES_MAX 512U

/* What a chunk's size line and its end may take: 8 digits and two line ends. */
#define TN__HTTP_CHUNK_BYTES_EXTRA 12U

/* The last chunk. */
#define TN__HTTP_CHUNK_LAST "0\r\n\r\n"

/* The interim answer to "Expect: 100-continue". */
#define TN__HTTP_CONTINUE "HTTP/1.1 100 Continue\r\n\r\n"

struct tn__http_response {
    uint16_t status;  /* 100 to 599 */
    bool keep_alive;  /* false: "Connection: close", and the caller closes after the answer */
    bool streamed;    /* the body's end is not known yet */
    uint8_t minor;    /* of the request: to HTTP/1.0 a stream is not chunked, but ends by closing */
    const char *type; /* "application/json"; static */
    const char *allow;  /* 405: the methods that fit; else NULL */
    size_t body_length; /* unless streamed */
};

/* The phrase of a status, "Not Found"; "Unknown" for one that is not used here. Static. */
const char *tn__http_status_phrase(uint16_t status);

/* Write the head; returns its length. `size` must be TN__HTTP_RESPONSE_HEAD_BYTES_MAX or more. */
size_t tn__http_response_head(const struct tn__http_response *response, char *bytes, size_t size);

/* Write the line that begins a chunk of `length` bytes (not 0, which would end the stream); returns
 * the line's length. The chunk's bytes follow, then "\r\n". `size` must be
 * TN__HTTP_CHUNK_BYTES_EXTRA or more. */
size_t tn__http_chunk_begin(size_t length, char *bytes, size_t size);

#endif
