/* Holding a name through a node: acquire by a session, renew, notice the end, release.
 *
 * Theory. Two connections to one node: the session, which queues, grants and tells of the end, and
 * one for calls. Time counts from when a request was sent (docs/api.md): `deadline` is the sending
 * of the last granted or renewed request plus its valid_ms, on CLOCK_BOOTTIME, and never falls.
 * Whoever acts under the name stops at `deadline`, whatever else is known. The end of the session
 * alone is no reason to stop: the holding lasts until its time has run out, and a renewal may
 * still succeed. */
#ifndef TN_CMD_TOOL_KEEPER_H
#define TN_CMD_TOOL_KEEPER_H

#include "cmd/tool.h"

enum tn__keeper_state {
    TN_KEEPER_HOLDS = 1,
    TN_KEEPER_ENDING, /* the name will be handed over: finish */
    TN_KEEPER_LOST,   /* the holding is over */
};

struct tn__keeper {
    struct tn__tool *tool;
    struct tn__http session;
    struct tn__http *calls; /* one of the tool's endpoints */
    enum tn__keeper_state state;
    tn_time deadline;
    tn_time lease_ns; /* how long a grant lasts at best: the node's ttl_ms */
    uint64_t token;   /* 0: none is offered */
    char holding[64];
    char table[TN_NAME_BYTES_MAX + 1];
    char why[256]; /* it is lost or ending */
};

/* Wait for the name as --wait says. TN_CMD_DONE: held; else the command's status, after a
 * complaint. tn__keeper_close() follows in either case. */
int tn__keeper_acquire(struct tn__keeper *keeper, struct tn__tool *tool, const char *name);

/* Extend. Cut short by `wake` (a descriptor, or -1) and at `until`. True if the deadline moved. */
bool tn__keeper_renew(struct tn__keeper *keeper, int wake, tn_time until);

/* Take the lines that the session has sent, without waiting. */
void tn__keeper_listen(struct tn__keeper *keeper);

/* End the holding: call it when nothing acts under it any more. */
void tn__keeper_release(struct tn__keeper *keeper);

void tn__keeper_close(struct tn__keeper *keeper);

#endif
