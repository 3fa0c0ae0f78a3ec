/* Groups: replicated logs of a node, with state machines (docs/log.md). The runtime around log.h.
 *
 * A group is opened at every member under the same id with the same machines. From then on a value
 * proposed at any member is put into one slot of the log, made durable at a majority, and executed
 * by the machines of every member in slot order.
 *
 * Threads, in the words of node.h. Machines execute on an applier thread, not on the loop (but see
 * `quick`), so a slow machine stalls only its own group's execution. Callbacks of proposals and
 * reads run on that group's applier thread too (those of refusals on the loop); they must not block
 * for long. A waiting call from there would wait for itself and is refused with
 * TN_ERROR_WRONG_THREAD.
 *
 * Outcomes of a proposal (N4). TN_OK: committed in `slot` and executed here. An error that
 * tn_proposal_error_is_final() confirms: certainly not chosen, and never will be. TN_ERROR_UNKNOWN:
 * it may still be committed; it is never reported as failed. With a once-only id it may be repeated
 * safely. */
#ifndef TENURE_GROUP_H
#define TENURE_GROUP_H

#include <tenure/log.h>
#include <tenure/node.h>
#include <tenure/state_machine.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tn_group;    /* Opaque: one group at this node. */
struct tn_proposal; /* Opaque: one proposal under way. */

struct tn_group_options {
    uint32_t id;   /* 0 to TN_GROUP_ID_MAX, distinct within the node */
    uint32_t mode; /* enum tn_log_mode. [LEASED] */
    /* LEASED: the group's lease is the name "log/<id>" of this table. [the node's last table] */
    const char *lease_table;
    const struct tn_state_machine *machines; /* copied; their data must outlive the group */
    uint32_t machines_count;                 /* at most TN_MACHINES_MAX */
    uint32_t window_slots;                   /* alpha [1024] */
    uint64_t value_bytes_max;                /* [TN_VALUE_BYTES_DEFAULT] */
    uint32_t waiting_max;                    /* N6 [4 * window_slots] */
    uint32_t priority;                       /* LEASED: H3, 0 is the most preferred */
    /* N5: gather proposals by count, delay or bytes before they are handed on. All zero: by turns
     * alone, without a delay, which is best for nearly everyone. */
    uint32_t batch_count;
    uint32_t batch_bytes;
    tn_time batch_delay_ns;
    /* 1: each execution of these machines, and each callback of proposals and reads, takes some
     * microseconds and never blocks. Then the loop itself may do them when there is little to do,
     * which spares a proposal alone the way to another thread; whatever is more, is put off by a
     * retry, or turns out not to be quick is the applier's as ever. Who breaks this promise delays
     * votes and leases of the whole node. [0: nothing executes on the loop] */
    uint32_t quick;
    uint32_t reserved;
    /* The role or state changed, or something an operator must see. On the loop. [none] */
    void (*on_notice)(struct tn_group *group, const struct tn_log_notice *notice, void *data);
    void *data;
};

/* Add a group to a running node [not loop]: its log is recovered, its machines are given what they
 * do not cover. The handle is the caller's until tn_group_close(). Errors: TN_ERROR_INVALID, also
 * for a diskless node; TN_ERROR_BUSY (the id is open); TN_ERROR_FULL (TN_GROUPS_MAX);
 * TN_ERROR_NOT_FOUND (no such table); TN_ERROR_NO_MEMORY; TN_ERROR_CLOSED; TN_ERROR_WRONG_THREAD.
 */
TN_EXPORT int tn_group_open(struct tn_node *node, const struct tn_group_options *options,
                            struct tn_group **group, char *why, size_t why_size);

/* Stop the group at this node [not loop, not an applier]: proposals under way end as unknown or
 * refused, their callbacks have run when this returns. Its part of the log stays. NULL is allowed.
 */
TN_EXPORT int tn_group_close(struct tn_group *group);

/* ---- Proposing ------------------------------------------------------------------------------- */

struct tn_propose_options {
    uint32_t machine; /* id of the state machine. [TN_MACHINE_NONE: only logged] */
    uint32_t reserved;
    tn_time timeout_ns; /* from now. [10 s]; TN_TIME_NEVER: without limit */
    uint64_t client;    /* N4: a once-only id; 0: none */
    uint64_t sequence;  /* N4: 1, 2, 3 ... of that client, one at a time */
    void *context;      /* shown to execute() at this node */
};

struct tn_proposal_result {
    int error;         /* TN_OK: committed and executed */
    uint32_t repeated; /* 1: executed before under the same once-only id */
    uint64_t slot;     /* TN_OK: where it stands in the log */
    const void *bytes; /* TN_OK: the machine's reply; borrowed until the callback returns */
    size_t bytes_count;
};

typedef void (*tn_propose_callback)(void *data, const struct tn_proposal_result *result);

/* Propose a value [any]. `bytes` are copied. `options` may be NULL. `done` runs exactly once,
 * unless an error is returned here: then nothing was proposed. `proposal` (may be NULL) is for
 * tn_proposal_cancel() and is the caller's until tn_proposal_free(). Errors: TN_ERROR_TOO_LARGE,
 * TN_ERROR_BUSY (N6), TN_ERROR_CLOSED, TN_ERROR_NOT_FOUND (no such machine), TN_ERROR_NO_MEMORY,
 * TN_ERROR_INVALID. In the result: TN_ERROR_BUSY, TN_ERROR_NO_QUORUM (no leader in time, never
 * proposed), TN_ERROR_CANCELLED, TN_ERROR_CLOSED, TN_ERROR_EVICTED, TN_ERROR_DISK_FULL,
 * TN_ERROR_IO, TN_ERROR_DAMAGED (this member's log: full, failed, or not what a majority has),
 * TN_ERROR_NO_MEMORY: not chosen; TN_ERROR_UNKNOWN. */
