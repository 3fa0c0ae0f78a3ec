/* The arrival of a message, by every rule that answers one: A1, A2, A3 at an acceptor, P2, P3, P4
 * at a proposer. explore_lease.h tells the theory.
 *
 * An Accept leaves in the step of the promise that completes the quorum, as in the code. A model
 * that lets it leave later explores nothing more, save by the bound on messages: until the
 * proposer's next event an unsent Accept and one that nobody has received differ for nobody.
 *
 * A refusal (closed, rejected, refused) travels only under ANSWERS. Otherwise it arrives with the
 * event that causes it or is lost: a proposer that waits for a refusal in flight does nothing that
 * one whose refusal is lost could not do, until it arrives; and giving up then is what giving up at
 * once, later or (ABANDON) at any time amounts to. So refusals use up no room in the network. */
#include "check/explore_lease_step.h"

#include "base/assert.h"
#include "paxos/quorum.h"

/* One arrival. */
struct arrival {
    const struct tn__explore_step *step;
    uint32_t acceptor;
    uint32_t position;
    enum tn__explore_message kind;
    uint32_t ballot;
    uint32_t variant; /* TN_EXPLORE_VARIANT_* */
};

static void emit_arrival(const struct arrival *arrival, const struct tn__explore_cluster *next)
{
    tn__explore_step_emit(arrival->step, next,
                          tn__explore_event(TN_EXPLORE_EVENT_DELIVER, arrival->acceptor,
                                            arrival->position, arrival->variant));
}

/* The state before, less the message (unless it stays). */
static struct tn__explore_cluster taken(const struct arrival *arrival)
{
    struct tn__explore_cluster next = *arrival->step->from;
    if ((arrival->variant & TN_EXPLORE_VARIANT_KEPT) == 0) {
        next.acceptors[arrival->acceptor].messages &= ~(1ULL << arrival->position);
    }
    return next;
}

void tn__explore_note_kept(struct tn__explore_cluster *cluster,
                           const struct tn__lease_proposer *before,
                           const struct tn__lease_proposer *after)
{
    if (!tn_ballot_equal(before->active, after->active) ||
        before->lease_deadline != after->lease_deadline || before->token != after->token) {
        tn__explore_flaw(cluster, TN_EXPLORE_FLAW_RENEWAL);
    }
}

/* ---- At a proposer ------------------------------------------------------------------------------
 */

static void note_activation(const struct tn__explore_lease *lease,
                            struct tn__explore_cluster *cluster, uint32_t proposer,
                            const struct tn__lease_proposer *cell, tn_time now,
                            enum tn__lease_outcome outcome)
{
    uint32_t ballot = tn__explore_number(cell->active.counter);
    if (now >= cell->lease_deadline) {
        tn__explore_flaw(cluster, TN_EXPLORE_FLAW_LATE); /* inv.L2 */
    }
    if (lease->config->guide != TN_LEASE_GUIDE_NONE) {
        cluster->proposers[proposer].was_active = 1;
    }
    if (!tn__explore_has(lease, TN_EXPLORE_FENCED)) {
        return;
    }
    /* inv.L11: a tenure that begins has a ballot above all that were ever active. */
    if (outcome == TN__LEASE_OPENED && cluster->highest >= ballot) {
        tn__explore_flaw(cluster, TN_EXPLORE_FLAW_TOKEN);
    }
    if (ballot > cluster->highest) {
        cluster->highest = (uint8_t)ballot;
    }
}

static enum tn__lease_outcome call_proposer(enum tn__explore_message kind,
                                            struct tn__lease_proposer *cell,
                                            const struct tn__lease_answer *answer)
{
    switch (kind) {
    case TN_EXPLORE_PROMISE:
    case TN_EXPLORE_PROMISE_BASE:
    case TN_EXPLORE_PROMISE_OTHER:
        return tn__lease_proposer_promise(cell, answer);
    case TN_EXPLORE_ACCEPTED:
        return tn__lease_proposer_accepted(cell, answer);
    case TN_EXPLORE_CLOSED:
        return tn__lease_proposer_closed(cell, answer);
    default:
        tn_assert(kind == TN_EXPLORE_REFUSED);
        return tn__lease_proposer_refused(cell, answer);
    }
}

