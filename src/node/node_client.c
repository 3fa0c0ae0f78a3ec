/* Connections of the client port: see api.h for their states and bounds. */
#define _GNU_SOURCE
#include "node/node_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "node/api.h"
#include "os/clock.h"
#include "os/entropy.h"

/* ---- Ends -------------------------------------------------------------------------------- */

static void forget(struct tn__connection *connection)
{
    struct tn__api *api = connection->api;
    tn_assert(api->connections[connection->slot] == connection);
    api->connections[connection->slot] = NULL;
    api->free_slots[api->free_slots_count++] = connection->slot;
    api->connections_count--;
    connection->stream = NULL;
    if (connection->state == TN_API_WATCHING) {
        tn__api_watch_gone(connection);
    }
    connection->state = TN_API_CLOSED;
    connection->next_dead = api->dead;
    api->dead = connection;
    tn__api_hold_gone(connection); /* the last: it may grant the name to another connection */
}

void tn__api_close(struct tn__connection *connection)
{
    if (connection->stream != NULL) {
        tn__stream_finish(connection->stream, TN_API_LINGER_MS);
        forget(connection);
    }
}

static void on_close(void *owner, int error, const char *why)
{
    struct tn__connection *connection = owner;
    (void)why;
    tn__node_turn_begin(connection->api->node);
    connection->api->counters.cut += error != TN_ERROR_CLOSED;
    forget(connection);
}

static void bury(struct tn__api *api)
{
    while (api->dead != NULL) {
        struct tn__connection *connection = api->dead;
        api->dead = connection->next_dead;
        free(connection->body);
        free(connection->pending);
        free(connection);
    }
}

/* ---- Output ------------------------------------------------------------------------------ */

static void append(struct tn__connection *connection, const void *bytes, size_t length)
{
    if (connection->stream == NULL) {
        return;
    }
    tn__stream_write(connection->stream, bytes, length);
    if (!connection->dirty) {
        connection->dirty = true;
        connection->next_dirty = connection->api->dirty;
        connection->api->dirty = connection;
    }
}

/* The request is answered: go on with the next, or end. */
static void request_over(struct tn__connection *connection)
{
    bool goes_on = connection->request.keep_alive && !connection->api->stopping;
    if (connection->stream == NULL) {
        return;
    }
    if (!goes_on) {
        tn__api_close(connection);
        return;
    }
    free(connection->body);
    connection->body = NULL;
    tn__http_request_next(&connection->request);
    connection->state = TN_API_READING;
    connection->at = tn__clock_now();
    if (!connection->consuming && connection->pending_length > 0) {
        connection->resume = true;
        connection->api->resumes = true;
    }
}

void tn__api_answer_text(struct tn__connection *connection, uint16_t status, const char *type,
                         const char *text, size_t length)
{
    struct tn__http_request *request = &connection->request;
    struct tn__http_response response = {
        .status = status,
        .keep_alive = request->keep_alive && !connection->api->stopping,
        .minor = request->minor,
        .type = type,
        .allow = status == 405 ? connection->allow : NULL,
        .body_length = length,
    };
    char head[TN__HTTP_RESPONSE_HEAD_BYTES_MAX];
    append(connection, head, tn__http_response_head(&response, head, sizeof(head)));
    if (request->method != TN__HTTP_HEAD) {
        append(connection, text, length);
    }
    if (request->state == TN__HTTP_STATE_FAILED) {
        tn__api_close(connection);
    } else {
        request_over(connection);
    }
}

/* The object as one line; NULL: no memory. The caller frees it. */
static char *dump(json_t *object, size_t *length)
{
    char *text = object != NULL ? json_dumps(object, JSON_ENSURE_ASCII) : NULL;
    json_decref(object);
    *length = text != NULL ? strlen(text) : 0;
    if (text != NULL) {
        text[(*length)++] = '\n'; /* over the terminator: the length is what counts */
    }
    return text;
}

void tn__api_answer(struct tn__connection *connection, uint16_t status, json_t *body)
{
    static const char no_memory[] = "{\"error\": \"busy\", \"message\": \"out of memory\"}\n";
    size_t length;
    char *text = dump(body, &length);
    if (text != NULL) {
        tn__api_answer_text(connection, status, "application/json", text, length);
    } else {
        tn__api_answer_text(connection, 503, "application/json", no_memory, sizeof(no_memory) - 1);
    }
    free(text);
}

void tn__api_stream_begin(struct tn__connection *connection)
{
    struct tn__http_response response = {
        .status = 200,
        .keep_alive = connection->request.keep_alive,
        .streamed = true,
        .minor = connection->request.minor,
        .type = "application/json",
    };
    char head[TN__HTTP_RESPONSE_HEAD_BYTES_MAX];
    append(connection, head, tn__http_response_head(&response, head, sizeof(head)));
    connection->line_at = tn__clock_now();
}

