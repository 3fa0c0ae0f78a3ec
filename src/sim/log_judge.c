/* The judge of logs: acceptors, their disks and messages; the header has the invariants. */
#include "sim/log_judge.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "sim/log_judge_internal.h"

#define BUSY_TIMERS 5000U
#define BUSY_NS TN_MILLISECOND
#define SLOTS_SANE 1000000U

/* ---- Saying ---------------------------------------------------------------------------------- */

void tn__judge_say(struct tn__log_judge *judge, uint32_t process, const char *rule,
                   const char *format, ...)
{
    if (judge->violations_count < TN_LOG_VIOLATIONS_MAX) {
        struct tn__log_violation *violation = &judge->violations[judge->violations_count];
        violation->real = tn__log_world_now(judge->world);
        violation->process = process;
        snprintf(violation->rule, sizeof(violation->rule), "%s", rule);
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(violation->text, sizeof(violation->text), format, arguments);
        va_end(arguments);
    }
    judge->violations_count++;
}

void tn__log_judge_report(struct tn__log_judge *judge, uint32_t process, const char *rule,
                          const char *text)
{
    tn__judge_say(judge, process, rule, "%s", text);
}

uint32_t tn__log_judge_violations_count(const struct tn__log_judge *judge)
{
    return judge->violations_count;
}

const struct tn__log_violation *tn__log_judge_violation(const struct tn__log_judge *judge,
                                                        uint32_t index)
{
    tn_assert(index < judge->violations_count && index < TN_LOG_VIOLATIONS_MAX);
    return &judge->violations[index];
}

/* ---- Slots ----------------------------------------------------------------------------------- */

struct tn__judged_slot *tn__judged_slot_at(struct tn__log_judge *judge, uint32_t group,
                                           uint64_t slot)
{
    struct tn__judged_group *judged = &judge->groups[group];
    tn_assert(slot >= 1 && slot < SLOTS_SANE);
    if (slot >= judged->slots_room) {
        uint64_t room = judged->slots_room == 0 ? 1024 : judged->slots_room;
        while (room <= slot) {
            room *= 2;
        }
        judged->slots = realloc(judged->slots, room * sizeof(judged->slots[0]));
        tn_assert(judged->slots != NULL);
        memset(judged->slots + judged->slots_room, 0,
               (room - judged->slots_room) * sizeof(judged->slots[0]));
        judged->slots_room = room;
    }
    if (slot >= judged->slots_count) {
        judged->slots_count = slot + 1;
    }
    return &judged->slots[slot];
}

static struct tn__judged_try *try_of(struct tn__judged_slot *slot, struct tn_log_ballot ballot)
{
    for (uint32_t i = slot->tries_count; i > 0; i--) {
        if (tn_log_ballot_equal(slot->tries[i - 1].ballot, ballot)) {
            return &slot->tries[i - 1];
        }
    }
    return NULL;
}

static struct tn__judged_try *try_add(struct tn__judged_slot *slot, struct tn_log_ballot ballot,
                                      uint64_t digest)
{
    if (slot->tries_count == slot->tries_room) {
        slot->tries_room = slot->tries_room == 0 ? 2 : 2 * slot->tries_room;
        slot->tries = realloc(slot->tries, slot->tries_room * sizeof(slot->tries[0]));
        tn_assert(slot->tries != NULL);
    }
    slot->tries[slot->tries_count] = (struct tn__judged_try){.ballot = ballot, .digest = digest};
    return &slot->tries[slot->tries_count++];
}

