/* A cell of three processes on loopback; the header tells the shape. */
#define _GNU_SOURCE
#include "cell.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void die(const char *what)
{
    fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

uint64_t cell_now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_BOOTTIME, &time);
    return (uint64_t)time.tv_sec * TN_SECOND + (uint64_t)time.tv_nsec;
}

double cell_cpu_seconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

void cell_sleep_ms(uint32_t ms)
{
    struct timespec time = {ms / 1000, (long)(ms % 1000) * 1000000L};
    while (nanosleep(&time, &time) != 0 && errno == EINTR) {
    }
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void cell_sort(double *values, uint32_t count)
{
    qsort(values, count, sizeof(values[0]), compare_doubles);
}

double cell_permille(const double *sorted, uint32_t count, uint32_t permille)
{
    return count == 0 ? 0 : sorted[(uint64_t)(count - 1) * permille / 1000];
}

/* A port that is free now: bound to 0, asked, closed. */
static uint16_t free_port(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof(address);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &length) != 0) {
        die("a free port");
    }
    close(fd);
    return ntohs(address.sin_port);
}

void cell_make(struct cell *cell, const struct tn_lease_table_options *table,
               void (*run)(struct cell *cell, uint32_t member, bool first))
{
    *cell = (struct cell){.run = run, .table = {.name = "bench", .options = *table}};
    cell->page =
        mmap(NULL, sizeof(*cell->page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    const char *base = getenv("TMPDIR");
    snprintf(cell->dir, sizeof(cell->dir), "%s/tenure-bench.XXXXXX", base != NULL ? base : "/tmp");
    if (cell->page == MAP_FAILED || mkdtemp(cell->dir) == NULL) {
        die("a place for the cell");
    }
    for (uint32_t i = 0; i < CELL_MEMBERS; i++) {
        cell->ports[i] = free_port();
    }
}

void cell_start_member(struct cell *cell, uint32_t member, bool first)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
        die("fork");
    }
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a member does not outlive the benchmark */
        cell->run(cell, member, first);
        _exit(0);
    }
    cell->pids[member] = pid;
}

void cell_kill_member(struct cell *cell, uint32_t member)
{
    if (cell->pids[member] > 0) {
        kill(cell->pids[member], SIGKILL);
        waitpid(cell->pids[member], NULL, 0);
        cell->pids[member] = 0;
    }
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status;
    (void)kind;
    (void)place;
    return remove(path);
}

void cell_end(struct cell *cell)
{
    for (uint32_t i = 0; i < CELL_MEMBERS; i++) {
        cell_kill_member(cell, i);
    }
    if (nftw(cell->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS) != 0) {
        fprintf(stderr, "bench: %s is left behind: %s\n", cell->dir, strerror(errno));
    }
    munmap(cell->page, sizeof(*cell->page));
}

static void on_log(enum tn_log_level level, const char *text, void *data)
{
    (void)data;
    if (level == TN_LOG_ERROR) {
        fprintf(stderr, "bench: %s\n", text);
    }
}

struct tn_node *cell_open_node(struct cell *cell, uint32_t member, bool first,
                               void (*on_notice)(struct tn_node *node,
                                                 const struct tn_notice *notice, void *data),
                               void *data)
{
    static const char *const names[CELL_MEMBERS] = {"a", "b", "c"};
    struct tn_node_member members[CELL_MEMBERS];
    char addresses[CELL_MEMBERS][32];
    char dir[sizeof(cell->dir) + 16];
    for (uint32_t i = 0; i < CELL_MEMBERS; i++) {
        snprintf(addresses[i], sizeof(addresses[i]), "127.0.0.1:%u", (unsigned)cell->ports[i]);
        members[i] = (struct tn_node_member){.name = names[i], .peer_address = addresses[i]};
    }
    snprintf(dir, sizeof(dir), "%s/%u", cell->dir, member);
    struct tn_node_options options = {.name = names[member],
                                      .cluster = "bench",
                                      .members = members,
                                      .members_count = CELL_MEMBERS,
                                      .tables = &cell->table,
                                      .tables_count = 1,
                                      .bootstrap = first,
                                      .data_dir = dir,
                                      .log_by_thread = cell->by_thread >> member & 1,
                                      .on_notice = on_notice,
                                      .on_log = on_log,
                                      .data = data};
    struct tn_node *node = NULL;
    char why[256];
    if (tn_node_open(&node, &options, why, sizeof(why)) != TN_OK) {
        fprintf(stderr, "bench: member %s: %s\n", names[member], why);
        _exit(1);
    }
    return node;
}

void cell_report(struct cell *cell, uint32_t member, struct tn_node *node)
{
    static struct tn_node_status status;
    if (tn_node_status(node, &status) != TN_OK) {
        return;
    }
    struct cell_page *page = cell->page;
    atomic_store(&page->cpu_ns[member], (uint64_t)(cell_cpu_seconds() * 1e9));
    atomic_store(&page->renewals[member], status.lease_counters.renewals);
    atomic_store(&page->owned[member], status.lease.owned_count);
    atomic_store(&page->connected[member], status.connected_count);
}

void cell_record(struct cell *cell, uint32_t member, const struct tn_notice *notice)
{
    uint32_t at = atomic_fetch_add(&cell->page->events_count, 1);
    if (at >= CELL_EVENTS_MAX) {
        return;
    }
    struct cell_event *event = &cell->page->events[at];
    event->member = member;
    event->kind = notice->kind;
    event->token = notice->token;
    event->deadline = notice->deadline;
    atomic_store(&event->at, cell_now_ns());
}
