/* Fail-over after kill -9: three processes, a lease of one second, the owner killed again and
 * again.
 *
 *   failover_bench KILLS
 *
 * Each kill comes at a moment drawn at random within the owner's renewal cycle. Prints one JSON
 * object a kill: how long until the next owner, and what the bound was: the time that remained on
 * the acceptors' clocks (they are one clock here), three round trips, and the stated jitter (one
 * back_off_ns, a twentieth of the lease, and the timer's slack, a 200th).
 *
 * A round trip is measured: members ping each other all the while over the connections that votes
 * take, and the median of those before the kill is what counts for it. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>

#include "base/random.h"
#include "cell.h"
#include "node/node_internal.h"

#define LEASE_NS TN_SECOND

static struct cell cell;

static void on_notice(struct tn_node *node, const struct tn_notice *notice, void *data)
{
    (void)node;
    if (notice->kind == TN_NOTICE_OPENED || notice->kind == TN_NOTICE_RENEWED) {
        cell_record(&cell, *(uint32_t *)data, notice);
    }
}

/* The word of a ping is the time of its sending, so that nothing need be remembered. */
static void on_pong(void *context, struct tn_node *node, uint32_t member, uint64_t word)
{
    (void)context;
    (void)node;
    (void)member;
    uint32_t at = atomic_fetch_add(&cell.page->pings_count, 1);
    atomic_store(&cell.page->ping_ns[at % CELL_PINGS_KEPT], cell_now_ns() - word);
}

/* On the loop's thread. Who is down is not reached, which is no matter here. */
static int ping_others(struct tn_node *node, void *argument)
{
    uint32_t self = *(const uint32_t *)argument;
    node->probe.on_pong = on_pong;
    tn__node_turn_begin(node);
    for (uint32_t i = 0; i < CELL_MEMBERS; i++) {
        if (i != self) {
            (void)tn__peers_ping(node->peers, i, cell_now_ns());
        }
    }
    return TN_OK;
}

/* The median of the last round trips, as they are now. */
static double round_trip_ns(void)
{
    double trips[CELL_PINGS_KEPT];
    uint32_t count = atomic_load(&cell.page->pings_count);
    count = count < CELL_PINGS_KEPT ? count : CELL_PINGS_KEPT;
    for (uint32_t i = 0; i < count; i++) {
        trips[i] = (double)atomic_load(&cell.page->ping_ns[i]);
    }
    if (count == 0) {
        return 0;
    }
    cell_sort(trips, count);
    return cell_permille(trips, count, 500);
}

static void run_member(struct cell *members, uint32_t member, bool first)
{
    static uint32_t self;
    self = member;
    struct tn_node *node = cell_open_node(members, member, first, on_notice, &self);
    struct tn_node_lease *lease = NULL;
    if (tn_node_lease_open(node, "bench", "demo", NULL, &lease) != TN_OK) {
        _Exit(1);
    }
    for (;;) {
        cell_report(members, member, node);
        if (tn__node_call(node, ping_others, &self, true) != TN_OK) {
            _Exit(1);
        }
        cell_sleep_ms(50);
    }
}

/* The last event at or after `from` in the page, or NULL if none is whole yet. */
static const struct cell_event *last_event(uint32_t from)
{
    uint32_t count = atomic_load(&cell.page->events_count);
    for (uint32_t i = count; i > from; i--) {
        if (atomic_load(&cell.page->events[i - 1].at) != 0) {
            return &cell.page->events[i - 1];
        }
    }
    return NULL;
}

static const struct cell_event *wait_opened(uint32_t from)
{
    for (uint32_t tries = 0; tries < 20000; tries++) {
        uint32_t count = atomic_load(&cell.page->events_count);
        for (uint32_t i = from; i < count && i < CELL_EVENTS_MAX; i++) {
            const struct cell_event *event = &cell.page->events[i];
            if (atomic_load(&event->at) != 0 && event->kind == TN_NOTICE_OPENED) {
                return event;
            }
        }
        cell_sleep_ms(1);
    }
    return NULL;
}

static bool kill_once(uint64_t *random, tn_time exclusion_ns)
{
    cell_sleep_ms(2500 + (uint32_t)tn__random_below(random, 400)); /* all vote again (A4) */
    const struct cell_event *last = last_event(0);
    if (last == NULL) {
        return false;
    }
    uint32_t owner = last->member;
    double round_trip = round_trip_ns();
    cell_kill_member(&cell, owner);
    uint64_t killed = cell_now_ns();
    last = last_event(0); /* a renewal may have come between */
    uint32_t from = atomic_load(&cell.page->events_count);
    /* An acceptor counts D_A from the Accept, which came after the start of the attempt, t_d - D_P,
     * and before its activation was noticed. */
    uint64_t remains_until = last->at + exclusion_ns;
    uint64_t token = last->token;
    const struct cell_event *next = wait_opened(from);
    if (next == NULL) {
        fprintf(stderr, "bench: no owner within 20 s\n");
        return false;
    }
    uint64_t jitter = LEASE_NS / 20 + LEASE_NS / 200;
    double remaining = remains_until > killed ? (double)(remains_until - killed) : 0;
    double bound = remaining + 3.0 * round_trip + (double)jitter;
    printf("{\"failover_ms\": %.2f, \"bound_ms\": %.2f, \"remaining_ms\": %.2f, "
           "\"round_trip_ms\": %.4f, \"token_rises\": %s}\n",
           (double)(next->at - killed) / 1e6, bound / 1e6, remaining / 1e6, round_trip / 1e6,
           next->token > token ? "true" : "false");
    fflush(stdout);
    cell_start_member(&cell, owner, false);
    return true;
}

int main(int argc, char **argv)
{
    uint32_t kills = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 50;
    struct tn_lease_table_options table = {.proposer_ns = LEASE_NS, .names_max = 16};
    cell_make(&cell, &table, run_member);
    for (uint32_t i = 0; i < CELL_MEMBERS; i++) {
        cell_start_member(&cell, i, true);
    }
    uint64_t random = cell_now_ns();
    bool fine = wait_opened(0) != NULL;
    tn_time exclusion_ns = tn_lease_exclusion_ns(LEASE_NS, 500);
    for (uint32_t i = 0; fine && i < kills; i++) {
        fine = kill_once(&random, exclusion_ns);
    }
    cell_end(&cell);
    return fine ? 0 : 1;
}
