/* What of a peer is let in. A message is checked as a whole before anything of it is used: fields
 * in range, entries of the right shape, ballots that are the sender's own where they must be. What
 * fails is refused and counted; its entries' references are given back.
 *
 * Incarnations. A restart word is (count of starts, random). A lower count than the latest one seen
 * of that member is an earlier incarnation, late; two words of one count are two processes that run
 * as one node, and neither counts (V1). */
#include "base/assert.h"
#include "paxos/log_machine.h"

const struct tn_log_entry *tn__log_entries_of(const struct tn__log_turn *turn)
{
    const struct tn_log_event *event = turn->event;
    tn_assert(event->kind == TN_LOG_EVENT_MESSAGE || event->kind == TN_LOG_EVENT_PROPOSE);
    if (event->kind == TN_LOG_EVENT_PROPOSE) {
        return event->entries;
    }
    tn_assert(event->message != NULL);
    return event->entries + event->message->entries_first;
}

tn_member_set tn__log_others(const struct tn_log *log)
{
    tn_member_set members = 0;
    const struct tn__log_configuration *now = tn__log_now(log);
    const struct tn__log_configuration *end = &log->configurations.list[log->configurations.count];
    for (const struct tn__log_configuration *one = now; one < end; one++) {
        members |= one->voters | one->learners;
    }
    tn_assert(now < end);
    tn_assert(members != 0);
    members &= tn__log_bit(log->options.nodes_count) - 1;
    return members & ~tn__log_bit(tn__log_self(log));
}

/* ---- Shape ----------------------------------------------------------------------------------- */

static bool value_is_sound(const struct tn_log_value *value)
{
    switch (value->kind) {
    case TN_LOG_VALUE_NOOP:
        return value->bytes == 0;
    case TN_LOG_VALUE_CONFIGURATION:
        return value->bytes == 0 && value->mode <= TN_LOG_MODE_FREE;
    case TN_LOG_VALUE_PAYLOAD:
        return value->bytes <= TN_PAYLOAD_BYTES_MAX;
    default:
        return false;
    }
}

/* One slot after the other. */
static bool is_run(const struct tn_log_entry *entries, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (entries[i].slot != entries[0].slot + i) {
            return false;
        }
    }
    return count == 0 || (entries[0].slot >= 1 && entries[0].slot < TN__LOG_SLOT_MAX);
}

static bool entries_are_sound(const struct tn_log_message *message,
                              const struct tn_log_entry *entries)
{
    uint32_t count = message->entries_count;
    for (uint32_t i = 0; i < count; i++) {
        bool accepted = message->kind == TN_LOG_FETCHED || message->kind == TN_LOG_PROMISE;
        if (!value_is_sound(&entries[i].value) ||
            (accepted && tn_log_ballot_is_none(entries[i].ballot))) {
            return false;
        }
    }
    switch (message->kind) {
    case TN_LOG_ACCEPT:
        return count >= 1 && is_run(entries, count);
    case TN_LOG_FETCHED:
        return is_run(entries, count);
    case TN_LOG_PROMISE:
        return true; /* the cell looks at its slots */
    case TN_LOG_FORWARD:
        for (uint32_t i = 0; i < count; i++) {
            if (entries[i].value.kind == TN_LOG_VALUE_NOOP) {
                return false;
            }
        }
        return count >= 1 && message->id >= 1;
    default:
        return count == 0;
    }
}

static bool ballot_is_sound(struct tn_log_ballot ballot)
{
    return ballot.attempt <= TN__LOG_ATTEMPT_MAX && ballot.reserved == 0;
}

/* A leader's or would-be leader's: nobody speaks under another's ballot. */
static bool is_under_own_ballot(const struct tn__log_turn *turn,
                                const struct tn_log_message *message)
{
    return message->ballot.attempt >= 1 &&
           message->ballot.node == turn->log->options.nodes[message->from] &&
           message->ballot.restart_word == turn->event->restart_word;
}

static bool is_sound(const struct tn__log_turn *turn, const struct tn_log_message *message)
{
    const uint64_t slots[] = {message->slot,     message->slot_end, message->committed,
                              message->retained, message->accepted, message->checksum_slot};
    for (uint32_t i = 0; i < sizeof(slots) / sizeof(slots[0]); i++) {
        if (slots[i] > TN__LOG_SLOT_MAX) {
            return false;
        }
    }
    if (!ballot_is_sound(message->ballot) || !ballot_is_sound(message->promised) ||
        message->count > TN_LOG_RUN_MAX || message->checksum_slot > message->committed) {
        return false;
    }
    switch (message->kind) {
    case TN_LOG_PREPARE:
        return message->slot >= 1 && is_under_own_ballot(turn, message);
    case TN_LOG_ACCEPT:
    case TN_LOG_HEARTBEAT:
        return is_under_own_ballot(turn, message);
    case TN_LOG_ACCEPTED:
        return message->slot >= 1 && message->slot < message->slot_end;
    case TN_LOG_FETCH:
        return message->slot >= 1 && message->slot < message->slot_end;
    case TN_LOG_ASSIGNED:
    case TN_LOG_REFUSED:
        return message->count >= 1 && message->id >= 1;
    default:
        return true;
    }
}

