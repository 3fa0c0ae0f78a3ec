/* A simulated world of logs: nodes that run the real code, and everything around them made up.
 *
 * A process is one run of a node: the log's driver with a machine for each group, the write-ahead
 * log on a sim_disk, an applier with a machine of registers for each group (sim/log_registers.h).
 * What is simulated is what runs: every message is encoded, framed, opened and decoded with its
 * payloads, every record goes through the write-ahead log, every start recovers from it. Made up
 * are the network, the disks, the clocks, the lease and the order of events; all of it follows from
 * the options, the seed and the calls made.
 *
 *     frame sent ---> in flight ---planned---> opened, decoded --> MESSAGE events, one turn
 *     records of a turn --> batch --planned--> tn__wal_write() --> WRITTEN, or a failure
 *     committed entries --> queue --planned--> applier --> answers, APPLIED
 *     load of slots ------> planned ---------> tn__wal_read() --> a FETCHED
 *     turn: events, driver, then one batch and one frame a peer; a crash may fall between any two
 *           effects
 *
 * The hooks (a plan of faults, sim/log_faults.h) say when each of these comes; without hooks all
 * come after a microsecond. Observers (the judge, sim/log_judge.h) are told of everything in the
 * order in which it happens, and change nothing.
 *
 * The lease of leased groups is the plan's: tn__log_world_tenure() tells a node that it owns the
 * group's lease. Nothing here keeps two nodes from being told so at once: choosing must not depend
 * on it (N1).
 *
 * Time: `now` is real time; each process reads its own clock. Events are ordered by (time,
 * sequence). Not thread-safe; one world a thread. Memory is kept over reset(). */
#ifndef TN_SIM_LOG_WORLD_H
#define TN_SIM_LOG_WORLD_H

#include <tenure/log.h>

#include "paxos/log_applier.h"
#include "sim/log_registers.h"
#include "sim/sim_disk.h"
#include "store/wal.h"

#define TN_LOG_WORLD_NODES_MAX 7U
#define TN_LOG_WORLD_GROUPS_MAX 3U
#define TN_LOG_WORLD_FRAMES_MAX 4096U /* in flight: what is sent beyond is lost, and counted */
#define TN_LOG_WORLD_OBSERVERS_MAX 6U
#define TN_LOG_WORLD_NONE UINT32_MAX

struct tn__log_world; /* Opaque. */

struct tn__log_world_options {
    uint64_t seed;
    uint32_t nodes_count;
    uint32_t groups_count;
    uint32_t modes[TN_LOG_WORLD_GROUPS_MAX]; /* enum tn_log_mode */
    uint32_t learners;                       /* the last nodes learn without a vote (C4) */
    uint32_t single_message;                 /* 1: a frame for every message */
    uint32_t frame_bytes;                    /* a frame that has so many gets no more */
    uint32_t apply_run;                      /* entries executed at once */
    uint64_t once_slots;
    uint32_t once_max;
    uint32_t block_bytes; /* of the write-ahead log */
    uint64_t segment_bytes;
    uint32_t unsafe; /* enum tn__log_world_unsafe, a set: for canaries */
    uint32_t reserved;
    struct tn_log_options log; /* what all machines have in common: window, durations */
};

/* Breaks of what safety rests on, made on purpose: the judge must see each. */
enum tn__log_world_unsafe {
    TN_LOG_UNSAFE_EARLY_WRITTEN = 1,   /* a write is reported before it is done */
    TN_LOG_UNSAFE_NO_PROMISES = 2,     /* promises are not written */
    TN_LOG_UNSAFE_LOST_WRITE = 4,      /* a batch is reported and never written */
    TN_LOG_UNSAFE_REORDERED_APPLY = 8, /* a node executes two entries in the wrong order */
    TN_LOG_UNSAFE_TAIL_KEPT = 16,      /* recovery's rewritten tail is not synced (W3) */
    TN_LOG_UNSAFE_STALE_READ = 32,     /* a quorum read is answered without waiting */
    TN_LOG_UNSAFE_WRONG_RESULT = 64,   /* a client is told another's result */
    TN_LOG_UNSAFE_TWICE = 128,         /* once-only ids are not looked at */
    TN_LOG_UNSAFE_WRONG_VALUE = 256,   /* a payload's bytes change on their way, unnoticed */
    TN_LOG_UNSAFE_FORGETFUL = 512,     /* a node recovers less than was written */
    TN_LOG_UNSAFE_DROPS = 1024,        /* a refusal is told although it may be committed */
};

