/* The proposer's rules; the header tells the theory. */
#include "paxos/lease_proposer.h"

#include "base/assert.h"
#include "paxos/quorum.h"

/* Is this an answer to the attempt in flight, in the phase that asked for it? */
static bool in_phase(const struct tn__lease_proposer *proposer, enum tn__lease_phase phase,
                     const struct tn__lease_answer *answer)
{
    return proposer->phase == phase && tn_ballot_equal(proposer->ballot, answer->ballot);
}

static void remember_hint(struct tn__lease_proposer *proposer, tn_time remaining)
{
    if (remaining > proposer->hint) {
        proposer->hint = remaining;
    }
}

void tn__lease_proposer_start(struct tn__lease_proposer *proposer, struct tn_ballot ballot,
                              tn_time now, tn_time proposer_ns)
{
    tn_assert(proposer->phase == TN__LEASE_IDLE);
    tn_assert(!tn_ballot_is_none(ballot));
    tn_assert(tn_ballot_compare(ballot, proposer->active) > 0);
    tn_assert(proposer_ns > 0);

    bool renewal = tn__lease_proposer_holds(proposer, now);
    proposer->ballot = ballot;
    proposer->base = renewal ? proposer->active : (struct tn_ballot){0}; /* P1: renewal base */
    proposer->attempt_deadline =
        proposer_ns < TN_TIME_NEVER - now ? now + proposer_ns : TN_TIME_NEVER; /* P1, T1: t_d */
    proposer->phase = TN__LEASE_PREPARING;
    proposer->unfenced = 0;
    proposer->hint = 0;
}

void tn__lease_proposer_abandon(struct tn__lease_proposer *proposer)
{
    /* P5: idle, keeping any lease still held. */
    proposer->ballot = (struct tn_ballot){0};
    proposer->base = (struct tn_ballot){0};
    proposer->attempt_deadline = 0;
    proposer->open = 0;
    proposer->closed = 0;
    proposer->accepted = 0;
    proposer->refused = 0;
    proposer->unfenced = 0;
    proposer->phase = TN__LEASE_IDLE;
}

/* P2: an answer is open if it reports no live lease or, for a renewal, exactly the renewal base
 * while that lease is still held. The own lease under any other ballot is the trace of an abandoned
 * attempt, and closed. */
static bool answer_is_open(const struct tn__lease_proposer *proposer, struct tn_ballot reported,
                           tn_time now)
{
    if (tn_ballot_is_none(reported)) {
        return true;
    }
    return !tn_ballot_is_none(proposer->base) && tn_ballot_equal(reported, proposer->base) &&
           tn_ballot_equal(proposer->base, proposer->active) &&
           tn__lease_proposer_holds(proposer, now);
}

enum tn__lease_outcome tn__lease_proposer_promise(struct tn__lease_proposer *proposer,
                                                  const struct tn__lease_answer *answer)
{
    if (!in_phase(proposer, TN__LEASE_PREPARING, answer)) {
        return TN__LEASE_NOTHING;
    }
    uint16_t bit = (uint16_t)tn__member_bit(answer->member);
    if (((proposer->open | proposer->closed) & bit) != 0) {
        return TN__LEASE_NOTHING; /* P2: a set of identities, so a repeated answer adds nothing */
    }
    if (!answer_is_open(proposer, answer->reported, answer->now)) {
        return tn__lease_proposer_closed(proposer, answer);
    }
    proposer->open |= bit;
    if (!tn__quorum_reached(proposer->open, answer->members_count)) {
        return TN__LEASE_COUNTED;
    }
    if (answer->now >= proposer->attempt_deadline) { /* P3, T1 */
        tn__lease_proposer_abandon(proposer);
        return TN__LEASE_ABANDONED;
    }
    proposer->phase = TN__LEASE_ACCEPTING;
    proposer->closed = 0;
    proposer->hint = 0;
    return TN__LEASE_PROPOSE;
}

enum tn__lease_outcome tn__lease_proposer_closed(struct tn__lease_proposer *proposer,
                                                 const struct tn__lease_answer *answer)
{
    if (!in_phase(proposer, TN__LEASE_PREPARING, answer)) {
        return TN__LEASE_NOTHING;
    }
    uint16_t bit = (uint16_t)tn__member_bit(answer->member);
    if (((proposer->open | proposer->closed) & bit) != 0) {
        return TN__LEASE_NOTHING;
    }
    proposer->closed |= bit;
    remember_hint(proposer, answer->remaining);
    if (!tn__quorum_ruled_out(proposer->closed, answer->members_count)) {
        return TN__LEASE_COUNTED;
    }
    tn__lease_proposer_abandon(proposer); /* P5: no majority can be open any more */
    return TN__LEASE_ABANDONED;
}

