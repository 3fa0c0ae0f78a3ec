/* Metrics of groups: sums over all of them, every counter of the log's machines a metric of its
 * own, and a few lines for each of the first ones. */
#define _GNU_SOURCE
#include <string.h>

#include "base/assert.h"
#include "node/metrics.h"

/* Groups that are looked at in one go. */
#define LOOK_MAX 16U

static const char *const state_names[] = {
    [TN_LOG_STATE_FOLLOWER] = "follower",
    [TN_LOG_STATE_RECOVERING] = "recovering",
    [TN_LOG_STATE_UPDATING_PREVIOUS] = "updating-previous",
    [TN_LOG_STATE_ACTIVE] = "active",
    [TN_LOG_STATE_UPDATING] = "updating",
    [TN_LOG_STATE_DAMAGED] = "damaged",
    [TN_LOG_STATE_STOPPED] = "stopped",
};

static void add_group(struct tn__metrics_groups *groups, const struct tn_group_status *status)
{
    tn_assert(status->log.state <= TN_LOG_STATE_STOPPED);
    groups->count += 1;
    groups->states[status->log.state] += 1;
    groups->ready += status->log.ready;
    groups->stalled += status->stalled;
    groups->waiting += status->log.waiting;
    groups->calls += status->calls;
    groups->retries += status->retries;
    groups->unknowns += status->unknowns;
#define ADD_COUNTER(name, sentence) groups->counters.name += status->counters.name;
    TN_LOG_COUNTER_TABLE(ADD_COUNTER)
#undef ADD_COUNTER
    if (groups->shown_count < TN_METRICS_GROUPS_MAX) {
        groups->shown[groups->shown_count] = status->log;
        groups->shown_executed[groups->shown_count] = status->executed;
        groups->shown_count += 1;
    }
}

void tn__metrics_groups_gather(struct tn__metrics_groups *groups, const struct tn_node *node)
{
    struct tn_group_status statuses[LOOK_MAX];
    memset(groups, 0, sizeof(*groups));
    uint32_t first = 0;
    uint32_t count;
    do {
        count = tn__node_groups_look(node, first, statuses, LOOK_MAX);
        for (uint32_t i = 0; i < count; i++) {
            add_group(groups, &statuses[i]);
            first = statuses[i].log.group + 1;
        }
    } while (count == LOOK_MAX);
}

static void head(struct tn__text *text, const char *name, const char *type, const char *help)
{
    tn__text_add(text, "# HELP %s %s.\n# TYPE %s %s\n", name, help, name, type);
}

static void value(struct tn__text *text, const char *name, const char *type, const char *help,
                  uint64_t number)
{
    head(text, name, type, help);
    tn__text_add(text, "%s %llu\n", name, (unsigned long long)number);
}

static void each(struct tn__text *text, const struct tn__metrics_groups *groups, const char *name,
                 const char *help, uint64_t (*of)(const struct tn__metrics_groups *, uint32_t))
{
    head(text, name, "gauge", help);
    for (uint32_t i = 0; i < groups->shown_count; i++) {
        tn__text_add(text, "%s{group=\"%u\"} %llu\n", name, groups->shown[i].group,
                     (unsigned long long)of(groups, i));
    }
}

static uint64_t committed_of(const struct tn__metrics_groups *groups, uint32_t index)
{
    return groups->shown[index].committed;
}

static uint64_t executed_of(const struct tn__metrics_groups *groups, uint32_t index)
{
    return groups->shown_executed[index];
}

static uint64_t leader_of(const struct tn__metrics_groups *groups, uint32_t index)
{
    return groups->shown[index].leader;
}

void tn__metrics_groups_write(struct tn__text *text, const struct tn__metrics_groups *groups)
{
    value(text, "tenure_groups", "gauge", "groups open at this node", groups->count);
    head(text, "tenure_groups_state", "gauge", "groups in that state at this node");
    for (uint32_t state = TN_LOG_STATE_FOLLOWER; state <= TN_LOG_STATE_STOPPED; state++) {
        tn__text_add(text, "tenure_groups_state{state=\"%s\"} %u\n", state_names[state],
                     groups->states[state]);
    }
    value(text, "tenure_groups_ready", "gauge",
          "groups that this node leads and that are ready (M4)", groups->ready);
    value(text, "tenure_groups_stalled", "gauge", "groups whose machine asks for a retry",
          groups->stalled);
    value(text, "tenure_groups_waiting", "gauge", "proposals not yet proposed", groups->waiting);
    value(text, "tenure_groups_calls", "gauge", "proposals of this node under way", groups->calls);
    value(text, "tenure_groups_retries_total", "counter", "retries that machines asked for",
          groups->retries);
    value(text, "tenure_groups_unknowns_total", "counter",
          "proposals whose outcome was told as unknown (N4)", groups->unknowns);
#define WRITE_COUNTER(name, sentence)                                                              \
    value(text, "tenure_log_" #name "_total", "counter", sentence, groups->counters.name);
    TN_LOG_COUNTER_TABLE(WRITE_COUNTER)
#undef WRITE_COUNTER
    each(text, groups, "tenure_group_committed", "the committed prefix, of the first groups",
         committed_of);
    each(text, groups, "tenure_group_executed", "what the machines have executed", executed_of);
    each(text, groups, "tenure_group_leader", "the node that leads; 0: none is known", leader_of);
}
