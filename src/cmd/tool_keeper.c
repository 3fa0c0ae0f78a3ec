/* Holding a name through a node: see tool_keeper.h. */
#define _GNU_SOURCE
#include "cmd/tool_keeper.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "os/clock.h"

/* The longest wait that one request may ask for (docs/api.md). */
#define WAIT_MS_MAX 86400000

/* A waiting session hears from its node every 10 s. */
#define SILENCE_NS (25 * TN_SECOND)

/* Between two rounds over all endpoints, when none could be reached. */
#define ROUND_NS (500 * TN_MILLISECOND)

#define RELEASE_NS (2 * TN_SECOND)

/* How a session's wait for the name went. */
enum outcome {
    GRANTED,
    REFUSED,  /* the command's status stands in `status`, the complaint is made */
    TRY_NEXT, /* this node did not serve: keeper->why */
};

static void take_grant(struct tn__keeper *keeper, const json_t *line, tn_time sent)
{
    tn_time valid = (tn_time)tn__tool_number(line, "valid_ms", 0) * TN_MILLISECOND;
    if (sent + valid > keeper->deadline) {
        keeper->deadline = sent + valid;
    }
    keeper->lease_ns = (tn_time)tn__tool_number(line, "ttl_ms", 0) * TN_MILLISECOND;
    keeper->token = (uint64_t)tn__tool_number(line, "token", 0);
    keeper->state = TN_KEEPER_HOLDS;
    snprintf(keeper->holding, sizeof(keeper->holding), "%s", tn__tool_text(line, "holding", ""));
    const char *table = tn__cmd_text(&keeper->tool->options, "table");
    snprintf(keeper->table, sizeof(keeper->table), "%s",
             tn__tool_text(line, "table", table == NULL ? "" : table));
}

static json_t *acquire_body(const struct tn__tool *tool, const char *name, int64_t wait_ms)
{
    const struct tn__cmd_options *options = &tool->options;
    json_t *body =
        json_pack("{s:s, s:b, s:I}", "name", name, "session", 1, "wait_ms", (json_int_t)wait_ms);
    if (tn__cmd_text(options, "table") != NULL) {
        json_object_set_new(body, "table", json_string(tn__cmd_text(options, "table")));
    }
    if (tn__cmd_text(options, "label") != NULL) {
        json_object_set_new(body, "label", json_string(tn__cmd_text(options, "label")));
    }
    if (tn__cmd_given(options, "ttl")) {
        json_object_set_new(
            body, "ttl_ms",
            json_integer((json_int_t)(tn__cmd_duration(options, "ttl") / TN_MILLISECOND)));
    }
    if (tn__cmd_given(options, "priority")) {
        json_object_set_new(body, "priority",
                            json_integer((json_int_t)tn__cmd_number(options, "priority")));
    }
    return body;
}

/* An answer that is not a stream: an error of the API, or a node that is leaving. */
static enum outcome read_refusal(struct tn__keeper *keeper, const struct tn__http_answer *head,
                                 int *status)
{
    char line[4096] = "";
    struct tn__tool_answer answer = {.status = head->status};
    tn_time deadline = tn__clock_now() + keeper->tool->timeout;
    size_t length = 0;
    while (length + 1 < sizeof(line) && tn__http_line(&keeper->session, line + length,
                                                      sizeof(line) - length, deadline) == TN_OK) {
        length = strlen(line);
    }
    if (length == 0) { /* the body need not end a line */
        length = keeper->session.line_bytes < sizeof(line) ? keeper->session.line_bytes : 0;
        memcpy(line, keeper->session.lines, length);
    }
    answer.json = json_loadb(line, length, 0, NULL);
    if (head->status == 503 || !json_is_object(answer.json)) {
        snprintf(keeper->why, sizeof(keeper->why), "%.120s: %.120s", keeper->session.endpoint,
                 tn__tool_text(answer.json, "message", "does not answer like a node of tenure"));
        json_decref(answer.json);
        return TRY_NEXT;
    }
    *status = tn__tool_refused(keeper->tool, &answer);
    return REFUSED;
}

