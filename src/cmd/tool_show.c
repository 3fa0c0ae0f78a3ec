/* The commands that only look: status, leases, who, watch. */
#include "cmd/tool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/clock.h"

#define URL_BYTES 1024

/* A node has at most 1,024 groups, 1,000 a page; it may open some meanwhile. */
#define GROUP_PAGES_MAX 8

/* A watch is silent for 10 s at most (docs/api.md); after this the node is taken for gone. */
#define SILENCE_NS (25 * TN_SECOND)

static void add_query(char *url, const char *key, const char *value)
{
    if (value != NULL) {
        size_t length = strlen(url);
        snprintf(url + length, URL_BYTES - length, "%c%s=", strchr(url, '?') == NULL ? '?' : '&',
                 key);
        tn__http_encode(url, URL_BYTES, value);
    }
}

static void show_node(const json_t *node)
{
    const json_t *members = json_object_get(node, "members");
    const json_t *tables = json_object_get(node, "tables");
    const json_t *clients = json_object_get(node, "clients");
    const json_t *item;
    size_t i;
    printf("%s of cell %s, tenured %s%s\n", tn__tool_text(node, "name", "?"),
           tn__tool_text(node, "cluster", "?"), tn__tool_text(node, "version", "?"),
           tn__tool_flag(node, "fenced") ? "" : ", diskless: no fencing tokens");
    int64_t silent = tn__tool_number(node, "quarantine_ms", 0);
    if (silent > 0) {
        printf("  does not vote yet: %lld ms more of silence after its start\n", (long long)silent);
    }
    json_array_foreach(members, i, item)
    {
        printf("  member %-16s %-24s %s\n", tn__tool_text(item, "name", "?"),
               tn__tool_text(item, "address", "?"),
               tn__tool_flag(item, "self")        ? "this node"
               : tn__tool_flag(item, "connected") ? "connected"
                                                  : "not connected");
    }
    json_array_foreach(tables, i, item)
    {
        printf("  table  %-16s lease %lld ms, renewed after %lld ms\n",
               tn__tool_text(item, "name", "?"), (long long)tn__tool_number(item, "proposer_ms", 0),
               (long long)tn__tool_number(item, "renew_ms", 0));
    }
    printf("  names  %lld known, %lld owned here; clients: %lld holding, %lld waiting\n",
           (long long)tn__tool_number(node, "names", 0),
           (long long)tn__tool_number(node, "owned", 0),
           (long long)tn__tool_number(clients, "holding", 0),
           (long long)tn__tool_number(clients, "waiting", 0));
}

static void show_group(const json_t *group)
{
    printf("  group  %-6lld %-6s %-18s leader %-12s committed %lld, executed %lld%s\n",
           (long long)tn__tool_number(group, "group", 0), tn__tool_text(group, "mode", "?"),
           tn__tool_text(group, "state", "?"),
           tn__tool_text(json_object_get(group, "leader"), "name", "-"),
           (long long)tn__tool_number(group, "committed", 0),
           (long long)tn__tool_number(group, "executed", 0),
           tn__tool_flag(group, "stalled") ? ", stalled: its machine asks for a retry" : "");
}

/* All pages of a node's groups into `status`. False: the node is gone, or speaks no such thing. */
static bool fetch_groups(const struct tn__tool *tool, struct tn__http *node, json_t *status)
{
    json_t *groups = json_array();
    char url[URL_BYTES] = "/v1/groups?limit=1000";
    bool whole = false;
    for (uint32_t page = 0; page < GROUP_PAGES_MAX && !whole; page++) {
        struct tn__tool_answer answer;
        if (tn__tool_call_node(node, "GET", url, NULL, tn__clock_now() + tool->timeout, &answer) !=
            TN_OK) {
            break;
        }
        json_array_extend(groups, json_object_get(answer.json, "groups"));
        const char *next = tn__tool_text(answer.json, "next", "");
        whole = answer.status == 200 && next[0] == '\0';
        snprintf(url, sizeof(url), "/v1/groups?limit=1000&after=%.20s", next);
        json_decref(answer.json);
    }
    json_object_set_new(status, "groups", groups);
    return whole;
}

static void show_groups(const json_t *node)
{
    const json_t *groups = json_object_get(node, "groups");
    const json_t *group;
    size_t i;
    json_array_foreach(groups, i, group)
    {
        show_group(group);
    }
    if (json_array_size(groups) == 0) {
        printf("  groups none\n");
    }
}

