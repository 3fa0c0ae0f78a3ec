/* Processes of the world of logs: starting, crashing, pausing, and one turn. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/random.h"
#include "sim/log_world_internal.h"

#define TURNS_UNTIL_WHOLE 256U

/* ---- What the driver asks for ---------------------------------------------------------------- */

bool tn__log_world_effect(struct tn__log_process *process)
{
    if (process->crash_in > 0) {
        process->crash_in--;
        process->is_dying = process->is_dying || process->crash_in == 0;
    }
    return !process->is_dying;
}

static const uint64_t *digests_of(struct tn__log_process *process,
                                  const struct tn_log_entry *entries, uint32_t count)
{
    tn_assert(count <= TN_LOG_RUN_MAX);
    for (uint32_t i = 0; i < count; i++) {
        process->world->decoded_digests[i] = tn__log_value_digest(process, &entries[i].value);
    }
    return process->world->decoded_digests;
}

static void on_append(void *context, const struct tn_log_record *record,
                      const struct tn_log_entry *entries)
{
    struct tn__log_process *process = context;
    if (tn__log_world_effect(process)) {
        tn__log_store_append(process, record, entries);
    }
}

static void on_send(void *context, tn_member_set to, const struct tn_log_message *message,
                    const struct tn_log_entry *entries)
{
    struct tn__log_process *process = context;
    struct tn__log_world *world = process->world;
    if (!tn__log_world_effect(process)) {
        return;
    }
    if (tn__log_world_watched(world, TN_LOG_SIGHT_SENT)) {
        struct tn__log_sight sight = {.kind = TN_LOG_SIGHT_SENT,
                                      .group = message->group,
                                      .word = to,
                                      .message = message,
                                      .entries = entries,
                                      .digests =
                                          digests_of(process, entries, message->entries_count),
                                      .entries_count = message->entries_count};
        tn__log_world_tell(world, &sight, process->index);
    }
    tn__log_frames_post(process, to, message, entries);
}

/* Runs of a commit may be longer than a message's. */
static void on_commit(void *context, uint32_t group, const struct tn_log_entry *entries,
                      uint32_t count)
{
    struct tn__log_process *process = context;
    if (!tn__log_world_effect(process)) {
        return;
    }
    for (uint32_t done = 0; done < count;) {
        uint32_t part = count - done < TN_LOG_RUN_MAX ? count - done : TN_LOG_RUN_MAX;
        struct tn__log_sight sight = {.kind = TN_LOG_SIGHT_COMMIT,
                                      .group = group,
                                      .entries = entries + done,
                                      .digests = digests_of(process, entries + done, part),
                                      .entries_count = part};
        tn__log_world_tell(process->world, &sight, process->index);
        done += part;
    }
    tn__log_apply_commit(&process->groups[group], entries, count);
}

static void on_notify(void *context, uint32_t group, const struct tn_log_notice *notice)
{
    struct tn__log_process *process = context;
    if (!process->is_dying) {
        struct tn__log_sight sight = {
            .kind = TN_LOG_SIGHT_NOTICE, .group = group, .notice = notice};
        tn__log_world_tell(process->world, &sight, process->index);
    }
}

static void on_load(void *context, uint32_t group, const struct tn_log_load *load)
{
    tn__log_store_load(context, group, load);
}

/* ---- Turns ----------------------------------------------------------------------------------- */

void tn__log_turn_begin(struct tn__log_process *process)
{
    tn_assert(process->wal != NULL && !process->is_paused && !process->is_dying);
}

/* Completes the event with the time and randomness. */
void tn__log_turn_event(struct tn__log_process *process, uint32_t group, struct tn_log_event *event)
{
    struct tn__log_world *world = process->world;
    event->now = tn__log_world_local(world, process->index);
    event->random = tn__random_next(&world->random);
    struct tn__log_sight sight = {
        .kind = TN_LOG_SIGHT_EVENT, .group = group, .word = event->kind, .event = event};
    tn__log_world_tell(world, &sight, process->index);
    tn__log_driver_event(process->driver, group, event);
}

