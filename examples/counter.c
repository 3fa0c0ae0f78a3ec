/* A counter that several processes share (tenure/group.h): each adds 1 every second and shows what
 * the log made of it. No addition is lost, none counts twice, and all see the same totals:
 *
 *   P=127.0.0.1:7101,127.0.0.1:7102,127.0.0.1:7103
 *   for i in 1 2 3; do counter --id $i --peers $P --data-dir /tmp/counter$i & done; wait
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tenure/tenure.h>

struct counter {
    int64_t total; /* of the applier's thread alone */
};

/* Every member executes every addition, in the same order: the totals agree. */
static int execute(void *data, const struct tn_execution *execution)
{
    struct counter *counter = data;
    int64_t add = 0;
    if (execution->bytes_count == sizeof(add)) {
        memcpy(&add, execution->bytes, sizeof(add));
    }
    counter->total += add;
    tn_execution_reply(execution, &counter->total, sizeof(counter->total));
    return TN_EXECUTED;
}

static void add_one(struct tn_group *group)
{
    const struct tn_propose_options options = {.machine = 1};
    struct tn_proposal_result result;
    int64_t one = 1, total = 0;
    int error =
        tn_group_propose_wait(group, &one, sizeof(one), &options, &total, sizeof(total), &result);
    if (error == TN_OK) {
        printf("total %lld, slot %llu\n", (long long)total, (unsigned long long)result.slot);
    } else if (tn_proposal_error_is_final(error)) {
        printf("not added: %s\n", tn_strerror(error));
    } else {
        printf("perhaps added: %s\n", tn_strerror(error));
    }
    fflush(stdout);
}

static volatile sig_atomic_t stopping;

static void on_signal(int number)
{
    stopping = number;
}

static int usage(void)
{
    fprintf(stderr, "usage: counter --id N --peers HOST:PORT,... --data-dir DIR [--every MS]\n");
    return 2;
}

/* The list of peers, which is cut up in place: member N is the Nth address. */
static uint32_t split(char *peers, struct tn_node_member *members)
{
    static char names[TN_MEMBERS_MAX][4];
    uint32_t count = 0;
    for (char *rest = peers, *one; (one = strsep(&rest, ",")) != NULL;) {
        if (count == TN_MEMBERS_MAX || strchr(one, ':') == NULL) {
            return 0;
        }
        snprintf(names[count], sizeof(names[count]), "%u", (unsigned)(count + 1) % 100U);
        members[count] = (struct tn_node_member){.name = names[count], .peer_address = one};
        count++;
    }
    return count;
}

int main(int argc, char **argv)
{
    struct tn_node_member members[TN_MEMBERS_MAX];
    /* Bootstrap: whoever starts these examples vouches that an empty directory never voted. */
    struct tn_node_options options = {.cluster = "counter", .members = members, .bootstrap = 1};
    unsigned long id = 0, every_ms = 1000;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--id") == 0) {
            id = strtoul(argv[i + 1], NULL, 10);
        } else if (strcmp(argv[i], "--peers") == 0) {
            options.members_count = split(argv[i + 1], members);
        } else if (strcmp(argv[i], "--data-dir") == 0) {
            options.data_dir = argv[i + 1];
        } else if (strcmp(argv[i], "--every") == 0) {
            every_ms = strtoul(argv[i + 1], NULL, 10);
        } else {
            return usage();
        }
    }
    if (id < 1 || id > options.members_count || options.data_dir == NULL || argc % 2 == 0) {
        return usage();
    }
    options.name = members[id - 1].name;
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);

    struct counter counter = {0};
    struct tn_state_machine machine = {.id = 1, .data = &counter, .execute = execute};
    struct tn_group_options group_options = {.machines = &machine, .machines_count = 1};
    struct tn_node *node = NULL;
    struct tn_group *group = NULL;
    char why[256];
    int error = tn_node_open(&node, &options, why, sizeof(why));
    if (error == TN_OK) {
        error = tn_group_open(node, &group_options, &group, why, sizeof(why));
    }
    if (error != TN_OK) {
        fprintf(stderr, "counter: %s\n", why);
        tn_node_close(node);
        return 1;
    }
    while (!stopping) {
        add_one(group);
        usleep((useconds_t)(every_ms * 1000));
    }
    tn_group_close(group);
    tn_node_close(node);
    return 0;
}
