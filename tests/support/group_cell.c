/* A cell of nodes with a group. See group_cell.h. */
#define _GNU_SOURCE
#include "support/group_cell.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/crc32c.h"
#include "node/node_internal.h"
#include "support/slow_build.h"

static int apply(struct counters *counters, const struct tn_execution *execution)
{
    if (atomic_load(&counters->retries) > 0) {
        atomic_fetch_sub(&counters->retries, 1);
        return TN_EXECUTE_RETRY;
    }
    if (atomic_load(&counters->tempted)) {
        atomic_store(&counters->tempted, false);
        atomic_store(&counters->wait_result,
                     tn_group_propose_wait(counters->group, "add a 1", 7, NULL, NULL, 0, NULL));
    }
    while (atomic_load(&counters->held)) {
        atomic_store(&counters->inside, true);
        nanosleep(&(struct timespec){0, 1000000L}, NULL);
    }
    char text[64] = "";
    char key = 'a';
    unsigned long long number = 0;
    size_t shown = execution->bytes_count < sizeof(text) ? execution->bytes_count : 63;
    memcpy(text, execution->bytes, shown);
    if (sscanf(text, "add %c %llu", &key, &number) == 2 && key >= 'a' && key <= 'z') {
        number = atomic_fetch_add(&counters->sums[key - 'a'], number) + number;
    }
    char reply[32];
    int length = snprintf(reply, sizeof(reply), "%llu", number);
    assert_int_equal(tn_execution_reply(execution, reply, (size_t)length), 0);
    uint64_t digest = atomic_load(&counters->digest) * 31 + execution->slot;
    digest = digest * 31 + tn__crc32c(0, execution->bytes, execution->bytes_count);
    atomic_store(&counters->digest, digest);
    assert_true(execution->slot > atomic_load(&counters->slot));
    atomic_store(&counters->slot, execution->slot);
    atomic_fetch_add(&counters->contexts, execution->context != NULL ? 1 : 0);
    atomic_fetch_add(&counters->on_loop, tn__node_on_loop(counters->node) ? 1 : 0);
    atomic_fetch_add(&counters->executed, 1);
    return TN_EXECUTED;
}

static int execute(void *data, const struct tn_execution *execution)
{
    struct counters *counters = data;
    assert_int_equal(atomic_fetch_add(&counters->at_once, 1), 0);
    uint64_t pause = atomic_load(&counters->pause_ns);
    if (pause > 0) {
        nanosleep(&(struct timespec){0, (long)pause}, NULL);
    }
    int result = apply(counters, execution);
    atomic_fetch_sub(&counters->at_once, 1);
    return result;
}

void group_cell_make(struct group_cell *cell, uint32_t count, enum tn_log_mode mode)
{
    memset(cell, 0, sizeof(*cell));
    cell_make(&cell->cell, count, "127.0.0.1");
    if (TN_SLOW_BUILD) { /* no leader shall lose its lease for being slow */
        cell->cell.table.options.proposer_ns = 2 * TN_SECOND;
    }
    for (uint32_t i = 0; i < count; i++) {
        cell->cell.nodes[i].options.log_segment_bytes = 1 << 20;
        cell->cell.nodes[i].options.appliers_count = i;    /* 0: one */
        cell->cell.nodes[i].options.log_by_thread = i % 2; /* both ways, at once */
    }
    cell->options.id = 3;
    cell->options.mode = mode;
}

void group_cell_open(struct group_cell *cell, uint32_t index)
{
    struct counters *counters = &cell->counters[index];
    memset(counters, 0, sizeof(*counters));
    struct tn_state_machine machine = {.id = GROUP_MACHINE, .data = counters, .execute = execute};
    counters->node = cell->cell.nodes[index].node;
    struct tn_group_options options = cell->options;
    options.machines = &machine;
    options.machines_count = 1;
    int error = tn_group_open(cell->cell.nodes[index].node, &options, &cell->groups[index],
                              cell->why, sizeof(cell->why));
    if (error != 0) {
        fail_msg("group at node %u: %s: %s", index, tn_err_name(error), cell->why);
    }
    counters->group = cell->groups[index];
}

void group_cell_start(struct group_cell *cell, uint32_t index)
{
    cell_start(&cell->cell, index);
    group_cell_open(cell, index);
}

void group_cell_start_all(struct group_cell *cell)
{
    for (uint32_t i = 0; i < cell->cell.count; i++) {
        group_cell_start(cell, i);
    }
}

void group_cell_stop(struct group_cell *cell, uint32_t index)
{
    assert_int_equal(tn_group_close(cell->groups[index]), 0);
    cell->groups[index] = NULL;
    cell_stop(&cell->cell, index);
}

void group_cell_end(struct group_cell *cell)
{
    for (uint32_t i = 0; i < cell->cell.count; i++) {
        assert_int_equal(tn_group_close(cell->groups[i]), 0);
    }
    cell_end(&cell->cell);
}

int group_cell_try(struct group_cell *cell, uint32_t index, char key, uint64_t number,
                   const struct tn_propose_options *options, struct tn_proposal_result *result)
{
    static _Thread_local char reply[32];
    struct tn_propose_options own = {0};
    if (options != NULL) {
        own = *options;
    }
    own.machine = GROUP_MACHINE;
    char text[64];
    int length = snprintf(text, sizeof(text), "add %c %llu", key, (unsigned long long)number);
    memset(reply, 0, sizeof(reply));
    return tn_group_propose_wait(cell->groups[index], text, (size_t)length, &own, reply,
                                 sizeof(reply) - 1, result);
}

uint64_t group_cell_add(struct group_cell *cell, uint32_t index, char key, uint64_t number)
{
    struct tn_proposal_result result;
    /* Under a once-only id, so that a forward that was lost is sent again. */
    struct tn_propose_options options = {
        .timeout_ns = CELL_PATIENCE_NS,
        .client = 1000 + index,
        .sequence = ++cell->sequences[index],
    };
    tn_time since = 0;
    int error;
    do { /* on a slow machine a leader may lose its tenure meanwhile */
        error = group_cell_try(cell, index, key, number, &options, &result);
    } while (error == TN_ERROR_NO_QUORUM && cell_patience(&since));
    if (error != 0) {
        fail_msg("propose at node %u: %s", index, tn_err_name(error));
    }
    assert_true(result.slot > 0);
    return strtoull(result.bytes, NULL, 10);
}

void group_cell_await_equal(struct group_cell *cell, uint64_t least)
{
    tn_time since = 0;
    for (;;) {
        const struct counters *first = NULL;
        bool equal = true;
        for (uint32_t i = 0; i < cell->cell.count; i++) {
            const struct counters *counters = &cell->counters[i];
            if (cell->groups[i] == NULL) {
                continue;
            }
            first = first == NULL ? counters : first;
            equal = equal && atomic_load(&counters->executed) >= least &&
                    atomic_load(&counters->digest) == atomic_load(&first->digest) &&
                    atomic_load(&counters->executed) == atomic_load(&first->executed);
        }
        if (equal) {
            return;
        }
        if (!cell_patience(&since)) {
            for (uint32_t i = 0; i < cell->cell.count; i++) {
                print_message("# node %u: %llu executed, digest %llx, slot %llu\n", i,
                              (unsigned long long)cell->counters[i].executed,
                              (unsigned long long)cell->counters[i].digest,
                              (unsigned long long)cell->counters[i].slot);
            }
            fail_msg("members did not come to the same state");
        }
    }
}
