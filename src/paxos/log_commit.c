/* Committing, in slot order and never past a gap (P8), and the window of memory.
 *
 * A slot is committed in one of three ways (log_learner.h): by the votes this leader counted, by
 * the word of the leader under whose ballot it was accepted here (C1), or because a peer that has
 * committed it sent it (C2). A leader knows only the first: it never learns a slot that it may have
 * proposed. */
#include "base/assert.h"
#include "paxos/log_machine.h"

/* So many committed slots a member keeps that does not lead, if it keeps no more. */
#define RETAIN_FEW 4U

/* May the slot after the committed ones be committed? */
static bool is_next_committed(const struct tn_log *log)
{
    struct tn__log_slot *slots = tn__log_slots(log);
    uint64_t slot = tn__log_committed(log) + 1;
    tn_assert(log->acceptor.first <= slot);
    if (log->proposer.phase == TN__LOG_LEADING) {
        return slot < log->proposer.next &&
               tn__log_proposer_chosen(&log->proposer, tn__log_proposals(log), &log->configurations,
                                       slot);
    }
    if (slot <= log->learned) {
        tn_assert(tn__log_acceptor_holds(&log->acceptor, slots, slot));
        return true;
    }
    return !tn_log_ballot_is_none(log->said_ballot) &&
           tn__log_learner_may_follow(&log->learner, &log->acceptor, slots, log->said_ballot,
                                      log->said_committed);
}

bool tn__log_commit_waits(const struct tn_log *log)
{
    return is_next_committed(log);
}

static void commit_one(struct tn__log_turn *turn)
{
    struct tn_log *log = turn->log;
    struct tn__log_slot *slots = tn__log_slots(log);
    const struct tn_log_value *value =
        tn__log_learner_commit(&log->learner, &log->acceptor, slots, &log->configurations);
    uint64_t slot = tn__log_committed(log);
    if (log->proposer.phase == TN__LOG_LEADING) {
        tn__log_proposer_committed(&log->proposer, tn__log_proposals(log), slot);
    }
    log->committed_sum += value->bytes;
    *tn__log_sum(log, slot) = log->committed_sum;
    log->retained_bytes += value->bytes;
    log->counters.committed++;
    tn__log_entry(turn, slot, tn__log_slot_at(&log->acceptor, slots, slot)->ballot, value);
    if (value->kind == TN_LOG_VALUE_CONFIGURATION) {
        tn__log_reads_configuration(log);
    }
    tn_assert(log->learner.committed <= log->acceptor.highest);
}

void tn__log_commit(struct tn__log_turn *turn)
{
    struct tn_log *log = turn->log;
    struct tn_log_effects *effects = turn->effects;
    tn_assert(effects->commit_count == 0);
    effects->commit_first = effects->entries_count;
    while (effects->commit_count < TN_LOG_RUN_MAX && tn__log_entries_room(turn) > 0 &&
           is_next_committed(log)) {
        commit_one(turn);
        effects->commit_count++;
    }
    if (effects->commit_count == 0) {
        return;
    }
    turn->left = turn->left || is_next_committed(log);
    log->behind_since = TN_TIME_NEVER;
    tn__log_configuration_trim(&log->configurations, tn__log_committed(log) + 1);
    tn_assert(effects->entries[effects->commit_first].slot + effects->commit_count ==
              tn__log_committed(log) + 1);
}

/* ---- The window of memory -------------------------------------------------------------------- */

static void drop_first(struct tn_log *log)
{
    struct tn__log_slot *slots = tn__log_slots(log);
    uint64_t slot = log->acceptor.first;
    tn_assert(slot <= tn__log_committed(log));
    if (tn__log_acceptor_holds(&log->acceptor, slots, slot)) {
        uint64_t bytes = tn__log_slot_at(&log->acceptor, slots, slot)->value.bytes;
        tn_assert(log->retained_bytes >= bytes);
        log->retained_bytes -= bytes;
    }
    tn__log_forget(log, tn__log_acceptor_drop_first(&log->acceptor, slots));
}

bool tn__log_make_room(struct tn_log *log, uint64_t slot)
{
    tn_assert(slot >= 1);
    if (slot > tn__log_committed(log) + log->acceptor.capacity) {
        return false;
    }
    while (slot >= log->acceptor.first + log->acceptor.capacity) {
        drop_first(log);
    }
    tn_assert(slot < log->acceptor.first + log->acceptor.capacity);
    return true;
}

/* The lowest slot that somebody may soon ask this node for. A leader knows what its followers have
 * committed: what all have, nobody asks for (and with that slot they compare their chains, C3).
 * Another member keeps a few, for who is just behind it when it leads. What is not in the store yet
 * stays: from there all the others are served. */
static uint64_t needed_from(const struct tn_log *log)
{
    uint64_t committed = tn__log_committed(log);
    uint64_t needed = committed > RETAIN_FEW ? committed - RETAIN_FEW : 1;
    if (log->proposer.phase != TN__LOG_IDLE) {
        tn_member_set others = tn__log_others(log);
        needed = committed;
        for (uint32_t i = 0; i < log->options.nodes_count; i++) {
            if ((others & tn__log_bit(i)) != 0) {
                needed = tn__log_earlier(needed, log->peers[i].committed);
            }
        }
    }
    tn_assert(needed <= committed || committed == 0);
    return tn__log_earlier(needed, log->durable + 1);
}

void tn__log_shrink(struct tn__log_turn *turn)
{
    struct tn_log *log = turn->log;
    /* Looked at only when more is committed: else there is little to gain. */
    uint64_t needed = turn->effects->commit_count > 0 ? needed_from(log) : 0;
    for (uint32_t dropped = 0; log->acceptor.first <= tn__log_committed(log); dropped++) {
        bool full = log->retained_bytes > log->options.retain_bytes;
        if (!full && log->acceptor.first >= needed) {
            break;
        }
        if (dropped == TN_LOG_RUN_MAX) {
            turn->left = turn->left || full;
            break;
        }
        drop_first(log);
    }
    tn_assert(log->acceptor.first <= tn__log_committed(log) + 1);
    tn_assert(log->acceptor.first + log->acceptor.capacity > log->acceptor.highest);
}
