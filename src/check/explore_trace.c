/* The way back: from a violation to a run of the model that ends in it.
 *
 * Every state's origin (parent and event) was kept, so the events of a shortest trace are read off
 * level by level; the states come from the model itself, by letting the events happen again. When
 * the model has a canonical form, the states of the search are representatives, and an event may
 * lead from one to a state with the names exchanged. So a second pass walks the model as it is:
 * from each state to a successor whose canonical form is the next one of the trace. */
#include "check/explore_search.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

/* What to look for among emitted states, and the first that fits. */
struct seek {
    const struct tn__explore_model *model;
    bool by_event;
    uint32_t event;
    const uint8_t *form; /* NULL: any; else the bytes after (if canonical) canonicalise() */
    bool canonical;
    uint8_t *scratch;
    uint8_t *found; /* receives the state as it was emitted */
    uint32_t found_event;
    bool done;
};

static void seek_emit(void *sink, const void *state, uint32_t event)
{
    struct seek *seek = sink;
    const struct tn__explore_model *model = seek->model;
    if (seek->done || (seek->by_event && event != seek->event)) {
        return;
    }
    if (seek->form != NULL) {
        memcpy(seek->scratch, state, model->state_bytes);
        if (seek->canonical) {
            model->canonicalise(model->context, seek->scratch);
        }
        if (memcmp(seek->scratch, seek->form, model->state_bytes) != 0) {
            return;
        }
    }
    memcpy(seek->found, state, model->state_bytes);
    seek->found_event = event;
    seek->done = true;
}

/* Look among the successors of `from`, or the initial states when that is NULL. */
static bool seek_run(struct seek *seek, const uint8_t *from)
{
    seek->done = false;
    if (from == NULL) {
        seek->model->initial(seek->model->context, seek_emit, seek);
    } else {
        seek->model->successors(seek->model->context, from, seek_emit, seek);
    }
    return seek->done;
}

/* The states of the search along `events`: canonical if the model has a canonical form. */
static void states_derive(const struct tn__explore_model *model, const uint32_t *events,
                          uint32_t count, uint8_t *states)
{
    struct seek seek = {.model = model, .by_event = true};
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *state = states + (size_t)i * model->state_bytes;
        seek.event = events[i];
        seek.found = state;
        bool found = seek_run(&seek, i == 0 ? NULL : state - model->state_bytes);
        /* The search saw this event from this state; the model is a function of it. */
        tn_assert(found);
        if (model->canonicalise != NULL) {
            model->canonicalise(model->context, state);
        }
    }
}

/* A run of the model as it is, with the canonical forms of `forms`. */
static bool states_make_concrete(const struct tn__explore_model *model, const uint8_t *forms,
                                 uint32_t count, uint32_t *events, uint8_t *states,
                                 uint8_t *scratch)
{
    struct seek seek = {.model = model, .canonical = true, .scratch = scratch};
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *state = states + (size_t)i * model->state_bytes;
        seek.form = forms + (size_t)i * model->state_bytes;
        seek.found = state;
        if (!seek_run(&seek, i == 0 ? NULL : state - model->state_bytes)) {
            return false;
        }
        events[i] = seek.found_event;
    }
    return true;
}

static void concrete_attempt(const struct tn__explore_model *model, struct tn__explore_trace *trace)
{
    size_t bytes = (size_t)trace->states_count * model->state_bytes;
    uint8_t *states = calloc(1, bytes);
    uint32_t *events = calloc(trace->states_count, sizeof(*events));
    uint8_t *scratch = calloc(1, model->state_bytes);
    if (states != NULL && events != NULL && scratch != NULL &&
        states_make_concrete(model, trace->states, trace->states_count, events, states, scratch)) {
        memcpy(trace->states, states, bytes);
        memcpy(trace->events, events, trace->states_count * sizeof(*events));
        trace->concrete = true;
    }
    free(states);
    free(events);
    free(scratch);
}

void tn__explore_trace_build(struct tn__explore_search *search,
                             const struct tn__explore_finding *finding, bool initial)
{
    const struct tn__explore_model *model = search->model;
    struct tn__explore_trace *trace = &search->result->trace;
    uint32_t count = initial ? 1 : search->level + 2;
    trace->events = calloc(count, sizeof(*trace->events));
    trace->states = calloc(count, model->state_bytes);
    if (trace->events == NULL || trace->states == NULL) {
        return; /* no memory: the verdict stands without its trace */
    }
    trace->states_count = count;
    trace->events[count - 1] = finding->event;
    uint32_t rank = finding->parent;
    for (uint32_t i = count - 1; i > 0; i--) {
        const struct tn__explore_origin *origin = &search->origins[i - 1][rank];
        trace->events[i - 1] = origin->event;
        rank = origin->parent;
    }
    states_derive(model, trace->events, count, trace->states);
    trace->concrete = model->canonicalise == NULL;
    if (!trace->concrete) {
        concrete_attempt(model, trace);
    }
}

bool tn__explore_trace_replay(const struct tn__explore_model *model,
                              const struct tn__explore_trace *trace, const char *violated)
{
    if (trace->states_count == 0 || model->check == NULL) {
        return false;
    }
    uint8_t *scratch = calloc(2, model->state_bytes);
    if (scratch == NULL) {
        return false;
    }
    struct seek seek = {.model = model,
                        .by_event = true,
                        .scratch = scratch,
                        .found = scratch + model->state_bytes};
    bool happened = true;
    for (uint32_t i = 0; happened && i < trace->states_count; i++) {
        const uint8_t *state = trace->states + (size_t)i * model->state_bytes;
        seek.event = trace->events[i];
        seek.form = state;
        happened = seek_run(&seek, i == 0 ? NULL : state - model->state_bytes);
    }
    const char *last = happened ? model->check(model->context, seek.found) : NULL;
    bool replayed = last != NULL && violated != NULL && strcmp(last, violated) == 0;
    free(scratch);
    return replayed;
}

void tn__explore_trace_print(const struct tn__explore_model *model,
                             const struct tn__explore_trace *trace, bool states,
                             struct tn__text *text)
{
    for (uint32_t i = 0; i < trace->states_count; i++) {
        tn__text_add(text, "%3" PRIu32 "  ", i + 1);
        if (i == 0) {
            tn__text_add(text, "(initial)");
        } else if (model->print_event != NULL) {
            model->print_event(model->context, trace->events[i], text);
        } else {
            tn__text_add(text, "event %" PRIu32, trace->events[i]);
        }
        tn__text_add(text, "\n");
        if (states && model->print_state != NULL) {
            tn__text_add(text, "     ");
            model->print_state(model->context, trace->states + (size_t)i * model->state_bytes,
                               text);
            tn__text_add(text, "\n");
        }
    }
}
