/* The acceptor of a log; the header tells the theory. */
#include "paxos/log_acceptor.h"

#include "base/assert.h"

void tn__log_acceptor_init(struct tn__log_acceptor *acceptor, uint32_t capacity,
                           struct tn_log_ballot promise, uint64_t committed)
{
    tn_assert(capacity >= 1 && (capacity & (capacity - 1)) == 0);
    tn_assert(committed < UINT64_MAX - capacity);
    *acceptor = (struct tn__log_acceptor){
        .promise = promise,
        .first = committed + 1,
        .highest = committed,
        .capacity = capacity,
        .places = capacity < TN__LOG_PLACES_MIN ? capacity : TN__LOG_PLACES_MIN,
    };
}

void tn__log_acceptor_reach_down(struct tn__log_acceptor *acceptor, uint64_t first)
{
    tn_assert(first >= 1 && first <= acceptor->first);
    tn_assert(acceptor->first == acceptor->highest + 1); /* nothing is in it */
    acceptor->first = first;
    while (acceptor->highest + 1 - first > acceptor->places) {
        acceptor->places *= 2;
    }
    tn_assert(acceptor->places <= acceptor->capacity);
}

static bool is_in_ring(const struct tn__log_acceptor *acceptor, uint64_t slot)
{
    return slot >= acceptor->first && slot - acceptor->first < acceptor->capacity;
}

bool tn__log_acceptor_holds(const struct tn__log_acceptor *acceptor,
                            const struct tn__log_slot *slots, uint64_t slot)
{
    return is_in_ring(acceptor, slot) && slot <= acceptor->highest &&
           !tn_log_ballot_is_none(slots[slot & (acceptor->places - 1U)].ballot);
}

bool tn__log_value_equal(const struct tn_log_value *a, const struct tn_log_value *b)
{
    return a->kind == b->kind && a->bytes == b->bytes && a->digest == b->digest &&
           a->voters == b->voters && a->learners == b->learners && a->version == b->version &&
           a->window_slots == b->window_slots && a->mode == b->mode;
}

/* V1: one number, two incarnations of its node. */
static bool is_of_another_run(struct tn_log_ballot a, struct tn_log_ballot b)
{
    return a.node == b.node && a.attempt == b.attempt && a.token == b.token &&
           a.mode_number == b.mode_number && a.restart_word != b.restart_word;
}

enum tn__log_verdict tn__log_acceptor_prepare(struct tn__log_acceptor *acceptor,
                                              struct tn_log_ballot ballot)
{
    tn_assert(!tn_log_ballot_is_none(ballot));
    tn_assert(acceptor->capacity != 0);
    if (is_of_another_run(ballot, acceptor->promise)) {
        return TN__LOG_SUGGEST; /* whichever restart word is the higher one */
    }
    int order = tn_log_ballot_compare(ballot, acceptor->promise);
    if (order < 0) {
        return TN__LOG_ABORT;
    }
    acceptor->promise = ballot;
    return order > 0 ? TN__LOG_AGREE : TN__LOG_AGAIN;
}

uint32_t tn__log_acceptor_report(const struct tn__log_acceptor *acceptor,
                                 const struct tn__log_slot *slots, uint64_t from,
                                 uint64_t committed, struct tn_log_entry *entries,
                                 uint32_t entries_max, uint64_t *slot_end, bool *last)
{
    tn_assert(entries_max >= 1);
    tn_assert(acceptor->first <= committed + 1);
    uint64_t slot = from > committed ? from : committed + 1; /* V1: the committed are ignored */
    uint32_t count = 0;
    for (; slot <= acceptor->highest && count < entries_max; slot++) {
        if (tn__log_acceptor_holds(acceptor, slots, slot)) {
            const struct tn__log_slot *held = &slots[slot & (acceptor->places - 1U)];
            entries[count++] =
                (struct tn_log_entry){.slot = slot, .ballot = held->ballot, .value = held->value};
        }
    }
    *last = slot > acceptor->highest;
    *slot_end = slot;
    tn_assert(count <= entries_max && *slot_end >= from);
    return count;
}

