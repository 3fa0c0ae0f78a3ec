/* Exhaustive exploration: breadth-first search over every reachable state of a model.
 *
 * The engine knows nothing of leases. A model is a table of functions over plain-data states of one
 * fixed size: where it begins, what can happen next, what must always hold. The engine visits every
 * state once, level by level, so the first violation met is one with a shortest trace.
 *
 * What a "pass" rests on:
 *  - a state is known by its 128-bit fingerprint (XXH3 of its canonical bytes): with 2^30 states
 *    the chance that any two of them share one is about 2^-69. `fingerprint_bits` cuts the
 *    fingerprint down, to see that collisions would be noticed, `hash_seed` draws another function;
 *  - `canonicalise`, if the model has one, must map states to equal bytes only when no future event
 *    can tell them apart (the model's own tests show that: congruence and orbit sums);
 *  - `constraint` cuts the search: a state outside it is checked, but neither kept nor expanded.
 *
 * The verdict, the counts and the trace do not depend on the number of threads: a state belongs to
 * the first parent that reaches it in the order in which one thread alone would work. (When a
 * search ends inside a level, by a violation or a bound, what was counted of that level may differ;
 * `states_whole_count` leaves it out.) */
#ifndef TN_CHECK_EXPLORE_H
#define TN_CHECK_EXPLORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

/* Bounds of the engine itself. */
#define TN_EXPLORE_THREADS_MAX 16
#define TN_EXPLORE_STATE_BYTES_MAX 16384
#define TN_EXPLORE_LEVELS_MAX 4096

/* How a model hands over one state. The bytes are copied; `event` says how the state came about
 * and must tell apart the successors of one state, as a trace is replayed by it. */
typedef void tn__explore_emit(void *sink, const void *state, uint32_t event);

/* A model. All functions may be called from several threads at once with the same context, which
 * they must therefore not write to. States are `state_bytes` long and have no padding bytes. */
struct tn__explore_model {
    const char *name;
    void *context;
    uint32_t state_bytes;
    /* Emit each initial state, at least one. */
    void (*initial)(void *context, tn__explore_emit *emit, void *sink);
    /* Emit each state one step away, always in the same order. */
    void (*successors)(void *context, const void *state, tn__explore_emit *emit, void *sink);
    /* Optional: replace a state by the representative of all that are equivalent to it. */
    void (*canonicalise)(void *context, void *state);
    /* Optional: false for a state where the search does not go on. */
    bool (*constraint)(void *context, const void *state);
    /* Optional: NULL, or the name of the invariant that the state violates (a static string). */
    const char *(*check)(void *context, const void *state);
    /* Optional: a number summed over the distinct states (the size of the state's orbit). */
    uint64_t (*weight)(void *context, const void *state);
    /* Optional: for traces that people read. */
    void (*print_state)(void *context, const void *state, struct tn__text *text);
    void (*print_event)(void *context, uint32_t event, struct tn__text *text);
};

struct tn__explore_result;

/* All zero is a good choice: one thread, 4 GiB, no clock, no other bound. */
struct tn__explore_options {
    uint64_t memory_bytes_max; /* table, frontier and records together; 0: 4 GiB */
    uint64_t states_max;       /* 0: no bound but memory */
    uint64_t states_hint;      /* expected count: spares the growing of the table */
    uint64_t hash_seed;
    uint32_t levels_max;               /* 0: TN_EXPLORE_LEVELS_MAX */
    uint32_t threads_count;            /* 0: one */
    uint32_t fingerprint_bits;         /* 0: 128 */
    uint64_t (*now_ns)(void *context); /* optional: the engine has no clock of its own */
    void *now_context;
    /* Optional: called after each level, with the counts so far. */
    void (*progress)(void *context, const struct tn__explore_result *result);
    void *progress_context;
};

enum tn__explore_verdict {
    TN_EXPLORE_EXHAUSTED, /* every reachable state was visited, none violates */
    TN_EXPLORE_VIOLATION, /* see `violated` and `trace` */
    TN_EXPLORE_BOUND,     /* see `bound`: no verdict beyond what was visited */
};

/* A run of the model from an initial state to the violating one. Without a canonical form the
 * states are those of the search. With one, the engine looks for a run of the model as it is whose
 * states have the canonical forms of the trace: `concrete` says that it found one (it always does
 * when equivalent states have equivalent futures; not when the canonical form allows more). */
struct tn__explore_trace {
    uint32_t states_count; /* the initial state included; 0: no trace */
    bool concrete;
    uint32_t *events; /* events[i] led to state i; events[0] to the initial state */
    uint8_t *states;  /* states_count times state_bytes */
};

struct tn__explore_result {
    enum tn__explore_verdict verdict;
    const char *violated;        /* the invariant's name, or NULL */
    const char *bound;           /* "memory", "states", "levels" or NULL */
    uint64_t states_count;       /* distinct states found */
    uint64_t states_whole_count; /* those of finished levels alone */
    uint64_t transitions_count;  /* states emitted, initial ones and repetitions included */
    uint64_t cut_count;          /* those of them outside the constraint */
    uint64_t weight_sum;
    uint64_t bytes_peak;
    uint64_t elapsed_ns;
    uint32_t levels_count; /* finished levels; the initial states are the first */
    uint64_t *level_states;
    struct tn__explore_trace trace;
};

/* Explore. `result` is filled whatever happens and given back by tn__explore_result_free(). */
void tn__explore(const struct tn__explore_model *model, const struct tn__explore_options *options,
                 struct tn__explore_result *result);

void tn__explore_result_free(struct tn__explore_result *result);

/* The name of a verdict: "exhausted", "violation", "bound". */
const char *tn__explore_verdict_name(enum tn__explore_verdict verdict);

/* Write the trace, one line an event and, with `states` set, one line a state under it. */
void tn__explore_trace_print(const struct tn__explore_model *model,
                             const struct tn__explore_trace *trace, bool states,
                             struct tn__text *text);

/* Run the model along `events` from an initial state: true if each event could happen and the last
 * state violates `violated`. The proof, independent of table and fingerprints, that a trace is one.
 * Only for traces that are concrete. */
bool tn__explore_trace_replay(const struct tn__explore_model *model,
                              const struct tn__explore_trace *trace, const char *violated);

#endif
