/* Options: T2 and T3, defaults, and a sentence for every field that is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include <tenure/error.h>
#include <tenure/lease.h>

static struct tn_lease_options good(void)
{
    return (struct tn_lease_options){
        .members = {1, 2, 3}, .members_count = 3, .restart_word = 1ULL << 32};
}

static void T2_T3_hold_by_default_at_every_drift(void **state)
{
    (void)state;
    const uint32_t drifts[] = {1, 500, 10000, 333333};
    for (uint32_t i = 0; i < 4; i++) {
        struct tn_lease_options options = good();
        options.drift_ppm = drifts[i];
        assert_int_equal(tn_lease_options_complete(&options, NULL, 0), TN_OK);
        const struct tn_lease_table_options *table = &options.tables[0];
        double slow = 1e6 - drifts[i], fast = 1e6 + drifts[i];
        assert_true((double)table->proposer_ns * fast <= (double)table->acceptor_ns * slow);
        assert_true((double)table->proposer_ns * fast <= (double)table->quarantine_ns * slow);
        /* ... and not by more than the rounding: one nanosecond less would break it. */
        assert_true((double)table->proposer_ns * fast > (double)(table->acceptor_ns - 2) * slow);
    }
    assert_int_equal(tn_lease_exclusion_ns(3 * TN_SECOND, 333333), 5999995501);
}

static void complete_and_expect(struct tn_lease_options options, const char *part)
{
    char why[160] = "";
    assert_int_equal(tn_lease_options_complete(&options, why, sizeof(why)), TN_ERROR_INVALID);
    if (strstr(why, part) == NULL) {
        fail_msg("\"%s\" does not mention \"%s\"", why, part);
    }
}

static void every_fault_is_named(void **state)
{
    (void)state;
    struct tn_lease_options options = good();
    options.tables[0].acceptor_ns = 10 * TN_SECOND;
    complete_and_expect(options, "T2");
    options = good();
    options.tables[0].quarantine_ns = TN_SECOND;
    complete_and_expect(options, "T3");
    options = good();
    options.tables[0].proposer_ns = 5;
    complete_and_expect(options, "proposer_ns");
    options = good();
    options.tables[0].proposer_ns = 1ULL << 63;
    complete_and_expect(options, "proposer_ns");
    options = good();
    options.tables[0].renew_ns = 10 * TN_SECOND;
    complete_and_expect(options, "renew_ns");
    options = good();
    options.tables[0].observe = 9;
    complete_and_expect(options, "observe");
    options = good();
    options.tables[0].names_max = 5;
    options.tables[0].contended_max = 6;
    complete_and_expect(options, "contended_max");
    options = good();
    options.members[2] = 1;
    complete_and_expect(options, "same id");
    options = good();
    options.members[2] = 0;
    complete_and_expect(options, "0");
    options = good();
    options.self = 3;
    complete_and_expect(options, "self");
    options = good();
    options.members_count = 16;
    complete_and_expect(options, "members_count");
    options = good();
    options.restart_word = UINT64_MAX;
    complete_and_expect(options, "restart_word");
    options = good();
    options.drift_ppm = 333334;
    complete_and_expect(options, "drift_ppm");
    options = good();
    options.diskless = 1;
    options.ceiling = 1;
    complete_and_expect(options, "diskless");
    options = good();
    options.tables_count = 9;
    complete_and_expect(options, "tables");
    options = good();
    options.tables_count = 2;
    options.tables[1].back_off_ns = 1ULL << 62;
    complete_and_expect(options, "table 1");
}

static void the_digest_tells_durations_and_drift_apart(void **state)
{
    (void)state;
    struct tn_lease_table_options table = {.proposer_ns = 1, .acceptor_ns = 2, .quarantine_ns = 3};
    uint32_t digest = tn_lease_durations_digest(&table, 500);
    assert_int_equal(digest, tn_lease_durations_digest(&table, 500));
    assert_int_not_equal(digest, tn_lease_durations_digest(&table, 501));
    table.quarantine_ns = 4;
    assert_int_not_equal(digest, tn_lease_durations_digest(&table, 500));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(T2_T3_hold_by_default_at_every_drift),
        cmocka_unit_test(every_fault_is_named),
        cmocka_unit_test(the_digest_tells_durations_and_drift_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
