/* Payload blocks; the header tells the theory. */
#include "node/node_payload.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

_Static_assert(sizeof(uintptr_t) <= sizeof(uint64_t), "a handle holds an address");

struct tn__block *tn__block_make(size_t bytes)
{
    struct tn__block *block = malloc(sizeof(*block) + bytes);
    if (block != NULL) {
        memset(block, 0, sizeof(*block));
        atomic_init(&block->references, 1);
        block->end = tn__block_bytes(block) + bytes;
    }
    return block;
}

uint64_t tn__block_place(struct tn__block *block, uint8_t *at)
{
    uint64_t distance = (uint64_t)(at + TN_PAYLOAD_LEAD_BYTES - (uint8_t *)block);
    memcpy(at, &distance, sizeof(distance));
    return (uint64_t)(uintptr_t)(at + TN_PAYLOAD_LEAD_BYTES);
}

struct tn__block *tn__block_of(uint64_t handle)
{
    tn_assert(handle != 0);
    uint8_t *bytes = (uint8_t *)(uintptr_t)handle;
    uint64_t distance;
    memcpy(&distance, bytes - TN_PAYLOAD_LEAD_BYTES, sizeof(distance));
    return (struct tn__block *)(void *)(bytes - distance);
}

void tn__block_retain(struct tn__block *block, uint32_t count)
{
    uint32_t before = atomic_fetch_add_explicit(&block->references, count, memory_order_relaxed);
    tn_assert(before > 0 && before < UINT32_MAX - count);
}

void tn__block_release_many(struct tn__block *block, uint32_t count)
{
    uint32_t before = atomic_fetch_sub_explicit(&block->references, count, memory_order_acq_rel);
    tn_assert(before >= count);
    if (before == count) {
        free(block);
    }
}

void tn__block_release(struct tn__block *block)
{
    tn__block_release_many(block, 1);
}

void tn__block_list_init(struct tn__block *list)
{
    list->next = list;
    list->previous = list;
}

void tn__block_hold(struct tn__block *list, struct tn__block *block, uint32_t count)
{
    tn_assert(count > 0);
    if (block->held == 0) {
        tn__block_retain(block, 1);
        block->next = list->next;
        block->previous = list;
        list->next->previous = block;
        list->next = block;
    }
    block->held += count;
}

static void unlink_block(struct tn__block *block)
{
    block->next->previous = block->previous;
    block->previous->next = block->next;
    block->next = NULL;
    block->previous = NULL;
    tn__block_release(block);
}

bool tn__block_let_go(struct tn__block *block)
{
    tn_assert(block->held > 0);
    block->held -= 1;
    if (block->held > 0) {
        return true;
    }
    unlink_block(block);
    return false;
}

void tn__block_list_drop(struct tn__block *list)
{
    while (list->next != list) {
        struct tn__block *block = list->next;
        block->held = 0;
        unlink_block(block);
    }
}
