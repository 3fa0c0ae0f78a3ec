/* A simulated world: nodes that run the real code, and everything around them made up.
 *
 * A process is one run of a node: the lease machine, its driver, wire frames, durable words over a
 * sim_disk. What is simulated is what runs: every message is encoded, framed, scanned, checked and
 * decoded, every start opens a data directory, every record is written into it. Made up are the
 * network (frames in flight), the disks, the clocks and the order of events; all of it follows from
 * the options, the seed and the calls made.
 *
 * Nothing happens unless told. A frame that was sent stays in flight until it is delivered, planned
 * or dropped; a write stays in progress until it is finished. Only timers fire of themselves, when
 * time passes in tn__world_run(). Two kinds of callers tell: a script (sim/scenario.h), through the
 * functions below, and a plan of faults (sim/fault_plan.h), which installs hooks that are asked
 * about each frame, write and timer.
 *
 *     frame_sent --> in flight --deliver / planned--> scan, open, read --> FRAME event, one turn
 *     append     --> in progress --finish--> tn__words_write() --> WRITTEN or WRITE_FAILED
 *     turn: event, driver, then one frame for each peer; a crash may fall between any two effects
 *
 * Members (F3): a message goes to places in the list of the version it speaks for, and comes from a
 * place in the list that its receiver goes by; the world keeps the lists and knows the nodes. A
 * frame of a node that is not in the receiver's list is refused, as there is no connection to it.
 *
 * Time: `now` is real time, known to the world and to judges. Each process reads its own clock:
 * local = base + (real - since) * rate, cut to the granularity. Events are ordered by (time,
 * sequence): two runs with the same calls are the same run.
 *
 * Observers are told of everything in the order in which it happens, and change nothing.
 *
 * Not thread-safe; one world a thread. Memory is taken by new() and kept over reset(). */
#ifndef TN_SIM_WORLD_H
#define TN_SIM_WORLD_H

#include <tenure/lease.h>

#include "sim/sim_disk.h"
#include "store/words.h"
#include "wire/frame.h"

/* Members, and one more process for a second run of a member from a copied directory (fault.C9). */
#define TN_WORLD_PROCESSES_MAX (TN_MEMBERS_MAX + 1)

/* Frames in flight: what is sent beyond is lost, and counted. */
#define TN_WORLD_FRAMES_MAX 2048U

/* The longest frame; a turn that says more to one peer sends several. */
#define TN_WORLD_FRAME_BYTES_MAX 1280U

#define TN_WORLD_OBSERVERS_MAX 4U

/* Versions of the membership in one run (F3). */
#define TN_WORLD_VERSIONS_MAX 512U

#define TN_WORLD_NONE UINT32_MAX

struct tn__world; /* Opaque. */

struct tn__world_options {
    uint32_t nodes_count;   /* members at first, 1 to TN_MEMBERS_MAX; node ids are index + 1 */
    uint32_t standby_count; /* nodes behind them that may become members (F3): not there at first */
    uint32_t drift_ppm;     /* rho, as the nodes believe it; 0: the default */
    uint32_t diskless;      /* 1: no durable words, no tokens */
    uint32_t single_item;   /* 1: a frame for every message, so that a script can tell them apart */
    uint32_t tables_count;  /* 0: one */
    uint32_t unchecked;     /* 1: options are taken as they are, also if they break T2 or T3 */
    uint32_t reserved;
    uint64_t seed;
    struct tn_lease_table_options tables[TN_TABLES_MAX];
};

/* A frame in flight. Who finds it may change `bytes`, and then sets `damaged`. */
struct tn__world_frame {
    uint64_t serial;    /* 1, 2, 3 ... in the order of sending; copies have their own */
    uint64_t from_word; /* the incarnation that sent it */
    uint64_t to_word;   /* that of the addressee when it was sent; 0: it was down */
    tn_time sent_at;    /* real time */
    tn_time due;        /* when it arrives; TN_TIME_NEVER: not planned */
    uint32_t from;      /* processes */
    uint32_t to;
    uint32_t bytes_count;
    uint32_t previous; /* of the frames in flight, in the order of sending */
    uint32_t next;
    uint8_t kind;    /* of the first item, enum tn_message_kind; 0: no item */
    uint8_t damaged; /* its bytes were changed: who takes it for valid has failed */
    uint8_t waiting; /* it has arrived at a paused process */
    uint8_t foreign; /* it must not be taken, whole as it is: of another cluster or connection */
    uint8_t bytes[TN_WORLD_FRAME_BYTES_MAX];
};

/* ---- What observers see -------------------------------------------------------------------- */

