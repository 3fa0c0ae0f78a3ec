/* Groups in one sorted array; there are at most about a thousand, and a turn writes a few. */
#include "store/wal_states.h"

#include <string.h>

#include <tenure/error.h>

#include "base/assert.h"

void tn__wal_states_free(struct tn__wal_states *states)
{
    for (uint64_t i = 0; i < states->count; i++) {
        tn__wal_memory_free(&states->memory, states->items[i].configurations, false);
    }
    tn__wal_memory_free(&states->memory, states->items, false);
    states->items = NULL;
    states->count = 0;
    states->capacity = 0;
}

/* Where the group is or belongs. */
static uint64_t lower_bound(const struct tn__wal_states *states, uint32_t group)
{
    uint64_t low = 0;
    uint64_t high = states->count;
    if (group < high && states->items[group].group == group) {
        return group; /* ids are mostly 0, 1, 2 ...: then each is its place */
    }
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (states->items[middle].group < group) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct tn__wal_state *tn__wal_states_find(const struct tn__wal_states *states, uint32_t group)
{
    uint64_t at = lower_bound(states, group);
    return at < states->count && states->items[at].group == group ? &states->items[at] : NULL;
}

static struct tn__wal_state *find_or_add(struct tn__wal_states *states, uint32_t group)
{
    uint64_t at = lower_bound(states, group);
    if (at < states->count && states->items[at].group == group) {
        return &states->items[at];
    }
    void *block = states->items;
    if (!tn__wal_memory_grow(&states->memory, &block, &states->capacity, states->count + 1,
                             sizeof(states->items[0]), false)) {
        return NULL;
    }
    states->items = block;
    memmove(&states->items[at + 1], &states->items[at],
            (states->count - at) * sizeof(states->items[0]));
    states->items[at] =
        (struct tn__wal_state){.group = group, .retained = 1, .doubtful = states->all_doubtful};
    states->count++;
    return &states->items[at];
}

static bool state_grow(const struct tn__wal_states *states, struct tn__wal_state *state,
                       uint64_t count)
{
    void *block = state->configurations;
    bool grown = tn__wal_memory_grow(&states->memory, &block, &state->configurations_capacity,
                                     count, sizeof(state->configurations[0]), false);
    state->configurations = block;
    return grown;
}

int tn__wal_states_reserve(struct tn__wal_states *states, const struct tn__wal_record *record)
{
    struct tn__wal_state *state = find_or_add(states, record->group);
    uint64_t more = record->configures ? record->count : 0;
    bool room = state != NULL && state_grow(states, state, state->configurations_count + more);
    return room ? TN_OK : TN_ERROR_NO_MEMORY;
}

void tn__wal_states_doubt(struct tn__wal_states *states, uint64_t last)
{
    states->all_doubtful = true;
    for (uint64_t i = 0; i < states->count; i++) {
        struct tn__wal_state *state = &states->items[i];
        state->doubtful = state->doubtful || state->seen <= last;
    }
}

void tn__wal_states_drop(struct tn__wal_states *states, uint32_t group)
{
    uint64_t at = lower_bound(states, group);
    if (at < states->count && states->items[at].group == group) {
        tn__wal_memory_free(&states->memory, states->items[at].configurations, false);
        states->count--;
        memmove(&states->items[at], &states->items[at + 1],
                (states->count - at) * sizeof(states->items[0]));
    }
}

/* ---- Configurations ------------------------------------------------------------------------ */

static uint32_t configuration_bound(const struct tn__wal_state *state, uint64_t slot)
{
    uint32_t at = state->configurations_count;
    while (at > 0 && state->configurations[at - 1].slot >= slot) {
        at--;
    }
    return at;
}

static void configuration_remove(struct tn__wal_state *state, uint32_t first, uint32_t count)
{
    memmove(&state->configurations[first], &state->configurations[first + count],
            (state->configurations_count - first - count) * sizeof(state->configurations[0]));
    state->configurations_count -= count;
}

/* A slot holds a configuration now, in place of what it held. */
static void configuration_put(struct tn__wal_state *state, const struct tn_log_entry *entry)
{
    uint32_t at = configuration_bound(state, entry->slot);
    if (at == state->configurations_count || state->configurations[at].slot != entry->slot) {
        tn_assert(state->configurations_count < state->configurations_capacity);
        memmove(&state->configurations[at + 1], &state->configurations[at],
                (state->configurations_count - at) * sizeof(state->configurations[0]));
        state->configurations_count++;
    }
    state->configurations[at] =
        (struct tn__wal_configuration){.slot = entry->slot, .value = entry->value};
}

/* Forget those that no slot above the committed one can be governed by. */
static void configurations_trim(struct tn__wal_state *state)
{
    uint64_t horizon =
        state->committed > TN_LOG_WINDOW_MAX ? state->committed - TN_LOG_WINDOW_MAX : 0;
    uint32_t first = configuration_bound(state, horizon + 1);
    if (first > 1) {
        configuration_remove(state, 0, first - 1);
    }
}

/* What the entries of a record say of configurations. */
static void take_entries(struct tn__wal_state *state, const struct tn__wal_record *record,
                         const uint8_t *bytes)
{
    if (record->kind != TN_LOG_RECORD_STATE) {
        /* Those slots hold other values now, if they were not configurations. */
        uint32_t first = configuration_bound(state, record->slot_first);
        uint32_t end = configuration_bound(state, record->slot_first + record->count);
        configuration_remove(state, first, end - first);
    }
    struct tn__wal_cursor cursor = tn__wal_cursor_of(bytes, record);
    struct tn_log_entry entry;
    while (tn__wal_cursor_next(&cursor, &entry)) {
        if (entry.value.kind == TN_LOG_VALUE_CONFIGURATION) {
            configuration_put(state, &entry);
        }
    }
    configurations_trim(state);
}

int tn__wal_states_apply(struct tn__wal_states *states, const struct tn__wal_record *record,
                         const uint8_t *bytes)
{
    int error = tn__wal_states_reserve(states, record);
    if (error != TN_OK) {
        return error;
    }
    struct tn__wal_state *state = tn__wal_states_find(states, record->group);
    tn_assert(state != NULL);
    /* V3: a LEARN touches no promise. It never falls, whatever the order of the records. */
    bool promises = record->kind != TN_LOG_RECORD_LEARN;
    if (promises && tn_log_ballot_compare(record->ballot, state->promise) > 0) {
        state->promise = record->ballot;
    }
    if (record->committed > state->committed) {
        state->committed = record->committed;
        state->checksum = record->checksum;
    }
    if (record->kind == TN_LOG_RECORD_STATE) {
        state->retained =
            record->slot_first > state->retained ? record->slot_first : state->retained;
        state->doubtful = state->doubtful || record->doubtful;
    }
    /* Most runs hold no configuration and overwrite none: nothing to look at entry by entry. */
    if (record->count > 0 && (state->configurations_count > 0 || record->configures)) {
        take_entries(state, record, bytes);
    }
    return TN_OK;
}
