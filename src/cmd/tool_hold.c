/* hold NAME -- COMMAND...: a command runs while, and only while, the name is held.
 *
 * Three processes (cmd_guard.h): this one holds and renews; the guardian has the command gone in
 * time; the command. With M the margin, D the deadline of the holding as the node granted it:
 *     SIGTERM at D - M, SIGKILL at D - M/2.
 * Every renewal moves both. The guardian is forked before anything is opened, so that the command
 * inherits what this program was given and nothing more, and no copy of a connection outlives this
 * process. Signals sent to this process go on to the command's group; what the command then does
 * decides. When the command has ended, and all it left behind, the name is released and its status
 * returned. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "cmd/cmd_guard.h"
#include "cmd/tool_keeper.h"
#include "os/clock.h"

#define MARGIN_NS_MIN (100 * TN_MILLISECOND)
#define RETRY_NS_MIN (20 * TN_MILLISECOND)
#define RETRY_NS_MAX TN_SECOND
#define ROUNDS_MAX 10

/* Beside the guardian's own times: a stopped guardian must not be the command's escape. */
#define SECOND_GUARD_NS (20 * TN_MILLISECOND)

struct hold {
    struct tn__tool *tool;
    struct tn__keeper keeper;
    struct tn__guard guard;
    const char *name;
    tn_time margin;
    tn_time renew_at;
    tn_time told_deadline; /* the one that the guardian's times were made from */
    int terminal;          /* -1: this process did not have the terminal */
    bool ending;           /* the guardian was told to end the command */
    bool gone;
    bool guard_died;
    struct tn__guard_report last;
};

/* For the handler of signals, which can be given nothing. */
static const struct tn__guard *forward_to;

static void forward(int number)
{
    int kept = errno;
    tn__guard_signal(forward_to, number);
    errno = kept;
}

static const int forwarded[] = {SIGINT,  SIGTERM, SIGHUP,   SIGQUIT, SIGUSR1,
                                SIGUSR2, SIGCONT, SIGWINCH, SIGTSTP};

/* What was ignored when this program started stays so, here and in the command (nohup). */
static void forward_signals(const struct tn__guard *guard)
{
    forward_to = guard;
    for (size_t i = 0; i < sizeof(forwarded) / sizeof(forwarded[0]); i++) {
        struct sigaction action = {.sa_handler = forward, .sa_flags = SA_RESTART};
        struct sigaction before;
        sigaction(forwarded[i], NULL, &before);
        if (before.sa_handler != SIG_IGN) {
            sigaction(forwarded[i], &action, NULL);
        }
    }
}

static tn_time term_at(const struct hold *hold)
{
    return hold->keeper.deadline - hold->margin;
}

static tn_time kill_at(const struct hold *hold)
{
    return hold->keeper.deadline - hold->margin / 2;
}

/* Renew when half of the way to SIGTERM is behind us. */
static void plan_renewal(struct hold *hold, bool renewed)
{
    tn_time now = tn__clock_now();
    tn_time left = term_at(hold) > now ? term_at(hold) - now : 0;
    tn_time wait = renewed ? left / 2 : left / 8;
    if (!renewed) {
        wait = wait < RETRY_NS_MIN ? RETRY_NS_MIN : wait > RETRY_NS_MAX ? RETRY_NS_MAX : wait;
    }
    hold->renew_at = now + wait;
}

/* Renew at once, so that what this node gives is known: a grant after a long wait may have little
 * left. A node that does not answer gets no more than a quarter of what there is. */
static tn_time renew_before_start(struct hold *hold)
{
    struct tn__keeper *keeper = &hold->keeper;
    tn_time now = tn__clock_now();
    tn_time left = keeper->deadline > now ? keeper->deadline - now : 0;
    tn_time patience = left / 4 > RETRY_NS_MIN ? left / 4 : RETRY_NS_MIN;
    tn__keeper_renew(keeper, -1, now + patience);
    now = tn__clock_now();
    return keeper->deadline > now ? keeper->deadline - now : 0;
}

static int refuse_margin(struct hold *hold)
{
    char message[200];
    char margin[24];
    tn__cmd_print_duration(margin, sizeof(margin), hold->margin);
    snprintf(message, sizeof(message),
             "a margin of %s leaves no time to run: choose a smaller --margin, or a longer lease",
             margin);
    return tn__tool_fail(hold->tool, TN_CMD_USAGE, "margin", message, NULL);
}

