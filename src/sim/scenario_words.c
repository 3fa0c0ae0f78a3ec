/* Commands: their words, and how the story writes ballots and times. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "sim/log_scenario.h"

/* ---- Words ----------------------------------------------------------------------------------- */

bool tn__scenario_parse(struct tn__scenario_command *command, const char *line, size_t length)
{
    memset(command, 0, sizeof(*command));
    if (length == 0 || length >= sizeof(command->bytes)) {
        return false;
    }
    memcpy(command->bytes, line, length);
    char *at = command->bytes;
    while (*at != '\0') {
        size_t gap = strspn(at, " ");
        memset(at, 0, gap);
        at += gap;
        size_t word_length = strcspn(at, " ");
        if (word_length == 0) {
            break;
        }
        char *next = at + word_length;
        char *equals = memchr(at, '=', word_length);
        if (command->verb == NULL) {
            command->verb = at;
        } else if (command->words_count == TN__SCENARIO_WORDS_MAX) {
            return false;
        } else {
            struct tn__scenario_word *word = &command->words[command->words_count++];
            word->key = at;
            if (equals != NULL) {
                *equals = '\0';
                word->value = equals + 1;
            }
        }
        at = next;
    }
    return command->verb != NULL;
}

const char *tn__scenario_value(struct tn__scenario_command *command, const char *key)
{
    for (uint32_t i = 0; i < command->words_count; i++) {
        if (command->words[i].value != NULL && strcmp(command->words[i].key, key) == 0) {
            command->words[i].used = true;
            return command->words[i].value;
        }
    }
    return NULL;
}

bool tn__scenario_has(struct tn__scenario_command *command, const char *word)
{
    for (uint32_t i = 0; i < command->words_count; i++) {
        if (command->words[i].value == NULL && strcmp(command->words[i].key, word) == 0) {
            command->words[i].used = true;
            return true;
        }
    }
    return false;
}

const char *tn__scenario_bare(struct tn__scenario_command *command)
{
    for (uint32_t i = 0; i < command->words_count; i++) {
        if (command->words[i].value == NULL && !command->words[i].used) {
            command->words[i].used = true;
            return command->words[i].key;
        }
    }
    return NULL;
}

/* ---- Values ---------------------------------------------------------------------------------- */

bool tn__scenario_span(const char *text, tn_time *span)
{
    static const struct {
        const char *unit;
        tn_time ns;
    } units[] = {{"s", TN_SECOND},
                 {"", TN_SECOND},
                 {"ms", TN_MILLISECOND},
                 {"us", TN_MICROSECOND},
                 {"ns", 1}};
    char *end = NULL;
    if (text[0] < '0' || text[0] > '9') {
        return false;
    }
    uint64_t whole = strtoull(text, &end, 10);
    uint64_t part = 0;
    uint64_t scale = 1;
    if (*end == '.') {
        for (end++; *end >= '0' && *end <= '9'; end++) {
            if (scale < TN_SECOND) {
                part = part * 10 + (uint64_t)(*end - '0');
                scale *= 10;
            }
        }
    }
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(end, units[i].unit) == 0 && whole <= TN_DURATION_NS_MAX / units[i].ns) {
            *span = whole * units[i].ns + part * units[i].ns / scale;
            return true;
        }
    }
    return false;
}

bool tn__scenario_span_of(struct tn__scenario *scenario, struct tn__scenario_command *command,
                          const char *key, tn_time *span)
{
    const char *value = tn__scenario_value(command, key);
    if (value != NULL && !tn__scenario_span(value, span)) {
        tn__scenario_error(scenario, "%s=%s is not a duration", key, value);
        return false;
    }
    return true;
}

bool tn__scenario_number_of(struct tn__scenario *scenario, struct tn__scenario_command *command,
                            const char *key, uint64_t *number)
{
    const char *value = tn__scenario_value(command, key);
    if (value == NULL) {
        return true;
    }
    char *end = NULL;
    uint64_t read = strtoull(value, &end, 10);
    if (value[0] < '0' || value[0] > '9' || *end != '\0') {
        tn__scenario_error(scenario, "%s=%s is not a number", key, value);
        return false;
    }
    *number = read;
    return true;
}

