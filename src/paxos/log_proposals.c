/* Proposals on their way to a slot (N4, N5, N6), and the pump that puts them there.
 *
 * Two queues, both bounded in number and bytes: `own`, what was proposed at this node, and
 * `guests`, what others forwarded to it. A proposal is refused only while it is in no slot and in
 * no forward; once it is in a slot its origin is told which one and under which ballot. */
#include "base/assert.h"
#include "paxos/log_machine.h"

/* ---- Queues ---------------------------------------------------------------------------------- */

struct tn__log_waiting *tn__log_waiting_at(const struct tn_log *log,
                                           const struct tn__log_queue *queue, uint64_t index)
{
    struct tn__log_waiting *ring = tn__log_part(log, queue->at);
    tn_assert(index >= queue->head && index - queue->head < queue->capacity);
    return &ring[index & (queue->capacity - 1U)];
}

bool tn__log_queue_takes(const struct tn_log *log, const struct tn__log_queue *queue,
                         uint64_t bytes)
{
    tn_assert(queue->tail - queue->head <= queue->capacity);
    return queue->tail - queue->head < queue->capacity && queue->count < log->options.waiting_max &&
           (queue->count == 0 || queue->bytes + bytes <= log->options.waiting_bytes);
}

void tn__log_queue_put(struct tn_log *log, struct tn__log_queue *queue, uint32_t member,
                       uint64_t number, uint64_t stamp, const struct tn_log_value *value)
{
    tn_assert(queue->tail - queue->head < queue->capacity);
    tn_assert(value->kind != TN_LOG_VALUE_NONE);
    *tn__log_waiting_at(log, queue, queue->tail) = (struct tn__log_waiting){
        .number = number,
        .stamp = stamp,
        .value = *value,
        .member = member,
        .state = TN__LOG_WAITING,
    };
    queue->tail++;
    queue->bytes += value->bytes;
    queue->count++;
    queue->waiting++;
}

uint64_t tn__log_queue_take(struct tn__log_queue *queue, struct tn__log_waiting *waiting)
{
    tn_assert(waiting->state != TN__LOG_GONE);
    tn_assert(queue->count > 0 && queue->bytes >= waiting->value.bytes);
    uint64_t handle = waiting->value.handle;
    queue->count--;
    queue->waiting -= waiting->state == TN__LOG_WAITING ? 1 : 0;
    queue->bytes -= waiting->value.bytes;
    waiting->state = TN__LOG_GONE;
    waiting->value.handle = 0;
    return handle;
}

void tn__log_queue_trim(struct tn_log *log, struct tn__log_queue *queue)
{
    while (queue->head < queue->tail &&
           tn__log_waiting_at(log, queue, queue->head)->state == TN__LOG_GONE) {
        queue->head++;
    }
    queue->next = tn__log_larger(queue->next, queue->head);
    while (queue->next < queue->tail &&
           tn__log_waiting_at(log, queue, queue->next)->state != TN__LOG_WAITING) {
        queue->next++;
    }
    tn_assert(queue->head <= queue->next && queue->next <= queue->tail);
    tn_assert(queue->waiting > 0 || queue->next == queue->tail);
    if (queue->head == queue->tail) { /* from the beginning, which the processor still knows */
        queue->head = 0;
        queue->next = 0;
        queue->tail = 0;
    }
}

/* ---- What the caller asks -------------------------------------------------------------------- */

static void refuse_number(struct tn__log_turn *turn, uint64_t number, uint32_t count,
                          enum tn_log_reason reason)
{
    tn_assert(count >= 1);
    struct tn_log_notice *notice = tn__log_notify(turn, TN_LOG_NOTICE_REFUSED, reason);
    notice->number = number;
    notice->count = count;
    if (reason == TN_LOG_REASON_BUSY) {
        turn->log->counters.busy += count;
    } else {
        turn->log->counters.refused += count;
    }
}

