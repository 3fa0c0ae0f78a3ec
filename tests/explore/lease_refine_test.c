/* The real cells refine the small model: each of their steps is none, one or more of its steps,
 * over whole graphs. The small model (tests/model/lease_model.c) gives the published numbers of
 * states, so this ties the code to the published specification. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "check/explore_lease.h"
#include "check/explore_lease_state.h"
#include "model/lease_refine.h"

#define GIB (1ULL << 30)

struct refinement {
    struct tn__explore_lease lease; /* first: the model's functions take this for their context */
    struct tn__refine *refine;
    struct tn__refine_state before;
    bool failed;
};

/* ---- A state of the cells in neutral terms
 * ---------------------------------------------------------- */

static uint8_t votes_for(const struct refinement *refinement,
                         const struct tn__explore_cluster *cluster, uint32_t proposer,
                         uint32_t vote)
{
    uint8_t set = 0;
    for (uint32_t i = 0; i < refinement->lease.config->acceptors; i++) {
        if ((cluster->acceptors[i].votes >> (4 * proposer) & vote) != 0) {
            set |= (uint8_t)(1U << i);
        }
    }
    return set;
}

static struct tn__refine_proposer neutral_proposer(const struct refinement *refinement,
                                                   const struct tn__explore_cluster *cluster,
                                                   uint32_t i)
{
    const struct tn__explore_proposer *packed = &cluster->proposers[i];
    struct tn__refine_proposer proposer = {.down = packed->down != 0,
                                           .incarnation = packed->incarnation,
                                           .last = packed->floor,
                                           .phase = packed->phase,
                                           .pending = packed->attempt_deadline};
    if (packed->phase == TN__LEASE_PREPARING) {
        proposer.open = votes_for(refinement, cluster, i, TN_EXPLORE_VOTE_OPEN);
    } else if (packed->phase == TN__LEASE_ACCEPTING) {
        proposer.accepted = votes_for(refinement, cluster, i, TN_EXPLORE_VOTE_ACCEPTED);
    }
    if (packed->lease_deadline > cluster->now) {
        proposer.active = packed->active;
        proposer.deadline = packed->lease_deadline;
    }
    return proposer;
}

static struct tn__refine_acceptor neutral_acceptor(const struct tn__explore_cluster *cluster,
                                                   uint32_t i)
{
    const struct tn__explore_acceptor *packed = &cluster->acceptors[i];
    struct tn__refine_acceptor acceptor = {.down = packed->quarantine == TN_EXPLORE_DOWN,
                                           .promised = packed->promised / 2};
    if (!acceptor.down && packed->quarantine > cluster->now) {
        acceptor.quarantine = packed->quarantine;
    }
    if (packed->deadline > cluster->now) {
        uint8_t owner = cluster->owner[packed->accepted - 1];
        acceptor.ballot = packed->accepted;
        acceptor.owner = (uint8_t)tn__explore_owner_proposer(owner);
        acceptor.incarnation = (uint8_t)tn__explore_owner_incarnation(owner);
        acceptor.deadline = packed->deadline;
    }
    return acceptor;
}

static struct tn__refine_message neutral_message(const struct refinement *refinement,
                                                 const struct tn__explore_cluster *cluster,
                                                 uint32_t acceptor, uint32_t position)
{
    static const uint8_t kinds[TN_EXPLORE_MESSAGES_END] = {
        [TN_EXPLORE_PREPARE] = TN_REFINE_PREPARE,
        [TN_EXPLORE_ACCEPT] = TN_REFINE_ACCEPT,
        [TN_EXPLORE_RELEASED] = TN_REFINE_RELEASE,
        [TN_EXPLORE_PROMISE] = TN_REFINE_PROMISE,
        [TN_EXPLORE_PROMISE_BASE] = TN_REFINE_PROMISE,
        [TN_EXPLORE_PROMISE_OTHER] = TN_REFINE_PROMISE,
        [TN_EXPLORE_ACCEPTED] = TN_REFINE_ACCEPTED,
    };
    uint32_t ballot = 0;
    enum tn__explore_message kind =
        tn__explore_message_at(&refinement->lease, cluster, position, &ballot);
    uint8_t owner = cluster->owner[ballot - 1];
    uint32_t proposer = tn__explore_owner_proposer(owner);
    struct tn__refine_message message = {
        .kind = kinds[kind],
        .proposer = (uint8_t)proposer,
        .acceptor = (uint8_t)acceptor,
        .ballot = (uint8_t)ballot,
        .incarnation = (uint8_t)tn__explore_owner_incarnation(owner),
    };
    if (kind == TN_EXPLORE_PROMISE_BASE) {
        message.reported = cluster->proposers[proposer].base;
    } else if (kind == TN_EXPLORE_PROMISE_OTHER) {
        message.reported = TN_REFINE_OTHER_BALLOT;
    }
    return message;
}

