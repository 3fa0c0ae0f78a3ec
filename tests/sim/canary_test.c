/* Is the judge awake? Worlds that break what safety rests on, and histories made by hand that break
 * one invariant each: the judge must name it. The worlds at the bound beside them must pass. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "support/world_script.h"

#define RHO 333333U
#define EVERYBODY 0x7fU

static struct tn__world_options three(void)
{
    return (struct tn__world_options){
        .nodes_count = 3,
        .drift_ppm = RHO,
        .tables = {{.proposer_ns = TN_SECOND, .renew_ns = 900 * TN_MILLISECOND, .names_max = 16}}};
}

static void begin(struct world_script *script)
{
    struct tn__world_options options = three();
    script_begin(script, &options);
}

/* Node 0 wins with the votes of 0 and 1; nothing more of it is heard. */
static void node_0_wins(struct world_script *script)
{
    tn__world_ask(script->world, 0, TN_REQUEST_ACQUIRE, "a");
    script_deliver(script, 3);
    assert_true(script_owns(script, 0, "a"));
    assert_int_equal(tn__lease_judge_violations_count(script->judge), 0);
}

/* When acceptor 1 lets go of what it granted just now, in real time; node 2 asks right then. */
static void node_2_asks_when_1_lets_go(struct world_script *script, tn_time acceptor_ns)
{
    tn_time until = tn__world_local(script->world, 1) + acceptor_ns;
    tn_time real = tn__world_real(script->world, 1, until);
    while (tn__world_step(script->world, real)) {
        script_deliver(script, 0);
    }
    tn__world_ask(script->world, 2, TN_REQUEST_ACQUIRE, "a");
    script_deliver(script, 6);
}

static void run_rates(struct world_script *script, uint32_t owner_ppm)
{
    begin(script);
    tn__world_set_rate(script->world, 0, owner_ppm, 0);
    tn__world_set_rate(script->world, 1, 1000000 + RHO, 0);
    node_0_wins(script);
    node_2_asks_when_1_lets_go(script,
                               tn__world_lease_options(script->world)->tables[0].acceptor_ns);
    assert_true(script_owns(script, 2, "a"));
}

static void T2_holds_at_the_bound_of_rho(void **state)
{
    (void)state;
    struct world_script script;
    run_rates(&script, 1000000 - RHO);
    assert_false(script_owns(&script, 0, "a"));
    assert_int_equal(tn__lease_judge_violations_count(script.judge), 0);
    script_end(&script);
}

static void T2_one_step_beyond_rho_gives_two_owners_and_L1_and_L4_see_it(void **state)
{
    (void)state;
    struct world_script script;
    begin(&script);
    tn__world_set_rate(script.world, 0, 1000000 - RHO - 1, 0);
    tn__world_set_rate(script.world, 1, 1000000 + RHO, 0);
    tn__world_ask(script.world, 0, TN_REQUEST_ACQUIRE, "a");
    script_deliver(&script, 3);
    assert_int_equal(script_violations(&script, "inv.L4"), 1);
    node_2_asks_when_1_lets_go(&script,
                               tn__world_lease_options(script.world)->tables[0].acceptor_ns);
    assert_true(script_owns(&script, 0, "a"));
    assert_true(script_owns(&script, 2, "a"));
    assert_int_equal(script_violations(&script, "inv.L1"), 1);
    script_end(&script);
}

static void T1_a_time_read_before_the_bytes_is_seen_by_L4(void **state)
{
    (void)state;
    struct world_script script;
    begin(&script);
    tn__world_ask(script.world, 0, TN_REQUEST_ACQUIRE, "a");
    tn__world_set_lag(script.world, 1, TN_SECOND + TN_SECOND / 2);
    script_deliver(&script, 3); /* the acceptor counts from a time long past */
    tn__world_set_lag(script.world, 1, 0);
    assert_true(script_owns(&script, 0, "a"));
    tn_time early =
        tn__world_lease_options(script.world)->tables[0].acceptor_ns - TN_SECOND - TN_SECOND / 2;
    node_2_asks_when_1_lets_go(&script, early);
    assert_int_equal(script_violations(&script, "inv.L1"), 1);
    script_end(&script);
}

