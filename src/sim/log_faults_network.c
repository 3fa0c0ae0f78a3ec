/* What becomes of each frame between nodes of logs. */
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "sim/log_faults_internal.h"
#include "wire/frame.h"

#define LENGTH_OFFSET 8U /* of the length field in a frame */
#define BURST_LOSS_PPM 900000U
#define SLOW_LINK_BYTES 200000U /* a second */
#define BURST_FRAMES 10U

static tn_time now_of(const struct tn__log_faults *faults)
{
    return tn__log_world_now(faults->world);
}

/* ---- When it arrives ------------------------------------------------------------------------- */

static tn_time delay_of(struct tn__log_faults *faults)
{
    tn_time delay = faults->options.delay_ns;
    if (tn__log_faults_draw(faults, TN_LOG_FAULT_PARKED, faults->options.trouble_ppm / 4)) {
        tn__log_faults_count(faults, TN_LOG_FAULT_PARKED);
        return 1 + tn__log_faults_below(faults, 60 * TN_SECOND);
    }
    if (tn__log_faults_draw(faults, TN_LOG_FAULT_TAIL, faults->options.trouble_ppm)) {
        tn__log_faults_count(faults, TN_LOG_FAULT_TAIL);
        return delay * (10 + tn__log_faults_below(faults, 200));
    }
    return delay / 2 + tn__log_faults_below(faults, delay) + 1;
}

/* Frames of a link keep their order, as those of one connection do. */
static tn_time arrival(struct tn__log_faults *faults, const struct tn__log_frame *frame)
{
    tn_time now = now_of(faults);
    tn_time at = now + delay_of(faults);
    tn_time *last = &faults->link_last[frame->from][frame->to];
    if (faults->network == TN_LOG_FAULT_LIFO && now < faults->network_end) {
        tn__log_faults_count(faults, TN_LOG_FAULT_LIFO);
        return faults->network_end + (faults->network_end - now);
    }
    if (faults->network == TN_LOG_FAULT_SLOW_LINK) {
        tn_time *is_free = &faults->link_free[frame->from][frame->to];
        tn_time begins = *is_free > now ? *is_free : now;
        *is_free = begins + frame->bytes_count * TN_SECOND / SLOW_LINK_BYTES;
        tn__log_faults_count(faults, TN_LOG_FAULT_SLOW_LINK);
        at = *is_free + (at - now);
    }
    if (at - now > 8 * faults->options.delay_ns) {
        return at; /* held up alone: the connection was lost, and made anew behind it */
    }
    if (tn__log_faults_draw(faults, TN_LOG_FAULT_REORDER, 300000)) {
        tn__log_faults_count(faults, TN_LOG_FAULT_REORDER);
        return at;
    }
    at = at <= *last ? *last + 1 : at;
    *last = at;
    return at;
}

/* ---- Whether it is lost ---------------------------------------------------------------------- */

static bool is_lost(struct tn__log_faults *faults, const struct tn__log_frame *frame)
{
    if ((faults->cut[frame->from] >> frame->to & 1U) != 0) {
        tn__log_faults_count(faults, faults->network);
        return true;
    }
    if (faults->network == TN_LOG_FAULT_TARGETED && frame->kind == faults->targeted) {
        tn__log_faults_count(faults, TN_LOG_FAULT_TARGETED);
        return true;
    }
    if (faults->network == TN_LOG_FAULT_LOSS_BURST &&
        tn__log_faults_below(faults, 1000000) < BURST_LOSS_PPM) {
        tn__log_faults_count(faults, TN_LOG_FAULT_LOSS_BURST);
        return true;
    }
    if (tn__log_faults_draw(faults, TN_LOG_FAULT_LOSS, faults->options.loss_ppm)) {
        tn__log_faults_count(faults, TN_LOG_FAULT_LOSS);
        return true;
    }
    if (tn__log_faults_has(faults, TN_LOG_FAULT_QUEUE_FULL) &&
        faults->link_frames[frame->from][frame->to] > faults->options.queue_frames) {
        tn__log_faults_count(faults, TN_LOG_FAULT_QUEUE_FULL);
        return true;
    }
    return false;
}

