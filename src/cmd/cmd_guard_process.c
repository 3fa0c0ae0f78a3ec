/* The guardian's own side: the rules G1 to G4 of cmd_guard.h, as one poll loop.
 *
 * State: the command is not started, running, ending (SIGTERM was sent), being killed (kill_at
 * came) or gone (its end is known, others may be left). Time only moves it forward; an extension
 * counts only while running. */
#define _GNU_SOURCE
#include "cmd/cmd_guard_process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "os/clock.h"

/* While killing, look again this often: a child's children arrive one after the other. */
#define KILL_AGAIN_NS (10 * TN_MILLISECOND)

/* G3: what a command leaves behind gets this long between SIGTERM and SIGKILL, if the lease does.
 */
#define LEFT_BEHIND_NS (2 * TN_SECOND)

/* Statuses of a command that could not be run, as shells have them. */
#define STATUS_NOT_FOUND 127
#define STATUS_NOT_EXECUTABLE 126

struct guardian {
    int orders; /* -1 once hold is gone */
    int reports;
    int timer;
    int wakes; /* SIGCHLD writes here: [1] */
    char *const *argv;
    const sigset_t *mask;
    pid_t hold_group;
    pid_t command;
    tn_time term_at;
    tn_time kill_at;
    bool ending;
    bool gone;
    int status;
    uint32_t cause;
};

/* Written to by the handler of SIGCHLD; this process has nothing else that is static. */
static volatile sig_atomic_t child_pipe = -1;

static void on_child(int number)
{
    (void)number;
    int kept = errno;
    ssize_t written = write(child_pipe, "", 1);
    tn_maybe(written == 1); /* a full pipe wakes as well */
    errno = kept;
}

static void report(const struct guardian *guardian, uint32_t kind)
{
    struct tn__guard_report report = {.kind = kind,
                                      .cause = guardian->cause,
                                      .status = guardian->status,
                                      .pid = guardian->command};
    ssize_t written = write(guardian->reports, &report, sizeof(report));
    tn_maybe(written == (ssize_t)sizeof(report)); /* hold may be dead: nobody to tell */
}

static void set_variables(const struct tn__guard_lease *lease)
{
    char token[24] = "";
    if (lease->token != 0) {
        snprintf(token, sizeof(token), "%llu", (unsigned long long)lease->token);
    }
    setenv("TENURE_TOKEN", token, 1);
    setenv("TENURE_ENDPOINT", lease->endpoint, 1);
    if (lease->table[0] != '\0') {
        setenv("TENURE_TABLE", lease->table, 1);
    }
}

/* If hold had the terminal, the command gets it: else it would stop at its first read. */
static void take_terminal(pid_t hold_group)
{
    int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC);
    if (terminal >= 0) {
        if (tcgetpgrp(terminal) == hold_group) {
            tcsetpgrp(terminal, getpid()); /* SIGTTOU is blocked: see tn__guard_process() */
        }
        close(terminal);
    }
}

static _Noreturn void become_command(const struct guardian *guardian,
                                     const struct tn__guard_lease *lease, pid_t parent)
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* G4 */
    if (getppid() != parent) {
        _exit(STATUS_NOT_EXECUTABLE);
    }
    take_terminal(guardian->hold_group);
    set_variables(lease);
    signal(SIGCHLD, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, guardian->mask, NULL);
    execvp(guardian->argv[0], guardian->argv);
    int reason = errno;
    fprintf(stderr, "tenure: %s cannot be run: %s\n", guardian->argv[0], strerror(reason));
    _exit(reason == ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_EXECUTABLE);
}

static void start(struct guardian *guardian, const struct tn__guard_order *order)
{
    guardian->term_at = order->term_at;
    guardian->kill_at = order->kill_at;
    pid_t parent = getpid();
    pid_t child = fork();
    if (child == 0) {
        become_command(guardian, &order->lease, parent);
    }
    if (child < 0) {
        fprintf(stderr, "tenure: no process for the command: %s\n", strerror(errno));
        guardian->status = STATUS_NOT_EXECUTABLE << 8;
        guardian->gone = true;
        return;
    }
    setpgid(child, child); /* here as well, so that it is done whoever runs first */
    guardian->command = child;
    report(guardian, TN_GUARD_STARTED);
}

