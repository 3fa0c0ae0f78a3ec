/* Your own event loop: three machines, each with a UDP socket on loopback, in one poll() loop.
 *
 * What a program does that has a loop already: wait for a datagram or for the machine's deadline,
 * read the clock *after* the bytes have left the socket, step, carry out. UDP may lose, reorder and
 * repeat; the protocol does not mind. All three live on one computer, so a message travels as it
 * lies in memory; between computers, encode it. Ends when an owner has renewed twice. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <tenure/error.h>
#include <tenure/lease.h>

#define NODES 3
#define ROUNDS_MAX 20000

struct datagram {
    uint32_t from;
    uint32_t reserved;
    uint64_t restart_word;
    struct tn_message message;
};

struct node {
    struct tn_lease *lease;
    int socket;
    struct sockaddr_in address;
    uint64_t restart_word;
    unsigned renewals;
};

static struct node nodes[NODES];

static tn_time clock_boottime(void)
{
    struct timespec time;
    clock_gettime(CLOCK_BOOTTIME, &time);
    return (tn_time)time.tv_sec * TN_SECOND + (tn_time)time.tv_nsec;
}

static void step(struct node *node, struct tn_event event)
{
    static struct tn_effects effects;
    event.now = clock_boottime(); /* once an event */
    event.random = event.now;
    tn_lease_step(node->lease, &event, &effects);
    struct datagram out = {.from = (uint32_t)(node - nodes), .restart_word = node->restart_word};
    for (unsigned i = 0; i < effects.messages_count; i++) {
        out.message = effects.messages[i];
        for (unsigned to = 0; to < NODES; to++) {
            if ((out.message.to >> to & 1) != 0) {
                /* To itself as well: an own vote goes the way of all votes. Loss is allowed. */
                (void)sendto(node->socket, &out, sizeof(out), 0,
                             (struct sockaddr *)&nodes[to].address, sizeof(nodes[to].address));
            }
        }
    }
    for (unsigned i = 0; i < effects.notices_count; i++) {
        if (effects.notices[i].kind == TN_NOTICE_OPENED) {
            printf("node %u owns the name\n", out.from + 1);
        } else if (effects.notices[i].kind == TN_NOTICE_RENEWED) {
            printf("node %u has renewed its lease\n", out.from + 1);
            node->renewals++;
        }
    }
}

static void receive(struct node *node)
{
    struct datagram in;
    if (recv(node->socket, &in, sizeof(in), MSG_DONTWAIT) != (ssize_t)sizeof(in) ||
        in.from >= NODES) {
        return; /* not ours, or cut short: as good as lost */
    }
    in.message.from = (uint8_t)in.from;
    step(node, (struct tn_event){.kind = TN_EVENT_FRAME,
                                 .from = in.from,
                                 .restart_word = in.restart_word,
                                 .items = &in.message,
                                 .items_count = 1});
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void start(unsigned index)
{
    struct node *node = &nodes[index];
    node->restart_word = clock_boottime() / TN_SECOND << 32 | (index + 1);
    struct tn_lease_options options = {
        .members = {1, 2, 3},
        .members_count = NODES,
        .self = (uint16_t)index,
        .restart_word = node->restart_word,
        .diskless = 1,
        .random = node->restart_word,
        .tables = {{.proposer_ns = 300 * TN_MILLISECOND, .names_max = 16}},
    };
    char why[128];
    if (tn_lease_options_complete(&options, why, sizeof(why)) != TN_OK) {
        fprintf(stderr, "%s\n", why);
        exit(1);
    }
    size_t size = (tn_lease_size(&options) + 63) / 64 * 64;
    void *memory = aligned_alloc(64, size);
    if (memory == NULL) {
        die("memory");
    }
    node->lease = tn_lease_init(memset(memory, 0, size), &options, clock_boottime());
    node->socket = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    node->address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof(node->address);
    if (node->socket < 0 || bind(node->socket, (struct sockaddr *)&node->address, length) != 0 ||
        getsockname(node->socket, (struct sockaddr *)&node->address, &length) != 0) {
        die("socket");
    }
}

/* Milliseconds until the first machine wants its timer; at least one, so that the loop sleeps. */
static int sleep_ms(void)
{
    tn_time due = TN_TIME_NEVER, now = clock_boottime();
    for (unsigned i = 0; i < NODES; i++) {
        tn_time deadline = tn_lease_deadline(nodes[i].lease);
        due = deadline < due ? deadline : due;
    }
    if (due <= now) {
        return 0;
    }
    tn_time wait = (due - now) / TN_MILLISECOND + 1;
    return wait < 100 ? (int)wait : 100;
}

int main(void)
{
    for (unsigned i = 0; i < NODES; i++) {
        start(i);
    }
    struct tn_request request = {.kind = TN_REQUEST_ACQUIRE, .name_bytes = 4, .name = "demo"};
    step(&nodes[0], (struct tn_event){.kind = TN_EVENT_REQUEST, .request = &request});

    for (unsigned round = 0; round < ROUNDS_MAX && nodes[0].renewals < 2; round++) {
        struct pollfd ready[NODES];
        for (unsigned i = 0; i < NODES; i++) {
            ready[i] = (struct pollfd){.fd = nodes[i].socket, .events = POLLIN};
        }
        if (poll(ready, NODES, sleep_ms()) < 0) {
            die("poll");
        }
        for (unsigned i = 0; i < NODES; i++) {
            if ((ready[i].revents & POLLIN) != 0) {
                receive(&nodes[i]);
            }
            if (tn_lease_deadline(nodes[i].lease) <= clock_boottime()) {
                step(&nodes[i], (struct tn_event){.kind = TN_EVENT_TIMER});
            }
        }
    }
    bool renewed = nodes[0].renewals >= 2;
    for (unsigned i = 0; i < NODES; i++) {
        close(nodes[i].socket);
        free(nodes[i].lease);
    }
    return renewed ? 0 : 1;
}
