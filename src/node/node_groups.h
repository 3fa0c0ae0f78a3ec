/* The runtime of groups, shared by the files of this folder that make it up; the rest of the node
 * sees the functions at the end (docs/runtime.md, "Groups").
 *
 *   node_groups.c         the runtime as a whole: made with the first group, stopped with the node;
 *                         what other threads ask of the loop
 *   node_group.c          one group: open, close, status
 *   node_group_calls.c    proposals from propose to their outcome (N4)
 *   node_group_table.c    proposals under way, by number
 *   node_crowd.c          when calls wait for each other
 *   node_call_count.h     how many are under way
 *   node_group_propose.c  the side of the callers: propose, cancel, wait
 *   node_group_read.c     barriers (Reads 3)
 *   node_group_world.c    the driver's world: records, messages, commits; frames in and out
 *   node_group_lease.c    tenures and hints for leased groups (N1)
 *   node_applier.c        threads that execute what is committed
 *   node_applier_stage.c  what the loop leaves for them
 *   node_store.c          the write-ahead log: recovery, and the thread that writes
 *   node_store_ring.c     writes that no thread waits for, where the kernel has a ring
 *   node_store_read.c     the thread that reads it for peers that lag (C2)
 *   node_payload.c        bytes behind handles
 *
 * Threads. A group's machine, driver and connections belong to the loop. Other threads leave `ops`
 * in one list without a lock and wake the loop once; the loop takes the whole list each time. The
 * table of calls has a mutex, as the loop and the applier share it: whoever takes a call out of it
 * ends it, so each ends exactly once (inv. calls 1). */
#ifndef TN_NODE_GROUPS_H
#define TN_NODE_GROUPS_H

#include "node/node_internal.h"

#include <semaphore.h>

#include <tenure/group.h>

#include "node/node_call_count.h"
#include "node/node_crowd.h"
#include "node/node_payload.h"
#include "os/file_ring.h"
#include "paxos/log_applier.h"
#include "paxos/log_driver.h"
#include "store/wal.h"
#include "wire/log_codec.h"

/* ---- What other threads leave for the loop --------------------------------------------------- */

enum tn__op_kind {
    TN_OP_PROPOSE = 1, /* a call's `submit` */
    TN_OP_CANCEL,      /* a call's `cancel` */
    TN_OP_READ,        /* a read */
    TN_OP_APPLIED,     /* a group has executed more */
    TN_OP_WRITTEN,     /* the writer is done with a batch, or waits for space */
    TN_OP_LOADED,      /* entries for a peer */
};

struct tn__op {
    struct tn__op *next;
    uint32_t kind; /* enum tn__op_kind */
};

/* ---- Proposals ------------------------------------------------------------------------------- */

enum tn__call_state {
    TN_CALL_WAITING = 0, /* not given to the machine */
    TN_CALL_GIVEN,       /* the machine has it: waiting, forwarded or proposed */
    TN_CALL_ASSIGNED,    /* it stands in `slot` */
};

/* A call, its envelope and its value: one block. */
struct tn_proposal {
    struct tn__block block; /* the call has one reference, and so has who was given the handle */
    struct tn__op submit;
    struct tn__op cancel;
    _Atomic bool cancelled; /* `cancel` was left for the loop */
    _Atomic bool ended;     /* the group may be gone */
    struct tn__groups *groups;
    struct tn_group *group;
    struct tn_proposal *table_next; /* under the table's mutex */
    struct tn__call_list *list;     /* loop: `gathered` or `parked`, if it is in one */
    struct tn_proposal *list_next;
    struct tn_proposal *list_previous;
    tn_propose_callback done;
    void *data;
    void *context;
    tn_time deadline;
    uint64_t number;
    uint64_t slot; /* ASSIGNED */
    struct tn__log_envelope envelope;
    uint32_t value_bytes;
    uint32_t value_digest; /* of the value alone, if `digested` */
    bool digested;
    bool again;     /* it was put into more than one slot, or lost on its way: never "not chosen" */
    uint8_t state;  /* enum tn__call_state */
    int32_t ending; /* while it is being cancelled: how it ends if nothing was proposed */
    uint64_t distance; /* the payload's lead */
    uint8_t payload[]; /* envelope and value */
};

