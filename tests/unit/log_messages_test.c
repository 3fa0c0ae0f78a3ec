/* What of a peer is let in: whatever it sends, nothing is asserted on and nothing breaks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/log_cell.h"

#define FAR (3600 * TN_SECOND)
#define MS TN_MILLISECOND

static struct log_cell *led(void)
{
    struct log_cell *cell = cell_new(3, NULL);
    cell_tenure(cell, 0, 1, FAR);
    cell_run(cell, cell->now + 10 * MS);
    cell_propose(cell, 0, 3);
    cell_run(cell, cell->now + TN_SECOND);
    return cell;
}

static void counted_as_malformed(struct log_cell *cell, const struct tn_log_message *message,
                                 const struct tn_log_entry *entries)
{
    uint64_t before = cell_counters(cell, 0).malformed;
    cell_forge_entries(cell, 1, 0, message, entries);
    assert_int_equal(cell_counters(cell, 0).malformed, before + 1);
}

static struct tn_log_ballot ballot_of(struct log_cell *cell, uint32_t node, uint64_t token)
{
    return (struct tn_log_ballot){.token = token,
                                  .attempt = 1,
                                  .mode_number = 1,
                                  .node = (tn_node_id)(node + 1),
                                  .restart_word = cell->nodes[node].options.restart_word};
}

static void nobody_speaks_under_anothers_ballot(void **state)
{
    (void)state;
    struct log_cell *cell = led();
    const enum tn_log_message_kind kinds[] = {TN_LOG_PREPARE, TN_LOG_ACCEPT, TN_LOG_HEARTBEAT};
    struct tn_log_entry entry = {.slot = 4, .value = {.kind = TN_LOG_VALUE_NOOP}};
    for (uint32_t i = 0; i < 3; i++) {
        struct tn_log_message message = {.kind = (uint8_t)kinds[i], .slot = 1};
        message.entries_count = kinds[i] == TN_LOG_ACCEPT;
        message.ballot = ballot_of(cell, 2, 9); /* the second says it is the third */
        counted_as_malformed(cell, &message, &entry);
        message.ballot = ballot_of(cell, 1, 9);
        message.ballot.restart_word++; /* another incarnation of itself */
        counted_as_malformed(cell, &message, &entry);
        message.ballot = ballot_of(cell, 1, 9);
        message.ballot.attempt = 0;
        counted_as_malformed(cell, &message, &entry);
        message.ballot.attempt = UINT64_MAX; /* it would leave no room above */
        counted_as_malformed(cell, &message, &entry);
    }
    cell_free(cell);
}

static void runs_have_no_gaps_and_values_are_of_a_known_kind(void **state)
{
    (void)state;
    struct log_cell *cell = led();
    struct tn_log_message message = {.kind = TN_LOG_ACCEPT, .entries_count = 2};
    struct tn_log_entry entries[2] = {{.slot = 4, .value = {.kind = TN_LOG_VALUE_NOOP}},
                                      {.slot = 6, .value = {.kind = TN_LOG_VALUE_NOOP}}};
    message.ballot = ballot_of(cell, 1, 9);
    counted_as_malformed(cell, &message, entries);
    entries[1].slot = 5;
    entries[1].value.kind = TN_LOG_VALUE_NONE;
    counted_as_malformed(cell, &message, entries);
    entries[1].value.kind = 77;
    counted_as_malformed(cell, &message, entries);
    entries[1].value = (struct tn_log_value){.kind = TN_LOG_VALUE_NOOP, .bytes = 5};
    counted_as_malformed(cell, &message, entries);
    entries[0].slot = 0;
    entries[1] = (struct tn_log_entry){.slot = 1, .value = {.kind = TN_LOG_VALUE_NOOP}};
    counted_as_malformed(cell, &message, entries);
    message.entries_count = 0;
    counted_as_malformed(cell, &message, entries);
    message = (struct tn_log_message){.kind = TN_LOG_READ, .entries_count = 1};
    counted_as_malformed(cell, &message, entries);
    message = (struct tn_log_message){.kind = TN_LOG_FETCHED, .entries_count = 1};
    counted_as_malformed(cell, &message, entries); /* without the ballot it was accepted under */
    cell_free(cell);
}

static void ranges_are_ranges(void **state)
{
    (void)state;
    struct log_cell *cell = led();
    struct tn_log_message message = {.kind = TN_LOG_ACCEPTED, .slot = 4, .slot_end = 4};
    message.ballot = log_cell_status(cell, 0).ballot;
    counted_as_malformed(cell, &message, NULL);
    message.slot_end = 5; /* not proposed yet */
    counted_as_malformed(cell, &message, NULL);
    message = (struct tn_log_message){.kind = TN_LOG_FETCH, .slot = 5, .slot_end = 5};
    counted_as_malformed(cell, &message, NULL);
    message = (struct tn_log_message){.kind = TN_LOG_FETCH, .slot = 1, .slot_end = UINT64_MAX};
    counted_as_malformed(cell, &message, NULL);
    message = (struct tn_log_message){.kind = TN_LOG_REFUSED, .id = 1, .count = 5000};
    counted_as_malformed(cell, &message, NULL);
    message = (struct tn_log_message){.kind = TN_LOG_MESSAGE_KINDS_END};
    counted_as_malformed(cell, &message, NULL);
    cell_free(cell);
}

