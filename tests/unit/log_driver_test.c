/* The driver of logs over a machine made for the test, which says what it is told to say: what
 * waits for which write, what loops back, what a failed write takes with it, who holds which
 * reference. The machine's symbols are this file's, so log.c is not linked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <tenure/error.h>

#include "base/random.h"
#include "paxos/log_driver.h"

#define SELF 1U
#define SELF_BIT (1U << SELF)
#define OTHERS 5U
#define SEEN_MAX 8192U
#define HANDLES_MAX 64U

/* ---- The machine ----------------------------------------------------------------------------- */

struct tn_log {
    uint32_t id;
    tn_time deadline;
    uint64_t writes;
    uint32_t steps;
    uint64_t written; /* of the last WRITTEN */
    bool failed;
    void (*react)(struct tn_log *log, const struct tn_log_event *event,
                  struct tn_log_effects *effects);
};

struct seen {
    char what; /* (a)ppend, (s)end, (c)ommit, (n)otice, (l)oad, (m)essage to itself, (t)imer */
    uint32_t group;
    uint64_t number; /* id of a message, write of a record, slot of a commit */
    uint32_t count;
};

static struct seen seen[SEEN_MAX];
static uint32_t seen_count;
static int64_t references[HANDLES_MAX];

static void see(char what, uint32_t group, uint64_t number, uint32_t count)
{
    assert_true(seen_count < SEEN_MAX);
    seen[seen_count++] = (struct seen){what, group, number, count};
}

static void expect_seen(uint32_t at, char what, uint32_t group, uint64_t number)
{
    assert_true(at < seen_count);
    assert_int_equal(seen[at].what, what);
    assert_int_equal(seen[at].group, group);
    assert_int_equal(seen[at].number, number);
}

void tn_log_step(struct tn_log *log, const struct tn_log_event *event,
                 struct tn_log_effects *effects)
{
    memset(effects, 0, offsetof(struct tn_log_effects, records));
    log->steps++;
    if (event->kind == TN_LOG_EVENT_WRITTEN) {
        assert_true(event->number > log->written);
        log->written = event->number;
    }
    log->failed = log->failed || event->kind == TN_LOG_EVENT_WRITE_FAILED;
    if (event->kind == TN_LOG_EVENT_TIMER) {
        see('t', log->id, event->now, 0);
    }
    if (event->kind == TN_LOG_EVENT_MESSAGE && event->message->from == SELF) {
        see('m', log->id, event->message->id, event->message->entries_count);
        assert_int_equal(event->restart_word, 77);
        assert_true(log->written >= event->message->after);
        for (uint32_t i = 0; i < event->message->entries_count; i++) {
            assert_int_equal(event->entries[event->message->entries_first + i].slot,
                             event->message->id + i);
        }
    }
    if (log->react != NULL) {
        log->react(log, event, effects);
    }
    /* A reference that came with the event is given back at once, or nothing is ever freed here. */
    for (uint32_t i = 0; i < event->entries_count; i++) {
        effects->forgets[effects->forgets_count++] = event->entries[i].value.handle;
    }
}

tn_time tn_log_deadline(const struct tn_log *log)
{
    return log->deadline;
}

/* ---- The world ------------------------------------------------------------------------------- */

static void on_append(void *context, const struct tn_log_record *record,
                      const struct tn_log_entry *entries)
{
    (void)context;
    assert_int_equal(record->entries_first, 0);
    for (uint32_t i = 0; i < record->entries_count; i++) {
        assert_int_equal(entries[i].slot, record->write * 10 + i);
    }
    see('a', record->group, record->write, record->entries_count);
}

static void on_send(void *context, tn_member_set to, const struct tn_log_message *message,
                    const struct tn_log_entry *entries)
{
    (void)context;
    assert_int_equal(to & SELF_BIT, 0);
    assert_true(to != 0);
    assert_int_equal(message->entries_first, 0);
    for (uint32_t i = 0; i < message->entries_count; i++) {
        assert_int_equal(entries[i].slot, message->id + i);
        assert_true(references[entries[i].value.handle] >= 1);
    }
    see('s', message->group, message->id, message->entries_count);
}

static void on_commit(void *context, uint32_t group, const struct tn_log_entry *entries,
                      uint32_t count)
{
    (void)context;
    see('c', group, entries[0].slot, count);
}

static void on_notify(void *context, uint32_t group, const struct tn_log_notice *notice)
{
    (void)context;
    see('n', group, notice->number, 0);
}

