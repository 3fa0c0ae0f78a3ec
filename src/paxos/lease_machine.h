/* The inside of the lease machine, shared by the files that make it up; nobody else includes it.
 *
 *   lease.c             options, memory, the step that only dispatches, the timer
 *   lease_answers.c     the acceptor's side: Prepare, Accept, Release, and Learn     A1-A4 F1 L1
 *   lease_attempts.c    the proposer's side: start, answers, retry, renewal          P1-P5 H2 H3
 *   lease_requests.c    what the embedding program asks for                          P6 H1 H2
 *   lease_membership.c  leaving and opening a configuration                          F3
 *   lease_view.c        who, next, status, counters, check
 *
 * One renewal on paper: the renewals queue says that a contender is due; attempt_start() takes a
 * fresh counter, asks the ceiling (F1), lets the cell store t_d (P1) and puts out one PREPARE for
 * all members, this one too. Each acceptor's on_prepare() finds the name, asks its cell (A1) and
 * puts out a PROMISE. on_promise() gives it to the cell, which says PROPOSE at the quorum (P3): one
 * ACCEPT for all. on_accept() asks the cell (A2), ACCEPTED comes back, and at the quorum the cell
 * says RENEWED (P4): a notice, a LEARN for the others (L1), and the contender goes to the end of
 * the renewals. */
#ifndef TN_PAXOS_LEASE_MACHINE_H
#define TN_PAXOS_LEASE_MACHINE_H

#include <tenure/lease.h>

#include "paxos/ceiling.h"
#include "paxos/configuration.h"
#include "paxos/lease_table.h"

/* What is known of one member's process. */
struct tn__lease_member {
    uint64_t restart_word; /* the latest seen; 0: none yet */
    uint32_t doubled;      /* 1: two words were seen for one count of starts: it counts neither */
    uint32_t learn_table;  /* a returning member is still to be told of our leases from here on */
    uint32_t learn_slot;
    uint32_t learning; /* 1: it is being told */
};

struct tn_lease {
    tn_node_id members[TN_MEMBERS_MAX];
    uint16_t self;
    uint32_t members_count;
    uint32_t tables_count;
    uint32_t drift_ppm;
    struct tn__configuration configuration;     /* F3 */
    tn_node_id joining_members[TN_MEMBERS_MAX]; /* F3: of the version that is being joined */
    uint32_t joining_count;
    uint64_t restart_word;
    uint64_t counter_seen; /* the highest, own or of others */
    uint64_t writes;       /* numbers given to records so far */
    uint64_t written; /* every write up to this number is durable */
    struct tn__ceiling ceiling;
    struct tn_ballot floor;  /* F2: under the promises of names that are not remembered */
    uint64_t random;         /* state of the jitter; stirred by every event */
    tn_time incident_at[32]; /* by reason: when it was last reported, so that floods are not */
    struct tn__lease_member known[TN_MEMBERS_MAX];
    struct tn_lease_counters counters;
    uint64_t tables_at[TN_TABLES_MAX]; /* offsets of the tables from this struct */
};

/* One step's context: the machine, the event and where the effects go. */
struct tn__lease_turn {
    struct tn_lease *lease;
    const struct tn_event *event;
    struct tn_effects *effects;
    tn_time now;
    struct tn__lease_key key; /* FRAME: of the name that the item at hand speaks of */
};

static inline struct tn__lease_table *tn__lease_table_at(const struct tn_lease *lease,
                                                         uint32_t table)
{
    return (struct tn__lease_table *)(void *)((char *)(uintptr_t)lease + lease->tables_at[table]);
}

static inline tn_node_id tn__lease_self(const struct tn_lease *lease)
{
    return lease->members[lease->self];
}

/* ---- lease.c: putting effects out ---------------------------------------------------------- */

/* Room is kept for what the rest of a full frame may need; work beyond it waits for the next step.
 */
bool tn__lease_has_room(const struct tn__lease_turn *turn);

/* A message of `kind` about a name, filled in as far as it follows from the context. */
struct tn_message *tn__lease_send(struct tn__lease_turn *turn, uint32_t table, uint32_t slot,
                                  enum tn_message_kind kind, tn_member_set to,
                                  struct tn_ballot ballot);

struct tn_notice *tn__lease_notify(struct tn__lease_turn *turn, uint32_t table, uint32_t slot,
                                   enum tn_notice_kind kind);

/* Report what an operator must see, at most once a second for each reason. */
void tn__lease_incident(struct tn__lease_turn *turn, enum tn_reason reason, tn_node_id node);

/* Ask for a write of the durable words with this ceiling; returns its number. What it says of D_Q
 * is the longest that an owner may still count on: a restart waits out a change of durations. */
uint64_t tn__lease_write_words(struct tn__lease_turn *turn, uint64_t ceiling);

/* F1: may something leave for this counter, and after which write? False: F4, say nothing. */
bool tn__lease_cover(struct tn__lease_turn *turn, uint64_t counter, uint64_t *after);

/* ---- lease_answers.c ------------------------------------------------------------------------ */

void tn__lease_on_prepare(struct tn__lease_turn *turn, const struct tn_message *message);
void tn__lease_on_accept(struct tn__lease_turn *turn, const struct tn_message *message);
void tn__lease_on_release(struct tn__lease_turn *turn, const struct tn_message *message);
void tn__lease_on_learn(struct tn__lease_turn *turn, const struct tn_message *message);

/* ---- lease_attempts.c ----------------------------------------------------------------------- */

void tn__lease_on_answer(struct tn__lease_turn *turn, const struct tn_message *message);

/* P1: begin an attempt, a renewal if the lease is held. The contender is idle. */
void tn__lease_attempt_start(struct tn__lease_turn *turn, uint32_t table,
                             struct tn__lease_contender *contender);

/* Let an idle contender wait for its next attempt, until `wake` at the earliest. */
void tn__lease_attempt_wait(struct tn__lease_turn *turn, uint32_t table,
                            struct tn__lease_contender *contender, tn_time wake);

/* The queues' due work, as far as there is room: resends, abandoned attempts, renewals, retries. */
void tn__lease_attempts_due(struct tn__lease_turn *turn, uint32_t table);

/* Leases whose deadline has passed, or that were forsaken. */
void tn__lease_endings_due(struct tn__lease_turn *turn, uint32_t table);

/* A random wait for retries; H3: the less preferred, the longer. */
tn_time tn__lease_back_off(struct tn__lease_turn *turn, uint32_t table,
                           const struct tn__lease_contender *contender);

/* P6, H1: give up what is held and what is tried; the others hear of it. */
void tn__lease_give_up(struct tn__lease_turn *turn, uint32_t table,
                       struct tn__lease_contender *contender, tn_node_id successor);

/* L1: tell `to` that this node holds the contender's lease. */
void tn__lease_tell(struct tn__lease_turn *turn, uint32_t table,
                    const struct tn__lease_contender *contender, tn_member_set to);

/* ---- lease_requests.c, lease_membership.c --------------------------------------------------- */

void tn__lease_on_request(struct tn__lease_turn *turn, const struct tn_request *request);
void tn__lease_on_leave(struct tn__lease_turn *turn);
void tn__lease_on_join(struct tn__lease_turn *turn, const struct tn_request *request);
void tn__lease_membership_written(struct tn__lease_turn *turn, uint64_t write);
void tn__lease_membership_failed(struct tn__lease_turn *turn, uint64_t write);

#endif
