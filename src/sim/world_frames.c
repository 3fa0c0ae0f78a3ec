/* Frames: built during a turn, sent at its end, in flight until they arrive or are dropped.
 *
 * An arriving frame goes the way of bytes from a socket: scanned for its end, opened (checksum,
 * cluster, receiver, sender), read, and only then a FRAME event. */
#include <string.h>

#include "base/assert.h"
#include "sim/world_internal.h"

/* ---- Slots ---------------------------------------------------------------------------------- */

static uint32_t take_slot(struct tn__world *world)
{
    uint32_t slot = world->frames_free;
    if (slot != TN_WORLD_NONE) {
        world->frames_free = world->frames[slot].next;
    } else if (world->frames_used < TN_WORLD_FRAMES_MAX) {
        slot = world->frames_used++;
    }
    return slot;
}

static void free_slot(struct tn__world *world, uint32_t slot)
{
    struct tn__world_frame *frame = &world->frames[slot];
    frame->serial = 0;
    frame->due = TN_TIME_NEVER;
    frame->next = world->frames_free;
    world->frames_free = slot;
}

static void enter_flight(struct tn__world *world, uint32_t slot)
{
    struct tn__world_frame *frame = &world->frames[slot];
    frame->serial = ++world->serial;
    frame->due = TN_TIME_NEVER;
    frame->waiting = 0;
    frame->previous = world->frames_last;
    frame->next = TN_WORLD_NONE;
    if (world->frames_last == TN_WORLD_NONE) {
        world->frames_first = slot;
    } else {
        world->frames[world->frames_last].next = slot;
    }
    world->frames_last = slot;
    world->frames_count++;
}

static void leave_flight(struct tn__world *world, uint32_t slot)
{
    struct tn__world_frame *frame = &world->frames[slot];
    tn_assert(frame->serial != 0);
    if (frame->previous == TN_WORLD_NONE) {
        world->frames_first = frame->next;
    } else {
        world->frames[frame->previous].next = frame->next;
    }
    if (frame->next == TN_WORLD_NONE) {
        world->frames_last = frame->previous;
    } else {
        world->frames[frame->next].previous = frame->previous;
    }
    world->frames_count--;
}

static void tell(struct tn__world *world, enum tn__sight_kind kind, uint32_t slot, uint64_t word,
                 uint32_t process)
{
    struct tn__sight sight = {.kind = kind, .frame = &world->frames[slot], .word = word};
    tn__world_tell(world, &sight, process);
}

/* ---- Sending -------------------------------------------------------------------------------- */

static bool begin_frame(struct tn__world_process *process, uint32_t member)
{
    struct tn__world *world = process->world;
    uint32_t slot = take_slot(world);
    if (slot == TN_WORLD_NONE) {
        return false; /* a full network loses */
    }
    struct tn__frame_header header = {
        .cluster_tag = world->cluster_tag,
        .restart_word = process->restart_word,
        .sender = (tn_node_id)(process->member + 1),
        .receiver = (tn_node_id)(member + 1),
    };
    tn__frame_begin(&process->builders[member], world->frames[slot].bytes, &header);
    process->frames[member] = slot;
    process->building |= 1U << member;
    return true;
}

static uint64_t counter_of(const struct tn__world_process *process)
{
    struct tn_lease_status status;
    tn_lease_status(process->lease, 0, &status);
    return status.counter;
}

/* `counter`: the highest that the process has seen, which goes into the header. */
static void finish_frame(struct tn__world_process *process, uint32_t member, uint64_t counter)
{
    struct tn__world *world = process->world;
    uint32_t slot = process->frames[member];
    process->building &= ~(1U << member);
    if (!tn__world_effect(process)) {
        free_slot(world, slot);
        return;
    }
    struct tn__world_frame *frame = &world->frames[slot];
    frame->bytes_count = tn__frame_finish(&process->builders[member], counter);
    tn_assert(frame->bytes_count <= TN_WORLD_FRAME_BYTES_MAX);
    frame->from_word = process->restart_word;
    frame->to_word = world->processes[member].restart_word;
    frame->sent_at = world->now;
    frame->from = process->index;
    frame->to = member;
    frame->kind = frame->bytes[TN_FRAME_HEADER_BYTES] & 0x0f;
    frame->damaged = 0;
    frame->foreign = 0;
    enter_flight(world, slot);
    tell(world, TN_SIGHT_FRAME, slot, 0, process->index);
    if (world->hooks.frame_sent != NULL) {
        world->hooks.frame_sent(world->hooks.context, slot);
    }
}

