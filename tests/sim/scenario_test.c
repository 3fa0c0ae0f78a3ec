/* timeout: 120 */
/* The stories of tests/scenarios play as they are written, their drawings are those of
 * docs/diagrams, and the player notices when they are not. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "check/text_diff.h"
#include "sim/scenario.h"

#define FILES_MAX 200
#define PATH_BYTES_MAX 600

/* The scenario files by name, sorted. */
struct files {
    char names[FILES_MAX][100];
    size_t count;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void find_files(struct files *files)
{
    DIR *folder = opendir(TN_SOURCE_DIR "/tests/scenarios");
    assert_non_null(folder);
    files->count = 0;
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        size_t length = strlen(entry->d_name);
        if (length > 4 && length < 100 && strcmp(entry->d_name + length - 4, ".txt") == 0) {
            assert_true(files->count < FILES_MAX);
            memcpy(files->names[files->count++], entry->d_name, length + 1);
        }
    }
    closedir(folder);
    qsort(files->names, files->count, sizeof(files->names[0]), by_name);
}

static struct tn__growing_text read_text(const char *path)
{
    struct tn__growing_text text = {0};
    char block[4096];
    FILE *file = fopen(path, "rb");
    tn__growing_add_bytes(&text, "", 0);
    if (file == NULL) {
        return text;
    }
    for (size_t got = 1; got > 0;) {
        got = fread(block, 1, sizeof(block), file);
        tn__growing_add_bytes(&text, block, got);
    }
    fclose(file);
    return text;
}

static struct tn__growing_text read_scenario(const char *name)
{
    char path[PATH_BYTES_MAX];
    snprintf(path, sizeof(path), "%s/tests/scenarios/%s", TN_SOURCE_DIR, name);
    return read_text(path);
}

static void play_text(const char *text, struct tn__scenario_result *result)
{
    tn__scenario_play(text, strlen(text), result);
}

/* ---- The files ------------------------------------------------------------------------------- */

static void test_every_story_happens_as_it_is_written(void **state)
{
    (void)state;
    struct files files;
    find_files(&files);
    assert_true(files.count >= 43);
    for (size_t i = 0; i < files.count; i++) {
        struct tn__growing_text text = read_scenario(files.names[i]);
        struct tn__growing_text difference = {0};
        struct tn__scenario_result result;
        tn__scenario_play(text.bytes, text.length, &result);
        tn__text_diff(&difference, text.bytes, result.text.bytes);
        if (difference.length > 0 || result.errors_count > 0) {
            print_error("%s\n%s\n", files.names[i], difference.bytes);
        }
        assert_int_equal(result.errors_count, 0);
        assert_string_equal(result.text.bytes, text.bytes);
        assert_true(result.stanzas_count >= 5);
        tn__scenario_result_free(&result);
        tn__growing_clear(&difference);
        tn__growing_clear(&text);
    }
}

static void test_no_story_breaks_an_invariant_unless_it_says_so(void **state)
{
    (void)state;
    struct files files;
    find_files(&files);
    for (size_t i = 0; i < files.count; i++) {
        struct tn__growing_text text = read_scenario(files.names[i]);
        struct tn__scenario_result result;
        tn__scenario_play(text.bytes, text.length, &result);
        bool says_so = strstr(text.bytes, "\n!! ") != NULL;
        assert_int_equal(result.violations_count > 0, says_so);
        tn__scenario_result_free(&result);
        tn__growing_clear(&text);
    }
}