static void one_ballot_and_slot_have_one_value(void **state)
{
    (void)state;
    struct log_cell *cell = led();
    struct tn_log_message message = {.kind = TN_LOG_ACCEPT, .entries_count = 1};
    struct tn_log_entry entry = {.slot = 4, .value = {.kind = TN_LOG_VALUE_NOOP}};
    message.ballot = log_cell_status(cell, 0).ballot;
    cell_forge_entries(cell, 0, 1, &message, &entry);
    assert_int_equal(log_cell_status(cell, 1).proposed, 4);
    cell_drop_all(cell);
    entry.value = (struct tn_log_value){
        .kind = TN_LOG_VALUE_PAYLOAD, .bytes = cell->value_bytes, .digest = 1};
    cell_forge_entries(cell, 0, 1, &message, &entry);
    assert_int_equal(cell_counters(cell, 1).malformed, 1);
    assert_int_equal(cell->mail_count, 0); /* and it is not answered */
    cell->cut = 7;
    cell_free(cell);
}

static void an_earlier_incarnation_is_late_and_nothing_more(void **state)
{
    (void)state;
    struct log_cell *cell = led();
    uint64_t word = cell->nodes[1].options.restart_word;
    cell_crash(cell, 1);
    log_cell_start(cell, 1);
    cell_run(cell, cell->now + TN_SECOND);
    struct tn_log_message read = {.kind = TN_LOG_READ, .id = 7};
    uint64_t now = cell->nodes[1].options.restart_word;
    cell->nodes[1].options.restart_word = word;
    cell_forge(cell, 1, 0, &read);
    assert_int_equal(cell->mail_count, 0);
    assert_int_equal(cell_count(cell, 0, TN_LOG_NOTICE_INCIDENT), 0);
    cell->nodes[1].options.restart_word = now;
    cell_forge(cell, 1, 0, &read);
    assert_int_equal(cell->mail_count, 1); /* the present one is heard all the same */
    cell_free(cell);
}

/* Any field at random; those that decide how far it gets often from what is plausible. */
static void scribble(struct log_cell *cell, struct tn_log_message *message, uint32_t from)
{
    uint8_t *bytes = (uint8_t *)message;
    memset(message, 0, sizeof(*message));
    if (cell_random(cell, 4) == 0) {
        for (size_t i = 0; i < sizeof(*message); i++) {
            bytes[i] = (uint8_t)cell_random(cell, 256);
        }
    }
    message->kind = (uint8_t)cell_random(cell, TN_LOG_MESSAGE_KINDS_END + 1);
    message->flags = (uint8_t)cell_random(cell, 4);
    message->count = (uint32_t)cell_random(cell, 5);
    message->slot = cell_random(cell, 30);
    message->slot_end = cell_random(cell, 40);
    message->committed = cell_random(cell, 3) == 0 ? cell_random(cell, 30) : 0;
    message->retained = cell_random(cell, 30);
    message->accepted = cell_random(cell, 40);
    message->id = cell_random(cell, 10);
    message->stamp = cell_random(cell, 2) == 0 ? cell_random(cell, 10) : message->stamp;
    message->checksum_slot = 0; /* else it soon stops, and nothing more is tried */
    message->ballot = ballot_of(cell, from, cell_random(cell, 4));
    message->promised = ballot_of(cell, (uint32_t)cell_random(cell, 3), cell_random(cell, 4));
    message->entries_count = (uint32_t)cell_random(cell, 4);
    message->entries_first = 0;
}

static void scribble_entries(struct log_cell *cell, struct tn_log_entry *entries, uint32_t count,
                             uint32_t from)
{
    uint64_t slot = cell_random(cell, 30);
    memset(entries, 0, count * sizeof(*entries));
    for (uint32_t i = 0; i < count; i++) {
        entries[i].slot = cell_random(cell, 8) == 0 ? cell_random(cell, 60) : slot + i;
        entries[i].ballot = ballot_of(cell, from, cell_random(cell, 4));
        entries[i].value.kind = (uint8_t)cell_random(cell, 5);
        if (entries[i].value.kind == TN_LOG_VALUE_PAYLOAD) {
            entries[i].value.bytes = 10;
            entries[i].value.digest = 40000 + (uint32_t)cell_random(cell, 100);
        }
    }
}

static void ceph_flaw_7_whatever_a_peer_sends_nothing_is_asserted_on(void **state)
{ /* An unexpected accept, a begin with another last slot, or a wrong sender ended the process. */
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct tn_log_options base = {
            .window_slots = 8, .mode = seed % 2 == 0 ? TN_LOG_MODE_FREE : TN_LOG_MODE_LEASED};
        struct log_cell *cell = cell_new(3, &base);
        cell->cut = 7; /* only the first one lives; the others are what is made up */
        cell->random = seed;
        for (uint32_t i = 0; i < 3000; i++) {
            struct tn_log_message message;
            struct tn_log_entry entries[4];
            uint32_t from = (uint32_t)cell_random(cell, 3);
            scribble(cell, &message, from);
            scribble_entries(cell, entries, message.entries_count, from);
            if (cell->nodes[0].committed < 500) {
                cell_forge_entries(cell, from, 0, &message, entries);
            }
            if (cell_random(cell, 50) == 0) {
                cell_tenure(cell, 0, 1 + cell_random(cell, 4), cell->now + TN_SECOND);
            }
            if (cell_random(cell, 20) == 0) {
                cell_propose(cell, 0, 1);
                cell_read(cell, 0);
            }
            if (cell_random(cell, 10) == 0) {
                cell->now += cell_random(cell, 300) * MS;
                cell_fire(cell, 0);
            }
        }
        cell_free(cell);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_speaks_under_anothers_ballot),
        cmocka_unit_test(runs_have_no_gaps_and_values_are_of_a_known_kind),
        cmocka_unit_test(ranges_are_ranges),
        cmocka_unit_test(one_ballot_and_slot_have_one_value),
        cmocka_unit_test(an_earlier_incarnation_is_late_and_nothing_more),
        cmocka_unit_test(ceph_flaw_7_whatever_a_peer_sends_nothing_is_asserted_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
