/* The exploration of the real lease cells: what must hold in the quick configurations, and that the
 * explorer itself may be believed (docs/exploration.md): reductions that lose nothing, verdicts
 * that depend on neither seed nor threads, invariants that can fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "check/explore_lease.h"
#include "check/explore_lease_step.h"
#include "check/explore_mutants.h"

#define GIB (1ULL << 30)

static struct tn__explore_result explore(struct tn__explore_lease *lease,
                                         const struct tn__explore_options *options)
{
    struct tn__explore_result result;
    tn__explore(&lease->model, options, &result);
    return result;
}

static void open_config(struct tn__explore_lease *lease, const char *name, bool reduced)
{
    struct tn__explore_lease_config config;
    assert_true(tn__explore_lease_config_find(name, &config));
    tn__explore_lease_init(lease, &config, reduced);
}

static struct tn__explore_result explore_config(const char *name, bool reduced)
{
    struct tn__explore_lease lease;
    struct tn__explore_options options = {.memory_bytes_max = 2 * GIB};
    open_config(&lease, name, reduced);
    return explore(&lease, &options);
}

/* ---- What must hold
 * -------------------------------------------------------------------------------- */

static void every_quick_configuration_has_the_verdict_it_must_have(void **state)
{
    struct tn__explore_lease_config config;
    uint32_t explored = 0;
    (void)state;
    for (uint32_t i = 0; tn__explore_lease_config_at(i, &config); i++) {
        if (config.setting || config.seconds > 1) {
            continue;
        }
        struct tn__explore_result result = explore_config(config.name, true);
        print_message("%-28s %s, %llu states\n", config.name,
                      tn__explore_verdict_name(result.verdict),
                      (unsigned long long)result.states_count);
        assert_int_equal(result.verdict,
                         config.violates ? TN_EXPLORE_VIOLATION : TN_EXPLORE_EXHAUSTED);
        tn__explore_result_free(&result);
        explored++;
    }
    assert_true(explored >= 12);
}

static void A4_T3_one_tick_less_of_quarantine_gives_two_owners_by_a_shortest_trace(void **state)
{
    /* The published lengths are 26 and 25; sending Accept with the promise that completes the
     * quorum saves a step in each of the two attempts. */
    static const struct {
        const char *name;
        uint32_t states;
    } rows[] = {{"quarantine-below-2-3-1", 24}, {"quarantine-below-1-2-0", 23}};
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct tn__explore_lease lease;
        struct tn__explore_options options = {.memory_bytes_max = 2 * GIB};
        open_config(&lease, rows[i].name, true);
        lease.invariant = "inv.L1";
        struct tn__explore_result result = explore(&lease, &options);
        assert_int_equal(result.verdict, TN_EXPLORE_VIOLATION);
        assert_int_equal(result.trace.states_count, rows[i].states);
        assert_true(result.trace.concrete);
        /* The run is one of the model as it is, without canonical forms. */
        struct tn__explore_lease plain;
        open_config(&plain, rows[i].name, false);
        plain.invariant = "inv.L1";
        assert_true(tn__explore_trace_replay(&plain.model, &result.trace, "inv.L1"));
        tn__explore_result_free(&result);
    }
}

/* ---- That reductions lose nothing
 * -------------------------------------------------------------------- */

static void expect_orbit_sum_of(const struct tn__explore_lease_config *config)
{
    struct tn__explore_lease lease;
    struct tn__explore_options options = {.memory_bytes_max = 4 * GIB};
    tn__explore_lease_init(&lease, config, false);
    struct tn__explore_result plain = explore(&lease, &options);
    tn__explore_lease_init(&lease, config, false);
    lease.symmetry = true;
    lease.model.canonicalise = tn__explore_lease_canonicalise;
    lease.model.weight = tn__explore_lease_weight;
    struct tn__explore_result symmetric = explore(&lease, &options);
    assert_int_equal(plain.verdict, TN_EXPLORE_EXHAUSTED);
    assert_true(symmetric.states_count < plain.states_count);
    assert_int_equal(symmetric.weight_sum, plain.states_count);
    tn__explore_result_free(&plain);
    tn__explore_result_free(&symmetric);
}

