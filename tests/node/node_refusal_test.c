/* What a node refuses, and how clearly: options, directories, ports, and members that do not agree.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/node_cell.h"

/* ---- Options -----------------------------------------------------------------------------------
 */

static struct tn_node_member two[2];
static struct tn_node_table tables[2];

static void bad_name(struct tn_node_options *o)
{
    o->name = "a b";
}
static void empty_name(struct tn_node_options *o)
{
    o->name = "";
}
static void bad_cluster(struct tn_node_options *o)
{
    o->cluster = "caf\xc3\xa9";
}
static void unknown_self(struct tn_node_options *o)
{
    o->name = "z";
}
static void twice(struct tn_node_options *o)
{
    (void)o;
    two[1].name = "a";
}
static void same_id(struct tn_node_options *o)
{
    (void)o;
    two[0].id = 7;
    two[1].id = 7;
}
static void half_ids(struct tn_node_options *o)
{
    (void)o;
    two[0].id = 7;
}
static void no_port(struct tn_node_options *o)
{
    (void)o;
    two[1].peer_address = "127.0.0.1";
}
static void big_port(struct tn_node_options *o)
{
    (void)o;
    two[1].peer_address = "127.0.0.1:65536";
}
static void bare_ipv6(struct tn_node_options *o)
{
    (void)o;
    two[1].peer_address = "::1:2380";
}
static void no_address(struct tn_node_options *o)
{
    (void)o;
    two[1].peer_address = NULL;
}
static void too_many(struct tn_node_options *o)
{
    o->members_count = TN_MEMBERS_MAX + 1;
}
static void far_and_plain(struct tn_node_options *o)
{
    (void)o;
    two[1].peer_address = "198.51.100.7:2380";
}
static void open_and_plain(struct tn_node_options *o)
{
    o->listen_peer = "0.0.0.0:2380";
}
static void same_table(struct tn_node_options *o)
{
    tables[0].name = tables[1].name = "t";
    o->tables = tables;
    o->tables_count = 2;
}
static void T2_too_short(struct tn_node_options *o)
{
    tables[0].name = "t";
    tables[0].options.proposer_ns = TN_SECOND;
    tables[0].options.acceptor_ns = TN_SECOND;
    o->tables = tables;
    o->tables_count = 1;
}
static void T3_too_short(struct tn_node_options *o)
{
    tables[0].name = "t";
    tables[0].options.proposer_ns = TN_SECOND;
    tables[0].options.quarantine_ns = TN_SECOND;
    o->tables = tables;
    o->tables_count = 1;
}
static void half_tls(struct tn_node_options *o)
{
    o->peer_tls.ca_file = "ca.pem";
}
static void slow_catch_up(struct tn_node_options *o)
{
    o->catch_up_bytes_per_second = (1U << 20) - 1;
}
static void fast_catch_up(struct tn_node_options *o)
{
    o->catch_up_bytes_per_second = (64ULL << 30) + 1;
}
static void much_drift(struct tn_node_options *o)
{
    o->drift_ppm = TN_DRIFT_PPM_MAX + 1;
}

static const struct {
    void (*spoil)(struct tn_node_options *options);
    const char *why; /* what the sentence must name */
} bad_options[] = {
    {slow_catch_up, "catch_up_bytes_per_second"},
    {fast_catch_up, "catch_up_bytes_per_second"},
    {bad_name, "name \"a b\""},
    {empty_name, "name \"\""},
    {bad_cluster, "cluster"},
    {unknown_self, "\"z\" is not among"},
    {twice, "\"a\" is listed twice"},
    {same_id, "same id 7"},
    {half_ids, "to all of them"},
    {no_port, "the port is missing"},
    {big_port, "0 to 65535"},
    {bare_ipv6, "needs brackets"},
    {no_address, "\"b\" has no peer address"},
    {too_many, "at most 15"},
    {far_and_plain, "peer_plain"},
    {open_and_plain, "0.0.0.0:2380"},
    {same_table, "table \"t\" is listed twice"},
    {T2_too_short, "T2"},
    {T3_too_short, "T3"},
    {half_tls, "all three"},
    {much_drift, "drift"},
};

