/* A log's machine: memory, restoring, the step that only dispatches, and the deadline.
 * log_machine.h maps the files and walks one write through them.
 *
 * What it relies on from its caller (log.h): `now` never falls and is read after the event's bytes
 * have left the socket; effects are carried out in their order, messages not before their `after`;
 * a message's sender is who its connection proved it to be. */
#include <tenure/log.h>

#include <string.h>

#include "base/assert.h"
#include "paxos/log_machine.h"

#define ALIGNMENT 64U

/* ---- Memory ---------------------------------------------------------------------------------- */

/* Where each ring lies behind struct tn_log, and how long it is. */
struct layout {
    uint64_t slots;
    uint64_t proposals;
    uint64_t sums;
    uint64_t own;
    uint64_t guests;
    uint64_t reads;
    uint64_t forgets;
    uint64_t end;
    uint32_t queue_capacity;
    uint32_t forgets_capacity;
};

static uint64_t aligned(uint64_t bytes)
{
    return (bytes + ALIGNMENT - 1) & ~(uint64_t)(ALIGNMENT - 1);
}

static struct layout layout_of(const struct tn_log_options *options)
{
    uint64_t capacity = options->retain_slots;
    struct layout layout = {.queue_capacity = 1};
    tn_assert(capacity >= 1 && options->waiting_max >= 1);
    while (layout.queue_capacity < options->waiting_max) {
        layout.queue_capacity *= 2;
    }
    /* Every handle: in a slot, a proposal or a queue, or of the event at hand. */
    layout.forgets_capacity =
        2 * options->retain_slots + 2 * layout.queue_capacity + 2 * TN_LOG_RUN_MAX;
    layout.slots = aligned(sizeof(struct tn_log));
    layout.proposals = layout.slots + aligned(capacity * sizeof(struct tn__log_slot));
    layout.sums = layout.proposals + aligned(capacity * sizeof(struct tn__log_proposal));
    layout.own = layout.sums + aligned(2 * capacity * sizeof(uint64_t));
    uint64_t queue_bytes = aligned(layout.queue_capacity * sizeof(struct tn__log_waiting));
    layout.guests = layout.own + queue_bytes;
    layout.reads = layout.guests + queue_bytes;
    layout.forgets = layout.reads + aligned(TN__LOG_READS_MAX * sizeof(uint64_t));
    layout.end = layout.forgets + aligned(layout.forgets_capacity * sizeof(uint64_t));
    tn_assert(layout.end > layout.forgets);
    return layout;
}

size_t tn_log_size(const struct tn_log_options *options)
{
    tn_assert(options->restart_word != 0); /* completed */
    tn_assert(options->retain_slots >= 2 * options->window_slots);
    return layout_of(options).end;
}

static void place_rings(struct tn_log *log)
{
    struct layout layout = layout_of(&log->options);
    log->slots_at = layout.slots;
    log->proposals_at = layout.proposals;
    log->sums_at = layout.sums;
    log->own = (struct tn__log_queue){.at = layout.own, .capacity = layout.queue_capacity};
    log->guests = (struct tn__log_queue){.at = layout.guests, .capacity = layout.queue_capacity};
    log->reads.at = layout.reads;
    log->forgets_at = layout.forgets;
    log->forgets_capacity = layout.forgets_capacity;
    tn_assert(log->own.capacity >= log->options.waiting_max);
}

static void begin_quietly(struct tn_log *log)
{
    log->prepare_at = TN_TIME_NEVER;
    log->behind_since = TN_TIME_NEVER;
    log->fetch_at = TN_TIME_NEVER;
    log->leader = TN__LOG_NOBODY;
    log->fetch_from = TN__LOG_NOBODY;
    log->shown_leader = TN__LOG_NOBODY;
    for (uint32_t i = 0; i <= TN_LOG_NODES_MAX; i++) {
        log->peers[i].next = 1;
        log->peers[i].resend_at = TN_TIME_NEVER;
    }
    log->peers[log->options.self].restart_word = log->options.restart_word;
    tn_assert(log->stopped == 0);
}

/* N4: stamps rise from incarnation to incarnation, and within one from opening to opening: nobody
 * forwards a million times a second for long. */
static uint64_t first_stamp(uint64_t restart_word, tn_time now)
{
    tn_assert(restart_word != 0);
    return (restart_word >> 32 << 44) + now / TN_MICROSECOND;
}

