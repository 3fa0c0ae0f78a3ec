/* The operator of F3: changes the members of a simulated cell, by the rule, whatever else happens.
 *
 *             begin                 a majority has left, and           a majority
 *             a change              the waits are over                 has joined
 *     IDLE -----------> LEAVING -------------------------> OPENING -----------------> IDLE
 *                       LEAVE to the members               JOIN to the members
 *
 * It looks from time to time and asks again whoever has not done its part, so nodes that were down
 * or stood still are asked later. A member that missed a version is asked into the newest one. Its
 * own clock is the worst that rho allows: fast.
 *
 * Members that have left run on beside the cell, and may be let in again later with what they
 * remember; nodes that stand by begin with an empty directory. */
#include "base/assert.h"
#include "sim/fault_plan_internal.h"

/* Fewer than the world can tell apart. */
#define VERSIONS_MAX (TN_WORLD_VERSIONS_MAX - 1U)

static uint32_t count_of(tn_member_set set)
{
    return (uint32_t)__builtin_popcount(set);
}

static tn_member_set everybody(const struct tn__fault_plan *plan)
{
    return (1U << plan->nodes_count) - 1;
}

static bool is_on(const struct tn__fault_plan *plan)
{
    return (plan->options.faults & TN_PLAN_MEMBER_FAULTS) != 0;
}

bool tn__plan_is_admitted(const struct tn__fault_plan *plan, uint32_t process)
{
    return (plan->members.admitted >> process & 1U) != 0;
}

/* One node of a set that is not empty. */
static uint32_t any_of(struct tn__fault_plan *plan, tn_member_set set)
{
    uint64_t skipped = tn__plan_below(plan, count_of(set));
    uint32_t node = 0;
    while ((set >> node & 1U) == 0 || skipped-- != 0) {
        node++;
    }
    return node;
}

/* ---- Waiting -------------------------------------------------------------------------------- */

/* D_Q on a clock as fast and as coarse as the nodes' may be. */
static tn_time wait_out(const struct tn__fault_plan *plan)
{
    uint64_t fastest = 1000000ULL + tn__world_lease_options(plan->world)->drift_ppm;
    tn_time local = plan->table->quarantine_ns + plan->options.granularity;
    return local / fastest * 1000000 + local % fastest * 1000000 / fastest + 1;
}

static bool is_larger_step(const struct tn__plan_operator *members)
{
    return count_of(members->members ^ members->next) != 1;
}

static bool may_open(const struct tn__fault_plan *plan)
{
    const struct tn__plan_operator *members = &plan->members;
    tn_time now = tn__world_now(plan->world);
    if (members->left_at == 0) {
        return false;
    }
    if (plan->options.careless != 0) {
        return true;
    }
    if (plan->options.hasty != 0) {
        return members->former_left_at == 0 || now >= members->former_left_at + wait_out(plan);
    }
    return now >= members->left_at + wait_out(plan);
}

/* ---- Asking --------------------------------------------------------------------------------- */

static uint32_t version_of(const struct tn__fault_plan *plan, uint32_t node)
{
    struct tn_lease_status status;
    tn_lease_status(tn__world_lease(plan->world, node), 0, &status);
    return status.configuration;
}

/* Members of the newest version that can be asked: of exactly this version, or of an older one. */
static tn_member_set to_ask(const struct tn__fault_plan *plan, bool of_older)
{
    tn_member_set set = 0;
    for (uint32_t i = 0; i < plan->nodes_count; i++) {
        if ((plan->members.members >> i & 1U) != 0 && tn__world_is_up(plan->world, i) &&
            !tn__world_is_paused(plan->world, i) &&
            of_older == (version_of(plan, i) < plan->members.version)) {
            set |= 1U << i;
        }
    }
    return set;
}

static void ask(struct tn__fault_plan *plan, tn_member_set nodes, const struct tn_request *request)
{
    for (uint32_t i = 0; i < plan->nodes_count; i++) {
        if ((nodes >> i & 1U) != 0) {
            tn__world_request(plan->world, i, request);
        }
    }
}

static void ask_to_leave(struct tn__fault_plan *plan)
{
    const struct tn_request request = {.kind = TN_REQUEST_LEAVE};
    ask(plan, to_ask(plan, false) & ~plan->members.left, &request);
}

static void ask_to_join(struct tn__fault_plan *plan)
{
    struct tn_request request = {
        .kind = TN_REQUEST_JOIN,
        .configuration = plan->members.version,
        .ceiling = plan->members.opening_ceiling,
        .larger_step = (uint8_t)plan->members.larger_step,
    };
    for (uint32_t i = 0; i < plan->nodes_count; i++) {
        if ((plan->members.members >> i & 1U) != 0) {
            request.members[request.members_count++] = (tn_node_id)(i + 1);
        }
    }
    ask(plan, to_ask(plan, true), &request);
}

void tn__plan_members_left(struct tn__fault_plan *plan, uint32_t process, uint64_t ceiling)
{
    struct tn__plan_operator *members = &plan->members;
    if (members->phase != TN__MEMBERS_LEAVING || (members->members >> process & 1U) == 0 ||
        version_of(plan, process) != members->version) {
        return;
    }
    members->left |= 1U << process;
    members->ceiling = ceiling > members->ceiling ? ceiling : members->ceiling;
    if (members->left_at == 0 && 2 * count_of(members->left) > count_of(members->members)) {
        members->left_at = tn__world_now(plan->world);
    }
}

/* ---- A change ------------------------------------------------------------------------------- */

