/* Dialling: resolve the host, try its addresses one after the other. The other half of stream.c.
 *
 * A host written in digits is not resolved. A socket whose connect failed cannot be used again, so
 * the handle is closed and begun anew for each address; `redialling` marks the time in between. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include <tenure/error.h>

#include "base/assert.h"
#include "net/stream_internal.h"

static void connect_next(struct tn__stream *stream);

static void on_closed_for_next(uv_handle_t *handle)
{
    struct tn__stream *stream = handle->data;
    stream->redialling = false;
    if (stream->state == STREAM_CLOSING) {
        tn__stream_redial_abandoned(stream);
        return;
    }
    int error = uv_tcp_init(stream->net->loop, &stream->tcp);
    tn_assert(error == 0); /* without a socket it only fills in the handle */
    stream->tcp.data = stream;
    connect_next(stream);
}

static void try_next_address(struct tn__stream *stream, int error)
{
    if (stream->addresses_next >= stream->addresses_count) {
        tn__stream_cut(stream, tn__net_error(error), uv_strerror(error));
        return;
    }
    stream->redialling = true;
    uv_close((uv_handle_t *)&stream->tcp, on_closed_for_next);
}

static void on_connected(uv_connect_t *request, int status)
{
    struct tn__stream *stream = request->data;
    if (stream->state == STREAM_DIALLING) {
        if (status == 0) {
            tn__stream_connected(stream, true);
        } else {
            try_next_address(stream, status);
        }
    }
    tn__stream_unref(stream);
}

static void connect_next(struct tn__stream *stream)
{
    tn_assert(stream->addresses_next < stream->addresses_count);
    uint32_t index = (stream->addresses_first + stream->addresses_next) % stream->addresses_count;
    stream->addresses_next += 1;
    const struct sockaddr *address = (const struct sockaddr *)&stream->addresses[index];
    tn__address_print(address, stream->remote, sizeof(stream->remote));
    stream->connect.data = stream;
    int error = uv_tcp_connect(&stream->connect, &stream->tcp, address, on_connected);
    if (error != 0) {
        try_next_address(stream, error);
        return;
    }
    stream->references += 1;
}

static void addresses_take(struct tn__stream *stream, const struct addrinfo *list)
{
    stream->addresses_count = 0;
    for (const struct addrinfo *entry = list;
         entry != NULL && stream->addresses_count < TN_DIAL_ADDRESSES_MAX; entry = entry->ai_next) {
        if (entry->ai_addrlen <= sizeof(struct sockaddr_storage)) {
            memcpy(&stream->addresses[stream->addresses_count], entry->ai_addr, entry->ai_addrlen);
            stream->addresses_count += 1;
        }
    }
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
    struct tn__stream *stream = request->data;
    stream->resolving = false;
    if (stream->state == STREAM_DIALLING) {
        if (status == 0) {
            addresses_take(stream, list);
        }
        if (stream->addresses_count > 0) {
            connect_next(stream);
        } else {
            char why[TN_WHY_BYTES_MAX + 1];
            snprintf(why, sizeof(why), "the host name cannot be resolved: %s",
                     status != 0 ? uv_strerror(status) : "it has no address");
            tn__stream_cut(stream, TN_ERROR_IO, why);
        }
    }
    uv_freeaddrinfo(list);
    tn__stream_unref(stream);
}

struct tn__stream *tn__stream_dial(struct tn__net *net, const struct tn__stream_options *options,
                                   const struct tn__address *address, uint32_t attempt)
{
    struct tn__stream *stream = tn__stream_make(net, options, address->host);
    if (stream == NULL) {
        return NULL;
    }
    snprintf(stream->remote, sizeof(stream->remote), "%s", address->host);
    stream->addresses_first = attempt % TN_DIAL_ADDRESSES_MAX;
    struct addrinfo hints;
    memset(&hints, 0, sizeof(hints));
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_protocol = IPPROTO_TCP;
    hints.ai_flags = AI_NUMERICSERV;
    if (tn__address_is_numeric(address)) {
        hints.ai_flags |= AI_NUMERICHOST; /* answered without a name service */
    }
    stream->resolve.data = stream;
    int error = uv_getaddrinfo(net->loop, &stream->resolve, on_resolved, address->host,
                               address->port, &hints);
    if (error != 0) {
        tn__stream_cut(stream, tn__net_error(error), uv_strerror(error));
        return stream;
    }
    stream->resolving = true;
    stream->references += 1;
    return stream;
}