static void plan_timer(struct tn__log_process *process)
{
    struct tn__log_world *world = process->world;
    tn_time due = tn__log_driver_deadline(process->driver);
    if (due == process->timer_due && process->timer.sequence != 0) {
        return;
    }
    process->timer_due = due;
    tn_time at =
        due == TN_TIME_NEVER ? due : tn__log_clock_reaches(&process->clock, due, world->now);
    if (at != TN_TIME_NEVER) {
        at = at <= world->now ? world->now + TN__LOG_WORLD_SOON_NS : at;
        if (world->hooks.timer_at != NULL) {
            at = world->hooks.timer_at(world->hooks.context, process->index, at);
        }
    }
    tn__log_world_plan(world, &process->timer, at, TN__LOG_ENTRY_TIMER, process->index);
}

void tn__log_check_whole(struct tn__log_process *process)
{
    tn_time local = tn__log_world_local(process->world, process->index);
    for (uint32_t g = 0; process->wal != NULL && g < process->world->options.groups_count; g++) {
        tn_log_check(process->groups[g].log, local);
        process->groups[g].turns = 0;
    }
}

/* What the turn may have changed is checked after it; all the rest, where only a stray write could
 * do harm, is once in a while, before a crash and at the end. */
static void check_turn(struct tn__log_process *process)
{
    tn_time local = tn__log_world_local(process->world, process->index);
    tn__log_driver_check(process->driver);
    for (uint32_t g = 0; g < process->world->options.groups_count; g++) {
        struct tn__log_world_group *group = &process->groups[g];
        tn__log_check_step(group->log, local, &group->checked);
        group->turns++;
        if (group->turns == TURNS_UNTIL_WHOLE) {
            tn_log_check(group->log, local);
            group->turns = 0;
        }
    }
}

void tn__log_turn_end(struct tn__log_process *process)
{
    struct tn__log_world *world = process->world;
    tn__log_frames_flush(process);
    if (process->is_dying) {
        tn__log_world_crash(world, process->index, process->crash_disk, 0);
        return;
    }
    tn__log_store_heal(process);
    tn__log_store_begin_write(process);
    plan_timer(process);
    check_turn(process);
    struct tn__log_sight sight = {.kind = TN_LOG_SIGHT_TURN_ENDED};
    tn__log_world_tell(world, &sight, process->index);
}

void tn__log_world_fire_timer(struct tn__log_process *process)
{
    struct tn__log_world *world = process->world;
    tn__log_turn_begin(process);
    struct tn__log_sight sight = {.kind = TN_LOG_SIGHT_EVENT, .word = TN_LOG_EVENT_TIMER};
    tn__log_world_tell(world, &sight, process->index);
    process->timer_due = 0;
    tn__log_driver_timers(process->driver, tn__log_world_local(world, process->index),
                          tn__random_next(&world->random), TN_LOG_WORLD_GROUPS_MAX);
    tn__log_turn_end(process);
}

/* One event made by the world, in a turn of its own. */
static void turn_of(struct tn__log_process *process, uint32_t group, struct tn_log_event event)
{
    if (process->wal == NULL || process->is_paused) {
        return;
    }
    tn__log_turn_begin(process);
    tn__log_turn_event(process, group, &event);
    tn__log_turn_end(process);
}

void tn__log_world_connect(struct tn__log_world *world, uint32_t process, uint32_t peer)
{
    if (world->processes[peer].wal == NULL) {
        return;
    }
    for (uint32_t g = 0; g < world->options.groups_count; g++) {
        turn_of(&world->processes[process], g,
                (struct tn_log_event){.kind = TN_LOG_EVENT_CONNECTED, .from = peer});
    }
}

void tn__log_world_tenure(struct tn__log_world *world, uint32_t process, uint32_t group,
                          uint64_t token, tn_time deadline)
{
    turn_of(
        &world->processes[process], group,
        (struct tn_log_event){.kind = TN_LOG_EVENT_TENURE, .token = token, .deadline = deadline});
}

void tn__log_world_hint(struct tn__log_world *world, uint32_t process, uint32_t group,
                        uint32_t leader)
{
    turn_of(&world->processes[process], group,
            (struct tn_log_event){.kind = TN_LOG_EVENT_LEADER, .from = leader});
}