/* A majority has it on disk under this ballot. */
static void choose(struct tn__log_judge *judge, uint32_t process, uint64_t number,
                   struct tn__judged_slot *slot, const struct tn__judged_try *try)
{
    if (slot->is_chosen && slot->chosen != try->digest) {
        tn__judge_say(judge, process, "inv.P1", "slot %" PRIu64 " is chosen twice, differently",
                      number);
    }
    if (!slot->is_chosen || tn_log_ballot_compare(try->ballot, slot->chosen_under) < 0) {
        slot->chosen_under = try->ballot;
    }
    if (!slot->is_chosen) {
        slot->is_chosen = true;
        slot->chosen = try->digest;
    }
    for (uint32_t i = 0; i < slot->tries_count; i++) {
        if (tn_log_ballot_compare(slot->tries[i].ballot, slot->chosen_under) > 0 &&
            slot->tries[i].digest != slot->chosen) {
            tn__judge_say(judge, process, "inv.P1",
                          "slot %" PRIu64 " is chosen, and another value stands under a higher "
                          "ballot",
                          number);
        }
    }
}

/* A value came onto a node's disk under a ballot. */
static void accept(struct tn__log_judge *judge, uint32_t process, uint32_t group,
                   struct tn_log_ballot ballot, const struct tn_log_entry *entry, uint64_t digest)
{
    struct tn__judged_slot *slot = tn__judged_slot_at(judge, group, entry->slot);
    struct tn__judged_try *try = try_of(slot, ballot);
    struct tn__judged_copy *copy = &slot->copies[process];
    if (try == NULL) {
        try = try_add(slot, ballot, digest);
        if (slot->is_chosen && digest != slot->chosen &&
            tn_log_ballot_compare(ballot, slot->chosen_under) > 0) {
            tn__judge_say(judge, process, "inv.P1",
                          "slot %" PRIu64 " is chosen, and another value is accepted under a "
                          "higher ballot",
                          entry->slot);
        }
    } else if (try->digest != digest) {
        tn__judge_say(judge, process, "inv.P1", "slot %" PRIu64 " has two values under one ballot",
                      entry->slot);
    }
    try->durable |= 1U << process;
    copy->ballot = ballot;
    copy->digest = digest;
    copy->is_there = true;
    uint32_t voters = (uint32_t)__builtin_popcount(try->durable & judge->voters);
    if (voters >= judge->quorum) {
        choose(judge, process, entry->slot, slot, try);
    }
}

static void learn(struct tn__log_judge *judge, uint32_t process, uint32_t group,
                  const struct tn_log_entry *entry, uint64_t digest)
{
    struct tn__judged_slot *slot = tn__judged_slot_at(judge, group, entry->slot);
    if (!slot->is_chosen || slot->chosen != digest) {
        tn__judge_say(judge, process, "C2", "slot %" PRIu64 " was learned as %s", entry->slot,
                      slot->is_chosen ? "another value than was chosen" : "committed and is not");
    }
    slot->copies[process] = (struct tn__judged_copy){
        .ballot = entry->ballot,
        .digest = digest,
        .promised = judge->groups[group].nodes[process].durable,
        .is_there = true,
        .is_learned = true,
    };
}

/* ---- Disks ----------------------------------------------------------------------------------- */

static void raise_promise(struct tn_log_ballot *promise, struct tn_log_ballot ballot)
{
    if (tn_log_ballot_compare(ballot, *promise) > 0) {
        *promise = ballot;
    }
}

static void see_durable(struct tn__log_judge *judge, const struct tn__log_sight *sight)
{
    const struct tn_log_record *record = sight->record;
    struct tn__judged_node *node = &judge->groups[sight->group].nodes[sight->process];
    if (record->kind == TN_LOG_RECORD_LEARN) {
        for (uint32_t i = 0; i < sight->entries_count; i++) {
            learn(judge, sight->process, sight->group, &sight->entries[i], sight->digests[i]);
        }
        return;
    }
    if (tn_log_ballot_compare(record->ballot, node->said) < 0) {
        tn__judge_say(judge, sight->process, "inv.P2",
                      "a record goes below a promise that was said");
    }
    raise_promise(&node->durable, record->ballot);
    for (uint32_t i = 0; i < sight->entries_count; i++) {
        accept(judge, sight->process, sight->group, record->ballot, &sight->entries[i],
               sight->digests[i]);
    }
}

