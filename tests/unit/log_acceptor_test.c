/* The acceptor of a log: rule by rule, the verdicts on equal numbers, and random histories against
 * a model that keeps every slot for ever. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "paxos/log_acceptor.h"

#define CAPACITY 8

static const struct tn_log_ballot none;

/* Ballots of tenure `token`, attempt, node and incarnation. */
static struct tn_log_ballot ballot(uint64_t token, uint64_t attempt, tn_node_id node, uint64_t run)
{
    return (struct tn_log_ballot){
        .mode_number = 1, .token = token, .attempt = attempt, .node = node, .restart_word = run};
}

static struct tn_log_value payload(uint32_t digest)
{
    return (struct tn_log_value){
        .kind = TN_LOG_VALUE_PAYLOAD, .handle = 1000 + digest, .bytes = 4, .digest = digest};
}

struct cell {
    struct tn__log_acceptor acceptor;
    struct tn__log_slot slots[CAPACITY];
    uint64_t forgotten;
};

static struct cell fresh(uint64_t committed)
{
    struct cell cell = {0};
    tn__log_acceptor_init(&cell.acceptor, CAPACITY, none, committed);
    return cell;
}

static enum tn__log_verdict accept(struct cell *cell, struct tn_log_ballot b, uint64_t slot,
                                   struct tn_log_value value, uint64_t committed)
{
    enum tn__log_verdict verdict = tn__log_acceptor_accept(&cell->acceptor, cell->slots, b, slot,
                                                           &value, committed, &cell->forgotten);
    tn__log_acceptor_check(&cell->acceptor, cell->slots, committed);
    return verdict;
}

static uint32_t report(const struct cell *cell, uint64_t from, uint64_t committed, uint32_t max,
                       struct tn_log_entry *entries, uint64_t *slot_end, bool *last)
{
    return tn__log_acceptor_report(&cell->acceptor, cell->slots, from, committed, entries, max,
                                   slot_end, last);
}

/* ---- V1 -------------------------------------------------------------------------------------- */

static void V1_agrees_to_what_is_above_its_promise_and_again_to_the_same(void **state)
{
    (void)state;
    struct cell cell = fresh(0);
    struct tn_log_ballot b = ballot(1, 1, 1, 7);
    assert_int_equal(tn__log_acceptor_prepare(&cell.acceptor, b), TN__LOG_AGREE);
    assert_int_equal(tn__log_acceptor_prepare(&cell.acceptor, b), TN__LOG_AGAIN);
    assert_true(tn_log_ballot_equal(cell.acceptor.promise, b));
    assert_int_equal(tn__log_acceptor_prepare(&cell.acceptor, ballot(1, 2, 1, 7)), TN__LOG_AGREE);
}

static void V1_aborts_what_is_below_its_promise_and_keeps_it(void **state)
{
    (void)state;
    struct cell cell = fresh(0);
    struct tn_log_ballot high = ballot(2, 1, 1, 7);
    tn__log_acceptor_prepare(&cell.acceptor, high);
    /* N1: the token is first: a later tenure's first attempt is above an old one's tenth. */
    assert_int_equal(tn__log_acceptor_prepare(&cell.acceptor, ballot(1, 10, 2, 9)), TN__LOG_ABORT);
    assert_true(tn_log_ballot_equal(cell.acceptor.promise, high));
}

static void V1_suggests_when_another_incarnation_has_the_number(void **state)
{
    (void)state;
    struct cell cell = fresh(0);
    struct tn_log_ballot first = ballot(1, 1, 1, 7);
    tn__log_acceptor_prepare(&cell.acceptor, first);
    assert_int_equal(tn__log_acceptor_prepare(&cell.acceptor, ballot(1, 1, 1, 8)), TN__LOG_SUGGEST);
    assert_int_equal(tn__log_acceptor_prepare(&cell.acceptor, ballot(1, 1, 1, 6)), TN__LOG_SUGGEST);
    assert_true(tn_log_ballot_equal(cell.acceptor.promise, first));
    /* Another node's number is another number. */
    assert_int_equal(tn__log_acceptor_prepare(&cell.acceptor, ballot(1, 1, 2, 8)), TN__LOG_AGREE);
}