/* ---- Clients --------------------------------------------------------------------------------- */

static struct tn_log_entry proposal_of(struct tn__log_world_group *group,
                                       const struct tn__log_command *command, uint64_t number,
                                       uint64_t client, uint64_t sequence)
{
    struct tn__log_process *process = group->process;
    uint8_t bytes[TN_ENVELOPE_BYTES + TN_LOG_COMMAND_BYTES + UINT16_MAX];
    struct tn__log_envelope envelope = {
        .machine = TN_LOG_REGISTERS_MACHINE,
        .node = (tn_node_id)(process->index + 1),
        .restart_word = process->restart_word,
        .number = number,
        .client = client,
        .sequence = sequence,
    };
    if (client != 0 && !tn__log_world_unsafe(process->world, TN_LOG_UNSAFE_TWICE)) {
        envelope.flags = TN_ENVELOPE_ONCE;
    }
    tn__log_envelope_write(&envelope, bytes);
    uint32_t count =
        TN_ENVELOPE_BYTES + (uint32_t)tn__log_command_write(command, bytes + TN_ENVELOPE_BYTES);
    return (struct tn_log_entry){.value = {.kind = TN_LOG_VALUE_PAYLOAD,
                                           .handle = tn__log_payload_add(process, bytes, count),
                                           .bytes = count,
                                           .digest = tn__crc32c(0, bytes, count)}};
}

uint64_t tn__log_world_propose(struct tn__log_world *world, uint32_t process, uint32_t group,
                               const struct tn__log_command *commands, uint32_t count,
                               uint64_t client, uint64_t sequence)
{
    struct tn__log_world_group *target = &world->processes[process].groups[group];
    struct tn_log_entry entries[16];
    tn_assert(count >= 1 && count <= sizeof(entries) / sizeof(entries[0]));
    tn_assert(tn__log_world_is_up(world, process) && !tn__log_world_is_paused(world, process));
    uint64_t first = target->proposals + 1;
    for (uint32_t i = 0; i < count; i++) {
        entries[i] = proposal_of(target, &commands[i], ++target->proposals, client, sequence);
    }
    turn_of(&world->processes[process], group,
            (struct tn_log_event){.kind = TN_LOG_EVENT_PROPOSE,
                                  .number = first,
                                  .entries = entries,
                                  .entries_count = count});
    return first;
}

uint64_t tn__log_world_read(struct tn__log_world *world, uint32_t process, uint32_t group)
{
    struct tn__log_world_group *target = &world->processes[process].groups[group];
    uint64_t number = ++target->reads;
    turn_of(&world->processes[process], group,
            (struct tn_log_event){.kind = TN_LOG_EVENT_READ, .number = number});
    return number;
}

uint64_t tn__log_world_next_proposal(const struct tn__log_world *world, uint32_t process,
                                     uint32_t group)
{
    return world->processes[process].groups[group].proposals + 1;
}

uint64_t tn__log_world_next_read(const struct tn__log_world *world, uint32_t process,
                                 uint32_t group)
{
    return world->processes[process].groups[group].reads + 1;
}

void tn__log_world_cancel(struct tn__log_world *world, uint32_t process, uint32_t group,
                          uint64_t number)
{
    turn_of(&world->processes[process], group,
            (struct tn_log_event){.kind = TN_LOG_EVENT_CANCEL, .number = number});
}

/* ---- Starting and stopping ------------------------------------------------------------------- */

static void make_driver(struct tn__log_process *process)
{
    struct tn__log_world *world = process->world;
    const struct tn__log_driver_world calls = {
        .context = process,
        .append = on_append,
        .send = on_send,
        .commit = on_commit,
        .notify = on_notify,
        .load = on_load,
        .retain = tn__log_payload_retain,
        .release = tn__log_payload_release,
    };
    process->driver = tn__log_driver_init(process->driver_memory, TN_LOG_WORLD_GROUPS_MAX,
                                          process->index, process->restart_word, &calls);
    for (uint32_t g = 0; g < world->options.groups_count; g++) {
        int error = tn__log_driver_add(process->driver, g, process->groups[g].log,
                                       tn__log_world_local(world, process->index));
        tn_assert(error == TN_OK);
    }
}

