/* Verbs that ask: requests to a node, what the nodes know, a guarded resource, the membership. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "sim/scenario_internal.h"

/* ---- Requests -------------------------------------------------------------------------------- */

static enum tn_request_kind request_kind(const char *verb)
{
    static const struct {
        const char *verb;
        enum tn_request_kind kind;
    } rows[] = {{"acquire", TN_REQUEST_ACQUIRE}, {"release", TN_REQUEST_RELEASE},
                {"drop-lease", TN_REQUEST_DROP}, {"hand-over", TN_REQUEST_HAND_OVER},
                {"reopen", TN_REQUEST_REOPEN},   {"forsake", TN_REQUEST_FORSAKE}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(verb, rows[i].verb) == 0) {
            return rows[i].kind;
        }
    }
    tn_assert(false);
    return TN_REQUEST_ACQUIRE;
}

/* name=, or the usual one, into a buffer of TN_NAME_BYTES_MAX. False: an error was printed. */
static bool read_name(struct tn__scenario *scenario, struct tn__scenario_command *command,
                      char *bytes, uint8_t *bytes_count)
{
    const char *name = tn__scenario_value(command, "name");
    name = name == NULL ? scenario->name : name;
    size_t length = strlen(name);
    if (length < 1 || length > TN_NAME_BYTES_MAX) {
        tn__scenario_error(scenario, "a name has 1 to %d bytes", TN_NAME_BYTES_MAX);
        return false;
    }
    memcpy(bytes, name, length);
    *bytes_count = (uint8_t)length;
    return true;
}

void tn__scenario_do_request(struct tn__scenario *scenario, struct tn__scenario_command *command)
{
    struct tn_request request = {.kind = (uint8_t)request_kind(command->verb)};
    tn_member_set nodes;
    uint64_t priority = 0;
    uint64_t successor = 0;
    if (!tn__scenario_nodes_of(scenario, command, "node", 0, &nodes) ||
        !read_name(scenario, command, request.name, &request.name_bytes) ||
        !tn__scenario_number_of(scenario, command, "priority", &priority) ||
        !tn__scenario_number_of(scenario, command, "to", &successor)) {
        return;
    }
    if (priority > 15 || successor > TN_MEMBERS_MAX ||
        (request.kind == TN_REQUEST_HAND_OVER && successor == 0)) {
        tn__scenario_error(scenario, "priority= or to= is missing or out of range");
        return;
    }
    request.priority = (uint8_t)priority;
    request.successor = (tn_node_id)successor;
    for (uint32_t i = 0; i <= tn__world_nodes(scenario->world); i++) {
        if ((nodes >> i & 1U) != 0 && !tn__world_is_up(scenario->world, i)) {
            tn__scenario_error(scenario, "node %u is down", i + 1);
        } else if ((nodes >> i & 1U) != 0) {
            tn__world_request(scenario->world, i, &request);
        }
    }
}

/* ---- status, who ----------------------------------------------------------------------------- */

static void status_of(struct tn__scenario *scenario, uint32_t node)
{
    struct tn__world *world = scenario->world;
    if (!tn__world_is_up(world, node)) {
        tn__scenario_say(scenario, "%u down", node + 1);
        return;
    }
    struct tn_lease_status status;
    tn_time local = tn__world_local(world, node);
    tn_lease_status(tn__world_lease(world, node), local, &status);
    char silent[64] = "";
    if (local < status.quarantine_end) {
        tn_time until = tn__world_real(world, node, status.quarantine_end);
        snprintf(silent, sizeof(silent), ", silent until %s",
                 tn__scenario_time(scenario, until).text);
    }
    tn__scenario_say(scenario, "%u run %u, version %u%s, has seen %s, ceiling %s%s%s", node + 1,
                     scenario->runs_count[tn__world_member(world, node)], status.configuration,
                     status.left != 0 ? " (left)" : "", tn__scenario_token(status.counter).text,
                     tn__scenario_token(status.ceiling).text,
                     status.ceiling_failed != 0 ? " (failed)" : "", silent);
}

