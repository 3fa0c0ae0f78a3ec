/* Durable words: the layout, the order of writes and why they suffice stand in words.h. */
#include "store/words.h"

#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/text.h"

enum {
    OFFSET_FORMAT = 8,
    OFFSET_SLOT = 12,
    OFFSET_SEQUENCE = 16,
    OFFSET_CLUSTER = 24,
    OFFSET_NODE = 40,
    OFFSET_RESTARTS = 44,
    OFFSET_CEILING = 48,
    OFFSET_CONFIGURATION = 56,
    OFFSET_LEFT = 60,
    OFFSET_QUARANTINE = 64,
    OFFSET_DISK = OFFSET_QUARANTINE + 8 * TN_TABLES_MAX,
    OFFSET_LOG = OFFSET_DISK + TN_DISK_ID_BYTES,
    OFFSET_ZERO = OFFSET_LOG + 8,
    OFFSET_ZERO_1 = OFFSET_DISK, /* of format 1 */
    OFFSET_CRC = 508,
};

_Static_assert(OFFSET_CRC + 4 == TN_WORDS_RECORD_BYTES, "the checksum ends the record");

static const uint8_t magic[8] = "tnwords";
static const char *const slot_names[2] = {"words.0", "words.1"};
static const char *const fresh_names[2] = {"words.0.new", "words.1.new"};
static const char lock_name[] = "lock";

/* More starts than this would end in a restart word that means "none". */
#define RESTARTS_MAX (UINT32_MAX - 1)

/* What one file says. */
struct slot {
    bool whole; /* every check passed; else nothing below but `newer` means anything */
    bool newer; /* of a format version that this build does not know */
    bool empty; /* there is no such file */
    uint64_t sequence;
    uint64_t ceiling;
    uint32_t restarts;
    uint32_t configuration;
    uint32_t left;
    uint32_t node;
    uint8_t cluster_id[16];
    uint8_t disk_id[TN_DISK_ID_BYTES]; /* all zero: none, of format 1 */
    uint64_t log_segment;
    tn_time quarantine_ns[TN_TABLES_MAX];
};

uint64_t tn__words_diskless_restart_word(uint64_t random)
{
    return random == UINT64_MAX || random == 0 ? 1 : random;
}

/* ---- The record and its bytes -------------------------------------------------------------- */

static void record_encode(uint8_t bytes[TN_WORDS_RECORD_BYTES], const struct slot *slot,
                          uint32_t index)
{
    memset(bytes, 0, TN_WORDS_RECORD_BYTES);
    memcpy(bytes, magic, sizeof(magic));
    tn__put_u32(bytes + OFFSET_FORMAT, TN_WORDS_FORMAT);
    tn__put_u32(bytes + OFFSET_SLOT, index);
    tn__put_u64(bytes + OFFSET_SEQUENCE, slot->sequence);
    memcpy(bytes + OFFSET_CLUSTER, slot->cluster_id, sizeof(slot->cluster_id));
    tn__put_u32(bytes + OFFSET_NODE, slot->node);
    tn__put_u32(bytes + OFFSET_RESTARTS, slot->restarts);
    tn__put_u64(bytes + OFFSET_CEILING, slot->ceiling);
    tn__put_u32(bytes + OFFSET_CONFIGURATION, slot->configuration);
    tn__put_u32(bytes + OFFSET_LEFT, slot->left);
    for (uint32_t i = 0; i < TN_TABLES_MAX; i++) {
        tn__put_u64(bytes + OFFSET_QUARANTINE + 8 * i, slot->quarantine_ns[i]);
    }
    memcpy(bytes + OFFSET_DISK, slot->disk_id, sizeof(slot->disk_id));
    tn__put_u64(bytes + OFFSET_LOG, slot->log_segment);
    tn__put_u32(bytes + OFFSET_CRC, tn__crc32c(0, bytes, OFFSET_CRC));
}

