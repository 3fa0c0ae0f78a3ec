/* The write-ahead log of a node (store/wal.h): recovery when the first group is opened, and the
 * thread that writes.
 *
 * Records of a turn are gathered into one batch while the writer writes the other; then the two
 * change places. So the disk is never idle while there is work, and the slower it is the more a
 * sync carries. A write that fails for want of space is tried again each second (W4); after any
 * other failure the log takes no more (W2), and the machines are told.
 *
 * Where the kernel has a ring the loop writes by that, and the thread only when the log must go on
 * to another segment, or while it makes one (node_store_ring.c).
 *
 * While nothing waits the writer makes the next segment ahead of need, and after a second of quiet
 * vouches for the last batch. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "node/node_groups.h"
#include "os/clock.h"
#include "os/file_posix.h"
#include "os/file_probe.h"
#include "os/memory.h"

#define FULL_RETRY_NS TN_SECOND
#define QUIET_NS TN_SECOND

/* What is written at least where the page cache stands between: a page. */
#define BLOCK_BYTES_BUFFERED 4096U

/* ---- The writer ------------------------------------------------------------------------------ */

/* Under the mutex, and without it for a moment: the loop looks here at once. */
static void leave_op(struct tn__store *store)
{
    if (!store->op_left) {
        store->op_left = true;
        store->op.kind = TN_OP_WRITTEN;
        pthread_mutex_unlock(&store->mutex);
        (void)tn__groups_leave(store->groups, &store->op, &store->op, NULL);
        pthread_mutex_lock(&store->mutex);
    }
}

/* Wait for something to do, at most so long. False: the time is over. */
static bool sleep_for(struct tn__store *store, tn_time wait)
{
    tn_time end = tn__clock_awake() + wait;
    struct timespec when = {
        .tv_sec = (time_t)(end / TN_SECOND),
        .tv_nsec = (long)(end % TN_SECOND),
    };
    return pthread_cond_timedwait(&store->wanted, &store->mutex, &when) == 0;
}

/* Into the log, and out of it again: without the mutex, and alone. */
static void enter(struct tn__store *store)
{
    tn_assert(!store->busy && !store->ringing);
    store->busy = true;
    pthread_mutex_unlock(&store->mutex);
}

static void leave(struct tn__store *store)
{
    pthread_mutex_lock(&store->mutex);
    store->busy = false;
}

/* Nobody waits for the thread, and the log is free. */
static bool is_idle(const struct tn__store *store)
{
    return !store->given && !store->stop && !store->ringing;
}

/* Errors here come again, and are told, with the next write. */
static void idle_work(struct tn__store *store)
{
    if (store->ahead && is_idle(store)) {
        store->ahead = false;
        enter(store);
        (void)tn__wal_ahead(store->wal);
        leave(store);
    }
    bool more = true;
    while (more && is_idle(store)) {
        enter(store);
        int error = tn__wal_prepare(store->wal, &more);
        leave(store);
        if (error != 0) {
            break;
        }
    }
}

/* It is long enough that something was written. */
static void seal_when_quiet(struct tn__store *store)
{
    tn_time now = tn__clock_awake();
    tn_time quiet_at = store->wrote_at + QUIET_NS;
    if (now < quiet_at) {
        (void)sleep_for(store, quiet_at - now);
        return;
    }
    store->sealed = true;
    enter(store);
    (void)tn__wal_seal(store->wal);
    leave(store);
}

static void wait_for_batch(struct tn__store *store)
{
    while (!store->given && !store->stop) {
        idle_work(store);
        if (store->ringing) {
            (void)sleep_for(store, QUIET_NS); /* the loop wakes us if there is something to do */
        } else if (!is_idle(store)) {
            return;
        } else if (atomic_exchange(&store->heal, false)) {
            enter(store);
            (void)tn__wal_heal(store->wal); /* if it fails: tried again after the next start */
            leave(store);
        } else if (store->sealed) {
            pthread_cond_wait(&store->wanted, &store->mutex);
        } else {
            seal_when_quiet(store);
        }
    }
}

/* Write the batch, however long the disk is full. */
static void write_batch(struct tn__store *store, struct tn__wal_batch *batch)
{
    for (;;) {
        enter(store);
        int error = tn__wal_write(store->wal, batch);
        pthread_mutex_lock(&store->mutex);
        if (error != TN_ERROR_DISK_FULL || store->stop) {
            store->given = false;
            store->finished = true;
            store->error = error;
            store->sealed = false;
            store->ahead = false;
            store->wrote_at = tn__clock_awake();
            leave_op(store);
            pthread_mutex_unlock(&store->mutex);
            (void)tn__wal_ahead(store->wal); /* an error comes again with the next write */
            leave(store);
            return;
        }
        store->busy = false;
        store->waits = true;
        leave_op(store);
        (void)sleep_for(store, FULL_RETRY_NS);
    }
}

