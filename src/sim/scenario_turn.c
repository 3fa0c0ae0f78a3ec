/* A turn of a node, told as a whole when it has ended.
 *
 * What it said is in `sayings`; what it did without a word to others (its own acceptor's answers to
 * itself, silences, releases that match nothing) is seen in its counters. So the machine needs no
 * hooks for stories. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "sim/scenario_internal.h"

/* ---- As an acceptor -------------------------------------------------------------------------- */

static void tell_accepted(struct tn__scenario *scenario, struct tn__scenario_turn *turn,
                          struct tn_ballot ballot)
{
    struct tn__scenario_node *node = &scenario->nodes[turn->process];
    tn_time deadline =
        turn->local + tn__world_lease_options(scenario->world)->tables[0].acceptor_ns;
    tn__scenario_tell(scenario, turn, turn->process, TN_SEQUENCE_SAID, "A2", "accepts %s until %s",
                      tn__scenario_ballot(scenario, ballot).text,
                      tn__scenario_when(scenario, turn->process, deadline).text);
    tn__scenario_new_bar(scenario, &node->exclusion_bar, turn->process, TN_SEQUENCE_EXCLUSION,
                         ballot, tn__scenario_real(scenario, turn->process, deadline));
}

static void tell_refusal(struct tn__scenario *scenario, struct tn__scenario_turn *turn,
                         const struct tn_message *message)
{
    struct tn__short ballot = tn__scenario_ballot(scenario, message->ballot);
    struct tn__short promised = tn__scenario_ballot(scenario, message->promised);
    struct tn__short lease = tn__scenario_ballot(scenario, message->lease);
    unsigned owner = tn_ballot_node(message->lease);
    if ((message->flags & TN_MESSAGE_DUPLICATE) != 0) {
        tn__scenario_tell(scenario, turn, turn->process, TN_SEQUENCE_REFUSED,
                          message->kind == TN_MESSAGE_REFUSED ? "A2" : "A1",
                          "refuses %s: another run used its counter", ballot.text);
    } else if (message->kind == TN_MESSAGE_REJECTED) {
        tn__scenario_tell(scenario, turn, turn->process, TN_SEQUENCE_REFUSED, "A1",
                          "rejects %s: promised %s", ballot.text, promised.text);
    } else if (message->kind == TN_MESSAGE_CLOSED) {
        tn__scenario_tell(scenario, turn, turn->process, TN_SEQUENCE_REFUSED, "A1",
                          "closed to %s: %s of %u is live for %s", ballot.text, lease.text, owner,
                          tn__scenario_seconds(message->remaining).text);
    } else if (tn_ballot_is_none(message->lease) ||
               tn_ballot_same_owner(message->lease, message->ballot)) {
        tn__scenario_tell(scenario, turn, turn->process, TN_SEQUENCE_REFUSED, "A2",
                          "refuses %s: promised %s", ballot.text, promised.text);
    } else {
        tn__scenario_tell(scenario, turn, turn->process, TN_SEQUENCE_REFUSED, "A2",
                          "refuses %s: %s of %u is live for %s", ballot.text, lease.text, owner,
                          tn__scenario_seconds(message->remaining).text);
    }
}

/* What others' requests led to. */
static void tell_answer(struct tn__scenario *scenario, struct tn__scenario_turn *turn,
                        const struct tn_message *message)
{
    struct tn__short ballot = tn__scenario_ballot(scenario, message->ballot);
    if (message->kind == TN_MESSAGE_PROMISE && tn_ballot_is_none(message->lease)) {
        tn__scenario_tell(scenario, turn, turn->process, TN_SEQUENCE_SAID, "A1",
                          "promises %s, open", ballot.text);
    } else if (message->kind == TN_MESSAGE_PROMISE) {
        tn__scenario_tell(scenario, turn, turn->process, TN_SEQUENCE_SAID, "A1",
                          "promises %s, holds its %s", ballot.text,
                          tn__scenario_ballot(scenario, message->lease).text);
    } else if (message->kind == TN_MESSAGE_ACCEPTED) {
        tell_accepted(scenario, turn, message->ballot);
    } else {
        tell_refusal(scenario, turn, message);
    }
}

