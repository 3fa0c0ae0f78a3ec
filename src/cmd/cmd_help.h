/* --help, written from the table of options. */
#ifndef TN_CMD_HELP_H
#define TN_CMD_HELP_H

#include <stdio.h>

#include "cmd/cmd_options.h"

/* Print the help of the program, or of one of its commands (may be NULL). */
void tn__cmd_help(FILE *out, const struct tn__cmd_program *program,
                  const struct tn__cmd_command *command);

#endif
