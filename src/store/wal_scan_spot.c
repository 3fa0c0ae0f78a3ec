/* A bad spot in a segment: torn or damaged? The theory stands in wal_scan.h. */
#include "store/wal_scan.h"

#include <tenure/error.h>

#include "base/assert.h"

/* What lies behind the spot. */
struct behind {
    bool found; /* a batch header, of a later batch: */
    struct tn__wal_batch_head head;
    uint64_t used_end; /* behind the last block that is not zero */
};

static int look_behind(struct tn__wal_scan *scan, const struct tn__wal_scan_segment *segment,
                       uint64_t at, struct behind *behind)
{
    struct tn__wal_window *window = &scan->window;
    *behind = (struct behind){.used_end = at};
    for (uint64_t offset = at; offset < segment->bytes; offset += segment->block_bytes) {
        uint64_t length = segment->bytes - offset;
        length = length < segment->block_bytes ? length : segment->block_bytes;
        const uint8_t *bytes;
        int error = tn__wal_window_get(window, offset, length, &bytes);
        if (error != TN_OK) {
            return error;
        }
        if (tn__wal_zeros(bytes, length)) {
            continue;
        }
        behind->used_end = offset + length;
        struct tn__wal_batch_head *head = &behind->head;
        struct tn__wal_place place = {segment->number, offset};
        if (offset > at && length >= TN_WAL_BATCH_BYTES &&
            tn__wal_batch_head_decode(bytes, scan->seed, place, segment->block_bytes, head) &&
            head->sequence > scan->next &&
            (segment->limit == 0 || head->sequence < segment->limit)) {
            behind->found = true;
            return TN_OK;
        }
    }
    return TN_OK;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Does anything say that what should be here was synced? */
static bool is_vouched(const struct tn__wal_scan *scan, const struct tn__wal_scan_segment *segment,
                       uint64_t at, const struct tn__wal_batch_head *head,
                       const struct behind *behind)
{
    uint64_t expected = scan->next > 0 ? scan->next : 1;
    if (behind->found) {
        return larger(behind->head.mark, scan->vouched) >= expected;
    }
    bool written_on = head != NULL && behind->used_end > at + head->bytes;
    bool unreadable = scan->window.unreadable_end > at;
    return larger(scan->vouched, segment->later) >= expected || written_on || unreadable;
}

int tn__wal_scan_spot(struct tn__wal_scan *scan, uint64_t index, uint64_t *at,
                      const struct tn__wal_batch_head *head)
{
    tn_assert(index < scan->segments_count);
    const struct tn__wal_scan_segment *segment = &scan->segments[index];
    bool last = index + 1 == scan->segments_count;
    uint64_t begins = last ? 0 : scan->segments[index + 1].begins;
    uint64_t spot = *at;
    if (scan->next > 0 && (begins == scan->next || segment->limit == scan->next)) {
        *at = segment->bytes; /* a later segment goes on where this one ends */
        return TN_OK;
    }
    struct behind behind;
    int error = look_behind(scan, segment, spot, &behind);
    if (error != TN_OK) {
        return error;
    }
    struct tn__wal_gap gap = {
        .segment = segment->number,
        .offset = spot,
        .sequence = scan->next > 0 ? scan->next : 1,
        .torn = !is_vouched(scan, segment, spot, head, &behind),
        .bytes = behind.used_end - spot,
        .what = "a batch that had been synced is damaged",
    };
    error = tn__wal_scan_gap(scan, &gap);
    if (error == TN_OK && !gap.torn && head != NULL) {
        error = tn__wal_scan_salvage(scan, head);
    }
    bool go_on = !gap.torn && behind.found;
    if (!gap.torn) {
        scan->next = go_on ? behind.head.sequence : 0;
    }
    *at = go_on ? behind.head.place.offset : segment->bytes;
    return error;
}
