/* Laying out and drawing a space-time diagram.
 *
 * First every row gets its place (lay_out): below the words of the row before, further down by the
 * time that passed, and not above the end of the paragraph that stands beside the rows before. Then
 * everything is drawn in layers, from the ground up: paragraphs, lifelines, bars, arrows, words,
 * and the labels of the arrows, each where it covers the least of what is drawn already. */
#include "check/sequence_svg.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "check/sequence_internal.h"

#define MARGIN 28
#define STORY_COLUMNS 44U /* characters a line of a paragraph */
#define STORY_WIDTH 282   /* what that many need */
#define AXIS_X (MARGIN + STORY_WIDTH + 62)
#define FIRST_X (AXIS_X + 66)
#define LINE_HEIGHT 16 /* of a paragraph */
#define WORD_HEIGHT 13 /* of words beside a lifeline */
#define ROW_EMPTY 7    /* a row without words */
#define ROW_LEAST 24
#define LINES_MAX 256U

/* After Okabe and Ito: told apart by everybody. Vermilion is kept for refusals. */
static const char *const colours[] = {"#0072B2", "#E69F00", "#009E73", "#CC79A7",
                                      "#56B4E9", "#7A5C1E", "#555555"};
#define COLOURS_COUNT (sizeof(colours) / sizeof(colours[0]))
#define RED "#D55E00"
#define INK "#1F2933"
#define PALE "#6B7785"

/* A rectangle in which something stands that is to be read. */
struct box {
    int left, right, top, bottom;
};

struct layout {
    const struct tn__sequence *sequence;
    struct tn__growing_text *svg;
    int *tops;    /* where each row happens */
    int *bottoms; /* where its words end */
    int *stanza_tops;
    int spacing;
    int width;
    int height;
    int lines_top; /* the lifelines begin here */
    int lines_end;
    struct box *taken; /* words, lifelines, and the labels that have been placed */
    uint32_t taken_count;
};

/* ---- Text ------------------------------------------------------------------------------------ */

/* Where lines of at most `columns` characters begin and end. Returns how many. */
static uint32_t wrap(const char *text, uint32_t columns, const char *lines[LINES_MAX],
                     size_t lengths[LINES_MAX])
{
    uint32_t count = 0;
    const char *at = text;
    while (*at != '\0' && count < LINES_MAX) {
        while (*at == ' ') {
            at++;
        }
        size_t length = strcspn(at, "\n");
        if (length > columns) {
            length = columns;
            while (length > 0 && at[length] != ' ') {
                length--;
            }
            length = length == 0 ? columns : length;
        }
        lines[count] = at;
        lengths[count++] = length;
        at += length;
        at += *at == '\n';
    }
    return count;
}

static uint32_t lines_of(const char *text, uint32_t columns)
{
    const char *lines[LINES_MAX];
    size_t lengths[LINES_MAX];
    return wrap(text, columns, lines, lengths);
}

static void draw_text(struct tn__growing_text *svg, int x, int y, const char *attributes,
                      const char *text, size_t length)
{
    tn__growing_add(svg, "<text x=\"%d\" y=\"%d\"%s%s>", x, y, attributes[0] == '\0' ? "" : " ",
                    attributes);
    tn__growing_add_xml(svg, text, length);
    tn__growing_add(svg, "</text>\n");
}

/* Returns the y below the last line. */
static int draw_lines(struct tn__growing_text *svg, int x, int y, int height,
                      const char *attributes, const char *text, uint32_t columns)
{
    const char *lines[LINES_MAX];
    size_t lengths[LINES_MAX];
    uint32_t count = wrap(text, columns, lines, lengths);
    for (uint32_t i = 0; i < count; i++) {
        draw_text(svg, x, y + (int)i * height, attributes, lines[i], lengths[i]);
    }
    return y + (int)count * height;
}

/* ---- Layout ---------------------------------------------------------------------------------- */

static int lifeline_x(const struct layout *layout, uint32_t lifeline)
{
    return FIRST_X + (int)lifeline * layout->spacing;
}

