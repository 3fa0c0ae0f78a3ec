/* The clients of a node against a dumb model, and in real time.
 *
 * A run draws rates within rho for the node's clock and for each client's, then does random things:
 * clients acquire, renew, release, go away; an operator hands names over; the machine (played by
 * the test) opens, re-opens, renews, fails, loses. The model keeps a plain array of ids per name in
 * the order of arrival. What is checked after every step: order      whoever is granted was the
 * first of the array one holder in real time, no client is granted a name while another may act on
 * it: from its grant until it has stopped, or until its own clock has counted what it was told from
 * the moment it sent the request (C1, C2, C3) the node   nobody may act beyond the end of the
 * node's own lease, in real time (C3) tokens     of successive grants of a name rise strictly (C4)
 *   requests   fit what the machine is doing
 * Times of the real world are in nanoseconds; a clock of rate r shows r times as much. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "paxos/lease_clients.h"

#define MS TN_MILLISECOND
#define NAMES 3U
#define PEOPLE 4096U
#define WAITERS 64U
#define DRIFT_PPM 20000U /* 2 %: an error of the arithmetic shows soon */
#define LEASE (200 * MS)

struct person {
    uint64_t id;
    uint64_t rate_ppm; /* of its clock */
    uint64_t sent;     /* real: of the request its time counts from */
    uint64_t until;    /* real: when it stops acting by itself; 0: it does not act */
    uint32_t name;
    bool session;
    bool connected;
    bool stopped; /* released, or never granted */
    bool waits;
};

struct played { /* one name at the machine */
    bool wanted;
    bool owned;
    bool reopen;
    uint8_t priority; /* as asked for: above 0 the machine may hand over by itself (H3) */
    tn_time deadline; /* node's clock */
    uint64_t token;   /* the last one given out */
    uint64_t granted; /* the last token that a client was given */
    uint32_t queue[WAITERS];
    uint32_t queue_count;
};

struct world {
    struct tn__lease_clients *clients;
    uint64_t seed;
    uint64_t real;
    uint64_t node_rate_ppm;
    struct played names[NAMES];
    struct person people[PEOPLE];
    uint32_t people_count;
    uint64_t grants;
    uint64_t told;
};

static uint64_t draw(struct world *world, uint64_t bound)
{
    return tn__random_below(&world->seed, bound);
}

/* Real nanoseconds to those of a clock, and back, each rounded against us. */
static uint64_t shown(uint64_t real, uint64_t rate_ppm)
{
    return (uint64_t)((tn__u128)real * rate_ppm / 1000000);
}

static uint64_t real_of(uint64_t span, uint64_t rate_ppm)
{
    return (uint64_t)(((tn__u128)span * 1000000 + rate_ppm - 1) / rate_ppm);
}

static tn_time node_now(const struct world *world)
{
    return shown(world->real, world->node_rate_ppm);
}

static uint64_t draw_rate(struct world *world)
{
    switch (draw(world, 3)) {
    case 0:
        return 1000000 - DRIFT_PPM;
    case 1:
        return 1000000 + DRIFT_PPM;
    default:
        return 1000000 - DRIFT_PPM + draw(world, 2 * DRIFT_PPM + 1);
    }
}

static void leave_queue(struct played *name, uint32_t person)
{
    for (uint32_t i = 0; i < name->queue_count; i++) {
        if (name->queue[i] == person) {
            name->queue_count--;
            memmove(&name->queue[i], &name->queue[i + 1],
                    (name->queue_count - i) * sizeof(name->queue[0]));
            return;
        }
    }
    fail_msg("not in the queue");
}

/* C2 and C3: the person counts from its send, and must be done before the node's lease is over. */
static void take_time(struct world *world, struct person *person, tn_time valid_ns)
{
    uint64_t until = person->sent + real_of(valid_ns, person->rate_ppm);
    if (until > person->until) {
        person->until = until;
    }
    uint64_t node_end = real_of(world->names[person->name].deadline, world->node_rate_ppm);
    assert_true(until <= node_end);
    world->told += valid_ns;
}

