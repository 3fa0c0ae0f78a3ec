/* Between the files that make events happen to a small cluster. */
#ifndef TN_CHECK_EXPLORE_LEASE_STEP_H
#define TN_CHECK_EXPLORE_LEASE_STEP_H

#include "check/explore_lease_state.h"

/* The expansion of one state. */
struct tn__explore_step {
    const struct tn__explore_lease *lease;
    const struct tn__explore_cluster *from;
    tn__explore_emit *emit;
    void *sink;
};

void tn__explore_step_emit(const struct tn__explore_step *step,
                           const struct tn__explore_cluster *next, uint32_t event);

/* Record that a rule was broken on the way into this state; the first one stays. */
void tn__explore_flaw(struct tn__explore_cluster *cluster, enum tn__explore_flaw flaw);

/* Is the search to judge by this flaw? */
bool tn__explore_flaw_counts(const struct tn__explore_lease *lease, uint8_t flaw);

void tn__explore_broadcast(const struct tn__explore_lease *lease,
                           struct tn__explore_cluster *cluster, enum tn__explore_message kind,
                           uint32_t ballot);

/* inv.L9: an attempt that ended without an activation has changed nothing of what is held. */
void tn__explore_note_kept(struct tn__explore_cluster *cluster,
                           const struct tn__lease_proposer *before,
                           const struct tn__lease_proposer *after);

/* The largest ballot number that anything refers to. */
uint32_t tn__explore_top(const struct tn__explore_lease *lease,
                         const struct tn__explore_cluster *cluster);

/* F3 (explore_lease_membership.c): the events of a membership that changes. */
void tn__explore_leave_and_join(const struct tn__explore_step *step, uint32_t acceptor);
void tn__explore_proposer_joins(const struct tn__explore_lease *lease,
                                struct tn__explore_cluster *cluster, uint32_t proposer,
                                uint32_t version);

/* F3: may nodes open the version, now and ever after? */
bool tn__explore_is_open(const struct tn__explore_lease *lease,
                         const struct tn__explore_cluster *cluster, uint32_t version);

/* F3: does the acceptor answer this ballot? */
bool tn__explore_speaks_for(const struct tn__explore_lease *lease,
                            const struct tn__explore_cluster *cluster, uint32_t acceptor,
                            uint32_t ballot);

/* F3: an acceptor has answered this ballot: was it one to answer? */
void tn__explore_note_version(const struct tn__explore_lease *lease,
                              struct tn__explore_cluster *cluster, uint32_t acceptor,
                              uint32_t ballot);

/* N9: what is over; `named` are the ballots whose version matters. */
void tn__explore_normalise_requests(const struct tn__explore_lease *lease,
                                    struct tn__explore_cluster *cluster, uint32_t acceptor);
void tn__explore_normalise_versions(const struct tn__explore_lease *lease,
                                    struct tn__explore_cluster *cluster, uint32_t named);

/* Every outcome of the arrival of one message (explore_lease_deliver.c). */
void tn__explore_deliver(const struct tn__explore_step *step, uint32_t acceptor, uint32_t position);

/* FENCED: the events of an acceptor's disk, and the gate before its answers
 * (explore_lease_fence.c). */
void tn__explore_ceiling_events(const struct tn__explore_step *step, uint32_t acceptor);

/* F1: may this acceptor answer for a ballot? false: it is silent (F4). `held`: the answer waits. */
bool tn__explore_ceiling_gate(const struct tn__explore_lease *lease,
                              struct tn__explore_cluster *cluster, uint32_t acceptor,
                              uint32_t ballot, bool *held);

#endif