static uint32_t word_columns(const struct layout *layout)
{
    return (uint32_t)(layout->spacing - 18) * 10 / 59;
}

static const char *colour_of(uint32_t actor)
{
    return colours[actor % COLOURS_COUNT];
}

/* Lines of words that stand beside one lifeline in one row, before the word `until`. */
static uint32_t lines_before(const struct layout *layout, uint32_t row, uint32_t lifeline,
                             uint32_t until)
{
    const struct tn__sequence_word *words = layout->sequence->words.items;
    uint32_t lines = 0;
    for (uint32_t i = until; i-- > 0 && words[i].row >= row;) { /* words stand in order of rows */
        if (words[i].row == row && words[i].lifeline == lifeline) {
            lines += lines_of(words[i].text, word_columns(layout));
        }
    }
    return lines;
}

static void measure_words(const struct layout *layout, int *heights)
{
    const struct tn__sequence_word *words = layout->sequence->words.items;
    for (uint32_t i = 0; i < layout->sequence->words.count; i++) {
        uint32_t lines = lines_before(layout, words[i].row, words[i].lifeline, i + 1);
        int height = (int)lines * WORD_HEIGHT + 18;
        if (height > heights[words[i].row]) {
            heights[words[i].row] = height;
        }
    }
    const struct tn__sequence_arrow *arrows = layout->sequence->arrows.items;
    for (uint32_t i = 0; i < layout->sequence->arrows.count; i++) {
        uint32_t rows[] = {arrows[i].sent, arrows[i].ended};
        for (uint32_t k = 0; k < 2; k++) {
            if (rows[k] != TN_SEQUENCE_NONE && heights[rows[k]] < ROW_LEAST) {
                heights[rows[k]] = ROW_LEAST;
            }
        }
    }
}

/* How far down the time between two rows reaches. */
static int time_height(const struct tn__sequence *sequence, tn_time span)
{
    const struct tn__sequence_row *rows = tn__sequence_rows(sequence);
    tn_time whole = rows[sequence->rows.count - 1].at - rows[0].at;
    return whole == 0 ? 0 : (int)(span / 1000 * sequence->time_height / (whole / 1000 + 1));
}

static int stanza_height(const struct tn__sequence_stanza *stanza)
{
    uint32_t lines = lines_of(stanza->story, STORY_COLUMNS);
    if (lines == 0 && stanza->command[0] == '\0') {
        return 0;
    }
    return (int)lines * LINE_HEIGHT + (stanza->command[0] == '\0' ? 0 : LINE_HEIGHT) + 14;
}

static void lay_out(struct layout *layout, int top)
{
    const struct tn__sequence *sequence = layout->sequence;
    const struct tn__sequence_row *rows = tn__sequence_rows(sequence);
    const struct tn__sequence_stanza *stanzas = sequence->stanzas.items;
    int story_end = top;
    int y = top;
    for (uint32_t i = 0; i < sequence->rows.count; i++) {
        layout->bottoms[i] = ROW_EMPTY;
    }
    measure_words(layout, layout->bottoms);
    for (uint32_t i = 0; i < sequence->rows.count; i++) {
        if (i > 0) {
            y = layout->bottoms[i - 1] + time_height(sequence, rows[i].at - rows[i - 1].at);
        }
        if (rows[i].stanza != TN_SEQUENCE_NONE) {
            y = y > story_end ? y : story_end;
            layout->stanza_tops[rows[i].stanza] = y;
            story_end = y + stanza_height(&stanzas[rows[i].stanza]);
        }
        layout->tops[i] = y;
        layout->bottoms[i] += y;
    }
    int end = layout->bottoms[sequence->rows.count - 1];
    layout->lines_end = (end > story_end ? end : story_end) + 8;
}

