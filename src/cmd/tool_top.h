/* The live view: what tool_top.c gathers and tool_screen.c draws. */
#ifndef TN_CMD_TOOL_TOP_H
#define TN_CMD_TOOL_TOP_H

#include "cmd/tool.h"

#define TN_TOP_EVENTS_MAX 12
#define TN_TOP_TEXT_BYTES 160

struct tn__top_node {
    char name[TN_MEMBER_NAME_BYTES_MAX + 1]; /* the endpoint until the node has said its name */
    bool named;
    bool asked; /* at least once */
    bool reachable;
    bool owns;
    int64_t silent_ms; /* A4: does not vote for so long */
    int64_t remaining_ms;
    uint64_t token;
    uint32_t members;
    uint32_t connected;                      /* itself included */
    char hint[TN_MEMBER_NAME_BYTES_MAX + 1]; /* who it thinks owns the name */
};

struct tn__top_event {
    tn_time at;
    char text[TN_TOP_TEXT_BYTES];
};

struct tn__top {
    struct tn__tool *tool;
    const char *name; /* NULL: only members are shown */
    tn_time started;
    struct tn__top_node nodes[TN_TOOL_ENDPOINTS_MAX];
    struct tn__top_event events[TN_TOP_EVENTS_MAX]; /* the newest last */
    uint32_t events_count;
    uint64_t events_total;
    char owner[TN_MEMBER_NAME_BYTES_MAX + 1]; /* the last that was told; empty: nobody */
    uint64_t token;
    tn_time lost_at;  /* when the owner was last seen before nobody was */
    int64_t lease_ms; /* of the table, for the bar */
    bool on_terminal;
};

enum tn__top_key { TN_TOP_NO_KEY, TN_TOP_QUIT, TN_TOP_KILL, TN_TOP_RESTART };

/* Take the terminal: false if stdin or stdout is none. */
bool tn__screen_open(void);
void tn__screen_close(void);

void tn__screen_draw(const struct tn__top *top);

/* Wait for a key for so long; also returns early on a signal. */
enum tn__top_key tn__screen_key(tn_time wait);

#endif
