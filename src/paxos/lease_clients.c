/* Memory, index and ends of a node's clients, and what is shown of them: see lease_clients.h. */
#include "paxos/lease_clients.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/assert.h"
#include "base/random.h"
#include "paxos/lease_clients_internal.h"

#define SLOT_BITS 24U
#define SLOT_MASK ((1U << SLOT_BITS) - 1)

_Static_assert(TN__CLIENTS_MAX <= SLOT_MASK, "an id keeps its slot in its low bits");

/* ---- Memory ------------------------------------------------------------------------------ */

static uint64_t round_up(uint64_t bytes)
{
    return (bytes + 63) & ~UINT64_C(63);
}

static uint32_t buckets_count(uint32_t clients_max)
{
    uint32_t count = 16;
    while (count < clients_max) {
        count *= 2;
    }
    return count;
}

/* Lay the arrays out; returns the bytes of all. */
static uint64_t lay_out(struct tn__lease_clients *clients, uint32_t clients_max)
{
    uint64_t at = round_up(sizeof(struct tn__lease_clients));
    clients->clients_at = at;
    at += round_up((uint64_t)clients_max * sizeof(struct tn__client));
    clients->names_at = at;
    at += round_up((uint64_t)clients_max * sizeof(struct tn__clients_name));
    clients->buckets_at = at;
    at += round_up((uint64_t)buckets_count(clients_max) * sizeof(uint32_t));
    clients->ends_at = at;
    at += round_up((uint64_t)clients_max * sizeof(struct tn__heap_entry));
    clients->places_at = at;
    at += round_up((uint64_t)clients_max * sizeof(uint32_t));
    return at;
}

size_t tn__lease_clients_size(const struct tn__lease_clients_options *options)
{
    tn_assert(options->clients_max >= 1 && options->clients_max <= TN__CLIENTS_MAX);
    struct tn__lease_clients scratch;
    return (size_t)lay_out(&scratch, options->clients_max);
}

struct tn__lease_clients *tn__lease_clients_init(void *memory,
                                                 const struct tn__lease_clients_options *options)
{
    tn_assert(memory != NULL && (uintptr_t)memory % 64 == 0);
    tn_assert(options->tables_count >= 1 && options->tables_count <= TN_TABLES_MAX);
    tn_assert(options->drift_ppm <= TN_DRIFT_PPM_MAX);
    struct tn__lease_clients *clients = memory;
    lay_out(clients, options->clients_max);
    clients->options = *options;
    clients->random = options->random;
    clients->buckets_mask = buckets_count(options->clients_max) - 1;
    return clients;
}

static void *array_at(const struct tn__lease_clients *clients, uint64_t at)
{
    return (char *)(uintptr_t)clients + at;
}

struct tn__client *tn__clients_client(const struct tn__lease_clients *clients, uint32_t slot)
{
    tn_assert(slot < clients->clients_used);
    return (struct tn__client *)array_at(clients, clients->clients_at) + slot;
}

struct tn__clients_name *tn__clients_name(const struct tn__lease_clients *clients, uint32_t slot)
{
    tn_assert(slot < clients->names_used);
    return (struct tn__clients_name *)array_at(clients, clients->names_at) + slot;
}

struct tn__links tn__clients_links(const struct tn__lease_clients *clients)
{
    struct tn__client *first = array_at(clients, clients->clients_at);
    return (struct tn__links){.base = &first->link, .stride = sizeof(struct tn__client)};
}

/* ---- Names ------------------------------------------------------------------------------- */

static uint32_t *bucket_of(const struct tn__lease_clients *clients, uint8_t table, const char *name,
                           uint32_t name_bytes)
{
    uint64_t hash = XXH3_64bits_withSeed(name, name_bytes, clients->options.random ^ table);
    uint32_t *buckets = array_at(clients, clients->buckets_at);
    return &buckets[(uint32_t)(hash >> 32) & clients->buckets_mask];
}

uint32_t tn__clients_find_name(const struct tn__lease_clients *clients, uint8_t table,
                               const char *name, uint32_t name_bytes)
{
    uint32_t next = *bucket_of(clients, table, name, name_bytes);
    while (next != 0) {
        const struct tn__clients_name *found = tn__clients_name(clients, next - 1);
        if (found->table == table && found->name_bytes == name_bytes &&
            memcmp(found->name, name, name_bytes) == 0) {
            return next - 1;
        }
        next = found->next;
    }
    return TN__NO_CLIENT;
}

