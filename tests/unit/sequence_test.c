/* Space-time diagrams: what is recorded is drawn, and the drawing is one well-formed text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "check/growing_text.h"
#include "check/sequence_svg.h"

static uint32_t count(const char *text, const char *part)
{
    uint32_t found = 0;
    for (const char *at = strstr(text, part); at != NULL; at = strstr(at + 1, part)) {
        found++;
    }
    return found;
}

/* Two lifelines, a row at 0 s, in which a stanza begins. */
static struct tn__sequence *begin(void)
{
    struct tn__sequence *sequence = tn__sequence_new();
    tn__sequence_lifeline(sequence, "a");
    tn__sequence_lifeline(sequence, "b");
    tn__sequence_stanza(sequence, "A paragraph.", "command");
    tn__sequence_row(sequence, 0);
    return sequence;
}

/* The y of the first element after `mark` that has one; -1: none. */
static int y_after(const char *svg, const char *mark)
{
    const char *at = strstr(svg, mark);
    const char *y = at == NULL ? NULL : strstr(at, " y=\"");
    return y == NULL ? -1 : (int)strtol(y + 4, NULL, 10);
}

static void test_words_are_escaped_and_nothing_is_active(void **state)
{
    (void)state;
    struct tn__sequence *sequence = begin();
    struct tn__growing_text svg = {0};
    tn__sequence_title(sequence, "a < b & c", "why \"so\"");
    tn__sequence_mark(sequence, 1, TN_SEQUENCE_REFUSED, "<no>");
    tn__sequence_svg(sequence, &svg);
    assert_int_equal(strncmp(svg.bytes, "<svg ", 5), 0);
    assert_string_equal(svg.bytes + svg.length - 7, "</svg>\n");
    assert_non_null(strstr(svg.bytes, "a &lt; b &amp; c"));
    assert_non_null(strstr(svg.bytes, "&lt;no&gt;"));
    assert_non_null(strstr(svg.bytes, "why &quot;so&quot;"));
    assert_null(strstr(svg.bytes, "<script"));
    assert_null(strstr(svg.bytes, "href"));
    assert_int_equal(count(svg.bytes, "<text"), count(svg.bytes, "</text>"));
    assert_int_equal(count(svg.bytes, "<g "), count(svg.bytes, "</g>"));
    tn__growing_clear(&svg);
    tn__sequence_free(sequence);
}

static void test_the_same_record_gives_the_same_bytes(void **state)
{
    (void)state;
    struct tn__sequence *sequence = begin();
    struct tn__growing_text first = {0};
    struct tn__growing_text second = {0};
    tn__sequence_ends(sequence, tn__sequence_send(sequence, 0, 1, 0, "one"), TN_SEQUENCE_ARRIVED);
    tn__sequence_svg(sequence, &first);
    tn__sequence_svg(sequence, &second);
    assert_string_equal(first.bytes, second.bytes);
    tn__growing_clear(&first);
    tn__growing_clear(&second);
    tn__sequence_free(sequence);
}

static void test_an_arrow_shows_what_became_of_its_message(void **state)
{
    (void)state;
    struct tn__growing_text with[3] = {{0}};
    for (uint32_t fate = 0; fate < 3; fate++) {
        struct tn__sequence *sequence = begin();
        uint32_t arrow = tn__sequence_send(sequence, 0, 1, 0, "one");
        assert_string_equal(tn__sequence_label(sequence, arrow), "one");
        tn__sequence_row(sequence, TN_SECOND);
        if (fate != TN_SEQUENCE_IN_FLIGHT) {
            tn__sequence_ends(sequence, arrow, (enum tn__sequence_fate)fate);
        }
        tn__sequence_svg(sequence, &with[fate]);
        tn__sequence_free(sequence);
    }
    /* Beside those of the legend: a tip for what arrived, dashes for what is under way, a cross. */
    const char *tip = "marker-end";
    const char *dashes = "stroke-dasharray=\"5 4\"";
    const char *cross = "0 -10l-10 10";
    assert_int_equal(count(with[TN_SEQUENCE_ARRIVED].bytes, tip),
                     count(with[TN_SEQUENCE_LOST].bytes, tip) + 1);
    assert_int_equal(count(with[TN_SEQUENCE_IN_FLIGHT].bytes, dashes),
                     count(with[TN_SEQUENCE_ARRIVED].bytes, dashes) + 1);
    assert_int_equal(count(with[TN_SEQUENCE_LOST].bytes, cross),
                     count(with[TN_SEQUENCE_ARRIVED].bytes, cross) + 1);
    for (uint32_t fate = 0; fate < 3; fate++) {
        tn__growing_clear(&with[fate]);
    }
}