/* The place of a moment: in a row, or between two. */
static int y_of(const struct layout *layout, tn_time at)
{
    const struct tn__sequence *sequence = layout->sequence;
    const struct tn__sequence_row *rows = tn__sequence_rows(sequence);
    for (uint32_t i = 0; i < sequence->rows.count; i++) {
        if (rows[i].at >= at) {
            return layout->tops[i] - time_height(sequence, rows[i].at - at);
        }
    }
    return layout->lines_end;
}

/* ---- The ground: heading, paragraphs, time, lifelines ---------------------------------------- */

static void draw_definitions(struct layout *layout)
{
    struct tn__growing_text *svg = layout->svg;
    tn__growing_add(svg, "<defs>\n");
    tn__growing_add(svg, "<pattern id=\"tn-hatch\" width=\"6\" height=\"6\" "
                         "patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">"
                         "<rect width=\"6\" height=\"6\" fill=\"#FFFFFF\"/>"
                         "<rect width=\"2\" height=\"6\" fill=\"#8A94A0\"/></pattern>\n");
    for (uint32_t i = 0; i <= COLOURS_COUNT; i++) {
        tn__growing_add(svg,
                        "<marker id=\"tn-tip%u\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" "
                        "markerWidth=\"9\" markerHeight=\"9\" markerUnits=\"userSpaceOnUse\" "
                        "orient=\"auto\"><path d=\"M0 1L10 5L0 9z\" fill=\"%s\"/></marker>\n",
                        i, i == COLOURS_COUNT ? RED : colours[i]);
    }
    tn__growing_add(svg, "</defs>\n");
}

static void draw_paragraphs(struct layout *layout)
{
    const struct tn__sequence_stanza *stanzas = layout->sequence->stanzas.items;
    for (uint32_t i = 0; i < layout->sequence->stanzas.count; i++) {
        int y = layout->stanza_tops[i];
        if (y == 0 || stanza_height(&stanzas[i]) == 0) {
            continue;
        }
        tn__growing_add(layout->svg,
                        "<path d=\"M%d %dH%d\" stroke=\"#E3E7EB\" stroke-width=\"1\"/>\n", MARGIN,
                        y - 12, layout->width - MARGIN);
        y = draw_lines(layout->svg, MARGIN, y + 2, LINE_HEIGHT, "font-size=\"12.5\"",
                       stanzas[i].story, STORY_COLUMNS);
        const char *command = stanzas[i].command;
        size_t length = strlen(command) < 44 ? strlen(command) : 44;
        draw_text(layout->svg, MARGIN, y,
                  "font-family=\"DejaVu Sans Mono, Consolas, monospace\" font-size=\"10\" "
                  "fill=\"" PALE "\"",
                  command, length);
    }
}

static void draw_time(struct layout *layout)
{
    const struct tn__sequence_row *rows = tn__sequence_rows(layout->sequence);
    int last = -100;
    tn__growing_add(layout->svg, "<g font-size=\"10\" fill=\"" PALE "\" text-anchor=\"end\">\n");
    tn__growing_add(layout->svg, "<path d=\"M%d %dV%d\" stroke=\"#B8C0C8\" stroke-width=\"1\"/>\n",
                    AXIS_X, layout->lines_top, layout->lines_end);
    for (uint32_t i = 0; i < layout->sequence->rows.count; i++) {
        int y = layout->tops[i];
        if ((i > 0 && rows[i].at == rows[i - 1].at) || y < last + 12) {
            continue;
        }
        last = y;
        tn__growing_add(layout->svg,
                        "<path d=\"M%d %dh8\" stroke=\"#B8C0C8\" stroke-width=\"1\"/>"
                        "<text x=\"%d\" y=\"%d\">%llu.%03llu s</text>\n",
                        AXIS_X - 4, y, AXIS_X - 8, y + 4,
                        (unsigned long long)(rows[i].at / TN_SECOND),
                        (unsigned long long)(rows[i].at % TN_SECOND / TN_MILLISECOND));
    }
    tn__growing_add(layout->svg, "</g>\n");
}

