/* What one machine answers to one message: every field, every silence, every count. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <tenure/lease.h>

#define D_P (10 * TN_SECOND)
#define SELF_WORD (5ULL << 32 | 50)

/* The machine under test is member 0, node 1; nodes 2 and 3 are played by hand. */
struct bench {
    struct tn_lease_options options;
    struct tn_lease *lease;
    struct tn_effects effects;
    struct tn_lease_counters before;
    tn_time now;
};

static struct tn_ballot ballot(uint64_t attempt, tn_node_id node)
{
    return (struct tn_ballot){attempt << 16 | node,
                              node == 1 ? SELF_WORD : (uint64_t)node << 32 | node};
}

static void step(struct bench *bench, struct tn_event event)
{
    event.now = bench->now;
    tn_lease_counters(bench->lease, &bench->before);
    tn_lease_step(bench->lease, &event, &bench->effects);
    tn_lease_check(bench->lease, bench->now);
}

static void start(struct bench *bench, uint32_t names_max, uint32_t observe)
{
    *bench = (struct bench){.now = TN_SECOND};
    bench->options = (struct tn_lease_options){
        .members = {1, 2, 3}, .members_count = 3, .restart_word = SELF_WORD, .random = 3};
    bench->options.tables[0] = (struct tn_lease_table_options){
        .proposer_ns = D_P, .names_max = names_max, .observe = observe};
    assert_int_equal(tn_lease_options_complete(&bench->options, NULL, 0), 0);
    size_t size = (tn_lease_size(&bench->options) + 63) / 64 * 64;
    void *memory = aligned_alloc(64, size);
    bench->lease = tn_lease_init(memset(memory, 0, size), &bench->options, bench->now);
}

/* Past the quarantine, the ceiling raised. */
static void settle(struct bench *bench)
{
    step(bench, (struct tn_event){.kind = TN_EVENT_TIMER});
    assert_int_equal(bench->effects.records_count, 1);
    uint64_t write = bench->effects.records[0].write;
    step(bench, (struct tn_event){.kind = TN_EVENT_WRITTEN, .write = write});
    bench->now += bench->options.tables[0].quarantine_ns;
}

static struct bench *settled(uint32_t names_max, uint32_t observe)
{
    struct bench *bench = malloc(sizeof(*bench));
    start(bench, names_max, observe);
    settle(bench);
    return bench;
}

static void end(struct bench *bench)
{
    free(bench->lease);
    free(bench);
}

/* A message of node `from` about `name`, as it came off the wire. */
static struct tn_message about(const struct bench *bench, enum tn_message_kind kind,
                               struct tn_ballot which, const char *name)
{
    struct tn_message message = {.kind = (uint8_t)kind,
                                 .configuration = 1,
                                 .ballot = which,
                                 .name_bytes = (uint8_t)strlen(name)};
    memcpy(message.name, name, strlen(name));
    if (kind == TN_MESSAGE_PREPARE) {
        message.durations = tn_lease_durations_digest(&bench->options.tables[0], 500);
    }
    return message;
}

/* Deliver it; the one answer to its sender, or NULL. */
static const struct tn_message *deliver(struct bench *bench, struct tn_message message,
                                        tn_node_id from)
{
    step(bench,
         (struct tn_event){.kind = TN_EVENT_FRAME,
                           .from = from - 1U,
                           .restart_word = from == 1 ? SELF_WORD : (uint64_t)from << 32 | from,
                           .items = &message,
                           .items_count = 1});
    return bench->effects.messages_count == 0 ? NULL : &bench->effects.messages[0];
}

static const struct tn_message *say(struct bench *bench, enum tn_message_kind kind,
                                    struct tn_ballot which, const char *name)
{
    return deliver(bench, about(bench, kind, which, name), tn_ballot_node(which));
}

/* Exactly this counter has risen, by one. */
#define assert_counted(bench, field)                                                               \
    do {                                                                                           \
        struct tn_lease_counters after_;                                                           \
        tn_lease_counters((bench)->lease, &after_);                                                \
        assert_int_equal(after_.field, (bench)->before.field + 1);                                 \
    } while (0)

static void assert_answer(const struct tn_message *answer, enum tn_message_kind kind,
                          struct tn_ballot which)
{
    assert_non_null(answer);
    assert_int_equal(answer->kind, kind);
    assert_true(tn_ballot_equal(answer->ballot, which));
    assert_int_equal(answer->to, 1U << (tn_ballot_node(which) - 1)); /* to the asker alone */
    assert_int_equal(answer->configuration, 1);
    assert_int_equal(answer->after, 0);
    assert_int_equal(answer->name_bytes, 1);
}

