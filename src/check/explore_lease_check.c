/* What must hold in every state, where a search ends, and how states and events read.
 *
 *   inv.L1  at most one owner at any moment, each by its own clock
 *   inv.L3  an owner is held up by acceptors of a quorum, by identity, and
 *   inv.L4  each of them keeps others out at least until the owner stops: it holds a live lease of
 *           that incarnation to then, or is down (and will be silent D_Q), or silent until then
 *   inv.L5  an acceptor in quarantine holds nothing
 * and what a step found broken (enum tn__explore_flaw). inv.L3 and inv.L4 are judged together and
 * called inv.L4; they compare times of two nodes, so not where clocks differ (RATES). */
#include "check/explore_lease_step.h"

#include <string.h>

#include "base/assert.h"
#include "paxos/quorum.h"

static struct tn__explore_cluster open_state(const struct tn__explore_lease *lease,
                                             const void *state)
{
    struct tn__explore_cluster cluster;
    memset(&cluster, 0, sizeof(cluster));
    memcpy(&cluster, state, lease->model.state_bytes);
    return cluster;
}

static bool is_owner(const struct tn__explore_lease *lease,
                     const struct tn__explore_cluster *cluster, uint32_t proposer)
{
    struct tn__lease_proposer cell = {.lease_deadline =
                                          cluster->proposers[proposer].lease_deadline};
    return tn__lease_proposer_holds(&cell, tn__explore_proposer_now(lease, cluster, proposer));
}

/* Does the acceptor keep others out until the owner stops? */
static bool supports(const struct tn__explore_cluster *cluster,
                     const struct tn__explore_acceptor *acceptor,
                     const struct tn__explore_proposer *owner)
{
    if (acceptor->quarantine >= owner->lease_deadline) {
        return true;
    }
    return acceptor->accepted != 0 && acceptor->deadline >= owner->lease_deadline &&
           cluster->owner[acceptor->accepted - 1] == cluster->owner[owner->active - 1];
}

static bool has_support(const struct tn__explore_lease *lease,
                        const struct tn__explore_cluster *cluster, uint32_t proposer)
{
    const struct tn__explore_proposer *owner = &cluster->proposers[proposer];
    /* F3: a lease rests on the members of the version that it was won in. */
    struct tn__explore_version members =
        tn__explore_members(lease, tn__explore_ballot_version(cluster, owner->active));
    uint32_t count = 0;
    for (uint32_t i = 0; i < members.count; i++) {
        count += supports(cluster, &cluster->acceptors[members.first + i], owner);
    }
    return count >= tn__quorum_size(members.count);
}

static bool quarantine_is_kept(const struct tn__explore_lease *lease,
                               const struct tn__explore_cluster *cluster, uint32_t acceptor)
{
    const struct tn__explore_acceptor *packed = &cluster->acceptors[acceptor];
    bool silent = packed->quarantine == TN_EXPLORE_DOWN ||
                  packed->quarantine > tn__explore_acceptor_now(lease, cluster, acceptor);
    return !silent || (packed->accepted == 0 && packed->held == 0);
}

static const char *const flaw_names[TN_EXPLORE_FLAWS_END] = {
    [TN_EXPLORE_FLAW_LATE] = "inv.L2",
    [TN_EXPLORE_FLAW_LATE_SEND] = "rule P3",
    [TN_EXPLORE_FLAW_REPLACED] = "inv.L7",
    [TN_EXPLORE_FLAW_RELEASED] = "inv.L8",
    [TN_EXPLORE_FLAW_RENEWAL] = "inv.L9",
    [TN_EXPLORE_FLAW_TOKEN] = "inv.L11",
    [TN_EXPLORE_FLAW_PROMISE] = "rule A1",
    [TN_EXPLORE_FLAW_GHOST] = "rule A3",
    [TN_EXPLORE_FLAW_CEILING] = "rule F1",
    [TN_EXPLORE_FLAW_VERSION] = "rule F3",
    [TN_EXPLORE_FLAW_DUPLICATE] = "inv.L6",
    [TN_EXPLORE_FLAW_RANKS] = "the layout: too many ballots at once",
};

bool tn__explore_flaw_counts(const struct tn__explore_lease *lease, uint8_t flaw)
{
    tn_assert(flaw < TN_EXPLORE_FLAWS_END);
    return lease->invariant == NULL || flaw_names[flaw] == NULL ||
           strcmp(lease->invariant, flaw_names[flaw]) == 0;
}

