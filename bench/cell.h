/* A cell of three processes on loopback, for benchmarks: fork first, threads after.
 *
 * The parent never has a node of its own; it forks members, reads what they report from a shared
 * page, and ends them. Each member runs `run(member, page)` and never returns from it. */
#ifndef TN_BENCH_CELL_H
#define TN_BENCH_CELL_H

#include <stdatomic.h>
#include <sys/types.h>

#include <tenure/node.h>

#define CELL_MEMBERS 3U
#define CELL_EVENTS_MAX 65536U
#define CELL_PINGS_KEPT 64U

/* Something that happened at a member, on the clock that all processes share. */
struct cell_event {
    _Atomic uint64_t at; /* CLOCK_BOOTTIME, ns; 0: not written yet */
    uint64_t token;
    uint64_t deadline;
    uint32_t member;
    uint32_t kind; /* enum tn_notice_kind */
};

struct cell_page {
    _Atomic uint64_t cpu_ns[CELL_MEMBERS]; /* as each member last said */
    _Atomic uint64_t renewals[CELL_MEMBERS];
    _Atomic uint32_t owned[CELL_MEMBERS];
    _Atomic uint32_t connected[CELL_MEMBERS];
    _Atomic uint32_t go; /* a word from the parent */
    _Atomic uint32_t pings_count;
    _Atomic uint64_t ping_ns[CELL_PINGS_KEPT]; /* the last round trips of any two, in a ring */
    _Atomic uint32_t events_count;
    struct cell_event events[CELL_EVENTS_MAX];
};

struct cell {
    struct cell_page *page;
    pid_t pids[CELL_MEMBERS]; /* 0: down */
    char dir[256];
    uint16_t ports[CELL_MEMBERS];
    uint32_t by_thread; /* bits: members whose log a thread writes */
    struct tn_node_table table;
    void (*run)(struct cell *cell, uint32_t member, bool first);
};

/* Make the directory and the page, choose ports. Members are started by cell_start_member(). */
void cell_make(struct cell *cell, const struct tn_lease_table_options *table,
               void (*run)(struct cell *cell, uint32_t member, bool first));

void cell_start_member(struct cell *cell, uint32_t member, bool first);
void cell_kill_member(struct cell *cell, uint32_t member);

/* End every member, remove the directory. */
void cell_end(struct cell *cell);

/* In a member: open its node, with these callbacks. Exits with a message if that fails. */
struct tn_node *cell_open_node(struct cell *cell, uint32_t member, bool first,
                               void (*on_notice)(struct tn_node *node,
                                                 const struct tn_notice *notice, void *data),
                               void *data);

/* In a member: say how it is, once; call it now and then. */
void cell_report(struct cell *cell, uint32_t member, struct tn_node *node);

/* In a member: write an event into the page. */
void cell_record(struct cell *cell, uint32_t member, const struct tn_notice *notice);

uint64_t cell_now_ns(void);
void cell_sleep_ms(uint32_t ms);
double cell_cpu_seconds(void);

/* Sort in place; the p-th permille of sorted values. */
void cell_sort(double *values, uint32_t count);
double cell_permille(const double *sorted, uint32_t count, uint32_t permille);

#endif