static void A1_open_closed_and_rejected_say_what_the_asker_needs(void **state)
{
    (void)state;
    struct bench *bench = settled(8, TN_OBSERVE_ONLINE);
    const struct tn_message *answer = say(bench, TN_MESSAGE_PREPARE, ballot(5, 2), "x");
    assert_answer(answer, TN_MESSAGE_PROMISE, ballot(5, 2));
    assert_true(tn_ballot_is_none(answer->lease));
    assert_int_equal(answer->flags, TN_MESSAGE_FENCED);
    assert_counted(bench, promises);

    answer = say(bench, TN_MESSAGE_PREPARE, ballot(4, 3), "x");
    assert_answer(answer, TN_MESSAGE_REJECTED, ballot(4, 3));
    assert_true(tn_ballot_equal(answer->promised, ballot(5, 2)));
    assert_int_equal(answer->remaining, 0);
    assert_counted(bench, rejected);

    answer = say(bench, TN_MESSAGE_ACCEPT, ballot(5, 2), "x");
    assert_answer(answer, TN_MESSAGE_ACCEPTED, ballot(5, 2));
    assert_int_equal(answer->flags, TN_MESSAGE_FENCED);
    assert_counted(bench, accepted);

    bench->now += TN_SECOND;
    answer = say(bench, TN_MESSAGE_PREPARE, ballot(9, 3), "x");
    assert_answer(answer, TN_MESSAGE_CLOSED, ballot(9, 3));
    assert_true(tn_ballot_equal(answer->lease, ballot(5, 2)));
    assert_int_equal(answer->remaining, bench->options.tables[0].acceptor_ns - TN_SECOND);
    assert_true(tn_ballot_is_none(answer->promised));
    assert_counted(bench, closed);

    answer = say(bench, TN_MESSAGE_PREPARE, ballot(6, 2), "x"); /* the owner renews */
    assert_answer(answer, TN_MESSAGE_PROMISE, ballot(6, 2));
    assert_true(tn_ballot_equal(answer->lease, ballot(5, 2)));
    assert_int_equal(answer->remaining, bench->options.tables[0].acceptor_ns - TN_SECOND);
    end(bench);
}

static void A2_a_refusal_says_what_is_promised_and_what_is_in_the_way(void **state)
{
    (void)state;
    struct bench *bench = settled(8, TN_OBSERVE_ONLINE);
    say(bench, TN_MESSAGE_PREPARE, ballot(5, 2), "x");
    const struct tn_message *answer = say(bench, TN_MESSAGE_ACCEPT, ballot(4, 3), "x");
    assert_answer(answer, TN_MESSAGE_REFUSED, ballot(4, 3));
    assert_true(tn_ballot_equal(answer->promised, ballot(5, 2)));
    assert_true(tn_ballot_is_none(answer->lease));
    assert_counted(bench, refused);
    say(bench, TN_MESSAGE_ACCEPT, ballot(5, 2), "x");
    answer = say(bench, TN_MESSAGE_ACCEPT, ballot(7, 3), "x");
    assert_answer(answer, TN_MESSAGE_REFUSED, ballot(7, 3));
    assert_true(tn_ballot_equal(answer->lease, ballot(5, 2)));
    assert_int_equal(answer->remaining, bench->options.tables[0].acceptor_ns);
    end(bench);
}

static void A1_A2_a_copied_directory_gets_a_refusal_that_says_so(void **state)
{
    (void)state;
    struct bench *bench = settled(8, TN_OBSERVE_ONLINE);
    say(bench, TN_MESSAGE_PREPARE, ballot(5, 2), "x");
    /* An earlier run of node 2, whose counter was used again: only its ballot can tell. */
    struct tn_ballot copy = {5 << 16 | 2, 1ULL << 32 | 9};
    for (uint32_t kind = TN_MESSAGE_PREPARE; kind <= TN_MESSAGE_ACCEPT;
         kind += TN_MESSAGE_ACCEPT - TN_MESSAGE_PREPARE) {
        struct tn_message message = about(bench, kind, copy, "x");
        step(bench, (struct tn_event){.kind = TN_EVENT_FRAME,
                                      .from = 1,
                                      .restart_word = copy.restart_word,
                                      .items = &message,
                                      .items_count = 1});
        assert_int_equal(bench->effects.messages_count, 1);
        const struct tn_message *answer = &bench->effects.messages[0];
        assert_answer(answer, kind == TN_MESSAGE_PREPARE ? TN_MESSAGE_REJECTED : TN_MESSAGE_REFUSED,
                      copy);
        assert_int_equal(answer->flags, TN_MESSAGE_FENCED | TN_MESSAGE_DUPLICATE);
        assert_true(tn_ballot_equal(answer->promised, ballot(5, 2)));
        assert_counted(bench, duplicates);
    }
    end(bench);
}