uint32_t tn__clients_add_name(struct tn__lease_clients *clients, uint8_t table, const char *name,
                              uint32_t name_bytes)
{
    tn_assert(name_bytes >= 1 && name_bytes <= TN_NAME_BYTES_MAX);
    tn_assert(tn__clients_find_name(clients, table, name, name_bytes) == TN__NO_CLIENT);
    uint32_t slot = clients->name_free;
    if (slot != 0) {
        slot--;
        clients->name_free = tn__clients_name(clients, slot)->next;
    } else {
        tn_assert(clients->names_used < clients->options.clients_max);
        slot = clients->names_used++;
    }
    uint32_t *bucket = bucket_of(clients, table, name, name_bytes);
    struct tn__clients_name *added = tn__clients_name(clients, slot);
    *added = (struct tn__clients_name){.holder = TN__NO_CLIENT,
                                       .next = *bucket,
                                       .phase = TN__CLIENTS_ASKED,
                                       .table = table,
                                       .name_bytes = (uint8_t)name_bytes};
    memcpy(added->name, name, name_bytes);
    *bucket = slot + 1;
    clients->status.names++;
    return slot;
}

void tn__clients_drop_name(struct tn__lease_clients *clients, uint32_t slot)
{
    struct tn__clients_name *dropped = tn__clients_name(clients, slot);
    tn_assert(dropped->phase != TN__CLIENTS_UNUSED);
    tn_assert(dropped->holder == TN__NO_CLIENT && dropped->waiting == 0);
    uint32_t *link = bucket_of(clients, dropped->table, dropped->name, dropped->name_bytes);
    while (*link != slot + 1) {
        tn_assert(*link != 0);
        link = &tn__clients_name(clients, *link - 1)->next;
    }
    *link = dropped->next;
    *dropped = (struct tn__clients_name){.next = clients->name_free};
    clients->name_free = slot + 1;
    clients->status.names--;
}

/* ---- Clients ----------------------------------------------------------------------------- */

uint32_t tn__clients_find(const struct tn__lease_clients *clients, uint64_t holding)
{
    uint32_t slot = (uint32_t)holding & SLOT_MASK;
    if (holding == 0 || slot >= clients->clients_used ||
        tn__clients_client(clients, slot)->id != holding) {
        return TN__NO_CLIENT;
    }
    return slot;
}

uint32_t tn__clients_add(struct tn__lease_clients *clients)
{
    uint32_t slot = clients->client_free;
    if (slot != 0) {
        slot--;
        clients->client_free = tn__clients_client(clients, slot)->name;
    } else if (clients->clients_used < clients->options.clients_max) {
        slot = clients->clients_used++;
    } else {
        return TN__NO_CLIENT;
    }
    uint64_t high = tn__random_next(&clients->random) & ~(uint64_t)SLOT_MASK;
    if (high == 0) {
        high = (uint64_t)SLOT_MASK + 1;
    }
    struct tn__client *added = tn__clients_client(clients, slot);
    *added = (struct tn__client){.id = high | slot, .end = TN_TIME_NEVER};
    return slot;
}

void tn__clients_drop(struct tn__lease_clients *clients, uint32_t slot)
{
    struct tn__client *dropped = tn__clients_client(clients, slot);
    tn_assert(dropped->id != 0);
    tn_assert(dropped->end == TN_TIME_NEVER);
    *dropped = (struct tn__client){.name = clients->client_free};
    clients->client_free = slot + 1;
}

/* ---- Ends -------------------------------------------------------------------------------- */

static struct tn__heap ends_of(struct tn__lease_clients *clients)
{
    return (struct tn__heap){.entries = array_at(clients, clients->ends_at),
                             .places = array_at(clients, clients->places_at),
                             .count = &clients->ends_count};
}

void tn__clients_end_at(struct tn__lease_clients *clients, uint32_t slot, tn_time end)
{
    struct tn__client *client = tn__clients_client(clients, slot);
    if (client->end != TN_TIME_NEVER) {
        tn__heap_remove(ends_of(clients), slot);
    }
    client->end = end;
    if (end != TN_TIME_NEVER) {
        tn__heap_insert(ends_of(clients), slot, end);
    }
}

uint32_t tn__clients_first_end(const struct tn__lease_clients *clients)
{
    const struct tn__heap_entry *ends = array_at(clients, clients->ends_at);
    return clients->ends_count == 0 ? TN__NO_CLIENT : ends[0].record;
}

tn_time tn__lease_clients_deadline(const struct tn__lease_clients *clients)
{
    uint32_t first = tn__clients_first_end(clients);
    return first == TN__NO_CLIENT ? TN_TIME_NEVER : tn__clients_client(clients, first)->end;
}

/* ---- What is shown ----------------------------------------------------------------------- */

