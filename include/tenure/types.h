/* The values that the machines, the wire and the world share. All plain, all without padding. */
#ifndef TENURE_TYPES_H
#define TENURE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tenure/limits.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Nanoseconds on one node's own clock, which never steps and goes on counting while the machine
 * is suspended (CLOCK_BOOTTIME). Comparable with times of the same node only. */
typedef uint64_t tn_time;

/* "Not before anything else happens": later than every time. */
#define TN_TIME_NEVER UINT64_MAX

#define TN_MICROSECOND 1000ULL
#define TN_MILLISECOND 1000000ULL
#define TN_SECOND 1000000000ULL

/* The id of a node, 1 to TN_NODE_ID_MAX; 0 is none. */
typedef uint16_t tn_node_id;

/* A set of members, one bit each, by their index in the options' list. */
typedef uint32_t tn_member_set;

/* (counter, restart word, node), compared in that order (spec: Terms). The node is the low
 * half-word of the counter, so it needs no field. All zero: no ballot. */
struct tn_ballot {
    uint64_t counter;      /* attempt * 2^16 + node id */
    uint64_t restart_word; /* count of starts in the high half, a random draw in the low one */
};

/* The owner of a ballot is its incarnation: (node id, restart word). */
static inline tn_node_id tn_ballot_node(struct tn_ballot ballot)
{
    return (tn_node_id)(ballot.counter & 0xffffU);
}

static inline bool tn_ballot_is_none(struct tn_ballot ballot)
{
    return ballot.counter == 0 && ballot.restart_word == 0;
}

/* Negative, zero or positive as a is below, equal to or above b. */
static inline int tn_ballot_compare(struct tn_ballot a, struct tn_ballot b)
{
    if (a.counter != b.counter) {
        return a.counter < b.counter ? -1 : 1;
    }
    if (a.restart_word != b.restart_word) {
        return a.restart_word < b.restart_word ? -1 : 1;
    }
    return 0;
}

static inline bool tn_ballot_equal(struct tn_ballot a, struct tn_ballot b)
{
    return tn_ballot_compare(a, b) == 0;
}

/* Do two ballots come from one incarnation of one node? */
static inline bool tn_ballot_same_owner(struct tn_ballot a, struct tn_ballot b)
{
    return tn_ballot_node(a) == tn_ballot_node(b) && a.restart_word == b.restart_word;
}

#ifdef __cplusplus
}
#endif

#endif
