/* The small cell of logs; the header tells what it is. */
#include "support/log_cell.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"

#define PAYLOADS_MAX 65536U
#define WRITES_MAX 8192U
#define READS_MAX 32768U
#define HELD_MAX 8192U
#define RESTART_RANDOM 77U

/* ---- Payloads -------------------------------------------------------------------------------- */

/* A handle: node, place, generation, so that one of another node or of a freed place is found. */
static uint64_t payload_new(struct cell_node *node, uint64_t content)
{
    if (content == 0) {
        return 0;
    }
    for (uint32_t k = 0; k < PAYLOADS_MAX; k++) {
        uint32_t i = (node->payloads_count + k) % PAYLOADS_MAX;
        struct cell_payload *payload = &node->payloads[i];
        if (payload->references == 0) {
            node->payloads_count = i + 1;
            payload->content = content;
            payload->references = 1;
            payload->generation = (payload->generation + 1) & 0xffffff;
            return ((uint64_t)node->index + 1) << 56 | (uint64_t)payload->generation << 32 |
                   (i + 1);
        }
    }
    fail_msg("a leak: all payloads of node %u are in use", node->index);
    return 0;
}

static struct cell_payload *payload_at(struct cell_node *node, uint64_t handle)
{
    uint32_t place = (uint32_t)handle - 1;
    assert_int_equal(handle >> 56, node->index + 1);
    assert_true(place < PAYLOADS_MAX);
    struct cell_payload *payload = &node->payloads[place];
    assert_int_equal((handle >> 32) & 0xffffff, payload->generation);
    assert_true(payload->references > 0);
    return payload;
}

static void payload_release(struct cell_node *node, uint64_t handle)
{
    if (handle != 0) {
        payload_at(node, handle)->references--;
    }
}

/* Entries as they leave a node: by content. */
static struct cell_entry *capture(struct cell_node *node, const struct tn_log_entry *entries,
                                  uint32_t count)
{
    struct cell_entry *copies = calloc(count + 1, sizeof(*copies));
    for (uint32_t i = 0; i < count; i++) {
        copies[i].entry = entries[i];
        if (entries[i].value.handle != 0) {
            copies[i].content = payload_at(node, entries[i].value.handle)->content;
            assert_int_equal(entries[i].value.digest, (uint32_t)copies[i].content);
        } else {
            assert_true(entries[i].value.kind != TN_LOG_VALUE_PAYLOAD);
        }
        copies[i].entry.value.handle = 0;
    }
    return copies;
}

/* ---- Effects --------------------------------------------------------------------------------- */

static void post(struct log_cell *cell, struct cell_node *node, uint32_t to,
                 const struct tn_log_message *message, const struct cell_entry *entries)
{
    if (((cell->cut >> node->index | cell->cut >> to) & 1U) != 0 ||
        cell->mail_count == CELL_MAIL_MAX ||
        (cell->filter != NULL && !cell->filter(cell, node->index, to, message))) {
        return;
    }
    struct cell_mail *mail = &cell->mail[cell->mail_count++];
    *mail = (struct cell_mail){.from = node->index,
                               .to = to,
                               .restart_word = node->options.restart_word,
                               .message = *message};
    mail->message.from = (uint8_t)node->index;
    mail->entries = calloc(message->entries_count + 1, sizeof(*entries));
    memcpy(mail->entries, entries, message->entries_count * sizeof(*entries));
}

static void deliver_own(struct cell_node *node, const struct tn_log_message *message,
                        const struct cell_entry *entries);

/* P3, durable before said: what a promise or a vote speaks of is on the disk. */
static void check_durable(const struct cell_node *node, const struct tn_log_message *message)
{
    const struct cell_disk *disk = node->disk;
    if (message->kind == TN_LOG_PROMISE) {
        assert_true(tn_log_ballot_compare(disk->promise, message->ballot) >= 0);
    }
    for (uint64_t slot = message->slot;
         message->kind == TN_LOG_ACCEPTED && slot < message->slot_end; slot++) {
        assert_true(tn_log_ballot_compare(disk->promise, message->ballot) >= 0);
        assert_true(slot <= node->committed ||
                    (disk->slots[slot].entry.slot == slot &&
                     tn_log_ballot_compare(disk->slots[slot].entry.ballot, message->ballot) >= 0));
    }
}