static void T5_a_clock_that_jumps_ahead_is_seen_by_L1(void **state)
{
    (void)state;
    struct world_script script;
    begin(&script);
    node_0_wins(&script);
    tn__world_jump(script.world, 1, 3 * TN_SECOND);
    tn__world_ask(script.world, 2, TN_REQUEST_ACQUIRE, "a");
    script_deliver(&script, 6);
    assert_int_equal(script_violations(&script, "inv.L1"), 1);
    script_end(&script);
}

static void T4_an_owner_whose_clock_stands_still_is_seen_by_L1(void **state)
{
    (void)state;
    struct world_script script;
    begin(&script);
    node_0_wins(&script);
    tn__world_pause(script.world, 0);
    tn__world_set_rate(script.world, 0, 0, 0);
    node_2_asks_when_1_lets_go(&script,
                               tn__world_lease_options(script.world)->tables[0].acceptor_ns);
    assert_int_equal(script_violations(&script, "inv.L1"), 1);
    script_end(&script);
}

static void A4_without_quarantine_a_restart_gives_two_owners_and_L1_sees_it(void **state)
{
    (void)state;
    struct world_script script;
    struct tn__world_options options = three();
    options.unchecked = 1;
    options.tables[0].acceptor_ns = 2 * TN_SECOND;
    options.tables[0].quarantine_ns = TN_MILLISECOND;
    script_begin(&script, &options);
    for (uint32_t i = 0; i < 2; i++) { /* F2: lift its ballots above the restarted floor */
        tn__world_crash(script.world, 2, TN_SIM_DISK_ANY, 0);
        assert_int_equal(tn__world_start(script.world, 2, false), 0);
        tn__world_run(script.world, tn__world_now(script.world) + 2 * TN_MILLISECOND);
        script_finish_writes(&script);
    }
    node_0_wins(&script);
    tn__world_crash(script.world, 1, TN_SIM_DISK_ANY, 0);
    assert_int_equal(tn__world_start(script.world, 1, false), 0);
    tn__world_run(script.world, tn__world_now(script.world) + 2 * TN_MILLISECOND);
    script_finish_writes(&script);
    assert_true(script_owns(&script, 0, "a"));
    tn__world_ask(script.world, 2, TN_REQUEST_ACQUIRE, "a");
    script_deliver(&script, 6);
    assert_true(script_owns(&script, 2, "a"));
    assert_int_equal(script_violations(&script, "inv.L1"), 1);
    script_end(&script);
}

static void F1_a_forgotten_ceiling_makes_tokens_fall_and_L11_sees_it(void **state)
{
    (void)state;
    struct world_script script;
    begin(&script);
    struct tn__sim_disk *old[3];
    for (uint32_t i = 0; i < 3; i++) {
        old[i] = tn__sim_disk_copy(tn__world_disk(script.world, i), i);
    }
    for (uint32_t i = 0; i < 6; i++) { /* each start raises the ceiling by a stride */
        tn__world_crash(script.world, i % 3, TN_SIM_DISK_ANY, 0);
        assert_int_equal(tn__world_start(script.world, i % 3, false), 0);
        tn__world_run(script.world, tn__world_now(script.world) + 5 * TN_SECOND);
        script_finish_writes(&script);
    }
    node_0_wins(&script);
    for (uint32_t i = 0; i < 3; i++) {
        tn__world_crash(script.world, i, TN_SIM_DISK_ANY, 0);
        tn__sim_disk_free(tn__world_swap_disk(script.world, i, old[i]));
        assert_int_equal(tn__world_start(script.world, i, false), 0);
    }
    tn__world_run(script.world, tn__world_now(script.world) + 5 * TN_SECOND);
    tn__world_ask(script.world, 2, TN_REQUEST_ACQUIRE, "a");
    script_deliver(&script, 6);
    assert_true(script_owns(&script, 2, "a"));
    assert_int_equal(script_violations(&script, "inv.L11"), 1);
    script_end(&script);
}

/* ---- The membership ------------------------------------------------------------------------- */

static void ask_all(struct world_script *script, uint32_t nodes, const struct tn_request *request)
{
    for (uint32_t i = 0; i < tn__world_nodes(script->world); i++) {
        if ((nodes >> i & 1U) != 0) {
            tn__world_request(script->world, i, request);
            script_finish_writes(script);
        }
    }
}