/* ---- Who it is of ---------------------------------------------------------------------------- */

static bool admit_incarnation(struct tn__log_turn *turn, uint32_t from)
{
    struct tn_log *log = turn->log;
    struct tn__log_peer *peer = &log->peers[from];
    uint64_t word = turn->event->restart_word;
    uint64_t count = word >> 32;
    uint64_t known = peer->restart_word >> 32;
    tn_assert(from < log->options.nodes_count);
    tn_assert(from != tn__log_self(log) || peer->restart_word == log->options.restart_word);
    if (word == peer->restart_word && peer->doubled == 0) {
        return word != 0;
    }
    if (peer->restart_word == 0 || count > known) {
        *peer = (struct tn__log_peer){.restart_word = word,
                                      .next = peer->next,
                                      .acknowledged = peer->acknowledged,
                                      .resend_at = TN_TIME_NEVER};
        tn__log_peer_reset(turn, from);
        tn__log_forwards_lost(turn, from);
        return word != 0;
    }
    if (count < known) {
        log->counters.stale++;
        return false;
    }
    peer->doubled = from != tn__log_self(log);
    log->counters.malformed++;
    tn__log_incident(turn, TN_LOG_REASON_DUPLICATE_NODE, log->options.nodes[from]);
    return false;
}

static void note_peer(struct tn_log *log, const struct tn_log_message *message)
{
    struct tn__log_peer *peer = &log->peers[message->from];
    tn_assert(message->from < log->options.nodes_count);
    peer->committed = tn__log_larger(peer->committed, message->committed);
    peer->accepted = tn__log_larger(peer->accepted, message->accepted);
    if (message->retained != 0) {
        peer->retained = message->retained;
    }
    tn_assert(peer->committed <= TN__LOG_SLOT_MAX);
}

static void dispatch(struct tn__log_turn *turn, const struct tn_log_message *message)
{
    switch (message->kind) {
    case TN_LOG_PREPARE:
        tn__log_on_prepare(turn, message);
        break;
    case TN_LOG_PROMISE:
        tn__log_on_promise(turn, message);
        break;
    case TN_LOG_ABORT:
    case TN_LOG_SUGGEST:
        tn__log_on_abort(turn, message);
        break;
    case TN_LOG_ACCEPT:
        tn__log_on_accept(turn, message);
        break;
    case TN_LOG_ACCEPTED:
        tn__log_on_accepted(turn, message);
        break;
    case TN_LOG_HEARTBEAT:
        tn__log_on_heartbeat(turn, message);
        break;
    case TN_LOG_HEARTBEAT_ANSWER:
        tn__log_on_heartbeat_answer(turn, message);
        break;
    case TN_LOG_FETCH:
        tn__log_on_fetch(turn, message);
        break;
    case TN_LOG_FETCHED:
        tn__log_on_fetched(turn, message);
        break;
    case TN_LOG_FORWARD:
        tn__log_on_forward(turn, message);
        break;
    case TN_LOG_ASSIGNED:
        tn__log_on_assigned(turn, message);
        break;
    case TN_LOG_REFUSED:
        tn__log_on_refused(turn, message);
        break;
    case TN_LOG_READ:
        tn__log_on_read(turn, message);
        break;
    case TN_LOG_READ_ANSWER:
        tn__log_on_read_answer(turn, message);
        break;
    default:
        tn_assert(message->kind == TN_LOG_RESOLVE);
        tn__log_on_resolve(turn, message);
        break;
    }
}

void tn__log_on_message(struct tn__log_turn *turn)
{
    struct tn_log *log = turn->log;
    const struct tn_log_message *message = turn->event->message;
    tn_assert(message != NULL);
    tn_assert(message->entries_count <= TN_LOG_RUN_MAX);
    if (message->from >= log->options.nodes_count || message->kind == 0 ||
        message->kind >= TN_LOG_MESSAGE_KINDS_END || !is_sound(turn, message) ||
        !entries_are_sound(message, tn__log_entries_of(turn))) {
        log->counters.malformed++;
        tn__log_forget_entries(turn, 0);
        return;
    }
    if (log->stopped != 0 || !admit_incarnation(turn, message->from)) {
        tn__log_forget_entries(turn, 0);
        return;
    }
    note_peer(log, message);
    dispatch(turn, message);
}
