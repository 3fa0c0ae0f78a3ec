/* A node's life: open, the loop's thread, stop, close.
 *
 * tn_node_open() builds everything on the caller's thread, in the order in which a mistake is best
 * told: options, certificates, the data directory, memory, ports. Then the thread starts and the
 * loop belongs to it. The thread ends when a stop was wanted and every handle of the loop is
 * closed; what is left (memory, the thread itself) tn_node_close() takes down.
 *
 * A stop on the loop, in order: no more calls are taken; clients are told; every name that this
 * node holds or wants is released (P6), whoever wanted it, but for those that a client was told to
 * hold: they run out; what that put out is sent; connections end when their output has left, or
 * after TN_STOP_FLUSH_NS. */
#define _GNU_SOURCE
#include "node/node_internal.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "node/node_client.h"
#include "os/clock.h"
#include "os/entropy.h"

/* Names released in one go when the node stops: the walk starts anew after each, as a release may
 * change what is walked. */
#define RELEASES_AT_ONCE 256U

void tn__node_why(char *why, size_t why_size, const char *text)
{
    if (why != NULL && why_size > 0) {
        snprintf(why, why_size, "%s", text);
    }
}

void tn__node_log(const struct tn_node *node, enum tn_log_level level, const char *format, ...)
{
    if (node->config.on_log == NULL) {
        return;
    }
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    node->config.on_log(level, text, node->config.data);
}

/* ---- Stop ---------------------------------------------------------------------------------- */

/* Does a client still count on the name? Then it is not released but runs out by itself (C1). */
static bool clients_count_on(const struct tn_node *node, uint32_t table,
                             const struct tn_lease_view *view)
{
    return node->front.context != NULL &&
           node->front.uses(node->front.context, table, view->name, view->name_bytes);
}

static uint32_t find_wanted(const struct tn_node *node, uint32_t table, uint32_t *cursor,
                            struct tn_request *requests)
{
    uint32_t count = 0;
    struct tn_lease_view view;
    while (count < RELEASES_AT_ONCE &&
           tn_lease_next(node->lease, table, cursor, tn__clock_now(), &view)) {
        if ((view.owned || view.wanted) && !clients_count_on(node, table, &view)) {
            struct tn_request *request = &requests[count++];
            memset(request, 0, sizeof(*request));
            request->kind = TN_REQUEST_RELEASE;
            request->table = (uint8_t)table;
            request->name_bytes = view.name_bytes;
            memcpy(request->name, view.name, view.name_bytes);
        }
    }
    return count;
}

/* P6, for every name. The cursor only moves on, so this ends. */
static void release_all(struct tn_node *node)
{
    struct tn_request *requests = calloc(RELEASES_AT_ONCE, sizeof(*requests));
    if (requests == NULL) {
        return; /* the leases run out by themselves */
    }
    for (uint32_t table = 0; table < node->config.lease.tables_count; table++) {
        uint32_t cursor = 0;
        uint32_t count = 0;
        do {
            count = find_wanted(node, table, &cursor, requests);
            for (uint32_t i = 0; i < count; i++) {
                struct tn_event event = {.kind = TN_EVENT_REQUEST, .request = &requests[i]};
                tn__node_step(node, &event);
            }
        } while (count == RELEASES_AT_ONCE);
    }
    free(requests);
}

static void close_handles(struct tn_node *node)
{
    tn__peers_close(node->peers, TN_STOP_FLUSH_NS / TN_MILLISECOND);
    node->peers = NULL;
    tn__node_timer_close(node);
    if (node->handles_open) {
        uv_close((uv_handle_t *)&node->prepare, NULL);
        uv_close((uv_handle_t *)&node->check, NULL);
        uv_close((uv_handle_t *)&node->calls.wake, NULL);
    }
    tn__node_words_stop(node);
}

static void stop_on_loop(struct tn_node *node)
{
    if (node->stopping) {
        return;
    }
    tn__node_log(node, TN_LOG_INFO, "stopping: leases held here are released");
    tn__node_turn_begin(node);
    tn__node_leases_forsake(node); /* P6: stop acting as owner first */
    if (node->front.context != NULL) {
        node->front.on_stop(node->front.context);
    }
    release_all(node);
    tn__node_turn_end(node);
    node->stopping = true;
    tn__node_leases_close(node);
    tn__node_calls_close(node);
    tn__node_groups_stop(node);
    close_handles(node);
}

static void on_wake(uv_async_t *wake)
{
    struct tn_node *node = wake->data;
    tn__node_turn_begin(node);
    tn__node_calls_run(node);
    if (atomic_load(&node->stop_wanted)) {
        stop_on_loop(node);
    }
}

void tn_node_stop(struct tn_node *node)
{
    atomic_store(&node->stop_wanted, true);
    uv_async_send(&node->calls.wake);
}

/* ---- The loop's thread
 * --------------------------------------------------------------------------- */

