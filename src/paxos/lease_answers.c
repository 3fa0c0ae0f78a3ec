/* The acceptor's side of the machine: what stands before the cell (A4, F1, F3, F4), the cell's
 * verdict, and the answer. And the learner's, L1.
 *
 * Each handler has a twin that says why a message is passed over in silence; what it returns is the
 * counter to raise. An answer goes to the proposer alone, and carries all it needs to wait or to
 * outbid: the promise, the lease in the way and its remaining time (P5). */
#include <string.h>

#include "base/assert.h"
#include "paxos/lease_machine.h"
#include "paxos/quorum.h"

/* A4, F3: is this acceptor silent, and which counter says so? NULL: it answers. */
static uint64_t *silent_because(struct tn__lease_turn *turn, const struct tn__lease_table *table)
{
    struct tn_lease *lease = turn->lease;
    tn_assert(table->quarantine_ns >= table->options.quarantine_ns);
    if (turn->now < table->quarantine_end) {
        return &lease->counters.quarantined; /* A4: whatever was written before the restart */
    }
    if (lease->ceiling.enabled != 0 && lease->written == 0) {
        return &lease->counters.quarantined; /* A4: its D_Q is not on the disk yet */
    }
    if (!tn__configuration_answers(&lease->configuration, turn->now)) {
        return &lease->counters.configurations; /* F3: it has left, or waits out a larger step */
    }
    return NULL;
}

static struct tn_message *answer(struct tn__lease_turn *turn, const struct tn_message *message,
                                 uint32_t slot, enum tn_message_kind kind)
{
    tn_assert(turn->event->kind == TN_EVENT_FRAME);
    tn_assert(kind != TN_MESSAGE_PREPARE && kind != TN_MESSAGE_ACCEPT);
    struct tn_message *sent = tn__lease_send(turn, message->table, slot, kind,
                                             tn__member_bit(turn->event->from), message->ballot);
    sent->flags = turn->lease->ceiling.enabled != 0 ? TN_MESSAGE_FENCED : 0;
    return sent;
}

/* A refusal for want of room: the name has no record to speak from. */
static void answer_full(struct tn__lease_turn *turn, const struct tn_message *message,
                        enum tn_message_kind kind)
{
    struct tn_effects *effects = turn->effects;
    tn_assert(effects->messages_count < TN_EFFECT_MESSAGES_MAX);
    turn->lease->counters.full++;
    struct tn_message *sent = &effects->messages[effects->messages_count++];
    *sent = (struct tn_message){
        .to = tn__member_bit(turn->event->from),
        .configuration = turn->lease->configuration.version,
        .kind = (uint8_t)kind,
        .table = message->table,
        .name_bytes = message->name_bytes,
        .flags = TN_MESSAGE_FULL,
        .ballot = message->ballot,
        .promised = turn->lease->floor,
    };
    memcpy(sent->name, message->name, sizeof(sent->name));
}

/* The record of a message's name, made if need be; TN__SLOT_NONE: no room. */
static uint32_t slot_for(struct tn__lease_turn *turn, struct tn__lease_table *table)
{
    tn_assert(turn->key.bytes_count >= 1 && turn->key.bytes_count <= TN_NAME_BYTES_MAX);
    uint32_t slot = tn__lease_table_find(table, turn->key);
    if (slot == TN__SLOT_NONE) {
        slot = tn__lease_table_add(table, turn->key, turn->lease->floor, turn->now);
    }
    return slot;
}

/* What stands before the cell, for PREPARE and ACCEPT alike: is this acceptor silent (A4, F3), is
 * the ballot below a durable ceiling (F1, F4), is there room for a record? Returns the record's
 * slot, and in `after` the write that the answer waits for; or TN__SLOT_NONE when the message is
 * dealt with: passed over and counted, or answered with `refusal` for want of room. */
static uint32_t slot_to_answer_from(struct tn__lease_turn *turn, const struct tn_message *message,
                                    struct tn__lease_table *table, enum tn_message_kind refusal,
                                    uint64_t *after)
{
    tn_assert(refusal == TN_MESSAGE_REJECTED || refusal == TN_MESSAGE_REFUSED);
    uint64_t *silent = silent_because(turn, table);
    if (silent != NULL) {
        (*silent)++;
        return TN__SLOT_NONE;
    }
    tn_assert(turn->now >= table->quarantine_end); /* A4 */
    if (message->kind == TN_MESSAGE_PREPARE && message->durations != table->durations) {
        turn->lease->counters.durations++; /* Terms: carried in PREPARE alone */
        tn__lease_incident(turn, TN_REASON_DURATIONS, tn_ballot_node(message->ballot));
        return TN__SLOT_NONE;
    }
    if (!tn__lease_cover(turn, message->ballot.counter, after)) {
        return TN__SLOT_NONE; /* F4 */
    }
    uint32_t slot = slot_for(turn, table);
    if (slot == TN__SLOT_NONE) {
        answer_full(turn, message, refusal);
    }
    return slot;
}