_Static_assert(offsetof(struct tn_proposal, payload) ==
                   offsetof(struct tn_proposal, distance) + TN_PAYLOAD_LEAD_BYTES,
               "the lead stands right before the payload");

/* Ring lists of calls on the loop. */
struct tn__call_list {
    struct tn_proposal *first;
    struct tn_proposal *last;
    uint32_t count;
    uint64_t bytes;
};

/* Calls by number. */
struct tn__call_table {
    pthread_mutex_t mutex;
    struct tn_proposal **buckets;
    uint32_t buckets_count; /* a power of two */
    uint32_t count;
    _Atomic uint32_t contexts; /* how many of them have one to show to a machine */
    uint64_t executing;        /* the number whose context a machine looks at now; 0: none */
};

/* ---- Reads ----------------------------------------------------------------------------------- */

struct tn__read {
    struct tn__op op;
    struct tn__read *next;
    struct tn_group *group;
    enum tn_read_kind kind;
    tn_read_callback done;
    void *data;
    tn_time deadline;
    tn_time again_at; /* the round failed: another one begins then; 0: one is under way */
    uint64_t number;
    uint64_t slot;  /* may be answered once that is executed */
    tn_time age_ns; /* STALE */
    int32_t error;
};

/* ---- Appliers -------------------------------------------------------------------------------- */

/* What the loop gives to a group's applier; under the thread's mutex but for the first part and the
 * last. */
struct tn__apply {
    struct tn_log_entry *staged; /* loop: committed in this turn; each has a reference */
    uint32_t staged_count;
    uint32_t staged_capacity;
    uint64_t staged_bytes;
    uint64_t staged_upto;         /* every slot up to here is committed */
    bool staged_lost;             /* no memory: these are read back from the store */
    bool staged_listed;           /* in its thread's list */
    struct tn_group *staged_next; /* from here on under the mutex */

    struct tn_log_entry *queue; /* committed, in slot order; each has a reference */
    uint32_t queue_count;
    uint32_t queue_capacity;
    uint64_t queue_bytes;
    uint64_t told;       /* every slot up to here is committed */
    uint64_t safe_write; /* from the store only once this write is in it */
    bool from_store;     /* the queue was full: what follows it is read back from the store */
    bool ready;          /* in the thread's list */
    bool busy;           /* being executed now, or about to be, on one thread */
    bool stopped;
    _Atomic bool awaits_store; /* for what it needs next: it is not indexed yet */
    tn_time wake_at;           /* a retry was asked for, or the store is awaited; 0: no */
    struct tn__read *reads;    /* may be answered when their slot is executed */
    bool reads_came;           /* some of them were not looked at yet */

    struct tn__log_applier *machines; /* the thread's alone, from here on */
    struct tn_log_entry *taken;
    uint32_t taken_count;
    uint32_t taken_next;
    uint32_t taken_capacity;
    tn_time delay;
    tn_time retry_at; /* 0: not asked for */
    bool told_stall;
    tn_time slow_until; /* loop: a quick group that was not is the thread's until then */
};

struct tn__applier {
    struct tn__groups *groups;
    pthread_t thread;
    bool running;
    bool stop;
    bool idle;
    pthread_mutex_t mutex;
    sem_t wanted;        /* posted for who slept, and does no more */
    pthread_cond_t calm; /* a group is not busy any more */
    struct tn_group *ready_first;
    struct tn_group *ready_last;
    struct tn_group *members; /* every group of this thread */
    tn_time due;              /* no group that waits is due before */
    struct tn__store_cursor *cursor;

    /* Loop. */
    uint8_t apart[TN_APART_BYTES];
    struct tn_group *staged; /* those with something staged */
    tn_time unsaid_since;    /* the first of it came then */
    bool hurried;            /* somebody waits for it */
};

