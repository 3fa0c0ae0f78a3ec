/* What can happen to a small cluster, and what then does: explore_lease.h tells the theory.
 *
 * Each function makes one event happen to a copy of the state. Events that go through a cell call
 * the cell and nothing else decides; what a cell cannot know (its own history) is compared around
 * the call and recorded as a flaw. */
#include "check/explore_lease_step.h"

#include <string.h>

void tn__explore_flaw(struct tn__explore_cluster *cluster, enum tn__explore_flaw flaw)
{
    if (cluster->flaw == TN_EXPLORE_FLAW_NONE) {
        cluster->flaw = (uint8_t)flaw;
    }
}

void tn__explore_step_emit(const struct tn__explore_step *step,
                           const struct tn__explore_cluster *next, uint32_t event)
{
    if (next->flaw != TN_EXPLORE_FLAW_NONE && !tn__explore_flaw_counts(step->lease, next->flaw)) {
        struct tn__explore_cluster pardoned = *next;
        pardoned.flaw = TN_EXPLORE_FLAW_NONE; /* judged by another invariant: the run goes on */
        step->emit(step->sink, &pardoned, event);
        return;
    }
    step->emit(step->sink, next, event);
}

void tn__explore_broadcast(const struct tn__explore_lease *lease,
                           struct tn__explore_cluster *cluster, enum tn__explore_message kind,
                           uint32_t ballot)
{
    uint64_t bit = tn__explore_message_bit(lease, cluster, kind, ballot);
    struct tn__explore_version members =
        tn__explore_members(lease, tn__explore_ballot_version(cluster, ballot));
    for (uint32_t i = 0; i < members.count; i++) {
        cluster->acceptors[members.first + i].messages |= bit;
    }
}

/* ---- Proposers --------------------------------------------------------------------------------
 */

static void start(const struct tn__explore_step *step, uint32_t proposer, uint32_t ballot,
                  uint32_t version)
{
    const struct tn__explore_lease *lease = step->lease;
    struct tn__explore_cluster next = *step->from;
    struct tn__explore_proposer *packed = &next.proposers[proposer];
    if (version != 0) {
        tn__explore_proposer_joins(lease, &next, proposer, version); /* F3 */
    }
    if (!tn__explore_has(lease, TN_EXPLORE_ENDLESS)) {
        next.used |= (uint16_t)(1U << (ballot - 1));
        next.versions |= (uint16_t)(packed->version << 2 * (ballot - 1)); /* F3 */
    }
    tn__explore_forget_replies(lease, &next, proposer);
    next.owner[ballot - 1] = tn__explore_owner_code(proposer, packed->incarnation);
    tn_time now = tn__explore_proposer_now(lease, &next, proposer);
    struct tn__lease_proposer cell = tn__explore_proposer_unpack(lease, &next, proposer);
    tn__lease_proposer_start(&cell, tn__explore_ballot(&next, ballot), now,
                             lease->config->proposer_ticks);
    tn__lease_proposer_check(&cell, tn__explore_members_count(lease, &next, proposer));
    tn__explore_proposer_pack(lease, &next, proposer, &cell);
    packed->floor = (uint8_t)ballot;
    tn__explore_broadcast(lease, &next, TN_EXPLORE_PREPARE, ballot);
    tn__explore_step_emit(step, &next,
                          tn__explore_event(TN_EXPLORE_EVENT_START, proposer, ballot, version));
}

/* ENDLESS: make room for a new ballot of the number `at`, by moving the others up. */
static void start_between(const struct tn__explore_step *step, uint32_t proposer, uint32_t at,
                          uint32_t top)
{
    if (top == TN_EXPLORE_LEASE_BALLOTS) {
        struct tn__explore_cluster full = *step->from;
        tn__explore_flaw(&full, TN_EXPLORE_FLAW_RANKS);
        tn__explore_step_emit(step, &full,
                              tn__explore_event(TN_EXPLORE_EVENT_START, proposer, at, 1));
        return;
    }
    uint8_t map[TN_EXPLORE_LEASE_BALLOTS + 1] = {0};
    for (uint32_t i = 1; i <= top; i++) {
        map[i] = (uint8_t)(i < at ? i : i + 1);
    }
    struct tn__explore_cluster moved = *step->from;
    tn__explore_renumber(step->lease, &moved, map);
    struct tn__explore_step onward = *step;
    onward.from = &moved;
    start(&onward, proposer, at, 0);
}

