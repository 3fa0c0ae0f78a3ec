/* tenured: a member of a cell, as a program.
 *
 * Reads its options, opens a node (node.h), which does everything on a thread of its own, and waits
 * for the signal to leave. Signals are blocked before any thread exists, so that only this thread
 * takes them. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tenure/tenure.h>

#include "cmd/cmd_log.h"
#include "cmd/cmd_options.h"
#include "cmd/daemon_config.h"

struct daemon {
    struct tn__cmd_options options;
    struct tn__daemon_config config;
    struct tn__cmd_log log;
    struct tn_node *node;
};

static void on_log(enum tn_log_level level, const char *text, void *data)
{
    struct daemon *daemon = data;
    tn__cmd_log(&daemon->log, level, text);
}

/* What happens to the names that this node itself competes for. */
static void on_change(struct tn_node_lease *lease, const struct tn_notice *notice, void *data)
{
    struct daemon *daemon = data;
    (void)lease;
    const char *word = notice->kind == TN_NOTICE_OPENED     ? "now owns"
                       : notice->kind == TN_NOTICE_LOST     ? "has lost"
                       : notice->kind == TN_NOTICE_RELEASED ? "has released"
                                                            : NULL;
    if (word != NULL) {
        tn__cmd_log_format(&daemon->log, TN_LOG_INFO, "%s %s %.*s, token %llu",
                           daemon->config.node.name, word, notice->name_bytes, notice->name,
                           (unsigned long long)notice->token);
    }
}

static bool want_names(struct daemon *daemon)
{
    char name[512];
    const struct tn_node_lease_options wanted = {.on_change = on_change, .data = daemon};
    for (uint32_t i = 0; tn__cmd_item(&daemon->options, "want", i, name, sizeof(name)); i++) {
        struct tn_node_lease *lease;
        int status =
            tn_node_lease_open(daemon->node, daemon->config.tables[0].name, name, &wanted, &lease);
        if (status != TN_OK) {
            tn__cmd_log_format(&daemon->log, TN_LOG_ERROR, "--want: %s: %s", name,
                               tn_strerror(status));
            return false;
        }
    }
    return true;
}

static int wait_for_the_end(const sigset_t *ends)
{
    int number;
    while (sigwait(ends, &number) != 0) {
    }
    return number;
}

/* One line of what runs here, with the port that is bound. */
static void announce(struct daemon *daemon)
{
    const struct tn_node_options *options = &daemon->config.node;
    const char *clients = options->listen_client;
    struct tn_node_status *status = calloc(1, sizeof(*status));
    if (status != NULL && tn_node_status(daemon->node, status) == TN_OK) {
        for (uint32_t i = 0; i < status->members_count; i++) {
            if (status->members[i].state == TN_MEMBER_SELF && status->members[i].client_url[0]) {
                clients = status->members[i].client_url;
            }
        }
    }
    tn__cmd_log_format(
        &daemon->log, TN_LOG_INFO, "tenured %s: member %s of cell %s; clients at %s; %s%s",
        tn_version(), options->name, options->cluster, clients,
        options->data_dir == NULL ? "no data directory: no fencing tokens" : "durable words in ",
        options->data_dir == NULL ? "" : options->data_dir);
    free(status);
}

static int run(struct daemon *daemon)
{
    char why[512] = "";
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    signal(SIGPIPE, SIG_IGN);
    struct tn_node_options *options = &daemon->config.node;
    options->on_log = on_log;
    options->data = daemon;
    int status = tn_node_open(&daemon->node, options, why, sizeof(why));
    if (status != TN_OK) {
        tn__cmd_log(&daemon->log, TN_LOG_ERROR, why[0] != '\0' ? why : tn_strerror(status));
        return status == TN_ERROR_INVALID ? TN_CMD_USAGE : TN_CMD_FAILED;
    }
    announce(daemon);
    status = TN_CMD_FAILED;
    if (want_names(daemon)) {
        int number = wait_for_the_end(&ends);
        tn__cmd_log_format(&daemon->log, TN_LOG_INFO, "%s: releasing what is held, and leaving",
                           number == SIGTERM ? "SIGTERM" : "SIGINT");
        /* A second signal ends the program without waiting. */
        signal(SIGTERM, SIG_DFL);
        signal(SIGINT, SIG_DFL);
        pthread_sigmask(SIG_UNBLOCK, &ends, NULL);
        status = TN_CMD_DONE;
    }
    tn_node_close(daemon->node);
    if (status == TN_CMD_DONE) {
        tn__cmd_log(&daemon->log, TN_LOG_INFO, "left");
    }
    return status;
}

int main(int argc, char **argv)
{
    struct daemon *daemon = calloc(1, sizeof(*daemon));
    if (daemon == NULL) {
        fprintf(stderr, "tenured: out of memory\n");
        return TN_CMD_FAILED;
    }
    struct tn__cmd_options *options = &daemon->options;
    int status = TN_CMD_DONE;
    char why[512] = "";
    switch (tn__cmd_options_read(options, &tn__daemon_program, argc, argv)) {
    case TN_CMD_SHOWN:
        break;
    case TN_CMD_WRONG:
        status = tn__cmd_options_complain(options);
        break;
    case TN_CMD_GO_ON:
        if (!tn__daemon_configure(&daemon->config, options, why, sizeof(why))) {
            snprintf(options->complaint, sizeof(options->complaint), "%s", why);
            status = tn__cmd_options_complain(options);
            break;
        }
        daemon->log = (struct tn__cmd_log){
            .out = stderr,
            .node = tn__cmd_text(options, "name"),
            .level = tn__cmd_log_level(tn__cmd_text(options, "log-level")),
            .json = strcmp(tn__cmd_text(options, "log-format"), "json") == 0,
        };
        status = run(daemon);
    }
    tn__cmd_options_free(options);
    free(daemon);
    return status;
}
