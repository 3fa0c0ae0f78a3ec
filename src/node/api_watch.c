/* Watching: the present state first, then changes, one line each.
 *
 * The present state is told as fast as the watcher reads: some names at a time, no more while
 * WATCH_UNSENT_MAX bytes wait. Changes are told as they come, during that too; a watcher that
 * cannot keep up with them is cut off by its connection's bound. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "node/api.h"

#define WATCH_UNSENT_MAX (64U << 10)
#define WATCH_NAMES_AT_ONCE 256U

static bool matches(const struct tn__api_watch *watch, uint8_t table, const char *name,
                    uint8_t name_bytes)
{
    if (watch->one_table && watch->table != table) {
        return false;
    }
    bool fits = watch->prefix ? name_bytes >= watch->name_bytes : name_bytes == watch->name_bytes;
    return watch->name_bytes == 0 || (fits && memcmp(watch->name, name, watch->name_bytes) == 0);
}

/* ---- The present state ------------------------------------------------------------------- */

static void tell_state(struct tn__connection *connection, const struct tn_lease_view *view,
                       tn_time now)
{
    json_t *line = tn__api_json_view(connection->api, view, now);
    json_object_set_new(line, "event", json_string("state"));
    tn__api_line(connection, line);
}

/* The single name that is watched is shown even when nothing is known of it. */
static void tell_one(struct tn__connection *connection, tn_time now)
{
    const struct tn__api_watch *watch = &connection->watch;
    const struct tn_node *node = connection->api->node;
    uint32_t begin = watch->one_table ? watch->table : 0;
    uint32_t end = watch->one_table ? begin + 1 : node->config.lease.tables_count;
    for (uint32_t table = begin; table < end; table++) {
        struct tn_lease_view view;
        int error = tn_lease_who(node->lease, table, watch->name, watch->name_bytes, now, &view);
        if (error == 0 || watch->one_table) {
            view.table = (uint8_t)table;
            view.name_bytes = watch->name_bytes;
            memcpy(view.name, watch->name, watch->name_bytes);
            tell_state(connection, &view, now);
        }
    }
}

/* Some more names; true when all have been told. */
static bool tell_some(struct tn__connection *connection, tn_time now)
{
    struct tn__api_watch *watch = &connection->watch;
    const struct tn_node *node = connection->api->node;
    if (watch->name_bytes != 0 && !watch->prefix) {
        tell_one(connection, now);
        return true;
    }
    uint32_t tables = node->config.lease.tables_count;
    for (uint32_t i = 0; i < WATCH_NAMES_AT_ONCE; i++) {
        bool skipped = watch->one_table && watch->at_table != watch->table;
        struct tn_lease_view view;
        if (skipped || !tn_lease_next(node->lease, watch->at_table, &watch->cursor, now, &view)) {
            watch->cursor = 0;
            if (++watch->at_table >= tables) {
                return true;
            }
        } else if (matches(watch, view.table, view.name, view.name_bytes)) {
            tell_state(connection, &view, now);
        }
    }
    return false;
}

void tn__api_watch_continue(struct tn__api *api, tn_time now)
{
    api->retry_at = TN_TIME_NEVER;
    for (struct tn__connection *watcher = api->watchers; watcher != NULL;
         watcher = watcher->next_watcher) {
        if (watcher->watch.synced) {
            continue;
        }
        if (tn__stream_unsent(watcher->stream) > WATCH_UNSENT_MAX) {
            tn_time retry = now + TN_API_RETRY_NS;
            api->retry_at = retry < api->retry_at ? retry : api->retry_at;
        } else if (tell_some(watcher, now)) {
            watcher->watch.synced = true;
            tn__api_line(watcher, json_pack("{s:s}", "event", "synced"));
        } else {
            api->retry_at = now; /* the next turn goes on */
        }
    }
}

/* ---- Changes ----------------------------------------------------------------------------- */

static const char *change_name(uint8_t kind)
{
    switch ((enum tn_notice_kind)kind) {
    case TN_NOTICE_OPENED:
        return "opened";
    case TN_NOTICE_RENEWED:
        return "renewed";
    case TN_NOTICE_REOPENED:
        return "reopened";
    case TN_NOTICE_LOST:
        return "lost";
    case TN_NOTICE_RELEASED:
        return "released";
    case TN_NOTICE_LEARNED:
        return "learned";
    case TN_NOTICE_FREED:
        return "freed";
    default:
        return NULL;
    }
}