static void let_go(struct cell_node *node, const struct tn_log_message *message,
                   const struct cell_entry *entries)
{
    struct log_cell *cell = node->cell;
    check_durable(node, message);
    for (uint32_t to = 0; to < cell->nodes_count; to++) {
        if ((message->to >> to & 1U) != 0 && to != node->index) {
            post(cell, node, to, message, entries);
        }
    }
    if ((message->to >> node->index & 1U) != 0) {
        deliver_own(node, message, entries);
    }
}

/* A message is held, and let go only after the step: handles become contents at once. */
static void hold(struct cell_node *node, const struct tn_log_message *message)
{
    struct log_cell *cell = node->cell;
    assert_true(node->held_count < HELD_MAX);
    struct cell_mail *held = &node->held[node->held_count++];
    *held = (struct cell_mail){.message = *message};
    held->entries =
        capture(node, cell->effects->entries + message->entries_first, message->entries_count);
    held->message.entries_first = 0;
}

static void let_go_held(struct cell_node *node)
{
    for (;;) {
        uint32_t i = 0;
        while (i < node->held_count && node->held[i].message.after > node->written) {
            i++;
        }
        if (i == node->held_count) {
            return;
        }
        struct cell_mail mail = node->held[i];
        memmove(&node->held[i], &node->held[i + 1],
                (node->held_count - i - 1) * sizeof(node->held[0]));
        node->held_count--;
        let_go(node, &mail.message, mail.entries);
        free(mail.entries);
        if (node->log == NULL) {
            return;
        }
    }
}

static void write_disk(struct cell_node *node, const struct cell_write *write)
{
    struct cell_disk *disk = node->disk;
    const struct tn_log_record *record = &write->record;
    if (record->kind != TN_LOG_RECORD_LEARN) {                                  /* V3 */
        assert_true(tn_log_ballot_compare(record->ballot, disk->promise) >= 0); /* P2 */
        disk->promise = record->ballot;
    }
    for (uint32_t i = 0; i < record->entries_count; i++) {
        uint64_t slot = write->entries[i].entry.slot;
        assert_true(slot >= 1 && slot < CELL_SLOTS_MAX);
        disk->slots[slot] = write->entries[i];
        disk->highest = slot > disk->highest ? slot : disk->highest;
    }
    assert_true(record->committed >= disk->committed);
    for (uint64_t slot = disk->committed + 1; slot <= record->committed; slot++) {
        assert_true(disk->slots[slot].entry.slot == slot); /* it says what is durable here */
    }
    disk->committed = record->committed;
    disk->checksum = record->checksum;
}

static void append(struct cell_node *node, const struct tn_log_record *record)
{
    assert_true(node->writes_count < WRITES_MAX);
    assert_int_equal(record->write, node->written + node->writes_count + 1);
    struct cell_write *write = &node->writes[node->writes_count++];
    write->record = *record;
    write->entries =
        capture(node, node->cell->effects->entries + record->entries_first, record->entries_count);
    for (uint32_t i = 1; i < record->entries_count; i++) {
        assert_int_equal(write->entries[i].entry.slot, write->entries[0].entry.slot + i);
    }
}

/* P1, P8, and what a proposal may come to. */
static void commit(struct cell_node *node, const struct tn_log_entry *entry)
{
    struct log_cell *cell = node->cell;
    assert_int_equal(entry->slot, node->committed + 1);
    assert_true(entry->slot < CELL_SLOTS_MAX);
    node->committed = entry->slot;
    struct tn_log_value value = entry->value;
    value.handle = value.handle != 0 ? payload_at(node, value.handle)->content : 0;
    struct tn_log_value *chosen = &cell->chosen[entry->slot];
    if (chosen->kind == TN_LOG_VALUE_NONE) {
        *chosen = value;
        if (value.handle != 0) {
            assert_int_equal(cell->slot_of[value.handle], 0); /* once */
            assert_int_equal(cell->refused[value.handle], 0); /* N4 */
            cell->slot_of[value.handle] = entry->slot;
        }
    }
    assert_memory_equal(chosen, &value, sizeof(value));
    cell->committed = entry->slot > cell->committed ? entry->slot : cell->committed;
}

