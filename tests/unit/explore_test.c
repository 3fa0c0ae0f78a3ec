/* The exploration engine on toy models whose state spaces are known: a grid, two jugs, tokens on a
 * ring, and a random graph searched a second time by a plain breadth-first search written here. */
/* timeout: 600 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "check/explore.h"
#include "support/slow_build.h"

/* Nodes of the random graphs. */
#define NODES_COUNT (TN_SLOW_BUILD ? 1U << 14 : 1U << 17)

/* ---- a grid: from (0,0) one step right or up, inside side x side ---- */

struct grid_state {
    uint32_t x;
    uint32_t y;
};

struct grid {
    uint32_t side;
    uint32_t forbidden_x; /* a violation when met; side: none */
    uint32_t forbidden_y;
    uint32_t row_max; /* constraint: y below it */
};

static void grid_initial(void *context, tn__explore_emit *emit, void *sink)
{
    (void)context;
    struct grid_state state = {0, 0};
    emit(sink, &state, 0);
}

static void grid_successors(void *context, const void *bytes, tn__explore_emit *emit, void *sink)
{
    const struct grid *grid = context;
    struct grid_state state;
    memcpy(&state, bytes, sizeof(state));
    if (state.x + 1 < grid->side) {
        struct grid_state right = {state.x + 1, state.y};
        emit(sink, &right, 1);
    }
    if (state.y + 1 < grid->side) {
        struct grid_state up = {state.x, state.y + 1};
        emit(sink, &up, 2);
    }
}

static const char *grid_check(void *context, const void *bytes)
{
    const struct grid *grid = context;
    struct grid_state state;
    memcpy(&state, bytes, sizeof(state));
    return state.x == grid->forbidden_x && state.y == grid->forbidden_y ? "Forbidden" : NULL;
}

static bool grid_constraint(void *context, const void *bytes)
{
    const struct grid *grid = context;
    struct grid_state state;
    memcpy(&state, bytes, sizeof(state));
    return state.y < grid->row_max;
}

/* Unordered coordinates: (x, y) and (y, x) are one state. */
static void grid_canonicalise(void *context, void *bytes)
{
    (void)context;
    struct grid_state state;
    memcpy(&state, bytes, sizeof(state));
    struct grid_state other = {state.y, state.x};
    if (state.x > state.y) {
        memcpy(bytes, &other, sizeof(other));
    }
}

static uint64_t grid_weight(void *context, const void *bytes)
{
    (void)context;
    struct grid_state state;
    memcpy(&state, bytes, sizeof(state));
    return state.x == state.y ? 1 : 2;
}

static void grid_print_state(void *context, const void *bytes, struct tn__text *text)
{
    (void)context;
    struct grid_state state;
    memcpy(&state, bytes, sizeof(state));
    tn__text_add(text, "(%u,%u)", state.x, state.y);
}

static struct tn__explore_model grid_model(struct grid *grid)
{
    return (struct tn__explore_model){
        .name = "grid",
        .context = grid,
        .state_bytes = sizeof(struct grid_state),
        .initial = grid_initial,
        .successors = grid_successors,
        .check = grid_check,
        .print_state = grid_print_state,
    };
}

static struct grid plain_grid(uint32_t side)
{
    return (struct grid){.side = side, .forbidden_x = side, .forbidden_y = side, .row_max = side};
}

static void exploration_counts_states_transitions_and_levels(void **state)
{
    (void)state;
    struct grid grid = plain_grid(500);
    struct tn__explore_model model = grid_model(&grid);
    struct tn__explore_result result;
    tn__explore(&model, NULL, &result);
    assert_int_equal(result.verdict, TN_EXPLORE_EXHAUSTED);
    assert_int_equal(result.states_count, 500 * 500);
    assert_int_equal(result.states_whole_count, 500 * 500);
    assert_int_equal(result.transitions_count, 1 + 2 * 500 * 499);
    assert_int_equal(result.levels_count, 2 * 500 - 1);
    for (uint32_t level = 0; level < result.levels_count; level++) {
        assert_int_equal(result.level_states[level], level < 500 ? level + 1 : 999 - level);
    }
    assert_true(result.bytes_peak > 500 * 500 * 16);
    assert_int_equal(result.trace.states_count, 0);
    tn__explore_result_free(&result);
}