static void draw_lifelines(struct layout *layout)
{
    const struct tn__sequence *sequence = layout->sequence;
    for (uint32_t i = 0; i < sequence->lifelines_count; i++) {
        int x = lifeline_x(layout, i);
        tn__growing_add(
            layout->svg,
            "<path d=\"M%d %dV%d\" stroke=\"#98A2AD\" stroke-width=\"1.5\"/>\n"
            "<rect x=\"%d\" y=\"%d\" width=\"72\" height=\"24\" rx=\"5\" fill=\"%s\"/>\n",
            x, layout->lines_top, layout->lines_end, x - 36, layout->lines_top - 24, colour_of(i));
        draw_text(layout->svg, x, layout->lines_top - 8,
                  "text-anchor=\"middle\" font-size=\"13\" font-weight=\"bold\" fill=\"#FFFFFF\"",
                  sequence->names[i], strlen(sequence->names[i]));
    }
}

/* ---- Bars ------------------------------------------------------------------------------------ */

static void draw_bar(struct layout *layout, int x, int top, int bottom, uint8_t kind,
                     uint32_t actor)
{
    struct tn__growing_text *svg = layout->svg;
    int height = bottom > top + 2 ? bottom - top : 2;
    switch ((enum tn__sequence_bar)kind) {
    case TN_SEQUENCE_LEASE:
        tn__growing_add(svg,
                        "<rect x=\"%d\" y=\"%d\" width=\"8\" height=\"%d\" rx=\"2\" "
                        "fill=\"%s\"/>\n",
                        x - 4, top, height, colour_of(actor));
        break;
    case TN_SEQUENCE_EXCLUSION:
        tn__growing_add(svg,
                        "<rect x=\"%d\" y=\"%d\" width=\"16\" height=\"%d\" rx=\"2\" fill=\"%s\" "
                        "fill-opacity=\"0.25\" stroke=\"%s\" stroke-opacity=\"0.55\" "
                        "stroke-width=\"0.75\"/>\n",
                        x - 8, top, height, colour_of(actor), colour_of(actor));
        break;
    case TN_SEQUENCE_QUARANTINE:
        tn__growing_add(svg,
                        "<rect x=\"%d\" y=\"%d\" width=\"16\" height=\"%d\" "
                        "fill=\"url(#tn-hatch)\" stroke=\"#8A94A0\" stroke-width=\"0.75\"/>\n",
                        x - 8, top, height);
        break;
    default:
        tn__growing_add(svg,
                        "<rect x=\"%d\" y=\"%d\" width=\"6\" height=\"%d\" fill=\"#FFFFFF\"/>"
                        "<path d=\"M%d %dv%d\" stroke=\"#98A2AD\" stroke-width=\"1.5\" "
                        "stroke-dasharray=\"%s\"/>\n",
                        x - 3, top, height, x, top, height,
                        kind == TN_SEQUENCE_DOWN ? "1 5" : "7 4");
        break;
    }
}

static void draw_bars(struct layout *layout)
{
    static const uint8_t order[] = {TN_SEQUENCE_DOWN, TN_SEQUENCE_PAUSED, TN_SEQUENCE_QUARANTINE,
                                    TN_SEQUENCE_EXCLUSION, TN_SEQUENCE_LEASE};
    const struct tn__sequence_span *spans = layout->sequence->spans.items;
    for (uint32_t k = 0; k < sizeof(order); k++) {
        for (uint32_t i = 0; i < layout->sequence->spans.count; i++) {
            if (spans[i].kind != order[k]) {
                continue;
            }
            int top = layout->tops[spans[i].begun];
            int bottom = spans[i].cut != TN_SEQUENCE_NONE ? layout->tops[spans[i].cut]
                                                          : y_of(layout, spans[i].until);
            draw_bar(layout, lifeline_x(layout, spans[i].lifeline), top, bottom, spans[i].kind,
                     spans[i].actor);
        }
    }
}

/* ---- Arrows ---------------------------------------------------------------------------------- */

