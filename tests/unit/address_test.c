/* Addresses as people write them: what is taken, what is refused, what counts as this machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include <tenure/error.h>

#include "net/address.h"

struct taken {
    const char *text;
    const char *host;
    uint16_t port;
    bool loopback;
    bool numeric;
};

static const struct taken good[] = {
    {"localhost:2380", "localhost", 2380, true, false},
    {"127.0.0.1:0", "127.0.0.1", 0, true, true},
    {"127.8.9.10:1", "127.8.9.10", 1, true, true},
    {"[::1]:65535", "::1", 65535, true, true},
    {"[fe80::1%eth0]:80", "fe80::1%eth0", 80, false, false},
    {"0.0.0.0:2380", "0.0.0.0", 2380, false, true},
    {"[::]:2380", "::", 2380, false, true},
    {"a-host.example:443", "a-host.example", 443, false, false},
    {"localhost.example:443", "localhost.example", 443, false, false},
    {"128.0.0.1:443", "128.0.0.1", 443, false, true},
};

static void hosts_and_ports_are_taken_apart(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct tn__address address;
        char why[128];
        if (tn__address_parse(&address, good[i].text, why, sizeof(why)) != 0) {
            fail_msg("%s: %s", good[i].text, why);
        }
        char port[8];
        snprintf(port, sizeof(port), "%u", (unsigned)good[i].port);
        assert_string_equal(address.host, good[i].host);
        assert_string_equal(address.port, port);
        assert_int_equal(address.port_number, good[i].port);
        assert_int_equal(tn__address_is_loopback(&address), good[i].loopback);
        assert_int_equal(tn__address_is_numeric(&address), good[i].numeric);
    }
}

static void what_is_no_address_is_refused_with_its_text(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",           "host",        "host:",     ":80",      "host:x",       "host:-1",
        "host:65536", "host:123456", "::1:80",    "[::1]80",  "[::1:80",      "[]:80",
        "[:80",       "ho st:80",    "host/a:80", "host:8 0", "user@host:80", "host:+80",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct tn__address address;
        char why[160] = "";
        assert_int_equal(tn__address_parse(&address, bad[i], why, sizeof(why)), TN_ERROR_INVALID);
        assert_non_null(strstr(why, bad[i]));
        assert_int_equal(tn__address_parse(&address, bad[i], NULL, 0), TN_ERROR_INVALID);
    }
    char longest[TN_ADDRESS_BYTES_MAX + 1];
    memset(longest, 'h', sizeof(longest));
    memcpy(longest + sizeof(longest) - 4, ":80", 4);
    struct tn__address address;
    assert_int_equal(tn__address_parse(&address, longest, NULL, 0), 0);
    char over[TN_ADDRESS_BYTES_MAX + 2] = "h";
    memcpy(over + 1, longest, sizeof(longest));
    assert_int_equal(tn__address_parse(&address, over, NULL, 0), TN_ERROR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_and_ports_are_taken_apart),
        cmocka_unit_test(what_is_no_address_is_refused_with_its_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
