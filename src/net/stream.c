/* Streams on libuv. See stream.h for the rules; this file carries bytes, dial.c makes connections.
 *
 * States: DIALLING -> GREETING (TLS only) -> OPEN -> CLOSING -> gone.
 * inv. 1: a uv_write is in flight if and only if `writing_busy`; `sending` belongs to it then.
 * inv. 2: the memory is freed when the handle is closed and no request is in flight. */
#define _GNU_SOURCE
#include "net/stream_internal.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <tenure/error.h>

#include "base/assert.h"

int tn__net_error(int uv_error)
{
    switch (uv_error) {
    case UV_EOF:
        return TN_ERROR_CLOSED;
    case UV_ENOMEM:
        return TN_ERROR_NO_MEMORY;
    case UV_EADDRINUSE:
        return TN_ERROR_ADDRESS_IN_USE;
    case UV_ECONNREFUSED:
        return TN_ERROR_REFUSED;
    case UV_ETIMEDOUT:
        return TN_ERROR_TIMEOUT;
    default:
        return TN_ERROR_IO;
    }
}

/* ---- Buffers ---------------------------------------------------------------------------- */

bool tn__buffer_reserve(struct tn__buffer *buffer, size_t length)
{
    if (buffer->length + length > buffer->capacity) {
        size_t capacity = buffer->capacity == 0 ? 4096 : buffer->capacity;
        while (capacity < buffer->length + length) {
            capacity *= 2;
        }
        uint8_t *grown = realloc(buffer->bytes, capacity);
        if (grown == NULL) {
            return false;
        }
        buffer->bytes = grown;
        buffer->capacity = capacity;
    }
    return true;
}

bool tn__buffer_add(struct tn__buffer *buffer, const void *bytes, size_t length)
{
    if (!tn__buffer_reserve(buffer, length)) {
        return false;
    }
    memcpy(buffer->bytes + buffer->length, bytes, length);
    buffer->length += length;
    return true;
}

/* Take bytes off the front; an emptied large buffer gives its memory back. */
static void buffer_take(const struct tn__stream *stream, struct tn__buffer *buffer, size_t length)
{
    tn_assert(length <= buffer->length);
    buffer->length -= length;
    if (buffer->length > 0) {
        memmove(buffer->bytes, buffer->bytes + length, buffer->length);
    } else if (buffer->capacity > stream->kept_bytes_max) {
        free(buffer->bytes);
        memset(buffer, 0, sizeof(*buffer));
    }
}

/* ---- Ends ------------------------------------------------------------------------------------ */

void tn__stream_unref(struct tn__stream *stream)
{
    tn_assert(stream->references > 0);
    stream->references -= 1;
    if (stream->references > 0) {
        return;
    }
    tn_assert(stream->net->streams_count > 0);
    stream->net->streams_count -= 1;
    tn__tls_close(stream->tls);
    free(stream->kept_plain.bytes);
    free(stream->pending.bytes);
    free(stream->sending.bytes);
    free(stream->kept.bytes);
    free(stream);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct tn__stream *stream = handle->data;
    if (stream->owner != NULL && stream->events->on_close != NULL) {
        void *owner = stream->owner;
        stream->owner = NULL;
        stream->events->on_close(owner, stream->error, stream->why);
    }
    tn__stream_unref(stream);
}

static void on_linger_closed(uv_handle_t *handle)
{
    tn__stream_unref(handle->data);
}

void tn__stream_cut(struct tn__stream *stream, int error, const char *why)
{
    if (stream->state == STREAM_CLOSING) {
        return;
    }
    stream->state = STREAM_CLOSING;
    stream->error = error;
    snprintf(stream->why, sizeof(stream->why), "%s", why);
    if (stream->resolving) {
        uv_cancel((uv_req_t *)&stream->resolve); /* if it has begun, it ends by itself */
    }
    if (stream->lingering) {
        uv_close((uv_handle_t *)&stream->linger, on_linger_closed);
    }
    if (!stream->redialling) { /* else the handle is closing already: dial.c goes on from there */
        uv_close((uv_handle_t *)&stream->tcp, on_handle_closed);
    }
}

