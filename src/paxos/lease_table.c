/* The lease table: index, records, queues. The header tells the theory. */
#include "paxos/lease_table.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/assert.h"

#define ALIGNMENT 64U

static size_t aligned(size_t bytes)
{
    return (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

static uint32_t index_slots(uint32_t names_max)
{
    uint32_t slots = 16;
    while (slots < 2 * names_max) {
        slots *= 2;
    }
    return slots;
}

static bool observes(const struct tn_lease_table_options *options)
{
    return options->observe != TN_OBSERVE_OWNER;
}

/* ---- The arrays ---------------------------------------------------------------------------- */

static void *array_at(const struct tn__lease_table *table, uint64_t offset)
{
    return (char *)(uintptr_t)table + offset;
}

static uint32_t *index_of(const struct tn__lease_table *table)
{
    return array_at(table, table->index_at);
}

struct tn__lease_name *tn__lease_table_name(const struct tn__lease_table *table, uint32_t slot)
{
    tn_assert(slot < table->names_used);
    return (struct tn__lease_name *)array_at(table, table->names_at) + slot;
}

struct tn__lease_spelling *tn__lease_table_spelling(const struct tn__lease_table *table,
                                                    uint32_t slot)
{
    tn_assert(slot < table->names_used);
    return (struct tn__lease_spelling *)array_at(table, table->spellings_at) + slot;
}

struct tn__lease_learner *tn__lease_table_learner(const struct tn__lease_table *table,
                                                  uint32_t slot)
{
    tn_assert(slot < table->names_used);
    if (table->learners_at == 0) {
        return NULL;
    }
    return (struct tn__lease_learner *)array_at(table, table->learners_at) + slot;
}

static struct tn__lease_contender *contender_at(const struct tn__lease_table *table, uint32_t index)
{
    tn_assert(index < table->contenders_used);
    return (struct tn__lease_contender *)array_at(table, table->contenders_at) + index;
}

static uint32_t contender_index(const struct tn__lease_table *table,
                                const struct tn__lease_contender *contender)
{
    const struct tn__lease_contender *base = array_at(table, table->contenders_at);
    tn_assert(contender >= base);
    return (uint32_t)(contender - base);
}

struct tn__lease_contender *tn__lease_table_contender(const struct tn__lease_table *table,
                                                      const struct tn__lease_name *name)
{
    return name->contender == 0 ? NULL : contender_at(table, name->contender - 1);
}

static struct tn__links age_links(const struct tn__lease_table *table)
{
    struct tn__lease_name *names = array_at(table, table->names_at);
    return (struct tn__links){&names->age, sizeof(*names)};
}

static struct tn__links queue_links(const struct tn__lease_table *table)
{
    struct tn__lease_contender *contenders = array_at(table, table->contenders_at);
    return (struct tn__links){&contenders->queue, sizeof(*contenders)};
}

static struct tn__links ending_links(const struct tn__lease_table *table)
{
    struct tn__lease_contender *contenders = array_at(table, table->contenders_at);
    return (struct tn__links){&contenders->ending, sizeof(*contenders)};
}

static struct tn__heap waiting_heap(const struct tn__lease_table *table)
{
    return (struct tn__heap){.entries = array_at(table, table->waiting_at),
                             .places = array_at(table, table->places_at),
                             .count = (uint32_t *)(uintptr_t)&table->waiting_count};
}

size_t tn__lease_table_bytes(const struct tn_lease_table_options *options)
{
    size_t names = options->names_max;
    size_t contenders = options->contended_max;
    return aligned(index_slots(options->names_max) * sizeof(uint32_t)) +
           aligned(names * sizeof(struct tn__lease_name)) +
           aligned(names * sizeof(struct tn__lease_spelling)) +
           (observes(options) ? aligned(names * sizeof(struct tn__lease_learner)) : 0) +
           aligned(contenders * sizeof(struct tn__lease_contender)) +
           aligned(contenders * sizeof(struct tn__heap_entry)) +
           aligned(contenders * sizeof(uint32_t));
}

static uint64_t take(const struct tn__lease_table *table, char **at, size_t bytes)
{
    uint64_t offset = (uint64_t)(*at - (const char *)table);
    *at += aligned(bytes);
    return offset;
}

void tn__lease_table_init(struct tn__lease_table *table, void *arrays,
                          const struct tn_lease_table_options *options, uint64_t hash_seed)
{
    tn_assert(options->names_max > 0 && options->names_max <= TN_NAMES_MAX);
    tn_assert((char *)arrays > (char *)table);

    char *at = arrays;
    size_t names = options->names_max;
    size_t contenders = options->contended_max;
    *table = (struct tn__lease_table){.options = *options, .hash_seed = hash_seed};
    table->index_mask = index_slots(options->names_max) - 1;
    table->index_at = take(table, &at, ((size_t)table->index_mask + 1) * sizeof(uint32_t));
    table->names_at = take(table, &at, names * sizeof(struct tn__lease_name));
    table->spellings_at = take(table, &at, names * sizeof(struct tn__lease_spelling));
    if (observes(options)) {
        table->learners_at = take(table, &at, names * sizeof(struct tn__lease_learner));
    }
    table->contenders_at = take(table, &at, contenders * sizeof(struct tn__lease_contender));
    table->waiting_at = take(table, &at, contenders * sizeof(struct tn__heap_entry));
    table->places_at = take(table, &at, contenders * sizeof(uint32_t));
    tn_assert((size_t)(at - (char *)arrays) == tn__lease_table_bytes(options));
}

/* ---- The index ----------------------------------------------------------------------------- */

struct tn__lease_key tn__lease_table_key(const struct tn__lease_table *table, const char *name,
                                         uint32_t name_bytes)
{
    tn_assert(name_bytes >= 1 && name_bytes <= TN_NAME_BYTES_MAX);
    uint64_t hash = XXH3_64bits_withSeed(name, name_bytes, table->hash_seed);
    return (struct tn__lease_key){name, name_bytes, (uint32_t)(hash >> 32)};
}

void tn__lease_table_fetch_index(const struct tn__lease_table *table, struct tn__lease_key key)
{
    __builtin_prefetch(&index_of(table)[key.hash & table->index_mask]);
}

void tn__lease_table_fetch_name(const struct tn__lease_table *table, struct tn__lease_key key)
{
    uint32_t entry = index_of(table)[key.hash & table->index_mask];
    if (entry != 0) {
        __builtin_prefetch(tn__lease_table_name(table, entry - 1), 1);
        __builtin_prefetch(tn__lease_table_spelling(table, entry - 1));
    }
}

uint32_t tn__lease_table_find(const struct tn__lease_table *table, struct tn__lease_key key)
{
    const uint32_t *index = index_of(table);
    for (uint32_t place = key.hash & table->index_mask;; place = (place + 1) & table->index_mask) {
        uint32_t entry = index[place];
        if (entry == 0) {
            return TN__SLOT_NONE; /* at most half full: an empty place is always met */
        }
        if (tn__lease_table_name(table, entry - 1)->hash != key.hash) {
            continue;
        }
        const struct tn__lease_spelling *spelling = tn__lease_table_spelling(table, entry - 1);
        if (spelling->bytes_count == key.bytes_count &&
            memcmp(spelling->bytes, key.bytes, key.bytes_count) == 0) {
            return entry - 1;
        }
    }
}

static void index_insert(struct tn__lease_table *table, uint32_t slot, uint32_t hash)
{
    uint32_t *index = index_of(table);
    uint32_t place = hash & table->index_mask;
    while (index[place] != 0) {
        place = (place + 1) & table->index_mask;
    }
    index[place] = slot + 1;
}

/* Take the entry out and shift later ones of its run back, so that no tombstone is needed. */
static void index_remove(struct tn__lease_table *table, uint32_t slot, uint32_t hash)
{
    uint32_t *index = index_of(table);
    uint32_t mask = table->index_mask;
    uint32_t hole = hash & mask;
    while (index[hole] != slot + 1) {
        tn_assert(index[hole] != 0);
        hole = (hole + 1) & mask;
    }
    for (uint32_t place = (hole + 1) & mask; index[place] != 0; place = (place + 1) & mask) {
        uint32_t home = tn__lease_table_name(table, index[place] - 1)->hash & mask;
        if (((place - home) & mask) >= ((place - hole) & mask)) {
            index[hole] = index[place];
            hole = place;
        }
    }
    index[hole] = 0;
}

/* ---- Names --------------------------------------------------------------------------------- */

uint32_t tn__lease_table_add(struct tn__lease_table *table, struct tn__lease_key key,
                             struct tn_ballot floor, tn_time now)
{
    tn_assert(tn__lease_table_find(table, key) == TN__SLOT_NONE);
    uint32_t slot;
    if (table->names_free != 0) {
        slot = table->names_free - 1;
        table->names_free = tn__lease_table_name(table, slot)->age.next;
    } else if (table->names_used < table->options.names_max) {
        slot = table->names_used++;
    } else {
        return TN__SLOT_NONE;
    }
    struct tn__lease_name *name = tn__lease_table_name(table, slot);
    *name = (struct tn__lease_name){.hash = key.hash};
    name->acceptor.promised = floor; /* F2: under the promise of every name not remembered */
    struct tn__lease_spelling *spelling = tn__lease_table_spelling(table, slot);
    *spelling = (struct tn__lease_spelling){.bytes_count = (uint8_t)key.bytes_count};
    memcpy(spelling->bytes, key.bytes, key.bytes_count); /* and zeros behind: it is copied whole */
    index_insert(table, slot, key.hash);
    table->names_count++;
    tn__index_list_append(&table->ages, age_links(table), slot);
    tn__lease_table_touch(table, slot, now);
    return slot;
}

void tn__lease_table_touch(struct tn__lease_table *table, uint32_t slot, tn_time now)
{
    struct tn__lease_name *name = tn__lease_table_name(table, slot);
    tn_time keep = table->options.acceptor_ns;
    name->kept_until = keep < TN_TIME_NEVER - now ? now + keep : TN_TIME_NEVER;
    if (tn__index_list_last(&table->ages) != slot) {
        tn__index_list_remove(&table->ages, age_links(table), slot);
        tn__index_list_append(&table->ages, age_links(table), slot);
    }
}

uint32_t tn__lease_table_oldest_due(const struct tn__lease_table *table, tn_time now)
{
    uint32_t slot = tn__index_list_first(&table->ages);
    if (slot == TN__INDEX_NONE || now < tn__lease_table_name(table, slot)->kept_until) {
        return TN__SLOT_NONE;
    }
    return slot;
}

void tn__lease_table_drop(struct tn__lease_table *table, uint32_t slot)
{
    struct tn__lease_name *name = tn__lease_table_name(table, slot);
    tn_assert(name->contender == 0);
    tn_assert(table->names_count > 0);
    index_remove(table, slot, name->hash);
    tn__index_list_remove(&table->ages, age_links(table), slot);
    struct tn__lease_learner *learner = tn__lease_table_learner(table, slot);
    if (learner != NULL) {
        *learner = (struct tn__lease_learner){0};
    }
    tn__lease_table_spelling(table, slot)->bytes_count = 0;
    *name = (struct tn__lease_name){.age = {.next = table->names_free}};
    table->names_free = slot + 1;
    table->names_count--;
}

/* ---- Contenders and their queues ----------------------------------------------------------- */

struct tn__lease_contender *tn__lease_table_contend(struct tn__lease_table *table, uint32_t slot)
{
    struct tn__lease_name *name = tn__lease_table_name(table, slot);
    struct tn__lease_contender *contender = tn__lease_table_contender(table, name);
    if (contender != NULL) {
        return contender;
    }
    uint32_t index;
    if (table->contenders_free != 0) {
        index = table->contenders_free - 1;
        table->contenders_free = contender_at(table, index)->queue.next;
    } else if (table->contenders_used < table->options.contended_max) {
        index = table->contenders_used++;
    } else {
        return NULL;
    }
    contender = contender_at(table, index);
    *contender = (struct tn__lease_contender){.name = slot};
    name->contender = index + 1;
    table->contenders_count++;
    return contender;
}

void tn__lease_table_withdraw(struct tn__lease_table *table, struct tn__lease_contender *contender)
{
    tn_assert(contender->proposer.phase == TN__LEASE_IDLE);
    tn_assert(contender->proposer.lease_deadline == 0);
    tn__lease_table_place(table, contender, TN__CONTENDER_NOWHERE, 0);
    tn__lease_table_place_ending(table, contender);
    uint32_t index = contender_index(table, contender);
    tn__lease_table_name(table, contender->name)->contender = 0;
    *contender = (struct tn__lease_contender){.queue = {.next = table->contenders_free}};
    table->contenders_free = index + 1;
    table->contenders_count--;
}

static struct tn__index_list *queue_of(struct tn__lease_table *table,
                                       const struct tn__lease_contender *contender,
                                       enum tn__contender_place place)
{
    tn_assert(contender->resends < TN__RESEND_LEVELS);
    return place == TN__CONTENDER_WORKING    ? &table->work[contender->resends]
           : place == TN__CONTENDER_RENEWING ? &table->renewals
                                             : NULL;
}

static void unplace(struct tn__lease_table *table, struct tn__lease_contender *contender)
{
    uint32_t index = contender_index(table, contender);
    struct tn__index_list *queue = queue_of(table, contender, contender->place);
    if (queue != NULL) {
        tn__index_list_remove(queue, queue_links(table), index);
    } else if (contender->place == TN__CONTENDER_WAITING) {
        tn__heap_remove(waiting_heap(table), index);
    }
    contender->place = TN__CONTENDER_NOWHERE;
}

void tn__lease_table_place(struct tn__lease_table *table, struct tn__lease_contender *contender,
                           enum tn__contender_place place, tn_time wake)
{
    uint32_t index = contender_index(table, contender);
    unplace(table, contender);
    contender->wake = wake;
    contender->place = (uint8_t)place;
    struct tn__index_list *queue = queue_of(table, contender, place);
    if (queue != NULL) {
        /* Keys come almost in order, so the place is at or near the end. */
        uint32_t after = tn__index_list_last(queue);
        while (after != TN__INDEX_NONE && contender_at(table, after)->wake > wake) {
            after = tn__index_list_previous(queue_links(table), after);
        }
        tn__index_list_insert(queue, queue_links(table), index, after);
    } else if (place == TN__CONTENDER_WAITING) {
        tn__heap_insert(waiting_heap(table), index, wake);
    }
}

void tn__lease_table_place_ending(struct tn__lease_table *table,
                                  struct tn__lease_contender *contender)
{
    uint32_t index = contender_index(table, contender);
    if (contender->ends != 0) {
        tn__index_list_remove(&table->endings, ending_links(table), index);
        contender->ends = 0;
        table->owned_count--;
    }
    tn_time deadline = contender->proposer.lease_deadline;
    if (deadline == 0) {
        return;
    }
    uint32_t after = tn__index_list_last(&table->endings);
    while (after != TN__INDEX_NONE &&
           contender_at(table, after)->proposer.lease_deadline > deadline) {
        after = tn__index_list_previous(ending_links(table), after);
    }
    tn__index_list_insert(&table->endings, ending_links(table), index, after);
    contender->ends = 1;
    table->owned_count++;
}

static struct tn__lease_contender *first_of(const struct tn__lease_table *table,
                                            const struct tn__index_list *queue)
{
    uint32_t index = tn__index_list_first(queue);
    return index == TN__INDEX_NONE ? NULL : contender_at(table, index);
}

struct tn__lease_contender *tn__lease_table_first(const struct tn__lease_table *table,
                                                  enum tn__contender_place place)
{
    if (place == TN__CONTENDER_WAITING) {
        return table->waiting_count == 0
                   ? NULL
                   : contender_at(table, waiting_heap(table).entries[0].record);
    }
    if (place == TN__CONTENDER_RENEWING) {
        return first_of(table, &table->renewals);
    }
    struct tn__lease_contender *earliest = NULL;
    for (uint32_t level = 0; level < TN__RESEND_LEVELS; level++) {
        struct tn__lease_contender *first = first_of(table, &table->work[level]);
        if (first != NULL && (earliest == NULL || first->wake < earliest->wake)) {
            earliest = first;
        }
    }
    return earliest;
}

struct tn__lease_contender *tn__lease_table_first_ending(const struct tn__lease_table *table)
{
    uint32_t index = tn__index_list_first(&table->endings);
    return index == TN__INDEX_NONE ? NULL : contender_at(table, index);
}

static tn_time earlier(tn_time a, tn_time b)
{
    return a < b ? a : b;
}

tn_time tn__lease_table_deadline(const struct tn__lease_table *table)
{
    tn_time deadline = TN_TIME_NEVER;
    for (uint32_t place = TN__CONTENDER_WORKING; place <= TN__CONTENDER_WAITING; place++) {
        struct tn__lease_contender *first = tn__lease_table_first(table, place);
        deadline = first == NULL ? deadline : earlier(deadline, first->wake);
    }
    struct tn__lease_contender *ending = tn__lease_table_first_ending(table);
    if (ending != NULL) {
        tn_time began = ending->proposer.lease_deadline - table->options.proposer_ns;
        deadline = earlier(deadline, table->forsaken != 0 && began <= table->forsaken
                                         ? 0
                                         : ending->proposer.lease_deadline);
    }
    uint32_t oldest = tn__index_list_first(&table->ages);
    if (oldest != TN__INDEX_NONE) {
        deadline = earlier(deadline, tn__lease_table_name(table, oldest)->kept_until);
    }
    return deadline;
}
