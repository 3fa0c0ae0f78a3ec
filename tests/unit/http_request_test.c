/* HTTP requests from bytes: every cut of the bytes gives the same request, every bound holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "http/request.h"

static char body[TN__HTTP_BODY_BYTES_MAX];

/* Feed `bytes` in pieces of at most `step` bytes until the request is whole or failed; returns how
 * many bytes were used. */
static size_t feed_all(struct tn__http_request *request, const char *bytes, size_t length,
                       size_t step)
{
    size_t used = 0;
    while (used < length && request->state < TN__HTTP_STATE_DONE) {
        size_t piece = length - used < step ? length - used : step;
        size_t took = tn__http_request_feed(request, bytes + used, piece);
        assert_true(took <= piece);
        used += took;
        if (request->state == TN__HTTP_STATE_BODY && request->body == NULL) {
            tn__http_request_give_body(request, body, sizeof(body));
        } else if (request->state < TN__HTTP_STATE_DONE) {
            assert_int_equal(took, piece); /* short only at a change of state */
        }
    }
    return used;
}

static struct tn__http_request request_from(const char *text)
{
    struct tn__http_request request;
    tn__http_request_init(&request);
    feed_all(&request, text, strlen(text), SIZE_MAX);
    request.parser.data = NULL; /* the copy that is returned lies elsewhere: it is only looked at */
    return request;
}

static const char post[] = "POST /v1/acquire?x=1 HTTP/1.1\r\nHost: localhost\r\n"
                           "Content-Length: 13\r\n\r\n{\"name\": \"a\"}";

static void a_request_is_the_same_however_it_is_cut(void **state)
{
    (void)state;
    for (size_t step = 1; step <= sizeof(post); step++) {
        struct tn__http_request request;
        tn__http_request_init(&request);
        assert_int_equal(feed_all(&request, post, sizeof(post) - 1, step), sizeof(post) - 1);
        assert_int_equal(request.state, TN__HTTP_STATE_DONE);
        assert_int_equal(request.method, TN__HTTP_POST);
        assert_string_equal(request.target, "/v1/acquire?x=1");
        assert_int_equal(request.body_length, 13);
        assert_memory_equal(request.body, "{\"name\": \"a\"}", 13);
        assert_true(request.keep_alive);
        assert_false(request.expects_continue);
    }
}

static void pipelined_requests_are_taken_one_at_a_time(void **state)
{
    (void)state;
    const char *two = "GET /health HTTP/1.1\r\n\r\nGET /metrics HTTP/1.1\r\nHost: a\r\n\r\n";
    struct tn__http_request request;
    tn__http_request_init(&request);
    size_t used = feed_all(&request, two, strlen(two), SIZE_MAX);
    assert_int_equal(request.state, TN__HTTP_STATE_DONE);
    assert_string_equal(request.target, "/health");
    assert_int_equal(used, strlen("GET /health HTTP/1.1\r\n\r\n"));
    tn__http_request_next(&request);
    assert_false(request.begun);
    used += feed_all(&request, two + used, strlen(two) - used, SIZE_MAX);
    assert_int_equal(request.state, TN__HTTP_STATE_DONE);
    assert_string_equal(request.target, "/metrics");
    assert_int_equal(used, strlen(two));
}

static void chunked_bodies_are_put_together(void **state)
{
    (void)state;
    struct tn__http_request request =
        request_from("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
                     "3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\nTrailer: 1\r\n\r\n");
    assert_int_equal(request.state, TN__HTTP_STATE_DONE);
    assert_int_equal(request.body_length, 5);
    assert_memory_equal(request.body, "abcde", 5);
}

static void keep_alive_follows_version_and_header(void **state)
{
    (void)state;
    assert_true(request_from("GET / HTTP/1.1\r\n\r\n").keep_alive);
    assert_false(request_from("GET / HTTP/1.1\r\nConnection: close\r\n\r\n").keep_alive);
    assert_false(request_from("GET / HTTP/1.0\r\n\r\n").keep_alive);
    assert_true(request_from("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").keep_alive);
    assert_int_equal(request_from("GET / HTTP/1.0\r\n\r\n").minor, 0);
}

static void an_expectation_of_continue_is_seen(void **state)
{
    (void)state;
    const char *text = "POST / HTTP/1.1\r\nEXPECT: 100-continue\r\nContent-Length: 2\r\n\r\n";
    struct tn__http_request request = request_from(text);
    assert_int_equal(request.state, TN__HTTP_STATE_BODY);
    assert_true(request.expects_continue);
    request = request_from("POST / HTTP/1.1\r\nExpected: yes\r\nContent-Length: 2\r\n\r\n");
    assert_false(request.expects_continue);
}

