/* Calls on the client port: see client_port.h. */
#define _GNU_SOURCE
#include "support/client_port.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "node/node_client.h"

struct cell client_port_cell;

uint16_t client_port_of(uint32_t index)
{
    return tn__node_client_port(client_port_cell.nodes[index].node);
}

static void start(uint32_t count)
{
    cell_make(&client_port_cell, count, "127.0.0.1");
    for (uint32_t i = 0; i < count; i++) {
        client_port_cell.nodes[i].options.listen_client = "127.0.0.1:0";
    }
    cell_start_all(&client_port_cell);
    cell_await_connected(&client_port_cell, count);
}

int client_port_start_one(void **state)
{
    (void)state;
    start(1);
    return 0;
}

int client_port_start_three(void **state)
{
    (void)state;
    start(3);
    return 0;
}

int client_port_end(void **state)
{
    (void)state;
    cell_end(&client_port_cell);
    return 0;
}

/* ---- Calls ------------------------------------------------------------------------------- */

const char *json_text_of(const json_t *object, const char *field)
{
    const char *text = json_string_value(json_object_get(object, field));
    return text != NULL ? text : "";
}

int64_t json_number_of(const json_t *object, const char *field)
{
    const json_t *value = json_object_get(object, field);
    if (!json_is_integer(value)) {
        char *all = json_dumps(object, 0);
        fail_msg("no number \"%s\" in %s", field, all);
    }
    return json_integer_value(value);
}

struct http_answer client_port_call(uint32_t index, const char *target, const char *body)
{
    return http_call(client_port_of(index), body != NULL ? "POST" : "GET", target, body);
}

void client_port_expect(uint32_t index, const char *target, const char *body, int status,
                        const char *error)
{
    struct http_answer answer = client_port_call(index, target, body);
    if (answer.status != status || strcmp(json_text_of(answer.json, "error"), error) != 0) {
        fail_msg("%s %s: %d %s, and not %d %s", target, body != NULL ? body : "", answer.status,
                 answer.text, status, error);
    }
    if (error[0] != '\0') {
        assert_true(strlen(json_text_of(answer.json, "message")) > 10);
    }
    http_answer_free(&answer);
}

struct held client_port_take_held(const json_t *json)
{
    struct held held = {.token = json_number_of(json, "token"),
                        .valid_ms = json_number_of(json, "valid_ms")};
    snprintf(held.holding, sizeof(held.holding), "%s", json_text_of(json, "holding"));
    assert_int_equal(strlen(held.holding), 16);
    char digits[24];
    snprintf(digits, sizeof(digits), "%lld", (long long)held.token);
    assert_string_equal(json_text_of(json, "token_text"), digits);
    return held;
}

/* Acquire through a node, waiting; it must be granted. */
struct held client_port_acquire(uint32_t index, const char *name, unsigned ttl_ms)
{
    char body[256];
    snprintf(body, sizeof(body),
             "{\"name\": \"%s\", \"wait_ms\": 60000, \"ttl_ms\": %u, \"label\": \"tester\"}", name,
             ttl_ms);
    struct http_answer answer = client_port_call(index, "/v1/acquire", body);
    if (answer.status != 200) {
        fail_msg("%s: %s", body, answer.text);
    }
    struct held held = client_port_take_held(answer.json);
    http_answer_free(&answer);
    return held;
}

void client_port_release(uint32_t index, const struct held *held, int status)
{
    char body[64];
    snprintf(body, sizeof(body), "{\"holding\": \"%s\"}", held->holding);
    struct http_answer answer = client_port_call(index, "/v1/release", body);
    assert_int_equal(answer.status, status);
    http_answer_free(&answer);
}

/* A session: the connection, with its first line taken. */
void client_port_open_session(struct http_client *client, uint32_t index, const char *name)
{
    char body[128];
    snprintf(body, sizeof(body),
             "{\"name\": \"%s\", \"session\": true, \"wait_ms\": 60000, \"ttl_ms\": 60000}", name);
    http_connect(client, client_port_of(index));
    http_ask(client, "POST", "/v1/acquire", body);
    assert_int_equal(http_receive_head(client), 200);
    json_t *line = http_receive_line(client);
    assert_string_equal(json_text_of(line, "event"), "queued");
    json_decref(line);
}

/* Lines until one with this event; what others come before is passed over. */
json_t *client_port_await_event(struct http_client *client, const char *event)
{
    for (int i = 0; i < 10000; i++) {
        json_t *line = http_receive_line(client);
        if (line == NULL) {
            fail_msg("the stream is over without \"%s\"", event);
        }
        if (strcmp(json_text_of(line, "event"), event) == 0) {
            return line;
        }
        json_decref(line);
    }
    fail_msg("10000 lines without \"%s\"", event);
    return NULL;
}
