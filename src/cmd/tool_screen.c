/* The live view on a terminal: plain ANSI sequences, an alternate screen, single keys. */
#define _GNU_SOURCE
#include "cmd/tool_top.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "os/clock.h"

#define BAR_COLUMNS 30

static struct termios before;

bool tn__screen_open(void)
{
    struct termios raw;
    if (!isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &before) != 0) {
        return false;
    }
    raw = before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    printf("\x1b[?1049h\x1b[?25l");
    fflush(stdout);
    return true;
}

void tn__screen_close(void)
{
    printf("\x1b[?25h\x1b[?1049l");
    fflush(stdout);
    tcsetattr(STDIN_FILENO, TCSANOW, &before);
}

static void draw_bar(const struct tn__top *top, const struct tn__top_node *node)
{
    int64_t lease = top->lease_ms > 0 ? top->lease_ms : 1;
    int64_t filled = node->remaining_ms * BAR_COLUMNS / lease;
    filled = filled < 0 ? 0 : filled > BAR_COLUMNS ? BAR_COLUMNS : filled;
    printf("\x1b[32m");
    for (int64_t i = 0; i < BAR_COLUMNS; i++) {
        fputs(i < filled ? "#" : "\x1b[90m.", stdout);
    }
    printf("\x1b[0m %5lld ms", (long long)node->remaining_ms);
}

static void draw_node(const struct tn__top *top, const struct tn__top_node *node)
{
    printf("  %-12s ", node->name);
    if (!node->reachable) {
        printf("\x1b[31m%-12s\x1b[0m\x1b[K\n", node->asked ? "gone" : "...");
        return;
    }
    char state[32];
    snprintf(state, sizeof(state), "%u of %u up", node->connected, node->members);
    if (node->silent_ms > 0) {
        printf("\x1b[33mnot voting for %lld ms more\x1b[0m", (long long)node->silent_ms);
    } else {
        printf("%-12s", state);
    }
    if (node->owns) {
        printf("  \x1b[1mowner\x1b[0m  ");
        draw_bar(top, node);
    } else if (top->name != NULL && node->hint[0] != '\0') {
        printf("  \x1b[90mfollows %s\x1b[0m", node->hint);
    }
    printf("\x1b[K\n");
}

void tn__screen_draw(const struct tn__top *top)
{
    printf("\x1b[H\x1b[1mtenure\x1b[0m  ");
    if (top->name != NULL) {
        printf("lease \x1b[1m%s\x1b[0m: ", top->name);
        if (top->owner[0] == '\0') {
            printf("\x1b[33mnobody owns it\x1b[0m");
        } else {
            printf("owned by \x1b[1;32m%s\x1b[0m, fencing token %llu", top->owner,
                   (unsigned long long)top->token);
        }
    }
    printf("\x1b[K\n\x1b[K\n");
    for (uint32_t i = 0; i < top->tool->nodes_count; i++) {
        draw_node(top, &top->nodes[i]);
    }
    printf("\x1b[K\n  what happened\x1b[K\n");
    for (uint32_t i = 0; i < top->events_count; i++) {
        printf("  %8.2f s  %s\x1b[K\n",
               (double)(top->events[i].at - top->started) / (double)TN_SECOND, top->events[i].text);
    }
    printf("\x1b[K\n  %sq quit\x1b[K\n\x1b[J", tn__cmd_given(&top->tool->options, "control")
                                                   ? "k kill the owner   r restart who is gone   "
                                                   : "");
    fflush(stdout);
}

enum tn__top_key tn__screen_key(tn_time wait)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    char key;
    if (poll(&input, 1, (int)(wait / TN_MILLISECOND)) <= 0) {
        return TN_TOP_NO_KEY;
    }
    if (read(STDIN_FILENO, &key, 1) != 1) {
        return TN_TOP_QUIT;
    }
    switch (key) {
    case 'q':
    case 'Q':
        return TN_TOP_QUIT;
    case 'k':
    case 'K':
        return TN_TOP_KILL;
    case 'r':
    case 'R':
        return TN_TOP_RESTART;
    default:
        return TN_TOP_NO_KEY;
    }
}
