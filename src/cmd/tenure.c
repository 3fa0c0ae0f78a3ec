/* tenure: the command-line tool. The commands are in tool_*.c. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "cmd/tool.h"

/* With --json even wrong usage ends in an object: look for the flag without reading the others. */
static bool wants_json(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            return true;
        }
    }
    return false;
}

static int run(struct tn__tool *tool)
{
    static int (*const commands[])(struct tn__tool *) = {
        [TN_TOOL_STATUS] = tn__tool_status,
        [TN_TOOL_LEASES] = tn__tool_leases,
        [TN_TOOL_WHO] = tn__tool_who,
        [TN_TOOL_WATCH] = tn__tool_watch,
        [TN_TOOL_ACQUIRE] = tn__tool_acquire,
        [TN_TOOL_RELEASE] = tn__tool_release,
        [TN_TOOL_HAND_OVER] = tn__tool_hand_over,
        [TN_TOOL_HOLD] = tn__tool_hold,
        [TN_TOOL_TOP] = tn__tool_top,
        [TN_TOOL_LOG] = tn__tool_log,
    };
    size_t command = (size_t)(tool->options.command - tn__tool_program.commands);
    tn_assert(command < sizeof(commands) / sizeof(commands[0]));
    return commands[command](tool);
}

int main(int argc, char **argv)
{
    struct tn__tool *tool = calloc(1, sizeof(*tool));
    if (tool == NULL) {
        fprintf(stderr, "tenure: out of memory\n");
        return TN_CMD_FAILED;
    }
    int status = TN_CMD_DONE;
    tool->json = wants_json(argc, argv);
    switch (tn__cmd_options_read(&tool->options, &tn__tool_program, argc, argv)) {
    case TN_CMD_SHOWN:
        break;
    case TN_CMD_WRONG:
        status = tn__cmd_options_complain(&tool->options);
        if (tool->json) {
            tn__tool_print(json_pack("{s:s, s:s, s:i}", "error", "usage", "message",
                                     tool->options.complaint, "status", status));
        }
        break;
    case TN_CMD_GO_ON:
        tool->json = tn__cmd_switch(&tool->options, "json");
        status = tn__tool_open(tool) ? run(tool) : TN_CMD_USAGE;
        tn__tool_close(tool);
    }
    tn__cmd_options_free(&tool->options);
    free(tool);
    return fflush(stdout) == 0 ? status : TN_CMD_FAILED;
}
