/* The inside of the player of log stories, shared by the files that make it up; nobody else
 * includes it.
 *
 *   log_scenario.c          the verbs that make and move the nodes: log, tenure, crash, disk ...
 *   log_scenario_node.c     a node: machine, driver, durable store; what one turn of it says
 *   log_scenario_network.c  messages in flight: deliver, drop, hold, duplicate, settle, split
 *   log_scenario_ask.c      verbs that ask: propose, reconfigure, read, status, show, check
 *   log_scenario_tell.c     a turn, as lines and as a drawing: what led to it, and notices
 *   log_scenario_say.c      the same for the records and messages of a turn
 *   log_scenario_words.c    how the story writes ballots, values and messages
 *   log_scenario_judge.c    what must hold after each command
 *
 * A *turn* is what follows from one event: the steps of the driver, the writes of a disk that is
 * not told to wait, and the execution of what was committed. It is told as a whole. */
#ifndef TN_SIM_LOG_SCENARIO_INTERNAL_H
#define TN_SIM_LOG_SCENARIO_INTERNAL_H

#include <tenure/log.h>

#include "paxos/log_driver.h"
#include "sim/log_scenario.h"

#define TN__STORY_NODES_MAX 7U
#define TN__STORY_TEXTS_MAX 1024U /* values of one story */
#define TN__STORY_TEXT_BYTES 24U
#define TN__STORY_MESSAGES_MAX 1024U /* in flight */
#define TN__STORY_SLOTS_MAX 512U     /* that are judged */
#define TN__STORY_RUNS_MAX 16U       /* starts of one node */
#define TN__STORY_ROUNDS_MAX 64U
#define TN__STORY_SENT_MAX 16U /* kinds of messages that one turn's line names */
#define TN__STORY_BEGIN_NS TN_SECOND

/* ---- Values ---------------------------------------------------------------------------------- */

/* A proposed value. Handles are places in the story's list of them, from 1 on, the same at every
 * node; none is ever freed while the story is told, so references need no count. */
struct tn__story_text {
    char bytes[TN__STORY_TEXT_BYTES];
    uint64_t word;   /* of the incarnation that proposed it */
    uint32_t node;   /* that one's index */
    uint32_t number; /* of the proposal there */
    uint64_t slot;   /* N4: where it was put, as its origin was told; 0: it was not */
    bool forwarded;  /* N4: to a leader */
    bool resolved;   /* its outcome was told */
};

/* ---- The store ------------------------------------------------------------------------------- */

struct tn__story_record {
    struct tn_log_record record;
    struct tn_log_entry *entries; /* its own */
    bool durable;
};

/* ---- A turn ---------------------------------------------------------------------------------- */

enum tn__story_saying_kind {
    TN__STORY_RECORD = 1,
    TN__STORY_MESSAGE,
    TN__STORY_COMMIT,
    TN__STORY_NOTICE,
};

struct tn__story_saying {
    uint32_t kind; /* enum tn__story_saying_kind */
    tn_member_set to;
    struct tn_log_record record;
    struct tn_log_message message;
    struct tn_log_notice notice;
    struct tn_log_entry *entries; /* its own: of the record, the message or the commit */
    uint32_t entries_count;
};

struct tn__story_turn {
    uint32_t node;
    uint32_t event;                       /* enum tn_log_event_kind */
    const struct tn_log_message *arrived; /* MESSAGE */
    struct tn_log_status before;
    struct tn_log_status after;
    struct tn_log_counters delta;
    struct tn__story_saying *sayings;
    uint32_t sayings_count;
    uint32_t sayings_room;
    bool told;  /* at least one line */
    bool begun; /* its Prepares were told */
};

/* ---- Nodes and messages ---------------------------------------------------------------------- */

struct tn__story_node {
    struct tn_log *log; /* NULL: down */
    struct tn__log_driver *driver;
    uint64_t words[TN__STORY_RUNS_MAX]; /* restart words, in order of starts */
    uint32_t runs;
    uint32_t disk; /* enum tn__scenario_disk */
    struct tn__story_record *records;
    uint32_t records_count;
    uint32_t records_room;
    uint32_t records_base; /* written before this run */
    uint32_t proposals;    /* of this run */
    uint64_t reads;
    uint64_t committed_told;    /* to the machine, as executed */
    uint64_t committed;         /* as the driver said */
    struct tn_log_ballot said;  /* inv.P2: the highest that it promised or accepted, aloud */
    struct tn_log_ballot begun; /* the ballot of which it was told that Phase 1 begins */
    bool failed;
    uint32_t group; /* of the split */
    uint32_t tenure_bar;
    uint32_t down_bar;
};

struct tn__story_message {
    struct tn_log_message message;
    struct tn_log_entry *entries; /* its own */
    uint64_t serial;
    uint64_t word; /* the sender's */
    uint32_t from;
    uint32_t to;
    uint32_t arrow;
    bool held;
};

/* Messages of one turn that are written alike: "1->2,3 Prepare 7.1.1". */
struct tn__story_sent {
    char label[TN_SEQUENCE_TEXT_BYTES];
    tn_member_set to;
};

/* ---- The judge's ------------------------------------------------------------------------------
 */

struct tn__story_chosen {
    struct tn_log_value value; /* kind NONE: not yet */
    uint64_t checksum;         /* the chain up to here */
    uint32_t node;             /* who committed it first */
};

/* One (ballot, slot) has one value for ever. */
struct tn__story_proposed {
    struct tn_log_ballot ballot;
    uint64_t slot;
    struct tn_log_value value;
};