const char *tn__explore_lease_check(void *context, const void *state)
{
    const struct tn__explore_lease *lease = context;
    struct tn__explore_cluster cluster = open_state(lease, state);
    tn_assert(cluster.flaw < TN_EXPLORE_FLAWS_END);
    const char *judged = lease->invariant;
    if (cluster.flaw != TN_EXPLORE_FLAW_NONE) {
        return flaw_names[cluster.flaw];
    }
    uint32_t owners = 0;
    bool supported = true;
    for (uint32_t i = 0; i < lease->config->proposers; i++) {
        if (is_owner(lease, &cluster, i)) {
            owners++;
            supported = supported && (tn__explore_has(lease, TN_EXPLORE_RATES) ||
                                      has_support(lease, &cluster, i));
        }
    }
    if (owners > 1 && (judged == NULL || strcmp(judged, "inv.L1") == 0)) {
        return "inv.L1";
    }
    if (!supported && (judged == NULL || strcmp(judged, "inv.L4") == 0)) {
        return "inv.L4";
    }
    for (uint32_t i = 0; judged == NULL && i < lease->config->acceptors; i++) {
        if (!quarantine_is_kept(lease, &cluster, i)) {
            return "inv.L5";
        }
    }
    return NULL;
}

/* ---- Where a search ends
 * -------------------------------------------------------------------------- */

static bool guide_incarnation(const struct tn__explore_cluster *cluster)
{
    const struct tn__explore_proposer *p1 = &cluster->proposers[0];
    const struct tn__explore_proposer *p2 = &cluster->proposers[1];
    const struct tn__explore_acceptor *acceptors = cluster->acceptors;
    bool restarted = p1->incarnation == 1;
    bool p1_is_owner = p1->lease_deadline > cluster->now;
    return (p1->floor == 0 || p1->floor == (restarted ? 1 : 2)) &&
           (p2->floor == 0 || (p2->floor == 3 && restarted && p1_is_owner && p1->active == 1)) &&
           p2->down == 0 && p2->incarnation == 0 && acceptors[0].quarantine == 0 &&
           acceptors[2].quarantine == 0 && ((p1->down == 0 && !restarted) || p1->was_active) &&
           (acceptors[1].quarantine == 0 || p1->down != 0 || restarted) &&
           (restarted || (acceptors[2].promised == 0 && acceptors[2].accepted == 0)) &&
           (cluster->now == 0 || restarted);
}

static bool guide_renewal(const struct tn__explore_cluster *cluster)
{
    const struct tn__explore_proposer *p1 = &cluster->proposers[0];
    const struct tn__explore_proposer *p2 = &cluster->proposers[1];
    const struct tn__explore_acceptor *acceptors = cluster->acceptors;
    return (p1->floor == 0 || (p1->floor == 1 && cluster->now >= 1)) &&
           (p2->floor == 0 || p2->floor == 2 || (p2->floor == 3 && (cluster->used & 2) != 0)) &&
           p1->down == 0 && p2->down == 0 && p1->incarnation + p2->incarnation == 0 &&
           acceptors[0].quarantine == 0 && acceptors[2].quarantine == 0 &&
           (acceptors[1].quarantine <= 2 || acceptors[1].quarantine == TN_EXPLORE_DOWN) &&
           (acceptors[2].promised / 2 != 2 || acceptors[2].accepted == 2) &&
           acceptors[0].accepted != 1 && acceptors[1].accepted != 2;
}

static bool guide_release(const struct tn__explore_cluster *cluster)
{
    const struct tn__explore_proposer *p1 = &cluster->proposers[0];
    const struct tn__explore_proposer *p2 = &cluster->proposers[1];
    const struct tn__explore_acceptor *acceptors = cluster->acceptors;
    return (p1->floor == 0 || (p1->floor == 1 && cluster->now > 0)) && p2->floor != 1 &&
           p1->down == 0 && p2->down == 0 && p1->incarnation + p2->incarnation == 0 &&
           acceptors[0].quarantine == 0 && acceptors[2].quarantine == 0;
}

bool tn__explore_lease_constraint(void *context, const void *state)
{
    const struct tn__explore_lease *lease = context;
    struct tn__explore_cluster cluster = open_state(lease, state);
    uint32_t messages = 0;
    for (uint32_t i = 0; i < lease->config->acceptors; i++) {
        messages += (uint32_t)__builtin_popcountll(cluster.acceptors[i].messages) +
                    (uint32_t)__builtin_popcountll(cluster.acceptors[i].held);
    }
    if (messages > lease->config->messages) {
        return false;
    }
    switch (lease->config->guide) {
    case TN_LEASE_GUIDE_INCARNATION:
        return guide_incarnation(&cluster);
    case TN_LEASE_GUIDE_RENEW_CRASH:
        return guide_renewal(&cluster);
    case TN_LEASE_GUIDE_RELEASE_CRASH:
        return guide_release(&cluster);
    default:
        return true;
    }
}

/* ---- For people
 * -------------------------------------------------------------------------------------- */

