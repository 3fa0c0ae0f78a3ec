/* tenure log list|dump|verify DIR: what a node's log says, without the node (W5).
 *
 * Reads and never writes, over the same pass that a start makes (store/wal_scan.h), so what it
 * calls damaged is what a start would. A node may be using the directory: then the end of the log
 * may look torn, which is said. Status 0: whole; 1: damaged, or it could not be read. */
#include "cmd/tool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tenure/error.h>

#include "os/file_posix.h"
#include "os/memory.h"
#include "store/wal_scan.h"

struct log_segment {
    uint64_t batches;
    uint64_t records;
    uint64_t sequence_first;
    uint64_t sequence_last;
};

struct log_view {
    struct tn__tool *tool;
    struct tn__wal_scan scan;
    bool dump;
    bool any_group;
    uint32_t group;
    uint64_t from;
    struct log_segment *segments; /* in step with scan.segments */
    struct tn_log_entry *entries; /* of one record */
    const void **values;
};

static const char *kind_name(uint8_t kind)
{
    static const char *const names[] = {"none", "promise", "accept", "learn", "state"};
    return kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "unknown";
}

static const char *value_name(uint8_t kind)
{
    static const char *const names[] = {"none", "noop", "payload", "configuration"};
    return kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "unknown";
}

static struct log_segment *segment_of(struct log_view *view, uint64_t number)
{
    for (uint64_t i = view->scan.segments_count; i > 0; i--) {
        if (view->scan.segments[i - 1].number == number) {
            return &view->segments[i - 1];
        }
    }
    return NULL;
}

static int on_batch(void *context, const struct tn__wal_batch_head *head)
{
    struct log_view *view = context;
    if (view->segments == NULL) { /* now it is known how many there are */
        view->segments = calloc(view->scan.segments_count, sizeof(view->segments[0]));
        if (view->segments == NULL) {
            return TN_ERROR_NO_MEMORY;
        }
    }
    struct log_segment *segment = segment_of(view, head->place.segment);
    if (segment != NULL) {
        segment->batches++;
        segment->records += head->records_count;
        segment->sequence_last = head->sequence;
        segment->sequence_first =
            segment->sequence_first == 0 ? head->sequence : segment->sequence_first;
    }
    return TN_OK;
}

/* ---- dump ---------------------------------------------------------------------------------- */

static json_t *ballot_json(const struct tn_log_ballot *ballot)
{
    return json_pack("{s:i, s:I, s:I, s:i, s:I}", "mode", (int)ballot->mode_number, "token",
                     (json_int_t)ballot->token, "attempt", (json_int_t)ballot->attempt, "node",
                     (int)ballot->node, "restart_word", (json_int_t)ballot->restart_word);
}

static json_t *entry_json(const struct tn_log_entry *entry)
{
    json_t *object =
        json_pack("{s:I, s:s, s:I, s:I, s:o}", "slot", (json_int_t)entry->slot, "value",
                  value_name(entry->value.kind), "bytes", (json_int_t)entry->value.bytes, "digest",
                  (json_int_t)entry->value.digest, "ballot", ballot_json(&entry->ballot));
    if (entry->value.kind == TN_LOG_VALUE_CONFIGURATION) {
        json_object_set_new(object, "version", json_integer((json_int_t)entry->value.version));
        json_object_set_new(object, "voters", json_integer((json_int_t)entry->value.voters));
        json_object_set_new(object, "learners", json_integer((json_int_t)entry->value.learners));
    }
    return object;
}

static void dump_json(const struct log_view *view, const struct tn__wal_batch_head *head,
                      const struct tn__wal_record *record, struct tn__wal_place place)
{
    json_t *entries = json_array();
    for (uint32_t i = 0; i < record->count; i++) {
        if (view->entries[i].slot >= view->from) {
            json_array_append_new(entries, entry_json(&view->entries[i]));
        }
    }
    tn__tool_print(json_pack("{s:I, s:I, s:I, s:b, s:I, s:s, s:o, s:I, s:I, s:o}", "segment",
                             (json_int_t)place.segment, "offset", (json_int_t)place.offset, "batch",
                             (json_int_t)(head == NULL ? 0 : head->sequence), "saved", head == NULL,
                             "group", (json_int_t)record->group, "kind", kind_name(record->kind),
                             "ballot", ballot_json(&record->ballot), "committed",
                             (json_int_t)record->committed, "checksum",
                             (json_int_t)record->checksum, "entries", entries));
}

