/* Looking into the machine: who owns what, its load, its counters, and the check of everything. */
#include <string.h>

#include <tenure/error.h>

#include "base/assert.h"
#include "paxos/lease_machine.h"
#include "paxos/quorum.h"

static bool owns(const struct tn__lease_table *table, const struct tn__lease_contender *contender,
                 tn_time now)
{
    if (contender == NULL || !tn__lease_proposer_holds(&contender->proposer, now)) {
        return false;
    }
    tn_time began = contender->proposer.lease_deadline - table->options.proposer_ns;
    return table->forsaken == 0 || began > table->forsaken;
}

static void view_of(const struct tn_lease *lease, uint32_t table_index, uint32_t slot, tn_time now,
                    struct tn_lease_view *view)
{
    const struct tn__lease_table *table = tn__lease_table_at(lease, table_index);
    const struct tn__lease_name *name = tn__lease_table_name(table, slot);
    const struct tn__lease_spelling *spelling = tn__lease_table_spelling(table, slot);
    const struct tn__lease_contender *contender = tn__lease_table_contender(table, name);
    const struct tn__lease_learner *learner = tn__lease_table_learner(table, slot);

    view->table = (uint8_t)table_index;
    view->name_bytes = spelling->bytes_count;
    memcpy(view->name, spelling->bytes, spelling->bytes_count);
    view->wanted = contender != NULL && contender->wanted != 0;
    if (contender != NULL) {
        view->epoch = contender->proposer.epoch;
    }
    if (owns(table, contender, now)) {
        view->owned = 1;
        view->certain = 1;
        view->node = tn__lease_self(lease);
        view->ballot = contender->proposer.active;
        view->token = contender->proposer.token;
        view->deadline = contender->proposer.lease_deadline;
        view->remaining = view->deadline - now;
        tn_assert(view->remaining > 0);
        tn_assert(tn_ballot_node(view->ballot) == view->node);
    } else if (learner != NULL && tn__lease_learner_knows(learner, now)) {
        view->node = tn_ballot_node(learner->lease); /* L1: a hint */
        view->ballot = learner->lease;
        view->token = learner->token;
        view->remaining = learner->until - now;
    } else if (tn__lease_acceptor_is_live(&name->acceptor, now) &&
               tn_ballot_node(name->acceptor.accepted) != tn__lease_self(lease)) {
        view->node = tn_ballot_node(name->acceptor.accepted); /* a hint: accepted, maybe not won */
        view->ballot = name->acceptor.accepted;
        view->remaining = name->acceptor.deadline - now;
    }
}

int tn_lease_who(const struct tn_lease *lease, uint32_t table_index, const char *name,
                 uint32_t name_bytes, tn_time now, struct tn_lease_view *view)
{
    memset(view, 0, sizeof(*view));
    if (table_index >= lease->tables_count || name_bytes < 1 || name_bytes > TN_NAME_BYTES_MAX) {
        return TN_ERROR_NOT_FOUND;
    }
    view->table = (uint8_t)table_index;
    view->name_bytes = (uint8_t)name_bytes;
    memcpy(view->name, name, name_bytes);
    const struct tn__lease_table *table = tn__lease_table_at(lease, table_index);
    uint32_t slot = tn__lease_table_find(table, tn__lease_table_key(table, name, name_bytes));
    if (slot == TN__SLOT_NONE) {
        return TN_ERROR_NOT_FOUND;
    }
    view_of(lease, table_index, slot, now, view);
    return TN_OK;
}

bool tn_lease_next(const struct tn_lease *lease, uint32_t table_index, uint32_t *cursor,
                   tn_time now, struct tn_lease_view *view)
{
    if (table_index >= lease->tables_count) {
        return false;
    }
    const struct tn__lease_table *table = tn__lease_table_at(lease, table_index);
    while (*cursor < table->names_used) {
        uint32_t slot = (*cursor)++;
        if (tn__lease_table_spelling(table, slot)->bytes_count != 0) {
            memset(view, 0, sizeof(*view));
            view_of(lease, table_index, slot, now, view);
            return true;
        }
    }
    return false;
}

void tn_lease_counters(const struct tn_lease *lease, struct tn_lease_counters *counters)
{
    *counters = lease->counters;
}

void tn_lease_status(const struct tn_lease *lease, tn_time now, struct tn_lease_status *status)
{
    memset(status, 0, sizeof(*status));
    status->restart_word = lease->restart_word;
    status->counter = lease->counter_seen;
    status->ceiling = lease->ceiling.durable;
    status->configuration = lease->configuration.version;
    status->left = lease->configuration.left;
    status->members_count = lease->members_count;
    status->self = lease->self;
    status->ceiling_failed = lease->ceiling.retry_at != 0;
    memcpy(status->members, lease->members, sizeof(status->members));
    for (uint32_t i = 0; i < lease->tables_count; i++) {
        const struct tn__lease_table *table = tn__lease_table_at(lease, i);
        status->names_count += table->names_count;
        status->owned_count += table->owned_count;
        if (table->quarantine_end > now && table->quarantine_end > status->quarantine_end) {
            status->quarantine_end = table->quarantine_end;
        }
    }
}

void tn_lease_check(const struct tn_lease *lease, tn_time now)
{
    tn_assert(lease->members_count >= 1 && lease->members_count <= TN_MEMBERS_MAX);
    tn_assert(lease->self < lease->members_count);
    tn_assert(lease->restart_word != 0 && lease->restart_word != UINT64_MAX);
    tn__configuration_check(&lease->configuration);
    tn__ceiling_check(&lease->ceiling);
    for (uint32_t i = 0; i < lease->tables_count; i++) {
        const struct tn__lease_table *table = tn__lease_table_at(lease, i);
        tn__lease_table_check(table, lease->members_count);
        if (now < table->quarantine_end) { /* inv.L5: nothing promised, nothing granted */
            for (uint32_t slot = 0; slot < table->names_used; slot++) {
                const struct tn__lease_acceptor *acceptor =
                    &tn__lease_table_name(table, slot)->acceptor;
                tn_assert(acceptor->deadline == 0);
                tn_assert(tn_ballot_compare(acceptor->promised, lease->floor) <= 0);
            }
        }
    }
}