static void *run_writer(void *argument)
{
    struct tn__store *store = argument;
    pthread_mutex_lock(&store->mutex);
    for (;;) {
        wait_for_batch(store);
        if (!store->given) {
            break;
        }
        /* `gathering` changes only while nothing is being written. */
        write_batch(store, store->batches[1 - store->gathering].wal);
    }
    pthread_mutex_unlock(&store->mutex);
    return NULL;
}

/* ---- The loop's side ------------------------------------------------------------------------- */

static const void *payload(void *context, uint64_t handle)
{
    (void)context;
    return tn__payload_bytes(handle);
}

void tn__store_append(struct tn__store *store, const struct tn_log_record *record,
                      const struct tn_log_entry *entries)
{
    if (store->failed) {
        return;
    }
    struct tn__store_batch *batch = &store->batches[store->gathering];
    if (tn__wal_batch_add(batch->wal, record, entries, payload, NULL) != 0) {
        store->lost = true; /* a record is missing: nothing after it may be written */
        return;
    }
    uint16_t *place = &store->places[record->group];
    if (*place == 0) {
        tn_assert(batch->groups_count < TN_GROUPS_MAX);
        batch->groups[batch->groups_count++] = record->group;
        *place = (uint16_t)batch->groups_count;
    }
    batch->writes[*place - 1] = record->write;
}

static void fail(struct tn__store *store, int error)
{
    const struct tn_node *node = store->groups->node;
    if (store->failed) {
        return;
    }
    store->failed = true;
    tn__node_log(node, TN_LOG_ERROR,
                 "data directory %s: the log could not be written: %s; no group of this node votes "
                 "or learns until it is started again on a sound disk",
                 node->config.data_dir, tn_strerror(error));
    tn__groups_failed(store->groups);
}

/* W3: is everything fetched that the damage may have taken? Of groups that the damaged log knows
 * nothing of any more nobody can say; whoever has such opens them within TN_HEAL_NS. */
static bool is_whole(const struct tn__store *store)
{
    const struct tn__groups *groups = store->groups;
    for (const struct tn_group *group = groups->first; group != NULL; group = group->next) {
        struct tn_log_status status;
        tn_log_status(group->log, tn__clock_now(), &status);
        if (status.state == TN_LOG_STATE_DAMAGED || status.state == TN_LOG_STATE_STOPPED) {
            return false;
        }
    }
    for (uint32_t id = 0; id <= TN_GROUP_ID_MAX; id++) {
        if (store->found[id] != NULL && groups->by_id[id] == NULL) {
            return false;
        }
    }
    return groups->first != NULL;
}

static void heal_when_whole(struct tn__store *store)
{
    tn_time now = tn__clock_now();
    if (!store->report.damaged || store->failed || now < atomic_load(&store->heal_at)) {
        return;
    }
    atomic_store(&store->heal_at, now + TN_SECOND);
    bool written = !store->writing && store->batches[store->gathering].groups_count == 0;
    if (!written || !is_whole(store)) { /* what was fetched must be durable first */
        return;
    }
    const struct tn_node *node = store->groups->node;
    tn__node_log(node, TN_LOG_WARNING,
                 "data directory %s: all that the damaged log may have held is fetched; it counts "
                 "as whole again",
                 node->config.data_dir);
    store->report.damaged = 0;
    atomic_store(&store->heal, true);
    pthread_mutex_lock(&store->mutex);
    pthread_cond_signal(&store->wanted);
    pthread_mutex_unlock(&store->mutex);
}

bool tn__store_turn_end(struct tn__store *store)
{
    struct tn__store_batch *batch = &store->batches[store->gathering];
    if (store->lost) {
        fail(store, TN_ERROR_NO_MEMORY);
    }
    heal_when_whole(store);
    if (store->writing || store->failed || batch->groups_count == 0) {
        return false;
    }
    for (uint32_t i = 0; i < batch->groups_count; i++) {
        store->places[batch->groups[i]] = 0;
    }
    struct tn_node_counters *counters = &store->groups->node->counters;
    counters->log_batches += 1;
    counters->log_bytes += tn__wal_batch_bytes(batch->wal);
    pthread_mutex_lock(&store->mutex);
    store->gathering = 1 - store->gathering;
    pthread_mutex_unlock(&store->mutex);
    store->writing = true;
    if (!tn__store_ring_write(store, batch->wal)) {
        pthread_mutex_lock(&store->mutex);
        store->given = true;
        pthread_mutex_unlock(&store->mutex);
        pthread_cond_signal(&store->wanted); /* who wakes finds the mutex free */
    }
    return true;
}

