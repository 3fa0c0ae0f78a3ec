/* A leader and each of its followers. Of each it knows
 *
 *   acknowledged   every slot up to here is accepted there, or it gets it by catch-up
 *   next           the next slot to send
 *
 * and what lies between is under way, bounded by peer_bytes. A run that was just proposed goes to
 * all who have everything before it; who lags gets runs from its own `next`, out of the ring, and
 * what the ring has lost it fetches (C2). So a slow follower costs the others nothing. One that is
 * silent for resend_ns gets the run after `acknowledged` again, one run at a time and ever more
 * seldom until it answers. This node is a follower of itself: only its own vote can be lost. */
#include "base/assert.h"
#include "paxos/log_machine.h"

#define SILENCE_DOUBLINGS_MAX 3U

void tn__log_followers_begin(struct tn__log_turn *turn)
{
    struct tn_log *log = turn->log;
    tn_assert(log->proposer.phase == TN__LOG_LEADING);
    tn_assert(log->proposer.next == tn__log_committed(log) + 1);
    for (uint32_t i = 0; i < log->options.nodes_count; i++) {
        struct tn__log_peer *peer = &log->peers[i];
        peer->next = log->proposer.next;
        peer->acknowledged = log->proposer.next - 1;
        peer->told = 0;
        peer->wanted = 0;
        peer->answered = 0;
        peer->resend_at = TN_TIME_NEVER;
        peer->probing = 0;
        peer->silent = 0;
    }
    log->proposed_sum = log->committed_sum;
    *tn__log_sum(log, tn__log_committed(log)) = log->committed_sum;
    log->heartbeat_last = 0; /* all are told at once */
}

void tn__log_peer_reset(struct tn__log_turn *turn, uint32_t member)
{
    struct tn_log *log = turn->log;
    struct tn__log_peer *peer = &log->peers[member];
    tn_assert(member < log->options.nodes_count);
    peer->told = 0;
    peer->silent = 0;
    peer->probing = 0;
    if (log->proposer.phase == TN__LOG_LEADING && member != tn__log_self(log)) {
        tn_assert(peer->acknowledged < peer->next);
        peer->next = peer->acknowledged + 1;
        peer->resend_at = TN_TIME_NEVER;
        log->heartbeat_last = 0;
    }
}

/* ---- What came back -------------------------------------------------------------------------- */

void tn__log_on_accepted(struct tn__log_turn *turn, const struct tn_log_message *message)
{
    struct tn_log *log = turn->log;
    struct tn__log_peer *peer = &log->peers[message->from];
    if (log->proposer.phase != TN__LOG_LEADING ||
        !tn_log_ballot_equal(message->ballot, log->proposer.ballot)) {
        log->counters.stale++;
        return;
    }
    if (message->slot_end > log->proposer.next) {
        log->counters.malformed++; /* nobody can have accepted what was not proposed */
        return;
    }
    tn__log_proposer_accepted(&log->proposer, tn__log_proposals(log), message->from,
                              message->ballot, message->slot, message->slot_end,
                              tn__log_committed(log));
    if (message->slot > peer->acknowledged + 1 || message->slot_end <= peer->acknowledged + 1) {
        return; /* something before it is missing, or it is no news */
    }
    peer->acknowledged = message->slot_end - 1;
    peer->next = tn__log_larger(peer->next, message->slot_end);
    peer->silent = 0;
    peer->probing = 0;
    peer->resend_at = peer->acknowledged + 1 < peer->next
                          ? tn__log_later(turn->now, log->options.resend_ns)
                          : TN_TIME_NEVER;
    tn_assert(peer->next <= log->proposer.next);
    tn_assert(peer->acknowledged < peer->next);
}

