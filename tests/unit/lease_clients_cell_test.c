/* The clients of three real nodes: each with the machine of leases and the clients above it, joined
 * by a network that is cut and healed, and nodes that crash and start again.
 *
 * Whatever happens, over all nodes together: no client is granted a name while another may act on
 * it (C1, C3), and the tokens of the holdings of a name rise strictly, from client to client and
 * from node to node (C4, F1, F2). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "paxos/lease_clients.h"
#include "support/lease_world.h"

#define MS TN_MILLISECOND
#define LEASE (100 * MS)
#define NODES 3U
#define NAMES 2U
#define PEOPLE 8192U

struct person {
    uint64_t holding;
    tn_time sent;
    tn_time until;
    uint8_t node;
    uint8_t name;
    bool waits;
    bool stopped; /* it does not act any more, or never did */
};

struct cell {
    struct lease_world *world;
    struct tn__lease_clients *clients[NODES];
    uint32_t notices_seen[NODES];
    uint64_t seed;
    uint64_t token[NAMES];
    uint64_t grants;
    uint64_t moves; /* grants at another node than the last */
    uint8_t last_node[NAMES];
    uint32_t holder[NAMES]; /* who was granted the name last */
    uint32_t people_count;
    struct person people[PEOPLE];
};

static uint64_t draw(struct cell *cell, uint64_t bound)
{
    return tn__random_below(&cell->seed, bound);
}

static void fresh_clients(struct cell *cell, uint32_t node)
{
    struct tn__lease_clients_options options = {
        .clients_max = 256, .drift_ppm = 500, .tables_count = 1, .random = draw(cell, UINT64_MAX)};
    options.proposer_ns[0] = LEASE;
    size_t size = (tn__lease_clients_size(&options) + 63) & ~(size_t)63;
    free(cell->clients[node]);
    void *memory = aligned_alloc(64, size);
    memset(memory, 0, size);
    cell->clients[node] = tn__lease_clients_init(memory, &options);
    cell->notices_seen[node] = 0;
}

static void granted(struct cell *cell, const struct tn__client_answer *answer)
{
    struct person *person = &cell->people[answer->cookie];
    tn_time now = cell->world->now;
    for (uint32_t i = 0; i < cell->people_count; i++) {
        const struct person *other = &cell->people[i];
        assert_false(other->name == person->name && !other->waits && !other->stopped &&
                     other->until > now);
    }
    assert_true(answer->token > cell->token[person->name]); /* C4 */
    cell->token[person->name] = answer->token;
    cell->moves += cell->last_node[person->name] != person->node;
    cell->last_node[person->name] = person->node;
    cell->holder[person->name] = (uint32_t)answer->cookie;
    cell->grants++;
    person->waits = false;
    person->until = person->sent + answer->valid_ns;
}

static void take(struct cell *cell, uint32_t node, const struct tn__lease_clients_output *out)
{
    tn__lease_clients_check(cell->clients[node], cell->world->now);
    for (uint32_t i = 0; i < out->answers_count; i++) {
        const struct tn__client_answer *answer = &out->answers[i];
        struct person *person = &cell->people[answer->cookie];
        if (answer->kind == TN__CLIENT_GRANTED) {
            granted(cell, answer);
        } else if (answer->kind == TN__CLIENT_RENEWED) {
            tn_time until = person->sent + answer->valid_ns;
            person->until = until > person->until ? until : person->until;
        } else if (answer->kind == TN__CLIENT_FAILED) {
            person->stopped = true;
        }
    }
    for (uint32_t i = 0; i < out->requests_count; i++) {
        world_submit(cell->world, node, &out->requests[i]);
    }
}

/* Give the clients the notices that their machines have put out. */
static void pump(struct cell *cell)
{
    for (uint32_t node = 0; node < NODES; node++) {
        struct world_node *inside = &cell->world->nodes[node];
        while (cell->notices_seen[node] < inside->notices_count) {
            struct tn_notice notice = inside->notices[cell->notices_seen[node]++];
            struct tn__lease_clients_output out;
            tn__lease_clients_notice(cell->clients[node], &notice, cell->world->now, &out);
            take(cell, node, &out);
        }
        assert_true(inside->notices_count < WORLD_NOTICES_MAX);
        inside->notices_count = 0;
        cell->notices_seen[node] = 0;
    }
}

static tn_time next_deadline(const struct cell *cell)
{
    tn_time next = TN_TIME_NEVER;
    for (uint32_t node = 0; node < NODES; node++) {
        tn_time due = tn__lease_clients_deadline(cell->clients[node]);
        next = due < next ? due : next;
        if (cell->world->nodes[node].lease != NULL) {
            due = tn__driver_deadline(cell->world->nodes[node].driver);
            next = due < next ? due : next;
        }
    }
    return next;
}

static void pass(struct cell *cell, tn_time span)
{
    tn_time end = cell->world->now + span;
    for (int i = 0; i < 100000 && cell->world->now < end; i++) {
        tn_time next = next_deadline(cell);
        next = next > cell->world->now ? next : cell->world->now;
        world_run(cell->world, next < end ? next : end);
        pump(cell);
        for (uint32_t node = 0; node < NODES; node++) {
            if (cell->world->nodes[node].lease != NULL &&
                tn__lease_clients_deadline(cell->clients[node]) <= cell->world->now) {
                struct tn__lease_clients_output out;
                tn__lease_clients_timer(cell->clients[node], cell->world->now, &out);
                take(cell, node, &out);
            }
        }
        world_deliver_all(cell->world);
        pump(cell);
        if (next <= cell->world->now && next_deadline(cell) <= cell->world->now) {
            cell->world->now++; /* a node that is down has clients whose time has come */
        }
    }
}

