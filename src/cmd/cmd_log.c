/* Lines of a log: see cmd_log.h. Wall time is printed for people only; nothing is reckoned with it.
 */
#define _GNU_SOURCE
#include "cmd/cmd_log.h"

#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "base/text.h"

static const char *const level_names[] = {"error", "error", "warning", "info", "debug"};

enum tn_log_level tn__cmd_log_level(const char *name)
{
    for (enum tn_log_level level = TN_LOG_ERROR; level <= TN_LOG_DEBUG; level++) {
        if (strcmp(name, level_names[level]) == 0) {
            return level;
        }
    }
    return TN_LOG_INFO;
}

/* Text of other programs reaches the log: control characters must not reach the terminal, nor break
 * a line of JSON, which needs its escapes too. */
static void add_escaped(struct tn__text *line, const char *text, bool json)
{
    /* An escape must not be cut in two: stop where one might not fit. */
    for (; *text != '\0' && line->length + 3 <= line->size; text++) {
        unsigned char c = (unsigned char)*text;
        if (json && (c == '"' || c == '\\')) {
            tn__text_add(line, "\\%c", c);
        } else if (c < 0x20 || c == 0x7f) {
            tn__text_add(line, "%s", "?");
        } else {
            tn__text_add(line, "%c", c);
        }
    }
}

void tn__cmd_log(const struct tn__cmd_log *log, enum tn_log_level level, const char *text)
{
    if (level > log->level) {
        return;
    }
    struct timespec now;
    struct tm parts;
    char date[32];
    char bytes[2048];
    struct tn__text line;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &parts);
    tn__text_init(&line, bytes, sizeof(bytes) - 4); /* room for the end, whatever was cut */
    if (log->json) {
        tn__text_add(&line,
                     "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\",\"node\":\"%s\",\"message\":\"",
                     date, now.tv_nsec / 1000000, level_names[level], log->node);
    } else {
        tn__text_add(&line, "%s.%03ldZ %-7s %s: ", date, now.tv_nsec / 1000000, level_names[level],
                     log->node);
    }
    add_escaped(&line, text, log->json);
    size_t length = strlen(bytes);
    memcpy(bytes + length, log->json ? "\"}\n" : "\n", log->json ? 4 : 2);
    fputs(bytes, log->out);
    fflush(log->out);
}

void tn__cmd_log_format(const struct tn__cmd_log *log, enum tn_log_level level, const char *format,
                        ...)
{
    char text[1536];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    tn__cmd_log(log, level, text);
}
