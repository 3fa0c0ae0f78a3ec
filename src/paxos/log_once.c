/* The once-only table; the header tells the theory. */
#include "paxos/log_once.h"

#include <string.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/random.h"

#define NONE UINT32_MAX
#define CAPACITY_MIN 16U
#define INDEX_SHARE 2U

/* ---- The index ------------------------------------------------------------------------------- */

/* Client ids are chosen by clients: mixed, so that a run of them does not cluster. */
static uint32_t index_home(const struct tn__once *once, uint64_t client)
{
    uint64_t state = client;
    return (uint32_t)tn__random_next(&state) & (once->index_size - 1);
}

/* Where the client is, or where it would be put. */
static uint32_t index_find(const struct tn__once *once, uint64_t client)
{
    tn_assert(once->index_size > once->count);
    uint32_t at = index_home(once, client);
    while (once->index[at] != 0 && once->entries[once->index[at] - 1].client != client) {
        at = (at + 1) & (once->index_size - 1);
    }
    return at;
}

/* Take out what is at `hole`, moving up those behind it that would not be found any more. */
static void index_remove(struct tn__once *once, uint32_t hole)
{
    tn_assert(once->index[hole] != 0);
    uint32_t mask = once->index_size - 1;
    uint32_t at = hole;
    for (;;) {
        at = (at + 1) & mask;
        if (once->index[at] == 0) {
            break;
        }
        uint32_t home = index_home(once, once->entries[once->index[at] - 1].client);
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            once->index[hole] = once->index[at];
            hole = at;
        }
    }
    once->index[hole] = 0;
}

static uint32_t entry_of(const struct tn__once *once, uint64_t client)
{
    if (once->count == 0) {
        return NONE;
    }
    uint32_t found = once->index[index_find(once, client)];
    return found == 0 ? NONE : found - 1;
}

/* ---- The order of use ------------------------------------------------------------------------ */

static void unlink_entry(struct tn__once *once, uint32_t entry)
{
    struct tn__once_entry *gone = &once->entries[entry];
    if (gone->older != NONE) {
        once->entries[gone->older].newer = gone->newer;
    } else {
        tn_assert(once->oldest == entry);
        once->oldest = gone->newer;
    }
    if (gone->newer != NONE) {
        once->entries[gone->newer].older = gone->older;
    } else {
        tn_assert(once->newest == entry);
        once->newest = gone->older;
    }
}

static void link_newest(struct tn__once *once, uint32_t entry)
{
    struct tn__once_entry *used = &once->entries[entry];
    used->slot = once->slot;
    used->newer = NONE;
    used->older = once->newest;
    if (once->newest != NONE) {
        tn_assert(once->entries[once->newest].slot <= once->slot);
        once->entries[once->newest].newer = entry;
    } else {
        once->oldest = entry;
    }
    once->newest = entry;
}

static void evict_oldest(struct tn__once *once)
{
    tn_assert(once->count > 0);
    uint32_t entry = once->oldest;
    struct tn__once_entry *gone = &once->entries[entry];
    index_remove(once, index_find(once, gone->client));
    unlink_entry(once, entry);
    if (gone->result.bytes != NULL) {
        once->allocate(once->allocate_context, gone->result.bytes, 0);
    }
    *gone = (struct tn__once_entry){.older = once->free};
    once->free = entry;
    once->count--;
}

/* ---- Life and growth ------------------------------------------------------------------------- */

void tn__once_init(struct tn__once *once, uint64_t slots, uint32_t clients_max,
                   tn__once_allocate allocate, void *allocate_context)
{
    tn_assert(slots > 0 && clients_max > 0 && clients_max < NONE / (2 * INDEX_SHARE));
    tn_assert(allocate != NULL);
    *once = (struct tn__once){
        .allocate = allocate,
        .allocate_context = allocate_context,
        .slots = slots,
        .clients_max = clients_max,
        .oldest = NONE,
        .newest = NONE,
        .free = NONE,
    };
}

void tn__once_free(struct tn__once *once)
{
    while (once->count > 0) {
        evict_oldest(once);
    }
    if (once->entries != NULL) {
        once->allocate(once->allocate_context, once->entries, 0);
    }
    if (once->index != NULL) {
        once->allocate(once->allocate_context, once->index, 0);
    }
    *once = (struct tn__once){0};
}

static void enter_all(struct tn__once *once)
{
    for (uint32_t entry = once->oldest; entry != NONE; entry = once->entries[entry].newer) {
        once->index[index_find(once, once->entries[entry].client)] = entry + 1;
    }
}

