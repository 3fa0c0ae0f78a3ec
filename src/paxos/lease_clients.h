/* The clients of a node: who of them holds a name while the node owns it, and who is next.
 *
 * The owner in the protocol is a node's incarnation; clients hold through it ("Clients of a node"
 * in docs/lease.md). Per name there is a queue, first come first served, and at most one holder:
 *
 *              first client: ACQUIRE                OPENED
 *     (unused) ---------------------> ASKED ------------------> HELD <-----------+
 *        ^                             ^  | priority > 0:        |               |
 *        |                             |  | pin, REOPEN          | holder ends,  | REOPENED
 *        |                        LOST |  v                      v queue: REOPEN |
 *        |                             +--------------------- REOPENING ---------+
 *        +--- nobody holds and nobody waits: RELEASE (any state)
 *
 * Rules
 *   C1  a name goes to the next client only after the former one released it, or after the former
 *       one's connection is gone AND its time has run out, or after the node lost the lease.
 *   C2  time is counted from the client's send: what is told as valid is the span from the receipt
 * of the request to the end, times 1 - 2 rho, which is at most (1 - rho) / (1 + rho): whatever the
 *       two clocks do within rho, the client's count is over before the end on this node's clock.
 *   C3  no client is told a time beyond the deadline of the node's own lease.
 *   C4  each holding has a token of its own: that of the activation that was asked for after the
 *       client was chosen (OPENED or REOPENED), so tokens of a name rise strictly.
 *   C5  while a client holds, the machine is not to hand the name over by itself (H3): a priority
 *       is for competing only, and is pinned to the best before the name is granted.
 *   C6  a hand-over (H1) waits for the holder: it is no longer renewed, and the name goes when it
 *       releases or its time has run out.
 *
 * Invariants (tn__lease_clients_check)
 *   1  HELD exactly if the name has a holder
 *   2  a name in use has a holder or somebody waiting
 *   3  every client in use stands in exactly one queue or holds exactly one name
 *   4  a try waits only at the head of its queue, and not while a client holds
 *   5  what a holder was told lies within the node's lease as of then, and ends no later than the
 *      holding does
 *   6  who has an end is in the heap of ends at it: every waiter; every holder but a connected
 * session that is not ending
 *
 * Pure; one block of memory taken at init. Relies on the caller for: times of one clock that never
 * go back; requests put out are carried out before any event but the notices of the step in
 * progress is given; notices come in the order in which the machine put them out. */
#ifndef TN_PAXOS_LEASE_CLIENTS_H
#define TN_PAXOS_LEASE_CLIENTS_H

#include <tenure/event.h>
#include <tenure/types.h>

/* Clients that hold or wait at one node. Ids keep a slot in their low 24 bits. */
#define TN__CLIENTS_MAX (1U << 20)
#define TN__CLIENTS_DEFAULT (1U << 16)

/* An address as shown by who: an IPv6 address with a scope and a port. */
#define TN__CLIENT_ADDRESS_BYTES_MAX 63

/* A wait or a holding without renewal longer than a day is a mistake; below 10 ms it is noise. */
#define TN__CLIENT_TTL_NS_MIN (10 * TN_MILLISECOND)
#define TN__CLIENT_TTL_NS_MAX (86400 * TN_SECOND)

struct tn__lease_clients; /* Opaque. */

struct tn__lease_clients_options {
    uint32_t clients_max; /* at most TN__CLIENTS_MAX */
    uint32_t drift_ppm;   /* rho */
    uint32_t tables_count;
    uint32_t reserved;
    uint64_t random;                    /* fresh: ids of this run are not those of the last */
    tn_time proposer_ns[TN_TABLES_MAX]; /* D_P of each table */
};

