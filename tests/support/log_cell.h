/* A small cell of log machines for tests: nodes with disks that complete writes when told, a
 * network that loses, repeats and reorders as told, one clock, and payloads whose references are
 * counted.
 *
 * After each step the machine's own invariants are checked, and with each commit: one value per
 * slot for ever (P1), nothing said before it is durable (P3), no slot skipped (P8), no proposal in
 * two slots, none that was refused. Each read is held against what had been committed anywhere when
 * it was asked for (Q1). */
#ifndef TN_TESTS_LOG_CELL_H
#define TN_TESTS_LOG_CELL_H

#include <tenure/log.h>

#define CELL_NODES_MAX 5U
#define CELL_SLOTS_MAX 65536U
#define CELL_MAIL_MAX 8192U
#define CELL_NOTICES_MAX 4096U
#define CELL_NUMBERS_MAX 32768U

/* An entry away from any machine: `content` stands for the bytes; 0: none. */
struct cell_entry {
    struct tn_log_entry entry; /* its handle is void */
    uint64_t content;
};

struct cell_mail {
    uint32_t from, to;
    uint64_t restart_word;
    uint64_t incarnation; /* own mail dies with it */
    struct tn_log_message message;
    struct cell_entry *entries; /* own mail: with handles, references of the mail */
};

struct cell_write {
    struct tn_log_record record;
    struct cell_entry *entries;
};

struct cell_payload {
    uint64_t content;
    uint32_t references;
    uint32_t generation;
};

struct cell_disk {
    struct tn_log_ballot promise;
    uint64_t committed;
    uint64_t checksum;
    struct cell_entry slots[CELL_SLOTS_MAX];
    uint64_t highest;
};

/* A proposal's fate as its origin was told, by number. */
enum cell_fate {
    CELL_ASKED = 0,
    CELL_ASSIGNED,
    CELL_REFUSED,
    CELL_LOST,
};

struct cell_proposal {
    uint64_t content;
    uint64_t slot;   /* ASSIGNED */
    uint32_t fate;   /* enum cell_fate */
    uint32_t reason; /* REFUSED */
};

struct cell_read {
    uint64_t floor; /* the highest slot committed anywhere when it was asked for */
    uint64_t slot;  /* the barrier it got */
    uint32_t done;
    uint32_t failed;
};

struct log_cell;

struct cell_node {
    struct tn_log_options options;
    struct tn_log *log; /* NULL: down */
    struct log_cell *cell;
    uint32_t index;
    uint32_t votes_less; /* start it with damage: tn_log_recovered.damaged */
    uint64_t starts;
    struct cell_disk *disk;
    struct cell_write *writes; /* under way, oldest first */
    uint32_t writes_count;
    uint64_t written;
    struct cell_mail *held; /* own and others' mail that waits for a write */
    uint32_t held_count;
    struct cell_payload *payloads;
    uint32_t payloads_count;
    uint64_t committed; /* as the machine told */
    uint64_t applied;   /* never forgotten: the state machine's own durable state */
    struct tn_log_notice notices[CELL_NOTICES_MAX];
    uint32_t notices_count;
    uint64_t number; /* of the newest proposal of this incarnation */
    struct cell_proposal *proposals;
    uint64_t reads_count;
    struct cell_read *reads;
    uint64_t loads;
};

struct log_cell {
    struct cell_node nodes[CELL_NODES_MAX];
    uint32_t nodes_count;
    tn_time now;
    uint64_t random;
    bool slow_disks;      /* writes complete only by cell_write_done() */
    bool slow_appliers;   /* APPLIED only by cell_apply() */
    bool twins;           /* each step is made by a copy too, which looks at everything */
    uint32_t cut;         /* members that neither send nor receive */
    uint32_t value_bytes; /* of each proposal. [100] */
    uint64_t contents;    /* given out so far */
    struct cell_mail *mail;
    uint32_t mail_count;
    struct tn_log_effects *effects;
    struct tn_log_value *chosen; /* by slot; handle: the content */
    uint64_t committed;          /* the highest slot committed anywhere */
    uint64_t *slot_of;           /* by content: where it was chosen; 0: nowhere */
    uint8_t *refused;            /* by content */
    uint64_t steps;
    /* Seen by each message as it is sent; false drops it. [none] */
    bool (*filter)(struct log_cell *cell, uint32_t from, uint32_t to,
                   const struct tn_log_message *message);
    void *filter_data;
};

