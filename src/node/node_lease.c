/* Leases of the embedding program: handles, and the words that any thread may read.
 *
 * A handle stands in a hash table by (table, name), the loop's own. The machine's notices about a
 * name find it there. What other threads ask is carried out on the loop (node_calls.c); only
 * tn_node_lease_owned() reads by itself.
 *
 * The words: a sequence lock with one writer, the loop. Written odd, then token and deadline, then
 * even; a reader that saw them in between reads again. All are atomics, token and deadline stored
 * with release and loaded with acquire, so that a reader who has seen a new value sees the odd
 * sequence too. What is read is true while the clock stands before the deadline: who reads compares
 * by itself, so that no loop has to run in time for an end to be seen. */
#define _GNU_SOURCE
#include "node/node_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "os/clock.h"

#define BUCKETS_FIRST 64U

/* ---- The words -------------------------------------------------------------------------- */

static void publish(struct tn_node_lease *lease, uint64_t token, tn_time deadline)
{
    uint32_t sequence = atomic_load_explicit(&lease->sequence, memory_order_relaxed);
    tn_assert(sequence % 2 == 0);
    atomic_store_explicit(&lease->sequence, sequence + 1, memory_order_relaxed);
    atomic_store_explicit(&lease->token, token, memory_order_release);
    atomic_store(&lease->deadline, deadline); /* ordered before the look at `waiters` below */
    atomic_store_explicit(&lease->sequence, sequence + 2, memory_order_release);
    struct tn__node_leases *leases = &lease->node->leases;
    if (deadline != 0 && atomic_load(&leases->waiters) > 0) {
        pthread_mutex_lock(&leases->mutex);
        pthread_cond_broadcast(&leases->changed);
        pthread_mutex_unlock(&leases->mutex);
    }
}

/* Does the clock stand before the deadline, and was no suspend passed over that the loop has not
 * seen yet? A delay between the two reads looks like one; then it is looked at closely. */
static bool clock_is_before(const struct tn_node *node, tn_time deadline)
{
    uint64_t seen = atomic_load_explicit(&node->suspended_ns, memory_order_acquire);
    tn_time awake = tn__clock_awake();
    tn_time now = tn__clock_now();
    if (now >= deadline) {
        return false;
    }
    return (int64_t)(now - awake - seen) < TN_NODE_SUSPEND_NS_MIN ||
           (!tn__node_was_suspended(seen) && tn__clock_now() < deadline);
}

bool tn_node_lease_owned(const struct tn_node_lease *lease, uint64_t *token, tn_time *deadline)
{
    uint64_t token_read = 0;
    uint64_t deadline_read = 0;
    uint32_t before = 0;
    uint32_t after = 0;
    /* Ends: the writer holds the words for three stores, and writes a few times a second. */
    do {
        before = atomic_load_explicit(&lease->sequence, memory_order_acquire);
        token_read = atomic_load_explicit(&lease->token, memory_order_acquire);
        deadline_read = atomic_load_explicit(&lease->deadline, memory_order_acquire);
        after = atomic_load_explicit(&lease->sequence, memory_order_relaxed);
    } while (before != after || before % 2 != 0);
    bool owned = deadline_read != 0 && clock_is_before(lease->node, deadline_read);
    if (token != NULL) {
        *token = owned ? token_read : 0;
    }
    if (deadline != NULL) {
        *deadline = owned ? deadline_read : 0;
    }
    return owned;
}

/* ---- The table of handles
 * ------------------------------------------------------------------------ */

static uint32_t hash_of(uint32_t table, const char *name, uint32_t name_bytes)
{
    return tn__crc32c(table + 1, name, name_bytes) * 2654435769U;
}

static struct tn_node_lease **bucket_of(const struct tn__node_leases *leases, uint32_t hash)
{
    return &leases->buckets[(hash >> 8) & (leases->buckets_count - 1)];
}

struct tn_node_lease *tn__node_lease_find(struct tn_node *node, uint32_t table, const char *name,
                                          uint32_t name_bytes)
{
    if (node->leases.count == 0) {
        return NULL;
    }
    uint32_t hash = hash_of(table, name, name_bytes);
    struct tn_node_lease *lease = *bucket_of(&node->leases, hash);
    while (lease != NULL &&
           !(lease->hash == hash && lease->table == table && lease->name_bytes == name_bytes &&
             memcmp(lease->name, name, name_bytes) == 0)) {
        lease = lease->next;
    }
    return lease;
}