static void expect_orbit_sum(const char *name)
{
    struct tn__explore_lease_config config;
    assert_true(tn__explore_lease_config_find(name, &config));
    expect_orbit_sum_of(&config);
}

static void F3_symmetry_exchanges_only_members_of_the_same_versions(void **state)
{
    struct tn__explore_lease_config config;
    struct tn__explore_lease lease;
    (void)state;
    assert_true(tn__explore_lease_config_find("reconfiguration-jump", &config));
    config.ballots = 1; /* so that it is exhausted without symmetry, too */
    config.horizon = 1;
    expect_orbit_sum_of(&config);
    tn__explore_lease_init(&lease, &config, true);
    assert_int_equal(lease.alike, 1U << 1 | 1U << 4); /* 1 and 2, 3 alone, 4 and 5 */
}

static void symmetry_orbits_add_up_to_the_states_without_symmetry(void **state)
{
    static const char *const rows[] = {"base", "renew-release", "drift", "release-late"};
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        expect_orbit_sum(rows[i]);
    }
}

static void symmetry_orbits_add_up_in_larger_configurations(void **state)
{
    static const char *const rows[] = {"redeliver", "polite-base", "release-race"};
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        expect_orbit_sum(rows[i]);
    }
}

/* The unreduced model, and beside it the one that makes normal forms. */
struct congruence {
    struct tn__explore_lease plain; /* first: its functions take this for their context */
    struct tn__explore_lease normal;
    const char *(*judge)(void *context, const void *state);
};

/* The normal forms of what a state's future may begin with, less that of the state itself: those of
 * its successors, and of the successors of the states that a timer leads to which changes nothing
 * (the end of a lease or an attempt that is over). */
#define FORMS_MAX 512
#define QUIET_MAX 64
struct forms {
    struct congruence *congruence;
    const struct tn__explore_cluster *own;
    struct tn__explore_cluster list[FORMS_MAX];
    uint32_t count;
    struct tn__explore_cluster quiet[QUIET_MAX]; /* states yet to be expanded, too */
    uint32_t quiet_count;
};

