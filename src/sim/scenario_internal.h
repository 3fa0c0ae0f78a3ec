/* The inside of the scenario player, shared by the files that make it up; nobody else includes it.
 *
 *   scenario.c           a file: its stanzas, the table of verbs, what is judged after each
 *   scenario_words.c     a command: words, durations, lists of nodes, ballots
 *   scenario_cluster.c   verbs that make and move the cluster: cluster, advance, crash, disk ...
 *   scenario_network.c   verbs for messages: deliver, drop, hold, duplicate, settle, split
 *   scenario_ask.c       verbs that ask: acquire and its kin, status, who, resource, reconfigure
 *   scenario_tell.c      what the world shows, as lines and as a drawing
 *   scenario_turn.c      what one turn of a node comes to
 *   scenario_explore.c   traces of the explorer
 *
 * Stories of a log have a player of their own behind this one (sim/log_scenario.h). */
#ifndef TN_SIM_SCENARIO_INTERNAL_H
#define TN_SIM_SCENARIO_INTERNAL_H

#include "sim/lease_judge.h"
#include "sim/scenario.h"

#define TN__SCENARIO_WORDS_MAX 24U
#define TN__SCENARIO_ARROWS_MAX 4096U
#define TN__SCENARIO_RUNS_MAX 1100U /* starts of one member that can be told apart */
#define TN__SCENARIO_WRITES_MAX 16U
#define TN__SCENARIO_SAYINGS_MAX 48U
#define TN__SCENARIO_ROUNDS_MAX 64U

/* A command: a verb and words, each bare or key=value. */
struct tn__scenario_word {
    const char *key;
    const char *value; /* NULL: a bare word */
    bool used;
};

struct tn__scenario_command {
    char bytes[TN_SCENARIO_COMMAND_BYTES_MAX];
    const char *verb;
    struct tn__scenario_word words[TN__SCENARIO_WORDS_MAX];
    uint32_t words_count;
};

enum tn__scenario_disk {
    TN__SCENARIO_DISK_AUTO = 0,
    TN__SCENARIO_DISK_WAIT,
};

/* What the story knows of one process beside the world. */
struct tn__scenario_node {
    struct tn_lease_counters counters; /* at the beginning of the turn */
    uint32_t disk;                     /* enum tn__scenario_disk */
    uint32_t group;                    /* of the split */
    uint32_t lease_bar;                /* of the drawing; TN_SEQUENCE_NONE: none */
    uint32_t exclusion_bar;
    uint32_t quarantine_bar;
    uint32_t other_bar;    /* down or paused */
    tn_time attempt_begun; /* on its clock: when its last attempt started (P1) */
    uint64_t attempt_told; /* the counter of the last attempt that was told */
};

/* A message in flight: its arrow, and whether the story holds it back. */
struct tn__scenario_arrow {
    uint64_t serial;
    uint32_t arrow;
    bool held;
};

/* One thing that a turn said, kept until the turn ends. */
struct tn__scenario_saying {
    bool is_notice;
    tn_member_set to;
    struct tn_message message;
    struct tn_notice notice;
};

/* A guarded resource, and the writes under way to it. */
struct tn__scenario_write {
    char name[24];
    uint64_t token;
    uint32_t node;
};

struct tn__scenario {
    struct tn__scenario_result *result;
    struct tn__growing_text out; /* of the command at hand */
    struct tn__sequence *sequence;
    struct tn__world *world; /* NULL: no cluster yet */
    struct tn__lease_judge *judge;
    uint32_t judged; /* violations printed so far */
    uint64_t checks;
    tn_time zero;    /* when the story begins, real time */
    tn_time latency; /* network latency=; 0: manual */
    bool muted;      /* the cluster is being started */
    bool is_split;
    bool diskless;
    char name[TN_NAME_BYTES_MAX + 1]; /* the usual name */

    struct tn__scenario_node nodes[TN_WORLD_PROCESSES_MAX];
    uint64_t runs[TN_MEMBERS_MAX][TN__SCENARIO_RUNS_MAX]; /* restart words, in order of starts */
    uint32_t runs_count[TN_MEMBERS_MAX];

    struct tn__scenario_arrow arrows[TN__SCENARIO_ARROWS_MAX]; /* in flight */
    uint32_t arrows_count;

    bool arriving;             /* the turn that runs began with a frame */
    bool row_due;              /* its row of the drawing begins with the first thing it says */
    struct tn_message arrived; /* its first item */
    struct tn__scenario_saying sayings[TN__SCENARIO_SAYINGS_MAX];
    uint32_t sayings_count;
    struct tn__growing_text sends;  /* the line of messages of this turn */
    struct tn__growing_text losses; /* the lines of those that were lost */
    bool in_turn;

    struct tn__scenario_write writes[TN__SCENARIO_WRITES_MAX];
    uint32_t writes_count;
    uint64_t resource_token;
    bool resource_unguarded;

    void *explore;             /* scenario_explore.c's own */
    struct tn__log_story *log; /* of a story that begins with `log`; NULL: of another */
};

/* ---- scenario.c ------------------------------------------------------------------------------ */

/* A line of output. */
__attribute__((format(printf, 2, 3))) void tn__scenario_say(struct tn__scenario *scenario,
                                                            const char *format, ...);

/* A line that says what is wrong with the command; the story has failed. */
__attribute__((format(printf, 2, 3))) void tn__scenario_error(struct tn__scenario *scenario,
                                                              const char *format, ...);

/* Begin a row of the drawing, now. */
void tn__scenario_row(struct tn__scenario *scenario);