void tn__log_on_propose(struct tn__log_turn *turn)
{
    struct tn_log *log = turn->log;
    const struct tn_log_event *event = turn->event;
    tn_assert(event->entries_count >= 1 && event->entries_count <= TN_LOG_RUN_MAX);
    tn_assert(event->number >= 1);
    uint32_t taken = 0;
    enum tn_log_reason reason = TN_LOG_REASON_BUSY;
    if (log->stopped != 0) {
        reason = TN_LOG_REASON_STOPPED;
    } else if (log->full != 0 && tn__log_takes_guests(log, turn->now)) {
        reason = TN_LOG_REASON_DISK_FULL; /* W4 */
    } else {
        while (taken < event->entries_count &&
               tn__log_queue_takes(log, &log->own, event->entries[taken].value.bytes)) {
            tn__log_queue_put(log, &log->own, tn__log_self(log), event->number + taken, 0,
                              &event->entries[taken].value);
            taken++;
        }
    }
    if (taken < event->entries_count) { /* N6 */
        tn__log_forget_entries(turn, taken);
        refuse_number(turn, event->number + taken, event->entries_count - taken, reason);
    }
}

uint64_t tn__log_own_find(const struct tn_log *log, uint64_t number)
{
    uint64_t low = log->own.head;
    uint64_t high = log->own.tail;
    tn_assert(low <= high);
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (tn__log_waiting_at(log, &log->own, middle)->number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    tn_assert(low <= log->own.tail);
    return low;
}

void tn__log_on_cancel(struct tn__log_turn *turn)
{
    struct tn_log *log = turn->log;
    uint64_t index = tn__log_own_find(log, turn->event->number);
    if (index == log->own.tail) {
        return;
    }
    struct tn__log_waiting *waiting = tn__log_waiting_at(log, &log->own, index);
    if (waiting->number != turn->event->number || waiting->state != TN__LOG_WAITING) {
        return; /* N4: it is in a slot or under way: its outcome is not ours to tell */
    }
    tn__log_forget(log, tn__log_queue_take(&log->own, waiting));
    refuse_number(turn, turn->event->number, 1, TN_LOG_REASON_CANCELLED);
    tn__log_queue_trim(log, &log->own);
}

void tn__log_refuse_own(struct tn__log_turn *turn, enum tn_log_reason reason)
{
    struct tn_log *log = turn->log;
    struct tn_log_notice *last = NULL;
    for (uint64_t i = log->own.next; i < log->own.tail && log->own.waiting > 0; i++) {
        struct tn__log_waiting *waiting = tn__log_waiting_at(log, &log->own, i);
        if (waiting->state != TN__LOG_WAITING) {
            continue;
        }
        bool follows = last != NULL && last->number + last->count == waiting->number;
        if (!follows && !tn__log_notices_room(turn)) {
            turn->left = true;
            break;
        }
        if (follows) {
            last->count++;
            log->counters.refused++;
        } else {
            refuse_number(turn, waiting->number, 1, reason);
            last = &turn->effects->notices[turn->effects->notices_count - 1];
        }
        tn__log_forget(log, tn__log_queue_take(&log->own, waiting));
    }
    tn__log_queue_trim(log, &log->own);
    tn_assert(turn->left || log->own.waiting == 0);
}

/* ---- The pump -------------------------------------------------------------------------------- */

/* Proposals that followed each other in their queue and went into slots that follow each other. */
struct assigned {
    const struct tn__log_queue *queue;
    uint64_t number;
    uint64_t stamp;
    uint64_t slot;
    uint32_t member;
    uint32_t count;
};

/* Tell the origin which slots they went into. */
static void tell_assigned(struct tn__log_turn *turn, struct assigned *assigned)
{
    struct tn_log *log = turn->log;
    if (assigned->count == 0) {
        return;
    }
    tn_assert(assigned->slot + assigned->count <= log->proposer.next);
    if (assigned->member == tn__log_self(log)) {
        struct tn_log_notice *notice =
            tn__log_notify(turn, TN_LOG_NOTICE_ASSIGNED, TN_LOG_REASON_NONE);
        notice->number = assigned->number;
        notice->count = assigned->count;
        notice->slot = assigned->slot;
        notice->ballot = log->proposer.ballot;
    } else {
        struct tn_log_message *message =
            tn__log_send(turn, TN_LOG_ASSIGNED, tn__log_bit(assigned->member));
        message->id = assigned->number;
        message->count = assigned->count;
        message->slot = assigned->slot;
        message->stamp = assigned->stamp;
        message->ballot = log->proposer.ballot;
        log->peers[assigned->member].wanted = assigned->slot + assigned->count - 1;
    }
    assigned->count = 0;
    tn_assert(assigned->member < log->options.nodes_count);
}

static void note_assigned(struct tn__log_turn *turn, struct assigned *assigned,
                          const struct tn__log_waiting *waiting, uint64_t slot)
{
    bool follows = assigned->count > 0 && assigned->member == waiting->member &&
                   assigned->stamp == waiting->stamp &&
                   assigned->number + assigned->count == waiting->number;
    tn_assert(slot + 1 == turn->log->proposer.next);
    if (!follows) {
        tell_assigned(turn, assigned);
        *assigned = (struct assigned){.number = waiting->number,
                                      .stamp = waiting->stamp,
                                      .slot = slot,
                                      .member = waiting->member};
    }
    assigned->count++;
    tn_assert(assigned->slot + assigned->count == slot + 1);
}

/* Propose in the next slot and accept it here (N3); NULL: the value that Phase 1 found. */
static void put_in_slot(struct tn__log_turn *turn, const struct tn_log_value *value)
{
    struct tn_log *log = turn->log;
    uint64_t slot = log->proposer.next;
    bool fits = tn__log_make_room(log, slot);
    tn_assert(fits); /* retain_slots is at least twice the window */
    const struct tn_log_value *proposed =
        tn__log_proposer_propose(&log->proposer, tn__log_proposals(log), value);
    uint64_t forgotten = 0;
    enum tn__log_verdict verdict =
        tn__log_acceptor_accept(&log->acceptor, tn__log_slots(log), log->proposer.ballot, slot,
                                proposed, tn__log_committed(log), &forgotten);
    tn_assert(verdict == TN__LOG_ACCEPTED || verdict == TN__LOG_RESOLVED);
    tn__log_forget(log, forgotten);
    log->proposed_sum += proposed->bytes;
    *tn__log_sum(log, slot) = log->proposed_sum;
    log->counters.proposed++;
    tn__log_entry(turn, slot, log->proposer.ballot, proposed);
}

/* May a value of so many bytes be added to the run that began at `first`? */
static bool run_takes(const struct tn__log_turn *turn, uint32_t first, uint64_t start_sum,
                      uint64_t bytes)
{
    const struct tn_log *log = turn->log;
    uint64_t in_flight = log->proposed_sum - log->committed_sum;
    uint32_t count = turn->effects->entries_count - first;
    tn_assert(log->proposed_sum >= log->committed_sum);
    tn_assert(count <= TN_LOG_RUN_MAX);
    /* Others may commit without this node's disk; it is not left behind without bound. */
    uint64_t synced = log->peers[tn__log_self(log)].acknowledged;
    if (log->proposer.next - synced > log->acceptor.capacity ||
        (log->proposer.next > synced + 1 &&
         log->proposed_sum - *tn__log_sum(log, synced) + bytes > log->options.window_bytes)) {
        return false;
    }
    if (in_flight != 0 && in_flight + bytes > log->options.window_bytes) {
        return false; /* N3 */
    }
    return count < TN_LOG_RUN_MAX && tn__log_entries_room(turn) > 0 &&
           (count == 0 || log->proposed_sum - start_sum + bytes <= TN__LOG_RUN_BYTES);
}

static enum tn__log_next next_of(struct tn_log *log)
{
    tn_assert(log->proposer.phase == TN__LOG_LEADING);
    return tn__log_proposer_next(&log->proposer, tn__log_proposals(log), &log->configurations,
                                 tn__log_committed(log));
}

/* M3: what Phase 1 reported, and no-ops for its holes. */
static void pump_reported(struct tn__log_turn *turn, uint32_t first, uint64_t start_sum)
{
    struct tn_log *log = turn->log;
    while (next_of(log) == TN__LOG_NEXT_REPORTED) {
        const struct tn_log_value *value =
            &tn__log_proposal_at(&log->proposer, tn__log_proposals(log), log->proposer.next)->value;
        tn_assert(value->kind != TN_LOG_VALUE_NONE);
        if (!run_takes(turn, first, start_sum, value->bytes)) {
            turn->left = turn->left || turn->effects->entries_count > first;
            return;
        }
        bool hole = value->kind == TN_LOG_VALUE_NOOP;
        log->counters.noops += hole ? 1 : 0;
        log->counters.reproposed += hole ? 0 : 1;
        put_in_slot(turn, NULL);
    }
    tn_assert(log->proposer.next > tn__log_committed(log));
}

/* At most `most` proposals of a queue. */
static void pump_queue(struct tn__log_turn *turn, struct tn__log_queue *queue, uint32_t first,
                       uint64_t start_sum, uint32_t most)
{
    struct tn_log *log = turn->log;
    struct assigned assigned = {0};
    tn__log_queue_trim(log, queue);
    while (queue->waiting > 0 && most > 0 && next_of(log) == TN__LOG_NEXT_FREE) {
        struct tn__log_waiting *waiting = tn__log_waiting_at(log, queue, queue->next);
        tn_assert(waiting->state == TN__LOG_WAITING);
        if (!run_takes(turn, first, start_sum, waiting->value.bytes)) {
            turn->left = turn->left || turn->effects->entries_count > first;
            break;
        }
        if (!tn__log_notices_room(turn) ||
            !tn__log_messages_room(turn, 2 + log->options.nodes_count)) {
            turn->left = true;
            break;
        }
        uint64_t slot = log->proposer.next;
        put_in_slot(turn, &waiting->value);
        note_assigned(turn, &assigned, waiting, slot);
        (void)tn__log_queue_take(queue, waiting); /* the reference is the slot's now */
        tn__log_queue_trim(log, queue);
        most--;
    }
    turn->left = turn->left || (most == 0 && queue->waiting > 0);
    tell_assigned(turn, &assigned);
}

/* Reads 3: a reader waits for slots that nobody proposes anything for. */
static void pump_resolve(struct tn__log_turn *turn, uint32_t first, uint64_t start_sum)
{
    struct tn_log *log = turn->log;
    struct tn_log_value noop = {.kind = TN_LOG_VALUE_NOOP};
    while (log->proposer.next <= log->resolve_upto && next_of(log) == TN__LOG_NEXT_FREE) {
        if (!run_takes(turn, first, start_sum, 0)) {
            turn->left = turn->left || turn->effects->entries_count > first;
            return;
        }
        log->counters.resolved++;
        put_in_slot(turn, &noop);
    }
    tn_assert(noop.handle == 0);
}

/* The run that was put into slots: a record, the own vote, and who it goes to. */
static void send_pumped(struct tn__log_turn *turn, uint32_t first, uint64_t start)
{
    struct tn_log *log = turn->log;
    tn_assert(log->proposer.next - start == turn->effects->entries_count - first);
    uint64_t write = tn__log_record(turn, TN_LOG_RECORD_ACCEPT, first);
    struct tn_log_message *vote =
        tn__log_send(turn, TN_LOG_ACCEPTED, tn__log_bit(tn__log_self(log)));
    vote->ballot = log->proposer.ballot;
    vote->slot = start;
    vote->slot_end = log->proposer.next;
    vote->after = write; /* N3: the own vote counts after the own sync */
    tn__log_followers_send(turn, first);
    tn_assert(vote->slot < vote->slot_end);
}

void tn__log_pump(struct tn__log_turn *turn)
{
    struct tn_log *log = turn->log;
    if (!tn__log_may_propose(log, turn->now)) {
        return;
    }
    if (tn__log_entries_room(turn) == 0) {
        turn->left = true;
        return;
    }
    uint32_t first = turn->effects->entries_count;
    uint64_t start = log->proposer.next;
    uint64_t start_sum = log->proposed_sum;
    pump_reported(turn, first, start_sum);
    struct tn__log_queue *one = log->guests_turn != 0 ? &log->guests : &log->own;
    struct tn__log_queue *other = log->guests_turn != 0 ? &log->own : &log->guests;
    uint32_t half = other->waiting > 0 ? TN_LOG_RUN_MAX / 2 : TN_LOG_RUN_MAX;
    pump_queue(turn, one, first, start_sum, half);
    pump_queue(turn, other, first, start_sum, TN_LOG_RUN_MAX);
    pump_resolve(turn, first, start_sum);
    if (turn->effects->entries_count > first) {
        log->guests_turn ^= 1U;
        send_pumped(turn, first, start);
    }
    tn_assert(log->proposer.next >= start);
}
