/* Proposals under way, by their number: chains in buckets, a bucket a call or more. Numbers follow
 * each other, so chains are short. Under the table's mutex, all of it. */
#define _GNU_SOURCE
#include <stdlib.h>

#include "base/assert.h"
#include "node/node_groups.h"

#define BUCKETS_FIRST 16U

int tn__calls_table_init(struct tn__call_table *table)
{
    table->buckets = (struct tn_proposal **)calloc(BUCKETS_FIRST, sizeof(struct tn_proposal *));
    if (table->buckets == NULL || pthread_mutex_init(&table->mutex, NULL) != 0) {
        free((void *)table->buckets);
        table->buckets = NULL;
        return TN_ERROR_NO_MEMORY;
    }
    table->buckets_count = BUCKETS_FIRST;
    return 0;
}

void tn__calls_table_free(struct tn__call_table *table)
{
    tn_assert(table->count == 0);
    if (table->buckets != NULL) {
        pthread_mutex_destroy(&table->mutex);
        free((void *)table->buckets);
        table->buckets = NULL;
    }
}

static struct tn_proposal **bucket_of(const struct tn__call_table *table, uint64_t number)
{
    return &table->buckets[number & (table->buckets_count - 1)];
}

bool tn__calls_reserve(struct tn__call_table *table, uint32_t count)
{
    uint32_t wanted = table->buckets_count;
    while (wanted < table->count + count) {
        wanted *= 2;
    }
    if (wanted == table->buckets_count) {
        return true;
    }
    struct tn_proposal **grown =
        (struct tn_proposal **)calloc(wanted, sizeof(struct tn_proposal *));
    if (grown == NULL) {
        return false;
    }
    struct tn__call_table old = {.buckets = table->buckets, .buckets_count = table->buckets_count};
    table->buckets = grown;
    table->buckets_count = wanted;
    for (uint32_t i = 0; i < old.buckets_count; i++) {
        while (old.buckets[i] != NULL) {
            struct tn_proposal *call = old.buckets[i];
            old.buckets[i] = call->table_next;
            struct tn_proposal **bucket = bucket_of(table, call->number);
            call->table_next = *bucket;
            *bucket = call;
        }
    }
    free((void *)old.buckets);
    return true;
}

void tn__calls_insert(struct tn__call_table *table, struct tn_proposal *call)
{
    struct tn_proposal **bucket = bucket_of(table, call->number);
    call->table_next = *bucket;
    *bucket = call;
    table->count += 1;
    if (call->context != NULL) {
        atomic_fetch_add(&table->contexts, 1);
    }
}

struct tn_proposal *tn__calls_find(const struct tn__call_table *table, uint64_t number)
{
    struct tn_proposal *call = *bucket_of(table, number);
    while (call != NULL && call->number != number) {
        call = call->table_next;
    }
    return call;
}

struct tn_proposal *tn__calls_take(struct tn__call_table *table, uint64_t number, bool patient)
{
    if (patient && table->executing == number) {
        return NULL;
    }
    struct tn_proposal **link = bucket_of(table, number);
    while (*link != NULL && (*link)->number != number) {
        link = &(*link)->table_next;
    }
    struct tn_proposal *call = *link;
    if (call != NULL) {
        *link = call->table_next;
        call->table_next = NULL;
        table->count -= 1;
        if (call->context != NULL) {
            atomic_fetch_sub(&table->contexts, 1);
        }
    }
    return call;
}