void tn__api_line_text(struct tn__connection *connection, const char *text, size_t length)
{
    tn_assert(length > 0);
    char begin[TN__HTTP_CHUNK_BYTES_EXTRA];
    bool chunked = connection->request.minor > 0;
    if (chunked) {
        append(connection, begin, tn__http_chunk_begin(length, begin, sizeof(begin)));
    }
    append(connection, text, length);
    if (chunked) {
        append(connection, "\r\n", 2);
    }
    connection->line_at = tn__clock_now();
    connection->api->counters.lines++;
}

void tn__api_line(struct tn__connection *connection, json_t *line)
{
    size_t length;
    char *text = dump(line, &length);
    if (text != NULL) {
        tn__api_line_text(connection, text, length);
    } else if (connection->stream != NULL) {
        tn__stream_cut(connection->stream, TN_ERROR_NO_MEMORY, "no memory for a line");
    }
    free(text);
}

void tn__api_stream_end(struct tn__connection *connection)
{
    connection->holding = 0;
    if (connection->request.minor == 0) {
        tn__api_close(connection);
        return;
    }
    append(connection, TN__HTTP_CHUNK_LAST, strlen(TN__HTTP_CHUNK_LAST));
    request_over(connection);
}

/* ---- Input ------------------------------------------------------------------------------- */

/* The head is whole: memory for the body, and a word to a client that waits for one. */
static bool prepare_body(struct tn__connection *connection)
{
    struct tn__http_request *request = &connection->request;
    if (request->body_bytes_max == 0 || connection->body != NULL) {
        return true;
    }
    connection->body = malloc(request->body_bytes_max);
    if (connection->body == NULL) {
        tn__stream_cut(connection->stream, TN_ERROR_NO_MEMORY, "no memory for a request");
        return false;
    }
    tn__http_request_give_body(request, connection->body, request->body_bytes_max);
    if (request->expects_continue) {
        append(connection, TN__HTTP_CONTINUE, strlen(TN__HTTP_CONTINUE));
    }
    return true;
}

/* Take bytes while requests are being read; returns how many. */
static size_t consume(struct tn__connection *connection, const char *bytes, size_t length)
{
    struct tn__http_request *request = &connection->request;
    size_t used = 0;
    connection->consuming = true;
    while (used < length && connection->state == TN_API_READING) {
        if (!request->begun) {
            connection->at = tn__clock_now();
        }
        used += tn__http_request_feed(request, bytes + used, length - used);
        if (request->state == TN__HTTP_STATE_BODY) {
            if (!prepare_body(connection)) {
                used = length;
                break;
            }
        } else if (request->state == TN__HTTP_STATE_DONE) {
            connection->api->counters.requests++;
            tn__api_serve(connection, tn__clock_now());
        } else if (request->state == TN__HTTP_STATE_FAILED) {
            tn__api_fail(connection,
                         request->status == 413 ? TN_API_ERROR_TOO_LARGE : TN_API_ERROR_BAD_REQUEST,
                         NULL, "%s", request->reason);
        }
    }
    connection->consuming = false;
    return used;
}

static void keep(struct tn__connection *connection, const uint8_t *bytes, size_t length)
{
    if (length > TN_API_PENDING_BYTES_MAX - connection->pending_length) {
        tn__stream_cut(connection->stream, TN_ERROR_TOO_LARGE, "too much sent ahead of an answer");
        return;
    }
    uint8_t *grown = realloc(connection->pending, connection->pending_length + length);
    if (grown == NULL) {
        tn__stream_cut(connection->stream, TN_ERROR_NO_MEMORY, "no memory for a request");
        return;
    }
    memcpy(grown + connection->pending_length, bytes, length);
    connection->pending = grown;
    connection->pending_length += length;
}

static size_t on_bytes(void *owner, const uint8_t *bytes, size_t length)
{
    struct tn__connection *connection = owner;
    tn__node_turn_begin(connection->api->node);
    size_t used = 0;
    if (connection->pending_length == 0) {
        used = consume(connection, (const char *)bytes, length);
    }
    if (used < length && connection->state != TN_API_CLOSED) {
        keep(connection, bytes + used, length - used);
    }
    return length;
}

/* The request is over: take what was sent behind it. */
static void resume(struct tn__connection *connection)
{
    uint8_t *pending = connection->pending;
    size_t length = connection->pending_length;
    connection->resume = false;
    connection->pending = NULL;
    connection->pending_length = 0;
    size_t used = consume(connection, (const char *)pending, length);
    if (used < length && connection->state != TN_API_CLOSED) {
        keep(connection, pending + used, length - used);
    }
    free(pending);
}

static const struct tn__stream_events stream_events = {
    .on_bytes = on_bytes,
    .on_close = on_close,
};

/* ---- Accepting --------------------------------------------------------------------------- */

