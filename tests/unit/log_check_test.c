/* The check after a step sees what the step may have changed, as the check of everything does; what
 * lies elsewhere only the latter sees. The machines are real; the harm is done by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/assert.h"
#include "paxos/log_check.h"
#include "paxos/log_machine.h"
#include "support/log_cell.h"

#define LEADER 0U
#define FOLLOWER 1U
#define RETAIN 64U

static jmp_buf caught;
static bool is_caught;

/* In place of the one that aborts, for this program alone. */
_Noreturn void tn__assert_failed(const char *expression, const char *file, int line)
{
    if (is_caught) {
        longjmp(caught, 1);
    }
    fprintf(stderr, "assertion failed: %s (%s:%d)\n", expression, file, line);
    abort();
}

static bool step_check_finds(const struct tn_log *log, const struct tn__log_checked *checked)
{
    struct tn__log_checked copy = *checked;
    is_caught = true;
    bool found = setjmp(caught) != 0;
    if (!found) {
        tn__log_check_step(log, 0, &copy);
    }
    is_caught = false;
    return found;
}

static bool whole_check_finds(const struct tn_log *log)
{
    is_caught = true;
    bool found = setjmp(caught) != 0;
    if (!found) {
        tn_log_check(log, 0);
    }
    is_caught = false;
    return found;
}

/* A leader at work, its ring full. */
static struct log_cell *busy_cell(void)
{
    struct tn_log_options options = {.window_slots = 16, .retain_slots = RETAIN};
    struct log_cell *cell = cell_new(3, &options);
    cell_tenure(cell, LEADER, 1, cell->now + 1000 * TN_SECOND);
    cell_deliver_all(cell);
    for (uint32_t i = 0; i < 2 * RETAIN; i++) {
        tn_maybe(cell_propose(cell, LEADER, 1) > 0);
        cell_deliver_all(cell);
    }
    assert_true(cell->committed >= RETAIN);
    return cell;
}

static void look(const struct tn_log *log, struct tn__log_checked *checked)
{
    assert_false(step_check_finds(log, checked));
    tn__log_check_step(log, 0, checked);
}

static struct tn__log_slot *place_of(struct tn_log *log, uint64_t slot)
{
    return tn__log_slot_at(&log->acceptor, tn__log_slots(log), slot);
}

static void what_was_never_looked_at_is_checked_as_a_whole(void **state)
{
    (void)state;
    struct log_cell *cell = busy_cell();
    struct tn_log *log = cell->nodes[FOLLOWER].log;
    struct tn__log_checked checked = {0};
    struct tn__log_slot *old = place_of(log, log->acceptor.first);
    struct tn__log_slot kept = *old;
    old->value.kind = TN_LOG_VALUE_NONE;
    assert_true(step_check_finds(log, &checked));
    assert_true(whole_check_finds(log));
    *old = kept;
    look(log, &checked);
    old->value.kind = TN_LOG_VALUE_NONE; /* no step writes there */
    assert_false(step_check_finds(log, &checked));
    assert_true(whole_check_finds(log));
    *old = kept;
    cell_free(cell);
}

static void a_slot_that_a_step_stored_is_checked_after_it(void **state)
{
    (void)state;
    struct log_cell *cell = busy_cell();
    struct tn_log *log = cell->nodes[LEADER].log;
    struct tn__log_checked checked = {0};
    look(log, &checked);
    tn_maybe(cell_propose(cell, LEADER, 3) > 0);
    cell_deliver_all(cell);
    for (uint64_t slot = checked.committed + 1; slot <= log->acceptor.highest; slot++) {
        struct tn__log_slot kept = *place_of(log, slot);
        place_of(log, slot)->value.kind = TN_LOG_VALUE_NONE;
        assert_true(step_check_finds(log, &checked));
        *place_of(log, slot) = kept;
        place_of(log, slot)->ballot = (struct tn_log_ballot){0};
        assert_true(step_check_finds(log, &checked));
        *place_of(log, slot) = kept;
    }
    look(log, &checked);
    cell_free(cell);
}

