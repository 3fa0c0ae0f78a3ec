/* The inside of the judge, shared by the files that make it up; nobody else includes it.
 *
 *   lease_judge.c          what it sees, messages and acceptors; its life
 *   lease_judge_owner.c    owners: activations, certificates, views
 *   lease_judge_members.c  F3: which version of the membership is in force where
 *
 * Of each process and name it keeps three things: the attempt in flight (from the first Prepare
 * sent), the lease held (from notices) and the lease granted (from Accepted sent). A node's
 * messages to itself are not on any network; that an own grant is part of a certificate is believed
 * only if the machine's count of grants rose since the Prepare. */
#ifndef TN_SIM_LEASE_JUDGE_INTERNAL_H
#define TN_SIM_LEASE_JUDGE_INTERNAL_H

#include "sim/lease_judge.h"

#define BALLOTS_ROOM (1U << 17)
#define VERSIONS_ROOM 1024U /* of the membership; those beyond are known to nobody */
#define ASKED_ROOM 8U

struct attempt {
    struct tn_ballot ballot;          /* none: none is in flight */
    tn_time prepared;                 /* local, when its first Prepare was sent */
    uint64_t grants;                  /* the machine's count of grants then */
    uint32_t version;                 /* of the membership that it is for */
    tn_member_set accepted;           /* nodes, as are all sets here */
    uint32_t sources[TN_MEMBERS_MAX]; /* which process said so, by node */
};

struct held {
    struct tn_ballot ballot; /* none: nothing is held */
    tn_time deadline;
    uint64_t token;
};

/* An Accept received: what it grants counts from here, also if the answer waits for a write. */
struct asked {
    struct tn_ballot ballot;
    tn_time at; /* local */
    bool released;
    bool answered;
};

struct grant {
    struct tn_ballot ballot; /* none: nothing is granted */
    tn_time until;           /* local */
    bool misreleased;        /* a Release of something else came since */
    bool uncertain; /* the answer waited for a write: it is not known from when it counts */
    bool forgotten; /* more Accepts wait for answers than are remembered */
    uint32_t asked_count;
    struct asked asked[ASKED_ROOM];
};

struct named {
    struct attempt attempt;
    struct held held;
    struct grant grant;
    struct tn_ballot told; /* of a Learn that no notice has justified yet; none: all are */
    tn_time told_until;
};

struct person {    /* of a process */
    uint64_t word; /* 0: down */
    tn_time started;
    tn_time timer_real;
    uint32_t timers;
    bool written; /* the turn's event was a completed write: what leaves now was said before */
    bool left;    /* F3: its version, durably */
    uint8_t places[TN_MEMBERS_MAX]; /* F3: the node at each place of its list of members */
    uint32_t version;               /* F3: in force here */
    tn_member_set members;          /* F3: of that version */
    tn_time silent_until;           /* F3: after a larger step */
    struct named names[TN_JUDGE_NAMES_MAX];
};

struct judged_name {
    uint32_t table;
    uint32_t bytes_count;
    char bytes[TN_NAME_BYTES_MAX];
    uint64_t token; /* the last one given out */
    uint64_t tenures;
    tn_member_set certificate; /* of the last lease, and more about that lease */
    uint32_t version;
    tn_time ends; /* real: at the latest; earlier if it was seen to end */
    struct tn_ballot ballot;
};

struct used_ballot {
    struct tn_ballot ballot;
    uint32_t round; /* of the judge: entries of earlier runs mean nothing */
    uint16_t process;
    uint16_t name;
};

struct tn__lease_judge {
    struct tn__world *world;
    const struct tn_lease_options *options;
    uint32_t names_count;
    uint32_t violations_count;
    uint32_t round;
    uint32_t ballots_count;
    uint32_t last_source;                  /* the process whose frame is being delivered */
    tn_member_set copied;                  /* members of which a copy ever ran */
    tn_member_set versions[VERSIONS_ROOM]; /* F3: the members of each; 0: it was never opened */
    uint64_t starts[TN_MEMBERS_MAX];       /* V4: the count in the last restart word of each node */
    /* F3: the newest version that each directory has ever been in; the copy's is its own. */
    uint32_t newest[TN_WORLD_PROCESSES_MAX];
    struct judged_name names[TN_JUDGE_NAMES_MAX];
    struct tn__violation violations[TN_JUDGE_VIOLATIONS_MAX];
    struct person persons[TN_WORLD_PROCESSES_MAX];
    struct used_ballot ballots[BALLOTS_ROOM];
};

static inline const struct tn_lease_table_options *
tn__judge_table(const struct tn__lease_judge *judge, uint32_t name)
{
    return &judge->options->tables[judge->names[name].table];
}

/* ---- lease_judge.c -------------------------------------------------------------------------- */

void tn__judge_object(struct tn__lease_judge *judge, uint32_t process, const char *rule,
                      const char *text, struct tn_ballot ballot);

/* The index of a name; TN_JUDGE_NAMES_MAX: it was never seen. */
uint32_t tn__judge_find_name(const struct tn__lease_judge *judge, uint32_t table, const char *bytes,
                             uint32_t bytes_count);

/* ---- lease_judge_owner.c -------------------------------------------------------------------- */

void tn__judge_activation(struct tn__lease_judge *judge, const struct tn__sight *sight,
                          uint32_t name);

/* The lease held is over: its notice says so. */
void tn__judge_lease_ended(struct tn__lease_judge *judge, const struct tn__sight *sight,
                           uint32_t name);

/* inv.L2, inv.L9, inv.L10, after each turn. */
void tn__judge_turn_ended(struct tn__lease_judge *judge, const struct tn__sight *sight);

/* ---- lease_judge_members.c ------------------------------------------------------------------ */

void tn__judge_members_begin(struct tn__lease_judge *judge);
void tn__judge_started(struct tn__lease_judge *judge, const struct tn__sight *sight);
void tn__judge_join_asked(struct tn__lease_judge *judge, uint32_t process,
                          const struct tn_request *request);
void tn__judge_left(struct tn__lease_judge *judge, uint32_t process);
void tn__judge_joined(struct tn__lease_judge *judge, const struct tn__sight *sight);
void tn__judge_spoken(struct tn__lease_judge *judge, const struct tn__sight *sight, bool answer);

/* Is `set` a majority of the members of the version in force at this process? */
bool tn__judge_majority(const struct tn__lease_judge *judge, uint32_t process, tn_member_set set);

/* Do all majorities of two versions meet: is it one, or neighbours that differ by one member? */
bool tn__judge_majorities_meet(const struct tn__lease_judge *judge, uint32_t version,
                               uint32_t later);

#endif
