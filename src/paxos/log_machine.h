/* The inside of a log's machine, shared by the files that make it up; nobody else includes it.
 *
 *   log.c             memory, restoring, the step that only dispatches, the deadline
 *   log_effects.c     putting effects out
 *   log_messages.c    what of a peer is let in; what is known of the peers
 *   log_options.c     defaults and relations
 *   log_answers.c     the acceptor's side: Prepare, Accept, heartbeats            V1-V3 C1
 *   log_leader.c      leading: tenure, Phase 1, preemption, stepping down         N1 N2 M1-M4
 *   log_followers.c   a leader and each of its followers: runs, resends           N3 C1
 *   log_proposals.c   proposals on their way to a slot: queues, the pump          N4-N6
 *   log_forward.c     proposals of a member that does not lead                    N4
 *   log_commit.c      committing in slot order, the window of memory              C1 P8
 *   log_catch_up.c    committed slots from whoever has them                       C2
 *   log_reads.c       rounds of quorum reads; how a damaged member comes back     Reads 3, W3
 *   log_checksum.c    comparing chains                                            C3
 *   log_view.c        status, counters, values
 *   log_check.c       the check of everything, and of what a step may have changed
 *
 * One write on paper: PROPOSE puts a run of values into the queue `own`; settle() pumps: each value
 * gets the next slot (log_proposer.h), is accepted by this node's own acceptor, and the run goes
 * out as one ACCEPT to all who have everything before it, one ACCEPT record, and one ACCEPTED to
 * this node itself that waits for that record. A peer's on_accept() stores the run, puts out a
 * record and an ACCEPTED that waits for it. At the quorum settle() commits, in slot order; the next
 * ACCEPT or HEARTBEAT tells the others (C1).
 *
 * Each step ends with settle(): what has become possible is done, as far as the effects have room;
 * what does not fit sets `left`, and the deadline stays in the past. */
#ifndef TN_PAXOS_LOG_MACHINE_H
#define TN_PAXOS_LOG_MACHINE_H

#include <tenure/log.h>

#include "paxos/log_acceptor.h"
#include "paxos/log_configuration.h"
#include "paxos/log_learner.h"
#include "paxos/log_proposer.h"

#define TN__LOG_NOBODY TN_LOG_NODES_MAX

/* Payload of one run: what a frame takes before it counts as full. A single value may be longer. */
#define TN__LOG_RUN_BYTES TN_LOG_FRAME_BYTES_FULL

/* Slots and attempts beyond these are nobody's: a message that names one is refused, so that sums
 * never overflow. */
#define TN__LOG_SLOT_MAX (1ULL << 62)
#define TN__LOG_ATTEMPT_MAX (1ULL << 62)

/* Reads that wait for a round, or for the answer of one. */
#define TN__LOG_READS_MAX 4096U

/* Writes that may be under way before more is fetched, so that a stream of catch-up never outruns
 * the disk that it is written to. */
#define TN__LOG_WRITES_AHEAD 16U

/* Kept free for what every step may have to say besides its runs. */
#define TN__LOG_NOTICES_KEPT 8U
#define TN__LOG_MESSAGES_KEPT 4U

enum tn__log_waiting_state {
    TN__LOG_GONE = 0,  /* its place is not free yet */
    TN__LOG_WAITING,   /* for a slot, or for a leader */
    TN__LOG_FORWARDED, /* to `member`, by the forward `stamp` */
};

/* A proposal that is in no slot yet. It has a reference of its value. */
struct tn__log_waiting {
    uint64_t number; /* in the counting of its origin */
    uint64_t stamp;  /* of the forward: by which it came, or by which it went */
    tn_time since;   /* FORWARDED: when */
    struct tn_log_value value;
    uint32_t member; /* a guest's: whose it is; FORWARDED: to whom it went */
    uint32_t state;  /* enum tn__log_waiting_state */
};

