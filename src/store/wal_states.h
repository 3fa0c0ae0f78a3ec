/* What the log knows of each group and restates at the beginning of each segment (W1), so that no
 * record is needed for it: the promise, the committed prefix, the configurations. The writer's;
 * what slots are where is the index's business (wal_index.h).
 *
 * Of configurations those of committed slots are restated, as the others are in records that are
 * needed anyway: all within the largest window below the committed slot, and the newest before
 * them, which together hold every one that governs a slot not yet committed.
 *
 * Invariants: groups and the configurations of each are sorted and named once. */
#ifndef TN_STORE_WAL_STATES_H
#define TN_STORE_WAL_STATES_H

#include "store/wal_codec.h"
#include "store/wal_memory.h"

struct tn__wal_configuration {
    uint64_t slot;
    struct tn_log_value value;
};

struct tn__wal_state {
    uint32_t group;
    uint32_t configurations_count;
    uint64_t configurations_capacity;
    struct tn__wal_configuration *configurations;
    struct tn_log_ballot promise;
    uint64_t committed;
    uint64_t checksum;
    uint64_t retained; /* the lowest slot that recovery found */
    uint64_t seen;     /* recovery: the last whole batch that told the promise */
    bool doubtful;     /* V4: a higher promise may have been lost; for good */
};

struct tn__wal_states {
    struct tn__wal_memory memory;
    struct tn__wal_state *items;
    uint64_t count;
    uint64_t capacity;
    bool all_doubtful; /* W3: of a damaged log: who is not known yet may have been lost */
};

/* V4. The scan has found damage up to this batch: whose promise no later one tells may have
 * promised more. Every group is restated and tells it in every segment, so that is for good. */
void tn__wal_states_doubt(struct tn__wal_states *states, uint64_t last);

void tn__wal_states_free(struct tn__wal_states *states);

/* NULL: nothing is known of the group. */
struct tn__wal_state *tn__wal_states_find(const struct tn__wal_states *states, uint32_t group);

/* Take in a record that is durable. `bytes` are its own. Errors: TN_ERROR_NO_MEMORY. */
int tn__wal_states_apply(struct tn__wal_states *states, const struct tn__wal_record *record,
                         const uint8_t *bytes);

/* Make sure that the next apply for this record cannot fail. Errors: TN_ERROR_NO_MEMORY. */
int tn__wal_states_reserve(struct tn__wal_states *states, const struct tn__wal_record *record);

void tn__wal_states_drop(struct tn__wal_states *states, uint32_t group);

#endif
