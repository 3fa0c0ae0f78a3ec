/* Processes: starting, crashing, pausing, and the turn.
 *
 * A turn is what the runtime does with one event: read the clock once (T1), step, carry out, and
 * send one frame to each peer. Each record asked for, notice given and frame sent is one effect,
 * and a crash may be armed to fall before any of them (fault.C1). */
#include <string.h>

#include <tenure/error.h>

#include "base/assert.h"
#include "base/random.h"
#include "sim/world_internal.h"

bool tn__world_effect(struct tn__world_process *process)
{
    if (process->is_dying) {
        return false;
    }
    if (process->crash_in > 0 && --process->crash_in == 0) {
        process->is_dying = true;
        return false;
    }
    return true;
}

static void on_append(void *context, const struct tn_record *record)
{
    struct tn__world_process *process = context;
    if (!tn__world_effect(process)) {
        return;
    }
    struct tn__sight sight = {.kind = TN_SIGHT_RECORD, .record = record};
    tn__world_tell(process->world, &sight, process->index);
    process->queued = *record;
}

static void on_send(void *context, tn_member_set to, const struct tn_message *message)
{
    tn__world_post(context, to, message);
}

static void on_notify(void *context, const struct tn_notice *notice)
{
    struct tn__world_process *process = context;
    if (!tn__world_effect(process)) {
        return;
    }
    if (notice->kind == TN_NOTICE_JOINED) {
        tn__world_take_list(process, (uint32_t)notice->token);
    }
    struct tn__sight sight = {.kind = TN_SIGHT_NOTICE, .notice = notice};
    tn__world_tell(process->world, &sight, process->index);
}

/* ---- The turn ------------------------------------------------------------------------------- */

/* When the machine wants its timer; a plan of faults may have it early or late (fault.T8). */
static void plan_timer(struct tn__world_process *process)
{
    struct tn__world *world = process->world;
    tn_time due = tn__driver_deadline(process->driver);
    if (due == process->timer_due && process->timer.at != TN_TIME_NEVER &&
        process->timer.at > world->now) {
        return; /* planned already */
    }
    process->timer_due = due;
    process->timer.sequence = ++world->sequence;
    if (due == TN_TIME_NEVER) {
        process->timer.at = TN_TIME_NEVER;
        return;
    }
    tn_time at = tn__world_clock_reaches(&process->clock, due, world->now);
    if (at <= world->now) {
        at = world->now + TN__WORLD_OVERDUE_NS;
    } else if (world->hooks.timer_at != NULL && at != TN_TIME_NEVER) {
        at = world->hooks.timer_at(world->hooks.context, process->index, at);
        tn_assert(at > world->now);
    }
    process->timer.at = at;
}

void tn__world_turn(struct tn__world_process *process, struct tn_event *event)
{
    struct tn__world *world = process->world;
    tn_assert(process->lease != NULL && !process->is_paused);
    world->events++;
    event->now = tn__world_process_local(process); /* T1: once, and now */
    event->random = tn__random_next(&world->random);
    struct tn__sight begun = {.kind = TN_SIGHT_EVENT, .event = event, .word = event->kind};
    tn__world_tell(world, &begun, process->index);

    tn__driver_event(process->driver, event);
    tn_lease_check(process->lease, event->now);
    tn__driver_check(process->driver);
    tn__world_flush(process);
    if (process->is_dying) {
        uint64_t chance = tn__random_next(&world->random);
        tn__world_crash(world, process->index,
                        chance % 2 == 0 ? TN_SIM_DISK_ANY : TN_SIM_DISK_PROCESS_ONLY,
                        chance / 2 % 16);
        return;
    }
    struct tn__sight ended = {.kind = TN_SIGHT_TURN_ENDED, .event = event, .word = event->kind};
    tn__world_tell(world, &ended, process->index);
    tn__world_begin_write(process);
    plan_timer(process);
}

