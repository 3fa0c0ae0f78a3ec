/* The configurations, and the model made of one: explore_lease.h tells the theory. */
#include "check/explore_lease.h"

#include <string.h>

#include "base/assert.h"
#include "check/explore_lease_state.h"
#include "check/lease_rows.h"

/* Proposers, acceptors, ballots; the horizon and the messages in flight. */
#define SIZE(p, a, b, t, n)                                                                        \
    .proposers = (p), .acceptors = (a), .ballots = (b), .horizon = (t), .messages = (n)
#define TICKS(p, a, q) .proposer_ticks = (p), .acceptor_ticks = (a), .quarantine_ticks = (q)

#define CRASH TN_EXPLORE_CRASH
#define RELEASE TN_EXPLORE_RELEASE
#define RENEW TN_EXPLORE_RENEW
#define ABANDON TN_EXPLORE_ABANDON
#define DROP TN_EXPLORE_DROP
#define POLITE (TN_EXPLORE_POLITE | TN_EXPLORE_ANSWERS)
#define FENCED (TN_EXPLORE_FENCED | TN_EXPLORE_POLITE)
#define ENDLESS TN_EXPLORE_ENDLESS
#define RATES TN_EXPLORE_RATES

/* One look should take in a configuration. */
/* clang-format off */
static const struct tn__explore_lease_config own_configs[] = {
    {"polite-base", "our A1, refusals travel: a race",
     SIZE(2, 3, 2, 2, 5), TICKS(2, 2, 2),
     .features = POLITE, .seconds = 1},
    {"polite-crash", "our A1, refusals travel: crash and restart",
     SIZE(2, 2, 2, 2, 4), TICKS(2, 2, 2),
     .features = POLITE | CRASH, .seconds = 2},
    {"polite-renew-retry", "our A1, refusals travel: renewal, retry, crash",
     SIZE(2, 2, 3, 2, 4), TICKS(2, 2, 2),
     .features = POLITE | RENEW | ABANDON | CRASH, .seconds = 40},
    {"polite-release", "our A1, refusals travel: release of leases and attempts",
     SIZE(2, 2, 3, 2, 4), TICKS(2, 2, 2),
     .features = POLITE | RENEW | RELEASE | TN_EXPLORE_WITHDRAW, .seconds = 1},
    {"release-late", "what a release and an accept that are late do to the next lease",
     SIZE(1, 3, 2, 1, 8), TICKS(2, 2, 2),
     .features = RELEASE | RENEW, .seconds = 1},
    {"fenced-2", "F1, F2, inv.L11: two acceptors, everything happens",
     SIZE(2, 2, 3, 2, 4), TICKS(1, 1, 1),
     .features = FENCED | RENEW | ABANDON | RELEASE | CRASH, .seconds = 70},
    {"fenced-3", "F1, F2, inv.L11: three acceptors, writes at once",
     SIZE(2, 3, 3, 2, 4), TICKS(1, 1, 1),
     .features = FENCED | TN_EXPLORE_WRITE_AT_ONCE | RENEW | ABANDON | RELEASE | CRASH,
     .seconds = 255},
    {"fenced-stride", "F1: a ceiling raised ahead of need",
     SIZE(2, 2, 3, 2, 4), TICKS(1, 1, 1),
     .stride = 1, .features = FENCED | RENEW | ABANDON | CRASH, .seconds = 40},
    {"fenced-writes-fail", "F4: writes of the ceiling fail and are retried",
     SIZE(2, 2, 2, 2, 4), TICKS(1, 1, 1),
     .features = FENCED | CRASH | TN_EXPLORE_WRITE_FAILS, .seconds = 2},
    {"dropped-name", "F2: records of quiet names are dropped into the floor",
     SIZE(2, 2, 3, 2, 4), TICKS(1, 1, 1),
     .features = FENCED | ABANDON | RELEASE | TN_EXPLORE_FORGET, .seconds = 1},
    {"endless-2", "no horizon: renewal, retry, crash, loss",
     SIZE(2, 2, 0, 0, 3), TICKS(1, 1, 1),
     .features = ENDLESS | RENEW | ABANDON | CRASH | DROP, .seconds = 100},
    {"endless-2-release", "no horizon: and release",
     SIZE(2, 2, 0, 0, 3), TICKS(1, 1, 1),
     .features = ENDLESS | RENEW | ABANDON | CRASH | DROP | RELEASE, .seconds = 150},
    {"rates-1-3", "T2, T3 at the bound, rho = 1/3",
     SIZE(2, 2, 2, 3, 4), TICKS(1, 2, 2),
     .features = RATES | CRASH, .rate_slow = 1, .rate_fast = 2, .seconds = 20},
    {"rates-1-3-acceptor", "T2 broken by one tick, rho = 1/3: two owners",
     SIZE(2, 2, 2, 3, 4), TICKS(1, 1, 2),
     .features = RATES, .rate_slow = 1, .rate_fast = 2, .violates = 1, .seconds = 1},
    {"rates-1-3-quarantine", "T3 broken by one tick, rho = 1/3: two owners",
     SIZE(2, 2, 2, 3, 4), TICKS(1, 2, 1),
     .features = RATES | CRASH, .rate_slow = 1, .rate_fast = 2, .violates = 1, .seconds = 30},
    {"rates-1-5", "T2 at the bound, rho = 1/5",
     SIZE(2, 2, 2, 4, 4), TICKS(2, 3, 3),
     .features = RATES, .rate_slow = 2, .rate_fast = 3, .seconds = 2},
    {"rates-1-5-acceptor", "T2 broken by one tick, rho = 1/5: two owners",
     SIZE(2, 2, 2, 4, 4), TICKS(2, 2, 3),
     .features = RATES, .rate_slow = 2, .rate_fast = 3, .violates = 1, .seconds = 2},
    {"rates-1-2", "T2 at the bound, rho = 1/2",
     SIZE(2, 2, 2, 4, 4), TICKS(1, 3, 3),
     .features = RATES, .rate_slow = 1, .rate_fast = 3, .seconds = 3},
    {"rates-1-2-acceptor", "T2 broken by one tick, rho = 1/2: two owners",
     SIZE(2, 2, 2, 4, 4), TICKS(1, 2, 3),
     .features = RATES, .rate_slow = 1, .rate_fast = 3, .violates = 1, .seconds = 3},
    {"rates-1-7", "T2 at the bound, rho = 1/7",
     SIZE(2, 2, 2, 4, 4), TICKS(3, 4, 4),
     .features = RATES, .rate_slow = 3, .rate_fast = 4, .seconds = 7},
    {"rates-1-7-acceptor", "T2 broken by one tick, rho = 1/7: two owners",
     SIZE(2, 2, 2, 4, 4), TICKS(3, 3, 4),
     .features = RATES, .rate_slow = 3, .rate_fast = 4, .violates = 1, .seconds = 7},
    {"rates-3-5", "T2 at the bound, rho = 3/5",
     SIZE(2, 2, 2, 4, 4), TICKS(1, 4, 4),
     .features = RATES, .rate_slow = 1, .rate_fast = 4, .seconds = 30},
    {"rates-3-5-acceptor", "T2 broken by one tick, rho = 3/5: two owners",
     SIZE(2, 2, 2, 4, 4), TICKS(1, 3, 4),
     .features = RATES, .rate_slow = 1, .rate_fast = 4, .violates = 1, .seconds = 30},
    {"reconfiguration", "F3: 3 -> 4 -> 5 acceptors in two quick steps",
     SIZE(2, 5, 2, 2, 5), TICKS(2, 2, 2),
     .versions = {{0, 3}, {0, 4}, {0, 5}}, .versions_count = 3, .seconds = 120},
    {"reconfiguration-small", "F3: 1 -> 2 -> 3 acceptors in two quick steps",
     SIZE(2, 3, 2, 2, 3), TICKS(2, 2, 2),
     .versions = {{0, 1}, {0, 2}, {0, 3}}, .versions_count = 3, .seconds = 1},
    {"reconfiguration-jump", "F3: {1,2,3} -> {3,4,5} at once, a larger step",
     SIZE(2, 5, 2, 2, 5), TICKS(2, 2, 2),
     .versions = {{0, 3}, {2, 3}}, .versions_count = 2, .larger_step = 1, .seconds = 15},
    {"reconfiguration-crash", "F3: 1 -> 2 -> 3 acceptors, and crashes",
     SIZE(2, 3, 2, 2, 3), TICKS(2, 2, 2),
     .versions = {{0, 1}, {0, 2}, {0, 3}}, .versions_count = 3, .features = CRASH, .seconds = 120},
    {"reconfiguration-renew", "F3: 1 -> 2 -> 3 acceptors, renewal and retry",
     SIZE(2, 3, 3, 2, 3), TICKS(2, 2, 2),
     .versions = {{0, 1}, {0, 2}, {0, 3}}, .versions_count = 3, .features = RENEW | ABANDON,
     .seconds = 5},
    {"stale-clock", "T1 broken: an acceptor reads its clock before the bytes",
     SIZE(2, 2, 2, 3, 4), TICKS(2, 2, 2),
     .features = TN_EXPLORE_STALE, .violates = 1, .seconds = 1},
};
/* clang-format on */