/* Threads that execute, at most. */
#define TN_APPLIERS_MAX 64U

/* Committed entries in memory that wait for one group's machines; beyond them they are read back
 * from the store. */
#define TN_APPLY_ENTRIES_MAX 4096U
#define TN_APPLY_BYTES_MAX (64ULL << 20)

/* Between two executions of a slot that asked for a retry. */
#define TN_RETRY_NS_MIN TN_MILLISECOND
#define TN_RETRY_NS_MAX TN_SECOND

int tn__appliers_start(struct tn__groups *groups, uint32_t count);
void tn__appliers_stop(struct tn__groups *groups);
bool tn__on_applier(const struct tn__groups *groups);
void tn__apply_begin(struct tn_group *group);
/* No execution of the group runs any more, or will [not an applier]. */
void tn__apply_end(struct tn_group *group);
/* Committed: executed once they are handed over, for all groups at once [loop]. */
void tn__apply_commit(struct tn_group *group, const struct tn_log_entry *entries, uint32_t count);
/* After what may have committed, and when the turn ends; not inside a step: quick groups execute.
 */
void tn__appliers_hand_over(struct tn__groups *groups);
/* The group is about to be gone: nothing of it is handed over any more [loop]. */
void tn__apply_forget(struct tn_group *group);
void tn__apply_read(struct tn_group *group, struct tn__read *read);
/* More is in the store: groups that wait for it may go on. */
void tn__apply_wake(struct tn_group *group);
/* Under the thread's mutex: the group has work. */
void tn__apply_list_ready(struct tn_group *group);
void tn__apply_make_ready(struct tn_group *group); /* and is worked on at once */
/* Does the thread sleep although there is work? Then it is woken, best without the mutex. */
bool tn__applier_take_sleeper(struct tn__applier *applier);
void tn__applier_wake(struct tn__applier *applier);
/* A quick group's queue, on the loop: under the mutex it is taken away from the thread, if it is
 * short, in memory, and nothing is put off; then, without the mutex, executed until a time: what is
 * left then is the thread's. Returns the clock after it. */
bool tn__apply_claim(struct tn_group *group, uint32_t entries_most);
tn_time tn__apply_run_claimed(struct tn_group *group, tn_time now, tn_time until);

/* ---- The store ------------------------------------------------------------------------------- */

/* What recovery found of one group, and how it was left when it was closed. */
struct tn__store_found {
    struct tn_log_recovered recovered;
    uint64_t highest; /* the highest slot accepted */
};

/* One batch: the records of one turn. */
struct tn__store_batch {
    struct tn__wal_batch *wal;
    uint32_t groups_count;
    uint32_t groups[TN_GROUPS_MAX]; /* ids */
    uint64_t writes[TN_GROUPS_MAX]; /* the last write of each */
};

struct tn__store {
    struct tn__groups *groups;
    struct tn__wal *wal;
    pthread_mutex_t index;          /* of the log's index */
    bool threads_made;              /* mutexes and condition */
    struct tn__store_found **found; /* by group id */
    struct tn__wal_report report;
    bool rings; /* the log's files can be written by a ring */

    /* Who writes: the ring, while the thread has nothing to do with the log; else the thread. Loop:
     * gathering, writing, lost, failed, full, places, ring, ring_polled. */
    struct tn__file_ring *ring; /* NULL: the kernel offers none, or the writes are not direct */
    uv_poll_t ring_poll;
    bool ring_polled;
    uint16_t *places; /* by group id: 1 more than its place in the gathering batch */
    struct tn__store_batch batches[2];
    uint32_t gathering; /* which of the two */
    bool writing;       /* the other one is being written */
    bool lost;          /* no memory for a record */
    bool failed;
    bool full;
    _Atomic bool heal;       /* W3: nothing is missing any more */
    _Atomic tn_time heal_at; /* W3: when that is looked at next */
    pthread_t writer;
    bool writer_running;
    pthread_mutex_t mutex;
    pthread_cond_t wanted;
    bool stop;     /* from here on under the mutex */
    bool given;    /* the batch that does not gather is to be written */
    bool finished; /* it has been, with `error`; or `waits`: no space, tried again */
    bool waits;
    int error;
    bool op_left;     /* `op` is on its way to the loop */
    bool busy;        /* the thread is in the log: the loop gives it what there is to write */
    bool ringing;     /* the loop is: the thread keeps out */
    bool ahead;       /* the thread is to make the next segment, as far as it is needed */
    bool sealed;      /* nothing was written since the last seal */
    tn_time wrote_at; /* of the clock that stands still while the machine sleeps */
    struct tn__op op;
};

