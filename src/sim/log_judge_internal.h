/* The inside of the judge of logs; nobody else includes it.
 *
 *   log_judge.c          life, what is seen, acceptors and their disks
 *   log_judge_replay.c   the committed log executed once more, and what clients were told
 */
#ifndef TN_SIM_LOG_JUDGE_INTERNAL_H
#define TN_SIM_LOG_JUDGE_INTERNAL_H

#include "sim/log_judge.h"

/* What was accepted in a slot under one ballot, and on whose disks it is. */
struct tn__judged_try {
    struct tn_log_ballot ballot;
    uint64_t digest;
    tn_member_set durable;
    uint32_t reserved;
};

/* What one node's disk holds of a slot. */
struct tn__judged_copy {
    struct tn_log_ballot ballot;
    struct tn_log_ballot promised; /* learned: what the disk had promised before */
    uint64_t digest;
    bool is_there;
    bool is_learned;
};

struct tn__judged_slot {
    struct tn__judged_try *tries;
    uint32_t tries_count;
    uint32_t tries_room;
    struct tn_log_ballot chosen_under; /* the first ballot of which that is known */
    uint64_t chosen;                   /* digest */
    uint64_t checksum;
    bool is_chosen;
    bool has_checksum;
    /* Replayed: */
    uint64_t name;   /* of the command; 0: none */
    uint64_t effect; /* the slot in which that name had its effect */
    uint64_t answer;
    uint32_t told; /* enum tn__log_answer */
    uint32_t reserved;
    struct tn__log_registers state; /* after it */
    struct tn__judged_copy copies[TN_LOG_WORLD_NODES_MAX];
};

/* N4's table, the plain way. */
#define TN__JUDGED_CLIENTS_MAX 32U
struct tn__judged_client {
    uint64_t client; /* 0: free */
    uint64_t sequence;
    uint64_t used;  /* slot */
    uint64_t order; /* of use */
    uint64_t effect;
    uint64_t answer;
};

struct tn__judged_node {
    struct tn_log_ballot durable; /* the promise on its disk */
    struct tn_log_ballot said;    /* the highest promise that left it */
    struct tn_log_ballot seen;    /* its promise in memory */
    struct tn_log_ballot ready;   /* the ballot under which it was ready last */
    uint64_t committed;
    uint64_t executed;
    uint64_t token; /* of its tenure */
    tn_time deadline;
};

/* Of each group. Operations that returned, in the order of returning, with the highest slot so far:
 * the witness. */
struct tn__judged_return {
    tn_time returned;
    uint64_t slot;
};

struct tn__judged_group {
    struct tn__judged_slot *slots; /* by slot */
    uint64_t slots_count;          /* the highest known, + 1 */
    uint64_t slots_room;
    uint64_t replayed;
    struct tn__log_registers state;
    struct tn__judged_client clients[TN__JUDGED_CLIENTS_MAX];
    uint64_t uses;
    struct tn__judged_node nodes[TN_LOG_WORLD_NODES_MAX];
    struct tn__judged_return *returns;
    uint32_t returns_count;
    uint32_t returns_room;
};

struct tn__log_judge {
    struct tn__log_world *world;
    struct tn__judged_group groups[TN_LOG_WORLD_GROUPS_MAX];
    struct tn__log_operation *operations; /* by name - 1 */
    uint64_t operations_count;
    uint64_t operations_room;
    tn_member_set voters;
    uint32_t quorum;
    uint32_t violations_count;
    uint32_t reserved;
    tn_member_set harmed; /* disks that ever lied */
    uint32_t reserved_too;
    tn_time timer_at[TN_LOG_WORLD_NODES_MAX];
    uint32_t timers[TN_LOG_WORLD_NODES_MAX];
    struct tn__log_violation violations[TN_LOG_VIOLATIONS_MAX];
};

void tn__judge_say(struct tn__log_judge *judge, uint32_t process, const char *rule,
                   const char *format, ...) __attribute__((format(printf, 4, 5)));
struct tn__judged_slot *tn__judged_slot_at(struct tn__log_judge *judge, uint32_t group,
                                           uint64_t slot);

/* ---- log_judge_replay.c ---------------------------------------------------------------------- */

/* A slot was committed, with these bytes (NULL: none), by this process. */
void tn__judge_replay(struct tn__log_judge *judge, uint32_t process, uint32_t group, uint64_t slot,
                      const struct tn_log_value *value, const void *bytes);

/* Clear for the next run, or (at the end) free. */
void tn__judge_replay_clear(struct tn__log_judge *judge);

#endif
