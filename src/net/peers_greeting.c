/* The greeting of a connection between members. See peers.h for who says what when.
 *
 * Each function here may end its link; it says so by returning false, and the link is gone then. */
#define _GNU_SOURCE
#include "net/peers_internal.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"

/* How long a refusal may take to leave. */
#define REFUSAL_LINGER_MS 1000

void tn__link_send_hello(struct link *link, tn_node_id receiver)
{
    struct tn__peers *peers = link->peers;
    uint8_t bytes[TN_FRAME_GREETING_BYTES_MAX];
    struct tn__hello hello = peers->hello;
    hello.connection = (uint8_t)link->connection;
    uint32_t length =
        tn__hello_write(bytes, &hello, receiver, peers->events->counter(peers->owner));
    tn__stream_write(link->stream, bytes, length);
    tn__stream_flush(link->stream);
}

/* A refused connection that claims to be a member with which another one stands: its state does not
 * show it, so it is told here, once for each connection that stands. */
static void tell_of_second(struct peer *peer, const struct link *link, const char *why)
{
    bool control = link->connection == TN_CHANNEL_CONTROL;
    if (control && peer->link != NULL && peer->link != link && !peer->second_told) {
        peer->second_told = true;
        tn__peers_log(peer->peers, TN_LOG_ERROR, "a second %s, from %s, is refused: %s",
                      peer->is.name, tn__stream_remote(link->stream), why);
    }
}

/* Tell the other side why, and end. */
static bool refuse(struct link *link, int error, const char *why)
{
    struct tn__peers *peers = link->peers;
    struct tn__frame_header header;
    tn__peers_header(peers, link->member, &header);
    header.counter = peers->events->counter(peers->owner);
    uint8_t bytes[TN_FRAME_GREETING_BYTES_MAX];
    uint32_t length = tn__refusal_write(bytes, &header, error, why);
    tn__stream_write(link->stream, bytes, length);
    peers->counters->refusals += 1;
    if (link->member == LINK_NO_MEMBER) {
        tn__peers_stranger_log(peers, link, why);
    } else {
        tell_of_second(&peers->peers[link->member], link, why);
    }
    struct tn__stream *stream = link->stream;
    tn__link_forget(link, TN_MEMBER_REFUSED, error, why);
    tn__stream_finish(stream, REFUSAL_LINGER_MS);
    return false;
}

void tn__link_refused(struct link *link, const uint8_t *bytes,
                      const struct tn__frame_header *header)
{
    struct tn__refusal refusal;
    if (tn__refusal_read(bytes, header, &refusal) != 0) {
        tn__link_fault(link, TN_FRAME_FAULT_ITEM);
        return;
    }
    struct tn__peers *peers = link->peers;
    peers->counters->refusals += 1;
    char why[TN_WHY_BYTES_MAX + 1];
    snprintf(why, sizeof(why), "it refuses us: %.230s", refusal.text);
    if (link->member == LINK_NO_MEMBER) {
        tn__peers_stranger_log(peers, link, why);
    }
    struct tn__stream *stream = link->stream;
    tn__link_forget(link, TN_MEMBER_REFUSED, refusal.error, why);
    tn__stream_close(stream);
}

static void remember(struct link *link, const struct tn__hello *theirs,
                     const struct tn__frame_header *header)
{
    link->restart_word = theirs->restart_word;
    link->counter = header->counter;
    snprintf(link->client_url, sizeof(link->client_url), "%s", theirs->client_address);
    struct peer *peer = &link->peers->peers[link->member];
    static const uint8_t none[sizeof(peer->disk_id)];
    if (memcmp(peer->disk_id, none, sizeof(none)) != 0 &&
        memcmp(peer->disk_id, theirs->disk_id, sizeof(none)) != 0) {
        tn__peers_log(
            link->peers, TN_LOG_ERROR,
            "member %s comes with another data directory than before: what it promised and "
            "accepted may be lost; a new directory must not vote under an old identity",
            peer->is.name);
    }
    memcpy(peer->disk_id, theirs->disk_id, sizeof(peer->disk_id));
}

static bool greet_dialled(struct link *link, const struct tn__hello *theirs,
                          const struct tn__frame_header *header)
{
    struct tn__peers *peers = link->peers;
    const struct peer *peer = &peers->peers[link->member];
    char why[TN_WHY_BYTES_MAX + 1] = "";
    int error = tn__handshake_compare(&peers->hello, theirs, why, sizeof(why));
    if (error == 0) {
        error = tn__handshake_expect(theirs, peer->id, peer->is.name, why, sizeof(why));
    }
    if (error == 0 && theirs->connection != link->connection) {
        snprintf(why, sizeof(why), "%s answers for another connection than was dialled",
                 peer->is.name);
        error = TN_ERROR_MALFORMED;
    }
    if (error != 0) {
        return refuse(link, error, why);
    }
    remember(link, theirs, header);
    tn__link_send_empty(link); /* "I agree", before anything else */
    tn__link_connected(link);
    return true;
}

/* Is this connection from an earlier start than the one that stands? Diskless members have no
 * order. */
