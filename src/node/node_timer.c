/* The timer of the machine, and the check that its clock can be believed.
 *
 * The timer is a timerfd on CLOCK_BOOTTIME, absolute, polled by the loop: it counts while the
 * machine is suspended, as the leases do. It is armed for the earliest deadline and left alone when
 * that moves away, since a TIMER too early is harmless. Many names' deadlines are gathered: once
 * the machine was given TIMER it is not given another for the slack, a 200th of the shortest D_P,
 * so that the renewals of 100,000 names share turns, frames and system calls. Being late by so
 * little costs nothing: safety compares clocks where it acts (T1), and renewals begin long before
 * the end.
 *
 * The self-check. CLOCK_BOOTTIME counts suspended time, so deadlines that passed in a sleep are
 * seen as passed. Still a machine that slept, or a loop that stood still for longer than the
 * shortest lease, treats every lease as lost (TN_REQUEST_FORSAKE): what hypervisors and firmware do
 * to clocks at such times is nothing to stake exclusion on. A delay between the reads of the two
 * clocks looks like a suspend; so a difference counts only when it is seen in each of several
 * reads. */
#define _GNU_SOURCE
#include "node/node_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "os/clock.h"

/* Reads of the clocks that must all show a suspend. */
#define SUSPEND_READS 4

/* A loop that stands still for less is merely busy. */
#define GAP_NS_MIN (2 * TN_SECOND)

/* TIMER events in one turn; what is left goes on in the next, after the sockets had their say. */
#define TIMERS_PER_TURN 64

static void on_timer(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct tn_node *node = poll->data;
    tn__node_turn_begin(node); /* its self-check looks at what the timer was armed for */
    uint64_t expirations = 0;
    ssize_t done = read(node->timer_file, &expirations, sizeof(expirations));
    tn_maybe(done < 0); /* armed anew in the meantime: nothing to read */
    node->timer_armed = TN_TIME_NEVER;
}

int tn__node_timer_init(struct tn_node *node, char *why, size_t why_size)
{
    node->timer_armed = TN_TIME_NEVER;
    node->timer_file = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    if (node->timer_file < 0 || uv_poll_init(&node->loop, &node->timer, node->timer_file) != 0) {
        tn__node_why(why, why_size, "the kernel gives no timer on CLOCK_BOOTTIME");
        if (node->timer_file >= 0) {
            close(node->timer_file);
        }
        node->timer_file = -1;
        return TN_ERROR_IO;
    }
    node->timer.data = node;
    uv_poll_start(&node->timer, UV_READABLE, on_timer);
    tn_time shortest = TN_TIME_NEVER;
    for (uint32_t i = 0; i < node->config.lease.tables_count; i++) {
        tn_time proposer_ns = node->config.lease.tables[i].proposer_ns;
        shortest = proposer_ns < shortest ? proposer_ns : shortest;
    }
    node->slack = shortest / TN_NODE_SLACK_DIVISOR;
    if (node->slack > TN_NODE_SLACK_NS_MAX) {
        node->slack = TN_NODE_SLACK_NS_MAX;
    }
    node->gap_ns = shortest > GAP_NS_MIN ? shortest : GAP_NS_MIN;
    atomic_store(&node->suspended_ns, tn__node_suspended(0));
    return 0;
}

void tn__node_timer_close(struct tn_node *node)
{
    if (node->timer_file >= 0) {
        uv_poll_stop(&node->timer);
        uv_close((uv_handle_t *)&node->timer, NULL);
        close(node->timer_file);
        node->timer_file = -1;
    }
}

/* The machine's deadline as the slack moves it. */
static tn_time machine_due(const struct tn_node *node)
{
    tn_time deadline = tn__driver_deadline(node->driver);
    tn_time earliest = node->timer_ran_at + node->slack;
    if (node->timer_more || deadline >= earliest) {
        return deadline;
    }
    return earliest;
}

