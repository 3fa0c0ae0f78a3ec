/* tenure-sim run: seeds through the simulator, on as many threads as asked.
 *
 * A run of one seed prints what the seed means, what happened and the hash over all of it. A
 * campaign of many prints one line for each fault: in how many seeds it happened; a fault that was
 * on and never happened in a long campaign fails it, because then nothing was shown about it. The
 * first violation is shrunk: faults are left off for as long as some violation stays. */
#define _POSIX_C_SOURCE 200809L

#include "cmd/simulate.h"

#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd/simulate_log.h"
#include "sim/simulation.h"

#define STATUS_DONE 0
#define STATUS_FAILED 1
#define STATUS_USAGE 2
#define STATUS_VIOLATION 3

#define THREADS_MAX 64U
#define SEEDS_MAX 1000000000ULL
#define FAILED_SEEDS_MAX 32U

/* From so many seeds on, a fault that never happened is a failure of the campaign. */
#define CAMPAIGN_SEEDS_MIN 500U

struct arguments {
    struct tn__simulation_request request;
    uint64_t seeds;
    const char *without; /* names of faults */
    uint32_t threads;
    bool log; /* the workload is logs, not leases */
    bool trace;
    bool json;
    bool quiet;
};

struct campaign {
    const struct arguments *arguments;
    atomic_uint_fast64_t next; /* offset of the next seed to run */
    pthread_mutex_t lock;      /* of what follows */
    uint64_t seeds;
    uint64_t events;
    uint64_t tenures;
    uint64_t violations;
    uint64_t hash[2]; /* of all runs together, whatever their order */
    uint64_t on[TN_FAULTS_COUNT];
    uint64_t hit_seeds[TN_FAULTS_COUNT];
    uint64_t hits[TN_FAULTS_COUNT];
    double simulated_seconds;
    uint64_t failed[FAILED_SEEDS_MAX];
    uint32_t failed_count;
};

/* ---- When an assertion ends the process ----------------------------------------------------- */

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

/* ---- The trace ------------------------------------------------------------------------------ */

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

/* ---- One seed ------------------------------------------------------------------------------- */

static void add_result(struct campaign *campaign, uint64_t seed,
                       const struct tn__simulation_result *result)
{
    pthread_mutex_lock(&campaign->lock);
    campaign->seeds++;
    campaign->events += result->events;
    campaign->tenures += result->tenures;
    campaign->simulated_seconds += (double)result->simulated_ns / 1e9;
    campaign->hash[0] ^= result->hash[0] * (2 * seed + 1);
    campaign->hash[1] ^= result->hash[1] * (2 * seed + 1);
    for (uint32_t i = 0; i < TN_FAULTS_COUNT; i++) {
        campaign->on[i] += result->faults_on >> i & 1U;
        campaign->hit_seeds[i] += result->hits[i] != 0;
        campaign->hits[i] += result->hits[i];
    }
    if (result->violations_count != 0) {
        campaign->violations += result->violations_count;
        if (campaign->failed_count < FAILED_SEEDS_MAX) {
            campaign->failed[campaign->failed_count++] = seed;
        }
        for (uint32_t i = 0; i < result->violations_count && i < TN_JUDGE_VIOLATIONS_MAX; i++) {
            const struct tn__violation *violation = &result->violations[i];
            printf("seed %" PRIu64 ": %s broken at %.9f s: %s\n", seed, violation->rule,
                   (double)violation->real / 1e9, violation->text);
        }
        fflush(stdout);
    }
    pthread_mutex_unlock(&campaign->lock);
}

static void *run_seeds(void *context)
{
    struct campaign *campaign = context;
    struct tn__simulation *simulation = tn__simulation_new();
    struct tn__simulation_result result;
    for (;;) {
        uint64_t offset = atomic_fetch_add(&campaign->next, 1);
        if (offset >= campaign->arguments->seeds) {
            break;
        }
        struct tn__simulation_request request = campaign->arguments->request;
        request.seed += offset;
        running_seed = request.seed;
        tn__simulation_run(simulation, &request, &result);
        add_result(campaign, request.seed, &result);
    }
    tn__simulation_free(simulation);
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
    if (started < campaign->arguments->threads) {
        fprintf(stderr, "tenure-sim: only %u of %u threads could be started\n", started,
                campaign->arguments->threads);
    }
    for (uint32_t i = 0; i < started; i++) {
        pthread_join(threads[i], NULL);
    }
    return started > 0;
}