void tn__world_fire_timer(struct tn__world_process *process)
{
    process->timer.at = TN_TIME_NEVER;
    struct tn_event event = {.kind = TN_EVENT_TIMER};
    tn__world_turn(process, &event);
}

/* ---- Starting and crashing ------------------------------------------------------------------ */

int tn__world_start(struct tn__world *world, uint32_t index, bool bootstrap)
{
    struct tn__world_process *process = tn__world_process(world, index);
    tn_assert(process->lease == NULL);
    int error = tn__world_open_words(process, bootstrap);
    if (error != TN_OK) {
        if (process->disk != NULL) {
            tn__sim_disk_restart(process->disk, TN_SIM_DISK_ANY);
        }
        struct tn__sight sight = {.kind = TN_SIGHT_NOT_STARTED, .word = (uint64_t)-error};
        tn__world_tell(world, &sight, index);
        return error;
    }
    struct tn_lease_options options = world->lease_options;
    options.restart_word = process->restart_word;
    options.ceiling = process->words.ceiling;
    options.random = tn__random_next(&world->random);
    if (process->disk != NULL) {
        options.configuration = process->words.configuration;
        options.left = process->words.left;
        memcpy(options.former_quarantine_ns, process->words.quarantine_ns,
               sizeof(options.former_quarantine_ns));
    }
    tn__world_choose_members(process, &options);
    memset(process->memory, 0, world->lease_bytes);
    tn_time now = tn__world_process_local(process);
    process->lease = tn_lease_init(process->memory, &options, now);
    struct tn__driver_world callbacks = {process, on_append, on_send, on_notify};
    tn__driver_init(process->driver, process->lease, &callbacks);
    process->starts++;
    process->crash_in = 0;
    process->is_dying = false;
    process->is_paused = false;
    process->waiting_begin = 0;
    process->waiting_count = 0;
    process->timer_due = 0;
    struct tn__sight sight = {.kind = TN_SIGHT_STARTED, .word = process->restart_word};
    tn__world_tell(world, &sight, index);
    plan_timer(process);
    return TN_OK;
}

void tn__world_crash(struct tn__world *world, uint32_t index, enum tn__sim_disk_crash disk,
                     uint64_t operations)
{
    struct tn__world_process *process = tn__world_process(world, index);
    tn_assert(process->lease != NULL);
    struct tn__sight sight = {.kind = TN_SIGHT_CRASHED, .word = process->restart_word};
    tn__world_tell(world, &sight, index);
    tn__world_discard(process);
    for (uint32_t i = process->waiting_begin; i < process->waiting_count; i++) {
        tn__world_frame(world, process->waiting[i])->waiting = 0;
        tn__world_drop_frame(world, process->waiting[i]);
    }
    tn__world_crash_disk(process, disk, operations);
    process->lease = NULL;
    process->restart_word = 0;
    process->waiting_begin = 0;
    process->waiting_count = 0;
    process->crash_in = 0;
    process->is_dying = false;
    process->is_paused = false;
    process->is_writing = false;
    process->queued.write = 0;
    process->timer.at = TN_TIME_NEVER;
    process->write.at = TN_TIME_NEVER;
}

void tn__world_crash_in(struct tn__world *world, uint32_t process, uint32_t effects)
{
    tn__world_process(world, process)->crash_in = effects;
}

uint32_t tn__world_start_copy(struct tn__world *world, uint32_t index)
{
    uint32_t copy = tn__world_nodes(world);
    struct tn__world_process *process = tn__world_process(world, copy);
    const struct tn__world_process *original = tn__world_process(world, index);
    if (process->lease != NULL || original->disk == NULL || index == copy) {
        return TN_WORLD_NONE;
    }
    tn__sim_disk_free(process->disk);
    process->disk = tn__sim_disk_copy(original->disk, tn__random_next(&world->random));
    process->member = original->member;
    process->clock = original->clock;
    process->read_at = 0;
    return tn__world_start(world, copy, false) == TN_OK ? copy : TN_WORLD_NONE;
}

