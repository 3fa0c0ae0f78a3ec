/* The plan: its life, the requests of the program, and the episodes. The header tells the theory.
 */
#include "sim/fault_plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "sim/fault_plan_internal.h"

const char *tn__fault_id(enum tn__fault fault)
{
    static const char *const ids[] = {
#define TN_FAULT_ID(name, id, sentence) id,
        TN_FAULT_TABLE(TN_FAULT_ID)
#undef TN_FAULT_ID
    };
    tn_assert(fault < TN_FAULTS_COUNT);
    return ids[fault];
}

const char *tn__fault_name(enum tn__fault fault)
{
    static const char *const names[] = {
#define TN_FAULT_NAME(name, id, sentence) #name,
        TN_FAULT_TABLE(TN_FAULT_NAME)
#undef TN_FAULT_NAME
    };
    tn_assert(fault < TN_FAULTS_COUNT);
    return names[fault];
}

const char *tn__fault_text(enum tn__fault fault)
{
    static const char *const texts[] = {
#define TN_FAULT_TEXT(name, id, sentence) sentence,
        TN_FAULT_TABLE(TN_FAULT_TEXT)
#undef TN_FAULT_TEXT
    };
    tn_assert(fault < TN_FAULTS_COUNT);
    return texts[fault];
}

