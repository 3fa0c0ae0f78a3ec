/* The state of a small cluster, packed, and the ways between it and the cells.
 *
 * Ballots are numbered 1, 2, 3 ... in their order, so a counter is number * 2^16 + node: no two
 * attempts share a number, hence the node never decides an order and names may be exchanged. A
 * promise is twice its ballot's number, plus one for a grave (A3) or a floor (F2), which stand just
 * above their ballot. Times are ticks since the beginning.
 *
 * The network is a set, one bit a message, kept with the acceptor that the message comes from or
 * goes to; the other end is its ballot's owner. Two layouts: narrow  kind * 7 + (ballot - 1), for 9
 * kinds and 7 ballots; wide    PREPARE, ACCEPT, RELEASE for 16 ballots each, the replies once a
 * proposer: a reply to any but the attempt in flight is dead and never enters (ENDLESS only).
 *
 * Invariant: unpacking a cell and packing it again loses nothing but `hint` and `epoch`, which no
 * rule reads (tn__explore_proposer_pack asserts it). */
#ifndef TN_CHECK_EXPLORE_LEASE_STATE_H
#define TN_CHECK_EXPLORE_LEASE_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "check/explore_lease.h"
#include "check/lease_rows.h"
#include "paxos/ceiling.h"
#include "paxos/configuration.h"
#include "paxos/lease_acceptor.h"
#include "paxos/lease_proposer.h"

#define TN_EXPLORE_LEASE_PROPOSERS 2
#define TN_EXPLORE_LEASE_ACCEPTORS 5
#define TN_EXPLORE_LEASE_BALLOTS 16
#define TN_EXPLORE_LEASE_BALLOTS_NARROW 7

/* In `quarantine`: the acceptor is down. */
#define TN_EXPLORE_DOWN 255

/* Votes of one acceptor as one proposer remembers them: a nibble a proposer. */
#define TN_EXPLORE_VOTE_OPEN 1U
#define TN_EXPLORE_VOTE_CLOSED 2U
#define TN_EXPLORE_VOTE_ACCEPTED 4U
#define TN_EXPLORE_VOTE_REFUSED 8U

enum tn__explore_message {
    TN_EXPLORE_PREPARE,
    TN_EXPLORE_ACCEPT,
    TN_EXPLORE_RELEASED,
    TN_EXPLORE_PROMISE,       /* no live lease */
    TN_EXPLORE_PROMISE_BASE,  /* the lease being renewed */
    TN_EXPLORE_PROMISE_OTHER, /* an own lease, another than that */
    TN_EXPLORE_ACCEPTED,
    TN_EXPLORE_CLOSED, /* or rejected */
    TN_EXPLORE_REFUSED,
    TN_EXPLORE_MESSAGES_END,
};
#define TN_EXPLORE_REPLIES_BEGIN TN_EXPLORE_PROMISE

/* What a step has broken: inv.L1 and inv.L4 are seen in the state, these only in a transition. */
enum tn__explore_flaw {
    TN_EXPLORE_FLAW_NONE = 0,
    TN_EXPLORE_FLAW_LATE,      /* inv.L2: became owner at or after its own deadline */
    TN_EXPLORE_FLAW_LATE_SEND, /* rule P3: Accept left at or after t_d */
    TN_EXPLORE_FLAW_REPLACED,  /* inv.L7 */
    TN_EXPLORE_FLAW_RELEASED,  /* inv.L8 */
    TN_EXPLORE_FLAW_RENEWAL,   /* inv.L9 */
    TN_EXPLORE_FLAW_TOKEN,     /* inv.L11 */
    TN_EXPLORE_FLAW_PROMISE,   /* inv.P2: a promise fell */
    TN_EXPLORE_FLAW_GHOST,     /* rule A3: a released ballot can still be accepted */
    TN_EXPLORE_FLAW_CEILING,   /* rule F1: an answer left above the durable ceiling */
    TN_EXPLORE_FLAW_VERSION,   /* rule F3: an answer for a version that was left */
    TN_EXPLORE_FLAW_DUPLICATE, /* a ballot was taken for a copied directory's */
    TN_EXPLORE_FLAW_RANKS,     /* more ballots at once than the layout holds: no verdict */
    TN_EXPLORE_FLAWS_END,
};

