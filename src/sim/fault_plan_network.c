/* Faults of the network: what becomes of each frame, and the episodes that cut, slow and turn. */
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "sim/fault_plan_internal.h"

#define LENGTH_OFFSET 8U /* of a frame's length field (wire/frame.h) */
#define BURST_LOSS_PPM 900000U
#define SLOW_BYTES_PER_DELAY 64U /* SLOW_LINK: so many bytes pass in a usual delay */

/* ---- How long it takes ---------------------------------------------------------------------- */

static tn_time usual_delay(struct tn__fault_plan *plan)
{
    return plan->options.delay_ns + tn__plan_below(plan, plan->options.delay_ns / 4 + 1);
}

static tn_time slow_link_arrival(struct tn__fault_plan *plan, const struct tn__world_frame *frame,
                                 tn_time at)
{
    tn_time *free_at = &plan->link_free[frame->from % TN_MEMBERS_MAX][frame->to % TN_MEMBERS_MAX];
    tn_time takes = plan->options.delay_ns * frame->bytes_count / SLOW_BYTES_PER_DELAY;
    *free_at = (*free_at > at ? *free_at : at) + takes;
    return *free_at;
}

static tn_time arrival(struct tn__fault_plan *plan, const struct tn__world_frame *frame)
{
    tn_time now = tn__world_now(plan->world);
    tn_time delay = usual_delay(plan);
    uint32_t ppm = plan->options.trouble_ppm;
    if (plan->calm) {
        return now + delay;
    }
    if (tn__plan_draw(plan, TN_FAULT_REORDER, 300000)) {
        tn__plan_hit(plan, TN_FAULT_REORDER);
        delay += tn__plan_below(plan, 8 * plan->options.delay_ns);
    }
    if (tn__plan_draw(plan, TN_FAULT_TAIL, ppm)) {
        tn__plan_hit(plan, TN_FAULT_TAIL);
        delay <<= 2 + tn__plan_below(plan, 8);
        tn_time longest = 2 * plan->table->acceptor_ns;
        delay = delay < longest ? delay : longest;
    }
    if (tn__plan_draw(plan, TN_FAULT_PARKED, ppm)) {
        tn__plan_hit(plan, TN_FAULT_PARKED);
        delay += plan->table->proposer_ns / 2 +
                 tn__plan_below(plan, 4 * (plan->table->acceptor_ns + plan->table->quarantine_ns));
    }
    if (plan->slow != 0 && ((plan->slow >> frame->to | plan->slow >> frame->from) & 1U) != 0) {
        delay += tn__plan_below(plan, 100 * plan->options.delay_ns);
    }
    if (plan->network == TN_FAULT_LIFO && now < plan->network_end) {
        tn__plan_hit(plan, TN_FAULT_LIFO);
        return plan->network_end + (plan->network_end - now);
    }
    if (plan->network == TN_FAULT_SLOW_LINK) {
        tn__plan_hit(plan, TN_FAULT_SLOW_LINK);
        return slow_link_arrival(plan, frame, now + delay);
    }
    if (frame->from == plan->stalling && now < plan->stall_until) {
        return plan->stall_until + delay;
    }
    return now + delay;
}

/* ---- Whether it is lost --------------------------------------------------------------------- */

static bool is_lost(struct tn__fault_plan *plan, const struct tn__world_frame *frame)
{
    uint32_t from = tn__world_member(plan->world, frame->from);
    uint32_t to = tn__world_member(plan->world, frame->to);
    if ((plan->cut[from] >> to & 1U) != 0) {
        tn__plan_hit(plan, plan->network);
        return true;
    }
    if (plan->network == TN_FAULT_TARGETED && frame->kind == plan->targeted) {
        tn__plan_hit(plan, TN_FAULT_TARGETED);
        return true;
    }
    if (plan->network == TN_FAULT_LOSS_BURST && tn__plan_below(plan, 1000000) < BURST_LOSS_PPM) {
        tn__plan_hit(plan, TN_FAULT_LOSS_BURST);
        return true;
    }
    if (tn__plan_draw(plan, TN_FAULT_LOSS, plan->options.loss_ppm)) {
        tn__plan_hit(plan, TN_FAULT_LOSS);
        return true;
    }
    if (tn__plan_has(plan, TN_FAULT_QUEUE_FULL) &&
        plan->link_frames[from][to] > plan->options.queue_frames) {
        tn__plan_hit(plan, TN_FAULT_QUEUE_FULL);
        return true;
    }
    return false;
}

