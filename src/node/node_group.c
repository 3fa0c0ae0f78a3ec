/* One group: opened, looked at, closed. See node_groups.h for who does what.
 *
 * Opening reads the store on the caller's thread: what recovery found is given to a new machine,
 * with every accepted entry above the committed prefix. What is committed is executed by the
 * applier, which reads it back from the store: from the lowest slot that is kept, so that the
 * once-only table is what it was; machines skip what their own state covers (K1).
 *
 * Closing, in order: no execution runs any more; calls and reads end; the driver and the lease let
 * go of the group; what it wrote is in the store; and what a later opening must know of its promise
 * is noted. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/assert.h"
#include "node/node_groups.h"
#include "os/clock.h"

#define WINDOW_SLOTS_DEFAULT 1024U
#define CALLS_BYTES_DEFAULT (128ULL << 20)

/* Between two looks at whether a closed group's writes have ended. */
#define DRAIN_NS 1000000L

/* ---- Options --------------------------------------------------------------------------------- */

static int refuse(char *why, size_t why_size, const char *text)
{
    tn__node_why(why, why_size, text);
    return TN_ERROR_INVALID;
}

static int check_machines(const struct tn_group_options *options, char *why, size_t why_size)
{
    if (options->machines_count > TN_MACHINES_MAX ||
        (options->machines_count > 0 && options->machines == NULL)) {
        return refuse(why, why_size, "machines: give at most 16, in an array");
    }
    for (uint32_t i = 0; i < options->machines_count; i++) {
        const struct tn_state_machine *machine = &options->machines[i];
        if (machine->id == TN_MACHINE_NONE || machine->id >= TN_MACHINE_RESERVED_MIN) {
            return refuse(why, why_size, "a machine's id is 0 or reserved");
        }
        if (machine->execute == NULL) {
            return refuse(why, why_size, "a machine has no execute function");
        }
        for (uint32_t j = 0; j < i; j++) {
            if (options->machines[j].id == machine->id) {
                return refuse(why, why_size, "two machines of the group have the same id");
            }
        }
    }
    return 0;
}

static int check_options(const struct tn_node *node, const struct tn_group_options *options,
                         char *why, size_t why_size)
{
    if (node->config.diskless) {
        return refuse(why, why_size, "a group needs a data directory: open the node with data_dir");
    }
    if (options->id > TN_GROUP_ID_MAX) {
        return refuse(why, why_size, "id: at most 65535");
    }
    if (options->mode > TN_LOG_MODE_FREE) {
        return refuse(why, why_size, "mode: leased or free");
    }
    if (options->value_bytes_max > TN_VALUE_BYTES_MAX) {
        return refuse(why, why_size, "value_bytes_max: at most 256 MiB");
    }
    if (options->priority > 15) {
        return refuse(why, why_size, "priority: 0 to 15");
    }
    if (options->quick > 1) {
        return refuse(why, why_size, "quick: 0 or 1");
    }
    if (options->batch_count > 0 && options->batch_delay_ns == 0) {
        return refuse(why, why_size, "batch_count: a batch that is gathered needs batch_delay_ns");
    }
    return check_machines(options, why, why_size);
}

static int find_table(struct tn_group *group, const struct tn_group_options *options, char *why,
                      size_t why_size)
{
    const struct tn__node_config *config = &group->node->config;
    group->table = options->lease_table == NULL
                       ? (int32_t)config->lease.tables_count - 1
                       : tn__node_config_table(config, options->lease_table);
    if (group->table < 0) {
        tn__node_why(why, why_size, "lease_table: the node has no table of this name");
        return TN_ERROR_NOT_FOUND;
    }
    return 0;
}