static void the_place_of_a_slot_that_was_dropped_is_checked(void **state)
{
    (void)state;
    struct log_cell *cell = busy_cell();
    struct tn_log *log = cell->nodes[LEADER].log;
    struct tn__log_checked checked = {0};
    look(log, &checked);
    struct tn__log_slot kept = *place_of(log, log->acceptor.first);
    log->acceptor.first++; /* as if it had been dropped, and its place not cleared */
    log->retained_bytes -= kept.value.bytes;
    assert_true(step_check_finds(log, &checked));
    *place_of(log, log->acceptor.first - 1) = (struct tn__log_slot){0};
    assert_false(step_check_finds(log, &checked));
    assert_false(whole_check_finds(log));
    log->acceptor.first--;
    assert_true(step_check_finds(log, &(struct tn__log_checked){.is_known = 1,
                                                                .first = checked.first + 1,
                                                                .phase = checked.phase,
                                                                .ballot = checked.ballot}));
    *place_of(log, log->acceptor.first) = kept;
    log->retained_bytes += kept.value.bytes;
    look(log, &checked);
    cell_free(cell);
}

static void the_place_of_a_proposal_that_was_committed_is_checked(void **state)
{
    (void)state;
    struct log_cell *cell = busy_cell();
    struct tn_log *log = cell->nodes[LEADER].log;
    struct tn__log_checked checked = {0};
    look(log, &checked);
    tn_maybe(cell_propose(cell, LEADER, 1) > 0);
    cell_deliver_all(cell);
    assert_true(tn__log_committed(log) > checked.committed);
    struct tn__log_proposal *place =
        tn__log_proposal_at(&log->proposer, tn__log_proposals(log), tn__log_committed(log));
    place->value.kind = TN_LOG_VALUE_NOOP;
    place->proposed = 1;
    assert_true(step_check_finds(log, &checked));
    *place = (struct tn__log_proposal){0};
    look(log, &checked);
    place->votes = 1; /* beyond what any step writes */
    assert_false(step_check_finds(log, &checked));
    assert_true(whole_check_finds(log));
    *place = (struct tn__log_proposal){0};
    cell_free(cell);
}

static void all_proposals_are_checked_when_the_attempt_is_another_one(void **state)
{
    (void)state;
    struct log_cell *cell = busy_cell();
    struct tn_log *log = cell->nodes[LEADER].log;
    struct tn__log_checked checked = {0};
    look(log, &checked);
    cell_tenure(cell, LEADER, 1, 0);
    cell_deliver_all(cell);
    assert_int_equal(log->proposer.phase, TN__LOG_IDLE);
    struct tn__log_proposal *place = &tn__log_proposals(log)[7];
    place->votes = 1;
    assert_true(step_check_finds(log, &checked));
    *place = (struct tn__log_proposal){0};
    look(log, &checked);
    cell_free(cell);
}

static void all_outside_the_rings_is_checked(void **state)
{
    (void)state;
    struct log_cell *cell = busy_cell();
    struct tn_log *log = cell->nodes[LEADER].log;
    struct tn__log_checked checked = {0};
    look(log, &checked);
    log->written += log->writes + 1; /* inv.G1 */
    assert_true(step_check_finds(log, &checked));
    log->written -= log->writes + 1;
    log->own.bytes++; /* inv.G5 */
    assert_true(step_check_finds(log, &checked));
    log->own.bytes--;
    log->acceptor.promise.attempt++; /* inv.G2 */
    assert_true(step_check_finds(log, &checked));
    log->acceptor.promise.attempt--;
    log->retained_bytes++; /* a sum over the ring: it stays wrong until all is looked at */
    assert_false(step_check_finds(log, &checked));
    assert_true(whole_check_finds(log));
    log->retained_bytes--;
    look(log, &checked);
    cell_free(cell);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_never_looked_at_is_checked_as_a_whole),
        cmocka_unit_test(a_slot_that_a_step_stored_is_checked_after_it),
        cmocka_unit_test(the_place_of_a_slot_that_was_dropped_is_checked),
        cmocka_unit_test(the_place_of_a_proposal_that_was_committed_is_checked),
        cmocka_unit_test(all_proposals_are_checked_when_the_attempt_is_another_one),
        cmocka_unit_test(all_outside_the_rings_is_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