static void exploration_cuts_where_the_constraint_says(void **state)
{
    (void)state;
    struct grid grid = plain_grid(100);
    grid.row_max = 10;
    struct tn__explore_model model = grid_model(&grid);
    model.constraint = grid_constraint;
    struct tn__explore_result result;
    tn__explore(&model, NULL, &result);
    assert_int_equal(result.verdict, TN_EXPLORE_EXHAUSTED);
    assert_int_equal(result.states_count, 100 * 10);
    assert_int_equal(result.cut_count, 100);
    tn__explore_result_free(&result);
    /* A state outside is still checked. */
    grid.forbidden_x = 3;
    grid.forbidden_y = 10;
    tn__explore(&model, NULL, &result);
    assert_int_equal(result.verdict, TN_EXPLORE_VIOLATION);
    assert_int_equal(result.trace.states_count, 14);
    assert_true(tn__explore_trace_replay(&model, &result.trace, "Forbidden"));
    tn__explore_result_free(&result);
}

static void exploration_of_representatives_sums_their_orbits(void **state)
{
    (void)state;
    struct grid grid = plain_grid(64);
    struct tn__explore_model model = grid_model(&grid);
    model.canonicalise = grid_canonicalise;
    model.weight = grid_weight;
    struct tn__explore_result result;
    tn__explore(&model, NULL, &result);
    assert_int_equal(result.states_count, 64 * 65 / 2);
    assert_int_equal(result.weight_sum, 64 * 64);
    tn__explore_result_free(&result);
    /* The violating state's representative is (2,5); the trace is one of the model as it is. */
    grid.forbidden_x = 2;
    grid.forbidden_y = 5;
    tn__explore(&model, NULL, &result);
    assert_int_equal(result.verdict, TN_EXPLORE_VIOLATION);
    assert_int_equal(result.trace.states_count, 8);
    assert_true(result.trace.concrete);
    tn__explore_result_free(&result);
}

static void exploration_reports_a_violating_initial_state(void **state)
{
    (void)state;
    struct grid grid = plain_grid(4);
    grid.forbidden_x = 0;
    grid.forbidden_y = 0;
    struct tn__explore_model model = grid_model(&grid);
    struct tn__explore_result result;
    tn__explore(&model, NULL, &result);
    assert_int_equal(result.verdict, TN_EXPLORE_VIOLATION);
    assert_int_equal(result.trace.states_count, 1);
    assert_true(tn__explore_trace_replay(&model, &result.trace, "Forbidden"));
    tn__explore_result_free(&result);
}

/* ---- two jugs of 3 and 5: the shortest way to 4 takes six steps ---- */

struct jugs {
    uint32_t small;
    uint32_t big;
};

static void jugs_initial(void *context, tn__explore_emit *emit, void *sink)
{
    (void)context;
    struct jugs jugs = {0, 0};
    emit(sink, &jugs, 0);
}

static void jugs_successors(void *context, const void *bytes, tn__explore_emit *emit, void *sink)
{
    (void)context;
    struct jugs jugs;
    memcpy(&jugs, bytes, sizeof(jugs));
    uint32_t to_big = jugs.small < 5 - jugs.big ? jugs.small : 5 - jugs.big;
    uint32_t to_small = jugs.big < 3 - jugs.small ? jugs.big : 3 - jugs.small;
    struct jugs next[6] = {
        {3, jugs.big},
        {jugs.small, 5},
        {0, jugs.big},
        {jugs.small, 0},
        {jugs.small - to_big, jugs.big + to_big},
        {jugs.small + to_small, jugs.big - to_small},
    };
    for (uint32_t i = 0; i < 6; i++) {
        emit(sink, &next[i], i + 1);
    }
}

static const char *jugs_check(void *context, const void *bytes)
{
    struct jugs jugs;
    memcpy(&jugs, bytes, sizeof(jugs));
    return context != NULL && jugs.big == 4 ? "BigIsNotFour" : NULL;
}

static void jugs_print_event(void *context, uint32_t event, struct tn__text *text)
{
    static const char *const names[] = {"begin",     "fill small",   "fill big",    "empty small",
                                        "empty big", "small to big", "big to small"};
    (void)context;
    tn__text_add(text, "%s", names[event]);
}

static struct tn__explore_model jugs_model(void *check)
{
    return (struct tn__explore_model){
        .name = "jugs",
        .context = check,
        .state_bytes = sizeof(struct jugs),
        .initial = jugs_initial,
        .successors = jugs_successors,
        .check = jugs_check,
        .print_event = jugs_print_event,
    };
}

