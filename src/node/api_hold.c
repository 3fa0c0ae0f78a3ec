/* Holding names through this node: acquire, renew, release, hand over, sessions. The rules C1 to C6
 * are kept by paxos/lease_clients; here calls become its events, and what it puts out becomes
 * answers and requests.
 *
 * A step of clients may call the node's machine, whose notices are steps of clients again. So a
 * connection's state is set before what a step put out is carried out. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "node/api.h"
#include "os/clock.h"

#define MILLISECONDS_MAX (TN__CLIENT_TTL_NS_MAX / TN_MILLISECOND)
#define TTL_MS_MIN (TN__CLIENT_TTL_NS_MIN / TN_MILLISECOND)

static void set_holding(json_t *object, uint64_t holding)
{
    char text[17];
    snprintf(text, sizeof(text), "%016llx", (unsigned long long)holding);
    json_object_set_new(object, "holding", json_string(text));
}

/* What a holder is told of its time. */
static void set_terms(const struct tn__api *api, json_t *object,
                      const struct tn__client_answer *answer)
{
    set_holding(object, answer->holding);
    json_object_set_new(object, "name", json_stringn(answer->name, answer->name_bytes));
    json_object_set_new(object, "table", json_string(api->node->config.table_names[answer->table]));
    tn__api_json_token(object, answer->token);
    json_object_set_new(object, "fenced", json_boolean(!api->node->config.diskless));
    json_object_set_new(object, "valid_ms", tn__api_json_milliseconds(answer->valid_ns));
    json_object_set_new(object, "ttl_ms", tn__api_json_milliseconds(answer->ttl_ns));
    json_object_set_new(object, "renewals", json_integer(answer->renewals));
}

/* ---- Refusals ---------------------------------------------------------------------------- */

struct refusal {
    enum tn__api_error error;
    const char *message;
};

static struct refusal refusal_of(enum tn__client_verdict verdict)
{
    switch (verdict) {
    case TN__CLIENT_HELD:
        return (struct refusal){TN_API_ERROR_HELD, "the name is held: wait for it with wait_ms, "
                                                   "or try again after remaining_ms"};
    case TN__CLIENT_TIMEOUT:
        return (struct refusal){TN_API_ERROR_TIMEOUT,
                                "the name was not free within wait_ms: try again"};
    case TN__CLIENT_NO_QUORUM:
        return (struct refusal){TN_API_ERROR_NO_QUORUM,
                                "a majority of the members did not answer: GET /v1/status shows "
                                "who is connected"};
    case TN__CLIENT_FULL:
        return (struct refusal){TN_API_ERROR_BUSY, "the members' tables of names are full: raise "
                                                   "names_max, or use fewer names"};
    case TN__CLIENT_NO_HOLDING:
        return (struct refusal){TN_API_ERROR_NO_HOLDING,
                                "the holding has ended or never was: it is not yours, acquire "
                                "again"};
    case TN__CLIENT_ENDING:
        return (struct refusal){TN_API_ERROR_ENDING,
                                "the name is being handed over: finish and release it"};
    case TN__CLIENT_NOT_OWNER:
        return (struct refusal){TN_API_ERROR_NOT_OWNER,
                                "this node does not own the name: ask its owner"};
    default:
        return (struct refusal){TN_API_ERROR_BUSY,
                                "too many clients of this node hold or wait: try again later"};
    }
}

/* Whoever owns the name, as far as this node knows. */
static json_t *hint(const struct tn__api *api, tn_node_id node, tn_time remaining)
{
    json_t *more = json_object();
    if (node != 0) {
        json_object_set_new(more, "owner", tn__api_json_owner(api, node));
    }
    if (remaining != 0) {
        json_object_set_new(more, "remaining_ms", tn__api_json_milliseconds(remaining));
    }
    return more;
}

static void refuse(struct tn__connection *connection, enum tn__client_verdict verdict,
                   tn_node_id node, tn_time remaining)
{
    struct refusal refusal = refusal_of(verdict);
    json_t *more = NULL;
    if (verdict == TN__CLIENT_HELD || verdict == TN__CLIENT_NOT_OWNER) {
        more = hint(connection->api, node, remaining);
    }
    tn__api_fail(connection, refusal.error, more, "%s", refusal.message);
}

/* ---- What the clients' machine puts out -------------------------------------------------- */

