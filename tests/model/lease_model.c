/* The small lease model: see lease_model.h. One function an action of the specification; each
 * copies the state, changes the copy and emits it.
 *
 * Kept although no decision reads them, because the published counts include them: the deadlines
 * that answers reported, the certificate, and the fields of a phase that is over. */
#include "model/lease_model.h"

#include <string.h>

#include "base/assert.h"

/* What an action needs to know. */
struct step {
    const struct tn__lease_row *row;
    const struct tn__lease_state *from;
    tn__explore_emit *emit;
    void *sink;
};

static bool has(uint8_t features, unsigned feature)
{
    return (features & feature) != 0;
}

static uint8_t bit(uint32_t index)
{
    return (uint8_t)(1U << index);
}

static void emit_state(const struct step *step, const struct tn__lease_state *next,
                       enum tn__lease_event event, uint32_t value)
{
    step->emit(step->sink, next, tn__lease_event_number(event, value));
}

/* ---- messages ---- */

/* A promise has the top bit, so it sorts last; the others share a shorter layout. */
tn__lease_packed tn__lease_message_pack(const struct tn__lease_message *message)
{
    uint32_t packed;
    if (message->kind == TN_LEASE_PROMISE) {
        packed = 1U << 15 | (uint32_t)message->proposer << 14 | (uint32_t)message->acceptor << 12 |
                 (uint32_t)message->ballot << 9 | (uint32_t)message->owner << 7 |
                 (uint32_t)message->accepted_ballot << 4 | message->deadline;
    } else {
        uint32_t last = message->kind == TN_LEASE_ACCEPT ? message->incarnation : message->deadline;
        packed = (uint32_t)message->kind << 13 | (uint32_t)message->proposer << 12 |
                 (uint32_t)message->acceptor << 10 | (uint32_t)message->ballot << 7 | last;
    }
    return (tn__lease_packed)packed;
}

struct tn__lease_message tn__lease_message_unpack(tn__lease_packed packed)
{
    struct tn__lease_message message;
    memset(&message, 0, sizeof(message));
    if ((packed & 1U << 15) != 0) {
        message.kind = TN_LEASE_PROMISE;
        message.proposer = (uint8_t)(packed >> 14 & 1);
        message.acceptor = (uint8_t)(packed >> 12 & 3);
        message.ballot = (uint8_t)(packed >> 9 & 7);
        message.owner = (uint8_t)(packed >> 7 & 3);
        message.accepted_ballot = (uint8_t)(packed >> 4 & 7);
        message.deadline = (uint8_t)(packed & 15);
        return message;
    }
    message.kind = (enum tn__lease_kind)(packed >> 13 & 3);
    message.proposer = (uint8_t)(packed >> 12 & 1);
    message.acceptor = (uint8_t)(packed >> 10 & 3);
    message.ballot = (uint8_t)(packed >> 7 & 7);
    if (message.kind == TN_LEASE_ACCEPT) {
        message.incarnation = (uint8_t)(packed & 15);
    } else {
        message.deadline = (uint8_t)(packed & 15);
    }
    return message;
}

tn__lease_packed tn__lease_message_rename(tn__lease_packed packed, const uint8_t *proposers,
                                          const uint8_t *acceptors)
{
    uint32_t bits = packed;
    if ((bits & 1U << 15) == 0) {
        return (tn__lease_packed)((bits & ~(7U << 10)) | (uint32_t)proposers[bits >> 12 & 1] << 12 |
                                  (uint32_t)acceptors[bits >> 10 & 3] << 10);
    }
    uint32_t owner = bits >> 7 & 3;
    owner = owner == 0 ? 0 : proposers[owner - 1] + 1U;
    return (tn__lease_packed)((bits & ~(7U << 12 | 3U << 7)) |
                              (uint32_t)proposers[bits >> 14 & 1] << 14 |
                              (uint32_t)acceptors[bits >> 12 & 3] << 12 | owner << 7);
}

