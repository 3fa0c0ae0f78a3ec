/* Leading: when this node begins Phase 1, and when it stops.
 *
 *            tenure, or need in a free group            a majority of promises
 *   IDLE ------------------------------------> PREPARING ---------------------> LEADING
 *     ^                                            |                               |
 *     |<--- a higher ballot, the tenure's end -----+                               |
 *     |<--- a higher ballot, a new tenure -----------------------------------------+
 *     |<--- nothing in flight --- LEADING, retired <--- the tenure's end ----------+
 *
 * N1: Phase 1 begins only inside the tenure, and a retired leader proposes nothing; what it had in
 * flight may still be chosen by late votes, as choosing reads no clock. Free mode: who needs to
 * propose begins when no leader was heard for election_ns, after a random wait that grows with each
 * attempt lost, and stays until preempted. */
#include "base/assert.h"
#include "base/random.h"
#include "paxos/log_machine.h"

#define BACK_OFF_DOUBLINGS_MAX 4U

/* ---- Stopping -------------------------------------------------------------------------------- */

static void back_off(struct tn__log_turn *turn)
{
    struct tn_log *log = turn->log;
    uint32_t doublings =
        log->refusals < BACK_OFF_DOUBLINGS_MAX ? log->refusals : BACK_OFF_DOUBLINGS_MAX;
    uint64_t most = log->options.back_off_ns << doublings;
    log->begin_at = tn__log_later(turn->now, tn__random_below(&log->random, most));
    log->refusals++;
    tn_assert(log->begin_at >= turn->now);
    tn_assert(log->refusals != 0);
}

void tn__log_step_down(struct tn__log_turn *turn)
{
    struct tn_log *log = turn->log;
    if (log->proposer.phase == TN__LOG_IDLE) {
        return;
    }
    tn_assert(log->forgets_count + log->proposer.capacity <= log->forgets_capacity);
    log->forgets_count +=
        tn__log_proposer_stop(&log->proposer, tn__log_proposals(log), tn__log_forgets(log));
    for (uint32_t i = 0; i < log->options.nodes_count; i++) {
        log->peers[i].resend_at = TN_TIME_NEVER;
        log->peers[i].wanted = 0;
    }
    if (log->leader == tn__log_self(log)) {
        log->leader = TN__LOG_NOBODY;
    }
    log->retired = 0;
    log->resolve_upto = 0;
    log->prepare_at = TN_TIME_NEVER;
    tn_assert(log->proposer.phase == TN__LOG_IDLE);
}

void tn__log_preempted(struct tn__log_turn *turn, struct tn_log_ballot by)
{
    struct tn_log *log = turn->log;
    tn_assert(!tn_log_ballot_is_none(by));
    if (log->proposer.phase == TN__LOG_IDLE ||
        tn_log_ballot_compare(by, log->proposer.ballot) <= 0) {
        return;
    }
    log->counters.preempted++;
    tn__log_step_down(turn);
    back_off(turn);
    tn_assert(log->proposer.phase == TN__LOG_IDLE);
}

void tn__log_stop(struct tn__log_turn *turn, enum tn_log_reason reason)
{
    struct tn_log *log = turn->log;
    tn_assert(reason != TN_LOG_REASON_NONE);
    if (log->stopped != 0) {
        return;
    }
    tn__log_step_down(turn);
    log->stopped = reason;
    log->leader = TN__LOG_NOBODY;
    tn__log_incident(turn, reason, log->options.nodes[tn__log_self(log)]);
    tn_assert(!tn__log_votes(log));
}

/* ---- Phase 1 --------------------------------------------------------------------------------- */

/* A ballot above all that was seen, or none: a later tenure or mode is about. */
static struct tn_log_ballot next_ballot(const struct tn_log *log)
{
    const struct tn__log_configuration *now = tn__log_now(log);
    struct tn_log_ballot ballot = {
        .token = now->mode == TN_LOG_MODE_LEASED ? log->token : 0, /* N1 */
        .attempt = 1,
        .restart_word = log->options.restart_word,
        .mode_number = now->mode_number,
        .node = log->options.nodes[tn__log_self(log)],
    };
    tn_assert(ballot.node != 0);
    if (log->seen.mode_number == ballot.mode_number && log->seen.token == ballot.token) {
        ballot.attempt = log->seen.attempt + 1;
    }
    if (tn_log_ballot_compare(ballot, log->seen) <= 0 || ballot.attempt > TN__LOG_ATTEMPT_MAX) {
        return (struct tn_log_ballot){0};
    }
    tn_assert(tn_log_ballot_compare(ballot, log->acceptor.promise) > 0);
    return ballot;
}

