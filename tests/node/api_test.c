/* The client port of a real node, by HTTP: every path, what is refused and how, sessions, watching,
 * and clients that behave badly. One node alone where that is enough, three where members matter.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/api.h"
#include "node/node_client.h"
#include "os/clock.h"
#include "support/http_client.h"
#include "support/node_cell.h"

static struct cell cell;

static uint16_t port_of(uint32_t index)
{
    return tn__node_client_port(cell.nodes[index].node);
}

static void start(uint32_t count)
{
    cell_make(&cell, count, "127.0.0.1");
    for (uint32_t i = 0; i < count; i++) {
        cell.nodes[i].options.listen_client = "127.0.0.1:0";
    }
    cell_start_all(&cell);
    cell_await_connected(&cell, count);
}

static int start_one(void **state)
{
    (void)state;
    start(1);
    return 0;
}

static int start_three(void **state)
{
    (void)state;
    start(3);
    return 0;
}

static int end(void **state)
{
    (void)state;
    cell_end(&cell);
    return 0;
}

/* ---- Helpers --------------------------------------------------------------------------------- */

static const char *text_of(const json_t *object, const char *field)
{
    const char *text = json_string_value(json_object_get(object, field));
    return text != NULL ? text : "";
}

static int64_t number_of(const json_t *object, const char *field)
{
    const json_t *value = json_object_get(object, field);
    if (!json_is_integer(value)) {
        char *all = json_dumps(object, 0);
        fail_msg("no number \"%s\" in %s", field, all);
    }
    return json_integer_value(value);
}

static struct http_answer call(uint32_t index, const char *target, const char *body)
{
    return http_call(port_of(index), body != NULL ? "POST" : "GET", target, body);
}

static void expect(uint32_t index, const char *target, const char *body, int status,
                   const char *error)
{
    struct http_answer answer = call(index, target, body);
    if (answer.status != status || strcmp(text_of(answer.json, "error"), error) != 0) {
        fail_msg("%s %s: %d %s, and not %d %s", target, body != NULL ? body : "", answer.status,
                 answer.text, status, error);
    }
    if (error[0] != '\0') {
        assert_true(strlen(text_of(answer.json, "message")) > 10);
    }
    http_answer_free(&answer);
}

struct held {
    char holding[17];
    int64_t token;
    int64_t valid_ms;
};

static struct held take_held(const json_t *json)
{
    struct held held = {.token = number_of(json, "token"), .valid_ms = number_of(json, "valid_ms")};
    snprintf(held.holding, sizeof(held.holding), "%s", text_of(json, "holding"));
    assert_int_equal(strlen(held.holding), 16);
    char digits[24];
    snprintf(digits, sizeof(digits), "%lld", (long long)held.token);
    assert_string_equal(text_of(json, "token_text"), digits);
    return held;
}

/* Acquire through a node, waiting; it must be granted. */
static struct held acquire(uint32_t index, const char *name, unsigned ttl_ms)
{
    char body[256];
    snprintf(body, sizeof(body),
             "{\"name\": \"%s\", \"wait_ms\": 60000, \"ttl_ms\": %u, \"label\": \"tester\"}", name,
             ttl_ms);
    struct http_answer answer = call(index, "/v1/acquire", body);
    if (answer.status != 200) {
        fail_msg("%s: %s", body, answer.text);
    }
    struct held held = take_held(answer.json);
    http_answer_free(&answer);
    return held;
}

static void release(uint32_t index, const struct held *held, int status)
{
    char body[64];
    snprintf(body, sizeof(body), "{\"holding\": \"%s\"}", held->holding);
    struct http_answer answer = call(index, "/v1/release", body);
    assert_int_equal(answer.status, status);
    http_answer_free(&answer);
}

/* A session: the connection, with its first line taken. */
static void open_session(struct http_client *client, uint32_t index, const char *name)
{
    char body[128];
    snprintf(body, sizeof(body),
             "{\"name\": \"%s\", \"session\": true, \"wait_ms\": 60000, \"ttl_ms\": 60000}", name);
    http_connect(client, port_of(index));
    http_ask(client, "POST", "/v1/acquire", body);
    assert_int_equal(http_receive_head(client), 200);
    json_t *line = http_receive_line(client);
    assert_string_equal(text_of(line, "event"), "queued");
    json_decref(line);
}