static void exploration_finds_the_shortest_way_with_the_jugs(void **state)
{
    (void)state;
    int check = 1;
    struct tn__explore_model model = jugs_model(&check);
    struct tn__explore_result result;
    tn__explore(&model, NULL, &result);
    assert_int_equal(result.verdict, TN_EXPLORE_VIOLATION);
    assert_string_equal(result.violated, "BigIsNotFour");
    assert_int_equal(result.trace.states_count, 7);
    const uint32_t expected[] = {0, 2, 6, 3, 6, 2, 6};
    for (uint32_t i = 0; i < 7; i++) {
        assert_int_equal(result.trace.events[i], expected[i]);
    }
    char bytes[1024];
    struct tn__text text;
    tn__text_init(&text, bytes, sizeof(bytes));
    tn__explore_trace_print(&model, &result.trace, false, &text);
    assert_non_null(strstr(bytes, "  1  (initial)\n"));
    assert_non_null(strstr(bytes, "  3  big to small\n"));
    assert_true(tn__explore_trace_replay(&model, &result.trace, "BigIsNotFour"));
    tn__explore_result_free(&result);

    model = jugs_model(NULL);
    tn__explore(&model, NULL, &result);
    assert_int_equal(result.verdict, TN_EXPLORE_EXHAUSTED);
    assert_int_equal(result.states_count, 16);
    tn__explore_result_free(&result);
}

static void replay_refuses_a_trace_that_cannot_happen(void **state)
{
    (void)state;
    int check = 1;
    struct tn__explore_model model = jugs_model(&check);
    struct tn__explore_result result;
    tn__explore(&model, NULL, &result);
    assert_false(tn__explore_trace_replay(&model, &result.trace, "AnotherInvariant"));
    uint32_t kept = result.trace.events[3];
    result.trace.events[3] = 1;
    assert_false(tn__explore_trace_replay(&model, &result.trace, "BigIsNotFour"));
    result.trace.events[3] = kept;
    result.trace.states_count--;
    assert_false(tn__explore_trace_replay(&model, &result.trace, "BigIsNotFour"));
    tn__explore_result_free(&result);
}

/* ---- a random graph: four edges a node, and the same search done plainly ---- */

struct graph {
    uint64_t seed;
    uint32_t nodes_count; /* a power of two */
    uint32_t forbidden;   /* nodes_count: none */
    uint32_t edges;
    uint32_t layer; /* not zero: edges lead from one layer of so many nodes to the next */
};

/* Larger than the node's number needs, so that states of many words go through the frontier. */
struct graph_state {
    uint64_t node;
    uint64_t words[11];
};

static struct graph_state graph_state_of(const struct graph *graph, uint64_t node)
{
    struct graph_state state;
    memset(&state, 0, sizeof(state));
    state.node = node;
    for (uint64_t i = 0; i < 11; i++) {
        if ((node >> i & 1) != 0) {
            state.words[i] = (node + i) * (graph->seed | 1);
        }
    }
    return state;
}

static uint64_t graph_edge(const struct graph *graph, uint64_t node, uint64_t edge)
{
    uint64_t z = graph->seed + node * 0x9e3779b97f4a7c15ULL + edge * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    z ^= z >> 31;
    if (graph->layer == 0) {
        return z & (graph->nodes_count - 1);
    }
    uint64_t next = (node / graph->layer + 1) * graph->layer;
    return next < graph->nodes_count ? next + z % graph->layer : node;
}

static void graph_initial(void *context, tn__explore_emit *emit, void *sink)
{
    struct graph_state first = graph_state_of(context, 0);
    emit(sink, &first, 0);
}

static void graph_successors(void *context, const void *bytes, tn__explore_emit *emit, void *sink)
{
    const struct graph *graph = context;
    struct graph_state state;
    memcpy(&state, bytes, sizeof(state));
    /* What went through the frontier came out whole. */
    struct graph_state same = graph_state_of(graph, state.node);
    assert_memory_equal(&state, &same, sizeof(state));
    for (uint32_t edge = 0; edge < graph->edges; edge++) {
        struct graph_state next = graph_state_of(graph, graph_edge(graph, state.node, edge));
        emit(sink, &next, edge + 1);
    }
}

static const char *graph_check(void *context, const void *bytes)
{
    const struct graph *graph = context;
    struct graph_state state;
    memcpy(&state, bytes, sizeof(state));
    return state.node == graph->forbidden ? "Forbidden" : NULL;
}