/* P4: the activation. A tenure is opened by one while none is held, or after t_d passed. */
static enum tn__lease_outcome activate(struct tn__lease_proposer *proposer, tn_time now)
{
    bool held = tn__lease_proposer_holds(proposer, now);
    bool fenced = proposer->unfenced == 0;
    enum tn__lease_outcome outcome = TN__LEASE_RENEWED;
    if (!held) {
        proposer->epoch++; /* M1: a new epoch; standing of an older one counts no more */
        outcome = TN__LEASE_OPENED;
    } else if (proposer->reopen != 0) {
        outcome = TN__LEASE_REOPENED;
    }
    if (outcome != TN__LEASE_RENEWED) {
        proposer->token = fenced ? proposer->ballot.counter : 0; /* F4: only if all run F1/F2 */
        proposer->reopen = 0;
    }
    proposer->active = proposer->ballot;
    proposer->lease_deadline = proposer->attempt_deadline; /* L1: the owner's own t_d */
    tn__lease_proposer_abandon(proposer); /* the attempt is over: it activates at most once */
    return outcome;
}

enum tn__lease_outcome tn__lease_proposer_accepted(struct tn__lease_proposer *proposer,
                                                   const struct tn__lease_answer *answer)
{
    if (!in_phase(proposer, TN__LEASE_ACCEPTING, answer)) {
        return TN__LEASE_NOTHING; /* P4: later answers under this ballot are dropped */
    }
    uint16_t bit = (uint16_t)tn__member_bit(answer->member);
    if ((proposer->accepted & bit) != 0) {
        return TN__LEASE_NOTHING;
    }
    proposer->accepted |= bit;
    proposer->refused &= (uint16_t)~bit;
    if (answer->fenced == 0) {
        proposer->unfenced = 1;
    }
    if (!tn__quorum_reached(proposer->accepted, answer->members_count)) {
        return TN__LEASE_COUNTED;
    }
    if (answer->now >= proposer->attempt_deadline) { /* P4, T1 */
        tn__lease_proposer_abandon(proposer);
        return TN__LEASE_ABANDONED;
    }
    return activate(proposer, answer->now);
}

enum tn__lease_outcome tn__lease_proposer_refused(struct tn__lease_proposer *proposer,
                                                  const struct tn__lease_answer *answer)
{
    if (!in_phase(proposer, TN__LEASE_ACCEPTING, answer)) {
        return TN__LEASE_NOTHING;
    }
    uint16_t bit = (uint16_t)tn__member_bit(answer->member);
    if (((proposer->accepted | proposer->refused) & bit) != 0) {
        return TN__LEASE_NOTHING;
    }
    proposer->refused |= bit;
    remember_hint(proposer, answer->remaining);
    if (!tn__quorum_ruled_out(proposer->refused, answer->members_count)) {
        return TN__LEASE_COUNTED;
    }
    tn__lease_proposer_abandon(proposer);
    return TN__LEASE_ABANDONED;
}

bool tn__lease_proposer_expire(struct tn__lease_proposer *proposer, tn_time now)
{
    if (proposer->lease_deadline == 0 || now < proposer->lease_deadline) {
        return false;
    }
    proposer->active = (struct tn_ballot){0};
    proposer->lease_deadline = 0;
    proposer->token = 0;
    return true;
}

uint32_t tn__lease_proposer_release(struct tn__lease_proposer *proposer,
                                    struct tn_ballot ballots[2])
{
    struct tn_ballot attempt = proposer->ballot;
    struct tn_ballot active = proposer->active;
    uint32_t count = 0;

    proposer->active = (struct tn_ballot){0}; /* P6: stop acting first */
    proposer->lease_deadline = 0;
    proposer->token = 0;
    proposer->reopen = 0;
    tn__lease_proposer_abandon(proposer); /* P6: then end the attempt in flight */
    if (!tn_ballot_is_none(attempt)) {
        ballots[count++] = attempt;
    }
    if (!tn_ballot_is_none(active)) {
        ballots[count++] = active;
    }
    return count;
}

void tn__lease_proposer_check(const struct tn__lease_proposer *proposer, uint32_t members_count)
{
    bool idle = proposer->phase == TN__LEASE_IDLE;
    tn_assert(proposer->phase <= TN__LEASE_ACCEPTING);
    tn_assert(idle == tn_ballot_is_none(proposer->ballot)); /* 1 */
    tn_assert(idle == (proposer->attempt_deadline == 0));
    tn_assert((proposer->open & proposer->closed) == 0); /* 2 */
    tn_assert((proposer->accepted & proposer->refused) == 0);
    tn_assert(!idle || (proposer->open | proposer->closed) == 0);
    tn_assert(proposer->phase == TN__LEASE_ACCEPTING ||
              (proposer->accepted | proposer->refused) == 0);
    if (proposer->phase == TN__LEASE_ACCEPTING) { /* 3 */
        tn_assert(tn__quorum_reached(proposer->open, members_count));
        tn_assert(!tn__quorum_reached(proposer->accepted, members_count));
    }
    tn_assert(tn_ballot_is_none(proposer->active) == (proposer->lease_deadline == 0)); /* 4 */
    if (!tn_ballot_is_none(proposer->base) && proposer->lease_deadline != 0) {         /* 5 */
        tn_assert(tn_ballot_equal(proposer->base, proposer->active));
    }
    tn_assert(proposer->lease_deadline == 0 || proposer->epoch > 0); /* 6 */
    tn_assert(proposer->lease_deadline != 0 || proposer->token == 0);
}