enum tn__sight_kind {
    TN_SIGHT_STARTED = 1, /* process; word: its restart word */
    TN_SIGHT_NOT_STARTED, /* process; word: the error, negated */
    TN_SIGHT_CRASHED,
    TN_SIGHT_PAUSED,
    TN_SIGHT_RESUMED,
    TN_SIGHT_EVENT,     /* a turn begins; word: enum tn_event_kind, event: the event */
    TN_SIGHT_SENT,      /* message: as the machine gave it out; word: the set of nodes it goes to */
    TN_SIGHT_FRAME,     /* frame: a frame left */
    TN_SIGHT_DELIVERED, /* frame: arrived and was taken, its turn follows */
    TN_SIGHT_REFUSED,   /* frame: arrived and was refused; word: enum tn__frame_fault */
    TN_SIGHT_LOST,      /* frame: gone without arriving */
    TN_SIGHT_NOTICE,    /* notice */
    TN_SIGHT_RECORD,    /* record: a write was asked for */
    TN_SIGHT_TURN_ENDED,
    TN_SIGHT_WAKE, /* word: the code given to tn__world_wake() */
};

struct tn__sight {
    uint32_t kind; /* enum tn__sight_kind */
    uint32_t process;
    tn_time real;
    tn_time local; /* on the process's clock; 0 if it is down */
    uint64_t word;
    const struct tn__world_frame *frame;
    const struct tn_event *event;
    const struct tn_message *message;
    const struct tn_notice *notice;
    const struct tn_record *record;
};

struct tn__world_observer {
    void *context;
    void (*see)(void *context, const struct tn__sight *sight);
    uint32_t kinds; /* what it is told of, tn__sight_bit() of each kind; 0: everything */
    uint32_t reserved;
};

static inline uint32_t tn__sight_bit(enum tn__sight_kind kind)
{
    return 1U << (uint32_t)kind;
}

/* What is asked of a plan of faults; each may be NULL. They may call the functions of "Frames" for
 * the frame given, tn__world_plan_write() and tn__world_wake(), and nothing that makes a turn. */
struct tn__world_hooks {
    void *context;
    void (*frame_sent)(void *context, uint32_t frame);
    void (*write_begun)(void *context, uint32_t process);
    /* When a timer due at `due` (real time) fires; `due` is not before now. */
    tn_time (*timer_at)(void *context, uint32_t process, tn_time due);
    /* A wake has come; may call everything. */
    void (*woken)(void *context, uint64_t code);
};

/* ---- The world ------------------------------------------------------------------------------ */

struct tn__world *tn__world_new(void);
void tn__world_free(struct tn__world *world);

/* Begin anew: all processes down, empty disks, true clocks, real time 1 s, no observers. Errors:
 * TN_ERROR_INVALID, and `why` says which option. */
int tn__world_reset(struct tn__world *world, const struct tn__world_options *options, char *why,
                    size_t why_size);

void tn__world_set_hooks(struct tn__world *world, const struct tn__world_hooks *hooks);
void tn__world_add_observer(struct tn__world *world, const struct tn__world_observer *observer);

/* The world's own stream of randomness. */
uint64_t *tn__world_random(struct tn__world *world);

/* The options as completed: all durations are there. */
const struct tn_lease_options *tn__world_lease_options(const struct tn__world *world);

tn_time tn__world_now(const struct tn__world *world);
uint64_t tn__world_events(const struct tn__world *world); /* turns, refusals and wakes */

/* Carry out the next event if it is due by `until`; false: there is none, and `now` is `until`. */
bool tn__world_step(struct tn__world *world, tn_time until);

/* Carry out everything due by `until`. */
void tn__world_run(struct tn__world *world, tn_time until);

/* Ask to be woken (hooks.woken) at a real time; times that are past come at once. */
void tn__world_wake(struct tn__world *world, tn_time at, uint64_t code);

/* ---- Processes ------------------------------------------------------------------------------ */

uint32_t tn__world_nodes(const struct tn__world *world); /* those that stand by included */
bool tn__world_is_up(const struct tn__world *world, uint32_t process);
bool tn__world_is_paused(const struct tn__world *world, uint32_t process);

/* The member a process runs as: its own index, but for the copy. */
uint32_t tn__world_member(const struct tn__world *world, uint32_t process);

/* NULL when down. */
const struct tn_lease *tn__world_lease(const struct tn__world *world, uint32_t process);
uint64_t tn__world_restart_word(const struct tn__world *world, uint32_t process); /* 0: down */
uint64_t tn__world_ceiling(const struct tn__world *world, uint32_t process);      /* acknowledged */
uint64_t tn__world_starts(const struct tn__world *world, uint32_t process);

/* Start a process that is down, as a member of the version that its words name; a node that is not
 * in that version's list starts as one that has left it. `bootstrap`: an empty directory may be
 * begun in. Errors are those of tn__words_open(); the process stays down then. */
int tn__world_start(struct tn__world *world, uint32_t process, bool bootstrap);

/* Stop one in the midst of things. `disk` says what becomes of unsynced changes; of a write in
 * progress the first `operations` disk operations have been begun (UINT64_MAX: all done, and not
 * yet acknowledged). Its connections end; frames in flight stay. */
