/* Proposals of a member that does not lead (N4): forwarded to who does, in runs, and kept here
 * until they are answered.
 *
 *   WAITING --FORWARD--> FORWARDED --ASSIGNED--> in a slot: its origin is told which
 *      ^                     |  |
 *      +------REFUSED--------+  +-- no answer, another connection, another incarnation --> LOST
 *
 * What was refused is in no slot and no forward: it waits again. What is LOST may have arrived, so
 * it is never forwarded a second time. A forward names the incarnation that it is meant for and has
 * a stamp that rises; who gets one twice, late, or after a restart drops it, so a copy in the
 * network is never a second proposal. Answers give the stamp back. No two incarnations share one,
 * nor does a group that is opened again: an answer to an earlier one's forward would be taken for
 * that of a forward under way, which then would be proposed twice. */
#include "base/assert.h"
#include "paxos/log_machine.h"

/* So many times election_ns without an answer: LOST. */
#define PATIENCE 4U

static tn_time patience(const struct tn_log *log)
{
    tn_assert(log->options.election_ns > 0);
    return PATIENCE * log->options.election_ns;
}

/* ---- At the leader --------------------------------------------------------------------------- */

static void refuse(struct tn__log_turn *turn, uint32_t member, uint64_t number, uint64_t stamp,
                   uint32_t count, enum tn_log_reason reason)
{
    tn_assert(count >= 1 && member != tn__log_self(turn->log));
    struct tn_log_message *answer = tn__log_send(turn, TN_LOG_REFUSED, tn__log_bit(member));
    answer->id = number;
    answer->count = count;
    answer->stamp = stamp;
    answer->reason = (uint8_t)reason;
    if (reason == TN_LOG_REASON_BUSY) {
        turn->log->counters.busy += count;
    } else {
        turn->log->counters.refused += count;
    }
}

void tn__log_on_forward(struct tn__log_turn *turn, const struct tn_log_message *message)
{
    struct tn_log *log = turn->log;
    struct tn__log_peer *peer = &log->peers[message->from];
    const struct tn_log_entry *entries = tn__log_entries_of(turn);
    tn_assert(message->entries_count >= 1);
    if (message->from == tn__log_self(log) ||
        message->ballot.restart_word != log->options.restart_word ||
        message->stamp <= peer->forward_stamp) {
        log->counters.stale++; /* meant for an earlier incarnation, or a copy */
        tn__log_forget_entries(turn, 0);
        return;
    }
    peer->forward_stamp = message->stamp;
    enum tn_log_reason reason = TN_LOG_REASON_BUSY; /* N6 */
    uint32_t taken = 0;
    if (!tn__log_takes_guests(log, turn->now)) {
        reason = TN_LOG_REASON_NOT_LEADER;
    } else if (log->full != 0) {
        reason = TN_LOG_REASON_DISK_FULL; /* W4 */
    } else {
        while (taken < message->entries_count &&
               tn__log_queue_takes(log, &log->guests, entries[taken].value.bytes)) {
            tn__log_queue_put(log, &log->guests, message->from, message->id + taken, message->stamp,
                              &entries[taken].value);
            taken++;
        }
    }
    if (taken < message->entries_count) {
        tn__log_forget_entries(turn, taken);
        refuse(turn, message->from, message->id + taken, message->stamp,
               message->entries_count - taken, reason);
    }
}

void tn__log_refuse_guests(struct tn__log_turn *turn, enum tn_log_reason reason)
{
    struct tn_log *log = turn->log;
    struct tn__log_queue *queue = &log->guests;
    tn__log_queue_trim(log, queue);
    while (queue->waiting > 0) {
        if (!tn__log_messages_room(turn, 1)) {
            turn->left = true;
            return;
        }
        struct tn__log_waiting first = *tn__log_waiting_at(log, queue, queue->next);
        uint32_t count = 0;
        while (queue->waiting > 0) {
            struct tn__log_waiting *waiting = tn__log_waiting_at(log, queue, queue->next);
            if (waiting->member != first.member || waiting->stamp != first.stamp ||
                waiting->number != first.number + count) {
                break;
            }
            tn__log_forget(log, tn__log_queue_take(queue, waiting));
            tn__log_queue_trim(log, queue);
            count++;
        }
        refuse(turn, first.member, first.number, first.stamp, count, reason);
    }
    tn_assert(queue->waiting == 0);
    tn_assert(queue->count == 0); /* guests are never forwarded on */
}

/* ---- Answers --------------------------------------------------------------------------------- */

/* The proposals that an answer speaks of: a range of `own`, all of that one forward. */
struct answered {
    uint64_t begin;
    uint64_t end;
};

