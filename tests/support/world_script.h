/* Scripts over the simulated world, for tests: frames arrive when told, at once. */
#ifndef TN_TESTS_WORLD_SCRIPT_H
#define TN_TESTS_WORLD_SCRIPT_H

#include "sim/lease_judge.h"
#include "sim/world.h"

struct world_script {
    struct tn__world *world;
    struct tn__lease_judge *judge;
};

/* A world of these options, judged, all nodes started, their first writes done, past quarantine. */
void script_begin(struct world_script *script, const struct tn__world_options *options);
void script_end(struct world_script *script);

/* Deliver, again and again, every frame between members of `among`; drop all others. Writes in
 * progress are finished on the way. */
void script_deliver(struct world_script *script, uint32_t among);

/* Finish every write in progress. */
void script_finish_writes(struct world_script *script);

bool script_owns(struct world_script *script, uint32_t process, const char *name);

/* How often an invariant was found broken. */
uint32_t script_violations(struct world_script *script, const char *rule);

#endif