static void dump_text(const struct log_view *view, const struct tn__wal_batch_head *head,
                      const struct tn__wal_record *record, struct tn__wal_place place)
{
    const struct tn_log_ballot *ballot = &record->ballot;
    printf("%08llu:%llu batch %llu%s group %u %s ballot %u.%llu.%llu of node %u, committed %llu\n",
           (unsigned long long)place.segment, (unsigned long long)place.offset,
           (unsigned long long)(head == NULL ? 0 : head->sequence),
           head == NULL ? " (saved from damage)" : "", (unsigned)record->group,
           kind_name(record->kind), (unsigned)ballot->mode_number,
           (unsigned long long)ballot->token, (unsigned long long)ballot->attempt,
           (unsigned)ballot->node, (unsigned long long)record->committed);
    for (uint32_t i = 0; i < record->count; i++) {
        const struct tn_log_entry *entry = &view->entries[i];
        if (entry->slot >= view->from) {
            printf("    slot %llu %s, %u bytes, digest %08x\n", (unsigned long long)entry->slot,
                   value_name(entry->value.kind), (unsigned)entry->value.bytes,
                   (unsigned)entry->value.digest);
        }
    }
}

static int on_record(void *context, const struct tn__wal_batch_head *head,
                     const struct tn__wal_record *record, struct tn__wal_place place,
                     const uint8_t *bytes)
{
    struct log_view *view = context;
    bool wanted = view->dump && (view->any_group || record->group == view->group);
    if (!wanted) {
        return TN_OK;
    }
    tn__wal_record_entries(bytes, record, view->entries, view->values);
    bool slots = view->from == 0;
    for (uint32_t i = 0; i < record->count; i++) {
        slots = slots || view->entries[i].slot >= view->from;
    }
    if (slots && view->tool->json) {
        dump_json(view, head, record, place);
    } else if (slots) {
        dump_text(view, head, record, place);
    }
    return TN_OK;
}

/* ---- list and verify ----------------------------------------------------------------------- */

static json_t *segments_json(const struct log_view *view)
{
    json_t *segments = json_array();
    for (uint64_t i = 0; i < view->scan.segments_count; i++) {
        const struct tn__wal_scan_segment *found = &view->scan.segments[i];
        const struct log_segment none = {0};
        const struct log_segment *said = view->segments == NULL ? &none : &view->segments[i];
        json_array_append_new(
            segments,
            json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "segment", (json_int_t)found->number,
                      "bytes", (json_int_t)found->bytes, "used", (json_int_t)found->end, "batches",
                      (json_int_t)said->batches, "records", (json_int_t)said->records, "first",
                      (json_int_t)said->sequence_first, "last", (json_int_t)said->sequence_last));
    }
    return segments;
}

static json_t *gaps_json(const struct log_view *view)
{
    json_t *gaps = json_array();
    for (uint64_t i = 0; i < view->scan.gaps_count; i++) {
        const struct tn__wal_gap *gap = &view->scan.gaps[i];
        if (!gap->torn || gap->bytes > 0) {
            json_array_append_new(gaps, json_pack("{s:I, s:I, s:s, s:b, s:I}", "segment",
                                                  (json_int_t)gap->segment, "offset",
                                                  (json_int_t)gap->offset, "what",
                                                  gap->torn ? "a torn end" : gap->what, "damage",
                                                  gap->counts, "bytes", (json_int_t)gap->bytes));
        }
    }
    return gaps;
}

static void print_json(const struct log_view *view)
{
    const struct tn__wal_scan *scan = &view->scan;
    tn__tool_print(json_pack(
        "{s:b, s:o, s:o, s:I, s:I, s:I, s:I}", "damaged", scan->damaged, "segments",
        segments_json(view), "gaps", gaps_json(view), "batches", (json_int_t)scan->batches_count,
        "records", (json_int_t)scan->records_count, "last_batch", (json_int_t)scan->sequence,
        "torn_bytes", (json_int_t)scan->bytes_cut));
}

static void print_segments(const struct log_view *view)
{
    printf("%-14s %12s %12s %10s %10s %s\n", "SEGMENT", "BYTES", "USED", "BATCHES", "RECORDS",
           "SEQUENCE");
    for (uint64_t i = 0; i < view->scan.segments_count; i++) {
        const struct tn__wal_scan_segment *found = &view->scan.segments[i];
        const struct log_segment none = {0};
        const struct log_segment *said = view->segments == NULL ? &none : &view->segments[i];
        printf("%08llu.wal   %12llu %12llu %10llu %10llu %llu to %llu\n",
               (unsigned long long)found->number, (unsigned long long)found->bytes,
               (unsigned long long)found->end, (unsigned long long)said->batches,
               (unsigned long long)said->records, (unsigned long long)said->sequence_first,
               (unsigned long long)said->sequence_last);
    }
}

static void print_gaps(const struct log_view *view)
{
    const struct tn__wal_scan *scan = &view->scan;
    for (uint64_t i = 0; i < scan->gaps_count; i++) {
        const struct tn__wal_gap *gap = &scan->gaps[i];
        if (gap->torn && gap->bytes == 0) {
            continue; /* where the log ends */
        }
        printf("%08llu.wal offset %llu: %s%s\n", (unsigned long long)gap->segment,
               (unsigned long long)gap->offset,
               gap->torn ? "a torn end, which is no damage" : gap->what,
               gap->torn || gap->counts ? "" : " (not needed any more, or fetched again since)");
    }
    printf("%s: %llu segments, %llu batches, %llu records\n", scan->damaged ? "damaged" : "whole",
           (unsigned long long)scan->segments_count, (unsigned long long)scan->batches_count,
           (unsigned long long)scan->records_count);
}