static void note_proposals(struct cell_node *node, const struct tn_log_notice *notice)
{
    for (uint32_t i = 0; i < notice->count; i++) {
        uint64_t number = notice->number + i;
        assert_true(number >= 1 && number <= node->number);
        struct cell_proposal *proposal = &node->proposals[number];
        assert_int_equal(proposal->fate, CELL_ASKED); /* told once */
        if (notice->kind == TN_LOG_NOTICE_ASSIGNED) {
            proposal->fate = CELL_ASSIGNED;
            proposal->slot = notice->slot + i;
        } else if (notice->kind == TN_LOG_NOTICE_LOST) {
            proposal->fate = CELL_LOST;
        } else {
            proposal->fate = CELL_REFUSED;
            proposal->reason = notice->reason;
            assert_int_equal(node->cell->slot_of[proposal->content], 0);
            node->cell->refused[proposal->content] = 1;
        }
    }
}

static void note(struct cell_node *node, const struct tn_log_notice *notice)
{
    if (node->notices_count < CELL_NOTICES_MAX) {
        node->notices[node->notices_count++] = *notice;
    }
    switch (notice->kind) {
    case TN_LOG_NOTICE_ASSIGNED:
    case TN_LOG_NOTICE_REFUSED:
    case TN_LOG_NOTICE_LOST:
        note_proposals(node, notice);
        break;
    case TN_LOG_NOTICE_READ:
    case TN_LOG_NOTICE_READ_FAILED: {
        assert_true(notice->number >= 1 && notice->number <= node->reads_count);
        struct cell_read *read = &node->reads[notice->number];
        assert_int_equal(read->done + read->failed, 0);
        read->done = notice->kind == TN_LOG_NOTICE_READ;
        read->failed = notice->kind == TN_LOG_NOTICE_READ_FAILED;
        read->slot = notice->slot;
        assert_true(read->failed || read->slot >= read->floor); /* Q1 */
        break;
    }
    default:
        break;
    }
}

/* C2: the store answers for the machine. */
static void load(struct cell_node *node, const struct tn_log_load *load)
{
    struct tn_log_message message = {
        .kind = TN_LOG_FETCHED, .slot = load->slot, .committed = node->committed};
    struct cell_entry entries[TN_LOG_RUN_MAX];
    assert_true(load->slot < load->slot_end);
    node->loads++;
    for (uint64_t slot = load->slot; slot < load->slot_end; slot++) {
        /* What it asks for must be durable as it was committed. */
        assert_int_equal(node->disk->slots[slot].entry.slot, slot);
        struct tn_log_value value = node->disk->slots[slot].entry.value;
        value.handle = node->disk->slots[slot].content;
        assert_memory_equal(&value, &node->cell->chosen[slot], sizeof(value));
        entries[message.entries_count++] = node->disk->slots[slot];
    }
    for (uint32_t to = 0; to < node->cell->nodes_count; to++) {
        if ((load->to >> to & 1U) != 0) {
            post(node->cell, node, to, &message, entries);
        }
    }
}

static void carry_out(struct cell_node *node)
{
    struct log_cell *cell = node->cell;
    struct tn_log_effects *effects = cell->effects;
    assert_true(effects->entries_count <= TN_LOG_EFFECT_ENTRIES_MAX);
    for (uint32_t i = 0; i < effects->records_count; i++) {
        append(node, &effects->records[i]);
    }
    for (uint32_t i = 0; i < effects->messages_count; i++) {
        assert_true(effects->messages[i].after <= node->written + node->writes_count);
        hold(node, &effects->messages[i]);
    }
    for (uint32_t i = 0; i < effects->commit_count; i++) {
        commit(node, &effects->entries[effects->commit_first + i]);
    }
    for (uint32_t i = 0; i < effects->notices_count; i++) {
        note(node, &effects->notices[i]);
    }
    for (uint32_t i = 0; i < effects->loads_count; i++) {
        load(node, &effects->loads[i]);
    }
    for (uint32_t i = 0; i < effects->forgets_count; i++) {
        payload_release(node, effects->forgets[i]);
    }
}

/* ---- Steps ----------------------------------------------------------------------------------- */

void cell_step(struct log_cell *cell, uint32_t index, struct tn_log_event *event)
{
    struct cell_node *node = &cell->nodes[index];
    if (node->log == NULL) {
        return;
    }
    event->now = cell->now;
    event->random = tn__random_next(&cell->random);
    cell->steps++;
    uint64_t committed = node->committed;
    if (cell->twins) {
        cell_step_twins(cell, node->log, &node->options, event);
    } else {
        tn_log_step(node->log, event, cell->effects);
    }
    carry_out(node);
    tn_log_check(node->log, cell->now);
    let_go_held(node);
    if (node->log != NULL && node->committed > committed && !cell->slow_appliers) {
        cell_apply(cell, index);
    }
    if (!cell->slow_disks) {
        while (node->log != NULL && node->writes_count > 0) {
            cell_write_done(cell, index);
        }
    }
}