struct tn__explore_proposer {
    uint8_t phase;
    uint8_t ballot;
    uint8_t base;
    uint8_t active;
    uint8_t attempt_deadline;
    uint8_t lease_deadline;
    uint8_t token; /* the ballot that opened the tenure */
    uint8_t floor; /* this incarnation's last ballot: the next one is above */
    uint8_t incarnation;
    uint8_t down;
    uint8_t clock;      /* RATES */
    uint8_t was_active; /* guides: has been an owner, ever */
    uint8_t unfenced;
    uint8_t past;    /* RATES: in which of the last moments its clock ticked */
    uint8_t version; /* of the membership that it speaks for; 0: it never changes */
    uint8_t reserved;
};

struct tn__explore_acceptor {
    uint64_t messages; /* in the network, to and from it */
    uint64_t held;     /* FENCED: its answers that wait for a write */
    uint8_t promised;
    uint8_t accepted;
    uint8_t deadline;
    uint8_t quarantine; /* when it ends; 0: it has; TN_EXPLORE_DOWN */
    uint8_t votes;
    uint8_t clock;    /* RATES. A membership that changes: tn__explore_configuration_pack() */
    uint16_t ceiling; /* FENCED: tn__explore_ceiling_pack(). RATES: as `past` above */
};

struct tn__explore_cluster {
    uint8_t now;
    uint8_t flaw;      /* enum tn__explore_flaw */
    uint8_t highest;   /* FENCED: the largest ballot that ever activated */
    uint8_t waited;    /* F3: 1 + when the first version, left by a majority, is waited out; or 0 */
    uint16_t used;     /* ballots taken, bit number - 1 */
    uint16_t versions; /* F3: the version that each ballot speaks for, two bits each */
    uint8_t
        owner[TN_EXPLORE_LEASE_BALLOTS]; /* 0: nobody cares; else 1 + proposer + 2 * incarnation */
    struct tn__explore_proposer proposers[TN_EXPLORE_LEASE_PROPOSERS];
    struct tn__explore_acceptor acceptors[TN_EXPLORE_LEASE_ACCEPTORS];
};

_Static_assert(sizeof(struct tn__explore_proposer) == 16, "no padding");
_Static_assert(sizeof(struct tn__explore_acceptor) == 24, "no padding");
_Static_assert(sizeof(struct tn__explore_cluster) == 24 + 32 + 24 * 5, "no padding");

static inline bool tn__explore_has(const struct tn__explore_lease *lease, uint32_t feature)
{
    return (lease->config->features & feature) != 0;
}

static inline uint32_t tn__explore_owner_proposer(uint8_t owner)
{
    return (owner - 1U) & 1U;
}

static inline uint32_t tn__explore_owner_incarnation(uint8_t owner)
{
    return (owner - 1U) >> 1;
}

static inline uint8_t tn__explore_owner_code(uint32_t proposer, uint32_t incarnation)
{
    return (uint8_t)(1 + proposer + 2 * incarnation);
}

/* The clock of a node. */
static inline tn_time tn__explore_proposer_now(const struct tn__explore_lease *lease,
                                               const struct tn__explore_cluster *cluster,
                                               uint32_t proposer)
{
    return tn__explore_has(lease, TN_EXPLORE_RATES) ? cluster->proposers[proposer].clock
                                                    : cluster->now;
}

static inline tn_time tn__explore_acceptor_now(const struct tn__explore_lease *lease,
                                               const struct tn__explore_cluster *cluster,
                                               uint32_t acceptor)
{
    return tn__explore_has(lease, TN_EXPLORE_RATES) ? cluster->acceptors[acceptor].clock
                                                    : cluster->now;
}

/* ---- The membership ------------------------------------------------------------------------ */

/* Votes are sets of members, by index: those of the version that the proposer speaks for. */
#define TN_EXPLORE_NO_MEMBER 255U

static inline bool tn__explore_changes(const struct tn__explore_lease *lease)
{
    return lease->config->versions_count != 0;
}