/* ---- Places ---------------------------------------------------------------------------------- */

static void move(struct tn__log_slot *slots, uint64_t from, uint64_t to)
{
    if (from != to) {
        slots[to] = slots[from];
        slots[from] = (struct tn__log_slot){0};
    }
}

/* Twice as many, until `slot` has one of its own. */
static void grow(struct tn__log_acceptor *acceptor, struct tn__log_slot *slots, uint64_t slot)
{
    while (slot - acceptor->first >= acceptor->places) {
        uint32_t before = acceptor->places;
        acceptor->places = 2 * before;
        tn_assert(acceptor->places <= acceptor->capacity);
        for (uint64_t i = acceptor->first; i <= acceptor->highest; i++) {
            move(slots, i & (before - 1U), i & (acceptor->places - 1U));
        }
    }
}

/* Half as many, if an eighth does. Looked at once in many slots, so it costs next to nothing. */
static void shrink(struct tn__log_acceptor *acceptor, struct tn__log_slot *slots)
{
    uint64_t used = acceptor->highest + 1 - acceptor->first;
    tn_assert(used <= acceptor->places);
    if (acceptor->places <= TN__LOG_PLACES_MIN || used > acceptor->places / 8U ||
        (acceptor->first & (4ULL * acceptor->places - 1)) != 0) {
        return;
    }
    uint32_t before = acceptor->places;
    acceptor->places = before / 2;
    for (uint64_t i = acceptor->first; i <= acceptor->highest; i++) {
        move(slots, i & (before - 1U), i & (acceptor->places - 1U));
    }
}

/* The place of a slot of the ring, which may have needed another one. */
static struct tn__log_slot *place_of(struct tn__log_acceptor *acceptor, struct tn__log_slot *slots,
                                     uint64_t slot)
{
    tn_assert(slot >= acceptor->first);
    if (slot - acceptor->first >= acceptor->places) {
        grow(acceptor, slots, slot);
    }
    return tn__log_slot_at(acceptor, slots, slot);
}

/* Put the value into its slot; returns the handle that was there. */
static uint64_t store(struct tn__log_acceptor *acceptor, struct tn__log_slot *slots, uint64_t slot,
                      struct tn_log_ballot ballot, const struct tn_log_value *value)
{
    struct tn__log_slot *held = place_of(acceptor, slots, slot);
    uint64_t replaced = held->value.handle;
    tn_assert(is_in_ring(acceptor, slot));
    *held = (struct tn__log_slot){.ballot = ballot, .value = *value};
    if (slot > acceptor->highest) {
        acceptor->highest = slot;
    }
    return replaced;
}

/* Does the slot hold another value under the same ballot? Or is it chosen, and `ballot` one of
 * those which could propose nothing else any more? (A lower one is a proposal that lost.) */
static bool is_in_conflict(const struct tn__log_slot *held, struct tn_log_ballot ballot,
                           const struct tn_log_value *value, bool chosen)
{
    int order = tn_log_ballot_compare(ballot, held->ballot);
    return (order == 0 || (chosen && order > 0)) && !tn__log_value_equal(&held->value, value);
}

