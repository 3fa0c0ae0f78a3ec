/* The explorer of one mutant: a program of its own, since its rules are not the rules.
 *
 * tools/mutants.py compiles it against a patched copy of the sources, and says by macros which
 * mutant it is and where that shows. `tenure-sim explore --mutant NAME` runs it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "cmd/simulate_search.h"

/* A mutant may break what the code asserts: that is a finding as well, without a trace. */
_Noreturn void tn__assert_failed(const char *expression, const char *file, int line)
{
    printf("mutant " TN_MUTANT_NAME ": assertion failed: %s (%s:%d)\n", expression, file, line);
    printf("{\"mutant\": \"" TN_MUTANT_NAME "\", \"verdict\": \"violation\", "
           "\"violated\": \"assertion\", \"trace_states\": 0}\n");
    fflush(stdout);
    _Exit(TN_SEARCH_VIOLATION);
}

static const char *given(int argc, char **argv, int index, const char *otherwise)
{
    return argc > index && argv[index][0] != '\0' ? argv[index] : otherwise;
}

/* THREADS GIB SEED CONFIG INVARIANT TRACE "plain" "json"; an empty one is as if not given. */
int main(int argc, char **argv)
{
    const char *own_invariant = TN_MUTANT_INVARIANT[0] != '\0' ? TN_MUTANT_INVARIANT : NULL;
    struct tn__search_totals totals = {0};
    struct tn__search_request request = {
        .mutant = TN_MUTANT_NAME,
        .threads = (uint32_t)strtoul(given(argc, argv, 1, "1"), NULL, 10),
        .memory_bytes = strtoull(given(argc, argv, 2, "4"), NULL, 10) << 30,
        .seed = strtoull(given(argc, argv, 3, "0"), NULL, 10),
        .invariant = given(argc, argv, 5, own_invariant),
        .trace = given(argc, argv, 6, NULL),
        .reduced = TN_MUTANT_REDUCED && given(argc, argv, 7, NULL) == NULL,
        .json = given(argc, argv, 8, NULL) != NULL,
    };
    const char *config = given(argc, argv, 4, TN_MUTANT_CONFIG);
    if (!tn__search_config_find(&request, config)) {
        fprintf(stderr, "there is no configuration \"%s\"\n", config);
        return 2;
    }
    return tn__search(&request, &totals);
}