static void test_time_runs_downwards_and_moments_between_rows_have_their_place(void **state)
{
    (void)state;
    struct tn__sequence *sequence = begin();
    struct tn__growing_text svg = {0};
    tn__sequence_bar(sequence, 0, TN_SEQUENCE_LEASE, 0, TN_SECOND);
    tn__sequence_mark(sequence, 0, TN_SEQUENCE_SAID, "early");
    tn__sequence_row(sequence, 2 * TN_SECOND);
    tn__sequence_mark(sequence, 0, TN_SEQUENCE_SAID, "late");
    tn__sequence_svg(sequence, &svg);
    /* The bar ends by its deadline, half-way between the rows. */
    const char *bar = strstr(svg.bytes, "width=\"8\" height=\"");
    assert_non_null(bar);
    int height = (int)strtol(bar + 18, NULL, 10);
    assert_in_range(height, 150, 260);
    int first = y_after(svg.bytes, "text-anchor=\"end\"");
    assert_true(first > 0);
    assert_non_null(strstr(svg.bytes, ">2.000 s<"));
    assert_true(strstr(svg.bytes, ">early<") < strstr(svg.bytes, ">late<"));
    tn__growing_clear(&svg);
    tn__sequence_free(sequence);
}

static void test_a_bar_that_is_cut_ends_in_that_row(void **state)
{
    (void)state;
    int heights[2];
    for (uint32_t cut = 0; cut < 2; cut++) {
        struct tn__sequence *sequence = begin();
        struct tn__growing_text svg = {0};
        uint32_t bar = tn__sequence_bar(sequence, 0, TN_SEQUENCE_LEASE, 0, TN_TIME_NEVER);
        tn__sequence_row(sequence, TN_SECOND);
        if (cut != 0) {
            tn__sequence_cut(sequence, bar);
        }
        tn__sequence_row(sequence, 2 * TN_SECOND);
        tn__sequence_svg(sequence, &svg);
        const char *drawn = strstr(svg.bytes, "width=\"8\" height=\"");
        assert_non_null(drawn);
        heights[cut] = (int)strtol(drawn + 18, NULL, 10);
        tn__growing_clear(&svg);
        tn__sequence_free(sequence);
    }
    assert_true(heights[1] > 100 && heights[1] + 100 < heights[0]);
}

/* Where the text with these words stands; `middle` says that x is its middle and not its begin. */
struct place {
    int left, right, baseline;
};

static struct place place_of(const char *svg, const char *words, bool middle)
{
    char mark[64];
    snprintf(mark, sizeof(mark), ">%s</text>", words);
    const char *end = strstr(svg, mark);
    assert_non_null(end);
    const char *begin = end;
    while (strncmp(begin, "<text x=", 8) != 0) {
        assert_true(--begin > svg);
    }
    struct place place;
    assert_int_equal(sscanf(begin, "<text x=\"%d\" y=\"%d\"", &place.left, &place.baseline), 2);
    int width = (int)strlen(words) * 59 / 10; /* at 10.5 pixels */
    place.left -= middle ? width / 2 : 0;
    place.right = place.left + width;
    return place;
}

