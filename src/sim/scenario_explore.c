/* Traces of the explorer as stories: each step is an event of its model of the real cells
 * (check/explore_lease.h), named in the explorer's own words, and carried out by that model. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "check/explore_lease.h"
#include "sim/scenario_internal.h"

#define TEXT_BYTES_MAX 2048U

/* A trace at the state it has reached. */
struct trace {
    struct tn__explore_lease lease;
    uint8_t state[TN_EXPLORE_STATE_BYTES_MAX];
    uint8_t next[TN_EXPLORE_STATE_BYTES_MAX];
    const char *wanted; /* the event looked for */
    bool found;
    bool reduced; /* the events' names are those of canonical states */
    char invariant[32];
};

static void take_initial(void *sink, const void *state, uint32_t event)
{
    struct trace *trace = sink;
    (void)event;
    if (!trace->found) {
        memcpy(trace->state, state, trace->lease.model.state_bytes);
        trace->found = true;
    }
}

/* A trace of a reduced search that could not be told in one set of names: each state takes its
 * canonical form before the next event. */
static void canonicalise(struct trace *trace)
{
    if (trace->reduced && trace->lease.model.canonicalise != NULL) {
        trace->lease.model.canonicalise(trace->lease.model.context, trace->state);
    }
}

static void take_successor(void *sink, const void *state, uint32_t event)
{
    struct trace *trace = sink;
    char words[TEXT_BYTES_MAX];
    struct tn__text text;
    tn__text_init(&text, words, sizeof(words));
    trace->lease.model.print_event(trace->lease.model.context, event, &text);
    if (!trace->found && strcmp(words, trace->wanted) == 0) {
        memcpy(trace->next, state, trace->lease.model.state_bytes);
        trace->found = true;
    }
}

static void say_state(struct tn__scenario *scenario, const struct trace *trace)
{
    char words[TEXT_BYTES_MAX];
    struct tn__text text;
    tn__text_init(&text, words, sizeof(words));
    trace->lease.model.print_state(trace->lease.model.context, trace->state, &text);
    tn__scenario_say(scenario, "%s", words);
    const char *broken = trace->lease.model.check(trace->lease.model.context, trace->state);
    if (broken != NULL) {
        scenario->result->violations_count++;
        tn__scenario_say(scenario, "!! %s", broken);
    }
}

void tn__scenario_do_explore(struct tn__scenario *scenario, struct tn__scenario_command *command)
{
    const char *name = tn__scenario_value(command, "config");
    const char *invariant = tn__scenario_value(command, "invariant");
    struct tn__explore_lease_config config;
    if (name == NULL || !tn__explore_lease_config_find(name, &config)) {
        tn__scenario_error(scenario, "no such configuration: %s", name == NULL ? "" : name);
        return;
    }
    if (scenario->world != NULL || scenario->log != NULL || scenario->explore != NULL) {
        tn__scenario_error(scenario, "there is a cluster already");
        return;
    }
    struct trace *trace = calloc(1, sizeof(*trace));
    tn_assert(trace != NULL);
    scenario->explore = trace;
    trace->reduced = tn__scenario_has(command, "reduced");
    tn__explore_lease_init(&trace->lease, &config, trace->reduced);
    tn_assert(trace->lease.model.state_bytes <= sizeof(trace->state));
    if (invariant != NULL && strlen(invariant) < sizeof(trace->invariant)) {
        memcpy(trace->invariant, invariant, strlen(invariant));
        trace->lease.invariant = trace->invariant;
    }
    trace->lease.model.initial(trace->lease.model.context, take_initial, trace);
    canonicalise(trace);
    say_state(scenario, trace);
}

void tn__scenario_do_step(struct tn__scenario *scenario, struct tn__scenario_command *command)
{
    struct trace *trace = scenario->explore;
    char wanted[TN_SCENARIO_COMMAND_BYTES_MAX];
    struct tn__text text;
    if (trace == NULL) {
        tn__scenario_error(scenario, "explore comes first");
        return;
    }
    /* The words as they stood in the file, but for repeated blanks. */
    tn__text_init(&text, wanted, sizeof(wanted));
    for (uint32_t i = 0; i < command->words_count; i++) {
        command->words[i].used = true;
        tn__text_add(&text, "%s%s", i == 0 ? "" : " ", command->words[i].key);
    }
    trace->wanted = wanted;
    trace->found = false;
    trace->lease.model.successors(trace->lease.model.context, trace->state, take_successor, trace);
    if (!trace->found) {
        tn__scenario_error(scenario, "this cannot happen here: %s", wanted);
        return;
    }
    memcpy(trace->state, trace->next, trace->lease.model.state_bytes);
    canonicalise(trace);
    say_state(scenario, trace);
}

void tn__scenario_explore_free(struct tn__scenario *scenario)
{
    free(scenario->explore);
    scenario->explore = NULL;
}
