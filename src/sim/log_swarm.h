/* The swarm of logs: what a seed means (see sim/swarm.h for why). */
#ifndef TN_SIM_LOG_SWARM_H
#define TN_SIM_LOG_SWARM_H

#include "base/text.h"
#include "sim/log_clients.h"
#include "sim/log_faults.h"

struct tn__log_swarm {
    struct tn__log_world_options world;
    struct tn__log_faults_options faults;
    struct tn__log_clients_options clients;
};

/* Draw the options of a seed. `nodes`: 0, or a fixed count. `without`: faults to leave off besides,
 * which changes nothing else that is drawn. */
void tn__log_swarm_draw(uint64_t seed, uint32_t nodes, uint64_t without,
                        struct tn__log_swarm *swarm);

/* The options as text, several lines. */
void tn__log_swarm_print(const struct tn__log_swarm *swarm, struct tn__text *text);

#endif