struct tn_log *tn_log_init(void *memory, const struct tn_log_options *options,
                           const struct tn_log_recovered *recovered, tn_time now)
{
    tn_assert(((uintptr_t)memory & (ALIGNMENT - 1)) == 0);
    tn_assert(options->self < options->nodes_count && options->voters != 0);
    struct tn_log *log = memory;
    log->options = *options;
    place_rings(log);
    struct tn__log_configuration first = {
        .first_slot = 1,
        .voters = options->voters,
        .learners = options->learners,
        .version = 1,
        .window_slots = options->window_slots,
        .mode = options->mode,
        .mode_number = options->mode_number,
    };
    tn__log_configurations_init(&log->configurations, &first);
    tn__log_acceptor_init(&log->acceptor, options->retain_slots, recovered->promise,
                          recovered->committed);
    /* Room for what peers that lag may ask for, half of the ring: tn_log_restore() fills it. */
    uint64_t half = options->retain_slots / 2;
    uint64_t lowest = recovered->committed > half ? recovered->committed - half + 1 : 1;
    log->retained = tn__log_larger(recovered->retained, 1);
    lowest = tn__log_larger(lowest, log->retained);
    tn__log_acceptor_reach_down(&log->acceptor, tn__log_earlier(lowest, recovered->committed + 1));
    tn__log_proposer_init(&log->proposer, options->retain_slots);
    log->learner.committed = recovered->committed;
    log->learner.checksum = recovered->checksum;
    log->applied = recovered->applied;
    log->durable = recovered->committed;
    log->marked_committed = recovered->committed;
    log->seen = recovered->promise;
    log->damaged = recovered->damaged;
    log->damaged_upto = recovered->damaged_upto;
    log->random = options->restart_word;
    log->forwards = first_stamp(options->restart_word, now);
    begin_quietly(log);
    log->shown_state = (uint32_t)tn__log_state(log);
    tn_assert(log->damaged <= 2);
    log->deadline = now; /* its first step looks about */
    return log;
}

/* A configuration below the committed prefix tells who governs what follows (G2). */
static void restore_configuration(struct tn_log *log, const struct tn_log_entry *entry)
{
    tn_assert(entry->slot <= tn__log_committed(log));
    if (entry->value.kind == TN_LOG_VALUE_CONFIGURATION) {
        (void)tn__log_configuration_learn(&log->configurations, entry->slot, &entry->value);
        tn__log_configuration_trim(&log->configurations, tn__log_committed(log) + 1);
    }
}

bool tn_log_restore(struct tn_log *log, const struct tn_log_entry *entry, uint64_t *forgotten)
{
    struct tn__log_acceptor *acceptor = &log->acceptor;
    struct tn__log_slot *slots = tn__log_slots(log);
    uint64_t committed = tn__log_committed(log);
    *forgotten = 0;
    tn_assert(entry->slot >= 1 && entry->value.kind != TN_LOG_VALUE_NONE);
    if (entry->slot <= committed) {
        restore_configuration(log, entry);
    }
    if (entry->slot < acceptor->first || tn_log_ballot_is_none(entry->ballot)) {
        return false;
    }
    if (!tn__log_make_room(log, entry->slot)) {
        /* An accepted slot that cannot be kept is a vote that would be forgotten: it counts as
         * damage (W3). It happens when the ring was made smaller between two runs. */
        log->damaged = log->damaged == 0 ? 1 : log->damaged;
        log->damaged_upto = tn__log_larger(log->damaged_upto, entry->slot);
        return false;
    }
    if (entry->slot <= committed) {
        if (tn__log_acceptor_holds(acceptor, slots, entry->slot)) {
            log->retained_bytes -= tn__log_slot_at(acceptor, slots, entry->slot)->value.bytes;
        }
        log->retained_bytes += entry->value.bytes;
    }
    tn__log_acceptor_learn(acceptor, slots, entry->slot, entry->ballot, &entry->value, forgotten);
    tn_assert(tn__log_acceptor_holds(acceptor, slots, entry->slot));
    return true;
}

/* ---- Settling -------------------------------------------------------------------------------- */

/* C3, V2: it neither votes nor learns; who waits here is told. */
static void settle_stopped(struct tn__log_turn *turn)
{
    struct tn_log *log = turn->log;
    tn_assert(log->proposer.phase == TN__LOG_IDLE);
    for (uint32_t i = 0; i < log->options.nodes_count; i++) {
        tn__log_forwards_lost(turn, i);
    }
    tn__log_forward_due(turn); /* tells them */
    tn__log_refuse_own(turn, TN_LOG_REASON_STOPPED);
    tn__log_reads_fail(turn, TN_LOG_REASON_STOPPED);
    tn_assert(log->stopped != 0);
}

