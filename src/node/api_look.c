/* Looking: who, leases, status, health, metrics. Nothing here changes anything. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tenure/version.h>

#include "base/assert.h"
#include "node/api.h"
#include "node/metrics.h"

/* ---- Names ------------------------------------------------------------------------------- */

static json_t *holder_of(const struct tn__lease_clients_view *clients, tn_time now)
{
    json_t *holder = json_object();
    json_object_set_new(holder, "label", tn__api_json_bytes(clients->label, clients->label_bytes));
    json_object_set_new(holder, "address",
                        tn__api_json_bytes(clients->address, clients->address_bytes));
    json_object_set_new(holder, "since_ms",
                        tn__api_json_milliseconds(now > clients->since ? now - clients->since : 0));
    json_object_set_new(holder, "remaining_ms", tn__api_json_milliseconds(clients->remaining));
    return holder;
}

json_t *tn__api_json_view(const struct tn__api *api, const struct tn_lease_view *view, tn_time now)
{
    const struct tn__node_config *config = &api->node->config;
    bool known = view->owned || view->node != 0;
    json_t *shown = json_object();
    json_object_set_new(shown, "name", tn__api_json_bytes(view->name, view->name_bytes));
    json_object_set_new(shown, "table", json_string(config->table_names[view->table]));
    json_object_set_new(shown, "state",
                        json_string(view->owned ? "owned"
                                    : known     ? "held"
                                                : "free"));
    json_object_set_new(shown, "certain", json_boolean(view->certain));
    if (known) { /* L1: unless it is this node, a hint */
        tn_node_id owner = view->owned ? config->ids[config->self] : view->node;
        json_object_set_new(shown, "owner", tn__api_json_owner(api, owner));
        json_object_set_new(shown, "remaining_ms", tn__api_json_milliseconds(view->remaining));
        if (view->token != 0) {
            tn__api_json_token(shown, view->token);
        }
    }
    struct tn__lease_clients_view clients;
    tn__lease_clients_who(api->clients, view->table, view->name, view->name_bytes, now, &clients);
    if (clients.held) {
        json_object_set_new(shown, "holder", holder_of(&clients, now));
    }
    json_object_set_new(shown, "waiting", json_integer(clients.waiting));
    return shown;
}

void tn__api_who(struct tn__api_call *call)
{
    struct tn__api_name name;
    if (!tn__api_take_name(call, &name)) {
        return;
    }
    struct tn_lease_view view;
    (void)tn_lease_who(call->api->node->lease, name.table, name.text, name.bytes, call->now, &view);
    view.table = name.table;
    view.name_bytes = name.bytes;
    memcpy(view.name, name.text, name.bytes);
    tn__api_answer(call->connection, 200, tn__api_json_view(call->api, &view, call->now));
}

void tn__api_leases(struct tn__api_call *call)
{
    uint8_t table;
    bool given;
    uint64_t cursor = 0;
    uint64_t limit = TN_API_LEASES_DEFAULT;
    char prefix[TN_NAME_BYTES_MAX + 1];
    size_t prefix_bytes;
    if (!tn__api_take_table(call, &table, &given) ||
        !tn__api_take_number(call, "after", 0, UINT32_MAX, &cursor) ||
        !tn__api_take_number(call, "limit", 1, TN_API_LEASES_MAX, &limit) ||
        !tn__api_take_text(call, "prefix", prefix, sizeof(prefix), &prefix_bytes, false)) {
        return;
    }
    const struct tn_lease *lease = call->api->node->lease;
    json_t *leases = json_array();
    uint32_t at = (uint32_t)cursor;
    bool more = true;
    struct tn_lease_view view;
    for (uint32_t i = 0; i < TN_API_LEASES_LOOKED_MAX && json_array_size(leases) < limit; i++) {
        more = tn_lease_next(lease, table, &at, call->now, &view);
        if (!more) {
            break;
        }
        if (view.name_bytes >= prefix_bytes && memcmp(view.name, prefix, prefix_bytes) == 0) {
            json_array_append_new(leases, tn__api_json_view(call->api, &view, call->now));
        }
    }
    json_t *body = json_object();
    json_object_set_new(body, "table", json_string(call->api->node->config.table_names[table]));
    json_object_set_new(body, "leases", leases);
    if (more) {
        json_object_set_new(body, "next", json_sprintf("%lu", (unsigned long)at));
    }
    tn__api_answer(call->connection, 200, body);
}