void tn__stream_redial_abandoned(struct tn__stream *stream)
{
    on_handle_closed((uv_handle_t *)&stream->tcp);
}

void tn__stream_close(struct tn__stream *stream)
{
    if (stream != NULL) {
        stream->owner = NULL;
        tn__stream_cut(stream, TN_ERROR_CLOSED, "closed here");
    }
}

static void on_linger_over(uv_timer_t *timer)
{
    struct tn__stream *stream = timer->data;
    tn__stream_cut(stream, TN_ERROR_TIMEOUT, "the last bytes were not taken in time");
}

static void finish_if_sent(struct tn__stream *stream)
{
    if (stream->lingering && !stream->writing_busy && stream->pending.length == 0) {
        tn__stream_cut(stream, TN_ERROR_CLOSED, "closed here");
    }
}

void tn__stream_finish(struct tn__stream *stream, uint64_t linger_ms)
{
    stream->owner = NULL;
    if (stream->state != STREAM_OPEN) {
        tn__stream_close(stream);
        return;
    }
    uv_read_stop((uv_stream_t *)&stream->tcp);
    if (uv_timer_init(stream->net->loop, &stream->linger) != 0) {
        tn__stream_close(stream);
        return;
    }
    stream->lingering = true;
    stream->references += 1;
    stream->linger.data = stream;
    uv_timer_start(&stream->linger, on_linger_over, linger_ms, 0);
    tn__stream_flush(stream);
    finish_if_sent(stream);
}

/* ---- Output ---------------------------------------------------------------------------------- */

static void on_written(uv_write_t *request, int status)
{
    struct tn__stream *stream = request->data;
    stream->writing_busy = false;
    if (stream->state == STREAM_CLOSING) {
        tn__stream_unref(stream);
        return;
    }
    stream->net->bytes_out += stream->sending.length;
    buffer_take(stream, &stream->sending, stream->sending.length);
    if (status != 0) {
        tn__stream_cut(stream, tn__net_error(status), uv_strerror(status));
    } else {
        tn__stream_flush(stream);
        finish_if_sent(stream);
    }
    tn__stream_unref(stream);
}

/* Hand `pending` to the kernel: at once what it takes, the rest by a request. */
static void send_pending(struct tn__stream *stream)
{
    if (stream->writing_busy || stream->pending.length == 0) {
        return;
    }
    uv_buf_t buffer = uv_buf_init((char *)stream->pending.bytes, (unsigned)stream->pending.length);
    int taken = uv_try_write((uv_stream_t *)&stream->tcp, &buffer, 1);
    stream->net->writes_count += 1;
    if (taken < 0 && taken != UV_EAGAIN) {
        tn__stream_cut(stream, tn__net_error(taken), uv_strerror(taken));
        return;
    }
    if (taken > 0) {
        stream->net->bytes_out += (uint64_t)taken;
        buffer_take(stream, &stream->pending, (size_t)taken);
    }
    if (stream->pending.length == 0) {
        return;
    }
    tn_assert(stream->sending.length == 0);
    struct tn__buffer swap = stream->sending;
    stream->sending = stream->pending;
    stream->pending = swap;
    buffer = uv_buf_init((char *)stream->sending.bytes, (unsigned)stream->sending.length);
    stream->write.data = stream;
    int error = uv_write(&stream->write, (uv_stream_t *)&stream->tcp, &buffer, 1, on_written);
    if (error != 0) {
        tn__stream_cut(stream, tn__net_error(error), uv_strerror(error));
        return;
    }
    stream->writing_busy = true;
    stream->references += 1;
}

