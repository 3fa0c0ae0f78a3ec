/* Judge the journals of log_member.c: log_judge JOURNAL... Prints what is wrong, one line each, and
 * a summary; status 1 if anything is.
 *
 *   C1, C3  every member executed the same operation in the same slot, and none twice
 *   N4      what was told to be not chosen was never executed; what was told to be committed was,
 *           in the slot that was told
 *   and the whole history is linearizable, by the log's order and by a search that trusts nothing.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check/linear.h"

#define OPERATIONS_MAX (1U << 20)
#define BUCKETS (1U << 21)
#define COMPLAINTS_MAX 20U

static struct tn__linear_operation *operations; /* `argument` is the name */
static bool *refused;
static uint32_t count;
static uint32_t *buckets; /* by name: 1 more than the place in `operations` */
static uint64_t *at_slot; /* by slot modulo BUCKETS: slot and name */
static uint32_t complaints;
static uint64_t executions;
static uint64_t slot_last;

static void complain(const char *what, uint64_t slot, uint64_t name)
{
    if (complaints++ < COMPLAINTS_MAX) {
        printf("%s: slot %" PRIu64 ", operation %" PRIu64 "\n", what, slot, name);
    }
}

static struct tn__linear_operation *find(uint64_t name, bool make)
{
    uint64_t hash = name * 0x9e3779b97f4a7c15U;
    for (uint32_t i = (uint32_t)(hash >> 43);; i = (i + 1) % BUCKETS) {
        if (buckets[i] == 0) {
            if (!make || count == OPERATIONS_MAX) {
                return NULL;
            }
            buckets[i] = ++count;
            operations[count - 1] = (struct tn__linear_operation){.argument = name};
            return &operations[count - 1];
        }
        if (operations[buckets[i] - 1].argument == name) {
            return &operations[buckets[i] - 1];
        }
    }
}

static void read_called(const char *line)
{
    uint64_t name, expected, called;
    uint32_t kind, key, client;
    if (sscanf(line, "c %" SCNu64 " %u %u %" SCNu64 " %u %" SCNu64, &name, &kind, &key, &expected,
               &client, &called) != 6) {
        return; /* the last line of a process that was killed */
    }
    struct tn__linear_operation *operation = find(name, true);
    if (operation == NULL || operation->called != 0) {
        complain("called twice, or too many", 0, name);
        return;
    }
    operation->called = called;
    operation->returned = TN_LINEAR_NEVER;
    operation->expected = expected;
    operation->kind = kind;
    operation->key = key;
    operation->client = client;
}

static void read_returned(const char *line)
{
    uint64_t name, result, slot, returned;
    if (sscanf(line, "r %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, &name, &result, &slot,
               &returned) != 4) {
        return;
    }
    struct tn__linear_operation *operation = find(name, false);
    if (operation == NULL) {
        complain("returned and never called", slot, name);
        return;
    }
    operation->result = result;
    operation->index = slot;
    operation->returned = returned;
}

static void read_executed(const char *line)
{
    uint64_t slot, name;
    if (sscanf(line, "e %" SCNu64 " %" SCNu64, &slot, &name) != 2 || slot >= BUCKETS) {
        return;
    }
    executions++;
    slot_last = slot > slot_last ? slot : slot_last;
    if (at_slot[slot] != 0 && at_slot[slot] != name) {
        complain("two members executed different operations (C3)", slot, name);
    }
    at_slot[slot] = name;
}

static void read_refused(const char *line)
{
    uint64_t name;
    if (sscanf(line, "f %" SCNu64, &name) == 1) {
        const struct tn__linear_operation *operation = find(name, false);
        if (operation != NULL) {
            refused[operation - operations] = true;
        }
    }
}

static void read_journal(const char *path)
{
    char line[256];
    FILE *journal = fopen(path, "r");
    if (journal == NULL) {
        printf("%s cannot be read\n", path);
        complaints++;
        return;
    }
    while (fgets(line, sizeof(line), journal) != NULL) {
        if (strchr(line, '\n') == NULL) {
            continue;
        }
        switch (line[0]) {
        case 'c':
            read_called(line);
            break;
        case 'r':
            read_returned(line);
            break;
        case 'e':
            read_executed(line);
            break;
        default:
            read_refused(line);
            break;
        }
    }
    fclose(journal);
}

/* The log says where each write stands. */
static void place_writes(void)
{
    for (uint64_t slot = 1; slot <= slot_last; slot++) {
        struct tn__linear_operation *operation =
            at_slot[slot] != 0 ? find(at_slot[slot], false) : NULL;
        if (at_slot[slot] == 0) {
            continue; /* a no-op */
        }
        if (operation == NULL) {
            complain("executed and never called", slot, at_slot[slot]);
        } else if (refused[operation - operations]) {
            complain("executed, though its caller was told that it was not chosen (N4)", slot,
                     operation->argument);
        } else if (operation->index != 0 && operation->index != slot) {
            complain("executed in another slot than its caller was told, or twice (N4)", slot,
                     operation->argument);
        } else {
            operation->index = slot;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct tn__linear_operation *operation = &operations[i];
        if (operation->kind != TN_LINEAR_READ && operation->returned != TN_LINEAR_NEVER &&
            (operation->index > slot_last || at_slot[operation->index] != operation->argument)) {
            complain("told to be committed, and nobody executed it (N4)", operation->index,
                     operation->argument);
        }
    }
}

/* Only what may have taken effect, with its true argument. */
static uint32_t keep_what_counts(void)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        bool silent = operations[i].returned == TN_LINEAR_NEVER;
        if (refused[i] || (silent && operations[i].kind == TN_LINEAR_READ)) {
            continue;
        }
        operations[kept] = operations[i];
        if (operations[kept].kind == TN_LINEAR_PUT) {
            operations[kept].result = 0;
        }
        kept++;
    }
    return kept;
}

int main(int argc, char **argv)
{
    operations = calloc(OPERATIONS_MAX, sizeof(*operations));
    refused = calloc(OPERATIONS_MAX, sizeof(*refused));
    buckets = calloc(BUCKETS, sizeof(*buckets));
    at_slot = calloc(BUCKETS, sizeof(*at_slot));
    if (operations == NULL || refused == NULL || buckets == NULL || at_slot == NULL) {
        return 2;
    }
    for (int i = 1; i < argc; i++) {
        read_journal(argv[i]);
    }
    uint32_t called = count;
    place_writes();
    uint32_t kept = keep_what_counts();
    struct tn__linear_report witness, search;
    enum tn__linear_verdict by_log = tn__linear_witness(operations, kept, &witness);
    enum tn__linear_verdict by_search = tn__linear_search(operations, kept, 0, &search);
    if (by_log != TN_LINEAR_YES) {
        complaints++;
        printf("not linearizable by the log's order: key %u: %s\n", witness.key, witness.why);
    }
    if (by_search == TN_LINEAR_NO) {
        complaints++;
        printf("not linearizable by search: key %u: %s\n", search.key, search.why);
    }
    printf("%u operations, %u of them judged, %" PRIu64 " slots, %" PRIu64
           " executions, search %s; "
           "%u complaints\n",
           called, kept, slot_last, executions,
           by_search == TN_LINEAR_UNDECIDED ? "undecided" : "done", complaints);
    return complaints != 0;
}
