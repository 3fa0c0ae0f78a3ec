/* The proposer of a log; the header tells the theory. */
#include "paxos/log_proposer.h"

#include <string.h>

#include "base/assert.h"

static tn_member_set bit_of(uint32_t member)
{
    tn_assert(member < TN_LOG_NODES_MAX);
    return (tn_member_set)1 << member;
}

/* ---- Places ---------------------------------------------------------------------------------- */

static uint32_t few_places(uint32_t capacity)
{
    return capacity < TN__LOG_PLACES_MIN ? capacity : TN__LOG_PLACES_MIN;
}

/* As many as slots committed + 1 .. slot need. */
static void make_places(struct tn__log_proposer *proposer, struct tn__log_proposal *proposals,
                        uint64_t committed, uint64_t slot)
{
    tn_assert(slot > committed && slot - committed <= proposer->capacity);
    while (slot - committed > proposer->places) {
        uint32_t before = proposer->places;
        proposer->places = 2 * before;
        for (uint64_t i = committed + 1; i <= committed + before; i++) {
            uint64_t from = i & (before - 1U);
            uint64_t to = i & (proposer->places - 1U);
            if (from != to) {
                proposals[to] = proposals[from];
                proposals[from] = (struct tn__log_proposal){0};
            }
        }
    }
    tn_assert(proposer->places <= proposer->capacity);
}

/* ---- Phase 1 --------------------------------------------------------------------------------- */

void tn__log_proposer_init(struct tn__log_proposer *proposer, uint32_t capacity)
{
    tn_assert(capacity >= 1 && (capacity & (capacity - 1)) == 0);
    *proposer = (struct tn__log_proposer){
        .from = 1, .next = 1, .capacity = capacity, .places = few_places(capacity)};
    tn_assert(proposer->phase == TN__LOG_IDLE);
}

void tn__log_proposer_begin(struct tn__log_proposer *proposer, struct tn__log_proposal *proposals,
                            struct tn_log_ballot ballot, uint64_t committed)
{
    (void)proposals;
    tn_assert(proposer->phase == TN__LOG_IDLE);
    tn_assert(!tn_log_ballot_is_none(ballot));
    tn_assert(!tn_log_ballot_equal(ballot, proposer->ballot)); /* an attempt is never begun twice */
    proposer->ballot = ballot;
    proposer->phase = TN__LOG_PREPARING;
    proposer->from = committed + 1;
    proposer->next = committed + 1;
    proposer->reported = committed;
    proposer->promised = 0;
    proposer->places = few_places(proposer->capacity); /* the ring is empty */
    for (uint32_t i = 0; i <= TN_LOG_NODES_MAX; i++) {
        proposer->cursors[i] = committed + 1;
        proposer->seen[i] = 0;
    }
}

/* A merged value that is not needed: its place is free. Returns its handle, 0: none. */
static uint64_t clear(struct tn__log_proposal *place)
{
    uint64_t handle = place->proposed != 0 ? 0 : place->value.handle;
    *place = (struct tn__log_proposal){0};
    return handle;
}

uint32_t tn__log_proposer_advance(struct tn__log_proposer *proposer,
                                  struct tn__log_proposal *proposals, uint64_t committed,
                                  uint64_t *forgotten)
{
    uint32_t count = 0;
    tn_assert(proposer->phase == TN__LOG_PREPARING);
    tn_assert(proposer->next == proposer->from);
    for (uint32_t i = 0; i < proposer->capacity && proposer->from <= committed; i++) {
        uint64_t handle = clear(tn__log_proposal_at(proposer, proposals, proposer->from));
        if (handle != 0) {
            forgotten[count++] = handle;
        }
        proposer->from++;
    }
    if (proposer->from <= committed) {
        proposer->from = committed + 1; /* a whole ring and more: nothing is left in it */
    }
    proposer->next = proposer->from;
    if (proposer->reported < committed) {
        proposer->reported = committed;
    }
    tn_assert(count <= proposer->capacity);
    return count;
}

