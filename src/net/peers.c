/* The other members: connections, their watch and their renewal. See peers.h; the greeting itself
 * is in peers_greeting.c.
 *
 * inv. 1: peer->link is set for a member that is being dialled, greeted as dialled, or connected;
 * an accepted link stands in `strangers` until it is connected. inv. 2: a link has a stream until
 * it is forgotten; it is forgotten before or when that ends. */
#define _GNU_SOURCE
#include "net/peers_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/random.h"

void tn__peers_log(struct tn__peers *peers, enum tn_log_level level, const char *format, ...)
{
    char text[3 * TN_WHY_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    peers->events->on_log(peers->owner, level, text);
}

void tn__peer_trouble(struct peer *peer, enum tn_member_state state, int error, const char *why)
{
    bool news = peer->state != state || strcmp(peer->why, why) != 0;
    peer->state = state;
    peer->error = error;
    snprintf(peer->why, sizeof(peer->why), "%s", why);
    if (news && why[0] != '\0') {
        tn__peers_log(peer->peers, state == TN_MEMBER_REFUSED ? TN_LOG_ERROR : TN_LOG_WARNING,
                      "member %s (%s): %s", peer->is.name, peer->is.address_text, why);
    }
}

void tn__peers_stranger_log(struct tn__peers *peers, const struct link *link, const char *why)
{
    if (peers->strangers_logged == 0) {
        tn__peers_log(peers, TN_LOG_WARNING, "connection from %s closed: %s",
                      tn__stream_remote(link->stream), why);
    }
    peers->strangers_logged += 1;
}

/* ---- Links ----------------------------------------------------------------------------------- */

static size_t on_bytes(void *owner, const uint8_t *bytes, size_t length);
static void on_open(void *owner);
static void on_close(void *owner, int error, const char *why);

static const struct tn__stream_events stream_events = {
    .on_open = on_open,
    .on_bytes = on_bytes,
    .on_close = on_close,
};

static struct tn__stream_options stream_options(struct link *link)
{
    return (struct tn__stream_options){
        .events = &stream_events,
        .owner = link,
        .tls = link->peers->tls,
        .input_bytes_max = TN_FRAME_BYTES_MAX,
        .output_bytes_max = TN_PEERS_OUTPUT_BYTES_MAX,
    };
}

static struct link *link_make(struct tn__peers *peers, enum link_phase phase, uint32_t member)
{
    struct link *link = calloc(1, sizeof(*link));
    if (link != NULL) {
        link->peers = peers;
        link->phase = phase;
        link->member = member;
    }
    return link;
}

uint64_t tn__peers_back_off_ms(struct tn__peers *peers, uint32_t *step)
{
    uint64_t whole = (uint64_t)TN_PEERS_BACK_OFF_MS_MIN << *step;
    if (whole >= TN_PEERS_BACK_OFF_MS_MAX) {
        whole = TN_PEERS_BACK_OFF_MS_MAX;
    } else {
        *step += 1;
    }
    return whole / 2 + tn__random_below(&peers->random, whole / 2 + 1);
}

struct link *tn__link_dial(struct peer *peer, enum tn__channel connection)
{
    struct tn__peers *peers = peer->peers;
    struct link *link = link_make(peers, LINK_DIALLING, (uint32_t)(peer - peers->peers));
    if (link == NULL) {
        return NULL;
    }
    link->connection = connection;
    struct tn__stream_options options = stream_options(link);
    link->stream = tn__stream_dial(peers->net, &options, &peer->is.address, peer->dials_count);
    if (link->stream == NULL) {
        free(link);
        return NULL;
    }
    return link;
}

static void dial(struct peer *peer);

static void on_redial(uv_timer_t *timer)
{
    dial(timer->data);
}

static void dial_later(struct peer *peer)
{
    if (!peer->peers->closing) {
        uint64_t wait_ms = tn__peers_back_off_ms(peer->peers, &peer->back_off_step);
        uv_timer_start(&peer->redial, on_redial, wait_ms, 0);
    }
}

static void dial(struct peer *peer)
{
    if (peer->link != NULL || peer->peers->closing) {
        return;
    }
    struct link *link = tn__link_dial(peer, TN_CHANNEL_CONTROL);
    if (link == NULL) {
        dial_later(peer);
        return;
    }
    peer->dials_count += 1;
    peer->link = link;
    if (peer->state == 0) {
        peer->state = TN_MEMBER_CONNECTING;
    }
}

static void strangers_remove(struct link *link)
{
    for (uint32_t i = 0; i < TN_PEERS_STRANGERS_MAX; i++) {
        if (link->peers->strangers[i] == link) {
            link->peers->strangers[i] = NULL;
        }
    }
}

void tn__link_forget(struct link *link, enum tn_member_state state, int error, const char *why)
{
    struct tn__peers *peers = link->peers;
    strangers_remove(link);
    if (link->connection == TN_CHANNEL_BULK) {
        tn__bulk_forget(link, why);
        return;
    }
    struct peer *peer = link->member == LINK_NO_MEMBER ? NULL : &peers->peers[link->member];
    if (peer == NULL || peer->link != link) {
        if (peer != NULL && peer->link == NULL) {
            tn__peer_trouble(peer, state, error, why);
        }
        free(link);
        return;
    }
    peer->link = NULL;
    tn__peer_trouble(peer, state, error, why);
    tn__bulk_end(peer);
    if (link->phase == LINK_CONNECTED) {
        peers->counters->disconnects += 1;
        if (link->age_ticks >= TN_PEERS_SETTLED_TICKS) {
            peer->back_off_step = 0;
        }
        peers->events->on_disconnected(peers->owner, link->member);
    }
    if (peer->id < peers->hello.node) {
        dial_later(peer);
    }
    free(link);
}

void tn__link_connected(struct link *link)
{
    struct tn__peers *peers = link->peers;
    tn_assert(link->member < peers->members_count && link->member != peers->self);
    struct peer *peer = &peers->peers[link->member];
    strangers_remove(link);
    if (link->connection == TN_CHANNEL_BULK) {
        tn__bulk_connected(link);
        return;
    }
    if (peer->link != NULL && peer->link != link) {
        struct link *old = peer->link;
        struct tn__stream *stream = old->stream;
        tn__link_forget(old, TN_MEMBER_WAITING, TN_ERROR_CLOSED, "replaced by a newer connection");
        tn__stream_close(stream);
    }
    peer->link = link;
    link->phase = LINK_CONNECTED;
    link->age_ticks = 0;
    peer->state = TN_MEMBER_CONNECTED;
    peer->error = 0;
    peer->why[0] = '\0';
    peer->second_told = false;
    peer->restart_word = link->restart_word;
    peer->connected_at = uv_hrtime();
    peer->connects_count += 1;
    memcpy(peer->client_url, link->client_url, sizeof(peer->client_url));
    peers->counters->connects += 1;
    tn__peers_log(peers, TN_LOG_INFO, "member %s (%s): connected", peer->is.name,
                  peer->is.address_text);
    peers->events->on_connected(peers->owner, link->member, link->restart_word, link->counter);
    tn__bulk_dial(peer);
}

void tn__link_send_empty(struct link *link)
{
    struct tn__frame_header header;
    tn__peers_header(link->peers, link->member, &header);
    header.kind = TN_FRAME_ITEMS;
    header.length = TN_FRAME_HEADER_BYTES;
    header.counter = link->peers->events->counter(link->peers->owner);
    uint8_t bytes[TN_FRAME_HEADER_BYTES];
    tn__frame_seal(bytes, &header);
    tn__stream_write(link->stream, bytes, sizeof(bytes));
    tn__stream_flush(link->stream);
    link->sent = true;
}

void tn__link_fault(struct link *link, enum tn__frame_fault fault)
{
    struct tn__stream *stream = link->stream;
    link->peers->counters->garbage += 1;
    if (link->member == LINK_NO_MEMBER) {
        tn__peers_stranger_log(link->peers, link, tn__frame_fault_text(fault));
    }
    tn__link_forget(link, TN_MEMBER_WAITING, tn__frame_fault_error(fault),
                    tn__frame_fault_text(fault));
    tn__stream_close(stream);
}

/* ---- What comes ------------------------------------------------------------------------- */

static void answer_ping(struct link *link, const uint8_t *bytes, enum tn__frame_kind kind)
{
    struct tn__peers *peers = link->peers;
    uint64_t word = tn__frame_ping_word(bytes);
    if (kind == TN_FRAME_PONG) {
        if (peers->events->on_pong != NULL) {
            peers->events->on_pong(peers->owner, link->member, word);
        }
        return;
    }
    struct tn__frame_header header;
    tn__peers_header(peers, link->member, &header);
    header.kind = TN_FRAME_PONG;
    header.counter = peers->events->counter(peers->owner);
    uint8_t answer[TN_FRAME_PING_BYTES];
    tn__frame_ping_write(answer, &header, word);
    tn__stream_write(link->stream, answer, sizeof(answer));
    tn__stream_flush(link->stream); /* a ping makes no turn that would do it */
    link->sent = true;
}

/* Take one frame of a connected member. False: the link is gone. */
static bool take_frame(struct link *link, const uint8_t *bytes, uint32_t frame_bytes)
{
    struct tn__peers *peers = link->peers;
    struct tn__frame_expected expected = {
        .cluster_tag = peers->cluster_tag,
        .restart_word = link->restart_word,
        .sender = peers->peers[link->member].id,
        .receiver = peers->hello.node,
    };
    struct tn__frame_header header;
    enum tn__frame_fault fault = tn__frame_open(bytes, frame_bytes, &expected, &header);
    if (fault == TN_FRAME_FAULT_NONE) {
        peers->counters->frames_in += 1;
        peers->counters->bytes_in += frame_bytes;
        switch (header.kind) {
        case TN_FRAME_ITEMS:
            if (header.items_count > 0 && link->connection == TN_CHANNEL_BULK) {
                fault = TN_FRAME_FAULT_KIND;
            } else if (header.items_count > 0) {
                fault = peers->events->on_items(peers->owner, link->member, bytes, &header);
            }
            break;
        case TN_FRAME_LOG:
            fault = TN_FRAME_FAULT_KIND;
            if (peers->events->on_messages != NULL) {
                fault = peers->events->on_messages(peers->owner, link->member, bytes, &header);
            }
            break;
        case TN_FRAME_PING:
        case TN_FRAME_PONG:
            answer_ping(link, bytes, header.kind);
            break;
        case TN_FRAME_REFUSAL:
            tn__link_refused(link, bytes, &header);
            return false;
        default:
            fault = TN_FRAME_FAULT_KIND; /* a second HELLO */
            break;
        }
    }
    if (fault != TN_FRAME_FAULT_NONE) {
        tn__link_fault(link, fault);
        return false;
    }
    return true;
}

static size_t on_bytes(void *owner, const uint8_t *bytes, size_t length)
{
    struct link *link = owner;
    link->silent_ticks = 0;
    size_t taken = 0;
    while (taken < length) {
        const uint8_t *frame = bytes + taken;
        uint32_t frame_bytes = 0;
        enum tn__frame_fault fault = tn__frame_scan(frame, length - taken, &frame_bytes);
        bool known = link->phase == LINK_CONNECTED || link->phase == LINK_GREETED;
        if (fault == TN_FRAME_FAULT_NONE && !known && length - taken > 5 &&
            frame[5] != TN_FRAME_HELLO && frame[5] != TN_FRAME_REFUSAL) {
            fault = TN_FRAME_FAULT_KIND; /* a stranger is not listened to for longer */
        }
        if (fault != TN_FRAME_FAULT_NONE) {
            tn__link_fault(link, fault);
            return length;
        }
        if (frame_bytes == 0) {
            break;
        }
        taken += frame_bytes;
        bool stays = true;
        if (link->phase != LINK_CONNECTED) {
            stays = tn__link_greet(link, frame, frame_bytes);
        } else {
            stays = take_frame(link, frame, frame_bytes);
        }
        if (!stays) {
            return length;
        }
    }
    return taken;
}

static void on_open(void *owner)
{
    struct link *link = owner;
    if (link->phase == LINK_DIALLING) {
        link->phase = LINK_HELLO_SENT;
        tn__link_send_hello(link, link->peers->peers[link->member].id);
    }
}

static void on_close(void *owner, int error, const char *why)
{
    struct link *link = owner;
    if (error == TN_ERROR_BUSY) {
        link->peers->counters->floods += 1;
    }
    if (link->member == LINK_NO_MEMBER && error != TN_ERROR_CLOSED) {
        tn__peers_stranger_log(link->peers, link, why);
    }
    tn__link_forget(link, TN_MEMBER_WAITING, error, why);
}

static void on_accept(void *owner, struct tn__net *net, uv_stream_t *listening)
{
    struct tn__peers *peers = owner;
    uint32_t place = 0;
    while (place < TN_PEERS_STRANGERS_MAX && peers->strangers[place] != NULL) {
        place += 1;
    }
    struct link *link = NULL;
    if (place < TN_PEERS_STRANGERS_MAX) {
        link = link_make(peers, LINK_STRANGER, LINK_NO_MEMBER);
    }
    if (link == NULL) {
        peers->counters->strangers += 1; /* the listener closes what is not taken */
        return;
    }
    struct tn__stream_options options = stream_options(link);
    link->stream = tn__stream_accept(net, &options, listening);
    if (link->stream == NULL) {
        free(link);
        return;
    }
    peers->strangers[place] = link;
}

/* ---- The watch -------------------------------------------------------------------------- */

static void link_cut(struct link *link, int error, const char *why)
{
    struct tn__stream *stream = link->stream;
    tn__link_forget(link, TN_MEMBER_WAITING, error, why);
    tn__stream_close(stream);
}

static void watch_link(struct link *link)
{
    link->age_ticks += 1;
    link->silent_ticks += 1;
    struct tn__peers *peers = link->peers;
    if (link->phase != LINK_CONNECTED) {
        if (link->age_ticks > TN_PEERS_GREETING_TICKS) {
            peers->counters->strangers += link->member == LINK_NO_MEMBER ? 1 : 0;
            link_cut(link, TN_ERROR_TIMEOUT, "no answer within 3 s");
        }
        return;
    }
    if (link->silent_ticks > TN_PEERS_SILENT_TICKS) {
        peers->counters->silences += 1;
        link_cut(link, TN_ERROR_TIMEOUT, "nothing was heard for 3 s");
        return;
    }
    if (!link->sent) {
        tn__link_send_empty(link);
    }
    link->sent = false;
}

static void on_tick(uv_timer_t *timer)
{
    struct tn__peers *peers = timer->data;
    peers->strangers_logged = 0;
    for (uint32_t i = 0; i < TN_PEERS_STRANGERS_MAX; i++) {
        if (peers->strangers[i] != NULL) {
            watch_link(peers->strangers[i]);
        }
    }
    for (uint32_t i = 0; i < peers->members_count; i++) {
        if (peers->peers[i].link != NULL) {
            watch_link(peers->peers[i].link); /* may end both */
        }
        if (peers->peers[i].bulk != NULL) {
            watch_link(peers->peers[i].bulk);
        }
    }
}

/* ---- For the owner ---------------------------------------------------------------------- */

bool tn__peers_connected(const struct tn__peers *peers, uint32_t member)
{
    tn_assert(member < peers->members_count);
    const struct link *link = peers->peers[member].link;
    return link != NULL && link->phase == LINK_CONNECTED;
}

void tn__peers_header(const struct tn__peers *peers, uint32_t member,
                      struct tn__frame_header *header)
{
    memset(header, 0, sizeof(*header));
    header->version = TN_PROTOCOL_VERSION_MAX;
    header->cluster_tag = peers->cluster_tag;
    header->restart_word = peers->hello.restart_word;
    header->sender = peers->hello.node;
    header->receiver = member == LINK_NO_MEMBER ? 0 : peers->peers[member].id;
}

bool tn__peers_send(struct tn__peers *peers, uint32_t member, const uint8_t *bytes, uint32_t length)
{
    if (!tn__peers_connected(peers, member)) {
        return false;
    }
    struct link *link = peers->peers[member].link;
    tn__stream_write(link->stream, bytes, length);
    link->sent = true;
    link->dirty = true;
    peers->counters->frames_out += 1;
    peers->counters->bytes_out += length;
    return true;
}

bool tn__peers_ping(struct tn__peers *peers, uint32_t member, uint64_t word)
{
    struct tn__frame_header header;
    tn__peers_header(peers, member, &header);
    header.kind = TN_FRAME_PING;
    header.counter = peers->events->counter(peers->owner);
    uint8_t bytes[TN_FRAME_PING_BYTES];
    tn__frame_ping_write(bytes, &header, word);
    return tn__peers_send(peers, member, bytes, sizeof(bytes));
}

static bool link_flush(struct link *link)
{
    if (link == NULL || !link->dirty) {
        return false;
    }
    link->dirty = false;
    tn__stream_flush(link->stream);
    return true;
}

void tn__peers_flush(struct tn__peers *peers, uint32_t bulk_most)
{
    for (uint32_t i = 0; i < peers->members_count; i++) {
        (void)link_flush(peers->peers[i].link); /* what must not wait goes first */
    }
    for (uint32_t i = 0; i < peers->members_count && bulk_most > 0; i++) {
        bulk_most -= link_flush(peers->peers[i].bulk) ? 1 : 0;
    }
}

void tn__peers_status(const struct tn__peers *peers, uint32_t member,
                      struct tn_node_member_status *status)
{
    tn_assert(member < peers->members_count);
    const struct peer *peer = &peers->peers[member];
    memset(status, 0, sizeof(*status));
    status->id = peer->id;
    status->state = (uint16_t)peer->state;
    status->error = peer->error;
    status->restart_word = peer->restart_word;
    status->connects_count = peer->connects_count;
    if (tn__peers_connected(peers, member)) {
        status->connected_ns = uv_hrtime() - peer->connected_at;
    }
    snprintf(status->name, sizeof(status->name), "%s", peer->is.name);
    snprintf(status->address, sizeof(status->address), "%s", peer->is.address_text);
    snprintf(status->client_url, sizeof(status->client_url), "%s", peer->client_url);
    snprintf(status->why, sizeof(status->why), "%s", peer->why);
}

/* ---- Life ------------------------------------------------------------------------------------ */

static void peer_init(struct tn__peers *peers, uint32_t index,
                      const struct tn__peers_options *options)
{
    struct peer *peer = &peers->peers[index];
    peer->peers = peers;
    peer->is = options->members[index];
    peer->id = options->hello->members[index];
    peer->state = index == options->self ? TN_MEMBER_SELF : TN_MEMBER_CONNECTING;
    if (index == options->self) {
        peer->restart_word = options->hello->restart_word;
        snprintf(peer->client_url, sizeof(peer->client_url), "%s", options->hello->client_address);
    }
    int error = uv_timer_init(peers->net->loop, &peer->redial);
    tn_assert(error == 0); /* it only fills in the handle */
    peer->redial.data = peer;
    error = uv_timer_init(peers->net->loop, &peer->redial_bulk);
    tn_assert(error == 0);
    peer->redial_bulk.data = peer;
}

int tn__peers_open(struct tn__peers **peers, struct tn__net *net,
                   const struct tn__peers_options *options)
{
    tn_assert(tn__hello_valid(options->hello));
    tn_assert(options->self < options->hello->members_count);
    *peers = NULL;
    struct tn__peers *made = calloc(1, sizeof(*made));
    if (made == NULL) {
        return TN_ERROR_NO_MEMORY;
    }
    made->net = net;
    made->events = options->events;
    made->owner = options->owner;
    made->hello = *options->hello;
    made->self = options->self;
    made->members_count = options->hello->members_count;
    made->tls = options->tls;
    made->cluster_tag = tn__frame_cluster_tag(options->hello->cluster_id);
    made->random = options->random;
    made->counters = options->counters;
    for (uint32_t i = 0; i < made->members_count; i++) {
        peer_init(made, i, options);
    }
    int error = uv_timer_init(net->loop, &made->tick);
    tn_assert(error == 0);
    made->tick.data = made;
    made->handles_open = 2 * made->members_count + 1;
    *peers = made;
    return 0;
}

int tn__peers_listen(struct tn__peers *peers, const char *address, char *why, size_t why_size)
{
    tn_assert(peers->listener == NULL);
    return tn__listener_open(&peers->listener, peers->net, address, on_accept, peers, why,
                             why_size);
}

uint16_t tn__peers_port(const struct tn__peers *peers)
{
    return peers->listener == NULL ? 0 : tn__listener_port(peers->listener);
}

void tn__peers_start(struct tn__peers *peers)
{
    uv_timer_start(&peers->tick, on_tick, TN_PEERS_TICK_MS, TN_PEERS_TICK_MS);
    for (uint32_t i = 0; i < peers->members_count; i++) {
        if (peers->peers[i].id < peers->hello.node) {
            dial(&peers->peers[i]);
        }
    }
}

static void handle_closed(struct tn__peers *peers)
{
    tn_assert(peers->handles_open > 0);
    peers->handles_open -= 1;
    if (peers->handles_open == 0) {
        free(peers);
    }
}

static void on_redial_closed(uv_handle_t *handle)
{
    const struct peer *peer = handle->data;
    handle_closed(peer->peers);
}

static void on_tick_closed(uv_handle_t *handle)
{
    handle_closed(handle->data);
}

void tn__peers_close(struct tn__peers *peers, uint64_t linger_ms)
{
    if (peers == NULL) {
        return;
    }
    peers->closing = true;
    tn__listener_close(peers->listener);
    for (uint32_t i = 0; i < TN_PEERS_STRANGERS_MAX; i++) {
        if (peers->strangers[i] != NULL) {
            tn__stream_close(peers->strangers[i]->stream);
            free(peers->strangers[i]);
        }
    }
    for (uint32_t i = 0; i < peers->members_count; i++) {
        struct peer *peer = &peers->peers[i];
        if (peer->link != NULL) {
            tn__stream_finish(peer->link->stream, linger_ms);
            free(peer->link);
            peer->link = NULL;
        }
        if (peer->bulk != NULL) {
            tn__stream_finish(peer->bulk->stream, linger_ms);
            free(peer->bulk);
            peer->bulk = NULL;
        }
        uv_close((uv_handle_t *)&peer->redial, on_redial_closed);
        uv_close((uv_handle_t *)&peer->redial_bulk, on_redial_closed);
    }
    uv_close((uv_handle_t *)&peers->tick, on_tick_closed);
}
