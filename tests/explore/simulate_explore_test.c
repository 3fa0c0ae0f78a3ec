/* The program `tenure-sim explore` itself: its statuses, its last line, its refusals, and that a
 * trace it writes replays. */
#define _POSIX_C_SOURCE 200809L

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/temporary.h"

#define OUTPUT_BYTES 65536U

static char output[OUTPUT_BYTES];

/* Run the program with these arguments; its output is kept. Returns its status. */
static int run(const char *arguments)
{
    char command[1024];
    snprintf(command, sizeof(command), TN_BINARY_DIR "/bin/tenure-sim %s 2>&1", arguments);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size_t length = fread(output, 1, sizeof(output) - 1, pipe);
    output[length] = '\0';
    int status = pclose(pipe);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static const char *last_line(void)
{
    size_t length = strlen(output);
    assert_true(length > 1 && output[length - 1] == '\n');
    output[length - 1] = '\0';
    const char *line = strrchr(output, '\n');
    return line == NULL ? output : line + 1;
}

static void A_configuration_that_exhausts_ends_with_0_and_one_object(void **state)
{
    (void)state;
    assert_int_equal(run("explore --config base --threads 1 --json"), 0);
    assert_non_null(strstr(output, "exhausted"));
    const char *last = last_line();
    assert_memory_equal(last, "{\"configuration\": \"base\"", 24);
    assert_non_null(strstr(last, "\"verdict\": \"exhausted\""));
    assert_non_null(strstr(last, "\"states\": 5376,"));
}

static void A_violation_ends_with_3_and_its_story(void **state)
{
    (void)state;
    assert_int_equal(run("explore --config stale-clock --threads 1 --json"), 3);
    assert_non_null(strstr(output, "p1 starts ballot 1"));
    assert_non_null(strstr(output, "The last state breaks inv.L4"));
    assert_non_null(strstr(last_line(), "\"trace_states\": 11"));
}

static void A_trace_is_a_scenario_that_replays(void **state)
{
    char arguments[256];
    (void)state;
    char name[32];
    char path[192];
    snprintf(name, sizeof(name), "explore.%d.txt", (int)getpid());
    test_temporary(path, sizeof(path), name);
    snprintf(arguments, sizeof(arguments), "explore --config stale-clock --threads 1 --trace %s",
             path);
    assert_int_equal(run(arguments), 3);
    snprintf(arguments, sizeof(arguments), "play --rewrite %s", path);
    assert_int_equal(run(arguments), 0);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    output[fread(output, 1, sizeof(output) - 1, file)] = '\0';
    fclose(file);
    unlink(path);
    assert_non_null(strstr(output, "!! inv.L4"));
}

static void A_trace_that_cannot_be_written_ends_with_1(void **state)
{
    (void)state;
    assert_int_equal(run("explore --config stale-clock --trace /nonexistent/folder/t.txt"), 1);
    assert_non_null(strstr(output, "/nonexistent/folder/t.txt: "));
}

static void The_list_names_configurations_and_mutants(void **state)
{
    (void)state;
    assert_int_equal(run("explore --list --json"), 0);
    const char *last = last_line();
    assert_memory_equal(last, "{\"configurations\": [\"base\"", 26);
    assert_non_null(strstr(last, "\"fenced-2\""));
    assert_non_null(strstr(last, "\"mutants\": ["));
    assert_non_null(strstr(last, "\"late-timer\""));
}

static void Wrong_usage_ends_with_2_and_says_what_is_wrong(void **state)
{
    (void)state;
    assert_int_equal(run("explore --config nothing-like-it"), 2);
    assert_non_null(strstr(output, "no configuration \"nothing-like-it\""));
    assert_int_equal(run("explore --mutant nothing-like-it"), 2);
    assert_non_null(strstr(output, "no mutant \"nothing-like-it\""));
    assert_int_equal(run("explore --threads 0"), 2);
    assert_int_equal(run("explore --unknown"), 2);
    assert_int_equal(run("nothing-like-it"), 2);
    assert_int_equal(run("explore --help"), 0);
    assert_int_equal(run("--version"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(A_configuration_that_exhausts_ends_with_0_and_one_object),
        cmocka_unit_test(A_violation_ends_with_3_and_its_story),
        cmocka_unit_test(A_trace_is_a_scenario_that_replays),
        cmocka_unit_test(A_trace_that_cannot_be_written_ends_with_1),
        cmocka_unit_test(The_list_names_configurations_and_mutants),
        cmocka_unit_test(Wrong_usage_ends_with_2_and_says_what_is_wrong),
    };
    return cmocka_run_group_tests_name("simulate_explore", tests, NULL, NULL);
}