static void on_granted(struct world *world, const struct tn__client_answer *answer)
{
    struct person *person = &world->people[answer->cookie];
    struct played *name = &world->names[person->name];
    assert_true(person->waits);
    assert_int_equal(name->queue[0], answer->cookie); /* first come first served */
    leave_queue(name, (uint32_t)answer->cookie);
    assert_true(name->owned);
    assert_int_equal(answer->token, name->token);
    assert_true(answer->token > name->granted); /* C4 */
    name->granted = answer->token;
    for (uint32_t i = 0; i < world->people_count; i++) {
        const struct person *other = &world->people[i];
        bool may_act = other->name == person->name && !other->stopped && !other->waits &&
                       other->until > world->real;
        assert_false(may_act); /* C1, in real time */
    }
    person->waits = false;
    person->id = answer->holding;
    take_time(world, person, answer->valid_ns);
    world->grants++;
}

static void carry_out(struct world *world, const struct tn_request *request)
{
    struct played *name = &world->names[request->name[0] - 'a'];
    switch ((enum tn_request_kind)request->kind) {
    case TN_REQUEST_ACQUIRE:
        name->wanted = true;
        name->priority = request->priority;
        break;
    case TN_REQUEST_REOPEN:
        assert_true(name->wanted && name->owned);
        name->reopen = true;
        break;
    case TN_REQUEST_RELEASE:
    case TN_REQUEST_HAND_OVER:
        assert_true(name->wanted);
        assert_true(request->kind == TN_REQUEST_RELEASE || name->owned);
        *name = (struct played){.token = name->token + draw(world, 3), .granted = name->granted};
        break;
    default:
        fail_msg("request %u", request->kind);
    }
}

static void take(struct world *world, const struct tn__lease_clients_output *out)
{
    tn__lease_clients_check(world->clients, node_now(world));
    for (uint32_t i = 0; i < out->answers_count; i++) {
        const struct tn__client_answer *answer = &out->answers[i];
        struct person *person = &world->people[answer->cookie];
        switch ((enum tn__client_answer_kind)answer->kind) {
        case TN__CLIENT_GRANTED:
            on_granted(world, answer);
            break;
        case TN__CLIENT_RENEWED:
            assert_true(person->session && person->connected);
            take_time(world, person, answer->valid_ns);
            break;
        case TN__CLIENT_FAILED:
            assert_true(person->waits);
            leave_queue(&world->names[person->name], (uint32_t)answer->cookie);
            person->waits = false;
            person->stopped = true;
            break;
        case TN__CLIENT_LEAVING:
        case TN__CLIENT_LOST:
        case TN__CLIENT_RELEASED:
            assert_true(person->session && person->connected);
            break;
        }
    }
    for (uint32_t i = 0; i < out->requests_count; i++) {
        struct played *name = &world->names[out->requests[i].name[0] - 'a'];
        uint32_t waiting = name->queue_count;
        uint32_t queue[WAITERS];
        memcpy(queue, name->queue, sizeof(queue));
        carry_out(world, &out->requests[i]);
        memcpy(name->queue, queue, sizeof(queue));
        name->queue_count = waiting;
    }
}

/* ---- What happens ------------------------------------------------------------------------ */

static void step_acquire(struct world *world)
{
    uint32_t which = (uint32_t)draw(world, NAMES);
    struct played *name = &world->names[which];
    if (world->people_count == PEOPLE || name->queue_count == WAITERS) {
        return;
    }
    uint32_t number = world->people_count++;
    struct person *person = &world->people[number];
    *person = (struct person){.rate_ppm = draw_rate(world),
                              .name = which,
                              .connected = true,
                              .session = draw(world, 2) == 0,
                              .waits = true};
    person->sent = world->real - draw(world, 30 * MS);
    char text = (char)('a' + which);
    struct tn__client_acquire call = {
        .cookie = number,
        .now = node_now(world),
        .session = person->session,
        .name = &text,
        .name_bytes = 1,
        .label = "",
        .address = "",
        .wait_ns = draw(world, 3) == 0 ? 0 : (1 + draw(world, 2000)) * MS,
        .ttl_ns = draw(world, 2) == 0 ? 0 : (10 + draw(world, 500)) * MS,
        .priority = draw(world, 4) == 0 ? (uint8_t)draw(world, 16) : 0};
    struct tn__client_place place;
    struct tn__client_answer refused;
    struct tn__lease_clients_output out;
    if (tn__lease_clients_acquire(world->clients, &call, &place, &refused, &out) != TN__CLIENT_OK) {
        person->waits = false;
        person->stopped = true;
        return;
    }
    assert_true(place.position <= name->queue_count + 1);
    person->id = place.holding;
    name->queue[name->queue_count++] = number;
    take(world, &out);
}