/* Five members; node 4 owns through 2, 3 and 4. Then 0, 1 and 2 leave and become the members. */
static void shrink_five_to_three(struct world_script *script, uint32_t larger_step)
{
    struct tn__world_options options = three();
    options.nodes_count = 5;
    script_begin(script, &options);
    tn__world_ask(script->world, 4, TN_REQUEST_ACQUIRE, "a");
    script_deliver(script, 0x1c);
    assert_true(script_owns(script, 4, "a"));
    const struct tn_request leave = {.kind = TN_REQUEST_LEAVE};
    ask_all(script, 7, &leave);
    struct tn_request join = {.kind = TN_REQUEST_JOIN,
                              .configuration = 2,
                              .larger_step = (uint8_t)larger_step,
                              .members_count = 3,
                              .members = {1, 2, 3}};
    for (uint32_t i = 0; i < 3; i++) {
        uint64_t ceiling = tn__world_ceiling(script->world, i);
        join.ceiling = ceiling > join.ceiling ? ceiling : join.ceiling;
    }
    ask_all(script, 7, &join);
    assert_int_equal(tn__lease_judge_violations_count(script->judge), 0);
    tn__world_ask(script->world, 0, TN_REQUEST_ACQUIRE, "a");
    script_deliver(script, 3);
}

static void F3_a_larger_step_that_is_waited_out_breaks_nothing(void **state)
{
    (void)state;
    struct world_script script;
    shrink_five_to_three(&script, 1);
    assert_true(script_owns(&script, 4, "a"));
    assert_false(script_owns(&script, 0, "a"));
    for (uint32_t i = 0; i < 100 && !script_owns(&script, 0, "a"); i++) {
        tn__world_run(script.world, tn__world_now(script.world) + TN_SECOND / 4);
        script_deliver(&script, 7);
    }
    assert_true(script_owns(&script, 0, "a"));
    assert_false(script_owns(&script, 4, "a"));
    assert_int_equal(tn__lease_judge_violations_count(script.judge), 0);
    script_end(&script);
}

static void F3_without_the_wait_there_are_two_owners_and_L1_L12_and_F3_see_it(void **state)
{
    (void)state;
    struct world_script script;
    shrink_five_to_three(&script, 0);
    assert_true(script_owns(&script, 4, "a"));
    assert_true(script_owns(&script, 0, "a"));
    assert_int_equal(script_violations(&script, "inv.L1"), 1);
    assert_int_equal(script_violations(&script, "inv.L12"), 1);
    assert_int_not_equal(script_violations(&script, "F3"), 0);
    assert_int_equal(script_violations(&script, "inv.L3"), 0); /* it is a majority of its version */
    script_end(&script);
}

/* ---- Histories made by hand ----------------------------------------------------------------- */

static void see(struct world_script *script, uint32_t process, struct tn__sight sight)
{
    sight.process = process;
    sight.real = tn__world_now(script->world);
    sight.local = tn__world_local(script->world, process);
    tn__lease_judge_see(script->judge, &sight);
}

static struct tn_ballot ballot_of(struct world_script *script, uint32_t process, uint64_t attempt)
{
    return (struct tn_ballot){.counter = attempt << 16 | (process + 1),
                              .restart_word = tn__world_restart_word(script->world, process)};
}

static struct tn_message message_of(enum tn_message_kind kind, struct tn_ballot ballot)
{
    return (struct tn_message){
        .kind = (uint8_t)kind, .configuration = 1, .name_bytes = 1, .name = "a", .ballot = ballot};
}

static void see_sent(struct world_script *script, uint32_t process, enum tn_message_kind kind,
                     struct tn_ballot ballot)
{
    struct tn_message message = message_of(kind, ballot);
    see(script, process, (struct tn__sight){.kind = TN_SIGHT_SENT, .message = &message});
}

static void see_received(struct world_script *script, uint32_t process, uint32_t from,
                         enum tn_message_kind kind, struct tn_ballot ballot)
{
    struct tn_message message = message_of(kind, ballot);
    message.from = (uint8_t)from;
    struct tn_event event = {
        .kind = TN_EVENT_FRAME, .from = from, .items = &message, .items_count = 1};
    see(script, process, (struct tn__sight){.kind = TN_SIGHT_EVENT, .event = &event});
}

