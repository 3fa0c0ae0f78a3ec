/* The clients of a node, one story a rule: C1 to C6 of lease_clients.h. The machine is played by
 * the test: it says what requests it expects and gives the notices. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "paxos/lease_clients.h"

#define MS TN_MILLISECOND
#define LEASE (10 * TN_SECOND)

/* One node's clients, the clock and the last output. */
struct stage {
    struct tn__lease_clients *clients;
    struct tn__lease_clients_output out;
    tn_time now;
    uint64_t cookie;
};

static int set_up(void **state)
{
    struct tn__lease_clients_options options = {
        .clients_max = 64, .drift_ppm = 500, .tables_count = 2, .random = 7};
    options.proposer_ns[0] = LEASE;
    options.proposer_ns[1] = TN_SECOND;
    struct stage *stage = calloc(1, sizeof(*stage));
    size_t size = tn__lease_clients_size(&options);
    void *memory = aligned_alloc(64, (size + 63) & ~(size_t)63);
    memset(memory, 0, size);
    stage->clients = tn__lease_clients_init(memory, &options);
    stage->now = 5 * TN_SECOND;
    *state = stage;
    return 0;
}

static int tear_down(void **state)
{
    struct stage *stage = *state;
    tn__lease_clients_check(stage->clients, stage->now);
    free(stage->clients);
    free(stage);
    return 0;
}

struct wish {
    tn_time wait;
    tn_time ttl;
    bool session;
    uint8_t priority;
    tn_node_id owner;
    tn_time remaining;
};

/* An acquire of "n" in table 0; returns the verdict, and the holding to `id`. */
static enum tn__client_verdict acquire(struct stage *stage, struct wish wish, uint64_t *id)
{
    struct tn__client_acquire call = {.cookie = ++stage->cookie,
                                      .now = stage->now,
                                      .wait_ns = wish.wait,
                                      .ttl_ns = wish.ttl,
                                      .session = wish.session,
                                      .priority = wish.priority,
                                      .node = wish.owner,
                                      .remaining = wish.remaining,
                                      .name = "n",
                                      .name_bytes = 1,
                                      .label = "me",
                                      .label_bytes = 2,
                                      .address = "[::1]:9",
                                      .address_bytes = 7};
    struct tn__client_place place = {0};
    struct tn__client_answer refused;
    enum tn__client_verdict verdict =
        tn__lease_clients_acquire(stage->clients, &call, &place, &refused, &stage->out);
    tn__lease_clients_check(stage->clients, stage->now);
    *id = place.holding;
    return verdict;
}

static void notice(struct stage *stage, enum tn_notice_kind kind, uint64_t token, tn_time span,
                   enum tn_reason reason)
{
    struct tn_notice given = {.kind = (uint8_t)kind,
                              .reason = (uint8_t)reason,
                              .name_bytes = 1,
                              .node = 3,
                              .token = token,
                              .deadline = stage->now + span,
                              .remaining = span,
                              .name = "n"};
    tn__lease_clients_notice(stage->clients, &given, stage->now, &stage->out);
    tn__lease_clients_check(stage->clients, stage->now);
}

static void timer(struct stage *stage, tn_time now)
{
    assert_true(now >= stage->now);
    stage->now = now;
    tn__lease_clients_timer(stage->clients, now, &stage->out);
    tn__lease_clients_check(stage->clients, now);
}

static void release(struct stage *stage, uint64_t id, enum tn__client_verdict verdict)
{
    assert_int_equal(tn__lease_clients_release(stage->clients, id, stage->now, &stage->out),
                     verdict);
    tn__lease_clients_check(stage->clients, stage->now);
}

static void gone(struct stage *stage, uint64_t id)
{
    tn__lease_clients_gone(stage->clients, id, stage->now, &stage->out);
    tn__lease_clients_check(stage->clients, stage->now);
}

/* The output is these requests (kinds ended by 0) ... */
static void asks(const struct stage *stage, const char *kinds)
{
    static const char letters[] = "?aordhf";
    char got[8] = "";
    assert_true(stage->out.requests_count < sizeof(got));
    for (uint32_t i = 0; i < stage->out.requests_count; i++) {
        const struct tn_request *request = &stage->out.requests[i];
        got[i] = letters[request->kind];
        assert_int_equal(request->name_bytes, 1);
        assert_int_equal(request->name[0], 'n');
    }
    assert_string_equal(got, kinds);
}

