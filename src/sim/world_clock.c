/* Clocks: piecewise linear in real time, in exact integers, so that a rate at its bound is the
 * bound and nothing else. */
#include "base/assert.h"
#include "sim/world_internal.h"

#define MILLION 1000000ULL

/* elapsed * rate / 10^6, rounded down, without a wide division. */
static tn_time scaled(tn_time elapsed, uint32_t rate_ppm)
{
    return elapsed / MILLION * rate_ppm + elapsed % MILLION * rate_ppm / MILLION;
}

static tn_time raw(const struct tn__world_clock *clock, tn_time real)
{
    tn_assert(real >= clock->since);
    return clock->base + scaled(real - clock->since, clock->rate_ppm);
}

tn_time tn__world_clock_read(const struct tn__world_clock *clock, tn_time real)
{
    tn_time local = raw(clock, real);
    local = local > clock->lag ? local - clock->lag : 0;
    return clock->granularity <= 1 ? local : local - local % clock->granularity;
}

tn_time tn__world_clock_reaches(const struct tn__world_clock *clock, tn_time local, tn_time now)
{
    if (tn__world_clock_read(clock, now) >= local) {
        return now;
    }
    if (clock->rate_ppm == 0 || local >= TN_TIME_NEVER / 2 + TN_TIME_NEVER / 4) {
        return TN_TIME_NEVER;
    }
    if (clock->granularity > 1) {
        local += clock->granularity - 1;
        local -= local % clock->granularity;
    }
    tn_time ahead = local + clock->lag - clock->base;
    /* The least e with floor(e * rate / 10^6) >= ahead. */
    tn_time whole = ahead / clock->rate_ppm;
    tn_time rest = ahead % clock->rate_ppm;
    if (whole > (UINT64_MAX - clock->since) / MILLION - 1) {
        return TN_TIME_NEVER;
    }
    tn_time real =
        clock->since + whole * MILLION + (rest * MILLION + clock->rate_ppm - 1) / clock->rate_ppm;
    tn_assert(tn__world_clock_read(clock, real) >= local);
    return real > now ? real : now;
}

tn_time tn__world_local(const struct tn__world *world, uint32_t process)
{
    return tn__world_process_local(tn__world_process(world, process));
}

tn_time tn__world_real(const struct tn__world *world, uint32_t process, tn_time local)
{
    return tn__world_clock_reaches(&tn__world_process(world, process)->clock, local, world->now);
}

/* Let the clock go on from what it shows (the part below the granularity included). */
static void rebase(struct tn__world_process *process)
{
    struct tn__world_clock *clock = &process->clock;
    clock->base = raw(clock, process->world->now);
    clock->since = process->world->now;
    process->read_at = 0;
    process->timer_due = 0; /* whatever was planned is planned anew */
}

/* A timer planned by the old clock must not stand in the new one's way. */
static void replan(struct tn__world_process *process)
{
    if (process->lease != NULL && !process->is_paused) {
        process->timer.at = tn__world_clock_reaches(
            &process->clock, tn__driver_deadline(process->driver), process->world->now);
        process->timer.sequence = ++process->world->sequence;
    }
}

void tn__world_set_rate(struct tn__world *world, uint32_t index, uint32_t rate_ppm,
                        tn_time granularity)
{
    struct tn__world_process *process = tn__world_process(world, index);
    tn_assert(granularity >= process->clock.granularity); /* else it could step back */
    rebase(process);
    process->clock.rate_ppm = rate_ppm;
    process->clock.granularity = granularity;
    replan(process);
}

void tn__world_jump(struct tn__world *world, uint32_t index, tn_time ahead)
{
    struct tn__world_process *process = tn__world_process(world, index);
    rebase(process);
    process->clock.base += ahead;
    replan(process);
}

void tn__world_set_clock(struct tn__world *world, uint32_t index, tn_time local)
{
    struct tn__world_process *process = tn__world_process(world, index);
    tn_assert(process->lease == NULL);
    rebase(process);
    process->clock.base = local;
}

void tn__world_set_lag(struct tn__world *world, uint32_t index, tn_time lag)
{
    struct tn__world_process *process = tn__world_process(world, index);
    process->clock.lag = lag;
    process->read_at = 0;
    replan(process);
}
