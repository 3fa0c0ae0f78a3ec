/* The blocking HTTP client against a small server that says what each test tells it to.
 *
 * The server is a forked child: it accepts connections one after the other and plays one script a
 * connection: read a request, send a text, or close. Secure connections are tested with the real
 * programs (tests/cluster/programs.test.py). */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/cmd_http.h"
#include "os/clock.h"

#define SOON (tn__clock_now() + 20 * TN_SECOND)

static pid_t server = -1;

/* Read until the end of a request without or with a short body. */
static void take_request(int connection)
{
    char bytes[4096];
    size_t length = 0;
    while (length < sizeof(bytes) - 1) {
        ssize_t got = recv(connection, bytes + length, sizeof(bytes) - 1 - length, 0);
        if (got <= 0) {
            return;
        }
        length += (size_t)got;
        bytes[length] = '\0';
        const char *head = strstr(bytes, "\r\n\r\n");
        const char *sized = strstr(bytes, "Content-Length: ");
        if (head != NULL && sized != NULL &&
            length >= (size_t)(head + 4 - bytes) + strtoul(sized + 16, NULL, 10)) {
            return;
        }
    }
}

/* Start the server: `script` holds, for each connection, texts to send after one request each; an
 * empty text closes, "hang" neither answers nor closes, NULL ends the script. */
static void serve(struct tn__http *http, const char *const *script)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);
    char endpoint[64];
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listener, 8), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    server = fork();
    assert_true(server >= 0);
    if (server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int connection = -1;
        for (; *script != NULL; script++) {
            if (connection < 0) {
                connection = accept(listener, NULL, NULL);
            }
            take_request(connection);
            if (strcmp(*script, "hang") == 0) {
                pause();
            }
            if (**script == '\0') {
                close(connection);
                connection = -1;
            } else {
                send(connection, *script, strlen(*script), MSG_NOSIGNAL);
            }
        }
        _exit(0);
    }
    close(listener);
    snprintf(endpoint, sizeof(endpoint), "127.0.0.1:%u", ntohs(address.sin_port));
    assert_int_equal(tn__http_open(http, endpoint, NULL), TN_OK);
}

static int stop_server(void **state)
{
    (void)state;
    if (server > 0) {
        kill(server, SIGKILL);
        waitpid(server, NULL, 0);
    }
    server = -1;
    return 0;
}

#define OK_BODY(length, body) "HTTP/1.1 200 OK\r\nContent-Length: " #length "\r\n\r\n" body

static void answers_come_over_a_kept_connection(void **state)
{
    (void)state;
    static const char *const script[] = {OK_BODY(2, "{}"), OK_BODY(5, "later"), NULL};
    struct tn__http http;
    struct tn__http_answer answer;
    tn_time before = tn__clock_now();
    serve(&http, script);
    assert_int_equal(tn__http_call(&http, "GET", "/", NULL, SOON, &answer), TN_OK);
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body, "{}");
    assert_true(answer.sent >= before && answer.sent <= tn__clock_now());
    free(answer.body);
    assert_int_equal(tn__http_call(&http, "POST", "/", "{}", SOON, &answer), TN_OK);
    assert_string_equal(answer.body, "later");
    free(answer.body);
    tn__http_close(&http);
}

static void a_kept_connection_that_has_ended_is_made_anew(void **state)
{
    (void)state;
    static const char *const script[] = {OK_BODY(1, "a"), "", OK_BODY(1, "b"), NULL};
    struct tn__http http;
    struct tn__http_answer answer;
    serve(&http, script);
    assert_int_equal(tn__http_call(&http, "GET", "/", NULL, SOON, &answer), TN_OK);
    free(answer.body);
    assert_int_equal(tn__http_call(&http, "GET", "/", NULL, SOON, &answer), TN_OK);
    assert_string_equal(answer.body, "b");
    free(answer.body);
    tn__http_close(&http);
}

static void a_fresh_connection_that_ends_early_is_an_error(void **state)
{
    (void)state;
    static const char *const script[] = {"", NULL};
    struct tn__http http;
    struct tn__http_answer answer;
    serve(&http, script);
    assert_int_equal(tn__http_call(&http, "GET", "/", NULL, SOON, &answer), TN_ERROR_CLOSED);
    tn__http_close(&http);
}

static void a_short_body_is_an_error(void **state)
{
    (void)state;
    static const char *const script[] = {OK_BODY(9, "short"), NULL};
    struct tn__http http;
    struct tn__http_answer answer;
    serve(&http, script);
    assert_int_equal(tn__http_call(&http, "GET", "/", NULL, SOON, &answer), TN_ERROR_CLOSED);
    tn__http_close(&http);
}

