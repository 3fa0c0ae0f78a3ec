/* Acquire against a ping-pong: three processes on loopback, no contention.
 *
 *   acquire_bench ROUNDS PAIRS
 *
 * In each round PAIRS times, one after the other: two round trips of a ping-pong to one other
 * member, over the very connection that votes take; then the acquisition of a fresh name, from the
 * call to its callback, and its release. Both begin on the program's thread and end on the node's.
 * Prints one JSON object a round with the medians, in microseconds. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "cell.h"
#include "node/node_internal.h"

static uint32_t rounds;
static uint32_t pairs;

/* Something awaited: done at a time, told by the loop's thread. */
static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint64_t done_at; /* 0: not yet */
} wait_state = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void tell(void)
{
    pthread_mutex_lock(&wait_state.mutex);
    wait_state.done_at = cell_now_ns();
    pthread_cond_signal(&wait_state.changed);
    pthread_mutex_unlock(&wait_state.mutex);
}

static uint64_t await(void)
{
    pthread_mutex_lock(&wait_state.mutex);
    while (wait_state.done_at == 0) {
        pthread_cond_wait(&wait_state.changed, &wait_state.mutex);
    }
    uint64_t at = wait_state.done_at;
    wait_state.done_at = 0;
    pthread_mutex_unlock(&wait_state.mutex);
    return at;
}

static void on_pong(void *context, struct tn_node *node, uint32_t member, uint64_t word)
{
    (void)context;
    if (word > 1) {
        (void)tn__peers_ping(node->peers, member, word - 1);
    } else {
        tell();
    }
}

static int begin_ping(struct tn_node *node, void *argument)
{
    (void)argument;
    node->probe.on_pong = on_pong;
    tn__node_turn_begin(node);
    return tn__peers_ping(node->peers, 1, 2) ? TN_OK : TN_ERROR_NO_QUORUM;
}

static double two_round_trips(struct tn_node *node)
{
    uint64_t began = cell_now_ns();
    if (tn__node_call(node, begin_ping, NULL, true) != TN_OK) {
        _Exit(1);
    }
    return (double)(await() - began) / 1e3;
}

static void on_change(struct tn_node_lease *lease, const struct tn_notice *notice, void *data)
{
    (void)lease;
    (void)data;
    if (notice->kind == TN_NOTICE_OPENED) {
        tell();
    }
}

static double acquire(struct tn_node *node)
{
    static uint32_t number;
    char name[TN_NAME_BYTES_MAX];
    struct tn_node_lease_options options = {.on_change = on_change};
    struct tn_node_lease *lease = NULL;
    snprintf(name, sizeof(name), "service/%07u/leader/000000000", number++);
    uint64_t began = cell_now_ns();
    if (tn_node_lease_open(node, "bench", name, &options, &lease) != TN_OK) {
        _Exit(1);
    }
    double took = (double)(await() - began) / 1e3;
    tn_node_lease_close(lease);
    return took;
}

static void measure(struct tn_node *node)
{
    double *pings = calloc(pairs, sizeof(double));
    double *acquires = calloc(pairs, sizeof(double));
    for (uint32_t round = 0; round <= rounds; round++) {
        for (uint32_t i = 0; i < pairs; i++) {
            pings[i] = two_round_trips(node);
            acquires[i] = acquire(node);
        }
        if (round == 0) {
            continue; /* warm-up */
        }
        cell_sort(pings, pairs);
        cell_sort(acquires, pairs);
        printf("{\"two_round_trips_us\": %.1f, \"acquire_us\": %.1f, \"acquire_p99_us\": %.1f}\n",
               cell_permille(pings, pairs, 500), cell_permille(acquires, pairs, 500),
               cell_permille(acquires, pairs, 990));
        fflush(stdout);
    }
    free(pings);
    free(acquires);
}

static void run_member(struct cell *cell, uint32_t member, bool first)
{
    struct tn_node *node = cell_open_node(cell, member, first, NULL, NULL);
    for (;;) {
        cell_report(cell, member, node);
        if (member == 0 && atomic_load(&cell->page->go) != 0 &&
            atomic_load(&cell->page->connected[0]) == CELL_MEMBERS) {
            measure(node);
            atomic_store(&cell->page->go, 0);
        }
        cell_sleep_ms(50);
    }
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: acquire_bench ROUNDS PAIRS\n");
        return 2;
    }
    rounds = (uint32_t)strtoul(argv[1], NULL, 10);
    pairs = (uint32_t)strtoul(argv[2], NULL, 10);
    if (rounds == 0 || rounds > 100 || pairs == 0 || pairs > 10000) {
        fprintf(stderr, "acquire_bench: 1 to 100 rounds of 1 to 10000 pairs\n");
        return 2;
    }
    struct tn_lease_table_options table = {.proposer_ns = 2 * TN_SECOND, .names_max = 1U << 20};
    static struct cell cell;
    cell_make(&cell, &table, run_member);
    for (uint32_t i = 0; i < CELL_MEMBERS; i++) {
        cell_start_member(&cell, i, true);
    }
    cell_sleep_ms(3500); /* A4 */
    atomic_store(&cell.page->go, 1);
    for (uint32_t i = 0; i < 6000 && atomic_load(&cell.page->go) != 0; i++) {
        cell_sleep_ms(50);
    }
    bool done = atomic_load(&cell.page->go) == 0;
    cell_end(&cell);
    return done ? 0 : 1;
}