/* ---- Copies of it ---------------------------------------------------------------------------- */

static void plan_copy(struct tn__log_faults *faults, uint32_t copy, tn_time at)
{
    const struct tn__log_frame *frame = tn__log_world_frame(faults->world, copy);
    faults->link_frames[frame->from][frame->to]++;
    tn__log_world_plan_frame(faults->world, copy, at);
}

static void duplicate(struct tn__log_faults *faults, uint32_t slot, enum tn__log_fault fault,
                      tn_time at)
{
    uint32_t copy = tn__log_world_copy_frame(faults->world, slot);
    if (copy != TN_LOG_WORLD_NONE) {
        tn__log_faults_count(faults, fault);
        plan_copy(faults, copy, at);
    }
}

/* To the wrong node, or over another peer's connection: whole, and to be refused. */
static void misdirect(struct tn__log_faults *faults, uint32_t slot)
{
    uint32_t copy =
        faults->nodes_count < 3 ? TN_LOG_WORLD_NONE : tn__log_world_copy_frame(faults->world, slot);
    if (copy == TN_LOG_WORLD_NONE) {
        return;
    }
    struct tn__log_frame *frame = tn__log_world_frame(faults->world, copy);
    uint32_t other = (uint32_t)tn__log_faults_below(faults, faults->nodes_count);
    while (other == frame->from || other == frame->to) {
        other = (other + 1) % faults->nodes_count;
    }
    if (tn__log_faults_below(faults, 2) == 0) {
        frame->to = other;
    } else {
        frame->from = other;
    }
    frame->foreign = 1;
    tn__log_faults_count(faults, TN_LOG_FAULT_WRONG_CONNECTION);
    plan_copy(faults, copy, now_of(faults) + delay_of(faults));
}

static void send_of_another_cluster(struct tn__log_faults *faults, uint32_t slot)
{
    uint32_t copy = tn__log_world_copy_frame(faults->world, slot);
    if (copy == TN_LOG_WORLD_NONE) {
        return;
    }
    struct tn__log_frame *frame = tn__log_world_frame(faults->world, copy);
    struct tn__frame_expected anything = {0};
    struct tn__frame_header header;
    if (tn__frame_open(frame->bytes, frame->bytes_count, &anything, &header) ==
        TN_FRAME_FAULT_NONE) {
        header.cluster_tag ^= 1ULL << tn__log_faults_below(faults, 64);
        tn__frame_seal(frame->bytes, &header);
    }
    frame->foreign = 1;
    tn__log_faults_count(faults, TN_LOG_FAULT_STALE_CLUSTER);
    plan_copy(faults, copy, now_of(faults) + delay_of(faults));
}

/* ---- Damage ---------------------------------------------------------------------------------- */

static void damage(struct tn__log_faults *faults, struct tn__log_frame *frame)
{
    uint32_t ppm = faults->options.trouble_ppm;
    uint32_t bytes = frame->bytes_count;
    if (tn__log_faults_draw(faults, TN_LOG_FAULT_CORRUPT_BIT, ppm)) {
        uint64_t bit = tn__log_faults_below(faults, 8ULL * bytes);
        frame->bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
        frame->damaged = 1;
        tn__log_faults_count(faults, TN_LOG_FAULT_CORRUPT_BIT);
    } else if (tn__log_faults_draw(faults, TN_LOG_FAULT_CORRUPT_RUN, ppm)) {
        uint32_t at = (uint32_t)tn__log_faults_below(faults, bytes);
        uint32_t run = 1 + (uint32_t)tn__log_faults_below(faults, bytes - at);
        uint8_t with = (uint8_t)(1 + tn__log_faults_below(faults, 255));
        for (uint32_t i = 0; i < run; i++) {
            frame->bytes[at + i] ^= with;
        }
        frame->damaged = 1;
        tn__log_faults_count(faults, TN_LOG_FAULT_CORRUPT_RUN);
    } else if (tn__log_faults_draw(faults, TN_LOG_FAULT_CORRUPT_LENGTH, ppm)) {
        uint32_t length = (uint32_t)tn__random_next(&faults->random);
        tn__put_u32(frame->bytes + LENGTH_OFFSET, length);
        frame->damaged = length != bytes;
        tn__log_faults_count(faults, TN_LOG_FAULT_CORRUPT_LENGTH);
    } else if (tn__log_faults_draw(faults, TN_LOG_FAULT_CORRUPT_CUT, ppm)) {
        frame->bytes_count = 1 + (uint32_t)tn__log_faults_below(faults, bytes - 1);
        frame->damaged = 1;
        tn__log_faults_count(faults, TN_LOG_FAULT_CORRUPT_CUT);
    }
}