/* The example of the seed on equal ballots: five acceptors, the third gets both Prepares. */
static void V1_equal_ballots_before_the_decision_the_second_is_told_the_first(void **state)
{
    (void)state;
    struct cell third = fresh(0);
    struct tn_log_ballot a1 = ballot(0, 5, 1, 1), a5 = ballot(0, 5, 1, 2); /* a copied directory */
    struct tn_log_value value = payload(1);
    assert_int_equal(tn__log_acceptor_prepare(&third.acceptor, a1), TN__LOG_AGREE);
    assert_int_equal(tn__log_acceptor_prepare(&third.acceptor, a5), TN__LOG_SUGGEST);
    assert_true(tn_log_ballot_equal(third.acceptor.promise, a1)); /* what it is told */
    assert_int_equal(accept(&third, a1, 1, value, 0), TN__LOG_ACCEPTED);
}

static void V1_equal_ballots_after_the_decision_the_slot_is_ignored_and_never_promised(void **state)
{
    (void)state;
    struct cell third = fresh(0);
    struct tn_log_entry entries[4];
    uint64_t slot_end;
    bool last;
    accept(&third, ballot(0, 5, 1, 1), 1, payload(1), 0);
    assert_int_equal(tn__log_acceptor_prepare(&third.acceptor, ballot(0, 5, 1, 2)),
                     TN__LOG_SUGGEST);
    assert_int_equal(tn__log_acceptor_prepare(&third.acceptor, ballot(0, 6, 5, 1)), TN__LOG_AGREE);
    /* Slot 1 is committed: not in the report; `committed` = 1 tells the proposer to fetch it. */
    assert_int_equal(report(&third, 1, 1, 4, entries, &slot_end, &last), 0);
    assert_true(last);
}

static void V1_reports_in_pages_what_is_accepted_and_not_committed(void **state)
{
    (void)state;
    struct cell cell = fresh(0);
    struct tn_log_ballot b = ballot(1, 1, 1, 7);
    static const uint64_t accepted[] = {1, 2, 4, 7};
    struct tn_log_entry entries[4];
    uint64_t slot_end;
    bool last;
    for (uint32_t i = 0; i < 4; i++) {
        accept(&cell, b, accepted[i], payload((uint32_t)accepted[i]), 0);
    }
    assert_int_equal(report(&cell, 1, 1, 2, entries, &slot_end, &last), 2);
    assert_int_equal(entries[0].slot, 2);
    assert_int_equal(entries[1].slot, 4);
    assert_int_equal(slot_end, 5);
    assert_false(last);
    assert_int_equal(report(&cell, slot_end, 1, 2, entries, &slot_end, &last), 1);
    assert_int_equal(entries[0].slot, 7);
    assert_int_equal(entries[0].value.digest, 7);
    assert_true(tn_log_ballot_equal(entries[0].ballot, b));
    assert_true(last);
    assert_int_equal(slot_end, 8);
    assert_int_equal(report(&cell, 8, 1, 2, entries, &slot_end, &last), 0);
    assert_true(last);
    assert_int_equal(slot_end, 8);
}

/* ---- V2 -------------------------------------------------------------------------------------- */

static void V2_accepts_at_or_above_the_promise_and_raises_it(void **state)
{
    (void)state;
    struct cell cell = fresh(0);
    struct tn_log_ballot low = ballot(1, 1, 1, 7), high = ballot(2, 1, 2, 7);
    tn__log_acceptor_prepare(&cell.acceptor, low);
    assert_int_equal(accept(&cell, low, 1, payload(1), 0), TN__LOG_ACCEPTED);
    assert_int_equal(accept(&cell, high, 2, payload(2), 0), TN__LOG_ACCEPTED);
    assert_true(tn_log_ballot_equal(cell.acceptor.promise, high));
    assert_int_equal(cell.acceptor.highest, 2);
    /* The promise covers the whole log. */
    assert_int_equal(accept(&cell, low, 3, payload(3), 0), TN__LOG_ABORT);
    assert_int_equal(cell.forgotten, 1003);
    assert_false(tn__log_acceptor_holds(&cell.acceptor, cell.slots, 3));
}