static bool leases_grow(struct tn__node_leases *leases)
{
    uint32_t count = 2 * leases->buckets_count;
    struct tn_node_lease **grown = calloc(count, sizeof(struct tn_node_lease *));
    if (grown == NULL) {
        return false;
    }
    struct tn__node_leases old = *leases;
    leases->buckets = grown;
    leases->buckets_count = count;
    for (uint32_t i = 0; i < old.buckets_count; i++) {
        struct tn_node_lease *lease = old.buckets[i];
        while (lease != NULL) {
            struct tn_node_lease *next = lease->next;
            struct tn_node_lease **bucket = bucket_of(leases, lease->hash);
            lease->next = *bucket;
            *bucket = lease;
            lease = next;
        }
    }
    free(old.buckets);
    return true;
}

static bool leases_insert(struct tn__node_leases *leases, struct tn_node_lease *lease)
{
    if (leases->count >= leases->buckets_count && !leases_grow(leases)) {
        return false;
    }
    struct tn_node_lease **bucket = bucket_of(leases, lease->hash);
    lease->next = *bucket;
    *bucket = lease;
    leases->count += 1;
    return true;
}

static void leases_remove(struct tn__node_leases *leases, struct tn_node_lease *lease)
{
    struct tn_node_lease **link = bucket_of(leases, lease->hash);
    while (*link != lease) {
        tn_assert(*link != NULL);
        link = &(*link)->next;
    }
    *link = lease->next;
    leases->count -= 1;
}

int tn__node_leases_init(struct tn_node *node)
{
    struct tn__node_leases *leases = &node->leases;
    leases->buckets = calloc(BUCKETS_FIRST, sizeof(struct tn_node_lease *));
    if (leases->buckets == NULL) {
        return TN_ERROR_NO_MEMORY;
    }
    leases->buckets_count = BUCKETS_FIRST;
    pthread_condattr_t attributes;
    if (pthread_condattr_init(&attributes) != 0) {
        free(leases->buckets);
        leases->buckets = NULL;
        return TN_ERROR_NO_MEMORY;
    }
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    bool made = pthread_mutex_init(&leases->mutex, NULL) == 0 &&
                pthread_cond_init(&leases->changed, &attributes) == 0;
    pthread_condattr_destroy(&attributes);
    return made ? 0 : TN_ERROR_NO_MEMORY;
}

void tn__node_leases_free(struct tn_node *node)
{
    struct tn__node_leases *leases = &node->leases;
    for (uint32_t i = 0; i < leases->buckets_count; i++) {
        while (leases->buckets[i] != NULL) {
            struct tn_node_lease *lease = leases->buckets[i];
            leases->buckets[i] = lease->next;
            free(lease);
        }
    }
    free(leases->buckets);
    pthread_cond_destroy(&leases->changed);
    pthread_mutex_destroy(&leases->mutex);
}

void tn__node_leases_forsake(struct tn_node *node)
{
    for (uint32_t i = 0; i < node->leases.buckets_count; i++) {
        for (struct tn_node_lease *lease = node->leases.buckets[i]; lease != NULL;
             lease = lease->next) {
            publish(lease, 0, 0);
        }
    }
}

void tn__node_leases_close(struct tn_node *node)
{
    pthread_mutex_lock(&node->leases.mutex);
    node->leases.closed = true;
    pthread_cond_broadcast(&node->leases.changed);
    pthread_mutex_unlock(&node->leases.mutex);
}

void tn__node_leases_notice(struct tn_node *node, const struct tn_notice *notice)
{
    struct tn_node_lease *lease =
        tn__node_lease_find(node, notice->table, notice->name, notice->name_bytes);
    if (lease == NULL) {
        return;
    }
    switch (notice->kind) {
    case TN_NOTICE_OPENED:
    case TN_NOTICE_RENEWED:
    case TN_NOTICE_REOPENED:
        publish(lease, notice->token, notice->deadline);
        break;
    case TN_NOTICE_LOST:
    case TN_NOTICE_RELEASED:
        publish(lease, 0, 0);
        break;
    default:
        break;
    }
    if (lease->on_change != NULL) {
        lease->on_change(lease, notice,
                         lease->data); /* may close the lease: it is not used after */
    }
}