/* What a node answers itself is not sent: its counters tell. */
static void tell_own_answer(struct tn__scenario *scenario, struct tn__scenario_turn *turn,
                            const struct tn_message *message)
{
    struct tn_lease_counters *delta = &turn->delta;
    struct tn__short ballot = tn__scenario_ballot(scenario, message->ballot);
    bool prepare = message->kind == TN_MESSAGE_PREPARE;
    if (prepare && delta->promises > 0) {
        tn__scenario_tell(scenario, turn, turn->process, TN_SEQUENCE_SAID, "A1",
                          "promises itself %s", ballot.text);
    } else if (prepare && (delta->closed > 0 || delta->rejected > 0)) {
        tn__scenario_tell(scenario, turn, turn->process, TN_SEQUENCE_REFUSED, "A1", "%s its own %s",
                          delta->closed > 0 ? "closed to" : "rejects", ballot.text);
    } else if (message->kind == TN_MESSAGE_ACCEPT && delta->accepted > 0) {
        tell_accepted(scenario, turn, message->ballot);
    } else if (message->kind == TN_MESSAGE_ACCEPT && delta->refused > 0) {
        tn__scenario_tell(scenario, turn, turn->process, TN_SEQUENCE_REFUSED, "A2",
                          "refuses its own %s", ballot.text);
    }
}

static void tell_silence(struct tn__scenario *scenario, struct tn__scenario_turn *turn)
{
    struct tn_lease_status status;
    tn_lease_status(tn__world_lease(scenario->world, turn->process), turn->local, &status);
    tn__scenario_tell(scenario, turn, turn->process, TN_SEQUENCE_REFUSED, "A4", "silent until %s",
                      tn__scenario_when(scenario, turn->process, status.quarantine_end).text);
}

/* ---- As a proposer --------------------------------------------------------------------------- */

static void tell_prepare(struct tn__scenario *scenario, struct tn__scenario_turn *turn,
                         const struct tn_message *message)
{
    struct tn__short ballot = tn__scenario_ballot(scenario, message->ballot);
    struct tn__scenario_node *node = &scenario->nodes[turn->process];
    if (node->attempt_told == message->ballot.counter) {
        tn__scenario_tell(scenario, turn, turn->process, TN_SEQUENCE_SAID, "P1",
                          "repeats %s to the silent", ballot.text);
        return;
    }
    node->attempt_told = message->ballot.counter;
    tn_time deadline =
        node->attempt_begun + tn__world_lease_options(scenario->world)->tables[0].proposer_ns;
    struct tn_lease_view view;
    bool known = tn__world_view(scenario->world, turn->process, message->table, message->name,
                                message->name_bytes, &view);
    struct tn__short until = tn__scenario_when(scenario, turn->process, deadline);
    if (known && view.owned != 0 && !tn_ballot_equal(view.ballot, message->ballot)) {
        tn__scenario_tell(scenario, turn, turn->process, TN_SEQUENCE_SAID, "P1",
                          "renews %s by %s until %s",
                          tn__scenario_ballot(scenario, view.ballot).text, ballot.text, until.text);
    } else {
        tn__scenario_tell(scenario, turn, turn->process, TN_SEQUENCE_SAID, "P1",
                          "attempt %s until %s", ballot.text, until.text);
    }
}

static void tell_message(struct tn__scenario *scenario, struct tn__scenario_turn *turn,
                         const struct tn_message *message)
{
    struct tn__short ballot = tn__scenario_ballot(scenario, message->ballot);
    switch ((enum tn_message_kind)message->kind) {
    case TN_MESSAGE_PREPARE:
        tell_prepare(scenario, turn, message);
        tell_own_answer(scenario, turn, message);
        break;
    case TN_MESSAGE_ACCEPT:
        tn__scenario_tell(scenario, turn, turn->process, TN_SEQUENCE_SAID, "P3",
                          turn->event == TN_EVENT_FRAME ? "a majority is open to %s"
                                                        : "repeats %s to the silent",
                          ballot.text);
        tell_own_answer(scenario, turn, message);
        break;
    case TN_MESSAGE_RELEASE:
        tn__scenario_tell(scenario, turn, turn->process, TN_SEQUENCE_SAID, "P6", "releases %s",
                          ballot.text);
        if (turn->delta.cleared > 0) {
            tn__scenario_cut_bar(scenario, &scenario->nodes[turn->process].exclusion_bar);
        }
        break;
    case TN_MESSAGE_LEARN:
        break;
    default:
        tell_answer(scenario, turn, message);
        break;
    }
}

