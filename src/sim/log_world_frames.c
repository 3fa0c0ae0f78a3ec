/* Frames of the world of logs: built during a turn, sent at its end, in flight, arriving. The bytes
 * are those of the wire: wire/log_codec.h within wire/frame.h. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/random.h"
#include "sim/log_world_internal.h"

/* ---- The frames in flight -------------------------------------------------------------------- */

uint32_t tn__log_world_first_frame(const struct tn__log_world *world)
{
    return world->frames_first;
}

uint32_t tn__log_world_frames_count(const struct tn__log_world *world)
{
    return world->frames_count;
}

struct tn__log_frame *tn__log_world_frame(struct tn__log_world *world, uint32_t frame)
{
    tn_assert(frame < world->frames_used);
    return &world->frames[frame];
}

/* A frame of its own, in no list yet; NONE: there is no room. */
static uint32_t frame_new(struct tn__log_world *world)
{
    uint32_t index = world->frames_free;
    if (index != TN_LOG_WORLD_NONE) {
        world->frames_free = world->frames[index].next;
    } else if (world->frames_used < TN_LOG_WORLD_FRAMES_MAX) {
        index = world->frames_used++;
    } else {
        return TN_LOG_WORLD_NONE;
    }
    struct tn__log_frame *frame = &world->frames[index];
    uint8_t *bytes = frame->bytes;
    uint32_t room = frame->bytes_room;
    *frame = (struct tn__log_frame){.bytes = bytes,
                                    .bytes_room = room,
                                    .due = TN_TIME_NEVER,
                                    .previous = TN_LOG_WORLD_NONE,
                                    .next = TN_LOG_WORLD_NONE};
    return index;
}

static void frame_free(struct tn__log_world *world, uint32_t index)
{
    world->frames[index].used = 0;
    world->frames[index].next = world->frames_free;
    world->frames_free = index;
}

static void frame_link(struct tn__log_world *world, uint32_t index)
{
    struct tn__log_frame *frame = &world->frames[index];
    frame->used = 1;
    frame->serial = ++world->serial;
    frame->previous = world->frames_last;
    frame->next = TN_LOG_WORLD_NONE;
    if (world->frames_last != TN_LOG_WORLD_NONE) {
        world->frames[world->frames_last].next = index;
    } else {
        world->frames_first = index;
    }
    world->frames_last = index;
    world->frames_count++;
}

static void frame_unlink(struct tn__log_world *world, uint32_t index)
{
    struct tn__log_frame *frame = &world->frames[index];
    tn_assert(frame->used == 1);
    if (frame->previous != TN_LOG_WORLD_NONE) {
        world->frames[frame->previous].next = frame->next;
    } else {
        world->frames_first = frame->next;
    }
    if (frame->next != TN_LOG_WORLD_NONE) {
        world->frames[frame->next].previous = frame->previous;
    } else {
        world->frames_last = frame->previous;
    }
    world->frames_count--;
    frame_free(world, index);
}

static void frame_reserve(struct tn__log_frame *frame, size_t bytes)
{
    if (bytes > frame->bytes_room) {
        size_t room = frame->bytes_room == 0 ? 1024 : frame->bytes_room;
        while (room < bytes) {
            room *= 2;
        }
        frame->bytes = tn__log_world_grow(frame->bytes, room);
        frame->bytes_room = (uint32_t)room;
    }
}

uint32_t tn__log_world_copy_frame(struct tn__log_world *world, uint32_t index)
{
    uint32_t copy = frame_new(world);
    if (copy == TN_LOG_WORLD_NONE) {
        return copy;
    }
    const struct tn__log_frame *from = &world->frames[index];
    struct tn__log_frame *to = &world->frames[copy];
    frame_reserve(to, from->bytes_count);
    memcpy(to->bytes, from->bytes, from->bytes_count);
    to->from_word = from->from_word;
    to->to_word = from->to_word;
    to->sent_at = from->sent_at;
    to->from = from->from;
    to->to = from->to;
    to->bytes_count = from->bytes_count;
    to->kind = from->kind;
    to->damaged = from->damaged;
    to->foreign = from->foreign;
    frame_link(world, copy);
    return copy;
}