static struct tn__explore_model graph_model(struct graph *graph)
{
    return (struct tn__explore_model){
        .name = "graph",
        .context = graph,
        .state_bytes = sizeof(struct graph_state),
        .initial = graph_initial,
        .successors = graph_successors,
        .check = graph_check,
    };
}

/* The distance of each node from node 0 (UINT32_MAX: not reachable), by a queue; the nodes in the
 * order found. Returns their number. */
static uint32_t graph_distances(const struct graph *graph, uint32_t *distances, uint32_t *queue)
{
    memset(distances, 0xff, graph->nodes_count * sizeof(*distances));
    uint32_t count = 0;
    distances[0] = 0;
    queue[count++] = 0;
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t edge = 0; edge < graph->edges; edge++) {
            uint32_t next = (uint32_t)graph_edge(graph, queue[i], edge);
            if (distances[next] == UINT32_MAX) {
                distances[next] = distances[queue[i]] + 1;
                queue[count++] = next;
            }
        }
    }
    return count;
}

static void exploration_agrees_with_a_plain_search_at_any_number_of_threads(void **state)
{
    (void)state;
    struct graph graph = {
        .seed = 20120404, .nodes_count = NODES_COUNT, .forbidden = NODES_COUNT, .edges = 4};
    print_message("# seed %llu\n", (unsigned long long)graph.seed);
    uint32_t *distances = malloc(graph.nodes_count * sizeof(*distances));
    uint32_t *queue = malloc(graph.nodes_count * sizeof(*queue));
    assert_non_null(distances);
    assert_non_null(queue);
    uint32_t reachable = graph_distances(&graph, distances, queue);
    struct tn__explore_model model = graph_model(&graph);
    for (uint32_t threads = 1; threads <= 4; threads++) {
        struct tn__explore_options options = {.threads_count = threads, .hash_seed = threads};
        struct tn__explore_result result;
        tn__explore(&model, &options, &result);
        assert_int_equal(result.verdict, TN_EXPLORE_EXHAUSTED);
        assert_int_equal(result.states_count, reachable);
        assert_int_equal(result.transitions_count, 1 + 4ULL * reachable);
        uint64_t seen = 0;
        for (uint32_t level = 0; level < result.levels_count; level++) {
            uint64_t expected = 0;
            for (uint32_t i = 0; i < reachable; i++) {
                expected += distances[queue[i]] == level;
            }
            assert_int_equal(result.level_states[level], expected);
            seen += expected;
        }
        assert_int_equal(seen, reachable);
        tn__explore_result_free(&result);
    }
    free(distances);
    free(queue);
}

static void exploration_finds_the_same_trace_at_any_number_of_threads(void **state)
{
    (void)state;
    /* Layers of few blocks, where most states have parents in blocks that are expanded at once. */
    struct graph graph = {.seed = 7, .nodes_count = NODES_COUNT, .edges = 4, .layer = 1U << 11};
    uint32_t *distances = malloc(graph.nodes_count * sizeof(*distances));
    uint32_t *queue = malloc(graph.nodes_count * sizeof(*queue));
    assert_non_null(distances);
    assert_non_null(queue);
    uint32_t reachable = graph_distances(&graph, distances, queue);
    struct tn__explore_model model = graph_model(&graph);
    for (uint32_t picked = reachable - 1; picked > reachable / 2; picked -= reachable / 10) {
        graph.forbidden = queue[picked];
        uint32_t events[128];
        uint32_t count = 0;
        uint64_t whole = 0;
        for (uint32_t threads = 1; threads <= 4; threads++) {
            struct tn__explore_options options = {.threads_count = threads};
            struct tn__explore_result result;
            tn__explore(&model, &options, &result);
            assert_int_equal(result.verdict, TN_EXPLORE_VIOLATION);
            assert_int_equal(result.trace.states_count, distances[graph.forbidden] + 1);
            assert_true(tn__explore_trace_replay(&model, &result.trace, "Forbidden"));
            if (threads == 1) {
                count = result.trace.states_count;
                whole = result.states_whole_count;
                assert_in_range(count, 1, 128);
                memcpy(events, result.trace.events, count * sizeof(*events));
            }
            assert_int_equal(result.states_whole_count, whole);
            assert_memory_equal(result.trace.events, events, count * sizeof(*events));
            tn__explore_result_free(&result);
        }
    }
    free(distances);
    free(queue);
}

