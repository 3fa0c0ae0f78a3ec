/* The inside of the client API, shared by the files that make it up; nobody else includes it.
 *
 *   node_client.c   connections: accepted, read, answered, timed, ended
 *   api_routes.c    from a request to the function that serves it; fields, errors
 *   api_hold.c      acquire, renew, release, hand over; sessions                 C1-C6
 *   api_look.c      who, leases, status, health, metrics                         L1
 *   api_groups.c    groups of replicated logs
 *   api_watch.c     streams of changes
 *   metrics.c       the text of /metrics
 *
 * A connection is in one state:
 *
 *     READING ---- acquire ----> WAITING ---- granted or failed ----> READING
 *        |------- acquire, session ----> SESSION ---- holding over ----> READING
 *        |------- watch ----> WATCHING
 *     any ---- error, end, limit ----> CLOSED
 *
 * Bytes that come while a request is being served are kept, bounded, and taken when it is over: so
 * pipelined requests are answered in order, one at a time. A connection that is over is freed at
 * the end of the turn, so that nobody loses it under its feet.
 *
 * Everything belongs to the loop's thread. Answers are gathered and leave at the end of the turn.
 */
#ifndef TN_NODE_API_H
#define TN_NODE_API_H

#include <jansson.h>

#include "http/query.h"
#include "http/request.h"
#include "http/response.h"
#include "node/node_internal.h"
#include "paxos/lease_clients.h"

/* ---- Bounds ------------------------------------------------------------------------------ */

/* Connections at once: each costs some KiB, and a body or unread output while it has them. */
#define TN_API_CONNECTIONS_MAX 4096U

/* What may be waiting for a client to read it; beyond it the client is cut off. A page of 1000
 * leases fits several times. */
#define TN_API_OUTPUT_BYTES_MAX (1U << 20)

/* Bytes kept behind a request that is being served: one whole further request. */
#define TN_API_PENDING_BYTES_MAX (TN__HTTP_HEAD_BYTES_MAX + TN__HTTP_BODY_BYTES_MAX)

/* Watchers at once: each change costs one copy each. */
#define TN_API_WATCHERS_MAX 256U

/* From the first byte of a request to its last; between two requests; between two lines of a
 * stream. */
#define TN_API_REQUEST_NS_MAX (10 * TN_SECOND)
#define TN_API_IDLE_NS_MAX (60 * TN_SECOND)
#define TN_API_ALIVE_NS (10 * TN_SECOND)

/* How often limits are looked at, and how soon a stream that was full is tried again. */
#define TN_API_SWEEP_NS TN_SECOND
#define TN_API_RETRY_NS (20 * TN_MILLISECOND)

/* The last bytes of a connection that is ended here may take this long to leave. */
#define TN_API_LINGER_MS 2000U

#define TN_API_LEASES_MAX 1000U
#define TN_API_LEASES_DEFAULT 100U
/* Names looked at for one page, found or not, so that a rare prefix holds up nobody. */
#define TN_API_LEASES_LOOKED_MAX 20000U

/* ---- Errors ------------------------------------------------------------------------------ */

#define TN_API_ERROR_TABLE(X)                                                                      \
    X(BAD_REQUEST, "bad_request", 400)                                                             \
    X(NOT_FOUND, "not_found", 404)                                                                 \
    X(NO_HOLDING, "no_holding", 404)                                                               \
    X(METHOD, "method", 405)                                                                       \
    X(SLOW, "slow", 408)                                                                           \
    X(HELD, "held", 409)                                                                           \
    X(NOT_OWNER, "not_owner", 409)                                                                 \
    X(ENDING, "ending", 409)                                                                       \
    X(RESERVED, "reserved", 409)                                                                   \
    X(TOO_LARGE, "too_large", 413)                                                                 \
    X(BUSY, "busy", 503)                                                                           \
    X(NO_QUORUM, "no_quorum", 503)                                                                 \
    X(STOPPING, "stopping", 503)                                                                   \
    X(TIMEOUT, "timeout", 504)

