/* tenure-sim run --workload log: seeds through the simulator of logs, on as many threads as asked.
 *
 * As for leases (simulate_run.c): a run of one seed prints what it means, what happened and the
 * hash over all of it; a campaign prints in how many seeds each fault happened, and fails if one
 * that was on never did; the first violation is shrunk. */
#define _POSIX_C_SOURCE 200809L

#include "cmd/simulate_log.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sim/log_simulation.h"

#define STATUS_DONE 0
#define STATUS_FAILED 1
#define STATUS_USAGE 2
#define STATUS_VIOLATION 3

#define THREADS_MAX 64U
#define FAILED_SEEDS_MAX 32U

/* From so many seeds on, a fault that never happened is a failure of the campaign. */
#define CAMPAIGN_SEEDS_MIN 500U

struct campaign {
    const struct tn__simulate_log *arguments;
    struct tn__log_simulation_request request;
    atomic_uint_fast64_t next;
    pthread_mutex_t lock; /* of what follows */
    uint64_t seeds;
    uint64_t events;
    uint64_t committed;
    uint64_t operations;
    uint64_t done;
    uint64_t violations;
    uint64_t hash[2];
    uint64_t on[TN_LOG_FAULTS_COUNT];
    uint64_t hit_seeds[TN_LOG_FAULTS_COUNT];
    uint64_t hits[TN_LOG_FAULTS_COUNT];
    double simulated_seconds;
    uint64_t failed[FAILED_SEEDS_MAX];
    uint32_t failed_count;
};

static _Thread_local uint64_t running_seed;

