/* Is a history linearizable? Two judges, independent of each other and of the code under test.
 *
 * A history is a list of finished and unfinished operations on keys, each key a register of 64
 * bits: read, put, compare-and-swap. Times come from one clock that never steps.
 *
 * The witness trusts the log: every operation says at which slot it took effect, a read which slot
 * its state had. In that order the results must be those of a replay, and no operation may come
 * after one that was called only when it had already returned. Exact for a replicated log, O(n log
 * n), over all keys at once.
 *
 * The search trusts nothing: for each key it looks for any legal order (Wing and Gong's search with
 * Lowe's memory of what was tried, on a linked list of calls and returns, as Horn and Kroening
 * showed). It gives up after a budget and says so. */
#ifndef TN_CHECK_LINEAR_H
#define TN_CHECK_LINEAR_H

#include <stddef.h>
#include <stdint.h>

#define TN_LINEAR_NEVER UINT64_MAX /* not returned: the outcome is unknown */
#define TN_LINEAR_KEYS_MAX 4096U
#define TN_LINEAR_OPERATIONS_MAX 4096U /* of one key, for the search */

enum tn__linear_kind {
    TN_LINEAR_READ = 1, /* result: the value, 0 if there is none */
    TN_LINEAR_PUT,      /* argument: the value from now on */
    TN_LINEAR_SWAP, /* if the value is `expected` it becomes `argument`; result: 1 if so, else 0 */
};

struct tn__linear_operation {
    uint64_t called;
    uint64_t returned; /* TN_LINEAR_NEVER: unknown; a read that never returned says nothing */
    uint64_t index;    /* the slot; 0: not known, for the search alone, or it never took effect */
    uint64_t argument;
    uint64_t expected;
    uint64_t result; /* of a returned operation */
    uint32_t client;
    uint32_t key;  /* below TN_LINEAR_KEYS_MAX */
    uint32_t kind; /* enum tn__linear_kind */
    uint32_t reserved;
};

enum tn__linear_verdict {
    TN_LINEAR_YES = 0,
    TN_LINEAR_NO,
    TN_LINEAR_UNDECIDED, /* the budget or the memory ran out, or a key has too many operations */
};

struct tn__linear_report {
    uint64_t tried;     /* orders of a prefix that were tried */
    uint32_t key;       /* the first bad one */
    uint32_t operation; /* index in the history: the one that fits nowhere, as far as was seen */
    char why[160];      /* a sentence; "" for YES */
};

/* By the log's order. Unfinished operations without an index are taken as never done. */
enum tn__linear_verdict tn__linear_witness(const struct tn__linear_operation *operations,
                                           size_t count, struct tn__linear_report *report);

/* By search, at most `budget` steps a key (0: 10 million). */
enum tn__linear_verdict tn__linear_search(const struct tn__linear_operation *operations,
                                          size_t count, uint64_t budget,
                                          struct tn__linear_report *report);

#endif