#define OWN_COUNT (sizeof(own_configs) / sizeof(own_configs[0]))

/* The features of a row, as they are called here. */
static uint32_t features_of(const struct tn__lease_row *row)
{
    uint32_t features = 0;
    features |= (row->features & TN_LEASE_CRASH) != 0 ? CRASH : 0U;
    features |= (row->features & TN_LEASE_RELEASE) != 0 ? RELEASE : 0U;
    features |= (row->features & TN_LEASE_DROP) != 0 ? DROP : 0U;
    features |= (row->features & TN_LEASE_RENEW) != 0 ? RENEW : 0U;
    features |= (row->features & TN_LEASE_ABANDON) != 0 ? ABANDON : 0U;
    features |= (row->features & TN_LEASE_REDELIVER) != 0 ? (uint32_t)TN_EXPLORE_REDELIVER : 0U;
    return features;
}

/* Weakened rules are patches here, so a row that weakens one gives its setting alone; a purging
 * network and the shipped protocol are not ours to run. */
static bool is_a_setting(const struct tn__lease_row *row)
{
    return (row->features & TN_LEASE_PURGE) == 0 && (row->weaknesses & TN_LEASE_SHIPPED) == 0;
}

/* Rows that take longer than a second, and about how long on one core. */
static const struct {
    const char *name;
    uint8_t seconds;
} slow_rows[] = {
    {"quarantine-3-acceptors", 6},
    {"release-crash", 25},
    {"renew-crash-3-acceptors", 120},
    {"redeliver-crash", 10},
    {"retry", 30},
    {"retry-5-messages", 40},
    {"retry-twice", 255},
    {"renew-retry", 40},
    {"release-crash-directed", 120},
    {"renew-crash-directed", 5},
    {"quarantine-below-3-acceptors", 40},
};