static void tell_frame(struct tn__log_world *world, enum tn__log_sight_kind kind, uint32_t index,
                       uint64_t word)
{
    struct tn__log_sight sight = {
        .kind = (uint32_t)kind, .word = word, .frame = &world->frames[index]};
    bool leaves = kind == TN_LOG_SIGHT_FRAME;
    tn__log_world_tell(world, &sight, leaves ? world->frames[index].from : world->frames[index].to);
}

void tn__log_world_drop_frame(struct tn__log_world *world, uint32_t frame)
{
    tn_assert(world->frames[frame].waiting == 0);
    tell_frame(world, TN_LOG_SIGHT_LOST, frame, 0);
    frame_unlink(world, frame);
}

/* ---- Building and sending -------------------------------------------------------------------- */

/* The frame being built for this peer is whole: off it goes, if the process lives so long. */
static void close_frame(struct tn__log_process *process, uint32_t peer)
{
    struct tn__log_world *world = process->world;
    uint32_t index = process->building[peer];
    struct tn__log_frame *frame = &world->frames[index];
    process->building[peer] = TN_LOG_WORLD_NONE;
    if (!tn__log_world_effect(process)) {
        frame_free(world, index);
        return;
    }
    struct tn__frame_header header = {
        .cluster_tag = world->cluster_tag,
        .restart_word = process->restart_word,
        .length = frame->bytes_count,
        .sender = (tn_node_id)(process->index + 1),
        .receiver = (tn_node_id)(peer + 1),
        .items_count = process->built[peer],
        .version = TN_PROTOCOL_VERSION_MAX,
        .kind = TN_FRAME_LOG,
    };
    tn__frame_seal(frame->bytes, &header);
    frame->from_word = process->restart_word;
    frame->to_word = world->processes[peer].restart_word;
    frame->sent_at = world->now;
    frame->from = process->index;
    frame->to = peer;
    frame_link(world, index);
    tell_frame(world, TN_LOG_SIGHT_FRAME, index, 0);
    if (world->hooks.frame_sent != NULL) {
        world->hooks.frame_sent(world->hooks.context, index);
    } else {
        tn__log_world_plan_frame(world, index, world->now + TN__LOG_WORLD_SOON_NS);
    }
}

static void post_to(struct tn__log_process *process, uint32_t peer,
                    const struct tn_log_message *message, const struct tn_log_entry *entries,
                    size_t bytes)
{
    struct tn__log_world *world = process->world;
    uint32_t index = process->building[peer];
    if (index != TN_LOG_WORLD_NONE &&
        (world->frames[index].bytes_count + bytes > world->options.frame_bytes ||
         process->built[peer] == TN_LOG_FRAME_MESSAGES_MAX)) {
        close_frame(process, peer);
        index = TN_LOG_WORLD_NONE;
    }
    if (index == TN_LOG_WORLD_NONE) {
        index = frame_new(world);
        if (index == TN_LOG_WORLD_NONE) {
            return; /* a network may lose it */
        }
        process->building[peer] = index;
        process->built[peer] = 0;
        world->frames[index].bytes_count = TN_FRAME_HEADER_BYTES;
        world->frames[index].kind = message->kind;
    }
    struct tn__log_frame *frame = &world->frames[index];
    frame_reserve(frame, frame->bytes_count + bytes);
    size_t written = tn__log_message_write(frame->bytes + frame->bytes_count, message, entries,
                                           tn__log_payload_bytes, process);
    tn_assert(written == bytes);
    frame->bytes_count += (uint32_t)bytes;
    process->built[peer]++;
    if (world->options.single_message != 0) {
        close_frame(process, peer);
    }
}

void tn__log_frames_post(struct tn__log_process *process, tn_member_set to,
                         const struct tn_log_message *message, const struct tn_log_entry *entries)
{
    size_t bytes = tn__log_message_bytes(message, entries);
    for (uint32_t peer = 0; peer < process->world->options.nodes_count; peer++) {
        if ((to >> peer & 1U) != 0) {
            post_to(process, peer, message, entries, bytes);
        }
    }
}

void tn__log_frames_flush(struct tn__log_process *process)
{
    for (uint32_t peer = 0; peer < process->world->options.nodes_count; peer++) {
        if (process->building[peer] != TN_LOG_WORLD_NONE) {
            close_frame(process, peer);
        }
    }
}