/* A frame in flight. Who finds it may change `bytes`, and then sets `damaged`. */
struct tn__log_frame {
    uint64_t serial;
    uint64_t from_word;
    uint64_t to_word; /* of the addressee when it was sent; 0: it was down */
    tn_time sent_at;
    tn_time due; /* TN_TIME_NEVER: not planned */
    uint32_t from;
    uint32_t to;
    uint32_t bytes_count;
    uint32_t bytes_room;
    uint32_t previous;
    uint32_t next;
    uint32_t used;
    uint8_t kind;    /* of the first message */
    uint8_t damaged; /* its bytes were changed: who takes it for valid has failed */
    uint8_t foreign; /* it must not be taken, whole as it is */
    uint8_t waiting; /* it has arrived at a paused process */
    uint8_t *bytes;
};

/* ---- What observers see ---------------------------------------------------------------------- */

enum tn__log_sight_kind {
    TN_LOG_SIGHT_STARTED = 1, /* word: its restart word; report */
    TN_LOG_SIGHT_NOT_STARTED, /* word: the error, negated; text */
    TN_LOG_SIGHT_RECOVERED,   /* group; recovered; entries (as found, newest last), digests */
    TN_LOG_SIGHT_CRASHED,
    TN_LOG_SIGHT_HARMED, /* its disk has forgotten or garbled what it vouched for */
    TN_LOG_SIGHT_PAUSED,
    TN_LOG_SIGHT_RESUMED,
    TN_LOG_SIGHT_EVENT,        /* group; word: enum tn_log_event_kind; event */
    TN_LOG_SIGHT_APPEND,       /* group; record; entries, digests: a write was asked for */
    TN_LOG_SIGHT_DURABLE,      /* group; record; entries, digests: it is done */
    TN_LOG_SIGHT_WRITE_FAILED, /* word: the error, negated */
    TN_LOG_SIGHT_SENT,         /* group; message; entries, digests; word: to whom */
    TN_LOG_SIGHT_FRAME,        /* frame: a frame left */
    TN_LOG_SIGHT_DELIVERED,    /* frame */
    TN_LOG_SIGHT_REFUSED,      /* frame; word: enum tn__frame_fault */
    TN_LOG_SIGHT_LOST,         /* frame */
    TN_LOG_SIGHT_COMMIT,       /* group; entries, digests */
    TN_LOG_SIGHT_EXECUTED,     /* group; entries: one, digests */
    TN_LOG_SIGHT_ANSWERED,     /* group; answer */
    TN_LOG_SIGHT_NOTICE,       /* group; notice */
    TN_LOG_SIGHT_TURN_ENDED,
    TN_LOG_SIGHT_KINDS_END,
};

/* An answer of the applier to a proposal of this incarnation. */
struct tn__log_answered {
    uint64_t number;
    uint64_t slot;
    enum tn__log_answer answer;
    uint32_t bytes_count;
    const void *bytes;
};

struct tn__log_sight {
    uint32_t kind;
    uint32_t process;
    uint32_t group;
    uint32_t entries_count;
    tn_time real;
    tn_time local;
    uint64_t word;
    const struct tn__log_frame *frame;
    const struct tn_log_event *event;
    const struct tn_log_record *record;
    const struct tn_log_message *message;
    const struct tn_log_notice *notice;
    const struct tn_log_recovered *recovered;
    const struct tn__wal_report *report;
    const struct tn__log_answered *answer;
    const struct tn_log_entry *entries;
    const uint64_t *digests; /* of the entries' values with all their bytes, by another hash */
    const char *text;
};

