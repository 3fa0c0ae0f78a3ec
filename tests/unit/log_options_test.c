/* Options of a log's machine: defaults, relations, and sentences that name the field. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <tenure/error.h>
#include <tenure/log.h>

static struct tn_log_options three(void)
{
    return (struct tn_log_options){
        .nodes = {1, 2, 3}, .nodes_count = 3, .restart_word = 1ULL << 32 | 7};
}

static void zero_means_the_default_that_the_header_names(void **state)
{
    (void)state;
    struct tn_log_options options = three();
    options.learners = 4;
    assert_int_equal(tn_log_options_complete(&options, NULL, 0), TN_OK);
    assert_int_equal(options.voters, 3);
    assert_int_equal(options.mode, TN_LOG_MODE_LEASED);
    assert_int_equal(options.mode_number, 1);
    assert_int_equal(options.window_slots, 1024);
    assert_int_equal(options.retain_slots, 4096);
    assert_int_equal(options.waiting_max, 4096);
    assert_int_equal(options.window_bytes, 64U << 20);
    assert_int_equal(options.peer_bytes, 8U << 20);
    assert_int_equal(options.fetch_bytes, 1U << 20);
    assert_int_equal(options.heartbeat_ns, 50 * TN_MILLISECOND);
    assert_int_equal(options.resend_ns, 200 * TN_MILLISECOND);
    assert_int_equal(options.election_ns, TN_SECOND);
    struct tn_log_options again = options;
    assert_int_equal(tn_log_options_complete(&again, NULL, 0), TN_OK);
    assert_memory_equal(&again, &options, sizeof(options));
    assert_true(tn_log_size(&options) > 0);
}

static void refused(struct tn_log_options options, const char *word)
{
    char why[200] = "";
    assert_int_equal(tn_log_options_complete(&options, why, sizeof(why)), TN_ERROR_INVALID);
    assert_non_null(strstr(why, word));
}

static void what_cannot_work_is_refused_with_the_field_in_the_sentence(void **state)
{
    (void)state;
    struct tn_log_options options = three();
    options.nodes_count = 0;
    refused(options, "nodes_count");
    options.nodes_count = 32;
    refused(options, "nodes_count");
    options = three();
    options.self = 3;
    refused(options, "self");
    options = three();
    options.nodes[1] = 1;
    refused(options, "same id");
    options = three();
    options.nodes[1] = 0;
    refused(options, "id must not be 0");
    options = three();
    options.voters = 8;
    refused(options, "among the nodes");
    options = three();
    options.voters = 3;
    options.learners = 2;
    refused(options, "learner");
    options = three();
    options.window_slots = 4;
    refused(options, "window_slots");
    options.window_slots = 48;
    refused(options, "window_slots");
    options.window_slots = 32768;
    refused(options, "window_slots");
    options = three();
    options.retain_slots = 1024;
    refused(options, "retain_slots");
    options = three();
    options.waiting_max = 1U << 25;
    refused(options, "waiting_max");
    options = three();
    options.mode = 3;
    refused(options, "mode");
    options = three();
    options.restart_word = 0;
    refused(options, "restart_word");
    options = three();
    options.group = 65536;
    refused(options, "group");
    options = three();
    options.resend_ns = 2 * TN_DURATION_NS_MAX;
    refused(options, "day");
    options = three();
    options.heartbeat_ns = 2 * TN_SECOND;
    refused(options, "heartbeat_ns");
}

static void at_most_fifteen_vote(void **state)
{
    (void)state;
    struct tn_log_options options = {.nodes_count = 16, .restart_word = 1};
    for (uint32_t i = 0; i < 16; i++) {
        options.nodes[i] = (tn_node_id)(i + 1);
    }
    refused(options, "15");
    options.learners = 1;
    options.voters = 0;
    assert_int_equal(tn_log_options_complete(&options, NULL, 0), TN_OK);
    assert_int_equal(options.voters, 0xfffe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zero_means_the_default_that_the_header_names),
        cmocka_unit_test(what_cannot_work_is_refused_with_the_field_in_the_sentence),
        cmocka_unit_test(at_most_fifteen_vote),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
