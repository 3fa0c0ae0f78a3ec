/* The judge: what it remembers of what it saw, and the invariants. The header lists them.
 *
 * Of each process and name it keeps three things: the attempt in flight (from the first Prepare
 * sent), the lease held (from notices) and the lease granted (from Accepted sent). A node's
 * messages to itself are not on any network; that an own grant is part of a certificate is believed
 * only if the machine's count of grants rose since the Prepare. */
#include "sim/lease_judge.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/text.h"

#define BALLOTS_ROOM (1U << 17)
#define TIMERS_IN_A_ROW_MAX 5000U
#define ASKED_ROOM 8U

struct attempt {
    struct tn_ballot ballot; /* none: none is in flight */
    tn_time prepared;        /* local, when its first Prepare was sent */
    uint64_t grants;         /* the machine's count of grants then */
    tn_member_set accepted;
    uint32_t sources[TN_MEMBERS_MAX]; /* which process said so, by member */
};

struct held {
    struct tn_ballot ballot; /* none: nothing is held */
    tn_time deadline;
    uint64_t token;
};

/* An Accept received: what it grants counts from here, also if the answer waits for a write. */
struct asked {
    struct tn_ballot ballot;
    tn_time at; /* local */
    bool released;
    bool answered;
};

struct grant {
    struct tn_ballot ballot; /* none: nothing is granted */
    tn_time until;           /* local */
    bool misreleased;        /* a Release of something else came since */
    bool uncertain; /* the answer waited for a write: it is not known from when it counts */
    bool forgotten; /* more Accepts wait for answers than are remembered */
    uint32_t asked_count;
    struct asked asked[ASKED_ROOM];
};

struct named {
    struct attempt attempt;
    struct held held;
    struct grant grant;
    struct tn_ballot told; /* of a Learn that no notice has justified yet; none: all are */
    tn_time told_until;
};

struct person {    /* of a process */
    uint64_t word; /* 0: down */
    tn_time started;
    tn_time timer_real;
    uint32_t timers;
    bool written; /* the turn's event was a completed write: what leaves now was said before */
    struct named names[TN_JUDGE_NAMES_MAX];
};

struct judged_name {
    uint32_t table;
    uint32_t bytes_count;
    char bytes[TN_NAME_BYTES_MAX];
    uint64_t token; /* the last one given out */
    uint64_t tenures;
    tn_member_set certificate; /* the last one */
};

struct used_ballot {
    struct tn_ballot ballot;
    uint32_t round; /* of the judge: entries of earlier runs mean nothing */
    uint16_t process;
    uint16_t name;
};

struct tn__lease_judge {
    struct tn__world *world;
    const struct tn_lease_options *options;
    uint32_t names_count;
    uint32_t violations_count;
    uint32_t round;
    uint32_t ballots_count;
    uint32_t last_source; /* the process whose frame is being delivered */
    tn_member_set copied; /* members of which a copy ever ran */
    struct judged_name names[TN_JUDGE_NAMES_MAX];
    struct tn__violation violations[TN_JUDGE_VIOLATIONS_MAX];
    struct person persons[TN_WORLD_PROCESSES_MAX];
    struct used_ballot ballots[BALLOTS_ROOM];
};

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

