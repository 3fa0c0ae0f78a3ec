/* How stories of a log write ballots, values, slots and messages. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/text.h"
#include "sim/log_scenario_internal.h"

/* token.attempt.node, or attempt.node where there are no tokens; of a later run with its number. */
struct tn__short tn__story_ballot(const struct tn__log_story *story, struct tn_log_ballot ballot)
{
    struct tn__short written;
    struct tn__text text;
    tn__text_init(&text, written.text, sizeof(written.text));
    if (tn_log_ballot_is_none(ballot)) {
        tn__text_add(&text, "none");
        return written;
    }
    if (ballot.token != 0) {
        tn__text_add(&text, "%llu.", (unsigned long long)ballot.token);
    }
    tn__text_add(&text, "%llu.%u", (unsigned long long)ballot.attempt, ballot.node);
    tn_assert(ballot.node <= TN__STORY_NODES_MAX);
    const struct tn__story_node *node = &story->nodes[ballot.node - 1];
    for (uint32_t i = 1; i < node->runs; i++) {
        if (node->words[i] == ballot.restart_word) {
            tn__text_add(&text, "#%u", i + 1);
        }
    }
    return written;
}

struct tn__short tn__story_members(tn_member_set members)
{
    struct tn__short written = {.text = ""};
    struct tn__text text;
    tn__text_init(&text, written.text, sizeof(written.text));
    for (uint32_t i = 0; i < 32; i++) {
        if ((members >> i & 1U) != 0) {
            tn__text_add(&text, "%s%u", text.length == 0 ? "" : ",", i + 1);
        }
    }
    return written;
}

struct tn__short tn__story_value(const struct tn__log_story *story,
                                 const struct tn_log_value *value)
{
    struct tn__short written;
    if (value->kind == TN_LOG_VALUE_NOOP) {
        snprintf(written.text, sizeof(written.text), "no-op");
    } else if (value->kind == TN_LOG_VALUE_CONFIGURATION) {
        snprintf(written.text, sizeof(written.text), "voters {%.28s}",
                 tn__story_members(value->voters).text);
    } else {
        tn_assert(value->handle >= 1 && value->handle <= story->texts_count);
        snprintf(written.text, sizeof(written.text), "%s", story->texts[value->handle - 1].bytes);
    }
    return written;
}

struct tn__short tn__story_slots(uint64_t first, uint64_t last)
{
    struct tn__short written;
    if (first == last) {
        snprintf(written.text, sizeof(written.text), "%llu", (unsigned long long)first);
    } else {
        snprintf(written.text, sizeof(written.text), "%llu..%llu", (unsigned long long)first,
                 (unsigned long long)last);
    }
    return written;
}

struct tn__short tn__story_slots_in_words(uint64_t first, uint64_t last)
{
    struct tn__short written;
    snprintf(written.text, sizeof(written.text), "%s %.30s", first == last ? "slot" : "slots",
             tn__story_slots(first, last).text);
    return written;
}

void tn__story_entries(const struct tn__log_story *story, const struct tn_log_entry *entries,
                       uint32_t count, char *text, size_t size)
{
    struct tn__text out;
    tn__text_init(&out, text, size);
    for (uint32_t i = 0; i < count; i++) {
        tn__text_add(&out, "%s%llu: %s", i == 0 ? "" : ", ", (unsigned long long)entries[i].slot,
                     tn__story_value(story, &entries[i].value).text);
    }
}

static const char *const names[TN_LOG_MESSAGE_KINDS_END] = {
    "?",        "Prepare",   "Promise", "Abort",       "Suggest", "Accept",
    "Accepted", "Heartbeat", "Answer",  "Fetch",       "Fetched", "Forward",
    "Assigned", "Refused",   "Read",    "Read-answer", "Resolve"};

static void add_values(const struct tn__log_story *story, struct tn__text *text,
                       const struct tn_log_message *message, const struct tn_log_entry *entries)
{
    uint32_t count = message->entries_count;
    if (count == 0) {
        return;
    }
    if (count > 2) {
        tn__text_add(text, " %s", tn__story_slots(entries[0].slot, entries[count - 1].slot).text);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        tn__text_add(text, "%s%llu:%s", i == 0 ? " " : ", ", (unsigned long long)entries[i].slot,
                     tn__story_value(story, &entries[i].value).text);
    }
}

