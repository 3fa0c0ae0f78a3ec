/* What the store holds of a group, given to its machine when it is opened.
 *
 * A sound log is believed: its records say how far the group had committed. Where some of the log
 * is lost, now or before a healing (W3), the committed prefix is held against its chain of
 * checksums first. If it fails, slots are missing or an older value of one has come up again; then
 * nothing of the prefix is believed, the group is damaged and fetches all of it anew. What was
 * accepted behind the prefix is restored in any case. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include <tenure/error.h>

#include "node/node_groups.h"

/* ---- Where it begins ------------------------------------------------------------------------- */

static bool machines_cover(const struct tn_group *group, uint64_t slot)
{
    for (uint32_t i = 0; i < group->machines_count; i++) {
        const struct tn_state_machine *machine = &group->machines[i];
        if (machine->covered == NULL || machine->covered(machine->data, group->id) < slot) {
            return false;
        }
    }
    return true;
}

/* Is the committed prefix there, as it was committed? An older value of a slot comes up again where
 * a newer one was lost. Of a log that was truncated the chain's beginning is not known: there the
 * machines have to cover what is gone. */
static int find_prefix(struct tn_group *group, const struct tn_log_recovered *recovered,
                       bool *is_there)
{
    if (recovered->retained > 1) {
        *is_there = machines_cover(group, recovered->retained - 1);
        return 0;
    }
    struct tn__store_cursor *cursor = calloc(1, sizeof(*cursor));
    int error = cursor == NULL ? TN_ERROR_NO_MEMORY : 0;
    uint64_t checksum = 0;
    for (uint64_t slot = 1; slot <= recovered->committed && error == 0; slot++) {
        const struct tn_log_entry *entry = NULL;
        const void *bytes = NULL;
        error = tn__store_entry(&group->groups->store, cursor, group->id, slot, &entry, &bytes);
        checksum = error == 0 ? tn_log_checksum(checksum, slot, &entry->value) : 0;
    }
    tn__store_cursor_free(cursor);
    *is_there = error == 0 && checksum == recovered->checksum;
    return error == TN_ERROR_NOT_FOUND || error == TN_ERROR_DAMAGED ? 0 : error;
}

int tn__group_begin_from(struct tn_group *group, const struct tn__store_found *found,
                         struct tn_log_recovered *recovered)
{
    *recovered = found->recovered;
    bool is_there = true;
    int error = 0;
    if (recovered->damaged != 0 || group->groups->store.report.lost != 0) {
        error = find_prefix(group, recovered, &is_there);
    }
    uint64_t highest =
        found->highest > recovered->committed ? found->highest : recovered->committed;
    if (!is_there) {
        recovered->damaged = recovered->damaged == 0 ? 1 : recovered->damaged;
        recovered->retained = 1;
        recovered->committed = 0;
        recovered->checksum = 0;
    }
    if (recovered->damaged != 0 && highest > recovered->damaged_upto) {
        recovered->damaged_upto = highest;
    }
    recovered->retained = recovered->retained == 0 ? 1 : recovered->retained;
    recovered->applied = recovered->retained - 1;
    return error;
}

/* ---- What was accepted ----------------------------------------------------------------------- */

/* One accepted entry from the store into the machine. */
static int restore_entry(struct tn_group *group, const struct tn_log_entry *entry,
                         const void *bytes)
{
    struct tn_log_entry copy = *entry;
    struct tn__block *block = NULL;
    copy.value.handle = 0;
    if (entry->value.kind == TN_LOG_VALUE_PAYLOAD) {
        block = tn__block_make(TN_PAYLOAD_LEAD_BYTES + entry->value.bytes);
        if (block == NULL) {
            return TN_ERROR_NO_MEMORY;
        }
        uint8_t *at = tn__block_bytes(block);
        copy.value.handle = tn__block_place(block, at);
        memcpy(at + TN_PAYLOAD_LEAD_BYTES, bytes, entry->value.bytes);
        tn__block_hold(&group->held, block, 1);
        tn__block_release(block);
    }
    uint64_t forgotten = 0;
    bool taken = tn_log_restore(group->log, &copy, &forgotten);
    if (!taken && block != NULL) {
        (void)tn__block_let_go(block);
    }
    if (forgotten != 0) {
        (void)tn__block_let_go(tn__block_of(forgotten));
    }
    return 0;
}

int tn__group_restore(struct tn_group *group, uint64_t committed, uint64_t highest)
{
    struct tn__store_cursor *cursor = calloc(1, sizeof(*cursor));
    int error = cursor == NULL ? TN_ERROR_NO_MEMORY : 0;
    for (uint64_t slot = committed + 1; slot <= highest && error == 0; slot++) {
        const struct tn_log_entry *entry = NULL;
        const void *bytes = NULL;
        error = tn__store_entry(&group->groups->store, cursor, group->id, slot, &entry, &bytes);
        if (error == 0) {
            error = restore_entry(group, entry, bytes);
        } else if (error == TN_ERROR_NOT_FOUND) {
            error = 0; /* a hole: nothing was accepted there, or it is lost (W3) */
        }
    }
    tn__store_cursor_free(cursor);
    return error;
}
