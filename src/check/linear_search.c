/* Linearizability by search, one key at a time; linear.h tells the shape.
 *
 * Calls and returns stand in a doubly linked list in the order of time. Whichever call stands
 * before the first return may be the next to take effect: it is lifted out of the list with its
 * return. When a return is met first, its operation must have taken effect already, and has not:
 * the last lifted one is put back and the next candidate tried. What was tried is remembered as
 * (set of lifted operations, value): the same pair a second time leads nowhere new.
 *
 * An unfinished write returns at the end of time, so it may take effect at any place, also after
 * everything else, which is as good as never. */
#include "check/linear.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define BUDGET_DEFAULT 10000000ULL
#define MEMORY_MAX (64U << 20) /* bytes of remembered pairs */

struct event {
    const struct tn__linear_operation *operation;
    struct event *previous;
    struct event *next;
    struct event *match; /* of a call: its return; of a return: NULL */
    uint64_t at;
    uint32_t number; /* in the history */
    uint32_t place;  /* in this key's operations: its bit */
};

struct lifted {
    struct event *event;
    uint64_t value; /* before it */
};

struct search {
    struct event head;
    struct event *events;
    struct lifted *stack;
    uint64_t *set; /* bits of the lifted operations; behind them, for the memory, the value */
    uint32_t words;
    uint32_t remembered;
    uint64_t value;
    /* Remembered pairs: open addressing over records of words + 1. */
    uint64_t *memory;
    uint8_t *used;
    uint32_t slots; /* a power of two */
    uint32_t deepest;
    struct event *blocked; /* the return that the deepest order could not pass */
};

static int compare_events(const void *a, const void *b)
{
    const struct event *x = a, *y = b;
    if (x->at != y->at) {
        return x->at < y->at ? -1 : 1;
    }
    /* Touching intervals count as concurrent: calls come first. */
    bool x_returns = x->match == NULL, y_returns = y->match == NULL;
    if (x_returns != y_returns) {
        return (int)x_returns - (int)y_returns;
    }
    return x->place < y->place ? -1 : x->place > y->place;
}

/* Can the operation take effect on this value, with the result that it had? */
static bool apply(uint64_t *value, const struct tn__linear_operation *operation)
{
    bool returned = operation->returned != TN_LINEAR_NEVER;
    if (operation->kind == TN_LINEAR_READ) {
        return operation->result == *value;
    }
    if (operation->kind == TN_LINEAR_PUT) {
        *value = operation->argument;
        return true;
    }
    bool swaps = *value == operation->expected;
    if (returned && (operation->result != 0) != swaps) {
        return false;
    }
    *value = swaps ? operation->argument : *value;
    return true;
}

static void unlink_event(struct event *event)
{
    event->previous->next = event->next;
    if (event->next != NULL) {
        event->next->previous = event->previous;
    }
}

static void relink_event(struct event *event)
{
    event->previous->next = event;
    if (event->next != NULL) {
        event->next->previous = event;
    }
}

static void lift(struct event *call)
{
    unlink_event(call);
    unlink_event(call->match);
}

static void unlift(struct event *call)
{
    relink_event(call->match);
    relink_event(call);
}

static uint64_t hash_of(const struct search *search, const uint64_t *record)
{
    uint64_t hash = record[search->words] * 0x9e3779b97f4a7c15ULL;
    for (uint32_t i = 0; i < search->words; i++) {
        hash = (hash ^ record[i]) * 0xff51afd7ed558ccdULL;
        hash ^= hash >> 32;
    }
    return hash;
}

/* Enter the record unless it is there. False: it was. */
static bool enter(struct search *search, const uint64_t *record)
{
    uint32_t mask = search->slots - 1;
    size_t width = search->words + 1U;
    for (uint32_t at = (uint32_t)hash_of(search, record) & mask;; at = (at + 1) & mask) {
        uint64_t *there = &search->memory[(size_t)at * width];
        if (!search->used[at]) {
            memcpy(there, record, width * sizeof(uint64_t));
            search->used[at] = 1;
            search->remembered += 1;
            return true;
        }
        if (memcmp(there, record, width * sizeof(uint64_t)) == 0) {
            return false;
        }
    }
}

/* Make room for twice as many records. */
static bool grow(struct search *search)
{
    size_t width = search->words + 1U;
    uint32_t slots = search->slots == 0 ? 256 : search->slots * 2;
    if ((uint64_t)slots * width * sizeof(uint64_t) > MEMORY_MAX) {
        return false;
    }
    uint64_t *memory = malloc((size_t)slots * width * sizeof(uint64_t));
    uint8_t *used = calloc(slots, 1);
    if (memory == NULL || used == NULL) {
        free(memory);
        free(used);
        return false;
    }
    struct search old = *search;
    search->memory = memory;
    search->used = used;
    search->slots = slots;
    search->remembered = 0;
    for (uint32_t i = 0; i < old.slots; i++) {
        if (old.used[i]) {
            enter(search, &old.memory[i * width]);
        }
    }
    free(old.memory);
    free(old.used);
    return true;
}

static bool try_call(struct search *search, struct event *call, uint32_t depth)
{
    uint64_t before = search->value;
    if (!apply(&search->value, call->operation)) {
        search->value = before;
        return false;
    }
    search->set[call->place / 64] |= 1ULL << (call->place % 64);
    search->set[search->words] = search->value;
    if (!enter(search, search->set)) {
        search->set[call->place / 64] &= ~(1ULL << (call->place % 64));
        search->value = before;
        return false;
    }
    search->stack[depth] = (struct lifted){call, before};
    lift(call);
    return true;
}

