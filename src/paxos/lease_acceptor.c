/* The acceptor's rules; the header tells the theory. */
#include "paxos/lease_acceptor.h"

#include "base/assert.h"

static void raise_promise(struct tn__lease_acceptor *acceptor, struct tn_ballot ballot)
{
    if (tn_ballot_compare(ballot, acceptor->promised) > 0) {
        acceptor->promised = ballot;
    }
    tn_assert(tn_ballot_compare(acceptor->promised, ballot) >= 0);
}

/* A1, A2: the promised counter in the hands of another incarnation. Counters are never used twice
 * by one directory, so there are two of it. A floor's or a grave's counter proves nothing. */
static bool is_duplicate(const struct tn__lease_acceptor *acceptor, struct tn_ballot ballot)
{
    return ballot.counter == acceptor->promised.counter &&
           ballot.restart_word != acceptor->promised.restart_word &&
           acceptor->promised.restart_word != UINT64_MAX;
}

bool tn__lease_acceptor_expire(struct tn__lease_acceptor *acceptor, tn_time now)
{
    if (acceptor->deadline == 0 || now < acceptor->deadline) {
        return false;
    }
    acceptor->accepted = (struct tn_ballot){0};
    acceptor->deadline = 0;
    return true;
}

enum tn__lease_verdict tn__lease_acceptor_prepare(struct tn__lease_acceptor *acceptor,
                                                  struct tn_ballot ballot, tn_time now,
                                                  bool raise_when_closed)
{
    tn_assert(!tn_ballot_is_none(ballot));
    tn_assert(ballot.restart_word != UINT64_MAX);

    tn__lease_acceptor_expire(acceptor, now); /* A1: first clear an expired lease */
    if (is_duplicate(acceptor, ballot)) {
        return TN__LEASE_DUPLICATE;
    }
    bool below = tn_ballot_compare(ballot, acceptor->promised) < 0;
    if (tn__lease_acceptor_is_live(acceptor, now) &&
        !tn_ballot_same_owner(acceptor->accepted, ballot)) {
        if (raise_when_closed && !below) {
            raise_promise(acceptor, ballot);
        }
        return TN__LEASE_CLOSED; /* A1: and leave the promise */
    }
    if (below) {
        return TN__LEASE_REJECTED;
    }
    raise_promise(acceptor, ballot);
    return TN__LEASE_PROMISED;
}

enum tn__lease_verdict tn__lease_acceptor_accept(struct tn__lease_acceptor *acceptor,
                                                 struct tn_ballot ballot, tn_time now,
                                                 tn_time acceptor_ns)
{
    tn_assert(!tn_ballot_is_none(ballot));
    tn_assert(acceptor_ns > 0);

    tn__lease_acceptor_expire(acceptor, now);
    if (is_duplicate(acceptor, ballot)) {
        return TN__LEASE_DUPLICATE;
    }
    if (tn_ballot_compare(ballot, acceptor->promised) < 0) {
        return TN__LEASE_REFUSED;
    }
    /* A2: never replace a live lease of another owner, be the ballot ever so high. The algorithm of
     * 2012 overwrote it, and two owners were the price. */
    if (tn__lease_acceptor_is_live(acceptor, now) &&
        !tn_ballot_same_owner(acceptor->accepted, ballot)) {
        return TN__LEASE_REFUSED;
    }
    raise_promise(acceptor, ballot);
    acceptor->accepted = ballot;
    acceptor->deadline =
        acceptor_ns < TN_TIME_NEVER - now ? now + acceptor_ns : TN_TIME_NEVER; /* A2: D_A */
    return TN__LEASE_ACCEPTED;
}

bool tn__lease_acceptor_release(struct tn__lease_acceptor *acceptor, struct tn_ballot ballot)
{
    tn_assert(!tn_ballot_is_none(ballot));

    bool matched = acceptor->deadline != 0 && tn_ballot_equal(acceptor->accepted, ballot);
    if (matched) { /* A3: incarnation and ballot, exactly */
        acceptor->accepted = (struct tn_ballot){0};
        acceptor->deadline = 0;
    }
    /* A3: past the ballot, so that a late Accept of it leaves no ghost. */
    raise_promise(acceptor, tn__ballot_ceil(ballot.counter));
    return matched;
}

void tn__lease_acceptor_check(const struct tn__lease_acceptor *acceptor)
{
    tn_assert(tn_ballot_is_none(acceptor->accepted) == (acceptor->deadline == 0)); /* 1 */
    tn_assert(tn_ballot_compare(acceptor->promised, acceptor->accepted) >= 0);     /* 2 */
    tn_assert(acceptor->accepted.restart_word != UINT64_MAX);
}
