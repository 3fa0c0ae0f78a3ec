/* Which states are the same: normalisation and symmetry. explore_lease.h tells the theory.
 *
 * Normalisation merges states that no future event can tell apart. Each rule below is one sentence
 * of the code's own behaviour; where the sentence depends on a rule that could be broken (an
 * attempt is over after t_d), the cell itself is asked instead of being believed. The tests
 * compare, over whole graphs, the successors of a state with those of its normal form (congruence).
 *
 *   N1  a reply that is not to the attempt in flight, or not to its phase, changes nothing
 *   N2  an attempt past its deadline ends in ABANDONED whatever arrives
 *   N3  a lease past its deadline is as none, for proposers and acceptors
 *   N4  a base that is not the held lease makes nothing open; while accepting, neither is read
 *   N5  an owner matters for ballots that a lease, an attempt or a request still names
 *   N6  a promise of a ballot no more asked for is as one just above it
 *   N7  what a proposer may start with: only the set of free ballots above its floor
 *   N8  (ENDLESS) only differences of times, orders of ballots, equalities of incarnations
 *   N9  (F3) a request of a version that its acceptor never answers for again changes nothing; a
 *       wait that is over is over
 *
 * Symmetry: names of proposers and of acceptors are never compared but for equality (ballots have
 * distinct numbers), so a renamed state behaves as the state itself, renamed. */
#include "check/explore_lease_step.h"

#include <string.h>

#include "base/assert.h"

/* Guides read absolute moments, last ballots and expired leases: those stay as they are. */
static bool is_guided(const struct tn__explore_lease *lease)
{
    return lease->config->guide != TN_LEASE_GUIDE_NONE;
}

/* ---- N1 to N4: what is over
 * ---------------------------------------------------------------------- */

/* N2: could the attempt still get anywhere, if every acceptor said yes now? */
static bool attempt_is_over(const struct tn__lease_proposer *attempt, uint32_t members_count,
                            tn_time now)
{
    struct tn__lease_proposer cell = *attempt;
    struct tn__lease_answer answer = {
        .members_count = members_count, .ballot = attempt->ballot, .now = now};
    for (uint32_t i = 0; i < members_count && cell.phase == attempt->phase; i++) {
        answer.member = i;
        enum tn__lease_outcome outcome = attempt->phase == TN__LEASE_PREPARING
                                             ? tn__lease_proposer_promise(&cell, &answer)
                                             : tn__lease_proposer_accepted(&cell, &answer);
        if (outcome != TN__LEASE_COUNTED && outcome != TN__LEASE_NOTHING &&
            outcome != TN__LEASE_ABANDONED) {
            return false;
        }
    }
    return true;
}

/* N4: reports of a base that is none any more are reports of some other own lease. */
static void relabel_reports(const struct tn__explore_lease *lease,
                            struct tn__explore_cluster *cluster, uint32_t ballot)
{
    uint64_t base = tn__explore_message_bit(lease, cluster, TN_EXPLORE_PROMISE_BASE, ballot);
    uint64_t other = tn__explore_message_bit(lease, cluster, TN_EXPLORE_PROMISE_OTHER, ballot);
    for (uint32_t i = 0; i < lease->config->acceptors; i++) {
        struct tn__explore_acceptor *packed = &cluster->acceptors[i];
        packed->messages |= (packed->messages & base) != 0 ? other : 0;
        packed->held |= (packed->held & base) != 0 ? other : 0;
        packed->messages &= ~base;
        packed->held &= ~base;
    }
}