static void on_load(void *context, uint32_t group, const struct tn_log_load *load)
{
    (void)context;
    see('l', group, load->slot, 0);
}

static void on_retain(void *context, uint64_t handle)
{
    (void)context;
    assert_true(handle != 0 && handle < HANDLES_MAX);
    references[handle]++;
}

static void on_release(void *context, uint64_t handle)
{
    (void)context;
    assert_true(handle != 0 && handle < HANDLES_MAX);
    assert_true(references[handle] > 0);
    references[handle]--;
}

static const struct tn__log_driver_world world = {
    .append = on_append,
    .send = on_send,
    .commit = on_commit,
    .notify = on_notify,
    .load = on_load,
    .retain = on_retain,
    .release = on_release,
};

static struct tn_log logs[TN_GROUPS_MAX];
static void *memory;

static struct tn__log_driver *driver_new(uint32_t groups_max)
{
    memset(logs, 0, sizeof(logs));
    memset(references, 0, sizeof(references));
    seen_count = 0;
    size_t bytes = tn__log_driver_size(groups_max);
    assert_int_equal(bytes % 64, 0);
    memory = aligned_alloc(64, bytes);
    assert_non_null(memory);
    memset(memory, 0xa5, bytes); /* whatever is in it */
    for (uint32_t i = 0; i < TN_GROUPS_MAX; i++) {
        logs[i].id = i;
        logs[i].deadline = TN_TIME_NEVER;
    }
    return tn__log_driver_init(memory, groups_max, SELF, 77, &world);
}

static void driver_end(struct tn__log_driver *driver)
{
    tn__log_driver_check(driver);
    for (uint32_t i = 0; i < HANDLES_MAX; i++) {
        assert_int_equal(references[i], 0);
    }
    free(memory);
}

static void give(struct tn__log_driver *driver, uint32_t group, uint64_t number)
{
    struct tn_log_event event = {
        .kind = TN_LOG_EVENT_READ, .now = 5, .random = 9, .number = number};
    tn__log_driver_event(driver, group, &event);
    tn__log_driver_check(driver);
}

static void written(struct tn__log_driver *driver, uint32_t group, uint64_t write)
{
    tn__log_driver_written(driver, group, write, 6, 1);
    tn__log_driver_check(driver);
}

/* Entries id, id + 1 ... with handles 1, 2 ... */
static uint32_t add_entries(struct tn_log_effects *effects, uint64_t slot, uint32_t count)
{
    uint32_t first = effects->entries_count;
    for (uint32_t i = 0; i < count; i++) {
        effects->entries[first + i] = (struct tn_log_entry){
            .slot = slot + i,
            .value = {.kind = TN_LOG_VALUE_PAYLOAD, .handle = 1 + i % (HANDLES_MAX - 1)}};
    }
    effects->entries_count += count;
    return first;
}

static void add_message(struct tn_log_effects *effects, uint64_t id, tn_member_set to,
                        uint64_t after, uint32_t entries_count)
{
    effects->messages[effects->messages_count++] = (struct tn_log_message){
        .id = id,
        .to = to,
        .after = after,
        .kind = TN_LOG_PROMISE,
        .entries_first = add_entries(effects, id, entries_count),
        .entries_count = entries_count,
    };
}

static void add_record(struct tn_log *log, struct tn_log_effects *effects)
{
    log->writes++;
    effects->records[effects->records_count++] = (struct tn_log_record){
        .write = log->writes,
        .kind = TN_LOG_RECORD_ACCEPT,
        .entries_first = add_entries(effects, log->writes * 10, 2),
        .entries_count = 2,
    };
}

/* ---- Order ----------------------------------------------------------------------------------- */

/* On READ: a record; message 1 without, message 2 with `after`, and all the other effects. */
static void react_with_everything(struct tn_log *log, const struct tn_log_event *event,
                                  struct tn_log_effects *effects)
{
    if (event->kind != TN_LOG_EVENT_READ) {
        return;
    }
    references[1] += 3; /* the machine's own, until it forgets */
    references[2]++;
    add_record(log, effects);
    add_message(effects, 1, OTHERS, 0, 2);
    add_message(effects, 2, OTHERS | SELF_BIT, log->writes, 1);
    effects->commit_first = add_entries(effects, 50, 3);
    effects->commit_count = 3;
    effects->notices[effects->notices_count++] = (struct tn_log_notice){.number = 60};
    effects->loads[effects->loads_count++] = (struct tn_log_load){.to = 1, .slot = 70};
    uint64_t forgets[] = {1, 1, 1, 2, 0};
    memcpy(effects->forgets, forgets, sizeof(forgets));
    effects->forgets_count = 5;
}

