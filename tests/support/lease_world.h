/* A small world for tests of the lease machine: nodes with real drivers, a network that delivers
 * when told, one clock. No randomness, no faults but those the test makes. */
#ifndef TN_TESTS_LEASE_WORLD_H
#define TN_TESTS_LEASE_WORLD_H

#include <tenure/lease.h>

#include "paxos/driver.h"

#define WORLD_NODES_MAX 5U
#define WORLD_MAIL_MAX 16384U
#define WORLD_NOTICES_MAX 1024U

struct world_mail {
    uint32_t from, to;
    uint64_t restart_word;
    uint64_t counter;
    struct tn_message message;
};

struct world_node {
    struct tn_lease_options options;
    struct tn_lease *lease; /* NULL: down */
    struct tn__driver *driver;
    struct lease_world *world;
    uint32_t index;
    uint64_t starts;
    struct tn_record disk;    /* as it is durable */
    struct tn_record pending; /* the newest write asked for */
    struct tn_notice notices[WORLD_NOTICES_MAX];
    uint32_t notices_count;
};

struct lease_world {
    struct world_node nodes[WORLD_NODES_MAX];
    uint32_t nodes_count;
    tn_time now;
    bool slow_disks; /* writes complete only by world_write_done() */
    uint32_t cut;    /* members that neither send nor receive */
    struct world_mail mail[WORLD_MAIL_MAX];
    uint32_t mail_count;
};

/* Nodes 1 to count, started at `now`, past their quarantine if `settled`. */
struct lease_world *world_new(uint32_t count, const struct tn_lease_table_options *table,
                              bool settled);
void world_free(struct lease_world *world);

void world_crash(struct lease_world *world, uint32_t node);
void world_start(struct lease_world *world, uint32_t node);

void world_request(struct lease_world *world, uint32_t node, enum tn_request_kind kind,
                   const char *name);
void world_submit(struct lease_world *world, uint32_t node, const struct tn_request *request);

/* Deliver one message, or all until none is left. */
void world_deliver(struct lease_world *world, uint32_t mail);
void world_deliver_all(struct lease_world *world);

/* The write asked for last is durable, or has failed. */
void world_write_done(struct lease_world *world, uint32_t node);
void world_write_fails(struct lease_world *world, uint32_t node);

/* Let time pass up to `until`, firing timers when they are due and delivering all mail. */
void world_run(struct lease_world *world, tn_time until);

bool world_owns(struct lease_world *world, uint32_t node, const char *name);
uint64_t world_token(struct lease_world *world, uint32_t node, const char *name);

/* The last notice of a kind at a node, or NULL. */
const struct tn_notice *world_last(struct lease_world *world, uint32_t node,
                                   enum tn_notice_kind kind);
uint32_t world_count(struct lease_world *world, uint32_t node, enum tn_notice_kind kind);

#endif
