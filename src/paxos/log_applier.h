/* The applier: executes a group's committed entries, in slot order, one by one. Pure but for the
 * user's functions that it calls; runs off the voting thread in the node, in line in the simulator.
 *
 * For each entry: read the envelope; a once-only id that was executed before is not executed again,
 * its kept result is the answer (N4); else the machine of that id executes it, or nobody for id 0
 * and for kinds that no user's machine handles; an execution may ask for a retry, then the same
 * slot is given again and nothing after it before. An envelope of this very incarnation answers a
 * call of this node: `answered` is told.
 *
 * The once-only table is replicated state: it is a function of the committed prefix alone, so it is
 * evicted by slot (an id unused for `once_slots` slots) and never by clock; a client whose ids were
 * evicted is refused (its sequence is not 1 and it is unknown). Sequence 1 of an evicted client
 * cannot be told from a new client's: who does not know what became of it may repeat it only while
 * once_slots and once_max cannot have evicted it, and otherwise begins anew under another id.
 *
 * Invariants: slots come one after the other without a gap (P8); the table holds no client whose
 * last slot is more than once_slots below the last executed one. */
#ifndef TN_PAXOS_LOG_APPLIER_H
#define TN_PAXOS_LOG_APPLIER_H

#include <tenure/error.h>
#include <tenure/log.h>
#include <tenure/state_machine.h>

#include "paxos/log_envelope.h"

struct tn__log_applier; /* Opaque. */

enum tn__log_answer {
    TN__LOG_ANSWER_EXECUTED = 0, /* committed and executed; the result is the machine's */
    TN__LOG_ANSWER_REPEATED,     /* executed earlier under this once-only id; the kept result */
    TN__LOG_ANSWER_EVICTED,      /* N4: the id is too old to be known: not executed */
    TN__LOG_ANSWER_NO_MACHINE,   /* committed, but no machine of that id is registered here */
};

struct tn__log_applier_options {
    uint32_t group;
    tn_node_id node;
    uint16_t reserved;
    uint64_t restart_word;
    uint64_t applied;    /* where the machines' own durable state stands */
    uint64_t once_slots; /* N4: ids are kept for so many slots. [1,000,000] */
    uint32_t once_max;   /* clients known at once; the longest unused one goes first. [65,536] */
    uint32_t machines_count;
    const struct tn_state_machine *machines; /* copied */
    /* Called within tn__log_applier_execute() when a proposal of this incarnation is done. */
    void (*answered)(void *context, uint64_t number, uint64_t slot, enum tn__log_answer answer,
                     const void *result, size_t result_bytes);
    /* The caller's context of its proposal, or NULL if it does not wait any more. */
    void *(*context_of)(void *context, uint64_t number);
    void *context;
    void *(*allocate)(void *context, void *block, size_t bytes); /* as realloc; bytes 0 frees */
    void *allocate_context;
};

/* Errors: TN_ERROR_INVALID (machines with equal or reserved ids, no execute), TN_ERROR_NO_MEMORY.
 */
int tn__log_applier_new(struct tn__log_applier **applier,
                        const struct tn__log_applier_options *options);
void tn__log_applier_free(struct tn__log_applier *applier);

enum tn__log_applied {
    TN__LOG_APPLIED = 0,
    TN__LOG_APPLIED_RETRY,  /* ask again with the same entry later */
    TN__LOG_APPLIED_FAILED, /* no memory for the table or the result: ask again as well */
};

/* Execute the next entry; its slot must be the one after the last executed. `bytes`: the payload,
 * borrowed. A machine skips slots that its durable state covered at the start. */
enum tn__log_applied tn__log_applier_execute(struct tn__log_applier *applier,
                                             const struct tn_log_entry *entry, const void *bytes);

uint64_t tn__log_applier_slot(const struct tn__log_applier *applier);

/* Clients in the once-only table. */
uint32_t tn__log_applier_clients(const struct tn__log_applier *applier);

/* A digest of the once-only table: equal at equal slots on all members (P6). For tests. */
uint64_t tn__log_applier_digest(const struct tn__log_applier *applier);

#endif
