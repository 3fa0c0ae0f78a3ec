/* Leases on names, agreed by a majority of members: one owner at a time (PaxosLease,
 * docs/lease.md).
 *
 * Pure: no I/O, no clock, no threads, no allocation. The caller feeds events and carries out
 * effects (event.h); node.h is a ready-made runtime that does both. One machine is one node: the
 * proposer, acceptor and learner of every name in every table. */
#ifndef TENURE_LEASE_H
#define TENURE_LEASE_H

#include <tenure/event.h>
#include <tenure/export.h>
#include <tenure/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tn_lease; /* Opaque. */

/* Seed 1's three meanings of "a master is elected": who knows who the owner is. */
enum tn_observe {
    TN_OBSERVE_ONLINE = 0, /* all members that are connected learn of it (the default) */
    TN_OBSERVE_OWNER,      /* only the owner knows; the others know that they are not */
    TN_OBSERVE_RETURNING,  /* also a member that comes back learns at once */
};

/* One lease table: names that share their durations. Zero means the default, in brackets. All
 * members of a cell must give the first three equally; they are compared at connect. */
struct tn_lease_table_options {
    tn_time proposer_ns; /* D_P: how long an owner may act on one grant. [10 s] */
    tn_time acceptor_ns; /* D_A: how long an acceptor refuses others. [the least that T2 allows] */
    tn_time quarantine_ns;  /* D_Q: silence after a restart. [the least that T3 allows] */
    tn_time renew_ns;       /* renew this long after an attempt's start; < D_P. [D_P / 3] */
    tn_time resend_ns;      /* repeat an unanswered message after this. [D_P / 16] */
    tn_time back_off_ns;    /* the largest random wait before a retry. [D_P / 20] */
    tn_time hand_over_ns;   /* H3: at most one hand-over to a preferred node in this. [10 * D_P] */
    uint32_t names_max;     /* names alive at once; sizes the table. [4096] */
    uint32_t contended_max; /* names this node may want at once. [names_max] */
    uint32_t observe;       /* enum tn_observe */
    uint32_t reserved;
};

/* One node of a cell. Zero the struct, then set what is required. */
struct tn_lease_options {
    tn_node_id members[TN_MEMBERS_MAX]; /* the voters' ids, distinct, the same order everywhere. */
    uint16_t self;                      /* the index of this node in `members`. */
    uint32_t members_count;             /* 1 to TN_MEMBERS_MAX. Required. */
    uint32_t configuration;             /* F3: the durable version of the membership. [1] */
    uint32_t left;         /* F3: 1 if that version was durably left before the restart. */
    uint32_t drift_ppm;    /* rho: clock rates are within 1 +- rho of real time. [500] */
    uint64_t restart_word; /* count of starts << 32 | random draw; never UINT64_MAX. Required. */
    uint64_t ceiling;      /* F1: the durable ceiling as read at the start. */
    /* A4: each table's D_Q as the durable words of the last run have it; 0: none. Durations are
     * changed by restarting every member, and the change waits out the larger of old and new. */
    tn_time former_quarantine_ns[TN_TABLES_MAX];
    uint32_t diskless;     /* 1: no durable words, so no F1/F2 and no fencing token. */
    uint32_t tables_count; /* 1 to TN_TABLES_MAX. [1] */
    uint64_t random;       /* seed of the hash of names: draw it afresh at every start. */
    struct tn_lease_table_options tables[TN_TABLES_MAX];
};

/* Fill in the defaults and check every relation, T2 and T3 among them. Writes the reason, naming
 * the field and the way out, into `why` (may be NULL). Errors: TN_ERROR_INVALID. */
TN_EXPORT int tn_lease_options_complete(struct tn_lease_options *options, char *why,
                                        size_t why_size);

/* The least D_A (T2) or D_Q (T3) for a D_P: proposer_ns * (1 + rho) / (1 - rho), rounded up. */
TN_EXPORT tn_time tn_lease_exclusion_ns(tn_time proposer_ns, uint32_t drift_ppm);

/* Bytes that tn_lease_init() needs for completed options. */
TN_EXPORT size_t tn_lease_size(const struct tn_lease_options *options);

/* Build a machine in `memory`: zeroed, aligned to 64 bytes, tn_lease_size() bytes, the caller's
 * until the last call. Options must be completed. A4: the quarantine begins at `now`. */
TN_EXPORT struct tn_lease *tn_lease_init(void *memory, const struct tn_lease_options *options,
                                         tn_time now);

/* Take one event, say what to do about it. Cannot fail: what a peer sends is checked, and what is
 * wrong with it is counted (tn_lease_counters()). Does bounded work; what is left over keeps
 * tn_lease_deadline() in the past. */
TN_EXPORT void tn_lease_step(struct tn_lease *lease, const struct tn_event *event,
                             struct tn_effects *effects);

/* When a TN_EVENT_TIMER is due next, or TN_TIME_NEVER. */
TN_EXPORT tn_time tn_lease_deadline(const struct tn_lease *lease);

