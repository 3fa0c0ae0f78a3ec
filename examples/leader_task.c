/* A task that only the leader does, on the ready-made runtime (tenure/node.h).
 *
 *   leader_task                                  a cell of one, nothing durable, three rounds
 *   leader_task ME DIR NAME=HOST:PORT...         a member of a cell: all members list all of them;
 *                                                with BOOTSTRAP=1 in the environment at the very
 *                                                first start, since an empty DIR does not vote
 *
 * The task asks before each small act whether it still leads, and hands the fencing token to what
 * it acts on. With DIR the token rises from leader to leader; without, it is 0 and none is offered.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <tenure/tenure.h>

#define ROUNDS 3

static void log_line(enum tn_log_level level, const char *text, void *data)
{
    (void)data;
    if (level <= TN_LOG_WARNING) {
        fprintf(stderr, "leader_task: %s\n", text);
    }
}

/* One small act, much shorter than the lease. A real one passes the token on. */
static void act(unsigned round, uint64_t token)
{
    printf("round %u as the leader, token %llu\n", round, (unsigned long long)token);
    fflush(stdout);
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
}

static int run_task(struct tn_node *node)
{
    struct tn_node_lease *lease = NULL;
    int error = tn_node_lease_open(node, "leader", "the-task", NULL, &lease);
    unsigned round = 0;
    while (error == TN_OK && round < ROUNDS) {
        error = tn_node_lease_wait(lease, TN_TIME_NEVER);
        uint64_t token = 0;
        while (round < ROUNDS && tn_node_lease_owned(lease, &token, NULL)) {
            act(++round, token);
        }
    }
    tn_node_lease_close(lease); /* releases it: the next leader need not wait */
    return error;
}

int main(int argc, char **argv)
{
    struct tn_node_member members[TN_MEMBERS_MAX] = {0};
    struct tn_node_options options = {.on_log = log_line};
    if (argc == 2 || argc - 3 > TN_MEMBERS_MAX) {
        fprintf(stderr, "usage: leader_task [ME DIR NAME=HOST:PORT...]\n");
        return 2;
    }
    if (argc > 3) {
        options.name = argv[1];
        options.data_dir = argv[2];
        options.bootstrap = getenv("BOOTSTRAP") != NULL;
        options.members = members;
        for (int i = 3; i < argc; i++) {
            char *address = strchr(argv[i], '=');
            if (address == NULL) {
                fprintf(stderr, "leader_task: %s is not NAME=HOST:PORT\n", argv[i]);
                return 2;
            }
            *address++ = '\0';
            members[options.members_count].name = argv[i];
            members[options.members_count++].peer_address = address;
        }
    }
    struct tn_node *node = NULL;
    char why[256];
    int error = tn_node_open(&node, &options, why, sizeof(why));
    if (error != TN_OK) {
        fprintf(stderr, "leader_task: %s\n", why);
        return 1;
    }
    error = run_task(node);
    if (error != TN_OK) {
        fprintf(stderr, "leader_task: %s\n", tn_strerror(error));
    }
    tn_node_close(node);
    return error == TN_OK ? 0 : 1;
}