static void exploration_with_few_fingerprint_bits_loses_states(void **state)
{
    (void)state;
    struct grid grid = plain_grid(400);
    struct tn__explore_model model = grid_model(&grid);
    struct tn__explore_options options = {.fingerprint_bits = 24};
    struct tn__explore_result result;
    tn__explore(&model, &options, &result);
    assert_int_equal(result.verdict, TN_EXPLORE_EXHAUSTED);
    assert_true(result.states_count < 400 * 400);
    tn__explore_result_free(&result);
    /* 160,000 states leave 2^-29 for any collision in 64 bits. */
    options.fingerprint_bits = 64;
    tn__explore(&model, &options, &result);
    assert_int_equal(result.states_count, 400 * 400);
    tn__explore_result_free(&result);
}

static void exploration_stops_at_the_bound_it_was_given(void **state)
{
    (void)state;
    struct grid grid = plain_grid(3000);
    struct tn__explore_model model = grid_model(&grid);
    struct tn__explore_options options = {.memory_bytes_max = 24ULL << 20};
    struct tn__explore_result result;
    tn__explore(&model, &options, &result);
    assert_int_equal(result.verdict, TN_EXPLORE_BOUND);
    assert_string_equal(result.bound, "memory");
    assert_true(result.states_count > 100000);
    assert_true(result.bytes_peak <= 25ULL << 20);
    tn__explore_result_free(&result);

    options = (struct tn__explore_options){.memory_bytes_max = 1 << 20};
    tn__explore(&model, &options, &result);
    assert_int_equal(result.verdict, TN_EXPLORE_BOUND);
    assert_string_equal(result.bound, "memory");
    tn__explore_result_free(&result);

    options = (struct tn__explore_options){.states_max = 5000};
    tn__explore(&model, &options, &result);
    assert_int_equal(result.verdict, TN_EXPLORE_BOUND);
    assert_string_equal(result.bound, "states");
    assert_in_range(result.states_count, 5000, 5000 + 2 * 256);
    tn__explore_result_free(&result);

    options = (struct tn__explore_options){.levels_max = 10};
    tn__explore(&model, &options, &result);
    assert_int_equal(result.verdict, TN_EXPLORE_BOUND);
    assert_string_equal(result.bound, "levels");
    assert_int_equal(result.levels_count, 10);
    assert_int_equal(result.states_count, 55);
    tn__explore_result_free(&result);
}

static uint64_t clock_fake(void *context)
{
    return *(uint64_t *)context += 5;
}

static void progress_note(void *context, const struct tn__explore_result *result)
{
    uint64_t *calls = context;
    calls[0]++;
    calls[1] = result->states_count;
}

static void exploration_reports_progress_by_the_clock_it_is_given(void **state)
{
    (void)state;
    uint64_t time = 100;
    uint64_t calls[2] = {0, 0};
    struct tn__explore_model model = jugs_model(NULL);
    struct tn__explore_options options = {.now_ns = clock_fake,
                                          .now_context = &time,
                                          .progress = progress_note,
                                          .progress_context = calls};
    struct tn__explore_result result;
    tn__explore(&model, &options, &result);
    assert_int_equal(calls[0], result.levels_count);
    assert_int_equal(calls[1], 16);
    assert_int_equal(result.elapsed_ns, 5 * (calls[0] + 1));
    assert_string_equal(tn__explore_verdict_name(result.verdict), "exhausted");
    tn__explore_result_free(&result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exploration_counts_states_transitions_and_levels),
        cmocka_unit_test(exploration_cuts_where_the_constraint_says),
        cmocka_unit_test(exploration_of_representatives_sums_their_orbits),
        cmocka_unit_test(exploration_reports_a_violating_initial_state),
        cmocka_unit_test(exploration_finds_the_shortest_way_with_the_jugs),
        cmocka_unit_test(replay_refuses_a_trace_that_cannot_happen),
        cmocka_unit_test(exploration_agrees_with_a_plain_search_at_any_number_of_threads),
        cmocka_unit_test(exploration_finds_the_same_trace_at_any_number_of_threads),
        cmocka_unit_test(exploration_with_few_fingerprint_bits_loses_states),
        cmocka_unit_test(exploration_stops_at_the_bound_it_was_given),
        cmocka_unit_test(exploration_reports_progress_by_the_clock_it_is_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