static void effects_are_carried_out_in_the_order_of_the_contract(void **state)
{
    (void)state;
    struct tn__log_driver *driver = driver_new(4);
    logs[3].react = react_with_everything;
    assert_int_equal(tn__log_driver_add(driver, 3, &logs[3], 0), TN_OK);
    give(driver, 3, 0);
    expect_seen(0, 'a', 3, 1);
    expect_seen(1, 's', 3, 1);
    expect_seen(2, 'c', 3, 50);
    expect_seen(3, 'n', 3, 60);
    expect_seen(4, 'l', 3, 70);
    assert_int_equal(seen_count, 5);
    assert_int_equal(references[1], 1); /* of the message that is held */
    written(driver, 3, 1);
    expect_seen(5, 's', 3, 2);
    expect_seen(6, 'm', 3, 2); /* the own one after WRITTEN, and after the others' */
    assert_int_equal(seen_count, 7);
    assert_int_equal(logs[3].written, 1);
    driver_end(driver);
}

static void react_with_a_vote(struct tn_log *log, const struct tn_log_event *event,
                              struct tn_log_effects *effects)
{
    if (event->kind == TN_LOG_EVENT_READ) {
        add_record(log, effects);
        add_message(effects, 100 * log->writes, SELF_BIT, log->writes, 0);
    }
}

static void N3_an_own_vote_is_not_counted_before_its_own_write_is_durable(void **state)
{
    (void)state;
    struct tn__log_driver *driver = driver_new(1);
    logs[0].react = react_with_a_vote;
    assert_int_equal(tn__log_driver_add(driver, 0, &logs[0], 0), TN_OK);
    for (uint32_t i = 0; i < 3; i++) {
        give(driver, 0, 0);
    }
    assert_int_equal(seen_count, 3); /* the appends */
    written(driver, 0, 2);
    assert_int_equal(seen_count, 5);
    expect_seen(3, 'm', 0, 100);
    expect_seen(4, 'm', 0, 200);
    written(driver, 0, 2); /* said again: nothing */
    assert_int_equal(seen_count, 5);
    written(driver, 0, 3);
    expect_seen(5, 'm', 0, 300);
    driver_end(driver);
}

/* An answer made later may wait for an earlier write: it does not wait for the ones before it. */
static void react_with_repeats(struct tn_log *log, const struct tn_log_event *event,
                               struct tn_log_effects *effects)
{
    if (event->kind == TN_LOG_EVENT_READ && event->number == 0) {
        add_record(log, effects);
        add_record(log, effects);
        add_message(effects, 1, OTHERS, 2, 0);
        add_message(effects, 2, OTHERS, 1, 0);
        add_message(effects, 3, OTHERS, 2, 0);
        add_message(effects, 4, OTHERS, 1, 0);
    }
}

static void a_message_waits_for_its_own_write_only(void **state)
{
    (void)state;
    struct tn__log_driver *driver = driver_new(1);
    logs[0].react = react_with_repeats;
    assert_int_equal(tn__log_driver_add(driver, 0, &logs[0], 0), TN_OK);
    give(driver, 0, 0);
    seen_count = 0;
    written(driver, 0, 1);
    assert_int_equal(seen_count, 2);
    expect_seen(0, 's', 0, 2);
    expect_seen(1, 's', 0, 4);
    written(driver, 0, 2);
    expect_seen(2, 's', 0, 1);
    expect_seen(3, 's', 0, 3);
    driver_end(driver);
}

/* Answers each of its own messages by one more, down to 0. */
static void react_by_counting_down(struct tn_log *log, const struct tn_log_event *event,
                                   struct tn_log_effects *effects)
{
    uint64_t left = event->kind == TN_LOG_EVENT_READ      ? event->number
                    : event->kind == TN_LOG_EVENT_MESSAGE ? event->message->id - 1
                                                          : 0;
    if (left > 0) {
        add_message(effects, left, SELF_BIT, 0, 2);
    }
    (void)log;
}

