/* The judge: what it sees, and the invariants of messages and acceptors. lease_judge.h lists them
 * all, lease_judge_internal.h says what is remembered. */

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/text.h"
#include "sim/lease_judge_internal.h"

#define TIMERS_IN_A_ROW_MAX 5000U
#define TIMERS_APART_NS (TN_MILLISECOND / 10)

/* ---- Saying so ------------------------------------------------------------------------------ */

void tn__lease_judge_report(struct tn__lease_judge *judge, uint32_t process, const char *rule,
                            const char *text)
{
    uint32_t index = judge->violations_count++;
    if (index >= TN_JUDGE_VIOLATIONS_MAX) {
        return;
    }
    struct tn__violation *violation = &judge->violations[index];
    *violation = (struct tn__violation){.real = tn__world_now(judge->world), .process = process};
    struct tn__text writer;
    tn__text_init(&writer, violation->rule, sizeof(violation->rule));
    tn__text_add(&writer, "%s", rule);
    tn__text_init(&writer, violation->text, sizeof(violation->text));
    tn__text_add(&writer, "%s", text);
}

void tn__judge_object(struct tn__lease_judge *judge, uint32_t process, const char *rule,
                      const char *text, struct tn_ballot ballot)
{
    char sentence[180];
    struct tn__text writer;
    tn__text_init(&writer, sentence, sizeof(sentence));
    tn__text_add(&writer, "process %u: %s (ballot %llu.%u of %llx)", (unsigned)process, text,
                 (unsigned long long)(ballot.counter >> 16), (unsigned)tn_ballot_node(ballot),
                 (unsigned long long)ballot.restart_word);
    tn__lease_judge_report(judge, process, rule, sentence);
}

/* ---- Names ---------------------------------------------------------------------------------- */

uint32_t tn__judge_find_name(const struct tn__lease_judge *judge, uint32_t table, const char *bytes,
                             uint32_t bytes_count)
{
    for (uint32_t i = 0; i < judge->names_count; i++) {
        const struct judged_name *name = &judge->names[i];
        if (name->bytes[0] == bytes[0] && name->table == table &&
            name->bytes_count == bytes_count &&
            (bytes_count == 1 || memcmp(name->bytes, bytes, bytes_count) == 0)) {
            return i;
        }
    }
    return TN_JUDGE_NAMES_MAX;
}

static uint32_t note_name(struct tn__lease_judge *judge, uint32_t table, const char *bytes,
                          uint32_t bytes_count)
{
    uint32_t index = tn__judge_find_name(judge, table, bytes, bytes_count);
    if (index < TN_JUDGE_NAMES_MAX || judge->names_count == TN_JUDGE_NAMES_MAX) {
        return index;
    }
    index = judge->names_count++;
    struct judged_name *name = &judge->names[index];
    *name = (struct judged_name){.table = table, .bytes_count = bytes_count};
    memcpy(name->bytes, bytes, bytes_count);
    for (uint32_t i = 0; i < TN_WORLD_PROCESSES_MAX; i++) {
        judge->persons[i].names[index] = (struct named){0};
    }
    return index;
}

/* ---- inv.L6 --------------------------------------------------------------------------------- */

static void judge_ballot(struct tn__lease_judge *judge, uint32_t process, uint32_t name,
                         struct tn_ballot ballot)
{
    if (judge->ballots_count > BALLOTS_ROOM / 2) {
        return;
    }
    uint64_t hash = ballot.counter * 0x9e3779b97f4a7c15ULL;
    uint32_t place = (uint32_t)(hash >> 40) & (BALLOTS_ROOM - 1);
    tn_member_set copied = judge->copied >> tn__world_member(judge->world, process) & 1U;
    for (;; place = (place + 1) & (BALLOTS_ROOM - 1)) {
        struct used_ballot *used = &judge->ballots[place];
        if (used->round != judge->round) {
            *used = (struct used_ballot){ballot, judge->round, (uint16_t)process, (uint16_t)name};
            judge->ballots_count++;
            return;
        }
        if (used->ballot.counter != ballot.counter) {
            continue;
        }
        if (used->ballot.restart_word == ballot.restart_word) {
            if (used->process != process || used->name != name) {
                tn__judge_object(judge, process, "inv.L6", "a ballot is used for a second time",
                                 ballot);
            }
            return;
        }
        if (copied == 0 && judge->options->diskless == 0) {
            tn__judge_object(judge, process, "inv.L6", "a counter is used by a second incarnation",
                             ballot);
            return;
        }
    }
}

