/* The acceptor's side: Prepare, Accept, and a leader's heartbeat.
 *
 * Nothing is said before it is durable: a PROMISE and an ACCEPTED wait for the newest write of this
 * machine, which is at or after the one that they speak of (writes become durable in order). */
#include "base/assert.h"
#include "paxos/log_machine.h"

/* The newest write, if it is still under way. */
static uint64_t newest_write(const struct tn_log *log)
{
    tn_assert(log->written <= log->writes);
    return log->writes > log->written ? log->writes : 0;
}

void tn__log_see(struct tn_log *log, struct tn_log_ballot ballot)
{
    tn_assert(ballot.attempt <= TN__LOG_ATTEMPT_MAX);
    if (tn_log_ballot_compare(ballot, log->seen) > 0) {
        log->seen = ballot;
    }
    tn_assert(tn_log_ballot_compare(ballot, log->seen) <= 0);
}

/* V1, V2: refused, with the promise, so that the proposer need not time out. */
static void refuse(struct tn__log_turn *turn, enum tn_log_message_kind kind, uint32_t to,
                   struct tn_log_ballot ballot)
{
    tn_assert(kind == TN_LOG_ABORT || kind == TN_LOG_SUGGEST);
    struct tn_log_message *answer = tn__log_send(turn, kind, tn__log_bit(to));
    answer->ballot = ballot;
    answer->promised = turn->log->acceptor.promise;
    answer->after = newest_write(turn->log);
    tn_assert(!tn_log_ballot_is_none(answer->promised));
}

/* ---- V1 -------------------------------------------------------------------------------------- */

void tn__log_report(struct tn__log_turn *turn, uint32_t member, struct tn_log_ballot ballot,
                    uint64_t from)
{
    struct tn_log *log = turn->log;
    struct tn_log_effects *effects = turn->effects;
    uint32_t room = tn__log_entries_room(turn);
    uint32_t most = room < TN_LOG_RUN_MAX ? room : TN_LOG_RUN_MAX;
    if (most == 0 || !tn__log_messages_room(turn, 1)) {
        return; /* as if it were lost: it is asked for again */
    }
    tn_assert(tn_log_ballot_equal(ballot, log->acceptor.promise));
    uint32_t first = effects->entries_count;
    uint64_t end = 0;
    bool last = false;
    uint32_t count =
        tn__log_acceptor_report(&log->acceptor, tn__log_slots(log), from, tn__log_committed(log),
                                &effects->entries[first], most, &end, &last);
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) { /* V1: in bounded pages */
        bytes += effects->entries[first + i].value.bytes;
        if (i > 0 && bytes > TN__LOG_RUN_BYTES) {
            end = effects->entries[first + i].slot;
            last = false;
            count = i;
        }
    }
    effects->entries_count += count;
    struct tn_log_message *page = tn__log_send(turn, TN_LOG_PROMISE, tn__log_bit(member));
    tn__log_attach(turn, page, first);
    page->ballot = ballot;
    page->slot = from;
    page->slot_end = end;
    page->flags = last ? TN_LOG_FLAG_LAST_PAGE : 0;
    page->after = newest_write(log);
    tn_assert(page->slot_end >= page->slot);
}

/* A would-be leader has this node's promise: leave it time. */
static void note_candidate(struct tn__log_turn *turn, uint32_t from, struct tn_log_ballot ballot)
{
    struct tn_log *log = turn->log;
    tn_assert(from != tn__log_self(log));
    if (tn_log_ballot_compare(ballot, log->leader_seen) > 0) {
        log->leader_seen = ballot;
        log->leader = from;
    }
    log->leader_until = tn__log_later(turn->now, log->options.election_ns);
}

