/* The world of logs: memory, the queue of events, the loop, clocks. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/random.h"
#include "sim/log_world_internal.h"

#define MILLION 1000000ULL

void *tn__log_world_grow(void *block, size_t bytes)
{
    void *grown = realloc(block, bytes);
    tn_assert(grown != NULL);
    return grown;
}

/* ---- Telling --------------------------------------------------------------------------------- */

void tn__log_world_tell(struct tn__log_world *world, struct tn__log_sight *sight, uint32_t process)
{
    uint32_t bit = tn__log_sight_bit((enum tn__log_sight_kind)sight->kind);
    if ((world->sights & bit) == 0) {
        return;
    }
    sight->process = process;
    sight->real = world->now;
    sight->local = process < world->options.nodes_count ? tn__log_world_local(world, process) : 0;
    for (uint32_t i = 0; i < world->observers_count; i++) {
        const struct tn__log_observer *observer = &world->observers[i];
        if (observer->kinds == 0 || (observer->kinds & bit) != 0) {
            observer->see(observer->context, sight);
        }
    }
}

void tn__log_world_add_observer(struct tn__log_world *world,
                                const struct tn__log_observer *observer)
{
    tn_assert(world->observers_count < TN_LOG_WORLD_OBSERVERS_MAX);
    world->observers[world->observers_count++] = *observer;
    world->sights |= observer->kinds == 0 ? ~0U : observer->kinds;
}

/* ---- The queue ------------------------------------------------------------------------------- */

static bool is_before(const struct tn__log_world_entry *a, const struct tn__log_world_entry *b)
{
    return a->at != b->at ? a->at < b->at : a->sequence < b->sequence;
}

static void push(struct tn__log_world *world, struct tn__log_world_entry entry)
{
    if (world->entries_count == world->entries_room) {
        world->entries_room = world->entries_room == 0 ? 1024 : 2 * world->entries_room;
        world->entries =
            tn__log_world_grow(world->entries, world->entries_room * sizeof(world->entries[0]));
    }
    uint32_t place = world->entries_count++;
    while (place > 0 && is_before(&entry, &world->entries[(place - 1) / 2])) {
        world->entries[place] = world->entries[(place - 1) / 2];
        place = (place - 1) / 2;
    }
    world->entries[place] = entry;
}

static struct tn__log_world_entry pop(struct tn__log_world *world)
{
    struct tn__log_world_entry first = world->entries[0];
    struct tn__log_world_entry last = world->entries[--world->entries_count];
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
    if (world->entries_count > 0) {
        world->entries[place] = last;
    }
    return first;
}

void tn__log_world_plan(struct tn__log_world *world, struct tn__log_plan *plan, tn_time at,
                        enum tn__log_world_entry_kind kind, uint32_t whom)
{
    if (at == TN_TIME_NEVER) {
        *plan = (struct tn__log_plan){0};
        return;
    }
    at = at < world->now ? world->now : at;
    *plan = (struct tn__log_plan){.at = at, .sequence = ++world->sequence};
    push(world, (struct tn__log_world_entry){
                    .at = at, .sequence = plan->sequence, .kind = kind, .whom = whom});
}

void tn__log_world_wake(struct tn__log_world *world, tn_time at, uint64_t code)
{
    push(world, (struct tn__log_world_entry){.at = at < world->now ? world->now : at,
                                             .sequence = ++world->sequence,
                                             .word = code,
                                             .kind = TN__LOG_ENTRY_WAKE});
}

void tn__log_world_plan_frame(struct tn__log_world *world, uint32_t index, tn_time at)
{
    struct tn__log_frame *frame = &world->frames[index];
    tn_assert(index < world->frames_used && frame->used != 0 && frame->waiting == 0);
    frame->due = at < world->now ? world->now : at;
    if (at != TN_TIME_NEVER) {
        push(world, (struct tn__log_world_entry){.at = frame->due,
                                                 .sequence = ++world->sequence,
                                                 .word = frame->serial,
                                                 .kind = TN__LOG_ENTRY_FRAME,
                                                 .whom = index});
    }
}

/* ---- The loop -------------------------------------------------------------------------------- */

