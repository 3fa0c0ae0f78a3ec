/* The applier; the header tells the theory.
 *
 * Order of an execution: what may fail for want of memory comes before the machine is called, and
 * nothing after it can fail. So a slot that is given again was never executed before. */
#include "paxos/log_applier.h"

#include <string.h>

#include "base/assert.h"
#include "paxos/log_once.h"

#define REPLY_CAPACITY_MIN 64U

struct tn__log_applier {
    struct tn__log_applier_options options;
    struct tn_state_machine machines[TN_MACHINES_MAX];
    uint64_t covered[TN_MACHINES_MAX]; /* by each machine's durable state, at the start */
    uint64_t slot;                     /* the last executed */
    uint32_t retries;                  /* of the next one */
    uint32_t reserved;
    struct tn__once once;
    struct tn__once_result reply; /* of the execution under way */
};

/* ---- Life ------------------------------------------------------------------------------------ */

static bool machines_are_valid(const struct tn__log_applier_options *options)
{
    if (options->machines_count > TN_MACHINES_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < options->machines_count; i++) {
        const struct tn_state_machine *machine = &options->machines[i];
        if (machine->id == TN_MACHINE_NONE || machine->id >= TN_MACHINE_RESERVED_MIN ||
            machine->execute == NULL) {
            return false;
        }
        for (uint32_t j = 0; j < i; j++) {
            if (options->machines[j].id == machine->id) {
                return false;
            }
        }
    }
    return true;
}

/* K1: where each machine's own state stands. False: one would miss the slots between its state and
 * what it will be given (P8). */
static bool ask_covered(struct tn__log_applier *applier)
{
    const struct tn__log_applier_options *options = &applier->options;
    for (uint32_t i = 0; i < options->machines_count; i++) {
        const struct tn_state_machine *machine = &applier->machines[i];
        applier->covered[i] =
            machine->covered != NULL ? machine->covered(machine->data, options->group) : 0;
        if (applier->covered[i] < options->applied) {
            return false;
        }
    }
    return true;
}

int tn__log_applier_new(struct tn__log_applier **applier,
                        const struct tn__log_applier_options *options)
{
    *applier = NULL;
    if (!machines_are_valid(options)) {
        return TN_ERROR_INVALID;
    }
    tn_assert(options->allocate != NULL && options->answered != NULL);
    tn_assert(options->context_of != NULL && options->node != 0);
    struct tn__log_applier *made =
        options->allocate(options->allocate_context, NULL, sizeof(*made));
    if (made == NULL) {
        return TN_ERROR_NO_MEMORY;
    }
    *made = (struct tn__log_applier){.options = *options, .slot = options->applied};
    if (options->machines_count > 0) {
        memcpy(made->machines, options->machines,
               options->machines_count * sizeof(options->machines[0]));
    }
    made->options.machines = made->machines;
    if (made->options.once_slots == 0) {
        made->options.once_slots = 1000000;
    }
    if (made->options.once_max == 0) {
        made->options.once_max = 65536;
    }
    tn__once_init(&made->once, made->options.once_slots, made->options.once_max, options->allocate,
                  options->allocate_context);
    tn__once_advance(&made->once, made->slot);
    if (!ask_covered(made)) {
        tn__log_applier_free(made);
        return TN_ERROR_INVALID;
    }
    *applier = made;
    return TN_OK;
}

void tn__log_applier_free(struct tn__log_applier *applier)
{
    if (applier == NULL) {
        return;
    }
    tn__once_free(&applier->once);
    if (applier->reply.bytes != NULL) {
        applier->options.allocate(applier->options.allocate_context, applier->reply.bytes, 0);
    }
    applier->options.allocate(applier->options.allocate_context, applier, 0);
}

/* ---- Results --------------------------------------------------------------------------------- */

static bool reply_has_room(struct tn__log_applier *applier, uint32_t count)
{
    struct tn__once_result *reply = &applier->reply;
    tn_assert(count <= TN_RESULT_BYTES_MAX);
    if (count <= reply->capacity) {
        return true;
    }
    uint32_t capacity = count < REPLY_CAPACITY_MIN ? REPLY_CAPACITY_MIN : count;
    uint8_t *bytes =
        applier->options.allocate(applier->options.allocate_context, reply->bytes, capacity);
    if (bytes == NULL) {
        return false;
    }
    reply->bytes = bytes;
    reply->capacity = capacity;
    return true;
}

int tn_execution_reply(const struct tn_execution *execution, const void *bytes, size_t count)
{
    struct tn__log_applier *applier = execution->reply_to;
    tn_assert(applier != NULL);
    tn_assert(execution->slot == applier->slot + 1);
    if (count > TN_RESULT_BYTES_MAX) {
        return TN_ERROR_TOO_LARGE;
    }
    if (!reply_has_room(applier, (uint32_t)count)) {
        return TN_ERROR_NO_MEMORY;
    }
    if (count > 0) {
        memcpy(applier->reply.bytes, bytes, count);
    }
    applier->reply.count = (uint32_t)count;
    return TN_OK;
}

/* ---- Executing ------------------------------------------------------------------------------- */

/* A committed payload, understood. */
struct call {
    struct tn__log_envelope envelope;
    uint64_t slot;
    const uint8_t *bytes; /* of the value */
    size_t bytes_count;
    bool own; /* proposed by this very incarnation */
};