void tn__log_on_heartbeat_answer(struct tn__log_turn *turn, const struct tn_log_message *message)
{
    struct tn_log *log = turn->log;
    struct tn__log_peer *peer = &log->peers[message->from];
    if (log->proposer.phase != TN__LOG_LEADING ||
        !tn_log_ballot_equal(message->ballot, log->proposer.ballot)) {
        log->counters.stale++;
        return;
    }
    peer->stamp = message->stamp;
    if (message->id <= turn->now) {
        peer->answered = tn__log_larger(peer->answered, message->id);
    }
    tn__log_checksum_compare(turn, message);
    tn_assert(peer->answered <= turn->now);
}

/* ---- Runs ------------------------------------------------------------------------------------ */

static uint64_t bytes_under_way(const struct tn_log *log, const struct tn__log_peer *peer)
{
    /* What the ring has lost will not be sent again. */
    uint64_t from = tn__log_larger(peer->acknowledged, log->acceptor.first - 1);
    tn_assert(from < peer->next);
    tn_assert(*tn__log_sum(log, peer->next - 1) >= *tn__log_sum(log, from));
    return *tn__log_sum(log, peer->next - 1) - *tn__log_sum(log, from);
}

/* How much payload it may get now, and up to which slot. 0 bytes and 0 slots: nothing. */
struct allowance {
    uint64_t bytes;
    uint64_t slot_last;
};

static struct allowance allowance_of(const struct tn_log *log, const struct tn__log_peer *peer)
{
    struct allowance allowance = {0};
    bool idle = peer->acknowledged + 1 == peer->next;
    if (peer->doubled != 0 || (peer->probing != 0 && !idle)) {
        return allowance;
    }
    uint64_t under_way = bytes_under_way(log, peer);
    if (!idle && under_way >= log->options.peer_bytes) {
        return allowance;
    }
    allowance.bytes = idle ? TN_PAYLOAD_BYTES_MAX : log->options.peer_bytes - under_way;
    allowance.slot_last = peer->committed + log->acceptor.capacity; /* its ring is as long */
    tn_assert(allowance.slot_last > 0);
    return allowance;
}

static void note_sent(struct tn__log_turn *turn, struct tn__log_peer *peer, uint64_t next)
{
    const struct tn_log *log = turn->log;
    tn_assert(next > peer->next && next <= log->proposer.next);
    peer->next = next;
    peer->told = tn__log_committed(log);
    if (peer->resend_at == TN_TIME_NEVER) {
        peer->resend_at = tn__log_later(turn->now, log->options.resend_ns);
    }
    tn_assert(peer->acknowledged < peer->next);
}

/* The run at the end of the effects, to all who may have it from there on. */
static tn_member_set send_run(struct tn__log_turn *turn, uint32_t first)
{
    struct tn_log *log = turn->log;
    const struct tn_log_entry *entries = &turn->effects->entries[first];
    uint32_t count = turn->effects->entries_count - first;
    tn_assert(count >= 1 && count <= TN_LOG_RUN_MAX);
    uint64_t end = entries[0].slot + count;
    uint64_t bytes = *tn__log_sum(log, end - 1) - *tn__log_sum(log, entries[0].slot - 1);
    tn_member_set others = tn__log_others(log);
    tn_member_set to = 0;
    for (uint32_t i = 0; i < log->options.nodes_count; i++) {
        struct tn__log_peer *peer = &log->peers[i];
        if ((others & tn__log_bit(i)) == 0 || peer->next != entries[0].slot) {
            continue;
        }
        struct allowance allowance = allowance_of(log, peer);
        if (bytes <= allowance.bytes && end - 1 <= allowance.slot_last) {
            to |= tn__log_bit(i);
            note_sent(turn, peer, end);
        }
    }
    if (to != 0) {
        struct tn_log_message *message = tn__log_send(turn, TN_LOG_ACCEPT, to);
        message->ballot = log->proposer.ballot; /* N3: its own disk overlaps the network */
        tn__log_attach(turn, message, first);
        tn_assert(message->after == 0);
    }
    return to;
}

void tn__log_followers_send(struct tn__log_turn *turn, uint32_t first)
{
    struct tn_log *log = turn->log;
    struct tn__log_peer *self = &log->peers[tn__log_self(log)];
    tn_assert(turn->effects->entries_count > first);
    tn_assert(self->next == turn->effects->entries[first].slot);
    note_sent(turn, self, log->proposer.next);
    (void)send_run(turn, first);
}

