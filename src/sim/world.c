/* The world: memory, the queue of events, the loop. The header tells the theory. */
#include "sim/world.h"

#include <stdlib.h>
#include <string.h>

#include <tenure/error.h>

#include "base/assert.h"
#include "base/random.h"
#include "sim/world_internal.h"

struct tn__world_process *tn__world_process(const struct tn__world *world, uint32_t process)
{
    tn_assert(process < world->processes_count);
    return (struct tn__world_process *)(uintptr_t)&world->processes[process];
}

void tn__world_tell(struct tn__world *world, struct tn__sight *sight, uint32_t index)
{
    uint32_t kind = tn__sight_bit((enum tn__sight_kind)sight->kind);
    if ((world->sights & kind) == 0) {
        return;
    }
    struct tn__world_process *process = tn__world_process(world, index);
    sight->process = index;
    sight->real = world->now;
    sight->local = process->lease != NULL ? tn__world_process_local(process) : 0;
    for (uint32_t i = 0; i < world->observers_count; i++) {
        const struct tn__world_observer *observer = &world->observers[i];
        if ((observer->kinds & kind) != 0) {
            observer->see(observer->context, sight);
        }
    }
}

/* ---- The queue of events -------------------------------------------------------------------- */

static bool is_before(const struct tn__world_entry *a, const struct tn__world_entry *b)
{
    return a->at != b->at ? a->at < b->at : a->sequence < b->sequence;
}

void tn__world_push(struct tn__world *world, const struct tn__world_entry *entry)
{
    if (world->entries_count == world->entries_room) {
        uint32_t room = world->entries_room == 0 ? 1024 : 2 * world->entries_room;
        void *grown = realloc(world->entries, room * sizeof(*entry));
        tn_assert(grown != NULL);
        world->entries = grown;
        world->entries_room = room;
    }
    struct tn__world_entry added = *entry;
    added.sequence = ++world->sequence;
    uint32_t place = world->entries_count++;
    while (place > 0 && is_before(&added, &world->entries[(place - 1) / 2])) {
        world->entries[place] = world->entries[(place - 1) / 2];
        place = (place - 1) / 2;
    }
    world->entries[place] = added;
}

static void pop(struct tn__world *world)
{
    tn_assert(world->entries_count > 0);
    struct tn__world_entry last = world->entries[--world->entries_count];
    uint32_t place = 0;
    for (;;) {
        uint32_t child = 2 * place + 1;
        if (child >= world->entries_count) {
            break;
        }
        if (child + 1 < world->entries_count &&
            is_before(&world->entries[child + 1], &world->entries[child])) {
            child++;
        }
        if (!is_before(&world->entries[child], &last)) {
            break;
        }
        world->entries[place] = world->entries[child];
        place = child;
    }
    world->entries[place] = last;
}

/* Entries of frames that were dropped or planned anew are left behind; they mean nothing. */
static bool is_stale(const struct tn__world *world, const struct tn__world_entry *entry)
{
    const struct tn__world_frame *frame = &world->frames[entry->frame];
    return entry->kind == TN__WORLD_ENTRY_FRAME &&
           (frame->serial != entry->word || frame->due != entry->at);
}

/* ---- The loop ------------------------------------------------------------------------------- */

/* What is next: an entry of the heap, or the timer or write of a process. */
struct next {
    struct tn__world_plan plan;
    struct tn__world_process *timer; /* one of these three */
    struct tn__world_process *write;
    const struct tn__world_entry *entry;
};

static bool plan_is_before(const struct tn__world_plan *a, const struct tn__world_plan *b)
{
    return a->at != b->at ? a->at < b->at : a->sequence < b->sequence;
}

static struct next find_next(struct tn__world *world)
{
    struct next next = {.plan = {.at = TN_TIME_NEVER, .sequence = UINT64_MAX}};
    while (world->entries_count > 0 && is_stale(world, &world->entries[0])) {
        pop(world);
    }
    if (world->entries_count > 0) {
        next.entry = &world->entries[0];
        next.plan.at = next.entry->at;
        next.plan.sequence = next.entry->sequence;
    }
    for (uint32_t i = 0; i < world->processes_count; i++) {
        struct tn__world_process *process = &world->processes[i];
        if (process->timer.at != TN_TIME_NEVER && plan_is_before(&process->timer, &next.plan)) {
            next = (struct next){.plan = process->timer, .timer = process};
        }
        if (process->write.at != TN_TIME_NEVER && plan_is_before(&process->write, &next.plan)) {
            next = (struct next){.plan = process->write, .write = process};
        }
    }
    return next;
}

