/* Flags, environment and configuration file, all from one table.
 *
 * A program describes its options once (struct tn__cmd_option); parsing, --help, --version, the
 * environment, the keys of the configuration file and the complaints about each follow from that.
 * A value comes from, in this order: the flag, the environment, the file, the fallback. Values that
 * a stronger source hides are checked all the same.
 *
 * An option stands as `--name value` or `--name=value`, a switch as `--name` or `--name=false`, at
 * any place before `--`. Texts are kept by pointer: argv and environment must outlive the options;
 * what comes from the file is copied. */
#ifndef TN_CMD_OPTIONS_H
#define TN_CMD_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmd/cmd_parse.h"

/* Bounds: what one command line of ours may hold. */
#define TN_CMD_OPTIONS_MAX 48
#define TN_CMD_REPEATS_MAX 32
#define TN_CMD_OWNED_MAX 256
#define TN_CMD_COMPLAINT_BYTES 1024

/* Statuses that every program shares. */
#define TN_CMD_DONE 0
#define TN_CMD_FAILED 1
#define TN_CMD_USAGE 2

enum tn__cmd_kind {
    TN_CMD_SWITCH,
    TN_CMD_TEXT,
    TN_CMD_WORD,     /* tn__cmd_parse_word */
    TN_CMD_NUMBER,   /* least..most */
    TN_CMD_DURATION, /* least..most nanoseconds */
    TN_CMD_ADDRESS,  /* HOST:PORT */
    TN_CMD_LISTEN,   /* HOST:PORT, port 0 allowed */
    TN_CMD_CHOICE,   /* one of `choices`, separated by | */
    TN_CMD_PEER,     /* NAME=HOST:PORT, several by commas */
    TN_CMD_ENDPOINT, /* HOST:PORT, several by commas, http:// and https:// allowed before each */
    TN_CMD_TABLE,    /* NAME=DURATION[,DURATION[,DURATION]] */
};

struct tn__cmd_option {
    const char *name;
    const char *argument; /* as the help shows it; NULL for a switch */
    const char *fallback; /* NULL: none */
    const char *help;     /* one line or more, cut by \n */
    enum tn__cmd_kind kind;
    bool repeats;      /* may stand several times; in the environment cut at white space */
    uint32_t commands; /* bits of the commands that know it; 0: all */
    uint64_t least;    /* of a number or duration */
    uint64_t most;     /* 0: no bound */
    const char *choices;
};

struct tn__cmd_command {
    const char *name;
    const char *arguments; /* "NAME [-- COMMAND...]" */
    const char *help;
    uint32_t arguments_min;
    uint32_t arguments_max;
    bool rest; /* wants `-- COMMAND...` */
};

struct tn__cmd_program {
    const char *name;
    const char *summary;     /* what it is, one line */
    const char *environment; /* "TENURED_": the prefix of its variables */
    const struct tn__cmd_option *options;
    size_t options_count;
    const struct tn__cmd_command *commands; /* NULL: the program has none */
    size_t commands_count;
    const char *epilogue; /* shown at the end of --help: statuses, files */
};

enum tn__cmd_source { TN_CMD_FALLBACK, TN_CMD_FILE, TN_CMD_ENVIRONMENT, TN_CMD_FLAG };

struct tn__cmd_value {
    const char *texts[TN_CMD_REPEATS_MAX];
    uint32_t count;
    enum tn__cmd_source source;
};

struct tn__cmd_options {
    const struct tn__cmd_program *program;
    const struct tn__cmd_command *command;
    struct tn__cmd_value values[TN_CMD_OPTIONS_MAX];
    const char *arguments[8];
    uint32_t arguments_count;
    char **rest; /* what follows `--`, NULL at its end */
    uint32_t rest_count;
    char *owned[TN_CMD_OWNED_MAX];
    uint32_t owned_count;
    char complaint[TN_CMD_COMPLAINT_BYTES]; /* the first thing that was wrong */
};

enum tn__cmd_outcome {
    TN_CMD_GO_ON, /* everything is there and valid */
    TN_CMD_SHOWN, /* --help or --version was asked for and printed: end with status 0 */
    TN_CMD_WRONG, /* `complaint` says what: end with status 2 */
};

/* Read flags, environment and, if an option "config-file" names one, the file. */
enum tn__cmd_outcome tn__cmd_options_read(struct tn__cmd_options *options,
                                          const struct tn__cmd_program *program, int argc,
                                          char **argv);

void tn__cmd_options_free(struct tn__cmd_options *options);

/* Print the complaint and how to get help; returns status 2. */
int tn__cmd_options_complain(const struct tn__cmd_options *options);

/* Enter a value from some source; `origin` names it in complaints ("--lease", "a.yaml:3: lease").
 * For cmd_config; false with `complaint` filled. */
bool tn__cmd_options_enter(struct tn__cmd_options *options, size_t index,
                           enum tn__cmd_source source, const char *origin, const char *text,
                           bool copy);

/* The index of an option by its name; options_count when there is none. */
size_t tn__cmd_options_find(const struct tn__cmd_options *options, const char *name);

/* Was it given by flag, environment or file? */
bool tn__cmd_given(const struct tn__cmd_options *options, const char *name);

/* The value: checked when read, so these cannot fail. NULL or 0 without value and fallback. */
const char *tn__cmd_text(const struct tn__cmd_options *options, const char *name);
bool tn__cmd_switch(const struct tn__cmd_options *options, const char *name);
uint64_t tn__cmd_number(const struct tn__cmd_options *options, const char *name);
tn_time tn__cmd_duration(const struct tn__cmd_options *options, const char *name);

/* The item-th item of an option that takes several (by repetition or by commas, as its kind says).
 * Copies into `item`; false after the last. */
bool tn__cmd_item(const struct tn__cmd_options *options, const char *name, uint32_t number,
                  char *item, size_t item_size);

#endif
