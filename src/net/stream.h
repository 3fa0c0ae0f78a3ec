/* Streams: one TCP connection each, plain or TLS, on a libuv loop.
 *
 * A stream is dialled or accepted, opens (connected, and greeted by TLS), carries bytes both ways
 * and ends. Its owner is told by three callbacks. The rules that make owners simple:
 *
 *  1. No callback runs inside a call of the owner's: a failure found while writing is told later in
 *     the same round of the loop. So an owner never loses a stream under its feet.
 *  2. on_close runs exactly once, unless the owner has closed the stream itself, and is the last
 *     callback; the stream is gone after it.
 *  3. After tn__stream_close() no callback runs; the stream is gone for the owner.
 *
 * Output is gathered: tn__stream_write() copies, tn__stream_flush() hands all of it to the kernel
 * in one call, or has TLS seal it first. What the kernel does not take waits, bounded: a peer that
 * does not read is cut off (TN_ERROR_BUSY) before it costs memory.
 *
 * Input comes in one buffer a loop, shared by all its streams; only bytes that the owner leaves
 * (the beginning of a frame) are kept, bounded, with the stream.
 *
 * All functions belong to the loop's thread. */
#ifndef TN_NET_STREAM_H
#define TN_NET_STREAM_H

/* uv.h needs more of the system's headers than plain C17 shows. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "net/address.h"
#include "net/tls.h"

/* What all streams of a loop share: larger than a frame, also than one of some hundred proposals,
 * so that a whole one comes in one read and is looked at where it lies. */
#define TN_NET_INPUT_BYTES 262144
#define TN_NET_PLAIN_BYTES 65536

/* An emptied buffer with more than this gives its memory back; where long frames follow each other
 * (tn__stream_bound()) it keeps as much as one read takes. */
#define TN_NET_KEPT_BYTES 65536

/* A connection on which nothing was heard for PROBE_S is probed; one on which nothing is
 * acknowledged for SILENT_MS_MAX has failed. */
#define TN_NET_PROBE_S 10
#define TN_NET_SILENT_MS_MAX 20000

struct tn__net {
    uv_loop_t *loop;
    uint64_t bytes_in;
    uint64_t bytes_out;
    uint64_t reads_count;
    uint64_t writes_count;
    uint32_t streams_count; /* not yet gone, the closing ones included */
    uint8_t input[TN_NET_INPUT_BYTES];
    uint8_t plain[TN_NET_PLAIN_BYTES];
};

struct tn__stream;

/* Bytes that grow by doubling; what bounds them is checked before they are added. */
struct tn__buffer {
    uint8_t *bytes;
    size_t length;
    size_t capacity;
};

/* Make room for `length` bytes behind those that are there. False: no memory. */
bool tn__buffer_reserve(struct tn__buffer *buffer, size_t length);
bool tn__buffer_add(struct tn__buffer *buffer, const void *bytes, size_t length);

struct tn__stream_events {
    /* Bytes may flow both ways. */
    void (*on_open)(void *owner);
    /* `length` bytes have come, counted from the first that was not taken before. Returns how many
     * are taken; the rest is given again, with more behind it. */
    size_t (*on_bytes)(void *owner, const uint8_t *bytes, size_t length);
    /* The stream has ended: TN_ERROR_CLOSED if the other side ended it, else what went wrong. */
    void (*on_close)(void *owner, int error, const char *why);
};

struct tn__stream_options {
    const struct tn__stream_events *events;
    void *owner;
    struct tn__tls_context *tls; /* NULL: plain; borrowed, must outlive the stream */
    size_t input_bytes_max;      /* kept of what the owner does not take */
    size_t output_bytes_max;     /* waiting for the other side to read */
};

/* Dial. `attempt` counts the dials so far, so that each begins at another of the host's addresses.
 * There is no time limit: the owner closes what takes too long. NULL: no memory. */
struct tn__stream *tn__stream_dial(struct tn__net *net, const struct tn__stream_options *options,
                                   const struct tn__address *address, uint32_t attempt);

/* Take a connection from a listening handle, inside its callback. NULL: no memory, or the
 * connection is gone already. */
struct tn__stream *tn__stream_accept(struct tn__net *net, const struct tn__stream_options *options,
                                     uv_stream_t *listening);

/* Do plain bytes flow? Not yet while a dial or a TLS handshake is under way. */
bool tn__stream_is_open(const struct tn__stream *stream);

/* Append bytes to what is to be sent. Before the stream is open they are kept. */
void tn__stream_write(struct tn__stream *stream, const void *bytes, size_t length);

/* Append a whole buffer: its memory goes to the stream, and the stream's own, empty, to the caller,
 * when nothing else waits; else it is copied. Either way `buffer` is empty after it. */
void tn__stream_give(struct tn__stream *stream, struct tn__buffer *buffer);

/* From now on so much may wait (struct tn__stream_options): what comes and goes is long. */
void tn__stream_bound(struct tn__stream *stream, size_t input_bytes_max, size_t output_bytes_max);

/* Send what was appended, as far as the kernel takes it; the rest follows by itself. */
void tn__stream_flush(struct tn__stream *stream);

/* Bytes appended that have not reached the kernel. */
size_t tn__stream_unsent(const struct tn__stream *stream);

/* Stop and go on reading, for owners that cannot keep up. */
void tn__stream_pause(struct tn__stream *stream);
void tn__stream_resume(struct tn__stream *stream);

/* End now; no callback follows. NULL is allowed. */
void tn__stream_close(struct tn__stream *stream);

/* End once all that was appended has reached the kernel; no callback follows, input is ignored. The
 * owner is rid of the stream at once. `linger_ms` bounds how long it may take. */
void tn__stream_finish(struct tn__stream *stream, uint64_t linger_ms);

/* End as if the stream had failed: on_close follows with this error and reason. */
void tn__stream_cut(struct tn__stream *stream, int error, const char *why);

/* "ADDRESS:PORT" of the other side; valid while the stream is. */
const char *tn__stream_remote(const struct tn__stream *stream);

/* The common name in the other side's certificate; "" without. */
void tn__stream_subject(const struct tn__stream *stream, char *text, size_t text_size);

/* The session of a TLS stream, to be asked about the other side's certificate; NULL of a plain one.
 * Valid while the stream is. */
const struct tn__tls *tn__stream_tls(const struct tn__stream *stream);

/* The enum tn_error of a libuv error. */
int tn__net_error(int uv_error);

#endif