/* ... and this one answer, or none (kind 0). */
static const struct tn__client_answer *tells(const struct stage *stage, unsigned kind, uint64_t id)
{
    assert_int_equal(stage->out.answers_count, kind != 0);
    if (kind == 0) {
        return NULL;
    }
    assert_int_equal(stage->out.answers[0].kind, kind);
    assert_int_equal(stage->out.answers[0].holding, id);
    return &stage->out.answers[0];
}

/* A client that holds from now on, the node's lease running for LEASE. */
static uint64_t holder(struct stage *stage, struct wish wish, uint64_t token)
{
    uint64_t id;
    assert_int_equal(acquire(stage, wish, &id), TN__CLIENT_OK);
    asks(stage, "a");
    notice(stage, TN_NOTICE_OPENED, token, LEASE, 0);
    assert_int_equal(tells(stage, TN__CLIENT_GRANTED, id)->token, token);
    asks(stage, "");
    return id;
}

static uint64_t waiter(struct stage *stage, struct wish wish)
{
    uint64_t id;
    wish.wait = wish.wait != 0 ? wish.wait : 3600 * TN_SECOND;
    assert_int_equal(acquire(stage, wish, &id), TN__CLIENT_OK);
    tells(stage, 0, 0);
    return id;
}

static void C1_the_next_client_follows_a_release(void **state)
{
    struct stage *stage = *state;
    uint64_t first = holder(stage, (struct wish){0}, 10);
    uint64_t second = waiter(stage, (struct wish){0});
    uint64_t third = waiter(stage, (struct wish){0});
    asks(stage, "");
    release(stage, first, TN__CLIENT_OK);
    asks(stage, "o");
    tells(stage, 0, 0);
    notice(stage, TN_NOTICE_REOPENED, 20, LEASE, 0);
    assert_int_equal(tells(stage, TN__CLIENT_GRANTED, second)->token, 20);
    release(stage, first, TN__CLIENT_NO_HOLDING);
    release(stage, third, TN__CLIENT_NO_HOLDING); /* it waits: there is nothing to release yet */
    release(stage, second, TN__CLIENT_OK);
    notice(stage, TN_NOTICE_REOPENED, 30, LEASE, 0);
    tells(stage, TN__CLIENT_GRANTED, third);
    release(stage, third, TN__CLIENT_OK);
    asks(stage, "r");
    assert_int_equal(tn__lease_clients_deadline(stage->clients), TN_TIME_NEVER);
}

static void C1_a_holding_without_renewal_ends_with_its_time(void **state)
{
    struct stage *stage = *state;
    uint64_t first = holder(stage, (struct wish){.ttl = 2 * TN_SECOND}, 10);
    uint64_t second = waiter(stage, (struct wish){0});
    timer(stage, stage->now + 2 * TN_SECOND - 1);
    asks(stage, "");
    timer(stage, stage->now + 1);
    asks(stage, "o");
    tells(stage, 0, 0);
    notice(stage, TN_NOTICE_REOPENED, 11, LEASE, 0);
    tells(stage, TN__CLIENT_GRANTED, second);
    release(stage, first, TN__CLIENT_NO_HOLDING);
}

static void C1_a_session_ends_when_it_is_gone_and_its_time_has_run_out(void **state)
{
    struct stage *stage = *state;
    uint64_t first = holder(stage, (struct wish){.session = true}, 10);
    uint64_t second = waiter(stage, (struct wish){0});
    tn_time told = stage->now + LEASE;
    stage->now += 4 * TN_SECOND;
    gone(stage, first);
    asks(stage, "");
    notice(stage, TN_NOTICE_RENEWED, 10, LEASE, 0); /* the node goes on, the session does not */
    tells(stage, 0, 0);
    assert_int_equal(tn__lease_clients_deadline(stage->clients), told);
    timer(stage, told - 1);
    asks(stage, "");
    timer(stage, told);
    asks(stage, "o");
    notice(stage, TN_NOTICE_REOPENED, 11, LEASE, 0);
    tells(stage, TN__CLIENT_GRANTED, second);
}

