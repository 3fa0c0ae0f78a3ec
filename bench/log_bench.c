/* The log against the floor, in interleaved rounds: log_bench WHAT ROUNDS SECONDS.
 *
 *   flight N BYTES   N proposals in flight, one group: the floor; a machine that executes on an
 *                    applier, and (`quick_`) one that does on the loop
 *   alone N BYTES    the same without the floor, to look at with a profiler
 *   groups N [F]     F in flight over N groups, and over one [256]
 *   many N [F]       over N groups only, to look at with a profiler
 *   catchup BYTES    a member was away while a gibibyte (SECONDS 1: less) of such values came; how
 *                    fast it has them, and what others wait meanwhile, 16 in flight
 *   idle N           N groups without work: CPU of each member
 *   slow             256 in flight: all well; one replica's syncs 10 ms slower; one stopped
 * Each round prints one JSON object. Cells are started once and kept; the floor is started for each
 * round, and syncs as member 0 has chosen to. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "floor.h"
#include "log_cell.h"

static void print_load(const char *name, const struct load_result *load, double cpu_us)
{
    printf(", \"%srate\": %.0f, \"%sp10_us\": %.1f, \"%smedian_us\": %.1f, \"%sp99_us\": %.1f, "
           "\"%scpu_us\": %.3f",
           name, load->rate, name, load->p10_us, name, load->median_us, name, load->p99_us, name,
           cpu_us);
}

static void flight(uint32_t rounds, double seconds, uint32_t in_flight, uint32_t bytes, bool floor)
{
    struct log_cell cell;
    log_cell_start(&cell, 2, true, 0);
    uint32_t direct = log_cell_direct(&cell);
    for (uint32_t i = 0; i < rounds; i++) {
        struct floor_setting setting = {.dir = cell.cell.dir,
                                        .in_flight = in_flight,
                                        .value_bytes = bytes,
                                        .direct = direct,
                                        .seconds = seconds};
        struct log_order order = {
            .in_flight = in_flight, .value_bytes = bytes, .groups = 1, .seconds = seconds};
        struct floor_result least = {0};
        struct log_result log, quick;
        if (floor) {
            floor_run(&setting, &least);
        }
        log_cell_order(&cell, &order, &log);
        order.quick = 1;
        log_cell_order(&cell, &order, &quick);
        printf("{\"in_flight\": %u, \"bytes\": %u, \"direct\": %u, \"a_turn\": %.1f, "
               "\"a_batch\": %.1f, \"a_batch_of_follower\": %.1f",
               in_flight, bytes, direct, log.a_turn, log.a_batch[0], log.a_batch[1]);
        print_load("floor_", &least.load, least.cpu_us);
        print_load("", &log.load, log.cpu_us);
        print_load("quick_", &quick.load, quick.cpu_us);
        printf("}\n");
        fflush(stdout);
    }
    log_cell_end(&cell);
}

static void groups(uint32_t rounds, double seconds, uint32_t count, uint32_t in_flight,
                   bool compared)
{
    struct log_cell cell;
    log_cell_start(&cell, count, false, 0);
    for (uint32_t i = 0; i < rounds; i++) {
        struct log_result one = {0}, many;
        struct log_order order = {
            .in_flight = in_flight, .value_bytes = 100, .groups = 1, .seconds = seconds};
        if (compared) {
            log_cell_order(&cell, &order, &one);
        }
        order.groups = count;
        log_cell_order(&cell, &order, &many);
        printf("{\"groups\": %u, \"in_flight\": %u, \"rate_one\": %.0f, \"rate_many\": %.0f, "
               "\"median_one_us\": %.1f, "
               "\"median_many_us\": %.1f, \"cpu_one_us\": %.3f, \"cpu_many_us\": %.3f, "
               "\"a_batch_one\": %.1f, \"a_batch_many\": %.1f, \"a_turn_many\": %.1f}\n",
               count, in_flight, one.load.rate, many.load.rate, one.load.median_us,
               many.load.median_us, one.cpu_us, many.cpu_us, one.a_batch[0], many.a_batch[0],
               many.a_turn);
        fflush(stdout);
    }
    log_cell_end(&cell);
}

static void slow(uint32_t rounds, double seconds)
{
    struct log_cell cell;
    log_cell_start(&cell, 1, false, 1U << 2); /* only what calls pwrite() can be slowed */
    for (uint32_t i = 0; i < rounds; i++) {
        struct log_result well, slowed, stopped;
        struct log_order order = {
            .in_flight = 256, .value_bytes = 100, .groups = 1, .seconds = seconds};
        log_cell_order(&cell, &order, &well);
        atomic_store(&cell.page->slow_ns[2], 10 * TN_MILLISECOND);
        cell_sleep_ms(100);
        log_cell_order(&cell, &order, &slowed);
        atomic_store(&cell.page->slow_ns[2], 0);
        kill(cell.cell.pids[2], SIGSTOP);
        log_cell_order(&cell, &order, &stopped);
        kill(cell.cell.pids[2], SIGCONT);
        for (uint32_t tries = 0; tries < 3000; tries++) {
            if (atomic_load(&cell.page->executed[2]) + 4096 >=
                atomic_load(&cell.page->executed[0])) {
                break;
            }
            cell_sleep_ms(10);
        }
        printf("{\"rate\": %.0f, \"rate_slow\": %.0f, \"rate_stopped\": %.0f, \"median_us\": %.1f, "
               "\"median_slow_us\": %.1f, \"median_stopped_us\": %.1f}\n",
               well.load.rate, slowed.load.rate, stopped.load.rate, well.load.median_us,
               slowed.load.median_us, stopped.load.median_us);
        fflush(stdout);
    }
    log_cell_end(&cell);
}

