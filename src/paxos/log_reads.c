/* Quorum reads (Reads 3), and how a damaged member comes back (W3), which asks the same question.
 *
 *   NONE --a read waits: READ, fresh id--> ASKING --majorities--> RESOLVING --committed-->
 * ANSWERING ^                                      ^                        | | | +-- a new
 * configuration--+                       |
 *     +---------------------------------------------------------------------------------------+
 *
 * A round serves the reads that arrived before it began. Each try has an id of its own, in which
 * the restart word is mixed, so answers to an earlier try or run count for nothing. The slot of the
 * round is the highest that a majority of each known configuration has accepted; when it is
 * committed here, configurations that were learned on the way are asked too. Meanwhile the leader
 * is asked to resolve the slots up to there; in a free group this node leads itself if nobody does.
 *
 * W3. A damaged member may have voted for slots that it has lost. Slot j was proposed only when
 * j - alpha was chosen; so among others enough to meet every majority that it was part of, some
 * report j - alpha at least, and every slot it may have voted for is at most their highest plus
 * alpha. (Their highest alone is not enough: a vote of it may be under way to a leader still, for a
 * slot that those who were asked have not seen.) When all up to there are committed and durable
 * here, it votes again. */
#include "base/assert.h"
#include "base/random.h"
#include "paxos/log_machine.h"

#define TRIES_DOUBLINGS_MAX 3U

static uint64_t *number_at(const struct tn_log *log, uint64_t index)
{
    uint64_t *ring = tn__log_part(log, log->reads.at);
    tn_assert(index >= log->reads.head && index - log->reads.head <= TN__LOG_READS_MAX);
    return &ring[index & (TN__LOG_READS_MAX - 1U)];
}

static void tell_failed(struct tn__log_turn *turn, uint64_t number, enum tn_log_reason reason)
{
    tn_assert(reason != TN_LOG_REASON_NONE);
    tn__log_notify(turn, TN_LOG_NOTICE_READ_FAILED, reason)->number = number;
}

void tn__log_on_read_event(struct tn__log_turn *turn)
{
    struct tn_log *log = turn->log;
    tn_assert(log->reads.head <= log->reads.end && log->reads.end <= log->reads.tail);
    if (log->stopped != 0) {
        tell_failed(turn, turn->event->number, TN_LOG_REASON_STOPPED);
        return;
    }
    if (log->reads.tail - log->reads.head == TN__LOG_READS_MAX) {
        tell_failed(turn, turn->event->number, TN_LOG_REASON_BUSY);
        return;
    }
    *number_at(log, log->reads.tail) = turn->event->number;
    log->reads.tail++;
}

void tn__log_reads_fail(struct tn__log_turn *turn, enum tn_log_reason reason)
{
    struct tn_log *log = turn->log;
    log->reads.end = log->reads.head;
    log->reads.phase = TN__LOG_ROUND_NONE;
    while (log->reads.head < log->reads.tail) {
        if (!tn__log_notices_room(turn)) {
            turn->left = true;
            return;
        }
        tell_failed(turn, *number_at(log, log->reads.head), reason);
        log->reads.head++;
        log->reads.end = log->reads.head;
    }
    tn_assert(log->reads.end == log->reads.tail);
}

bool tn__log_reads_wait(const struct tn_log *log)
{
    tn_assert(log->reads.phase <= TN__LOG_ROUND_ANSWERING);
    return log->reads.phase == TN__LOG_ROUND_RESOLVING && log->reads.slot > tn__log_committed(log);
}

/* ---- Asked ----------------------------------------------------------------------------------- */

void tn__log_on_read(struct tn__log_turn *turn, const struct tn_log_message *message)
{
    const struct tn_log *log = turn->log;
    if (!tn__log_votes(log) || message->from == tn__log_self(log)) {
        return; /* W3 */
    }
    struct tn_log_message *answer =
        tn__log_send(turn, TN_LOG_READ_ANSWER, tn__log_bit(message->from));
    answer->id = message->id;
    if (log->proposer.phase == TN__LOG_LEADING) {
        answer->ballot = log->proposer.ballot; /* C1: it says `committed` as a heartbeat does */
    }
    tn_assert(answer->accepted >= answer->committed);
}