void tn__world_post(struct tn__world_process *process, tn_member_set to,
                    const struct tn_message *message)
{
    struct tn__world *world = process->world;
    if (process->is_dying) {
        return;
    }
    tn_member_set nodes = tn__world_nodes_at(world, message->configuration, to);
    struct tn__sight sight = {.kind = TN_SIGHT_SENT, .message = message, .word = nodes};
    tn__world_tell(world, &sight, process->index);
    for (uint32_t member = 0; nodes >> member != 0; member++) {
        if ((nodes >> member & 1U) == 0) {
            continue;
        }
        if ((process->building >> member & 1U) == 0 && !begin_frame(process, member)) {
            continue;
        }
        struct tn__frame_builder *builder = &process->builders[member];
        bool added = tn__frame_add(builder, message);
        tn_assert(added);
        if (world->options.single_item != 0 ||
            builder->header.length + TN_ITEM_BYTES_MAX > TN_WORLD_FRAME_BYTES_MAX) {
            finish_frame(process, member, counter_of(process));
        }
    }
}

void tn__world_flush(struct tn__world_process *process)
{
    uint64_t counter = process->building != 0 ? counter_of(process) : 0;
    for (uint32_t member = 0; process->building != 0; member++) {
        if ((process->building >> member & 1U) != 0) {
            finish_frame(process, member, counter);
        }
    }
}

void tn__world_discard(struct tn__world_process *process)
{
    for (uint32_t member = 0; process->building != 0; member++) {
        if ((process->building >> member & 1U) != 0) {
            process->building &= ~(1U << member);
            free_slot(process->world, process->frames[member]);
        }
    }
}

/* ---- Arriving ------------------------------------------------------------------------------- */

/* One frame out of the bytes of a slot, as a socket's reader takes it. Returns its length; 0: the
 * connection is lost, with *fault (none: the bytes were cut short). */
static uint32_t take_frame(struct tn__world *world, uint32_t slot, uint32_t at,
                           struct tn_event *event, enum tn__frame_fault *fault)
{
    const struct tn__world_frame *frame = &world->frames[slot];
    const struct tn__world_process *process = &world->processes[frame->to];
    uint32_t member = world->processes[frame->from].member;
    struct tn__frame_expected expected = {
        .cluster_tag = world->cluster_tag,
        .sender = (tn_node_id)(member + 1),
        .receiver = (tn_node_id)(process->member + 1),
    };
    uint32_t length = 0;
    struct tn__frame_header header;
    *fault = tn__frame_scan(frame->bytes + at, frame->bytes_count - at, &length);
    if (*fault != TN_FRAME_FAULT_NONE || length == 0) {
        return 0;
    }
    *fault = tn__frame_open(frame->bytes + at, length, &expected, &header);
    uint32_t place = tn__world_place_of(process, member);
    if (*fault == TN_FRAME_FAULT_NONE && place == TN_WORLD_NONE) {
        *fault = TN_FRAME_FAULT_SENDER; /* F3: there is no connection to one who is no member */
    }
    if (*fault == TN_FRAME_FAULT_NONE && header.kind != TN_FRAME_ITEMS) {
        *fault = TN_FRAME_FAULT_KIND;
    }
    if (*fault == TN_FRAME_FAULT_NONE) {
        *fault = tn__frame_items_read(frame->bytes + at, &header, (uint8_t)place, world->items);
    }
    if (*fault != TN_FRAME_FAULT_NONE) {
        return 0;
    }
    *event = (struct tn_event){
        .kind = TN_EVENT_FRAME,
        .from = place,
        .restart_word = header.restart_word,
        .counter = header.counter,
        .items = world->items,
        .items_count = header.items_count,
    };
    return length;
}

