/* Stories of small clusters: text files of commands and of what came of them (docs/scenarios.md).
 *
 * The player runs the commands of a file in a simulated world (sim/world.h), where nothing happens
 * unless told, and writes the file anew with what happened after each command. Who compares the two
 * texts has a test; who keeps the new one has a golden file. On the way the same events are
 * recorded as a space-time diagram (check/sequence_svg.h), and every step is judged
 * (sim/lease_judge.h). Deterministic: the same file gives the same bytes everywhere. */
#ifndef TN_SIM_SCENARIO_H
#define TN_SIM_SCENARIO_H

#include "check/growing_text.h"
#include "check/sequence_svg.h"

/* Bounds of a file; what is beyond is an error of the story. */
#define TN_SCENARIO_BYTES_MAX (1U << 20)
#define TN_SCENARIO_COMMAND_BYTES_MAX 400U

struct tn__scenario_result {
    struct tn__growing_text text;  /* the file as it should be */
    struct tn__growing_text known; /* the same, but what the file leaves open is left open */
    struct tn__sequence *sequence; /* what happened, to be drawn; NULL: nothing did */
    uint32_t stanzas_count;
    uint32_t errors_count;     /* commands that are not understood or cannot be done */
    uint32_t violations_count; /* invariants broken, whether the story expects it or not */
    char mutant[64];           /* the patch that the header names; empty: none */
    bool diagram;              /* the header asks for a drawing */
};

/* Play a file. `result` is filled whatever the file is. */
void tn__scenario_play(const char *text, size_t length, struct tn__scenario_result *result);

void tn__scenario_result_free(struct tn__scenario_result *result);

#endif
