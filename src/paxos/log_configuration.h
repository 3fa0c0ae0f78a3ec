/* Which configuration governs which slot (G2, N2). Plain data.
 *
 * A configuration decided in slot i governs from i + alpha on, alpha being the one in force at i:
 * so each slot has exactly one configuration, and who knows every slot up to j - alpha knows the
 * one of slot j. The list is in rising order of first slots; the first element governs all slots
 * below the second one's. Known are only configurations of committed slots. A change is legal only
 * once the one before it governs (G2), or a smaller window could make it govern before that one.
 *
 * Invariants: 1 <= count; first slots and versions rise strictly; no set of voters is empty. */
#ifndef TN_PAXOS_LOG_CONFIGURATION_H
#define TN_PAXOS_LOG_CONFIGURATION_H

#include <tenure/log.h>

/* One change is in flight at a time (G2): the one in force, the one decided, and room for slots
 * below that somebody still asks about. */
#define TN__LOG_CONFIGURATIONS_MAX 8U

struct tn__log_configuration {
    uint64_t first_slot; /* governs from here on */
    tn_member_set voters;
    tn_member_set learners;
    uint32_t version;
    uint32_t window_slots; /* alpha */
    uint32_t mode;         /* enum tn_log_mode */
    uint32_t mode_number;
};

struct tn__log_configurations {
    uint32_t count;
    uint32_t reserved;
    struct tn__log_configuration list[TN__LOG_CONFIGURATIONS_MAX];
};

void tn__log_configurations_init(struct tn__log_configurations *configurations,
                                 const struct tn__log_configuration *first);

const struct tn__log_configuration *
tn__log_configuration_of_many(const struct tn__log_configurations *configurations, uint64_t slot);

/* The one that governs `slot`. */
static inline const struct tn__log_configuration *
tn__log_configuration_at(const struct tn__log_configurations *configurations, uint64_t slot)
{
    return configurations->count == 1 ? &configurations->list[0]
                                      : tn__log_configuration_of_many(configurations, slot);
}

/* Slot `slot` is committed with this value of kind CONFIGURATION. False: it is not a legal change
 * (an earlier one does not govern yet, version not the next one, no voters, a member that votes and
 * learns): the value is then executed as nothing, which all members decide alike. A list that is
 * full loses its oldest element, which governs only slots that are long committed. */
bool tn__log_configuration_learn(struct tn__log_configurations *configurations, uint64_t slot,
                                 const struct tn_log_value *value);

/* N2: the last slot that may be proposed, the prefix up to `committed` being known: none whose
 * configuration could still be changed by a slot after it. */
uint64_t tn__log_configuration_window_end(const struct tn__log_configurations *configurations,
                                          uint64_t committed);

/* Slots below `slot` are of no interest any more. */
void tn__log_configuration_trim(struct tn__log_configurations *configurations, uint64_t slot);

/* How many members there are: in place, as a processor without the instruction would take a call.
 */
static inline uint32_t tn__log_members_in(tn_member_set set)
{
    uint32_t sums = set - ((set >> 1) & 0x55555555U);
    sums = (sums & 0x33333333U) + ((sums >> 2) & 0x33333333U);
    return (((sums + (sums >> 4)) & 0x0f0f0f0fU) * 0x01010101U) >> 24;
}

/* Is `members` a majority of these voters? Counted by identity, never by message. */
static inline bool tn__log_configuration_quorum(const struct tn__log_configuration *configuration,
                                                tn_member_set members)
{
    uint32_t voters = tn__log_members_in(configuration->voters);
    uint32_t present = tn__log_members_in(configuration->voters & members);
    return present > voters / 2U;
}

void tn__log_configurations_check(const struct tn__log_configurations *configurations);

#endif