struct stroke {
    int x1, y1, x2, y2;
    int direction; /* 1: to the right, -1: to the left */
};

static struct stroke stroke_of(const struct layout *layout, const struct tn__sequence_arrow *arrow)
{
    struct stroke stroke = {
        .x1 = lifeline_x(layout, arrow->from),
        .x2 = lifeline_x(layout, arrow->to),
        .y1 = layout->tops[arrow->sent],
        .direction = arrow->to > arrow->from ? 1 : -1,
    };
    /* It leaves below the words that its sender says in that row. */
    uint32_t lines = lines_before(layout, arrow->sent, arrow->from, layout->sequence->words.count);
    stroke.y1 += lines == 0 ? 0 : 5 + (int)lines * WORD_HEIGHT;
    stroke.x1 += stroke.direction * 8;
    stroke.x2 -= stroke.direction * 9;
    stroke.y2 = arrow->ended == TN_SEQUENCE_NONE ? stroke.y1 + 18 : layout->tops[arrow->ended];
    if (arrow->fate == TN_SEQUENCE_LOST) {
        stroke.x2 = stroke.x1 + (stroke.x2 - stroke.x1) * 6 / 10;
    } else if (arrow->fate == TN_SEQUENCE_IN_FLIGHT) {
        stroke.x2 = stroke.x1 + (stroke.x2 - stroke.x1) * 4 / 10;
    }
    int slope = arrow->fate == TN_SEQUENCE_ARRIVED ? 6 : 14;
    stroke.y2 = stroke.y2 < stroke.y1 + slope ? stroke.y1 + slope : stroke.y2;
    return stroke;
}

static void draw_arrow(struct layout *layout, const struct tn__sequence_arrow *arrow)
{
    struct stroke stroke = stroke_of(layout, arrow);
    uint32_t number = arrow->refusal != 0 ? (uint32_t)COLOURS_COUNT : arrow->actor % COLOURS_COUNT;
    const char *colour = arrow->refusal != 0 ? RED : colour_of(arrow->actor);
    bool arrived = arrow->fate == TN_SEQUENCE_ARRIVED;
    tn__growing_add(layout->svg,
                    "<path d=\"M%d %dL%d %d\" stroke=\"%s\" stroke-width=\"1.5\" fill=\"none\"",
                    stroke.x1, stroke.y1, stroke.x2, stroke.y2, colour);
    if (arrow->held != 0 || arrow->fate == TN_SEQUENCE_IN_FLIGHT) {
        tn__growing_add(layout->svg, " stroke-dasharray=\"5 4\"");
    }
    if (arrived) {
        tn__growing_add(layout->svg, " marker-end=\"url(#tn-tip%u)\"", number);
    }
    tn__growing_add(layout->svg, "/>\n");
    if (arrow->fate == TN_SEQUENCE_LOST) {
        tn__growing_add(layout->svg,
                        "<path d=\"M%d %dl10 10m0 -10l-10 10\" stroke=\"%s\" "
                        "stroke-width=\"2.25\" stroke-linecap=\"round\"/>\n",
                        stroke.x2 - 5, stroke.y2 - 5, RED);
    }
}

static void draw_arrows(struct layout *layout)
{
    const struct tn__sequence_arrow *arrows = layout->sequence->arrows.items;
    for (uint32_t i = 0; i < layout->sequence->arrows.count; i++) {
        draw_arrow(layout, &arrows[i]);
    }
}

/* ---- Words ----------------------------------------------------------------------------------- */

static const char *word_attributes(uint8_t kind)
{
    switch ((enum tn__sequence_mark)kind) {
    case TN_SEQUENCE_GAINED:
        return "font-weight=\"bold\" fill=\"" INK "\"";
    case TN_SEQUENCE_REFUSED:
        return "fill=\"" RED "\"";
    case TN_SEQUENCE_WRONG:
    case TN_SEQUENCE_CRASHED:
        return "font-weight=\"bold\" fill=\"" RED "\"";
    default:
        return "fill=\"" INK "\"";
    }
}

