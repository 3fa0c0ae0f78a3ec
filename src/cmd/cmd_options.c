/* Flags, environment and file from one table: see cmd_options.h.
 *
 * Reading goes through three passes in falling strength: flags, environment, file. A pass enters a
 * value only where no stronger one stands; repeated options of the same pass add up. The first
 * complaint stays and ends the reading. */
#define _GNU_SOURCE
#include "cmd/cmd_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tenure/version.h>

#include "base/assert.h"
#include "cmd/cmd_config.h"
#include "cmd/cmd_help.h"

#define ITEM_BYTES 512

static bool complain(struct tn__cmd_options *options, const char *origin, const char *why)
{
    if (options->complaint[0] == '\0') {
        snprintf(options->complaint, sizeof(options->complaint), "%s: %s", origin, why);
    }
    return false;
}

size_t tn__cmd_options_find(const struct tn__cmd_options *options, const char *name)
{
    size_t i = 0;
    while (i < options->program->options_count &&
           strcmp(options->program->options[i].name, name) != 0) {
        i++;
    }
    return i;
}

static bool cut_by_commas(enum tn__cmd_kind kind)
{
    return kind == TN_CMD_PEER || kind == TN_CMD_ENDPOINT;
}

/* Cut off the next item, up to a comma where the kind says so. */
static bool next_item(enum tn__cmd_kind kind, const char **at, char *item, size_t item_size)
{
    size_t length = cut_by_commas(kind) ? strcspn(*at, ",") : strlen(*at);
    size_t kept = length < item_size ? length : item_size - 1;
    memcpy(item, *at, kept);
    item[kept] = '\0';
    *at += length;
    if (**at == ',') {
        (*at)++;
    }
    return kept == length;
}

static bool check_range(const struct tn__cmd_option *option, tn_time duration, char *why)
{
    char least[24];
    char most[24];
    if (duration >= option->least && (option->most == 0 || duration <= option->most)) {
        return true;
    }
    tn__cmd_print_duration(least, sizeof(least), option->least);
    tn__cmd_print_duration(most, sizeof(most), option->most);
    if (option->most == 0) {
        snprintf(why, TN_CMD_WHY_BYTES, "at least %s is allowed", least);
    } else {
        snprintf(why, TN_CMD_WHY_BYTES, "%s to %s is allowed", least, most);
    }
    return false;
}

static bool check_choice(const struct tn__cmd_option *option, const char *text, char *why)
{
    size_t length = strlen(text);
    for (const char *at = option->choices; *at != '\0'; at += *at == '|') {
        size_t choice = strcspn(at, "|");
        if (choice == length && memcmp(at, text, length) == 0) {
            return true;
        }
        at += choice;
    }
    snprintf(why, TN_CMD_WHY_BYTES, "\"%.64s\" is not one of %s", text, option->choices);
    return false;
}

static bool check_endpoint(const char *text, char *why)
{
    struct tn__cmd_address address;
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < 2; i++) {
        if (strncmp(text, schemes[i], strlen(schemes[i])) == 0) {
            return tn__cmd_parse_address(text + strlen(schemes[i]), false, &address, why);
        }
    }
    return tn__cmd_parse_address(text, false, &address, why);
}

static bool check_item(const struct tn__cmd_option *option, const char *text, char *why)
{
    struct tn__cmd_address address;
    struct tn__cmd_peer peer;
    struct tn__cmd_table table;
    uint64_t number;
    bool on;
    switch (option->kind) {
    case TN_CMD_SWITCH:
        return tn__cmd_parse_switch(text, &on, why);
    case TN_CMD_TEXT:
        snprintf(why, TN_CMD_WHY_BYTES, "needs a value");
        return *text != '\0';
    case TN_CMD_WORD:
        return tn__cmd_parse_word(text, why);
    case TN_CMD_NUMBER:
        return tn__cmd_parse_number(text, option->least,
                                    option->most == 0 ? UINT64_MAX : option->most, &number, why);
    case TN_CMD_DURATION:
        return tn__cmd_parse_duration(text, &number, why) && check_range(option, number, why);
    case TN_CMD_ADDRESS:
    case TN_CMD_LISTEN:
        return tn__cmd_parse_address(text, option->kind == TN_CMD_LISTEN, &address, why);
    case TN_CMD_CHOICE:
        return check_choice(option, text, why);
    case TN_CMD_PEER:
        return tn__cmd_parse_peer(text, &peer, why);
    case TN_CMD_ENDPOINT:
        return check_endpoint(text, why);
    case TN_CMD_TABLE:
        return tn__cmd_parse_table(text, &table, why);
    }
    return false;
}

