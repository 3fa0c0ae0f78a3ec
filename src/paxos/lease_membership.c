/* F3 in the machine: the requests that leave and open a version of the membership, and what a new
 * list of members means for what is under way. The rules themselves are the configuration's.
 *
 * Who calls must keep the rest of F3 (configuration.h). The JOIN carries the largest ceiling that a
 * majority of the previous version reported, and an entrant's own is raised to it before it
 * answers. A diskless cell has a fixed set of acceptors: both requests are refused there. */
#include <string.h>

#include "base/assert.h"
#include "paxos/lease_machine.h"
#include "paxos/quorum.h"

static void refuse(struct tn__lease_turn *turn)
{
    turn->lease->counters.configurations++;
    tn__lease_incident(turn, TN_REASON_CONFIGURATION, tn__lease_self(turn->lease));
}

void tn__lease_on_leave(struct tn__lease_turn *turn)
{
    struct tn_lease *lease = turn->lease;
    enum tn__configuration_verdict verdict = lease->ceiling.enabled == 0
                                                 ? TN__CONFIGURATION_REFUSED
                                                 : tn__configuration_leave(&lease->configuration);
    if (verdict == TN__CONFIGURATION_REFUSED) {
        refuse(turn);
    } else if (verdict == TN__CONFIGURATION_ASK) {
        uint64_t write = tn__lease_write_words(turn, lease->ceiling.pending);
        tn__configuration_asked(&lease->configuration, write);
    }
}

/* Is the list one that this node is in? */
static bool members_are_valid(const struct tn_lease *lease, const struct tn_request *request)
{
    if (request->members_count < 1 || request->members_count > TN_MEMBERS_MAX) {
        return false;
    }
    bool included = false;
    for (uint32_t i = 0; i < request->members_count; i++) {
        included = included || request->members[i] == tn__lease_self(lease);
    }
    return included;
}

void tn__lease_on_join(struct tn__lease_turn *turn, const struct tn_request *request)
{
    struct tn_lease *lease = turn->lease;
    if (lease->ceiling.enabled == 0 || !members_are_valid(lease, request) ||
        tn__configuration_join(&lease->configuration, request->configuration, request->ceiling,
                               request->larger_step != 0) != TN__CONFIGURATION_ASK) {
        refuse(turn);
        return;
    }
    tn_assert(request->members_count >= 1 && request->members_count <= TN_MEMBERS_MAX);
    lease->joining_count = request->members_count;
    memcpy(lease->joining_members, request->members, sizeof(lease->joining_members));

    uint64_t ceiling =
        lease->ceiling.pending > request->ceiling ? lease->ceiling.pending : request->ceiling;
    uint64_t write = tn__lease_write_words(turn, ceiling);
    tn__configuration_asked(&lease->configuration, write);
    tn__ceiling_asked(&lease->ceiling, ceiling, write);
}

/* Sets of members are by index: what was counted under the old list is worth nothing now. By F3 no
 * attempt of the old version can still win, so this ends but few; it happens once a change. */
static void end_attempts(struct tn__lease_turn *turn)
{
    for (uint32_t i = 0; i < turn->lease->tables_count; i++) {
        struct tn__lease_table *table = tn__lease_table_at(turn->lease, i);
        struct tn__lease_contender *contender;
        while ((contender = tn__lease_table_first(table, TN__CONTENDER_WORKING)) != NULL) {
            tn__lease_proposer_abandon(&contender->proposer);
            tn__lease_attempt_wait(turn, i, contender, turn->now);
        }
    }
}

static void adopt_members(struct tn_lease *lease)
{
    tn_node_id self = tn__lease_self(lease);
    tn_assert(lease->joining_count >= 1 && lease->joining_count <= TN_MEMBERS_MAX);
    memcpy(lease->members, lease->joining_members, sizeof(lease->members));
    lease->members_count = lease->joining_count;
    for (uint32_t i = 0; i < lease->members_count; i++) {
        lease->self = lease->members[i] == self ? (uint16_t)i : lease->self;
        lease->known[i] = (struct tn__lease_member){0};
    }
    tn_assert(tn__lease_self(lease) == self);
    lease->known[lease->self].restart_word = lease->restart_word;
}

static void joined(struct tn__lease_turn *turn)
{
    struct tn_lease *lease = turn->lease;
    uint64_t ceiling = lease->configuration.joining_ceiling;
    tn_assert(lease->ceiling.pending >= ceiling); /* F3: raised before it answers */
    end_attempts(turn);
    adopt_members(lease);
    struct tn_ballot floor = tn__ceiling_floor(ceiling);
    if (tn_ballot_compare(floor, lease->floor) > 0) {
        lease->floor = floor;
    }
    if (ceiling > lease->counter_seen) {
        lease->counter_seen = ceiling;
    }
    struct tn_notice *notice = tn__lease_notify(turn, 0, TN__SLOT_NONE, TN_NOTICE_JOINED);
    notice->token = lease->configuration.version;
}

void tn__lease_membership_written(struct tn__lease_turn *turn, uint64_t write)
{
    struct tn_lease *lease = turn->lease;
    tn_time quarantine = 0; /* the longest D_Q of any table */
    for (uint32_t i = 0; i < lease->tables_count; i++) {
        tn_time own = tn__lease_table_at(lease, i)->options.quarantine_ns;
        quarantine = own > quarantine ? own : quarantine;
    }
    enum tn__configuration_change change =
        tn__configuration_written(&lease->configuration, write, turn->now, quarantine);
    if (change == TN__CONFIGURATION_JOINED) {
        joined(turn);
    } else if (change == TN__CONFIGURATION_LEFT) {
        struct tn_notice *notice = tn__lease_notify(turn, 0, TN__SLOT_NONE, TN_NOTICE_LEFT);
        notice->token = lease->ceiling.pending;
    }
}

void tn__lease_membership_failed(struct tn__lease_turn *turn, uint64_t write)
{
    tn_assert(turn->event->kind == TN_EVENT_WRITE_FAILED);
    tn_assert(write <= turn->lease->writes);
    tn__configuration_failed(&turn->lease->configuration, write, turn->lease->writes);
}
