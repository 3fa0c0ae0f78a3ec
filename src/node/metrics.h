/* The text of /metrics (Prometheus exposition format 0.0.4) from values. No state, no I/O.
 * metrics_groups.c has what concerns groups. */
#ifndef TN_NODE_METRICS_H
#define TN_NODE_METRICS_H

#include "base/text.h"
#include "node/api.h"

/* More than all lines together: each metric has a line of help, of type, and few of values. */
#define TN_METRICS_BYTES_MAX (128U << 10)

/* Groups with lines of their own: those with the lowest ids. Sums are over all. */
#define TN_METRICS_GROUPS_MAX 64U

struct tn__metrics_groups {
    uint32_t count;
    uint32_t shown_count;
    uint32_t states[TN_LOG_STATE_STOPPED + 1];
    uint32_t ready;
    uint32_t stalled;
    uint64_t waiting;
    uint64_t calls;
    uint64_t retries;
    uint64_t unknowns;
    struct tn_log_counters counters;
    struct tn_log_status shown[TN_METRICS_GROUPS_MAX];
    uint64_t shown_executed[TN_METRICS_GROUPS_MAX];
};

/* On the loop. */
void tn__metrics_groups_gather(struct tn__metrics_groups *groups, const struct tn_node *node);

struct tn__metrics {
    const struct tn_node_status *status;
    const struct tn__metrics_groups *groups;
    const struct tn__lease_clients_status *clients;
    const struct tn__api_counters *api;
    uint32_t connections;
    uint32_t watchers;
    const char *version;
};

/* Write the text, terminated; returns its length. `size` must be TN_METRICS_BYTES_MAX or more. */
size_t tn__metrics_write(const struct tn__metrics *metrics, char *bytes, size_t size);

/* The part of groups. */
void tn__metrics_groups_write(struct tn__text *text, const struct tn__metrics_groups *groups);

#endif
