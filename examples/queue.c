/* A work queue (tenure/group.h): each process puts a job in and takes one out, every second. A job
 * is handed to one process alone, whoever asks, and in the order in which jobs came:
 *
 *   P=127.0.0.1:7301,127.0.0.1:7302,127.0.0.1:7303
 *   for i in 1 2 3; do queue --id $i --peers $P --data-dir /tmp/queue$i & done; wait
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tenure/tenure.h>

#define JOBS_MAX 1024U

struct queue {
    char jobs[JOBS_MAX][32]; /* of the applier's thread alone */
    uint64_t put, taken;
};

/* "+TEXT" puts a job in, "-" takes the oldest one out. */
static int execute(void *data, const struct tn_execution *execution)
{
    struct queue *queue = data;
    const char *bytes = execution->bytes;
    size_t count = execution->bytes_count;
    if (count >= 1 && count <= 32 && bytes[0] == '+' && queue->put - queue->taken < JOBS_MAX) {
        char *job = queue->jobs[queue->put++ % JOBS_MAX];
        memset(job, 0, sizeof(queue->jobs[0]));
        memcpy(job, bytes + 1, count - 1);
        tn_execution_reply(execution, "put", 4);
    } else if (count == 1 && bytes[0] == '-' && queue->taken < queue->put) {
        const char *job = queue->jobs[queue->taken++ % JOBS_MAX];
        tn_execution_reply(execution, job, strlen(job) + 1);
    } else {
        tn_execution_reply(execution, "", 1); /* empty, or full, or not understood */
    }
    return TN_EXECUTED;
}

static int ask(struct tn_group *group, const char *text, char *reply, size_t reply_bytes)
{
    const struct tn_propose_options options = {.machine = 1};
    int error =
        tn_group_propose_wait(group, text, strlen(text), &options, reply, reply_bytes, NULL);
    if (error != TN_OK) {
        printf("%s: %s\n", text, tn_strerror(error));
    }
    return error;
}

static void put_and_take(struct tn_group *group)
{
    static unsigned number;
    char job[32], reply[32] = "";
    snprintf(job, sizeof(job), "+job %u of %ld", ++number, (long)getpid());
    ask(group, job, reply, sizeof(reply));
    if (ask(group, "-", reply, sizeof(reply)) == TN_OK && reply[0] != '\0') {
        printf("took %s\n", reply);
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
    fprintf(stderr, "usage: queue --id N --peers HOST:PORT,... --data-dir DIR [--every MS]\n");
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
    struct tn_node_options options = {.cluster = "queue", .members = members, .bootstrap = 1};
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

    static struct queue queue;
    struct tn_state_machine machine = {.id = 1, .data = &queue, .execute = execute};
    struct tn_group_options group_options = {.machines = &machine, .machines_count = 1};
    struct tn_node *node = NULL;
    struct tn_group *group = NULL;
    char why[256];
    int error = tn_node_open(&node, &options, why, sizeof(why));
    if (error == TN_OK) {
        error = tn_group_open(node, &group_options, &group, why, sizeof(why));
    }
    if (error != TN_OK) {
        fprintf(stderr, "queue: %s\n", why);
        tn_node_close(node);
        return 1;
    }
    while (!stopping) {
        put_and_take(group);
        usleep((useconds_t)(every_ms * 1000));
    }
    tn_group_close(group);
    tn_node_close(node);
    return 0;
}
