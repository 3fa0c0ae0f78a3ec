/* What stands around a call: targets and queries taken apart, answers put together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "http/query.h"
#include "http/response.h"

static struct tn__http_target cut(const char *text)
{
    struct tn__http_target target;
    assert_true(tn__http_target_cut(text, strlen(text), &target));
    return target;
}

static void a_target_is_a_path_and_a_query(void **state)
{
    (void)state;
    struct tn__http_target target = cut("/v1/who?name=a?b");
    assert_true(tn__http_target_is(&target, "/v1/who"));
    assert_false(tn__http_target_is(&target, "/v1/wh"));
    assert_false(tn__http_target_is(&target, "/v1/whoo"));
    assert_int_equal(target.query_length, strlen("name=a?b"));
    target = cut("/");
    assert_int_equal(target.query_length, 0);
    static const char *const wrong[] = {"", "*", "http://host/", "/a#b"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_false(tn__http_target_cut(wrong[i], strlen(wrong[i]), &target));
    }
}

static void values_are_percent_decoded(void **state)
{
    (void)state;
    static const struct {
        const char *target;
        enum tn__http_query_found found;
        const char *value;
    } cases[] = {
        {"/?name=abc", TN__HTTP_QUERY_FOUND, "abc"},
        {"/?a=1&name=a%20b+c%2fd%C3%a9&z", TN__HTTP_QUERY_FOUND, "a b c/d\xc3\xa9"},
        {"/?name", TN__HTTP_QUERY_FOUND, ""},
        {"/?name=", TN__HTTP_QUERY_FOUND, ""},
        {"/?&&name=a=b&&", TN__HTTP_QUERY_FOUND, "a=b"},
        {"/", TN__HTTP_QUERY_ABSENT, ""},
        {"/?names=1&nam=2", TN__HTTP_QUERY_ABSENT, ""},
        {"/?name=1&name=2", TN__HTTP_QUERY_TWICE, NULL},
        {"/?name=%", TN__HTTP_QUERY_BAD, NULL},
        {"/?name=%4", TN__HTTP_QUERY_BAD, NULL},
        {"/?name=%4g", TN__HTTP_QUERY_BAD, NULL},
        {"/?name=%4&x=1", TN__HTTP_QUERY_BAD, NULL},
        {"/?name=0123456789abcdef", TN__HTTP_QUERY_LONG, NULL},
        {"/?name=0123456789abcde", TN__HTTP_QUERY_FOUND, "0123456789abcde"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct tn__http_target target = cut(cases[i].target);
        char value[16];
        size_t length;
        assert_int_equal(tn__http_query_find(&target, "name", value, sizeof(value), &length),
                         cases[i].found);
        if (cases[i].value != NULL) {
            assert_string_equal(value, cases[i].value);
            assert_int_equal(length, strlen(cases[i].value));
        }
    }
}

static void a_zero_byte_in_a_value_shows_in_its_length(void **state)
{
    (void)state;
    struct tn__http_target target = cut("/?name=a%00b");
    char value[16];
    size_t length;
    assert_int_equal(tn__http_query_find(&target, "name", value, sizeof(value), &length),
                     TN__HTTP_QUERY_FOUND);
    assert_int_equal(length, 3);
}

static void unknown_keys_are_named(void **state)
{
    (void)state;
    static const char *const keys[] = {"name", "table", NULL};
    char odd[8];
    struct tn__http_target target = cut("/?name=1&table=2&name=3");
    assert_true(tn__http_query_only(&target, keys, odd, sizeof(odd)));
    target = cut("/?name=1&tables=2");
    assert_false(tn__http_query_only(&target, keys, odd, sizeof(odd)));
    assert_string_equal(odd, "tables");
    target = cut("/?averylongkey=2");
    assert_false(tn__http_query_only(&target, keys, odd, sizeof(odd)));
    assert_string_equal(odd, "averylo");
}

static void a_whole_answer_says_its_length(void **state)
{
    (void)state;
    struct tn__http_response response = {
        .status = 200, .keep_alive = true, .minor = 1, .type = "text/plain", .body_length = 12};
    char bytes[TN__HTTP_RESPONSE_HEAD_BYTES_MAX];
    size_t length = tn__http_response_head(&response, bytes, sizeof(bytes));
    assert_string_equal(bytes, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                               "Cache-Control: no-store\r\nContent-Length: 12\r\n\r\n");
    assert_int_equal(length, strlen(bytes));
    response.status = 405;
    response.keep_alive = false;
    response.allow = "GET";
    tn__http_response_head(&response, bytes, sizeof(bytes));
    assert_non_null(strstr(bytes, "405 Method Not Allowed\r\n"));
    assert_non_null(strstr(bytes, "Allow: GET\r\n"));
    assert_non_null(strstr(bytes, "Connection: close\r\n\r\n"));
}

static void a_stream_is_chunked_or_ends_by_closing(void **state)
{
    (void)state;
    struct tn__http_response response = {
        .status = 200, .keep_alive = true, .streamed = true, .minor = 1, .type = "a/b"};
    char bytes[TN__HTTP_RESPONSE_HEAD_BYTES_MAX];
    tn__http_response_head(&response, bytes, sizeof(bytes));
    assert_non_null(strstr(bytes, "Transfer-Encoding: chunked\r\n"));
    assert_null(strstr(bytes, "Connection:"));
    assert_null(strstr(bytes, "Content-Length"));
    response.minor = 0;
    tn__http_response_head(&response, bytes, sizeof(bytes));
    assert_null(strstr(bytes, "Transfer-Encoding"));
    assert_non_null(strstr(bytes, "Connection: close\r\n"));
}

static void a_chunk_begins_with_its_length(void **state)
{
    (void)state;
    char bytes[TN__HTTP_CHUNK_BYTES_EXTRA];
    assert_int_equal(tn__http_chunk_begin(1, bytes, sizeof(bytes)), 3);
    assert_string_equal(bytes, "1\r\n");
    assert_int_equal(tn__http_chunk_begin(0xfffff, bytes, sizeof(bytes)), 7);
    assert_string_equal(bytes, "fffff\r\n");
    assert_int_equal(tn__http_chunk_begin(UINT32_MAX, bytes, sizeof(bytes)), 10);
}

static void every_status_that_is_used_has_a_phrase(void **state)
{
    (void)state;
    static const uint16_t used[] = {200, 202, 400, 404, 405, 408, 409, 413, 500, 503, 504};
    for (size_t i = 0; i < sizeof(used) / sizeof(used[0]); i++) {
        assert_string_not_equal(tn__http_status_phrase(used[i]), "Unknown");
    }
    assert_string_equal(tn__http_status_phrase(299), "Unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_target_is_a_path_and_a_query),
        cmocka_unit_test(values_are_percent_decoded),
        cmocka_unit_test(a_zero_byte_in_a_value_shows_in_its_length),
        cmocka_unit_test(unknown_keys_are_named),
        cmocka_unit_test(a_whole_answer_says_its_length),
        cmocka_unit_test(a_stream_is_chunked_or_ends_by_closing),
        cmocka_unit_test(a_chunk_begins_with_its_length),
        cmocka_unit_test(every_status_that_is_used_has_a_phrase),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
