/* Clients; the header tells what they do. An observer changes nothing in the world: what a client
 * does next it does when it wakes. */
#include "sim/log_clients.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/random.h"

#define BATCH_MAX 4U
#define TRIES_MAX 8U

struct client {
    uint64_t names[BATCH_MAX];
    uint64_t number; /* of the first proposal, or of the read */
    uint64_t word;   /* the incarnation asked */
    uint64_t read_slot;
    uint64_t once_client; /* 0: none */
    uint64_t once_sequence;
    uint64_t generation; /* of the call: late wakes are told apart */
    uint32_t process;
    uint32_t group;
    uint32_t count;
    uint32_t settled; /* a set of the names that are done with */
    uint32_t tries;
    bool is_waiting;
    bool is_read;
    bool is_deaf;
    bool is_cancelled;
    struct tn__log_command command; /* of a once-only call, to be repeated */
};

struct tn__log_clients {
    struct tn__log_world *world;
    struct tn__log_judge *judge;
    struct tn__log_clients_options options;
    uint64_t random;
    uint64_t done;
    uint64_t deaf;
    uint64_t argument;
    uint64_t once_ids;
    bool is_stopped;
    struct client clients[TN_LOG_CLIENTS_MAX];
};

static uint64_t below(struct tn__log_clients *clients, uint64_t bound)
{
    return tn__random_below(&clients->random, bound);
}

static bool percent(struct tn__log_clients *clients, uint32_t chance)
{
    return below(clients, 100) < chance;
}

static void wake_in(struct tn__log_clients *clients, struct client *client, tn_time after)
{
    uint64_t code = (uint64_t)TN_LOG_CLIENTS_WAKE << 56 | (client->generation & 0xffffffffU) << 8 |
                    (uint64_t)(client - clients->clients);
    tn__log_world_wake(clients->world, tn__log_world_now(clients->world) + after, code);
}

/* The call is over, one way or another: think, and call again. */
static void finish(struct tn__log_clients *clients, struct client *client)
{
    client->is_waiting = false;
    client->generation++;
    wake_in(clients, client, below(clients, 2 * clients->options.think_ns) + 1);
}

/* Whose id is not known any more goes on under another one. */
static void renew_id(struct tn__log_clients *clients, struct client *client)
{
    client->once_client = ++clients->once_ids;
    client->once_sequence = 0;
}

/* ---- Calling --------------------------------------------------------------------------------- */

static uint32_t pick_member(struct tn__log_clients *clients)
{
    const struct tn__log_world_options *options = tn__log_world_options(clients->world);
    uint32_t first = (uint32_t)below(clients, options->nodes_count);
    for (uint32_t i = 0; i < options->nodes_count; i++) {
        uint32_t process = (first + i) % options->nodes_count;
        if (tn__log_world_is_up(clients->world, process) &&
            !tn__log_world_is_paused(clients->world, process)) {
            return process;
        }
    }
    return TN_LOG_WORLD_NONE;
}

static struct tn__log_command draw_command(struct tn__log_clients *clients)
{
    /* One draw a statement: their order must not be the compiler's. */
    struct tn__log_command command = {.argument = ++clients->argument};
    command.kind = (uint8_t)(TN_LOG_COMMAND_PUT + below(clients, 3));
    command.key = (uint8_t)below(clients, clients->options.keys);
    command.padding = (uint16_t)below(clients, clients->options.padding_max + 1);
    if (command.kind == TN_LOG_COMMAND_SWAP) {
        /* What was there lately, so that about half of them find it. */
        uint64_t back = below(clients, 8);
        command.expected = clients->argument > back ? clients->argument - back : 0;
    }
    return command;
}

static void call_stale(struct tn__log_clients *clients, uint32_t process, uint32_t group)
{
    struct tn__log_operation operation = {.group = group, .kind = TN_LOG_OPERATION_STALE};
    operation.command.key = (uint8_t)below(clients, clients->options.keys);
    uint64_t name = tn__log_judge_called(clients->judge, &operation);
    const struct tn__log_registers *state = tn__log_world_registers(clients->world, process, group);
    tn__log_judge_read(clients->judge, process, name, state->values[operation.command.key],
                       tn__log_world_executed(clients->world, process, group));
    clients->done++;
}

