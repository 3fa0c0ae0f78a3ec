/* Three processes with groups on loopback, for benchmarks of the log (cell.h makes the processes).
 *
 * Every member opens the same groups. The member that leads the first one runs the load on all of
 * them when the parent says so, and puts the result on the page. */
#ifndef TN_BENCH_LOG_CELL_H
#define TN_BENCH_LOG_CELL_H

#include <stdbool.h>

#include "cell.h"
#include "load.h"

/* An order of the parent, carried out by the member it names. */
struct log_order {
    uint32_t in_flight;
    uint32_t value_bytes;
    uint32_t groups;   /* proposals go round robin over so many */
    uint32_t watching; /* it ends when the watched member has executed enough, too */
    uint32_t quick;    /* 1: to the last group alone, which executes on the loop */
    uint32_t reserved;
    double seconds;
};

struct log_page {
    struct log_order order;
    _Atomic uint32_t order_number; /* rising; the leader answers with the same */
    _Atomic uint32_t done_number;
    _Atomic uint32_t enough;    /* 1: the watched member has executed enough */
    _Atomic uint32_t leader;    /* index + 1 of the member that leads group 0; 0: nobody */
    _Atomic uint32_t report_ms; /* how often members say how they are */
    _Atomic uint64_t slow_ns[CELL_MEMBERS];
    _Atomic uint64_t cpu_ns[CELL_MEMBERS];   /* of the last order, from its beginning to its end */
    _Atomic uint64_t executed[CELL_MEMBERS]; /* of group 0 */
    _Atomic uint64_t turns[CELL_MEMBERS];    /* of the loop, since the member started */
    _Atomic uint64_t batches[CELL_MEMBERS];  /* written to the log, likewise */
    struct load_result result;
};

struct log_cell {
    struct cell cell;
    struct log_page *page;
    uint32_t groups;
    bool quick_last;
    /* While an order is carried out: when `watched` has executed so much of group 0; 0: not yet. */
    uint32_t watched;
    uint64_t watched_target;
    uint64_t watched_at;
};

/* Start three members with `groups` groups (quick_last: is the last of them quick?), wait until
 * member 0 leads them all. Those whose bits are set in `by_thread` write their log by a thread. */
void log_cell_start(struct log_cell *cell, uint32_t groups, bool quick_last, uint32_t by_thread);

struct log_result {
    struct load_result load;
    double cpu_us;     /* of a proposal, summed over the three processes */
    double a_turn;     /* proposals a turn of the leader's loop */
    double a_batch[2]; /* proposals a batch written by the leader, and by member 1 */
};

/* Give an order, wait for its end. */
void log_cell_order(struct log_cell *cell, const struct log_order *order,
                    struct log_result *result);

/* What the member's process has used since it began. */
uint64_t log_cell_cpu_ns(const struct log_cell *cell, uint32_t member);

/* 1: member 0 writes its log directly, past the page cache. */
uint32_t log_cell_direct(const struct log_cell *cell);

void log_cell_end(struct log_cell *cell);

#endif
