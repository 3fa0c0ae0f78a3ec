/* May two members exchange votes? Each check that fails says both values and the way out. */
#include "wire/handshake.h"

#include <string.h>

#include "base/assert.h"
#include "base/text.h"

/* A HELLO carries no name of a cluster but a digest of it; this much tells two apart, and leaves
 * room for the rest of the sentence in a refusal. */
#define TAG_BYTES_SHOWN 4

/* "name (node 3)": who the peer says it is. */
static void add_peer(struct tn__text *why, const struct tn__hello *theirs)
{
    tn__text_add(why, "%s (node %u)", theirs->name, (unsigned)theirs->node);
}

static void add_members(struct tn__text *why, const struct tn__hello *hello)
{
    for (uint32_t i = 0; i < hello->members_count; i++) {
        tn__text_add(why, "%s%u", i > 0 ? "," : "", (unsigned)hello->members[i]);
    }
}

/* Milliseconds with as many decimals as there are: 1500, 0.25. */
static void add_duration(struct tn__text *why, tn_time duration)
{
    unsigned long long whole = duration / TN_MILLISECOND;
    unsigned long long part = duration % TN_MILLISECOND;
    uint32_t digits = 6;
    for (; digits > 0 && part % 10 == 0; digits--) {
        part /= 10;
    }
    tn__text_add(why, "%llu", whole);
    if (digits > 0) {
        tn__text_add(why, ".%0*llu", (int)digits, part);
    }
    tn__text_add(why, " ms");
}

static int compare_versions(const struct tn__hello *ours, const struct tn__hello *theirs,
                            struct tn__text *why)
{
    if (ours->version_min <= theirs->version_max && theirs->version_min <= ours->version_max) {
        return TN_OK;
    }
    add_peer(why, theirs);
    tn__text_add(why,
                 " speaks protocol versions %u to %u, this node %u to %u: update the older one",
                 theirs->version_min, theirs->version_max, ours->version_min, ours->version_max);
    return TN_ERROR_VERSION;
}

static int compare_clusters(const struct tn__hello *ours, const struct tn__hello *theirs,
                            struct tn__text *why)
{
    if (memcmp(ours->cluster_id, theirs->cluster_id, sizeof(ours->cluster_id)) == 0) {
        return TN_OK;
    }
    add_peer(why, theirs);
    tn__text_add(why, " belongs to the cluster whose name has the SHA-256 ");
    tn__text_add_hex(why, theirs->cluster_id, TAG_BYTES_SHOWN);
    tn__text_add(why, "..., this node to that of ");
    tn__text_add_hex(why, ours->cluster_id, TAG_BYTES_SHOWN);
    tn__text_add(why,
                 "...: give all members the same cluster, or check the addresses of the peers");
    return TN_ERROR_WRONG_CLUSTER;
}

static int compare_nodes(const struct tn__hello *ours, const struct tn__hello *theirs,
                         struct tn__text *why)
{
    if (theirs->node == ours->node) {
        add_peer(why, theirs);
        tn__text_add(why,
                     " answers under this node's own id %u: two processes run as one member, or an "
                     "address of the peers is this node's own",
                     (unsigned)ours->node);
        return TN_ERROR_WRONG_MEMBER;
    }
    for (uint32_t i = 0; i < ours->members_count; i++) {
        if (ours->members[i] == theirs->node) {
            return TN_OK;
        }
    }
    add_peer(why, theirs);
    tn__text_add(why, " is not among this node's members ");
    add_members(why, ours);
    tn__text_add(why, ": give all members the same list");
    return TN_ERROR_WRONG_MEMBER;
}

static int compare_members(const struct tn__hello *ours, const struct tn__hello *theirs,
                           struct tn__text *why)
{
    if (ours->configuration != theirs->configuration) {
        add_peer(why, theirs);
        tn__text_add(why,
                     " speaks for version %lu of the membership, this node for %lu: the one behind "
                     "must be told of the change first",
                     (unsigned long)theirs->configuration, (unsigned long)ours->configuration);
        return TN_ERROR_WRONG_CONFIGURATION;
    }
    if (ours->members_count == theirs->members_count &&
        memcmp(ours->members, theirs->members, ours->members_count * sizeof(ours->members[0])) ==
            0) {
        return TN_OK;
    }
    add_peer(why, theirs);
    tn__text_add(why, " has the members ");
    add_members(why, theirs);
    tn__text_add(why, ", this node ");
    add_members(why, ours);
    tn__text_add(why, ": give all members the same list in the same order");
    return TN_ERROR_WRONG_CONFIGURATION;
}