void tn__scenario_do_status(struct tn__scenario *scenario, struct tn__scenario_command *command)
{
    tn_member_set nodes;
    if (!tn__scenario_nodes_of(scenario, command, "node", UINT32_MAX, &nodes)) {
        return;
    }
    for (uint32_t i = 0; i < tn__world_nodes(scenario->world); i++) {
        if ((nodes >> i & 1U) != 0) {
            status_of(scenario, i);
        }
    }
}

static void who_at(struct tn__scenario *scenario, uint32_t node, const char *name, uint8_t bytes)
{
    struct tn_lease_view view;
    if (!tn__world_is_up(scenario->world, node)) {
        tn__scenario_say(scenario, "%u down", node + 1);
    } else if (!tn__world_view(scenario->world, node, 0, name, bytes, &view) ||
               (view.owned == 0 && view.node == 0)) {
        tn__scenario_say(scenario, "%u knows of no owner", node + 1);
    } else if (view.owned != 0) {
        tn_time until = tn__world_real(scenario->world, node, view.deadline);
        tn__scenario_say(scenario, "%u OWNER until %s, token %s, epoch %llu", node + 1,
                         tn__scenario_time(scenario, until).text,
                         tn__scenario_token(view.token).text, (unsigned long long)view.epoch);
    } else {
        tn__scenario_say(scenario, "%u believes %u, for %s", node + 1, view.node,
                         tn__scenario_seconds(view.remaining).text);
    }
}

void tn__scenario_do_who(struct tn__scenario *scenario, struct tn__scenario_command *command)
{
    tn_member_set nodes;
    char name[TN_NAME_BYTES_MAX];
    uint8_t bytes;
    if (!tn__scenario_nodes_of(scenario, command, "node", UINT32_MAX, &nodes) ||
        !read_name(scenario, command, name, &bytes)) {
        return;
    }
    for (uint32_t i = 0; i < tn__world_nodes(scenario->world); i++) {
        if ((nodes >> i & 1U) != 0) {
            who_at(scenario, i, name, bytes);
        }
    }
}

/* ---- A resource that tokens guard ------------------------------------------------------------ */

static void resource_write(struct tn__scenario *scenario, struct tn__scenario_command *command,
                           const char *name)
{
    tn_member_set nodes;
    struct tn_lease_view view = {0};
    if (!tn__scenario_nodes_of(scenario, command, "node", 0, &nodes)) {
        return;
    }
    uint32_t node = 0;
    while ((nodes >> node & 1U) == 0) {
        node++;
    }
    if (!tn__world_view(scenario->world, node, 0, scenario->name, (uint32_t)strlen(scenario->name),
                        &view) ||
        view.owned == 0) {
        tn__scenario_say(scenario, "%u does not write %s: it is not owner", node + 1, name);
        return;
    }
    if (scenario->writes_count == TN__SCENARIO_WRITES_MAX || strlen(name) > 20) {
        tn__scenario_error(scenario, "too many writes, or too long a name");
        return;
    }
    struct tn__scenario_write *write = &scenario->writes[scenario->writes_count++];
    *write = (struct tn__scenario_write){.token = view.token, .node = node};
    memcpy(write->name, name, strlen(name));
    tn__scenario_row(scenario);
    char text[TN_SEQUENCE_TEXT_BYTES];
    snprintf(text, sizeof(text), "writes %s, token %s", name, tn__scenario_token(view.token).text);
    tn__scenario_say(scenario, "%u %s: under way", node + 1, text);
    tn__sequence_mark(scenario->sequence, node, TN_SEQUENCE_SAID, text);
}

static void resource_arrive(struct tn__scenario *scenario, const char *name)
{
    const struct tn__scenario_write *write = NULL;
    for (uint32_t i = 0; i < scenario->writes_count; i++) {
        write = strcmp(scenario->writes[i].name, name) == 0 ? &scenario->writes[i] : write;
    }
    if (write == NULL) {
        tn__scenario_error(scenario, "no write %s is under way", name);
        return;
    }
    bool taken = scenario->resource_unguarded || write->token >= scenario->resource_token;
    char text[TN_SEQUENCE_TEXT_BYTES];
    if (taken) {
        snprintf(text, sizeof(text), "resource takes %s of %u, token %s%s", name, write->node + 1,
                 tn__scenario_token(write->token).text,
                 write->token < scenario->resource_token ? ": TOO LATE" : "");
    } else {
        snprintf(text, sizeof(text), "resource refuses %s of %u: token %s is below %s", name,
                 write->node + 1, tn__scenario_token(write->token).text,
                 tn__scenario_token(scenario->resource_token).text);
    }
    if (taken && write->token > scenario->resource_token) {
        scenario->resource_token = write->token;
    }
    tn__scenario_row(scenario);
    tn__scenario_say(scenario, "%s", text);
    tn__sequence_mark(scenario->sequence, write->node,
                      taken ? TN_SEQUENCE_SAID : TN_SEQUENCE_REFUSED, text);
}

