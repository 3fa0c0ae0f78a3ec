/* F3 in a small cluster: nodes leave a version of the membership and open the next one.
 *
 * What a node says for which version is asked of its configuration cell. What stands around the
 * cells here is whoever changes the membership: it has a version opened only when a majority of the
 * version before has durably left it, and
 *   - in small steps, any but the first only when D_Q has passed since a majority had left the
 *     version before that one. F3 asks for D_Q at every step; what this rule allows besides is all
 *     that happens while leases live on across a step, so a pass is a pass for F3 as well;
 *   - in larger steps (`larger_step`) at once, so that nothing but the silence of the new version
 *     keeps the owners of the old one and of the new apart.
 *
 * A proposer opens a version in the step of the attempt that it then makes. Sooner is the same, but
 * for the attempt in flight that it would end (ABANDON: which may end at any time).
 *
 * Requests to leave and to join are carried out with their write in one event. Between the two a
 * node is silent, which is as if messages to it were late; a crash falls before the event or after
 * it. A node may miss versions, or hear of one late, or never. An entrant need not be silent at
 * first, though the start of a process would make it so (A4). */
#include "check/explore_lease_step.h"

#include "base/assert.h"
#include "paxos/quorum.h"

/* The one write in flight; the cell compares its number alone. */
#define WRITE 1

/* Two bits of version, one of `left`, five of the end of a wait. */
struct tn__configuration tn__explore_configuration_unpack(const struct tn__explore_cluster *cluster,
                                                          uint32_t acceptor)
{
    uint32_t packed = cluster->acceptors[acceptor].clock;
    return (struct tn__configuration){
        .version = packed & 3U,
        .left = packed >> 2 & 1U,
        .silent_until = packed >> 3,
    };
}

void tn__explore_configuration_pack(struct tn__explore_cluster *cluster, uint32_t acceptor,
                                    const struct tn__configuration *cell)
{
    tn_assert(cell->version <= TN_EXPLORE_LEASE_VERSIONS && cell->left <= 1);
    tn_assert(cell->silent_until < 32);
    tn_assert(cell->write == 0 && cell->leaving == 0 && cell->joining == 0);
    cluster->acceptors[acceptor].clock =
        (uint8_t)(cell->version | cell->left << 2 | (uint32_t)cell->silent_until << 3);
}

/* ---- Whoever changes the membership ------------------------------------------------------------
 */

static bool has_left(const struct tn__explore_cluster *cluster, uint32_t acceptor, uint32_t version)
{
    struct tn__configuration cell = tn__explore_configuration_unpack(cluster, acceptor);
    return cell.version > version || (cell.version == version && cell.left != 0);
}

static bool majority_has_left(const struct tn__explore_lease *lease,
                              const struct tn__explore_cluster *cluster, uint32_t version)
{
    struct tn__explore_version members = tn__explore_members(lease, version);
    uint32_t count = 0;
    for (uint32_t i = 0; i < members.count; i++) {
        count += has_left(cluster, members.first + i, version);
    }
    return count >= tn__quorum_size(members.count);
}

/* How long a version's owners may still act once a majority has left it. */
static tn_time wait_out(const struct tn__explore_lease *lease)
{
    return lease->config->quarantine_ticks; /* F3: D_Q */
}

bool tn__explore_is_open(const struct tn__explore_lease *lease,
                         const struct tn__explore_cluster *cluster, uint32_t version)
{
    tn_assert(version >= 1 && version <= lease->config->versions_count);
    if (version == 1) {
        return true;
    }
    if (!majority_has_left(lease, cluster, version - 1)) {
        return false;
    }
    return version == 2 || lease->config->larger_step != 0 ||
           (cluster->waited != 0 && cluster->now + 1U >= cluster->waited);
}

/* From now on D_Q is waited. (There are three versions at most: only the first is waited for.) */
static void note_departure(const struct tn__explore_lease *lease,
                           struct tn__explore_cluster *cluster)
{
    if (lease->config->versions_count > 2 && cluster->waited == 0 &&
        majority_has_left(lease, cluster, 1)) {
        cluster->waited = (uint8_t)(1 + cluster->now + wait_out(lease));
    }
}

/* ---- Events ------------------------------------------------------------------------------------
 */

static void leave(const struct tn__explore_step *step, uint32_t acceptor)
{
    struct tn__explore_cluster next = *step->from;
    struct tn__configuration cell = tn__explore_configuration_unpack(&next, acceptor);
    if (tn__configuration_leave(&cell) != TN__CONFIGURATION_ASK) {
        return;
    }
    tn__configuration_asked(&cell, WRITE);
    tn__configuration_check(&cell);
    enum tn__configuration_change change =
        tn__configuration_written(&cell, WRITE, next.now, step->lease->config->quarantine_ticks);
    tn_assert(change == TN__CONFIGURATION_LEFT);
    tn__configuration_check(&cell);
    tn__explore_configuration_pack(&next, acceptor, &cell);
    note_departure(step->lease, &next);
    tn__explore_step_emit(step, &next, tn__explore_event(TN_EXPLORE_EVENT_LEAVE, acceptor, 0, 0));
}

/* The node opens the version; false: it refuses to. */
static bool join(const struct tn__explore_lease *lease, struct tn__configuration *cell,
                 uint32_t version, tn_time now)
{
    if (tn__configuration_join(cell, version, 0, lease->config->larger_step != 0) !=
        TN__CONFIGURATION_ASK) {
        return false;
    }
    tn__configuration_asked(cell, WRITE);
    tn__configuration_check(cell);
    enum tn__configuration_change change =
        tn__configuration_written(cell, WRITE, now, lease->config->quarantine_ticks);
    tn_assert(change == TN__CONFIGURATION_JOINED);
    tn__configuration_check(cell);
    cell->joining_ceiling = 0; /* read at once, or never */
    cell->larger_step = 0;
    return true;
}