TN_EXPORT int tn_group_propose(struct tn_group *group, const void *bytes, size_t count,
                               const struct tn_propose_options *options, tn_propose_callback done,
                               void *data, struct tn_proposal **proposal);

/* N5: several at once, in this order, a slot and a result for each; `done` runs once for each with
 * data[i]. All are taken or none. At most TN_LOG_RUN_MAX. Errors: as tn_group_propose(). */
struct tn_propose_value {
    const void *bytes;
    size_t count;
};
TN_EXPORT int tn_group_propose_batch(struct tn_group *group, const struct tn_propose_value *values,
                                     uint32_t values_count,
                                     const struct tn_propose_options *options,
                                     tn_propose_callback done, void *const *data);

/* Propose and wait [not loop, not an applier]. Up to `capacity` bytes of the reply are copied to
 * `reply`; `result` (may be NULL) has the rest, its `bytes` point to `reply`. Errors: as above, and
 * TN_ERROR_WRONG_THREAD. */
TN_EXPORT int tn_group_propose_wait(struct tn_group *group, const void *bytes, size_t count,
                                    const struct tn_propose_options *options, void *reply,
                                    size_t capacity, struct tn_proposal_result *result);

/* Want it no more [any]: a proposal that was not proposed yet ends as TN_ERROR_CANCELLED, any other
 * as TN_ERROR_UNKNOWN, both through its callback. */
TN_EXPORT void tn_proposal_cancel(struct tn_proposal *proposal);
TN_EXPORT void tn_proposal_free(struct tn_proposal *proposal);

/* Does this error of a proposal say that it was not chosen and never will be? [any] */
TN_EXPORT bool tn_proposal_error_is_final(int error);

/* ---- Reading --------------------------------------------------------------------------------- */

enum tn_read_kind {
    TN_READ_QUORUM = 1, /* linearizable: a majority is asked; the answer is a barrier */
    TN_READ_STALE,      /* at once, with the slot and age of what is here */
};

struct tn_read_result {
    int error; /* TN_OK, TN_ERROR_TIMEOUT, TN_ERROR_CLOSED, TN_ERROR_CANCELLED */
    uint32_t reserved;
    uint64_t slot;  /* the machines have executed every slot up to here, at least */
    tn_time age_ns; /* STALE: how old that state may be; TN_TIME_NEVER: unknown */
};

typedef void (*tn_read_callback)(void *data, const struct tn_read_result *result);

/* A barrier [any]: when `done` runs (on the applier thread, between two executions) the machines'
 * state holds everything that was committed before this call. `timeout_ns` 0: 10 s. Errors:
 * TN_ERROR_BUSY, TN_ERROR_CLOSED, TN_ERROR_NO_MEMORY, TN_ERROR_INVALID. */
TN_EXPORT int tn_group_read(struct tn_group *group, enum tn_read_kind kind, tn_time timeout_ns,
                            tn_read_callback done, void *data);

/* The same, waiting [not loop, not an applier]. Errors: those of the result, TN_ERROR_WRONG_THREAD.
 */
TN_EXPORT int tn_group_read_wait(struct tn_group *group, enum tn_read_kind kind, tn_time timeout_ns,
                                 struct tn_read_result *result);

/* ---- Looking --------------------------------------------------------------------------------- */

struct tn_group_status {
    struct tn_log_status log;
    struct tn_log_counters counters;
    uint64_t executed; /* the machines have executed every slot up to here */
    uint32_t stalled;  /* 1: a machine asks for a retry of slot `executed` + 1 */
    uint32_t calls;    /* proposals of this node under way */
    uint64_t retries;  /* how often machines asked for one */
    uint64_t unknowns; /* proposals whose outcome was told as unknown */
    uint64_t once_ids; /* clients in the once-only table */
};

/* [any] Errors: TN_ERROR_CLOSED, TN_ERROR_BUSY. */
TN_EXPORT int tn_group_status(struct tn_group *group, struct tn_group_status *status);

/* The committed value of a slot, from memory or disk, up to `capacity` bytes of it; `count` gets
 * its length, `machine` its machine [not loop, not an applier]. Errors: TN_ERROR_NOT_FOUND (not
 * committed here, or no longer retained); TN_ERROR_IO, TN_ERROR_DAMAGED; TN_ERROR_WRONG_THREAD. */
TN_EXPORT int tn_group_value(struct tn_group *group, uint64_t slot, void *bytes, size_t capacity,
                             size_t *count, uint32_t *machine);

/* K1: every slot up to `slot` is covered by the machines' durable state; the log below it, less a
 * tail that the group keeps for peers, may be deleted [any]. Errors: TN_ERROR_INVALID (not executed
 * yet), TN_ERROR_CLOSED. */
TN_EXPORT int tn_group_truncate(struct tn_group *group, uint64_t slot);

TN_EXPORT uint32_t tn_group_id(const struct tn_group *group);

#ifdef __cplusplus
}
#endif

#endif
