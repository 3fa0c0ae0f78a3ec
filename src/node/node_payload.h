/* Payloads: the bytes behind handles, in blocks that count their references.
 *
 * A handle is the address of the first byte; the eight bytes before it say how far back the block
 * begins. A block is one proposal (the call, the envelope and the value, node_groups.h) or all the
 * values of one message or record. So reading a payload costs nothing, and a run of values costs
 * one allocation.
 *
 * Two counts. `references` is for every thread: the appliers, calls under way, who waits. `held`
 * counts what the group's machine and the driver hold, changes on the loop alone and needs no
 * atomics; while it is not zero it stands for one reference, and the block is linked in its group's
 * list, so that a group can be taken down with its machine (inv. payload 1). */
#ifndef TN_NODE_PAYLOAD_H
#define TN_NODE_PAYLOAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tn__block {
    _Atomic uint32_t references;
    uint32_t held;          /* loop */
    struct tn__block *next; /* loop, while held: a ring with its list's head */
    struct tn__block *previous;
    const uint8_t *end; /* of what tn__block_make() made; NULL: another's block */
};

#define TN_PAYLOAD_LEAD_BYTES 8U

/* A block with room for payloads of so many bytes, leads included; one reference is the caller's.
 * NULL: no memory. */
struct tn__block *tn__block_make(size_t bytes);

/* Where the first payload's lead begins. */
static inline uint8_t *tn__block_bytes(struct tn__block *block)
{
    return (uint8_t *)(block + 1);
}

/* Write the lead at `at`, within the block; the payload begins behind it: its handle. */
uint64_t tn__block_place(struct tn__block *block, uint8_t *at);

struct tn__block *tn__block_of(uint64_t handle);

/* The same, without a look at the payload if it lies in the block where the one before lay (`near`,
 * may be NULL: values of one message come one after the other). */
static inline struct tn__block *tn__block_near(struct tn__block *near, uint64_t handle)
{
    uintptr_t address = (uintptr_t)handle;
    bool inside = near != NULL && address > (uintptr_t)near && address <= (uintptr_t)near->end;
    return inside ? near : tn__block_of(handle);
}

static inline const void *tn__payload_bytes(uint64_t handle)
{
    return (const void *)(uintptr_t)handle; /* NOLINT: that is what a handle is */
}

void tn__block_retain(struct tn__block *block, uint32_t count);
void tn__block_release(struct tn__block *block);
void tn__block_release_many(struct tn__block *block, uint32_t count);

/* Of the loop: the machine or the driver takes `count` references, gives one back. */
void tn__block_list_init(struct tn__block *list);
void tn__block_hold(struct tn__block *list, struct tn__block *block, uint32_t count);
/* False: it is held no more, and may be gone. */
bool tn__block_let_go(struct tn__block *block);
/* The machine is gone: give back all that is held. */
void tn__block_list_drop(struct tn__block *list);

#endif