/* N2: who is to be asked: voters of the configurations from here on that have not promised. */
static tn_member_set unpromised(const struct tn_log *log)
{
    tn_member_set members = 0;
    const struct tn__log_configuration *end = &log->configurations.list[log->configurations.count];
    for (const struct tn__log_configuration *one = tn__log_now(log); one < end; one++) {
        members |= one->voters;
    }
    tn_assert(members != 0);
    members &= ~log->proposer.promised;
    tn_assert((members & log->proposer.promised) == 0);
    return members & (tn__log_bit(log->options.nodes_count) - 1);
}

/* Ask a member for (the next page of) its promise. */
static void prepare_one(struct tn__log_turn *turn, uint32_t member)
{
    struct tn_log *log = turn->log;
    const struct tn__log_proposer *proposer = &log->proposer;
    tn_assert(proposer->phase != TN__LOG_IDLE);
    tn_assert(member < log->options.nodes_count);
    if (member == tn__log_self(log)) {
        if (tn_log_ballot_equal(log->acceptor.promise, proposer->ballot)) {
            tn__log_report(turn, member, proposer->ballot, proposer->cursors[member]);
        }
        return;
    }
    if (!tn__log_messages_room(turn, 1)) {
        return; /* it is asked again */
    }
    struct tn_log_message *message = tn__log_send(turn, TN_LOG_PREPARE, tn__log_bit(member));
    message->ballot = proposer->ballot;
    message->slot = proposer->cursors[member];
}

static void prepare_all(struct tn__log_turn *turn)
{
    struct tn_log *log = turn->log;
    tn_member_set members = unpromised(log);
    for (uint32_t i = 0; i < log->options.nodes_count; i++) {
        if ((members & tn__log_bit(i)) != 0) {
            prepare_one(turn, i);
        }
    }
    log->prepare_at = tn__log_later(turn->now, log->options.resend_ns);
    tn_assert(log->prepare_at > turn->now);
}

static void begin(struct tn__log_turn *turn)
{
    struct tn_log *log = turn->log;
    struct tn_log_ballot ballot = next_ballot(log);
    tn_assert(!tn_log_ballot_is_none(ballot));
    tn_assert(tn__log_votes(log) && log->full == 0);
    log->counters.prepares++;
    tn__log_proposer_begin(&log->proposer, tn__log_proposals(log), ballot, tn__log_committed(log));
    /* The own acceptor promises in the same step; its PROMISE waits for the record. */
    enum tn__log_verdict verdict = tn__log_acceptor_prepare(&log->acceptor, ballot);
    tn_assert(verdict == TN__LOG_AGREE);
    tn__log_see(log, ballot);
    (void)tn__log_record(turn, TN_LOG_RECORD_PROMISE, turn->effects->entries_count);
    log->leader = tn__log_self(log);
    log->leader_seen = ballot;
    log->retired = 0;
    prepare_all(turn);
}

/* M2 is done: Phase 1 has a majority. */
static void lead(struct tn__log_turn *turn)
{
    struct tn_log *log = turn->log;
    tn_assert(log->proposer.phase == TN__LOG_LEADING);
    tn_assert(log->proposer.reported + 1 >= log->proposer.from);
    log->recovery_end = log->proposer.reported;
    log->refusals = 0;
    log->retired = 0;
    log->prepare_at = TN_TIME_NEVER;
    tn__log_followers_begin(turn);
}

void tn__log_on_promise(struct tn__log_turn *turn, const struct tn_log_message *message)
{
    struct tn_log *log = turn->log;
    bool preparing = log->proposer.phase == TN__LOG_PREPARING;
    tn_assert(log->forgets_count + message->entries_count <= log->forgets_capacity);
    uint32_t forgotten = 0;
    enum tn__log_page page = tn__log_proposer_promise(
        &log->proposer, tn__log_proposals(log), &log->configurations, message->from,
        message->ballot, message->slot, message->slot_end,
        (message->flags & TN_LOG_FLAG_LAST_PAGE) != 0, message->committed, tn__log_committed(log),
        tn__log_entries_of(turn), message->entries_count, tn__log_forgets(log), &forgotten);
    log->forgets_count += forgotten;
    switch (page) {
    case TN__LOG_PAGE_MORE:
        prepare_one(turn, message->from);
        break;
    case TN__LOG_PAGE_COUNTED:
        if (preparing && log->proposer.phase == TN__LOG_LEADING) {
            lead(turn);
        }
        log->recovery_end = tn__log_larger(log->recovery_end, log->proposer.reported);
        break;
    case TN__LOG_PAGE_AHEAD: /* V1: what it ignores is fetched first (log_catch_up.c) */
        break;
    case TN__LOG_PAGE_BEYOND:
        log->counters.malformed++;
        break;
    default:
        tn_assert(page == TN__LOG_PAGE_STALE);
        log->counters.stale++;
        break;
    }
}