/* Bytes a second that one writer has made durable in this directory, a mebibyte at a time. */
static double disk_rate(const char *dir)
{
    enum { PIECE = 1 << 20, PIECES = 256 };
    char path[128];
    void *piece = NULL;
    snprintf(path, sizeof(path), "%s/disk", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || posix_memalign(&piece, 4096, PIECE) != 0) {
        perror("log_bench: disk");
        exit(1);
    }
    memset(piece, 'd', PIECE);
    uint64_t began = cell_now_ns();
    for (uint32_t i = 0; i < PIECES; i++) {
        if (pwrite(fd, piece, PIECE, (off_t)i * PIECE) != PIECE) {
            perror("log_bench: disk");
            exit(1);
        }
    }
    fdatasync(fd);
    double taken = (double)(cell_now_ns() - began) / 1e9;
    close(fd);
    unlink(path);
    free(piece);
    return (double)PIECE * PIECES / taken;
}

/* The order of three with the median latency that lies between the others'. */
static struct load_result order_between(struct log_cell *cell, const struct log_order *order)
{
    struct load_result results[3];
    uint32_t count = 0;
    while (count < 3) {
        struct log_result result;
        log_cell_order(cell, order, &result);
        uint32_t at = count++;
        for (; at > 0 && results[at - 1].median_us > result.load.median_us; at--) {
            results[at] = results[at - 1];
        }
        results[at] = result.load;
    }
    return results[1];
}

/* Each round has a cell of its own: a member that was started anew executes all that it has, so
 * what earlier rounds left would count as caught up slowly. */
