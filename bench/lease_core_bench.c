/* What a renewal costs in CPU, through the pure core and the codec: three nodes in one thread,
 * every frame encoded, sealed, opened and decoded, one node renewing all names at half-life.
 *
 * Prints one JSON object a line for bench/run.py: the nanoseconds of CPU a renewal takes summed
 * over the three nodes, and the resident bytes a name takes at an acceptor. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <tenure/lease.h>

#include "base/assert.h"
#include "paxos/driver.h"
#include "wire/frame_builder.h"

#define NODES 3U
#define PAGE 4096U

struct outbox {
    struct tn__frame_builder builder;
    uint8_t bytes[TN_FRAME_BYTES_MAX];
    bool open;
};

struct node {
    struct tn_lease *lease;
    struct tn__driver *driver;
    uint32_t index;
    uint64_t restart_word;
    struct outbox outboxes[NODES];
    struct tn_record pending;
    uint64_t written;
    uint64_t renewed;
    void *memory; /* of the machine: pages of its own, so that those in use can be counted */
    size_t memory_bytes;
};

static struct node nodes[NODES];
static struct tn_message items[TN_FRAME_ITEMS_MAX];
static tn_time now = TN_SECOND;

static void step(struct node *node, struct tn_event event);

static void flush(struct node *from, uint32_t to)
{
    struct outbox *box = &from->outboxes[to];
    if (!box->open) {
        return;
    }
    struct tn_lease_status status;
    tn_lease_status(from->lease, now, &status);
    uint32_t length = tn__frame_finish(&box->builder, status.counter);
    box->open = false;
    struct tn__frame_header header;
    struct tn__frame_expected expected = {0};
    enum tn__frame_fault fault = tn__frame_open(box->bytes, length, &expected, &header);
    tn_assert(fault == TN_FRAME_FAULT_NONE);
    fault = tn__frame_items_read(box->bytes, &header, (uint8_t)from->index, items);
    tn_assert(fault == TN_FRAME_FAULT_NONE);
    step(&nodes[to], (struct tn_event){.kind = TN_EVENT_FRAME,
                                       .from = from->index,
                                       .restart_word = header.restart_word,
                                       .counter = header.counter,
                                       .items = items,
                                       .items_count = header.items_count});
}

static void on_send(void *context, tn_member_set to, const struct tn_message *message)
{
    struct node *node = context;
    for (uint32_t i = 0; i < NODES; i++) {
        if ((to >> i & 1) == 0) {
            continue;
        }
        struct outbox *box = &node->outboxes[i];
        if (!box->open) {
            struct tn__frame_header header = {.cluster_tag = 1,
                                              .restart_word = node->restart_word,
                                              .sender = (tn_node_id)(node->index + 1),
                                              .receiver = (tn_node_id)(i + 1)};
            tn__frame_begin(&box->builder, box->bytes, &header);
            box->open = true;
        }
        bool added = tn__frame_add(&box->builder, message);
        tn_assert(added);
    }
}

static void on_append(void *context, const struct tn_record *record)
{
    ((struct node *)context)->pending = *record;
}

static void on_notify(void *context, const struct tn_notice *notice)
{
    ((struct node *)context)->renewed += notice->kind == TN_NOTICE_RENEWED;
}

static void step(struct node *node, struct tn_event event)
{
    event.now = now;
    event.random = now;
    tn__driver_event(node->driver, &event);
    if (node->pending.write > node->written) {
        node->written = node->pending.write;
        step(node, (struct tn_event){.kind = TN_EVENT_WRITTEN, .write = node->written});
    }
}

/* One frame a peer and turn, until the network is silent. */
static void settle(void)
{
    bool busy = true;
    while (busy) {
        busy = false;
        for (uint32_t i = 0; i < NODES; i++) {
            for (uint32_t k = 0; k < NODES; k++) {
                if (nodes[i].outboxes[k].open) {
                    busy = true;
                    flush(&nodes[i], k);
                }
            }
        }
    }
}

static void run(tn_time until)
{
    for (;;) {
        tn_time due = TN_TIME_NEVER;
        uint32_t which = 0;
        for (uint32_t i = 0; i < NODES; i++) {
            tn_time deadline = tn__driver_deadline(nodes[i].driver);
            which = deadline < due ? i : which;
            due = deadline < due ? deadline : due;
        }
        if (due > until) {
            break;
        }
        now = due > now ? due : now;
        step(&nodes[which], (struct tn_event){.kind = TN_EVENT_TIMER});
        settle();
    }
    now = until;
}