static void *run_loop(void *argument)
{
    struct tn_node *node = argument;
    tn__node_calls_enter(node);
    tn__peers_start(node->peers);
    uv_run(&node->loop, UV_RUN_DEFAULT);
    tn_assert(node->stopping); /* the loop has no other end */
    return NULL;
}

static int start_thread(struct tn_node *node)
{
    /* Signals are the program's: none is delivered to the loop. */
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int status = pthread_create(&node->thread, NULL, run_loop, node);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    node->thread_running = status == 0;
    return status == 0 ? 0 : TN_ERROR_NO_MEMORY;
}

/* ---- Open ------------------------------------------------------------------------------- */

static int open_tls(struct tn_node *node, char *why, size_t why_size)
{
    const struct tn__node_tls_files *files = &node->config.peer_tls;
    if (!files->used) {
        return 0;
    }
    struct tn__tls_files names = {
        .ca_file = files->ca_file,
        .certificate_file = files->certificate_file,
        .key_file = files->key_file,
    };
    return tn__tls_context_open(&node->peer_tls, &names, why, why_size);
}

static int open_machine(struct tn_node *node, char *why, size_t why_size)
{
    struct tn_lease_options *options = &node->config.lease;
    uint64_t random[2];
    int error = tn__entropy_draw(random, sizeof(random));
    if (error != 0) {
        tn__node_why(why, why_size, "the operating system gives no randomness");
        return error;
    }
    options->random = random[0];
    node->random = random[1];
    error = tn_lease_options_complete(options, why, why_size);
    if (error != 0) {
        return error;
    }
    node->lease_bytes = tn_lease_size(options);
    void *memory =
        mmap(NULL, node->lease_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    node->driver = calloc(1, sizeof(*node->driver));
    if (memory == MAP_FAILED || node->driver == NULL) {
        if (memory != MAP_FAILED) {
            munmap(memory, node->lease_bytes);
        }
        tn__node_why(why, why_size, "no memory for lease tables of this size: lower names_max");
        return TN_ERROR_NO_MEMORY;
    }
    node->lease_memory = memory;
    node->opened_at = tn__clock_now();
    node->lease = tn_lease_init(memory, options, node->opened_at);
    struct tn__driver_world world = tn__node_world;
    world.context = node;
    tn__driver_init(node->driver, node->lease, &world);
    return 0;
}

static void fill_hello(const struct tn_node *node, struct tn__hello *hello)
{
    const struct tn__node_config *config = &node->config;
    memset(hello, 0, sizeof(*hello));
    hello->restart_word = config->lease.restart_word;
    memcpy(hello->cluster_id, config->cluster_id, sizeof(hello->cluster_id));
    if (node->words.open) {
        memcpy(hello->disk_id, node->words.words.disk_id, sizeof(hello->disk_id)); /* V4 */
    }
    hello->configuration = config->lease.configuration;
    hello->drift_ppm = config->lease.drift_ppm;
    hello->node = config->ids[config->self];
    hello->version_min = TN_PROTOCOL_VERSION_MIN;
    hello->version_max = TN_PROTOCOL_VERSION_MAX;
    hello->members_count = (uint8_t)config->members_count;
    hello->tables_count = (uint8_t)config->lease.tables_count;
    hello->diskless = config->diskless ? 1 : 0;
    memcpy(hello->members, config->ids, sizeof(hello->members));
    for (uint32_t i = 0; i < config->lease.tables_count; i++) {
        hello->tables[i].proposer_ns = config->lease.tables[i].proposer_ns;
        hello->tables[i].acceptor_ns = config->lease.tables[i].acceptor_ns;
        hello->tables[i].quarantine_ns = config->lease.tables[i].quarantine_ns;
    }
    snprintf(hello->name, sizeof(hello->name), "%s", config->name);
    snprintf(hello->client_address, sizeof(hello->client_address), "%s", config->client_url);
}

static int open_peers(struct tn_node *node, char *why, size_t why_size)
{
    struct tn__hello hello;
    fill_hello(node, &hello);
    struct tn__peers_options options = {
        .events = &tn__node_peers_events,
        .owner = node,
        .hello = &hello,
        .members = node->config.members,
        .self = node->config.self,
        .tls = node->peer_tls,
        .random = node->random + 1,
        .counters = &node->counters,
    };
    int error = tn__peers_open(&node->peers, node->net, &options);
    if (error == 0 && node->config.listen_peer[0] != '\0') {
        error = tn__peers_listen(node->peers, node->config.listen_peer, why, why_size);
    }
    return error;
}

static int open_loop(struct tn_node *node, char *why, size_t why_size)
{
    if (uv_loop_init(&node->loop) != 0) {
        tn__node_why(why, why_size, "no event loop: are there file descriptors left?");
        return TN_ERROR_IO;
    }
    node->loop_open = true;
    if (uv_async_init(&node->loop, &node->calls.wake, on_wake) != 0) {
        return TN_ERROR_IO;
    }
    node->calls.wake.data = node;
    uv_prepare_init(&node->loop, &node->prepare); /* these two only fill in the handle */
    uv_check_init(&node->loop, &node->check);
    node->handles_open = true;
    int error = tn__node_turn_init(node);
    if (error == 0) {
        error = tn__node_timer_init(node, why, why_size);
    }
    node->net = error == 0 ? calloc(1, sizeof(*node->net)) : NULL;
    if (error == 0 && node->net == NULL) {
        error = TN_ERROR_NO_MEMORY;
    }
    if (error == 0) {
        node->net->loop = &node->loop;
    }
    return error;
}

/* The client API, and its URL with the port that is bound, which the kernel chose if it is 0 in the
 * options. A URL that is too long to be shown is not cut, but left out. */
static int open_client_port(struct tn_node *node, char *why, size_t why_size)
{
    struct tn__node_config *config = &node->config;
    if (config->listen_client[0] == '\0') {
        return 0;
    }
    int error = tn__node_client_open(node, why, why_size);
    if (error != 0 || config->client_url[0] != '\0') {
        return error;
    }
    const char *colon = strrchr(config->listen_client, ':');
    tn_assert(colon != NULL); /* it has been listened on */
    char url[sizeof("https://") + TN_ADDRESS_BYTES_MAX];
    int length =
        snprintf(url, sizeof(url), "%s://%.*s:%u", config->client_tls.used ? "https" : "http",
                 (int)(colon - config->listen_client), config->listen_client,
                 (unsigned)tn__node_client_port(node));
    if ((size_t)length < sizeof(config->client_url)) {
        memcpy(config->client_url, url, (size_t)length + 1);
    }
    return 0;
}

static int open_all(struct tn_node *node, const struct tn_node_options *options, char *why,
                    size_t why_size)
{
    int error = tn__node_config_take(&node->config, options, why, why_size);
    if (error == 0) {
        error = open_tls(node, why, why_size);
    }
    if (error == 0) {
        error = open_loop(node, why, why_size);
    }
    if (error == 0) {
        error = tn__node_words_open(node, why, why_size);
    }
    if (error == 0) {
        error = open_machine(node, why, why_size);
    }
    if (error == 0) { /* before the peers, who are told its URL */
        error = open_client_port(node, why, why_size);
    }
    if (error == 0) {
        error = open_peers(node, why, why_size);
    }
    if (error == 0) {
        error = tn__node_words_start(node);
    }
    return error;
}

/* Free everything; the thread is not running, or has ended. */
static void tear_down(struct tn_node *node)
{
    if (node->loop_open && !node->stopping) {
        node->stopping = true; /* an opening that failed: the handles are still there */
        if (node->front.context != NULL) {
            node->front.on_stop(node->front.context);
        }
        close_handles(node);
        uv_run(&node->loop, UV_RUN_DEFAULT);
    }
    if (node->front.context != NULL) {
        node->front.free(node->front.context);
    }
    if (node->loop_open) {
        int status = uv_loop_close(&node->loop);
        tn_assert(status == 0);
    }
    tn__node_groups_free(node);
    pthread_mutex_destroy(&node->groups_mutex);
    tn__node_turn_free(node);
    tn__node_leases_free(node);
    tn__node_calls_free(node);
    tn__tls_context_close(node->peer_tls);
    free(node->driver);
    if (node->lease_memory != NULL) {
        munmap(node->lease_memory, node->lease_bytes);
    }
    free(node->net);
    free(node);
}

int tn_node_open(struct tn_node **node, const struct tn_node_options *options, char *why,
                 size_t why_size)
{
    *node = NULL;
    tn__node_why(why, why_size, "");
    struct tn_node *made = calloc(1, sizeof(*made));
    if (made == NULL) {
        return TN_ERROR_NO_MEMORY;
    }
    made->timer_file = -1;
    pthread_mutex_init(&made->groups_mutex, NULL); /* does not fail on Linux */
    if (tn__node_calls_init(made) != 0) {
        free(made);
        return TN_ERROR_NO_MEMORY;
    }
    if (tn__node_leases_init(made) != 0) {
        tn__node_calls_free(made);
        free(made);
        return TN_ERROR_NO_MEMORY;
    }
    int error = open_all(made, options, why, why_size);
    if (error == 0) {
        error = start_thread(made);
    }
    if (error != 0) {
        if (why != NULL && why_size > 0 && why[0] == '\0') {
            tn__node_why(why, why_size, tn_strerror(error));
        }
        tear_down(made);
        return error;
    }
    *node = made;
    return 0;
}

int tn_node_close(struct tn_node *node)
{
    if (node == NULL) {
        return 0;
    }
    if (tn__node_on_loop(node)) {
        return TN_ERROR_WRONG_THREAD;
    }
    tn_node_stop(node);
    pthread_join(node->thread, NULL);
    tear_down(node);
    return 0;
}