static bool all_zero(const uint8_t *bytes, uint32_t first, uint32_t end)
{
    uint8_t any = 0;
    for (uint32_t i = first; i < end; i++) {
        any |= bytes[i];
    }
    return any == 0;
}

/* Is `bytes` a record of this format, in its place, with fields that can be? */
static void record_decode(const uint8_t bytes[TN_WORDS_RECORD_BYTES], uint32_t index,
                          struct slot *slot)
{
    if (memcmp(bytes, magic, sizeof(magic)) != 0 ||
        tn__get_u32(bytes + OFFSET_CRC) != tn__crc32c(0, bytes, OFFSET_CRC)) {
        return;
    }
    uint32_t format = tn__get_u32(bytes + OFFSET_FORMAT);
    if (format > TN_WORDS_FORMAT) {
        slot->newer = true;
        return;
    }
    slot->sequence = tn__get_u64(bytes + OFFSET_SEQUENCE);
    slot->ceiling = tn__get_u64(bytes + OFFSET_CEILING);
    slot->restarts = tn__get_u32(bytes + OFFSET_RESTARTS);
    slot->configuration = tn__get_u32(bytes + OFFSET_CONFIGURATION);
    slot->left = tn__get_u32(bytes + OFFSET_LEFT);
    for (uint32_t i = 0; i < TN_TABLES_MAX; i++) {
        slot->quarantine_ns[i] = tn__get_u64(bytes + OFFSET_QUARANTINE + 8 * i);
    }
    slot->node = tn__get_u32(bytes + OFFSET_NODE);
    memcpy(slot->cluster_id, bytes + OFFSET_CLUSTER, sizeof(slot->cluster_id));
    memcpy(slot->disk_id, bytes + OFFSET_DISK, sizeof(slot->disk_id)); /* format 1: zero */
    slot->log_segment = tn__get_u64(bytes + OFFSET_LOG);
    bool zero = all_zero(bytes, format == 1 ? OFFSET_ZERO_1 : OFFSET_ZERO, OFFSET_CRC);
    bool formed = format == 1 || (format == 2 && !all_zero(slot->disk_id, 0, TN_DISK_ID_BYTES));
    slot->whole = zero && formed && tn__get_u32(bytes + OFFSET_SLOT) == index &&
                  slot->sequence > 0 && slot->restarts > 0 && slot->restarts <= RESTARTS_MAX &&
                  slot->left <= 1 && slot->node > 0 && slot->node <= TN_NODE_ID_MAX;
}

/* Read one file. An unreadable sector is damage like any other; only what says nothing about the
 * file's content, such as a lack of permission, is an error. */
static int slot_read(struct tn__words *words, uint32_t index, struct slot *slot)
{
    *slot = (struct slot){0};
    const struct tn__file_operations *operations = words->files.operations;
    void *context = words->files.context;
    tn__file file = TN_FILE_NONE;
    int error = operations->open(context, words->directory, slot_names[index], TN_FILE_READ, &file);
    if (error == TN_ERROR_NOT_FOUND) {
        slot->empty = true;
        return TN_OK;
    }
    if (error != TN_OK) {
        return error;
    }
    uint8_t bytes[TN_WORDS_RECORD_BYTES];
    uint64_t size = 0;
    error = operations->size(context, file, &size);
    if (error == TN_OK && size == sizeof(bytes)) {
        error = tn__file_read_all(&words->files, file, 0, bytes, sizeof(bytes));
        if (error == TN_OK) {
            record_decode(bytes, index, slot);
        }
    }
    operations->close(context, file);
    return error == TN_ERROR_IO || error == TN_ERROR_DAMAGED ? TN_OK : error;
}

/* ---- Writing ------------------------------------------------------------------------------- */

static void slot_close(struct tn__words *words, uint32_t index)
{
    if (words->slots[index] != TN_FILE_NONE) {
        words->files.operations->close(words->files.context, words->slots[index]);
        words->slots[index] = TN_FILE_NONE;
    }
}