tn_time tn__node_timer_run(struct tn_node *node)
{
    tn_time now = tn__clock_now();
    bool ran = machine_due(node) <= now;
    if (ran) {
        node->timer_ran_at = now;
        node->timer_more = true;
        for (uint32_t i = 0; i < TIMERS_PER_TURN && node->timer_more; i++) {
            struct tn_event event = {.kind = TN_EVENT_TIMER};
            tn__node_step(node, &event);
            node->counters.timers += 1;
            node->timer_more = tn__driver_deadline(node->driver) <= now;
        }
    }
    tn__node_groups_timers(node, now);
    if (node->front.context != NULL) {
        now = tn__clock_now();
        ran = true;
        if (node->front.deadline(node->front.context) <= now) {
            node->front.on_timer(node->front.context, now);
        }
    }
    return ran ? tn__clock_now() : now;
}

void tn__node_timer_arm(struct tn_node *node)
{
    tn_time due = machine_due(node);
    tn_time groups_due = tn__node_groups_deadline(node);
    due = groups_due < due ? groups_due : due;
    if (node->front.context != NULL) {
        tn_time front_due = node->front.deadline(node->front.context);
        due = front_due < due ? front_due : due;
    }
    if (due >= node->timer_armed || node->timer_file < 0) {
        return; /* it fires before, finds nothing due, and is armed for what is */
    }
    /* Not into the past: the self-check takes this for the time at which the loop should come. */
    tn_time now = tn__clock_now();
    due = due < now ? now : due;
    struct itimerspec when;
    memset(&when, 0, sizeof(when));
    when.it_value.tv_sec = (time_t)(due / TN_SECOND);
    when.it_value.tv_nsec = (long)(due % TN_SECOND);
    int status = timerfd_settime(node->timer_file, TFD_TIMER_ABSTIME, &when, NULL);
    tn_assert(status == 0);
    node->timer_armed = due;
}

/* By how much more the machine was suspended than `seen` says; negative by the noise of the reads.
 */
static int64_t suspended_since(uint64_t seen, uint64_t suspended)
{
    return (int64_t)(suspended - seen);
}

uint64_t tn__node_suspended(uint64_t expected)
{
    uint64_t least = TN_TIME_NEVER;
    for (uint32_t i = 0; i < SUSPEND_READS; i++) {
        uint64_t suspended = tn__clock_suspended();
        least = suspended < least ? suspended : least;
        if (suspended_since(expected, least) < TN_NODE_SUSPEND_NS_MIN) {
            break;
        }
    }
    return least;
}

bool tn__node_was_suspended(uint64_t seen)
{
    return suspended_since(seen, tn__node_suspended(seen)) >= TN_NODE_SUSPEND_NS_MIN;
}

static void forsake(struct tn_node *node, const char *what, uint64_t lasted_ns)
{
    node->counters.suspends += 1;
    tn__node_leases_forsake(node); /* first of all: other threads may be acting */
    tn__node_log(node, TN_LOG_WARNING, "%s for %llu ms: every lease held here is treated as lost",
                 what, (unsigned long long)(lasted_ns / TN_MILLISECOND));
    struct tn_request request = {.kind = TN_REQUEST_FORSAKE};
    struct tn_event event = {.kind = TN_EVENT_REQUEST, .request = &request};
    tn__node_step(node, &event);
}

void tn__node_self_check(struct tn_node *node, tn_time now, tn_time due)
{
    uint64_t seen = atomic_load_explicit(&node->suspended_ns, memory_order_relaxed);
    uint64_t suspended = tn__node_suspended(seen);
    int64_t slept = suspended_since(seen, suspended);
    if (slept >= TN_NODE_SUSPEND_NS_MIN) {
        forsake(node, "this machine was suspended", (uint64_t)slept);
        atomic_store_explicit(&node->suspended_ns, suspended, memory_order_release);
    } else if (now > due && now - due > node->gap_ns) {
        forsake(node, "this process stood still", now - due);
    }
}
