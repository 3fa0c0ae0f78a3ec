/* What a proposal costs in CPU, through the log's machines, their drivers and the codec: three
 * nodes in one thread, no disk, no sockets, no threads. log_core_bench GROUPS RUN BYTES ROUNDS:
 * each round proposes RUN values of BYTES in each of GROUPS groups at the node that leads.
 *
 * Prints one JSON object: nanoseconds a proposal, summed over the three nodes. Under a tool that
 * counts instructions it tells changes of a few percent apart, which no clock of a shared machine
 * does. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <tenure/limits.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "paxos/log_driver.h"
#include "wire/log_codec.h"

#define NODES 3U
#define OUTBOX_BYTES (32U << 20)

struct outbox {
    uint8_t *bytes;
    size_t length;
    uint32_t count;
};

struct node {
    struct tn__log_driver *driver;
    uint32_t index;
    struct outbox outboxes[NODES];
    uint64_t *written; /* by group: asked for */
    uint64_t *durable;
    uint64_t committed;
};

static struct node nodes[NODES];
static uint32_t groups_count;
static uint8_t payload_bytes[4096];
static struct tn_log_entry entries[TN_LOG_RUN_MAX];
static const uint8_t *payloads[TN_LOG_RUN_MAX];
static tn_time now = TN_SECOND;

static const void *payload(void *context, uint64_t handle)
{
    (void)context;
    (void)handle;
    return payload_bytes;
}

static void world_append(void *context, const struct tn_log_record *record,
                         const struct tn_log_entry *written)
{
    struct node *node = context;
    (void)written;
    node->written[record->group] = record->write;
}

static void world_send(void *context, tn_member_set to, const struct tn_log_message *message,
                       const struct tn_log_entry *sent)
{
    struct node *node = context;
    for (; to != 0; to &= to - 1) {
        struct outbox *box = &node->outboxes[__builtin_ctz(to)];
        tn_assert(box->length + tn__log_message_bytes(message, sent) <= OUTBOX_BYTES);
        box->length +=
            tn__log_message_write(box->bytes + box->length, message, sent, payload, NULL);
        box->count += 1;
    }
}

static void world_commit(void *context, uint32_t group, const struct tn_log_entry *committed,
                         uint32_t count)
{
    struct node *node = context;
    (void)group;
    (void)committed;
    node->committed += count;
}

static void world_notify(void *context, uint32_t group, const struct tn_log_notice *notice)
{
    (void)context;
    (void)group;
    (void)notice;
}

static void world_load(void *context, uint32_t group, const struct tn_log_load *load)
{
    (void)context;
    (void)group;
    (void)load;
}

static void world_reference(void *context, uint64_t handle)
{
    (void)context;
    (void)handle;
}

static void *mapped(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        perror("log_core_bench: memory");
        exit(1);
    }
    return memory;
}

static uint64_t word_of(uint32_t node)
{
    return 1ULL << 32 | (node + 1);
}

static void make_node(uint32_t index)
{
    struct node *node = &nodes[index];
    struct tn__log_driver_world world = {.context = node,
                                         .append = world_append,
                                         .send = world_send,
                                         .commit = world_commit,
                                         .notify = world_notify,
                                         .load = world_load,
                                         .retain = world_reference,
                                         .release = world_reference};
    node->index = index;
    node->driver = tn__log_driver_init(mapped(tn__log_driver_size(TN_GROUPS_MAX)), TN_GROUPS_MAX,
                                       index, word_of(index), &world);
    node->written = mapped(groups_count * sizeof(*node->written));
    node->durable = mapped(groups_count * sizeof(*node->durable));
    for (uint32_t i = 0; i < NODES; i++) {
        node->outboxes[i].bytes = mapped(OUTBOX_BYTES);
    }
    for (uint32_t group = 0; group < groups_count; group++) {
        struct tn_log_options options = {.nodes = {1, 2, 3},
                                         .nodes_count = NODES,
                                         .self = (uint16_t)index,
                                         .group = group,
                                         .mode = TN_LOG_MODE_FREE,
                                         .window_slots = 4096,
                                         .restart_word = word_of(index)};
        struct tn_log_recovered recovered = {.retained = 1};
        int error = tn_log_options_complete(&options, NULL, 0);
        tn_assert(error == 0);
        struct tn_log *log = tn_log_init(mapped(tn_log_size(&options)), &options, &recovered, now);
        error = tn__log_driver_add(node->driver, group, log, now);
        tn_assert(error == 0);
    }
}

