/* Space-time diagrams: what happened among a few nodes, as a picture (SVG).
 *
 * Whoever tells a story records it here while it happens, and draws it at the end. Time runs
 * downwards. A *row* is one event: everything recorded until the next row happened in it. Rows are
 * kept apart so that they can be read, and what time passed between them is drawn to scale on top
 * of that; so a moment between two rows has its place, and bars that end by a deadline end there.
 *
 *   lifelines   one a node            arrows   messages, from the row of sending to that of arrival
 *   marks       words beside a line   bars     leases, exclusions, quarantines, pauses, being down
 *   stanzas     a paragraph of the story at the left, beside the rows that belong to it
 *
 * The picture stands for itself: no scripts, no fonts from elsewhere, a white ground, colours that
 * colour-blind readers can tell apart. The same record gives the same bytes everywhere: all
 * coordinates are whole numbers. Allocates with malloc; ends the program when that fails. */
#ifndef TN_CHECK_SEQUENCE_SVG_H
#define TN_CHECK_SEQUENCE_SVG_H

#include <tenure/types.h>

#include "check/growing_text.h"

#define TN_SEQUENCE_LIFELINES_MAX 18U
#define TN_SEQUENCE_TEXT_BYTES 160U
#define TN_SEQUENCE_NONE UINT32_MAX

/* What becomes of a message. */
enum tn__sequence_fate {
    TN_SEQUENCE_IN_FLIGHT = 0, /* still, at the end of the story */
    TN_SEQUENCE_ARRIVED,
    TN_SEQUENCE_LOST,
};

enum tn__sequence_mark {
    TN_SEQUENCE_SAID = 0, /* plain words */
    TN_SEQUENCE_GAINED,   /* a lease begins */
    TN_SEQUENCE_REFUSED,  /* a refusal, or a silence */
    TN_SEQUENCE_WRONG,    /* an invariant is broken */
    TN_SEQUENCE_CRASHED,  /* with the sign of a crash on the line */
    TN_SEQUENCE_UNDRAWN,  /* of no interest in a picture: left out */
};

enum tn__sequence_bar {
    TN_SEQUENCE_LEASE = 0,  /* the owner's, solid */
    TN_SEQUENCE_EXCLUSION,  /* an acceptor's, light, in the colour of the owner */
    TN_SEQUENCE_QUARANTINE, /* hatched */
    TN_SEQUENCE_DOWN,
    TN_SEQUENCE_PAUSED,
    TN_SEQUENCE_BARS_END,
};

struct tn__sequence; /* Opaque. */

struct tn__sequence *tn__sequence_new(void);
void tn__sequence_free(struct tn__sequence *sequence);

/* The heading and the paragraph under it; copied. */
void tn__sequence_title(struct tn__sequence *sequence, const char *title, const char *story);

/* Add a lifeline; they stand from left to right. Returns its number. */
uint32_t tn__sequence_lifeline(struct tn__sequence *sequence, const char *name);

/* A new paragraph begins with the next row. */
void tn__sequence_stanza(struct tn__sequence *sequence, const char *story, const char *command);

/* Begin a row at this time; times never fall. */
void tn__sequence_row(struct tn__sequence *sequence, tn_time at);

/* In the present row: send a message; its fate is told later. `actor` is the lifeline whose colour
 * it has. Returns the arrow. */
uint32_t tn__sequence_send(struct tn__sequence *sequence, uint32_t from, uint32_t to,
                           uint32_t actor, const char *label);
void tn__sequence_ends(struct tn__sequence *sequence, uint32_t arrow, enum tn__sequence_fate fate);
void tn__sequence_held(struct tn__sequence *sequence, uint32_t arrow);    /* drawn dashed */
void tn__sequence_refusal(struct tn__sequence *sequence, uint32_t arrow); /* drawn red */

/* What was given to tn__sequence_send(). */
const char *tn__sequence_label(const struct tn__sequence *sequence, uint32_t arrow);

void tn__sequence_mark(struct tn__sequence *sequence, uint32_t lifeline,
                       enum tn__sequence_mark kind, const char *text);

/* A bar from the present row until a time (TN_TIME_NEVER: open) or until it is cut. */
uint32_t tn__sequence_bar(struct tn__sequence *sequence, uint32_t lifeline,
                          enum tn__sequence_bar kind, uint32_t actor, tn_time until);
void tn__sequence_cut(struct tn__sequence *sequence, uint32_t bar);

/* How high all time that passes is drawn together; without this 380. */
void tn__sequence_scale(struct tn__sequence *sequence, uint32_t height);

/* What bars of this kind mean here, for the legend; NULL: there are none. Without this they are
 * those of leases. The text is the caller's, and stays. */
void tn__sequence_legend(struct tn__sequence *sequence, enum tn__sequence_bar kind,
                         const char *text);

/* Draw; the text is the caller's to clear. */
void tn__sequence_svg(const struct tn__sequence *sequence, struct tn__growing_text *svg);

#endif