void tn__scenario_do_resource(struct tn__scenario *scenario, struct tn__scenario_command *command)
{
    const char *write = tn__scenario_value(command, "write");
    const char *arrive = tn__scenario_value(command, "arrive");
    if (tn__scenario_has(command, "unguarded")) {
        scenario->resource_unguarded = true;
    } else if (tn__scenario_has(command, "guarded")) {
        scenario->resource_unguarded = false;
    } else if (write != NULL) {
        resource_write(scenario, command, write);
    } else if (arrive != NULL) {
        resource_arrive(scenario, arrive);
    } else {
        tn__scenario_error(scenario, "resource write=, arrive=, guarded or unguarded?");
    }
}

/* ---- The membership -------------------------------------------------------------------------- */

/* The largest ceiling among the nodes: what a majority that left would report, or more. */
static uint64_t largest_ceiling(const struct tn__scenario *scenario)
{
    uint64_t largest = 0;
    for (uint32_t i = 0; i < tn__world_nodes(scenario->world); i++) {
        uint64_t ceiling = tn__world_ceiling(scenario->world, i);
        largest = ceiling > largest ? ceiling : largest;
    }
    return largest;
}

static bool read_join(struct tn__scenario *scenario, struct tn__scenario_command *command,
                      struct tn_request *request)
{
    uint64_t version = 0;
    tn_member_set members;
    if (!tn__scenario_number_of(scenario, command, "version", &version) ||
        !tn__scenario_nodes_of(scenario, command, "members", 0, &members)) {
        return false;
    }
    if (version == 0 || version > UINT32_MAX) {
        tn__scenario_error(scenario, "version= is missing or out of range");
        return false;
    }
    request->kind = TN_REQUEST_JOIN;
    request->configuration = (uint32_t)version;
    request->larger_step = tn__scenario_has(command, "larger");
    request->ceiling = largest_ceiling(scenario);
    for (uint32_t i = 0; i < tn__world_nodes(scenario->world); i++) {
        if ((members >> i & 1U) != 0) {
            request->members[request->members_count++] = (tn_node_id)(i + 1);
        }
    }
    return true;
}

void tn__scenario_do_reconfigure(struct tn__scenario *scenario,
                                 struct tn__scenario_command *command)
{
    struct tn_request request = {.kind = TN_REQUEST_LEAVE};
    tn_member_set nodes;
    bool leave = tn__scenario_value(command, "leave") != NULL;
    if (!leave && !read_join(scenario, command, &request)) {
        return;
    }
    if (!tn__scenario_nodes_of(scenario, command, leave ? "leave" : "join", 0, &nodes)) {
        return;
    }
    for (uint32_t i = 0; i < tn__world_nodes(scenario->world); i++) {
        if ((nodes >> i & 1U) != 0 && tn__world_is_up(scenario->world, i)) {
            tn__world_request(scenario->world, i, &request);
            tn__scenario_finish_writes(scenario);
        }
    }
}

/* ---- check ----------------------------------------------------------------------------------- */

void tn__scenario_do_check(struct tn__scenario *scenario, struct tn__scenario_command *command)
{
    (void)command;
    uint32_t owner =
        tn__lease_judge_owner(scenario->judge, 0, scenario->name, (uint32_t)strlen(scenario->name));
    uint32_t count = scenario->result->violations_count;
    if (owner == TN_WORLD_NONE) {
        tn__scenario_say(scenario, "nobody owns %s; invariants broken: %u", scenario->name, count);
    } else {
        tn__scenario_say(scenario, "%u owns %s; invariants broken: %u", owner + 1, scenario->name,
                         count);
    }
}
