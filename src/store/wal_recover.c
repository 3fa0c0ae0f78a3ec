/* A start: read everything, show it, rewrite the tail, clean up (W3).
 *
 *   scan        states, index and the visitor take each record            (wal_scan.h)
 *   new segment NUMBER.new: zeros, STATE of every group, the records of the batches that nothing
 *               vouches for yet; synced; then its name; then the directory
 *   clean up    segments that are not needed, names *.new, the torn or rewritten rest of the last
 *               segment
 *
 * Up to the rename nothing that was there is touched, so a crash at any step leaves the log as it
 * was; after it the new segment's header says where it begins, and the rest of the old one is not
 * looked at again. The clean-up frees space only. With damage nothing is cut and no file is
 * replaced, and one sequence number is left out, so that the next start finds the gap whatever has
 * become of the files. */
#include <string.h>

#include "base/assert.h"
#include "store/wal_internal.h"

struct recovery {
    struct tn__wal *wal;
    const struct tn__wal_visitor *visitor;
    struct tn_log_entry *entries; /* room to show a record in */
    const void **values;
    struct tn_log_value *configurations;
    uint64_t *slots;
    uint64_t room;
};

/* ---- Showing ------------------------------------------------------------------------------- */

/* Room for the entries of one record. */
static bool make_room(struct recovery *recovery, uint64_t count)
{
    const struct tn__wal_memory *memory = &recovery->wal->memory;
    if (count <= recovery->room) {
        return true;
    }
    count = count < TN_WAL_RECORD_ENTRIES_MAX ? TN_WAL_RECORD_ENTRIES_MAX : count;
    void **blocks[] = {(void **)&recovery->entries, (void **)&recovery->values,
                       (void **)&recovery->configurations, (void **)&recovery->slots};
    const size_t sizes[] = {sizeof(recovery->entries[0]), sizeof(recovery->values[0]),
                            sizeof(recovery->configurations[0]), sizeof(recovery->slots[0])};
    for (uint32_t i = 0; i < 4; i++) {
        void *grown =
            memory->allocate(memory->context, *blocks[i], (size_t)count * sizes[i], false);
        if (grown == NULL) {
            return false;
        }
        *blocks[i] = grown;
    }
    recovery->room = count;
    return true;
}

static int show(struct recovery *recovery, const struct tn__wal_record *record,
                const uint8_t *bytes)
{
    const struct tn__wal_visitor *visitor = recovery->visitor;
    struct tn_log_record shown = {
        .group = record->group,
        .kind = record->kind,
        .entries_count = record->count,
        .ballot = record->ballot,
        .committed = record->committed,
        .checksum = record->checksum,
    };
    tn__wal_record_entries(bytes, record, recovery->entries, recovery->values);
    if (record->kind != TN_LOG_RECORD_STATE) {
        return visitor->record == NULL
                   ? TN_OK
                   : visitor->record(visitor->context, &shown, recovery->entries, recovery->values);
    }
    shown.entries_count = 0;
    struct tn_log_recovered state = {
        .promise = record->ballot,
        .committed = record->committed,
        .checksum = record->checksum,
        .retained = record->slot_first,
    };
    for (uint32_t i = 0; i < record->count; i++) {
        recovery->configurations[i] = recovery->entries[i].value;
        recovery->slots[i] = recovery->entries[i].slot;
    }
    return visitor->state == NULL
               ? TN_OK
               : visitor->state(visitor->context, &shown, &state, recovery->configurations,
                                recovery->slots, record->count);
}

