/* The program `tenure-sim run` itself: its statuses, its last line, its refusals. */
#define _POSIX_C_SOURCE 200809L

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#define OUTPUT_BYTES 65536U

static char output[OUTPUT_BYTES];

/* Run the program with these arguments; its output is kept. Returns its status. */
static int run(const char *arguments)
{
    char command[1024];
    snprintf(command, sizeof(command), TN_BINARY_DIR "/bin/tenure-sim run %s 2>&1", arguments);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size_t length = fread(output, 1, sizeof(output) - 1, pipe);
    output[length] = '\0';
    static char rest[4096];
    for (uint32_t i = 0; i < 100000 && fread(rest, 1, sizeof(rest), pipe) > 0; i++) {
    }
    int status = pclose(pipe);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void A_seed_that_passes_ends_with_0_and_one_object(void **state)
{
    (void)state;
    assert_int_equal(run("--seed 5 --events 2000 --json"), 0);
    assert_non_null(strstr(output, "seed 5\n"));
    char *last = strstr(output, "{\"hash\":\"");
    assert_non_null(last);
    assert_non_null(strstr(last, "\"events\":"));
    assert_non_null(strstr(last, "\"violations\":0"));
    assert_string_equal(last + strlen(last) - 2, "}\n");
}

static void Seconds_and_nodes_bound_the_run_and_threads_do_not_change_it(void **state)
{
    (void)state;
    assert_int_equal(run("--seed 5 --seconds 3 --nodes 3 --quiet"), 0);
    assert_non_null(strstr(output, "nodes 3,"));
    char hash[64];
    assert_int_equal(run("--seed 5 --seeds 6 --events 1000 --quiet"), 0);
    assert_int_equal(sscanf(strstr(output, "\nhash "), "\nhash %40s", hash), 1);
    assert_int_equal(run("--seed 5 --seeds 6 --events 1000 --threads 3 --quiet"), 0);
    assert_non_null(strstr(output, hash));
}

static void The_trace_prints_what_happens(void **state)
{
    (void)state;
    assert_int_equal(run("--seed 5 --events 300 --trace --quiet"), 0);
    assert_non_null(strstr(output, "started"));
    assert_non_null(strstr(output, "PREPARE"));
}

static void Logs_are_run_and_counted_in_the_same_way(void **state)
{
    (void)state;
    assert_int_equal(run("--workload log --seed 5 --events 1500 --json"), 0);
    assert_non_null(strstr(output, "seed 5\n"));
    assert_non_null(strstr(output, "MISDIRECTED")); /* the table has the faults of logs */
    assert_non_null(strstr(output, " slots, "));
    char *last = strstr(output, "{\"hash\":\"");
    assert_non_null(last);
    assert_non_null(strstr(last, "\"committed\":"));
    assert_non_null(strstr(last, "\"violations\":0"));
    char hash[64];
    assert_int_equal(run("--workload log --seed 5 --seeds 6 --events 800 --quiet"), 0);
    assert_int_equal(sscanf(strstr(output, "\nhash "), "\nhash %40s", hash), 1);
    assert_int_equal(run("--workload log --seed 5 --seeds 6 --events 800 --threads 3 --quiet"), 0);
    assert_non_null(strstr(output, hash));
    assert_int_equal(run("--workload log --seed 5 --seconds 1 --trace --quiet"), 0);
    assert_non_null(strstr(output, "ACCEPTED"));
}

static void Wrong_arguments_end_with_2_and_name_themselves(void **state)
{
    (void)state;
    static const char *const wrong[] = {"--nodes 16",      "--nodes 0",   "--seeds 0",
                                        "--seed x",        "--threads 0", "--workload logs",
                                        "--workload log --without BUGS", "--workload log --nodes 9",
                                        "--without BUGS",  "--events -1", "--seconds 0",
                                        "--no-such-thing", "more"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(run(wrong[i]), 2);
        assert_true(strlen(output) > 10);
    }
    assert_int_equal(run("--help"), 0);
    assert_non_null(strstr(output, "--without"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(A_seed_that_passes_ends_with_0_and_one_object),
        cmocka_unit_test(Seconds_and_nodes_bound_the_run_and_threads_do_not_change_it),
        cmocka_unit_test(The_trace_prints_what_happens),
        cmocka_unit_test(Logs_are_run_and_counted_in_the_same_way),
        cmocka_unit_test(Wrong_arguments_end_with_2_and_name_themselves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