static bool is_listed(const struct tn__explore_cluster *list, uint32_t count,
                      const struct tn__explore_cluster *form)
{
    for (uint32_t i = 0; i < count; i++) {
        if (memcmp(form, &list[i], sizeof(*form)) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_timer(uint32_t event)
{
    uint32_t kind = event & 0xffU;
    return kind == TN_EXPLORE_EVENT_EXPIRE_PROPOSER || kind == TN_EXPLORE_EVENT_EXPIRE_ACCEPTOR ||
           kind == TN_EXPLORE_EVENT_ABANDON;
}

static void take_form(void *sink, const void *successor, uint32_t event)
{
    struct forms *forms = sink;
    uint32_t bytes = forms->congruence->plain.model.state_bytes;
    struct tn__explore_cluster next = {0};
    memcpy(&next, successor, bytes);
    struct tn__explore_cluster form = next;
    tn__explore_lease_canonicalise(&forms->congruence->normal, &form);
    bool same = memcmp(&form, forms->own, sizeof(form)) == 0;
    if (same && is_timer(event) && !is_listed(forms->quiet, forms->quiet_count, &next)) {
        assert_true(forms->quiet_count < QUIET_MAX);
        forms->quiet[forms->quiet_count++] = next;
    }
    if (!same && !is_listed(forms->list, forms->count, &form)) {
        assert_true(forms->count < FORMS_MAX);
        forms->list[forms->count++] = form;
    }
}

static void collect_forms(struct forms *forms, struct congruence *congruence, const void *state,
                          const struct tn__explore_cluster *own)
{
    forms->congruence = congruence;
    forms->own = own;
    forms->count = 0;
    forms->quiet_count = 0;
    tn__explore_lease_successors(&congruence->plain, state, take_form, forms);
    for (uint32_t i = 0; i < forms->quiet_count; i++) {
        struct tn__explore_cluster quiet = forms->quiet[i];
        tn__explore_lease_successors(&congruence->plain, &quiet, take_form, forms);
    }
}

static const char *judge_congruence(void *context, const void *state)
{
    static struct forms of_state;
    static struct forms of_form;
    struct congruence *congruence = context;
    struct tn__explore_cluster form = {0};
    memcpy(&form, state, congruence->plain.model.state_bytes);
    tn__explore_lease_canonicalise(&congruence->normal, &form);
    collect_forms(&of_state, congruence, state, &form);
    collect_forms(&of_form, congruence, &form, &form);
    if (of_state.count != of_form.count) {
        return "congruence: not as many successors";
    }
    for (uint32_t i = 0; i < of_state.count; i++) {
        if (!is_listed(of_form.list, of_form.count, &of_state.list[i])) {
            return "congruence: other successors";
        }
    }
    bool broken = tn__explore_lease_check(&congruence->plain, state) != NULL;
    bool form_broken = tn__explore_lease_check(&congruence->plain, &form) != NULL;
    return broken == form_broken ? NULL : "congruence: another verdict";
}

static void print_run(const struct congruence *congruence, const struct tn__explore_result *result)
{
    static char bytes[1 << 16];
    struct tn__text text;
    tn__text_init(&text, bytes, sizeof(bytes));
    tn__explore_trace_print(&congruence->plain.model, &result->trace, true, &text);
    puts(result->violated);
    puts(bytes);
}

/* Every state does what its normal form does, up to normal forms: over whole graphs, or their first
 * so many states. `--long` goes further, in more configurations. */
static const char *const congruence_rows[] = {
    "renew-release",
    "drift",
    "base",
    "release-late",
    "polite-base",
    "renew-release-retry",
    "incarnation-directed",
    "fenced-writes-fail",
    "reconfiguration-jump",
};
static const char *const congruence_long_rows[] = {
    "crash-restart",
    "renew-retry",
    "polite-release",
    "fenced-2",
    "dropped-name",
    "rates-1-3",
    "redeliver",
    "renew-crash-directed",
    "reconfiguration-crash",
    "reconfiguration-renew",
    "reconfiguration",
};

static void expect_congruence(const char *name, uint64_t states_max)
{
    struct congruence congruence;
    struct tn__explore_options options = {.memory_bytes_max = 2 * GIB, .states_max = states_max};
    open_config(&congruence.plain, name, false);
    open_config(&congruence.normal, name, true);
    congruence.plain.model.check = judge_congruence;
    congruence.plain.model.context = &congruence;
    struct tn__explore_result result = explore(&congruence.plain, &options);
    if (result.verdict == TN_EXPLORE_VIOLATION) {
        print_run(&congruence, &result);
    }
    assert_int_not_equal(result.verdict, TN_EXPLORE_VIOLATION);
    assert_true(result.states_count > 1000);
    tn__explore_result_free(&result);
}

static void normal_forms_have_the_futures_of_their_states(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(congruence_rows) / sizeof(congruence_rows[0]); i++) {
        expect_congruence(congruence_rows[i], 60000);
    }
}

static void normal_forms_have_the_futures_of_their_states_further_on(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(congruence_rows) / sizeof(congruence_rows[0]); i++) {
        bool whole = strcmp(congruence_rows[i], "reconfiguration-jump") != 0;
        expect_congruence(congruence_rows[i], whole ? 0 : 400000);
    }
    for (size_t i = 0; i < sizeof(congruence_long_rows) / sizeof(congruence_long_rows[0]); i++) {
        expect_congruence(congruence_long_rows[i], 400000);
    }
}

static void expect_same_verdict(const char *name)
{
    struct tn__explore_result reduced = explore_config(name, true);
    struct tn__explore_result plain = explore_config(name, false);
    assert_int_equal(reduced.verdict, plain.verdict);
    assert_true(reduced.states_count <= plain.states_count);
    if (plain.verdict == TN_EXPLORE_VIOLATION) {
        assert_string_equal(reduced.violated, plain.violated);
        assert_int_equal(reduced.trace.states_count, plain.trace.states_count);
    }
    tn__explore_result_free(&reduced);
    tn__explore_result_free(&plain);
}

static void verdicts_are_the_same_with_and_without_reductions(void **state)
{
    static const char *const rows[] = {"base", "renew-release", "drift", "stale-clock",
                                       "release-late"};
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        expect_same_verdict(rows[i]);
    }
}