static void messages_to_itself_are_handled_in_the_same_turn(void **state)
{
    (void)state;
    struct tn__log_driver *driver = driver_new(1);
    logs[0].react = react_by_counting_down;
    assert_int_equal(tn__log_driver_add(driver, 0, &logs[0], 0), TN_OK);
    give(driver, 0, 5000); /* more than the loop has room for at once */
    assert_int_equal(seen_count, 5000);
    expect_seen(4999, 'm', 0, 1);
    assert_int_equal(tn__log_driver_dropped(driver), 0);
    driver_end(driver);
}

/* ---- Failure and room ------------------------------------------------------------------------ */

static void V2_what_waited_for_a_failed_write_is_never_said(void **state)
{
    (void)state;
    struct tn__log_driver *driver = driver_new(4);
    for (uint32_t i = 0; i < 2; i++) {
        logs[i].react = react_with_everything;
        assert_int_equal(tn__log_driver_add(driver, i, &logs[i], 0), TN_OK);
        give(driver, i, 0);
    }
    seen_count = 0;
    tn__log_driver_failed(driver, 7, 1);
    assert_int_equal(seen_count, 0);
    assert_true(logs[0].failed && logs[1].failed);
    assert_int_equal(tn__log_driver_dropped(driver), 2);
    driver_end(driver);
}

static void react_with_a_page(struct tn_log *log, const struct tn_log_event *event,
                              struct tn_log_effects *effects)
{
    if (event->kind == TN_LOG_EVENT_READ) {
        if (log->writes == 0) {
            add_record(log, effects);
        }
        for (uint32_t i = 0; i < 63; i++) {
            references[i + 1]++; /* held by the machine while it shows them, here for good */
        }
        add_message(effects, event->number, OTHERS, 1, 1000);
        for (uint32_t i = 0; i < 63; i++) {
            effects->forgets[effects->forgets_count++] = i + 1;
        }
    }
}

static void more_held_entries_than_there_is_room_for_are_dropped_and_counted(void **state)
{
    (void)state;
    struct tn__log_driver *driver = driver_new(1);
    logs[0].react = react_with_a_page;
    assert_int_equal(tn__log_driver_add(driver, 0, &logs[0], 0), TN_OK);
    for (uint64_t i = 0; i < 20; i++) {
        give(driver, 0, i * 1000);
    }
    assert_int_equal(tn__log_driver_dropped(driver), 12);
    seen_count = 0;
    written(driver, 0, 1);
    assert_int_equal(seen_count, 8);
    for (uint32_t i = 0; i < 8; i++) {
        expect_seen(i, 's', 0, i * 1000ULL);
        assert_int_equal(seen[i].count, 1000);
    }
    driver_end(driver);
}

static void more_held_messages_than_there_is_room_for_are_dropped_and_counted(void **state)
{
    (void)state;
    struct tn__log_driver *driver = driver_new(1);
    logs[0].react = react_with_a_vote;
    assert_int_equal(tn__log_driver_add(driver, 0, &logs[0], 0), TN_OK);
    uint32_t given = 0;
    while (tn__log_driver_dropped(driver) < 5) {
        give(driver, 0, 0);
        given++;
        assert_true(given < SEEN_MAX);
    }
    seen_count = 0;
    written(driver, 0, given);
    assert_int_equal(seen_count, given - 5);
    driver_end(driver);
}

/* ---- Groups ---------------------------------------------------------------------------------- */

static void groups_are_found_by_id_and_their_number_is_bounded(void **state)
{
    (void)state;
    struct tn__log_driver *driver = driver_new(3);
    assert_null(tn__log_driver_find(driver, 9));
    assert_int_equal(tn__log_driver_add(driver, 9, &logs[9], 0), TN_OK);
    assert_int_equal(tn__log_driver_add(driver, 2, &logs[2], 0), TN_OK);
    assert_int_equal(tn__log_driver_add(driver, 2, &logs[2], 0), TN_ERROR_INVALID);
    assert_int_equal(tn__log_driver_add(driver, 65535, &logs[4], 0), TN_OK);
    assert_int_equal(tn__log_driver_add(driver, 1, &logs[1], 0), TN_ERROR_FULL);
    assert_ptr_equal(tn__log_driver_find(driver, 9), &logs[9]);
    assert_ptr_equal(tn__log_driver_find(driver, 2), &logs[2]);
    assert_ptr_equal(tn__log_driver_find(driver, 65535), &logs[4]);
    tn__log_driver_remove(driver, 9);
    assert_null(tn__log_driver_find(driver, 9));
    assert_ptr_equal(tn__log_driver_find(driver, 2), &logs[2]);
    assert_int_equal(tn__log_driver_add(driver, 1, &logs[1], 0), TN_OK);
    driver_end(driver);
}

