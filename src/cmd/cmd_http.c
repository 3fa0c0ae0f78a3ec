/* The blocking HTTP client: see cmd_http.h.
 *
 * The socket does not block; wait() is the only place where this program does, and it looks at the
 * deadline and at `wake`. Plain and secure connections differ in three functions: greet, receive,
 * transmit. */
#define _GNU_SOURCE
#include "cmd/cmd_http.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "cmd/cmd_tls.h"
#include "os/clock.h"

__attribute__((format(printf, 3, 4))) static int fail(struct tn__http *http, int error,
                                                      const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(http->why, sizeof(http->why), format, arguments);
    va_end(arguments);
    return error;
}

int tn__http_open(struct tn__http *http, const char *endpoint, const struct tn__http_tls *tls)
{
    static const char plain[] = "http://";
    static const char secure[] = "https://";
    memset(http, 0, sizeof(*http));
    http->socket = http->wake = -1;
    http->secure = tls != NULL && (tls->ca_file != NULL || tls->certificate_file != NULL);
    if (tls != NULL) {
        http->tls = *tls;
    }
    snprintf(http->endpoint, sizeof(http->endpoint), "%s", endpoint);
    if (strncmp(endpoint, secure, strlen(secure)) == 0) {
        endpoint += strlen(secure);
        http->secure = true;
    } else if (strncmp(endpoint, plain, strlen(plain)) == 0) {
        endpoint += strlen(plain);
        http->secure = false;
    }
    if (!tn__cmd_parse_address(endpoint, false, &http->address, http->why)) {
        return TN_ERROR_INVALID;
    }
    http->lines = malloc(TN_HTTP_LINE_BYTES_MAX);
    return http->lines == NULL ? fail(http, TN_ERROR_NO_MEMORY, "out of memory") : TN_OK;
}

void tn__http_disconnect(struct tn__http *http)
{
    tn__http_tls_end(http);
    if (http->socket >= 0) {
        close(http->socket);
    }
    http->socket = -1;
    http->used = false;
    http->input_start = http->input_end = http->line_bytes = 0;
}

void tn__http_close(struct tn__http *http)
{
    tn__http_disconnect(http);
    tn__http_tls_free(http);
    free(http->lines);
    http->lines = NULL;
}

/* Wait until the socket is ready for `events`. */
static int wait_for(struct tn__http *http, short events, tn_time deadline)
{
    struct pollfd fds[2] = {{.fd = http->socket, .events = events},
                            {.fd = http->wake, .events = POLLIN}};
    for (;;) {
        tn_time now = tn__clock_now();
        int milliseconds = -1;
        if (deadline != TN_TIME_NEVER) {
            tn_time left = deadline > now ? deadline - now : 0;
            left = left / TN_MILLISECOND + (left % TN_MILLISECOND != 0);
            milliseconds = left > 3600000 ? 3600000 : (int)left;
        }
        int count = poll(fds, 2, milliseconds);
        if (count > 0 && fds[1].revents != 0) {
            return fail(http, TN_ERROR_CANCELLED, "interrupted");
        }
        if (count > 0) {
            return TN_OK;
        }
        if (count < 0 && errno != EINTR) {
            return fail(http, TN_ERROR_IO, "poll: %s", strerror(errno));
        }
        if (deadline != TN_TIME_NEVER && tn__clock_now() >= deadline) {
            return fail(http, TN_ERROR_TIMEOUT, "%s did not answer in time", http->endpoint);
        }
    }
}

