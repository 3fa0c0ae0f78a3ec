/* What comes to the peer port from those who are no members, or behave as none: garbage, floods,
 * silence, too many. The members must not notice, and memory stays bounded. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/random.h"
#include "net/peers.h"
#include "support/node_cell.h"
#include "wire/handshake.h"

static struct cell cell;
static struct tn_node_lease *lease;

static int start(void **state)
{
    (void)state;
    cell_make(&cell, 3, "127.0.0.1");
    cell_start_all(&cell);
    assert_int_equal(tn_node_lease_open(cell.nodes[0].node, "fast", "demo", NULL, &lease), 0);
    assert_int_equal(tn_node_lease_wait(lease, CELL_PATIENCE_NS), 0);
    cell_await_connected(&cell, 3);
    return 0;
}

static int end(void **state)
{
    (void)state;
    cell_end(&cell);
    return 0;
}

static void members_are_unharmed(void)
{
    static struct tn_node_status status;
    for (uint32_t i = 0; i < 3; i++) {
        cell_status(&cell, i, &status);
        assert_int_equal(status.connected_count, 3);
        assert_int_equal(status.counters.disconnects, 0);
    }
    assert_int_equal(tn_node_lease_wait(lease, CELL_PATIENCE_NS), 0);
}

/* The node must end the connection; whatever it says before is thrown away. */
static void expect_end(int file)
{
    char bytes[4096];
    ssize_t length = 0;
    do {
        length = recv(file, bytes, sizeof(bytes), 0);
        assert_false(length < 0 && (errno == EAGAIN || errno == EWOULDBLOCK));
    } while (length > 0);
    close(file);
}

static uint64_t counter(size_t offset)
{
    static struct tn_node_status status;
    cell_status(&cell, 0, &status);
    uint64_t value;
    memcpy(&value, (const char *)&status.counters + offset, sizeof(value));
    return value;
}

#define COUNTER(field) counter(offsetof(struct tn_node_counters, field))

static void garbage_is_cut_off_at_its_first_wrong_byte(void **state)
{
    (void)state;
    uint64_t seed = 20250114;
    printf("# seed %llu\n", (unsigned long long)seed);
    uint64_t before = COUNTER(garbage);
    for (uint32_t round = 0; round < 50; round++) {
        uint8_t bytes[512];
        size_t length = 1 + tn__random_below(&seed, sizeof(bytes));
        for (size_t i = 0; i < length; i++) {
            bytes[i] = (uint8_t)tn__random_next(&seed);
        }
        bytes[0] |= 1; /* no frame begins so */
        int file = cell_connect(&cell, 0);
        assert_true(send(file, bytes, length, MSG_NOSIGNAL) == (ssize_t)length);
        expect_end(file);
    }
    assert_int_equal(COUNTER(garbage), before + 50);
    members_are_unharmed();
}

/* A HELLO as member c would send it, for a node that listens at `index`. */
static uint32_t hello_of_c(uint8_t *bytes, uint64_t restart_word)
{
    static struct tn_node_status status;
    cell_status(&cell, 0, &status);
    struct tn__hello hello = {
        .restart_word = restart_word,
        .configuration = status.lease.configuration,
        .drift_ppm = status.drift_ppm,
        .node = 3,
        .version_min = TN_PROTOCOL_VERSION_MIN,
        .version_max = TN_PROTOCOL_VERSION_MAX,
        .members_count = 3,
        .members = {1, 2, 3},
        .tables_count = 1,
        .name = "c",
    };
    hello.tables[0].proposer_ns = status.tables[0].options.proposer_ns;
    hello.tables[0].acceptor_ns = status.tables[0].options.acceptor_ns;
    hello.tables[0].quarantine_ns = status.tables[0].options.quarantine_ns;
    /* The cluster id is the head of SHA-256("tenure"). */
    static const uint8_t cluster_id[16] = {0x6a, 0x6d, 0x2c, 0xb6, 0x62, 0xcc, 0x50, 0x91,
                                           0xf7, 0x99, 0x26, 0x85, 0x8e, 0x30, 0xf4, 0x73};
    memcpy(hello.cluster_id, cluster_id, sizeof(cluster_id));
    return tn__hello_write(bytes, &hello, 1, 0);
}