/* W3: so long after a start with a damaged log all its groups are taken for opened. */
#define TN_HEAL_NS (600 * TN_SECOND)

/* Open the log of the node's directory, recover it, start the threads [not loop]. */
int tn__store_open(struct tn__groups *groups, char *why, size_t why_size);
void tn__store_close(struct tn__store *store);
struct tn__store_found *tn__store_found(struct tn__store *store, uint32_t group);
/* Where a group begins here (node_group_restore.c). W3: if some of the log is lost, and some of the
 * committed prefix with it, the group is damaged, and all is fetched anew, whether the damage was
 * healed before or not. */
int tn__group_begin_from(struct tn_group *group, const struct tn__store_found *found,
                         struct tn_log_recovered *recovered);
/* What was accepted above the committed prefix, into the machine. */
int tn__group_restore(struct tn_group *group, uint64_t committed, uint64_t highest);
void tn__store_append(struct tn__store *store, const struct tn_log_record *record,
                      const struct tn_log_entry *entries);
/* Give the writer what was gathered. False: it has something, or there is nothing. */
bool tn__store_turn_end(struct tn__store *store);
void tn__store_told(struct tn__store *store);
/* The batch that does not gather has been written, or not [loop]. */
void tn__store_written(struct tn__store *store, int error);

/* The ring's side (node_store_ring.c) [loop, but _open()]. The ring is an ability, no need: without
 * one the thread writes. */
void tn__store_ring_open(struct tn__store *store);
void tn__store_ring_begin(struct tn__store *store); /* poll it */
/* Write the batch. False: not by the ring, not now. */
bool tn__store_ring_write(struct tn__store *store, struct tn__wal_batch *batch);
/* What it writes is written; then it is gone. */
void tn__store_ring_close(struct tn__store *store);

/* A reader's place: the record last read. */
struct tn__store_cursor {
    uint8_t *buffer;
    size_t capacity;
    bool loaded;
    uint32_t entries_count;
    struct tn__wal_position position;
    struct tn_log_record record;
    struct tn_log_entry entries[TN_LOG_RUN_MAX];
    const void *bytes[TN_LOG_RUN_MAX];
};

/* The newest durable entry of a slot; it and its bytes are valid until the next call [any]. Errors:
 * TN_ERROR_NOT_FOUND, TN_ERROR_IO, TN_ERROR_DAMAGED, TN_ERROR_NO_MEMORY. */
int tn__store_entry(struct tn__store *store, struct tn__store_cursor *cursor, uint32_t group,
                    uint64_t slot, const struct tn_log_entry **entry, const void **bytes);
void tn__store_cursor_free(struct tn__store_cursor *cursor);

/* C2: entries for peers that lag. */
#define TN_LOADS_MAX 1024U
#define TN_LOAD_BYTES_MAX (128U << 10) /* of values in one frame, unless one is longer */

struct tn__load {
    uint32_t group;
    uint32_t to; /* a member's index */
    uint64_t slot;
    uint64_t slot_end;
    uint64_t committed; /* here, when it was asked for; and what else an answer says */
    uint64_t retained;
    uint64_t accepted;
    struct tn__frame_header header; /* of a frame to that member */
};

