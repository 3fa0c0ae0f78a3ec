/* The once-only table (N4): which proposal of each client was executed last, and what came of it.
 *
 * Replicated state: a function of the executed prefix alone, so all members evict the same clients
 * at the same slot. A client has one outstanding sequence, so one entry a client is enough:
 *
 *   client unknown:  sequence 1 is new; any other belongs to an evicted entry, and is refused
 *   client known:    the kept sequence is a repeat; a lower one is refused; a higher one is new
 *
 * Eviction: a client unused for more than `slots` slots; and, when `clients_max` are known and one
 * more comes, the longest unused. Never by a clock.
 *
 * Memory. Entries are in one block, found through an open-addressing index that is at most half
 * full, and linked in the order of their last use. reserve() makes room for one more, and is the
 * only call that may fail; what follows an execution cannot.
 *
 * Invariants (tn__once_check): 1. linked entries are in the order of their last slot, all within
 * `slots` of the newest slot; 2. every entry is found through the index, and the index holds no
 * other; 3. entries in use and free ones are all there are. */
#ifndef TN_PAXOS_LOG_ONCE_H
#define TN_PAXOS_LOG_ONCE_H

#include <tenure/types.h>

/* Grow, shrink or (bytes 0) free a block; NULL: no memory. */
typedef void *(*tn__once_allocate)(void *context, void *block, size_t bytes);

/* Bytes in a block from tn__once_allocate. */
struct tn__once_result {
    uint8_t *bytes;
    uint32_t count;
    uint32_t capacity;
};

struct tn__once_entry {
    uint64_t client;
    uint64_t sequence;
    uint64_t slot; /* of its last use */
    struct tn__once_result result;
    uint32_t older; /* in the order of use; free entries: the next free one */
    uint32_t newer;
};

struct tn__once {
    tn__once_allocate allocate;
    void *allocate_context;
    uint64_t slots;
    uint64_t slot; /* the newest slot it was told of */
    struct tn__once_entry *entries;
    uint32_t *index; /* entry + 1; 0: none */
    uint32_t clients_max;
    uint32_t count;
    uint32_t capacity;
    uint32_t index_size; /* a power of two, at least twice the capacity */
    uint32_t oldest;
    uint32_t newest;
    uint32_t free;
    uint32_t reserved;
};

enum tn__once_verdict {
    TN__ONCE_NEW = 0,
    TN__ONCE_REPEATED,
    TN__ONCE_EVICTED,
};

void tn__once_init(struct tn__once *once, uint64_t slots, uint32_t clients_max,
                   tn__once_allocate allocate, void *allocate_context);
void tn__once_free(struct tn__once *once);

/* Slot `slot` is about to be executed: evict whom it evicts. Slots rise. */
void tn__once_advance(struct tn__once *once, uint64_t slot);

/* What of this id, in the slot of the last advance? REPEATED: `result` is what was kept, borrowed
 * until the next call, and the client counts as used in that slot. */
enum tn__once_verdict tn__once_look(struct tn__once *once, uint64_t client, uint64_t sequence,
                                    const struct tn__once_result **result);

/* Room for one more client; false: no memory, nothing has changed. */
bool tn__once_reserve(struct tn__once *once);

/* The id was executed in the slot of the last advance. After look() said NEW and reserve() true.
 * `result` is exchanged for an older block (or none), which is the caller's to use or free. */
void tn__once_keep(struct tn__once *once, uint64_t client, uint64_t sequence,
                   struct tn__once_result *result);

/* Equal for equal contents, in whatever order they came. */
uint64_t tn__once_digest(const struct tn__once *once);

void tn__once_check(const struct tn__once *once);

#endif