/* A reply of `acceptor` to the attempt `ballot` is at its proposer. */
static void reply_arrives(const struct tn__explore_lease *lease,
                          struct tn__explore_cluster *cluster, uint32_t acceptor,
                          enum tn__explore_message kind, uint32_t ballot)
{
    uint32_t proposer = tn__explore_owner_proposer(cluster->owner[ballot - 1]);
    uint32_t version = cluster->proposers[proposer].version;
    uint32_t member = tn__explore_member(lease, version, acceptor);
    struct tn__configuration configuration = {.version = version};
    if (member == TN_EXPLORE_NO_MEMBER ||
        !tn__configuration_takes(&configuration, tn__explore_ballot_version(cluster, ballot))) {
        return; /* F3 */
    }
    tn_time now = tn__explore_proposer_now(lease, cluster, proposer);
    struct tn__lease_proposer cell = tn__explore_proposer_unpack(lease, cluster, proposer);
    struct tn__lease_proposer before = cell;
    struct tn__lease_answer answer = {
        .members_count = tn__explore_members_count(lease, cluster, proposer),
        .member = member,
        .ballot = tn__explore_ballot(cluster, ballot),
        .now = now,
        .fenced = tn__explore_has(lease, TN_EXPLORE_FENCED),
    };
    if (kind == TN_EXPLORE_PROMISE_BASE) {
        answer.reported = cell.base;
    } else if (kind == TN_EXPLORE_PROMISE_OTHER) {
        /* An own ballot that is neither base nor active: which one, no rule asks. */
        answer.reported = (struct tn_ballot){.counter = (0xffffULL << 16) | (proposer + 1),
                                             .restart_word = answer.ballot.restart_word};
    }
    enum tn__lease_outcome outcome = call_proposer(kind, &cell, &answer);
    tn__lease_proposer_check(&cell, answer.members_count);
    tn__explore_proposer_pack(lease, cluster, proposer, &cell);
    if (outcome == TN__LEASE_OPENED || outcome == TN__LEASE_RENEWED) {
        note_activation(lease, cluster, proposer, &cell, now, outcome);
    } else {
        tn__explore_note_kept(cluster, &before, &cell);
    }
    if (outcome == TN__LEASE_PROPOSE) {
        if (now >= cell.attempt_deadline) {
            tn__explore_flaw(cluster, TN_EXPLORE_FLAW_LATE_SEND);
        }
        tn__explore_broadcast(lease, cluster, TN_EXPLORE_ACCEPT, ballot);
    }
}

/* Is the process alive that waits for replies to this ballot? A reply to an earlier incarnation
 * finds nobody. */
static bool asker_is_there(const struct tn__explore_cluster *cluster, uint32_t ballot)
{
    uint8_t owner = cluster->owner[ballot - 1];
    if (owner == 0) {
        return false;
    }
    const struct tn__explore_proposer *packed =
        &cluster->proposers[tn__explore_owner_proposer(owner)];
    return packed->down == 0 && packed->incarnation == tn__explore_owner_incarnation(owner);
}

/* Is this the ballot of its proposer's attempt in flight? */
static bool is_awaited(const struct tn__explore_cluster *cluster, uint32_t ballot)
{
    uint32_t proposer = tn__explore_owner_proposer(cluster->owner[ballot - 1]);
    return cluster->proposers[proposer].ballot == ballot;
}

static void deliver_reply(const struct arrival *arrival)
{
    if (!asker_is_there(arrival->step->from, arrival->ballot)) {
        return; /* it stays, as any message to a process that is gone */
    }
    struct tn__explore_cluster next = taken(arrival);
    reply_arrives(arrival->step->lease, &next, arrival->acceptor, arrival->kind, arrival->ballot);
    emit_arrival(arrival, &next);
}

/* ---- At an acceptor -----------------------------------------------------------------------------
 */

/* How the promise stands to the attempt that asked: what its proposer will make of the report. */
static enum tn__explore_message promise_kind(const struct tn__explore_lease *lease,
                                             const struct tn__explore_cluster *cluster,
                                             const struct tn__lease_acceptor *cell, tn_time now,
                                             uint32_t ballot)
{
    if (!tn__lease_acceptor_is_live(cell, now)) {
        return TN_EXPLORE_PROMISE;
    }
    uint32_t proposer = tn__explore_owner_proposer(cluster->owner[ballot - 1]);
    const struct tn__explore_proposer *asker = &cluster->proposers[proposer];
    bool waiting = asker->ballot == ballot && asker->base != 0;
    (void)lease;
    return waiting && tn__explore_number(cell->accepted.counter) == asker->base
               ? TN_EXPLORE_PROMISE_BASE
               : TN_EXPLORE_PROMISE_OTHER;
}

