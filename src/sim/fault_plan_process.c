/* Faults of processes: crashes, starts, pauses, clocks, disks, timers. */
#include <tenure/error.h>

#include "base/assert.h"
#include "sim/fault_plan_internal.h"

#define START_CRASHES_MAX 3U    /* in a row (C2) */
#define START_OPERATIONS_MAX 24 /* a start has about so many disk operations */
#define SLOW_DISK_NS (60 * TN_SECOND)
#define HOUR_NS (3600 * TN_SECOND)

/* ---- Disks and timers ----------------------------------------------------------------------- */

void tn__plan_write_begun(void *context, uint32_t process)
{
    struct tn__fault_plan *plan = context;
    tn_time takes = 1 + tn__plan_below(plan, plan->options.delay_ns);
    if (!plan->calm && process < plan->nodes_count) {
        if ((plan->slow_disks >> process & 1U) != 0) {
            tn__plan_hit(plan, TN_FAULT_SLOW_DISK);
            takes = tn__plan_below(plan, SLOW_DISK_NS);
        }
        struct tn__sim_disk_plan faults = {0};
        if (tn__plan_draw(plan, TN_FAULT_WRITE_FAILED, 200000)) {
            tn__plan_hit(plan, TN_FAULT_WRITE_FAILED);
            faults.fail_at = 1 + tn__plan_below(plan, 2);
            faults.fail_count = 1 + tn__plan_below(plan, 3);
            faults.fail_error = tn__plan_below(plan, 2) == 0 ? TN_ERROR_IO : TN_ERROR_DISK_FULL;
            faults.failed_sync = (uint32_t)tn__plan_below(plan, 2);
        } else if (tn__plan_draw(plan, TN_FAULT_CRASH_IN_WRITE, 100000)) {
            tn__plan_hit(plan, TN_FAULT_CRASH_IN_WRITE);
            faults.crash_at = 1 + tn__plan_below(plan, 4);
        }
        tn__sim_disk_arm(tn__world_disk(plan->world, process), &faults);
    }
    tn__world_plan_write(plan->world, process, tn__world_now(plan->world) + takes);
}

tn_time tn__plan_timer_at(void *context, uint32_t process, tn_time due)
{
    struct tn__fault_plan *plan = context;
    if (plan->calm) {
        return due;
    }
    if (process < plan->nodes_count && (plan->slow >> process & 1U) != 0) {
        return due + tn__plan_below(plan, 100 * plan->options.delay_ns);
    }
    if (tn__plan_draw(plan, TN_FAULT_TIMER_LATE, 50000)) {
        tn__plan_hit(plan, TN_FAULT_TIMER_LATE);
        return due + tn__plan_below(plan, plan->table->proposer_ns);
    }
    if (due > tn__world_now(plan->world) + 1 && tn__plan_draw(plan, TN_FAULT_TIMER_EARLY, 50000)) {
        tn__plan_hit(plan, TN_FAULT_TIMER_EARLY);
        return due - 1;
    }
    return due;
}

/* ---- Clocks --------------------------------------------------------------------------------- */

static uint32_t rho(const struct tn__fault_plan *plan)
{
    return tn__world_lease_options(plan->world)->drift_ppm;
}

/* A rate within 1 +- rho, often at one of the bounds. */
static uint32_t some_rate(struct tn__fault_plan *plan)
{
    if (tn__plan_draw(plan, TN_FAULT_RATES_AT_BOUND, 600000)) {
        tn__plan_hit(plan, TN_FAULT_RATES_AT_BOUND);
        return tn__plan_below(plan, 2) == 0 ? 1000000 - rho(plan) : 1000000 + rho(plan);
    }
    return 1000000 - rho(plan) + (uint32_t)tn__plan_below(plan, 2ULL * rho(plan) + 1);
}

static void set_rate(struct tn__fault_plan *plan, uint32_t process, uint32_t rate)
{
    tn_time granularity = tn__plan_has(plan, TN_FAULT_COARSE) ? plan->options.granularity : 0;
    tn__world_set_rate(plan->world, process, rate, granularity);
}