/* Why a call, or a wait, ended without the name, or a holding was lost. */
enum tn__client_verdict {
    TN__CLIENT_OK = 0,
    TN__CLIENT_HELD,       /* another owner or another client holds */
    TN__CLIENT_TIMEOUT,    /* the wait's limit passed */
    TN__CLIENT_NO_QUORUM,  /* a majority did not answer */
    TN__CLIENT_FULL,       /* the members have no room for another name */
    TN__CLIENT_BUSY,       /* this node has no room for another client */
    TN__CLIENT_NO_HOLDING, /* ended, or never was */
    TN__CLIENT_ENDING,     /* C6: it is being handed over */
    TN__CLIENT_NOT_OWNER,  /* hand-over of what this node does not own */
    TN__CLIENT_EXPIRED,    /* lost: the node's lease ran out */
    TN__CLIENT_HANDED_OVER,
};

enum tn__client_answer_kind {
    TN__CLIENT_GRANTED = 1,
    TN__CLIENT_RENEWED,  /* to sessions: the node renewed its lease */
    TN__CLIENT_LEAVING,  /* to sessions: C6, it will not be renewed again */
    TN__CLIENT_LOST,     /* to sessions, `verdict` */
    TN__CLIENT_RELEASED, /* to sessions: released by a call */
    TN__CLIENT_FAILED,   /* the wait ended without the name: `verdict` */
};

/* What a client is told. `cookie` is what the caller gave with its acquire. */
struct tn__client_answer {
    uint8_t kind;      /* enum tn__client_answer_kind */
    uint8_t verdict;   /* enum tn__client_verdict */
    tn_node_id node;   /* HELD: the owner, as far as known; 0: a client of this node, or unknown */
    uint32_t renewals; /* how many renew calls preceded: which send valid_ns counts from */
    uint64_t cookie;
    uint64_t holding;
    uint64_t token;   /* 0: none is offered */
    tn_time valid_ns; /* C2: counted from the client's send */
    tn_time ttl_ns;
    tn_time remaining; /* HELD: when it may be free; a hint */
    uint8_t table;     /* what it is about; name_bytes 0: a call that was refused at once */
    uint8_t name_bytes;
    char name[TN_NAME_BYTES_MAX];
};

#define TN__CLIENT_ANSWERS_MAX 40
#define TN__CLIENT_REQUESTS_MAX 40

/* What one call asks its caller to do: answers first, then the requests, in order. The caller's. */
struct tn__lease_clients_output {
    uint32_t answers_count;
    uint32_t requests_count;
    struct tn__client_answer answers[TN__CLIENT_ANSWERS_MAX];
    struct tn_request requests[TN__CLIENT_REQUESTS_MAX];
};

size_t tn__lease_clients_size(const struct tn__lease_clients_options *options);

/* Build in `memory`: zeroed, aligned to 64 bytes, the caller's until the last call. */
struct tn__lease_clients *tn__lease_clients_init(void *memory,
                                                 const struct tn__lease_clients_options *options);

/* Each call below overwrites the counts of its output. */

struct tn__client_acquire {
    uint64_t cookie;
    tn_time now;       /* of the receipt */
    tn_time wait_ns;   /* 0: try */
    tn_time ttl_ns;    /* within TN__CLIENT_TTL_NS_*; 0: the table's D_P */
    tn_time remaining; /* of the lease the learner knows of; 0: none known */
    tn_node_id node;   /* its owner */
    uint8_t session;   /* the holding lasts as long as the connection */
    uint8_t table;
    uint8_t priority; /* H3, at most 15 */
    uint8_t name_bytes;
    uint8_t label_bytes;
    uint8_t address_bytes;
    const char *name;
    const char *label;
    const char *address;
};

struct tn__client_place {
    uint64_t holding;  /* of the waiter, and of its holding later */
    uint32_t position; /* 0: next */
};

/* A client wants a name. OK: it waits (or was granted already, as the output says): `place` is
 * filled in. Else the verdict why not: HELD, BUSY; and `refused` says what is known of the owner.
 */
enum tn__client_verdict tn__lease_clients_acquire(struct tn__lease_clients *clients,
                                                  const struct tn__client_acquire *acquire,
                                                  struct tn__client_place *place,
                                                  struct tn__client_answer *refused,
                                                  struct tn__lease_clients_output *output);

/* A holder asks for more time. OK: `renewed` is filled in. NO_HOLDING, ENDING. ttl_ns 0: as before.
 */