static void say_full(struct tn__store *store, bool full)
{
    const struct tn_node *node = store->groups->node;
    if (store->full == full) {
        return;
    }
    store->full = full;
    tn__node_log(node, full ? TN_LOG_ERROR : TN_LOG_WARNING,
                 full ? "data directory %s: no space left for the log: nothing is accepted until "
                        "there is some; free space on that file system"
                      : "data directory %s: there is space for the log again",
                 node->config.data_dir);
    tn__groups_full(store->groups, full);
}

void tn__store_written(struct tn__store *store, int error)
{
    struct tn__store_batch *batch = &store->batches[1 - store->gathering];
    store->writing = false;
    if (error == 0) {
        pthread_mutex_lock(&store->index);
        error = tn__wal_index(store->wal, batch->wal);
        pthread_mutex_unlock(&store->index);
    }
    if (error != 0) {
        fail(store, error);
    } else {
        say_full(store, false);
        tn__groups_written(store->groups, batch);
    }
    tn__wal_batch_clear(batch->wal);
    batch->groups_count = 0;
    tn__appliers_hand_over(store->groups); /* somebody may wait for what is committed now */
}

void tn__store_told(struct tn__store *store)
{
    pthread_mutex_lock(&store->mutex);
    bool finished = store->finished;
    bool waits = store->waits;
    int error = store->error;
    store->finished = false;
    store->waits = false;
    store->op_left = false;
    pthread_mutex_unlock(&store->mutex);
    if (finished) {
        tn__store_written(store, error);
    } else if (waits) {
        say_full(store, true);
    }
}

/* ---- Recovery -------------------------------------------------------------------------------- */

struct tn__store_found *tn__store_found(struct tn__store *store, uint32_t group)
{
    if (store->found[group] == NULL) {
        struct tn__store_found *made = calloc(1, sizeof(*made));
        store->found[group] = made;
        if (made != NULL) {
            /* W3, V4: what it had may be gone, and what it promised too. */
            made->recovered.damaged = store->report.damaged ? 2 : 0;
        }
    }
    return store->found[group];
}

static int visit_state(void *context, const struct tn_log_record *record,
                       const struct tn_log_recovered *state,
                       const struct tn_log_value *configurations,
                       const uint64_t *configuration_slots, uint32_t configurations_count)
{
    (void)state;
    (void)configurations;
    (void)configuration_slots;
    (void)configurations_count;
    return tn__store_found(context, record->group) != NULL ? 0 : TN_ERROR_NO_MEMORY;
}

static int visit_record(void *context, const struct tn_log_record *record,
                        const struct tn_log_entry *entries, const void *const *bytes)
{
    (void)bytes;
    struct tn__store_found *found = tn__store_found(context, record->group);
    if (found == NULL) {
        return TN_ERROR_NO_MEMORY;
    }
    for (uint32_t i = 0; i < record->entries_count; i++) {
        found->highest = entries[i].slot > found->highest ? entries[i].slot : found->highest;
    }
    return 0;
}

static void take_found(struct tn__store *store)
{
    for (uint32_t group = 0; group <= TN_GROUP_ID_MAX; group++) {
        struct tn__store_found *found = store->found[group];
        if (found != NULL) {
            (void)tn__wal_found(store->wal, group, &found->recovered);
            found->recovered.damaged_upto =
                found->recovered.damaged ? found->highest : found->recovered.damaged_upto;
        }
    }
}

static void log_report(const struct tn__store *store, const char *why)
{
    const struct tn_node *node = store->groups->node;
    const struct tn__wal_report *report = &store->report;
    if (report->damaged) {
        tn__node_log(node, TN_LOG_ERROR, "data directory %s: the log is damaged: %s",
                     node->config.data_dir, why);
    }
    tn__node_log(node, TN_LOG_INFO,
                 "data directory %s: log of %llu segments, %llu records, %llu bytes read; %llu "
                 "bytes of a torn tail cut, %llu written again",
                 node->config.data_dir, (unsigned long long)report->segments_count,
                 (unsigned long long)report->records_count, (unsigned long long)report->bytes_read,
                 (unsigned long long)report->bytes_cut,
                 (unsigned long long)report->bytes_rewritten);
}