struct tn__log_observer {
    void *context;
    void (*see)(void *context, const struct tn__log_sight *sight);
    uint32_t kinds; /* a bit each; 0: all */
    uint32_t reserved;
};

static inline uint32_t tn__log_sight_bit(enum tn__log_sight_kind kind)
{
    return 1U << (uint32_t)kind;
}

/* What is asked of a plan of faults; each may be NULL. They may call the functions of "Frames" for
 * the frame given and tn__log_world_wake(), and nothing that makes a turn. Times are real. */
struct tn__log_world_hooks {
    void *context;
    void (*frame_sent)(void *context, uint32_t frame);
    tn_time (*write_at)(void *context, uint32_t process);
    tn_time (*timer_at)(void *context, uint32_t process, tn_time due);
    tn_time (*apply_at)(void *context, uint32_t process, uint32_t group);
    tn_time (*load_at)(void *context, uint32_t process);
    bool (*retry)(void *context, uint32_t process); /* does an execution ask for one? */
    void *woken_context;
    void (*woken)(void *woken_context, uint64_t code); /* may call everything */
};

/* ---- The world ------------------------------------------------------------------------------- */

struct tn__log_world *tn__log_world_new(void);
void tn__log_world_free(struct tn__log_world *world);

/* Begin anew: all processes down, empty disks, real time 1 s, no observers. Errors:
 * TN_ERROR_INVALID, `why` says which option. */
int tn__log_world_reset(struct tn__log_world *world, const struct tn__log_world_options *options,
                        char *why, size_t why_size);
void tn__log_world_set_hooks(struct tn__log_world *world, const struct tn__log_world_hooks *hooks);
void tn__log_world_add_observer(struct tn__log_world *world,
                                const struct tn__log_observer *observer);
const struct tn__log_world_options *tn__log_world_options(const struct tn__log_world *world);
uint64_t *tn__log_world_random(struct tn__log_world *world);
tn_time tn__log_world_now(const struct tn__log_world *world);
uint64_t tn__log_world_events(const struct tn__log_world *world);
bool tn__log_world_step(struct tn__log_world *world, tn_time until);
void tn__log_world_run(struct tn__log_world *world, tn_time until);
void tn__log_world_wake(struct tn__log_world *world, tn_time at, uint64_t code);
/* All invariants of all machines that are up: aborts with the one that is violated. After each turn
 * those are checked that the turn may have changed (paxos/log_check.h). */
void tn__log_world_check(struct tn__log_world *world);

/* ---- Processes ------------------------------------------------------------------------------- */

bool tn__log_world_is_up(const struct tn__log_world *world, uint32_t process);
bool tn__log_world_is_paused(const struct tn__log_world *world, uint32_t process);
uint64_t tn__log_world_restart_word(const struct tn__log_world *world, uint32_t process);
struct tn__sim_disk *tn__log_world_disk(struct tn__log_world *world, uint32_t process);
struct tn__sim_disk *tn__log_world_swap_disk(struct tn__log_world *world, uint32_t process,
                                             struct tn__sim_disk *disk);

/* NULL when down. */
const struct tn_log *tn__log_world_log(const struct tn__log_world *world, uint32_t process,
                                       uint32_t group);
const struct tn__log_registers *tn__log_world_registers(const struct tn__log_world *world,
                                                        uint32_t process, uint32_t group);
/* The bytes behind a handle of a process, for observers, while they are shown it. */
const void *tn__log_world_bytes(const struct tn__log_world *world, uint32_t process,
                                uint64_t handle);
uint64_t tn__log_world_executed(const struct tn__log_world *world, uint32_t process,
                                uint32_t group);
uint64_t tn__log_world_once_digest(const struct tn__log_world *world, uint32_t process,
                                   uint32_t group);
