/* From a request to the function that serves it. What a client sends is checked here and refused
 * with a sentence that names the field and says what is allowed. */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "node/api.h"

const struct tn__api_error_kind tn__api_errors[TN_API_ERRORS_END] = {
#define TN_API_ERROR_KIND(constant, name, status) [TN_API_ERROR_##constant] = {name, status},
    TN_API_ERROR_TABLE(TN_API_ERROR_KIND)
#undef TN_API_ERROR_KIND
};

#define FIELDS_MAX 8

struct route {
    uint8_t method; /* enum tn__http_method */
    const char *path;
    void (*serve)(struct tn__api_call *call);
    const char *fields[FIELDS_MAX]; /* of the body or the query; NULL ends them */
};

static const struct route routes[] = {
    {TN__HTTP_POST,
     "/v1/acquire",
     tn__api_acquire,
     {"name", "table", "wait_ms", "ttl_ms", "label", "priority", "session", NULL}},
    {TN__HTTP_POST, "/v1/renew", tn__api_renew, {"holding", "ttl_ms", NULL}},
    {TN__HTTP_POST, "/v1/release", tn__api_release, {"holding", NULL}},
    {TN__HTTP_POST, "/v1/hand-over", tn__api_hand_over, {"name", "table", "to", NULL}},
    {TN__HTTP_GET, "/v1/who", tn__api_who, {"name", "table", NULL}},
    {TN__HTTP_GET, "/v1/leases", tn__api_leases, {"table", "after", "limit", "prefix", NULL}},
    {TN__HTTP_GET, "/v1/watch", tn__api_watch, {"name", "prefix", "table", NULL}},
    {TN__HTTP_GET, "/v1/status", tn__api_status, {NULL}},
    {TN__HTTP_GET, "/v1/groups", tn__api_groups, {"after", "limit", NULL}},
    {TN__HTTP_GET, "/health", tn__api_health, {NULL}},
    {TN__HTTP_GET, "/metrics", tn__api_metrics, {NULL}},
};

/* ---- Errors ------------------------------------------------------------------------------ */

void tn__api_fail(struct tn__connection *connection, enum tn__api_error error, json_t *more,
                  const char *format, ...)
{
    tn_assert(error < TN_API_ERRORS_END);
    char message[320];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    connection->api->counters.errors[error]++;
    json_t *body = json_object();
    json_object_set_new(body, "error", json_string(tn__api_errors[error].name));
    json_object_set_new(body, "message", tn__api_json_bytes(message, strlen(message)));
    if (more != NULL) {
        json_object_update(body, more);
        json_decref(more);
    }
    tn__api_answer(connection, tn__api_errors[error].status, body);
}

#define BAD(call, ...) tn__api_fail((call)->connection, TN_API_ERROR_BAD_REQUEST, NULL, __VA_ARGS__)

/* ---- Fields ------------------------------------------------------------------------------ */

static bool is_get(const struct tn__api_call *call)
{
    return call->body == NULL;
}

/* Is the text UTF-8 without control characters? */
static bool is_plain_text(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) {
            return false;
        }
    }
    json_t *probe = json_stringn(text, length);
    bool is_utf8 = probe != NULL;
    json_decref(probe);
    return is_utf8;
}

/* The raw value of a text field, from the query or the body; absent: *length is 0 and *given false.
 */
static bool find_text(struct tn__api_call *call, const char *field, char *text, size_t size,
                      size_t *length, bool *given)
{
    *given = false;
    *length = 0;
    text[0] = '\0';
    if (is_get(call)) {
        switch (tn__http_query_find(&call->target, field, text, size, length)) {
        case TN__HTTP_QUERY_ABSENT:
            return true;
        case TN__HTTP_QUERY_FOUND:
            *given = true;
            return true;
        case TN__HTTP_QUERY_TWICE:
            BAD(call, "\"%s\" stands in the query more than once", field);
            return false;
        case TN__HTTP_QUERY_LONG:
            BAD(call, "\"%s\" is longer than %zu bytes", field, size - 1);
            return false;
        case TN__HTTP_QUERY_BAD:
            BAD(call, "\"%s\": '%%' must be followed by two hexadecimal digits", field);
            return false;
        }
    }
    const json_t *value = json_object_get(call->body, field);
    if (value == NULL) {
        return true;
    }
    if (!json_is_string(value)) {
        BAD(call, "\"%s\" must be a string", field);
        return false;
    }
    *length = json_string_length(value);
    if (*length >= size) {
        BAD(call, "\"%s\" is longer than %zu bytes", field, size - 1);
        return false;
    }
    memcpy(text, json_string_value(value), *length + 1);
    *given = true;
    return true;
}