static void a_length_that_no_greeting_has_is_not_awaited(void **state)
{
    (void)state;
    uint8_t bytes[TN_FRAME_GREETING_BYTES_MAX];
    (void)hello_of_c(bytes, 1ULL << 32);
    static const uint32_t lengths[] = {
        TN_FRAME_GREETING_BYTES_MAX + 1, TN_FRAME_BYTES_MAX, 1U << 30, UINT32_MAX, 0, 47};
    for (uint32_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        tn__put_u32(bytes + 8, lengths[i]);
        int file = cell_connect(&cell, 0);
        assert_true(send(file, bytes, 12, MSG_NOSIGNAL) == 12);
        expect_end(file);
    }
    members_are_unharmed();
}

static void a_stranger_may_not_send_items(void **state)
{
    (void)state;
    uint8_t bytes[TN_FRAME_GREETING_BYTES_MAX];
    (void)hello_of_c(bytes, 1ULL << 32);
    bytes[5] = TN_FRAME_ITEMS;
    tn__put_u16(bytes + 6, 200);
    tn__put_u32(bytes + 8, 40000);
    int file = cell_connect(&cell, 0);
    assert_true(send(file, bytes, TN_FRAME_HEADER_BYTES, MSG_NOSIGNAL) == TN_FRAME_HEADER_BYTES);
    expect_end(file);
    members_are_unharmed();
}

static void an_earlier_start_of_a_connected_member_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[TN_FRAME_GREETING_BYTES_MAX];
    uint32_t length = hello_of_c(bytes, 0); /* count 0 is before every start */
    int file = cell_connect(&cell, 0);
    assert_true(send(file, bytes, length, MSG_NOSIGNAL) == (ssize_t)length);
    uint8_t answer[TN_FRAME_GREETING_BYTES_MAX];
    ssize_t got = recv(file, answer, sizeof(answer), MSG_WAITALL);
    assert_true(got > TN_FRAME_HEADER_BYTES);
    assert_int_equal(answer[5], TN_FRAME_REFUSAL);
    close(file);
    cell_await_log(&cell, 0, "stop the older");
    members_are_unharmed();
}

static void who_never_says_hello_is_closed_and_does_not_keep_others_out(void **state)
{
    (void)state;
    enum { MANY = TN_PEERS_STRANGERS_MAX + 20 };
    int files[MANY];
    uint64_t before = COUNTER(strangers);
    for (uint32_t i = 0; i < MANY; i++) {
        files[i] = cell_connect(&cell, 0);
    }
    members_are_unharmed();
    for (uint32_t i = 0; i < MANY; i++) {
        expect_end(files[i]);
    }
    assert_true(COUNTER(strangers) >= before + MANY);
    members_are_unharmed();
}

static void
a_hello_in_single_bytes_is_understood_and_one_cut_short_is_not_awaited_for_ever(void **state)
{
    (void)state;
    uint8_t bytes[TN_FRAME_GREETING_BYTES_MAX];
    uint32_t length = hello_of_c(bytes, 0);
    int file = cell_connect(&cell, 0);
    for (uint32_t i = 0; i < length; i++) {
        assert_true(send(file, bytes + i, 1, MSG_NOSIGNAL) == 1);
    }
    uint8_t answer[TN_FRAME_GREETING_BYTES_MAX];
    assert_true(recv(file, answer, sizeof(answer), MSG_WAITALL) > TN_FRAME_HEADER_BYTES);
    assert_int_equal(answer[5], TN_FRAME_REFUSAL);
    close(file);
    file = cell_connect(&cell, 0);
    assert_true(send(file, bytes, length - 1, MSG_NOSIGNAL) == (ssize_t)length - 1);
    expect_end(file);
    members_are_unharmed();
}