static void see_notice(struct world_script *script, uint32_t process, enum tn_notice_kind kind,
                       struct tn_ballot ballot, tn_time deadline)
{
    struct tn_notice notice = {.kind = (uint8_t)kind,
                               .name_bytes = 1,
                               .name = "a",
                               .ballot = ballot,
                               .token = ballot.counter,
                               .deadline = deadline};
    see(script, process, (struct tn__sight){.kind = TN_SIGHT_NOTICE, .notice = &notice});
}

static void L2_sees_a_deadline_that_is_too_late(void **state)
{
    (void)state;
    struct world_script script;
    begin(&script);
    struct tn_ballot ballot = ballot_of(&script, 0, 5);
    see_sent(&script, 0, TN_MESSAGE_PREPARE, ballot);
    see_notice(&script, 0, TN_NOTICE_OPENED, ballot,
               tn__world_local(script.world, 0) + TN_SECOND + 1);
    assert_int_equal(script_violations(&script, "inv.L2"), 1);
    script_end(&script);
}

static void L2_sees_an_owner_without_an_activation(void **state)
{
    (void)state;
    struct world_script script;
    begin(&script);
    node_0_wins(&script);
    see_notice(&script, 0, TN_NOTICE_LOST, ballot_of(&script, 0, 1), 0);
    see(&script, 0, (struct tn__sight){.kind = TN_SIGHT_TURN_ENDED});
    assert_int_equal(script_violations(&script, "inv.L2"), 1);
    script_end(&script);
}

static void L2_sees_a_learn_without_a_lease(void **state)
{
    (void)state;
    struct world_script script;
    begin(&script);
    see_sent(&script, 0, TN_MESSAGE_LEARN, ballot_of(&script, 0, 5));
    see(&script, 0, (struct tn__sight){.kind = TN_SIGHT_TURN_ENDED});
    assert_int_equal(script_violations(&script, "inv.L2"), 1);
    script_end(&script);
}

static void L3_counts_members_and_not_messages(void **state)
{
    (void)state;
    struct world_script script;
    struct tn__world_options options = three();
    options.nodes_count = 5;
    script_begin(&script, &options);
    struct tn_ballot ballot = ballot_of(&script, 0, 5);
    see_sent(&script, 0, TN_MESSAGE_PREPARE, ballot);
    for (uint32_t i = 0; i < 3; i++) {
        see_received(&script, 0, 1, TN_MESSAGE_ACCEPTED, ballot);
    }
    see_notice(&script, 0, TN_NOTICE_OPENED, ballot, tn__world_local(script.world, 0) + 1);
    assert_int_equal(script_violations(&script, "inv.L3"), 1);
    script_end(&script);
}

static void L5_sees_an_answer_in_the_quarantine(void **state)
{
    (void)state;
    struct world_script script;
    begin(&script);
    tn__world_crash(script.world, 1, TN_SIM_DISK_ANY, 0);
    assert_int_equal(tn__world_start(script.world, 1, false), 0);
    see_sent(&script, 1, TN_MESSAGE_CLOSED, ballot_of(&script, 0, 5));
    assert_int_equal(script_violations(&script, "inv.L5"), 1);
    script_end(&script);
}

static void L6_sees_a_ballot_used_twice(void **state)
{
    (void)state;
    struct world_script script;
    begin(&script);
    see_sent(&script, 0, TN_MESSAGE_PREPARE, ballot_of(&script, 0, 5));
    struct tn_message other = message_of(TN_MESSAGE_PREPARE, ballot_of(&script, 0, 5));
    other.name[0] = 'b';
    see(&script, 0, (struct tn__sight){.kind = TN_SIGHT_SENT, .message = &other});
    assert_int_equal(script_violations(&script, "inv.L6"), 1);
    script_end(&script);
}