static void verdicts_are_the_same_in_larger_configurations(void **state)
{
    static const char *const rows[] = {"quarantine-below-1-2-0", "rates-1-3-acceptor",
                                       "renew-release-retry", "redeliver"};
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        expect_same_verdict(rows[i]);
    }
}

/* ---- That nothing else matters
 * ------------------------------------------------------------------------ */

static void counts_depend_on_neither_seed_nor_threads(void **state)
{
    struct tn__explore_lease lease;
    uint64_t states = 0;
    uint64_t transitions = 0;
    (void)state;
    for (uint32_t i = 0; i < 4; i++) {
        struct tn__explore_options options = {.memory_bytes_max = 2 * GIB,
                                              .threads_count = 1 + i % 2,
                                              .hash_seed = i / 2 * 0x9e3779b97f4a7c15ULL};
        open_config(&lease, "redeliver", true);
        struct tn__explore_result result = explore(&lease, &options);
        assert_int_equal(result.verdict, TN_EXPLORE_EXHAUSTED);
        assert_true(i == 0 || result.states_count == states);
        assert_true(i == 0 || result.transitions_count == transitions);
        states = result.states_count;
        transitions = result.transitions_count;
        tn__explore_result_free(&result);
    }
}

/* ---- That invariants can fail
 * --------------------------------------------------------------------------- */

static struct tn__explore_cluster two_owners(void)
{
    struct tn__explore_cluster cluster = {.used = 3, .owner = {1, 2}};
    for (uint32_t i = 0; i < 2; i++) {
        cluster.proposers[i] = (struct tn__explore_proposer){
            .active = (uint8_t)(i + 1), .lease_deadline = 2, .floor = (uint8_t)(i + 1)};
    }
    return cluster;
}

static void inv_L1_fails_with_two_owners_and_not_with_one(void **state)
{
    struct tn__explore_lease lease;
    struct tn__explore_cluster cluster = two_owners();
    (void)state;
    open_config(&lease, "base", true);
    assert_string_equal(tn__explore_lease_check(&lease, &cluster), "inv.L1");
    cluster.proposers[1].lease_deadline = 0;
    cluster.proposers[1].active = 0;
    lease.invariant = "inv.L1";
    assert_null(tn__explore_lease_check(&lease, &cluster));
}

static void inv_L4_fails_without_a_quorum_that_excludes_long_enough(void **state)
{
    struct tn__explore_lease lease;
    struct tn__explore_cluster cluster = two_owners();
    (void)state;
    open_config(&lease, "base", true);
    cluster.proposers[1] = (struct tn__explore_proposer){0};
    for (uint32_t i = 0; i < 2; i++) {
        cluster.acceptors[i] =
            (struct tn__explore_acceptor){.promised = 2, .accepted = 1, .deadline = 2};
    }
    assert_null(tn__explore_lease_check(&lease, &cluster));
    cluster.acceptors[1].deadline = 1; /* ends before the owner stops */
    assert_string_equal(tn__explore_lease_check(&lease, &cluster), "inv.L4");
    cluster.acceptors[1] = (struct tn__explore_acceptor){.quarantine = 2};
    assert_null(tn__explore_lease_check(&lease, &cluster));
    cluster.acceptors[1].quarantine = 1; /* speaks before the owner stops */
    assert_string_equal(tn__explore_lease_check(&lease, &cluster), "inv.L4");
}

