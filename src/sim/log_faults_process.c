/* Crashes, starts, pauses, clocks and timers of nodes of logs. */
#include "base/assert.h"
#include "sim/log_faults_internal.h"

#define START_TRIES_MAX 4U
#define MILLION 1000000U

uint32_t tn__log_faults_someone(struct tn__log_faults *faults)
{
    uint32_t first = (uint32_t)tn__log_faults_below(faults, faults->nodes_count);
    for (uint32_t i = 0; i < faults->nodes_count; i++) {
        uint32_t process = (first + i) % faults->nodes_count;
        if (tn__log_world_is_up(faults->world, process) &&
            !tn__log_world_is_paused(faults->world, process)) {
            return process;
        }
    }
    return TN_LOG_WORLD_NONE;
}

/* ---- Crashes and starts ---------------------------------------------------------------------- */

enum tn__sim_disk_crash tn__log_faults_crash_kind(struct tn__log_faults *faults)
{
    static const struct {
        enum tn__log_fault fault;
        enum tn__sim_disk_crash crash;
    } kinds[] = {{TN_LOG_FAULT_LOSE_ALL, TN_SIM_DISK_LOSE_ALL},
                 {TN_LOG_FAULT_SCATTER, TN_SIM_DISK_ANY},
                 {TN_LOG_FAULT_KILLED, TN_SIM_DISK_PROCESS_ONLY}};
    uint32_t first = (uint32_t)tn__log_faults_below(faults, 3);
    for (uint32_t i = 0; i < 3; i++) {
        if (tn__log_faults_has(faults, kinds[(first + i) % 3].fault)) {
            tn__log_faults_count(faults, kinds[(first + i) % 3].fault);
            return kinds[(first + i) % 3].crash;
        }
    }
    return TN_SIM_DISK_LOSE_ALL;
}

static void plan_start(struct tn__log_faults *faults, uint32_t process)
{
    tn__log_faults_wake(faults, tn__log_faults_span(faults, faults->options.tenure_ns / 4),
                        TN__LOG_FAULTS_START, process);
}

static void crash(struct tn__log_faults *faults, uint32_t process, uint64_t operations)
{
    if (tn__log_world_is_up(faults->world, process)) {
        tn__log_world_crash(faults->world, process, tn__log_faults_crash_kind(faults), operations);
        tn__log_faults_harm(faults, process);
        plan_start(faults, process);
    }
}

void tn__log_faults_start(struct tn__log_faults *faults, uint32_t process)
{
    if (tn__log_world_is_up(faults->world, process)) {
        return;
    }
    struct tn__sim_disk *disk = tn__log_world_disk(faults->world, process);
    struct tn__sim_disk_plan plan = {0};
    bool may_fail = faults->starts_failed[process] < START_TRIES_MAX;
    if (may_fail && tn__log_faults_draw(faults, TN_LOG_FAULT_CRASH_IN_START, MILLION / 3)) {
        plan.crash_at = 1 + tn__log_faults_below(faults, 60);
    } else if (may_fail && tn__log_faults_draw(faults, TN_LOG_FAULT_READ_ERROR, MILLION / 10)) {
        plan.fail_at = 1 + tn__log_faults_below(faults, 40);
        tn__log_faults_count(faults, TN_LOG_FAULT_READ_ERROR);
    }
    plan.short_transfers = tn__log_faults_draw(faults, TN_LOG_FAULT_SHORT, MILLION / 8);
    faults->hits[TN_LOG_FAULT_SHORT] += plan.short_transfers ? 1 : 0;
    if (tn__log_faults_draw(faults, TN_LOG_FAULT_CLOCK_AT_START, MILLION / 2)) {
        tn__log_world_set_clock(faults->world, process, tn__log_faults_below(faults, TN_SECOND));
        tn__log_faults_count(faults, TN_LOG_FAULT_CLOCK_AT_START);
    }
    tn__sim_disk_arm(disk, &plan);
    int error = tn__log_world_start(faults->world, process);
    if (tn__sim_disk_crashed(disk)) {
        tn__log_faults_count(faults, TN_LOG_FAULT_CRASH_IN_START);
    }
    if (error != TN_OK) {
        if (tn__sim_disk_crashed(disk)) {
            tn__sim_disk_restart(disk, tn__log_faults_crash_kind(faults));
        } else {
            tn__sim_disk_restart(disk, TN_SIM_DISK_PROCESS_ONLY);
        }
        faults->starts_failed[process]++;
        plan_start(faults, process);
        return;
    }
    tn__sim_disk_arm(disk, &(struct tn__sim_disk_plan){0});
    faults->starts_failed[process] = 0;
    for (uint32_t peer = 0; peer < faults->nodes_count; peer++) {
        if (peer != process) {
            tn_time soon = 2 * faults->options.delay_ns;
            tn__log_faults_wake(faults, tn__log_faults_below(faults, soon) + 1,
                                TN__LOG_FAULTS_CONNECT, process * 16 + peer);
            tn__log_faults_wake(faults, tn__log_faults_below(faults, soon) + 1,
                                TN__LOG_FAULTS_CONNECT, peer * 16 + process);
        }
    }
}