static struct tn_group *make_group(struct tn_node *node, const struct tn_group_options *options)
{
    struct tn_group *group = calloc(1, sizeof(*group));
    if (group == NULL || tn__calls_table_init(&group->table_of_calls) != 0) {
        free(group);
        return NULL;
    }
    uint32_t window = options->window_slots != 0 ? options->window_slots : WINDOW_SLOTS_DEFAULT;
    uint32_t waiting = options->waiting_max != 0 ? options->waiting_max : 4 * window;
    group->node = node;
    group->id = options->id;
    group->mode = options->mode != 0 ? options->mode : TN_LOG_MODE_LEASED;
    group->priority = options->priority;
    group->quick = options->quick != 0;
    group->calls_max = waiting; /* so what one member proposes is never too much for its machine */
    group->calls_bytes_max = CALLS_BYTES_DEFAULT;
    group->value_bytes_max =
        options->value_bytes_max != 0 ? options->value_bytes_max : TN_VALUE_BYTES_DEFAULT;
    group->machines_count = options->machines_count;
    if (options->machines_count > 0) {
        memcpy(group->machines, options->machines,
               options->machines_count * sizeof(group->machines[0]));
    }
    group->batch_count = options->batch_count;
    group->batch_bytes = options->batch_bytes;
    group->batch_delay_ns = options->batch_delay_ns;
    group->on_notice = options->on_notice;
    group->data = options->data;
    group->next_number = 1;
    group->calls_deadline = TN_TIME_NEVER;
    group->wants_lease = true;
    group->applied.kind = TN_OP_APPLIED;
    tn__block_list_init(&group->held);
    return group;
}

/* ---- The machine ----------------------------------------------------------------------------- */

static int make_log(struct tn_group *group, const struct tn_group_options *options,
                    const struct tn_log_recovered *recovered, char *why, size_t why_size)
{
    const struct tn__node_config *config = &group->node->config;
    struct tn_log_options log = {
        .self = (uint16_t)config->self,
        .nodes_count = config->members_count,
        .group = group->id,
        .mode = group->mode,
        .window_slots = options->window_slots,
        .fetch_bytes = TN_LOAD_BYTES_MAX,
        .waiting_max = options->waiting_max,
        .restart_word = config->lease.restart_word,
    };
    memcpy(log.nodes, config->ids, config->members_count * sizeof(log.nodes[0]));
    int error = tn_log_options_complete(&log, why, why_size);
    if (error != 0) {
        return error;
    }
    group->tail_slots = log.retain_slots;
    group->log_bytes = tn_log_size(&log);
    void *memory =
        mmap(NULL, group->log_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        return TN_ERROR_NO_MEMORY;
    }
    group->log_memory = memory;
    group->log = tn_log_init(memory, &log, recovered, tn__clock_now());
    return 0;
}

static void *resize(void *context, void *block, size_t bytes)
{
    (void)context;
    if (bytes == 0) {
        free(block);
        return NULL;
    }
    return realloc(block, bytes);
}

static int make_applier(struct tn_group *group, uint64_t executed, uint64_t committed, char *why,
                        size_t why_size)
{
    struct tn__log_applier_options options = {
        .group = group->id,
        .node = group->node->config.ids[group->node->config.self],
        .restart_word = group->node->config.lease.restart_word,
        .applied = executed,
        .machines_count = group->machines_count,
        .machines = group->machines,
        .answered = tn__calls_answered,
        .context_of = tn__calls_context,
        .context = group,
        .allocate = resize,
    };
    int error = tn__log_applier_new(&group->apply.machines, &options);
    if (error == TN_ERROR_INVALID) {
        tn__node_why(why, why_size,
                     "the log no longer holds all that a machine lacks: its own state must cover "
                     "the slots that were truncated");
    }
    if (error == 0) {
        atomic_store(&group->executed, executed);
        group->applied_told = executed;
        group->applied_stepped = executed;
        group->apply.told = committed;
        group->apply.staged_upto = committed;
        group->apply.from_store = committed > executed;
    }
    return error;
}

static int build(struct tn_group *group, const struct tn_group_options *options, char *why,
                 size_t why_size)
{
    struct tn__store_found *found = tn__store_found(&group->groups->store, group->id);
    if (found == NULL) {
        return TN_ERROR_NO_MEMORY;
    }
    struct tn_log_recovered recovered;
    int error = tn__group_begin_from(group, found, &recovered);
    if (error == 0) {
        error = make_log(group, options, &recovered, why, why_size);
    }
    if (error == 0) {
        error = tn__group_restore(group, recovered.committed, found->highest);
    }
    if (error == 0) {
        error = make_applier(group, recovered.applied, recovered.committed, why, why_size);
    }
    group->applier = &group->groups->appliers[group->id % group->groups->appliers_count];
    return error;
}

/* ---- Open ------------------------------------------------------------------------------------ */

static void connect_all(struct tn_group *group)
{
    const struct tn_node *node = group->node;
    for (uint32_t i = 0; i < node->config.members_count; i++) {
        if (i != node->config.self && tn__peers_bulk_connected(node->peers, i)) {
            struct tn_log_event event = {.kind = TN_LOG_EVENT_CONNECTED, .from = i};
            tn__groups_step(group->groups, group, &event);
        }
    }
}