static enum tn__linear_verdict run(struct search *search, uint64_t budget, uint64_t *tried)
{
    uint32_t depth = 0;
    struct event *event = search->head.next;
    while (search->head.next != NULL) {
        if (++*tried > budget ||
            (search->remembered * 4ULL >= search->slots * 3ULL && !grow(search))) {
            return TN_LINEAR_UNDECIDED;
        }
        tn_assert(event != NULL); /* a return is met before the list ends */
        if (event->match != NULL) {
            if (try_call(search, event, depth)) {
                depth += 1;
                event = search->head.next;
            } else {
                event = event->next;
            }
            continue;
        }
        if (depth >= search->deepest) {
            search->deepest = depth;
            search->blocked = event;
        }
        if (depth == 0) {
            return TN_LINEAR_NO;
        }
        struct lifted *top = &search->stack[--depth];
        search->value = top->value;
        search->set[top->event->place / 64] &= ~(1ULL << (top->event->place % 64));
        unlift(top->event);
        event = top->event->next;
    }
    return TN_LINEAR_YES;
}

static bool prepare(struct search *search, const struct tn__linear_operation *operations,
                    size_t count, uint32_t key)
{
    uint32_t used = 0;
    for (size_t i = 0; i < count; i++) {
        const struct tn__linear_operation *operation = &operations[i];
        if (operation->key != key ||
            (operation->kind == TN_LINEAR_READ && operation->returned == TN_LINEAR_NEVER)) {
            continue;
        }
        search->events[2 * (size_t)used] = (struct event){.operation = operation,
                                                          .at = operation->called,
                                                          .number = (uint32_t)i,
                                                          .place = used,
                                                          .match = &search->head};
        search->events[2 * (size_t)used + 1] = (struct event){.operation = operation,
                                                              .at = operation->returned,
                                                              .number = (uint32_t)i,
                                                              .place = used};
        used++;
    }
    qsort(search->events, 2 * (size_t)used, sizeof(search->events[0]), compare_events);
    struct event **returns = calloc(used + 1U, sizeof(*returns));
    if (returns == NULL) {
        return false;
    }
    struct event *last = &search->head;
    for (size_t i = 0; i < 2 * (size_t)used; i++) {
        struct event *event = &search->events[i];
        event->previous = last;
        last->next = event;
        last = event;
        if (event->match == NULL) {
            returns[event->place] = event;
        }
    }
    for (size_t i = 0; i < 2 * (size_t)used; i++) {
        struct event *event = &search->events[i];
        event->match = event->match != NULL ? returns[event->place] : NULL;
    }
    free(returns);
    return true;
}

static bool reserve(struct search *search, uint32_t operations)
{
    search->words = operations / 64 + 1;
    search->events = calloc(2 * (size_t)operations + 2, sizeof(*search->events));
    search->stack = calloc(operations + 1U, sizeof(*search->stack));
    search->set = calloc(search->words + 1U, sizeof(uint64_t));
    return search->events != NULL && search->stack != NULL && search->set != NULL && grow(search);
}

static enum tn__linear_verdict search_key(const struct tn__linear_operation *operations,
                                          size_t count, uint32_t key, uint32_t of_key,
                                          uint64_t budget, struct tn__linear_report *report)
{
    struct search search = {0};
    enum tn__linear_verdict verdict = TN_LINEAR_UNDECIDED;
    if (of_key <= TN_LINEAR_OPERATIONS_MAX && reserve(&search, of_key) &&
        prepare(&search, operations, count, key)) {
        uint64_t tried = 0;
        verdict = run(&search, budget, &tried);
        report->tried += tried;
    }
    if (verdict != TN_LINEAR_YES) {
        report->key = key;
        report->operation = search.blocked != NULL ? search.blocked->number : 0;
        snprintf(report->why, sizeof(report->why),
                 verdict == TN_LINEAR_NO
                     ? "key %u: no order explains it; the longest explains %u of %u operations"
                     : "key %u: not decided after explaining %u of %u operations",
                 key, search.deepest, of_key);
    }
    free(search.events);
    free(search.stack);
    free(search.set);
    free(search.memory);
    free(search.used);
    return verdict;
}

enum tn__linear_verdict tn__linear_search(const struct tn__linear_operation *operations,
                                          size_t count, uint64_t budget,
                                          struct tn__linear_report *report)
{
    memset(report, 0, sizeof(*report));
    uint32_t *counts = calloc(TN_LINEAR_KEYS_MAX, sizeof(*counts));
    if (counts == NULL) {
        snprintf(report->why, sizeof(report->why), "out of memory");
        return TN_LINEAR_UNDECIDED;
    }
    for (size_t i = 0; i < count; i++) {
        tn_assert(operations[i].key < TN_LINEAR_KEYS_MAX);
        tn_assert(operations[i].kind >= TN_LINEAR_READ && operations[i].kind <= TN_LINEAR_SWAP);
        counts[operations[i].key] += 1;
    }
    enum tn__linear_verdict worst = TN_LINEAR_YES;
    for (uint32_t key = 0; key < TN_LINEAR_KEYS_MAX && worst != TN_LINEAR_NO; key++) {
        if (counts[key] == 0) {
            continue;
        }
        struct tn__linear_report one = {.tried = report->tried};
        enum tn__linear_verdict verdict = search_key(operations, count, key, counts[key],
                                                     budget == 0 ? BUDGET_DEFAULT : budget, &one);
        if (verdict == TN_LINEAR_NO || (verdict != TN_LINEAR_YES && worst == TN_LINEAR_YES)) {
            worst = verdict;
            *report = one;
        }
        report->tried = one.tried;
    }
    free(counts);
    return worst;
}
