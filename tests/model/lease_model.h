/* A second, small model of the lease protocol, written from its published specification and sharing
 * nothing with the code of the cells.
 *
 * It reproduces that specification's state graph to the last state, history variables included, so
 * that the exploration engine can be held against numbers that another checker counted; and it is
 * the model which the real cells refine. Rules carry the names of the specification of leases
 * (P1 to P6, A1 to A4). The rows and their parameters come from check/lease_rows.h.
 *
 * Time is a number of ticks, one clock for all. The network is a set of messages, each of which may
 * be delivered at any time or never. Ballots are numbers that anyone may use once. */
#ifndef TN_TESTS_MODEL_LEASE_MODEL_H
#define TN_TESTS_MODEL_LEASE_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "check/explore.h"
#include "check/lease_rows.h"

#define TN_LEASE_MODEL_PROPOSERS_MAX 2
#define TN_LEASE_MODEL_ACCEPTORS_MAX 3
/* A row's bound, and one more message to each acceptor before the constraint cuts. */
#define TN_LEASE_MODEL_MESSAGES_MAX 10

enum tn__lease_phase {
    TN_LEASE_IDLE,
    TN_LEASE_PREPARING,
    TN_LEASE_ACCEPTING,
};

enum tn__lease_kind {
    TN_LEASE_PREPARE,
    TN_LEASE_ACCEPT,
    TN_LEASE_ACCEPTED,
    TN_LEASE_RELEASED,
    TN_LEASE_PROMISE,
};

/* A message in 16 bits, so that the network is an array that sorts and compares fast. */
typedef uint16_t tn__lease_packed;

struct tn__lease_message {
    enum tn__lease_kind kind;
    uint8_t proposer; /* index, whichever way the message goes */
    uint8_t acceptor; /* index */
    uint8_t ballot;
    uint8_t incarnation;     /* ACCEPT: of the owner */
    uint8_t owner;           /* PROMISE: 0 none, else index + 1 */
    uint8_t accepted_ballot; /* PROMISE: of the lease reported */
    uint8_t deadline;        /* PROMISE: of the lease reported; ACCEPTED: of the one granted */
};

struct tn__lease_acceptor {
    uint8_t promised;
    uint8_t owner; /* 0 none, else index + 1 */
    uint8_t incarnation;
    uint8_t ballot;
    uint8_t deadline;
    uint8_t quarantine; /* silent before this time */
};

struct tn__lease_proposer {
    uint8_t phase;
    uint8_t ballot;
    uint8_t pending;  /* deadline of the attempt */
    uint8_t open;     /* acceptors with an open answer; a count with COUNT_MESSAGES */
    uint8_t accepted; /* acceptors that accepted; a count with COUNT_MESSAGES */
    uint8_t deadline; /* of the authority */
    uint8_t active_ballot;
    uint8_t certificate;                                        /* who accepted it */
    uint8_t certificate_deadline[TN_LEASE_MODEL_ACCEPTORS_MAX]; /* until when */
    uint8_t incarnation;
    uint8_t retry; /* deadline of the time-out, with SHIPPED */
};

struct tn__lease_state {
    uint8_t now;
    uint8_t used;   /* ballots, one bit each */
    uint8_t active; /* proposers, one bit each */
    uint8_t crashed_proposers;
    uint8_t crashed_acceptors;
    uint8_t messages_count;
    struct tn__lease_acceptor acceptors[TN_LEASE_MODEL_ACCEPTORS_MAX];
    struct tn__lease_proposer proposers[TN_LEASE_MODEL_PROPOSERS_MAX];
    tn__lease_packed messages[TN_LEASE_MODEL_MESSAGES_MAX]; /* ascending, then zeros */
    uint8_t unused[2];
};
_Static_assert(sizeof(struct tn__lease_state) == 72, "a state has no padding");