/* Faults that are episodes, begun one after the other; the others are drawn as things happen. */
static const enum tn__fault network_episodes[] = {
    TN_FAULT_LOSS_BURST,   TN_FAULT_LIFO,      TN_FAULT_PARTITION,
    TN_FAULT_ONE_WAY,      TN_FAULT_GRAPH,     TN_FAULT_FLAP_LEASE,
    TN_FAULT_FLAP_RENEWAL, TN_FAULT_SLOW_LINK, TN_FAULT_TARGETED,
};
static const enum tn__fault process_episodes[] = {
    TN_FAULT_CRASH_AT_EFFECT, TN_FAULT_CRASH_IN_START,
    TN_FAULT_CRASH_ALL,       TN_FAULT_CRASH_MAJORITY,
    TN_FAULT_AMNESIA,         TN_FAULT_CLOCK_AT_START,
    TN_FAULT_PAUSE,           TN_FAULT_STALL,
    TN_FAULT_SLOW_NODE,       TN_FAULT_COPY,
    TN_FAULT_RATE_CHANGE,     TN_FAULT_RATES_ADVERSE,
    TN_FAULT_SLOW_DISK,
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

tn_time tn__plan_span(struct tn__fault_plan *plan, tn_time mean)
{
    uint64_t shape = tn__plan_below(plan, 16);
    tn_time span = 1 + tn__plan_below(plan, 2 * mean);
    return shape == 0 ? 8 * span : shape < 4 ? 1 + span / 8 : span;
}

void tn__plan_wake(struct tn__fault_plan *plan, tn_time after, enum tn__plan_wake what,
                   uint32_t whom)
{
    tn__world_wake(plan->world, tn__world_now(plan->world) + after, (uint64_t)what << 32 | whom);
}

/* ---- Requests of the embedding program ------------------------------------------------------ */

static void one_request(struct tn__fault_plan *plan, uint32_t process)
{
    struct tn_request request = {
        .kind = TN_REQUEST_ACQUIRE,
        .name_bytes = 1,
        .priority = plan->options.priorities != 0 ? (uint8_t)(process % 3) : 0,
    };
    request.name[0] = (char)('a' + tn__plan_below(plan, plan->options.names_count));
    switch (tn__plan_below(plan, 16)) {
    case 0:
    case 1:
        request.kind = TN_REQUEST_RELEASE;
        break;
    case 2:
        request.kind = TN_REQUEST_DROP;
        break;
    case 3:
        request.kind = TN_REQUEST_HAND_OVER;
        request.successor = (tn_node_id)(1 + tn__plan_below(plan, plan->nodes_count));
        break;
    case 4:
        request.kind = TN_REQUEST_REOPEN;
        break;
    case 5:
        request.kind = tn__plan_below(plan, 4) == 0 ? TN_REQUEST_FORSAKE : TN_REQUEST_REOPEN;
        break;
    default:
        break;
    }
    tn__world_request(plan->world, process, &request);
}

static void want_names(struct tn__fault_plan *plan, uint32_t process)
{
    for (uint32_t i = 0; i < plan->options.names_count; i++) {
        struct tn_request request = {
            .kind = TN_REQUEST_ACQUIRE,
            .name_bytes = 1,
            .priority = plan->options.priorities != 0 ? (uint8_t)(process % 3) : 0,
        };
        request.name[0] = (char)('a' + i);
        tn__world_request(plan->world, process, &request);
    }
}

void tn__fault_plan_want_all(struct tn__fault_plan *plan)
{
    for (uint32_t i = 0; i < plan->nodes_count; i++) {
        want_names(plan, i);
    }
}

/* ---- Wakes ---------------------------------------------------------------------------------- */

static void begin_episode(struct tn__fault_plan *plan)
{
    tn__plan_wake(plan, tn__plan_span(plan, plan->options.episode_ns), TN__PLAN_EPISODE, 0);
    bool network = tn__plan_below(plan, 2) == 0;
    size_t count = network ? COUNT(network_episodes) : COUNT(process_episodes);
    const enum tn__fault *episodes = network ? network_episodes : process_episodes;
    size_t first = tn__plan_below(plan, count);
    for (size_t i = 0; i < count; i++) {
        enum tn__fault fault = episodes[(first + i) % count];
        if (!tn__plan_has(plan, fault)) {
            continue;
        }
        if (network) {
            tn__plan_network_begin(plan, fault);
        } else {
            tn__plan_process_begin(plan, fault);
        }
        return;
    }
}

/* A connection made anew, seen by one side; the other side's wake is another. */
static void connect(struct tn__fault_plan *plan, uint32_t whom)
{
    uint32_t process = whom & 0xff;
    uint32_t peer = whom >> 8;
    if (!plan->calm && tn__plan_draw(plan, TN_FAULT_HALF_OPEN, 200000)) {
        tn__plan_hit(plan, TN_FAULT_HALF_OPEN);
        return; /* this side never hears of it */
    }
    tn__world_connect(plan->world, process, peer);
}

static void reconnect(struct tn__fault_plan *plan)
{
    uint32_t a = (uint32_t)tn__plan_below(plan, plan->nodes_count);
    uint32_t b = (uint32_t)tn__plan_below(plan, plan->nodes_count);
    if (a == b) {
        return;
    }
    tn__plan_hit(plan, TN_FAULT_RECONNECT);
    tn__plan_wake(plan, tn__plan_below(plan, plan->options.delay_ns), TN__PLAN_CONNECT, a | b << 8);
    tn__plan_wake(plan, tn__plan_below(plan, plan->options.delay_ns), TN__PLAN_CONNECT, b | a << 8);
}

static void on_request(struct tn__fault_plan *plan)
{
    one_request(plan, (uint32_t)tn__plan_below(plan, plan->nodes_count));
    if (tn__plan_draw(plan, TN_FAULT_RECONNECT, 100000)) {
        reconnect(plan);
    }
    tn__plan_wake(plan, tn__plan_span(plan, plan->options.request_ns), TN__PLAN_REQUEST, 0);
}

/* What remains to be done when all is calm: starts, resumes, connections. */
static bool outlasts_healing(enum tn__plan_wake what)
{
    return what == TN__PLAN_START || what == TN__PLAN_CONNECT || what == TN__PLAN_MEMBERS;
}

static void on_woken(void *context, uint64_t code)
{
    struct tn__fault_plan *plan = context;
    enum tn__plan_wake what = (enum tn__plan_wake)(code >> 32);
    uint32_t whom = (uint32_t)code;
    if (plan->calm && !outlasts_healing(what)) {
        return;
    }
    switch (what) {
    case TN__PLAN_REQUEST:
        on_request(plan);
        break;
    case TN__PLAN_EPISODE:
        begin_episode(plan);
        break;
    case TN__PLAN_NETWORK_END:
        tn__plan_network_end(plan);
        break;
    case TN__PLAN_FLAP:
        tn__plan_network_flap(plan);
        break;
    case TN__PLAN_START:
        tn__plan_start(plan, whom);
        break;
    case TN__PLAN_PAUSE:
        tn__world_pause(plan->world, whom);
        break;
    case TN__PLAN_RESUME:
        plan->stalling = plan->stalling == whom ? TN_WORLD_NONE : plan->stalling;
        tn__plan_resume(plan, whom);
        break;
    case TN__PLAN_CONNECT:
        connect(plan, whom);
        break;
    case TN__PLAN_COPY_END:
        tn__plan_end_copy(plan);
        break;
    case TN__PLAN_SLOW_END:
        plan->slow = 0;
        break;
    case TN__PLAN_DISK_END:
        plan->slow_disks = 0;
        break;
    case TN__PLAN_MEMBERS:
        tn__plan_members_wake(plan);
        break;
    }
}

static void on_sight(void *context, const struct tn__sight *sight)
{
    struct tn__fault_plan *plan = context;
    switch ((enum tn__sight_kind)sight->kind) {
    case TN_SIGHT_DELIVERED:
    case TN_SIGHT_REFUSED:
    case TN_SIGHT_LOST:
        tn__plan_frame_gone(plan, sight);
        break;
    case TN_SIGHT_CRASHED:
        if (plan->stalling == sight->process) {
            plan->stalling = TN_WORLD_NONE;
        }
        if (sight->process < plan->nodes_count) {
            tn_time down = plan->calm ? plan->options.delay_ns
                                      : tn__plan_span(plan, plan->table->quarantine_ns / 4);
            tn__plan_wake(plan, down, TN__PLAN_START, sight->process);
        }
        break;
    case TN_SIGHT_NOTICE:
        if (sight->notice->kind == TN_NOTICE_LEFT && sight->process < plan->nodes_count) {
            tn__plan_members_left(plan, sight->process, sight->notice->token);
        }
        break;
    default:
        break;
    }
}

/* ---- Life ----------------------------------------------------------------------------------- */

struct tn__fault_plan *tn__fault_plan_new(void)
{
    struct tn__fault_plan *plan = calloc(1, sizeof(*plan));
    tn_assert(plan != NULL);
    return plan;
}

void tn__fault_plan_free(struct tn__fault_plan *plan)
{
    free(plan);
}

void tn__fault_plan_begin(struct tn__fault_plan *plan, struct tn__world *world,
                          const struct tn__fault_plan_options *options)
{
    tn_assert(options->names_count >= 1 && options->names_count <= TN_PLAN_NAMES_MAX);
    tn_assert(options->delay_ns >= TN_MICROSECOND);
    *plan = (struct tn__fault_plan){
        .world = world,
        .options = *options,
        .table = &tn__world_lease_options(world)->tables[0],
        .random = options->seed,
        .nodes_count = tn__world_nodes(world),
        .network = TN_FAULTS_COUNT,
        .stalling = TN_WORLD_NONE,
    };
    struct tn__world_hooks hooks = {
        .context = plan,
        .frame_sent = tn__plan_frame_sent,
        .write_begun = tn__plan_write_begun,
        .timer_at = tn__plan_timer_at,
        .woken = on_woken,
    };
    tn__world_set_hooks(world, &hooks);
    struct tn__world_observer observer = {
        .context = plan,
        .see = on_sight,
        .kinds = tn__sight_bit(TN_SIGHT_DELIVERED) | tn__sight_bit(TN_SIGHT_REFUSED) |
                 tn__sight_bit(TN_SIGHT_LOST) | tn__sight_bit(TN_SIGHT_CRASHED) |
                 tn__sight_bit(TN_SIGHT_NOTICE),
    };
    tn__world_add_observer(world, &observer);
    tn__plan_set_clocks(plan);
    tn__plan_members_begin(plan);
    for (uint32_t i = 0; i < plan->nodes_count; i++) {
        if (!tn__plan_is_admitted(plan, i)) {
            continue;
        }
        tn__plan_wake(plan, tn__plan_below(plan, 4 * options->delay_ns), TN__PLAN_START, i);
    }
    tn__plan_wake(plan, options->request_ns, TN__PLAN_REQUEST, 0);
    tn__plan_wake(plan, options->episode_ns, TN__PLAN_EPISODE, 0);
}

/* What would arrive later than anything parked is lost, lest it fill the network for ever. */
static void drop_stalled_frames(struct tn__fault_plan *plan)
{
    tn_time latest =
        tn__world_now(plan->world) + 8 * (plan->table->acceptor_ns + plan->table->quarantine_ns);
    uint32_t slot = tn__world_first_frame(plan->world);
    while (slot != TN_WORLD_NONE) {
        uint32_t next = tn__world_next_frame(plan->world, slot);
        const struct tn__world_frame *frame = tn__world_frame(plan->world, slot);
        if (frame->waiting == 0 && frame->due > latest) {
            tn__world_drop_frame(plan->world, slot);
        }
        slot = next;
    }
}

void tn__fault_plan_heal(struct tn__fault_plan *plan)
{
    plan->calm = true;
    drop_stalled_frames(plan);
    tn__plan_network_end(plan);
    tn__plan_end_copy(plan);
    plan->slow = 0;
    plan->slow_disks = 0;
    for (uint32_t i = 0; i < plan->nodes_count; i++) {
        if (!tn__plan_is_admitted(plan, i)) {
            continue;
        }
        tn__world_crash_in(plan->world, i, 0);
        tn__plan_resume(plan, i);
        if (tn__world_disk(plan->world, i) != NULL && tn__world_is_up(plan->world, i)) {
            tn__sim_disk_arm(tn__world_disk(plan->world, i), &(struct tn__sim_disk_plan){0});
        }
        /* C9: after a copy the operator starts the node twice: the first start may have the copy's
         * count, and then nobody counts either. */
        uint32_t starts = (plan->copied >> i & 1U) != 0 ? 2 : 0;
        for (uint32_t k = 0; k < starts; k++) {
            tn__plan_crash(plan, i);
            tn__plan_start(plan, i);
        }
        tn__plan_start(plan, i);
        if (tn__world_is_writing(plan->world, i)) {
            tn__plan_write_begun(plan, i);
        }
        want_names(plan, i);
    }
}

uint64_t tn__fault_plan_hits(const struct tn__fault_plan *plan, enum tn__fault fault)
{
    tn_assert(fault < TN_FAULTS_COUNT);
    return plan->hits[fault];
}
