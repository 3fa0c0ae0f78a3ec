/* The longest common subsequence of lines, by the table of lengths: stories are short. Of texts
 * with more lines than the table may have, all of one is taken out and all of the other put in. */
#include "check/text_diff.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define LINES_MAX 4000U
#define CONTEXT 3U

struct lines {
    const char **at;
    size_t *lengths;
    uint32_t count;
};

static struct lines split(const char *text)
{
    struct lines lines = {0};
    uint32_t room = 1;
    for (const char *at = text; *at != '\0'; at++) {
        room += *at == '\n';
    }
    lines.at = calloc(room, sizeof(*lines.at));
    lines.lengths = calloc(room, sizeof(*lines.lengths));
    tn_assert(lines.at != NULL && lines.lengths != NULL);
    while (*text != '\0') {
        size_t length = strcspn(text, "\n");
        lines.at[lines.count] = text;
        lines.lengths[lines.count++] = length;
        text += length + (text[length] == '\n');
    }
    return lines;
}

static bool same(const struct lines *a, uint32_t i, const struct lines *b, uint32_t k)
{
    return a->lengths[i] == b->lengths[k] && memcmp(a->at[i], b->at[k], a->lengths[i]) == 0;
}

/* One line of the difference: which text it is from, and which line. */
struct edit {
    char sign; /* ' ', '-' or '+' */
    uint32_t line;
};

/* table[i][k]: the longest common subsequence of a from i and b from k. */
static uint16_t *measure(const struct lines *a, const struct lines *b)
{
    size_t width = b->count + 1U;
    uint16_t *table = calloc((a->count + 1U) * width, sizeof(*table));
    tn_assert(table != NULL);
    for (uint32_t i = a->count; i-- > 0;) {
        for (uint32_t k = b->count; k-- > 0;) {
            uint16_t down = table[(i + 1) * width + k];
            uint16_t right = table[i * width + k + 1];
            uint16_t best = down > right ? down : right;
            table[i * width + k] =
                same(a, i, b, k) ? (uint16_t)(table[(i + 1) * width + k + 1] + 1) : best;
        }
    }
    return table;
}

static uint32_t find_edits(const struct lines *a, const struct lines *b, struct edit *edits)
{
    bool small = a->count <= LINES_MAX && b->count <= LINES_MAX;
    uint16_t *table = small ? measure(a, b) : NULL;
    size_t width = b->count + 1U;
    uint32_t count = 0;
    uint32_t i = 0;
    uint32_t k = 0;
    while (i < a->count || k < b->count) {
        if (small && i < a->count && k < b->count && same(a, i, b, k)) {
            edits[count++] = (struct edit){' ', i++};
            k++;
        } else if (k == b->count || (i < a->count && (!small || table[(i + 1) * width + k] >=
                                                                    table[i * width + k + 1]))) {
            edits[count++] = (struct edit){'-', i++};
        } else {
            edits[count++] = (struct edit){'+', k++};
        }
    }
    free(table);
    return count;
}

/* Is there a change within reach of this line? */
static bool is_near(const struct edit *edits, uint32_t count, uint32_t at)
{
    uint32_t from = at < CONTEXT ? 0 : at - CONTEXT;
    for (uint32_t i = from; i < count && i <= at + CONTEXT; i++) {
        if (edits[i].sign != ' ') {
            return true;
        }
    }
    return false;
}

void tn__text_diff(struct tn__growing_text *out, const char *before, const char *after)
{
    struct lines a = split(before);
    struct lines b = split(after);
    struct edit *edits = calloc(a.count + b.count + 1U, sizeof(*edits));
    tn_assert(edits != NULL);
    uint32_t count = find_edits(&a, &b, edits);
    bool gap = true;
    for (uint32_t i = 0; i < count; i++) {
        if (!is_near(edits, count, i)) {
            gap = true;
            continue;
        }
        const struct lines *lines = edits[i].sign == '+' ? &b : &a;
        if (gap) {
            tn__growing_add(out, "@@ line %u @@\n", edits[i].line + 1);
        }
        gap = false;
        tn__growing_add_bytes(out, &edits[i].sign, 1);
        tn__growing_add_bytes(out, lines->at[edits[i].line], lines->lengths[edits[i].line]);
        tn__growing_add_bytes(out, "\n", 1);
    }
    free(edits);
    free(a.at);
    free(a.lengths);
    free(b.at);
    free(b.lengths);
}
