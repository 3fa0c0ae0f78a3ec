/* The client port of a real node, by HTTP: holding, sessions, looking, watching, handing over. One
 * node alone where that is enough, three where members matter. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/clock.h"
#include "support/client_port.h"

/* ---- Holding ----------------------------------------------------------------------------- */

static void a_name_is_acquired_renewed_and_released(void **state)
{
    (void)state;
    struct held held = client_port_acquire(0, "a b/\xc3\xa9", 60000);
    assert_true(held.token > 0);
    struct http_answer who = client_port_call(0, "/v1/who?name=a%20b/%C3%a9", NULL);
    assert_int_equal(who.status, 200);
    assert_string_equal(json_text_of(who.json, "state"), "owned");
    assert_int_equal(json_number_of(who.json, "token"), held.token);
    assert_string_equal(json_text_of(json_object_get(who.json, "holder"), "label"), "tester");
    assert_memory_equal(json_text_of(json_object_get(who.json, "holder"), "address"),
                        "127.0.0.1:", 10);
    assert_string_equal(json_text_of(json_object_get(who.json, "owner"), "name"), "a");
    http_answer_free(&who);

    char body[64];
    snprintf(body, sizeof(body), "{\"holding\": \"%s\"}", held.holding);
    struct http_answer renewed = client_port_call(0, "/v1/renew", body);
    assert_int_equal(renewed.status, 200);
    assert_int_equal(json_number_of(renewed.json, "renewals"), 1);
    assert_int_equal(json_number_of(renewed.json, "token"), held.token);
    assert_in_range(json_number_of(renewed.json, "valid_ms"), 0, CELL_PROPOSER_NS / TN_MILLISECOND);
    http_answer_free(&renewed);

    client_port_expect(0, "/v1/acquire", "{\"name\": \"a b/\xc3\xa9\"}", 409, "held");
    client_port_release(0, &held, 200);
    client_port_release(0, &held, 404);
    client_port_expect(0, "/v1/renew", body, 404, "no_holding");
    who = client_port_call(0, "/v1/who?name=a+b%2F%c3%A9&table=fast", NULL);
    assert_string_equal(json_text_of(who.json, "state"), "free");
    http_answer_free(&who);
}

static void a_holding_ends_when_it_is_not_renewed(void **state)
{
    (void)state;
    struct held first = client_port_acquire(0, "n", 50);
    struct held second =
        client_port_acquire(0, "n", 60000); /* granted once the first has run out */
    assert_true(second.token > first.token);
    client_port_release(0, &first, 404);
    client_port_release(0, &second, 200);
}

static void C4_tokens_of_a_name_rise_from_client_to_client(void **state)
{
    (void)state;
    int64_t last = 0;
    for (uint32_t i = 0; i < 60; i++) {
        struct held held = client_port_acquire(i % 3, "n", 60000);
        assert_true(held.token > last);
        last = held.token;
        client_port_release(i % 3, &held, 200);
    }
}

static void a_wait_ends_at_its_limit(void **state)
{
    (void)state;
    struct held held = client_port_acquire(0, "n", 60000);
    client_port_expect(0, "/v1/acquire", "{\"name\": \"n\", \"wait_ms\": 30}", 504, "timeout");
    client_port_release(0, &held, 200);
}

static void a_try_at_another_node_names_the_owner(void **state)
{
    (void)state;
    struct held held = client_port_acquire(0, "n", 60000);
    struct http_answer answer = client_port_call(1, "/v1/acquire", "{\"name\": \"n\"}");
    assert_int_equal(answer.status, 409);
    assert_string_equal(json_text_of(answer.json, "error"), "held");
    assert_string_equal(json_text_of(json_object_get(answer.json, "owner"), "name"), "a");
    http_answer_free(&answer);
    client_port_release(1, &held, 404); /* a holding is known to its own node alone */
    client_port_release(0, &held, 200);
}