/* A ring of them: head <= next <= tail; below `next` nothing is WAITING. */
struct tn__log_queue {
    uint64_t head;
    uint64_t next;
    uint64_t tail;
    uint64_t bytes; /* of payload, of all that are not gone */
    uint64_t at;    /* where the ring lies: an offset from struct tn_log */
    uint32_t capacity;
    uint32_t count;   /* not gone */
    uint32_t waiting; /* of them WAITING */
    uint32_t reserved;
};

/* What is known of one member, this node included. */
struct tn__log_peer {
    uint64_t restart_word; /* the latest seen; 0: none yet */
    uint64_t committed;    /* as it said last */
    uint64_t retained;
    uint64_t accepted;
    uint64_t next;          /* leader: the next slot to send it */
    uint64_t acknowledged;  /* leader: it accepted every slot up to here, or it may do without */
    uint64_t told;          /* leader: `committed` as it was told last */
    uint64_t wanted;        /* leader: tell it at once when this slot is committed; 0: none */
    uint64_t forward_stamp; /* N4: of its newest forward */
    uint64_t agreed;        /* C3: the highest slot where its chain was found equal; 0: none */
    uint64_t differs;       /* C3: the lowest slot where it was found different; 0: none */
    tn_time resend_at;      /* leader: NEVER: nothing is unanswered */
    tn_time stamp;          /* of its last HEARTBEAT_ANSWER, to be echoed */
    tn_time answered;    /* own time of sending of the heartbeat that it answered last; 0: none */
    tn_time incident_at; /* C3: when an operator was last told */
    uint32_t doubled;    /* V1: two words were seen for one count of starts: it counts neither */
    uint32_t probing;    /* leader: it was silent: one run at a time until it answers */
    uint32_t silent;     /* leader: how many resends it left unanswered */
    uint32_t reserved;
};

enum tn__log_round {
    TN__LOG_ROUND_NONE = 0,
    TN__LOG_ROUND_ASKING,    /* READ is out, answers come in */
    TN__LOG_ROUND_RESOLVING, /* a majority has answered: until `slot` is committed */
    TN__LOG_ROUND_ANSWERING, /* its reads are told */
};

/* Reads 3: one round serves all reads that arrived before it began. */
struct tn__log_reads {
    uint64_t head; /* ring of read numbers: head .. end are the round's, end .. tail wait */
    uint64_t end;
    uint64_t tail;
    uint32_t phase; /* enum tn__log_round */
    uint32_t tries;
    uint64_t at;      /* where the ring lies */
    uint64_t counter; /* of tries: each has an id of its own */
    uint64_t id;
    uint64_t slot; /* the highest slot reported */
    tn_time again_at;
    tn_member_set answered;
    tn_member_set required[TN__LOG_CONFIGURATIONS_MAX]; /* voters of each configuration to ask */
    uint32_t required_count;
    uint32_t version; /* of the newest of them */
};

/* With many groups a step finds nothing of its group in the processor: so what each step looks at
 * stands together, at the beginning, and what few steps need at the end. */
struct tn_log {
    tn_time deadline;
    uint64_t random;
    uint64_t writes;           /* numbers given to records so far */
    uint64_t written;          /* every write up to this number is durable */
    uint64_t marked_write;     /* once this write is durable ... */
    uint64_t marked_committed; /* ... so is every slot up to here, as it was committed */
    uint64_t durable;          /* every slot up to here is in the store as it was committed */
    tn_time behind_since;      /* C2: others have committed more since; NEVER: not so */
    tn_time fetch_at;          /* C2: the answer is overdue then; NEVER: nothing was asked */
    uint32_t stopped;          /* enum tn_log_reason: neither votes nor learns; 0: it runs */
    uint32_t damaged;       /* W3: 1 slots may be missing, 2 the promise too: never votes again */
    uint32_t retired;       /* N1: leads no more, but slots of it may still be chosen */
    uint32_t losing;        /* N4: forwards are lost that were not yet told */
    uint32_t full;          /* W4 */
    uint32_t leader;        /* a member's index, or NOBODY */
    uint32_t forgets_count; /* handles that are not needed any more and were not yet said so */
    uint32_t forgets_capacity;
    struct tn__log_acceptor acceptor;
    struct tn__log_learner learner;

