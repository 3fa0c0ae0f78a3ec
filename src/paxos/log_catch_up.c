/* C2: committed slots from whoever has them.
 *
 * One FETCH is out at a time; its answer brings the next one, so the stream is windowed by what a
 * FETCH asks for and no faster than its reader. It is asked for at once when a connection is made,
 * when a recovery or a read waits for it, and when this node is further behind than a window; else
 * only after a while, as what is missing is usually on its way as an ACCEPT. An answer that is
 * overdue is asked for at the next member that has it.
 *
 * What was learned is written (a LEARN record, which leaves the promise alone: V3) and committed at
 * once: it is durable elsewhere. Out of the store is served only what is durable there as it was
 * committed: before that, the newest durable value of a slot may be one that lost. A leader never
 * learns: what it has proposed it commits by votes or not at all (log_learner.h). A stopped member
 * serves nobody (C3). */
#include "base/assert.h"
#include "paxos/log_machine.h"

/* A leader is missed after so many times election_ns; news are asked for at most so much apart. */
#define SILENCE 2U
#define POLL_DOUBLINGS_MAX 4U

/* So many times resend_ns without an answer: somebody else is asked. */
#define PATIENCE 5U

/* ---- Serving --------------------------------------------------------------------------------- */

/* A run out of the ring, from `slot` to before `end`. */
static uint32_t collect(struct tn__log_turn *turn, uint64_t slot, uint64_t end)
{
    const struct tn_log *log = turn->log;
    struct tn__log_slot *slots = tn__log_slots(log);
    uint64_t most = tn__log_earlier(log->options.fetch_bytes, TN__LOG_RUN_BYTES);
    uint64_t bytes = 0;
    uint32_t count = 0;
    tn_assert(end <= tn__log_committed(log) + 1);
    while (slot < end && count < TN_LOG_RUN_MAX && tn__log_entries_room(turn) > 0 &&
           tn__log_acceptor_holds(&log->acceptor, slots, slot)) {
        const struct tn__log_slot *held = tn__log_slot_at(&log->acceptor, slots, slot);
        bytes += held->value.bytes;
        if (count > 0 && bytes > most) {
            break;
        }
        tn__log_entry(turn, slot, held->ballot, &held->value);
        count++;
        slot++;
    }
    tn_assert(count <= TN_LOG_RUN_MAX);
    return count;
}

/* The first slot from here on that the ring holds, or `end`. */
static uint64_t first_held(const struct tn_log *log, uint64_t slot, uint64_t end)
{
    tn_assert(slot <= end);
    slot = tn__log_larger(slot, tn__log_earlier(log->acceptor.first, end));
    while (slot < end && !tn__log_acceptor_holds(&log->acceptor, tn__log_slots(log), slot)) {
        slot++;
    }
    tn_assert(slot <= end);
    return slot;
}

void tn__log_on_fetch(struct tn__log_turn *turn, const struct tn_log_message *message)
{
    struct tn_log *log = turn->log;
    struct tn_log_effects *effects = turn->effects;
    tn_assert(message->slot < message->slot_end);
    if (message->from == tn__log_self(log)) {
        log->counters.malformed++;
        return;
    }
    uint64_t most = message->slot + TN_LOG_RUN_MAX;
    uint64_t end = tn__log_earlier(message->slot_end, tn__log_committed(log) + 1);
    end = tn__log_earlier(end, most);
    bool there = message->slot < end;
    bool stored = message->slot <= log->durable;
    bool held = there && tn__log_acceptor_holds(&log->acceptor, tn__log_slots(log), message->slot);
    if (there && !held && stored && message->slot >= log->retained) {
        tn_assert(effects->loads_count < TN_LOG_EFFECT_LOADS_MAX);
        effects->loads[effects->loads_count++] = (struct tn_log_load){
            .to = tn__log_bit(message->from),
            .slot = message->slot,
            .slot_end = first_held(log, message->slot, tn__log_earlier(end, log->durable + 1)),
        };
        return;
    }
    uint32_t first = effects->entries_count;
    uint32_t count = held ? collect(turn, message->slot, end) : 0;
    log->counters.served += count;
    struct tn_log_message *answer = tn__log_send(turn, TN_LOG_FETCHED, tn__log_bit(message->from));
    tn__log_attach(turn, answer, first);
    answer->slot = message->slot;
    answer->flags = message->slot < log->retained ? TN_LOG_FLAG_BELOW_RETAINED : 0;
}