/* The network is a set: what is under way already is not sent twice. */
static void send(struct tn__lease_state *state, const struct tn__lease_message *message)
{
    tn__lease_packed packed = tn__lease_message_pack(message);
    uint32_t place = state->messages_count;
    while (place > 0 && state->messages[place - 1] >= packed) {
        place--;
    }
    if (place < state->messages_count && state->messages[place] == packed) {
        return;
    }
    tn_assert(state->messages_count < TN_LEASE_MODEL_MESSAGES_MAX);
    for (uint32_t i = state->messages_count; i > place; i--) {
        state->messages[i] = state->messages[i - 1];
    }
    state->messages[place] = packed;
    state->messages_count++;
}

static void take_out(struct tn__lease_state *state, uint32_t place)
{
    tn_assert(place < state->messages_count);
    state->messages_count--;
    for (uint32_t i = place; i < state->messages_count; i++) {
        state->messages[i] = state->messages[i + 1];
    }
    state->messages[state->messages_count] = 0;
}

static void send_to_all(const struct step *step, struct tn__lease_state *next,
                        struct tn__lease_message message)
{
    for (uint8_t a = 0; a < step->row->acceptors_count; a++) {
        message.acceptor = a;
        send(next, &message);
    }
}

/* With PURGE: what is under way to a process goes down with it. */
static void purge(const struct step *step, struct tn__lease_state *next, bool to_proposer,
                  uint32_t index)
{
    if (!has(step->row->features, TN_LEASE_PURGE)) {
        return;
    }
    for (uint32_t i = next->messages_count; i-- > 0;) {
        struct tn__lease_message message = tn__lease_message_unpack(next->messages[i]);
        bool answer = message.kind == TN_LEASE_PROMISE || message.kind == TN_LEASE_ACCEPTED;
        if (answer == to_proposer && (answer ? message.proposer : message.acceptor) == index) {
            take_out(next, i);
        }
    }
}

/* ---- quorums ---- */

static bool is_quorum(const struct tn__lease_row *row, uint8_t answers)
{
    uint32_t count = has(row->weaknesses, TN_LEASE_COUNT_MESSAGES)
                         ? answers
                         : (uint32_t)__builtin_popcount(answers);
    return count * 2 > row->acceptors_count;
}

static uint8_t with_answer(const struct tn__lease_row *row, uint8_t answers, uint32_t acceptor)
{
    if (has(row->weaknesses, TN_LEASE_COUNT_MESSAGES)) {
        return (uint8_t)(answers < row->acceptors_count ? answers + 1 : answers);
    }
    return answers | bit(acceptor);
}

/* ---- proposers ---- */

static bool timer_at_accept(const struct tn__lease_row *row)
{
    return has(row->weaknesses, TN_LEASE_LATE_TIMER | TN_LEASE_SHIPPED);
}

static void start(const struct step *step, uint32_t p) /* P1 */
{
    const struct tn__lease_row *row = step->row;
    const struct tn__lease_proposer *before = &step->from->proposers[p];
    if (before->phase != TN_LEASE_IDLE ||
        ((step->from->active & bit(p)) != 0 && !has(row->features, TN_LEASE_RENEW))) {
        return;
    }
    for (uint8_t ballot = 1; ballot <= row->ballots_count; ballot++) {
        if (ballot <= before->ballot || (step->from->used & bit(ballot)) != 0) {
            continue;
        }
        struct tn__lease_state next = *step->from;
        struct tn__lease_proposer *proposer = &next.proposers[p];
        next.used |= bit(ballot);
        proposer->ballot = ballot;
        proposer->phase = TN_LEASE_PREPARING;
        proposer->open = 0;
        proposer->accepted = 0;
        if (!timer_at_accept(row)) {
            proposer->pending = (uint8_t)(next.now + row->proposer_ticks);
        }
        if (has(row->weaknesses, TN_LEASE_SHIPPED)) {
            proposer->retry = (uint8_t)(next.now + row->retry_ticks);
        }
        struct tn__lease_message prepare = {
            .kind = TN_LEASE_PREPARE, .proposer = (uint8_t)p, .ballot = ballot};
        send_to_all(step, &next, prepare);
        emit_state(step, &next, TN_LEASE_EVENT_START, p << 8 | ballot);
    }
}

