/* Owners, as the judge sees them: when a lease is won, by whose votes, and what a node says that it
 * holds afterwards. lease_judge_internal.h says what the judge remembers. */
#include "sim/lease_judge_internal.h"

/* ---- Activations ---------------------------------------------------------------------------- */

/* inv.L4: until when, in real time, does this member exclude others from the name? */
static tn_time exclusion_end(const struct tn__lease_judge *judge, uint32_t process, uint32_t name,
                             struct tn_ballot ballot)
{
    const struct person *person = &judge->persons[process];
    if (person->word == 0) {
        return TN_TIME_NEVER; /* down, and in quarantine when it is back */
    }
    const struct grant *grant = &person->names[name].grant;
    if (grant->uncertain) {
        return TN_TIME_NEVER;
    }
    tn_time until = person->started + tn__judge_table(judge, name)->quarantine_ns;
    if (tn_ballot_same_owner(grant->ballot, ballot) && grant->until > until) {
        until = grant->until;
    }
    return tn__world_real(judge->world, process, until);
}

/* inv.L12: the leases of one name, each and the next, share a member; where the membership has
 * changed so far that they need not, the earlier one is over (F3). */
static void judge_succession(struct tn__lease_judge *judge, const struct tn__sight *sight,
                             uint32_t name, tn_member_set set)
{
    const struct tn_notice *notice = sight->notice;
    struct judged_name *judged = &judge->names[name];
    uint32_t version = judge->persons[sight->process].version;
    bool first = judged->certificate == 0;
    if (!first && tn__judge_majorities_meet(judge, judged->version, version)) {
        if ((judged->certificate & set) == 0) {
            tn__judge_object(judge, sight->process, "inv.L12", "two certificates share no member",
                             notice->ballot);
        }
    } else if (!first && judged->ends > sight->real &&
               !tn_ballot_same_owner(judged->ballot, notice->ballot)) {
        tn__judge_object(judge, sight->process, "inv.L12",
                         "a lease of an earlier membership is not over", notice->ballot);
    }
    judged->certificate = set;
    judged->version = version;
    judged->ballot = notice->ballot;
    judged->ends = tn__world_real(judge->world, sight->process, notice->deadline);
}

static void judge_certificate(struct tn__lease_judge *judge, const struct tn__sight *sight,
                              uint32_t name, const struct named *mine)
{
    const struct tn_notice *notice = sight->notice;
    const struct person *person = &judge->persons[sight->process];
    uint32_t self = tn__world_member(judge->world, sight->process);
    bool alone = person->members == 1U << self; /* its own vote, which is on no network */
    tn_member_set set = alone ? 0 : mine->attempt.accepted & ~(1U << self);
    struct tn_lease_counters counters;
    tn_lease_counters(tn__world_lease(judge->world, sight->process), &counters);
    if (alone || counters.accepted > mine->attempt.grants) {
        set |= 1U << self;
    }
    judge_succession(judge, sight, name, set);
    if (alone) {
        return;
    }
    if (!tn_ballot_equal(notice->ballot, mine->attempt.ballot) ||
        mine->attempt.version != person->version ||
        !tn__judge_majority(judge, sight->process, set)) {
        tn__judge_object(judge, sight->process, "inv.L3", "an owner without a majority of members",
                         notice->ballot);
        return;
    }
    tn_time end = tn__world_real(judge->world, sight->process, notice->deadline);
    for (uint32_t i = 0; i < tn__world_nodes(judge->world); i++) {
        if (i != self && (set >> i & 1U) != 0 &&
            exclusion_end(judge, mine->attempt.sources[i], name, notice->ballot) < end) {
            tn__judge_object(judge, sight->process, "inv.L4",
                             "an acceptor ends its exclusion too early", notice->ballot);
        }
    }
}

static void judge_alone(struct tn__lease_judge *judge, const struct tn__sight *sight, uint32_t name)
{
    const struct judged_name *judged = &judge->names[name];
    for (uint32_t i = 0; i <= tn__world_nodes(judge->world); i++) {
        struct tn_lease_view view;
        if (i != sight->process &&
            tn__world_view(judge->world, i, judged->table, judged->bytes, judged->bytes_count,
                           &view) &&
            view.owned != 0) {
            tn__judge_object(judge, sight->process, "inv.L1",
                             "two owners at one instant; the other's is", view.ballot);
        }
    }
}

