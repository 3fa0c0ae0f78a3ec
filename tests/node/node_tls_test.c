/* Members under TLS: both sides show a certificate, and what is wrong with one is said by name. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/tls.h"
#include "support/group_cell.h"
#include "support/node_cell.h"
#include "support/temporary.h"

static char directory[64];
static char paths[16][128];

static const char *path_of(uint32_t slot, const char *file)
{
    snprintf(paths[slot], sizeof(paths[slot]), "%s/%s", directory, file);
    return paths[slot];
}

static int make_certificates(void **state)
{
    (void)state;
    assert_true(test_temporary_folder(directory, sizeof(directory), "tenure-tls"));
    char command[512];
    snprintf(command, sizeof(command), "sh '%s/tests/support/certificates.sh' %s", TN_SOURCE_DIR,
             directory);
    assert_int_equal(system(command), 0);
    return 0;
}

static int remove_certificates(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof(command), "rm -r %s", directory);
    assert_int_equal(system(command), 0);
    return 0;
}

/* Each node its own slots of paths. */
static void use(struct cell *cell, uint32_t index, const char *authority, const char *name)
{
    char file[64];
    struct tn_node_tls *tls = &cell->nodes[index].options.peer_tls;
    tls->ca_file = path_of(3 * index, authority);
    snprintf(file, sizeof(file), "%s.pem", name);
    tls->certificate_file = path_of(3 * index + 1, file);
    snprintf(file, sizeof(file), "%s.key", name);
    tls->key_file = path_of(3 * index + 2, file);
}

static void elect_on(const char *host)
{
    struct cell cell;
    cell_make(&cell, 3, host);
    for (uint32_t i = 0; i < 3; i++) {
        use(&cell, i, "ca.pem", "node");
    }
    cell_start_all(&cell);
    cell_await_connected(&cell, 3);
    struct tn_node_lease *lease = NULL;
    assert_int_equal(tn_node_lease_open(cell.nodes[2].node, "fast", "demo", NULL, &lease), 0);
    assert_int_equal(tn_node_lease_wait(lease, CELL_PATIENCE_NS), 0);
    enum { NAMES = 300 };
    static struct tn_node_lease *leases[NAMES]; /* frames of several records */
    for (uint32_t i = 0; i < NAMES; i++) {
        char name[65];
        snprintf(name, sizeof(name), "%064u", i);
        assert_int_equal(tn_node_lease_open(cell.nodes[1].node, "fast", name, NULL, &leases[i]), 0);
    }
    for (uint32_t i = 0; i < NAMES; i++) {
        assert_int_equal(tn_node_lease_wait(leases[i], CELL_PATIENCE_NS), 0);
    }
    cell_end(&cell);
}

static void groups_replicate_under_tls_over_both_connections(void **state)
{
    (void)state;
    static struct group_cell cell;
    group_cell_make(&cell, 3, TN_LOG_MODE_LEASED);
    for (uint32_t i = 0; i < 3; i++) {
        use(&cell.cell, i, "ca.pem", "node");
    }
    group_cell_start_all(&cell);
    static char large[1 << 20];
    memset(large, 'x', sizeof(large));
    struct tn_propose_options options = {
        .machine = GROUP_MACHINE, .timeout_ns = CELL_PATIENCE_NS, .client = 1};
    for (uint32_t i = 0; i < 6; i++) {
        assert_int_equal(group_cell_add(&cell, i % 3, 't', 1), i + 1);
        options.sequence = i + 1;
        assert_int_equal(tn_group_propose_wait(cell.groups[i % 3], large, sizeof(large), &options,
                                               NULL, 0, NULL),
                         0);
    }
    group_cell_await_equal(&cell, 12);
    group_cell_end(&cell);
}

static void members_elect_under_tls_by_address(void **state)
{
    (void)state;
    elect_on("127.0.0.1");
}

static void members_elect_under_tls_by_host_name(void **state)
{
    (void)state;
    elect_on("localhost");
}

static void members_elect_under_tls_over_ipv6(void **state)
{
    (void)state;
    elect_on("[::1]");
}

/* Members a and b agree; c shows something else, and `teller` must say `text`. */
static void expect_trouble(const char *authority, const char *name, uint32_t teller,
                           const char *text)
{
    struct cell cell;
    cell_make(&cell, 3, "127.0.0.1");
    use(&cell, 0, "ca.pem", "node");
    use(&cell, 1, "ca.pem", "node");
    use(&cell, 2, authority, name);
    cell_start_all(&cell);
    cell_await_log(&cell, teller, text);
    struct tn_node_lease *lease = NULL;
    assert_int_equal(tn_node_lease_open(cell.nodes[0].node, "fast", "demo", NULL, &lease), 0);
    assert_int_equal(tn_node_lease_wait(lease, CELL_PATIENCE_NS), 0);
    static struct tn_node_status status;
    cell_status(&cell, 0, &status);
    assert_int_equal(status.connected_count, 2);
    cell_end(&cell);
}

static void a_certificate_of_another_authority_is_refused(void **state)
{
    (void)state;
    expect_trouble("ca.pem", "stranger", 0, "certificate is refused: unable to get local issuer");
}

static void an_authority_that_does_not_vouch_for_the_others_refuses_them(void **state)
{
    (void)state;
    expect_trouble("stranger_ca.pem", "node", 2, "certificate is refused: self-signed");
}

