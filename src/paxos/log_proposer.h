/* The proposer of one log: Phase 1 over the whole log, Phase 2 slot by slot (N2). A cell; the ring
 * of proposals lies beside it.
 *
 *   IDLE --begin(b)--> PREPARING --majority of the configuration of `from` counted--> LEADING
 *     ^                    |                                                            |
 *     +---- stop (abort, suggest, the tenure's end, a write that failed) ---------------+
 *
 * Phase 1. A promise under b is counted when its last page is in, and only if its sender has
 * committed nothing that this node has not: who is ahead is fetched from first, and asked again
 * (ignore is never a promise, V1). Each page is merged: of each slot the value of the highest
 * accepted ballot reported is kept. `reported` is the highest slot of all counted promises.
 *
 * Phase 2. `next` is the next slot to propose. Slot j may be proposed when
 *   - every slot up to j - alpha is committed (so its configuration is known), and
 *   - the counted promises are a majority of that configuration (N2: when a chosen slot brings a
 * new configuration, Prepare is repeated to it first), and
 *   - its value is the merged one, or up to `reported` a no-op if nobody reported it (a hole).
 *     (A value of a page whose promise was never counted is merged too: of a majority and more the
 *     highest ballot's value is as good as that of the majority.)
 * One (ballot, slot) gets one value for ever: a proposal that was made stays in the ring until it
 * is committed, and is repeated as it is.
 *
 * Of the ring no more places are used than slots above the committed ones have needed, since it was
 * empty: it goes round in memory that the processor still knows.
 *
 * Invariants: promised, votes: sets of members, so a repeated message counts once; from <= next;
 * merged values at or above next belong to the ring (their references), those below to the
 * acceptor's slots. */
#ifndef TN_PAXOS_LOG_PROPOSER_H
#define TN_PAXOS_LOG_PROPOSER_H

#include "paxos/log_acceptor.h"
#include "paxos/log_configuration.h"

enum tn__log_phase {
    TN__LOG_IDLE = 0,
    TN__LOG_PREPARING,
    TN__LOG_LEADING,
};

struct tn__log_proposal {
    struct tn_log_ballot reported; /* Phase 1: the highest ballot reported for the slot; none */
    struct tn_log_value value;     /* kind NONE: no value yet */
    tn_member_set votes;           /* Phase 2, by identity */
    uint32_t proposed;             /* 1: under the ballot, in Phase 2 */
};

struct tn__log_proposer {
    struct tn_log_ballot ballot;
    uint64_t from;          /* Phase 1 covers slots from here on */
    uint64_t next;          /* the next slot to propose */
    uint64_t reported;      /* the highest slot that a counted promise reported; from - 1: none */
    tn_member_set promised; /* counted promises */
    uint32_t phase;         /* enum tn__log_phase */
    uint32_t capacity;      /* of the ring, a power of two, as the acceptor's */
    uint32_t places;        /* of it in use: a power of two; doubled when a slot needs one more */
    uint64_t cursors[TN_LOG_NODES_MAX + 1]; /* the slot where each member's next page begins */
    uint64_t seen[TN_LOG_NODES_MAX + 1];    /* the highest slot each member's pages reported */
};

enum tn__log_page {
    TN__LOG_PAGE_STALE = 1, /* of another ballot or phase, or not the page awaited: dropped */
    TN__LOG_PAGE_AHEAD,     /* its sender has committed more: fetch, then prepare again */
    TN__LOG_PAGE_MORE,      /* merged; ask for the page at cursors[member] */
    TN__LOG_PAGE_COUNTED,   /* merged and counted; the phase may have become LEADING */
    TN__LOG_PAGE_BEYOND,    /* a slot that cannot be: refused */
};

void tn__log_proposer_init(struct tn__log_proposer *proposer, uint32_t capacity);

static inline struct tn__log_proposal *tn__log_proposal_at(const struct tn__log_proposer *proposer,
                                                           struct tn__log_proposal *proposals,
                                                           uint64_t slot)
{
    return &proposals[slot & (proposer->places - 1U)];
}

/* Begin Phase 1 under `ballot` for all slots above `committed`. The ring must be empty (stopped).
 */
void tn__log_proposer_begin(struct tn__log_proposer *proposer, struct tn__log_proposal *proposals,
                            struct tn_log_ballot ballot, uint64_t committed);

/* While PREPARING slots were learned by catch-up: Phase 1 covers only what lies above `committed`;
 * merged values at or below it are dropped. `forgotten` gets at most `capacity` handles; returns
 * how many. */