static int refuse_duration(const struct tn__hello *theirs, uint32_t table, const char *what,
                           tn_time ours_ns, tn_time theirs_ns, struct tn__text *why)
{
    if (ours_ns == theirs_ns) {
        return TN_OK;
    }
    add_peer(why, theirs);
    tn__text_add(why, " has a %s of ", what);
    add_duration(why, theirs_ns);
    tn__text_add(why, " in table %lu, this node of ", (unsigned long)table);
    add_duration(why, ours_ns);
    tn__text_add(why, ": give all members the same durations");
    return TN_ERROR_WRONG_CONFIGURATION;
}

static int compare_durations(const struct tn__hello *ours, const struct tn__hello *theirs,
                             struct tn__text *why)
{
    if (ours->drift_ppm != theirs->drift_ppm) {
        add_peer(why, theirs);
        tn__text_add(why,
                     " reckons with clocks that drift by %lu ppm, this node by %lu: give all "
                     "members the same bound",
                     (unsigned long)theirs->drift_ppm, (unsigned long)ours->drift_ppm);
        return TN_ERROR_WRONG_CONFIGURATION;
    }
    if (ours->tables_count != theirs->tables_count) {
        add_peer(why, theirs);
        tn__text_add(why, " has %u lease tables, this node %u: give all members the same tables",
                     theirs->tables_count, ours->tables_count);
        return TN_ERROR_WRONG_CONFIGURATION;
    }
    int error = TN_OK;
    for (uint32_t i = 0; i < ours->tables_count && error == TN_OK; i++) {
        const struct tn__hello_table *a = &ours->tables[i];
        const struct tn__hello_table *b = &theirs->tables[i];
        error = refuse_duration(theirs, i, "lease time (D_P)", a->proposer_ns, b->proposer_ns, why);
        if (error == TN_OK) {
            error = refuse_duration(theirs, i, "exclusion time (D_A)", a->acceptor_ns,
                                    b->acceptor_ns, why);
        }
        if (error == TN_OK) {
            error = refuse_duration(theirs, i, "quarantine (D_Q)", a->quarantine_ns,
                                    b->quarantine_ns, why);
        }
    }
    return error;
}

int tn__handshake_compare(const struct tn__hello *ours, const struct tn__hello *theirs, char *why,
                          size_t why_size)
{
    tn_assert(tn__hello_valid(ours));
    tn_assert(tn__hello_valid(theirs));
    struct tn__text text;
    tn__text_init(&text, why, why_size);
    /* From the most general to the particular: what is said first explains what follows from it. */
    static int (*const checks[])(const struct tn__hello *, const struct tn__hello *,
                                 struct tn__text *) = {
        compare_versions, compare_clusters, compare_nodes, compare_members, compare_durations,
    };
    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
        int error = checks[i](ours, theirs, &text);
        if (error != TN_OK) {
            return error;
        }
    }
    return TN_OK;
}

int tn__handshake_expect(const struct tn__hello *theirs, tn_node_id node, const char *name,
                         char *why, size_t why_size)
{
    tn_assert(name != NULL);
    if (theirs->node == node && strcmp(theirs->name, name) == 0) {
        return TN_OK;
    }
    struct tn__text text;
    tn__text_init(&text, why, why_size);
    tn__text_add(&text, "where %s (node %u) should answer, ", name, (unsigned)node);
    add_peer(&text, theirs);
    tn__text_add(&text, " does: check the addresses and names of the peers");
    return TN_ERROR_WRONG_MEMBER;
}

uint8_t tn__handshake_version(const struct tn__hello *ours, const struct tn__hello *theirs)
{
    return ours->version_max < theirs->version_max ? ours->version_max : theirs->version_max;
}