static void a_waiting_client_that_goes_away_is_passed_over(void **state)
{
    (void)state;
    struct held held = client_port_acquire(0, "n", 60000);
    struct http_client waiting;
    http_connect(&waiting, client_port_of(0));
    http_ask(&waiting, "POST", "/v1/acquire", "{\"name\": \"n\", \"wait_ms\": 60000}");
    tn_time since = 0;
    for (int64_t count = 0; count != 1; assert_true(cell_patience(&since))) {
        struct http_answer who = client_port_call(0, "/v1/who?name=n", NULL);
        count = json_number_of(who.json, "waiting");
        http_answer_free(&who);
    }
    http_close(&waiting);
    client_port_release(0, &held, 200);
    held = client_port_acquire(1, "n",
                               60000); /* at another node: the first one has let go of the name */
    client_port_release(1, &held, 200);
}

/* ---- Sessions ---------------------------------------------------------------------------- */

static void a_session_holds_until_it_is_released(void **state)
{
    (void)state;
    struct http_client client;
    client_port_open_session(&client, 0, "n");
    json_t *line = client_port_await_event(&client, "granted");
    struct held held = client_port_take_held(line);
    assert_string_equal(json_text_of(line, "name"), "n");
    assert_true(strlen(json_text_of(line, "table")) > 0);
    json_decref(line);
    line = client_port_await_event(&client, "renewed");
    assert_string_equal(json_text_of(line, "name"), "n");
    assert_string_equal(json_text_of(line, "holding"), held.holding);
    assert_true(json_number_of(line, "valid_ms") > 0);
    json_decref(line);
    client_port_release(0, &held, 200);
    line = client_port_await_event(&client, "released");
    json_decref(line);
    assert_null(http_receive_line(&client));
    http_ask(&client, "GET", "/v1/who?name=n", NULL); /* the connection goes on */
    struct http_answer who = http_receive(&client);
    assert_string_equal(json_text_of(who.json, "state"), "free");
    http_answer_free(&who);
    http_close(&client);
}

static void C1_the_next_client_follows_a_session_whose_connection_is_gone(void **state)
{
    (void)state;
    struct http_client first;
    client_port_open_session(&first, 0, "n");
    json_t *line = client_port_await_event(&first, "granted");
    struct held held = client_port_take_held(line);
    json_decref(line);
    struct http_client second;
    client_port_open_session(&second, 0, "n");
    http_close(&first);
    line = client_port_await_event(&second, "granted");
    struct held next = client_port_take_held(line);
    json_decref(line);
    assert_true(next.token > held.token);
    http_close(&second);
    struct held third = client_port_acquire(0, "n", 60000);
    assert_true(third.token > next.token);
    client_port_release(0, &third, 200);
}

static void a_session_whose_wait_is_over_is_told(void **state)
{
    (void)state;
    struct held held = client_port_acquire(0, "n", 60000);
    struct http_client client;
    http_connect(&client, client_port_of(0));
    http_ask(&client, "POST", "/v1/acquire",
             "{\"name\": \"n\", \"session\": true, \"wait_ms\": 20}");
    assert_int_equal(http_receive_head(&client), 200);
    json_t *line = client_port_await_event(&client, "failed");
    assert_string_equal(json_text_of(line, "error"), "timeout");
    json_decref(line);
    assert_null(http_receive_line(&client));
    http_close(&client);
    client_port_release(0, &held, 200);
}

