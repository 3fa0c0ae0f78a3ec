/* F3: an acceptor answers for one version of the membership, durably, never for an older one.
 *
 *            LEAVE, durable                     JOIN, durable
 *   open(v) ----------------> left(v), silent ----------------> open(v + 1)
 *                             reports its ceiling               silent D_Q after a larger step
 *
 * Who calls must keep the rest of F3: members change one at a time; the next version is opened when
 * a majority of the previous one has left it and D_Q has passed since; the JOIN carries the largest
 * ceiling that they reported, and an entrant's own is raised to it before it answers. A diskless
 * cell has a fixed set of acceptors: both requests are refused there. */
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
    if (lease->ceiling.enabled == 0 || lease->joining != 0) {
        refuse(turn);
        return;
    }
    if (lease->leaving != 0) {
        return; /* under way already */
    }
    tn_assert(lease->words_write == 0);
    lease->leaving = 1; /* silent from now on, left once the write is durable */
    lease->words_write = tn__lease_write_words(turn, lease->ceiling.pending);
}

static bool join_is_valid(const struct tn_lease *lease, const struct tn_request *request)
{
    if (lease->ceiling.enabled == 0 || lease->joining != 0 || lease->leaving != 0 ||
        request->configuration <= lease->configuration || request->members_count < 1 ||
        request->members_count > TN_MEMBERS_MAX) {
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
    if (!join_is_valid(lease, request)) {
        refuse(turn);
        return;
    }
    tn_assert(lease->words_write == 0);
    tn_assert(request->configuration > lease->configuration); /* never an older one */
    lease->joining = request->configuration;
    lease->joining_ceiling = request->ceiling;
    lease->joining_count = request->members_count;
    lease->joining_larger_step = request->larger_step;
    memcpy(lease->joining_members, request->members, sizeof(lease->joining_members));

    uint64_t ceiling =
        lease->ceiling.pending > request->ceiling ? lease->ceiling.pending : request->ceiling;
    lease->words_write = tn__lease_write_words(turn, ceiling);
    tn__ceiling_asked(&lease->ceiling, ceiling, lease->words_write);
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

static void joined(struct tn__lease_turn *turn)
{
    struct tn_lease *lease = turn->lease;
    tn_node_id self = tn__lease_self(lease);
    tn_assert(lease->joining > lease->configuration);
    tn_assert(lease->joining_count >= 1 && lease->joining_count <= TN_MEMBERS_MAX);
    end_attempts(turn);
    memcpy(lease->members, lease->joining_members, sizeof(lease->members));
    lease->members_count = lease->joining_count;
    for (uint32_t i = 0; i < lease->members_count; i++) {
        lease->self = lease->members[i] == self ? (uint16_t)i : lease->self;
        lease->known[i] = (struct tn__lease_member){0};
    }
    tn_assert(tn__lease_self(lease) == self);
    lease->known[lease->self].restart_word = lease->restart_word;

    tn_assert(lease->ceiling.pending >= lease->joining_ceiling); /* F3: raised before it answers */
    lease->configuration = lease->joining;
    lease->joining = 0;
    lease->left = 0;
    struct tn_ballot floor = tn__ceiling_floor(lease->joining_ceiling);
    if (tn_ballot_compare(floor, lease->floor) > 0) {
        lease->floor = floor;
    }
    if (lease->joining_ceiling > lease->counter_seen) {
        lease->counter_seen = lease->joining_ceiling;
    }
    if (lease->joining_larger_step != 0) {
        for (uint32_t i = 0; i < lease->tables_count; i++) {
            tn_time end = turn->now + tn__lease_table_at(lease, i)->options.quarantine_ns;
            lease->silent_until = end > lease->silent_until ? end : lease->silent_until;
        }
    }
    struct tn_notice *notice = tn__lease_notify(turn, 0, TN__SLOT_NONE, TN_NOTICE_JOINED);
    notice->token = lease->configuration;
}

void tn__lease_membership_written(struct tn__lease_turn *turn, uint64_t write)
{
    struct tn_lease *lease = turn->lease;
    if (lease->words_write == 0 || write < lease->words_write) {
        return;
    }
    tn_assert((lease->leaving != 0) != (lease->joining != 0));
    lease->words_write = 0;
    if (lease->leaving != 0) {
        lease->leaving = 0;
        lease->left = 1;
        struct tn_notice *notice = tn__lease_notify(turn, 0, TN__SLOT_NONE, TN_NOTICE_LEFT);
        notice->token = lease->ceiling.pending;
    } else {
        joined(turn);
    }
}

void tn__lease_membership_failed(struct tn__lease_turn *turn, uint64_t write)
{
    struct tn_lease *lease = turn->lease;
    if (lease->words_write == 0 || write != lease->words_write) {
        return;
    }
    /* The disk may hold either; the caller asks again, and until then this node has neither left
     * nor joined. A leave that is in doubt stays silent: `left` is what a restart may read. */
    lease->left = lease->left != 0 || lease->leaving != 0;
    lease->words_write = 0;
    lease->leaving = 0;
    lease->joining = 0;
}