static uint8_t seconds_of(const char *name)
{
    for (size_t i = 0; i < sizeof(slow_rows) / sizeof(slow_rows[0]); i++) {
        if (strcmp(slow_rows[i].name, name) == 0) {
            return slow_rows[i].seconds;
        }
    }
    return 1;
}

static void config_of_row(const struct tn__lease_row *row, struct tn__explore_lease_config *config)
{
    bool unfinished = strcmp(row->name, "release-crash-3-acceptors") == 0;
    *config = (struct tn__explore_lease_config){
        .name = row->name,
        .about = row->weaknesses != 0     ? "the setting for a weakened rule"
                 : row->trace_states != 0 ? "below its bound: two owners"
                                          : "a row of the published table",
        SIZE(row->proposers_count, row->acceptors_count, row->ballots_count, row->time_max,
             row->messages_max),
        TICKS(row->proposer_ticks, row->acceptor_ticks, row->quarantine_ticks),
        .features = features_of(row),
        .guide = (uint8_t)row->guide,
        .seconds = seconds_of(row->name),
        .table_row = row->weaknesses == 0 && row->trace_states == 0 && !unfinished,
        .violates = row->weaknesses == 0 && row->trace_states != 0,
        .setting = row->weaknesses != 0 || unfinished,
    };
}