bool tn__api_take_text(struct tn__api_call *call, const char *field, char *text, size_t size,
                       size_t *length, bool required)
{
    bool given;
    if (!find_text(call, field, text, size, length, &given)) {
        return false;
    }
    if (required && !given) {
        BAD(call, "\"%s\" is missing", field);
        return false;
    }
    if (required && *length == 0) {
        BAD(call, "\"%s\" is empty: it takes 1 to %zu bytes", field, size - 1);
        return false;
    }
    if (!is_plain_text(text, *length)) {
        BAD(call, "\"%s\" must be UTF-8 without control characters", field);
        return false;
    }
    return true;
}

bool tn__api_take_table(struct tn__api_call *call, uint8_t *table, bool *given)
{
    char name[TN_NAME_BYTES_MAX + 1];
    size_t length;
    *table = 0;
    if (!find_text(call, "table", name, sizeof(name), &length, given)) {
        return false;
    }
    if (!*given) {
        return true;
    }
    int32_t found =
        strlen(name) == length ? tn__node_config_table(&call->api->node->config, name) : -1;
    if (found < 0) {
        tn__api_fail(call->connection, TN_API_ERROR_NOT_FOUND, NULL,
                     "there is no lease table \"%s\": GET /v1/status lists them", name);
        return false;
    }
    *table = (uint8_t)found;
    return true;
}

bool tn__api_take_name(struct tn__api_call *call, struct tn__api_name *name)
{
    size_t length;
    bool given;
    if (!tn__api_take_text(call, "name", name->text, sizeof(name->text), &length, true)) {
        return false;
    }
    name->bytes = (uint8_t)length;
    return tn__api_take_table(call, &name->table, &given);
}

static bool digits_to_number(const char *text, size_t length, uint64_t *number)
{
    *number = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9' || *number > (UINT64_MAX - 9) / 10) {
            return false;
        }
        *number = *number * 10 + (uint64_t)(text[i] - '0');
    }
    return length > 0;
}

bool tn__api_take_number(struct tn__api_call *call, const char *field, uint64_t least,
                         uint64_t most, uint64_t *number)
{
    uint64_t value = 0;
    bool fits = false;
    if (is_get(call)) {
        char text[24];
        size_t length;
        bool given;
        if (!find_text(call, field, text, sizeof(text), &length, &given)) {
            return false;
        }
        if (!given) {
            return true;
        }
        fits = digits_to_number(text, length, &value);
    } else {
        const json_t *given = json_object_get(call->body, field);
        if (given == NULL) {
            return true;
        }
        fits = json_is_integer(given) && json_integer_value(given) >= 0;
        value = fits ? (uint64_t)json_integer_value(given) : 0;
    }
    if (!fits || value < least || value > most) {
        BAD(call, "\"%s\" must be a whole number from %llu to %llu", field,
            (unsigned long long)least, (unsigned long long)most);
        return false;
    }
    *number = value;
    return true;
}

bool tn__api_take_flag(struct tn__api_call *call, const char *field, bool *flag)
{
    const json_t *given = json_object_get(call->body, field);
    if (given != NULL && !json_is_boolean(given)) {
        BAD(call, "\"%s\" must be true or false", field);
        return false;
    }
    *flag = given != NULL && json_is_true(given);
    return true;
}

bool tn__api_take_holding(struct tn__api_call *call, uint64_t *holding)
{
    char text[17];
    size_t length;
    if (!tn__api_take_text(call, "holding", text, sizeof(text), &length, true)) {
        return false;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        bool is_digit = c >= '0' && c <= '9';
        if (length != 16 || (!is_digit && (c < 'a' || c > 'f'))) {
            BAD(call, "\"holding\" must be the 16 digits that acquire answered");
            return false;
        }
        value = value << 4 | (uint64_t)(is_digit ? c - '0' : c - 'a' + 10);
    }
    *holding = value;
    return true;
}

/* ---- JSON -------------------------------------------------------------------------------- */

json_t *tn__api_json_bytes(const char *bytes, size_t length)
{
    tn_assert(length <= 1024);
    json_t *text = json_stringn(bytes, length);
    if (text != NULL) {
        return text;
    }
    static const char digits[] = "0123456789ABCDEF";
    char escaped[3 * 1024];
    size_t written = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        if (byte >= 0x20 && byte < 0x7f && byte != '%') {
            escaped[written++] = (char)byte;
        } else {
            escaped[written++] = '%';
            escaped[written++] = digits[byte >> 4];
            escaped[written++] = digits[byte & 15];
        }
    }
    return json_stringn(escaped, written);
}