/* F3: in any version that is open, and none before its own. */
static void start_in_versions(const struct tn__explore_step *step, uint32_t proposer,
                              uint32_t ballot)
{
    uint32_t own = step->from->proposers[proposer].version;
    if (own == 0) {
        start(step, proposer, ballot, 0);
        return;
    }
    for (uint32_t version = own; version <= step->lease->config->versions_count; version++) {
        if (tn__explore_is_open(step->lease, step->from, version)) {
            start(step, proposer, ballot, version);
        }
    }
}

static void starts(const struct tn__explore_step *step, uint32_t proposer)
{
    const struct tn__explore_cluster *from = step->from;
    const struct tn__explore_proposer *packed = &from->proposers[proposer];
    tn_time now = tn__explore_proposer_now(step->lease, from, proposer);
    bool holds = packed->lease_deadline != 0 && now < packed->lease_deadline;
    if (packed->phase != TN__LEASE_IDLE ||
        (holds && !tn__explore_has(step->lease, TN_EXPLORE_RENEW))) {
        return;
    }
    if (tn__explore_has(step->lease, TN_EXPLORE_ENDLESS)) {
        uint32_t top = tn__explore_top(step->lease, from);
        for (uint32_t at = packed->floor + 1U; at <= top + 1; at++) {
            start_between(step, proposer, at, top);
        }
        return;
    }
    for (uint32_t ballot = packed->floor + 1U; ballot <= step->lease->config->ballots; ballot++) {
        if ((from->used >> (ballot - 1) & 1U) == 0) {
            start_in_versions(step, proposer, ballot);
        }
    }
}

/* P5: at t_d at the latest; ABANDON: at any time. */
static bool may_abandon(const struct tn__explore_step *step, uint32_t proposer)
{
    const struct tn__explore_proposer *packed = &step->from->proposers[proposer];
    tn_time now = tn__explore_proposer_now(step->lease, step->from, proposer);
    return packed->phase != TN__LEASE_IDLE &&
           (tn__explore_has(step->lease, TN_EXPLORE_ABANDON) || now >= packed->attempt_deadline);
}

static void abandon(const struct tn__explore_step *step, uint32_t proposer)
{
    struct tn__explore_cluster next = *step->from;
    struct tn__lease_proposer cell = tn__explore_proposer_unpack(step->lease, &next, proposer);
    struct tn__lease_proposer before = cell;
    tn__lease_proposer_abandon(&cell);
    tn__lease_proposer_check(&cell, tn__explore_members_count(step->lease, &next, proposer));
    tn__explore_proposer_pack(step->lease, &next, proposer, &cell);
    tn__explore_note_kept(&next, &before, &cell);
    tn__explore_step_emit(step, &next, tn__explore_event(TN_EXPLORE_EVENT_ABANDON, proposer, 0, 0));
}

/* P6. Its messages may be too many for the bound; `variant` 1 loses those of the attempt, so that
 * the release of the lease itself is explored all the same. */
static void release(const struct tn__explore_step *step, uint32_t proposer, uint32_t variant)
{
    struct tn__explore_cluster next = *step->from;
    struct tn__lease_proposer cell = tn__explore_proposer_unpack(step->lease, &next, proposer);
    struct tn_ballot ballots[2];
    tn__lease_proposer_expire(&cell, tn__explore_proposer_now(step->lease, &next, proposer));
    uint32_t count = tn__lease_proposer_release(&cell, ballots);
    tn__lease_proposer_check(&cell, tn__explore_members_count(step->lease, &next, proposer));
    tn__explore_proposer_pack(step->lease, &next, proposer, &cell);
    for (uint32_t i = variant; i < count; i++) {
        tn__explore_broadcast(step->lease, &next, TN_EXPLORE_RELEASED,
                              tn__explore_number(ballots[i].counter));
    }
    if (count > variant) {
        tn__explore_step_emit(step, &next,
                              tn__explore_event(TN_EXPLORE_EVENT_RELEASE, proposer, 0, variant));
    }
}

/* Of what is not over yet, timers first: a release that overtakes its timer sends what it could
 * have sent just before, and messages may be late. */
static void releases(const struct tn__explore_step *step, uint32_t proposer)
{
    const struct tn__explore_proposer *packed = &step->from->proposers[proposer];
    tn_time now = tn__explore_proposer_now(step->lease, step->from, proposer);
    bool holds = packed->lease_deadline != 0 && now < packed->lease_deadline;
    bool attempt = packed->phase != TN__LEASE_IDLE && now < packed->attempt_deadline;
    if (holds || (attempt && tn__explore_has(step->lease, TN_EXPLORE_WITHDRAW))) {
        release(step, proposer, 0);
    }
    if (holds && attempt) {
        release(step, proposer, 1);
    }
}

