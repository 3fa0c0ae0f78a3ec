/* Verbs that make a cluster and let things happen to it: time, crashes, pauses, disks, clocks. */
#include <stdlib.h>
#include <string.h>

#include <tenure/error.h>

#include "base/assert.h"
#include "sim/scenario_internal.h"

/* A write may lead to another one; a disk is never asked for ever. */
#define WRITES_IN_A_ROW_MAX 8U

#define TIMER_LATE_NS 2U

void tn__scenario_finish_writes(struct tn__scenario *scenario)
{
    for (uint32_t i = 0; i <= tn__world_nodes(scenario->world); i++) {
        uint32_t writes = 0;
        while (scenario->nodes[i].disk == TN__SCENARIO_DISK_AUTO &&
               tn__world_is_up(scenario->world, i) && !tn__world_is_paused(scenario->world, i) &&
               tn__world_is_writing(scenario->world, i) && writes++ < WRITES_IN_A_ROW_MAX) {
            tn__world_finish_write(scenario->world, i);
        }
    }
}

/* A hook of the world: disks that are not told to wait write at once. */
static void write_begun(void *context, uint32_t process)
{
    struct tn__scenario *scenario = context;
    if (scenario->nodes[process].disk == TN__SCENARIO_DISK_AUTO) {
        tn__world_plan_write(scenario->world, process, tn__world_now(scenario->world));
    }
}

/* A hook of the world: timers come a moment late, as they do everywhere. So what is due just before
 * a deadline (without `resend` that is the one repetition) has become pointless when it is. */
static tn_time timer_at(void *context, uint32_t process, tn_time due)
{
    (void)context;
    (void)process;
    return due + TIMER_LATE_NS;
}

/* ---- cluster --------------------------------------------------------------------------------- */

static bool read_durations(struct tn__scenario *scenario, struct tn__scenario_command *command,
                           struct tn_lease_table_options *table)
{
    if (!tn__scenario_span_of(scenario, command, "lease", &table->proposer_ns) ||
        !tn__scenario_span_of(scenario, command, "acceptor", &table->acceptor_ns) ||
        !tn__scenario_span_of(scenario, command, "quarantine", &table->quarantine_ns)) {
        return false;
    }
    /* Without a word about it nothing is repeated within an attempt: stories are about messages
     * that arrive or do not, and a repetition would blur which. */
    table->renew_ns = table->proposer_ns / 3;
    table->resend_ns = table->proposer_ns - 1;
    return tn__scenario_span_of(scenario, command, "renew", &table->renew_ns) &&
           tn__scenario_span_of(scenario, command, "resend", &table->resend_ns) &&
           tn__scenario_span_of(scenario, command, "back-off", &table->back_off_ns) &&
           tn__scenario_span_of(scenario, command, "hand-over", &table->hand_over_ns);
}

static bool read_options(struct tn__scenario *scenario, struct tn__scenario_command *command,
                         struct tn__world_options *options)
{
    static const char *const modes[] = {"online", "owner", "returning"};
    uint64_t nodes = 3;
    uint64_t drift = 0;
    struct tn_lease_table_options *table = &options->tables[0];
    table->proposer_ns = 2 * TN_SECOND;
    options->seed = 1;
    if (!read_durations(scenario, command, table) ||
        !tn__scenario_number_of(scenario, command, "nodes", &nodes) ||
        !tn__scenario_number_of(scenario, command, "drift", &drift) ||
        !tn__scenario_number_of(scenario, command, "seed", &options->seed)) {
        return false;
    }
    const char *observe = tn__scenario_value(command, "observe");
    table->observe = TN_OBSERVE_RETURNING + 1;
    for (uint32_t i = 0; i <= TN_OBSERVE_RETURNING; i++) {
        if (strcmp(observe == NULL ? "online" : observe, modes[i]) == 0) {
            table->observe = i;
        }
    }
    if (nodes < 1 || nodes > TN_MEMBERS_MAX || drift > TN_DRIFT_PPM_MAX ||
        table->observe > TN_OBSERVE_RETURNING) {
        tn__scenario_error(scenario, "nodes, drift or observe is out of range");
        return false;
    }
    table->names_max = 64;
    options->nodes_count = (uint32_t)nodes;
    options->drift_ppm = (uint32_t)drift;
    options->diskless = tn__scenario_has(command, "diskless");
    options->unchecked = tn__scenario_has(command, "unchecked");
    options->single_item = 1;
    return true;
}