void tn__plan_set_clocks(struct tn__fault_plan *plan)
{
    for (uint32_t i = 0; i < plan->nodes_count; i++) {
        if (tn__plan_has(plan, TN_FAULT_CLOCK_HIGH)) {
            tn__plan_hit(plan, TN_FAULT_CLOCK_HIGH);
            tn__world_set_clock(plan->world, i,
                                (1ULL << 63) - 16 * TN_SECOND +
                                    tn__plan_below(plan, 32 * TN_SECOND));
        } else {
            tn__world_set_clock(plan->world, i, tn__plan_below(plan, HOUR_NS));
        }
        uint32_t rate = 1000000;
        if (tn__plan_has(plan, TN_FAULT_RATES)) {
            tn__plan_hit(plan, TN_FAULT_RATES);
            rate = some_rate(plan);
        }
        if (tn__plan_has(plan, TN_FAULT_COARSE)) {
            tn__plan_hit(plan, TN_FAULT_COARSE);
        }
        set_rate(plan, i, rate);
    }
}

/* The worst that rho allows: who owns the first name is slow, everybody else is fast. */
static void set_rates_adverse(struct tn__fault_plan *plan)
{
    for (uint32_t i = 0; i < plan->nodes_count; i++) {
        struct tn_lease_view view;
        bool owner = tn__world_view(plan->world, i, 0, "a", 1, &view) && view.owned != 0;
        set_rate(plan, i, owner ? 1000000 - rho(plan) : 1000000 + rho(plan));
    }
}

/* ---- Crashes and starts --------------------------------------------------------------------- */

void tn__plan_crash(struct tn__fault_plan *plan, uint32_t process)
{
    if (!tn__world_is_up(plan->world, process)) {
        return;
    }
    if (tn__world_is_writing(plan->world, process)) {
        tn__plan_hit(plan, TN_FAULT_CRASH_IN_WRITE);
    }
    enum tn__sim_disk_crash disk = (enum tn__sim_disk_crash)tn__plan_below(plan, 3);
    tn__world_crash(plan->world, process, disk, tn__plan_below(plan, 12));
}

void tn__plan_restore_disk(struct tn__fault_plan *plan, uint32_t process)
{
    if (plan->kept_disk[process] == NULL) {
        return;
    }
    struct tn__sim_disk *empty =
        tn__world_swap_disk(plan->world, process, plan->kept_disk[process]);
    tn__sim_disk_free(empty);
    plan->kept_disk[process] = NULL;
}

/* C5: an empty directory where the node's own should be: it must refuse to start. */
static bool try_amnesia(struct tn__fault_plan *plan, uint32_t process)
{
    if (plan->calm || tn__world_disk(plan->world, process) == NULL ||
        !tn__plan_draw(plan, TN_FAULT_AMNESIA, 150000)) {
        return false;
    }
    tn__plan_hit(plan, TN_FAULT_AMNESIA);
    struct tn__sim_disk *empty = tn__sim_disk_new(tn__random_next(&plan->random));
    plan->kept_disk[process] = tn__world_swap_disk(plan->world, process, empty);
    if (tn__world_start(plan->world, process, false) == TN_OK) { /* V4: the judge has seen it */
        tn__world_crash(plan->world, process, TN_SIM_DISK_LOSE_ALL, 0);
    }
    tn__plan_restore_disk(plan, process);
    return true;
}

/* C2, C9: does this start crash in the midst? */
static bool arm_start_crash(struct tn__fault_plan *plan, uint32_t process)
{
    struct tn__sim_disk *disk = tn__world_disk(plan->world, process);
    if (plan->calm || disk == NULL || plan->starts_failed[process] >= START_CRASHES_MAX ||
        !tn__plan_has(plan, TN_FAULT_CRASH_IN_START) || tn__plan_below(plan, 3) != 0) {
        return false;
    }
    struct tn__sim_disk_plan faults = {.crash_at = 1 + tn__plan_below(plan, START_OPERATIONS_MAX)};
    tn__sim_disk_arm(disk, &faults);
    return true;
}

static void connect_all(struct tn__fault_plan *plan, uint32_t process)
{
    for (uint32_t i = 0; i < plan->nodes_count; i++) {
        if (i != process) {
            tn__plan_wake(plan, tn__plan_below(plan, 4 * plan->options.delay_ns), TN__PLAN_CONNECT,
                          process | i << 8);
            tn__plan_wake(plan, tn__plan_below(plan, 4 * plan->options.delay_ns), TN__PLAN_CONNECT,
                          i | process << 8);
        }
    }
}

