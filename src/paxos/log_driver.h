/* The driver of logs: carries the effects of many groups' machines out, for the node and the
 * simulator alike. Pure. What is simulated is what runs.
 *
 *   event(group) --> step --> records  --> world.append  (comes back as tn__log_driver_written())
 *                         --> messages --> after <= durable?   no: held until written
 *                               to others: world.send; to itself: the loop, next step
 *                         --> commit   --> world.commit (to the applier)
 *                         --> notices, loads, forgets --> world
 *
 * A turn of the world: events of all groups, timers that are due, then one batch of records written
 * and synced, and one frame a peer. That is the batching; there is no other (docs/log.md).
 *
 * References. The world counts references of handles. An entry given with an event brings one,
 * which the machine takes. The driver takes its own for messages it holds back, and gives them
 * back. What append, send and commit are shown is borrowed until they return.
 *
 * Invariants (tn__log_driver_check): a held message waits for a write above its group's durable
 * one; the loop is empty between events; held messages are in the order of their making. */
#ifndef TN_PAXOS_LOG_DRIVER_H
#define TN_PAXOS_LOG_DRIVER_H

#include <tenure/log.h>

/* What the driver asks of the world. None of these may call back into the driver. */
struct tn__log_driver_world {
    void *context;
    /* Make the record durable, after those appended before; later say written() or failed().
     * `entries` are the record's own: its entries_first is 0. So with send(). */
    void (*append)(void *context, const struct tn_log_record *record,
                   const struct tn_log_entry *entries);
    /* Send to the members of `to`, never this node itself. May be lost. */
    void (*send)(void *context, tn_member_set to, const struct tn_log_message *message,
                 const struct tn_log_entry *entries);
    /* These entries are committed: execute them in this order. */
    void (*commit)(void *context, uint32_t group, const struct tn_log_entry *entries,
                   uint32_t count);
    void (*notify)(void *context, uint32_t group, const struct tn_log_notice *notice);
    void (*load)(void *context, uint32_t group, const struct tn_log_load *load);
    void (*retain)(void *context, uint64_t handle);
    void (*release)(void *context, uint64_t handle);
};

struct tn__log_driver; /* Opaque. */

/* `groups_max` groups at once, 1 to TN_GROUPS_MAX. */
size_t tn__log_driver_size(uint32_t groups_max);

/* `memory`: aligned to 64 bytes, whatever is in it; the caller's. `self`: index of this node. */
struct tn__log_driver *tn__log_driver_init(void *memory, uint32_t groups_max, uint32_t self,
                                           uint64_t restart_word,
                                           const struct tn__log_driver_world *world);

/* Add a group; the machine stays the caller's and must outlive it. Errors: TN_ERROR_FULL,
 * TN_ERROR_INVALID (the id is taken), TN_ERROR_BUSY (writes of an earlier group of this id are
 * still under way). */
int tn__log_driver_add(struct tn__log_driver *driver, uint32_t group, struct tn_log *log,
                       tn_time now);

/* Take a group out: what was held for it is dropped. Its unfinished writes are still to be
 * reported: until then its id is not free. */
void tn__log_driver_remove(struct tn__log_driver *driver, uint32_t group);

/* NULL: no such group here. */
struct tn_log *tn__log_driver_find(const struct tn__log_driver *driver, uint32_t group);

/* Step that group's machine with this event and carry out all that follows. `event->message->group`
 * is checked by the caller. A group that is not here: the entries' references are given back. */
void tn__log_driver_event(struct tn__log_driver *driver, uint32_t group,
                          const struct tn_log_event *event);

/* Every append of this group up to write number `write` is durable; or none further will be. */
void tn__log_driver_written(struct tn__log_driver *driver, uint32_t group, uint64_t write,
                            tn_time now, uint64_t random);
void tn__log_driver_failed(struct tn__log_driver *driver, tn_time now, uint64_t random);

/* Give TIMER once to every group that is due, to `limit` of them at most. True if any is due still.
 */
bool tn__log_driver_timers(struct tn__log_driver *driver, tn_time now, uint64_t random,
                           uint32_t limit);

/* When the next TIMER is due, over all groups: O(1). */
tn_time tn__log_driver_deadline(const struct tn__log_driver *driver);

/* Messages lost for want of room, or because their write failed or their group was taken out. */
uint64_t tn__log_driver_dropped(const struct tn__log_driver *driver);

void tn__log_driver_check(const struct tn__log_driver *driver);

#endif
