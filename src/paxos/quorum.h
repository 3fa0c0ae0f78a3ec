/* Majorities of a fixed list of members; answers are remembered as sets, never counted. */
#ifndef TN_PAXOS_QUORUM_H
#define TN_PAXOS_QUORUM_H

#include <stdbool.h>
#include <stdint.h>

#include <tenure/types.h>

#include "base/assert.h"

/* The smallest size of a majority. */
static inline uint32_t tn__quorum_size(uint32_t members_count)
{
    tn_assert(members_count >= 1 && members_count <= TN_MEMBERS_MAX);
    return members_count / 2 + 1;
}

static inline uint32_t tn__members_in(tn_member_set set)
{
    return (uint32_t)__builtin_popcount(set);
}

static inline tn_member_set tn__member_bit(uint32_t member)
{
    tn_assert(member < TN_MEMBERS_MAX);
    return (tn_member_set)1 << member;
}

static inline tn_member_set tn__members_all(uint32_t members_count)
{
    tn_assert(members_count >= 1 && members_count <= TN_MEMBERS_MAX);
    return ((tn_member_set)1 << members_count) - 1;
}

/* Are the members of the set a majority? */
static inline bool tn__quorum_reached(tn_member_set set, uint32_t members_count)
{
    tn_assert((set & ~tn__members_all(members_count)) == 0);
    return tn__members_in(set) >= tn__quorum_size(members_count);
}

/* Can the members outside the set no longer be a majority? */
static inline bool tn__quorum_ruled_out(tn_member_set against, uint32_t members_count)
{
    return tn__members_in(against) > members_count - tn__quorum_size(members_count);
}

#endif