static void V2_a_higher_ballot_replaces_and_the_old_value_is_forgotten(void **state)
{
    (void)state;
    struct cell cell = fresh(0);
    struct tn_log_ballot low = ballot(1, 1, 1, 7), high = ballot(2, 1, 2, 7);
    accept(&cell, low, 1, payload(1), 0);
    assert_int_equal(cell.forgotten, 0);
    assert_int_equal(accept(&cell, high, 1, payload(2), 0), TN__LOG_ACCEPTED);
    assert_int_equal(cell.forgotten, 1001);
    assert_int_equal(cell.slots[1].value.digest, 2);
    assert_true(tn_log_ballot_equal(cell.slots[1].ballot, high));
}

static void V2_a_repetition_is_answered_and_other_bytes_under_one_ballot_are_refused(void **state)
{
    (void)state;
    struct cell cell = fresh(0);
    struct tn_log_ballot b = ballot(1, 1, 1, 7);
    struct tn_log_value again = payload(1);
    again.handle = 77;
    accept(&cell, b, 1, payload(1), 0);
    assert_int_equal(accept(&cell, b, 1, again, 0), TN__LOG_ACCEPTED);
    assert_int_equal(cell.forgotten, 1001);
    struct cell before = cell;
    assert_int_equal(accept(&cell, b, 1, payload(2), 0), TN__LOG_CONFLICT);
    assert_int_equal(cell.forgotten, 1002);
    assert_memory_equal(&cell.slots, &before.slots, sizeof(cell.slots));
}

static void V2_a_committed_slot_is_answered_and_not_stored_again(void **state)
{
    (void)state;
    struct cell cell = fresh(0);
    struct tn_log_ballot low = ballot(1, 1, 1, 7), high = ballot(2, 1, 2, 7);
    accept(&cell, low, 1, payload(1), 0);
    assert_int_equal(accept(&cell, high, 1, payload(1), 1), TN__LOG_RESOLVED);
    assert_true(tn_log_ballot_equal(cell.acceptor.promise, high));
    assert_true(tn_log_ballot_equal(cell.slots[1].ballot, low));
    assert_int_equal(accept(&cell, high, 1, payload(2), 1), TN__LOG_CONFLICT);
    /* One that fell out of the ring is answered as well. */
    assert_int_equal(tn__log_acceptor_drop_first(&cell.acceptor, cell.slots), 1001);
    assert_int_equal(accept(&cell, high, 1, payload(1), 1), TN__LOG_RESOLVED);
}

static void V2_a_slot_beyond_the_ring_changes_nothing(void **state)
{
    (void)state;
    struct cell cell = fresh(10);
    struct cell before = cell;
    struct tn_log_ballot b = ballot(1, 1, 1, 7);
    assert_int_equal(accept(&cell, b, 11 + CAPACITY, payload(1), 10), TN__LOG_BEYOND);
    assert_memory_equal(&cell.acceptor, &before.acceptor, sizeof(cell.acceptor));
    assert_int_equal(accept(&cell, b, 10 + CAPACITY, payload(1), 10), TN__LOG_ACCEPTED);
}

/* ---- V3 -------------------------------------------------------------------------------------- */

/* Hazard: catch-up that stores the learned ballot as the promise lowers a higher one. */
static void phxpaxos_H1_catch_up_never_lowers_the_promise(void **state)
{
    (void)state;
    struct cell cell = fresh(0);
    struct tn_log_ballot low = ballot(1, 1, 1, 7), high = ballot(2, 1, 2, 7);
    struct tn_log_value value = payload(1);
    tn__log_acceptor_prepare(&cell.acceptor, high);
    tn__log_acceptor_learn(&cell.acceptor, cell.slots, 1, low, &value, &cell.forgotten);
    assert_true(tn_log_ballot_equal(cell.acceptor.promise, high));
    assert_int_equal(accept(&cell, low, 2, payload(2), 1), TN__LOG_ABORT);
}

static void V3_catch_up_does_not_raise_the_promise_either(void **state)
{
    (void)state;
    struct cell cell = fresh(0);
    struct tn_log_value value = payload(1);
    tn__log_acceptor_learn(&cell.acceptor, cell.slots, 1, ballot(9, 1, 1, 7), &value,
                           &cell.forgotten);
    assert_true(tn_log_ballot_is_none(cell.acceptor.promise));
    assert_true(tn__log_acceptor_holds(&cell.acceptor, cell.slots, 1));
}