static void step_acquire(struct cell *cell)
{
    uint32_t node = (uint32_t)draw(cell, NODES);
    if (cell->people_count == PEOPLE || cell->world->nodes[node].lease == NULL) {
        return;
    }
    uint32_t number = cell->people_count;
    struct person *person = &cell->people[number];
    *person = (struct person){.node = (uint8_t)node,
                              .name = (uint8_t)draw(cell, NAMES),
                              .sent = cell->world->now - draw(cell, MS),
                              .waits = true};
    char text = (char)('a' + person->name);
    struct tn__client_acquire call = {.cookie = number,
                                      .now = cell->world->now,
                                      .name = &text,
                                      .name_bytes = 1,
                                      .label = "",
                                      .address = "",
                                      .session = draw(cell, 2) == 0,
                                      .wait_ns = (1 + draw(cell, 1000)) * MS,
                                      .ttl_ns = (10 + draw(cell, 300)) * MS,
                                      .priority = draw(cell, 5) == 0 ? (uint8_t)draw(cell, 3) : 0};
    struct tn__client_place place;
    struct tn__client_answer refused;
    struct tn__lease_clients_output out;
    if (tn__lease_clients_acquire(cell->clients[node], &call, &place, &refused, &out) ==
        TN__CLIENT_OK) {
        person->holding = place.holding;
        cell->people_count++;
        take(cell, node, &out);
        pump(cell);
    }
}

static void step_somebody(struct cell *cell)
{
    uint32_t recent = cell->people_count < 12 ? cell->people_count : 12;
    if (recent == 0) {
        return;
    }
    uint32_t number = cell->people_count - 1 - (uint32_t)draw(cell, recent);
    if (draw(cell, 2) == 0) {
        number = cell->holder[draw(cell, NAMES)];
    }
    struct person *person = &cell->people[number];
    struct tn__lease_clients *clients = cell->clients[person->node];
    if (cell->world->nodes[person->node].lease == NULL) {
        return;
    }
    struct tn__lease_clients_output out = {0};
    struct tn__client_answer renewed;
    switch (draw(cell, 3)) {
    case 0:
        person->stopped = person->stopped || !person->waits;
        tn__lease_clients_release(clients, person->holding, cell->world->now, &out);
        break;
    case 1:
        person->stopped = person->stopped || person->waits;
        tn__lease_clients_gone(clients, person->holding, cell->world->now, &out);
        break;
    default:
        if (tn__lease_clients_renew(clients, person->holding, 0, cell->world->now, &renewed) ==
            TN__CLIENT_OK) {
            person->sent = cell->world->now;
            tn_time until = person->sent + renewed.valid_ns;
            person->until = until > person->until ? until : person->until;
        }
        break;
    }
    take(cell, person->node, &out);
    pump(cell);
}

/* Cut one node off, heal, crash one, start it again. */
static void step_fault(struct cell *cell)
{
    uint32_t node = (uint32_t)draw(cell, NODES);
    if (draw(cell, 2) == 0) {
        cell->world->cut = cell->world->cut == 0 ? 1U << node : 0;
        return;
    }
    for (uint32_t i = 0; i < NODES; i++) {
        if (cell->world->nodes[i].lease == NULL) {
            world_start(cell->world, i);
            return;
        }
    }
    world_crash(cell->world, node);
    fresh_clients(cell, node);
    for (uint32_t i = 0; i < cell->people_count; i++) {
        struct person *person = &cell->people[i];
        person->stopped = person->stopped || (person->node == node && person->waits);
        person->holding = person->node == node ? 0 : person->holding;
    }
}

static void run(uint64_t seed, uint64_t *grants, uint64_t *moves)
{
    struct cell *cell = calloc(1, sizeof(*cell));
    struct tn_lease_table_options table = {.proposer_ns = LEASE, .names_max = 64};
    cell->seed = seed;
    cell->world = world_new(NODES, &table, true);
    for (uint32_t node = 0; node < NODES; node++) {
        cell->world->nodes[node].notices_count = 0;
        fresh_clients(cell, node);
    }
    for (int i = 0; i < 2500; i++) {
        switch (draw(cell, 8)) {
        case 0:
        case 1:
            step_acquire(cell);
            break;
        case 2:
        case 3:
        case 4:
            step_somebody(cell);
            break;
        case 5:
            if (draw(cell, 24) == 0) {
                step_fault(cell);
            }
            break;
        default:
            pass(cell, (1 + draw(cell, 30)) * MS);
            break;
        }
    }
    *grants += cell->grants;
    *moves += cell->moves;
    for (uint32_t node = 0; node < NODES; node++) {
        free(cell->clients[node]);
    }
    world_free(cell->world);
    free(cell);
}

static void C4_tokens_rise_over_clients_and_nodes_and_no_two_clients_act_at_once(void **state)
{
    (void)state;
    uint64_t grants = 0;
    uint64_t moves = 0;
    print_message("seeds 1 to 200\n");
    for (uint64_t seed = 1; seed <= 200; seed++) {
        run(seed, &grants, &moves);
    }
    print_message("%llu grants, %llu of them at another node than the one before\n",
                  (unsigned long long)grants, (unsigned long long)moves);
    assert_true(grants > 10000 && moves > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(C4_tokens_rise_over_clients_and_nodes_and_no_two_clients_act_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