static void A3_a_release_frees_at_once_and_is_counted(void **state)
{
    (void)state;
    struct bench *bench = settled(8, TN_OBSERVE_ONLINE);
    say(bench, TN_MESSAGE_ACCEPT, ballot(5, 2), "x");
    assert_null(say(bench, TN_MESSAGE_RELEASE, ballot(4, 2), "x"));
    assert_counted(bench, unmatched);
    assert_null(say(bench, TN_MESSAGE_RELEASE, ballot(5, 2), "x"));
    assert_counted(bench, cleared);
    assert_answer(say(bench, TN_MESSAGE_PREPARE, ballot(6, 3), "x"), TN_MESSAGE_PROMISE,
                  ballot(6, 3));
    end(bench);
}

static void A4_in_the_quarantine_there_is_no_answer_of_any_kind(void **state)
{
    (void)state;
    struct bench *bench = settled(8, TN_OBSERVE_ONLINE);
    bench->now -= 1;
    assert_null(say(bench, TN_MESSAGE_PREPARE, ballot(5, 2), "x"));
    assert_counted(bench, quarantined);
    assert_null(say(bench, TN_MESSAGE_ACCEPT, ballot(5, 2), "x"));
    assert_counted(bench, quarantined);
    assert_null(say(bench, TN_MESSAGE_RELEASE, ballot(5, 2), "x"));
    assert_counted(bench, quarantined);
    bench->now += 1;
    assert_non_null(say(bench, TN_MESSAGE_PREPARE, ballot(5, 2), "x"));
    end(bench);
}

static void A4_before_the_first_write_of_a_run_there_is_no_answer_either(void **state)
{
    (void)state;
    struct bench bench;
    start(&bench, 8, TN_OBSERVE_ONLINE);
    bench.now += bench.options.tables[0].quarantine_ns;
    step(&bench, (struct tn_event){.kind = TN_EVENT_TIMER});
    assert_null(say(&bench, TN_MESSAGE_RELEASE, ballot(5, 2), "x"));
    assert_counted(&bench, quarantined);
    step(&bench, (struct tn_event){.kind = TN_EVENT_WRITTEN, .write = 1});
    assert_null(say(&bench, TN_MESSAGE_RELEASE, ballot(5, 2), "x"));
    assert_counted(&bench, unmatched);
    free(bench.lease);
}

static void
F4_a_diskless_acceptor_answers_without_a_write_and_says_that_it_keeps_no_ceiling(void **state)
{
    (void)state;
    struct bench bench = {.now = TN_SECOND};
    start(&bench, 8, TN_OBSERVE_ONLINE);
    bench.options.diskless = 1;
    memset(bench.lease, 0, tn_lease_size(&bench.options));
    bench.lease = tn_lease_init(bench.lease, &bench.options, bench.now);
    bench.now += bench.options.tables[0].quarantine_ns;
    step(&bench, (struct tn_event){.kind = TN_EVENT_TIMER});
    assert_int_equal(bench.effects.records_count, 0);
    const struct tn_message *answer = say(&bench, TN_MESSAGE_ACCEPT, ballot(5, 2), "x");
    assert_answer(answer, TN_MESSAGE_ACCEPTED, ballot(5, 2));
    assert_int_equal(answer->flags, 0);
    free(bench.lease);
}

static void F3_a_node_that_leaves_or_joins_is_silent(void **state)
{
    (void)state;
    struct bench *bench = settled(8, TN_OBSERVE_ONLINE);
    struct tn_request leave = {.kind = TN_REQUEST_LEAVE};
    step(bench, (struct tn_event){.kind = TN_EVENT_REQUEST, .request = &leave});
    assert_int_equal(bench->effects.records_count, 1);
    assert_int_equal(bench->effects.records[0].left, 1);
    uint64_t write = bench->effects.records[0].write;
    assert_null(say(bench, TN_MESSAGE_PREPARE, ballot(5, 2), "x")); /* leaving */
    assert_counted(bench, configurations);
    step(bench, (struct tn_event){.kind = TN_EVENT_WRITTEN, .write = write});
    assert_int_equal(bench->effects.notices[0].kind, TN_NOTICE_LEFT);
    assert_null(say(bench, TN_MESSAGE_PREPARE, ballot(5, 2), "x")); /* left */
    struct tn_request join = {.kind = TN_REQUEST_JOIN,
                              .members_count = 3,
                              .larger_step = 1,
                              .configuration = 2,
                              .members = {1, 2, 4}};
    step(bench, (struct tn_event){.kind = TN_EVENT_REQUEST, .request = &join});
    write = bench->effects.records[0].write;
    assert_int_equal(bench->effects.records[0].configuration, 2);
    assert_null(say(bench, TN_MESSAGE_PREPARE, ballot(5, 2), "x")); /* joining */
    step(bench, (struct tn_event){.kind = TN_EVENT_WRITTEN, .write = write});
    assert_int_equal(bench->effects.notices[0].kind, TN_NOTICE_JOINED);
    struct tn_message message = about(bench, TN_MESSAGE_PREPARE, ballot(5, 2), "x");
    assert_null(deliver(bench, message, 2)); /* of the old configuration */
    assert_counted(bench, configurations);
    message.configuration = 2;
    assert_null(deliver(bench, message, 2)); /* a larger step waits out D_Q */
    bench->now += bench->options.tables[0].quarantine_ns;
    assert_non_null(deliver(bench, message, 2));
    assert_int_equal(bench->effects.messages[0].configuration, 2);
    end(bench);
}