static void complete_read(struct tn__log_clients *clients, struct client *client)
{
    uint64_t name = client->names[0];
    uint8_t key = tn__log_judge_operation(clients->judge, name)->command.key;
    const struct tn__log_registers *state =
        tn__log_world_registers(clients->world, client->process, client->group);
    tn__log_judge_read(clients->judge, client->process, name, state->values[key],
                       tn__log_world_executed(clients->world, client->process, client->group));
    clients->done++;
    finish(clients, client);
}

static void call_read(struct tn__log_clients *clients, struct client *client)
{
    struct tn__log_operation operation = {.group = client->group, .kind = TN_LOG_OPERATION_READ};
    operation.command.key = (uint8_t)below(clients, clients->options.keys);
    client->names[0] = tn__log_judge_called(clients->judge, &operation);
    client->count = 1;
    client->is_read = true;
    client->read_slot = 0;
    if ((tn__log_world_options(clients->world)->unsafe & TN_LOG_UNSAFE_STALE_READ) != 0) {
        client->is_deaf = false;
        complete_read(clients, client);
        return;
    }
    /* Its number first: the answer may come before the call returns. */
    client->number = tn__log_world_next_read(clients->world, client->process, client->group);
    tn__log_world_read(clients->world, client->process, client->group);
}

static void propose(struct tn__log_clients *clients, struct client *client,
                    const struct tn__log_command *commands)
{
    client->number = tn__log_world_next_proposal(clients->world, client->process, client->group);
    tn__log_world_propose(clients->world, client->process, client->group, commands, client->count,
                          client->once_client, client->once_sequence);
}

static void call_commands(struct tn__log_clients *clients, struct client *client)
{
    struct tn__log_command commands[BATCH_MAX];
    bool many = client->once_client == 0 && percent(clients, clients->options.batch_percent);
    client->count = many ? 2 + (uint32_t)below(clients, BATCH_MAX - 1) : 1;
    if (client->once_client != 0) {
        client->once_sequence++;
    }
    for (uint32_t i = 0; i < client->count; i++) {
        struct tn__log_operation operation = {.group = client->group,
                                              .kind = TN_LOG_OPERATION_COMMAND,
                                              .command = draw_command(clients),
                                              .once_client = client->once_client,
                                              .once_sequence = client->once_sequence};
        client->names[i] = tn__log_judge_called(clients->judge, &operation);
        commands[i] = operation.command;
        commands[i].name = client->names[i];
    }
    client->command = commands[0];
    propose(clients, client, commands);
}

static void call(struct tn__log_clients *clients, struct client *client)
{
    const struct tn__log_world_options *options = tn__log_world_options(clients->world);
    uint32_t process = pick_member(clients);
    if (process == TN_LOG_WORLD_NONE) {
        finish(clients, client);
        return;
    }
    /* A client with an id keeps to its group: its sequence is one there. */
    uint32_t group = client->once_client != 0
                         ? (uint32_t)((uint64_t)(client - clients->clients) % options->groups_count)
                         : (uint32_t)below(clients, options->groups_count);
    if (percent(clients, clients->options.stale_percent)) {
        call_stale(clients, process, group);
        finish(clients, client);
        return;
    }
    client->process = process;
    client->group = group;
    client->word = tn__log_world_restart_word(clients->world, process);
    client->settled = 0;
    client->tries = 1;
    client->is_waiting = true;
    client->is_read = false;
    client->is_cancelled = false;
    client->is_deaf = percent(clients, clients->options.deaf_percent);
    clients->deaf += client->is_deaf ? 1 : 0;
    wake_in(clients, client, clients->options.timeout_ns);
    if (percent(clients, clients->options.read_percent)) {
        call_read(clients, client);
    } else {
        call_commands(clients, client);
    }
}

/* Once more, elsewhere, under the same id (N4). */
static void call_again(struct tn__log_clients *clients, struct client *client)
{
    uint32_t process = pick_member(clients);
    client->generation++;
    wake_in(clients, client, clients->options.timeout_ns);
    if (process == TN_LOG_WORLD_NONE) {
        return;
    }
    client->tries++;
    client->process = process;
    client->word = tn__log_world_restart_word(clients->world, process);
    client->is_deaf = false;
    propose(clients, client, &client->command);
}