    uint64_t slots_at; /* offsets of the rings from this struct */
    uint64_t proposals_at;
    uint64_t sums_at;
    uint64_t forgets_at;
    uint64_t retained;       /* the lowest slot that the store can serve */
    uint64_t retained_bytes; /* committed payload in memory */
    uint64_t committed_sum;  /* bytes of the payload committed in this run */
    uint64_t proposed_sum;   /* leader: and of what it proposed beyond */
    uint64_t learned;        /* C2: the ring holds the chosen values up to here */
    uint64_t resolve_upto;   /* leader: a reader waits for this slot */
    tn_time tenure_end;      /* 0: none */
    tn_time prepare_at;      /* when PREPARE is repeated; NEVER: nobody is to be asked */
    tn_time leader_until;    /* free mode: the leader is doubted from then on */
    tn_time heartbeat_last;
    tn_time poll_at;      /* C2: nobody leads: somebody is asked for news then */
    tn_time fresh_stamp;  /* Reads 4: the prefix will be as fresh as it was at the leader then */
    uint32_t guests_turn; /* whose queue is served first */
    uint32_t fetching;    /* C2: a stream of catch-up runs */
    uint32_t fetch_from;  /* the member asked, or NOBODY */
    uint32_t shown_state; /* as the last STATE notice told */
    uint32_t shown_leader;
    uint32_t checkpoint_asked;   /* a CHECKPOINT_NEEDED notice was given */
    uint32_t polls;              /* C2: for news, in a row, without any */
    uint32_t fetch_polls;        /* C2: who has nothing below, asked in vain in a row */
    struct tn__log_queue own;    /* proposals of this node */
    struct tn__log_queue guests; /* N4: proposals of others, while this node leads */
    struct tn__log_reads reads;
    struct tn_log_ballot seen;        /* the highest ballot seen anywhere */
    struct tn_log_ballot leader_seen; /* of whom the leader is */
    struct tn_log_ballot said_ballot; /* C1: its leader said that */
    uint64_t said_committed;          /* so many slots are committed */
    struct tn__log_configurations configurations;
    struct tn_log_options options;
    struct tn__log_proposer proposer;
    struct tn__log_peer peers[TN_LOG_NODES_MAX + 1];
    struct tn_log_counters counters;

    uint64_t applied;
    uint64_t recovery_end; /* the highest slot that the last Phase 1 reported */
    uint64_t forwards;     /* N4: the newest stamp given to a forward */
    uint64_t token;        /* N1: of the tenure */
    tn_time begin_at;      /* no Phase 1 before */
    tn_time forward_at;    /* no forward before */
    tn_time resolve_at;    /* Reads 3: when RESOLVE is repeated */
    tn_time fresh_at; /* Reads 4: the prefix is as fresh as it was at the leader then; 0: never */
    uint64_t fresh_slot; /* Reads 4: `fresh_stamp` counts once this slot is committed */
    uint64_t damaged_upto;
    uint64_t heal_write;    /* W3: everything fetched is durable with this write; 0: not yet */
    uint32_t damage_known;  /* W3: peers have said how far what is missing may reach */
    uint32_t refusals;      /* attempts in a row that lost: for the back-off */
    uint32_t fetch_turn;    /* C2: whom to ask next */
    uint32_t resolve_polls; /* Reads 3: RESOLVE was sent so often for one slot */
    tn_time incident_at[16];
};

/* One step's context. */
struct tn__log_turn {
    struct tn_log *log;
    const struct tn_log_event *event;
    struct tn_log_effects *effects;
    tn_time now;
    bool left;        /* work is left over */
    uint32_t version; /* of the configuration in force when the step began */
};

