/* A node: the ready-made runtime of the lease machine (lease.h), on one thread of its own.
 *
 * tn_node_open() reads the durable words, listens, connects to the other members and runs the
 * machine on a thread, "the loop". A program then says which names it wants (tn_node_lease_open())
 * and asks, before each act that needs the lease, whether it owns it (tn_node_lease_owned()).
 *
 * Threads. Every function here says from where it may be called:
 *   [any]       from any thread, callbacks included;
 *   [not loop]  from any thread but the loop: it waits for the loop. From a callback it returns
 *               TN_ERROR_WRONG_THREAD and does nothing.
 * Callbacks run on the loop thread, one at a time, never before the call that names them has begun;
 * on_log alone also runs on the thread that is inside tn_node_open(). A callback must not block:
 * while it runs nothing is renewed. It may call everything marked [any]; what it asks of a lease is
 * carried out after it has returned, in the same turn. tn_node_stop() inside a callback is allowed:
 * the callback finishes, nothing further is started, and what is held is released. tn_node_close()
 * inside a callback is refused: it would wait for itself.
 *
 * Ownership of memory. Options, texts and names given to a function are copied before it returns.
 * What a callback is given is borrowed until it returns. A node and its leases are freed by their
 * _close(), and no other call may be running on them, or follow, then.
 *
 * Sources: docs/lease.md (the rules), docs/runtime.md (how the loop turns). */
#ifndef TENURE_NODE_H
#define TENURE_NODE_H

#include <tenure/error.h>
#include <tenure/event.h>
#include <tenure/export.h>
#include <tenure/lease.h>
#include <tenure/limits.h>
#include <tenure/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tn_node;       /* Opaque: one member of a cell. */
struct tn_node_lease; /* Opaque: one name that this program wants. */

/* ---- Options ------------------------------------------------------------------------------- */

/* How loud a line of the log is. */
enum tn_log_level {
    TN_LOG_ERROR = 1, /* something does not work and will not mend itself */
    TN_LOG_WARNING,   /* something an operator should see */
    TN_LOG_INFO,      /* what happens in a normal life: started, connected, owner changed */
    TN_LOG_DEBUG,
};

/* One member of the cell, as all members list it. */
struct tn_node_member {
    const char *name;         /* 1 to TN_MEMBER_NAME_BYTES_MAX of letters, digits, '.', '_', '-' */
    const char *peer_address; /* "HOST:PORT": a host name, an IPv4 address, or [an IPv6 address] */
    tn_node_id id;            /* 0 for all: 1, 2, 3 ... in the byte order of the names */
};

/* A lease table and the name that people call it by. */
struct tn_node_table {
    const char *name; /* 1 to TN_NAME_BYTES_MAX bytes, as a member's */
    struct tn_lease_table_options options;
};

/* Certificates in PEM files. With all three NULL the connections are plain. The other side must
 * show a certificate that `ca_file` vouches for, in both directions; who dials also checks that it
 * is made out to the host (DNS name or IP address) that was dialled. */
struct tn_node_tls {
    const char *ca_file;
    const char *certificate_file;
    const char *key_file;
};

/* Zero the struct, then set what differs from the defaults, in brackets. */
struct tn_node_options {
    const char *name;    /* of this member; must be in `members`. ["default"] */
    const char *cluster; /* name of the cell: members of differing clusters refuse each other.
                            1 to TN_NAME_BYTES_MAX bytes. ["tenure"] */

    const struct tn_node_member *members; /* all voters, this node included. [this node alone] */
    uint32_t members_count;               /* at most TN_MEMBERS_MAX */
    uint32_t drift_ppm;                   /* rho, equal at all members. [500] */

    const struct tn_node_table *tables; /* equal at all members, in the same order. [two tables:
                                           "names", 10 s, and "leader", 1 s] */
    uint32_t tables_count;              /* at most TN_TABLES_MAX */

    /* An empty data directory does not vote: it may be one whose words were lost. 1 says that this
     * node has never voted under its identity and may begin now. A cell of one needs no saying. */
    uint32_t bootstrap;
    const char *data_dir; /* holds the durable words; is created. NULL: diskless, and then no
                             fencing token is offered (every token is 0). [NULL] */

