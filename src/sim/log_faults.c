/* The plan of faults of logs: life, episodes, healing, and the lease. */
#include "sim/log_faults.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "sim/log_faults_internal.h"

/* Faults that begin, last and end. */
static const enum tn__log_fault episodes[] = {
    TN_LOG_FAULT_LOSS_BURST,      TN_LOG_FAULT_LIFO,
    TN_LOG_FAULT_PARTITION,       TN_LOG_FAULT_ONE_WAY,
    TN_LOG_FAULT_GRAPH,           TN_LOG_FAULT_FLAP,
    TN_LOG_FAULT_SLOW_LINK,       TN_LOG_FAULT_TARGETED,
    TN_LOG_FAULT_RECONNECT,       TN_LOG_FAULT_HALF_OPEN,
    TN_LOG_FAULT_CRASH_AT_EFFECT, TN_LOG_FAULT_CRASH_IN_WRITE,
    TN_LOG_FAULT_CRASH_ALL,       TN_LOG_FAULT_CRASH_MAJORITY,
    TN_LOG_FAULT_AMNESIA,         TN_LOG_FAULT_PAUSE,
    TN_LOG_FAULT_SLOW_NODE,       TN_LOG_FAULT_RETRY,
    TN_LOG_FAULT_RATE_CHANGE,     TN_LOG_FAULT_JUMP,
    TN_LOG_FAULT_SLOW_DISK,       TN_LOG_FAULT_DISK_FULL,
};
#define EPISODES_COUNT (sizeof(episodes) / sizeof(episodes[0]))

static const struct {
    const char *name;
    const char *id;
    const char *text;
} names[] = {
#define TN_LOG_FAULT_NAME(name, id, sentence) {#name, id, sentence},
    TN_LOG_FAULT_TABLE(TN_LOG_FAULT_NAME)
#undef TN_LOG_FAULT_NAME
};

const char *tn__log_fault_id(enum tn__log_fault fault)
{
    tn_assert(fault < TN_LOG_FAULTS_COUNT);
    return names[fault].id;
}

const char *tn__log_fault_name(enum tn__log_fault fault)
{
    tn_assert(fault < TN_LOG_FAULTS_COUNT);
    return names[fault].name;
}

const char *tn__log_fault_text(enum tn__log_fault fault)
{
    tn_assert(fault < TN_LOG_FAULTS_COUNT);
    return names[fault].text;
}

/* ---- Wakes ----------------------------------------------------------------------------------- */

tn_time tn__log_faults_span(struct tn__log_faults *faults, tn_time mean)
{
    tn_time span = 1 + tn__log_faults_below(faults, 2 * mean + 1);
    return tn__log_faults_below(faults, 16) == 0 ? 8 * span : span;
}

void tn__log_faults_wake(struct tn__log_faults *faults, tn_time after,
                         enum tn__log_faults_wake what, uint32_t whom)
{
    tn__log_world_wake(faults->world, tn__log_world_now(faults->world) + after,
                       (uint64_t)what << 32 | whom);
}

/* ---- The lease ------------------------------------------------------------------------------- */

static tn_time slowest(const struct tn__log_faults *faults, tn_time local)
{
    return faults->is_calm || tn__log_faults_has(faults, TN_LOG_FAULT_RATES) ||
                   tn__log_faults_has(faults, TN_LOG_FAULT_RATE_CHANGE)
               ? local / 9 * 10 + local % 9 * 10
               : local;
}

/* Tell the owner; it counts on its own clock, so all are sure of the end only later. */
static void give_tenure(struct tn__log_faults *faults, uint32_t group)
{
    struct tn__log_lease *lease = &faults->leases[group];
    tn_time tenure = faults->options.tenure_ns;
    tn_time now = tn__log_world_now(faults->world);
    lease->ends = now + slowest(faults, tenure) + faults->options.granularity;
    tn__log_world_tenure(faults->world, lease->owner, group, lease->token,
                         tn__log_world_local(faults->world, lease->owner) + tenure);
}

