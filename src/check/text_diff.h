/* The difference of two texts, line by line, as people know it from diff -u. */
#ifndef TN_CHECK_TEXT_DIFF_H
#define TN_CHECK_TEXT_DIFF_H

#include "check/growing_text.h"

/* Append the difference: lines only in `before` with '-', only in `after` with '+', and some of the
 * common lines around them with ' '. Nothing when they are equal. */
void tn__text_diff(struct tn__growing_text *out, const char *before, const char *after);

#endif