static const char *const message_names[TN_EXPLORE_MESSAGES_END] = {
    [TN_EXPLORE_PREPARE] = "prepare",
    [TN_EXPLORE_ACCEPT] = "accept",
    [TN_EXPLORE_RELEASED] = "release",
    [TN_EXPLORE_PROMISE] = "promise",
    [TN_EXPLORE_PROMISE_BASE] = "promise(own lease)",
    [TN_EXPLORE_PROMISE_OTHER] = "promise(other own lease)",
    [TN_EXPLORE_ACCEPTED] = "accepted",
    [TN_EXPLORE_CLOSED] = "closed",
    [TN_EXPLORE_REFUSED] = "refused",
};

const char *tn__explore_message_name(enum tn__explore_message kind)
{
    tn_assert(kind < TN_EXPLORE_MESSAGES_END);
    return message_names[kind];
}

static void print_messages(const struct tn__explore_lease *lease,
                           const struct tn__explore_cluster *cluster, uint64_t messages,
                           struct tn__text *text)
{
    for (uint64_t rest = messages; rest != 0; rest &= rest - 1) {
        uint32_t ballot = 0;
        uint32_t position = (uint32_t)__builtin_ctzll(rest);
        enum tn__explore_message kind = tn__explore_message_at(lease, cluster, position, &ballot);
        tn__text_add(text, " %s:%u", message_names[kind], (unsigned)ballot);
    }
}

static void print_version(const struct tn__explore_lease *lease,
                          const struct tn__explore_cluster *cluster, uint32_t acceptor,
                          struct tn__text *text)
{
    if (!tn__explore_changes(lease)) {
        return;
    }
    struct tn__configuration cell = tn__explore_configuration_unpack(cluster, acceptor);
    tn__text_add(text, " v%u%s", (unsigned)cell.version, cell.left != 0 ? " left" : "");
    if (cell.silent_until > cluster->now) {
        tn__text_add(text, " waits until %u", (unsigned)cell.silent_until);
    }
}

void tn__explore_lease_print_state(void *context, const void *state, struct tn__text *text)
{
    static const char *const phases[] = {"idle", "preparing", "accepting"};
    const struct tn__explore_lease *lease = context;
    struct tn__explore_cluster cluster = open_state(lease, state);
    tn__text_add(text, "t=%u", cluster.now);
    for (uint32_t i = 0; i < lease->config->proposers; i++) {
        const struct tn__explore_proposer *p = &cluster.proposers[i];
        tn__text_add(text, " | p%u.%u %s", i + 1, p->incarnation,
                     p->down != 0 ? "down" : phases[p->phase]);
        if (p->version != 0) {
            tn__text_add(text, " v%u", p->version);
        }
        if (p->ballot != 0) {
            tn__text_add(text, " %u until %u", p->ballot, p->attempt_deadline);
        }
        if (is_owner(lease, &cluster, i)) {
            tn__text_add(text, " OWNER by %u until %u", p->active, p->lease_deadline);
        }
    }
    for (uint32_t i = 0; i < lease->config->acceptors; i++) {
        const struct tn__explore_acceptor *a = &cluster.acceptors[i];
        tn__text_add(text, " | a%u", i + 1);
        print_version(lease, &cluster, i, text);
        tn__text_add(text, " promised %u%s", a->promised / 2, (a->promised & 1) != 0 ? "+" : "");
        if (a->accepted != 0) {
            tn__text_add(text, " holds %u until %u", a->accepted, a->deadline);
        }
        if (a->quarantine == TN_EXPLORE_DOWN) {
            tn__text_add(text, " down");
        } else if (a->quarantine > cluster.now) {
            tn__text_add(text, " silent until %u", a->quarantine);
        }
        print_messages(lease, &cluster, a->messages, text);
        if (a->held != 0) {
            tn__text_add(text, " held:");
            print_messages(lease, &cluster, a->held, text);
        }
    }
}

/* "a1 receives prepare 2", "a1's promise 2 arrives"; losing either reads alike. */
static void print_delivery(const struct tn__explore_lease *lease, uint32_t position, bool lost,
                           uint32_t variant, struct tn__text *text)
{
    const struct tn__explore_cluster none = {0};
    uint32_t ballot = 0;
    enum tn__explore_message message = tn__explore_message_at(lease, &none, position, &ballot);
    bool reply = message >= TN_EXPLORE_REPLIES_BEGIN;
    tn__text_add(text, "%s%s",
                 reply  ? "'s "
                 : lost ? " never receives "
                        : " receives ",
                 message_names[message]);
    if (ballot != 0) {
        tn__text_add(text, " %u", (unsigned)ballot);
    } else { /* a wide reply: to the one or the other */
        tn__text_add(text, " to p%u", (position & 1U) + 1);
    }
    tn__text_add(text, "%s", !reply ? "" : lost ? " is lost" : " arrives");
    tn__text_add(text, "%s%s%s", (variant & TN_EXPLORE_VARIANT_KEPT) != 0 ? ", a copy stays" : "",
                 (variant & TN_EXPLORE_VARIANT_ANSWERED) != 0 ? ", the refusal arrives" : "",
                 (variant & TN_EXPLORE_VARIANT_STALE) != 0 ? ", by a stale clock" : "");
}