static int open_on_loop(struct tn_node *node, void *argument)
{
    struct tn_group *group = argument;
    struct tn__groups *groups = group->groups;
    if (node->stopping || groups->stopped) {
        return TN_ERROR_CLOSED;
    }
    if (groups->by_id[group->id] != NULL) {
        return TN_ERROR_BUSY;
    }
    int error = tn__log_driver_add(groups->driver, group->id, group->log, tn__clock_now());
    if (error != 0) {
        return error;
    }
    tn__node_turn_begin(node);
    groups->by_id[group->id] = group;
    group->next = groups->first;
    groups->first = group;
    groups->count += 1;
    group->here = true;
    group->follow = true;
    tn__apply_begin(group);
    if (groups->store.failed) {
        tn__groups_failed(groups);
    } else if (groups->store.full) {
        struct tn_log_event event = {.kind = TN_LOG_EVENT_STORE_FULL, .number = 1};
        tn__groups_step(groups, group, &event);
    }
    connect_all(group);
    tn__groups_mark_dirty(group);
    if (group->mode == TN_LOG_MODE_LEASED) {
        error = tn__group_lease_open(group);
    }
    return error;
}

static int close_on_loop(struct tn_node *node, void *argument);
static int drained_on_loop(struct tn_node *node, void *argument);

/* Until all that the group wrote is in the store; then it is freed. If the node stops meanwhile, it
 * frees the group when it is closed. */
static void wait_until_drained(struct tn_group *group)
{
    int error = tn__node_call(group->node, drained_on_loop, group, true);
    while (error == TN_ERROR_BUSY) {
        struct timespec pause = {.tv_nsec = DRAIN_NS};
        nanosleep(&pause, NULL);
        error = tn__node_call(group->node, drained_on_loop, group, true);
    }
    if (error == 0) {
        tn__group_free(group);
    }
}

/* Take down a group that is known to the loop, or was about to be. */
static void abandon(struct tn_group *group)
{
    if (group->here) {
        tn__apply_end(group);
        (void)tn__node_call(group->node, close_on_loop, group, true);
        wait_until_drained(group);
    } else {
        tn__group_free(group);
    }
}

static int open_group(struct tn_node *node, const struct tn_group_options *options,
                      struct tn_group **group, char *why, size_t why_size)
{
    int error = 0;
    if (node->groups == NULL) {
        error = tn__groups_open(node, why, why_size);
    }
    if (error != 0) {
        return error;
    }
    if (node->groups->by_id[options->id] != NULL) { /* only openings and closings change it */
        tn__node_why(why, why_size, "a group of this id is open at this node");
        return TN_ERROR_BUSY;
    }
    struct tn_group *made = make_group(node, options);
    if (made == NULL) {
        return TN_ERROR_NO_MEMORY;
    }
    made->groups = node->groups;
    error = find_table(made, options, why, why_size);
    if (error == 0) {
        error = build(made, options, why, why_size);
    }
    if (error == 0) {
        *group = made; /* before the first callback can run */
        error = tn__node_call(node, open_on_loop, made, true);
    }
    if (error != 0) {
        *group = NULL;
        abandon(made);
    }
    return error;
}

int tn_group_open(struct tn_node *node, const struct tn_group_options *options,
                  struct tn_group **group, char *why, size_t why_size)
{
    *group = NULL;
    tn__node_why(why, why_size, "");
    if (tn__node_on_loop(node)) {
        return TN_ERROR_WRONG_THREAD;
    }
    int error = check_options(node, options, why, why_size);
    if (error != 0) {
        return error;
    }
    pthread_mutex_lock(&node->groups_mutex);
    error = open_group(node, options, group, why, why_size);
    pthread_mutex_unlock(&node->groups_mutex);
    if (error != 0 && why != NULL && why_size > 0 && why[0] == '\0') {
        tn__node_why(why, why_size, tn_strerror(error));
    }
    return error;
}

/* ---- Close ----------------------------------------------------------------------------------- */

/* What a later opening must know: the promise may be newer than what the store said at the start.
 */
