/* The driver's world: what the machines of all groups ask for, carried out; and frames of members,
 * which become their events.
 *
 * A message is written into its member's frame at once, payloads and all, so nothing of it is
 * needed later. Frames are given to the connections when they are full, and when the turn ends.
 * Entries travel on the bulk connection, all else on the control connection, so that no length of
 * an entry delays a vote. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/random.h"
#include "node/node_groups.h"
#include "os/clock.h"

/* ---- References ------------------------------------------------------------------------------ */

static void world_retain(void *context, uint64_t handle)
{
    (void)context;
    struct tn__block *block = tn__block_of(handle);
    tn_assert(block->held > 0); /* the machine has it: the list is known already */
    block->held += 1;
}

static void world_release(void *context, uint64_t handle)
{
    struct tn__groups *groups = context;
    struct tn__block *block = tn__block_near(groups->recent, handle);
    groups->recent = tn__block_let_go(block) ? block : NULL;
}

/* ---- Records, commits, loads, notices -------------------------------------------------------- */

static void world_append(void *context, const struct tn_log_record *record,
                         const struct tn_log_entry *entries)
{
    struct tn__groups *groups = context;
    struct tn_group *group = tn__groups_find(groups, record->group);
    if (group != NULL) {
        group->appended = record->write;
    }
    tn__store_append(&groups->store, record, entries);
}

static void world_commit(void *context, uint32_t id, const struct tn_log_entry *entries,
                         uint32_t count)
{
    struct tn_group *group = tn__groups_find(context, id);
    if (group != NULL) {
        tn__apply_commit(group, entries, count);
    }
}

static void world_load(void *context, uint32_t id, const struct tn_log_load *load)
{
    tn__loads_ask(context, id, load);
}

static void log_incident(const struct tn_group *group, const struct tn_log_notice *notice)
{
    static const char *const sentences[] = {
        [TN_LOG_REASON_DUPLICATE_NODE] =
            "two processes run as this member, from copies of one data directory: stop one and "
            "give it an identity of its own",
        [TN_LOG_REASON_DIVERGED] = "what is committed here differs from what a majority has: this "
                                   "member has stopped; keep its directory for a report, and admit "
                                   "it anew with an empty one",
        [TN_LOG_REASON_PEER_DIVERGED] =
            "what is committed there differs from what a majority has: it must stop",
        [TN_LOG_REASON_DISK_FAILED] = "the log could not be written: this member neither votes nor "
                                      "learns until it is started again on a sound disk",
        [TN_LOG_REASON_DISK_FULL] = "no space for the log: nothing is accepted until there is some",
        [TN_LOG_REASON_DAMAGED] = "its log is damaged: it does not vote until all that it may have "
                                  "held is fetched from the others",
    };
    const char *sentence = notice->reason < sizeof(sentences) / sizeof(sentences[0])
                               ? sentences[notice->reason]
                               : NULL;
    tn__node_log(group->node, TN_LOG_ERROR, "group %u, member %u, slot %llu: %s", group->id,
                 (unsigned)notice->node, (unsigned long long)notice->slot,
                 sentence != NULL ? sentence : "an incident without a reason");
}

static void world_notify(void *context, uint32_t id, const struct tn_log_notice *notice)
{
    struct tn_group *group = tn__groups_find(context, id);
    if (group == NULL) {
        return;
    }
    switch (notice->kind) {
    case TN_LOG_NOTICE_ASSIGNED:
    case TN_LOG_NOTICE_REFUSED:
    case TN_LOG_NOTICE_LOST:
        tn__calls_notice(group, notice);
        return;
    case TN_LOG_NOTICE_READ:
    case TN_LOG_NOTICE_READ_FAILED:
        tn__reads_notice(group, notice);
        return;
    case TN_LOG_NOTICE_STATE:
        tn__calls_notice(group, notice);
        group->follow = true;
        tn__groups_mark_dirty(group);
        break;
    case TN_LOG_NOTICE_INCIDENT:
        log_incident(group, notice);
        break;
    case TN_LOG_NOTICE_CHECKPOINT_NEEDED:
        tn__node_log(group->node, TN_LOG_ERROR,
                     "group %u: the other members no longer have slot %llu, which this one needs: "
                     "it takes a checkpoint to go on",
                     group->id, (unsigned long long)notice->slot);
        break;
    default:
        break;
    }
    tn__groups_tell_notice(group, notice);
}

/* ---- Frames out ------------------------------------------------------------------------------ */

static const void *payload(void *context, uint64_t handle)
{
    (void)context;
    return tn__payload_bytes(handle);
}

static enum tn__channel channel_of(enum tn_log_message_kind kind)
{
    bool long_ones = kind == TN_LOG_ACCEPT || kind == TN_LOG_PROMISE || kind == TN_LOG_FETCHED ||
                     kind == TN_LOG_FORWARD;
    return long_ones ? TN_CHANNEL_BULK : TN_CHANNEL_CONTROL;
}