static void draw_words(struct layout *layout)
{
    const struct tn__sequence_word *words = layout->sequence->words.items;
    tn__growing_add(layout->svg, "<g font-size=\"10.5\" stroke=\"#FFFFFF\" stroke-width=\"4\" "
                                 "paint-order=\"stroke\">\n");
    for (uint32_t i = 0; i < layout->sequence->words.count; i++) {
        int x = lifeline_x(layout, words[i].lifeline);
        int top = layout->tops[words[i].row];
        uint32_t lines = lines_before(layout, words[i].row, words[i].lifeline, i);
        if (words[i].kind == TN_SEQUENCE_CRASHED) {
            tn__growing_add(layout->svg,
                            "<path d=\"M%d %dl14 14m0 -14l-14 14\" stroke=\"%s\" "
                            "stroke-width=\"3\" stroke-linecap=\"round\"/>\n",
                            x - 7, top - 7, RED);
        }
        draw_lines(layout->svg, x + 12, top + 13 + (int)lines * WORD_HEIGHT, WORD_HEIGHT,
                   word_attributes(words[i].kind), words[i].text, word_columns(layout));
    }
    tn__growing_add(layout->svg, "</g>\n");
}

/* ---- Labels of arrows ------------------------------------------------------------------------ */

static void take_box(struct layout *layout, struct box box)
{
    layout->taken[layout->taken_count++] = box;
}

static int text_width(size_t columns)
{
    return (int)columns * 59 / 10; /* of 10.5 pixels, on the average */
}

static void take_words_and_lifelines(struct layout *layout)
{
    const struct tn__sequence_word *words = layout->sequence->words.items;
    for (uint32_t i = 0; i < layout->sequence->words.count; i++) {
        const char *lines[LINES_MAX];
        size_t lengths[LINES_MAX];
        size_t longest = 0;
        uint32_t count = wrap(words[i].text, word_columns(layout), lines, lengths);
        for (uint32_t k = 0; k < count; k++) {
            longest = lengths[k] > longest ? lengths[k] : longest;
        }
        uint32_t before = lines_before(layout, words[i].row, words[i].lifeline, i);
        int left = lifeline_x(layout, words[i].lifeline) + 12;
        int top = layout->tops[words[i].row] + 3 + (int)before * WORD_HEIGHT;
        take_box(layout, (struct box){left, left + text_width(longest), top,
                                      top + (int)count * WORD_HEIGHT});
    }
    for (uint32_t i = 0; i < layout->sequence->lifelines_count; i++) {
        int x = lifeline_x(layout, i);
        take_box(layout, (struct box){x - 8, x + 8, layout->lines_top, layout->lines_end});
    }
}

/* How much of what stands there a box would cover, in square pixels. */
static int covered(const struct layout *layout, const struct box *box)
{
    int area = 0;
    for (uint32_t i = 0; i < layout->taken_count; i++) {
        const struct box *taken = &layout->taken[i];
        int left = box->left > taken->left ? box->left : taken->left;
        int right = box->right < taken->right ? box->right : taken->right;
        int top = box->top > taken->top ? box->top : taken->top;
        int bottom = box->bottom < taken->bottom ? box->bottom : taken->bottom;
        area += right > left && bottom > top ? (right - left) * (bottom - top) : 0;
    }
    return area;
}

/* Where the label would rather stand, counted from the arrow's tip: in the last gap that it
 * crosses, where no other arrow of the same broadcast ends, and right of the middle, as words stand
 * at the right of their lifeline. What is under way has its label at the tip, where the broadcast
 * parts. */
static int wanted_reach(const struct layout *layout, const struct tn__sequence_arrow *arrow,
                        int direction, int whole, int width)
{
    int reach = arrow->fate == TN_SEQUENCE_IN_FLIGHT ? width / 2 : whole / 2;
    if (arrow->fate == TN_SEQUENCE_ARRIVED) {
        reach = layout->spacing * (direction > 0 ? 29 : 65) / 100;
    }
    return reach < whole ? reach : whole / 2;
}

