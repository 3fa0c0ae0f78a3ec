/* The proposer's side of the machine: attempts, their answers, renewals, retries, losses.
 *
 * A contender that is wanted is always in one queue: `work` while an attempt is in flight (its wake
 * is the next resend, t_d at the latest), `renewals` while it holds and idles, `waiting` while it
 * backs off. One that is not wanted and holds nothing leaves the table.
 *
 * The wait before a retry (P5) is what the refusals said remains of the lease in the way, plus a
 * random part that doubles with each failure in a row, up to 16 times back_off_ns or D_P; H3 adds
 * one back_off_ns for each step of priority. */
#include "base/assert.h"
#include "base/random.h"
#include "paxos/lease_machine.h"
#include "paxos/quorum.h"

#define FAILURES_WIDEN_MAX 4U

static tn_time later(tn_time a, tn_time b)
{
    return a > b ? a : b;
}

static tn_time earlier(tn_time a, tn_time b)
{
    return a < b ? a : b;
}

tn_time tn__lease_back_off(struct tn__lease_turn *turn, uint32_t table,
                           const struct tn__lease_contender *contender)
{
    const struct tn_lease_table_options *options = &tn__lease_table_at(turn->lease, table)->options;
    uint32_t widen =
        contender->failures < FAILURES_WIDEN_MAX ? contender->failures : FAILURES_WIDEN_MAX;
    tn_time window = earlier(options->back_off_ns << widen, options->proposer_ns);
    return tn__random_below(&turn->lease->random, window) +
           contender->priority * options->back_off_ns; /* H3: who is preferred starts sooner */
}

/* ---- Where an idle contender goes ----------------------------------------------------------- */

void tn__lease_attempt_wait(struct tn__lease_turn *turn, uint32_t table,
                            struct tn__lease_contender *contender, tn_time wake)
{
    tn_assert(contender->proposer.phase == TN__LEASE_IDLE);
    struct tn__lease_table *place = tn__lease_table_at(turn->lease, table);
    tn_assert(contender->wanted != 0 || contender->proposer.lease_deadline == 0);
    tn_time not_before = later(wake, contender->stand_back_until); /* H1, H2 */
    tn__lease_table_place(place, contender, TN__CONTENDER_WAITING, not_before);
}

/* The lease is held and nothing is in flight: wait until its renewal begins. */
static void wait_for_renewal(struct tn__lease_turn *turn, uint32_t table,
                             struct tn__lease_contender *contender)
{
    struct tn__lease_table *place = tn__lease_table_at(turn->lease, table);
    tn_assert(contender->proposer.phase == TN__LEASE_IDLE);
    tn_assert(contender->proposer.lease_deadline >= place->options.proposer_ns);
    tn_time began = contender->proposer.lease_deadline - place->options.proposer_ns;
    tn__lease_table_place(place, contender, TN__CONTENDER_RENEWING,
                          began + place->options.renew_ns);
}

/* How wide the random part of the next wait is. Who finds a lease in the way, and finds one again
 * when that must be over, waits for an owner, and may come soon when it is gone. But what abandoned
 * attempts left behind is the trace of a duel (P2), and duels end by widening: an own trace widens,
 * and the first lease of somebody else after a duel takes nothing back. */
static void count_failure(struct tn__lease_contender *contender, bool of_another)
{
    if (of_another && contender->held != 0) {
        contender->failures = 0;
    } else if (!of_another && contender->failures < UINT8_MAX) {
        contender->failures++;
    }
    contender->held = of_another ? 1 : 0;
}