static void begin_drawing(struct tn__scenario *scenario, uint32_t nodes)
{
    for (uint32_t i = 0; i < nodes; i++) {
        char name[] = {'n', 'o', 'd', 'e', ' ', (char)('1' + i), '\0', '\0'};
        if (i >= 9) {
            name[5] = '1';
            name[6] = (char)('0' + (i + 1) % 10);
        }
        tn__sequence_lifeline(scenario->sequence, name);
    }
    for (uint32_t i = 0; i < TN_WORLD_PROCESSES_MAX; i++) {
        struct tn__scenario_node *node = &scenario->nodes[i];
        node->lease_bar = node->exclusion_bar = TN_SEQUENCE_NONE;
        node->quarantine_bar = node->other_bar = TN_SEQUENCE_NONE;
    }
}

/* The copy of a directory is drawn beside the others, once there is one. */
static void start_all(struct tn__scenario *scenario, bool fresh)
{
    struct tn__world *world = scenario->world;
    const struct tn_lease_table_options *table = &tn__world_lease_options(world)->tables[0];
    scenario->muted = !fresh;
    scenario->zero = tn__world_now(world) + (fresh ? 0 : table->quarantine_ns);
    if (fresh) {
        tn__scenario_row(scenario);
    }
    for (uint32_t i = 0; i < tn__world_nodes(world); i++) {
        int error = tn__world_start(world, i, true);
        tn_assert(error == TN_OK);
    }
    tn__world_run(world, scenario->zero);
    scenario->muted = false;
    tn__scenario_row(scenario);
}

static void describe(struct tn__scenario *scenario)
{
    const struct tn_lease_options *options = tn__world_lease_options(scenario->world);
    const struct tn_lease_table_options *table = &options->tables[0];
    tn__scenario_say(scenario, "%u node%s%s: D_P %s, D_A %s, D_Q %s", options->members_count,
                     options->members_count == 1 ? "" : "s", scenario->diskless ? ", diskless" : "",
                     tn__scenario_seconds(table->proposer_ns).text,
                     tn__scenario_seconds(table->acceptor_ns).text,
                     tn__scenario_seconds(table->quarantine_ns).text);
}

void tn__scenario_do_cluster(struct tn__scenario *scenario, struct tn__scenario_command *command)
{
    struct tn__world_options options = {0};
    if (scenario->world != NULL || scenario->log != NULL) {
        tn__scenario_error(scenario, "there is a cluster already");
        return;
    }
    if (!read_options(scenario, command, &options)) {
        return;
    }
    bool fresh = tn__scenario_has(command, "fresh");
    char why[256];
    struct tn__world *world = tn__world_new();
    if (tn__world_reset(world, &options, why, sizeof(why)) != TN_OK) {
        tn__scenario_say(scenario, "refused: %s", why);
        tn__world_free(world);
        return;
    }
    scenario->world = world;
    scenario->diskless = options.diskless != 0;
    scenario->judge = tn__lease_judge_new();
    struct tn__world_hooks hooks = {.context = scenario,
                                    .frame_sent = tn__scenario_frame_sent,
                                    .write_begun = write_begun,
                                    .timer_at = timer_at};
    tn__world_set_hooks(world, &hooks);
    struct tn__world_observer observer = {.context = scenario, .see = tn__scenario_see};
    tn__world_add_observer(world, &observer);
    tn__lease_judge_begin(scenario->judge, world);
    begin_drawing(scenario, options.nodes_count);
    describe(scenario);
    start_all(scenario, fresh);
}

/* ---- Time ------------------------------------------------------------------------------------ */

