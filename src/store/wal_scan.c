/* The pass over all segments. Bad spots are wal_scan_spot.c's. */
#include "store/wal_scan.h"

#include <string.h>

#include <tenure/error.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/crc32c.h"

/* Read at once: large enough for any disk, small enough for the processor's cache to matter little.
 */
#define AHEAD_BYTES ((uint64_t)1 << 20)

/* Of each segment's beginning. */
#define LOOK_BYTES ((uint64_t)TN_WAL_BLOCK_BYTES_MAX + TN_WAL_BATCH_BYTES)

/* ---- Segments ------------------------------------------------------------------------------ */

static bool visit_name(void *visitor, const char *name)
{
    struct tn__wal_scan *scan = visitor;
    bool fresh;
    uint64_t number = tn__wal_name_number(name, &fresh);
    if (number == 0 || fresh) {
        return true;
    }
    void *block = scan->segments;
    if (!tn__wal_memory_grow(&scan->window.memory, &block, &scan->segments_capacity,
                             scan->segments_count + 1, sizeof(scan->segments[0]), false)) {
        scan->list_error = TN_ERROR_NO_MEMORY;
        return false;
    }
    scan->segments = block;
    uint64_t at = scan->segments_count++;
    for (; at > 0 && scan->segments[at - 1].number > number; at--) {
        scan->segments[at] = scan->segments[at - 1];
    }
    scan->segments[at] = (struct tn__wal_scan_segment){.number = number};
    return true;
}

static int segment_open(struct tn__wal_scan *scan, struct tn__wal_scan_segment *segment)
{
    char name[TN_WAL_NAME_BYTES];
    tn__wal_name(name, segment->number, false);
    int error = tn__wal_window_open(&scan->window, scan->directory, name, scan->read_mode);
    if (error != TN_OK) {
        tn__text_add(scan->why, "log segment %s cannot be opened: %s", name, tn_strerror(error));
    }
    return error;
}

/* A segment's header says whose it is. */
static int check_identity(struct tn__wal_scan *scan, const struct tn__wal_head *head)
{
    if (scan->any_identity) {
        memcpy(scan->cluster_id, head->cluster_id, sizeof(scan->cluster_id));
        memcpy(scan->disk_id, head->disk_id, sizeof(scan->disk_id));
        scan->seed = tn__wal_seed(scan->cluster_id, scan->disk_id);
        scan->any_identity = false;
    }
    bool cluster = memcmp(head->cluster_id, scan->cluster_id, sizeof(scan->cluster_id)) == 0;
    if (cluster && memcmp(head->disk_id, scan->disk_id, sizeof(scan->disk_id)) == 0) {
        return TN_OK;
    }
    char name[TN_WAL_NAME_BYTES];
    tn__wal_name(name, head->number, false);
    tn__text_add(scan->why,
                 "log segment %s belongs to another %s: put back the files of this "
                 "directory, or give the node a directory of its own",
                 name, cluster ? "data directory" : "cluster");
    return TN_ERROR_NOT_EMPTY;
}

/* Read what the segment begins with: its header, and that of its first batch. */
static int segment_look(struct tn__wal_scan *scan, struct tn__wal_scan_segment *segment)
{
    int error = segment_open(scan, segment);
    if (error != TN_OK) {
        return error;
    }
    struct tn__wal_window *window = &scan->window;
    segment->bytes = window->file_bytes;
    segment->block_bytes = scan->block_bytes;
    window->ahead_bytes = LOOK_BYTES;
    uint64_t length = segment->bytes < LOOK_BYTES ? segment->bytes : LOOK_BYTES;
    if (length < TN_WAL_HEAD_BYTES) {
        return TN_OK;
    }
    const uint8_t *bytes;
    error = tn__wal_window_get(window, 0, length, &bytes);
    if (error != TN_OK) {
        return error;
    }
    struct tn__wal_head head;
    enum tn__wal_verdict verdict = tn__wal_head_decode(bytes, &head);
    if (verdict == TN_WAL_NEWER) {
        tn__text_add(scan->why,
                     "log segment %08llu.wal was written by a later version of this program: start "
                     "that version",
                     (unsigned long long)segment->number);
        return TN_ERROR_VERSION;
    }
    if (verdict == TN_WAL_WHOLE && head.number == segment->number && length >= head.block_bytes) {
        error = check_identity(scan, &head);
        segment->block_bytes = head.block_bytes;
        segment->made_bytes = head.bytes;
        segment->batch_first = head.batch_first;
        segment->batch_last = head.batch_last;
        segment->head_whole =
            tn__wal_zeros(bytes + TN_WAL_HEAD_BYTES, head.block_bytes - TN_WAL_HEAD_BYTES);
    }
    segment->begins = segment->batch_first;
    segment->vouched = segment->batch_last;
    struct tn__wal_batch_head first;
    struct tn__wal_place place = {segment->number, segment->block_bytes};
    if (error == TN_OK && length >= place.offset + TN_WAL_BATCH_BYTES &&
        tn__wal_batch_head_decode(bytes + place.offset, scan->seed, place, segment->block_bytes,
                                  &first)) {
        segment->begins = first.sequence;
        segment->vouched = first.mark > segment->vouched ? first.mark : segment->vouched;
    }
    return error;
}

