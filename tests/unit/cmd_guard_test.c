/* The guardian of cmd_guard.h, with real processes: whatever happens to hold, to the guardian or to
 * the command, the command and all it started are gone when the deadline has passed.
 *
 * "Hold" is a child of the test where it has to die. Each wait is bounded; what is asserted is that
 * processes are gone, never how fast. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cmd/cmd_guard.h"
#include "cmd/cmd_guard_process.h"
#include "os/clock.h"
#include "support/temporary.h"

#define PATIENCE_NS (20 * TN_SECOND)
#define LONG_NS (60 * TN_SECOND)

static char shell[] = "/bin/sh";
static char flag_c[] = "-c";

static void nap(void)
{
    struct timespec pause = {.tv_nsec = 2000000};
    nanosleep(&pause, NULL);
}

/* Wait until the process is gone or a zombie; false when patience ends. */
static bool wait_gone(pid_t pid)
{
    tn_time until = tn__clock_now() + PATIENCE_NS;
    while (tn__clock_now() < until) {
        char path[64];
        char line[256] = "";
        snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
        FILE *file = fopen(path, "r");
        if (file == NULL) {
            return true;
        }
        size_t length = fread(line, 1, sizeof(line) - 1, file);
        fclose(file);
        line[length] = '\0';
        const char *at = strrchr(line, ')');
        if (at != NULL && at[2] == 'Z') {
            return true;
        }
        nap();
    }
    return false;
}

/* The next report that is one, or TN_GUARD_NOTHING when patience ends. */
static struct tn__guard_report next_report(struct tn__guard *guard)
{
    struct pollfd wait = {.fd = guard->reports, .events = POLLIN};
    poll(&wait, 1, (int)(PATIENCE_NS / TN_MILLISECOND));
    return tn__guard_read(guard);
}

static void open_guard(struct tn__guard *guard, char *script)
{
    char *argv[] = {shell, flag_c, script, NULL};
    assert_true(tn__guard_open(guard, argv));
}

static void start(struct tn__guard *guard, tn_time term_in, tn_time kill_in)
{
    struct tn__guard_lease lease = {.token = 77, .endpoint = "127.0.0.1:1"};
    tn_time now = tn__clock_now();
    assert_true(tn__guard_start(guard, &lease, now + term_in, now + kill_in));
    struct tn__guard_report report = next_report(guard);
    assert_int_equal(report.kind, TN_GUARD_STARTED);
    assert_true(report.pid > 0);
}

/* The deadline is soon: both signals follow within moments. */
static void come_nearer(struct tn__guard *guard)
{
    tn_time now = tn__clock_now();
    assert_true(tn__guard_extend(guard, now + 50 * TN_MILLISECOND, now + 200 * TN_MILLISECOND));
}

/* A number that a command writes into a file; waits for it. */
static pid_t read_pid(const char *path)
{
    tn_time until = tn__clock_now() + PATIENCE_NS;
    while (tn__clock_now() < until) {
        FILE *file = fopen(path, "r");
        int pid = 0;
        int fields = 0;
        if (file != NULL) {
            fields = fscanf(file, "%d\n", &pid);
            fclose(file);
        }
        if (fields == 1 && pid > 0) {
            return (pid_t)pid;
        }
        nap();
    }
    return 0;
}

static void name_file(char *path, size_t size)
{
    char name[32];
    snprintf(name, sizeof(name), "guard.%d.pid", (int)getpid());
    test_temporary(path, size, name);
    unlink(path);
}

static void gives_back_the_status_of_the_command(void **state)
{
    (void)state;
    struct tn__guard guard;
    char script[] = "test \"$TENURE_TOKEN\" = 77 && exit 42";
    open_guard(&guard, script);
    start(&guard, LONG_NS, LONG_NS);
    struct tn__guard_report report = next_report(&guard);
    assert_int_equal(report.kind, TN_GUARD_GONE);
    assert_int_equal(report.cause, TN_GUARD_ITSELF);
    assert_true(WIFEXITED(report.status));
    assert_int_equal(WEXITSTATUS(report.status), 42);
    tn__guard_close(&guard);
}

static void a_command_that_is_not_there_has_status_127(void **state)
{
    (void)state;
    struct tn__guard guard;
    char missing[] = "/nonexistent/command";
    char *argv[] = {missing, NULL};
    assert_true(tn__guard_open(&guard, argv));
    start(&guard, LONG_NS, LONG_NS);
    struct tn__guard_report report = next_report(&guard);
    assert_int_equal(report.kind, TN_GUARD_GONE);
    assert_int_equal(WEXITSTATUS(report.status), 127);
    tn__guard_close(&guard);
}