int tn__tool_status(struct tn__tool *tool)
{
    bool groups = tn__cmd_switch(&tool->options, "groups");
    json_t *nodes = json_array();
    uint32_t failures = 0;
    bool late = false;
    for (uint32_t i = 0; i < tool->nodes_count; i++) {
        struct tn__tool_answer answer;
        struct tn__http *node = &tool->nodes[i];
        int result = tn__tool_call_node(node, "GET", "/v1/status", NULL,
                                        tn__clock_now() + tool->timeout, &answer);
        json_t *one = answer.json;
        if (result == TN_OK && groups && !fetch_groups(tool, node, one)) {
            json_decref(one);
            result = TN_ERROR_IO;
        }
        if (result != TN_OK) {
            fprintf(stderr, "tenure: %s\n", node->why);
            one = json_pack("{s:s, s:s}", "error", "unreachable", "message", node->why);
            failures++;
            late = late || result == TN_ERROR_TIMEOUT;
        } else if (!tool->json) {
            show_node(one);
            if (groups) {
                show_groups(one);
            }
        }
        json_object_set_new(one, "endpoint", json_string(node->endpoint));
        json_array_append_new(nodes, one);
    }
    if (tool->json) {
        tn__tool_print(json_pack("{s:O}", "nodes", nodes));
    }
    json_decref(nodes);
    return failures == 0 ? TN_CMD_DONE : late ? TN_TOOL_TIMEOUT : TN_CMD_FAILED;
}

static void show_lease(const json_t *lease)
{
    const json_t *holder = json_object_get(lease, "holder");
    char remaining[32] = "-";
    int64_t milliseconds = tn__tool_number(lease, "remaining_ms", -1);
    if (milliseconds >= 0) {
        tn__cmd_print_duration(remaining, sizeof(remaining),
                               (tn_time)milliseconds * TN_MILLISECOND);
    }
    const char *label = tn__tool_text(holder, "label", "");
    printf("%-32s %-6s %-16s %-20s %-8s %s%s%s\n", tn__tool_text(lease, "name", "?"),
           tn__tool_text(lease, "state", "?"),
           tn__tool_text(json_object_get(lease, "owner"), "name", "-"),
           tn__tool_text(lease, "token_text", "-"), remaining, label,
           holder == NULL   ? ""
           : *label == '\0' ? "a client at "
                            : " at ",
           tn__tool_text(holder, "address", ""));
}

int tn__tool_leases(struct tn__tool *tool)
{
    char after[256] = "";
    json_t *all = json_array();
    int status = TN_CMD_DONE;
    bool more = true;
    if (!tool->json) {
        printf("%-32s %-6s %-16s %-20s %-8s %s\n", "NAME", "STATE", "OWNER", "TOKEN", "LEFT",
               "HOLDER");
    }
    while (more && status == TN_CMD_DONE) {
        struct tn__tool_answer answer;
        char url[URL_BYTES] = "/v1/leases?limit=1000";
        const json_t *lease;
        size_t i;
        add_query(url, "table", tn__cmd_text(&tool->options, "table"));
        add_query(url, "prefix", tn__cmd_text(&tool->options, "prefix"));
        add_query(url, "after", after[0] == '\0' ? NULL : after);
        if (tn__tool_call(tool, "GET", url, NULL, &answer, &status) != TN_OK) {
            break;
        }
        if (answer.status != 200) {
            status = tn__tool_refused(tool, &answer);
            break;
        }
        const json_t *page = json_object_get(answer.json, "leases");
        json_array_foreach(page, i, lease)
        {
            if (!tool->json) {
                show_lease(lease);
            }
        }
        if (tool->json) {
            json_array_extend(all, json_object_get(answer.json, "leases"));
        }
        const char *next = tn__tool_text(answer.json, "next", "");
        more = *next != '\0' && strcmp(next, after) != 0;
        snprintf(after, sizeof(after), "%s", next);
        json_decref(answer.json);
    }
    if (tool->json && status == TN_CMD_DONE) {
        tn__tool_print(json_pack("{s:O}", "leases", all));
    }
    json_decref(all);
    return status;
}

static void show_who(const json_t *lease)
{
    const char *state = tn__tool_text(lease, "state", "?");
    const char *owner = tn__tool_text(json_object_get(lease, "owner"), "name", "?");
    const json_t *holder = json_object_get(lease, "holder");
    if (strcmp(state, "free") == 0) {
        printf("%s is free, as far as this node knows\n", tn__tool_text(lease, "name", "?"));
        return;
    }
    printf("%s is owned by %s%s", tn__tool_text(lease, "name", "?"), owner,
           tn__tool_flag(lease, "certain") ? "" : " (a hint)");
    if (json_object_get(lease, "token_text") != NULL) {
        printf(", token %s", tn__tool_text(lease, "token_text", "-"));
    }
    if (json_object_get(lease, "remaining_ms") != NULL) {
        printf(", for %lld ms more", (long long)tn__tool_number(lease, "remaining_ms", 0));
    }
    if (holder != NULL) {
        const char *label = tn__tool_text(holder, "label", "");
        printf("; held by %s at %s", *label == '\0' ? "a client" : label,
               tn__tool_text(holder, "address", "?"));
    }
    printf("\n");
}

