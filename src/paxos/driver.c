/* The driver; the header tells the theory. */
#include "paxos/driver.h"

#include <string.h>

#include "base/assert.h"
#include "paxos/quorum.h"

void tn__driver_init(struct tn__driver *driver, struct tn_lease *lease,
                     const struct tn__driver_world *world)
{
    struct tn_lease_status status;
    tn_lease_status(lease, 0, &status);
    driver->lease = lease;
    driver->world = *world;
    driver->durable = 0;
    driver->restart_word = status.restart_word;
    driver->dropped = 0;
    driver->self = status.self;
    driver->held_count = 0;
    driver->loop_count = 0;
    tn_assert(world->append != NULL && world->send != NULL && world->notify != NULL);
}

/* Its write is done, or it needs none: let the message go. */
static void release_message(struct tn__driver *driver, const struct tn_message *message)
{
    tn_assert(message->after <= driver->durable);
    tn_assert(message->to != 0);
    tn_member_set self = tn__member_bit(driver->self);
    if ((message->to & self) != 0) {
        if (driver->loop_count < TN__DRIVER_LOOP_MAX) {
            driver->loop[driver->loop_count++] = *message;
        } else {
            driver->dropped++;
        }
    }
    if ((message->to & ~self) != 0) {
        driver->world.send(driver->world.context, message->to & ~self, message);
    }
}

static void carry_out(struct tn__driver *driver)
{
    const struct tn_effects *effects = &driver->effects;
    tn_assert(effects->records_count <= TN_EFFECT_RECORDS_MAX);
    tn_assert(effects->messages_count <= TN_EFFECT_MESSAGES_MAX);
    tn_assert(effects->notices_count <= TN_EFFECT_NOTICES_MAX);
    for (uint32_t i = 0; i < effects->records_count; i++) {
        driver->world.append(driver->world.context, &effects->records[i]);
    }
    for (uint32_t i = 0; i < effects->messages_count; i++) {
        const struct tn_message *message = &effects->messages[i];
        if (message->after <= driver->durable) {
            release_message(driver, message);
        } else if (driver->held_count < TN__DRIVER_HELD_MAX) {
            driver->held[driver->held_count++] = *message;
        } else {
            driver->dropped++;
        }
    }
    for (uint32_t i = 0; i < effects->notices_count; i++) {
        driver->world.notify(driver->world.context, &effects->notices[i]);
    }
}

/* A write is done: what waited for it goes, in the order in which it came. */
static void release_held(struct tn__driver *driver)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < driver->held_count; i++) {
        if (driver->held[i].after <= driver->durable) {
            release_message(driver, &driver->held[i]);
        } else {
            driver->held[kept++] = driver->held[i];
        }
    }
    driver->held_count = kept;
}

/* F4: a write has failed: what waited for it is never said. Nor is what waited for an earlier one:
 * that was passed over in favour of this one, and a later write may hold less than either. */
static void drop_held(struct tn__driver *driver, uint64_t write)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < driver->held_count; i++) {
        if (driver->held[i].after <= write) {
            driver->dropped++;
        } else {
            driver->held[kept++] = driver->held[i];
        }
    }
    driver->held_count = kept;
}

/* The node's messages to itself: one frame of what has gathered, until nothing more comes. They are
 * handled under the same `now`: it was read after the cause of each of them, so no exclusion that
 * an acceptor counts from it ends before the deadline its proposer stored (T1, T2). */
static void run_loop(struct tn__driver *driver, const struct tn_event *cause)
{
    struct tn_message items[TN_FRAME_ITEMS_MAX];
    while (driver->loop_count > 0) {
        uint32_t count =
            driver->loop_count < TN_FRAME_ITEMS_MAX ? driver->loop_count : TN_FRAME_ITEMS_MAX;
        memcpy(items, driver->loop, count * sizeof(items[0]));
        driver->loop_count -= count;
        memmove(driver->loop, driver->loop + count, driver->loop_count * sizeof(items[0]));
        for (uint32_t i = 0; i < count; i++) {
            items[i].from = (uint8_t)driver->self;
        }
        struct tn_event event = {
            .kind = TN_EVENT_FRAME,
            .from = driver->self,
            .now = cause->now,
            .restart_word = driver->restart_word,
            .items = items,
            .items_count = count,
        };
        tn_lease_step(driver->lease, &event, &driver->effects);
        carry_out(driver);
    }
}

/* A change of members may have moved this node's index (F3). */
static void follow_members(struct tn__driver *driver)
{
    struct tn_lease_status status;
    tn_lease_status(driver->lease, 0, &status);
    driver->self = status.self;
}

void tn__driver_event(struct tn__driver *driver, const struct tn_event *event)
{
    tn_assert(driver->loop_count == 0);
    tn_lease_step(driver->lease, event, &driver->effects);
    if (event->kind == TN_EVENT_WRITTEN) {
        tn_assert(event->write >= driver->durable);
        follow_members(driver);
        driver->durable = event->write;
        release_held(driver);
    } else if (event->kind == TN_EVENT_WRITE_FAILED) {
        drop_held(driver, event->write);
    }
    carry_out(driver);
    run_loop(driver, event);
    tn_assert(driver->loop_count == 0);
}

tn_time tn__driver_deadline(const struct tn__driver *driver)
{
    return tn_lease_deadline(driver->lease);
}

void tn__driver_check(const struct tn__driver *driver)
{
    tn_assert(driver->loop_count == 0);
    tn_assert(driver->held_count <= TN__DRIVER_HELD_MAX);
    for (uint32_t i = 0; i < driver->held_count; i++) {
        tn_assert(driver->held[i].after > driver->durable);
    }
}
