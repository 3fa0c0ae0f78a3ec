/* tenure-sim play: plays scenario files, compares them with what happened, rewrites or draws them
 * (docs/scenarios.md). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check/text_diff.h"
#include "cmd/cmd_options.h"
#include "cmd/simulate.h"
#include "sim/scenario.h"

#define WORDS_MAX 16 /* of the command line, files apart */

static const struct tn__cmd_option option_table[] = {
    {.name = "rewrite", .kind = TN_CMD_SWITCH, .help = "write what happened into the files"},
    {.name = "svg",
     .argument = "FILE",
     .kind = TN_CMD_TEXT,
     .help = "draw the story (of one file) as a space-time diagram"},
    {.name = "json", .kind = TN_CMD_SWITCH, .help = "end with one JSON object"},
};

static const struct tn__cmd_program program = {
    .name = "tenure-sim play FILE...",
    .summary = "play scenario files and compare, or draw them",
    .environment = "TENURE_SIM_",
    .options = option_table,
    .options_count = sizeof(option_table) / sizeof(option_table[0]),
    .epilogue = "status: 0 as the files say, 1 a difference or a failure, 2 wrong usage\n",
};

struct tally {
    uint32_t files;
    uint32_t different;
    uint32_t failed; /* could not be read, written or understood */
    uint32_t stanzas;
    uint32_t violations;
};

/* ---- Files ----------------------------------------------------------------------------------- */

static bool complain(const char *path)
{
    fprintf(stderr, "tenure-sim play: %s: %s\n", path, strerror(errno));
    return false;
}

static bool read_file(const char *path, struct tn__growing_text *text)
{
    FILE *file = fopen(path, "rb");
    char block[65536];
    size_t got;
    if (file == NULL) {
        return complain(path);
    }
    while ((got = fread(block, 1, sizeof(block), file)) > 0 &&
           text->length <= TN_SCENARIO_BYTES_MAX) {
        tn__growing_add_bytes(text, block, got);
    }
    bool good = ferror(file) == 0;
    fclose(file);
    tn__growing_add_bytes(text, "", 0);
    if (memchr(text->bytes, '\0', text->length) != NULL) {
        errno = EILSEQ;
        good = false;
    }
    return good || complain(path);
}

static bool write_file(const char *path, const struct tn__growing_text *text)
{
    FILE *file = fopen(path, "wb");
    if (file == NULL) {
        return complain(path);
    }
    bool good = fwrite(text->bytes, 1, text->length, file) == text->length;
    good = fclose(file) == 0 && good;
    return good || complain(path);
}

/* ---- One file -------------------------------------------------------------------------------- */

static bool draw(const char *path, const struct tn__scenario_result *result)
{
    struct tn__growing_text svg = {0};
    if (result->sequence == NULL) {
        fprintf(stderr, "tenure-sim play: the file has no cluster, so there is nothing to draw\n");
        return false;
    }
    tn__sequence_svg(result->sequence, &svg);
    bool good = write_file(path, &svg);
    tn__growing_clear(&svg);
    return good;
}

static void show_difference(const char *path, const char *before, const char *after)
{
    struct tn__growing_text difference = {0};
    tn__text_diff(&difference, before, after);
    printf("--- %s\n+++ as played\n%s", path, difference.bytes);
    tn__growing_clear(&difference);
}

static void play(const char *path, const struct tn__cmd_options *options, struct tally *tally)
{
    struct tn__growing_text text = {0};
    struct tn__scenario_result result;
    tally->files++;
    if (!read_file(path, &text)) {
        tally->failed++;
        tn__growing_clear(&text);
        return;
    }
    tn__scenario_play(text.bytes, text.length, &result);
    bool rewrite = tn__cmd_switch(options, "rewrite");
    const struct tn__growing_text *played = rewrite ? &result.text : &result.known;
    bool same = played->length == text.length &&
                (text.length == 0 || memcmp(played->bytes, text.bytes, text.length) == 0);
    tally->stanzas += result.stanzas_count;
    tally->violations += result.violations_count;
    if (result.errors_count > 0) {
        tally->failed++;
        printf("%s: %u commands were not understood\n", path, result.errors_count);
    }
    if (!same && rewrite) {
        tally->failed += !write_file(path, &result.text);
    } else if (!same) {
        tally->different++;
        show_difference(path, text.bytes, played->length > 0 ? played->bytes : "");
    }
    if (tn__cmd_given(options, "svg")) {
        tally->failed += !draw(tn__cmd_text(options, "svg"), &result);
    }
    tn__scenario_result_free(&result);
    tn__growing_clear(&text);
}

/* ---- The command ----------------------------------------------------------------------------- */

/* Words that are files are taken out of argv; the others are options. */
static int take_files(int argc, char **argv, char **words, int words_max, char **files)
{
    int files_count = 0;
    int words_count = 0;
    for (int i = 0; i < argc; i++) {
        bool value = i > 0 && strcmp(argv[i - 1], "--svg") == 0;
        if (i > 0 && argv[i][0] != '-' && !value) {
            files[files_count++] = argv[i];
        } else if (words_count < words_max) {
            words[words_count++] = argv[i];
        }
    }
    words[words_count] = NULL;
    return files_count;
}

static int report(const struct tally *tally, bool json)
{
    bool good = tally->different == 0 && tally->failed == 0;
    if (json) {
        printf("{\"files\": %u, \"different\": %u, \"failed\": %u, \"commands\": %u, "
               "\"violations\": %u}\n",
               tally->files, tally->different, tally->failed, tally->stanzas, tally->violations);
    } else {
        printf("%u files, %u commands: %u differ, %u failed; invariants broken: %u\n", tally->files,
               tally->stanzas, tally->different, tally->failed, tally->violations);
    }
    return good ? TN_CMD_DONE : TN_CMD_FAILED;
}

int tn__simulate_play(int argc, char **argv)
{
    char *words[WORDS_MAX + 1];
    char **files = calloc((size_t)argc + 1, sizeof(*files));
    struct tn__cmd_options options;
    if (files == NULL) {
        return TN_CMD_FAILED;
    }
    int count = take_files(argc, argv, words, WORDS_MAX, files);
    int words_count = 0;
    while (words[words_count] != NULL) {
        words_count++;
    }
    int status = TN_CMD_DONE;
    enum tn__cmd_outcome outcome = tn__cmd_options_read(&options, &program, words_count, words);
    if (outcome == TN_CMD_WRONG) {
        status = tn__cmd_options_complain(&options);
    } else if (outcome == TN_CMD_GO_ON && count == 0) {
        fprintf(stderr, "tenure-sim play: which file? (--help)\n");
        status = TN_CMD_USAGE;
    } else if (outcome == TN_CMD_GO_ON && count > 1 && tn__cmd_given(&options, "svg")) {
        fprintf(stderr, "tenure-sim play: --svg draws one file\n");
        status = TN_CMD_USAGE;
    } else if (outcome == TN_CMD_GO_ON) {
        struct tally tally = {0};
        for (int i = 0; i < count; i++) {
            play(files[i], &options, &tally);
        }
        status = report(&tally, tn__cmd_switch(&options, "json"));
    }
    tn__cmd_options_free(&options);
    free(files);
    return status;
}
