/* The small world; the header tells what it is. */
#include "support/lease_world.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

static void on_append(void *context, const struct tn_record *record)
{
    struct world_node *node = context;
    node->pending = *record;
}

static void on_send(void *context, tn_member_set to, const struct tn_message *message)
{
    struct world_node *node = context;
    struct lease_world *world = node->world;
    struct tn_lease_status status;
    tn_lease_status(node->lease, world->now, &status);
    for (uint32_t i = 0; i < world->nodes_count; i++) {
        if ((to >> i & 1) == 0 || (world->cut >> i & 1) != 0 ||
            (world->cut >> node->index & 1) != 0) {
            continue;
        }
        tn_assert(world->mail_count < WORLD_MAIL_MAX);
        world->mail[world->mail_count++] =
            (struct world_mail){node->index, i, status.restart_word, status.counter, *message};
    }
}

static void on_notify(void *context, const struct tn_notice *notice)
{
    struct world_node *node = context;
    if (node->notices_count < WORLD_NOTICES_MAX) {
        node->notices[node->notices_count++] = *notice;
    }
}

static void step(struct lease_world *world, uint32_t index, struct tn_event event)
{
    struct world_node *node = &world->nodes[index];
    if (node->lease == NULL) {
        return;
    }
    event.now = world->now;
    event.random = world->now ^ index;
    tn__driver_event(node->driver, &event);
    tn_lease_check(node->lease, world->now);
    tn__driver_check(node->driver);
    if (!world->slow_disks && node->pending.write > node->disk.write) {
        world_write_done(world, index);
    }
}

void world_write_done(struct lease_world *world, uint32_t index)
{
    struct world_node *node = &world->nodes[index];
    tn_assert(node->pending.write > node->disk.write);
    node->disk = node->pending;
    step(world, index, (struct tn_event){.kind = TN_EVENT_WRITTEN, .write = node->pending.write});
}

void world_write_fails(struct lease_world *world, uint32_t index)
{
    struct world_node *node = &world->nodes[index];
    step(world, index,
         (struct tn_event){.kind = TN_EVENT_WRITE_FAILED, .write = node->pending.write});
}

void world_start(struct lease_world *world, uint32_t index)
{
    struct world_node *node = &world->nodes[index];
    tn_assert(node->lease == NULL);
    node->starts++;
    node->options.restart_word = node->starts << 32 | (0x1000 + index);
    node->options.ceiling = node->options.diskless ? 0 : node->disk.ceiling;
    if (node->disk.configuration != 0) {
        node->options.configuration = node->disk.configuration;
        node->options.left = node->disk.left;
    }
    memcpy(node->options.former_quarantine_ns, node->disk.quarantine_ns,
           sizeof(node->disk.quarantine_ns));
    node->disk.write = 0;
    node->pending = node->disk;
    size_t size = tn_lease_size(&node->options);
    void *memory = aligned_alloc(64, (size + 63) / 64 * 64);
    memset(memory, 0, size);
    node->lease = tn_lease_init(memory, &node->options, world->now);
    node->driver = malloc(sizeof(*node->driver));
    struct tn__driver_world callbacks = {node, on_append, on_send, on_notify};
    tn__driver_init(node->driver, node->lease, &callbacks);
}

void world_crash(struct lease_world *world, uint32_t index)
{
    struct world_node *node = &world->nodes[index];
    free(node->lease);
    free(node->driver);
    node->lease = NULL;
    node->driver = NULL;
    node->notices_count = 0;
}

