/* Packing and unpacking: explore_lease_state.h tells the theory. */
#include "check/explore_lease_state.h"

#include <string.h>

#include "base/assert.h"

/* A small time is itself. One near TN_TIME_NEVER counts down from the byte's end. */
#define TIME_NEAR_NEVER 16

static tn_time time_unpack(uint8_t ticks)
{
    return ticks < 255 - TIME_NEAR_NEVER ? ticks : TN_TIME_NEVER - (255U - ticks);
}

static uint8_t time_pack(tn_time time)
{
    if (time > TN_TIME_NEVER - TIME_NEAR_NEVER) {
        return (uint8_t)(255 - (TN_TIME_NEVER - time));
    }
    tn_assert(time < 255 - TIME_NEAR_NEVER);
    return (uint8_t)time;
}

enum tn__explore_message tn__explore_message_at(const struct tn__explore_lease *lease,
                                                const struct tn__explore_cluster *cluster,
                                                uint32_t position, uint32_t *ballot)
{
    if (!tn__explore_has(lease, TN_EXPLORE_ENDLESS)) {
        *ballot = position % TN_EXPLORE_LEASE_BALLOTS_NARROW + 1;
        return (enum tn__explore_message)(position / TN_EXPLORE_LEASE_BALLOTS_NARROW);
    }
    uint32_t replies = TN_EXPLORE_REPLIES_BEGIN * TN_EXPLORE_LEASE_BALLOTS;
    if (position < replies) {
        *ballot = position % TN_EXPLORE_LEASE_BALLOTS + 1;
        return (enum tn__explore_message)(position / TN_EXPLORE_LEASE_BALLOTS);
    }
    *ballot = cluster->proposers[(position - replies) & 1U].ballot;
    return (enum tn__explore_message)(TN_EXPLORE_REPLIES_BEGIN + (position - replies) / 2);
}

struct tn_ballot tn__explore_ballot(const struct tn__explore_cluster *cluster, uint32_t ballot)
{
    tn_assert(ballot <= TN_EXPLORE_LEASE_BALLOTS);
    if (ballot == 0) {
        return (struct tn_ballot){0};
    }
    uint8_t owner = cluster->owner[ballot - 1];
    if (owner == 0) { /* only its place in the order matters any more */
        return (struct tn_ballot){.counter = (uint64_t)ballot << 16, .restart_word = 1};
    }
    uint64_t node = tn__explore_owner_proposer(owner) + 1;
    uint64_t starts = tn__explore_owner_incarnation(owner) + 1;
    return (struct tn_ballot){.counter = (uint64_t)ballot << 16 | node,
                              .restart_word = starts << 32 | node};
}

static uint8_t ballot_pack(struct tn_ballot ballot)
{
    tn_assert(tn__explore_number(ballot.counter) <= TN_EXPLORE_LEASE_BALLOTS);
    return (uint8_t)tn__explore_number(ballot.counter);
}

static struct tn__lease_proposer unpack(const struct tn__explore_lease *lease,
                                        const struct tn__explore_cluster *cluster,
                                        uint32_t proposer)
{
    const struct tn__explore_proposer *packed = &cluster->proposers[proposer];
    struct tn__lease_proposer cell = {
        .ballot = tn__explore_ballot(cluster, packed->ballot),
        .base = tn__explore_ballot(cluster, packed->base),
        .active = tn__explore_ballot(cluster, packed->active),
        .attempt_deadline = time_unpack(packed->attempt_deadline),
        .lease_deadline = time_unpack(packed->lease_deadline),
        .token = tn__explore_ballot(cluster, packed->token).counter,
        .epoch = packed->lease_deadline != 0, /* M1: counted, never compared by a rule here */
        .phase = packed->phase,
        .unfenced = packed->unfenced,
    };
    struct tn__explore_version members = tn__explore_members(lease, packed->version);
    for (uint32_t i = 0; i < members.count; i++) {
        uint32_t votes = cluster->acceptors[members.first + i].votes >> (4 * proposer);
        cell.open |= (uint16_t)((votes & 1U) << i);
        cell.closed |= (uint16_t)((votes >> 1 & 1U) << i);
        cell.accepted |= (uint16_t)((votes >> 2 & 1U) << i);
        cell.refused |= (uint16_t)((votes >> 3 & 1U) << i);
    }
    return cell;
}