/* Lines until one with this event; what others come before is passed over. */
static json_t *await_event(struct http_client *client, const char *event)
{
    for (int i = 0; i < 10000; i++) {
        json_t *line = http_receive_line(client);
        if (line == NULL) {
            fail_msg("the stream is over without \"%s\"", event);
        }
        if (strcmp(text_of(line, "event"), event) == 0) {
            return line;
        }
        json_decref(line);
    }
    fail_msg("10000 lines without \"%s\"", event);
    return NULL;
}

/* ---- Holding --------------------------------------------------------------------------------- */

static void a_name_is_acquired_renewed_and_released(void **state)
{
    (void)state;
    struct held held = acquire(0, "a b/\xc3\xa9", 60000);
    assert_true(held.token > 0);
    struct http_answer who = call(0, "/v1/who?name=a%20b/%C3%a9", NULL);
    assert_int_equal(who.status, 200);
    assert_string_equal(text_of(who.json, "state"), "owned");
    assert_int_equal(number_of(who.json, "token"), held.token);
    assert_string_equal(text_of(json_object_get(who.json, "holder"), "label"), "tester");
    assert_memory_equal(text_of(json_object_get(who.json, "holder"), "address"), "127.0.0.1:", 10);
    assert_string_equal(text_of(json_object_get(who.json, "owner"), "name"), "a");
    http_answer_free(&who);

    char body[64];
    snprintf(body, sizeof(body), "{\"holding\": \"%s\"}", held.holding);
    struct http_answer renewed = call(0, "/v1/renew", body);
    assert_int_equal(renewed.status, 200);
    assert_int_equal(number_of(renewed.json, "renewals"), 1);
    assert_int_equal(number_of(renewed.json, "token"), held.token);
    assert_in_range(number_of(renewed.json, "valid_ms"), 0, CELL_PROPOSER_NS / TN_MILLISECOND);
    http_answer_free(&renewed);

    expect(0, "/v1/acquire", "{\"name\": \"a b/\xc3\xa9\"}", 409, "held");
    release(0, &held, 200);
    release(0, &held, 404);
    expect(0, "/v1/renew", body, 404, "no_holding");
    who = call(0, "/v1/who?name=a+b%2F%c3%A9&table=fast", NULL);
    assert_string_equal(text_of(who.json, "state"), "free");
    http_answer_free(&who);
}

static void a_holding_ends_when_it_is_not_renewed(void **state)
{
    (void)state;
    struct held first = acquire(0, "n", 50);
    struct held second = acquire(0, "n", 60000); /* granted once the first has run out */
    assert_true(second.token > first.token);
    release(0, &first, 404);
    release(0, &second, 200);
}

static void C4_tokens_of_a_name_rise_from_client_to_client(void **state)
{
    (void)state;
    int64_t last = 0;
    for (uint32_t i = 0; i < 60; i++) {
        struct held held = acquire(i % 3, "n", 60000);
        assert_true(held.token > last);
        last = held.token;
        release(i % 3, &held, 200);
    }
}

static void a_wait_ends_at_its_limit(void **state)
{
    (void)state;
    struct held held = acquire(0, "n", 60000);
    expect(0, "/v1/acquire", "{\"name\": \"n\", \"wait_ms\": 30}", 504, "timeout");
    release(0, &held, 200);
}

static void a_try_at_another_node_names_the_owner(void **state)
{
    (void)state;
    struct held held = acquire(0, "n", 60000);
    struct http_answer answer = call(1, "/v1/acquire", "{\"name\": \"n\"}");
    assert_int_equal(answer.status, 409);
    assert_string_equal(text_of(answer.json, "error"), "held");
    assert_string_equal(text_of(json_object_get(answer.json, "owner"), "name"), "a");
    http_answer_free(&answer);
    release(1, &held, 404); /* a holding is known to its own node alone */
    release(0, &held, 200);
}