/* An attempt has ended without the lease: say so, and wait before the next (P5). */
static void attempt_failed(struct tn__lease_turn *turn, uint32_t table,
                           struct tn__lease_contender *contender, enum tn_reason reason,
                           struct tn_ballot in_the_way)
{
    tn_assert(reason != TN_REASON_NONE);
    tn_assert(contender->proposer.phase == TN__LEASE_IDLE); /* P5: the cell has given up */
    struct tn_lease *lease = turn->lease;
    bool holds = tn__lease_proposer_holds(&contender->proposer, turn->now);
    tn_time hint = contender->proposer.hint;
    lease->counters.abandons++;
    bool trace = tn_ballot_node(in_the_way) == tn__lease_self(lease);
    count_failure(contender, reason == TN_REASON_HELD && !trace);
    if (!holds) { /* a renewal that fails changes nothing, so there is nothing to say yet */
        struct tn_notice *notice = tn__lease_notify(turn, table, contender->name, TN_NOTICE_FAILED);
        notice->reason = (uint8_t)reason;
        notice->node = tn_ballot_node(in_the_way);
        notice->ballot = in_the_way;
        notice->remaining = hint;
    }
    tn_time wait = tn__lease_back_off(turn, table, contender) + (holds ? 0 : hint); /* P5 */
    tn__lease_attempt_wait(turn, table, contender, turn->now + wait);
}

/* ---- Starting ------------------------------------------------------------------------------- */

/* Something was sent: wait for answers until it is time to repeat it, or until t_d. */
static void wait_for_answers(struct tn__lease_turn *turn, uint32_t table,
                             struct tn__lease_contender *contender, uint32_t resends)
{
    tn_assert(contender->proposer.phase != TN__LEASE_IDLE);
    tn_assert(turn->now < contender->proposer.attempt_deadline);
    struct tn__lease_table *place = tn__lease_table_at(turn->lease, table);
    tn__lease_table_place(place, contender, TN__CONTENDER_NOWHERE, 0);
    contender->resends = (uint8_t)(resends < TN__RESEND_LEVELS ? resends : TN__RESEND_LEVELS - 1);
    tn_time wait = place->options.resend_ns << contender->resends;
    tn__lease_table_place(place, contender, TN__CONTENDER_WORKING,
                          earlier(turn->now + wait, contender->proposer.attempt_deadline));
}

/* The next counter of this node, above every one seen: attempt * 2^16 + node; 0: none is left. */
static uint64_t next_counter(const struct tn_lease *lease)
{
    uint64_t attempt = (lease->counter_seen >> 16) + 1;
    if (attempt >= UINT64_MAX >> 16) {
        return 0;
    }
    uint64_t counter = attempt << 16 | tn__lease_self(lease);
    tn_assert(counter > lease->counter_seen); /* fresh: above every one seen */
    return counter;
}

static void send_prepare(struct tn__lease_turn *turn, uint32_t table,
                         const struct tn__lease_contender *contender, tn_member_set to,
                         uint64_t after)
{
    tn_assert(contender->proposer.phase == TN__LEASE_PREPARING);
    tn_assert(to != 0);
    struct tn_message *message = tn__lease_send(turn, table, contender->name, TN_MESSAGE_PREPARE,
                                                to, contender->proposer.ballot);
    message->durations = tn__lease_table_at(turn->lease, table)->durations;
    message->priority = contender->priority;
    message->after = after;
}

void tn__lease_attempt_start(struct tn__lease_turn *turn, uint32_t table,
                             struct tn__lease_contender *contender)
{
    struct tn_lease *lease = turn->lease;
    struct tn__lease_table *place = tn__lease_table_at(lease, table);
    struct tn__lease_proposer *proposer = &contender->proposer;
    tn_assert(proposer->phase == TN__LEASE_IDLE);

    uint64_t counter = next_counter(lease);
    uint64_t after = 0;
    if (counter == 0 || !tn__configuration_attempts(&lease->configuration) ||
        !tn__lease_cover(turn, counter, &after)) {
        if (counter == 0) {
            tn__lease_incident(turn, TN_REASON_COUNTER_EXHAUSTED, tn__lease_self(lease));
        }
        tn__lease_attempt_wait(turn, table, contender, turn->now + place->options.resend_ns);
        return;
    }
    lease->counter_seen = counter;
    lease->counters.attempts++;
    struct tn_ballot ballot = {.counter = counter, .restart_word = lease->restart_word};
    tn__lease_proposer_start(proposer, ballot, turn->now, place->options.proposer_ns); /* P1 */
    send_prepare(turn, table, contender, tn__members_all(lease->members_count), after);
    wait_for_answers(turn, table, contender, 0);
}

/* ---- Answers -------------------------------------------------------------------------------- */