/* SIGTERM now; SIGKILL at `kill_at`, which can only come nearer. */
static void end(struct guardian *guardian, tn_time kill_at, uint32_t cause)
{
    if (guardian->command == 0) {
        return;
    }
    guardian->kill_at = kill_at < guardian->kill_at ? kill_at : guardian->kill_at;
    if (!guardian->ending) {
        guardian->ending = true;
        guardian->cause = guardian->gone ? guardian->cause : cause;
        kill(-guardian->command, SIGTERM);
        kill(-guardian->command, SIGCONT);
    }
}

static void obey(struct guardian *guardian, const struct tn__guard_order *order)
{
    switch (order->kind) {
    case TN_GUARD_START:
        if (guardian->command == 0) {
            start(guardian, order);
        }
        break;
    case TN_GUARD_EXTEND:
        if (!guardian->ending && !guardian->gone) {
            guardian->term_at = order->term_at;
            guardian->kill_at = order->kill_at;
        }
        break;
    case TN_GUARD_END:
        end(guardian, order->kill_at, TN_GUARD_ORDERED);
        break;
    case TN_GUARD_SIGNAL:
        if (guardian->command != 0 && !guardian->gone) {
            kill(-guardian->command, order->number);
        }
        break;
    default:
        tn_assert(false); /* hold gives no other order */
    }
}

static void read_orders(struct guardian *guardian)
{
    struct tn__guard_order order;
    ssize_t count;
    while ((count = read(guardian->orders, &order, sizeof(order))) == (ssize_t)sizeof(order)) {
        obey(guardian, &order);
    }
    if (count == 0) { /* G2 */
        tn_time half =
            guardian->kill_at > guardian->term_at ? guardian->kill_at - guardian->term_at : 0;
        end(guardian, tn__clock_now() + half, TN_GUARD_ORPHANED);
        close(guardian->orders);
        guardian->orders = -1;
    }
}

/* Send a signal (or 0: none) to each child but `except`; reap those that have ended, return how
 * many have not. */
static unsigned children(pid_t except, int number)
{
    DIR *folder = opendir("/proc");
    unsigned count = 0;
    if (folder == NULL) {
        return 0;
    }
    struct dirent *entry;
    pid_t self = getpid();
    while ((entry = readdir(folder)) != NULL) {
        char path[64];
        char line[512];
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9') {
            continue;
        }
        snprintf(path, sizeof(path), "/proc/%.20s/stat", entry->d_name);
        FILE *file = fopen(path, "re");
        size_t length = file == NULL ? 0 : fread(line, 1, sizeof(line) - 1, file);
        if (file != NULL) {
            fclose(file);
        }
        line[length] = '\0';
        const char *at = strrchr(line, ')'); /* the command's name may hold anything */
        int parent = 0;
        char state;
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (at == NULL || sscanf(at, ") %c %d", &state, &parent) != 2 || parent != self ||
            pid == except) {
            continue;
        }
        if (number != 0) {
            kill(pid, number);
        }
        if (waitpid(pid, NULL, WNOHANG) == 0) {
            count++;
        }
    }
    closedir(folder);
    return count;
}

/* See what became of the children. The command is looked at without being reaped. */
static void look_at_children(struct guardian *guardian)
{
    siginfo_t info = {0};
    while (guardian->command != 0 &&
           waitid(P_PID, (id_t)guardian->command, &info, WSTOPPED | WCONTINUED | WNOHANG) == 0 &&
           info.si_pid != 0) {
        if (info.si_code == CLD_STOPPED) {
            report(guardian, TN_GUARD_STOPPED);
        }
        info.si_pid = 0;
    }
    for (;;) {
        info.si_pid = 0;
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) {
            return;
        }
        if (info.si_pid != guardian->command) {
            waitpid(info.si_pid, NULL, 0);
            continue;
        }
        if (!guardian->gone) { /* G3 */
            guardian->gone = true;
            guardian->status = info.si_code == CLD_EXITED ? info.si_status << 8 : info.si_status;
            end(guardian, tn__clock_now() + LEFT_BEHIND_NS, guardian->cause);
            children(guardian->command, SIGTERM); /* those who left the group */
        }
        return;
    }
}

