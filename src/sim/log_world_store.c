/* The write-ahead log of a process of the world: recovery, batches, loads.
 *
 * Recovery. The store shows its records in order; the newest record of a slot holds its value, as
 * an acceptor never goes back. A prefix that a record calls committed is taken as such if the chain
 * over the values found is the checksum that the record gives. Where it is not, slots are missing
 * or an older value of one has come up again: the longest prefix that passes is known, and no more,
 * and the group is damaged, whatever the store says (W3): damage that a healing has passed over may
 * have grown since. That a disk that did not lie never looks so is the judge's to see. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/random.h"
#include "sim/log_world_internal.h"

/* ---- Recovery -------------------------------------------------------------------------------- */

/* A prefix that some record calls committed. */
struct said {
    uint64_t committed;
    uint64_t checksum;
};

struct found {
    struct tn_log_recovered state;
    struct tn__log_entries entries; /* as they were shown; a reference of each */
    struct said *said;
    uint32_t said_count;
    uint32_t said_room;
    uint64_t highest;
};

struct recovery {
    struct tn__log_process *process;
    struct found groups[TN_LOG_WORLD_GROUPS_MAX];
};

static void take_said(struct found *found, uint64_t committed, uint64_t checksum)
{
    if (committed == 0 ||
        (found->said_count > 0 && found->said[found->said_count - 1].committed == committed)) {
        return;
    }
    if (found->said_count == found->said_room) {
        found->said_room = found->said_room == 0 ? 64 : 2 * found->said_room;
        found->said = tn__log_world_grow(found->said, found->said_room * sizeof(found->said[0]));
    }
    found->said[found->said_count++] = (struct said){committed, checksum};
}

static void take_promise(struct found *found, struct tn_log_ballot ballot)
{
    if (tn_log_ballot_compare(ballot, found->state.promise) > 0) {
        found->state.promise = ballot;
    }
}

static int on_state(void *context, const struct tn_log_record *record,
                    const struct tn_log_recovered *state, const struct tn_log_value *configurations,
                    const uint64_t *configuration_slots, uint32_t configurations_count)
{
    struct recovery *recovery = context;
    (void)configurations;
    (void)configuration_slots;
    (void)configurations_count;
    if (record->group >= recovery->process->world->options.groups_count) {
        return TN_ERROR_DAMAGED;
    }
    struct found *found = &recovery->groups[record->group];
    take_promise(found, state->promise);
    take_said(found, state->committed, state->checksum);
    return TN_OK;
}

static int on_record(void *context, const struct tn_log_record *record,
                     const struct tn_log_entry *entries, const void *const *bytes)
{
    struct recovery *recovery = context;
    struct tn__log_process *process = recovery->process;
    struct tn__log_world *world = process->world;
    if (record->group >= world->options.groups_count) {
        return TN_ERROR_DAMAGED;
    }
    if (tn__log_world_unsafe(world, TN_LOG_UNSAFE_FORGETFUL) &&
        record->kind == TN_LOG_RECORD_ACCEPT && tn__random_below(&world->random, 10) == 0) {
        return TN_OK;
    }
    struct found *found = &recovery->groups[record->group];
    if (record->kind == TN_LOG_RECORD_PROMISE || record->kind == TN_LOG_RECORD_ACCEPT) {
        take_promise(found, record->ballot);
    }
    for (uint32_t i = 0; i < record->entries_count; i++) {
        struct tn_log_entry entry = entries[i];
        if (tn_log_ballot_is_none(entry.ballot)) {
            entry.ballot = record->ballot;
        }
        entry.value.handle = entry.value.kind == TN_LOG_VALUE_PAYLOAD
                                 ? tn__log_payload_add(process, bytes[i], entry.value.bytes)
                                 : 0;
        tn__log_entries_add(&found->entries, &entry, tn__log_value_digest(process, &entry.value));
        found->highest = entry.slot > found->highest ? entry.slot : found->highest;
    }
    take_said(found, record->committed, record->checksum);
    return TN_OK;
}