uint32_t tn__explore_lease_count(void)
{
    uint32_t count = OWN_COUNT;
    for (size_t i = 0; i < tn__lease_rows_count; i++) {
        count += is_a_setting(&tn__lease_rows[i]);
    }
    return count;
}

bool tn__explore_lease_config_at(uint32_t index, struct tn__explore_lease_config *config)
{
    for (size_t i = 0; i < tn__lease_rows_count; i++) {
        if (is_a_setting(&tn__lease_rows[i]) && index-- == 0) {
            config_of_row(&tn__lease_rows[i], config);
            return true;
        }
    }
    if (index >= OWN_COUNT) {
        return false;
    }
    *config = own_configs[index];
    return true;
}

bool tn__explore_lease_config_find(const char *name, struct tn__explore_lease_config *config)
{
    for (uint32_t i = 0; tn__explore_lease_config_at(i, config); i++) {
        if (strcmp(config->name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* Only acceptors that are members of the same versions have names that can be exchanged. */
static uint32_t alike_of(const struct tn__explore_lease *lease)
{
    uint32_t alike = 0;
    for (uint32_t i = 1; i < lease->config->acceptors; i++) {
        bool same = true;
        for (uint32_t version = 1; version <= lease->config->versions_count; version++) {
            same = same && (tn__explore_member(lease, version, i) == TN_EXPLORE_NO_MEMBER) ==
                               (tn__explore_member(lease, version, i - 1) == TN_EXPLORE_NO_MEMBER);
        }
        alike |= (uint32_t)same << i;
    }
    return alike;
}

void tn__explore_lease_init(struct tn__explore_lease *lease,
                            const struct tn__explore_lease_config *config, bool reduced)
{
    tn_assert(config->proposers >= 1 && config->proposers <= TN_EXPLORE_LEASE_PROPOSERS);
    tn_assert(config->acceptors >= 1 && config->acceptors <= TN_EXPLORE_LEASE_ACCEPTORS);
    tn_assert(config->ballots <= TN_EXPLORE_LEASE_BALLOTS_NARROW);
    tn_assert(config->versions_count == 0 ||
              (config->features & (ENDLESS | RATES | RELEASE | FENCED)) == 0);
    *lease = (struct tn__explore_lease){
        .config_copy = *config,
        .normalise = reduced || (config->features & ENDLESS) != 0,
        .symmetry = reduced,
    };
    lease->config = &lease->config_copy;
    lease->alike = alike_of(lease);
    lease->model = (struct tn__explore_model){
        .name = config->name,
        .context = lease,
        .state_bytes = (uint32_t)(sizeof(struct tn__explore_cluster) -
                                  (TN_EXPLORE_LEASE_ACCEPTORS - (size_t)config->acceptors) *
                                      sizeof(struct tn__explore_acceptor)),
        .initial = tn__explore_lease_initial,
        .successors = tn__explore_lease_successors,
        .canonicalise = lease->normalise || lease->symmetry ? tn__explore_lease_canonicalise : NULL,
        .constraint = tn__explore_lease_constraint,
        .check = tn__explore_lease_check,
        .print_state = tn__explore_lease_print_state,
        .print_event = tn__explore_lease_print_event,
    };
}
