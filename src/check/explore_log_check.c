/* What must hold in every state of a cluster of logs, and how states and events read.
 *
 *   P1  agreement: one value is committed in a slot
 *   P2  a promise never falls
 *   P3  what was said is durable: a promise that was counted or may be, a vote
 *   P6  every committed prefix is the decided one (its chain is a function of it)
 *   P7  a leader that is ready has committed whatever was committed under a lower ballot
 *   P8  no slot is decided above one that is not
 *   P9  what is committed is durable at a majority of the slot's configuration, for ever
 *   V2  one (ballot, slot) has one value
 * P1, P2 and V2 are found by the step that breaks them, the others in the state. The judge reckons
 * configurations and majorities by itself. */
#include "check/explore_log_state.h"

#include <string.h>

#include "base/assert.h"

static const char *const flaw_names[TN_EXPLORE_LOG_FLAWS_END] = {
    [TN_EXPLORE_LOG_FLAW_AGREEMENT] = "inv.P1", [TN_EXPLORE_LOG_FLAW_PROMISE] = "inv.P2",
    [TN_EXPLORE_LOG_FLAW_SAID] = "inv.P3",      [TN_EXPLORE_LOG_FLAW_PREFIX] = "inv.P6",
    [TN_EXPLORE_LOG_FLAW_READY] = "inv.P7",     [TN_EXPLORE_LOG_FLAW_SKIPPED] = "inv.P8",
    [TN_EXPLORE_LOG_FLAW_DURABLE] = "inv.P9",   [TN_EXPLORE_LOG_FLAW_VALUE] = "rule V2",
};

/* P3. */
static bool is_said_and_durable(const struct tn__explore_log *log,
                                const struct tn__explore_log_cluster *cluster, uint32_t node)
{
    const struct tn__explore_log_node *packed = &cluster->nodes[node];
    for (uint32_t p = 0; p < log->config.proposers; p++) {
        uint32_t bits = packed->answers[p];
        bool answered =
            (bits & TN_EXPLORE_LOG_ANSWERED) != 0 && (bits & TN_EXPLORE_LOG_ANSWER_HELD) == 0;
        if ((answered || (packed->promised >> p & 1U) != 0) &&
            packed->durable_promise < cluster->proposers[p].ballot) {
            return false;
        }
    }
    for (uint32_t ballot = 1; ballot <= log->config.ballots; ballot++) {
        for (uint32_t slot = 1; slot <= log->config.slots; slot++) {
            bool voted = (packed->votes & tn__explore_log_vote(ballot, slot)) != 0;
            if (voted && (packed->durable_promise < ballot || (packed->durable[slot - 1] < ballot &&
                                                               cluster->decided[slot - 1] == 0))) {
                return false;
            }
        }
    }
    return true;
}

/* P6. */
static bool is_prefix(const struct tn__explore_log_cluster *cluster, uint32_t node)
{
    const struct tn__explore_log_node *packed = &cluster->nodes[node];
    for (uint32_t slot = 1; slot <= packed->committed; slot++) {
        uint32_t ballot = packed->accepted[slot - 1];
        if (ballot == 0 || cluster->values[ballot - 1][slot - 1] != cluster->decided[slot - 1]) {
            return false;
        }
    }
    return true;
}

/* P7: whoever says that it is ready has committed what a lower ballot committed. */
static bool is_recovered(const struct tn__explore_log *log,
                         const struct tn__explore_log_cluster *cluster, uint32_t p)
{
    const struct tn__explore_log_proposer *proposer = &cluster->proposers[p];
    uint32_t lower = proposer->ballot == 0 ? 0 : (1U << (proposer->ballot - 1)) - 1;
    bool misses = false;
    for (uint32_t slot = cluster->nodes[p].committed + 1U; slot <= log->config.slots; slot++) {
        misses = misses || (cluster->fetchable[slot - 1] & lower) != 0;
    }
    if (!misses) {
        return true;
    }
    struct tn__explore_log_cells cells;
    struct tn__explore_log_attempt attempt;
    tn__explore_log_unpack(log, cluster, p, &cells);
    tn__explore_log_attempt_unpack(log, cluster, p, &attempt);
    return !tn__log_proposer_ready(&attempt.proposer, &cells.configurations,
                                   cells.learner.committed);
}

