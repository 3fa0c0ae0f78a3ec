/* Random schedules of whole machines: proposals, reads, lost, repeated and reordered messages, slow
 * writes, crashes, tenures that overlap in belief. The cell judges each step (log_cell.h); when all
 * faults end, everything is decided and all agree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/log_cell.h"

/* How rough a schedule is, in a thousandth of steps. */
struct weather {
    uint32_t nodes;
    uint32_t mode;
    uint32_t steps;
    uint32_t lost;
    uint32_t repeated;
    uint32_t reordered;
    uint32_t crashes;
    uint32_t tenures;
    uint32_t window;
    uint32_t retain;
    uint32_t damages; /* one member at a time loses all its slots (W3) */
    uint32_t changes; /* of the configuration */
    uint32_t full;    /* disks fill up and are cleared */
};

static bool chance(struct log_cell *cell, uint32_t thousandth)
{
    return cell_random(cell, 1000) < thousandth;
}

static void move_mail(struct log_cell *cell, const struct weather *weather)
{
    if (cell->mail_count == 0) {
        return;
    }
    uint32_t which =
        chance(cell, weather->reordered) ? (uint32_t)cell_random(cell, cell->mail_count) : 0;
    if (chance(cell, weather->lost)) {
        cell_drop(cell, which);
        return;
    }
    if (chance(cell, weather->repeated)) {
        cell_repeat(cell, which);
    }
    cell_deliver(cell, which);
}

static bool is_damaged(struct log_cell *cell, uint32_t node)
{
    return cell->nodes[node].log != NULL &&
           log_cell_status(cell, node).state == TN_LOG_STATE_DAMAGED;
}

/* A member that comes back damaged is damaged still; a whole one may lose what it had. */
static void crash_or_start(struct log_cell *cell, const struct weather *weather, uint32_t node)
{
    if (cell->nodes[node].log != NULL) {
        cell->nodes[node].votes_less = is_damaged(cell, node) ? 1 : 0;
        cell_crash(cell, node);
        return;
    }
    bool another = false;
    for (uint32_t i = 0; i < cell->nodes_count; i++) {
        another = another || is_damaged(cell, i) ||
                  (cell->nodes[i].log == NULL && cell->nodes[i].votes_less != 0);
    }
    if (!another && chance(cell, weather->damages)) {
        struct cell_disk *disk = cell->nodes[node].disk;
        struct tn_log_ballot promise = disk->promise;
        memset(disk, 0, sizeof(*disk));
        disk->promise = promise;
        cell->nodes[node].votes_less = 1;
    }
    log_cell_start(cell, node);
}

/* Any legal change, or one that is not: all are voters or learners. */
static void change_configuration(struct log_cell *cell, uint32_t node)
{
    if (cell->nodes[node].log == NULL) {
        return;
    }
    struct tn_log_status status = log_cell_status(cell, node);
    tn_member_set all = ((tn_member_set)1 << cell->nodes_count) - 1;
    tn_member_set voters = (tn_member_set)cell_random(cell, all) + 1;
    struct tn_log_value change = {
        .voters = voters, .learners = all & ~voters, .version = status.configuration + 1};
    if (__builtin_popcount(voters) >= 3) {
        cell_propose_configuration(cell, node, &change);
    }
}

static void shake(struct log_cell *cell, const struct weather *weather, uint64_t *token)
{
    uint32_t node = (uint32_t)cell_random(cell, cell->nodes_count);
    if (chance(cell, weather->crashes)) {
        crash_or_start(cell, weather, node);
    }
    if (chance(cell, weather->changes)) {
        change_configuration(cell, node);
    }
    if (chance(cell, weather->full)) {
        cell_event(cell, node, TN_LOG_EVENT_STORE_FULL, cell_random(cell, 3) == 0);
    }
    if (weather->mode == TN_LOG_MODE_LEASED && chance(cell, weather->tenures)) {
        /* The former owner may believe a while longer: choosing must not care. */
        cell_tenure(cell, node, ++*token, cell->now + cell_random(cell, 400) * TN_MILLISECOND);
    }
    if (chance(cell, 5)) {
        log_cell_connect(cell, node, (node + 1) % cell->nodes_count);
    }
    if (chance(cell, 150)) {
        cell_propose(cell, node, 1 + (uint32_t)cell_random(cell, 6));
    }
    if (chance(cell, 60)) {
        cell_read(cell, node);
    }
    if (chance(cell, 300)) {
        cell_write_done(cell, node);
    }
    if (chance(cell, 200)) {
        cell->now += cell_random(cell, 20) * TN_MILLISECOND;
        if (cell->nodes[node].log != NULL && tn_log_deadline(cell->nodes[node].log) <= cell->now) {
            cell_fire(cell, node);
        }
    }
    if (chance(cell, 3) && cell->nodes[node].number > 0) {
        cell_event(cell, node, TN_LOG_EVENT_CANCEL,
                   1 + cell_random(cell, cell->nodes[node].number));
    }
}