static void tell_others(struct tn__log_faults *faults, uint32_t group)
{
    uint32_t owner = faults->leases[group].owner;
    for (uint32_t i = 0; i < faults->nodes_count; i++) {
        uint32_t leader = owner;
        if (tn__log_faults_draw(faults, TN_LOG_FAULT_TENURE_LOST, 300000)) {
            tn__log_faults_count(faults, TN_LOG_FAULT_TENURE_LOST);
            leader = (uint32_t)tn__log_faults_below(faults, faults->nodes_count);
        }
        if (i != owner) {
            tn__log_world_hint(faults->world, i, group, leader);
        }
    }
}

/* Who does not vote in a group does not want its lease, as in the node. */
static bool is_fit(const struct tn__log_faults *faults, uint32_t process, uint32_t group)
{
    struct tn_log_status status;
    tn_log_status(tn__log_world_log(faults->world, process, group),
                  tn__log_world_local(faults->world, process), &status);
    return status.state != TN_LOG_STATE_DAMAGED && status.state != TN_LOG_STATE_STOPPED;
}

static void choose_owner(struct tn__log_faults *faults, uint32_t group)
{
    struct tn__log_lease *lease = &faults->leases[group];
    tn_member_set voters = tn__log_world_options(faults->world)->log.voters;
    uint32_t owner = tn__log_faults_someone(faults);
    if (owner == TN_LOG_WORLD_NONE || (voters >> owner & 1U) == 0 ||
        !is_fit(faults, owner, group)) {
        return;
    }
    lease->owner = owner;
    lease->token++;
    lease->word = tn__log_world_restart_word(faults->world, owner);
    give_tenure(faults, group);
    tell_others(faults, group);
}

static void end_tenure(struct tn__log_faults *faults, uint32_t group)
{
    struct tn__log_lease *lease = &faults->leases[group];
    uint32_t owner = lease->owner;
    lease->word = 0;
    if (tn__log_faults_draw(faults, TN_LOG_FAULT_TENURE_LOST, 500000)) {
        tn__log_faults_count(faults, TN_LOG_FAULT_TENURE_LOST);
        return;
    }
    tn__log_world_tenure(faults->world, owner, group, lease->token, 0);
    lease->ends = tn__log_world_now(faults->world);
}

/* A node whose log cannot lead gives its lease back (node_group_lease.c). While faults go on it may
 * keep it: that is only bad luck. */
static bool stands_back(struct tn__log_faults *faults, uint32_t owner)
{
    tn__log_faults_look_at_hurt(faults);
    return faults->is_calm && (faults->hurt >> owner & 1U) != 0;
}

/* Renew, move on, or find a new owner: three times a tenure. */
static void look_after_lease(struct tn__log_faults *faults, uint32_t group)
{
    struct tn__log_lease *lease = &faults->leases[group];
    tn_time now = tn__log_world_now(faults->world);
    tn__log_faults_wake(faults, faults->options.tenure_ns / 3, TN__LOG_FAULTS_LEASE, group);
    bool is_held =
        lease->word != 0 && tn__log_world_restart_word(faults->world, lease->owner) == lease->word;
    bool answers = is_held && !tn__log_world_is_paused(faults->world, lease->owner) &&
                   is_fit(faults, lease->owner, group);
    if (is_held && now < lease->ends) {
        if (tn__log_faults_draw(faults, TN_LOG_FAULT_OVERLAP, 50000)) {
            tn__log_faults_count(faults, TN_LOG_FAULT_OVERLAP);
            choose_owner(faults, group);
        } else if (answers && stands_back(faults, lease->owner)) {
            end_tenure(faults, group);
        } else if (!faults->is_calm && answers && tn__log_faults_below(faults, 20) == 0) {
            end_tenure(faults, group);
        } else if (answers) {
            give_tenure(faults, group);
        }
        return;
    }
    if (now >= lease->ends) {
        choose_owner(faults, group);
    }
}

/* ---- Episodes -------------------------------------------------------------------------------- */

static void begin_reconnect(struct tn__log_faults *faults, enum tn__log_fault fault)
{
    uint32_t from = (uint32_t)tn__log_faults_below(faults, faults->nodes_count);
    uint32_t to = (uint32_t)tn__log_faults_below(faults, faults->nodes_count);
    if (from == to) {
        return;
    }
    tn__log_faults_count(faults, fault);
    tn__log_world_connect(faults->world, from, to);
    if (fault == TN_LOG_FAULT_RECONNECT) {
        tn__log_world_connect(faults->world, to, from);
    }
}