/* ---- Small things ---------------------------------------------------------------------------- */

static inline void *tn__log_part(const struct tn_log *log, uint64_t at)
{
    return (char *)(uintptr_t)log + at;
}

static inline struct tn__log_slot *tn__log_slots(const struct tn_log *log)
{
    return tn__log_part(log, log->slots_at);
}

static inline struct tn__log_proposal *tn__log_proposals(const struct tn_log *log)
{
    return tn__log_part(log, log->proposals_at);
}

/* Payload bytes of this run up to a slot: known from the last committed slots on. */
static inline uint64_t *tn__log_sum(const struct tn_log *log, uint64_t slot)
{
    uint64_t *sums = tn__log_part(log, log->sums_at);
    return &sums[slot & (2ULL * log->acceptor.capacity - 1)];
}

static inline tn_member_set tn__log_bit(uint32_t member)
{
    return (tn_member_set)1 << member;
}

static inline uint32_t tn__log_self(const struct tn_log *log)
{
    return log->options.self;
}

static inline uint64_t tn__log_committed(const struct tn_log *log)
{
    return log->learner.committed;
}

/* The configuration of the next slot to be committed. */
static inline const struct tn__log_configuration *tn__log_now(const struct tn_log *log)
{
    return tn__log_configuration_at(&log->configurations, log->learner.committed + 1);
}

static inline bool tn__log_is_leased(const struct tn_log *log)
{
    return tn__log_now(log)->mode == TN_LOG_MODE_LEASED;
}

static inline bool tn__log_is_voter(const struct tn_log *log)
{
    return (tn__log_now(log)->voters & tn__log_bit(log->options.self)) != 0;
}

/* Leads and proposes. */
static inline bool tn__log_leads(const struct tn_log *log)
{
    return log->proposer.phase == TN__LOG_LEADING && log->retired == 0;
}

/* V1, V2: its promises and votes count. */
static inline bool tn__log_votes(const struct tn_log *log)
{
    return log->stopped == 0 && log->damaged == 0;
}

static inline tn_time tn__log_earlier(tn_time a, tn_time b)
{
    return a < b ? a : b;
}

static inline uint64_t tn__log_larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static inline tn_time tn__log_later(tn_time now, tn_time span)
{
    return span < TN_TIME_NEVER - now ? now + span : TN_TIME_NEVER;
}

/* ---- log_effects.c --------------------------------------------------------------------------- */

uint32_t tn__log_entries_room(const struct tn__log_turn *turn);
bool tn__log_messages_room(const struct tn__log_turn *turn, uint32_t count);
bool tn__log_notices_room(const struct tn__log_turn *turn);
void tn__log_entry(struct tn__log_turn *turn, uint64_t slot, struct tn_log_ballot ballot,
                   const struct tn_log_value *value);

/* A message with what every message says of its sender. It needs no write. */
struct tn_log_message *tn__log_send(struct tn__log_turn *turn, enum tn_log_message_kind kind,
                                    tn_member_set to);
void tn__log_attach(struct tn__log_turn *turn, struct tn_log_message *message, uint32_t first);

/* A record with entries first .. end of the effects; returns its write number. */
uint64_t tn__log_record(struct tn__log_turn *turn, enum tn_log_record_kind kind, uint32_t first);

struct tn_log_notice *tn__log_notify(struct tn__log_turn *turn, enum tn_log_notice_kind kind,
                                     enum tn_log_reason reason);
/* At most once a second for each reason. */
void tn__log_incident(struct tn__log_turn *turn, enum tn_log_reason reason, tn_node_id node);

/* The reference is the caller's no more. */
void tn__log_forget(struct tn_log *log, uint64_t handle);
void tn__log_forget_entries(struct tn__log_turn *turn, uint32_t first);
uint64_t *tn__log_forgets(const struct tn_log *log);
void tn__log_flush_forgets(struct tn__log_turn *turn);