/* ---- The node ---------------------------------------------------------------------------- */

static json_t *members_of(const struct tn_node_status *status)
{
    static const char *const states[] = {
        [TN_MEMBER_SELF] = "self",
        [TN_MEMBER_CONNECTED] = "connected",
        [TN_MEMBER_CONNECTING] = "connecting",
        [TN_MEMBER_WAITING] = "waiting",
        [TN_MEMBER_REFUSED] = "refused",
    };
    json_t *members = json_array();
    for (uint32_t i = 0; i < status->members_count; i++) {
        const struct tn_node_member_status *from = &status->members[i];
        bool self = from->state == TN_MEMBER_SELF;
        json_t *member = json_object();
        json_object_set_new(member, "node", json_integer(from->id));
        json_object_set_new(member, "name", json_string(from->name));
        json_object_set_new(member, "address", json_string(from->address));
        json_object_set_new(member, "self", json_boolean(self));
        json_object_set_new(member, "connected",
                            json_boolean(self || from->state == TN_MEMBER_CONNECTED));
        tn_assert(from->state >= TN_MEMBER_SELF && from->state <= TN_MEMBER_REFUSED);
        json_object_set_new(member, "state", json_string(states[from->state]));
        if (from->client_url[0] != '\0') {
            json_object_set_new(member, "url",
                                tn__api_json_bytes(from->client_url, strlen(from->client_url)));
        }
        if (from->why[0] != '\0') {
            json_object_set_new(member, "why", tn__api_json_bytes(from->why, strlen(from->why)));
        }
        json_array_append_new(members, member);
    }
    return members;
}

static json_t *tables_of(const struct tn_node_status *status)
{
    json_t *tables = json_array();
    for (uint32_t i = 0; i < status->tables_count; i++) {
        const struct tn_lease_table_options *options = &status->tables[i].options;
        json_t *table = json_object();
        json_object_set_new(table, "name", json_string(status->tables[i].name));
        json_object_set_new(table, "proposer_ms", tn__api_json_milliseconds(options->proposer_ns));
        json_object_set_new(table, "acceptor_ms", tn__api_json_milliseconds(options->acceptor_ns));
        json_object_set_new(table, "quarantine_ms",
                            tn__api_json_milliseconds(options->quarantine_ns));
        json_object_set_new(table, "renew_ms", tn__api_json_milliseconds(options->renew_ns));
        json_object_set_new(table, "names_max", json_integer(options->names_max));
        json_array_append_new(tables, table);
    }
    return tables;
}

static json_t *clients_of(const struct tn__api *api)
{
    struct tn__lease_clients_status clients;
    tn__lease_clients_status(api->clients, &clients);
    json_t *shown = json_object();
    json_object_set_new(shown, "connections", json_integer(api->connections_count));
    json_object_set_new(shown, "holding", json_integer(clients.holding));
    json_object_set_new(shown, "waiting", json_integer(clients.waiting));
    json_object_set_new(shown, "watchers", json_integer(api->watchers_count));
    return shown;
}

static tn_time quarantine_of(const struct tn_node_status *status)
{
    tn_time end = status->lease.quarantine_end;
    return end > status->now ? end - status->now : 0;
}

