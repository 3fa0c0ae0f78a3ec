/* What goes into a machine and what comes out of it: events, and effects.
 *
 * A machine is stepped with one event and fills one block of effects, both plain values of the
 * caller's. The caller carries the effects out: it makes records durable, sends messages, passes
 * notices on. The only order among them is `after`: the number of this machine's own write that
 * must be durable before a message leaves (0: none). A node's messages to itself go the same way,
 * so an own vote is never counted before it is durable. */
#ifndef TENURE_EVENT_H
#define TENURE_EVENT_H

#include <tenure/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Messages between members ------------------------------------------------------------- */

enum tn_message_kind {
    TN_MESSAGE_PREPARE = 1, /* P1: ballot, durations, priority */
    TN_MESSAGE_PROMISE,     /* A1: ballot; lease and remaining: the asker's own, or none */
    TN_MESSAGE_CLOSED,      /* A1: ballot; lease: another owner's, remaining */
    TN_MESSAGE_REJECTED,    /* A1: ballot; promised: the higher one */
    TN_MESSAGE_ACCEPT,      /* P3: ballot */
    TN_MESSAGE_ACCEPTED,    /* A2: ballot */
    TN_MESSAGE_REFUSED,     /* A2: ballot, promised; lease and remaining if one is in the way */
    TN_MESSAGE_RELEASE,     /* P6: ballot; successor, or 0 (H1) */
    TN_MESSAGE_LEARN,       /* L1: ballot of the lease held, remaining, token */
    TN_MESSAGE_KINDS_END,
};

enum tn_message_flag {
    TN_MESSAGE_FENCED = 1,    /* the acceptor keeps a durable ceiling (F1, F2) */
    TN_MESSAGE_DUPLICATE = 2, /* refused: this counter was used by another incarnation */
    TN_MESSAGE_FULL = 4,      /* refused: the acceptor's table of names is full */
};

struct tn_message {
    uint64_t after;         /* out: the write that must be durable before it leaves; 0: none */
    tn_member_set to;       /* out: to whom, one bit a member; own bit: to this node itself */
    uint32_t configuration; /* F3: the version of the membership it speaks for */
    uint8_t kind;           /* enum tn_message_kind */
    uint8_t table;          /* which lease table */
    uint8_t name_bytes;     /* 1 to TN_NAME_BYTES_MAX */
    uint8_t flags;          /* enum tn_message_flag */
    uint8_t from;           /* in: the index of the member that sent it */
    uint8_t priority;       /* PREPARE: H3, 0 is the most preferred */
    tn_node_id successor;   /* RELEASE: H1, the node to stand back for; 0: none */
    uint32_t durations;     /* PREPARE: digest of D_P, D_A, D_Q and rho, which must agree */
    uint32_t reserved;
    struct tn_ballot ballot;   /* the attempt it belongs to */
    struct tn_ballot promised; /* REJECTED, REFUSED */
    struct tn_ballot lease;    /* PROMISE, CLOSED, REFUSED: the live lease reported */
    tn_time remaining;         /* how long that lease still excludes others, or may be acted on */
    uint64_t token;            /* LEARN: the fencing token of the tenure; 0: none is offered */
    char name[TN_NAME_BYTES_MAX];
};

/* ---- Records ------------------------------------------------------------------------------- */

/* The durable words as they shall stand after this write. A later record replaces an earlier one
 * whole, so a writer may skip to the last of several. */
struct tn_record {
    uint64_t write;         /* its number: 1, 2, 3 ... within one run of the machine */
    uint64_t ceiling;       /* F1: no ballot with a counter at or above it was ever answered for */
    uint32_t configuration; /* F3: the version this acceptor answers for */
    uint32_t left;          /* F3: 1 once it has left that version, else 0 */
    /* A4: the D_Q that a restart must wait out, by table; 0: there is no such table. It is the
     * larger of the old and the new after durations have changed, until that time has passed once.
     */
    tn_time quarantine_ns[TN_TABLES_MAX];
};

/* ---- Notices ------------------------------------------------------------------------------- */

enum tn_notice_kind {
    TN_NOTICE_OPENED = 1, /* a tenure begins: this node owns the name until `deadline` (P4, M1) */
    TN_NOTICE_RENEWED,    /* the tenure goes on until `deadline` */
    TN_NOTICE_REOPENED,   /* renewed on request under a token of its own (Clients of a node) */
    TN_NOTICE_LOST,       /* the deadline passed */
    TN_NOTICE_RELEASED,   /* released, dropped or handed over, as asked */
    TN_NOTICE_FAILED,     /* an attempt ended without the lease: see `reason` and `remaining` */
    TN_NOTICE_LEARNED,    /* L1, a hint: `node` owns the name for about `remaining` */
    TN_NOTICE_FREED,      /* L1, a hint: `node` has released the name */
    TN_NOTICE_INCIDENT,   /* something an operator must see: `reason`, `node` */
    TN_NOTICE_LEFT,       /* F3: the configuration is durably left; `token` is the ceiling */
    TN_NOTICE_JOINED,     /* F3: the next configuration is open here */
};

