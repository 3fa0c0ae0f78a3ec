/* The small cell of logs: its mail, its time, looking into it, and twins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "paxos/log_machine.h"
#include "support/log_cell.h"

/* ---- Mail ------------------------------------------------------------------------------------ */

static struct cell_mail take_mail(struct log_cell *cell, uint32_t index)
{
    assert_true(index < cell->mail_count);
    struct cell_mail mail = cell->mail[index];
    memmove(&cell->mail[index], &cell->mail[index + 1],
            (cell->mail_count - index - 1) * sizeof(cell->mail[0]));
    cell->mail_count--;
    return mail;
}

void cell_deliver(struct log_cell *cell, uint32_t index)
{
    struct cell_mail mail = take_mail(cell, index);
    if (((cell->cut >> mail.from | cell->cut >> mail.to) & 1U) == 0 &&
        cell->nodes[mail.to].log != NULL) {
        cell_give(&cell->nodes[mail.to], &mail);
    }
    free(mail.entries);
}

void cell_drop(struct log_cell *cell, uint32_t index)
{
    struct cell_mail mail = take_mail(cell, index);
    free(mail.entries);
}

void cell_repeat(struct log_cell *cell, uint32_t index)
{
    if (cell->mail_count == CELL_MAIL_MAX) {
        return;
    }
    struct cell_mail *copy = &cell->mail[cell->mail_count++];
    *copy = cell->mail[index];
    copy->entries = calloc(copy->message.entries_count + 1, sizeof(struct cell_entry));
    memcpy(copy->entries, cell->mail[index].entries,
           copy->message.entries_count * sizeof(struct cell_entry));
}

void cell_deliver_all(struct log_cell *cell)
{
    for (uint32_t i = 0; i < 100000 && cell->mail_count > 0; i++) {
        cell_deliver(cell, 0);
    }
    assert_int_equal(cell->mail_count, 0); /* they come to rest */
}

void cell_drop_all(struct log_cell *cell)
{
    while (cell->mail_count > 0) {
        cell_drop(cell, 0);
    }
}

/* ---- Time ------------------------------------------------------------------------------------ */

void cell_run(struct log_cell *cell, tn_time until)
{
    uint32_t idle = 0;
    for (;;) {
        cell_deliver_all(cell);
        cell_writes_done(cell);
        tn_time next = TN_TIME_NEVER;
        uint32_t who = 0;
        for (uint32_t i = 0; i < cell->nodes_count; i++) {
            if (cell->nodes[i].log != NULL && tn_log_deadline(cell->nodes[i].log) < next) {
                next = tn_log_deadline(cell->nodes[i].log);
                who = i;
            }
        }
        if (cell->mail_count > 0) {
            continue;
        }
        if (next > until) {
            break;
        }
        idle = next > cell->now ? 0 : idle + 1;
        assert_true(idle < 10000); /* work that is left over is done some time */
        cell->now = next > cell->now ? next : cell->now;
        cell_fire(cell, who);
    }
    cell->now = until;
}

/* ---- Looking --------------------------------------------------------------------------------- */

struct tn_log_status log_cell_status(struct log_cell *cell, uint32_t node)
{
    struct tn_log_status status = {0};
    if (cell->nodes[node].log != NULL) {
        tn_log_status(cell->nodes[node].log, cell->now, &status);
    }
    return status;
}

struct tn_log_counters cell_counters(struct log_cell *cell, uint32_t node)
{
    struct tn_log_counters counters = {0};
    tn_log_counters(cell->nodes[node].log, &counters);
    return counters;
}

uint32_t cell_count(struct log_cell *cell, uint32_t node, enum tn_log_notice_kind kind)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < cell->nodes[node].notices_count; i++) {
        count += cell->nodes[node].notices[i].kind == kind;
    }
    return count;
}

const struct tn_log_notice *cell_last(struct log_cell *cell, uint32_t node,
                                      enum tn_log_notice_kind kind)
{
    for (uint32_t i = cell->nodes[node].notices_count; i > 0; i--) {
        if (cell->nodes[node].notices[i - 1].kind == kind) {
            return &cell->nodes[node].notices[i - 1];
        }
    }
    return NULL;
}

uint32_t cell_find(const struct log_cell *cell, enum tn_log_message_kind kind, uint32_t from,
                   uint32_t to)
{
    uint32_t i = 0;
    while (i < cell->mail_count && (cell->mail[i].message.kind != kind ||
                                    (from != CELL_NODES_MAX && cell->mail[i].from != from) ||
                                    (to != CELL_NODES_MAX && cell->mail[i].to != to))) {
        i++;
    }
    return i;
}

uint32_t cell_mails(const struct log_cell *cell, enum tn_log_message_kind kind)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < cell->mail_count; i++) {
        count += cell->mail[i].message.kind == kind;
    }
    return count;
}

bool cell_agrees(struct log_cell *cell, uint64_t slots)
{
    for (uint32_t i = 0; i < cell->nodes_count; i++) {
        if (cell->nodes[i].log != NULL &&
            (cell->nodes[i].committed != cell->committed || cell->nodes[i].committed < slots)) {
            return false;
        }
    }
    return true;
}

uint64_t cell_random(struct log_cell *cell, uint64_t below)
{
    return tn__random_below(&cell->random, below);
}

/* ---- Twins ------------------------------------------------------------------------------------
 */

static bool same_effects(const struct tn_log_effects *a, const struct tn_log_effects *b)
{
    return memcmp(a, b, offsetof(struct tn_log_effects, records)) == 0 &&
           memcmp(a->records, b->records, a->records_count * sizeof(a->records[0])) == 0 &&
           memcmp(a->messages, b->messages, a->messages_count * sizeof(a->messages[0])) == 0 &&
           memcmp(a->notices, b->notices, a->notices_count * sizeof(a->notices[0])) == 0 &&
           memcmp(a->loads, b->loads, a->loads_count * sizeof(a->loads[0])) == 0 &&
           memcmp(a->forgets, b->forgets, a->forgets_count * sizeof(a->forgets[0])) == 0 &&
           memcmp(a->entries, b->entries, a->entries_count * sizeof(a->entries[0])) == 0;
}

void cell_step_twins(struct log_cell *cell, struct tn_log *log,
                     const struct tn_log_options *options, const struct tn_log_event *event)
{
    size_t bytes = tn_log_size(options);
    struct tn_log *twin = aligned_alloc(64, (bytes + 63) / 64 * 64);
    struct tn_log_effects *effects = calloc(1, sizeof(*effects));
    assert_non_null(twin);
    assert_non_null(effects);
    memcpy(twin, log, bytes);
    memset(cell->effects, 0, sizeof(*cell->effects)); /* between the fields too */
    twin->deadline = 0;
    tn_log_step(twin, event, effects);
    tn_log_step(log, event, cell->effects);
    assert_true(same_effects(cell->effects, effects));
    assert_true(log->deadline <= twin->deadline); /* a timer too early does no harm */
    free(effects);
    free(twin);
}
