/* The exploration of the real cells of the log: what must hold in the quick configurations, and
 * that the explorer itself may be believed (docs/exploration.md): reductions that lose nothing,
 * verdicts that depend on neither seed nor threads, invariants that can fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "check/explore_log.h"
#include "check/explore_log_state.h"
#include "check/log_rows.h"

#define GIB (1ULL << 30)

static void open_config(struct tn__explore_log *log, const char *name, bool reduced)
{
    struct tn__explore_log_config config;
    assert_true(tn__explore_log_config_find(name, &config));
    tn__explore_log_init(log, &config, reduced);
}

static struct tn__explore_result explore(struct tn__explore_log *log,
                                         const struct tn__explore_options *options)
{
    struct tn__explore_result result;
    tn__explore(&log->model, options, &result);
    return result;
}

static struct tn__explore_result explore_config(const char *name, bool reduced)
{
    struct tn__explore_log log;
    struct tn__explore_options options = {.memory_bytes_max = 2 * GIB};
    open_config(&log, name, reduced);
    return explore(&log, &options);
}

/* ---- What must hold -------------------------------------------------------------------------- */

static void every_quick_configuration_exhausts(void **state)
{
    struct tn__explore_log_config config;
    uint32_t explored = 0;
    (void)state;
    for (uint32_t i = 0; tn__explore_log_config_at(i, &config); i++) {
        if (config.setting || config.seconds > 1) {
            continue;
        }
        struct tn__explore_result result = explore_config(config.name, true);
        print_message("%-28s %s, %llu states\n", config.name,
                      tn__explore_verdict_name(result.verdict),
                      (unsigned long long)result.states_count);
        assert_int_equal(result.verdict, TN_EXPLORE_EXHAUSTED);
        tn__explore_result_free(&result);
        explored++;
    }
    assert_true(explored >= 8);
}

static void rows_have_names_of_their_own_and_ballots_in_the_order_of_the_rules(void **state)
{
    struct tn__explore_log_config config, other;
    (void)state;
    for (uint32_t i = 0; tn__explore_log_config_at(i, &config); i++) {
        struct tn__explore_log log;
        assert_memory_equal(config.name, "log-", 4);
        for (uint32_t j = 0; j < i; j++) {
            assert_true(tn__explore_log_config_at(j, &other));
            assert_string_not_equal(config.name, other.name);
        }
        tn__explore_log_init(&log, &config, true);
        for (uint32_t b = 1; b < config.ballots; b++) {
            assert_true(tn_log_ballot_compare(tn__explore_log_ballot(&log, b),
                                              tn__explore_log_ballot(&log, b + 1)) < 0);
            assert_true(config.attempts[b - 1].proposer < config.proposers);
        }
    }
}

/* ---- That reductions lose nothing ------------------------------------------------------------ */

struct congruence {
    struct tn__explore_log plain; /* first: its functions take this for their context */
    struct tn__explore_log normal;
};

/* The normal forms of a state's successors, less that of the state itself. */
#define FORMS_MAX 128
struct forms {
    struct congruence *congruence;
    const struct tn__explore_log_cluster *own;
    struct tn__explore_log_cluster list[FORMS_MAX];
    uint32_t count;
};

static bool is_listed(const struct forms *forms, const struct tn__explore_log_cluster *form)
{
    for (uint32_t i = 0; i < forms->count; i++) {
        if (memcmp(form, &forms->list[i], sizeof(*form)) == 0) {
            return true;
        }
    }
    return false;
}

static void take_form(void *sink, const void *successor, uint32_t event)
{
    struct forms *forms = sink;
    struct tn__explore_log_cluster form =
        tn__explore_log_open(&forms->congruence->plain, successor);
    (void)event;
    tn__explore_log_canonicalise(&forms->congruence->normal, &form);
    if (memcmp(&form, forms->own, sizeof(form)) != 0 && !is_listed(forms, &form)) {
        assert_true(forms->count < FORMS_MAX);
        forms->list[forms->count++] = form;
    }
}

static void collect_forms(struct forms *forms, struct congruence *congruence, const void *state,
                          const struct tn__explore_log_cluster *own)
{
    forms->congruence = congruence;
    forms->own = own;
    forms->count = 0;
    tn__explore_log_successors(&congruence->plain, state, take_form, forms);
}

