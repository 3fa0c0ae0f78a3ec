/* The committed log, executed once more in the plainest way, and what clients were told. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "check/linear.h"
#include "sim/log_judge_internal.h"

/* ---- Replay ---------------------------------------------------------------------------------- */

static struct tn__judged_client *client_of(struct tn__judged_group *group, uint64_t client)
{
    for (uint32_t i = 0; i < TN__JUDGED_CLIENTS_MAX; i++) {
        if (group->clients[i].client == client) {
            return &group->clients[i];
        }
    }
    return NULL;
}

/* Who has not been used for too long is forgotten, and the one longest unused if there are too
 * many and one more comes. */
static void forget_clients(struct tn__log_judge *judge, struct tn__judged_group *group,
                           uint64_t slot, bool room)
{
    const struct tn__log_world_options *options = tn__log_world_options(judge->world);
    struct tn__judged_client *oldest = NULL;
    uint32_t count = 0;
    for (uint32_t i = 0; i < TN__JUDGED_CLIENTS_MAX; i++) {
        struct tn__judged_client *client = &group->clients[i];
        if (client->client != 0 && slot - client->used > options->once_slots) {
            *client = (struct tn__judged_client){0};
        }
        if (client->client != 0) {
            count++;
            oldest = oldest == NULL || client->order < oldest->order ? client : oldest;
        }
    }
    if (room && count == options->once_max) {
        *oldest = (struct tn__judged_client){0};
    }
}

static void apply(struct tn__log_judge *judge, struct tn__judged_group *group,
                  struct tn__judged_slot *slot, uint64_t number)
{
    struct tn__log_operation *operation = &judge->operations[slot->name - 1];
    slot->answer = tn__log_registers_execute(&group->state, &operation->command);
    slot->effect = number;
    if (operation->slot != 0) {
        tn__judge_say(judge, TN_LOG_WORLD_NONE, "inv.P5",
                      "command %" PRIu64 " has its effect in slot %" PRIu64 " and in %" PRIu64,
                      slot->name, operation->slot, number);
    }
    operation->slot = number;
}

/* N4: an id has its effect once. */
static void apply_once(struct tn__log_judge *judge, struct tn__judged_group *group,
                       struct tn__judged_slot *slot, uint64_t number,
                       const struct tn__log_envelope *envelope)
{
    struct tn__judged_client *known = client_of(group, envelope->client);
    if (known == NULL ? envelope->sequence != 1 : envelope->sequence < known->sequence) {
        slot->told = TN__LOG_ANSWER_EVICTED;
        return;
    }
    if (known != NULL && envelope->sequence == known->sequence) {
        slot->told = TN__LOG_ANSWER_REPEATED;
        slot->answer = known->answer;
        slot->effect = known->effect;
        known->used = number;
        known->order = ++group->uses;
        return;
    }
    apply(judge, group, slot, number);
    if (known == NULL) {
        forget_clients(judge, group, number, true);
        known = client_of(group, 0);
        tn_assert(known != NULL);
    }
    *known = (struct tn__judged_client){.client = envelope->client,
                                        .sequence = envelope->sequence,
                                        .used = number,
                                        .order = ++group->uses,
                                        .effect = number,
                                        .answer = slot->answer};
}

/* inv.P5: these bytes are what a client proposed, who was not told that it never will be. */
static bool was_proposed(struct tn__log_judge *judge, uint32_t process, uint32_t group,
                         uint64_t number, const struct tn__log_command *command)
{
    if (command->name == 0 || command->name > judge->operations_count) {
        tn__judge_say(judge, process, "inv.P5", "slot %" PRIu64 " holds what nobody proposed",
                      number);
        return false;
    }
    const struct tn__log_operation *operation = &judge->operations[command->name - 1];
    if (operation->group != group || operation->kind != TN_LOG_OPERATION_COMMAND ||
        memcmp(&operation->command, command, sizeof(*command)) != 0) {
        tn__judge_say(judge, process, "inv.P5",
                      "slot %" PRIu64 " is not what client command %" PRIu64 " said", number,
                      command->name);
        return false;
    }
    if (operation->outcome == TN_LOG_OUTCOME_NOT_CHOSEN) {
        tn__judge_say(judge, process, "N4",
                      "slot %" PRIu64 " holds command %" PRIu64 ", which was called not chosen",
                      number, command->name);
    }
    return true;
}

