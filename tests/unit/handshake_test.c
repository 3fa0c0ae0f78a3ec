/* Handshakes: what is said comes back, what is not valid is refused, and each difference between
 * two members has its error and a sentence with both values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "wire/handshake.h"

static char why[512];

static struct tn__hello hello_of(tn_node_id node)
{
    return (struct tn__hello){
        .restart_word = 0x100000000ULL + node,
        .cluster_id = "0123456789abcdef",
        .configuration = 4,
        .drift_ppm = 500,
        .node = node,
        .version_min = 1,
        .version_max = 1,
        .members_count = 3,
        .tables_count = 2,
        .members = {1, 2, 3},
        .tables = {{10 * TN_SECOND, 11 * TN_SECOND, 12 * TN_SECOND},
                   {250 * TN_MILLISECOND, 250500 * TN_MICROSECOND, TN_SECOND}},
        .name = "one",
        .client_address = "127.0.0.1:2379",
    };
}

/* The largest of everything. */
static struct tn__hello largest_hello(void)
{
    struct tn__hello hello = hello_of(65521);
    hello.members_count = TN_MEMBERS_MAX;
    hello.tables_count = TN_TABLES_MAX;
    hello.diskless = 1;
    for (uint32_t i = 0; i < TN_MEMBERS_MAX; i++) {
        hello.members[i] = (tn_node_id)(TN_NODE_ID_MAX - i);
    }
    for (uint32_t i = 0; i < TN_TABLES_MAX; i++) {
        hello.tables[i] = (struct tn__hello_table){TN_DURATION_NS_MAX, 2 * TN_DURATION_NS_MAX, 1};
    }
    hello.connection = TN_CHANNEL_BULK;
    memset(hello.disk_id, 0xd1, sizeof(hello.disk_id));
    memset(hello.name, 'n', TN_MEMBER_NAME_BYTES_MAX);
    memset(hello.client_address, '9', TN_CLIENT_ADDRESS_BYTES_MAX);
    hello.client_address[TN_CLIENT_ADDRESS_BYTES_MAX] = '\0';
    return hello;
}

static uint32_t write_hello(uint8_t *bytes, const struct tn__hello *hello,
                            struct tn__frame_header *header)
{
    struct tn__frame_expected anyone = {.receiver = 7};
    uint32_t length = tn__hello_write(bytes, hello, 0, 55);
    assert_in_range(length, TN_FRAME_HEADER_BYTES, TN_FRAME_GREETING_BYTES_MAX);
    assert_int_equal(tn__frame_open(bytes, length, &anyone, header), 0);
    assert_int_equal(header->length, length);
    return length;
}

static void a_hello_comes_back_as_it_went(void **state)
{
    (void)state;
    struct tn__hello hellos[] = {hello_of(1), hello_of(2), largest_hello()};
    memset(hellos[1].client_address, 0, sizeof(hellos[1].client_address));
    for (size_t i = 0; i < 3; i++) {
        uint8_t bytes[TN_FRAME_GREETING_BYTES_MAX];
        struct tn__frame_header header;
        struct tn__hello hello;
        memset(&hello, 0xa5, sizeof(hello));
        write_hello(bytes, &hellos[i], &header);
        assert_int_equal(header.counter, 55);
        assert_int_equal(tn__hello_read(bytes, &header, &hello), 0);
        assert_memory_equal(&hello, &hellos[i], sizeof(hello));
    }
}

static void a_hello_with_a_field_out_of_range_is_not_valid(void **state)
{
    (void)state;
    struct tn__hello hellos[18];
    for (size_t i = 0; i < 18; i++) {
        hellos[i] = hello_of(1);
        assert_true(tn__hello_valid(&hellos[i]));
    }
    hellos[0].version_min = 0;
    hellos[1].version_min = 2;
    hellos[2].members_count = 0;
    hellos[3].members_count = TN_MEMBERS_MAX + 1;
    hellos[4].members[2] = 1;
    hellos[5].members[2] = 0;
    hellos[6].node = 9;
    hellos[7].tables_count = 0;
    hellos[8].tables_count = TN_TABLES_MAX + 1;
    hellos[9].tables[1].acceptor_ns = 0;
    hellos[10].tables[0].proposer_ns = 2 * TN_DURATION_NS_MAX + 1;
    hellos[11].drift_ppm = TN_DRIFT_PPM_MAX + 1;
    hellos[12].name[0] = '\0';
    hellos[13].name[1] = ' ';
    memset(hellos[14].name, 'n', sizeof(hellos[14].name));
    hellos[15].client_address[0] = '\x1b';
    hellos[16].restart_word = UINT64_MAX;
    hellos[17].connection = TN_CHANNELS_END;
    for (size_t i = 0; i < 18; i++) {
        if (tn__hello_valid(&hellos[i])) {
            fail_msg("row %zu is taken for valid", i);
        }
    }
}