static void send_accept(const struct step *step, uint32_t p) /* P3 */
{
    const struct tn__lease_row *row = step->row;
    const struct tn__lease_proposer *before = &step->from->proposers[p];
    if (before->phase != TN_LEASE_PREPARING || !is_quorum(row, before->open) ||
        (!timer_at_accept(row) && step->from->now >= before->pending)) {
        return;
    }
    struct tn__lease_state next = *step->from;
    struct tn__lease_proposer *proposer = &next.proposers[p];
    proposer->phase = TN_LEASE_ACCEPTING;
    proposer->accepted = 0;
    if (timer_at_accept(row)) {
        proposer->pending = (uint8_t)(next.now + row->proposer_ticks);
    }
    struct tn__lease_message accept = {.kind = TN_LEASE_ACCEPT,
                                       .proposer = (uint8_t)p,
                                       .ballot = proposer->ballot,
                                       .incarnation = proposer->incarnation};
    send_to_all(step, &next, accept);
    emit_state(step, &next, TN_LEASE_EVENT_SEND_ACCEPT, p << 8);
}

static void abandon(const struct step *step, uint32_t p) /* P5 */
{
    const struct tn__lease_proposer *before = &step->from->proposers[p];
    bool due =
        has(step->row->weaknesses, TN_LEASE_LATE_DISPATCH) && step->from->now >= before->retry;
    if (before->phase == TN_LEASE_IDLE || !(due || has(step->row->features, TN_LEASE_ABANDON))) {
        return;
    }
    struct tn__lease_state next = *step->from;
    next.proposers[p].phase = TN_LEASE_IDLE;
    emit_state(step, &next, TN_LEASE_EVENT_ABANDON, p << 8);
}

static void release(const struct step *step, uint32_t p) /* P6 */
{
    if (!has(step->row->features, TN_LEASE_RELEASE) || (step->from->active & bit(p)) == 0) {
        return;
    }
    struct tn__lease_state next = *step->from;
    next.active &= (uint8_t)~bit(p);
    struct tn__lease_message released = {.kind = TN_LEASE_RELEASED,
                                         .proposer = (uint8_t)p,
                                         .ballot = next.proposers[p].active_ballot};
    send_to_all(step, &next, released);
    emit_state(step, &next, TN_LEASE_EVENT_RELEASE, p << 8);
}

/* P2: is the answer open to the proposer that asked? */
static bool promise_is_open(const struct tn__lease_row *row, const struct tn__lease_state *state,
                            const struct tn__lease_message *promise)
{
    const struct tn__lease_proposer *proposer = &state->proposers[promise->proposer];
    if (promise->owner == 0) {
        return true;
    }
    if (promise->owner != promise->proposer + 1) {
        return false;
    }
    return has(row->weaknesses, TN_LEASE_OWN_OPEN | TN_LEASE_SHIPPED) ||
           ((state->active & bit(promise->proposer)) != 0 &&
            promise->accepted_ballot == proposer->active_ballot);
}

static bool deliver_promise(const struct step *step, const struct tn__lease_message *promise,
                            struct tn__lease_state *next)
{
    struct tn__lease_proposer *proposer = &next->proposers[promise->proposer];
    if ((next->crashed_proposers & bit(promise->proposer)) != 0 ||
        promise->ballot != proposer->ballot) {
        return false;
    }
    if (promise_is_open(step->row, step->from, promise)) {
        proposer->open = with_answer(step->row, proposer->open, promise->acceptor);
    }
    return true;
}