static void judge_token(struct tn__lease_judge *judge, const struct tn__sight *sight, uint32_t name)
{
    const struct tn_notice *notice = sight->notice;
    struct judged_name *judged = &judge->names[name];
    bool opens = notice->kind != TN_NOTICE_RENEWED;
    if (judge->options->diskless != 0) {
        if (notice->token != 0) {
            tn__judge_object(judge, sight->process, "inv.L11", "a token without durable ceilings",
                             notice->ballot);
        }
        return;
    }
    bool right = opens ? notice->token > judged->token && notice->token == notice->ballot.counter
                       : notice->token == judge->persons[sight->process].names[name].held.token;
    if (!right) {
        tn__judge_object(judge, sight->process, "inv.L11", "a token that does not rise",
                         notice->ballot);
    }
    judged->token = notice->token > judged->token ? notice->token : judged->token;
}

void tn__judge_activation(struct tn__lease_judge *judge, const struct tn__sight *sight,
                          uint32_t name)
{
    const struct tn_notice *notice = sight->notice;
    struct named *mine = &judge->persons[sight->process].names[name];
    uint32_t self = tn__world_member(judge->world, sight->process);
    bool alone = judge->persons[sight->process].members == 1U << self;
    tn_time begun = alone ? sight->local : mine->attempt.prepared;
    if (notice->deadline > begun + tn__judge_table(judge, name)->proposer_ns ||
        sight->local >= notice->deadline) {
        tn__judge_object(judge, sight->process, "inv.L2", "t_d is too late, or past",
                         notice->ballot);
    }
    judge_certificate(judge, sight, name, mine);
    judge_alone(judge, sight, name);
    judge_token(judge, sight, name);
    judge->names[name].tenures += notice->kind == TN_NOTICE_OPENED;
    mine->held = (struct held){notice->ballot, notice->deadline, notice->token};
    if (tn_ballot_equal(mine->told, notice->ballot) && mine->told_until <= notice->deadline) {
        mine->told = (struct tn_ballot){0};
    }
}

void tn__judge_lease_ended(struct tn__lease_judge *judge, const struct tn__sight *sight,
                           uint32_t name)
{
    struct held *held = &judge->persons[sight->process].names[name].held;
    struct judged_name *judged = &judge->names[name];
    if (tn_ballot_equal(judged->ballot, held->ballot) && sight->real < judged->ends) {
        judged->ends = sight->real;
    }
    *held = (struct held){0};
}

/* ---- After each turn: inv.L2, inv.L9, inv.L10 ----------------------------------------------- */

static void judge_view(struct tn__lease_judge *judge, const struct tn__sight *sight, uint32_t name,
                       const struct tn_lease_view *view)
{
    const struct held *held = &judge->persons[sight->process].names[name].held;
    bool holds = !tn_ballot_is_none(held->ballot) && sight->local < held->deadline;
    if (holds) {
        if (view->owned == 0 || view->deadline != held->deadline || view->token != held->token ||
            !tn_ballot_equal(view->ballot, held->ballot)) {
            tn__judge_object(judge, sight->process, "inv.L9", "a lease changed that nothing ended",
                             held->ballot);
        }
        return;
    }
    if (view->owned != 0) {
        tn__judge_object(judge, sight->process, "inv.L2", "owner without, or after, an activation",
                         view->ballot);
    }
    const struct tn_lease_table_options *table = tn__judge_table(judge, name);
    if (view->certain != 0 || view->deadline != 0 || view->remaining > table->acceptor_ns) {
        tn__judge_object(judge, sight->process, "inv.L10", "a hint that claims too much",
                         view->ballot);
    }
}

/* The views of all names the node knows anything of, and of the others that it knows nothing. */
static void judge_views(struct tn__lease_judge *judge, const struct tn__sight *sight)
{
    static const struct tn_lease_view nothing;
    const struct tn_lease *lease = tn__world_lease(judge->world, sight->process);
    uint32_t seen = 0;
    for (uint32_t table = 0; lease != NULL && table < judge->options->tables_count; table++) {
        struct tn_lease_view view;
        uint32_t cursor = 0;
        while (tn_lease_next(lease, table, &cursor, sight->local, &view)) {
            uint32_t name = tn__judge_find_name(judge, table, view.name, view.name_bytes);
            if (name < TN_JUDGE_NAMES_MAX) {
                judge_view(judge, sight, name, &view);
                seen |= 1U << name;
            }
        }
    }
    for (uint32_t name = 0; name < judge->names_count; name++) {
        if ((seen >> name & 1U) == 0) {
            judge_view(judge, sight, name, &nothing);
        }
    }
}

void tn__judge_turn_ended(struct tn__lease_judge *judge, const struct tn__sight *sight)
{
    for (uint32_t i = 0; i < judge->names_count; i++) {
        struct tn_ballot *told = &judge->persons[sight->process].names[i].told;
        if (!tn_ballot_is_none(*told)) {
            tn__judge_object(judge, sight->process, "inv.L2",
                             "tells of a lease that it does not hold", *told);
            *told = (struct tn_ballot){0};
        }
    }
    judge_views(judge, sight);
}