/* ---- Asking ---------------------------------------------------------------------------------- */

static uint64_t known_upto(const struct tn_log *log)
{
    tn_assert(log->learned <= log->acceptor.highest);
    return tn__log_larger(tn__log_committed(log), log->learned);
}

static void ask(struct tn__log_turn *turn, uint32_t member)
{
    struct tn_log *log = turn->log;
    if (!tn__log_messages_room(turn, 1)) {
        turn->left = true;
        return;
    }
    tn_assert(member != tn__log_self(log) && log->proposer.phase != TN__LOG_LEADING);
    uint64_t half = log->acceptor.capacity / 2;
    struct tn_log_message *message = tn__log_send(turn, TN_LOG_FETCH, tn__log_bit(member));
    message->slot = known_upto(log) + 1;
    message->slot_end = message->slot + tn__log_earlier(half, TN_LOG_RUN_MAX);
    log->fetch_from = member;
    log->fetch_turn = member;
    log->fetch_at = tn__log_later(turn->now, PATIENCE * log->options.resend_ns);
    tn_assert(message->slot < message->slot_end);
}

void tn__log_on_connected(struct tn__log_turn *turn)
{
    struct tn_log *log = turn->log;
    uint32_t member = turn->event->from;
    if (member >= log->options.nodes_count || member == tn__log_self(log) || log->stopped != 0) {
        return;
    }
    tn_assert(log->options.nodes_count <= TN_LOG_NODES_MAX);
    tn__log_peer_reset(turn, member);
    tn__log_forwards_lost(turn, member); /* what was under way on the old one may be lost */
    if (log->prepare_at != TN_TIME_NEVER) {
        log->prepare_at = turn->now;
    }
    if (log->proposer.phase != TN__LOG_LEADING && log->fetch_from == TN__LOG_NOBODY &&
        log->full == 0) {
        ask(turn, member); /* C2: at once; the answer tells how far it is */
    }
}

/* ---- Learning -------------------------------------------------------------------------------- */

static void learn_run(struct tn__log_turn *turn, const struct tn_log_message *message)
{
    struct tn_log *log = turn->log;
    const struct tn_log_entry *entries = tn__log_entries_of(turn);
    uint32_t first = turn->effects->entries_count;
    bool stuck = false;
    for (uint32_t i = 0; i < message->entries_count; i++) {
        uint64_t slot = entries[i].slot;
        stuck = stuck || slot > known_upto(log) + 1 ||
                (slot == known_upto(log) + 1 &&
                 (tn__log_entries_room(turn) == 0 || !tn__log_make_room(log, slot)));
        if (stuck || slot <= known_upto(log)) {
            tn__log_forget(log, entries[i].value.handle);
            continue;
        }
        uint64_t forgotten = 0;
        tn__log_acceptor_learn(&log->acceptor, tn__log_slots(log), slot, entries[i].ballot,
                               &entries[i].value, &forgotten);
        tn__log_forget(log, forgotten);
        log->learned = slot;
        log->counters.fetched++;
        log->fetching = 1;
        log->fetch_polls = 0;
        tn__log_entry(turn, slot, entries[i].ballot, &entries[i].value);
    }
    if (turn->effects->entries_count > first) {
        (void)tn__log_record(turn, TN_LOG_RECORD_LEARN, first);
    }
    tn_assert(log->learned <= log->acceptor.highest);
}