static void acceptor_joins(const struct tn__explore_step *step, uint32_t acceptor, uint32_t version)
{
    struct tn__explore_cluster next = *step->from;
    struct tn__configuration cell = tn__explore_configuration_unpack(&next, acceptor);
    if (tn__explore_member(step->lease, version, acceptor) == TN_EXPLORE_NO_MEMBER ||
        !join(step->lease, &cell, version, next.now)) {
        return;
    }
    tn__explore_configuration_pack(&next, acceptor, &cell);
    note_departure(step->lease, &next);
    tn__explore_step_emit(step, &next,
                          tn__explore_event(TN_EXPLORE_EVENT_JOIN, acceptor, version, 0));
}

/* Is there an attempt, or may there be one yet? After the last one a change of members changes
 * nothing that anybody could see, so the reduced search leaves it out. */
static bool matters(const struct tn__explore_lease *lease,
                    const struct tn__explore_cluster *cluster)
{
    bool attempts = cluster->used != (1U << lease->config->ballots) - 1;
    for (uint32_t i = 0; i < lease->config->proposers; i++) {
        attempts = attempts || cluster->proposers[i].phase != TN__LEASE_IDLE;
    }
    return attempts;
}

void tn__explore_leave_and_join(const struct tn__explore_step *step, uint32_t acceptor)
{
    if (step->lease->normalise && !matters(step->lease, step->from)) {
        return;
    }
    struct tn__configuration cell = tn__explore_configuration_unpack(step->from, acceptor);
    if (cell.left == 0 && cell.version < step->lease->config->versions_count) {
        leave(step, acceptor);
    }
    for (uint32_t version = 2; version <= step->lease->config->versions_count; version++) {
        if (tn__explore_is_open(step->lease, step->from, version)) {
            acceptor_joins(step, acceptor, version);
        }
    }
}

/* A proposer is a node as well. When it joins, an attempt that is in flight ends, since what was
 * counted under the old list is worth nothing; a lease that is held goes on. */
void tn__explore_proposer_joins(const struct tn__explore_lease *lease,
                                struct tn__explore_cluster *cluster, uint32_t proposer,
                                uint32_t version)
{
    struct tn__explore_proposer *packed = &cluster->proposers[proposer];
    struct tn__configuration cell = {.version = packed->version};
    bool joined = version == cell.version || join(lease, &cell, version, cluster->now);
    tn_assert(joined && tn__configuration_attempts(&cell));
    tn_assert(packed->phase == TN__LEASE_IDLE);
    packed->version = (uint8_t)cell.version;
}

/* ---- Before and after an answer ----------------------------------------------------------------
 */

bool tn__explore_speaks_for(const struct tn__explore_lease *lease,
                            const struct tn__explore_cluster *cluster, uint32_t acceptor,
                            uint32_t ballot)
{
    if (!tn__explore_changes(lease)) {
        return true;
    }
    struct tn__configuration cell = tn__explore_configuration_unpack(cluster, acceptor);
    return tn__configuration_takes(&cell, tn__explore_ballot_version(cluster, ballot)) &&
           tn__configuration_answers(&cell, cluster->now);
}

void tn__explore_note_version(const struct tn__explore_lease *lease,
                              struct tn__explore_cluster *cluster, uint32_t acceptor,
                              uint32_t ballot)
{
    struct tn__configuration cell = tn__explore_configuration_unpack(cluster, acceptor);
    if (tn__explore_changes(lease) &&
        (cell.left != 0 || cell.version != tn__explore_ballot_version(cluster, ballot))) {
        tn__explore_flaw(cluster, TN_EXPLORE_FLAW_VERSION);
    }
}

/* ---- N9 ----------------------------------------------------------------------------------------
 */

void tn__explore_normalise_requests(const struct tn__explore_lease *lease,
                                    struct tn__explore_cluster *cluster, uint32_t acceptor)
{
    struct tn__explore_acceptor *packed = &cluster->acceptors[acceptor];
    struct tn__configuration cell = tn__explore_configuration_unpack(cluster, acceptor);
    for (uint64_t rest = packed->messages; rest != 0; rest &= rest - 1) {
        uint32_t ballot = 0;
        uint32_t position = (uint32_t)__builtin_ctzll(rest);
        enum tn__explore_message kind = tn__explore_message_at(lease, cluster, position, &ballot);
        uint32_t version = tn__explore_ballot_version(cluster, ballot);
        bool answered = tn__configuration_takes(&cell, version) &&
                        tn__configuration_answers(&cell, TN_TIME_NEVER);
        if (kind < TN_EXPLORE_REPLIES_BEGIN && version <= cell.version && !answered) {
            packed->messages &= ~(1ULL << position);
        }
    }
    if (cell.silent_until <= cluster->now) {
        cell.silent_until = 0;
        tn__explore_configuration_pack(cluster, acceptor, &cell);
    }
}

void tn__explore_normalise_versions(const struct tn__explore_lease *lease,
                                    struct tn__explore_cluster *cluster, uint32_t named)
{
    uint32_t versions = 0;
    for (uint32_t ballot = 1; ballot <= lease->config->ballots; ballot++) {
        if ((named >> (ballot - 1) & 1U) != 0) {
            versions |= tn__explore_ballot_version(cluster, ballot) << 2 * (ballot - 1);
        }
    }
    cluster->versions = (uint16_t)versions;
    if (cluster->waited != 0 && cluster->now + 1U >= cluster->waited) {
        cluster->waited = 1;
    }
}