static inline struct tn__explore_version tn__explore_members(const struct tn__explore_lease *lease,
                                                             uint32_t version)
{
    if (version == 0) {
        return (struct tn__explore_version){.count = lease->config->acceptors};
    }
    return lease->config->versions[version - 1];
}

static inline uint32_t tn__explore_member(const struct tn__explore_lease *lease, uint32_t version,
                                          uint32_t acceptor)
{
    struct tn__explore_version members = tn__explore_members(lease, version);
    uint32_t member = acceptor - members.first;
    return acceptor >= members.first && member < members.count ? member : TN_EXPLORE_NO_MEMBER;
}

/* How many members a proposer counts answers of. */
static inline uint32_t tn__explore_members_count(const struct tn__explore_lease *lease,
                                                 const struct tn__explore_cluster *cluster,
                                                 uint32_t proposer)
{
    return tn__explore_members(lease, cluster->proposers[proposer].version).count;
}

static inline uint32_t tn__explore_ballot_version(const struct tn__explore_cluster *cluster,
                                                  uint32_t ballot)
{
    return ballot > TN_EXPLORE_LEASE_BALLOTS_NARROW ? 0U
                                                    : cluster->versions >> 2 * (ballot - 1) & 3U;
}

struct tn__configuration tn__explore_configuration_unpack(const struct tn__explore_cluster *cluster,
                                                          uint32_t acceptor);
void tn__explore_configuration_pack(struct tn__explore_cluster *cluster, uint32_t acceptor,
                                    const struct tn__configuration *cell);

/* ---- Messages ------------------------------------------------------------------------------ */

static inline uint64_t tn__explore_message_bit(const struct tn__explore_lease *lease,
                                               const struct tn__explore_cluster *cluster,
                                               enum tn__explore_message kind, uint32_t ballot)
{
    if (!tn__explore_has(lease, TN_EXPLORE_ENDLESS)) {
        return 1ULL << (kind * TN_EXPLORE_LEASE_BALLOTS_NARROW + ballot - 1);
    }
    if (kind < TN_EXPLORE_REPLIES_BEGIN) {
        return 1ULL << (kind * TN_EXPLORE_LEASE_BALLOTS + ballot - 1);
    }
    uint8_t owner = cluster->owner[ballot - 1];
    uint32_t proposer = tn__explore_owner_proposer(owner);
    if (owner == 0 || cluster->proposers[proposer].ballot != ballot) {
        return 0; /* dead: nobody waits for it */
    }
    return 1ULL << (3 * TN_EXPLORE_LEASE_BALLOTS + (kind - TN_EXPLORE_REPLIES_BEGIN) * 2 +
                    proposer);
}

/* The kind and ballot of the message at a bit's position. */
enum tn__explore_message tn__explore_message_at(const struct tn__explore_lease *lease,
                                                const struct tn__explore_cluster *cluster,
                                                uint32_t position, uint32_t *ballot);

const char *tn__explore_message_name(enum tn__explore_message kind);

/* Wide: replies to the last attempt are dead; a new one must not take them for its own. */
void tn__explore_forget_replies(const struct tn__explore_lease *lease,
                                struct tn__explore_cluster *cluster, uint32_t proposer);

/* ---- Cells --------------------------------------------------------------------------------- */

/* The real ballot of a number; 0: none. */
struct tn_ballot tn__explore_ballot(const struct tn__explore_cluster *cluster, uint32_t ballot);

struct tn__lease_proposer tn__explore_proposer_unpack(const struct tn__explore_lease *lease,
                                                      const struct tn__explore_cluster *cluster,
                                                      uint32_t proposer);
void tn__explore_proposer_pack(const struct tn__explore_lease *lease,
                               struct tn__explore_cluster *cluster, uint32_t proposer,
                               const struct tn__lease_proposer *cell);

struct tn__lease_acceptor tn__explore_acceptor_unpack(const struct tn__explore_cluster *cluster,
                                                      uint32_t acceptor);
void tn__explore_acceptor_pack(struct tn__explore_cluster *cluster, uint32_t acceptor,
                               const struct tn__lease_acceptor *cell);