static void C1_a_session_that_lasts_is_not_ended_by_time(void **state)
{
    struct stage *stage = *state;
    uint64_t first = holder(stage, (struct wish){.session = true}, 10);
    waiter(stage, (struct wish){0});
    for (int i = 0; i < 100; i++) {
        timer(stage, stage->now + LEASE / 2);
        asks(stage, "");
        notice(stage, TN_NOTICE_RENEWED, 10, LEASE, 0);
        tells(stage, TN__CLIENT_RENEWED, first);
    }
}

static void C1_a_lease_lost_before_its_time_keeps_the_next_client_waiting(void **state)
{
    struct stage *stage = *state;
    uint64_t first = holder(stage, (struct wish){.session = true}, 10);
    uint64_t second = waiter(stage, (struct wish){0});
    tn_time told = stage->now + LEASE;
    stage->now += TN_SECOND;
    notice(stage, TN_NOTICE_LOST, 10, 0, TN_REASON_CLOCK);
    assert_int_equal(tells(stage, TN__CLIENT_LOST, first)->verdict, TN__CLIENT_EXPIRED);
    asks(stage, "");
    notice(stage, TN_NOTICE_OPENED, 20, LEASE, 0);
    tells(stage, 0, 0);
    gone(stage, first);
    timer(stage, told);
    asks(stage, "o");
    notice(stage, TN_NOTICE_REOPENED, 21, LEASE, 0);
    tells(stage, TN__CLIENT_GRANTED, second);
}

static void C1_a_lost_lease_ends_the_holding_and_the_queue_goes_on(void **state)
{
    struct stage *stage = *state;
    uint64_t first = holder(stage, (struct wish){.session = true}, 10);
    uint64_t second = waiter(stage, (struct wish){0});
    stage->now += LEASE;
    notice(stage, TN_NOTICE_LOST, 10, 0, TN_REASON_EXPIRED);
    tells(stage, TN__CLIENT_LOST, first);
    asks(stage, ""); /* still wanted, for the second */
    struct tn__client_answer renewed;
    assert_int_equal(tn__lease_clients_renew(stage->clients, first, 0, stage->now, &renewed),
                     TN__CLIENT_NO_HOLDING);
    notice(stage, TN_NOTICE_OPENED, 20, LEASE, 0);
    tells(stage, TN__CLIENT_GRANTED, second);
    stage->now += LEASE;
    notice(stage, TN_NOTICE_LOST, 20, 0, TN_REASON_EXPIRED);
    tells(stage, 0, 0); /* not a session: nobody listens */
    asks(stage, "r");
}

static void C2_time_is_counted_from_the_send_less_the_drift(void **state)
{
    struct stage *stage = *state;
    assert_int_equal(tn__lease_clients_valid(100, 100, 500), 0);
    assert_int_equal(tn__lease_clients_valid(100, 99, 500), 0);
    assert_int_equal(tn__lease_clients_valid(0, LEASE, 0), LEASE);
    assert_int_equal(tn__lease_clients_valid(0, LEASE, 500), LEASE - LEASE / 1000);
    assert_int_equal(tn__lease_clients_valid(0, 3, 500), 2); /* rounded against the client */
    assert_int_equal(tn__lease_clients_valid(0, UINT64_MAX / 2, 333333),
                     UINT64_MAX / 2 -
                         (uint64_t)((long double)(UINT64_MAX / 2) * 2 * 333333 / 1000000) - 1);

    uint64_t id;
    assert_int_equal(acquire(stage, (struct wish){.wait = 60 * TN_SECOND}, &id), TN__CLIENT_OK);
    stage->now += 30 * TN_SECOND; /* it waited, so the count includes the wait */
    notice(stage, TN_NOTICE_OPENED, 10, LEASE, 0);
    assert_int_equal(tells(stage, TN__CLIENT_GRANTED, id)->valid_ns,
                     40 * TN_SECOND - 40 * TN_SECOND / 1000);
    stage->now += TN_SECOND;
    struct tn__client_answer renewed;
    assert_int_equal(tn__lease_clients_renew(stage->clients, id, 0, stage->now, &renewed),
                     TN__CLIENT_OK);
    assert_int_equal(renewed.valid_ns, 9 * TN_SECOND - 9 * TN_SECOND / 1000);
    assert_int_equal(renewed.renewals, 1);
}

