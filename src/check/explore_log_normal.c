/* Which states of a cluster of logs are the same. explore_log.h tells the theory.
 *
 * Normalisation merges states that no future event can tell apart:
 *   N1  a vote is read only by the leader of its ballot, and of slots it has not committed
 *   N2  an answer, a page and a cursor are read only until their promise is counted; of slots that
 *       are committed, or proposed, nothing reported is read
 *   N3  a leader that has proposed in the row's last slot reads no promise any more
 *   N4  what was proposed under a ballot matters while some acceptor may still accept it, or
 *       somebody holds, reports or fetches it
 *   N5  so does what its leader said to be committed
 *   N6  an attempt below what its own acceptor durably promised is never made
 *   N7  where no crash is to come, a committed slot is resolved whatever ballot it is held by
 *
 * Symmetry: acceptors that do not propose and vote in the same configurations differ in names
 * alone: no cell compares a member but for equality. */
#include "check/explore_log_state.h"

#include <string.h>

#include "base/assert.h"

static bool may_crash(const struct tn__explore_log *log,
                      const struct tn__explore_log_cluster *cluster)
{
    return tn__explore_log_has(log, TN_EXPLORE_LOG_POWER | TN_EXPLORE_LOG_KILL) &&
           cluster->crashes < log->config.crashes;
}

/* Could an acceptor, now or after a crash, accept under the ballot? */
static bool is_acceptable(const struct tn__explore_log *log,
                          const struct tn__explore_log_cluster *cluster, uint32_t ballot)
{
    for (uint32_t i = 0; i < log->config.nodes; i++) {
        if (cluster->nodes[i].durable_promise <= ballot) {
            return true;
        }
    }
    return false;
}

/* ---- N1, N2, N3 ------------------------------------------------------------------------------ */

static void forget_votes(const struct tn__explore_log *log, struct tn__explore_log_cluster *cluster)
{
    uint16_t live = 0;
    for (uint32_t p = 0; p < log->config.proposers; p++) {
        const struct tn__explore_log_proposer *proposer = &cluster->proposers[p];
        for (uint32_t slot = cluster->nodes[p].committed + 1U;
             proposer->phase == TN__LOG_LEADING && slot <= log->config.slots; slot++) {
            live |= tn__explore_log_vote(proposer->ballot, slot);
        }
    }
    for (uint32_t i = 0; i < log->config.nodes; i++) {
        cluster->nodes[i].votes &= live;
        cluster->nodes[i].held &= live;
    }
}

static void forget_promises(const struct tn__explore_log *log,
                            struct tn__explore_log_cluster *cluster, uint32_t p)
{
    struct tn__explore_log_proposer *proposer = &cluster->proposers[p];
    uint32_t committed = cluster->nodes[p].committed;
    bool leads = proposer->phase == TN__LOG_LEADING;
    if (leads) {
        proposer->from = (uint8_t)(committed + 1);
        proposer->reported =
            (uint8_t)(proposer->reported < committed ? committed : proposer->reported);
    }
    for (uint32_t i = 0; i < log->config.nodes; i++) {
        struct tn__explore_log_node *node = &cluster->nodes[i];
        uint32_t cursor = node->cursors >> (4 * p) & 15U;
        uint32_t seen = node->seen >> (4 * p) & 15U;
        if ((node->promised >> p & 1U) != 0 || (leads && proposer->next > log->config.slots)) {
            node->answers[p] = 0;
            cursor = 0;
            seen = 0;
        } else {
            cursor = cursor <= committed ? committed + 1 : cursor;
            seen = seen <= committed ? 0 : seen;
        }
        uint32_t others = 15U << (4 * (1 - p));
        node->cursors = (uint8_t)((node->cursors & others) | cursor << (4 * p));
        node->seen = (uint8_t)((node->seen & others) | seen << (4 * p));
        uint32_t below = (1U << 3 * committed) - 1;
        node->answers[p] &= (uint16_t) ~(below << TN_EXPLORE_LOG_ANSWER_SLOTS_SHIFT);
    }
}

/* ---- N4 to N7 -------------------------------------------------------------------------------- */

static bool is_held(const struct tn__explore_log *log,
                    const struct tn__explore_log_cluster *cluster, uint32_t ballot, uint32_t slot)
{
    for (uint32_t i = 0; i < log->config.nodes; i++) {
        const struct tn__explore_log_node *node = &cluster->nodes[i];
        if (node->accepted[slot - 1] == ballot || node->durable[slot - 1] == ballot) {
            return true;
        }
    }
    return false;
}

static bool is_reported(const struct tn__explore_log *log,
                        const struct tn__explore_log_cluster *cluster, uint32_t ballot,
                        uint32_t slot)
{
    for (uint32_t p = 0; p < log->config.proposers; p++) {
        if (cluster->proposers[p].merged[slot - 1] == ballot) {
            return true;
        }
        for (uint32_t i = 0; i < log->config.nodes; i++) {
            uint32_t bits = cluster->nodes[i].answers[p];
            if ((bits >> (TN_EXPLORE_LOG_ANSWER_SLOTS_SHIFT + 3 * (slot - 1)) & 7U) == ballot) {
                return true;
            }
        }
    }
    return false;
}