/* Somebody of the last few hundred who is not done. */
static struct person *somebody(struct world *world)
{
    if (world->people_count == 0) {
        return NULL;
    }
    uint32_t recent = world->people_count < 40 ? world->people_count : 40;
    struct person *person = &world->people[world->people_count - 1 - (uint32_t)draw(world, recent)];
    return person->stopped ? NULL : person;
}

static void step_renew(struct world *world)
{
    struct person *person = somebody(world);
    if (person == NULL) {
        return;
    }
    struct tn__client_answer renewed;
    tn_time ttl = draw(world, 2) == 0 ? 0 : (10 + draw(world, 500)) * MS;
    uint64_t sent = world->real - draw(world, 20 * MS);
    if (tn__lease_clients_renew(world->clients, person->id, ttl, node_now(world), &renewed) ==
        TN__CLIENT_OK) {
        assert_false(person->waits);
        person->sent = sent > person->sent ? sent : person->sent;
        take_time(world, person, renewed.valid_ns);
    }
    tn__lease_clients_check(world->clients, node_now(world));
}

static void step_release(struct world *world)
{
    struct person *person = somebody(world);
    if (person == NULL || person->waits) {
        return;
    }
    person->stopped = true; /* before the request is sent */
    struct tn__lease_clients_output out;
    tn__lease_clients_release(world->clients, person->id, node_now(world), &out);
    take(world, &out);
}

static void step_gone(struct world *world)
{
    struct person *person = somebody(world);
    if (person == NULL || !person->connected) {
        return;
    }
    person->connected = false;
    if (person->waits) {
        leave_queue(&world->names[person->name], (uint32_t)(person - world->people));
        person->waits = false;
        person->stopped = true;
    }
    struct tn__lease_clients_output out;
    tn__lease_clients_gone(world->clients, person->id, node_now(world), &out);
    take(world, &out);
}

static void step_hand_over(struct world *world)
{
    char text = (char)('a' + draw(world, NAMES));
    tn_time remaining;
    struct tn__lease_clients_output out;
    tn__lease_clients_hand_over(world->clients, 0, &text, 1, 2, node_now(world), &remaining, &out);
    take(world, &out);
}

static void give_notice(struct world *world, uint32_t which, enum tn_notice_kind kind,
                        enum tn_reason reason)
{
    const struct played *name = &world->names[which];
    tn_time now = node_now(world);
    struct tn_notice notice = {.kind = (uint8_t)kind,
                               .reason = (uint8_t)reason,
                               .name_bytes = 1,
                               .node = 2,
                               .token = name->token,
                               .deadline = name->deadline,
                               .remaining = 10 * MS};
    notice.name[0] = (char)('a' + which);
    struct tn__lease_clients_output out;
    tn__lease_clients_notice(world->clients, &notice, now, &out);
    take(world, &out);
}

/* An activation: of an attempt that began up to half a lease ago. */
static void activate(struct world *world, uint32_t which)
{
    struct played *name = &world->names[which];
    tn_time began = node_now(world) - draw(world, LEASE / 2);
    bool opens = !name->owned;
    if (began + LEASE <= name->deadline) {
        return;
    }
    name->deadline = began + LEASE;
    if (opens || name->reopen) {
        name->token += 1 + draw(world, 5);
    }
    enum tn_notice_kind kind = opens          ? TN_NOTICE_OPENED
                               : name->reopen ? TN_NOTICE_REOPENED
                                              : TN_NOTICE_RENEWED;
    bool yields = name->priority > 0 && draw(world, 2) == 0;
    name->owned = true;
    name->reopen = false;
    give_notice(world, which, kind, TN_REASON_NONE);
    if (yields && name->wanted) { /* H3, by the next message of the same step */
        for (uint32_t i = 0; i < world->people_count; i++) {
            const struct person *other = &world->people[i];
            assert_false(other->name == which && !other->stopped && !other->waits &&
                         other->until > world->real); /* C5 */
        }
        name->owned = false;
        give_notice(world, which, TN_NOTICE_RELEASED, TN_REASON_NONE);
    }
}