/* A run out of the ring for one that lags, as long as it may be. */
static uint32_t collect_run(struct tn__log_turn *turn, const struct tn__log_peer *peer)
{
    struct tn_log *log = turn->log;
    struct tn__log_slot *slots = tn__log_slots(log);
    struct allowance allowance = allowance_of(log, peer);
    uint64_t bytes = 0;
    uint32_t count = 0;
    for (uint64_t slot = peer->next; slot < log->proposer.next && count < TN_LOG_RUN_MAX; slot++) {
        tn_assert(tn__log_acceptor_holds(&log->acceptor, slots, slot));
        const struct tn__log_slot *held = tn__log_slot_at(&log->acceptor, slots, slot);
        bytes += held->value.bytes;
        if (slot > allowance.slot_last || bytes > allowance.bytes) {
            return count;
        }
        if (tn__log_entries_room(turn) == 0 || (count > 0 && bytes > TN__LOG_RUN_BYTES)) {
            turn->left = true;
            return count;
        }
        tn__log_entry(turn, slot, log->proposer.ballot, &held->value);
        count++;
    }
    turn->left = turn->left || peer->next + count < log->proposer.next;
    return count;
}

static void serve_lagging(struct tn__log_turn *turn, uint32_t member)
{
    struct tn_log *log = turn->log;
    struct tn__log_peer *peer = &log->peers[member];
    tn_assert(member != tn__log_self(log));
    if (peer->acknowledged + 1 < log->acceptor.first) { /* it fetches what the ring has lost */
        peer->acknowledged = log->acceptor.first - 1;
        peer->next = tn__log_larger(peer->next, log->acceptor.first);
    }
    uint32_t first = turn->effects->entries_count;
    bool again = peer->probing != 0;
    if (peer->next >= log->proposer.next) {
        return;
    }
    if (!tn__log_messages_room(turn, 1)) {
        turn->left = true;
        return;
    }
    uint32_t count = collect_run(turn, peer);
    if (count > 0) {
        log->counters.resent += again ? count : 0;
        (void)send_run(turn, first);
    }
    tn_assert(peer->acknowledged < peer->next);
}

/* ---- Silence --------------------------------------------------------------------------------- */

static void resend(struct tn__log_turn *turn, uint32_t member)
{
    struct tn_log *log = turn->log;
    struct tn__log_peer *peer = &log->peers[member];
    uint32_t doublings =
        peer->silent < SILENCE_DOUBLINGS_MAX ? peer->silent : SILENCE_DOUBLINGS_MAX;
    tn_assert(peer->resend_at <= turn->now);
    tn_assert(peer->acknowledged + 1 < peer->next);
    peer->silent++;
    peer->resend_at = tn__log_later(turn->now, log->options.resend_ns << doublings);
    if (member != tn__log_self(log)) {
        peer->next = peer->acknowledged + 1;
        peer->probing = 1;
        return;
    }
    if (tn__log_messages_room(turn, 1)) { /* the own vote was lost on its way to oneself */
        struct tn_log_message *vote = tn__log_send(turn, TN_LOG_ACCEPTED, tn__log_bit(member));
        vote->ballot = log->proposer.ballot;
        vote->slot = peer->acknowledged + 1;
        vote->slot_end = peer->next;
        vote->after = log->writes > log->written ? log->writes : 0;
    }
}

/* ---- Heartbeats ------------------------------------------------------------------------------ */

static void heartbeat(struct tn__log_turn *turn, uint32_t member)
{
    struct tn_log *log = turn->log;
    struct tn__log_peer *peer = &log->peers[member];
    if (!tn__log_messages_room(turn, 1)) {
        return; /* the next one is not far */
    }
    tn_assert(member != tn__log_self(log));
    struct tn_log_message *message = tn__log_send(turn, TN_LOG_HEARTBEAT, tn__log_bit(member));
    message->ballot = log->proposer.ballot;
    message->accepted = log->proposer.next - 1;
    message->stamp = peer->stamp; /* Reads 4 */
    message->id = turn->now;
    message->flags = tn__log_checksum_is_odd(log, member) ? TN_LOG_FLAG_DIVERGED : 0;
    tn__log_checksum_put(log, message);
    peer->told = tn__log_committed(log);
    tn_assert(message->after == 0);
}

