/* Options of a log's machine: defaults, and the relations that its bounds rest on. */
#include <tenure/error.h>
#include <tenure/log.h>

#include "base/assert.h"
#include "base/text.h"

#define WINDOW_SLOTS_DEFAULT 1024U
#define WINDOW_SLOTS_MIN 8U
#define RETAIN_SLOTS_MAX (64U * TN_LOG_WINDOW_MAX)
#define WAITING_MAX_MAX (1U << 24)

static bool is_power_of_two(uint32_t number)
{
    return number != 0 && (number & (number - 1)) == 0;
}

static void default_u64(uint64_t *value, uint64_t standard)
{
    tn_assert(standard != 0);
    *value = *value != 0 ? *value : standard;
}

static void default_u32(uint32_t *value, uint32_t standard)
{
    tn_assert(standard != 0);
    *value = *value != 0 ? *value : standard;
}

static void fill_defaults(struct tn_log_options *options)
{
    tn_member_set all = options->nodes_count <= TN_LOG_NODES_MAX
                            ? ((tn_member_set)1 << options->nodes_count) - 1
                            : 0;
    if (options->voters == 0) {
        options->voters = all & ~options->learners;
    }
    default_u32(&options->mode, TN_LOG_MODE_LEASED);
    default_u32(&options->mode_number, 1);
    default_u32(&options->window_slots, WINDOW_SLOTS_DEFAULT);
    if (options->window_slots <= TN_LOG_WINDOW_MAX) {
        default_u32(&options->retain_slots, 4 * options->window_slots);
        default_u32(&options->waiting_max, 4 * options->window_slots);
    }
    default_u64(&options->window_bytes, 64ULL << 20);
    default_u64(&options->retain_bytes, 64ULL << 20);
    default_u64(&options->waiting_bytes, 64ULL << 20);
    default_u64(&options->peer_bytes, 8ULL << 20);
    default_u64(&options->fetch_bytes, 1ULL << 20);
    default_u64(&options->heartbeat_ns, 50 * TN_MILLISECOND);
    default_u64(&options->idle_heartbeat_ns, TN_SECOND);
    default_u64(&options->resend_ns, 200 * TN_MILLISECOND);
    default_u64(&options->election_ns, TN_SECOND);
    default_u64(&options->back_off_ns, 100 * TN_MILLISECOND);
}

static const char *nodes_fault(const struct tn_log_options *options)
{
    if (options->nodes_count < 1 || options->nodes_count > TN_LOG_NODES_MAX) {
        return "nodes_count must be from 1 to 31";
    }
    if (options->self >= options->nodes_count) {
        return "self must be an index into nodes";
    }
    for (uint32_t i = 0; i < options->nodes_count; i++) {
        if (options->nodes[i] == 0) {
            return "a node's id must not be 0";
        }
        for (uint32_t k = 0; k < i; k++) {
            if (options->nodes[k] == options->nodes[i]) {
                return "two nodes have the same id";
            }
        }
    }
    if (((options->voters | options->learners) >> options->nodes_count) != 0) {
        return "voters and learners must be among the nodes";
    }
    if (options->voters == 0 || (options->voters & options->learners) != 0) {
        return "there must be voters, and none of them a learner too";
    }
    if (__builtin_popcount(options->voters) > TN_MEMBERS_MAX) {
        return "at most 15 voters";
    }
    return NULL;
}

static const char *window_fault(const struct tn_log_options *options)
{
    if (!is_power_of_two(options->window_slots) || options->window_slots < WINDOW_SLOTS_MIN ||
        options->window_slots > TN_LOG_WINDOW_MAX) {
        return "window_slots must be a power of two from 8 to 16384";
    }
    if (!is_power_of_two(options->retain_slots) ||
        options->retain_slots < 2 * options->window_slots ||
        options->retain_slots > RETAIN_SLOTS_MAX) {
        return "retain_slots must be a power of two, at least twice window_slots, at most 2^20";
    }
    if (options->waiting_max > WAITING_MAX_MAX) {
        return "waiting_max must be at most 2^24";
    }
    return NULL;
}

static const char *time_fault(const struct tn_log_options *options)
{
    const tn_time spans[] = {options->heartbeat_ns, options->idle_heartbeat_ns, options->resend_ns,
                             options->election_ns, options->back_off_ns};
    for (uint32_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++) {
        if (spans[i] > TN_DURATION_NS_MAX) {
            return "no duration of a log may be above a day";
        }
    }
    if (options->heartbeat_ns > options->idle_heartbeat_ns) {
        return "heartbeat_ns must be at most idle_heartbeat_ns";
    }
    return NULL;
}

static const char *fault_of(const struct tn_log_options *options)
{
    const char *fault = nodes_fault(options);
    fault = fault != NULL ? fault : window_fault(options);
    fault = fault != NULL ? fault : time_fault(options);
    if (fault != NULL) {
        return fault;
    }
    if (options->group > TN_GROUP_ID_MAX) {
        return "group must be at most 65535";
    }
    if (options->mode != TN_LOG_MODE_LEASED && options->mode != TN_LOG_MODE_FREE) {
        return "mode is neither leased nor free";
    }
    if (options->restart_word == 0 || options->restart_word == UINT64_MAX) {
        return "restart_word must be given: count of starts << 32 | random";
    }
    return NULL;
}

int tn_log_options_complete(struct tn_log_options *options, char *why, size_t why_size)
{
    char nowhere[1];
    struct tn__text text;
    bool wanted = why != NULL && why_size > 0;
    tn__text_init(&text, wanted ? why : nowhere, wanted ? why_size : sizeof(nowhere));
    fill_defaults(options);
    const char *fault = fault_of(options);
    if (fault != NULL) {
        tn__text_add(&text, "%s", fault);
        return TN_ERROR_INVALID;
    }
    tn_assert(options->retain_slots >= 2 * options->window_slots);
    return TN_OK;
}