static void F3_a_failed_leave_stays_silent_and_a_failed_join_changes_nothing(void **state)
{
    (void)state;
    struct bench *bench = settled(8, TN_OBSERVE_ONLINE);
    struct tn_request leave = {.kind = TN_REQUEST_LEAVE};
    step(bench, (struct tn_event){.kind = TN_EVENT_REQUEST, .request = &leave});
    uint64_t write = bench->effects.records[0].write;
    step(bench, (struct tn_event){.kind = TN_EVENT_WRITE_FAILED, .write = write});
    assert_null(say(bench, TN_MESSAGE_PREPARE, ballot(5, 2), "x"));
    struct tn_request join = {
        .kind = TN_REQUEST_JOIN, .members_count = 1, .configuration = 2, .members = {1}};
    step(bench, (struct tn_event){.kind = TN_EVENT_REQUEST, .request = &join});
    write = bench->effects.records[0].write;
    step(bench, (struct tn_event){.kind = TN_EVENT_WRITE_FAILED, .write = write});
    struct tn_lease_status status;
    tn_lease_status(bench->lease, bench->now, &status);
    assert_int_equal(status.configuration, 1);
    assert_int_equal(status.left, 1);
    /* Not a member, not a newer version, nobody at all: refused. */
    join.members[0] = 2;
    step(bench, (struct tn_event){.kind = TN_EVENT_REQUEST, .request = &join});
    assert_int_equal(bench->effects.records_count, 0);
    assert_counted(bench, configurations);
    join.members[0] = 1;
    join.configuration = 1;
    step(bench, (struct tn_event){.kind = TN_EVENT_REQUEST, .request = &join});
    assert_counted(bench, configurations);
    join.configuration = 2;
    join.members_count = 0;
    step(bench, (struct tn_event){.kind = TN_EVENT_REQUEST, .request = &join});
    assert_counted(bench, configurations);
    end(bench);
}

static void a_full_table_is_told_to_the_asker(void **state)
{
    (void)state;
    struct bench *bench = settled(1, TN_OBSERVE_ONLINE);
    say(bench, TN_MESSAGE_PREPARE, ballot(5, 2), "x");
    const struct tn_message *answer = say(bench, TN_MESSAGE_PREPARE, ballot(6, 3), "y");
    assert_answer(answer, TN_MESSAGE_REJECTED, ballot(6, 3));
    assert_int_equal(answer->flags, TN_MESSAGE_FULL);
    assert_int_equal(answer->name[0], 'y');
    assert_int_equal(answer->priority | answer->durations, 0);
    assert_true(tn_ballot_is_none(answer->promised)); /* the floor: nothing was dropped yet */
    assert_counted(bench, full);
    answer = say(bench, TN_MESSAGE_ACCEPT, ballot(6, 3), "y");
    assert_answer(answer, TN_MESSAGE_REFUSED, ballot(6, 3));
    assert_int_equal(answer->flags, TN_MESSAGE_FULL);
    assert_null(say(bench, TN_MESSAGE_RELEASE, ballot(6, 3), "y"));
    assert_counted(bench, full);
    assert_null(say(bench, TN_MESSAGE_LEARN, ballot(6, 3), "y"));
    assert_counted(bench, full);
    end(bench);
}