json_t *tn__api_json_owner(const struct tn__api *api, tn_node_id node)
{
    const struct tn_node *inside = api->node;
    json_t *owner = json_object();
    json_object_set_new(owner, "node", json_integer(node));
    for (uint32_t i = 0; i < inside->config.members_count; i++) {
        if (inside->config.ids[i] != node) {
            continue;
        }
        json_object_set_new(owner, "name", json_string(inside->config.members[i].name));
        struct tn_node_member_status status;
        memset(&status, 0, sizeof(status));
        if (i == inside->config.self) {
            snprintf(status.client_url, sizeof(status.client_url), "%s", inside->config.client_url);
        } else {
            tn__peers_status(inside->peers, i, &status);
        }
        if (status.client_url[0] != '\0') {
            json_object_set_new(owner, "url",
                                tn__api_json_bytes(status.client_url, strlen(status.client_url)));
        }
    }
    return owner;
}

json_t *tn__api_json_milliseconds(tn_time span)
{
    return json_integer((json_int_t)(span / TN_MILLISECOND));
}

void tn__api_json_token(json_t *object, uint64_t token)
{
    char text[24];
    snprintf(text, sizeof(text), "%llu", (unsigned long long)token);
    /* A counter stays below 2^63 for longer than nodes live; JSON integers are signed. */
    json_object_set_new(object, "token", json_integer((json_int_t)(token & INT64_MAX)));
    json_object_set_new(object, "token_text", json_string(text));
}

/* ---- Serving ----------------------------------------------------------------------------- */

/* The route of a path and a method; `other` is one of the same path but another method, or NULL. */
static const struct route *find_route(const struct tn__api_call *call, uint8_t method,
                                      const struct route **other)
{
    *other = NULL;
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        if (tn__http_target_is(&call->target, routes[i].path)) {
            *other = &routes[i];
            if (routes[i].method == method) {
                return &routes[i];
            }
        }
    }
    return NULL;
}

static bool is_field_of(const struct route *route, const char *key)
{
    for (size_t i = 0; route->fields[i] != NULL; i++) {
        if (strcmp(route->fields[i], key) == 0) {
            return true;
        }
    }
    return false;
}

/* An object with known fields, or the fault is answered and NULL returned. */
static json_t *parse_body(struct tn__api_call *call, const struct route *route)
{
    const struct tn__http_request *request = &call->connection->request;
    json_error_t error;
    json_t *body = json_loadb(request->body_length > 0 ? request->body : "", request->body_length,
                              JSON_REJECT_DUPLICATES, &error);
    if (body == NULL) {
        BAD(call, "the body must be one JSON object: %s (line %d, column %d)", error.text,
            error.line, error.column);
        return NULL;
    }
    if (!json_is_object(body)) {
        BAD(call, "the body must be a JSON object");
        json_decref(body);
        return NULL;
    }
    const char *key;
    json_t *value;
    json_object_foreach(body, key, value)
    {
        if (!is_field_of(route, key)) {
            BAD(call, "\"%.64s\" is not a field of %s", key, route->path);
            json_decref(body);
            return NULL;
        }
    }
    return body;
}

static bool check_query(struct tn__api_call *call, const struct route *route)
{
    static const char *const none[] = {NULL};
    char odd[65];
    bool is_post = route->method == TN__HTTP_POST;
    if (!tn__http_query_only(&call->target, is_post ? none : route->fields, odd, sizeof(odd))) {
        BAD(call, "\"%s\" is not a parameter of %s", odd, route->path);
        return false;
    }
    return true;
}

void tn__api_serve(struct tn__connection *connection, tn_time now)
{
    const struct tn__http_request *request = &connection->request;
    struct tn__api_call call = {.connection = connection, .api = connection->api, .now = now};
    if (!tn__http_target_cut(request->target, request->target_length, &call.target)) {
        BAD(&call, "the request target must be a path, like /v1/status");
        return;
    }
    const struct route *other;
    const struct route *route = find_route(&call, request->method, &other);
    if (route == NULL && other != NULL) {
        connection->allow = other->method == TN__HTTP_POST ? "POST" : "GET";
        tn__api_fail(connection, TN_API_ERROR_METHOD, NULL, "use the method %s for %s",
                     connection->allow, other->path);
        return;
    }
    if (route == NULL) {
        tn__api_fail(connection, TN_API_ERROR_NOT_FOUND, NULL,
                     "there is no such path: see the documentation of the client port");
        return;
    }
    if (!check_query(&call, route)) {
        return;
    }
    if (route->method == TN__HTTP_POST) {
        call.body = parse_body(&call, route);
        if (call.body == NULL) {
            return;
        }
    }
    route->serve(&call);
    json_decref(call.body);
}