/* ---- What is printed ------------------------------------------------------------------------ */

static void print_options(const struct arguments *arguments)
{
    char bytes[4096];
    struct tn__text text;
    struct tn__swarm swarm;
    tn__text_init(&text, bytes, sizeof(bytes));
    tn__swarm_draw(arguments->request.seed, arguments->request.nodes, arguments->request.without,
                   &swarm);
    tn__swarm_print(&swarm, &text);
    printf("seed %" PRIu64 "\n%s", arguments->request.seed, bytes);
}

static void print_faults(const struct campaign *campaign)
{
    printf("%-18s %-4s %8s %8s %12s\n", "fault", "list", "on", "hit in", "times");
    for (uint32_t i = 0; i < TN_FAULTS_COUNT; i++) {
        printf("%-18s %-4s %8" PRIu64 " %8" PRIu64 " %12" PRIu64 "  %s\n",
               tn__fault_name((enum tn__fault)i), tn__fault_id((enum tn__fault)i), campaign->on[i],
               campaign->hit_seeds[i], campaign->hits[i], tn__fault_text((enum tn__fault)i));
    }
}

static uint32_t faults_missed(const struct campaign *campaign)
{
    uint32_t missed = 0;
    for (uint32_t i = 0; campaign->seeds >= CAMPAIGN_SEEDS_MIN && i < TN_FAULTS_COUNT; i++) {
        if (campaign->on[i] != 0 && campaign->hits[i] == 0) {
            printf("fault %s never happened: the campaign shows nothing about it\n",
                   tn__fault_name((enum tn__fault)i));
            missed++;
        }
    }
    return missed;
}

/* The command that runs one seed again. */
static void print_command(const struct arguments *arguments, uint64_t seed, uint64_t without)
{
    printf("again: tenure-sim run --seed %" PRIu64, seed);
    if (arguments->request.nodes != 0) {
        printf(" --nodes %u", arguments->request.nodes);
    }
    if (arguments->request.events_max != 0) {
        printf(" --events %" PRIu64, arguments->request.events_max);
    }
    if (arguments->request.span_ns != 0) {
        printf(" --seconds %llu", (unsigned long long)(arguments->request.span_ns / TN_SECOND));
    }
    const char *separator = " --without ";
    for (uint32_t i = 0; i < TN_FAULTS_COUNT; i++) {
        if ((without >> i & 1U) != 0) {
            printf("%s%s", separator, tn__fault_name((enum tn__fault)i));
            separator = ",";
        }
    }
    printf("\n");
}

static void explain_failure(const struct campaign *campaign)
{
    struct tn__simulation_request request = campaign->arguments->request;
    request.seed = campaign->failed[0];
    running_seed = request.seed;
    struct tn__simulation *simulation = tn__simulation_new();
    uint64_t without = tn__simulation_shrink(simulation, &request);
    tn__simulation_free(simulation);
    struct tn__swarm swarm;
    tn__swarm_draw(request.seed, request.nodes, without, &swarm);
    printf("seed %" PRIu64 " needs:", request.seed);
    for (uint32_t i = 0; i < TN_FAULTS_COUNT; i++) {
        if ((swarm.plan.faults >> i & 1U) != 0) {
            printf(" %s", tn__fault_name((enum tn__fault)i));
        }
    }
    printf("\n");
    print_command(campaign->arguments, request.seed, without & ~request.without);
    for (uint32_t i = 0; i < campaign->failed_count; i++) {
        print_command(campaign->arguments, campaign->failed[i], request.without);
    }
}