/* Becomes member c in the eyes of node a: greets, agrees, and then sends what it likes. */
static int pose_as_c(uint8_t *bytes)
{
    uint32_t length = hello_of_c(bytes, 77ULL << 32);
    int file = cell_connect(&cell, 0);
    assert_true(send(file, bytes, length, MSG_NOSIGNAL) == (ssize_t)length);
    uint8_t answer[TN_FRAME_HEADER_BYTES];
    assert_int_equal(recv(file, answer, sizeof(answer), MSG_WAITALL), sizeof(answer));
    assert_int_equal(answer[5], TN_FRAME_HELLO);
    struct tn__frame_header header;
    struct tn__frame_expected any = {0};
    assert_int_equal(tn__frame_open(bytes, length, &any, &header), TN_FRAME_FAULT_NONE);
    header.kind = TN_FRAME_ITEMS;
    header.length = TN_FRAME_HEADER_BYTES;
    header.items_count = 0;
    tn__frame_seal(bytes, &header);
    assert_true(send(file, bytes, TN_FRAME_HEADER_BYTES, MSG_NOSIGNAL) == TN_FRAME_HEADER_BYTES);
    return file;
}

static void a_member_that_sends_garbage_is_cut_and_comes_back(void **state)
{
    (void)state;
    cell_stop(&cell, 2);
    uint8_t bytes[TN_FRAME_GREETING_BYTES_MAX];
    int file = pose_as_c(bytes);
    static struct tn_node_status status;
    tn_time since = 0;
    do {
        cell_status(&cell, 0, &status);
    } while (status.members[2].restart_word != 77ULL << 32 && cell_patience(&since));
    assert_int_equal(status.members[2].restart_word, 77ULL << 32);
    bytes[20] ^= 1; /* the frame again, one bit changed: its checksum is wrong */
    assert_true(send(file, bytes, TN_FRAME_HEADER_BYTES, MSG_NOSIGNAL) == TN_FRAME_HEADER_BYTES);
    expect_end(file);
    cell_await_log(&cell, 0, "checksum does not match");
    assert_int_equal(tn_node_lease_wait(lease, CELL_PATIENCE_NS), 0);
    cell_start(&cell, 2); /* the real one; its count of starts is lower, but the other is gone */
    cell_await_connected(&cell, 3);
}

static void a_member_that_floods_and_never_reads_is_cut(void **state)
{
    (void)state;
    cell_stop(&cell, 2);
    uint8_t bytes[TN_FRAME_GREETING_BYTES_MAX];
    int file = pose_as_c(bytes);
    struct tn__frame_header header;
    struct tn__frame_expected any = {0};
    assert_int_equal(tn__frame_open(bytes, TN_FRAME_HEADER_BYTES, &any, &header),
                     TN_FRAME_FAULT_NONE);
    header.kind = TN_FRAME_PING; /* each wants an answer, and none is read */
    uint64_t before = COUNTER(floods);
    static uint8_t flood[1000 * TN_FRAME_PING_BYTES];
    for (uint32_t i = 0; i < 1000; i++) {
        tn__frame_ping_write(flood + i * TN_FRAME_PING_BYTES, &header, i);
    }
    bool cut = false;
    for (uint32_t i = 0; i < 20000 && !cut; i++) { /* 1 GB at the most */
        size_t done = 0;
        while (done < sizeof(flood) && !cut) {
            ssize_t sent = send(file, flood + done, sizeof(flood) - done, MSG_NOSIGNAL);
            cut = sent <= 0;
            done += sent > 0 ? (size_t)sent : 0;
        }
    }
    close(file);
    assert_true(cut);
    tn_time since = 0;
    while (COUNTER(floods) == before && cell_patience(&since)) {
    }
    assert_int_equal(COUNTER(floods), before + 1);
    assert_int_equal(tn_node_lease_wait(lease, CELL_PATIENCE_NS), 0);
    cell_start(&cell, 2);
    cell_await_connected(&cell, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(garbage_is_cut_off_at_its_first_wrong_byte),
        cmocka_unit_test(a_length_that_no_greeting_has_is_not_awaited),
        cmocka_unit_test(a_stranger_may_not_send_items),
        cmocka_unit_test(an_earlier_start_of_a_connected_member_is_refused),
        cmocka_unit_test(who_never_says_hello_is_closed_and_does_not_keep_others_out),
        cmocka_unit_test(
            a_hello_in_single_bytes_is_understood_and_one_cut_short_is_not_awaited_for_ever),
        cmocka_unit_test(a_member_that_sends_garbage_is_cut_and_comes_back),
        cmocka_unit_test(a_member_that_floods_and_never_reads_is_cut),
    };
    return cmocka_run_group_tests(tests, start, end);
}