bool tn__log_proposer_settle(struct tn__log_proposer *proposer,
                             const struct tn__log_configurations *configurations)
{
    tn_assert(proposer->phase != TN__LOG_IDLE);
    tn_assert(proposer->from <= proposer->next);
    if (proposer->phase == TN__LOG_PREPARING &&
        tn__log_configuration_quorum(tn__log_configuration_at(configurations, proposer->from),
                                     proposer->promised)) {
        proposer->phase = TN__LOG_LEADING;
    }
    return proposer->phase == TN__LOG_LEADING;
}

/* Could an honest acceptor have sent these? Rising slots inside the page and the ring, each with a
 * ballot and a value. */
static bool is_well_formed(const struct tn__log_proposer *proposer, uint64_t slot,
                           uint64_t slot_end, bool last, uint64_t committed,
                           const struct tn_log_entry *entries, uint32_t entries_count)
{
    uint64_t next = slot;
    if (slot_end < slot || (slot_end == slot && !last)) {
        return false;
    }
    for (uint32_t i = 0; i < entries_count; i++) {
        const struct tn_log_entry *entry = &entries[i];
        if (entry->slot < next || entry->slot >= slot_end ||
            (entry->slot > committed && entry->slot - committed > proposer->capacity) ||
            tn_log_ballot_is_none(entry->ballot) || entry->value.kind == TN_LOG_VALUE_NONE) {
            return false;
        }
        next = entry->slot + 1;
    }
    return true;
}

/* Of each slot the value of the highest ballot is kept. Returns the handle that is not: 0, none. */
static uint64_t merge(struct tn__log_proposer *proposer, struct tn__log_proposal *proposals,
                      const struct tn_log_entry *entry, uint64_t committed)
{
    if (entry->slot <= committed || entry->slot < proposer->next) {
        return entry->value.handle; /* its value is fixed already */
    }
    make_places(proposer, proposals, committed, entry->slot);
    struct tn__log_proposal *place = tn__log_proposal_at(proposer, proposals, entry->slot);
    tn_assert(place->proposed == 0);
    if (place->value.kind != TN_LOG_VALUE_NONE &&
        tn_log_ballot_compare(entry->ballot, place->reported) <= 0) {
        return entry->value.handle;
    }
    uint64_t replaced = place->value.handle;
    place->reported = entry->ballot;
    place->value = entry->value;
    return replaced;
}

static enum tn__log_page judge_page(const struct tn__log_proposer *proposer, uint32_t member,
                                    struct tn_log_ballot ballot, uint64_t slot, uint64_t slot_end,
                                    bool last, uint64_t member_committed, uint64_t committed,
                                    const struct tn_log_entry *entries, uint32_t entries_count)
{
    if (proposer->phase == TN__LOG_IDLE || !tn_log_ballot_equal(ballot, proposer->ballot) ||
        member >= TN_LOG_NODES_MAX || (proposer->promised & bit_of(member)) != 0 ||
        slot != proposer->cursors[member]) {
        return TN__LOG_PAGE_STALE;
    }
    if (member_committed > committed) {
        return TN__LOG_PAGE_AHEAD; /* V1: what it ignores was not reported */
    }
    if (!is_well_formed(proposer, slot, slot_end, last, committed, entries, entries_count)) {
        return TN__LOG_PAGE_BEYOND;
    }
    return last ? TN__LOG_PAGE_COUNTED : TN__LOG_PAGE_MORE;
}

enum tn__log_page
tn__log_proposer_promise(struct tn__log_proposer *proposer, struct tn__log_proposal *proposals,
                         const struct tn__log_configurations *configurations, uint32_t member,
                         struct tn_log_ballot ballot, uint64_t slot, uint64_t slot_end, bool last,
                         uint64_t member_committed, uint64_t committed,
                         const struct tn_log_entry *entries, uint32_t entries_count,
                         uint64_t *forgotten, uint32_t *forgotten_count)
{
    enum tn__log_page page = judge_page(proposer, member, ballot, slot, slot_end, last,
                                        member_committed, committed, entries, entries_count);
    bool taken = page == TN__LOG_PAGE_MORE || page == TN__LOG_PAGE_COUNTED;
    tn_assert(!taken || proposer->phase != TN__LOG_PREPARING || proposer->from == committed + 1);
    *forgotten_count = 0;
    for (uint32_t i = 0; i < entries_count; i++) {
        uint64_t handle =
            taken ? merge(proposer, proposals, &entries[i], committed) : entries[i].value.handle;
        if (handle != 0) {
            forgotten[(*forgotten_count)++] = handle;
        }
    }
    if (!taken) {
        return page;
    }
    if (entries_count != 0 && entries[entries_count - 1].slot > proposer->seen[member]) {
        proposer->seen[member] = entries[entries_count - 1].slot;
    }
    proposer->cursors[member] = slot_end;
    if (page == TN__LOG_PAGE_COUNTED) { /* V1: with its last page, not before */
        proposer->promised |= bit_of(member);
        if (proposer->seen[member] > proposer->reported) {
            proposer->reported = proposer->seen[member];
        }
        tn_maybe(tn__log_proposer_settle(proposer, configurations));
    }
    tn_assert(*forgotten_count <= entries_count);
    return page;
}

