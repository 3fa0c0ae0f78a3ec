/* The bulk connection between two members, both in this process on one loop: made when wanted,
 * bounded, lost alone, gone with the control connection. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/peers_internal.h"

/* Rounds of the loop that are waited for anything: each lasts at most a tick. */
#define ROUNDS_MAX 200000

struct side {
    struct tn__peers *peers;
    struct tn_node_counters counters;
    uint32_t connected;
    uint32_t disconnected;
    uint32_t bulk;
    uint32_t frames;
    uint32_t pongs;
    uint32_t items_max;
};

static uv_loop_t loop;
static struct tn__net net;
static struct side sides[2];

static enum tn__frame_fault on_items(void *owner, uint32_t member, const uint8_t *bytes,
                                     const struct tn__frame_header *header)
{
    (void)owner;
    (void)member;
    (void)bytes;
    (void)header;
    return TN_FRAME_FAULT_NONE;
}

static void on_connected(void *owner, uint32_t member, uint64_t restart_word, uint64_t counter)
{
    (void)member;
    (void)restart_word;
    (void)counter;
    ((struct side *)owner)->connected += 1;
}

static void on_disconnected(void *owner, uint32_t member)
{
    (void)member;
    ((struct side *)owner)->disconnected += 1;
}

static void on_pong(void *owner, uint32_t member, uint64_t word)
{
    (void)member;
    (void)word;
    ((struct side *)owner)->pongs += 1;
}

static enum tn__frame_fault on_messages(void *owner, uint32_t member, const uint8_t *bytes,
                                        const struct tn__frame_header *header)
{
    (void)member;
    (void)bytes;
    struct side *side = owner;
    side->frames += 1;
    side->items_max = header->items_count > side->items_max ? header->items_count : side->items_max;
    return TN_FRAME_FAULT_NONE;
}

static void on_bulk(void *owner, uint32_t member)
{
    (void)member;
    ((struct side *)owner)->bulk += 1;
}

static uint64_t counter_of(void *owner)
{
    (void)owner;
    return 1;
}

static void on_log(void *owner, enum tn_log_level level, const char *text)
{
    (void)owner;
    if (level == TN_LOG_ERROR) {
        print_message("# %s\n", text);
    }
}

static const struct tn__peers_events events = {
    .on_items = on_items,
    .on_connected = on_connected,
    .on_disconnected = on_disconnected,
    .on_pong = on_pong,
    .on_messages = on_messages,
    .on_bulk = on_bulk,
    .counter = counter_of,
    .on_log = on_log,
};

static void open_side(uint32_t self, uint16_t port_of_first)
{
    struct tn__hello hello = {
        .restart_word = (1ULL << 32) + self,
        .cluster_id = "0123456789abcdef",
        .configuration = 1,
        .node = (tn_node_id)(self + 1),
        .version_min = TN_PROTOCOL_VERSION_MIN,
        .version_max = TN_PROTOCOL_VERSION_MAX,
        .members_count = 2,
        .tables_count = 1,
        .members = {1, 2},
        .tables = {{TN_SECOND, TN_SECOND, TN_SECOND}},
    };
    memset(hello.disk_id, (int)self + 1, sizeof(hello.disk_id));
    snprintf(hello.name, sizeof(hello.name), "m%u", self);
    struct tn__peers_member members[2] = {{.name = "m0"}, {.name = "m1"}};
    char why[TN_WHY_BYTES_MAX];
    snprintf(members[0].address_text, sizeof(members[0].address_text), "127.0.0.1:%u",
             port_of_first);
    snprintf(members[1].address_text, sizeof(members[1].address_text), "127.0.0.1:1");
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(
            tn__address_parse(&members[i].address, members[i].address_text, why, sizeof(why)), 0);
    }
    struct tn__peers_options options = {
        .events = &events,
        .owner = &sides[self],
        .hello = &hello,
        .members = members,
        .self = self,
        .random = 5,
        .counters = &sides[self].counters,
    };
    memset(&sides[self], 0, sizeof(sides[self]));
    assert_int_equal(tn__peers_open(&sides[self].peers, &net, &options), 0);
}

static int setup(void **state)
{
    (void)state;
    char why[TN_WHY_BYTES_MAX];
    assert_int_equal(uv_loop_init(&loop), 0);
    net.loop = &loop;
    open_side(0, 1);
    assert_int_equal(tn__peers_listen(sides[0].peers, "127.0.0.1:0", why, sizeof(why)), 0);
    open_side(1, tn__peers_port(sides[0].peers));
    tn__peers_start(sides[0].peers);
    tn__peers_start(sides[1].peers);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        tn__peers_close(sides[i].peers, 100);
        sides[i].peers = NULL;
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop);
}

static void run_until(const uint32_t *counter, uint32_t least)
{
    for (uint32_t i = 0; i < ROUNDS_MAX && *counter < least; i++) {
        uv_run(&loop, UV_RUN_ONCE);
        tn__peers_flush(sides[0].peers, TN_MEMBERS_MAX);
        tn__peers_flush(sides[1].peers, TN_MEMBERS_MAX);
    }
    assert_true(*counter >= least);
}

static void connect_both(bool bulk)
{
    run_until(&sides[0].connected, 1);
    run_until(&sides[1].connected, 1);
    if (bulk) {
        tn__peers_want_bulk(sides[0].peers); /* the lower id: it only accepts */
        tn__peers_want_bulk(sides[1].peers);
        run_until(&sides[0].bulk, 1);
        run_until(&sides[1].bulk, 1);
    }
}