void tn__judge_replay(struct tn__log_judge *judge, uint32_t process, uint32_t index,
                      uint64_t number, const struct tn_log_value *value, const void *bytes)
{
    struct tn__judged_group *group = &judge->groups[index];
    if (number != group->replayed + 1) {
        return; /* replayed already; a gap is inv.P8's */
    }
    group->replayed = number;
    struct tn__judged_slot *slot = tn__judged_slot_at(judge, index, number);
    struct tn__log_envelope envelope;
    struct tn__log_command command;
    forget_clients(judge, group, number, false);
    if (value->kind == TN_LOG_VALUE_PAYLOAD) {
        if (!tn__log_envelope_read(&envelope, bytes, value->bytes) ||
            !tn__log_command_read(&command, (const uint8_t *)bytes + TN_ENVELOPE_BYTES,
                                  value->bytes - TN_ENVELOPE_BYTES)) {
            tn__judge_say(judge, process, "inv.P5", "slot %" PRIu64 " holds no command", number);
        } else if (was_proposed(judge, process, index, number, &command)) {
            slot->name = command.name;
            if ((envelope.flags & TN_ENVELOPE_ONCE) != 0) {
                apply_once(judge, group, slot, number, &envelope);
            } else {
                apply(judge, group, slot, number);
            }
        }
    }
    slot->state = group->state;
}

void tn__judge_replay_clear(struct tn__log_judge *judge)
{
    for (uint32_t g = 0; g < TN_LOG_WORLD_GROUPS_MAX; g++) {
        free(judge->groups[g].returns);
        judge->groups[g].returns = NULL;
    }
}

/* ---- The witness ----------------------------------------------------------------------------- */

/* The highest slot of what had returned before `called`. */
static uint64_t highest_before(const struct tn__judged_group *group, tn_time called)
{
    uint32_t low = 0;
    uint32_t high = group->returns_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (group->returns[middle].returned < called) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low > 0 ? group->returns[low - 1].slot : 0;
}

static void returned(struct tn__log_judge *judge, uint32_t process,
                     struct tn__log_operation *operation, bool writes)
{
    struct tn__judged_group *group = &judge->groups[operation->group];
    operation->returned = tn__log_world_now(judge->world);
    operation->outcome = TN_LOG_OUTCOME_DONE;
    uint64_t before = highest_before(group, operation->called);
    if (writes ? before >= operation->slot : before > operation->slot) {
        tn__judge_say(judge, process, "Reads 3",
                      "an operation took effect in slot %" PRIu64
                      " and was called after one of slot %" PRIu64 " had returned",
                      operation->slot, before);
    }
    if (group->returns_count == group->returns_room) {
        group->returns_room = group->returns_room == 0 ? 256 : 2 * group->returns_room;
        group->returns = realloc(group->returns, group->returns_room * sizeof(group->returns[0]));
        tn_assert(group->returns != NULL);
    }
    uint64_t highest = group->returns_count > 0 ? group->returns[group->returns_count - 1].slot : 0;
    group->returns[group->returns_count++] =
        (struct tn__judged_return){.returned = operation->returned,
                                   .slot = operation->slot > highest ? operation->slot : highest};
}

/* ---- What clients say ------------------------------------------------------------------------ */

uint64_t tn__log_judge_called(struct tn__log_judge *judge,
                              const struct tn__log_operation *operation)
{
    if (judge->operations_count == judge->operations_room) {
        judge->operations_room = judge->operations_room == 0 ? 1024 : 2 * judge->operations_room;
        judge->operations =
            realloc(judge->operations, judge->operations_room * sizeof(judge->operations[0]));
        tn_assert(judge->operations != NULL);
    }
    uint64_t name = ++judge->operations_count;
    struct tn__log_operation *kept = &judge->operations[name - 1];
    *kept = *operation;
    kept->command.name = name;
    kept->called = tn__log_world_now(judge->world);
    kept->returned = TN_TIME_NEVER;
    kept->slot = 0;
    kept->outcome = TN_LOG_OUTCOME_OPEN;
    return name;
}

static struct tn__log_operation *operation_of(struct tn__log_judge *judge, uint64_t name)
{
    tn_assert(name >= 1 && name <= judge->operations_count);
    return &judge->operations[name - 1];
}

void tn__log_judge_answered(struct tn__log_judge *judge, uint32_t process, uint64_t name,
                            const struct tn__log_answered *answer)
{
    struct tn__log_operation *operation = operation_of(judge, name);
    struct tn__judged_group *group = &judge->groups[operation->group];
    tn_assert(operation->kind == TN_LOG_OPERATION_COMMAND);
    if (answer->slot > group->replayed || group->slots[answer->slot].name != name) {
        tn__judge_say(judge, process, "N4",
                      "command %" PRIu64 " was told slot %" PRIu64 ", where it is not", name,
                      answer->slot);
        return;
    }
    const struct tn__judged_slot *slot = &group->slots[answer->slot];
    uint64_t result = answer->bytes_count == 8 ? tn__get_u64(answer->bytes) : 0;
    if (slot->told != (uint32_t)answer->answer ||
        (slot->told != TN__LOG_ANSWER_EVICTED && slot->answer != result)) {
        tn__judge_say(judge, process, "N4",
                      "command %" PRIu64 " was told another result than slot %" PRIu64 " has", name,
                      answer->slot);
        return;
    }
    if (!slot->is_chosen) {
        tn__judge_say(judge, process, "inv.P4",
                      "slot %" PRIu64 " was acknowledged and is on no majority's disks",
                      answer->slot);
    }
    if (operation->outcome != TN_LOG_OUTCOME_OPEN) {
        return; /* an answer to an earlier try */
    }
    if (slot->told == TN__LOG_ANSWER_EVICTED) {
        operation->outcome = TN_LOG_OUTCOME_EVICTED;
        return;
    }
    operation->result = result;
    operation->slot = slot->effect;
    returned(judge, process, operation, true);
}