    const char *listen_peer; /* "HOST:PORT" to listen on for members. [this member's
                                peer_address; a cell of one does not listen] */
    struct tn_node_tls peer_tls;
    uint32_t peer_plain; /* 1: no TLS between members, by choice. Loopback needs no saying. */

    uint32_t client_plain;     /* the same for clients */
    const char *listen_client; /* "HOST:PORT" of the client API (docs/api.md). [NULL: none] */
    struct tn_node_tls client_tls;
    const char *client_url; /* where clients find this node, shown to members; at most
                               TN_CLIENT_URL_BYTES_MAX. [made from listen_client] */

    /* Groups (group.h). */
    uint32_t appliers_count;    /* threads that execute, 1 to 64; groups share them. [1] */
    uint64_t log_segment_bytes; /* of the log's files, 1 MiB to 4 GiB. [64 MiB] */
    /* 1: the log is written by a thread even where the kernel could do it beside the loop
     * (io_uring, on file systems that write directly). [0] */
    uint32_t log_by_thread;
    /* C2: what members that lag get from this node's disk in a second, all together, 1 MiB to
     * 64 GiB; an entry counts as 256 bytes at least. The more, the sooner they are back, and the
     * longer commits take meanwhile: both need the same processors, network and disks. [120 MiB] */
    uint64_t catch_up_bytes_per_second;

    /* Every notice of the machine: see enum tn_notice_kind. On the loop thread. [none] */
    void (*on_notice)(struct tn_node *node, const struct tn_notice *notice, void *data);
    /* A line for a person, without a line end. [none] */
    void (*on_log)(enum tn_log_level level, const char *text, void *data);
    void *data; /* handed to both */
};

/* ---- The node ------------------------------------------------------------------------------ */

/* Start a member [not loop of another node's callback: it reads and writes files]. On success
 * `*node` is the caller's until tn_node_close(). On failure `*node` is NULL and `why` (may be NULL)
 * says in a sentence what is wrong and what to do. The node is a learner at once and votes once D_Q
 * has passed (A4). A member that cannot be reached is no error: it is dialled until it answers.
 * Errors:
 *   TN_ERROR_INVALID         an option is out of range, or options contradict each other, or
 *                            `data_dir` is no directory
 *   TN_ERROR_NO_MEMORY       no memory for tables of this size, or no thread
 *   TN_ERROR_IO              a file or socket operation failed
 *   TN_ERROR_NOT_FOUND       the data directory is empty and `bootstrap` is not set (V4), or its
 *                            parent directory does not exist
 *   TN_ERROR_DAMAGED         the durable words are damaged or missing: this identity votes no more
 *   TN_ERROR_LOCKED          another process uses the data directory
 *   TN_ERROR_NOT_EMPTY       the directory belongs to another cell or node, or holds other files
 *   TN_ERROR_VERSION         the directory was written by a version that is not understood
 *   TN_ERROR_DISK_FULL, TN_ERROR_READ_ONLY   the restart word cannot be written
 *   TN_ERROR_ADDRESS_IN_USE  another program listens on one of the two ports
 *   TN_ERROR_TLS             a certificate or key file cannot be used */
TN_EXPORT int tn_node_open(struct tn_node **node, const struct tn_node_options *options, char *why,
                           size_t why_size);

/* Begin to stop, and return at once [any; also safe in a signal handler]: releases every lease held
 * (P6), says so to the members and ends the loop. tn_node_close() must still follow. */
TN_EXPORT void tn_node_stop(struct tn_node *node);

/* Stop, wait for the loop to end, free everything [not loop]. Leases still open are closed and
 * their handles are freed with the node. Output is flushed for at most TN_STOP_FLUSH_NS. NULL is
 * allowed. Errors: TN_ERROR_WRONG_THREAD. */
TN_EXPORT int tn_node_close(struct tn_node *node);

/* ---- Leases --------------------------------------------------------------------------------- */

struct tn_node_lease_options {
    uint32_t priority; /* H3: 0 is the most preferred, at most 15. [0] */
    /* What happens to the name at this node: opened, renewed, lost, released, failed (event.h). On
     * the loop thread; the lease's words are up to date when it runs. [none] */
    void (*on_change)(struct tn_node_lease *lease, const struct tn_notice *notice, void *data);
    void *data;
};