static void on_abort(int signal_number)
{
    char line[64] = "the seed that ran: ";
    size_t length = strlen(line);
    char digits[24];
    size_t count = 0;
    uint64_t seed = running_seed;
    do {
        digits[count++] = (char)('0' + seed % 10);
        seed /= 10;
    } while (seed != 0);
    while (count > 0) {
        line[length++] = digits[--count];
    }
    line[length++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, length);
    (void)written;
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

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

/* ---- Seeds ----------------------------------------------------------------------------------- */

static void print_violations(uint64_t seed, const struct tn__log_simulation_result *result)
{
    for (uint32_t i = 0; i < result->violations_count && i < TN_LOG_VIOLATIONS_MAX; i++) {
        const struct tn__log_violation *violation = &result->violations[i];
        printf("seed %" PRIu64 ": %s broken at %.9f s by %d: %s\n", seed, violation->rule,
               (double)violation->real / 1e9, (int)violation->process, violation->text);
    }
    fflush(stdout);
}

static void add_result(struct campaign *campaign, uint64_t seed,
                       const struct tn__log_simulation_result *result)
{
    pthread_mutex_lock(&campaign->lock);
    campaign->seeds++;
    campaign->events += result->events;
    campaign->committed += result->committed;
    campaign->operations += result->operations;
    campaign->done += result->done;
    campaign->simulated_seconds += (double)result->simulated_ns / 1e9;
    campaign->hash[0] ^= result->hash[0] * (2 * seed + 1);
    campaign->hash[1] ^= result->hash[1] * (2 * seed + 1);
    for (uint32_t i = 0; i < TN_LOG_FAULTS_COUNT; i++) {
        campaign->on[i] += result->faults_on >> i & 1U;
        campaign->hit_seeds[i] += result->hits[i] != 0;
        campaign->hits[i] += result->hits[i];
    }
    if (result->violations_count != 0) {
        campaign->violations += result->violations_count;
        if (campaign->failed_count < FAILED_SEEDS_MAX) {
            campaign->failed[campaign->failed_count++] = seed;
        }
        print_violations(seed, result);
    }
    pthread_mutex_unlock(&campaign->lock);
}

static void *run_seeds(void *context)
{
    struct campaign *campaign = context;
    struct tn__log_simulation *simulation = tn__log_simulation_new();
    struct tn__log_simulation_result result;
    for (;;) {
        uint64_t offset = atomic_fetch_add(&campaign->next, 1);
        if (offset >= campaign->arguments->seeds) {
            break;
        }
        struct tn__log_simulation_request request = campaign->request;
        request.seed += offset;
        running_seed = request.seed;
        tn__log_simulation_run(simulation, &request, &result);
        add_result(campaign, request.seed, &result);
    }
    tn__log_simulation_free(simulation);
    return NULL;
}

static bool run_all(struct campaign *campaign)
{
    pthread_t threads[THREADS_MAX];
    uint32_t started = 0;
    while (started < campaign->arguments->threads &&
           pthread_create(&threads[started], NULL, run_seeds, campaign) == 0) {
        started++;
    }
    for (uint32_t i = 0; i < started; i++) {
        pthread_join(threads[i], NULL);
    }
    return started > 0;
}

/* ---- What is printed ------------------------------------------------------------------------- */

static void print_options(const struct tn__log_simulation_request *request)
{
    char bytes[4096];
    struct tn__text text;
    struct tn__log_swarm swarm;
    tn__text_init(&text, bytes, sizeof(bytes));
    tn__log_swarm_draw(request->seed, request->nodes, request->without, &swarm);
    tn__log_swarm_print(&swarm, &text);
    printf("seed %" PRIu64 "\n%s", request->seed, bytes);
}

static void print_faults(const struct campaign *campaign)
{
    printf("%-18s %-4s %8s %8s %12s\n", "fault", "list", "on", "hit in", "times");
    for (uint32_t i = 0; i < TN_LOG_FAULTS_COUNT; i++) {
        enum tn__log_fault fault = (enum tn__log_fault)i;
        printf("%-18s %-4s %8" PRIu64 " %8" PRIu64 " %12" PRIu64 "  %s\n",
               tn__log_fault_name(fault), tn__log_fault_id(fault), campaign->on[i],
               campaign->hit_seeds[i], campaign->hits[i], tn__log_fault_text(fault));
    }
}

static uint32_t faults_missed(const struct campaign *campaign)
{
    uint32_t missed = 0;
    for (uint32_t i = 0; campaign->seeds >= CAMPAIGN_SEEDS_MIN && i < TN_LOG_FAULTS_COUNT; i++) {
        if (campaign->on[i] != 0 && campaign->hits[i] == 0) {
            printf("fault %s never happened: the campaign shows nothing about it\n",
                   tn__log_fault_name((enum tn__log_fault)i));
            missed++;
        }
    }
    return missed;
}

static void print_command(const struct campaign *campaign, uint64_t seed, uint64_t without)
{
    const struct tn__log_simulation_request *request = &campaign->request;
    printf("again: tenure-sim run --workload log --seed %" PRIu64, seed);
    if (request->nodes != 0) {
        printf(" --nodes %u", request->nodes);
    }
    if (request->span_ns != 0) {
        printf(" --seconds %llu", (unsigned long long)(request->span_ns / TN_SECOND));
    } else if (request->events_max != 0) {
        printf(" --events %" PRIu64, request->events_max);
    }
    const char *separator = " --without ";
    for (uint32_t i = 0; i < TN_LOG_FAULTS_COUNT; i++) {
        if ((without >> i & 1U) != 0) {
            printf("%s%s", separator, tn__log_fault_name((enum tn__log_fault)i));
            separator = ",";
        }
    }
    printf("\n");
}

static void explain_failure(const struct campaign *campaign)
{
    struct tn__log_simulation_request request = campaign->request;
    request.seed = campaign->failed[0];
    running_seed = request.seed;
    struct tn__log_simulation *simulation = tn__log_simulation_new();
    uint64_t without = tn__log_simulation_shrink(simulation, &request);
    tn__log_simulation_free(simulation);
    struct tn__log_swarm swarm;
    tn__log_swarm_draw(request.seed, request.nodes, without, &swarm);
    printf("seed %" PRIu64 " needs:", request.seed);
    for (uint32_t i = 0; i < TN_LOG_FAULTS_COUNT; i++) {
        if ((swarm.faults.faults >> i & 1U) != 0) {
            printf(" %s", tn__log_fault_name((enum tn__log_fault)i));
        }
    }
    printf("\n");
    print_command(campaign, request.seed, without & ~request.without);
    for (uint32_t i = 0; i < campaign->failed_count; i++) {
        print_command(campaign, campaign->failed[i], request.without);
    }
}

static void print_json(const struct campaign *campaign)
{
    printf("{\"hash\":\"%016" PRIx64 "%016" PRIx64 "\",\"seeds\":%" PRIu64 ",\"events\":%" PRIu64
           ",\"violations\":%" PRIu64 ",\"committed\":%" PRIu64 ",\"operations\":%" PRIu64
           ",\"answered\":%" PRIu64 ",\"simulated_seconds\":%.3f,\"faults\":{",
           campaign->hash[0], campaign->hash[1], campaign->seeds, campaign->events,
           campaign->violations, campaign->committed, campaign->operations, campaign->done,
           campaign->simulated_seconds);
    for (uint32_t i = 0; i < TN_LOG_FAULTS_COUNT; i++) {
        printf("%s\"%s\":%" PRIu64, i == 0 ? "" : ",", tn__log_fault_name((enum tn__log_fault)i),
               campaign->hits[i]);
    }
    printf("},\"failed_seeds\":[");
    for (uint32_t i = 0; i < campaign->failed_count; i++) {
        printf("%s%" PRIu64, i == 0 ? "" : ",", campaign->failed[i]);
    }
    printf("]}\n");
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int print_campaign(const struct campaign *campaign, double took)
{
    if (!campaign->arguments->quiet) {
        print_faults(campaign);
    }
    uint32_t missed = faults_missed(campaign);
    printf("hash %016" PRIx64 "%016" PRIx64 "\n", campaign->hash[0], campaign->hash[1]);
    printf("%" PRIu64 " seeds, %" PRIu64 " events, %" PRIu64 " slots, %" PRIu64 " calls, %" PRIu64
           " answered, %.0f simulated seconds, %" PRIu64 " violations; %.1f s, %.0f events/s\n",
           campaign->seeds, campaign->events, campaign->committed, campaign->operations,
           campaign->done, campaign->simulated_seconds, campaign->violations, took,
           (double)campaign->events / took);
    if (campaign->violations != 0) {
        explain_failure(campaign);
    }
    if (campaign->arguments->json) {
        print_json(campaign);
    }
    fflush(stdout);
    return campaign->violations != 0 ? STATUS_VIOLATION : missed != 0 ? STATUS_FAILED : STATUS_DONE;
}

/* ---- The front ------------------------------------------------------------------------------- */

/* Names of faults, separated by commas. */
static bool parse_faults(const char *list, uint64_t *set)
{
    while (*list != '\0') {
        size_t length = strcspn(list, ",");
        uint32_t i = 0;
        while (i < TN_LOG_FAULTS_COUNT &&
               (strlen(tn__log_fault_name((enum tn__log_fault)i)) != length ||
                strncmp(tn__log_fault_name((enum tn__log_fault)i), list, length) != 0)) {
            i++;
        }
        if (i == TN_LOG_FAULTS_COUNT) {
            return false;
        }
        *set |= tn__log_fault_bit((enum tn__log_fault)i);
        list += length + (list[length] == ',');
    }
    return true;
}

int tn__simulate_log(const struct tn__simulate_log *arguments)
{
    static const struct tn__log_observer tracer = {.see = print_sight};
    struct campaign campaign = {.arguments = arguments, .lock = PTHREAD_MUTEX_INITIALIZER};
    struct tn__log_simulation_request *request = &campaign.request;
    request->seed = arguments->seed;
    request->events_max = arguments->events_max;
    request->span_ns = arguments->span_ns;
    request->nodes = arguments->nodes;
    request->observer = arguments->trace ? &tracer : NULL;
    if (arguments->nodes > TN_LOG_WORLD_NODES_MAX) {
        fprintf(stderr, "tenure-sim run: at most %u nodes with --workload log\n",
                TN_LOG_WORLD_NODES_MAX);
        return STATUS_USAGE;
    }
    if (arguments->without != NULL && !parse_faults(arguments->without, &request->without)) {
        fprintf(stderr,
                "tenure-sim run: --without: no such fault of logs in '%s' (a run prints "
                "their names)\n",
                arguments->without);
        return STATUS_USAGE;
    }
    signal(SIGABRT, on_abort);
    print_options(request);
    double began = seconds_now();
    if (!run_all(&campaign)) {
        fprintf(stderr, "tenure-sim: no thread could be started: raise the limit of processes\n");
        return STATUS_FAILED;
    }
    return print_campaign(&campaign, seconds_now() - began);
}
