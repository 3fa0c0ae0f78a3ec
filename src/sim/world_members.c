/* F3: which nodes the members of a version are.
 *
 * Machines know members by their places in a list, and each goes by the list of its own version;
 * while a change is under way the lists of two nodes differ. The world keeps the list of every
 * version that a JOIN has spoken of, and finds nodes by places and places by nodes. */
#include <string.h>

#include "base/assert.h"
#include "sim/world_internal.h"

static uint32_t find_list(const struct tn__world *world, uint32_t version)
{
    tn_assert(world->lists_count >= 1);
    for (uint32_t i = world->lists_count; i > 0; i--) {
        if (world->lists[i - 1].version == version) {
            return i - 1;
        }
    }
    return TN_WORLD_NONE;
}

void tn__world_begin_lists(struct tn__world *world)
{
    const struct tn_lease_options *options = &world->lease_options;
    world->lists_count = 1;
    world->lists[0] =
        (struct tn__world_list){.version = options->configuration, .count = options->members_count};
    memcpy(world->lists[0].members, options->members, sizeof(options->members));
}

bool tn__world_note_list(struct tn__world *world, const struct tn_request *join)
{
    uint32_t index = find_list(world, join->configuration);
    if (index == TN_WORLD_NONE) {
        if (world->lists_count == TN_WORLD_VERSIONS_MAX) {
            return false;
        }
        index = world->lists_count++;
    }
    tn_assert(join->members_count <= TN_MEMBERS_MAX);
    world->lists[index] =
        (struct tn__world_list){.version = join->configuration, .count = join->members_count};
    memcpy(world->lists[index].members, join->members, sizeof(join->members));
    return true;
}

void tn__world_take_list(struct tn__world_process *process, uint32_t version)
{
    uint32_t index = find_list(process->world, version);
    process->list = index == TN_WORLD_NONE ? 0 : index;
}

uint32_t tn__world_place_of(const struct tn__world_process *process, uint32_t node)
{
    const struct tn__world_list *list = &process->world->lists[process->list];
    for (uint32_t i = 0; i < list->count; i++) {
        if (list->members[i] == node + 1) {
            return i;
        }
    }
    return TN_WORLD_NONE;
}

void tn__world_choose_members(struct tn__world_process *process, struct tn_lease_options *options)
{
    tn__world_take_list(process, options->configuration);
    const struct tn__world_list *list = &process->world->lists[process->list];
    uint32_t place = tn__world_place_of(process, process->member);
    options->members_count = list->count;
    memcpy(options->members, list->members, sizeof(options->members));
    if (place == TN_WORLD_NONE) { /* it waits to be let in, and says nothing until then */
        tn_assert(list->count < TN_MEMBERS_MAX);
        place = options->members_count++;
        options->members[place] = (tn_node_id)(process->member + 1);
        options->left = 1;
    }
    options->self = (uint16_t)place;
}

tn_member_set tn__world_nodes_at(const struct tn__world *world, uint32_t version,
                                 tn_member_set places)
{
    uint32_t index = find_list(world, version);
    const struct tn__world_list *list = &world->lists[index == TN_WORLD_NONE ? 0 : index];
    tn_member_set nodes = 0;
    for (uint32_t i = 0; i < list->count; i++) {
        nodes |= (places >> i & 1U) << (list->members[i] - 1U);
    }
    return nodes;
}