/* From now on this node wants `name` of the table: it tries to own it, renews it, and tries again
 * when it is lost, until told otherwise [any]. `name` is 1 to TN_NAME_BYTES_MAX bytes; `options`
 * may be NULL. Errors: TN_ERROR_INVALID; TN_ERROR_NOT_FOUND (no such table); TN_ERROR_BUSY (a lease
 * on that name is open at this node already, or its clients use the name, or too many requests
 * wait); TN_ERROR_FULL (no room for another name); TN_ERROR_NO_MEMORY; TN_ERROR_CLOSED. */
TN_EXPORT int tn_node_lease_open(struct tn_node *node, const char *table, const char *name,
                                 const struct tn_node_lease_options *options,
                                 struct tn_node_lease **lease);

/* Does this node own the name at this moment? [any; no lock, no system call: two reads of the clock
 * by the vdso]. True only while the clock stands before the deadline and no suspend was passed over
 * unnoticed. `token` gets the fencing token of the tenure (0: none is offered), `deadline` the time
 * on CLOCK_BOOTTIME until which the answer holds unless the lease is released; either may be NULL;
 * both are 0 when the answer is false. */
TN_EXPORT bool tn_node_lease_owned(const struct tn_node_lease *lease, uint64_t *token,
                                   tn_time *deadline);

/* Wait until the name is owned, at most `timeout_ns` (TN_TIME_NEVER: without limit) [not loop].
 * Errors: TN_ERROR_TIMEOUT, TN_ERROR_CLOSED (the node stops), TN_ERROR_WRONG_THREAD. */
TN_EXPORT int tn_node_lease_wait(struct tn_node_lease *lease, uint64_t timeout_ns);

/* Want the name again, after a release or a hand-over [any]. Errors: TN_ERROR_BUSY,
 * TN_ERROR_CLOSED. */
TN_EXPORT int tn_node_lease_acquire(struct tn_node_lease *lease);

/* Begin a new tenure without letting go: a renewal that gets a token of its own, told by
 * TN_NOTICE_REOPENED [any]. Errors: TN_ERROR_BUSY, TN_ERROR_CLOSED. */
TN_EXPORT int tn_node_lease_reopen(struct tn_node_lease *lease);

/* P6: let go of the name, and want it no longer [any]. Finish what needs the lease before calling:
 * the next owner may act at once. Outside callbacks tn_node_lease_owned() is false when this
 * returns. Errors: TN_ERROR_BUSY, TN_ERROR_CLOSED (then the node's stop releases it). */
TN_EXPORT int tn_node_lease_release(struct tn_node_lease *lease);

/* H2: let go, stand back for two leases, then want it again [any]. Errors: as release. */
TN_EXPORT int tn_node_lease_drop(struct tn_node_lease *lease);

/* H1: let go in favour of a member, for whom the others stand back for one back-off; no longer
 * wanted [any]. Errors: TN_ERROR_NOT_FOUND (no such member); TN_ERROR_NOT_OWNER (outside callbacks:
 * this node does not own the name, nothing is changed); as release. */
TN_EXPORT int tn_node_lease_hand_over(struct tn_node_lease *lease, const char *member);

/* Release if owned, and free the handle: no callback of it runs after this has returned [any;
 * inside a callback the handle may be the one called back]. NULL is allowed. */
TN_EXPORT void tn_node_lease_close(struct tn_node_lease *lease);

/* ---- What the node knows -----------------------------------------------------------------------
 */

/* Look up a name, as tn_lease_who() [any]. Errors: TN_ERROR_NOT_FOUND (no such table, or nothing is
 * known of the name: `view` says free); TN_ERROR_INVALID; TN_ERROR_BUSY; TN_ERROR_CLOSED. */
TN_EXPORT int tn_node_who(struct tn_node *node, const char *table, const char *name,
                          struct tn_lease_view *view);

enum tn_member_state {
    TN_MEMBER_SELF = 1,
    TN_MEMBER_CONNECTED,  /* greeted, and heard of lately */
    TN_MEMBER_CONNECTING, /* being dialled or greeted, or awaited: the lower id is dialled */
    TN_MEMBER_WAITING,    /* could not be reached; dialled again soon: see `error` and `why` */
    TN_MEMBER_REFUSED,    /* one side refused the other: see `error` and `why`; tried again */
};

