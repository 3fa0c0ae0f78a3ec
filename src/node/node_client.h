/* The client API of a node (docs/api.md), a guest on its loop: struct tn__node_front. */
#ifndef TN_NODE_NODE_CLIENT_H
#define TN_NODE_NODE_CLIENT_H

#include "node/node_internal.h"

/* Listen on config.listen_client and set node->front. Errors: as tn__listener_open() and
 * tn__tls_context_open(). */
int tn__node_client_open(struct tn_node *node, char *why, size_t why_size);

/* The port listened on; 0: there is no client API. */
uint16_t tn__node_client_port(const struct tn_node *node);

#endif
