/* tenure-sim run: what is asked for on the command line. */
#define _POSIX_C_SOURCE 200809L

#include "cmd/simulate.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/simulate_run.h"

#define SEEDS_MAX 1000000000ULL

/* With --seconds alone, that many events: the seconds decide. */
#define EVENTS_UNBOUNDED 100000000U

struct arguments {
    struct tn__run_campaign campaign;
    const char *without; /* names of faults: which there are depends on the workload */
};

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

/* Names of faults, separated by commas. */
static bool parse_faults(const struct tn__run_workload *workload, const char *list, uint64_t *set)
{
    while (*list != '\0') {
        size_t length = strcspn(list, ",");
        uint32_t i = 0;
        while (i < workload->faults_count && (strlen(workload->fault_name(i)) != length ||
                                              memcmp(workload->fault_name(i), list, length) != 0)) {
            i++;
        }
        if (i == workload->faults_count) {
            return false;
        }
        *set |= 1ULL << i;
        list += length + (list[length] == ',');
    }
    return true;
}

static bool take_number(const char *text, uint64_t least, uint64_t most, uint32_t *value)
{
    uint64_t parsed = 0;
    bool taken = parse_number(text, least, most, &parsed);
    *value = (uint32_t)parsed;
    return taken;
}

/* One option that takes a value; false: the value is wrong. */
static bool take_value(struct arguments *arguments, int option, const char *text)
{
    struct tn__run_campaign *campaign = &arguments->campaign;
    struct tn__run_request *request = &campaign->request;
    uint64_t value = 0;
    switch (option) {
    case 's':
        return parse_number(text, 0, UINT64_MAX, &request->seed);
    case 'c':
        return parse_number(text, 1, SEEDS_MAX, &campaign->seeds);
    case 'S':
        if (!parse_number(text, 1, 1000000000, &value)) {
            return false;
        }
        request->span_ns = value * TN_SECOND;
        return true;
    case 'e':
        campaign->events_given = true;
        return parse_number(text, 1, 1000000000, &request->events_max);
    case 'n':
        return take_number(text, 1, tn__run_lease.nodes_max, &request->nodes);
    case 't':
        return take_number(text, 1, TN_RUN_THREADS_MAX, &campaign->threads);
    case 'w':
        campaign->workload = strcmp(text, "log") == 0 ? &tn__run_log : &tn__run_lease;
        return campaign->workload == &tn__run_log || strcmp(text, "lease") == 0;
    default:
        arguments->without = text;
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

/* What depends on several options. False: they do not go together, which was said. */
static bool complete(struct arguments *arguments)
{
    struct tn__run_campaign *campaign = &arguments->campaign;
    struct tn__run_request *request = &campaign->request;
    if (request->nodes > campaign->workload->nodes_max) {
        fprintf(stderr, "tenure-sim run: at most %u nodes with%s\n", campaign->workload->nodes_max,
                campaign->workload->option);
        return false;
    }
    if (arguments->without != NULL &&
        !parse_faults(campaign->workload, arguments->without, &request->without)) {
        fprintf(stderr,
                "tenure-sim run: --without: no such fault in '%s' (a run%s prints their names)\n",
                arguments->without, campaign->workload->option);
        return false;
    }
    if (request->span_ns != 0 && !campaign->events_given) {
        request->events_max = EVENTS_UNBOUNDED;
    }
    if (request->trace) {
        campaign->seeds = 1;
        campaign->threads = 1;
    }
    return true;
}

int tn__simulate_run(int argc, char **argv)
{
    struct arguments arguments = {
        .campaign = {.workload = &tn__run_lease, .request = {.seed = 1}, .seeds = 1, .threads = 1}};
    optind = 1;
    int option;
    int index = 0;
    while ((option = getopt_long(argc, argv, "", long_options, &index)) != -1) {
        switch (option) {
        case 'h':
            print_help();
            return TN_RUN_DONE;
        case 'T':
            arguments.campaign.request.trace = true;
            break;
        case 'q':
            arguments.campaign.quiet = true;
            break;
        case 'j':
            arguments.campaign.json = true;
            break;
        case '?':
            return TN_RUN_USAGE; /* said by getopt_long() */
        default:
            if (!take_value(&arguments, option, optarg)) {
                fprintf(stderr, "tenure-sim run: --%s: wrong value '%s' (see --help)\n",
                        long_options[index].name, optarg);
                return TN_RUN_USAGE;
            }
        }
    }
    if (optind < argc) {
        fprintf(stderr, "tenure-sim run: unexpected argument '%s' (see --help)\n", argv[optind]);
        return TN_RUN_USAGE;
    }
    return complete(&arguments) ? tn__run_campaign(&arguments.campaign) : TN_RUN_USAGE;
}
