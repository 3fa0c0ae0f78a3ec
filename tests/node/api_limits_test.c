/* The bounds of the client port, each met for real: so many connections and no more, so many
 * watchers and no more, who reads slowly or never is cut, and what all of them cost in memory.
 *
 * Client and node are one process, so its peak of memory counts both; sockets of clients are bare,
 * without a buffer. Sanitizers keep memory of their own: there the peak is not looked at. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "node/api.h"
#include "support/client_port.h"
#include "support/slow_build.h"

/* ---- Tools ------------------------------------------------------------------------------- */

/* A connected socket with the smallest buffer that the kernel gives, for who does not read. */
static int connect_bare(void)
{
    int file = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(file >= 0);
    int small = 4096;
    struct timeval limit = {.tv_sec = 60};
    assert_int_equal(setsockopt(file, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
    assert_int_equal(setsockopt(file, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(client_port_of(0))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(file, (struct sockaddr *)&address, sizeof(address)), 0);
    return file;
}

static bool send_text(int file, const char *text)
{
    return send(file, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text);
}

/* The status of the answer to a request on a bare socket; 0: the node closed instead. */
static int status_of(int file, const char *target)
{
    char text[2048];
    int status = 0;
    snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\n\r\n", target);
    if (!send_text(file, text)) {
        return 0;
    }
    ssize_t length = recv(file, text, sizeof(text) - 1, 0);
    if (length <= 0) {
        return 0;
    }
    text[length] = '\0';
    assert_int_equal(sscanf(text, "HTTP/1.1 %d ", &status), 1);
    return status;
}

/* A line of /metrics, asked for on a connection that stands: "tenure_api_cut_total". */
static int64_t metric(struct http_client *client, const char *name)
{
    http_ask(client, "GET", "/metrics", NULL);
    struct http_answer answer = http_receive(client);
    assert_int_equal(answer.status, 200);
    char line[96];
    snprintf(line, sizeof(line), "\n%s ", name);
    const char *found = strstr(answer.text, line);
    assert_non_null(found);
    int64_t value = strtoll(found + strlen(line), NULL, 10);
    http_answer_free(&answer);
    return value;
}

/* How many connections have been cut, looked at once for every 64 KiB that were read. */
static int64_t metric_at(struct http_client *client, size_t read, size_t *looked_at)
{
    if (read < *looked_at) {
        return 0;
    }
    *looked_at = read + 65536;
    return metric(client, "tenure_api_cut_total");
}

static size_t memory_line(const char *field)
{
    char line[128];
    size_t kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, field, strlen(field)) == 0) {
            kib = strtoul(line + strlen(field), NULL, 10);
        }
    }
    fclose(file);
    return kib << 10;
}

/* Begin to watch the peak of memory: the bytes in use now. */
static size_t peak_begin(void)
{
    malloc_trim(0);
    int file = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    if (file >= 0) {
        (void)!write(file, "5", 1); /* the peak is from now on */
        close(file);
    }
    return memory_line("VmRSS:");
}

static void peak_expect(size_t before, size_t bytes_max)
{
    size_t peak = memory_line("VmHWM:");
    size_t grown = peak > before ? peak - before : 0;
    printf("# memory grew by %zu KiB, %zu are allowed\n", grown >> 10, bytes_max >> 10);
    if (!TN_SLOW_BUILD) {
        assert_in_range(grown, 0, bytes_max);
    }
}

/* Files for `count` connections, both ends in this process. */
static bool files_suffice(rlim_t count)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur < 2 * count + 100) {
        limit.rlim_cur = 2 * count + 100 < limit.rlim_max ? 2 * count + 100 : limit.rlim_max;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    }
    return limit.rlim_cur >= 2 * count + 100;
}

/* ---- Connections ------------------------------------------------------------------------- */

_Static_assert(TN_API_CONNECTIONS_MAX == 4096 && TN_API_WATCHERS_MAX == 256,
               "docs/api.md and the names of the tests below say these numbers");

/* An idle connection, its stream included: measured 4.6 KiB. */
#define IDLE_CONNECTION_BYTES_MAX (10U << 10)

