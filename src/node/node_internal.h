/* The inside of a node, shared by the files of this folder; nobody else includes it.
 *
 *   node_config.c   options checked and copied; ids, tables, cluster id
 *   node.c          open, the loop's thread, stop, close
 *   node_turn.c     the turn: events in, effects out (paxos/driver.h), one frame a peer
 *   node_timer.c    the timer on CLOCK_BOOTTIME, and the self-check for suspends
 *   node_words.c    durable words, written by a thread beside the loop
 *   node_calls.c    calls of other threads, carried out on the loop
 *   node_lease.c    handles of names, and the words that any thread may read
 *   node_status.c   who, status
 *   node_client.c, api_*.c, metrics.c   the client API, a guest: struct tn__node_front
 *
 * Everything here belongs to the loop's thread, but for what is marked [any]. docs/runtime.md walks
 * a message and a renewal through these files. */
#ifndef TN_NODE_INTERNAL_H
#define TN_NODE_INTERNAL_H

/* uv.h needs more of the system's headers than plain C17 shows. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <pthread.h>
#include <stdatomic.h>

#include <tenure/group.h>
#include <tenure/node.h>

#include "net/listener.h"
#include "net/peers.h"
#include "paxos/driver.h"
#include "store/words.h"
#include "wire/frame_builder.h"

/* ---- Configuration: a checked copy of the options --------------------------------------- */

struct tn__node_tls_files {
    bool used;
    char ca_file[1024];
    char certificate_file[1024];
    char key_file[1024];
};

struct tn__node_config {
    char name[TN_MEMBER_NAME_BYTES_MAX + 1];
    char cluster[TN_NAME_BYTES_MAX + 1];
    uint8_t cluster_id[16];
    struct tn__peers_member members[TN_MEMBERS_MAX]; /* in the order of their ids */
    tn_node_id ids[TN_MEMBERS_MAX];
    uint32_t members_count;
    uint32_t self;
    uint32_t drift_ppm;
    char table_names[TN_TABLES_MAX][TN_NAME_BYTES_MAX + 1];
    struct tn_lease_options lease; /* tables completed; words filled in at open */
    uint32_t appliers_count;
    uint64_t log_segment_bytes;
    uint64_t catch_up_bytes_per_second;
    bool log_by_thread;
    bool bootstrap;
    bool diskless;
    char data_dir[1024];
    char listen_peer[TN_ADDRESS_BYTES_MAX + 1];   /* "": does not listen */
    char listen_client[TN_ADDRESS_BYTES_MAX + 1]; /* "": no client API */
    char client_url[TN_CLIENT_URL_BYTES_MAX + 1]; /* "" until the port is bound, if not given */
    struct tn__node_tls_files peer_tls;
    struct tn__node_tls_files client_tls;
    void (*on_notice)(struct tn_node *node, const struct tn_notice *notice, void *data);
    void (*on_log)(enum tn_log_level level, const char *text, void *data);
    void *data;
};

/* Errors: TN_ERROR_INVALID, with the option named in `why`. */
int tn__node_config_take(struct tn__node_config *config, const struct tn_node_options *options,
                         char *why, size_t why_size);

/* The index of a table or member by name; -1: there is none. */
int32_t tn__node_config_table(const struct tn__node_config *config, const char *name);
int32_t tn__node_config_member(const struct tn__node_config *config, const char *name);

/* ---- The client API as the node sees it ------------------------------------------------- */

/* A guest on the loop. All functions are set, or `context` is NULL and there is none. */
struct tn__node_front {
    void *context;
    /* A notice of the machine, within the step that made it. May call tn__node_request(): what it
     * asks is carried out right after this step, before any other event. */
    void (*on_notice)(void *context, const struct tn_notice *notice, tn_time now);
    /* When on_timer() is wanted next; TN_TIME_NEVER. Asked at the end of each turn. */
    tn_time (*deadline)(void *context);
    void (*on_timer)(void *context, tn_time now);
    /* The turn ends: hand gathered output to the kernel. */
    void (*on_turn_end)(void *context);
    /* Do clients hold or await this name? Then the program may not have it too. */
    bool (*uses)(void *context, uint32_t table, const char *name, uint32_t name_bytes);
    /* The node stops: tell clients, end connections. The node releases the names afterwards. */
    void (*on_stop)(void *context);
    /* The loop has ended, or never ran: free everything. The context is gone after it. */
    void (*free)(void *context);
};

/* Who wants to hear of the answers to tn__peers_ping(): benchmarks, which measure the connections
 * that the votes take. */
struct tn__node_probe {
    void *context;
    void (*on_pong)(void *context, struct tn_node *node, uint32_t member, uint64_t word);
};

/* ---- Calls of other threads ------------------------------------------------------------- */

struct tn__node_call {
    struct tn__node_call *next;
    int (*function)(struct tn_node *node, void *argument); /* on the loop; its result is returned */
    void *argument;
    int result;
    bool done;
    pthread_cond_t finished;
};