struct tn__log_story {
    struct tn__scenario *scenario;
    struct tn_log_options options; /* what all nodes have in common */
    uint32_t nodes_count;
    tn_time now;
    uint64_t random;
    uint64_t serials;
    struct tn__story_node nodes[TN__STORY_NODES_MAX];
    struct tn__story_text texts[TN__STORY_TEXTS_MAX];
    uint32_t texts_count;
    struct tn__story_message messages[TN__STORY_MESSAGES_MAX]; /* in flight, oldest first */
    uint32_t messages_count;
    struct tn__story_turn turn;
    struct tn__story_sent sent[TN__STORY_SENT_MAX]; /* in this turn, by label */
    uint32_t sent_count;
    bool in_turn;
    struct tn__story_chosen chosen[TN__STORY_SLOTS_MAX];
    struct tn__story_proposed *proposed;
    uint32_t proposed_count;
    uint32_t proposed_room;
    struct tn__growing_text broken; /* lines of the judge, of this command */
};

/* ---- log_scenario_words.c -------------------------------------------------------------------- */

struct tn__short tn__story_ballot(const struct tn__log_story *story, struct tn_log_ballot ballot);

/* "x=1", "a no-op", "voters 1,4,5" */
struct tn__short tn__story_value(const struct tn__log_story *story,
                                 const struct tn_log_value *value);
/* "3", "3..5"; "slot 3", "slots 3..5" */
struct tn__short tn__story_slots(uint64_t first, uint64_t last);
struct tn__short tn__story_slots_in_words(uint64_t first, uint64_t last);
struct tn__short tn__story_members(tn_member_set members);

/* "1: a, 2: b": of entries, as many as fit. */
void tn__story_entries(const struct tn__log_story *story, const struct tn_log_entry *entries,
                       uint32_t count, char *text, size_t size);
void tn__story_label(const struct tn__log_story *story, const struct tn_log_message *message,
                     const struct tn_log_entry *entries, char label[TN_SEQUENCE_TEXT_BYTES]);
const char *tn__story_reason(uint32_t reason);
bool tn__story_kinds(const char *text, uint32_t *kinds);

/* ---- log_scenario_node.c --------------------------------------------------------------------- */

bool tn__story_is_up(const struct tn__log_story *story, uint32_t node);
void tn__story_start(struct tn__log_story *story, uint32_t node);
void tn__story_stop(struct tn__log_story *story, uint32_t node, bool keep_disk);

/* One turn: step the node with this event, carry out all that follows, tell it. */
void tn__story_event(struct tn__log_story *story, uint32_t node, struct tn_log_event *event);
void tn__story_timer(struct tn__log_story *story, uint32_t node);

/* The oldest write under way is done (or fails, which is final). False: none is. */
bool tn__story_finish_write(struct tn__log_story *story, uint32_t node);
bool tn__story_fail_write(struct tn__log_story *story, uint32_t node);
tn_time tn__story_deadline(const struct tn__log_story *story, uint32_t node);
void tn__story_forget_nodes(struct tn__log_story *story);

/* What the store of a node holds of a slot, durable or not: the newest entry; NULL: nothing. */
const struct tn_log_entry *tn__story_stored(const struct tn__story_node *node, uint64_t slot,
                                            bool durable_only);
uint64_t tn__story_highest(const struct tn__story_node *node);
struct tn_log_entry *tn__story_copy(const struct tn_log_entry *entries, uint32_t count);

/* ---- log_scenario_network.c ------------------------------------------------------------------ */

void tn__story_send(struct tn__log_story *story, uint32_t from, uint32_t to,
                    const struct tn_log_message *message, const struct tn_log_entry *entries);
void tn__story_forget_messages(struct tn__log_story *story);

/* The line of what was sent in this turn. */
void tn__story_say_sent(struct tn__log_story *story, uint32_t from);
/* Let everything arrive, and what is said in answer, until nothing is in flight. */
void tn__story_deliver_all(struct tn__log_story *story);

/* ---- log_scenario_tell.c, log_scenario_say.c ------------------------------------------------- */

/* A line that begins with the node, and words beside its lifeline. */
__attribute__((format(printf, 6, 7))) void
tn__story_tell(struct tn__log_story *story, struct tn__story_turn *turn, uint32_t node,
               enum tn__sequence_mark kind, const char *rule, const char *format, ...);
void tn__story_turn_ended(struct tn__log_story *story);
void tn__story_say_record(struct tn__log_story *story, struct tn__story_turn *turn,
                          const struct tn__story_saying *saying);
void tn__story_say_message(struct tn__log_story *story, struct tn__story_turn *turn,
                           const struct tn__story_saying *saying);
void tn__story_say_notice(struct tn__log_story *story, struct tn__story_turn *turn,
                          const struct tn_log_notice *notice);
void tn__story_say_commit(struct tn__log_story *story, struct tn__story_turn *turn,
                          const struct tn__story_saying *saying);

/* ---- log_scenario_judge.c -------------------------------------------------------------------- */

void tn__story_judge_started(struct tn__log_story *story, uint32_t node);
void tn__story_judge_turn(struct tn__log_story *story, const struct tn__story_turn *turn);
void tn__story_judge_sent(struct tn__log_story *story, uint32_t node,
                          const struct tn_log_message *message);

/* G2: the voters of a slot, found from what was committed alone. */
tn_member_set tn__story_voters_at(const struct tn__log_story *story, uint64_t slot);

/* ---- The verbs ------------------------------------------------------------------------------- */

typedef void tn__story_verb(struct tn__log_story *story, struct tn__scenario_command *command);

tn__story_verb tn__story_do_deliver, tn__story_do_drop, tn__story_do_hold, tn__story_do_duplicate,
    tn__story_do_settle, tn__story_do_split, tn__story_do_heal;
tn__story_verb tn__story_do_propose, tn__story_do_cancel, tn__story_do_reconfigure,
    tn__story_do_read, tn__story_do_status, tn__story_do_show, tn__story_do_check;

#endif