bool tn__scenario_nodes(const char *text, uint32_t count, tn_member_set *nodes)
{
    *nodes = 0;
    const char *at = text;
    for (;;) {
        char *end = NULL;
        unsigned long node = strtoul(at, &end, 10);
        if (at[0] < '0' || at[0] > '9' || node < 1 || node > count) {
            return false;
        }
        *nodes |= 1U << (node - 1);
        if (*end == '\0') {
            return true;
        }
        if (*end != ',') {
            return false;
        }
        at = end + 1;
    }
}

bool tn__scenario_nodes_of(struct tn__scenario *scenario, struct tn__scenario_command *command,
                           const char *key, tn_member_set missing, tn_member_set *nodes)
{
    const char *value = tn__scenario_value(command, key);
    *nodes = missing;
    if (value == NULL && missing == 0) {
        tn__scenario_error(scenario, "%s= is missing", key);
        return false;
    }
    /* One more than the members: the process of a copied directory. */
    uint32_t count = scenario->log != NULL ? tn__log_story_nodes(scenario)
                                           : tn__world_nodes(scenario->world) + 1;
    if (value != NULL && !tn__scenario_nodes(value, count, nodes)) {
        tn__scenario_error(scenario, "%s=%s is not a list of nodes", key, value);
        return false;
    }
    return true;
}

/* ---- How the story writes -------------------------------------------------------------------- */

/* attempt.node, where attempts above the first ceiling are counted from it (F1). */
struct tn__short tn__scenario_token(uint64_t counter)
{
    struct tn__short written;
    uint64_t attempt = counter >> 16;
    uint64_t stride = TN_CEILING_STRIDE >> 16;
    unsigned node = (unsigned)(counter & 0xffffU);
    if (counter == 0) {
        snprintf(written.text, sizeof(written.text), "none");
    } else if (node == 0 && attempt % stride == 0) {
        snprintf(written.text, sizeof(written.text), "c%llu",
                 (unsigned long long)(attempt / stride));
    } else if (attempt < stride) {
        snprintf(written.text, sizeof(written.text), "%llu.%u", (unsigned long long)attempt, node);
    } else {
        snprintf(written.text, sizeof(written.text), "c%llu+%llu.%u",
                 (unsigned long long)(attempt / stride), (unsigned long long)(attempt % stride),
                 node);
    }
    return written;
}

struct tn__short tn__scenario_ballot(const struct tn__scenario *scenario, struct tn_ballot ballot)
{
    struct tn__short written = tn__scenario_token(ballot.counter);
    uint32_t member = tn_ballot_node(ballot) - 1U;
    if (ballot.restart_word == UINT64_MAX && tn_ballot_node(ballot) == UINT16_MAX) {
        /* F2: the floor after a restart is the largest ballot below the ceiling. */
        struct tn__short ceiling = tn__scenario_token(ballot.counter + 1);
        snprintf(written.text, sizeof(written.text), "the floor under %.20s", ceiling.text);
        return written;
    }
    if (ballot.restart_word == UINT64_MAX) { /* A3: the grave of a released ballot */
        size_t length = strlen(written.text);
        snprintf(written.text + length, sizeof(written.text) - length, "+");
        return written;
    }
    if (member >= TN_MEMBERS_MAX) {
        return written;
    }
    for (uint32_t i = 1; i < scenario->runs_count[member]; i++) {
        if (scenario->runs[member][i] == ballot.restart_word) {
            size_t length = strlen(written.text);
            snprintf(written.text + length, sizeof(written.text) - length, "#%u", i + 1);
        }
    }
    return written;
}

struct tn__short tn__scenario_seconds(tn_time span)
{
    struct tn__short written;
    if (span == TN_TIME_NEVER) {
        snprintf(written.text, sizeof(written.text), "for ever");
        return written;
    }
    snprintf(written.text, sizeof(written.text), "%llu.%03llu",
             (unsigned long long)(span / TN_SECOND),
             (unsigned long long)(span % TN_SECOND / TN_MILLISECOND));
    return written;
}

struct tn__short tn__scenario_time(const struct tn__scenario *scenario, tn_time real)
{
    if (real == TN_TIME_NEVER) {
        return tn__scenario_seconds(real);
    }
    struct tn__short written = {.text = "-"};
    if (real < scenario->zero) {
        struct tn__short before = tn__scenario_seconds(scenario->zero - real);
        snprintf(written.text + 1, sizeof(written.text) - 1, "%.30s", before.text);
        return written;
    }
    return tn__scenario_seconds(real - scenario->zero);
}