void tn__log_on_resolve(struct tn__log_turn *turn, const struct tn_log_message *message)
{
    struct tn_log *log = turn->log;
    if (!tn__log_takes_guests(log, turn->now) || message->from == tn__log_self(log) ||
        message->slot > tn__log_committed(log) + log->acceptor.capacity) {
        log->counters.stale++;
        return;
    }
    log->resolve_upto = tn__log_larger(log->resolve_upto, message->slot);
    if (!tn__log_leads(log)) {
        return; /* it soon does */
    }
    log->peers[message->from].wanted =
        tn__log_larger(log->peers[message->from].wanted, message->slot);
    log->peers[message->from].told = 0;
    tn_assert(tn__log_leads(log));
}

/* ---- Rounds ---------------------------------------------------------------------------------- */

static uint64_t fresh_id(struct tn_log *log)
{
    uint64_t state = log->options.restart_word + ++log->reads.counter * 0x9e3779b97f4a7c15ULL;
    uint64_t id = tn__random_next(&state);
    tn_assert(log->reads.counter != 0);
    return id != 0 ? id : 1;
}

static bool for_damage(const struct tn_log *log)
{
    tn_assert(log->damaged <= 2);
    return log->damaged == 1 && log->damage_known == 0;
}

/* Have enough members answered? */
static bool is_answered(const struct tn_log *log)
{
    const struct tn__log_reads *reads = &log->reads;
    tn_assert(reads->required_count >= 1);
    for (uint32_t i = 0; i < reads->required_count; i++) {
        uint32_t voters = (uint32_t)__builtin_popcount(reads->required[i]);
        uint32_t present = (uint32_t)__builtin_popcount(reads->required[i] & reads->answered);
        uint32_t majority = voters / 2 + 1;
        bool self = (reads->required[i] & tn__log_bit(tn__log_self(log))) != 0;
        /* W3: enough others to meet every majority that this node was part of. */
        uint32_t needed = for_damage(log) && self ? voters - majority + 1 : majority;
        if (present < needed) {
            return false;
        }
    }
    tn_assert(reads->answered != 0);
    return true;
}

static void ask(struct tn__log_turn *turn)
{
    struct tn_log *log = turn->log;
    struct tn__log_reads *reads = &log->reads;
    tn_member_set to = 0;
    for (uint32_t i = 0; i < reads->required_count; i++) {
        to |= reads->required[i];
    }
    to &= ~(reads->answered | tn__log_bit(tn__log_self(log)));
    to &= tn__log_bit(log->options.nodes_count) - 1;
    uint32_t doublings = reads->tries < TRIES_DOUBLINGS_MAX ? reads->tries : TRIES_DOUBLINGS_MAX;
    reads->again_at = tn__log_later(turn->now, log->options.resend_ns << doublings);
    if (to != 0 && tn__log_messages_room(turn, 1)) {
        tn__log_send(turn, TN_LOG_READ, to)->id = reads->id;
    }
    tn_assert(reads->again_at > turn->now);
    tn_assert(reads->id != 0);
}

/* A try with a fresh id: the own acceptor answers first, if it may. */
static void try_round(struct tn__log_turn *turn)
{
    struct tn_log *log = turn->log;
    struct tn__log_reads *reads = &log->reads;
    tn_assert(log->stopped == 0);
    reads->phase = TN__LOG_ROUND_ASKING;
    reads->id = fresh_id(log);
    reads->answered = tn__log_votes(log) ? tn__log_bit(tn__log_self(log)) : 0;
    reads->slot = log->acceptor.highest;
    tn_assert(reads->slot >= tn__log_committed(log));
    ask(turn);
}