/* ---- The command --------------------------------------------------------------------------- */

/* Does a node use the directory now? */
static bool is_locked(const struct tn__files *files, tn__file directory)
{
    tn__file lock;
    if (files->operations->open(files->context, directory, "lock", TN_FILE_READ, &lock) != TN_OK) {
        return false;
    }
    bool locked = files->operations->lock(files->context, lock) == TN_ERROR_LOCKED;
    files->operations->close(files->context, lock);
    return locked;
}

static int show(struct log_view *view, const char *action)
{
    struct tn__tool *tool = view->tool;
    if (view->scan.segments_count == 0) {
        return tn__tool_fail(tool, TN_CMD_FAILED, "not_found",
                             "there is no log in that directory: name a node's data directory",
                             NULL);
    }
    if (tool->json && !view->dump) {
        print_json(view);
    } else if (!tool->json && strcmp(action, "list") == 0) {
        print_segments(view);
    } else if (!tool->json && strcmp(action, "verify") == 0) {
        print_gaps(view);
    }
    if (!view->scan.damaged) {
        return TN_CMD_DONE;
    }
    char why[512];
    struct tn__text text;
    tn__text_init(&text, why, sizeof(why));
    tn__wal_scan_describe(&view->scan, &text);
    if (tool->json && !view->dump) {
        return TN_CMD_FAILED; /* the object says it */
    }
    return tn__tool_fail(tool, TN_CMD_FAILED, "damaged", why, NULL);
}

static int run(struct log_view *view, const char *action, const char *path)
{
    char why[512] = "";
    struct tn__text text;
    struct tn__files files = tn__file_posix();
    struct tn__wal_scan *scan = &view->scan;
    tn__text_init(&text, why, sizeof(why));
    int error = files.operations->open_directory(files.context, path, false, &scan->directory);
    if (error != TN_OK) {
        tn__text_add(&text, "%s cannot be opened as a directory (%s): name a node's data directory",
                     path, error == TN_ERROR_NOT_FOUND ? "it does not exist" : tn_strerror(error));
        return tn__tool_fail(view->tool, TN_CMD_FAILED, "unreadable", why, NULL);
    }
    if (is_locked(&files, scan->directory)) {
        fprintf(stderr, "tenure: a node is using %s: the end of its log may look torn\n", path);
    }
    scan->window = (struct tn__wal_window){
        .files = files, .memory = {tn__memory_resize, NULL}, .file = TN_FILE_NONE};
    scan->visitor =
        (struct tn__wal_scan_visitor){.context = view, .batch = on_batch, .record = on_record};
    scan->why = &text;
    scan->block_bytes = TN_WAL_BLOCK_BYTES_MAX;
    scan->read_mode = TN_FILE_READ;
    scan->any_identity = true;
    error = tn__wal_scan_run(scan);
    int status = error == TN_OK ? show(view, action)
                                : tn__tool_fail(view->tool, TN_CMD_FAILED, "unreadable",
                                                *why != '\0' ? why : tn_strerror(error), NULL);
    tn__wal_scan_free(scan);
    files.operations->close(files.context, scan->directory);
    return status;
}

int tn__tool_log(struct tn__tool *tool)
{
    const struct tn__cmd_options *options = &tool->options;
    const char *action = options->arguments[0];
    bool dump = strcmp(action, "dump") == 0;
    if (!dump && strcmp(action, "list") != 0 && strcmp(action, "verify") != 0) {
        return tn__tool_fail(tool, TN_CMD_USAGE, "usage", "write tenure log list|dump|verify DIR",
                             NULL);
    }
    struct log_view *view = calloc(1, sizeof(*view));
    int status = TN_CMD_FAILED;
    if (view != NULL) {
        view->entries = calloc(TN_WAL_CONFIGURATIONS_MAX, sizeof(view->entries[0]));
        view->values = (const void **)calloc(TN_WAL_CONFIGURATIONS_MAX, sizeof(view->values[0]));
    }
    if (view == NULL || view->entries == NULL || view->values == NULL) {
        status = tn__tool_fail(tool, status, "memory", "out of memory", NULL);
    } else {
        view->tool = tool;
        view->dump = dump;
        view->any_group = !tn__cmd_given(options, "group");
        view->group = (uint32_t)tn__cmd_number(options, "group");
        view->from = tn__cmd_number(options, "from");
        status = run(view, action, options->arguments[1]);
    }
    if (view != NULL) {
        free(view->segments);
        free(view->entries);
        free((void *)view->values);
    }
    free(view);
    return status;
}