static void
a_group_that_left_with_writes_under_way_keeps_its_id_until_they_are_reported(void **state)
{
    (void)state;
    struct tn__log_driver *driver = driver_new(2);
    logs[0].react = react_with_everything;
    assert_int_equal(tn__log_driver_add(driver, 0, &logs[0], 0), TN_OK);
    give(driver, 0, 0);
    give(driver, 0, 0);
    tn__log_driver_remove(driver, 0);
    tn__log_driver_check(driver);
    assert_int_equal(tn__log_driver_dropped(driver), 2);
    assert_int_equal(tn__log_driver_add(driver, 0, &logs[1], 0), TN_ERROR_BUSY);
    written(driver, 0, 1);
    assert_int_equal(tn__log_driver_add(driver, 0, &logs[1], 0), TN_ERROR_BUSY);
    written(driver, 0, 2);
    assert_int_equal(logs[0].written, 0);
    assert_int_equal(tn__log_driver_add(driver, 0, &logs[1], 0), TN_OK);
    assert_int_equal(logs[1].steps, 0);
    driver_end(driver);
}

static void what_comes_for_a_group_that_is_not_here_gives_its_references_back(void **state)
{
    (void)state;
    struct tn__log_driver *driver = driver_new(2);
    struct tn_log_entry entries[2] = {{.slot = 1, .value = {.handle = 4}}, {.slot = 2}};
    references[4] = 1;
    struct tn_log_event event = {
        .kind = TN_LOG_EVENT_PROPOSE, .entries = entries, .entries_count = 2};
    tn__log_driver_event(driver, 1, &event);
    assert_int_equal(references[4], 0);
    written(driver, 1, 5);
    driver_end(driver);
}

/* ---- Timers ---------------------------------------------------------------------------------- */

static void react_to_timers_by_waiting(struct tn_log *log, const struct tn_log_event *event,
                                       struct tn_log_effects *effects)
{
    (void)effects;
    log->deadline = event->kind == TN_LOG_EVENT_TIMER  ? event->now + 1000 + log->id
                    : event->kind == TN_LOG_EVENT_READ ? event->number
                                                       : log->deadline;
}

static void the_earliest_deadline_of_all_groups_is_known(void **state)
{
    (void)state;
    struct tn__log_driver *driver = driver_new(TN_GROUPS_MAX);
    uint64_t random = 1;
    for (uint32_t i = 0; i < TN_GROUPS_MAX; i++) {
        logs[i].react = react_to_timers_by_waiting;
        logs[i].deadline = 100 + tn__random_below(&random, 1000);
        assert_int_equal(tn__log_driver_add(driver, i, &logs[i], 0), TN_OK);
    }
    for (uint32_t round = 0; round < 3000; round++) {
        tn_time earliest = TN_TIME_NEVER;
        for (uint32_t i = 0; i < TN_GROUPS_MAX; i++) {
            earliest = logs[i].deadline < earliest ? logs[i].deadline : earliest;
        }
        assert_int_equal(tn__log_driver_deadline(driver), earliest);
        seen_count = 0;
        if (tn__random_below(&random, 2) == 0) {
            assert_false(tn__log_driver_timers(driver, earliest, round, TN_GROUPS_MAX));
            assert_true(seen_count >= 1);
        } else {
            uint32_t group = (uint32_t)tn__random_below(&random, TN_GROUPS_MAX);
            give(driver, group,
                 tn__random_below(&random, 3) == 0 ? TN_TIME_NEVER
                                                   : earliest + tn__random_below(&random, 500));
        }
    }
    driver_end(driver);
}

static void react_by_being_due_for_ever(struct tn_log *log, const struct tn_log_event *event,
                                        struct tn_log_effects *effects)
{
    (void)log;
    (void)event;
    (void)effects;
}

