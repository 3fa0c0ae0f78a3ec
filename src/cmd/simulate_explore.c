/* tenure-sim explore: the options, and which configurations run. simulate_search.c does the rest.
 *
 * The explorer of a mutant is a program of its own, built from a patched copy of the sources by
 * tools/mutants.py and found beside this one: ../mutants/NAME/explore. */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check/explore_mutants.h"
#include "cmd/cmd_options.h"
#include "cmd/simulate.h"
#include "cmd/simulate_search.h"

/* `--quick` is for every day: the searches that take at most so long, 30 s in all. */
#define QUICK_SECONDS 1

static const struct tn__cmd_option option_table[] = {
    {.name = "config",
     .argument = "NAME",
     .kind = TN_CMD_WORD,
     .help = "explore this configuration"},
    {.name = "mutant",
     .argument = "NAME",
     .kind = TN_CMD_WORD,
     .help = "explore the code with this rule weakened, in the\nconfiguration that shows it "
             "(first: make mutants)"},
    {.name = "all",
     .kind = TN_CMD_SWITCH,
     .help = "explore all that must exhaust or must fail, one line\neach; the default"},
    {.name = "quick", .kind = TN_CMD_SWITCH, .help = "of these, what fits in 30 seconds in total"},
    {.name = "list", .kind = TN_CMD_SWITCH, .help = "list the configurations and mutants"},
    {.name = "threads",
     .argument = "N",
     .fallback = "2",
     .kind = TN_CMD_NUMBER,
     .least = 1,
     .most = TN_EXPLORE_THREADS_MAX,
     .help = "how many threads search"},
    {.name = "memory-gib",
     .argument = "N",
     .fallback = "12",
     .kind = TN_CMD_NUMBER,
     .least = 1,
     .most = 1024,
     .help = "stop with status 4 when this is not enough"},
    {.name = "seed",
     .argument = "N",
     .fallback = "0",
     .kind = TN_CMD_NUMBER,
     .help = "of the fingerprints: another one must not matter"},
    {.name = "invariant",
     .argument = "NAME",
     .kind = TN_CMD_TEXT,
     .help = "judge by this one alone, e.g. inv.L1"},
    {.name = "no-reduction",
     .kind = TN_CMD_SWITCH,
     .help = "merge no states: neither normal forms nor symmetry"},
    {.name = "trace",
     .argument = "FILE",
     .kind = TN_CMD_TEXT,
     .help = "write a violation as a scenario for tenure-sim play"},
    {.name = "json", .kind = TN_CMD_SWITCH, .help = "end with one JSON object"},
};

static const struct tn__cmd_program program = {
    .name = "tenure-sim explore",
    .summary = "search every state of a small cluster of the real cells",
    .environment = "TENURE_SIM_",
    .options = option_table,
    .options_count = sizeof(option_table) / sizeof(option_table[0]),
    .epilogue = "status: 0 exhausted (or each as it should be), 1 failed, 2 wrong usage,\n"
                "        3 a violation was found, 4 a bound was reached before the end\n",
};

/* ---- --list ------------------------------------------------------------------------------------
 */

static void list_json(void)
{
    struct tn__explore_lease_config config;
    struct tn__explore_log_config log;
    printf("{\"configurations\": [");
    for (uint32_t i = 0; tn__explore_lease_config_at(i, &config); i++) {
        printf("%s\"%s\"", i == 0 ? "" : ", ", config.name);
    }
    for (uint32_t i = 0; tn__explore_log_config_at(i, &log); i++) {
        printf(", \"%s\"", log.name);
    }
    printf("], \"mutants\": [");
    for (uint32_t i = 0; i < tn__explore_mutants_count; i++) {
        printf("%s\"%s\"", i == 0 ? "" : ", ", tn__explore_mutants[i]);
    }
    printf("]}\n");
}