struct tn_node_member_status {
    tn_node_id id;
    uint16_t state;          /* enum tn_member_state */
    int32_t error;           /* of the last failure, 0 while connected */
    uint64_t restart_word;   /* of the incarnation last greeted; 0: never */
    uint64_t connects_count; /* connections greeted so far */
    tn_time connected_ns;    /* how long the present connection has lasted; 0: none */
    char name[TN_MEMBER_NAME_BYTES_MAX + 1];
    char address[TN_ADDRESS_BYTES_MAX + 1];
    char client_url[TN_CLIENT_URL_BYTES_MAX + 1]; /* as the member said; "": unknown */
    char why[TN_WHY_BYTES_MAX + 1];
};

struct tn_node_table_status {
    char name[TN_NAME_BYTES_MAX + 1];
    struct tn_lease_table_options options; /* completed */
};

/* Ever growing counters of the runtime; one line is one field and one metric. */
#define TN_NODE_COUNTER_TABLE(X)                                                                   \
    X(turns, "turns of the loop that did something")                                               \
    X(frames_in, "frames received from members")                                                   \
    X(frames_out, "frames sent to members")                                                        \
    X(items_in, "messages received from members")                                                  \
    X(items_out, "messages sent to members")                                                       \
    X(bytes_in, "bytes received from members")                                                     \
    X(bytes_out, "bytes sent to members")                                                          \
    X(items_unsent, "messages dropped: the member was not connected")                              \
    X(connects, "connections to members that were greeted")                                        \
    X(disconnects, "greeted connections that ended")                                               \
    X(refusals, "connections refused in the greeting")                                             \
    X(strangers, "connections closed: no greeting in time, or too many at once")                   \
    X(garbage, "connections cut: bytes that are no valid frame")                                   \
    X(floods, "connections cut: the other side does not read what it is sent")                     \
    X(bulk_dropped, "frames of log entries dropped: the member does not read them fast enough")    \
    X(log_messages_in, "messages of logs received")                                                \
    X(log_messages_out, "messages of logs sent")                                                   \
    X(log_messages_unsent, "messages of logs dropped: no connection, or too much waits on it")     \
    X(log_messages_stray, "messages of logs dropped: no such group here, or no memory")            \
    X(log_batches, "batches written to the log, one sync each")                                    \
    X(log_bytes, "bytes of records written to the log")                                            \
    X(silences, "connections cut: nothing was heard of the member")                                \
    X(writes, "durable words written")                                                             \
    X(write_failures, "durable words that could not be written")                                   \
    X(timers, "timer events")                                                                      \
    X(suspends, "times the self-check found the clock suspended or the loop stopped")              \
    X(requests_refused, "requests refused: too many waited")

struct tn_node_counters {
#define TN_NODE_COUNTER_FIELD(name, sentence) uint64_t name;
    TN_NODE_COUNTER_TABLE(TN_NODE_COUNTER_FIELD)
#undef TN_NODE_COUNTER_FIELD
};

struct tn_node_status {
    char name[TN_MEMBER_NAME_BYTES_MAX + 1];
    char cluster[TN_NAME_BYTES_MAX + 1];
    tn_node_id id;
    uint16_t diskless;
    uint32_t connected_count; /* members connected, this node included */
    uint32_t members_count;
    uint32_t tables_count;
    tn_time now;   /* this node's clock */
    tn_time up_ns; /* since tn_node_open() */
    uint32_t drift_ppm;
    uint32_t leases_count; /* handles open */
    struct tn_lease_status lease;
    struct tn_lease_counters lease_counters;
    struct tn_node_counters counters;
    struct tn_node_member_status members[TN_MEMBERS_MAX]; /* in the order of their ids */
    struct tn_node_table_status tables[TN_TABLES_MAX];
};

/* How the node and its members are [any]. About 12 KiB: not for small stacks.
 * Errors: TN_ERROR_BUSY, TN_ERROR_CLOSED. */
TN_EXPORT int tn_node_status(struct tn_node *node, struct tn_node_status *status);

#ifdef __cplusplus
}
#endif

#endif