/* ---- Gaps ---------------------------------------------------------------------------------- */

int tn__wal_scan_gap(struct tn__wal_scan *scan, const struct tn__wal_gap *gap)
{
    void *block = scan->gaps;
    if (!tn__wal_memory_grow(&scan->window.memory, &block, &scan->gaps_capacity,
                             scan->gaps_count + 1, sizeof(scan->gaps[0]), false)) {
        return TN_ERROR_NO_MEMORY;
    }
    scan->gaps = block;
    scan->gaps[scan->gaps_count] = *gap;
    scan->gaps[scan->gaps_count++].last = UINT64_MAX;
    return TN_OK;
}

static int gap_of_segment(struct tn__wal_scan *scan, uint64_t number, const char *what)
{
    struct tn__wal_gap gap = {
        .segment = number, .sequence = scan->next > 0 ? scan->next : 1, .what = what};
    return tn__wal_scan_gap(scan, &gap);
}

/* A whole batch follows: what is missing before it ends there. */
static void gaps_end(struct tn__wal_scan *scan, uint64_t sequence)
{
    for (uint64_t i = scan->gaps_count; i > 0 && scan->gaps[i - 1].last == UINT64_MAX; i--) {
        struct tn__wal_gap *gap = &scan->gaps[i - 1];
        gap->last = sequence > gap->sequence ? sequence - 1 : gap->sequence;
    }
}

/* All is read: which gaps are damage? */
static void gaps_judge(struct tn__wal_scan *scan)
{
    uint32_t torn_places = 0;
    for (uint64_t i = 0; i < scan->gaps_count; i++) {
        torn_places += scan->gaps[i].torn && scan->gaps[i].bytes > 0;
    }
    for (uint64_t i = 0; i < scan->gaps_count; i++) {
        struct tn__wal_gap *gap = &scan->gaps[i];
        /* One write was under way at a time: two torn places are not both torn. */
        bool vouched = scan->vouched >= gap->sequence || (torn_places > 1 && gap->bytes > 0);
        gap->torn = gap->torn && !vouched;
        scan->bytes_cut += gap->torn ? gap->bytes : 0;
        bool needed = gap->segment >= scan->segment_first;
        gap->counts = !gap->torn && needed && gap->last > scan->healed;
        scan->damaged = scan->damaged || gap->counts;
    }
}

/* ---- Batches ------------------------------------------------------------------------------- */

static int show_record(struct tn__wal_scan *scan, const struct tn__wal_batch_head *head,
                       const struct tn__wal_record *record, struct tn__wal_place place,
                       const uint8_t *bytes)
{
    scan->records_count++;
    return scan->visitor.record == NULL
               ? TN_OK
               : scan->visitor.record(scan->visitor.context, head, record, place, bytes);
}

/* Is every byte of the batch as it was written? */
static bool batch_is_whole(const struct tn__wal_scan *scan, const struct tn__wal_batch_head *head,
                           const uint8_t *bytes)
{
    uint64_t at = TN_WAL_BATCH_BYTES;
    uint32_t sum = 0;
    for (uint32_t i = 0; i < head->records_count; i++) {
        struct tn__wal_place place = {head->place.segment, head->place.offset + at};
        struct tn__wal_record record;
        uint32_t crc;
        if (!tn__wal_record_check(bytes + at, head->used - at, scan->seed, place, &record, &crc)) {
            return false;
        }
        uint8_t word[4];
        tn__put_u32(word, crc);
        sum = tn__crc32c(sum, word, sizeof(word));
        at += record.bytes;
    }
    return at == head->used && sum == head->records_crc &&
           tn__wal_zeros(bytes + at, head->bytes - at);
}

/* Those that nothing vouches for yet. */
static int tail_add(struct tn__wal_scan *scan, const struct tn__wal_batch_head *head)
{
    uint64_t kept = 0;
    for (uint64_t i = 0; i < scan->tail_count; i++) {
        if (scan->tail[i].sequence > scan->mark) {
            scan->tail[kept++] = scan->tail[i];
        }
    }
    scan->tail_count = kept;
    if (head->sequence <= scan->mark) {
        return TN_OK;
    }
    void *block = scan->tail;
    if (!tn__wal_memory_grow(&scan->window.memory, &block, &scan->tail_capacity, kept + 1,
                             sizeof(scan->tail[0]), false)) {
        return TN_ERROR_NO_MEMORY;
    }
    scan->tail = block;
    scan->tail[scan->tail_count++] = *head;
    return TN_OK;
}