static int connect_one(struct tn__http *http, const struct addrinfo *target, tn_time deadline)
{
    http->socket = socket(target->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (http->socket < 0) {
        return fail(http, TN_ERROR_IO, "no socket: %s", strerror(errno));
    }
    int on = 1;
    setsockopt(http->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(http->socket, target->ai_addr, target->ai_addrlen) == 0) {
        return TN_OK;
    }
    int reason = errno;
    if (reason == EINPROGRESS) {
        int status = wait_for(http, POLLOUT, deadline);
        if (status != TN_OK) {
            return status;
        }
        socklen_t size = sizeof(reason);
        getsockopt(http->socket, SOL_SOCKET, SO_ERROR, &reason, &size);
    }
    return reason == 0 ? TN_OK
                       : fail(http, TN_ERROR_REFUSED, "%s cannot be reached: %s", http->endpoint,
                              strerror(reason));
}

static int greet(struct tn__http *http, tn_time deadline)
{
    if (!http->secure) {
        return TN_OK;
    }
    if (!tn__http_tls_begin(http)) {
        return TN_ERROR_TLS;
    }
    for (;;) {
        enum tn__http_tls_want want = tn__http_tls_greet(http);
        if (want == TN_TLS_DONE) {
            return TN_OK;
        }
        if (want == TN_TLS_ENDED || want == TN_TLS_FAILED) {
            return TN_ERROR_TLS;
        }
        int status = wait_for(http, want == TN_TLS_READ ? POLLIN : POLLOUT, deadline);
        if (status != TN_OK) {
            return status;
        }
    }
}

static int ensure_connected(struct tn__http *http, tn_time deadline)
{
    if (http->socket >= 0) {
        return TN_OK;
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *targets = NULL;
    char port[8];
    snprintf(port, sizeof(port), "%u", http->address.port);
    int unknown = getaddrinfo(http->address.host, port, &hints, &targets);
    if (unknown != 0) {
        return fail(http, TN_ERROR_REFUSED, "the host %s is not known: %s", http->address.host,
                    gai_strerror(unknown));
    }
    int status = TN_ERROR_REFUSED;
    for (const struct addrinfo *target = targets; target != NULL; target = target->ai_next) {
        status = connect_one(http, target, deadline);
        if (status == TN_OK || status == TN_ERROR_CANCELLED) {
            break;
        }
        tn__http_disconnect(http);
    }
    freeaddrinfo(targets);
    if (status == TN_OK) {
        status = greet(http, deadline);
    }
    if (status != TN_OK) {
        tn__http_disconnect(http);
    }
    return status;
}

/* One attempt to receive; *count 0 without an error: the other side has ended the connection. */
static enum tn__http_tls_want receive(struct tn__http *http, size_t *count)
{
    *count = 0;
    if (http->secure) {
        return tn__http_tls_read(http, http->input, sizeof(http->input), count);
    }
    ssize_t got = recv(http->socket, http->input, sizeof(http->input), 0);
    if (got > 0) {
        *count = (size_t)got;
        return TN_TLS_DONE;
    }
    if (got == 0) {
        return TN_TLS_ENDED;
    }
    if (errno == EAGAIN || errno == EINTR) {
        return TN_TLS_READ;
    }
    snprintf(http->why, sizeof(http->why), "the connection to %s broke: %s", http->endpoint,
             strerror(errno));
    return TN_TLS_FAILED;
}

static enum tn__http_tls_want transmit(struct tn__http *http, const char *bytes, size_t length,
                                       size_t *count)
{
    *count = 0;
    if (http->secure) {
        return tn__http_tls_write(http, bytes, length, count);
    }
    ssize_t put = send(http->socket, bytes, length, MSG_NOSIGNAL);
    if (put >= 0) {
        *count = (size_t)put;
        return TN_TLS_DONE;
    }
    if (errno == EAGAIN || errno == EINTR) {
        return TN_TLS_WRITE;
    }
    snprintf(http->why, sizeof(http->why), "the connection to %s broke: %s", http->endpoint,
             strerror(errno));
    return TN_TLS_FAILED;
}

static int send_all(struct tn__http *http, const char *bytes, size_t length, tn_time deadline)
{
    size_t at = 0;
    while (at < length) {
        size_t count;
        enum tn__http_tls_want want = transmit(http, bytes + at, length - at, &count);
        at += count;
        if (want == TN_TLS_READ || want == TN_TLS_WRITE) {
            int status = wait_for(http, want == TN_TLS_READ ? POLLIN : POLLOUT, deadline);
            if (status != TN_OK) {
                return status;
            }
        } else if (want != TN_TLS_DONE) {
            return TN_ERROR_CLOSED;
        }
    }
    return TN_OK;
}

static int send_request(struct tn__http *http, const char *method, const char *path,
                        const char *body, tn_time deadline)
{
    size_t body_bytes = body == NULL ? 0 : strlen(body);
    size_t size = strlen(path) + body_bytes + TN_CMD_HOST_BYTES + 256;
    char *request = malloc(size);
    if (request == NULL) {
        return fail(http, TN_ERROR_NO_MEMORY, "out of memory");
    }
    bool bracketed = strchr(http->address.host, ':') != NULL;
    int length =
        snprintf(request, size,
                 "%s %s HTTP/1.1\r\nHost: %s%s%s:%u\r\nUser-Agent: tenure\r\n"
                 "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                 method, path, bracketed ? "[" : "", http->address.host, bracketed ? "]" : "",
                 http->address.port, body_bytes, body == NULL ? "" : body);
    tn_assert(length > 0 && (size_t)length < size);
    int status = send_all(http, request, (size_t)length, deadline);
    free(request);
    http->used = true;
    return status;
}

/* Receive what there is and decode it into `body`; TN_ERROR_CLOSED at an early end. */
static int pump(struct tn__http *http, char *body, size_t size, size_t *bytes, tn_time deadline)
{
    struct tn__response *response = &http->response;
    if (http->input_start == http->input_end) {
        size_t count = 0;
        enum tn__http_tls_want want;
        while ((want = receive(http, &count)) == TN_TLS_READ || want == TN_TLS_WRITE) {
            int status = wait_for(http, want == TN_TLS_READ ? POLLIN : POLLOUT, deadline);
            if (status != TN_OK) {
                return status;
            }
        }
        if (want == TN_TLS_FAILED) {
            return TN_ERROR_CLOSED;
        }
        if (want == TN_TLS_ENDED) {
            return tn__response_end(response)
                       ? TN_OK
                       : fail(http, TN_ERROR_CLOSED, "%s ended the connection", http->endpoint);
        }
        http->input_start = 0;
        http->input_end = count;
    }
    http->input_start += tn__response_feed(response, http->input + http->input_start,
                                           http->input_end - http->input_start, body, size, bytes);
    return response->state == TN_RESPONSE_WRONG
               ? fail(http, TN_ERROR_MALFORMED, "%s does not speak HTTP/1.1", http->endpoint)
               : TN_OK;
}

/* Receive until the head is whole; body bytes that came with it go to http->lines. */
static int receive_head(struct tn__http *http, tn_time deadline)
{
    int status = TN_OK;
    tn__response_init(&http->response);
    http->line_bytes = 0;
    while (status == TN_OK && http->response.state == TN_RESPONSE_HEAD) {
        status = pump(http, http->lines, TN_HTTP_LINE_BYTES_MAX, &http->line_bytes, deadline);
    }
    return status;
}

int tn__http_begin(struct tn__http *http, const char *method, const char *path, const char *body,
                   tn_time deadline, struct tn__http_answer *answer)
{
    memset(answer, 0, sizeof(*answer));
    for (int attempt = 0;; attempt++) {
        bool kept = http->used;
        int status = ensure_connected(http, deadline);
        answer->sent = tn__clock_now();
        if (status == TN_OK) {
            status = send_request(http, method, path, body, deadline);
        }
        if (status == TN_OK) {
            status = receive_head(http, deadline);
        }
        answer->status = http->response.status;
        if (status == TN_OK) {
            return TN_OK;
        }
        bool unanswered = http->response.head_bytes == 0;
        tn__http_disconnect(http);
        if (status != TN_ERROR_CLOSED || !kept || !unanswered || attempt > 0) {
            return status;
        }
    }
}

int tn__http_call(struct tn__http *http, const char *method, const char *path, const char *body,
                  tn_time deadline, struct tn__http_answer *answer)
{
    int status = tn__http_begin(http, method, path, body, deadline, answer);
    if (status != TN_OK) {
        return status;
    }
    size_t size = TN_HTTP_LINE_BYTES_MAX;
    char *bytes = malloc(size + 1);
    if (bytes != NULL) {
        memcpy(bytes, http->lines, http->line_bytes);
    }
    size_t length = http->line_bytes;
    while (bytes != NULL && status == TN_OK && http->response.state != TN_RESPONSE_DONE) {
        if (length == size) {
            char *larger = size >= TN_HTTP_BODY_BYTES_MAX ? NULL : realloc(bytes, size * 2 + 1);
            if (larger == NULL) {
                status = fail(http, TN_ERROR_TOO_LARGE, "%s answers too much", http->endpoint);
                break;
            }
            bytes = larger;
            size *= 2;
        }
        status = pump(http, bytes, size, &length, deadline);
    }
    http->line_bytes = 0;
    if (bytes == NULL) {
        status = fail(http, TN_ERROR_NO_MEMORY, "out of memory");
    }
    if (status != TN_OK) {
        free(bytes);
        tn__http_disconnect(http);
        return status;
    }
    bytes[length] = '\0';
    answer->body = bytes;
    answer->body_bytes = length;
    if (!http->response.kept_alive) {
        tn__http_disconnect(http);
    }
    return TN_OK;
}

int tn__http_line(struct tn__http *http, char *line, size_t size, tn_time deadline)
{
    for (;;) {
        char *end = memchr(http->lines, '\n', http->line_bytes);
        if (end != NULL) {
            size_t length = (size_t)(end - http->lines);
            if (length >= size) {
                return fail(http, TN_ERROR_TOO_LARGE, "%s sends too long a line", http->endpoint);
            }
            memcpy(line, http->lines, length);
            line[length] = '\0';
            http->line_bytes -= length + 1;
            memmove(http->lines, end + 1, http->line_bytes);
            return TN_OK;
        }
        if (http->response.state == TN_RESPONSE_DONE) {
            return TN_ERROR_NOT_FOUND;
        }
        if (http->line_bytes == TN_HTTP_LINE_BYTES_MAX) {
            return fail(http, TN_ERROR_TOO_LARGE, "%s sends too long a line", http->endpoint);
        }
        int status = pump(http, http->lines, TN_HTTP_LINE_BYTES_MAX, &http->line_bytes, deadline);
        if (status != TN_OK) {
            return status;
        }
    }
}

bool tn__http_encode(char *url, size_t size, const char *text)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t at = strlen(url);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                     c == '-' || c == '.' || c == '_' || c == '~';
        if (at + 4 > size) {
            return false;
        }
        if (plain) {
            url[at++] = (char)c;
        } else {
            url[at++] = '%';
            url[at++] = digits[c >> 4];
            url[at++] = digits[c & 15];
        }
        url[at] = '\0';
    }
    return true;
}