static void begin_round(struct tn__log_turn *turn)
{
    struct tn_log *log = turn->log;
    struct tn__log_reads *reads = &log->reads;
    const struct tn__log_configuration *end = &log->configurations.list[log->configurations.count];
    reads->required_count = 0;
    for (const struct tn__log_configuration *one = tn__log_now(log); one < end; one++) {
        reads->required[reads->required_count++] = one->voters;
        reads->version = one->version;
    }
    tn_assert(reads->required_count >= 1);
    reads->end = for_damage(log) ? reads->head : reads->tail;
    reads->tries = 0;
    log->counters.reads++;
    try_round(turn);
    tn_assert(reads->phase == TN__LOG_ROUND_ASKING);
}

void tn__log_reads_configuration(struct tn_log *log)
{
    struct tn__log_reads *reads = &log->reads;
    const struct tn__log_configuration *newest =
        &log->configurations.list[log->configurations.count - 1];
    tn_assert(log->configurations.count >= 1);
    if (reads->phase == TN__LOG_ROUND_NONE || newest->version <= reads->version) {
        return;
    }
    if (reads->required_count == TN__LOG_CONFIGURATIONS_MAX) {
        reads->phase = TN__LOG_ROUND_NONE; /* so many changes: a round from the beginning */
        reads->end = reads->head;
        return;
    }
    reads->required[reads->required_count++] = newest->voters;
    reads->version = newest->version;
    tn_assert(reads->required_count <= TN__LOG_CONFIGURATIONS_MAX);
}

void tn__log_on_read_answer(struct tn__log_turn *turn, const struct tn_log_message *message)
{
    struct tn_log *log = turn->log;
    struct tn__log_reads *reads = &log->reads;
    if (message->ballot.node == log->options.nodes[message->from] &&
        message->ballot.restart_word == turn->event->restart_word) {
        tn__log_said(log, message->ballot, message->committed); /* C1 */
    }
    if (reads->phase != TN__LOG_ROUND_ASKING || message->id != reads->id ||
        message->from == tn__log_self(log)) {
        log->counters.stale++;
        return;
    }
    reads->answered |= tn__log_bit(message->from);
    reads->slot = tn__log_larger(reads->slot, message->accepted);
    tn_assert(reads->slot <= TN__LOG_SLOT_MAX);
}

/* ---- Resolving ------------------------------------------------------------------------------- */

/* Reads 3: somebody has to fill the slots up to there. */
static void resolve(struct tn__log_turn *turn, uint64_t slot)
{
    struct tn_log *log = turn->log;
    uint32_t target = tn__log_forward_target(log, turn->now);
    if (tn__log_may_propose(log, turn->now)) {
        if (slot <= tn__log_committed(log) + log->acceptor.capacity && slot > log->resolve_upto) {
            log->resolve_upto = slot;
            turn->left = true; /* the pump sees it in the next step */
        }
    } else if (target != TN__LOG_NOBODY && tn__log_messages_room(turn, 1)) {
        tn__log_send(turn, TN_LOG_RESOLVE, tn__log_bit(target))->slot = slot;
    }
    if (log->resolve_polls++ > 0) { /* not the first time for this: is there news elsewhere? */
        tn__log_catch_up_poll(turn);
    }
    log->resolve_at = tn__log_later(turn->now, log->options.resend_ns);
    tn_assert(log->resolve_at > turn->now);
}

static void answer(struct tn__log_turn *turn)
{
    struct tn_log *log = turn->log;
    struct tn__log_reads *reads = &log->reads;
    tn_assert(reads->phase == TN__LOG_ROUND_ANSWERING);
    tn_assert(reads->slot <= tn__log_committed(log));
    while (reads->head < reads->end) {
        if (!tn__log_notices_room(turn)) {
            turn->left = true;
            return;
        }
        struct tn_log_notice *notice = tn__log_notify(turn, TN_LOG_NOTICE_READ, 0);
        notice->number = *number_at(log, reads->head);
        notice->slot = reads->slot;
        reads->head++;
    }
    reads->phase = TN__LOG_ROUND_NONE;
    turn->left = turn->left || reads->tail > reads->head;
}

/* ---- W3 -------------------------------------------------------------------------------------- */