/* ---- Copies of it --------------------------------------------------------------------------- */

static void send_copy(struct tn__fault_plan *plan, uint32_t slot, tn_time at)
{
    uint32_t copy = tn__world_copy_frame(plan->world, slot);
    if (copy != TN_WORLD_NONE) {
        struct tn__world_frame *frame = tn__world_frame(plan->world, copy);
        plan->link_frames[frame->from % TN_MEMBERS_MAX][frame->to % TN_MEMBERS_MAX]++;
        tn__world_plan_frame(plan->world, copy, at);
    }
}

/* To the wrong node, or over another peer's connection: whole, and to be refused. */
static void misdirect(struct tn__fault_plan *plan, uint32_t slot)
{
    uint32_t copy = plan->nodes_count < 3 ? TN_WORLD_NONE : tn__world_copy_frame(plan->world, slot);
    if (copy == TN_WORLD_NONE) {
        return;
    }
    struct tn__world_frame *frame = tn__world_frame(plan->world, copy);
    uint32_t other = (uint32_t)tn__plan_below(plan, plan->nodes_count);
    while (other == tn__world_member(plan->world, frame->from) || other == frame->to) {
        other = (other + 1) % plan->nodes_count;
    }
    if (tn__plan_below(plan, 2) == 0) {
        frame->to = other;
    } else {
        frame->from = other;
    }
    frame->foreign = 1;
    tn__plan_hit(plan, TN_FAULT_WRONG_CONNECTION);
    plan->link_frames[frame->from % TN_MEMBERS_MAX][frame->to % TN_MEMBERS_MAX]++;
    tn__world_plan_frame(plan->world, copy, arrival(plan, frame));
}

/* The same frame as a member of another cluster would send it: a valid checksum, and not ours. */
static void send_of_another_cluster(struct tn__fault_plan *plan, uint32_t slot)
{
    uint32_t copy = tn__world_copy_frame(plan->world, slot);
    if (copy == TN_WORLD_NONE) {
        return;
    }
    struct tn__world_frame *frame = tn__world_frame(plan->world, copy);
    struct tn__frame_expected anything = {0};
    struct tn__frame_header header;
    if (tn__frame_open(frame->bytes, frame->bytes_count, &anything, &header) ==
        TN_FRAME_FAULT_NONE) {
        header.cluster_tag ^= 1ULL << tn__plan_below(plan, 64);
        tn__frame_seal(frame->bytes, &header);
    }
    frame->foreign = 1;
    tn__plan_hit(plan, TN_FAULT_STALE_CLUSTER);
    plan->link_frames[frame->from % TN_MEMBERS_MAX][frame->to % TN_MEMBERS_MAX]++;
    tn__world_plan_frame(plan->world, copy, arrival(plan, frame));
}

/* A whole frame with the beginning of another behind it: the whole one may be taken. */
static void concatenate(struct tn__fault_plan *plan, struct tn__world_frame *frame)
{
    uint32_t room = TN_WORLD_FRAME_BYTES_MAX - frame->bytes_count;
    uint32_t more = (uint32_t)tn__plan_below(plan, frame->bytes_count);
    more = more < room ? more : room;
    memcpy(frame->bytes + frame->bytes_count, frame->bytes, more);
    frame->bytes_count += more;
    tn__plan_hit(plan, TN_FAULT_CONCATENATED);
}

/* The draws of single frames, one of which may harm this one. */
static enum tn__fault drawn_damage(struct tn__fault_plan *plan)
{
    static const enum tn__fault kinds[] = {TN_FAULT_CORRUPT_BIT, TN_FAULT_CORRUPT_RUN,
                                           TN_FAULT_CORRUPT_LENGTH, TN_FAULT_CORRUPT_CUT,
                                           TN_FAULT_CONCATENATED};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (tn__plan_draw(plan, kinds[i], plan->options.trouble_ppm)) {
            return kinds[i];
        }
    }
    return TN_FAULTS_COUNT;
}