static bool take_plan(struct tn__log_plan *plan, const struct tn__log_world_entry *entry)
{
    if (plan->sequence != entry->sequence) {
        return false;
    }
    *plan = (struct tn__log_plan){0};
    return true;
}

/* False: it was planned otherwise meanwhile. */
static bool carry_out(struct tn__log_world *world, const struct tn__log_world_entry *entry)
{
    if (entry->kind == TN__LOG_ENTRY_WAKE) {
        if (world->hooks.woken != NULL) {
            world->hooks.woken(world->hooks.woken_context, entry->word);
        }
        return true;
    }
    if (entry->kind == TN__LOG_ENTRY_FRAME) {
        const struct tn__log_frame *frame = &world->frames[entry->whom];
        if (frame->used == 0 || frame->serial != entry->word || frame->due != entry->at ||
            frame->waiting != 0) {
            return false;
        }
        tn__log_frame_arrive(world, entry->whom);
        return true;
    }
    bool many = entry->kind == TN__LOG_ENTRY_APPLY || entry->kind == TN__LOG_ENTRY_LOAD;
    struct tn__log_process *process = &world->processes[many ? entry->whom / 16 : entry->whom];
    uint32_t which = entry->whom % 16;
    if (process->is_paused || process->wal == NULL) {
        return false;
    }
    if (entry->kind == TN__LOG_ENTRY_TIMER && take_plan(&process->timer, entry)) {
        tn__log_world_fire_timer(process);
    } else if (entry->kind == TN__LOG_ENTRY_WRITE && take_plan(&process->write, entry)) {
        tn__log_store_finish_write(process);
    } else if (entry->kind == TN__LOG_ENTRY_APPLY &&
               take_plan(&process->groups[which].apply, entry)) {
        tn__log_apply_run(&process->groups[which]);
    } else if (entry->kind == TN__LOG_ENTRY_LOAD && take_plan(&process->loads[which].plan, entry)) {
        tn__log_store_serve(process, which);
    } else {
        return false;
    }
    return true;
}

bool tn__log_world_step(struct tn__log_world *world, tn_time until)
{
    while (world->entries_count > 0 && world->entries[0].at <= until) {
        struct tn__log_world_entry entry = pop(world);
        tn_assert(entry.at >= world->now);
        world->now = entry.at;
        if (carry_out(world, &entry)) {
            world->events++;
            return true;
        }
    }
    world->now = until > world->now ? until : world->now;
    return false;
}

void tn__log_world_run(struct tn__log_world *world, tn_time until)
{
    while (tn__log_world_step(world, until)) {
    }
}

void tn__log_world_check(struct tn__log_world *world)
{
    for (uint32_t i = 0; i < world->options.nodes_count; i++) {
        tn__log_check_whole(&world->processes[i]);
    }
}

/* ---- Clocks ---------------------------------------------------------------------------------- */

static tn_time scaled(tn_time elapsed, uint32_t rate_ppm)
{
    return elapsed / MILLION * rate_ppm + elapsed % MILLION * rate_ppm / MILLION;
}

static tn_time clock_raw(const struct tn__log_clock *clock, tn_time real)
{
    tn_assert(real >= clock->since);
    return clock->base + scaled(real - clock->since, clock->rate_ppm);
}

static tn_time clock_read(const struct tn__log_clock *clock, tn_time real)
{
    tn_time local = clock_raw(clock, real);
    return clock->granularity <= 1 ? local : local - local % clock->granularity;
}

/* The earliest real time, not before `now`, at which the clock reads `local` or more, or a little
 * later. */
tn_time tn__log_clock_reaches(const struct tn__log_clock *clock, tn_time local, tn_time now)
{
    tn_time reads = clock_read(clock, now);
    if (reads >= local) {
        return now;
    }
    tn_time ahead = local - reads + clock->granularity;
    if (ahead > TN_TIME_NEVER / 4) {
        return TN_TIME_NEVER;
    }
    return now + ahead / clock->rate_ppm * MILLION +
           (ahead % clock->rate_ppm * MILLION + clock->rate_ppm - 1) / clock->rate_ppm + 1;
}