static void add_forwarded(const struct tn__log_story *story, struct tn__text *text,
                          const struct tn_log_message *message, const struct tn_log_entry *entries)
{
    for (uint32_t i = 0; i < message->entries_count; i++) {
        tn__text_add(text, "%s%s", i == 0 ? " " : ",",
                     tn__story_value(story, &entries[i].value).text);
    }
}

void tn__story_label(const struct tn__log_story *story, const struct tn_log_message *message,
                     const struct tn_log_entry *entries, char label[TN_SEQUENCE_TEXT_BYTES])
{
    struct tn__text text;
    struct tn__short ballot = tn__story_ballot(story, message->ballot);
    tn_assert(message->kind != 0 && message->kind < TN_LOG_MESSAGE_KINDS_END);
    tn__text_init(&text, label, TN_SEQUENCE_TEXT_BYTES);
    tn__text_add(&text, "%s", names[message->kind]);
    switch ((enum tn_log_message_kind)message->kind) {
    case TN_LOG_PREPARE:
    case TN_LOG_ABORT:
    case TN_LOG_SUGGEST:
        tn__text_add(&text, " %s", ballot.text);
        break;
    case TN_LOG_PROMISE:
    case TN_LOG_ACCEPT:
        tn__text_add(&text, " %s", ballot.text);
        add_values(story, &text, message, entries);
        break;
    case TN_LOG_ACCEPTED:
        tn__text_add(&text, " %s", tn__story_slots(message->slot, message->slot_end - 1).text);
        break;
    case TN_LOG_HEARTBEAT:
        tn__text_add(&text, " %s, committed %llu", ballot.text,
                     (unsigned long long)message->committed);
        break;
    case TN_LOG_FETCH:
        tn__text_add(&text, " from %llu", (unsigned long long)message->slot);
        break;
    case TN_LOG_FETCHED:
        add_values(story, &text, message, entries);
        break;
    case TN_LOG_FORWARD:
        add_forwarded(story, &text, message, entries);
        break;
    case TN_LOG_ASSIGNED:
        tn__text_add(&text, " %s",
                     tn__story_slots(message->slot, message->slot + message->count - 1).text);
        break;
    case TN_LOG_READ_ANSWER:
        tn__text_add(&text, " %llu", (unsigned long long)message->accepted);
        break;
    case TN_LOG_RESOLVE:
        tn__text_add(&text, " %llu", (unsigned long long)message->slot);
        break;
    case TN_LOG_HEARTBEAT_ANSWER:
    case TN_LOG_REFUSED:
    case TN_LOG_READ:
    case TN_LOG_MESSAGE_KINDS_END:
        break;
    }
}

const char *tn__story_reason(uint32_t reason)
{
    static const char *const reasons[] = {
        [TN_LOG_REASON_NONE] = "no reason",
        [TN_LOG_REASON_BUSY] = "too much waits",
        [TN_LOG_REASON_NO_LEADER] = "no leader",
        [TN_LOG_REASON_NOT_LEADER] = "not the leader",
        [TN_LOG_REASON_CANCELLED] = "cancelled",
        [TN_LOG_REASON_DUPLICATE_NODE] = "two processes run as one node",
        [TN_LOG_REASON_DIVERGED] = "its committed prefix is not that of a majority",
        [TN_LOG_REASON_PEER_DIVERGED] = "a member's committed prefix is another",
        [TN_LOG_REASON_DISK_FAILED] = "its disk failed",
        [TN_LOG_REASON_DISK_FULL] = "its disk is full",
        [TN_LOG_REASON_DAMAGED] = "its log is damaged",
        [TN_LOG_REASON_STOPPED] = "it has stopped",
    };
    tn_assert(reason < sizeof(reasons) / sizeof(reasons[0]));
    return reasons[reason];
}

static bool same_word(const char *text, size_t length, const char *name)
{
    if (strlen(name) != length) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        char small = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] - 'A' + 'a') : name[i];
        if (text[i] != small) {
            return false;
        }
    }
    return true;
}

bool tn__story_kinds(const char *text, uint32_t *kinds)
{
    *kinds = 0;
    const char *at = text;
    for (;;) {
        size_t length = strcspn(at, ",");
        uint32_t found = 0;
        for (uint32_t i = 1; i < TN_LOG_MESSAGE_KINDS_END; i++) {
            if (same_word(at, length, names[i])) {
                found = 1U << i;
            }
        }
        if (found == 0) {
            return false;
        }
        *kinds |= found;
        if (at[length] == '\0') {
            return true;
        }
        at += length + 1;
    }
}
