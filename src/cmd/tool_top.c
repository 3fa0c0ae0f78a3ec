/* top [NAME]: members and the owner of a name, live on a terminal, else one line an event.
 *
 * Each round asks every endpoint for its status and for the name; events are the differences
 * between rounds. An owner is who says so of itself (certain); what others say is shown as a hint.
 */
#define _GNU_SOURCE
#include "cmd/tool_top.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "os/clock.h"

#define ROUND_NS (100 * TN_MILLISECOND)
#define ANSWER_NS (250 * TN_MILLISECOND)

static volatile sig_atomic_t ended;

static void on_end(int number)
{
    (void)number;
    ended = 1;
}

__attribute__((format(printf, 2, 3))) static void tell(struct tn__top *top, const char *format, ...)
{
    if (top->events_count == TN_TOP_EVENTS_MAX) {
        memmove(&top->events[0], &top->events[1], sizeof(top->events) - sizeof(top->events[0]));
        top->events_count--;
    }
    struct tn__top_event *event = &top->events[top->events_count++];
    event->at = tn__clock_now();
    top->events_total++;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(event->text, sizeof(event->text), format, arguments);
    va_end(arguments);
    double seconds = (double)(event->at - top->started) / (double)TN_SECOND;
    if (top->tool->json) {
        tn__tool_print(json_pack("{s:f, s:s}", "seconds", seconds, "event", event->text));
    } else if (!top->on_terminal) {
        printf("%8.2f s  %s\n", seconds, event->text);
        fflush(stdout);
    }
}

static void read_status(struct tn__top *top, struct tn__top_node *node, const json_t *status)
{
    const json_t *item;
    size_t i;
    snprintf(node->name, sizeof(node->name), "%s", tn__tool_text(status, "name", node->name));
    node->named = true;
    node->silent_ms = tn__tool_number(status, "quarantine_ms", 0);
    node->members = node->connected = 0;
    json_array_foreach(json_object_get(status, "members"), i, item)
    {
        node->members++;
        node->connected += tn__tool_flag(item, "connected") || tn__tool_flag(item, "self");
    }
    const char *table = tn__cmd_text(&top->tool->options, "table");
    json_array_foreach(json_object_get(status, "tables"), i, item)
    {
        if (table == NULL ? i == 0 : strcmp(tn__tool_text(item, "name", ""), table) == 0) {
            top->lease_ms = tn__tool_number(item, "proposer_ms", 0);
        }
    }
}

static void read_name(struct tn__top_node *node, const json_t *lease)
{
    const char *owner = tn__tool_text(json_object_get(lease, "owner"), "name", "");
    node->owns = strcmp(tn__tool_text(lease, "state", ""), "owned") == 0;
    node->remaining_ms = tn__tool_number(lease, "remaining_ms", 0);
    node->token = (uint64_t)tn__tool_number(lease, "token", 0);
    snprintf(node->hint, sizeof(node->hint), "%s", owner);
}

static void ask_node(struct tn__top *top, uint32_t index, const char *who)
{
    struct tn__top_node *node = &top->nodes[index];
    struct tn__http *http = &top->tool->nodes[index];
    struct tn__tool_answer answer;
    bool was = node->reachable;
    bool first = !node->asked;
    node->asked = true;
    node->owns = false;
    int result =
        tn__tool_call_node(http, "GET", "/v1/status", NULL, tn__clock_now() + ANSWER_NS, &answer);
    node->reachable = result == TN_OK && answer.status == 200;
    if (node->reachable) {
        read_status(top, node, answer.json);
    }
    json_decref(answer.json);
    if (node->reachable && top->name != NULL &&
        tn__tool_call_node(http, "GET", who, NULL, tn__clock_now() + ANSWER_NS, &answer) == TN_OK) {
        read_name(node, answer.json);
        json_decref(answer.json);
    }
    if (node->reachable && !was) {
        tell(top, "%s is %s%s", node->name, first || !node->named ? "up" : "back",
             node->silent_ms > 0 ? ", silent until no promise of an earlier life can count" : "");
    } else if (!node->reachable && was) {
        tell(top, "%s is gone", node->name);
    }
}