static void fill_status(const struct tn__api *api, const struct tn_node_status *status,
                        json_t *body)
{
    char word[17];
    snprintf(word, sizeof(word), "%016llx", (unsigned long long)status->lease.restart_word);
    json_object_set_new(body, "version", json_string(tn_version()));
    json_object_set_new(body, "node", json_integer(status->id));
    json_object_set_new(body, "name", json_string(status->name));
    json_object_set_new(body, "cluster",
                        tn__api_json_bytes(status->cluster, strlen(status->cluster)));
    json_object_set_new(body, "fenced", json_boolean(!status->diskless));
    json_object_set_new(body, "configuration", json_integer(status->lease.configuration));
    json_object_set_new(body, "restart_word", json_string(word));
    json_object_set_new(body, "ceiling",
                        json_integer((json_int_t)(status->lease.ceiling & INT64_MAX)));
    json_object_set_new(body, "ceiling_failed", json_boolean(status->lease.ceiling_failed));
    json_object_set_new(body, "quarantine_ms", tn__api_json_milliseconds(quarantine_of(status)));
    json_object_set_new(body, "drift_ppm", json_integer(status->drift_ppm));
    json_object_set_new(body, "up_ms", tn__api_json_milliseconds(status->up_ns));
    json_object_set_new(body, "members", members_of(status));
    json_object_set_new(body, "tables", tables_of(status));
    json_object_set_new(body, "names", json_integer(status->lease.names_count));
    json_object_set_new(body, "owned", json_integer(status->lease.owned_count));
    json_object_set_new(body, "clients", clients_of(api));
}

/* The node's status, too large for the stack; NULL: no memory, answered so. */
static struct tn_node_status *take_status(struct tn__api_call *call)
{
    struct tn_node_status *status = malloc(sizeof(*status));
    int error = status != NULL ? tn_node_status(call->api->node, status) : TN_ERROR_NO_MEMORY;
    if (error != 0) {
        free(status);
        tn__api_fail(call->connection, TN_API_ERROR_BUSY, NULL, "%s", tn_strerror(error));
        return NULL;
    }
    return status;
}

void tn__api_status(struct tn__api_call *call)
{
    struct tn_node_status *status = take_status(call);
    if (status != NULL) {
        json_t *body = json_object();
        fill_status(call->api, status, body);
        free(status);
        tn__api_answer(call->connection, 200, body);
    }
}

/* Why the node is of no use just now; NULL: it is well. */
static const char *ailment_of(const struct tn_node_status *status)
{
    if (status->connected_count <= status->members_count / 2) {
        return "a majority of the members is not connected";
    }
    if (quarantine_of(status) != 0) {
        return "it has started lately and does not vote yet (quarantine)";
    }
    if (status->lease.ceiling_failed != 0) {
        return "the ceiling cannot be made durable: see the disk of the data directory";
    }
    return NULL;
}

void tn__api_health(struct tn__api_call *call)
{
    struct tn_node_status *status = take_status(call);
    if (status == NULL) {
        return;
    }
    const char *ailment = ailment_of(status);
    free(status);
    if (ailment == NULL) {
        tn__api_answer(call->connection, 200, json_pack("{s:b}", "healthy", 1));
    } else {
        tn__api_answer(call->connection, 503,
                       json_pack("{s:b,s:s}", "healthy", 0, "reason", ailment));
    }
}

void tn__api_metrics(struct tn__api_call *call)
{
    struct tn_node_status *status = take_status(call);
    if (status == NULL) {
        return;
    }
    struct tn__lease_clients_status clients;
    tn__lease_clients_status(call->api->clients, &clients);
    struct tn__metrics_groups groups;
    tn__metrics_groups_gather(&groups, call->api->node);
    struct tn__metrics metrics = {
        .status = status,
        .groups = &groups,
        .clients = &clients,
        .api = &call->api->counters,
        .connections = call->api->connections_count,
        .watchers = call->api->watchers_count,
        .version = tn_version(),
    };
    char *text = malloc(TN_METRICS_BYTES_MAX);
    size_t length = text != NULL ? tn__metrics_write(&metrics, text, TN_METRICS_BYTES_MAX) : 0;
    if (text != NULL) {
        tn__api_answer_text(call->connection, 200, "text/plain; version=0.0.4; charset=utf-8", text,
                            length);
    } else {
        tn__api_fail(call->connection, TN_API_ERROR_BUSY, NULL, "%s",
                     tn_strerror(TN_ERROR_NO_MEMORY));
    }
    free(text);
    free(status);
}
