/* A lease in memory: three machines, a network that is an array, a clock that is a variable.
 *
 * The smallest complete caller of the pure core (tenure/lease.h): it feeds events, carries out
 * effects, and prints what happens. Nothing is durable here (diskless), so no fencing token is
 * offered. Prints who owns the name before and after the owner falls silent. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tenure/error.h>
#include <tenure/lease.h>

#define NODES 3
#define MAIL_MAX 256

struct mail {
    unsigned from, to;
    struct tn_message message;
};

static struct tn_lease *machines[NODES];
static struct mail mail[MAIL_MAX]; /* the network */
static unsigned mail_count;
static tn_time now = TN_SECOND;  /* the clock */
static unsigned cut_off = NODES; /* a node that is not heard any more */

static void step(unsigned node, struct tn_event event)
{
    static struct tn_effects effects;
    event.now = now;
    tn_lease_step(machines[node], &event, &effects);
    /* Diskless: there are no records, and every message may leave at once (after == 0). */
    for (unsigned i = 0; i < effects.messages_count; i++) {
        for (unsigned to = 0; to < NODES; to++) {
            bool lost = to != node && (to == cut_off || node == cut_off);
            if ((effects.messages[i].to >> to & 1) != 0 && !lost && mail_count < MAIL_MAX) {
                mail[mail_count++] = (struct mail){node, to, effects.messages[i]};
            }
        }
    }
    for (unsigned i = 0; i < effects.notices_count; i++) {
        const struct tn_notice *notice = &effects.notices[i];
        if (notice->kind == TN_NOTICE_OPENED || notice->kind == TN_NOTICE_LOST) {
            printf("%6.2f s  node %u %s the lease\n", (double)now / 1e9, node + 1,
                   notice->kind == TN_NOTICE_OPENED ? "wins" : "has lost");
        }
    }
}

static void deliver_all(void)
{
    while (mail_count > 0) {
        struct mail first = mail[0];
        memmove(mail, mail + 1, --mail_count * sizeof(mail[0]));
        first.message.from = (uint8_t)first.from;
        step(first.to, (struct tn_event){.kind = TN_EVENT_FRAME,
                                         .from = first.from,
                                         .restart_word = 1ULL << 32 | first.from,
                                         .items = &first.message,
                                         .items_count = 1});
    }
}

/* Let the clock go from one deadline to the next. */
static void run(tn_time until)
{
    for (;;) {
        deliver_all();
        tn_time due = TN_TIME_NEVER;
        unsigned node = 0;
        for (unsigned i = 0; i < NODES; i++) {
            if (tn_lease_deadline(machines[i]) < due) {
                due = tn_lease_deadline(machines[i]);
                node = i;
            }
        }
        if (due > until) {
            now = until;
            return;
        }
        now = due > now ? due : now;
        step(node, (struct tn_event){.kind = TN_EVENT_TIMER});
    }
}

static struct tn_lease *start(unsigned node)
{
    struct tn_lease_options options = {
        .members = {1, 2, 3},
        .members_count = NODES,
        .self = (uint16_t)node,
        .restart_word = 1ULL << 32 | node,
        .diskless = 1,
        .random = node,
        .tables = {{.proposer_ns = 2 * TN_SECOND, .names_max = 16}},
    };
    char why[128];
    if (tn_lease_options_complete(&options, why, sizeof(why)) != TN_OK) {
        fprintf(stderr, "%s\n", why);
        exit(1);
    }
    size_t size = (tn_lease_size(&options) + 63) / 64 * 64;
    void *memory = aligned_alloc(64, size);
    if (memory == NULL) {
        exit(1);
    }
    return tn_lease_init(memset(memory, 0, size), &options, now);
}

static void want(unsigned node)
{
    struct tn_request request = {.kind = TN_REQUEST_ACQUIRE, .name_bytes = 4, .name = "demo"};
    step(node, (struct tn_event){.kind = TN_EVENT_REQUEST, .request = &request});
}

int main(void)
{
    for (unsigned i = 0; i < NODES; i++) {
        machines[i] = start(i);
    }
    run(now + 3 * TN_SECOND); /* the quarantine of a fresh acceptor, a little over D_P (A4) */
    want(0);
    deliver_all();
    want(1);
    run(now + 5 * TN_SECOND);
    printf("%6.2f s  node 1 is cut off\n", (double)now / 1e9);
    cut_off = 0;
    run(now + 6 * TN_SECOND);

    struct tn_lease_view view;
    int error = tn_lease_who(machines[2], 0, "demo", 4, now, &view);
    printf("%6.2f s  node 3 thinks that node %u owns it (a hint)\n", (double)now / 1e9,
           error == TN_OK ? view.node : 0);
    for (unsigned i = 0; i < NODES; i++) {
        free(machines[i]);
    }
    return error == TN_OK && view.node == 2 ? 0 : 1;
}
