/* Writes of the log that no thread waits for (os/file_ring.h).
 *
 *   loop:  batch --> tn__wal_write_begin() --> ring ......... readable --> tn__wal_write_end()
 *
 * The log is one thread's at a time: `ringing` keeps the writer's thread out from the beginning of
 * a write to its end, `busy` keeps the loop out while that thread makes the next segment, seals or
 * heals; meanwhile it is the thread that writes, as without a ring. Both are under the mutex. */
#define _GNU_SOURCE
#include "base/assert.h"
#include "node/node_groups.h"
#include "os/clock.h"

/* Longer batches are the thread's: handing so much memory to the kernel takes its time, which is
 * not the loop's to spend. */
#define RING_BYTES_MAX (4ULL << 20)

/* The loop is out of the log again; wake the thread if there is something for it to do. */
static void release(struct tn__store *store, bool wrote)
{
    bool idle = store->batches[store->gathering].groups_count == 0;
    bool ahead = wrote && tn__wal_has_ahead(store->wal, idle);
    pthread_mutex_lock(&store->mutex);
    tn_assert(store->ringing && !store->busy);
    store->ringing = false;
    store->ahead = store->ahead || ahead;
    store->wrote_at = tn__clock_awake();
    pthread_mutex_unlock(&store->mutex);
    if (ahead || atomic_load(&store->heal)) {
        pthread_cond_signal(&store->wanted);
    }
}

static void end(struct tn__store *store, int error)
{
    struct tn__store_batch *batch = &store->batches[1 - store->gathering];
    error = tn__wal_write_end(store->wal, batch->wal, error);
    release(store, error == 0);
    tn__store_written(store, error);
}

static void on_ring(uv_poll_t *poll, int status, int events)
{
    (void)status; /* a fault of the descriptor itself shows in what the ring says */
    (void)events;
    struct tn__store *store = poll->data;
    int error;
    if (store->writing && store->ringing && tn__file_ring_end(store->ring, false, &error)) {
        tn__node_turn_begin(store->groups->node);
        end(store, error);
    }
}

void tn__store_ring_open(struct tn__store *store)
{
    const struct tn__node_config *config = &store->groups->node->config;
    if (store->rings && !config->log_by_thread && tn__file_ring_open(&store->ring) != 0) {
        store->ring = NULL;
    }
}

void tn__store_ring_begin(struct tn__store *store)
{
    if (store->ring == NULL) {
        return;
    }
    int descriptor = tn__file_ring_descriptor(store->ring);
    store->ring_poll.data = store;
    store->ring_polled =
        uv_poll_init(&store->groups->node->loop, &store->ring_poll, descriptor) == 0;
    if (!store->ring_polled || uv_poll_start(&store->ring_poll, UV_READABLE, on_ring) != 0) {
        tn__file_ring_close(store->ring);
        store->ring = NULL;
    }
}

bool tn__store_ring_write(struct tn__store *store, struct tn__wal_batch *batch)
{
    if (store->ring == NULL || tn__wal_batch_bytes(batch) > RING_BYTES_MAX) {
        return false;
    }
    pthread_mutex_lock(&store->mutex);
    bool mine = !store->busy && !store->ahead; /* or, always a moment too late, it never got in */
    bool unsealed = mine && store->sealed;
    store->ringing = mine;
    store->sealed = store->sealed && !mine;
    pthread_mutex_unlock(&store->mutex);
    if (!mine) {
        return false;
    }
    struct tn__wal_pending pending;
    if (!tn__wal_write_begin(store->wal, batch, &pending) ||
        !tn__file_ring_begin(store->ring, pending.file, pending.offset, pending.bytes,
                             pending.length)) {
        release(store, false);
        return false;
    }
    if (unsealed) {
        pthread_cond_signal(&store->wanted); /* from now on it looks for quiet again */
    }
    return true;
}

void tn__store_ring_close(struct tn__store *store)
{
    int error;
    if (store->ring_polled) {
        uv_close((uv_handle_t *)&store->ring_poll, NULL);
        store->ring_polled = false;
    }
    if (store->ring != NULL && store->ringing && tn__file_ring_end(store->ring, true, &error)) {
        /* Nobody is told any more; a later start finds it. */
        error = tn__wal_write_end(store->wal, store->batches[1 - store->gathering].wal, error);
        store->failed = store->failed || error != 0;
        release(store, false);
        store->writing = false;
    }
    tn__file_ring_close(store->ring);
    store->ring = NULL;
}
