/* A small blocking HTTP/1.1 client for tests of the client port. Every wait is bounded by a
 * time-out of the socket; what goes wrong fails the test. */
#ifndef TN_TESTS_HTTP_CLIENT_H
#define TN_TESTS_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#define HTTP_CLIENT_BYTES (4U << 20)

struct http_client {
    int file; /* -1: not connected */
    char *bytes;
    size_t length; /* received and not yet taken */
    bool chunked;  /* of the last answer */
};

struct http_answer {
    int status;
    char allow[16]; /* the header Allow; "": none */
    bool closes;    /* the node said that it closes */
    char *text;     /* of the body, terminated; the caller's, http_answer_free() */
    size_t length;
    json_t *json; /* of the body; NULL if it is none */
};

void http_connect(struct http_client *client, uint16_t port);
void http_close(struct http_client *client);

void http_send(struct http_client *client, const char *bytes, size_t length);

/* Send a request with a body (NULL: none). */
void http_ask(struct http_client *client, const char *method, const char *target, const char *body);

/* Receive one whole answer. */
struct http_answer http_receive(struct http_client *client);
void http_answer_free(struct http_answer *answer);

/* Receive the head of a streamed answer, and then its lines; NULL: the stream is over. */
int http_receive_head(struct http_client *client);
json_t *http_receive_line(struct http_client *client);

/* Wait until the node closes the connection; returns how many bytes came before. */
size_t http_await_end(struct http_client *client);

/* Ask and receive on a connection of its own. */
struct http_answer http_call(uint16_t port, const char *method, const char *target,
                             const char *body);

#endif