void tn__scenario_do_advance(struct tn__scenario *scenario, struct tn__scenario_command *command)
{
    const char *to = tn__scenario_value(command, "to");
    const char *by = to == NULL ? tn__scenario_bare(command) : to;
    tn_time now = tn__world_now(scenario->world);
    tn_time span = 0;
    if (by == NULL || !tn__scenario_span(by, &span)) {
        tn__scenario_error(scenario, "advance by how much?");
        return;
    }
    tn_time until = to != NULL ? scenario->zero + span : now + span;
    if (until < now) {
        tn__scenario_error(scenario, "that is past");
        return;
    }
    tn__world_run(scenario->world, until);
    tn__scenario_row(scenario);
}

/* ---- Processes ------------------------------------------------------------------------------- */

void tn__scenario_do_crash(struct tn__scenario *scenario, struct tn__scenario_command *command)
{
    tn_member_set nodes;
    uint64_t operations = 0;
    const char *disk = tn__scenario_value(command, "disk");
    if (!tn__scenario_nodes_of(scenario, command, "node", 0, &nodes) ||
        !tn__scenario_number_of(scenario, command, "operations", &operations)) {
        return;
    }
    bool keep = disk != NULL && strcmp(disk, "keep") == 0;
    if (disk != NULL && !keep && strcmp(disk, "lose") != 0) {
        tn__scenario_error(scenario, "disk=%s is neither keep nor lose", disk);
        return;
    }
    for (uint32_t i = 0; nodes >> i != 0; i++) {
        if ((nodes >> i & 1U) != 0 && tn__world_is_up(scenario->world, i)) {
            tn__world_crash(scenario->world, i,
                            keep ? TN_SIM_DISK_PROCESS_ONLY : TN_SIM_DISK_LOSE_ALL, operations);
        }
    }
}

static void connect(struct tn__scenario *scenario, uint32_t node)
{
    for (uint32_t i = 0; i < tn__world_nodes(scenario->world); i++) {
        if (!tn__scenario_parted(scenario, node, i)) {
            tn__world_connect(scenario->world, node, i);
            tn__world_connect(scenario->world, i, node);
        }
    }
}

void tn__scenario_do_restart(struct tn__scenario *scenario, struct tn__scenario_command *command)
{
    tn_member_set nodes;
    bool bootstrap = tn__scenario_has(command, "bootstrap");
    bool connected = tn__scenario_has(command, "connect");
    uint64_t crash_at = 0;
    if (!tn__scenario_nodes_of(scenario, command, "node", 0, &nodes) ||
        !tn__scenario_number_of(scenario, command, "crash-at", &crash_at)) {
        return;
    }
    for (uint32_t i = 0; i < tn__world_nodes(scenario->world); i++) {
        if ((nodes >> i & 1U) == 0) {
            continue;
        }
        if (tn__world_is_up(scenario->world, i)) {
            tn__scenario_error(scenario, "node %u is up", i + 1);
            continue;
        }
        if (crash_at != 0 && !scenario->diskless) {
            struct tn__sim_disk_plan plan = {.crash_at = crash_at};
            tn__sim_disk_arm(tn__world_disk(scenario->world, i), &plan);
        }
        if (tn__world_start(scenario->world, i, bootstrap) == TN_OK && connected) {
            connect(scenario, i);
        }
    }
}

/* A second process, from a copy of the directory (fault.C9). */
void tn__scenario_do_copy(struct tn__scenario *scenario, struct tn__scenario_command *command)
{
    tn_member_set nodes;
    if (!tn__scenario_nodes_of(scenario, command, "node", 0, &nodes)) {
        return;
    }
    uint32_t original = 0;
    while ((nodes >> original & 1U) == 0) {
        original++;
    }
    tn__sequence_lifeline(scenario->sequence, "copy");
    if (tn__world_start_copy(scenario->world, original) == TN_WORLD_NONE) {
        tn__scenario_error(scenario, "the copy does not start");
    }
}

void tn__scenario_do_pause(struct tn__scenario *scenario, struct tn__scenario_command *command)
{
    tn_member_set nodes;
    if (!tn__scenario_nodes_of(scenario, command, "node", 0, &nodes)) {
        return;
    }
    for (uint32_t i = 0; nodes >> i != 0; i++) {
        if ((nodes >> i & 1U) != 0) {
            tn__world_pause(scenario->world, i);
        }
    }
}