static void damage(struct tn__fault_plan *plan, struct tn__world_frame *frame)
{
    enum tn__fault fault = drawn_damage(plan);
    uint32_t bytes = frame->bytes_count;
    if (fault == TN_FAULTS_COUNT) {
        return;
    }
    if (fault == TN_FAULT_CONCATENATED) {
        concatenate(plan, frame);
        return;
    }
    uint8_t before[TN_WORLD_FRAME_BYTES_MAX];
    memcpy(before, frame->bytes, bytes);
    if (fault == TN_FAULT_CORRUPT_BIT) {
        uint64_t bit = tn__plan_below(plan, 8ULL * bytes);
        frame->bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
    } else if (fault == TN_FAULT_CORRUPT_RUN) {
        uint32_t at = (uint32_t)tn__plan_below(plan, bytes);
        uint32_t run = 1 + (uint32_t)tn__plan_below(plan, bytes - at);
        uint8_t with = (uint8_t)tn__random_next(&plan->random);
        memset(frame->bytes + at, with, run);
    } else if (fault == TN_FAULT_CORRUPT_LENGTH) {
        tn__put_u32(frame->bytes + LENGTH_OFFSET, (uint32_t)tn__random_next(&plan->random));
    } else {
        frame->bytes_count = 1 + (uint32_t)tn__plan_below(plan, bytes - 1);
    }
    tn__plan_hit(plan, fault);
    frame->damaged = frame->bytes_count != bytes || memcmp(before, frame->bytes, bytes) != 0;
}

/* ---- The hook ------------------------------------------------------------------------------- */

/* A frame to a member of which a copy runs reaches the original, the copy, or both. */
static void send_to_copy(struct tn__fault_plan *plan, uint32_t slot, tn_time at)
{
    uint32_t process = plan->nodes_count;
    const struct tn__world_frame *frame = tn__world_frame(plan->world, slot);
    if (!tn__world_is_up(plan->world, process) ||
        tn__world_member(plan->world, process) != frame->to || tn__plan_below(plan, 2) == 0) {
        return;
    }
    uint32_t copy = tn__world_copy_frame(plan->world, slot);
    if (copy != TN_WORLD_NONE) {
        struct tn__world_frame *made = tn__world_frame(plan->world, copy);
        made->to = process;
        plan->link_frames[made->from % TN_MEMBERS_MAX][made->to % TN_MEMBERS_MAX]++;
        tn__world_plan_frame(plan->world, copy, at);
    }
}

void tn__plan_frame_sent(void *context, uint32_t slot)
{
    struct tn__fault_plan *plan = context;
    struct tn__world_frame *frame = tn__world_frame(plan->world, slot);
    plan->link_frames[frame->from % TN_MEMBERS_MAX][frame->to % TN_MEMBERS_MAX]++;
    if (plan->calm) {
        tn__world_plan_frame(plan->world, slot, arrival(plan, frame));
        return;
    }
    if (is_lost(plan, frame)) {
        tn__world_drop_frame(plan->world, slot);
        return;
    }
    uint32_t ppm = plan->options.trouble_ppm;
    tn_time at = arrival(plan, frame);
    if (tn__plan_draw(plan, TN_FAULT_DUPLICATE, ppm)) {
        tn__plan_hit(plan, TN_FAULT_DUPLICATE);
        send_copy(plan, slot, at + tn__plan_below(plan, plan->options.delay_ns));
    }
    if (tn__plan_draw(plan, TN_FAULT_DUPLICATE_LATE, ppm)) {
        tn__plan_hit(plan, TN_FAULT_DUPLICATE_LATE);
        send_copy(plan, slot, at + tn__plan_below(plan, 4 * plan->table->quarantine_ns));
    }
    if (tn__plan_draw(plan, TN_FAULT_WRONG_CONNECTION, ppm)) {
        misdirect(plan, slot);
    }
    if (tn__plan_draw(plan, TN_FAULT_STALE_CLUSTER, ppm)) {
        send_of_another_cluster(plan, slot);
    }
    send_to_copy(plan, slot, at);
    damage(plan, frame);
    tn__world_plan_frame(plan->world, slot, at);
}

/* A frame has left the network: one less in its link's queue; note what it was. */
void tn__plan_frame_gone(struct tn__fault_plan *plan, const struct tn__sight *sight)
{
    const struct tn__world_frame *frame = sight->frame;
    uint32_t *queued = &plan->link_frames[frame->from % TN_MEMBERS_MAX][frame->to % TN_MEMBERS_MAX];
    *queued -= *queued > 0;
    if (sight->kind != TN_SIGHT_DELIVERED) {
        return;
    }
    uint64_t to_word = tn__world_restart_word(plan->world, frame->to);
    uint64_t from_word = tn__world_restart_word(plan->world, frame->from);
    if (frame->to_word != 0 && frame->to_word != to_word && frame->to < plan->nodes_count) {
        tn__plan_hit(plan, TN_FAULT_AFTER_RESTART);
    }
    if (from_word != 0 && frame->from_word != from_word && frame->from < plan->nodes_count) {
        tn__plan_hit(plan, TN_FAULT_STALE_INCARNATION);
    }
}