void cell_give(struct cell_node *node, const struct cell_mail *mail)
{
    struct tn_log_entry entries[TN_LOG_RUN_MAX];
    struct tn_log_message message = mail->message;
    assert_true(message.entries_count <= TN_LOG_RUN_MAX);
    for (uint32_t i = 0; i < message.entries_count; i++) {
        entries[i] = mail->entries[i].entry;
        entries[i].value.handle = payload_new(node, mail->entries[i].content);
    }
    message.from = (uint8_t)mail->from;
    message.entries_first = 0;
    struct tn_log_event event = {.kind = TN_LOG_EVENT_MESSAGE,
                                 .from = mail->from,
                                 .restart_word = mail->restart_word,
                                 .message = &message,
                                 .entries = entries,
                                 .entries_count = message.entries_count};
    cell_step(node->cell, node->index, &event);
}

static void deliver_own(struct cell_node *node, const struct tn_log_message *message,
                        const struct cell_entry *entries)
{
    struct cell_mail mail = {.from = node->index,
                             .to = node->index,
                             .restart_word = node->options.restart_word,
                             .message = *message,
                             .entries = (struct cell_entry *)(uintptr_t)entries};
    cell_give(node, &mail);
}

void cell_event(struct log_cell *cell, uint32_t node, enum tn_log_event_kind kind, uint64_t number)
{
    struct tn_log_event event = {.kind = kind, .number = number, .from = (uint32_t)number};
    cell_step(cell, node, &event);
}

void cell_tenure(struct log_cell *cell, uint32_t node, uint64_t token, tn_time deadline)
{
    struct tn_log_event event = {.kind = TN_LOG_EVENT_TENURE, .token = token, .deadline = deadline};
    cell_step(cell, node, &event);
}

void cell_fire(struct log_cell *cell, uint32_t node)
{
    cell_event(cell, node, TN_LOG_EVENT_TIMER, 0);
}

void cell_apply(struct log_cell *cell, uint32_t index)
{
    struct cell_node *node = &cell->nodes[index];
    if (node->committed > node->applied) {
        node->applied = node->committed;
        cell_event(cell, index, TN_LOG_EVENT_APPLIED, node->applied);
    }
}

uint64_t cell_propose(struct log_cell *cell, uint32_t index, uint32_t count)
{
    struct cell_node *node = &cell->nodes[index];
    struct tn_log_entry entries[TN_LOG_RUN_MAX];
    uint64_t first = node->number + 1;
    assert_true(count >= 1 && count <= TN_LOG_RUN_MAX);
    if (node->log == NULL || node->number + count >= CELL_NUMBERS_MAX ||
        cell->contents + count >= CELL_SLOTS_MAX) {
        return 0;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint64_t content = ++cell->contents;
        node->proposals[first + i] = (struct cell_proposal){.content = content};
        entries[i] = (struct tn_log_entry){.value = {.kind = TN_LOG_VALUE_PAYLOAD,
                                                     .bytes = cell->value_bytes,
                                                     .digest = (uint32_t)content,
                                                     .handle = payload_new(node, content)}};
    }
    node->number += count;
    struct tn_log_event event = {
        .kind = TN_LOG_EVENT_PROPOSE, .number = first, .entries = entries, .entries_count = count};
    cell_step(cell, index, &event);
    return first;
}

uint64_t cell_propose_configuration(struct log_cell *cell, uint32_t index,
                                    const struct tn_log_value *value)
{
    struct cell_node *node = &cell->nodes[index];
    struct tn_log_entry entry = {.value = *value};
    entry.value.kind = TN_LOG_VALUE_CONFIGURATION;
    node->number++;
    node->proposals[node->number] = (struct cell_proposal){0};
    struct tn_log_event event = {.kind = TN_LOG_EVENT_PROPOSE,
                                 .number = node->number,
                                 .entries = &entry,
                                 .entries_count = 1};
    cell_step(cell, index, &event);
    return node->number;
}

uint64_t cell_read(struct log_cell *cell, uint32_t index)
{
    struct cell_node *node = &cell->nodes[index];
    if (node->log == NULL || node->reads_count + 1 == READS_MAX) {
        return 0;
    }
    uint64_t number = ++node->reads_count;
    node->reads[number] = (struct cell_read){.floor = cell->committed};
    cell_event(cell, index, TN_LOG_EVENT_READ, number);
    return number;
}