static void V3_what_was_learned_stays_when_a_late_proposal_that_lost_arrives(void **state)
{
    (void)state;
    struct cell cell = fresh(0);
    struct tn_log_ballot low = ballot(1, 1, 1, 7), high = ballot(9, 1, 2, 7);
    struct tn_log_value value = payload(1);
    tn__log_acceptor_learn(&cell.acceptor, cell.slots, 1, high, &value, &cell.forgotten);
    /* After a restart nothing says that slot 1 is committed; its ballot above the promise does. */
    assert_int_equal(accept(&cell, low, 1, payload(2), 0), TN__LOG_RESOLVED);
    assert_int_equal(cell.slots[1].value.digest, 1);
    assert_true(tn_log_ballot_equal(cell.acceptor.promise, low));
    /* No ballot above that one could propose anything else. */
    assert_int_equal(accept(&cell, ballot(10, 1, 1, 7), 1, payload(2), 0), TN__LOG_CONFLICT);
    assert_int_equal(accept(&cell, ballot(10, 1, 1, 7), 1, payload(1), 0), TN__LOG_ACCEPTED);
}

static void two_values_are_the_same_whatever_their_handles(void **state)
{
    (void)state;
    struct tn_log_value a = payload(1), b = payload(1);
    b.handle = 5;
    assert_true(tn__log_value_equal(&a, &b));
    for (uint32_t i = 0; i < 8; i++) {
        b = a;
        b.bytes += i == 0;
        b.digest += i == 1;
        b.voters += i == 2;
        b.learners += i == 3;
        b.version += i == 4;
        b.window_slots += i == 5;
        b.kind = (uint8_t)(b.kind + (i == 6));
        b.mode = (uint8_t)(b.mode + (i == 7));
        assert_false(tn__log_value_equal(&a, &b));
    }
}

/* ---- Random histories ------------------------------------------------------------------------ */

#define SLOTS 200

struct model {
    struct tn_log_ballot promise;
    struct tn_log_ballot ballot[SLOTS];
    uint32_t digest[SLOTS]; /* 0: nothing */
    uint64_t dropped, committed, highest;
};

/* What is proposed in a slot under a ballot: one value for ever; in every tenth slot and ballot
 * somebody breaks the protocol. */
static uint32_t digest_of(uint64_t slot, struct tn_log_ballot b, bool honest)
{
    return (uint32_t)(slot * 100 + b.token * 10 + (honest ? 1 : 2));
}

static void model_accept(struct cell *cell, struct model *model, uint64_t slot,
                         struct tn_log_ballot b, uint32_t digest)
{
    enum tn__log_verdict verdict = accept(cell, b, slot, payload(digest), model->committed);
    bool held = model->digest[slot] != 0 && slot > model->dropped;
    bool same = model->digest[slot] == digest;
    int order = tn_log_ballot_compare(b, model->ballot[slot]);
    if (tn_log_ballot_compare(b, model->promise) < 0) {
        assert_int_equal(verdict, TN__LOG_ABORT);
        return;
    }
    if (slot > model->dropped + CAPACITY) {
        assert_int_equal(verdict, TN__LOG_BEYOND);
        return;
    }
    if (held && !same && (order == 0 || (order > 0 && slot <= model->committed))) {
        assert_int_equal(verdict, TN__LOG_CONFLICT);
        return;
    }
    model->promise = b;
    if (slot <= model->committed) {
        assert_int_equal(verdict, TN__LOG_RESOLVED);
        return;
    }
    assert_int_equal(verdict, TN__LOG_ACCEPTED);
    assert_int_equal(cell->forgotten, held ? 1000 + model->digest[slot] : 0);
    model->ballot[slot] = b;
    model->digest[slot] = digest;
    model->highest = slot > model->highest ? slot : model->highest;
}

