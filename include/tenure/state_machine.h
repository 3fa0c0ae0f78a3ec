/* State machines: what a program gives to a group, and what the log gives to it.
 *
 * A machine is a few functions and a pointer. Every member registers the same machines; each gets
 * every committed value that is addressed to it, in slot order, exactly once per value, and must do
 * the same with it everywhere (deterministic: no clock, no randomness, no outside state). */
#ifndef TENURE_STATE_MACHINE_H
#define TENURE_STATE_MACHINE_H

#include <tenure/export.h>
#include <tenure/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Ids of machines. A value for "no machine" is only logged. */
#define TN_MACHINE_NONE 0U
#define TN_MACHINE_RESERVED_MIN 0xfffffff0U /* from here on: tenure's own */
#define TN_MACHINE_SYSTEM 0xfffffff1U
#define TN_MACHINE_MASTER 0xfffffff2U

/* One value to be executed. Borrowed until execute() returns. */
struct tn_execution {
    uint32_t group;
    uint32_t machine;
    uint64_t slot;
    const void *bytes; /* the value as proposed (before-propose included) */
    size_t bytes_count;
    void *context; /* as given to propose, on the proposing node and in its lifetime; else NULL */
    uint32_t retries;       /* how often this slot was put off before */
    uint32_t proposed_here; /* 1: `context` and the result concern a call of this node */
    void *reply_to;         /* for tn_execution_reply() */
};

enum tn_execute_result {
    TN_EXECUTED = 0,
    /* Not yet: the same slot is given again after a while, and nothing after it before. Voting goes
     * on; status shows the group as stalled. */
    TN_EXECUTE_RETRY = 1,
};

struct tn_state_machine {
    uint32_t id; /* distinct within the group; not reserved */
    uint32_t reserved;
    void *data; /* handed to every function */
    /* On an applier thread, or on the loop if the group is said to be quick; one value of a group
     * at a time. Returns enum tn_execute_result. */
    int (*execute)(void *data, const struct tn_execution *execution);
    /* May rewrite a value right before it is proposed, once, at the member where propose was
     * called: writes at most `capacity` bytes to `out` and returns the new length, or returns
     * `count` and leaves `out` alone to keep the value. [none] */
    size_t (*before_propose)(void *data, uint32_t group, const void *bytes, size_t count, void *out,
                             size_t capacity);
    /* K1: the highest slot that the machine's own durable state covers; 0: nothing is durable.
     * Asked at the start: the machine is given what lies above it. [nothing] */
    uint64_t (*covered)(void *data, uint32_t group);
};

/* Say the result of this execution: copied, at most TN_RESULT_BYTES_MAX; the last one counts. At
 * the member that proposed it comes back with the proposal; with a once-only id it is kept for
 * repeats. Errors: TN_ERROR_TOO_LARGE, TN_ERROR_NO_MEMORY. */
TN_EXPORT int tn_execution_reply(const struct tn_execution *execution, const void *bytes,
                                 size_t count);

#ifdef __cplusplus
}
#endif

#endif