/* Change one byte of a body, make the frame whole again, read it. */
static int read_changed(uint32_t offset, uint8_t value)
{
    uint8_t bytes[TN_FRAME_GREETING_BYTES_MAX];
    struct tn__frame_header header;
    struct tn__hello hello = hello_of(1);
    write_hello(bytes, &hello, &header);
    bytes[TN_FRAME_HEADER_BYTES + offset] = value;
    tn__frame_seal(bytes, &header);
    return tn__hello_read(bytes, &header, &hello);
}

static void a_hello_whose_counts_do_not_add_up_is_malformed(void **state)
{
    (void)state;
    assert_int_equal(read_changed(0, 1), TN_OK);
    assert_int_equal(read_changed(7, 1), TN_OK);
    assert_int_equal(read_changed(2, 2), TN_ERROR_MALFORMED);
    assert_int_equal(read_changed(2, 255), TN_ERROR_MALFORMED);
    assert_int_equal(read_changed(3, 1), TN_ERROR_MALFORMED);
    assert_int_equal(read_changed(4, 2), TN_ERROR_MALFORMED);
    assert_int_equal(read_changed(5, 4), TN_ERROR_MALFORMED);
    assert_int_equal(read_changed(6, 255), TN_ERROR_MALFORMED);
    assert_int_equal(read_changed(7, 2), TN_ERROR_MALFORMED);
    assert_int_equal(read_changed(8, 'x'), TN_ERROR_MALFORMED); /* not the header's tag */
    assert_int_equal(read_changed(103, 0), TN_ERROR_MALFORMED); /* a zero inside the name */
}

static void a_hello_cut_anywhere_is_malformed(void **state)
{
    (void)state;
    uint8_t bytes[TN_FRAME_GREETING_BYTES_MAX];
    struct tn__frame_header header;
    struct tn__hello hello = hello_of(1);
    uint32_t length = write_hello(bytes, &hello, &header);
    for (header.length = TN_FRAME_HEADER_BYTES; header.length < length; header.length++) {
        assert_int_equal(tn__hello_read(bytes, &header, &hello), TN_ERROR_MALFORMED);
    }
    header.length = length + 1;
    bytes[length] = 0;
    assert_int_equal(tn__hello_read(bytes, &header, &hello), TN_ERROR_MALFORMED);
}

static void a_later_version_may_append_and_is_still_read(void **state)
{
    (void)state;
    uint8_t bytes[TN_FRAME_GREETING_BYTES_MAX];
    struct tn__frame_header header;
    struct tn__hello ours = hello_of(2);
    struct tn__hello later = hello_of(1);
    struct tn__hello hello;
    later.version_min = 2;
    later.version_max = 3;
    uint32_t length = write_hello(bytes, &later, &header);
    memset(bytes + length, 0x77, 20);
    header.length = length + 20;
    tn__frame_seal(bytes, &header);
    assert_int_equal(tn__hello_read(bytes, &header, &hello), TN_OK);
    assert_int_equal(tn__handshake_compare(&ours, &hello, why, sizeof(why)), TN_ERROR_VERSION);
    assert_non_null(strstr(why, "2 to 3"));
    hello.version_min = 1;
    assert_int_equal(tn__handshake_compare(&ours, &hello, why, sizeof(why)), TN_OK);
    assert_int_equal(tn__handshake_version(&ours, &hello), 1);
}