static void note_state(struct tn_group *group)
{
    struct tn__store_found *found = tn__store_found(&group->groups->store, group->id);
    struct tn_log_status status;
    tn_log_status(group->log, tn__clock_now(), &status);
    tn_assert(found != NULL); /* since it was opened */
    found->recovered.promise = status.promise;
    found->recovered.committed = status.committed;
    found->recovered.checksum = status.checksum;
    found->recovered.retained = status.retained;
    /* V4: a promise that is lost stays lost. */
    if (found->recovered.damaged != 2) {
        found->recovered.damaged = status.state == TN_LOG_STATE_DAMAGED;
    }
    found->highest = status.proposed > found->highest ? status.proposed : found->highest;
}

static int close_on_loop(struct tn_node *node, void *argument)
{
    struct tn_group *group = argument;
    struct tn__groups *groups = group->groups;
    if (node->stopping) {
        return TN_ERROR_CLOSED;
    }
    tn__node_turn_begin(node);
    tn__groups_run_ops(groups); /* what was asked before */
    tn__reads_end_all(group);
    tn__calls_end_all(group);
    tn__groups_tell_ended(groups);
    tn_node_lease_close(group->lease);
    group->lease = NULL;
    note_state(group);
    group->here = false;
    tn__log_driver_remove(groups->driver, group->id);
    return 0;
}

static int drained_on_loop(struct tn_node *node, void *argument)
{
    struct tn_group *group = argument;
    struct tn__groups *groups = group->groups;
    if (node->stopping) {
        return TN_ERROR_CLOSED;
    }
    tn__groups_run_ops(groups);
    if (!groups->store.failed && atomic_load(&group->indexed) < group->appended) {
        return TN_ERROR_BUSY;
    }
    tn__groups_forget(groups, group);
    return 0;
}

int tn_group_close(struct tn_group *group)
{
    if (group == NULL) {
        return 0;
    }
    struct tn_node *node = group->node;
    if (tn__node_on_loop(node) || tn__on_applier(group->groups)) {
        return TN_ERROR_WRONG_THREAD;
    }
    atomic_store(&group->closed, true);
    pthread_mutex_lock(&node->groups_mutex);
    tn__apply_end(group);
    if (tn__node_call(node, close_on_loop, group, true) == 0) {
        wait_until_drained(group);
    } /* else the node has stopped, has ended all calls, and frees the group when it is closed */
    pthread_mutex_unlock(&node->groups_mutex);
    return 0;
}

static void release_entries(struct tn_log_entry *entries, uint32_t first, uint32_t count)
{
    for (uint32_t i = first; i < count; i++) {
        if (entries[i].value.handle != 0) {
            tn__block_release(tn__block_of(entries[i].value.handle));
        }
    }
    free(entries);
}

void tn__group_free(struct tn_group *group)
{
    release_entries(group->apply.taken, group->apply.taken_next, group->apply.taken_count);
    release_entries(group->apply.queue, 0, group->apply.queue_count);
    release_entries(group->apply.staged, 0, group->apply.staged_count);
    tn__log_applier_free(group->apply.machines);
    tn__block_list_drop(&group->held);
    if (group->log_memory != NULL) {
        munmap(group->log_memory, group->log_bytes);
    }
    tn__calls_table_free(&group->table_of_calls);
    free(group);
}

/* ---- Looking --------------------------------------------------------------------------------- */

void tn__group_status(struct tn_group *group, struct tn_group_status *status)
{
    memset(status, 0, sizeof(*status));
    tn_log_status(group->log, tn__clock_now(), &status->log);
    tn_log_counters(group->log, &status->counters);
    status->executed = atomic_load(&group->executed);
    status->log.applied = status->executed; /* its machine hears of it later, if at all */
    status->stalled = atomic_load(&group->stalled);
    status->calls = tn__call_count_now(&group->calls);
    status->retries = atomic_load(&group->retries);
    status->unknowns = atomic_load(&group->unknowns);
    status->once_ids = atomic_load(&group->once_ids);
}

struct look {
    struct tn_group *group;
    struct tn_group_status *status;
    uint64_t slot;
    uint64_t retain;
    struct tn_log_value value;
};

static int status_on_loop(struct tn_node *node, void *argument)
{
    struct look *look = argument;
    if (node->stopping || !look->group->here) {
        return TN_ERROR_CLOSED;
    }
    tn__group_status(look->group, look->status);
    return 0;
}

int tn_group_status(struct tn_group *group, struct tn_group_status *status)
{
    struct look look = {.group = group, .status = status};
    return tn__node_call(group->node, status_on_loop, &look, false);
}

uint32_t tn_group_id(const struct tn_group *group)
{
    return group->id;
}

