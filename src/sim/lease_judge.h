/* The judge of leases: sees all that happens in a world, in real time, and says which invariant is
 * broken (docs/simulation.md, "Invariants").
 *
 * It shares no code with the rules it judges: it looks at messages, notices, views and clocks only,
 * and draws its own conclusions. It is an observer of a world (sim/world.h), so it judges scripts
 * and swarms alike.
 *
 *   inv.L1   at most one incarnation owns a name at any real instant
 *   inv.L2   t_d is at most D_P after the first Prepare, and nothing is done as owner after it
 *   inv.L3   an owner has Accepted from a majority of distinct members, under that ballot
 *   inv.L4   each of them excludes others, by lease or by quarantine, longer than the owner acts
 *   inv.L5   an acceptor in quarantine answers nothing
 *   inv.L6   no ballot, and no counter of one directory, is used twice in all history
 *   inv.L7   an acceptor grants nothing to another while a lease it granted is live
 *   inv.L8   nor after a Release that was not exactly of that lease
 *   inv.L9   what an owner holds changes by a renewal, a release or its end, and by nothing else
 *   inv.L10  who is not the owner is never certain, and its hints end
 *   inv.L11  tokens rise in the real order of tenures; a cell without disks offers none
 *   inv.L12  the certificates of one name's leases, each and the next, share a member
 *            unless the membership has changed so far that they need not (F3): then the earlier
 *            one is over
 *   F1       nothing leaves for a ballot at or above the ceiling that is durable
 *   F3       a node speaks for the version in force there, does not answer for one it has left, or
 *            before a larger step is waited out, and never goes back to an older one
 *   V4       the restart words of one node count up: nobody begins anew under an old identity
 *   wire     no damaged or misdirected frame is taken
 *   busy     a timer does not fire for ever without time passing */
#ifndef TN_SIM_LEASE_JUDGE_H
#define TN_SIM_LEASE_JUDGE_H

#include "sim/world.h"

#define TN_JUDGE_NAMES_MAX 32U
#define TN_JUDGE_VIOLATIONS_MAX 16U

struct tn__violation {
    tn_time real;
    uint32_t process;
    char rule[12];
    char text[180];
};

struct tn__lease_judge; /* Opaque. */

struct tn__lease_judge *tn__lease_judge_new(void);
void tn__lease_judge_free(struct tn__lease_judge *judge);

/* Begin anew with a world that was just reset, and observe it. */
void tn__lease_judge_begin(struct tn__lease_judge *judge, struct tn__world *world);

/* Give the judge something to see; the world does it by itself once begun. */
void tn__lease_judge_see(void *judge, const struct tn__sight *sight);

/* Violations so far (those beyond the room are counted only). */
uint32_t tn__lease_judge_violations_count(const struct tn__lease_judge *judge);
const struct tn__violation *tn__lease_judge_violation(const struct tn__lease_judge *judge,
                                                      uint32_t index);

/* Report one found by someone else: a run without an owner, say. */
void tn__lease_judge_report(struct tn__lease_judge *judge, uint32_t process, const char *rule,
                            const char *text);

/* The process that owns a name of a table now, by its own view; TN_WORLD_NONE: nobody. */
uint32_t tn__lease_judge_owner(const struct tn__lease_judge *judge, uint32_t table,
                               const char *name, uint32_t name_bytes);

/* Tenures opened of a name so far. */
uint64_t tn__lease_judge_tenures(const struct tn__lease_judge *judge, uint32_t table,
                                 const char *name, uint32_t name_bytes);

#endif