static int batch_take(struct tn__wal_scan *scan, const struct tn__wal_batch_head *head,
                      const uint8_t *bytes)
{
    if (scan->next > 0 && head->sequence > scan->next) {
        int error = gap_of_segment(scan, head->place.segment, "batches before this are missing");
        if (error != TN_OK) {
            return error;
        }
        scan->gaps[scan->gaps_count - 1].offset = head->place.offset;
    }
    gaps_end(scan, head->sequence);
    scan->batches_count++;
    scan->sequence = head->sequence;
    scan->next = head->sequence + 1;
    scan->mark = head->mark > scan->mark ? head->mark : scan->mark;
    scan->vouched = scan->mark > scan->vouched ? scan->mark : scan->vouched;
    scan->healed = head->healed > scan->healed ? head->healed : scan->healed;
    if (head->segment_first > scan->segment_first) {
        scan->segment_first = head->segment_first;
    }
    int error = tail_add(scan, head);
    if (error == TN_OK && scan->visitor.batch != NULL) {
        error = scan->visitor.batch(scan->visitor.context, head);
    }
    for (uint64_t at = TN_WAL_BATCH_BYTES; at < head->used && error == TN_OK;) {
        struct tn__wal_place place = {head->place.segment, head->place.offset + at};
        struct tn__wal_record record;
        tn__wal_record_read(bytes + at, &record);
        error = show_record(scan, head, &record, place, bytes + at);
        at += record.bytes;
    }
    return error;
}

int tn__wal_scan_salvage(struct tn__wal_scan *scan, const struct tn__wal_batch_head *head)
{
    const uint8_t *bytes;
    int error = tn__wal_window_get(&scan->window, head->place.offset, head->used, &bytes);
    for (uint64_t at = TN_WAL_BATCH_BYTES;
         error == TN_OK && head->used - at >= TN_WAL_RECORD_BYTES;) {
        struct tn__wal_place place = {head->place.segment, head->place.offset + at};
        struct tn__wal_record record;
        uint32_t crc;
        uint64_t left = head->used - at;
        if (tn__wal_record_check(bytes + at, left, scan->seed, place, &record, &crc)) {
            error = show_record(scan, NULL, &record, place, bytes + at);
        } else if (record.bytes < TN_WAL_RECORD_BYTES || record.bytes > left) {
            break; /* where the next one begins is not known */
        }
        at += record.bytes;
    }
    return error;
}

/* ---- The pass ------------------------------------------------------------------------------ */

/* One batch, or a bad spot; `*at` moves on. */
static int segment_step(struct tn__wal_scan *scan, uint64_t index, uint64_t *at)
{
    struct tn__wal_scan_segment *segment = &scan->segments[index];
    const uint8_t *bytes;
    struct tn__wal_batch_head head;
    int error = tn__wal_window_get(&scan->window, *at, TN_WAL_BATCH_BYTES, &bytes);
    if (error != TN_OK) {
        return error;
    }
    struct tn__wal_place place = {segment->number, *at};
    bool known = tn__wal_batch_head_decode(bytes, scan->seed, place, segment->block_bytes, &head) &&
                 head.sequence >= scan->next && head.bytes <= segment->bytes - *at;
    if (known && segment->limit > 0 && head.sequence >= segment->limit) {
        *at = segment->bytes; /* W3: rewritten into the next segment */
        return TN_OK;
    }
    if (known) {
        error = tn__wal_window_get(&scan->window, *at, head.bytes, &bytes);
        if (error == TN_OK && batch_is_whole(scan, &head, bytes)) {
            *at += head.bytes;
            segment->end = *at;
            return batch_take(scan, &head, bytes);
        }
    }
    return error != TN_OK ? error : tn__wal_scan_spot(scan, index, at, known ? &head : NULL);
}

static int segment_walk(struct tn__wal_scan *scan, uint64_t index)
{
    struct tn__wal_scan_segment *segment = &scan->segments[index];
    uint64_t before = index > 0 ? scan->segments[index - 1].number : segment->number - 1;
    bool goes_on = scan->next > 0 && segment->begins == scan->next;
    int error = TN_OK;
    if (segment->number != before + 1 && !goes_on) {
        error = gap_of_segment(scan, before + 1, "the file is missing");
        scan->next = 0;
    }
    if (error == TN_OK && !segment->head_whole) {
        error = gap_of_segment(scan, segment->number, "its header is damaged");
    }
    if (error == TN_OK) {
        error = segment_open(scan, segment);
    }
    scan->window.ahead_bytes = AHEAD_BYTES;
    scan->vouched = segment->batch_last > scan->vouched ? segment->batch_last : scan->vouched;
    uint64_t at = segment->block_bytes;
    segment->end = at < segment->bytes ? at : segment->bytes;
    if (error == TN_OK && segment->bytes > scan->window.file_bytes) {
        segment->bytes = scan->window.file_bytes;
    }
    while (error == TN_OK && at < segment->bytes && segment->bytes - at >= TN_WAL_BATCH_BYTES) {
        error = segment_step(scan, index, &at);
    }
    return error;
}