static void proposer_expires(const struct tn__explore_step *step, uint32_t proposer)
{
    struct tn__explore_cluster next = *step->from;
    tn_time now = tn__explore_proposer_now(step->lease, &next, proposer);
    struct tn__lease_proposer cell = tn__explore_proposer_unpack(step->lease, &next, proposer);
    if (tn__lease_proposer_expire(&cell, now)) {
        tn__lease_proposer_check(&cell, tn__explore_members_count(step->lease, &next, proposer));
        tn__explore_proposer_pack(step->lease, &next, proposer, &cell);
        tn__explore_step_emit(step, &next,
                              tn__explore_event(TN_EXPLORE_EVENT_EXPIRE_PROPOSER, proposer, 0, 0));
    }
}

/* The process ends: its cell is gone, and so is what it remembered of the acceptors. */
static void proposer_forgets(const struct tn__explore_lease *lease,
                             struct tn__explore_cluster *cluster, uint32_t proposer)
{
    struct tn__explore_proposer *packed = &cluster->proposers[proposer];
    *packed = (struct tn__explore_proposer){.incarnation = packed->incarnation,
                                            .clock = packed->clock,
                                            .past = packed->past,
                                            .version = packed->version, /* F3: durable */
                                            .was_active = packed->was_active};
    for (uint32_t i = 0; i < lease->config->acceptors; i++) {
        cluster->acceptors[i].votes &= (uint8_t) ~(15U << (4 * proposer));
    }
}

static void proposer_crashes(const struct tn__explore_step *step, uint32_t proposer)
{
    struct tn__explore_cluster next = *step->from;
    struct tn__explore_proposer *packed = &next.proposers[proposer];
    if (!tn__explore_has(step->lease, TN_EXPLORE_CRASH)) {
        return;
    }
    uint32_t event = tn__explore_event(TN_EXPLORE_EVENT_CRASH_PROPOSER, proposer, 0, 0);
    if (tn__explore_has(step->lease, TN_EXPLORE_ENDLESS)) {
        proposer_forgets(step->lease, &next, proposer);
        packed->incarnation++;
        tn__explore_step_emit(step, &next, event);
    } else if (packed->down == 0) {
        proposer_forgets(step->lease, &next, proposer);
        packed->down = 1;
        tn__explore_step_emit(step, &next, event);
    } else if (packed->incarnation == 0) { /* once, as in the published table */
        packed->down = 0;
        packed->incarnation = 1;
        tn__explore_step_emit(step, &next,
                              tn__explore_event(TN_EXPLORE_EVENT_RESTART_PROPOSER, proposer, 0, 0));
    }
}

static void proposer_events(const struct tn__explore_step *step, uint32_t proposer)
{
    const struct tn__explore_proposer *packed = &step->from->proposers[proposer];
    if (packed->down == 0) {
        starts(step, proposer);
        if (may_abandon(step, proposer)) {
            abandon(step, proposer);
        }
        if (tn__explore_has(step->lease, TN_EXPLORE_RELEASE)) {
            releases(step, proposer);
        }
        if (!step->lease->normalise) {
            proposer_expires(step, proposer);
        }
    }
    proposer_crashes(step, proposer);
}

/* ---- Acceptors --------------------------------------------------------------------------------
 */

static void acceptor_expires(const struct tn__explore_step *step, uint32_t acceptor)
{
    struct tn__explore_cluster next = *step->from;
    struct tn__lease_acceptor cell = tn__explore_acceptor_unpack(&next, acceptor);
    if (tn__lease_acceptor_expire(&cell, tn__explore_acceptor_now(step->lease, &next, acceptor))) {
        tn__lease_acceptor_check(&cell);
        tn__explore_acceptor_pack(&next, acceptor, &cell);
        tn__explore_step_emit(step, &next,
                              tn__explore_event(TN_EXPLORE_EVENT_EXPIRE_ACCEPTOR, acceptor, 0, 0));
    }
}

/* What the memory of an acceptor held is gone; the disk keeps the ceiling it has, and what was
 * being written is lost (that it was not is the event of its completion before the crash). */
