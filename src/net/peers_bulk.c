/* Bulk connections: the second one to each member, for what is long. See peers.h.
 *
 * inv. 1: peer->bulk is set only while peer->link is connected, and both are with one run of the
 * member; an accepted one stands in `strangers` until it is connected. inv. 2: what waits on it is
 * at most TN_PEERS_BULK_BYTES_MAX and one frame. */
#define _GNU_SOURCE
#include "net/peers_internal.h"

#include <stdlib.h>

#include "base/assert.h"

/* Frames are as long as values may be; what waits, tn__peers_give() bounds. */
static void bound(struct link *link)
{
    tn__stream_bound(link->stream, TN_LOG_FRAME_BYTES_MAX,
                     TN_PEERS_BULK_BYTES_MAX + (size_t)TN_LOG_FRAME_BYTES_MAX);
}

static void on_redial_bulk(uv_timer_t *timer)
{
    tn__bulk_dial(timer->data);
}

static void dial_later(struct peer *peer)
{
    struct tn__peers *peers = peer->peers;
    bool connected = peer->link != NULL && peer->link->phase == LINK_CONNECTED;
    if (connected && !peers->closing && peer->id < peers->hello.node) {
        uint64_t wait_ms = tn__peers_back_off_ms(peers, &peer->back_off_step_bulk);
        uv_timer_start(&peer->redial_bulk, on_redial_bulk, wait_ms, 0);
    }
}

void tn__bulk_dial(struct peer *peer)
{
    struct tn__peers *peers = peer->peers;
    bool connected = peer->link != NULL && peer->link->phase == LINK_CONNECTED;
    if (!peers->bulk_wanted || peers->closing || !connected || peer->bulk != NULL ||
        peer->id > peers->hello.node) {
        return;
    }
    peer->bulk = tn__link_dial(peer, TN_CHANNEL_BULK);
    if (peer->bulk == NULL) {
        dial_later(peer);
    }
}

void tn__bulk_forget(struct link *link, const char *why)
{
    tn_assert(link->connection == TN_CHANNEL_BULK);
    struct tn__peers *peers = link->peers;
    struct peer *peer = &peers->peers[link->member];
    if (peer->bulk == link) {
        peer->bulk = NULL;
        if (link->age_ticks >= TN_PEERS_SETTLED_TICKS) {
            peer->back_off_step_bulk = 0;
        }
        if (!peer->bulk_told) {
            peer->bulk_told = true;
            tn__peers_log(peers, TN_LOG_WARNING, "member %s (%s): bulk connection: %s",
                          peer->is.name, peer->is.address_text, why);
        }
        dial_later(peer);
    }
    free(link);
}

void tn__bulk_connected(struct link *link)
{
    struct tn__peers *peers = link->peers;
    struct peer *peer = &peers->peers[link->member];
    bool stands = peer->link != NULL && peer->link->phase == LINK_CONNECTED &&
                  peer->link->restart_word == link->restart_word;
    if (!stands) { /* the control connection went, or changed, between the greetings */
        tn__stream_cut(link->stream, TN_ERROR_CLOSED, "the control connection ended");
        return;
    }
    struct link *old = peer->bulk;
    if (old != NULL && old != link) {
        peer->bulk = NULL;
        tn__stream_close(old->stream);
        free(old);
    }
    peer->bulk = link;
    link->phase = LINK_CONNECTED;
    link->age_ticks = 0;
    peer->bulk_told = false;
    bound(link);
    if (peers->events->on_bulk != NULL) {
        peers->events->on_bulk(peers->owner, link->member);
    }
}

void tn__bulk_end(struct peer *peer)
{
    uv_timer_stop(&peer->redial_bulk);
    if (peer->bulk != NULL) {
        tn__stream_close(peer->bulk->stream);
        free(peer->bulk);
        peer->bulk = NULL;
    }
}

/* ---- For the owner --------------------------------------------------------------------------- */

void tn__peers_want_bulk(struct tn__peers *peers)
{
    peers->bulk_wanted = true;
    for (uint32_t i = 0; i < peers->members_count; i++) {
        if (i != peers->self) {
            tn__bulk_dial(&peers->peers[i]);
        }
    }
}

bool tn__peers_bulk_connected(const struct tn__peers *peers, uint32_t member)
{
    tn_assert(member < peers->members_count);
    const struct link *bulk = peers->peers[member].bulk;
    return bulk != NULL && bulk->phase == LINK_CONNECTED;
}

size_t tn__peers_bulk_unsent(const struct tn__peers *peers, uint32_t member)
{
    return tn__peers_bulk_connected(peers, member)
               ? tn__stream_unsent(peers->peers[member].bulk->stream)
               : 0;
}

bool tn__peers_give(struct tn__peers *peers, uint32_t member, enum tn__channel connection,
                    struct tn__buffer *frame)
{
    bool bulk = connection == TN_CHANNEL_BULK;
    bool stands =
        bulk ? tn__peers_bulk_connected(peers, member) : tn__peers_connected(peers, member);
    if (stands && bulk && tn__peers_bulk_unsent(peers, member) > TN_PEERS_BULK_BYTES_MAX) {
        peers->counters->bulk_dropped += 1;
        stands = false;
    }
    if (!stands) {
        frame->length = 0;
        return false;
    }
    struct link *link = bulk ? peers->peers[member].bulk : peers->peers[member].link;
    peers->counters->frames_out += 1;
    peers->counters->bytes_out += frame->length;
    tn__stream_give(link->stream, frame);
    link->sent = true;
    link->dirty = true;
    return true;
}

const uint8_t *tn__peers_disk_id(const struct tn__peers *peers, uint32_t member)
{
    tn_assert(member < peers->members_count);
    return peers->peers[member].disk_id;
}
