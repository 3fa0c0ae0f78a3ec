/* The record behind a space-time diagram, shared by its two files; nobody else includes it.
 *
 *   sequence.c       recording
 *   sequence_svg.c   layout and drawing */
#ifndef TN_CHECK_SEQUENCE_INTERNAL_H
#define TN_CHECK_SEQUENCE_INTERNAL_H

#include "check/sequence_svg.h"

struct tn__sequence_row {
    tn_time at;
    uint32_t stanza; /* the one that begins with it, or TN_SEQUENCE_NONE */
};

struct tn__sequence_stanza {
    char *story;
    char *command;
};

struct tn__sequence_arrow {
    uint32_t from, to, actor;
    uint32_t sent;  /* rows */
    uint32_t ended; /* while in flight: the last row */
    uint8_t fate;
    uint8_t held;
    uint8_t refusal;
    char label[TN_SEQUENCE_TEXT_BYTES];
};

struct tn__sequence_word {
    uint32_t row;
    uint32_t lifeline;
    uint8_t kind;
    char text[TN_SEQUENCE_TEXT_BYTES];
};

struct tn__sequence_span {
    uint32_t lifeline;
    uint32_t actor;
    uint32_t begun; /* rows */
    uint32_t cut;   /* TN_SEQUENCE_NONE: it ends by its time */
    tn_time until;
    uint8_t kind;
};

/* An array that grows: items of one size. */
struct tn__sequence_list {
    void *items;
    uint32_t count;
    uint32_t room;
};

struct tn__sequence {
    char *title;
    char *story;
    char names[TN_SEQUENCE_LIFELINES_MAX][TN_SEQUENCE_TEXT_BYTES];
    const char *legend[TN_SEQUENCE_BARS_END]; /* what each kind of bar means; NULL: not said */
    uint32_t lifelines_count;
    uint32_t time_height; /* what all time that passes takes together */
    uint32_t stanza_next; /* begins with the next row; TN_SEQUENCE_NONE: none */
    struct tn__sequence_list rows;
    struct tn__sequence_list stanzas;
    struct tn__sequence_list arrows;
    struct tn__sequence_list words;
    struct tn__sequence_list spans;
};

static inline struct tn__sequence_row *tn__sequence_rows(const struct tn__sequence *sequence)
{
    return sequence->rows.items;
}

#endif
