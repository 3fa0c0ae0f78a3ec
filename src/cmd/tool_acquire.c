/* acquire, release, hand-over. */
#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cmd/tool_keeper.h"
#include "os/clock.h"

static json_t *grant_object(const struct tn__keeper *keeper, const char *name)
{
    tn_time now = tn__clock_now();
    tn_time left = keeper->deadline > now ? keeper->deadline - now : 0;
    char token[24];
    snprintf(token, sizeof(token), "%llu", (unsigned long long)keeper->token);
    return json_pack("{s:s, s:s, s:s, s:I, s:s, s:I, s:s}", "name", name, "table", keeper->table,
                     "holding", keeper->holding, "token", (json_int_t)keeper->token, "token_text",
                     token, "valid_ms", (json_int_t)(left / TN_MILLISECOND), "endpoint",
                     keeper->calls->endpoint);
}

static void show_grant(const struct tn__tool *tool, const json_t *grant)
{
    if (tool->json) {
        tn__tool_print(json_deep_copy(grant));
        return;
    }
    printf("holding %s\ntoken %s\nvalid %lld ms\n", tn__tool_text(grant, "holding", ""),
           tn__tool_text(grant, "token_text", "0"),
           (long long)tn__tool_number(grant, "valid_ms", 0));
    fflush(stdout);
}

/* Renew at half of what is left, until a signal or the end of the holding. */
static int keep(struct tn__keeper *keeper, int signals, const char *name)
{
    struct tn__tool *tool = keeper->tool;
    struct pollfd fds[2] = {{.fd = signals, .events = POLLIN}};
    for (;;) {
        tn__keeper_listen(keeper);
        tn_time now = tn__clock_now();
        if (keeper->state == TN_KEEPER_LOST || now >= keeper->deadline) {
            const char *why =
                keeper->state == TN_KEEPER_LOST ? keeper->why : "it could not be renewed in time";
            char message[400];
            snprintf(message, sizeof(message), "%s is lost: %s", name, why);
            return tn__tool_fail(tool, TN_TOOL_LOST, "lost", message, NULL);
        }
        if (keeper->state == TN_KEEPER_ENDING) {
            tn__keeper_release(keeper);
            return tn__tool_fail(tool, TN_TOOL_LOST, "ending", keeper->why, NULL);
        }
        fds[1] = (struct pollfd){.fd = keeper->session.socket, .events = POLLIN};
        tn_time left = (keeper->deadline - now) / 2;
        if (poll(fds, 2, (int)(left / TN_MILLISECOND)) == 0) {
            tn__keeper_renew(keeper, signals, keeper->deadline);
        }
        if ((fds[0].revents & POLLIN) != 0) {
            tn__keeper_release(keeper);
            if (tool->json) {
                tn__tool_print(json_pack("{s:s, s:b}", "name", name, "released", 1));
            } else {
                printf("released\n");
            }
            return TN_CMD_DONE;
        }
    }
}

/* Acquire for --ttl without keeping it: by a plain request, so that no connection holds it. */
static int acquire_once(struct tn__tool *tool, const char *name)
{
    const struct tn__cmd_options *options = &tool->options;
    struct tn__tool_answer answer;
    int status = TN_CMD_FAILED;
    tn_time wait = tn__cmd_duration(options, "wait");
    json_t *body =
        json_pack("{s:s, s:I}", "name", name, "wait_ms", (json_int_t)(wait / TN_MILLISECOND));
    static const char *const texts[] = {"table", "label"};
    for (size_t i = 0; i < 2; i++) {
        if (tn__cmd_text(options, texts[i]) != NULL) {
            json_object_set_new(body, texts[i], json_string(tn__cmd_text(options, texts[i])));
        }
    }
    if (tn__cmd_given(options, "ttl")) {
        tn_time ttl = tn__cmd_duration(options, "ttl") / TN_MILLISECOND;
        json_object_set_new(body, "ttl_ms", json_integer((json_int_t)ttl));
    }
    if (tn__cmd_given(options, "priority")) {
        json_object_set_new(body, "priority",
                            json_integer((json_int_t)tn__cmd_number(options, "priority")));
    }
    tool->timeout += wait;
    if (tn__tool_call(tool, "POST", "/v1/acquire", body, &answer, &status) != TN_OK) {
        return status;
    }
    if (answer.status != 200) {
        return tn__tool_refused(tool, &answer);
    }
    json_object_set_new(answer.json, "endpoint", json_string(tool->nodes[tool->current].endpoint));
    show_grant(tool, answer.json);
    json_decref(answer.json);
    return TN_CMD_DONE;
}