static void assert_refused(const struct tn__hello *theirs, int error, const char *ours_text,
                           const char *theirs_text)
{
    struct tn__hello ours = hello_of(2);
    assert_int_equal(tn__handshake_compare(&ours, theirs, why, sizeof(why)), error);
    if (strstr(why, ours_text) == NULL || strstr(why, theirs_text) == NULL ||
        strstr(why, ": ") == NULL || strlen(why) > TN_REFUSAL_TEXT_BYTES_MAX) {
        fail_msg("\"%s\" lacks \"%s\" or \"%s\"", why, ours_text, theirs_text);
    }
}

static void each_difference_is_refused_in_a_sentence_with_both_values(void **state)
{
    (void)state;
    struct tn__hello ours = hello_of(2);
    struct tn__hello theirs = hello_of(1);
    theirs.diskless = 1; /* no difference that matters */
    assert_int_equal(tn__handshake_compare(&ours, &theirs, why, sizeof(why)), TN_OK);
    theirs.cluster_id[0] = 'x';
    assert_refused(&theirs, TN_ERROR_WRONG_CLUSTER, "this node to that of 30313233...",
                   "the cluster whose name has the SHA-256 78313233...");
    theirs = hello_of(2);
    assert_refused(&theirs, TN_ERROR_WRONG_MEMBER, "own id 2", "two processes");
    theirs = hello_of(1);
    theirs.node = 4;
    theirs.members[0] = 4;
    assert_refused(&theirs, TN_ERROR_WRONG_MEMBER, "1,2,3", "node 4");
    theirs = hello_of(1);
    theirs.configuration = 5;
    assert_refused(&theirs, TN_ERROR_WRONG_CONFIGURATION, "for 4", "version 5");
    theirs = hello_of(1);
    theirs.members[2] = 9;
    assert_refused(&theirs, TN_ERROR_WRONG_CONFIGURATION, "1,2,3", "1,2,9");
    theirs = hello_of(1);
    theirs.members[0] = 2;
    theirs.members[1] = 1;
    assert_refused(&theirs, TN_ERROR_WRONG_CONFIGURATION, "1,2,3", "2,1,3");
    theirs = hello_of(1);
    theirs.members_count = 2;
    assert_refused(&theirs, TN_ERROR_WRONG_CONFIGURATION, "1,2,3", "1,2, this");
    theirs = hello_of(1);
    theirs.drift_ppm = 200;
    assert_refused(&theirs, TN_ERROR_WRONG_CONFIGURATION, "500", "200");
    theirs = hello_of(1);
    theirs.tables_count = 1;
    assert_refused(&theirs, TN_ERROR_WRONG_CONFIGURATION, "node 2:", "1 lease tables");
}

static void T2_T3_a_duration_that_differs_is_refused_by_its_name(void **state)
{
    (void)state;
    struct tn__hello theirs = hello_of(1);
    theirs.tables[0].proposer_ns = 9 * TN_SECOND;
    assert_refused(&theirs, TN_ERROR_WRONG_CONFIGURATION, "10000 ms", "(D_P) of 9000 ms");
    theirs = hello_of(1);
    theirs.tables[1].acceptor_ns++;
    assert_refused(&theirs, TN_ERROR_WRONG_CONFIGURATION, "250.5 ms",
                   "(D_A) of 250.500001 ms in table 1");
    theirs = hello_of(1);
    theirs.tables[1].quarantine_ns--;
    assert_refused(&theirs, TN_ERROR_WRONG_CONFIGURATION, "1000 ms", "(D_Q) of 999.999999 ms");
}

static void the_longest_sentence_fits_a_refusal(void **state)
{
    (void)state;
    struct tn__hello ours = largest_hello();
    struct tn__hello theirs = ours;
    uint8_t bytes[TN_FRAME_GREETING_BYTES_MAX];
    struct tn__frame_header header = {.sender = 1, .receiver = 2};
    struct tn__refusal refusal;
    theirs.node--;
    theirs.members[14] = 1;
    theirs.node = 1;
    theirs.members[0] = ours.node;
    assert_int_equal(tn__handshake_compare(&ours, &theirs, why, sizeof(why)),
                     TN_ERROR_WRONG_MEMBER);
    theirs = ours;
    theirs.node++;
    theirs.members[12] = theirs.members[11];
    theirs.members[11] = ours.members[12];
    assert_int_equal(tn__handshake_compare(&ours, &theirs, why, sizeof(why)),
                     TN_ERROR_WRONG_CONFIGURATION);
    uint32_t length = tn__refusal_write(bytes, &header, TN_ERROR_WRONG_CONFIGURATION, why);
    struct tn__frame_expected expected = {.sender = 1, .receiver = 2};
    assert_int_equal(tn__frame_open(bytes, length, &expected, &header), 0);
    assert_int_equal(tn__refusal_read(bytes, &header, &refusal), 0);
    assert_memory_equal(refusal.text, why, strlen(refusal.text));
}