static bool is_ours(uint8_t kind)
{
    return kind != TN_NOTICE_LEARNED && kind != TN_NOTICE_FREED;
}

static char *line_of(const struct tn__api *api, const struct tn_notice *notice, const char *event)
{
    const struct tn__node_config *config = &api->node->config;
    tn_node_id owner = is_ours(notice->kind) ? config->ids[config->self] : notice->node;
    json_t *line = json_object();
    json_object_set_new(line, "event", json_string(event));
    json_object_set_new(line, "name", tn__api_json_bytes(notice->name, notice->name_bytes));
    json_object_set_new(line, "table", json_string(config->table_names[notice->table]));
    json_object_set_new(line, "owner", tn__api_json_owner(api, owner));
    if (notice->kind == TN_NOTICE_RELEASED && notice->node != 0) {
        json_object_set_new(line, "successor", tn__api_json_owner(api, notice->node));
    }
    if (notice->token != 0) {
        tn__api_json_token(line, notice->token);
    }
    if (notice->remaining != 0) {
        json_object_set_new(line, "remaining_ms", tn__api_json_milliseconds(notice->remaining));
    }
    char *text = json_dumps(line, JSON_ENSURE_ASCII);
    json_decref(line);
    return text;
}

void tn__api_watch_notice(struct tn__api *api, const struct tn_notice *notice)
{
    const char *event = change_name(notice->kind);
    if (event == NULL) {
        return;
    }
    char *text = NULL;
    size_t length = 0;
    for (struct tn__connection *watcher = api->watchers; watcher != NULL;
         watcher = watcher->next_watcher) {
        if (!matches(&watcher->watch, notice->table, notice->name, notice->name_bytes)) {
            continue;
        }
        if (text == NULL) {
            text = line_of(api, notice, event);
            if (text == NULL) {
                tn__stream_cut(watcher->stream, TN_ERROR_NO_MEMORY, "no memory for a line");
                continue;
            }
            length = strlen(text);
            text[length++] = '\n';
        }
        tn__api_line_text(watcher, text, length);
    }
    free(text);
}

/* ---- Begin and end ----------------------------------------------------------------------- */

void tn__api_watch(struct tn__api_call *call)
{
    struct tn__connection *connection = call->connection;
    struct tn__api_watch watch = {0};
    char name[TN_NAME_BYTES_MAX + 1];
    char prefix[TN_NAME_BYTES_MAX + 1];
    size_t name_bytes;
    size_t prefix_bytes;
    if (!tn__api_take_text(call, "name", name, sizeof(name), &name_bytes, false) ||
        !tn__api_take_text(call, "prefix", prefix, sizeof(prefix), &prefix_bytes, false) ||
        !tn__api_take_table(call, &watch.table, &watch.one_table)) {
        return;
    }
    if (name_bytes != 0 && prefix_bytes != 0) {
        tn__api_fail(connection, TN_API_ERROR_BAD_REQUEST, NULL,
                     "give \"name\" or \"prefix\", not both");
        return;
    }
    if (call->api->watchers_count >= TN_API_WATCHERS_MAX) {
        tn__api_fail(connection, TN_API_ERROR_BUSY, NULL, "%u clients watch already: at most",
                     TN_API_WATCHERS_MAX);
        return;
    }
    watch.prefix = prefix_bytes != 0;
    watch.name_bytes = (uint8_t)(watch.prefix ? prefix_bytes : name_bytes);
    memcpy(watch.name, watch.prefix ? prefix : name, watch.name_bytes);
    connection->watch = watch;
    connection->state = TN_API_WATCHING;
    connection->next_watcher = call->api->watchers;
    call->api->watchers = connection;
    call->api->watchers_count++;
    tn__api_stream_begin(connection);
    call->api->retry_at = call->now;
}

void tn__api_watch_gone(struct tn__connection *connection)
{
    struct tn__api *api = connection->api;
    struct tn__connection **link = &api->watchers;
    while (*link != connection) {
        tn_assert(*link != NULL);
        link = &(*link)->next_watcher;
    }
    *link = connection->next_watcher;
    api->watchers_count--;
}