static void carry_out_entry(struct tn__world *world, struct tn__world_entry entry)
{
    pop(world);
    if (entry.kind == TN__WORLD_ENTRY_FRAME) {
        tn__world_deliver_frame(world, entry.frame);
        return;
    }
    world->events++;
    struct tn__sight sight = {.kind = TN_SIGHT_WAKE, .word = entry.word};
    tn__world_tell(world, &sight, 0);
    if (world->hooks.woken != NULL) {
        world->hooks.woken(world->hooks.context, entry.word);
    }
}

bool tn__world_step(struct tn__world *world, tn_time until)
{
    struct next next = find_next(world);
    if (next.plan.at == TN_TIME_NEVER || next.plan.at > until) {
        world->now = until > world->now ? until : world->now;
        return false;
    }
    world->now = next.plan.at > world->now ? next.plan.at : world->now;
    if (next.timer != NULL) {
        tn__world_fire_timer(next.timer);
    } else if (next.write != NULL) {
        tn__world_finish_write(world, next.write->index);
    } else {
        carry_out_entry(world, *next.entry);
    }
    return true;
}

void tn__world_run(struct tn__world *world, tn_time until)
{
    while (tn__world_step(world, until)) {
    }
}

void tn__world_wake(struct tn__world *world, tn_time at, uint64_t code)
{
    struct tn__world_entry entry = {
        .at = at > world->now ? at : world->now, .word = code, .kind = TN__WORLD_ENTRY_WAKE};
    tn__world_push(world, &entry);
}

/* ---- Memory --------------------------------------------------------------------------------- */

struct tn__world *tn__world_new(void)
{
    struct tn__world *world = calloc(1, sizeof(*world));
    tn_assert(world != NULL);
    return world;
}

static void release_processes(struct tn__world *world)
{
    for (uint32_t i = 0; i < TN_WORLD_PROCESSES_MAX; i++) {
        struct tn__world_process *process = &world->processes[i];
        if (process->disk != NULL) {
            tn__sim_disk_free(process->disk);
            process->disk = NULL;
        }
        free(process->memory);
        process->memory = NULL;
        process->lease = NULL;
    }
}

void tn__world_free(struct tn__world *world)
{
    if (world == NULL) {
        return;
    }
    release_processes(world);
    for (uint32_t i = 0; i < TN_WORLD_PROCESSES_MAX; i++) {
        free(world->processes[i].driver);
    }
    free(world->entries);
    free(world);
}

static int complete_options(struct tn__world *world, const struct tn__world_options *options,
                            char *why, size_t why_size)
{
    struct tn_lease_options *lease = &world->lease_options;
    *lease = (struct tn_lease_options){
        .members_count = options->nodes_count,
        .drift_ppm = options->drift_ppm,
        .restart_word = 1,
        .diskless = options->diskless,
        .tables_count = options->tables_count,
    };
    memcpy(lease->tables, options->tables, sizeof(lease->tables));
    for (uint32_t i = 0; i < options->nodes_count && i < TN_MEMBERS_MAX; i++) {
        lease->members[i] = (tn_node_id)(i + 1);
    }
    int error = tn_lease_options_complete(lease, why, why_size);
    if (error == TN_OK && options->standby_count > TN_MEMBERS_MAX - options->nodes_count) {
        return TN_ERROR_INVALID;
    }
    if (options->unchecked != 0) { /* a canary: the durations as given, right or wrong */
        for (uint32_t i = 0; i < lease->tables_count; i++) {
            lease->tables[i].acceptor_ns = options->tables[i].acceptor_ns;
            lease->tables[i].quarantine_ns = options->tables[i].quarantine_ns;
        }
        return TN_OK;
    }
    return error;
}

