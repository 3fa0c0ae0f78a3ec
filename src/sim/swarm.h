/* The swarm: what a seed means. Which faults are off, how many nodes, which durations, how slow a
 * network, how wrong the clocks: all drawn from the seed, so that runs differ in kind and not only
 * in chance. A run in which everything goes wrong at once hides what goes wrong by itself. */
#ifndef TN_SIM_SWARM_H
#define TN_SIM_SWARM_H

#include "base/text.h"
#include "sim/fault_plan.h"

struct tn__swarm {
    struct tn__world_options world;
    struct tn__fault_plan_options plan;
};

/* Draw the options of a seed. `nodes`: 0, or a fixed count. `without`: faults to leave off besides,
 * which changes nothing else that is drawn. */
void tn__swarm_draw(uint64_t seed, uint32_t nodes, uint64_t without, struct tn__swarm *swarm);

/* The options as text, several lines. */
void tn__swarm_print(const struct tn__swarm *swarm, struct tn__text *text);

#endif
