/* The configurations of a log; the header tells the theory. */
#include "paxos/log_configuration.h"

#include <string.h>

#include "base/assert.h"

static const struct tn__log_configuration *
newest(const struct tn__log_configurations *configurations)
{
    tn_assert(configurations->count >= 1);
    tn_assert(configurations->count <= TN__LOG_CONFIGURATIONS_MAX);
    return &configurations->list[configurations->count - 1];
}

void tn__log_configurations_init(struct tn__log_configurations *configurations,
                                 const struct tn__log_configuration *first)
{
    tn_assert(first->voters != 0 && (first->voters & first->learners) == 0);
    tn_assert(first->window_slots >= 1 && first->window_slots <= TN_LOG_WINDOW_MAX);
    *configurations = (struct tn__log_configurations){.count = 1};
    configurations->list[0] = *first;
}

const struct tn__log_configuration *
tn__log_configuration_of_many(const struct tn__log_configurations *configurations, uint64_t slot)
{
    tn_assert(configurations->count >= 1);
    tn_assert(configurations->count <= TN__LOG_CONFIGURATIONS_MAX);
    uint32_t i = configurations->count - 1;
    while (i > 0 && configurations->list[i].first_slot > slot) {
        i--;
    }
    return &configurations->list[i];
}

/* All of it is read from the committed prefix alone, so all members decide alike. */
static bool is_legal(const struct tn__log_configuration *last, uint64_t slot,
                     const struct tn_log_value *value)
{
    return slot >= last->first_slot && /* G2: one change in flight */
           value->version == last->version + 1 && value->voters != 0 &&
           tn__log_members_in(value->voters) <= TN_MEMBERS_MAX &&
           ((value->voters | value->learners) >> TN_LOG_NODES_MAX) == 0 &&
           (value->voters & value->learners) == 0 && value->window_slots <= TN_LOG_WINDOW_MAX &&
           value->mode <= TN_LOG_MODE_FREE;
}

bool tn__log_configuration_learn(struct tn__log_configurations *configurations, uint64_t slot,
                                 const struct tn_log_value *value)
{
    tn_assert(value->kind == TN_LOG_VALUE_CONFIGURATION);
    const struct tn__log_configuration last = *newest(configurations);
    if (!is_legal(&last, slot, value)) {
        return false;
    }
    if (configurations->count == TN__LOG_CONFIGURATIONS_MAX) {
        /* The oldest governs only slots below the second one's, and those are committed. */
        tn_assert(configurations->list[1].first_slot <= slot);
        memmove(&configurations->list[0], &configurations->list[1],
                (TN__LOG_CONFIGURATIONS_MAX - 1) * sizeof(configurations->list[0]));
        configurations->count--;
    }
    bool mode_changes = value->mode != 0 && value->mode != last.mode;
    configurations->list[configurations->count++] = (struct tn__log_configuration){
        .first_slot =
            slot + last.window_slots, /* G2: the window in force at `slot` is the last's */
        .voters = value->voters,
        .learners = value->learners,
        .version = value->version,
        .window_slots = value->window_slots != 0 ? value->window_slots : last.window_slots,
        .mode = mode_changes ? value->mode : last.mode,
        .mode_number = last.mode_number + (mode_changes ? 1U : 0U),
    };
    tn_assert(newest(configurations)->first_slot > last.first_slot);
    return true;
}

void tn__log_configuration_trim(struct tn__log_configurations *configurations, uint64_t slot)
{
    uint32_t unneeded = 0;
    tn_assert(configurations->count >= 1);
    while (unneeded + 1 < configurations->count &&
           configurations->list[unneeded + 1].first_slot <= slot) {
        unneeded++;
    }
    if (unneeded == 0) {
        return;
    }
    uint32_t kept = configurations->count - unneeded;
    tn_assert(kept >= 1);
    memmove(&configurations->list[0], &configurations->list[unneeded],
            kept * sizeof(configurations->list[0]));
    memset(&configurations->list[kept], 0, unneeded * sizeof(configurations->list[0]));
    configurations->count = kept;
}

uint64_t tn__log_configuration_window_end(const struct tn__log_configurations *configurations,
                                          uint64_t committed)
{
    const struct tn__log_configuration *now =
        tn__log_configuration_at(configurations, committed + 1);
    tn_assert(now->window_slots >= 1);
    uint64_t last = committed + now->window_slots;
    for (uint32_t i = 0; i < configurations->count; i++) {
        const struct tn__log_configuration *later = &configurations->list[i];
        /* A change decided in its first slot would govern from there on by *its* window. */
        if (later->first_slot > committed + 1 && later->first_slot <= last &&
            later->first_slot + later->window_slots - 1 < last) {
            last = later->first_slot + later->window_slots - 1;
        }
    }
    tn_assert(last > committed);
    return last;
}

void tn__log_configurations_check(const struct tn__log_configurations *configurations)
{
    tn_assert(configurations->count >= 1);
    tn_assert(configurations->count <= TN__LOG_CONFIGURATIONS_MAX);
    for (uint32_t i = 0; i < configurations->count; i++) {
        const struct tn__log_configuration *one = &configurations->list[i];
        tn_assert(one->voters != 0 && (one->voters & one->learners) == 0);
        tn_assert(one->window_slots >= 1 && one->window_slots <= TN_LOG_WINDOW_MAX);
        if (i > 0) {
            tn_assert(one->first_slot > one[-1].first_slot);
            tn_assert(one->version == one[-1].version + 1);
            tn_assert(one->mode_number >= one[-1].mode_number);
        }
    }
}