static void a_group_with_work_left_over_does_not_keep_the_others_waiting(void **state)
{
    (void)state;
    struct tn__log_driver *driver = driver_new(4);
    for (uint32_t i = 0; i < 4; i++) {
        logs[i].react = i == 0 ? react_by_being_due_for_ever : react_to_timers_by_waiting;
        logs[i].deadline = i;
        assert_int_equal(tn__log_driver_add(driver, i, &logs[i], 0), TN_OK);
    }
    assert_true(tn__log_driver_timers(driver, 10, 1, 3));
    assert_int_equal(seen_count, 3);
    assert_true(tn__log_driver_timers(driver, 10, 1, 3));
    assert_int_equal(seen_count, 5); /* group 0 again, and group 3 */
    expect_seen(4, 't', 3, 10);
    assert_int_equal(tn__log_driver_deadline(driver), 0);
    tn__log_driver_remove(driver, 0);
    assert_int_equal(tn__log_driver_deadline(driver), 1011);
    driver_end(driver);
}

/* ---- Random histories against a plain list --------------------------------------------------- */

/* What was said in one group: message ids with the write each waits for. */
struct said {
    uint32_t group;
    uint64_t id;
    uint64_t after;
    bool gone;
};
static struct said said[SEEN_MAX];
static uint32_t said_count;
static uint64_t said_random;

static void react_by_chance(struct tn_log *log, const struct tn_log_event *event,
                            struct tn_log_effects *effects)
{
    if (event->kind != TN_LOG_EVENT_READ) {
        return;
    }
    if (log->writes == 0 || tn__random_below(&said_random, 2) == 0) {
        add_record(log, effects);
    }
    for (uint64_t i = tn__random_below(&said_random, 3); i > 0; i--) {
        uint64_t after = tn__random_below(&said_random, log->writes + 1);
        said[said_count] = (struct said){log->id, said_count * 100, after, false};
        references[1]++;
        add_message(effects, said_count * 100, OTHERS, after,
                    (uint32_t)tn__random_below(&said_random, 2));
        effects->forgets[effects->forgets_count++] = 1;
        said_count++;
    }
}

/* Each message leaves at once or when its write is reported, in the order of saying, once. */
static void expect_gone(uint32_t group, uint64_t durable)
{
    for (uint32_t i = 0, at = 0; i < said_count; i++) {
        if (said[i].gone || said[i].group != group || said[i].after > durable) {
            continue;
        }
        while (at < seen_count && seen[at].what != 's') {
            at++;
        }
        assert_true(at < seen_count);
        expect_seen(at, 's', group, said[i].id);
        said[i].gone = true;
        at++;
    }
}

static void each_message_leaves_once_and_when_its_write_is_durable(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct tn__log_driver *driver = driver_new(8);
        uint64_t durable[8] = {0};
        said_count = 0;
        said_random = seed;
        for (uint32_t i = 0; i < 8; i++) {
            logs[i].react = react_by_chance;
            assert_int_equal(tn__log_driver_add(driver, i, &logs[i], 0), TN_OK);
        }
        for (uint32_t round = 0; round < 300; round++) {
            uint32_t group = (uint32_t)tn__random_below(&said_random, 8);
            seen_count = 0;
            if (tn__random_below(&said_random, 3) != 0) {
                give(driver, group, 0);
            } else if (logs[group].writes > durable[group]) {
                durable[group] +=
                    1 + tn__random_below(&said_random, logs[group].writes - durable[group]);
                written(driver, group, durable[group]);
            }
            expect_gone(group, durable[group]);
        }
        for (uint32_t i = 0; i < 8; i++) {
            tn__log_driver_remove(driver, i);
        }
        driver_end(driver);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(effects_are_carried_out_in_the_order_of_the_contract),
        cmocka_unit_test(N3_an_own_vote_is_not_counted_before_its_own_write_is_durable),
        cmocka_unit_test(a_message_waits_for_its_own_write_only),
        cmocka_unit_test(messages_to_itself_are_handled_in_the_same_turn),
        cmocka_unit_test(V2_what_waited_for_a_failed_write_is_never_said),
        cmocka_unit_test(more_held_entries_than_there_is_room_for_are_dropped_and_counted),
        cmocka_unit_test(more_held_messages_than_there_is_room_for_are_dropped_and_counted),
        cmocka_unit_test(groups_are_found_by_id_and_their_number_is_bounded),
        cmocka_unit_test(
            a_group_that_left_with_writes_under_way_keeps_its_id_until_they_are_reported),
        cmocka_unit_test(what_comes_for_a_group_that_is_not_here_gives_its_references_back),
        cmocka_unit_test(the_earliest_deadline_of_all_groups_is_known),
        cmocka_unit_test(a_group_with_work_left_over_does_not_keep_the_others_waiting),
        cmocka_unit_test(each_message_leaves_once_and_when_its_write_is_durable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
