/* Linearizability by the log's own order; the header tells the shape.
 *
 * The order is by slot; at one slot the write comes before the reads that saw it. Reads of one slot
 * commute, so real time is compared between groups: when a group begins, `latest` is the latest
 * call of all groups before; an operation that returned before that was overtaken. */
#include "check/linear.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

struct placed {
    const struct tn__linear_operation *operation;
    uint32_t number;
};

static int compare_placed(const void *a, const void *b)
{
    const struct tn__linear_operation *x = ((const struct placed *)a)->operation;
    const struct tn__linear_operation *y = ((const struct placed *)b)->operation;
    if (x->index != y->index) {
        return x->index < y->index ? -1 : 1;
    }
    bool x_reads = x->kind == TN_LINEAR_READ, y_reads = y->kind == TN_LINEAR_READ;
    return (int)x_reads - (int)y_reads;
}

static enum tn__linear_verdict blame(struct tn__linear_report *report, const struct placed *placed,
                                     const char *what)
{
    const struct tn__linear_operation *operation = placed->operation;
    report->key = operation->key;
    report->operation = placed->number;
    snprintf(report->why, sizeof(report->why), "client %u, key %u, slot %llu, called at %llu: %s",
             operation->client, operation->key, (unsigned long long)operation->index,
             (unsigned long long)operation->called, what);
    return TN_LINEAR_NO;
}

/* What the operation does to the value of its key; NULL, or what is wrong with its result. */
static const char *replay(uint64_t *value, const struct tn__linear_operation *operation)
{
    bool returned = operation->returned != TN_LINEAR_NEVER;
    switch (operation->kind) {
    case TN_LINEAR_READ:
        return operation->result == *value ? NULL : "read a value that the slot does not have";
    case TN_LINEAR_PUT:
        *value = operation->argument;
        return NULL;
    case TN_LINEAR_SWAP: {
        uint64_t swaps = *value == operation->expected;
        if (returned && operation->result != swaps) {
            return "was told a wrong outcome of its compare-and-swap";
        }
        *value = swaps ? operation->argument : *value;
        return NULL;
    }
    default:
        return "is of no known kind";
    }
}

static enum tn__linear_verdict walk(const struct placed *placed, size_t count, uint64_t *values,
                                    struct tn__linear_report *report)
{
    uint64_t latest = 0; /* call of all groups before this one */
    for (size_t first = 0; first < count;) {
        uint64_t index = placed[first].operation->index;
        uint64_t latest_here = latest;
        size_t i = first;
        for (uint32_t writes = 0; i < count && placed[i].operation->index == index; i++) {
            const struct tn__linear_operation *operation = placed[i].operation;
            const char *wrong = replay(&values[operation->key], operation);
            if (wrong != NULL) {
                return blame(report, &placed[i], wrong);
            }
            if (operation->kind != TN_LINEAR_READ && ++writes > 1) {
                return blame(report, &placed[i], "shares its slot with another write");
            }
            /* The one write of a slot comes before its reads in real time as well. */
            if (operation->returned < (operation->kind == TN_LINEAR_READ ? latest : latest_here)) {
                return blame(report, &placed[i], "returned before an earlier slot was called for");
            }
            if (operation->kind != TN_LINEAR_READ && operation->called > latest) {
                latest = operation->called;
            }
            latest_here = operation->called > latest_here ? operation->called : latest_here;
        }
        latest = latest_here > latest ? latest_here : latest;
        first = i;
    }
    return TN_LINEAR_YES;
}

enum tn__linear_verdict tn__linear_witness(const struct tn__linear_operation *operations,
                                           size_t count, struct tn__linear_report *report)
{
    memset(report, 0, sizeof(*report));
    struct placed *placed = calloc(count + 1, sizeof(*placed));
    uint64_t *values = calloc(TN_LINEAR_KEYS_MAX, sizeof(*values));
    enum tn__linear_verdict verdict = TN_LINEAR_UNDECIDED;
    size_t used = 0;
    if (placed == NULL || values == NULL) {
        snprintf(report->why, sizeof(report->why), "out of memory");
        goto done;
    }
    for (size_t i = 0; i < count; i++) {
        const struct tn__linear_operation *operation = &operations[i];
        tn_assert(operation->key < TN_LINEAR_KEYS_MAX);
        bool returned = operation->returned != TN_LINEAR_NEVER;
        struct placed one = {operation, (uint32_t)i};
        if (returned && operation->returned < operation->called) {
            verdict = blame(report, &one, "returned before it was called");
            goto done;
        }
        if (returned && operation->index == 0 && operation->kind != TN_LINEAR_READ) {
            verdict = blame(report, &one, "returned, but is in no slot of the log");
            goto done;
        }
        if ((returned || operation->kind != TN_LINEAR_READ) &&
            (operation->index != 0 || operation->kind == TN_LINEAR_READ)) {
            placed[used++] = one;
        }
    }
    qsort(placed, used, sizeof(placed[0]), compare_placed);
    verdict = walk(placed, used, values, report);
done:
    free(placed);
    free(values);
    return verdict;
}
