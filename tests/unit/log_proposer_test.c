/* The proposer of a log: rule by rule, what recovery collects (the seed on Ceph), and random
 * histories against a model that keeps every report. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "paxos/log_proposer.h"

#define CAPACITY 8

struct cell {
    struct tn__log_proposer proposer;
    struct tn__log_proposal proposals[CAPACITY];
    struct tn__log_configurations configurations;
    uint64_t committed;
    uint64_t forgotten[2 * CAPACITY];
    uint32_t forgotten_count;
};

static struct tn_log_ballot ballot(uint64_t token)
{
    return (struct tn_log_ballot){
        .mode_number = 1, .token = token, .attempt = 1, .node = 1, .restart_word = 7};
}

static struct tn_log_value payload(uint32_t digest)
{
    return (struct tn_log_value){
        .kind = TN_LOG_VALUE_PAYLOAD, .handle = digest, .bytes = 4, .digest = digest};
}

static struct tn_log_entry accepted(uint64_t slot, uint64_t token, uint32_t digest)
{
    return (struct tn_log_entry){.slot = slot, .ballot = ballot(token), .value = payload(digest)};
}

static struct cell fresh(tn_member_set voters, uint32_t window_slots, uint64_t committed)
{
    struct cell cell = {.committed = committed};
    struct tn__log_configuration first = {.first_slot = 1,
                                          .voters = voters,
                                          .version = 1,
                                          .window_slots = window_slots,
                                          .mode = TN_LOG_MODE_LEASED,
                                          .mode_number = 1};
    tn__log_configurations_init(&cell.configurations, &first);
    tn__log_proposer_init(&cell.proposer, CAPACITY);
    return cell;
}

static void begin(struct cell *cell, uint64_t token)
{
    tn__log_proposer_begin(&cell->proposer, cell->proposals, ballot(token), cell->committed);
}

static void check(const struct cell *cell)
{
    tn__log_proposer_check(&cell->proposer, cell->proposals, cell->committed);
}

/* A page of `count` entries, from `slot` to before `slot_end`; the member knows `ahead` more slots
 * than the proposer to be committed. */
static enum tn__log_page page(struct cell *cell, uint32_t member, uint64_t token, uint64_t slot,
                              uint64_t slot_end, bool last, uint64_t ahead,
                              const struct tn_log_entry *entries, uint32_t count)
{
    enum tn__log_page result = tn__log_proposer_promise(
        &cell->proposer, cell->proposals, &cell->configurations, member, ballot(token), slot,
        slot_end, last, cell->committed + ahead, cell->committed, entries, count, cell->forgotten,
        &cell->forgotten_count);
    check(cell);
    return result;
}

/* A whole promise in one page. */
static enum tn__log_page promise(struct cell *cell, uint32_t member, uint64_t token,
                                 const struct tn_log_entry *entries, uint32_t count)
{
    uint64_t end = count == 0 ? cell->committed + 1 : entries[count - 1].slot + 1;
    return page(cell, member, token, cell->proposer.cursors[member], end, true, 0, entries, count);
}

static enum tn__log_next next(struct cell *cell)
{
    return tn__log_proposer_next(&cell->proposer, cell->proposals, &cell->configurations,
                                 cell->committed);
}

static const struct tn_log_value *propose(struct cell *cell, const struct tn_log_value *value)
{
    const struct tn_log_value *proposed =
        tn__log_proposer_propose(&cell->proposer, cell->proposals, value);
    check(cell);
    return proposed;
}

static void vote(struct cell *cell, uint32_t member, uint64_t token, uint64_t slot, uint64_t end)
{
    tn__log_proposer_accepted(&cell->proposer, cell->proposals, member, ballot(token), slot, end,
                              cell->committed);
    check(cell);
}

static bool chosen(struct cell *cell, uint64_t slot)
{
    return tn__log_proposer_chosen(&cell->proposer, cell->proposals, &cell->configurations, slot);
}

