/* What the embedding program asks for: acquire, re-open, release, drop, hand over, forsake.
 *
 * A request never fails loudly: what cannot be done now is told by a notice (a table that is full),
 * and a request about a name this node does not contend for changes nothing. */
#include "base/assert.h"
#include "paxos/lease_machine.h"
#include "paxos/quorum.h"

#define PRIORITY_MAX 15U

static bool request_names_one(const struct tn_request *request)
{
    return request->kind >= TN_REQUEST_ACQUIRE && request->kind <= TN_REQUEST_HAND_OVER;
}

static uint32_t find_slot(struct tn__lease_turn *turn, const struct tn_request *request, bool add)
{
    struct tn__lease_table *table = tn__lease_table_at(turn->lease, request->table);
    struct tn__lease_key key = tn__lease_table_key(table, request->name, request->name_bytes);
    uint32_t slot = tn__lease_table_find(table, key);
    if (slot == TN__SLOT_NONE && add) {
        slot = tn__lease_table_add(table, key, turn->lease->floor, turn->now);
    }
    return slot;
}

static void refuse_full(struct tn__lease_turn *turn, const struct tn_request *request)
{
    turn->lease->counters.full++;
    struct tn_notice *notice =
        tn__lease_notify(turn, request->table, TN__SLOT_NONE, TN_NOTICE_FAILED);
    notice->reason = TN_REASON_FULL;
    notice->name_bytes = request->name_bytes;
    for (uint32_t i = 0; i < request->name_bytes; i++) {
        notice->name[i] = request->name[i];
    }
}

/* L1: a name that is known to be held is not tried before it may be free. */
static tn_time known_remaining(const struct tn__lease_turn *turn,
                               const struct tn__lease_table *table, uint32_t slot)
{
    const struct tn__lease_acceptor *acceptor = &tn__lease_table_name(table, slot)->acceptor;
    bool other = tn_ballot_node(acceptor->accepted) != tn__lease_self(turn->lease);
    if (other && tn__lease_acceptor_is_live(acceptor, turn->now)) {
        return acceptor->deadline - turn->now;
    }
    return 0;
}

static void acquire(struct tn__lease_turn *turn, const struct tn_request *request)
{
    struct tn__lease_table *table = tn__lease_table_at(turn->lease, request->table);
    uint32_t slot = find_slot(turn, request, true);
    struct tn__lease_contender *contender =
        slot == TN__SLOT_NONE ? NULL : tn__lease_table_contend(table, slot);
    if (contender == NULL) {
        refuse_full(turn, request);
        return;
    }
    tn_assert(contender->name == slot);
    contender->priority = request->priority;
    if (contender->wanted != 0) {
        return; /* already tried for or held: asking again changes nothing but the priority */
    }
    contender->wanted = 1;
    if (contender->place != TN__CONTENDER_NOWHERE && contender->place != TN__CONTENDER_WAITING) {
        return;
    }
    tn_time remaining = known_remaining(turn, table, slot);
    if (remaining == 0 && contender->priority == 0 && turn->now >= contender->stand_back_until) {
        tn__lease_table_place(table, contender, TN__CONTENDER_NOWHERE, 0);
        tn__lease_attempt_start(turn, request->table, contender);
        return;
    }
    if (remaining != 0) {
        struct tn_notice *notice = tn__lease_notify(turn, request->table, slot, TN_NOTICE_FAILED);
        const struct tn__lease_acceptor *acceptor = &tn__lease_table_name(table, slot)->acceptor;
        notice->reason = TN_REASON_HELD;
        notice->node = tn_ballot_node(acceptor->accepted);
        notice->ballot = acceptor->accepted;
        notice->remaining = remaining;
    }
    tn_time wait = remaining + tn__lease_back_off(turn, request->table, contender);
    tn__lease_attempt_wait(turn, request->table, contender, turn->now + wait);
}

/* Renew now, so that the next client's holding has a token of its own. */
static void reopen(struct tn__lease_turn *turn, const struct tn_request *request,
                   struct tn__lease_contender *contender)
{
    tn_assert(contender->wanted != 0);
    contender->proposer.reopen = 1;
    if (contender->place == TN__CONTENDER_RENEWING) {
        tn__lease_attempt_start(turn, request->table, contender);
    }
}

static void on_named_request(struct tn__lease_turn *turn, const struct tn_request *request)
{
    struct tn__lease_table *table = tn__lease_table_at(turn->lease, request->table);
    uint32_t slot = find_slot(turn, request, false);
    struct tn__lease_contender *contender =
        slot == TN__SLOT_NONE ? NULL
                              : tn__lease_table_contender(table, tn__lease_table_name(table, slot));
    if (contender == NULL) {
        return;
    }
    if (request->kind == TN_REQUEST_REOPEN) {
        reopen(turn, request, contender);
        return;
    }
    bool hand_over = request->kind == TN_REQUEST_HAND_OVER;
    tn__lease_give_up(turn, request->table, contender, hand_over ? request->successor : 0);
    if (request->kind == TN_REQUEST_DROP) {
        /* H2: who gave up does not start for two leases. */
        contender->stand_back_until = turn->now + 2 * table->options.proposer_ns;
        tn__lease_attempt_wait(turn, request->table, contender, turn->now);
        return;
    }
    tn_assert(contender->proposer.lease_deadline == 0);
    contender->wanted = 0;
    tn__lease_table_withdraw(table, contender);
}

/* The self-check found the clock suspended: leases of attempts begun until now count as lost. They
 * are told one by one by the timer; until then tn_lease_who() already says that they are not owned.
 */
static void forsake(struct tn__lease_turn *turn)
{
    for (uint32_t i = 0; i < turn->lease->tables_count; i++) {
        tn__lease_table_at(turn->lease, i)->forsaken = turn->now == 0 ? 1 : turn->now;
        tn__lease_endings_due(turn, i);
    }
}

void tn__lease_on_request(struct tn__lease_turn *turn, const struct tn_request *request)
{
    tn_assert(request != NULL);
    if (request_names_one(request)) {
        tn_assert(request->table < turn->lease->tables_count);
        tn_assert(request->name_bytes >= 1 && request->name_bytes <= TN_NAME_BYTES_MAX);
        tn_assert(request->priority <= PRIORITY_MAX);
    }
    switch ((enum tn_request_kind)request->kind) {
    case TN_REQUEST_ACQUIRE:
        acquire(turn, request);
        break;
    case TN_REQUEST_REOPEN:
    case TN_REQUEST_RELEASE:
    case TN_REQUEST_DROP:
    case TN_REQUEST_HAND_OVER:
        on_named_request(turn, request);
        break;
    case TN_REQUEST_FORSAKE:
        forsake(turn);
        break;
    case TN_REQUEST_LEAVE:
        tn__lease_on_leave(turn);
        break;
    case TN_REQUEST_JOIN:
        tn__lease_on_join(turn, request);
        break;
    }
}
