/* A run of logs; the header tells its shape. */
#include "sim/log_simulation.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/assert.h"
#include "base/bytes.h"

#define EVENTS_MAX_DEFAULT 20000U
#define CRC_OFFSET 12U /* of a frame's checksum, which stands for all its bytes */
#define HASH_WORDS_ROOM 1024U
#define HASH_WORDS_OF_A_SIGHT_MAX 10U
#define PATIENCE_NS (60 * TN_SECOND)
#define CHECK_NS (100 * TN_MILLISECOND)

struct tn__log_simulation {
    struct tn__log_world *world;
    struct tn__log_judge *judge;
    struct tn__log_faults *faults;
    struct tn__log_clients *clients;
    XXH3_state_t *hash;
    uint32_t words_count;
    uint64_t words[HASH_WORDS_ROOM];
    struct tn__log_swarm swarm;
};

/* ---- The hash -------------------------------------------------------------------------------- */

static void hash_words(struct tn__log_simulation *simulation)
{
    XXH3_128bits_update(simulation->hash, simulation->words,
                        simulation->words_count * sizeof(simulation->words[0]));
    simulation->words_count = 0;
}

static void hash_sight(void *context, const struct tn__log_sight *sight)
{
    struct tn__log_simulation *simulation = context;
    if (simulation->words_count + HASH_WORDS_OF_A_SIGHT_MAX > HASH_WORDS_ROOM) {
        hash_words(simulation);
    }
    uint64_t *words = simulation->words + simulation->words_count;
    uint32_t count = 0;
    words[count++] = (uint64_t)sight->kind << 32 | sight->process << 8 | sight->group;
    words[count++] = sight->real;
    words[count++] = sight->local;
    words[count++] = sight->word;
    if (sight->notice != NULL) {
        words[count++] = (uint64_t)sight->notice->kind << 8 | sight->notice->reason;
        words[count++] = sight->notice->number;
        words[count++] = sight->notice->slot;
    } else if (sight->frame != NULL) {
        words[count++] = sight->frame->serial << 24 | sight->frame->bytes_count;
        words[count++] = sight->frame->bytes_count >= CRC_OFFSET + 4
                             ? tn__get_u32(sight->frame->bytes + CRC_OFFSET)
                             : 0;
    } else if (sight->record != NULL) {
        words[count++] = sight->record->write << 8 | sight->record->kind;
        words[count++] = sight->record->checksum;
    } else if (sight->entries_count > 0) {
        words[count++] = sight->entries[0].slot;
        words[count++] = sight->digests[0];
    }
    tn_assert(count <= HASH_WORDS_OF_A_SIGHT_MAX);
    simulation->words_count += count;
}

/* ---- Life ------------------------------------------------------------------------------------ */

struct tn__log_simulation *tn__log_simulation_new(void)
{
    struct tn__log_simulation *simulation = calloc(1, sizeof(*simulation));
    tn_assert(simulation != NULL);
    simulation->world = tn__log_world_new();
    simulation->judge = tn__log_judge_new();
    simulation->faults = tn__log_faults_new();
    simulation->clients = tn__log_clients_new();
    simulation->hash = XXH3_createState();
    tn_assert(simulation->hash != NULL);
    return simulation;
}

void tn__log_simulation_free(struct tn__log_simulation *simulation)
{
    if (simulation == NULL) {
        return;
    }
    tn__log_world_free(simulation->world);
    tn__log_judge_free(simulation->judge);
    tn__log_faults_free(simulation->faults);
    tn__log_clients_free(simulation->clients);
    XXH3_freeState(simulation->hash);
    free(simulation);
}

static void woken(void *context, uint64_t code)
{
    struct tn__log_simulation *simulation = context;
    if (code >> 56 == TN_LOG_CLIENTS_WAKE) {
        tn__log_clients_woken(simulation->clients, code);
    } else {
        tn__log_faults_woken(simulation->faults, code);
    }
}

/* ---- The phases ------------------------------------------------------------------------------ */

static bool has_failed(const struct tn__log_simulation *simulation)
{
    return tn__log_judge_violations_count(simulation->judge) != 0;
}

static void run_faults(struct tn__log_simulation *simulation,
                       const struct tn__log_simulation_request *request)
{
    uint64_t events = request->events_max != 0 ? request->events_max : EVENTS_MAX_DEFAULT;
    tn_time until = request->span_ns != 0 ? tn__log_world_now(simulation->world) + request->span_ns
                                          : TN_TIME_NEVER - 1;
    while (tn__log_world_events(simulation->world) < events && !has_failed(simulation) &&
           tn__log_world_step(simulation->world, until)) {
    }
}