/* ---- Notices --------------------------------------------------------------------------------- */

static void tell_owner(struct tn__scenario *scenario, struct tn__scenario_turn *turn,
                       const struct tn_notice *notice)
{
    struct tn__short until = tn__scenario_when(scenario, turn->process, notice->deadline);
    struct tn__short token = tn__scenario_token(notice->token);
    if (notice->kind == TN_NOTICE_OPENED) {
        tn__scenario_tell(scenario, turn, turn->process, TN_SEQUENCE_GAINED, "P4",
                          "OWNER until %s, token %s, epoch %llu", until.text, token.text,
                          (unsigned long long)notice->epoch);
    } else {
        tn__scenario_tell(scenario, turn, turn->process, TN_SEQUENCE_GAINED, "P4",
                          "owner until %s, token %s%s", until.text, token.text,
                          notice->kind == TN_NOTICE_REOPENED ? " (new)" : "");
    }
    tn__scenario_new_bar(scenario, &scenario->nodes[turn->process].lease_bar, turn->process,
                         TN_SEQUENCE_LEASE, notice->ballot,
                         tn__scenario_real(scenario, turn->process, notice->deadline));
}

static void tell_failed(struct tn__scenario *scenario, struct tn__scenario_turn *turn,
                        const struct tn_notice *notice)
{
    const char *what = turn->delta.abandons > 0 ? "gives up" : "waits";
    uint32_t process = turn->process;
    if (notice->reason == TN_REASON_HELD) {
        tn__scenario_tell(scenario, turn, process, TN_SEQUENCE_SAID, "P5",
                          "%s: %u holds it for %s more", what, notice->node,
                          tn__scenario_seconds(notice->remaining).text);
    } else if (notice->reason == TN_REASON_OUTBID) {
        tn__scenario_tell(scenario, turn, process, TN_SEQUENCE_SAID, "P5",
                          "%s: outbid by a higher ballot", what);
    } else if (notice->reason == TN_REASON_NO_QUORUM) {
        tn__scenario_tell(scenario, turn, process, TN_SEQUENCE_SAID, "P5", "%s at t_d: no majority",
                          what);
    } else if (notice->reason == TN_REASON_FULL) {
        tn__scenario_tell(scenario, turn, process, TN_SEQUENCE_SAID, "P5",
                          "%s: no room for the name", what);
    } else {
        tn__scenario_tell(scenario, turn, process, TN_SEQUENCE_SAID, "P5",
                          "%s: its counter was used twice", what);
    }
}

static void tell_incident(struct tn__scenario *scenario, struct tn__scenario_turn *turn,
                          const struct tn_notice *notice)
{
    static const char *const sentences[] = {
        [TN_REASON_CLOCK] = "the clock was suspended: leases count as lost",
        [TN_REASON_DUPLICATE_NODE] = "two processes run as one node",
        [TN_REASON_COUNTER_LEAP] = "a counter absurdly far ahead is refused",
        [TN_REASON_COUNTER_EXHAUSTED] = "no counters are left",
        [TN_REASON_DURATIONS] = "durations differ",
        [TN_REASON_CONFIGURATION] = "another version of the membership",
        [TN_REASON_CEILING] = "the ceiling could not be written (F4)",
    };
    const char *sentence = notice->reason < sizeof(sentences) / sizeof(sentences[0])
                               ? sentences[notice->reason]
                               : NULL;
    tn__scenario_tell(scenario, turn, turn->process, TN_SEQUENCE_REFUSED,
                      "incident:", "%s (node %u)", sentence == NULL ? "?" : sentence, notice->node);
}

