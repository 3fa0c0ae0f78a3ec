/* Playing a file: its stanzas, one after the other; what was printed takes the place of what stood
 * there. The header tells the rest. */
#include "sim/scenario.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "sim/log_scenario.h"

static const struct {
    const char *name;
    tn__scenario_verb *run;
    bool alone; /* needs no cluster */
} verbs[] = {
    {"cluster", tn__scenario_do_cluster, true},
    {"log", tn__scenario_do_log, true},
    {"acquire", tn__scenario_do_request, false},
    {"release", tn__scenario_do_request, false},
    {"drop-lease", tn__scenario_do_request, false},
    {"hand-over", tn__scenario_do_request, false},
    {"reopen", tn__scenario_do_request, false},
    {"forsake", tn__scenario_do_request, false},
    {"deliver", tn__scenario_do_deliver, false},
    {"settle", tn__scenario_do_settle, false},
    {"drop", tn__scenario_do_drop, false},
    {"hold", tn__scenario_do_hold, false},
    {"duplicate", tn__scenario_do_duplicate, false},
    {"split", tn__scenario_do_split, false},
    {"heal", tn__scenario_do_heal, false},
    {"network", tn__scenario_do_network, false},
    {"advance", tn__scenario_do_advance, false},
    {"crash", tn__scenario_do_crash, false},
    {"restart", tn__scenario_do_restart, false},
    {"copy", tn__scenario_do_copy, false},
    {"pause", tn__scenario_do_pause, false},
    {"resume", tn__scenario_do_resume, false},
    {"disk", tn__scenario_do_disk, false},
    {"clock", tn__scenario_do_clock, false},
    {"status", tn__scenario_do_status, false},
    {"who", tn__scenario_do_who, false},
    {"resource", tn__scenario_do_resource, false},
    {"reconfigure", tn__scenario_do_reconfigure, false},
    {"check", tn__scenario_do_check, false},
    {"explore", tn__scenario_do_explore, true},
    {"step", tn__scenario_do_step, true},
};

/* ---- Output ---------------------------------------------------------------------------------- */

void tn__scenario_say(struct tn__scenario *scenario, const char *format, ...)
{
    char line[4096];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    tn__growing_add(&scenario->out, "%s\n", line);
}

void tn__scenario_error(struct tn__scenario *scenario, const char *format, ...)
{
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    scenario->result->errors_count++;
    tn__growing_add(&scenario->out, "?? %s\n", line);
}

void tn__scenario_row(struct tn__scenario *scenario)
{
    tn_time now =
        scenario->log != NULL ? tn__log_story_now(scenario) : tn__world_now(scenario->world);
    tn__sequence_row(scenario->sequence, now < scenario->zero ? 0 : now - scenario->zero);
}

/* ---- Judging --------------------------------------------------------------------------------- */

/* Print what was broken since the last command. */
static void judge(struct tn__scenario *scenario)
{
    uint32_t count = tn__lease_judge_violations_count(scenario->judge);
    uint32_t shown = count < TN_JUDGE_VIOLATIONS_MAX ? count : TN_JUDGE_VIOLATIONS_MAX;
    for (; scenario->judged < shown; scenario->judged++) {
        const struct tn__violation *violation =
            tn__lease_judge_violation(scenario->judge, scenario->judged);
        char text[TN_SEQUENCE_TEXT_BYTES];
        scenario->result->violations_count++;
        /* The judge begins with the process, and so does the line. */
        const char *sentence = strstr(violation->text, ": ");
        sentence = sentence == NULL ? violation->text : sentence + 2;
        snprintf(text, sizeof(text), "%s: %.120s", violation->rule, sentence);
        tn__scenario_say(scenario, "!! %u %s", violation->process + 1, text);
        tn__scenario_row(scenario);
        tn__sequence_mark(scenario->sequence, violation->process, TN_SEQUENCE_WRONG, text);
    }
}

/* ---- Stanzas --------------------------------------------------------------------------------- */