/* ---- Pausing -------------------------------------------------------------------------------- */

void tn__world_pause(struct tn__world *world, uint32_t index)
{
    struct tn__world_process *process = tn__world_process(world, index);
    if (process->lease == NULL || process->is_paused) {
        return;
    }
    process->is_paused = true;
    process->timer.at = TN_TIME_NEVER;
    if (process->is_writing) {
        process->write.at = TN_TIME_NEVER; /* its completion is seen when the process runs again */
    }
    struct tn__sight sight = {.kind = TN_SIGHT_PAUSED};
    tn__world_tell(world, &sight, index);
}

/* Deliver what arrived during the pause, in the order of arrival; a crash on the way empties it. */
static void deliver_waiting(struct tn__world_process *process)
{
    struct tn__world *world = process->world;
    while (process->waiting_begin < process->waiting_count) {
        uint32_t frame = process->waiting[process->waiting_begin++];
        tn__world_frame(world, frame)->waiting = 0;
        tn__world_arrive(world, frame);
    }
    process->waiting_begin = 0;
    process->waiting_count = 0;
}

void tn__world_resume(struct tn__world *world, uint32_t index, bool frames_first)
{
    struct tn__world_process *process = tn__world_process(world, index);
    if (process->lease == NULL || !process->is_paused) {
        return;
    }
    uint64_t incarnation = process->restart_word;
    process->is_paused = false;
    struct tn__sight sight = {.kind = TN_SIGHT_RESUMED};
    tn__world_tell(world, &sight, index);
    tn_time now = tn__world_process_local(process);
    if (!frames_first && tn__driver_deadline(process->driver) <= now) {
        tn__world_fire_timer(process);
    }
    if (process->restart_word != incarnation) {
        return;
    }
    deliver_waiting(process);
    if (process->restart_word != incarnation) {
        return;
    }
    process->timer_due = 0;
    process->timer.at = TN_TIME_NEVER;
    plan_timer(process);
    if (process->is_writing && world->hooks.write_begun != NULL) {
        world->hooks.write_begun(world->hooks.context, index);
    }
}

/* ---- Requests ------------------------------------------------------------------------------- */

void tn__world_request(struct tn__world *world, uint32_t index, const struct tn_request *request)
{
    struct tn__world_process *process = tn__world_process(world, index);
    if (process->lease == NULL || process->is_paused) {
        return;
    }
    if (request->kind == TN_REQUEST_JOIN && !tn__world_note_list(world, request)) {
        return;
    }
    struct tn_event event = {.kind = TN_EVENT_REQUEST, .request = request};
    tn__world_turn(process, &event);
}

void tn__world_ask(struct tn__world *world, uint32_t process, enum tn_request_kind kind,
                   const char *name)
{
    struct tn_request request = {.kind = (uint8_t)kind, .name_bytes = (uint8_t)strlen(name)};
    tn_assert(strlen(name) >= 1 && strlen(name) <= sizeof(request.name));
    memcpy(request.name, name, strlen(name));
    tn__world_request(world, process, &request);
}

void tn__world_connect(struct tn__world *world, uint32_t index, uint32_t peer)
{
    struct tn__world_process *process = tn__world_process(world, index);
    const struct tn__world_process *other = tn__world_process(world, peer);
    if (process->lease == NULL || process->is_paused || other->lease == NULL ||
        process->member == other->member) {
        return;
    }
    uint32_t place = tn__world_place_of(process, other->member);
    if (place == TN_WORLD_NONE) {
        return;
    }
    struct tn_lease_status status;
    tn_lease_status(other->lease, 0, &status);
    struct tn_event event = {
        .kind = TN_EVENT_CONNECTED,
        .from = place,
        .restart_word = other->restart_word,
        .counter = status.counter,
    };
    tn__world_turn(process, &event);
}
