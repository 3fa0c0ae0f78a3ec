/* A lease table: the names that share their durations, and where their cells are kept.
 *
 * The table holds no rule of the protocol. It finds the record of a name, keeps the queues that say
 * what is due, and drops names nobody speaks of any more. Everything is linked by index inside one
 * block of memory (no pointers); equal durations make every queue first in, first out.
 *
 *   index       u32 open addressing, at most half full, linear probing     name -> slot
 *   names       one cache line each: acceptor cell, age link, contender    hot
 *   spellings   the names themselves                                       cold
 *   learners    hints, only where the table observes                       warm
 *   contenders  proposer records, only for names this node wants or owns
 *
 * Queues   ages      names by kept_until = last promise or accept + D_A    drop (F2's floor)
 *          work      contenders in an attempt: next resend, or t_d; one    resend, P5
 *                    queue for each length of the wait, so that each is in order
 *          renewals  contenders that hold and idle: renewal start          P1 again
 *          endings   contenders that hold: lease_deadline                  lost
 *          waiting   heap: contenders backing off until a jittered time    P5's retry
 *
 * Invariants (tn__lease_table_check)
 *   1  every name in use is found by the index, and names_count counts them
 *   2  a contender is in exactly one of work, renewals, waiting, and in endings exactly if it holds
 *   3  every queue is sorted by its key
 *   4  names in use are in `ages`
 *   5  a name's contender names that name */
#ifndef TN_PAXOS_LEASE_TABLE_H
#define TN_PAXOS_LEASE_TABLE_H

#include <tenure/lease.h>

#include "base/heap.h"
#include "base/index_list.h"
#include "paxos/lease_acceptor.h"
#include "paxos/lease_learner.h"
#include "paxos/lease_proposer.h"

/* The hot record of a name: one cache line. */
struct tn__lease_name {
    struct tn__lease_acceptor acceptor;
    tn_time kept_until;  /* last promise or accept + D_A: not dropped before (F2) */
    struct tn__link age; /* in `ages` */
    uint32_t hash;       /* of the spelling; its place in the index follows from it */
    uint32_t contender;  /* index + 1 of this node's contender; 0: not wanted here */
};

_Static_assert(sizeof(struct tn__lease_name) == 64, "a name's hot record is one cache line");

struct tn__lease_spelling {
    uint8_t bytes_count; /* 0: the slot is free */
    char bytes[TN_NAME_BYTES_MAX];
};

enum tn__contender_place {
    TN__CONTENDER_NOWHERE = 0,
    TN__CONTENDER_WORKING,  /* an attempt is in flight */
    TN__CONTENDER_RENEWING, /* holds, and waits for its renewal to begin */
    TN__CONTENDER_WAITING,  /* backs off, or waits for a lease in the way */
};

/* Waits between repetitions: resend_ns, twice, four times, eight times and so on. Who is silent for
 * long (a quarantine, A4) is not asked for every name sixteen times a lease. */
#define TN__RESEND_LEVELS 4U

struct tn__lease_contender {
    struct tn__lease_proposer proposer;
    tn_time wake;             /* key in its queue */
    tn_time stand_back_until; /* H1, H2: no attempt before */
    tn_time handed_over;      /* H3: when it last yielded to a preferred node; 0: never */
    struct tn__link queue;    /* in work, renewals or the free list */
    struct tn__link ending;   /* in endings */
    uint32_t name;            /* slot */
    uint8_t place;            /* enum tn__contender_place */
    uint8_t wanted;
    uint8_t priority; /* H3 */
    uint8_t failures; /* attempts failed in a row: widens the random wait */
    uint8_t ends;     /* 1: in endings */
    uint8_t resends;  /* of the phase in flight, at most TN__RESEND_LEVELS - 1: which work queue */
    uint8_t held;     /* 1: the last attempt found somebody else's lease in the way */
    uint8_t reserved[5];
};