static bool from_the_past(const struct peer *peer, const struct tn__hello *theirs)
{
    return !theirs->diskless && peer->link != NULL && peer->link->phase == LINK_CONNECTED &&
           theirs->restart_word >> 32 < peer->link->restart_word >> 32;
}

/* Under TLS: may who shows this certificate speak for the member? Else any certificate of the
 * authority would do, a client's or another member's. A dialled member's was checked for its host
 * when it was shown. */
static int check_certificate(const struct link *link, const struct peer *peer, char *why,
                             size_t why_size)
{
    const struct tn__tls *tls = tn__stream_tls(link->stream);
    const char *host = peer->is.address.host;
    if (tls == NULL || tn__tls_made_out_to(tls, host, peer->is.name)) {
        return 0;
    }
    char names[90];
    tn__tls_names(tls, names, sizeof(names));
    snprintf(why, why_size,
             "a certificate of %s does not speak for %s: it names neither %.63s "
             "nor %s",
             names, peer->is.name, host, peer->is.name);
    return TN_ERROR_WRONG_MEMBER;
}

/* A bulk connection belongs to a control connection of the same run. */
static bool bulk_is_early(const struct link *link, const struct peer *peer,
                          const struct tn__hello *theirs)
{
    return link->connection == TN_CHANNEL_BULK &&
           (peer->link == NULL || peer->link->phase != LINK_CONNECTED ||
            peer->link->restart_word != theirs->restart_word);
}

static bool greet_accepted(struct link *link, const struct tn__hello *theirs,
                           const struct tn__frame_header *header)
{
    struct tn__peers *peers = link->peers;
    char why[TN_WHY_BYTES_MAX + 1] = "";
    int error = tn__handshake_compare(&peers->hello, theirs, why, sizeof(why));
    uint32_t index = 0;
    while (index < peers->members_count && peers->peers[index].id != theirs->node) {
        index += 1;
    }
    if (index < peers->members_count && index != peers->self) {
        link->member = index;
        link->connection = theirs->connection;
    }
    if (error != 0) {
        return refuse(link, error, why);
    }
    tn_assert(link->member != LINK_NO_MEMBER); /* tn__handshake_compare() has seen to it */
    const struct peer *peer = &peers->peers[link->member];
    error = tn__handshake_expect(theirs, peer->id, peer->is.name, why, sizeof(why));
    if (error == 0) {
        error = check_certificate(link, peer, why, sizeof(why));
    }
    if (error != 0) {
        return refuse(link, error, why);
    }
    if (theirs->node < peers->hello.node) {
        return refuse(link, TN_ERROR_WRONG_MEMBER,
                      "of two members the one with the higher id dials, and yours is the lower");
    }
    if (bulk_is_early(link, peer, theirs)) {
        return refuse(link, TN_ERROR_BUSY, "the control connection does not stand yet");
    }
    if (link->connection == TN_CHANNEL_CONTROL && from_the_past(peer, theirs)) {
        return refuse(link, TN_ERROR_WRONG_MEMBER,
                      "a later start of this member is connected already: two processes run as one "
                      "member; stop the older");
    }
    remember(link, theirs, header);
    tn__link_send_hello(link, theirs->node);
    link->phase = LINK_GREETED;
    return true;
}

/* The first frame after both HELLOs: consent, or a refusal. */
static bool take_consent(struct link *link, const uint8_t *bytes, uint32_t frame_bytes)
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
    if (fault == TN_FRAME_FAULT_NONE && header.kind == TN_FRAME_REFUSAL) {
        tn__link_refused(link, bytes, &header);
        return false;
    }
    if (fault == TN_FRAME_FAULT_NONE && (header.kind != TN_FRAME_ITEMS || header.items_count > 0)) {
        fault = TN_FRAME_FAULT_KIND;
    }
    if (fault != TN_FRAME_FAULT_NONE) {
        tn__link_fault(link, fault);
        return false;
    }
    link->counter = header.counter;
    tn__link_connected(link);
    return true;
}

bool tn__link_greet(struct link *link, const uint8_t *bytes, uint32_t frame_bytes)
{
    tn_assert(link->phase != LINK_CONNECTED && link->phase != LINK_DIALLING);
    if (link->phase == LINK_GREETED) {
        return take_consent(link, bytes, frame_bytes);
    }
    struct tn__frame_expected anything = {0};
    struct tn__frame_header header;
    enum tn__frame_fault fault = tn__frame_open(bytes, frame_bytes, &anything, &header);
    if (fault == TN_FRAME_FAULT_NONE && header.kind == TN_FRAME_REFUSAL) {
        tn__link_refused(link, bytes, &header);
        return false;
    }
    if (fault == TN_FRAME_FAULT_NONE && header.kind != TN_FRAME_HELLO) {
        fault = TN_FRAME_FAULT_KIND;
    }
    struct tn__hello theirs;
    if (fault == TN_FRAME_FAULT_NONE && tn__hello_read(bytes, &header, &theirs) != 0) {
        fault = TN_FRAME_FAULT_ITEM;
    }
    if (fault != TN_FRAME_FAULT_NONE) {
        tn__link_fault(link, fault);
        return false;
    }
    return link->phase == LINK_HELLO_SENT ? greet_dialled(link, &theirs, &header)
                                          : greet_accepted(link, &theirs, &header);
}