void tn__lease_tell(struct tn__lease_turn *turn, uint32_t table,
                    const struct tn__lease_contender *contender, tn_member_set to)
{
    const struct tn__lease_proposer *proposer = &contender->proposer;
    tn_assert(tn__lease_proposer_holds(proposer, turn->now));
    struct tn_message *message =
        tn__lease_send(turn, table, contender->name, TN_MESSAGE_LEARN, to, proposer->active);
    message->remaining = proposer->lease_deadline - turn->now; /* L1 */
    message->token = proposer->token;
}

static void activated(struct tn__lease_turn *turn, uint32_t table,
                      struct tn__lease_contender *contender, enum tn__lease_outcome outcome)
{
    struct tn_lease *lease = turn->lease;
    struct tn__lease_table *place = tn__lease_table_at(lease, table);
    const struct tn__lease_proposer *proposer = &contender->proposer;
    bool opened = outcome == TN__LEASE_OPENED;
    tn_assert(tn__lease_proposer_holds(proposer, turn->now)); /* P4: before t_d */
    tn_assert(proposer->phase == TN__LEASE_IDLE);
    tn_assert(tn_ballot_node(proposer->active) == tn__lease_self(lease));

    contender->failures = 0;
    contender->held = 0;
    lease->counters.tenures += opened;
    lease->counters.renewals += !opened;
    struct tn_notice *notice =
        tn__lease_notify(turn, table, contender->name,
                         opened                          ? TN_NOTICE_OPENED
                         : outcome == TN__LEASE_REOPENED ? TN_NOTICE_REOPENED
                                                         : TN_NOTICE_RENEWED);
    notice->node = tn__lease_self(lease);
    notice->ballot = proposer->active;
    notice->token = proposer->token;
    notice->epoch = proposer->epoch; /* M1 */
    notice->deadline = proposer->lease_deadline;
    notice->remaining = proposer->lease_deadline - turn->now;

    tn__lease_table_place_ending(place, contender);
    wait_for_renewal(turn, table, contender);
    tn_member_set others = tn__members_all(lease->members_count) & ~tn__member_bit(lease->self);
    if (place->options.observe != TN_OBSERVE_OWNER && others != 0) {
        tn__lease_tell(turn, table, contender, others); /* P4: inform learners */
    }
}

static enum tn__lease_outcome give_to_cell(struct tn__lease_proposer *proposer,
                                           const struct tn_message *message,
                                           const struct tn__lease_answer *answer)
{
    switch ((enum tn_message_kind)message->kind) {
    case TN_MESSAGE_PROMISE:
        return tn__lease_proposer_promise(proposer, answer);
    case TN_MESSAGE_CLOSED:
    case TN_MESSAGE_REJECTED:
        return tn__lease_proposer_closed(proposer, answer);
    case TN_MESSAGE_ACCEPTED:
        return tn__lease_proposer_accepted(proposer, answer);
    case TN_MESSAGE_REFUSED:
        return tn__lease_proposer_refused(proposer, answer);
    default:
        return TN__LEASE_NOTHING;
    }
}

static enum tn_reason reason_of(const struct tn_message *message)
{
    if ((message->flags & TN_MESSAGE_FULL) != 0) {
        return TN_REASON_FULL;
    }
    if ((message->flags & TN_MESSAGE_DUPLICATE) != 0) {
        return TN_REASON_DUPLICATE_NODE;
    }
    return tn_ballot_is_none(message->lease) ? TN_REASON_OUTBID : TN_REASON_HELD;
}

/* An attempt begun before the self-check found the clock suspended: its t_d cannot be believed
 * either, so it must not activate. */
static bool is_forsaken(const struct tn__lease_table *table,
                        const struct tn__lease_proposer *proposer)
{
    return proposer->phase != TN__LEASE_IDLE && table->forsaken != 0 &&
           proposer->attempt_deadline - table->options.proposer_ns <= table->forsaken;
}