enum tn__client_verdict tn__lease_clients_renew(struct tn__lease_clients *clients, uint64_t holding,
                                                tn_time ttl_ns, tn_time now,
                                                struct tn__client_answer *renewed);

/* A holder has stopped, or a waiter gives up. OK, NO_HOLDING. */
enum tn__client_verdict tn__lease_clients_release(struct tn__lease_clients *clients,
                                                  uint64_t holding, tn_time now,
                                                  struct tn__lease_clients_output *output);

/* The connection of that acquire is gone: a wait is cancelled, a session's time runs out (C1).
 * Harmless for ids that have ended. */
void tn__lease_clients_gone(struct tn__lease_clients *clients, uint64_t holding, tn_time now,
                            struct tn__lease_clients_output *output);

/* H1, C6. OK: done, the output holds the request; ENDING: `remaining` says how long until the
 * holder's time has run out at the latest; NOT_OWNER. */
enum tn__client_verdict tn__lease_clients_hand_over(struct tn__lease_clients *clients,
                                                    uint8_t table, const char *name,
                                                    uint32_t name_bytes, tn_node_id successor,
                                                    tn_time now, tn_time *remaining,
                                                    struct tn__lease_clients_output *output);

/* A notice of the machine. */
void tn__lease_clients_notice(struct tn__lease_clients *clients, const struct tn_notice *notice,
                              tn_time now, struct tn__lease_clients_output *output);

/* The deadline has come; harmless at any other time. Does bounded work. */
void tn__lease_clients_timer(struct tn__lease_clients *clients, tn_time now,
                             struct tn__lease_clients_output *output);

/* When tn__lease_clients_timer() is due next, or TN_TIME_NEVER. */
tn_time tn__lease_clients_deadline(const struct tn__lease_clients *clients);

/* What clients make of one name. Texts are borrowed until the next call that changes anything. */
struct tn__lease_clients_view {
    bool used; /* somebody holds or waits: the machine's lease on it is the clients' */
    bool held;
    uint32_t waiting;
    uint8_t label_bytes;
    uint8_t address_bytes;
    const char *label;
    const char *address;
    tn_time since;     /* when it was granted */
    tn_time remaining; /* until the holding ends unless renewed */
};

void tn__lease_clients_who(const struct tn__lease_clients *clients, uint8_t table, const char *name,
                           uint32_t name_bytes, tn_time now, struct tn__lease_clients_view *view);

#define TN__LEASE_CLIENTS_COUNTER_TABLE(X)                                                         \
    X(granted, "holdings granted to clients")                                                      \
    X(renewed, "renewals asked for by clients")                                                    \
    X(released, "holdings released by clients")                                                    \
    X(ran_out, "holdings whose time ran out")                                                      \
    X(lost, "holdings lost with the node's lease")                                                 \
    X(cancelled, "waits given up by clients")                                                      \
    X(refused_held, "acquires refused: held by another")                                           \
    X(refused_timeout, "acquires refused: the wait was over")                                      \
    X(refused_no_quorum, "acquires refused: no majority answered")                                 \
    X(refused_full, "acquires refused: the members have no room for the name")                     \
    X(refused_busy, "acquires refused: this node has no room for the client")                      \
    X(no_holding, "calls about holdings that have ended")                                          \
    X(handed_over, "names handed over on request")

struct tn__lease_clients_status {
    uint32_t holding;
    uint32_t waiting;
    uint32_t names;
    uint32_t reserved;
#define TN__LEASE_CLIENTS_COUNTER_FIELD(name, sentence) uint64_t name;
    TN__LEASE_CLIENTS_COUNTER_TABLE(TN__LEASE_CLIENTS_COUNTER_FIELD)
#undef TN__LEASE_CLIENTS_COUNTER_FIELD
};

void tn__lease_clients_status(const struct tn__lease_clients *clients,
                              struct tn__lease_clients_status *status);

/* C2: what may be told of a span from a receipt to an end on this node's clock. */
tn_time tn__lease_clients_valid(tn_time received, tn_time end, uint32_t drift_ppm);

/* Verify the invariants; aborts with the violated one. Walks everything: for tests. */
void tn__lease_clients_check(const struct tn__lease_clients *clients, tn_time now);

#endif
