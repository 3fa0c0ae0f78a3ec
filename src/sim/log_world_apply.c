/* Payloads of a process, and the queue of committed entries in front of its appliers. */
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/random.h"
#include "sim/log_world_internal.h"

/* ---- Payloads -------------------------------------------------------------------------------- */

static struct tn__log_payload *payload_at(struct tn__log_process *process, uint64_t handle)
{
    tn_assert(handle >= 1 && handle <= process->payloads.used);
    struct tn__log_payload *payload = &process->payloads.list[handle - 1];
    tn_assert(payload->references > 0); /* a handle whose bytes are gone is a bug */
    return payload;
}

uint64_t tn__log_payload_add(struct tn__log_process *process, const void *bytes, uint32_t count)
{
    struct tn__log_payloads *payloads = &process->payloads;
    uint32_t index = payloads->free;
    if (index != TN_LOG_WORLD_NONE) {
        payloads->free = payloads->list[index].next_free;
    } else {
        if (payloads->used == payloads->room) {
            payloads->room = payloads->room == 0 ? 256 : 2 * payloads->room;
            payloads->list =
                tn__log_world_grow(payloads->list, payloads->room * sizeof(payloads->list[0]));
        }
        index = payloads->used++;
        payloads->list[index] = (struct tn__log_payload){0};
    }
    struct tn__log_payload *payload = &payloads->list[index];
    tn_assert(payload->references == 0);
    if (count > payload->room || payload->bytes == NULL) {
        payload->room = count < 128 ? 128 : count;
        payload->bytes = tn__log_world_grow(payload->bytes, payload->room);
    }
    memcpy(payload->bytes, bytes, count);
    payload->count = count;
    payload->references = 1;
    payload->digest = XXH3_64bits(bytes, count);
    payloads->live++;
    return (uint64_t)index + 1;
}

void tn__log_payload_retain(void *process, uint64_t handle)
{
    payload_at(process, handle)->references++;
}

void tn__log_payload_release(void *context, uint64_t handle)
{
    struct tn__log_process *process = context;
    struct tn__log_payload *payload = payload_at(process, handle);
    payload->references--;
    if (payload->references == 0) {
        payload->next_free = process->payloads.free;
        process->payloads.free = (uint32_t)(handle - 1);
        process->payloads.live--;
    }
}

const void *tn__log_payload_bytes(void *process, uint64_t handle)
{
    return payload_at(process, handle)->bytes;
}

/* Of everything that the value is, by a hash that the code under test does not use. */
uint64_t tn__log_value_digest(const struct tn__log_process *process,
                              const struct tn_log_value *value)
{
    uint64_t words[4] = {value->kind, 0, 0, 0};
    if (value->kind == TN_LOG_VALUE_PAYLOAD) {
        words[1] = value->bytes;
        words[2] = payload_at((struct tn__log_process *)(uintptr_t)process, value->handle)->digest;
    } else if (value->kind == TN_LOG_VALUE_CONFIGURATION) {
        words[1] = (uint64_t)value->voters << 32 | value->learners;
        words[2] = (uint64_t)value->version << 32 | value->window_slots;
        words[3] = value->mode;
    }
    return XXH3_64bits(words, sizeof(words));
}

void tn__log_payloads_clear(struct tn__log_process *process)
{
    struct tn__log_payloads *payloads = &process->payloads;
    payloads->free = TN_LOG_WORLD_NONE;
    payloads->live = 0;
    for (uint32_t i = payloads->used; i > 0; i--) {
        payloads->list[i - 1].references = 0;
        payloads->list[i - 1].next_free = payloads->free;
        payloads->free = i - 1;
    }
}

/* ---- Lists of entries ------------------------------------------------------------------------ */

void tn__log_entries_add(struct tn__log_entries *list, const struct tn_log_entry *entry,
                         uint64_t digest)
{
    if (list->begin == list->count) {
        list->begin = list->count = 0;
    }
    if (list->count == list->room) {
        list->room = list->room == 0 ? 64 : 2 * list->room;
        list->entries = tn__log_world_grow(list->entries, list->room * sizeof(list->entries[0]));
        list->digests = tn__log_world_grow(list->digests, list->room * sizeof(list->digests[0]));
    }
    list->entries[list->count] = *entry;
    list->digests[list->count++] = digest;
}

void tn__log_entries_clear(struct tn__log_entries *list)
{
    list->begin = list->count = 0;
}

void tn__log_entries_free(struct tn__log_entries *list)
{
    free(list->entries);
    free(list->digests);
    *list = (struct tn__log_entries){0};
}

/* ---- Appliers -------------------------------------------------------------------------------- */

static void *allocate(void *context, void *block, size_t bytes)
{
    (void)context;
    if (bytes == 0) {
        free(block);
        return NULL;
    }
    return tn__log_world_grow(block, bytes);
}

static int execute(void *data, const struct tn_execution *execution)
{
    struct tn__log_world_group *group = data;
    struct tn__log_world *world = group->process->world;
    struct tn__log_command command;
    uint8_t answer[8] = {0};
    if (world->hooks.retry != NULL &&
        world->hooks.retry(world->hooks.context, group->process->index)) {
        return TN_EXECUTE_RETRY;
    }
    if (tn__log_command_read(&command, execution->bytes, execution->bytes_count)) {
        tn__put_u64(answer, tn__log_registers_execute(&group->registers, &command));
        int error = tn_execution_reply(execution, answer, sizeof(answer));
        tn_assert(error == TN_OK);
    }
    return TN_EXECUTED;
}