static struct tn__wal_options options_of(struct tn__store *store, const struct tn__words *words)
{
    const struct tn__node_config *config = &store->groups->node->config;
    struct tn__wal_options options = {
        .files = words->files,
        .directory = words->directory,
        .segment_bytes = config->log_segment_bytes,
        .apart = 1,
        .value_bytes_max = TN_VALUE_BYTES_MAX,
        .segment_known = words->log_segment,
        .starts = words->restart_word >> 32,
        .allocate = tn__memory_resize,
    };
    memcpy(options.cluster_id, config->cluster_id, sizeof(options.cluster_id));
    memcpy(options.disk_id, words->disk_id, sizeof(options.disk_id));
    return options;
}

static int open_wal(struct tn__store *store, char *why, size_t why_size)
{
    struct tn_node *node = store->groups->node;
    struct tn__words *words = &node->words.words;
    pthread_mutex_lock(&node->words.writing);
    struct tn__wal_options options = options_of(store, words);
    pthread_mutex_unlock(&node->words.writing);
    struct tn__file_probe probe;
    int error = tn__file_posix_probe(words->directory, &probe);
    if (error != 0) {
        return error;
    }
    /* The ring knows real files only. */
    store->rings = probe.choose_direct && options.files.operations == tn__file_posix().operations;
    options.block_bytes = probe.choose_direct ? probe.alignment_bytes : BLOCK_BYTES_BUFFERED;
    options.direct = probe.choose_direct ? 1 : 0;
    struct tn__wal_visitor visitor = {
        .context = store, .state = visit_state, .record = visit_record};
    error = tn__wal_open(&store->wal, &options, &visitor, &store->report, why, why_size);
    if (error != 0) {
        return error;
    }
    take_found(store);
    log_report(store, why);
    atomic_store(&store->heal_at, tn__clock_now() + TN_HEAL_NS);
    return tn__node_words_log(node, store->report.segment); /* W3: its loss will be noticed */
}

static int start_writer(struct tn__store *store)
{
    pthread_condattr_t attributes;
    if (pthread_condattr_init(&attributes) != 0) {
        return TN_ERROR_NO_MEMORY;
    }
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&store->mutex, NULL); /* these do not fail on Linux */
    pthread_cond_init(&store->wanted, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&store->index, NULL);
    store->threads_made = true;
    if (pthread_create(&store->writer, NULL, run_writer, store) != 0) {
        return TN_ERROR_NO_MEMORY;
    }
    store->writer_running = true;
    return 0;
}

int tn__store_open(struct tn__groups *groups, char *why, size_t why_size)
{
    struct tn__store *store = &groups->store;
    store->groups = groups;
    store->found = (struct tn__store_found **)calloc(TN_GROUP_ID_MAX + 1, sizeof(store->found[0]));
    store->places = calloc(TN_GROUP_ID_MAX + 1, sizeof(*store->places));
    int error = store->found == NULL || store->places == NULL ? TN_ERROR_NO_MEMORY : 0;
    if (error == 0) {
        error = open_wal(store, why, why_size);
    }
    for (uint32_t i = 0; i < 2 && error == 0; i++) {
        error = tn__wal_batch_new(store->wal, &store->batches[i].wal);
    }
    if (error == 0) {
        error = start_writer(store);
    }
    if (error == 0) {
        tn__store_ring_open(store);
    }
    if (error != 0) {
        tn__store_close(store);
    }
    return error;
}

void tn__store_close(struct tn__store *store)
{
    tn__store_ring_close(store);
    if (store->writer_running) {
        pthread_mutex_lock(&store->mutex);
        store->stop = true;
        pthread_cond_signal(&store->wanted);
        pthread_mutex_unlock(&store->mutex);
        pthread_join(store->writer, NULL); /* what it was given is written */
        store->writer_running = false;
        const struct tn__store_batch *rest = &store->batches[store->gathering];
        if (!store->failed && !store->lost && rest->groups_count > 0) {
            (void)tn__wal_write(store->wal, rest->wal); /* nothing was said that depends on it */
        }
        if (atomic_exchange(&store->heal, false)) { /* it was told that the log counts as whole */
            (void)tn__wal_heal(store->wal);
        }
        (void)tn__wal_seal(store->wal);
    }
    if (store->threads_made) {
        pthread_cond_destroy(&store->wanted);
        pthread_mutex_destroy(&store->mutex);
        pthread_mutex_destroy(&store->index);
        store->threads_made = false;
    }
    for (uint32_t i = 0; i < 2; i++) {
        if (store->batches[i].wal != NULL) {
            tn__wal_batch_free(store->batches[i].wal);
            store->batches[i].wal = NULL;
        }
    }
    tn__wal_close(store->wal);
    store->wal = NULL;
    for (uint32_t group = 0; store->found != NULL && group <= TN_GROUP_ID_MAX; group++) {
        free(store->found[group]);
    }
    free((void *)store->found);
    free(store->places);
    store->found = NULL;
    store->places = NULL;
}