/* Move what TLS has sealed, handshake included, to `pending`. */
static bool collect_sealed(struct tn__stream *stream)
{
    const uint8_t *bytes = NULL;
    size_t length = tn__tls_pending(stream->tls, &bytes);
    if (length > 0 && !tn__buffer_add(&stream->pending, bytes, length)) {
        tn__stream_cut(stream, TN_ERROR_NO_MEMORY, "no memory for what is to be sent");
        return false;
    }
    tn__tls_taken(stream->tls);
    return true;
}

void tn__stream_flush(struct tn__stream *stream)
{
    if (stream->state == STREAM_GREETING) {
        if (collect_sealed(stream)) {
            send_pending(stream);
        }
        return;
    }
    if (stream->state != STREAM_OPEN) {
        return;
    }
    if (stream->tls != NULL) {
        if (stream->kept_plain.length > 0) {
            if (tn__tls_write(stream->tls, stream->kept_plain.bytes, stream->kept_plain.length) !=
                0) {
                tn__stream_cut(stream, TN_ERROR_TLS, "TLS refuses to seal what is to be sent");
                return;
            }
            buffer_take(stream, &stream->kept_plain, stream->kept_plain.length);
        }
        if (!collect_sealed(stream)) {
            return;
        }
    }
    send_pending(stream);
}

bool tn__stream_is_open(const struct tn__stream *stream)
{
    return stream->state == STREAM_OPEN;
}

size_t tn__stream_unsent(const struct tn__stream *stream)
{
    return stream->kept_plain.length + stream->pending.length + stream->sending.length;
}

void tn__stream_write(struct tn__stream *stream, const void *bytes, size_t length)
{
    if (stream->state == STREAM_CLOSING) {
        return;
    }
    if (tn__stream_unsent(stream) + length > stream->output_bytes_max) {
        tn__stream_cut(stream, TN_ERROR_BUSY, "the other side does not read what it is sent");
        return;
    }
    struct tn__buffer *buffer = stream->tls != NULL ? &stream->kept_plain : &stream->pending;
    if (!tn__buffer_add(buffer, bytes, length)) {
        tn__stream_cut(stream, TN_ERROR_NO_MEMORY, "no memory for what is to be sent");
    }
}

void tn__stream_give(struct tn__stream *stream, struct tn__buffer *buffer)
{
    struct tn__buffer *waits = stream->tls != NULL ? &stream->kept_plain : &stream->pending;
    bool fits = tn__stream_unsent(stream) + buffer->length <= stream->output_bytes_max;
    if (waits->length == 0 && fits && stream->state != STREAM_CLOSING) {
        struct tn__buffer swap = *waits;
        *waits = *buffer;
        *buffer = swap;
        return;
    }
    tn__stream_write(stream, buffer->bytes, buffer->length);
    buffer->length = 0;
}

void tn__stream_bound(struct tn__stream *stream, size_t input_bytes_max, size_t output_bytes_max)
{
    stream->input_bytes_max = input_bytes_max;
    stream->output_bytes_max = output_bytes_max;
    stream->kept_bytes_max = TN_NET_INPUT_BYTES;
}

/* ---- Input ----------------------------------------------------------------------------------- */

/* Give plain bytes to the owner, behind those that it left the last time. */
static void deliver(struct tn__stream *stream, const uint8_t *bytes, size_t length)
{
    if (stream->owner == NULL || stream->state != STREAM_OPEN) {
        return;
    }
    bool kept = stream->kept.length > 0;
    if (kept) {
        if (!tn__buffer_add(&stream->kept, bytes, length)) {
            tn__stream_cut(stream, TN_ERROR_NO_MEMORY, "no memory for what was received");
            return;
        }
        bytes = stream->kept.bytes;
        length = stream->kept.length;
    }
    size_t taken = stream->events->on_bytes(stream->owner, bytes, length);
    tn_assert(taken <= length);
    if (stream->state != STREAM_OPEN) {
        return;
    }
    if (length - taken > stream->input_bytes_max) {
        tn__stream_cut(stream, TN_ERROR_TOO_LARGE, "more bytes in one piece than are allowed");
    } else if (kept) {
        buffer_take(stream, &stream->kept, taken);
    } else if (taken < length && !tn__buffer_add(&stream->kept, bytes + taken, length - taken)) {
        tn__stream_cut(stream, TN_ERROR_NO_MEMORY, "no memory for what was received");
    }
}