void tn__world_arrive(struct tn__world *world, uint32_t slot)
{
    struct tn__world_frame *frame = &world->frames[slot];
    struct tn__world_process *process = tn__world_process(world, frame->to);
    uint64_t incarnation = process->restart_word;
    leave_flight(world, slot);
    if (process->lease == NULL || process->member == world->processes[frame->from].member) {
        tell(world, TN_SIGHT_LOST, slot, 0, process->index);
        free_slot(world, slot);
        return;
    }
    uint32_t at = 0;
    while (at < frame->bytes_count && process->restart_word == incarnation) {
        struct tn_event event;
        enum tn__frame_fault fault;
        uint32_t length = take_frame(world, slot, at, &event, &fault);
        if (length == 0) {
            world->events++;
            tell(world, TN_SIGHT_REFUSED, slot, fault, process->index);
            break;
        }
        tell(world, TN_SIGHT_DELIVERED, slot, 0, process->index);
        tn__world_turn(process, &event);
        at += length;
    }
    free_slot(world, slot);
}

void tn__world_deliver_frame(struct tn__world *world, uint32_t slot)
{
    struct tn__world_frame *frame = tn__world_frame(world, slot);
    struct tn__world_process *process = tn__world_process(world, frame->to);
    tn_assert(frame->serial != 0 && frame->waiting == 0);
    if (!process->is_paused) {
        tn__world_arrive(world, slot);
        return;
    }
    frame->due = TN_TIME_NEVER;
    frame->waiting = 1;
    tn_assert(process->waiting_count < TN_WORLD_FRAMES_MAX);
    process->waiting[process->waiting_count++] = slot;
}

/* ---- For those who tell the frames what to do ----------------------------------------------- */

uint32_t tn__world_first_frame(const struct tn__world *world)
{
    return world->frames_first;
}

uint32_t tn__world_next_frame(const struct tn__world *world, uint32_t frame)
{
    tn_assert(frame < world->frames_used);
    return world->frames[frame].next;
}

uint32_t tn__world_frames_count(const struct tn__world *world)
{
    return world->frames_count;
}

struct tn__world_frame *tn__world_frame(struct tn__world *world, uint32_t frame)
{
    tn_assert(frame < world->frames_used);
    return &world->frames[frame];
}

uint32_t tn__world_frame_messages(const struct tn__world *world, uint32_t slot,
                                  struct tn_message *messages, uint32_t room)
{
    const struct tn__world_frame *frame = &world->frames[slot];
    struct tn__frame_expected anything = {0};
    struct tn__frame_header header;
    uint32_t length = 0;
    if (tn__frame_scan(frame->bytes, frame->bytes_count, &length) != TN_FRAME_FAULT_NONE ||
        length == 0 ||
        tn__frame_open(frame->bytes, length, &anything, &header) != TN_FRAME_FAULT_NONE ||
        header.items_count > room) {
        return 0;
    }
    uint8_t member = (uint8_t)world->processes[frame->from].member;
    return tn__frame_items_read(frame->bytes, &header, member, messages) == TN_FRAME_FAULT_NONE
               ? header.items_count
               : 0;
}

void tn__world_plan_frame(struct tn__world *world, uint32_t slot, tn_time at)
{
    struct tn__world_frame *frame = tn__world_frame(world, slot);
    tn_assert(frame->serial != 0 && frame->waiting == 0);
    frame->due = at != TN_TIME_NEVER && at < world->now ? world->now : at;
    if (at != TN_TIME_NEVER) {
        struct tn__world_entry entry = {
            .at = frame->due, .word = frame->serial, .kind = TN__WORLD_ENTRY_FRAME, .frame = slot};
        tn__world_push(world, &entry);
    }
}

uint32_t tn__world_copy_frame(struct tn__world *world, uint32_t slot)
{
    uint32_t copy = take_slot(world);
    if (copy == TN_WORLD_NONE) {
        return copy;
    }
    const struct tn__world_frame *frame = tn__world_frame(world, slot);
    struct tn__world_frame *made = &world->frames[copy];
    memcpy(made, frame, offsetof(struct tn__world_frame, bytes));
    memcpy(made->bytes, frame->bytes, frame->bytes_count);
    enter_flight(world, copy);
    return copy;
}

void tn__world_drop_frame(struct tn__world *world, uint32_t slot)
{
    tn_assert(tn__world_frame(world, slot)->waiting == 0);
    leave_flight(world, slot);
    tell(world, TN_SIGHT_LOST, slot, 0, world->frames[slot].to);
    free_slot(world, slot);
}