static void begin_episode(struct tn__log_faults *faults)
{
    tn__log_faults_wake(faults, tn__log_faults_span(faults, faults->options.episode_ns),
                        TN__LOG_FAULTS_EPISODE, 0);
    enum tn__log_fault fault = episodes[tn__log_faults_below(faults, EPISODES_COUNT)];
    if (!tn__log_faults_has(faults, fault)) {
        return;
    }
    switch (fault) {
    case TN_LOG_FAULT_RECONNECT:
    case TN_LOG_FAULT_HALF_OPEN:
        begin_reconnect(faults, fault);
        break;
    case TN_LOG_FAULT_LOSS_BURST:
    case TN_LOG_FAULT_LIFO:
    case TN_LOG_FAULT_PARTITION:
    case TN_LOG_FAULT_ONE_WAY:
    case TN_LOG_FAULT_GRAPH:
    case TN_LOG_FAULT_FLAP:
    case TN_LOG_FAULT_SLOW_LINK:
    case TN_LOG_FAULT_TARGETED:
        tn__log_faults_network_begin(faults, fault);
        break;
    default:
        tn__log_faults_process_begin(faults, fault);
        break;
    }
}

/* A node whose disk has failed stands still until its operator starts it anew. */
static void look_after_failed(struct tn__log_faults *faults)
{
    tn__log_faults_wake(faults, TN_SECOND, TN__LOG_FAULTS_WATCH, 0);
    for (uint32_t i = 0; i < faults->nodes_count; i++) {
        if (tn__log_world_is_up(faults->world, i) && tn__log_world_has_failed(faults->world, i)) {
            tn__log_world_crash(faults->world, i, tn__log_faults_crash_kind(faults), 0);
        }
        if (!tn__log_world_is_up(faults->world, i)) {
            tn__log_faults_wake(faults, tn__log_faults_span(faults, TN_SECOND),
                                TN__LOG_FAULTS_START, i);
        }
    }
}

void tn__log_faults_woken(struct tn__log_faults *faults, uint64_t code)
{
    uint32_t whom = (uint32_t)code;
    switch ((enum tn__log_faults_wake)(code >> 32)) {
    case TN__LOG_FAULTS_EPISODE:
        if (!faults->is_calm) {
            begin_episode(faults);
        }
        break;
    case TN__LOG_FAULTS_NETWORK_END:
        if (faults->network != TN_LOG_FAULTS_COUNT &&
            tn__log_world_now(faults->world) >= faults->network_end) {
            tn__log_faults_network_end(faults);
        }
        break;
    case TN__LOG_FAULTS_FLAP:
        tn__log_faults_network_flap(faults);
        break;
    case TN__LOG_FAULTS_START:
        tn__log_faults_start(faults, whom);
        break;
    case TN__LOG_FAULTS_RESUME:
        tn__log_faults_resume(faults, whom);
        break;
    case TN__LOG_FAULTS_CONNECT:
        tn__log_world_connect(faults->world, whom / 16, whom % 16);
        break;
    case TN__LOG_FAULTS_SLOW_END:
        faults->slow &= ~(1U << whom);
        faults->retrying &= ~(1U << whom);
        faults->slow_disks &= ~(1U << whom);
        break;
    case TN__LOG_FAULTS_FULL_END:
        faults->full_disks &= ~(1U << whom);
        break;
    case TN__LOG_FAULTS_LEASE:
        look_after_lease(faults, whom);
        break;
    case TN__LOG_FAULTS_WATCH:
        look_after_failed(faults);
        break;
    default:
        tn_assert(false);
    }
}

/* ---- Life ------------------------------------------------------------------------------------ */

struct tn__log_faults *tn__log_faults_new(void)
{
    struct tn__log_faults *faults = calloc(1, sizeof(*faults));
    tn_assert(faults != NULL);
    return faults;
}

static void forget_disks(struct tn__log_faults *faults)
{
    for (uint32_t i = 0; i < TN_LOG_WORLD_NODES_MAX; i++) {
        tn__sim_disk_free(faults->older[i]);
        faults->older[i] = NULL;
    }
}

void tn__log_faults_free(struct tn__log_faults *faults)
{
    if (faults != NULL) {
        forget_disks(faults);
        free(faults);
    }
}