struct tn__lease_proposer tn__explore_proposer_unpack(const struct tn__explore_lease *lease,
                                                      const struct tn__explore_cluster *cluster,
                                                      uint32_t proposer)
{
    tn_assert(proposer < lease->config->proposers);
    return unpack(lease, cluster, proposer);
}

void tn__explore_proposer_pack(const struct tn__explore_lease *lease,
                               struct tn__explore_cluster *cluster, uint32_t proposer,
                               const struct tn__lease_proposer *cell)
{
    struct tn__explore_proposer *packed = &cluster->proposers[proposer];
    packed->phase = cell->phase;
    packed->ballot = ballot_pack(cell->ballot);
    packed->base = ballot_pack(cell->base);
    packed->active = ballot_pack(cell->active);
    packed->attempt_deadline = time_pack(cell->attempt_deadline);
    packed->lease_deadline = time_pack(cell->lease_deadline);
    packed->token = (uint8_t)tn__explore_number(cell->token);
    packed->unfenced = cell->unfenced;
    struct tn__explore_version members = tn__explore_members(lease, packed->version);
    for (uint32_t i = 0; i < members.count; i++) {
        uint32_t votes = (cell->open >> i & 1U) | (cell->closed >> i & 1U) << 1 |
                         (cell->accepted >> i & 1U) << 2 | (cell->refused >> i & 1U) << 3;
        struct tn__explore_acceptor *acceptor = &cluster->acceptors[members.first + i];
        uint32_t others = acceptor->votes & ~(15U << (4 * proposer));
        acceptor->votes = (uint8_t)(others | votes << (4 * proposer));
    }
    struct tn__lease_proposer again = unpack(lease, cluster, proposer);
    again.hint = cell->hint;
    again.epoch = cell->epoch;
    tn_assert(memcmp(&again, cell, sizeof(again)) == 0);
}

struct tn__lease_acceptor tn__explore_acceptor_unpack(const struct tn__explore_cluster *cluster,
                                                      uint32_t acceptor)
{
    const struct tn__explore_acceptor *packed = &cluster->acceptors[acceptor];
    struct tn_ballot promised = tn__explore_ballot(cluster, packed->promised / 2U);
    if ((packed->promised & 1U) != 0) {
        promised = tn__ballot_ceil(promised.counter);
    }
    return (struct tn__lease_acceptor){
        .promised = promised,
        .accepted = tn__explore_ballot(cluster, packed->accepted),
        .deadline = time_unpack(packed->deadline),
    };
}

void tn__explore_acceptor_pack(struct tn__explore_cluster *cluster, uint32_t acceptor,
                               const struct tn__lease_acceptor *cell)
{
    struct tn__explore_acceptor *packed = &cluster->acceptors[acceptor];
    uint32_t grave = cell->promised.restart_word == UINT64_MAX;
    packed->promised = (uint8_t)(2U * ballot_pack(cell->promised) + grave);
    packed->accepted = ballot_pack(cell->accepted);
    packed->deadline = time_pack(cell->deadline);
    struct tn__lease_acceptor again = tn__explore_acceptor_unpack(cluster, acceptor);
    /* A floor is no ballot's own: its number is all that it has. */
    tn_assert(grave != 0 || tn_ballot_equal(again.promised, cell->promised));
    tn_assert(tn_ballot_equal(again.accepted, cell->accepted));
    tn_assert(again.deadline == cell->deadline);
}

void tn__explore_forget_replies(const struct tn__explore_lease *lease,
                                struct tn__explore_cluster *cluster, uint32_t proposer)
{
    if (!tn__explore_has(lease, TN_EXPLORE_ENDLESS)) {
        return;
    }
    uint64_t every_second = 0x5555555555555555ULL << proposer;
    uint64_t replies = ~0ULL << (TN_EXPLORE_REPLIES_BEGIN * TN_EXPLORE_LEASE_BALLOTS);
    for (uint32_t i = 0; i < lease->config->acceptors; i++) {
        cluster->acceptors[i].messages &= ~(replies & every_second);
    }
}

/* ---- The ceiling ----------------------------------------------------------------------------- */

/* Half an attempt above a ballot's number: above every node's counter of that number, and below the
 * next number. Zero is the ceiling that was never raised. */
#define ABOVE 0x8000U

