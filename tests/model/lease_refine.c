/* The small model's side of the refinement: see lease_refine.h.
 *
 * The abstraction fills what the cells do not have (certificates, deadlines carried in messages)
 * with nothing: no rule of the model reads it. The relation asks for everything that a rule reads.
 * The model may have messages in flight that the cells have used up, never the other way round. */
#include "model/lease_refine.h"

#include <stdlib.h>
#include <string.h>

#include "model/lease_model.h"

#define STEPS_MAX 3

struct tn__refine {
    struct tn__lease_row row;
    struct tn__lease_model model;
};

struct tn__refine *tn__refine_open(const char *row)
{
    const struct tn__lease_row *found = tn__lease_row_find(row);
    struct tn__refine *refine = calloc(1, sizeof(*refine));
    if (refine == NULL || found == NULL) {
        free(refine);
        return NULL;
    }
    refine->row = *found;
    refine->row.features |= TN_LEASE_ABANDON;
    tn__lease_model_init(&refine->model, &refine->row, 0);
    return refine;
}

void tn__refine_close(struct tn__refine *refine)
{
    free(refine);
}

static struct tn__lease_message message_of(const struct tn__refine_message *message)
{
    static const enum tn__lease_kind kinds[] = {
        [TN_REFINE_PREPARE] = TN_LEASE_PREPARE,   [TN_REFINE_ACCEPT] = TN_LEASE_ACCEPT,
        [TN_REFINE_RELEASE] = TN_LEASE_RELEASED,  [TN_REFINE_PROMISE] = TN_LEASE_PROMISE,
        [TN_REFINE_ACCEPTED] = TN_LEASE_ACCEPTED,
    };
    bool accept = message->kind == TN_REFINE_ACCEPT;
    bool report = message->kind == TN_REFINE_PROMISE && message->reported != 0;
    return (struct tn__lease_message){
        .kind = kinds[message->kind],
        .proposer = message->proposer,
        .acceptor = message->acceptor,
        .ballot = message->ballot,
        .incarnation = accept ? message->incarnation : 0,
        .owner = (uint8_t)(report ? message->proposer + 1 : 0),
        .accepted_ballot = report ? message->reported : 0,
    };
}

static int compare_packed(const void *left, const void *right)
{
    tn__lease_packed a = *(const tn__lease_packed *)left;
    tn__lease_packed b = *(const tn__lease_packed *)right;
    return (a > b) - (a < b);
}

/* The abstraction function. */
static struct tn__lease_state abstract(const struct tn__refine_state *state)
{
    struct tn__lease_state model;
    memset(&model, 0, sizeof(model));
    model.now = state->now;
    model.used = state->used;
    for (uint32_t i = 0; i < TN_REFINE_ACCEPTORS; i++) {
        const struct tn__refine_acceptor *acceptor = &state->acceptors[i];
        model.crashed_acceptors |= (uint8_t)(acceptor->down << i);
        model.acceptors[i] = (struct tn__lease_acceptor){
            .promised = acceptor->promised,
            .owner = (uint8_t)(acceptor->ballot != 0 ? acceptor->owner + 1 : 0),
            .incarnation = acceptor->incarnation,
            .ballot = acceptor->ballot,
            .deadline = acceptor->deadline,
            .quarantine = acceptor->quarantine,
        };
    }
    for (uint32_t i = 0; i < TN_REFINE_PROPOSERS; i++) {
        const struct tn__refine_proposer *proposer = &state->proposers[i];
        model.crashed_proposers |= (uint8_t)(proposer->down << i);
        model.active |= (uint8_t)((proposer->active != 0) << i);
        model.proposers[i] = (struct tn__lease_proposer){
            .phase = proposer->phase,
            .ballot = proposer->last,
            .pending = proposer->pending,
            .open = proposer->open,
            .accepted = proposer->accepted,
            .deadline = proposer->deadline,
            .active_ballot = proposer->active,
            .incarnation = proposer->incarnation,
        };
    }
    model.messages_count = state->messages_count;
    for (uint32_t i = 0; i < state->messages_count; i++) {
        struct tn__lease_message message = message_of(&state->messages[i]);
        model.messages[i] = tn__lease_message_pack(&message);
    }
    qsort(model.messages, model.messages_count, sizeof(model.messages[0]), compare_packed);
    return model;
}

/* ---- The relation
 * -------------------------------------------------------------------------------- */

static bool same_acceptor(const struct tn__refine_acceptor *acceptor,
                          const struct tn__lease_state *model, uint32_t i)
{
    const struct tn__lease_acceptor *other = &model->acceptors[i];
    bool down = (model->crashed_acceptors >> i & 1) != 0;
    bool live = other->owner != 0 && model->now < other->deadline;
    uint8_t quarantine = other->quarantine > model->now && !down ? other->quarantine : 0;
    if (acceptor->down != down || acceptor->promised != other->promised ||
        acceptor->quarantine != quarantine || (acceptor->ballot != 0) != live) {
        return false;
    }
    return !live ||
           (acceptor->ballot == other->ballot && acceptor->owner + 1 == other->owner &&
            acceptor->incarnation == other->incarnation && acceptor->deadline == other->deadline);
}

