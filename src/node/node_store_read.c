/* Reading the log back: single entries for whoever needs one, on any thread, and the thread that
 * reads runs for peers that lag (C2).
 *
 *   loop: a peer asks --> queue --> thread: read, check, encode, sum --> loop: a whole frame, to be
 *   handed to the peer's bulk connection, no byte of it looked at
 *
 * That thread reads at a bounded rate and a short frame's worth at a time: new commits share the
 * loop, the processors and the disk with what it does, and never wait for much of it. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "node/node_groups.h"
#include "os/clock.h"

/* ---- Single entries -------------------------------------------------------------------------- */

void tn__store_cursor_free(struct tn__store_cursor *cursor)
{
    if (cursor != NULL) {
        free(cursor->buffer);
        free(cursor);
    }
}

static int load(struct tn__store *store, struct tn__store_cursor *cursor,
                const struct tn__wal_position *position)
{
    cursor->loaded = false;
    if (cursor->capacity < position->bytes) {
        uint8_t *grown = realloc(cursor->buffer, position->bytes);
        if (grown == NULL) {
            return TN_ERROR_NO_MEMORY;
        }
        cursor->buffer = grown;
        cursor->capacity = position->bytes;
    }
    int error = tn__wal_read(store->wal, position, cursor->buffer, cursor->capacity,
                             &cursor->record, cursor->entries, cursor->bytes, TN_LOG_RUN_MAX);
    if (error == 0) {
        cursor->position = *position;
        cursor->loaded = true;
    }
    return error;
}

int tn__store_entry(struct tn__store *store, struct tn__store_cursor *cursor, uint32_t group,
                    uint64_t slot, const struct tn_log_entry **entry, const void **bytes)
{
    struct tn__wal_position position;
    pthread_mutex_lock(&store->index);
    int error = tn__wal_locate(store->wal, group, slot, &position);
    pthread_mutex_unlock(&store->index);
    if (error != 0) {
        return error;
    }
    if (!cursor->loaded || cursor->position.segment != position.segment ||
        cursor->position.offset != position.offset) {
        error = load(store, cursor, &position);
    }
    if (error != 0) {
        return error;
    }
    const struct tn_log_record *record = &cursor->record;
    if (record->entries_count == 0 || record->group != group) {
        return TN_ERROR_DAMAGED;
    }
    /* Entries of a record are in slot order, seldom with gaps. */
    uint64_t first = cursor->entries[0].slot;
    uint32_t at = slot - first < record->entries_count ? (uint32_t)(slot - first) : 0;
    for (uint32_t i = 0; i < record->entries_count && cursor->entries[at].slot != slot; i++) {
        at = i;
    }
    if (cursor->entries[at].slot != slot) {
        return TN_ERROR_DAMAGED;
    }
    *entry = &cursor->entries[at];
    *bytes = cursor->bytes[at];
    return 0;
}

/* ---- The thread that reads for peers --------------------------------------------------------- */

void tn__loads_ask(struct tn__groups *groups, uint32_t id, const struct tn_log_load *load)
{
    struct tn__loads *loads = &groups->loads;
    const struct tn_group *group = tn__groups_find(groups, id);
    if (group == NULL) {
        return;
    }
    struct tn__load asked = {.group = id, .slot = load->slot, .slot_end = load->slot_end};
    struct tn_log_status status;
    tn_log_status(group->log, tn__clock_now(), &status);
    asked.committed = status.committed;
    asked.retained = status.retained;
    asked.accepted = status.proposed;
    pthread_mutex_lock(&loads->mutex);
    tn_member_set to = load->to;
    while (to != 0) {
        uint32_t member = (uint32_t)__builtin_ctz(to);
        to &= to - 1;
        if (loads->count == TN_LOADS_MAX) {
            loads->dropped += 1; /* the peer asks again */
            continue;
        }
        uint32_t last = (loads->first + loads->count) % TN_LOADS_MAX;
        asked.to = member;
        tn__peers_header(groups->node->peers, member, &asked.header);
        loads->queue[last] = asked;
        loads->count += 1;
    }
    pthread_cond_signal(&loads->wanted);
    pthread_mutex_unlock(&loads->mutex);
}

