/* The turn: take what is ready, step the machine, one append, one frame a peer.
 *
 * libuv calls back once for each ready socket, timer or wake-up; each callback steps the machine by
 * its events, and what the machine puts out is gathered. When all have run (uv_check), and before
 * the loop sleeps again (uv_prepare, for what happened outside the poll), the turn ends: due timers
 * run, each peer's frame is sealed and all output is handed to the kernel, one write a peer. So the
 * more there is to do the more goes into one frame: that is all the batching there is.
 *
 * T1: every event reads the clock once, in tn__node_step(), after its bytes have left the socket.
 *
 * The driver may not be entered from within itself. What callbacks of the program and the client
 * API ask for inside a step waits in `requests` and is carried out right after that step. */
#define _GNU_SOURCE
#include "node/node_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/random.h"
#include "os/clock.h"

#define REQUESTS_FIRST 64U

/* ---- Requests --------------------------------------------------------------------------- */

static bool requests_grow(struct tn_node *node)
{
    uint32_t capacity = node->requests_capacity == 0 ? REQUESTS_FIRST : 2 * node->requests_capacity;
    struct tn_request *grown = malloc(capacity * sizeof(*grown));
    if (grown == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < node->requests_count; i++) {
        grown[i] = node->requests[(node->requests_head + i) & (node->requests_capacity - 1)];
    }
    free(node->requests);
    node->requests = grown;
    node->requests_head = 0;
    node->requests_capacity = capacity;
    return true;
}

int tn__node_request(struct tn_node *node, const struct tn_request *request)
{
    if (node->stopping) {
        return TN_ERROR_CLOSED;
    }
    if (!node->stepping) {
        tn__node_turn_begin(node);
        struct tn_event event = {.kind = TN_EVENT_REQUEST, .request = request};
        tn__node_step(node, &event);
        return 0;
    }
    if (node->requests_count >= TN_NODE_REQUESTS_MAX ||
        (node->requests_count == node->requests_capacity && !requests_grow(node))) {
        node->counters.requests_refused += 1;
        return TN_ERROR_BUSY;
    }
    uint32_t tail = (node->requests_head + node->requests_count) & (node->requests_capacity - 1);
    node->requests[tail] = *request;
    node->requests_count += 1;
    return 0;
}

/* ---- Steps ------------------------------------------------------------------------------ */

static void step_once(struct tn_node *node, struct tn_event *event)
{
    event->now = tn__clock_now(); /* T1 */
    event->random = tn__random_next(&node->random);
    node->stepping = true;
    tn__driver_event(node->driver, event);
    node->stepping = false;
}

void tn__node_step(struct tn_node *node, struct tn_event *event)
{
    tn_assert(!node->stepping);
    tn_assert(node->turn_begun);
    step_once(node, event);
    /* Bounded: each request is one that a callback made; a callback that always makes another would
     * be a fault of the program, and still gives the sockets their turn after this many. */
    for (uint32_t i = 0; i < TN_NODE_REQUESTS_MAX && node->requests_count > 0; i++) {
        struct tn_request request = node->requests[node->requests_head];
        node->requests_head = (node->requests_head + 1) & (node->requests_capacity - 1);
        node->requests_count -= 1;
        struct tn_event next = {.kind = TN_EVENT_REQUEST, .request = &request};
        step_once(node, &next);
    }
}

/* ---- The driver's world ----------------------------------------------------------------- */

static void world_append(void *context, const struct tn_record *record)
{
    tn__node_words_append(context, record);
}

static void builder_begin(struct tn_node *node, uint32_t member)
{
    struct tn__node_builder *builder = &node->builders[member];
    struct tn__frame_header header;
    tn__peers_header(node->peers, member, &header);
    tn__frame_begin(&builder->frame, builder->bytes, &header);
    builder->begun = true;
}

static uint64_t counter_seen(const struct tn_node *node)
{
    struct tn_lease_status status;
    tn_lease_status(node->lease, 0, &status);
    return status.counter;
}