/* Make the file anew beside the old one, and put it in its place once it is durable. */
static int slot_replace(struct tn__words *words, uint32_t index, const uint8_t *bytes)
{
    const struct tn__file_operations *operations = words->files.operations;
    void *context = words->files.context;
    slot_close(words, index);
    int error = operations->unlink(context, words->directory, fresh_names[index]);
    if (error != TN_OK && error != TN_ERROR_NOT_FOUND) {
        return error;
    }
    error = operations->open(context, words->directory, fresh_names[index],
                             TN_FILE_READ | TN_FILE_WRITE | TN_FILE_CREATE | TN_FILE_EXCLUSIVE,
                             &words->slots[index]);
    if (error != TN_OK) {
        return error;
    }
    error = tn__file_write_all(&words->files, words->slots[index], 0, bytes, TN_WORDS_RECORD_BYTES);
    if (error == TN_OK) {
        error = operations->sync(context, words->slots[index]);
    }
    if (error == TN_OK) {
        error =
            operations->rename(context, words->directory, fresh_names[index], slot_names[index]);
    }
    if (error == TN_OK) {
        error = operations->sync_directory(context, words->directory);
    }
    return error;
}

/* Write one file durably, in place if nothing has ever gone wrong with it. */
static int slot_write(struct tn__words *words, uint32_t index, const struct slot *slot)
{
    uint8_t bytes[TN_WORDS_RECORD_BYTES];
    record_encode(bytes, slot, index);
    bool fresh = words->fresh[index];
    words->fresh[index] = true; /* until it has worked */
    int error;
    if (fresh) {
        error = slot_replace(words, index, bytes);
    } else {
        error = tn__file_write_all(&words->files, words->slots[index], 0, bytes, sizeof(bytes));
        if (error == TN_OK) {
            error = words->files.operations->sync(words->files.context, words->slots[index]);
        }
    }
    if (error != TN_OK) {
        slot_close(words, index); /* fault.D8: what it holds is unknown from now on */
        return error;
    }
    words->fresh[index] = false;
    return TN_OK;
}

/* Write the record to both files, `first` first: the one that may be the worse. */
static int slots_write(struct tn__words *words, struct slot *slot, uint32_t first)
{
    tn_assert(first <= 1);
    tn_assert(words->sequence < UINT64_MAX);
    slot->sequence = ++words->sequence;
    int error = slot_write(words, first, slot);
    if (error == TN_OK) {
        error = slot_write(words, 1 - first, slot); /* inv. words 1 */
    }
    return error;
}