static void a_session_is_told_when_its_node_leaves(void **state)
{
    (void)state;
    struct http_client client;
    client_port_open_session(&client, 0, "n");
    json_decref(client_port_await_event(&client, "granted"));
    tn_node_stop(client_port_cell.nodes[0].node);
    json_t *line = client_port_await_event(&client, "lost");
    assert_string_equal(json_text_of(line, "reason"), "stopping");
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
        held = client_port_acquire(0, "n", 60000);
        char body[64];
        snprintf(body, sizeof(body), "{\"holding\": \"%s\"}", held.holding);
        sent = tn__clock_now();
        struct http_answer renewed = client_port_call(0, "/v1/renew", body);
        held.valid_ms = json_number_of(renewed.json, "valid_ms");
        http_answer_free(&renewed);
        if (held.valid_ms < 100) {
            client_port_release(0, &held, 200);
        }
    }
    cell_stop(&client_port_cell, 0);
    struct held next = client_port_acquire(1, "n", 60000);
    assert_true(tn__clock_now() >= sent + (tn_time)held.valid_ms * TN_MILLISECOND);
    assert_true(next.token > held.token);
    client_port_release(1, &next, 200);
}

/* ---- Looking ----------------------------------------------------------------------------- */

static void leases_are_listed_page_by_page(void **state)
{
    (void)state;
    struct held held[7];
    for (int i = 0; i < 7; i++) {
        char name[16];
        snprintf(name, sizeof(name), "page/%d", i);
        held[i] = client_port_acquire(0, name, 60000);
    }
    struct held other = client_port_acquire(0, "other", 60000);
    char target[128] = "/v1/leases?limit=3&prefix=page/";
    unsigned seen = 0;
    int pages = 0;
    for (; pages < 20; pages++) {
        struct http_answer answer = client_port_call(0, target, NULL);
        assert_int_equal(answer.status, 200);
        const json_t *leases = json_object_get(answer.json, "leases");
        assert_in_range(json_array_size(leases), 0, 3);
        for (size_t i = 0; i < json_array_size(leases); i++) {
            int number = -1;
            assert_int_equal(
                sscanf(json_text_of(json_array_get(leases, i), "name"), "page/%d", &number), 1);
            assert_in_range(number, 0, 6);
            assert_int_equal(seen & (1U << number), 0);
            seen |= 1U << number;
        }
        if (json_object_get(answer.json, "next") == NULL) {
            http_answer_free(&answer);
            break;
        }
        snprintf(target, sizeof(target), "/v1/leases?limit=3&prefix=page/&after=%s",
                 json_text_of(answer.json, "next"));
        http_answer_free(&answer);
    }
    assert_int_equal(seen, 0x7f);
    assert_true(pages >= 2);
    for (int i = 0; i < 7; i++) {
        client_port_release(0, &held[i], 200);
    }
    client_port_release(0, &other, 200);
}

static void status_and_health_tell_of_the_members(void **state)
{
    (void)state;
    struct http_answer status = client_port_call(0, "/v1/status", NULL);
    assert_int_equal(status.status, 200);
    const json_t *members = json_object_get(status.json, "members");
    assert_int_equal(json_array_size(members), 3);
    for (size_t i = 0; i < 3; i++) {
        const json_t *member = json_array_get(members, i);
        assert_true(json_is_true(json_object_get(member, "connected")));
        assert_int_equal(json_is_true(json_object_get(member, "self")), i == 0);
    }
    assert_string_equal(json_text_of(status.json, "name"), "a");
    const json_t *table = json_array_get(json_object_get(status.json, "tables"), 0);
    assert_string_equal(json_text_of(table, "name"), "fast");
    assert_int_equal(json_number_of(table, "proposer_ms"), CELL_PROPOSER_NS / TN_MILLISECOND);
    http_answer_free(&status);
    tn_time since = 0;
    for (int healthy = 0; healthy != 200; assert_true(cell_patience(&since))) {
        struct http_answer answer = client_port_call(0, "/health", NULL);
        healthy = answer.status; /* 503 until the quarantine is over */
        http_answer_free(&answer);
    }
    cell_stop(&client_port_cell, 1);
    cell_stop(&client_port_cell, 2);
    for (int healthy = 200; healthy != 503; assert_true(cell_patience(&since))) {
        struct http_answer answer = client_port_call(0, "/health", NULL);
        healthy = answer.status;
        if (healthy == 503) {
            assert_non_null(strstr(json_text_of(answer.json, "reason"), "majority"));
        }
        http_answer_free(&answer);
    }
    client_port_expect(0, "/v1/acquire", "{\"name\": \"n\"}", 503, "no_quorum");
}