/* ---- Requests about a name
 * ----------------------------------------------------------------------- */

struct lease_request {
    struct tn_node_lease *lease;
    enum tn_request_kind kind;
    tn_node_id successor;
};

static int ask(struct tn_node_lease *lease, enum tn_request_kind kind, tn_node_id successor)
{
    struct tn_request request = {
        .kind = (uint8_t)kind,
        .table = lease->table,
        .name_bytes = lease->name_bytes,
        .priority = lease->priority,
        .successor = successor,
    };
    memcpy(request.name, lease->name, lease->name_bytes);
    return tn__node_request(lease->node, &request);
}

static int carry_out(struct tn_node *node, void *argument)
{
    struct lease_request *wanted = argument;
    struct tn_node_lease *lease = wanted->lease;
    if (node->stopping) {
        return TN_ERROR_CLOSED;
    }
    if (wanted->kind == TN_REQUEST_HAND_OVER && !node->stepping) {
        struct tn_lease_view view;
        (void)tn_lease_who(node->lease, lease->table, lease->name, lease->name_bytes,
                           tn__clock_now(), &view);
        if (!view.owned) {
            return TN_ERROR_NOT_OWNER;
        }
    }
    if (wanted->kind == TN_REQUEST_RELEASE || wanted->kind == TN_REQUEST_DROP ||
        wanted->kind == TN_REQUEST_HAND_OVER) {
        publish(lease, 0, 0); /* P6: stop acting as owner first */
    }
    return ask(lease, wanted->kind, wanted->successor);
}

static int request_about(struct tn_node_lease *lease, enum tn_request_kind kind,
                         tn_node_id successor)
{
    struct lease_request wanted = {.lease = lease, .kind = kind, .successor = successor};
    return tn__node_call(lease->node, carry_out, &wanted, false);
}

int tn_node_lease_acquire(struct tn_node_lease *lease)
{
    return request_about(lease, TN_REQUEST_ACQUIRE, 0);
}

int tn_node_lease_reopen(struct tn_node_lease *lease)
{
    return request_about(lease, TN_REQUEST_REOPEN, 0);
}

int tn_node_lease_release(struct tn_node_lease *lease)
{
    return request_about(lease, TN_REQUEST_RELEASE, 0);
}

int tn_node_lease_drop(struct tn_node_lease *lease)
{
    return request_about(lease, TN_REQUEST_DROP, 0);
}

int tn_node_lease_hand_over(struct tn_node_lease *lease, const char *member)
{
    if (member == NULL) {
        return TN_ERROR_NOT_FOUND;
    }
    const struct tn__node_config *config = &lease->node->config;
    int32_t index = tn__node_config_member(config, member);
    if (index < 0 || (uint32_t)index == config->self) {
        return TN_ERROR_NOT_FOUND;
    }
    return request_about(lease, TN_REQUEST_HAND_OVER, config->ids[index]);
}

/* ---- Open and close
 * ------------------------------------------------------------------------------ */

static int open_on_loop(struct tn_node *node, void *argument)
{
    struct tn_node_lease *lease = argument;
    if (node->stopping) {
        return TN_ERROR_CLOSED;
    }
    if (tn__node_lease_find(node, lease->table, lease->name, lease->name_bytes) != NULL ||
        (node->front.context != NULL &&
         node->front.uses(node->front.context, lease->table, lease->name, lease->name_bytes))) {
        return TN_ERROR_BUSY;
    }
    if (!leases_insert(&node->leases, lease)) {
        return TN_ERROR_NO_MEMORY;
    }
    const uint32_t table = lease->table;
    const uint32_t name_bytes = lease->name_bytes;
    char name[TN_NAME_BYTES_MAX];
    memcpy(name, lease->name, sizeof(name));
    int error = ask(lease, TN_REQUEST_ACQUIRE, 0);
    if (error == 0 && !node->stepping) {
        struct tn_lease_view view;
        (void)tn_lease_who(node->lease, table, name, name_bytes, tn__clock_now(), &view);
        error = view.wanted ? 0 : TN_ERROR_FULL;
    }
    /* A callback may have closed the lease by now: then it is not in the table, nor anywhere. */
    if (tn__node_lease_find(node, table, name, name_bytes) != lease) {
        return 0;
    }
    if (error != 0) {
        leases_remove(&node->leases, lease);
    }
    return error;
}