/* The place along the arrow, above it or else below, that covers the least; of equal ones the
 * nearest to the wanted one. */
static struct box place_label(const struct layout *layout, const struct tn__sequence_arrow *arrow,
                              int width)
{
    struct stroke stroke = stroke_of(layout, arrow);
    int whole = stroke.direction * (stroke.x2 - stroke.x1);
    int wanted = wanted_reach(layout, arrow, stroke.direction, whole, width);
    struct box best = {0};
    int least = -1;
    for (int below = 0; below < 2 && least != 0; below++) {
        for (int k = 0; k <= whole / 2 && least != 0; k++) { /* 0, 4, -4, 8, -8 ... */
            int reach = wanted + (k % 2 == 1 ? 2 * (k + 1) : -2 * k);
            if (k > 0 && (reach < width / 2 || reach > whole - width / 2)) {
                continue;
            }
            int x = stroke.x2 - stroke.direction * reach;
            int y = whole == 0 ? stroke.y2 : stroke.y2 - (stroke.y2 - stroke.y1) * reach / whole;
            y += below * 15;
            struct box box = {x - width / 2, x - width / 2 + width, y - 13, y - 2};
            int covers = covered(layout, &box);
            if (least < 0 || covers < least) {
                least = covers;
                best = box;
            }
        }
    }
    return best;
}

static void draw_labels(struct layout *layout)
{
    const struct tn__sequence_arrow *arrows = layout->sequence->arrows.items;
    take_words_and_lifelines(layout);
    for (uint32_t i = 0; i < layout->sequence->arrows.count; i++) {
        const char *colour = arrows[i].refusal != 0 ? RED : colour_of(arrows[i].actor);
        int width = text_width(strlen(arrows[i].label));
        struct box box = place_label(layout, &arrows[i], width);
        take_box(layout, box);
        tn__growing_add(layout->svg,
                        "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\" font-size=\"10.5\" "
                        "fill=\"%s\" stroke=\"#FFFFFF\" stroke-width=\"4.5\" "
                        "paint-order=\"stroke\">",
                        box.left + width / 2, box.bottom - 2, colour);
        tn__growing_add_xml(layout->svg, arrows[i].label, strlen(arrows[i].label));
        tn__growing_add(layout->svg, "</text>\n");
    }
}

/* ---- The legend ------------------------------------------------------------------------------ */

static void legend_arrow(struct layout *layout, int x, int y, const char *text, uint8_t fate,
                         bool held, bool refusal)
{
    const char *colour = refusal ? RED : colours[0];
    bool lost = fate == TN_SEQUENCE_LOST;
    tn__growing_add(layout->svg, "<path d=\"M%d %dl%d 6\" stroke=\"%s\" stroke-width=\"1.5\"%s%s/>",
                    x, y - 7, lost ? 18 : 28, colour, held ? " stroke-dasharray=\"5 4\"" : "",
                    lost      ? ""
                    : refusal ? " marker-end=\"url(#tn-tip7)\""
                              : " marker-end=\"url(#tn-tip0)\"");
    if (lost) {
        tn__growing_add(layout->svg,
                        "<path d=\"M%d %dl8 8m0 -8l-8 8\" stroke=\"" RED "\" "
                        "stroke-width=\"2\" stroke-linecap=\"round\"/>",
                        x + 14, y - 7);
    }
    draw_text(layout->svg, x + 36, y, "", text, strlen(text));
}