static bool check_text(const struct tn__cmd_option *option, const char *text, char *why)
{
    const char *at = text;
    do {
        char item[ITEM_BYTES];
        if (!next_item(option->kind, &at, item, sizeof(item))) {
            if (option->kind == TN_CMD_TEXT) {
                return true;
            }
            snprintf(why, TN_CMD_WHY_BYTES, "is longer than anything that could be right");
            return false;
        }
        if (!check_item(option, item, why)) {
            return false;
        }
    } while (*at != '\0' || (at > text && at[-1] == ','));
    return true;
}

bool tn__cmd_options_enter(struct tn__cmd_options *options, size_t index,
                           enum tn__cmd_source source, const char *origin, const char *text,
                           bool copy)
{
    tn_assert(index < options->program->options_count);
    const struct tn__cmd_option *option = &options->program->options[index];
    struct tn__cmd_value *value = &options->values[index];
    char why[TN_CMD_WHY_BYTES] = "";
    if (!check_text(option, text, why)) {
        return complain(options, origin, why);
    }
    if (value->count > 0 && value->source > source) {
        return true;
    }
    bool replaced = value->source != source || !option->repeats;
    value->count = replaced ? 0 : value->count;
    if (value->count >= TN_CMD_REPEATS_MAX || (copy && options->owned_count >= TN_CMD_OWNED_MAX)) {
        return complain(options, origin, "is given too often");
    }
    if (copy) {
        char *kept = strdup(text);
        if (kept == NULL) {
            return complain(options, origin, "out of memory");
        }
        options->owned[options->owned_count++] = kept;
        text = kept;
    }
    value->texts[value->count++] = text;
    value->source = source;
    return true;
}

/* The bit test of cmd_options.h: does the command in use know the option? */
static bool known_here(const struct tn__cmd_options *options, size_t index)
{
    uint32_t commands = options->program->options[index].commands;
    if (commands == 0 || options->command == NULL) {
        return true;
    }
    return (commands >> (options->command - options->program->commands) & 1U) != 0;
}

/* One flag, argv[*at]; takes the next word as its value where it needs one. */
static bool read_flag(struct tn__cmd_options *options, int argc, char **argv, int *at)
{
    const char *word = argv[*at];
    char name[64];
    const char *sign = strchr(word, '=');
    size_t length = sign == NULL ? strlen(word + 2) : (size_t)(sign - word) - 2;
    snprintf(name, sizeof(name), "%.*s", (int)(length < 63 ? length : 63), word + 2);
    char origin[80];
    snprintf(origin, sizeof(origin), "--%s", name);
    size_t index = tn__cmd_options_find(options, name);
    if (index == options->program->options_count) {
        return complain(options, origin, "there is no such option");
    }
    if (!known_here(options, index)) {
        char why[TN_CMD_WHY_BYTES];
        snprintf(why, sizeof(why), "%s %s has no such option", options->program->name,
                 options->command->name);
        return complain(options, origin, why);
    }
    const struct tn__cmd_option *option = &options->program->options[index];
    const char *text = sign == NULL ? NULL : sign + 1;
    if (text == NULL && option->kind == TN_CMD_SWITCH) {
        text = "true";
    }
    if (text == NULL) {
        if (*at + 1 >= argc) {
            char why[TN_CMD_WHY_BYTES];
            snprintf(why, sizeof(why), "needs a value: --%s %s", name, option->argument);
            return complain(options, origin, why);
        }
        text = argv[++*at];
    }
    return tn__cmd_options_enter(options, index, TN_CMD_FLAG, origin, text, false);
}

static bool read_argument(struct tn__cmd_options *options, const char *word)
{
    const struct tn__cmd_program *program = options->program;
    for (size_t i = 0; options->command == NULL && i < program->commands_count; i++) {
        if (strcmp(program->commands[i].name, word) == 0) {
            options->command = &program->commands[i];
            return true;
        }
    }
    if (program->commands != NULL && options->command == NULL) {
        return complain(options, word, "there is no such command");
    }
    uint32_t most = options->command == NULL ? 0 : options->command->arguments_max;
    if (options->arguments_count >= most) {
        return complain(options, word,
                        options->command != NULL && options->command->rest
                            ? "one word too many; the command to run stands behind --"
                            : "one word too many");
    }
    options->arguments[options->arguments_count++] = word;
    return true;
}