static void normalise_proposer(const struct tn__explore_lease *lease,
                               struct tn__explore_cluster *cluster, uint32_t proposer)
{
    struct tn__explore_proposer *packed = &cluster->proposers[proposer];
    tn_time now = tn__explore_proposer_now(lease, cluster, proposer);
    bool expired = packed->lease_deadline != 0 && packed->lease_deadline <= now;
    bool late = packed->phase != TN__LEASE_IDLE && packed->attempt_deadline <= now;
    if (expired || late) {
        struct tn__lease_proposer cell = tn__explore_proposer_unpack(lease, cluster, proposer);
        if (expired) {
            tn__lease_proposer_expire(&cell, now); /* N3 */
        }
        uint32_t members_count = tn__explore_members_count(lease, cluster, proposer);
        if (late && attempt_is_over(&cell, members_count, now)) {
            tn__lease_proposer_abandon(&cell); /* N2 */
        }
        tn__explore_proposer_pack(lease, cluster, proposer, &cell);
    }
    if (packed->base != 0 && packed->base != packed->active) {
        packed->base = 0; /* N4 */
        relabel_reports(lease, cluster, packed->ballot);
    }
    if (packed->phase == TN__LEASE_ACCEPTING) {
        packed->base = 0; /* N4 */
        struct tn__explore_version members = tn__explore_members(lease, packed->version);
        for (uint32_t i = 0; i < members.count; i++) {
            cluster->acceptors[members.first + i].votes |=
                (uint8_t)(TN_EXPLORE_VOTE_OPEN << (4 * proposer));
        }
    }
}

static void normalise_acceptor(const struct tn__explore_lease *lease,
                               struct tn__explore_cluster *cluster, uint32_t acceptor)
{
    struct tn__explore_acceptor *packed = &cluster->acceptors[acceptor];
    tn_time now = tn__explore_acceptor_now(lease, cluster, acceptor);
    if (is_guided(lease)) {
        return;
    }
    if (packed->quarantine != TN_EXPLORE_DOWN && packed->quarantine <= now) {
        packed->quarantine = 0;
    }
    if (packed->deadline != 0 && packed->deadline <= now) { /* N3 */
        struct tn__lease_acceptor cell = tn__explore_acceptor_unpack(cluster, acceptor);
        tn__lease_acceptor_expire(&cell, now);
        tn__explore_acceptor_pack(cluster, acceptor, &cell);
    }
}

/* N1: the replies that somebody waits for. */
static uint64_t awaited_replies(const struct tn__explore_lease *lease,
                                const struct tn__explore_cluster *cluster)
{
    uint64_t awaited = 0;
    for (uint32_t i = 0; i < lease->config->proposers; i++) {
        const struct tn__explore_proposer *packed = &cluster->proposers[i];
        uint32_t ballot = packed->ballot;
        if (packed->phase == TN__LEASE_PREPARING) {
            awaited |= tn__explore_message_bit(lease, cluster, TN_EXPLORE_PROMISE, ballot) |
                       tn__explore_message_bit(lease, cluster, TN_EXPLORE_PROMISE_BASE, ballot) |
                       tn__explore_message_bit(lease, cluster, TN_EXPLORE_PROMISE_OTHER, ballot) |
                       tn__explore_message_bit(lease, cluster, TN_EXPLORE_CLOSED, ballot);
        } else if (packed->phase == TN__LEASE_ACCEPTING) {
            awaited |= tn__explore_message_bit(lease, cluster, TN_EXPLORE_ACCEPTED, ballot) |
                       tn__explore_message_bit(lease, cluster, TN_EXPLORE_REFUSED, ballot);
        }
    }
    return awaited;
}

static uint32_t width_of(const struct tn__explore_lease *lease)
{
    return tn__explore_has(lease, TN_EXPLORE_ENDLESS) ? TN_EXPLORE_LEASE_BALLOTS
                                                      : TN_EXPLORE_LEASE_BALLOTS_NARROW;
}

static uint64_t requests_mask(const struct tn__explore_lease *lease)
{
    return (1ULL << (TN_EXPLORE_REPLIES_BEGIN * width_of(lease))) - 1;
}

/* The ballots of the requests among messages, bit number - 1; `kinds` of them from the first. */
static uint32_t requested(const struct tn__explore_lease *lease, uint64_t messages, uint32_t kinds)
{
    uint32_t width = width_of(lease);
    uint64_t ballots = 0;
    for (uint32_t i = 0; i < kinds; i++) {
        ballots |= messages >> (i * width);
    }
    return (uint32_t)(ballots & ((1ULL << width) - 1));
}

/* ---- N5 to N7: ballots
 * --------------------------------------------------------------------------- */