/* ---- Episodes ------------------------------------------------------------------------------- */

static void cut_sides(struct tn__fault_plan *plan, tn_member_set side, tn_member_set *cut)
{
    tn_member_set all = (1U << plan->nodes_count) - 1;
    for (uint32_t i = 0; i < plan->nodes_count; i++) {
        cut[i] = (side >> i & 1U) != 0 ? all & ~side : side;
    }
}

static tn_member_set some_side(struct tn__fault_plan *plan)
{
    tn_member_set all = (1U << plan->nodes_count) - 1;
    return 1 + (tn_member_set)tn__plan_below(plan, all);
}

static void cut_one_way(struct tn__fault_plan *plan)
{
    tn_member_set all = (1U << plan->nodes_count) - 1;
    uint32_t node = (uint32_t)tn__plan_below(plan, plan->nodes_count);
    bool deaf = tn__plan_below(plan, 2) == 0;
    for (uint32_t i = 0; i < plan->nodes_count; i++) {
        plan->cut[i] = deaf ? 1U << node : 0;
    }
    plan->cut[node] = deaf ? 0 : all;
}

static void cut_graph(struct tn__fault_plan *plan)
{
    tn_member_set all = (1U << plan->nodes_count) - 1;
    for (uint32_t i = 0; i < plan->nodes_count; i++) {
        plan->cut[i] = (tn_member_set)tn__plan_below(plan, (uint64_t)all + 1);
    }
}

void tn__plan_network_begin(struct tn__fault_plan *plan, enum tn__fault fault)
{
    if (plan->network != TN_FAULTS_COUNT) {
        return; /* one at a time */
    }
    plan->network = fault;
    plan->network_began = tn__world_now(plan->world);
    tn_time lasts = tn__plan_span(plan, plan->table->proposer_ns);
    switch (fault) {
    case TN_FAULT_PARTITION:
        cut_sides(plan, some_side(plan), plan->cut);
        break;
    case TN_FAULT_ONE_WAY:
        cut_one_way(plan);
        break;
    case TN_FAULT_GRAPH:
        cut_graph(plan);
        break;
    case TN_FAULT_FLAP_LEASE:
    case TN_FAULT_FLAP_RENEWAL:
        cut_sides(plan, some_side(plan), plan->flap);
        plan->flap_ns =
            fault == TN_FAULT_FLAP_LEASE ? plan->table->proposer_ns / 2 : plan->table->renew_ns / 2;
        plan->flaps = 2 * (4 + (uint32_t)tn__plan_below(plan, 8));
        tn__plan_wake(plan, 0, TN__PLAN_FLAP, 0);
        return;
    case TN_FAULT_LIFO:
        lasts = plan->options.delay_ns * (1 + tn__plan_below(plan, 8));
        break;
    case TN_FAULT_TARGETED:
        plan->targeted = 1 + (uint32_t)tn__plan_below(plan, TN_MESSAGE_KINDS_END - 1);
        break;
    default:
        break;
    }
    plan->network_end = plan->network_began + lasts;
    tn__plan_wake(plan, lasts, TN__PLAN_NETWORK_END, 0);
}

void tn__plan_network_flap(struct tn__fault_plan *plan)
{
    if (plan->flaps == 0) {
        return;
    }
    plan->flaps--;
    for (uint32_t i = 0; i < plan->nodes_count; i++) {
        plan->cut[i] = plan->flaps % 2 != 0 ? plan->flap[i] : 0;
    }
    if (plan->flaps == 0) {
        tn__plan_network_end(plan);
        return;
    }
    tn__plan_wake(plan, plan->flap_ns, TN__PLAN_FLAP, 0);
}

void tn__plan_network_end(struct tn__fault_plan *plan)
{
    plan->network = TN_FAULTS_COUNT;
    plan->flaps = 0;
    memset(plan->cut, 0, sizeof(plan->cut));
    memset(plan->link_free, 0, sizeof(plan->link_free));
}
