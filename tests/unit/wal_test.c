/* The log on a disk that does what it is told: what is written is read back, and space comes and
 * goes. Faults are in wal_fault_test.c, crashes in wal_crash_test.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "store/wal_codec.h"
#include "support/wal_rig.h"

static void W1_what_is_written_is_shown_at_the_next_start(void **state)
{
    (void)state;
    for (uint32_t direct = 0; direct < 2; direct++) {
        struct rig rig;
        rig_init(&rig, 1);
        rig.options.direct = direct;
        for (uint32_t run = 0; run < 6; run++) {
            rig_must_recover(&rig);
            assert_int_equal(rig.durable, run * 30);
            rig_must_read_all(&rig);
            rig_write_many(&rig, 30);
            rig_must_read_all(&rig);
            rig_close(&rig);
            tn__sim_disk_restart(rig.disk, TN_SIM_DISK_LOSE_ALL);
        }
        rig_free(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(W1_what_is_written_is_shown_at_the_next_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