static size_t bytes_full(enum tn__channel channel)
{
    return channel == TN_CHANNEL_BULK ? TN_LOG_FRAME_BYTES_FULL : TN_FRAME_BYTES_MAX;
}

static void frame_finish(struct tn__groups *groups, uint32_t member, enum tn__channel channel)
{
    struct tn__groups_builder *builder = &groups->builders[member][channel];
    struct tn__frame_header header;
    tn__peers_header(groups->node->peers, member, &header);
    header.kind = TN_FRAME_LOG;
    header.items_count = (uint16_t)builder->count;
    header.length = (uint32_t)builder->frame.length;
    tn__frame_seal(builder->frame.bytes, &header);
    struct tn_node_counters *counters = &groups->node->counters;
    uint64_t *counted = tn__peers_give(groups->node->peers, member, channel, &builder->frame)
                            ? &counters->log_messages_out
                            : &counters->log_messages_unsent;
    *counted += builder->count;
    builder->count = 0;
}

void tn__groups_frames_flush(struct tn__groups *groups)
{
    for (uint32_t member = 0; member < groups->node->config.members_count; member++) {
        for (uint32_t channel = 0; channel < TN_CHANNELS_END; channel++) {
            if (groups->builders[member][channel].count > 0) {
                frame_finish(groups, member, channel);
            }
        }
    }
}

/* Room for a message in the member's frame; NULL: it cannot be sent. */
static uint8_t *frame_room(struct tn__groups *groups, uint32_t member, enum tn__channel channel,
                           size_t bytes)
{
    struct tn__groups_builder *builder = &groups->builders[member][channel];
    bool stands = channel == TN_CHANNEL_BULK ? tn__peers_bulk_connected(groups->node->peers, member)
                                             : tn__peers_connected(groups->node->peers, member);
    if (!stands || bytes > TN_LOG_FRAME_BYTES_MAX - TN_FRAME_HEADER_BYTES) {
        return NULL;
    }
    if (builder->count > 0 && (builder->frame.length + bytes > bytes_full(channel) ||
                               builder->count == TN_LOG_FRAME_MESSAGES_MAX)) {
        frame_finish(groups, member, channel);
    }
    size_t head = builder->count == 0 ? TN_FRAME_HEADER_BYTES : 0;
    if (!tn__buffer_reserve(&builder->frame, head + bytes)) {
        return NULL;
    }
    builder->frame.length += head;
    uint8_t *at = builder->frame.bytes + builder->frame.length;
    builder->frame.length += bytes;
    builder->count += 1;
    return at;
}

/* Without a look at which fields are there. */
static size_t bytes_at_most(const struct tn_log_message *message,
                            const struct tn_log_entry *entries)
{
    size_t bytes = TN_LOG_MESSAGE_BYTES_MAX + message->entries_count * TN_LOG_ENTRY_BYTES_MAX;
    for (uint32_t i = 0; i < message->entries_count; i++) {
        bytes += entries[i].value.bytes;
    }
    return bytes;
}

static void send_whole(struct tn__groups *groups, tn_member_set to,
                       const struct tn_log_message *message, const struct tn_log_entry *entries)
{
    enum tn__channel channel = channel_of(message->kind);
    size_t bytes = bytes_at_most(message, entries);
    if (bytes > TN_LOG_FRAME_BYTES_FULL) {
        bytes = tn__log_message_bytes(message, entries);
    }
    const uint8_t *written = NULL; /* encoded once, copied for the others */
    while (to != 0) {
        uint32_t member = (uint32_t)__builtin_ctz(to);
        to &= to - 1;
        uint8_t *at = frame_room(groups, member, channel, bytes);
        if (at == NULL) {
            groups->node->counters.log_messages_unsent += 1;
        } else if (written != NULL) {
            memcpy(at, written, bytes);
        } else {
            size_t length = tn__log_message_write(at, message, entries, payload, NULL);
            tn_assert(length <= bytes);
            groups->builders[member][channel].frame.length -= bytes - length;
            bytes = length;
            written = at;
        }
    }
}

/* A run too long for one frame is said as several: ACCEPT and FETCHED mean the same so. The others
 * are whole or nothing, and their senders keep them short. */
static void world_send(void *context, tn_member_set to, const struct tn_log_message *message,
                       const struct tn_log_entry *entries)
{
    struct tn__groups *groups = context;
    if (groups->stopped) {
        return;
    }
    struct tn_log_message part = *message;
    size_t room = TN_LOG_FRAME_BYTES_FULL - TN_FRAME_HEADER_BYTES;
    bool divisible = (message->kind == TN_LOG_ACCEPT || message->kind == TN_LOG_FETCHED) &&
                     bytes_at_most(message, entries) > room;
    uint32_t first = 0;
    do {
        part.entries_count = message->entries_count - first;
        if (divisible && part.entries_count > 1) {
            uint32_t fit = tn__log_message_fit(&part, entries + first, room);
            part.entries_count = fit > 0 ? fit : 1;
        }
        send_whole(groups, to, &part, entries + first);
        first += part.entries_count;
    } while (first < message->entries_count);
}

