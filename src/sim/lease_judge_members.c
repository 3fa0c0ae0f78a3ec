/* F3 as the judge sees it: which version of the membership is in force at which process, and what
 * may be said for it. Versions and their members are learned from the operator's requests, what is
 * in force from the notices and, at a start, from the status.
 *
 * Whether a step is a larger one the judge finds out by itself: what the operator says of it is
 * what may be wrong. */
#include "base/assert.h"
#include "sim/lease_judge_internal.h"

static uint32_t count_of(tn_member_set set)
{
    return (uint32_t)__builtin_popcount(set);
}

static tn_member_set set_of(const tn_node_id *members, uint32_t count)
{
    tn_member_set set = 0;
    for (uint32_t i = 0; i < count && i < TN_MEMBERS_MAX; i++) {
        set |= 1U << ((members[i] - 1U) % TN_MEMBERS_MAX);
    }
    return set;
}

static tn_member_set members_of(const struct tn__lease_judge *judge, uint32_t version)
{
    return version < VERSIONS_ROOM ? judge->versions[version] : 0;
}

void tn__judge_members_begin(struct tn__lease_judge *judge)
{
    for (uint32_t i = 0; i < VERSIONS_ROOM; i++) {
        judge->versions[i] = 0;
    }
    for (uint32_t i = 0; i < TN_MEMBERS_MAX; i++) {
        judge->starts[i] = 0;
    }
    for (uint32_t i = 0; i < TN_WORLD_PROCESSES_MAX; i++) {
        judge->newest[i] = 0;
    }
    judge->versions[judge->options->configuration % VERSIONS_ROOM] =
        set_of(judge->options->members, judge->options->members_count);
}

void tn__judge_join_asked(struct tn__lease_judge *judge, uint32_t process,
                          const struct tn_request *request)
{
    tn_member_set members = set_of(request->members, request->members_count);
    if (request->configuration >= VERSIONS_ROOM) {
        return;
    }
    tn_member_set known = judge->versions[request->configuration];
    if (known != 0 && known != members) {
        tn__judge_object(judge, process, "F3", "two lists of members for one version",
                         (struct tn_ballot){0});
    }
    judge->versions[request->configuration] = members;
}

bool tn__judge_majority(const struct tn__lease_judge *judge, uint32_t process, tn_member_set set)
{
    tn_member_set members = judge->persons[process].members;
    return 2 * count_of(set & members) > count_of(members);
}

bool tn__judge_majorities_meet(const struct tn__lease_judge *judge, uint32_t version,
                               uint32_t later)
{
    tn_member_set before = members_of(judge, version);
    tn_member_set after = members_of(judge, later);
    return version == later || (later == version + 1 && count_of(before ^ after) <= 1);
}

/* What the machine says is in force now. */
static void take_status(struct tn__lease_judge *judge, uint32_t process)
{
    struct person *person = &judge->persons[process];
    const struct tn_lease *lease = tn__world_lease(judge->world, process);
    struct tn_lease_status status = {.configuration = judge->options->configuration};
    if (lease != NULL) {
        tn_lease_status(lease, 0, &status);
    }
    person->version = status.configuration;
    person->left = status.left != 0;
    person->members = set_of(status.members, status.members_count);
    for (uint32_t i = 0; i < status.members_count; i++) {
        person->places[i] = (uint8_t)(status.members[i] - 1);
    }
    uint32_t *newest = &judge->newest[process];
    if (person->version < *newest) {
        tn__judge_object(judge, process, "F3", "an older version than it has been in",
                         (struct tn_ballot){0});
    }
    *newest = person->version > *newest ? person->version : *newest;
}

void tn__judge_started(struct tn__lease_judge *judge, const struct tn__sight *sight)
{
    struct person *person = &judge->persons[sight->process];
    person->word = sight->word;
    person->started = sight->local;
    uint32_t member = tn__world_member(judge->world, sight->process);
    if (sight->process == tn__world_nodes(judge->world)) {
        judge->copied |= 1U << member;
        /* Another directory each time, which shares nothing with the node's own from here on: a
         * change whose write failed there may be what a start finds here, and the other way. */
        judge->newest[sight->process] = 0;
    } else if (judge->options->diskless == 0) {
        if (sight->word >> 32 <= judge->starts[member]) {
            tn__judge_object(judge, sight->process, "V4",
                             "begins anew in a directory that is not the one it had",
                             (struct tn_ballot){.restart_word = sight->word});
        }
        judge->starts[member] = sight->word >> 32;
    }
    take_status(judge, sight->process);
}

void tn__judge_left(struct tn__lease_judge *judge, uint32_t process)
{
    judge->persons[process].left = true;
}

void tn__judge_joined(struct tn__lease_judge *judge, const struct tn__sight *sight)
{
    struct person *person = &judge->persons[sight->process];
    take_status(judge, sight->process);
    tn_assert(person->version >= 1);
    if (person->version != sight->notice->token ||
        person->members != members_of(judge, person->version)) {
        tn__judge_object(judge, sight->process, "F3", "other members than the version has",
                         (struct tn_ballot){0});
    }
    if (!tn__judge_majorities_meet(judge, person->version - 1, person->version)) {
        tn_time quarantine = 0;
        for (uint32_t i = 0; i < judge->options->tables_count; i++) {
            tn_time own = judge->options->tables[i].quarantine_ns;
            quarantine = own > quarantine ? own : quarantine;
        }
        person->silent_until = sight->local + quarantine;
    }
}

/* Of a message that leaves. One that waited for a write was said before it was held. */
void tn__judge_spoken(struct tn__lease_judge *judge, const struct tn__sight *sight, bool answer)
{
    const struct person *person = &judge->persons[sight->process];
    const struct tn_message *message = sight->message;
    if (person->written) {
        return;
    }
    if (message->configuration != person->version) {
        tn__judge_object(judge, sight->process, "F3", "speaks for another version than its own",
                         message->ballot);
    } else if (answer && person->left) {
        tn__judge_object(judge, sight->process, "F3", "answers for a version it has left",
                         message->ballot);
    } else if (answer && sight->local < person->silent_until) {
        tn__judge_object(judge, sight->process, "F3", "answers before a larger step is waited out",
                         message->ballot);
    }
}
