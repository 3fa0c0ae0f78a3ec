/* What the client port refuses, and clients that behave badly: each gets a clear answer or is cut,
 * and the others are served as ever. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/client_port.h"

/* ---- What is refused --------------------------------------------------------------------- */

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
        client_port_expect(0, cases[i].target, cases[i].body, cases[i].status, cases[i].error);
    }
}

static void another_method_is_told_which_one_fits(void **state)
{
    (void)state;
    static const struct {
        const char *method;
        const char *target;
        const char *fits;
    } cases[] = {{"DELETE", "/v1/status", "GET"}, {"PUT", "/v1/acquire", "POST"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct http_answer answer =
            http_call(client_port_of(0), cases[i].method, cases[i].target, NULL);
        assert_int_equal(answer.status, 405);
        assert_string_equal(answer.allow, cases[i].fits);
        assert_non_null(strstr(json_text_of(answer.json, "message"), cases[i].fits));
        http_answer_free(&answer);
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
        client_port_expect(0, "/v1/acquire", body, extra ? 400 : 200, extra ? "bad_request" : "");
        snprintf(body, sizeof(body), "{\"name\": \"l\", \"wait_ms\": 60000, \"label\": \"%s\"}",
                 name);
        client_port_expect(0, "/v1/acquire", body, extra ? 400 : 200, extra ? "bad_request" : "");
        snprintf(body, sizeof(body), "/v1/who?name=%s", name);
        client_port_expect(0, body, NULL, extra ? 400 : 200, extra ? "bad_request" : "");
    }
}

static void what_is_too_large_is_refused_and_the_connection_ends(void **state)
{
    (void)state;
    char *body = malloc(65537 + 1);
    memset(body, ' ', 65537);
    body[65537] = '\0';
    struct http_client client;
    http_connect(&client, client_port_of(0));
    http_ask(&client, "POST", "/v1/acquire", body);
    struct http_answer answer = http_receive(&client);
    assert_int_equal(answer.status, 413);
    assert_true(answer.closes);
    http_answer_free(&answer);
    http_await_end(&client);
    http_close(&client);
    body[65536] = '\0';
    client_port_expect(0, "/v1/acquire", body, 400, "bad_request"); /* it fits, but is no JSON */

    http_connect(&client, client_port_of(0));
    const char *begin = "GET /health HTTP/1.1\r\nX: ";
    http_send(&client, begin, strlen(begin));
    http_send(&client, body, 9000);
    answer = http_receive(&client);
    assert_int_equal(answer.status, 413);
    http_answer_free(&answer);
    http_close(&client);
    free(body);
}

/* ---- Connections ------------------------------------------------------------------------- */

static void pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    struct held held = client_port_acquire(0, "n", 60000);
    struct http_client client;
    http_connect(&client, client_port_of(0));
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
        assert_string_equal(json_text_of(answer.json, "name"), names[i]);
        assert_int_equal(answer.closes, i == 3);
        http_answer_free(&answer);
    }
    assert_int_equal(http_await_end(&client), 0);
    http_close(&client);
    client_port_release(0, &held, 200);
}

static void a_client_that_expects_continue_is_told_to(void **state)
{
    (void)state;
    struct http_client client;
    http_connect(&client, client_port_of(0));
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
    http_connect(&client, client_port_of(0));
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
    http_connect(&slow, client_port_of(0));
    http_send(&slow, "GET /hea", 8);
    for (int i = 0; i < 20; i++) {
        client_port_expect(0, "/v1/who?name=n", NULL, 200, "");
    }
    struct http_answer answer = http_receive(&slow); /* after 10 s */
    assert_int_equal(answer.status, 408);
    assert_string_equal(json_text_of(answer.json, "error"), "slow");
    http_answer_free(&answer);
    assert_int_equal(http_await_end(&slow), 0);
    http_close(&slow);
}

static void who_sends_ahead_without_end_is_cut(void **state)
{
    (void)state;
    struct held held = client_port_acquire(0, "n", 60000);
    struct http_client client;
    http_connect(&client, client_port_of(0));
    http_ask(&client, "POST", "/v1/acquire", "{\"name\": \"n\", \"wait_ms\": 60000}");
    char *flood = malloc(1U << 20);
    memset(flood, 'x', 1U << 20);
    http_send(&client, flood, 1U << 20);
    assert_int_equal(http_await_end(&client), 0);
    http_close(&client);
    free(flood);
    client_port_expect(0, "/v1/who?name=n", NULL, 200, "");
    client_port_release(0, &held, 200);
}

static void who_never_reads_is_cut(void **state)
{
    (void)state;
    struct http_client client;
    http_connect(&client, client_port_of(0));
    const char *ask = "GET /metrics HTTP/1.1\r\n\r\n";
    for (int i = 0; i < 4000; i++) { /* 40 MB of answers: no socket holds that many */
        http_send(&client, ask, strlen(ask));
    }
    struct http_answer answer;
    tn_time since = 0;
    for (bool cut = false; !cut; assert_true(cell_patience(&since))) {
        answer = client_port_call(0, "/metrics", NULL);
        cut = strstr(answer.text, "\ntenure_api_cut_total 1\n") != NULL;
        http_answer_free(&answer);
    }
    http_close(&client);
    client_port_expect(0, "/v1/who?name=n", NULL, 200, "");
}

#define WITH_ONE(name) cmocka_unit_test_setup_teardown(name, client_port_start_one, client_port_end)
#define WITH_THREE(name)                                                                           \
    cmocka_unit_test_setup_teardown(name, client_port_start_three, client_port_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ONE(bad_requests_are_refused_with_a_sentence),
        WITH_ONE(another_method_is_told_which_one_fits),
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
