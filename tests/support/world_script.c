/* The scripts' helper; the header tells what it is. */
#include "support/world_script.h"

#include <string.h>

#include "base/assert.h"

void script_finish_writes(struct world_script *script)
{
    uint32_t count = tn__world_nodes(script->world);
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t k = 0; k < 8 && tn__world_is_writing(script->world, i); k++) {
            tn__world_finish_write(script->world, i);
        }
    }
}

void script_begin(struct world_script *script, const struct tn__world_options *options)
{
    script->world = tn__world_new();
    script->judge = tn__lease_judge_new();
    int error = tn__world_reset(script->world, options, NULL, 0);
    tn_assert(error == 0);
    tn__lease_judge_begin(script->judge, script->world);
    for (uint32_t i = 0; i < options->nodes_count; i++) {
        error = tn__world_start(script->world, i, true);
        tn_assert(error == 0);
    }
    tn_time quarantine = tn__world_lease_options(script->world)->tables[0].quarantine_ns;
    tn__world_run(script->world, tn__world_now(script->world) + TN_MILLISECOND);
    script_finish_writes(script);
    tn__world_run(script->world, tn__world_now(script->world) + 2 * quarantine);
    script_finish_writes(script);
}

void script_end(struct world_script *script)
{
    tn__lease_judge_free(script->judge);
    tn__world_free(script->world);
}

void script_deliver(struct world_script *script, uint32_t among)
{
    for (uint32_t i = 0; i < 10000; i++) {
        script_finish_writes(script);
        uint32_t slot = tn__world_first_frame(script->world);
        if (slot == TN_WORLD_NONE) {
            return;
        }
        const struct tn__world_frame *frame = tn__world_frame(script->world, slot);
        if ((among >> frame->from & among >> frame->to & 1U) != 0) {
            tn__world_deliver_frame(script->world, slot);
        } else {
            tn__world_drop_frame(script->world, slot);
        }
    }
    tn_assert(false);
}

bool script_owns(struct world_script *script, uint32_t process, const char *name)
{
    struct tn_lease_view view;
    return tn__world_view(script->world, process, 0, name, (uint32_t)strlen(name), &view) &&
           view.owned != 0;
}

uint32_t script_violations(struct world_script *script, const char *rule)
{
    uint32_t found = 0;
    uint32_t count = tn__lease_judge_violations_count(script->judge);
    for (uint32_t i = 0; i < count && i < TN_JUDGE_VIOLATIONS_MAX; i++) {
        found += strcmp(tn__lease_judge_violation(script->judge, i)->rule, rule) == 0;
    }
    return found;
}