/* Every slot that is committed by now is in a record up to the newest one. */
static void settle_durable(struct tn_log *log)
{
    if (log->written >= log->marked_write) {
        log->durable = tn__log_larger(log->durable, log->marked_committed);
        log->marked_write = log->writes;
        log->marked_committed = tn__log_committed(log);
    }
    tn_assert(log->durable <= tn__log_committed(log));
}

/* Reads 4. */
static void settle_age(struct tn_log *log)
{
    if (log->fresh_stamp != 0 && log->fresh_slot <= tn__log_committed(log)) {
        log->fresh_at = tn__log_larger(log->fresh_at, log->fresh_stamp);
        log->fresh_stamp = 0;
    }
    tn_assert(log->fresh_stamp == 0 || log->fresh_slot > tn__log_committed(log));
}

/* Whether proposals are in flight changes all the time: that is in status only. */
static void show_state(struct tn__log_turn *turn)
{
    struct tn_log *log = turn->log;
    enum tn_log_state state = tn__log_state(log);
    uint32_t shown = state == TN_LOG_STATE_UPDATING ? TN_LOG_STATE_ACTIVE : (uint32_t)state;
    if (shown == log->shown_state && log->leader == log->shown_leader) {
        return;
    }
    if (turn->effects->notices_count == TN_LOG_EFFECT_NOTICES_MAX) {
        turn->left = true;
        return;
    }
    log->shown_state = shown;
    log->shown_leader = log->leader;
    struct tn_log_notice *notice = tn__log_notify(turn, TN_LOG_NOTICE_STATE, log->stopped);
    notice->node = log->leader < log->options.nodes_count ? log->options.nodes[log->leader] : 0;
    notice->slot = tn__log_committed(log);
    notice->ballot = log->leader_seen;
    tn_assert(state >= TN_LOG_STATE_FOLLOWER);
}

/* What has become durable with the step's last record: everything committed by now (records become
 * durable in order, and each committed slot is in one of them). */
static void finish_records(struct tn__log_turn *turn)
{
    struct tn_log_effects *effects = turn->effects;
    if (effects->records_count > 0) {
        struct tn_log_record *last = &effects->records[effects->records_count - 1];
        tn_assert(last->write == turn->log->writes);
        tn_assert(last->committed <= tn__log_committed(turn->log));
        last->committed = tn__log_committed(turn->log);
        last->checksum = turn->log->learner.checksum;
    }
}

/* ---- Steadiness ------------------------------------------------------------------------------ */

/* While all goes well, most of what a step may have made possible cannot be: who leads and who
 * governs is as it was, nobody reads, nothing is forwarded. It is not looked for then: that looks
 * at the whole machine, and with many groups none of it is in the processor. */
enum steadiness {
    UNSTEADY = 0,
    STEADY_LEADER,
    STEADY_FOLLOWER,
};

/* Of a step that began calm (is_calm()), and has committed what it could. */
static enum steadiness steadiness_of(const struct tn__log_turn *turn)
{
    const struct tn_log *log = turn->log;
    const struct tn_log_event *event = turn->event;
    bool is_message = event->kind == TN_LOG_EVENT_MESSAGE;
    bool same = log->configurations.count == 1 &&
                log->configurations.list[0].version == turn->version && log->full == 0 &&
                log->losing == 0 && log->stopped == 0 && log->guests.waiting == 0 &&
                log->own.count == log->own.waiting && /* nothing is forwarded */
                log->shown_leader == log->leader && log->fetch_at == TN_TIME_NEVER;
    if (!same) {
        return UNSTEADY;
    }
    if (log->proposer.phase == TN__LOG_LEADING) {
        bool usual = event->kind == TN_LOG_EVENT_PROPOSE ||
                     (is_message && event->message->kind == TN_LOG_ACCEPTED);
        return usual && log->shown_state == TN_LOG_STATE_ACTIVE &&
                       log->prepare_at == TN_TIME_NEVER && log->heartbeat_last != 0
                   ? STEADY_LEADER
                   : UNSTEADY;
    }
    tn_assert(log->proposer.phase == TN__LOG_IDLE);
    return is_message && event->message->kind == TN_LOG_ACCEPT &&
                   log->shown_state == TN_LOG_STATE_FOLLOWER && log->tenure_end == 0 &&
                   log->own.count == 0 && log->resolve_upto <= tn__log_committed(log)
               ? STEADY_FOLLOWER
               : UNSTEADY;
}

