/* Metrics: see metrics.h. Names are tenure_<part>_<what>[_<unit>][_total]; spans are in seconds.
 * Every counter table of the project is one metric a line, so that a new counter is shown by
 * itself. */
#define _GNU_SOURCE
#include "node/metrics.h"

#include "base/assert.h"
#include "base/text.h"

static void head(struct tn__text *text, const char *name, const char *type, const char *help)
{
    tn__text_add(text, "# HELP %s %s.\n# TYPE %s %s\n", name, help, name, type);
}

static void value(struct tn__text *text, const char *name, const char *type, const char *help,
                  uint64_t number)
{
    head(text, name, type, help);
    tn__text_add(text, "%s %llu\n", name, (unsigned long long)number);
}

/* A span, as seconds with all their digits. */
static void seconds(struct tn__text *text, const char *name, const char *help, tn_time span)
{
    head(text, name, "gauge", help);
    tn__text_add(text, "%s %llu.%09llu\n", name, (unsigned long long)(span / TN_SECOND),
                 (unsigned long long)(span % TN_SECOND));
}

/* A label's value: backslash and quote are escaped, and a line end cannot be in a name. */
static void label(struct tn__text *text, const char *of)
{
    for (const char *c = of; *c != '\0'; c++) {
        if (*c == '\\' || *c == '"') {
            tn__text_add(text, "\\%c", *c);
        } else if (*c == '\n') {
            tn__text_add(text, "\\n");
        } else {
            tn__text_add(text, "%c", *c);
        }
    }
}

static void write_build(struct tn__text *text, const struct tn__metrics *metrics)
{
    head(text, "tenure_build_info", "gauge", "always 1; the labels say what runs");
    tn__text_add(text, "tenure_build_info{version=\"");
    label(text, metrics->version);
    tn__text_add(text, "\",cluster=\"");
    label(text, metrics->status->cluster);
    tn__text_add(text, "\",name=\"");
    label(text, metrics->status->name);
    tn__text_add(text, "\",node=\"%u\"} 1\n", (unsigned)metrics->status->id);
}

static void write_node(struct tn__text *text, const struct tn_node_status *status)
{
    const struct tn_lease_status *lease = &status->lease;
    tn_time quarantine =
        lease->quarantine_end > status->now ? lease->quarantine_end - status->now : 0;
    value(text, "tenure_names", "gauge", "names alive in all tables", lease->names_count);
    value(text, "tenure_owned", "gauge", "leases held by this node", lease->owned_count);
    seconds(text, "tenure_quarantine_seconds", "until this node votes (A4)", quarantine);
    seconds(text, "tenure_up_seconds", "since this node was opened", status->up_ns);
    value(text, "tenure_ceiling", "gauge", "the durable ceiling of ballot counters (F1)",
          lease->ceiling);
    value(text, "tenure_ceiling_failed", "gauge", "1 while the ceiling cannot be raised (F4)",
          lease->ceiling_failed);
    value(text, "tenure_ballot_counter", "gauge", "the highest ballot counter seen",
          lease->counter);
    value(text, "tenure_configuration", "gauge", "the version of the membership (F3)",
          lease->configuration);
    value(text, "tenure_fenced", "gauge", "1 if fencing tokens are offered",
          status->diskless ? 0 : 1);
    value(text, "tenure_members", "gauge", "members of the cell", status->members_count);
    value(text, "tenure_members_connected", "gauge", "members connected, this node included",
          status->connected_count);
    head(text, "tenure_member_connected", "gauge", "1 if that member is connected");
    for (uint32_t i = 0; i < status->members_count; i++) {
        const struct tn_node_member_status *member = &status->members[i];
        bool connected = member->state == TN_MEMBER_SELF || member->state == TN_MEMBER_CONNECTED;
        tn__text_add(text, "tenure_member_connected{node=\"%u\",name=\"", (unsigned)member->id);
        label(text, member->name);
        tn__text_add(text, "\"} %d\n", connected);
    }
}

static void write_counters(struct tn__text *text, const struct tn__metrics *metrics)
{
    const struct tn_lease_counters *lease = &metrics->status->lease_counters;
    const struct tn_node_counters *node = &metrics->status->counters;
#define WRITE_LEASE(name, sentence)                                                                \
    value(text, "tenure_lease_" #name "_total", "counter", sentence, lease->name);
    TN_LEASE_COUNTER_TABLE(WRITE_LEASE)
#undef WRITE_LEASE
#define WRITE_NODE(name, sentence)                                                                 \
    value(text, "tenure_node_" #name "_total", "counter", sentence, node->name);
    TN_NODE_COUNTER_TABLE(WRITE_NODE)
#undef WRITE_NODE
}

static void write_clients(struct tn__text *text, const struct tn__metrics *metrics)
{
    const struct tn__lease_clients_status *clients = metrics->clients;
    const struct tn__api_counters *api = metrics->api;
    value(text, "tenure_client_connections", "gauge", "client connections", metrics->connections);
    value(text, "tenure_client_watchers", "gauge", "clients that watch", metrics->watchers);
    value(text, "tenure_clients_holding", "gauge", "clients that hold a name", clients->holding);
    value(text, "tenure_clients_waiting", "gauge", "clients that wait for a name",
          clients->waiting);
    value(text, "tenure_clients_names", "gauge", "names held or awaited by clients",
          clients->names);
#define WRITE_CLIENTS(name, sentence)                                                              \
    value(text, "tenure_clients_" #name "_total", "counter", sentence, clients->name);
    TN__LEASE_CLIENTS_COUNTER_TABLE(WRITE_CLIENTS)
#undef WRITE_CLIENTS
#define WRITE_API(name, sentence)                                                                  \
    value(text, "tenure_api_" #name "_total", "counter", sentence, api->name);
    TN_API_COUNTER_TABLE(WRITE_API)
#undef WRITE_API
    head(text, "tenure_api_errors_total", "counter", "errors answered to clients, by name");
    for (uint32_t i = 0; i < TN_API_ERRORS_END; i++) {
        tn__text_add(text, "tenure_api_errors_total{error=\"%s\"} %llu\n", tn__api_errors[i].name,
                     (unsigned long long)api->errors[i]);
    }
}

size_t tn__metrics_write(const struct tn__metrics *metrics, char *bytes, size_t size)
{
    tn_assert(size >= TN_METRICS_BYTES_MAX);
    struct tn__text text;
    tn__text_init(&text, bytes, size);
    write_build(&text, metrics);
    write_node(&text, metrics->status);
    write_counters(&text, metrics);
    write_clients(&text, metrics);
    tn__metrics_groups_write(&text, metrics->groups);
    tn_assert(!text.cut);
    return text.length;
}
