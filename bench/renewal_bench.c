/* What renewals cost through the runtime: three processes on loopback, one of which holds many
 * names.
 *
 *   renewal_bench NAMES LEASE_SECONDS ROUNDS ROUND_SECONDS
 *
 * Prints one JSON object a round: CPU a renewal summed over the three processes, and the share of a
 * core that the holder and that all three use. Names are renewed at half-life. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cell.h"

static uint32_t names_count;

static void run_member(struct cell *cell, uint32_t member, bool first)
{
    struct tn_node *node = cell_open_node(cell, member, first, NULL, NULL);
    char name[TN_NAME_BYTES_MAX];
    bool asked = member != 0;
    for (;;) {
        if (!asked && atomic_load(&cell->page->go) != 0) {
            asked = true;
            for (uint32_t i = 0; i < names_count; i++) {
                struct tn_node_lease *lease = NULL;
                snprintf(name, sizeof(name), "service/%07u/leader/000000000", i);
                int error = tn_node_lease_open(node, "bench", name, NULL, &lease);
                if (error != TN_OK) {
                    fprintf(stderr, "bench: %s\n", tn_strerror(error));
                    _Exit(1);
                }
            }
        }
        cell_report(cell, member, node);
        cell_sleep_ms(100);
    }
}

struct sample {
    uint64_t cpu_ns[CELL_MEMBERS];
    uint64_t renewals;
    uint64_t at;
};

static struct sample take(const struct cell *cell)
{
    struct sample sample = {.at = cell_now_ns()};
    for (uint32_t i = 0; i < CELL_MEMBERS; i++) {
        sample.cpu_ns[i] = atomic_load(&cell->page->cpu_ns[i]);
    }
    sample.renewals = atomic_load(&cell->page->renewals[0]);
    return sample;
}

static void print_round(struct sample from, struct sample to)
{
    double span = (double)(to.at - from.at);
    double cpu = 0;
    for (uint32_t i = 0; i < CELL_MEMBERS; i++) {
        cpu += (double)(to.cpu_ns[i] - from.cpu_ns[i]);
    }
    double renewals = (double)(to.renewals - from.renewals);
    printf("{\"cpu_ns_a_renewal\": %.0f, \"renewals\": %.0f, \"holder_core_percent\": %.2f, "
           "\"all_core_percent\": %.2f}\n",
           renewals > 0 ? cpu / renewals : 0, renewals,
           (double)(to.cpu_ns[0] - from.cpu_ns[0]) / span * 100, cpu / span * 100);
    fflush(stdout);
}

static bool wait_until_owned(struct cell *cell)
{
    for (uint32_t i = 0; i < 1200; i++) {
        if (atomic_load(&cell->page->owned[0]) == names_count) {
            return true;
        }
        cell_sleep_ms(100);
    }
    fprintf(stderr, "bench: only %u of %u names are owned\n", atomic_load(&cell->page->owned[0]),
            names_count);
    return false;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: renewal_bench NAMES LEASE_SECONDS ROUNDS ROUND_SECONDS\n");
        return 2;
    }
    names_count = (uint32_t)strtoul(argv[1], NULL, 10);
    uint64_t lease_ns = strtoull(argv[2], NULL, 10) * TN_SECOND;
    uint32_t rounds = (uint32_t)strtoul(argv[3], NULL, 10);
    uint32_t round_seconds = (uint32_t)strtoul(argv[4], NULL, 10);
    struct tn_lease_table_options table = {.proposer_ns = lease_ns,
                                           .renew_ns = lease_ns / 2,
                                           .names_max = names_count,
                                           .observe = TN_OBSERVE_OWNER};
    static struct cell cell;
    cell_make(&cell, &table, run_member);
    for (uint32_t i = 0; i < CELL_MEMBERS; i++) {
        cell_start_member(&cell, i, true);
    }
    cell_sleep_ms((uint32_t)(lease_ns / TN_MILLISECOND) + 1000); /* A4 */
    atomic_store(&cell.page->go, 1);
    bool owned = wait_until_owned(&cell);
    cell_sleep_ms((uint32_t)(lease_ns / TN_MILLISECOND / 2));
    for (uint32_t round = 0; owned && round < rounds; round++) {
        struct sample from = take(&cell);
        cell_sleep_ms(round_seconds * 1000);
        print_round(from, take(&cell));
    }
    cell_end(&cell);
    return owned ? 0 : 1;
}