static void C3_nobody_is_told_more_than_the_nodes_own_lease(void **state)
{
    struct stage *stage = *state;
    uint64_t id = holder(stage, (struct wish){.ttl = 3600 * TN_SECOND}, 10);
    assert_int_equal(stage->out.answers[0].valid_ns, LEASE - LEASE / 1000);
    stage->now += LEASE - 1;
    struct tn__client_answer renewed;
    assert_int_equal(tn__lease_clients_renew(stage->clients, id, 0, stage->now, &renewed),
                     TN__CLIENT_OK);
    assert_int_equal(renewed.valid_ns, 0);
    stage->now += 1; /* the deadline has passed; the notice is still on its way */
    assert_int_equal(tn__lease_clients_renew(stage->clients, id, 0, stage->now, &renewed),
                     TN__CLIENT_NO_HOLDING);
}

static void C4_a_token_of_its_own_is_waited_for(void **state)
{
    struct stage *stage = *state;
    uint64_t first = holder(stage, (struct wish){0}, 10);
    uint64_t second = waiter(stage, (struct wish){0});
    release(stage, first, TN__CLIENT_OK);
    asks(stage, "o");
    notice(stage, TN_NOTICE_RENEWED, 10, LEASE, 0); /* of an attempt under the old token */
    tells(stage, 0, 0);
    stage->now += LEASE;
    notice(stage, TN_NOTICE_LOST, 10, 0, TN_REASON_EXPIRED);
    tells(stage, 0, 0);
    notice(stage, TN_NOTICE_OPENED, 40, LEASE, 0);
    assert_int_equal(tells(stage, TN__CLIENT_GRANTED, second)->token, 40);
}

static void C5_a_priority_is_pinned_before_anybody_holds(void **state)
{
    struct stage *stage = *state;
    uint64_t first;
    acquire(stage, (struct wish){.wait = TN_SECOND, .priority = 5}, &first);
    assert_int_equal(stage->out.requests[0].priority, 5);
    uint64_t second;
    acquire(stage, (struct wish){.wait = TN_SECOND, .priority = 3}, &second);
    asks(stage, "a");
    assert_int_equal(stage->out.requests[0].priority, 3);
    acquire(stage, (struct wish){.wait = TN_SECOND, .priority = 9}, &second);
    asks(stage, "");
    notice(stage, TN_NOTICE_OPENED, 10, LEASE, 0);
    tells(stage, 0, 0);
    asks(stage, "ao");
    assert_int_equal(stage->out.requests[0].priority, 0);
    notice(stage, TN_NOTICE_RELEASED, 10, 0, 0); /* H3 struck in the same step: nobody was told */
    tells(stage, 0, 0);
    notice(stage, TN_NOTICE_OPENED, 11, LEASE, 0);
    assert_int_equal(tells(stage, TN__CLIENT_GRANTED, first)->token, 11);
}

static void C6_a_hand_over_waits_for_the_holder(void **state)
{
    struct stage *stage = *state;
    tn_time left;
    assert_int_equal(
        tn__lease_clients_hand_over(stage->clients, 0, "n", 1, 2, stage->now, &left, &stage->out),
        TN__CLIENT_NOT_OWNER);
    uint64_t first = holder(stage, (struct wish){.session = true}, 10);
    tn_time told = stage->now + LEASE;
    waiter(stage, (struct wish){0});
    stage->now += TN_SECOND;
    assert_int_equal(
        tn__lease_clients_hand_over(stage->clients, 0, "n", 1, 2, stage->now, &left, &stage->out),
        TN__CLIENT_ENDING);
    assert_int_equal(left, told - stage->now);
    tells(stage, TN__CLIENT_LEAVING, first);
    asks(stage, "");
    struct tn__client_answer renewed;
    assert_int_equal(tn__lease_clients_renew(stage->clients, first, 0, stage->now, &renewed),
                     TN__CLIENT_ENDING);
    notice(stage, TN_NOTICE_RENEWED, 10, LEASE, 0);
    tells(stage, 0, 0);
    timer(stage, told - 1);
    asks(stage, "");
    timer(stage, told);
    assert_int_equal(tells(stage, TN__CLIENT_LOST, first)->verdict, TN__CLIENT_HANDED_OVER);
    asks(stage, "ha");
    assert_int_equal(stage->out.requests[0].successor, 2);
    notice(stage, TN_NOTICE_RELEASED, 10, 0, 0);
    asks(stage, "");
}