static void crash_many(struct tn__log_faults *faults, uint32_t count)
{
    uint32_t first = (uint32_t)tn__log_faults_below(faults, faults->nodes_count);
    for (uint32_t i = 0; i < count; i++) {
        crash(faults, (first + i) % faults->nodes_count, tn__log_faults_below(faults, 4));
    }
}

/* ---- Pauses ---------------------------------------------------------------------------------- */

static void begin_pause(struct tn__log_faults *faults, uint32_t process)
{
    tn_time lasts = tn__log_faults_below(faults, 16) == 0
                        ? tn__log_faults_below(faults, 60 * TN_SECOND)
                        : tn__log_faults_span(faults, faults->options.tenure_ns / 2);
    tn__log_world_pause(faults->world, process);
    tn__log_faults_wake(faults, lasts + TN_MILLISECOND, TN__LOG_FAULTS_RESUME, process);
}

void tn__log_faults_resume(struct tn__log_faults *faults, uint32_t process)
{
    if (!tn__log_world_is_paused(faults->world, process)) {
        return;
    }
    uint32_t waiting = 0;
    for (uint32_t f = tn__log_world_first_frame(faults->world); f != TN_LOG_WORLD_NONE;
         f = tn__log_world_frame(faults->world, f)->next) {
        const struct tn__log_frame *frame = tn__log_world_frame(faults->world, f);
        waiting += frame->to == process && frame->waiting != 0 ? 1 : 0;
    }
    bool overrun = tn__log_faults_draw(faults, TN_LOG_FAULT_OVERRUN, MILLION / 2);
    faults->hits[TN_LOG_FAULT_OVERRUN] += overrun ? 1 : 0;
    faults->hits[TN_LOG_FAULT_BURST] += waiting >= 10 ? 1 : 0;
    tn__log_world_resume(faults->world, process, overrun);
}

/* ---- Clocks and timers ----------------------------------------------------------------------- */

void tn__log_faults_set_clocks(struct tn__log_faults *faults)
{
    for (uint32_t i = 0; i < faults->nodes_count; i++) {
        uint32_t rate = MILLION;
        if (tn__log_faults_has(faults, TN_LOG_FAULT_RATES)) {
            rate = 900000U + (uint32_t)tn__log_faults_below(faults, 200001);
            tn__log_faults_count(faults, TN_LOG_FAULT_RATES);
        }
        tn__log_world_set_rate(faults->world, i, rate, faults->options.granularity);
        faults->hits[TN_LOG_FAULT_COARSE] += faults->options.granularity > 0 ? 1 : 0;
        if (tn__log_faults_has(faults, TN_LOG_FAULT_CLOCK_HIGH)) {
            tn__log_world_set_clock(faults->world, i, (1ULL << 62) - 30 * TN_SECOND);
            tn__log_faults_count(faults, TN_LOG_FAULT_CLOCK_HIGH);
        }
    }
}

tn_time tn__log_faults_timer_at(void *context, uint32_t process, tn_time due)
{
    struct tn__log_faults *faults = context;
    tn_maybe(process == 0);
    if (tn__log_faults_draw(faults, TN_LOG_FAULT_TIMER_LATE, MILLION / 10)) {
        tn__log_faults_count(faults, TN_LOG_FAULT_TIMER_LATE);
        tn_time now = tn__log_world_now(faults->world);
        if (tn__log_faults_below(faults, 4) == 0) {
            return now + (due - now) / 2 + 1;
        }
        return due + tn__log_faults_span(faults, 20 * TN_MILLISECOND);
    }
    return due;
}