enum tn__api_error {
#define TN_API_ERROR_ENUM(constant, name, status) TN_API_ERROR_##constant,
    TN_API_ERROR_TABLE(TN_API_ERROR_ENUM)
#undef TN_API_ERROR_ENUM
        TN_API_ERRORS_END,
};

struct tn__api_error_kind {
    const char *name;
    uint16_t status;
};

extern const struct tn__api_error_kind tn__api_errors[TN_API_ERRORS_END];

/* ---- State ------------------------------------------------------------------------------- */

#define TN_API_COUNTER_TABLE(X)                                                                    \
    X(connections, "client connections accepted")                                                  \
    X(connections_refused, "client connections refused: too many at once")                         \
    X(requests, "client requests served")                                                          \
    X(cut, "client connections cut: not read, too much sent ahead, or broken")                     \
    X(lines, "lines of streams sent to clients")

struct tn__api_counters {
#define TN_API_COUNTER_FIELD(name, sentence) uint64_t name;
    TN_API_COUNTER_TABLE(TN_API_COUNTER_FIELD)
#undef TN_API_COUNTER_FIELD
    uint64_t errors[TN_API_ERRORS_END]; /* answered with, by kind */
};

enum tn__api_state {
    TN_API_READING = 0,
    TN_API_WAITING,
    TN_API_SESSION,
    TN_API_WATCHING,
    TN_API_CLOSED,
};

/* What a watcher wants, and how far it has been told the present state. */
struct tn__api_watch {
    bool one_table;
    bool prefix; /* `name` is how names begin */
    bool synced;
    uint8_t table;
    uint8_t name_bytes; /* 0: every name */
    uint32_t at_table;
    uint32_t cursor;
    char name[TN_NAME_BYTES_MAX];
};

struct tn__connection {
    struct tn__api *api;
    struct tn__stream *stream; /* NULL: gone */
    uint32_t slot;
    uint8_t state; /* enum tn__api_state */
    bool dirty;    /* output is gathered */
    bool resume;   /* the request is over: take what is pending */
    bool consuming;
    uint64_t holding;  /* WAITING, SESSION: what it waits for or holds; 0: over */
    tn_time at;        /* READING: of the first byte of the request, or the end of the last */
    tn_time line_at;   /* streams: of the last line */
    const char *allow; /* 405: the method that the path serves */
    char *body;        /* of the request being read */
    uint8_t *pending;  /* bytes behind the request being served */
    size_t pending_length;
    struct tn__connection *next_dirty;
    struct tn__connection *next_dead;
    struct tn__connection *next_watcher;
    struct tn__api_watch watch;
    struct tn__http_request request;
};

struct tn__api {
    struct tn_node *node;
    struct tn__listener *listener;
    struct tn__tls_context *tls;
    struct tn__lease_clients *clients;
    void *clients_memory;
    struct tn__connection **connections; /* by slot */
    uint32_t *free_slots;
    uint32_t free_slots_count;
    uint32_t connections_count;
    uint32_t watchers_count;
    struct tn__connection *dirty;
    struct tn__connection *dead;
    struct tn__connection *watchers;
    tn_time sweep_at; /* TN_TIME_NEVER: nobody is connected */
    tn_time retry_at; /* a watcher is to be told more of the present state */
    bool resumes;     /* some connection has `resume` set */
    bool stopping;
    struct tn__api_counters counters;
};

/* ---- node_client.c: answering ------------------------------------------------------------ */

/* Answer with a JSON object, which is taken over; the request is over. NULL: no memory, answered
 * so. */
void tn__api_answer(struct tn__connection *connection, uint16_t status, json_t *body);

/* Answer with a text of another type. */
void tn__api_answer_text(struct tn__connection *connection, uint16_t status, const char *type,
                         const char *text, size_t length);

/* Begin a stream of lines; the connection's state is set by the caller. */
void tn__api_stream_begin(struct tn__connection *connection);