static void reset_process(struct tn__world *world, uint32_t index)
{
    struct tn__world_process *process = &world->processes[index];
    struct tn__driver *driver = process->driver;
    memset(process, 0, offsetof(struct tn__world_process, waiting));
    process->is_writing = process->is_paused = process->is_dying = false;
    process->building = 0;
    process->world = world;
    process->index = index;
    process->member = index < tn__world_nodes(world) ? index : 0;
    process->timer.at = TN_TIME_NEVER;
    process->write.at = TN_TIME_NEVER;
    process->clock =
        (struct tn__world_clock){.since = world->now, .base = world->now, .rate_ppm = 1000000};
    process->driver = driver != NULL ? driver : malloc(sizeof(*driver));
    process->memory = aligned_alloc(64, (world->lease_bytes + 63) / 64 * 64);
    tn_assert(process->driver != NULL && process->memory != NULL);
    if (world->options.diskless == 0) {
        process->disk = tn__sim_disk_new(tn__random_next(&world->random));
    }
}

int tn__world_reset(struct tn__world *world, const struct tn__world_options *options, char *why,
                    size_t why_size)
{
    release_processes(world);
    world->options = *options;
    world->hooks = (struct tn__world_hooks){0};
    world->observers_count = 0;
    world->sights = 0;
    world->processes_count = 0;
    world->now = TN__WORLD_BEGIN_NS;
    world->events = 0;
    world->sequence = 0;
    world->serial = 0;
    world->random = options->seed;
    world->entries_count = 0;
    world->frames_count = 0;
    world->frames_used = 0;
    world->frames_free = TN_WORLD_NONE;
    world->frames_first = TN_WORLD_NONE;
    world->frames_last = TN_WORLD_NONE;
    for (uint32_t i = 0; i < sizeof(world->cluster_id); i++) {
        world->cluster_id[i] = (uint8_t)(i + 1);
    }
    world->cluster_tag = tn__frame_cluster_tag(world->cluster_id);
    int error = complete_options(world, options, why, why_size);
    if (error != TN_OK) {
        return error;
    }
    world->lease_bytes = tn_lease_size(&world->lease_options);
    tn__world_begin_lists(world);
    world->processes_count = tn__world_nodes(world) + 1;
    for (uint32_t i = 0; i < world->processes_count; i++) {
        reset_process(world, i);
    }
    return TN_OK;
}

void tn__world_set_hooks(struct tn__world *world, const struct tn__world_hooks *hooks)
{
    world->hooks = *hooks;
}

void tn__world_add_observer(struct tn__world *world, const struct tn__world_observer *observer)
{
    tn_assert(world->observers_count < TN_WORLD_OBSERVERS_MAX);
    struct tn__world_observer *added = &world->observers[world->observers_count++];
    *added = *observer;
    added->kinds = observer->kinds != 0 ? observer->kinds : UINT32_MAX;
    world->sights |= added->kinds;
}

/* ---- Looking -------------------------------------------------------------------------------- */

uint64_t *tn__world_random(struct tn__world *world)
{
    return &world->random;
}

const struct tn_lease_options *tn__world_lease_options(const struct tn__world *world)
{
    return &world->lease_options;
}

tn_time tn__world_now(const struct tn__world *world)
{
    return world->now;
}

uint64_t tn__world_events(const struct tn__world *world)
{
    return world->events;
}

uint32_t tn__world_nodes(const struct tn__world *world)
{
    return world->options.nodes_count + world->options.standby_count;
}

bool tn__world_is_up(const struct tn__world *world, uint32_t process)
{
    return tn__world_process(world, process)->lease != NULL;
}

bool tn__world_is_paused(const struct tn__world *world, uint32_t process)
{
    return tn__world_process(world, process)->is_paused;
}

uint32_t tn__world_member(const struct tn__world *world, uint32_t process)
{
    return tn__world_process(world, process)->member;
}

const struct tn_lease *tn__world_lease(const struct tn__world *world, uint32_t process)
{
    return tn__world_process(world, process)->lease;
}

uint64_t tn__world_restart_word(const struct tn__world *world, uint32_t process)
{
    return tn__world_process(world, process)->restart_word;
}

uint64_t tn__world_ceiling(const struct tn__world *world, uint32_t process)
{
    return tn__world_process(world, process)->words.ceiling;
}

uint64_t tn__world_starts(const struct tn__world *world, uint32_t process)
{
    return tn__world_process(world, process)->starts;
}

bool tn__world_view(const struct tn__world *world, uint32_t index, uint32_t table, const char *name,
                    uint32_t name_bytes, struct tn_lease_view *view)
{
    const struct tn__world_process *process = tn__world_process(world, index);
    return process->lease != NULL && tn_lease_who(process->lease, table, name, name_bytes,
                                                  tn__world_local(world, index), view) == TN_OK;
}
