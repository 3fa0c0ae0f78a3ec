/* The applier against a plain model: two members execute the same random log, one of them short of
 * memory and with a machine that asks for retries, and both do exactly what the model says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "paxos/log_applier.h"

#define COUNTER 7U
#define OTHER 8U
#define SELF 3U
#define WORD 99U

/* ---- A member -------------------------------------------------------------------------------- */

struct member {
    struct tn__log_applier *applier;
    struct tn_state_machine machines[2];
    uint64_t sum; /* the counter's state: what it was told to add */
    uint64_t executions;
    uint64_t covered;
    uint64_t random;
    uint32_t retry_one_in; /* 0: never asks for one */
    uint32_t retries_seen;
    uint32_t fail_one_in; /* allocations; 0: none fails */
    int64_t blocks;
    uint64_t answered_number; /* of the last answer; 0: none since it was cleared */
    uint64_t answered_slot;
    enum tn__log_answer answer;
    char result[64];
    size_t result_bytes;
    size_t reply_bytes; /* besides; to try the bound */
    int reply_error;
};

static void *allocate(void *context, void *block, size_t bytes)
{
    struct member *member = context;
    if (bytes == 0) {
        member->blocks -= block != NULL;
        free(block);
        return NULL;
    }
    if (member->fail_one_in != 0 && tn__random_below(&member->random, member->fail_one_in) == 0) {
        return NULL;
    }
    member->blocks += block == NULL;
    return realloc(block, bytes);
}

static int count_up(void *data, const struct tn_execution *execution)
{
    struct member *member = data;
    assert_int_equal(execution->machine, COUNTER);
    assert_int_equal(execution->group, 5);
    assert_int_equal(execution->retries, member->retries_seen);
    assert_true((execution->context == member) == (execution->proposed_here == 1));
    if (member->retry_one_in != 0 && tn__random_below(&member->random, member->retry_one_in) == 0) {
        member->retries_seen++;
        tn_execution_reply(execution, "never seen", 10);
        return TN_EXECUTE_RETRY;
    }
    char text[64];
    uint8_t amount = 0;
    memcpy(&amount, execution->bytes, execution->bytes_count > 0);
    int length = snprintf(text, sizeof(text), "%llu", (unsigned long long)member->sum + amount);
    if (tn_execution_reply(execution, text, (size_t)length) != TN_OK) {
        member->retries_seen++;
        return TN_EXECUTE_RETRY;
    }
    if (member->reply_bytes > 0) {
        void *bytes = calloc(1, member->reply_bytes);
        member->reply_error = tn_execution_reply(execution, bytes, member->reply_bytes);
        free(bytes);
    }
    member->sum += amount;
    member->executions++;
    member->retries_seen = 0;
    return TN_EXECUTED;
}

static int do_nothing(void *data, const struct tn_execution *execution)
{
    (void)data;
    assert_int_equal(execution->machine, OTHER);
    return TN_EXECUTED;
}

static uint64_t covered(void *data, uint32_t group)
{
    const struct member *member = data;
    assert_int_equal(group, 5);
    return member->covered;
}

static void on_answer(void *context, uint64_t number, uint64_t slot, enum tn__log_answer answer,
                      const void *result, size_t result_bytes)
{
    struct member *member = context;
    assert_int_equal(member->answered_number, 0);
    member->answered_number = number;
    member->answered_slot = slot;
    member->answer = answer;
    member->result_bytes = result_bytes;
    assert_true((result == NULL) == (result_bytes == 0));
    if (result_bytes > 0 && result_bytes <= sizeof(member->result)) {
        memcpy(member->result, result, result_bytes);
    }
}

static void *context_of(void *context, uint64_t number)
{
    assert_true(number > 0);
    return context;
}

static struct tn__log_applier_options options_of(struct member *member)
{
    member->machines[0] = (struct tn_state_machine){
        .id = COUNTER, .data = member, .execute = count_up, .covered = covered};
    member->machines[1] = (struct tn_state_machine){.id = OTHER, .execute = do_nothing};
    return (struct tn__log_applier_options){
        .group = 5,
        .node = SELF,
        .restart_word = WORD,
        .once_slots = 60,
        .once_max = 8,
        .machines_count = 2,
        .machines = member->machines,
        .answered = on_answer,
        .context_of = context_of,
        .context = member,
        .allocate = allocate,
        .allocate_context = member,
    };
}

static void member_start(struct member *member)
{
    struct tn__log_applier_options options = options_of(member);
    assert_int_equal(tn__log_applier_new(&member->applier, &options), TN_OK);
}

static void member_end(struct member *member)
{
    tn__log_applier_free(member->applier);
    assert_int_equal(member->blocks, 0);
}

/* One entry, asked for again and again for as long as the member asks for that. */
static void execute(struct member *member, const struct tn_log_entry *entry, const void *bytes)
{
    uint32_t asked = 0;
    member->answered_number = 0;
    for (;;) {
        enum tn__log_applied applied = tn__log_applier_execute(member->applier, entry, bytes);
        if (applied == TN__LOG_APPLIED) {
            break;
        }
        assert_int_equal(member->answered_number, 0);
        assert_int_equal(tn__log_applier_slot(member->applier), entry->slot - 1);
        assert_true(++asked < 1000);
    }
    assert_int_equal(tn__log_applier_slot(member->applier), entry->slot);
}