static int take_record(void *context, const struct tn__wal_batch_head *head,
                       const struct tn__wal_record *record, struct tn__wal_place place,
                       const uint8_t *bytes)
{
    struct recovery *recovery = context;
    struct tn__wal *wal = recovery->wal;
    /* What was saved from a damaged batch is as good, but there may have been more of it. */
    int error = make_room(recovery, record->count) ? TN_OK : TN_ERROR_NO_MEMORY;
    if (error == TN_OK) {
        error = tn__wal_states_apply(&wal->states, record, bytes);
    }
    if (error == TN_OK && head != NULL && record->kind != TN_LOG_RECORD_LEARN) {
        tn__wal_states_find(&wal->states, record->group)->seen = head->sequence;
    }
    if (error == TN_OK) {
        error = tn__wal_index_segment(&wal->index, place.segment);
    }
    if (error == TN_OK && record->kind != TN_LOG_RECORD_STATE && record->count > 0) {
        error = tn__wal_index_reserve(&wal->index, record->group, place.segment, 2);
        if (error == TN_OK) {
            tn__wal_index_add(&wal->index, record->group,
                              &(struct tn__wal_run){.slot_first = record->slot_first,
                                                    .segment = place.segment,
                                                    .offset = place.offset,
                                                    .bytes = record->bytes,
                                                    .count = record->count});
        }
    }
    return error == TN_OK ? show(recovery, record, bytes) : error;
}

/* ---- The new segment ----------------------------------------------------------------------- */

/* Append the records of a batch that was read once already. */
static int copy_batch(struct tn__wal *wal, struct tn__wal_scan *scan,
                      const struct tn__wal_batch_head *head, struct tn__wal_batch *batch)
{
    char name[TN_WAL_NAME_BYTES];
    tn__wal_name(name, head->place.segment, false);
    int error = tn__wal_window_open(&scan->window, wal->options.directory, name, TN_FILE_READ);
    const uint8_t *bytes = NULL;
    if (error == TN_OK && head->place.offset + head->bytes > scan->window.file_bytes) {
        error = TN_ERROR_IO;
    }
    if (error == TN_OK) {
        error = tn__wal_window_get(&scan->window, head->place.offset, head->bytes, &bytes);
    }
    for (uint64_t at = TN_WAL_BATCH_BYTES; error == TN_OK && at < head->used;) {
        struct tn__wal_place place = {head->place.segment, head->place.offset + at};
        struct tn__wal_record record;
        uint32_t crc;
        bool same =
            tn__wal_record_check(bytes + at, head->used - at, wal->seed, place, &record, &crc);
        error = same ? tn__wal_batch_copy(batch, &record, bytes + at) : TN_ERROR_IO;
        at += record.bytes;
    }
    return error;
}

static int write_first(struct tn__wal *wal, struct tn__wal_scan *scan, struct tn__wal_batch *tail)
{
    int error = tn__wal_next_zero(wal, UINT64_MAX);
    if (error != TN_OK) {
        return error;
    }
    /* The batches go into the file before it has a name. */
    uint64_t first = wal->sequence + 1;
    wal->current = (struct tn__wal_current){
        .file = wal->next.file,
        .number = wal->next.number,
        .bytes = wal->next.bytes,
        .at = wal->options.block_bytes,
    };
    error = tn__wal_put(wal, wal->own, false);
    if (error == TN_OK && tail->items_count > 0) {
        error = tn__wal_put(wal, tail, false);
    }
    struct tn__wal_head head = {
        .number = wal->next.number,
        .batch_first = first,
        .batch_last = wal->sequence,
        .bytes = wal->next.bytes,
        .block_bytes = wal->options.block_bytes,
    };
    memcpy(head.cluster_id, wal->options.cluster_id, sizeof(head.cluster_id));
    memcpy(head.disk_id, wal->options.disk_id, sizeof(head.disk_id));
    if (error == TN_OK) {
        error = tn__wal_next_name(wal, &head);
    }
    uint64_t at = wal->current.at;
    wal->current = (struct tn__wal_current){.file = TN_FILE_NONE};
    if (error == TN_OK) {
        tn__wal_next_enter(wal);
        wal->current.at = at;
        wal->durable = wal->sequence;
        wal->sealed = false;
        tn_assert(scan->segments_count == 0 || wal->current.number >= scan->segments[0].number);
    }
    return error;
}