/* Run until it is so, for as long as patience lasts. */
static bool await(struct tn__log_simulation *simulation,
                  bool (*is_so)(const struct tn__log_simulation *simulation, uint64_t word),
                  uint64_t word)
{
    tn_time until = tn__log_world_now(simulation->world) + PATIENCE_NS;
    while (!is_so(simulation, word)) {
        if (has_failed(simulation) || tn__log_world_now(simulation->world) >= until) {
            return false;
        }
        tn__log_world_run(simulation->world, tn__log_world_now(simulation->world) + CHECK_NS);
    }
    return true;
}

/* One more call of each client, on average. */
static bool have_gone_on(const struct tn__log_simulation *simulation, uint64_t done)
{
    return tn__log_clients_done(simulation->clients) >=
           done + 4ULL * simulation->swarm.clients.count;
}

static bool nobody_waits(const struct tn__log_simulation *simulation, uint64_t word)
{
    tn_maybe(word == 0);
    return tn__log_clients_waiting(simulation->clients) == 0;
}

/* All members have committed and executed the same, byte for byte. */
static bool are_equal(const struct tn__log_simulation *simulation, uint64_t word)
{
    const struct tn__log_world *world = simulation->world;
    const struct tn__log_world_options *options = tn__log_world_options(world);
    tn_maybe(word == 0);
    for (uint32_t g = 0; g < options->groups_count; g++) {
        uint64_t committed = tn__log_judge_committed(simulation->judge, g);
        for (uint32_t i = 0; i < options->nodes_count; i++) {
            if (!tn__log_world_is_up(world, i) || tn__log_world_executed(world, i, g) < committed ||
                memcmp(tn__log_world_registers(world, i, g), tn__log_world_registers(world, 0, g),
                       sizeof(struct tn__log_registers)) != 0 ||
                tn__log_world_once_digest(world, i, g) != tn__log_world_once_digest(world, 0, g)) {
                return false;
            }
        }
    }
    return true;
}

static void await_or_report(struct tn__log_simulation *simulation,
                            bool (*is_so)(const struct tn__log_simulation *simulation,
                                          uint64_t word),
                            uint64_t word, const char *rule, const char *text)
{
    if (!has_failed(simulation) && !await(simulation, is_so, word) && !has_failed(simulation)) {
        tn__log_judge_report(simulation->judge, TN_LOG_WORLD_NONE, rule, text);
    }
}

/* What is in memory is bounded: nobody holds payloads that nothing refers to (R). */
static void check_memory(struct tn__log_simulation *simulation)
{
    const struct tn__log_world_options *options = tn__log_world_options(simulation->world);
    uint64_t most = 64 + (uint64_t)options->groups_count *
                             (2ULL * options->log.retain_slots + 2ULL * options->log.waiting_max);
    for (uint32_t i = 0; i < options->nodes_count; i++) {
        if (tn__log_world_payloads(simulation->world, i) > most) {
            tn__log_judge_report(simulation->judge, i, "memory",
                                 "payloads are held that nothing refers to");
        }
    }
}

/* In a free group nobody leads for nothing: a read at each member resolves what is left (Reads 3).
 */
static void read_everywhere(struct tn__log_simulation *simulation)
{
    const struct tn__log_world_options *options = tn__log_world_options(simulation->world);
    for (uint32_t i = 0; i < options->nodes_count && !has_failed(simulation); i++) {
        for (uint32_t g = 0; g < options->groups_count; g++) {
            if (tn__log_world_is_up(simulation->world, i)) {
                tn__log_world_read(simulation->world, i, g);
            }
        }
    }
}

static void come_to_rest(struct tn__log_simulation *simulation, const char *live, const char *equal)
{
    tn__log_faults_heal(simulation->faults);
    await_or_report(simulation, have_gone_on, tn__log_clients_done(simulation->clients), live,
                    "clients get no answers long after all faults have ended");
    tn__log_clients_stop(simulation->clients);
    await_or_report(simulation, nobody_waits, 0, live, "a call is never decided");
    read_everywhere(simulation);
    await_or_report(simulation, are_equal, 0, equal, "members do not become equal");
}