static uint64_t ceiling_unpack(uint32_t number)
{
    return number == 0 ? 0 : (uint64_t)number << 16 | ABOVE;
}

struct tn__explore_ceiling tn__explore_ceiling_unpack(const struct tn__explore_lease *lease,
                                                      const struct tn__explore_cluster *cluster,
                                                      uint32_t acceptor)
{
    uint32_t packed = cluster->acceptors[acceptor].ceiling;
    uint32_t durable = packed & 7U;
    uint32_t pending = packed >> 3 & 7U;
    return (struct tn__explore_ceiling){
        .cell = {.durable = ceiling_unpack(durable),
                 .pending = ceiling_unpack(pending),
                 .pending_write = pending > durable ? 2 : 0,
                 .stride = (uint64_t)lease->config->stride << 16 | ABOVE / 2,
                 .retry_at = packed >> 12 & 1U,
                 .enabled = 1},
        .disk = packed >> 6 & 7U,
        .first = packed >> 9 & 7U,
    };
}

void tn__explore_ceiling_pack(struct tn__explore_cluster *cluster, uint32_t acceptor,
                              const struct tn__explore_ceiling *ceiling)
{
    uint32_t durable = tn__explore_number(ceiling->cell.durable);
    uint32_t pending = tn__explore_number(ceiling->cell.pending);
    tn_assert(durable <= TN_EXPLORE_LEASE_BALLOTS_NARROW);
    tn_assert(pending <= TN_EXPLORE_LEASE_BALLOTS_NARROW);
    cluster->acceptors[acceptor].ceiling =
        (uint16_t)(durable | pending << 3 | ceiling->disk << 6 | ceiling->first << 9 |
                   (ceiling->cell.retry_at != 0 ? 1U : 0U) << 12);
}

/* ---- Numbering --------------------------------------------------------------------------------
 */

static uint64_t messages_renumber(const struct tn__explore_lease *lease,
                                  const struct tn__explore_cluster *cluster, uint64_t messages,
                                  const uint8_t *map)
{
    /* Only what names its ballot by number moves; a wide reply names its proposer. */
    uint32_t width = tn__explore_has(lease, TN_EXPLORE_ENDLESS) ? TN_EXPLORE_LEASE_BALLOTS
                                                                : TN_EXPLORE_LEASE_BALLOTS_NARROW;
    uint32_t numbered =
        tn__explore_has(lease, TN_EXPLORE_ENDLESS) ? TN_EXPLORE_REPLIES_BEGIN * width : 63;
    uint64_t moved = numbered < 63 ? messages >> numbered << numbered : 0;
    (void)cluster;
    for (uint64_t rest = messages & ((1ULL << numbered) - 1); rest != 0; rest &= rest - 1) {
        uint32_t position = (uint32_t)__builtin_ctzll(rest);
        uint32_t number = map[position % width + 1];
        tn_assert(number != 0);
        moved |= 1ULL << (position / width * width + number - 1);
    }
    return moved;
}

void tn__explore_renumber(const struct tn__explore_lease *lease,
                          struct tn__explore_cluster *cluster,
                          const uint8_t map[TN_EXPLORE_LEASE_BALLOTS + 1])
{
    uint8_t owner[TN_EXPLORE_LEASE_BALLOTS] = {0};
    for (uint32_t i = 1; i <= TN_EXPLORE_LEASE_BALLOTS; i++) {
        if (map[i] != 0) {
            owner[map[i] - 1] = cluster->owner[i - 1];
        }
    }
    for (uint32_t i = 0; i < lease->config->proposers; i++) {
        struct tn__explore_proposer *proposer = &cluster->proposers[i];
        proposer->ballot = map[proposer->ballot];
        proposer->base = map[proposer->base];
        proposer->active = map[proposer->active];
        proposer->floor = map[proposer->floor];
        proposer->token = map[proposer->token];
    }
    for (uint32_t i = 0; i < lease->config->acceptors; i++) {
        struct tn__explore_acceptor *acceptor = &cluster->acceptors[i];
        acceptor->messages = messages_renumber(lease, cluster, acceptor->messages, map);
        acceptor->promised =
            (uint8_t)(2U * map[acceptor->promised / 2U] + (acceptor->promised & 1U));
        acceptor->accepted = map[acceptor->accepted];
    }
    memcpy(cluster->owner, owner, sizeof(owner));
}