static void a_certificate_that_is_over_is_refused(void **state)
{
    (void)state;
    expect_trouble("ca.pem", "expired", 0, "certificate is refused: certificate has expired");
}

static void who_dials_refuses_a_certificate_made_out_to_another_host(void **state)
{
    (void)state;
    struct cell cell;
    cell_make(&cell, 3, "127.0.0.1");
    use(&cell, 0, "ca.pem", "elsewhere"); /* a is dialled by both */
    use(&cell, 1, "ca.pem", "node");
    use(&cell, 2, "ca.pem", "node");
    cell_start_all(&cell);
    cell_await_log(&cell, 1, "IP address mismatch");
    cell_await_log(&cell, 2, "IP address mismatch");
    cell_end(&cell);
}

static void
who_is_dialled_refuses_a_certificate_of_neither_the_members_host_nor_its_name(void **state)
{
    (void)state;
    expect_trouble(
        "ca.pem", "elsewhere", 0,
        "a certificate of elsewhere (DNS:elsewhere.example) does not speak for c: it names "
        "neither 127.0.0.1 nor c");
    expect_trouble("ca.pem", "elsewhere", 2, "it refuses us: a certificate of elsewhere");
    expect_trouble(
        "ca.pem", "any", 0,
        "a certificate of any (DNS:*, DNS:*.example, DNS:*.0.0.1, IP:127.0.0.2) does not");
}

static void who_is_dialled_takes_a_certificate_of_the_members_name(void **state)
{
    (void)state;
    static const char *const names[] = {"c", "named"}; /* as common name, as alternative name */
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct cell cell;
        cell_make(&cell, 3, "127.0.0.1");
        use(&cell, 0, "ca.pem", "node");
        use(&cell, 1, "ca.pem", "node");
        use(&cell, 2, "ca.pem", names[i]); /* c dials, and is never dialled */
        cell_start_all(&cell);
        cell_await_connected(&cell, 3);
        cell_end(&cell);
    }
}

static void a_members_certificate_does_not_speak_for_another_member(void **state)
{
    (void)state;
    struct cell cell;
    cell_make(&cell, 3, "127.0.0.1");
    use(&cell, 0, "ca.pem", "node");
    use(&cell, 1, "ca.pem", "c"); /* it is member b that shows it */
    use(&cell, 2, "ca.pem", "c");
    cell_start_all(&cell);
    cell_await_log(&cell, 0, "a certificate of c (DNS:elsewhere.example) does not speak for b");
    cell_await_log(&cell, 0, "member c (");
    cell_end(&cell);
}

static void a_plain_member_and_one_under_tls_do_not_meet(void **state)
{
    (void)state;
    struct cell cell;
    cell_make(&cell, 3, "127.0.0.1");
    use(&cell, 0, "ca.pem", "node");
    use(&cell, 1, "ca.pem", "node");
    cell_start_all(&cell);
    cell_await_log(&cell, 0, "TLS: ");
    cell_await_log(&cell, 2, "the other side closed");
    cell_end(&cell);
}

static void files_that_cannot_be_used_are_named_with_the_cause(void **state)
{
    (void)state;
    struct cell cell;
    cell_make(&cell, 3, "127.0.0.1");
    use(&cell, 0, "ca.pem", "nothing");
    cell_start_refused(&cell, 0, TN_ERROR_TLS);
    assert_non_null(strstr(cell.nodes[0].why, "nothing.pem cannot be used: No such file"));
    use(&cell, 0, "nowhere.pem", "node");
    cell_start_refused(&cell, 0, TN_ERROR_TLS);
    assert_non_null(strstr(cell.nodes[0].why, "nowhere.pem"));
    use(&cell, 0, "ca.pem", "node");
    cell.nodes[0].options.peer_tls.key_file = path_of(2, "elsewhere.key");
    cell_start_refused(&cell, 0, TN_ERROR_TLS);
    assert_non_null(strstr(cell.nodes[0].why, "elsewhere.key"));
    struct tn__tls_context *context = NULL;
    struct tn__tls_files files = {.ca_file = "ca.pem"};
    char why[256];
    assert_int_equal(tn__tls_context_open(&context, &files, why, sizeof(why)), TN_ERROR_TLS);
    assert_null(context);
    cell_end(&cell);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_elect_under_tls_by_address),
        cmocka_unit_test(groups_replicate_under_tls_over_both_connections),
        cmocka_unit_test(members_elect_under_tls_by_host_name),
        cmocka_unit_test(members_elect_under_tls_over_ipv6),
        cmocka_unit_test(a_certificate_of_another_authority_is_refused),
        cmocka_unit_test(an_authority_that_does_not_vouch_for_the_others_refuses_them),
        cmocka_unit_test(a_certificate_that_is_over_is_refused),
        cmocka_unit_test(who_dials_refuses_a_certificate_made_out_to_another_host),
        cmocka_unit_test(
            who_is_dialled_refuses_a_certificate_of_neither_the_members_host_nor_its_name),
        cmocka_unit_test(who_is_dialled_takes_a_certificate_of_the_members_name),
        cmocka_unit_test(a_members_certificate_does_not_speak_for_another_member),
        cmocka_unit_test(a_plain_member_and_one_under_tls_do_not_meet),
        cmocka_unit_test(files_that_cannot_be_used_are_named_with_the_cause),
    };
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