static uint32_t bit_of(uint32_t ballot)
{
    return ballot == 0 ? 0 : 1U << (ballot - 1);
}

/* N5: the ballots whose owner somebody may ask for. */
static uint32_t named_ballots(const struct tn__explore_lease *lease,
                              const struct tn__explore_cluster *cluster)
{
    uint64_t messages = 0;
    uint32_t named = 0;
    for (uint32_t i = 0; i < lease->config->acceptors; i++) {
        messages |= cluster->acceptors[i].messages;
        named |= bit_of(cluster->acceptors[i].accepted);
    }
    for (uint32_t i = 0; i < lease->config->proposers; i++) {
        const struct tn__explore_proposer *packed = &cluster->proposers[i];
        named |= bit_of(packed->ballot) | bit_of(packed->base) | bit_of(packed->active) |
                 bit_of(packed->token);
    }
    return named | requested(lease, messages, TN_EXPLORE_REPLIES_BEGIN);
}

/* N9: the ballots whose version matters: an attempt's, a held lease's, a request's. */
static uint32_t spoken_for(const struct tn__explore_lease *lease,
                           const struct tn__explore_cluster *cluster)
{
    uint64_t messages = 0;
    uint32_t ballots = 0;
    for (uint32_t i = 0; i < lease->config->acceptors; i++) {
        messages |= cluster->acceptors[i].messages;
    }
    for (uint32_t i = 0; i < lease->config->proposers; i++) {
        ballots |= bit_of(cluster->proposers[i].ballot) | bit_of(cluster->proposers[i].active);
    }
    return ballots | requested(lease, messages, TN_EXPLORE_REPLIES_BEGIN);
}

static void normalise_promises(const struct tn__explore_lease *lease,
                               struct tn__explore_cluster *cluster)
{
    uint32_t attempts = 0; /* whose Accept may yet be sent to anyone */
    for (uint32_t i = 0; i < lease->config->proposers; i++) {
        if (cluster->proposers[i].phase == TN__LEASE_PREPARING) {
            attempts |= bit_of(cluster->proposers[i].ballot);
        }
    }
    for (uint32_t i = 0; i < lease->config->acceptors; i++) {
        struct tn__explore_acceptor *packed = &cluster->acceptors[i];
        uint32_t asked = attempts | requested(lease, packed->messages, 2);
        if (packed->promised != 0 && (asked & bit_of(packed->promised / 2U)) == 0) {
            packed->promised |= 1; /* N6 */
        }
    }
}

static void normalise_choices(const struct tn__explore_lease *lease,
                              struct tn__explore_cluster *cluster)
{
    uint32_t ballots = lease->config->ballots;
    uint32_t open = 0; /* the ballots that somebody may still start with */
    for (uint32_t i = 0; i < lease->config->proposers; i++) {
        const struct tn__explore_proposer *packed = &cluster->proposers[i];
        bool restarts = tn__explore_has(lease, TN_EXPLORE_CRASH) && packed->incarnation == 0;
        uint32_t above = packed->down != 0 ? 0U : ~0U << packed->floor;
        open |= restarts ? ~0U : above;
    }
    uint32_t all = (1U << ballots) - 1;
    cluster->used |= (uint16_t)(all & ~open);
    for (uint32_t i = 0; i < lease->config->proposers; i++) { /* N7 */
        struct tn__explore_proposer *packed = &cluster->proposers[i];
        uint32_t next = packed->floor;
        while (next < ballots && (cluster->used >> next & 1U) != 0) {
            next++;
        }
        packed->floor = (uint8_t)(packed->down != 0 ? 0 : next);
    }
}

/* ---- N8: without a horizon
 * ------------------------------------------------------------------------ */

uint32_t tn__explore_top(const struct tn__explore_lease *lease,
                         const struct tn__explore_cluster *cluster)
{
    uint32_t named = named_ballots(lease, cluster);
    for (uint32_t i = 0; i < lease->config->acceptors; i++) {
        named |= bit_of(cluster->acceptors[i].promised / 2U);
    }
    for (uint32_t i = 0; i < lease->config->proposers; i++) {
        named |= bit_of(cluster->proposers[i].floor);
    }
    return named == 0 ? 0 : 32U - (uint32_t)__builtin_clz(named);
}