/* ---- A log ----------------------------------------------------------------------------------- */

struct item {
    struct tn_log_entry entry;
    struct tn__log_envelope envelope;
    uint8_t bytes[TN_ENVELOPE_BYTES + 1];
};

static struct item item_of(uint64_t slot, struct tn__log_envelope envelope, uint8_t amount)
{
    struct item item = {
        .envelope = envelope,
        .entry = {
            .slot = slot,
            .value = {.kind = TN_LOG_VALUE_PAYLOAD, .handle = slot, .bytes = sizeof(item.bytes)}}};
    tn__log_envelope_write(&envelope, item.bytes);
    item.bytes[TN_ENVELOPE_BYTES] = amount;
    return item;
}

static struct item draw_item(uint64_t *random, uint64_t slot)
{
    struct tn__log_envelope envelope = {
        .machine = tn__random_below(random, 8) == 0    ? OTHER
                   : tn__random_below(random, 10) == 0 ? TN_MACHINE_NONE
                   : tn__random_below(random, 15) == 0 ? 1000U
                                                       : COUNTER,
        .node = (tn_node_id)(tn__random_below(random, 2) == 0 ? SELF : SELF + 1),
        .restart_word = tn__random_below(random, 4) == 0 ? WORD - 1 : WORD,
        .number = slot,
    };
    if (tn__random_below(random, 3) != 0) {
        envelope.flags = TN_ENVELOPE_ONCE;
        envelope.client = 1 + tn__random_below(random, 12);
        envelope.sequence = 1 + tn__random_below(random, 1 + slot / 12);
    }
    struct item item = item_of(slot, envelope, (uint8_t)tn__random_below(random, 100));
    if (tn__random_below(random, 12) == 0) {
        item.entry.value = (struct tn_log_value){.kind = TN_LOG_VALUE_NOOP};
    } else if (tn__random_below(random, 20) == 0) {
        item.bytes[4] = 9; /* no envelope */
    }
    return item;
}

/* ---- The model: what a client was told last, and when ---------------------------------------- */

struct kept {
    uint64_t sequence; /* 0: unknown */
    uint64_t slot;
    uint64_t order;
    char result[64];
};

struct model {
    uint64_t sum;
    uint64_t uses;
    struct kept kept[13];
    enum tn__log_answer answer;
    char result[64];
};

static void model_evict(struct model *model, uint64_t slot)
{
    for (uint32_t i = 0; i < 13; i++) {
        if (model->kept[i].sequence != 0 && slot - model->kept[i].slot > 60) {
            model->kept[i].sequence = 0;
        }
    }
}

static void model_make_room(struct model *model)
{
    uint32_t known = 0;
    uint32_t oldest = 0;
    for (uint32_t i = 0; i < 13; i++) {
        if (model->kept[i].sequence != 0) {
            known++;
            if (model->kept[oldest].sequence == 0 ||
                model->kept[i].order < model->kept[oldest].order) {
                oldest = i;
            }
        }
    }
    if (known == 8) {
        model->kept[oldest].sequence = 0;
    }
}

static void model_execute(struct model *model, const struct item *item)
{
    uint64_t slot = item->entry.slot;
    model_evict(model, slot);
    if (item->entry.value.kind != TN_LOG_VALUE_PAYLOAD || item->bytes[4] != 1) {
        return;
    }
    bool once = item->envelope.flags != 0;
    struct kept *kept = &model->kept[item->envelope.client];
    model->result[0] = '\0';
    if (once && (kept->sequence == 0 ? item->envelope.sequence != 1
                                     : item->envelope.sequence < kept->sequence)) {
        model->answer = TN__LOG_ANSWER_EVICTED;
        return;
    }
    if (once && kept->sequence == item->envelope.sequence) {
        model->answer = TN__LOG_ANSWER_REPEATED;
        memcpy(model->result, kept->result, sizeof(model->result));
        kept->slot = slot;
        kept->order = ++model->uses;
        return;
    }
    model->answer =
        item->envelope.machine == 1000 ? TN__LOG_ANSWER_NO_MACHINE : TN__LOG_ANSWER_EXECUTED;
    if (item->envelope.machine == COUNTER) {
        model->sum += item->bytes[TN_ENVELOPE_BYTES];
        snprintf(model->result, sizeof(model->result), "%llu", (unsigned long long)model->sum);
    }
    if (once) {
        if (kept->sequence == 0) {
            model_make_room(model);
        }
        *kept = (struct kept){item->envelope.sequence, slot, ++model->uses, {0}};
        memcpy(kept->result, model->result, sizeof(kept->result));
    }
}

