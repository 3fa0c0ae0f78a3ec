/* The text of /metrics (Prometheus exposition format 0.0.4) from values. No state, no I/O. */
#ifndef TN_NODE_METRICS_H
#define TN_NODE_METRICS_H

#include "node/api.h"

/* More than all lines together: each metric has a line of help, of type, and few of values. */
#define TN_METRICS_BYTES_MAX (64U << 10)

struct tn__metrics {
    const struct tn_node_status *status;
    const struct tn__lease_clients_status *clients;
    const struct tn__api_counters *api;
    uint32_t connections;
    uint32_t watchers;
    const char *version;
};

/* Write the text, terminated; returns its length. `size` must be TN_METRICS_BYTES_MAX or more. */
size_t tn__metrics_write(const struct tn__metrics *metrics, char *bytes, size_t size);

#endif