/* What a restart found against what was durable before. */
static void see_recovered(struct tn__log_judge *judge, const struct tn__log_sight *sight)
{
    struct tn__judged_group *group = &judge->groups[sight->group];
    struct tn__judged_node *node = &group->nodes[sight->process];
    const struct tn_log_recovered *found = sight->recovered;
    bool whole = found->damaged == 0;
    if (whole && tn_log_ballot_compare(found->promise, node->durable) < 0) {
        tn__judge_say(judge, sight->process, "inv.P2", "a restart found a lower promise");
    }
    struct tn__judged_copy *before = calloc(group->slots_count + 1, sizeof(*before));
    tn_assert(before != NULL);
    for (uint64_t s = 1; s < group->slots_count; s++) {
        before[s] = group->slots[s].copies[sight->process];
        group->slots[s].copies[sight->process] = (struct tn__judged_copy){0};
    }
    uint64_t known = group->slots_count;
    for (uint32_t i = 0; i < sight->entries_count; i++) {
        accept(judge, sight->process, sight->group, sight->entries[i].ballot, &sight->entries[i],
               sight->digests[i]);
        tn__judged_slot_at(judge, sight->group, sight->entries[i].slot)
            ->copies[sight->process]
            .is_learned = sight->entries[i].slot <= found->committed;
    }
    if (!whole && (judge->harmed >> sight->process & 1U) == 0) {
        tn__judge_say(judge, sight->process, "inv.P4", "a disk that never lied is called damaged");
    }
    for (uint64_t s = 1; whole && s < known; s++) {
        const struct tn__judged_copy *now = &group->slots[s].copies[sight->process];
        if (before[s].is_there &&
            (!now->is_there || tn_log_ballot_compare(now->ballot, before[s].ballot) < 0) &&
            !(now->is_there && (before[s].is_learned || now->is_learned))) {
            tn__judge_say(judge, sight->process, "inv.P4",
                          "a restart did not find slot %" PRIu64 ", which was durable", s);
            break;
        }
    }
    free(before);
    node->durable = found->promise;
    node->seen = found->promise;
    node->ready = (struct tn_log_ballot){0};
    node->committed = found->committed;
    node->executed = 0;
    node->token = 0;
    node->deadline = 0;
}

/* ---- Messages -------------------------------------------------------------------------------- */

/* inv.P3: what it promises is on disk, and it tells of all that was accepted in its range. */
static void see_promise(struct tn__log_judge *judge, const struct tn__log_sight *sight)
{
    const struct tn_log_message *message = sight->message;
    struct tn__judged_group *group = &judge->groups[sight->group];
    struct tn__judged_node *node = &group->nodes[sight->process];
    if (tn_log_ballot_compare(message->ballot, node->durable) > 0) {
        tn__judge_say(judge, sight->process, "inv.P3", "a promise is said before it is on disk");
    }
    raise_promise(&node->said, message->ballot);
    uint64_t end = message->slot_end < group->slots_count ? message->slot_end : group->slots_count;
    uint64_t from = message->slot > message->committed ? message->slot : message->committed + 1;
    uint32_t at = 0;
    for (uint64_t s = from; s < end; s++) {
        const struct tn__judged_copy *copy = &group->slots[s].copies[sight->process];
        while (at < sight->entries_count && sight->entries[at].slot < s) {
            at++;
        }
        bool told = at < sight->entries_count && sight->entries[at].slot == s;
        struct tn_log_ballot under = copy->is_learned ? copy->promised : copy->ballot;
        if (!copy->is_there || tn_log_ballot_compare(copy->ballot, message->ballot) >= 0 ||
            tn_log_ballot_compare(under, message->ballot) >= 0) {
            continue; /* it came after the promise was made, which waited for the disk since */
        }
        if (!told) {
            tn__judge_say(judge, sight->process, "inv.P3",
                          "a promise does not tell of slot %" PRIu64 ", which was accepted", s);
            return;
        }
        if (tn_log_ballot_compare(sight->entries[at].ballot, copy->ballot) < 0) {
            tn__judge_say(judge, sight->process, "inv.P3",
                          "a promise tells of slot %" PRIu64 " under an older ballot", s);
            return;
        }
    }
}