static void C6_a_hand_over_follows_a_release_at_once(void **state)
{
    struct stage *stage = *state;
    uint64_t first = holder(stage, (struct wish){0}, 10);
    tn_time left;
    tn__lease_clients_hand_over(stage->clients, 0, "n", 1, 2, stage->now, &left, &stage->out);
    tells(stage, 0, 0);
    release(stage, first, TN__CLIENT_OK);
    asks(stage, "h");
    assert_int_equal(tn__lease_clients_deadline(stage->clients), TN_TIME_NEVER);
}

static void a_try_is_answered_by_the_first_attempt(void **state)
{
    struct stage *stage = *state;
    uint64_t id;
    struct wish known = {.owner = 2, .remaining = TN_SECOND};
    assert_int_equal(acquire(stage, known, &id), TN__CLIENT_HELD);
    asks(stage, "");
    static const struct {
        enum tn_notice_kind kind;
        enum tn_reason reason;
        enum tn__client_verdict verdict;
    } cases[] = {
        {TN_NOTICE_FAILED, TN_REASON_HELD, TN__CLIENT_HELD},
        {TN_NOTICE_FAILED, TN_REASON_NO_QUORUM, TN__CLIENT_NO_QUORUM},
        {TN_NOTICE_FAILED, TN_REASON_OUTBID, TN__CLIENT_OK},
        {TN_NOTICE_LEARNED, TN_REASON_NONE, TN__CLIENT_HELD},
        {TN_NOTICE_FREED, TN_REASON_NONE, TN__CLIENT_OK},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(acquire(stage, (struct wish){0}, &id), TN__CLIENT_OK);
        asks(stage, "a");
        notice(stage, cases[i].kind, 0, TN_SECOND, cases[i].reason);
        if (cases[i].verdict == TN__CLIENT_OK) {
            tells(stage, 0, 0);
            gone(stage, id);
        } else {
            const struct tn__client_answer *told = tells(stage, TN__CLIENT_FAILED, id);
            assert_int_equal(told->verdict, cases[i].verdict);
            assert_int_equal(told->node, cases[i].verdict == TN__CLIENT_HELD ? 3 : 0);
        }
        asks(stage, "r");
    }
}

static void a_try_ends_even_if_the_machine_is_silent(void **state)
{
    struct stage *stage = *state;
    uint64_t id;
    acquire(stage, (struct wish){0}, &id);
    timer(stage, stage->now + 2 * LEASE);
    assert_int_equal(tells(stage, TN__CLIENT_FAILED, id)->verdict, TN__CLIENT_NO_QUORUM);
    asks(stage, "r");
}

static void a_try_behind_another_client_is_refused(void **state)
{
    struct stage *stage = *state;
    uint64_t id;
    waiter(stage, (struct wish){0});
    assert_int_equal(acquire(stage, (struct wish){0}, &id), TN__CLIENT_HELD);
    notice(stage, TN_NOTICE_OPENED, 10, LEASE, 0);
    assert_int_equal(acquire(stage, (struct wish){0}, &id), TN__CLIENT_HELD);
}

static void a_wait_ends_at_its_limit_and_is_cancelled_by_going(void **state)
{
    struct stage *stage = *state;
    uint64_t first = waiter(stage, (struct wish){.wait = TN_SECOND});
    uint64_t second = waiter(stage, (struct wish){0});
    notice(stage, TN_NOTICE_FAILED, 0, TN_SECOND, TN_REASON_NO_QUORUM);
    tells(stage, 0, 0); /* the machine goes on trying, and so do they */
    timer(stage, stage->now + TN_SECOND);
    assert_int_equal(tells(stage, TN__CLIENT_FAILED, first)->verdict, TN__CLIENT_TIMEOUT);
    asks(stage, "");
    gone(stage, second);
    asks(stage, "r");
    gone(stage, second);
    asks(stage, "");
}