/* Room for the values of one frame. */
static bool make_room(struct tn__loads *loads, size_t bytes)
{
    if (bytes <= loads->values_capacity) {
        return true;
    }
    uint8_t *grown = realloc(loads->values, bytes);
    if (grown == NULL) {
        return false;
    }
    loads->values = grown;
    loads->values_capacity = bytes;
    return true;
}

/* As many entries as make a short frame, or one that is longer. Their values are put together in
 * the thread's own memory: those of one record are gone when the next one is read. */
static uint32_t read_run(struct tn__loads *loads, const struct tn__load *load)
{
    size_t used = 0;
    uint32_t count = 0;
    uint64_t slot = load->slot;
    while (slot < load->slot_end && count < TN_LOG_RUN_MAX) {
        const struct tn_log_entry *entry = NULL;
        const void *bytes = NULL;
        if (tn__store_entry(&loads->groups->store, loads->cursor, load->group, slot, &entry,
                            &bytes) != 0) {
            break; /* gone, or not there yet: the peer asks again */
        }
        size_t wanted = used + entry->value.bytes;
        if ((count > 0 && wanted > TN_LOAD_BYTES_MAX) ||
            !make_room(loads, wanted > TN_LOAD_BYTES_MAX ? wanted : TN_LOAD_BYTES_MAX)) {
            break;
        }
        loads->entries[count] = *entry;
        loads->entries[count].value.handle = used; /* where it begins */
        if (entry->value.bytes > 0) {
            memcpy(loads->values + used, bytes, entry->value.bytes);
            used = wanted;
        }
        count += 1;
        slot += 1;
    }
    return count;
}

static const void *value_at(void *context, uint64_t handle)
{
    return (const uint8_t *)context + handle;
}

/* The frame of a run, as the loop would have made it. NULL: no memory. */
static struct tn__loaded *make_frame(struct tn__loads *loads, const struct tn__load *load,
                                     uint32_t count)
{
    struct tn_log_message message = {
        .group = load->group,
        .kind = TN_LOG_FETCHED,
        .entries_count = count,
        .slot = load->slot,
        .slot_end = load->slot + count,
        .committed = load->committed,
        .retained = load->retained,
        .accepted = load->accepted,
    };
    size_t length = TN_FRAME_HEADER_BYTES + tn__log_message_bytes(&message, loads->entries);
    struct tn__loaded *loaded = calloc(1, sizeof(*loaded));
    if (loaded == NULL || !tn__buffer_reserve(&loaded->frame, length)) {
        free(loaded);
        return NULL;
    }
    uint8_t *bytes = loaded->frame.bytes;
    (void)tn__log_message_write(bytes + TN_FRAME_HEADER_BYTES, &message, loads->entries, value_at,
                                loads->values);
    struct tn__frame_header header = load->header;
    header.kind = TN_FRAME_LOG;
    header.items_count = 1;
    header.length = (uint32_t)length;
    tn__frame_seal(bytes, &header);
    loaded->frame.length = length;
    loaded->group = load->group;
    loaded->to = load->to;
    loaded->op.kind = TN_OP_LOADED;
    return loaded;
}

void tn__loaded_free(struct tn__loaded *loaded)
{
    if (loaded != NULL) {
        free(loaded->frame.bytes);
        free(loaded);
    }
}

/* Short entries cost their receiver more than their bytes do: a step, a place in the index, an
 * execution. */
#define ENTRY_BYTES_MIN 256U