static void draw_legend(struct layout *layout)
{
    int y = layout->lines_end + 34;
    int x = MARGIN;
    _Static_assert(COLOURS_COUNT == 7, "the tip of refusals has the number behind the colours");
    tn__growing_add(layout->svg, "<g font-size=\"11\" fill=\"" INK "\">\n");
    legend_arrow(layout, x, y, "message", TN_SEQUENCE_ARRIVED, false, false);
    legend_arrow(layout, x + 110, y, "held back, or still under way", TN_SEQUENCE_ARRIVED, true,
                 false);
    legend_arrow(layout, x + 320, y, "refusal", TN_SEQUENCE_ARRIVED, false, true);
    legend_arrow(layout, x + 420, y, "lost", TN_SEQUENCE_LOST, false, false);
    for (uint8_t kind = 0; kind < TN_SEQUENCE_BARS_END; kind++) {
        const char *text = layout->sequence->legend[kind];
        if (text != NULL) {
            draw_bar(layout, x + 8, y + 14, y + 36, kind, 0);
            draw_text(layout->svg, x + 24, y + 29, "", text, strlen(text));
            x += 60 + (int)strlen(text) * 6;
        }
    }
    tn__growing_add(layout->svg, "</g>\n");
}

/* ---- The whole ------------------------------------------------------------------------------- */

static int spacing_for(uint32_t lifelines)
{
    return lifelines <= 3 ? 212 : lifelines <= 5 ? 192 : 140;
}

static void draw_all(struct layout *layout, int heading_end)
{
    const struct tn__sequence *sequence = layout->sequence;
    struct tn__growing_text *svg = layout->svg;
    layout->height = layout->lines_end + 88;
    tn__growing_add(svg,
                    "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
                    "viewBox=\"0 0 %d %d\" role=\"img\" font-family=\"Helvetica, Arial, "
                    "'DejaVu Sans', sans-serif\" fill=\"" INK "\">\n<title>",
                    layout->width, layout->height, layout->width, layout->height);
    tn__growing_add_xml(svg, sequence->title, strlen(sequence->title));
    tn__growing_add(svg, "</title>\n");
    draw_definitions(layout);
    tn__growing_add(svg, "<rect width=\"%d\" height=\"%d\" fill=\"#FFFFFF\"/>\n", layout->width,
                    layout->height);
    draw_text(svg, MARGIN, 44, "font-size=\"22\" font-weight=\"bold\"", sequence->title,
              strlen(sequence->title));
    uint32_t columns = (uint32_t)(layout->width - 2 * MARGIN) / 7;
    draw_lines(svg, MARGIN, 70, 18, "font-size=\"13.5\" fill=\"" PALE "\"", sequence->story,
               columns);
    tn_assert(heading_end <= layout->lines_top);
    draw_paragraphs(layout);
    draw_time(layout);
    draw_lifelines(layout);
    draw_bars(layout);
    draw_arrows(layout);
    draw_words(layout);
    draw_labels(layout);
    draw_legend(layout);
    tn__growing_add(svg, "</svg>\n");
}

void tn__sequence_svg(const struct tn__sequence *sequence, struct tn__growing_text *svg)
{
    tn_assert(sequence->rows.count > 0 && sequence->lifelines_count > 0);
    struct layout layout = {.sequence = sequence, .svg = svg};
    layout.spacing = spacing_for(sequence->lifelines_count);
    layout.width = FIRST_X + (int)sequence->lifelines_count * layout.spacing + 20;
    layout.tops = calloc(sequence->rows.count, sizeof(int));
    layout.bottoms = calloc(sequence->rows.count, sizeof(int));
    layout.stanza_tops = calloc(sequence->stanzas.count + 1, sizeof(int));
    layout.taken =
        calloc(sequence->words.count + sequence->lifelines_count + sequence->arrows.count,
               sizeof(struct box));
    tn_assert(layout.tops != NULL && layout.bottoms != NULL && layout.stanza_tops != NULL);
    tn_assert(layout.taken != NULL);

    uint32_t columns = (uint32_t)(layout.width - 2 * MARGIN) / 7;
    int heading_end = 70 + (int)lines_of(sequence->story, columns) * 18;
    layout.lines_top = heading_end + 40;
    lay_out(&layout, layout.lines_top + 30);
    draw_all(&layout, heading_end);
    free(layout.tops);
    free(layout.bottoms);
    free(layout.stanza_tops);
    free(layout.taken);
}