/* ---- Messages sent -------------------------------------------------------------------------- */

static void judge_prepare(struct tn__lease_judge *judge, const struct tn__sight *sight,
                          uint32_t name, struct named *mine)
{
    const struct tn_message *message = sight->message;
    const struct person *person = &judge->persons[sight->process];
    uint32_t member = tn__world_member(judge->world, sight->process);
    if (tn_ballot_node(message->ballot) != member + 1 ||
        message->ballot.restart_word != person->word) {
        tn__judge_object(judge, sight->process, "inv.L6", "a ballot is not its proposer's own",
                         message->ballot);
    }
    if (tn_ballot_equal(mine->attempt.ballot, message->ballot)) {
        return; /* repeated to the silent */
    }
    judge_ballot(judge, sight->process, name, message->ballot);
    struct tn_lease_counters counters;
    tn_lease_counters(tn__world_lease(judge->world, sight->process), &counters);
    mine->attempt = (struct attempt){
        .ballot = message->ballot,
        .prepared = sight->local,
        .grants = counters.accepted,
        .version = message->configuration,
    };
}

/* The earliest Accept of this ballot that no answer was seen to; NULL: none is remembered. */
static struct asked *take_asked(struct grant *grant, struct tn_ballot ballot)
{
    uint32_t count = grant->asked_count < ASKED_ROOM ? grant->asked_count : ASKED_ROOM;
    for (uint32_t i = count; i >= 1; i--) {
        struct asked *asked = &grant->asked[(grant->asked_count - i) % ASKED_ROOM];
        if (!asked->answered && tn_ballot_equal(asked->ballot, ballot)) {
            asked->answered = true;
            return asked;
        }
    }
    return NULL;
}

static void note_accept(struct grant *grant, struct tn_ballot ballot, tn_time at)
{
    struct asked *asked = &grant->asked[grant->asked_count++ % ASKED_ROOM];
    bool waits = !tn_ballot_is_none(asked->ballot) && !asked->answered;
    grant->forgotten = grant->forgotten || waits;
    *asked = (struct asked){.ballot = ballot, .at = at};
}

static void note_release(struct grant *grant, struct tn_ballot ballot)
{
    bool unsaid = false; /* it may have been granted, and the answer waits or was given up (F4) */
    for (uint32_t i = 0; i < ASKED_ROOM; i++) {
        struct asked *asked = &grant->asked[i];
        if (tn_ballot_equal(asked->ballot, ballot)) {
            asked->released = true;
            unsaid = unsaid || !asked->answered;
        }
    }
    if (unsaid || tn_ballot_equal(ballot, grant->ballot)) {
        grant->ballot = (struct tn_ballot){0};
        grant->uncertain = grant->uncertain || unsaid;
    } else {
        grant->misreleased = true;
    }
}

/* An answer to an Accept. One that waited for a write was given when it was asked for, or later
 * (a repeated Accept may have been granted again): its lease is taken for as short as it can be,
 * and inv.L7 is judged of answers that left at once. */