static void a_full_table_fails_everybody_who_waits(void **state)
{
    struct stage *stage = *state;
    uint64_t ids[40];
    for (int i = 0; i < 40; i++) {
        ids[i] = waiter(stage, (struct wish){0});
    }
    notice(stage, TN_NOTICE_FAILED, 0, 0, TN_REASON_FULL);
    uint64_t late;
    assert_int_equal(acquire(stage, (struct wish){.wait = TN_SECOND}, &late), TN__CLIENT_FULL);
    int failed = 0;
    for (int step = 0; step < 10 && tn__lease_clients_deadline(stage->clients) <= stage->now;
         step++) {
        timer(stage, stage->now);
        for (uint32_t i = 0; i < stage->out.answers_count; i++) {
            assert_int_equal(stage->out.answers[i].verdict, TN__CLIENT_FULL);
            failed++;
        }
    }
    assert_int_equal(failed, 40);
    asks(stage, "r");
    assert_int_not_equal(ids[0], ids[1]);
}

static void the_number_of_clients_is_bounded(void **state)
{
    struct stage *stage = *state;
    uint64_t id = 0;
    for (int i = 0; i < 64; i++) {
        waiter(stage, (struct wish){0});
    }
    assert_int_equal(acquire(stage, (struct wish){.wait = TN_SECOND}, &id), TN__CLIENT_BUSY);
    struct tn__lease_clients_status status;
    tn__lease_clients_status(stage->clients, &status);
    assert_int_equal(status.waiting, 64);
    assert_int_equal(status.refused_busy, 1);
}

static void a_renewal_extends_a_holding(void **state)
{
    struct stage *stage = *state;
    uint64_t id = holder(stage, (struct wish){.ttl = TN_SECOND}, 10);
    for (int i = 1; i <= 5; i++) {
        stage->now += TN_SECOND / 2;
        struct tn__client_answer renewed;
        assert_int_equal(tn__lease_clients_renew(stage->clients, id, 0, stage->now, &renewed),
                         TN__CLIENT_OK);
        assert_int_equal(renewed.valid_ns, TN_SECOND - TN_SECOND / 1000);
        timer(stage, stage->now);
        asks(stage, "");
    }
    struct tn__client_answer renewed;
    tn__lease_clients_renew(stage->clients, id, 10 * MS, stage->now, &renewed);
    timer(stage, stage->now + TN_SECOND - 1);
    asks(stage, ""); /* a shorter term takes nothing back that was told */
    timer(stage, stage->now + 1);
    asks(stage, "r");
}

static void who_shows_the_holders_label_and_address(void **state)
{
    struct stage *stage = *state;
    struct tn__lease_clients_view view;
    tn__lease_clients_who(stage->clients, 0, "n", 1, stage->now, &view);
    assert_false(view.used);
    holder(stage, (struct wish){.ttl = TN_SECOND}, 10);
    waiter(stage, (struct wish){0});
    tn__lease_clients_who(stage->clients, 0, "n", 1, stage->now, &view);
    assert_true(view.used && view.held);
    assert_int_equal(view.waiting, 1);
    assert_memory_equal(view.label, "me", 2);
    assert_memory_equal(view.address, "[::1]:9", 7);
    assert_int_equal(view.remaining, TN_SECOND);
    tn__lease_clients_who(stage->clients, 1, "n", 1, stage->now, &view);
    assert_false(view.used); /* another table is another name */
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(C1_the_next_client_follows_a_release),
        STORY(C1_a_holding_without_renewal_ends_with_its_time),
        STORY(C1_a_session_ends_when_it_is_gone_and_its_time_has_run_out),
        STORY(C1_a_session_that_lasts_is_not_ended_by_time),
        STORY(C1_a_lease_lost_before_its_time_keeps_the_next_client_waiting),
        STORY(C1_a_lost_lease_ends_the_holding_and_the_queue_goes_on),
        STORY(C2_time_is_counted_from_the_send_less_the_drift),
        STORY(C3_nobody_is_told_more_than_the_nodes_own_lease),
        STORY(C4_a_token_of_its_own_is_waited_for),
        STORY(C5_a_priority_is_pinned_before_anybody_holds),
        STORY(C6_a_hand_over_waits_for_the_holder),
        STORY(C6_a_hand_over_follows_a_release_at_once),
        STORY(a_try_is_answered_by_the_first_attempt),
        STORY(a_try_ends_even_if_the_machine_is_silent),
        STORY(a_try_behind_another_client_is_refused),
        STORY(a_wait_ends_at_its_limit_and_is_cancelled_by_going),
        STORY(a_full_table_fails_everybody_who_waits),
        STORY(the_number_of_clients_is_bounded),
        STORY(a_renewal_extends_a_holding),
        STORY(who_shows_the_holders_label_and_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
