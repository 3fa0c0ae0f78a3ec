/* hold's side of the guardian: see cmd_guard.h. Orders never block: an order that finds the pipe
 * full is dropped, and a dropped extension only means that the command ends sooner. */
#define _GNU_SOURCE
#include "cmd/cmd_guard.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "cmd/cmd_guard_process.h"

_Static_assert(sizeof(struct tn__guard_order) <= 512, "an order must be written whole (PIPE_BUF)");

bool tn__guard_open(struct tn__guard *guard, char *const *argv)
{
    tn_assert(argv != NULL && argv[0] != NULL);
    int orders[2];
    int reports[2];
    sigset_t all;
    sigset_t kept;
    memset(guard, 0, sizeof(*guard));
    if (pipe2(orders, O_CLOEXEC | O_NONBLOCK) != 0) {
        return false;
    }
    if (pipe2(reports, O_CLOEXEC | O_NONBLOCK) != 0) {
        close(orders[0]);
        close(orders[1]);
        return false;
    }
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* G4 */
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &kept);
    pid_t group = getpgrp();
    guard->pid = fork();
    if (guard->pid == 0) {
        close(orders[1]);
        close(reports[0]);
        tn__guard_process(orders[0], reports[1], argv, &kept, group);
    }
    int reason = errno;
    sigprocmask(SIG_SETMASK, &kept, NULL);
    close(orders[0]);
    close(reports[1]);
    guard->orders = orders[1];
    guard->reports = reports[0];
    if (guard->pid < 0) {
        tn__guard_close(guard);
        errno = reason;
        return false;
    }
    return true;
}

static bool give(const struct tn__guard *guard, const struct tn__guard_order *order)
{
    return write(guard->orders, order, sizeof(*order)) == (ssize_t)sizeof(*order);
}

bool tn__guard_start(struct tn__guard *guard, const struct tn__guard_lease *lease, tn_time term_at,
                     tn_time kill_at)
{
    tn_assert(term_at <= kill_at);
    struct tn__guard_order order = {
        .kind = TN_GUARD_START, .term_at = term_at, .kill_at = kill_at, .lease = *lease};
    return give(guard, &order);
}

bool tn__guard_extend(struct tn__guard *guard, tn_time term_at, tn_time kill_at)
{
    tn_assert(term_at <= kill_at);
    struct tn__guard_order order = {
        .kind = TN_GUARD_EXTEND, .term_at = term_at, .kill_at = kill_at};
    return give(guard, &order);
}

bool tn__guard_end(struct tn__guard *guard, tn_time kill_at)
{
    struct tn__guard_order order = {.kind = TN_GUARD_END, .kill_at = kill_at};
    return give(guard, &order);
}

bool tn__guard_signal(const struct tn__guard *guard, int number)
{
    struct tn__guard_order order = {.kind = TN_GUARD_SIGNAL, .number = number};
    return give(guard, &order);
}

struct tn__guard_report tn__guard_read(struct tn__guard *guard)
{
    struct tn__guard_report report = {0};
    ssize_t count = read(guard->reports, &report, sizeof(report));
    if (count == 0) {
        report.kind = TN_GUARD_DIED;
    } else if (count != (ssize_t)sizeof(report)) {
        memset(&report, 0, sizeof(report));
    } else if (report.kind == TN_GUARD_STARTED) {
        guard->group = report.pid;
    }
    return report;
}

void tn__guard_clean_up(struct tn__guard *guard)
{
    waitpid(guard->pid, NULL, 0);
    /* The command is this process's child now, unreaped, so its number is still its own. */
    if (guard->group > 0) {
        kill(-guard->group, SIGKILL);
    }
    while (tn__guard_kill_children(0) > 0) {
        struct timespec pause = {.tv_nsec = 5000000};
        nanosleep(&pause, NULL);
    }
}

void tn__guard_close(struct tn__guard *guard)
{
    if (guard->orders >= 0) {
        close(guard->orders);
    }
    if (guard->reports >= 0) {
        close(guard->reports);
    }
    if (guard->pid > 0) {
        waitpid(guard->pid, NULL, 0); /* it ends soon: the order pipe has ended */
    }
    guard->orders = guard->reports = -1;
    guard->pid = 0;
}
