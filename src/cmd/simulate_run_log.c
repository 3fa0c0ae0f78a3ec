/* Logs as a workload of `tenure-sim run`: the trace, and what a campaign asks for. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "cmd/simulate_run.h"
#include "sim/log_simulation.h"

_Static_assert(TN_LOG_FAULTS_COUNT <= TN_RUN_FAULTS_MAX, "each fault has a place");

/* ---- The trace ------------------------------------------------------------------------------- */

static const char *const sight_names[TN_LOG_SIGHT_KINDS_END] = {
    "",      "started", "not started", "recovered", "crashed", "harmed", "paused",    "resumed",
    "event", "append",  "durable",     "failed",    "sends",   "frame",  "delivered", "refused",
    "lost",  "commits", "executes",    "answers",   "notice",  ""};
static const char *const message_names[TN_LOG_MESSAGE_KINDS_END] = {
    "-",        "PREPARE",   "PROMISE",   "ABORT",       "SUGGEST", "ACCEPT",
    "ACCEPTED", "HEARTBEAT", "HB_ANSWER", "FETCH",       "FETCHED", "FORWARD",
    "ASSIGNED", "REFUSED",   "READ",      "READ_ANSWER", "RESOLVE"};
static const char *const event_names[] = {
    "",     "MESSAGE", "TIMER",  "WRITTEN",   "WRITE_FAILED", "PROPOSE",    "CANCEL",
    "READ", "TENURE",  "LEADER", "CONNECTED", "APPLIED",      "STORE_FULL", "RETAIN"};
static const char *const record_names[] = {"", "PROMISE", "ACCEPT", "LEARN", "STATE"};
static const char *const notice_names[] = {
    "",     "STATE",       "ASSIGNED", "REFUSED",          "LOST",
    "READ", "READ_FAILED", "INCIDENT", "CHECKPOINT_NEEDED"};

static void print_ballot(struct tn_log_ballot ballot)
{
    printf(" %" PRIu64 ".%" PRIu64 ".%u/%" PRIu64, ballot.token, ballot.attempt, ballot.node,
           ballot.restart_word >> 32);
}

static void print_message(const struct tn__log_sight *sight)
{
    const struct tn_log_message *message = sight->message;
    printf(" %s", message_names[message->kind]);
    print_ballot(message->ballot);
    printf(" slots %" PRIu64 "..%" PRIu64 " committed %" PRIu64 " accepted %" PRIu64 " id %" PRIu64
           " entries %u to %x",
           message->slot, message->slot_end, message->committed, message->accepted, message->id,
           message->entries_count, (unsigned)sight->word);
}

static void print_sight(void *context, const struct tn__log_sight *sight)
{
    (void)context;
    if (sight->kind == TN_LOG_SIGHT_TURN_ENDED || sight->kind == TN_LOG_SIGHT_FRAME) {
        return;
    }
    printf("%14.9f %u.%u %s", (double)sight->real / 1e9, sight->process, sight->group,
           sight_names[sight->kind]);
    if (sight->kind == TN_LOG_SIGHT_EVENT) {
        printf(" %s", event_names[sight->word]);
        if (sight->event != NULL && sight->event->message != NULL) {
            printf(" %s from %u", message_names[sight->event->message->kind], sight->event->from);
            print_ballot(sight->event->message->ballot);
        } else if (sight->event != NULL) {
            printf(" %" PRIu64 " token %" PRIu64, sight->event->number, sight->event->token);
        }
    }
    if (sight->message != NULL) {
        print_message(sight);
    }
    if (sight->record != NULL) {
        printf(" %" PRIu64 " %s", sight->record->write, record_names[sight->record->kind]);
        print_ballot(sight->record->ballot);
        printf(" committed %" PRIu64, sight->record->committed);
    }
    if (sight->recovered != NULL) {
        print_ballot(sight->recovered->promise);
        printf(" committed %" PRIu64 " damaged %u upto %" PRIu64, sight->recovered->committed,
               sight->recovered->damaged, sight->recovered->damaged_upto);
    }
    if (sight->notice != NULL) {
        printf(" %s %" PRIu64 " x%u slot %" PRIu64 " reason %u", notice_names[sight->notice->kind],
               sight->notice->number, sight->notice->count, sight->notice->slot,
               sight->notice->reason);
    }
    if (sight->answer != NULL) {
        printf(" %" PRIu64 " slot %" PRIu64 " kind %d", sight->answer->number, sight->answer->slot,
               (int)sight->answer->answer);
    }
    if (sight->frame != NULL) {
        printf(" %" PRIu64 " %u->%u %s", sight->frame->serial, sight->frame->from, sight->frame->to,
               message_names[sight->frame->kind]);
    }
    if (sight->entries_count > 0) {
        printf(" [%" PRIu64 "..%" PRIu64 "]", sight->entries[0].slot,
               sight->entries[sight->entries_count - 1].slot);
    }
    printf("%s%s\n", sight->text != NULL ? " " : "", sight->text != NULL ? sight->text : "");
}