static struct answered answered_by(const struct tn_log *log, const struct tn_log_message *message)
{
    uint64_t begin = tn__log_own_find(log, message->id);
    uint64_t end = begin;
    while (end < log->own.tail && end - begin < message->count) {
        const struct tn__log_waiting *waiting = tn__log_waiting_at(log, &log->own, end);
        if (waiting->state != TN__LOG_FORWARDED || waiting->member != message->from ||
            waiting->stamp != message->stamp || waiting->number != message->id + (end - begin)) {
            break;
        }
        end++;
    }
    tn_assert(begin <= end && end <= log->own.tail);
    tn_assert(end - begin <= message->count);
    return (struct answered){.begin = begin, .end = end};
}

void tn__log_on_assigned(struct tn__log_turn *turn, const struct tn_log_message *message)
{
    struct tn_log *log = turn->log;
    struct answered answered = answered_by(log, message);
    uint32_t count = (uint32_t)(answered.end - answered.begin);
    if (count == 0 || message->slot == 0) {
        log->counters.stale++;
        return;
    }
    for (uint64_t i = answered.begin; i < answered.end; i++) {
        tn__log_forget(log, tn__log_queue_take(&log->own, tn__log_waiting_at(log, &log->own, i)));
    }
    struct tn_log_notice *notice = tn__log_notify(turn, TN_LOG_NOTICE_ASSIGNED, TN_LOG_REASON_NONE);
    notice->number = message->id;
    notice->count = count;
    notice->slot = message->slot;
    notice->ballot = message->ballot;
    tn__log_queue_trim(log, &log->own);
    tn_assert(log->own.count >= log->own.waiting);
}

void tn__log_on_refused(struct tn__log_turn *turn, const struct tn_log_message *message)
{
    struct tn_log *log = turn->log;
    struct answered answered = answered_by(log, message);
    if (answered.begin == answered.end) {
        log->counters.stale++;
        return;
    }
    for (uint64_t i = answered.begin; i < answered.end; i++) {
        struct tn__log_waiting *waiting = tn__log_waiting_at(log, &log->own, i);
        tn_assert(waiting->state == TN__LOG_FORWARDED);
        waiting->state = TN__LOG_WAITING;
        waiting->member = tn__log_self(log);
        waiting->stamp = 0;
        log->own.waiting++;
    }
    if (answered.begin < log->own.next) {
        log->own.next = answered.begin;
    }
    log->forward_at = tn__log_later(turn->now, log->options.heartbeat_ns);
    bool leads_not =
        message->reason == TN_LOG_REASON_NOT_LEADER || message->reason == TN_LOG_REASON_NO_LEADER;
    if (leads_not && log->leader == message->from) {
        log->leader = TN__LOG_NOBODY; /* until somebody is heard */
        log->leader_until = turn->now;
    }
    tn_assert(log->own.waiting > 0);
}

/* ---- Losing ---------------------------------------------------------------------------------- */

/* Tell of every forward that is lost, as far as there is room. */
static void lose(struct tn__log_turn *turn)
{
    struct tn_log *log = turn->log;
    struct tn_log_notice *last = NULL;
    log->losing = 0;
    for (uint64_t i = log->own.head; i < log->own.tail; i++) {
        struct tn__log_waiting *waiting = tn__log_waiting_at(log, &log->own, i);
        bool overdue = waiting->member == TN__LOG_NOBODY ||
                       tn__log_later(waiting->since, patience(log)) <= turn->now;
        if (waiting->state != TN__LOG_FORWARDED || !overdue) {
            continue;
        }
        if (last == NULL || last->number + last->count != waiting->number) {
            if (!tn__log_notices_room(turn)) {
                log->losing = 1;
                turn->left = true;
                break;
            }
            last = tn__log_notify(turn, TN_LOG_NOTICE_LOST, TN_LOG_REASON_NONE);
            last->number = waiting->number;
        }
        last->count++;
        tn__log_forget(log, tn__log_queue_take(&log->own, waiting));
    }
    tn__log_queue_trim(log, &log->own);
    tn_assert(log->losing == 0 || turn->left);
    tn_assert(log->own.count >= log->own.waiting);
}

void tn__log_forwards_lost(struct tn__log_turn *turn, uint32_t member)
{
    struct tn_log *log = turn->log;
    tn_assert(member < log->options.nodes_count);
    if (log->own.count == log->own.waiting) {
        return; /* nothing is under way */
    }
    for (uint64_t i = log->own.head; i < log->own.tail; i++) {
        struct tn__log_waiting *waiting = tn__log_waiting_at(log, &log->own, i);
        if (waiting->state == TN__LOG_FORWARDED && waiting->member == member) {
            waiting->member = TN__LOG_NOBODY;
            log->losing = 1;
        }
    }
    tn_assert(log->own.count > log->own.waiting);
}

/* ---- Forwarding ------------------------------------------------------------------------------ */