static void a_waiting_client_that_goes_away_is_passed_over(void **state)
{
    (void)state;
    struct held held = acquire(0, "n", 60000);
    struct http_client waiting;
    http_connect(&waiting, port_of(0));
    http_ask(&waiting, "POST", "/v1/acquire", "{\"name\": \"n\", \"wait_ms\": 60000}");
    tn_time since = 0;
    for (int64_t count = 0; count != 1; assert_true(cell_patience(&since))) {
        struct http_answer who = call(0, "/v1/who?name=n", NULL);
        count = number_of(who.json, "waiting");
        http_answer_free(&who);
    }
    http_close(&waiting);
    release(0, &held, 200);
    held = acquire(1, "n", 60000); /* at another node: the first one has let go of the name */
    release(1, &held, 200);
}

/* ---- Sessions -------------------------------------------------------------------------------- */

static void a_session_holds_until_it_is_released(void **state)
{
    (void)state;
    struct http_client client;
    open_session(&client, 0, "n");
    json_t *line = await_event(&client, "granted");
    struct held held = take_held(line);
    json_decref(line);
    line = await_event(&client, "renewed");
    assert_string_equal(text_of(line, "holding"), held.holding);
    assert_true(number_of(line, "valid_ms") > 0);
    json_decref(line);
    release(0, &held, 200);
    line = await_event(&client, "released");
    json_decref(line);
    assert_null(http_receive_line(&client));
    http_ask(&client, "GET", "/v1/who?name=n", NULL); /* the connection goes on */
    struct http_answer who = http_receive(&client);
    assert_string_equal(text_of(who.json, "state"), "free");
    http_answer_free(&who);
    http_close(&client);
}

static void C1_the_next_client_follows_a_session_whose_connection_is_gone(void **state)
{
    (void)state;
    struct http_client first;
    open_session(&first, 0, "n");
    json_t *line = await_event(&first, "granted");
    struct held held = take_held(line);
    json_decref(line);
    struct http_client second;
    open_session(&second, 0, "n");
    http_close(&first);
    line = await_event(&second, "granted");
    struct held next = take_held(line);
    json_decref(line);
    assert_true(next.token > held.token);
    http_close(&second);
    struct held third = acquire(0, "n", 60000);
    assert_true(third.token > next.token);
    release(0, &third, 200);
}

static void a_session_whose_wait_is_over_is_told(void **state)
{
    (void)state;
    struct held held = acquire(0, "n", 60000);
    struct http_client client;
    http_connect(&client, port_of(0));
    http_ask(&client, "POST", "/v1/acquire",
             "{\"name\": \"n\", \"session\": true, \"wait_ms\": 20}");
    assert_int_equal(http_receive_head(&client), 200);
    json_t *line = await_event(&client, "failed");
    assert_string_equal(text_of(line, "error"), "timeout");
    json_decref(line);
    assert_null(http_receive_line(&client));
    http_close(&client);
    release(0, &held, 200);
}

static void a_session_is_told_when_its_node_leaves(void **state)
{
    (void)state;
    struct http_client client;
    open_session(&client, 0, "n");
    json_decref(await_event(&client, "granted"));
    tn_node_stop(cell.nodes[0].node);
    json_t *line = await_event(&client, "lost");
    assert_string_equal(text_of(line, "reason"), "stopping");
    json_decref(line);
    http_await_end(&client);
    http_close(&client);
}

static void C1_a_node_that_leaves_does_not_release_what_a_client_counts_on(void **state)
{
    (void)state;
    tn_time sent = 0;
    struct held held = {0};
    while (held.valid_ms < 100) { /* enough of it left to see the difference */
        held = acquire(0, "n", 60000);
        char body[64];
        snprintf(body, sizeof(body), "{\"holding\": \"%s\"}", held.holding);
        sent = tn__clock_now();
        struct http_answer renewed = call(0, "/v1/renew", body);
        held.valid_ms = number_of(renewed.json, "valid_ms");
        http_answer_free(&renewed);
        if (held.valid_ms < 100) {
            release(0, &held, 200);
        }
    }
    cell_stop(&cell, 0);
    struct held next = acquire(1, "n", 60000);
    assert_true(tn__clock_now() >= sent + (tn_time)held.valid_ms * TN_MILLISECOND);
    assert_true(next.token > held.token);
    release(1, &next, 200);
}

/* ---- Looking --------------------------------------------------------------------------------- */