static void L6_sees_a_counter_used_by_two_incarnations(void **state)
{
    (void)state;
    struct world_script script;
    begin(&script);
    see_sent(&script, 0, TN_MESSAGE_PREPARE, ballot_of(&script, 0, 5));
    tn__world_crash(script.world, 0, TN_SIM_DISK_ANY, 0);
    assert_int_equal(tn__world_start(script.world, 0, false), 0);
    see_sent(&script, 0, TN_MESSAGE_PREPARE, ballot_of(&script, 0, 5));
    assert_int_equal(script_violations(&script, "inv.L6"), 1);
    script_end(&script);
}

/* Acceptor 1 grants to node 0, hears perhaps a release of `released`, then grants to node 2. */
static void two_grants(struct world_script *script, uint64_t released)
{
    struct tn_ballot first = ballot_of(script, 0, 5);
    struct tn_ballot second = ballot_of(script, 2, 6);
    see_received(script, 1, 0, TN_MESSAGE_ACCEPT, first);
    see_sent(script, 1, TN_MESSAGE_ACCEPTED, first);
    if (released != 0) {
        see_received(script, 1, 0, TN_MESSAGE_RELEASE, ballot_of(script, 0, released));
    }
    see_received(script, 1, 2, TN_MESSAGE_ACCEPT, second);
    see_sent(script, 1, TN_MESSAGE_ACCEPTED, second);
}

static void L7_sees_a_live_lease_replaced_and_L8_a_release_of_another(void **state)
{
    (void)state;
    struct world_script script;
    begin(&script);
    two_grants(&script, 5); /* released exactly: nothing is wrong */
    assert_int_equal(tn__lease_judge_violations_count(script.judge), 0);
    script_end(&script);
    begin(&script);
    two_grants(&script, 0);
    assert_int_equal(script_violations(&script, "inv.L7"), 1);
    script_end(&script);
    begin(&script);
    two_grants(&script, 4);
    assert_int_equal(script_violations(&script, "inv.L8"), 1);
    script_end(&script);
}

static void L7_takes_an_accept_and_its_release_in_one_frame_for_released(void **state)
{
    (void)state;
    struct world_script script;
    begin(&script);
    struct tn_ballot first = ballot_of(&script, 0, 5);
    struct tn_ballot second = ballot_of(&script, 2, 6);
    const struct tn_message items[2] = {message_of(TN_MESSAGE_ACCEPT, first),
                                        message_of(TN_MESSAGE_RELEASE, first)};
    struct tn_event event = {.kind = TN_EVENT_FRAME, .items = items, .items_count = 2};
    see(&script, 1, (struct tn__sight){.kind = TN_SIGHT_EVENT, .event = &event});
    see_sent(&script, 1, TN_MESSAGE_ACCEPTED, first);
    see_received(&script, 1, 2, TN_MESSAGE_ACCEPT, second);
    see_sent(&script, 1, TN_MESSAGE_ACCEPTED, second);
    assert_int_equal(tn__lease_judge_violations_count(script.judge), 0);
    script_end(&script);
}

static void L9_sees_a_lease_that_changed_by_itself(void **state)
{
    (void)state;
    struct world_script script;
    begin(&script);
    see_notice(&script, 0, TN_NOTICE_OPENED, ballot_of(&script, 0, 5),
               tn__world_local(script.world, 0) + TN_SECOND);
    see(&script, 0, (struct tn__sight){.kind = TN_SIGHT_TURN_ENDED}); /* the node knows nothing */
    assert_int_equal(script_violations(&script, "inv.L9"), 1);
    script_end(&script);
}

static void L10_sees_a_hint_that_lasts_too_long(void **state)
{
    (void)state;
    struct world_script script;
    begin(&script);
    node_0_wins(&script);
    /* Let the judge believe in a shorter D_A than the nodes have. */
    struct tn_lease_options *believed =
        (struct tn_lease_options *)(uintptr_t)tn__world_lease_options(script.world);
    believed->tables[0].acceptor_ns = TN_MILLISECOND;
    see(&script, 1, (struct tn__sight){.kind = TN_SIGHT_TURN_ENDED});
    assert_int_equal(script_violations(&script, "inv.L10"), 1);
    script_end(&script);
}

