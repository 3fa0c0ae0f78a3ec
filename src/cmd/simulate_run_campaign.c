/* A campaign: seeds through a simulator, on as many threads as asked.
 *
 * A run of one seed prints what the seed means, what happened and the hash over all of it. A
 * campaign of many prints one line for each fault: in how many seeds it happened; a fault that was
 * on and never happened in a long campaign fails it, because then nothing was shown about it. The
 * first violation is shrunk: faults are left off for as long as some violation stays. */
#define _POSIX_C_SOURCE 200809L

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd/simulate_run.h"

#define FAILED_SEEDS_MAX 32U

/* From so many seeds on, a fault that never happened is a failure of the campaign. */
#define CAMPAIGN_SEEDS_MIN 500U

struct totals {
    const struct tn__run_campaign *campaign;
    atomic_uint_fast64_t next; /* offset of the next seed to run */
    pthread_mutex_t lock;      /* of what follows */
    uint64_t seeds;
    uint64_t events;
    uint64_t counts[TN_RUN_COUNTS_MAX];
    uint64_t violations;
    uint64_t hash[2]; /* of all runs together, whatever their order */
    uint64_t on[TN_RUN_FAULTS_MAX];
    uint64_t hit_seeds[TN_RUN_FAULTS_MAX];
    uint64_t hits[TN_RUN_FAULTS_MAX];
    double simulated_seconds;
    uint64_t failed[FAILED_SEEDS_MAX];
    uint32_t failed_count;
};

/* ---- When an assertion ends the process ------------------------------------------------------ */

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

/* ---- Seeds ----------------------------------------------------------------------------------- */

static void print_violations(const struct tn__run_workload *workload, uint64_t seed,
                             const struct tn__run_result *result)
{
    for (uint32_t i = 0; i < result->violations_count && i < TN_RUN_VIOLATIONS_MAX; i++) {
        const struct tn__run_violation *violation = &result->violations[i];
        printf("seed %" PRIu64 ": %s broken at %.9f s", seed, violation->rule,
               (double)violation->real / 1e9);
        if (workload->tells_process) {
            printf(" by %d", (int)violation->process);
        }
        printf(": %s\n", violation->text);
    }
    fflush(stdout);
}

static void add_result(struct totals *totals, uint64_t seed, const struct tn__run_result *result)
{
    const struct tn__run_workload *workload = totals->campaign->workload;
    pthread_mutex_lock(&totals->lock);
    totals->seeds++;
    totals->events += result->events;
    totals->simulated_seconds += (double)result->simulated_ns / 1e9;
    totals->hash[0] ^= result->hash[0] * (2 * seed + 1);
    totals->hash[1] ^= result->hash[1] * (2 * seed + 1);
    for (uint32_t i = 0; i < workload->counts_count; i++) {
        totals->counts[i] += result->counts[i];
    }
    for (uint32_t i = 0; i < workload->faults_count; i++) {
        totals->on[i] += result->faults_on >> i & 1U;
        totals->hit_seeds[i] += result->hits[i] != 0;
        totals->hits[i] += result->hits[i];
    }
    if (result->violations_count != 0) {
        totals->violations += result->violations_count;
        if (totals->failed_count < FAILED_SEEDS_MAX) {
            totals->failed[totals->failed_count++] = seed;
        }
        print_violations(workload, seed, result);
    }
    pthread_mutex_unlock(&totals->lock);
}

static void *run_seeds(void *context)
{
    struct totals *totals = context;
    const struct tn__run_campaign *campaign = totals->campaign;
    void *runner = campaign->workload->begin();
    for (;;) {
        uint64_t offset = atomic_fetch_add(&totals->next, 1);
        if (offset >= campaign->seeds) {
            break;
        }
        struct tn__run_request request = campaign->request;
        struct tn__run_result result = {0};
        request.seed += offset;
        running_seed = request.seed;
        campaign->workload->run(runner, &request, &result);
        add_result(totals, request.seed, &result);
    }
    campaign->workload->end(runner);
    return NULL;
}

static bool run_all(struct totals *totals)
{
    pthread_t threads[TN_RUN_THREADS_MAX];
    uint32_t wanted = totals->campaign->threads;
    uint32_t started = 0;
    while (started < wanted && pthread_create(&threads[started], NULL, run_seeds, totals) == 0) {
        started++;
    }
    if (started == 0) {
        fprintf(stderr, "tenure-sim: no thread could be started: raise the limit of processes\n");
    } else if (started < wanted) {
        fprintf(stderr, "tenure-sim: only %u of %u threads could be started\n", started, wanted);
    }
    for (uint32_t i = 0; i < started; i++) {
        pthread_join(threads[i], NULL);
    }
    return started > 0;
}

/* ---- What is printed ------------------------------------------------------------------------- */

static void print_meaning(const struct tn__run_campaign *campaign)
{
    char bytes[4096];
    struct tn__text text;
    tn__text_init(&text, bytes, sizeof(bytes));
    (void)campaign->workload->draw(&campaign->request, &text);
    printf("seed %" PRIu64 "\n%s", campaign->request.seed, bytes);
}

static void print_faults(const struct totals *totals)
{
    const struct tn__run_workload *workload = totals->campaign->workload;
    printf("%-18s %-4s %8s %8s %12s\n", "fault", "list", "on", "hit in", "times");
    for (uint32_t i = 0; i < workload->faults_count; i++) {
        printf("%-18s %-4s %8" PRIu64 " %8" PRIu64 " %12" PRIu64 "  %s\n", workload->fault_name(i),
               workload->fault_id(i), totals->on[i], totals->hit_seeds[i], totals->hits[i],
               workload->fault_text(i));
    }
}

