/* The inside of the plan of faults of logs; nobody else includes it.
 *
 *   log_faults.c          life, episodes, healing, the lease
 *   log_faults_network.c  what becomes of each frame
 *   log_faults_process.c  crashes, starts, pauses, clocks
 *   log_faults_disk.c     writes, and disks that lie
 */
#ifndef TN_SIM_LOG_FAULTS_INTERNAL_H
#define TN_SIM_LOG_FAULTS_INTERNAL_H

#include "base/random.h"
#include "sim/log_faults.h"

/* What to do when waking, in bits 32 to 55 of the code; to whom in the low half. */
enum tn__log_faults_wake {
    TN__LOG_FAULTS_EPISODE = 1,
    TN__LOG_FAULTS_NETWORK_END,
    TN__LOG_FAULTS_FLAP,
    TN__LOG_FAULTS_START,
    TN__LOG_FAULTS_RESUME,
    TN__LOG_FAULTS_CONNECT, /* process * 16 + peer */
    TN__LOG_FAULTS_SLOW_END,
    TN__LOG_FAULTS_DISK_END,
    TN__LOG_FAULTS_FULL_END,
    TN__LOG_FAULTS_LEASE, /* a group */
    TN__LOG_FAULTS_WATCH, /* look after those whose disk has failed */
};

struct tn__log_lease {
    uint64_t token;
    uint64_t word; /* of the incarnation that owns it; 0: nobody */
    uint32_t owner;
    uint32_t reserved;
    tn_time ends; /* real time, when nobody can believe in it any more */
};

struct tn__log_faults {
    struct tn__log_world *world;
    struct tn__log_faults_options options;
    uint64_t random;
    uint64_t hits[TN_LOG_FAULTS_COUNT];
    uint32_t nodes_count;
    bool is_calm;
    tn_member_set cut[TN_LOG_WORLD_NODES_MAX]; /* by sender: whom it does not reach */
    tn_member_set flap[TN_LOG_WORLD_NODES_MAX];
    enum tn__log_fault network; /* the episode; FAULTS_COUNT: none */
    uint32_t targeted;
    uint32_t flaps;
    tn_time flap_ns;
    tn_time network_end;
    tn_time link_free[TN_LOG_WORLD_NODES_MAX][TN_LOG_WORLD_NODES_MAX];
    tn_time link_last[TN_LOG_WORLD_NODES_MAX][TN_LOG_WORLD_NODES_MAX];
    uint32_t link_frames[TN_LOG_WORLD_NODES_MAX][TN_LOG_WORLD_NODES_MAX];
    tn_member_set slow;
    tn_member_set slow_disks;
    tn_member_set full_disks;
    tn_member_set retrying;
    tn_member_set hurt; /* disks that lied, until all is back */
    uint32_t starts_failed[TN_LOG_WORLD_NODES_MAX];
    struct tn__sim_disk *older[TN_LOG_WORLD_NODES_MAX]; /* LOST_SYNC: what was there once */
    struct tn__log_lease leases[TN_LOG_WORLD_GROUPS_MAX];
};

static inline bool tn__log_faults_has(const struct tn__log_faults *faults, enum tn__log_fault fault)
{
    return !faults->is_calm && (faults->options.faults & tn__log_fault_bit(fault)) != 0;
}

static inline uint64_t tn__log_faults_below(struct tn__log_faults *faults, uint64_t bound)
{
    return tn__random_below(&faults->random, bound);
}

static inline bool tn__log_faults_draw(struct tn__log_faults *faults, enum tn__log_fault fault,
                                       uint32_t ppm)
{
    return tn__log_faults_has(faults, fault) && tn__log_faults_below(faults, 1000000) < ppm;
}

static inline void tn__log_faults_count(struct tn__log_faults *faults, enum tn__log_fault fault)
{
    faults->hits[fault]++;
}

/* A time around `mean`: now and then many times as long. */
tn_time tn__log_faults_span(struct tn__log_faults *faults, tn_time mean);
void tn__log_faults_wake(struct tn__log_faults *faults, tn_time after,
                         enum tn__log_faults_wake what, uint32_t whom);

/* ---- log_faults_network.c -------------------------------------------------------------------- */

void tn__log_faults_frame_sent(void *context, uint32_t frame);
void tn__log_faults_frame_gone(void *context, const struct tn__log_sight *sight);
void tn__log_faults_network_begin(struct tn__log_faults *faults, enum tn__log_fault fault);
void tn__log_faults_network_end(struct tn__log_faults *faults);
void tn__log_faults_network_flap(struct tn__log_faults *faults);

/* ---- log_faults_process.c -------------------------------------------------------------------- */

tn_time tn__log_faults_timer_at(void *context, uint32_t process, tn_time due);
tn_time tn__log_faults_apply_at(void *context, uint32_t process, uint32_t group);
bool tn__log_faults_retry(void *context, uint32_t process);
void tn__log_faults_process_begin(struct tn__log_faults *faults, enum tn__log_fault fault);
void tn__log_faults_start(struct tn__log_faults *faults, uint32_t process);
void tn__log_faults_resume(struct tn__log_faults *faults, uint32_t process);
void tn__log_faults_set_clocks(struct tn__log_faults *faults);
enum tn__sim_disk_crash tn__log_faults_crash_kind(struct tn__log_faults *faults);

/* Is there a node up, not paused? TN_LOG_WORLD_NONE: no. */
uint32_t tn__log_faults_someone(struct tn__log_faults *faults);

/* ---- log_faults_disk.c ----------------------------------------------------------------------- */

tn_time tn__log_faults_write_at(void *context, uint32_t process);
tn_time tn__log_faults_load_at(void *context, uint32_t process);
/* A disk that is down may have forgotten or garbled something. */
void tn__log_faults_harm(struct tn__log_faults *faults, uint32_t process);
/* Who has got back what its disk had lost is whole again. */
void tn__log_faults_look_at_hurt(struct tn__log_faults *faults);
void tn__log_faults_begin_full(struct tn__log_faults *faults, uint32_t process);
bool tn__log_faults_may_hurt(struct tn__log_faults *faults, uint32_t process);
/* The directory's log is gone. */
void tn__log_faults_remove_all(struct tn__log_faults *faults, uint32_t process);

#endif
