/* A bank (tenure/group.h): several processes move money between accounts, none is made or lost. The
 * machine refuses what an account cannot pay. Then a linearizable read adds up all accounts:
 *
 *   P=127.0.0.1:7201,127.0.0.1:7202,127.0.0.1:7203
 *   for i in 1 2 3; do bank --id $i --peers $P --data-dir /tmp/bank$i & done; wait
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tenure/tenure.h>

#define ACCOUNTS 10
#define TOTAL (ACCOUNTS * 100)

struct transfer {
    uint32_t from, to;
    int64_t amount;
};

static int execute(void *data, const struct tn_execution *execution)
{
    int64_t *accounts = data; /* of the applier's thread alone */
    struct transfer transfer;
    bool paid = execution->bytes_count == sizeof(transfer);
    if (paid) {
        memcpy(&transfer, execution->bytes, sizeof(transfer));
        paid = transfer.from < ACCOUNTS && transfer.to < ACCOUNTS && transfer.amount > 0 &&
               accounts[transfer.from] >= transfer.amount;
    }
    if (paid) {
        accounts[transfer.from] -= transfer.amount;
        accounts[transfer.to] += transfer.amount;
    }
    tn_execution_reply(execution, paid ? "paid" : "refused", paid ? 5 : 8);
    return TN_EXECUTED;
}

/* Between two executions, on the applier's thread: nobody changes the accounts meanwhile. */
static void audit(void *data, const struct tn_read_result *result)
{
    const int64_t *accounts = data;
    int64_t sum = 0;
    for (uint32_t i = 0; i < ACCOUNTS; i++) {
        sum += accounts[i];
    }
    printf("slot %llu: %lld in all, %s\n", (unsigned long long)result->slot, (long long)sum,
           result->error != TN_OK ? tn_strerror(result->error)
           : sum == TOTAL         ? "right"
                                  : "WRONG");
}

static void transfer_once(struct tn_group *group, int64_t *accounts)
{
    const struct tn_propose_options options = {.machine = 1};
    const uint32_t dice = (uint32_t)random();
    struct transfer transfer = {dice % ACCOUNTS, dice / 16 % ACCOUNTS, dice / 256 % 50 + 1};
    char reply[16] = "";
    int error = tn_group_propose_wait(group, &transfer, sizeof(transfer), &options, reply,
                                      sizeof(reply), NULL);
    printf("%lld from %u to %u: %s\n", (long long)transfer.amount, transfer.from, transfer.to,
           error == TN_OK ? reply : tn_strerror(error));
    tn_group_read(group, TN_READ_QUORUM, 0, audit, accounts);
}

static volatile sig_atomic_t stopping;
static void on_signal(int number)
{
    stopping = number;
}

static int usage(void)
{
    fprintf(stderr, "usage: bank --id N --peers HOST:PORT,... --data-dir DIR [--every MS]\n");
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
    struct tn_node_options options = {.cluster = "bank", .members = members, .bootstrap = 1};
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

    int64_t accounts[ACCOUNTS];
    for (uint32_t i = 0; i < ACCOUNTS; i++) {
        accounts[i] = TOTAL / ACCOUNTS;
    }
    srandom((unsigned)id);
    setvbuf(stdout, NULL, _IOLBF, 0);
    struct tn_state_machine machine = {.id = 1, .data = accounts, .execute = execute};
    struct tn_group_options group_options = {.machines = &machine, .machines_count = 1};
    struct tn_node *node = NULL;
    struct tn_group *group = NULL;
    char why[256];
    int error = tn_node_open(&node, &options, why, sizeof(why));
    if (error == TN_OK) {
        error = tn_group_open(node, &group_options, &group, why, sizeof(why));
    }
    if (error != TN_OK) {
        fprintf(stderr, "bank: %s\n", why);
        tn_node_close(node);
        return 1;
    }
    while (!stopping) {
        transfer_once(group, accounts);
        usleep((useconds_t)(every_ms * 1000));
    }
    tn_group_close(group);
    tn_node_close(node);
    return 0;
}