void tn__scenario_do_resume(struct tn__scenario *scenario, struct tn__scenario_command *command)
{
    tn_member_set nodes;
    bool timers_first = tn__scenario_has(command, "timers-first");
    if (!tn__scenario_nodes_of(scenario, command, "node", 0, &nodes)) {
        return;
    }
    for (uint32_t i = 0; nodes >> i != 0; i++) {
        if ((nodes >> i & 1U) != 0) {
            tn__world_resume(scenario->world, i, !timers_first);
        }
    }
}

/* ---- Disks and clocks ------------------------------------------------------------------------ */

static void wipe(struct tn__scenario *scenario, uint32_t node)
{
    if (scenario->diskless || tn__world_is_up(scenario->world, node)) {
        tn__scenario_error(scenario, "only the disk of a node that is down can be wiped");
        return;
    }
    struct tn__sim_disk *empty = tn__sim_disk_new(1);
    tn__sim_disk_free(tn__world_swap_disk(scenario->world, node, empty));
    tn__scenario_say(scenario, "%u its disk is empty", node + 1);
}

static void disk_of(struct tn__scenario *scenario, struct tn__scenario_command *command,
                    uint32_t node)
{
    struct tn__world *world = scenario->world;
    bool fail = tn__scenario_has(command, "fail");
    if (tn__scenario_has(command, "wait")) {
        scenario->nodes[node].disk = TN__SCENARIO_DISK_WAIT;
    } else if (tn__scenario_has(command, "auto")) {
        scenario->nodes[node].disk = TN__SCENARIO_DISK_AUTO;
    } else if (tn__scenario_has(command, "wipe")) {
        wipe(scenario, node);
    } else if (!fail && !tn__scenario_has(command, "finish")) {
        tn__scenario_error(scenario, "the disk shall wait, finish, fail, wipe or auto?");
    } else if (!tn__world_is_up(world, node) || !tn__world_is_writing(world, node)) {
        tn__scenario_say(scenario, "%u is not writing", node + 1);
    } else {
        struct tn__sim_disk_plan plan = {.fail_at = fail ? 1 : 0};
        tn__sim_disk_arm(tn__world_disk(world, node), &plan);
        tn__world_finish_write(world, node);
    }
}

void tn__scenario_do_disk(struct tn__scenario *scenario, struct tn__scenario_command *command)
{
    tn_member_set nodes;
    if (!tn__scenario_nodes_of(scenario, command, "node", 0, &nodes)) {
        return;
    }
    for (uint32_t i = 0; i < tn__world_nodes(scenario->world); i++) {
        if ((nodes >> i & 1U) != 0) {
            disk_of(scenario, command, i);
        }
    }
}

/* "1.25" in millionths. */
static bool read_rate(const char *text, uint32_t *rate_ppm)
{
    tn_time seconds;
    if (!tn__scenario_span(text, &seconds) || seconds > 4 * TN_SECOND) {
        return false;
    }
    *rate_ppm = (uint32_t)(seconds / 1000);
    return true;
}

void tn__scenario_do_clock(struct tn__scenario *scenario, struct tn__scenario_command *command)
{
    tn_member_set nodes;
    tn_time jump = 0;
    tn_time lag = TN_TIME_NEVER;
    uint32_t rate_ppm = 0;
    const char *rate = tn__scenario_value(command, "rate");
    if (!tn__scenario_nodes_of(scenario, command, "node", 0, &nodes) ||
        !tn__scenario_span_of(scenario, command, "jump", &jump) ||
        !tn__scenario_span_of(scenario, command, "lag", &lag)) {
        return;
    }
    if (rate != NULL && !read_rate(rate, &rate_ppm)) {
        tn__scenario_error(scenario, "rate=%s is not a rate", rate);
        return;
    }
    for (uint32_t i = 0; i < tn__world_nodes(scenario->world); i++) {
        if ((nodes >> i & 1U) == 0) {
            continue;
        }
        if (rate != NULL) {
            tn__world_set_rate(scenario->world, i, rate_ppm, 0);
        }
        if (jump != 0) {
            tn__world_jump(scenario->world, i, jump);
        }
        if (lag != TN_TIME_NEVER) {
            tn__world_set_lag(scenario->world, i, lag);
        }
    }
}