/* Number the ballots that matter 1, 2, 3 ...; a floor becomes the next one at or below it. */
static void close_ranks(const struct tn__explore_lease *lease, struct tn__explore_cluster *cluster)
{
    uint32_t named = named_ballots(lease, cluster);
    for (uint32_t i = 0; i < lease->config->acceptors; i++) {
        named |= bit_of(cluster->acceptors[i].promised / 2U);
    }
    uint8_t map[TN_EXPLORE_LEASE_BALLOTS + 1] = {0};
    uint8_t count = 0;
    uint8_t at_or_below[TN_EXPLORE_LEASE_BALLOTS + 1] = {0};
    for (uint32_t i = 1; i <= TN_EXPLORE_LEASE_BALLOTS; i++) {
        if ((named & bit_of(i)) != 0) {
            map[i] = ++count;
        }
        at_or_below[i] = count;
    }
    uint8_t floors[TN_EXPLORE_LEASE_PROPOSERS] = {0};
    for (uint32_t i = 0; i < lease->config->proposers; i++) {
        floors[i] = at_or_below[cluster->proposers[i].floor];
        cluster->proposers[i].floor = 0;
    }
    tn__explore_renumber(lease, cluster, map);
    for (uint32_t i = 0; i < lease->config->proposers; i++) {
        cluster->proposers[i].floor = floors[i];
    }
}

/* Number each proposer's incarnations that matter 0, 1, ...; the living one is the last. */
static void close_incarnations(const struct tn__explore_lease *lease,
                               struct tn__explore_cluster *cluster)
{
    for (uint32_t proposer = 0; proposer < lease->config->proposers; proposer++) {
        uint32_t living = cluster->proposers[proposer].incarnation;
        tn_assert(living < 64);
        uint64_t seen = 0;
        for (uint32_t i = 0; i < TN_EXPLORE_LEASE_BALLOTS; i++) {
            uint8_t owner = cluster->owner[i];
            if (owner != 0 && tn__explore_owner_proposer(owner) == proposer) {
                seen |= 1ULL << tn__explore_owner_incarnation(owner);
            }
        }
        seen &= (1ULL << living) - 1;
        for (uint32_t i = 0; i < TN_EXPLORE_LEASE_BALLOTS; i++) {
            uint8_t owner = cluster->owner[i];
            if (owner != 0 && tn__explore_owner_proposer(owner) == proposer) {
                uint64_t older = seen & ((1ULL << tn__explore_owner_incarnation(owner)) - 1);
                cluster->owner[i] =
                    tn__explore_owner_code(proposer, (uint32_t)__builtin_popcountll(older));
            }
        }
        cluster->proposers[proposer].incarnation = (uint8_t)__builtin_popcountll(seen);
    }
}

static uint8_t remaining(uint8_t deadline, uint8_t now)
{
    return (uint8_t)(deadline != 0 ? deadline - now : 0);
}

static void from_now_on(const struct tn__explore_lease *lease, struct tn__explore_cluster *cluster)
{
    uint8_t now = cluster->now;
    for (uint32_t i = 0; i < lease->config->proposers; i++) {
        struct tn__explore_proposer *packed = &cluster->proposers[i];
        packed->attempt_deadline = remaining(packed->attempt_deadline, now);
        packed->lease_deadline = remaining(packed->lease_deadline, now);
    }
    for (uint32_t i = 0; i < lease->config->acceptors; i++) {
        struct tn__explore_acceptor *packed = &cluster->acceptors[i];
        packed->deadline = remaining(packed->deadline, now);
        packed->quarantine = remaining(packed->quarantine, now);
    }
    cluster->now = 0;
}