/* The stream carries plain bytes from now on. */
static void open_now(struct tn__stream *stream)
{
    stream->state = STREAM_OPEN;
    if (stream->owner != NULL && stream->events->on_open != NULL) {
        stream->events->on_open(stream->owner);
    }
    tn__stream_flush(stream);
}

static void deliver_sealed(struct tn__stream *stream, const uint8_t *bytes, size_t length)
{
    char why[TN_WHY_BYTES_MAX + 1] = "";
    if (tn__tls_feed(stream->tls, bytes, length) != 0) {
        tn__stream_cut(stream, TN_ERROR_NO_MEMORY, "no memory for what was received");
        return;
    }
    if (stream->state == STREAM_GREETING) {
        int error = tn__tls_greet(stream->tls, why, sizeof(why));
        tn__stream_flush(stream); /* an alert tells the other side why */
        if (error != 0) {
            tn__stream_cut(stream, error, why);
            return;
        }
        if (stream->state != STREAM_GREETING || !tn__tls_ready(stream->tls)) {
            return;
        }
        open_now(stream);
    }
    /* Bounded: each round takes plain bytes out of the finite ones just fed. */
    while (stream->state == STREAM_OPEN) {
        int plain = tn__tls_read(stream->tls, stream->net->plain, sizeof(stream->net->plain), why,
                                 sizeof(why));
        if (plain == 0) {
            break;
        }
        if (plain < 0) {
            tn__stream_cut(stream, plain, plain == TN_ERROR_CLOSED ? "the other side closed" : why);
            break;
        }
        deliver(stream, stream->net->plain, (size_t)plain);
    }
}

static void on_input_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)suggested;
    struct tn__stream *stream = handle->data;
    *buffer = uv_buf_init((char *)stream->net->input, sizeof(stream->net->input));
}

static void on_read(uv_stream_t *handle, ssize_t length, const uv_buf_t *buffer)
{
    struct tn__stream *stream = handle->data;
    if (stream->state == STREAM_CLOSING || length == 0) {
        return;
    }
    if (length < 0) {
        tn__stream_cut(stream, tn__net_error((int)length),
                       length == UV_EOF ? "the other side closed" : uv_strerror((int)length));
        return;
    }
    stream->net->bytes_in += (uint64_t)length;
    stream->net->reads_count += 1;
    if (stream->tls != NULL) {
        deliver_sealed(stream, (const uint8_t *)buffer->base, (size_t)length);
    } else {
        deliver(stream, (const uint8_t *)buffer->base, (size_t)length);
    }
}

void tn__stream_pause(struct tn__stream *stream)
{
    if (stream->state == STREAM_OPEN) {
        uv_read_stop((uv_stream_t *)&stream->tcp);
    }
}

void tn__stream_resume(struct tn__stream *stream)
{
    if (stream->state == STREAM_OPEN) {
        int error = uv_read_start((uv_stream_t *)&stream->tcp, on_input_buffer, on_read);
        if (error != 0 && error != UV_EALREADY) {
            tn__stream_cut(stream, tn__net_error(error), uv_strerror(error));
        }
    }
}

/* ---- Beginnings ------------------------------------------------------------------------------ */

struct tn__stream *tn__stream_make(struct tn__net *net, const struct tn__stream_options *options,
                                   const char *host)
{
    tn_assert(options->events != NULL && options->events->on_bytes != NULL);
    struct tn__stream *stream = calloc(1, sizeof(*stream));
    if (stream == NULL) {
        return NULL;
    }
    stream->net = net;
    stream->events = options->events;
    stream->owner = options->owner;
    stream->input_bytes_max = options->input_bytes_max;
    stream->output_bytes_max = options->output_bytes_max;
    stream->kept_bytes_max = TN_NET_KEPT_BYTES;
    if (options->tls != NULL) {
        stream->tls = tn__tls_open(options->tls, host);
        if (stream->tls == NULL) {
            free(stream);
            return NULL;
        }
    }
    if (uv_tcp_init(net->loop, &stream->tcp) != 0) {
        tn__tls_close(stream->tls);
        free(stream);
        return NULL;
    }
    stream->tcp.data = stream;
    stream->references = 1;
    net->streams_count += 1;
    return stream;
}