void tn__lease_on_answer(struct tn__lease_turn *turn, const struct tn_message *message)
{
    struct tn_lease *lease = turn->lease;
    struct tn__lease_table *table = tn__lease_table_at(lease, message->table);
    uint32_t slot = tn__lease_table_find(table, turn->key);
    struct tn__lease_contender *contender =
        slot == TN__SLOT_NONE ? NULL
                              : tn__lease_table_contender(table, tn__lease_table_name(table, slot));
    if (contender == NULL) {
        lease->counters.late++;
        return;
    }
    if (is_forsaken(table, &contender->proposer)) {
        tn__lease_proposer_abandon(&contender->proposer);
        attempt_failed(turn, message->table, contender, TN_REASON_CLOCK, (struct tn_ballot){0});
        return;
    }
    tn_assert(turn->event->from < lease->members_count);
    struct tn__lease_answer answer = {
        .members_count = lease->members_count,
        .member = turn->event->from,
        .ballot = message->ballot,
        .reported = message->lease,
        .remaining = earlier(message->remaining, table->options.acceptor_ns),
        .now = turn->now,
        .fenced = (message->flags & TN_MESSAGE_FENCED) != 0 ? 1 : 0,
    };
    enum tn__lease_outcome outcome = give_to_cell(&contender->proposer, message, &answer);
    switch (outcome) {
    case TN__LEASE_NOTHING:
        lease->counters.late++;
        break;
    case TN__LEASE_COUNTED:
        break;
    case TN__LEASE_PROPOSE: /* P3: broadcast Accept */
        tn__lease_send(turn, message->table, slot, TN_MESSAGE_ACCEPT,
                       tn__members_all(lease->members_count), contender->proposer.ballot);
        wait_for_answers(turn, message->table, contender, 0);
        break;
    case TN__LEASE_OPENED:
    case TN__LEASE_RENEWED:
    case TN__LEASE_REOPENED:
        activated(turn, message->table, contender, outcome);
        break;
    case TN__LEASE_ABANDONED:
        attempt_failed(turn, message->table, contender, reason_of(message), message->lease);
        break;
    }
}

/* ---- What is due ---------------------------------------------------------------------------- */

/* P3: repeat to the silent. P5: give up at t_d, or sooner where that is wiser. */
static void work_due(struct tn__lease_turn *turn, uint32_t table,
                     struct tn__lease_contender *contender)
{
    struct tn__lease_proposer *proposer = &contender->proposer;
    tn_assert(proposer->phase != TN__LEASE_IDLE);
    if (turn->now >= proposer->attempt_deadline) {
        tn__lease_proposer_abandon(proposer); /* P5: at t_d at the latest */
        attempt_failed(turn, table, contender, TN_REASON_NO_QUORUM, (struct tn_ballot){0});
        return;
    }
    if (proposer->phase == TN__LEASE_PREPARING && proposer->closed != 0) {
        /* P5: somebody refused and the rest is silent. A higher ballot may do better than to hope
         * for them until t_d: a member that is down would cost a whole lease. */
        enum tn_reason reason = proposer->hint == 0 ? TN_REASON_OUTBID : TN_REASON_HELD;
        tn__lease_proposer_abandon(proposer);
        attempt_failed(turn, table, contender, reason, (struct tn_ballot){0});
        return;
    }
    tn_member_set all = tn__members_all(turn->lease->members_count);
    uint64_t after = 0;
    if (tn__lease_cover(turn, proposer->ballot.counter, &after)) {
        if (proposer->phase == TN__LEASE_PREPARING) {
            tn_member_set heard = (tn_member_set)proposer->open | proposer->closed;
            send_prepare(turn, table, contender, all & ~heard, after);
        } else {
            tn_member_set heard = (tn_member_set)proposer->accepted | proposer->refused;
            tn__lease_send(turn, table, contender->name, TN_MESSAGE_ACCEPT, all & ~heard,
                           proposer->ballot)
                ->after = after;
        }
    }
    wait_for_answers(turn, table, contender, contender->resends + 1U);
}