static void leases_are_listed_page_by_page(void **state)
{
    (void)state;
    struct held held[7];
    for (int i = 0; i < 7; i++) {
        char name[16];
        snprintf(name, sizeof(name), "page/%d", i);
        held[i] = acquire(0, name, 60000);
    }
    struct held other = acquire(0, "other", 60000);
    char target[128] = "/v1/leases?limit=3&prefix=page/";
    unsigned seen = 0;
    int pages = 0;
    for (; pages < 20; pages++) {
        struct http_answer answer = call(0, target, NULL);
        assert_int_equal(answer.status, 200);
        const json_t *leases = json_object_get(answer.json, "leases");
        assert_in_range(json_array_size(leases), 0, 3);
        for (size_t i = 0; i < json_array_size(leases); i++) {
            int number = -1;
            assert_int_equal(sscanf(text_of(json_array_get(leases, i), "name"), "page/%d", &number),
                             1);
            assert_in_range(number, 0, 6);
            assert_int_equal(seen & (1U << number), 0);
            seen |= 1U << number;
        }
        if (json_object_get(answer.json, "next") == NULL) {
            http_answer_free(&answer);
            break;
        }
        snprintf(target, sizeof(target), "/v1/leases?limit=3&prefix=page/&after=%s",
                 text_of(answer.json, "next"));
        http_answer_free(&answer);
    }
    assert_int_equal(seen, 0x7f);
    assert_true(pages >= 2);
    for (int i = 0; i < 7; i++) {
        release(0, &held[i], 200);
    }
    release(0, &other, 200);
}

static void status_and_health_tell_of_the_members(void **state)
{
    (void)state;
    struct http_answer status = call(0, "/v1/status", NULL);
    assert_int_equal(status.status, 200);
    const json_t *members = json_object_get(status.json, "members");
    assert_int_equal(json_array_size(members), 3);
    for (size_t i = 0; i < 3; i++) {
        const json_t *member = json_array_get(members, i);
        assert_true(json_is_true(json_object_get(member, "connected")));
        assert_int_equal(json_is_true(json_object_get(member, "self")), i == 0);
    }
    assert_string_equal(text_of(status.json, "name"), "a");
    const json_t *table = json_array_get(json_object_get(status.json, "tables"), 0);
    assert_string_equal(text_of(table, "name"), "fast");
    assert_int_equal(number_of(table, "proposer_ms"), CELL_PROPOSER_NS / TN_MILLISECOND);
    http_answer_free(&status);
    tn_time since = 0;
    for (int healthy = 0; healthy != 200; assert_true(cell_patience(&since))) {
        struct http_answer answer = call(0, "/health", NULL);
        healthy = answer.status; /* 503 until the quarantine is over */
        http_answer_free(&answer);
    }
    cell_stop(&cell, 1);
    cell_stop(&cell, 2);
    for (int healthy = 200; healthy != 503; assert_true(cell_patience(&since))) {
        struct http_answer answer = call(0, "/health", NULL);
        healthy = answer.status;
        if (healthy == 503) {
            assert_non_null(strstr(text_of(answer.json, "reason"), "majority"));
        }
        http_answer_free(&answer);
    }
    expect(0, "/v1/acquire", "{\"name\": \"n\"}", 503, "no_quorum");
}

static void a_watcher_sees_the_state_and_then_changes(void **state)
{
    (void)state;
    struct held before = acquire(0, "w/before", 60000);
    struct http_client client;
    http_connect(&client, port_of(1));
    http_ask(&client, "GET", "/v1/watch?prefix=w/", NULL);
    assert_int_equal(http_receive_head(&client), 200);
    json_t *line = await_event(&client, "state");
    assert_string_equal(text_of(line, "name"), "w/before");
    assert_string_equal(text_of(line, "state"), "held");
    json_decref(line);
    json_decref(await_event(&client, "synced"));
    struct held unseen = acquire(0, "other", 60000);
    struct held after = acquire(0, "w/after", 60000);
    line = await_event(&client, "learned");
    while (strcmp(text_of(line, "name"), "w/after") != 0) {
        assert_string_equal(text_of(line, "name"), "w/before");
        json_decref(line);
        line = await_event(&client, "learned");
    }
    assert_int_equal(number_of(line, "token"), after.token);
    json_decref(line);
    release(0, &after, 200);
    line = await_event(&client, "freed");
    assert_string_equal(text_of(line, "name"), "w/after");
    json_decref(line);
    http_close(&client);
    release(0, &unseen, 200);
    release(0, &before, 200);
}

