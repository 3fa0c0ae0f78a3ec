/* Listening: one address, one callback for each connection that waits to be taken. */
#ifndef TN_NET_LISTENER_H
#define TN_NET_LISTENER_H

#include "net/stream.h"

struct tn__listener;

/* A connection waits. Take it with tn__stream_accept(net, options, listening) inside the callback;
 * what is not taken is closed right after it. */
typedef void (*tn__listener_accept)(void *owner, struct tn__net *net, uv_stream_t *listening);

/* Bind and listen. A host name is resolved here, which may block. `why` names the address and the
 * cause. Errors: TN_ERROR_INVALID (the text), TN_ERROR_ADDRESS_IN_USE, TN_ERROR_IO,
 * TN_ERROR_NO_MEMORY. */
int tn__listener_open(struct tn__listener **listener, struct tn__net *net, const char *address,
                      tn__listener_accept accept, void *owner, char *why, size_t why_size);

/* The port listened on, also when the address said 0. */
uint16_t tn__listener_port(const struct tn__listener *listener);

/* Stop listening; no callback follows. The memory is freed by the loop. NULL is allowed. */
void tn__listener_close(struct tn__listener *listener);

#endif
