/* The guardian: a process between `tenure hold` and its command that has the command gone in time.
 *
 * Theory. A lease must not outlive the right to act, so something has to end the command at a
 * known time even if the program that renews the lease is killed, stopped or stuck. That something
 * cannot be the renewing program; it is a process of its own that does nothing else:
 *
 *     hold --orders--> guardian --forks--> command (a process group of its own, and what it starts)
 *          <--reports--
 *
 * Orders carry absolute times on CLOCK_BOOTTIME: at `term_at` the group gets SIGTERM (and SIGCONT,
 * that it may act on it), at `kill_at` everything gets SIGKILL. Each renewal is an order with later
 * times; without one, the times come. The guardian acts on
 *   G1 term_at and kill_at, by a timer that goes on while the machine sleeps;
 *   G2 the end of the order pipe: hold has died, so SIGTERM at once, and SIGKILL at kill_at or
 *      half a margin later, whichever comes first;
 *   G3 the end of the command: what it has left running gets SIGTERM, then SIGKILL as in G2.
 * and ends when nothing is left. If the guardian itself dies:
 *   G4 the command has asked the kernel for SIGKILL at its parent's death, and hold, which then is
 *      the nearest reaper, kills the group and whatever else it inherits.
 *
 * Completeness: the guardian is a child subreaper, so every descendant whose parent has died
 * becomes its child, processes that left the group included. It kills its children until it has
 * none. Identity: the command stays unreaped until everything else is gone, so its number, which is
 * the group's too, cannot pass to a stranger; and only the guardian can reap its children.
 *
 * Rights: signals can be sent only to processes of the same user; a command that changes its user
 * (setuid) escapes G1 to G4. */
#ifndef TN_CMD_GUARD_H
#define TN_CMD_GUARD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <tenure/limits.h>
#include <tenure/types.h>

#define TN_GUARD_ENDPOINT_BYTES 288

struct tn__guard {
    pid_t pid;   /* the guardian */
    pid_t group; /* the command and its group; 0: not started */
    int orders;  /* written by hold */
    int reports; /* read by hold */
};

/* What the command is told in its environment. */
struct tn__guard_lease {
    uint64_t token; /* 0: none is offered; TENURE_TOKEN is empty then */
    char endpoint[TN_GUARD_ENDPOINT_BYTES];
    char table[TN_NAME_BYTES_MAX + 1];
};

enum tn__guard_report_kind {
    TN_GUARD_NOTHING = 0, /* nothing new */
    TN_GUARD_STARTED,     /* `pid` runs */
    TN_GUARD_STOPPED,     /* the command was stopped, as by Ctrl-Z */
    TN_GUARD_GONE,        /* nothing is left; `status` as of waitpid(2), `cause` */
    TN_GUARD_DIED,        /* the guardian has died: call tn__guard_clean_up() */
};

enum tn__guard_cause {
    TN_GUARD_ITSELF = 0, /* the command ended by itself, or by a signal passed on */
    TN_GUARD_DEADLINE,   /* G1 */
    TN_GUARD_ORPHANED,   /* G2 */
    TN_GUARD_ORDERED,    /* tn__guard_end() */
};

struct tn__guard_report {
    uint32_t kind;
    uint32_t cause;
    int32_t status;
    int32_t pid;
};

/* Start a guardian, which waits to start `argv`. Call it before anything is opened that the command
 * must not inherit. False: errno says why. */
bool tn__guard_open(struct tn__guard *guard, char *const *argv);

/* Start the command, under these times. */
bool tn__guard_start(struct tn__guard *guard, const struct tn__guard_lease *lease, tn_time term_at,
                     tn_time kill_at);

/* Move the times: the lease was renewed. */
bool tn__guard_extend(struct tn__guard *guard, tn_time term_at, tn_time kill_at);

/* Have the command end: SIGTERM now, SIGKILL at kill_at. */
bool tn__guard_end(struct tn__guard *guard, tn_time kill_at);

/* Pass a signal to the command's group. Safe in a signal handler. */
bool tn__guard_signal(const struct tn__guard *guard, int number);

/* The next report, without waiting; poll(2) `reports` to wait. */
struct tn__guard_report tn__guard_read(struct tn__guard *guard);

/* G4: kill what the guardian left; returns when nothing is left. */
void tn__guard_clean_up(struct tn__guard *guard);

void tn__guard_close(struct tn__guard *guard);

#endif