void tn__plan_start(struct tn__fault_plan *plan, uint32_t process)
{
    struct tn__world *world = plan->world;
    if (tn__world_is_up(world, process)) {
        return;
    }
    if (!plan->calm && tn__plan_draw(plan, TN_FAULT_CLOCK_AT_START, 300000)) {
        tn__plan_hit(plan, TN_FAULT_CLOCK_AT_START);
        tn__world_set_clock(world, process, tn__plan_below(plan, TN_SECOND));
    }
    if (try_amnesia(plan, process)) {
        tn__plan_wake(plan, plan->table->proposer_ns / 8, TN__PLAN_START, process);
        return;
    }
    bool armed = arm_start_crash(plan, process);
    bool first = tn__world_starts(world, process) == 0; /* V4: told to begin, until it has */
    int error = tn__world_start(world, process, first);
    if (error != TN_OK) {
        tn_assert(armed);
        tn__plan_hit(plan, TN_FAULT_CRASH_IN_START);
        plan->starts_failed[process]++;
        tn__plan_wake(plan, plan->options.delay_ns, TN__PLAN_START, process);
        return;
    }
    if (armed) {
        tn__sim_disk_arm(tn__world_disk(world, process), &(struct tn__sim_disk_plan){0});
    }
    if (plan->starts_failed[process] != 0) {
        tn__plan_hit(plan, TN_FAULT_START_TORN);
    }
    plan->starts_failed[process] = 0;
    connect_all(plan, process);
}

static void crash_many(struct tn__fault_plan *plan, uint32_t count, enum tn__fault fault)
{
    tn__plan_hit(plan, fault);
    uint32_t first = (uint32_t)tn__plan_below(plan, plan->nodes_count);
    for (uint32_t i = 0; i < count; i++) {
        tn__plan_crash(plan, (first + i) % plan->nodes_count);
    }
}

/* ---- A copied directory --------------------------------------------------------------------- */

/* C9. The copy is ended before its quarantine is: two acceptors under one identity are beyond what
 * any rule can mend, but a second proposer is not. */
static void begin_copy(struct tn__fault_plan *plan, uint32_t process)
{
    if (tn__world_start_copy(plan->world, process) == TN_WORLD_NONE) {
        return;
    }
    tn__plan_hit(plan, TN_FAULT_COPY);
    uint32_t copy = plan->nodes_count;
    plan->copied |= 1U << process;
    tn_time ends = tn__world_local(plan->world, copy) + plan->table->quarantine_ns;
    tn_time lives = tn__world_real(plan->world, copy, ends) - tn__world_now(plan->world);
    tn__plan_wake(plan, lives / 8 * 7, TN__PLAN_COPY_END, 0);
    connect_all(plan, copy);
    for (uint32_t i = 0; i < plan->options.names_count; i++) {
        char name[2] = {(char)('a' + i), 0};
        tn__world_ask(plan->world, copy, TN_REQUEST_ACQUIRE, name);
        if (!tn__world_is_up(plan->world, copy)) {
            return;
        }
    }
}

void tn__plan_end_copy(struct tn__fault_plan *plan)
{
    if (tn__world_is_up(plan->world, plan->nodes_count)) {
        tn__world_crash(plan->world, plan->nodes_count, TN_SIM_DISK_ANY, 0);
    }
}

/* ---- Pauses --------------------------------------------------------------------------------- */

static tn_time pause_span(struct tn__fault_plan *plan)
{
    switch (tn__plan_below(plan, 8)) {
    case 0:
        return TN_MILLISECOND + tn__plan_below(plan, HOUR_NS);
    case 1:
    case 2:
        return TN_MILLISECOND + tn__plan_below(plan, plan->table->proposer_ns / 4);
    default: /* about a lease: the interesting length */
        return plan->table->proposer_ns / 2 + tn__plan_below(plan, 2 * plan->table->proposer_ns);
    }
}