/* The lease goes to a voter of the newest configuration that anybody knows. */
static void give_lease(struct log_cell *cell, uint64_t token)
{
    uint32_t best = 0;
    for (uint32_t i = 0; i < cell->nodes_count; i++) {
        best = cell->nodes[i].committed > cell->nodes[best].committed ? i : best;
    }
    tn_member_set voters = log_cell_status(cell, best).voters;
    uint32_t owner = (uint32_t)cell_random(cell, cell->nodes_count);
    while ((voters >> owner & 1U) == 0 || is_damaged(cell, owner)) {
        owner = (owner + 1) % cell->nodes_count;
    }
    for (uint32_t i = 0; i < cell->nodes_count; i++) {
        cell_tenure(cell, i, token, i == owner ? cell->now + 3600 * TN_SECOND : 0);
        cell_event(cell, i, TN_LOG_EVENT_LEADER, owner);
    }
}

static void calm(struct log_cell *cell, const struct weather *weather, uint64_t *token)
{
    cell->slow_disks = false;
    for (uint32_t i = 0; i < cell->nodes_count; i++) {
        if (cell->nodes[i].log == NULL) {
            log_cell_start(cell, i);
        }
    }
    for (uint32_t i = 0; i < cell->nodes_count; i++) {
        cell_event(cell, i, TN_LOG_EVENT_STORE_FULL, 0);
    }
    cell_writes_done(cell);
    for (uint32_t round = 0; round < 6; round++) { /* a change may take the leader its vote */
        if (weather->mode == TN_LOG_MODE_LEASED) {
            give_lease(cell, ++*token);
        }
        cell_run(cell, cell->now + 10 * TN_SECOND);
        cell_propose(cell, 0, 1);
    }
    cell_run(cell, cell->now + 20 * TN_SECOND);
}

static void play(const struct weather *weather, uint64_t seed)
{
    struct tn_log_options base = {
        .mode = weather->mode, .window_slots = weather->window, .retain_slots = weather->retain};
    struct log_cell *cell = cell_new(weather->nodes, &base);
    cell->twins = seed % 4 == 0;
    uint64_t token = 0;
    cell->random = seed;
    cell->slow_disks = true;
    for (uint32_t i = 0; i < weather->steps; i++) {
        shake(cell, weather, &token);
        move_mail(cell, weather);
        move_mail(cell, weather);
        move_mail(cell, weather);
    }
    calm(cell, weather, &token);
    if (!cell_agrees(cell, 1)) {
        for (uint32_t i = 0; i < cell->nodes_count; i++) {
            struct tn_log_status status = log_cell_status(cell, i);
            print_message("# node %u state %u leader %u committed %llu of %llu waiting %u\n", i,
                          status.state, status.leader, (unsigned long long)status.committed,
                          (unsigned long long)cell->committed, status.waiting);
        }
        fail_msg("seed %llu: the members do not agree in the end", (unsigned long long)seed);
    }
    for (uint32_t i = 0; i < cell->nodes_count; i++) {
        struct cell_node *node = &cell->nodes[i];
        for (uint64_t n = 1; n <= node->number; n++) {
            if (node->proposals[n].fate == CELL_ASKED) {
                fail_msg("seed %llu: proposal %llu of node %u came to nothing",
                         (unsigned long long)seed, (unsigned long long)n, i);
            }
        }
        for (uint64_t n = 1; n <= node->reads_count; n++) {
            if (node->reads[n].done + node->reads[n].failed != 1) {
                fail_msg("seed %llu: read %llu of node %u was not answered",
                         (unsigned long long)seed, (unsigned long long)n, i);
            }
        }
        if (!cell_keeps_what_it_shows(cell, i)) {
            fail_msg("seed %llu: node %u leaks", (unsigned long long)seed, i);
        }
    }
    cell_free(cell);
}