static void acceptor_forgets(const struct tn__explore_lease *lease,
                             struct tn__explore_cluster *cluster, uint32_t acceptor)
{
    struct tn__explore_acceptor *packed = &cluster->acceptors[acceptor];
    packed->held = 0;
    packed->promised = 0;
    packed->accepted = 0;
    packed->deadline = 0;
    if (tn__explore_changes(lease)) { /* F3: the version and whether it was left are durable */
        struct tn__configuration cell = tn__explore_configuration_unpack(cluster, acceptor);
        cell.silent_until = 0;
        tn__explore_configuration_pack(cluster, acceptor, &cell);
    }
    if (tn__explore_has(lease, TN_EXPLORE_FENCED)) {
        uint32_t disk = packed->ceiling >> 6 & 7U;
        packed->ceiling = (uint16_t)(disk | disk << 3 | disk << 6);
    }
}

/* A4 begins, and F2: the floor. */
static void acceptor_restarts(const struct tn__explore_lease *lease,
                              struct tn__explore_cluster *cluster, uint32_t acceptor)
{
    struct tn__explore_acceptor *packed = &cluster->acceptors[acceptor];
    tn_time now = tn__explore_acceptor_now(lease, cluster, acceptor);
    tn_time end = now + lease->config->quarantine_ticks; /* A4 */
    packed->quarantine = (uint8_t)(end > now ? end : 0);
    if (tn__explore_has(lease, TN_EXPLORE_FENCED)) {
        struct tn__explore_ceiling ceiling = tn__explore_ceiling_unpack(lease, cluster, acceptor);
        struct tn__lease_acceptor cell = {.promised =
                                              tn__ceiling_floor(ceiling.cell.durable)}; /* F2 */
        tn__explore_acceptor_pack(cluster, acceptor, &cell);
    }
}

static void acceptor_crashes(const struct tn__explore_step *step, uint32_t acceptor)
{
    struct tn__explore_cluster next = *step->from;
    struct tn__explore_acceptor *packed = &next.acceptors[acceptor];
    uint32_t event = tn__explore_event(TN_EXPLORE_EVENT_CRASH_ACCEPTOR, acceptor, 0, 0);
    if (!tn__explore_has(step->lease, TN_EXPLORE_CRASH)) {
        return;
    }
    if (tn__explore_has(step->lease, TN_EXPLORE_ENDLESS)) {
        acceptor_forgets(step->lease, &next, acceptor);
        acceptor_restarts(step->lease, &next, acceptor);
    } else if (packed->quarantine != TN_EXPLORE_DOWN) {
        acceptor_forgets(step->lease, &next, acceptor);
        packed->quarantine = TN_EXPLORE_DOWN;
    } else {
        acceptor_restarts(step->lease, &next, acceptor);
        event = tn__explore_event(TN_EXPLORE_EVENT_RESTART_ACCEPTOR, acceptor, 0, 0);
    }
    tn__explore_step_emit(step, &next, event);
}

/* ---- Time and the network ---------------------------------------------------------------------
 */

/* RATES. A clock ticks at most once a moment, and at least rate_slow times in any rate_fast moments
 * on end; `past` has a bit for each of the last rate_fast - 1 moments. May it stand still now? */
static bool may_stand_still(const struct tn__explore_lease_config *config, uint32_t past)
{
    return (uint32_t)__builtin_popcount(past) >= config->rate_slow;
}

static uint32_t past_after(const struct tn__explore_lease_config *config, uint32_t past,
                           uint32_t ticked)
{
    return (past << 1 | ticked) & ((1U << (config->rate_fast - 1)) - 1);
}

/* Every clock that `ticking` names moves, proposers first. False if another one had to as well. */
static bool move_clocks(const struct tn__explore_lease_config *config,
                        struct tn__explore_cluster *cluster, uint32_t ticking)
{
    for (uint32_t i = 0; i < config->proposers; i++, ticking >>= 1) {
        struct tn__explore_proposer *packed = &cluster->proposers[i];
        uint32_t ticked = ticking & 1U;
        if (ticked == 0 && !may_stand_still(config, packed->past)) {
            return false;
        }
        packed->clock = (uint8_t)(packed->clock + ticked);
        packed->past = (uint8_t)past_after(config, packed->past, ticked);
    }
    for (uint32_t i = 0; i < config->acceptors; i++, ticking >>= 1) {
        struct tn__explore_acceptor *packed = &cluster->acceptors[i];
        uint32_t ticked = ticking & 1U;
        if (ticked == 0 && !may_stand_still(config, packed->ceiling)) {
            return false;
        }
        packed->clock = (uint8_t)(packed->clock + ticked);
        packed->ceiling = (uint16_t)past_after(config, packed->ceiling, ticked);
    }
    return true;
}

