/* The inside of the clients of a node, shared by the files that make it up; nobody else includes
 * it.
 *
 *   lease_clients.c         memory, index, ends, views, check
 *   lease_clients_turns.c   whose turn it is: calls, notices, ends                     C1-C6 */
#ifndef TN_PAXOS_LEASE_CLIENTS_INTERNAL_H
#define TN_PAXOS_LEASE_CLIENTS_INTERNAL_H

#include "base/heap.h"
#include "base/index_list.h"
#include "paxos/lease_clients.h"

#define TN__NO_CLIENT UINT32_MAX

enum tn__clients_phase {
    TN__CLIENTS_UNUSED = 0,
    TN__CLIENTS_ASKED,     /* the machine tries; nobody holds */
    TN__CLIENTS_REOPENING, /* the node owns; the next client's token is on its way (C4) */
    TN__CLIENTS_HELD,
};

/* One client: it waits, or it holds. */
struct tn__client {
    uint64_t id; /* the holding's, with the slot in its low 24 bits; 0: the slot is free */
    uint64_t cookie;
    uint64_t token;
    tn_time received; /* of the request that its time counts from (C2) */
    tn_time told;     /* the latest time it was told, on this node's clock (C1); 0: none */
    tn_time since;    /* when it was granted; 0: it waits */
    tn_time ttl_ns;
    tn_time end;   /* its key in the heap; TN_TIME_NEVER: not in it */
    uint32_t name; /* slot */
    uint32_t renewals;
    struct tn__link link; /* in the queue of its name */
    tn_time remaining;    /* with `verdict`: when the name may be free */
    tn_node_id node;      /* with `verdict`: the owner */
    uint8_t verdict;      /* what its wait ends with, if it ends now; OK: that its time is over */
    uint8_t session;
    uint8_t connected;
    uint8_t lost;  /* holder: the node lost the lease; it stays until its time has run out */
    uint8_t tries; /* waiter: it does not wait */
    uint8_t label_bytes;
    uint8_t address_bytes;
    char label[TN_LABEL_BYTES_MAX];
    char address[TN__CLIENT_ADDRESS_BYTES_MAX];
};

/* One name in use. */
struct tn__clients_name {
    tn_time node_deadline;       /* of the node's lease; 0: it does not own the name */
    uint64_t token;              /* of the latest activation */
    struct tn__index_list queue; /* of clients */
    uint32_t holder;             /* slot of a client, or TN__NO_CLIENT */
    uint32_t waiting;            /* clients in the queue */
    uint32_t next;               /* index + 1: in its bucket, or in the free list */
    tn_node_id successor;        /* C6: to whom it is to be handed over; 0: nobody */
    uint8_t phase;               /* enum tn__clients_phase */
    uint8_t table;
    uint8_t priority; /* as the machine was told */
    uint8_t name_bytes;
    char name[TN_NAME_BYTES_MAX];
};

struct tn__lease_clients {
    struct tn__lease_clients_options options;
    struct tn__lease_clients_status status;
    uint64_t random;
    uint32_t buckets_mask;
    uint32_t clients_used; /* slots ever used; beyond them memory is untouched */
    uint32_t names_used;
    uint32_t client_free; /* index + 1 of the first free slot below clients_used; 0: none */
    uint32_t name_free;
    uint32_t ends_count;
    uint64_t clients_at; /* offsets of the arrays from this struct */
    uint64_t names_at;
    uint64_t buckets_at;
    uint64_t ends_at;
    uint64_t places_at;
};

struct tn__client *tn__clients_client(const struct tn__lease_clients *clients, uint32_t slot);
struct tn__clients_name *tn__clients_name(const struct tn__lease_clients *clients, uint32_t slot);

/* Where the links of the queues are. */
struct tn__links tn__clients_links(const struct tn__lease_clients *clients);

/* The slot of a name in use, or TN__NO_CLIENT. */
uint32_t tn__clients_find_name(const struct tn__lease_clients *clients, uint8_t table,
                               const char *name, uint32_t name_bytes);

/* Take a slot for a name that is not in use; there are as many as clients. */
uint32_t tn__clients_add_name(struct tn__lease_clients *clients, uint8_t table, const char *name,
                              uint32_t name_bytes);
void tn__clients_drop_name(struct tn__lease_clients *clients, uint32_t slot);

/* The slot of a client by its holding, or TN__NO_CLIENT. */
uint32_t tn__clients_find(const struct tn__lease_clients *clients, uint64_t holding);

/* Take a slot for a client, with a fresh id; TN__NO_CLIENT: there is none. */
uint32_t tn__clients_add(struct tn__lease_clients *clients);
void tn__clients_drop(struct tn__lease_clients *clients, uint32_t slot);

/* Set when the client's wait or holding ends by itself; TN_TIME_NEVER: it does not. */
void tn__clients_end_at(struct tn__lease_clients *clients, uint32_t slot, tn_time end);

/* The client whose end comes first, or TN__NO_CLIENT. */
uint32_t tn__clients_first_end(const struct tn__lease_clients *clients);

#endif
