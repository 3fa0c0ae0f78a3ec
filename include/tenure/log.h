/* The replicated log of one group: Multi-Paxos, pure (docs/log.md).
 *
 * Like the lease machine: no I/O, no clock, no threads, no allocation. One machine is one group at
 * one node: acceptor, proposer and learner of that group's slots. The caller feeds events and
 * carries out effects; node.h does both.
 *
 * Payload bytes never enter a machine. It holds a handle, a length and a digest of each value; the
 * caller keeps the bytes under the handle until the machine says `forget`. Of all slots the machine
 * keeps a *window* in memory, the retained slots up to the highest accepted one; what lies below it
 * is in the store, and the machine asks for it (TN_LOG_LOAD) when a peer wants it.
 *
 * Order. A message leaves when the machine's own write number `after` is durable. A leader's ACCEPT
 * has none: its own disk write overlaps the network (N3); its own vote is a message to itself and
 * has one, so it never counts before its own sync.
 *
 * Sources: spec rules V1-V4, N1-N6, C1-C4 and Reads 3, each named where it is kept. */
#ifndef TENURE_LOG_H
#define TENURE_LOG_H

#include <tenure/export.h>
#include <tenure/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tn_log; /* Opaque. */

/* ---- Ballots --------------------------------------------------------------------------------- */

/* (mode number, token, attempt, node, restart word), compared in that order: a change of mode
 * outranks everything, then the tenure's fencing token (N1). All zero: no ballot. */
struct tn_log_ballot {
    uint64_t token;        /* of the tenure in a leased group; 0 in a free one */
    uint64_t attempt;      /* 1, 2, 3 ... */
    uint64_t restart_word; /* of the proposing incarnation */
    uint32_t mode_number;  /* raised by each change of the group's mode */
    tn_node_id node;
    uint16_t reserved;
};

/* Negative, zero or positive as a is below, equal to or above b. */
static inline int tn_log_ballot_compare(struct tn_log_ballot a, struct tn_log_ballot b)
{
    if (a.mode_number != b.mode_number) {
        return a.mode_number < b.mode_number ? -1 : 1;
    }
    if (a.token != b.token) {
        return a.token < b.token ? -1 : 1;
    }
    if (a.attempt != b.attempt) {
        return a.attempt < b.attempt ? -1 : 1;
    }
    if (a.node != b.node) {
        return a.node < b.node ? -1 : 1;
    }
    if (a.restart_word != b.restart_word) {
        return a.restart_word < b.restart_word ? -1 : 1;
    }
    return 0;
}

static inline bool tn_log_ballot_equal(struct tn_log_ballot a, struct tn_log_ballot b)
{
    return ((a.token ^ b.token) | (a.attempt ^ b.attempt) | (a.restart_word ^ b.restart_word) |
            (a.mode_number ^ b.mode_number) | (uint64_t)(a.node ^ b.node)) == 0;
}

static inline bool tn_log_ballot_is_none(struct tn_log_ballot ballot)
{
    return ballot.node == 0;
}

/* ---- Values and entries ---------------------------------------------------------------------- */

enum tn_log_value_kind {
    TN_LOG_VALUE_NONE = 0,
    TN_LOG_VALUE_NOOP,          /* fills a hole (N2); no payload */
    TN_LOG_VALUE_PAYLOAD,       /* a proposal's envelope */
    TN_LOG_VALUE_CONFIGURATION, /* decided in slot i, governs from i + window (G2) */
};

enum tn_log_mode {
    TN_LOG_MODE_LEASED = 1, /* the owner of the group's lease leads (N1) */
    TN_LOG_MODE_FREE,       /* whoever needs to propose runs Phase 1 and stays until preempted */
};

/* What a slot holds. Two values are the same if all but the handles are equal. */
struct tn_log_value {
    uint64_t handle;        /* the caller's name for the bytes; 0: no bytes */
    uint32_t bytes;         /* of the payload */
    uint32_t digest;        /* CRC-32C of the payload */
    tn_member_set voters;   /* CONFIGURATION */
    tn_member_set learners; /* CONFIGURATION */
    uint32_t version;       /* CONFIGURATION: of the membership, rising by one */
    uint32_t window_slots;  /* CONFIGURATION: alpha from then on; 0: as before */
    uint8_t kind;           /* enum tn_log_value_kind */
    uint8_t mode;           /* CONFIGURATION: enum tn_log_mode from then on; 0: as before */
    uint8_t reserved[6];
};