static void play_many(const char *name, const struct weather *weather, uint64_t seeds)
{
    const char *first = getenv("TN_SEED");
    const char *count = getenv("TN_SEEDS");
    uint64_t begin = first != NULL ? strtoull(first, NULL, 10) : 1;
    uint64_t end = begin + (count != NULL ? strtoull(count, NULL, 10) : seeds);
    print_message("# %s: seeds %llu to %llu\n", name, (unsigned long long)begin,
                  (unsigned long long)end - 1);
    for (uint64_t seed = begin; seed < end; seed++) {
        if (getenv("TN_LOUD") != NULL) {
            print_message("# seed %llu\n", (unsigned long long)seed);
        }
        play(weather, seed);
    }
}

static void three_members_under_a_lease_agree(void **state)
{
    (void)state;
    struct weather weather = {3, TN_LOG_MODE_LEASED, 3000, 30, 20, 100, 4, 15, 8, 16, 0, 0, 0};
    play_many("leased, 3", &weather, 40);
}

static void five_members_under_a_lease_agree(void **state)
{
    (void)state;
    struct weather weather = {5, TN_LOG_MODE_LEASED, 3000, 50, 50, 200, 6, 15, 16, 64, 0, 0, 0};
    play_many("leased, 5", &weather, 20);
}

static void three_members_without_a_lease_agree(void **state)
{
    (void)state;
    struct weather weather = {3, TN_LOG_MODE_FREE, 3000, 30, 20, 100, 4, 0, 8, 16, 0, 0, 0};
    play_many("free, 3", &weather, 40);
}

static void five_members_without_a_lease_agree(void **state)
{
    (void)state;
    struct weather weather = {5, TN_LOG_MODE_FREE, 3000, 50, 50, 200, 6, 0, 16, 32, 0, 0, 0};
    play_many("free, 5", &weather, 20);
}

static void members_that_lose_their_slots_agree(void **state)
{
    (void)state;
    struct weather three = {3, TN_LOG_MODE_LEASED, 3000, 20, 20, 100, 4, 15, 8, 16, 500, 0, 0};
    play_many("damaged, 3", &three, 20);
    struct weather five = {5, TN_LOG_MODE_LEASED, 3000, 30, 20, 100, 6, 15, 8, 32, 500, 0, 0};
    play_many("damaged, 5", &five, 20);
}

static void members_whose_configuration_changes_agree(void **state)
{
    (void)state;
    struct weather leased = {5, TN_LOG_MODE_LEASED, 3000, 20, 20, 100, 4, 15, 8, 32, 0, 20, 0};
    play_many("changing, leased", &leased, 20);
    struct weather free = {5, TN_LOG_MODE_FREE, 3000, 20, 20, 100, 4, 0, 8, 32, 0, 20, 0};
    play_many("changing, free", &free, 20);
}

static void members_whose_disks_fill_up_agree(void **state)
{
    (void)state;
    struct weather leased = {3, TN_LOG_MODE_LEASED, 3000, 20, 20, 100, 4, 15, 8, 32, 0, 0, 30};
    play_many("full, leased", &leased, 15);
    struct weather free = {3, TN_LOG_MODE_FREE, 3000, 20, 20, 100, 4, 0, 8, 32, 0, 0, 30};
    play_many("full, free", &free, 15);
}

static void a_member_alone_agrees_with_itself(void **state)
{
    (void)state;
    struct weather weather = {1, TN_LOG_MODE_FREE, 2000, 0, 0, 0, 10, 0, 8, 16, 0, 0, 0};
    play_many("alone", &weather, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_members_under_a_lease_agree),
        cmocka_unit_test(five_members_under_a_lease_agree),
        cmocka_unit_test(three_members_without_a_lease_agree),
        cmocka_unit_test(five_members_without_a_lease_agree),
        cmocka_unit_test(members_that_lose_their_slots_agree),
        cmocka_unit_test(members_whose_configuration_changes_agree),
        cmocka_unit_test(members_whose_disks_fill_up_agree),
        cmocka_unit_test(a_member_alone_agrees_with_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