static void L12_sees_certificates_without_a_common_member(void **state)
{
    (void)state;
    struct world_script script;
    begin(&script);
    struct tn_ballot first = ballot_of(&script, 0, 5);
    struct tn_ballot second = ballot_of(&script, 2, 6);
    tn_time now = tn__world_local(script.world, 0);
    see_sent(&script, 0, TN_MESSAGE_PREPARE, first);
    see_received(&script, 0, 1, TN_MESSAGE_ACCEPTED, first);
    see_notice(&script, 0, TN_NOTICE_OPENED, first, now + 1);
    see_sent(&script, 2, TN_MESSAGE_PREPARE, second);
    see_received(&script, 2, 0, TN_MESSAGE_ACCEPTED, second);
    see_notice(&script, 2, TN_NOTICE_OPENED, second, now + 1);
    assert_int_equal(script_violations(&script, "inv.L12"), 1);
    script_end(&script);
}

static void F3_sees_what_is_said_for_another_version_or_one_left(void **state)
{
    (void)state;
    struct world_script script;
    begin(&script);
    struct tn_message message = message_of(TN_MESSAGE_PROMISE, ballot_of(&script, 0, 5));
    message.configuration = 2;
    struct tn_event event = {.kind = TN_EVENT_TIMER}; /* else it was said before, and waited */
    see(&script, 1, (struct tn__sight){.kind = TN_SIGHT_EVENT, .event = &event});
    see(&script, 1, (struct tn__sight){.kind = TN_SIGHT_SENT, .message = &message});
    assert_int_equal(script_violations(&script, "F3"), 1);
    const struct tn_notice left = {.kind = TN_NOTICE_LEFT};
    see(&script, 1, (struct tn__sight){.kind = TN_SIGHT_NOTICE, .notice = &left});
    see_sent(&script, 1, TN_MESSAGE_PROMISE, ballot_of(&script, 0, 5));
    assert_int_equal(script_violations(&script, "F3"), 2);
    script_end(&script);
}

static void F3_sees_a_node_go_back_to_an_older_version(void **state)
{
    (void)state;
    struct world_script script;
    begin(&script);
    struct tn__sim_disk *old = tn__sim_disk_copy(tn__world_disk(script.world, 1), 1);
    const struct tn_request join = {
        .kind = TN_REQUEST_JOIN, .configuration = 2, .members_count = 3, .members = {1, 2, 3}};
    ask_all(&script, 2, &join);
    tn__world_crash(script.world, 1, TN_SIM_DISK_ANY, 0);
    tn__sim_disk_free(tn__world_swap_disk(script.world, 1, old));
    assert_int_equal(tn__world_start(script.world, 1, false), 0);
    assert_int_equal(script_violations(&script, "F3"), 1);
    script_end(&script);
}

static void F3_a_copy_that_has_joined_leaves_the_node_where_it_was(void **state)
{
    (void)state;
    struct world_script script;
    begin(&script);
    uint32_t copy = tn__world_start_copy(script.world, 1);
    assert_int_not_equal(copy, TN_WORLD_NONE);
    const struct tn_request join = {
        .kind = TN_REQUEST_JOIN, .configuration = 2, .members_count = 3, .members = {1, 2, 3}};
    tn__world_request(script.world, copy, &join);
    while (tn__world_is_writing(script.world, copy)) {
        tn__world_finish_write(script.world, copy);
    }
    struct tn_lease_status status;
    tn_lease_status(tn__world_lease(script.world, copy), 0, &status);
    assert_int_equal(status.configuration, 2);
    tn__world_crash(script.world, 1, TN_SIM_DISK_ANY, 0);
    assert_int_equal(tn__world_start(script.world, 1, false), 0);
    assert_int_equal(script_violations(&script, "F3"), 0);
    script_end(&script);
}

static void F3_sees_two_lists_of_members_for_one_version(void **state)
{
    (void)state;
    struct world_script script;
    begin(&script);
    struct tn_request join = {
        .kind = TN_REQUEST_JOIN, .configuration = 2, .members_count = 3, .members = {1, 2, 3}};
    ask_all(&script, 2, &join);
    assert_int_equal(script_violations(&script, "F3"), 0);
    join.members_count = 2;
    ask_all(&script, 1, &join);
    assert_int_not_equal(script_violations(&script, "F3"), 0);
    script_end(&script);
}