static void tell_owner(struct tn__top *top)
{
    const struct tn__top_node *owner = NULL;
    for (uint32_t i = 0; i < top->tool->nodes_count; i++) {
        const struct tn__top_node *node = &top->nodes[i];
        if (!node->owns) {
            continue;
        }
        /* The rounds ask one node after the other: only a former owner may be seen with a new one.
         */
        if (owner == NULL || node->token > owner->token) {
            owner = node;
        }
    }
    tn_time now = tn__clock_now();
    if (owner == NULL) {
        if (top->owner[0] != '\0') {
            tell(top, "nobody owns %s", top->name);
            top->owner[0] = '\0';
            top->lost_at = now;
        }
        return;
    }
    if (strcmp(owner->name, top->owner) == 0 && owner->token == top->token) {
        return;
    }
    char after[48] = "";
    if (top->lost_at != 0) {
        snprintf(after, sizeof(after), ", %.2f s later", (double)(now - top->lost_at) / 1e9);
    }
    if (owner->token == 0) {
        tell(top, "%s owns %s%s", owner->name, top->name, after);
    } else {
        tell(top, "%s owns %s, token %llu%s", owner->name, top->name,
             (unsigned long long)owner->token, after);
    }
    snprintf(top->owner, sizeof(top->owner), "%s", owner->name);
    top->token = owner->token;
    top->lost_at = 0;
}

/* Pass a key on to whoever runs the nodes. */
static void control(struct tn__top *top, enum tn__top_key key)
{
    char line[128];
    const char *path = tn__cmd_text(&top->tool->options, "control");
    if (path == NULL || (key == TN_TOP_KILL && top->owner[0] == '\0')) {
        return;
    }
    int length = key == TN_TOP_KILL ? snprintf(line, sizeof(line), "kill %s\n", top->owner)
                                    : snprintf(line, sizeof(line), "restart\n");
    int file = open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC);
    if (file < 0 || write(file, line, (size_t)length) != length) {
        tell(top, "nobody listens at %s", path);
    } else if (key == TN_TOP_KILL) {
        tell(top, "killing %s", top->owner);
    }
    if (file >= 0) {
        close(file);
    }
}

static void rounds(struct tn__top *top, const char *who, tn_time end)
{
    while (ended == 0 && tn__clock_now() < end) {
        tn_time next = tn__clock_now() + ROUND_NS;
        for (uint32_t i = 0; i < top->tool->nodes_count && ended == 0; i++) {
            ask_node(top, i, who);
        }
        if (top->name != NULL && ended == 0) {
            tell_owner(top);
        }
        tn_time now = tn__clock_now();
        tn_time wait = next > now ? next - now : 0;
        if (!top->on_terminal) {
            struct timespec pause = {.tv_nsec = (long)wait};
            nanosleep(&pause, NULL);
            continue;
        }
        tn__screen_draw(top);
        enum tn__top_key key = tn__screen_key(wait);
        if (key == TN_TOP_QUIT) {
            return;
        }
        if (key != TN_TOP_NO_KEY) {
            control(top, key);
        }
    }
}

int tn__tool_top(struct tn__tool *tool)
{
    const struct tn__cmd_options *options = &tool->options;
    char who[512] = "/v1/who?name=";
    int status = TN_CMD_DONE;
    struct tn__top *top = calloc(1, sizeof(*top));
    if (top == NULL) {
        return tn__tool_fail(tool, TN_CMD_FAILED, "memory", "out of memory", NULL);
    }
    top->tool = tool;
    top->started = tn__clock_now();
    if (options->arguments_count > 0 && !tn__tool_name(tool, &top->name, &status)) {
        free(top);
        return status;
    }
    tn__http_encode(who, sizeof(who), top->name == NULL ? "" : top->name);
    if (tn__cmd_text(options, "table") != NULL) {
        strncat(who, "&table=", sizeof(who) - strlen(who) - 1);
        tn__http_encode(who, sizeof(who), tn__cmd_text(options, "table"));
    }
    for (uint32_t i = 0; i < tool->nodes_count; i++) {
        snprintf(top->nodes[i].name, sizeof(top->nodes[i].name), "%.63s", tool->nodes[i].endpoint);
    }
    struct sigaction action = {.sa_handler = on_end};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    top->on_terminal = !tool->json && tn__screen_open();
    rounds(top, who,
           tn__cmd_given(options, "duration") ? top->started + tn__cmd_duration(options, "duration")
                                              : TN_TIME_NEVER);
    if (top->on_terminal) {
        tn__screen_close();
    }
    if (tool->json) {
        tn__tool_print(json_pack("{s:I, s:s, s:I}", "events", (json_int_t)top->events_total,
                                 "owner", top->owner, "token", (json_int_t)top->token));
    }
    free(top);
    return status;
}
