/* Directories, and the write in progress.
 *
 * A record asked for is written when the world says so, one at a time; of those that wait, only the
 * newest is written, as a record replaces those before it whole (event.h). The write itself is the
 * real one, tn__words_write(), and so are its failures. */
#include "base/assert.h"
#include "base/random.h"
#include "sim/world_internal.h"

#include <tenure/error.h>

int tn__world_open_words(struct tn__world_process *process, bool bootstrap)
{
    struct tn__world *world = process->world;
    if (process->disk == NULL) {
        process->restart_word = tn__words_diskless_restart_word(tn__random_next(&world->random));
        return TN_OK;
    }
    struct tn__words_options options = {
        .files = tn__sim_disk_files(process->disk),
        .path = "data",
        .node = (tn_node_id)(process->member + 1),
        .configuration = world->lease_options.configuration,
        .bootstrap = bootstrap,
        .random = (uint32_t)tn__random_next(&world->random),
    };
    for (uint32_t i = 0; i < sizeof(options.cluster_id); i++) {
        options.cluster_id[i] = world->cluster_id[i];
    }
    /* A disk id from what was drawn already, so that a world without logs stays the same. */
    uint64_t chain = (uint64_t)options.random << 32 | options.node;
    for (uint32_t i = 0; i < sizeof(options.disk_id); i++) {
        options.disk_id[i] = (uint8_t)(tn__random_next(&chain) | 1);
    }
    char why[256];
    int error = tn__words_open(&process->words, &options, why, sizeof(why));
    if (error != TN_OK) {
        process->words = (struct tn__words){0};
        return error;
    }
    process->restart_word = process->words.restart_word;
    return TN_OK;
}

void tn__world_begin_write(struct tn__world_process *process)
{
    struct tn__world *world = process->world;
    if (process->is_writing || process->queued.write == 0) {
        return;
    }
    process->is_writing = true;
    process->writing = process->queued;
    process->queued.write = 0;
    process->write.at = TN_TIME_NEVER;
    if (world->hooks.write_begun != NULL) {
        world->hooks.write_begun(world->hooks.context, process->index);
    }
}

void tn__world_crash_disk(struct tn__world_process *process, enum tn__sim_disk_crash disk,
                          uint64_t operations)
{
    if (process->disk == NULL) {
        return;
    }
    if (process->is_writing && operations > 0 && !tn__sim_disk_crashed(process->disk)) {
        struct tn__sim_disk_plan plan = {0};
        if (operations < UINT64_MAX) {
            plan.crash_at = operations;
        }
        tn__sim_disk_arm(process->disk, &plan);
        (void)tn__words_write(&process->words, &process->writing); /* nobody lives to hear of it */
    }
    tn__sim_disk_restart(process->disk, disk);
    process->words = (struct tn__words){0};
}

struct tn__sim_disk *tn__world_disk(struct tn__world *world, uint32_t process)
{
    return tn__world_process(world, process)->disk;
}

struct tn__sim_disk *tn__world_swap_disk(struct tn__world *world, uint32_t index,
                                         struct tn__sim_disk *disk)
{
    struct tn__world_process *process = tn__world_process(world, index);
    tn_assert(process->lease == NULL);
    struct tn__sim_disk *before = process->disk;
    process->disk = disk;
    return before;
}

bool tn__world_is_writing(const struct tn__world *world, uint32_t process)
{
    return tn__world_process(world, process)->is_writing;
}

void tn__world_plan_write(struct tn__world *world, uint32_t index, tn_time at)
{
    struct tn__world_process *process = tn__world_process(world, index);
    tn_assert(process->is_writing);
    process->write.at = at > world->now ? at : world->now;
    process->write.sequence = ++world->sequence;
}

void tn__world_finish_write(struct tn__world *world, uint32_t index)
{
    struct tn__world_process *process = tn__world_process(world, index);
    tn_assert(process->is_writing && process->lease != NULL);
    process->write.at = TN_TIME_NEVER;
    int error = tn__words_write(&process->words, &process->writing);
    if (tn__sim_disk_crashed(process->disk)) {
        tn__world_crash(world, index, TN_SIM_DISK_ANY, 0);
        return;
    }
    process->is_writing = false;
    struct tn_event event = {
        .kind = error == TN_OK ? TN_EVENT_WRITTEN : TN_EVENT_WRITE_FAILED,
        .write = process->writing.write,
    };
    tn__world_turn(process, &event);
    if (process->lease != NULL) {
        tn__world_begin_write(process);
    }
}
