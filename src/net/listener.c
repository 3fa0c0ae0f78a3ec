/* Listening on libuv. See listener.h. */
#define _GNU_SOURCE
#include "net/listener.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <tenure/error.h>

#include "base/assert.h"

/* Connections that the kernel keeps for us; beyond it, it lets the dialling side try again. */
#define BACKLOG 128

struct tn__listener {
    uv_tcp_t tcp;
    struct tn__net *net;
    tn__listener_accept accept;
    void *owner;
};

static int refuse(int error, const char *address, const char *cause, char *why, size_t why_size)
{
    if (why != NULL && why_size > 0) {
        snprintf(why, why_size, "cannot listen on %.80s: %s", address, cause);
    }
    return error;
}

static void on_discarded(uv_handle_t *handle)
{
    free(handle);
}

/* A connection that nobody took would block the ones behind it: take it and close it. Where it has
 * been taken, uv_accept() finds none and only the empty handle is closed. */
static void discard(uv_stream_t *listening, struct tn__net *net)
{
    uv_tcp_t *taken = malloc(sizeof(*taken));
    if (taken == NULL) {
        return;
    }
    if (uv_tcp_init(net->loop, taken) != 0) {
        free(taken);
        return;
    }
    (void)uv_accept(listening, (uv_stream_t *)taken);
    uv_close((uv_handle_t *)taken, on_discarded);
}

static void on_connection(uv_stream_t *listening, int status)
{
    struct tn__listener *listener = listening->data;
    if (status != 0 || listener->owner == NULL) {
        return;
    }
    listener->accept(listener->owner, listener->net, listening);
    discard(listening, listener->net);
}

static int resolve(const struct tn__address *address, struct sockaddr_storage *found,
                   const char **cause)
{
    struct addrinfo hints;
    memset(&hints, 0, sizeof(hints));
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
    struct addrinfo *list = NULL;
    int status = getaddrinfo(address->host, address->port, &hints, &list);
    if (status != 0 || list == NULL || list->ai_addrlen > sizeof(*found)) {
        *cause = status != 0 ? gai_strerror(status) : "the host has no address";
        return TN_ERROR_IO;
    }
    memcpy(found, list->ai_addr, list->ai_addrlen);
    freeaddrinfo(list);
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

int tn__listener_open(struct tn__listener **listener, struct tn__net *net, const char *text,
                      tn__listener_accept accept, void *owner, char *why, size_t why_size)
{
    tn_assert(accept != NULL && owner != NULL);
    *listener = NULL;
    struct tn__address address;
    int error = tn__address_parse(&address, text, why, why_size);
    if (error != 0) {
        return error;
    }
    struct sockaddr_storage found;
    const char *cause = NULL;
    error = resolve(&address, &found, &cause);
    if (error != 0) {
        return refuse(error, text, cause, why, why_size);
    }
    struct tn__listener *made = calloc(1, sizeof(*made));
    if (made == NULL) {
        return TN_ERROR_NO_MEMORY;
    }
    if (uv_tcp_init(net->loop, &made->tcp) != 0) {
        free(made);
        return TN_ERROR_NO_MEMORY;
    }
    made->tcp.data = made;
    made->net = net;
    made->accept = accept;
    made->owner = owner;
    int status = uv_tcp_bind(&made->tcp, (const struct sockaddr *)&found, 0);
    if (status == 0) {
        status = uv_listen((uv_stream_t *)&made->tcp, BACKLOG, on_connection);
    }
    if (status != 0) {
        uv_close((uv_handle_t *)&made->tcp, on_closed);
        return refuse(tn__net_error(status), text,
                      status == UV_EADDRINUSE ? "another program uses the port; stop it, or choose "
                                                "another port"
                                              : uv_strerror(status),
                      why, why_size);
    }
    *listener = made;
    return 0;
}

uint16_t tn__listener_port(const struct tn__listener *listener)
{
    struct sockaddr_storage bound;
    int length = sizeof(bound);
    if (uv_tcp_getsockname(&listener->tcp, (struct sockaddr *)&bound, &length) != 0) {
        return 0;
    }
    if (bound.ss_family == AF_INET6) {
        return ntohs(((const struct sockaddr_in6 *)&bound)->sin6_port);
    }
    return ntohs(((const struct sockaddr_in *)&bound)->sin_port);
}

void tn__listener_close(struct tn__listener *listener)
{
    if (listener != NULL) {
        listener->owner = NULL;
        uv_close((uv_handle_t *)&listener->tcp, on_closed);
    }
}