void tn__log_judge_read(struct tn__log_judge *judge, uint32_t process, uint64_t name,
                        uint64_t value, uint64_t number)
{
    struct tn__log_operation *operation = operation_of(judge, name);
    struct tn__judged_group *group = &judge->groups[operation->group];
    operation->result = value;
    operation->slot = number;
    const struct tn__log_registers nothing = {0};
    const struct tn__log_registers *state =
        number == 0 || number > group->replayed ? &nothing : &group->slots[number].state;
    if (number > group->replayed || state->values[operation->command.key] != value) {
        tn__judge_say(judge, process, "Reads 3",
                      "a read at slot %" PRIu64 " shows another value than the log", number);
    }
    if (operation->kind == TN_LOG_OPERATION_READ) {
        returned(judge, process, operation, false);
    } else {
        operation->outcome = TN_LOG_OUTCOME_DONE;
    }
}

void tn__log_judge_refused(struct tn__log_judge *judge, uint32_t process, uint64_t name)
{
    struct tn__log_operation *operation = operation_of(judge, name);
    if (operation->slot != 0) {
        tn__judge_say(judge, process, "N4",
                      "command %" PRIu64 " is called not chosen and stands in slot %" PRIu64, name,
                      operation->slot);
    }
    if (operation->outcome == TN_LOG_OUTCOME_OPEN) {
        operation->outcome = TN_LOG_OUTCOME_NOT_CHOSEN;
    }
}

const struct tn__log_operation *tn__log_judge_operation(const struct tn__log_judge *judge,
                                                        uint64_t name)
{
    tn_assert(name >= 1 && name <= judge->operations_count);
    return &judge->operations[name - 1];
}

uint64_t tn__log_judge_operations_count(const struct tn__log_judge *judge)
{
    return judge->operations_count;
}

/* ---- The histories --------------------------------------------------------------------------- */

#define SEARCH_BUDGET 200000U

/* The register operations of a group, as check/linear.h wants them; returns how many. */
static size_t history_of(const struct tn__log_judge *judge, uint32_t group,
                         struct tn__linear_operation *history)
{
    size_t count = 0;
    for (uint64_t i = 0; i < judge->operations_count; i++) {
        const struct tn__log_operation *operation = &judge->operations[i];
        bool is_read = operation->kind == TN_LOG_OPERATION_READ;
        bool done = operation->outcome == TN_LOG_OUTCOME_DONE;
        if (operation->group != group || operation->kind == TN_LOG_OPERATION_STALE ||
            (!is_read && operation->command.kind == TN_LOG_COMMAND_ADD) ||
            (is_read ? !done : !done && operation->slot == 0)) {
            continue; /* what never took effect says nothing */
        }
        history[count++] = (struct tn__linear_operation){
            .called = operation->called,
            .returned = done ? operation->returned : TN_LINEAR_NEVER,
            .index = operation->slot,
            .argument = operation->command.argument,
            .expected = operation->command.expected,
            .result =
                operation->command.kind == TN_LOG_COMMAND_PUT && !is_read ? 0 : operation->result,
            .key = operation->command.key,
            .kind = is_read                                         ? TN_LINEAR_READ
                    : operation->command.kind == TN_LOG_COMMAND_PUT ? TN_LINEAR_PUT
                                                                    : TN_LINEAR_SWAP,
        };
    }
    return count;
}

void tn__log_judge_histories(struct tn__log_judge *judge)
{
    if (judge->operations_count == 0) {
        return;
    }
    struct tn__linear_operation *history =
        calloc((size_t)judge->operations_count, sizeof(history[0]));
    tn_assert(history != NULL);
    for (uint32_t g = 0; g < tn__log_world_options(judge->world)->groups_count; g++) {
        struct tn__linear_report report;
        size_t count = history_of(judge, g, history);
        if (tn__linear_witness(history, count, &report) == TN_LINEAR_NO) {
            tn__judge_say(judge, TN_LOG_WORLD_NONE, "witness", "group %u: %s", g, report.why);
        }
        if (tn__linear_search(history, count, SEARCH_BUDGET, &report) == TN_LINEAR_NO) {
            tn__judge_say(judge, TN_LOG_WORLD_NONE, "linear", "group %u: %s", g, report.why);
        }
    }
    free(history);
}