/* The place of the newest value of each slot up to the highest, in `newest` (0: none; else + 1). */
static uint32_t *newest_of(const struct found *found)
{
    uint32_t *newest = tn__log_world_grow(NULL, (size_t)(found->highest + 1) * sizeof(newest[0]));
    memset(newest, 0, (size_t)(found->highest + 1) * sizeof(newest[0]));
    for (uint32_t i = 0; i < found->entries.count; i++) {
        newest[found->entries.entries[i].slot] = i + 1;
    }
    return newest;
}

/* How long a prefix is known committed, and its chain: the longest that a record vouches for. */
static void find_committed(struct found *found, const uint32_t *newest)
{
    uint64_t said = 0;
    for (uint32_t i = 0; i < found->said_count; i++) {
        said = found->said[i].committed > said ? found->said[i].committed : said;
    }
    uint64_t most = said < found->highest ? said : found->highest;
    uint64_t *chain = tn__log_world_grow(NULL, (size_t)(most + 1) * sizeof(chain[0]));
    uint64_t whole = 0;
    chain[0] = 0;
    for (uint64_t slot = 1; slot <= most && newest[slot] != 0; slot++) {
        chain[slot] =
            tn_log_checksum(chain[whole], slot, &found->entries.entries[newest[slot] - 1].value);
        whole = slot;
    }
    for (uint32_t i = 0; i < found->said_count; i++) {
        uint64_t slot = found->said[i].committed;
        if (slot <= whole && slot > found->state.committed &&
            found->said[i].checksum == chain[slot]) {
            found->state.committed = slot;
            found->state.checksum = chain[slot];
        }
    }
    free(chain);
    if (found->state.committed < said) {
        found->state.damaged = found->state.damaged == 0 ? 1 : found->state.damaged;
        found->state.damaged_upto = said > found->highest ? said : found->highest;
    }
}

static void restore_all(struct tn__log_world_group *group, struct found *found)
{
    struct tn__log_process *process = group->process;
    for (uint32_t i = 0; i < found->entries.count; i++) {
        const struct tn_log_entry *entry = &found->entries.entries[i];
        uint64_t forgotten = 0;
        bool taken = tn_log_restore(group->log, entry, &forgotten);
        if (!taken && entry->value.handle != 0) {
            tn__log_payload_release(process, entry->value.handle);
        }
        if (forgotten != 0) {
            tn__log_payload_release(process, forgotten);
        }
    }
}

/* What the store says of the group as a whole. */
static void take_found(struct tn__log_process *process, uint32_t group, struct found *found)
{
    struct tn_log_recovered told;
    bool is_known = tn__wal_found(process->wal, group, &told);
    tn_assert(!is_known || tn_log_ballot_equal(told.promise, found->state.promise));
    found->state.damaged = told.damaged;
    found->state.damaged_upto = told.damaged_upto;
}

static void open_group(struct tn__log_world_group *group, struct found *found)
{
    struct tn__log_process *process = group->process;
    struct tn__log_world *world = process->world;
    uint32_t *newest = newest_of(found);
    find_committed(found, newest);
    found->state.retained = 1;
    struct tn__log_sight sight = {.kind = TN_LOG_SIGHT_RECOVERED,
                                  .group = group->index,
                                  .word = process->restart_word,
                                  .recovered = &found->state,
                                  .entries = found->entries.entries,
                                  .digests = found->entries.digests,
                                  .entries_count = found->entries.count};
    tn__log_world_tell(world, &sight, process->index);
    struct tn_log_options options = world->options.log;
    options.self = (uint16_t)process->index;
    options.group = group->index;
    options.mode = world->options.modes[group->index];
    options.restart_word = process->restart_word;
    memset(group->memory, 0, world->log_bytes);
    group->log = tn_log_init(group->memory, &options, &found->state,
                             tn__log_world_local(world, process->index));
    tn__log_apply_open(group);
    for (uint64_t slot = 1; slot <= found->state.committed; slot++) {
        tn__log_apply_commit(group, &found->entries.entries[newest[slot] - 1], 1);
    }
    restore_all(group, found);
    free(newest);
}

#define ALIGNMENT 4096U