static const char *judge_congruence(void *context, const void *state)
{
    static struct forms of_state;
    static struct forms of_form;
    struct congruence *congruence = context;
    struct tn__explore_log_cluster form = tn__explore_log_open(&congruence->plain, state);
    tn__explore_log_canonicalise(&congruence->normal, &form);
    collect_forms(&of_state, congruence, state, &form);
    collect_forms(&of_form, congruence, &form, &form);
    if (of_state.count != of_form.count) {
        return "congruence: not as many successors";
    }
    for (uint32_t i = 0; i < of_state.count; i++) {
        if (!is_listed(&of_form, &of_state.list[i])) {
            return "congruence: other successors";
        }
    }
    bool broken = tn__explore_log_check(&congruence->plain, state) != NULL;
    bool form_broken = tn__explore_log_check(&congruence->plain, &form) != NULL;
    return broken == form_broken ? NULL : "congruence: another verdict";
}

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
        static char bytes[1 << 16];
        struct tn__text text;
        tn__text_init(&text, bytes, sizeof(bytes));
        tn__explore_trace_print(&congruence.plain.model, &result.trace, true, &text);
        print_message("%s: %s\n%s\n", name, result.violated, bytes);
    }
    assert_int_not_equal(result.verdict, TN_EXPLORE_VIOLATION);
    assert_true(result.states_count > 1000);
    tn__explore_result_free(&result);
}

static const char *const congruence_rows[] = {
    "log-race", "log-two-slots", "log-twin", "log-power", "log-kill", "log-crash", "log-change",
};

static void normal_forms_have_the_futures_of_their_states(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(congruence_rows) / sizeof(congruence_rows[0]); i++) {
        expect_congruence(congruence_rows[i], 20000);
    }
}

static void normal_forms_have_the_futures_of_their_states_further_on(void **state)
{
    struct tn__explore_log_config config;
    (void)state;
    for (uint32_t i = 0; tn__explore_log_config_at(i, &config); i++) {
        expect_congruence(config.name, 300000);
    }
}

static void verdicts_are_the_same_with_and_without_reductions(void **state)
{
    static const char *const rows[] = {"log-race", "log-three-attempts", "log-twin"};
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct tn__explore_result reduced = explore_config(rows[i], true);
        struct tn__explore_result plain = explore_config(rows[i], false);
        assert_int_equal(reduced.verdict, TN_EXPLORE_EXHAUSTED);
        assert_int_equal(plain.verdict, TN_EXPLORE_EXHAUSTED);
        assert_true(reduced.states_count < plain.states_count);
        tn__explore_result_free(&reduced);
        tn__explore_result_free(&plain);
    }
}

static void counts_depend_on_neither_seed_nor_threads(void **state)
{
    uint64_t states = 0;
    (void)state;
    for (uint32_t i = 0; i < 4; i++) {
        struct tn__explore_log log;
        struct tn__explore_options options = {.memory_bytes_max = 2 * GIB,
                                              .threads_count = 1 + i % 2,
                                              .hash_seed = i / 2 * 0x9e3779b97f4a7c15ULL};
        open_config(&log, "log-two-slots", true);
        struct tn__explore_result result = explore(&log, &options);
        assert_int_equal(result.verdict, TN_EXPLORE_EXHAUSTED);
        assert_true(i == 0 || result.states_count == states);
        states = result.states_count;
        tn__explore_result_free(&result);
    }
}

/* ---- That invariants can fail ---------------------------------------------------------------- */

/* v1 is committed in slot 1 by ballot 1, which n1 led with n2. */
static struct tn__explore_log_cluster committed_cluster(void)
{
    struct tn__explore_log_cluster cluster = {
        .used = 1, .decided = {1}, .fetchable = {1}, .values = {{1}}};
    for (uint32_t i = 0; i < 2; i++) {
        cluster.nodes[i] = (struct tn__explore_log_node){
            .promise = 1, .accepted = {1}, .durable_promise = 1, .durable = {1}};
    }
    cluster.nodes[0].committed = 1;
    return cluster;
}

static void inv_P9_fails_without_a_durable_majority(void **state)
{
    struct tn__explore_log log;
    struct tn__explore_log_cluster cluster = committed_cluster();
    (void)state;
    open_config(&log, "log-two-slots", true);
    assert_null(tn__explore_log_check(&log, &cluster));
    cluster.nodes[1].durable[0] = 0;
    assert_string_equal(tn__explore_log_check(&log, &cluster), "inv.P9");
}

static void inv_P6_and_P8_fail_when_a_prefix_differs_or_has_a_gap(void **state)
{
    struct tn__explore_log log;
    struct tn__explore_log_cluster cluster = committed_cluster();
    (void)state;
    open_config(&log, "log-two-slots", true);
    cluster.values[1][0] = 2;
    cluster.nodes[2] = (struct tn__explore_log_node){
        .promise = 2, .accepted = {2}, .durable_promise = 2, .durable = {2}, .committed = 1};
    assert_string_equal(tn__explore_log_check(&log, &cluster), "inv.P6");
    cluster = committed_cluster();
    cluster.decided[1] = cluster.decided[0];
    cluster.decided[0] = 0;
    cluster.nodes[0].committed = 0;
    log.invariant = "inv.P8";
    assert_string_equal(tn__explore_log_check(&log, &cluster), "inv.P8");
}