uint64_t tn__log_world_dropped(const struct tn__log_world *world, uint32_t process);
bool tn__log_world_has_failed(const struct tn__log_world *world, uint32_t process);
/* Would a start find the log damaged again? W3: until a healing of all groups is on the disk. */
bool tn__log_world_is_damaged(const struct tn__log_world *world, uint32_t process);
/* Of the longest batch that was ever written to its log. */
uint64_t tn__log_world_batch_bytes(const struct tn__log_world *world, uint32_t process);
uint32_t tn__log_world_payloads(const struct tn__log_world *world, uint32_t process);

/* Start a process that is down. Errors: those of tn__wal_open(), TN_ERROR_IO after a planned crash
 * of the disk; it stays down then. */
int tn__log_world_start(struct tn__log_world *world, uint32_t process);

/* For who harms the disk of one that is down: tell the observers. */
void tn__log_world_harmed(struct tn__log_world *world, uint32_t process);

/* Stop one in the midst of things: of a write in progress the first `operations` operations have
 * been begun. */
void tn__log_world_crash(struct tn__log_world *world, uint32_t process,
                         enum tn__sim_disk_crash disk, uint64_t operations);
/* Crash before the `effects`-th effect from now (fault.C1). */
void tn__log_world_crash_in(struct tn__log_world *world, uint32_t process, uint32_t effects,
                            enum tn__sim_disk_crash disk);
void tn__log_world_pause(struct tn__log_world *world, uint32_t process);
void tn__log_world_resume(struct tn__log_world *world, uint32_t process, bool frames_first);
void tn__log_world_connect(struct tn__log_world *world, uint32_t process, uint32_t peer);

/* The lease, as the plan hands it out; `deadline` on the process's own clock, 0: over. */
void tn__log_world_tenure(struct tn__log_world *world, uint32_t process, uint32_t group,
                          uint64_t token, tn_time deadline);
void tn__log_world_hint(struct tn__log_world *world, uint32_t process, uint32_t group,
                        uint32_t leader);

/* ---- Clients --------------------------------------------------------------------------------- */

/* Propose at a process that is up: `count` values at once (N5). Returns the number of the first. */
uint64_t tn__log_world_propose(struct tn__log_world *world, uint32_t process, uint32_t group,
                               const struct tn__log_command *commands, uint32_t count,
                               uint64_t client, uint64_t sequence);
uint64_t tn__log_world_read(struct tn__log_world *world, uint32_t process, uint32_t group);
/* The numbers that the next of them will have. */
uint64_t tn__log_world_next_proposal(const struct tn__log_world *world, uint32_t process,
                                     uint32_t group);
uint64_t tn__log_world_next_read(const struct tn__log_world *world, uint32_t process,
                                 uint32_t group);
void tn__log_world_cancel(struct tn__log_world *world, uint32_t process, uint32_t group,
                          uint64_t number);

/* ---- Clocks ---------------------------------------------------------------------------------- */

tn_time tn__log_world_local(const struct tn__log_world *world, uint32_t process);
void tn__log_world_set_rate(struct tn__log_world *world, uint32_t process, uint32_t rate_ppm,
                            tn_time granularity);
void tn__log_world_jump(struct tn__log_world *world, uint32_t process, tn_time ahead);
void tn__log_world_set_clock(struct tn__log_world *world, uint32_t process, tn_time local);

/* ---- Frames ---------------------------------------------------------------------------------- */

uint32_t tn__log_world_first_frame(const struct tn__log_world *world);
uint32_t tn__log_world_frames_count(const struct tn__log_world *world);
struct tn__log_frame *tn__log_world_frame(struct tn__log_world *world, uint32_t frame);
void tn__log_world_plan_frame(struct tn__log_world *world, uint32_t frame, tn_time at);
uint32_t tn__log_world_copy_frame(struct tn__log_world *world, uint32_t frame);
void tn__log_world_drop_frame(struct tn__log_world *world, uint32_t frame);

#endif