static void tell_notice(struct tn__scenario *scenario, struct tn__scenario_turn *turn,
                        const struct tn_notice *notice)
{
    struct tn__scenario_node *node = &scenario->nodes[turn->process];
    uint32_t process = turn->process;
    switch ((enum tn_notice_kind)notice->kind) {
    case TN_NOTICE_OPENED:
    case TN_NOTICE_RENEWED:
    case TN_NOTICE_REOPENED:
        tell_owner(scenario, turn, notice);
        break;
    case TN_NOTICE_LOST:
        tn__scenario_tell(scenario, turn, process, TN_SEQUENCE_SAID, "T1", "not owner any more: %s",
                          notice->reason == TN_REASON_CLOCK ? "the lease is forsaken"
                                                            : "t_d has passed");
        tn__scenario_cut_bar(scenario, &node->lease_bar);
        break;
    case TN_NOTICE_RELEASED:
        tn__scenario_tell(scenario, turn, process, TN_SEQUENCE_SAID, "P6",
                          "not owner any more: released");
        tn__scenario_cut_bar(scenario, &node->lease_bar);
        break;
    case TN_NOTICE_FAILED:
        tell_failed(scenario, turn, notice);
        break;
    case TN_NOTICE_LEARNED:
        tn__scenario_tell(scenario, turn, process, TN_SEQUENCE_SAID, "L1",
                          "hears: %u is owner for %s", notice->node,
                          tn__scenario_seconds(notice->remaining).text);
        break;
    case TN_NOTICE_FREED:
        tn__scenario_tell(scenario, turn, process, TN_SEQUENCE_SAID, "L1", "hears: %u has released",
                          notice->node);
        break;
    case TN_NOTICE_INCIDENT:
        tell_incident(scenario, turn, notice);
        break;
    case TN_NOTICE_LEFT:
        tn__scenario_tell(scenario, turn, process, TN_SEQUENCE_SAID, "F3", "has left, ceiling %s",
                          tn__scenario_token(notice->token).text);
        break;
    case TN_NOTICE_JOINED:
        tn__scenario_tell(scenario, turn, process, TN_SEQUENCE_SAID, "F3", "opens version %llu",
                          (unsigned long long)notice->token);
        break;
    }
}

/* ---- A turn as a whole ----------------------------------------------------------------------- */

/* What arrived and led to no word of the node's. */
static void tell_quiet(struct tn__scenario *scenario, struct tn__scenario_turn *turn)
{
    const struct tn_message *message = &scenario->arrived;
    uint32_t from = message->from + 1U;
    struct tn__short ballot = tn__scenario_ballot(scenario, message->ballot);
    if (turn->delta.late > 0) {
        tn__scenario_tell(scenario, turn, turn->process, TN_SEQUENCE_UNDRAWN,
                          message->kind >= TN_MESSAGE_ACCEPTED ? "P4" : "P2",
                          "drops it: %s is not in flight", ballot.text);
        return;
    }
    switch ((enum tn_message_kind)message->kind) {
    case TN_MESSAGE_PROMISE:
        tn__scenario_tell(scenario, turn, turn->process, TN_SEQUENCE_SAID, "P2",
                          "counts %u, no majority yet", from);
        break;
    case TN_MESSAGE_CLOSED:
    case TN_MESSAGE_REJECTED:
        tn__scenario_tell(scenario, turn, turn->process, TN_SEQUENCE_SAID, "P2",
                          "counts %u as closed", from);
        break;
    case TN_MESSAGE_ACCEPTED:
        tn__scenario_tell(scenario, turn, turn->process, TN_SEQUENCE_SAID, "P4",
                          "counts %u, no majority yet", from);
        break;
    case TN_MESSAGE_REFUSED:
        tn__scenario_tell(scenario, turn, turn->process, TN_SEQUENCE_SAID, "P5",
                          "counts %u as refusing", from);
        break;
    default:
        break;
    }
}

static void tell_release_arrived(struct tn__scenario *scenario, struct tn__scenario_turn *turn)
{
    struct tn__short ballot = tn__scenario_ballot(scenario, scenario->arrived.ballot);
    if (turn->delta.cleared > 0) {
        tn__scenario_tell(scenario, turn, turn->process, TN_SEQUENCE_SAID, "A3", "clears %s",
                          ballot.text);
        tn__scenario_cut_bar(scenario, &scenario->nodes[turn->process].exclusion_bar);
    } else if (turn->delta.unmatched > 0) {
        tn__scenario_tell(scenario, turn, turn->process, TN_SEQUENCE_REFUSED, "A3",
                          "%s matches nothing", ballot.text);
    }
}