tn_time tn__log_world_local(const struct tn__log_world *world, uint32_t process)
{
    return clock_read(&world->processes[process].clock, world->now);
}

static void rebase(struct tn__log_process *process)
{
    process->clock.base = clock_raw(&process->clock, process->world->now);
    process->clock.since = process->world->now;
    process->timer_due = 0;
}

static void replan(struct tn__log_process *process)
{
    if (process->wal != NULL && !process->is_paused) {
        tn_time due = tn__log_driver_deadline(process->driver);
        tn__log_world_plan(process->world, &process->timer,
                           tn__log_clock_reaches(&process->clock, due, process->world->now),
                           TN__LOG_ENTRY_TIMER, process->index);
    }
}

void tn__log_world_set_rate(struct tn__log_world *world, uint32_t process, uint32_t rate_ppm,
                            tn_time granularity)
{
    tn_assert(rate_ppm > 0 && granularity >= world->processes[process].clock.granularity);
    rebase(&world->processes[process]);
    world->processes[process].clock.rate_ppm = rate_ppm;
    world->processes[process].clock.granularity = granularity;
    replan(&world->processes[process]);
}

void tn__log_world_jump(struct tn__log_world *world, uint32_t process, tn_time ahead)
{
    rebase(&world->processes[process]);
    world->processes[process].clock.base += ahead;
    replan(&world->processes[process]);
}

void tn__log_world_set_clock(struct tn__log_world *world, uint32_t process, tn_time local)
{
    tn_assert(world->processes[process].wal == NULL);
    rebase(&world->processes[process]);
    world->processes[process].clock.base = local;
}

/* ---- Life ------------------------------------------------------------------------------------ */

struct tn__log_world *tn__log_world_new(void)
{
    struct tn__log_world *world = calloc(1, sizeof(*world));
    tn_assert(world != NULL);
    return world;
}

static void end_process(struct tn__log_process *process)
{
    if (process->wal != NULL) {
        tn__log_world_crash(process->world, process->index, TN_SIM_DISK_LOSE_ALL, 0);
    }
    tn__sim_disk_free(process->disk);
    process->disk = NULL;
}

void tn__log_world_free(struct tn__log_world *world)
{
    if (world == NULL) {
        return;
    }
    world->observers_count = 0;
    world->sights = 0;
    for (uint32_t i = 0; i < TN_LOG_WORLD_NODES_MAX; i++) {
        struct tn__log_process *process = &world->processes[i];
        end_process(process);
        for (uint32_t g = 0; g < TN_LOG_WORLD_GROUPS_MAX; g++) {
            free(process->groups[g].memory);
            tn__log_entries_free(&process->groups[g].queue);
        }
        for (uint32_t p = 0; p < process->payloads.used; p++) {
            free(process->payloads.list[p].bytes);
        }
        free(process->payloads.list);
        free(process->driver_memory);
        free(process->gathering.records);
        free(process->writing.records);
        tn__log_entries_free(&process->gathering.entries);
        tn__log_entries_free(&process->writing.entries);
    }
    for (uint32_t i = 0; i < TN_LOG_WORLD_FRAMES_MAX; i++) {
        free(world->frames[i].bytes);
    }
    free(world->entries);
    free(world);
}

static void begin_process(struct tn__log_world *world, uint32_t index)
{
    struct tn__log_process *process = &world->processes[index];
    process->world = world;
    process->index = index;
    process->disk = tn__sim_disk_new(tn__random_next(&world->random));
    process->clock =
        (struct tn__log_clock){.since = world->now,
                               .base = tn__random_below(&world->random, 3600 * TN_SECOND),
                               .rate_ppm = MILLION};
    process->starts = 0;
    process->segment_known = 0;
    process->batch_bytes = 0;
    process->is_paused = false;
    process->has_failed = false;
    process->waiting_count = 0;
    process->timer = process->write = (struct tn__log_plan){0};
    for (uint32_t i = 0; i < TN_LOG_WORLD_NODES_MAX; i++) {
        process->building[i] = TN_LOG_WORLD_NONE;
    }
    for (uint32_t g = 0; g < TN_LOG_WORLD_GROUPS_MAX; g++) {
        process->groups[g].process = process;
        process->groups[g].index = g;
        if (world->log_bytes > world->log_room) {
            free(process->groups[g].memory);
            process->groups[g].memory = aligned_alloc(64, world->log_bytes);
            tn_assert(process->groups[g].memory != NULL);
        }
    }
    if (world->driver_bytes > world->driver_room) {
        free(process->driver_memory);
        process->driver_memory = aligned_alloc(64, world->driver_bytes);
        tn_assert(process->driver_memory != NULL);
    }
}