/* Behind what is being built for the member: messages keep their order. */
void tn__groups_loaded(struct tn__groups *groups, struct tn__loaded *loaded)
{
    const struct tn_group *group = tn__groups_find(groups, loaded->group);
    struct tn_node_counters *counters = &groups->node->counters;
    if (group != NULL && group->here && !groups->stopped) {
        if (groups->builders[loaded->to][TN_CHANNEL_BULK].count > 0) {
            frame_finish(groups, loaded->to, TN_CHANNEL_BULK);
        }
        bool given =
            tn__peers_give(groups->node->peers, loaded->to, TN_CHANNEL_BULK, &loaded->frame);
        counters->log_messages_out += given ? 1 : 0;
        counters->log_messages_unsent += given ? 0 : 1;
    }
    tn__loaded_free(loaded);
}

const struct tn__log_driver_world tn__groups_world = {
    .append = world_append,
    .send = world_send,
    .commit = world_commit,
    .notify = world_notify,
    .load = world_load,
    .retain = world_retain,
    .release = world_release,
};

/* ---- Frames in ------------------------------------------------------------------------------- */

/* The message's payloads into a block of the group's, and their handles into the entries. False: no
 * memory; the message is lost, as on any network. */
static bool take_payloads(struct tn__groups *groups, struct tn_group *group,
                          struct tn_log_entry *entries, uint32_t count)
{
    size_t bytes = 0;
    uint32_t held = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (entries[i].value.kind == TN_LOG_VALUE_PAYLOAD) {
            bytes += TN_PAYLOAD_LEAD_BYTES + entries[i].value.bytes;
            held += 1;
        }
    }
    if (held == 0) {
        return true;
    }
    struct tn__block *block = tn__block_make(bytes);
    if (block == NULL) {
        return false;
    }
    uint8_t *at = tn__block_bytes(block);
    for (uint32_t i = 0; i < count; i++) {
        struct tn_log_value *value = &entries[i].value;
        if (value->kind == TN_LOG_VALUE_PAYLOAD) {
            value->handle = tn__block_place(block, at);
            memcpy(at + TN_PAYLOAD_LEAD_BYTES, groups->payloads[i], value->bytes);
            at += TN_PAYLOAD_LEAD_BYTES + value->bytes;
        }
    }
    tn__block_hold(&group->held, block, held);
    tn__block_release(block);
    return true;
}

static void take_message(struct tn__groups *groups, uint32_t member,
                         const struct tn__frame_header *header, struct tn_log_message *message,
                         tn_time now)
{
    struct tn_node_counters *counters = &groups->node->counters;
    struct tn_group *group = tn__groups_find(groups, message->group);
    if (group == NULL || !group->here) {
        counters->log_messages_stray += 1;
        return;
    }
    if (!take_payloads(groups, group, groups->entries, message->entries_count)) {
        counters->log_messages_stray += 1;
        return;
    }
    message->from = (uint8_t)member;
    struct tn_log_event event = {
        .kind = TN_LOG_EVENT_MESSAGE,
        .from = member,
        .restart_word = header->restart_word,
        .message = message,
        .entries = groups->entries,
        .entries_count = message->entries_count,
    };
    tn__groups_step_at(groups, group, &event, now);
    counters->log_messages_in += 1;
}

enum tn__frame_fault tn__node_groups_frame(struct tn_node *node, uint32_t member,
                                           const uint8_t *bytes,
                                           const struct tn__frame_header *header)
{
    struct tn__groups *groups = node->groups;
    if (groups == NULL || groups->stopped) {
        node->counters.log_messages_stray += header->items_count;
        return TN_FRAME_FAULT_NONE;
    }
    tn__node_turn_begin(node);
    struct tn__log_reader reader;
    struct tn_log_message message;
    tn_time now = tn__clock_now(); /* T1: all its bytes have left the socket */
    tn__log_reader_begin(&reader, bytes, header);
    while (tn__log_reader_next(&reader, &message, groups->entries, groups->payloads)) {
        take_message(groups, member, header, &message, now);
    }
    groups->looked_at = now;
    tn__appliers_hand_over(groups); /* somebody may wait for what is committed now */
    return reader.fault;
}

void tn__node_groups_bulk(struct tn_node *node, uint32_t member)
{
    struct tn__groups *groups = node->groups;
    if (groups == NULL || groups->stopped) {
        return;
    }
    tn__node_turn_begin(node);
    for (struct tn_group *group = groups->first; group != NULL; group = group->next) {
        struct tn_log_event event = {.kind = TN_LOG_EVENT_CONNECTED, .from = member};
        if (group->here) {
            tn__groups_step(groups, group, &event);
        }
    }
}

void tn__node_groups_disconnected(struct tn_node *node, uint32_t member)
{
    struct tn__groups *groups = node->groups;
    if (groups == NULL) {
        return;
    }
    for (uint32_t channel = 0; channel < TN_CHANNELS_END; channel++) {
        groups->builders[member][channel].frame.length = 0; /* lost, as on any network */
        groups->builders[member][channel].count = 0;
    }
}