/* Frames that have arrived at a paused process. */
static uint32_t waiting_for(struct tn__fault_plan *plan, uint32_t process)
{
    uint32_t count = 0;
    for (uint32_t slot = tn__world_first_frame(plan->world); slot != TN_WORLD_NONE;
         slot = tn__world_next_frame(plan->world, slot)) {
        const struct tn__world_frame *frame = tn__world_frame(plan->world, slot);
        count += frame->waiting != 0 && frame->to == process;
    }
    return count;
}

void tn__plan_resume(struct tn__fault_plan *plan, uint32_t process)
{
    if (!tn__world_is_up(plan->world, process) || !tn__world_is_paused(plan->world, process)) {
        return;
    }
    bool frames_first = tn__plan_has(plan, TN_FAULT_OVERRUN);
    if (frames_first) {
        tn__plan_hit(plan, TN_FAULT_OVERRUN);
    }
    if (waiting_for(plan, process) >= 10) {
        tn__plan_hit(plan, TN_FAULT_BURST);
    }
    tn__world_resume(plan->world, process, frames_first);
}

static void begin_pause(struct tn__fault_plan *plan, uint32_t process)
{
    if (!tn__world_is_up(plan->world, process) || tn__world_is_paused(plan->world, process)) {
        return;
    }
    tn__plan_hit(plan, TN_FAULT_PAUSE);
    tn__world_pause(plan->world, process);
    tn__plan_wake(plan, pause_span(plan), TN__PLAN_RESUME, process);
}

/* From now on what this node sends leaves late, and the node itself stands still until then. */
static void begin_stall(struct tn__fault_plan *plan, uint32_t process)
{
    if (!tn__world_is_up(plan->world, process) || tn__world_is_paused(plan->world, process)) {
        return;
    }
    tn__plan_hit(plan, TN_FAULT_STALL);
    tn_time span = pause_span(plan);
    plan->stalling = process;
    plan->stall_until = tn__world_now(plan->world) + span;
    tn__plan_wake(plan, plan->options.delay_ns, TN__PLAN_PAUSE, process);
    tn__plan_wake(plan, span, TN__PLAN_RESUME, process);
}

/* ---- Episodes ------------------------------------------------------------------------------- */

void tn__plan_process_begin(struct tn__fault_plan *plan, enum tn__fault fault)
{
    uint32_t process = (uint32_t)tn__plan_below(plan, plan->nodes_count);
    switch (fault) {
    case TN_FAULT_CRASH_AT_EFFECT:
        tn__plan_hit(plan, fault);
        tn__world_crash_in(plan->world, process, 1 + (uint32_t)tn__plan_below(plan, 30));
        break;
    case TN_FAULT_CRASH_IN_START:
    case TN_FAULT_AMNESIA:
    case TN_FAULT_CLOCK_AT_START:
        tn__plan_crash(plan, process);
        break;
    case TN_FAULT_CRASH_ALL:
        crash_many(plan, plan->nodes_count, fault);
        break;
    case TN_FAULT_CRASH_MAJORITY:
        crash_many(plan, plan->nodes_count / 2 + 1, fault);
        break;
    case TN_FAULT_PAUSE:
        begin_pause(plan, process);
        break;
    case TN_FAULT_STALL:
        begin_stall(plan, process);
        break;
    case TN_FAULT_SLOW_NODE:
        tn__plan_hit(plan, fault);
        plan->slow |= 1U << process;
        tn__plan_wake(plan, tn__plan_span(plan, plan->table->proposer_ns), TN__PLAN_SLOW_END, 0);
        break;
    case TN_FAULT_SLOW_DISK:
        plan->slow_disks |= 1U << process;
        tn__plan_wake(plan, SLOW_DISK_NS, TN__PLAN_DISK_END, 0);
        break;
    case TN_FAULT_COPY:
        if (tn__world_is_up(plan->world, process)) {
            begin_copy(plan, process);
        }
        break;
    case TN_FAULT_RATE_CHANGE:
        tn__plan_hit(plan, fault);
        set_rate(plan, process, some_rate(plan));
        break;
    case TN_FAULT_RATES_ADVERSE:
        tn__plan_hit(plan, fault);
        set_rates_adverse(plan);
        break;
    default:
        break;
    }
}