/* RATES: clocks that nobody compares begin anew at every moment. */
static void from_each_now_on(const struct tn__explore_lease *lease,
                             struct tn__explore_cluster *cluster)
{
    for (uint32_t i = 0; i < lease->config->proposers; i++) {
        struct tn__explore_proposer *packed = &cluster->proposers[i];
        packed->attempt_deadline = remaining(packed->attempt_deadline, packed->clock);
        packed->lease_deadline = remaining(packed->lease_deadline, packed->clock);
        packed->clock = 0;
    }
    for (uint32_t i = 0; i < lease->config->acceptors; i++) {
        struct tn__explore_acceptor *packed = &cluster->acceptors[i];
        packed->deadline = remaining(packed->deadline, packed->clock);
        if (packed->quarantine != TN_EXPLORE_DOWN) {
            packed->quarantine = remaining(packed->quarantine, packed->clock);
        }
        packed->clock = 0;
    }
}

static void normalise(const struct tn__explore_lease *lease, struct tn__explore_cluster *cluster)
{
    for (uint32_t i = 0; i < lease->config->proposers; i++) {
        normalise_proposer(lease, cluster, i);
    }
    uint64_t alive = requests_mask(lease) | awaited_replies(lease, cluster);
    for (uint32_t i = 0; i < lease->config->acceptors; i++) {
        normalise_acceptor(lease, cluster, i);
        cluster->acceptors[i].messages &= alive; /* N1 */
        cluster->acceptors[i].held &= alive;
        if (tn__explore_changes(lease)) {
            tn__explore_normalise_requests(lease, cluster, i);
        }
    }
    if (!is_guided(lease)) {
        normalise_promises(lease, cluster);
    }
    uint32_t named = named_ballots(lease, cluster);
    for (uint32_t i = 0; i < TN_EXPLORE_LEASE_BALLOTS; i++) {
        cluster->owner[i] = (named >> i & 1U) != 0 ? cluster->owner[i] : 0; /* N5 */
    }
    if (tn__explore_changes(lease)) {
        tn__explore_normalise_versions(lease, cluster, spoken_for(lease, cluster));
    }
    if (tn__explore_has(lease, TN_EXPLORE_RATES)) {
        from_each_now_on(lease, cluster);
    }
    if (tn__explore_has(lease, TN_EXPLORE_ENDLESS)) {
        close_ranks(lease, cluster);
        close_incarnations(lease, cluster);
        from_now_on(lease, cluster);
    } else if (!is_guided(lease)) {
        normalise_choices(lease, cluster);
    }
}

/* ---- Symmetry
 * -------------------------------------------------------------------------------------- */

static int compare_words(const void *left, const void *right, size_t bytes)
{
    const uint8_t *a = left;
    const uint8_t *b = right;
    for (size_t at = 0; at < bytes; at += sizeof(uint64_t)) {
        uint64_t x = 0;
        uint64_t y = 0;
        memcpy(&x, a + at, sizeof(x));
        memcpy(&y, b + at, sizeof(y));
        if (x != y) {
            return x < y ? -1 : 1;
        }
    }
    return 0;
}

/* Nothing in the state names an acceptor but its own record, so sorting records renames them: those
 * that are members of the same versions. */
static void sort_acceptors(const struct tn__explore_lease *lease,
                           struct tn__explore_cluster *cluster)
{
    struct tn__explore_acceptor *acceptors = cluster->acceptors;
    for (uint32_t i = 1; i < lease->config->acceptors; i++) {
        for (uint32_t j = i;
             j > 0 && (lease->alike >> j & 1U) != 0 &&
             compare_words(&acceptors[j], &acceptors[j - 1], sizeof(*acceptors)) < 0;
             j--) {
            struct tn__explore_acceptor swap = acceptors[j];
            acceptors[j] = acceptors[j - 1];
            acceptors[j - 1] = swap;
        }
    }
}

/* Wide replies name their proposer by the last bit of their position. */
static uint64_t swap_replies(const struct tn__explore_lease *lease, uint64_t messages)
{
    if (!tn__explore_has(lease, TN_EXPLORE_ENDLESS)) {
        return messages;
    }
    uint64_t requests = messages & requests_mask(lease);
    uint64_t replies = messages & ~requests_mask(lease);
    uint64_t even = replies & 0x5555555555555555ULL;
    uint64_t odd = replies & ~0x5555555555555555ULL;
    return requests | even << 1 | odd >> 1;
}