void tn__log_on_fetched(struct tn__log_turn *turn, const struct tn_log_message *message)
{
    struct tn_log *log = turn->log;
    struct tn__log_peer *peer = &log->peers[message->from];
    bool awaited = message->from == log->fetch_from;
    uint64_t before = known_upto(log);
    if (awaited) {
        log->fetch_from = TN__LOG_NOBODY;
        log->fetch_at = TN_TIME_NEVER;
    }
    if ((message->flags & TN_LOG_FLAG_BELOW_RETAINED) != 0) {
        peer->retained = tn__log_larger(peer->retained, message->slot + 1);
        log->fetching = 1; /* ask somebody else at once */
    }
    if (log->proposer.phase == TN__LOG_LEADING || log->full != 0 ||
        message->from == tn__log_self(log)) {
        log->counters.stale++;
        tn__log_forget_entries(turn, 0);
        return;
    }
    learn_run(turn, message);
    if (awaited && known_upto(log) > before) { /* its next answer may be on its way out already */
        uint32_t count = log->options.nodes_count;
        log->fetch_turn = (message->from + count - 1) % count;
    }
    if (awaited && known_upto(log) == before &&
        (message->flags & TN_LOG_FLAG_BELOW_RETAINED) == 0) {
        log->fetching = 0; /* it has nothing for us yet: not again at once */
        log->fetch_at = tn__log_later(turn->now, log->options.heartbeat_ns);
    }
    tn_assert(log->fetching <= 1);
}

/* ---- What is due ----------------------------------------------------------------------------- */

/* The next member, round about, that has the slot after those known here; or, to be polled, one of
 * which nothing is known: it may be further, too. The leader only if nobody else has it: it has the
 * most to do. */
static uint32_t choose(const struct tn_log *log, bool poll, bool *below)
{
    uint32_t count = log->options.nodes_count;
    uint64_t have = known_upto(log);
    uint32_t leader = TN__LOG_NOBODY;
    *below = false;
    tn_assert(log->fetch_turn < count);
    for (uint32_t i = 1; i <= count; i++) {
        uint32_t member = (log->fetch_turn + i) % count;
        const struct tn__log_peer *peer = &log->peers[member];
        if (member == tn__log_self(log) || (peer->committed <= have) != poll) {
            continue;
        }
        if (peer->retained > have + 1) {
            *below = true;
        } else if (member != log->leader) {
            return member;
        } else {
            leader = member;
        }
    }
    return leader;
}

static uint64_t committed_by_others(const struct tn_log *log)
{
    uint64_t most = 0;
    tn_assert(log->options.nodes_count <= TN_LOG_NODES_MAX);
    for (uint32_t i = 0; i < log->options.nodes_count; i++) {
        if (i != tn__log_self(log)) {
            most = tn__log_larger(most, log->peers[i].committed);
        }
    }
    tn_assert(most <= TN__LOG_SLOT_MAX);
    return most;
}

/* The disk is behind: its next completion asks on. */
static bool is_backlogged(const struct tn_log *log)
{
    tn_assert(log->written <= log->writes);
    return log->writes - log->written > TN__LOG_WRITES_AHEAD;
}

static bool is_urgent(const struct tn_log *log, uint64_t target)
{
    tn_assert(target > known_upto(log));
    return log->fetching != 0 || log->proposer.phase == TN__LOG_PREPARING || log->damaged != 0 ||
           tn__log_reads_wait(log) || target - known_upto(log) > tn__log_now(log)->window_slots;
}

static void ask_somebody(struct tn__log_turn *turn)
{
    struct tn_log *log = turn->log;
    bool below = false;
    bool below_too = false;
    uint32_t member = choose(log, false, &below);
    if (member == TN__LOG_NOBODY && below && log->fetch_polls < log->options.nodes_count) {
        log->fetch_polls++;
        member = choose(log, true, &below_too);
    }
    if (member != TN__LOG_NOBODY) {
        ask(turn, member);
        return;
    }
    log->fetch_at = tn__log_later(turn->now, PATIENCE * log->options.resend_ns);
    log->fetching = 0;
    log->fetch_polls = 0;
    if (below && log->checkpoint_asked == 0 && tn__log_notices_room(turn)) {
        log->checkpoint_asked = 1;
        tn__log_notify(turn, TN_LOG_NOTICE_CHECKPOINT_NEEDED, TN_LOG_REASON_NONE)->slot =
            known_upto(log) + 1;
    }
    tn_assert(log->fetch_from == TN__LOG_NOBODY);
}

