/* Text building: never past the end, always terminated, and it says when something was cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <tenure/error.h>

#include "base/text.h"

static void pieces_are_joined_and_measured(void **state)
{
    (void)state;
    char bytes[32];
    struct tn__text text;
    tn__text_init(&text, bytes, sizeof(bytes));
    assert_string_equal(bytes, "");
    tn__text_add(&text, "node %d", 7);
    tn__text_add(&text, "%s", ", ");
    tn__text_add_hex(&text, "\x01\xab", 2);
    assert_string_equal(bytes, "node 7, 01ab");
    assert_int_equal(text.length, 12);
    assert_false(text.cut);
}

static void what_does_not_fit_is_cut_and_the_rest_untouched(void **state)
{
    (void)state;
    for (size_t size = 1; size <= 12; size++) {
        char bytes[16];
        memset(bytes, '#', sizeof(bytes));
        struct tn__text text;
        tn__text_init(&text, bytes, size);
        tn__text_add(&text, "%s", "hello");
        tn__text_add(&text, "%s", " world");
        size_t expected = size - 1 < 11 ? size - 1 : 11;
        assert_int_equal(strlen(bytes), expected);
        assert_memory_equal(bytes, "hello world", expected);
        assert_int_equal(text.length, expected);
        assert_int_equal(text.cut, size < 12);
        assert_int_equal(bytes[size], '#');
    }
}

static void errors_have_names_and_sentences(void **state)
{
    (void)state;
#define CHECK_ERROR(code, name, sentence)                                                          \
    assert_int_equal(TN_ERROR_##name, code);                                                       \
    assert_string_equal(tn_err_name(code), "TN_ERROR_" #name);                                     \
    assert_string_equal(tn_strerror(code), sentence);
    TN_ERROR_TABLE(CHECK_ERROR)
#undef CHECK_ERROR
    assert_string_equal(tn_strerror(-9999), "unknown error");
    assert_string_equal(tn_err_name(1), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_joined_and_measured),
        cmocka_unit_test(what_does_not_fit_is_cut_and_the_rest_untouched),
        cmocka_unit_test(errors_have_names_and_sentences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
