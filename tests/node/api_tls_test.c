/* The client port over TLS: who shows a certificate of the right authority is served, and known by
 * the name in it; who shows none, or another's, is not. Certificates are made by openssl, and the
 * client is curl: what a person would use. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/node_client.h"
#include "support/node_cell.h"
#include "support/temporary.h"

static struct cell cell;
static char folder[64];
static char files[3][96];

static const char script[] =
    "set -e; cd %s\n"
    "for ca in ca other; do\n"
    "  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \\\n"
    "    -subj /CN=$ca -keyout $ca.key -out $ca.pem\n"
    "done\n"
    "printf 'subjectAltName=IP:127.0.0.1,DNS:localhost\\n' >names\n"
    "for who in node:ca client:ca stranger:other; do\n"
    "  name=${who%%%%:*}; ca=${who#*:}\n"
    "  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=$name \\\n"
    "    -keyout $name.key -out $name.csr\n"
    "  openssl x509 -req -in $name.csr -CA $ca.pem -CAkey $ca.key -CAcreateserial -days 2 \\\n"
    "    -extfile names -out $name.pem\n"
    "done\n";

/* Run a shell command quietly; returns its status. */
static int shell(const char *command)
{
    char *line = NULL;
    assert_true(asprintf(&line, "( %s ) >%s/said 2>&1", command, folder) > 0);
    int status = system(line);
    free(line);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static bool said(const char *text)
{
    char path[96];
    char bytes[8192];
    snprintf(path, sizeof(path), "%s/said", folder);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t length = fread(bytes, 1, sizeof(bytes) - 1, file);
    fclose(file);
    bytes[length] = '\0';
    return strstr(bytes, text) != NULL;
}

static int set_up(void **state)
{
    (void)state;
    if (system("command -v openssl curl >/dev/null") != 0) {
        print_message("openssl or curl is missing: nothing is tested here\n");
        return 0;
    }
    assert_true(test_temporary_folder(folder, sizeof(folder), "tenure-tls"));
    char *command = NULL;
    assert_true(asprintf(&command, script, folder) > 0);
    assert_int_equal(shell(command), 0);
    free(command);
    cell_make(&cell, 1, "127.0.0.1");
    static const char *const names[] = {"ca.pem", "node.pem", "node.key"};
    for (int i = 0; i < 3; i++) {
        snprintf(files[i], sizeof(files[i]), "%s/%s", folder, names[i]);
    }
    cell.nodes[0].options.listen_client = "127.0.0.1:0";
    cell.nodes[0].options.client_tls = (struct tn_node_tls){files[0], files[1], files[2]};
    cell_start_all(&cell);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (folder[0] != '\0') {
        char command[128];
        cell_end(&cell);
        snprintf(command, sizeof(command), "rm -r %s", folder);
        assert_int_equal(system(command), 0);
    }
    return 0;
}

/* curl with these options against a path of the node; its status. */
static int curl(const char *options, const char *scheme, const char *path)
{
    char command[512];
    snprintf(command, sizeof(command), "cd %s && curl -sS --max-time 60 %s '%s://127.0.0.1:%u%s'",
             folder, options, scheme, (unsigned)tn__node_client_port(cell.nodes[0].node), path);
    return shell(command);
}

#define NEEDS_TOOLS()                                                                              \
    if (folder[0] == '\0') {                                                                       \
        skip();                                                                                    \
    }

static void who_shows_its_certificate_is_served_and_known_by_it(void **state)
{
    (void)state;
    NEEDS_TOOLS();
    const char *own = "--cacert ca.pem --cert client.pem --key client.key";
    assert_int_equal(curl(own, "https", "/v1/status"), 0);
    assert_true(said("\"fenced\": true"));
    char acquire[256];
    snprintf(acquire, sizeof(acquire),
             "%s -d '{\"name\": \"n\", \"wait_ms\": 60000, \"ttl_ms\": 60000}'", own);
    assert_int_equal(curl(acquire, "https", "/v1/acquire"), 0);
    assert_true(said("\"holding\""));
    assert_int_equal(curl(own, "https", "/v1/who?name=n"), 0);
    assert_true(said("\"label\": \"client\""));
}

static void who_shows_none_or_anothers_is_not_served(void **state)
{
    (void)state;
    NEEDS_TOOLS();
    assert_int_not_equal(curl("--cacert ca.pem", "https", "/health"), 0);
    assert_false(said("healthy"));
    assert_int_not_equal(
        curl("--cacert ca.pem --cert stranger.pem --key stranger.key", "https", "/health"), 0);
    assert_false(said("healthy"));
    assert_int_not_equal(curl("", "http", "/health"), 0); /* plain bytes to a TLS port */
    assert_false(said("healthy"));
}

static void a_node_of_another_authority_is_not_believed(void **state)
{
    (void)state;
    NEEDS_TOOLS();
    assert_int_not_equal(
        curl("--cacert other.pem --cert client.pem --key client.key", "https", "/health"), 0);
}

/* A connected socket to the client port, blocking, with a receive time-out. */
static int connect_bare(void)
{
    int file = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(file >= 0);
    struct timeval limit = {.tv_sec = 120};
    assert_int_equal(setsockopt(file, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_port = htons(tn__node_client_port(cell.nodes[0].node));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(file, (struct sockaddr *)&address, sizeof(address)), 0);
    return file;
}

static SSL_CTX *client_context(void)
{
    char path[2][96];
    snprintf(path[0], sizeof(path[0]), "%s/client.pem", folder);
    snprintf(path[1], sizeof(path[1]), "%s/client.key", folder);
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    assert_non_null(context);
    assert_int_equal(SSL_CTX_use_certificate_file(context, path[0], SSL_FILETYPE_PEM), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(context, path[1], SSL_FILETYPE_PEM), 1);
    return context;
}

static bool is_healthy(SSL *session)
{
    static const char ask[] = "GET /v1/who?name=n HTTP/1.1\r\n\r\n";
    char answer[512] = "";
    if (SSL_write(session, ask, sizeof(ask) - 1) != (int)sizeof(ask) - 1) {
        return false;
    }
    int length = SSL_read(session, answer, sizeof(answer) - 1);
    return length > 0 && strncmp(answer, "HTTP/1.1 200 ", 13) == 0;
}

/* Who was greeted long before and is idle has 60 s, and is still there when who dawdles is not. */
static void a_handshake_that_dawdles_ends_before_an_idle_connection(void **state)
{
    (void)state;
    NEEDS_TOOLS();
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes to what may be closed */
    SSL_CTX *context = client_context();
    SSL *idle = SSL_new(context);
    int idle_file = connect_bare();
    assert_int_equal(SSL_set_fd(idle, idle_file), 1);
    assert_int_equal(SSL_connect(idle), 1);
    assert_true(is_healthy(idle));
    static const char *const beginnings[] = {"", "\x16\x03\x01\x02"}; /* silent; in a record */
    int dawdling[2];
    for (size_t i = 0; i < 2; i++) {
        dawdling[i] = connect_bare();
        size_t length = strlen(beginnings[i]);
        assert_int_equal(send(dawdling[i], beginnings[i], length, MSG_NOSIGNAL), length);
    }
    for (size_t i = 0; i < 2; i++) {
        char byte;
        assert_int_equal(recv(dawdling[i], &byte, 1, 0), 0); /* the end, after 10 s */
        close(dawdling[i]);
    }
    assert_true(is_healthy(idle));
    SSL_free(idle);
    close(idle_file);
    SSL_CTX_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_shows_its_certificate_is_served_and_known_by_it),
        cmocka_unit_test(who_shows_none_or_anothers_is_not_served),
        cmocka_unit_test(a_node_of_another_authority_is_not_believed),
        cmocka_unit_test(a_handshake_that_dawdles_ends_before_an_idle_connection),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