static void see_accepted(struct tn__log_judge *judge, const struct tn__log_sight *sight)
{
    const struct tn_log_message *message = sight->message;
    struct tn__judged_group *group = &judge->groups[sight->group];
    for (uint64_t s = message->slot; s < message->slot_end; s++) {
        bool is_known = s < group->slots_count;
        const struct tn__judged_copy *copy =
            is_known ? &group->slots[s].copies[sight->process] : NULL;
        if (s <= group->nodes[sight->process].committed) {
            continue;
        }
        if (!is_known || !copy->is_there ||
            (!copy->is_learned && tn_log_ballot_compare(copy->ballot, message->ballot) < 0)) {
            tn__judge_say(judge, sight->process, "inv.P3",
                          "slot %" PRIu64 " is called accepted before it is on disk", s);
            return;
        }
    }
    raise_promise(&group->nodes[sight->process].said, message->ballot);
}

static void see_sent(struct tn__log_judge *judge, const struct tn__log_sight *sight)
{
    const struct tn_log_message *message = sight->message;
    const struct tn__judged_node *node = &judge->groups[sight->group].nodes[sight->process];
    switch (message->kind) {
    case TN_LOG_PROMISE:
        see_promise(judge, sight);
        break;
    case TN_LOG_ACCEPTED:
        see_accepted(judge, sight);
        break;
    case TN_LOG_FETCHED:
        for (uint32_t i = 0; i < sight->entries_count; i++) {
            const struct tn__judged_slot *slot =
                tn__judged_slot_at(judge, sight->group, sight->entries[i].slot);
            if (!slot->is_chosen || slot->chosen != sight->digests[i]) {
                tn__judge_say(judge, sight->process, "C2",
                              "slot %" PRIu64 " is handed on and was not chosen so",
                              sight->entries[i].slot);
            }
        }
        break;
    case TN_LOG_PREPARE:
        if (tn__log_world_options(judge->world)->modes[sight->group] == TN_LOG_MODE_LEASED &&
            (message->ballot.token != node->token || node->deadline <= sight->local)) {
            tn__judge_say(judge, sight->process, "N1", "Phase 1 outside the tenure");
        }
        break;
    default:
        break;
    }
}

/* ---- Commits and states ---------------------------------------------------------------------- */

static void see_commit(struct tn__log_judge *judge, const struct tn__log_sight *sight)
{
    struct tn__judged_node *node = &judge->groups[sight->group].nodes[sight->process];
    for (uint32_t i = 0; i < sight->entries_count; i++) {
        const struct tn_log_entry *entry = &sight->entries[i];
        const struct tn__judged_slot *slot = tn__judged_slot_at(judge, sight->group, entry->slot);
        if (entry->slot > node->committed + 1) {
            tn__judge_say(judge, sight->process, "inv.P8",
                          "slot %" PRIu64 " is committed after slot %" PRIu64, entry->slot,
                          node->committed);
        }
        node->committed = entry->slot > node->committed ? entry->slot : node->committed;
        if (!slot->is_chosen) {
            tn__judge_say(judge, sight->process, "inv.P9",
                          "slot %" PRIu64 " is committed and no majority has it on disk",
                          entry->slot);
            continue;
        }
        if (slot->chosen != sight->digests[i]) {
            tn__judge_say(judge, sight->process, "inv.P1",
                          "slot %" PRIu64 " is committed with another value than was chosen",
                          entry->slot);
            continue;
        }
        tn__judge_replay(
            judge, sight->process, sight->group, entry->slot, &entry->value,
            entry->value.handle != 0
                ? tn__log_world_bytes(judge->world, sight->process, entry->value.handle)
                : NULL);
    }
}