static void on_accept(void *owner, struct tn__net *net, uv_stream_t *listening)
{
    struct tn__api *api = owner;
    tn__node_turn_begin(api->node);
    struct tn__connection *connection =
        api->free_slots_count > 0 ? calloc(1, sizeof(*connection)) : NULL;
    if (connection == NULL) {
        api->counters.connections_refused++;
        return;
    }
    struct tn__stream_options options = {
        .events = &stream_events,
        .owner = connection,
        .tls = api->tls,
        .output_bytes_max = TN_API_OUTPUT_BYTES_MAX,
    };
    connection->api = api;
    connection->stream = tn__stream_accept(net, &options, listening);
    if (connection->stream == NULL) {
        free(connection);
        return;
    }
    connection->slot = api->free_slots[--api->free_slots_count];
    connection->at = tn__clock_now();
    tn__http_request_init(&connection->request);
    api->connections[connection->slot] = connection;
    api->connections_count++;
    api->counters.connections++;
    if (api->sweep_at == TN_TIME_NEVER) {
        api->sweep_at = connection->at + TN_API_SWEEP_NS;
    }
}

/* ---- The guest --------------------------------------------------------------------------- */

/* One connection's limits: of the TLS handshake, of a request, between requests, between lines. */
static void look_at_limits(struct tn__connection *connection, tn_time now)
{
    if (connection->state == TN_API_READING) {
        tn_time passed = now > connection->at ? now - connection->at : 0;
        if (connection->request.begun && passed >= TN_API_REQUEST_NS_MAX) {
            connection->request.keep_alive = false;
            connection->request.state = TN__HTTP_STATE_FAILED;
            tn__api_fail(connection, TN_API_ERROR_SLOW, NULL,
                         "the request did not arrive whole within 10 s");
        } else if (passed >= TN_TLS_GREETING_NS_MAX && !tn__stream_is_open(connection->stream)) {
            tn__stream_cut(connection->stream, TN_ERROR_TIMEOUT,
                           "the TLS handshake was not over within 10 s");
        } else if (passed >= TN_API_IDLE_NS_MAX) {
            tn__api_close(connection);
        }
        return;
    }
    bool streams = connection->state == TN_API_SESSION || connection->state == TN_API_WATCHING;
    if (streams && now >= connection->line_at + TN_API_ALIVE_NS) {
        tn__api_line(connection, json_pack("{s:s}", "event", "alive"));
    }
}

static void sweep(struct tn__api *api, tn_time now)
{
    for (uint32_t i = 0; i < TN_API_CONNECTIONS_MAX; i++) {
        if (api->connections[i] != NULL) {
            look_at_limits(api->connections[i], now);
        }
    }
    api->sweep_at = api->connections_count > 0 ? now + TN_API_SWEEP_NS : TN_TIME_NEVER;
}

static void resume_all(struct tn__api *api)
{
    api->resumes = false;
    for (uint32_t i = 0; i < TN_API_CONNECTIONS_MAX; i++) {
        if (api->connections[i] != NULL && api->connections[i]->resume) {
            resume(api->connections[i]);
        }
    }
}

static tn_time front_deadline(void *context)
{
    const struct tn__api *api = context;
    tn_time due = tn__lease_clients_deadline(api->clients);
    due = api->sweep_at < due ? api->sweep_at : due;
    due = api->retry_at < due ? api->retry_at : due;
    return api->resumes ? 0 : due;
}

static void front_timer(void *context, tn_time now)
{
    struct tn__api *api = context;
    if (tn__lease_clients_deadline(api->clients) <= now) {
        struct tn__lease_clients_output output;
        tn__lease_clients_timer(api->clients, now, &output);
        tn__api_carry_out(api, &output);
    }
    if (api->resumes) {
        resume_all(api);
    }
    if (api->retry_at <= now) {
        tn__api_watch_continue(api, now);
    }
    if (api->sweep_at <= now) {
        sweep(api, now);
    }
}

static void front_notice(void *context, const struct tn_notice *notice, tn_time now)
{
    struct tn__api *api = context;
    if (api->stopping) {
        return;
    }
    struct tn__lease_clients_output output;
    tn__lease_clients_notice(api->clients, notice, now, &output);
    tn__api_carry_out(api, &output);
    if (api->watchers != NULL && notice->name_bytes > 0) {
        tn__api_watch_notice(api, notice);
    }
}

static void front_turn_end(void *context)
{
    struct tn__api *api = context;
    while (api->dirty != NULL) {
        struct tn__connection *connection = api->dirty;
        api->dirty = connection->next_dirty;
        connection->dirty = false;
        if (connection->stream != NULL) {
            tn__stream_flush(connection->stream);
        }
    }
    bury(api);
}

