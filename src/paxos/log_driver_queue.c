/* The kept messages; the header tells the theory. */
#include "paxos/log_driver_queue.h"

#include <string.h>

#include "base/assert.h"

static struct tn__log_driver_queued *slot_at(const struct tn__log_driver_queue *queue,
                                             uint32_t place)
{
    tn_assert(place >= 1 && place <= queue->slots_count);
    return &queue->slots[place - 1];
}

/* A slot that is free, as place + 1; there is one. */
static uint32_t take_free(struct tn__log_driver_queue *queue)
{
    uint32_t place = queue->free;
    if (place != 0) {
        queue->free = slot_at(queue, place)->newer;
        return place;
    }
    tn_assert(queue->touched < queue->slots_count);
    return ++queue->touched;
}

static void link_newest(struct tn__log_driver_queue *queue, uint32_t place)
{
    struct tn__log_driver_queued *queued = slot_at(queue, place);
    queued->older = queue->newest;
    queued->newer = 0;
    if (queue->newest != 0) {
        slot_at(queue, queue->newest)->newer = place;
    } else {
        queue->oldest = place;
    }
    queue->newest = place;
    queue->used++;
    tn_assert(queue->used <= queue->touched);
}

uint32_t tn__log_driver_queue_put(struct tn__log_driver_queue *queue,
                                  const struct tn_log_message *message,
                                  const struct tn_log_entry *entries)
{
    uint32_t count = message->entries_count;
    uint32_t ring = queue->entries_count;
    tn_assert((ring & (ring - 1)) == 0);
    tn_assert(queue->used <= queue->slots_count);
    uint64_t at = queue->entries_tail;
    uint32_t offset = (uint32_t)at & (ring - 1);
    if (count > ring - offset) {
        at += ring - offset;
    }
    if (queue->used == queue->slots_count || count > ring ||
        at + count - queue->entries_head > ring) {
        return TN__LOG_DRIVER_QUEUE_NONE;
    }
    uint32_t place = take_free(queue);
    struct tn__log_driver_queued *queued = slot_at(queue, place);
    queued->message = *message;
    queued->message.entries_first = 0;
    queued->entries_from = queue->entries_tail;
    queued->entries_at = at;
    queued->next = TN__LOG_DRIVER_QUEUE_NONE;
    queued->used = 1;
    link_newest(queue, place);
    if (count > 0) {
        memcpy(&queue->entries[at & (ring - 1)], entries, count * sizeof(entries[0]));
    }
    queue->entries_tail = at + count;
    return place - 1;
}

uint32_t tn__log_driver_queue_first(const struct tn__log_driver_queue *queue)
{
    tn_assert((queue->oldest == 0) == (queue->used == 0));
    return queue->oldest == 0 ? TN__LOG_DRIVER_QUEUE_NONE : queue->oldest - 1;
}

const struct tn_log_entry *tn__log_driver_queue_entries(const struct tn__log_driver_queue *queue,
                                                        uint32_t slot)
{
    tn_assert(slot < queue->slots_count);
    tn_assert(queue->slots[slot].used == 1);
    return &queue->entries[queue->slots[slot].entries_at & (queue->entries_count - 1)];
}

static void unlink_slot(struct tn__log_driver_queue *queue,
                        const struct tn__log_driver_queued *queued)
{
    tn_assert(queue->used > 0);
    if (queued->older != 0) {
        slot_at(queue, queued->older)->newer = queued->newer;
    } else {
        queue->oldest = queued->newer;
    }
    if (queued->newer != 0) {
        slot_at(queue, queued->newer)->older = queued->older;
    } else {
        queue->newest = queued->older;
    }
    queue->used--;
}

void tn__log_driver_queue_take(struct tn__log_driver_queue *queue, uint32_t slot)
{
    struct tn__log_driver_queued *queued = slot_at(queue, slot + 1);
    tn_assert(queued->used == 1);
    queued->used = 0;
    unlink_slot(queue, queued);
    queued->newer = queue->free;
    queue->free = slot + 1;
    if (queue->used == 0) { /* from the beginning, which the processor still knows */
        queue->entries_head = 0;
        queue->entries_tail = 0;
    } else {
        queue->entries_head = slot_at(queue, queue->oldest)->entries_from;
    }
    tn_assert(queue->entries_head <= queue->entries_tail);
}

void tn__log_driver_queue_check(const struct tn__log_driver_queue *queue)
{
    tn_assert(queue->used <= queue->touched && queue->touched <= queue->slots_count);
    tn_assert(queue->entries_tail - queue->entries_head <= queue->entries_count);
    uint32_t used = 0;
    uint32_t older = 0;
    uint64_t from = queue->entries_head;
    for (uint32_t place = queue->oldest; place != 0; place = slot_at(queue, place)->newer) {
        const struct tn__log_driver_queued *queued = slot_at(queue, place);
        used++;
        tn_assert(used <= queue->used && queued->used == 1 && queued->older == older);
        tn_assert(queued->entries_from >= from && queued->entries_at >= queued->entries_from);
        from = queued->entries_at + queued->message.entries_count;
        tn_assert(from <= queue->entries_tail);
        older = place;
    }
    tn_assert(used == queue->used && queue->newest == older);
}