/* What the cell knows that the proposer should: a higher promise, and the lease in the way. */
static void report(struct tn_message *sent, const struct tn__lease_acceptor *acceptor, tn_time now)
{
    tn_assert(sent->kind != TN_MESSAGE_ACCEPTED);
    tn_assert(tn_ballot_is_none(sent->lease) && sent->remaining == 0);
    if (sent->kind == TN_MESSAGE_REJECTED || sent->kind == TN_MESSAGE_REFUSED) {
        sent->promised = acceptor->promised;
    }
    if (tn__lease_acceptor_is_live(acceptor, now)) {
        sent->lease = acceptor->accepted;
        sent->remaining = acceptor->deadline - now;
    }
}

/* H3: a preferred contender is back, and well enough to ask: the owner yields to it. */
static void consider_yielding(struct tn__lease_turn *turn, const struct tn_message *message,
                              const struct tn__lease_table *table, uint32_t slot)
{
    struct tn__lease_contender *contender =
        tn__lease_table_contender(table, tn__lease_table_name(table, slot));
    if (contender == NULL || turn->event->from == turn->lease->self ||
        message->priority >= contender->priority ||
        !tn__lease_proposer_holds(&contender->proposer, turn->now) || !tn__lease_has_room(turn)) {
        return;
    }
    if (contender->handed_over != 0 &&
        turn->now - contender->handed_over < table->options.hand_over_ns) {
        return; /* H3: at most once an interval */
    }
    contender->handed_over = turn->now == 0 ? 1 : turn->now;
    tn__lease_give_up(turn, message->table, contender, tn_ballot_node(message->ballot));
}

void tn__lease_on_prepare(struct tn__lease_turn *turn, const struct tn_message *message)
{
    tn_assert(message->kind == TN_MESSAGE_PREPARE);
    tn_assert(tn_ballot_node(message->ballot) == turn->lease->members[turn->event->from]);
    struct tn_lease *lease = turn->lease;
    struct tn__lease_table *table = tn__lease_table_at(lease, message->table);
    uint64_t after = 0;
    uint32_t slot = slot_to_answer_from(turn, message, table, TN_MESSAGE_REJECTED, &after);
    if (slot == TN__SLOT_NONE) {
        return;
    }
    struct tn__lease_acceptor *acceptor = &tn__lease_table_name(table, slot)->acceptor;
    struct tn_message *sent = NULL;
    switch (tn__lease_acceptor_prepare(acceptor, message->ballot, turn->now, false)) { /* A1 */
    case TN__LEASE_PROMISED:
        tn_assert(tn_ballot_equal(acceptor->promised, message->ballot));
        lease->counters.promises++;
        tn__lease_table_touch(table, slot, turn->now);
        sent = answer(turn, message, slot, TN_MESSAGE_PROMISE);
        break;
    case TN__LEASE_CLOSED:
        tn_assert(!tn_ballot_same_owner(acceptor->accepted, message->ballot));
        lease->counters.closed++;
        sent = answer(turn, message, slot, TN_MESSAGE_CLOSED);
        break;
    case TN__LEASE_DUPLICATE:
        lease->counters.duplicates++;
        tn__lease_incident(turn, TN_REASON_DUPLICATE_NODE, tn_ballot_node(message->ballot));
        sent = answer(turn, message, slot, TN_MESSAGE_REJECTED);
        sent->flags |= TN_MESSAGE_DUPLICATE;
        break;
    default:
        tn_assert(tn_ballot_compare(message->ballot, acceptor->promised) < 0);
        lease->counters.rejected++;
        sent = answer(turn, message, slot, TN_MESSAGE_REJECTED);
        break;
    }
    report(sent, acceptor, turn->now);
    sent->after = after; /* F1 */
    if (sent->kind == TN_MESSAGE_CLOSED) {
        consider_yielding(turn, message, table, slot);
    }
}

void tn__lease_on_accept(struct tn__lease_turn *turn, const struct tn_message *message)
{
    tn_assert(message->kind == TN_MESSAGE_ACCEPT);
    tn_assert(tn_ballot_node(message->ballot) == turn->lease->members[turn->event->from]);
    struct tn_lease *lease = turn->lease;
    struct tn__lease_table *table = tn__lease_table_at(lease, message->table);
    uint64_t after = 0;
    uint32_t slot = slot_to_answer_from(turn, message, table, TN_MESSAGE_REFUSED, &after);
    if (slot == TN__SLOT_NONE) {
        return;
    }
    struct tn__lease_acceptor *acceptor = &tn__lease_table_name(table, slot)->acceptor;
    struct tn_message *sent = NULL;
    switch (tn__lease_acceptor_accept(acceptor, message->ballot, turn->now,
                                      table->options.acceptor_ns)) { /* A2 */
    case TN__LEASE_ACCEPTED:
        tn_assert(tn_ballot_equal(acceptor->accepted, message->ballot));
        tn_assert(tn__lease_acceptor_is_live(acceptor, turn->now));
        lease->counters.accepted++;
        tn__lease_table_touch(table, slot, turn->now);
        sent = answer(turn, message, slot, TN_MESSAGE_ACCEPTED);
        break;
    case TN__LEASE_DUPLICATE:
        lease->counters.duplicates++;
        tn__lease_incident(turn, TN_REASON_DUPLICATE_NODE, tn_ballot_node(message->ballot));
        sent = answer(turn, message, slot, TN_MESSAGE_REFUSED);
        sent->flags |= TN_MESSAGE_DUPLICATE;
        report(sent, acceptor, turn->now);
        break;
    default:
        lease->counters.refused++;
        sent = answer(turn, message, slot, TN_MESSAGE_REFUSED);
        report(sent, acceptor, turn->now);
        break;
    }
    sent->after = after; /* F1 */
}