enum tn__lease_reduction {
    TN_LEASE_REDUCE_FORM = 1,     /* drop what no future event can see */
    TN_LEASE_REDUCE_SYMMETRY = 2, /* proposers and acceptors have no names */
};

struct tn__lease_model {
    const struct tn__lease_row *row;
    unsigned reductions;
    struct tn__explore_model explore;
};

/* Set up the model of a row. Reductions need a row without a guide that neither counts messages nor
 * is the shipped protocol. `row` and `model` outlive the exploration. */
void tn__lease_model_init(struct tn__lease_model *model, const struct tn__lease_row *row,
                          unsigned reductions);

/* May the row be explored reduced? */
bool tn__lease_model_reducible(const struct tn__lease_row *row);

/* An event's number: what, and to whom. Deliveries and losses carry the message. */
enum tn__lease_event {
    TN_LEASE_EVENT_BEGIN,
    TN_LEASE_EVENT_START, /* value: proposer << 8 | ballot */
    TN_LEASE_EVENT_DELIVER,
    TN_LEASE_EVENT_DELIVER_KEEP,
    TN_LEASE_EVENT_LOSE,
    TN_LEASE_EVENT_SEND_ACCEPT, /* value: proposer << 8, here and below */
    TN_LEASE_EVENT_ABANDON,
    TN_LEASE_EVENT_RELEASE,
    TN_LEASE_EVENT_CRASH_PROPOSER,
    TN_LEASE_EVENT_RESTART_PROPOSER,
    TN_LEASE_EVENT_CRASH_ACCEPTOR, /* value: acceptor << 8 */
    TN_LEASE_EVENT_RESTART_ACCEPTOR,
    TN_LEASE_EVENT_TICK,
    TN_LEASE_EVENT_END, /* at the horizon nothing needs to happen: the state itself again */
};

#define TN_LEASE_EVENT_SHIFT 16

static inline uint32_t tn__lease_event_number(enum tn__lease_event event, uint32_t value)
{
    return (uint32_t)event << TN_LEASE_EVENT_SHIFT | value;
}

tn__lease_packed tn__lease_message_pack(const struct tn__lease_message *message);
struct tn__lease_message tn__lease_message_unpack(tn__lease_packed packed);

/* The message with proposer p called proposers[p], acceptor a acceptors[a]. */
tn__lease_packed tn__lease_message_rename(tn__lease_packed packed, const uint8_t *proposers,
                                          const uint8_t *acceptors);

/* lease_model_judge.c: invariants, constraint and text, in the form that the engine wants. The
 * context is the struct tn__lease_model. */
const char *tn__lease_state_check(void *model, const void *state);
bool tn__lease_state_inside(void *model, const void *state);
void tn__lease_state_print(void *model, const void *state, struct tn__text *text);
void tn__lease_event_print(void *model, uint32_t event, struct tn__text *text);

/* lease_model_form.c: the reductions. */

/* Drop from a state what no future event can see. An attempt that is over becomes idle at once,
 * which the specification leaves open: the reduced graph has more behaviours, never fewer. */
void tn__lease_state_normalise(const struct tn__lease_row *row, struct tn__lease_state *state);

/* The message as it stands in a normalised state; false: it is dropped there. */
bool tn__lease_message_normalise(const struct tn__lease_row *row,
                                 const struct tn__lease_state *state,
                                 struct tn__lease_message *message);

/* The least of the state's images under renaming of proposers and acceptors. */
void tn__lease_state_least_image(const struct tn__lease_row *row, struct tn__lease_state *state);

/* How many distinct images it has. */
uint64_t tn__lease_state_images(const struct tn__lease_row *row,
                                const struct tn__lease_state *state);

/* NULL, or what is wrong: that norm(step(s, e)) = norm(step(norm(s), e)) for each event e of s,
 * where an event that norm(s) lacks must have led to norm(s) itself. For use as a model's check. */
const char *tn__lease_state_congruent(void *model, const void *state);

#endif