struct tn__loads {
    struct tn__groups *groups;
    pthread_t thread;
    bool running;
    bool stop;
    pthread_mutex_t mutex;
    pthread_cond_t wanted;
    struct tn__load queue[TN_LOADS_MAX]; /* a ring */
    uint32_t first;
    uint32_t count;
    uint64_t dropped;
    struct tn__store_cursor *cursor; /* the thread's, from here on */
    struct tn_log_entry *entries;    /* TN_LOG_RUN_MAX: the run that is being read */
    uint8_t *values;                 /* and its values */
    size_t values_capacity;
    tn_time due; /* the next run may be read then (tn__clock_awake()) */
};

/* A frame of entries for a peer, on its way to the loop. */
struct tn__loaded {
    struct tn__op op;
    uint32_t group;
    uint32_t to; /* a member's index */
    struct tn__buffer frame;
};

int tn__loads_start(struct tn__groups *groups);
void tn__loads_stop(struct tn__groups *groups);
void tn__loads_ask(struct tn__groups *groups, uint32_t group, const struct tn_log_load *load);
void tn__loaded_free(struct tn__loaded *loaded);

/* ---- Groups ---------------------------------------------------------------------------------- */

struct tn_group {
    struct tn_node *node;
    struct tn__groups *groups;
    struct tn_group *next; /* loop: in groups->first */
    uint32_t id;
    uint32_t mode;
    uint32_t priority;
    int32_t table; /* LEASED: of the lease */
    bool quick;    /* may execute on the loop */
    uint32_t calls_max;
    uint64_t calls_bytes_max;
    uint64_t value_bytes_max;
    uint64_t tail_slots; /* kept for peers when the log is truncated */
    struct tn_state_machine machines[TN_MACHINES_MAX];
    uint32_t machines_count;
    uint32_t batch_count;
    uint64_t batch_bytes;
    tn_time batch_delay_ns;
    void (*on_notice)(struct tn_group *group, const struct tn_log_notice *notice, void *data);
    void *data;

    /* [any] */
    _Atomic bool closed; /* takes no more */
    uint8_t apart_from_options[TN_APART_BYTES];
    struct tn__call_count calls; /* under way; from its second half on the applier writes */
    _Atomic uint32_t reads_count;
    _Atomic uint64_t executed;
    _Atomic uint32_t stalled;
    _Atomic uint64_t retries;
    _Atomic uint64_t unknowns;
    _Atomic uint64_t once_ids;
    _Atomic uint64_t indexed;  /* every write up to here is in the store's index */
    _Atomic bool applied_left; /* the loop knows that there are executions to hear of */
    _Atomic bool unhurried;    /* it may hear of them when it turns anyway */
    struct tn__op applied;     /* on its way to the loop, or it is watched, while `applied_left` */
    uint8_t apart_from_calls[TN_APART_BYTES];
    struct tn__call_table table_of_calls;
    uint8_t apart_from_loop[TN_APART_BYTES];

    /* Loop. */
    struct tn_log *log;
    void *log_memory;
    size_t log_bytes;
    bool here; /* known to the driver */
    struct tn__block held;
    uint64_t next_number;
    uint64_t next_read;
    uint64_t appended;        /* the newest write asked for */
    uint64_t applied_told;    /* executed, as the loop has heard */
    uint64_t applied_stepped; /* and as the machine has */
    bool watched;             /* `applied_left` stays: the loop looks by itself once in a while */
    bool watch_listed;        /* in groups->watched */
    struct tn_group *watch_next;
    struct tn__call_list gathered; /* to be given: now, or when there are enough (N5) */
    tn_time gathered_at;
    struct tn__call_list parked; /* refused for want of a leader: given again at parked_until */
    tn_time parked_until;
    bool dirty; /* in groups->dirty */
    struct tn_group *dirty_next;
    tn_time calls_deadline; /* no call ends before */
    uint64_t assigned;      /* the highest slot that a call was put into */
    uint64_t suspect;       /* leadership changed: until that slot is executed, a call's slot may
                               turn out to hold another value; 0: no */
    bool wants_lease;
    bool follow;            /* the lease is to be released, or wanted again */
    struct tn__read *reads; /* under way, the oldest first */
    struct tn__read *reads_last;
    tn_time fresh_at; /* Reads 4: when `fresh_age` was true of what is executed; 0: never */
    tn_time fresh_age;
    struct tn_node_lease *lease;

