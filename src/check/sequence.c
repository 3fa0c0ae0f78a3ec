/* Recording a space-time diagram; the header tells what it is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "check/sequence_internal.h"

#define TIME_HEIGHT 380U

static void *append(struct tn__sequence_list *list, size_t size)
{
    if (list->count == list->room) {
        list->room = list->room == 0 ? 64 : 2 * list->room;
        list->items = realloc(list->items, list->room * size);
        tn_assert(list->items != NULL);
    }
    void *item = (char *)list->items + list->count++ * size;
    memset(item, 0, size);
    return item;
}

static char *copied(const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = malloc(bytes);
    tn_assert(copy != NULL);
    memcpy(copy, text, bytes);
    return copy;
}

static void copy_short(char text[TN_SEQUENCE_TEXT_BYTES], const char *from)
{
    snprintf(text, TN_SEQUENCE_TEXT_BYTES, "%s", from);
}

static uint32_t present_row(const struct tn__sequence *sequence)
{
    tn_assert(sequence->rows.count > 0);
    return sequence->rows.count - 1;
}

static struct tn__sequence_arrow *arrow_at(struct tn__sequence *sequence, uint32_t arrow)
{
    tn_assert(arrow < sequence->arrows.count);
    return (struct tn__sequence_arrow *)sequence->arrows.items + arrow;
}

struct tn__sequence *tn__sequence_new(void)
{
    struct tn__sequence *sequence = calloc(1, sizeof(*sequence));
    tn_assert(sequence != NULL);
    sequence->title = copied("");
    sequence->story = copied("");
    sequence->stanza_next = TN_SEQUENCE_NONE;
    sequence->time_height = TIME_HEIGHT;
    sequence->legend[TN_SEQUENCE_LEASE] = "owner, until its own deadline";
    sequence->legend[TN_SEQUENCE_EXCLUSION] = "acceptor excludes others";
    sequence->legend[TN_SEQUENCE_QUARANTINE] = "quarantine: silent";
    sequence->legend[TN_SEQUENCE_DOWN] = "down";
    return sequence;
}

void tn__sequence_free(struct tn__sequence *sequence)
{
    if (sequence == NULL) {
        return;
    }
    struct tn__sequence_stanza *stanzas = sequence->stanzas.items;
    for (uint32_t i = 0; i < sequence->stanzas.count; i++) {
        free(stanzas[i].story);
        free(stanzas[i].command);
    }
    free(sequence->title);
    free(sequence->story);
    free(sequence->rows.items);
    free(sequence->stanzas.items);
    free(sequence->arrows.items);
    free(sequence->words.items);
    free(sequence->spans.items);
    free(sequence);
}

void tn__sequence_title(struct tn__sequence *sequence, const char *title, const char *story)
{
    free(sequence->title);
    free(sequence->story);
    sequence->title = copied(title);
    sequence->story = copied(story);
}

uint32_t tn__sequence_lifeline(struct tn__sequence *sequence, const char *name)
{
    tn_assert(sequence->lifelines_count < TN_SEQUENCE_LIFELINES_MAX);
    copy_short(sequence->names[sequence->lifelines_count], name);
    return sequence->lifelines_count++;
}

void tn__sequence_stanza(struct tn__sequence *sequence, const char *story, const char *command)
{
    sequence->stanza_next = sequence->stanzas.count;
    struct tn__sequence_stanza *stanza = append(&sequence->stanzas, sizeof(*stanza));
    stanza->story = copied(story);
    stanza->command = copied(command);
}

void tn__sequence_row(struct tn__sequence *sequence, tn_time at)
{
    tn_assert(sequence->rows.count == 0 ||
              tn__sequence_rows(sequence)[sequence->rows.count - 1].at <= at);
    struct tn__sequence_row *row = append(&sequence->rows, sizeof(*row));
    *row = (struct tn__sequence_row){.at = at, .stanza = sequence->stanza_next};
    sequence->stanza_next = TN_SEQUENCE_NONE;
}

uint32_t tn__sequence_send(struct tn__sequence *sequence, uint32_t from, uint32_t to,
                           uint32_t actor, const char *label)
{
    tn_assert(from < sequence->lifelines_count && to < sequence->lifelines_count);
    uint32_t row = present_row(sequence);
    struct tn__sequence_arrow *arrow = append(&sequence->arrows, sizeof(*arrow));
    *arrow = (struct tn__sequence_arrow){
        .from = from, .to = to, .actor = actor, .sent = row, .ended = TN_SEQUENCE_NONE};
    copy_short(arrow->label, label);
    return sequence->arrows.count - 1;
}

void tn__sequence_ends(struct tn__sequence *sequence, uint32_t arrow, enum tn__sequence_fate fate)
{
    struct tn__sequence_arrow *ended = arrow_at(sequence, arrow);
    tn_assert(fate != TN_SEQUENCE_IN_FLIGHT);
    ended->fate = (uint8_t)fate;
    ended->ended = present_row(sequence);
}

void tn__sequence_held(struct tn__sequence *sequence, uint32_t arrow)
{
    arrow_at(sequence, arrow)->held = 1;
}

void tn__sequence_refusal(struct tn__sequence *sequence, uint32_t arrow)
{
    arrow_at(sequence, arrow)->refusal = 1;
}

const char *tn__sequence_label(const struct tn__sequence *sequence, uint32_t arrow)
{
    tn_assert(arrow < sequence->arrows.count);
    return ((const struct tn__sequence_arrow *)sequence->arrows.items)[arrow].label;
}

void tn__sequence_mark(struct tn__sequence *sequence, uint32_t lifeline,
                       enum tn__sequence_mark kind, const char *text)
{
    tn_assert(lifeline < sequence->lifelines_count);
    if (kind == TN_SEQUENCE_UNDRAWN) {
        return;
    }
    uint32_t row = present_row(sequence);
    struct tn__sequence_word *word = append(&sequence->words, sizeof(*word));
    *word = (struct tn__sequence_word){.row = row, .lifeline = lifeline, .kind = (uint8_t)kind};
    copy_short(word->text, text);
}

uint32_t tn__sequence_bar(struct tn__sequence *sequence, uint32_t lifeline,
                          enum tn__sequence_bar kind, uint32_t actor, tn_time until)
{
    tn_assert(lifeline < sequence->lifelines_count);
    uint32_t row = present_row(sequence);
    struct tn__sequence_span *span = append(&sequence->spans, sizeof(*span));
    *span = (struct tn__sequence_span){.lifeline = lifeline,
                                       .actor = actor,
                                       .begun = row,
                                       .cut = TN_SEQUENCE_NONE,
                                       .until = until,
                                       .kind = (uint8_t)kind};
    return sequence->spans.count - 1;
}

void tn__sequence_scale(struct tn__sequence *sequence, uint32_t height)
{
    sequence->time_height = height;
}

void tn__sequence_legend(struct tn__sequence *sequence, enum tn__sequence_bar kind,
                         const char *text)
{
    tn_assert(kind < TN_SEQUENCE_BARS_END);
    sequence->legend[kind] = text;
}

void tn__sequence_cut(struct tn__sequence *sequence, uint32_t bar)
{
    tn_assert(bar < sequence->spans.count);
    struct tn__sequence_span *span = (struct tn__sequence_span *)sequence->spans.items + bar;
    const struct tn__sequence_row *now = &tn__sequence_rows(sequence)[present_row(sequence)];
    if (span->cut == TN_SEQUENCE_NONE && now->at < span->until) {
        span->cut = present_row(sequence);
    }
}