struct tn__node_calls {
    pthread_mutex_t mutex;
    struct tn__node_call *first;
    struct tn__node_call *last;
    uint32_t count;
    bool closed; /* the loop takes no more */
    uint64_t refused;
    uv_async_t wake;
};

/* Carry `function` out on the loop and wait for its result [any; directly if this is the loop].
 * `must`: also when too many wait. Errors: TN_ERROR_BUSY, TN_ERROR_CLOSED, those of the function.
 */
int tn__node_call(struct tn_node *node, int (*function)(struct tn_node *node, void *argument),
                  void *argument, bool must);

/* From now on this thread is the loop of `node`. */
void tn__node_calls_enter(const struct tn_node *node);

/* Is this thread the node's loop? [any] */
bool tn__node_on_loop(const struct tn_node *node);

int tn__node_calls_init(struct tn_node *node);
void tn__node_calls_run(struct tn_node *node);
/* The loop ends: answer CLOSED to who waits, and to all who come later. */
void tn__node_calls_close(struct tn_node *node);
void tn__node_calls_free(struct tn_node *node);

/* ---- Durable words ---------------------------------------------------------------------- */

/* The thread that writes. Under the mutex: all but `words`, which is the thread's alone. */
struct tn__node_words {
    struct tn__words words;
    bool open;
    bool running;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wanted;
    pthread_mutex_t writing; /* held around each write of `words` */
    bool stop;
    bool pending;          /* `next` is to be written */
    struct tn_record next; /* the newest record: a later one replaces an earlier one whole */
    uint64_t reported;     /* every write up to this number was told to the machine */
    uint64_t finished;     /* every write up to this number has ended */
    int finished_error;    /* how the last of them ended */
    uv_async_t wake;
};

int tn__node_words_open(struct tn_node *node, char *why, size_t why_size);
int tn__node_words_start(struct tn_node *node);
/* Remember that the log has this segment [not loop; waits for the disk]. Errors: as
 * tn__words_write_log(). */
int tn__node_words_log(struct tn_node *node, uint64_t segment);
void tn__node_words_append(struct tn_node *node, const struct tn_record *record);
void tn__node_words_stop(struct tn_node *node);

/* ---- Leases of the program
 * ----------------------------------------------------------------------- */

struct tn_node_lease {
    struct tn_node *node;
    struct tn_node_lease *next; /* in its bucket */
    void (*on_change)(struct tn_node_lease *lease, const struct tn_notice *notice, void *data);
    void *data;
    uint32_t hash;
    uint8_t table;
    uint8_t priority;
    uint8_t name_bytes;
    char name[TN_NAME_BYTES_MAX];
    /* The words that any thread reads, written by the loop alone: a sequence lock. `deadline` is 0
     * while the name is not owned; an odd sequence means that they are being written. */
    _Atomic uint32_t sequence;
    _Atomic uint64_t token;
    _Atomic uint64_t deadline;
};

struct tn__node_leases {
    struct tn_node_lease **buckets;
    uint32_t buckets_count; /* a power of two */
    uint32_t count;
    /* For tn_node_lease_wait(). */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    _Atomic uint32_t waiters;
    bool closed; /* under the mutex */
};

int tn__node_leases_init(struct tn_node *node);
void tn__node_leases_free(struct tn_node *node);
/* The program's lease on a name, or NULL. The client API asks before it uses a name. */
struct tn_node_lease *tn__node_lease_find(struct tn_node *node, uint32_t table, const char *name,
                                          uint32_t name_bytes);
void tn__node_leases_notice(struct tn_node *node, const struct tn_notice *notice);
/* No lease is owned any more: after a suspend, and when the node stops. */
void tn__node_leases_forsake(struct tn_node *node);
void tn__node_leases_close(struct tn_node *node);

/* ---- Groups (node_groups.h); all on the loop, and nothing while there are none ----------- */

struct tn__groups;

/* The turn ends: frames to the connections, and when these have gone, records to the disk. */
void tn__node_groups_turn_end(struct tn_node *node);
void tn__node_groups_turn_write(struct tn_node *node);
tn_time tn__node_groups_deadline(const struct tn_node *node);
void tn__node_groups_timers(struct tn_node *node, tn_time now);
enum tn__frame_fault tn__node_groups_frame(struct tn_node *node, uint32_t member,
                                           const uint8_t *bytes,
                                           const struct tn__frame_header *header);
/* The bulk connection to a member stands. */
void tn__node_groups_bulk(struct tn_node *node, uint32_t member);
void tn__node_groups_disconnected(struct tn_node *node, uint32_t member);
/* A notice of the lease machine, within its step. */
void tn__node_groups_notice(struct tn_node *node, const struct tn_notice *notice);
/* The state of groups from id `first` on, at most `most` of them; returns how many. */
uint32_t tn__node_groups_look(const struct tn_node *node, uint32_t first,
                              struct tn_group_status *statuses, uint32_t most);