/* Is an attempt in flight that this release makes hopeless? Those that have refused it spoke of a
 * lease that is no more. And for the node that is named others may have refused it as well, with
 * answers that are still on their way. */
static bool is_crossed(struct tn__lease_turn *turn, const struct tn_message *message,
                       const struct tn__lease_contender *contender)
{
    const struct tn__lease_proposer *proposer = &contender->proposer;
    return contender->place == TN__CONTENDER_WORKING && proposer->phase == TN__LEASE_PREPARING &&
           !tn__lease_proposer_holds(proposer, turn->now) &&
           (proposer->closed != 0 || message->successor == tn__lease_self(turn->lease));
}

/* H1: who contends hears that the name is free, and the one named need not wait; the others stand
 * back for one back-off. */
static void wake_contender(struct tn__lease_turn *turn, const struct tn_message *message,
                           const struct tn__lease_table *table,
                           struct tn__lease_contender *contender)
{
    tn_assert(message->kind == TN_MESSAGE_RELEASE);
    tn_assert(turn->event->from != turn->lease->self);
    if (contender->wanted == 0) {
        return;
    }
    if (is_crossed(turn, message, contender)) {
        /* P5: its refusals would have it wait for the released lease to run out. */
        tn__lease_proposer_abandon(&contender->proposer);
    } else if (contender->place != TN__CONTENDER_WAITING) {
        return;
    }
    tn_time wake = turn->now;
    if (message->successor != tn__lease_self(turn->lease)) {
        wake += tn__lease_back_off(turn, message->table, contender);
        if (message->successor != 0) {
            contender->stand_back_until = turn->now + table->options.back_off_ns; /* H1 */
        }
    }
    tn__lease_attempt_wait(turn, message->table, contender, wake);
}

void tn__lease_on_release(struct tn__lease_turn *turn, const struct tn_message *message)
{
    tn_assert(message->kind == TN_MESSAGE_RELEASE);
    struct tn_lease *lease = turn->lease;
    struct tn__lease_table *table = tn__lease_table_at(lease, message->table);
    uint32_t slot = slot_for(turn, table);
    if (slot == TN__SLOT_NONE) {
        lease->counters.full++;
        return;
    }
    struct tn__lease_name *name = tn__lease_table_name(table, slot);
    uint64_t *silent = silent_because(turn, table);
    if (silent != NULL) {
        (*silent)++; /* A4: to releases too */
    } else if (tn__lease_acceptor_release(&name->acceptor, message->ballot)) { /* A3 */
        lease->counters.cleared++;
    } else {
        lease->counters.unmatched++;
    }
    /* A3: cleared or not, no late Accept of it can be granted now, unless this acceptor is silent.
     */
    tn_assert(silent != NULL || tn_ballot_compare(name->acceptor.promised, message->ballot) > 0);
    struct tn__lease_learner *learner = tn__lease_table_learner(table, slot);
    if (learner != NULL && tn__lease_learner_forget(learner, message->ballot)) {
        struct tn_notice *notice = tn__lease_notify(turn, message->table, slot, TN_NOTICE_FREED);
        notice->node = tn_ballot_node(message->ballot);
        notice->ballot = message->ballot;
    }
    struct tn__lease_contender *contender = tn__lease_table_contender(table, name);
    if (contender != NULL && turn->event->from != lease->self) {
        wake_contender(turn, message, table, contender);
    }
}

void tn__lease_on_learn(struct tn__lease_turn *turn, const struct tn_message *message)
{
    struct tn__lease_table *table = tn__lease_table_at(turn->lease, message->table);
    if (table->learners_at == 0 || turn->event->from == turn->lease->self) {
        return;
    }
    uint32_t slot = slot_for(turn, table);
    if (slot == TN__SLOT_NONE) {
        turn->lease->counters.full++;
        return;
    }
    tn__lease_table_touch(table, slot, turn->now);
    /* L1: a hint is never believed for longer than a lease can last. */
    tn_time remaining = message->remaining < table->options.proposer_ns
                            ? message->remaining
                            : table->options.proposer_ns;
    struct tn__lease_learner *learner = tn__lease_table_learner(table, slot);
    tn_assert(learner != NULL);
    tn_assert(remaining <= table->options.proposer_ns);
    if (tn__lease_learner_learn(learner, message->ballot, message->token, remaining, turn->now)) {
        struct tn_notice *notice = tn__lease_notify(turn, message->table, slot, TN_NOTICE_LEARNED);
        notice->node = tn_ballot_node(message->ballot);
        notice->ballot = message->ballot;
        notice->token = message->token;
        notice->remaining = remaining;
    }
}