/* Read what was asked for and leave it for the loop; how many bytes that counts for. */
static uint64_t serve(struct tn__loads *loads, const struct tn__load *load)
{
    uint32_t count = read_run(loads, load);
    struct tn__loaded *loaded = count > 0 ? make_frame(loads, load, count) : NULL;
    if (loads->values_capacity > TN_LOAD_BYTES_MAX) { /* one long value is no reason to keep it */
        free(loads->values);
        loads->values = NULL;
        loads->values_capacity = 0;
    }
    if (loaded == NULL) {
        return 0;
    }
    uint64_t least = (uint64_t)count * ENTRY_BYTES_MIN;
    uint64_t bytes = loaded->frame.length > least ? loaded->frame.length : least;
    if (!tn__groups_leave(loads->groups, &loaded->op, &loaded->op, NULL)) {
        tn__loaded_free(loaded);
    }
    return bytes;
}

static void sleep_for(struct tn__loads *loads, tn_time wait)
{
    tn_time end = tn__clock_awake() + wait;
    struct timespec when = {
        .tv_sec = (time_t)(end / TN_SECOND),
        .tv_nsec = (long)(end % TN_SECOND),
    };
    while (!loads->stop && tn__clock_awake() < end) {
        (void)pthread_cond_timedwait(&loads->wanted, &loads->mutex, &when);
    }
}

/* C2: what is served leaves evenly, a short run at a time, and no faster than the option says: a
 * burst would keep the processors from those who wait for a commit. Who was late, for his sleep or
 * for the disk, may make up for so much. */
#define LATENESS_NS (5 * TN_MILLISECOND)

static void pace(struct tn__loads *loads, uint64_t bytes)
{
    tn_time now = tn__clock_awake();
    tn_time earliest = now > LATENESS_NS ? now - LATENESS_NS : 0;
    uint64_t rate = loads->groups->node->config.catch_up_bytes_per_second;
    loads->due = loads->due > earliest ? loads->due : earliest;
    loads->due += bytes * TN_SECOND / rate; /* below 2^64: a run is at most some 2^28 bytes */
    if (loads->due > now) {
        sleep_for(loads, loads->due - now);
    }
}

static void *run_loads(void *argument)
{
    struct tn__loads *loads = argument;
    pthread_mutex_lock(&loads->mutex);
    while (!loads->stop) {
        if (loads->count == 0) {
            pthread_cond_wait(&loads->wanted, &loads->mutex);
            continue;
        }
        struct tn__load load = loads->queue[loads->first];
        loads->first = (loads->first + 1) % TN_LOADS_MAX;
        loads->count -= 1;
        pthread_mutex_unlock(&loads->mutex);
        uint64_t bytes = serve(loads, &load);
        pthread_mutex_lock(&loads->mutex);
        pace(loads, bytes);
    }
    pthread_mutex_unlock(&loads->mutex);
    return NULL;
}

int tn__loads_start(struct tn__groups *groups)
{
    struct tn__loads *loads = &groups->loads;
    loads->groups = groups;
    loads->cursor = calloc(1, sizeof(*loads->cursor));
    loads->entries = calloc(TN_LOG_RUN_MAX, sizeof(*loads->entries));
    pthread_condattr_t attributes;
    if (loads->cursor == NULL || loads->entries == NULL ||
        pthread_condattr_init(&attributes) != 0) {
        free(loads->cursor);
        free(loads->entries);
        loads->cursor = NULL;
        loads->entries = NULL;
        return TN_ERROR_NO_MEMORY;
    }
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&loads->mutex, NULL); /* these do not fail on Linux */
    pthread_cond_init(&loads->wanted, &attributes);
    pthread_condattr_destroy(&attributes);
    loads->running = pthread_create(&loads->thread, NULL, run_loads, loads) == 0;
    return loads->running ? 0 : TN_ERROR_NO_MEMORY;
}

void tn__loads_stop(struct tn__groups *groups)
{
    struct tn__loads *loads = &groups->loads;
    if (loads->running) {
        pthread_mutex_lock(&loads->mutex);
        loads->stop = true;
        pthread_cond_broadcast(&loads->wanted);
        pthread_mutex_unlock(&loads->mutex);
        pthread_join(loads->thread, NULL);
        loads->running = false;
    }
    tn__store_cursor_free(loads->cursor);
    free(loads->entries);
    free(loads->values);
    loads->cursor = NULL;
    loads->entries = NULL;
    loads->values = NULL;
}
