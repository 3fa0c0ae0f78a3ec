/* HTTP responses: whole, cut at every byte, and malformed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "cmd/cmd_response.h"

static struct tn__response response;
static char body[256];
static size_t body_bytes;

/* Feed in pieces of `piece` bytes; returns what was taken. */
static size_t feed(const char *text, size_t piece)
{
    size_t length = strlen(text);
    size_t taken = 0;
    tn__response_init(&response);
    body_bytes = 0;
    while (taken < length) {
        size_t count = length - taken < piece ? length - taken : piece;
        size_t now =
            tn__response_feed(&response, text + taken, count, body, sizeof(body), &body_bytes);
        taken += now;
        if (now < count) {
            break;
        }
    }
    body[body_bytes] = '\0';
    return taken;
}

static void reads_bodies_by_length_and_by_chunks(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *body;
        int status;
        bool kept_alive;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", 200, true},
        {"HTTP/1.1 404 Not Found\r\ncontent-length:0\r\n\r\n", "", 404, true},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=1\r\n0123456789\r\n"
         "0\r\nTrailer: x\r\n\r\n",
         "abc0123456789", 200, true},
        {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", "x", 200, false},
        {"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", "x", 200, false},
        {"HTTP/1.1 204 No Content\r\n\r\n", "", 204, true},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok", 200,
         true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (size_t piece = 1; piece < 40; piece++) {
            assert_int_equal(feed(cases[i].text, piece), strlen(cases[i].text));
            assert_int_equal(response.state, TN_RESPONSE_DONE);
            assert_int_equal(response.status, cases[i].status);
            assert_string_equal(body, cases[i].body);
            assert_int_equal(response.kept_alive, cases[i].kept_alive);
        }
    }
}

static void stops_at_the_end_of_a_response(void **state)
{
    (void)state;
    const char *text = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1";
    assert_int_equal(feed(text, 1000), strlen(text) - strlen("HTTP/1.1"));
}

static void a_body_without_length_lasts_until_the_end(void **state)
{
    (void)state;
    feed("HTTP/1.1 200 OK\r\n\r\nabc", 1000);
    assert_int_equal(response.state, TN_RESPONSE_TO_END);
    assert_true(tn__response_end(&response));
    assert_string_equal(body, "abc");
    feed("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", 1000);
    assert_false(tn__response_end(&response));
}

static void waits_when_the_body_buffer_is_full(void **state)
{
    (void)state;
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n";
    tn__response_init(&response);
    char small[4];
    size_t length = 0;
    assert_int_equal(tn__response_feed(&response, head, strlen(head), small, 4, &length),
                     strlen(head));
    assert_int_equal(tn__response_feed(&response, "abcdef", 6, small, 4, &length), 4);
    assert_int_equal(length, 4);
    length = 0;
    assert_int_equal(tn__response_feed(&response, "ef", 2, small, 4, &length), 2);
    assert_int_equal(response.state, TN_RESPONSE_DONE);
}

static void refuses_what_is_no_response(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "SSH-2.0-OpenSSH\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 2x0 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc",
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        feed(cases[i], 7);
        assert_int_equal(response.state, TN_RESPONSE_WRONG);
    }
    static char endless[TN_RESPONSE_HEAD_BYTES_MAX + 100];
    memset(endless, 'a', sizeof(endless) - 1);
    memcpy(endless, "HTTP/1.1 200 OK\r\n", 17);
    feed(endless, 500);
    assert_int_equal(response.state, TN_RESPONSE_WRONG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_bodies_by_length_and_by_chunks),
        cmocka_unit_test(stops_at_the_end_of_a_response),
        cmocka_unit_test(a_body_without_length_lasts_until_the_end),
        cmocka_unit_test(waits_when_the_body_buffer_is_full),
        cmocka_unit_test(refuses_what_is_no_response),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
