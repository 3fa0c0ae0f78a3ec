/* The configuration's rules; the header tells the theory. */
#include "paxos/configuration.h"

#include "base/assert.h"

static bool is_changing(const struct tn__configuration *configuration)
{
    tn_assert(configuration->leaving == 0 || configuration->joining == 0);
    return configuration->leaving != 0 || configuration->joining != 0;
}

bool tn__configuration_takes(const struct tn__configuration *configuration, uint32_t version)
{
    return version == configuration->version; /* F3: one version, never an older one */
}

bool tn__configuration_answers(const struct tn__configuration *configuration, tn_time now)
{
    return configuration->left == 0 && !is_changing(configuration) &&
           now >= configuration->silent_until; /* F3: a larger step is waited out */
}

bool tn__configuration_attempts(const struct tn__configuration *configuration)
{
    return configuration->left == 0 && !is_changing(configuration);
}

enum tn__configuration_verdict tn__configuration_leave(struct tn__configuration *configuration)
{
    if (configuration->joining != 0) {
        return TN__CONFIGURATION_REFUSED;
    }
    if (configuration->leaving != 0) {
        return TN__CONFIGURATION_UNDER_WAY;
    }
    tn_assert(configuration->write == 0);
    configuration->leaving = 1; /* silent from now on, left once the write is durable */
    return TN__CONFIGURATION_ASK;
}

enum tn__configuration_verdict tn__configuration_join(struct tn__configuration *configuration,
                                                      uint32_t version, uint64_t ceiling,
                                                      bool larger_step)
{
    if (is_changing(configuration) || version <= configuration->version) {
        return TN__CONFIGURATION_REFUSED; /* F3: never an older one */
    }
    tn_assert(configuration->write == 0);
    configuration->joining = version;
    configuration->joining_ceiling = ceiling;
    configuration->larger_step = larger_step ? 1 : 0;
    return TN__CONFIGURATION_ASK;
}

void tn__configuration_asked(struct tn__configuration *configuration, uint64_t write)
{
    tn_assert(is_changing(configuration));
    tn_assert(configuration->write == 0 && write != 0);
    configuration->write = write;
}

uint32_t tn__configuration_record_version(const struct tn__configuration *configuration)
{
    return configuration->joining != 0 ? configuration->joining : configuration->version;
}

uint32_t tn__configuration_record_left(const struct tn__configuration *configuration)
{
    if (configuration->joining != 0) {
        return 0;
    }
    return configuration->left != 0 || configuration->leaving != 0 ? 1 : 0;
}

enum tn__configuration_change tn__configuration_written(struct tn__configuration *configuration,
                                                        uint64_t write, tn_time now,
                                                        tn_time quarantine)
{
    if (configuration->write == 0 || write < configuration->write) {
        return TN__CONFIGURATION_SAME;
    }
    tn_assert(is_changing(configuration));
    configuration->write = 0;
    if (configuration->leaving != 0) {
        configuration->leaving = 0;
        configuration->left = 1;
        return TN__CONFIGURATION_LEFT;
    }
    tn_assert(configuration->joining > configuration->version);
    configuration->version = configuration->joining;
    configuration->joining = 0;
    configuration->left = 0;
    if (configuration->larger_step != 0) {
        tn_time end = now + quarantine; /* F3: silent D_Q after a larger step */
        configuration->silent_until =
            end > configuration->silent_until ? end : configuration->silent_until;
    }
    return TN__CONFIGURATION_JOINED;
}

void tn__configuration_failed(struct tn__configuration *configuration, uint64_t write,
                              uint64_t newest)
{
    tn_assert(newest >= write);
    if (configuration->write == 0 || write != configuration->write) {
        return;
    }
    tn_assert(is_changing(configuration));
    if (newest > write) {
        configuration->write = newest; /* its record says the same */
        return;
    }
    /* The disk may hold either; the caller asks again, and until then this node has neither left
     * nor joined. A leave that is in doubt stays silent: `left` is what a restart may read. */
    configuration->left |= configuration->leaving;
    configuration->write = 0;
    configuration->leaving = 0;
    configuration->joining = 0;
}

void tn__configuration_check(const struct tn__configuration *configuration)
{
    tn_assert((configuration->write != 0) == is_changing(configuration)); /* 1 */
    tn_assert(configuration->joining == 0 || configuration->joining > configuration->version);
    tn_assert(configuration->left <= 1 && configuration->leaving <= 1);
}