int tn__tool_acquire(struct tn__tool *tool)
{
    const char *name;
    int status = TN_CMD_FAILED;
    if (!tn__tool_name(tool, &name, &status)) {
        return status;
    }
    if (!tn__cmd_switch(&tool->options, "keep")) {
        return acquire_once(tool, name);
    }
    struct tn__keeper keeper;
    status = tn__keeper_acquire(&keeper, tool, name);
    if (status == TN_CMD_DONE) {
        sigset_t ends;
        sigemptyset(&ends);
        sigaddset(&ends, SIGINT);
        sigaddset(&ends, SIGTERM);
        sigaddset(&ends, SIGHUP);
        sigprocmask(SIG_BLOCK, &ends, NULL);
        int signals = signalfd(-1, &ends, SFD_CLOEXEC);
        json_t *grant = grant_object(&keeper, name);
        show_grant(tool, grant);
        json_decref(grant);
        status = keep(&keeper, signals, name);
        close(signals);
    }
    tn__keeper_close(&keeper);
    return status;
}

/* A holding belongs to one node, and a name to one owner: ask on until the right one is met. */
static int ask_all(struct tn__tool *tool, const char *path, json_t *body, const char *elsewhere,
                   struct tn__tool_answer *answer)
{
    int status = TN_CMD_FAILED;
    memset(answer, 0, sizeof(*answer));
    char why[TN_HTTP_WHY_BYTES] = "";
    for (uint32_t i = 0; i < tool->nodes_count; i++) {
        struct tn__tool_answer one;
        int result = tn__tool_call_node(&tool->nodes[i], "POST", path, json_incref(body),
                                        tn__clock_now() + tool->timeout, &one);
        if (result != TN_OK) {
            snprintf(why, sizeof(why), "%s", tool->nodes[i].why);
            status = result == TN_ERROR_TIMEOUT ? TN_TOOL_TIMEOUT : TN_CMD_FAILED;
            continue;
        }
        json_decref(answer->json);
        *answer = one;
        if (strcmp(tn__tool_text(one.json, "error", ""), elsewhere) != 0) {
            break;
        }
    }
    json_decref(body);
    if (answer->json == NULL) {
        return tn__tool_fail(tool, status, status == TN_TOOL_TIMEOUT ? "timeout" : "unreachable",
                             why, NULL);
    }
    return answer->status / 100 == 2 ? TN_CMD_DONE : tn__tool_refused(tool, answer);
}

static int finish(struct tn__tool *tool, struct tn__tool_answer *answer, const char *said)
{
    if (tool->json) {
        tn__tool_print(answer->json);
    } else {
        printf("%s\n", said);
        json_decref(answer->json);
    }
    return TN_CMD_DONE;
}

int tn__tool_release(struct tn__tool *tool)
{
    struct tn__tool_answer answer;
    json_t *body = json_pack("{s:s}", "holding", tool->options.arguments[0]);
    if (body == NULL) {
        return tn__tool_fail(tool, TN_CMD_USAGE, "usage", "this is no holding", NULL);
    }
    int status = ask_all(tool, "/v1/release", body, "no_holding", &answer);
    return status == TN_CMD_DONE ? finish(tool, &answer, "released") : status;
}

int tn__tool_hand_over(struct tn__tool *tool)
{
    struct tn__tool_answer answer;
    const char *name;
    int status = TN_CMD_FAILED;
    const char *to = tn__cmd_text(&tool->options, "to");
    if (!tn__tool_name(tool, &name, &status)) {
        return status;
    }
    if (to == NULL) {
        return tn__tool_fail(tool, TN_CMD_USAGE, "usage", "say who shall have it: --to MEMBER",
                             NULL);
    }
    json_t *body = json_pack("{s:s, s:s}", "name", name, "to", to);
    if (tn__cmd_text(&tool->options, "table") != NULL) {
        json_object_set_new(body, "table", json_string(tn__cmd_text(&tool->options, "table")));
    }
    status = ask_all(tool, "/v1/hand-over", body, "not_owner", &answer);
    if (status != TN_CMD_DONE) {
        return status;
    }
    return finish(tool, &answer,
                  answer.status == 202 ? "will be handed over when its holder has finished"
                                       : "handed over");
}
