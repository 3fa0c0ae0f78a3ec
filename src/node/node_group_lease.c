/* The lease of a leased group (N1): the name "log/<id>" of its table. This node's tenures and what
 * it hears of others' become events of the group's machine; a machine that cannot lead lets go. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "node/node_groups.h"
#include "os/clock.h"

#define PREFIX "log/"

static void tell_tenure(struct tn_group *group, uint64_t token, tn_time deadline)
{
    if (!group->here || group->groups->stopped) {
        return;
    }
    struct tn_log_event event = {.kind = TN_LOG_EVENT_TENURE, .token = token, .deadline = deadline};
    tn__groups_step(group->groups, group, &event);
}

static void on_change(struct tn_node_lease *lease, const struct tn_notice *notice, void *data)
{
    (void)lease;
    struct tn_group *group = data;
    switch (notice->kind) {
    case TN_NOTICE_OPENED:
    case TN_NOTICE_RENEWED:
    case TN_NOTICE_REOPENED:
        if (notice->token == 0) {
            tn__node_log(group->node, TN_LOG_ERROR,
                         "group %u: its lease offers no fencing token, as a member is diskless: it "
                         "cannot be led",
                         group->id);
            return;
        }
        tell_tenure(group, notice->token, notice->deadline);
        break;
    case TN_NOTICE_LOST:
    case TN_NOTICE_RELEASED:
        tell_tenure(group, 0, 0);
        break;
    default:
        break;
    }
}

int tn__group_lease_open(struct tn_group *group)
{
    char name[TN_NAME_BYTES_MAX];
    snprintf(name, sizeof(name), PREFIX "%u", group->id);
    struct tn_node_lease_options options = {
        .priority = group->priority,
        .on_change = on_change,
        .data = group,
    };
    const char *table = group->node->config.table_names[group->table];
    return tn_node_lease_open(group->node, table, name, &options, &group->lease);
}

/* After a step that changed the machine's state: one that neither votes nor leads stands in
 * nobody's way; one that does again wants the lease again. */
void tn__group_lease_follow(struct tn_group *group)
{
    if (!group->follow || group->lease == NULL) {
        return;
    }
    group->follow = false;
    struct tn_log_status status;
    tn_log_status(group->log, tn__clock_now(), &status);
    bool others = group->node->config.members_count > 1;
    bool fit = status.state != TN_LOG_STATE_STOPPED && status.state != TN_LOG_STATE_DAMAGED &&
               !(others && group->groups->store.full); /* W4: they may have space */
    if (fit == group->wants_lease) {
        return;
    }
    group->wants_lease = fit;
    int error = fit ? tn_node_lease_acquire(group->lease) : tn_node_lease_release(group->lease);
    if (error != 0) {
        group->wants_lease = !fit; /* busy: tried again at the next change */
    }
}

/* "log/7" -> 7; -1: no group's name. */
static int32_t group_id_of(const struct tn_notice *notice)
{
    size_t prefix = sizeof(PREFIX) - 1;
    if (notice->name_bytes <= prefix || notice->name_bytes > prefix + 5 ||
        memcmp(notice->name, PREFIX, prefix) != 0) {
        return -1;
    }
    int32_t id = 0;
    for (size_t i = prefix; i < notice->name_bytes; i++) {
        if (notice->name[i] < '0' || notice->name[i] > '9') {
            return -1;
        }
        id = 10 * id + (notice->name[i] - '0');
    }
    return id <= TN_GROUP_ID_MAX ? id : -1;
}

void tn__node_groups_notice(struct tn_node *node, const struct tn_notice *notice)
{
    struct tn__groups *groups = node->groups;
    if (groups == NULL || groups->stopped || notice->kind != TN_NOTICE_LEARNED) {
        return;
    }
    int32_t id = group_id_of(notice);
    struct tn_group *group = id < 0 ? NULL : tn__groups_find(groups, (uint32_t)id);
    if (group == NULL || !group->here || group->lease == NULL || group->table != notice->table) {
        return;
    }
    for (uint32_t i = 0; i < node->config.members_count; i++) {
        if (node->config.ids[i] == notice->node) {
            struct tn_log_event event = {.kind = TN_LOG_EVENT_LEADER, .from = i};
            tn__groups_step(groups, group, &event);
        }
    }
}