struct tn_log_entry {
    uint64_t slot;               /* 1, 2, 3 ... */
    struct tn_log_ballot ballot; /* under which it was accepted; FORWARD: none */
    struct tn_log_value value;
};

/* ---- Messages -------------------------------------------------------------------------------- */

enum tn_log_message_kind {
    TN_LOG_PREPARE =
        1,            /* V1: ballot; slot: report from here on; committed, retained: the sender's */
    TN_LOG_PROMISE,   /* V1 agree: ballot; slot: the page begins here; slot_end: it covers all
                         below; flag LAST_PAGE; entries: accepted and not known committed */
    TN_LOG_ABORT,     /* V1, V2 abort: ballot: the refused one; promised: the promise */
    TN_LOG_SUGGEST,   /* V1 suggest: ballot: the refused one; promised: the first incarnation's */
    TN_LOG_ACCEPT,    /* V2: ballot; entries: one run of slots, all under the ballot */
    TN_LOG_ACCEPTED,  /* V2: ballot; slot .. slot_end - 1: durably accepted under it */
    TN_LOG_HEARTBEAT, /* C1: ballot; committed; accepted: the highest slot proposed; stamp: echo
                         of the receiver's own, for the age of its stale reads; id: comes back */
    TN_LOG_HEARTBEAT_ANSWER, /* ballot; committed; accepted: the highest slot accepted; stamp; id */
    TN_LOG_FETCH,            /* C2: slot: the first wanted; slot_end: one past the last */
    TN_LOG_FETCHED,     /* C2: entries, all committed; flag BELOW_RETAINED: take a checkpoint */
    TN_LOG_FORWARD,     /* N4: id: number of the first proposal; entries: values, slot 0; stamp:
                           rises with each forward of the sender, over its restarts too; ballot:
                           node and restart word of the incarnation that it is meant for, so that a
                           copy is never taken twice */
    TN_LOG_ASSIGNED,    /* N4: id, count; slot: of the first one; ballot; stamp: of the forward */
    TN_LOG_REFUSED,     /* N4: id, count; reason: refused before proposing; stamp */
    TN_LOG_READ,        /* Reads 3: id of the round, fresh for each try */
    TN_LOG_READ_ANSWER, /* Reads 3: id; accepted: the highest slot accepted; committed; ballot: of a
                           leader, which says `committed` under it (C1) */
    TN_LOG_RESOLVE,     /* Reads 3: slot: a reader waits for it, fill up to here */
    TN_LOG_MESSAGE_KINDS_END,
};

enum tn_log_message_flag {
    TN_LOG_FLAG_LAST_PAGE = 1,
    TN_LOG_FLAG_BELOW_RETAINED = 2,
    TN_LOG_FLAG_DIVERGED = 4, /* HEARTBEAT: C3, a majority's chain differs from the receiver's */
};

struct tn_log_message {
    uint64_t after;         /* out: the write that must be durable before it leaves; 0: none */
    tn_member_set to;       /* out: own bit: to this machine itself */
    uint32_t group;         /* filled in and checked by the driver */
    uint8_t kind;           /* enum tn_log_message_kind */
    uint8_t flags;          /* enum tn_log_message_flag */
    uint8_t from;           /* in: index of the sender */
    uint8_t reason;         /* REFUSED: enum tn_log_reason */
    uint32_t count;         /* ASSIGNED, REFUSED: how many proposals */
    uint32_t entries_first; /* out: in effects->entries; in: in event->entries */
    uint32_t entries_count;
    struct tn_log_ballot ballot;
    struct tn_log_ballot promised;
    uint64_t slot;
    uint64_t slot_end;
    uint64_t committed;     /* the sender's committed prefix */
    uint64_t retained;      /* the lowest slot the sender can still serve */
    uint64_t accepted;      /* the highest slot accepted (or proposed), any ballot */
    uint64_t id;            /* of a read round, or of the first proposal */
    uint64_t checksum_slot; /* C3: `checksum` is the chain over slots 1 .. checksum_slot */
    uint64_t checksum;
    uint64_t stamp; /* a time of the one who stamped it; means nothing to others */
};