/* What this node knows of one name. */
struct tn_lease_view {
    uint8_t owned;   /* this node owns it: act until `deadline`, no longer */
    uint8_t wanted;  /* this node tries to own it or renews it */
    uint8_t certain; /* 0: `node` is a hint, good for finding the owner, never for acting (L1) */
    uint8_t table;
    uint8_t name_bytes;
    uint8_t reserved[1];
    tn_node_id node;         /* the owner as far as this node knows; 0: none known */
    struct tn_ballot ballot; /* of the lease */
    uint64_t token;          /* fencing token of an owned tenure, or learned; 0: none */
    uint64_t epoch;          /* M1 */
    tn_time deadline;        /* owned: t_d on this node's clock; else 0 */
    tn_time remaining;       /* until then, or as the hint says */
    char name[TN_NAME_BYTES_MAX];
};

/* Look up one name. Errors: TN_ERROR_NOT_FOUND (nothing is known of it: `view` says free). */
TN_EXPORT int tn_lease_who(const struct tn_lease *lease, uint32_t table, const char *name,
                           uint32_t name_bytes, tn_time now, struct tn_lease_view *view);

/* Walk the names of a table: start with *cursor = 0; each call fills one view and advances. Returns
 * false at the end. Names that come and go meanwhile may or may not be seen. */
TN_EXPORT bool tn_lease_next(const struct tn_lease *lease, uint32_t table, uint32_t *cursor,
                             tn_time now, struct tn_lease_view *view);

/* Counters, ever growing; one line of the table is one field and one metric. */
#define TN_LEASE_COUNTER_TABLE(X)                                                                  \
    X(attempts, "attempts started (P1)")                                                           \
    X(tenures, "tenures opened (P4)")                                                              \
    X(renewals, "leases renewed (P4)")                                                             \
    X(losses, "leases lost: the deadline passed")                                                  \
    X(releases, "leases released (P6)")                                                            \
    X(abandons, "attempts abandoned (P5)")                                                         \
    X(promises, "promises given (A1)")                                                             \
    X(closed, "prepares answered closed: another owner's lease is live (A1)")                      \
    X(rejected, "prepares rejected: a higher promise stands (A1)")                                 \
    X(accepted, "accepts granted (A2)")                                                            \
    X(refused, "accepts refused (A2)")                                                             \
    X(cleared, "leases cleared by a release (A3)")                                                 \
    X(unmatched, "releases that matched nothing (A3)")                                             \
    X(expired, "accepted leases that ran out")                                                     \
    X(dropped, "names dropped, their promises folded into the floor (F2)")                         \
    X(quarantined, "messages not answered during the quarantine (A4)")                             \
    X(duplicates, "messages refused: a copied directory (A1, A2)")                                 \
    X(leaps, "messages refused: a counter absurdly far ahead")                                     \
    X(misdirected, "messages refused: the ballot is not the sender's, or not the addressee's")     \
    X(configurations, "messages refused: another configuration (F3)")                              \
    X(durations, "prepares refused: other durations")                                              \
    X(malformed, "messages refused: a field out of range")                                         \
    X(late, "answers dropped: not the attempt in flight")                                          \
    X(full, "messages refused: the table of names is full")                                        \
    X(ceilings, "ceiling writes asked for (F1)")                                                   \
    X(ceiling_failures, "ceiling writes that failed (F4)")                                         \
    X(ceiling_silences, "ballots not answered for: the ceiling could not be raised (F4)")

struct tn_lease_counters {
#define TN_LEASE_COUNTER_FIELD(name, sentence) uint64_t name;
    TN_LEASE_COUNTER_TABLE(TN_LEASE_COUNTER_FIELD)
#undef TN_LEASE_COUNTER_FIELD
};

TN_EXPORT void tn_lease_counters(const struct tn_lease *lease, struct tn_lease_counters *counters);

/* The state of the node's own words and of one table's load. */
struct tn_lease_status {
    uint64_t restart_word;
    uint64_t counter;       /* the highest ballot counter seen: goes into each frame's header */
    uint64_t ceiling;       /* durable; 0 when diskless */
    uint32_t configuration; /* F3 */
    uint32_t left;          /* F3 */
    tn_time quarantine_end; /* A4, the latest of the tables' */
    uint32_t names_count;   /* names alive, over all tables */
    uint32_t owned_count;   /* leases held by this node */
    uint32_t members_count;
    uint32_t ceiling_failed; /* F4 is in force */
    tn_node_id members[TN_MEMBERS_MAX];
    uint16_t self;
};

TN_EXPORT void tn_lease_status(const struct tn_lease *lease, tn_time now,
                               struct tn_lease_status *status);

/* The digest of one table's D_P, D_A, D_Q and of rho that every Prepare carries. */
TN_EXPORT uint32_t tn_lease_durations_digest(const struct tn_lease_table_options *table,
                                             uint32_t drift_ppm);

/* Verify every internal invariant (docs/lease.md, "Invariants"): aborts with the violated one. For
 * tests: it walks all records. */
TN_EXPORT void tn_lease_check(const struct tn_lease *lease, tn_time now);

#ifdef __cplusplus
}
#endif

#endif