/* The command decides which flags there are, so it is looked up before the flags are read: the
 * first word that is no flag and no flag's value. Commands come first in practice, and flags before
 * them belong to all commands, so reading left to right finds it. */
static bool read_flags(struct tn__cmd_options *options, int argc, char **argv)
{
    for (int at = 1; at < argc; at++) {
        const char *word = argv[at];
        if (strcmp(word, "--") == 0) {
            options->rest = &argv[at + 1];
            options->rest_count = (uint32_t)(argc - at - 1);
            return true;
        }
        bool fine = word[0] == '-' && word[1] == '-' ? read_flag(options, argc, argv, &at)
                    : word[0] == '-' && word[1] != '\0'
                        ? complain(options, word, "options are written in full, such as --help")
                        : read_argument(options, word);
        if (!fine) {
            return false;
        }
    }
    return true;
}

static bool read_variable(struct tn__cmd_options *options, size_t index)
{
    const struct tn__cmd_option *option = &options->program->options[index];
    char name[96];
    int length = snprintf(name, sizeof(name), "%s", options->program->environment);
    for (const char *at = option->name; *at != '\0' && length < 94; at++) {
        name[length++] = *at == '-' ? '_' : (char)(*at >= 'a' && *at <= 'z' ? *at - 32 : *at);
    }
    name[length] = '\0';
    const char *text = getenv(name);
    if (text == NULL || *text == '\0') {
        return true;
    }
    if (!option->repeats) {
        return tn__cmd_options_enter(options, index, TN_CMD_ENVIRONMENT, name, text, false);
    }
    for (const char *at = text + strspn(text, " \t\n"); *at != '\0'; at += strspn(at, " \t\n")) {
        char item[ITEM_BYTES];
        size_t item_bytes = strcspn(at, " \t\n");
        snprintf(item, sizeof(item), "%.*s", (int)item_bytes, at);
        if (item_bytes >= sizeof(item)) {
            return complain(options, name, "has an item that is too long");
        }
        if (!tn__cmd_options_enter(options, index, TN_CMD_ENVIRONMENT, name, item, true)) {
            return false;
        }
        at += item_bytes;
    }
    return true;
}

static bool read_environment(struct tn__cmd_options *options)
{
    for (size_t i = 0; options->program->environment != NULL && i < options->program->options_count;
         i++) {
        if (known_here(options, i) && !read_variable(options, i)) {
            return false;
        }
    }
    return true;
}

static bool check_arguments(struct tn__cmd_options *options)
{
    const struct tn__cmd_command *command = options->command;
    if (options->program->commands != NULL && command == NULL) {
        return complain(options, options->program->name, "say what to do: a command is missing");
    }
    if (command == NULL) {
        if (options->rest != NULL && options->rest_count > 0) {
            return complain(options, options->rest[0], "one word too many");
        }
        return true;
    }
    char why[TN_CMD_WHY_BYTES];
    snprintf(why, sizeof(why), "something is missing; write %s %s %s", options->program->name,
             command->name, command->arguments);
    if (options->arguments_count < command->arguments_min ||
        (command->rest && options->rest_count == 0)) {
        return complain(options, command->name, why);
    }
    if (!command->rest && options->rest_count > 0) {
        return complain(options, options->rest[0], "one word too many");
    }
    return true;
}

/* --help and --version count wherever they stand before `--`, whatever else is wrong. */
static bool shown(struct tn__cmd_options *options, int argc, char **argv)
{
    const struct tn__cmd_program *program = options->program;
    const struct tn__cmd_command *command = NULL;
    for (int at = 1; at < argc && strcmp(argv[at], "--") != 0; at++) {
        for (size_t i = 0; command == NULL && i < program->commands_count; i++) {
            command =
                strcmp(program->commands[i].name, argv[at]) == 0 ? &program->commands[i] : NULL;
        }
    }
    for (int at = 1; at < argc && strcmp(argv[at], "--") != 0; at++) {
        if (strcmp(argv[at], "--help") == 0 || strcmp(argv[at], "-h") == 0 ||
            (at == 1 && program->commands != NULL && strcmp(argv[at], "help") == 0)) {
            tn__cmd_help(stdout, program, command);
            return true;
        }
        if (strcmp(argv[at], "--version") == 0) {
            printf("%s %s\n", program->name, tn_version());
            return true;
        }
    }
    return false;
}

