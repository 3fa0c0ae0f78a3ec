/* How many calls of a group are under way, and the bytes of their values (N6).
 *
 * Every proposal is counted twice: by the caller when it comes, by the applier when it ends. If
 * both wrote one word, two processors would take it from each other for each proposal. So there are
 * two words, which only grow and stand apart; the difference is what is under way. The callers
 * compare with what they have last seen of the other, which is at most what it is, and look again
 * only when that seems to be too little.
 *
 * A word is so many TN__CALLS_ONE, and the bytes below them. It wraps around, and what the bytes
 * carry into the count the other word's bytes carry too: the difference is exact while there are
 * less than TN__CALLS_ONE bytes and 2^24 calls.
 *
 * inv. 1: who reads `ended` (or `seen`) before `came` gets no negative difference: each call came
 * before it ended. */
#ifndef TN_NODE_CALL_COUNT_H
#define TN_NODE_CALL_COUNT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "node/node_crowd.h"

#define TN__CALLS_ONE (1ULL << 40)

struct tn__call_count {
    _Atomic uint64_t came;
    _Atomic uint64_t seen; /* of `ended` */
    uint8_t apart[TN_APART_BYTES];
    _Atomic uint64_t ended;
};

static inline uint64_t tn__call_count_word(uint64_t calls, uint64_t bytes)
{
    return calls * TN__CALLS_ONE + bytes;
}

/* So many more, if there are at most `calls_max` then, and `bytes_max` bytes, or these alone. Who
 * is refused has not been counted for a moment: nobody else is refused for that. */
static inline bool tn__call_count_add(struct tn__call_count *count, uint32_t calls, uint64_t bytes,
                                      uint64_t calls_max, uint64_t bytes_max)
{
    uint64_t word = tn__call_count_word(calls, bytes);
    uint64_t seen = atomic_load(&count->seen);
    uint64_t came = atomic_load(&count->came);
    for (;;) { /* each round more came, or ended, than the one before knew */
        uint64_t before = came - seen;
        uint64_t bytes_before = before % TN__CALLS_ONE;
        if (before / TN__CALLS_ONE + calls <= calls_max &&
            (bytes_before == 0 || bytes_before + bytes <= bytes_max)) {
            if (atomic_compare_exchange_weak(&count->came, &came, came + word)) {
                return true;
            }
            continue;
        }
        uint64_t ended = atomic_load(&count->ended);
        if (ended == seen) {
            return false;
        }
        atomic_store(&count->seen, ended);
        seen = ended;
        came = atomic_load(&count->came);
    }
}

/* So many ended, or never began. */
static inline void tn__call_count_end(struct tn__call_count *count, uint32_t calls, uint64_t bytes)
{
    atomic_fetch_add(&count->ended, tn__call_count_word(calls, bytes));
}

/* How many are under way; some of them may have ended meanwhile. */
static inline uint32_t tn__call_count_now(const struct tn__call_count *count)
{
    uint64_t ended = atomic_load(&count->ended);
    return (uint32_t)((atomic_load(&count->came) - ended) / TN__CALLS_ONE);
}

#endif