static void run_verb(struct tn__scenario *scenario, struct tn__scenario_command *command)
{
    if (scenario->log != NULL && tn__log_story_run(scenario, command)) {
        return;
    }
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strcmp(command->verb, verbs[i].name) != 0) {
            continue;
        }
        if (!verbs[i].alone && scenario->world == NULL) {
            tn__scenario_error(scenario, scenario->log == NULL
                                             ? "cluster comes first"
                                             : "this verb is none of a log's story");
            return;
        }
        verbs[i].run(scenario, command);
        return;
    }
    tn__scenario_error(scenario, "unknown verb %s", command->verb);
}

static void complain_of_unused(struct tn__scenario *scenario,
                               const struct tn__scenario_command *command)
{
    for (uint32_t i = 0; i < command->words_count; i++) {
        if (!command->words[i].used && scenario->result->errors_count == 0) {
            tn__scenario_error(scenario, "%s does not know the word %s", command->verb,
                               command->words[i].key);
        }
    }
}

/* A drawing without this command misses nothing, unless it has something to tell. */
static bool is_quiet(const char *verb)
{
    static const char *const quiet[] = {"cluster", "log",   "advance", "who",
                                        "status",  "check", "network", "show"};
    for (size_t i = 0; i < sizeof(quiet) / sizeof(quiet[0]); i++) {
        if (strcmp(verb, quiet[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Run one command; its output is in scenario->out. */
static void run_command(struct tn__scenario *scenario, const char *line, size_t length,
                        const char *story)
{
    struct tn__scenario_command command;
    char bytes[TN_SCENARIO_COMMAND_BYTES_MAX];
    tn__growing_clear(&scenario->out);
    if (!tn__scenario_parse(&command, line, length)) {
        tn__scenario_error(scenario, "too long a command");
        return;
    }
    memcpy(bytes, line, length);
    bytes[length] = '\0';
    bool drawn = story[0] != '\0' || !is_quiet(command.verb);
    tn__sequence_stanza(scenario->sequence, story, drawn ? bytes : "");
    if (scenario->world != NULL || scenario->log != NULL) {
        tn__scenario_row(scenario);
    }
    run_verb(scenario, &command);
    complain_of_unused(scenario, &command);
    if (scenario->world != NULL) {
        tn__scenario_finish_writes(scenario);
        judge(scenario);
    }
    if (scenario->log != NULL) {
        tn__log_story_judge(scenario);
    }
    if (scenario->out.length == 0) {
        tn__scenario_say(scenario, "ok");
    }
}

/* ---- The file -------------------------------------------------------------------------------- */

/* The text of a file being read line by line. */
struct reader {
    const char *at;
    const char *end;
};

static bool read_line(struct reader *reader, const char **line, size_t *length)
{
    if (reader->at == reader->end) {
        return false;
    }
    const char *newline = memchr(reader->at, '\n', (size_t)(reader->end - reader->at));
    *line = reader->at;
    *length = (size_t)((newline == NULL ? reader->end : newline) - reader->at);
    reader->at = newline == NULL ? reader->end : newline + 1;
    return true;
}

static bool header_value(const char *line, size_t length, const char *key, char *value, size_t size)
{
    size_t key_length = strlen(key);
    if (length < key_length || memcmp(line, key, key_length) != 0) {
        return false;
    }
    size_t value_length = length - key_length;
    value_length = value_length < size - 1 ? value_length : size - 1;
    memcpy(value, line + key_length, value_length);
    value[value_length] = '\0';
    return true;
}

/* A comment line: a header, or a line of the story. */
static void read_comment(struct tn__scenario *scenario, const char *line, size_t length,
                         struct tn__growing_text *story, char title[TN_SEQUENCE_TEXT_BYTES])
{
    char value[64];
    if (header_value(line, length, "# title: ", title, TN_SEQUENCE_TEXT_BYTES) ||
        header_value(line, length, "# mutant: ", scenario->result->mutant,
                     sizeof(scenario->result->mutant))) {
        return;
    }
    if (header_value(line, length, "# shows: ", value, sizeof(value))) {
        return; /* what the mutant breaks: for who builds it (mutants.test.py) */
    }
    if (header_value(line, length, "# diagram: ", value, sizeof(value))) {
        scenario->result->diagram = strcmp(value, "yes") == 0;
        return;
    }
    size_t skipped = length > 1 && line[1] == ' ' ? 2 : 1;
    if (story->length > 0) {
        tn__growing_add_bytes(story, " ", 1);
    }
    tn__growing_add_bytes(story, line + skipped, length - skipped);
}

/* Skip what the file says the command printed, if it says so yet: up to an empty line. True: it
 * says that there is output, and leaves open which. */
static bool skip_output(struct reader *reader)
{
    const char *line;
    size_t length;
    if (reader->end - reader->at < 5 || memcmp(reader->at, "----\n", 5) != 0) {
        return false;
    }
    bool open = reader->end - reader->at >= 6 && reader->at[5] == '\n';
    while (reader->at < reader->end && reader->at[0] != '\n' && read_line(reader, &line, &length)) {
    }
    return open;
}

static void add_both(struct tn__scenario_result *result, const char *bytes, size_t length)
{
    tn__growing_add_bytes(&result->text, bytes, length);
    tn__growing_add_bytes(&result->known, bytes, length);
}

/* Run the command of a line and put its output where the file has it. */
static void play_command(struct tn__scenario *scenario, struct reader *reader, const char *line,
                         size_t length, const char *story)
{
    struct tn__scenario_result *result = scenario->result;
    run_command(scenario, line, length, story);
    result->stanzas_count++;
    add_both(result, "----\n", 5);
    tn__growing_add_bytes(&result->text, scenario->out.bytes, scenario->out.length);
    if (!skip_output(reader)) {
        tn__growing_add_bytes(&result->known, scenario->out.bytes, scenario->out.length);
    }
}

static void play_lines(struct tn__scenario *scenario, struct reader *reader)
{
    struct tn__growing_text story = {0};
    char title[TN_SEQUENCE_TEXT_BYTES] = "";
    const char *line;
    size_t length;
    while (read_line(reader, &line, &length)) {
        add_both(scenario->result, line, length);
        add_both(scenario->result, "\n", 1);
        if (length == 0 && scenario->result->stanzas_count == 0 && title[0] != '\0') {
            tn__sequence_title(scenario->sequence, title, story.length > 0 ? story.bytes : "");
            tn__growing_clear(&story);
        } else if (length > 0 && line[0] == '#') {
            read_comment(scenario, line, length, &story, title);
        } else if (length > 0) {
            play_command(scenario, reader, line, length, story.length > 0 ? story.bytes : "");
            tn__growing_clear(&story);
        }
    }
    tn__growing_clear(&story);
}

void tn__scenario_play(const char *text, size_t length, struct tn__scenario_result *result)
{
    *result = (struct tn__scenario_result){0};
    struct tn__scenario *scenario = calloc(1, sizeof(*scenario));
    tn_assert(scenario != NULL);
    scenario->result = result;
    scenario->sequence = tn__sequence_new();
    memcpy(scenario->name, "lock", 5);

    if (length > TN_SCENARIO_BYTES_MAX) {
        tn__scenario_error(scenario, "the file is longer than %u bytes", TN_SCENARIO_BYTES_MAX);
        add_both(result, scenario->out.bytes, scenario->out.length);
    } else {
        struct reader reader = {text, text + length};
        play_lines(scenario, &reader);
    }
    if (scenario->world != NULL || scenario->log != NULL) {
        result->sequence = scenario->sequence;
    } else {
        tn__sequence_free(scenario->sequence);
    }
    tn__scenario_explore_free(scenario);
    tn__log_story_free(scenario);
    tn__lease_judge_free(scenario->judge);
    tn__world_free(scenario->world);
    tn__growing_clear(&scenario->out);
    tn__growing_clear(&scenario->sends);
    tn__growing_clear(&scenario->losses);
    free(scenario);
}

void tn__scenario_result_free(struct tn__scenario_result *result)
{
    tn__growing_clear(&result->text);
    tn__growing_clear(&result->known);
    tn__sequence_free(result->sequence);
    *result = (struct tn__scenario_result){0};
}