/* Fix the margin, and have enough time before the command starts. TN_TOOL_LOST, without a
 * complaint: there is too little, as when the node is about to lose the lease. */
static int choose_margin(struct hold *hold)
{
    struct tn__keeper *keeper = &hold->keeper;
    for (int attempt = 0; attempt < 3 && keeper->state == TN_KEEPER_HOLDS; attempt++) {
        tn_time left = renew_before_start(hold);
        tn_time lease = left < keeper->lease_ns ? left : keeper->lease_ns;
        hold->margin = tn__cmd_duration(&hold->tool->options, "margin");
        if (hold->margin >= keeper->lease_ns) {
            return refuse_margin(hold);
        }
        if (hold->margin == 0) {
            hold->margin = lease / 4 < MARGIN_NS_MIN ? MARGIN_NS_MIN : lease / 4;
        }
        if (left > hold->margin + hold->margin / 4) {
            return TN_CMD_DONE;
        }
    }
    return TN_TOOL_LOST;
}

/* Ctrl-Z with the terminal at the command: the shell must see this process stop. It renews nothing
 * then, so unless it is continued in time the guardian ends the command. */
static void stop_with_the_command(struct hold *hold)
{
    if (hold->terminal < 0 || tcgetpgrp(hold->terminal) != hold->guard.group) {
        return;
    }
    tcsetpgrp(hold->terminal, getpgrp());
    raise(SIGSTOP);
    tcsetpgrp(hold->terminal, hold->guard.group);
    tn__guard_signal(&hold->guard, SIGCONT);
}

static void read_reports(struct hold *hold)
{
    for (;;) {
        struct tn__guard_report report = tn__guard_read(&hold->guard);
        switch (report.kind) {
        case TN_GUARD_NOTHING:
            return;
        case TN_GUARD_STOPPED:
            stop_with_the_command(hold);
            break;
        case TN_GUARD_GONE:
            hold->gone = true;
            hold->last = report;
            return;
        case TN_GUARD_DIED:
            hold->gone = hold->guard_died = true;
            return;
        default:
            break;
        }
    }
}

/* Keep the guardian's times in step with the deadline, or have it end the command. */
static void tell_guardian(struct hold *hold)
{
    if (hold->keeper.state != TN_KEEPER_HOLDS && !hold->ending) {
        tn_time now = tn__clock_now();
        tn_time half = now + hold->margin / 2;
        hold->ending = true;
        fprintf(stderr, "tenure: %s: ending the command\n", hold->keeper.why);
        /* A lost lease leaves no time; one that is handed over leaves what was granted. */
        tn__guard_end(&hold->guard, hold->keeper.state == TN_KEEPER_LOST && half < kill_at(hold)
                                        ? half
                                        : kill_at(hold));
    } else if (!hold->ending && hold->keeper.deadline > hold->told_deadline) {
        if (tn__guard_extend(&hold->guard, term_at(hold), kill_at(hold))) {
            hold->told_deadline = hold->keeper.deadline;
        }
    }
}

static void loop(struct hold *hold)
{
    while (!hold->gone) {
        tn_time now = tn__clock_now();
        if (!hold->ending && now >= hold->renew_at && now < term_at(hold)) {
            bool renewed = tn__keeper_renew(&hold->keeper, hold->guard.reports, term_at(hold));
            plan_renewal(hold, renewed);
        }
        tn__keeper_listen(&hold->keeper);
        tell_guardian(hold);
        now = tn__clock_now();
        tn_time end = hold->keeper.deadline - hold->margin / 2 + SECOND_GUARD_NS;
        if (now >= end && hold->guard.group > 0) {
            /* The group cannot be another's: the guardian alone reaps its leader. */
            kill(-hold->guard.group, SIGKILL);
            end = now + SECOND_GUARD_NS;
        }
        tn_time next =
            hold->ending || now >= term_at(hold) || hold->renew_at > end ? end : hold->renew_at;
        tn_time wait = next > now ? (next - now) / TN_MILLISECOND + 1 : 0;
        struct pollfd fds[2] = {{.fd = hold->guard.reports, .events = POLLIN},
                                {.fd = hold->keeper.session.socket, .events = POLLIN}};
        poll(fds, 2, wait > 3600000 ? 3600000 : (int)wait);
        read_reports(hold);
    }
}