static int complete_options(struct tn__log_world *world, char *why, size_t why_size)
{
    struct tn__log_world_options *options = &world->options;
    tn_assert(options->nodes_count >= 1 && options->nodes_count <= TN_LOG_WORLD_NODES_MAX);
    tn_assert(options->groups_count >= 1 && options->groups_count <= TN_LOG_WORLD_GROUPS_MAX);
    tn_assert(options->learners < options->nodes_count);
    tn_member_set all = (1U << options->nodes_count) - 1;
    uint32_t voters = options->nodes_count - options->learners;
    for (uint32_t i = 0; i < options->nodes_count; i++) {
        options->log.nodes[i] = (tn_node_id)(i + 1);
    }
    options->log.nodes_count = options->nodes_count;
    options->log.voters = (1U << voters) - 1;
    options->log.learners = all & ~options->log.voters;
    options->log.restart_word = 1;
    options->frame_bytes = options->frame_bytes != 0 ? options->frame_bytes : 16384;
    options->apply_run = options->apply_run != 0 ? options->apply_run : 64;
    options->block_bytes = options->block_bytes != 0 ? options->block_bytes : 512;
    options->segment_bytes = options->segment_bytes != 0 ? options->segment_bytes : 65536;
    return tn_log_options_complete(&options->log, why, why_size);
}

int tn__log_world_reset(struct tn__log_world *world, const struct tn__log_world_options *options,
                        char *why, size_t why_size)
{
    world->observers_count = 0;
    world->sights = 0;
    for (uint32_t i = 0; i < TN_LOG_WORLD_NODES_MAX; i++) {
        end_process(&world->processes[i]);
    }
    world->options = *options;
    int error = complete_options(world, why, why_size);
    if (error != TN_OK) {
        return error;
    }
    world->hooks = (struct tn__log_world_hooks){0};
    world->now = TN__LOG_WORLD_BEGIN_NS;
    world->events = world->sequence = world->serial = 0;
    world->random = options->seed;
    world->entries_count = 0;
    for (uint32_t i = 0; i < TN_LOG_WORLD_FRAMES_MAX; i++) {
        world->frames[i].used = 0;
    }
    world->frames_count = world->frames_used = 0;
    world->frames_free = world->frames_first = world->frames_last = TN_LOG_WORLD_NONE;
    for (uint32_t i = 0; i < sizeof(world->cluster_id); i++) {
        world->cluster_id[i] = (uint8_t)(i + 1);
    }
    world->cluster_tag = tn__frame_cluster_tag(world->cluster_id);
    world->log_bytes = tn_log_size(&world->options.log);
    world->driver_bytes = tn__log_driver_size(TN_LOG_WORLD_GROUPS_MAX);
    for (uint32_t i = 0; i < TN_LOG_WORLD_NODES_MAX; i++) {
        begin_process(world, i);
    }
    world->log_room = world->log_bytes > world->log_room ? world->log_bytes : world->log_room;
    world->driver_room = world->driver_bytes;
    return TN_OK;
}

void tn__log_world_set_hooks(struct tn__log_world *world, const struct tn__log_world_hooks *hooks)
{
    world->hooks = *hooks;
}

const struct tn__log_world_options *tn__log_world_options(const struct tn__log_world *world)
{
    return &world->options;
}

uint64_t *tn__log_world_random(struct tn__log_world *world)
{
    return &world->random;
}

tn_time tn__log_world_now(const struct tn__log_world *world)
{
    return world->now;
}

uint64_t tn__log_world_events(const struct tn__log_world *world)
{
    return world->events;
}