static bool deliver_accepted(const struct step *step, const struct tn__lease_message *accepted,
                             struct tn__lease_state *next) /* P4 */
{
    const struct tn__lease_row *row = step->row;
    struct tn__lease_proposer *proposer = &next->proposers[accepted->proposer];
    if ((next->crashed_proposers & bit(accepted->proposer)) != 0 ||
        accepted->ballot != proposer->ballot || proposer->phase != TN_LEASE_ACCEPTING) {
        return false;
    }
    proposer->accepted = with_answer(row, proposer->accepted, accepted->acceptor);
    proposer->certificate_deadline[accepted->acceptor] = accepted->deadline;
    if (!is_quorum(row, proposer->accepted)) {
        return true;
    }
    proposer->phase = TN_LEASE_IDLE;
    if (next->now < proposer->pending) {
        next->active |= bit(accepted->proposer);
        proposer->active_ballot = accepted->ballot;
        proposer->deadline = proposer->pending;
        if (!has(row->weaknesses, TN_LEASE_COUNT_MESSAGES)) {
            proposer->certificate = proposer->accepted;
        }
    }
    return true;
}

static void crash_proposer(const struct step *step, uint32_t p)
{
    struct tn__lease_state next = *step->from;
    next.crashed_proposers |= bit(p);
    next.active &= (uint8_t)~bit(p);
    next.proposers[p].phase = TN_LEASE_IDLE;
    if (!has(step->row->weaknesses, TN_LEASE_SHIPPED)) {
        purge(step, &next, true, p);
    }
    emit_state(step, &next, TN_LEASE_EVENT_CRASH_PROPOSER, p << 8);
}

static void restart_proposer(const struct step *step, uint32_t p)
{
    struct tn__lease_state next = *step->from;
    next.crashed_proposers &= (uint8_t)~bit(p);
    if (!has(step->row->weaknesses, TN_LEASE_SHIPPED)) {
        if (next.proposers[p].incarnation > 0) {
            return; /* one restart a proposer */
        }
        next.proposers[p].incarnation = 1;
        next.proposers[p].ballot = 0;
        purge(step, &next, true, p);
    }
    emit_state(step, &next, TN_LEASE_EVENT_RESTART_PROPOSER, p << 8);
}

/* ---- acceptors ---- */

static bool lease_is_live(const struct tn__lease_state *state, uint32_t a)
{
    return state->acceptors[a].owner != 0 && state->now < state->acceptors[a].deadline;
}

static bool can_participate(const struct tn__lease_state *state, uint32_t a) /* A4 */
{
    return (state->crashed_acceptors & bit(a)) == 0 && state->now >= state->acceptors[a].quarantine;
}

static void lease_clear(struct tn__lease_acceptor *acceptor)
{
    acceptor->owner = 0;
    acceptor->incarnation = 0;
    acceptor->ballot = 0;
    acceptor->deadline = 0;
}

static bool deliver_prepare(const struct tn__lease_message *prepare,
                            struct tn__lease_state *next) /* A1 */
{
    struct tn__lease_acceptor *acceptor = &next->acceptors[prepare->acceptor];
    if (!can_participate(next, prepare->acceptor)) {
        return false;
    }
    if (prepare->ballot < acceptor->promised) {
        return true;
    }
    acceptor->promised = prepare->ballot;
    struct tn__lease_message promise = *prepare;
    promise.kind = TN_LEASE_PROMISE;
    if (lease_is_live(next, prepare->acceptor)) {
        promise.owner = acceptor->owner;
        promise.accepted_ballot = acceptor->ballot;
        promise.deadline = acceptor->deadline;
    }
    send(next, &promise);
    return true;
}