static bool apart(struct place a, struct place b)
{
    return a.right <= b.left || b.right <= a.left || a.baseline + 11 <= b.baseline ||
           b.baseline + 11 <= a.baseline;
}

static void test_the_label_of_an_arrow_keeps_clear_of_words(void **state)
{
    (void)state;
    struct tn__sequence *sequence = begin();
    struct tn__growing_text svg = {0};
    tn__sequence_lifeline(sequence, "c");
    uint32_t arrow = tn__sequence_send(sequence, 0, 2, 0, "Promise 1.1");
    tn__sequence_row(sequence, 0);
    tn__sequence_mark(sequence, 1, TN_SEQUENCE_SAID, "words beside the second line");
    tn__sequence_row(sequence, 0);
    tn__sequence_ends(sequence, arrow, TN_SEQUENCE_ARRIVED);
    tn__sequence_svg(sequence, &svg);
    assert_true(apart(place_of(svg.bytes, "Promise 1.1", true),
                      place_of(svg.bytes, "words beside the second line", false)));
    tn__growing_clear(&svg);
    tn__sequence_free(sequence);
}

static void test_the_labels_of_a_broadcast_under_way_keep_clear_of_each_other(void **state)
{
    (void)state;
    static const char *const labels[] = {"Prepare 1.1", "Prepare 2.2", "Prepare 3.3"};
    struct tn__sequence *sequence = begin();
    struct tn__growing_text svg = {0};
    tn__sequence_lifeline(sequence, "c");
    tn__sequence_lifeline(sequence, "d");
    for (uint32_t i = 0; i < 3; i++) {
        (void)tn__sequence_send(sequence, 3, i, 3, labels[i]);
    }
    tn__sequence_svg(sequence, &svg);
    for (uint32_t i = 0; i < 3; i++) {
        for (uint32_t k = 0; k < i; k++) {
            assert_true(
                apart(place_of(svg.bytes, labels[i], true), place_of(svg.bytes, labels[k], true)));
        }
    }
    tn__growing_clear(&svg);
    tn__sequence_free(sequence);
}

static void test_what_is_of_no_interest_is_not_drawn(void **state)
{
    (void)state;
    struct tn__sequence *sequence = begin();
    struct tn__growing_text svg = {0};
    tn__sequence_mark(sequence, 0, TN_SEQUENCE_UNDRAWN, "whisper");
    tn__sequence_svg(sequence, &svg);
    assert_null(strstr(svg.bytes, "whisper"));
    tn__growing_clear(&svg);
    tn__sequence_free(sequence);
}

static void test_growing_text_keeps_all_that_is_added(void **state)
{
    (void)state;
    struct tn__growing_text text = {0};
    for (uint32_t i = 0; i < 10000; i++) {
        tn__growing_add(&text, "%u,", i % 10);
    }
    assert_int_equal(text.length, 20000);
    assert_int_equal(strlen(text.bytes), 20000);
    assert_int_equal(strncmp(text.bytes + 19996, "8,9,", 4), 0);
    tn__growing_clear(&text);
    assert_null(text.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words_are_escaped_and_nothing_is_active),
        cmocka_unit_test(test_the_same_record_gives_the_same_bytes),
        cmocka_unit_test(test_an_arrow_shows_what_became_of_its_message),
        cmocka_unit_test(test_time_runs_downwards_and_moments_between_rows_have_their_place),
        cmocka_unit_test(test_a_bar_that_is_cut_ends_in_that_row),
        cmocka_unit_test(test_the_label_of_an_arrow_keeps_clear_of_words),
        cmocka_unit_test(test_the_labels_of_a_broadcast_under_way_keep_clear_of_each_other),
        cmocka_unit_test(test_what_is_of_no_interest_is_not_drawn),
        cmocka_unit_test(test_growing_text_keeps_all_that_is_added),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