static void swap_proposers(const struct tn__explore_lease *lease,
                           struct tn__explore_cluster *cluster)
{
    struct tn__explore_proposer first = cluster->proposers[0];
    cluster->proposers[0] = cluster->proposers[1];
    cluster->proposers[1] = first;
    for (uint32_t i = 0; i < TN_EXPLORE_LEASE_BALLOTS; i++) {
        uint8_t owner = cluster->owner[i];
        cluster->owner[i] = (uint8_t)(owner == 0 ? 0 : ((owner - 1) ^ 1) + 1);
    }
    for (uint32_t i = 0; i < lease->config->acceptors; i++) {
        struct tn__explore_acceptor *acceptor = &cluster->acceptors[i];
        acceptor->votes = (uint8_t)(acceptor->votes << 4 | acceptor->votes >> 4);
        acceptor->messages = swap_replies(lease, acceptor->messages);
        acceptor->held = swap_replies(lease, acceptor->held);
    }
}

static void make_symmetric(const struct tn__explore_lease *lease,
                           struct tn__explore_cluster *cluster)
{
    int order = lease->config->proposers < 2
                    ? -1
                    : compare_words(&cluster->proposers[0], &cluster->proposers[1],
                                    sizeof(cluster->proposers[0]));
    if (order > 0) {
        swap_proposers(lease, cluster);
    }
    sort_acceptors(lease, cluster);
    if (order == 0) {
        struct tn__explore_cluster other = *cluster;
        swap_proposers(lease, &other);
        sort_acceptors(lease, &other);
        if (compare_words(&other, cluster, sizeof(other)) < 0) {
            *cluster = other;
        }
    }
}

void tn__explore_lease_canonicalise(void *context, void *state)
{
    const struct tn__explore_lease *lease = context;
    struct tn__explore_cluster cluster;
    memset(&cluster, 0, sizeof(cluster));
    memcpy(&cluster, state, lease->model.state_bytes);
    if (lease->normalise && cluster.flaw == TN_EXPLORE_FLAW_NONE) {
        normalise(lease, &cluster);
    }
    if (lease->symmetry && !is_guided(lease)) {
        make_symmetric(lease, &cluster);
    }
    memcpy(state, &cluster, lease->model.state_bytes);
}

/* ---- Orbits
 * ----------------------------------------------------------------------------------------- */

/* How many states differ from this one in names alone: n! orders, over the orders that give it
 * back. Equal records are the only ones whose exchange gives it back. */
static uint64_t orders_of_acceptors(const struct tn__explore_lease *lease,
                                    const struct tn__explore_cluster *cluster)
{
    struct tn__explore_cluster sorted = *cluster;
    sort_acceptors(lease, &sorted);
    uint64_t orders = 1;
    uint64_t run = 0;
    uint64_t place = 0; /* among those that are alike */
    for (uint32_t i = 0; i < lease->config->acceptors; i++) {
        bool alike = (lease->alike >> i & 1U) != 0;
        place = alike ? place + 1 : 1;
        bool same = alike && compare_words(&sorted.acceptors[i], &sorted.acceptors[i - 1],
                                           sizeof(sorted.acceptors[0])) == 0;
        run = same ? run + 1 : 1;
        orders = orders * place / run;
    }
    return orders;
}

uint64_t tn__explore_lease_weight(void *context, const void *state)
{
    const struct tn__explore_lease *lease = context;
    struct tn__explore_cluster cluster;
    memset(&cluster, 0, sizeof(cluster));
    memcpy(&cluster, state, lease->model.state_bytes);
    uint64_t orders = orders_of_acceptors(lease, &cluster);
    if (lease->config->proposers < 2) {
        return orders;
    }
    struct tn__explore_cluster other = cluster;
    swap_proposers(lease, &other);
    sort_acceptors(lease, &other);
    sort_acceptors(lease, &cluster);
    /* If renaming the proposers gives a state that acceptors' names alone could make, it adds none.
     */
    return compare_words(&other, &cluster, sizeof(other)) == 0 ? orders : 2 * orders;
}