static uint32_t faults_missed(const struct totals *totals)
{
    const struct tn__run_workload *workload = totals->campaign->workload;
    uint32_t missed = 0;
    for (uint32_t i = 0; totals->seeds >= CAMPAIGN_SEEDS_MIN && i < workload->faults_count; i++) {
        if (totals->on[i] != 0 && totals->hits[i] == 0) {
            printf("fault %s never happened: the campaign shows nothing about it\n",
                   workload->fault_name(i));
            missed++;
        }
    }
    return missed;
}

static void print_set(const struct tn__run_workload *workload, uint64_t set, const char *first,
                      const char *next)
{
    const char *separator = first;
    for (uint32_t i = 0; i < workload->faults_count; i++) {
        if ((set >> i & 1U) != 0) {
            printf("%s%s", separator, workload->fault_name(i));
            separator = next;
        }
    }
    printf("\n");
}

/* The command that runs one seed again. */
static void print_command(const struct tn__run_campaign *campaign, uint64_t seed, uint64_t without)
{
    const struct tn__run_request *request = &campaign->request;
    printf("again: tenure-sim run%s --seed %" PRIu64, campaign->workload->option, seed);
    if (request->nodes != 0) {
        printf(" --nodes %u", request->nodes);
    }
    if (campaign->events_given) {
        printf(" --events %" PRIu64, request->events_max);
    }
    if (request->span_ns != 0) {
        printf(" --seconds %llu", (unsigned long long)(request->span_ns / TN_SECOND));
    }
    print_set(campaign->workload, without, " --without ", ",");
}

static void explain_failure(const struct totals *totals)
{
    const struct tn__run_campaign *campaign = totals->campaign;
    const struct tn__run_workload *workload = campaign->workload;
    struct tn__run_request request = campaign->request;
    request.seed = totals->failed[0];
    running_seed = request.seed;
    void *runner = workload->begin();
    uint64_t without = workload->shrink(runner, &request);
    workload->end(runner);
    char bytes[4096];
    struct tn__text text;
    tn__text_init(&text, bytes, sizeof(bytes));
    request.without = without;
    printf("seed %" PRIu64 " needs:", request.seed);
    print_set(workload, workload->draw(&request, &text), " ", " ");
    print_command(campaign, request.seed, without & ~campaign->request.without);
    for (uint32_t i = 0; i < totals->failed_count; i++) {
        print_command(campaign, totals->failed[i], campaign->request.without);
    }
}

static void print_json(const struct totals *totals)
{
    const struct tn__run_workload *workload = totals->campaign->workload;
    printf("{\"hash\":\"%016" PRIx64 "%016" PRIx64 "\",\"seeds\":%" PRIu64 ",\"events\":%" PRIu64
           ",\"violations\":%" PRIu64,
           totals->hash[0], totals->hash[1], totals->seeds, totals->events, totals->violations);
    for (uint32_t i = 0; i < workload->counts_count; i++) {
        printf(",\"%s\":%" PRIu64, workload->counts_json[i], totals->counts[i]);
    }
    printf(",\"simulated_seconds\":%.3f,\"faults\":{", totals->simulated_seconds);
    for (uint32_t i = 0; i < workload->faults_count; i++) {
        printf("%s\"%s\":%" PRIu64, i == 0 ? "" : ",", workload->fault_name(i), totals->hits[i]);
    }
    printf("},\"failed_seeds\":[");
    for (uint32_t i = 0; i < totals->failed_count; i++) {
        printf("%s%" PRIu64, i == 0 ? "" : ",", totals->failed[i]);
    }
    printf("]}\n");
}

static void print_totals(const struct totals *totals, double took)
{
    const struct tn__run_workload *workload = totals->campaign->workload;
    printf("hash %016" PRIx64 "%016" PRIx64 "\n", totals->hash[0], totals->hash[1]);
    printf("%" PRIu64 " seeds, %" PRIu64 " events", totals->seeds, totals->events);
    for (uint32_t i = 0; i < workload->counts_count; i++) {
        printf(", %" PRIu64 " %s", totals->counts[i], workload->counts[i]);
    }
    printf(", %.0f simulated seconds, %" PRIu64 " violations; %.1f s, %.0f events/s\n",
           totals->simulated_seconds, totals->violations, took, (double)totals->events / took);
}

/* ---- A campaign ------------------------------------------------------------------------------ */

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int tn__run_campaign(const struct tn__run_campaign *campaign)
{
    struct totals totals = {.campaign = campaign, .lock = PTHREAD_MUTEX_INITIALIZER};
    signal(SIGABRT, on_abort);
    print_meaning(campaign);
    double began = seconds_now();
    if (!run_all(&totals)) {
        return TN_RUN_FAILED;
    }
    double took = seconds_now() - began;
    if (!campaign->quiet) {
        print_faults(&totals);
    }
    uint32_t missed = faults_missed(&totals);
    print_totals(&totals, took);
    if (totals.violations != 0) {
        explain_failure(&totals);
    }
    if (campaign->json) {
        print_json(&totals);
    }
    fflush(stdout);
    return totals.violations != 0 ? TN_RUN_VIOLATION : missed != 0 ? TN_RUN_FAILED : TN_RUN_DONE;
}
