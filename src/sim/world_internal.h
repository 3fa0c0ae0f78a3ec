/* The inside of the simulated world, shared by the files that make it up; nobody else includes it.
 *
 *   world.c          memory, the queue of events, the loop, who is told
 *   world_process.c  starting, crashing, pausing, one turn of a process
 *   world_frames.c   frames: sent, in flight, arriving
 *   world_clock.c    real time to local time and back
 *   world_disk.c     directories, and the write in progress
 *   world_members.c  F3: the lists of members, and places in them
 */
#ifndef TN_SIM_WORLD_INTERNAL_H
#define TN_SIM_WORLD_INTERNAL_H

#include "paxos/driver.h"
#include "sim/world.h"
#include "wire/frame_builder.h"

#define TN__WORLD_BEGIN_NS TN_SECOND

/* The least time between a timer that is overdue and its firing: time passes in every loop. */
#define TN__WORLD_OVERDUE_NS TN_MICROSECOND

/* local = base + (real - since) * rate, in whole steps of `granularity`, `lag` ago. */
struct tn__world_clock {
    tn_time since;
    tn_time base;
    tn_time granularity;
    tn_time lag;
    uint32_t rate_ppm;
    uint32_t reserved;
};

/* Something planned for one process: when, and its place among equals. */
struct tn__world_plan {
    tn_time at; /* TN_TIME_NEVER: nothing */
    uint64_t sequence;
};

/* Who the members of a version are (F3). */
struct tn__world_list {
    uint32_t version;
    uint32_t count;
    tn_node_id members[TN_MEMBERS_MAX];
};

struct tn__world_process {
    struct tn__world *world;
    struct tn_lease *lease; /* NULL: down */
    struct tn__driver *driver;
    void *memory; /* the lease's, kept over restarts */
    struct tn__sim_disk *disk;
    struct tn__words words;
    struct tn__world_clock clock;
    struct tn__world_plan timer;
    struct tn__world_plan write;
    tn_time read_at;          /* real time of the clock's last reading; 0: it must be read anew */
    tn_time read_local;       /* that reading: much happens at one instant, and all of it is told */
    tn_time timer_due;        /* the machine's deadline, local, that `timer` was planned for */
    struct tn_record writing; /* the record being written, if is_writing */
    struct tn_record queued;  /* the newest one after it; write: 0: none */
    uint64_t restart_word;    /* 0: down */
    uint64_t starts;
    uint32_t index;
    uint32_t member;
    uint32_t list;          /* the one it goes by, of world->lists */
    uint32_t crash_in;      /* effects until a crash; 0: none is armed */
    uint32_t waiting_begin; /* those before it have been delivered */
    uint32_t waiting_count;
    uint32_t waiting[TN_WORLD_FRAMES_MAX]; /* frames that arrived during a pause */
    bool is_writing;
    bool is_paused;
    bool is_dying; /* the crash armed has come: what is left of this turn is lost */
    tn_member_set building;
    uint32_t frames[TN_MEMBERS_MAX]; /* the frame being built for each peer in `building` */
    struct tn__frame_builder builders[TN_MEMBERS_MAX];
};

enum tn__world_entry_kind {
    TN__WORLD_ENTRY_FRAME = 1,
    TN__WORLD_ENTRY_WAKE,
};

struct tn__world_entry {
    tn_time at;
    uint64_t sequence;
    uint64_t word; /* the frame's serial, or the code of a wake */
    uint32_t kind;
    uint32_t frame;
};