/* What has become possible. */
static void settle_work(struct tn__log_turn *turn, enum steadiness steadiness)
{
    tn_assert(turn->log->stopped == 0);
    if (steadiness == UNSTEADY) {
        tn__log_advanced(turn);
    }
    tn__log_shrink(turn);
    if (steadiness == UNSTEADY) {
        tn__log_role_due(turn);
    }
    if (steadiness != STEADY_FOLLOWER) {
        tn__log_pump(turn);
        tn__log_followers_due(turn);
    }
    if (steadiness == UNSTEADY) {
        tn__log_forward_due(turn);
    }
    if (steadiness != STEADY_LEADER) {
        tn__log_catch_up_due(turn);
    }
    tn__log_poll_due(turn);
    if (steadiness == UNSTEADY) {
        tn__log_reads_due(turn);
    }
}

static void note_deadline(struct tn__log_turn *turn, enum steadiness steadiness)
{
    struct tn_log *log = turn->log;
    if (turn->left) {
        log->deadline = 0;
        return;
    }
    tn_time deadline = TN_TIME_NEVER;
    if (steadiness == STEADY_FOLLOWER) {
        deadline = tn__log_catch_up_deadline(log);
    } else if (steadiness == STEADY_LEADER) {
        deadline = tn__log_followers_deadline(log);
        if (log->tenure_end != 0 && tn__log_is_leased(log)) {
            deadline = tn__log_earlier(deadline, log->tenure_end);
        }
    } else if (log->stopped == 0) {
        deadline = tn__log_leader_deadline(log);
        deadline = tn__log_earlier(deadline, tn__log_followers_deadline(log));
        deadline = tn__log_earlier(deadline, tn__log_forward_deadline(log, turn->now));
        deadline = tn__log_earlier(deadline, tn__log_catch_up_deadline(log));
        deadline = tn__log_earlier(deadline, tn__log_reads_deadline(log));
    }
    log->deadline = deadline;
    tn_assert(log->forgets_count == 0);
}

static void settle(struct tn__log_turn *turn, bool calm)
{
    struct tn_log *log = turn->log;
    enum steadiness steadiness = UNSTEADY;
    if (log->stopped == 0) {
        tn__log_commit(turn);
        steadiness = calm ? steadiness_of(turn) : UNSTEADY;
        settle_work(turn, steadiness);
        settle_age(log);
        settle_durable(log);
    } else {
        settle_stopped(turn);
    }
    if (steadiness == UNSTEADY) {
        show_state(turn);
    }
    finish_records(turn);
    tn__log_flush_forgets(turn);
    note_deadline(turn, steadiness);
    tn_assert(log->written <= log->writes);
}

/* ---- Little to settle ------------------------------------------------------------------------ */

/* May only what the event itself has changed be due? What else was possible when the last step
 * ended was done then: since, no time has come, and no work was left over. */
static bool is_calm(const struct tn_log *log, tn_time now)
{
    tn_assert(log->retired <= 1);
    bool over = log->tenure_end != 0 && log->tenure_end <= now; /* no deadline while it is idle */
    return now < log->deadline && !over && log->stopped == 0 && log->damaged == 0 &&
           log->retired == 0 && log->losing == 0 && log->proposer.phase != TN__LOG_PREPARING &&
           log->behind_since == TN_TIME_NEVER && log->fetch_at == TN_TIME_NEVER &&
           log->reads.phase == TN__LOG_ROUND_NONE && log->reads.head == log->reads.tail;
}

/* A vote that commits nothing, of a member that is sent nothing more, while nothing waits for a
 * slot. */
static bool is_mere_vote(const struct tn__log_turn *turn)
{
    const struct tn_log *log = turn->log;
    const struct tn_log_effects *effects = turn->effects;
    uint32_t from = turn->event->message->from;
    bool is_said = effects->messages_count + effects->notices_count + effects->records_count > 0;
    tn_assert(effects->entries_count == 0 && effects->commit_count == 0);
    return !is_said && log->stopped == 0 && log->losing == 0 && from < log->options.nodes_count &&
           tn__log_leads(log) && log->peers[from].next == log->proposer.next &&
           log->own.waiting == 0 && log->guests.waiting == 0 &&
           log->proposer.next > log->proposer.reported && log->proposer.next > log->resolve_upto &&
           !tn__log_commit_waits(log);
}