int tn__log_world_start(struct tn__log_world *world, uint32_t index)
{
    struct tn__log_process *process = &world->processes[index];
    tn_assert(process->wal == NULL && index < world->options.nodes_count);
    process->starts++;
    process->restart_word = process->starts << 32 | (tn__random_next(&world->random) & 0xffffffffU);
    process->timer = process->write = (struct tn__log_plan){0};
    process->timer_due = 0;
    process->crash_in = 0;
    process->is_dying = process->is_full = process->has_failed = process->is_paused = false;
    process->waiting_count = 0;
    tn__log_payloads_clear(process);
    for (uint32_t g = 0; g < world->options.groups_count; g++) {
        process->groups[g].proposals = process->groups[g].reads = 0;
        process->groups[g].checked = (struct tn__log_checked){0};
        process->groups[g].turns = 0;
    }
    int error = tn__log_store_open(process);
    if (error != TN_OK) {
        tn__log_payloads_clear(process);
        process->restart_word = 0;
        return error;
    }
    make_driver(process);
    struct tn__log_sight sight = {.kind = TN_LOG_SIGHT_STARTED, .word = process->restart_word};
    tn__log_world_tell(world, &sight, index);
    tn__log_turn_begin(process);
    tn__log_turn_end(process);
    return TN_OK;
}

void tn__log_world_crash(struct tn__log_world *world, uint32_t index, enum tn__sim_disk_crash disk,
                         uint64_t operations)
{
    struct tn__log_process *process = &world->processes[index];
    if (process->wal == NULL) {
        return;
    }
    tn__log_check_whole(process);
    process->is_dying = false;
    tn__log_frames_discard(process);
    for (uint32_t i = 0; i < process->waiting_count; i++) {
        world->frames[process->waiting[i]].waiting = 0;
        tn__log_world_drop_frame(world, process->waiting[i]);
    }
    process->waiting_count = 0;
    tn__log_store_crash(process, operations);
    tn__log_store_close(process);
    tn__sim_disk_restart(process->disk, disk);
    for (uint32_t g = 0; g < world->options.groups_count; g++) {
        tn__log_apply_close(&process->groups[g]);
        process->groups[g].log = NULL;
    }
    tn__log_payloads_clear(process);
    process->driver = NULL;
    process->restart_word = 0;
    process->is_paused = false;
    process->crash_in = 0;
    process->timer = process->write = (struct tn__log_plan){0};
    struct tn__log_sight sight = {.kind = TN_LOG_SIGHT_CRASHED};
    tn__log_world_tell(world, &sight, index);
}

void tn__log_world_harmed(struct tn__log_world *world, uint32_t process)
{
    tn_assert(world->processes[process].wal == NULL);
    struct tn__log_sight sight = {.kind = TN_LOG_SIGHT_HARMED};
    tn__log_world_tell(world, &sight, process);
}

void tn__log_world_crash_in(struct tn__log_world *world, uint32_t process, uint32_t effects,
                            enum tn__sim_disk_crash disk)
{
    world->processes[process].crash_in = effects;
    world->processes[process].crash_disk = disk;
}

void tn__log_world_pause(struct tn__log_world *world, uint32_t index)
{
    struct tn__log_process *process = &world->processes[index];
    if (process->wal == NULL || process->is_paused) {
        return;
    }
    process->is_paused = true;
    struct tn__log_sight sight = {.kind = TN_LOG_SIGHT_PAUSED};
    tn__log_world_tell(world, &sight, index);
}

/* What was planned for a paused process came to nothing: it is planned anew. */
static void plan_all_anew(struct tn__log_process *process)
{
    struct tn__log_world *world = process->world;
    for (uint32_t g = 0; g < world->options.groups_count; g++) {
        struct tn__log_world_group *group = &process->groups[g];
        if (group->queue.begin < group->queue.count) {
            tn__log_world_plan(world, &group->apply, world->now, TN__LOG_ENTRY_APPLY,
                               process->index * 16 + g);
        }
    }
    for (uint32_t i = 0; i < TN__LOG_WORLD_LOADS_MAX; i++) {
        if (process->loads[i].load.to != 0) {
            tn__log_world_plan(world, &process->loads[i].plan, world->now, TN__LOG_ENTRY_LOAD,
                               process->index * 16 + i);
        }
    }
    if (process->is_writing) {
        tn__log_world_plan(world, &process->write, world->now, TN__LOG_ENTRY_WRITE, process->index);
    }
}

