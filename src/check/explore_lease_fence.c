/* The ceiling of an acceptor, its disk, and its gate before each answer (F1, F4).
 *
 * A write is an event of its own (but under WRITE_AT_ONCE): a crash falls before or after it. The
 * cell knows the newest write alone; when a second one is asked for, the older completes first, as
 * files are written in order. An answer waits until the disk holds a ceiling above its ballot. */
#include "check/explore_lease_step.h"

#include "base/assert.h"

/* Numbers of the two writes that can be in flight; the cell compares them alone. */
#define WRITE_NEWEST 2
#define WRITE_NEXT 3

/* A ballot of this number is below a ceiling of that one or a higher. */
static bool is_covered(uint32_t ballot, uint32_t ceiling)
{
    return ballot <= ceiling;
}

bool tn__explore_ceiling_gate(const struct tn__explore_lease *lease,
                              struct tn__explore_cluster *cluster, uint32_t acceptor,
                              uint32_t ballot, bool *held)
{
    struct tn__explore_ceiling ceiling = tn__explore_ceiling_unpack(lease, cluster, acceptor);
    uint64_t counter = tn__explore_ballot(cluster, ballot).counter;
    uint64_t after = 0;
    uint64_t wanted = 0;
    enum tn__ceiling_verdict verdict = tn__ceiling_cover(&ceiling.cell, counter, &after, &wanted);
    if (verdict == TN__CEILING_ASK) {
        if (ceiling.cell.pending_write != 0) {
            if (ceiling.first != 0) {
                *held = false;
                return false; /* two in flight already: as if the message came later */
            }
            ceiling.first = tn__explore_number(ceiling.cell.pending);
        }
        tn__ceiling_asked(&ceiling.cell, wanted, WRITE_NEXT);
        verdict = tn__ceiling_cover(&ceiling.cell, counter, &after, &wanted);
        tn_assert(verdict == TN__CEILING_COVERED);
    }
    if (after != 0 && tn__explore_has(lease, TN_EXPLORE_WRITE_AT_ONCE)) {
        tn__ceiling_written(&ceiling.cell, WRITE_NEXT);
        ceiling.disk = tn__explore_number(ceiling.cell.durable);
        after = 0;
    }
    tn__ceiling_check(&ceiling.cell);
    tn__explore_ceiling_pack(cluster, acceptor, &ceiling);
    *held = after != 0;
    if (verdict == TN__CEILING_COVERED && !*held && !is_covered(ballot, ceiling.disk)) {
        tn__explore_flaw(cluster, TN_EXPLORE_FLAW_CEILING); /* F1 */
    }
    return verdict == TN__CEILING_COVERED;
}

/* What the disk now covers may leave. */
static void release_held(const struct tn__explore_lease *lease, struct tn__explore_cluster *cluster,
                         uint32_t acceptor, uint32_t disk)
{
    struct tn__explore_acceptor *packed = &cluster->acceptors[acceptor];
    for (uint64_t rest = packed->held; rest != 0; rest &= rest - 1) {
        uint32_t ballot = 0;
        uint32_t position = (uint32_t)__builtin_ctzll(rest);
        (void)tn__explore_message_at(lease, cluster, position, &ballot);
        if (is_covered(ballot, disk)) {
            packed->held &= ~(1ULL << position);
            packed->messages |= 1ULL << position;
        }
    }
}

static void written(const struct tn__explore_step *step, uint32_t acceptor)
{
    struct tn__explore_cluster next = *step->from;
    struct tn__explore_ceiling ceiling = tn__explore_ceiling_unpack(step->lease, &next, acceptor);
    bool older = ceiling.first != 0;
    ceiling.disk = older ? ceiling.first : tn__explore_number(ceiling.cell.pending);
    tn__ceiling_written(&ceiling.cell, older ? WRITE_NEWEST - 1 : WRITE_NEWEST);
    ceiling.first = 0;
    tn__ceiling_check(&ceiling.cell);
    tn__explore_ceiling_pack(&next, acceptor, &ceiling);
    release_held(step->lease, &next, acceptor, ceiling.disk);
    tn__explore_step_emit(step, &next,
                          tn__explore_event(TN_EXPLORE_EVENT_WRITTEN, acceptor, older ? 1 : 0, 0));
}

/* F4: the newest write fails. What waits for it is answered by nobody: the node drops it. */
static void write_fails(const struct tn__explore_step *step, uint32_t acceptor)
{
    struct tn__explore_cluster next = *step->from;
    struct tn__explore_ceiling ceiling = tn__explore_ceiling_unpack(step->lease, &next, acceptor);
    tn__ceiling_failed(&ceiling.cell, WRITE_NEWEST, 1);
    tn__ceiling_check(&ceiling.cell);
    tn__explore_ceiling_pack(&next, acceptor, &ceiling);
    next.acceptors[acceptor].held = 0;
    tn__explore_step_emit(step, &next,
                          tn__explore_event(TN_EXPLORE_EVENT_WRITE_FAILED, acceptor, 0, 0));
}

/* F4: the time to try again has come. */
static void write_retries(const struct tn__explore_step *step, uint32_t acceptor)
{
    struct tn__explore_cluster next = *step->from;
    struct tn__explore_ceiling ceiling = tn__explore_ceiling_unpack(step->lease, &next, acceptor);
    ceiling.cell.retry_at = 0;
    tn__explore_ceiling_pack(&next, acceptor, &ceiling);
    tn__explore_step_emit(step, &next,
                          tn__explore_event(TN_EXPLORE_EVENT_WRITE_RETRY, acceptor, 0, 0));
}

/* F2: a record that is quiet is dropped; its promise becomes part of the floor, under which a
 * record that is made anew begins. */
static void forget(const struct tn__explore_step *step, uint32_t acceptor)
{
    struct tn__explore_cluster next = *step->from;
    struct tn__lease_acceptor cell = tn__explore_acceptor_unpack(&next, acceptor);
    struct tn_ballot floor = cell.promised;
    cell = (struct tn__lease_acceptor){.promised = floor};
    tn__explore_acceptor_pack(&next, acceptor, &cell);
    tn__explore_step_emit(step, &next, tn__explore_event(TN_EXPLORE_EVENT_FORGET, acceptor, 0, 0));
}

void tn__explore_ceiling_events(const struct tn__explore_step *step, uint32_t acceptor)
{
    struct tn__explore_ceiling ceiling =
        tn__explore_ceiling_unpack(step->lease, step->from, acceptor);
    const struct tn__explore_acceptor *packed = &step->from->acceptors[acceptor];
    if (ceiling.cell.pending_write != 0) {
        written(step, acceptor);
        if (ceiling.first == 0 && tn__explore_has(step->lease, TN_EXPLORE_WRITE_FAILS)) {
            write_fails(step, acceptor);
        }
    }
    if (ceiling.cell.retry_at != 0) {
        write_retries(step, acceptor);
    }
    if (tn__explore_has(step->lease, TN_EXPLORE_FORGET) && packed->deadline == 0 &&
        packed->promised != 0) {
        forget(step, acceptor);
    }
}
