/* Crowds; the header tells the theory. */
#include "node/node_crowd.h"

#include "base/assert.h"

/* Of two counts that are less than 2^31 apart. */
static bool reaches(uint32_t count, uint32_t goal)
{
    return count - goal < UINT32_C(1) << 31;
}

bool tn__crowd_left(struct tn__crowd *crowd, uint32_t count)
{
    uint32_t left = atomic_fetch_add(&crowd->left, count) + count;
    if (!atomic_load(&crowd->holds)) {
        return true;
    }
    /* The loop says that the disk is done first and takes the list after: who sees it busy is
     * seen. */
    return !atomic_load(&crowd->writing) && reaches(left, atomic_load(&crowd->enough));
}

bool tn__crowd_waits(struct tn__crowd *crowd, tn_time now)
{
    if (!atomic_load_explicit(&crowd->holds, memory_order_relaxed)) {
        return false;
    }
    uint32_t came = crowd->taken - crowd->flushed;
    bool writing = atomic_load_explicit(&crowd->writing, memory_order_relaxed);
    if (crowd->until > now && came < TN_CROWD_CALLS_MAX && (writing || came < crowd->wave)) {
        return true;
    }
    tn__crowd_end(crowd);
    return false;
}

bool tn__crowd_begin(struct tn__crowd *crowd, tn_time now)
{
    if (crowd->given == 0) {
        return false;
    }
    crowd->wave = crowd->given;
    crowd->given = 0;
    crowd->began = now;
    crowd->until = now + TN_CROWD_NS;
    crowd->reopened = false;
    atomic_store(&crowd->enough, crowd->flushed + crowd->wave);
    atomic_store(&crowd->writing, true);
    atomic_store(&crowd->holds, true);
    return true;
}

void tn__crowd_written(struct tn__crowd *crowd, tn_time now)
{
    if (!atomic_load_explicit(&crowd->writing, memory_order_relaxed)) {
        return; /* a batch without calls */
    }
    tn_assert(now >= crowd->began);
    atomic_store(&crowd->writing, false);
    if (crowd->wave < TN_CROWD_WAVE_MIN) {
        tn__crowd_end(crowd);
        return;
    }
    tn_time until = now + TN_CROWD_PATIENCE * (now - crowd->began);
    crowd->until = until < crowd->until ? until : crowd->until;
}

void tn__crowd_end(struct tn__crowd *crowd)
{
    atomic_store(&crowd->writing, false);
    atomic_store(&crowd->holds, false);
    crowd->reopened = true;
}

tn_time tn__crowd_until(const struct tn__crowd *crowd)
{
    return atomic_load_explicit(&crowd->holds, memory_order_relaxed) ? crowd->until : TN_TIME_NEVER;
}