/* P9. */
static bool is_durable(const struct tn__explore_log *log,
                       const struct tn__explore_log_cluster *cluster, uint32_t slot)
{
    uint32_t voters = tn__explore_log_voters(log, cluster, slot);
    uint32_t count = 0;
    for (uint32_t i = 0; i < log->config.nodes; i++) {
        uint32_t ballot = cluster->nodes[i].durable[slot - 1];
        count += (voters >> i & 1U) != 0 && ballot != 0 &&
                 cluster->values[ballot - 1][slot - 1] == cluster->decided[slot - 1];
    }
    return 2 * count > (uint32_t)__builtin_popcount(voters);
}

static uint32_t find_flaw(const struct tn__explore_log *log,
                          const struct tn__explore_log_cluster *cluster, uint32_t flaw)
{
    bool holds = true;
    for (uint32_t i = 0; i < log->config.nodes; i++) {
        holds = holds && (flaw != TN_EXPLORE_LOG_FLAW_SAID || is_said_and_durable(log, cluster, i));
        holds = holds && (flaw != TN_EXPLORE_LOG_FLAW_PREFIX || is_prefix(cluster, i));
    }
    for (uint32_t p = 0; p < log->config.proposers; p++) {
        holds = holds && (flaw != TN_EXPLORE_LOG_FLAW_READY || is_recovered(log, cluster, p));
    }
    for (uint32_t slot = 1; slot <= log->config.slots; slot++) {
        bool decided = cluster->decided[slot - 1] != 0;
        holds = holds && (flaw != TN_EXPLORE_LOG_FLAW_SKIPPED || !decided || slot == 1 ||
                          cluster->decided[slot - 2] != 0);
        holds = holds &&
                (flaw != TN_EXPLORE_LOG_FLAW_DURABLE || !decided || is_durable(log, cluster, slot));
    }
    return holds ? TN_EXPLORE_LOG_FLAW_NONE : flaw;
}

bool tn__explore_log_judges(const struct tn__explore_log *log, uint32_t flaw)
{
    tn_assert(flaw != TN_EXPLORE_LOG_FLAW_NONE && flaw < TN_EXPLORE_LOG_FLAWS_END);
    return log->invariant == NULL || strcmp(log->invariant, flaw_names[flaw]) == 0;
}

const char *tn__explore_log_check(void *context, const void *state)
{
    const struct tn__explore_log *log = context;
    struct tn__explore_log_cluster cluster = tn__explore_log_open(log, state);
    tn_assert(cluster.flaw < TN_EXPLORE_LOG_FLAWS_END);
    if (cluster.flaw != TN_EXPLORE_LOG_FLAW_NONE) {
        return flaw_names[cluster.flaw];
    }
    for (uint32_t flaw = 1; flaw < TN_EXPLORE_LOG_FLAWS_END; flaw++) {
        if (tn__explore_log_judges(log, flaw) && find_flaw(log, &cluster, flaw) != 0) {
            return flaw_names[flaw];
        }
    }
    return NULL;
}

/* ---- For people ------------------------------------------------------------------------------ */

static void print_value(uint32_t id, struct tn__text *text)
{
    switch (id) {
    case TN_EXPLORE_LOG_CHANGE:
        tn__text_add(text, "change");
        break;
    case TN_EXPLORE_LOG_NOOP:
        tn__text_add(text, "no-op");
        break;
    default:
        tn__text_add(text, "v%u", id);
    }
}

/* "1=v1@2": slot 1 holds value v1 under ballot 2. */
static void print_slots(const struct tn__explore_log *log,
                        const struct tn__explore_log_cluster *cluster, const uint8_t *ballots,
                        struct tn__text *text)
{
    for (uint32_t slot = 1; slot <= log->config.slots; slot++) {
        uint32_t ballot = ballots[slot - 1];
        if (ballot != 0) {
            tn__text_add(text, " %u=", slot);
            print_value(cluster->values[ballot - 1][slot - 1], text);
            tn__text_add(text, "@%u", ballot);
        }
    }
}