static bool deliver_accept(const struct step *step, const struct tn__lease_message *accept,
                           struct tn__lease_state *next) /* A2 */
{
    const struct tn__lease_row *row = step->row;
    struct tn__lease_acceptor *acceptor = &next->acceptors[accept->acceptor];
    if (!can_participate(next, accept->acceptor)) {
        return false;
    }
    bool same_owner =
        acceptor->owner == accept->proposer + 1 && (has(row->weaknesses, TN_LEASE_OWNER_BY_NODE) ||
                                                    acceptor->incarnation == accept->incarnation);
    bool overwrite = has(row->weaknesses, TN_LEASE_OVERWRITE | TN_LEASE_SHIPPED);
    if (accept->ballot < acceptor->promised ||
        (lease_is_live(next, accept->acceptor) && !same_owner && !overwrite)) {
        return true;
    }
    acceptor->promised = accept->ballot;
    acceptor->owner = (uint8_t)(accept->proposer + 1);
    acceptor->incarnation = accept->incarnation;
    acceptor->ballot = accept->ballot;
    acceptor->deadline = (uint8_t)(next->now + row->acceptor_ticks);
    struct tn__lease_message accepted = *accept;
    accepted.kind = TN_LEASE_ACCEPTED;
    accepted.deadline = acceptor->deadline;
    send(next, &accepted);
    return true;
}

static bool deliver_release(const struct step *step, const struct tn__lease_message *released,
                            struct tn__lease_state *next) /* A3 */
{
    struct tn__lease_acceptor *acceptor = &next->acceptors[released->acceptor];
    if (!can_participate(next, released->acceptor)) {
        return false;
    }
    if (acceptor->owner == released->proposer + 1 &&
        (acceptor->ballot == released->ballot ||
         has(step->row->weaknesses, TN_LEASE_RELEASE_BY_OWNER))) {
        lease_clear(acceptor);
    }
    return true;
}

static void crash_acceptor(const struct step *step, uint32_t a)
{
    struct tn__lease_state next = *step->from;
    next.crashed_acceptors |= bit(a);
    next.acceptors[a].promised = 0;
    lease_clear(&next.acceptors[a]);
    purge(step, &next, false, a);
    emit_state(step, &next, TN_LEASE_EVENT_CRASH_ACCEPTOR, a << 8);
}

static void restart_acceptor(const struct step *step, uint32_t a) /* A4 */
{
    struct tn__lease_state next = *step->from;
    next.crashed_acceptors &= (uint8_t)~bit(a);
    next.acceptors[a].quarantine = (uint8_t)(next.now + step->row->quarantine_ticks);
    purge(step, &next, false, a);
    emit_state(step, &next, TN_LEASE_EVENT_RESTART_ACCEPTOR, a << 8);
}

/* ---- the network, time, and the whole ---- */

static void deliver(const struct step *step, uint32_t place)
{
    tn__lease_packed packed = step->from->messages[place];
    struct tn__lease_message message = tn__lease_message_unpack(packed);
    for (int keep = 0; keep <= (has(step->row->features, TN_LEASE_REDELIVER) ? 1 : 0); keep++) {
        struct tn__lease_state next = *step->from;
        if (keep == 0) {
            take_out(&next, place);
        }
        bool delivered = false;
        switch (message.kind) {
        case TN_LEASE_PREPARE:
            delivered = deliver_prepare(&message, &next);
            break;
        case TN_LEASE_ACCEPT:
            delivered = deliver_accept(step, &message, &next);
            break;
        case TN_LEASE_ACCEPTED:
            delivered = deliver_accepted(step, &message, &next);
            break;
        case TN_LEASE_RELEASED:
            delivered = deliver_release(step, &message, &next);
            break;
        case TN_LEASE_PROMISE:
            delivered = deliver_promise(step, &message, &next);
            break;
        }
        if (delivered) {
            emit_state(step, &next,
                       keep == 0 ? TN_LEASE_EVENT_DELIVER : TN_LEASE_EVENT_DELIVER_KEEP, packed);
        }
    }
}

static void lose(const struct step *step, uint32_t place)
{
    struct tn__lease_state next = *step->from;
    take_out(&next, place);
    emit_state(step, &next, TN_LEASE_EVENT_LOSE, step->from->messages[place]);
}

