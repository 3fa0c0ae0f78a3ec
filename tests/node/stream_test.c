/* Streams between a listener and a dialler on one loop: bytes arrive whole and in order, ends are
 * told once, nothing grows without bound. Each test runs the loop until it has nothing left to do,
 * so a handle that is forgotten hangs it, and a leak is found by the address sanitizer. */
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

struct side {
    struct tn__stream *stream;
    uint8_t *got; /* all bytes taken */
    size_t got_bytes;
    size_t took_at_most; /* in one call; 0: all */
    uint32_t opened;
    uint32_t closed;
    int error;
    char why[128];
    bool close_when_open;
    bool never_take;
};

static struct {
    uv_loop_t loop;
    struct tn__net *net;
    struct tn__listener *listener;
    uv_timer_t patience;
    char address[32];
    struct side accepted;
    struct side dialled;
    struct tn__stream_options options;
} world;

static void on_open(void *owner)
{
    struct side *side = owner;
    side->opened += 1;
    if (side->close_when_open) {
        tn__stream_close(side->stream);
        side->stream = NULL;
    }
}

static size_t on_bytes(void *owner, const uint8_t *bytes, size_t length)
{
    struct side *side = owner;
    if (side->never_take) {
        return 0;
    }
    size_t taken =
        side->took_at_most != 0 && length > side->took_at_most ? side->took_at_most : length;
    side->got = realloc(side->got, side->got_bytes + taken + 1);
    memcpy(side->got + side->got_bytes, bytes, taken);
    side->got_bytes += taken;
    return taken;
}

static void on_close(void *owner, int error, const char *why)
{
    struct side *side = owner;
    side->closed += 1;
    side->error = error;
    side->stream = NULL;
    snprintf(side->why, sizeof(side->why), "%s", why);
}

static const struct tn__stream_events events = {
    .on_open = on_open, .on_bytes = on_bytes, .on_close = on_close};

static void on_accept(void *owner, struct tn__net *net, uv_stream_t *listening)
{
    struct side *side = owner;
    struct tn__stream_options options = world.options;
    options.owner = side;
    side->stream = tn__stream_accept(net, &options, listening);
    tn__listener_close(world.listener); /* one connection a test */
    world.listener = NULL;
}

static void on_impatience(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("the loop did not come to its end");
}

static int begin(void **state)
{
    (void)state;
    memset(&world, 0, sizeof(world));
    assert_int_equal(uv_loop_init(&world.loop), 0);
    world.net = calloc(1, sizeof(*world.net));
    world.net->loop = &world.loop;
    world.options.events = &events;
    world.options.input_bytes_max = 1000;
    world.options.output_bytes_max = 1U << 20;
    char why[128];
    assert_int_equal(tn__listener_open(&world.listener, world.net, "127.0.0.1:0", on_accept,
                                       &world.accepted, why, sizeof(why)),
                     0);
    snprintf(world.address, sizeof(world.address), "127.0.0.1:%u",
             (unsigned)tn__listener_port(world.listener));
    uv_timer_init(&world.loop, &world.patience);
    uv_timer_start(&world.patience, on_impatience, 60000, 0);
    uv_unref((uv_handle_t *)&world.patience);
    return 0;
}

static int end(void **state)
{
    (void)state;
    uv_close((uv_handle_t *)&world.patience, NULL);
    uv_run(&world.loop, UV_RUN_DEFAULT);
    assert_int_equal(world.net->streams_count, 0);
    assert_int_equal(uv_loop_close(&world.loop), 0);
    free(world.net);
    free(world.accepted.got);
    free(world.dialled.got);
    return 0;
}

static void dial(const char *text)
{
    struct tn__address address;
    assert_int_equal(tn__address_parse(&address, text, NULL, 0), 0);
    struct tn__stream_options options = world.options;
    options.owner = &world.dialled;
    world.dialled.stream = tn__stream_dial(world.net, &options, &address, 0);
    assert_non_null(world.dialled.stream);
}

static void run_until_open(void)
{
    while (world.accepted.opened == 0 || world.dialled.opened == 0) {
        assert_true(uv_run(&world.loop, UV_RUN_ONCE) != 0);
    }
}

static void bytes_written_before_the_opening_and_after_arrive_in_order(void **state)
{
    (void)state;
    dial(world.address);
    world.accepted.took_at_most = 7; /* so that bytes are left and given again */
    tn__stream_write(world.dialled.stream, "first ", 6);
    run_until_open();
    tn__stream_write(world.dialled.stream, "second ", 7);
    tn__stream_write(world.dialled.stream, "third", 5);
    tn__stream_finish(world.dialled.stream, 10000);
    uv_run(&world.loop, UV_RUN_DEFAULT);
    assert_int_equal(world.accepted.closed, 1);
    assert_int_equal(world.accepted.error, TN_ERROR_CLOSED);
    assert_int_equal(world.dialled.closed, 0); /* who closes is not told */
    assert_true(world.accepted.got_bytes >= 7);
    assert_memory_equal(world.accepted.got, "first second third", world.accepted.got_bytes);
}