void tn__log_catch_up_poll(struct tn__log_turn *turn)
{
    struct tn_log *log = turn->log;
    tn_assert(log->fetch_turn < log->options.nodes_count);
    if (log->fetch_at != TN_TIME_NEVER || log->full != 0 || log->options.nodes_count == 1 ||
        log->proposer.phase == TN__LOG_LEADING) {
        return;
    }
    uint32_t next = (log->fetch_turn + 1) % log->options.nodes_count;
    next = next == tn__log_self(log) ? (next + 1) % log->options.nodes_count : next;
    tn_assert(next != tn__log_self(log));
    ask(turn, next);
}

void tn__log_catch_up_due(struct tn__log_turn *turn)
{
    struct tn_log *log = turn->log;
    uint64_t target = committed_by_others(log);
    if (log->proposer.phase == TN__LOG_LEADING || log->full != 0 || target <= known_upto(log)) {
        bool overdue = log->fetch_at <= turn->now || log->proposer.phase == TN__LOG_LEADING;
        if (overdue) {
            log->fetch_from = TN__LOG_NOBODY;
            log->fetch_at = TN_TIME_NEVER;
        }
        log->behind_since = TN_TIME_NEVER;
        log->fetching = 0;
        log->fetch_polls = 0;
        log->checkpoint_asked = 0;
        return;
    }
    if (log->behind_since == TN_TIME_NEVER) {
        log->behind_since = turn->now;
    }
    if (log->fetch_at != TN_TIME_NEVER) {
        if (log->fetch_at > turn->now) {
            return;
        }
        log->fetch_from = TN__LOG_NOBODY;
        log->fetch_at = TN_TIME_NEVER;
    }
    tn_time patience = log->options.heartbeat_ns;
    if (is_backlogged(log)) {
        return;
    }
    if (is_urgent(log, target) || tn__log_later(log->behind_since, patience) <= turn->now) {
        ask_somebody(turn);
    }
    tn_assert(log->proposer.phase != TN__LOG_LEADING);
}

/* When somebody is asked for news: while nobody leads, ever more seldom. */
static tn_time poll_time(const struct tn_log *log)
{
    tn_assert(log->options.election_ns > 0);
    if (log->options.nodes_count == 1 || log->proposer.phase != TN__LOG_IDLE || log->full != 0 ||
        log->fetch_at != TN_TIME_NEVER || log->behind_since != TN_TIME_NEVER) {
        return TN_TIME_NEVER;
    }
    tn_time missed = tn__log_later(log->leader_until, SILENCE * log->options.election_ns);
    return tn__log_larger(log->poll_at, missed);
}

void tn__log_poll_due(struct tn__log_turn *turn)
{
    struct tn_log *log = turn->log;
    if (log->leader_until > turn->now) {
        log->polls = 0;
    }
    if (poll_time(log) > turn->now) {
        return;
    }
    uint32_t doublings = log->polls < POLL_DOUBLINGS_MAX ? log->polls : POLL_DOUBLINGS_MAX;
    log->polls++;
    log->poll_at = tn__log_later(turn->now, (SILENCE * log->options.election_ns) << doublings);
    tn__log_catch_up_poll(turn);
    tn_assert(log->poll_at > turn->now);
}

tn_time tn__log_catch_up_deadline(const struct tn_log *log)
{
    tn_assert(log->fetch_from == TN__LOG_NOBODY || log->fetch_at != TN_TIME_NEVER);
    if (log->fetch_at != TN_TIME_NEVER) {
        return log->fetch_at;
    }
    if (log->behind_since == TN_TIME_NEVER) {
        return poll_time(log);
    }
    tn_assert(log->proposer.phase != TN__LOG_LEADING);
    if (is_backlogged(log)) {
        return TN_TIME_NEVER;
    }
    return tn__log_later(log->behind_since, log->options.heartbeat_ns);
}
