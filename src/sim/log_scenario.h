/* Stories of a small log: what the player of scenarios (sim/scenario.h) does with a file whose
 * first command is `log` instead of `cluster` (docs/scenarios.md).
 *
 * The nodes are the real machines (tenure/log.h) under their real driver (paxos/log_driver.h), one
 * group each. Made up are the network, in which nothing arrives unless it is told to, the clock,
 * which stands until it is told to go on, and a durable store for each node: a list of records, of
 * which a crash takes what was not yet durable. Messages are handed over as they are, not encoded:
 * that is the simulation's part (sim/log_world.h). What was committed is taken for executed.
 *
 * After each command the story is judged (log_scenario_judge.c): inv.P1, P2, P3, P6, P7, P8, P9. */
#ifndef TN_SIM_LOG_SCENARIO_H
#define TN_SIM_LOG_SCENARIO_H

#include "sim/scenario_internal.h"

/* Does a command of this name belong to a story of a log? If so it has been run. */
bool tn__log_story_run(struct tn__scenario *scenario, struct tn__scenario_command *command);

/* Print what was broken since the last command. */
void tn__log_story_judge(struct tn__scenario *scenario);

/* Real time, and how many nodes can be named. */
tn_time tn__log_story_now(const struct tn__scenario *scenario);
uint32_t tn__log_story_nodes(const struct tn__scenario *scenario);

void tn__log_story_free(struct tn__scenario *scenario);

#endif
