/* The table against a dumb array: the same names, the same queues, whatever is done to them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "paxos/lease_table.h"

#define NAMES 40U
#define ROOM 24U
#define D_A 1000U

static struct tn__lease_table *make_table(uint32_t names_max)
{
    struct tn_lease_table_options options = {.proposer_ns = 900,
                                             .acceptor_ns = D_A,
                                             .renew_ns = 300,
                                             .names_max = names_max,
                                             .contended_max = names_max};
    size_t head = (sizeof(struct tn__lease_table) + 63) / 64 * 64;
    size_t size = head + tn__lease_table_bytes(&options);
    char *memory = aligned_alloc(64, size);
    memset(memory, 0, size);
    tn__lease_table_init((struct tn__lease_table *)(void *)memory, memory + head, &options, 5);
    return (struct tn__lease_table *)(void *)memory;
}

static struct tn__lease_key key_of(const struct tn__lease_table *table, uint32_t which,
                                   char name[16])
{
    int length = snprintf(name, 16, "n%u", which * 7919);
    return tn__lease_table_key(table, name, (uint32_t)length);
}

/* What the dumb array knows of a name. */
struct dumb {
    bool present;
    bool contended;
    uint32_t slot;
    uint64_t mark; /* written into the record: it must stay with the name */
    tn_time kept_until;
    enum tn__contender_place place;
    tn_time wake;
    tn_time deadline;
};

static uint32_t dumb_count(const struct dumb dumb[NAMES])
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < NAMES; i++) {
        count += dumb[i].present;
    }
    return count;
}

static tn_time dumb_deadline(const struct dumb dumb[NAMES])
{
    tn_time deadline = TN_TIME_NEVER;
    for (uint32_t i = 0; i < NAMES; i++) {
        if (!dumb[i].present) {
            continue;
        }
        deadline = dumb[i].kept_until < deadline ? dumb[i].kept_until : deadline;
        if (dumb[i].contended) {
            deadline = dumb[i].wake < deadline ? dumb[i].wake : deadline;
            if (dumb[i].deadline != 0 && dumb[i].deadline < deadline) {
                deadline = dumb[i].deadline;
            }
        }
    }
    return deadline;
}

static void compare(const struct tn__lease_table *table, const struct dumb dumb[NAMES])
{
    char name[16];
    for (uint32_t i = 0; i < NAMES; i++) {
        uint32_t slot = tn__lease_table_find(table, key_of(table, i, name));
        assert_int_equal(slot != TN__SLOT_NONE, dumb[i].present);
        if (!dumb[i].present) {
            continue;
        }
        assert_int_equal(slot, dumb[i].slot);
        const struct tn__lease_name *record = tn__lease_table_name(table, slot);
        assert_int_equal(record->acceptor.promised.counter, dumb[i].mark);
        assert_int_equal(record->contender != 0, dumb[i].contended);
    }
    assert_int_equal(table->names_count, dumb_count(dumb));
    assert_int_equal(tn__lease_table_deadline(table), dumb_deadline(dumb));
}

static void add_or_touch(struct tn__lease_table *table, struct dumb *dumb, uint32_t which,
                         tn_time now, uint64_t mark)
{
    char name[16];
    struct tn__lease_key key = key_of(table, which, name);
    if (dumb->present) {
        tn__lease_table_touch(table, dumb->slot, now);
    } else {
        struct tn_ballot floor = {mark, 1};
        uint32_t slot = tn__lease_table_add(table, key, floor, now);
        if (slot == TN__SLOT_NONE) {
            assert_int_equal(table->names_count, ROOM);
            return;
        }
        *dumb = (struct dumb){.present = true, .slot = slot, .mark = mark};
    }
    dumb->kept_until = now + D_A;
}

static void contend(struct tn__lease_table *table, struct dumb *dumb, tn_time now, uint64_t random)
{
    if (!dumb->present) {
        return;
    }
    struct tn__lease_contender *contender = tn__lease_table_contend(table, dumb->slot);
    assert_non_null(contender);
    assert_int_equal(contender->name, dumb->slot);
    dumb->contended = true;
    dumb->place = (enum tn__contender_place)(random % 3 + 1);
    dumb->wake = now + random / 8 % 500;
    tn__lease_table_place(table, contender, dumb->place, dumb->wake);
    if (random / 4096 % 3 == 0) {
        dumb->deadline = random / 65536 % 2 == 0 ? 0 : now + random / 131072 % 900 + 1;
        contender->proposer.lease_deadline = dumb->deadline;
        tn__lease_table_place_ending(table, contender);
    }
}