/* FENCED. `disk` is what a crash leaves, `first` the older of two writes in flight (0: none). All
 * are numbers of ballots: a ceiling just above that one. */
struct tn__explore_ceiling {
    struct tn__ceiling cell;
    uint32_t disk;
    uint32_t first;
};
struct tn__explore_ceiling tn__explore_ceiling_unpack(const struct tn__explore_lease *lease,
                                                      const struct tn__explore_cluster *cluster,
                                                      uint32_t acceptor);
void tn__explore_ceiling_pack(struct tn__explore_cluster *cluster, uint32_t acceptor,
                              const struct tn__explore_ceiling *ceiling);

/* The number of a ballot's counter. */
static inline uint32_t tn__explore_number(uint64_t counter)
{
    return (uint32_t)(counter >> 16);
}

/* Give each ballot the number `map[its number]`; 0 for those that nothing refers to. */
void tn__explore_renumber(const struct tn__explore_lease *lease,
                          struct tn__explore_cluster *cluster,
                          const uint8_t map[TN_EXPLORE_LEASE_BALLOTS + 1]);

/* ---- The model's functions ------------------------------------------------------------------ */

void tn__explore_lease_initial(void *context, tn__explore_emit *emit, void *sink);
void tn__explore_lease_successors(void *context, const void *state, tn__explore_emit *emit,
                                  void *sink);
void tn__explore_lease_canonicalise(void *context, void *state);
bool tn__explore_lease_constraint(void *context, const void *state);
const char *tn__explore_lease_check(void *context, const void *state);
uint64_t tn__explore_lease_weight(void *context, const void *state);
void tn__explore_lease_print_state(void *context, const void *state, struct tn__text *text);
void tn__explore_lease_print_event(void *context, uint32_t event, struct tn__text *text);

/* ---- Events: a kind, a node, an argument, a variant, a byte each ------------------------------
 */

enum tn__explore_event_kind {
    TN_EXPLORE_EVENT_INITIAL,
    TN_EXPLORE_EVENT_START,   /* proposer, ballot; variant: version (F3) */
    TN_EXPLORE_EVENT_DELIVER, /* acceptor, position; variant: enum below */
    TN_EXPLORE_EVENT_DROP,    /* acceptor, position */
    TN_EXPLORE_EVENT_ABANDON, /* proposer */
    TN_EXPLORE_EVENT_RELEASE, /* proposer; variant 1: the attempt's release is lost */
    TN_EXPLORE_EVENT_TICK,    /* argument: who is fast (RATES) */
    TN_EXPLORE_EVENT_EXPIRE_PROPOSER,
    TN_EXPLORE_EVENT_EXPIRE_ACCEPTOR,
    TN_EXPLORE_EVENT_CRASH_PROPOSER,
    TN_EXPLORE_EVENT_RESTART_PROPOSER,
    TN_EXPLORE_EVENT_CRASH_ACCEPTOR,
    TN_EXPLORE_EVENT_RESTART_ACCEPTOR,
    TN_EXPLORE_EVENT_WRITTEN, /* acceptor; argument 1: the older of two writes */
    TN_EXPLORE_EVENT_WRITE_FAILED,
    TN_EXPLORE_EVENT_WRITE_RETRY,
    TN_EXPLORE_EVENT_FORGET,
    TN_EXPLORE_EVENT_LEAVE, /* acceptor */
    TN_EXPLORE_EVENT_JOIN,  /* acceptor, version */
    TN_EXPLORE_EVENTS_END,
};
#define TN_EXPLORE_VARIANT_KEPT 1U     /* the message stays in the network as well */
#define TN_EXPLORE_VARIANT_ANSWERED 2U /* the refusal arrives at once */
#define TN_EXPLORE_VARIANT_STALE 4U    /* with a `now` from before the bytes were there */

static inline uint32_t tn__explore_event(enum tn__explore_event_kind kind, uint32_t node,
                                         uint32_t argument, uint32_t variant)
{
    return (uint32_t)kind | node << 8 | argument << 16 | variant << 24;
}

#endif
