/* A small HTTP client: see http_client.h. It reads heads by hand, so that it shares no fault with
 * the parser under test. */
#define _GNU_SOURCE
#include "support/http_client.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

void http_connect(struct http_client *client, uint16_t port)
{
    memset(client, 0, sizeof(*client));
    client->file = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(client->file >= 0);
    client->bytes = malloc(HTTP_CLIENT_BYTES + 1);
    assert_non_null(client->bytes);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct timeval limit = {.tv_sec = 60};
    assert_int_equal(setsockopt(client->file, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
    assert_int_equal(setsockopt(client->file, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)), 0);
    assert_int_equal(connect(client->file, (struct sockaddr *)&address, sizeof(address)), 0);
}

void http_close(struct http_client *client)
{
    if (client->file >= 0) {
        close(client->file);
    }
    free(client->bytes);
    client->file = -1;
    client->bytes = NULL;
}

void http_send(struct http_client *client, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(client->file, bytes, length, MSG_NOSIGNAL);
        if (sent < 0 && (errno == EPIPE || errno == ECONNRESET)) {
            return; /* the answer, or its absence, says why */
        }
        assert_true(sent > 0);
        bytes += sent;
        length -= (size_t)sent;
    }
}

void http_ask(struct http_client *client, const char *method, const char *target, const char *body)
{
    size_t size = strlen(target) + (body != NULL ? strlen(body) : 0) + 256;
    char *text = malloc(size);
    assert_non_null(text);
    int length =
        body == NULL
            ? snprintf(text, size, "%s %s HTTP/1.1\r\nHost: t\r\n\r\n", method, target)
            : snprintf(text, size, "%s %s HTTP/1.1\r\nHost: t\r\nContent-Length: %zu\r\n\r\n%s",
                       method, target, strlen(body), body);
    http_send(client, text, (size_t)length);
    free(text);
}

/* Receive more; false: the other side has closed. */
static bool more(struct http_client *client)
{
    assert_true(client->length < HTTP_CLIENT_BYTES);
    ssize_t got =
        recv(client->file, client->bytes + client->length, HTTP_CLIENT_BYTES - client->length, 0);
    if (got < 0 && errno == ECONNRESET) {
        return false;
    }
    if (got < 0) {
        fail_msg("nothing was received: %s", strerror(errno));
    }
    client->length += (size_t)got;
    client->bytes[client->length] = '\0';
    return got > 0;
}

static void drop(struct http_client *client, size_t length)
{
    client->length -= length;
    memmove(client->bytes, client->bytes + length, client->length + 1);
}

/* The end of the first text that ends with `mark`; 0: the connection is over before. */
static size_t until(struct http_client *client, const char *mark)
{
    for (;;) {
        const char *found = client->length > 0 ? strstr(client->bytes, mark) : NULL;
        if (found != NULL) {
            return (size_t)(found - client->bytes) + strlen(mark);
        }
        if (!more(client)) {
            return 0;
        }
    }
}

struct head {
    int status;
    bool closes;
    bool chunked;
    size_t body_length;
    char allow[16];
};

static struct head receive_head(struct http_client *client)
{
    struct head head = {0};
    size_t length = until(client, "\r\n\r\n");
    if (length == 0) {
        fail_msg("the node closed without an answer");
    }
    char *text = strndup(client->bytes, length);
    assert_non_null(text);
    assert_int_equal(sscanf(text, "HTTP/1.1 %d ", &head.status), 1);
    head.closes = strcasestr(text, "\r\nConnection: close\r\n") != NULL;
    head.chunked = strcasestr(text, "\r\nTransfer-Encoding: chunked\r\n") != NULL;
    const char *field = strcasestr(text, "\r\nContent-Length: ");
    if (field != NULL) {
        head.body_length = strtoul(field + strlen("\r\nContent-Length: "), NULL, 10);
    }
    field = strcasestr(text, "\r\nAllow: ");
    if (field != NULL) {
        assert_int_equal(sscanf(field, "\r\nAllow: %15s", head.allow), 1);
    }
    free(text);
    drop(client, length);
    return head;
}

struct http_answer http_receive(struct http_client *client)
{
    struct head head = receive_head(client);
    while (head.status == 100) {
        head = receive_head(client);
    }
    assert_false(head.chunked);
    while (client->length < head.body_length) {
        assert_true(more(client));
    }
    struct http_answer answer = {
        .status = head.status, .closes = head.closes, .length = head.body_length};
    memcpy(answer.allow, head.allow, sizeof(answer.allow));
    answer.text = strndup(client->bytes, head.body_length);
    assert_non_null(answer.text);
    answer.json = json_loadb(client->bytes, head.body_length, 0, NULL);
    drop(client, head.body_length);
    return answer;
}

void http_answer_free(struct http_answer *answer)
{
    json_decref(answer->json);
    free(answer->text);
}

int http_receive_head(struct http_client *client)
{
    struct head head = receive_head(client);
    client->chunked = head.chunked;
    return head.status;
}

json_t *http_receive_line(struct http_client *client)
{
    size_t length = 0;
    if (client->chunked) { /* one line is one chunk */
        size_t begin = until(client, "\r\n");
        if (begin == 0) {
            return NULL;
        }
        length = strtoul(client->bytes, NULL, 16);
        while (client->length < begin + length + 2) {
            assert_true(more(client));
        }
        assert_memory_equal(client->bytes + begin + length, "\r\n", 2);
        drop(client, begin);
    } else {
        length = until(client, "\n");
    }
    json_t *line = length > 0 ? json_loadb(client->bytes, length, 0, NULL) : NULL;
    assert_true(length == 0 || line != NULL);
    drop(client, length + (client->chunked ? 2 : 0));
    return line;
}

size_t http_await_end(struct http_client *client)
{
    size_t received = client->length;
    client->length = 0;
    while (more(client)) {
        received += client->length;
        client->length = 0;
    }
    return received;
}

struct http_answer http_call(uint16_t port, const char *method, const char *target,
                             const char *body)
{
    struct http_client client;
    http_connect(&client, port);
    http_ask(&client, method, target, body);
    struct http_answer answer = http_receive(&client);
    http_close(&client);
    return answer;
}