/* The value of a slot from memory, with a reference; or 0 with its kind NONE: it is in the store.
 */
static int value_on_loop(struct tn_node *node, void *argument)
{
    struct look *look = argument;
    struct tn_log_status status;
    if (node->stopping || !look->group->here) {
        return TN_ERROR_CLOSED;
    }
    tn_log_status(look->group->log, tn__clock_now(), &status);
    if (look->slot == 0 || look->slot > status.committed || look->slot < status.retained) {
        return TN_ERROR_NOT_FOUND;
    }
    if (tn_log_value(look->group->log, look->slot, &look->value) != 0) {
        memset(&look->value, 0, sizeof(look->value));
    } else if (look->value.handle != 0) {
        tn__block_retain(tn__block_of(look->value.handle), 1);
    }
    return 0;
}

static int show_value(const struct tn_log_value *value, const void *payload, void *bytes,
                      size_t capacity, size_t *count, uint32_t *machine)
{
    struct tn__log_envelope envelope;
    *count = 0;
    *machine = TN_MACHINE_NONE;
    if (value->kind != TN_LOG_VALUE_PAYLOAD ||
        !tn__log_envelope_read(&envelope, payload, value->bytes)) {
        return 0; /* a no-op, or bytes that no machine would look at */
    }
    *machine = envelope.machine;
    *count = value->bytes - TN_ENVELOPE_BYTES;
    size_t shown = *count < capacity ? *count : capacity;
    if (shown > 0) {
        memcpy(bytes, (const uint8_t *)payload + TN_ENVELOPE_BYTES, shown);
    }
    return 0;
}

static int value_from_store(struct tn_group *group, uint64_t slot, void *bytes, size_t capacity,
                            size_t *count, uint32_t *machine)
{
    struct tn__store_cursor *cursor = calloc(1, sizeof(*cursor));
    const struct tn_log_entry *entry = NULL;
    const void *payload = NULL;
    if (cursor == NULL) {
        return TN_ERROR_NO_MEMORY;
    }
    int error = tn__store_entry(&group->groups->store, cursor, group->id, slot, &entry, &payload);
    if (error == 0) {
        error = show_value(&entry->value, payload, bytes, capacity, count, machine);
    }
    tn__store_cursor_free(cursor);
    return error;
}

int tn_group_value(struct tn_group *group, uint64_t slot, void *bytes, size_t capacity,
                   size_t *count, uint32_t *machine)
{
    if (tn__node_on_loop(group->node) || tn__on_applier(group->groups)) {
        return TN_ERROR_WRONG_THREAD;
    }
    size_t count_here;
    uint32_t machine_here;
    count = count != NULL ? count : &count_here;
    machine = machine != NULL ? machine : &machine_here;
    struct look look = {.group = group, .slot = slot};
    int error = tn__node_call(group->node, value_on_loop, &look, false);
    if (error != 0) {
        return error;
    }
    if (look.value.kind == TN_LOG_VALUE_NONE) {
        return value_from_store(group, slot, bytes, capacity, count, machine);
    }
    const void *payload = look.value.handle == 0 ? NULL : tn__payload_bytes(look.value.handle);
    error = show_value(&look.value, payload, bytes, capacity, count, machine);
    if (look.value.handle != 0) {
        tn__block_release(tn__block_of(look.value.handle));
    }
    return error;
}

static int truncate_on_loop(struct tn_node *node, void *argument)
{
    struct look *look = argument;
    struct tn_group *group = look->group;
    if (node->stopping || !group->here) {
        return TN_ERROR_CLOSED;
    }
    if (look->slot > atomic_load(&group->executed)) {
        return TN_ERROR_INVALID;
    }
    if (look->slot < group->tail_slots) {
        return 0;
    }
    uint64_t retained = look->slot + 1 - group->tail_slots;
    struct tn__store *store = &group->groups->store;
    pthread_mutex_lock(&store->index);
    tn__wal_retain(store->wal, group->id, retained);
    pthread_mutex_unlock(&store->index);
    tn__node_turn_begin(node);
    struct tn_log_event event = {.kind = TN_LOG_EVENT_RETAIN, .number = retained};
    tn__groups_step(group->groups, group, &event);
    return 0;
}

int tn_group_truncate(struct tn_group *group, uint64_t slot)
{
    struct look look = {.group = group, .slot = slot};
    return tn__node_call(group->node, truncate_on_loop, &look, false);
}