static void ticks(const struct tn__explore_step *step)
{
    const struct tn__explore_lease_config *config = step->lease->config;
    bool endless = tn__explore_has(step->lease, TN_EXPLORE_ENDLESS);
    if (!endless && step->from->now >= config->horizon) {
        return;
    }
    bool rates = tn__explore_has(step->lease, TN_EXPLORE_RATES);
    uint32_t choices = rates ? 1U << (config->proposers + config->acceptors) : 1;
    for (uint32_t ticking = 0; ticking < choices; ticking++) {
        struct tn__explore_cluster next = *step->from;
        next.now++;
        if (!rates || move_clocks(config, &next, ticking)) {
            tn__explore_step_emit(step, &next,
                                  tn__explore_event(TN_EXPLORE_EVENT_TICK, 0, ticking, 0));
        }
    }
}

static void drop(const struct tn__explore_step *step, uint32_t acceptor, uint32_t position)
{
    struct tn__explore_cluster next = *step->from;
    next.acceptors[acceptor].messages &= ~(1ULL << position);
    tn__explore_step_emit(step, &next,
                          tn__explore_event(TN_EXPLORE_EVENT_DROP, acceptor, position, 0));
}

static void acceptor_events(const struct tn__explore_step *step, uint32_t acceptor)
{
    const struct tn__explore_acceptor *packed = &step->from->acceptors[acceptor];
    bool down = packed->quarantine == TN_EXPLORE_DOWN;
    for (uint64_t rest = packed->messages; rest != 0; rest &= rest - 1) {
        uint32_t position = (uint32_t)__builtin_ctzll(rest);
        tn__explore_deliver(step, acceptor, position);
        if (tn__explore_has(step->lease, TN_EXPLORE_DROP)) {
            drop(step, acceptor, position);
        }
    }
    if (tn__explore_has(step->lease, TN_EXPLORE_FENCED) && !down) {
        tn__explore_ceiling_events(step, acceptor);
    }
    if (!step->lease->normalise && !down) {
        acceptor_expires(step, acceptor);
    }
    if (tn__explore_changes(step->lease) && !down) {
        tn__explore_leave_and_join(step, acceptor);
    }
    acceptor_crashes(step, acceptor);
}

void tn__explore_lease_successors(void *context, const void *state, tn__explore_emit *emit,
                                  void *sink)
{
    const struct tn__explore_lease *lease = context;
    struct tn__explore_cluster from;
    memset(&from, 0, sizeof(from));
    memcpy(&from, state, lease->model.state_bytes);
    if (from.flaw != TN_EXPLORE_FLAW_NONE) {
        return; /* what follows a broken rule says nothing */
    }
    struct tn__explore_step step = {.lease = lease, .from = &from, .emit = emit, .sink = sink};
    for (uint32_t i = 0; i < lease->config->proposers; i++) {
        proposer_events(&step, i);
    }
    for (uint32_t i = 0; i < lease->config->acceptors; i++) {
        acceptor_events(&step, i);
    }
    ticks(&step);
}

void tn__explore_lease_initial(void *context, tn__explore_emit *emit, void *sink)
{
    const struct tn__explore_lease *lease = context;
    struct tn__explore_cluster cluster;
    memset(&cluster, 0, sizeof(cluster));
    if (tn__explore_has(lease, TN_EXPLORE_RATES)) { /* nobody has stood still yet */
        uint32_t past = (1U << (lease->config->rate_fast - 1)) - 1;
        for (uint32_t i = 0; i < lease->config->proposers; i++) {
            cluster.proposers[i].past = (uint8_t)past;
        }
        for (uint32_t i = 0; i < lease->config->acceptors; i++) {
            cluster.acceptors[i].ceiling = (uint16_t)past;
        }
    }
    for (uint32_t i = 0; tn__explore_changes(lease) && i < lease->config->proposers; i++) {
        cluster.proposers[i].version = 1;
    }
    for (uint32_t i = 0; tn__explore_changes(lease) && i < lease->config->acceptors; i++) {
        bool member = tn__explore_member(lease, 1, i) != TN_EXPLORE_NO_MEMBER;
        struct tn__configuration cell = {.version = member ? 1 : 0, .left = member ? 0 : 1};
        tn__explore_configuration_pack(&cluster, i, &cell);
    }
    emit(sink, &cluster, tn__explore_event(TN_EXPLORE_EVENT_INITIAL, 0, 0, 0));
}