void tn__log_world_resume(struct tn__log_world *world, uint32_t index, bool frames_first)
{
    struct tn__log_process *process = &world->processes[index];
    if (process->wal == NULL || !process->is_paused) {
        return;
    }
    process->is_paused = false;
    struct tn__log_sight sight = {.kind = TN_LOG_SIGHT_RESUMED};
    tn__log_world_tell(world, &sight, index);
    if (!frames_first) {
        tn__log_world_fire_timer(process);
    }
    /* A frame may crash it; those that wait then are dropped by the crash. */
    while (process->wal != NULL && !process->is_paused && process->waiting_count > 0) {
        uint32_t frame = process->waiting[0];
        process->waiting_count--;
        memmove(process->waiting, process->waiting + 1,
                process->waiting_count * sizeof(process->waiting[0]));
        world->frames[frame].waiting = 0;
        tn__log_frame_arrive(world, frame);
    }
    if (process->wal != NULL) {
        plan_all_anew(process);
    }
    if (process->wal != NULL && frames_first) {
        tn__log_world_fire_timer(process);
    }
}

/* ---- Looking --------------------------------------------------------------------------------- */

bool tn__log_world_is_up(const struct tn__log_world *world, uint32_t process)
{
    return world->processes[process].wal != NULL;
}

bool tn__log_world_is_paused(const struct tn__log_world *world, uint32_t process)
{
    return world->processes[process].is_paused;
}

uint64_t tn__log_world_restart_word(const struct tn__log_world *world, uint32_t process)
{
    return world->processes[process].restart_word;
}

struct tn__sim_disk *tn__log_world_disk(struct tn__log_world *world, uint32_t process)
{
    return world->processes[process].disk;
}

struct tn__sim_disk *tn__log_world_swap_disk(struct tn__log_world *world, uint32_t process,
                                             struct tn__sim_disk *disk)
{
    tn_assert(world->processes[process].wal == NULL);
    struct tn__sim_disk *before = world->processes[process].disk;
    world->processes[process].disk = disk;
    return before;
}

const struct tn_log *tn__log_world_log(const struct tn__log_world *world, uint32_t process,
                                       uint32_t group)
{
    return world->processes[process].groups[group].log;
}

const struct tn__log_registers *tn__log_world_registers(const struct tn__log_world *world,
                                                        uint32_t process, uint32_t group)
{
    return &world->processes[process].groups[group].registers;
}

const void *tn__log_world_bytes(const struct tn__log_world *world, uint32_t process,
                                uint64_t handle)
{
    return tn__log_payload_bytes((void *)(uintptr_t)&world->processes[process], handle);
}

uint64_t tn__log_world_executed(const struct tn__log_world *world, uint32_t process, uint32_t group)
{
    return tn__log_applier_slot(world->processes[process].groups[group].applier);
}

uint64_t tn__log_world_once_digest(const struct tn__log_world *world, uint32_t process,
                                   uint32_t group)
{
    return tn__log_applier_digest(world->processes[process].groups[group].applier);
}

uint64_t tn__log_world_dropped(const struct tn__log_world *world, uint32_t process)
{
    return tn__log_driver_dropped(world->processes[process].driver);
}

bool tn__log_world_has_failed(const struct tn__log_world *world, uint32_t process)
{
    return world->processes[process].has_failed;
}

bool tn__log_world_is_damaged(const struct tn__log_world *world, uint32_t process)
{
    return world->processes[process].is_damaged;
}

uint64_t tn__log_world_batch_bytes(const struct tn__log_world *world, uint32_t process)
{
    return world->processes[process].batch_bytes;
}

uint32_t tn__log_world_payloads(const struct tn__log_world *world, uint32_t process)
{
    return world->processes[process].payloads.live;
}