static void judge_accepted(struct tn__lease_judge *judge, const struct tn__sight *sight,
                           uint32_t name, struct named *mine)
{
    struct tn_ballot ballot = sight->message->ballot;
    struct grant *grant = &mine->grant;
    const struct asked *asked = take_asked(grant, ballot);
    bool waited = judge->persons[sight->process].written;
    if (sight->message->kind != TN_MESSAGE_ACCEPTED || asked == NULL) {
        return;
    }
    grant->uncertain = waited;
    if (waited && grant->forgotten) {
        grant->ballot = (struct tn_ballot){0}; /* it cannot be told when this was granted */
        return;
    }
    grant->forgotten = false;
    tn_time granted = waited ? asked->at : sight->local;
    if (!waited && !tn_ballot_is_none(grant->ballot) && granted < grant->until &&
        !tn_ballot_same_owner(grant->ballot, ballot)) {
        tn__judge_object(judge, sight->process, grant->misreleased ? "inv.L8" : "inv.L7",
                         "an acceptor grants while another's lease is live", ballot);
    }
    /* Released already: while the answer waited, or by the same frame that asked for it. */
    grant->ballot = asked->released ? (struct tn_ballot){0} : ballot;
    grant->until = granted + tn__judge_table(judge, name)->acceptor_ns;
    grant->misreleased = false;
}

static bool is_answer(uint8_t kind)
{
    return kind == TN_MESSAGE_PROMISE || kind == TN_MESSAGE_CLOSED || kind == TN_MESSAGE_REJECTED ||
           kind == TN_MESSAGE_ACCEPTED || kind == TN_MESSAGE_REFUSED;
}

/* F1: what must not leave before the ceiling above it is durable. */
static bool needs_ceiling(uint8_t kind)
{
    return kind == TN_MESSAGE_PREPARE || kind == TN_MESSAGE_PROMISE || kind == TN_MESSAGE_ACCEPT ||
           kind == TN_MESSAGE_ACCEPTED;
}

/* inv.L2: a Learn is of the lease held, or of one whose notice follows in this turn: in one turn a
 * lease can be won, told of and handed over (H3). */
static void judge_told(const struct tn__sight *sight, struct named *mine)
{
    const struct tn_message *message = sight->message;
    tn_time until = sight->local + message->remaining;
    if (!tn_ballot_equal(message->ballot, mine->held.ballot) || until > mine->held.deadline) {
        mine->told = message->ballot;
        mine->told_until = until;
    }
}

static void on_sent(struct tn__lease_judge *judge, const struct tn__sight *sight)
{
    const struct tn_message *message = sight->message;
    struct person *person = &judge->persons[sight->process];
    uint32_t name = note_name(judge, message->table, message->name, message->name_bytes);
    if (name == TN_JUDGE_NAMES_MAX) {
        return;
    }
    struct named *mine = &person->names[name];
    const struct tn_lease_table_options *table = tn__judge_table(judge, name);
    tn__judge_spoken(judge, sight, is_answer(message->kind));
    if (is_answer(message->kind) && sight->local < person->started + table->quarantine_ns) {
        tn__judge_object(judge, sight->process, "inv.L5", "an acceptor in quarantine answers",
                         message->ballot);
    }
    if (judge->options->diskless == 0 && needs_ceiling(message->kind) &&
        message->ballot.counter >= tn__world_ceiling(judge->world, sight->process)) {
        tn__judge_object(judge, sight->process, "F1", "said before the ceiling was durable",
                         message->ballot);
    }
    if (message->kind == TN_MESSAGE_PREPARE) {
        judge_prepare(judge, sight, name, mine);
    } else if (message->kind == TN_MESSAGE_ACCEPTED || message->kind == TN_MESSAGE_REFUSED) {
        judge_accepted(judge, sight, name, mine);
    } else if (message->kind == TN_MESSAGE_ACCEPT) {
        if (!person->written && tn_ballot_equal(message->ballot, mine->attempt.ballot) &&
            sight->local >= mine->attempt.prepared + table->proposer_ns) {
            tn__judge_object(judge, sight->process, "inv.L2", "Accept after t_d", message->ballot);
        }
    } else if (message->kind == TN_MESSAGE_LEARN) {
        judge_told(sight, mine);
    }
}

/* ---- Messages received ---------------------------------------------------------------------- */