static void answered(void *context, uint64_t number, uint64_t slot, enum tn__log_answer answer,
                     const void *result, size_t result_bytes)
{
    struct tn__log_world_group *group = context;
    struct tn__log_world *world = group->process->world;
    uint8_t wrong[8] = {0xff};
    struct tn__log_answered told = {.number = number,
                                    .slot = slot,
                                    .answer = answer,
                                    .bytes_count = (uint32_t)result_bytes,
                                    .bytes = result};
    if (tn__log_world_unsafe(world, TN_LOG_UNSAFE_WRONG_RESULT) &&
        tn__random_below(&world->random, 20) == 0 && result_bytes == sizeof(wrong)) {
        told.bytes = wrong;
    }
    tn__log_world_tell(world,
                       &(struct tn__log_sight){
                           .kind = TN_LOG_SIGHT_ANSWERED, .group = group->index, .answer = &told},
                       group->process->index);
}

static void *context_of(void *context, uint64_t number)
{
    tn_assert(number >= 1);
    return context;
}

void tn__log_apply_open(struct tn__log_world_group *group)
{
    const struct tn__log_world_options *options = &group->process->world->options;
    group->machine = (struct tn_state_machine){
        .id = TN_LOG_REGISTERS_MACHINE, .data = group, .execute = execute};
    struct tn__log_applier_options applier = {
        .group = group->index,
        .node = (tn_node_id)(group->process->index + 1),
        .restart_word = group->process->restart_word,
        .once_slots = options->once_slots,
        .once_max = options->once_max,
        .machines_count = 1,
        .machines = &group->machine,
        .answered = answered,
        .context_of = context_of,
        .context = group,
        .allocate = allocate,
    };
    int error = tn__log_applier_new(&group->applier, &applier);
    tn_assert(error == TN_OK);
    group->registers = (struct tn__log_registers){0};
    group->queued = 0;
    group->apply = (struct tn__log_plan){0};
    tn__log_entries_clear(&group->queue);
}

void tn__log_apply_close(struct tn__log_world_group *group)
{
    tn__log_applier_free(group->applier);
    group->applier = NULL;
    group->apply = (struct tn__log_plan){0};
    tn__log_entries_clear(&group->queue);
}

static void plan_apply(struct tn__log_world_group *group)
{
    struct tn__log_process *process = group->process;
    struct tn__log_world *world = process->world;
    if (group->queue.begin == group->queue.count || group->apply.sequence != 0) {
        return;
    }
    tn_time at = world->hooks.apply_at != NULL
                     ? world->hooks.apply_at(world->hooks.context, process->index, group->index)
                     : world->now + TN__LOG_WORLD_SOON_NS;
    tn__log_world_plan(world, &group->apply, at, TN__LOG_ENTRY_APPLY,
                       process->index * 16 + group->index);
}

/* What is committed, at the start too, where the store shows what the machine may show again. */
void tn__log_apply_commit(struct tn__log_world_group *group, const struct tn_log_entry *entries,
                          uint32_t count)
{
    struct tn__log_process *process = group->process;
    for (uint32_t i = 0; i < count; i++) {
        const struct tn_log_entry *entry = &entries[i];
        if (entry->slot <= group->queued) {
            continue;
        }
        tn_assert(entry->slot == group->queued + 1); /* P8 */
        if (entry->value.handle != 0) {
            tn__log_payload_retain(process, entry->value.handle);
        }
        tn__log_entries_add(&group->queue, entry, tn__log_value_digest(process, &entry->value));
        group->queued = entry->slot;
    }
    plan_apply(group);
}

/* A canary: two neighbours change places, with each other's slots. */
static void maybe_reorder(struct tn__log_world_group *group)
{
    struct tn__log_entries *queue = &group->queue;
    struct tn__log_world *world = group->process->world;
    if (tn__log_world_unsafe(world, TN_LOG_UNSAFE_REORDERED_APPLY) && group->process->index == 0 &&
        queue->count - queue->begin >= 2 && tn__random_below(&world->random, 10) == 0) {
        struct tn_log_entry *first = &queue->entries[queue->begin];
        struct tn_log_value value = first[0].value;
        first[0].value = first[1].value;
        first[1].value = value;
    }
}

void tn__log_apply_run(struct tn__log_world_group *group)
{
    struct tn__log_process *process = group->process;
    struct tn__log_world *world = process->world;
    struct tn__log_entries *queue = &group->queue;
    bool moved = false;
    maybe_reorder(group);
    for (uint32_t i = 0; i < world->options.apply_run && queue->begin < queue->count; i++) {
        const struct tn_log_entry *entry = &queue->entries[queue->begin];
        const void *bytes =
            entry->value.handle != 0 ? tn__log_payload_bytes(process, entry->value.handle) : NULL;
        if (tn__log_applier_execute(group->applier, entry, bytes) != TN__LOG_APPLIED) {
            break;
        }
        moved = true;
        struct tn__log_sight sight = {.kind = TN_LOG_SIGHT_EXECUTED,
                                      .group = group->index,
                                      .entries = entry,
                                      .digests = &queue->digests[queue->begin],
                                      .entries_count = 1};
        tn__log_world_tell(world, &sight, process->index);
        if (entry->value.handle != 0) {
            tn__log_payload_release(process, entry->value.handle);
        }
        queue->begin++;
    }
    plan_apply(group);
    if (moved) {
        tn__log_turn_begin(process);
        struct tn_log_event event = {.kind = TN_LOG_EVENT_APPLIED,
                                     .number = tn__log_applier_slot(group->applier)};
        tn__log_turn_event(process, group->index, &event);
        tn__log_turn_end(process);
    }
}