    /* The applier. */
    uint8_t apart_from_applier[TN_APART_BYTES];
    struct tn__applier *applier;
    struct tn_group *applier_next;
    struct tn_group *ready_next;
    struct tn__apply apply;
};

/* A frame of log messages being built for a member. */
struct tn__groups_builder {
    struct tn__buffer frame;
    uint32_t count;
};

struct tn__groups_notice {
    struct tn_group *group;
    struct tn_log_notice notice;
};

struct tn__groups {
    struct tn_node *node;
    struct tn__log_driver *driver;
    void *driver_memory;
    size_t driver_bytes;
    struct tn_group **by_id; /* TN_GROUP_ID_MAX + 1; loop */
    struct tn_group *first;
    struct tn_group *dirty;
    uint32_t count;
    bool stopped;
    uint8_t apart_before[TN_APART_BYTES];
    _Atomic(struct tn__op *) ops; /* newest first; &ops_closed: no more are taken */
    _Atomic bool woken;           /* the loop is about to look at them */
    struct tn__crowd crowd;       /* of calls */
    uint8_t apart_after[TN_APART_BYTES];
    uv_async_t wake;
    bool wake_open;
    struct tn__groups_builder builders[TN_MEMBERS_MAX][TN_CHANNELS_END];
    struct tn_log_entry *entries; /* TN_LOG_RUN_MAX: one decoded message, or a run proposed */
    const uint8_t **payloads;
    struct tn__block *recent;  /* of the payload forgotten last, if it is held still; or NULL */
    struct tn_proposal *ended; /* calls that ended inside a step: told right after it */
    struct tn__read *ended_reads;
    struct tn__groups_notice *notices; /* for programs, told right after the step too */
    uint32_t notices_count;
    uint32_t notices_capacity;
    tn_time due;          /* no call or read of any group is due before */
    tn_time appliers_due; /* commits wait for a turn, to be told to an applier */
    tn_time now;          /* the last that a machine was stepped with: it never falls */
    tn_time looked_at;    /* the clock, at the last end of a turn or frame: good for pauses */
    struct tn_group *watched;
    tn_time watch_at; /* they are looked at again; NEVER: there are none */
    tn_time timers_ran_at;
    bool timers_more;
    bool stepping;
    bool executing; /* quick groups, on the loop: what they ask for waits */
    struct tn__store store;
    struct tn__loads loads;
    struct tn__applier appliers[TN_APPLIERS_MAX];
    uint32_t appliers_count;
};

/* Timers of logs may lag by this, so that those of a thousand idle groups share turns. */
#define TN_GROUPS_SLACK_NS (5 * TN_MILLISECOND)

/* How long a call waits before it is given again to a machine that knew no leader. */
#define TN_PARKED_NS (20 * TN_MILLISECOND)

/* Leave a chain of ops, the newest first: `newest` is linked down to `oldest` [any]. They are
 * carried out now, or, if `*unhurried` (may be NULL), with the next turn, whatever it is for.
 * False: the loop takes no more. */
bool tn__groups_leave(struct tn__groups *groups, struct tn__op *newest, struct tn__op *oldest,
                      const _Atomic bool *unhurried);
/* The same of so many calls, which may wait for others (node_crowd.h). */
bool tn__groups_leave_calls(struct tn__groups *groups, struct tn__op *newest, struct tn__op *oldest,
                            uint32_t count);

/* Carry out what other threads have left. */
void tn__groups_run_ops(struct tn__groups *groups);

/* Step a group's machine; then tell what ended. `now` was read after the event had come: one look
 * at the clock does for all of a frame (T1). */