/* An answer leaves, or waits for the write that it depends on. */
static void answer_leaves(const struct arrival *arrival, struct tn__explore_cluster *next,
                          enum tn__explore_message kind, bool held)
{
    uint64_t bit = tn__explore_message_bit(arrival->step->lease, next, kind, arrival->ballot);
    tn__explore_note_version(arrival->step->lease, next, arrival->acceptor, arrival->ballot);
    if (held) {
        next->acceptors[arrival->acceptor].held |= bit;
    } else {
        next->acceptors[arrival->acceptor].messages |= bit;
    }
}

/* A refusal: on its way, or at its goal at once, or lost. */
static void refusal_leaves(struct arrival *arrival, struct tn__explore_cluster *next,
                           enum tn__explore_message kind, bool held)
{
    if (tn__explore_has(arrival->step->lease, TN_EXPLORE_ANSWERS)) {
        answer_leaves(arrival, next, kind, held);
        emit_arrival(arrival, next);
        return;
    }
    emit_arrival(arrival, next);
    if (held || !asker_is_there(next, arrival->ballot) || !is_awaited(next, arrival->ballot)) {
        return;
    }
    arrival->variant |= TN_EXPLORE_VARIANT_ANSWERED;
    reply_arrives(arrival->step->lease, next, arrival->acceptor, kind, arrival->ballot);
    emit_arrival(arrival, next);
    arrival->variant &= ~TN_EXPLORE_VARIANT_ANSWERED;
}

static bool is_foreign_live(const struct tn__lease_acceptor *cell, struct tn_ballot ballot,
                            tn_time now)
{
    return tn__lease_acceptor_is_live(cell, now) && !tn_ballot_same_owner(cell->accepted, ballot);
}

/* What every answer of an acceptor has to keep. */
static void note_acceptor(struct tn__explore_cluster *cluster,
                          const struct tn__lease_acceptor *before,
                          const struct tn__lease_acceptor *after, enum tn__lease_verdict verdict)
{
    if (tn_ballot_compare(after->promised, before->promised) < 0) {
        tn__explore_flaw(cluster, TN_EXPLORE_FLAW_PROMISE);
    }
    if (verdict == TN__LEASE_DUPLICATE) {
        tn__explore_flaw(cluster, TN_EXPLORE_FLAW_DUPLICATE);
    }
}

static void deliver_prepare(struct arrival *arrival, tn_time now)
{
    const struct tn__explore_lease *lease = arrival->step->lease;
    struct tn__explore_cluster next = taken(arrival);
    bool held = false;
    if (tn__explore_has(lease, TN_EXPLORE_FENCED) &&
        !tn__explore_ceiling_gate(lease, &next, arrival->acceptor, arrival->ballot, &held)) {
        emit_arrival(arrival, &next);
        return;
    }
    struct tn__lease_acceptor cell = tn__explore_acceptor_unpack(&next, arrival->acceptor);
    struct tn__lease_acceptor before = cell;
    enum tn__lease_verdict verdict =
        tn__lease_acceptor_prepare(&cell, tn__explore_ballot(&next, arrival->ballot), now,
                                   !tn__explore_has(lease, TN_EXPLORE_POLITE));
    tn__lease_acceptor_check(&cell);
    tn__explore_acceptor_pack(&next, arrival->acceptor, &cell);
    note_acceptor(&next, &before, &cell, verdict);
    if (verdict == TN__LEASE_PROMISED) {
        enum tn__explore_message kind = promise_kind(lease, &next, &cell, now, arrival->ballot);
        answer_leaves(arrival, &next, kind, held);
        emit_arrival(arrival, &next);
    } else {
        refusal_leaves(arrival, &next, TN_EXPLORE_CLOSED, held);
    }
}