/* What is durable now, as a record to be changed and written. */
static struct slot slot_of(const struct tn__words *words)
{
    struct slot slot = {
        .ceiling = words->ceiling,
        .restarts = (uint32_t)(words->restart_word >> 32),
        .configuration = words->configuration,
        .left = words->left,
        .node = words->node,
        .log_segment = words->log_segment,
    };
    memcpy(slot.cluster_id, words->cluster_id, sizeof(slot.cluster_id));
    memcpy(slot.disk_id, words->disk_id, sizeof(slot.disk_id));
    memcpy(slot.quarantine_ns, words->quarantine_ns, sizeof(slot.quarantine_ns));
    return slot;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Write it, and only then believe it. */
static int slot_commit(struct tn__words *words, struct slot *slot)
{
    tn_assert(!(words->fresh[0] && words->fresh[1]));
    /* A write that has failed may be in one of the files all the same. What only grows must not be
     * less in a later one: a crash between its two files would leave a contradiction. */
    slot->ceiling = larger(slot->ceiling, words->ceiling_asked);
    slot->log_segment = larger(slot->log_segment, words->log_segment_asked);
    words->ceiling_asked = slot->ceiling;
    words->log_segment_asked = slot->log_segment;
    /* A file that failed goes first: until it is whole again the other is the only good one. */
    int error = slots_write(words, slot, words->fresh[1] ? 1 : 0);
    if (error == TN_OK) {
        words->ceiling = slot->ceiling;
        words->configuration = slot->configuration;
        words->left = slot->left;
        words->log_segment = slot->log_segment;
        memcpy(words->quarantine_ns, slot->quarantine_ns, sizeof(words->quarantine_ns));
    }
    return error;
}

int tn__words_write(struct tn__words *words, const struct tn_record *record)
{
    tn_assert(words->directory != TN_FILE_NONE);
    tn_assert(record->configuration >= words->configuration);
    tn_assert(record->left <= 1);
    struct slot slot = slot_of(words);
    /* F1: it never falls. The machine counts on the newest of several writes only, so after a
     * failure it may ask for less than an earlier one has made durable. */
    slot.ceiling = record->ceiling > words->ceiling ? record->ceiling : words->ceiling;
    slot.configuration = record->configuration;
    slot.left = record->left;
    memcpy(slot.quarantine_ns, record->quarantine_ns, sizeof(slot.quarantine_ns));
    return slot_commit(words, &slot);
}

int tn__words_write_log(struct tn__words *words, uint64_t number)
{
    tn_assert(words->directory != TN_FILE_NONE);
    if (number <= words->log_segment) {
        return TN_OK;
    }
    struct slot slot = slot_of(words);
    slot.log_segment = number;
    return slot_commit(words, &slot);
}

/* ---- Opening ------------------------------------------------------------------------------- */

static const char *advice(int error)
{
    switch (error) {
    case TN_ERROR_NOT_FOUND:
        return "it or its parent is missing: name another, or let this node begin in it "
               "(bootstrap)";
    case TN_ERROR_INVALID:
        return "it is no directory, or its name is too long: name another";
    case TN_ERROR_DISK_FULL:
        return "no space left: free some, two small files must fit";
    case TN_ERROR_READ_ONLY:
        return "it cannot be written: check its permissions and its mount";
    case TN_ERROR_LOCKED:
        return "another process is using it: stop that one, or give this node its own directory";
    case TN_ERROR_NO_MEMORY:
        return "out of memory or file descriptors: raise the limit";
    default:
        return "input or output failed: see the kernel's log, and replace the disk if it is "
               "failing";
    }
}

/* A name that may be in a directory that counts as empty. */
static bool visit_name(void *visitor, const char *name)
{
    bool *used = visitor;
    *used = strcmp(name, lock_name) != 0 && strcmp(name, "lost+found") != 0 &&
            strcmp(name, fresh_names[0]) != 0 && strcmp(name, fresh_names[1]) != 0;
    return !*used;
}

/* Neither file is there: a new directory, or one that has lost its words? */
static int begin_new(struct tn__words *words, const struct tn__words_options *options,
                     struct slot *slot, struct tn__text *why)
{
    bool used = false;
    int error =
        words->files.operations->list(words->files.context, words->directory, visit_name, &used);
    if (error != TN_OK) {
        tn__text_add(why, "data directory %s: %s", options->path, advice(error));
        return error;
    }
    if (used) {
        tn__text_add(why,
                     "data directory %s: words.0 and words.1 are missing but other files are "
                     "there. If this node ever ran, it must not vote again as node %u: remove that "
                     "member, empty the directory and admit the node under a new id",
                     options->path, (unsigned)options->node);
        return TN_ERROR_DAMAGED;
    }
    if (!options->bootstrap) {
        tn__text_add(why,
                     "data directory %s is empty: a node begins in an empty directory only when "
                     "told so (bootstrap). If node %u ever ran, it must not: admit it under a new "
                     "id",
                     options->path, (unsigned)options->node);
        return TN_ERROR_NOT_FOUND;
    }
    words->bootstrapped = true;
    *slot = (struct slot){.configuration = options->configuration, .node = options->node};
    memcpy(slot->cluster_id, options->cluster_id, sizeof(slot->cluster_id));
    return TN_OK;
}

/* Do two whole records tell one story? Whatever grows must have grown in the later one. (Not the
 * configuration: one whose write failed is given up, and it was never spoken for.) */
static bool consistent(const struct slot *early, const struct slot *late)
{
    bool same = early->sequence == late->sequence;
    bool equal =
        early->ceiling == late->ceiling && early->restarts == late->restarts &&
        early->configuration == late->configuration && early->left == late->left &&
        early->log_segment == late->log_segment &&
        memcmp(early->disk_id, late->disk_id, sizeof(early->disk_id)) == 0 &&
        memcmp(early->quarantine_ns, late->quarantine_ns, sizeof(early->quarantine_ns)) == 0;
    bool grown = early->ceiling <= late->ceiling && early->restarts <= late->restarts &&
                 early->log_segment <= late->log_segment;
    /* One of format 1 has no disk id yet. */
    bool disk = memcmp(early->disk_id, late->disk_id, sizeof(early->disk_id)) == 0 ||
                all_zero(early->disk_id, 0, TN_DISK_ID_BYTES);
    return disk && early->node == late->node &&
           memcmp(early->cluster_id, late->cluster_id, sizeof(early->cluster_id)) == 0 && grown &&
           (!same || equal);
}

/* Choose the record to go on from, and the file to write first. */
static int choose(struct tn__words *words, const struct tn__words_options *options,
                  const struct slot slots[2], struct slot *slot, uint32_t *first,
                  struct tn__text *why)
{
    if (slots[0].newer || slots[1].newer) {
        tn__text_add(why,
                     "data directory %s was written by a later version of this program: start that "
                     "version",
                     options->path);
        return TN_ERROR_VERSION;
    }
    if (slots[0].empty && slots[1].empty) {
        *first = 0;
        return begin_new(words, options, slot, why);
    }
    /* inv. words 2: the later of the whole ones, be it one or two. The other is written first. */
    uint32_t latest = slots[1].whole && (!slots[0].whole || slots[1].sequence > slots[0].sequence);
    *first = 1 - latest;
    bool both = slots[0].whole && slots[1].whole;
    if (!slots[latest].whole || (both && !consistent(&slots[*first], &slots[latest]))) {
        tn__text_add(why,
                     "data directory %s: words.0 and words.1 %s, so it is not known what node %u "
                     "has promised. It must not vote again: remove that member, empty the "
                     "directory and admit the node under a new id",
                     options->path, both ? "contradict each other" : "are both damaged",
                     (unsigned)options->node);
        return TN_ERROR_DAMAGED;
    }
    words->repaired = !both;
    *slot = slots[latest];
    return TN_OK;
}

/* Does the directory belong to the node that wants it? */
static int check_identity(const struct tn__words_options *options, const struct slot *slot,
                          struct tn__text *why)
{
    bool cluster = memcmp(slot->cluster_id, options->cluster_id, sizeof(slot->cluster_id)) == 0;
    if (cluster && slot->node == options->node) {
        return TN_OK;
    }
    tn__text_add(why, "data directory %s belongs to node %lu of cluster ", options->path,
                 (unsigned long)slot->node);
    tn__text_add_hex(why, slot->cluster_id, sizeof(slot->cluster_id));
    tn__text_add(why, ", this is node %u of cluster ", (unsigned)options->node);
    tn__text_add_hex(why, options->cluster_id, sizeof(options->cluster_id));
    tn__text_add(why, ": give each node a directory of its own");
    return TN_ERROR_NOT_EMPTY;
}

/* Open and lock the directory. */
static int directory_open(struct tn__words *words, const struct tn__words_options *options)
{
    const struct tn__file_operations *operations = words->files.operations;
    void *context = words->files.context;
    int error =
        operations->open_directory(context, options->path, options->bootstrap, &words->directory);
    if (error == TN_OK) {
        error = operations->open(context, words->directory, lock_name,
                                 TN_FILE_READ | TN_FILE_WRITE | TN_FILE_CREATE, &words->lock);
    }
    if (error == TN_OK) {
        error = operations->lock(context, words->lock);
    }
    return error;
}

/* Count one more start, durably, and only then take the restart word into use. */
static int begin_incarnation(struct tn__words *words, const struct tn__words_options *options,
                             struct slot *slot, uint32_t first, struct tn__text *why)
{
    if (slot->restarts >= RESTARTS_MAX) {
        tn__text_add(why, "data directory %s: all %lu starts of node %u are used up", options->path,
                     (unsigned long)RESTARTS_MAX, (unsigned)options->node);
        return TN_ERROR_INVALID;
    }
    slot->restarts++;
    if (all_zero(slot->disk_id, 0, TN_DISK_ID_BYTES)) {
        memcpy(slot->disk_id, options->disk_id, sizeof(slot->disk_id));
    }
    words->sequence = slot->sequence;
    words->fresh[0] = true; /* fault.D8: never trust what an earlier process left in the cache */
    words->fresh[1] = true;
    int error = slots_write(words, slot, first);
    if (error != TN_OK) {
        tn__text_add(why, "data directory %s: %s", options->path, advice(error));
        return error;
    }
    words->restart_word = (uint64_t)slot->restarts << 32 | options->random;
    words->ceiling = slot->ceiling;
    words->configuration = slot->configuration;
    words->left = slot->left;
    words->log_segment = slot->log_segment;
    memcpy(words->disk_id, slot->disk_id, sizeof(words->disk_id));
    memcpy(words->quarantine_ns, slot->quarantine_ns, sizeof(words->quarantine_ns));
    return TN_OK;
}

/* All of opening but the clean-up. */
static int open_locked(struct tn__words *words, const struct tn__words_options *options,
                       struct tn__text *why)
{
    int error = directory_open(words, options);
    struct slot slots[2];
    for (uint32_t i = 0; i < 2 && error == TN_OK; i++) {
        error = slot_read(words, i, &slots[i]);
    }
    if (error != TN_OK) {
        tn__text_add(why, "data directory %s: %s", options->path, advice(error));
        return error;
    }
    struct slot slot;
    uint32_t first = 0;
    error = choose(words, options, slots, &slot, &first, why);
    if (error == TN_OK) {
        error = check_identity(options, &slot, why);
    }
    if (error == TN_OK) {
        error = begin_incarnation(words, options, &slot, first, why);
    }
    return error;
}

int tn__words_open(struct tn__words *words, const struct tn__words_options *options, char *why,
                   size_t why_size)
{
    tn_assert(options->path != NULL);
    tn_assert(options->node > 0);
    tn_assert(!all_zero(options->disk_id, 0, TN_DISK_ID_BYTES));
    *words = (struct tn__words){
        .node = options->node,
        .files = options->files,
        .directory = TN_FILE_NONE,
        .lock = TN_FILE_NONE,
        .slots = {TN_FILE_NONE, TN_FILE_NONE},
    };
    memcpy(words->cluster_id, options->cluster_id, sizeof(words->cluster_id));
    struct tn__text text;
    tn__text_init(&text, why, why_size);
    int error = open_locked(words, options, &text);
    if (error != TN_OK) {
        tn__words_close(words);
    }
    return error;
}

void tn__words_close(struct tn__words *words)
{
    const struct tn__file_operations *operations = words->files.operations;
    void *context = words->files.context;
    slot_close(words, 0);
    slot_close(words, 1);
    if (words->lock != TN_FILE_NONE) {
        operations->close(context, words->lock); /* and with it the lock */
        words->lock = TN_FILE_NONE;
    }
    if (words->directory != TN_FILE_NONE) {
        operations->close(context, words->directory);
        words->directory = TN_FILE_NONE;
    }
}
