/* A run; the header tells its shape. */
#include "sim/simulation.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/assert.h"
#include "base/bytes.h"

#define EVENTS_MAX_DEFAULT 20000U
#define CRC_OFFSET 12U /* of a frame's checksum, which stands for all its bytes */
#define HASH_WORDS_ROOM 1024U
#define HASH_WORDS_OF_A_SIGHT_MAX 8U
#define STEADY_LEASES 10U
#define RETRY_NS (2 * TN_SECOND) /* a failed write is tried again after a second (F4) */

struct tn__simulation {
    struct tn__world *world;
    struct tn__lease_judge *judge;
    struct tn__fault_plan *plan;
    XXH3_state_t *hash;
    uint32_t words_count; /* said, and not yet hashed */
    uint64_t words[HASH_WORDS_ROOM];
    struct tn__swarm swarm;
    const struct tn__simulation_sabotage *sabotage;
};

/* ---- The hash ------------------------------------------------------------------------------- */

/* The frames and the turn's beginning say what the other two kinds would say again. */
static const uint32_t hashed_sights = ~(1U << TN_SIGHT_SENT | 1U << TN_SIGHT_TURN_ENDED);

static void hash_words(struct tn__simulation *simulation)
{
    XXH3_128bits_update(simulation->hash, simulation->words,
                        simulation->words_count * sizeof(simulation->words[0]));
    simulation->words_count = 0;
}

static void hash_sight(void *context, const struct tn__sight *sight)
{
    struct tn__simulation *simulation = context;
    if (simulation->words_count + HASH_WORDS_OF_A_SIGHT_MAX > HASH_WORDS_ROOM) {
        hash_words(simulation);
    }
    uint64_t *words = simulation->words + simulation->words_count;
    uint32_t count = 0;
    words[count++] = (uint64_t)sight->kind << 32 | sight->process;
    words[count++] = sight->real;
    words[count++] = sight->local;
    words[count++] = sight->word;
    if (sight->kind == TN_SIGHT_NOTICE) {
        const struct tn_notice *notice = sight->notice;
        words[count++] = (uint64_t)notice->kind << 8 | notice->reason;
        words[count++] = notice->ballot.counter;
        words[count++] = notice->token;
        words[count++] = notice->deadline;
    } else if (sight->frame != NULL) {
        words[count++] = sight->frame->serial << 16 | sight->frame->bytes_count;
        words[count++] = tn__get_u32(sight->frame->bytes + CRC_OFFSET);
    }
    tn_assert(count <= HASH_WORDS_OF_A_SIGHT_MAX);
    simulation->words_count += count;
}

/* ---- Life ----------------------------------------------------------------------------------- */

struct tn__simulation *tn__simulation_new(void)
{
    struct tn__simulation *simulation = calloc(1, sizeof(*simulation));
    tn_assert(simulation != NULL);
    simulation->world = tn__world_new();
    simulation->judge = tn__lease_judge_new();
    simulation->plan = tn__fault_plan_new();
    simulation->hash = XXH3_createState();
    tn_assert(simulation->hash != NULL);
    return simulation;
}

void tn__simulation_free(struct tn__simulation *simulation)
{
    if (simulation == NULL) {
        return;
    }
    tn__world_free(simulation->world);
    tn__lease_judge_free(simulation->judge);
    tn__fault_plan_free(simulation->plan);
    XXH3_freeState(simulation->hash);
    free(simulation);
}

/* ---- The phases ----------------------------------------------------------------------------- */

static void begin_phase(struct tn__simulation *simulation, enum tn__simulation_phase phase)
{
    if (simulation->sabotage != NULL) {
        simulation->sabotage->begin(simulation->sabotage->context, simulation->world, phase);
    }
}

/* Real time that the slowest clock needs for a local span. */
static tn_time stretched(const struct tn__simulation *simulation, tn_time local)
{
    uint32_t slowest = 1000000 - simulation->swarm.world.drift_ppm;
    return local / slowest * 1000000 + local % slowest * 1000000 / slowest + 1;
}