static void a_watcher_of_one_name_sees_that_it_is_free(void **state)
{
    (void)state;
    struct http_client client;
    http_connect(&client, port_of(0));
    const char *ask = "GET /v1/watch?name=n&table=fast HTTP/1.0\r\n\r\n"; /* not chunked */
    http_send(&client, ask, strlen(ask));
    assert_int_equal(http_receive_head(&client), 200);
    json_t *line = http_receive_line(&client);
    assert_string_equal(text_of(line, "state"), "free");
    json_decref(line);
    json_decref(await_event(&client, "synced"));
    struct held held = acquire(0, "n", 60000);
    json_decref(await_event(&client, "opened"));
    json_decref(await_event(&client, "renewed"));
    struct held waiting;
    release(0, &held, 200);
    json_decref(await_event(&client, "released"));
    waiting = acquire(0, "n", 60000);
    release(0, &waiting, 200);
    http_close(&client);
}

static void metrics_count_what_happens(void **state)
{
    (void)state;
    struct held held = acquire(0, "n", 60000);
    struct http_answer answer = call(0, "/metrics", NULL);
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.text, "\ntenure_owned 1\n"));
    assert_non_null(strstr(answer.text, "\ntenure_clients_granted_total 1\n"));
    assert_non_null(strstr(answer.text, "\ntenure_clients_holding 1\n"));
    http_answer_free(&answer);
    release(0, &held, 200);
}

/* ---- Hand-over ------------------------------------------------------------------------------- */

static void H1_a_hand_over_moves_a_name_to_a_member(void **state)
{
    (void)state;
    struct held held = acquire(0, "n", 60000);
    expect(1, "/v1/hand-over", "{\"name\": \"n\", \"to\": \"c\"}", 409, "not_owner");
    expect(0, "/v1/hand-over", "{\"name\": \"n\", \"to\": \"zebra\"}", 404, "not_found");
    expect(0, "/v1/hand-over", "{\"name\": \"n\", \"to\": \"a\"}", 400, "bad_request");
    struct http_client next;
    open_session(&next, 2, "n");
    struct http_answer answer = call(0, "/v1/hand-over", "{\"name\": \"n\", \"to\": 3}");
    assert_int_equal(answer.status, 202);
    assert_true(json_is_true(json_object_get(answer.json, "pending")));
    http_answer_free(&answer);
    char body[64];
    snprintf(body, sizeof(body), "{\"holding\": \"%s\"}", held.holding);
    answer = call(0, "/v1/renew", body); /* C6: 404 if its time has run out meanwhile */
    assert_in_range(answer.status, 404, 409);
    http_answer_free(&answer);
    json_t *line = await_event(&next, "granted");
    assert_true(number_of(line, "token") > held.token);
    json_decref(line);
    http_close(&next);
}

static void H1_a_programs_own_name_is_reserved_and_can_be_handed_over(void **state)
{
    (void)state;
    struct tn_node_lease *lease = NULL;
    assert_int_equal(tn_node_lease_open(cell.nodes[0].node, "fast", "own", NULL, &lease), 0);
    assert_int_equal(tn_node_lease_wait(lease, CELL_PATIENCE_NS), 0);
    expect(0, "/v1/acquire", "{\"name\": \"own\"}", 409, "reserved");
    struct http_answer answer = call(0, "/v1/hand-over", "{\"name\": \"own\", \"to\": \"b\"}");
    assert_int_equal(answer.status, 200);
    http_answer_free(&answer);
    assert_false(tn_node_lease_owned(lease, NULL, NULL));
    tn_node_lease_close(lease);
    struct held held = acquire(0, "taken", 60000);
    assert_int_equal(tn_node_lease_open(cell.nodes[0].node, "fast", "taken", NULL, &lease),
                     TN_ERROR_BUSY);
    release(0, &held, 200);
}

/* ---- What is refused ------------------------------------------------------------------------- */