static void what_cannot_be_is_refused_and_counted(void **state)
{
    (void)state;
    struct bench *bench = settled(8, TN_OBSERVE_ONLINE);
    struct tn_message message = about(bench, TN_MESSAGE_PREPARE, ballot(5, 2), "x");
    assert_null(deliver(bench, message, 3)); /* another's ballot */
    assert_counted(bench, misdirected);
    message.durations++;
    assert_null(deliver(bench, message, 2));
    assert_counted(bench, durations);
    assert_int_equal(bench->effects.notices[0].reason, TN_REASON_DURATIONS);
    message = about(bench, TN_MESSAGE_PREPARE, ballot(5, 2), "x");
    message.configuration = 0;
    assert_null(deliver(bench, message, 2));
    assert_counted(bench, configurations);
    assert_null(deliver(bench, about(bench, TN_MESSAGE_PROMISE, ballot(5, 2), "x"), 2));
    assert_counted(bench, misdirected); /* an answer to node 2 */
    assert_null(deliver(bench, about(bench, TN_MESSAGE_PROMISE, ballot(5, 1), "x"), 2));
    assert_counted(bench, late); /* an answer to nothing that was asked */
    struct tn_message wrong[6];
    for (uint32_t i = 0; i < 6; i++) {
        wrong[i] = about(bench, TN_MESSAGE_PREPARE, ballot(5, 2), "x");
    }
    wrong[0].kind = 0;
    wrong[1].kind = TN_MESSAGE_KINDS_END;
    wrong[2].table = 1;
    wrong[3].name_bytes = 0;
    wrong[4].name_bytes = TN_NAME_BYTES_MAX + 1;
    wrong[5].ballot.restart_word = UINT64_MAX;
    for (uint32_t i = 0; i < 6; i++) {
        assert_null(deliver(bench, wrong[i], 2));
        assert_counted(bench, malformed);
    }
    end(bench);
}

static void L1_hints_come_and_go_as_their_owner_says(void **state)
{
    (void)state;
    struct bench *bench = settled(8, TN_OBSERVE_ONLINE);
    struct tn_message learn = about(bench, TN_MESSAGE_LEARN, ballot(5, 2), "x");
    learn.remaining = 100 * D_P; /* never believed for longer than a lease can last */
    learn.token = 77;
    assert_null(deliver(bench, learn, 2));
    assert_int_equal(bench->effects.notices_count, 1);
    const struct tn_notice *notice = &bench->effects.notices[0];
    assert_int_equal(notice->kind, TN_NOTICE_LEARNED);
    assert_int_equal(notice->node, 2);
    assert_int_equal(notice->token, 77);
    assert_int_equal(notice->remaining, D_P);
    assert_true(tn_ballot_equal(notice->ballot, ballot(5, 2)));
    struct tn_lease_view view;
    assert_int_equal(tn_lease_who(bench->lease, 0, "x", 1, bench->now, &view), 0);
    assert_int_equal(view.node, 2);
    assert_int_equal(view.certain | view.owned, 0);
    assert_int_equal(view.remaining, D_P);

    learn.ballot = ballot(6, 2); /* a renewal is no news */
    deliver(bench, learn, 2);
    assert_int_equal(bench->effects.notices_count, 0);
    say(bench, TN_MESSAGE_RELEASE, ballot(5, 2), "x"); /* of an older lease: nor is this */
    assert_int_equal(bench->effects.notices_count, 0);
    say(bench, TN_MESSAGE_RELEASE, ballot(6, 2), "x");
    assert_int_equal(bench->effects.notices_count, 1);
    assert_int_equal(bench->effects.notices[0].kind, TN_NOTICE_FREED);
    assert_int_equal(bench->effects.notices[0].node, 2);
    assert_true(tn_ballot_equal(bench->effects.notices[0].ballot, ballot(6, 2)));
    tn_lease_who(bench->lease, 0, "x", 1, bench->now, &view);
    assert_int_equal(view.node, 0);
    end(bench);
}

static void L1_a_table_that_does_not_observe_keeps_no_hints(void **state)
{
    (void)state;
    struct bench *bench = settled(8, TN_OBSERVE_OWNER);
    struct tn_message learn = about(bench, TN_MESSAGE_LEARN, ballot(5, 2), "x");
    learn.remaining = D_P;
    deliver(bench, learn, 2);
    assert_int_equal(bench->effects.notices_count, 0);
    struct tn_lease_view view;
    assert_int_not_equal(tn_lease_who(bench->lease, 0, "x", 1, bench->now, &view), 0);
    say(bench, TN_MESSAGE_ACCEPT, ballot(5, 2), "x"); /* what was accepted is a hint as well */
    tn_lease_who(bench->lease, 0, "x", 1, bench->now, &view);
    assert_int_equal(view.node, 2);
    end(bench);
}

