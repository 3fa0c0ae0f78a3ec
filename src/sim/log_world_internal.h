/* The inside of the simulated world of logs, shared by the files that make it up; nobody else
 * includes it.
 *
 *   log_world.c          memory, the queue of events, the loop, who is told, clocks
 *   log_world_process.c  starting, crashing, pausing, turns, what the driver asks for
 *   log_world_frames.c   frames: built, in flight, arriving
 *   log_world_store.c    the write-ahead log: recovery, batches, loads
 *   log_world_apply.c    payloads, and the queue of committed entries
 */
#ifndef TN_SIM_LOG_WORLD_INTERNAL_H
#define TN_SIM_LOG_WORLD_INTERNAL_H

#include "paxos/log_check.h"
#include "paxos/log_driver.h"
#include "sim/log_world.h"
#include "wire/log_codec.h"

#define TN__LOG_WORLD_BEGIN_NS TN_SECOND
#define TN__LOG_WORLD_SOON_NS TN_MICROSECOND
#define TN__LOG_WORLD_WAITING_MAX 1024U /* frames that wait for a paused process */

/* local = base + (real - since) * rate, in whole steps of `granularity`. */
struct tn__log_clock {
    tn_time since;
    tn_time base;
    tn_time granularity;
    uint32_t rate_ppm;
    uint32_t reserved;
};

/* Something planned: when, and its place among equals. 0: nothing is. */
struct tn__log_plan {
    tn_time at;
    uint64_t sequence;
};

/* Payloads of one process, by handle - 1. */
struct tn__log_payload {
    uint8_t *bytes;
    uint64_t digest;
    uint32_t count;
    uint32_t room;
    uint32_t references; /* 0: free */
    uint32_t next_free;
};

struct tn__log_payloads {
    struct tn__log_payload *list;
    uint32_t used;
    uint32_t room;
    uint32_t free; /* TN_LOG_WORLD_NONE: none */
    uint32_t live;
};

/* Entries with their digests, growing. */
struct tn__log_entries {
    struct tn_log_entry *entries;
    uint64_t *digests;
    uint32_t begin; /* taken off the front */
    uint32_t count; /* in all */
    uint32_t room;
};

/* What one turn or several have put together to be written. */
struct tn__log_batch {
    struct tn__wal_batch *wal;
    struct tn_log_record *records;
    uint32_t records_count;
    uint32_t records_room;
    uint32_t added; /* records given to the store: all, but for a canary */
    uint32_t reserved;
    struct tn__log_entries entries; /* those of the records, by entries_first */
};

struct tn__log_load_request {
    struct tn_log_load load;
    uint32_t group;
    struct tn__log_plan plan;
};

#define TN__LOG_WORLD_LOADS_MAX 16U

struct tn__log_world_group {
    struct tn__log_process *process;
    struct tn_log *log;
    void *memory;
    struct tn__log_applier *applier;
    struct tn__log_registers registers;
    struct tn_state_machine machine;
    struct tn__log_entries queue; /* committed, not yet executed; their references are held */
    struct tn__log_plan apply;
    uint64_t queued;    /* the highest slot ever put into the queue */
    uint64_t proposals; /* numbers given out */
    uint64_t reads;
    struct tn__log_checked checked;
    uint32_t index;
    uint32_t turns; /* since its machine was checked as a whole */
};

struct tn__log_process {
    struct tn__log_world *world;
    struct tn__sim_disk *disk;
    struct tn__wal *wal; /* NULL: down */
    tn__file directory;
    struct tn__log_driver *driver;
    void *driver_memory;
    struct tn__log_clock clock;
    struct tn__log_plan timer;
    struct tn__log_plan write;
    struct tn__log_payloads payloads;
    struct tn__log_batch gathering;
    struct tn__log_batch writing;
    struct tn__log_load_request loads[TN__LOG_WORLD_LOADS_MAX];
    struct tn__log_world_group groups[TN_LOG_WORLD_GROUPS_MAX];
    uint64_t restart_word; /* 0: down */
    uint64_t starts;
    uint64_t segment_known; /* as the durable words keep it (W3) */
    uint64_t batch_bytes;   /* of the longest batch that was ever written */
    tn_time timer_due;      /* the deadline, local, that `timer` was planned for */
    uint32_t index;
    uint32_t crash_in; /* effects until a crash; 0: none is armed */
    enum tn__sim_disk_crash crash_disk;
    uint32_t waiting[TN__LOG_WORLD_WAITING_MAX];
    uint32_t waiting_count;
    uint32_t building[TN_LOG_WORLD_NODES_MAX]; /* frames, or NONE */
    uint16_t built[TN_LOG_WORLD_NODES_MAX];    /* messages in each */
    bool is_writing;
    bool is_reported; /* the batch being written was reported before: a canary's */
    bool is_full;     /* the last write found no space */
    bool has_failed;
    bool is_damaged; /* until all groups have got back what they may have lost (W3) */
    bool is_paused;
    bool is_dying; /* the crash armed has come: what is left of this turn is lost */
};

enum tn__log_world_entry_kind {
    TN__LOG_ENTRY_FRAME = 1,
    TN__LOG_ENTRY_TIMER,
    TN__LOG_ENTRY_WRITE,
    TN__LOG_ENTRY_APPLY,
    TN__LOG_ENTRY_LOAD,
    TN__LOG_ENTRY_WAKE,
};