/* What a damaged log goes on behind. One number is left out, so that the next start finds the gap;
 * and as nobody knows how far the log had come, the numbers of this start begin where those of all
 * earlier ones end. Should a block of theirs come back, at the place it was written to (D3), it
 * is too low to be taken for what follows, and the promise in it for the last one. */
static uint64_t sequence_beyond(const struct tn__wal *wal, const struct tn__wal_scan *scan)
{
    uint64_t found = (scan->sequence > scan->mark ? scan->sequence : scan->mark) + 1;
    uint64_t given = (wal->options.starts & TN_WAL_STARTS_MASK) << TN_WAL_START_BITS;
    return found > given ? found : given;
}

/* The first segment that is kept. Where the one that the batches name is gone, but nothing missing,
 * a copy of what it held stands below it still: that is kept then. */
static uint64_t first_kept(const struct tn__wal_scan *scan)
{
    uint64_t i = 0;
    while (i < scan->segments_count && scan->segments[i].number < scan->segment_first) {
        i++;
    }
    bool there = i < scan->segments_count && scan->segments[i].number == scan->segment_first;
    return there || i == 0 ? scan->segment_first : scan->segments[0].number;
}

/* Number, size and sequence of the segment this run begins with. */
static int begin_first(struct tn__wal *wal, const struct tn__wal_scan *scan,
                       const struct tn__wal_batch *tail)
{
    uint64_t last = scan->segments_count > 0 ? scan->segments[scan->segments_count - 1].number : 0;
    uint64_t number = (last > scan->segment_known ? last : scan->segment_known) + 1;
    wal->sequence = scan->mark;
    if (scan->damaged) {
        wal->sequence = sequence_beyond(wal, scan);
    } else if (last > 0 && scan->segments[scan->segments_count - 1].begins == 0) {
        number = last; /* made ahead and never used: replaced */
    }
    wal->before = wal->sequence;
    wal->durable = scan->mark;
    wal->healed = scan->healed;
    /* If even the first segment is rewritten as a whole, no other is needed any more: its name may
     * never have been durable. */
    bool all_new = scan->segments_count == 0 || scan->segments[0].begins > scan->mark;
    wal->segment_first =
        scan->segment_first == 0 || (all_new && !scan->damaged) ? number : first_kept(scan);
    wal->oldest = scan->segments_count > 0 && scan->segments[0].number < wal->segment_first
                      ? scan->segments[0].number
                      : wal->segment_first;
    uint64_t block = wal->options.block_bytes;
    uint64_t need =
        block + tn__wal_batch_padded(wal->own) + tn__wal_batch_padded(tail) + 16 * block;
    uint64_t usual = wal->options.segment_bytes / TN_WAL_FIRST_DIVISOR / block * block;
    return tn__wal_next_begin(wal, number, need > usual ? need : usual);
}

/* Is a segment that recovery made as it was made? The gap before its first batch is meant. */
static bool is_undamaged(const struct tn__wal_scan *scan,
                         const struct tn__wal_scan_segment *segment)
{
    bool whole = segment->head_whole;
    for (uint64_t i = 0; i < scan->gaps_count && whole; i++) {
        const struct tn__wal_gap *gap = &scan->gaps[i];
        whole = gap->segment != segment->number ||
                (gap->offset <= segment->block_bytes && gap->bytes == 0);
    }
    return whole;
}

/* Batches below this number were copied by an earlier start. Without damage the copies have the
 * numbers of what they replace, and the scan passes that over; with damage they have numbers of
 * their own, and copying both would double the log at each start that ends early. */
static uint64_t copied_below(const struct tn__wal_scan *scan)
{
    for (uint64_t i = scan->damaged ? scan->segments_count : 0; i > 0; i--) {
        const struct tn__wal_scan_segment *segment = &scan->segments[i - 1];
        if (segment->batch_first > 0 && is_undamaged(scan, segment)) {
            return segment->batch_first;
        }
    }
    return 0;
}

