/* A small blocking HTTP/1.1 client for the client port of a node (docs/api.md).
 *
 * One struct is one endpoint and at most one connection to it, kept alive between calls. Every wait
 * is bounded by a deadline on CLOCK_BOOTTIME and can be cut short by a descriptor that becomes
 * readable (`wake`). No threads, no signals. */
#ifndef TN_CMD_HTTP_H
#define TN_CMD_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include <tenure/error.h>
#include <tenure/types.h>

#include "cmd/cmd_parse.h"
#include "cmd/cmd_response.h"

#define TN_HTTP_WHY_BYTES 512
#define TN_HTTP_BODY_BYTES_MAX (8U << 20)
#define TN_HTTP_LINE_BYTES_MAX (64U << 10)

struct tn__http_tls {
    const char *ca_file; /* NULL: the system's */
    const char *certificate_file;
    const char *key_file;
};

struct tn__http {
    char endpoint[TN_CMD_HOST_BYTES + 16]; /* as it was given */
    struct tn__cmd_address address;
    bool secure;
    struct tn__http_tls tls;
    int wake;   /* a descriptor that cuts waits short; -1: none */
    int socket; /* -1: not connected */
    bool used;  /* a request has gone over this connection */
    void *session;
    void *context;
    struct tn__response response;
    size_t input_start; /* received, not yet decoded: input[start..end) */
    size_t input_end;
    char input[16384];
    size_t line_bytes; /* TN_HTTP_LINE_BYTES_MAX: decoded, not yet taken as a line */
    char *lines;
    char why[TN_HTTP_WHY_BYTES]; /* a sentence about the last failure */
};

struct tn__http_answer {
    int status;
    tn_time sent; /* just before the request was sent: from here a lease's time counts */
    char *body;   /* terminated; free() it */
    size_t body_bytes;
};

/* Prepare an endpoint: "[http[s]://]HOST:PORT"; `tls` makes it secure without the scheme too (may
 * be NULL). Errors: TN_ERROR_INVALID, TN_ERROR_NO_MEMORY. */
int tn__http_open(struct tn__http *http, const char *endpoint, const struct tn__http_tls *tls);

void tn__http_close(struct tn__http *http);

/* Drop the connection; the next call makes a new one. */
void tn__http_disconnect(struct tn__http *http);

/* Send a request and wait for the whole answer. `body` may be NULL. A connection that was kept and
 * has ended meanwhile is made anew, once. Errors, with `why` filled: TN_ERROR_TIMEOUT,
 * TN_ERROR_CANCELLED (by `wake`), TN_ERROR_REFUSED (cannot connect), TN_ERROR_CLOSED (ended early),
 * TN_ERROR_TLS, TN_ERROR_MALFORMED, TN_ERROR_TOO_LARGE, TN_ERROR_NO_MEMORY. */
int tn__http_call(struct tn__http *http, const char *method, const char *path, const char *body,
                  tn_time deadline, struct tn__http_answer *answer);

/* Send a request and wait for the head of the answer, whose body is then read by lines. */
int tn__http_begin(struct tn__http *http, const char *method, const char *path, const char *body,
                   tn_time deadline, struct tn__http_answer *answer);

/* The next line of the body, without its end. Errors: as above; TN_ERROR_NOT_FOUND at the end. */
int tn__http_line(struct tn__http *http, char *line, size_t size, tn_time deadline);

/* Append a text to a URL's query, percent-encoded. False if it does not fit. */
bool tn__http_encode(char *url, size_t size, const char *text);

#endif