static void remember_remote(struct tn__stream *stream)
{
    struct sockaddr_storage remote;
    int length = sizeof(remote);
    snprintf(stream->remote, sizeof(stream->remote), "unknown");
    if (uv_tcp_getpeername(&stream->tcp, (struct sockaddr *)&remote, &length) == 0) {
        tn__address_print((const struct sockaddr *)&remote, stream->remote, sizeof(stream->remote));
    }
}

/* A host that vanished without a word: the kernel probes the idle connection, and gives up on what
 * is not acknowledged. Both are hints to the kernel; without them it takes a quarter of an hour. */
static void notice_silence(struct tn__stream *stream)
{
    uv_os_fd_t file;
    unsigned silent_ms = TN_NET_SILENT_MS_MAX;
    (void)uv_tcp_keepalive(&stream->tcp, 1, TN_NET_PROBE_S);
    if (uv_fileno((const uv_handle_t *)&stream->tcp, &file) == 0) {
        (void)setsockopt(file, IPPROTO_TCP, TCP_USER_TIMEOUT, &silent_ms, sizeof(silent_ms));
    }
}

void tn__stream_connected(struct tn__stream *stream, bool dialled)
{
    remember_remote(stream);
    uv_tcp_nodelay(&stream->tcp, 1);
    notice_silence(stream);
    int error = uv_read_start((uv_stream_t *)&stream->tcp, on_input_buffer, on_read);
    if (error != 0) {
        tn__stream_cut(stream, tn__net_error(error), uv_strerror(error));
        return;
    }
    if (stream->tls == NULL) {
        open_now(stream);
        return;
    }
    stream->state = STREAM_GREETING;
    if (dialled) {
        char why[TN_WHY_BYTES_MAX + 1] = "";
        if (tn__tls_greet(stream->tls, why, sizeof(why)) != 0) {
            tn__stream_cut(stream, TN_ERROR_TLS, why);
            return;
        }
        tn__stream_flush(stream);
    }
}

static void on_accept_deferred(uv_timer_t *timer)
{
    struct tn__stream *stream = timer->data;
    if (stream->state == STREAM_DIALLING) {
        tn__stream_connected(stream, false);
    }
    uv_close((uv_handle_t *)timer, on_linger_closed);
}

struct tn__stream *tn__stream_accept(struct tn__net *net, const struct tn__stream_options *options,
                                     uv_stream_t *listening)
{
    struct tn__stream *stream = tn__stream_make(net, options, NULL);
    if (stream == NULL) {
        return NULL;
    }
    if (uv_accept(listening, (uv_stream_t *)&stream->tcp) != 0 ||
        uv_timer_init(net->loop, &stream->opening) != 0) {
        tn__stream_close(stream);
        return NULL;
    }
    /* Rule 1: the owner gets its stream before on_open runs. */
    remember_remote(stream);
    stream->references += 1;
    stream->opening.data = stream;
    uv_timer_start(&stream->opening, on_accept_deferred, 0, 0);
    return stream;
}

const char *tn__stream_remote(const struct tn__stream *stream)
{
    return stream->remote;
}

void tn__stream_subject(const struct tn__stream *stream, char *text, size_t text_size)
{
    text[0] = '\0';
    if (stream->tls != NULL) {
        tn__tls_subject(stream->tls, text, text_size);
    }
}

const struct tn__tls *tn__stream_tls(const struct tn__stream *stream)
{
    return stream->tls;
}