/* Refusals that have no answer: they are counted, and that is all the node says of them. */
static void tell_refused_silently(struct tn__scenario *scenario, struct tn__scenario_turn *turn)
{
    const struct {
        uint64_t count;
        const char *rule;
        const char *sentence;
    } rows[] = {
        {turn->delta.configurations, "F3", "takes nothing of another version"},
        {turn->delta.misdirected, "", "refuses: the ballot is not the sender's"},
        {turn->delta.durations, "T2", "refuses: other durations"},
        {turn->delta.duplicates, "A1", "refuses: a copied directory speaks"},
        {turn->delta.leaps, "", "refuses: a counter absurdly far ahead"},
        {turn->delta.malformed, "", "refuses: malformed"},
        {turn->delta.ceiling_silences, "F4", "silent: the ceiling cannot be raised"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].count > 0 && !turn->told) {
            tn__scenario_tell(scenario, turn, turn->process, TN_SEQUENCE_REFUSED, rows[i].rule,
                              "%s", rows[i].sentence);
        }
    }
}

static void tell_disk(struct tn__scenario *scenario, struct tn__scenario_turn *turn)
{
    const struct tn__scenario_node *node = &scenario->nodes[turn->process];
    if (turn->event == TN_EVENT_WRITE_FAILED) {
        tn__scenario_tell(scenario, turn, turn->process, TN_SEQUENCE_REFUSED, "F4",
                          "the write of the ceiling failed");
    } else if (node->disk == TN__SCENARIO_DISK_WAIT && turn->delta.ceilings > 0) {
        tn__scenario_tell(scenario, turn, turn->process, TN_SEQUENCE_SAID, "F1",
                          "asks its disk for a ceiling");
    } else if (node->disk == TN__SCENARIO_DISK_WAIT && turn->event == TN_EVENT_WRITTEN) {
        tn__scenario_tell(
            scenario, turn, turn->process, TN_SEQUENCE_SAID, "F1", "its ceiling is durable: %s",
            tn__scenario_token(tn__world_ceiling(scenario->world, turn->process)).text);
    }
}

static void take_delta(struct tn__scenario *scenario, struct tn__scenario_turn *turn)
{
    struct tn_lease_counters now;
    const struct tn_lease_counters *before = &scenario->nodes[turn->process].counters;
    tn_lease_counters(tn__world_lease(scenario->world, turn->process), &now);
#define DELTA(name, sentence) turn->delta.name = now.name - before->name;
    TN_LEASE_COUNTER_TABLE(DELTA)
#undef DELTA
}

static void tell_sayings(struct tn__scenario *scenario, struct tn__scenario_turn *turn)
{
    bool renewal_failed = turn->delta.abandons > 0;
    for (uint32_t i = 0; i < scenario->sayings_count; i++) {
        const struct tn__scenario_saying *saying = &scenario->sayings[i];
        if (saying->is_notice) {
            renewal_failed = renewal_failed && saying->notice.kind != TN_NOTICE_FAILED;
            tell_notice(scenario, turn, &saying->notice);
        } else {
            tell_message(scenario, turn, &saying->message);
        }
    }
    if (renewal_failed) {
        tn__scenario_tell(scenario, turn, turn->process, TN_SEQUENCE_SAID, "P5",
                          "the renewal has failed; the lease stays");
    }
}

void tn__scenario_turn_ended(struct tn__scenario *scenario, const struct tn__sight *sight)
{
    struct tn__scenario_turn turn = {
        .process = sight->process, .event = (uint32_t)sight->word, .local = sight->local};
    take_delta(scenario, &turn);
    if (turn.delta.attempts > 0) {
        scenario->nodes[turn.process].attempt_begun = turn.local;
    }
    bool arrived = scenario->arriving;
    if (arrived && scenario->arrived.kind == TN_MESSAGE_RELEASE) {
        tell_release_arrived(scenario, &turn);
    }
    tell_disk(scenario, &turn);
    tell_sayings(scenario, &turn);
    if (turn.delta.quarantined > 0) {
        tell_silence(scenario, &turn);
    }
    if (arrived && !turn.told) {
        tell_refused_silently(scenario, &turn);
    }
    if (arrived && !turn.told) {
        tell_quiet(scenario, &turn);
    }
    if (scenario->sends.length > 0 && !scenario->muted) {
        tn__scenario_say(scenario, "%s", scenario->sends.bytes);
    }
    tn__growing_clear(&scenario->sends);
    tn__scenario_flush_losses(scenario);
    scenario->sayings_count = 0;
    scenario->arriving = false;
    scenario->in_turn = false;
}
