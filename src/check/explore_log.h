/* The cells of the log as a model for the explorer: small clusters of the very code that production
 * runs (src/paxos/log_acceptor.c, log_proposer.c, log_learner.c, log_configuration.c).
 *
 * A state (explore_log_state.h) is a hundred bytes: of each node the acceptor, how far it has
 * committed, what of it is durable; of each proposer its attempt; the messages. A transition
 * unpacks the cells of one node, calls their functions and packs them again. Around the cells
 * stands what a node does: answers that wait for their write, the leader's own accept, stepping
 * down, C1, C2, crashes.
 *
 * The network. A message that was sent stays for ever: so it may be delivered at any time, any
 * number of times, in any order, or never. That is loss, duplication, delay and reordering at once
 * and without a bound on messages in flight. What is merged:
 *  - Votes are counted when the leader asks whether a slot is chosen, and each is delivered twice
 *    then. Counting them earlier reaches nothing more: being chosen is monotone in them, and
 *    nothing else reads them.
 *  - Of the promises of one acceptor to one attempt the network holds one, and a later answer to
 *    the same attempt takes its place. Until then the old one may be delivered. Two answers differ
 *    only in what the acceptor learned, or accepted from that attempt itself, in between.
 *  - A page of a promise is cut from the answer when it is delivered, by the acceptor's own
 *    function, so its pages may come from several answers.
 *  - A refusal (abort, suggest) only ends an attempt, and an attempt may end at any time.
 *  - A fetched value is one that some node has committed, ever, under a ballot that one had it by.
 *  - What a restarted node still knows to be committed is nothing. What it may know from its
 *    records it may also be told again at once, which leads to the same state. */
#ifndef TN_CHECK_EXPLORE_LOG_H
#define TN_CHECK_EXPLORE_LOG_H

#include "check/explore.h"
#include "check/log_rows.h"

/* How a row is to be explored. */
struct tn__explore_log {
    struct tn__explore_log_config config;
    bool normalise;        /* merge states that no future event can tell apart, or names alone */
    const char *invariant; /* judge by this one alone, e.g. "P1"; NULL: by all */
    struct tn__explore_model model;
};

/* Fill `log` and its model. `log` must stay where it is while the model is in use. */
void tn__explore_log_init(struct tn__explore_log *log, const struct tn__explore_log_config *config,
                          bool reduced);

#endif