static void see_crash(void *context, const struct tn__log_sight *sight)
{
    struct tn__log_faults *faults = context;
    if (sight->kind != TN_LOG_SIGHT_CRASHED) {
        tn__log_faults_frame_gone(context, sight);
        return;
    }
    /* One that was armed has come by itself. */
    tn__log_faults_wake(faults, tn__log_faults_span(faults, faults->options.tenure_ns / 4),
                        TN__LOG_FAULTS_START, sight->process);
}

void tn__log_faults_hooks(struct tn__log_faults *faults, struct tn__log_world_hooks *hooks)
{
    hooks->context = faults;
    hooks->frame_sent = tn__log_faults_frame_sent;
    hooks->write_at = tn__log_faults_write_at;
    hooks->timer_at = tn__log_faults_timer_at;
    hooks->apply_at = tn__log_faults_apply_at;
    hooks->load_at = tn__log_faults_load_at;
    hooks->retry = tn__log_faults_retry;
}

void tn__log_faults_begin(struct tn__log_faults *faults, struct tn__log_world *world,
                          const struct tn__log_faults_options *options)
{
    forget_disks(faults);
    *faults = (struct tn__log_faults){.world = world,
                                      .options = *options,
                                      .random = options->seed,
                                      .network = TN_LOG_FAULTS_COUNT};
    const struct tn__log_world_options *shape = tn__log_world_options(world);
    faults->nodes_count = shape->nodes_count;
    tn_assert(options->delay_ns > 0 && options->sync_ns > 0 && options->tenure_ns > 0);
    struct tn__log_observer observer = {.context = faults,
                                        .see = see_crash,
                                        .kinds = tn__log_sight_bit(TN_LOG_SIGHT_DELIVERED) |
                                                 tn__log_sight_bit(TN_LOG_SIGHT_REFUSED) |
                                                 tn__log_sight_bit(TN_LOG_SIGHT_LOST) |
                                                 tn__log_sight_bit(TN_LOG_SIGHT_CRASHED)};
    tn__log_world_add_observer(world, &observer);
    tn__log_faults_set_clocks(faults);
    for (uint32_t i = 0; i < faults->nodes_count; i++) {
        tn__log_faults_start(faults, i);
    }
    for (uint32_t g = 0; g < shape->groups_count; g++) {
        if (shape->modes[g] == TN_LOG_MODE_LEASED) {
            tn__log_faults_wake(faults, 1 + tn__log_faults_below(faults, options->tenure_ns),
                                TN__LOG_FAULTS_LEASE, g);
        }
    }
    tn__log_faults_wake(faults, tn__log_faults_span(faults, options->episode_ns),
                        TN__LOG_FAULTS_EPISODE, 0);
    tn__log_faults_wake(faults, TN_SECOND, TN__LOG_FAULTS_WATCH, 0);
}

void tn__log_faults_heal(struct tn__log_faults *faults)
{
    faults->is_calm = true;
    tn__log_faults_network_end(faults);
    faults->slow = faults->slow_disks = faults->full_disks = faults->retrying = 0;
    /* What is held up comes soon, in some order. */
    for (uint32_t f = tn__log_world_first_frame(faults->world); f != TN_LOG_WORLD_NONE;
         f = tn__log_world_frame(faults->world, f)->next) {
        const struct tn__log_frame *frame = tn__log_world_frame(faults->world, f);
        if (frame->waiting == 0) {
            tn__log_world_plan_frame(
                faults->world, f,
                tn__log_world_now(faults->world) +
                    tn__log_faults_below(faults, 10 * faults->options.delay_ns) + 1);
        }
    }
    for (uint32_t i = 0; i < faults->nodes_count; i++) {
        tn__log_world_crash_in(faults->world, i, 0, TN_SIM_DISK_LOSE_ALL);
        tn__log_faults_resume(faults, i);
        if (tn__log_world_is_up(faults->world, i) && tn__log_world_has_failed(faults->world, i)) {
            tn__log_world_crash(faults->world, i, TN_SIM_DISK_LOSE_ALL, 0);
        }
        tn__log_faults_start(faults, i);
    }
}

uint64_t tn__log_faults_hits(const struct tn__log_faults *faults, enum tn__log_fault fault)
{
    return faults->hits[fault];
}

void tn__log_faults_hit(struct tn__log_faults *faults, enum tn__log_fault fault, uint64_t times)
{
    faults->hits[fault] += times;
}