/* ---- Runs ------------------------------------------------------------------------------------ */

struct runner {
    struct tn__log_simulation *simulation;
    struct tn__log_simulation_result result;
};

static void *begin(void)
{
    struct runner *runner = calloc(1, sizeof(*runner));
    tn_assert(runner != NULL);
    runner->simulation = tn__log_simulation_new();
    return runner;
}

static void end(void *context)
{
    struct runner *runner = context;
    tn__log_simulation_free(runner->simulation);
    free(runner);
}

static struct tn__log_simulation_request request_of(const struct tn__run_request *request)
{
    static const struct tn__log_observer tracer = {.see = print_sight};
    return (struct tn__log_simulation_request){
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
    const struct tn__log_simulation_result *own = &runner->result;
    struct tn__log_simulation_request asked = request_of(request);
    tn__log_simulation_run(runner->simulation, &asked, &runner->result);
    *result = (struct tn__run_result){
        .hash = {own->hash[0], own->hash[1]},
        .events = own->events,
        .simulated_ns = own->simulated_ns,
        .faults_on = own->faults_on,
        .counts = {own->committed, own->operations, own->done},
        .violations_count = own->violations_count,
    };
    for (uint32_t i = 0; i < TN_LOG_FAULTS_COUNT; i++) {
        result->hits[i] = own->hits[i];
    }
    for (uint32_t i = 0;
         i < own->violations_count && i < TN_LOG_VIOLATIONS_MAX && i < TN_RUN_VIOLATIONS_MAX; i++) {
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
    struct tn__log_simulation_request asked = request_of(request);
    return tn__log_simulation_shrink(runner->simulation, &asked);
}

static uint64_t draw(const struct tn__run_request *request, struct tn__text *text)
{
    struct tn__log_swarm swarm;
    tn__log_swarm_draw(request->seed, request->nodes, request->without, &swarm);
    tn__log_swarm_print(&swarm, text);
    return swarm.faults.faults;
}

static const char *fault_name(uint32_t index)
{
    return tn__log_fault_name((enum tn__log_fault)index);
}

static const char *fault_id(uint32_t index)
{
    return tn__log_fault_id((enum tn__log_fault)index);
}

static const char *fault_text(uint32_t index)
{
    return tn__log_fault_text((enum tn__log_fault)index);
}

const struct tn__run_workload tn__run_log = {
    .option = " --workload log",
    .faults_count = TN_LOG_FAULTS_COUNT,
    .nodes_max = TN_LOG_WORLD_NODES_MAX,
    .counts_count = 3,
    .tells_process = true,
    .counts = {"slots", "calls", "answered"},
    .counts_json = {"committed", "operations", "answered"},
    .fault_name = fault_name,
    .fault_id = fault_id,
    .fault_text = fault_text,
    .begin = begin,
    .end = end,
    .run = run,
    .shrink = shrink,
    .draw = draw,
};
