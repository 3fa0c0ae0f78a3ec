/* What stream.c and dial.c share: the stream itself. Nobody else includes this. */
#ifndef TN_NET_STREAM_INTERNAL_H
#define TN_NET_STREAM_INTERNAL_H

#include "net/stream.h"

enum stream_state {
    STREAM_DIALLING = 0, /* resolving, connecting, or accepted a moment ago */
    STREAM_GREETING,     /* TLS is shaking hands */
    STREAM_OPEN,
    STREAM_CLOSING,
};

/* Addresses of one host that are tried in one dial. */
#define TN_DIAL_ADDRESSES_MAX 4

struct tn__stream {
    uv_tcp_t tcp;
    struct tn__net *net;
    const struct tn__stream_events *events;
    void *owner; /* NULL: let go of; no callback runs */
    struct tn__tls *tls;
    enum stream_state state;
    uint32_t references; /* the handle, and each request or timer in flight */
    int error;
    bool writing_busy;
    bool lingering;
    bool resolving;
    bool redialling; /* the handle closes so that the next address can be tried */
    size_t input_bytes_max;
    size_t output_bytes_max;
    size_t kept_bytes_max;        /* of an emptied buffer's memory */
    struct tn__buffer kept;       /* received, not taken by the owner yet */
    struct tn__buffer kept_plain; /* TLS: to be sealed at the next flush */
    struct tn__buffer pending;    /* for the wire, not given to the kernel yet */
    struct tn__buffer sending;    /* for the wire, in the request in flight */
    uv_write_t write;
    uv_connect_t connect;
    uv_getaddrinfo_t resolve;
    uv_timer_t linger;
    uv_timer_t opening;
    struct sockaddr_storage addresses[TN_DIAL_ADDRESSES_MAX];
    uint32_t addresses_count;
    uint32_t addresses_next; /* how many have been tried in this dial */
    uint32_t addresses_first;
    char remote[TN_ADDRESS_BYTES_MAX + 1];
    char why[TN_WHY_BYTES_MAX + 1];
};

/* A stream with its handle initialised; `host` as for tn__tls_open(). */
struct tn__stream *tn__stream_make(struct tn__net *net, const struct tn__stream_options *options,
                                   const char *host);

/* The handle is connected: begin to read, and greet. */
void tn__stream_connected(struct tn__stream *stream, bool dialled);

/* A request or handle is done with the stream; the last one frees it. */
void tn__stream_unref(struct tn__stream *stream);

/* The stream was cut while its handle was being closed for the next address. */
void tn__stream_redial_abandoned(struct tn__stream *stream);

#endif
