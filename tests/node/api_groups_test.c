/* Groups on the client port: GET /v1/groups, their metrics, and `tenure status --groups`. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "support/client_port.h"
#include "support/group_cell.h"

static struct group_cell cell; /* too large for a stack */
static uint16_t port;

static int setup(void **state)
{
    (void)state;
    static char listen[64];
    group_cell_make(&cell, 1, TN_LOG_MODE_LEASED);
    port = cell_free_port();
    snprintf(listen, sizeof(listen), "127.0.0.1:%u", (unsigned)port);
    cell.cell.nodes[0].options.listen_client = listen;
    group_cell_start_all(&cell);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    group_cell_end(&cell);
    return 0;
}

static void open_more(struct tn_group **groups, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct tn_group_options options = {.id = 100 + i, .mode = TN_LOG_MODE_FREE};
        assert_int_equal(tn_group_open(cell.cell.nodes[0].node, &options, &groups[i], cell.why,
                                       sizeof(cell.why)),
                         0);
    }
}

/* The loop hears of an execution with its next turn: ask until it has. */
static struct http_answer first_page(void)
{
    for (uint32_t tries = 0;; tries++) {
        struct http_answer answer = http_call(port, "GET", "/v1/groups?limit=20", NULL);
        const json_t *groups = json_object_get(answer.json, "groups");
        if (tries == 500 || json_number_of(json_array_get(groups, 0), "executed") >= 1) {
            return answer;
        }
        http_answer_free(&answer);
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
}

static void groups_are_listed_page_by_page(void **state)
{
    (void)state;
    struct tn_group *more[40];
    (void)group_cell_add(&cell, 0, 'a', 1);
    open_more(more, 40);
    struct http_answer answer = first_page();
    assert_int_equal(answer.status, 200);
    const json_t *groups = json_object_get(answer.json, "groups");
    assert_int_equal(json_array_size(groups), 20);
    const json_t *first = json_array_get(groups, 0);
    assert_int_equal(json_number_of(first, "group"), 3);
    assert_string_equal(json_text_of(first, "mode"), "leased");
    assert_string_equal(json_text_of(json_object_get(first, "leader"), "name"), "a");
    assert_true(json_is_true(json_object_get(first, "ready")));
    assert_true(json_number_of(first, "executed") >= 1);
    assert_true(json_number_of(first, "committed") >= json_number_of(first, "executed"));
    char target[64];
    snprintf(target, sizeof(target), "/v1/groups?after=%s", json_text_of(answer.json, "next"));
    http_answer_free(&answer);
    answer = http_call(port, "GET", target, NULL);
    groups = json_object_get(answer.json, "groups");
    assert_int_equal(json_array_size(groups), 21);
    assert_int_equal(json_number_of(json_array_get(groups, 20), "group"), 139);
    assert_null(json_object_get(answer.json, "next"));
    http_answer_free(&answer);
    answer = http_call(port, "GET", "/v1/groups?after=x", NULL);
    assert_int_equal(answer.status, 400);
    http_answer_free(&answer);
}

static void metrics_sum_over_groups(void **state)
{
    (void)state;
    struct tn_group *more[2];
    open_more(more, 2);
    (void)group_cell_add(&cell, 0, 'a', 1);
    struct http_answer answer = http_call(port, "GET", "/metrics", NULL);
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.text, "\ntenure_groups 3\n"));
    assert_non_null(strstr(answer.text, "\ntenure_group_executed{group=\"3\"} "));
    assert_non_null(strstr(answer.text, "\ntenure_log_committed_total "));
    assert_non_null(strstr(answer.text, "\ntenure_node_log_batches_total "));
    http_answer_free(&answer);
}

static void the_tool_shows_groups(void **state)
{
    (void)state;
    (void)group_cell_add(&cell, 0, 'a', 1);
    char command[512];
    char text[4096];
    snprintf(command, sizeof(command),
             "'%s/bin/tenure' status --groups --endpoints 127.0.0.1:%u 2>&1", TN_BINARY_DIR,
             (unsigned)port);
    FILE *output = popen(command, "r");
    assert_non_null(output);
    size_t length = fread(text, 1, sizeof(text) - 1, output);
    text[length] = '\0';
    assert_int_equal(pclose(output), 0);
    print_message("%s", text);
    assert_non_null(strstr(text, "group  3      leased"));
    assert_non_null(strstr(text, "leader a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(groups_are_listed_page_by_page, setup, teardown),
        cmocka_unit_test_setup_teardown(metrics_sum_over_groups, setup, teardown),
        cmocka_unit_test_setup_teardown(the_tool_shows_groups, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