/* Twice the room, the index first: a larger index alone is right too. */
static bool grow(struct tn__once *once)
{
    uint32_t capacity = once->capacity == 0 ? CAPACITY_MIN : 2 * once->capacity;
    if (capacity > once->clients_max) {
        capacity = once->clients_max;
    }
    uint32_t index_size = once->index_size == 0 ? INDEX_SHARE : once->index_size;
    while (index_size < INDEX_SHARE * capacity) {
        index_size *= 2;
    }
    if (index_size != once->index_size) {
        size_t bytes = index_size * sizeof(once->index[0]);
        uint32_t *index = once->allocate(once->allocate_context, NULL, bytes);
        if (index == NULL) {
            return false;
        }
        if (once->index != NULL) {
            once->allocate(once->allocate_context, once->index, 0);
        }
        memset(index, 0, bytes);
        once->index = index;
        once->index_size = index_size;
        enter_all(once);
    }
    struct tn__once_entry *entries =
        once->allocate(once->allocate_context, once->entries, capacity * sizeof(entries[0]));
    if (entries == NULL) {
        return false;
    }
    once->entries = entries;
    for (uint32_t entry = capacity; entry > once->capacity; entry--) {
        entries[entry - 1] = (struct tn__once_entry){.older = once->free};
        once->free = entry - 1;
    }
    once->capacity = capacity;
    return true;
}

bool tn__once_reserve(struct tn__once *once)
{
    tn_assert(once->count <= once->capacity);
    return once->free != NONE || once->capacity == once->clients_max || grow(once);
}

/* ---- The rules ------------------------------------------------------------------------------- */

void tn__once_advance(struct tn__once *once, uint64_t slot)
{
    tn_assert(slot >= once->slot);
    once->slot = slot;
    while (once->count > 0 && slot - once->entries[once->oldest].slot > once->slots) {
        evict_oldest(once);
    }
}

enum tn__once_verdict tn__once_look(struct tn__once *once, uint64_t client, uint64_t sequence,
                                    const struct tn__once_result **result)
{
    *result = NULL;
    uint32_t entry = entry_of(once, client);
    if (entry == NONE) {
        return sequence == 1 ? TN__ONCE_NEW : TN__ONCE_EVICTED;
    }
    struct tn__once_entry *known = &once->entries[entry];
    tn_assert(known->client == client);
    if (sequence < known->sequence) {
        return TN__ONCE_EVICTED;
    }
    if (sequence > known->sequence) {
        return TN__ONCE_NEW;
    }
    unlink_entry(once, entry);
    link_newest(once, entry);
    *result = &known->result;
    return TN__ONCE_REPEATED;
}

void tn__once_keep(struct tn__once *once, uint64_t client, uint64_t sequence,
                   struct tn__once_result *result)
{
    uint32_t entry = entry_of(once, client);
    if (entry != NONE) {
        tn_assert(once->entries[entry].sequence < sequence);
        unlink_entry(once, entry);
    } else {
        tn_assert(sequence == 1);
        if (once->count == once->clients_max) {
            evict_oldest(once);
        }
        entry = once->free;
        tn_assert(entry != NONE);
        once->free = once->entries[entry].older;
        once->entries[entry] = (struct tn__once_entry){.client = client};
        once->index[index_find(once, client)] = entry + 1;
        once->count++;
    }
    struct tn__once_entry *kept = &once->entries[entry];
    kept->sequence = sequence;
    struct tn__once_result older = kept->result;
    kept->result = *result;
    *result = (struct tn__once_result){.bytes = older.bytes, .capacity = older.capacity};
    link_newest(once, entry);
}

/* ---- Looking --------------------------------------------------------------------------------- */

uint64_t tn__once_digest(const struct tn__once *once)
{
    uint64_t digest = once->count;
    if (once->count == 0) {
        return digest;
    }
    for (uint32_t entry = once->oldest; entry != NONE; entry = once->entries[entry].newer) {
        const struct tn__once_entry *kept = &once->entries[entry];
        uint64_t state = kept->client;
        uint64_t mixed = tn__random_next(&state) ^ kept->sequence;
        mixed = tn__random_next(&mixed) ^ kept->slot;
        mixed = tn__random_next(&mixed) ^
                tn__crc32c(kept->result.count, kept->result.bytes, kept->result.count);
        digest += tn__random_next(&mixed);
    }
    return digest;
}

void tn__once_check(const struct tn__once *once)
{
    tn_assert(once->count <= once->capacity && once->capacity <= once->clients_max);
    uint32_t linked = 0;
    uint64_t slot = 0;
    for (uint32_t entry = once->oldest; entry != NONE; entry = once->entries[entry].newer) {
        const struct tn__once_entry *kept = &once->entries[entry];
        tn_assert(kept->slot >= slot && kept->slot <= once->slot); /* 1 */
        tn_assert(once->slot - kept->slot <= once->slots);         /* 1 */
        tn_assert(entry_of(once, kept->client) == entry);          /* 2 */
        tn_assert(kept->sequence >= 1 && linked < once->count);
        slot = kept->slot;
        linked++;
    }
    tn_assert(linked == once->count); /* 3 */
    uint32_t indexed = 0;
    for (uint32_t i = 0; i < once->index_size; i++) {
        indexed += once->index[i] != 0;
    }
    tn_assert(indexed == once->count); /* 2 */
    uint32_t unused = 0;
    for (uint32_t entry = once->free; entry != NONE; entry = once->entries[entry].older) {
        unused++;
    }
    tn_assert(linked + unused == once->capacity); /* 3 */
}