static int list(bool json)
{
    struct tn__explore_lease_config config;
    if (json) {
        list_json();
        return TN_CMD_DONE;
    }
    printf("%-28s %-6s %-5s %s\n", "configuration", "P/A/B", "must", "about");
    for (uint32_t i = 0; tn__explore_lease_config_at(i, &config); i++) {
        printf("%-28s %u/%u/%u  %-5s %s\n", config.name, config.proposers, config.acceptors,
               config.ballots,
               config.setting    ? "-"
               : config.violates ? "fail"
                                 : "hold",
               config.about);
    }
    struct tn__explore_log_config log;
    for (uint32_t i = 0; tn__explore_log_config_at(i, &log); i++) {
        printf("%-28s %u/%u/%u  %-5s %s\n", log.name, log.proposers, log.nodes, log.ballots,
               log.setting ? "-" : "hold", log.about);
    }
    printf("\nmutants\n");
    for (uint32_t i = 0; i < tn__explore_mutants_count; i++) {
        printf("%s\n", tn__explore_mutants[i]);
    }
    return TN_CMD_DONE;
}

/* ---- --mutant ----------------------------------------------------------------------------------
 */

/* Where the explorer of a mutant lies: beside this program's folder. */
static bool mutant_path(const char *name, char *path, size_t size)
{
    char self[4096];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (length <= 0) {
        return false;
    }
    self[length] = '\0';
    char *slash = strrchr(self, '/');
    if (slash == NULL) {
        return false;
    }
    *slash = '\0';
    int needed = snprintf(path, size, "%s/../mutants/%s/explore", self, name);
    return needed > 0 && (size_t)needed < size;
}

static int run_mutant(const struct tn__cmd_options *options)
{
    const char *name = tn__cmd_text(options, "mutant");
    bool known = false;
    for (uint32_t i = 0; i < tn__explore_mutants_count; i++) {
        known = known || strcmp(tn__explore_mutants[i], name) == 0;
    }
    if (!known) {
        fprintf(stderr, "tenure-sim explore: there is no mutant \"%s\"; --list names them\n", name);
        return TN_CMD_USAGE;
    }
    char path[4200];
    if (!mutant_path(name, path, sizeof(path)) || access(path, X_OK) != 0) {
        fprintf(stderr, "tenure-sim explore: mutant %s is not built; run \"make mutants\" first\n",
                name);
        return TN_CMD_FAILED;
    }
    char threads[32];
    char memory[32];
    char seed[32];
    snprintf(threads, sizeof(threads), "%" PRIu64, tn__cmd_number(options, "threads"));
    snprintf(memory, sizeof(memory), "%" PRIu64, tn__cmd_number(options, "memory-gib"));
    snprintf(seed, sizeof(seed), "%" PRIu64, tn__cmd_number(options, "seed"));
    const char *config = tn__cmd_text(options, "config");
    const char *invariant = tn__cmd_text(options, "invariant");
    const char *trace = tn__cmd_text(options, "trace");
    char *arguments[] = {
        path,
        threads,
        memory,
        seed,
        (char *)(uintptr_t)(config != NULL ? config : ""),
        (char *)(uintptr_t)(invariant != NULL ? invariant : ""),
        (char *)(uintptr_t)(trace != NULL ? trace : ""),
        (char *)(uintptr_t)(tn__cmd_switch(options, "no-reduction") ? "plain" : ""),
        (char *)(uintptr_t)(tn__cmd_switch(options, "json") ? "json" : ""),
        NULL,
    };
    execv(path, arguments);
    fprintf(stderr, "tenure-sim explore: %s: %s\n", path, strerror(errno));
    return TN_CMD_FAILED;
}

/* ---- Searches ----------------------------------------------------------------------------------
 */

static struct tn__search_request request_of(const struct tn__cmd_options *options)
{
    return (struct tn__search_request){
        .invariant = tn__cmd_text(options, "invariant"),
        .trace = tn__cmd_text(options, "trace"),
        .memory_bytes = tn__cmd_number(options, "memory-gib") << 30,
        .seed = tn__cmd_number(options, "seed"),
        .threads = (uint32_t)tn__cmd_number(options, "threads"),
        .reduced = !tn__cmd_switch(options, "no-reduction"),
        .json = tn__cmd_switch(options, "json"),
    };
}

