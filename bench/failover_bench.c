/* Fail-over after kill -9: three processes, a lease of one second, the owner killed again and
 * again.
 *
 *   failover_bench KILLS
 *
 * Each kill comes at a moment drawn at random within the owner's renewal cycle. Prints one JSON
 * object a kill: how long until the next owner, and what the bound was: the time that remained on
 * the acceptors' clocks (they are one clock here), three round trips, and the stated jitter (one
 * back_off_ns, a twentieth of the lease, and the timer's slack, a 200th). */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>

#include "base/random.h"
#include "cell.h"

#define LEASE_NS TN_SECOND
#define ROUND_TRIP_NS (500 * TN_MICROSECOND) /* loopback, thread hops and a busy machine included  \
                                              */

static struct cell cell;

static void on_notice(struct tn_node *node, const struct tn_notice *notice, void *data)
{
    (void)node;
    if (notice->kind == TN_NOTICE_OPENED || notice->kind == TN_NOTICE_RENEWED) {
        cell_record(&cell, *(uint32_t *)data, notice);
    }
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
    double bound = remaining + 3.0 * (double)ROUND_TRIP_NS + (double)jitter;
    printf("{\"failover_ms\": %.2f, \"bound_ms\": %.2f, \"remaining_ms\": %.2f, "
           "\"token_rises\": %s}\n",
           (double)(next->at - killed) / 1e6, bound / 1e6, remaining / 1e6,
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