int tn__tool_who(struct tn__tool *tool)
{
    struct tn__tool_answer answer;
    const char *name;
    int status = TN_CMD_DONE;
    char url[URL_BYTES] = "/v1/who";
    if (!tn__tool_name(tool, &name, &status)) {
        return status;
    }
    add_query(url, "name", name);
    add_query(url, "table", tn__cmd_text(&tool->options, "table"));
    if (tn__tool_call(tool, "GET", url, NULL, &answer, &status) != TN_OK) {
        return status;
    }
    if (answer.status != 200) {
        return tn__tool_refused(tool, &answer);
    }
    if (tool->json) {
        tn__tool_print(answer.json);
        return TN_CMD_DONE;
    }
    show_who(answer.json);
    json_decref(answer.json);
    return TN_CMD_DONE;
}

static void show_change(const struct tn__tool *tool, const char *line)
{
    json_t *change = json_loads(line, 0, NULL);
    const char *event = tn__tool_text(change, "event", "");
    if (tool->json) {
        printf("%s\n", line);
    } else if (strcmp(event, "state") == 0) {
        show_who(change);
    } else if (strcmp(event, "alive") != 0 && strcmp(event, "synced") != 0) {
        const char *owner = tn__tool_text(json_object_get(change, "owner"), "name", NULL);
        printf("%-8s %s%s%s", event, tn__tool_text(change, "name", ""), owner == NULL ? "" : " by ",
               owner == NULL ? "" : owner);
        if (json_object_get(change, "token_text") != NULL) {
            printf(", token %s", tn__tool_text(change, "token_text", ""));
        }
        printf("\n");
    }
    fflush(stdout);
    json_decref(change);
}

/* Begin a watch at the first endpoint that answers. */
static struct tn__http *begin_watch(struct tn__tool *tool, const char *url, int *status)
{
    for (uint32_t i = 0; i < tool->nodes_count; i++) {
        struct tn__http *node = &tool->nodes[i];
        struct tn__http_answer head;
        int result = tn__http_begin(node, "GET", url, NULL, tn__clock_now() + tool->timeout, &head);
        if (result == TN_OK && head.status == 200) {
            return node;
        }
        if (result == TN_OK) {
            /* An error answer is short: have it whole, by the ordinary way. */
            struct tn__tool_answer answer;
            tn__http_disconnect(node);
            if (tn__tool_call(tool, "GET", url, NULL, &answer, status) == TN_OK) {
                *status = tn__tool_refused(tool, &answer);
            }
            return NULL;
        }
    }
    *status = tn__tool_fail(tool, TN_CMD_FAILED, "unreachable", tool->nodes[0].why, NULL);
    return NULL;
}

int tn__tool_watch(struct tn__tool *tool)
{
    const struct tn__cmd_options *options = &tool->options;
    const char *name = NULL;
    int status = TN_CMD_DONE;
    char url[URL_BYTES] = "/v1/watch";
    if (options->arguments_count > 0 && !tn__tool_name(tool, &name, &status)) {
        return status;
    }
    add_query(url, "name", name);
    add_query(url, "prefix", tn__cmd_text(options, "prefix"));
    add_query(url, "table", tn__cmd_text(options, "table"));
    tn_time end = tn__cmd_given(options, "duration")
                      ? tn__clock_now() + tn__cmd_duration(options, "duration")
                      : TN_TIME_NEVER;
    struct tn__http *node = begin_watch(tool, url, &status);
    char *line = node == NULL ? NULL : malloc(TN_HTTP_LINE_BYTES_MAX);
    while (line != NULL) {
        tn_time silence = tn__clock_now() + SILENCE_NS;
        int result =
            tn__http_line(node, line, TN_HTTP_LINE_BYTES_MAX, end < silence ? end : silence);
        if (result == TN_ERROR_TIMEOUT && tn__clock_now() >= end) {
            break;
        }
        if (result != TN_OK) {
            status = tn__tool_fail(
                tool, TN_CMD_FAILED, "ended",
                result == TN_ERROR_NOT_FOUND ? "the node ended the watch" : node->why, NULL);
            break;
        }
        show_change(tool, line);
    }
    free(line);
    if (status == TN_CMD_DONE && tool->json) {
        tn__tool_print(json_pack("{s:s}", "event", "end"));
    }
    return status;
}