struct tn__log_world_entry {
    tn_time at;
    uint64_t sequence;
    uint64_t word; /* a frame's serial, or the code of a wake */
    uint32_t kind;
    uint32_t whom; /* a frame or a process; APPLY, LOAD: process * 16 + which */
};

struct tn__log_world {
    struct tn__log_world_options options;
    struct tn__log_world_hooks hooks;
    struct tn__log_observer observers[TN_LOG_WORLD_OBSERVERS_MAX];
    uint32_t observers_count;
    uint32_t sights;
    tn_time now;
    uint64_t events;
    uint64_t sequence;
    uint64_t serial;
    uint64_t random;
    uint64_t cluster_tag;
    uint8_t cluster_id[16];
    size_t log_bytes;
    size_t driver_bytes;
    size_t log_room; /* of the memory that each process has */
    size_t driver_room;
    struct tn__log_world_entry *entries; /* a heap by (at, sequence) */
    uint32_t entries_count;
    uint32_t entries_room;
    uint32_t frames_count;
    uint32_t frames_used;
    uint32_t frames_free;
    uint32_t frames_first;
    uint32_t frames_last;
    struct tn__file_operations operations; /* the disk's; for a canary some are others */
    struct tn__log_process processes[TN_LOG_WORLD_NODES_MAX];
    struct tn__log_frame frames[TN_LOG_WORLD_FRAMES_MAX];
    struct tn_log_entry decoded[TN_LOG_RUN_MAX];
    const uint8_t *decoded_payloads[TN_LOG_RUN_MAX];
    uint64_t decoded_digests[TN_LOG_RUN_MAX];
};

/* ---- log_world.c ----------------------------------------------------------------------------- */

void *tn__log_world_grow(void *block, size_t bytes); /* realloc that never fails */
void tn__log_world_tell(struct tn__log_world *world, struct tn__log_sight *sight, uint32_t process);
static inline bool tn__log_world_watched(const struct tn__log_world *world,
                                         enum tn__log_sight_kind kind)
{
    return (world->sights & tn__log_sight_bit(kind)) != 0;
}
void tn__log_world_plan(struct tn__log_world *world, struct tn__log_plan *plan, tn_time at,
                        enum tn__log_world_entry_kind kind, uint32_t whom);
tn_time tn__log_clock_reaches(const struct tn__log_clock *clock, tn_time local, tn_time now);
static inline bool tn__log_world_unsafe(const struct tn__log_world *world,
                                        enum tn__log_world_unsafe what)
{
    return (world->options.unsafe & (uint32_t)what) != 0;
}

/* ---- log_world_process.c --------------------------------------------------------------------- */

void tn__log_turn_begin(struct tn__log_process *process);
void tn__log_turn_end(struct tn__log_process *process);
void tn__log_turn_event(struct tn__log_process *process, uint32_t group,
                        struct tn_log_event *event);
/* One more effect. False: the process has died before it, so it does not happen. */
bool tn__log_world_effect(struct tn__log_process *process);
void tn__log_world_fire_timer(struct tn__log_process *process);
/* All invariants of a process's machines. */
void tn__log_check_whole(struct tn__log_process *process);

/* ---- log_world_frames.c ---------------------------------------------------------------------- */

void tn__log_frames_post(struct tn__log_process *process, tn_member_set to,
                         const struct tn_log_message *message, const struct tn_log_entry *entries);
void tn__log_frames_flush(struct tn__log_process *process);
void tn__log_frames_discard(struct tn__log_process *process);
void tn__log_frame_arrive(struct tn__log_world *world, uint32_t frame);

/* ---- log_world_store.c ----------------------------------------------------------------------- */

int tn__log_store_open(struct tn__log_process *process);
void tn__log_store_close(struct tn__log_process *process);
void tn__log_store_append(struct tn__log_process *process, const struct tn_log_record *record,
                          const struct tn_log_entry *entries);
void tn__log_store_begin_write(struct tn__log_process *process);
void tn__log_store_finish_write(struct tn__log_process *process);
void tn__log_store_crash(struct tn__log_process *process, uint64_t operations);
void tn__log_store_load(struct tn__log_process *process, uint32_t group,
                        const struct tn_log_load *load);
/* W3: once all groups have got back what was lost, later starts need not know of it. */
void tn__log_store_heal(struct tn__log_process *process);
void tn__log_store_serve(struct tn__log_process *process, uint32_t which);

/* ---- log_world_apply.c ----------------------------------------------------------------------- */

uint64_t tn__log_payload_add(struct tn__log_process *process, const void *bytes, uint32_t count);
void tn__log_payload_retain(void *process, uint64_t handle);
void tn__log_payload_release(void *process, uint64_t handle);
const void *tn__log_payload_bytes(void *process, uint64_t handle);
uint64_t tn__log_value_digest(const struct tn__log_process *process,
                              const struct tn_log_value *value);
void tn__log_payloads_clear(struct tn__log_process *process);
void tn__log_entries_add(struct tn__log_entries *list, const struct tn_log_entry *entry,
                         uint64_t digest);
void tn__log_entries_clear(struct tn__log_entries *list);
void tn__log_entries_free(struct tn__log_entries *list);

/* Begin: the applier of a group that starts, and its queue empty. */
void tn__log_apply_open(struct tn__log_world_group *group);
void tn__log_apply_close(struct tn__log_world_group *group);
void tn__log_apply_commit(struct tn__log_world_group *group, const struct tn_log_entry *entries,
                          uint32_t count);
void tn__log_apply_run(struct tn__log_world_group *group);

#endif
