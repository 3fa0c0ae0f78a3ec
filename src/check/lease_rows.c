/* The table of lease configurations: see lease_rows.h. */
#include "check/lease_rows.h"

#include <string.h>

#define CRASH TN_LEASE_CRASH
#define RELEASE TN_LEASE_RELEASE
#define DROP TN_LEASE_DROP
#define RENEW TN_LEASE_RENEW
#define ABANDON TN_LEASE_ABANDON
#define REDELIVER TN_LEASE_REDELIVER

/* Proposers, acceptors, ballots; the horizon and the messages in flight. */
#define SIZE(p, a, b, t, n)                                                                        \
    .proposers_count = (p), .acceptors_count = (a), .ballots_count = (b), .time_max = (t),         \
    .messages_max = (n)
/* Ticks of a proposer's lease, of an acceptor's, and of quarantine. */
#define TICKS(proposer, acceptor, quarantine)                                                      \
    .proposer_ticks = (proposer), .acceptor_ticks = (acceptor), .quarantine_ticks = (quarantine)

/* clang-format off: one look should take in a row. */
const struct tn__lease_row tn__lease_rows[] = {
    /* The rules as they are: no reachable state has two owners. */
    {"base", SIZE(2, 3, 2, 2, 4), TICKS(2, 2, 2), .states_count = 491037,
     .transitions_count = 1709874},
    {"renew-release", SIZE(1, 2, 2, 3, 3), TICKS(2, 2, 2), .features = RENEW | RELEASE,
     .states_count = 7717},
    {"crash-restart", SIZE(2, 2, 2, 2, 4), TICKS(2, 2, 2), .features = CRASH,
     .states_count = 37425056, .transitions_count = 187889759},
    {"drift", SIZE(1, 2, 1, 2, 3), TICKS(1, 2, 2), .features = CRASH, .states_count = 40784},
    {"quarantine-1-2-1", SIZE(2, 2, 2, 2, 4), TICKS(1, 2, 1), .features = CRASH,
     .states_count = 76749192},
    {"quarantine-2-3-2", SIZE(2, 2, 2, 2, 4), TICKS(2, 3, 2), .features = CRASH,
     .states_count = 36772096},
    {"quarantine-3-acceptors", SIZE(2, 3, 2, 2, 4), TICKS(1, 2, 1), .features = CRASH},
    {"redeliver", SIZE(2, 2, 2, 2, 4), TICKS(2, 2, 2), .features = REDELIVER,
     .states_count = 1857563},
    {"release-race", SIZE(2, 3, 3, 2, 4), TICKS(2, 2, 2), .features = RELEASE,
     .states_count = 23743497},
    {"release-crash", SIZE(2, 2, 3, 2, 4), TICKS(2, 2, 2), .features = RELEASE | CRASH},
    {"renew-crash-3-acceptors", SIZE(2, 3, 3, 2, 4), TICKS(2, 2, 2), .features = RENEW | CRASH},
    {"release-crash-3-acceptors", SIZE(2, 3, 3, 1, 7), TICKS(1, 1, 1), .features = RELEASE | CRASH},
    {"redeliver-crash", SIZE(2, 2, 2, 2, 4), TICKS(2, 2, 2), .features = REDELIVER | CRASH},
    {"retry", SIZE(2, 2, 3, 2, 4), TICKS(2, 2, 2), .features = ABANDON | CRASH,
     .states_count = 2179760458},
    {"retry-5-messages", SIZE(2, 2, 3, 2, 5), TICKS(2, 2, 2), .features = ABANDON | CRASH},
    {"retry-twice", SIZE(2, 2, 4, 2, 4), TICKS(2, 2, 2), .features = ABANDON | CRASH},
    {"renew-retry", SIZE(2, 2, 3, 2, 4), TICKS(2, 2, 2), .features = RENEW | ABANDON | CRASH,
     .states_count = 2411951538},
    {"retry-redeliver", SIZE(2, 2, 3, 2, 4), TICKS(2, 2, 2), .features = ABANDON | REDELIVER,
     .states_count = 53723103},
    {"renew-release-retry", SIZE(1, 2, 3, 3, 3), TICKS(2, 2, 2),
     .features = RENEW | RELEASE | ABANDON, .states_count = 204050},
    {"incarnation-directed", SIZE(2, 3, 3, 2, 7), TICKS(2, 2, 2), .features = RELEASE | CRASH,
     .guide = TN_LEASE_GUIDE_INCARNATION, .states_count = 220119},
    {"renew-crash-directed", SIZE(2, 3, 3, 2, 4), TICKS(2, 2, 2), .features = RENEW | CRASH | DROP,
     .guide = TN_LEASE_GUIDE_RENEW_CRASH, .states_count = 6330050},
    {"release-crash-directed", SIZE(2, 3, 3, 1, 7), TICKS(1, 1, 1), .features = RELEASE | CRASH,
     .guide = TN_LEASE_GUIDE_RELEASE_CRASH, .states_count = 224164193},
    /* Weakened, and safe all the same because acceptors refuse to overwrite. */
    {"late-timer-refused", SIZE(2, 2, 2, 2, 4), TICKS(2, 2, 2), .features = CRASH,
     .weaknesses = TN_LEASE_LATE_TIMER, .states_count = 23777320},
    {"own-open-refused", SIZE(2, 2, 3, 2, 4), TICKS(2, 2, 2), .features = CRASH | ABANDON,
     .weaknesses = TN_LEASE_OWN_OPEN, .states_count = 2765270158},

    /* Weakened, and two owners follow. */
    {"quarantine-below-2-3-1", SIZE(2, 2, 2, 2, 4), TICKS(2, 3, 1), .features = CRASH,
     .trace_states = 26},
    {"quarantine-below-1-2-0", SIZE(2, 2, 2, 2, 4), TICKS(1, 2, 0), .features = CRASH,
     .trace_states = 25},
    {"quarantine-below-3-acceptors", SIZE(2, 3, 2, 2, 6), TICKS(2, 2, 1), .features = CRASH,
     .trace_states = 24},
    {"late-timer", SIZE(2, 2, 2, 2, 4), TICKS(2, 2, 2), .features = CRASH,
     .weaknesses = TN_LEASE_LATE_TIMER | TN_LEASE_OVERWRITE, .trace_states = 27},
    {"late-timer-purge", SIZE(2, 2, 2, 2, 4), TICKS(2, 2, 2), .features = CRASH | TN_LEASE_PURGE,
     .weaknesses = TN_LEASE_LATE_TIMER | TN_LEASE_OVERWRITE, .trace_states = 27},
    {"late-timer-3-acceptors", SIZE(2, 3, 2, 2, 6), TICKS(2, 2, 2), .features = CRASH,
     .weaknesses = TN_LEASE_LATE_TIMER | TN_LEASE_OVERWRITE, .trace_states = 25},
    {"release-by-owner", SIZE(2, 2, 3, 2, 6), TICKS(2, 2, 2), .features = RELEASE,
     .weaknesses = TN_LEASE_RELEASE_BY_OWNER, .trace_states = 36},
    {"count-messages", SIZE(2, 2, 2, 1, 4), TICKS(1, 1, 0), .features = REDELIVER,
     .weaknesses = TN_LEASE_COUNT_MESSAGES, .trace_states = 18},
    {"own-open", SIZE(2, 2, 3, 2, 4), TICKS(2, 2, 2), .features = CRASH | ABANDON,
     .weaknesses = TN_LEASE_OWN_OPEN | TN_LEASE_OVERWRITE, .trace_states = 36},
    {"owner-by-node", SIZE(2, 3, 3, 2, 7), TICKS(2, 2, 2), .features = RELEASE | CRASH,
     .weaknesses = TN_LEASE_OWNER_BY_NODE, .guide = TN_LEASE_GUIDE_INCARNATION, .trace_states = 43},
    {"overwrite-renewal", SIZE(2, 3, 3, 2, 4), TICKS(2, 2, 2), .features = RENEW | CRASH | DROP,
     .weaknesses = TN_LEASE_OVERWRITE, .guide = TN_LEASE_GUIDE_RENEW_CRASH, .trace_states = 39},
    {"overwrite-release", SIZE(2, 3, 3, 1, 7), TICKS(1, 1, 1), .features = RELEASE | CRASH,
     .weaknesses = TN_LEASE_OVERWRITE, .guide = TN_LEASE_GUIDE_RELEASE_CRASH, .trace_states = 40},

    /* The protocol that was shipped: safe while time-outs run on time and quarantine covers both
     * the lease and the time-out. */
    {"shipped-2-2-2", SIZE(2, 2, 2, 3, 4), TICKS(2, 2, 2), .retry_ticks = 2, .features = CRASH,
     .weaknesses = TN_LEASE_SHIPPED, .states_count = 37160904},
    {"shipped-1-2-2", SIZE(2, 2, 2, 3, 4), TICKS(1, 2, 2), .retry_ticks = 2, .features = CRASH,
     .weaknesses = TN_LEASE_SHIPPED, .states_count = 37476080},
    {"shipped-2-1-2", SIZE(2, 2, 2, 3, 4), TICKS(2, 2, 2), .retry_ticks = 1, .features = CRASH,
     .weaknesses = TN_LEASE_SHIPPED, .states_count = 18160464},
    {"shipped-below-2-2-1", SIZE(2, 2, 2, 3, 4), TICKS(2, 2, 1), .retry_ticks = 2,
     .features = CRASH, .weaknesses = TN_LEASE_SHIPPED, .trace_states = 26},
    {"shipped-below-1-2-1", SIZE(2, 2, 2, 2, 4), TICKS(1, 2, 1), .retry_ticks = 2,
     .features = CRASH, .weaknesses = TN_LEASE_SHIPPED, .trace_states = 26},
    {"shipped-late-dispatch", SIZE(2, 2, 2, 3, 4), TICKS(2, 2, 2), .retry_ticks = 1,
     .features = CRASH, .weaknesses = TN_LEASE_SHIPPED | TN_LEASE_LATE_DISPATCH,
     .trace_states = 27},
};
/* clang-format on */

const size_t tn__lease_rows_count = sizeof(tn__lease_rows) / sizeof(tn__lease_rows[0]);

const struct tn__lease_row *tn__lease_row_find(const char *name)
{
    for (size_t i = 0; i < tn__lease_rows_count; i++) {
        if (strcmp(tn__lease_rows[i].name, name) == 0) {
            return &tn__lease_rows[i];
        }
    }
    return NULL;
}
