/* What a node knows, told to other threads: who holds a name, how the members are. */
#define _GNU_SOURCE
#include "node/node_internal.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "os/clock.h"

struct who_call {
    uint32_t table;
    uint32_t name_bytes;
    const char *name;
    struct tn_lease_view *view;
};

static int who_on_loop(struct tn_node *node, void *argument)
{
    const struct who_call *call = argument;
    return tn_lease_who(node->lease, call->table, call->name, call->name_bytes, tn__clock_now(),
                        call->view);
}

int tn_node_who(struct tn_node *node, const char *table, const char *name,
                struct tn_lease_view *view)
{
    memset(view, 0, sizeof(*view));
    if (table == NULL || name == NULL) {
        return TN_ERROR_INVALID;
    }
    int32_t index = tn__node_config_table(&node->config, table);
    if (index < 0) {
        return TN_ERROR_NOT_FOUND;
    }
    size_t name_bytes = strnlen(name, TN_NAME_BYTES_MAX + 1);
    if (name_bytes < 1 || name_bytes > TN_NAME_BYTES_MAX) {
        return TN_ERROR_INVALID;
    }
    struct who_call call = {
        .table = (uint32_t)index,
        .name_bytes = (uint32_t)name_bytes,
        .name = name,
        .view = view,
    };
    return tn__node_call(node, who_on_loop, &call, false);
}

static int status_on_loop(struct tn_node *node, void *argument)
{
    struct tn_node_status *status = argument;
    const struct tn__node_config *config = &node->config;
    memset(status, 0, sizeof(*status));
    snprintf(status->name, sizeof(status->name), "%s", config->name);
    snprintf(status->cluster, sizeof(status->cluster), "%s", config->cluster);
    status->id = config->ids[config->self];
    status->diskless = config->diskless ? 1 : 0;
    status->members_count = config->members_count;
    status->tables_count = config->lease.tables_count;
    status->now = tn__clock_now();
    status->up_ns = status->now - node->opened_at;
    status->drift_ppm = config->lease.drift_ppm;
    status->leases_count = node->leases.count;
    tn_lease_status(node->lease, status->now, &status->lease);
    tn_lease_counters(node->lease, &status->lease_counters);
    status->counters = node->counters;
    for (uint32_t i = 0; i < config->members_count; i++) {
        tn__peers_status(node->peers, i, &status->members[i]);
        bool here = i == config->self;
        if (here && tn__peers_port(node->peers) != 0 && config->members[i].address_text[0] == 0) {
            snprintf(status->members[i].address, sizeof(status->members[i].address), "%s",
                     config->listen_peer);
        }
        status->connected_count += here || status->members[i].state == TN_MEMBER_CONNECTED;
    }
    for (uint32_t i = 0; i < status->tables_count; i++) {
        memcpy(status->tables[i].name, config->table_names[i], sizeof(status->tables[i].name));
        status->tables[i].options = config->lease.tables[i];
    }
    return 0;
}

int tn_node_status(struct tn_node *node, struct tn_node_status *status)
{
    return tn__node_call(node, status_on_loop, status, false);
}
