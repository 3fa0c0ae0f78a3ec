/* The ceiling's rules; the header tells the theory. */
#include "paxos/ceiling.h"

#include "base/assert.h"

static uint64_t raised_above(const struct tn__ceiling *ceiling, uint64_t counter)
{
    return counter < UINT64_MAX - ceiling->stride ? counter + ceiling->stride : UINT64_MAX;
}

enum tn__ceiling_verdict tn__ceiling_cover(const struct tn__ceiling *ceiling, uint64_t counter,
                                           uint64_t *after, uint64_t *wanted)
{
    tn_assert(after != NULL);
    tn_assert(wanted != NULL);
    *after = 0;
    if (ceiling->enabled == 0 || counter < ceiling->durable) {
        return TN__CEILING_COVERED;
    }
    if (ceiling->pending_write != 0 && counter < ceiling->pending) {
        *after = ceiling->pending_write; /* F1: durable before the answer leaves */
        return TN__CEILING_COVERED;
    }
    if (ceiling->retry_at != 0 || counter == UINT64_MAX) {
        return TN__CEILING_SILENT; /* F4 */
    }
    *wanted = raised_above(ceiling, counter);
    return TN__CEILING_ASK;
}

bool tn__ceiling_should_raise(const struct tn__ceiling *ceiling, uint64_t counter, uint64_t *wanted)
{
    tn_assert(wanted != NULL);
    if (ceiling->enabled == 0 || ceiling->pending_write != 0 || ceiling->retry_at != 0) {
        return false;
    }
    uint64_t ahead = ceiling->stride / 2;
    if (counter < ceiling->durable && ceiling->durable - counter > ahead) {
        return false;
    }
    *wanted = raised_above(ceiling, counter);
    return *wanted > ceiling->durable;
}

void tn__ceiling_asked(struct tn__ceiling *ceiling, uint64_t wanted, uint64_t write)
{
    tn_assert(ceiling->enabled != 0);
    tn_assert(wanted >= ceiling->durable);
    tn_assert(write > ceiling->pending_write);
    if (wanted > ceiling->pending) {
        ceiling->pending = wanted;
    }
    ceiling->pending_write = write;
    ceiling->retry_at = 0;
}

void tn__ceiling_written(struct tn__ceiling *ceiling, uint64_t write)
{
    /* The completion of an earlier write promises less than the newest one holds. */
    if (ceiling->pending_write == 0 || write < ceiling->pending_write) {
        return;
    }
    tn_assert(ceiling->pending >= ceiling->durable);
    ceiling->durable = ceiling->pending;
    ceiling->pending_write = 0;
    ceiling->retry_at = 0;
}

void tn__ceiling_failed(struct tn__ceiling *ceiling, uint64_t write, tn_time retry_at)
{
    tn_assert(retry_at != 0);
    if (ceiling->pending_write == 0 || write != ceiling->pending_write) {
        return;
    }
    ceiling->pending = ceiling->durable;
    ceiling->pending_write = 0;
    ceiling->retry_at = retry_at; /* F4 */
}

struct tn_ballot tn__ceiling_floor(uint64_t ceiling)
{
    if (ceiling == 0) {
        return (struct tn_ballot){0};
    }
    /* F2: every ballot with a counter below the ceiling is at or below this one. */
    return (struct tn_ballot){.counter = ceiling - 1, .restart_word = UINT64_MAX};
}

void tn__ceiling_check(const struct tn__ceiling *ceiling)
{
    tn_assert(ceiling->pending >= ceiling->durable);
    tn_assert(ceiling->pending_write != 0 || ceiling->pending == ceiling->durable);
    tn_assert(ceiling->pending_write == 0 || ceiling->retry_at == 0);
    tn_assert(ceiling->enabled != 0 || ceiling->durable == 0);
}
