/* The invariants of a lease table, as numbered in lease_table.h. For tests: it walks everything. */
#include "base/assert.h"
#include "paxos/lease_table.h"

static struct tn__lease_contender *contender_at(const struct tn__lease_table *table, uint32_t index)
{
    char *base = (char *)(uintptr_t)table + table->contenders_at;
    return (struct tn__lease_contender *)(void *)base + index;
}

/* 1, 4 and 5: names, the index and the ages agree. */
static void check_names(const struct tn__lease_table *table)
{
    uint32_t in_use = 0;
    for (uint32_t slot = 0; slot < table->names_used; slot++) {
        const struct tn__lease_spelling *spelling = tn__lease_table_spelling(table, slot);
        const struct tn__lease_name *name = tn__lease_table_name(table, slot);
        if (spelling->bytes_count == 0) {
            continue;
        }
        in_use++;
        struct tn__lease_key key =
            tn__lease_table_key(table, spelling->bytes, spelling->bytes_count);
        tn_assert(key.hash == name->hash);
        tn_assert(tn__lease_table_find(table, key) == slot); /* 1 */
        tn__lease_acceptor_check(&name->acceptor);
        tn_assert(name->acceptor.deadline <= name->kept_until);
        if (name->contender != 0) { /* 5 */
            tn_assert(contender_at(table, name->contender - 1)->name == slot);
        }
    }
    tn_assert(in_use == table->names_count);

    uint32_t aged = 0;
    tn_time last = 0;
    for (uint32_t at = table->ages.first; at != 0;) { /* 3, 4 */
        const struct tn__lease_name *name = tn__lease_table_name(table, at - 1);
        tn_assert(name->kept_until >= last);
        last = name->kept_until;
        at = name->age.next;
        aged++;
    }
    tn_assert(aged == in_use);
}

/* 3: one queue is sorted, and its members know that they are in it. Returns how many. */
static uint32_t check_queue(const struct tn__lease_table *table, const struct tn__index_list *queue,
                            enum tn__contender_place place)
{
    uint32_t count = 0;
    tn_time last = 0;
    for (uint32_t at = queue->first; at != 0; count++) {
        const struct tn__lease_contender *contender = contender_at(table, at - 1);
        tn_assert(contender->place == place);
        tn_assert(contender->wake >= last);
        last = contender->wake;
        at = contender->queue.next;
    }
    return count;
}

static uint32_t check_endings(const struct tn__lease_table *table)
{
    uint32_t count = 0;
    tn_time last = 0;
    for (uint32_t at = table->endings.first; at != 0; count++) {
        const struct tn__lease_contender *contender = contender_at(table, at - 1);
        tn_assert(contender->ends == 1);
        tn_assert(contender->proposer.lease_deadline >= last);
        last = contender->proposer.lease_deadline;
        at = contender->ending.next;
    }
    return count;
}

void tn__lease_table_check(const struct tn__lease_table *table, uint32_t members_count)
{
    check_names(table);
    uint32_t working = 0, renewing = 0, waiting = 0, ending = 0, seen = 0;
    for (uint32_t slot = 0; slot < table->names_used; slot++) {
        const struct tn__lease_contender *contender =
            tn__lease_table_contender(table, tn__lease_table_name(table, slot));
        if (contender == NULL) {
            continue;
        }
        seen++;
        tn__lease_proposer_check(&contender->proposer, members_count);
        bool works = contender->proposer.phase != TN__LEASE_IDLE;
        bool holds = contender->proposer.lease_deadline != 0;
        tn_assert(contender->wanted != 0); /* one that is not wanted leaves the table */
        tn_assert(works == (contender->place == TN__CONTENDER_WORKING)); /* 2 */
        tn_assert(contender->place != TN__CONTENDER_RENEWING || holds);
        tn_assert(contender->place != TN__CONTENDER_NOWHERE);
        tn_assert(holds == (contender->ends == 1));
        working += works;
        renewing += contender->place == TN__CONTENDER_RENEWING;
        waiting += contender->place == TN__CONTENDER_WAITING;
        ending += holds;
    }
    tn_assert(seen == table->contenders_count);
    uint32_t at_work = 0;
    for (uint32_t level = 0; level < TN__RESEND_LEVELS; level++) {
        at_work += check_queue(table, &table->work[level], TN__CONTENDER_WORKING);
    }
    tn_assert(at_work == working);
    tn_assert(check_queue(table, &table->renewals, TN__CONTENDER_RENEWING) == renewing);
    tn_assert(table->waiting_count == waiting);
    tn_assert(check_endings(table) == ending && ending == table->owned_count);
}
