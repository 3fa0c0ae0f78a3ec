/* What peers.c and peers_greeting.c share. Nobody else includes this. */
#ifndef TN_NET_PEERS_INTERNAL_H
#define TN_NET_PEERS_INTERNAL_H

#include "net/listener.h"
#include "net/peers.h"

enum link_phase {
    LINK_DIALLING = 0, /* dialled: not open yet */
    LINK_HELLO_SENT,   /* dialled: HELLO or REFUSAL is awaited */
    LINK_STRANGER,     /* accepted: HELLO is awaited */
    LINK_GREETED,      /* accepted: both HELLOs are exchanged, the first frame is awaited */
    LINK_CONNECTED,
};

#define LINK_NO_MEMBER UINT32_MAX

/* One connection. */
struct link {
    struct tn__peers *peers;
    struct tn__stream *stream;
    enum link_phase phase;
    uint32_t member;             /* index; LINK_NO_MEMBER while unknown */
    enum tn__channel connection; /* of an accepted one known from its HELLO on */
    uint32_t age_ticks;
    uint32_t silent_ticks;
    bool sent;  /* something since the last tick */
    bool dirty; /* something since the last flush */
    uint64_t restart_word;
    uint64_t counter;
    char client_url[TN_CLIENT_URL_BYTES_MAX + 1];
};

/* One member. */
struct peer {
    struct tn__peers *peers;
    struct tn__peers_member is;
    tn_node_id id;
    struct link *link; /* the control connection: connected, or being dialled */
    struct link *bulk; /* the same; only while `link` is connected */
    uv_timer_t redial;
    uv_timer_t redial_bulk;
    uint32_t dials_count;
    uint32_t back_off_step;
    uint32_t back_off_step_bulk;
    bool bulk_told;        /* that the bulk connection cannot be made was logged */
    uint8_t disk_id[16];   /* as last greeted; zero: never, or diskless */
    uint64_t restart_word; /* as last greeted */
    uint64_t connected_at; /* uv_hrtime() */
    uint64_t connects_count;
    bool second_told; /* another connection in its name was refused, and that was logged */
    enum tn_member_state state;
    int error;
    char why[TN_WHY_BYTES_MAX + 1];
    char client_url[TN_CLIENT_URL_BYTES_MAX + 1];
};

struct tn__peers {
    struct tn__net *net;
    const struct tn__peers_events *events;
    void *owner;
    struct tn__hello hello;
    uint32_t self;
    uint32_t members_count;
    struct tn__tls_context *tls;
    uint64_t cluster_tag;
    uint64_t random;
    struct tn_node_counters *counters;
    struct tn__listener *listener;
    uv_timer_t tick;
    uint32_t handles_open; /* timers that are not closed yet; the last one frees */
    bool closing;
    bool bulk_wanted;
    uint32_t strangers_logged; /* lines about strangers since the last tick */
    struct link *strangers[TN_PEERS_STRANGERS_MAX];
    struct peer peers[TN_MEMBERS_MAX];
};

__attribute__((format(printf, 3, 4))) void
tn__peers_log(struct tn__peers *peers, enum tn_log_level level, const char *format, ...);

/* Note why a member cannot be spoken to; logged if it is news. */
void tn__peer_trouble(struct peer *peer, enum tn_member_state state, int error, const char *why);

/* A line about a connection that is no member's; only the first of each tick is logged. */
void tn__peers_stranger_log(struct tn__peers *peers, const struct link *link, const char *why);

/* The link is over: forget it, tell the owner if it was connected, dial again if it was dialled.
 * The stream is the caller's to end. Frees the link. */
void tn__link_forget(struct link *link, enum tn_member_state state, int error, const char *why);

/* The link has become the connection of its member. */
void tn__link_connected(struct link *link);

/* peers_bulk.c. A bulk connection is over, has become its member's, is to be dialled; that of a
 * member whose control connection is gone ends with it. */
void tn__bulk_forget(struct link *link, const char *why);
void tn__bulk_connected(struct link *link);
void tn__bulk_dial(struct peer *peer);
void tn__bulk_end(struct peer *peer);

/* For both kinds: a link with its stream being dialled; NULL: no memory. */
struct link *tn__link_dial(struct peer *peer, enum tn__channel connection);
uint64_t tn__peers_back_off_ms(struct tn__peers *peers, uint32_t *step);

/* Send one frame of items without items: "I agree", or "still here". */
void tn__link_send_empty(struct link *link);

/* Take one frame while the link is not connected. False: the link is gone. */
bool tn__link_greet(struct link *link, const uint8_t *bytes, uint32_t frame_bytes);

/* The stream of a dialled link is open: say hello. */
void tn__link_send_hello(struct link *link, tn_node_id receiver);

/* A frame was bad: count, log, end. The link is gone. */
void tn__link_fault(struct link *link, enum tn__frame_fault fault);

/* The other side has refused us, and said so. The link is gone. */
void tn__link_refused(struct link *link, const uint8_t *bytes,
                      const struct tn__frame_header *header);

#endif