/* ---- log_messages.c -------------------------------------------------------------------------- */

void tn__log_on_message(struct tn__log_turn *turn);
const struct tn_log_entry *tn__log_entries_of(const struct tn__log_turn *turn);
/* Voters and learners of this and of every later configuration that is known, without this node. */
tn_member_set tn__log_others(const struct tn_log *log);

/* ---- log_answers.c --------------------------------------------------------------------------- */

void tn__log_on_prepare(struct tn__log_turn *turn, const struct tn_log_message *message);
void tn__log_on_accept(struct tn__log_turn *turn, const struct tn_log_message *message);
void tn__log_on_heartbeat(struct tn__log_turn *turn, const struct tn_log_message *message);
/* V1: one page of this acceptor's report to a member, itself included. */
void tn__log_report(struct tn__log_turn *turn, uint32_t member, struct tn_log_ballot ballot,
                    uint64_t from);
void tn__log_see(struct tn_log *log, struct tn_log_ballot ballot);

/* ---- log_leader.c ---------------------------------------------------------------------------- */

void tn__log_on_promise(struct tn__log_turn *turn, const struct tn_log_message *message);
void tn__log_on_abort(struct tn__log_turn *turn, const struct tn_log_message *message);
void tn__log_on_tenure(struct tn__log_turn *turn);
void tn__log_on_leader(struct tn__log_turn *turn);
/* A higher ballot is about: whatever this node does under a lower one ends. */
void tn__log_preempted(struct tn__log_turn *turn, struct tn_log_ballot by);
void tn__log_step_down(struct tn__log_turn *turn);
void tn__log_stop(struct tn__log_turn *turn, enum tn_log_reason reason);
void tn__log_role_due(struct tn__log_turn *turn);
void tn__log_advanced(struct tn__log_turn *turn);
/* Is this node about to lead, or leading, so that others' proposals may wait here? */
bool tn__log_takes_guests(const struct tn_log *log, tn_time now);
bool tn__log_may_propose(const struct tn_log *log, tn_time now);
tn_time tn__log_leader_deadline(const struct tn_log *log);

/* ---- log_followers.c ------------------------------------------------------------------------- */

void tn__log_followers_begin(struct tn__log_turn *turn);
void tn__log_on_accepted(struct tn__log_turn *turn, const struct tn_log_message *message);
void tn__log_on_heartbeat_answer(struct tn__log_turn *turn, const struct tn_log_message *message);
/* The run `first` .. of the effects was proposed: to all who have everything before it. */
void tn__log_followers_send(struct tn__log_turn *turn, uint32_t first);
void tn__log_followers_due(struct tn__log_turn *turn);
/* The last heartbeat of one who leads no more: what it knows to be committed is not lost with it.
 */
void tn__log_followers_farewell(struct tn__log_turn *turn);
void tn__log_peer_reset(struct tn__log_turn *turn, uint32_t member);
tn_time tn__log_followers_deadline(const struct tn_log *log);

/* ---- log_proposals.c ------------------------------------------------------------------------- */

struct tn__log_waiting *tn__log_waiting_at(const struct tn_log *log,
                                           const struct tn__log_queue *queue, uint64_t index);
bool tn__log_queue_takes(const struct tn_log *log, const struct tn__log_queue *queue,
                         uint64_t bytes);
void tn__log_queue_put(struct tn_log *log, struct tn__log_queue *queue, uint32_t member,
                       uint64_t number, uint64_t stamp, const struct tn_log_value *value);