static struct tn__refine_state neutral(const struct refinement *refinement, const void *state)
{
    struct tn__explore_cluster cluster = {0};
    struct tn__refine_state result = {0};
    memcpy(&cluster, state, refinement->lease.model.state_bytes);
    result.now = cluster.now;
    result.used = (uint8_t)(cluster.used << 1); /* a bit at each number */
    for (uint32_t i = 0; i < refinement->lease.config->proposers; i++) {
        result.proposers[i] = neutral_proposer(refinement, &cluster, i);
    }
    for (uint32_t i = 0; i < refinement->lease.config->acceptors; i++) {
        result.acceptors[i] = neutral_acceptor(&cluster, i);
        uint64_t rest = cluster.acceptors[i].messages;
        for (; rest != 0 && result.messages_count < TN_REFINE_MESSAGES; rest &= rest - 1) {
            result.messages[result.messages_count++] =
                neutral_message(refinement, &cluster, i, (uint32_t)__builtin_ctzll(rest));
        }
        assert_int_equal(rest, 0);
    }
    return result;
}

/* ---- Each step
 * --------------------------------------------------------------------------------------- */

static void judge_step(void *sink, const void *successor, uint32_t event)
{
    struct refinement *refinement = sink;
    if (refinement->failed) {
        return;
    }
    struct tn__refine_state after = neutral(refinement, successor);
    if (!tn__refine_step(refinement->refine, &refinement->before, &after)) {
        char words[256];
        struct tn__text text;
        tn__text_init(&text, words, sizeof(words));
        tn__explore_lease_print_event(refinement, event, &text);
        print_message("no step of the small model does: %s\n", words);
        refinement->failed = true;
    }
}

static const char *judge_state(void *context, const void *state)
{
    struct refinement *refinement = context;
    refinement->before = neutral(refinement, state);
    tn__explore_lease_successors(context, state, judge_step, refinement);
    return refinement->failed ? "refinement" : NULL;
}

static bool refines(const char *row, const char *of, uint64_t states_max)
{
    static struct refinement refinement;
    struct tn__explore_lease_config config;
    struct tn__explore_options options = {.memory_bytes_max = 2 * GIB, .states_max = states_max};
    struct tn__explore_result result;
    assert_true(tn__explore_lease_config_find(row, &config));
    memset(&refinement, 0, sizeof(refinement));
    tn__explore_lease_init(&refinement.lease, &config, false);
    refinement.lease.model.context = &refinement;
    refinement.lease.model.check = judge_state;
    refinement.refine = tn__refine_open(of);
    assert_non_null(refinement.refine);
    tn__explore(&refinement.lease.model, &options, &result);
    bool refined = result.verdict != TN_EXPLORE_VIOLATION;
    if (!refined) {
        static char bytes[1 << 16];
        struct tn__text text;
        tn__text_init(&text, bytes, sizeof(bytes));
        tn__explore_trace_print(&refinement.lease.model, &result.trace, true, &text);
        puts(bytes);
    }
    assert_true(!refined || result.states_count > 1000);
    tn__refine_close(refinement.refine);
    tn__explore_result_free(&result);
    return refined;
}

static void the_cells_refine_the_small_model_of_a_race(void **state)
{
    (void)state;
    assert_true(refines("base", "base", 0));
}

static void the_cells_refine_the_small_model_of_crashes(void **state)
{
    (void)state;
    assert_true(refines("drift", "drift", 0));
    assert_true(refines("crash-restart", "crash-restart", 150000));
}

static void the_cells_do_not_refine_a_model_with_shorter_leases(void **state)
{
    (void)state;
    assert_false(refines("crash-restart", "quarantine-1-2-1", 150000));
}

static void the_cells_and_the_small_model_agree_on_every_quick_row(void **state)
{
    static const char *const rows[] = {
        "base",
        "renew-release",
        "crash-restart",
        "drift",
        "release-race",
        "renew-release-retry",
        "incarnation-directed",
        "redeliver",
        "quarantine-below-2-3-1",
        "quarantine-below-1-2-0",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct tn__explore_lease_config config;
        struct tn__explore_lease lease;
        struct tn__explore_options options = {.memory_bytes_max = 2 * GIB};
        struct tn__explore_result result;
        assert_true(tn__explore_lease_config_find(rows[i], &config));
        tn__explore_lease_init(&lease, &config, true);
        tn__explore(&lease.model, &options, &result);
        assert_int_equal(result.verdict, tn__refine_verdict(rows[i]));
        tn__explore_result_free(&result);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_cells_refine_the_small_model_of_a_race),
        cmocka_unit_test(the_cells_refine_the_small_model_of_crashes),
        cmocka_unit_test(the_cells_do_not_refine_a_model_with_shorter_leases),
        cmocka_unit_test(the_cells_and_the_small_model_agree_on_every_quick_row),
    };
    return cmocka_run_group_tests_name("lease_refine", tests, NULL, NULL);
}
