/* Putting effects out. What a step may not say for want of room waits for the next one; only what
 * the limits guarantee room for is asserted. */
#include <string.h>

#include "base/assert.h"
#include "paxos/log_machine.h"

#define INCIDENT_INTERVAL_NS TN_SECOND

uint32_t tn__log_entries_room(const struct tn__log_turn *turn)
{
    tn_assert(turn->effects->entries_count <= TN_LOG_EFFECT_ENTRIES_MAX);
    return TN_LOG_EFFECT_ENTRIES_MAX - turn->effects->entries_count;
}

bool tn__log_messages_room(const struct tn__log_turn *turn, uint32_t count)
{
    tn_assert(count <= TN_LOG_EFFECT_MESSAGES_MAX);
    return turn->effects->messages_count + count + TN__LOG_MESSAGES_KEPT <=
           TN_LOG_EFFECT_MESSAGES_MAX;
}

bool tn__log_notices_room(const struct tn__log_turn *turn)
{
    tn_assert(turn->effects->notices_count <= TN_LOG_EFFECT_NOTICES_MAX);
    return turn->effects->notices_count + TN__LOG_NOTICES_KEPT < TN_LOG_EFFECT_NOTICES_MAX;
}

void tn__log_entry(struct tn__log_turn *turn, uint64_t slot, struct tn_log_ballot ballot,
                   const struct tn_log_value *value)
{
    tn_assert(turn->effects->entries_count < TN_LOG_EFFECT_ENTRIES_MAX);
    struct tn_log_entry *entry = &turn->effects->entries[turn->effects->entries_count++];
    entry->slot = slot;
    entry->ballot = ballot;
    entry->value = *value;
}

struct tn_log_message *tn__log_send(struct tn__log_turn *turn, enum tn_log_message_kind kind,
                                    tn_member_set to)
{
    const struct tn_log *log = turn->log;
    struct tn_log_effects *effects = turn->effects;
    tn_assert(effects->messages_count < TN_LOG_EFFECT_MESSAGES_MAX);
    tn_assert(to != 0 && (to >> log->options.nodes_count) == 0);
    struct tn_log_message *message = &effects->messages[effects->messages_count++];
    memset(message, 0, sizeof(*message));
    message->to = to;
    message->group = log->options.group;
    message->kind = (uint8_t)kind;
    message->from = (uint8_t)tn__log_self(log);
    message->committed = tn__log_committed(log);
    message->retained = log->retained;
    message->accepted = log->acceptor.highest;
    return message;
}

void tn__log_attach(struct tn__log_turn *turn, struct tn_log_message *message, uint32_t first)
{
    tn_assert(first <= turn->effects->entries_count);
    message->entries_first = first;
    message->entries_count = turn->effects->entries_count - first;
    tn_assert(message->entries_count <= TN_LOG_RUN_MAX);
}

uint64_t tn__log_record(struct tn__log_turn *turn, enum tn_log_record_kind kind, uint32_t first)
{
    struct tn_log *log = turn->log;
    struct tn_log_effects *effects = turn->effects;
    tn_assert(effects->records_count < TN_LOG_EFFECT_RECORDS_MAX);
    tn_assert(first <= effects->entries_count);
    struct tn_log_record *record = &effects->records[effects->records_count++];
    *record = (struct tn_log_record){
        .write = ++log->writes,
        .group = log->options.group,
        .kind = (uint8_t)kind,
        .entries_first = first,
        .entries_count = effects->entries_count - first,
        .ballot = log->acceptor.promise,
        .committed = tn__log_committed(log),
        .checksum = log->learner.checksum,
    };
    return record->write;
}

struct tn_log_notice *tn__log_notify(struct tn__log_turn *turn, enum tn_log_notice_kind kind,
                                     enum tn_log_reason reason)
{
    struct tn_log_effects *effects = turn->effects;
    tn_assert(effects->notices_count < TN_LOG_EFFECT_NOTICES_MAX);
    struct tn_log_notice *notice = &effects->notices[effects->notices_count++];
    memset(notice, 0, sizeof(*notice));
    notice->kind = (uint8_t)kind;
    notice->reason = (uint8_t)reason;
    tn_assert(reason <= TN_LOG_REASON_STOPPED);
    return notice;
}

void tn__log_incident(struct tn__log_turn *turn, enum tn_log_reason reason, tn_node_id node)
{
    tn_assert(reason > TN_LOG_REASON_NONE && reason <= TN_LOG_REASON_STOPPED);
    tn_time *last = &turn->log->incident_at[reason];
    if (*last != 0 && turn->now - *last < INCIDENT_INTERVAL_NS) {
        return;
    }
    if (turn->effects->notices_count == TN_LOG_EFFECT_NOTICES_MAX) {
        return; /* it happens again, or it was said before */
    }
    *last = turn->now == 0 ? 1 : turn->now;
    struct tn_log_notice *notice = tn__log_notify(turn, TN_LOG_NOTICE_INCIDENT, reason);
    notice->node = node;
    notice->slot = tn__log_committed(turn->log);
}

/* ---- Handles that nobody needs any more ------------------------------------------------------ */

/* Every handle of the machine is in one place: a slot, a proposal, a queue, or here. So the stack
 * has room for all of them, and a step takes more off it than an event can bring. */
uint64_t *tn__log_forgets(const struct tn_log *log)
{
    uint64_t *forgets = tn__log_part(log, log->forgets_at);
    tn_assert(log->forgets_count <= log->forgets_capacity);
    return &forgets[log->forgets_count];
}

void tn__log_forget(struct tn_log *log, uint64_t handle)
{
    if (handle != 0) {
        tn_assert(log->forgets_count < log->forgets_capacity);
        *tn__log_forgets(log) = handle;
        log->forgets_count++;
    }
}

void tn__log_forget_entries(struct tn__log_turn *turn, uint32_t first)
{
    const struct tn_log_entry *entries = tn__log_entries_of(turn);
    uint32_t count = turn->event->kind == TN_LOG_EVENT_MESSAGE ? turn->event->message->entries_count
                                                               : turn->event->entries_count;
    tn_assert(first <= count);
    for (uint32_t i = first; i < count; i++) {
        tn__log_forget(turn->log, entries[i].value.handle);
    }
}

void tn__log_flush_forgets(struct tn__log_turn *turn)
{
    struct tn_log *log = turn->log;
    struct tn_log_effects *effects = turn->effects;
    tn_assert(effects->forgets_count == 0);
    uint32_t count = log->forgets_count < TN_LOG_EFFECT_FORGETS_MAX ? log->forgets_count
                                                                    : TN_LOG_EFFECT_FORGETS_MAX;
    log->forgets_count -= count;
    memcpy(effects->forgets, tn__log_forgets(log), count * sizeof(effects->forgets[0]));
    effects->forgets_count = count;
    turn->left = turn->left || log->forgets_count > 0;
}
