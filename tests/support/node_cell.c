/* A cell of real nodes in one process. See node_cell.h. */
#define _GNU_SOURCE
#include "support/node_cell.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "os/clock.h"
#include "support/temporary.h"

#if defined(__SANITIZE_THREAD__)
/* The thread sanitizer does not see libuv close its sockets. A file that gets such a number next is
 * taken for a race with the socket that had it; both files below have no state of their own. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race:src/os/file_posix.c\nrace:src/os/file_probe.c\n";
}
#endif

static void on_log(enum tn_log_level level, const char *text, void *data)
{
    struct cell_node *node = data;
    pthread_mutex_lock(&node->mutex);
    size_t room = sizeof(node->log) - node->log_bytes;
    int written = snprintf(node->log + node->log_bytes, room, "%d %s\n", (int)level, text);
    if (written > 0 && (size_t)written < room) {
        node->log_bytes += (size_t)written;
    }
    pthread_mutex_unlock(&node->mutex);
    if (getenv("TN_TEST_LOG") != NULL) {
        fprintf(stderr, "%s: %s\n", node->name, text);
    }
}

static int bound_socket(uint16_t *port)
{
    int file = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(file >= 0);
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(file, (struct sockaddr *)&address, sizeof(address)), 0);
    socklen_t length = sizeof(address);
    assert_int_equal(getsockname(file, (struct sockaddr *)&address, &length), 0);
    *port = ntohs(address.sin_port);
    return file;
}

uint16_t cell_free_port(void)
{
    uint16_t port = 0;
    close(bound_socket(&port));
    return port;
}

void cell_make(struct cell *cell, uint32_t count, const char *host)
{
    memset(cell, 0, sizeof(*cell));
    cell->count = count;
    assert_true(test_temporary_folder(cell->directory, sizeof(cell->directory), "tenure-node"));
    cell->table.name = "fast";
    cell->table.options.proposer_ns = CELL_PROPOSER_NS;
    int held[CELL_NODES_MAX];
    for (uint32_t i = 0; i < count; i++) { /* all bound at once, so that all differ */
        held[i] = bound_socket(&cell->nodes[i].port);
    }
    for (uint32_t i = 0; i < count; i++) {
        struct cell_node *node = &cell->nodes[i];
        close(held[i]);
        pthread_mutex_init(&node->mutex, NULL);
        snprintf(node->name, sizeof(node->name), "%c", (char)('a' + (int)i));
        snprintf(node->address, sizeof(node->address), "%s:%u", host, (unsigned)node->port);
        snprintf(node->data_dir, sizeof(node->data_dir), "%s/%s", cell->directory, node->name);
        cell->members[i].name = node->name;
        cell->members[i].peer_address = node->address;
        node->options.name = node->name;
        node->options.members = cell->members;
        node->options.members_count = count;
        node->options.tables = &cell->table;
        node->options.tables_count = 1;
        node->options.bootstrap = 1;
        node->options.data_dir = node->data_dir;
        node->options.on_log = on_log;
        node->options.data = node;
    }
}

void cell_start(struct cell *cell, uint32_t index)
{
    struct cell_node *node = &cell->nodes[index];
    int error = tn_node_open(&node->node, &node->options, node->why, sizeof(node->why));
    if (error != 0) {
        fail_msg("node %s: %s: %s", node->name, tn_err_name(error), node->why);
    }
}

void cell_start_all(struct cell *cell)
{
    for (uint32_t i = 0; i < cell->count; i++) {
        cell_start(cell, i);
    }
}

void cell_start_refused(struct cell *cell, uint32_t index, int error)
{
    struct cell_node *node = &cell->nodes[index];
    int got = tn_node_open(&node->node, &node->options, node->why, sizeof(node->why));
    if (got != error) {
        fail_msg("%s instead of %s: %s", tn_err_name(got), tn_err_name(error), node->why);
    }
    assert_null(node->node);
    assert_string_not_equal(node->why, "");
    printf("# %s: %s\n", tn_err_name(error), node->why);
}

void cell_stop(struct cell *cell, uint32_t index)
{
    struct cell_node *node = &cell->nodes[index];
    assert_int_equal(tn_node_close(node->node), 0);
    node->node = NULL;
}

void cell_wipe(struct cell *cell, uint32_t index)
{
    char command[300];
    /* In a process of its own: the thread sanitizer does not see libuv close its files, and takes a
     * number that is used again for a race. */
    snprintf(command, sizeof(command), "rm -f '%s'/*", cell->nodes[index].data_dir);
    assert_int_equal(system(command), 0);
}

void cell_end(struct cell *cell)
{
    for (uint32_t i = 0; i < cell->count; i++) {
        cell_stop(cell, i);
        cell_wipe(cell, i);
        rmdir(cell->nodes[i].data_dir);
        pthread_mutex_destroy(&cell->nodes[i].mutex);
    }
    rmdir(cell->directory);
}

bool cell_patience(tn_time *since)
{
    tn_time now = tn__clock_awake();
    if (*since == 0) {
        *since = now;
    }
    struct timespec moment = {.tv_nsec = 5 * 1000 * 1000};
    nanosleep(&moment, NULL);
    return now - *since < CELL_PATIENCE_NS;
}

uint32_t cell_count_log(struct cell *cell, uint32_t index, const char *text)
{
    struct cell_node *node = &cell->nodes[index];
    uint32_t count = 0;
    pthread_mutex_lock(&node->mutex);
    for (const char *at = strstr(node->log, text); at != NULL; at = strstr(at + 1, text)) {
        count += 1;
    }
    pthread_mutex_unlock(&node->mutex);
    return count;
}

void cell_await_log(struct cell *cell, uint32_t index, const char *text)
{
    tn_time since = 0;
    while (cell_count_log(cell, index, text) == 0) {
        if (!cell_patience(&since)) {
            fail_msg("node %s never said \"%s\"; it said:\n%s", cell->nodes[index].name, text,
                     cell->nodes[index].log);
        }
    }
}

void cell_status(struct cell *cell, uint32_t index, struct tn_node_status *status)
{
    assert_int_equal(tn_node_status(cell->nodes[index].node, status), 0);
}

void cell_await_connected(struct cell *cell, uint32_t count)
{
    static struct tn_node_status status;
    for (uint32_t i = 0; i < cell->count; i++) {
        tn_time since = 0;
        while (cell->nodes[i].node != NULL) {
            cell_status(cell, i, &status);
            if (status.connected_count == count) {
                break;
            }
            if (!cell_patience(&since)) {
                fail_msg("node %s sees %u members connected, not %u", cell->nodes[i].name,
                         status.connected_count, count);
            }
        }
    }
}

int cell_connect(const struct cell *cell, uint32_t index)
{
    int file = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(file >= 0);
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(cell->nodes[index].port);
    struct timeval limit = {.tv_sec = 30};
    assert_int_equal(setsockopt(file, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
    assert_int_equal(connect(file, (struct sockaddr *)&address, sizeof(address)), 0);
    return file;
}