static bool start_command(struct hold *hold)
{
    struct tn__guard_lease lease = {.token = hold->keeper.token};
    snprintf(lease.endpoint, sizeof(lease.endpoint), "%s", hold->keeper.calls->endpoint);
    snprintf(lease.table, sizeof(lease.table), "%s", hold->keeper.table);
    hold->terminal = open("/dev/tty", O_RDWR | O_CLOEXEC);
    if (hold->terminal >= 0 && tcgetpgrp(hold->terminal) != getpgrp()) {
        close(hold->terminal);
        hold->terminal = -1;
    }
    forward_signals(&hold->guard);
    hold->told_deadline = hold->keeper.deadline;
    plan_renewal(hold, true);
    return tn__guard_start(&hold->guard, &lease, term_at(hold), kill_at(hold));
}

/* The command's status as shells have it, or why there is none. */
static int conclude(struct hold *hold)
{
    struct tn__tool *tool = hold->tool;
    char message[400];
    int number = hold->last.status;
    if (hold->guard_died) {
        return tn__tool_fail(tool, TN_CMD_FAILED, "guardian",
                             "the guardian was killed, so the command was too", NULL);
    }
    if (hold->last.cause != TN_GUARD_ITSELF) {
        snprintf(message, sizeof(message), "the lease on %s is lost, the command was ended: %.200s",
                 hold->name,
                 hold->keeper.state == TN_KEEPER_HOLDS ? "it could not be renewed in time"
                                                       : hold->keeper.why);
        return tn__tool_fail(tool, TN_TOOL_LOST, "lost", message, NULL);
    }
    int status = WIFSIGNALED(number) ? 128 + WTERMSIG(number) : WEXITSTATUS(number);
    if (tool->json) {
        tn__tool_print(json_pack("{s:s, s:s, s:I, s:i, s:i}", "name", hold->name, "table",
                                 hold->keeper.table, "token", (json_int_t)hold->keeper.token,
                                 "status", status, "signal",
                                 WIFSIGNALED(number) ? WTERMSIG(number) : 0));
    }
    return status;
}

/* Acquire, with enough time left to start. Too little once is bad luck, to be tried again; always
 * too little is a margin that does not fit the lease. */
static int acquire(struct hold *hold)
{
    for (int round = 1;; round++) {
        int status = tn__keeper_acquire(&hold->keeper, hold->tool, hold->name);
        if (status != TN_CMD_DONE) {
            return status;
        }
        status = choose_margin(hold);
        if (status == TN_CMD_DONE) {
            return status;
        }
        tn__keeper_release(&hold->keeper);
        if (status != TN_TOOL_LOST) {
            return status;
        }
        if (round == ROUNDS_MAX) {
            return refuse_margin(hold);
        }
        tn__keeper_close(&hold->keeper);
    }
}

static int run(struct hold *hold)
{
    if (!start_command(hold)) {
        tn__keeper_release(&hold->keeper);
        return tn__tool_fail(hold->tool, TN_CMD_FAILED, "guardian", "the guardian has died", NULL);
    }
    loop(hold);
    if (hold->guard_died) {
        tn__guard_clean_up(&hold->guard);
        hold->guard.pid = 0;
    }
    if (hold->terminal >= 0) {
        signal(SIGTTOU, SIG_IGN);
        tcsetpgrp(hold->terminal, getpgrp());
        close(hold->terminal);
    }
    tn__keeper_release(&hold->keeper);
    return conclude(hold);
}

int tn__tool_hold(struct tn__tool *tool)
{
    struct hold *hold = calloc(1, sizeof(*hold));
    int status = TN_CMD_FAILED;
    if (hold == NULL) {
        return tn__tool_fail(tool, status, "memory", "out of memory", NULL);
    }
    hold->tool = tool;
    if (!tn__tool_name(tool, &hold->name, &status)) {
        free(hold);
        return status;
    }
    setenv("TENURE_NAME", hold->name, 1);
    if (!tn__guard_open(&hold->guard, tool->options.rest)) {
        status = tn__tool_fail(tool, status, "guardian", strerror(errno), NULL);
        free(hold);
        return status;
    }
    status = acquire(hold);
    if (status == TN_CMD_DONE) {
        status = run(hold);
    }
    tn__keeper_close(&hold->keeper);
    for (size_t i = 0; forward_to != NULL && i < sizeof(forwarded) / sizeof(forwarded[0]); i++) {
        signal(forwarded[i], SIG_IGN); /* nobody is left to forward to */
    }
    forward_to = NULL;
    tn__guard_close(&hold->guard);
    free(hold);
    return status;
}