static void of_4096_connections_each_is_served_and_the_next_is_closed(void **state)
{
    (void)state;
    if (!files_suffice(TN_API_CONNECTIONS_MAX)) {
        print_message("this machine does not allow so many open files\n");
        skip();
    }
    size_t before = peak_begin();
    static int files[TN_API_CONNECTIONS_MAX];
    struct http_client looker; /* one of the 4096 */
    http_connect(&looker, client_port_of(0));
    (void)metric(&looker, "tenure_api_connections_total");
    for (uint32_t i = 1; i < TN_API_CONNECTIONS_MAX; i++) {
        files[i] = connect_bare();
        if (i % 64 == 0) { /* what waits to be accepted stays within the kernel's backlog */
            assert_int_equal(status_of(files[i], "/v1/who?name=n"), 200);
        }
    }
    assert_int_equal(status_of(files[TN_API_CONNECTIONS_MAX - 1], "/v1/who?name=n"), 200);
    for (int more = 1; more <= 3; more++) {
        int file = connect_bare();
        assert_int_equal(status_of(file, "/v1/who?name=n"), 0);
        close(file);
        assert_int_equal(metric(&looker, "tenure_api_connections_refused_total"), more);
    }
    assert_int_equal(metric(&looker, "tenure_api_connections_total"), TN_API_CONNECTIONS_MAX);
    assert_int_equal(status_of(files[1], "/v1/who?name=n"), 200); /* the others do not suffer */
    peak_expect(before, (size_t)TN_API_CONNECTIONS_MAX * IDLE_CONNECTION_BYTES_MAX);

    close(files[1]); /* a place that is free is given again */
    tn_time since = 0;
    for (int status = 0; status != 200; assert_true(cell_patience(&since))) {
        files[1] = connect_bare();
        status = status_of(files[1], "/v1/who?name=n");
        if (status != 200) {
            close(files[1]);
        }
    }
    for (uint32_t i = 1; i < TN_API_CONNECTIONS_MAX; i++) {
        close(files[i]);
    }
    http_close(&looker);
}

/* ---- Watchers ---------------------------------------------------------------------------- */

static void of_256_watchers_each_is_told_and_the_next_is_refused(void **state)
{
    (void)state;
    static int files[TN_API_WATCHERS_MAX];
    for (uint32_t i = 0; i < TN_API_WATCHERS_MAX; i++) {
        files[i] = connect_bare();
        assert_int_equal(status_of(files[i], "/v1/watch?name=n"), 200);
    }
    client_port_expect(0, "/v1/watch?name=n", NULL, 503, "busy");
    struct held held = client_port_acquire(0, "n", 60000);
    for (uint32_t i = 0; i < TN_API_WATCHERS_MAX; i++) {
        char text[8192] = "";
        size_t length = 0;
        while (strstr(text, "\"opened\"") == NULL) {
            ssize_t got = recv(files[i], text + length, sizeof(text) - 1 - length, 0);
            assert_true(got > 0);
            length += (size_t)got;
            text[length] = '\0';
        }
    }
    client_port_release(0, &held, 200);
    close(files[0]);
    tn_time since = 0;
    for (int status = 0; status != 200; assert_true(cell_patience(&since))) {
        files[0] = connect_bare();
        status = status_of(files[0], "/v1/watch?name=n");
        if (status != 200) {
            close(files[0]);
        }
    }
    for (uint32_t i = 0; i < TN_API_WATCHERS_MAX; i++) {
        close(files[i]);
    }
}

/* One that is not read: 1 MiB of output, twice that because a buffer grows by doubling, and as much
 * again for the part that was handed over and not taken by the kernel yet. */
#define UNREAD_CONNECTION_BYTES_MAX (4U << 20)
#define OTHER_BYTES_MAX (8U << 20)