static void options_that_cannot_work_are_refused_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad_options) / sizeof(bad_options[0]); i++) {
        memset(tables, 0, sizeof(tables));
        two[0] = (struct tn_node_member){.name = "a", .peer_address = "127.0.0.1:1"};
        two[1] = (struct tn_node_member){.name = "b", .peer_address = "127.0.0.1:2"};
        struct tn_node_options options = {.name = "a", .members = two, .members_count = 2};
        bad_options[i].spoil(&options);
        struct tn_node *node = NULL;
        char why[512] = "";
        int error = tn_node_open(&node, &options, why, sizeof(why));
        if (error != TN_ERROR_INVALID || strstr(why, bad_options[i].why) == NULL) {
            fail_msg("case %zu: %s \"%s\", which does not name \"%s\"", i, tn_err_name(error), why,
                     bad_options[i].why);
        }
        assert_int_equal(tn_node_open(&node, &options, NULL, 0), TN_ERROR_INVALID);
    }
}

/* ---- Directories and ports ----------------------------------------------------------------------
 */

static void V4_an_empty_directory_does_not_vote_unless_bootstrapped(void **state)
{
    (void)state;
    struct cell cell;
    cell_make(&cell, 3, "127.0.0.1");
    cell.nodes[0].options.bootstrap = 0;
    cell_start_refused(&cell, 0, TN_ERROR_NOT_FOUND);
    cell.nodes[0].options.bootstrap = 1;
    cell_start(&cell, 0);
    cell_stop(&cell, 0);
    cell.nodes[0].options.bootstrap = 0; /* said once is enough */
    cell_start(&cell, 0);
    cell_end(&cell);
}

static void a_directory_serves_one_process_and_one_identity(void **state)
{
    (void)state;
    struct cell cell;
    cell_make(&cell, 3, "127.0.0.1");
    cell_start(&cell, 0);
    cell.nodes[1].options.data_dir = cell.nodes[0].data_dir;
    cell_start_refused(&cell, 1, TN_ERROR_LOCKED);
    cell_stop(&cell, 0);
    cell_start_refused(&cell, 1, TN_ERROR_NOT_EMPTY); /* another node's */
    cell.nodes[0].options.cluster = "elsewhere";
    cell_start_refused(&cell, 0, TN_ERROR_NOT_EMPTY); /* another cluster's */
    cell_end(&cell);
}

static void flip_a_bit(const char *directory, const char *file)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", directory, file);
    int opened = open(path, O_RDWR | O_CLOEXEC);
    assert_true(opened >= 0);
    char byte = 0;
    assert_int_equal(pread(opened, &byte, 1, 50), 1);
    byte ^= 4;
    assert_int_equal(pwrite(opened, &byte, 1, 50), 1);
    close(opened);
}

static void F2_one_damaged_word_file_is_mended_and_two_end_the_identity(void **state)
{
    (void)state;
    struct cell cell;
    cell_make(&cell, 3, "127.0.0.1");
    cell_start(&cell, 0);
    cell_stop(&cell, 0);
    flip_a_bit(cell.nodes[0].data_dir, "words.0");
    cell_start(&cell, 0);
    cell_await_log(&cell, 0, "unreadable");
    cell_stop(&cell, 0);
    flip_a_bit(cell.nodes[0].data_dir, "words.0");
    flip_a_bit(cell.nodes[0].data_dir, "words.1");
    cell_start_refused(&cell, 0, TN_ERROR_DAMAGED);
    cell_end(&cell);
}

static void a_directory_that_is_a_file_or_has_no_parent_is_refused(void **state)
{
    (void)state;
    struct cell cell;
    cell_make(&cell, 1, "127.0.0.1");
    cell.nodes[0].options.data_dir = "/dev/null";
    cell_start_refused(&cell, 0, TN_ERROR_INVALID);
    assert_non_null(strstr(cell.nodes[0].why, "no directory"));
    cell.nodes[0].options.data_dir = "/nowhere/at/all";
    cell_start_refused(&cell, 0, TN_ERROR_NOT_FOUND);
    cell_end(&cell);
}

static void a_port_in_use_is_refused_and_leaves_the_user_of_it_alone(void **state)
{
    (void)state;
    struct cell cell;
    cell_make(&cell, 3, "127.0.0.1");
    cell_start(&cell, 0);
    cell.nodes[1].options.listen_peer = cell.nodes[0].address;
    cell_start_refused(&cell, 1, TN_ERROR_ADDRESS_IN_USE);
    assert_non_null(strstr(cell.nodes[1].why, cell.nodes[0].address));
    cell.nodes[1].options.listen_peer = NULL;
    cell_start(&cell, 1);
    cell_await_connected(&cell, 2);
    cell_end(&cell);
}

/* ---- Members that do not agree
 * ------------------------------------------------------------------- */