static uint64_t largest_window(const struct tn_log *log)
{
    uint64_t window = log->options.window_slots;
    tn_assert(log->configurations.count >= 1);
    for (uint32_t i = 0; i < log->configurations.count; i++) {
        window = tn__log_larger(window, log->configurations.list[i].window_slots);
    }
    tn_assert(window >= 1);
    return window;
}

/* A round for damage is done: what may have been lost reaches so far. */
static void note_damage(struct tn_log *log)
{
    tn_assert(for_damage(log));
    tn_assert(log->reads.head == log->reads.end);
    log->damaged_upto = tn__log_larger(log->damaged_upto, log->reads.slot + largest_window(log));
    log->damage_known = 1;
}

static void heal(struct tn__log_turn *turn)
{
    struct tn_log *log = turn->log;
    if (log->damaged != 1 || log->damage_known == 0) {
        return; /* V4: without its promise it never votes again */
    }
    if (tn__log_committed(log) < log->damaged_upto) {
        if (log->resolve_at <= turn->now) {
            resolve(turn, log->damaged_upto);
        }
        return;
    }
    if (log->heal_write == 0) {
        /* The disk is to say how far it has all again: should the old damage grow, slots that lack
         * up to there are damage (the store tells old damage from new by its place alone). */
        log->heal_write = tn__log_record(turn, TN_LOG_RECORD_PROMISE, turn->effects->entries_count);
    }
    if (log->written >= log->heal_write) {
        log->damaged = 0;
        turn->left = true; /* now it may lead, and answer reads */
    }
    tn_assert(log->heal_write <= log->writes);
}

/* ---- What is due ----------------------------------------------------------------------------- */

static void move_round(struct tn__log_turn *turn)
{
    struct tn_log *log = turn->log;
    struct tn__log_reads *reads = &log->reads;
    if (reads->phase == TN__LOG_ROUND_ASKING && is_answered(log)) {
        reads->phase = TN__LOG_ROUND_RESOLVING;
        log->resolve_at = turn->now;
        log->resolve_polls = 0;
    }
    if (reads->phase == TN__LOG_ROUND_RESOLVING && reads->slot <= tn__log_committed(log)) {
        if (is_answered(log)) {
            if (for_damage(log)) {
                note_damage(log);
            }
            reads->phase = TN__LOG_ROUND_ANSWERING;
        } else {
            reads->phase = TN__LOG_ROUND_ASKING; /* a new configuration is asked too */
            ask(turn);
        }
    }
    tn_assert(reads->phase != TN__LOG_ROUND_ANSWERING || reads->slot <= tn__log_committed(log));
}

void tn__log_reads_due(struct tn__log_turn *turn)
{
    struct tn_log *log = turn->log;
    struct tn__log_reads *reads = &log->reads;
    if (reads->phase == TN__LOG_ROUND_NONE && (reads->tail > reads->head || for_damage(log))) {
        begin_round(turn);
    }
    if (reads->phase == TN__LOG_ROUND_ASKING && !is_answered(log) && reads->again_at <= turn->now) {
        reads->tries++;
        try_round(turn);
    }
    move_round(turn);
    if (tn__log_reads_wait(log) && log->resolve_at <= turn->now) {
        resolve(turn, reads->slot);
    }
    if (reads->phase == TN__LOG_ROUND_ANSWERING) {
        answer(turn);
    }
    heal(turn);
    tn_assert(reads->head <= reads->end || reads->phase == TN__LOG_ROUND_NONE);
}

tn_time tn__log_reads_deadline(const struct tn_log *log)
{
    tn_time deadline = TN_TIME_NEVER;
    if (log->reads.phase == TN__LOG_ROUND_ASKING) {
        deadline = log->reads.again_at;
    }
    bool healing =
        log->damaged == 1 && log->damage_known != 0 && tn__log_committed(log) < log->damaged_upto;
    if (tn__log_reads_wait(log) || healing) {
        deadline = tn__log_earlier(deadline, log->resolve_at);
    }
    tn_assert(log->reads.head <= log->reads.tail);
    return deadline;
}