void tn__log_followers_farewell(struct tn__log_turn *turn)
{
    tn_member_set others = tn__log_others(turn->log);
    tn_assert(tn__log_leads(turn->log));
    for (uint32_t i = 0; i < turn->log->options.nodes_count; i++) {
        if ((others & tn__log_bit(i)) != 0) {
            heartbeat(turn, i);
        }
    }
    tn_assert(turn->log->proposer.phase == TN__LOG_LEADING);
}

/* C1: when all are to hear of this leader next. */
static tn_time heartbeat_time(const struct tn_log *log)
{
    if (log->heartbeat_last == 0) {
        return 0;
    }
    bool quiet = log->proposer.next == tn__log_committed(log) + 1;
    tn_member_set others = quiet ? tn__log_others(log) : 0;
    for (uint32_t i = 0; i < log->options.nodes_count && quiet; i++) {
        quiet = (others & tn__log_bit(i)) == 0 || log->peers[i].told >= tn__log_committed(log);
    }
    tn_time idle = log->options.idle_heartbeat_ns;
    if (!tn__log_is_leased(log)) { /* nobody shall doubt it for its silence */
        idle = tn__log_earlier(idle, log->options.election_ns / 3 + 1);
    }
    tn_assert(idle > 0 && log->options.heartbeat_ns > 0);
    return tn__log_later(log->heartbeat_last, quiet ? idle : log->options.heartbeat_ns);
}

static void heartbeats_due(struct tn__log_turn *turn)
{
    struct tn_log *log = turn->log;
    tn_member_set others = tn__log_others(log);
    bool all = heartbeat_time(log) <= turn->now;
    tn_assert(tn__log_leads(log));
    for (uint32_t i = 0; i < log->options.nodes_count; i++) {
        struct tn__log_peer *peer = &log->peers[i];
        bool wants = peer->wanted != 0 && peer->wanted <= tn__log_committed(log);
        if ((others & tn__log_bit(i)) != 0 && (all || (wants && peer->told < peer->wanted))) {
            heartbeat(turn, i);
        }
        peer->wanted = wants ? 0 : peer->wanted;
    }
    if (all) {
        log->heartbeat_last = turn->now > 0 ? turn->now : 1;
    }
    tn_assert(!all || log->heartbeat_last >= turn->now);
}

void tn__log_followers_due(struct tn__log_turn *turn)
{
    struct tn_log *log = turn->log;
    if (!tn__log_leads(log)) {
        return;
    }
    tn_member_set others = tn__log_others(log);
    for (uint32_t i = 0; i < log->options.nodes_count; i++) {
        if (log->peers[i].acknowledged + 1 == log->peers[i].next) {
            log->peers[i].resend_at = TN_TIME_NEVER;
        } else if (log->peers[i].resend_at <= turn->now) {
            resend(turn, i);
        }
        if ((others & tn__log_bit(i)) != 0) {
            serve_lagging(turn, i);
        }
    }
    heartbeats_due(turn);
    tn_assert(log->peers[tn__log_self(log)].next == log->proposer.next);
}

tn_time tn__log_followers_deadline(const struct tn_log *log)
{
    if (!tn__log_leads(log)) {
        return TN_TIME_NEVER;
    }
    tn_time deadline = heartbeat_time(log);
    tn_assert(log->options.nodes_count >= 1);
    for (uint32_t i = 0; i < log->options.nodes_count; i++) {
        deadline = tn__log_earlier(deadline, log->peers[i].resend_at);
    }
    tn_assert(deadline != TN_TIME_NEVER);
    return deadline;
}