static void inv_P7_fails_when_a_ready_leader_misses_what_was_committed(void **state)
{
    struct tn__explore_log log;
    struct tn__explore_log_cluster cluster = committed_cluster();
    (void)state;
    open_config(&log, "log-two-slots", true);
    cluster.proposers[1] = (struct tn__explore_log_proposer){
        .phase = TN__LOG_LEADING, .ballot = 2, .from = 1, .next = 1, .reported = 1};
    cluster.nodes[1].promised = cluster.nodes[2].promised = 2;
    for (uint32_t i = 0; i < 3; i++) {
        cluster.nodes[i].promise = cluster.nodes[i].durable_promise = 2;
    }
    assert_null(tn__explore_log_check(&log, &cluster));
    cluster.proposers[1].reported = 0;
    assert_string_equal(tn__explore_log_check(&log, &cluster), "inv.P7");
}

static void inv_P3_fails_when_what_was_said_is_not_durable(void **state)
{
    struct tn__explore_log log;
    struct tn__explore_log_cluster cluster = {.used = 1};
    (void)state;
    open_config(&log, "log-power", true);
    cluster.proposers[0] = (struct tn__explore_log_proposer){
        .phase = TN__LOG_PREPARING, .ballot = 1, .from = 1, .next = 1};
    cluster.nodes[1] = (struct tn__explore_log_node){.promise = 1, .pending = 1};
    cluster.nodes[1].answers[0] = TN_EXPLORE_LOG_ANSWERED | TN_EXPLORE_LOG_ANSWER_HELD;
    assert_null(tn__explore_log_check(&log, &cluster));
    cluster.nodes[1].answers[0] = TN_EXPLORE_LOG_ANSWERED;
    assert_string_equal(tn__explore_log_check(&log, &cluster), "inv.P3");
    cluster.nodes[1].durable_promise = 1;
    cluster.nodes[1].votes = tn__explore_log_vote(1, 1);
    assert_string_equal(tn__explore_log_check(&log, &cluster), "inv.P3");
}

static void each_flaw_of_a_step_has_a_name_of_its_own(void **state)
{
    struct tn__explore_log log;
    const char *names[TN_EXPLORE_LOG_FLAWS_END] = {NULL};
    (void)state;
    open_config(&log, "log-race", true);
    for (uint8_t flaw = 1; flaw < TN_EXPLORE_LOG_FLAWS_END; flaw++) {
        struct tn__explore_log_cluster cluster = {.flaw = flaw};
        names[flaw] = tn__explore_log_check(&log, &cluster);
        assert_non_null(names[flaw]);
        for (uint8_t other = 1; other < flaw; other++) {
            assert_string_not_equal(names[flaw], names[other]);
        }
    }
}

/* ---- That everything happens ----------------------------------------------------------------- */

static uint32_t kinds_seen;

static void note_kind(void *sink, const void *successor, uint32_t event)
{
    char sentence[128];
    struct tn__text text;
    (void)successor;
    kinds_seen |= 1U << (event & 0xffU);
    tn__text_init(&text, sentence, sizeof(sentence));
    tn__explore_log_print_event(sink, event, &text);
    assert_true(text.length > 0 && !text.cut);
}

static const char *note_kinds(void *context, const void *state)
{
    tn__explore_log_successors(context, state, note_kind, context);
    return NULL;
}

static void every_kind_of_event_happens_in_some_configuration(void **state)
{
    struct tn__explore_log log;
    struct tn__explore_options options = {.memory_bytes_max = 2 * GIB, .states_max = 100000};
    (void)state;
    kinds_seen = 1U << TN_EXPLORE_LOG_INITIAL;
    open_config(&log, "log-kill", true);
    log.model.check = note_kinds;
    struct tn__explore_result result = explore(&log, &options);
    tn__explore_result_free(&result);
    assert_int_equal(kinds_seen, (1U << TN_EXPLORE_LOG_EVENTS_END) - 1);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--long") == 0) {
        const struct CMUnitTest long_tests[] = {
            cmocka_unit_test(normal_forms_have_the_futures_of_their_states_further_on),
        };
        return cmocka_run_group_tests_name("explore_log_long", long_tests, NULL, NULL);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_quick_configuration_exhausts),
        cmocka_unit_test(rows_have_names_of_their_own_and_ballots_in_the_order_of_the_rules),
        cmocka_unit_test(normal_forms_have_the_futures_of_their_states),
        cmocka_unit_test(verdicts_are_the_same_with_and_without_reductions),
        cmocka_unit_test(counts_depend_on_neither_seed_nor_threads),
        cmocka_unit_test(inv_P9_fails_without_a_durable_majority),
        cmocka_unit_test(inv_P6_and_P8_fail_when_a_prefix_differs_or_has_a_gap),
        cmocka_unit_test(inv_P7_fails_when_a_ready_leader_misses_what_was_committed),
        cmocka_unit_test(inv_P3_fails_when_what_was_said_is_not_durable),
        cmocka_unit_test(each_flaw_of_a_step_has_a_name_of_its_own),
        cmocka_unit_test(every_kind_of_event_happens_in_some_configuration),
    };
    return cmocka_run_group_tests_name("explore_log", tests, NULL, NULL);
}
