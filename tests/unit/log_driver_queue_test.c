/* The rings of kept messages against a plain list, and with a guard behind the second ring. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/random.h"
#include "paxos/log_driver_queue.h"

#define SLOTS 16U
#define ENTRIES 64U
#define GUARD 0xabcdef0123456789ULL

static struct tn__log_driver_queued slots[SLOTS];
static struct tn_log_entry entries[ENTRIES + 1];
static struct tn__log_driver_queue queue;

static void queue_begin(void)
{
    memset(slots, 0xa5, sizeof(slots)); /* whatever is in them */
    entries[ENTRIES].slot = GUARD;
    queue = (struct tn__log_driver_queue){
        .slots = slots, .entries = entries, .slots_count = SLOTS, .entries_count = ENTRIES};
}

static uint32_t put(uint64_t id, uint32_t count)
{
    struct tn_log_entry own[ENTRIES + 1];
    for (uint32_t i = 0; i < count; i++) {
        own[i] = (struct tn_log_entry){.slot = id * 1000 + i};
    }
    struct tn_log_message message = {.id = id, .entries_first = 9, .entries_count = count};
    return tn__log_driver_queue_put(&queue, &message, own);
}

static void expect_kept(uint32_t slot, uint64_t id)
{
    const struct tn_log_message *message = &slots[slot].message;
    assert_int_equal(message->id, id);
    assert_int_equal(message->entries_first, 0);
    const struct tn_log_entry *kept = tn__log_driver_queue_entries(&queue, slot);
    for (uint32_t i = 0; i < message->entries_count; i++) {
        assert_int_equal(kept[i].slot, id * 1000 + i);
    }
    assert_int_equal(entries[ENTRIES].slot, GUARD);
}

static void what_was_put_in_is_kept_until_it_is_taken_in_any_order(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        uint64_t random = seed;
        uint32_t kept_slots[SLOTS];
        uint64_t kept_ids[SLOTS];
        uint32_t kept = 0;
        uint32_t refused = 0;
        queue_begin();
        for (uint64_t id = 1; id <= 400; id++) {
            uint32_t slot = put(id, (uint32_t)tn__random_below(&random, 20));
            if (slot != TN__LOG_DRIVER_QUEUE_NONE) {
                kept_slots[kept] = slot;
                kept_ids[kept++] = id;
            } else {
                refused++;
            }
            for (uint32_t i = 0; i < kept; i++) {
                expect_kept(kept_slots[i], kept_ids[i]);
            }
            tn__log_driver_queue_check(&queue);
            while (kept > 0 &&
                   (slot == TN__LOG_DRIVER_QUEUE_NONE || tn__random_below(&random, 2) == 0)) {
                assert_int_equal(tn__log_driver_queue_first(&queue), kept_slots[0]);
                uint32_t at = (uint32_t)tn__random_below(&random, kept < 3 ? kept : 3);
                tn__log_driver_queue_take(&queue, kept_slots[at]);
                kept--;
                memmove(kept_slots + at, kept_slots + at + 1, (kept - at) * sizeof(kept_slots[0]));
                memmove(kept_ids + at, kept_ids + at + 1, (kept - at) * sizeof(kept_ids[0]));
                slot = 0;
                tn__log_driver_queue_check(&queue);
            }
        }
        assert_true(refused > 0);
        assert_int_equal(queue.used, kept);
    }
}

static void a_full_ring_refuses_and_keeps_what_it_has(void **state)
{
    (void)state;
    queue_begin();
    assert_int_equal(tn__log_driver_queue_first(&queue), TN__LOG_DRIVER_QUEUE_NONE);
    assert_int_equal(put(1, ENTRIES + 1), TN__LOG_DRIVER_QUEUE_NONE);
    uint32_t first = put(2, ENTRIES);
    assert_int_equal(put(3, 1), TN__LOG_DRIVER_QUEUE_NONE);
    uint32_t second = put(4, 0); /* without entries there is room still */
    assert_true(second != TN__LOG_DRIVER_QUEUE_NONE);
    expect_kept(first, 2);
    tn__log_driver_queue_take(&queue, first);
    assert_true(put(5, ENTRIES) != TN__LOG_DRIVER_QUEUE_NONE);
    for (uint64_t id = 6; id < 4 + SLOTS; id++) {
        assert_true(put(id, 0) != TN__LOG_DRIVER_QUEUE_NONE);
    }
    assert_int_equal(put(100, 0), TN__LOG_DRIVER_QUEUE_NONE);
    assert_int_equal(tn__log_driver_queue_first(&queue), second);
    tn__log_driver_queue_check(&queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_put_in_is_kept_until_it_is_taken_in_any_order),
        cmocka_unit_test(a_full_ring_refuses_and_keeps_what_it_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