struct tn__lease_table {
    struct tn_lease_table_options options;
    tn_time quarantine_end; /* A4 */
    tn_time quarantine_ns;  /* that it lasts: D_Q, or the former one if that was longer */
    tn_time forsaken;       /* leases of attempts begun at or before it count as lost; 0: none */
    uint64_t hash_seed;
    uint64_t index_at; /* offsets of the arrays from this struct */
    uint64_t names_at;
    uint64_t spellings_at;
    uint64_t learners_at; /* 0: the table does not observe */
    uint64_t contenders_at;
    uint64_t waiting_at;
    uint64_t places_at;
    uint32_t index_mask;
    uint32_t durations; /* digest that Prepare carries */
    uint32_t names_count;
    uint32_t names_used; /* slots ever used; those beyond were never touched */
    uint32_t names_free; /* index + 1 of the first free slot below names_used, linked by age.next */
    uint32_t contenders_count;
    uint32_t contenders_used;
    uint32_t contenders_free;
    uint32_t owned_count; /* contenders in endings */
    uint32_t waiting_count;
    struct tn__index_list ages;
    struct tn__index_list work[TN__RESEND_LEVELS];
    struct tn__index_list renewals;
    struct tn__index_list endings;
};

#define TN__SLOT_NONE UINT32_MAX

/* A name as messages and requests carry it, hashed once. */
struct tn__lease_key {
    const char *bytes;
    uint32_t bytes_count;
    uint32_t hash;
};

/* Bytes of the arrays behind the struct. */
size_t tn__lease_table_bytes(const struct tn_lease_table_options *options);

/* `arrays` is zeroed memory of tn__lease_table_bytes() in the same block as the table. */
void tn__lease_table_init(struct tn__lease_table *table, void *arrays,
                          const struct tn_lease_table_options *options, uint64_t hash_seed);

struct tn__lease_key tn__lease_table_key(const struct tn__lease_table *table, const char *name,
                                         uint32_t name_bytes);

/* Two steps ahead of a find: fetch the key's place in the index, then what stands there. */
void tn__lease_table_fetch_index(const struct tn__lease_table *table, struct tn__lease_key key);
void tn__lease_table_fetch_name(const struct tn__lease_table *table, struct tn__lease_key key);

/* The slot of a name, or TN__SLOT_NONE. */
uint32_t tn__lease_table_find(const struct tn__lease_table *table, struct tn__lease_key key);

/* Add a name that is not there; its promise begins at `floor`. TN__SLOT_NONE: the table is full. */
uint32_t tn__lease_table_add(struct tn__lease_table *table, struct tn__lease_key key,
                             struct tn_ballot floor, tn_time now);

/* A promise, accept or hint was given: keep the name D_A longer. */
void tn__lease_table_touch(struct tn__lease_table *table, uint32_t slot, tn_time now);

/* The oldest name if it is due to be dropped at `now` (or kept on, if it is still in use), else
 * TN__SLOT_NONE. */
uint32_t tn__lease_table_oldest_due(const struct tn__lease_table *table, tn_time now);

void tn__lease_table_drop(struct tn__lease_table *table, uint32_t slot);

/* The contender of a name; made if there is none. NULL: no room. */
struct tn__lease_contender *tn__lease_table_contend(struct tn__lease_table *table, uint32_t slot);
void tn__lease_table_withdraw(struct tn__lease_table *table, struct tn__lease_contender *contender);

/* Put a contender into a queue with this key, out of whichever it was in. `resends` may change only
 * while it is in none. */
void tn__lease_table_place(struct tn__lease_table *table, struct tn__lease_contender *contender,
                           enum tn__contender_place place, tn_time wake);

/* Make `endings` agree with the cell: in it, sorted, exactly if a lease is held. */
void tn__lease_table_place_ending(struct tn__lease_table *table,
                                  struct tn__lease_contender *contender);

struct tn__lease_name *tn__lease_table_name(const struct tn__lease_table *table, uint32_t slot);
struct tn__lease_spelling *tn__lease_table_spelling(const struct tn__lease_table *table,
                                                    uint32_t slot);
/* NULL where the table does not observe. */
struct tn__lease_learner *tn__lease_table_learner(const struct tn__lease_table *table,
                                                  uint32_t slot);
/* NULL where the name has none. */
struct tn__lease_contender *tn__lease_table_contender(const struct tn__lease_table *table,
                                                      const struct tn__lease_name *name);

/* The contender that is due first in a place or among the endings, or NULL. */
struct tn__lease_contender *tn__lease_table_first(const struct tn__lease_table *table,
                                                  enum tn__contender_place place);
struct tn__lease_contender *tn__lease_table_first_ending(const struct tn__lease_table *table);

/* The earliest key of all queues. */
tn_time tn__lease_table_deadline(const struct tn__lease_table *table);

void tn__lease_table_check(const struct tn__lease_table *table, uint32_t members_count);

#endif