/* ---- scenario_words.c ------------------------------------------------------------------------ */

/* Split a line; false: too long or too many words. */
bool tn__scenario_parse(struct tn__scenario_command *command, const char *line, size_t length);

/* The value of key=value, or NULL. */
const char *tn__scenario_value(struct tn__scenario_command *command, const char *key);

/* Is the bare word there? */
bool tn__scenario_has(struct tn__scenario_command *command, const char *word);

/* The next bare word that was not used, or NULL. */
const char *tn__scenario_bare(struct tn__scenario_command *command);

/* "2s", "500ms", "20us", "1.5s", "3" (seconds). */
bool tn__scenario_span(const char *text, tn_time *span);

/* key=span: *span stays as it is when the key is missing. False: an error was printed. */
bool tn__scenario_span_of(struct tn__scenario *scenario, struct tn__scenario_command *command,
                          const char *key, tn_time *span);
bool tn__scenario_number_of(struct tn__scenario *scenario, struct tn__scenario_command *command,
                            const char *key, uint64_t *number);

/* "1,3,5" as a set of processes; false: not one of `count`. */
bool tn__scenario_nodes(const char *text, uint32_t count, tn_member_set *nodes);

/* key=list; required or `missing` is the answer. False: an error was printed. */
bool tn__scenario_nodes_of(struct tn__scenario *scenario, struct tn__scenario_command *command,
                           const char *key, tn_member_set missing, tn_member_set *nodes);

/* A ballot, a counter (a token) or a time as the story writes it. */
struct tn__short {
    char text[40];
};
struct tn__short tn__scenario_ballot(const struct tn__scenario *scenario, struct tn_ballot ballot);
struct tn__short tn__scenario_token(uint64_t counter);
struct tn__short tn__scenario_time(const struct tn__scenario *scenario, tn_time real);
struct tn__short tn__scenario_seconds(tn_time span);

/* ---- scenario_tell.c ------------------------------------------------------------------------- */

/* A turn that has ended. */
struct tn__scenario_turn {
    uint32_t process;
    uint32_t event; /* enum tn_event_kind */
    uint32_t disk;
    tn_time local;
    struct tn_lease_counters delta;
    bool told; /* at least one line */
};

/* Say it, as a line that begins with the node, and as words beside its lifeline. */
__attribute__((format(printf, 6, 7))) void
tn__scenario_tell(struct tn__scenario *scenario, struct tn__scenario_turn *turn, uint32_t process,
                  enum tn__sequence_mark kind, const char *rule, const char *format, ...);

/* A time of a process's clock: as the story writes it, and as the drawing counts it. */
struct tn__short tn__scenario_when(const struct tn__scenario *scenario, uint32_t process,
                                   tn_time local);
tn_time tn__scenario_real(const struct tn__scenario *scenario, uint32_t process, tn_time local);

/* End a bar of the drawing, and begin another in its place. */
void tn__scenario_cut_bar(struct tn__scenario *scenario, uint32_t *bar);
void tn__scenario_new_bar(struct tn__scenario *scenario, uint32_t *bar, uint32_t process,
                          enum tn__sequence_bar kind, struct tn_ballot ballot, tn_time until);

void tn__scenario_see(void *context, const struct tn__sight *sight);
void tn__scenario_label(const struct tn__scenario *scenario, const struct tn_message *message,
                        char label[TN_SEQUENCE_TEXT_BYTES]);

/* The record of a frame in flight; NULL: none. */
struct tn__scenario_arrow *tn__scenario_arrow(struct tn__scenario *scenario, uint64_t serial);

/* Print what was lost. */
void tn__scenario_flush_losses(struct tn__scenario *scenario);

/* Enter a frame that the story made itself: a duplicate. */
void tn__scenario_enter(struct tn__scenario *scenario, uint32_t frame);

/* ---- scenario_turn.c ------------------------------------------------------------------------- */

void tn__scenario_turn_ended(struct tn__scenario *scenario, const struct tn__sight *sight);

/* ---- the verbs ------------------------------------------------------------------------------- */

typedef void tn__scenario_verb(struct tn__scenario *scenario, struct tn__scenario_command *command);

tn__scenario_verb tn__scenario_do_cluster, tn__scenario_do_advance, tn__scenario_do_crash,
    tn__scenario_do_restart, tn__scenario_do_pause, tn__scenario_do_resume, tn__scenario_do_disk,
    tn__scenario_do_clock, tn__scenario_do_copy;
tn__scenario_verb tn__scenario_do_deliver, tn__scenario_do_drop, tn__scenario_do_hold,
    tn__scenario_do_duplicate, tn__scenario_do_settle, tn__scenario_do_split, tn__scenario_do_heal,
    tn__scenario_do_network;
tn__scenario_verb tn__scenario_do_request, tn__scenario_do_status, tn__scenario_do_who,
    tn__scenario_do_resource, tn__scenario_do_reconfigure, tn__scenario_do_check;
tn__scenario_verb tn__scenario_do_explore, tn__scenario_do_step;
tn__scenario_verb tn__scenario_do_log;

/* Finish the writes of disks that are not told to wait. */
void tn__scenario_finish_writes(struct tn__scenario *scenario);

/* Does the split part these two? */
bool tn__scenario_parted(const struct tn__scenario *scenario, uint32_t from, uint32_t to);

/* What becomes of a frame just sent: network latency=. A hook of the world. */
void tn__scenario_frame_sent(void *context, uint32_t frame);

void tn__scenario_explore_free(struct tn__scenario *scenario);

#endif
