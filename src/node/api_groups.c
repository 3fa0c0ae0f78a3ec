/* GET /v1/groups: the replicated logs of this node and how they are. */
#define _GNU_SOURCE
#include "base/assert.h"
#include "node/api.h"

#define LIMIT_DEFAULT 100U
#define LIMIT_MAX 1000U

/* Groups that are looked at in one go. */
#define LOOK_MAX 16U

static const char *state_of(const struct tn_log_status *log)
{
    static const char *const names[] = {
        [TN_LOG_STATE_FOLLOWER] = "follower",
        [TN_LOG_STATE_RECOVERING] = "recovering",
        [TN_LOG_STATE_UPDATING_PREVIOUS] = "updating-previous",
        [TN_LOG_STATE_ACTIVE] = "active",
        [TN_LOG_STATE_UPDATING] = "updating",
        [TN_LOG_STATE_DAMAGED] = "damaged",
        [TN_LOG_STATE_STOPPED] = "stopped",
    };
    tn_assert(log->state >= TN_LOG_STATE_FOLLOWER && log->state <= TN_LOG_STATE_STOPPED);
    return names[log->state];
}

static json_t *number(uint64_t value)
{
    return json_integer((json_int_t)(value & INT64_MAX));
}

static json_t *group_of(const struct tn__api *api, const struct tn_group_status *status)
{
    const struct tn_log_status *log = &status->log;
    json_t *group = json_object();
    json_object_set_new(group, "group", json_integer(log->group));
    json_object_set_new(group, "mode",
                        json_string(log->mode == TN_LOG_MODE_LEASED ? "leased" : "free"));
    json_object_set_new(group, "state", json_string(state_of(log)));
    json_object_set_new(group, "ready", json_boolean(log->ready));
    if (log->leader != 0) {
        json_object_set_new(group, "leader", tn__api_json_owner(api, log->leader));
    }
    json_object_set_new(group, "committed", number(log->committed));
    json_object_set_new(group, "executed", number(status->executed));
    json_object_set_new(group, "proposed", number(log->proposed));
    json_object_set_new(group, "retained", number(log->retained));
    json_object_set_new(group, "checksum",
                        json_sprintf("%016llx", (unsigned long long)log->checksum));
    json_object_set_new(group, "configuration", json_integer(log->configuration));
    json_object_set_new(group, "stalled", json_boolean(status->stalled != 0));
    json_object_set_new(group, "waiting", json_integer(log->waiting));
    json_object_set_new(group, "calls", json_integer(status->calls));
    json_object_set_new(group, "retries", number(status->retries));
    json_object_set_new(group, "unknowns", number(status->unknowns));
    if (log->age_ns != TN_TIME_NEVER) {
        json_object_set_new(group, "age_ms", tn__api_json_milliseconds(log->age_ns));
    }
    return group;
}

void tn__api_groups(struct tn__api_call *call)
{
    uint64_t first = 0;
    uint64_t limit = LIMIT_DEFAULT;
    if (!tn__api_take_number(call, "after", 0, TN_GROUP_ID_MAX, &first) ||
        !tn__api_take_number(call, "limit", 1, LIMIT_MAX, &limit)) {
        return;
    }
    json_t *groups = json_array();
    struct tn_group_status statuses[LOOK_MAX];
    uint32_t at = (uint32_t)first;
    uint32_t count;
    do {
        uint64_t left = limit - json_array_size(groups);
        count = tn__node_groups_look(call->api->node, at, statuses,
                                     left < LOOK_MAX ? (uint32_t)left : LOOK_MAX);
        for (uint32_t i = 0; i < count; i++) {
            json_array_append_new(groups, group_of(call->api, &statuses[i]));
            at = statuses[i].log.group + 1;
        }
    } while (count > 0 && json_array_size(groups) < limit);
    json_t *body = json_object();
    json_object_set_new(body, "groups", groups);
    if (tn__node_groups_look(call->api->node, at, statuses, 1) > 0) {
        json_object_set_new(body, "next", json_sprintf("%lu", (unsigned long)at));
    }
    tn__api_answer(call->connection, 200, body);
}