/* Read the session's lines until the name is granted or the wait is over. */
static enum outcome read_queue(struct tn__keeper *keeper, tn_time sent, tn_time until, int *status)
{
    char text[8192];
    for (;;) {
        tn_time silence = tn__clock_now() + SILENCE_NS;
        int result =
            tn__http_line(&keeper->session, text, sizeof(text), silence < until ? silence : until);
        if (result == TN_ERROR_TIMEOUT && tn__clock_now() >= until) {
            *status = tn__tool_fail(keeper->tool, TN_TOOL_TIMEOUT, "timeout",
                                    "the name was not free in time", NULL);
            return REFUSED;
        }
        if (result != TN_OK) {
            snprintf(keeper->why, sizeof(keeper->why), "%.120s: %.120s", keeper->session.endpoint,
                     result == TN_ERROR_NOT_FOUND ? "ended the session" : keeper->session.why);
            return TRY_NEXT;
        }
        json_t *line = json_loads(text, 0, NULL);
        const char *event = tn__tool_text(line, "event", "");
        if (strcmp(event, "granted") == 0) {
            take_grant(keeper, line, sent);
            json_decref(line);
            return GRANTED;
        }
        if (strcmp(event, "failed") == 0) {
            struct tn__tool_answer answer = {.json = line};
            const char *error = tn__tool_text(line, "error", "");
            if (strcmp(error, "stopping") == 0 || strcmp(error, "no_quorum") == 0 ||
                strcmp(error, "busy") == 0) {
                snprintf(keeper->why, sizeof(keeper->why), "%s",
                         tn__tool_text(line, "message", error));
                json_decref(line);
                return TRY_NEXT;
            }
            *status = tn__tool_refused(keeper->tool, &answer);
            return REFUSED;
        }
        json_decref(line);
    }
}

static enum outcome try_node(struct tn__keeper *keeper, const char *name, tn_time until,
                             int *status)
{
    struct tn__tool *tool = keeper->tool;
    struct tn__http_answer head;
    tn_time now = tn__clock_now();
    int64_t wait_ms = 0;
    if (until > now) {
        tn_time left = (until - now) / TN_MILLISECOND;
        wait_ms = left > WAIT_MS_MAX ? WAIT_MS_MAX : (int64_t)left;
    }
    json_t *body = acquire_body(tool, name, wait_ms);
    char *text = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    tn__http_disconnect(&keeper->session);
    int result = tn__http_begin(&keeper->session, "POST", "/v1/acquire", text,
                                now + tool->timeout + (tn_time)wait_ms * TN_MILLISECOND, &head);
    free(text);
    if (result != TN_OK) {
        snprintf(keeper->why, sizeof(keeper->why), "%.250s", keeper->session.why);
        return TRY_NEXT;
    }
    if (head.status != 200) {
        return read_refusal(keeper, &head, status);
    }
    tn_time patience = tool->timeout + (tn_time)wait_ms * TN_MILLISECOND;
    return read_queue(keeper, head.sent, until == TN_TIME_NEVER ? until : now + patience, status);
}

static void pause_for(tn_time duration)
{
    struct timespec pause = {.tv_sec = (time_t)(duration / TN_SECOND),
                             .tv_nsec = (long)(duration % TN_SECOND)};
    nanosleep(&pause, NULL);
}