static int run_one(const struct tn__cmd_options *options)
{
    const char *name = tn__cmd_text(options, "config");
    struct tn__search_request request = request_of(options);
    struct tn__search_totals totals = {0};
    if (!tn__search_config_find(&request, name)) {
        fprintf(stderr, "tenure-sim explore: there is no configuration \"%s\"; --list names them\n",
                name);
        return TN_CMD_USAGE;
    }
    return tn__search(&request, &totals);
}

/* The worst of two statuses of a series: a violation, then a bound, then any other failure. */
static int worse(int a, int b)
{
    static const int order[] = {TN_SEARCH_VIOLATION, TN_SEARCH_BOUND, TN_CMD_FAILED};
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        if (a == order[i] || b == order[i]) {
            return order[i];
        }
    }
    return TN_CMD_DONE;
}

/* One of a series; `found` is worse or better than what was found before. */
static int run_next(struct tn__search_request *request, struct tn__search_totals *totals,
                    bool violates, int status)
{
    int found = tn__search(request, totals);
    if (violates) {
        found = found == TN_SEARCH_VIOLATION ? TN_CMD_DONE : TN_CMD_FAILED;
    }
    return worse(status, found);
}

static int run_series(const struct tn__cmd_options *options)
{
    bool quick = tn__cmd_switch(options, "quick");
    struct tn__search_request request = request_of(options);
    struct tn__search_totals totals = {0};
    int status = TN_CMD_DONE;
    request.quiet = true;
    tn__search_heading();
    for (uint32_t i = 0; tn__explore_lease_config_at(i, &request.config); i++) {
        if (!request.config.setting && (!quick || request.config.seconds <= QUICK_SECONDS)) {
            status = run_next(&request, &totals, request.config.violates != 0, status);
        }
    }
    for (uint32_t i = 0; tn__explore_log_config_at(i, &request.log); i++) {
        if (!request.log.setting && (!quick || request.log.seconds <= QUICK_SECONDS)) {
            status = run_next(&request, &totals, false, status);
        }
    }
    double seconds = (double)totals.elapsed_ns / 1e9;
    printf("%" PRIu32 " searches, %" PRIu32 " with another verdict than they should have, %.1f s\n",
           totals.searches, totals.wrong, seconds);
    if (request.json) {
        printf("{\"searches\": %" PRIu32 ", \"wrong\": %" PRIu32 ", \"states\": %" PRIu64
               ", \"transitions\": %" PRIu64 ", \"seconds\": %.3f, \"transitions_per_second\": %.0f"
               ", \"memory_bytes\": %" PRIu64 ", \"threads\": %" PRIu32 "}\n",
               totals.searches, totals.wrong, totals.states, totals.transitions, seconds,
               seconds > 0 ? (double)totals.transitions / seconds : 0, totals.memory_bytes,
               request.threads);
    }
    return status;
}

int tn__simulate_explore(int argc, char **argv)
{
    static struct tn__cmd_options options;
    switch (tn__cmd_options_read(&options, &program, argc, argv)) {
    case TN_CMD_SHOWN:
        return TN_CMD_DONE;
    case TN_CMD_WRONG:
        return tn__cmd_options_complain(&options);
    default:
        break;
    }
    int status;
    if (tn__cmd_switch(&options, "list")) {
        status = list(tn__cmd_switch(&options, "json"));
    } else if (tn__cmd_text(&options, "mutant") != NULL) {
        status = run_mutant(&options);
    } else if (tn__cmd_text(&options, "config") != NULL) {
        status = run_one(&options);
    } else {
        status = run_series(&options);
    }
    tn__cmd_options_free(&options);
    return status;
}