static void builder_send(struct tn_node *node, uint32_t member)
{
    struct tn__node_builder *builder = &node->builders[member];
    uint32_t length = tn__frame_finish(&builder->frame, counter_seen(node));
    builder->begun = false;
    (void)tn__peers_send(node->peers, member, builder->bytes, length);
}

static void send_to(struct tn_node *node, uint32_t member, const struct tn_message *message)
{
    if (!tn__peers_connected(node->peers, member)) {
        node->counters.items_unsent += 1;
        return;
    }
    struct tn__node_builder *builder = &node->builders[member];
    if (!builder->begun) {
        builder_begin(node, member);
    }
    if (!tn__frame_add(&builder->frame, message)) {
        builder_send(node, member);
        builder_begin(node, member);
        bool fits = tn__frame_add(&builder->frame, message);
        tn_assert(fits);
    }
    node->counters.items_out += 1;
}

static void world_send(void *context, tn_member_set to, const struct tn_message *message)
{
    struct tn_node *node = context;
    while (to != 0) {
        uint32_t member = (uint32_t)__builtin_ctz(to);
        to &= to - 1;
        tn_assert(member < node->config.members_count);
        send_to(node, member, message);
    }
}

static void log_incident(const struct tn_node *node, const struct tn_notice *notice)
{
    static const char *const sentences[] = {
        [TN_REASON_FULL] = "a table has no room for another name: raise its names_max",
        [TN_REASON_DUPLICATE_NODE] = "two processes run as this member, from copies of one data "
                                     "directory: stop one and give it an identity of its own",
        [TN_REASON_COUNTER_LEAP] = "it sent a ballot counter absurdly far ahead, which is refused",
        [TN_REASON_COUNTER_EXHAUSTED] = "no ballot counters are left",
        [TN_REASON_DURATIONS] = "its durations or drift bound differ from ours",
        [TN_REASON_CONFIGURATION] = "it speaks for another version of the membership",
        [TN_REASON_CEILING] = "the ceiling could not be made durable: silent above it",
    };
    const char *sentence = notice->reason < sizeof(sentences) / sizeof(sentences[0])
                               ? sentences[notice->reason]
                               : NULL;
    tn__node_log(node, TN_LOG_ERROR, "member %u: %s", (unsigned)notice->node,
                 sentence != NULL ? sentence : "an incident without a reason");
}

static void world_notify(void *context, const struct tn_notice *notice)
{
    struct tn_node *node = context;
    if (notice->kind == TN_NOTICE_INCIDENT) {
        log_incident(node, notice);
    }
    if (notice->name_bytes > 0) {
        tn__node_leases_notice(node, notice);
        tn__node_groups_notice(node, notice);
    }
    if (node->front.context != NULL) {
        node->front.on_notice(node->front.context, notice, tn__clock_now());
    }
    if (node->config.on_notice != NULL) {
        node->config.on_notice(node, notice, node->config.data);
    }
}

const struct tn__driver_world tn__node_world = {
    .append = world_append,
    .send = world_send,
    .notify = world_notify,
};

/* ---- What comes from members ------------------------------------------------------------ */

static enum tn__frame_fault on_items(void *owner, uint32_t member, const uint8_t *bytes,
                                     const struct tn__frame_header *header)
{
    struct tn_node *node = owner;
    enum tn__frame_fault fault = tn__frame_items_read(bytes, header, (uint8_t)member, node->items);
    if (fault != TN_FRAME_FAULT_NONE) {
        return fault;
    }
    node->counters.items_in += header->items_count;
    tn__node_turn_begin(node);
    struct tn_event event = {
        .kind = TN_EVENT_FRAME,
        .from = member,
        .restart_word = header->restart_word,
        .counter = header->counter,
        .items = node->items,
        .items_count = header->items_count,
    };
    tn__node_step(node, &event);
    return TN_FRAME_FAULT_NONE;
}