static bool is_needed(const struct tn__explore_log *log,
                      const struct tn__explore_log_cluster *cluster, uint32_t ballot, uint32_t slot)
{
    return tn__explore_log_attempt_of(cluster, ballot) < TN_EXPLORE_LOG_PROPOSERS ||
           (cluster->fetchable[slot - 1] >> (ballot - 1) & 1U) != 0 ||
           is_acceptable(log, cluster, ballot) || is_held(log, cluster, ballot, slot) ||
           is_reported(log, cluster, ballot, slot);
}

static bool is_followed(const struct tn__explore_log *log,
                        const struct tn__explore_log_cluster *cluster, uint32_t ballot)
{
    uint32_t said = cluster->said[ballot - 1];
    bool crash = may_crash(log, cluster);
    for (uint32_t i = 0; i < log->config.nodes; i++) {
        const struct tn__explore_log_node *node = &cluster->nodes[i];
        if (node->committed >= said && !crash) {
            continue;
        }
        if (node->durable_promise <= ballot) {
            return true;
        }
        for (uint32_t slot = crash ? 1 : node->committed + 1U; slot <= said; slot++) {
            if (node->accepted[slot - 1] == ballot || node->durable[slot - 1] == ballot) {
                return true;
            }
        }
    }
    return false;
}

/* N7: of ballots with the decided value the lowest stands for all. */
static void resolve(const struct tn__explore_log *log, struct tn__explore_log_cluster *cluster)
{
    for (uint32_t slot = 1; slot <= log->config.slots; slot++) {
        uint32_t same = 0;
        for (uint32_t ballot = 1; ballot <= log->config.ballots; ballot++) {
            bool has = (cluster->fetchable[slot - 1] >> (ballot - 1) & 1U) != 0;
            if (has && cluster->values[ballot - 1][slot - 1] == cluster->decided[slot - 1]) {
                same |= 1U << (ballot - 1);
            }
        }
        if (same == 0) {
            continue;
        }
        uint32_t lowest = (uint32_t)__builtin_ctz(same) + 1;
        cluster->fetchable[slot - 1] &= (uint8_t) ~(same & ~(1U << (lowest - 1)));
        for (uint32_t i = 0; i < log->config.nodes; i++) {
            struct tn__explore_log_node *node = &cluster->nodes[i];
            uint32_t ballot = node->accepted[slot - 1];
            if (slot > node->committed || ballot == 0 || (same >> (ballot - 1) & 1U) == 0) {
                continue;
            }
            node->accepted[slot - 1] = (uint8_t)lowest;
            if (!tn__explore_log_has(log, TN_EXPLORE_LOG_WRITES)) {
                node->durable[slot - 1] = (uint8_t)lowest;
            }
        }
    }
}

static void normalise(const struct tn__explore_log *log, struct tn__explore_log_cluster *cluster)
{
    forget_votes(log, cluster);
    for (uint32_t p = 0; p < log->config.proposers; p++) {
        if (cluster->proposers[p].phase != TN__LOG_IDLE) {
            forget_promises(log, cluster, p);
        }
    }
    if (!may_crash(log, cluster)) {
        resolve(log, cluster);
    }
    for (uint32_t ballot = 1; ballot <= log->config.ballots; ballot++) {
        uint32_t owner = log->config.attempts[ballot - 1].proposer;
        if (cluster->nodes[owner].durable_promise >= ballot) {
            cluster->used |= (uint8_t)(1U << (ballot - 1)); /* N6 */
        }
        if (cluster->said[ballot - 1] != 0 && !is_followed(log, cluster, ballot)) {
            cluster->said[ballot - 1] = 0; /* N5 */
        }
        for (uint32_t slot = 1; slot <= log->config.slots; slot++) {
            uint8_t *value = &cluster->values[ballot - 1][slot - 1];
            if (*value != 0 && !is_needed(log, cluster, ballot, slot)) {
                *value = 0; /* N4 */
            }
        }
    }
}

/* ---- Symmetry -------------------------------------------------------------------------------- */

static bool are_alike(const struct tn__explore_log *log, uint32_t a, uint32_t b)
{
    return (log->config.voters >> a & 1U) == (log->config.voters >> b & 1U) &&
           (log->config.voters_next >> a & 1U) == (log->config.voters_next >> b & 1U);
}

static void sort_acceptors(const struct tn__explore_log *log,
                           struct tn__explore_log_cluster *cluster)
{
    for (uint32_t i = log->config.proposers; i < log->config.nodes; i++) {
        for (uint32_t j = i + 1; j < log->config.nodes; j++) {
            struct tn__explore_log_node *a = &cluster->nodes[i];
            struct tn__explore_log_node *b = &cluster->nodes[j];
            if (are_alike(log, i, j) && memcmp(a, b, sizeof(*a)) > 0) {
                struct tn__explore_log_node kept = *a;
                *a = *b;
                *b = kept;
            }
        }
    }
}

void tn__explore_log_canonicalise(void *context, void *state)
{
    const struct tn__explore_log *log = context;
    struct tn__explore_log_cluster cluster = tn__explore_log_open(log, state);
    if (cluster.flaw != TN_EXPLORE_LOG_FLAW_NONE) {
        return;
    }
    normalise(log, &cluster);
    sort_acceptors(log, &cluster);
    memcpy(state, &cluster, log->model.state_bytes);
}