/* The renewed or opened lease of this node on "x", by answers of node 2. */
static void own(struct bench *bench)
{
    struct tn_request acquire = {.kind = TN_REQUEST_ACQUIRE, .name_bytes = 1, .name = "x"};
    acquire.priority = 2;
    step(bench, (struct tn_event){.kind = TN_EVENT_REQUEST, .request = &acquire});
    bench->now += bench->options.tables[0].back_off_ns * 3; /* H3: the second choice waits */
    step(bench, (struct tn_event){.kind = TN_EVENT_TIMER});
    assert_int_equal(bench->effects.messages_count, 1);
    struct tn_message prepare = bench->effects.messages[0];
    assert_int_equal(prepare.kind, TN_MESSAGE_PREPARE);
    assert_int_equal(prepare.to, 7);
    assert_int_equal(prepare.priority, 2);
    for (tn_node_id node = 2; node <= 3; node++) {
        deliver(bench, about(bench, TN_MESSAGE_PROMISE, prepare.ballot, "x"), node);
    }
    assert_int_equal(bench->effects.messages[0].kind, TN_MESSAGE_ACCEPT);
    for (tn_node_id node = 2; node <= 3; node++) {
        struct tn_message accepted = about(bench, TN_MESSAGE_ACCEPTED, prepare.ballot, "x");
        accepted.flags = TN_MESSAGE_FENCED;
        deliver(bench, accepted, node);
    }
    assert_int_equal(bench->effects.notices[0].kind, TN_NOTICE_OPENED);
    assert_int_equal(bench->effects.messages[0].kind, TN_MESSAGE_LEARN); /* P4 */
    assert_int_equal(bench->effects.messages[0].to, 6);
    assert_int_equal(bench->effects.messages[0].token, prepare.ballot.counter);
}

static void H3_an_owner_yields_to_a_preferred_asker_once_an_interval(void **state)
{
    (void)state;
    struct bench *bench = settled(8, TN_OBSERVE_ONLINE);
    own(bench);
    struct tn_lease_view view;
    tn_lease_who(bench->lease, 0, "x", 1, bench->now, &view);
    deliver(bench, about(bench, TN_MESSAGE_ACCEPT, view.ballot, "x"), 1); /* its own acceptor */
    struct tn_message prepare = about(bench, TN_MESSAGE_PREPARE, ballot(900, 2), "x");
    prepare.priority = 2; /* no better */
    assert_int_equal(deliver(bench, prepare, 2)->kind, TN_MESSAGE_CLOSED);
    assert_int_equal(bench->effects.messages_count, 1);
    prepare.priority = 1;
    deliver(bench, prepare, 2);
    assert_int_equal(bench->effects.messages_count, 2);
    assert_int_equal(bench->effects.messages[1].kind, TN_MESSAGE_RELEASE);
    assert_int_equal(bench->effects.messages[1].successor, 2);
    assert_int_equal(bench->effects.messages[1].to, 7);
    assert_int_equal(bench->effects.notices[0].kind, TN_NOTICE_RELEASED);
    assert_int_equal(bench->effects.notices[0].node, 2);
    tn_lease_who(bench->lease, 0, "x", 1, bench->now, &view);
    assert_int_equal(view.owned, 0);
    assert_int_equal(view.wanted, 1); /* it stands back, and stays a candidate */

    bench->now += D_P; /* the preferred one did not take it: owned again, and kept for a while */
    step(bench, (struct tn_event){.kind = TN_EVENT_TIMER});
    assert_int_equal(bench->effects.messages[0].kind, TN_MESSAGE_PREPARE);
    struct tn_ballot again = bench->effects.messages[0].ballot;
    for (uint32_t i = 0; i < 4; i++) {
        enum tn_message_kind kind = i < 2 ? TN_MESSAGE_PROMISE : TN_MESSAGE_ACCEPTED;
        deliver(bench, about(bench, kind, again, "x"), (tn_node_id)(2 + i % 2));
    }
    deliver(bench, about(bench, TN_MESSAGE_ACCEPT, again, "x"), 1);
    prepare.ballot = ballot(again.counter / 65536 + 9, 2);
    assert_int_equal(deliver(bench, prepare, 2)->kind, TN_MESSAGE_CLOSED);
    assert_int_equal(bench->effects.messages_count, 1);
    end(bench);
}

/* An attempt of this node; node 2, the owner, has `refused` it, and releases to `successor`. */
static struct tn_ballot cross(struct bench *bench, bool refused, tn_node_id successor)
{
    struct tn_request acquire = {.kind = TN_REQUEST_ACQUIRE, .name_bytes = 1, .name = "x"};
    step(bench, (struct tn_event){.kind = TN_EVENT_REQUEST, .request = &acquire});
    struct tn_ballot mine = bench->effects.messages[0].ballot;
    if (refused) {
        deliver(bench, about(bench, TN_MESSAGE_CLOSED, mine, "x"), 2);
    }
    struct tn_message release = about(bench, TN_MESSAGE_RELEASE, ballot(3, 2), "x");
    release.successor = successor;
    deliver(bench, release, 2);
    return mine;
}