/* ---- The hook -------------------------------------------------------------------------------- */

void tn__log_faults_frame_sent(void *context, uint32_t slot)
{
    struct tn__log_faults *faults = context;
    struct tn__log_frame *frame = tn__log_world_frame(faults->world, slot);
    faults->link_frames[frame->from][frame->to]++;
    if (faults->is_calm) {
        tn__log_world_plan_frame(faults->world, slot, arrival(faults, frame));
        return;
    }
    if (is_lost(faults, frame)) {
        tn__log_world_drop_frame(faults->world, slot);
        return;
    }
    uint32_t ppm = faults->options.trouble_ppm;
    tn_time at = arrival(faults, frame);
    if (tn__log_faults_draw(faults, TN_LOG_FAULT_DUPLICATE, ppm)) {
        duplicate(faults, slot, TN_LOG_FAULT_DUPLICATE,
                  at + tn__log_faults_below(faults, faults->options.delay_ns));
    }
    if (tn__log_faults_draw(faults, TN_LOG_FAULT_DUPLICATE_LATE, ppm)) {
        duplicate(faults, slot, TN_LOG_FAULT_DUPLICATE_LATE,
                  at + tn__log_faults_below(faults, 10 * TN_SECOND));
    }
    if (tn__log_faults_draw(faults, TN_LOG_FAULT_WRONG_CONNECTION, ppm)) {
        misdirect(faults, slot);
    }
    if (tn__log_faults_draw(faults, TN_LOG_FAULT_STALE_CLUSTER, ppm)) {
        send_of_another_cluster(faults, slot);
    }
    damage(faults, tn__log_world_frame(faults->world, slot));
    tn__log_world_plan_frame(faults->world, slot, at);
}

/* A frame has left the network: one less in its link's queue; note what it was. */
void tn__log_faults_frame_gone(void *context, const struct tn__log_sight *sight)
{
    struct tn__log_faults *faults = context;
    const struct tn__log_frame *frame = sight->frame;
    uint32_t *queued = &faults->link_frames[frame->from][frame->to];
    *queued -= *queued > 0;
    if (sight->kind != TN_LOG_SIGHT_DELIVERED) {
        return;
    }
    uint64_t to_word = tn__log_world_restart_word(faults->world, frame->to);
    uint64_t from_word = tn__log_world_restart_word(faults->world, frame->from);
    if (frame->to_word != 0 && frame->to_word != to_word) {
        tn__log_faults_count(faults, TN_LOG_FAULT_AFTER_RESTART);
    }
    if (from_word != 0 && frame->from_word != from_word) {
        tn__log_faults_count(faults, TN_LOG_FAULT_STALE_INCARNATION);
    }
}

/* ---- Episodes -------------------------------------------------------------------------------- */

static void cut_sides(struct tn__log_faults *faults, tn_member_set *cut)
{
    tn_member_set all = (1U << faults->nodes_count) - 1;
    tn_member_set side = 1 + (tn_member_set)tn__log_faults_below(faults, all);
    for (uint32_t i = 0; i < faults->nodes_count; i++) {
        cut[i] = (side >> i & 1U) != 0 ? all & ~side : side;
    }
}