void cell_forge_entries(struct log_cell *cell, uint32_t from, uint32_t to,
                        const struct tn_log_message *message, const struct tn_log_entry *entries)
{
    struct cell_entry *copies = calloc(message->entries_count + 1, sizeof(*copies));
    for (uint32_t i = 0; i < message->entries_count; i++) {
        copies[i].entry = entries[i];
        copies[i].content =
            entries[i].value.kind == TN_LOG_VALUE_PAYLOAD ? entries[i].value.digest : 0;
    }
    struct cell_mail mail = {.from = from,
                             .to = to,
                             .restart_word = cell->nodes[from].options.restart_word,
                             .message = *message,
                             .entries = copies};
    cell_give(&cell->nodes[to], &mail);
    free(copies);
}

void cell_forge(struct log_cell *cell, uint32_t from, uint32_t to,
                const struct tn_log_message *message)
{
    cell_forge_entries(cell, from, to, message, NULL);
}

/* ---- Disks ----------------------------------------------------------------------------------- */

void cell_write_done(struct log_cell *cell, uint32_t index)
{
    struct cell_node *node = &cell->nodes[index];
    if (node->log == NULL || node->writes_count == 0) {
        return;
    }
    struct cell_write write = node->writes[0];
    memmove(&node->writes[0], &node->writes[1], (node->writes_count - 1) * sizeof(node->writes[0]));
    node->writes_count--;
    write_disk(node, &write);
    node->written = write.record.write;
    free(write.entries);
    cell_event(cell, index, TN_LOG_EVENT_WRITTEN, node->written);
}

void cell_writes_done(struct log_cell *cell)
{
    for (uint32_t i = 0; i < cell->nodes_count; i++) {
        while (cell->nodes[i].log != NULL && cell->nodes[i].writes_count > 0) {
            cell_write_done(cell, i);
        }
    }
}

/* ---- Life ------------------------------------------------------------------------------------ */

void cell_crash(struct log_cell *cell, uint32_t index)
{
    struct cell_node *node = &cell->nodes[index];
    if (node->log == NULL) {
        return;
    }
    free(node->log);
    node->log = NULL;
    for (uint32_t i = 0; i < node->writes_count; i++) {
        free(node->writes[i].entries);
    }
    for (uint32_t i = 0; i < node->held_count; i++) {
        free(node->held[i].entries);
    }
    node->writes_count = 0;
    node->held_count = 0;
    memset(node->payloads, 0, PAYLOADS_MAX * sizeof(node->payloads[0]));
    node->payloads_count = 0;
}

static void restore(struct cell_node *node)
{
    const struct cell_disk *disk = node->disk;
    for (uint64_t slot = 1; slot <= disk->highest; slot++) {
        if (disk->slots[slot].entry.slot != slot) {
            continue;
        }
        struct tn_log_entry entry = disk->slots[slot].entry;
        uint64_t forgotten = 0;
        entry.value.handle = payload_new(node, disk->slots[slot].content);
        if (!tn_log_restore(node->log, &entry, &forgotten)) {
            payload_release(node, entry.value.handle);
        }
        payload_release(node, forgotten);
    }
}

void log_cell_start(struct log_cell *cell, uint32_t index)
{
    struct cell_node *node = &cell->nodes[index];
    char why[200] = "";
    node->starts++;
    node->options.restart_word = node->starts << 32 | RESTART_RANDOM;
    assert_int_equal(tn_log_options_complete(&node->options, why, sizeof(why)), 0);
    size_t bytes = tn_log_size(&node->options);
    void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    memset(memory, 0, bytes);
    struct tn_log_recovered recovered = {.promise = node->disk->promise,
                                         .committed = node->disk->committed,
                                         .checksum = node->disk->checksum,
                                         .retained = 1,
                                         .applied = node->applied,
                                         .damaged = node->votes_less};
    node->written = 0;
    node->number = 0;
    node->reads_count = 0;
    node->committed = node->disk->committed;
    memset(node->proposals, 0, CELL_NUMBERS_MAX * sizeof(node->proposals[0]));
    memset(node->reads, 0, READS_MAX * sizeof(node->reads[0]));
    node->log = tn_log_init(memory, &node->options, &recovered, cell->now);
    restore(node);
    tn_log_check(node->log, cell->now);
    cell_fire(cell, index);
    for (uint32_t i = 0; i < cell->nodes_count; i++) {
        if (i != index) {
            log_cell_connect(cell, index, i);
        }
    }
}