static struct tn__connection *connection_of(const struct tn__api *api,
                                            const struct tn__client_answer *answer)
{
    struct tn__connection *connection =
        answer->cookie < TN_API_CONNECTIONS_MAX ? api->connections[answer->cookie] : NULL;
    return connection != NULL && connection->holding == answer->holding ? connection : NULL;
}

static void answer_waiting(struct tn__connection *connection,
                           const struct tn__client_answer *answer)
{
    connection->holding = 0;
    if (answer->kind != TN__CLIENT_GRANTED) {
        refuse(connection, (enum tn__client_verdict)answer->verdict, answer->node,
               answer->remaining);
        return;
    }
    json_t *body = json_object();
    set_terms(connection->api, body, answer);
    tn__api_answer(connection, 200, body);
}

static const char *event_name(uint8_t kind)
{
    static const char *const names[] = {
        [TN__CLIENT_GRANTED] = "granted",   [TN__CLIENT_RENEWED] = "renewed",
        [TN__CLIENT_LEAVING] = "ending",    [TN__CLIENT_LOST] = "lost",
        [TN__CLIENT_RELEASED] = "released", [TN__CLIENT_FAILED] = "failed",
    };
    tn_assert(kind >= TN__CLIENT_GRANTED && kind <= TN__CLIENT_FAILED);
    return names[kind];
}

static void answer_session(struct tn__connection *connection,
                           const struct tn__client_answer *answer)
{
    json_t *line = json_object();
    json_object_set_new(line, "event", json_string(event_name(answer->kind)));
    bool last = false;
    switch ((enum tn__client_answer_kind)answer->kind) {
    case TN__CLIENT_GRANTED:
    case TN__CLIENT_RENEWED:
        set_terms(connection->api, line, answer);
        break;
    case TN__CLIENT_LEAVING:
        set_holding(line, answer->holding);
        break;
    case TN__CLIENT_LOST:
        set_holding(line, answer->holding);
        json_object_set_new(
            line, "reason",
            json_string(answer->verdict == TN__CLIENT_HANDED_OVER ? "handed_over" : "expired"));
        last = true;
        break;
    case TN__CLIENT_RELEASED:
        set_holding(line, answer->holding);
        last = true;
        break;
    case TN__CLIENT_FAILED: {
        struct refusal refusal = refusal_of((enum tn__client_verdict)answer->verdict);
        json_object_set_new(line, "error", json_string(tn__api_errors[refusal.error].name));
        json_object_set_new(line, "message", json_string(refusal.message));
        connection->api->counters.errors[refusal.error]++;
        last = true;
        break;
    }
    }
    tn__api_line(connection, line);
    if (last) {
        tn__api_stream_end(connection);
    }
}

void tn__api_carry_out(struct tn__api *api, const struct tn__lease_clients_output *output)
{
    for (uint32_t i = 0; i < output->answers_count; i++) {
        const struct tn__client_answer *answer = &output->answers[i];
        struct tn__connection *connection = connection_of(api, answer);
        if (connection == NULL) {
            continue; /* it is gone; its time runs out by itself */
        }
        if (connection->state == TN_API_SESSION) {
            answer_session(connection, answer);
        } else if (connection->state == TN_API_WAITING) {
            answer_waiting(connection, answer);
        }
    }
    for (uint32_t i = 0; i < output->requests_count; i++) {
        int error = tn__node_request(api->node, &output->requests[i]);
        if (error != 0 && error != TN_ERROR_CLOSED) {
            tn__node_log(api->node, TN_LOG_ERROR, "a request of a client was not carried out: %s",
                         tn_strerror(error));
        }
    }
}

void tn__api_hold_gone(struct tn__connection *connection)
{
    uint64_t holding = connection->holding;
    connection->holding = 0;
    if (holding != 0) {
        struct tn__lease_clients_output output;
        tn__lease_clients_gone(connection->api->clients, holding, tn__clock_now(), &output);
        tn__api_carry_out(connection->api, &output);
    }
}

/* ---- Calls ------------------------------------------------------------------------------- */

struct wish {
    struct tn__api_name name;
    char label[TN_LABEL_BYTES_MAX + 1];
    size_t label_bytes;
    uint64_t wait_ms;
    uint64_t ttl_ms;
    uint64_t priority;
    bool session;
};