/* An aligned block has its length in a page of its own before it. */
static void *allocate(void *context, void *block, size_t bytes, bool aligned)
{
    (void)context;
    if (!aligned) {
        if (bytes > 0) {
            return tn__log_world_grow(block, bytes);
        }
        free(block);
        return NULL;
    }
    uint8_t *old = block != NULL ? (uint8_t *)block - ALIGNMENT : NULL;
    uint8_t *made = NULL;
    if (bytes > 0) {
        made =
            aligned_alloc(ALIGNMENT, ALIGNMENT + (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
        tn_assert(made != NULL);
        size_t kept = 0;
        if (old != NULL) {
            memcpy(&kept, old, sizeof(kept));
            memcpy(made + ALIGNMENT, block, kept < bytes ? kept : bytes);
        }
        memcpy(made, &bytes, sizeof(bytes));
    }
    free(old);
    return made != NULL ? made + ALIGNMENT : NULL;
}

/* W3's canary: recovery that does not wait for the disk. */
static int sync_nothing(void *context, tn__file file)
{
    (void)context;
    (void)file;
    return TN_OK;
}

static struct tn__files files_of(struct tn__log_process *process)
{
    struct tn__log_world *world = process->world;
    struct tn__files files = tn__sim_disk_files(process->disk);
    if (tn__log_world_unsafe(world, TN_LOG_UNSAFE_TAIL_KEPT)) {
        world->operations = *files.operations;
        world->operations.sync = sync_nothing;
        files.operations = &world->operations;
    }
    return files;
}

static int open_wal(struct tn__log_process *process, struct recovery *recovery,
                    struct tn__wal_report *report, char *why, size_t why_size)
{
    struct tn__log_world *world = process->world;
    struct tn__wal_options options = {
        .files = files_of(process),
        .segment_bytes = world->options.segment_bytes,
        .block_bytes = world->options.block_bytes,
        .value_bytes_max = TN_VALUE_BYTES_DEFAULT,
        .segment_known = process->segment_known,
        .starts = process->starts,
        .allocate = allocate,
    };
    memcpy(options.cluster_id, world->cluster_id, sizeof(options.cluster_id));
    options.disk_id[0] = (uint8_t)(process->index + 1);
    int error = options.files.operations->open_directory(options.files.context, ".", true,
                                                         &process->directory);
    if (error != TN_OK) {
        return error;
    }
    options.directory = process->directory;
    const struct tn__wal_visitor visitor = {
        .context = recovery, .state = on_state, .record = on_record};
    error = tn__wal_open(&process->wal, &options, &visitor, report, why, why_size);
    if (error != TN_OK) {
        process->wal = NULL;
        return error;
    }
    if (tn__wal_batch_new(process->wal, &process->gathering.wal) != TN_OK ||
        tn__wal_batch_new(process->wal, &process->writing.wal) != TN_OK) {
        tn_assert(false);
    }
    return TN_OK;
}

static void clear_batch(struct tn__log_batch *batch)
{
    if (batch->wal != NULL) {
        tn__wal_batch_clear(batch->wal);
    }
    batch->records_count = 0;
    batch->added = 0;
    tn__log_entries_clear(&batch->entries);
}

int tn__log_store_open(struct tn__log_process *process)
{
    struct tn__log_world *world = process->world;
    struct recovery recovery = {.process = process};
    struct tn__wal_report report = {0};
    char why[TN_WHY_BYTES_MAX + 1] = "";
    int error = open_wal(process, &recovery, &report, why, sizeof(why));
    struct tn__log_sight sight = {
        .kind = TN_LOG_SIGHT_NOT_STARTED, .word = (uint64_t)-error, .report = &report, .text = why};
    if (error != TN_OK) {
        tn__log_world_tell(world, &sight, process->index);
    }
    for (uint32_t g = 0; g < world->options.groups_count; g++) {
        struct found *found = &recovery.groups[g];
        if (error == TN_OK) {
            take_found(process, g, found);
            open_group(&process->groups[g], found);
        }
        tn__log_entries_free(&found->entries);
        free(found->said);
    }
    if (error == TN_OK) {
        process->segment_known = report.segment;
        process->is_damaged = report.damaged != 0;
    }
    clear_batch(&process->gathering);
    clear_batch(&process->writing);
    process->is_writing = process->is_reported = false;
    memset(process->loads, 0, sizeof(process->loads));
    if (tn__log_world_unsafe(world, TN_LOG_UNSAFE_TAIL_KEPT)) {
        world->operations.sync = tn__sim_disk_files(process->disk).operations->sync;
    }
    return error;
}

void tn__log_store_close(struct tn__log_process *process)
{
    tn__wal_batch_free(process->gathering.wal);
    tn__wal_batch_free(process->writing.wal);
    process->gathering.wal = process->writing.wal = NULL;
    tn__wal_close(process->wal);
    process->wal = NULL;
    process->is_writing = false;
    memset(process->loads, 0, sizeof(process->loads));
}

/* ---- Writing --------------------------------------------------------------------------------- */

void tn__log_store_append(struct tn__log_process *process, const struct tn_log_record *record,
                          const struct tn_log_entry *entries)
{
    struct tn__log_world *world = process->world;
    struct tn__log_batch *batch = &process->gathering;
    if (batch->records_count == batch->records_room) {
        batch->records_room = batch->records_room == 0 ? 64 : 2 * batch->records_room;
        batch->records =
            tn__log_world_grow(batch->records, batch->records_room * sizeof(batch->records[0]));
    }
    struct tn_log_record *kept = &batch->records[batch->records_count++];
    *kept = *record;
    kept->entries_first = batch->entries.count;
    for (uint32_t i = 0; i < record->entries_count; i++) {
        tn__log_entries_add(&batch->entries, &entries[i],
                            tn__log_value_digest(process, &entries[i].value));
    }
    if (!(tn__log_world_unsafe(world, TN_LOG_UNSAFE_NO_PROMISES) &&
          record->kind == TN_LOG_RECORD_PROMISE)) {
        int error = tn__wal_batch_add(batch->wal, record, entries, tn__log_payload_bytes, process);
        tn_assert(error == TN_OK);
        batch->added++;
    }
    struct tn__log_sight sight = {.kind = TN_LOG_SIGHT_APPEND,
                                  .group = record->group,
                                  .record = record,
                                  .entries = entries,
                                  .digests = batch->entries.digests + kept->entries_first,
                                  .entries_count = record->entries_count};
    tn__log_world_tell(world, &sight, process->index);
}

static void plan_write(struct tn__log_process *process)
{
    struct tn__log_world *world = process->world;
    tn_time at = world->hooks.write_at != NULL
                     ? world->hooks.write_at(world->hooks.context, process->index)
                     : world->now + TN__LOG_WORLD_SOON_NS;
    at = process->is_full ? at + TN_SECOND : at; /* W4: tried again */
    tn__log_world_plan(world, &process->write, at, TN__LOG_ENTRY_WRITE, process->index);
}

/* What has been gathered is written, once what is being written is done. */
void tn__log_store_begin_write(struct tn__log_process *process)
{
    if (process->is_writing || process->gathering.records_count == 0 || process->has_failed) {
        return;
    }
    struct tn__log_batch batch = process->writing;
    process->writing = process->gathering;
    process->gathering = batch;
    clear_batch(&process->gathering);
    process->is_writing = true;
    process->is_reported = false;
    plan_write(process);
}

/* Tell the driver, and whoever watches, that the batch is done. */
static void report_written(struct tn__log_process *process)
{
    struct tn__log_world *world = process->world;
    struct tn__log_batch *batch = &process->writing;
    uint64_t highest[TN_LOG_WORLD_GROUPS_MAX] = {0};
    for (uint32_t i = 0; i < batch->records_count; i++) {
        const struct tn_log_record *record = &batch->records[i];
        struct tn__log_sight sight = {.kind = TN_LOG_SIGHT_DURABLE,
                                      .group = record->group,
                                      .record = record,
                                      .entries = batch->entries.entries + record->entries_first,
                                      .digests = batch->entries.digests + record->entries_first,
                                      .entries_count = record->entries_count};
        tn__log_world_tell(world, &sight, process->index);
        highest[record->group] = record->write;
    }
    for (uint32_t g = 0; g < world->options.groups_count; g++) {
        if (highest[g] != 0) {
            tn__log_driver_written(process->driver, g, highest[g],
                                   tn__log_world_local(world, process->index),
                                   tn__random_next(&world->random));
        }
    }
}

/* W4: the store is full, or no longer is. */
static void tell_full(struct tn__log_process *process, bool full)
{
    if (process->is_full == full) {
        return;
    }
    process->is_full = full;
    for (uint32_t g = 0; g < process->world->options.groups_count; g++) {
        struct tn_log_event event = {.kind = TN_LOG_EVENT_STORE_FULL, .number = full ? 1 : 0};
        tn__log_turn_event(process, g, &event);
    }
}

static void fail(struct tn__log_process *process, int error)
{
    struct tn__log_world *world = process->world;
    struct tn__log_sight sight = {.kind = TN_LOG_SIGHT_WRITE_FAILED, .word = (uint64_t)-error};
    tn__log_world_tell(world, &sight, process->index);
    process->has_failed = true;
    process->is_writing = false;
    tn__log_driver_failed(process->driver, tn__log_world_local(world, process->index),
                          tn__random_next(&world->random));
}

void tn__log_store_heal(struct tn__log_process *process)
{
    struct tn__log_world *world = process->world;
    if (!process->is_damaged || process->is_writing || process->has_failed) {
        return;
    }
    for (uint32_t g = 0; g < world->options.groups_count; g++) {
        struct tn_log_status status;
        tn_log_status(process->groups[g].log, tn__log_world_local(world, process->index), &status);
        if (status.state == TN_LOG_STATE_DAMAGED || status.state == TN_LOG_STATE_STOPPED) {
            return;
        }
    }
    int error = tn__wal_heal(process->wal);
    if (error == TN_OK) {
        process->is_damaged = false;
    } else if (error != TN_ERROR_DISK_FULL) {
        fail(process, error);
    }
}

/* While nothing waits to be written: what a writer does in an idle moment. */
static void use_idle_moment(struct tn__log_process *process)
{
    struct tn__log_world *world = process->world;
    bool more = false;
    uint64_t draw = tn__random_below(&world->random, 8);
    if (process->gathering.records_count > 0 || draw > 1) {
        return;
    }
    int error = draw == 0 ? tn__wal_seal(process->wal) : tn__wal_prepare(process->wal, &more);
    if (error != TN_OK && error != TN_ERROR_DISK_FULL) {
        fail(process, error);
    }
}

/* Written, and entered into the index. */
static int write_batch(struct tn__log_process *process)
{
    struct tn__log_world *world = process->world;
    if (process->writing.added == 0 || (tn__log_world_unsafe(world, TN_LOG_UNSAFE_LOST_WRITE) &&
                                        tn__random_below(&world->random, 30) == 0)) {
        return TN_OK;
    }
    uint64_t bytes = tn__wal_batch_bytes(process->writing.wal);
    process->batch_bytes = bytes > process->batch_bytes ? bytes : process->batch_bytes;
    int error = tn__wal_write(process->wal, process->writing.wal);
    if (error == TN_OK) {
        error = tn__wal_index(process->wal, process->writing.wal);
        tn_assert(error == TN_OK);
    }
    return error;
}

void tn__log_store_finish_write(struct tn__log_process *process)
{
    struct tn__log_world *world = process->world;
    tn_assert(process->is_writing);
    if (tn__log_world_unsafe(world, TN_LOG_UNSAFE_EARLY_WRITTEN) && !process->is_reported) {
        tn__log_turn_begin(process);
        process->is_reported = true;
        report_written(process);
        tn__log_world_plan(world, &process->write, world->now + 5 * TN_MILLISECOND,
                           TN__LOG_ENTRY_WRITE, process->index);
        tn__log_turn_end(process);
        return;
    }
    int error = write_batch(process);
    if (tn__sim_disk_crashed(process->disk)) {
        tn__log_world_crash(world, process->index, process->crash_disk, 0);
        return;
    }
    tn__log_turn_begin(process);
    if (error == TN_OK) {
        tell_full(process, false);
        process->is_writing = false;
        if (!process->is_reported) {
            report_written(process);
        }
        use_idle_moment(process);
    } else if (error == TN_ERROR_DISK_FULL) {
        tell_full(process, true);
        plan_write(process);
    } else {
        fail(process, error);
    }
    tn__log_turn_end(process);
}

/* The process stops: of the write in progress so many operations have been begun. */
void tn__log_store_crash(struct tn__log_process *process, uint64_t operations)
{
    if (process->is_writing && !process->has_failed && operations > 0 &&
        !tn__sim_disk_crashed(process->disk)) {
        struct tn__sim_disk_plan plan = {.crash_at = operations};
        tn__sim_disk_arm(process->disk, &plan);
        tn_maybe(tn__wal_write(process->wal, process->writing.wal) == TN_OK);
    }
}

/* ---- Loads (C2) ------------------------------------------------------------------------------ */

void tn__log_store_load(struct tn__log_process *process, uint32_t group,
                        const struct tn_log_load *load)
{
    struct tn__log_world *world = process->world;
    for (uint32_t i = 0; i < TN__LOG_WORLD_LOADS_MAX; i++) {
        struct tn__log_load_request *request = &process->loads[i];
        if (request->load.to == 0) {
            request->load = *load;
            request->group = group;
            tn_time at = world->hooks.load_at != NULL
                             ? world->hooks.load_at(world->hooks.context, process->index)
                             : world->now + TN__LOG_WORLD_SOON_NS;
            tn__log_world_plan(world, &request->plan, at, TN__LOG_ENTRY_LOAD,
                               process->index * 16 + i);
            return;
        }
    }
    /* Too many at once: the peer asks again. */
}

/* One slot out of the store, as a payload of its own. False: it is not there, or not readable. */
static bool read_slot(struct tn__log_process *process, uint32_t group, uint64_t slot,
                      struct tn_log_entry *out)
{
    struct tn__log_world *world = process->world;
    struct tn__wal_position position;
    if (tn__wal_locate(process->wal, group, slot, &position) != TN_OK ||
        position.count > TN_LOG_RUN_MAX) {
        return false;
    }
    uint8_t *buffer = tn__log_world_grow(NULL, position.bytes);
    struct tn_log_record record;
    const void **bytes = (const void **)world->decoded_payloads;
    int error = tn__wal_read(process->wal, &position, buffer, position.bytes, &record,
                             world->decoded, bytes, TN_LOG_RUN_MAX);
    bool found = false;
    for (uint32_t i = 0; error == TN_OK && i < record.entries_count; i++) {
        if (world->decoded[i].slot != slot) {
            continue;
        }
        *out = world->decoded[i];
        if (tn_log_ballot_is_none(out->ballot)) {
            out->ballot = record.ballot;
        }
        out->value.handle = out->value.kind == TN_LOG_VALUE_PAYLOAD
                                ? tn__log_payload_add(process, bytes[i], out->value.bytes)
                                : 0;
        found = true;
    }
    free(buffer);
    return found;
}

void tn__log_store_serve(struct tn__log_process *process, uint32_t which)
{
    struct tn__log_world *world = process->world;
    struct tn__log_load_request request = process->loads[which];
    process->loads[which] = (struct tn__log_load_request){0};
    struct tn_log_status status;
    tn_log_status(process->groups[request.group].log, tn__log_world_local(world, process->index),
                  &status);
    struct tn_log_entry entries[64];
    uint64_t digests[64];
    uint32_t count = 0;
    uint64_t end =
        request.load.slot_end <= status.committed ? request.load.slot_end : status.committed + 1;
    for (uint64_t slot = request.load.slot; slot < end && count < 64; slot++) {
        if (!read_slot(process, request.group, slot, &entries[count])) {
            break;
        }
        digests[count] = tn__log_value_digest(process, &entries[count].value);
        count++;
    }
    if (count == 0) {
        return;
    }
    struct tn_log_message message = {
        .kind = TN_LOG_FETCHED,
        .to = request.load.to,
        .group = request.group,
        .slot = request.load.slot,
        .slot_end = request.load.slot + count,
        .committed = status.committed,
        .retained = status.retained,
        .entries_count = count,
    };
    tn__log_turn_begin(process);
    if (tn__log_world_effect(process)) {
        struct tn__log_sight sight = {.kind = TN_LOG_SIGHT_SENT,
                                      .group = request.group,
                                      .word = request.load.to,
                                      .message = &message,
                                      .entries = entries,
                                      .digests = digests,
                                      .entries_count = count};
        tn__log_world_tell(world, &sight, process->index);
        tn__log_frames_post(process, request.load.to, &message, entries);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (entries[i].value.handle != 0) {
            tn__log_payload_release(process, entries[i].value.handle);
        }
    }
    tn__log_turn_end(process);
}