enum tn_reason {
    TN_REASON_NONE = 0,
    TN_REASON_HELD,           /* another owner's live lease is in the way; wait `remaining` */
    TN_REASON_OUTBID,         /* a higher ballot was promised; retry with a higher one */
    TN_REASON_NO_QUORUM,      /* t_d passed before a majority had answered */
    TN_REASON_FULL,           /* acceptors have no room for another name */
    TN_REASON_EXPIRED,        /* the lease ran out before it could be renewed */
    TN_REASON_CLOCK,          /* the self-check found the clock suspended: leases count as lost */
    TN_REASON_DUPLICATE_NODE, /* two processes run as one node (a copied directory) */
    TN_REASON_COUNTER_LEAP,   /* a ballot counter absurdly far ahead was refused */
    TN_REASON_COUNTER_EXHAUSTED, /* no counters are left */
    TN_REASON_DURATIONS,         /* a peer's durations or drift bound differ */
    TN_REASON_CONFIGURATION,     /* a peer speaks for another version of the membership */
    TN_REASON_CEILING,           /* F4: the ceiling could not be made durable; silent above it */
};

struct tn_notice {
    uint8_t kind;       /* enum tn_notice_kind */
    uint8_t reason;     /* enum tn_reason */
    uint8_t table;      /* which lease table */
    uint8_t name_bytes; /* 0 where no name is concerned */
    tn_node_id node;    /* the owner or the peer concerned; 0: none or unknown */
    uint16_t reserved;
    struct tn_ballot ballot; /* of the lease or attempt concerned */
    uint64_t token;          /* the fencing token; 0: none is offered */
    uint64_t epoch;          /* M1: how many tenures of this name this node has opened */
    tn_time deadline;        /* on this node's clock; own leases only */
    tn_time remaining;       /* a span, for hints and failures */
    char name[TN_NAME_BYTES_MAX];
};

/* ---- Events -------------------------------------------------------------------------------- */

enum tn_request_kind {
    TN_REQUEST_ACQUIRE = 1, /* want the name: try until it is owned, and renew it, until released */
    TN_REQUEST_REOPEN,      /* renew now; the activation gets a token of its own */
    TN_REQUEST_RELEASE,     /* P6; no longer wanted */
    TN_REQUEST_DROP,        /* H2: release, and stand back for two leases, then want it again */
    TN_REQUEST_HAND_OVER,   /* H1: release in favour of `successor`; no longer wanted */
    TN_REQUEST_FORSAKE,     /* treat every lease held as lost, now (self-check after a suspend) */
    TN_REQUEST_LEAVE,       /* F3: durably leave the configuration; answers end */
    TN_REQUEST_JOIN,        /* F3: open `configuration` with its members and largest ceiling */
};

struct tn_request {
    uint8_t kind; /* enum tn_request_kind */
    uint8_t table;
    uint8_t name_bytes;
    uint8_t priority;       /* ACQUIRE: H3, 0 is the most preferred, at most 15 */
    tn_node_id successor;   /* HAND_OVER */
    uint8_t members_count;  /* JOIN */
    uint8_t larger_step;    /* JOIN: more than one member changed: silent D_Q after it (F3) */
    uint32_t configuration; /* JOIN */
    uint32_t reserved;
    uint64_t ceiling;                   /* JOIN: the largest reported by a majority that left */
    tn_node_id members[TN_MEMBERS_MAX]; /* JOIN */
    uint16_t reserved_end;
    char name[TN_NAME_BYTES_MAX];
};

enum tn_event_kind {
    TN_EVENT_FRAME = 1,    /* items of one frame of one sender */
    TN_EVENT_TIMER,        /* the deadline has come; harmless at any other time */
    TN_EVENT_WRITTEN,      /* every record up to `write` is durable */
    TN_EVENT_WRITE_FAILED, /* the record `write` could not be made durable */
    TN_EVENT_REQUEST,      /* of the embedding program */
    TN_EVENT_CONNECTED,    /* a connection to the member `from` was made */
};

struct tn_event {
    uint32_t kind; /* enum tn_event_kind */
    uint32_t from; /* FRAME, CONNECTED: the member's index */
    /* Read from the clock once, after the event's bytes have left the socket (T1). A stale time at
     * an acceptor would end its exclusion early. */
    tn_time now;
    uint64_t random;       /* fresh randomness for jitter */
    uint64_t restart_word; /* FRAME, CONNECTED: of the sender */
    uint64_t counter;      /* FRAME, CONNECTED: the highest ballot counter the sender has seen */
    uint64_t write;        /* WRITTEN, WRITE_FAILED */
    const struct tn_message *items; /* FRAME: borrowed until the step returns */
    uint32_t items_count;           /* FRAME: at most TN_FRAME_ITEMS_MAX */
    uint32_t reserved;
    const struct tn_request *request; /* REQUEST: borrowed until the step returns */
};

/* ---- Effects ------------------------------------------------------------------------------- */

/* What one step asks for. The caller owns the block; tn_lease_step() overwrites the counts. */
struct tn_effects {
    uint32_t records_count;
    uint32_t messages_count;
    uint32_t notices_count;
    uint32_t reserved;
    struct tn_record records[TN_EFFECT_RECORDS_MAX];
    struct tn_message messages[TN_EFFECT_MESSAGES_MAX];
    struct tn_notice notices[TN_EFFECT_NOTICES_MAX];
};

#ifdef __cplusplus
}
#endif

#endif