void tn__log_on_abort(struct tn__log_turn *turn, const struct tn_log_message *message)
{
    struct tn_log *log = turn->log;
    tn_assert(message->kind == TN_LOG_ABORT || message->kind == TN_LOG_SUGGEST);
    if (message->from == tn__log_self(log) || tn_log_ballot_is_none(message->promised)) {
        log->counters.malformed++;
        return;
    }
    tn__log_see(log, message->promised);
    if (log->proposer.phase == TN__LOG_IDLE ||
        !tn_log_ballot_equal(message->ballot, log->proposer.ballot)) {
        log->counters.stale++;
        return;
    }
    if (message->kind == TN_LOG_ABORT) {
        tn__log_preempted(turn, message->promised);
        return;
    }
    /* V1 suggest: the number is another incarnation's of this node. An earlier one of its own is
     * nothing to report; one of the same count of starts runs beside it. */
    if (message->promised.node == log->options.nodes[tn__log_self(log)] &&
        message->promised.restart_word >> 32 >= log->options.restart_word >> 32) {
        tn__log_incident(turn, TN_LOG_REASON_DUPLICATE_NODE, message->promised.node);
    }
    if (log->proposer.phase == TN__LOG_PREPARING) { /* who has its majority keeps the number */
        tn__log_step_down(turn);
        back_off(turn);
    }
}

void tn__log_advanced(struct tn__log_turn *turn)
{
    struct tn_log *log = turn->log;
    if (log->proposer.phase != TN__LOG_PREPARING ||
        log->proposer.from == tn__log_committed(log) + 1) {
        return;
    }
    tn_assert(log->forgets_count + log->proposer.capacity <= log->forgets_capacity);
    log->forgets_count += tn__log_proposer_advance(&log->proposer, tn__log_proposals(log),
                                                   tn__log_committed(log), tn__log_forgets(log));
    if (tn__log_proposer_settle(&log->proposer, &log->configurations)) {
        lead(turn);
    } else {
        log->prepare_at = turn->now; /* who was ahead is asked again */
    }
    tn_assert(log->proposer.phase != TN__LOG_IDLE);
}

/* N2: a configuration is known, in force or to come, whose majority has not promised yet. */
static bool lacks_promises(const struct tn_log *log)
{
    const struct tn__log_configuration *end = &log->configurations.list[log->configurations.count];
    tn_assert(log->proposer.phase == TN__LOG_LEADING);
    for (const struct tn__log_configuration *one = tn__log_now(log); one < end; one++) {
        if (!tn__log_configuration_quorum(one, log->proposer.promised)) {
            return true;
        }
    }
    tn_assert(log->proposer.promised != 0);
    return false;
}

/* ---- Tenure ---------------------------------------------------------------------------------- */

void tn__log_on_tenure(struct tn__log_turn *turn)
{
    struct tn_log *log = turn->log;
    const struct tn_log_event *event = turn->event;
    if (event->deadline == 0) {
        log->tenure_end = 0;
        return;
    }
    if (event->token < log->token || event->token == 0) {
        log->counters.stale++;
        return;
    }
    if (event->token > log->token) { /* M1: a new tenure recovers anew */
        if (tn__log_is_leased(log)) {
            tn__log_step_down(turn);
        }
        log->token = event->token;
        log->begin_at = turn->now;
    }
    log->tenure_end = event->deadline;
    if (log->retired != 0 && event->deadline > turn->now) {
        log->retired = 0; /* the same tenure after all */
        log->leader = tn__log_self(log);
        log->heartbeat_last = 0;
    }
    tn_assert(log->token != 0);
}

void tn__log_on_leader(struct tn__log_turn *turn)
{
    struct tn_log *log = turn->log;
    uint32_t from = turn->event->from;
    tn_assert(log->options.nodes_count <= TN_LOG_NODES_MAX);
    if (from >= log->options.nodes_count || from == tn__log_self(log) || !tn__log_is_leased(log) ||
        log->tenure_end > turn->now) {
        return;
    }
    log->leader = from;
    log->forward_at = turn->now;
    tn_assert(log->leader != tn__log_self(log));
}

static bool has_tenure(const struct tn_log *log, tn_time now)
{
    tn_assert(log->tenure_end == 0 || log->token != 0);
    return log->tenure_end > now;
}