static void test_the_drawings_of_the_documents_are_those_of_the_stories(void **state)
{
    (void)state;
    struct files files;
    uint32_t drawings = 0;
    find_files(&files);
    for (size_t i = 0; i < files.count; i++) {
        struct tn__growing_text text = read_scenario(files.names[i]);
        struct tn__scenario_result result;
        tn__scenario_play(text.bytes, text.length, &result);
        if (result.diagram) {
            char path[PATH_BYTES_MAX];
            struct tn__growing_text fresh = {0};
            snprintf(path, sizeof(path), "%s/docs/diagrams/%.*s.svg", TN_SOURCE_DIR,
                     (int)strlen(files.names[i]) - 4, files.names[i]);
            struct tn__growing_text kept = read_text(path);
            tn__sequence_svg(result.sequence, &fresh);
            if (strcmp(fresh.bytes, kept.bytes) != 0) {
                print_error("%s is another picture now: run tools/diagrams.sh\n", path);
            }
            assert_true(strcmp(fresh.bytes, kept.bytes) == 0);
            tn__growing_clear(&fresh);
            tn__growing_clear(&kept);
            drawings++;
        }
        tn__scenario_result_free(&result);
        tn__growing_clear(&text);
    }
    assert_true(drawings >= 28);
}

/* ---- Canaries -------------------------------------------------------------------------------- */

static void test_a_changed_expectation_is_noticed(void **state)
{
    (void)state;
    struct tn__growing_text text = read_scenario("lease_acquire.txt");
    struct tn__scenario_result result;
    char *owner = strstr(text.bytes, "1 P4 OWNER");
    assert_non_null(owner);
    owner[0] = '2';
    tn__scenario_play(text.bytes, text.length, &result);
    assert_string_not_equal(result.known.bytes, text.bytes);
    owner[0] = '1';
    assert_string_equal(result.known.bytes, text.bytes);
    tn__scenario_result_free(&result);
    tn__growing_clear(&text);
}

static void test_an_invariant_that_breaks_is_said(void **state)
{
    (void)state;
    struct tn__scenario_result result;
    /* T2 broken on purpose: the acceptors exclude for half of the time that the owner acts. */
    play_text("cluster nodes=3 lease=4s acceptor=2s quarantine=4s renew=3900ms unchecked\n\n"
              "acquire node=1\n\nsettle\n\nadvance 2500ms\n\nacquire node=2\n\n"
              "settle from=2,3 to=2,3\n\n",
              &result);
    assert_int_equal(result.errors_count, 0);
    assert_true(result.violations_count > 0);
    assert_non_null(strstr(result.text.bytes, "!! 2 inv.L1"));
    tn__scenario_result_free(&result);
}

static void test_what_a_file_leaves_open_is_filled_in_and_not_compared(void **state)
{
    (void)state;
    struct tn__scenario_result result;
    const char *text = "cluster nodes=1\n----\n\nwho\n----\n1 knows of no owner\n\n";
    play_text(text, &result);
    assert_string_equal(result.known.bytes, text);
    assert_non_null(strstr(result.text.bytes, "1 node: D_P 2.000"));
    tn__scenario_result_free(&result);
}

/* ---- Commands that are wrong ----------------------------------------------------------------- */

static void test_a_command_that_cannot_be_done_is_an_error_that_says_why(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *complaint;
    } cases[] = {
        {"acquire node=1\n", "?? cluster comes first"},
        {"sing\n", "?? unknown verb sing"},
        {"cluster nodes=99\n", "out of range"},
        {"cluster nodes=x\n", "is not a number"},
        {"cluster lease=soon\n", "is not a duration"},
        {"cluster\n\ncluster\n", "?? there is a cluster already"},
        {"cluster\n\nacquire\n", "?? node= is missing"},
        {"cluster\n\nacquire node=9\n", "is not a list of nodes"},
        {"cluster\n\nacquire node=1 loudly\n", "does not know the word loudly"},
        {"cluster\n\nacquire node=1 priority=16\n", "out of range"},
        {"cluster\n\nhand-over node=1\n", "out of range"},
        {"cluster\n\ndeliver\n", "?? no such message is in flight"},
        {"cluster\n\ndeliver kind=song\n", "is not a list of kinds"},
        {"cluster\n\nadvance to=5s\n\nadvance to=1s\n", "?? that is past"},
        {"cluster\n\nrestart node=1\n", "?? node 1 is up"},
        {"cluster\n\nresource arrive=W\n", "?? no write W is under way"},
        {"cluster\n\nclock node=1 rate=fast\n", "is not a rate"},
        {"explore config=none\n", "?? no such configuration"},
        {"step a tick passes\n", "?? explore comes first"},
        {"explore config=base\n\nstep pigs fly\n", "?? this cannot happen here: pigs fly"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct tn__scenario_result result;
        play_text(cases[i].text, &result);
        if (strstr(result.text.bytes, cases[i].complaint) == NULL) {
            print_error("%s\n%s", cases[i].text, result.text.bytes);
        }
        assert_int_equal(result.errors_count, 1);
        assert_non_null(strstr(result.text.bytes, cases[i].complaint));
        tn__scenario_result_free(&result);
    }
}

