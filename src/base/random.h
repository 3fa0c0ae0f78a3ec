/* A small deterministic generator: one 64-bit word of state, given by the caller (SplitMix64).
 *
 * Good enough for jitter and for simulations; never for secrets (os/entropy.h draws those). */
#ifndef TN_BASE_RANDOM_H
#define TN_BASE_RANDOM_H

#include <stdint.h>

__extension__ typedef unsigned __int128 tn__u128;

static inline uint64_t tn__random_next(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15ULL;
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

/* A number in [0, bound), without modulo bias worth speaking of; 0 when bound is 0. */
static inline uint64_t tn__random_below(uint64_t *state, uint64_t bound)
{
    return (uint64_t)(((tn__u128)tn__random_next(state) * bound) >> 64);
}

#endif
