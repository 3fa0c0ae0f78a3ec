/* Three processes with groups; the header tells the shape. */
#define _GNU_SOURCE
#include "log_cell.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <tenure/group.h>

#include "slow_sync.h"

#define GROUPS_MAX 1024U

static struct log_cell *cell_of; /* one cell a program: members are forked from it */

struct member {
    struct tn_node *node;
    struct tn_group *groups[GROUPS_MAX];
    uint32_t groups_first;
    uint32_t groups_used;
    uint32_t turn;
};

static int execute(void *data, const struct tn_execution *execution)
{
    (void)data;
    (void)execution;
    return TN_EXECUTED;
}

static void answered(void *data, const struct tn_proposal_result *result)
{
    if (result->error != TN_OK) {
        fprintf(stderr, "bench: a proposal ended with %s\n", tn_err_name(result->error));
        _exit(1);
    }
    load_answer(data);
}

static bool propose(void *context, const void *bytes, uint32_t count, struct load_place *place)
{
    static const struct tn_propose_options options = {.machine = 1};
    struct member *member = context;
    uint32_t index = member->groups_first + member->turn++ % member->groups_used;
    struct tn_group *group = member->groups[index];
    return tn_group_propose(group, bytes, count, &options, answered, place, NULL) == TN_OK;
}

/* The parent's order, on this thread. */
static void carry_out(struct member *member, struct log_page *page)
{
    struct load *load = calloc(1, sizeof(*load));
    if (load == NULL) {
        _exit(1);
    }
    member->groups_used = page->order.quick ? 1 : page->order.groups;
    member->groups_first = page->order.quick ? cell_of->groups - 1 : 0;
    *load = (struct load){.in_flight = page->order.in_flight,
                          .value_bytes = page->order.value_bytes,
                          .warm_up_ns = TN_SECOND / 5,
                          .run_ns = (uint64_t)(page->order.seconds * 1e9),
                          .enough = page->order.watching != 0 ? &page->enough : NULL,
                          .propose = propose,
                          .context = member};
    load_run(load, &page->result);
    free(load);
}

static bool leads_all(struct member *member, uint32_t groups)
{
    for (uint32_t i = 0; i < groups; i++) {
        struct tn_group_status status;
        if (tn_group_status(member->groups[i], &status) != TN_OK || !status.log.ready) {
            return false;
        }
    }
    return true;
}

static void report(struct member *member, struct log_page *page, uint32_t index)
{
    static struct tn_node_status node;
    struct tn_group_status group;
    if (tn_group_status(member->groups[0], &group) == TN_OK) {
        atomic_store(&page->executed[index], group.executed);
    }
    if (tn_node_status(member->node, &node) == TN_OK) {
        atomic_store(&page->turns[index], node.counters.turns);
        atomic_store(&page->batches[index], node.counters.log_batches);
    }
}

static void run(struct cell *base, uint32_t index, bool first)
{
    struct log_page *page = cell_of->page;
    struct member *member = calloc(1, sizeof(*member));
    struct tn_state_machine machine = {.id = 1, .execute = execute};
    if (member == NULL) {
        _exit(1);
    }
    member->node = cell_open_node(base, index, first, NULL, NULL);
    for (uint32_t i = 0; i < cell_of->groups; i++) {
        char why[256] = "";
        struct tn_group_options options = {.id = i,
                                           .machines = &machine,
                                           .machines_count = 1,
                                           .priority = index == 0 ? 0 : 8,
                                           .window_slots = 4096,
                                           .quick =
                                               cell_of->quick_last && i + 1 == cell_of->groups};
        int error = tn_group_open(member->node, &options, &member->groups[i], why, sizeof(why));
        if (error != TN_OK) {
            fprintf(stderr, "bench: group %u: %s: %s\n", i, tn_err_name(error), why);
            _exit(1);
        }
    }
    uint32_t seen = 0;
    bool leading = false;
    uint64_t cpu_base = 0;
    for (;;) {
        slow_sync_set(atomic_load(&page->slow_ns[index]));
        uint32_t number = atomic_load(&page->order_number);
        if (!leading && index == 0 && leads_all(member, cell_of->groups)) {
            leading = true;
            atomic_store(&page->leader, index + 1);
        }
        if (number != seen) {
            seen = number;
            cpu_base = (uint64_t)(cell_cpu_seconds() * 1e9);
            if (index == 0) {
                carry_out(member, page);
                atomic_store(&page->done_number, number);
            }
        }
        report(member, page, index);
        atomic_store(&page->cpu_ns[index], (uint64_t)(cell_cpu_seconds() * 1e9) - cpu_base);
        cell_sleep_ms(atomic_load(&page->report_ms));
    }
}

