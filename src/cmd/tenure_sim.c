/* tenure-sim: explores the cells exhaustively, simulates clusters under faults, plays stories.
 *
 * Only dispatches; each command is a file of its own (simulate_*.c). */
#include <stdio.h>
#include <string.h>

#include <tenure/version.h>

#include "cmd/cmd_options.h"
#include "cmd/simulate.h"

struct command {
    const char *name;
    const char *help;
    int (*run)(int argc, char **argv);
};

static const struct command commands[] = {
    {"explore", "search every state of a small cluster of the real cells",
     tn__simulate_explore},
    {"run", "simulate a cluster under random faults", tn__simulate_run},
    {"play", "play scenario files and compare, or draw them", tn__simulate_play},
};

#define COMMANDS_COUNT (sizeof(commands) / sizeof(commands[0]))

static void help(FILE *out)
{
    fprintf(out, "usage: tenure-sim COMMAND [options]\n\n"
                 "Runs the lease code of tenure where nothing is left to chance.\n\n"
                 "commands:\n");
    for (size_t i = 0; i < COMMANDS_COUNT; i++) {
        fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].help);
    }
    fprintf(out, "\n`tenure-sim COMMAND --help` lists a command's options.\n"
                 "status: 0 done, 1 failed, 2 wrong usage, 3 a violation was found,\n"
                 "        4 a bound was reached before the end\n");
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    for (size_t i = 0; i < COMMANDS_COUNT; i++) {
        if (strcmp(name, commands[i].name) == 0) {
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    if (strcmp(name, "--version") == 0) {
        puts("tenure-sim " TN_VERSION_TEXT);
        return TN_CMD_DONE;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "help") == 0) {
        help(stdout);
        return TN_CMD_DONE;
    }
    if (name[0] == '\0') {
        fprintf(stderr, "tenure-sim: which command?\n");
    } else {
        fprintf(stderr, "tenure-sim: there is no command \"%s\"\n", name);
    }
    help(stderr);
    return TN_CMD_USAGE;
}