/* The node stops: all calls end, and the threads of groups. */
void tn__node_groups_stop(struct tn_node *node);
/* The loop has ended, or never ran. */
void tn__node_groups_free(struct tn_node *node);

/* ---- The node --------------------------------------------------------------------------- */

/* Requests that were made inside a step, carried out right after it. */
#define TN_NODE_REQUESTS_MAX 65536U

/* How far the timer may lag so that many names share a turn: a 200th of the shortest D_P. */
#define TN_NODE_SLACK_DIVISOR 200U
#define TN_NODE_SLACK_NS_MAX (20 * TN_MILLISECOND)

/* A suspend lasts longer than this, and two reads of clocks seldom do. */
#define TN_NODE_SUSPEND_NS_MIN ((int64_t)(10 * TN_MILLISECOND))

struct tn__node_builder {
    struct tn__frame_builder frame;
    bool begun;
    uint8_t *bytes; /* TN_FRAME_BYTES_MAX */
};

struct tn_node {
    struct tn__node_config config;
    uv_loop_t loop;
    bool loop_open;
    bool thread_running;
    pthread_t thread;
    _Atomic bool stop_wanted; /* [any] */
    bool stopping;
    struct tn__net *net;
    struct tn__peers *peers;
    struct tn__tls_context *peer_tls;
    struct tn_lease *lease;
    void *lease_memory;
    size_t lease_bytes;
    struct tn__driver *driver;
    struct tn__node_words words;
    struct tn__node_calls calls;
    struct tn__node_leases leases;
    struct tn__node_front front;
    struct tn__node_probe probe;
    struct tn__groups *groups;    /* NULL until the first group is opened */
    pthread_mutex_t groups_mutex; /* held while one is opened or closed */
    struct tn_node_counters counters;
    uint64_t random;
    tn_time opened_at;

    /* The turn. */
    bool stepping;     /* inside the driver */
    bool turn_begun;   /* something happened since the last turn's end */
    bool handles_open; /* prepare, check and calls.wake */
    uv_prepare_t prepare;
    uv_check_t check;
    struct tn__node_builder builders[TN_MEMBERS_MAX];
    struct tn_message *items; /* TN_FRAME_ITEMS_MAX: one decoded frame */
    struct tn_request *requests;
    uint32_t requests_head;
    uint32_t requests_count;
    uint32_t requests_capacity; /* a power of two */

    /* The timer. */
    int timer_file;
    uv_poll_t timer;
    tn_time timer_armed;  /* TN_TIME_NEVER: not */
    tn_time timer_ran_at; /* the last time the machine was given TIMER */
    tn_time slack;
    bool timer_more; /* work was left over: go on at once */

    /* The self-check. */
    _Atomic uint64_t
        suspended_ns; /* [any] how long the machine had been suspended when last seen */
    tn_time turn_began_at;
    tn_time gap_ns;
};

/* Log a line [any thread that may log, see node.h]. */
__attribute__((format(printf, 3, 4))) void
tn__node_log(const struct tn_node *node, enum tn_log_level level, const char *format, ...);

/* Ask the machine for something. Inside a step it is carried out right after it, else at once.
 * Errors: TN_ERROR_BUSY (TN_NODE_REQUESTS_MAX wait), TN_ERROR_CLOSED (the node stops). */
int tn__node_request(struct tn_node *node, const struct tn_request *request);

/* Something has come from outside: the turn that it belongs to will be ended before the loop
 * sleeps. Every callback of the loop that may step the machine, or gathers output, calls it first.
 */
void tn__node_turn_begin(struct tn_node *node);

int tn__node_turn_init(struct tn_node *node);
void tn__node_turn_free(struct tn_node *node);
void tn__node_turn_end(struct tn_node *node);
/* Give the machine one event; `now` and randomness are filled in. */
void tn__node_step(struct tn_node *node, struct tn_event *event);
extern const struct tn__peers_events tn__node_peers_events;
extern const struct tn__driver_world tn__node_world;

int tn__node_timer_init(struct tn_node *node, char *why, size_t why_size);
void tn__node_timer_close(struct tn_node *node);
/* Give TIMER while it is due, within the slack; arm the timer for what is next. */
tn_time tn__node_timer_run(struct tn_node *node); /* the clock after it */
void tn__node_timer_arm(struct tn_node *node);
/* Was the machine suspended since the last look, or was the loop, which should have come by `due`,
 * not here for so long that it was stopped? Then every lease is lost. */
void tn__node_self_check(struct tn_node *node, tn_time now, tn_time due);
/* Nanoseconds suspended since boot; read again while that is more than expected, as a delay between
 * the reads of two clocks looks like a suspend [any]. */
uint64_t tn__node_suspended(uint64_t expected);
bool tn__node_was_suspended(uint64_t seen); /* [any] */

/* A slice of `why` for callers that gave none. */
void tn__node_why(char *why, size_t why_size, const char *text);

#endif