static void bad_requests_are_refused_with_a_sentence(void **state)
{
    (void)state;
    static const struct {
        const char *target;
        const char *body;
        int status;
        const char *error;
    } cases[] = {
        {"/v1/acquire", "", 400, "bad_request"},
        {"/v1/acquire", "{", 400, "bad_request"},
        {"/v1/acquire", "[]", 400, "bad_request"},
        {"/v1/acquire", "{} {}", 400, "bad_request"},
        {"/v1/acquire", "{\"name\": \"a\", \"name\": \"b\"}", 400, "bad_request"},
        {"/v1/acquire", "{}", 400, "bad_request"},
        {"/v1/acquire", "{\"name\": \"\"}", 400, "bad_request"},
        {"/v1/acquire", "{\"name\": 7}", 400, "bad_request"},
        {"/v1/acquire", "{\"name\": null}", 400, "bad_request"},
        {"/v1/acquire", "{\"name\": \"a\\u0000b\"}", 400, "bad_request"},
        {"/v1/acquire", "{\"name\": \"a\\nb\"}", 400, "bad_request"},
        {"/v1/acquire", "{\"name\": \"\xff\xfe\"}", 400, "bad_request"},
        {"/v1/acquire", "{\"name\": \"a\", \"nmae\": 1}", 400, "bad_request"},
        {"/v1/acquire", "{\"name\": \"a\", \"wait_ms\": -1}", 400, "bad_request"},
        {"/v1/acquire", "{\"name\": \"a\", \"wait_ms\": 1.5}", 400, "bad_request"},
        {"/v1/acquire", "{\"name\": \"a\", \"wait_ms\": \"1\"}", 400, "bad_request"},
        {"/v1/acquire", "{\"name\": \"a\", \"wait_ms\": 86400001}", 400, "bad_request"},
        {"/v1/acquire", "{\"name\": \"a\", \"wait_ms\": 99999999999999999999}", 400, "bad_request"},
        {"/v1/acquire", "{\"name\": \"a\", \"ttl_ms\": 9}", 400, "bad_request"},
        {"/v1/acquire", "{\"name\": \"a\", \"priority\": 16}", 400, "bad_request"},
        {"/v1/acquire", "{\"name\": \"a\", \"session\": 1}", 400, "bad_request"},
        {"/v1/acquire", "{\"name\": \"a\", \"label\": 1}", 400, "bad_request"},
        {"/v1/acquire", "{\"name\": \"a\", \"table\": \"slow\"}", 404, "not_found"},
        {"/v1/acquire?name=a", "{\"name\": \"a\"}", 400, "bad_request"},
        {"/v1/acquire", NULL, 405, "method"},
        {"/v1/status", "{}", 405, "method"},
        {"/v1/renew", "{\"holding\": \"123\"}", 400, "bad_request"},
        {"/v1/renew", "{\"holding\": \"ZZZZZZZZZZZZZZZZ\"}", 400, "bad_request"},
        {"/v1/renew", "{\"holding\": \"0000000000000000\"}", 404, "no_holding"},
        {"/v1/release", "{\"holding\": \"ffffffffffffffff\"}", 404, "no_holding"},
        {"/v1/who", NULL, 400, "bad_request"},
        {"/v1/who?name=", NULL, 400, "bad_request"},
        {"/v1/who?name=a&name=b", NULL, 400, "bad_request"},
        {"/v1/who?name=%zz", NULL, 400, "bad_request"},
        {"/v1/who?name=%ff", NULL, 400, "bad_request"},
        {"/v1/who?name=a%00b", NULL, 400, "bad_request"},
        {"/v1/who?name=a&table=none", NULL, 404, "not_found"},
        {"/v1/who?name=a&x=1", NULL, 400, "bad_request"},
        {"/v1/leases?limit=0", NULL, 400, "bad_request"},
        {"/v1/leases?limit=1001", NULL, 400, "bad_request"},
        {"/v1/leases?after=x", NULL, 400, "bad_request"},
        {"/v1/leases?after=4294967296", NULL, 400, "bad_request"},
        {"/v1/leases?after=4294967295", NULL, 200, ""},
        {"/v1/watch?name=a&prefix=b", NULL, 400, "bad_request"},
        {"/nothing", NULL, 404, "not_found"},
        {"/", NULL, 404, "not_found"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        expect(0, cases[i].target, cases[i].body, cases[i].status, cases[i].error);
    }
}

static void names_and_labels_are_at_most_64_bytes(void **state)
{
    (void)state;
    for (int extra = 0; extra < 2; extra++) {
        char name[66];
        memset(name, 'n', sizeof(name));
        name[64 + extra] = '\0';
        char body[256];
        snprintf(body, sizeof(body), "{\"name\": \"%s\", \"wait_ms\": 60000}", name);
        expect(0, "/v1/acquire", body, extra ? 400 : 200, extra ? "bad_request" : "");
        snprintf(body, sizeof(body), "{\"name\": \"l\", \"wait_ms\": 60000, \"label\": \"%s\"}",
                 name);
        expect(0, "/v1/acquire", body, extra ? 400 : 200, extra ? "bad_request" : "");
        snprintf(body, sizeof(body), "/v1/who?name=%s", name);
        expect(0, body, NULL, extra ? 400 : 200, extra ? "bad_request" : "");
    }
}

static void what_is_too_large_is_refused_and_the_connection_ends(void **state)
{
    (void)state;
    char *body = malloc(65537 + 1);
    memset(body, ' ', 65537);
    body[65537] = '\0';
    struct http_client client;
    http_connect(&client, port_of(0));
    http_ask(&client, "POST", "/v1/acquire", body);
    struct http_answer answer = http_receive(&client);
    assert_int_equal(answer.status, 413);
    assert_true(answer.closes);
    http_answer_free(&answer);
    http_await_end(&client);
    http_close(&client);
    body[65536] = '\0';
    expect(0, "/v1/acquire", body, 400, "bad_request"); /* it fits, but is no JSON */

    http_connect(&client, port_of(0));
    const char *begin = "GET /health HTTP/1.1\r\nX: ";
    http_send(&client, begin, strlen(begin));
    http_send(&client, body, 9000);
    answer = http_receive(&client);
    assert_int_equal(answer.status, 413);
    http_answer_free(&answer);
    http_close(&client);
    free(body);
}

/* ---- Connections ----------------------------------------------------------------------------- */

static void pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    struct held held = acquire(0, "n", 60000);
    struct http_client client;
    http_connect(&client, port_of(0));
    char text[2048];
    int length = snprintf(text, sizeof(text),
                          "GET /v1/who?name=1 HTTP/1.1\r\n\r\n"
                          "POST /v1/acquire HTTP/1.1\r\nContent-Length: 29\r\n\r\n"
                          "{\"name\": \"n\", \"wait_ms\": 40 }"
                          "GET /v1/who?name=2 HTTP/1.1\r\n\r\nGET /v1/who?name=3 HTTP/1.1\r\n"
                          "Connection: close\r\n\r\nGET /v1/who?name=4 HTTP/1.1\r\n\r\n");
    http_send(&client, text, (size_t)length);
    static const char *const names[] = {"1", "", "2", "3"};
    for (size_t i = 0; i < 4; i++) {
        struct http_answer answer = http_receive(&client);
        assert_int_equal(answer.status, i == 1 ? 504 : 200);
        assert_string_equal(text_of(answer.json, "name"), names[i]);
        assert_int_equal(answer.closes, i == 3);
        http_answer_free(&answer);
    }
    assert_int_equal(http_await_end(&client), 0);
    http_close(&client);
    release(0, &held, 200);
}