bool tn__log_takes_guests(const struct tn_log *log, tn_time now)
{
    tn_assert(log->retired <= 1);
    if (!tn__log_votes(log) || log->retired != 0) {
        return false;
    }
    if (log->proposer.phase != TN__LOG_IDLE) {
        return true;
    }
    return tn__log_is_voter(log) &&
           (tn__log_is_leased(log) ? has_tenure(log, now) : now >= log->leader_until);
}

bool tn__log_may_propose(const struct tn_log *log, tn_time now)
{
    tn_assert(log->retired <= 1);
    return tn__log_leads(log) && tn__log_votes(log) && log->full == 0 &&
           (!tn__log_is_leased(log) || has_tenure(log, now));
}

/* ---- What is due ----------------------------------------------------------------------------- */

/* Free mode: something waits that only a leader can move. */
static bool needs_leader(const struct tn_log *log)
{
    tn_assert(log->own.waiting <= log->own.count);
    return log->own.waiting > 0 || log->guests.waiting > 0 || tn__log_reads_wait(log) ||
           log->resolve_upto > tn__log_committed(log);
}

/* When Phase 1 is to begin; NEVER: not as things are. */
static tn_time begin_time(const struct tn_log *log, tn_time now)
{
    bool leased = tn__log_is_leased(log);
    bool wanted = log->proposer.phase == TN__LOG_IDLE &&
                  (leased ? has_tenure(log, now) : needs_leader(log)); /* N1 */
    if (!wanted || !tn__log_votes(log) || log->full != 0 || !tn__log_is_voter(log) ||
        tn_log_ballot_is_none(next_ballot(log))) {
        return TN_TIME_NEVER;
    }
    tn_assert(leased || log->leader != tn__log_self(log));
    return leased ? log->begin_at : tn__log_larger(log->begin_at, log->leader_until);
}

/* N1: the tenure is over, or the configuration no longer names this node or this mode. */
static bool must_retire(const struct tn_log *log, tn_time now)
{
    const struct tn__log_configuration *config = tn__log_now(log);
    tn_assert(config->voters != 0);
    return (tn__log_is_leased(log) && !has_tenure(log, now)) ||
           config->mode_number != log->proposer.ballot.mode_number || !tn__log_is_voter(log);
}

void tn__log_role_due(struct tn__log_turn *turn)
{
    struct tn_log *log = turn->log;
    if (log->tenure_end != 0 && log->tenure_end <= turn->now) {
        log->tenure_end = 0;
    }
    if (log->proposer.phase != TN__LOG_IDLE && log->retired == 0 && must_retire(log, turn->now)) {
        log->counters.expired++;
        if (log->proposer.phase == TN__LOG_LEADING &&
            (!tn__log_is_leased(log) || has_tenure(log, turn->now))) {
            tn__log_followers_farewell(turn);
        }
        log->retired = 1;
        if (log->leader == tn__log_self(log)) {
            log->leader = TN__LOG_NOBODY;
        }
    }
    bool in_flight =
        log->proposer.phase == TN__LOG_LEADING && log->proposer.next > tn__log_committed(log) + 1;
    if (log->retired != 0 && !in_flight) {
        tn__log_step_down(turn);
    }
    if (begin_time(log, turn->now) <= turn->now) {
        begin(turn);
    }
    if (log->proposer.phase == TN__LOG_LEADING) {
        if (!lacks_promises(log)) {
            log->prepare_at = TN_TIME_NEVER;
        } else if (log->prepare_at == TN_TIME_NEVER) {
            log->prepare_at = turn->now; /* at once, so that its first slot need not wait */
        }
    }
    if (log->prepare_at <= turn->now) {
        tn_assert(log->proposer.phase != TN__LOG_IDLE);
        prepare_all(turn);
    }
    tn_assert(log->retired == 0 || log->proposer.phase == TN__LOG_LEADING);
}

tn_time tn__log_leader_deadline(const struct tn_log *log)
{
    tn_assert(log->prepare_at == TN_TIME_NEVER || log->proposer.phase != TN__LOG_IDLE);
    tn_time deadline = log->prepare_at;
    if (log->proposer.phase != TN__LOG_IDLE && log->retired == 0 && tn__log_is_leased(log) &&
        log->tenure_end != 0) {
        deadline = tn__log_earlier(deadline, log->tenure_end);
    }
    tn_assert(log->retired == 0 || log->proposer.phase == TN__LOG_LEADING);
    return tn__log_earlier(deadline, begin_time(log, 0));
}