static void commit(struct cell *cell)
{
    tn__log_proposer_committed(&cell->proposer, cell->proposals, ++cell->committed);
    check(cell);
}

static bool is_ready(const struct cell *cell)
{
    return tn__log_proposer_ready(&cell->proposer, &cell->configurations, cell->committed);
}

static struct cell leading(tn_member_set voters, uint32_t window_slots)
{
    struct cell cell = fresh(voters, window_slots, 0);
    begin(&cell, 1);
    promise(&cell, 0, 1, NULL, 0);
    promise(&cell, 1, 1, NULL, 0);
    assert_int_equal(cell.proposer.phase, TN__LOG_LEADING);
    return cell;
}

/* ---- Phase 1 --------------------------------------------------------------------------------- */

static void V1_a_majority_of_members_leads_and_a_repeated_promise_is_one(void **state)
{
    (void)state;
    struct cell cell = fresh(7, 4, 0);
    begin(&cell, 1);
    assert_int_equal(promise(&cell, 0, 1, NULL, 0), TN__LOG_PAGE_COUNTED);
    assert_int_equal(promise(&cell, 0, 1, NULL, 0), TN__LOG_PAGE_STALE);
    assert_int_equal(promise(&cell, 5, 1, NULL, 0), TN__LOG_PAGE_COUNTED); /* no voter */
    assert_int_equal(cell.proposer.phase, TN__LOG_PREPARING);
    assert_int_equal(next(&cell), TN__LOG_NEXT_NOT_LEADING);
    assert_int_equal(promise(&cell, 2, 1, NULL, 0), TN__LOG_PAGE_COUNTED);
    assert_int_equal(cell.proposer.phase, TN__LOG_LEADING);
}

static void V1_a_promise_of_another_ballot_or_of_no_attempt_is_stale(void **state)
{
    (void)state;
    struct cell cell = fresh(7, 4, 0);
    struct tn_log_entry entry = accepted(1, 1, 11);
    assert_int_equal(page(&cell, 0, 1, 1, 2, true, 0, &entry, 1), TN__LOG_PAGE_STALE);
    assert_int_equal(cell.forgotten_count, 1);
    assert_int_equal(cell.forgotten[0], 11);
    begin(&cell, 2);
    assert_int_equal(page(&cell, 0, 1, 1, 2, true, 0, &entry, 1), TN__LOG_PAGE_STALE);
    assert_int_equal(cell.proposer.promised, 0);
}

static void V1_a_promise_counts_when_its_last_page_is_in_and_pages_come_in_order(void **state)
{
    (void)state;
    struct cell cell = fresh(7, 4, 0);
    struct tn_log_entry one = accepted(1, 1, 11), two = accepted(3, 1, 13);
    begin(&cell, 2);
    promise(&cell, 0, 2, NULL, 0);
    assert_int_equal(page(&cell, 1, 2, 2, 4, true, 0, &two, 1), TN__LOG_PAGE_STALE); /* too early */
    assert_int_equal(page(&cell, 1, 2, 1, 2, false, 0, &one, 1), TN__LOG_PAGE_MORE);
    assert_int_equal(cell.proposer.phase, TN__LOG_PREPARING);
    assert_int_equal(cell.proposer.cursors[1], 2);
    assert_int_equal(cell.proposer.reported, 0); /* nothing of it counts yet */
    assert_int_equal(page(&cell, 1, 2, 1, 2, false, 0, &one, 1), TN__LOG_PAGE_STALE);
    assert_int_equal(page(&cell, 1, 2, 2, 4, true, 0, &two, 1), TN__LOG_PAGE_COUNTED);
    assert_int_equal(cell.proposer.phase, TN__LOG_LEADING);
    assert_int_equal(cell.proposer.reported, 3);
}

