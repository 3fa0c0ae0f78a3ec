/* The model made of a row: explore_log.h tells the theory. */
#include "check/explore_log.h"

#include "base/assert.h"
#include "check/explore_log_state.h"

void tn__explore_log_init(struct tn__explore_log *log, const struct tn__explore_log_config *config,
                          bool reduced)
{
    tn_assert(config->proposers >= 1 && config->proposers <= TN_EXPLORE_LOG_PROPOSERS);
    tn_assert(config->nodes >= config->proposers && config->nodes <= TN_EXPLORE_LOG_NODES);
    tn_assert(config->ballots >= 1 && config->ballots <= TN_EXPLORE_LOG_BALLOTS);
    tn_assert(config->slots >= 1 && config->slots <= TN_EXPLORE_LOG_SLOTS);
    tn_assert(config->page >= 1 && config->page <= TN_EXPLORE_LOG_SLOTS);
    *log = (struct tn__explore_log){.config = *config, .normalise = reduced};
    log->model = (struct tn__explore_model){
        .name = config->name,
        .context = log,
        .state_bytes = (uint32_t)(sizeof(struct tn__explore_log_cluster) -
                                  (TN_EXPLORE_LOG_NODES - (size_t)config->nodes) *
                                      sizeof(struct tn__explore_log_node)),
        .initial = tn__explore_log_initial,
        .successors = tn__explore_log_successors,
        .canonicalise = reduced ? tn__explore_log_canonicalise : NULL,
        .check = tn__explore_log_check,
        .print_state = tn__explore_log_print_state,
        .print_event = tn__explore_log_print_event,
    };
}