/* Gone: the reference goes to the caller. */
uint64_t tn__log_queue_take(struct tn__log_queue *queue, struct tn__log_waiting *waiting);
void tn__log_queue_trim(struct tn_log *log, struct tn__log_queue *queue);
/* Numbers of `own` rise: the first index whose number is at least this one. */
uint64_t tn__log_own_find(const struct tn_log *log, uint64_t number);
void tn__log_on_propose(struct tn__log_turn *turn);
void tn__log_on_cancel(struct tn__log_turn *turn);
void tn__log_pump(struct tn__log_turn *turn);
void tn__log_refuse_own(struct tn__log_turn *turn, enum tn_log_reason reason);

/* ---- log_forward.c --------------------------------------------------------------------------- */

void tn__log_on_forward(struct tn__log_turn *turn, const struct tn_log_message *message);
void tn__log_on_assigned(struct tn__log_turn *turn, const struct tn_log_message *message);
void tn__log_on_refused(struct tn__log_turn *turn, const struct tn_log_message *message);
void tn__log_forward_due(struct tn__log_turn *turn);
/* Who is to be asked for what only a leader can do; NOBODY: nobody that is known. In a free group
 * without a leader any voter will do, since it then leads. */
uint32_t tn__log_forward_target(const struct tn_log *log, tn_time now);
void tn__log_forwards_lost(struct tn__log_turn *turn, uint32_t member);
void tn__log_refuse_guests(struct tn__log_turn *turn, enum tn_log_reason reason);
tn_time tn__log_forward_deadline(const struct tn_log *log, tn_time now);

/* ---- log_commit.c ---------------------------------------------------------------------------- */

void tn__log_commit(struct tn__log_turn *turn);
/* Is there something for it to do? */
bool tn__log_commit_waits(const struct tn_log *log);
/* Drop committed slots until this one fits the ring; false: it does not. */
bool tn__log_make_room(struct tn_log *log, uint64_t slot);
void tn__log_shrink(struct tn__log_turn *turn);

/* ---- log_catch_up.c -------------------------------------------------------------------------- */

void tn__log_on_fetch(struct tn__log_turn *turn, const struct tn_log_message *message);
void tn__log_on_fetched(struct tn__log_turn *turn, const struct tn_log_message *message);
void tn__log_on_connected(struct tn__log_turn *turn);
void tn__log_catch_up_due(struct tn__log_turn *turn);
/* Somebody may have more, though nobody has said so: ask the next member round about. */
void tn__log_catch_up_poll(struct tn__log_turn *turn);
/* Nobody leads, as far as is known here: ask for news once in a while. */
void tn__log_poll_due(struct tn__log_turn *turn);
tn_time tn__log_catch_up_deadline(const struct tn_log *log);

/* ---- log_reads.c ----------------------------------------------------------------------------- */

void tn__log_on_read_event(struct tn__log_turn *turn);
void tn__log_on_read(struct tn__log_turn *turn, const struct tn_log_message *message);
void tn__log_on_read_answer(struct tn__log_turn *turn, const struct tn_log_message *message);
void tn__log_on_resolve(struct tn__log_turn *turn, const struct tn_log_message *message);
void tn__log_reads_due(struct tn__log_turn *turn);
void tn__log_reads_configuration(struct tn_log *log);
bool tn__log_reads_wait(const struct tn_log *log);
tn_time tn__log_reads_deadline(const struct tn_log *log);
void tn__log_reads_fail(struct tn__log_turn *turn, enum tn_log_reason reason);
/* C1: the leader of `ballot` says how far it has committed. */
void tn__log_said(struct tn_log *log, struct tn_log_ballot ballot, uint64_t committed);

/* ---- log_checksum.c -------------------------------------------------------------------------- */

void tn__log_checksum_put(const struct tn_log *log, struct tn_log_message *message);
/* Leader: what a peer says of its chain. */
void tn__log_checksum_compare(struct tn__log_turn *turn, const struct tn_log_message *message);
bool tn__log_checksum_is_odd(const struct tn_log *log, uint32_t member);

/* ---- log_view.c ------------------------------------------------------------------------------ */

enum tn_log_state tn__log_state(const struct tn_log *log);

#endif