void tn__log_clients_woken(struct tn__log_clients *clients, uint64_t code)
{
    struct client *client = &clients->clients[code & 0xffU];
    tn_assert((code & 0xffU) < clients->options.count);
    if ((code >> 8 & 0xffffffffU) != (client->generation & 0xffffffffU)) {
        return;
    }
    if (!client->is_waiting) {
        if (!clients->is_stopped) {
            call(clients, client);
        }
        return;
    }
    bool is_there = tn__log_world_restart_word(clients->world, client->process) == client->word &&
                    !tn__log_world_is_paused(clients->world, client->process);
    /* The first sequence of an id that was evicted looks like a new client's: it is not repeated.
     */
    if (client->once_client != 0 && !client->is_read && client->once_sequence > 1 &&
        client->tries < TRIES_MAX) {
        call_again(clients, client);
    } else if (!client->is_read && !client->is_cancelled && is_there && percent(clients, 50)) {
        client->is_cancelled = true;
        wake_in(clients, client, clients->options.timeout_ns);
        for (uint32_t i = 0; i < client->count && client->is_waiting; i++) {
            tn__log_world_cancel(clients->world, client->process, client->group,
                                 client->number + i);
        }
    } else {
        if (client->once_client != 0 && !client->is_read) {
            renew_id(clients, client);
        }
        finish(clients, client);
    }
}

/* ---- Being told ------------------------------------------------------------------------------ */

static bool is_asked(const struct tn__log_clients *clients, const struct client *client,
                     const struct tn__log_sight *sight)
{
    return client->is_waiting && client->process == sight->process &&
           client->group == sight->group &&
           client->word == tn__log_world_restart_word(clients->world, sight->process);
}

/* One of the call's names is done with; true: that was the last. */
static bool settle(struct tn__log_clients *clients, struct client *client, uint32_t place)
{
    client->settled |= 1U << place;
    if (client->settled + 1 == 1U << client->count) {
        clients->done++;
        finish(clients, client);
        return true;
    }
    return false;
}

static void see_answer(struct tn__log_clients *clients, const struct tn__log_sight *sight)
{
    const struct tn__log_answered *answer = sight->answer;
    for (uint32_t i = 0; i < clients->options.count; i++) {
        struct client *client = &clients->clients[i];
        if (!is_asked(clients, client, sight) || client->is_read || client->is_deaf ||
            answer->number < client->number || answer->number >= client->number + client->count) {
            continue;
        }
        uint32_t place = (uint32_t)(answer->number - client->number);
        tn__log_judge_answered(clients->judge, sight->process, client->names[place], answer);
        if (answer->answer == TN__LOG_ANSWER_EVICTED) {
            renew_id(clients, client);
        }
        settle(clients, client, place);
        return;
    }
}

/* Proposals number .. number + count - 1 were refused, or may be lost. */
static void see_refusal(struct tn__log_clients *clients, struct client *client,
                        const struct tn__log_sight *sight)
{
    const struct tn_log_notice *notice = sight->notice;
    bool refused = notice->kind == TN_LOG_NOTICE_REFUSED ||
                   (tn__log_world_options(clients->world)->unsafe & TN_LOG_UNSAFE_DROPS) != 0;
    for (uint32_t place = 0; place < client->count && client->is_waiting; place++) {
        uint64_t number = client->number + place;
        if (number < notice->number || number >= notice->number + notice->count ||
            (client->settled >> place & 1U) != 0) {
            continue;
        }
        if (client->once_client != 0) {
            return; /* asked again when it wakes: an earlier try may be under way */
        }
        if (refused && client->tries == 1) {
            tn__log_judge_refused(clients->judge, sight->process, client->names[place]);
        }
        if (settle(clients, client, place)) {
            return;
        }
    }
}

