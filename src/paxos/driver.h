/* The driver: carries a machine's effects out, for the node and the simulator alike. Pure.
 *
 * It steps the machine with one event, hands its records to be made durable, holds every message
 * back until the write it waits for (`after`) is done, gives messages to others to the world and
 * messages of a node to itself back to the machine, in the same turn. What is simulated is what
 * runs.
 *
 *   event --> step --> records  --> world.append       (completion comes back as WRITTEN)
 *                  --> messages --> after <= durable?   no: held until WRITTEN, dropped if it
 * failed to others: world.send      to itself: the loop, next step
 *                  --> notices  --> world.notify
 *
 * A turn of the world: for every ready event tn__driver_event(), while tn__driver_deadline() is due
 * a TIMER event, then one frame for each peer out of what was sent (wire/frame_builder.h).
 *
 * Invariants (tn__driver_check): held messages wait for writes above `durable`; the loop is empty
 * between events; what was dropped for want of room is counted (a network may lose messages). */
#ifndef TN_PAXOS_DRIVER_H
#define TN_PAXOS_DRIVER_H

#include <tenure/lease.h>

/* What the driver asks of the world. None of these may call back into the driver. */
struct tn__driver_world {
    void *context;
    /* Make the record durable; later say WRITTEN or WRITE_FAILED with its number. */
    void (*append)(void *context, const struct tn_record *record);
    /* Send to the members of `to`, never this node itself. May be lost. */
    void (*send)(void *context, tn_member_set to, const struct tn_message *message);
    /* Tell the embedding program. */
    void (*notify)(void *context, const struct tn_notice *notice);
};

/* Messages held back for a write, and messages to itself within one turn. */
#define TN__DRIVER_HELD_MAX 4096U
#define TN__DRIVER_LOOP_MAX (2U * TN_EFFECT_MESSAGES_MAX)

struct tn__driver {
    struct tn_lease *lease;
    struct tn__driver_world world;
    uint64_t durable;      /* every write up to this number is done */
    uint64_t restart_word; /* of this node: its own messages carry it */
    uint64_t dropped;      /* messages lost for want of room, or because their write failed */
    uint32_t self;
    uint32_t held_count;
    uint32_t loop_count;
    uint32_t reserved;
    struct tn_effects effects;
    struct tn_message held[TN__DRIVER_HELD_MAX];
    struct tn_message loop[TN__DRIVER_LOOP_MAX];
};

/* `driver` is the caller's memory; the machine must outlive it. */
void tn__driver_init(struct tn__driver *driver, struct tn_lease *lease,
                     const struct tn__driver_world *world);

/* Step the machine with this event and carry out everything that follows from it. */
void tn__driver_event(struct tn__driver *driver, const struct tn_event *event);

/* When a TIMER event is due. */
tn_time tn__driver_deadline(const struct tn__driver *driver);

void tn__driver_check(const struct tn__driver *driver);

#endif