static void inv_L5_fails_when_an_acceptor_in_quarantine_holds_a_lease(void **state)
{
    struct tn__explore_lease lease;
    struct tn__explore_cluster cluster = {.used = 1, .owner = {1}};
    (void)state;
    open_config(&lease, "crash-restart", true);
    cluster.acceptors[0] =
        (struct tn__explore_acceptor){.promised = 2, .accepted = 1, .deadline = 2, .quarantine = 2};
    assert_string_equal(tn__explore_lease_check(&lease, &cluster), "inv.L5");
    cluster.now = 2;
    assert_null(tn__explore_lease_check(&lease, &cluster));
}

static void each_flaw_of_a_step_has_a_name_of_its_own(void **state)
{
    struct tn__explore_lease lease;
    const char *names[TN_EXPLORE_FLAWS_END] = {NULL};
    (void)state;
    open_config(&lease, "base", true);
    for (uint8_t flaw = 1; flaw < TN_EXPLORE_FLAWS_END; flaw++) {
        struct tn__explore_cluster cluster = {.flaw = flaw};
        names[flaw] = tn__explore_lease_check(&lease, &cluster);
        assert_non_null(names[flaw]);
        for (uint8_t other = 1; other < flaw; other++) {
            assert_string_not_equal(names[flaw], names[other]);
        }
    }
}

/* ---- That everything happens
 * ---------------------------------------------------------------------------- */

static void note_kind(void *sink, const void *successor, uint32_t event)
{
    uint64_t *kinds = sink;
    (void)successor;
    *kinds |= 1ULL << (event & 0xffU);
}

static uint64_t kinds_seen;

static const char *note_kinds(void *context, const void *state)
{
    tn__explore_lease_successors(context, state, note_kind, &kinds_seen);
    return NULL;
}

static void every_kind_of_event_happens_in_some_configuration(void **state)
{
    static const char *const rows[] = {
        "drift",        "release-late", "renew-release-retry",  "fenced-writes-fail",
        "dropped-name", "endless-2",    "reconfiguration-renew"};
    (void)state;
    kinds_seen = 1ULL << TN_EXPLORE_EVENT_INITIAL;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct tn__explore_lease lease;
        struct tn__explore_options options = {.memory_bytes_max = 2 * GIB, .states_max = 30000};
        open_config(&lease, rows[i], i > 2);
        lease.model.check = note_kinds;
        struct tn__explore_result result = explore(&lease, &options);
        tn__explore_result_free(&result);
    }
    assert_int_equal(kinds_seen, (1ULL << TN_EXPLORE_EVENTS_END) - 1);
}

/* Versions whose leases are acted on: alone, and while a majority has gone on to a later version.
 */
static uint32_t owned_versions;
static uint32_t outlived_versions;

static const char *note_owners(void *context, const void *state)
{
    const struct tn__explore_lease *lease = context;
    struct tn__explore_cluster cluster = {0};
    memcpy(&cluster, state, lease->model.state_bytes);
    for (uint32_t i = 0; i < lease->config->proposers; i++) {
        const struct tn__explore_proposer *owner = &cluster.proposers[i];
        if (owner->lease_deadline > cluster.now) {
            uint32_t version = tn__explore_ballot_version(&cluster, owner->active);
            owned_versions |= 1U << version;
            if (version < lease->config->versions_count &&
                tn__explore_is_open(lease, &cluster, version + 1)) {
                outlived_versions |= 1U << version;
            }
        }
    }
    return NULL;
}