static void on_item(struct tn__lease_judge *judge, const struct tn__sight *sight,
                    const struct tn_message *item)
{
    uint32_t name = note_name(judge, item->table, item->name, item->name_bytes);
    if (name == TN_JUDGE_NAMES_MAX) {
        return;
    }
    const struct person *person = &judge->persons[sight->process];
    struct named *mine = &judge->persons[sight->process].names[name];
    if (item->kind == TN_MESSAGE_ACCEPTED && item->from < TN_MEMBERS_MAX &&
        item->configuration == mine->attempt.version &&
        tn_ballot_equal(item->ballot, mine->attempt.ballot)) {
        mine->attempt.accepted |= 1U << person->places[item->from];
        mine->attempt.sources[person->places[item->from]] = judge->last_source;
    } else if (item->kind == TN_MESSAGE_ACCEPT) {
        note_accept(&mine->grant, item->ballot, sight->local);
    } else if (item->kind == TN_MESSAGE_RELEASE) {
        note_release(&mine->grant, item->ballot);
    }
}

/* Two timers that are no further apart than this came without time passing. A node that may not
 * begin an attempt looks again after resend_ns, for each name that it wants: then somewhere in
 * every resend_ns, on a clock as fast as rho allows, there is a gap of at least this. A machine
 * that asks for what is due already comes back after a fraction of it. */
static tn_time no_time(const struct tn__lease_judge *judge)
{
    tn_time shortest = TN_TIME_NEVER;
    for (uint32_t i = 0; i < judge->options->tables_count; i++) {
        tn_time resend = judge->options->tables[i].resend_ns;
        shortest = resend < shortest ? resend : shortest;
    }
    tn_time gap = shortest / (judge->names_count + 1) / 2;
    return gap < TIMERS_APART_NS ? gap : TIMERS_APART_NS;
}

static void on_event(struct tn__lease_judge *judge, const struct tn__sight *sight)
{
    struct person *person = &judge->persons[sight->process];
    const struct tn_event *event = sight->event;
    person->written = event->kind == TN_EVENT_WRITTEN;
    if (event->kind == TN_EVENT_TIMER && sight->real - person->timer_real <= no_time(judge)) {
        if (++person->timers == TIMERS_IN_A_ROW_MAX) {
            tn__judge_object(judge, sight->process, "busy", "its timer fires again and again",
                             (struct tn_ballot){0});
        }
    } else {
        person->timers = 0;
    }
    person->timer_real = sight->real;
    if (event->kind == TN_EVENT_FRAME) {
        for (uint32_t i = 0; i < event->items_count; i++) {
            on_item(judge, sight, &event->items[i]);
        }
    } else if (event->kind == TN_EVENT_REQUEST && event->request->kind == TN_REQUEST_FORSAKE) {
        for (uint32_t i = 0; i < judge->names_count; i++) {
            tn__judge_lease_ended(judge, sight, i);
        }
    } else if (event->kind == TN_EVENT_REQUEST && event->request->kind == TN_REQUEST_JOIN) {
        tn__judge_join_asked(judge, sight->process, event->request);
    }
}

/* ---- Notices --------------------------------------------------------------------------------- */

static void on_notice(struct tn__lease_judge *judge, const struct tn__sight *sight)
{
    const struct tn_notice *notice = sight->notice;
    if (notice->kind == TN_NOTICE_LEFT) {
        tn__judge_left(judge, sight->process);
    } else if (notice->kind == TN_NOTICE_JOINED) {
        tn__judge_joined(judge, sight);
    }
    if (notice->name_bytes == 0) {
        return;
    }
    uint32_t name = note_name(judge, notice->table, notice->name, notice->name_bytes);
    if (name == TN_JUDGE_NAMES_MAX) {
        return;
    }
    switch ((enum tn_notice_kind)notice->kind) {
    case TN_NOTICE_OPENED:
    case TN_NOTICE_RENEWED:
    case TN_NOTICE_REOPENED:
        tn__judge_activation(judge, sight, name);
        break;
    case TN_NOTICE_LOST:
    case TN_NOTICE_RELEASED:
        tn__judge_lease_ended(judge, sight, name);
        break;
    default:
        break;
    }
}

/* ---- Dispatch ------------------------------------------------------------------------------- */

