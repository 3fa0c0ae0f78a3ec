/* The inside of the plan of faults, shared by the files that make it up; nobody else includes it.
 *
 *   fault_plan.c          life, requests, episodes that begin and end, healing
 *   fault_plan_network.c  what becomes of each frame
 *   fault_plan_process.c  crashes, starts, pauses, clocks, disks, timers
 *   fault_plan_members.c  the operator who changes the members (F3) */
#ifndef TN_SIM_FAULT_PLAN_INTERNAL_H
#define TN_SIM_FAULT_PLAN_INTERNAL_H

#include "base/random.h"
#include "sim/fault_plan.h"

/* The codes of wakes: what to do in the high half, to whom in the low one. */
enum tn__plan_wake {
    TN__PLAN_REQUEST = 1,
    TN__PLAN_EPISODE,
    TN__PLAN_NETWORK_END, /* the episode of the network is over */
    TN__PLAN_FLAP,
    TN__PLAN_START,  /* a process */
    TN__PLAN_RESUME, /* a process */
    TN__PLAN_PAUSE,  /* a process that stalls */
    TN__PLAN_CONNECT,
    TN__PLAN_COPY_END,
    TN__PLAN_SLOW_END,
    TN__PLAN_DISK_END,
    TN__PLAN_MEMBERS, /* the operator looks what there is to do */
};

enum tn__plan_members_phase {
    TN__MEMBERS_IDLE = 0,
    TN__MEMBERS_LEAVING, /* members of the newest version are asked to leave it */
    TN__MEMBERS_OPENING, /* those of the next one are asked to join it, until a majority has */
};

/* The operator of F3. */
struct tn__plan_operator {
    enum tn__plan_members_phase phase;
    enum tn__fault change;    /* which it is */
    uint32_t version;         /* the newest that was opened */
    tn_member_set members;    /* of it */
    tn_member_set next;       /* members of the one to be opened */
    tn_member_set left;       /* members of `version` that have durably left it */
    tn_member_set admitted;   /* nodes that were ever let in: the others have never run */
    uint64_t ceiling;         /* the largest that those who left have reported */
    uint64_t opening_ceiling; /* the one `version` was opened with */
    uint32_t larger_step;     /* as said in the JOINs of `version` */
    uint32_t in_a_row;        /* changes to begin without a pause */
    tn_time change_at;        /* when the next change may begin */
    tn_time left_at;          /* when a majority had left `version`; 0: it has not */
    tn_time former_left_at;   /* when one had left the version before */
};

struct tn__fault_plan {
    struct tn__world *world;
    struct tn__fault_plan_options options;
    const struct tn_lease_table_options *table;
    uint64_t random;
    uint64_t hits[TN_FAULTS_COUNT];
    uint32_t nodes_count;
    bool calm;

    /* Episodes of the network: one at a time. */
    tn_member_set cut[TN_MEMBERS_MAX]; /* by sender: whom it does not reach */
    tn_member_set flap[TN_MEMBERS_MAX];
    enum tn__fault network; /* which it is; TN_FAULTS_COUNT: none */
    uint32_t targeted;      /* enum tn_message_kind */
    uint32_t flaps;         /* left */
    tn_time flap_ns;
    tn_time network_began;
    tn_time network_end;
    tn_time link_free[TN_MEMBERS_MAX][TN_MEMBERS_MAX];    /* SLOW_LINK */
    uint32_t link_frames[TN_MEMBERS_MAX][TN_MEMBERS_MAX]; /* in flight */

    /* Of processes. */
    tn_member_set slow;                             /* SLOW_NODE */
    tn_member_set slow_disks;                       /* SLOW_DISK */
    struct tn__sim_disk *kept_disk[TN_MEMBERS_MAX]; /* AMNESIA: the real directory */
    uint32_t starts_failed[TN_MEMBERS_MAX];
    tn_member_set copied; /* members of which a copy ever ran */
    uint32_t stalling;    /* the process whose sending is being held; TN_WORLD_NONE */
    tn_time stall_until;
    struct tn__plan_operator members;
};

static inline bool tn__plan_has(const struct tn__fault_plan *plan, enum tn__fault fault)
{
    return (plan->options.faults & tn__fault_bit(fault)) != 0;
}

static inline void tn__plan_hit(struct tn__fault_plan *plan, enum tn__fault fault)
{
    plan->hits[fault]++;
}

static inline uint64_t tn__plan_below(struct tn__fault_plan *plan, uint64_t bound)
{
    return tn__random_below(&plan->random, bound);
}

/* Is the fault on, and does it happen now, with this chance? */
static inline bool tn__plan_draw(struct tn__fault_plan *plan, enum tn__fault fault, uint32_t ppm)
{
    return tn__plan_has(plan, fault) && tn__plan_below(plan, 1000000) < ppm;
}

/* A time around `mean`: now and then many times as long. */
tn_time tn__plan_span(struct tn__fault_plan *plan, tn_time mean);

void tn__plan_wake(struct tn__fault_plan *plan, tn_time after, enum tn__plan_wake what,
                   uint32_t whom);

/* ---- fault_plan_network.c
 * ------------------------------------------------------------------------ */

void tn__plan_frame_sent(void *context, uint32_t frame);
void tn__plan_frame_gone(struct tn__fault_plan *plan, const struct tn__sight *sight);
void tn__plan_network_begin(struct tn__fault_plan *plan, enum tn__fault fault);
void tn__plan_network_end(struct tn__fault_plan *plan);
void tn__plan_network_flap(struct tn__fault_plan *plan);

/* ---- fault_plan_process.c
 * ------------------------------------------------------------------------ */

void tn__plan_write_begun(void *context, uint32_t process);
tn_time tn__plan_timer_at(void *context, uint32_t process, tn_time due);
void tn__plan_process_begin(struct tn__fault_plan *plan, enum tn__fault fault);
void tn__plan_start(struct tn__fault_plan *plan, uint32_t process);
void tn__plan_resume(struct tn__fault_plan *plan, uint32_t process);
void tn__plan_crash(struct tn__fault_plan *plan, uint32_t process);
void tn__plan_end_copy(struct tn__fault_plan *plan);
void tn__plan_set_clocks(struct tn__fault_plan *plan);
void tn__plan_restore_disk(struct tn__fault_plan *plan, uint32_t process);

/* ---- fault_plan_members.c
 * ------------------------------------------------------------------------ */

void tn__plan_members_begin(struct tn__fault_plan *plan);
void tn__plan_members_wake(struct tn__fault_plan *plan);

/* A node has durably left its version and reports its ceiling. */
void tn__plan_members_left(struct tn__fault_plan *plan, uint32_t process, uint64_t ceiling);

/* Has this node ever been let in? */
bool tn__plan_is_admitted(const struct tn__fault_plan *plan, uint32_t process);

#endif