static bool same_proposer(const struct tn__refine_proposer *proposer,
                          const struct tn__lease_state *model, uint32_t i)
{
    const struct tn__lease_proposer *other = &model->proposers[i];
    bool down = (model->crashed_proposers >> i & 1) != 0;
    bool active = (model->active >> i & 1) != 0;
    if (proposer->down != down || proposer->incarnation != other->incarnation ||
        proposer->phase != other->phase || (proposer->active != 0) != active ||
        (!down && proposer->last != other->ballot)) {
        return false;
    }
    if (active &&
        (proposer->active != other->active_ballot || proposer->deadline != other->deadline)) {
        return false;
    }
    return (proposer->phase == TN_LEASE_IDLE || proposer->pending == other->pending) &&
           (proposer->phase != TN_LEASE_PREPARING || proposer->open == other->open) &&
           (proposer->phase != TN_LEASE_ACCEPTING || proposer->accepted == other->accepted);
}

/* `asker` waits for the reply or does not: one that nobody waits for may report anything. */
static bool same_message(const struct tn__refine_message *message,
                         const struct tn__lease_message *other,
                         const struct tn__refine_proposer *asker)
{
    struct tn__lease_message wanted = message_of(message);
    if (wanted.kind != other->kind || wanted.proposer != other->proposer ||
        wanted.acceptor != other->acceptor || wanted.ballot != other->ballot) {
        return false;
    }
    if (wanted.kind == TN_LEASE_ACCEPT) {
        return wanted.incarnation == other->incarnation;
    }
    if (wanted.kind != TN_LEASE_PROMISE || message->reported != TN_REFINE_OTHER_BALLOT) {
        return wanted.owner == other->owner && wanted.accepted_ballot == other->accepted_ballot;
    }
    bool awaited = asker->phase == TN_LEASE_PREPARING && asker->last == message->ballot;
    return other->owner == wanted.owner &&
           (!awaited || asker->active == 0 || other->accepted_ballot != asker->active);
}

static bool has_message(const struct tn__lease_state *model,
                        const struct tn__refine_message *message,
                        const struct tn__refine_proposer *asker)
{
    for (uint32_t i = 0; i < model->messages_count; i++) {
        struct tn__lease_message other = tn__lease_message_unpack(model->messages[i]);
        if (same_message(message, &other, asker)) {
            return true;
        }
    }
    return false;
}

static bool related(const struct tn__refine *refine, const struct tn__refine_state *state,
                    const struct tn__lease_state *model)
{
    if (state->now != model->now || state->used != model->used) {
        return false;
    }
    for (uint32_t i = 0; i < refine->row.acceptors_count; i++) {
        if (!same_acceptor(&state->acceptors[i], model, i)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < refine->row.proposers_count; i++) {
        if (!same_proposer(&state->proposers[i], model, i)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < state->messages_count; i++) {
        const struct tn__refine_message *message = &state->messages[i];
        if (!has_message(model, message, &state->proposers[message->proposer])) {
            return false;
        }
    }
    return true;
}

/* ---- The steps
 * ----------------------------------------------------------------------------------- */

struct seek {
    const struct tn__refine *refine;
    const struct tn__refine_state *wanted;
    uint32_t steps; /* left */
    bool found;
};

static void seek_from(struct seek *seek, const struct tn__lease_state *model);

static void seek_emit(void *sink, const void *state, uint32_t event)
{
    struct seek *seek = sink;
    struct tn__lease_state model;
    (void)event;
    if (!seek->found) {
        memcpy(&model, state, sizeof(model));
        seek->steps--;
        seek_from(seek, &model);
        seek->steps++;
    }
}

static void seek_from(struct seek *seek, const struct tn__lease_state *model)
{
    const struct tn__explore_model *explore = &seek->refine->model.explore;
    if (seek->steps > 0) {
        explore->successors(explore->context, model, seek_emit, seek);
    } else {
        seek->found = related(seek->refine, seek->wanted, model);
    }
}

bool tn__refine_step(struct tn__refine *refine, const struct tn__refine_state *before,
                     const struct tn__refine_state *after)
{
    struct tn__lease_state model = abstract(before);
    struct seek seek = {.refine = refine, .wanted = after};
    for (uint32_t steps = 0; steps <= STEPS_MAX && !seek.found; steps++) {
        seek.steps = steps;
        seek_from(&seek, &model);
    }
    return seek.found;
}

enum tn__explore_verdict tn__refine_verdict(const char *row)
{
    const struct tn__lease_row *found = tn__lease_row_find(row);
    struct tn__lease_model model;
    struct tn__explore_options options = {.memory_bytes_max = 2ULL << 30};
    struct tn__explore_result result;
    if (found == NULL) {
        return TN_EXPLORE_BOUND;
    }
    bool reducible = tn__lease_model_reducible(found);
    tn__lease_model_init(&model, found,
                         reducible ? TN_LEASE_REDUCE_FORM | TN_LEASE_REDUCE_SYMMETRY : 0);
    tn__explore(&model.explore, &options, &result);
    enum tn__explore_verdict verdict = result.verdict;
    tn__explore_result_free(&result);
    return verdict;
}