/* ---- Records --------------------------------------------------------------------------------- */

enum tn_log_record_kind {
    TN_LOG_RECORD_PROMISE = 1, /* promise := ballot */
    TN_LOG_RECORD_ACCEPT,      /* promise := ballot; entries accepted under it */
    TN_LOG_RECORD_LEARN,       /* entries known to be committed; the promise stays (V3) */
    TN_LOG_RECORD_STATE,       /* restated by a new segment: promise, committed, checksum, retained
                                  and configurations, as the store found them (W1) */
};

/* One durable write of one group. `write` numbers the machine's writes 1, 2, 3 ... within one run;
 * they become durable in that order. */
struct tn_log_record {
    uint64_t write;
    uint32_t group;
    uint8_t kind; /* enum tn_log_record_kind */
    uint8_t reserved[3];
    uint32_t entries_first;
    uint32_t entries_count;
    struct tn_log_ballot ballot;
    uint64_t committed; /* the prefix known committed when it was written: a hint for recovery */
    uint64_t checksum;  /* C3: of that prefix */
};

/* ---- Notices --------------------------------------------------------------------------------- */

enum tn_log_notice_kind {
    TN_LOG_NOTICE_STATE = 1, /* the role or state changed: see tn_log_status() */
    TN_LOG_NOTICE_ASSIGNED,  /* proposals number .. number + count - 1 went into slot, slot + 1 ...
                                under `ballot`; they are resolved when those slots are committed */
    TN_LOG_NOTICE_REFUSED,   /* proposals number .. were refused before proposing: not chosen */
    TN_LOG_NOTICE_LOST,      /* a forward of proposals number .. may or may not have arrived */
    TN_LOG_NOTICE_READ,      /* read `number` may be answered once `slot` is applied */
    TN_LOG_NOTICE_READ_FAILED,
    TN_LOG_NOTICE_INCIDENT,          /* something an operator must see: `reason`, `node`, `slot` */
    TN_LOG_NOTICE_CHECKPOINT_NEEDED, /* the peers no longer have `slot`: a checkpoint is needed */
};

enum tn_log_reason {
    TN_LOG_REASON_NONE = 0,
    TN_LOG_REASON_BUSY,           /* N6: too many wait, or too many bytes */
    TN_LOG_REASON_NO_LEADER,      /* no leader is known, or it stepped down before proposing */
    TN_LOG_REASON_NOT_LEADER,     /* the member asked is not the leader */
    TN_LOG_REASON_CANCELLED,      /* by the caller, before it was proposed */
    TN_LOG_REASON_DUPLICATE_NODE, /* two processes run as one node (V1 suggest) */
    TN_LOG_REASON_DIVERGED,       /* C3: this node's committed prefix differs from a majority's */
    TN_LOG_REASON_PEER_DIVERGED,  /* C3: a peer's does */
    TN_LOG_REASON_DISK_FAILED,    /* V2: a write failed; the acceptor has stopped */
    TN_LOG_REASON_DISK_FULL,      /* W4 */
    TN_LOG_REASON_DAMAGED,        /* W3: not voting until its slots are fetched from peers */
    TN_LOG_REASON_STOPPED,
};

struct tn_log_notice {
    uint8_t kind;   /* enum tn_log_notice_kind */
    uint8_t reason; /* enum tn_log_reason */
    tn_node_id node;
    uint32_t count;
    uint64_t number; /* of the first proposal, or of the read */
    uint64_t slot;
    struct tn_log_ballot ballot;
};

/* C2: a peer asked for slots that are no longer in memory. The caller reads them from the store and
 * sends `to` a FETCHED with them, as many as fit, in order, beginning with `slot`. */
struct tn_log_load {
    tn_member_set to;
    uint32_t reserved;
    uint64_t slot;
    uint64_t slot_end;
};

/* ---- Events ---------------------------------------------------------------------------------- */