static void V1_ignore_is_never_a_promise_who_is_ahead_is_asked_again(void **state)
{
    (void)state;
    struct cell cell = fresh(7, 4, 0);
    struct tn_log_entry merged = accepted(1, 1, 99);
    begin(&cell, 2);
    promise(&cell, 0, 2, &merged, 1);
    assert_int_equal(page(&cell, 1, 2, 1, 3, true, 2, NULL, 0), TN__LOG_PAGE_AHEAD);
    assert_int_equal(cell.proposer.promised, 1);
    assert_int_equal(cell.proposer.phase, TN__LOG_PREPARING);
    /* Fetched (C2): what was merged below is dropped, and the same member asked again. */
    cell.committed = 2;
    assert_int_equal(
        tn__log_proposer_advance(&cell.proposer, cell.proposals, cell.committed, cell.forgotten),
        1);
    assert_int_equal(cell.forgotten[0], 99);
    check(&cell);
    assert_int_equal(promise(&cell, 1, 2, NULL, 0), TN__LOG_PAGE_COUNTED);
    assert_int_equal(cell.proposer.from, 3);
    assert_int_equal(next(&cell), TN__LOG_NEXT_FREE);
}

static void V1_a_page_that_no_acceptor_could_send_is_refused(void **state)
{
    (void)state;
    struct cell cell = fresh(7, 4, 0);
    struct tn_log_entry falling[] = {accepted(2, 1, 12), accepted(1, 1, 11)};
    struct tn_log_entry outside = accepted(5, 1, 15), far = accepted(1 + CAPACITY, 1, 1);
    struct tn_log_entry no_ballot = accepted(1, 1, 11), no_value = no_ballot;
    no_ballot.ballot = (struct tn_log_ballot){0};
    no_value.value.kind = TN_LOG_VALUE_NONE;
    begin(&cell, 2);
    assert_int_equal(page(&cell, 0, 2, 1, 3, true, 0, falling, 2), TN__LOG_PAGE_BEYOND);
    assert_int_equal(cell.forgotten_count, 2);
    assert_int_equal(page(&cell, 0, 2, 1, 5, true, 0, &outside, 1), TN__LOG_PAGE_BEYOND);
    assert_int_equal(page(&cell, 0, 2, 1, 99, true, 0, &far, 1), TN__LOG_PAGE_BEYOND);
    assert_int_equal(page(&cell, 0, 2, 1, 2, true, 0, &no_ballot, 1), TN__LOG_PAGE_BEYOND);
    assert_int_equal(page(&cell, 0, 2, 1, 2, true, 0, &no_value, 1), TN__LOG_PAGE_BEYOND);
    assert_int_equal(page(&cell, 0, 2, 1, 1, false, 0, NULL, 0), TN__LOG_PAGE_BEYOND); /* no way */
    assert_int_equal(page(&cell, 0, 2, 1, 0, true, 0, NULL, 0), TN__LOG_PAGE_BEYOND);
    assert_int_equal(cell.proposer.promised, 0);
}

/* ---- Recovery: what the seed on Ceph's collect says, and what it leaves out ------------------ */

static void V1_collect_fills_the_leaders_gaps_before_it_counts_a_peer(void **state)
{
    (void)state;
    /* The leader knows slots up to 3, a peer up to 5 and has accepted 6 besides. */
    struct cell cell = fresh(7, 4, 3);
    struct tn_log_entry six = accepted(6, 1, 16);
    begin(&cell, 2);
    promise(&cell, 0, 2, NULL, 0);
    assert_int_equal(page(&cell, 1, 2, 4, 7, true, 2, &six, 1), TN__LOG_PAGE_AHEAD);
    cell.committed = 5;
    tn__log_proposer_advance(&cell.proposer, cell.proposals, 5, cell.forgotten);
    assert_false(tn__log_proposer_settle(&cell.proposer, &cell.configurations));
    assert_int_equal(page(&cell, 1, 2, 4, 7, true, 0, &six, 1), TN__LOG_PAGE_COUNTED);
    assert_int_equal(cell.proposer.reported, 6); /* ready once 6 is committed again (M4) */
    assert_int_equal(next(&cell), TN__LOG_NEXT_REPORTED);
    assert_int_equal(propose(&cell, NULL)->digest, 16);
}