static void a_client_that_expects_continue_is_told_to(void **state)
{
    (void)state;
    struct http_client client;
    http_connect(&client, port_of(0));
    const char *head = "POST /v1/release HTTP/1.1\r\nExpect: 100-continue\r\n"
                       "Content-Length: 2\r\n\r\n";
    http_send(&client, head, strlen(head));
    assert_int_equal(http_receive_head(&client), 100);
    http_send(&client, "{}", 2);
    struct http_answer answer = http_receive(&client);
    assert_int_equal(answer.status, 400);
    http_answer_free(&answer);
    http_close(&client);
}

static void garbage_ends_the_connection_with_400(void **state)
{
    (void)state;
    struct http_client client;
    http_connect(&client, port_of(0));
    http_send(&client, "\x16\x03\x01\x02\x00\x01\x00\x01", 8);
    struct http_answer answer = http_receive(&client);
    assert_int_equal(answer.status, 400);
    http_answer_free(&answer);
    assert_int_equal(http_await_end(&client), 0);
    http_close(&client);
}

static void a_request_that_trickles_in_is_ended_and_others_are_served(void **state)
{
    (void)state;
    struct http_client slow;
    http_connect(&slow, port_of(0));
    http_send(&slow, "GET /hea", 8);
    for (int i = 0; i < 20; i++) {
        expect(0, "/v1/who?name=n", NULL, 200, "");
    }
    struct http_answer answer = http_receive(&slow); /* after 10 s */
    assert_int_equal(answer.status, 408);
    assert_string_equal(text_of(answer.json, "error"), "slow");
    http_answer_free(&answer);
    assert_int_equal(http_await_end(&slow), 0);
    http_close(&slow);
}