static bool take_wish(struct tn__api_call *call, struct wish *wish)
{
    memset(wish, 0, sizeof(*wish));
    if (!tn__api_take_name(call, &wish->name) ||
        !tn__api_take_text(call, "label", wish->label, sizeof(wish->label), &wish->label_bytes,
                           false) ||
        !tn__api_take_number(call, "wait_ms", 0, MILLISECONDS_MAX, &wish->wait_ms) ||
        !tn__api_take_number(call, "ttl_ms", TTL_MS_MIN, MILLISECONDS_MAX, &wish->ttl_ms) ||
        !tn__api_take_number(call, "priority", 0, 15, &wish->priority) ||
        !tn__api_take_flag(call, "session", &wish->session)) {
        return false;
    }
    if (tn__node_lease_find(call->api->node, wish->name.table, wish->name.text, wish->name.bytes) !=
        NULL) {
        tn__api_fail(call->connection, TN_API_ERROR_RESERVED, NULL,
                     "the program that runs this node uses the name itself: ask another node");
        return false;
    }
    if (wish->label_bytes == 0) { /* who shows a certificate has a name already */
        tn__stream_subject(call->connection->stream, wish->label, sizeof(wish->label));
        wish->label_bytes = strlen(wish->label);
    }
    return true;
}

/* The first line of a session: it is taken, and where it stands. */
static void tell_queued(struct tn__connection *connection, const struct tn__client_place *place,
                        const struct tn_lease_view *view)
{
    json_t *line = hint(connection->api, view->node, view->remaining);
    json_object_set_new(line, "event", json_string("queued"));
    json_object_set_new(line, "position", json_integer(place->position));
    set_holding(line, place->holding);
    tn__api_line(connection, line);
}

void tn__api_acquire(struct tn__api_call *call)
{
    struct tn__connection *connection = call->connection;
    struct tn__api *api = call->api;
    struct wish wish;
    if (!take_wish(call, &wish)) {
        return;
    }
    struct tn_lease_view view;
    (void)tn_lease_who(api->node->lease, wish.name.table, wish.name.text, wish.name.bytes,
                       call->now, &view); /* unknown: the view says free */
    const char *address = tn__stream_remote(connection->stream);
    size_t address_bytes = strnlen(address, TN__CLIENT_ADDRESS_BYTES_MAX);
    struct tn__client_acquire acquire = {
        .cookie = connection->slot,
        .now = call->now,
        .wait_ns = wish.wait_ms * TN_MILLISECOND,
        .ttl_ns = wish.ttl_ms * TN_MILLISECOND,
        .remaining = view.owned ? 0 : view.remaining,
        .node = view.owned ? 0 : view.node,
        .session = wish.session,
        .table = wish.name.table,
        .priority = (uint8_t)wish.priority,
        .name_bytes = wish.name.bytes,
        .label_bytes = (uint8_t)wish.label_bytes,
        .address_bytes = (uint8_t)address_bytes,
        .name = wish.name.text,
        .label = wish.label,
        .address = address,
    };
    struct tn__client_place place;
    struct tn__client_answer refused;
    struct tn__lease_clients_output output;
    enum tn__client_verdict verdict =
        tn__lease_clients_acquire(api->clients, &acquire, &place, &refused, &output);
    if (verdict != TN__CLIENT_OK) {
        refuse(connection, verdict, refused.node != 0 ? refused.node : view.node,
               refused.remaining);
        return;
    }
    connection->holding = place.holding;
    connection->state = wish.session ? TN_API_SESSION : TN_API_WAITING;
    if (wish.session) {
        tn__api_stream_begin(connection);
        tell_queued(connection, &place, &view);
    }
    tn__api_carry_out(api, &output);
}

void tn__api_renew(struct tn__api_call *call)
{
    uint64_t holding;
    uint64_t ttl_ms = 0;
    if (!tn__api_take_holding(call, &holding) ||
        !tn__api_take_number(call, "ttl_ms", TTL_MS_MIN, MILLISECONDS_MAX, &ttl_ms)) {
        return;
    }
    struct tn__client_answer renewed;
    enum tn__client_verdict verdict = tn__lease_clients_renew(
        call->api->clients, holding, ttl_ms * TN_MILLISECOND, call->now, &renewed);
    if (verdict != TN__CLIENT_OK) {
        refuse(call->connection, verdict, 0, 0);
        return;
    }
    json_t *body = json_object();
    set_terms(call->api, body, &renewed);
    tn__api_answer(call->connection, 200, body);
}

