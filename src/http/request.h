/* HTTP/1.x requests from bytes, however the bytes are cut. Knows nothing of sockets or leases.
 *
 *            head whole                 body whole
 *     HEAD ------------> BODY (pause) ------------> DONE (pause)
 *       ^                                             |
 *       +---------------- tn__http_request_next ------+
 *     any state --- bytes that are not HTTP, or too many ---> FAILED (for good)
 *
 * The parser pauses twice a request: when the head is whole, so that the caller can give memory for
 * a body only to those that send one, and when the request is whole, so that pipelined requests are
 * taken one at a time, in order: what was not consumed is fed again after the answer.
 *
 * Bounds (docs/api.md): TN__HTTP_HEAD_BYTES_MAX for request line and headers together,
 * TN__HTTP_TARGET_BYTES_MAX for the target in it, TN__HTTP_BODY_BYTES_MAX for a body. Of the
 * headers only those are kept that change how the message is read: Expect, by its one value.
 * Upgrades are not offered, so an offer of one is read as an ordinary request.
 *
 * Relies on the caller for: the body's memory, which must stay until the next request. */
#ifndef TN_HTTP_REQUEST_H
#define TN_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <http_parser.h>

#define TN__HTTP_HEAD_BYTES_MAX 8192U
#define TN__HTTP_TARGET_BYTES_MAX 2048U
#define TN__HTTP_BODY_BYTES_MAX 65536U

enum tn__http_method {
    TN__HTTP_OTHER = 0,
    TN__HTTP_GET,
    TN__HTTP_HEAD,
    TN__HTTP_POST,
};

enum tn__http_state {
    TN__HTTP_STATE_HEAD = 0, /* wants bytes of the head */
    TN__HTTP_STATE_BODY,     /* the head is whole; `body_bytes_max` says what may follow */
    TN__HTTP_STATE_DONE,     /* the request is whole */
    TN__HTTP_STATE_FAILED,   /* `status` and `reason` say why; the connection cannot go on */
};

struct tn__http_request {
    http_parser parser;
    uint8_t state;  /* enum tn__http_state */
    uint8_t method; /* enum tn__http_method */
    uint8_t minor;  /* HTTP/1.minor */
    bool keep_alive;
    bool expects_continue; /* the client waits for "100 Continue" before it sends the body */
    bool begun;            /* a byte of the request has arrived: its time limit runs */
    uint16_t status;       /* FAILED: the status to answer with */
    const char *reason;    /* FAILED: a sentence; static */
    uint32_t head_bytes;
    uint32_t target_length;
    uint32_t body_length;
    uint32_t body_bytes_max; /* from BODY on: 0 if none follows, else the bytes that may follow */
    char *body;              /* the caller's, tn__http_request_give_body() */
    size_t body_size;
    uint32_t field_length; /* of the header field being read */
    bool field_is_expect;
    bool in_value;
    char field[8];
    char target[TN__HTTP_TARGET_BYTES_MAX + 1]; /* terminated; "/v1/who?name=a" */
};

/* Zero or more requests later the same object serves again: init for a new connection. */
void tn__http_request_init(struct tn__http_request *request);

/* Take bytes. Returns how many were used: fewer than `length` only when the state has changed to
 * BODY, DONE or FAILED. Not to be called in DONE or FAILED. In BODY with `body_bytes_max` > 0
 * memory must have been given before. */
size_t tn__http_request_feed(struct tn__http_request *request, const char *bytes, size_t length);

/* In BODY: memory for `body_bytes_max` bytes at least. Borrowed until tn__http_request_next(). */
void tn__http_request_give_body(struct tn__http_request *request, char *body, size_t size);

/* After DONE: begin the next request of the same connection. Forgets the body's memory. */
void tn__http_request_next(struct tn__http_request *request);

#endif