static void N2_the_value_of_the_highest_ballot_is_proposed_whoever_reports_last(void **state)
{
    (void)state;
    for (uint32_t order = 0; order < 2; order++) {
        struct cell cell = fresh(7, 4, 0);
        struct tn_log_entry low = accepted(1, 1, 11), high = accepted(1, 2, 22);
        begin(&cell, 3);
        promise(&cell, order, 3, &low, 1);
        promise(&cell, 1 - order, 3, &high, 1);
        assert_int_equal(cell.forgotten_count, 1);
        assert_int_equal(cell.forgotten[0], 11);
        assert_int_equal(next(&cell), TN__LOG_NEXT_REPORTED);
        assert_int_equal(propose(&cell, NULL)->digest, 22);
    }
}

static void N2_a_hole_below_the_highest_reported_slot_becomes_a_no_op(void **state)
{
    (void)state;
    struct cell cell = fresh(7, 4, 0);
    struct tn_log_entry three = accepted(3, 1, 13);
    begin(&cell, 2);
    promise(&cell, 0, 2, &three, 1);
    promise(&cell, 1, 2, NULL, 0);
    for (uint64_t slot = 1; slot <= 2; slot++) {
        assert_int_equal(next(&cell), TN__LOG_NEXT_REPORTED);
        assert_int_equal(propose(&cell, NULL)->kind, TN_LOG_VALUE_NOOP);
    }
    assert_int_equal(next(&cell), TN__LOG_NEXT_REPORTED);
    assert_int_equal(propose(&cell, NULL)->digest, 13);
    assert_int_equal(next(&cell), TN__LOG_NEXT_FREE);
}

static void N2_what_an_uncounted_page_reported_is_proposed_too(void **state)
{
    (void)state;
    struct cell cell = fresh(7, 4, 0);
    struct tn_log_entry one = accepted(1, 1, 11);
    begin(&cell, 2);
    assert_int_equal(page(&cell, 2, 2, 1, 2, false, 0, &one, 1), TN__LOG_PAGE_MORE);
    promise(&cell, 0, 2, NULL, 0);
    promise(&cell, 1, 2, NULL, 0);
    assert_int_equal(cell.proposer.reported, 0);
    assert_int_equal(next(&cell), TN__LOG_NEXT_REPORTED);
    assert_int_equal(propose(&cell, NULL)->digest, 11);
}

/* ---- Phase 2 --------------------------------------------------------------------------------- */

static void N2_no_more_than_alpha_slots_are_in_flight(void **state)
{
    (void)state;
    struct cell cell = leading(7, 2);
    struct tn_log_value value = payload(1);
    assert_int_equal(next(&cell), TN__LOG_NEXT_FREE);
    propose(&cell, &value);
    propose(&cell, &value);
    assert_int_equal(next(&cell), TN__LOG_NEXT_WINDOW);
    vote(&cell, 0, 1, 2, 3);
    vote(&cell, 1, 1, 2, 3);
    assert_true(chosen(&cell, 2)); /* but slot 1 is not: the contiguous prefix counts */
    assert_int_equal(next(&cell), TN__LOG_NEXT_WINDOW);
    vote(&cell, 0, 1, 1, 2);
    vote(&cell, 1, 1, 1, 2);
    commit(&cell);
    assert_int_equal(next(&cell), TN__LOG_NEXT_FREE);
}