uint32_t tn__log_proposer_advance(struct tn__log_proposer *proposer,
                                  struct tn__log_proposal *proposals, uint64_t committed,
                                  uint64_t *forgotten);

/* PREPARING, and the counted promises are a majority of the configuration of `from`: LEADING. To be
 * asked after _advance(), which may have come to another configuration; _promise() asks it itself.
 * Returns whether it leads. */
bool tn__log_proposer_settle(struct tn__log_proposer *proposer,
                             const struct tn__log_configurations *configurations);

/* A page of a promise of `member`, beginning at `slot` and ending before `slot_end`. Entries'
 * references are taken by the ring or put to `forgotten` (entries_count at most);
 * `*forgotten_count` is set. */
enum tn__log_page
tn__log_proposer_promise(struct tn__log_proposer *proposer, struct tn__log_proposal *proposals,
                         const struct tn__log_configurations *configurations, uint32_t member,
                         struct tn_log_ballot ballot, uint64_t slot, uint64_t slot_end, bool last,
                         uint64_t member_committed, uint64_t committed,
                         const struct tn_log_entry *entries, uint32_t entries_count,
                         uint64_t *forgotten, uint32_t *forgotten_count);

enum tn__log_next {
    TN__LOG_NEXT_REPORTED = 1, /* propose proposals[next].value: merged, or the no-op of a hole */
    TN__LOG_NEXT_FREE,         /* a new value may be proposed in it */
    TN__LOG_NEXT_WINDOW,       /* alpha slots are in flight: wait */
    TN__LOG_NEXT_PREPARE,      /* N2: its configuration has not promised yet: send it Prepare */
    TN__LOG_NEXT_NOT_LEADING,
};

/* What may be done with slot `next`. REPORTED fills a hole's value with a no-op. */
enum tn__log_next tn__log_proposer_next(struct tn__log_proposer *proposer,
                                        struct tn__log_proposal *proposals,
                                        const struct tn__log_configurations *configurations,
                                        uint64_t committed);

/* M4: is everything committed here that was ever committed under a lower ballot? What Phase 1
 * reported is, and Phase 1 holds in the configuration of the next slot: before that has promised, a
 * leader of a lower ballot may go on choosing in it. */
bool tn__log_proposer_ready(const struct tn__log_proposer *proposer,
                            const struct tn__log_configurations *configurations,
                            uint64_t committed);

/* Propose in slot `next`: its value is fixed under the ballot, `next` rises. For REPORTED `value`
 * is NULL: the merged one; returns it. The reference goes to the acceptor's slot: the caller
 * accepts the same value at its own acceptor in the same step. */
const struct tn_log_value *tn__log_proposer_propose(struct tn__log_proposer *proposer,
                                                    struct tn__log_proposal *proposals,
                                                    const struct tn_log_value *value);

/* Votes of `member` for slots slot .. slot_end - 1 under `ballot`; those not proposed here are
 * ignored. */
void tn__log_proposer_accepted(struct tn__log_proposer *proposer,
                               struct tn__log_proposal *proposals, uint32_t member,
                               struct tn_log_ballot ballot, uint64_t slot, uint64_t slot_end,
                               uint64_t committed);

/* Is the slot chosen by the votes counted here, in the configuration that governs it? */
bool tn__log_proposer_chosen(const struct tn__log_proposer *proposer,
                             struct tn__log_proposal *proposals,
                             const struct tn__log_configurations *configurations, uint64_t slot);

/* The slot is committed: its place in the ring is free. */
void tn__log_proposer_committed(struct tn__log_proposer *proposer,
                                struct tn__log_proposal *proposals, uint64_t slot);

/* Back to IDLE. `forgotten` gets the handles of merged values that were never proposed, at most
 * `capacity`; returns how many. */
uint32_t tn__log_proposer_stop(struct tn__log_proposer *proposer,
                               struct tn__log_proposal *proposals, uint64_t *forgotten);

void tn__log_proposer_check(const struct tn__log_proposer *proposer,
                            const struct tn__log_proposal *proposals, uint64_t committed);

/* Its parts: all but the ring; and, while it is not IDLE, the places of slots from .. end - 1 above
 * the committed ones. */
void tn__log_proposer_check_bounds(const struct tn__log_proposer *proposer, uint64_t committed);
void tn__log_proposer_check_slots(const struct tn__log_proposer *proposer,
                                  const struct tn__log_proposal *proposals, uint64_t committed,
                                  uint64_t from, uint64_t end);

#endif
