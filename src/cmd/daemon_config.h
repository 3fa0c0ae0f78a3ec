/* The flags of tenured, and the options of a node made from them. */
#ifndef TN_DAEMON_CONFIG_H
#define TN_DAEMON_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include <tenure/node.h>

#include "cmd/cmd_options.h"

/* Everything that tn_node_options points to. */
struct tn__daemon_config {
    struct tn_node_options node;
    struct tn_node_member members[TN_MEMBERS_MAX];
    struct tn__cmd_peer peers[TN_MEMBERS_MAX];
    struct tn_node_table tables[TN_TABLES_MAX];
    struct tn__cmd_table table_texts[TN_TABLES_MAX];
    char data_dir[4096];
};

extern const struct tn__cmd_program tn__daemon_program;

/* Put the options together and check what goes across flags: duplicates, members that are not
 * listed, contradictions. False with a sentence in `why`. */
bool tn__daemon_configure(struct tn__daemon_config *config, const struct tn__cmd_options *options,
                          char *why, size_t why_size);

#endif