static void N2_prepare_is_repeated_to_a_new_configuration(void **state)
{
    (void)state;
    struct cell cell = leading(7, 1);
    struct tn_log_value value = {.kind = TN_LOG_VALUE_CONFIGURATION, .version = 2, .voters = 0x38};
    struct tn_log_entry two = accepted(2, 1, 12);
    propose(&cell, &value);
    vote(&cell, 0, 1, 1, 2);
    vote(&cell, 1, 1, 1, 2);
    assert_true(chosen(&cell, 1));
    assert_true(is_ready(&cell));
    tn__log_configuration_learn(&cell.configurations, 1, &value);
    commit(&cell);
    assert_int_equal(next(&cell), TN__LOG_NEXT_PREPARE);
    assert_false(is_ready(&cell)); /* M4: a lower ballot may still lead in the new configuration */
    promise(&cell, 2, 1, NULL, 0); /* of the old one */
    promise(&cell, 3, 1, NULL, 0);
    assert_int_equal(next(&cell), TN__LOG_NEXT_PREPARE);
    promise(&cell, 4, 1, &two, 1);
    assert_int_equal(next(&cell), TN__LOG_NEXT_REPORTED);
    assert_false(is_ready(&cell)); /* M4: slot 2 was reported */
    assert_int_equal(propose(&cell, NULL)->digest, 12);
    vote(&cell, 0, 1, 2, 3);
    vote(&cell, 1, 1, 2, 3); /* the old voters choose nothing any more */
    vote(&cell, 3, 1, 2, 3);
    assert_false(chosen(&cell, 2));
    vote(&cell, 5, 1, 2, 3);
    assert_true(chosen(&cell, 2));
    commit(&cell);
    assert_true(is_ready(&cell));
}

static void N2_a_slot_is_chosen_by_members_and_not_by_messages(void **state)
{
    (void)state;
    struct cell cell = leading(7, 4);
    struct tn_log_value value = payload(1);
    propose(&cell, &value);
    vote(&cell, 1, 1, 1, 2);
    vote(&cell, 1, 1, 1, 2);
    vote(&cell, 4, 1, 1, 2); /* C4: no voter */
    vote(&cell, 0, 2, 1, 2); /* another ballot */
    vote(&cell, 0, 1, 2, 9); /* slots not proposed */
    assert_false(chosen(&cell, 1));
    assert_false(chosen(&cell, 2));
    vote(&cell, 0, 1, 1, 9);
    assert_true(chosen(&cell, 1));
}

static void V2_a_value_is_fixed_under_its_ballot(void **state)
{
    (void)state;
    struct cell cell = leading(7, 4);
    struct tn_log_value value = payload(1);
    struct tn_log_entry late = accepted(1, 0, 99);
    const struct tn_log_value *proposed = propose(&cell, &value);
    promise(&cell, 2, 1, &late, 1); /* a late promise, with a value of before */
    assert_int_equal(cell.forgotten[0], 99);
    assert_int_equal(proposed->digest, 1);
}

static void a_stopped_proposer_gives_back_what_it_merged_and_not_what_it_proposed(void **state)
{
    (void)state;
    struct cell cell = fresh(7, 4, 0);
    struct tn_log_entry entries[] = {accepted(1, 1, 11), accepted(2, 1, 12), accepted(4, 1, 14)};
    begin(&cell, 2);
    promise(&cell, 0, 2, entries, 3);
    promise(&cell, 1, 2, NULL, 0);
    propose(&cell, NULL);
    uint32_t count = tn__log_proposer_stop(&cell.proposer, cell.proposals, cell.forgotten);
    check(&cell);
    assert_int_equal(count, 2);
    assert_int_equal(cell.forgotten[0] + cell.forgotten[1], 12 + 14);
    assert_int_equal(next(&cell), TN__LOG_NEXT_NOT_LEADING);
    assert_int_equal(promise(&cell, 2, 2, NULL, 0), TN__LOG_PAGE_STALE);
    assert_int_equal(tn__log_proposer_stop(&cell.proposer, cell.proposals, cell.forgotten), 0);
    begin(&cell, 3);
    check(&cell);
}

