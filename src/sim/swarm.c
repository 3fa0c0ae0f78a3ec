/* Drawing a swarm. Every draw is made in a fixed order, whether it is used or not. */
#include "sim/swarm.h"

#include <string.h>

#include "base/assert.h"
#include "base/random.h"

#define MEMBERS_STREAM 0x7a5fd2c49be3160dULL
#define SMALLEST_NETWORK_DELAY_NS (10 * TN_MICROSECOND)

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
    for (uint32_t i = 0; i < TN_FAULT_MEMBER_ENTERS; i++) {
        if (tn__random_below(random, 4) < share) {
            faults |= tn__fault_bit((enum tn__fault)i);
        }
    }
    return faults;
}

static void draw_table(uint64_t *random, struct tn__swarm *swarm)
{
    struct tn_lease_table_options *table = &swarm->world.tables[0];
    tn_time lease = PICK(random, 20 * TN_MILLISECOND, TN_SECOND, TN_SECOND, 7 * TN_SECOND,
                         10 * TN_SECOND, 60 * TN_SECOND);
    uint64_t slack = PICK(random, 0, 0, 0, 10, 100); /* percent above T2 and T3 */
    tn_time exclusion = tn_lease_exclusion_ns(lease, swarm->world.drift_ppm);
    table->proposer_ns = lease;
    table->acceptor_ns = exclusion + exclusion / 100 * slack + swarm->plan.granularity;
    table->quarantine_ns =
        exclusion + exclusion / 100 * PICK(random, 0, 0, slack, 100) + swarm->plan.granularity;
    table->renew_ns = lease / PICK(random, 2, 3, 3, 4, 7);
    table->resend_ns = lease / PICK(random, 4, 16, 16, 64);
    table->back_off_ns = lease / PICK(random, 10, 20, 20, 40);
    table->hand_over_ns = lease * PICK(random, 2, 10, 10);
    table->names_max = 16;
    table->contended_max = 16;
    table->observe = (uint32_t)tn__random_below(random, 3);
}

static void draw_plan(uint64_t *random, struct tn__swarm *swarm)
{
    struct tn__fault_plan_options *plan = &swarm->plan;
    tn_time lease = swarm->world.tables[0].proposer_ns;
    plan->delay_ns = lease / PICK(random, 50, 200, 1000, 1000);
    if (plan->delay_ns < SMALLEST_NETWORK_DELAY_NS) {
        plan->delay_ns = SMALLEST_NETWORK_DELAY_NS;
    }
    /* A duel ends when the waits differ by more than an attempt takes, which is two round trips. */
    if (swarm->world.tables[0].back_off_ns < 8 * plan->delay_ns) {
        swarm->world.tables[0].back_off_ns = 8 * plan->delay_ns;
    }
    /* And a wait below the clock's step is none: H1 would stand back for nothing. */
    if (swarm->world.tables[0].back_off_ns < 2 * plan->granularity) {
        swarm->world.tables[0].back_off_ns = 2 * plan->granularity;
    }
    plan->episode_ns = lease / PICK(random, 1, 2, 4, 8) * 2;
    plan->request_ns = lease / PICK(random, 1, 4, 16);
    plan->loss_ppm = (uint32_t)PICK(random, 1000, 10000, 50000, 300000);
    plan->trouble_ppm = (uint32_t)PICK(random, 1000, 10000, 30000);
    plan->queue_frames = (uint32_t)PICK(random, 2, 8, 64);
    plan->names_count = (uint32_t)PICK(random, 1, 1, 2, 4);
    plan->priorities = tn__random_below(random, 4) == 0;
    plan->seed = tn__random_next(random);
}

/* F3: in a quarter of the seeds the members change. From a stream of its own, so that the other
 * seeds, and these with the changes left off, mean what they would mean without. */