static void G1_ends_the_command_when_its_time_comes(void **state)
{
    (void)state;
    struct tn__guard guard;
    char script[] = "sleep 1000";
    open_guard(&guard, script);
    start(&guard, 50 * TN_MILLISECOND, LONG_NS);
    struct tn__guard_report report = next_report(&guard);
    assert_int_equal(report.kind, TN_GUARD_GONE);
    assert_int_equal(report.cause, TN_GUARD_DEADLINE);
    assert_true(WIFSIGNALED(report.status));
    assert_int_equal(WTERMSIG(report.status), SIGTERM);
    tn__guard_close(&guard);
}

static void G1_kills_a_command_that_ignores_the_first_signal(void **state)
{
    (void)state;
    struct tn__guard guard;
    char path[256];
    char script[768];
    name_file(path, sizeof(path));
    snprintf(script, sizeof(script), "trap '' TERM; echo $$ > %s; while :; do sleep 0.05; done",
             path);
    open_guard(&guard, script);
    start(&guard, LONG_NS, LONG_NS);
    assert_true(read_pid(path) > 0);
    come_nearer(&guard);
    struct tn__guard_report report = next_report(&guard);
    assert_int_equal(report.kind, TN_GUARD_GONE);
    assert_int_equal(report.cause, TN_GUARD_DEADLINE);
    assert_int_equal(WTERMSIG(report.status), SIGKILL);
    tn__guard_close(&guard);
    unlink(path);
}

static void G1_kills_a_stopped_command(void **state)
{
    (void)state;
    struct tn__guard guard;
    char script[] = "trap '' TERM; kill -STOP $$; while :; do sleep 0.05; done";
    open_guard(&guard, script);
    start(&guard, LONG_NS, LONG_NS);
    struct tn__guard_report report = next_report(&guard);
    assert_int_equal(report.kind, TN_GUARD_STOPPED);
    come_nearer(&guard);
    report = next_report(&guard);
    assert_int_equal(report.kind, TN_GUARD_GONE);
    assert_int_equal(WTERMSIG(report.status), SIGKILL);
    tn__guard_close(&guard);
}

static void an_extension_moves_the_deadline(void **state)
{
    (void)state;
    struct tn__guard guard;
    /* It ends by itself, well behind the first deadline. */
    char script[] = "sleep 3; exit 7";
    open_guard(&guard, script);
    start(&guard, 2 * TN_SECOND, 2 * TN_SECOND);
    tn_time now = tn__clock_now();
    assert_true(tn__guard_extend(&guard, now + LONG_NS, now + LONG_NS));
    struct tn__guard_report report = next_report(&guard);
    assert_int_equal(report.kind, TN_GUARD_GONE);
    assert_int_equal(report.cause, TN_GUARD_ITSELF);
    assert_int_equal(WEXITSTATUS(report.status), 7);
    tn__guard_close(&guard);
}

static void passes_signals_on_to_the_whole_group(void **state)
{
    (void)state;
    struct tn__guard guard;
    char path[256];
    char script[768];
    name_file(path, sizeof(path));
    snprintf(script, sizeof(script),
             "trap 'exit 9' USR1; echo $$ > %s; while :; do sleep 0.02; done", path);
    open_guard(&guard, script);
    start(&guard, LONG_NS, LONG_NS);
    assert_true(read_pid(path) > 0);
    assert_true(tn__guard_signal(&guard, SIGUSR1));
    struct tn__guard_report report = next_report(&guard);
    assert_int_equal(report.kind, TN_GUARD_GONE);
    /* `sleep` in the group dies of it, the shell runs its trap. */
    assert_int_equal(WEXITSTATUS(report.status), 9);
    tn__guard_close(&guard);
    unlink(path);
}

static void G3_ends_what_the_command_left_behind(void **state)
{
    (void)state;
    struct tn__guard guard;
    char path[256];
    char script[768];
    name_file(path, sizeof(path));
    /* The grandchild leaves the group and its session, and ignores SIGTERM. */
    snprintf(script, sizeof(script),
             "setsid sh -c 'trap \"\" TERM; echo $$ > %s; while :; do sleep 0.05; done' & "
             "while ! test -s %s; do sleep 0.01; done; exit 3",
             path, path);
    open_guard(&guard, script);
    start(&guard, LONG_NS, LONG_NS);
    pid_t left = read_pid(path);
    assert_true(left > 0);
    struct tn__guard_report report = next_report(&guard);
    assert_int_equal(report.kind, TN_GUARD_GONE);
    assert_int_equal(report.cause, TN_GUARD_ITSELF);
    assert_int_equal(WEXITSTATUS(report.status), 3);
    assert_int_equal(kill(left, 0), -1);
    assert_int_equal(errno, ESRCH);
    tn__guard_close(&guard);
    unlink(path);
}