static int rewrite(struct tn__wal *wal, struct tn__wal_scan *scan, struct tn__wal_report *report)
{
    struct tn__wal_batch *tail = NULL;
    int error = tn__wal_batch_new(wal, &tail);
    uint64_t copied = copied_below(scan);
    for (uint64_t i = 0; i < scan->tail_count && error == TN_OK; i++) {
        if (scan->tail[i].sequence >= copied) {
            error = copy_batch(wal, scan, &scan->tail[i], tail);
        }
    }
    tn__wal_window_close(&scan->window);
    if (error == TN_OK) {
        error = tn__wal_restate(wal);
    }
    if (error == TN_OK) {
        error = begin_first(wal, scan, tail);
    }
    if (error == TN_OK) {
        error = write_first(wal, scan, tail);
    }
    if (error == TN_OK) {
        error = tn__wal_index(wal, tail->items_count > 0 ? tail : wal->own);
    }
    if (error == TN_OK) {
        report->bytes_rewritten = tn__wal_batch_bytes(tail);
        report->segment = wal->current.number;
    }
    tn__wal_batch_free(tail);
    return error;
}

/* ---- Cleaning up --------------------------------------------------------------------------- */

struct leftovers {
    uint64_t numbers[16]; /* the rest is found at the next start */
    uint32_t count;
};

static bool visit_leftover(void *visitor, const char *name)
{
    struct leftovers *leftovers = visitor;
    bool fresh;
    uint64_t number = tn__wal_name_number(name, &fresh);
    if (number > 0 && fresh) {
        leftovers->numbers[leftovers->count++] = number;
    }
    return leftovers->count < 16;
}

static int remove_leftovers(struct tn__wal *wal)
{
    const struct tn__files *files = &wal->options.files;
    struct leftovers leftovers = {.count = 0};
    int error =
        files->operations->list(files->context, wal->options.directory, visit_leftover, &leftovers);
    for (uint32_t i = 0; i < leftovers.count && error == TN_OK; i++) {
        char name[TN_WAL_NAME_BYTES];
        tn__wal_name(name, leftovers.numbers[i], true);
        error = files->operations->unlink(files->context, wal->options.directory, name);
    }
    return error;
}

/* Give back what lies behind the last batch of each old segment: it is in the new one, or torn; and
 * segments of which nothing is left. */
static int cut_ends(struct tn__wal *wal, const struct tn__wal_scan *scan)
{
    const struct tn__files *files = &wal->options.files;
    int error = TN_OK;
    for (uint64_t i = 0; i < scan->segments_count && error == TN_OK; i++) {
        const struct tn__wal_scan_segment *segment = &scan->segments[i];
        bool old = segment->number >= wal->segment_first && segment->number < wal->current.number;
        char name[TN_WAL_NAME_BYTES];
        tn__wal_name(name, segment->number, false);
        if (old && segment->begins > scan->mark) {
            error = files->operations->unlink(files->context, wal->options.directory, name);
            continue;
        }
        if (!old || segment->end == segment->bytes) {
            continue;
        }
        tn__file file;
        error = files->operations->open(files->context, wal->options.directory, name,
                                        TN_FILE_READ | TN_FILE_WRITE, &file);
        if (error == TN_OK) {
            error = files->operations->truncate(files->context, file, segment->end);
            files->operations->close(files->context, file);
        }
    }
    return error;
}

static int clean_up(struct tn__wal *wal, const struct tn__wal_scan *scan)
{
    int error = remove_leftovers(wal);
    bool whole = true;
    for (uint64_t i = 0; i < scan->gaps_count; i++) {
        whole = whole && scan->gaps[i].torn;
    }
    if (error == TN_OK && whole) { /* what is damaged is left as it is, to be looked at */
        error = cut_ends(wal, scan);
    }
    tn__wal_remove_old(wal, UINT64_MAX);
    return error;
}

