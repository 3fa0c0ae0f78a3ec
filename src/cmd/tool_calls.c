/* Endpoints, answers and endings: see tool.h. */
#include "cmd/tool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "os/clock.h"

bool tn__tool_open(struct tn__tool *tool)
{
    char item[512];
    const struct tn__cmd_options *options = &tool->options;
    tool->timeout = tn__cmd_duration(options, "timeout");
    tool->tls.ca_file = tn__cmd_text(options, "ca");
    tool->tls.certificate_file = tn__cmd_text(options, "cert");
    tool->tls.key_file = tn__cmd_text(options, "key");
    if ((tool->tls.certificate_file == NULL) != (tool->tls.key_file == NULL)) {
        tn__tool_fail(tool, TN_CMD_USAGE, "usage", "--cert and --key belong together", NULL);
        return false;
    }
    for (uint32_t i = 0; tn__cmd_item(options, "endpoints", i, item, sizeof(item)); i++) {
        if (i == TN_TOOL_ENDPOINTS_MAX) {
            tn__tool_fail(tool, TN_CMD_USAGE, "usage", "--endpoints: at most 16 are used", NULL);
            return false;
        }
        if (tn__http_open(&tool->nodes[i], item, &tool->tls) != TN_OK) {
            tn__tool_fail(tool, TN_CMD_USAGE, "usage", tool->nodes[i].why, NULL);
            return false;
        }
        tool->nodes_count++;
    }
    return true;
}

void tn__tool_close(struct tn__tool *tool)
{
    for (uint32_t i = 0; i < tool->nodes_count; i++) {
        tn__http_close(&tool->nodes[i]);
    }
}

void tn__tool_print(json_t *object)
{
    char *line = object == NULL ? NULL : json_dumps(object, JSON_COMPACT | JSON_PRESERVE_ORDER);
    printf("%s\n", line == NULL ? "{\"error\":\"memory\"}" : line);
    fflush(stdout);
    free(line);
    json_decref(object);
}

int tn__tool_fail(const struct tn__tool *tool, int status, const char *error, const char *message,
                  json_t *details)
{
    fprintf(stderr, "tenure: %s\n", message);
    if (tool->json) {
        json_t *object =
            json_pack("{s:s, s:s, s:i}", "error", error, "message", message, "status", status);
        if (details != NULL) {
            json_object_update_missing(object, details);
        }
        tn__tool_print(object);
    }
    json_decref(details);
    return status;
}

const char *tn__tool_text(const json_t *object, const char *name, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text == NULL ? otherwise : text;
}

int64_t tn__tool_number(const json_t *object, const char *name, int64_t otherwise)
{
    const json_t *value = json_object_get(object, name);
    return json_is_integer(value) ? (int64_t)json_integer_value(value) : otherwise;
}

bool tn__tool_flag(const json_t *object, const char *name)
{
    return json_is_true(json_object_get(object, name));
}

int tn__tool_refused(const struct tn__tool *tool, struct tn__tool_answer *answer)
{
    const char *error = tn__tool_text(answer->json, "error", "unknown");
    int status = strcmp(error, "held") == 0 || strcmp(error, "reserved") == 0 ? TN_TOOL_HELD
                 : strcmp(error, "timeout") == 0                              ? TN_TOOL_TIMEOUT
                 : strcmp(error, "bad_request") == 0                          ? TN_CMD_USAGE
                                                                              : TN_CMD_FAILED;
    char message[600];
    const char *owner = tn__tool_text(json_object_get(answer->json, "owner"), "name", NULL);
    snprintf(message, sizeof(message), "%.400s%s%.64s%s",
             tn__tool_text(answer->json, "message", "the node refused without a reason"),
             owner == NULL ? "" : " (owner: ", owner == NULL ? "" : owner,
             owner == NULL ? "" : ")");
    char kept[64];
    snprintf(kept, sizeof(kept), "%s", error);
    json_t *details = answer->json;
    answer->json = NULL;
    return tn__tool_fail(tool, status, kept, message, details);
}

int tn__tool_call_node(struct tn__http *node, const char *method, const char *path, json_t *body,
                       tn_time deadline, struct tn__tool_answer *answer)
{
    struct tn__http_answer got;
    char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
    memset(answer, 0, sizeof(*answer));
    json_decref(body);
    int status = tn__http_call(node, method, path, text, deadline, &got);
    free(text);
    if (status != TN_OK) {
        return status;
    }
    answer->status = got.status;
    answer->sent = got.sent;
    answer->json = json_loadb(got.body, got.body_bytes, 0, NULL);
    free(got.body);
    if (!json_is_object(answer->json)) {
        json_decref(answer->json);
        answer->json = NULL;
        snprintf(node->why, sizeof(node->why),
                 "%s does not answer like a node of tenure: is it "
                 "the client port?",
                 node->endpoint);
        return TN_ERROR_MALFORMED;
    }
    return TN_OK;
}

int tn__tool_call(struct tn__tool *tool, const char *method, const char *path, json_t *body,
                  struct tn__tool_answer *answer, int *status)
{
    int result = TN_ERROR_REFUSED;
    char why[TN_HTTP_WHY_BYTES] = "no endpoint";
    struct tn__tool_answer unwilling = {0};
    tn_time deadline = tn__clock_now() + tool->timeout;
    for (uint32_t i = 0; i < tool->nodes_count; i++) {
        struct tn__http *node = &tool->nodes[tool->current];
        result = tn__tool_call_node(node, method, path, json_incref(body), deadline, answer);
        if (result == TN_OK && answer->status != 503) {
            json_decref(unwilling.json);
            json_decref(body);
            return TN_OK;
        }
        if (result == TN_OK) {
            json_decref(unwilling.json);
            unwilling = *answer;
        } else {
            snprintf(why, sizeof(why), "%s", node->why);
        }
        tool->current = (tool->current + 1) % tool->nodes_count;
    }
    json_decref(body);
    if (unwilling.json != NULL) {
        *answer = unwilling;
        return TN_OK;
    }
    bool late = result == TN_ERROR_TIMEOUT;
    *status = tn__tool_fail(tool, late ? TN_TOOL_TIMEOUT : TN_CMD_FAILED,
                            late ? "timeout" : "unreachable", why, NULL);
    return result;
}

bool tn__tool_name(const struct tn__tool *tool, const char **name, int *status)
{
    char why[TN_CMD_WHY_BYTES];
    tn_assert(tool->options.arguments_count > 0);
    *name = tool->options.arguments[0];
    if (tn__cmd_parse_name(*name, why)) {
        return true;
    }
    *status = tn__tool_fail(tool, TN_CMD_USAGE, "usage", why, NULL);
    return false;
}