static void V4_sees_a_directory_begun_anew_under_an_old_identity(void **state)
{
    (void)state;
    struct world_script script;
    begin(&script);
    tn__world_crash(script.world, 1, TN_SIM_DISK_ANY, 0);
    tn__sim_disk_free(tn__world_swap_disk(script.world, 1, tn__sim_disk_new(7)));
    assert_int_not_equal(tn__world_start(script.world, 1, false), 0); /* untold it does not start */
    assert_int_equal(script_violations(&script, "V4"), 0);
    assert_int_equal(tn__world_start(script.world, 1, true), 0);
    assert_int_equal(script_violations(&script, "V4"), 1);
    script_end(&script);
}

static void F1_sees_what_is_said_above_the_ceiling(void **state)
{
    (void)state;
    struct world_script script;
    begin(&script);
    see_sent(&script, 1, TN_MESSAGE_PROMISE, ballot_of(&script, 0, 1ULL << 40));
    assert_int_equal(script_violations(&script, "F1"), 1);
    script_end(&script);
}

static void The_judge_sees_damaged_frames_taken_and_timers_that_spin(void **state)
{
    (void)state;
    struct world_script script;
    begin(&script);
    struct tn__world_frame frame = {.damaged = 1};
    see(&script, 1, (struct tn__sight){.kind = TN_SIGHT_DELIVERED, .frame = &frame});
    assert_int_equal(script_violations(&script, "wire"), 1);
    struct tn_event event = {.kind = TN_EVENT_TIMER};
    for (uint32_t i = 0; i < 6000; i++) {
        see(&script, 1, (struct tn__sight){.kind = TN_SIGHT_EVENT, .event = &event});
    }
    assert_int_equal(script_violations(&script, "busy"), 1);
    script_end(&script);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(T2_holds_at_the_bound_of_rho),
        cmocka_unit_test(T2_one_step_beyond_rho_gives_two_owners_and_L1_and_L4_see_it),
        cmocka_unit_test(T1_a_time_read_before_the_bytes_is_seen_by_L4),
        cmocka_unit_test(T5_a_clock_that_jumps_ahead_is_seen_by_L1),
        cmocka_unit_test(T4_an_owner_whose_clock_stands_still_is_seen_by_L1),
        cmocka_unit_test(A4_without_quarantine_a_restart_gives_two_owners_and_L1_sees_it),
        cmocka_unit_test(F1_a_forgotten_ceiling_makes_tokens_fall_and_L11_sees_it),
        cmocka_unit_test(F3_a_larger_step_that_is_waited_out_breaks_nothing),
        cmocka_unit_test(F3_without_the_wait_there_are_two_owners_and_L1_L12_and_F3_see_it),
        cmocka_unit_test(L2_sees_a_deadline_that_is_too_late),
        cmocka_unit_test(L2_sees_an_owner_without_an_activation),
        cmocka_unit_test(L2_sees_a_learn_without_a_lease),
        cmocka_unit_test(L3_counts_members_and_not_messages),
        cmocka_unit_test(L5_sees_an_answer_in_the_quarantine),
        cmocka_unit_test(L6_sees_a_ballot_used_twice),
        cmocka_unit_test(L6_sees_a_counter_used_by_two_incarnations),
        cmocka_unit_test(L7_sees_a_live_lease_replaced_and_L8_a_release_of_another),
        cmocka_unit_test(L7_takes_an_accept_and_its_release_in_one_frame_for_released),
        cmocka_unit_test(L9_sees_a_lease_that_changed_by_itself),
        cmocka_unit_test(L10_sees_a_hint_that_lasts_too_long),
        cmocka_unit_test(L12_sees_certificates_without_a_common_member),
        cmocka_unit_test(F3_sees_what_is_said_for_another_version_or_one_left),
        cmocka_unit_test(F3_sees_a_node_go_back_to_an_older_version),
        cmocka_unit_test(F3_a_copy_that_has_joined_leaves_the_node_where_it_was),
        cmocka_unit_test(F3_sees_two_lists_of_members_for_one_version),
        cmocka_unit_test(V4_sees_a_directory_begun_anew_under_an_old_identity),
        cmocka_unit_test(F1_sees_what_is_said_above_the_ceiling),
        cmocka_unit_test(The_judge_sees_damaged_frames_taken_and_timers_that_spin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