static void H1_a_release_that_crosses_an_attempt_is_heard(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 8; i++) {
        struct bench *bench = settled(8, TN_OBSERVE_ONLINE);
        tn_node_id successor = (tn_node_id)(i / 2);
        struct tn_ballot mine = cross(bench, i % 2 == 1, successor);
        tn_time wake = tn_lease_deadline(bench->lease);
        if (successor == 1) { /* named: it need not wait, and not for what it has not heard yet */
            assert_int_equal(wake, bench->now);
        } else if (i % 2 == 1) { /* what refused it is no more; who is not named stands back */
            tn_time back_off = bench->options.tables[0].back_off_ns;
            tn_time least = successor == 0 ? 0 : back_off;
            assert_in_range(wake, bench->now + least, bench->now + back_off);
        } else { /* nothing is known against it: it goes on until it is time to repeat it */
            assert_int_equal(wake, bench->now + bench->options.tables[0].resend_ns);
            end(bench);
            continue;
        }
        bench->now = wake;
        step(bench, (struct tn_event){.kind = TN_EVENT_TIMER});
        assert_int_equal(bench->effects.messages[0].kind, TN_MESSAGE_PREPARE);
        assert_true(tn_ballot_compare(bench->effects.messages[0].ballot, mine) > 0);
        deliver(bench, about(bench, TN_MESSAGE_CLOSED, mine, "x"), 3);
        assert_counted(bench, late);
        end(bench);
    }
}

static void P5_the_wait_is_what_the_refusals_said_and_a_random_part(void **state)
{
    (void)state;
    struct bench *bench = settled(8, TN_OBSERVE_ONLINE);
    struct tn_request acquire = {.kind = TN_REQUEST_ACQUIRE, .name_bytes = 1, .name = "x"};
    step(bench, (struct tn_event){.kind = TN_EVENT_REQUEST, .request = &acquire});
    struct tn_ballot mine = bench->effects.messages[0].ballot;
    assert_counted(bench, attempts);
    struct tn_message closed = about(bench, TN_MESSAGE_CLOSED, mine, "x");
    closed.lease = ballot(3, 3);
    closed.remaining = 4 * TN_SECOND;
    deliver(bench, closed, 2);
    closed.remaining = 6 * TN_SECOND;
    deliver(bench, closed, 3);
    assert_counted(bench, abandons);
    const struct tn_notice *notice = &bench->effects.notices[0];
    assert_int_equal(notice->kind, TN_NOTICE_FAILED);
    assert_int_equal(notice->reason, TN_REASON_HELD);
    assert_int_equal(notice->node, 3);
    assert_int_equal(notice->remaining, 6 * TN_SECOND);
    tn_time wake = tn_lease_deadline(bench->lease);
    assert_in_range(wake, bench->now + 6 * TN_SECOND,
                    bench->now + 6 * TN_SECOND + bench->options.tables[0].back_off_ns);
    bench->now = wake;
    step(bench, (struct tn_event){.kind = TN_EVENT_TIMER});
    assert_counted(bench, attempts);
    assert_true(tn_ballot_compare(bench->effects.messages[0].ballot, mine) > 0);
    end(bench);
}

static void P5_a_refusal_and_silence_end_the_attempt_before_the_deadline(void **state)
{
    (void)state;
    struct bench *bench = settled(8, TN_OBSERVE_ONLINE);
    struct tn_request acquire = {.kind = TN_REQUEST_ACQUIRE, .name_bytes = 1, .name = "x"};
    step(bench, (struct tn_event){.kind = TN_EVENT_REQUEST, .request = &acquire});
    struct tn_ballot mine = bench->effects.messages[0].ballot;
    struct tn_message rejected = about(bench, TN_MESSAGE_REJECTED, mine, "x");
    rejected.promised = ballot(mine.counter / 65536 + 50, 3);
    deliver(bench, rejected, 3); /* node 2 is down */
    bench->now += bench->options.tables[0].resend_ns;
    step(bench, (struct tn_event){.kind = TN_EVENT_TIMER});
    assert_int_equal(bench->effects.notices[0].reason, TN_REASON_OUTBID);
    assert_counted(bench, abandons);
    bench->now = tn_lease_deadline(bench->lease);
    step(bench, (struct tn_event){.kind = TN_EVENT_TIMER});
    assert_int_equal(bench->effects.messages[0].kind, TN_MESSAGE_PREPARE);
    assert_true(tn_ballot_compare(bench->effects.messages[0].ballot, rejected.promised) > 0);
    end(bench);
}

static void P3_repetitions_come_ever_more_seldom(void **state)
{
    (void)state;
    struct bench *bench = settled(8, TN_OBSERVE_ONLINE);
    struct tn_request acquire = {.kind = TN_REQUEST_ACQUIRE, .name_bytes = 1, .name = "x"};
    step(bench, (struct tn_event){.kind = TN_EVENT_REQUEST, .request = &acquire});
    tn_time began = bench->now;
    const uint32_t at[] = {1, 3, 7, 15}; /* sixteenths of D_P; then t_d */
    for (uint32_t i = 0; i < 4; i++) {
        bench->now = tn_lease_deadline(bench->lease);
        assert_int_equal(bench->now, began + at[i] * bench->options.tables[0].resend_ns);
        step(bench, (struct tn_event){.kind = TN_EVENT_TIMER});
        assert_int_equal(bench->effects.messages_count, 1);
    }
    assert_int_equal(tn_lease_deadline(bench->lease), began + D_P);
    end(bench);
}