static void F3_there_are_owners_in_every_version_and_across_every_change(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        struct tn__explore_lease lease;
        struct tn__explore_options options = {.memory_bytes_max = 2 * GIB};
        owned_versions = 0;
        outlived_versions = 0;
        open_config(&lease, i == 0 ? "reconfiguration-renew" : "reconfiguration-jump", true);
        if (i == 1) {
            lease.config_copy.ballots = 1; /* a small part of it shows that much */
        }
        lease.model.check = note_owners;
        struct tn__explore_result result = explore(&lease, &options);
        assert_int_equal(result.verdict, TN_EXPLORE_EXHAUSTED);
        assert_int_equal(owned_versions, i == 0 ? 0xeU : 0x6U);
        assert_int_equal(outlived_versions, i == 0 ? 0x6U : 0x2U);
        tn__explore_result_free(&result);
    }
}

static void rule_F3_fails_when_a_version_that_was_left_is_answered_for(void **state)
{
    struct tn__explore_lease lease;
    (void)state;
    open_config(&lease, "reconfiguration", true);
    for (uint32_t i = 0; i < 4; i++) {
        struct tn__explore_cluster cluster = {.versions = 1};
        struct tn__configuration cell = {.version = 1 + i / 2, .left = i % 2};
        tn__explore_configuration_pack(&cluster, 0, &cell);
        tn__explore_note_version(&lease, &cluster, 0, 1);
        const char *broken = tn__explore_lease_check(&lease, &cluster);
        assert_true(i == 0 ? broken == NULL : strcmp(broken, "rule F3") == 0);
    }
}

static void every_mutant_that_is_listed_is_a_patch_that_says_what_it_weakens(void **state)
{
    (void)state;
    assert_true(tn__explore_mutants_count >= 25);
    for (uint32_t i = 0; i < tn__explore_mutants_count; i++) {
        char path[4096];
        char line[256];
        snprintf(path, sizeof(path), TN_SOURCE_DIR "/tests/explore/mutants/%s.patch",
                 tn__explore_mutants[i]);
        FILE *file = fopen(path, "r");
        assert_non_null(file);
        assert_non_null(fgets(line, sizeof(line), file));
        fclose(file);
        assert_memory_equal(line, "# rule: ", 8);
        assert_true(i == 0 || strcmp(tn__explore_mutants[i - 1], tn__explore_mutants[i]) < 0);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--long") == 0) {
        const struct CMUnitTest long_tests[] = {
            cmocka_unit_test(symmetry_orbits_add_up_in_larger_configurations),
            cmocka_unit_test(verdicts_are_the_same_in_larger_configurations),
            cmocka_unit_test(normal_forms_have_the_futures_of_their_states_further_on),
        };
        return cmocka_run_group_tests_name("explore_lease_long", long_tests, NULL, NULL);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_quick_configuration_has_the_verdict_it_must_have),
        cmocka_unit_test(A4_T3_one_tick_less_of_quarantine_gives_two_owners_by_a_shortest_trace),
        cmocka_unit_test(symmetry_orbits_add_up_to_the_states_without_symmetry),
        cmocka_unit_test(normal_forms_have_the_futures_of_their_states),
        cmocka_unit_test(verdicts_are_the_same_with_and_without_reductions),
        cmocka_unit_test(counts_depend_on_neither_seed_nor_threads),
        cmocka_unit_test(F3_symmetry_exchanges_only_members_of_the_same_versions),
        cmocka_unit_test(F3_there_are_owners_in_every_version_and_across_every_change),
        cmocka_unit_test(rule_F3_fails_when_a_version_that_was_left_is_answered_for),
        cmocka_unit_test(inv_L1_fails_with_two_owners_and_not_with_one),
        cmocka_unit_test(inv_L4_fails_without_a_quorum_that_excludes_long_enough),
        cmocka_unit_test(inv_L5_fails_when_an_acceptor_in_quarantine_holds_a_lease),
        cmocka_unit_test(each_flaw_of_a_step_has_a_name_of_its_own),
        cmocka_unit_test(every_kind_of_event_happens_in_some_configuration),
        cmocka_unit_test(every_mutant_that_is_listed_is_a_patch_that_says_what_it_weakens),
    };
    return cmocka_run_group_tests_name("explore_lease", tests, NULL, NULL);
}