static void a_watcher_that_does_not_keep_up_is_cut_and_the_others_are_told(void **state)
{
    (void)state;
    enum { NAMES = 500 };
    static struct tn_node_lease *leases[NAMES];
    for (uint32_t i = 0; i < NAMES; i++) { /* each is renewed several times a second */
        char name[TN_NAME_BYTES_MAX + 1];
        snprintf(name, sizeof(name), "%064u", i);
        assert_int_equal(
            tn_node_lease_open(client_port_cell.nodes[0].node, "fast", name, NULL, &leases[i]), 0);
    }
    struct http_client looker;
    struct http_client reader;
    http_connect(&looker, client_port_of(0));
    http_connect(&reader, client_port_of(0));
    size_t before = peak_begin();
    int slow = connect_bare();
    assert_int_equal(status_of(slow, "/v1/watch"), 200); /* and nothing more is read */
    http_ask(&reader, "GET", "/v1/watch", NULL);
    assert_int_equal(http_receive_head(&reader), 200);
    static char bytes[65537];
    ssize_t got = 0;
    size_t looked_at = 0;
    for (size_t read = 0; metric_at(&looker, read, &looked_at) == 0; read += (size_t)got) {
        got = recv(reader.file, bytes, sizeof(bytes) - 1, 0); /* taken, and not looked at */
        assert_true(got > 0);
        assert_true(read < 1U << 26);
    }
    peak_expect(before, UNREAD_CONNECTION_BYTES_MAX + OTHER_BYTES_MAX);
    do { /* the end comes: what the kernel still held, and no more */
        got = recv(slow, bytes, sizeof(bytes) - 1, 0);
    } while (got > 0);
    assert_true(got == 0 || errno == ECONNRESET);
    close(slow);
    got = recv(reader.file, bytes, sizeof(bytes) - 1, 0);
    assert_true(got > 0);
    assert_int_equal(metric(&looker, "tenure_api_cut_total"), 1);
    http_close(&reader);
    http_close(&looker);
    for (uint32_t i = 0; i < NAMES; i++) {
        tn_node_lease_close(leases[i]);
    }
}

static void clients_that_never_read_cost_bounded_memory_until_they_are_cut(void **state)
{
    (void)state;
    enum { CLIENTS = 16, ROUNDS = 4000 };
    int files[CLIENTS];
    struct http_client looker;
    http_connect(&looker, client_port_of(0));
    (void)metric(&looker, "tenure_api_cut_total");
    size_t before = peak_begin();
    for (int i = 0; i < CLIENTS; i++) {
        files[i] = connect_bare();
    }
    for (int round = 0; round < ROUNDS; round++) { /* 40 MB of answers each: no socket holds it */
        for (int i = 0; i < CLIENTS; i++) {
            (void)send_text(files[i], "GET /metrics HTTP/1.1\r\n\r\n");
        }
    }
    /* A node under a sanitizer may take so long that a request does not arrive whole in its time:
     * then that connection is closed for this. */
    tn_time since = 0;
    int64_t least = TN_SLOW_BUILD ? 1 : CLIENTS;
    while (metric(&looker, "tenure_api_cut_total") < least) {
        assert_true(cell_patience(&since));
    }
    for (int i = 0; i < CLIENTS; i++) {
        while (send_text(files[i], "GET /metrics HTTP/1.1\r\n\r\n")) {
            assert_true(cell_patience(&since)); /* one way or the other, each is ended */
        }
    }
    assert_in_range(metric(&looker, "tenure_api_cut_total"), least, CLIENTS);
    peak_expect(before, CLIENTS * UNREAD_CONNECTION_BYTES_MAX + OTHER_BYTES_MAX);
    client_port_expect(0, "/v1/who?name=n", NULL, 200, "");
    for (int i = 0; i < CLIENTS; i++) {
        close(files[i]);
    }
    http_close(&looker);
}

#define WITH_ONE(name) cmocka_unit_test_setup_teardown(name, client_port_start_one, client_port_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ONE(of_4096_connections_each_is_served_and_the_next_is_closed),
        WITH_ONE(of_256_watchers_each_is_told_and_the_next_is_refused),
        WITH_ONE(a_watcher_that_does_not_keep_up_is_cut_and_the_others_are_told),
        WITH_ONE(clients_that_never_read_cost_bounded_memory_until_they_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