static void a_peer_under_another_name_than_dialled_is_refused(void **state)
{
    (void)state;
    struct tn__hello theirs = hello_of(1);
    assert_int_equal(tn__handshake_expect(&theirs, 1, "one", why, sizeof(why)), TN_OK);
    assert_int_equal(tn__handshake_expect(&theirs, 3, "one", why, sizeof(why)),
                     TN_ERROR_WRONG_MEMBER);
    assert_int_equal(tn__handshake_expect(&theirs, 1, "two", why, sizeof(why)),
                     TN_ERROR_WRONG_MEMBER);
    assert_non_null(strstr(why, "two (node 1)"));
    assert_non_null(strstr(why, "one (node 1)"));
}

static void a_refusal_comes_back_printable_and_cut_to_its_limit(void **state)
{
    (void)state;
    char text[2 * TN_REFUSAL_TEXT_BYTES_MAX];
    memset(text, 'x', sizeof(text));
    memcpy(text, "a\x1b[31m\n", 7);
    text[sizeof(text) - 1] = '\0';
    uint8_t bytes[TN_FRAME_GREETING_BYTES_MAX];
    struct tn__frame_header header = {.sender = 1, .receiver = 2, .restart_word = 3};
    uint32_t length = tn__refusal_write(bytes, &header, TN_ERROR_WRONG_CLUSTER, text);
    struct tn__frame_expected expected = {.sender = 1, .receiver = 2, .restart_word = 3};
    struct tn__refusal refusal;
    assert_int_equal(tn__frame_open(bytes, length, &expected, &header), 0);
    assert_int_equal(header.kind, TN_FRAME_REFUSAL);
    assert_int_equal(tn__refusal_read(bytes, &header, &refusal), 0);
    assert_int_equal(refusal.error, TN_ERROR_WRONG_CLUSTER);
    assert_int_equal(strlen(refusal.text), TN_REFUSAL_TEXT_BYTES_MAX);
    assert_memory_equal(refusal.text, "a?[31m?x", 8);

    bytes[TN_FRAME_HEADER_BYTES + 4] = 0x1b;
    assert_int_equal(tn__refusal_read(bytes, &header, &refusal), TN_ERROR_MALFORMED);
    bytes[TN_FRAME_HEADER_BYTES + 4] = 'a';
    header.length++;
    bytes[length] = 'x';
    assert_int_equal(tn__refusal_read(bytes, &header, &refusal), TN_ERROR_MALFORMED);
    header.length = TN_FRAME_HEADER_BYTES + 3;
    assert_int_equal(tn__refusal_read(bytes, &header, &refusal), TN_ERROR_MALFORMED);
    memset(bytes + TN_FRAME_HEADER_BYTES, 0, 4);
    header.length = length;
    assert_int_equal(tn__refusal_read(bytes, &header, &refusal), TN_ERROR_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hello_comes_back_as_it_went),
        cmocka_unit_test(a_hello_with_a_field_out_of_range_is_not_valid),
        cmocka_unit_test(a_hello_whose_counts_do_not_add_up_is_malformed),
        cmocka_unit_test(a_hello_cut_anywhere_is_malformed),
        cmocka_unit_test(a_later_version_may_append_and_is_still_read),
        cmocka_unit_test(each_difference_is_refused_in_a_sentence_with_both_values),
        cmocka_unit_test(T2_T3_a_duration_that_differs_is_refused_by_its_name),
        cmocka_unit_test(the_longest_sentence_fits_a_refusal),
        cmocka_unit_test(a_peer_under_another_name_than_dialled_is_refused),
        cmocka_unit_test(a_refusal_comes_back_printable_and_cut_to_its_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