/* The next time to act; sets the timer to it. Nothing is due while nothing runs. */
static void set_timer(const struct guardian *guardian, tn_time now)
{
    tn_time due = guardian->ending ? guardian->kill_at : guardian->term_at;
    if (guardian->command == 0) {
        due = 0; /* disarmed */
    } else if (now >= guardian->kill_at) {
        due = now + KILL_AGAIN_NS;
    } else if (guardian->gone && due > now + KILL_AGAIN_NS) {
        due = now + KILL_AGAIN_NS; /* those who left the group tell nobody when they end */
    } else {
        due = due > 0 ? due : 1;
    }
    struct itimerspec spec = {
        .it_value = {.tv_sec = (time_t)(due / TN_SECOND), .tv_nsec = (long)(due % TN_SECOND)}};
    timerfd_settime(guardian->timer, TFD_TIMER_ABSTIME, &spec, NULL);
}

unsigned tn__guard_kill_children(pid_t except)
{
    return children(except, SIGKILL);
}

/* Act on the time. True when nothing is left. */
static bool act(struct guardian *guardian)
{
    tn_time now = tn__clock_now();
    if (guardian->command == 0) {
        return guardian->gone || guardian->orders < 0;
    }
    if (!guardian->ending && now >= guardian->term_at) { /* G1 */
        end(guardian, guardian->kill_at, TN_GUARD_DEADLINE);
    }
    unsigned others = 0;
    if (now >= guardian->kill_at) {
        kill(-guardian->command, SIGKILL);
        others = tn__guard_kill_children(guardian->command);
    } else if (guardian->gone) {
        others = children(guardian->command, 0);
    }
    look_at_children(guardian);
    if (guardian->gone && others == 0 && children(guardian->command, 0) == 0) {
        waitpid(guardian->command, NULL, 0);
        return true;
    }
    set_timer(guardian, now);
    return false;
}

_Noreturn void tn__guard_process(int orders, int reports, char *const *argv, const sigset_t *mask,
                                 pid_t hold_group)
{
    struct guardian guardian = {.orders = orders,
                                .reports = reports,
                                .argv = argv,
                                .mask = mask,
                                .hold_group = hold_group,
                                .term_at = TN_TIME_NEVER,
                                .kill_at = TN_TIME_NEVER};
    int wakes[2];
    /* A group of its own: a signal to hold's whole group must leave the guardian alive. All signals
     * are blocked here but SIGCHLD and those that say our own code is wrong. */
    setpgid(0, 0);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_NAME, "tenure-guard");
    guardian.timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (guardian.timer < 0 || pipe2(wakes, O_CLOEXEC | O_NONBLOCK) != 0) {
        fprintf(stderr, "tenure: the guardian has no timer: %s\n", strerror(errno));
        _exit(TN_GUARD_DIED);
    }
    guardian.wakes = wakes[0];
    child_pipe = wakes[1];
    struct sigaction action = {.sa_handler = on_child, .sa_flags = SA_RESTART};
    sigaction(SIGCHLD, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    sigset_t blocked;
    sigfillset(&blocked);
    sigdelset(&blocked, SIGCHLD);
    sigdelset(&blocked, SIGABRT);
    sigdelset(&blocked, SIGSEGV);
    sigprocmask(SIG_SETMASK, &blocked, NULL);
    while (!act(&guardian)) {
        struct pollfd fds[3] = {{.fd = guardian.orders, .events = POLLIN},
                                {.fd = guardian.timer, .events = POLLIN},
                                {.fd = guardian.wakes, .events = POLLIN}};
        poll(fds, 3, -1);
        char drained[64];
        while (read(guardian.wakes, drained, sizeof(drained)) > 0) {
        }
        ssize_t expired = read(guardian.timer, drained, sizeof(uint64_t));
        tn_maybe(expired > 0);
        if (guardian.orders >= 0) {
            read_orders(&guardian);
        }
        look_at_children(&guardian);
    }
    report(&guardian, TN_GUARD_GONE);
    _exit(0);
}