enum tn__log_next tn__log_proposer_next(struct tn__log_proposer *proposer,
                                        struct tn__log_proposal *proposals,
                                        const struct tn__log_configurations *configurations,
                                        uint64_t committed)
{
    if (proposer->phase != TN__LOG_LEADING) {
        return TN__LOG_NEXT_NOT_LEADING;
    }
    tn_assert(proposer->next > committed);
    if (proposer->next > tn__log_configuration_window_end(configurations, committed) ||
        proposer->next - committed > proposer->capacity) {
        return TN__LOG_NEXT_WINDOW; /* N2: every slot up to j - alpha is known chosen */
    }
    if (!tn__log_configuration_quorum(tn__log_configuration_at(configurations, proposer->next),
                                      proposer->promised)) {
        return TN__LOG_NEXT_PREPARE; /* N2: by a majority of the slot's own configuration */
    }
    if (proposer->next - committed > proposer->places) {
        make_places(proposer, proposals, committed, proposer->next);
    }
    struct tn__log_proposal *place = tn__log_proposal_at(proposer, proposals, proposer->next);
    tn_assert(place->proposed == 0);
    if (place->value.kind != TN_LOG_VALUE_NONE) {
        return TN__LOG_NEXT_REPORTED;
    }
    if (proposer->next > proposer->reported) {
        return TN__LOG_NEXT_FREE;
    }
    place->value.kind = TN_LOG_VALUE_NOOP; /* N2: a hole */
    return TN__LOG_NEXT_REPORTED;
}

bool tn__log_proposer_ready(const struct tn__log_proposer *proposer,
                            const struct tn__log_configurations *configurations, uint64_t committed)
{
    tn_assert(proposer->phase != TN__LOG_LEADING || proposer->next > committed);
    return proposer->phase == TN__LOG_LEADING && committed >= proposer->reported &&
           tn__log_configuration_quorum(tn__log_configuration_at(configurations, committed + 1),
                                        proposer->promised); /* M4, N2 */
}

const struct tn_log_value *tn__log_proposer_propose(struct tn__log_proposer *proposer,
                                                    struct tn__log_proposal *proposals,
                                                    const struct tn_log_value *value)
{
    struct tn__log_proposal *place = tn__log_proposal_at(proposer, proposals, proposer->next);
    tn_assert(proposer->phase == TN__LOG_LEADING);
    tn_assert(place->proposed == 0 && place->votes == 0);
    if (value != NULL) {
        tn_assert(proposer->next > proposer->reported);
        tn_assert(place->value.kind == TN_LOG_VALUE_NONE);
        place->value = *value;
    }
    tn_assert(place->value.kind != TN_LOG_VALUE_NONE);
    place->proposed = 1;
    proposer->next++;
    return &place->value;
}

void tn__log_proposer_accepted(struct tn__log_proposer *proposer,
                               struct tn__log_proposal *proposals, uint32_t member,
                               struct tn_log_ballot ballot, uint64_t slot, uint64_t slot_end,
                               uint64_t committed)
{
    if (proposer->phase != TN__LOG_LEADING || member >= TN_LOG_NODES_MAX ||
        !tn_log_ballot_equal(ballot, proposer->ballot)) {
        return;
    }
    tn_assert(proposer->next > committed);
    tn_assert(proposer->next - committed <= proposer->capacity + 1ULL);
    uint64_t first = slot > committed ? slot : committed + 1;
    uint64_t end = slot_end < proposer->next ? slot_end : proposer->next;
    for (uint64_t i = first; i < end; i++) {
        struct tn__log_proposal *place = tn__log_proposal_at(proposer, proposals, i);
        place->votes |= place->proposed != 0 ? bit_of(member) : 0;
    }
}

