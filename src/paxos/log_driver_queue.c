/* The two rings; the header tells the theory. */
#include "paxos/log_driver_queue.h"

#include <string.h>

#include "base/assert.h"

static struct tn__log_driver_queued *slot_at(const struct tn__log_driver_queue *queue,
                                             uint64_t place)
{
    return &queue->slots[place & (queue->slots_count - 1)];
}

uint32_t tn__log_driver_queue_put(struct tn__log_driver_queue *queue,
                                  const struct tn_log_message *message,
                                  const struct tn_log_entry *entries)
{
    uint32_t count = message->entries_count;
    uint32_t ring = queue->entries_count;
    tn_assert((queue->slots_count & (queue->slots_count - 1)) == 0);
    tn_assert((ring & (ring - 1)) == 0);
    uint64_t at = queue->entries_tail;
    uint32_t offset = (uint32_t)at & (ring - 1);
    if (count > ring - offset) {
        at += ring - offset;
    }
    if (queue->tail - queue->head == queue->slots_count || count > ring ||
        at + count - queue->entries_head > ring) {
        return TN__LOG_DRIVER_QUEUE_NONE;
    }
    struct tn__log_driver_queued *queued = slot_at(queue, queue->tail);
    tn_assert(queue->used < queue->slots_count); /* what was there before is nobody's */
    queued->message = *message;
    queued->message.entries_first = 0;
    queued->entries_from = queue->entries_tail;
    queued->entries_at = at;
    queued->next = TN__LOG_DRIVER_QUEUE_NONE;
    queued->used = 1;
    queue->used++;
    if (count > 0) {
        memcpy(&queue->entries[at & (ring - 1)], entries, count * sizeof(entries[0]));
    }
    queue->entries_tail = at + count;
    return (uint32_t)(queue->tail++ & (queue->slots_count - 1));
}

uint32_t tn__log_driver_queue_first(const struct tn__log_driver_queue *queue)
{
    if (queue->head == queue->tail) {
        return TN__LOG_DRIVER_QUEUE_NONE;
    }
    tn_assert(slot_at(queue, queue->head)->used == 1);
    return (uint32_t)(queue->head & (queue->slots_count - 1));
}

const struct tn_log_entry *tn__log_driver_queue_entries(const struct tn__log_driver_queue *queue,
                                                        uint32_t slot)
{
    tn_assert(slot < queue->slots_count);
    tn_assert(queue->slots[slot].used == 1);
    return &queue->entries[queue->slots[slot].entries_at & (queue->entries_count - 1)];
}

void tn__log_driver_queue_take(struct tn__log_driver_queue *queue, uint32_t slot)
{
    tn_assert(slot < queue->slots_count);
    tn_assert(queue->slots[slot].used == 1);
    queue->slots[slot].used = 0;
    queue->used--;
    while (queue->head < queue->tail && slot_at(queue, queue->head)->used == 0) {
        queue->head++;
    }
    queue->entries_head =
        queue->head < queue->tail ? slot_at(queue, queue->head)->entries_from : queue->entries_tail;
    tn_assert(queue->entries_head <= queue->entries_tail);
}

void tn__log_driver_queue_check(const struct tn__log_driver_queue *queue)
{
    tn_assert(queue->tail - queue->head <= queue->slots_count);
    tn_assert(queue->entries_tail - queue->entries_head <= queue->entries_count);
    tn_assert(queue->head == queue->tail || slot_at(queue, queue->head)->used == 1);
    uint64_t used = 0;
    for (uint64_t place = queue->head; place < queue->tail; place++) {
        const struct tn__log_driver_queued *queued = slot_at(queue, place);
        if (queued->used == 0) {
            continue;
        }
        used++;
        tn_assert(queued->entries_from >= queue->entries_head);
        tn_assert(queued->entries_at >= queued->entries_from);
        tn_assert(queued->entries_at + queued->message.entries_count <= queue->entries_tail);
    }
    tn_assert(used == queue->used);
}
