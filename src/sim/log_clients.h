/* The clients of a world of logs: each has one call under way, at any member, and tells the judge
 * what it asked and what it was told.
 *
 * A call is a command (put, compare and swap, add), several at once (N5), a quorum read or a stale
 * one. Who waits too long gives up, and its operation stays open: it may take effect later or
 * never. A client with a once-only id (N4) asks again elsewhere instead, under the same id. */
#ifndef TN_SIM_LOG_CLIENTS_H
#define TN_SIM_LOG_CLIENTS_H

#include "sim/log_judge.h"

#define TN_LOG_CLIENTS_MAX 12U

/* The high byte of the codes that clients wake up with. */
#define TN_LOG_CLIENTS_WAKE 0x80U

struct tn__log_clients_options {
    uint64_t seed;
    uint32_t count;
    uint32_t once_percent;  /* of clients */
    uint32_t read_percent;  /* of calls */
    uint32_t stale_percent; /* of calls */
    uint32_t batch_percent; /* of commands: several at once */
    uint32_t deaf_percent;  /* fault.N8: the answer does not reach the client */
    uint32_t padding_max;   /* bytes that follow a command */
    uint32_t keys;          /* 1 to TN_LOG_REGISTERS */
    tn_time think_ns;
    tn_time timeout_ns;
};

struct tn__log_clients; /* Opaque. */

struct tn__log_clients *tn__log_clients_new(void);
void tn__log_clients_free(struct tn__log_clients *clients);

/* After the judge has begun; observes the world. */
void tn__log_clients_begin(struct tn__log_clients *clients, struct tn__log_world *world,
                           struct tn__log_judge *judge,
                           const struct tn__log_clients_options *options);

/* A wake with TN_LOG_CLIENTS_WAKE in its high byte. */
void tn__log_clients_woken(struct tn__log_clients *clients, uint64_t code);

/* No new calls, or again new ones; and how many are under way. */
void tn__log_clients_stop(struct tn__log_clients *clients);
void tn__log_clients_go_on(struct tn__log_clients *clients);
uint32_t tn__log_clients_waiting(const struct tn__log_clients *clients);
uint64_t tn__log_clients_done(const struct tn__log_clients *clients);
uint64_t tn__log_clients_deaf(const struct tn__log_clients *clients);

#endif