static void see_executed(struct tn__log_judge *judge, const struct tn__log_sight *sight)
{
    const struct tn_log_entry *entry = &sight->entries[0];
    struct tn__judged_group *group = &judge->groups[sight->group];
    struct tn__judged_node *node = &group->nodes[sight->process];
    if (entry->slot != node->executed + 1) {
        tn__judge_say(judge, sight->process, "inv.P8",
                      "slot %" PRIu64 " is executed after slot %" PRIu64, entry->slot,
                      node->executed);
    }
    node->executed = entry->slot;
    const struct tn__judged_slot *slot = tn__judged_slot_at(judge, sight->group, entry->slot);
    if (group->replayed < entry->slot) {
        tn__judge_say(judge, sight->process, "inv.P9",
                      "slot %" PRIu64 " is executed and nobody has committed it", entry->slot);
        return;
    }
    if (slot->chosen != sight->digests[0] ||
        memcmp(&slot->state, tn__log_world_registers(judge->world, sight->process, sight->group),
               sizeof(slot->state)) != 0) {
        tn__judge_say(judge, sight->process, "inv.P6",
                      "the state after slot %" PRIu64 " is not that of the others", entry->slot);
    }
}

/* inv.P7: all that was chosen under lower ballots is committed and applied here. */
static void see_ready(struct tn__log_judge *judge, uint32_t process, uint32_t group,
                      const struct tn_log_status *status)
{
    const struct tn__judged_group *judged = &judge->groups[group];
    for (uint64_t s = judged->slots_count; s > 1; s--) {
        const struct tn__judged_slot *slot = &judged->slots[s - 1];
        if (slot->is_chosen && tn_log_ballot_compare(slot->chosen_under, status->ballot) < 0) {
            if (s - 1 > status->committed || s - 1 > status->applied) {
                tn__judge_say(judge, process, "inv.P7",
                              "ready, with slot %" PRIu64 " chosen before and not applied", s - 1);
            }
            return;
        }
    }
}

static void see_status(struct tn__log_judge *judge, const struct tn__log_sight *sight,
                       uint32_t group)
{
    struct tn__judged_node *node = &judge->groups[group].nodes[sight->process];
    struct tn_log_status status;
    tn_log_status(tn__log_world_log(judge->world, sight->process, group), sight->local, &status);
    if (tn_log_ballot_compare(status.promise, node->seen) < 0) {
        tn__judge_say(judge, sight->process, "inv.P2", "a promise went down");
    }
    node->seen = status.promise;
    if (status.committed > 0) {
        struct tn__judged_slot *slot = tn__judged_slot_at(judge, group, status.committed);
        if (slot->has_checksum && slot->checksum != status.checksum) {
            tn__judge_say(judge, sight->process, "inv.P6",
                          "the chain at slot %" PRIu64 " differs between nodes", status.committed);
        }
        slot->checksum = status.checksum;
        slot->has_checksum = true;
    }
    if (status.ready != 0 && !tn_log_ballot_equal(status.ballot, node->ready)) {
        node->ready = status.ballot;
        see_ready(judge, sight->process, group, &status);
    }
}

static void see_event(struct tn__log_judge *judge, const struct tn__log_sight *sight)
{
    uint32_t process = sight->process;
    if (sight->word == TN_LOG_EVENT_TENURE) {
        struct tn__judged_node *node = &judge->groups[sight->group].nodes[process];
        node->token = sight->event->token;
        node->deadline = sight->event->deadline;
    }
    if (sight->word != TN_LOG_EVENT_TIMER) {
        judge->timers[process] = 0;
        return;
    }
    if (judge->timers[process] == 0 || sight->real - judge->timer_at[process] > BUSY_NS) {
        judge->timers[process] = 0;
        judge->timer_at[process] = sight->real;
    }
    if (++judge->timers[process] == BUSY_TIMERS) {
        tn__judge_say(judge, process, "busy", "a timer fires for ever");
    }
}