enum tn__cmd_outcome tn__cmd_options_read(struct tn__cmd_options *options,
                                          const struct tn__cmd_program *program, int argc,
                                          char **argv)
{
    tn_assert(program->options_count <= TN_CMD_OPTIONS_MAX);
    memset(options, 0, sizeof(*options));
    options->program = program;
    if (shown(options, argc, argv)) {
        return TN_CMD_SHOWN;
    }
    if (!read_flags(options, argc, argv) || !check_arguments(options) ||
        !read_environment(options)) {
        return TN_CMD_WRONG;
    }
    size_t file = tn__cmd_options_find(options, "config-file");
    if (file < program->options_count && options->values[file].count > 0 &&
        !tn__cmd_config_read(options, options->values[file].texts[0])) {
        return TN_CMD_WRONG;
    }
    return TN_CMD_GO_ON;
}

void tn__cmd_options_free(struct tn__cmd_options *options)
{
    for (uint32_t i = 0; i < options->owned_count; i++) {
        free(options->owned[i]);
    }
    memset(options, 0, sizeof(*options));
}

int tn__cmd_options_complain(const struct tn__cmd_options *options)
{
    const char *name = options->program->name;
    const char *command = options->command == NULL ? "" : options->command->name;
    fprintf(stderr, "%s: %s\nTry '%s %s%s--help'.\n", name, options->complaint, name, command,
            *command == '\0' ? "" : " ");
    return TN_CMD_USAGE;
}

static const struct tn__cmd_value *value_of(const struct tn__cmd_options *options, const char *name,
                                            const struct tn__cmd_option **option)
{
    size_t index = tn__cmd_options_find(options, name);
    tn_assert(index < options->program->options_count);
    *option = &options->program->options[index];
    return &options->values[index];
}

bool tn__cmd_given(const struct tn__cmd_options *options, const char *name)
{
    const struct tn__cmd_option *option;
    return value_of(options, name, &option)->count > 0;
}

const char *tn__cmd_text(const struct tn__cmd_options *options, const char *name)
{
    const struct tn__cmd_option *option;
    const struct tn__cmd_value *value = value_of(options, name, &option);
    return value->count > 0 ? value->texts[0] : option->fallback;
}

bool tn__cmd_switch(const struct tn__cmd_options *options, const char *name)
{
    char why[TN_CMD_WHY_BYTES];
    bool on = false;
    const char *text = tn__cmd_text(options, name);
    return text != NULL && tn__cmd_parse_switch(text, &on, why) && on;
}

uint64_t tn__cmd_number(const struct tn__cmd_options *options, const char *name)
{
    char why[TN_CMD_WHY_BYTES];
    uint64_t number = 0;
    const char *text = tn__cmd_text(options, name);
    if (text != NULL) {
        bool valid = tn__cmd_parse_number(text, 0, UINT64_MAX, &number, why);
        tn_assert(valid);
    }
    return number;
}

tn_time tn__cmd_duration(const struct tn__cmd_options *options, const char *name)
{
    char why[TN_CMD_WHY_BYTES];
    tn_time duration = 0;
    const char *text = tn__cmd_text(options, name);
    if (text != NULL) {
        bool valid = tn__cmd_parse_duration(text, &duration, why);
        tn_assert(valid);
    }
    return duration;
}

bool tn__cmd_item(const struct tn__cmd_options *options, const char *name, uint32_t number,
                  char *item, size_t item_size)
{
    const struct tn__cmd_option *option;
    const struct tn__cmd_value *value = value_of(options, name, &option);
    uint32_t count = value->count == 0 && option->fallback != NULL ? 1 : value->count;
    for (uint32_t i = 0; i < count; i++) {
        const char *at = value->count == 0 ? option->fallback : value->texts[i];
        while (*at != '\0') {
            next_item(option->kind, &at, item, item_size);
            if (number-- == 0) {
                return true;
            }
        }
    }
    return false;
}