static void expect_as_model(const struct member *member, const struct model *model,
                            const struct item *item)
{
    assert_int_equal(member->sum, model->sum);
    bool own = item->entry.value.kind == TN_LOG_VALUE_PAYLOAD && item->bytes[4] == 1 &&
               item->envelope.node == SELF && item->envelope.restart_word == WORD;
    assert_int_equal(member->answered_number, own ? item->envelope.number : 0);
    if (own) {
        assert_int_equal(member->answered_slot, item->entry.slot);
        assert_int_equal(member->answer, model->answer);
        assert_int_equal(member->result_bytes, strlen(model->result));
        assert_memory_equal(member->result, model->result, member->result_bytes);
    }
}

static void N4_and_P8_members_do_what_the_model_does_short_of_memory_or_not(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        uint64_t random = seed;
        struct model model = {0};
        struct member easy = {.random = seed};
        struct member poor = {.random = seed};
        member_start(&easy);
        member_start(&poor);
        poor.retry_one_in = 5;
        poor.fail_one_in = 3;
        for (uint64_t slot = 1; slot <= 400; slot++) {
            struct item item = draw_item(&random, slot);
            execute(&easy, &item.entry, item.bytes);
            execute(&poor, &item.entry, item.bytes);
            model_execute(&model, &item);
            expect_as_model(&easy, &model, &item);
            expect_as_model(&poor, &model, &item);
            assert_int_equal(tn__log_applier_digest(easy.applier),
                             tn__log_applier_digest(poor.applier)); /* P6 */
        }
        member_end(&easy);
        member_end(&poor);
    }
}

/* ---- The rest -------------------------------------------------------------------------------- */

static void K1_a_machine_is_given_what_its_own_state_does_not_cover(void **state)
{
    (void)state;
    struct member member = {.covered = 3};
    member_start(&member);
    for (uint64_t slot = 1; slot <= 5; slot++) {
        struct item item =
            item_of(slot, (struct tn__log_envelope){.machine = COUNTER, .node = 1, .number = 1}, 1);
        execute(&member, &item.entry, item.bytes);
    }
    assert_int_equal(member.executions, 2);
    member_end(&member);
}

static void a_result_beyond_the_bound_is_refused_and_the_one_before_counts(void **state)
{
    (void)state;
    struct member member = {.reply_bytes = TN_RESULT_BYTES_MAX + 1};
    member_start(&member);
    struct item item =
        item_of(1,
                (struct tn__log_envelope){
                    .machine = COUNTER, .node = SELF, .restart_word = WORD, .number = 1},
                42);
    execute(&member, &item.entry, item.bytes);
    assert_int_equal(member.reply_error, TN_ERROR_TOO_LARGE);
    assert_int_equal(member.result_bytes, 2);
    assert_memory_equal(member.result, "42", 2);
    member.reply_bytes = TN_RESULT_BYTES_MAX;
    item.entry.slot = 2;
    execute(&member, &item.entry, item.bytes);
    assert_int_equal(member.reply_error, TN_OK);
    assert_int_equal(member.result_bytes, TN_RESULT_BYTES_MAX);
    member_end(&member);
}

static void machines_that_cannot_be_told_apart_are_refused(void **state)
{
    (void)state;
    struct member member = {0};
    struct tn__log_applier *applier;
    struct tn__log_applier_options options = options_of(&member);
    member.machines[1].id = COUNTER;
    assert_int_equal(tn__log_applier_new(&applier, &options), TN_ERROR_INVALID);
    member.machines[1].id = TN_MACHINE_NONE;
    assert_int_equal(tn__log_applier_new(&applier, &options), TN_ERROR_INVALID);
    member.machines[1].id = TN_MACHINE_MASTER;
    assert_int_equal(tn__log_applier_new(&applier, &options), TN_ERROR_INVALID);
    member.machines[1].id = OTHER;
    member.machines[1].execute = NULL;
    assert_int_equal(tn__log_applier_new(&applier, &options), TN_ERROR_INVALID);
    member.machines[1].execute = do_nothing;
    options.machines_count = TN_MACHINES_MAX + 1;
    assert_int_equal(tn__log_applier_new(&applier, &options), TN_ERROR_INVALID);
    assert_int_equal(member.blocks, 0);
}

static void P8_a_machine_that_would_miss_slots_is_refused(void **state)
{
    (void)state;
    struct member member = {.covered = 9};
    struct tn__log_applier *applier;
    struct tn__log_applier_options options = options_of(&member);
    options.applied = 9; /* but the second machine covers nothing */
    assert_int_equal(tn__log_applier_new(&applier, &options), TN_ERROR_INVALID);
    options.machines_count = 1;
    assert_int_equal(tn__log_applier_new(&applier, &options), TN_OK);
    assert_int_equal(tn__log_applier_slot(applier), 9);
    tn__log_applier_free(applier);
    member.fail_one_in = 1;
    assert_int_equal(tn__log_applier_new(&applier, &options), TN_ERROR_NO_MEMORY);
    assert_int_equal(member.blocks, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(N4_and_P8_members_do_what_the_model_does_short_of_memory_or_not),
        cmocka_unit_test(K1_a_machine_is_given_what_its_own_state_does_not_cover),
        cmocka_unit_test(a_result_beyond_the_bound_is_refused_and_the_one_before_counts),
        cmocka_unit_test(machines_that_cannot_be_told_apart_are_refused),
        cmocka_unit_test(P8_a_machine_that_would_miss_slots_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
