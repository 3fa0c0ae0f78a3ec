/* Lines of a log, for people or, by choice, as JSON: one line an event, on a stream. */
#ifndef TN_CMD_LOG_H
#define TN_CMD_LOG_H

#include <stdbool.h>
#include <stdio.h>

#include <tenure/node.h>

struct tn__cmd_log {
    FILE *out;
    const char *node; /* shown in each line */
    enum tn_log_level level;
    bool json;
};

/* Print a line if the level asks for it. From any thread: a line is written by one call. */
void tn__cmd_log(const struct tn__cmd_log *log, enum tn_log_level level, const char *text);

__attribute__((format(printf, 3, 4))) void
tn__cmd_log_format(const struct tn__cmd_log *log, enum tn_log_level level, const char *format, ...);

/* "error", "warning", "info", "debug"; anything else is info. */
enum tn_log_level tn__cmd_log_level(const char *name);

#endif