static void on_connected(void *owner, uint32_t member, uint64_t restart_word, uint64_t counter)
{
    struct tn_node *node = owner;
    tn__node_turn_begin(node);
    struct tn_event event = {
        .kind = TN_EVENT_CONNECTED,
        .from = member,
        .restart_word = restart_word,
        .counter = counter,
    };
    tn__node_step(node, &event);
}

static void on_disconnected(void *owner, uint32_t member)
{
    struct tn_node *node = owner;
    node->builders[member].begun = false; /* what was gathered for it is lost, as on any network */
    tn__node_groups_disconnected(node, member);
}

static enum tn__frame_fault on_messages(void *owner, uint32_t member, const uint8_t *bytes,
                                        const struct tn__frame_header *header)
{
    return tn__node_groups_frame(owner, member, bytes, header);
}

static void on_bulk(void *owner, uint32_t member)
{
    tn__node_groups_bulk(owner, member);
}

static uint64_t on_counter(void *owner)
{
    return counter_seen(owner);
}

static void on_log(void *owner, enum tn_log_level level, const char *text)
{
    tn__node_log(owner, level, "%s", text);
}

static void on_pong(void *owner, uint32_t member, uint64_t word)
{
    struct tn_node *node = owner;
    if (node->probe.on_pong != NULL) {
        tn__node_turn_begin(node);
        node->probe.on_pong(node->probe.context, node, member, word);
    }
}

const struct tn__peers_events tn__node_peers_events = {
    .on_items = on_items,
    .on_connected = on_connected,
    .on_disconnected = on_disconnected,
    .on_pong = on_pong,
    .on_messages = on_messages,
    .on_bulk = on_bulk,
    .counter = on_counter,
    .on_log = on_log,
};

/* ---- Begin and end ---------------------------------------------------------------------- */

void tn__node_turn_begin(struct tn_node *node)
{
    if (!node->turn_begun) {
        node->turn_begun = true;
        node->turn_began_at = tn__clock_now();
        tn__node_self_check(node, node->turn_began_at, node->timer_armed);
    }
}

void tn__node_turn_end(struct tn_node *node)
{
    if (!node->turn_begun || node->stopping) {
        return;
    }
    tn_time now = tn__node_timer_run(node);
    tn__node_self_check(node, now, node->turn_began_at); /* a callback that blocked */
    tn__node_groups_turn_end(node);
    for (uint32_t member = 0; member < node->config.members_count; member++) {
        if (node->builders[member].begun) {
            builder_send(node, member);
        }
    }
    /* The disk works while the frames travel (N3). They have the longer way, but only those that
     * make a majority with our disk are waited for: the others leave while it works. */
    tn__peers_flush(node->peers, node->config.members_count / 2);
    tn__node_groups_turn_write(node);
    tn__peers_flush(node->peers, TN_MEMBERS_MAX);
    if (node->front.context != NULL) {
        node->front.on_turn_end(node->front.context);
    }
    tn__node_timer_arm(node);
    node->counters.turns += 1;
    node->turn_begun = false;
}

static void on_check(uv_check_t *check)
{
    tn__node_turn_end(check->data);
}

static void on_prepare(uv_prepare_t *prepare)
{
    tn__node_turn_end(prepare->data);
}

int tn__node_turn_init(struct tn_node *node)
{
    node->items = calloc(TN_FRAME_ITEMS_MAX, sizeof(*node->items));
    if (node->items == NULL) {
        return TN_ERROR_NO_MEMORY;
    }
    for (uint32_t i = 0; i < node->config.members_count; i++) {
        node->builders[i].bytes = malloc(TN_FRAME_BYTES_MAX);
        if (node->builders[i].bytes == NULL) {
            return TN_ERROR_NO_MEMORY;
        }
    }
    node->prepare.data = node;
    node->check.data = node;
    uv_prepare_start(&node->prepare, on_prepare);
    uv_check_start(&node->check, on_check);
    return 0;
}

void tn__node_turn_free(struct tn_node *node)
{
    free(node->items);
    free(node->requests);
    for (uint32_t i = 0; i < TN_MEMBERS_MAX; i++) {
        free(node->builders[i].bytes);
    }
}
