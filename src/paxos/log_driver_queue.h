/* Messages kept for later, with copies of their entries: two rings in the caller's memory. Private
 * to the driver of logs.
 *
 * Messages are put in at the tail and taken out anywhere; room comes back in the order of putting
 * in, which is nearly the order of taking out, as all groups write to one log. The entries of one
 * message are contiguous, so a message that does not fit before the end of the second ring skips
 * what is left of it.
 *
 * Invariants (tn__log_driver_queue_check): the slot at the head is in use, or the queue is empty;
 * entries of used slots lie between the heads and the tails. */
#ifndef TN_PAXOS_LOG_DRIVER_QUEUE_H
#define TN_PAXOS_LOG_DRIVER_QUEUE_H

#include <tenure/log.h>

#define TN__LOG_DRIVER_QUEUE_NONE UINT32_MAX

struct tn__log_driver_queued {
    struct tn_log_message message; /* entries_first is 0 */
    uint64_t entries_from;         /* where the second ring's tail was before */
    uint64_t entries_at;           /* where its entries are */
    uint32_t next;                 /* for the owner: lists of a group */
    uint32_t used;
};

struct tn__log_driver_queue {
    struct tn__log_driver_queued *slots;
    struct tn_log_entry *entries;
    uint32_t slots_count; /* powers of two */
    uint32_t entries_count;
    uint64_t used; /* slots */
    uint64_t head; /* places count up for ever */
    uint64_t tail;
    uint64_t entries_head;
    uint64_t entries_tail;
};

/* Put a message in with copies of `entries`, its own, message->entries_count of them. Returns its
 * slot, or NONE: there is no room. */
uint32_t tn__log_driver_queue_put(struct tn__log_driver_queue *queue,
                                  const struct tn_log_message *message,
                                  const struct tn_log_entry *entries);

/* The slot first put in of those in use; NONE: the queue is empty. */
uint32_t tn__log_driver_queue_first(const struct tn__log_driver_queue *queue);

/* The entries of a slot in use. */
const struct tn_log_entry *tn__log_driver_queue_entries(const struct tn__log_driver_queue *queue,
                                                        uint32_t slot);

void tn__log_driver_queue_take(struct tn__log_driver_queue *queue, uint32_t slot);

void tn__log_driver_queue_check(const struct tn__log_driver_queue *queue);

#endif