/* The port is 0 in the options: the kernel chooses it. */
static void L1_who_does_not_own_a_name_shows_where_its_owner_is_asked_and_no_holder(void **state)
{
    (void)state;
    struct held held = client_port_acquire(0, "n", 60000);
    char url[64];
    snprintf(url, sizeof(url), "http://127.0.0.1:%u", (unsigned)client_port_of(0));
    for (uint32_t node = 0; node < 3; node++) {
        tn_time since = 0;
        for (bool known = false; !known; assert_true(cell_patience(&since))) {
            struct http_answer who = client_port_call(node, "/v1/who?name=n", NULL);
            const json_t *owner = json_object_get(who.json, "owner");
            known = owner != NULL; /* the others are told a moment later */
            if (known) {
                assert_string_equal(json_text_of(owner, "url"), url);
                assert_int_equal(json_object_get(who.json, "holder") != NULL, node == 0);
            }
            http_answer_free(&who);
        }
        struct http_answer status = client_port_call(node, "/v1/status", NULL);
        const json_t *first = json_array_get(json_object_get(status.json, "members"), 0);
        assert_string_equal(json_text_of(first, "url"), url);
        http_answer_free(&status);
    }
    client_port_release(0, &held, 200);
}

static void a_watcher_sees_the_state_and_then_changes(void **state)
{
    (void)state;
    struct held before = client_port_acquire(0, "w/before", 60000);
    struct http_client client;
    http_connect(&client, client_port_of(1));
    http_ask(&client, "GET", "/v1/watch?prefix=w/", NULL);
    assert_int_equal(http_receive_head(&client), 200);
    json_t *line = client_port_await_event(&client, "state");
    assert_string_equal(json_text_of(line, "name"), "w/before");
    assert_string_equal(json_text_of(line, "state"), "held");
    json_decref(line);
    json_decref(client_port_await_event(&client, "synced"));
    struct held unseen = client_port_acquire(0, "other", 60000);
    struct held after = client_port_acquire(0, "w/after", 60000);
    line = client_port_await_event(&client, "learned");
    while (strcmp(json_text_of(line, "name"), "w/after") != 0) {
        assert_string_equal(json_text_of(line, "name"), "w/before");
        json_decref(line);
        line = client_port_await_event(&client, "learned");
    }
    assert_int_equal(json_number_of(line, "token"), after.token);
    json_decref(line);
    client_port_release(0, &after, 200);
    line = client_port_await_event(&client, "freed");
    assert_string_equal(json_text_of(line, "name"), "w/after");
    json_decref(line);
    http_close(&client);
    client_port_release(0, &unseen, 200);
    client_port_release(0, &before, 200);
}

static void a_watcher_of_one_name_sees_that_it_is_free(void **state)
{
    (void)state;
    struct http_client client;
    http_connect(&client, client_port_of(0));
    const char *ask = "GET /v1/watch?name=n&table=fast HTTP/1.0\r\n\r\n"; /* not chunked */
    http_send(&client, ask, strlen(ask));
    assert_int_equal(http_receive_head(&client), 200);
    json_t *line = http_receive_line(&client);
    assert_string_equal(json_text_of(line, "state"), "free");
    json_decref(line);
    json_decref(client_port_await_event(&client, "synced"));
    struct held held = client_port_acquire(0, "n", 60000);
    json_decref(client_port_await_event(&client, "opened"));
    json_decref(client_port_await_event(&client, "renewed"));
    struct held waiting;
    client_port_release(0, &held, 200);
    json_decref(client_port_await_event(&client, "released"));
    waiting = client_port_acquire(0, "n", 60000);
    client_port_release(0, &waiting, 200);
    http_close(&client);
}

