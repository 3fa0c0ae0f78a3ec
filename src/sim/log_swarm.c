/* Drawing a swarm of logs. Every draw is made in a fixed order, whether it is used or not. */
#include "sim/log_swarm.h"

#include "base/assert.h"
#include "base/random.h"

static uint64_t pick(uint64_t *random, const uint64_t *from, size_t count)
{
    return from[tn__random_below(random, count)];
}

#define PICK(random, ...)                                                                          \
    pick(random, (const uint64_t[]){__VA_ARGS__},                                                  \
         sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

static uint64_t draw_faults(uint64_t *random)
{
    uint64_t faults = 0;
    uint64_t share = 1 + tn__random_below(random, 4); /* a quarter of them, up to all */
    for (uint32_t i = 0; i < TN_LOG_FAULTS_COUNT; i++) {
        if (tn__random_below(random, 4) < share) {
            faults |= tn__log_fault_bit((enum tn__log_fault)i);
        }
    }
    return faults;
}

static void draw_world(uint64_t *random, uint32_t nodes, struct tn__log_world_options *world)
{
    uint64_t drawn = PICK(random, 1, 2, 3, 3, 3, 3, 3, 4, 5, 5, 7);
    world->seed = tn__random_next(random);
    world->nodes_count = nodes != 0 ? nodes : (uint32_t)drawn;
    world->groups_count = (uint32_t)PICK(random, 1, 1, 2, 3);
    for (uint32_t g = 0; g < TN_LOG_WORLD_GROUPS_MAX; g++) {
        world->modes[g] = (uint32_t)PICK(random, TN_LOG_MODE_LEASED, TN_LOG_MODE_FREE);
    }
    bool learns = tn__random_below(random, 5) == 0;
    world->learners = learns && world->nodes_count >= 4 ? 1 : 0;
    world->single_message = tn__random_below(random, 4) == 0;
    world->frame_bytes = (uint32_t)PICK(random, 256, 2048, 16384);
    world->apply_run = (uint32_t)PICK(random, 1, 8, 64);
    world->once_slots = PICK(random, 50, 500, 1000000);
    world->once_max = (uint32_t)PICK(random, 3, 8, 30);
    world->block_bytes = (uint32_t)PICK(random, 512, 512, 4096);
    world->segment_bytes = world->block_bytes / 512 * PICK(random, 65536, 131072, 262144);
    world->log.window_slots = (uint32_t)PICK(random, 8, 16, 64, 256);
    uint64_t retained = PICK(random, 2, 4, 16);
    world->log.retain_slots = world->log.window_slots * (uint32_t)retained;
    world->log.waiting_max = (uint32_t)PICK(random, 4, 64, 1024);
    world->log.heartbeat_ns = PICK(random, 10, 50, 50) * TN_MILLISECOND;
    world->log.idle_heartbeat_ns = PICK(random, 100, 1000) * TN_MILLISECOND;
    world->log.resend_ns = PICK(random, 50, 200, 200) * TN_MILLISECOND;
    world->log.election_ns = PICK(random, 2000, 3000) * TN_MILLISECOND;
    world->log.back_off_ns = PICK(random, 50, 100, 300) * TN_MILLISECOND;
    world->log.fetch_bytes = PICK(random, 4096, 1 << 20);
    world->log.peer_bytes = PICK(random, 4096, 8 << 20);
}

static void draw_rates(uint64_t *random, struct tn__log_swarm *swarm)
{
    struct tn__log_faults_options *faults = &swarm->faults;
    faults->seed = tn__random_next(random);
    faults->delay_ns = PICK(random, 100, 500, 2000, 10000) * TN_MICROSECOND;
    faults->sync_ns = PICK(random, 50, 500, 2000, 10000) * TN_MICROSECOND;
    faults->apply_ns = PICK(random, 1, 20, 1000) * TN_MICROSECOND;
    faults->episode_ns = PICK(random, 100, 300, 1000, 3000) * TN_MILLISECOND;
    faults->tenure_ns = PICK(random, 300, 1000, 3000) * TN_MILLISECOND;
    tn_time step = PICK(random, TN_MICROSECOND, TN_MILLISECOND, 4 * TN_MILLISECOND);
    bool coarse = (faults->faults & tn__log_fault_bit(TN_LOG_FAULT_COARSE)) != 0;
    faults->granularity = coarse ? step : 0;
    faults->loss_ppm = (uint32_t)PICK(random, 1000, 10000, 50000, 200000);
    faults->trouble_ppm = (uint32_t)PICK(random, 1000, 10000, 30000);
    faults->queue_frames = (uint32_t)PICK(random, 4, 16, 64);
    struct tn__log_clients_options *clients = &swarm->clients;
    clients->seed = tn__random_next(random);
    clients->count = (uint32_t)PICK(random, 2, 4, 8, 12);
    clients->once_percent = (uint32_t)PICK(random, 0, 30, 60);
    clients->read_percent = (uint32_t)PICK(random, 10, 30, 60);
    clients->stale_percent = 5;
    clients->batch_percent = (uint32_t)PICK(random, 0, 10, 40);
    bool deaf = (faults->faults & tn__log_fault_bit(TN_LOG_FAULT_CLIENT_CUT)) != 0;
    uint64_t percent = PICK(random, 2, 10);
    clients->deaf_percent = deaf ? (uint32_t)percent : 0;
    clients->padding_max = (uint32_t)PICK(random, 0, 60, 1000);
    clients->keys = (uint32_t)PICK(random, 1, 2, 4);
    clients->think_ns = PICK(random, 1, 10, 50) * TN_MILLISECOND;
    clients->timeout_ns = PICK(random, 300, 2000) * TN_MILLISECOND;
}

void tn__log_swarm_draw(uint64_t seed, uint32_t nodes, uint64_t without,
                        struct tn__log_swarm *swarm)
{
    uint64_t random = seed;
    *swarm = (struct tn__log_swarm){0};
    tn_assert(nodes <= TN_LOG_WORLD_NODES_MAX);
    draw_world(&random, nodes, &swarm->world);
    swarm->faults.faults = draw_faults(&random);
    draw_rates(&random, swarm);
    swarm->faults.faults &= ~without;
    if ((without & tn__log_fault_bit(TN_LOG_FAULT_CLIENT_CUT)) != 0) {
        swarm->clients.deaf_percent = 0;
    }
}

void tn__log_swarm_print(const struct tn__log_swarm *swarm, struct tn__text *text)
{
    const struct tn__log_world_options *world = &swarm->world;
    const struct tn__log_faults_options *faults = &swarm->faults;
    const struct tn__log_clients_options *clients = &swarm->clients;
    tn__text_add(text, "nodes %u, learners %u, groups %u:", world->nodes_count, world->learners,
                 world->groups_count);
    for (uint32_t g = 0; g < world->groups_count; g++) {
        tn__text_add(text, " %s", world->modes[g] == TN_LOG_MODE_LEASED ? "leased" : "free");
    }
    tn__text_add(text, "\nwindow %u, retained %u, waiting %u, frames of %u bytes%s\n",
                 world->log.window_slots, world->log.retain_slots, world->log.waiting_max,
                 world->frame_bytes, world->single_message != 0 ? " and one message" : "");
    tn__text_add(text, "segments of %llu, blocks of %u, ids for %llu slots, %u at once\n",
                 (unsigned long long)world->segment_bytes, world->block_bytes,
                 (unsigned long long)world->once_slots, world->once_max);
    tn__text_add(text, "heartbeat %llu ms, resend %llu ms, election %llu ms, tenure %llu ms\n",
                 (unsigned long long)(world->log.heartbeat_ns / TN_MILLISECOND),
                 (unsigned long long)(world->log.resend_ns / TN_MILLISECOND),
                 (unsigned long long)(world->log.election_ns / TN_MILLISECOND),
                 (unsigned long long)(faults->tenure_ns / TN_MILLISECOND));
    tn__text_add(text, "delay %llu us, sync %llu us, apply %llu us, an episode in %llu ms\n",
                 (unsigned long long)(faults->delay_ns / TN_MICROSECOND),
                 (unsigned long long)(faults->sync_ns / TN_MICROSECOND),
                 (unsigned long long)(faults->apply_ns / TN_MICROSECOND),
                 (unsigned long long)(faults->episode_ns / TN_MILLISECOND));
    tn__text_add(text, "clients %u on %u keys, %u%% with ids, %u%% reads, padding to %u\n",
                 clients->count, clients->keys, clients->once_percent, clients->read_percent,
                 clients->padding_max);
    tn__text_add(text, "loss %u ppm, other trouble %u ppm\nfaults", faults->loss_ppm,
                 faults->trouble_ppm);
    for (uint32_t i = 0; i < TN_LOG_FAULTS_COUNT; i++) {
        if ((faults->faults >> i & 1U) != 0) {
            tn__text_add(text, " %s", tn__log_fault_name((enum tn__log_fault)i));
        }
    }
    tn__text_add(text, "\n");
}
