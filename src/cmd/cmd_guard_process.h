/* The guardian's own side of the pipes: for cmd_guard.c. */
#ifndef TN_CMD_GUARD_PROCESS_H
#define TN_CMD_GUARD_PROCESS_H

#include <signal.h>

#include "cmd/cmd_guard.h"

enum tn__guard_order_kind { TN_GUARD_START = 1, TN_GUARD_EXTEND, TN_GUARD_END, TN_GUARD_SIGNAL };

/* One order: below PIPE_BUF, so that it arrives whole. */
struct tn__guard_order {
    uint32_t kind;
    int32_t number; /* SIGNAL */
    tn_time term_at;
    tn_time kill_at;
    struct tn__guard_lease lease; /* START */
};

/* Run as the guardian until nothing is left to guard; does not return. `mask` is what the command
 * gets, `hold_group` the process group whose terminal it takes over. */
_Noreturn void tn__guard_process(int orders, int reports, char *const *argv, const sigset_t *mask,
                                 pid_t hold_group);

/* SIGKILL to each child of this process but `except`, reaping those that have ended; returns how
 * many are still there. Reads /proc. */
unsigned tn__guard_kill_children(pid_t except);

#endif