static bool give(uint32_t from, enum tn__channel channel, uint32_t body_bytes)
{
    struct tn__buffer frame = {0};
    assert_true(tn__buffer_reserve(&frame, TN_FRAME_HEADER_BYTES + body_bytes));
    memset(frame.bytes, 0, TN_FRAME_HEADER_BYTES + body_bytes);
    struct tn__frame_header header;
    tn__peers_header(sides[from].peers, 1 - from, &header);
    header.kind = TN_FRAME_LOG;
    header.items_count = 7;
    header.length = TN_FRAME_HEADER_BYTES + body_bytes;
    tn__frame_seal(frame.bytes, &header);
    frame.length = header.length;
    bool given = tn__peers_give(sides[from].peers, 1 - from, channel, &frame);
    assert_int_equal(frame.length, 0);
    free(frame.bytes);
    return given;
}

static void a_bulk_connection_is_made_once_it_is_wanted(void **state)
{
    (void)state;
    connect_both(false);
    assert_true(tn__peers_ping(sides[0].peers, 1, 1));
    run_until(&sides[0].pongs, 1);
    assert_false(tn__peers_bulk_connected(sides[0].peers, 1));
    assert_false(give(0, TN_CHANNEL_BULK, 10));
    connect_both(true);
    assert_true(tn__peers_bulk_connected(sides[0].peers, 1));
    assert_true(tn__peers_bulk_connected(sides[1].peers, 0));
    assert_int_equal(sides[0].connected, 1);
    assert_int_equal(tn__peers_disk_id(sides[0].peers, 1)[15], 2);
}

static void frames_cross_both_ways_whole_however_long(void **state)
{
    (void)state;
    connect_both(true);
    for (uint32_t i = 0; i < 2; i++) {
        assert_true(give(i, TN_CHANNEL_BULK, 20U << 20));
        assert_true(give(i, TN_CHANNEL_BULK, 1));
        assert_true(give(i, TN_CHANNEL_CONTROL, 1000));
        run_until(&sides[1 - i].frames, 3);
        assert_int_equal(sides[1 - i].items_max, 7);
    }
}

static void a_long_frame_on_the_control_connection_is_refused(void **state)
{
    (void)state;
    connect_both(true);
    assert_true(give(0, TN_CHANNEL_CONTROL, 2U << 20));
    run_until(&sides[1].disconnected, 1);
    assert_int_equal(sides[1].frames, 0);
    run_until(&sides[1].bulk, 2); /* all is made again */
}

static void a_member_that_does_not_read_loses_bulk_frames_and_nothing_else(void **state)
{
    (void)state;
    connect_both(true);
    uint32_t given = 0;
    for (uint32_t i = 0; i < 80; i++) {
        given += give(0, TN_CHANNEL_BULK, 1U << 20) ? 1 : 0;
    }
    assert_in_range(given, 32, 60);
    assert_int_equal(sides[0].counters.bulk_dropped, 80 - given);
    assert_true(tn__peers_bulk_unsent(sides[0].peers, 1) <=
                TN_PEERS_BULK_BYTES_MAX + (1U << 20) + TN_FRAME_HEADER_BYTES);
    assert_true(tn__peers_ping(sides[0].peers, 1, 1));
    run_until(&sides[0].pongs, 1);
    assert_true(sides[1].frames < given); /* the ping did not wait for them */
    run_until(&sides[1].frames, given);
    assert_int_equal(sides[0].disconnected, 0);
}

static void bulk_frames_beyond_so_many_connections_wait_for_the_next_flush(void **state)
{
    (void)state;
    connect_both(true);
    assert_true(give(0, TN_CHANNEL_BULK, 100));
    assert_true(give(0, TN_CHANNEL_CONTROL, 100));
    size_t waits = tn__peers_bulk_unsent(sides[0].peers, 1);
    assert_true(waits > 0);
    tn__peers_flush(sides[0].peers, 0);
    assert_int_equal(tn__peers_bulk_unsent(sides[0].peers, 1), waits);
    tn__peers_flush(sides[0].peers, 1);
    assert_int_equal(tn__peers_bulk_unsent(sides[0].peers, 1), 0);
    run_until(&sides[1].frames, 2);
}

static void garbage_on_the_bulk_connection_ends_that_alone(void **state)
{
    (void)state;
    connect_both(true);
    tn__stream_write(sides[0].peers->peers[1].bulk->stream, "garbage", 7);
    tn__stream_flush(sides[0].peers->peers[1].bulk->stream);
    run_until(&sides[1].bulk, 2);
    run_until(&sides[0].bulk, 2);
    assert_int_equal(sides[1].counters.garbage, 1);
    assert_int_equal(sides[0].disconnected + sides[1].disconnected, 0);
}

static void the_bulk_connection_ends_with_the_control_connection(void **state)
{
    (void)state;
    connect_both(true);
    tn__stream_cut(sides[1].peers->peers[0].link->stream, TN_ERROR_IO, "cut by the test");
    run_until(&sides[1].disconnected, 1);
    assert_false(tn__peers_bulk_connected(sides[1].peers, 0));
    run_until(&sides[0].bulk, 2);
    run_until(&sides[1].bulk, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_bulk_connection_is_made_once_it_is_wanted, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(frames_cross_both_ways_whole_however_long, setup, teardown),
        cmocka_unit_test_setup_teardown(a_long_frame_on_the_control_connection_is_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            a_member_that_does_not_read_loses_bulk_frames_and_nothing_else, setup, teardown),
        cmocka_unit_test_setup_teardown(
            bulk_frames_beyond_so_many_connections_wait_for_the_next_flush, setup, teardown),
        cmocka_unit_test_setup_teardown(garbage_on_the_bulk_connection_ends_that_alone, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_bulk_connection_ends_with_the_control_connection, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