static bool front_uses(void *context, uint32_t table, const char *name, uint32_t name_bytes)
{
    const struct tn__api *api = context;
    struct tn__lease_clients_view view;
    tn__lease_clients_who(api->clients, (uint8_t)table, name, name_bytes, 0, &view);
    return view.used;
}

/* Waiting clients are told to go elsewhere; who holds keeps what it was told until its time is
 * over, for the node does not release those names (C1). */
static void front_stop(void *context)
{
    struct tn__api *api = context;
    tn__listener_close(api->listener);
    api->listener = NULL;
    for (uint32_t i = 0; i < TN_API_CONNECTIONS_MAX; i++) {
        struct tn__connection *connection = api->connections[i];
        if (connection == NULL) {
            continue;
        }
        connection->request.keep_alive = false;
        if (connection->state == TN_API_WAITING) {
            tn__api_fail(connection, TN_API_ERROR_STOPPING, NULL,
                         "this node is leaving: ask another one");
        } else if (connection->state == TN_API_SESSION) {
            tn__api_line(connection, json_pack("{s:s,s:s}", "event", "lost", "reason", "stopping"));
            tn__api_stream_end(connection);
        }
        tn__api_close(connection);
    }
    api->stopping = true;
    front_turn_end(api);
}

static void front_free(void *context)
{
    struct tn__api *api = context;
    struct tn_node *node = api->node;
    bury(api);
    tn__tls_context_close(api->tls);
    free(api->clients_memory);
    free(api->connections);
    free(api->free_slots);
    free(api);
    node->front = (struct tn__node_front){0};
}

/* ---- Opening ----------------------------------------------------------------------------- */

static int open_clients(struct tn__api *api)
{
    const struct tn_lease_options *lease = &api->node->config.lease;
    struct tn__lease_clients_options options = {
        .clients_max = TN__CLIENTS_DEFAULT,
        .drift_ppm = lease->drift_ppm,
        .tables_count = lease->tables_count,
    };
    for (uint32_t i = 0; i < lease->tables_count; i++) {
        options.proposer_ns[i] = lease->tables[i].proposer_ns;
    }
    int error = tn__entropy_draw(&options.random, sizeof(options.random));
    if (error != 0) {
        return error;
    }
    /* Zeroed pages that nobody has touched cost nothing: room for many clients is free. */
    size_t size = tn__lease_clients_size(&options) + 64;
    api->clients_memory = calloc(1, size);
    api->connections = calloc(TN_API_CONNECTIONS_MAX, sizeof(struct tn__connection *));
    api->free_slots = calloc(TN_API_CONNECTIONS_MAX, sizeof(uint32_t));
    if (api->clients_memory == NULL || api->connections == NULL || api->free_slots == NULL) {
        return TN_ERROR_NO_MEMORY;
    }
    uintptr_t aligned = ((uintptr_t)api->clients_memory + 63) & ~(uintptr_t)63;
    api->clients = tn__lease_clients_init((void *)aligned, &options);
    for (uint32_t i = 0; i < TN_API_CONNECTIONS_MAX; i++) {
        api->free_slots[api->free_slots_count++] = TN_API_CONNECTIONS_MAX - 1 - i;
    }
    return 0;
}

static int open_port(struct tn__api *api, char *why, size_t why_size)
{
    const struct tn__node_config *config = &api->node->config;
    if (config->client_tls.used) {
        struct tn__tls_files files = {
            .ca_file = config->client_tls.ca_file,
            .certificate_file = config->client_tls.certificate_file,
            .key_file = config->client_tls.key_file,
        };
        int error = tn__tls_context_open(&api->tls, &files, why, why_size);
        if (error != 0) {
            return error;
        }
    }
    return tn__listener_open(&api->listener, api->node->net, config->listen_client, on_accept, api,
                             why, why_size);
}

int tn__node_client_open(struct tn_node *node, char *why, size_t why_size)
{
    tn_assert(node->front.context == NULL);
    struct tn__api *api = calloc(1, sizeof(*api));
    if (api == NULL) {
        return TN_ERROR_NO_MEMORY;
    }
    api->node = node;
    api->sweep_at = TN_TIME_NEVER;
    api->retry_at = TN_TIME_NEVER;
    int error = open_clients(api);
    if (error == 0) {
        error = open_port(api, why, why_size);
    }
    if (error != 0) {
        front_free(api);
        return error;
    }
    node->front = (struct tn__node_front){
        .context = api,
        .on_notice = front_notice,
        .deadline = front_deadline,
        .on_timer = front_timer,
        .on_turn_end = front_turn_end,
        .uses = front_uses,
        .on_stop = front_stop,
        .free = front_free,
    };
    return 0;
}

uint16_t tn__node_client_port(const struct tn_node *node)
{
    const struct tn__api *api = node->front.context;
    return api != NULL && api->listener != NULL ? tn__listener_port(api->listener) : 0;
}
