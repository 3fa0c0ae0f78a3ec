/* Options of the lease machine: defaults, and the relations T2 and T3 that safety rests on. */
#include <tenure/lease.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/bytes.h"
#include "base/random.h"
#include "base/text.h"
#include <tenure/error.h>

#define DRIFT_PPM_DEFAULT 500U
#define PROPOSER_NS_DEFAULT (10 * TN_SECOND)
#define NAMES_DEFAULT 4096U

tn_time tn_lease_exclusion_ns(tn_time proposer_ns, uint32_t drift_ppm)
{
    tn_assert(drift_ppm <= TN_DRIFT_PPM_MAX);
    tn_assert(proposer_ns <= TN_DURATION_NS_MAX);
    /* T2, T3: the least D with D_P * (1 + rho) <= D * (1 - rho). */
    tn__u128 longest = (tn__u128)proposer_ns * (1000000U + drift_ppm);
    uint32_t slowest = 1000000U - drift_ppm;
    return (tn_time)((longest + slowest - 1) / slowest);
}

uint32_t tn_lease_durations_digest(const struct tn_lease_table_options *table, uint32_t drift_ppm)
{
    uint8_t bytes[28];
    tn__put_u64(bytes, table->proposer_ns);
    tn__put_u64(bytes + 8, table->acceptor_ns);
    tn__put_u64(bytes + 16, table->quarantine_ns);
    tn__put_u32(bytes + 24, drift_ppm);
    return tn__crc32c(0, bytes, sizeof(bytes));
}

static void or_default(tn_time *value, tn_time standard)
{
    if (*value == 0) {
        *value = standard;
    }
}

static void complete_table(struct tn_lease_table_options *table, uint32_t drift_ppm)
{
    tn_assert(table != NULL);
    or_default(&table->proposer_ns, PROPOSER_NS_DEFAULT);
    tn_time exclusion = table->proposer_ns <= TN_DURATION_NS_MAX && drift_ppm <= TN_DRIFT_PPM_MAX
                            ? tn_lease_exclusion_ns(table->proposer_ns, drift_ppm)
                            : table->proposer_ns;
    or_default(&table->acceptor_ns, exclusion);
    or_default(&table->quarantine_ns, exclusion);
    or_default(&table->renew_ns, table->proposer_ns / 3);
    or_default(&table->resend_ns, table->proposer_ns / 16);
    or_default(&table->back_off_ns, table->proposer_ns / 20);
    or_default(&table->hand_over_ns, 10 * table->proposer_ns);
    if (table->names_max == 0) {
        table->names_max = NAMES_DEFAULT;
    }
    if (table->contended_max == 0) {
        table->contended_max = table->names_max;
    }
}

/* The first relation of a table that does not hold, as a sentence; NULL: all hold. */
static const char *table_fault(const struct tn_lease_table_options *table, uint32_t drift_ppm)
{
    if (table->proposer_ns < TN_DURATION_NS_MIN || table->proposer_ns > TN_DURATION_NS_MAX) {
        return "proposer_ns (D_P) must be from 1 ms to 1 day";
    }
    tn_time exclusion = tn_lease_exclusion_ns(table->proposer_ns, drift_ppm);
    if (table->acceptor_ns < exclusion) {
        return "acceptor_ns (D_A) breaks T2: D_P * (1 + rho) <= D_A * (1 - rho); raise it or leave "
               "it 0";
    }
    if (table->quarantine_ns < exclusion) {
        return "quarantine_ns (D_Q) breaks T3: D_P * (1 + rho) <= D_Q * (1 - rho); raise it or "
               "leave "
               "it 0";
    }
    if (table->acceptor_ns > 2 * TN_DURATION_NS_MAX ||
        table->quarantine_ns > 2 * TN_DURATION_NS_MAX) {
        return "acceptor_ns and quarantine_ns must be at most 2 days";
    }
    if (table->renew_ns >= table->proposer_ns) {
        return "renew_ns must be below proposer_ns";
    }
    if (table->resend_ns >= table->proposer_ns || table->back_off_ns > table->proposer_ns) {
        return "resend_ns must be below, and back_off_ns at most, proposer_ns";
    }
    if (table->hand_over_ns > 365 * TN_DURATION_NS_MAX) {
        return "hand_over_ns must be at most a year";
    }
    if (table->names_max > TN_NAMES_MAX || table->contended_max > table->names_max) {
        return "names_max is too large, or contended_max above it";
    }
    if (table->observe > TN_OBSERVE_RETURNING) {
        return "observe is none of the three modes";
    }
    return NULL;
}

static const char *member_fault(const struct tn_lease_options *options)
{
    if (options->members_count < 1 || options->members_count > TN_MEMBERS_MAX) {
        return "members_count must be from 1 to 15";
    }
    if (options->self >= options->members_count) {
        return "self must be an index into members";
    }
    for (uint32_t i = 0; i < options->members_count; i++) {
        if (options->members[i] == 0) {
            return "a member's id must not be 0";
        }
        for (uint32_t k = 0; k < i; k++) {
            if (options->members[k] == options->members[i]) {
                return "two members have the same id";
            }
        }
    }
    return NULL;
}

static const char *fault_of(const struct tn_lease_options *options)
{
    if (options->drift_ppm > TN_DRIFT_PPM_MAX) {
        return "drift_ppm (rho) must be at most 333333";
    }
    if (options->restart_word == 0 || options->restart_word == UINT64_MAX) {
        return "restart_word must be given: count of starts << 32 | random";
    }
    if (options->diskless != 0 && options->ceiling != 0) {
        return "a diskless node has no ceiling";
    }
    if (options->tables_count > TN_TABLES_MAX) {
        return "at most 8 tables";
    }
    return member_fault(options);
}

int tn_lease_options_complete(struct tn_lease_options *options, char *why, size_t why_size)
{
    char nowhere[1];
    struct tn__text text;
    tn__text_init(&text, why_size > 0 ? why : nowhere, why_size > 0 ? why_size : sizeof(nowhere));

    if (options->tables_count == 0) {
        options->tables_count = 1;
    }
    if (options->drift_ppm == 0) {
        options->drift_ppm = DRIFT_PPM_DEFAULT;
    }
    if (options->configuration == 0) {
        options->configuration = 1;
    }
    const char *fault = fault_of(options);
    if (fault != NULL) {
        tn__text_add(&text, "%s", fault);
        return TN_ERROR_INVALID;
    }
    for (uint32_t i = 0; i < options->tables_count; i++) {
        complete_table(&options->tables[i], options->drift_ppm);
        fault = table_fault(&options->tables[i], options->drift_ppm);
        if (fault != NULL) {
            tn__text_add(&text, "table %u: %s", i, fault);
            return TN_ERROR_INVALID;
        }
    }
    return TN_OK;
}
