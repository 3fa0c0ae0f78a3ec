/* The configuration file: see cmd_config.h.
 *
 * libyaml's event stream drives a walk of fixed depth: a mapping of keys, and below a key a scalar,
 * a sequence of scalars, or a mapping of scalars. Anything deeper, an alias, a second document or
 * an unknown key is refused with its line; a key that stands twice is too, since YAML would let
 * the later one win in silence. */
#include "cmd/cmd_config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <yaml.h>

#include "base/assert.h"

struct reader {
    struct tn__cmd_options *options;
    const char *path;
    yaml_parser_t parser;
    yaml_event_t event; /* the one being looked at */
    bool have_event;
    uint64_t seen; /* options that the file has named, by index */
};

static bool complain(struct reader *reader, size_t line, const char *format, const char *what)
{
    if (reader->options->complaint[0] == '\0') {
        char why[TN_CMD_WHY_BYTES];
        snprintf(why, sizeof(why), format, what);
        snprintf(reader->options->complaint, sizeof(reader->options->complaint), "%s:%zu: %s",
                 reader->path, line + 1, why);
    }
    return false;
}

static bool next(struct reader *reader)
{
    if (reader->have_event) {
        yaml_event_delete(&reader->event);
        reader->have_event = false;
    }
    if (!yaml_parser_parse(&reader->parser, &reader->event)) {
        return complain(reader, reader->parser.problem_mark.line, "this is not YAML: %s",
                        reader->parser.problem == NULL ? "bytes that are not text"
                                                       : reader->parser.problem);
    }
    reader->have_event = true;
    return true;
}

static size_t line_of(const struct reader *reader)
{
    return reader->event.start_mark.line;
}

static bool expect(struct reader *reader, yaml_event_type_t type, const char *what)
{
    if (!next(reader)) {
        return false;
    }
    if (reader->event.type != type) {
        return complain(reader, line_of(reader), "%s is expected here", what);
    }
    return true;
}

/* Copy the scalar looked at; refuses what does not fit or holds a zero byte. */
static bool take_scalar(struct reader *reader, char *text, size_t size)
{
    size_t length = reader->event.data.scalar.length;
    const char *value = (const char *)reader->event.data.scalar.value;
    if (length >= size || strlen(value) != length) {
        return complain(reader, line_of(reader), "this %s is too long", "value");
    }
    memcpy(text, value, length + 1);
    return true;
}

static bool enter(struct reader *reader, size_t index, const char *text, size_t line)
{
    char origin[512];
    snprintf(origin, sizeof(origin), "%s:%zu: %s", reader->path, line + 1,
             reader->options->program->options[index].name);
    return tn__cmd_options_enter(reader->options, index, TN_CMD_FILE, origin, text, true);
}

/* Enter what a sequence or mapping holds; peers and tables are one text "NAME=VALUE" each. */
static bool read_collection(struct reader *reader, size_t index, bool mapping)
{
    const struct tn__cmd_option *option = &reader->options->program->options[index];
    bool named = option->kind == TN_CMD_PEER || option->kind == TN_CMD_TABLE;
    if (!option->repeats || (mapping && !named)) {
        return complain(reader, line_of(reader), "%s takes one value", option->name);
    }
    yaml_event_type_t end = mapping ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT;
    while (next(reader)) {
        char text[600];
        char key[256] = "";
        if (reader->event.type == end) {
            return true;
        }
        size_t line = line_of(reader);
        if (reader->event.type != YAML_SCALAR_EVENT) {
            return complain(reader, line, "%s takes plain values only", option->name);
        }
        if (mapping && (!take_scalar(reader, key, sizeof(key)) ||
                        !expect(reader, YAML_SCALAR_EVENT, "a plain value"))) {
            return false;
        }
        char value[256];
        if (!take_scalar(reader, value, sizeof(value))) {
            return false;
        }
        snprintf(text, sizeof(text), "%s%s%s", key, mapping ? "=" : "", value);
        if (!enter(reader, index, text, line)) {
            return false;
        }
    }
    return false;
}

static bool read_key(struct reader *reader)
{
    char key[64];
    char text[1024];
    size_t line = line_of(reader);
    if (reader->event.type != YAML_SCALAR_EVENT) {
        return complain(reader, line, "%s is expected here", "the name of an option");
    }
    if (!take_scalar(reader, key, sizeof(key))) {
        return false;
    }
    size_t index = tn__cmd_options_find(reader->options, key);
    if (index == reader->options->program->options_count || strcmp(key, "config-file") == 0) {
        return complain(reader, line, "%s: there is no such option; the keys are the flags' names",
                        key);
    }
    if ((reader->seen >> index & 1U) != 0) {
        return complain(reader, line, "%s stands twice in this file", key);
    }
    reader->seen |= 1ULL << index;
    if (!next(reader)) {
        return false;
    }
    if (reader->event.type == YAML_SEQUENCE_START_EVENT ||
        reader->event.type == YAML_MAPPING_START_EVENT) {
        return read_collection(reader, index, reader->event.type == YAML_MAPPING_START_EVENT);
    }
    if (reader->event.type != YAML_SCALAR_EVENT) {
        return complain(reader, line, "%s needs a plain value", key);
    }
    return take_scalar(reader, text, sizeof(text)) && enter(reader, index, text, line);
}

static bool read_document(struct reader *reader)
{
    if (!expect(reader, YAML_STREAM_START_EVENT, "YAML") || !next(reader)) {
        return false;
    }
    if (reader->event.type == YAML_STREAM_END_EVENT) {
        return true; /* an empty file changes nothing */
    }
    if (!expect(reader, YAML_MAPPING_START_EVENT, "a mapping, \"option: value\" on each line,")) {
        return false;
    }
    while (next(reader)) {
        if (reader->event.type == YAML_MAPPING_END_EVENT) {
            return expect(reader, YAML_DOCUMENT_END_EVENT, "the end") &&
                   expect(reader, YAML_STREAM_END_EVENT, "the end of the file");
        }
        if (!read_key(reader)) {
            return false;
        }
    }
    return false;
}

bool tn__cmd_config_read(struct tn__cmd_options *options, const char *path)
{
    tn_assert(options->program->options_count <= 64);
    struct reader reader = {.options = options, .path = path};
    FILE *file = fopen(path, "rbe");
    if (file == NULL) {
        snprintf(options->complaint, sizeof(options->complaint),
                 "--config-file: %s cannot be read: %s", path, strerror(errno));
        return false;
    }
    static const char too_large[] = "is larger than a configuration can be";
    bool fine = fseek(file, 0, SEEK_END) != 0 || ftell(file) <= TN_CMD_CONFIG_BYTES_MAX;
    rewind(file);
    if (!fine) {
        snprintf(options->complaint, sizeof(options->complaint), "--config-file: %s %s", path,
                 too_large);
    } else if (!yaml_parser_initialize(&reader.parser)) {
        snprintf(options->complaint, sizeof(options->complaint), "--config-file: out of memory");
        fine = false;
    } else {
        yaml_parser_set_input_file(&reader.parser, file);
        fine = read_document(&reader);
        if (reader.have_event) {
            yaml_event_delete(&reader.event);
        }
        yaml_parser_delete(&reader.parser);
    }
    fclose(file);
    return fine;
}