static void a_majority_that_was_counted_leads_when_catch_up_comes_to_its_configuration(void **state)
{
    (void)state;
    struct cell cell = fresh(7, 1, 0);
    struct tn_log_value value = {.kind = TN_LOG_VALUE_CONFIGURATION, .version = 2, .voters = 0x1c};
    begin(&cell, 1);
    promise(&cell, 2, 1, NULL, 0);
    promise(&cell, 3, 1, NULL, 0);
    assert_int_equal(cell.proposer.phase, TN__LOG_PREPARING);
    tn__log_configuration_learn(&cell.configurations, 1, &value);
    cell.committed = 1;
    tn__log_proposer_advance(&cell.proposer, cell.proposals, 1, cell.forgotten);
    assert_true(tn__log_proposer_settle(&cell.proposer, &cell.configurations));
    assert_int_equal(next(&cell), TN__LOG_NEXT_FREE);
}

/* ---- Random histories ------------------------------------------------------------------------ */

#define SLOTS 120

/* Everything ever reported to the attempt, and every vote, kept as they came. */
struct model {
    uint64_t token_best[SLOTS];
    uint32_t digest[SLOTS]; /* of the best report; fixed once proposed */
    tn_member_set votes[SLOTS];
    bool is_proposed[SLOTS];
    uint64_t reported, next;
    uint64_t taken, given; /* sums of handles */
};

static void history_page(struct cell *cell, struct model *model, uint32_t member, uint64_t *seed)
{
    struct tn_log_entry entries[3];
    uint32_t count = 0;
    uint64_t slot = cell->proposer.cursors[member];
    bool last = tn__random_below(seed, 2) == 0;
    uint64_t end = slot;
    for (uint32_t i = 0; i < 3; i++, end++) {
        if (tn__random_below(seed, 2) == 0 && end <= cell->committed + CAPACITY) {
            uint64_t token = 1 + tn__random_below(seed, 5);
            entries[count++] = accepted(end, token, (uint32_t)(1000 * token + end));
            model->given += entries[count - 1].value.handle;
        }
    }
    bool ahead = tn__random_below(seed, 8) == 0;
    enum tn__log_page result =
        page(cell, member, 9, slot, end, last, ahead ? 1 : 0, entries, count);
    bool counted = (cell->proposer.promised >> member & 1U) != 0;
    for (uint32_t i = 0; i < cell->forgotten_count; i++) {
        model->taken += cell->forgotten[i];
    }
    if (result != TN__LOG_PAGE_MORE && result != TN__LOG_PAGE_COUNTED) {
        assert_true(result == TN__LOG_PAGE_STALE || ahead);
        return;
    }
    assert_int_equal(counted, last);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t at = entries[i].slot;
        if (at > cell->committed && !model->is_proposed[at] &&
            entries[i].ballot.token > model->token_best[at]) {
            model->token_best[at] = entries[i].ballot.token;
            model->digest[at] = entries[i].value.digest;
        }
    }
    for (uint64_t at = 1; last && at < SLOTS; at++) {
        if (cell->proposer.seen[member] == at && at > model->reported) {
            model->reported = at;
        }
    }
}

static void history_propose(struct cell *cell, struct model *model)
{
    enum tn__log_next verdict = next(cell);
    uint64_t slot = cell->proposer.next;
    bool majority = __builtin_popcount(cell->proposer.promised & 7U) >= 2;
    assert_int_equal(verdict == TN__LOG_NEXT_NOT_LEADING, !majority);
    if (!majority) {
        return;
    }
    assert_int_equal(slot, model->next);
    assert_int_equal(verdict == TN__LOG_NEXT_WINDOW, slot > cell->committed + 4);
    if (verdict == TN__LOG_NEXT_FREE) {
        assert_true(slot > model->reported && model->digest[slot] == 0);
        struct tn_log_value value = payload((uint32_t)(9000 + slot));
        value.handle = 0; /* not of the history's account */
        model->digest[slot] = propose(cell, &value)->digest;
    } else if (verdict == TN__LOG_NEXT_REPORTED) {
        assert_true(slot <= model->reported || model->digest[slot] != 0);
        const struct tn_log_value *value = propose(cell, NULL);
        assert_int_equal(value->digest, model->digest[slot]);
        assert_int_equal(value->kind == TN_LOG_VALUE_NOOP, model->digest[slot] == 0);
        model->taken += value->handle;
    } else {
        return;
    }
    model->is_proposed[slot] = true;
    model->next = slot + 1;
}