int tn__keeper_acquire(struct tn__keeper *keeper, struct tn__tool *tool, const char *name)
{
    const struct tn__cmd_options *options = &tool->options;
    bool hold = options->command - tn__tool_program.commands == TN_TOOL_HOLD;
    tn_time wait = tn__cmd_duration(options, "wait");
    bool forever = hold && !tn__cmd_given(options, "wait");
    tn_time start = tn__clock_now();
    tn_time until = forever ? TN_TIME_NEVER : start + wait;
    int status = TN_CMD_FAILED;
    memset(keeper, 0, sizeof(*keeper));
    keeper->tool = tool;
    keeper->session.socket = keeper->session.wake = -1;
    for (;;) {
        for (uint32_t i = 0; i < tool->nodes_count; i++) {
            struct tn__http *node = &tool->nodes[tool->current];
            tn__http_close(&keeper->session);
            if (tn__http_open(&keeper->session, node->endpoint, &tool->tls) != TN_OK) {
                return tn__tool_fail(tool, TN_CMD_FAILED, "memory", keeper->session.why, NULL);
            }
            enum outcome outcome = try_node(keeper, name, until, &status);
            if (outcome == GRANTED) {
                keeper->calls = node;
                return TN_CMD_DONE;
            }
            if (outcome == REFUSED) {
                return status;
            }
            tool->current = (tool->current + 1) % tool->nodes_count;
        }
        if (!forever && tn__clock_now() + ROUND_NS >= until) {
            return tn__tool_fail(tool, wait > 0 ? TN_TOOL_TIMEOUT : TN_CMD_FAILED,
                                 wait > 0 ? "timeout" : "unreachable", keeper->why, NULL);
        }
        pause_for(ROUND_NS);
    }
}

static void lose(struct tn__keeper *keeper, enum tn__keeper_state state, const char *why)
{
    if (keeper->state < state) {
        keeper->state = state;
        snprintf(keeper->why, sizeof(keeper->why), "%s", why);
    }
}

bool tn__keeper_renew(struct tn__keeper *keeper, int wake, tn_time until)
{
    struct tn__tool_answer answer;
    tn_assert(keeper->calls != NULL);
    json_t *body = json_pack("{s:s}", "holding", keeper->holding);
    keeper->calls->wake = wake;
    int result = tn__tool_call_node(keeper->calls, "POST", "/v1/renew", body, until, &answer);
    keeper->calls->wake = -1;
    if (result != TN_OK) {
        return false;
    }
    tn_time before = keeper->deadline;
    if (answer.status == 200) {
        tn_time valid = (tn_time)tn__tool_number(answer.json, "valid_ms", 0) * TN_MILLISECOND;
        if (answer.sent + valid > keeper->deadline) {
            keeper->deadline = answer.sent + valid;
        }
    } else if (answer.status == 404) {
        lose(keeper, TN_KEEPER_LOST, "the node knows of no such holding any more");
    } else if (answer.status == 409) {
        lose(keeper, TN_KEEPER_ENDING, "the name is being handed over");
    }
    json_decref(answer.json);
    return keeper->deadline > before;
}

void tn__keeper_listen(struct tn__keeper *keeper)
{
    char text[8192];
    int result;
    while (keeper->session.socket >= 0 &&
           (result = tn__http_line(&keeper->session, text, sizeof(text), 0)) != TN_ERROR_TIMEOUT) {
        if (result != TN_OK) {
            tn__http_disconnect(&keeper->session);
            return;
        }
        json_t *line = json_loads(text, 0, NULL);
        const char *event = tn__tool_text(line, "event", "");
        if (strcmp(event, "ending") == 0) {
            lose(keeper, TN_KEEPER_ENDING, "the name is being handed over");
        } else if (strcmp(event, "lost") == 0) {
            char why[200];
            snprintf(why, sizeof(why), "the node has lost the lease: %.150s",
                     tn__tool_text(line, "reason", "no reason given"));
            lose(keeper, TN_KEEPER_LOST, why);
        }
        json_decref(line);
    }
}

void tn__keeper_release(struct tn__keeper *keeper)
{
    if (keeper->calls == NULL || keeper->state == TN_KEEPER_LOST) {
        return;
    }
    struct tn__tool_answer answer;
    json_t *body = json_pack("{s:s}", "holding", keeper->holding);
    tn_time until = tn__clock_now() + RELEASE_NS;
    if (tn__tool_call_node(keeper->calls, "POST", "/v1/release", body, until, &answer) == TN_OK) {
        json_decref(answer.json);
    }
}

void tn__keeper_close(struct tn__keeper *keeper)
{
    tn__http_close(&keeper->session);
}
