/* A program that knows tenure only as installed: it takes a lease in memory, as a cell of one.
 *
 * There is no clock, no disk and no network here: time is a number, and what the machine sends to
 * itself is handed back to it. Prints the version and the fencing state; status 0 if it owns. */
#include <tenure/error.h>
#include <tenure/lease.h>
#include <tenure/version.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_MAX 100

static struct tn_effects effects;
static bool opened;

/* Carry out what one step asked for: no disk and no peers, so only messages to this node. Each
 * goes back in as an event; those that answers cause are carried out by the same loop. */
static void carry_out(struct tn_lease *lease, tn_time now, uint64_t restart_word)
{
    struct tn_message items[TN_EFFECT_MESSAGES_MAX];

    for (int step = 0; step < STEPS_MAX; step++) {
        for (uint32_t i = 0; i < effects.notices_count; i++) {
            opened = opened || effects.notices[i].kind == TN_NOTICE_OPENED;
        }
        uint32_t items_count = effects.messages_count;
        if (items_count == 0) {
            return;
        }
        memcpy(items, effects.messages, items_count * sizeof(items[0]));
        struct tn_event event = {.kind = TN_EVENT_FRAME,
                                 .now = now,
                                 .restart_word = restart_word,
                                 .items = items,
                                 .items_count = items_count};
        tn_lease_step(lease, &event, &effects);
    }
}

static struct tn_lease *machine(struct tn_lease_options *options, tn_time now)
{
    char why[200] = "";

    int error = tn_lease_options_complete(options, why, sizeof(why));
    if (error != TN_OK) {
        printf("%s: %s\n", tn_strerror(error), why);
        exit(1);
    }
    size_t size = (tn_lease_size(options) + 63) / 64 * 64;
    void *memory = aligned_alloc(64, size);
    if (memory == NULL) {
        exit(1);
    }
    memset(memory, 0, size);
    return tn_lease_init(memory, options, now);
}

int main(void)
{
    static struct tn_lease_options options = {.members = {1},
                                              .members_count = 1,
                                              .restart_word = 1ULL << 32 | 77,
                                              .diskless = 1,
                                              .tables_count = 1,
                                              .random = 5};
    tn_time now = TN_SECOND;
    struct tn_lease *lease = machine(&options, now);

    /* A4: the quarantine after a start passes first. */
    now += options.tables[0].quarantine_ns + 1;
    struct tn_event timer = {.kind = TN_EVENT_TIMER, .now = now};
    tn_lease_step(lease, &timer, &effects);
    carry_out(lease, now, options.restart_word);

    struct tn_request request = {.kind = TN_REQUEST_ACQUIRE, .name_bytes = 6, .name = "leader"};
    struct tn_event acquire = {
        .kind = TN_EVENT_REQUEST, .now = now, .random = 9, .request = &request};
    tn_lease_step(lease, &acquire, &effects);
    carry_out(lease, now, options.restart_word);

    struct tn_lease_view view;
    int error = tn_lease_who(lease, 0, "leader", 6, now, &view);
    printf("tenure %s: leader is node %u, for %llu ms (%s)\n", tn_version(), (unsigned)view.node,
           (unsigned long long)(view.remaining / TN_MILLISECOND), tn_strerror(error));
    bool owns = opened && error == TN_OK && view.owned && view.remaining > 0;
    free(lease);
    return owns ? 0 : 1;
}