static void deliver_accept(struct arrival *arrival, tn_time now)
{
    const struct tn__explore_lease *lease = arrival->step->lease;
    struct tn__explore_cluster next = taken(arrival);
    bool held = false;
    if (tn__explore_has(lease, TN_EXPLORE_FENCED) &&
        !tn__explore_ceiling_gate(lease, &next, arrival->acceptor, arrival->ballot, &held)) {
        emit_arrival(arrival, &next);
        return;
    }
    struct tn_ballot ballot = tn__explore_ballot(&next, arrival->ballot);
    struct tn__lease_acceptor cell = tn__explore_acceptor_unpack(&next, arrival->acceptor);
    struct tn__lease_acceptor before = cell;
    bool foreign = is_foreign_live(&cell, ballot, now);
    enum tn__lease_verdict verdict =
        tn__lease_acceptor_accept(&cell, ballot, now, lease->config->acceptor_ticks);
    tn__lease_acceptor_check(&cell);
    tn__explore_acceptor_pack(&next, arrival->acceptor, &cell);
    note_acceptor(&next, &before, &cell, verdict);
    if (foreign && !tn_ballot_equal(cell.accepted, before.accepted)) {
        tn__explore_flaw(&next, TN_EXPLORE_FLAW_REPLACED); /* inv.L7 */
    }
    if (verdict == TN__LEASE_ACCEPTED) {
        answer_leaves(arrival, &next, TN_EXPLORE_ACCEPTED, held);
        emit_arrival(arrival, &next);
    } else {
        refusal_leaves(arrival, &next, TN_EXPLORE_REFUSED, held);
    }
}

static void deliver_release(struct arrival *arrival)
{
    struct tn__explore_cluster next = taken(arrival);
    struct tn_ballot ballot = tn__explore_ballot(&next, arrival->ballot);
    struct tn__lease_acceptor cell = tn__explore_acceptor_unpack(&next, arrival->acceptor);
    struct tn__lease_acceptor before = cell;
    tn__lease_acceptor_release(&cell, ballot);
    tn__lease_acceptor_check(&cell);
    tn__explore_acceptor_pack(&next, arrival->acceptor, &cell);
    note_acceptor(&next, &before, &cell, TN__LEASE_ACCEPTED);
    bool cleared = before.deadline != 0 && cell.deadline == 0;
    if (cleared && !tn_ballot_equal(before.accepted, ballot)) {
        tn__explore_flaw(&next, TN_EXPLORE_FLAW_RELEASED); /* inv.L8 */
    }
    if (tn_ballot_compare(cell.promised, ballot) <= 0) {
        tn__explore_flaw(&next, TN_EXPLORE_FLAW_GHOST); /* A3 */
    }
    emit_arrival(arrival, &next);
}

static void deliver_request(struct arrival *arrival)
{
    const struct tn__explore_lease *lease = arrival->step->lease;
    const struct tn__explore_acceptor *packed = &arrival->step->from->acceptors[arrival->acceptor];
    tn_time now = tn__explore_acceptor_now(lease, arrival->step->from, arrival->acceptor);
    if (packed->quarantine != 0 && now < packed->quarantine) {
        return; /* A4; TN_EXPLORE_DOWN is later than every time */
    }
    if (!tn__explore_speaks_for(lease, arrival->step->from, arrival->acceptor, arrival->ballot)) {
        return; /* F3: as if it were late, for ever if need be */
    }
    if ((arrival->variant & TN_EXPLORE_VARIANT_STALE) != 0) {
        now--;
    }
    if (arrival->kind == TN_EXPLORE_PREPARE) {
        deliver_prepare(arrival, now);
    } else if (arrival->kind == TN_EXPLORE_ACCEPT) {
        deliver_accept(arrival, now);
    } else {
        tn_assert(arrival->kind == TN_EXPLORE_RELEASED);
        deliver_release(arrival);
    }
}

static void deliver_variant(const struct tn__explore_step *step, uint32_t acceptor,
                            uint32_t position, uint32_t variant)
{
    struct arrival arrival = {
        .step = step, .acceptor = acceptor, .position = position, .variant = variant};
    arrival.kind = tn__explore_message_at(step->lease, step->from, position, &arrival.ballot);
    if (arrival.kind < TN_EXPLORE_REPLIES_BEGIN) {
        deliver_request(&arrival);
    } else {
        deliver_reply(&arrival);
    }
}

void tn__explore_deliver(const struct tn__explore_step *step, uint32_t acceptor, uint32_t position)
{
    deliver_variant(step, acceptor, position, 0);
    if (tn__explore_has(step->lease, TN_EXPLORE_REDELIVER)) {
        deliver_variant(step, acceptor, position, TN_EXPLORE_VARIANT_KEPT);
    }
    if (tn__explore_has(step->lease, TN_EXPLORE_STALE) && step->from->now > 0) {
        deliver_variant(step, acceptor, position, TN_EXPLORE_VARIANT_STALE);
    }
}