static void draw_members(uint64_t seed, uint64_t without, struct tn__swarm *swarm)
{
    uint64_t random = seed ^ MEMBERS_STREAM;
    bool changes = tn__random_below(&random, 4) == 0;
    uint64_t faults = 0;
    for (uint32_t i = TN_FAULT_MEMBER_ENTERS; i <= TN_FAULT_MEMBERS_JUMP; i++) {
        if (tn__random_below(&random, 3) != 0) {
            faults |= tn__fault_bit((enum tn__fault)i);
        }
    }
    uint32_t standby = 1 + (uint32_t)tn__random_below(&random, 3);
    uint32_t room = TN_MEMBERS_MAX - swarm->world.nodes_count;
    uint32_t hasty = tn__random_below(&random, 2) == 0;
    tn_time change = swarm->world.tables[0].proposer_ns * PICK(&random, 1, 4, 16, 16);
    if (changes && swarm->world.diskless == 0 && (faults & ~without) != 0) {
        swarm->plan.faults |= faults & ~without;
        swarm->plan.hasty = hasty;
        swarm->plan.change_ns = change;
        swarm->world.standby_count = standby < room ? standby : room;
    }
}

void tn__swarm_draw(uint64_t seed, uint32_t nodes, uint64_t without, struct tn__swarm *swarm)
{
    uint64_t random = seed;
    *swarm = (struct tn__swarm){0};
    tn_assert(nodes <= TN_MEMBERS_MAX);
    swarm->world.seed = tn__random_next(&random);
    uint64_t drawn = PICK(&random, 1, 2, 3, 3, 3, 3, 4, 5, 5, 7);
    swarm->world.nodes_count = nodes != 0 ? nodes : (uint32_t)drawn;
    swarm->world.drift_ppm = (uint32_t)PICK(&random, 1, 500, 500, 10000, 100000, 333333);
    swarm->world.diskless = tn__random_below(&random, 8) == 0;
    swarm->world.single_item = tn__random_below(&random, 4) == 0;
    uint64_t faults = draw_faults(&random);
    tn_time granularity = PICK(&random, TN_MICROSECOND, TN_MILLISECOND, 4 * TN_MILLISECOND);
    swarm->plan.faults = faults & ~without;
    /* A clock that moves in steps may end an exclusion one step early: T2 and T3 must add it. */
    swarm->plan.granularity = (faults & tn__fault_bit(TN_FAULT_COARSE)) != 0 ? granularity : 0;
    draw_table(&random, swarm);
    draw_plan(&random, swarm);
    draw_members(seed, without, swarm);
}

void tn__swarm_print(const struct tn__swarm *swarm, struct tn__text *text)
{
    const struct tn_lease_table_options *table = &swarm->world.tables[0];
    const struct tn__fault_plan_options *plan = &swarm->plan;
    tn__text_add(text, "nodes %u, rho %u ppm, %s, names %u, frames of %s\n",
                 swarm->world.nodes_count, swarm->world.drift_ppm,
                 swarm->world.diskless != 0 ? "diskless" : "fenced", plan->names_count,
                 swarm->world.single_item != 0 ? "one item" : "a turn");
    tn__text_add(text, "D_P %llu ns, D_A %llu ns, D_Q %llu ns, renew %llu ns, resend %llu ns\n",
                 (unsigned long long)table->proposer_ns, (unsigned long long)table->acceptor_ns,
                 (unsigned long long)table->quarantine_ns, (unsigned long long)table->renew_ns,
                 (unsigned long long)table->resend_ns);
    tn__text_add(text, "back-off %llu ns, observe %u, priorities %s, clock step %llu ns\n",
                 (unsigned long long)table->back_off_ns, table->observe,
                 plan->priorities != 0 ? "differ" : "equal", (unsigned long long)plan->granularity);
    tn__text_add(text, "delay %llu ns, an episode in %llu ns, a request in %llu ns\n",
                 (unsigned long long)plan->delay_ns, (unsigned long long)plan->episode_ns,
                 (unsigned long long)plan->request_ns);
    tn__text_add(text, "loss %u ppm, other trouble %u ppm, queues of %u frames\n", plan->loss_ppm,
                 plan->trouble_ppm, plan->queue_frames);
    if (swarm->world.standby_count != 0) {
        tn__text_add(text, "members change in %llu ns, %u nodes stand by, the operator is %s\n",
                     (unsigned long long)plan->change_ns, swarm->world.standby_count,
                     plan->hasty != 0 ? "hasty" : "patient");
    }
    tn__text_add(text, "faults");
    for (uint32_t i = 0; i < TN_FAULTS_COUNT; i++) {
        if ((plan->faults >> i & 1U) != 0) {
            tn__text_add(text, " %s", tn__fault_name((enum tn__fault)i));
        }
    }
    tn__text_add(text, "\n");
}