static void an_offer_of_an_upgrade_is_an_ordinary_request(void **state)
{
    (void)state;
    struct tn__http_request request =
        request_from("GET / HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                     "HTTP2-Settings: AAMAAABkAAQ\r\n\r\n");
    assert_int_equal(request.state, TN__HTTP_STATE_DONE);
}

static void what_is_not_HTTP_fails_with_400(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "\x16\x03\x01\x02",
        "hello\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET / HTTP/2.0\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET  HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\n: a\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct tn__http_request request = request_from(wrong[i]);
        assert_int_equal(request.state, TN__HTTP_STATE_FAILED);
        assert_int_equal(request.status, 400);
        assert_non_null(request.reason);
        assert_false(request.keep_alive);
    }
}

static void the_head_is_bounded(void **state)
{
    (void)state;
    for (size_t step = 1; step < 3000; step = step * 3 + 1) {
        struct tn__http_request request;
        tn__http_request_init(&request);
        const char *begin = "GET / HTTP/1.1\r\n";
        feed_all(&request, begin, strlen(begin), SIZE_MAX);
        const char *line = "A: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n";
        size_t sent = strlen(begin);
        while (request.state == TN__HTTP_STATE_HEAD && sent < 20000) {
            sent += feed_all(&request, line, strlen(line), step);
        }
        assert_int_equal(request.state, TN__HTTP_STATE_FAILED);
        assert_int_equal(request.status, 413);
        assert_int_equal(request.head_bytes, TN__HTTP_HEAD_BYTES_MAX);
    }
}

static void the_target_is_bounded(void **state)
{
    (void)state;
    char text[TN__HTTP_TARGET_BYTES_MAX + 64];
    for (size_t extra = 0; extra < 2; extra++) {
        int length = snprintf(text, sizeof(text), "GET /%0*d HTTP/1.1\r\n\r\n",
                              (int)(TN__HTTP_TARGET_BYTES_MAX - 1 + extra), 0);
        struct tn__http_request request;
        tn__http_request_init(&request);
        feed_all(&request, text, (size_t)length, 100);
        assert_int_equal(request.state, extra ? TN__HTTP_STATE_FAILED : TN__HTTP_STATE_DONE);
        assert_int_equal(request.status, extra ? 413 : 0);
    }
}

static void the_body_is_bounded(void **state)
{
    (void)state;
    struct tn__http_request request =
        request_from("POST / HTTP/1.1\r\nContent-Length: 65536\r\n\r\n");
    assert_int_equal(request.state, TN__HTTP_STATE_BODY);
    assert_int_equal(request.body_bytes_max, 65536);
    request = request_from("POST / HTTP/1.1\r\nContent-Length: 65537\r\n\r\n");
    assert_int_equal(request.status, 413);

    tn__http_request_init(&request);
    const char *head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    feed_all(&request, head, strlen(head), SIZE_MAX);
    char chunk[7 + 16384 + 2];
    memcpy(chunk, "4000\r\n", 6);
    memset(chunk + 6, 'x', 16384);
    memcpy(chunk + 6 + 16384, "\r\n", 2);
    size_t chunks = 0;
    while (request.state == TN__HTTP_STATE_BODY && chunks < 10) {
        feed_all(&request, chunk, 6 + 16384 + 2, 1000);
        chunks++;
    }
    assert_int_equal(request.state, TN__HTTP_STATE_FAILED);
    assert_int_equal(request.status, 413);
    assert_int_equal(chunks, 5);
}

static void random_damage_never_breaks_a_bound(void **state)
{
    (void)state;
    uint64_t seed = 20240611;
    print_message("seed %llu\n", (unsigned long long)seed);
    for (int round = 0; round < 20000; round++) {
        char text[sizeof(post) - 1];
        memcpy(text, post, sizeof(text));
        for (uint64_t i = tn__random_below(&seed, 4); i > 0; i--) {
            text[tn__random_below(&seed, sizeof(text))] = (char)tn__random_next(&seed);
        }
        struct tn__http_request request;
        tn__http_request_init(&request);
        feed_all(&request, text, sizeof(text), 1 + tn__random_below(&seed, sizeof(text)));
        assert_true(request.head_bytes <= sizeof(text));
        assert_true(request.body_length <= request.body_bytes_max);
        assert_int_equal(request.state == TN__HTTP_STATE_FAILED, request.reason != NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_the_same_however_it_is_cut),
        cmocka_unit_test(pipelined_requests_are_taken_one_at_a_time),
        cmocka_unit_test(chunked_bodies_are_put_together),
        cmocka_unit_test(keep_alive_follows_version_and_header),
        cmocka_unit_test(an_expectation_of_continue_is_seen),
        cmocka_unit_test(an_offer_of_an_upgrade_is_an_ordinary_request),
        cmocka_unit_test(what_is_not_HTTP_fails_with_400),
        cmocka_unit_test(the_head_is_bounded),
        cmocka_unit_test(the_target_is_bounded),
        cmocka_unit_test(the_body_is_bounded),
        cmocka_unit_test(random_damage_never_breaks_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