static void object(struct tn__lease_judge *judge, uint32_t process, const char *rule,
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

static uint32_t find_name(const struct tn__lease_judge *judge, uint32_t table, const char *bytes,
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
    uint32_t index = find_name(judge, table, bytes, bytes_count);
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

static const struct tn_lease_table_options *table_of(const struct tn__lease_judge *judge,
                                                     uint32_t name)
{
    return &judge->options->tables[judge->names[name].table];
}

static bool majority(const struct tn__lease_judge *judge, tn_member_set set)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < judge->options->members_count; i++) {
        count += set >> i & 1U;
    }
    return 2 * count > judge->options->members_count;
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
                object(judge, process, "inv.L6", "a ballot is used for a second time", ballot);
            }
            return;
        }
        if (copied == 0 && judge->options->diskless == 0) {
            object(judge, process, "inv.L6", "a counter is used by a second incarnation", ballot);
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
        object(judge, sight->process, "inv.L6", "a ballot is not its proposer's own",
               message->ballot);
    }
    if (tn_ballot_equal(mine->attempt.ballot, message->ballot)) {
        return; /* repeated to the silent */
    }
    judge_ballot(judge, sight->process, name, message->ballot);
    struct tn_lease_counters counters;
    tn_lease_counters(tn__world_lease(judge->world, sight->process), &counters);
    mine->attempt = (struct attempt){
        .ballot = message->ballot, .prepared = sight->local, .grants = counters.accepted};
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
        object(judge, sight->process, grant->misreleased ? "inv.L8" : "inv.L7",
               "an acceptor grants while another's lease is live", ballot);
    }
    grant->ballot = waited && asked->released ? (struct tn_ballot){0} : ballot;
    grant->until = granted + table_of(judge, name)->acceptor_ns;
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
    const struct tn_lease_table_options *table = table_of(judge, name);
    if (is_answer(message->kind) && sight->local < person->started + table->quarantine_ns) {
        object(judge, sight->process, "inv.L5", "an acceptor in quarantine answers",
               message->ballot);
    }
    if (judge->options->diskless == 0 && needs_ceiling(message->kind) &&
        message->ballot.counter >= tn__world_ceiling(judge->world, sight->process)) {
        object(judge, sight->process, "F1", "said before the ceiling was durable", message->ballot);
    }
    if (message->kind == TN_MESSAGE_PREPARE) {
        judge_prepare(judge, sight, name, mine);
    } else if (message->kind == TN_MESSAGE_ACCEPTED || message->kind == TN_MESSAGE_REFUSED) {
        judge_accepted(judge, sight, name, mine);
    } else if (message->kind == TN_MESSAGE_ACCEPT) {
        if (!person->written && tn_ballot_equal(message->ballot, mine->attempt.ballot) &&
            sight->local >= mine->attempt.prepared + table->proposer_ns) {
            object(judge, sight->process, "inv.L2", "Accept after t_d", message->ballot);
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
    struct named *mine = &judge->persons[sight->process].names[name];
    if (item->kind == TN_MESSAGE_ACCEPTED && item->from < TN_MEMBERS_MAX &&
        tn_ballot_equal(item->ballot, mine->attempt.ballot)) {
        mine->attempt.accepted |= 1U << item->from;
        mine->attempt.sources[item->from] = judge->last_source;
    } else if (item->kind == TN_MESSAGE_ACCEPT) {
        note_accept(&mine->grant, item->ballot, sight->local);
    } else if (item->kind == TN_MESSAGE_RELEASE) {
        note_release(&mine->grant, item->ballot);
    }
}

static void on_event(struct tn__lease_judge *judge, const struct tn__sight *sight)
{
    struct person *person = &judge->persons[sight->process];
    const struct tn_event *event = sight->event;
    person->written = event->kind == TN_EVENT_WRITTEN;
    if (event->kind == TN_EVENT_TIMER && sight->real - person->timer_real <= TN_MILLISECOND / 10) {
        if (++person->timers == TIMERS_IN_A_ROW_MAX) {
            object(judge, sight->process, "busy", "its timer fires again and again",
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
            person->names[i].held = (struct held){0};
        }
    }
}

/* ---- Activations ---------------------------------------------------------------------------- */

/* inv.L4: until when, in real time, does this member exclude others from the name? */
static tn_time exclusion_end(const struct tn__lease_judge *judge, uint32_t process, uint32_t name,
                             struct tn_ballot ballot)
{
    const struct person *person = &judge->persons[process];
    if (person->word == 0) {
        return TN_TIME_NEVER; /* down, and in quarantine when it is back */
    }
    const struct grant *grant = &person->names[name].grant;
    if (grant->uncertain) {
        return TN_TIME_NEVER;
    }
    tn_time until = person->started + table_of(judge, name)->quarantine_ns;
    if (tn_ballot_same_owner(grant->ballot, ballot) && grant->until > until) {
        until = grant->until;
    }
    return tn__world_real(judge->world, process, until);
}

static void judge_certificate(struct tn__lease_judge *judge, const struct tn__sight *sight,
                              uint32_t name, const struct named *mine)
{
    const struct tn_notice *notice = sight->notice;
    uint32_t self = tn__world_member(judge->world, sight->process);
    if (judge->options->members_count == 1) {
        return; /* nothing but its own vote, which is on no network */
    }
    tn_member_set set = mine->attempt.accepted & ~(1U << self);
    struct tn_lease_counters counters;
    tn_lease_counters(tn__world_lease(judge->world, sight->process), &counters);
    if (counters.accepted > mine->attempt.grants) {
        set |= 1U << self;
    }
    struct judged_name *judged = &judge->names[name];
    if (judged->certificate != 0 && (judged->certificate & set) == 0) {
        object(judge, sight->process, "inv.L12", "two certificates share no member",
               notice->ballot);
    }
    judged->certificate = set;
    if (!tn_ballot_equal(notice->ballot, mine->attempt.ballot) || !majority(judge, set)) {
        object(judge, sight->process, "inv.L3", "an owner without a majority of members",
               notice->ballot);
        return;
    }
    tn_time end = tn__world_real(judge->world, sight->process, notice->deadline);
    for (uint32_t i = 0; i < judge->options->members_count; i++) {
        if (i != self && (set >> i & 1U) != 0 &&
            exclusion_end(judge, mine->attempt.sources[i], name, notice->ballot) < end) {
            object(judge, sight->process, "inv.L4", "an acceptor ends its exclusion too early",
                   notice->ballot);
        }
    }
}

static void judge_alone(struct tn__lease_judge *judge, const struct tn__sight *sight, uint32_t name)
{
    const struct judged_name *judged = &judge->names[name];
    for (uint32_t i = 0; i <= judge->options->members_count; i++) {
        struct tn_lease_view view;
        if (i != sight->process &&
            tn__world_view(judge->world, i, judged->table, judged->bytes, judged->bytes_count,
                           &view) &&
            view.owned != 0) {
            object(judge, sight->process, "inv.L1", "two owners at one instant; the other's is",
                   view.ballot);
        }
    }
}

static void judge_token(struct tn__lease_judge *judge, const struct tn__sight *sight, uint32_t name)
{
    const struct tn_notice *notice = sight->notice;
    struct judged_name *judged = &judge->names[name];
    bool opens = notice->kind != TN_NOTICE_RENEWED;
    if (judge->options->diskless != 0) {
        if (notice->token != 0) {
            object(judge, sight->process, "inv.L11", "a token without durable ceilings",
                   notice->ballot);
        }
        return;
    }
    bool right = opens ? notice->token > judged->token && notice->token == notice->ballot.counter
                       : notice->token == judge->persons[sight->process].names[name].held.token;
    if (!right) {
        object(judge, sight->process, "inv.L11", "a token that does not rise", notice->ballot);
    }
    judged->token = notice->token > judged->token ? notice->token : judged->token;
}

static void on_activation(struct tn__lease_judge *judge, const struct tn__sight *sight,
                          uint32_t name)
{
    const struct tn_notice *notice = sight->notice;
    struct named *mine = &judge->persons[sight->process].names[name];
    tn_time begun = judge->options->members_count == 1 ? sight->local : mine->attempt.prepared;
    if (notice->deadline > begun + table_of(judge, name)->proposer_ns ||
        sight->local >= notice->deadline) {
        object(judge, sight->process, "inv.L2", "t_d is too late, or past", notice->ballot);
    }
    judge_certificate(judge, sight, name, mine);
    judge_alone(judge, sight, name);
    judge_token(judge, sight, name);
    judge->names[name].tenures += notice->kind == TN_NOTICE_OPENED;
    mine->held = (struct held){notice->ballot, notice->deadline, notice->token};
    if (tn_ballot_equal(mine->told, notice->ballot) && mine->told_until <= notice->deadline) {
        mine->told = (struct tn_ballot){0};
    }
}

static void on_notice(struct tn__lease_judge *judge, const struct tn__sight *sight)
{
    const struct tn_notice *notice = sight->notice;
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
        on_activation(judge, sight, name);
        break;
    case TN_NOTICE_LOST:
    case TN_NOTICE_RELEASED:
        judge->persons[sight->process].names[name].held = (struct held){0};
        break;
    default:
        break;
    }
}

/* ---- After each turn: inv.L2, inv.L9, inv.L10 ----------------------------------------------- */

static void judge_view(struct tn__lease_judge *judge, const struct tn__sight *sight, uint32_t name,
                       const struct tn_lease_view *view)
{
    const struct held *held = &judge->persons[sight->process].names[name].held;
    bool holds = !tn_ballot_is_none(held->ballot) && sight->local < held->deadline;
    if (holds) {
        if (view->owned == 0 || view->deadline != held->deadline || view->token != held->token ||
            !tn_ballot_equal(view->ballot, held->ballot)) {
            object(judge, sight->process, "inv.L9", "a lease changed that nothing ended",
                   held->ballot);
        }
        return;
    }
    if (view->owned != 0) {
        object(judge, sight->process, "inv.L2", "owner without, or after, an activation",
               view->ballot);
    }
    const struct tn_lease_table_options *table = table_of(judge, name);
    if (view->certain != 0 || view->deadline != 0 || view->remaining > table->acceptor_ns) {
        object(judge, sight->process, "inv.L10", "a hint that claims too much", view->ballot);
    }
}

/* The views of all names the node knows anything of, and of the others that it knows nothing. */
static void judge_views(struct tn__lease_judge *judge, const struct tn__sight *sight)
{
    static const struct tn_lease_view nothing;
    const struct tn_lease *lease = tn__world_lease(judge->world, sight->process);
    uint32_t seen = 0;
    for (uint32_t table = 0; lease != NULL && table < judge->options->tables_count; table++) {
        struct tn_lease_view view;
        uint32_t cursor = 0;
        while (tn_lease_next(lease, table, &cursor, sight->local, &view)) {
            uint32_t name = find_name(judge, table, view.name, view.name_bytes);
            if (name < TN_JUDGE_NAMES_MAX) {
                judge_view(judge, sight, name, &view);
                seen |= 1U << name;
            }
        }
    }
    for (uint32_t name = 0; name < judge->names_count; name++) {
        if ((seen >> name & 1U) == 0) {
            judge_view(judge, sight, name, &nothing);
        }
    }
}

static void on_turn_ended(struct tn__lease_judge *judge, const struct tn__sight *sight)
{
    for (uint32_t i = 0; i < judge->names_count; i++) {
        struct tn_ballot *told = &judge->persons[sight->process].names[i].told;
        if (!tn_ballot_is_none(*told)) {
            object(judge, sight->process, "inv.L2", "tells of a lease that it does not hold",
                   *told);
            *told = (struct tn_ballot){0};
        }
    }
    judge_views(judge, sight);
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
        judge->persons[sight->process].word = sight->word;
        judge->persons[sight->process].started = sight->local;
        if (sight->process == judge->options->members_count) {
            judge->copied |= 1U << tn__world_member(judge->world, sight->process);
        }
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
            object(judge, sight->process, "wire", "a damaged or misdirected frame is taken",
                   (struct tn_ballot){0});
        }
        break;
    case TN_SIGHT_NOTICE:
        on_notice(judge, sight);
        break;
    case TN_SIGHT_TURN_ENDED:
        on_turn_ended(judge, sight);
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
    for (uint32_t i = 0; i <= judge->options->members_count; i++) {
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
    uint32_t index = find_name(judge, table, name, name_bytes);
    return index == TN_JUDGE_NAMES_MAX ? 0 : judge->names[index].tenures;
}