void tn__groups_step(struct tn__groups *groups, struct tn_group *group, struct tn_log_event *event);
void tn__groups_step_at(struct tn__groups *groups, struct tn_group *group,
                        struct tn_log_event *event, tn_time now);
/* The machine's state changed: it may need to hear of executions at once. */
void tn__groups_hurry(struct tn_group *group);
/* Entries that were gathered may be given; flushes now if it is time. */
void tn__groups_mark_dirty(struct tn_group *group);
/* Something of a group is due at `when`. */
void tn__groups_due(struct tn__groups *groups, tn_time when);
/* A program wants to hear of it, after the step. */
void tn__groups_tell_notice(struct tn_group *group, const struct tn_log_notice *notice);
/* Calls and reads that ended inside a step; notices; leases to be let go. */
void tn__groups_tell_ended(struct tn__groups *groups);
/* The loop knows the group no more. */
void tn__groups_forget(struct tn__groups *groups, struct tn_group *group);
struct tn_group *tn__groups_find(const struct tn__groups *groups, uint32_t id);
extern const struct tn__log_driver_world tn__groups_world;
void tn__groups_frames_flush(struct tn__groups *groups);
void tn__groups_loaded(struct tn__groups *groups, struct tn__loaded *loaded);
void tn__groups_written(struct tn__groups *groups, const struct tn__store_batch *batch);
void tn__groups_failed(struct tn__groups *groups);
void tn__groups_full(struct tn__groups *groups, bool full);

/* The table of calls. */
int tn__calls_table_init(struct tn__call_table *table);
void tn__calls_table_free(struct tn__call_table *table);
/* Under the mutex. */
bool tn__calls_reserve(struct tn__call_table *table, uint32_t count);
void tn__calls_insert(struct tn__call_table *table, struct tn_proposal *call);
struct tn_proposal *tn__calls_find(const struct tn__call_table *table, uint64_t number);
/* Whoever takes a call ends it; NULL: it has ended. The loop may not take one whose context a
 * machine looks at (`patient`). */
struct tn_proposal *tn__calls_take(struct tn__call_table *table, uint64_t number, bool patient);

/* Calls, on the loop. */
void tn__calls_submit(struct tn_group *group, struct tn_proposal *call);
void tn__calls_flush(struct tn_group *group, tn_time now);
void tn__calls_cancel(struct tn_proposal *call);
void tn__calls_notice(struct tn_group *group, const struct tn_log_notice *notice);
void tn__calls_timers(struct tn_group *group, tn_time now);
tn_time tn__calls_deadline(const struct tn_group *group);
void tn__calls_executed(struct tn_group *group);
void tn__calls_end_all(struct tn_group *group);
/* End a call that was taken out of the table, or never was in it [any]. */
void tn__call_end(struct tn_proposal *call, const struct tn_proposal_result *result);
/* What the applier asks and tells. */
void tn__calls_answered(void *context, uint64_t number, uint64_t slot, enum tn__log_answer answer,
                        const void *result, size_t result_bytes);
void *tn__calls_context(void *context, uint64_t number);

/* Reads, on the loop. */
void tn__reads_submit(struct tn_group *group, struct tn__read *read);
void tn__reads_notice(struct tn_group *group, const struct tn_log_notice *notice);
void tn__reads_timers(struct tn_group *group, tn_time now);
tn_time tn__reads_deadline(const struct tn_group *group);
void tn__reads_end_all(struct tn_group *group);
/* Reads 4: how old what is executed may be. */
void tn__reads_refresh(struct tn_group *group, tn_time now);
void tn__read_end(struct tn__read *read, int error, uint64_t slot, tn_time age_ns);

/* The lease of a leased group; all on the loop. */
int tn__group_lease_open(struct tn_group *group);
void tn__group_lease_follow(struct tn_group *group);

/* Groups as other files of the runtime see them. */
void tn__group_free(struct tn_group *group);
void tn__group_status(struct tn_group *group, struct tn_group_status *status);
int tn__groups_open(struct tn_node *node, char *why, size_t why_size);

#endif