struct tn__world {
    struct tn__world_options options;
    struct tn_lease_options lease_options;
    struct tn__world_hooks hooks;
    struct tn__world_observer observers[TN_WORLD_OBSERVERS_MAX];
    uint32_t observers_count;
    uint32_t sights; /* kinds that any observer is told of */
    uint32_t processes_count;
    tn_time now;
    uint64_t events;
    uint64_t sequence;
    uint64_t serial;
    uint64_t random;
    uint64_t cluster_tag;
    uint8_t cluster_id[16];
    size_t lease_bytes;
    struct tn__world_entry *entries; /* a heap by (at, sequence) */
    uint32_t entries_count;
    uint32_t entries_room;
    uint32_t frames_count; /* in flight */
    uint32_t frames_used;  /* slots ever used since the reset */
    uint32_t frames_free;  /* first free slot, linked by next */
    uint32_t frames_first; /* in flight, in the order of sending */
    uint32_t frames_last;
    uint32_t lists_count;
    struct tn__world_list lists[TN_WORLD_VERSIONS_MAX];
    struct tn_message items[TN_FRAME_ITEMS_MAX];
    struct tn__world_process processes[TN_WORLD_PROCESSES_MAX];
    struct tn__world_frame frames[TN_WORLD_FRAMES_MAX];
};

/* ---- world.c -------------------------------------------------------------------------------- */

void tn__world_tell(struct tn__world *world, struct tn__sight *sight, uint32_t process);
void tn__world_push(struct tn__world *world, const struct tn__world_entry *entry);
struct tn__world_process *tn__world_process(const struct tn__world *world, uint32_t process);

/* ---- world_clock.c -------------------------------------------------------------------------- */

tn_time tn__world_clock_read(const struct tn__world_clock *clock, tn_time real);

/* The process's own clock now. */
static inline tn_time tn__world_process_local(struct tn__world_process *process)
{
    if (process->read_at != process->world->now) {
        process->read_at = process->world->now;
        process->read_local = tn__world_clock_read(&process->clock, process->read_at);
    }
    return process->read_local;
}

/* The earliest real time, not before `now`, at which the clock reads `local` or more. */
tn_time tn__world_clock_reaches(const struct tn__world_clock *clock, tn_time local, tn_time now);

/* ---- world_process.c ------------------------------------------------------------------------ */

/* One turn: the event is completed with the time and randomness, and carried out. */
void tn__world_turn(struct tn__world_process *process, struct tn_event *event);
void tn__world_fire_timer(struct tn__world_process *process);

/* One more effect. False: the process has died before it, so it does not happen. */
bool tn__world_effect(struct tn__world_process *process);

/* ---- world_frames.c ------------------------------------------------------------------------- */

/* Put a message into the frames of its receivers; send the frames built so far; forget them. */
void tn__world_post(struct tn__world_process *process, tn_member_set to,
                    const struct tn_message *message);
void tn__world_flush(struct tn__world_process *process);
void tn__world_discard(struct tn__world_process *process);

void tn__world_arrive(struct tn__world *world, uint32_t frame);

/* ---- world_disk.c --------------------------------------------------------------------------- */

int tn__world_open_words(struct tn__world_process *process, bool bootstrap);
void tn__world_begin_write(struct tn__world_process *process);
void tn__world_crash_disk(struct tn__world_process *process, enum tn__sim_disk_crash disk,
                          uint64_t operations);

/* ---- world_members.c ------------------------------------------------------------------------ */

/* The first version, of the options as completed. */
void tn__world_begin_lists(struct tn__world *world);

/* A JOIN says who is in a version; false: there is no room for one more. */
bool tn__world_note_list(struct tn__world *world, const struct tn_request *join);

/* The process goes by the list of this version; one that nobody has told of is the first. */
void tn__world_take_list(struct tn__world_process *process, uint32_t version);

/* Complete the options of a start with the list of options->configuration. */
void tn__world_choose_members(struct tn__world_process *process, struct tn_lease_options *options);

/* The set of nodes at these places of the version's list. */
tn_member_set tn__world_nodes_at(const struct tn__world *world, uint32_t version,
                                 tn_member_set places);

/* The place of a node in the list that the process goes by; TN_WORLD_NONE: it is not in it. */
uint32_t tn__world_place_of(const struct tn__world_process *process, uint32_t node);

#endif
