/* The learner of a log, and the chain of checksums; the header tells the theory. */
#include "paxos/log_learner.h"

#include "base/assert.h"

/* One word into the chain: multiplications and shifts that lose nothing, so each word matters. */
static uint64_t mix(uint64_t chain, uint64_t word)
{
    uint64_t z = (chain ^ word) + 0x9e3779b97f4a7c15ULL;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

uint64_t tn_log_checksum(uint64_t checksum, uint64_t slot, const struct tn_log_value *value)
{
    tn_assert(slot >= 1);
    tn_assert(value->kind != TN_LOG_VALUE_NONE);
    uint64_t chain = mix(checksum, slot);
    chain = mix(chain, (uint64_t)value->kind << 32 | value->bytes);
    chain = mix(chain, value->digest);
    if (value->kind != TN_LOG_VALUE_CONFIGURATION) {
        return chain;
    }
    chain = mix(chain, (uint64_t)value->voters << 32 | value->learners);
    chain = mix(chain, (uint64_t)value->version << 32 | value->window_slots);
    return mix(chain, value->mode);
}

const struct tn_log_value *tn__log_learner_commit(struct tn__log_learner *learner,
                                                  const struct tn__log_acceptor *acceptor,
                                                  struct tn__log_slot *slots,
                                                  struct tn__log_configurations *configurations)
{
    uint64_t slot = learner->committed + 1; /* P8: the next one, never another */
    tn_assert(tn__log_acceptor_holds(acceptor, slots, slot));
    struct tn__log_slot *held = tn__log_slot_at(acceptor, slots, slot);
    learner->committed = slot;
    learner->checksum = tn_log_checksum(learner->checksum, slot, &held->value);
    held->checksum = learner->checksum; /* C3 */
    if (held->value.kind == TN_LOG_VALUE_CONFIGURATION) {
        tn_maybe(tn__log_configuration_learn(configurations, slot, &held->value));
    }
    tn_assert(held->value.kind != TN_LOG_VALUE_NONE);
    return &held->value;
}

bool tn__log_learner_may_follow(const struct tn__log_learner *learner,
                                const struct tn__log_acceptor *acceptor,
                                const struct tn__log_slot *slots, struct tn_log_ballot ballot,
                                uint64_t said)
{
    uint64_t slot = learner->committed + 1;
    tn_assert(!tn_log_ballot_is_none(ballot));
    if (slot > said || !tn__log_acceptor_holds(acceptor, slots, slot)) {
        return false;
    }
    const struct tn__log_slot *held = &slots[slot & (acceptor->places - 1U)];
    tn_assert(held->value.kind != TN_LOG_VALUE_NONE);
    return tn_log_ballot_equal(held->ballot, ballot); /* C1: under this ballot, no other */
}

bool tn__log_learner_checksum_at(const struct tn__log_learner *learner,
                                 const struct tn__log_acceptor *acceptor,
                                 const struct tn__log_slot *slots, uint64_t slot,
                                 uint64_t *checksum)
{
    tn_assert(learner->committed != 0 || learner->checksum == 0);
    tn_assert(acceptor->first <= learner->committed + 1);
    if (slot == learner->committed) {
        *checksum = learner->checksum;
        return true;
    }
    if (slot > learner->committed || !tn__log_acceptor_holds(acceptor, slots, slot)) {
        return false;
    }
    /* What was restored from below the committed prefix has no sum of its own. */
    *checksum = slots[slot & (acceptor->places - 1U)].checksum;
    return *checksum != 0;
}