static void print_json(const struct campaign *campaign)
{
    printf("{\"hash\":\"%016" PRIx64 "%016" PRIx64 "\",\"seeds\":%" PRIu64 ",\"events\":%" PRIu64
           ",\"violations\":%" PRIu64 ",\"tenures\":%" PRIu64 ",\"simulated_seconds\":%.3f"
           ",\"faults\":{",
           campaign->hash[0], campaign->hash[1], campaign->seeds, campaign->events,
           campaign->violations, campaign->tenures, campaign->simulated_seconds);
    for (uint32_t i = 0; i < TN_FAULTS_COUNT; i++) {
        printf("%s\"%s\":%" PRIu64, i == 0 ? "" : ",", tn__fault_name((enum tn__fault)i),
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

static int run_campaign(const struct arguments *arguments)
{
    struct campaign campaign = {.arguments = arguments, .lock = PTHREAD_MUTEX_INITIALIZER};
    signal(SIGABRT, on_abort);
    print_options(arguments);
    double began = seconds_now();
    if (!run_all(&campaign)) {
        fprintf(stderr, "tenure-sim: no thread could be started: raise the limit of processes\n");
        return STATUS_FAILED;
    }
    double took = seconds_now() - began;
    if (!arguments->quiet) {
        print_faults(&campaign);
    }
    uint32_t missed = faults_missed(&campaign);
    printf("hash %016" PRIx64 "%016" PRIx64 "\n", campaign.hash[0], campaign.hash[1]);
    printf("%" PRIu64 " seeds, %" PRIu64 " events, %" PRIu64
           " tenures, %.0f simulated seconds, %" PRIu64 " violations; %.1f s, %.0f events/s\n",
           campaign.seeds, campaign.events, campaign.tenures, campaign.simulated_seconds,
           campaign.violations, took, (double)campaign.events / took);
    if (campaign.violations != 0) {
        explain_failure(&campaign);
    }
    if (arguments->json) {
        print_json(&campaign);
    }
    fflush(stdout);
    return campaign.violations != 0 ? STATUS_VIOLATION : missed != 0 ? STATUS_FAILED : STATUS_DONE;
}

/* ---- Arguments ------------------------------------------------------------------------------ */

static void print_help(void)
{
    printf("usage: tenure-sim run [--seed N] [options]\n"
           "Run the real machines of leases, or of logs with their write-ahead log, in a simulated "
           "world full of faults.\n"
           "  --seed N        the first seed; everything follows from it [1]\n"
           "  --seeds COUNT   how many seeds, one after the other [1]\n"
           "  --seconds S     simulated seconds of faults [as long as there are events]\n"
           "  --events MAX    events of a run, about [20000]\n"
           "  --nodes K       members, 1 to 15 [as the seed says]\n"
           "  --threads N     threads, each with seeds of its own [1]\n"
           "  --without LIST  faults to leave off, by name, separated by commas\n"
           "  --workload NAME what is run: lease or log [lease]\n"
           "  --trace         print all that happens; one seed, one thread\n"
           "  --quiet         no table of faults\n"
           "  --json          the last line is one JSON object\n"
           "Status: 0 done, 1 failed, 2 wrong usage, 3 an invariant was broken.\n");
}

static bool parse_number(const char *text, uint64_t least, uint64_t most, uint64_t *value)
{
    char *end = NULL;
    if (*text < '0' || *text > '9') {
        return false;
    }
    unsigned long long parsed = strtoull(text, &end, 10);
    *value = parsed;
    return *end == '\0' && strlen(text) <= 20 && parsed >= least && parsed <= most;
}

static bool parse_faults(const char *list, uint64_t *set)
{
    while (*list != '\0') {
        size_t length = strcspn(list, ",");
        uint32_t i = 0;
        while (i < TN_FAULTS_COUNT &&
               (strlen(tn__fault_name((enum tn__fault)i)) != length ||
                strncmp(tn__fault_name((enum tn__fault)i), list, length) != 0)) {
            i++;
        }
        if (i == TN_FAULTS_COUNT) {
            return false;
        }
        *set |= tn__fault_bit((enum tn__fault)i);
        list += length + (list[length] == ',');
    }
    return true;
}

/* One option that takes a value; false: the value is wrong. */
static bool take_value(struct arguments *arguments, int option, const char *text)
{
    uint64_t value = 0;
    switch (option) {
    case 's':
        return parse_number(text, 0, UINT64_MAX, &arguments->request.seed);
    case 'c':
        return parse_number(text, 1, SEEDS_MAX, &arguments->seeds);
    case 'S':
        if (!parse_number(text, 1, 1000000000, &value)) {
            return false;
        }
        arguments->request.span_ns = value * TN_SECOND;
        if (arguments->request.events_max == 0) {
            arguments->request.events_max = 100000000; /* the seconds decide */
        }
        return true;
    case 'e':
        return parse_number(text, 1, 1000000000, &arguments->request.events_max);
    case 'n':
        if (!parse_number(text, 1, TN_MEMBERS_MAX, &value)) {
            return false;
        }
        arguments->request.nodes = (uint32_t)value;
        return true;
    case 't':
        if (!parse_number(text, 1, THREADS_MAX, &value)) {
            return false;
        }
        arguments->threads = (uint32_t)value;
        return true;
    case 'w':
        arguments->log = strcmp(text, "log") == 0;
        return arguments->log || strcmp(text, "lease") == 0;
    default:
        arguments->without = text; /* what it may name depends on the workload */
        return true;
    }
}

static const struct option long_options[] = {
    {"seed", required_argument, NULL, 's'},
    {"seeds", required_argument, NULL, 'c'},
    {"seconds", required_argument, NULL, 'S'},
    {"events", required_argument, NULL, 'e'},
    {"nodes", required_argument, NULL, 'n'},
    {"threads", required_argument, NULL, 't'},
    {"without", required_argument, NULL, 'W'},
    {"workload", required_argument, NULL, 'w'},
    {"trace", no_argument, NULL, 'T'},
    {"quiet", no_argument, NULL, 'q'},
    {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static int run_log(const struct arguments *arguments)
{
    const struct tn__simulate_log log = {
        .seed = arguments->request.seed,
        .seeds = arguments->trace ? 1 : arguments->seeds,
        .events_max = arguments->request.events_max,
        .span_ns = arguments->request.span_ns,
        .without = arguments->without,
        .nodes = arguments->request.nodes,
        .threads = arguments->trace ? 1 : arguments->threads,
        .trace = arguments->trace,
        .json = arguments->json,
        .quiet = arguments->quiet,
    };
    return tn__simulate_log(&log);
}

int tn__simulate_run(int argc, char **argv)
{
    static const struct tn__world_observer tracer = {.see = print_sight};
    struct arguments arguments = {.request = {.seed = 1}, .seeds = 1, .threads = 1};
    optind = 1;
    int option;
    int index = 0;
    while ((option = getopt_long(argc, argv, "", long_options, &index)) != -1) {
        switch (option) {
        case 'h':
            print_help();
            return STATUS_DONE;
        case 'T':
            arguments.trace = true;
            break;
        case 'q':
            arguments.quiet = true;
            break;
        case 'j':
            arguments.json = true;
            break;
        case '?':
            return STATUS_USAGE; /* said by getopt_long() */
        default:
            if (!take_value(&arguments, option, optarg)) {
                fprintf(stderr, "tenure-sim run: --%s: wrong value '%s' (see --help)\n",
                        long_options[index].name, optarg);
                return STATUS_USAGE;
            }
        }
    }
    if (optind < argc) {
        fprintf(stderr, "tenure-sim run: unexpected argument '%s' (see --help)\n", argv[optind]);
        return STATUS_USAGE;
    }
    if (arguments.log) {
        return run_log(&arguments);
    }
    if (arguments.without != NULL && !parse_faults(arguments.without, &arguments.request.without)) {
        fprintf(stderr, "tenure-sim run: --without: wrong value '%s' (see --help)\n",
                arguments.without);
        return STATUS_USAGE;
    }
    if (arguments.trace) {
        arguments.request.observer = &tracer;
        arguments.seeds = 1;
        arguments.threads = 1;
    }
    return run_campaign(&arguments);
}
