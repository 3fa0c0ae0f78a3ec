/* The acceptor of one log: V1, V2, V3. A cell: plain data and pure functions; the ring of slots
 * lies beside it and is handed to each call.
 *
 * State: the promise, which covers the whole log, and for each slot of the ring the ballot and
 * value last accepted. The ring holds slots first .. first + capacity - 1 at most; what is
 * committed and falls out of it is the store's. Every change is a record that must be durable
 * before its answer leaves (the caller's `after`).
 *
 *   prepare(b):  b > promise                          agree: promise := b, a record
 *                b == promise                         agree again: no record of its own
 *                number of b == promise's, other run  suggest: refused, told the promise
 *                b < promise                          abort: refused, told the promise
 *   accept(b):   b >= promise                         promise := b, slot := (b, value), a record
 *                else                                 abort
 *
 * A slot that is known committed is resolved: it is not reported (V1 ignore: the proposer gets
 * `committed` and fetches), and an accept of it is answered without storing it again, since what
 * was chosen there is what any later ballot proposes.
 *
 * What was learned (V3) is chosen, whatever ballot it came with, and that ballot may be above the
 * promise. After a restart such a slot may lie above what is known committed: by its ballot it is
 * known, counts as resolved, and is reported as it is.
 *
 * The ring has room for `capacity` slots and uses no more places than are needed: a log that keeps
 * few slots goes round in memory that the processor still knows. It doubles when a slot finds no
 * place, and is halved now and then while few are used.
 *
 * Invariants: the promise never falls, and is at or above every accepted ballot; one (ballot, slot)
 * has one value for ever; every slot above `committed` that was accepted is in the ring; a place
 * that no slot from first to highest has is empty. */
#ifndef TN_PAXOS_LOG_ACCEPTOR_H
#define TN_PAXOS_LOG_ACCEPTOR_H

#include <tenure/log.h>

struct tn__log_slot {
    struct tn_log_ballot ballot; /* none: nothing was accepted here */
    struct tn_log_value value;   /* its handle's reference is the slot's */
    uint64_t checksum;           /* C3: the chain up to here, once it is committed */
};

struct tn__log_acceptor {
    struct tn_log_ballot promise;
    uint64_t first;    /* the lowest slot of the ring, 1 at first */
    uint64_t highest;  /* the highest slot ever accepted or learned; 0: none */
    uint32_t capacity; /* of the ring, a power of two */
    uint32_t places;   /* of it in use: a power of two, at most `capacity` */
};

/* A ring begins with so many places, if its capacity is not less. */
#define TN__LOG_PLACES_MIN 8U

enum tn__log_verdict {
    TN__LOG_AGREE = 1, /* V1: the promise rose: persist it, then report */
    TN__LOG_AGAIN,     /* V1: the same ballot once more: report again, nothing new to persist; what
                          was written before must be durable all the same */
    TN__LOG_ABORT,     /* V1, V2: a higher promise stands */
    TN__LOG_SUGGEST,   /* V1: this number is another incarnation's */
    TN__LOG_ACCEPTED,  /* V2: persist, then answer */
    TN__LOG_RESOLVED,  /* V2: known chosen: answer (the promise may have risen: persist that) */
    TN__LOG_BEYOND,    /* the slot does not fit the ring: not answered; catch-up moves the ring */
    TN__LOG_CONFLICT,  /* another value under the same ballot and slot, or for a committed slot:
                          somebody breaks the protocol; nothing is changed */
};

void tn__log_acceptor_init(struct tn__log_acceptor *acceptor, uint32_t capacity,
                           struct tn_log_ballot promise, uint64_t committed);

/* Room for committed slots from `first` on: right after init. */
void tn__log_acceptor_reach_down(struct tn__log_acceptor *acceptor, uint64_t first);

static inline struct tn__log_slot *tn__log_slot_at(const struct tn__log_acceptor *acceptor,
                                                   struct tn__log_slot *slots, uint64_t slot)
{
    return &slots[slot & (acceptor->places - 1U)];
}

/* Is the slot in the ring, with something accepted in it? */
bool tn__log_acceptor_holds(const struct tn__log_acceptor *acceptor,
                            const struct tn__log_slot *slots, uint64_t slot);

/* V1. Changes the promise alone. */
enum tn__log_verdict tn__log_acceptor_prepare(struct tn__log_acceptor *acceptor,
                                              struct tn_log_ballot ballot);

/* V1, one page of the report: entries accepted at or above `from` and above `committed`, at most
 * `entries_max`, in rising order. Returns their number; `*slot_end` is one past the last slot that
 * the page covers, `*last`: nothing lies beyond. */
uint32_t tn__log_acceptor_report(const struct tn__log_acceptor *acceptor,
                                 const struct tn__log_slot *slots, uint64_t from,
                                 uint64_t committed, struct tn_log_entry *entries,
                                 uint32_t entries_max, uint64_t *slot_end, bool *last);

/* V2, one slot of a run. The entry's reference is taken on ACCEPTED; `*forgotten` gets the handle
 * that is not needed any more (the replaced value's, or the entry's own when it was not taken). */
enum tn__log_verdict tn__log_acceptor_accept(struct tn__log_acceptor *acceptor,
                                             struct tn__log_slot *slots,
                                             struct tn_log_ballot ballot, uint64_t slot,
                                             const struct tn_log_value *value, uint64_t committed,
                                             uint64_t *forgotten);

/* V3: a value known to be committed, by catch-up: stored without a word about the promise. The slot
 * must be in the ring. `*forgotten` as above. */
void tn__log_acceptor_learn(struct tn__log_acceptor *acceptor, struct tn__log_slot *slots,
                            uint64_t slot, struct tn_log_ballot ballot,
                            const struct tn_log_value *value, uint64_t *forgotten);

/* Drop the lowest slot of the ring; the caller has seen that it is committed and not needed.
 * Returns the handle to forget, 0: none. */
uint64_t tn__log_acceptor_drop_first(struct tn__log_acceptor *acceptor, struct tn__log_slot *slots);

/* Are two values the same, whatever their handles? */
bool tn__log_value_equal(const struct tn_log_value *a, const struct tn_log_value *b);

void tn__log_acceptor_check(const struct tn__log_acceptor *acceptor,
                            const struct tn__log_slot *slots, uint64_t committed);

/* Its parts: all but the ring, and the places of slots from .. end - 1 of the ring. */
void tn__log_acceptor_check_bounds(const struct tn__log_acceptor *acceptor, uint64_t committed);
void tn__log_acceptor_check_slots(const struct tn__log_acceptor *acceptor,
                                  const struct tn__log_slot *slots, uint64_t from, uint64_t end);

#endif
