/* The configuration file: YAML, one mapping, whose keys are the names of the options. */
#ifndef TN_CMD_CONFIG_H
#define TN_CMD_CONFIG_H

#include <stdbool.h>

#include "cmd/cmd_options.h"

/* A larger file is refused before it is parsed. */
#define TN_CMD_CONFIG_BYTES_MAX (256 * 1024)

/* Enter the values of a file as TN_CMD_FILE. An option that takes several takes a sequence; peers
 * and tables take a mapping of name to value too. False with `complaint` naming file and line. */
bool tn__cmd_config_read(struct tn__cmd_options *options, const char *path);

#endif