static void tell(struct tn__log_applier *applier, const struct call *call,
                 enum tn__log_answer answer, const void *result, uint32_t result_bytes)
{
    if (call->own) {
        applier->options.answered(applier->options.context, call->envelope.number, call->slot,
                                  answer, result_bytes > 0 ? result : NULL, result_bytes);
    }
}

/* The machine of the envelope's id, by its place; machines_count: there is none. */
static uint32_t find_machine(const struct tn__log_applier *applier, uint32_t id)
{
    uint32_t place = 0;
    while (place < applier->options.machines_count && applier->machines[place].id != id) {
        place++;
    }
    return place;
}

/* False: the machine asks for a retry. */
static bool run_machine(struct tn__log_applier *applier, const struct call *call, uint32_t place)
{
    tn_assert(place < applier->options.machines_count);
    if (call->slot <= applier->covered[place]) {
        return true;
    }
    const struct tn_state_machine *machine = &applier->machines[place];
    struct tn_execution execution = {
        .group = applier->options.group,
        .machine = machine->id,
        .slot = call->slot,
        .bytes = call->bytes,
        .bytes_count = call->bytes_count,
        .retries = applier->retries,
        .proposed_here = call->own ? 1 : 0,
        .reply_to = applier,
    };
    if (call->own) {
        execution.context =
            applier->options.context_of(applier->options.context, call->envelope.number);
    }
    int result = machine->execute(machine->data, &execution);
    if (result == TN_EXECUTE_RETRY) {
        applier->retries++;
        return false;
    }
    return true;
}

static enum tn__log_applied execute_new(struct tn__log_applier *applier, const struct call *call)
{
    bool once = (call->envelope.flags & TN_ENVELOPE_ONCE) != 0;
    if (once && !tn__once_reserve(&applier->once)) {
        return TN__LOG_APPLIED_FAILED;
    }
    enum tn__log_answer answer = TN__LOG_ANSWER_EXECUTED;
    applier->reply.count = 0;
    if (call->envelope.machine != TN_MACHINE_NONE) {
        uint32_t place = find_machine(applier, call->envelope.machine);
        if (place == applier->options.machines_count) {
            answer = TN__LOG_ANSWER_NO_MACHINE;
        } else if (!run_machine(applier, call, place)) {
            return TN__LOG_APPLIED_RETRY;
        }
    }
    tell(applier, call, answer, applier->reply.bytes, applier->reply.count);
    if (once) {
        tn__once_keep(&applier->once, call->envelope.client, call->envelope.sequence,
                      &applier->reply);
    }
    return TN__LOG_APPLIED;
}

static enum tn__log_applied execute_payload(struct tn__log_applier *applier,
                                            const struct call *call)
{
    if ((call->envelope.flags & TN_ENVELOPE_ONCE) != 0) {
        /* N4: the same id has its effect once. */
        const struct tn__once_result *kept = NULL;
        switch (
            tn__once_look(&applier->once, call->envelope.client, call->envelope.sequence, &kept)) {
        case TN__ONCE_REPEATED:
            tell(applier, call, TN__LOG_ANSWER_REPEATED, kept->bytes, kept->count);
            return TN__LOG_APPLIED;
        case TN__ONCE_EVICTED:
            tell(applier, call, TN__LOG_ANSWER_EVICTED, NULL, 0);
            return TN__LOG_APPLIED;
        case TN__ONCE_NEW:
            break;
        }
    }
    return execute_new(applier, call);
}

enum tn__log_applied tn__log_applier_execute(struct tn__log_applier *applier,
                                             const struct tn_log_entry *entry, const void *bytes)
{
    tn_assert(entry->slot == applier->slot + 1); /* P8: no gap, nothing twice */
    tn_assert(entry->value.kind != TN_LOG_VALUE_NONE);
    tn__once_advance(&applier->once, entry->slot);
    struct call call = {.slot = entry->slot};
    /* Bytes that are no envelope were committed by somebody all the same: executed by nobody. */
    if (entry->value.kind == TN_LOG_VALUE_PAYLOAD &&
        tn__log_envelope_read(&call.envelope, bytes, entry->value.bytes)) {
        call.bytes = (const uint8_t *)bytes + TN_ENVELOPE_BYTES;
        call.bytes_count = entry->value.bytes - TN_ENVELOPE_BYTES;
        call.own = call.envelope.node == applier->options.node &&
                   call.envelope.restart_word == applier->options.restart_word;
        enum tn__log_applied applied = execute_payload(applier, &call);
        if (applied != TN__LOG_APPLIED) {
            return applied;
        }
    }
    applier->slot = entry->slot;
    applier->retries = 0;
    return TN__LOG_APPLIED;
}

/* ---- Looking --------------------------------------------------------------------------------- */

uint64_t tn__log_applier_slot(const struct tn__log_applier *applier)
{
    return applier->slot;
}

uint32_t tn__log_applier_clients(const struct tn__log_applier *applier)
{
    tn_assert(applier->once.count <= applier->once.clients_max);
    return applier->once.count;
}

uint64_t tn__log_applier_digest(const struct tn__log_applier *applier)
{
    tn__once_check(&applier->once);
    return tn__once_digest(&applier->once);
}
