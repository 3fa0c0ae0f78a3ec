/* What the commands of `tenure` share: options, endpoints, answers, and how a command ends.
 *
 * A command gets a struct tn__tool and returns a status. Calls go to the endpoint that answered
 * last; one that cannot be reached, or is leaving, is passed over for the next. */
#ifndef TN_CMD_TOOL_H
#define TN_CMD_TOOL_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "cmd/cmd_http.h"
#include "cmd/cmd_options.h"

#define TN_TOOL_ENDPOINTS_MAX 16

/* Statuses of `tenure` beyond those of every program. */
#define TN_TOOL_HELD 3
#define TN_TOOL_LOST 4
#define TN_TOOL_TIMEOUT 124

enum tn__tool_command {
    TN_TOOL_STATUS,
    TN_TOOL_LEASES,
    TN_TOOL_WHO,
    TN_TOOL_WATCH,
    TN_TOOL_ACQUIRE,
    TN_TOOL_RELEASE,
    TN_TOOL_HAND_OVER,
    TN_TOOL_HOLD,
    TN_TOOL_TOP,
    TN_TOOL_LOG,
};

struct tn__tool {
    struct tn__cmd_options options;
    bool json;
    tn_time timeout;
    struct tn__http_tls tls;
    struct tn__http nodes[TN_TOOL_ENDPOINTS_MAX];
    uint32_t nodes_count;
    uint32_t current; /* the endpoint that answered last */
};

/* An answer of a node. */
struct tn__tool_answer {
    int status;   /* of HTTP */
    tn_time sent; /* when the request was sent */
    json_t *json; /* an object; release with json_decref() */
};

extern const struct tn__cmd_program tn__tool_program;

/* Open the endpoints. False after a complaint. */
bool tn__tool_open(struct tn__tool *tool);
void tn__tool_close(struct tn__tool *tool);

/* Say how a command failed: on stderr for people, with --json as an object on stdout. `details` is
 * taken over and may be NULL. Returns `status`. */
int tn__tool_fail(const struct tn__tool *tool, int status, const char *error, const char *message,
                  json_t *details);

/* The same for an answer that is an error of the API; chooses the status. Takes the answer's JSON.
 */
int tn__tool_refused(const struct tn__tool *tool, struct tn__tool_answer *answer);

/* Print an object as one line. Takes it over. */
void tn__tool_print(json_t *object);

/* Call one endpoint. `body` is taken over and may be NULL. Errors: as tn__http_call(), and
 * TN_ERROR_MALFORMED when the answer is no JSON object. */
int tn__tool_call_node(struct tn__http *node, const char *method, const char *path, json_t *body,
                       tn_time deadline, struct tn__tool_answer *answer);

/* Call the endpoints in turn, beginning with the current, until one answers something but 503.
 * TN_OK or, after a complaint, an error; `*status` is then the command's status. */
int tn__tool_call(struct tn__tool *tool, const char *method, const char *path, json_t *body,
                  struct tn__tool_answer *answer, int *status);

/* Fields of an answer, with a value for those that are missing or of another type. */
const char *tn__tool_text(const json_t *object, const char *name, const char *otherwise);
int64_t tn__tool_number(const json_t *object, const char *name, int64_t otherwise);
bool tn__tool_flag(const json_t *object, const char *name);

/* The argument as a lease's name; false after a complaint. */
bool tn__tool_name(const struct tn__tool *tool, const char **name, int *status);

int tn__tool_status(struct tn__tool *tool);
int tn__tool_leases(struct tn__tool *tool);
int tn__tool_who(struct tn__tool *tool);
int tn__tool_watch(struct tn__tool *tool);
int tn__tool_acquire(struct tn__tool *tool);
int tn__tool_release(struct tn__tool *tool);
int tn__tool_hand_over(struct tn__tool *tool);
int tn__tool_hold(struct tn__tool *tool);
int tn__tool_top(struct tn__tool *tool);
int tn__tool_log(struct tn__tool *tool);

#endif