void tn__log_frames_discard(struct tn__log_process *process)
{
    for (uint32_t peer = 0; peer < TN_LOG_WORLD_NODES_MAX; peer++) {
        if (process->building[peer] != TN_LOG_WORLD_NONE) {
            frame_free(process->world, process->building[peer]);
            process->building[peer] = TN_LOG_WORLD_NONE;
        }
    }
}

/* ---- Arriving -------------------------------------------------------------------------------- */

/* One message of a frame: its payloads become this process's own, its event brings a reference to
 * each. */
static void take_message(struct tn__log_process *process, struct tn_log_message *message,
                         uint32_t from, uint64_t word)
{
    struct tn__log_world *world = process->world;
    struct tn_log_entry *entries = world->decoded;
    for (uint32_t i = 0; i < message->entries_count; i++) {
        if (entries[i].value.kind == TN_LOG_VALUE_PAYLOAD) {
            uint8_t *bytes = (uint8_t *)(uintptr_t)world->decoded_payloads[i];
            bool wrong = tn__log_world_unsafe(world, TN_LOG_UNSAFE_WRONG_VALUE) &&
                         tn__random_below(&world->random, 200) == 0;
            uint32_t count = entries[i].value.bytes;
            bytes[count - 1] ^= wrong ? 1 : 0;
            entries[i].value.handle = tn__log_payload_add(process, bytes, count);
            entries[i].value.digest =
                wrong ? tn__crc32c(0, bytes, count) : entries[i].value.digest;
            bytes[count - 1] ^= wrong ? 1 : 0;
        }
    }
    message->from = (uint8_t)from;
    struct tn_log_event event = {
        .kind = TN_LOG_EVENT_MESSAGE,
        .from = from,
        .restart_word = word,
        .message = message,
        .entries = entries,
        .entries_count = message->entries_count,
    };
    tn__log_turn_event(process, message->group, &event);
}

static void deliver(struct tn__log_process *process, uint32_t index)
{
    struct tn__log_world *world = process->world;
    struct tn__log_frame *frame = &world->frames[index];
    struct tn__frame_expected expected = {.cluster_tag = world->cluster_tag,
                                          .sender = (tn_node_id)(frame->from + 1),
                                          .receiver = (tn_node_id)(process->index + 1)};
    struct tn__frame_header header;
    uint32_t bytes = 0;
    enum tn__frame_fault fault = tn__frame_scan(frame->bytes, frame->bytes_count, &bytes);
    if (fault == TN_FRAME_FAULT_NONE && bytes == 0) {
        fault = TN_FRAME_FAULT_SHORT; /* the rest never comes */
    }
    if (fault == TN_FRAME_FAULT_NONE) {
        fault = tn__frame_open(frame->bytes, bytes, &expected, &header);
    }
    if (fault != TN_FRAME_FAULT_NONE) {
        tell_frame(world, TN_LOG_SIGHT_REFUSED, index, (uint64_t)fault);
        frame_unlink(world, index);
        return;
    }
    tell_frame(world, TN_LOG_SIGHT_DELIVERED, index, 0);
    tn__log_turn_begin(process);
    struct tn__log_reader reader;
    struct tn_log_message message;
    uint32_t from = frame->from;
    tn__log_reader_begin(&reader, frame->bytes, &header);
    while (!process->is_dying &&
           tn__log_reader_next(&reader, &message, world->decoded, world->decoded_payloads)) {
        take_message(process, &message, from, header.restart_word);
    }
    tn_assert(process->is_dying || reader.fault == TN_FRAME_FAULT_NONE || frame->damaged != 0);
    frame_unlink(world, index);
    tn__log_turn_end(process);
}

void tn__log_frame_arrive(struct tn__log_world *world, uint32_t index)
{
    struct tn__log_frame *frame = &world->frames[index];
    struct tn__log_process *process = &world->processes[frame->to];
    frame->due = TN_TIME_NEVER;
    if (process->wal == NULL) {
        tn__log_world_drop_frame(world, index);
        return;
    }
    if (process->is_paused) {
        if (process->waiting_count < TN__LOG_WORLD_WAITING_MAX) {
            process->waiting[process->waiting_count++] = index;
            frame->waiting = 1;
        } else {
            tn__log_world_drop_frame(world, index);
        }
        return;
    }
    deliver(process, index);
}
