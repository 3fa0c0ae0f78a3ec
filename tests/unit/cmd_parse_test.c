/* Values as people write them: tables of what is understood and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "cmd/cmd_parse.h"

static void reads_durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        tn_time duration;
        const char *shown;
    } cases[] = {
        {"0", 0, "0s"},
        {"1s", TN_SECOND, "1s"},
        {"250ms", 250 * TN_MILLISECOND, "250ms"},
        {"1.5s", 1500 * TN_MILLISECOND, "1.5s"},
        {"0.25s", 250 * TN_MILLISECOND, "250ms"},
        {"90s", 90 * TN_SECOND, "90s"},
        {"2m", 120 * TN_SECOND, "2m"},
        {"1h", 3600 * TN_SECOND, "1h"},
        {"1d", 86400 * TN_SECOND, "1d"},
        {"500us", 500 * TN_MICROSECOND, "500us"},
        {"7ns", 7, "7ns"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char why[TN_CMD_WHY_BYTES];
        char shown[24];
        tn_time duration = 1;
        assert_true(tn__cmd_parse_duration(cases[i].text, &duration, why));
        assert_int_equal(duration, cases[i].duration);
        tn__cmd_print_duration(shown, sizeof(shown), duration);
        assert_string_equal(shown, cases[i].shown);
    }
}

static void refuses_what_is_no_duration(void **state)
{
    (void)state;
    static const char *const cases[] = {"",
                                        "5",
                                        "s",
                                        "-1s",
                                        "1 s",
                                        "1ss",
                                        "1.s",
                                        ".5s",
                                        "1.2.3s",
                                        "1sec",
                                        "0x1s",
                                        "1e3s",
                                        "fast",
                                        "99999999999999999d",
                                        "1000000000000000000000s"};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char why[TN_CMD_WHY_BYTES] = "";
        tn_time duration;
        assert_false(tn__cmd_parse_duration(cases[i], &duration, why));
        assert_non_null(strstr(why, "250ms"));
    }
}

static void reads_numbers_within_their_bounds(void **state)
{
    (void)state;
    char why[TN_CMD_WHY_BYTES];
    uint64_t number = 0;
    assert_true(tn__cmd_parse_number("18446744073709551615", 0, UINT64_MAX, &number, why));
    assert_int_equal(number, UINT64_MAX);
    assert_true(tn__cmd_parse_number("5", 5, 5, &number, why));
    static const char *const wrong[] = {"", "6", "4", "-5", "5x", " 5", "18446744073709551616"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_false(tn__cmd_parse_number(wrong[i], 5, 5, &number, why));
        assert_non_null(strstr(why, "from 5 to 5"));
    }
}

static void reads_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *host;
        uint16_t port;
    } cases[] = {
        {"127.0.0.1:2379", "127.0.0.1", 2379}, {"[::1]:2379", "::1", 2379},
        {"db-3.example:1", "db-3.example", 1}, {"[fe80::1%lo]:65535", "fe80::1%lo", 65535},
        {"0.0.0.0:0", "0.0.0.0", 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char why[TN_CMD_WHY_BYTES];
        struct tn__cmd_address address;
        assert_true(tn__cmd_parse_address(cases[i].text, true, &address, why));
        assert_string_equal(address.host, cases[i].host);
        assert_int_equal(address.port, cases[i].port);
    }
}

static void refuses_what_is_no_address(void **state)
{
    (void)state;
    static const char *const cases[] = {"",          "localhost",  ":2379",    "::1:2379", "[::1]",
                                        "[::1:2379", "a:65536",    "a:-1",     "a:b",      "a:0",
                                        "a b:1",     "http://a:1", "a:1/path", "user@a:1", "a=b:1"};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char why[TN_CMD_WHY_BYTES] = "";
        struct tn__cmd_address address;
        assert_false(tn__cmd_parse_address(cases[i], false, &address, why));
        assert_non_null(strstr(why, "HOST:PORT"));
    }
    char why[TN_CMD_WHY_BYTES];
    char longest[400];
    struct tn__cmd_address address;
    memset(longest, 'a', sizeof(longest));
    memcpy(longest + sizeof(longest) - 3, ":1", 3);
    assert_false(tn__cmd_parse_address(longest, false, &address, why));
}

static void reads_peers_and_tables(void **state)
{
    (void)state;
    char why[TN_CMD_WHY_BYTES];
    struct tn__cmd_peer peer;
    struct tn__cmd_table table;
    assert_true(tn__cmd_parse_peer("n1=[::1]:2380", &peer, why));
    assert_string_equal(peer.name, "n1");
    assert_string_equal(peer.address, "[::1]:2380");
    assert_true(tn__cmd_parse_table("leader=1s", &table, why));
    assert_int_equal(table.durations.proposer_ns, TN_SECOND);
    assert_int_equal(table.durations.acceptor_ns, 0);
    assert_true(tn__cmd_parse_table("a=1s,2s,3s", &table, why));
    assert_int_equal(table.durations.acceptor_ns, 2 * TN_SECOND);
    assert_int_equal(table.durations.quarantine_ns, 3 * TN_SECOND);
    static const char *const peers[] = {"", "n1", "=a:1", "n 1=a:1", "n1=a", "n1="};
    for (size_t i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
        assert_false(tn__cmd_parse_peer(peers[i], &peer, why));
    }
    static const char *const tables[] = {"", "a", "a=", "a=1", "a=1s,", "a=1s,2s,3s,4s", "=1s"};
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        assert_false(tn__cmd_parse_table(tables[i], &table, why));
    }
}

static void knows_names_words_and_loopback(void **state)
{
    (void)state;
    char why[TN_CMD_WHY_BYTES];
    char longest[80];
    memset(longest, 'x', sizeof(longest));
    longest[TN_NAME_BYTES_MAX] = '\0';
    assert_true(tn__cmd_parse_name(longest, why));
    assert_false(tn__cmd_parse_word(longest, why));
    longest[TN_MEMBER_NAME_BYTES_MAX] = '\0';
    assert_true(tn__cmd_parse_word(longest, why));
    longest[TN_MEMBER_NAME_BYTES_MAX] = 'x';
    longest[TN_NAME_BYTES_MAX] = 'x';
    longest[TN_NAME_BYTES_MAX + 1] = '\0';
    assert_false(tn__cmd_parse_name(longest, why));
    assert_false(tn__cmd_parse_name("", why));
    assert_false(tn__cmd_parse_word("two words", why));
    assert_true(tn__cmd_host_is_loopback("127.3.2.1"));
    assert_true(tn__cmd_host_is_loopback("::1"));
    assert_true(tn__cmd_host_is_loopback("localhost"));
    assert_false(tn__cmd_host_is_loopback("0.0.0.0"));
    assert_false(tn__cmd_host_is_loopback("12.7.0.1"));
}

static void reads_switches(void **state)
{
    (void)state;
    char why[TN_CMD_WHY_BYTES];
    bool on = false;
    assert_true(tn__cmd_parse_switch("yes", &on, why) && on);
    assert_true(tn__cmd_parse_switch("0", &on, why) && !on);
    assert_false(tn__cmd_parse_switch("maybe", &on, why));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_durations),
        cmocka_unit_test(refuses_what_is_no_duration),
        cmocka_unit_test(reads_numbers_within_their_bounds),
        cmocka_unit_test(reads_addresses),
        cmocka_unit_test(refuses_what_is_no_address),
        cmocka_unit_test(reads_peers_and_tables),
        cmocka_unit_test(knows_names_words_and_loopback),
        cmocka_unit_test(reads_switches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