void tn__log_on_prepare(struct tn__log_turn *turn, const struct tn_log_message *message)
{
    struct tn_log *log = turn->log;
    if (!tn__log_votes(log) || log->full != 0 || message->from == tn__log_self(log)) {
        return; /* W3, W4 */
    }
    enum tn__log_verdict verdict = tn__log_acceptor_prepare(&log->acceptor, message->ballot);
    tn__log_see(log, log->acceptor.promise);
    switch (verdict) {
    case TN__LOG_AGREE:
        log->counters.promises++;
        tn__log_preempted(turn, message->ballot);
        (void)tn__log_record(turn, TN_LOG_RECORD_PROMISE, turn->effects->entries_count);
        note_candidate(turn, message->from, message->ballot);
        tn__log_report(turn, message->from, message->ballot, message->slot);
        break;
    case TN__LOG_AGAIN:
        note_candidate(turn, message->from, message->ballot);
        tn__log_report(turn, message->from, message->ballot, message->slot);
        break;
    case TN__LOG_SUGGEST:
        log->counters.suggests++;
        if (message->ballot.restart_word >> 32 == log->acceptor.promise.restart_word >> 32) {
            tn__log_incident(turn, TN_LOG_REASON_DUPLICATE_NODE, message->ballot.node);
        }
        refuse(turn, TN_LOG_SUGGEST, message->from, message->ballot);
        break;
    default:
        tn_assert(verdict == TN__LOG_ABORT);
        log->counters.aborts++;
        refuse(turn, TN_LOG_ABORT, message->from, message->ballot);
        break;
    }
}

/* ---- C1 -------------------------------------------------------------------------------------- */

void tn__log_said(struct tn_log *log, struct tn_log_ballot ballot, uint64_t committed)
{
    tn_assert(!tn_log_ballot_is_none(ballot));
    if (tn_log_ballot_compare(ballot, log->said_ballot) > 0) {
        log->said_ballot = ballot;
        log->said_committed = 0;
    }
    if (tn_log_ballot_equal(ballot, log->said_ballot)) {
        log->said_committed = tn__log_larger(log->said_committed, committed);
    }
    tn_assert(!tn_log_ballot_is_none(log->said_ballot));
}

/* An accept or heartbeat of the leader of `ballot`, which is not below the promise. */
static void hear_leader(struct tn__log_turn *turn, const struct tn_log_message *message)
{
    struct tn_log *log = turn->log;
    tn__log_see(log, message->ballot);
    tn__log_preempted(turn, message->ballot);
    if (tn_log_ballot_compare(message->ballot, log->leader_seen) < 0) {
        return;
    }
    log->leader_seen = message->ballot;
    log->leader = message->from;
    log->leader_until = tn__log_later(turn->now, log->options.election_ns);
    tn__log_said(log, message->ballot, message->committed);
    tn_assert(log->leader < log->options.nodes_count);
}

/* Reads 4: the leader gives back the time at which this node sent an answer to it. */
static void note_age(struct tn__log_turn *turn, const struct tn_log_message *message)
{
    struct tn_log *log = turn->log;
    tn_assert(log->fresh_at <= turn->now);
    if (message->stamp == 0 || message->stamp > turn->now || log->fresh_stamp != 0) {
        return;
    }
    log->fresh_stamp = message->stamp;
    log->fresh_slot = message->committed;
    tn_assert(log->fresh_stamp <= turn->now);
}

void tn__log_on_heartbeat(struct tn__log_turn *turn, const struct tn_log_message *message)
{
    struct tn_log *log = turn->log;
    if (message->from == tn__log_self(log)) {
        return;
    }
    if (tn_log_ballot_compare(message->ballot, log->acceptor.promise) < 0) {
        log->counters.aborts++;
        refuse(turn, TN_LOG_ABORT, message->from, message->ballot);
        return;
    }
    hear_leader(turn, message);
    if ((message->flags & TN_LOG_FLAG_DIVERGED) != 0) {
        tn__log_stop(turn, TN_LOG_REASON_DIVERGED); /* C3: a majority's chain is another */
        return;
    }
    note_age(turn, message);
    struct tn_log_message *answer =
        tn__log_send(turn, TN_LOG_HEARTBEAT_ANSWER, tn__log_bit(message->from));
    answer->ballot = message->ballot;
    answer->id = message->id;
    answer->stamp = turn->now;
    tn__log_checksum_put(log, answer);
    tn_assert(answer->after == 0);
}

/* ---- V2 -------------------------------------------------------------------------------------- */

/* What accepting a run came to. */
struct accepted {
    uint32_t answered;  /* so many slots from the first on may be answered */
    uint32_t new_first; /* the entries that are to be written: new_first .. new_end - 1 */
    uint32_t new_end;
    bool refused; /* V2 abort */
};

