/* Looking into a log's machine: its state, its counters, its values. */
#include <string.h>

#include <tenure/error.h>

#include "base/assert.h"
#include "paxos/log_machine.h"

enum tn_log_state tn__log_state(const struct tn_log *log)
{
    tn_assert(log->damaged <= 2);
    if (log->stopped != 0) {
        return TN_LOG_STATE_STOPPED;
    }
    if (log->damaged != 0) {
        return TN_LOG_STATE_DAMAGED;
    }
    if (log->proposer.phase == TN__LOG_IDLE || log->retired != 0) {
        return TN_LOG_STATE_FOLLOWER;
    }
    if (log->proposer.phase == TN__LOG_PREPARING) {
        return TN_LOG_STATE_RECOVERING;
    }
    if (!tn__log_proposer_ready(&log->proposer, &log->configurations, tn__log_committed(log)) ||
        tn__log_committed(log) < log->recovery_end || log->applied < log->recovery_end) {
        return TN_LOG_STATE_UPDATING_PREVIOUS; /* M4: not ready yet */
    }
    return log->proposer.next == tn__log_committed(log) + 1 ? TN_LOG_STATE_ACTIVE
                                                            : TN_LOG_STATE_UPDATING;
}

void tn_log_counters(const struct tn_log *log, struct tn_log_counters *counters)
{
    *counters = log->counters;
}

/* Free mode: a majority, this node included, answered heartbeats sent at this time or later. */
static tn_time heard_by_majority(const struct tn_log *log, tn_time now)
{
    tn_time best = 0;
    for (uint32_t i = 0; i < log->options.nodes_count; i++) {
        tn_time since = i == tn__log_self(log) ? now : log->peers[i].answered;
        tn_member_set members = tn__log_bit(tn__log_self(log));
        for (uint32_t k = 0; k < log->options.nodes_count; k++) {
            members |= log->peers[k].answered >= since && since != 0 ? tn__log_bit(k) : 0;
        }
        if (since > best && tn__log_configuration_quorum(tn__log_now(log), members)) {
            best = since;
        }
    }
    tn_assert(best <= now);
    return best;
}

/* Reads 4. */
static tn_time age_of(const struct tn_log *log, tn_time now)
{
    tn_time since = log->fresh_at;
    if (tn__log_leads(log)) {
        if (tn__log_is_leased(log) && log->tenure_end > now &&
            tn__log_proposer_ready(&log->proposer, &log->configurations, tn__log_committed(log))) {
            return 0; /* nobody else commits */
        }
        since = tn__log_is_leased(log) ? since : heard_by_majority(log, now);
    }
    tn_assert(since <= now);
    return since == 0 ? TN_TIME_NEVER : now - since;
}

void tn_log_status(const struct tn_log *log, tn_time now, struct tn_log_status *status)
{
    const struct tn__log_configuration *config = tn__log_now(log);
    enum tn_log_state state = tn__log_state(log);
    bool leads = tn__log_leads(log);
    *status = (struct tn_log_status){
        .group = log->options.group,
        .mode = config->mode,
        .state = (uint32_t)state,
        .ready = state == TN_LOG_STATE_ACTIVE || state == TN_LOG_STATE_UPDATING,
        .leader = log->leader < log->options.nodes_count ? log->options.nodes[log->leader] : 0,
        .promise = log->acceptor.promise,
        .committed = tn__log_committed(log),
        .applied = log->applied,
        .proposed = leads ? log->proposer.next - 1 : log->acceptor.highest,
        .retained = log->retained,
        .checksum = log->learner.checksum,
        .recovery_end = log->recovery_end,
        .waiting = log->own.waiting + log->guests.waiting,
        .configuration = config->version,
        .voters = config->voters,
        .learners = config->learners,
        .age_ns = age_of(log, now),
    };
    if (log->proposer.phase != TN__LOG_IDLE) {
        status->ballot = log->proposer.ballot;
    }
    tn_assert(status->ready == 0 || leads);
}

int tn_log_value(const struct tn_log *log, uint64_t slot, struct tn_log_value *value)
{
    tn_assert(value != NULL);
    if (slot > tn__log_committed(log) ||
        !tn__log_acceptor_holds(&log->acceptor, tn__log_slots(log), slot)) {
        return TN_ERROR_NOT_FOUND;
    }
    *value = tn__log_slot_at(&log->acceptor, tn__log_slots(log), slot)->value;
    return TN_OK;
}