static void the_deadline_ends_a_wait(void **state)
{
    (void)state;
    static const char *const script[] = {"hang", NULL};
    struct tn__http http;
    struct tn__http_answer answer;
    serve(&http, script);
    assert_int_equal(
        tn__http_call(&http, "GET", "/", NULL, tn__clock_now() + 50 * TN_MILLISECOND, &answer),
        TN_ERROR_TIMEOUT);
    assert_int_equal(http.socket, -1);
    tn__http_close(&http);
}

static void a_readable_descriptor_cuts_a_wait_short(void **state)
{
    (void)state;
    static const char *const script[] = {"hang", NULL};
    struct tn__http http;
    struct tn__http_answer answer;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    serve(&http, script);
    http.wake = ends[0];
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_int_equal(tn__http_call(&http, "GET", "/", NULL, SOON, &answer), TN_ERROR_CANCELLED);
    tn__http_close(&http);
    close(ends[0]);
    close(ends[1]);
}

static void lines_come_as_they_are_sent(void **state)
{
    (void)state;
    static const char *const script[] = {
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none\n\r\n6\r\ntwo\nth\r\n"
        "4\r\nree\n\r\n0\r\n\r\n",
        NULL};
    static const char *const expected[] = {"one", "two", "three"};
    struct tn__http http;
    struct tn__http_answer answer;
    char line[16];
    serve(&http, script);
    assert_int_equal(tn__http_begin(&http, "GET", "/", NULL, SOON, &answer), TN_OK);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(tn__http_line(&http, line, sizeof(line), SOON), TN_OK);
        assert_string_equal(line, expected[i]);
    }
    assert_int_equal(tn__http_line(&http, line, sizeof(line), SOON), TN_ERROR_NOT_FOUND);
    tn__http_close(&http);
}

static void what_is_not_http_is_refused(void **state)
{
    (void)state;
    static const char *const script[] = {"SSH-2.0-something\r\n\r\n", NULL};
    struct tn__http http;
    struct tn__http_answer answer;
    serve(&http, script);
    assert_int_equal(tn__http_call(&http, "GET", "/", NULL, SOON, &answer), TN_ERROR_MALFORMED);
    assert_non_null(strstr(http.why, "does not speak HTTP"));
    tn__http_close(&http);
}

static void nobody_listening_is_said(void **state)
{
    (void)state;
    static const char *const script[] = {NULL};
    struct tn__http http;
    struct tn__http_answer answer;
    serve(&http, script);
    waitpid(server, NULL, 0); /* it has no script: the port is free again */
    server = -1;
    assert_int_equal(tn__http_call(&http, "GET", "/", NULL, SOON, &answer), TN_ERROR_REFUSED);
    assert_non_null(strstr(http.why, "cannot be reached"));
    tn__http_close(&http);
}

static void endpoints_and_queries_are_spelt(void **state)
{
    (void)state;
    struct tn__http http;
    char url[32] = "/?q=";
    assert_int_equal(tn__http_open(&http, "https://[::1]:2379", NULL), TN_OK);
    assert_true(http.secure);
    assert_string_equal(http.address.host, "::1");
    tn__http_close(&http);
    assert_int_equal(tn__http_open(&http, "nowhere", NULL), TN_ERROR_INVALID);
    assert_true(tn__http_encode(url, sizeof(url), "a b/c&\xc3\xa9"));
    assert_string_equal(url, "/?q=a%20b%2Fc%26%C3%A9");
    assert_false(tn__http_encode(url, sizeof(url), "much too long for what is left"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(answers_come_over_a_kept_connection, stop_server),
        cmocka_unit_test_teardown(a_kept_connection_that_has_ended_is_made_anew, stop_server),
        cmocka_unit_test_teardown(a_fresh_connection_that_ends_early_is_an_error, stop_server),
        cmocka_unit_test_teardown(a_short_body_is_an_error, stop_server),
        cmocka_unit_test_teardown(the_deadline_ends_a_wait, stop_server),
        cmocka_unit_test_teardown(a_readable_descriptor_cuts_a_wait_short, stop_server),
        cmocka_unit_test_teardown(lines_come_as_they_are_sent, stop_server),
        cmocka_unit_test_teardown(what_is_not_http_is_refused, stop_server),
        cmocka_unit_test_teardown(nobody_listening_is_said, stop_server),
        cmocka_unit_test(endpoints_and_queries_are_spelt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
