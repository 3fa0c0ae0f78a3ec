/* One member of a replicated store of registers, and its clients, for log.test.py.
 *
 * Threads read, put and compare-and-swap registers through group 0 and journal each operation: when
 * it was called and, if it returned, when and with what. The machine journals what it executes, so
 * the log itself tells where an operation of unknown outcome stands. Each line is one write() to a
 * file opened for appending: what was journalled survives kill -9. The argument of an operation is
 * its name: the clock shifted by the client's number, so it is never used twice.
 *
 *   c OP KIND KEY EXPECTED CLIENT NS   called          r OP RESULT SLOT NS   returned
 *   f OP                               not chosen      e SLOT OP             executed here
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <tenure/tenure.h>

#include "check/linear.h"

#define KEYS 32U
#define CLIENTS 4U
#define PAUSE_NS 8000000L

struct operation {
    uint64_t name;
    uint64_t expected;
    uint32_t kind; /* enum tn__linear_kind */
    uint32_t key;
    uint8_t rest[2000]; /* so that the log fills its segments */
};

static struct {
    int journal;
    uint32_t id;
    struct tn_group *group;
    /* Of the applier's thread alone. */
    uint64_t values[KEYS];
    uint64_t executed;
} member;

static uint64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_BOOTTIME, &time); /* the one that all processes share */
    return (uint64_t)time.tv_sec * 1000000000U + (uint64_t)time.tv_nsec;
}

__attribute__((format(printf, 1, 2))) static void note(const char *format, ...)
{
    char line[160];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    if (length <= 0 || write(member.journal, line, (size_t)length) != length) {
        fprintf(stderr, "log_member: the journal cannot be written\n");
        abort();
    }
}

static int execute(void *data, const struct tn_execution *execution)
{
    (void)data;
    struct operation operation;
    uint64_t result = 1;
    if (execution->bytes_count != sizeof(operation)) {
        abort(); /* nobody proposes such a value */
    }
    memcpy(&operation, execution->bytes, sizeof(operation));
    uint64_t *value = &member.values[operation.key % KEYS];
    if (operation.kind == TN_LINEAR_SWAP) {
        result = *value == operation.expected;
    }
    if (result != 0) {
        *value = operation.name;
    }
    member.executed = execution->slot;
    note("e %llu %llu\n", (unsigned long long)execution->slot, (unsigned long long)operation.name);
    tn_execution_reply(execution, &result, sizeof(result));
    return TN_EXECUTED;
}

/* ---- Clients --------------------------------------------------------------------------------- */

struct reading {
    pthread_mutex_t mutex;
    pthread_cond_t ended;
    bool done;
    int error;
    uint32_t key;
    uint64_t value;
    uint64_t slot;
};

/* Between two executions: the register is what it was at the last of them. */
static void on_read(void *data, const struct tn_read_result *result)
{
    struct reading *reading = data;
    pthread_mutex_lock(&reading->mutex);
    reading->error = result->error;
    if (result->error == TN_OK) {
        reading->value = member.values[reading->key];
        reading->slot = result->slot > member.executed ? result->slot : member.executed;
    }
    reading->done = true;
    pthread_cond_signal(&reading->ended);
    pthread_mutex_unlock(&reading->mutex);
}

static void read_once(const struct operation *operation)
{
    struct reading reading = {.mutex = PTHREAD_MUTEX_INITIALIZER,
                              .ended = PTHREAD_COND_INITIALIZER,
                              .key = operation->key};
    int error = tn_group_read(member.group, TN_READ_QUORUM, 2 * TN_SECOND, on_read, &reading);
    pthread_mutex_lock(&reading.mutex);
    while (error == TN_OK && !reading.done) {
        pthread_cond_wait(&reading.ended, &reading.mutex);
    }
    pthread_mutex_unlock(&reading.mutex);
    if (error != TN_OK || reading.error != TN_OK) {
        note("f %llu\n", (unsigned long long)operation->name);
        return;
    }
    note("r %llu %llu %llu %llu\n", (unsigned long long)operation->name,
         (unsigned long long)reading.value, (unsigned long long)reading.slot,
         (unsigned long long)now_ns());
}

