/* The ceiling: the one durable word that makes a lease ballot a fencing token (F1, F2, F4).
 *
 * A cell, a plain value. An acceptor answers for a ballot only if its counter is below the durable
 * ceiling; the ceiling is raised a large stride ahead of need, so that no lease waits for a disk.
 * The proposer's own ballots pass the same gate before they leave, so that a restarted node, which
 * starts above its ceiling, never uses a counter twice.
 *
 *   durable <= pending; pending_write is the number of the newest write in flight, 0: none.
 *
 * F2 is tn__ceiling_floor(): after a restart the largest ballot below the ceiling stands under
 * every promise of the acceptor. F4: after a failed write nothing at or above the ceiling is
 * answered, until a later write succeeds. */
#ifndef TN_PAXOS_CEILING_H
#define TN_PAXOS_CEILING_H

#include <stdbool.h>

#include <tenure/types.h>

struct tn__ceiling {
    uint64_t durable;       /* on the disk, for certain */
    uint64_t pending;       /* as the newest write will leave it; = durable if none is in flight */
    uint64_t pending_write; /* number of that write; 0: none in flight */
    uint64_t stride;        /* how far ahead of need it is raised */
    tn_time retry_at;       /* F4: when to try again after a failed write; 0: nothing failed */
    uint32_t enabled;       /* 0: diskless, everything passes and no token is offered */
    uint32_t reserved;
};

_Static_assert(sizeof(struct tn__ceiling) == 48, "no padding: states are hashed as bytes");

enum tn__ceiling_verdict {
    TN__CEILING_COVERED = 1, /* answer; not before the write `after` is durable (0: at once) */
    TN__CEILING_ASK,         /* first write `wanted`, with tn__ceiling_asked(); then ask again */
    TN__CEILING_SILENT,      /* F4: do not answer */
};

/* F1: may an answer for `counter` leave, and after which write? */
enum tn__ceiling_verdict tn__ceiling_cover(const struct tn__ceiling *ceiling, uint64_t counter,
                                           uint64_t *after, uint64_t *wanted);

/* F1: should the ceiling be raised ahead of need, now that `counter` is in use? `wanted` says to
 * what. */
bool tn__ceiling_should_raise(const struct tn__ceiling *ceiling, uint64_t counter,
                              uint64_t *wanted);

/* The write number `write` will make `wanted` the ceiling. */
void tn__ceiling_asked(struct tn__ceiling *ceiling, uint64_t wanted, uint64_t write);

/* Every write up to `write` is durable; the write `write` has failed. */
void tn__ceiling_written(struct tn__ceiling *ceiling, uint64_t write);
void tn__ceiling_failed(struct tn__ceiling *ceiling, uint64_t write, tn_time retry_at);

/* F2: the floor under all promises after a restart: the largest ballot below the ceiling. */
struct tn_ballot tn__ceiling_floor(uint64_t ceiling);

void tn__ceiling_check(const struct tn__ceiling *ceiling);

#endif