static void print_node(const struct tn__explore_log *log,
                       const struct tn__explore_log_cluster *cluster, uint32_t node,
                       struct tn__text *text)
{
    const struct tn__explore_log_node *packed = &cluster->nodes[node];
    static const char *const phases[] = {"", " preparing", " LEADING"};
    tn__text_add(text, " | n%u promise %u committed %u", node + 1, packed->promise,
                 packed->committed);
    print_slots(log, cluster, packed->accepted, text);
    if (packed->durable_promise != packed->promise ||
        memcmp(packed->durable, packed->accepted, sizeof(packed->durable)) != 0) {
        tn__text_add(text, " (on disk: promise %u", packed->durable_promise);
        print_slots(log, cluster, packed->durable, text);
        tn__text_add(text, ")");
    }
    if (node < log->config.proposers && cluster->proposers[node].phase != TN__LOG_IDLE) {
        const struct tn__explore_log_proposer *p = &cluster->proposers[node];
        tn__text_add(text, "%s %u", phases[p->phase], p->ballot);
        tn__text_add(text, p->phase == TN__LOG_LEADING ? " next %u" : " from %u",
                     p->phase == TN__LOG_LEADING ? p->next : p->from);
        if (p->reported + 1U > p->from) {
            tn__text_add(text, " reported %u", p->reported);
        }
    }
}

void tn__explore_log_print_state(void *context, const void *state, struct tn__text *text)
{
    const struct tn__explore_log *log = context;
    struct tn__explore_log_cluster cluster = tn__explore_log_open(log, state);
    tn__text_add(text, "decided");
    for (uint32_t slot = 1; slot <= log->config.slots; slot++) {
        if (cluster.decided[slot - 1] != 0) {
            tn__text_add(text, " %u=", slot);
            print_value(cluster.decided[slot - 1], text);
        }
    }
    for (uint32_t i = 0; i < log->config.nodes; i++) {
        print_node(log, &cluster, i, text);
    }
}

void tn__explore_log_print_event(void *context, uint32_t event, struct tn__text *text)
{
    static const char *const words[TN_EXPLORE_LOG_EVENTS_END] = {
        [TN_EXPLORE_LOG_BEGIN] = "begins with ballot %u",
        [TN_EXPLORE_LOG_ANSWER] = "answers prepare %u",
        [TN_EXPLORE_LOG_RECEIVE] = "'s promise of %u arrives",
        [TN_EXPLORE_LOG_PROPOSE] = "proposes under %u: ",
        [TN_EXPLORE_LOG_ACCEPT] = "receives accept %u",
        [TN_EXPLORE_LOG_CHOSEN] = "sees chosen under %u",
        [TN_EXPLORE_LOG_FOLLOWS] = "commits as the leader of %u says",
        [TN_EXPLORE_LOG_FETCHES] = "fetches what was committed under %u",
        [TN_EXPLORE_LOG_SYNC] = "has written",
        [TN_EXPLORE_LOG_LOSES_POWER] = "loses power and restarts",
        [TN_EXPLORE_LOG_KILLED] = "is killed and restarts",
    };
    uint32_t kind = event & 0xffU;
    uint32_t argument = event >> 24;
    (void)context;
    tn_assert(kind < TN_EXPLORE_LOG_EVENTS_END);
    if (kind == TN_EXPLORE_LOG_INITIAL) {
        tn__text_add(text, "(initial)");
        return;
    }
    tn__text_add(text, "n%u%s", (event >> 8 & 0xffU) + 1, words[kind][0] == '\'' ? "" : " ");
    /* Of each sentence the words before "%u", the ballot, and those after it. */
    const char *mark = strstr(words[kind], "%u");
    if (mark == NULL) {
        tn__text_add(text, "%s", words[kind]);
        return;
    }
    tn__text_add(text, "%.*s%u%s", (int)(mark - words[kind]), words[kind], event >> 16 & 0xffU,
                 mark + 2);
    if (kind == TN_EXPLORE_LOG_PROPOSE) {
        print_value(argument, text);
    } else if (argument != 0) {
        tn__text_add(text, ", slot %u", argument);
    }
}