static void catch_up(double seconds, uint32_t bytes)
{
    struct log_cell cell;
    log_cell_start(&cell, 1, false, 0);
    uint64_t wanted = seconds <= 1 ? 128U << 20 : 1U << 30;
    double disk = disk_rate(cell.cell.dir);
    cell_kill_member(&cell.cell, 2);
    uint64_t first = atomic_load(&cell.page->executed[0]);
    while ((atomic_load(&cell.page->executed[0]) - first) * bytes < wanted) {
        struct log_order order = {
            .in_flight = 1024, .value_bytes = bytes, .groups = 1, .seconds = 1};
        struct log_result result;
        log_cell_order(&cell, &order, &result);
    }
    uint64_t loaded = atomic_load(&cell.page->executed[0]);
    struct log_order order = {.in_flight = 16, .value_bytes = 100, .groups = 1, .seconds = 1};
    struct load_result alone = order_between(&cell, &order);
    uint64_t behind = atomic_load(&cell.page->executed[0]);
    double missed = (double)(loaded - first) * bytes + (double)(behind - loaded) * 100;
    cell.watched = 2;
    cell.watched_target = behind;
    uint64_t began = cell_now_ns();
    cell_start_member(&cell.cell, 2, false);
    order.watching = 1;
    order.seconds = 120;
    struct log_result meanwhile;
    log_cell_order(&cell, &order, &meanwhile);
    bool done = cell.watched_at != 0;
    double taken = done ? (double)(cell.watched_at - began) / 1e9 : 0;
    printf("{\"bytes\": %u, \"entries\": %llu, \"seconds\": %.2f, \"rate\": %.0f, "
           "\"disk_rate\": %.0f, \"median_us\": %.1f, \"median_meanwhile_us\": %.1f, "
           "\"p99_us\": %.1f, \"p99_meanwhile_us\": %.1f, \"commits\": %.0f, "
           "\"commits_meanwhile\": %.0f}\n",
           bytes, (unsigned long long)(behind - first), taken, done ? missed / taken : 0, disk,
           alone.median_us, meanwhile.load.median_us, alone.p99_us, meanwhile.load.p99_us,
           alone.rate, meanwhile.load.rate);
    fflush(stdout);
    log_cell_end(&cell);
}

static void idle(uint32_t rounds, double seconds, uint32_t count)
{
    struct log_cell cell;
    log_cell_start(&cell, count, false, 0);
    atomic_store(&cell.page->report_ms, 500);
    cell_sleep_ms(2000);
    for (uint32_t i = 0; i < rounds; i++) {
        uint64_t before[CELL_MEMBERS];
        double percent[CELL_MEMBERS];
        uint64_t began = cell_now_ns();
        for (uint32_t j = 0; j < CELL_MEMBERS; j++) {
            before[j] = log_cell_cpu_ns(&cell, j);
        }
        cell_sleep_ms((uint32_t)(seconds * 1000));
        for (uint32_t j = 0; j < CELL_MEMBERS; j++) {
            percent[j] = 100.0 * (double)(log_cell_cpu_ns(&cell, j) - before[j]) /
                         (double)(cell_now_ns() - began);
        }
        printf("{\"groups\": %u, \"core_percent\": [%.2f, %.2f, %.2f]}\n", count, percent[0],
               percent[1], percent[2]);
        fflush(stdout);
    }
    log_cell_end(&cell);
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr,
                "usage: log_bench flight|alone|groups|many|catchup|idle|slow ROUNDS SECONDS [N "
                "[BYTES|F]]\n");
        return 2;
    }
    uint32_t rounds = (uint32_t)strtoul(argv[2], NULL, 10);
    double seconds = strtod(argv[3], NULL);
    uint32_t number = argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 10) : 256;
    uint32_t bytes = argc > 5 ? (uint32_t)strtoul(argv[5], NULL, 10) : 100;
    if (rounds == 0 || seconds <= 0 || number == 0 || number > 1024) {
        fprintf(stderr, "log_bench: ROUNDS and SECONDS are positive, N is 1 to 1024\n");
        return 2;
    }
    if (strcmp(argv[1], "flight") == 0 || strcmp(argv[1], "alone") == 0) {
        flight(rounds, seconds, number, bytes, argv[1][0] == 'f');
    } else if (strcmp(argv[1], "groups") == 0 || strcmp(argv[1], "many") == 0) {
        groups(rounds, seconds, number, argc > 5 ? bytes : 256, argv[1][0] == 'g');
    } else if (strcmp(argv[1], "catchup") == 0) {
        for (uint32_t i = 0; i < rounds; i++) {
            catch_up(seconds, number);
        }
    } else if (strcmp(argv[1], "idle") == 0) {
        idle(rounds, seconds, number);
    } else if (strcmp(argv[1], "slow") == 0) {
        slow(rounds, seconds);
    } else {
        fprintf(stderr,
                "log_bench: %s is none of flight, alone, groups, many, catchup, idle, slow\n",
                argv[1]);
        return 2;
    }
    return 0;
}