static bool all_owned(const struct tn__simulation *simulation)
{
    for (uint32_t i = 0; i < simulation->swarm.plan.names_count; i++) {
        char name = (char)('a' + i);
        if (tn__lease_judge_owner(simulation->judge, 0, &name, 1) == TN_WORLD_NONE) {
            return false;
        }
    }
    return true;
}

static uint64_t all_tenures(const struct tn__simulation *simulation)
{
    uint64_t tenures = 0;
    for (uint32_t i = 0; i < simulation->swarm.plan.names_count; i++) {
        char name = (char)('a' + i);
        tenures += tn__lease_judge_tenures(simulation->judge, 0, &name, 1);
    }
    return tenures;
}

/* How long it may take, from healing, until every name has an owner. */
static tn_time patience(const struct tn__simulation *simulation)
{
    const struct tn_lease_table_options *table =
        &tn__world_lease_options(simulation->world)->tables[0];
    tn_time local = 2 * (table->acceptor_ns + table->quarantine_ns) + 4 * table->proposer_ns +
                    64 * simulation->swarm.plan.delay_ns + RETRY_NS +
                    16 * simulation->swarm.plan.granularity;
    return stretched(simulation, local);
}

/* Liveness: when that time is over, everything has an owner. */
static bool await_owners(struct tn__simulation *simulation, const char *rule)
{
    tn_time now = tn__world_now(simulation->world) + patience(simulation);
    tn__world_run(simulation->world, now);
    /* With priorities a name may be on its way to the preferred node (H3) just now. */
    const struct tn_lease_table_options *table = &simulation->swarm.world.tables[0];
    tn_time until = simulation->swarm.plan.priorities == 0
                        ? now
                        : now + stretched(simulation, 2 * table->acceptor_ns);
    while (now < until && !all_owned(simulation)) {
        now += table->proposer_ns / 8;
        tn__world_run(simulation->world, now);
    }
    if (!all_owned(simulation)) {
        tn__lease_judge_report(simulation->judge, TN_WORLD_NONE, rule,
                               "a name has no owner long after all faults have ended");
        return false;
    }
    return true;
}

/* No alternation: whoever owns goes on owning. With different priorities a name may move to the
 * preferred node, which takes a while, and no further. */
static void await_steadiness(struct tn__simulation *simulation)
{
    tn_time lease = stretched(simulation, simulation->swarm.world.tables[0].proposer_ns);
    uint64_t before = all_tenures(simulation);
    begin_phase(simulation, TN_SIMULATION_STEADY);
    tn__world_run(simulation->world, tn__world_now(simulation->world) + STEADY_LEASES * lease);
    uint64_t moves = all_tenures(simulation) - before;
    uint64_t allowed =
        simulation->swarm.plan.priorities != 0 ? 3ULL * simulation->swarm.plan.names_count : 0;
    if (moves > allowed) {
        tn__lease_judge_report(simulation->judge, TN_WORLD_NONE, "steady",
                               "owners change although nothing is wrong");
    }
}

static void run_faults(struct tn__simulation *simulation,
                       const struct tn__simulation_request *request)
{
    uint64_t events = request->events_max != 0 ? request->events_max : EVENTS_MAX_DEFAULT;
    tn_time until = request->span_ns != 0 ? tn__world_now(simulation->world) + request->span_ns
                                          : TN_TIME_NEVER - 1;
    while (tn__world_events(simulation->world) < events &&
           tn__lease_judge_violations_count(simulation->judge) == 0 &&
           tn__world_step(simulation->world, until)) {
    }
}