static void run_calm(struct tn__log_simulation *simulation)
{
    come_to_rest(simulation, "liveness", "converged");
    if (has_failed(simulation)) {
        return;
    }
    check_memory(simulation);
    for (uint32_t i = 0; i < simulation->swarm.world.nodes_count; i++) {
        tn__log_world_crash(simulation->world, i, TN_SIM_DISK_LOSE_ALL, UINT64_MAX);
    }
    tn__log_clients_go_on(simulation->clients);
    come_to_rest(simulation, "restart", "restart");
}

static void fill_result(struct tn__log_simulation *simulation,
                        struct tn__log_simulation_result *result)
{
    hash_words(simulation);
    XXH128_hash_t hash = XXH3_128bits_digest(simulation->hash);
    result->hash[0] = hash.high64;
    result->hash[1] = hash.low64;
    result->events = tn__log_world_events(simulation->world);
    result->simulated_ns = tn__log_world_now(simulation->world);
    for (uint32_t g = 0; g < simulation->swarm.world.groups_count; g++) {
        result->committed += tn__log_judge_committed(simulation->judge, g);
    }
    result->operations = tn__log_judge_operations_count(simulation->judge);
    result->done = tn__log_clients_done(simulation->clients);
    result->faults_on = simulation->swarm.faults.faults;
    tn__log_faults_hit(simulation->faults, TN_LOG_FAULT_CLIENT_CUT,
                       tn__log_clients_deaf(simulation->clients));
    for (uint32_t i = 0; i < TN_LOG_FAULTS_COUNT; i++) {
        result->hits[i] = tn__log_faults_hits(simulation->faults, (enum tn__log_fault)i);
    }
    result->violations_count = tn__log_judge_violations_count(simulation->judge);
    for (uint32_t i = 0; i < result->violations_count && i < TN_LOG_VIOLATIONS_MAX; i++) {
        result->violations[i] = *tn__log_judge_violation(simulation->judge, i);
    }
}

void tn__log_simulation_run(struct tn__log_simulation *simulation,
                            const struct tn__log_simulation_request *request,
                            struct tn__log_simulation_result *result)
{
    char why[256] = "";
    *result = (struct tn__log_simulation_result){0};
    tn__log_swarm_draw(request->seed, request->nodes, request->without, &simulation->swarm);
    simulation->swarm.world.unsafe = request->unsafe;
    int error = tn__log_world_reset(simulation->world, &simulation->swarm.world, why, sizeof(why));
    tn_assert(error == TN_OK);
    XXH3_128bits_reset(simulation->hash);
    simulation->words_count = 0;
    struct tn__log_observer hasher = {.context = simulation, .see = hash_sight};
    hasher.kinds =
        ~(tn__log_sight_bit(TN_LOG_SIGHT_SENT) | tn__log_sight_bit(TN_LOG_SIGHT_TURN_ENDED) |
          tn__log_sight_bit(TN_LOG_SIGHT_APPEND));
    tn__log_world_add_observer(simulation->world, &hasher);
    if (request->observer != NULL) {
        tn__log_world_add_observer(simulation->world, request->observer);
    }
    tn__log_judge_begin(simulation->judge, simulation->world);
    struct tn__log_world_hooks hooks = {.woken_context = simulation, .woken = woken};
    tn__log_faults_hooks(simulation->faults, &hooks);
    tn__log_world_set_hooks(simulation->world, &hooks);
    tn__log_clients_begin(simulation->clients, simulation->world, simulation->judge,
                          &simulation->swarm.clients);
    tn__log_faults_begin(simulation->faults, simulation->world, &simulation->swarm.faults);

    run_faults(simulation, request);
    if (!has_failed(simulation)) {
        run_calm(simulation);
    }
    tn__log_world_check(simulation->world);
    tn__log_judge_histories(simulation->judge);
    fill_result(simulation, result);
}

uint64_t tn__log_simulation_shrink(struct tn__log_simulation *simulation,
                                   const struct tn__log_simulation_request *request)
{
    struct tn__log_simulation_request trial = *request;
    trial.observer = NULL;
    struct tn__log_simulation_result result;
    for (uint32_t i = 0; i < TN_LOG_FAULTS_COUNT; i++) {
        uint64_t kept = trial.without;
        trial.without |= tn__log_fault_bit((enum tn__log_fault)i);
        tn__log_simulation_run(simulation, &trial, &result);
        if (result.violations_count == 0) {
            trial.without = kept;
        }
    }
    return trial.without;
}
