/* Sorted arrays and binary searches; the usual run is appended at the end, and retaining takes runs
 * from the front, so `first` moves and the array is packed when it must grow. */
#include "store/wal_index.h"

#include <string.h>

#include <tenure/error.h>

#include "base/assert.h"

void tn__wal_index_free(struct tn__wal_index *index)
{
    for (uint64_t i = 0; i < index->groups_count; i++) {
        tn__wal_memory_free(&index->memory, index->groups[i].items, false);
    }
    tn__wal_memory_free(&index->memory, index->groups, false);
    tn__wal_memory_free(&index->memory, index->segments, false);
    index->groups = NULL;
    index->segments = NULL;
    index->groups_count = 0;
    index->segments_count = 0;
}

/* ---- Segments ------------------------------------------------------------------------------ */

static uint64_t segment_bound(const struct tn__wal_index *index, uint64_t number)
{
    uint64_t low = 0;
    uint64_t high = index->segments_count;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (index->segments[middle].number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

int tn__wal_index_segment(struct tn__wal_index *index, uint64_t number)
{
    uint64_t at = segment_bound(index, number);
    if (at < index->segments_count && index->segments[at].number == number) {
        return TN_OK;
    }
    void *block = index->segments;
    if (!tn__wal_memory_grow(&index->memory, &block, &index->segments_capacity,
                             index->segments_count + 1, sizeof(index->segments[0]), false)) {
        return TN_ERROR_NO_MEMORY;
    }
    index->segments = block;
    memmove(&index->segments[at + 1], &index->segments[at],
            (index->segments_count - at) * sizeof(index->segments[0]));
    index->segments[at] = (struct tn__wal_segment_runs){.number = number};
    index->segments_count++;
    return TN_OK;
}

/* Count runs of a segment that is there. */
static void segment_count(struct tn__wal_index *index, uint64_t number, int64_t change)
{
    uint64_t at = index->segments_count - 1;
    if (index->segments[at].number != number) {
        at = segment_bound(index, number);
    }
    tn_assert(at < index->segments_count && index->segments[at].number == number);
    tn_assert(change >= 0 || index->segments[at].runs >= (uint64_t)-change);
    index->segments[at].runs += (uint64_t)change;
}

uint64_t tn__wal_index_needed(const struct tn__wal_index *index)
{
    for (uint64_t i = 0; i < index->segments_count; i++) {
        if (index->segments[i].runs > 0) {
            return index->segments[i].number;
        }
    }
    return index->segments_count > 0 ? index->segments[index->segments_count - 1].number : 0;
}

/* ---- Groups -------------------------------------------------------------------------------- */

static uint64_t group_bound(const struct tn__wal_index *index, uint32_t group)
{
    uint64_t low = 0;
    uint64_t high = index->groups_count;
    if (group < high && index->groups[group].group == group) {
        return group; /* ids are mostly 0, 1, 2 ...: then each is its place */
    }
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (index->groups[middle].group < group) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct tn__wal_runs *group_find(const struct tn__wal_index *index, uint32_t group)
{
    uint64_t at = group_bound(index, group);
    bool found = at < index->groups_count && index->groups[at].group == group;
    return found ? &index->groups[at] : NULL;
}

static struct tn__wal_runs *group_add(struct tn__wal_index *index, uint32_t group)
{
    void *block = index->groups;
    if (!tn__wal_memory_grow(&index->memory, &block, &index->groups_capacity,
                             index->groups_count + 1, sizeof(index->groups[0]), false)) {
        return NULL;
    }
    index->groups = block;
    uint64_t at = group_bound(index, group);
    memmove(&index->groups[at + 1], &index->groups[at],
            (index->groups_count - at) * sizeof(index->groups[0]));
    index->groups[at] = (struct tn__wal_runs){.group = group};
    index->groups_count++;
    return &index->groups[at];
}

int tn__wal_index_reserve(struct tn__wal_index *index, uint32_t group, uint64_t segment,
                          uint64_t count)
{
    struct tn__wal_runs *runs = group_find(index, group);
    if (runs == NULL) {
        runs = group_add(index, group);
    }
    if (runs == NULL || tn__wal_index_segment(index, segment) != TN_OK) {
        return TN_ERROR_NO_MEMORY;
    }
    /* Packed only if that frees half: else each new run would move all the others. */
    if (runs->first > 0 && runs->end + count > runs->capacity &&
        runs->first >= runs->end - runs->first) {
        memmove(runs->items, &runs->items[runs->first],
                (runs->end - runs->first) * sizeof(runs->items[0]));
        runs->end -= runs->first;
        runs->first = 0;
    }
    void *block = runs->items;
    bool room = tn__wal_memory_grow(&index->memory, &block, &runs->capacity, runs->end + count,
                                    sizeof(runs->items[0]), false);
    runs->items = block;
    return room ? TN_OK : TN_ERROR_NO_MEMORY;
}

/* ---- Runs ---------------------------------------------------------------------------------- */

static uint64_t run_end(const struct tn__wal_run *run)
{
    return run->slot_first + run->count;
}

/* The first run that ends above `slot`. */
static uint64_t run_bound(const struct tn__wal_runs *runs, uint64_t slot)
{
    uint64_t low = runs->first;
    uint64_t high = runs->end;
    if (low < high && run_end(&runs->items[high - 1]) <= slot) {
        return high; /* as a rule slots rise: no search through memory long out of sight */
    }
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (run_end(&runs->items[middle]) <= slot) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The part of a run in [from, end); a count of 0: none. */
static struct tn__wal_run run_cut(struct tn__wal_run run, uint64_t from, uint64_t end)
{
    uint64_t low = run.slot_first > from ? run.slot_first : from;
    uint64_t high = run_end(&run) < end ? run_end(&run) : end;
    run.count = low < high ? (uint32_t)(high - low) : 0;
    run.slot_first = low;
    return run;
}

void tn__wal_index_add(struct tn__wal_index *index, uint32_t group, const struct tn__wal_run *run)
{
    struct tn__wal_runs *runs = group_find(index, group);
    tn_assert(runs != NULL && run->count > 0);
    uint64_t first = run_bound(runs, run->slot_first);
    uint64_t end = first;
    while (end < runs->end && runs->items[end].slot_first < run_end(run)) {
        segment_count(index, runs->items[end].segment, -1);
        end++;
    }
    struct tn__wal_run pieces[3];
    uint64_t count = 0;
    if (end > first) {
        pieces[count] = run_cut(runs->items[first], 0, run->slot_first);
        count += pieces[count].count > 0;
    }
    pieces[count++] = *run;
    if (end > first) {
        pieces[count] = run_cut(runs->items[end - 1], run_end(run), UINT64_MAX);
        count += pieces[count].count > 0;
    }
    tn_assert(runs->end - end + first + count <= runs->capacity);
    memmove(&runs->items[first + count], &runs->items[end],
            (runs->end - end) * sizeof(runs->items[0]));
    memcpy(&runs->items[first], pieces, count * sizeof(pieces[0]));
    runs->end = runs->end - end + first + count;
    for (uint64_t i = 0; i < count; i++) {
        segment_count(index, pieces[i].segment, 1);
    }
}

const struct tn__wal_run *tn__wal_index_find(const struct tn__wal_index *index, uint32_t group,
                                             uint64_t slot)
{
    const struct tn__wal_runs *runs = group_find(index, group);
    if (runs == NULL) {
        return NULL;
    }
    uint64_t at = run_bound(runs, slot);
    bool found = at < runs->end && runs->items[at].slot_first <= slot;
    return found ? &runs->items[at] : NULL;
}

uint64_t tn__wal_index_reach(const struct tn__wal_index *index, uint32_t group, uint64_t slot)
{
    const struct tn__wal_runs *runs = group_find(index, group);
    uint64_t lowest = slot + 1;
    if (runs == NULL) {
        return lowest;
    }
    uint64_t at = run_bound(runs, slot);
    if (at == runs->end || runs->items[at].slot_first > slot) {
        return lowest;
    }
    lowest = runs->items[at].slot_first;
    while (at > runs->first && run_end(&runs->items[at - 1]) == lowest) {
        lowest = runs->items[--at].slot_first;
    }
    return lowest;
}

uint64_t tn__wal_index_last(const struct tn__wal_index *index, uint32_t group)
{
    const struct tn__wal_runs *runs = group_find(index, group);
    bool any = runs != NULL && runs->end > runs->first;
    return any ? run_end(&runs->items[runs->end - 1]) - 1 : 0;
}

/* ---- Forgetting ---------------------------------------------------------------------------- */

void tn__wal_index_retain(struct tn__wal_index *index, uint32_t group, uint64_t slot)
{
    struct tn__wal_runs *runs = group_find(index, group);
    while (runs != NULL && runs->first < runs->end && run_end(&runs->items[runs->first]) <= slot) {
        segment_count(index, runs->items[runs->first].segment, -1);
        runs->first++;
    }
}

void tn__wal_index_drop(struct tn__wal_index *index, uint32_t group)
{
    struct tn__wal_runs *runs = group_find(index, group);
    if (runs == NULL) {
        return;
    }
    tn__wal_index_retain(index, group, UINT64_MAX);
    tn__wal_memory_free(&index->memory, runs->items, false);
    uint64_t at = (uint64_t)(runs - index->groups);
    index->groups_count--;
    memmove(&index->groups[at], &index->groups[at + 1],
            (index->groups_count - at) * sizeof(index->groups[0]));
}

void tn__wal_index_purge(struct tn__wal_index *index, uint64_t segment)
{
    for (uint64_t i = 0; i < index->groups_count; i++) {
        struct tn__wal_runs *runs = &index->groups[i];
        uint64_t kept = runs->first;
        for (uint64_t j = runs->first; j < runs->end; j++) {
            if (runs->items[j].segment < segment) {
                segment_count(index, runs->items[j].segment, -1);
            } else {
                runs->items[kept++] = runs->items[j];
            }
        }
        runs->end = kept;
    }
    tn__wal_index_trim(index, segment);
}

void tn__wal_index_trim(struct tn__wal_index *index, uint64_t segment)
{
    uint64_t gone = segment_bound(index, segment);
    for (uint64_t i = 0; i < gone; i++) {
        tn_assert(index->segments[i].runs == 0);
    }
    index->segments_count -= gone;
    if (gone == 0) {
        return; /* there may be no memory yet */
    }
    memmove(index->segments, &index->segments[gone],
            index->segments_count * sizeof(index->segments[0]));
}

void tn__wal_index_check(const struct tn__wal_index *index)
{
    uint64_t counted = 0;
    uint64_t expected = 0;
    for (uint64_t i = 0; i < index->groups_count; i++) {
        const struct tn__wal_runs *runs = &index->groups[i];
        tn_assert(i == 0 || index->groups[i - 1].group < runs->group);
        for (uint64_t j = runs->first; j < runs->end; j++) {
            const struct tn__wal_run *run = &runs->items[j];
            tn_assert(run->count > 0);
            tn_assert(j == runs->first || run_end(&runs->items[j - 1]) <= run->slot_first);
            uint64_t at = segment_bound(index, run->segment);
            tn_assert(at < index->segments_count && index->segments[at].number == run->segment);
            counted++;
        }
    }
    for (uint64_t i = 0; i < index->segments_count; i++) {
        tn_assert(i == 0 || index->segments[i - 1].number < index->segments[i].number);
        expected += index->segments[i].runs;
    }
    tn_assert(counted == expected);
}