void log_cell_start(struct log_cell *cell, uint32_t groups, bool quick_last, uint32_t by_thread)
{
    static const struct tn_lease_table_options table = {.proposer_ns = 2 * TN_SECOND,
                                                        .names_max = 4096};
    *cell = (struct log_cell){.groups = groups, .quick_last = quick_last};
    cell->page =
        mmap(NULL, sizeof(*cell->page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (cell->page == MAP_FAILED) {
        perror("bench: page");
        exit(1);
    }
    atomic_store(&cell->page->report_ms, 20);
    cell_of = cell;
    cell_make(&cell->cell, &table, run);
    cell->cell.by_thread = by_thread;
    for (uint32_t i = 0; i < CELL_MEMBERS; i++) {
        cell_start_member(&cell->cell, i, true);
    }
    for (uint32_t tries = 0; atomic_load(&cell->page->leader) == 0; tries++) {
        if (tries > 6000) {
            fprintf(stderr, "bench: member 0 does not lead after a minute\n");
            log_cell_end(cell);
            exit(1);
        }
        cell_sleep_ms(10);
    }
}

uint64_t log_cell_cpu_ns(const struct log_cell *cell, uint32_t member)
{
    clockid_t clock;
    struct timespec used = {0};
    if (clock_getcpuclockid(cell->cell.pids[member], &clock) == 0) {
        clock_gettime(clock, &used);
    }
    return (uint64_t)used.tv_sec * TN_SECOND + (uint64_t)used.tv_nsec;
}

/* Among its open files is one of the log; the kernel tells how it was opened. */
uint32_t log_cell_direct(const struct log_cell *cell)
{
    for (uint32_t fd = 0; fd < 256; fd++) {
        char path[64], name[PATH_MAX], line[128];
        snprintf(path, sizeof(path), "/proc/%d/fd/%u", (int)cell->cell.pids[0], fd);
        ssize_t length = readlink(path, name, sizeof(name) - 1);
        if (length < 4 || memcmp(name + length - 4, ".wal", 4) != 0) {
            continue;
        }
        snprintf(path, sizeof(path), "/proc/%d/fdinfo/%u", (int)cell->cell.pids[0], fd);
        FILE *info = fopen(path, "re");
        unsigned flags = 0;
        while (info != NULL && fgets(line, sizeof(line), info) != NULL) {
            (void)sscanf(line, "flags: %o", &flags);
        }
        if (info != NULL) {
            fclose(info);
        }
        return (flags & O_DIRECT) != 0;
    }
    return 0;
}

static void watch(struct log_cell *cell)
{
    if (cell->watched_target != 0 && cell->watched_at == 0 &&
        atomic_load(&cell->page->executed[cell->watched]) >= cell->watched_target) {
        cell->watched_at = cell_now_ns();
        atomic_store(&cell->page->enough, 1);
    }
}

/* How many proposals, warm-up included, there were to one of what rose from `before` to `after`. */
static double share(double all, uint64_t before, uint64_t after)
{
    return after > before ? all / (double)(after - before) : 0;
}

void log_cell_order(struct log_cell *cell, const struct log_order *order, struct log_result *result)
{
    struct log_page *page = cell->page;
    uint64_t turns = atomic_load(&page->turns[0]);
    uint64_t batches[2] = {atomic_load(&page->batches[0]), atomic_load(&page->batches[1])};
    page->order = *order;
    uint32_t number = atomic_fetch_add(&page->order_number, 1) + 1;
    for (uint32_t tries = 0; atomic_load(&page->done_number) != number; tries++) {
        if (tries > 20000) {
            fprintf(stderr, "bench: an order is not done after 200 s\n");
            log_cell_end(cell);
            exit(1);
        }
        watch(cell);
        cell_sleep_ms(10);
    }
    watch(cell);
    cell_sleep_ms(50); /* the members write down what they used */
    uint64_t cpu = 0;
    for (uint32_t i = 0; i < CELL_MEMBERS; i++) {
        cpu += atomic_load(&page->cpu_ns[i]);
    }
    double all = page->result.rate * (order->seconds + 0.2);
    *result = (struct log_result){
        .load = page->result,
        .cpu_us = all > 0 ? (double)cpu / 1e3 / all : 0,
        .a_turn = share(all, turns, atomic_load(&page->turns[0])),
        .a_batch = {share(all, batches[0], atomic_load(&page->batches[0])),
                    share(all, batches[1], atomic_load(&page->batches[1]))},
    };
}

void log_cell_end(struct log_cell *cell)
{
    cell_end(&cell->cell);
    munmap(cell->page, sizeof(*cell->page));
}
