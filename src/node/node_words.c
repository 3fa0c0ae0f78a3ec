/* Durable words, written by a thread beside the loop: a disk that takes its time delays no renewal.
 *
 * The loop leaves the newest record; the thread takes it, writes, and wakes the loop. A record that
 * comes while another is being written replaces what waits (a later record replaces an earlier one
 * whole), so a slow disk costs one write at a time and no memory. One write ends all numbers up to
 * its own: they were asked for in order and it says at least what each of them said. When it fails
 * each of them has failed (F4). */
#define _GNU_SOURCE
#include "node/node_internal.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "os/entropy.h"
#include "os/file_posix.h"

int tn__node_words_open(struct tn_node *node, char *why, size_t why_size)
{
    struct tn_lease_options *lease = &node->config.lease;
    uint64_t random = 0;
    uint8_t disk_id[TN_DISK_ID_BYTES];
    int error = tn__entropy_draw(&random, sizeof(random));
    if (error == 0) {
        error = tn__entropy_draw(disk_id, sizeof(disk_id));
    }
    if (error != 0) {
        tn__node_why(why, why_size, "the operating system gives no randomness");
        return error;
    }
    if (node->config.diskless) {
        lease->restart_word = tn__words_diskless_restart_word(random);
        return 0;
    }
    struct tn__words_options options = {
        .files = tn__file_posix(),
        .path = node->config.data_dir,
        .node = node->config.ids[node->config.self],
        .configuration = lease->configuration,
        .bootstrap = node->config.bootstrap,
        .random = (uint32_t)random,
    };
    memcpy(options.cluster_id, node->config.cluster_id, sizeof(options.cluster_id));
    memcpy(options.disk_id, disk_id, sizeof(options.disk_id));
    struct tn__words *words = &node->words.words;
    error = tn__words_open(words, &options, why, why_size);
    if (error != 0) {
        return error;
    }
    node->words.open = true;
    lease->restart_word = words->restart_word;
    lease->ceiling = words->ceiling;
    lease->configuration = words->configuration;
    lease->left = words->left;
    memcpy(lease->former_quarantine_ns, words->quarantine_ns, sizeof(words->quarantine_ns));
    if (words->bootstrapped) {
        tn__node_log(node, TN_LOG_INFO, "data directory %s is new: this identity begins here",
                     node->config.data_dir);
    }
    if (words->repaired) {
        tn__node_log(node, TN_LOG_WARNING,
                     "data directory %s: one of the two copies of the durable words was unreadable "
                     "and has been made anew; look at the disk",
                     node->config.data_dir);
    }
    return 0;
}

/* The thread: wait, write, tell. */
static void *write_words(void *argument)
{
    struct tn__node_words *words = argument;
    pthread_mutex_lock(&words->mutex);
    for (;;) {
        while (!words->pending && !words->stop) {
            pthread_cond_wait(&words->wanted, &words->mutex);
        }
        if (words->stop) {
            break;
        }
        struct tn_record record = words->next;
        words->pending = false;
        pthread_mutex_unlock(&words->mutex);
        pthread_mutex_lock(&words->writing);
        int error = tn__words_write(&words->words, &record);
        pthread_mutex_unlock(&words->writing);
        pthread_mutex_lock(&words->mutex);
        words->finished = record.write;
        words->finished_error = error;
        if (!words->stop) {
            uv_async_send(&words->wake);
        }
    }
    pthread_mutex_unlock(&words->mutex);
    return NULL;
}

static void tell_failed(struct tn_node *node, uint64_t from, uint64_t to, int error)
{
    node->counters.write_failures += 1;
    tn__node_log(node, TN_LOG_ERROR,
                 "data directory %s: the durable words could not be written: %s; this node is "
                 "silent for ballots above its ceiling until a write succeeds",
                 node->config.data_dir, tn_strerror(error));
    for (uint64_t write = from; write <= to; write++) {
        struct tn_event event = {.kind = TN_EVENT_WRITE_FAILED, .write = write};
        tn__node_step(node, &event);
    }
}

static void on_finished(uv_async_t *wake)
{
    struct tn_node *node = wake->data;
    struct tn__node_words *words = &node->words;
    tn__node_turn_begin(node);
    pthread_mutex_lock(&words->mutex);
    uint64_t finished = words->finished;
    int error = words->finished_error;
    pthread_mutex_unlock(&words->mutex);
    if (finished <= words->reported) {
        return;
    }
    uint64_t from = words->reported + 1;
    words->reported = finished;
    if (error != 0) {
        tell_failed(node, from, finished, error);
        return;
    }
    node->counters.writes += 1;
    struct tn_event event = {.kind = TN_EVENT_WRITTEN, .write = finished};
    tn__node_step(node, &event);
}

int tn__node_words_start(struct tn_node *node)
{
    struct tn__node_words *words = &node->words;
    if (!words->open) {
        return 0;
    }
    if (uv_async_init(&node->loop, &words->wake, on_finished) != 0) {
        return TN_ERROR_NO_MEMORY;
    }
    words->wake.data = node;
    if (pthread_mutex_init(&words->mutex, NULL) != 0) {
        uv_close((uv_handle_t *)&words->wake, NULL);
        return TN_ERROR_NO_MEMORY;
    }
    if (pthread_cond_init(&words->wanted, NULL) != 0) {
        pthread_mutex_destroy(&words->mutex);
        uv_close((uv_handle_t *)&words->wake, NULL);
        return TN_ERROR_NO_MEMORY;
    }
    pthread_mutex_init(&words->writing, NULL); /* does not fail on Linux */
    if (pthread_create(&words->thread, NULL, write_words, words) != 0) {
        pthread_mutex_destroy(&words->writing);
        pthread_cond_destroy(&words->wanted);
        pthread_mutex_destroy(&words->mutex);
        uv_close((uv_handle_t *)&words->wake, NULL);
        return TN_ERROR_NO_MEMORY;
    }
    words->running = true;
    return 0;
}

int tn__node_words_log(struct tn_node *node, uint64_t segment)
{
    struct tn__node_words *words = &node->words;
    tn_assert(words->running);
    pthread_mutex_lock(&words->writing);
    int error = tn__words_write_log(&words->words, segment);
    pthread_mutex_unlock(&words->writing);
    return error;
}

void tn__node_words_append(struct tn_node *node, const struct tn_record *record)
{
    struct tn__node_words *words = &node->words;
    tn_assert(words->running); /* a diskless machine has no records */
    pthread_mutex_lock(&words->mutex);
    tn_assert(!words->pending || record->write > words->next.write);
    words->next = *record;
    words->pending = true;
    pthread_cond_signal(&words->wanted);
    pthread_mutex_unlock(&words->mutex);
}

void tn__node_words_stop(struct tn_node *node)
{
    struct tn__node_words *words = &node->words;
    if (words->running) {
        pthread_mutex_lock(&words->mutex);
        words->stop = true;
        pthread_cond_signal(&words->wanted);
        pthread_mutex_unlock(&words->mutex);
        pthread_join(words->thread, NULL);
        pthread_mutex_destroy(&words->writing);
        pthread_cond_destroy(&words->wanted);
        pthread_mutex_destroy(&words->mutex);
        words->running = false;
        uv_close((uv_handle_t *)&words->wake, NULL);
    }
    if (words->open) {
        tn__words_close(&words->words);
        words->open = false;
    }
}