/* The members after a change of this kind; 0: there is none. */
static tn_member_set changed(struct tn__fault_plan *plan, enum tn__fault change)
{
    tn_member_set members = plan->members.members;
    tn_member_set others = everybody(plan) & ~members;
    switch (change) {
    case TN_FAULT_MEMBER_ENTERS:
    case TN_FAULT_MEMBERS_IN_A_ROW:
        return others == 0 ? 0 : members | 1U << any_of(plan, others);
    case TN_FAULT_MEMBER_LEAVES:
        return members & ~(1U << any_of(plan, members)); /* the last one stays */
    case TN_FAULT_MEMBER_REPLACED:
        if (others == 0) {
            return 0;
        }
        members &= ~(1U << any_of(plan, members));
        return members | 1U << any_of(plan, others);
    default: /* TN_FAULT_MEMBERS_JUMP */
        return 1 + (tn_member_set)tn__plan_below(plan, everybody(plan));
    }
}

/* Which change comes next; TN_FAULTS_COUNT: none this time. */
static enum tn__fault draw_change(struct tn__fault_plan *plan)
{
    static const enum tn__fault changes[] = {TN_FAULT_MEMBER_ENTERS, TN_FAULT_MEMBER_LEAVES,
                                             TN_FAULT_MEMBER_REPLACED, TN_FAULT_MEMBERS_IN_A_ROW,
                                             TN_FAULT_MEMBERS_JUMP};
    struct tn__plan_operator *members = &plan->members;
    if (members->in_a_row > 0) {
        members->in_a_row--;
        return members->change;
    }
    enum tn__fault change = changes[tn__plan_below(plan, sizeof(changes) / sizeof(changes[0]))];
    if (!tn__plan_has(plan, change)) {
        return TN_FAULTS_COUNT;
    }
    if (change == TN_FAULT_MEMBERS_IN_A_ROW) {
        members->in_a_row = 1 + (uint32_t)tn__plan_below(plan, 3);
    }
    return change;
}

static void begin_change(struct tn__fault_plan *plan)
{
    struct tn__plan_operator *members = &plan->members;
    enum tn__fault change = draw_change(plan);
    if (change == TN_FAULTS_COUNT || members->version >= VERSIONS_MAX) {
        return;
    }
    tn_member_set next = changed(plan, change);
    if (next == 0 || next == members->members) {
        members->in_a_row = 0;
        return;
    }
    members->change = change;
    members->next = next;
    members->left = 0;
    members->left_at = 0;
    members->ceiling = 0;
    members->phase = TN__MEMBERS_LEAVING;
}

static void open_version(struct tn__fault_plan *plan)
{
    struct tn__plan_operator *members = &plan->members;
    tn_assert(members->left_at != 0);
    tn__plan_hit(plan, members->change);
    members->larger_step = is_larger_step(members) && plan->options.careless == 0;
    members->former_left_at = members->left_at;
    members->opening_ceiling = members->ceiling;
    members->members = members->next;
    members->version++;
    members->phase = TN__MEMBERS_OPENING;
    tn_member_set entrants = members->members & ~members->admitted;
    members->admitted |= entrants;
    for (uint32_t i = 0; i < plan->nodes_count; i++) {
        if ((entrants >> i & 1U) != 0) {
            tn__plan_wake(plan, 0, TN__PLAN_START, i);
        }
    }
}

static uint32_t joined_count(const struct tn__fault_plan *plan)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < plan->nodes_count; i++) {
        count += (plan->members.members >> i & 1U) != 0 && tn__world_is_up(plan->world, i) &&
                 version_of(plan, i) == plan->members.version;
    }
    return count;
}

/* ---- Its life ------------------------------------------------------------------------------- */

void tn__plan_members_begin(struct tn__fault_plan *plan)
{
    const struct tn_lease_options *options = tn__world_lease_options(plan->world);
    tn_member_set first = (1U << options->members_count) - 1;
    plan->members = (struct tn__plan_operator){
        .version = options->configuration, .members = first, .admitted = first};
    if (is_on(plan)) {
        tn__plan_wake(plan, plan->table->proposer_ns, TN__PLAN_MEMBERS, 0);
    }
}

bool tn__fault_plan_settled(const struct tn__fault_plan *plan)
{
    return plan->members.phase == TN__MEMBERS_IDLE &&
           joined_count(plan) == count_of(plan->members.members);
}

/* One look; returns how long until the next one. */
static tn_time look(struct tn__fault_plan *plan)
{
    struct tn__plan_operator *members = &plan->members;
    tn_time now = tn__world_now(plan->world);
    if (members->phase == TN__MEMBERS_IDLE && !plan->calm &&
        (members->in_a_row > 0 || now >= members->change_at)) {
        members->change_at = now + tn__plan_span(plan, plan->options.change_ns);
        begin_change(plan);
    }
    if (members->phase == TN__MEMBERS_LEAVING) {
        ask_to_leave(plan);
        if (may_open(plan)) {
            open_version(plan);
        }
    }
    if (members->phase == TN__MEMBERS_OPENING &&
        2 * joined_count(plan) > count_of(members->members)) {
        members->phase = TN__MEMBERS_IDLE;
    }
    if (members->version > 1) {
        ask_to_join(plan);
    }
    return members->phase != TN__MEMBERS_IDLE || members->in_a_row > 0 || plan->calm
               ? plan->options.delay_ns
               : plan->table->proposer_ns / 4;
}

void tn__plan_members_wake(struct tn__fault_plan *plan)
{
    tn_time pause = look(plan);
    if (!plan->calm || !tn__fault_plan_settled(plan)) {
        tn__plan_wake(plan, tn__plan_span(plan, pause), TN__PLAN_MEMBERS, 0);
    }
}