static void L1_what_an_own_abandoned_attempt_left_behind_is_no_hint(void **state)
{
    (void)state;
    struct bench *bench = settled(8, TN_OBSERVE_ONLINE);
    deliver(bench, about(bench, TN_MESSAGE_ACCEPT, ballot(4, 1), "x"), 1);
    struct tn_lease_view view;
    tn_lease_who(bench->lease, 0, "x", 1, bench->now, &view);
    assert_int_equal(view.node, 0);
    end(bench);
}

static void P3_what_is_not_answered_is_repeated_to_the_silent_until_the_deadline(void **state)
{
    (void)state;
    struct bench *bench = settled(8, TN_OBSERVE_ONLINE);
    struct tn_request acquire = {.kind = TN_REQUEST_ACQUIRE, .name_bytes = 1, .name = "x"};
    step(bench, (struct tn_event){.kind = TN_EVENT_REQUEST, .request = &acquire});
    struct tn_ballot mine = bench->effects.messages[0].ballot;
    tn_time deadline = bench->now + D_P;
    deliver(bench, about(bench, TN_MESSAGE_PROMISE, mine, "x"), 2);
    bench->now += bench->options.tables[0].resend_ns;
    step(bench, (struct tn_event){.kind = TN_EVENT_TIMER});
    assert_int_equal(bench->effects.messages[0].kind, TN_MESSAGE_PREPARE);
    assert_int_equal(bench->effects.messages[0].to, 5); /* all but member 1 */
    assert_int_not_equal(bench->effects.messages[0].durations, 0);
    deliver(bench, about(bench, TN_MESSAGE_PROMISE, mine, "x"), 3);
    deliver(bench, about(bench, TN_MESSAGE_ACCEPTED, mine, "x"), 3);
    bench->now += bench->options.tables[0].resend_ns;
    step(bench, (struct tn_event){.kind = TN_EVENT_TIMER});
    assert_int_equal(bench->effects.messages[0].kind, TN_MESSAGE_ACCEPT);
    assert_int_equal(bench->effects.messages[0].to, 3); /* all but member 2 */
    bench->now = deadline;                              /* P5: at t_d at the latest */
    step(bench, (struct tn_event){.kind = TN_EVENT_TIMER});
    assert_int_equal(bench->effects.messages_count, 0);
    assert_int_equal(bench->effects.notices[0].reason, TN_REASON_NO_QUORUM);
    assert_counted(bench, abandons);
    end(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(A1_open_closed_and_rejected_say_what_the_asker_needs),
        cmocka_unit_test(A2_a_refusal_says_what_is_promised_and_what_is_in_the_way),
        cmocka_unit_test(A1_A2_a_copied_directory_gets_a_refusal_that_says_so),
        cmocka_unit_test(A3_a_release_frees_at_once_and_is_counted),
        cmocka_unit_test(A4_in_the_quarantine_there_is_no_answer_of_any_kind),
        cmocka_unit_test(A4_before_the_first_write_of_a_run_there_is_no_answer_either),
        cmocka_unit_test(
            F4_a_diskless_acceptor_answers_without_a_write_and_says_that_it_keeps_no_ceiling),
        cmocka_unit_test(F3_a_node_that_leaves_or_joins_is_silent),
        cmocka_unit_test(F3_a_failed_leave_stays_silent_and_a_failed_join_changes_nothing),
        cmocka_unit_test(a_full_table_is_told_to_the_asker),
        cmocka_unit_test(what_cannot_be_is_refused_and_counted),
        cmocka_unit_test(L1_hints_come_and_go_as_their_owner_says),
        cmocka_unit_test(L1_a_table_that_does_not_observe_keeps_no_hints),
        cmocka_unit_test(H3_an_owner_yields_to_a_preferred_asker_once_an_interval),
        cmocka_unit_test(H1_a_release_that_crosses_an_attempt_is_heard),
        cmocka_unit_test(P5_the_wait_is_what_the_refusals_said_and_a_random_part),
        cmocka_unit_test(P5_a_refusal_and_silence_end_the_attempt_before_the_deadline),
        cmocka_unit_test(P3_repetitions_come_ever_more_seldom),
        cmocka_unit_test(L1_what_an_own_abandoned_attempt_left_behind_is_no_hint),
        cmocka_unit_test(P3_what_is_not_answered_is_repeated_to_the_silent_until_the_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