static void write_once(const struct operation *operation)
{
    const struct tn_propose_options options = {.machine = 1, .timeout_ns = 2 * TN_SECOND};
    struct tn_proposal_result told;
    uint64_t result = 0;
    int error = tn_group_propose_wait(member.group, operation, sizeof(*operation), &options,
                                      &result, sizeof(result), &told);
    if (error == TN_OK) {
        note("r %llu %llu %llu %llu\n", (unsigned long long)operation->name,
             (unsigned long long)result, (unsigned long long)told.slot,
             (unsigned long long)now_ns());
    } else if (tn_proposal_error_is_final(error)) {
        note("f %llu\n", (unsigned long long)operation->name);
    }
}

static void *run_client(void *argument)
{
    uint32_t client = member.id * CLIENTS + (uint32_t)(uintptr_t)argument;
    unsigned seed = (unsigned)now_ns() + client;
    uint64_t seen[KEYS] = {0}; /* what this client last put, for swaps that may succeed */
    struct timespec pause = {0, PAUSE_NS};
    for (;;) {
        uint32_t draw = (uint32_t)rand_r(&seed);
        struct operation operation = {
            .name = now_ns() << 6 | client,
            .key = draw / 16 % KEYS,
            .kind = draw % 4 < 2    ? TN_LINEAR_READ
                    : draw % 4 == 2 ? TN_LINEAR_PUT
                                    : TN_LINEAR_SWAP,
        };
        operation.expected = operation.kind == TN_LINEAR_SWAP ? seen[operation.key] : 0;
        note("c %llu %u %u %llu %u %llu\n", (unsigned long long)operation.name, operation.kind,
             operation.key, (unsigned long long)operation.expected, client,
             (unsigned long long)now_ns());
        if (operation.kind == TN_LINEAR_READ) {
            read_once(&operation);
        } else {
            write_once(&operation);
            seen[operation.key] = operation.name;
        }
        nanosleep(&pause, NULL);
    }
    return NULL;
}

/* ---- The member ------------------------------------------------------------------------------ */

static void on_log(enum tn_log_level level, const char *text, void *data)
{
    (void)data;
    fprintf(stderr, "%d %s\n", (int)level, text);
}

static uint32_t split(char *peers, struct tn_node_member *members)
{
    static char names[TN_MEMBERS_MAX][16];
    uint32_t count = 0;
    for (char *rest = peers, *one; count < TN_MEMBERS_MAX && (one = strsep(&rest, ",")) != NULL;) {
        snprintf(names[count], sizeof(names[count]), "n%u", count + 1);
        members[count] = (struct tn_node_member){.name = names[count], .peer_address = one};
        count++;
    }
    return count;
}

static int open_group(struct tn_node *node, char *why, size_t why_size)
{
    struct tn_state_machine machine = {.id = 1, .execute = execute};
    struct tn_group_options options = {
        .machines = &machine, .machines_count = 1, .lease_table = "leader"};
    return tn_group_open(node, &options, &member.group, why, why_size);
}

int main(int argc, char **argv)
{
    struct tn_node_member members[TN_MEMBERS_MAX];
    const struct tn_node_table table = {.name = "leader", .options.proposer_ns = TN_SECOND};
    struct tn_node_options options = {.cluster = "registers",
                                      .members = members,
                                      .tables = &table,
                                      .tables_count = 1,
                                      .log_segment_bytes = 1U << 20,
                                      .on_log = on_log};
    if (argc != 6) {
        fprintf(stderr, "usage: log_member ID PEER,PEER,... DIRECTORY JOURNAL BOOTSTRAP\n");
        return 2;
    }
    member.id = (uint32_t)strtoul(argv[1], NULL, 10);
    options.members_count = split(argv[2], members);
    options.data_dir = argv[3];
    options.bootstrap = argv[5][0] == '1';
    member.journal = open(argv[4], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (member.id < 1 || member.id > options.members_count || member.journal < 0) {
        fprintf(stderr, "log_member: no such member, or no journal\n");
        return 2;
    }
    options.name = members[member.id - 1].name;
    struct tn_node *node = NULL;
    char why[256] = "";
    int error = tn_node_open(&node, &options, why, sizeof(why));
    if (error == TN_OK) {
        error = open_group(node, why, sizeof(why));
    }
    if (error != TN_OK) {
        fprintf(stderr, "log_member: %s: %s\n", tn_err_name(error), why);
        return 1;
    }
    pthread_t threads[CLIENTS];
    for (uint32_t i = 0; i < CLIENTS; i++) {
        if (pthread_create(&threads[i], NULL, run_client, (void *)(uintptr_t)i) != 0) {
            return 1;
        }
    }
    pthread_join(threads[0], NULL); /* clients run until the process is killed */
    return 0;
}
