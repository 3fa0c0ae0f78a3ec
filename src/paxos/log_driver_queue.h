/* Messages kept for later, with copies of their entries, in the caller's memory. Private to the
 * driver of logs.
 *
 * Messages are put in and taken out in any order. A slot that was taken out is the next one to be
 * used: few messages at a time go through few slots, which the processor still knows. Those in use
 * are linked in the order of putting in, which is nearly the order of taking out, as all groups
 * write to one log. In that order room for entries, a ring, comes back. The entries of one message
 * are contiguous, so a message that does not fit before the end of the ring skips what is left of
 * it.
 *
 * Invariants (tn__log_driver_queue_check): used slots are linked both ways, `used` of them; entries
 * of used slots lie between the ring's head and tail, in the order of the list. */
#ifndef TN_PAXOS_LOG_DRIVER_QUEUE_H
#define TN_PAXOS_LOG_DRIVER_QUEUE_H

#include <tenure/log.h>

#define TN__LOG_DRIVER_QUEUE_NONE UINT32_MAX

struct tn__log_driver_queued {
    struct tn_log_message message; /* entries_first is 0 */
    uint64_t entries_from;         /* where the ring's tail was before */
    uint64_t entries_at;           /* where its entries are */
    uint32_t next;                 /* for the owner: lists of a group */
    uint32_t used;
    uint32_t older; /* slots + 1; 0: there is none */
    uint32_t newer; /* or, of a slot that was used: the one free before it */
};

struct tn__log_driver_queue {
    struct tn__log_driver_queued *slots;
    struct tn_log_entry *entries;
    uint32_t slots_count;
    uint32_t entries_count; /* a power of two */
    uint32_t used;          /* slots */
    uint32_t touched;       /* slots that were ever used: those from 0 on */
    uint32_t oldest;        /* slots + 1; 0: there is none */
    uint32_t newest;
    uint32_t free; /* the one taken out last */
    uint32_t reserved;
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