static void cut_one_way(struct tn__log_faults *faults)
{
    tn_member_set all = (1U << faults->nodes_count) - 1;
    uint32_t node = (uint32_t)tn__log_faults_below(faults, faults->nodes_count);
    bool deaf = tn__log_faults_below(faults, 2) == 0;
    for (uint32_t i = 0; i < faults->nodes_count; i++) {
        faults->cut[i] = deaf ? 1U << node : 0;
    }
    faults->cut[node] = deaf ? 0 : all;
}

void tn__log_faults_network_begin(struct tn__log_faults *faults, enum tn__log_fault fault)
{
    if (faults->network != TN_LOG_FAULTS_COUNT) {
        return; /* one at a time */
    }
    faults->network = fault;
    tn_time lasts = tn__log_faults_span(faults, faults->options.tenure_ns);
    switch (fault) {
    case TN_LOG_FAULT_PARTITION:
        cut_sides(faults, faults->cut);
        break;
    case TN_LOG_FAULT_ONE_WAY:
        cut_one_way(faults);
        break;
    case TN_LOG_FAULT_GRAPH:
        for (uint32_t i = 0; i < faults->nodes_count; i++) {
            faults->cut[i] =
                (tn_member_set)tn__log_faults_below(faults, 1ULL << faults->nodes_count);
        }
        break;
    case TN_LOG_FAULT_FLAP:
        cut_sides(faults, faults->flap);
        faults->flap_ns = (tn__log_faults_below(faults, 2) == 0
                               ? tn__log_world_options(faults->world)->log.heartbeat_ns
                               : tn__log_world_options(faults->world)->log.election_ns) /
                              2 +
                          1;
        faults->flaps = 2 * (4 + (uint32_t)tn__log_faults_below(faults, 8));
        tn__log_faults_wake(faults, 0, TN__LOG_FAULTS_FLAP, 0);
        return;
    case TN_LOG_FAULT_LIFO:
        lasts = faults->options.delay_ns * (1 + tn__log_faults_below(faults, 8));
        break;
    case TN_LOG_FAULT_TARGETED:
        faults->targeted = 1 + (uint32_t)tn__log_faults_below(faults, TN_LOG_MESSAGE_KINDS_END - 1);
        break;
    default:
        break;
    }
    faults->network_end = now_of(faults) + lasts;
    tn__log_faults_wake(faults, lasts, TN__LOG_FAULTS_NETWORK_END, 0);
}

void tn__log_faults_network_flap(struct tn__log_faults *faults)
{
    if (faults->network != TN_LOG_FAULT_FLAP) {
        return;
    }
    if (faults->flaps == 0) {
        tn__log_faults_network_end(faults);
        return;
    }
    faults->flaps--;
    for (uint32_t i = 0; i < faults->nodes_count; i++) {
        faults->cut[i] = faults->flaps % 2 != 0 ? faults->flap[i] : 0;
    }
    tn__log_faults_wake(faults, faults->flap_ns, TN__LOG_FAULTS_FLAP, 0);
}

void tn__log_faults_network_end(struct tn__log_faults *faults)
{
    memset(faults->cut, 0, sizeof(faults->cut));
    faults->network = TN_LOG_FAULTS_COUNT;
    faults->network_end = 0;
    /* Connections that a cut has ended are made anew. */
    for (uint32_t i = 0; i < faults->nodes_count; i++) {
        for (uint32_t j = 0; j < faults->nodes_count; j++) {
            if (i != j && tn__log_faults_below(faults, 2) == 0) {
                tn__log_faults_wake(faults, tn__log_faults_below(faults, TN_MILLISECOND),
                                    TN__LOG_FAULTS_CONNECT, i * 16 + j);
            }
        }
    }
}
