/* --help: see cmd_help.h. The columns are those of a narrow terminal, 80. */
#include "cmd/cmd_help.h"

#include <string.h>

#define NAME_COLUMNS 28

static bool belongs(const struct tn__cmd_program *program, const struct tn__cmd_option *option,
                    const struct tn__cmd_command *command)
{
    if (option->commands == 0) {
        return true;
    }
    return command != NULL && (option->commands >> (command - program->commands) & 1U) != 0;
}

static void show_option(FILE *out, const struct tn__cmd_option *option)
{
    char left[96];
    snprintf(left, sizeof(left), "  --%s%s%s", option->name, option->argument == NULL ? "" : " ",
             option->argument == NULL ? "" : option->argument);
    fprintf(out, "%-*s", NAME_COLUMNS, left);
    if (strlen(left) >= NAME_COLUMNS) {
        fprintf(out, "\n%*s", NAME_COLUMNS, "");
    }
    for (const char *at = option->help; *at != '\0';) {
        size_t length = strcspn(at, "\n");
        fprintf(out, "%.*s", (int)length, at);
        at += length + (at[length] == '\n');
        if (*at != '\0') {
            fprintf(out, "\n%*s", NAME_COLUMNS, "");
        }
    }
    if (option->fallback != NULL && option->kind != TN_CMD_SWITCH) {
        fprintf(out, " [%s]", option->fallback);
    }
    fputc('\n', out);
}

void tn__cmd_help(FILE *out, const struct tn__cmd_program *program,
                  const struct tn__cmd_command *command)
{
    fprintf(out, "%s: %s\n\nUsage: %s", program->name,
            command == NULL ? program->summary : command->help, program->name);
    if (command != NULL) {
        fprintf(out, " %s [OPTION...]%s%s\n", command->name, *command->arguments ? " " : "",
                command->arguments);
    } else {
        fprintf(out, "%s\n", program->commands == NULL ? " [OPTION...]" : " COMMAND [OPTION...]");
    }
    if (command == NULL && program->commands != NULL) {
        fprintf(out, "\nCommands (%s COMMAND --help tells more):\n", program->name);
        for (size_t i = 0; i < program->commands_count; i++) {
            const struct tn__cmd_command *one = &program->commands[i];
            char left[96];
            snprintf(left, sizeof(left), "  %s %s", one->name, one->arguments);
            fprintf(out, "%-*s%s%*s%s\n", NAME_COLUMNS, left,
                    strlen(left) >= NAME_COLUMNS ? "\n" : "",
                    strlen(left) >= NAME_COLUMNS ? NAME_COLUMNS : 0, "", one->help);
        }
    }
    fprintf(out, "\nOptions:\n");
    for (size_t i = 0; i < program->options_count; i++) {
        if (belongs(program, &program->options[i], command)) {
            show_option(out, &program->options[i]);
        }
    }
    fprintf(out, "%-*sshow this help\n%-*sshow the version\n", NAME_COLUMNS, "  --help",
            NAME_COLUMNS, "  --version");
    if (program->environment != NULL) {
        fprintf(out,
                "\nEach option can also be set in the environment: %sNAME, in capitals and with _ "
                "for -.\n",
                program->environment);
    }
    if (program->epilogue != NULL) {
        fprintf(out, "\n%s", program->epilogue);
    }
}