/* All that lies in the box from `from` to `to`, as the node's loop would take it. */
static void deliver(uint32_t from, uint32_t to)
{
    struct outbox *box = &nodes[from].outboxes[to];
    struct tn__log_reader reader = {
        .at = box->bytes, .end = box->bytes + box->length, .left = box->count};
    struct tn_log_message message;
    while (tn__log_reader_next(&reader, &message, entries, payloads)) {
        for (uint32_t i = 0; i < message.entries_count; i++) {
            entries[i].value.handle = entries[i].value.kind == TN_LOG_VALUE_PAYLOAD;
        }
        message.from = (uint8_t)from;
        struct tn_log_event event = {.kind = TN_LOG_EVENT_MESSAGE,
                                     .from = from,
                                     .now = now,
                                     .random = now,
                                     .restart_word = word_of(from),
                                     .message = &message,
                                     .entries = entries,
                                     .entries_count = message.entries_count};
        tn__log_driver_event(nodes[to].driver, message.group, &event);
    }
    tn_assert(reader.fault == TN_FRAME_FAULT_NONE);
    box->length = 0;
    box->count = 0;
}

static void sync_disk(struct node *node)
{
    for (uint32_t group = 0; group < groups_count; group++) {
        if (node->durable[group] < node->written[group]) {
            node->durable[group] = node->written[group];
            tn__log_driver_written(node->driver, group, node->written[group], now, now);
        }
    }
}

/* Until nobody has anything to say. */
static void settle(void)
{
    for (bool busy = true; busy;) {
        busy = false;
        for (uint32_t i = 0; i < NODES; i++) {
            sync_disk(&nodes[i]);
            for (uint32_t k = 0; k < NODES; k++) {
                if (nodes[i].outboxes[k].count > 0) {
                    busy = true;
                    deliver(i, k);
                }
            }
        }
    }
}

static void propose(uint32_t group, uint64_t number, uint32_t run, uint32_t bytes)
{
    struct tn_log_value value = {.handle = 1,
                                 .bytes = bytes,
                                 .digest = tn__crc32c(0, payload_bytes, bytes),
                                 .kind = TN_LOG_VALUE_PAYLOAD};
    for (uint32_t i = 0; i < run; i++) {
        entries[i] = (struct tn_log_entry){.value = value};
    }
    struct tn_log_event event = {.kind = TN_LOG_EVENT_PROPOSE,
                                 .now = now,
                                 .random = now,
                                 .number = number,
                                 .entries = entries,
                                 .entries_count = run};
    tn__log_driver_event(nodes[0].driver, group, &event);
}

static uint64_t cpu_ns(void)
{
    struct timespec used;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000000000U + (uint64_t)used.tv_nsec;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: log_core_bench GROUPS RUN BYTES ROUNDS\n");
        return 2;
    }
    groups_count = (uint32_t)strtoul(argv[1], NULL, 10);
    uint32_t run = (uint32_t)strtoul(argv[2], NULL, 10);
    uint32_t bytes = (uint32_t)strtoul(argv[3], NULL, 10);
    uint32_t rounds = (uint32_t)strtoul(argv[4], NULL, 10);
    if (groups_count < 1 || groups_count > TN_GROUPS_MAX || run < 1 || run > TN_LOG_RUN_MAX ||
        bytes > sizeof(payload_bytes) || rounds < 1) {
        fprintf(stderr, "log_core_bench: a number is out of range\n");
        return 2;
    }
    for (uint32_t i = 0; i < NODES; i++) {
        make_node(i);
    }
    uint64_t number = 1;
    uint64_t began = 0;
    for (uint32_t round = 0; round <= rounds; round++) { /* in the first one they elect */
        began = round == 1 ? cpu_ns() : began;
        for (uint32_t group = 0; group < groups_count; group++) {
            propose(group, number, run, bytes);
        }
        number += run;
        settle();
        now += TN_MILLISECOND;
        for (uint32_t i = 0; i < NODES; i++) {
            (void)tn__log_driver_timers(nodes[i].driver, now, now, TN_GROUPS_MAX);
        }
    }
    double proposals = (double)groups_count * run;
    double taken = (double)(cpu_ns() - began) / rounds / proposals;
    bool all = nodes[0].committed == (uint64_t)(proposals * (rounds + 1));
    printf("{\"groups\": %u, \"run\": %u, \"bytes\": %u, \"ns\": %.1f, \"committed\": %s}\n",
           groups_count, run, bytes, taken, all ? "true" : "false");
    return all ? 0 : 1;
}