static void leave(struct tn__lease_table *table, struct dumb *dumb)
{
    if (!dumb->present || !dumb->contended) {
        return;
    }
    struct tn__lease_contender *contender =
        tn__lease_table_contender(table, tn__lease_table_name(table, dumb->slot));
    contender->proposer.lease_deadline = 0;
    tn__lease_table_withdraw(table, contender);
    dumb->contended = false;
    dumb->deadline = 0;
}

/* Drop what is due and not contended, oldest first, as the machine does. */
static void drop_due(struct tn__lease_table *table, struct dumb dumb[NAMES], tn_time now)
{
    uint32_t slot;
    while ((slot = tn__lease_table_oldest_due(table, now)) != TN__SLOT_NONE) {
        uint32_t which = 0;
        while (!dumb[which].present || dumb[which].slot != slot) {
            which++;
            assert_true(which < NAMES);
        }
        assert_true(dumb[which].kept_until <= now);
        if (dumb[which].contended) {
            tn__lease_table_touch(table, slot, now);
            dumb[which].kept_until = now + D_A;
        } else {
            tn__lease_table_drop(table, slot);
            dumb[which].present = false;
        }
    }
}

static void the_table_does_what_a_dumb_array_does(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct tn__lease_table *table = make_table(ROOM);
        struct dumb dumb[NAMES] = {0};
        uint64_t random = seed;
        tn_time now = 1;
        for (uint32_t round = 0; round < 3000; round++) {
            uint32_t which = (uint32_t)tn__random_below(&random, NAMES);
            switch (tn__random_below(&random, 5)) {
            case 0:
            case 1:
                add_or_touch(table, &dumb[which], which, now, round + 1);
                break;
            case 2:
                contend(table, &dumb[which], now, tn__random_next(&random) >> 1);
                break;
            case 3:
                leave(table, &dumb[which]);
                break;
            default:
                now += tn__random_below(&random, 200);
                drop_due(table, dumb, now);
                break;
            }
            compare(table, dumb);
        }
        free(table);
    }
}

static void queues_give_the_earliest_first(void **state)
{
    (void)state;
    struct tn__lease_table *table = make_table(ROOM);
    uint64_t random = 11;
    char name[16];
    for (uint32_t i = 0; i < ROOM; i++) {
        uint32_t slot =
            tn__lease_table_add(table, key_of(table, i, name), (struct tn_ballot){0}, 1);
        struct tn__lease_contender *contender = tn__lease_table_contend(table, slot);
        tn__lease_table_place(table, contender, (enum tn__contender_place)(i % 3 + 1),
                              tn__random_below(&random, 50));
    }
    for (uint32_t place = TN__CONTENDER_WORKING; place <= TN__CONTENDER_WAITING; place++) {
        tn_time last = 0;
        struct tn__lease_contender *first;
        uint32_t count = 0;
        while ((first = tn__lease_table_first(table, place)) != NULL) {
            assert_true(first->wake >= last);
            last = first->wake;
            tn__lease_table_place(table, first, TN__CONTENDER_NOWHERE, 0);
            count++;
        }
        assert_int_equal(count, ROOM / 3);
    }
    free(table);
}

static void names_that_share_a_place_in_the_index_are_all_found(void **state)
{
    (void)state;
    struct tn__lease_table *table = make_table(4096);
    char name[16];
    for (uint32_t i = 0; i < 4096; i++) {
        assert_int_not_equal(
            tn__lease_table_add(table, key_of(table, i, name), (struct tn_ballot){0}, i),
            TN__SLOT_NONE);
    }
    assert_int_equal(
        tn__lease_table_add(table, key_of(table, 4096, name), (struct tn_ballot){0}, 1),
        TN__SLOT_NONE); /* full */
    for (uint32_t i = 0; i < 4096; i += 2) {
        tn__lease_table_drop(table, tn__lease_table_find(table, key_of(table, i, name)));
    }
    for (uint32_t i = 0; i < 4096; i++) {
        uint32_t slot = tn__lease_table_find(table, key_of(table, i, name));
        assert_int_equal(slot == TN__SLOT_NONE, i % 2 == 0);
    }
    free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_does_what_a_dumb_array_does),
        cmocka_unit_test(queues_give_the_earliest_first),
        cmocka_unit_test(names_that_share_a_place_in_the_index_are_all_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
