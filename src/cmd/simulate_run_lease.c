/* Leases as a workload of `tenure-sim run`: the trace, and what a campaign asks for. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "cmd/simulate_run.h"
#include "sim/simulation.h"

_Static_assert(TN_FAULTS_COUNT <= TN_RUN_FAULTS_MAX, "each fault has a place");

/* ---- The trace ------------------------------------------------------------------------------- */

static const char *const sight_names[] = {
    "",      "started",   "not started", "crashed", "paused", "resumed", "event", "sent",
    "sends", "delivered", "refused",     "lost",    "notice", "record",  "",      "wake"};
static const char *const message_names[] = {"-",      "PREPARE",  "PROMISE", "CLOSED",  "REJECTED",
                                            "ACCEPT", "ACCEPTED", "REFUSED", "RELEASE", "LEARN"};
static const char *const notice_names[] = {"",      "OPENED",   "RENEWED", "REOPENED",
                                           "LOST",  "RELEASED", "FAILED",  "LEARNED",
                                           "FREED", "INCIDENT", "LEFT",    "JOINED"};
static const char *const event_names[] = {"",        "FRAME",    "TIMER", "WRITTEN", "WRITE_FAILED",
                                          "REQUEST", "CONNECTED"};

static void print_sight(void *context, const struct tn__sight *sight)
{
    (void)context;
    if (sight->kind == TN_SIGHT_TURN_ENDED || sight->kind == TN_SIGHT_FRAME) {
        return;
    }
    printf("%14.9f %2u %20" PRIu64 "  %s", (double)sight->real / 1e9, sight->process, sight->local,
           sight_names[sight->kind]);
    if (sight->event != NULL) {
        printf(" %s", event_names[sight->event->kind]);
    }
    const struct tn_message *message = sight->message;
    if (message != NULL) {
        printf(" %s %" PRIu64 ".%u to %x %.*s", message_names[message->kind],
               message->ballot.counter >> 16, tn_ballot_node(message->ballot),
               (unsigned)sight->word, message->name_bytes, message->name);
    }
    if (sight->frame != NULL) {
        printf(" %" PRIu64 " %u->%u %s", sight->frame->serial, sight->frame->from, sight->frame->to,
               message_names[sight->frame->kind < TN_MESSAGE_KINDS_END ? sight->frame->kind : 0]);
    }
    if (sight->record != NULL) {
        printf(" %" PRIu64 " ceiling %" PRIu64, sight->record->write, sight->record->ceiling >> 16);
    }
    const struct tn_notice *notice = sight->notice;
    if (notice != NULL) {
        printf(" %s %.*s %" PRIu64 ".%u token %" PRIu64 " until %" PRIu64 " reason %u",
               notice_names[notice->kind], notice->name_bytes, notice->name,
               notice->ballot.counter >> 16, tn_ballot_node(notice->ballot), notice->token,
               notice->deadline, notice->reason);
    }
    printf("\n");
}

/* ---- Runs ------------------------------------------------------------------------------------ */

struct runner {
    struct tn__simulation *simulation;
    struct tn__simulation_result result;
};

static void *begin(void)
{
    struct runner *runner = calloc(1, sizeof(*runner));
    tn_assert(runner != NULL);
    runner->simulation = tn__simulation_new();
    return runner;
}

static void end(void *context)
{
    struct runner *runner = context;
    tn__simulation_free(runner->simulation);
    free(runner);
}

static struct tn__simulation_request request_of(const struct tn__run_request *request)
{
    static const struct tn__world_observer tracer = {.see = print_sight};
    return (struct tn__simulation_request){
        .seed = request->seed,
        .events_max = request->events_max,
        .without = request->without,
        .span_ns = request->span_ns,
        .nodes = request->nodes,
        .observer = request->trace ? &tracer : NULL,
    };
}

static void run(void *context, const struct tn__run_request *request, struct tn__run_result *result)
{
    struct runner *runner = context;
    const struct tn__simulation_result *own = &runner->result;
    struct tn__simulation_request asked = request_of(request);
    tn__simulation_run(runner->simulation, &asked, &runner->result);
    *result = (struct tn__run_result){
        .hash = {own->hash[0], own->hash[1]},
        .events = own->events,
        .simulated_ns = own->simulated_ns,
        .faults_on = own->faults_on,
        .counts = {own->tenures},
        .violations_count = own->violations_count,
    };
    for (uint32_t i = 0; i < TN_FAULTS_COUNT; i++) {
        result->hits[i] = own->hits[i];
    }
    for (uint32_t i = 0;
         i < own->violations_count && i < TN_JUDGE_VIOLATIONS_MAX && i < TN_RUN_VIOLATIONS_MAX;
         i++) {
        result->violations[i] = (struct tn__run_violation){
            .real = own->violations[i].real,
            .rule = own->violations[i].rule,
            .text = own->violations[i].text,
            .process = own->violations[i].process,
        };
    }
}

static uint64_t shrink(void *context, const struct tn__run_request *request)
{
    struct runner *runner = context;
    struct tn__simulation_request asked = request_of(request);
    return tn__simulation_shrink(runner->simulation, &asked);
}

static uint64_t draw(const struct tn__run_request *request, struct tn__text *text)
{
    struct tn__swarm swarm;
    tn__swarm_draw(request->seed, request->nodes, request->without, &swarm);
    tn__swarm_print(&swarm, text);
    return swarm.plan.faults;
}

static const char *fault_name(uint32_t index)
{
    return tn__fault_name((enum tn__fault)index);
}

static const char *fault_id(uint32_t index)
{
    return tn__fault_id((enum tn__fault)index);
}

static const char *fault_text(uint32_t index)
{
    return tn__fault_text((enum tn__fault)index);
}

const struct tn__run_workload tn__run_lease = {
    .option = "",
    .faults_count = TN_FAULTS_COUNT,
    .nodes_max = TN_MEMBERS_MAX,
    .counts_count = 1,
    .tells_process = false,
    .counts = {"tenures"},
    .counts_json = {"tenures"},
    .fault_name = fault_name,
    .fault_id = fault_id,
    .fault_text = fault_text,
    .begin = begin,
    .end = end,
    .run = run,
    .shrink = shrink,
    .draw = draw,
};