static void accept_one(struct tn__log_turn *turn, struct tn_log_ballot ballot,
                       const struct tn_log_entry *entry, uint32_t index, struct accepted *result)
{
    struct tn_log *log = turn->log;
    struct tn__log_slot *slots = tn__log_slots(log);
    uint64_t forgotten = 0;
    (void)tn__log_make_room(log, entry->slot);
    bool again =
        tn__log_acceptor_holds(&log->acceptor, slots, entry->slot) &&
        tn_log_ballot_equal(tn__log_slot_at(&log->acceptor, slots, entry->slot)->ballot, ballot);
    enum tn__log_verdict verdict =
        tn__log_acceptor_accept(&log->acceptor, slots, ballot, entry->slot, &entry->value,
                                tn__log_committed(log), &forgotten);
    tn__log_forget(log, forgotten);
    switch (verdict) {
    case TN__LOG_ACCEPTED:
        log->counters.accepts++;
        if (!again) {
            result->new_first = result->new_end == 0 ? index : result->new_first;
            result->new_end = index + 1;
        }
        result->answered = index + 1;
        break;
    case TN__LOG_RESOLVED:
        result->answered = index + 1;
        break;
    case TN__LOG_BEYOND:
        log->counters.beyond++;
        break;
    case TN__LOG_CONFLICT:
        log->counters.malformed++;
        break;
    default:
        tn_assert(verdict == TN__LOG_ABORT && index == 0);
        result->refused = true;
        break;
    }
    tn_assert(result->new_first <= result->new_end);
}

/* The record of what is new in a run, or of the promise alone if only that rose. */
static void write_accepted(struct tn__log_turn *turn, const struct tn_log_message *message,
                           const struct accepted *result, struct tn_log_ballot before)
{
    struct tn_log *log = turn->log;
    const struct tn_log_entry *entries = tn__log_entries_of(turn);
    uint32_t first = turn->effects->entries_count;
    if (result->new_end == 0) {
        if (!tn_log_ballot_equal(before, log->acceptor.promise)) {
            (void)tn__log_record(turn, TN_LOG_RECORD_PROMISE, first);
        }
        return;
    }
    for (uint32_t i = result->new_first; i < result->new_end; i++) {
        const struct tn__log_slot *held =
            tn__log_slot_at(&log->acceptor, tn__log_slots(log), entries[i].slot);
        tn_assert(tn_log_ballot_compare(held->ballot, message->ballot) >= 0);
        tn__log_entry(turn, entries[i].slot, message->ballot, &held->value);
    }
    tn_assert(tn_log_ballot_equal(log->acceptor.promise, message->ballot));
    (void)tn__log_record(turn, TN_LOG_RECORD_ACCEPT, first);
}

void tn__log_on_accept(struct tn__log_turn *turn, const struct tn_log_message *message)
{
    struct tn_log *log = turn->log;
    const struct tn_log_entry *entries = tn__log_entries_of(turn);
    if (message->from == tn__log_self(log)) {
        tn__log_forget_entries(turn, 0);
        return;
    }
    if (tn_log_ballot_compare(message->ballot, log->acceptor.promise) < 0) {
        log->counters.aborts++;
        tn__log_forget_entries(turn, 0);
        refuse(turn, TN_LOG_ABORT, message->from, message->ballot);
        return;
    }
    hear_leader(turn, message);
    if (!tn__log_votes(log) || log->full != 0) { /* W3, W4 */
        tn__log_forget_entries(turn, 0);
        return;
    }
    struct tn_log_ballot before = log->acceptor.promise;
    struct accepted result = {0};
    uint32_t taken = 0;
    while (taken < message->entries_count && result.answered == taken) {
        accept_one(turn, message->ballot, &entries[taken], taken, &result);
        taken++;
    }
    tn_assert(!result.refused);
    tn__log_forget_entries(turn, taken);
    write_accepted(turn, message, &result, before);
    if (result.answered == 0) {
        return;
    }
    struct tn_log_message *answer = tn__log_send(turn, TN_LOG_ACCEPTED, tn__log_bit(message->from));
    answer->ballot = message->ballot;
    answer->slot = entries[0].slot;
    answer->slot_end = entries[0].slot + result.answered;
    answer->after = newest_write(log);
}