uint32_t tn__log_forward_target(const struct tn_log *log, tn_time now)
{
    uint32_t count = log->options.nodes_count;
    bool free_group = !tn__log_is_leased(log);
    bool known = log->leader != TN__LOG_NOBODY && (!free_group || now < log->leader_until);
    tn_assert(log->leader <= TN__LOG_NOBODY);
    if (known) {
        bool other = log->leader != tn__log_self(log) && log->peers[log->leader].restart_word != 0;
        return other ? log->leader : TN__LOG_NOBODY;
    }
    if (!free_group || tn__log_is_voter(log)) {
        return TN__LOG_NOBODY;
    }
    for (uint32_t i = 0; i < count; i++) { /* it has no vote, so it cannot lead: round about */
        uint32_t member = (uint32_t)((log->forwards + i) % count);
        if ((tn__log_now(log)->voters & tn__log_bit(member)) != 0 &&
            log->peers[member].restart_word != 0) {
            return member;
        }
    }
    tn_assert(count >= 1);
    return TN__LOG_NOBODY;
}

static bool may_forward(const struct tn_log *log, tn_time now)
{
    tn_assert(log->own.waiting <= log->own.count);
    return log->own.waiting > 0 && log->stopped == 0 && !tn__log_takes_guests(log, now) &&
           tn__log_forward_target(log, now) != TN__LOG_NOBODY;
}

static void forward_run(struct tn__log_turn *turn)
{
    struct tn_log *log = turn->log;
    uint32_t target = tn__log_forward_target(log, turn->now);
    struct tn__log_queue *queue = &log->own;
    uint32_t first = turn->effects->entries_count;
    uint64_t number = tn__log_waiting_at(log, queue, queue->next)->number;
    uint64_t bytes = 0;
    uint32_t count = 0;
    tn_assert(queue->waiting > 0);
    log->forwards++;
    for (uint64_t i = queue->next; i < queue->tail && count < TN_LOG_RUN_MAX; i++) {
        struct tn__log_waiting *waiting = tn__log_waiting_at(log, queue, i);
        bytes += waiting->value.bytes;
        if (waiting->state != TN__LOG_WAITING || waiting->number != number + count ||
            (count > 0 && bytes > TN__LOG_RUN_BYTES) || tn__log_entries_room(turn) == 0) {
            break;
        }
        tn__log_entry(turn, 0, (struct tn_log_ballot){0}, &waiting->value);
        waiting->state = TN__LOG_FORWARDED;
        waiting->member = target;
        waiting->stamp = log->forwards;
        waiting->since = turn->now;
        queue->waiting--;
        count++;
    }
    tn_assert(count > 0);
    log->counters.forwarded += count;
    struct tn_log_message *message = tn__log_send(turn, TN_LOG_FORWARD, tn__log_bit(target));
    tn__log_attach(turn, message, first);
    message->id = number;
    message->stamp = log->forwards;
    message->ballot = (struct tn_log_ballot){
        .node = log->options.nodes[target],
        .restart_word = log->peers[target].restart_word,
    };
    tn__log_queue_trim(log, queue);
}

/* The oldest place of `own`: a forward that is not answered, or NULL. */
static const struct tn__log_waiting *oldest_forward(const struct tn_log *log)
{
    tn_assert(log->own.head <= log->own.tail);
    if (log->own.head == log->own.tail) {
        return NULL;
    }
    const struct tn__log_waiting *head = tn__log_waiting_at(log, &log->own, log->own.head);
    tn_assert(head->state != TN__LOG_GONE);
    return head->state == TN__LOG_FORWARDED ? head : NULL;
}

void tn__log_forward_due(struct tn__log_turn *turn)
{
    struct tn_log *log = turn->log;
    const struct tn__log_waiting *oldest = oldest_forward(log);
    bool overdue = oldest != NULL && tn__log_later(oldest->since, patience(log)) <= turn->now;
    if (log->losing != 0 || overdue) {
        lose(turn);
    }
    if (may_forward(log, turn->now) && log->forward_at <= turn->now) {
        if (tn__log_entries_room(turn) == 0 || !tn__log_messages_room(turn, 1)) {
            turn->left = true;
            return;
        }
        forward_run(turn);
        turn->left = turn->left || may_forward(log, turn->now);
    }
    if (log->guests.waiting > 0 && !tn__log_takes_guests(log, turn->now)) {
        tn__log_refuse_guests(turn, TN_LOG_REASON_NO_LEADER);
    }
    tn_assert(log->own.waiting <= log->own.count);
}

tn_time tn__log_forward_deadline(const struct tn_log *log, tn_time now)
{
    tn_time deadline = may_forward(log, now) ? log->forward_at : TN_TIME_NEVER;
    const struct tn__log_waiting *oldest = oldest_forward(log);
    if (oldest != NULL) {
        deadline = tn__log_earlier(deadline, tn__log_later(oldest->since, patience(log)));
    }
    tn_assert(log->losing <= 1);
    return deadline;
}
