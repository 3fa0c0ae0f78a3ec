/* The lease machine: memory, effects, and the step, which only dispatches. lease_machine.h maps the
 * files and walks one renewal through them.
 *
 * What it relies on from its caller (event.h): `now` never falls and is read after the event's
 * bytes have left the socket; effects are carried out in order of `after`; a frame's sender is who
 * its connection proved it to be. */
#include <tenure/lease.h>

#include <string.h>

#include "base/assert.h"
#include "base/random.h"
#include "paxos/lease_machine.h"
#include "paxos/quorum.h"

#define ALIGNMENT 64U
#define INCIDENT_INTERVAL_NS TN_SECOND
#define CEILING_RETRY_NS TN_SECOND

/* Messages and notices kept free for what a step does besides its items: one request's worth of
 * messages, and one incident for each reason. */
#define ROOM_BESIDES 16U

/* Items of a frame that are looked up together: enough to hide a memory access behind the others.
 */
#define ITEMS_AT_ONCE 16U

static size_t aligned(size_t bytes)
{
    return (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

size_t tn_lease_size(const struct tn_lease_options *options)
{
    tn_assert(options->tables_count >= 1 && options->tables_count <= TN_TABLES_MAX);
    size_t bytes = aligned(sizeof(struct tn_lease));
    for (uint32_t i = 0; i < options->tables_count; i++) {
        bytes += aligned(sizeof(struct tn__lease_table));
        bytes += tn__lease_table_bytes(&options->tables[i]);
    }
    return bytes;
}

static void init_tables(struct tn_lease *lease, const struct tn_lease_options *options, tn_time now)
{
    char *at = (char *)lease + aligned(sizeof(*lease));
    for (uint32_t i = 0; i < options->tables_count; i++) {
        struct tn__lease_table *table = (void *)at;
        char *arrays = at + aligned(sizeof(*table));
        tn__lease_table_init(table, arrays, &options->tables[i], options->random + i);
        table->durations = tn_lease_durations_digest(&options->tables[i], options->drift_ppm);
        /* A4; and a change of durations waits out the larger of old and new. */
        table->quarantine_ns = options->former_quarantine_ns[i] > options->tables[i].quarantine_ns
                                   ? options->former_quarantine_ns[i]
                                   : options->tables[i].quarantine_ns;
        table->quarantine_end =
            table->quarantine_ns < TN_TIME_NEVER - now ? now + table->quarantine_ns : TN_TIME_NEVER;
        lease->tables_at[i] = (uint64_t)(at - (char *)lease);
        at = arrays + tn__lease_table_bytes(&options->tables[i]);
    }
    tn_assert((size_t)(at - (char *)lease) == tn_lease_size(options));
}

struct tn_lease *tn_lease_init(void *memory, const struct tn_lease_options *options, tn_time now)
{
    tn_assert(((uintptr_t)memory & (ALIGNMENT - 1)) == 0);
    tn_assert(options->members_count >= 1 && options->self < options->members_count);
    tn_assert(options->restart_word != 0 && options->restart_word != UINT64_MAX);

    struct tn_lease *lease = memory;
    *lease = (struct tn_lease){
        .self = options->self,
        .members_count = options->members_count,
        .tables_count = options->tables_count,
        .drift_ppm = options->drift_ppm,
        .configuration = {.version = options->configuration, .left = options->left},
        .restart_word = options->restart_word,
        .random = options->random,
    };
    memcpy(lease->members, options->members, sizeof(lease->members));
    lease->ceiling = (struct tn__ceiling){
        .durable = options->ceiling,
        .pending = options->ceiling,
        .stride = TN_CEILING_STRIDE,
        .enabled = options->diskless == 0,
    };
    /* A node starts above its own ceiling, so no counter is ever used twice (Terms, F1). */
    lease->counter_seen = options->ceiling;
    lease->floor = tn__ceiling_floor(options->ceiling); /* F2 */
    lease->known[options->self].restart_word = options->restart_word;
    init_tables(lease, options, now);
    return lease;
}

/* ---- Effects ------------------------------------------------------------------------------- */

bool tn__lease_has_room(const struct tn__lease_turn *turn)
{
    /* Each item of a frame puts out at most one message and one notice of its own. */
    uint32_t items = turn->event->kind == TN_EVENT_FRAME ? turn->event->items_count : 0;
    return turn->effects->messages_count + items + ROOM_BESIDES <= TN_EFFECT_MESSAGES_MAX &&
           turn->effects->notices_count + items + ROOM_BESIDES <= TN_EFFECT_NOTICES_MAX;
}

struct tn_message *tn__lease_send(struct tn__lease_turn *turn, uint32_t table, uint32_t slot,
                                  enum tn_message_kind kind, tn_member_set to,
                                  struct tn_ballot ballot)
{
    struct tn_effects *effects = turn->effects;
    tn_assert(effects->messages_count < TN_EFFECT_MESSAGES_MAX);
    tn_assert((to & ~tn__members_all(turn->lease->members_count)) == 0);
    tn_assert(!tn_ballot_is_none(ballot));
    const struct tn__lease_spelling *spelling =
        tn__lease_table_spelling(tn__lease_table_at(turn->lease, table), slot);
    struct tn_message *message = &effects->messages[effects->messages_count++];
    memset(message, 0, offsetof(struct tn_message, name));
    message->to = to;
    message->configuration = turn->lease->configuration.version; /* F3 */
    message->kind = (uint8_t)kind;
    message->table = (uint8_t)table;
    message->name_bytes = spelling->bytes_count;
    message->ballot = ballot;
    memcpy(message->name, spelling->bytes, sizeof(message->name));
    return message;
}

struct tn_notice *tn__lease_notify(struct tn__lease_turn *turn, uint32_t table, uint32_t slot,
                                   enum tn_notice_kind kind)
{
    struct tn_effects *effects = turn->effects;
    tn_assert(effects->notices_count < TN_EFFECT_NOTICES_MAX);
    struct tn_notice *notice = &effects->notices[effects->notices_count++];
    memset(notice, 0, sizeof(*notice));
    notice->kind = (uint8_t)kind;
    notice->table = (uint8_t)table;
    if (slot != TN__SLOT_NONE) {
        const struct tn__lease_spelling *spelling =
            tn__lease_table_spelling(tn__lease_table_at(turn->lease, table), slot);
        notice->name_bytes = spelling->bytes_count;
        memcpy(notice->name, spelling->bytes, sizeof(notice->name));
    }
    return notice;
}

void tn__lease_incident(struct tn__lease_turn *turn, enum tn_reason reason, tn_node_id node)
{
    tn_assert(reason > TN_REASON_NONE && reason < 32);
    tn_time *last = &turn->lease->incident_at[reason];
    if (*last != 0 && turn->now - *last < INCIDENT_INTERVAL_NS) {
        return;
    }
    *last = turn->now == 0 ? 1 : turn->now;
    struct tn_notice *notice = tn__lease_notify(turn, 0, TN__SLOT_NONE, TN_NOTICE_INCIDENT);
    notice->reason = (uint8_t)reason;
    notice->node = node;
}

uint64_t tn__lease_write_words(struct tn__lease_turn *turn, uint64_t ceiling)
{
    struct tn_lease *lease = turn->lease;
    struct tn_effects *effects = turn->effects;
    tn_assert(lease->ceiling.enabled != 0);
    tn_assert(ceiling >= lease->ceiling.durable); /* F1: it never falls */
    if (effects->records_count == TN_EFFECT_RECORDS_MAX) {
        effects->records_count--; /* a later record replaces an earlier one whole */
    }
    struct tn_record *record = &effects->records[effects->records_count++];
    *record = (struct tn_record){
        .write = ++lease->writes,
        .ceiling = ceiling,
        .configuration = tn__configuration_record_version(&lease->configuration), /* F3 */
        .left = tn__configuration_record_left(&lease->configuration),
    };
    for (uint32_t i = 0; i < lease->tables_count; i++) {
        const struct tn__lease_table *table = tn__lease_table_at(lease, i);
        record->quarantine_ns[i] =
            turn->now < table->quarantine_end ? table->quarantine_ns : table->options.quarantine_ns;
    }
    return record->write;
}

/* A former, longer D_Q has been waited out: the words need not say it any more. */
static void shrink_quarantine(struct tn__lease_turn *turn, struct tn__lease_table *table)
{
    if (table->quarantine_ns > table->options.quarantine_ns && turn->now >= table->quarantine_end) {
        table->quarantine_ns = table->options.quarantine_ns;
        if (turn->lease->ceiling.enabled != 0) {
            (void)tn__lease_write_words(turn, turn->lease->ceiling.pending);
        }
    }
}

static void raise_ceiling(struct tn__lease_turn *turn, uint64_t wanted)
{
    turn->lease->counters.ceilings++;
    uint64_t write = tn__lease_write_words(turn, wanted);
    tn__ceiling_asked(&turn->lease->ceiling, wanted, write);
}

bool tn__lease_cover(struct tn__lease_turn *turn, uint64_t counter, uint64_t *after)
{
    struct tn__ceiling *ceiling = &turn->lease->ceiling;
    uint64_t wanted = 0;
    enum tn__ceiling_verdict verdict = tn__ceiling_cover(ceiling, counter, after, &wanted);
    if (verdict == TN__CEILING_ASK) {
        raise_ceiling(turn, wanted);
        verdict = tn__ceiling_cover(ceiling, counter, after, &wanted);
        tn_assert(verdict == TN__CEILING_COVERED && *after != 0);
    }
    tn_assert(verdict != TN__CEILING_ASK);
    if (verdict == TN__CEILING_SILENT) { /* F4 */
        turn->lease->counters.ceiling_silences++;
        tn__lease_incident(turn, TN_REASON_CEILING, tn__lease_self(turn->lease));
        return false;
    }
    if (tn__ceiling_should_raise(ceiling, counter, &wanted)) { /* F1: ahead of need */
        raise_ceiling(turn, wanted);
    }
    return true;
}

/* ---- Who speaks ----------------------------------------------------------------------------- */

/* Note the sender's incarnation. False: two processes run as this member, and neither counts. */
static bool admit_sender(struct tn__lease_turn *turn)
{
    struct tn_lease *lease = turn->lease;
    const struct tn_event *event = turn->event;
    tn_assert(event->from < lease->members_count);
    struct tn__lease_member *known = &lease->known[event->from];
    uint64_t count = event->restart_word >> 32;
    uint64_t known_count = known->restart_word >> 32;

    if (event->restart_word == 0 || event->restart_word == UINT64_MAX) {
        lease->counters.malformed++;
        return false;
    }
    if (known->restart_word == 0 || count > known_count) {
        *known = (struct tn__lease_member){.restart_word = event->restart_word};
    } else if (count == known_count && event->restart_word != known->restart_word) {
        known->doubled = 1; /* A1, A2: two restart words for one (node, count) */
    }
    /* An earlier start than the newest one seen is heard as well. A diskless word is drawn at
     * random, so it has no order, and half of all diskless restarts would be silenced (witness 12).
     * Of the others a delayed message is what A1 to A3 stand against, and refusing it here would
     * hide it from the explorations; A1, A2 find a copied directory by its ballots. Two processes
     * at once are told apart where connections are: net/peers_greeting.c. */
    if (known->doubled != 0 && count == known->restart_word >> 32) {
        lease->counters.duplicates++;
        tn__lease_incident(turn, TN_REASON_DUPLICATE_NODE, lease->members[event->from]);
        return false;
    }
    return true;
}

/* A counter absurdly far ahead would poison every later ballot: refuse it, and say so. */
static bool admit_counter(struct tn__lease_turn *turn, uint64_t counter)
{
    struct tn_lease *lease = turn->lease;
    if (counter > lease->counter_seen && counter - lease->counter_seen > TN_COUNTER_LEAP_MAX) {
        lease->counters.leaps++;
        tn__lease_incident(turn, TN_REASON_COUNTER_LEAP, lease->members[turn->event->from]);
        return false;
    }
    return true;
}

static void see_counter(struct tn_lease *lease, uint64_t counter)
{
    if (counter > lease->counter_seen) {
        lease->counter_seen = counter;
    }
}

/* ---- Frames --------------------------------------------------------------------------------- */

/* Proposals come from the proposer itself, answers go to it: whose ballot must it be? */
static bool is_answer(uint8_t kind)
{
    return kind == TN_MESSAGE_PROMISE || kind == TN_MESSAGE_CLOSED || kind == TN_MESSAGE_REJECTED ||
           kind == TN_MESSAGE_ACCEPTED || kind == TN_MESSAGE_REFUSED;
}

/* Why a message is not taken, as the counter to raise; NULL: it is taken. */
static uint64_t *reject_message(struct tn__lease_turn *turn, const struct tn_message *message)
{
    struct tn_lease *lease = turn->lease;
    if (message->kind < TN_MESSAGE_PREPARE || message->kind >= TN_MESSAGE_KINDS_END ||
        message->table >= lease->tables_count || message->name_bytes < 1 ||
        message->name_bytes > TN_NAME_BYTES_MAX || tn_ballot_node(message->ballot) == 0 ||
        message->ballot.restart_word == 0 || message->ballot.restart_word == UINT64_MAX) {
        return &lease->counters.malformed;
    }
    if (is_answer(message->kind)) {
        if (tn_ballot_node(message->ballot) != tn__lease_self(lease)) {
            return &lease->counters.misdirected;
        }
        if (message->ballot.restart_word != lease->restart_word) {
            return &lease->counters.late; /* an answer to an earlier incarnation */
        }
    } else if (tn_ballot_node(message->ballot) != lease->members[turn->event->from] ||
               message->ballot.restart_word != turn->event->restart_word) {
        return &lease->counters.misdirected;
    }
    if (!tn__configuration_takes(&lease->configuration, message->configuration)) { /* F3 */
        tn__lease_incident(turn, TN_REASON_CONFIGURATION, lease->members[turn->event->from]);
        return &lease->counters.configurations;
    }
    return NULL;
}

static void on_message(struct tn__lease_turn *turn, const struct tn_message *message)
{
    if (!admit_counter(turn, message->ballot.counter)) {
        return;
    }
    switch ((enum tn_message_kind)message->kind) {
    case TN_MESSAGE_PREPARE:
        tn__lease_on_prepare(turn, message);
        break;
    case TN_MESSAGE_ACCEPT:
        tn__lease_on_accept(turn, message);
        break;
    case TN_MESSAGE_RELEASE:
        tn__lease_on_release(turn, message);
        break;
    case TN_MESSAGE_LEARN:
        tn__lease_on_learn(turn, message);
        break;
    case TN_MESSAGE_PROMISE:
    case TN_MESSAGE_CLOSED:
    case TN_MESSAGE_REJECTED:
    case TN_MESSAGE_ACCEPTED:
    case TN_MESSAGE_REFUSED:
        if (message->promised.restart_word != 0 && admit_counter(turn, message->promised.counter)) {
            see_counter(turn->lease, message->promised.counter);
        }
        tn__lease_on_answer(turn, message);
        break;
    case TN_MESSAGE_KINDS_END:
        break;
    }
    see_counter(turn->lease, message->ballot.counter);
}

/* Some items at once: their records are fetched from memory while the others are handled. Without
 * this a third of a renewal's time was spent waiting for the index (bench/README.md). */
static void on_items(struct tn__lease_turn *turn, const struct tn_message *items, uint32_t count)
{
    struct tn__lease_key keys[ITEMS_AT_ONCE];
    tn_assert(count <= ITEMS_AT_ONCE);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t *rejected = reject_message(turn, &items[i]);
        if (rejected != NULL) {
            (*rejected)++;
            keys[i].bytes_count = 0;
            continue;
        }
        struct tn__lease_table *table = tn__lease_table_at(turn->lease, items[i].table);
        keys[i] = tn__lease_table_key(table, items[i].name, items[i].name_bytes);
        tn__lease_table_fetch_index(table, keys[i]);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (keys[i].bytes_count != 0) {
            tn__lease_table_fetch_name(tn__lease_table_at(turn->lease, items[i].table), keys[i]);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (keys[i].bytes_count != 0) {
            turn->key = keys[i];
            on_message(turn, &items[i]);
        }
    }
}

static void on_frame(struct tn__lease_turn *turn)
{
    const struct tn_event *event = turn->event;
    tn_assert(event->from < turn->lease->members_count);
    tn_assert(event->items_count <= TN_FRAME_ITEMS_MAX);
    tn_assert(event->items != NULL || event->items_count == 0);
    if (!admit_sender(turn) || !admit_counter(turn, event->counter)) {
        return;
    }
    see_counter(turn->lease, event->counter);
    for (uint32_t i = 0; i < event->items_count; i += ITEMS_AT_ONCE) {
        uint32_t count = event->items_count - i;
        on_items(turn, &event->items[i], count < ITEMS_AT_ONCE ? count : ITEMS_AT_ONCE);
    }
}

/* L1: a member that came back learns at once, where the table says so. */
static void on_connected(struct tn__lease_turn *turn)
{
    tn_assert(turn->event->from < turn->lease->members_count);
    if (!admit_sender(turn) || !admit_counter(turn, turn->event->counter)) {
        return;
    }
    see_counter(turn->lease, turn->event->counter);
    struct tn__lease_member *member = &turn->lease->known[turn->event->from];
    member->learn_table = 0;
    member->learn_slot = 0;
    member->learning = 1;
}

/* ---- The timer ------------------------------------------------------------------------------ */

/* Drop names that nobody spoke of for D_A; F2: the floor takes their promises. */
static void drop_names(struct tn__lease_turn *turn, struct tn__lease_table *table)
{
    for (uint32_t dropped = 0; dropped < TN_FRAME_ITEMS_MAX; dropped++) {
        uint32_t slot = tn__lease_table_oldest_due(table, turn->now);
        if (slot == TN__SLOT_NONE) {
            return;
        }
        tn_assert(tn__lease_table_name(table, slot)->kept_until <= turn->now);
        struct tn__lease_name *name = tn__lease_table_name(table, slot);
        if (tn__lease_acceptor_expire(&name->acceptor, turn->now)) {
            turn->lease->counters.expired++;
        }
        if (name->contender != 0 || tn__lease_acceptor_is_live(&name->acceptor, turn->now)) {
            tn__lease_table_touch(table, slot, turn->now);
            continue;
        }
        if (tn_ballot_compare(name->acceptor.promised, turn->lease->floor) > 0) {
            turn->lease->floor = name->acceptor.promised;
        }
        tn_assert(tn_ballot_compare(turn->lease->floor, name->acceptor.promised) >= 0); /* F2 */
        turn->lease->counters.dropped++;
        tn__lease_table_drop(table, slot);
    }
}

/* Go on telling a returned member of the leases held here. */
static void tell_returned(struct tn__lease_turn *turn, uint32_t from)
{
    struct tn_lease *lease = turn->lease;
    struct tn__lease_member *member = &lease->known[from];
    uint32_t looked = 0;
    while (member->learning != 0 && tn__lease_has_room(turn) && looked < 16 * TN_FRAME_ITEMS_MAX) {
        if (member->learn_table == lease->tables_count) {
            member->learning = 0;
            return;
        }
        struct tn__lease_table *table = tn__lease_table_at(lease, member->learn_table);
        if (table->options.observe != TN_OBSERVE_RETURNING ||
            member->learn_slot >= table->names_used) {
            member->learn_table++;
            member->learn_slot = 0;
            continue;
        }
        uint32_t slot = member->learn_slot++;
        looked++;
        struct tn__lease_contender *contender =
            tn__lease_table_contender(table, tn__lease_table_name(table, slot));
        if (contender != NULL && tn__lease_proposer_holds(&contender->proposer, turn->now)) {
            tn__lease_tell(turn, member->learn_table, contender, tn__member_bit(from));
        }
    }
}

static void on_timer(struct tn__lease_turn *turn)
{
    struct tn_lease *lease = turn->lease;
    for (uint32_t i = 0; i < lease->tables_count; i++) {
        tn__lease_endings_due(turn, i);
        tn__lease_attempts_due(turn, i);
        drop_names(turn, tn__lease_table_at(lease, i));
        shrink_quarantine(turn, tn__lease_table_at(lease, i));
    }
    for (uint32_t i = 0; i < lease->members_count; i++) {
        tell_returned(turn, i);
    }
    uint64_t wanted = 0;
    if (tn__ceiling_should_raise(&lease->ceiling, lease->counter_seen, &wanted)) {
        raise_ceiling(turn, wanted); /* A4: at a restart, while the quarantine still runs */
    }
    if (lease->ceiling.retry_at != 0 && turn->now >= lease->ceiling.retry_at) {
        uint64_t room = UINT64_MAX - lease->ceiling.durable;
        uint64_t step = lease->ceiling.stride < room ? lease->ceiling.stride : room;
        raise_ceiling(turn, lease->ceiling.durable + step); /* F4: try again */
    }
}

tn_time tn_lease_deadline(const struct tn_lease *lease)
{
    tn_time deadline = TN_TIME_NEVER;
    for (uint32_t i = 0; i < lease->tables_count; i++) {
        const struct tn__lease_table *table = tn__lease_table_at(lease, i);
        tn_time due = tn__lease_table_deadline(table);
        deadline = due < deadline ? due : deadline;
        if (table->quarantine_ns > table->options.quarantine_ns &&
            table->quarantine_end < deadline) {
            deadline = table->quarantine_end;
        }
    }
    for (uint32_t i = 0; i < lease->members_count; i++) {
        deadline = lease->known[i].learning != 0 ? 0 : deadline;
    }
    if (lease->ceiling.retry_at != 0 && lease->ceiling.retry_at < deadline) {
        deadline = lease->ceiling.retry_at;
    }
    uint64_t wanted = 0;
    if (tn__ceiling_should_raise(&lease->ceiling, lease->counter_seen, &wanted)) {
        deadline = 0;
    }
    return deadline;
}

/* ---- The step ------------------------------------------------------------------------------- */

void tn_lease_step(struct tn_lease *lease, const struct tn_event *event, struct tn_effects *effects)
{
    tn_assert(lease->members_count >= 1);
    effects->records_count = 0;
    effects->messages_count = 0;
    effects->notices_count = 0;
    lease->random ^= event->random;
    struct tn__lease_turn turn = {
        .lease = lease, .event = event, .effects = effects, .now = event->now};

    switch ((enum tn_event_kind)event->kind) {
    case TN_EVENT_FRAME:
        on_frame(&turn);
        break;
    case TN_EVENT_TIMER:
        on_timer(&turn);
        break;
    case TN_EVENT_WRITTEN:
        tn_assert(event->write <= lease->writes);
        lease->written = event->write > lease->written ? event->write : lease->written;
        tn__ceiling_written(&lease->ceiling, event->write);
        tn__lease_membership_written(&turn, event->write);
        break;
    case TN_EVENT_WRITE_FAILED:
        tn_assert(event->write <= lease->writes);
        lease->counters.ceiling_failures++;
        tn__ceiling_failed(&lease->ceiling, event->write, event->now + CEILING_RETRY_NS);
        tn__lease_membership_failed(&turn, event->write);
        tn__lease_incident(&turn, TN_REASON_CEILING, tn__lease_self(lease));
        break;
    case TN_EVENT_REQUEST:
        tn__lease_on_request(&turn, event->request);
        break;
    case TN_EVENT_CONNECTED:
        on_connected(&turn);
        break;
    }
}