static void who_sends_ahead_without_end_is_cut(void **state)
{
    (void)state;
    struct held held = acquire(0, "n", 60000);
    struct http_client client;
    http_connect(&client, port_of(0));
    http_ask(&client, "POST", "/v1/acquire", "{\"name\": \"n\", \"wait_ms\": 60000}");
    char *flood = malloc(1U << 20);
    memset(flood, 'x', 1U << 20);
    http_send(&client, flood, 1U << 20);
    assert_int_equal(http_await_end(&client), 0);
    http_close(&client);
    free(flood);
    expect(0, "/v1/who?name=n", NULL, 200, "");
    release(0, &held, 200);
}

static void who_never_reads_is_cut(void **state)
{
    (void)state;
    struct http_client client;
    http_connect(&client, port_of(0));
    const char *ask = "GET /metrics HTTP/1.1\r\n\r\n";
    for (int i = 0; i < 4000; i++) { /* 40 MB of answers: no socket holds that many */
        http_send(&client, ask, strlen(ask));
    }
    struct http_answer answer;
    tn_time since = 0;
    for (bool cut = false; !cut; assert_true(cell_patience(&since))) {
        answer = call(0, "/metrics", NULL);
        cut = strstr(answer.text, "\ntenure_api_cut_total 1\n") != NULL;
        http_answer_free(&answer);
    }
    http_close(&client);
    expect(0, "/v1/who?name=n", NULL, 200, "");
}

#define WITH_ONE(name) cmocka_unit_test_setup_teardown(name, start_one, end)
#define WITH_THREE(name) cmocka_unit_test_setup_teardown(name, start_three, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ONE(a_name_is_acquired_renewed_and_released),
        WITH_ONE(a_holding_ends_when_it_is_not_renewed),
        WITH_THREE(C4_tokens_of_a_name_rise_from_client_to_client),
        WITH_ONE(a_wait_ends_at_its_limit),
        WITH_THREE(a_try_at_another_node_names_the_owner),
        WITH_THREE(a_waiting_client_that_goes_away_is_passed_over),
        WITH_ONE(a_session_holds_until_it_is_released),
        WITH_ONE(C1_the_next_client_follows_a_session_whose_connection_is_gone),
        WITH_ONE(a_session_whose_wait_is_over_is_told),
        WITH_ONE(a_session_is_told_when_its_node_leaves),
        WITH_THREE(C1_a_node_that_leaves_does_not_release_what_a_client_counts_on),
        WITH_ONE(leases_are_listed_page_by_page),
        WITH_THREE(status_and_health_tell_of_the_members),
        WITH_THREE(a_watcher_sees_the_state_and_then_changes),
        WITH_ONE(a_watcher_of_one_name_sees_that_it_is_free),
        WITH_ONE(metrics_count_what_happens),
        WITH_THREE(H1_a_hand_over_moves_a_name_to_a_member),
        WITH_THREE(H1_a_programs_own_name_is_reserved_and_can_be_handed_over),
        WITH_ONE(bad_requests_are_refused_with_a_sentence),
        WITH_ONE(names_and_labels_are_at_most_64_bytes),
        WITH_ONE(what_is_too_large_is_refused_and_the_connection_ends),
        WITH_ONE(pipelined_requests_are_answered_in_order),
        WITH_ONE(a_client_that_expects_continue_is_told_to),
        WITH_ONE(garbage_ends_the_connection_with_400),
        WITH_ONE(a_request_that_trickles_in_is_ended_and_others_are_served),
        WITH_ONE(who_sends_ahead_without_end_is_cut),
        WITH_ONE(who_never_reads_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
