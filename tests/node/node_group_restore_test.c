/* What a group begins with where some of its log is lost (W3): what was healed once may be lost
 * again, and is not to be executed with a hole, or with a value that was not chosen. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "node/node_groups.h"
#include "support/group_cell.h"

static struct group_cell cell; /* too large for a stack */

static void await_voting(uint32_t index)
{
    tn_time since = 0;
    struct tn_group_status status;
    do {
        assert_int_equal(tn_group_status(cell.groups[index], &status), 0);
    } while (status.log.state == TN_LOG_STATE_DAMAGED && cell_patience(&since));
    assert_int_not_equal(status.log.state, TN_LOG_STATE_DAMAGED);
}

/* Damage a batch of a stopped node's log: of this segment the one with this number, from 1 on. */
static void damage_batch(uint32_t index, uint32_t segment, uint32_t number)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%08u.wal", cell.cell.nodes[index].data_dir, segment);
    int file = open(path, O_RDWR | O_CLOEXEC);
    assert_true(file >= 0);
    char magic[4] = "";
    off_t at = 0;
    for (uint32_t count = 0; count < number; count += memcmp(magic, "tnB1", 4) == 0) {
        at += 512;
        assert_int_equal(pread(file, magic, 4, at), 4);
    }
    char byte = 0;
    assert_int_equal(pread(file, &byte, 1, at + 100), 1);
    byte = (char)(byte ^ 0x40);
    assert_int_equal(pwrite(file, &byte, 1, at + 100), 1);
    close(file);
}

static void W3_damage_that_grows_after_a_healing_is_fetched_again(void **state)
{
    (void)state;
    group_cell_make(&cell, 3, TN_LOG_MODE_LEASED);
    group_cell_start_all(&cell);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < 100; i++) {
        sum = group_cell_add(&cell, 0, 'w', 1);
    }
    group_cell_await_equal(&cell, sum);
    group_cell_stop(&cell, 2);
    damage_batch(2, 2, 1); /* a promise that is restated: all slots are there */
    group_cell_start(&cell, 2);
    cell_await_log(&cell.cell, 2, "the log is damaged");
    await_voting(2);
    atomic_store(&cell.cell.nodes[2].node->groups->store.heal_at, 0); /* ten minutes later */
    sum = group_cell_add(&cell, 2, 'w', 1);
    cell_await_log(&cell.cell, 2, "it counts as whole again");
    group_cell_stop(&cell, 2); /* waits for the healing */
    damage_batch(2, 1, 10);    /* slots, and sound when the log was healed */
    group_cell_start(&cell, 2);
    assert_int_equal(cell.cell.nodes[2].node->groups->store.report.damaged, 0);
    assert_int_equal(cell.cell.nodes[2].node->groups->store.report.lost, 1);
    sum = group_cell_add(&cell, 2, 'w', 1);
    group_cell_await_equal(&cell, sum);
    await_voting(2);
    for (uint32_t i = 0; i < 26; i++) {
        assert_int_equal(cell.counters[2].sums[i], cell.counters[0].sums[i]);
    }
    assert_int_equal(cell.counters[2].digest, cell.counters[0].digest);
    group_cell_stop(&cell, 2);
    group_cell_start(&cell, 2); /* whole: what was lost is there twice now */
    struct tn_group_status status;
    assert_int_equal(tn_group_status(cell.groups[2], &status), 0);
    assert_int_not_equal(status.log.state, TN_LOG_STATE_DAMAGED);
    assert_int_equal(group_cell_add(&cell, 2, 'w', 1), sum + 1);
    group_cell_await_equal(&cell, sum + 1);
    group_cell_end(&cell);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(W3_damage_that_grows_after_a_healing_is_fetched_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