enum tn_log_event_kind {
    TN_LOG_EVENT_MESSAGE = 1,  /* `message`, and its entries in `entries` */
    TN_LOG_EVENT_TIMER,        /* the deadline has come; harmless at any other time */
    TN_LOG_EVENT_WRITTEN,      /* every record up to `number` is durable */
    TN_LOG_EVENT_WRITE_FAILED, /* a record could not be made durable: final for this run (V2, W2) */
    TN_LOG_EVENT_PROPOSE,      /* entries: values of proposals `number`, number + 1 ... (N5) */
    TN_LOG_EVENT_CANCEL,    /* proposal `number`: drop it if it was not proposed or forwarded yet */
    TN_LOG_EVENT_READ,      /* read `number`: a barrier for a quorum read that begins now */
    TN_LOG_EVENT_TENURE,    /* N1: this node owns the group's lease until `deadline`, under
                               `token`; deadline 0: it owns it no more */
    TN_LOG_EVENT_LEADER,    /* a hint: `from` is said to own the group's lease */
    TN_LOG_EVENT_CONNECTED, /* a connection to the member `from` was made */
    TN_LOG_EVENT_APPLIED,   /* the state machines have executed every slot up to `number` */
    TN_LOG_EVENT_STORE_FULL, /* W4: `number` 1: no space; 0: space is back */
    TN_LOG_EVENT_RETAIN,     /* slots below `number` are no longer in the store (K1) */
};

struct tn_log_event {
    uint32_t kind; /* enum tn_log_event_kind */
    uint32_t from; /* CONNECTED, LEADER: a member's index */
    tn_time now;   /* read once, after the event's bytes have left the socket */
    uint64_t random;
    uint64_t number;
    uint64_t token;
    tn_time deadline;
    uint64_t restart_word;                /* MESSAGE: of the sender */
    const struct tn_log_message *message; /* borrowed until the step returns */
    const struct tn_log_entry *entries;   /* borrowed until the step returns */
    uint32_t entries_count;               /* at most TN_LOG_RUN_MAX */
    uint32_t reserved;
};

/* ---- Effects --------------------------------------------------------------------------------- */

/* What one step asks for; the caller's block, overwritten by each step. Records, messages and the
 * commit share the entries, by ranges. The order to carry them out in: take what is needed of
 * `entries`, append the records, send the messages, apply the commit, pass notices on, load, and
 * last forget.
 *
 * References. A handle counts references, which are the caller's business (log_driver.h). Every
 * entry of an event, and of tn_log_restore(), brings one reference that the machine takes: it keeps
 * it or says `forget` at once. What effects show is borrowed: who needs the bytes later, to write,
 * send or apply them, takes a reference of its own before the forgets are carried out. */
struct tn_log_effects {
    uint32_t entries_count;
    uint32_t records_count;
    uint32_t messages_count;
    uint32_t notices_count;
    uint32_t loads_count;
    uint32_t forgets_count;
    uint32_t commit_first; /* entries now committed, in slot order without a gap (P8) */
    uint32_t commit_count;
    struct tn_log_record records[TN_LOG_EFFECT_RECORDS_MAX];
    struct tn_log_message messages[TN_LOG_EFFECT_MESSAGES_MAX];
    struct tn_log_notice notices[TN_LOG_EFFECT_NOTICES_MAX];
    struct tn_log_load loads[TN_LOG_EFFECT_LOADS_MAX];
    uint64_t forgets[TN_LOG_EFFECT_FORGETS_MAX];
    struct tn_log_entry entries[TN_LOG_EFFECT_ENTRIES_MAX];
};

/* ---- The machine ----------------------------------------------------------------------------- */

/* Zero the struct; zero means the default, in brackets. Equal at all members but for self and
 * restart_word. */