/* ---- Executing ------------------------------------------------------------------------------- */

tn_time tn__log_faults_apply_at(void *context, uint32_t process, uint32_t group)
{
    struct tn__log_faults *faults = context;
    tn_time delay = faults->options.apply_ns;
    tn_maybe(group == 0);
    if (!faults->is_calm && (faults->slow >> process & 1U) != 0) {
        tn__log_faults_count(faults, TN_LOG_FAULT_SLOW_NODE);
        delay *= 10 + tn__log_faults_below(faults, 1000);
    }
    return tn__log_world_now(faults->world) + 1 + tn__log_faults_below(faults, 2 * delay);
}

bool tn__log_faults_retry(void *context, uint32_t process)
{
    struct tn__log_faults *faults = context;
    if (!faults->is_calm && (faults->retrying >> process & 1U) != 0 &&
        tn__log_faults_below(faults, 4) != 0) {
        tn__log_faults_count(faults, TN_LOG_FAULT_RETRY);
        return true;
    }
    return false;
}

/* ---- Episodes -------------------------------------------------------------------------------- */

static void change_clock(struct tn__log_faults *faults, enum tn__log_fault fault, uint32_t process)
{
    if (fault == TN_LOG_FAULT_JUMP) {
        tn__log_world_jump(faults->world, process,
                           tn__log_faults_span(faults, faults->options.tenure_ns));
    } else {
        tn__log_world_set_rate(faults->world, process,
                               900000U + (uint32_t)tn__log_faults_below(faults, 200001),
                               faults->options.granularity);
    }
    tn__log_faults_count(faults, fault);
}

static void begin_amnesia(struct tn__log_faults *faults, uint32_t process)
{
    if (!tn__log_faults_may_hurt(faults, process)) {
        return;
    }
    crash(faults, process, 0);
    faults->hurt |= 1U << process;
    tn__log_faults_remove_all(faults, process);
    tn__log_world_harmed(faults->world, process);
    tn__log_faults_count(faults, TN_LOG_FAULT_AMNESIA);
}

static void slow_down(struct tn__log_faults *faults, tn_member_set *set, uint32_t process)
{
    *set |= 1U << process;
    tn__log_faults_wake(faults, tn__log_faults_span(faults, faults->options.tenure_ns),
                        TN__LOG_FAULTS_SLOW_END, process);
}

void tn__log_faults_process_begin(struct tn__log_faults *faults, enum tn__log_fault fault)
{
    uint32_t process = tn__log_faults_someone(faults);
    if (process == TN_LOG_WORLD_NONE) {
        return;
    }
    switch (fault) {
    case TN_LOG_FAULT_CRASH_AT_EFFECT: {
        uint32_t effects = 1 + (uint32_t)tn__log_faults_below(faults, 12);
        tn__log_world_crash_in(faults->world, process, effects, tn__log_faults_crash_kind(faults));
        tn__log_faults_count(faults, fault);
        break;
    }
    case TN_LOG_FAULT_CRASH_IN_WRITE:
        crash(faults, process, 1 + tn__log_faults_below(faults, 8));
        tn__log_faults_count(faults, fault);
        break;
    case TN_LOG_FAULT_CRASH_ALL:
        crash_many(faults, faults->nodes_count);
        tn__log_faults_count(faults, fault);
        break;
    case TN_LOG_FAULT_CRASH_MAJORITY:
        crash_many(faults, faults->nodes_count / 2 + 1);
        tn__log_faults_count(faults, fault);
        break;
    case TN_LOG_FAULT_AMNESIA:
        begin_amnesia(faults, process);
        break;
    case TN_LOG_FAULT_PAUSE:
        begin_pause(faults, process);
        tn__log_faults_count(faults, fault);
        break;
    case TN_LOG_FAULT_SLOW_NODE:
        slow_down(faults, &faults->slow, process);
        break;
    case TN_LOG_FAULT_RETRY:
        slow_down(faults, &faults->retrying, process);
        break;
    case TN_LOG_FAULT_SLOW_DISK:
        slow_down(faults, &faults->slow_disks, process);
        break;
    case TN_LOG_FAULT_DISK_FULL:
        tn__log_faults_begin_full(faults, process);
        break;
    default:
        change_clock(faults, fault, process);
        break;
    }
}
