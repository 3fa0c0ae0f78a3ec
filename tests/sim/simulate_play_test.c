/* tenure-sim play as people and scripts use it: statuses, differences, rewriting, drawing. */
#define _POSIX_C_SOURCE 200809L

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/temporary.h"

#define OUTPUT_BYTES_MAX 16384

static char folder[64];
static char scenario[96];
static char picture[96];

/* Run `tenure-sim play WORDS`; returns its status and fills `output` with all that it prints. */
static int play(const char *words, char output[OUTPUT_BYTES_MAX])
{
    char command[1024];
    snprintf(command, sizeof(command), "%s/bin/tenure-sim play %s 2>&1", TN_BINARY_DIR, words);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size_t got = fread(output, 1, OUTPUT_BYTES_MAX - 1, pipe);
    output[got] = '\0';
    int status = pclose(pipe);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void write_scenario(const char *text)
{
    FILE *file = fopen(scenario, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void test_a_file_that_happens_as_written_is_status_0(void **state)
{
    (void)state;
    char output[OUTPUT_BYTES_MAX];
    write_scenario("cluster nodes=1\n----\n1 node: D_P 2.000, D_A 2.002, D_Q 2.002\n\n");
    assert_int_equal(play(scenario, output), 0);
    assert_non_null(strstr(output, "1 files, 1 commands: 0 differ, 0 failed"));
}

static void test_a_difference_is_printed_and_is_status_1(void **state)
{
    (void)state;
    char output[OUTPUT_BYTES_MAX];
    write_scenario("cluster nodes=1\n----\n2 nodes\n\n");
    assert_int_equal(play(scenario, output), 1);
    assert_non_null(strstr(output, "\n-2 nodes\n+1 node: D_P 2.000"));
    assert_non_null(strstr(output, "1 differ"));
}

static void test_rewrite_writes_what_happened(void **state)
{
    (void)state;
    char output[OUTPUT_BYTES_MAX];
    char words[128];
    write_scenario("cluster nodes=1\n\nwho\n----\nnobody\n\n");
    snprintf(words, sizeof(words), "--rewrite %s", scenario);
    assert_int_equal(play(words, output), 0);
    assert_int_equal(play(scenario, output), 0);
}

static void test_svg_draws_one_file(void **state)
{
    (void)state;
    char output[OUTPUT_BYTES_MAX];
    char words[320];
    char head[8] = {0};
    write_scenario("cluster nodes=3\n----\n\nacquire node=1\n----\n\n");
    snprintf(words, sizeof(words), "--svg %s %s", picture, scenario);
    assert_int_equal(play(words, output), 0);
    FILE *file = fopen(picture, "r");
    assert_non_null(file);
    assert_int_equal(fread(head, 1, 5, file), 5);
    assert_int_equal(fclose(file), 0);
    assert_string_equal(head, "<svg ");
    snprintf(words, sizeof(words), "--svg %s %s %s", picture, scenario, scenario);
    assert_int_equal(play(words, output), 2);
}

static void test_json_ends_with_one_object(void **state)
{
    (void)state;
    char output[OUTPUT_BYTES_MAX];
    char words[128];
    write_scenario("cluster nodes=1\n----\n\n");
    snprintf(words, sizeof(words), "--json %s", scenario);
    assert_int_equal(play(words, output), 0);
    assert_string_equal(output, "{\"files\": 1, \"different\": 0, \"failed\": 0, "
                                "\"commands\": 1, \"violations\": 0}\n");
}

static void test_wrong_usage_is_status_2_and_a_missing_file_status_1(void **state)
{
    (void)state;
    char output[OUTPUT_BYTES_MAX];
    assert_int_equal(play("", output), 2);
    assert_non_null(strstr(output, "which file?"));
    assert_int_equal(play("--loud x.txt", output), 2);
    assert_int_equal(play("/nowhere/at/all.txt", output), 1);
    assert_non_null(strstr(output, "No such file"));
    assert_int_equal(play("--help", output), 0);
    assert_non_null(strstr(output, "--rewrite"));
}

static void test_bytes_that_are_no_text_are_refused(void **state)
{
    (void)state;
    char output[OUTPUT_BYTES_MAX];
    FILE *file = fopen(scenario, "w");
    assert_non_null(file);
    assert_int_equal(fwrite("cluster\0nodes", 1, 13, file), 13);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(play(scenario, output), 1);
}

static int make_folder(void **state)
{
    (void)state;
    if (!test_temporary_folder(folder, sizeof(folder), "tenure-play")) {
        return -1;
    }
    snprintf(scenario, sizeof(scenario), "%s/story.txt", folder);
    snprintf(picture, sizeof(picture), "%s/story.svg", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(scenario);
    unlink(picture);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_file_that_happens_as_written_is_status_0),
        cmocka_unit_test(test_a_difference_is_printed_and_is_status_1),
        cmocka_unit_test(test_rewrite_writes_what_happened),
        cmocka_unit_test(test_svg_draws_one_file),
        cmocka_unit_test(test_json_ends_with_one_object),
        cmocka_unit_test(test_wrong_usage_is_status_2_and_a_missing_file_status_1),
        cmocka_unit_test(test_bytes_that_are_no_text_are_refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