/* Run "hold" in a child of its own that guards a deaf command with a child outside its group. */
static pid_t fork_hold(char *script, tn_time term_in, tn_time kill_in)
{
    pid_t hold = fork();
    if (hold == 0) {
        struct tn__guard guard;
        struct tn__guard_lease lease = {.token = 1};
        char *argv[] = {shell, flag_c, script, NULL};
        tn_time now = tn__clock_now();
        if (!tn__guard_open(&guard, argv) ||
            !tn__guard_start(&guard, &lease, now + term_in, now + kill_in)) {
            _exit(1);
        }
        for (;;) {
            pause();
        }
    }
    return hold;
}

static void run_orphan_case(int number, tn_time term_in, tn_time kill_in)
{
    char path[256];
    char script[768];
    name_file(path, sizeof(path));
    snprintf(script, sizeof(script),
             "trap '' TERM; setsid sh -c 'trap \"\" TERM; echo $$ > %s; while :; do sleep 0.05; "
             "done' & while :; do sleep 0.05; done",
             path);
    pid_t hold = fork_hold(script, term_in, kill_in);
    assert_true(hold > 0);
    pid_t inner = read_pid(path);
    assert_true(inner > 0);
    assert_int_equal(kill(hold, number), 0);
    assert_true(wait_gone(inner));
    kill(hold, SIGKILL);
    assert_int_equal(waitpid(hold, NULL, 0), hold);
    unlink(path);
}

static void G2_a_killed_hold_takes_the_command_with_it(void **state)
{
    (void)state;
    /* Far from the deadline: it is the end of hold that counts. */
    run_orphan_case(SIGKILL, LONG_NS, LONG_NS + 300 * TN_MILLISECOND);
}

static void G1_a_stopped_hold_does_not_keep_the_command_alive(void **state)
{
    (void)state;
    run_orphan_case(SIGSTOP, 3 * TN_SECOND, 3200 * TN_MILLISECOND);
}

static void G4_a_killed_guardian_takes_the_command_with_it(void **state)
{
    (void)state;
    struct tn__guard guard;
    char path[256];
    char script[768];
    name_file(path, sizeof(path));
    snprintf(script, sizeof(script),
             "trap '' TERM; setsid sh -c 'trap \"\" TERM; echo $$ > %s; while :; do sleep 0.05; "
             "done' & while :; do sleep 0.05; done",
             path);
    open_guard(&guard, script);
    start(&guard, LONG_NS, LONG_NS);
    pid_t inner = read_pid(path);
    assert_true(inner > 0);
    pid_t command = guard.group;
    assert_int_equal(kill(guard.pid, SIGKILL), 0);
    struct tn__guard_report report = next_report(&guard);
    assert_int_equal(report.kind, TN_GUARD_DIED);
    tn__guard_clean_up(&guard);
    assert_true(wait_gone(command));
    assert_true(wait_gone(inner));
    guard.pid = 0; /* reaped by the clean-up */
    tn__guard_close(&guard);
    unlink(path);
}

static void an_order_to_end_is_told_apart(void **state)
{
    (void)state;
    struct tn__guard guard;
    char script[] = "sleep 1000";
    open_guard(&guard, script);
    start(&guard, LONG_NS, LONG_NS);
    assert_true(tn__guard_end(&guard, tn__clock_now() + LONG_NS));
    struct tn__guard_report report = next_report(&guard);
    assert_int_equal(report.kind, TN_GUARD_GONE);
    assert_int_equal(report.cause, TN_GUARD_ORDERED);
    assert_int_equal(WTERMSIG(report.status), SIGTERM);
    tn__guard_close(&guard);
}

static void a_guardian_that_never_started_anything_ends_with_hold(void **state)
{
    (void)state;
    struct tn__guard guard;
    char script[] = "exit 0";
    open_guard(&guard, script);
    pid_t pid = guard.pid;
    tn__guard_close(&guard);
    assert_int_equal(kill(pid, 0), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_back_the_status_of_the_command),
        cmocka_unit_test(a_command_that_is_not_there_has_status_127),
        cmocka_unit_test(G1_ends_the_command_when_its_time_comes),
        cmocka_unit_test(G1_kills_a_command_that_ignores_the_first_signal),
        cmocka_unit_test(G1_kills_a_stopped_command),
        cmocka_unit_test(an_extension_moves_the_deadline),
        cmocka_unit_test(passes_signals_on_to_the_whole_group),
        cmocka_unit_test(G3_ends_what_the_command_left_behind),
        cmocka_unit_test(G2_a_killed_hold_takes_the_command_with_it),
        cmocka_unit_test(G1_a_stopped_hold_does_not_keep_the_command_alive),
        cmocka_unit_test(G4_a_killed_guardian_takes_the_command_with_it),
        cmocka_unit_test(an_order_to_end_is_told_apart),
        cmocka_unit_test(a_guardian_that_never_started_anything_ends_with_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
