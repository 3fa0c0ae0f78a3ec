/* The names of the mutants: each is a patch, tests/explore/mutants/NAME.patch, which says what rule
 * it weakens and where that shows. tools/mutants.py fails when the two lists differ. */
#ifndef TN_CHECK_EXPLORE_MUTANTS_H
#define TN_CHECK_EXPLORE_MUTANTS_H

#include <stdint.h>

extern const char *const tn__explore_mutants[];
extern const uint32_t tn__explore_mutants_count;

#endif