void log_cell_connect(struct log_cell *cell, uint32_t node, uint32_t to)
{
    if (cell->nodes[node].log != NULL && cell->nodes[to].log != NULL) {
        cell_event(cell, node, TN_LOG_EVENT_CONNECTED, to);
        cell_event(cell, to, TN_LOG_EVENT_CONNECTED, node);
    }
}

static void node_new(struct log_cell *cell, uint32_t index, const struct tn_log_options *base)
{
    struct cell_node *node = &cell->nodes[index];
    node->cell = cell;
    node->index = index;
    node->options = base != NULL ? *base : (struct tn_log_options){.window_slots = 16};
    node->options.nodes_count = cell->nodes_count;
    for (uint32_t i = 0; i < cell->nodes_count; i++) {
        node->options.nodes[i] = (tn_node_id)(i + 1);
    }
    node->options.self = (uint16_t)index;
    node->disk = calloc(1, sizeof(*node->disk));
    node->writes = calloc(WRITES_MAX, sizeof(node->writes[0]));
    node->held = calloc(HELD_MAX, sizeof(node->held[0]));
    node->payloads = calloc(PAYLOADS_MAX, sizeof(node->payloads[0]));
    node->proposals = calloc(CELL_NUMBERS_MAX, sizeof(node->proposals[0]));
    node->reads = calloc(READS_MAX, sizeof(node->reads[0]));
}

struct log_cell *cell_new(uint32_t count, const struct tn_log_options *base)
{
    struct log_cell *cell = calloc(1, sizeof(*cell));
    cell->nodes_count = count;
    cell->now = TN_SECOND;
    cell->value_bytes = 100;
    cell->random = 1;
    cell->mail = calloc(CELL_MAIL_MAX, sizeof(cell->mail[0]));
    cell->effects = calloc(1, sizeof(*cell->effects));
    cell->chosen = calloc(CELL_SLOTS_MAX, sizeof(cell->chosen[0]));
    cell->slot_of = calloc(CELL_SLOTS_MAX, sizeof(cell->slot_of[0]));
    cell->refused = calloc(CELL_SLOTS_MAX, sizeof(cell->refused[0]));
    for (uint32_t i = 0; i < count; i++) {
        node_new(cell, i, base);
    }
    for (uint32_t i = 0; i < count; i++) {
        log_cell_start(cell, i);
    }
    cell_deliver_all(cell);
    return cell;
}

bool cell_keeps_what_it_shows(struct log_cell *cell, uint32_t index)
{
    struct cell_node *node = &cell->nodes[index];
    uint64_t left = 0;
    uint64_t shown = 0;
    struct tn_log_value value;
    for (uint32_t i = 0; i < PAYLOADS_MAX; i++) {
        left += node->payloads[i].references;
    }
    for (uint64_t slot = 1; slot <= node->committed; slot++) {
        if (tn_log_value(node->log, slot, &value) == 0 && value.handle != 0) {
            assert_int_equal(payload_at(node, value.handle)->references, 1);
            shown++;
        }
    }
    /* What an old leader proposed beyond the log's end may lie there, one value a slot. */
    uint64_t orphans = log_cell_status(cell, index).proposed - node->committed;
    return left >= shown && left - shown <= orphans;
}

/* At the end: what is left is at most what a machine can hold. */
static void check_references(struct cell_node *node)
{
    uint64_t left = 0;
    for (uint32_t i = 0; i < PAYLOADS_MAX; i++) {
        left += node->payloads[i].references;
    }
    assert_true(left <= 2ULL * node->options.retain_slots + 2ULL * node->options.waiting_max);
}

void cell_free(struct log_cell *cell)
{
    for (uint32_t i = 0; i < cell->nodes_count; i++) {
        struct cell_node *node = &cell->nodes[i];
        if (node->log != NULL) {
            check_references(node);
        }
        cell_crash(cell, i);
        free(node->disk);
        free(node->writes);
        free(node->held);
        free(node->payloads);
        free(node->proposals);
        free(node->reads);
    }
    cell_drop_all(cell);
    free(cell->mail);
    free(cell->effects);
    free(cell->chosen);
    free(cell->slot_of);
    free(cell->refused);
    free(cell);
}