void tn__lease_attempts_due(struct tn__lease_turn *turn, uint32_t table)
{
    struct tn__lease_table *place = tn__lease_table_at(turn->lease, table);
    struct tn__lease_contender *contender;
    while (tn__lease_has_room(turn) &&
           (contender = tn__lease_table_first(place, TN__CONTENDER_WORKING)) != NULL &&
           contender->wake <= turn->now) {
        work_due(turn, table, contender);
    }
    while (tn__lease_has_room(turn) &&
           (contender = tn__lease_table_first(place, TN__CONTENDER_RENEWING)) != NULL &&
           contender->wake <= turn->now) {
        tn__lease_attempt_start(turn, table, contender);
    }
    while (tn__lease_has_room(turn) &&
           (contender = tn__lease_table_first(place, TN__CONTENDER_WAITING)) != NULL &&
           contender->wake <= turn->now) {
        tn__lease_attempt_start(turn, table, contender);
    }
}

/* A lease has run out, or was forsaken: it is over, whatever attempt goes on. */
static void lost(struct tn__lease_turn *turn, uint32_t table, struct tn__lease_contender *contender,
                 enum tn_reason reason)
{
    struct tn__lease_table *place = tn__lease_table_at(turn->lease, table);
    struct tn__lease_proposer *proposer = &contender->proposer;
    struct tn_notice *notice = tn__lease_notify(turn, table, contender->name, TN_NOTICE_LOST);
    notice->reason = (uint8_t)reason;
    notice->node = tn__lease_self(turn->lease);
    notice->ballot = proposer->active;
    notice->token = proposer->token;
    notice->epoch = proposer->epoch;
    turn->lease->counters.losses++;
    tn_assert(reason == TN_REASON_CLOCK || turn->now >= proposer->lease_deadline);
    bool ended = tn__lease_proposer_expire(proposer, proposer->lease_deadline);
    tn_assert(ended);
    tn__lease_table_place_ending(place, contender);
    if (contender->place == TN__CONTENDER_RENEWING) {
        tn__lease_attempt_wait(turn, table, contender, turn->now);
    }
}

void tn__lease_endings_due(struct tn__lease_turn *turn, uint32_t table)
{
    struct tn__lease_table *place = tn__lease_table_at(turn->lease, table);
    struct tn__lease_contender *contender;
    while (tn__lease_has_room(turn) && (contender = tn__lease_table_first_ending(place)) != NULL) {
        tn_time deadline = contender->proposer.lease_deadline;
        bool forsaken =
            place->forsaken != 0 && deadline - place->options.proposer_ns <= place->forsaken;
        if (!forsaken && turn->now < deadline) {
            break;
        }
        lost(turn, table, contender, forsaken ? TN_REASON_CLOCK : TN_REASON_EXPIRED);
    }
}

void tn__lease_give_up(struct tn__lease_turn *turn, uint32_t table,
                       struct tn__lease_contender *contender, tn_node_id successor)
{
    struct tn_lease *lease = turn->lease;
    struct tn__lease_table *place = tn__lease_table_at(lease, table);
    struct tn__lease_proposer *proposer = &contender->proposer;
    bool held = tn__lease_proposer_holds(proposer, turn->now);
    uint64_t token = proposer->token;
    struct tn_ballot ballots[2];
    uint32_t count = tn__lease_proposer_release(proposer, ballots); /* P6 */
    tn_assert(count <= 2 && (count > 0 || !held));
    tn_assert(!tn__lease_proposer_holds(proposer, turn->now)); /* P6: it stops acting first */

    for (uint32_t i = 0; i < count; i++) {
        tn__lease_send(turn, table, contender->name, TN_MESSAGE_RELEASE,
                       tn__members_all(lease->members_count), ballots[i])
            ->successor = successor; /* H1 */
    }
    tn__lease_table_place_ending(place, contender);
    if (held) {
        lease->counters.releases++;
        struct tn_notice *notice =
            tn__lease_notify(turn, table, contender->name, TN_NOTICE_RELEASED);
        notice->node = successor;
        notice->ballot = ballots[count - 1];
        notice->token = token;
        notice->epoch = proposer->epoch;
    }
    if (successor != 0) { /* H1: the one who hands over stands back with the others */
        contender->stand_back_until = turn->now + 2 * place->options.back_off_ns;
    }
    tn_time wake = turn->now + tn__lease_back_off(turn, table, contender);
    tn__lease_attempt_wait(turn, table, contender, wake);
}