static void a_megabyte_arrives_whole_though_the_kernel_takes_it_in_parts(void **state)
{
    (void)state;
    dial(world.address);
    run_until_open();
    enum { BYTES = 1000000 };
    uint8_t *sent = malloc(BYTES);
    for (uint32_t i = 0; i < BYTES; i++) {
        sent[i] = (uint8_t)(i * 2654435761U >> 13);
    }
    tn__stream_write(world.dialled.stream, sent, BYTES);
    tn__stream_finish(world.dialled.stream, 30000);
    world.dialled.stream = NULL;
    uv_run(&world.loop, UV_RUN_DEFAULT);
    assert_int_equal(world.accepted.got_bytes, BYTES);
    assert_memory_equal(world.accepted.got, sent, BYTES);
    free(sent);
}

static void who_does_not_read_is_cut_before_the_output_grows_past_its_bound(void **state)
{
    (void)state;
    dial(world.address);
    run_until_open();
    tn__stream_pause(world.accepted.stream);
    static uint8_t bytes[65536];
    for (uint32_t i = 0; i < 1000 && world.dialled.closed == 0; i++) {
        if (world.dialled.stream != NULL) {
            tn__stream_write(world.dialled.stream, bytes, sizeof(bytes));
            tn__stream_flush(world.dialled.stream);
            assert_true(tn__stream_unsent(world.dialled.stream) <= world.options.output_bytes_max);
        }
        uv_run(&world.loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(world.dialled.closed, 1);
    assert_int_equal(world.dialled.error, TN_ERROR_BUSY);
    tn__stream_resume(world.accepted.stream);
    uv_run(&world.loop, UV_RUN_DEFAULT);
    assert_int_equal(world.accepted.closed, 1);
}

static void input_that_is_never_taken_is_cut_at_its_bound(void **state)
{
    (void)state;
    world.accepted.never_take = true;
    dial(world.address);
    run_until_open();
    static uint8_t bytes[4000];
    tn__stream_write(world.dialled.stream, bytes, sizeof(bytes));
    tn__stream_flush(world.dialled.stream);
    uv_run(&world.loop, UV_RUN_DEFAULT);
    assert_int_equal(world.accepted.closed, 1);
    assert_int_equal(world.accepted.error, TN_ERROR_TOO_LARGE);
    assert_int_equal(world.dialled.closed, 1);
}

static void a_cut_inside_a_call_is_told_after_it_and_once(void **state)
{
    (void)state;
    dial(world.address);
    run_until_open();
    tn__stream_cut(world.dialled.stream, TN_ERROR_TIMEOUT, "for a reason");
    tn__stream_cut(world.dialled.stream, TN_ERROR_IO, "for another");
    assert_int_equal(world.dialled.closed, 0);
    tn__stream_write(world.dialled.stream, "x", 1); /* harmless until then */
    tn__stream_flush(world.dialled.stream);
    uv_run(&world.loop, UV_RUN_DEFAULT);
    assert_int_equal(world.dialled.closed, 1);
    assert_int_equal(world.dialled.error, TN_ERROR_TIMEOUT);
    assert_string_equal(world.dialled.why, "for a reason");
}

static void an_owner_may_close_inside_its_callbacks(void **state)
{
    (void)state;
    world.accepted.close_when_open = true;
    dial(world.address);
    uv_run(&world.loop, UV_RUN_DEFAULT);
    assert_int_equal(world.accepted.opened, 1);
    assert_int_equal(world.accepted.closed, 0);
    assert_int_equal(world.dialled.closed, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bytes_written_before_the_opening_and_after_arrive_in_order,
                                        begin, end),
        cmocka_unit_test_setup_teardown(
            a_megabyte_arrives_whole_though_the_kernel_takes_it_in_parts, begin, end),
        cmocka_unit_test_setup_teardown(
            who_does_not_read_is_cut_before_the_output_grows_past_its_bound, begin, end),
        cmocka_unit_test_setup_teardown(input_that_is_never_taken_is_cut_at_its_bound, begin, end),
        cmocka_unit_test_setup_teardown(a_cut_inside_a_call_is_told_after_it_and_once, begin, end),
        cmocka_unit_test_setup_teardown(an_owner_may_close_inside_its_callbacks, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
