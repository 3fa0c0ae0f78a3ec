/* The log's machine as a whole: writes that are committed, crashes, and random schedules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/log_cell.h"

#define FAR (3600 * TN_SECOND)

static void a_leader_commits_what_is_proposed_and_all_execute_it(void **state)
{
    (void)state;
    struct log_cell *cell = cell_new(3, NULL);
    cell_tenure(cell, 0, 1, FAR);
    cell_run(cell, cell->now + 10 * TN_MILLISECOND);
    assert_int_equal(log_cell_status(cell, 0).state, TN_LOG_STATE_ACTIVE);
    cell_propose(cell, 0, 5);
    cell_run(cell, cell->now + TN_SECOND);
    assert_true(cell_agrees(cell, 5));
    assert_int_equal(cell->committed, 5);
    cell_free(cell);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_leader_commits_what_is_proposed_and_all_execute_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