static void tick(const struct step *step)
{
    const struct tn__lease_row *row = step->row;
    if (step->from->now == row->time_max) {
        emit_state(step, step->from, TN_LEASE_EVENT_END, 0);
        return;
    }
    struct tn__lease_state next = *step->from;
    next.now++;
    for (uint32_t p = 0; p < row->proposers_count; p++) {
        struct tn__lease_proposer *proposer = &next.proposers[p];
        if (next.now >= proposer->deadline) {
            next.active &= (uint8_t)~bit(p);
        }
        if (has(row->weaknesses, TN_LEASE_SHIPPED) &&
            !has(row->weaknesses, TN_LEASE_LATE_DISPATCH) && next.now >= proposer->retry) {
            proposer->phase = TN_LEASE_IDLE;
        }
    }
    emit_state(step, &next, TN_LEASE_EVENT_TICK, 0);
}

static void model_successors(void *context, const void *state, tn__explore_emit *emit, void *sink)
{
    const struct tn__lease_model *model = context;
    const struct tn__lease_row *row = model->row;
    const struct tn__lease_state *from = state;
    struct step step = {.row = row, .from = from, .emit = emit, .sink = sink};
    bool crash = has(row->features, TN_LEASE_CRASH);
    for (uint32_t place = 0; place < from->messages_count; place++) {
        deliver(&step, place);
        if (has(row->features, TN_LEASE_DROP)) {
            lose(&step, place);
        }
    }
    for (uint32_t p = 0; p < row->proposers_count; p++) {
        if ((from->crashed_proposers & bit(p)) != 0) {
            restart_proposer(&step, p);
            continue;
        }
        start(&step, p);
        send_accept(&step, p);
        abandon(&step, p);
        release(&step, p);
        if (crash) {
            crash_proposer(&step, p);
        }
    }
    for (uint32_t a = 0; crash && a < row->acceptors_count; a++) {
        if ((from->crashed_acceptors & bit(a)) != 0) {
            restart_acceptor(&step, a);
        } else {
            crash_acceptor(&step, a);
        }
    }
    tick(&step);
}

static void model_initial(void *context, tn__explore_emit *emit, void *sink)
{
    (void)context;
    struct tn__lease_state first;
    memset(&first, 0, sizeof(first));
    emit(sink, &first, tn__lease_event_number(TN_LEASE_EVENT_BEGIN, 0));
}

static void model_canonicalise(void *context, void *state)
{
    const struct tn__lease_model *model = context;
    if ((model->reductions & TN_LEASE_REDUCE_FORM) != 0) {
        tn__lease_state_normalise(model->row, state);
    }
    if ((model->reductions & TN_LEASE_REDUCE_SYMMETRY) != 0) {
        tn__lease_state_least_image(model->row, state);
    }
}

static uint64_t model_weight(void *context, const void *state)
{
    const struct tn__lease_model *model = context;
    return tn__lease_state_images(model->row, state);
}

void tn__lease_model_init(struct tn__lease_model *model, const struct tn__lease_row *row,
                          unsigned reductions)
{
    tn_assert(row->proposers_count <= TN_LEASE_MODEL_PROPOSERS_MAX);
    tn_assert(row->acceptors_count <= TN_LEASE_MODEL_ACCEPTORS_MAX);
    tn_assert(row->messages_max + row->acceptors_count <= TN_LEASE_MODEL_MESSAGES_MAX);
    tn_assert(reductions == 0 || tn__lease_model_reducible(row));
    memset(model, 0, sizeof(*model));
    model->row = row;
    model->reductions = reductions;
    model->explore = (struct tn__explore_model){
        .name = row->name,
        .context = model,
        .state_bytes = sizeof(struct tn__lease_state),
        .initial = model_initial,
        .successors = model_successors,
        .canonicalise = reductions != 0 ? model_canonicalise : NULL,
        .constraint = tn__lease_state_inside,
        .check = tn__lease_state_check,
        .weight = (reductions & TN_LEASE_REDUCE_SYMMETRY) != 0 ? model_weight : NULL,
        .print_state = tn__lease_state_print,
        .print_event = tn__lease_event_print,
    };
}