/* Members a and b agree; c does not, and both sides must say so. */
static void expect_refusal(struct cell *cell, int error, const char *text)
{
    cell_start_all(cell);
    static struct tn_node_status status;
    tn_time since = 0;
    do {
        cell_status(cell, 2, &status);
    } while ((status.members[0].state != TN_MEMBER_REFUSED ||
              status.members[1].state != TN_MEMBER_REFUSED) &&
             cell_patience(&since));
    assert_int_equal(status.members[0].state, TN_MEMBER_REFUSED);
    assert_int_equal(status.members[0].error, error);
    if (strstr(status.members[0].why, text) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", status.members[0].why, text);
    }
    printf("# %s\n", status.members[0].why);
    /* The others live on without it. */
    struct tn_node_lease *lease = NULL;
    assert_int_equal(tn_node_lease_open(cell->nodes[0].node, "fast", "demo", NULL, &lease), 0);
    assert_int_equal(tn_node_lease_wait(lease, CELL_PATIENCE_NS), 0);
    /* Told once, however often it is tried. */
    do {
        cell_status(cell, 2, &status);
    } while (status.counters.refusals < 6 && cell_patience(&since));
    assert_true(status.counters.refusals >= 6);
    assert_int_equal(cell_count_log(cell, 2, text), 2); /* once about a, once about b */
    cell_end(cell);
}

static void members_of_another_cluster_are_refused(void **state)
{
    (void)state;
    struct cell cell;
    cell_make(&cell, 3, "127.0.0.1");
    cell.nodes[2].options.cluster = "elsewhere";
    /* As `printf NAME | sha256sum` shows them: of "elsewhere", c's, and of "tenure". */
    expect_refusal(&cell, TN_ERROR_WRONG_CLUSTER,
                   "SHA-256 7b1b763e..., this node to that of 6a6d2cb6...");
}

static void T2_members_with_other_durations_are_refused(void **state)
{
    (void)state;
    struct cell cell;
    cell_make(&cell, 3, "127.0.0.1");
    static struct tn_node_table other;
    other = cell.table;
    other.options.proposer_ns *= 2;
    cell.nodes[2].options.tables = &other;
    expect_refusal(&cell, TN_ERROR_WRONG_CONFIGURATION, "D_P");
}

static void T2_members_with_another_drift_bound_are_refused(void **state)
{
    (void)state;
    struct cell cell;
    cell_make(&cell, 3, "127.0.0.1");
    cell.nodes[2].options.drift_ppm = 1000;
    expect_refusal(&cell, TN_ERROR_WRONG_CONFIGURATION, "1000");
}

static void F3_members_that_list_other_members_are_refused(void **state)
{
    (void)state;
    struct cell cell;
    cell_make(&cell, 3, "127.0.0.1");
    static struct tn_node_member more[4];
    memcpy(more, cell.members, sizeof(more) - sizeof(more[0]));
    more[3] = (struct tn_node_member){.name = "d", .peer_address = "127.0.0.1:1"};
    cell.nodes[2].options.members = more;
    cell.nodes[2].options.members_count = 4;
    expect_refusal(&cell, TN_ERROR_WRONG_CONFIGURATION, "the members 1,2,3,4");
}

static void F3_members_under_each_others_names_are_refused(void **state)
{
    (void)state;
    struct cell cell;
    cell_make(&cell, 3, "127.0.0.1");
    static struct tn_node_member swapped[3];
    memcpy(swapped, cell.members, sizeof(swapped));
    swapped[0].peer_address = cell.members[1].peer_address;
    swapped[1].peer_address = cell.members[0].peer_address;
    cell.nodes[2].options.members = swapped;
    expect_refusal(&cell, TN_ERROR_WRONG_MEMBER, "should answer");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_that_cannot_work_are_refused_by_name),
        cmocka_unit_test(V4_an_empty_directory_does_not_vote_unless_bootstrapped),
        cmocka_unit_test(a_directory_serves_one_process_and_one_identity),
        cmocka_unit_test(F2_one_damaged_word_file_is_mended_and_two_end_the_identity),
        cmocka_unit_test(a_directory_that_is_a_file_or_has_no_parent_is_refused),
        cmocka_unit_test(a_port_in_use_is_refused_and_leaves_the_user_of_it_alone),
        cmocka_unit_test(members_of_another_cluster_are_refused),
        cmocka_unit_test(T2_members_with_other_durations_are_refused),
        cmocka_unit_test(T2_members_with_another_drift_bound_are_refused),
        cmocka_unit_test(F3_members_that_list_other_members_are_refused),
        cmocka_unit_test(F3_members_under_each_others_names_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