static void step_machine(struct world *world)
{
    uint32_t which = (uint32_t)draw(world, NAMES);
    struct played *name = &world->names[which];
    if (!name->wanted) {
        return;
    }
    if (draw(world, 4) != 0) {
        activate(world, which);
    } else if (!name->owned) {
        static const enum tn_reason reasons[] = {TN_REASON_HELD, TN_REASON_OUTBID,
                                                 TN_REASON_NO_QUORUM};
        give_notice(world, which, TN_NOTICE_FAILED, reasons[draw(world, 3)]);
    } else if (draw(world, 8) == 0) { /* the self-check: lost before its time */
        name->owned = false;
        tn_time blocked = name->deadline; /* others exclude it until the old lease has run out */
        give_notice(world, which, TN_NOTICE_LOST, TN_REASON_CLOCK);
        name->deadline = blocked;
    }
}

/* What is due at a time, in either order: the node's own deadlines, and those of the clients. */
static void pass_time(struct world *world)
{
    static const uint64_t spans[] = {MS, 10 * MS, 60 * MS, 300 * MS};
    world->real += 1 + draw(world, spans[draw(world, 4)]);
    tn_time now = node_now(world);
    bool clients_first = draw(world, 2) == 0;
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < NAMES && (round == 0) != clients_first; i++) {
            if (world->names[i].owned && now >= world->names[i].deadline) {
                world->names[i].owned = false;
                give_notice(world, i, TN_NOTICE_LOST, TN_REASON_EXPIRED);
            }
        }
        struct tn__lease_clients_output out;
        while ((round == 0) == clients_first && tn__lease_clients_deadline(world->clients) <= now) {
            tn__lease_clients_timer(world->clients, now, &out);
            take(world, &out);
        }
    }
}

static void run(uint64_t seed, uint32_t steps, uint64_t *grants, uint64_t *told)
{
    struct tn__lease_clients_options options = {
        .clients_max = NAMES * WAITERS, .drift_ppm = DRIFT_PPM, .tables_count = 1, .random = seed};
    options.proposer_ns[0] = LEASE;
    size_t size = (tn__lease_clients_size(&options) + 63) & ~(size_t)63;
    void *memory = aligned_alloc(64, size);
    memset(memory, 0, size);
    struct world *world = calloc(1, sizeof(*world));
    world->clients = tn__lease_clients_init(memory, &options);
    world->seed = seed;
    world->real = 10 * TN_SECOND;
    world->node_rate_ppm = draw_rate(world);
    static void (*const actions[])(struct world *) = {
        step_acquire, step_acquire, step_renew,   step_release, step_gone,
        step_machine, step_machine, step_machine, pass_time,
    };
    for (uint32_t i = 0; i < steps; i++) {
        if (draw(world, 100) == 0) {
            step_hand_over(world);
        } else {
            actions[draw(world, sizeof(actions) / sizeof(actions[0]))](world);
        }
    }
    *grants += world->grants;
    *told += world->told;
    free(world);
    free(memory);
}

static void C1_to_C6_hold_in_random_runs(void **state)
{
    (void)state;
    uint64_t first = 1;
    uint64_t grants = 0;
    uint64_t told = 0;
    print_message("seeds %llu to %llu\n", (unsigned long long)first,
                  (unsigned long long)first + 199);
    for (uint64_t seed = first; seed < first + 200; seed++) {
        run(seed, 4000, &grants, &told);
    }
    print_message("%llu grants, mean time told %llu ms\n", (unsigned long long)grants,
                  (unsigned long long)(told / (grants * MS)));
    assert_true(grants > 20000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(C1_to_C6_hold_in_random_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
