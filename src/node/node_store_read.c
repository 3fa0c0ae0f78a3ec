/* Reading the log back: single entries for whoever needs one, on any thread, and the thread that
 * reads runs for peers that lag (C2). That thread reads at a bounded rate and at most a frame's
 * worth at a time, so that catching up never delays new commits for long. */
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
        loads->queue[last] = (struct tn__load){
            .group = id, .to = member, .slot = load->slot, .slot_end = load->slot_end};
        loads->count += 1;
    }
    pthread_cond_signal(&loads->wanted);
    pthread_mutex_unlock(&loads->mutex);
}

/* As many entries as fit in a frame, copied into one block. */
static struct tn__loaded *read_run(struct tn__loads *loads, const struct tn__load *load)
{
    struct tn__loaded *loaded = calloc(1, sizeof(*loaded));
    struct tn__block *block = NULL;
    size_t capacity = TN_LOAD_BYTES_MAX;
    size_t used = 0;
    uint64_t slot = load->slot;
    while (loaded != NULL && slot < load->slot_end && loaded->entries_count < TN_LOG_RUN_MAX) {
        const struct tn_log_entry *entry = NULL;
        const void *bytes = NULL;
        if (tn__store_entry(&loads->groups->store, loads->cursor, load->group, slot, &entry,
                            &bytes) != 0) {
            break; /* gone, or not there yet: the peer asks again */
        }
        size_t wanted = TN_PAYLOAD_LEAD_BYTES + entry->value.bytes;
        if (block != NULL && used + wanted > capacity) {
            break;
        }
        if (block == NULL) {
            capacity = wanted > capacity ? wanted : capacity;
            block = tn__block_make(capacity);
        }
        if (block == NULL) {
            break;
        }
        struct tn_log_entry *copy = &loaded->entries[loaded->entries_count++];
        *copy = *entry;
        copy->value.handle = 0;
        if (entry->value.bytes > 0) {
            uint8_t *at = tn__block_bytes(block) + used;
            copy->value.handle = tn__block_place(block, at);
            memcpy(at + TN_PAYLOAD_LEAD_BYTES, bytes, entry->value.bytes);
            used += wanted;
        }
        slot += 1;
    }
    if (block == NULL) {
        free(loaded);
        return NULL;
    }
    loaded->block = block;
    loaded->load = *load;
    loaded->op.kind = TN_OP_LOADED;
    return loaded;
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
        tn_time began = tn__clock_awake();
        struct tn__loaded *loaded = read_run(loads, &load);
        uint64_t bytes = 0;
        for (uint32_t i = 0; loaded != NULL && i < loaded->entries_count; i++) {
            bytes += loaded->entries[i].value.bytes;
        }
        if (loaded != NULL && !tn__groups_leave(loads->groups, &loaded->op, &loaded->op, NULL)) {
            tn__block_release(loaded->block);
            free(loaded);
        }
        pthread_mutex_lock(&loads->mutex);
        tn_time took = tn__clock_awake() - began;
        tn_time due = bytes * TN_SECOND / TN_LOADS_BYTES_PER_SECOND;
        if (due > took) {
            sleep_for(loads, due - took);
        }
    }
    pthread_mutex_unlock(&loads->mutex);
    return NULL;
}

int tn__loads_start(struct tn__groups *groups)
{
    struct tn__loads *loads = &groups->loads;
    loads->groups = groups;
    loads->cursor = calloc(1, sizeof(*loads->cursor));
    pthread_condattr_t attributes;
    if (loads->cursor == NULL || pthread_condattr_init(&attributes) != 0) {
        free(loads->cursor);
        loads->cursor = NULL;
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
    loads->cursor = NULL;
}