/* True: all of settle() that could do anything is done. */
static bool settle_little(struct tn__log_turn *turn)
{
    const struct tn_log_event *event = turn->event;
    if (event->kind == TN_LOG_EVENT_WRITTEN) {
        settle_durable(turn->log);
        return true; /* and the deadline is as it was */
    }
    if (event->kind == TN_LOG_EVENT_MESSAGE && event->message->kind == TN_LOG_ACCEPTED &&
        is_mere_vote(turn)) {
        note_deadline(turn, steadiness_of(turn));
        if (turn->log->deadline <= turn->now) {
            return false; /* it was the first word of a new incarnation */
        }
        settle_durable(turn->log);
        return true;
    }
    tn_assert(!turn->left);
    return false;
}

/* ---- The step -------------------------------------------------------------------------------- */

static void on_written(struct tn__log_turn *turn)
{
    struct tn_log *log = turn->log;
    tn_assert(turn->event->number <= log->writes);
    log->written = tn__log_larger(log->written, turn->event->number);
}

static void on_applied(struct tn__log_turn *turn)
{
    struct tn_log *log = turn->log;
    log->applied = tn__log_larger(log->applied, turn->event->number);
    tn_assert(log->applied >= turn->event->number);
}

static void on_store_full(struct tn__log_turn *turn)
{
    struct tn_log *log = turn->log;
    bool full = turn->event->number != 0;
    tn_assert(log->full <= 1);
    if (full && log->full == 0) {
        tn__log_incident(turn, TN_LOG_REASON_DISK_FULL, log->options.nodes[tn__log_self(log)]);
    }
    log->full = full;
}

static void dispatch(struct tn__log_turn *turn)
{
    switch (turn->event->kind) {
    case TN_LOG_EVENT_MESSAGE:
        tn__log_on_message(turn);
        break;
    case TN_LOG_EVENT_TIMER:
        break; /* settle() looks at everything that is due */
    case TN_LOG_EVENT_WRITTEN:
        on_written(turn);
        break;
    case TN_LOG_EVENT_WRITE_FAILED:
        tn__log_stop(turn, TN_LOG_REASON_DISK_FAILED); /* V3, W2: final */
        break;
    case TN_LOG_EVENT_PROPOSE:
        tn__log_on_propose(turn);
        break;
    case TN_LOG_EVENT_CANCEL:
        tn__log_on_cancel(turn);
        break;
    case TN_LOG_EVENT_READ:
        tn__log_on_read_event(turn);
        break;
    case TN_LOG_EVENT_TENURE:
        tn__log_on_tenure(turn);
        break;
    case TN_LOG_EVENT_LEADER:
        tn__log_on_leader(turn);
        break;
    case TN_LOG_EVENT_CONNECTED:
        tn__log_on_connected(turn);
        break;
    case TN_LOG_EVENT_APPLIED:
        on_applied(turn);
        break;
    case TN_LOG_EVENT_STORE_FULL:
        on_store_full(turn);
        break;
    default:
        tn_assert(turn->event->kind == TN_LOG_EVENT_RETAIN);
        turn->log->retained = tn__log_larger(turn->log->retained, turn->event->number);
        break;
    }
}

void tn_log_step(struct tn_log *log, const struct tn_log_event *event,
                 struct tn_log_effects *effects)
{
    struct tn__log_turn turn = {.log = log,
                                .event = event,
                                .effects = effects,
                                .now = event->now,
                                .version = log->configurations.list[0].version};
    tn_assert(log != NULL && effects != NULL);
    tn_assert(event->kind >= TN_LOG_EVENT_MESSAGE && event->kind <= TN_LOG_EVENT_RETAIN);
    effects->entries_count = 0;
    effects->records_count = 0;
    effects->messages_count = 0;
    effects->notices_count = 0;
    effects->loads_count = 0;
    effects->forgets_count = 0;
    effects->commit_first = 0;
    effects->commit_count = 0;
    log->random ^= event->random;
    bool calm = is_calm(log, event->now);
    dispatch(&turn);
    if (!calm || !settle_little(&turn)) {
        settle(&turn, calm);
    }
}

tn_time tn_log_deadline(const struct tn_log *log)
{
    tn_assert(log != NULL);
    return log->deadline;
}