/* `base` NULL: defaults with a window of 16 slots. Nodes 1 .. count, all up and connected. */
struct log_cell *cell_new(uint32_t count, const struct tn_log_options *base);
/* Everything is taken down; every payload's references must come to nothing. */
void cell_free(struct log_cell *cell);

void cell_crash(struct log_cell *cell, uint32_t node);
void log_cell_start(struct log_cell *cell, uint32_t node);
void log_cell_connect(struct log_cell *cell, uint32_t node, uint32_t to);

/* A message reaches a node, as new payloads of its own. */
void cell_give(struct cell_node *node, const struct cell_mail *mail);
void cell_step(struct log_cell *cell, uint32_t node, struct tn_log_event *event);
/* The step, and the same by a copy whose deadline has come, so that it takes nothing for steady:
 * both say the same, and the one that looks at less is not due later. */
void cell_step_twins(struct log_cell *cell, struct tn_log *log,
                     const struct tn_log_options *options, const struct tn_log_event *event);
void cell_event(struct log_cell *cell, uint32_t node, enum tn_log_event_kind kind, uint64_t number);
/* N1: `node` owns the lease until then; 0: no more. */
void cell_tenure(struct log_cell *cell, uint32_t node, uint64_t token, tn_time deadline);
/* Propose `count` values; returns the number of the first. */
uint64_t cell_propose(struct log_cell *cell, uint32_t node, uint32_t count);
uint64_t cell_propose_configuration(struct log_cell *cell, uint32_t node,
                                    const struct tn_log_value *value);
uint64_t cell_read(struct log_cell *cell, uint32_t node);
/* A forged message, as if `from` had sent it: it has no entries. */
void cell_forge(struct log_cell *cell, uint32_t from, uint32_t to,
                const struct tn_log_message *message);
void cell_forge_entries(struct log_cell *cell, uint32_t from, uint32_t to,
                        const struct tn_log_message *message, const struct tn_log_entry *entries);

/* Mail in the order of sending. deliver() takes it off, drop() loses it, repeat() adds a copy. */
void cell_deliver(struct log_cell *cell, uint32_t mail);
void cell_drop(struct log_cell *cell, uint32_t mail);
void cell_repeat(struct log_cell *cell, uint32_t mail);
void cell_deliver_all(struct log_cell *cell);
void cell_drop_all(struct log_cell *cell);
void cell_write_done(struct log_cell *cell, uint32_t node);
void cell_writes_done(struct log_cell *cell);
void cell_apply(struct log_cell *cell, uint32_t node);

/* Deliver, write and fire timers up to `until`. */
void cell_run(struct log_cell *cell, tn_time until);
void cell_fire(struct log_cell *cell, uint32_t node);

struct tn_log_status log_cell_status(struct log_cell *cell, uint32_t node);
struct tn_log_counters cell_counters(struct log_cell *cell, uint32_t node);
uint32_t cell_count(struct log_cell *cell, uint32_t node, enum tn_log_notice_kind kind);
const struct tn_log_notice *cell_last(struct log_cell *cell, uint32_t node,
                                      enum tn_log_notice_kind kind);
/* Mails of a kind under way. */
uint32_t cell_mails(const struct log_cell *cell, enum tn_log_message_kind kind);
/* The index of the first one from and to (any: CELL_NODES_MAX); mail_count: none. */
uint32_t cell_find(const struct log_cell *cell, enum tn_log_message_kind kind, uint32_t from,
                   uint32_t to);
/* All that are up have committed the same slots, at least `slots`. */
bool cell_agrees(struct log_cell *cell, uint64_t slots);
/* At rest: each reference is that of a committed slot in memory, and each has one. */
bool cell_keeps_what_it_shows(struct log_cell *cell, uint32_t node);
uint64_t cell_random(struct log_cell *cell, uint64_t below);

#endif
