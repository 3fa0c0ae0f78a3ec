/* Payload blocks: a handle leads to its block, and a block lives as long as anybody refers to it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/node_payload.h"

/* A block of three payloads of 5 bytes, with their handles. */
static struct tn__block *make(uint64_t handles[3])
{
    struct tn__block *block = tn__block_make(3 * (TN_PAYLOAD_LEAD_BYTES + 5));
    assert_non_null(block);
    uint8_t *at = tn__block_bytes(block);
    for (uint32_t i = 0; i < 3; i++) {
        handles[i] = tn__block_place(block, at);
        memset(at + TN_PAYLOAD_LEAD_BYTES, 'a' + (int)i, 5);
        at += TN_PAYLOAD_LEAD_BYTES + 5;
    }
    return block;
}

static void a_handle_is_its_bytes_and_leads_to_its_block(void **state)
{
    (void)state;
    uint64_t handles[3];
    struct tn__block *block = make(handles);
    for (uint32_t i = 0; i < 3; i++) {
        assert_ptr_equal(tn__block_of(handles[i]), block);
        assert_ptr_equal(tn__block_near(NULL, handles[i]), block);
    }
    uint64_t others[3];
    struct tn__block *other = make(others);
    for (uint32_t i = 0; i < 3; i++) {
        assert_ptr_equal(tn__block_near(other, handles[i]), block);
        assert_ptr_equal(tn__block_near(block, others[i]), other);
    }
    tn__block_release(other);
    memset(tn__block_bytes(block), 0xff, TN_PAYLOAD_LEAD_BYTES); /* it is not looked at */
    assert_ptr_equal(tn__block_near(block, handles[0]), block);
    assert_memory_equal(tn__payload_bytes(handles[0]), "aaaaa", 5);
    assert_memory_equal(tn__payload_bytes(handles[2]), "ccccc", 5);
    tn__block_release(block);
}

static void what_is_held_stands_for_one_reference(void **state)
{
    (void)state;
    uint64_t handles[3];
    struct tn__block list;
    tn__block_list_init(&list);
    struct tn__block *block = make(handles);
    tn__block_hold(&list, block, 3);
    assert_int_equal(block->references, 2);
    assert_ptr_equal(list.next, block);
    tn__block_hold(&list, block, 1);
    assert_int_equal(block->references, 2);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(block->held, 4 - i);
        assert_int_equal(tn__block_let_go(block), i < 3);
    }
    assert_int_equal(block->references, 1);
    assert_ptr_equal(list.next, &list);
    tn__block_hold(&list, block, 1); /* and again */
    assert_int_equal(block->references, 2);
    tn__block_retain(block, 2);
    tn__block_release_many(block, 2);
    assert_false(tn__block_let_go(block));
    tn__block_release(block);
}

static void a_list_that_is_dropped_gives_everything_back(void **state)
{
    (void)state;
    uint64_t handles[3];
    struct tn__block list;
    tn__block_list_init(&list);
    struct tn__block *blocks[4];
    for (uint32_t i = 0; i < 4; i++) {
        blocks[i] = make(handles);
        tn__block_hold(&list, blocks[i], i + 1);
    }
    tn__block_retain(blocks[2], 1);
    for (uint32_t i = 0; i < 4; i++) {
        tn__block_release(blocks[i]); /* the maker's: the list has the last one */
    }
    tn__block_list_drop(&list);
    assert_ptr_equal(list.next, &list);
    assert_int_equal(blocks[2]->references, 1);
    tn__block_release(blocks[2]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_handle_is_its_bytes_and_leads_to_its_block),
        cmocka_unit_test(what_is_held_stands_for_one_reference),
        cmocka_unit_test(a_list_that_is_dropped_gives_everything_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