static void see_notice(struct tn__log_clients *clients, const struct tn__log_sight *sight)
{
    const struct tn_log_notice *notice = sight->notice;
    for (uint32_t i = 0; i < clients->options.count; i++) {
        struct client *client = &clients->clients[i];
        if (!is_asked(clients, client, sight) || client->is_deaf) {
            continue;
        }
        if ((notice->kind == TN_LOG_NOTICE_REFUSED || notice->kind == TN_LOG_NOTICE_LOST) &&
            !client->is_read) {
            see_refusal(clients, client, sight);
        } else if (client->is_read && client->number == notice->number) {
            if (notice->kind == TN_LOG_NOTICE_READ_FAILED) {
                finish(clients, client);
            } else if (notice->kind == TN_LOG_NOTICE_READ) {
                client->read_slot = notice->slot + 1;
                if (tn__log_world_executed(clients->world, client->process, client->group) >=
                    notice->slot) {
                    complete_read(clients, client);
                }
            }
        }
    }
}

static void see_executed(struct tn__log_clients *clients, const struct tn__log_sight *sight)
{
    for (uint32_t i = 0; i < clients->options.count; i++) {
        struct client *client = &clients->clients[i];
        if (is_asked(clients, client, sight) && client->is_read && !client->is_deaf &&
            client->read_slot != 0 && sight->entries[0].slot + 1 >= client->read_slot) {
            complete_read(clients, client);
        }
    }
}

static void see(void *context, const struct tn__log_sight *sight)
{
    struct tn__log_clients *clients = context;
    if (sight->kind == TN_LOG_SIGHT_ANSWERED) {
        see_answer(clients, sight);
    } else if (sight->kind == TN_LOG_SIGHT_NOTICE) {
        see_notice(clients, sight);
    } else if (sight->kind == TN_LOG_SIGHT_EXECUTED) {
        see_executed(clients, sight);
    }
}

/* ---- Life ------------------------------------------------------------------------------------ */

struct tn__log_clients *tn__log_clients_new(void)
{
    struct tn__log_clients *clients = calloc(1, sizeof(*clients));
    tn_assert(clients != NULL);
    return clients;
}

void tn__log_clients_free(struct tn__log_clients *clients)
{
    free(clients);
}

void tn__log_clients_begin(struct tn__log_clients *clients, struct tn__log_world *world,
                           struct tn__log_judge *judge,
                           const struct tn__log_clients_options *options)
{
    tn_assert(options->count >= 1 && options->count <= TN_LOG_CLIENTS_MAX);
    tn_assert(options->keys >= 1 && options->keys <= TN_LOG_REGISTERS);
    *clients = (struct tn__log_clients){
        .world = world, .judge = judge, .options = *options, .random = options->seed};
    struct tn__log_observer observer = {.context = clients,
                                        .see = see,
                                        .kinds = tn__log_sight_bit(TN_LOG_SIGHT_ANSWERED) |
                                                 tn__log_sight_bit(TN_LOG_SIGHT_NOTICE) |
                                                 tn__log_sight_bit(TN_LOG_SIGHT_EXECUTED)};
    tn__log_world_add_observer(world, &observer);
    for (uint32_t i = 0; i < options->count; i++) {
        struct client *client = &clients->clients[i];
        if (percent(clients, options->once_percent)) {
            renew_id(clients, client);
        }
        wake_in(clients, client, below(clients, 2 * options->think_ns) + 1);
    }
}

void tn__log_clients_stop(struct tn__log_clients *clients)
{
    clients->is_stopped = true;
}

void tn__log_clients_go_on(struct tn__log_clients *clients)
{
    clients->is_stopped = false;
    for (uint32_t i = 0; i < clients->options.count; i++) {
        if (!clients->clients[i].is_waiting) {
            finish(clients, &clients->clients[i]);
        }
    }
}

uint32_t tn__log_clients_waiting(const struct tn__log_clients *clients)
{
    uint32_t waiting = 0;
    for (uint32_t i = 0; i < clients->options.count; i++) {
        waiting += clients->clients[i].is_waiting ? 1 : 0;
    }
    return waiting;
}

uint64_t tn__log_clients_done(const struct tn__log_clients *clients)
{
    return clients->done;
}

uint64_t tn__log_clients_deaf(const struct tn__log_clients *clients)
{
    return clients->deaf;
}
