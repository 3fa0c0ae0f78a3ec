/* Dialling: by name and by number, to nobody, and given up while it goes on. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tenure/error.h>

#include "net/listener.h"
#include "net/stream.h"
#include "support/node_cell.h"

static uv_loop_t loop;
static struct tn__net *net;
static uint32_t opened;
static uint32_t closed;
static int closed_error;
static struct tn__stream *stream;
static struct tn__listener *listener;

static void on_open(void *owner)
{
    (void)owner;
    opened += 1;
    tn__stream_close(stream);
    tn__listener_close(listener);
}

static size_t on_bytes(void *owner, const uint8_t *bytes, size_t length)
{
    (void)owner;
    (void)bytes;
    return length;
}

static void on_close(void *owner, int error, const char *why)
{
    (void)owner;
    assert_string_not_equal(why, "");
    closed += 1;
    closed_error = error;
}

static const struct tn__stream_events events = {
    .on_open = on_open, .on_bytes = on_bytes, .on_close = on_close};

static void on_accept(void *owner, struct tn__net *of, uv_stream_t *listening)
{
    (void)owner; /* not taken: the listener closes it */
    (void)of;
    (void)listening;
}

static int begin(void **state)
{
    (void)state;
    assert_int_equal(uv_loop_init(&loop), 0);
    net = calloc(1, sizeof(*net));
    net->loop = &loop;
    opened = 0;
    closed = 0;
    return 0;
}

static int end(void **state)
{
    (void)state;
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(net->streams_count, 0);
    assert_int_equal(uv_loop_close(&loop), 0);
    free(net);
    return 0;
}

static void dial(const char *host, uint16_t port, uint32_t attempt)
{
    char text[64];
    snprintf(text, sizeof(text), "%s:%u", host, (unsigned)port);
    struct tn__address address;
    assert_int_equal(tn__address_parse(&address, text, NULL, 0), 0);
    struct tn__stream_options options = {
        .events = &events, .owner = &loop, .input_bytes_max = 10, .output_bytes_max = 10};
    stream = tn__stream_dial(net, &options, &address, attempt);
    assert_non_null(stream);
    assert_int_equal(closed, 0); /* told later, never inside the call */
}

static void a_name_with_several_addresses_is_tried_until_one_answers(void **state)
{
    (void)state;
    for (uint32_t attempt = 0; attempt < 3; attempt++) { /* each begins at another address */
        char why[128];
        assert_int_equal(
            tn__listener_open(&listener, net, "127.0.0.1:0", on_accept, &loop, why, sizeof(why)),
            0);
        dial("localhost", tn__listener_port(listener), attempt);
        uv_run(&loop, UV_RUN_DEFAULT);
        assert_int_equal(opened, attempt + 1);
        assert_int_equal(closed, 0);
    }
}

static void where_nobody_listens_every_address_is_refused_and_it_is_told_once(void **state)
{
    (void)state;
    static const char *const hosts[] = {"127.0.0.1", "[::1]", "localhost"};
    for (uint32_t i = 0; i < 3; i++) {
        closed = 0;
        dial(hosts[i], cell_free_port(), 0);
        uv_run(&loop, UV_RUN_DEFAULT);
        assert_int_equal(opened, 0);
        assert_int_equal(closed, 1);
        assert_true(closed_error == TN_ERROR_REFUSED || closed_error == TN_ERROR_IO);
    }
}

static void a_dial_that_is_given_up_ends_without_a_word(void **state)
{
    (void)state;
    static const char *const hosts[] = {"127.0.0.1", "localhost"};
    for (uint32_t rounds = 0; rounds < 8; rounds++) { /* given up at each stage of it */
        dial(hosts[rounds % 2], cell_free_port(), 0);
        for (uint32_t i = 0; i < rounds / 2 && closed == 0; i++) {
            uv_run(&loop, UV_RUN_ONCE);
        }
        if (closed == 0) {
            tn__stream_close(stream);
            uv_run(&loop, UV_RUN_DEFAULT);
            assert_int_equal(closed, 0);
        }
        closed = 0;
        assert_int_equal(net->streams_count, 0);
    }
}

static void a_taken_port_and_a_host_without_address_are_named(void **state)
{
    (void)state;
    char why[200] = "";
    assert_int_equal(
        tn__listener_open(&listener, net, "127.0.0.1:0", on_accept, &loop, why, sizeof(why)), 0);
    char text[64];
    snprintf(text, sizeof(text), "127.0.0.1:%u", (unsigned)tn__listener_port(listener));
    struct tn__listener *second = NULL;
    assert_int_equal(tn__listener_open(&second, net, text, on_accept, &loop, why, sizeof(why)),
                     TN_ERROR_ADDRESS_IN_USE);
    assert_null(second);
    assert_non_null(strstr(why, text));
    assert_int_equal(
        tn__listener_open(&second, net, "192.0.2.1:80", on_accept, &loop, why, sizeof(why)),
        TN_ERROR_IO);
    assert_non_null(strstr(why, "192.0.2.1:80"));
    tn__listener_close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_name_with_several_addresses_is_tried_until_one_answers,
                                        begin, end),
        cmocka_unit_test_setup_teardown(
            where_nobody_listens_every_address_is_refused_and_it_is_told_once, begin, end),
        cmocka_unit_test_setup_teardown(a_dial_that_is_given_up_ends_without_a_word, begin, end),
        cmocka_unit_test_setup_teardown(a_taken_port_and_a_host_without_address_are_named, begin,
                                        end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