void tn__world_crash(struct tn__world *world, uint32_t process, enum tn__sim_disk_crash disk,
                     uint64_t operations);

/* Crash before the `effects`-th effect from now: a write asked for, a notice, a frame sent
 * (fault.C1). 0: not any more. */
void tn__world_crash_in(struct tn__world *world, uint32_t process, uint32_t effects);

/* A paused process makes no turn; frames that arrive wait. On resuming, all that is due comes at
 * once, frames first if `frames_first`, else the timer (fault.C12). */
void tn__world_pause(struct tn__world *world, uint32_t process);
void tn__world_resume(struct tn__world *world, uint32_t process, bool frames_first);

/* Give the extra process a copy of this member's directory and start it (fault.C9). Returns the
 * process, or TN_WORLD_NONE: it is running already, or would not start. */
uint32_t tn__world_start_copy(struct tn__world *world, uint32_t process);

/* A JOIN also tells the world who the members of that version are (F3): all of one version must
 * say the same. Beyond TN_WORLD_VERSIONS_MAX versions it is not made. */
void tn__world_request(struct tn__world *world, uint32_t process, const struct tn_request *request);

/* A request by its kind and a name of table 0. */
void tn__world_ask(struct tn__world *world, uint32_t process, enum tn_request_kind kind,
                   const char *name);

/* Tell a process that a connection to `peer` was made; nothing if either is down. */
void tn__world_connect(struct tn__world *world, uint32_t process, uint32_t peer);

/* What a process knows of a name, on its clock now; false: it is down, or knows nothing. */
bool tn__world_view(const struct tn__world *world, uint32_t process, uint32_t table,
                    const char *name, uint32_t name_bytes, struct tn_lease_view *view);

/* ---- Clocks --------------------------------------------------------------------------------- */

tn_time tn__world_local(const struct tn__world *world, uint32_t process);

/* When a process's clock will read `local` at the earliest, at its present rate; not before now. */
tn_time tn__world_real(const struct tn__world *world, uint32_t process, tn_time local);

/* The rate in parts per million of real time (0: it stands still), and the step it moves in (0: 1
 * ns). From now on; the clock does not jump. */
void tn__world_set_rate(struct tn__world *world, uint32_t process, uint32_t rate_ppm,
                        tn_time granularity);

/* Move the clock forward. */
void tn__world_jump(struct tn__world *world, uint32_t process, tn_time ahead);

/* Set the clock of a process that is down: machines are started anew, too (fault.C6). */
void tn__world_set_clock(struct tn__world *world, uint32_t process, tn_time local);

/* Break T1 on purpose: the process reads what its clock was `lag` ago. For canaries. */
void tn__world_set_lag(struct tn__world *world, uint32_t process, tn_time lag);

/* ---- Frames --------------------------------------------------------------------------------- */

/* The frames in flight in the order of sending: first, next, TN_WORLD_NONE at the end. */
uint32_t tn__world_first_frame(const struct tn__world *world);
uint32_t tn__world_next_frame(const struct tn__world *world, uint32_t frame);
uint32_t tn__world_frames_count(const struct tn__world *world);
struct tn__world_frame *tn__world_frame(struct tn__world *world, uint32_t frame);

/* Its items; returns how many (0: damaged). `messages` has room for `room`. */
uint32_t tn__world_frame_messages(const struct tn__world *world, uint32_t frame,
                                  struct tn_message *messages, uint32_t room);

/* Plan its arrival, instead of any planned before; TN_TIME_NEVER: none. */
void tn__world_plan_frame(struct tn__world *world, uint32_t frame, tn_time at);

/* A second one, not planned; TN_WORLD_NONE: there is no room. */
uint32_t tn__world_copy_frame(struct tn__world *world, uint32_t frame);

void tn__world_drop_frame(struct tn__world *world, uint32_t frame);

/* It arrives now, and is gone (or waits, if the process is paused). */
void tn__world_deliver_frame(struct tn__world *world, uint32_t frame);

/* ---- Disks ---------------------------------------------------------------------------------- */

/* The disk itself: arm faults, look, harm. NULL in a diskless world. */
struct tn__sim_disk *tn__world_disk(struct tn__world *world, uint32_t process);

/* Put another disk in its place (the world owns it now); returns the one before, the caller's. The
 * process must be down. */
struct tn__sim_disk *tn__world_swap_disk(struct tn__world *world, uint32_t process,
                                         struct tn__sim_disk *disk);

/* Is a record being written? */
bool tn__world_is_writing(const struct tn__world *world, uint32_t process);

/* Plan when the write in progress is finished. */
void tn__world_plan_write(struct tn__world *world, uint32_t process, tn_time at);

/* Finish it now, under the faults armed on the disk; a turn follows, or a crash. */
void tn__world_finish_write(struct tn__world *world, uint32_t process);

#endif