void tn__api_release(struct tn__api_call *call)
{
    uint64_t holding;
    if (!tn__api_take_holding(call, &holding)) {
        return;
    }
    struct tn__lease_clients_output output;
    enum tn__client_verdict verdict =
        tn__lease_clients_release(call->api->clients, holding, call->now, &output);
    tn__api_carry_out(call->api, &output);
    if (verdict != TN__CLIENT_OK) {
        refuse(call->connection, verdict, 0, 0);
        return;
    }
    tn__api_answer(call->connection, 200, json_pack("{s:b}", "released", 1));
}

/* ---- Hand-over --------------------------------------------------------------------------- */

/* The member named by "to": its name, or its number. */
static bool take_successor(struct tn__api_call *call, tn_node_id *successor)
{
    const struct tn__node_config *config = &call->api->node->config;
    char to[TN_MEMBER_NAME_BYTES_MAX + 1];
    size_t length;
    *successor = 0;
    if (json_is_integer(json_object_get(call->body, "to"))) {
        uint64_t number = 0;
        if (!tn__api_take_number(call, "to", 1, TN_NODE_ID_MAX, &number)) {
            return false;
        }
        for (uint32_t i = 0; i < config->members_count; i++) {
            *successor = config->ids[i] == number ? (tn_node_id)number : *successor;
        }
    } else {
        if (!tn__api_take_text(call, "to", to, sizeof(to), &length, true)) {
            return false;
        }
        int32_t member = tn__node_config_member(config, to);
        *successor = member >= 0 ? config->ids[member] : 0;
    }
    if (*successor == 0) {
        tn__api_fail(call->connection, TN_API_ERROR_NOT_FOUND, NULL,
                     "\"to\" is not a member: GET /v1/status lists them");
        return false;
    }
    if (*successor == config->ids[config->self]) {
        tn__api_fail(call->connection, TN_API_ERROR_BAD_REQUEST, NULL,
                     "\"to\" is this node itself: name another member");
        return false;
    }
    return true;
}

/* The program of this node holds the name, or nobody uses it: the machine decides at once. */
static void hand_over_directly(struct tn__api_call *call, const struct tn__api_name *name,
                               tn_node_id successor)
{
    struct tn_lease_view view;
    (void)tn_lease_who(call->api->node->lease, name->table, name->text, name->bytes, call->now,
                       &view);
    if (!view.owned) {
        refuse(call->connection, TN__CLIENT_NOT_OWNER, view.node, view.remaining);
        return;
    }
    struct tn_request request = {.kind = TN_REQUEST_HAND_OVER,
                                 .table = name->table,
                                 .name_bytes = name->bytes,
                                 .successor = successor};
    memcpy(request.name, name->text, name->bytes);
    int error = tn__node_request(call->api->node, &request);
    if (error != 0) {
        tn__api_fail(call->connection, TN_API_ERROR_BUSY, NULL, "%s", tn_strerror(error));
        return;
    }
    tn__api_answer(call->connection, 200, json_pack("{s:b}", "handed_over", 1));
}

void tn__api_hand_over(struct tn__api_call *call)
{
    struct tn__api_name name;
    tn_node_id successor;
    if (!tn__api_take_name(call, &name) || !take_successor(call, &successor)) {
        return;
    }
    struct tn__lease_clients_output output;
    tn_time remaining;
    enum tn__client_verdict verdict =
        tn__lease_clients_hand_over(call->api->clients, name.table, name.text, name.bytes,
                                    successor, call->now, &remaining, &output);
    tn__api_carry_out(call->api, &output);
    if (verdict == TN__CLIENT_NOT_OWNER) {
        hand_over_directly(call, &name, successor);
        return;
    }
    if (verdict == TN__CLIENT_OK) {
        tn__api_answer(call->connection, 200, json_pack("{s:b}", "handed_over", 1));
        return;
    }
    json_t *body = json_pack("{s:b,s:b}", "handed_over", 0, "pending", 1);
    json_object_set_new(body, "remaining_ms", tn__api_json_milliseconds(remaining));
    tn__api_answer(call->connection, 202, body);
}