/* ---- All of it ----------------------------------------------------------------------------- */

static void report_scan(const struct tn__wal_scan *scan, struct tn__wal_report *report)
{
    *report = (struct tn__wal_report){
        .segments_count = scan->segments_count,
        .batches_count = scan->batches_count,
        .records_count = scan->records_count,
        .bytes_read = scan->window.read_bytes,
        .bytes_cut = scan->bytes_cut,
        .damaged = scan->damaged,
    };
    for (uint64_t i = 0; i < scan->gaps_count; i++) {
        const struct tn__wal_gap *gap = &scan->gaps[i];
        if (!gap->torn && gap->segment >= scan->segment_first) {
            report->lost = 1;
        }
    }
}

/* The rest, once the log has been read. */
static int finish(struct tn__wal *wal, struct tn__wal_scan *scan, struct tn__wal_report *report,
                  struct tn__text *why)
{
    report_scan(scan, report);
    if (scan->damaged) {
        tn__wal_scan_describe(scan, why);
    }
    for (uint64_t i = 0; i < scan->gaps_count; i++) {
        const struct tn__wal_gap *gap = &scan->gaps[i];
        if (gap->counts && (wal->pinned == 0 || gap->segment < wal->pinned)) {
            wal->pinned = gap->segment;
        }
        if (gap->counts) {
            tn__wal_states_doubt(&wal->states, gap->last);
        }
    }
    tn__wal_index_purge(&wal->index, first_kept(scan));
    for (uint64_t i = 0; i < wal->states.count; i++) {
        struct tn__wal_state *state = &wal->states.items[i];
        state->retained = tn__wal_index_reach(&wal->index, state->group, state->committed);
    }
    int error = rewrite(wal, scan, report);
    if (error == TN_OK) {
        error = clean_up(wal, scan);
    }
    /* Of a damaged log the old tail stays beside its copy: vouched for, or each start would copy
     * both. */
    if (error == TN_OK && scan->damaged) {
        error = tn__wal_seal(wal);
    }
    if (error != TN_OK) {
        tn__wal_next_abandon(wal);
        tn__text_add(why, "the log's next segment could not be made: %s%s", tn_strerror(error),
                     error == TN_ERROR_DISK_FULL ? "; free some, and start again" : "");
    }
    return error;
}

int tn__wal_recover(struct tn__wal *wal, const struct tn__wal_visitor *visitor,
                    struct tn__wal_report *report, struct tn__text *why)
{
    struct recovery recovery = {.wal = wal, .visitor = visitor};
    struct tn__wal_scan scan = {
        .window = {.files = wal->options.files, .memory = wal->memory, .file = TN_FILE_NONE},
        .directory = wal->options.directory,
        .visitor = {.context = &recovery, .record = take_record},
        .why = why,
        .segment_known = wal->options.segment_known,
        .block_bytes = wal->options.block_bytes,
        .read_mode = TN_FILE_READ,
    };
    memcpy(scan.cluster_id, wal->options.cluster_id, sizeof(scan.cluster_id));
    memcpy(scan.disk_id, wal->options.disk_id, sizeof(scan.disk_id));
    int error = tn__wal_scan_run(&scan);
    if (error == TN_OK) {
        error = finish(wal, &scan, report, why);
    }
    if (error != TN_OK && why->length == 0) {
        tn__text_add(why, "the log cannot be read: %s", tn_strerror(error));
    }
    tn__wal_memory_free(&wal->memory, recovery.entries, false);
    tn__wal_memory_free(&wal->memory, (void *)recovery.values, false);
    tn__wal_memory_free(&wal->memory, recovery.configurations, false);
    tn__wal_memory_free(&wal->memory, recovery.slots, false);
    tn__wal_scan_free(&scan);
    return error;
}