int tn_node_lease_open(struct tn_node *node, const char *table, const char *name,
                       const struct tn_node_lease_options *options, struct tn_node_lease **lease)
{
    *lease = NULL;
    if (table == NULL || name == NULL) {
        return TN_ERROR_INVALID;
    }
    int32_t index = tn__node_config_table(&node->config, table);
    if (index < 0) {
        return TN_ERROR_NOT_FOUND;
    }
    size_t name_bytes = strnlen(name, TN_NAME_BYTES_MAX + 1);
    if (name_bytes < 1 || name_bytes > TN_NAME_BYTES_MAX ||
        (options != NULL && options->priority > 15)) {
        return TN_ERROR_INVALID;
    }
    struct tn_node_lease *made = calloc(1, sizeof(*made));
    if (made == NULL) {
        return TN_ERROR_NO_MEMORY;
    }
    made->node = node;
    made->table = (uint8_t)index;
    made->name_bytes = (uint8_t)name_bytes;
    memcpy(made->name, name, name_bytes);
    made->hash = hash_of(made->table, made->name, made->name_bytes);
    if (options != NULL) {
        made->priority = (uint8_t)options->priority;
        made->on_change = options->on_change;
        made->data = options->data;
    }
    *lease = made; /* before the first callback can run */
    int error = tn__node_call(node, open_on_loop, made, false);
    if (error != 0) {
        *lease = NULL;
        free(made);
    }
    return error;
}

static int close_on_loop(struct tn_node *node, void *argument)
{
    struct tn_node_lease *lease = argument;
    publish(lease, 0, 0);
    leases_remove(&node->leases, lease);
    return node->stopping ? 0 : ask(lease, TN_REQUEST_RELEASE, 0);
}

void tn_node_lease_close(struct tn_node_lease *lease)
{
    if (lease == NULL) {
        return;
    }
    if (tn__node_call(lease->node, close_on_loop, lease, true) == TN_ERROR_CLOSED) {
        return; /* the loop has ended and released it; the node frees it */
    }
    free(lease);
}

int tn_node_lease_wait(struct tn_node_lease *lease, uint64_t timeout_ns)
{
    struct tn_node *node = lease->node;
    if (tn__node_on_loop(node)) {
        return TN_ERROR_WRONG_THREAD;
    }
    struct tn__node_leases *leases = &node->leases;
    tn_time start = tn__clock_awake();
    tn_time end = timeout_ns > TN_TIME_NEVER - start ? TN_TIME_NEVER : start + timeout_ns;
    struct timespec when = {
        .tv_sec = (time_t)(end == TN_TIME_NEVER ? INT32_MAX : end / TN_SECOND),
        .tv_nsec = (long)(end == TN_TIME_NEVER ? 0 : end % TN_SECOND),
    };
    int error = 0;
    pthread_mutex_lock(&leases->mutex);
    atomic_fetch_add(&leases->waiters, 1);
    /* The loop publishes before it looks at `waiters`, and we count ourselves before we look at the
     * words: one of the two sees the other. */
    while (error == 0 &&
           (atomic_load(&lease->deadline) == 0 || !tn_node_lease_owned(lease, NULL, NULL))) {
        if (leases->closed) {
            error = TN_ERROR_CLOSED;
        } else if (pthread_cond_timedwait(&leases->changed, &leases->mutex, &when) == ETIMEDOUT) {
            error = tn_node_lease_owned(lease, NULL, NULL) ? 0 : TN_ERROR_TIMEOUT;
            break;
        }
    }
    atomic_fetch_sub(&leases->waiters, 1);
    pthread_mutex_unlock(&leases->mutex);
    return error;
}
