/* Lines of the log: for people, as JSON, and with text in them that others have chosen. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd_log.h"

static char *printed;
static size_t printed_bytes;

static const char *print(bool json, enum tn_log_level level, const char *text)
{
    free(printed);
    struct tn__cmd_log log = {.node = "n1", .level = TN_LOG_INFO, .json = json};
    log.out = open_memstream(&printed, &printed_bytes);
    assert_non_null(log.out);
    tn__cmd_log_format(&log, level, "%s", text);
    fclose(log.out);
    return printed;
}

static int forget(void **state)
{
    (void)state;
    free(printed);
    printed = NULL;
    return 0;
}

static void a_line_has_level_node_and_text(void **state)
{
    (void)state;
    assert_non_null(
        strstr(print(false, TN_LOG_WARNING, "a peer is gone"), "Z warning n1: a peer is gone\n"));
}

static void lines_below_the_level_are_left_out(void **state)
{
    (void)state;
    assert_string_equal(print(false, TN_LOG_DEBUG, "detail"), "");
    assert_int_equal(tn__cmd_log_level("debug"), TN_LOG_DEBUG);
    assert_int_equal(tn__cmd_log_level("error"), TN_LOG_ERROR);
}

static void control_characters_stay_out_of_the_terminal(void **state)
{
    (void)state;
    assert_non_null(strstr(print(false, TN_LOG_INFO, "a\x1b[31m\nb"), "a?[31m?b\n"));
}

static void any_text_makes_one_line_of_json(void **state)
{
    (void)state;
    static char longest[5000];
    memset(longest, '"', sizeof(longest) - 1);
    longest[0] = 'x'; /* once with an odd number before the quotes, once with an even one */
    const char *const texts[] = {"plain", "\"quoted\\\"", "two\nlines\t\x1b",
                                 "",      longest,        longest + 1};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        const char *line = print(true, TN_LOG_INFO, texts[i]);
        assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
        json_t *object = json_loads(line, 0, NULL);
        assert_non_null(object);
        assert_string_equal(json_string_value(json_object_get(object, "level")), "info");
        json_decref(object);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_line_has_level_node_and_text, forget),
        cmocka_unit_test_teardown(lines_below_the_level_are_left_out, forget),
        cmocka_unit_test_teardown(control_characters_stay_out_of_the_terminal, forget),
        cmocka_unit_test_teardown(any_text_makes_one_line_of_json, forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