static void history_votes(struct cell *cell, struct model *model, uint64_t *seed)
{
    uint32_t member = (uint32_t)tn__random_below(seed, 4);
    uint64_t slot = cell->committed + tn__random_below(seed, 5);
    uint64_t end = slot + tn__random_below(seed, 4);
    vote(cell, member, 9, slot, end);
    for (uint64_t at = slot; at < end; at++) {
        model->votes[at] |=
            model->is_proposed[at] && cell->proposer.phase == TN__LOG_LEADING ? 1U << member : 0;
    }
    for (uint64_t at = cell->committed + 1; at < cell->committed + 5; at++) {
        assert_int_equal(chosen(cell, at), __builtin_popcount(model->votes[at] & 7U) >= 2);
    }
    if (chosen(cell, cell->committed + 1)) {
        commit(cell);
    }
}

static void run_history(uint64_t seed)
{
    struct cell cell = fresh(7, 4, 0);
    struct model model = {.next = 1};
    begin(&cell, 9);
    for (uint32_t step = 0; step < 300 && cell.committed + 2 * CAPACITY < SLOTS; step++) {
        switch (tn__random_below(&seed, 4)) {
        case 0:
            history_page(&cell, &model, (uint32_t)tn__random_below(&seed, 4), &seed);
            break;
        case 1:
            history_votes(&cell, &model, &seed);
            break;
        default:
            history_propose(&cell, &model);
        }
    }
    uint32_t count = tn__log_proposer_stop(&cell.proposer, cell.proposals, cell.forgotten);
    for (uint32_t i = 0; i < count; i++) {
        model.taken += cell.forgotten[i];
    }
    check(&cell);
    assert_int_equal(model.taken, model.given); /* every reference is somebody's */
}

static void N2_random_histories_propose_what_the_model_proposes(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 1000; seed++) {
        run_history(seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(V1_a_majority_of_members_leads_and_a_repeated_promise_is_one),
        cmocka_unit_test(V1_a_promise_of_another_ballot_or_of_no_attempt_is_stale),
        cmocka_unit_test(V1_a_promise_counts_when_its_last_page_is_in_and_pages_come_in_order),
        cmocka_unit_test(V1_ignore_is_never_a_promise_who_is_ahead_is_asked_again),
        cmocka_unit_test(V1_a_page_that_no_acceptor_could_send_is_refused),
        cmocka_unit_test(V1_collect_fills_the_leaders_gaps_before_it_counts_a_peer),
        cmocka_unit_test(N2_the_value_of_the_highest_ballot_is_proposed_whoever_reports_last),
        cmocka_unit_test(N2_a_hole_below_the_highest_reported_slot_becomes_a_no_op),
        cmocka_unit_test(N2_what_an_uncounted_page_reported_is_proposed_too),
        cmocka_unit_test(N2_no_more_than_alpha_slots_are_in_flight),
        cmocka_unit_test(N2_prepare_is_repeated_to_a_new_configuration),
        cmocka_unit_test(N2_a_slot_is_chosen_by_members_and_not_by_messages),
        cmocka_unit_test(V2_a_value_is_fixed_under_its_ballot),
        cmocka_unit_test(a_stopped_proposer_gives_back_what_it_merged_and_not_what_it_proposed),
        cmocka_unit_test(
            a_majority_that_was_counted_leads_when_catch_up_comes_to_its_configuration),
        cmocka_unit_test(N2_random_histories_propose_what_the_model_proposes),
    };
    return cmocka_run_group_tests_name("log_proposer", tests, NULL, NULL);
}
