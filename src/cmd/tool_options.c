/* The commands and options of `tenure`: see tool.h. */
#include "cmd/tool.h"

#define ON(command) (1U << (command))
#define NAMED                                                                                      \
    (ON(TN_TOOL_LEASES) | ON(TN_TOOL_WHO) | ON(TN_TOOL_WATCH) | ON(TN_TOOL_ACQUIRE) |              \
     ON(TN_TOOL_HAND_OVER) | ON(TN_TOOL_HOLD) | ON(TN_TOOL_TOP))
#define HOLDING (ON(TN_TOOL_ACQUIRE) | ON(TN_TOOL_HOLD))

static const struct tn__cmd_command command_table[] = {
    [TN_TOOL_STATUS] = {.name = "status", .arguments = "", .help = "show each node and its members"},
    [TN_TOOL_LEASES] = {.name = "leases", .arguments = "", .help = "list the names a node knows of"},
    [TN_TOOL_WHO] = {.name = "who", .arguments = "NAME", .help = "show who owns a name",
                     .arguments_min = 1, .arguments_max = 1},
    [TN_TOOL_WATCH] = {.name = "watch", .arguments = "[NAME]",
                       .help = "print what happens to a name, or to all", .arguments_max = 1},
    [TN_TOOL_ACQUIRE] = {.name = "acquire", .arguments = "NAME",
                         .help = "hold a name for a time, or until Ctrl-C", .arguments_min = 1,
                         .arguments_max = 1},
    [TN_TOOL_RELEASE] = {.name = "release", .arguments = "HOLDING",
                         .help = "end a holding that acquire has printed", .arguments_min = 1,
                         .arguments_max = 1},
    [TN_TOOL_HAND_OVER] = {.name = "hand-over", .arguments = "NAME",
                           .help = "have a name pass to another member", .arguments_min = 1,
                           .arguments_max = 1},
    [TN_TOOL_HOLD] = {.name = "hold", .arguments = "NAME -- COMMAND...",
                      .help = "run a command while holding a name", .arguments_min = 1,
                      .arguments_max = 1, .rest = true},
    [TN_TOOL_TOP] = {.name = "top", .arguments = "[NAME]",
                     .help = "show members and the owner of a name, live", .arguments_max = 1},
};

static const struct tn__cmd_option option_table[] = {
    {.name = "endpoints", .argument = "HOST:PORT,...", .fallback = "127.0.0.1:2379",
     .kind = TN_CMD_ENDPOINT, .repeats = true, .help = "nodes to ask, in turn until one answers"},
    {.name = "table", .argument = "TABLE", .kind = TN_CMD_TEXT, .commands = NAMED,
     .help = "the table of the name [the node's first]"},
    {.name = "timeout", .argument = "DURATION", .fallback = "5s", .kind = TN_CMD_DURATION,
     .least = TN_MILLISECOND, .most = 86400 * TN_SECOND,
     .help = "how long to wait for a node's answer; status 124\nafter it"},
    {.name = "json", .kind = TN_CMD_SWITCH, .help = "print JSON, one object a line"},
    {.name = "ca", .argument = "FILE", .kind = TN_CMD_TEXT,
     .help = "PEM: who vouches for the nodes; makes TLS"},
    {.name = "cert", .argument = "FILE", .kind = TN_CMD_TEXT, .help = "PEM: the own certificate"},
    {.name = "key", .argument = "FILE", .kind = TN_CMD_TEXT, .help = "PEM: its key"},
    {.name = "prefix", .argument = "TEXT", .kind = TN_CMD_TEXT,
     .commands = ON(TN_TOOL_LEASES) | ON(TN_TOOL_WATCH), .help = "only names that begin so"},
    {.name = "duration", .argument = "DURATION", .kind = TN_CMD_DURATION,
     .commands = ON(TN_TOOL_WATCH) | ON(TN_TOOL_TOP),
     .help = "stop after this, with status 0 [Ctrl-C]"},
    {.name = "wait", .argument = "DURATION", .kind = TN_CMD_DURATION, .most = 365 * 86400 * TN_SECOND,
     .commands = HOLDING,
     .help = "how long to wait for the name: status 124 after\nit; 0: try once, status 3 if it is "
             "held\n[acquire: 0; hold: for ever]"},
    {.name = "ttl", .argument = "DURATION", .kind = TN_CMD_DURATION, .least = 10 * TN_MILLISECOND,
     .most = 86400 * TN_SECOND, .commands = HOLDING,
     .help = "the holding ends this long after its last\nrenewal [the table's lease time]"},
    {.name = "label", .argument = "TEXT", .kind = TN_CMD_TEXT, .commands = HOLDING,
     .help = "shown to those who ask who holds the name"},
    {.name = "priority", .argument = "N", .kind = TN_CMD_NUMBER, .most = 15, .commands = HOLDING,
     .help = "how soon the node starts against others:\n0 first, 15 last [0]"},
    {.name = "keep", .kind = TN_CMD_SWITCH, .commands = ON(TN_TOOL_ACQUIRE),
     .help = "renew it until Ctrl-C, then release it"},
    {.name = "margin", .argument = "DURATION", .kind = TN_CMD_DURATION, .least = TN_MILLISECOND,
     .commands = ON(TN_TOOL_HOLD),
     .help = "SIGTERM this long before the lease runs out,\nSIGKILL at half of it [a quarter of "
             "the lease,\nat least 100ms]"},
    {.name = "to", .argument = "MEMBER", .kind = TN_CMD_TEXT, .commands = ON(TN_TOOL_HAND_OVER),
     .help = "who shall have it"},
    {.name = "control", .argument = "FILE", .kind = TN_CMD_TEXT, .commands = ON(TN_TOOL_TOP),
     .help = "write \"kill MEMBER\", \"restart\" there when the\nkeys k and r are pressed"},
};

const struct tn__cmd_program tn__tool_program = {
    .name = "tenure",
    .summary = "ask and use the leases of a cell",
    .environment = "TENURE_",
    .options = option_table,
    .options_count = sizeof(option_table) / sizeof(option_table[0]),
    .commands = command_table,
    .commands_count = sizeof(command_table) / sizeof(command_table[0]),
    .epilogue = "Status: 0 done, 1 failed, 2 wrong usage, 3 held by another, 4 lease lost,\n"
                "124 time limit passed; hold: that of the command, 128 + number of its signal.\n",
};