/* RATES: whose clock ticks. */
static void print_clocks(const struct tn__explore_lease *lease, uint32_t ticking,
                         struct tn__text *text)
{
    if (!tn__explore_has(lease, TN_EXPLORE_RATES)) {
        return;
    }
    tn__text_add(text, " for%s", ticking == 0 ? " nobody" : "");
    uint32_t proposers = lease->config->proposers;
    for (uint32_t i = 0; i < proposers + lease->config->acceptors; i++) {
        if ((ticking >> i & 1U) != 0) {
            tn__text_add(text, " %c%u", i < proposers ? 'p' : 'a',
                         (i < proposers ? i : i - proposers) + 1);
        }
    }
}

/* Of each kind: who it happens to ('p', 'a', or 0: to all) and what. */
static const struct {
    char who;
    const char *what;
} event_words[] = {
    [TN_EXPLORE_EVENT_INITIAL] = {0, "(initial)"},
    [TN_EXPLORE_EVENT_START] = {'p', " starts ballot"},
    [TN_EXPLORE_EVENT_DELIVER] = {'a', ""},
    [TN_EXPLORE_EVENT_DROP] = {'a', ""},
    [TN_EXPLORE_EVENT_ABANDON] = {'p', " abandons"},
    [TN_EXPLORE_EVENT_RELEASE] = {'p', " releases"},
    [TN_EXPLORE_EVENT_TICK] = {0, "a tick passes"},
    [TN_EXPLORE_EVENT_EXPIRE_PROPOSER] = {'p', " finds its lease over"},
    [TN_EXPLORE_EVENT_EXPIRE_ACCEPTOR] = {'a', " clears the lease"},
    [TN_EXPLORE_EVENT_CRASH_PROPOSER] = {'p', " crashes"},
    [TN_EXPLORE_EVENT_RESTART_PROPOSER] = {'p', " restarts"},
    [TN_EXPLORE_EVENT_CRASH_ACCEPTOR] = {'a', " crashes"},
    [TN_EXPLORE_EVENT_RESTART_ACCEPTOR] = {'a', " restarts"},
    [TN_EXPLORE_EVENT_WRITTEN] = {'a', " has written its ceiling"},
    [TN_EXPLORE_EVENT_WRITE_FAILED] = {'a', " cannot write its ceiling"},
    [TN_EXPLORE_EVENT_WRITE_RETRY] = {'a', " may write again"},
    [TN_EXPLORE_EVENT_FORGET] = {'a', " drops the quiet name"},
    [TN_EXPLORE_EVENT_LEAVE] = {'a', " leaves its version"},
    [TN_EXPLORE_EVENT_JOIN] = {'a', " joins version"},
};

void tn__explore_lease_print_event(void *context, uint32_t event, struct tn__text *text)
{
    const struct tn__explore_lease *lease = context;
    uint32_t kind = event & 0xffU;
    uint32_t node = (event >> 8 & 0xffU) + 1;
    uint32_t argument = event >> 16 & 0xffU;
    uint32_t variant = event >> 24;
    tn_assert(kind < sizeof(event_words) / sizeof(event_words[0]));
    if (event_words[kind].who != 0) {
        tn__text_add(text, "%c%u", event_words[kind].who, node);
    }
    tn__text_add(text, "%s", event_words[kind].what);
    switch (kind) {
    case TN_EXPLORE_EVENT_START:
        tn__text_add(text, " %u", argument);
        if (tn__explore_changes(lease)) {
            tn__text_add(text, " in version %u", variant);
        }
        break;
    case TN_EXPLORE_EVENT_JOIN:
        tn__text_add(text, " %u", argument);
        break;
    case TN_EXPLORE_EVENT_RELEASE:
        tn__text_add(text, "%s", variant != 0 ? ", but not its attempt" : "");
        break;
    case TN_EXPLORE_EVENT_TICK:
        print_clocks(lease, argument, text);
        break;
    case TN_EXPLORE_EVENT_DELIVER:
    case TN_EXPLORE_EVENT_DROP:
        print_delivery(lease, argument, kind == TN_EXPLORE_EVENT_DROP, variant, text);
        break;
    default:
        break;
    }
}