static void test_options_that_break_T3_are_refused_with_the_reason(void **state)
{
    (void)state;
    struct tn__scenario_result result;
    play_text("cluster lease=4s quarantine=1s\n", &result);
    assert_int_equal(result.errors_count, 0);
    assert_non_null(strstr(result.text.bytes, "refused: table 0: quarantine_ns (D_Q) breaks T3"));
    assert_null(result.sequence);
    tn__scenario_result_free(&result);
}

static void test_a_command_or_file_beyond_its_bound_is_refused(void **state)
{
    (void)state;
    struct tn__scenario_result result;
    char line[TN_SCENARIO_COMMAND_BYTES_MAX + 10];
    memset(line, 'x', sizeof(line) - 1);
    line[sizeof(line) - 1] = '\0';
    play_text(line, &result);
    assert_int_equal(result.errors_count, 1);
    tn__scenario_result_free(&result);

    char *huge = malloc(TN_SCENARIO_BYTES_MAX + 2U);
    assert_non_null(huge);
    memset(huge, '\n', TN_SCENARIO_BYTES_MAX + 2U);
    tn__scenario_play(huge, TN_SCENARIO_BYTES_MAX + 2U, &result);
    assert_int_equal(result.errors_count, 1);
    tn__scenario_result_free(&result);
    free(huge);

    tn__scenario_play("", 0, &result);
    assert_int_equal(result.errors_count, 0);
    assert_int_equal(result.stanzas_count, 0);
    tn__scenario_result_free(&result);
}

/* ---- The parts ------------------------------------------------------------------------------- */

static void test_a_difference_shows_lines_taken_out_and_put_in(void **state)
{
    (void)state;
    struct tn__growing_text out = {0};
    tn__text_diff(&out, "a\nb\nc\n", "a\nb\nc\n");
    assert_int_equal(out.length, 0);
    tn__text_diff(&out, "1\n2\n3\n4\n5\n6\nb\nc\n", "1\n2\n3\n4\n5\n6\nB\nc\nd\n");
    assert_string_equal(out.bytes, "@@ line 4 @@\n 4\n 5\n 6\n-b\n+B\n c\n+d\n");
    tn__growing_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_story_happens_as_it_is_written),
        cmocka_unit_test(test_no_story_breaks_an_invariant_unless_it_says_so),
        cmocka_unit_test(test_the_drawings_of_the_documents_are_those_of_the_stories),
        cmocka_unit_test(test_a_changed_expectation_is_noticed),
        cmocka_unit_test(test_an_invariant_that_breaks_is_said),
        cmocka_unit_test(test_what_a_file_leaves_open_is_filled_in_and_not_compared),
        cmocka_unit_test(test_a_command_that_cannot_be_done_is_an_error_that_says_why),
        cmocka_unit_test(test_options_that_break_T3_are_refused_with_the_reason),
        cmocka_unit_test(test_a_command_or_file_beyond_its_bound_is_refused),
        cmocka_unit_test(test_a_difference_shows_lines_taken_out_and_put_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