/* What the row of segments as a whole lacks. */
static int row_judge(struct tn__wal_scan *scan)
{
    uint64_t first = scan->segments_count > 0 ? scan->segments[0].number : 0;
    uint64_t last = scan->segments_count > 0 ? scan->segments[scan->segments_count - 1].number : 0;
    int error = TN_OK;
    if (scan->segment_first == 0) {
        scan->segment_first = scan->segment_known > 0 ? scan->segment_known : first;
        scan->segment_first =
            first > 0 && first < scan->segment_first ? first : scan->segment_first;
    }
    /* Where the first segment begins no other one tells: something must stand there. */
    if (last > 0 && scan->segments[0].end <= scan->segments[0].block_bytes) {
        error = gap_of_segment(scan, first, "it holds no batch at all");
    }
    /* Old segments are cut to what is in them, the last one never is. */
    if (error == TN_OK && last > 0 &&
        scan->segments[scan->segments_count - 1].bytes <
            scan->segments[scan->segments_count - 1].made_bytes) {
        error = gap_of_segment(scan, last, "the file is shorter than it was made");
    }
    if (error == TN_OK && last < scan->segment_known) {
        error =
            gap_of_segment(scan, last + 1 > scan->segment_first ? last + 1 : scan->segment_first,
                           "the file is missing");
    }
    if (error == TN_OK && first > scan->segment_first) {
        error = gap_of_segment(scan, scan->segment_first, "the file is missing");
        uint64_t begins = scan->segments[0].begins;
        scan->gaps[scan->gaps_count - 1].last = begins > 1 ? begins - 1 : begins;
    }
    return error;
}

int tn__wal_scan_run(struct tn__wal_scan *scan)
{
    struct tn__wal_window *window = &scan->window;
    tn_assert(window->file == TN_FILE_NONE);
    scan->seed = tn__wal_seed(scan->cluster_id, scan->disk_id);
    int error =
        window->files.operations->list(window->files.context, scan->directory, visit_name, scan);
    error = error == TN_OK ? scan->list_error : error;
    for (uint64_t i = 0; i < scan->segments_count && error == TN_OK; i++) {
        error = segment_look(scan, &scan->segments[i]);
    }
    for (uint64_t i = scan->segments_count; i > 1; i--) {
        const struct tn__wal_scan_segment *later = &scan->segments[i - 1];
        struct tn__wal_scan_segment *segment = &scan->segments[i - 2];
        bool lower =
            later->batch_first > 0 && (later->limit == 0 || later->batch_first < later->limit);
        segment->later = later->later > later->vouched ? later->later : later->vouched;
        segment->limit = lower ? later->batch_first : later->limit;
    }
    for (uint64_t i = 0; i < scan->segments_count && error == TN_OK; i++) {
        error = segment_walk(scan, i);
    }
    if (error == TN_OK) {
        error = row_judge(scan);
    }
    if (error == TN_OK) {
        gaps_judge(scan);
    }
    tn__wal_window_close(window);
    return error;
}

void tn__wal_scan_free(struct tn__wal_scan *scan)
{
    const struct tn__wal_memory *memory = &scan->window.memory;
    tn__wal_memory_free(memory, scan->segments, false);
    tn__wal_memory_free(memory, scan->gaps, false);
    tn__wal_memory_free(memory, scan->tail, false);
    tn__wal_window_free(&scan->window);
    scan->segments = NULL;
    scan->gaps = NULL;
    scan->tail = NULL;
}

void tn__wal_scan_describe(const struct tn__wal_scan *scan, struct tn__text *why)
{
    for (uint64_t i = 0; i < scan->gaps_count; i++) {
        const struct tn__wal_gap *gap = &scan->gaps[i];
        if (gap->counts) {
            char name[TN_WAL_NAME_BYTES];
            tn__wal_name(name, gap->segment, false);
            tn__text_add(
                why,
                "log segment %s, offset %llu: %s; promises and slots may be lost. The node "
                "does not vote until it has fetched them from its peers; look at the disk "
                "(tenure log verify shows all of it)",
                name, (unsigned long long)gap->offset, gap->what);
            return;
        }
    }
}