bool tn__log_proposer_chosen(const struct tn__log_proposer *proposer,
                             struct tn__log_proposal *proposals,
                             const struct tn__log_configurations *configurations, uint64_t slot)
{
    if (proposer->phase != TN__LOG_LEADING || slot < proposer->from || slot >= proposer->next) {
        return false;
    }
    const struct tn__log_proposal *place = tn__log_proposal_at(proposer, proposals, slot);
    tn_assert(proposer->next - slot <= proposer->places); /* it is not committed yet */
    tn_assert(place->votes == 0 || place->proposed != 0);
    return tn__log_configuration_quorum(tn__log_configuration_at(configurations, slot),
                                        place->votes);
}

void tn__log_proposer_committed(struct tn__log_proposer *proposer,
                                struct tn__log_proposal *proposals, uint64_t slot)
{
    tn_assert(proposer->phase == TN__LOG_LEADING);
    tn_assert(slot >= proposer->from && slot < proposer->next);
    tn_maybe(clear(tn__log_proposal_at(proposer, proposals, slot)));
}

uint32_t tn__log_proposer_stop(struct tn__log_proposer *proposer,
                               struct tn__log_proposal *proposals, uint64_t *forgotten)
{
    uint32_t count = 0;
    if (proposer->phase == TN__LOG_IDLE) {
        return 0;
    }
    for (uint32_t i = 0; i < proposer->places; i++) {
        uint64_t handle = clear(&proposals[i]);
        if (handle != 0) {
            forgotten[count++] = handle;
        }
    }
    proposer->phase = TN__LOG_IDLE;
    proposer->promised = 0;
    tn_assert(count <= proposer->capacity);
    return count;
}

/* A place of the ring, `slot` being what lies in it. */
static void check_place(const struct tn__log_proposer *proposer,
                        const struct tn__log_proposal *place, uint64_t slot)
{
    bool filled = place->value.kind != TN_LOG_VALUE_NONE;
    tn_assert(filled || (place->proposed == 0 && place->votes == 0 && place->value.handle == 0));
    tn_assert(filled || tn_log_ballot_is_none(place->reported));
    tn_assert(place->proposed <= 1 && (place->proposed != 0 || place->votes == 0));
    if (proposer->phase != TN__LOG_LEADING) {
        tn_assert(place->proposed == 0);
    } else {
        tn_assert((place->proposed != 0) == (slot < proposer->next));
    }
}

void tn__log_proposer_check_slots(const struct tn__log_proposer *proposer,
                                  const struct tn__log_proposal *proposals, uint64_t committed,
                                  uint64_t from, uint64_t end)
{
    tn_assert(from > committed || from >= end);
    for (uint64_t slot = from; slot < end && slot - committed <= proposer->places; slot++) {
        check_place(proposer, &proposals[slot & (proposer->places - 1U)], slot);
    }
}

void tn__log_proposer_check_bounds(const struct tn__log_proposer *proposer, uint64_t committed)
{
    tn_assert(proposer->phase <= TN__LOG_LEADING);
    tn_assert(proposer->from <= proposer->next);
    if (proposer->phase != TN__LOG_IDLE) {
        tn_assert(!tn_log_ballot_is_none(proposer->ballot));
        tn_assert(proposer->next > committed && proposer->reported + 1 >= proposer->from);
        tn_assert(proposer->phase != TN__LOG_PREPARING || proposer->next == proposer->from);
    }
}

void tn__log_proposer_check(const struct tn__log_proposer *proposer,
                            const struct tn__log_proposal *proposals, uint64_t committed)
{
    tn__log_proposer_check_bounds(proposer, committed);
    if (proposer->phase != TN__LOG_IDLE) {
        tn__log_proposer_check_slots(proposer, proposals, committed, committed + 1, UINT64_MAX);
        return;
    }
    for (uint32_t i = 0; i < proposer->capacity; i++) {
        tn_assert(proposals[i].value.kind == TN_LOG_VALUE_NONE);
        tn_assert(proposals[i].proposed == 0 && proposals[i].votes == 0);
    }
}