/* One line of a stream; the object is taken over. */
void tn__api_line(struct tn__connection *connection, json_t *line);
void tn__api_line_text(struct tn__connection *connection, const char *text, size_t length);

/* The stream is over; the connection goes on with its next request. */
void tn__api_stream_end(struct tn__connection *connection);

/* End a connection from here, its output first. */
void tn__api_close(struct tn__connection *connection);

/* ---- api_routes.c: requests -------------------------------------------------------------- */

/* One request being served. Functions that find a fault have answered it when they return false. */
struct tn__api_call {
    struct tn__connection *connection;
    struct tn__api *api;
    struct tn__http_target target;
    json_t *body; /* POST: an object; else NULL */
    tn_time now;
};

/* Serve the request that `connection` has read whole. */
void tn__api_serve(struct tn__connection *connection, tn_time now);

/* Answer with an error, the message formatted. `more` (may be NULL) holds further fields and is
 * taken over. */
__attribute__((format(printf, 4, 5))) void tn__api_fail(struct tn__connection *connection,
                                                        enum tn__api_error error, json_t *more,
                                                        const char *format, ...);

/* Fields of the body, or values of the query. A field that is absent leaves the default. */
struct tn__api_name {
    uint8_t table;
    uint8_t bytes;
    char text[TN_NAME_BYTES_MAX + 1];
};

bool tn__api_take_name(struct tn__api_call *call, struct tn__api_name *name);
bool tn__api_take_table(struct tn__api_call *call, uint8_t *table, bool *given);
/* `text` of at least `size` bytes gets a text of at most size - 1; "" if absent. */
bool tn__api_take_text(struct tn__api_call *call, const char *field, char *text, size_t size,
                       size_t *length, bool required);
bool tn__api_take_number(struct tn__api_call *call, const char *field, uint64_t least,
                         uint64_t most, uint64_t *number);
bool tn__api_take_flag(struct tn__api_call *call, const char *field, bool *flag);
bool tn__api_take_holding(struct tn__api_call *call, uint64_t *holding);

/* JSON of values that are shown in several places. All may return NULL when memory is short. */
json_t *tn__api_json_bytes(const char *bytes, size_t length); /* not UTF-8: %XX for what is odd */
json_t *tn__api_json_owner(const struct tn__api *api, tn_node_id node);
json_t *tn__api_json_milliseconds(tn_time span);
void tn__api_json_token(json_t *object, uint64_t token);

/* ---- api_hold.c -------------------------------------------------------------------------- */

void tn__api_acquire(struct tn__api_call *call);
void tn__api_renew(struct tn__api_call *call);
void tn__api_release(struct tn__api_call *call);
void tn__api_hand_over(struct tn__api_call *call);

/* Carry out what the clients' machine put out: answers to connections, requests to the node. */
void tn__api_carry_out(struct tn__api *api, const struct tn__lease_clients_output *output);

/* The connection is over: what waited or was held through it is told so. */
void tn__api_hold_gone(struct tn__connection *connection);

/* ---- api_look.c -------------------------------------------------------------------------- */

void tn__api_who(struct tn__api_call *call);
void tn__api_leases(struct tn__api_call *call);
void tn__api_status(struct tn__api_call *call);
void tn__api_health(struct tn__api_call *call);
void tn__api_metrics(struct tn__api_call *call);

/* ---- api_groups.c ------------------------------------------------------------------------ */

void tn__api_groups(struct tn__api_call *call);

/* What is known of one name, as `who` shows it. */
json_t *tn__api_json_view(const struct tn__api *api, const struct tn_lease_view *view, tn_time now);

/* ---- api_watch.c ------------------------------------------------------------------------- */

void tn__api_watch(struct tn__api_call *call);
void tn__api_watch_gone(struct tn__connection *connection);
void tn__api_watch_notice(struct tn__api *api, const struct tn_notice *notice);
/* Tell watchers more of the present state, as far as they read. */
void tn__api_watch_continue(struct tn__api *api, tn_time now);

#endif
