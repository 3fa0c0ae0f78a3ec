/* One table of options read from flags, environment and file: who wins, and what is refused. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd_config.h"
#include "cmd/cmd_help.h"
#include "cmd/cmd_options.h"
#include "support/temporary.h"

static const struct tn__cmd_option option_table[] = {
    {.name = "name",
     .argument = "NAME",
     .fallback = "default",
     .help = "a name",
     .kind = TN_CMD_WORD},
    {.name = "lease",
     .argument = "DURATION",
     .fallback = "10s",
     .help = "a\nduration",
     .kind = TN_CMD_DURATION,
     .least = TN_MILLISECOND,
     .most = 86400 * TN_SECOND},
    {.name = "peers",
     .argument = "NAME=HOST:PORT,...",
     .help = "peers",
     .kind = TN_CMD_PEER,
     .repeats = true},
    {.name = "table",
     .argument = "NAME=D",
     .help = "tables",
     .kind = TN_CMD_TABLE,
     .repeats = true},
    {.name = "diskless", .help = "no disk", .kind = TN_CMD_SWITCH},
    {.name = "drift-ppm",
     .argument = "N",
     .fallback = "500",
     .help = "drift",
     .kind = TN_CMD_NUMBER,
     .most = 333333},
    {.name = "log-format",
     .argument = "text|json",
     .fallback = "text",
     .help = "format",
     .kind = TN_CMD_CHOICE,
     .choices = "text|json"},
    {.name = "config-file", .argument = "FILE", .help = "file", .kind = TN_CMD_TEXT},
    {.name = "margin",
     .argument = "DURATION",
     .help = "of hold only",
     .kind = TN_CMD_DURATION,
     .commands = 2},
};

static const struct tn__cmd_program plain = {
    .name = "demo",
    .summary = "a program",
    .environment = "DEMO_",
    .options = option_table,
    .options_count = sizeof(option_table) / sizeof(option_table[0]) - 1};

static const struct tn__cmd_command command_table[] = {
    {.name = "who", .arguments = "NAME", .help = "who", .arguments_min = 1, .arguments_max = 1},
    {.name = "hold",
     .arguments = "NAME -- COMMAND...",
     .help = "hold",
     .arguments_min = 1,
     .arguments_max = 1,
     .rest = true},
};

static const struct tn__cmd_program with_commands = {.name = "demo",
                                                     .summary = "a program",
                                                     .environment = "DEMO_",
                                                     .options = option_table,
                                                     .options_count = sizeof(option_table) /
                                                                      sizeof(option_table[0]),
                                                     .commands = command_table,
                                                     .commands_count = 2};

static struct tn__cmd_options options;

static enum tn__cmd_outcome read_words(const struct tn__cmd_program *program, const char *words)
{
    static char line[1024];
    static char *argv[64];
    int argc = 0;
    argv[argc++] = line;
    snprintf(line, sizeof(line), "demo %s", words);
    for (char *at = line; (at = strchr(at, ' ')) != NULL && argc < 63;) {
        *at++ = '\0';
        if (*at != '\0' && *at != ' ') {
            argv[argc++] = at;
        }
    }
    argv[argc] = NULL;
    tn__cmd_options_free(&options);
    return tn__cmd_options_read(&options, program, argc, argv);
}

static void refuses(const struct tn__cmd_program *program, const char *words, const char *said)
{
    assert_int_equal(read_words(program, words), TN_CMD_WRONG);
    if (strstr(options.complaint, said) == NULL) {
        fail_msg("\"%s\" is answered: %s", words, options.complaint);
    }
}

static void write_file(char *path, const char *text)
{
    char name[32];
    snprintf(name, sizeof(name), "options.%d.yaml", (int)getpid());
    test_temporary(path, 256, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void fallbacks_stand_where_nothing_is_given(void **state)
{
    (void)state;
    assert_int_equal(read_words(&plain, ""), TN_CMD_GO_ON);
    assert_string_equal(tn__cmd_text(&options, "name"), "default");
    assert_int_equal(tn__cmd_duration(&options, "lease"), 10 * TN_SECOND);
    assert_int_equal(tn__cmd_number(&options, "drift-ppm"), 500);
    assert_false(tn__cmd_switch(&options, "diskless"));
    assert_false(tn__cmd_given(&options, "lease"));
    char item[64];
    assert_false(tn__cmd_item(&options, "peers", 0, item, sizeof(item)));
}

static void flags_take_both_forms(void **state)
{
    (void)state;
    assert_int_equal(read_words(&plain, "--name a --lease=2s --diskless"), TN_CMD_GO_ON);
    assert_string_equal(tn__cmd_text(&options, "name"), "a");
    assert_int_equal(tn__cmd_duration(&options, "lease"), 2 * TN_SECOND);
    assert_true(tn__cmd_switch(&options, "diskless"));
    assert_int_equal(read_words(&plain, "--diskless=false --name b --name c"), TN_CMD_GO_ON);
    assert_false(tn__cmd_switch(&options, "diskless"));
    assert_string_equal(tn__cmd_text(&options, "name"), "c");
}

static void lists_come_by_commas_and_by_repetition(void **state)
{
    (void)state;
    char item[64];
    assert_int_equal(read_words(&plain, "--peers a=h:1,b=h:2 --peers c=h:3 --table x=1s,2s"),
                     TN_CMD_GO_ON);
    assert_true(tn__cmd_item(&options, "peers", 1, item, sizeof(item)));
    assert_string_equal(item, "b=h:2");
    assert_true(tn__cmd_item(&options, "peers", 2, item, sizeof(item)));
    assert_string_equal(item, "c=h:3");
    assert_false(tn__cmd_item(&options, "peers", 3, item, sizeof(item)));
    assert_true(tn__cmd_item(&options, "table", 0, item, sizeof(item)));
    assert_string_equal(item, "x=1s,2s");
}

static void a_complaint_names_the_flag_and_what_is_allowed(void **state)
{
    (void)state;
    refuses(&plain, "--lease 5", "--lease: \"5\" is not a duration");
    refuses(&plain, "--lease 2d", "1ms to 1d is allowed");
    refuses(&plain, "--lease", "needs a value: --lease DURATION");
    refuses(&plain, "--drift-ppm 400000", "from 0 to 333333");
    refuses(&plain, "--log-format xml", "not one of text|json");
    refuses(&plain, "--peers a=h:1,,", "--peers: \"\" is not NAME=HOST:PORT");
    refuses(&plain, "--unknown 1", "--unknown: there is no such option");
    refuses(&plain, "-n", "options are written in full");
    refuses(&plain, "word", "one word too many");
    refuses(&plain, "--diskless=perhaps", "neither true nor false");
    refuses(&with_commands, "", "a command is missing");
    refuses(&with_commands, "fly", "fly: there is no such command");
    refuses(&with_commands, "who", "something is missing; write demo who NAME");
    refuses(&with_commands, "who a b", "one word too many");
    refuses(&with_commands, "hold a", "write demo hold NAME -- COMMAND");
    refuses(&with_commands, "hold a sleep 5", "stands behind --");
    refuses(&with_commands, "who a --margin 1s", "demo who has no such option");
}

static void what_follows_two_dashes_is_left_alone(void **state)
{
    (void)state;
    assert_int_equal(read_words(&with_commands, "hold --margin 1s a -- run --help --lease"),
                     TN_CMD_GO_ON);
    assert_string_equal(options.command->name, "hold");
    assert_string_equal(options.arguments[0], "a");
    assert_int_equal(options.rest_count, 3);
    assert_string_equal(options.rest[1], "--help");
}

static void flags_beat_the_environment_and_that_beats_the_file(void **state)
{
    (void)state;
    char path[256];
    char words[512];
    char item[64];
    write_file(path, "name: file\nlease: 3s\ndrift-ppm: 7\npeers: {a: 'h:1', b: 'h:2'}\n"
                     "table:\n  - x=1s\n  - y=2s\ndiskless: yes\n");
    setenv("DEMO_LEASE", "4s", 1);
    setenv("DEMO_NAME", "variable", 1);
    snprintf(words, sizeof(words), "--name flag --config-file %s", path);
    assert_int_equal(read_words(&plain, words), TN_CMD_GO_ON);
    assert_string_equal(tn__cmd_text(&options, "name"), "flag");
    assert_int_equal(tn__cmd_duration(&options, "lease"), 4 * TN_SECOND);
    assert_int_equal(tn__cmd_number(&options, "drift-ppm"), 7);
    assert_true(tn__cmd_switch(&options, "diskless"));
    assert_true(tn__cmd_item(&options, "peers", 1, item, sizeof(item)));
    assert_string_equal(item, "b=h:2");
    assert_true(tn__cmd_item(&options, "table", 1, item, sizeof(item)));
    assert_string_equal(item, "y=2s");
    setenv("DEMO_LEASE", "soon", 1);
    refuses(&plain, words, "DEMO_LEASE: \"soon\" is not a duration");
    unsetenv("DEMO_LEASE");
    setenv("DEMO_TABLE", " u=1s  v=2s ", 1);
    assert_int_equal(read_words(&plain, ""), TN_CMD_GO_ON);
    assert_true(tn__cmd_item(&options, "table", 1, item, sizeof(item)));
    assert_string_equal(item, "v=2s");
    unsetenv("DEMO_TABLE");
    unsetenv("DEMO_NAME");
    unlink(path);
}

static void a_wrong_file_is_refused_with_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *said;
    } cases[] = {
        {"name: a\nlaese: 1s\n", ":2: laese: there is no such option"},
        {"name: a\nlease: soon\n", ":2: lease: \"soon\" is not a duration"},
        {"name: a\nname: b\n", ":2: name stands twice"},
        {"name: [a, b]\n", ":1: name takes one value"},
        {"lease: {a: b}\n", ":1: lease takes one value"},
        {"peers: {a: {b: c}}\n", "a plain value is expected"},
        {"- name\n", "a mapping"},
        {"name: 'a\n", "this is not YAML"},
        {"config-file: other\n", "config-file: there is no such option"},
        {"name: &x a\nlease: *x\n", "lease needs a plain value"},
        {"peers: [n1]\n", "is not NAME=HOST:PORT"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char path[256];
        char words[512];
        write_file(path, cases[i].text);
        snprintf(words, sizeof(words), "--config-file %s", path);
        refuses(&plain, words, cases[i].said);
        unlink(path);
    }
    refuses(&plain, "--config-file /nonexistent/x", "cannot be read: No such file");
}

static void an_empty_file_changes_nothing(void **state)
{
    (void)state;
    char path[256];
    char words[512];
    write_file(path, "# only a comment\n");
    snprintf(words, sizeof(words), "--config-file %s", path);
    assert_int_equal(read_words(&plain, words), TN_CMD_GO_ON);
    unlink(path);
}

static void the_help_names_every_option_of_a_command(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    tn__cmd_help(out, &with_commands, &command_table[0]);
    fclose(out);
    assert_non_null(strstr(text, "--lease DURATION"));
    assert_null(strstr(text, "--margin"));
    free(text);
    out = open_memstream(&text, &size);
    tn__cmd_help(out, &with_commands, &command_table[1]);
    fclose(out);
    assert_non_null(strstr(text, "--margin DURATION"));
    assert_non_null(strstr(text, "DEMO_NAME"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fallbacks_stand_where_nothing_is_given),
        cmocka_unit_test(flags_take_both_forms),
        cmocka_unit_test(lists_come_by_commas_and_by_repetition),
        cmocka_unit_test(a_complaint_names_the_flag_and_what_is_allowed),
        cmocka_unit_test(what_follows_two_dashes_is_left_alone),
        cmocka_unit_test(flags_beat_the_environment_and_that_beats_the_file),
        cmocka_unit_test(a_wrong_file_is_refused_with_its_line),
        cmocka_unit_test(an_empty_file_changes_nothing),
        cmocka_unit_test(the_help_names_every_option_of_a_command),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
