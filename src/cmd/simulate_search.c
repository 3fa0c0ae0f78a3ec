/* One exploration: see simulate_search.h. */
#define _POSIX_C_SOURCE 200809L

#include "cmd/simulate_search.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Longer than any trace that has been seen, states included. */
#define STORY_BYTES (4U << 20)

static bool is_of_log(const struct tn__search_request *request)
{
    return request->log.name != NULL;
}

static const char *name_of(const struct tn__search_request *request)
{
    return is_of_log(request) ? request->log.name : request->config.name;
}

bool tn__search_config_find(struct tn__search_request *request, const char *name)
{
    request->log.name = NULL;
    return tn__explore_lease_config_find(name, &request->config) ||
           tn__explore_log_config_find(name, &request->log);
}

static uint64_t clock_now(void *context)
{
    struct timespec now;
    (void)context;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static double seconds(uint64_t ns)
{
    return (double)ns / 1e9;
}

static double rate(const struct tn__explore_result *result)
{
    return result->elapsed_ns == 0
               ? 0
               : (double)result->transitions_count / seconds(result->elapsed_ns);
}

/* What a table says of it: the verdict, and by what. */
static void verdict_text(const struct tn__explore_result *result, char *bytes, size_t size)
{
    const char *what = result->violated != NULL ? result->violated : result->bound;
    snprintf(bytes, size, "%s%s%s%s", tn__explore_verdict_name(result->verdict),
             what != NULL ? " (" : "", what != NULL ? what : "", what != NULL ? ")" : "");
}

void tn__search_heading(void)
{
    printf("%-28s %11s %13s %6s %8s %7s %8s  %s\n", "configuration", "states", "transitions",
           "depth", "seconds", "M/s", "MiB", "verdict");
}

static void print_line(const struct tn__search_request *request,
                       const struct tn__explore_result *result, bool right)
{
    char verdict[96];
    verdict_text(result, verdict, sizeof(verdict));
    printf("%-28s %11" PRIu64 " %13" PRIu64 " %6" PRIu32 " %8.1f %7.2f %8" PRIu64 "  %s%s\n",
           name_of(request), result->states_count, result->transitions_count, result->levels_count,
           seconds(result->elapsed_ns), rate(result) / 1e6, result->bytes_peak >> 20, verdict,
           right ? "" : "  <- not what it should be");
    fflush(stdout);
}

static void print_json(const struct tn__search_request *request,
                       const struct tn__explore_result *result)
{
    printf("{\"configuration\": \"%s\", ", name_of(request));
    if (request->mutant != NULL) {
        printf("\"mutant\": \"%s\", ", request->mutant);
    }
    printf("\"verdict\": \"%s\", \"violated\": ", tn__explore_verdict_name(result->verdict));
    if (result->violated != NULL) {
        printf("\"%s\"", result->violated);
    } else {
        printf("null");
    }
    printf(", \"states\": %" PRIu64 ", \"transitions\": %" PRIu64 ", \"depth\": %" PRIu32
           ", \"trace_states\": %" PRIu32 ", \"seconds\": %.3f, \"transitions_per_second\": %.0f"
           ", \"memory_bytes\": %" PRIu64 ", \"threads\": %" PRIu32 ", \"reduced\": %s}\n",
           result->states_count, result->transitions_count, result->levels_count,
           result->trace.states_count, seconds(result->elapsed_ns), rate(result),
           result->bytes_peak, request->threads, request->reduced ? "true" : "false");
}

/* ---- The story --------------------------------------------------------------------------------
 */

static void print_story(const struct tn__explore_model *model,
                        const struct tn__explore_result *result)
{
    char *bytes = malloc(STORY_BYTES);
    if (bytes == NULL || result->trace.states_count == 0) {
        printf("(no memory for the story)\n");
        free(bytes);
        return;
    }
    struct tn__text text;
    tn__text_init(&text, bytes, STORY_BYTES);
    tn__explore_trace_print(model, &result->trace, true, &text);
    printf("\n%s\nThe last state breaks %s; no shorter run does.%s\n", bytes, result->violated,
           result->trace.concrete ? "" : "\n(Names are those of the canonical states.)");
    free(bytes);
}

/* The story as a scenario: each event in the words it is printed in (docs/scenarios.md). What is
 * played is the lease, so of the log it is the story alone. */
static void write_events(FILE *file, const struct tn__search_request *request,
                         const struct tn__explore_model *model,
                         const struct tn__explore_result *result)
{
    fprintf(file, "# title: %s breaks %s in %" PRIu32 " states\n", name_of(request),
            result->violated, result->trace.states_count);
    if (request->mutant != NULL) {
        fprintf(file, "# mutant: %s\n", request->mutant);
    }
    if (!is_of_log(request)) {
        fprintf(file, "\nexplore config=%s invariant=%s%s\n----\n\n", name_of(request),
                result->violated, result->trace.concrete ? "" : " reduced");
    }
    for (uint32_t i = 1; i < result->trace.states_count; i++) {
        char words[256];
        struct tn__text text;
        tn__text_init(&text, words, sizeof(words));
        model->print_event(model->context, result->trace.events[i], &text);
        fprintf(file, is_of_log(request) ? "%s\n" : "step %s\n----\n\n", words);
    }
}

static bool write_trace(const struct tn__search_request *request,
                        const struct tn__explore_model *model,
                        const struct tn__explore_result *result)
{
    FILE *file = fopen(request->trace, "w");
    if (file == NULL) {
        fprintf(stderr, "tenure-sim: %s: %s\n", request->trace, strerror(errno));
        return false;
    }
    write_events(file, request, model, result);
    bool written = ferror(file) == 0;
    if (fclose(file) != 0 || !written) {
        fprintf(stderr, "tenure-sim: %s: it could not be written\n", request->trace);
        return false;
    }
    return true;
}

/* ---- The search --------------------------------------------------------------------------------
 */

static void print_search(const struct tn__search_request *request,
                         const struct tn__explore_model *model,
                         const struct tn__explore_result *result)
{
    char verdict[96];
    verdict_text(result, verdict, sizeof(verdict));
    printf("%s: %s\n", name_of(request),
           is_of_log(request) ? request->log.about : request->config.about);
    printf("verdict      %s\n", verdict);
    printf("states       %" PRIu64 " distinct\n", result->states_count);
    printf("transitions  %" PRIu64 ", %" PRIu64
           " of them beyond the bound on messages or the guide\n",
           result->transitions_count, result->cut_count);
    printf("depth        %" PRIu32 " levels\n", result->levels_count);
    printf("time         %.2f s, %.2f million transitions a second, threads: %" PRIu32 "\n",
           seconds(result->elapsed_ns), rate(result) / 1e6, request->threads);
    printf("memory       %" PRIu64 " MiB\n", result->bytes_peak >> 20);
    if (result->verdict == TN_EXPLORE_VIOLATION) {
        print_story(model, result);
    }
}

static int status_of(const struct tn__explore_result *result)
{
    switch (result->verdict) {
    case TN_EXPLORE_EXHAUSTED:
        return 0;
    case TN_EXPLORE_VIOLATION:
        return TN_SEARCH_VIOLATION;
    default:
        return TN_SEARCH_BOUND;
    }
}

int tn__search(const struct tn__search_request *request, struct tn__search_totals *totals)
{
    struct tn__explore_lease lease;
    struct tn__explore_log log;
    const struct tn__explore_model *model = &lease.model;
    bool violates = false;
    if (is_of_log(request)) {
        tn__explore_log_init(&log, &request->log, request->reduced);
        log.invariant = request->invariant;
        model = &log.model;
    } else {
        tn__explore_lease_init(&lease, &request->config, request->reduced);
        lease.invariant = request->invariant;
        violates = request->config.violates != 0;
    }
    struct tn__explore_options options = {
        .memory_bytes_max = request->memory_bytes,
        .hash_seed = request->seed,
        .threads_count = request->threads,
        .now_ns = clock_now,
    };
    struct tn__explore_result result;
    tn__explore(model, &options, &result);

    int status = status_of(&result);
    bool right = status == (violates ? TN_SEARCH_VIOLATION : 0);
    totals->states += result.states_count;
    totals->transitions += result.transitions_count;
    totals->elapsed_ns += result.elapsed_ns;
    totals->memory_bytes =
        result.bytes_peak > totals->memory_bytes ? result.bytes_peak : totals->memory_bytes;
    totals->searches++;
    totals->wrong += !right;
    if (request->quiet) {
        print_line(request, &result, right);
    } else {
        print_search(request, model, &result);
    }
    if (request->trace != NULL && result.verdict == TN_EXPLORE_VIOLATION &&
        !write_trace(request, model, &result)) {
        status = 1;
    }
    if (request->json && !request->quiet) {
        print_json(request, &result);
    }
    tn__explore_result_free(&result);
    return status;
}