/* F3: the change of members that is under way comes to its end; then as after healing. */
static void await_members(struct tn__simulation *simulation)
{
    if ((simulation->swarm.plan.faults & TN_PLAN_MEMBER_FAULTS) == 0) {
        return;
    }
    tn_time now = tn__world_now(simulation->world);
    tn_time until = now + 2 * patience(simulation);
    while (now < until && !tn__fault_plan_settled(simulation->plan)) {
        now += simulation->swarm.world.tables[0].proposer_ns / 8;
        tn__world_run(simulation->world, now);
    }
    if (!tn__fault_plan_settled(simulation->plan)) {
        tn__lease_judge_report(simulation->judge, TN_WORLD_NONE, "members",
                               "a change of members does not end long after all faults have");
    }
    tn__fault_plan_want_all(simulation->plan);
}

static void run_calm(struct tn__simulation *simulation)
{
    tn__fault_plan_heal(simulation->plan);
    begin_phase(simulation, TN_SIMULATION_HEALED);
    await_members(simulation);
    if (!await_owners(simulation, "liveness")) {
        return;
    }
    await_steadiness(simulation);
    for (uint32_t i = 0; i < tn__world_nodes(simulation->world); i++) {
        if (tn__world_is_up(simulation->world, i)) {
            tn__world_crash(simulation->world, i, TN_SIM_DISK_LOSE_ALL, UINT64_MAX);
        }
    }
    tn__fault_plan_heal(simulation->plan);
    begin_phase(simulation, TN_SIMULATION_RESTARTED);
    await_owners(simulation, "restart");
}

void tn__simulation_run(struct tn__simulation *simulation,
                        const struct tn__simulation_request *request,
                        struct tn__simulation_result *result)
{
    *result = (struct tn__simulation_result){0};
    tn__swarm_draw(request->seed, request->nodes, request->without, &simulation->swarm);
    int error = tn__world_reset(simulation->world, &simulation->swarm.world, NULL, 0);
    tn_assert(error == 0);
    simulation->sabotage = request->sabotage;
    XXH3_128bits_reset(simulation->hash);
    simulation->words_count = 0;
    struct tn__world_observer hasher = {
        .context = simulation, .see = hash_sight, .kinds = hashed_sights};
    tn__world_add_observer(simulation->world, &hasher);
    if (request->observer != NULL) {
        tn__world_add_observer(simulation->world, request->observer);
    }
    tn__lease_judge_begin(simulation->judge, simulation->world);
    tn__fault_plan_begin(simulation->plan, simulation->world, &simulation->swarm.plan);

    run_faults(simulation, request);
    if (tn__lease_judge_violations_count(simulation->judge) == 0) {
        run_calm(simulation);
    }
    hash_words(simulation);
    XXH128_hash_t hash = XXH3_128bits_digest(simulation->hash);
    result->hash[0] = hash.high64;
    result->hash[1] = hash.low64;
    result->events = tn__world_events(simulation->world);
    result->simulated_ns = tn__world_now(simulation->world);
    result->tenures = all_tenures(simulation);
    result->faults_on = simulation->swarm.plan.faults;
    for (uint32_t i = 0; i < TN_FAULTS_COUNT; i++) {
        result->hits[i] = tn__fault_plan_hits(simulation->plan, (enum tn__fault)i);
    }
    result->violations_count = tn__lease_judge_violations_count(simulation->judge);
    for (uint32_t i = 0; i < result->violations_count && i < TN_JUDGE_VIOLATIONS_MAX; i++) {
        result->violations[i] = *tn__lease_judge_violation(simulation->judge, i);
    }
}

uint64_t tn__simulation_shrink(struct tn__simulation *simulation,
                               const struct tn__simulation_request *request)
{
    struct tn__simulation_request trial = *request;
    trial.observer = NULL;
    struct tn__simulation_result result;
    for (uint32_t i = 0; i < TN_FAULTS_COUNT; i++) {
        uint64_t bit = tn__fault_bit((enum tn__fault)i);
        uint64_t kept = trial.without;
        trial.without |= bit;
        tn__simulation_run(simulation, &trial, &result);
        if (result.violations_count == 0) {
            trial.without = kept;
        }
    }
    return trial.without;
}
