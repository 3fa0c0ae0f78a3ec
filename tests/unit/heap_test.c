/* The heap against sorting, the list against an array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>

#include "base/heap.h"
#include "base/index_list.h"
#include "base/random.h"

#define RECORDS 64U

static void the_heap_gives_the_smallest_key_and_lets_any_record_leave_or_move(void **state)
{
    (void)state;
    struct tn__heap_entry entries[RECORDS];
    uint32_t places[RECORDS] = {0};
    uint32_t count = 0;
    struct tn__heap heap = {entries, places, &count};
    uint64_t keys[RECORDS];
    bool in[RECORDS] = {false};
    uint64_t random = 3;
    for (uint32_t round = 0; round < 20000; round++) {
        uint32_t record = (uint32_t)tn__random_below(&random, RECORDS);
        if (in[record] && tn__random_below(&random, 2) == 0) {
            keys[record] = tn__random_below(&random, 20);
            tn__heap_move(heap, record, keys[record]);
            in[record] = false; /* turned back below */
        } else if (in[record]) {
            tn__heap_remove(heap, record);
        } else {
            keys[record] = tn__random_below(&random, 20); /* few keys: ties are common */
            tn__heap_insert(heap, record, keys[record]);
        }
        in[record] = !in[record];
        uint32_t best = RECORDS, present = 0;
        for (uint32_t i = 0; i < RECORDS; i++) {
            present += in[i];
            if (in[i] && (best == RECORDS || keys[i] < keys[best])) {
                best = i; /* the smallest index among equals */
            }
            assert_int_equal(places[i] != 0, in[i]);
        }
        assert_int_equal(count, present);
        if (present > 0) {
            assert_int_equal(entries[0].record, best);
        }
    }
}

static void the_list_keeps_its_order_whatever_leaves(void **state)
{
    (void)state;
    struct {
        uint64_t other;
        struct tn__link link;
    } records[8] = {0};
    struct tn__links links = {&records[0].link, sizeof(records[0])};
    struct tn__index_list list = {0};
    assert_int_equal(tn__index_list_first(&list), TN__INDEX_NONE);
    for (uint32_t i = 0; i < 8; i++) {
        tn__index_list_append(&list, links, i);
    }
    tn__index_list_remove(&list, links, 0);
    tn__index_list_remove(&list, links, 7);
    tn__index_list_remove(&list, links, 3);
    tn__index_list_insert(&list, links, 3, TN__INDEX_NONE); /* to the front */
    tn__index_list_insert(&list, links, 7, 4);              /* behind 4 */
    const uint32_t expected[] = {3, 1, 2, 4, 7, 5, 6};
    uint32_t at = tn__index_list_last(&list);
    for (uint32_t i = 7; i > 0; i--) {
        assert_int_equal(at, expected[i - 1]);
        at = tn__index_list_previous(links, at);
    }
    assert_int_equal(at, TN__INDEX_NONE);
    for (uint32_t i = 0; i < 7; i++) {
        tn__index_list_remove(&list, links, expected[i]);
    }
    assert_int_equal(list.first | list.last, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_heap_gives_the_smallest_key_and_lets_any_record_leave_or_move),
        cmocka_unit_test(the_list_keeps_its_order_whatever_leaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