void tn__log_judge_see(void *context, const struct tn__log_sight *sight)
{
    struct tn__log_judge *judge = context;
    switch (sight->kind) {
    case TN_LOG_SIGHT_RECOVERED:
        see_recovered(judge, sight);
        break;
    case TN_LOG_SIGHT_HARMED:
        judge->harmed |= 1U << sight->process;
        break;
    case TN_LOG_SIGHT_DURABLE:
        see_durable(judge, sight);
        break;
    case TN_LOG_SIGHT_SENT:
        see_sent(judge, sight);
        break;
    case TN_LOG_SIGHT_COMMIT:
        see_commit(judge, sight);
        break;
    case TN_LOG_SIGHT_EXECUTED:
        see_executed(judge, sight);
        break;
    case TN_LOG_SIGHT_EVENT:
        see_event(judge, sight);
        break;
    case TN_LOG_SIGHT_DELIVERED:
        if (sight->frame->damaged != 0 || sight->frame->foreign != 0) {
            tn__judge_say(judge, sight->process, "wire", "a damaged or foreign frame was taken");
        }
        break;
    case TN_LOG_SIGHT_TURN_ENDED:
        for (uint32_t g = 0; g < tn__log_world_options(judge->world)->groups_count; g++) {
            see_status(judge, sight, g);
        }
        break;
    default:
        break;
    }
}

/* ---- Life ------------------------------------------------------------------------------------ */

struct tn__log_judge *tn__log_judge_new(void)
{
    struct tn__log_judge *judge = calloc(1, sizeof(*judge));
    tn_assert(judge != NULL);
    return judge;
}

static void clear(struct tn__log_judge *judge)
{
    tn__judge_replay_clear(judge);
    for (uint32_t g = 0; g < TN_LOG_WORLD_GROUPS_MAX; g++) {
        struct tn__judged_group *group = &judge->groups[g];
        for (uint64_t s = 0; s < group->slots_count; s++) {
            free(group->slots[s].tries);
        }
        struct tn__judged_slot *slots = group->slots;
        uint64_t room = group->slots_room;
        uint64_t used = group->slots_count;
        *group = (struct tn__judged_group){.slots = slots, .slots_room = room};
        if (used > 0) {
            memset(slots, 0, used * sizeof(slots[0]));
        }
    }
}

void tn__log_judge_free(struct tn__log_judge *judge)
{
    if (judge == NULL) {
        return;
    }
    clear(judge);
    for (uint32_t g = 0; g < TN_LOG_WORLD_GROUPS_MAX; g++) {
        free(judge->groups[g].slots);
    }
    free(judge->operations);
    free(judge);
}

void tn__log_judge_begin(struct tn__log_judge *judge, struct tn__log_world *world)
{
    clear(judge);
    judge->world = world;
    judge->operations_count = 0;
    judge->violations_count = 0;
    judge->harmed = 0;
    memset(judge->timers, 0, sizeof(judge->timers));
    judge->voters = tn__log_world_options(world)->log.voters;
    judge->quorum = (uint32_t)__builtin_popcount(judge->voters) / 2 + 1;
    struct tn__log_observer observer = {.context = judge, .see = tn__log_judge_see};
    observer.kinds =
        tn__log_sight_bit(TN_LOG_SIGHT_HARMED) | tn__log_sight_bit(TN_LOG_SIGHT_RECOVERED) |
        tn__log_sight_bit(TN_LOG_SIGHT_DURABLE) | tn__log_sight_bit(TN_LOG_SIGHT_SENT) |
        tn__log_sight_bit(TN_LOG_SIGHT_COMMIT) | tn__log_sight_bit(TN_LOG_SIGHT_EXECUTED) |
        tn__log_sight_bit(TN_LOG_SIGHT_EVENT) | tn__log_sight_bit(TN_LOG_SIGHT_DELIVERED) |
        tn__log_sight_bit(TN_LOG_SIGHT_TURN_ENDED);
    tn__log_world_add_observer(world, &observer);
}

uint64_t tn__log_judge_committed(const struct tn__log_judge *judge, uint32_t group)
{
    return judge->groups[group].replayed;
}