static void forget_person(struct tn__lease_judge *judge, uint32_t process)
{
    struct person *person = &judge->persons[process];
    memset(person, 0, offsetof(struct person, names));
    memset(person->names, 0, judge->names_count * sizeof(person->names[0]));
}

void tn__lease_judge_see(void *context, const struct tn__sight *sight)
{
    struct tn__lease_judge *judge = context;
    switch ((enum tn__sight_kind)sight->kind) {
    case TN_SIGHT_STARTED:
        forget_person(judge, sight->process);
        tn__judge_started(judge, sight);
        break;
    case TN_SIGHT_CRASHED:
        forget_person(judge, sight->process);
        break;
    case TN_SIGHT_EVENT:
        on_event(judge, sight);
        break;
    case TN_SIGHT_SENT:
        on_sent(judge, sight);
        break;
    case TN_SIGHT_DELIVERED:
        judge->last_source = sight->frame->from;
        if (sight->frame->damaged != 0 || sight->frame->foreign != 0) {
            tn__judge_object(judge, sight->process, "wire",
                             "a damaged or misdirected frame is taken", (struct tn_ballot){0});
        }
        break;
    case TN_SIGHT_NOTICE:
        on_notice(judge, sight);
        break;
    case TN_SIGHT_TURN_ENDED:
        tn__judge_turn_ended(judge, sight);
        break;
    default:
        break;
    }
}

/* ---- Life ----------------------------------------------------------------------------------- */

struct tn__lease_judge *tn__lease_judge_new(void)
{
    struct tn__lease_judge *judge = calloc(1, sizeof(*judge));
    tn_assert(judge != NULL);
    return judge;
}

void tn__lease_judge_free(struct tn__lease_judge *judge)
{
    free(judge);
}

void tn__lease_judge_begin(struct tn__lease_judge *judge, struct tn__world *world)
{
    judge->world = world;
    judge->options = tn__world_lease_options(world);
    judge->names_count = 0;
    judge->violations_count = 0;
    judge->ballots_count = 0;
    judge->copied = 0;
    judge->round++;
    tn__judge_members_begin(judge);
    for (uint32_t i = 0; i < TN_WORLD_PROCESSES_MAX; i++) {
        memset(&judge->persons[i], 0, offsetof(struct person, names));
    }
    struct tn__world_observer observer = {
        .context = judge,
        .see = tn__lease_judge_see,
        .kinds = tn__sight_bit(TN_SIGHT_STARTED) | tn__sight_bit(TN_SIGHT_CRASHED) |
                 tn__sight_bit(TN_SIGHT_EVENT) | tn__sight_bit(TN_SIGHT_SENT) |
                 tn__sight_bit(TN_SIGHT_DELIVERED) | tn__sight_bit(TN_SIGHT_NOTICE) |
                 tn__sight_bit(TN_SIGHT_TURN_ENDED),
    };
    tn__world_add_observer(world, &observer);
}

uint32_t tn__lease_judge_violations_count(const struct tn__lease_judge *judge)
{
    return judge->violations_count;
}

const struct tn__violation *tn__lease_judge_violation(const struct tn__lease_judge *judge,
                                                      uint32_t index)
{
    tn_assert(index < judge->violations_count && index < TN_JUDGE_VIOLATIONS_MAX);
    return &judge->violations[index];
}

uint32_t tn__lease_judge_owner(const struct tn__lease_judge *judge, uint32_t table,
                               const char *name, uint32_t name_bytes)
{
    for (uint32_t i = 0; i <= tn__world_nodes(judge->world); i++) {
        struct tn_lease_view view;
        if (tn__world_view(judge->world, i, table, name, name_bytes, &view) && view.owned != 0) {
            return i;
        }
    }
    return TN_WORLD_NONE;
}

uint64_t tn__lease_judge_tenures(const struct tn__lease_judge *judge, uint32_t table,
                                 const char *name, uint32_t name_bytes)
{
    uint32_t index = tn__judge_find_name(judge, table, name, name_bytes);
    return index == TN_JUDGE_NAMES_MAX ? 0 : judge->names[index].tenures;
}