struct lease_world *world_new(uint32_t count, const struct tn_lease_table_options *table,
                              bool settled)
{
    struct lease_world *world = calloc(1, sizeof(*world));
    tn_assert(count >= 1 && count <= WORLD_NODES_MAX);
    world->nodes_count = count;
    world->now = TN_SECOND;
    for (uint32_t i = 0; i < count; i++) {
        struct world_node *node = &world->nodes[i];
        node->world = world;
        node->index = i;
        node->options = (struct tn_lease_options){
            .self = (uint16_t)i, .members_count = count, .restart_word = 1, .random = i};
        for (uint32_t k = 0; k < count; k++) {
            node->options.members[k] = (tn_node_id)(k + 1);
        }
        node->options.tables[0] = *table;
        int error = tn_lease_options_complete(&node->options, NULL, 0);
        tn_assert(error == 0);
        world_start(world, i);
    }
    if (settled) {
        world_run(world, world->now + world->nodes[0].options.tables[0].quarantine_ns);
    }
    return world;
}

void world_free(struct lease_world *world)
{
    for (uint32_t i = 0; i < world->nodes_count; i++) {
        world_crash(world, i);
    }
    free(world);
}

void world_submit(struct lease_world *world, uint32_t node, const struct tn_request *request)
{
    step(world, node, (struct tn_event){.kind = TN_EVENT_REQUEST, .request = request});
}

void world_request(struct lease_world *world, uint32_t node, enum tn_request_kind kind,
                   const char *name)
{
    struct tn_request request = {.kind = (uint8_t)kind, .name_bytes = (uint8_t)strlen(name)};
    memcpy(request.name, name, strlen(name));
    world_submit(world, node, &request);
}

void world_deliver(struct lease_world *world, uint32_t index)
{
    tn_assert(index < world->mail_count);
    struct world_mail mail = world->mail[index];
    memmove(&world->mail[index], &world->mail[index + 1],
            (world->mail_count - index - 1) * sizeof(mail));
    world->mail_count--;
    mail.message.from = (uint8_t)mail.from;
    step(world, mail.to,
         (struct tn_event){.kind = TN_EVENT_FRAME,
                           .from = mail.from,
                           .restart_word = mail.restart_word,
                           .counter = mail.counter,
                           .items = &mail.message,
                           .items_count = 1});
}

void world_deliver_all(struct lease_world *world)
{
    while (world->mail_count > 0) {
        world_deliver(world, 0);
    }
}

void world_run(struct lease_world *world, tn_time until)
{
    for (;;) {
        world_deliver_all(world);
        tn_time due = TN_TIME_NEVER;
        uint32_t which = 0;
        for (uint32_t i = 0; i < world->nodes_count; i++) {
            if (world->nodes[i].lease == NULL) {
                continue;
            }
            tn_time deadline = tn__driver_deadline(world->nodes[i].driver);
            if (deadline < due) {
                due = deadline;
                which = i;
            }
        }
        if (due > until) {
            break;
        }
        world->now = due > world->now ? due : world->now;
        step(world, which, (struct tn_event){.kind = TN_EVENT_TIMER});
    }
    world->now = until > world->now ? until : world->now;
}

static bool view(struct lease_world *world, uint32_t node, const char *name,
                 struct tn_lease_view *out)
{
    return world->nodes[node].lease != NULL &&
           tn_lease_who(world->nodes[node].lease, 0, name, (uint32_t)strlen(name), world->now,
                        out) == 0;
}

bool world_owns(struct lease_world *world, uint32_t node, const char *name)
{
    struct tn_lease_view seen;
    return view(world, node, name, &seen) && seen.owned;
}

uint64_t world_token(struct lease_world *world, uint32_t node, const char *name)
{
    struct tn_lease_view seen;
    return view(world, node, name, &seen) ? seen.token : 0;
}

const struct tn_notice *world_last(struct lease_world *world, uint32_t index,
                                   enum tn_notice_kind kind)
{
    struct world_node *node = &world->nodes[index];
    for (uint32_t i = node->notices_count; i > 0; i--) {
        if (node->notices[i - 1].kind == kind) {
            return &node->notices[i - 1];
        }
    }
    return NULL;
}

uint32_t world_count(struct lease_world *world, uint32_t index, enum tn_notice_kind kind)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < world->nodes[index].notices_count; i++) {
        count += world->nodes[index].notices[i].kind == kind;
    }
    return count;
}