struct tn_log_options {
    tn_node_id nodes[TN_LOG_NODES_MAX]; /* every node that may ever be named, by index */
    uint16_t self;                      /* this node's index */
    uint32_t nodes_count;
    tn_member_set voters;   /* of the first configuration. [all nodes] */
    tn_member_set learners; /* C4: non-voting followers. [none] */
    uint32_t group;         /* its id, for messages of log lines */
    uint32_t mode;          /* enum tn_log_mode. [LEASED] */
    uint32_t mode_number;   /* [1] */
    uint32_t window_slots;  /* alpha, a power of two, 8 to TN_LOG_WINDOW_MAX. [1024] */
    uint32_t retain_slots;  /* the most slots kept in memory, a power of two, at least
                               2 * window_slots: what a peer lacks is kept so far, what all have is
                               not. [4 * window_slots] */
    uint32_t waiting_max;   /* N6: proposals waiting to be proposed. [4 * window_slots] */
    uint32_t reserved;
    uint64_t window_bytes;     /* of payload in flight. [64 MiB] */
    uint64_t retain_bytes;     /* committed payload kept in memory. [64 MiB] */
    uint64_t waiting_bytes;    /* N6. [64 MiB] */
    uint64_t peer_bytes;       /* in flight to one peer and not acknowledged: a slow peer gets no
                                  more and does not hold up the others. [8 MiB] */
    uint64_t fetch_bytes;      /* C2: asked for at once. [1 MiB] */
    tn_time heartbeat_ns;      /* C1, while anything is in flight. [50 ms] */
    tn_time idle_heartbeat_ns; /* when all is quiet. [1 s] */
    tn_time resend_ns;         /* an unanswered message is repeated after this. [200 ms] */
    tn_time election_ns;       /* free mode: a leader unheard of for this long is doubted. [1 s] */
    tn_time back_off_ns;       /* the largest random wait before another Phase 1. [100 ms] */
    uint64_t restart_word;     /* of this incarnation. Required. */
};

/* What recovery of the store found of this group. All zero: nothing, a group that begins. */
struct tn_log_recovered {
    struct tn_log_ballot promise;
    uint64_t committed; /* known committed, durable here */
    uint64_t checksum;  /* of that prefix */
    uint64_t retained;  /* the lowest slot that the store can serve; 1 at first */
    uint64_t applied;   /* covered by every state machine's own durable state */
    uint32_t damaged;   /* W3: answers no Prepare, counts nowhere. 1: slots may be missing; 2: the
                           promise too, then it never votes again (V4) */
    uint32_t reserved;
    uint64_t damaged_upto; /* votes again once every slot up to here is committed and fetched; it
                              is raised by what peers report */
};

/* Fill in defaults, check relations; `why` (may be NULL) names the field and the way out. Errors:
 * TN_ERROR_INVALID. */
TN_EXPORT int tn_log_options_complete(struct tn_log_options *options, char *why, size_t why_size);

/* Bytes that tn_log_init() needs for completed options. */
TN_EXPORT size_t tn_log_size(const struct tn_log_options *options);

/* Build a machine in `memory`: zeroed, aligned to 64 bytes, tn_log_size() bytes, the caller's until
 * the last call. Then feed what the store still holds above recovered->committed, and what it holds
 * below as far as it shall serve peers from memory, with tn_log_restore(), in any order that the
 * store found it (a later accept replaces an earlier one). */
TN_EXPORT struct tn_log *tn_log_init(void *memory, const struct tn_log_options *options,
                                     const struct tn_log_recovered *recovered, tn_time now);

/* One accepted (or learned) entry found by recovery, before the first step. False: it does not fit
 * the window any more and its handle is the caller's to free; `*forgotten` likewise (0: none).
 * Configurations at or below recovered->committed must be among them, in slot order, whether or not
 * their slots are still served: they tell who governs what follows (G2). */
TN_EXPORT bool tn_log_restore(struct tn_log *log, const struct tn_log_entry *entry,
                              uint64_t *forgotten);

TN_EXPORT void tn_log_step(struct tn_log *log, const struct tn_log_event *event,
                           struct tn_log_effects *effects);

/* When a TIMER is due, or TN_TIME_NEVER. In the past while work is left over. */
TN_EXPORT tn_time tn_log_deadline(const struct tn_log *log);

/* Ceph's names for a leader's states, and what a member is otherwise. */
enum tn_log_state {
    TN_LOG_STATE_FOLLOWER = 1,
    TN_LOG_STATE_RECOVERING,        /* Phase 1 runs, or slots it showed committed are fetched */
    TN_LOG_STATE_UPDATING_PREVIOUS, /* re-proposing what Phase 1 found (M3) */
    TN_LOG_STATE_ACTIVE,            /* ready (M4), nothing in flight */
    TN_LOG_STATE_UPDATING,          /* ready, slots in flight */
    TN_LOG_STATE_DAMAGED,           /* W3: learns, does not vote */
    TN_LOG_STATE_STOPPED,           /* disk failed or prefix diverged: neither votes nor learns */
};

