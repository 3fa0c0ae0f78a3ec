/* How long a machine waits between its attempts: the random part, over many draws of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <tenure/lease.h>

#define D_P (10 * TN_SECOND)
#define HELD_FOR (6 * TN_SECOND)
#define SELF_WORD (5ULL << 32 | 50)
#define DRAWS 64U

/* The machine under test is member 0, node 1, of a cell without disks; 2 and 3 are played. */
struct bench {
    struct tn_lease_options options;
    struct tn_lease *lease;
    struct tn_effects effects;
    tn_time now;
};

static void step(struct bench *bench, struct tn_event event)
{
    event.now = bench->now;
    tn_lease_step(bench->lease, &event, &bench->effects);
    tn_lease_check(bench->lease, bench->now);
}

static void start(struct bench *bench, uint64_t random)
{
    *bench = (struct bench){.now = TN_SECOND};
    bench->options = (struct tn_lease_options){.members = {1, 2, 3},
                                               .members_count = 3,
                                               .restart_word = SELF_WORD,
                                               .diskless = 1,
                                               .random = random};
    bench->options.tables[0] = (struct tn_lease_table_options){.proposer_ns = D_P, .names_max = 8};
    assert_int_equal(tn_lease_options_complete(&bench->options, NULL, 0), 0);
    size_t size = (tn_lease_size(&bench->options) + 63) / 64 * 64;
    void *memory = aligned_alloc(64, size);
    assert_non_null(memory);
    bench->lease = tn_lease_init(memset(memory, 0, size), &bench->options, bench->now);
    struct tn_request acquire = {.kind = TN_REQUEST_ACQUIRE, .name_bytes = 1, .name = "x"};
    step(bench, (struct tn_event){.kind = TN_EVENT_REQUEST, .request = &acquire});
}

/* Both others answer the attempt that has just begun with this; returns the random part of the wait
 * that follows, and goes on to the next attempt. */
static tn_time fail_by(struct bench *bench, enum tn_message_kind kind)
{
    assert_int_equal(bench->effects.messages[0].kind, TN_MESSAGE_PREPARE);
    struct tn_ballot mine = bench->effects.messages[0].ballot;
    struct tn_message answer = {
        .kind = (uint8_t)kind, .configuration = 1, .ballot = mine, .name_bytes = 1, .name = "x"};
    if (kind == TN_MESSAGE_CLOSED) {
        answer.lease = (struct tn_ballot){3 << 16 | 3, 3};
        answer.remaining = HELD_FOR;
    } else {
        answer.promised = (struct tn_ballot){mine.counter + (1 << 16) + 2, 3};
    }
    for (uint32_t from = 1; from <= 2; from++) {
        step(bench, (struct tn_event){.kind = TN_EVENT_FRAME,
                                      .from = from,
                                      .restart_word = from + 1,
                                      .items = &answer,
                                      .items_count = 1});
    }
    tn_time began = bench->now;
    bench->effects.messages_count = 0;
    for (uint32_t i = 0; i < 4 && bench->effects.messages_count == 0; i++) {
        bench->now = tn_lease_deadline(bench->lease); /* of the attempt, or of something else */
        step(bench, (struct tn_event){.kind = TN_EVENT_TIMER});
    }
    assert_int_equal(bench->effects.messages_count, 1);
    return bench->now - began - (kind == TN_MESSAGE_CLOSED ? HELD_FOR : 0);
}

/* After three lost duels, `held` attempts find a lease in the way: the longest wait of the last. */
static tn_time longest_wait(uint32_t held, tn_time *back_off)
{
    tn_time longest = 0;
    for (uint64_t draw = 0; draw < DRAWS; draw++) {
        struct bench bench;
        start(&bench, draw * 0x9e3779b97f4a7c15ULL + 1);
        tn_time wait = 0;
        for (uint32_t i = 0; i < 3 + held; i++) {
            wait = fail_by(&bench, i < 3 ? TN_MESSAGE_REJECTED : TN_MESSAGE_CLOSED);
        }
        longest = wait > longest ? wait : longest;
        *back_off = bench.options.tables[0].back_off_ns;
        free(bench.lease);
    }
    return longest;
}

static void P5_a_lease_in_the_way_after_a_duel_takes_nothing_of_the_wait_back(void **state)
{
    (void)state;
    tn_time back_off = 0;
    tn_time duel = longest_wait(0, &back_off);
    assert_in_range(duel, 4 * back_off, 8 * back_off);
    tn_time once = longest_wait(1, &back_off); /* it may be what one of the duel has left behind */
    assert_in_range(once, 4 * back_off, 8 * back_off);
}

static void P5_who_finds_a_lease_in_the_way_again_waits_for_an_owner(void **state)
{
    (void)state;
    tn_time back_off = 0;
    tn_time again = longest_wait(2, &back_off);
    assert_in_range(again, 1, back_off);
    again = longest_wait(3, &back_off);
    assert_in_range(again, 1, back_off);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(P5_a_lease_in_the_way_after_a_duel_takes_nothing_of_the_wait_back),
        cmocka_unit_test(P5_who_finds_a_lease_in_the_way_again_waits_for_an_owner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