void tn__lease_clients_who(const struct tn__lease_clients *clients, uint8_t table, const char *name,
                           uint32_t name_bytes, tn_time now, struct tn__lease_clients_view *view)
{
    *view = (struct tn__lease_clients_view){0};
    uint32_t slot = tn__clients_find_name(clients, table, name, name_bytes);
    if (slot == TN__NO_CLIENT) {
        return;
    }
    const struct tn__clients_name *found = tn__clients_name(clients, slot);
    view->used = true;
    view->waiting = found->waiting;
    if (found->holder == TN__NO_CLIENT) {
        return;
    }
    const struct tn__client *holder = tn__clients_client(clients, found->holder);
    tn_time end = holder->end == TN_TIME_NEVER ? holder->told : holder->end;
    view->held = true;
    view->label = holder->label;
    view->label_bytes = holder->label_bytes;
    view->address = holder->address;
    view->address_bytes = holder->address_bytes;
    view->since = holder->since;
    view->remaining = end > now ? end - now : 0;
}

void tn__lease_clients_status(const struct tn__lease_clients *clients,
                              struct tn__lease_clients_status *status)
{
    *status = clients->status;
}

/* ---- Check ------------------------------------------------------------------------------- */

static void check_holder(const struct tn__lease_clients *clients,
                         const struct tn__clients_name *name, uint32_t slot)
{
    const struct tn__client *holder = tn__clients_client(clients, name->holder);
    tn_assert(holder->id != 0 && holder->name == slot);                  /* 3 */
    tn_assert(holder->since != 0 && holder->tries == 0);                 /* 3, 4 */
    tn_assert(holder->lost != 0 || name->node_deadline != 0);            /* 5 */
    tn_assert(holder->lost != 0 || holder->told <= name->node_deadline); /* 5 */
    tn_assert(holder->told <= holder->end);                              /* 5 */
    bool endless =
        holder->session != 0 && holder->connected != 0 && holder->lost == 0 && name->successor == 0;
    tn_assert(endless == (holder->end == TN_TIME_NEVER)); /* 6 */
}

static uint32_t check_queue(const struct tn__lease_clients *clients,
                            const struct tn__clients_name *name, uint32_t slot)
{
    uint32_t count = 0;
    uint32_t next = name->queue.first;
    while (next != 0) {
        const struct tn__client *waiter = tn__clients_client(clients, next - 1);
        tn_assert(waiter->id != 0 && waiter->name == slot);               /* 3 */
        tn_assert(waiter->since == 0 && waiter->told == 0);               /* 3 */
        tn_assert(waiter->end != TN_TIME_NEVER);                          /* 6 */
        tn_assert(waiter->tries == 0 || count == 0);                      /* 4 */
        tn_assert(waiter->tries == 0 || name->phase != TN__CLIENTS_HELD); /* 4 */
        count++;
        tn_assert(count <= name->waiting);
        next = waiter->link.next;
    }
    tn_assert(count == name->waiting);
    return count;
}

void tn__lease_clients_check(const struct tn__lease_clients *clients, tn_time now)
{
    uint32_t holding = 0;
    uint32_t waiting = 0;
    uint32_t names = 0;
    (void)now;
    for (uint32_t i = 0; i < clients->names_used; i++) {
        const struct tn__clients_name *name = tn__clients_name(clients, i);
        if (name->phase == TN__CLIENTS_UNUSED) {
            continue;
        }
        names++;
        bool held = name->holder != TN__NO_CLIENT;
        tn_assert(held == (name->phase == TN__CLIENTS_HELD)); /* 1 */
        tn_assert(held || name->waiting > 0);                 /* 2 */
        tn_assert(name->successor == 0 || held);              /* C6 */
        tn_assert(name->phase != TN__CLIENTS_REOPENING || name->node_deadline != 0);
        tn_assert(!held || name->priority == 0); /* C5 */
        tn_assert(tn__clients_find_name(clients, name->table, name->name, name->name_bytes) == i);
        if (held) {
            check_holder(clients, name, i);
            holding++;
        }
        waiting += check_queue(clients, name, i);
    }
    uint32_t used = 0;
    uint32_t ends = 0;
    const uint32_t *places = array_at(clients, clients->places_at);
    for (uint32_t i = 0; i < clients->clients_used; i++) {
        const struct tn__client *client = tn__clients_client(clients, i);
        used += client->id != 0;
        ends += client->id != 0 && client->end != TN_TIME_NEVER;
        tn_assert((places[i] != 0) == (client->id != 0 && client->end != TN_TIME_NEVER)); /* 6 */
    }
    tn_assert(used == holding + waiting); /* 3 */
    tn_assert(ends == clients->ends_count);
    tn_assert(names == clients->status.names);
    tn_assert(holding == clients->status.holding && waiting == clients->status.waiting);
}