static void metrics_count_what_happens(void **state)
{
    (void)state;
    struct held held = client_port_acquire(0, "n", 60000);
    struct http_answer answer = client_port_call(0, "/metrics", NULL);
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.text, "\ntenure_owned 1\n"));
    assert_non_null(strstr(answer.text, "\ntenure_clients_granted_total 1\n"));
    assert_non_null(strstr(answer.text, "\ntenure_clients_holding 1\n"));
    http_answer_free(&answer);
    client_port_release(0, &held, 200);
}

/* ---- Hand-over --------------------------------------------------------------------------- */

static void H1_a_hand_over_moves_a_name_to_a_member(void **state)
{
    (void)state;
    struct held held = client_port_acquire(0, "n", 60000);
    client_port_expect(1, "/v1/hand-over", "{\"name\": \"n\", \"to\": \"c\"}", 409, "not_owner");
    client_port_expect(0, "/v1/hand-over", "{\"name\": \"n\", \"to\": \"zebra\"}", 404,
                       "not_found");
    client_port_expect(0, "/v1/hand-over", "{\"name\": \"n\", \"to\": \"a\"}", 400, "bad_request");
    struct http_client next;
    client_port_open_session(&next, 2, "n");
    struct http_answer answer =
        client_port_call(0, "/v1/hand-over", "{\"name\": \"n\", \"to\": 3}");
    assert_int_equal(answer.status, 202);
    assert_true(json_is_true(json_object_get(answer.json, "pending")));
    http_answer_free(&answer);
    char body[64];
    snprintf(body, sizeof(body), "{\"holding\": \"%s\"}", held.holding);
    answer = client_port_call(0, "/v1/renew", body); /* C6: 404 if its time has run out meanwhile */
    assert_in_range(answer.status, 404, 409);
    http_answer_free(&answer);
    json_t *line = client_port_await_event(&next, "granted");
    assert_true(json_number_of(line, "token") > held.token);
    json_decref(line);
    http_close(&next);
}

static void H1_a_programs_own_name_is_reserved_and_can_be_handed_over(void **state)
{
    (void)state;
    struct tn_node_lease *lease = NULL;
    assert_int_equal(
        tn_node_lease_open(client_port_cell.nodes[0].node, "fast", "own", NULL, &lease), 0);
    assert_int_equal(tn_node_lease_wait(lease, CELL_PATIENCE_NS), 0);
    client_port_expect(0, "/v1/acquire", "{\"name\": \"own\"}", 409, "reserved");
    struct http_answer answer =
        client_port_call(0, "/v1/hand-over", "{\"name\": \"own\", \"to\": \"b\"}");
    assert_int_equal(answer.status, 200);
    http_answer_free(&answer);
    assert_false(tn_node_lease_owned(lease, NULL, NULL));
    tn_node_lease_close(lease);
    struct held held = client_port_acquire(0, "taken", 60000);
    assert_int_equal(
        tn_node_lease_open(client_port_cell.nodes[0].node, "fast", "taken", NULL, &lease),
        TN_ERROR_BUSY);
    client_port_release(0, &held, 200);
}

#define WITH_ONE(name) cmocka_unit_test_setup_teardown(name, client_port_start_one, client_port_end)
#define WITH_THREE(name)                                                                           \
    cmocka_unit_test_setup_teardown(name, client_port_start_three, client_port_end)

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
        WITH_THREE(L1_who_does_not_own_a_name_shows_where_its_owner_is_asked_and_no_holder),
        WITH_THREE(a_watcher_sees_the_state_and_then_changes),
        WITH_ONE(a_watcher_of_one_name_sees_that_it_is_free),
        WITH_ONE(metrics_count_what_happens),
        WITH_THREE(H1_a_hand_over_moves_a_name_to_a_member),
        WITH_THREE(H1_a_programs_own_name_is_reserved_and_can_be_handed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