static void start(uint32_t index, uint32_t names_max, uint32_t contended_max, uint8_t observe)
{
    struct node *node = &nodes[index];
    node->index = index;
    node->restart_word = 1ULL << 32 | (index + 1);
    struct tn_lease_options options = {.members = {1, 2, 3},
                                       .self = (uint16_t)index,
                                       .members_count = NODES,
                                       .restart_word = node->restart_word,
                                       .random = index};
    options.tables[0] = (struct tn_lease_table_options){.proposer_ns = 60 * TN_SECOND,
                                                        .renew_ns = 30 * TN_SECOND,
                                                        .names_max = names_max,
                                                        .contended_max = contended_max,
                                                        .observe = observe};
    int error = tn_lease_options_complete(&options, NULL, 0);
    tn_assert(error == 0);
    node->memory_bytes = (tn_lease_size(&options) + PAGE - 1) & ~(size_t)(PAGE - 1);
    node->memory =
        mmap(NULL, node->memory_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    tn_assert(node->memory != MAP_FAILED);
    node->lease = tn_lease_init(node->memory, &options, now);
    node->driver = calloc(1, sizeof(*node->driver));
    struct tn__driver_world world = {node, on_append, on_send, on_notify};
    tn__driver_init(node->driver, node->lease, &world);
}

/* Bytes of a machine that are resident: the pages it has touched. */
static size_t resident_bytes(const struct node *node)
{
    size_t pages = node->memory_bytes / PAGE, resident = 0;
    unsigned char *map = malloc(pages);
    tn_assert(map != NULL);
    int failed = mincore(node->memory, node->memory_bytes, map);
    tn_assert(failed == 0);
    for (size_t i = 0; i < pages; i++) {
        resident += map[i] & 1;
    }
    free(map);
    return resident * PAGE;
}

static double cpu_seconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void acquire_all(uint32_t names)
{
    for (uint32_t i = 0; i < names; i++) {
        struct tn_request request = {.kind = TN_REQUEST_ACQUIRE, .name_bytes = 32};
        snprintf(request.name, sizeof(request.name), "service/%07u/leader/000000000", i);
        step(&nodes[0], (struct tn_event){.kind = TN_EVENT_REQUEST, .request = &request});
        if (i % 64 == 63) {
            settle();
            now += 10 * TN_MICROSECOND;
        }
    }
    settle();
}

int main(int argc, char **argv)
{
    uint32_t names = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 100000;
    uint32_t rounds = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 9;
    uint8_t observe = argc > 3 ? TN_OBSERVE_ONLINE : TN_OBSERVE_OWNER;
    if (names == 0 || names > TN_NAMES_MAX / 2 || rounds == 0 || rounds > 1000 || argc > 4) {
        fprintf(stderr, "usage: lease_core_bench [NAMES] [ROUNDS] [hints]\n");
        return 2;
    }
    start(0, names, names, observe);
    start(1, names, 1, observe);
    start(2, names, 1, observe);
    run(now + 70 * TN_SECOND);
    acquire_all(names);
    struct tn_lease_status status;
    tn_lease_status(nodes[0].lease, now, &status);
    tn_assert(status.owned_count == names);
    struct tn_lease_view view;
    uint32_t cursor = 0, hints = 0;
    while (tn_lease_next(nodes[1].lease, 0, &cursor, now, &view)) {
        hints += view.token != 0; /* an acceptor's own record has none */
    }
    printf("{\"names\": %u, \"hints\": %u, \"acceptor_bytes_a_name\": %.1f, "
           "\"owner_bytes_a_name\": %.1f}\n",
           names, hints, (double)resident_bytes(&nodes[1]) / names,
           (double)resident_bytes(&nodes[0]) / names);
    for (uint32_t round = 0; round < rounds; round++) {
        uint64_t renewed = nodes[0].renewed;
        double cpu = cpu_seconds();
        run(now + 30 * TN_SECOND);
        renewed = nodes[0].renewed - renewed;
        cpu = cpu_seconds() - cpu;
        tn_assert(renewed > 0);
        printf("{\"cpu_ns_a_renewal\": %.1f, \"renewals\": %llu}\n", cpu / (double)renewed * 1e9,
               (unsigned long long)renewed);
    }
    return 0;
}