static void model_report(const struct cell *cell, const struct model *model, uint64_t *seed)
{
    struct tn_log_entry entries[3];
    uint64_t slot = model->committed + 1, slot_end = model->committed + 1;
    uint32_t max = 1 + (uint32_t)tn__random_below(seed, 3);
    for (bool last = false; !last;) {
        uint32_t count = report(cell, slot_end, model->committed, max, entries, &slot_end, &last);
        for (uint32_t i = 0; i < count; i++, slot++) {
            while (slot < SLOTS && model->digest[slot] == 0) {
                slot++;
            }
            assert_int_equal(entries[i].slot, slot);
            assert_int_equal(entries[i].value.digest, model->digest[slot]);
        }
        assert_true(slot_end >= slot && count <= max);
    }
    for (; slot < SLOTS; slot++) {
        assert_int_equal(model->digest[slot], 0);
    }
}

static void run_history(uint64_t seed)
{
    struct cell cell = fresh(0);
    struct model model = {0};
    for (uint32_t step = 0; step < 400; step++) {
        uint64_t slot = model.dropped + 1 + tn__random_below(&seed, CAPACITY + 2);
        struct tn_log_ballot b = ballot(1 + tn__random_below(&seed, 1 + step / 20), 1,
                                        (tn_node_id)(1 + tn__random_below(&seed, 2)), 7);
        bool honest = tn__random_below(&seed, 10) != 0;
        uint64_t next = model.committed + 1;
        switch (tn__random_below(&seed, 8)) {
        case 0: {
            int order = tn_log_ballot_compare(b, model.promise);
            assert_int_equal(tn__log_acceptor_prepare(&cell.acceptor, b), order > 0 ? TN__LOG_AGREE
                                                                          : order == 0
                                                                              ? TN__LOG_AGAIN
                                                                              : TN__LOG_ABORT);
            model.promise = order > 0 ? b : model.promise;
            break;
        }
        case 1:
            model_report(&cell, &model, &seed);
            break;
        case 2: /* what is held becomes known to be chosen */
            model.committed += model.digest[next] != 0;
            break;
        case 3:
            if (model.dropped < model.committed) {
                model.dropped++;
                assert_int_equal(tn__log_acceptor_drop_first(&cell.acceptor, cell.slots),
                                 1000 + model.digest[model.dropped]);
            }
            break;
        default:
            model_accept(&cell, &model, slot, b, digest_of(slot, b, honest));
        }
        assert_true(tn_log_ballot_equal(cell.acceptor.promise, model.promise));
        assert_int_equal(cell.acceptor.highest, model.highest);
        if (model.dropped + CAPACITY + 4 > SLOTS) {
            break;
        }
    }
}

static void V1_V2_random_histories_are_those_of_the_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 500; seed++) {
        run_history(seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(V1_agrees_to_what_is_above_its_promise_and_again_to_the_same),
        cmocka_unit_test(V1_aborts_what_is_below_its_promise_and_keeps_it),
        cmocka_unit_test(V1_suggests_when_another_incarnation_has_the_number),
        cmocka_unit_test(V1_equal_ballots_before_the_decision_the_second_is_told_the_first),
        cmocka_unit_test(
            V1_equal_ballots_after_the_decision_the_slot_is_ignored_and_never_promised),
        cmocka_unit_test(V1_reports_in_pages_what_is_accepted_and_not_committed),
        cmocka_unit_test(V2_accepts_at_or_above_the_promise_and_raises_it),
        cmocka_unit_test(V2_a_higher_ballot_replaces_and_the_old_value_is_forgotten),
        cmocka_unit_test(V2_a_repetition_is_answered_and_other_bytes_under_one_ballot_are_refused),
        cmocka_unit_test(V2_a_committed_slot_is_answered_and_not_stored_again),
        cmocka_unit_test(V2_a_slot_beyond_the_ring_changes_nothing),
        cmocka_unit_test(phxpaxos_H1_catch_up_never_lowers_the_promise),
        cmocka_unit_test(V3_catch_up_does_not_raise_the_promise_either),
        cmocka_unit_test(V3_what_was_learned_stays_when_a_late_proposal_that_lost_arrives),
        cmocka_unit_test(two_values_are_the_same_whatever_their_handles),
        cmocka_unit_test(V1_V2_random_histories_are_those_of_the_model),
    };
    return cmocka_run_group_tests_name("log_acceptor", tests, NULL, NULL);
}