enum tn__log_verdict tn__log_acceptor_accept(struct tn__log_acceptor *acceptor,
                                             struct tn__log_slot *slots,
                                             struct tn_log_ballot ballot, uint64_t slot,
                                             const struct tn_log_value *value, uint64_t committed,
                                             uint64_t *forgotten)
{
    tn_assert(!tn_log_ballot_is_none(ballot));
    tn_assert(value->kind != TN_LOG_VALUE_NONE);
    tn_assert(acceptor->first <= committed + 1);
    *forgotten = value->handle;
    if (tn_log_ballot_compare(ballot, acceptor->promise) < 0) {
        return TN__LOG_ABORT; /* V2: whatever was accepted or committed */
    }
    if (slot > committed && !is_in_ring(acceptor, slot)) {
        return TN__LOG_BEYOND;
    }
    bool holds = tn__log_acceptor_holds(acceptor, slots, slot);
    const struct tn__log_slot *held = tn__log_slot_at(acceptor, slots, slot);
    /* No accepted ballot is above the promise: that one was learned, its value is chosen. */
    bool chosen =
        slot <= committed || (holds && tn_log_ballot_compare(held->ballot, acceptor->promise) > 0);
    if (holds && is_in_conflict(held, ballot, value, chosen)) {
        return TN__LOG_CONFLICT;
    }
    bool resolved = slot <= committed || (holds && tn_log_ballot_compare(held->ballot, ballot) > 0);
    acceptor->promise = ballot; /* V2 */
    if (resolved) {
        return TN__LOG_RESOLVED;
    }
    *forgotten = store(acceptor, slots, slot, ballot, value);
    return TN__LOG_ACCEPTED;
}

void tn__log_acceptor_learn(struct tn__log_acceptor *acceptor, struct tn__log_slot *slots,
                            uint64_t slot, struct tn_log_ballot ballot,
                            const struct tn_log_value *value, uint64_t *forgotten)
{
    tn_assert(!tn_log_ballot_is_none(ballot));
    tn_assert(value->kind != TN_LOG_VALUE_NONE);
    *forgotten = store(acceptor, slots, slot, ballot, value); /* V3: and the promise stays */
}

uint64_t tn__log_acceptor_drop_first(struct tn__log_acceptor *acceptor, struct tn__log_slot *slots)
{
    tn_assert(acceptor->first <= acceptor->highest);
    struct tn__log_slot *held = tn__log_slot_at(acceptor, slots, acceptor->first);
    uint64_t handle = held->value.handle;
    *held = (struct tn__log_slot){0};
    acceptor->first++;
    shrink(acceptor, slots);
    tn_assert(acceptor->first - 1 <= acceptor->highest);
    return handle;
}

void tn__log_acceptor_check_bounds(const struct tn__log_acceptor *acceptor, uint64_t committed)
{
    tn_assert(acceptor->capacity >= 1);
    tn_assert((acceptor->capacity & (acceptor->capacity - 1)) == 0);
    tn_assert(acceptor->places >= 1 && acceptor->places <= acceptor->capacity);
    tn_assert((acceptor->places & (acceptor->places - 1)) == 0);
    tn_assert(acceptor->first >= 1 && acceptor->first <= committed + 1);
    tn_assert(acceptor->highest + 1 >= acceptor->first);
    tn_assert(acceptor->highest - acceptor->first + 1 <= acceptor->places);
}

void tn__log_acceptor_check_slots(const struct tn__log_acceptor *acceptor,
                                  const struct tn__log_slot *slots, uint64_t from, uint64_t end)
{
    uint64_t ring_end = acceptor->first + acceptor->places;
    tn_assert(from >= acceptor->first || from >= end);
    for (uint64_t slot = from; slot < end && slot < ring_end; slot++) {
        const struct tn__log_slot *held = &slots[slot & (acceptor->places - 1U)];
        bool empty = tn_log_ballot_is_none(held->ballot);
        tn_assert(empty == (held->value.kind == TN_LOG_VALUE_NONE));
        tn_assert(!empty || (held->value.handle == 0 && held->checksum == 0));
        tn_assert(empty || slot <= acceptor->highest);
    }
}

void tn__log_acceptor_check(const struct tn__log_acceptor *acceptor,
                            const struct tn__log_slot *slots, uint64_t committed)
{
    tn__log_acceptor_check_bounds(acceptor, committed);
    tn__log_acceptor_check_slots(acceptor, slots, acceptor->first,
                                 acceptor->first + acceptor->places);
}