#define TN_LOG_COUNTER_TABLE(X)                                                                    \
    X(prepares, "Phase 1 rounds begun")                                                            \
    X(promises, "promises given (V1 agree)")                                                       \
    X(aborts, "ballots refused: a higher one is promised (V1, V2 abort)")                          \
    X(suggests, "ballots refused: another incarnation's number (V1 suggest)")                      \
    X(accepts, "slots accepted (V2)")                                                              \
    X(proposed, "slots proposed")                                                                  \
    X(noops, "holes filled with a no-op (N2)")                                                     \
    X(reproposed, "slots proposed again after Phase 1 (M3)")                                       \
    X(committed, "slots committed")                                                                \
    X(fetched, "slots learned by catch-up (C2)")                                                   \
    X(served, "slots sent to peers that lag (C2)")                                                 \
    X(resent, "slots sent again for want of an answer")                                            \
    X(forwarded, "proposals forwarded to the leader (N4)")                                         \
    X(busy, "proposals refused: too much waits (N6)")                                              \
    X(refused, "proposals refused for another reason")                                             \
    X(reads, "quorum read rounds (Reads 3)")                                                       \
    X(resolved, "slots filled because a reader waited")                                            \
    X(preempted, "leaderships ended by a higher ballot")                                           \
    X(expired, "leaderships ended with the lease")                                                 \
    X(diverged, "checksums of a peer that differ (C3)")                                            \
    X(beyond, "accepts refused: beyond the window of memory")                                      \
    X(stale, "answers dropped: of another ballot or round")                                        \
    X(malformed, "messages refused: a field out of range")

struct tn_log_counters {
#define TN_LOG_COUNTER_FIELD(name, sentence) uint64_t name;
    TN_LOG_COUNTER_TABLE(TN_LOG_COUNTER_FIELD)
#undef TN_LOG_COUNTER_FIELD
};

TN_EXPORT void tn_log_counters(const struct tn_log *log, struct tn_log_counters *counters);

struct tn_log_status {
    uint32_t group;
    uint32_t mode;  /* enum tn_log_mode */
    uint32_t state; /* enum tn_log_state */
    uint32_t ready; /* M4: leads, and all that Phase 1 reported is committed and applied */
    tn_node_id leader;
    tn_node_id reserved[3];
    struct tn_log_ballot promise;
    struct tn_log_ballot ballot; /* own, while leading */
    uint64_t committed;          /* every slot up to here */
    uint64_t applied;
    uint64_t proposed;      /* leader: the highest slot proposed; else the highest accepted */
    uint64_t retained;      /* the lowest slot served */
    uint64_t checksum;      /* C3, of 1 .. committed */
    uint64_t recovery_end;  /* the highest slot that the last Phase 1 reported */
    uint32_t waiting;       /* proposals not yet proposed */
    uint32_t configuration; /* version in force at committed + 1 */
    tn_member_set voters;   /* of it */
    tn_member_set learners;
    tn_time age_ns; /* stale reads: how old the committed prefix may be; NEVER: unknown */
};

TN_EXPORT void tn_log_status(const struct tn_log *log, tn_time now, struct tn_log_status *status);

/* The committed value of a slot, while the window of memory holds it. Errors: TN_ERROR_NOT_FOUND.
 */
TN_EXPORT int tn_log_value(const struct tn_log *log, uint64_t slot, struct tn_log_value *value);

/* C3: the chain. `checksum` over 1 .. slot - 1 becomes that over 1 .. slot. */
TN_EXPORT uint64_t tn_log_checksum(uint64_t checksum, uint64_t slot,
                                   const struct tn_log_value *value);

/* Verify every internal invariant: aborts with the violated one. For tests. */
TN_EXPORT void tn_log_check(const struct tn_log *log, tn_time now);

#ifdef __cplusplus
}
#endif

#endif
