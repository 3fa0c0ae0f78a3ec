/* The flags of tenured: see daemon_config.h. What one flag allows is checked by the table; what
 * concerns several, here; what concerns the node, by tn_node_open(). */
#include "cmd/daemon_config.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"

#define NAMES_MAX_DEFAULT "65536"

static const struct tn__cmd_option option_table[] = {
    {.name = "name",
     .argument = "NAME",
     .fallback = "default",
     .kind = TN_CMD_WORD,
     .help = "this member's name"},
    {.name = "cluster",
     .argument = "NAME",
     .fallback = "tenure",
     .kind = TN_CMD_WORD,
     .help = "the cell's name; members of differing cells\nrefuse each other"},
    {.name = "peers",
     .argument = "NAME=HOST:PORT,...",
     .kind = TN_CMD_PEER,
     .repeats = true,
     .help =
         "all members, this one included, and where they\nlisten for each other [a cell of one]"},
    {.name = "bootstrap",
     .kind = TN_CMD_SWITCH,
     .help = "at the very first start of a member of several:\nan empty data directory may vote"},
    {.name = "data-dir",
     .argument = "DIR",
     .kind = TN_CMD_TEXT,
     .help = "where the durable words are; is created\n[./NAME.tenure]"},
    {.name = "diskless", .kind = TN_CMD_SWITCH, .help = "no data directory, and no fencing tokens"},
    {.name = "listen-client",
     .argument = "HOST:PORT",
     .fallback = "127.0.0.1:2379",
     .kind = TN_CMD_LISTEN,
     .help = "where clients are answered"},
    {.name = "listen-peer",
     .argument = "HOST:PORT",
     .kind = TN_CMD_LISTEN,
     .help = "where members are answered [this member's\naddress in --peers]"},
    {.name = "advertise-client",
     .argument = "URL",
     .kind = TN_CMD_TEXT,
     .help = "where clients find this node, told to members\n[made from --listen-client]"},
    {.name = "lease",
     .argument = "DURATION",
     .kind = TN_CMD_DURATION,
     .least = TN_DURATION_NS_MIN,
     .most = TN_DURATION_NS_MAX,
     .help = "how long a lease of the first table lasts;\nequal at all members [10s]"},
    {.name = "table",
     .argument = "NAME=D_P[,D_A[,D_Q]]",
     .kind = TN_CMD_TABLE,
     .repeats = true,
     .help = "a lease table and its durations: owner, acceptor,\nsilence after a restart; may be "
             "repeated, equal at\nall members [names=10s and leader=1s]"},
    {.name = "names-max",
     .argument = "N",
     .fallback = NAMES_MAX_DEFAULT,
     .kind = TN_CMD_NUMBER,
     .least = 1,
     .most = TN_NAMES_MAX,
     .help = "names alive at once, in each table"},
    {.name = "drift-ppm",
     .argument = "N",
     .fallback = "500",
     .kind = TN_CMD_NUMBER,
     .most = TN_DRIFT_PPM_MAX,
     .help = "the largest error of a clock's rate, in parts\nper million; equal at all members"},
    {.name = "want",
     .argument = "LEASE",
     .kind = TN_CMD_TEXT,
     .repeats = true,
     .help = "this node itself competes for that name of the\nfirst table; may be repeated"},
    {.name = "peer-ca",
     .argument = "FILE",
     .kind = TN_CMD_TEXT,
     .help = "PEM: who vouches for the members"},
    {.name = "peer-cert",
     .argument = "FILE",
     .kind = TN_CMD_TEXT,
     .help = "PEM: this member's certificate"},
    {.name = "peer-key", .argument = "FILE", .kind = TN_CMD_TEXT, .help = "PEM: its key"},
    {.name = "client-ca",
     .argument = "FILE",
     .kind = TN_CMD_TEXT,
     .help = "PEM: who vouches for the clients"},
    {.name = "client-cert",
     .argument = "FILE",
     .kind = TN_CMD_TEXT,
     .help = "PEM: the certificate shown to clients"},
    {.name = "client-key", .argument = "FILE", .kind = TN_CMD_TEXT, .help = "PEM: its key"},
    {.name = "insecure",
     .kind = TN_CMD_SWITCH,
     .help = "allow connections without TLS beyond loopback"},
    {.name = "config-file",
     .argument = "FILE",
     .kind = TN_CMD_TEXT,
     .help = "YAML with the names of these options as keys"},
    {.name = "log-format",
     .argument = "text|json",
     .fallback = "text",
     .kind = TN_CMD_CHOICE,
     .choices = "text|json",
     .help = "how lines of the log look"},
    {.name = "log-level",
     .argument = "LEVEL",
     .fallback = "info",
     .kind = TN_CMD_CHOICE,
     .choices = "error|warning|info|debug",
     .help = "error, warning, info or debug"},
};

const struct tn__cmd_program tn__daemon_program = {
    .name = "tenured",
    .summary = "a member of a cell that agrees on leases",
    .environment = "TENURED_",
    .options = option_table,
    .options_count = sizeof(option_table) / sizeof(option_table[0]),
    .epilogue = "Flags come before the environment, the environment before the file.\n"
                "SIGTERM and SIGINT: release what is held and leave.\n"
                "Status: 0 left as asked, 1 failed, 2 wrong usage.\n",
};

static bool read_members(struct tn__daemon_config *config, const struct tn__cmd_options *options,
                         char *why, size_t why_size)
{
    char item[512];
    uint32_t count = 0;
    bool listed = false;
    for (; tn__cmd_item(options, "peers", count, item, sizeof(item)); count++) {
        if (count == TN_MEMBERS_MAX) {
            snprintf(why, why_size, "--peers: a cell has at most %d members", TN_MEMBERS_MAX);
            return false;
        }
        bool valid = tn__cmd_parse_peer(item, &config->peers[count], why);
        tn_assert(valid);
        for (uint32_t i = 0; i < count; i++) {
            bool same_name = strcmp(config->peers[i].name, config->peers[count].name) == 0;
            if (same_name || strcmp(config->peers[i].address, config->peers[count].address) == 0) {
                snprintf(why, why_size,
                         "--peers: %s stands twice; each member has a name and an "
                         "address of its own",
                         same_name ? config->peers[count].name : config->peers[count].address);
                return false;
            }
        }
        listed = listed || strcmp(config->peers[count].name, config->node.name) == 0;
        config->members[count].name = config->peers[count].name;
        config->members[count].peer_address = config->peers[count].address;
    }
    if (count > 0 && !listed) {
        snprintf(why, why_size,
                 "--name: %s is not among --peers; list all members there, this one included",
                 config->node.name);
        return false;
    }
    config->node.members = count == 0 ? NULL : config->members;
    config->node.members_count = count;
    return true;
}

static bool read_tables(struct tn__daemon_config *config, const struct tn__cmd_options *options,
                        char *why, size_t why_size)
{
    char item[512];
    uint32_t count = 0;
    uint32_t names_max = (uint32_t)tn__cmd_number(options, "names-max");
    for (; tn__cmd_item(options, "table", count, item, sizeof(item)); count++) {
        if (count == TN_TABLES_MAX) {
            snprintf(why, why_size, "--table: a node has at most %d tables", TN_TABLES_MAX);
            return false;
        }
        bool valid = tn__cmd_parse_table(item, &config->table_texts[count], why);
        tn_assert(valid);
        for (uint32_t i = 0; i < count; i++) {
            if (strcmp(config->table_texts[i].name, config->table_texts[count].name) == 0) {
                snprintf(why, why_size, "--table: %s stands twice", config->table_texts[i].name);
                return false;
            }
        }
        config->tables[count].name = config->table_texts[count].name;
        config->tables[count].options = config->table_texts[count].durations;
    }
    if (count > 0 && tn__cmd_given(options, "lease")) {
        snprintf(why, why_size,
                 "--lease: stands for the first of the usual tables; with --table, "
                 "write its duration there");
        return false;
    }
    if (count == 0) {
        bool given = tn__cmd_given(options, "lease");
        config->tables[0].name = "names";
        config->tables[0].options.proposer_ns =
            given ? tn__cmd_duration(options, "lease") : 10 * TN_SECOND;
        config->tables[1].name = "leader";
        config->tables[1].options.proposer_ns = TN_SECOND;
        count = 2;
    }
    for (uint32_t i = 0; i < count; i++) {
        config->tables[i].options.names_max = names_max;
    }
    config->node.tables = config->tables;
    config->node.tables_count = count;
    return true;
}

/* TLS files come all three or not at all: with two of them a connection would be half checked. */
static bool read_tls(struct tn_node_tls *tls, const struct tn__cmd_options *options,
                     const char *const names[3], char *why, size_t why_size)
{
    tls->ca_file = tn__cmd_text(options, names[0]);
    tls->certificate_file = tn__cmd_text(options, names[1]);
    tls->key_file = tn__cmd_text(options, names[2]);
    int count = (tls->ca_file != NULL) + (tls->certificate_file != NULL) + (tls->key_file != NULL);
    if (count != 0 && count != 3) {
        snprintf(why, why_size, "--%s, --%s and --%s belong together: give all three or none",
                 names[0], names[1], names[2]);
        return false;
    }
    return true;
}

/* Beyond loopback a connection without TLS is a choice that has to be spoken out. */
static bool check_reach(const char *flag, const char *address, const struct tn_node_tls *tls,
                        bool insecure, const char *files, char *why, size_t why_size)
{
    struct tn__cmd_address parsed;
    if (address == NULL || tls->ca_file != NULL || insecure) {
        return true;
    }
    bool valid = tn__cmd_parse_address(address, true, &parsed, why);
    tn_assert(valid);
    if (tn__cmd_host_is_loopback(parsed.host)) {
        return true;
    }
    snprintf(why, why_size,
             "%s: %.64s is reached from other machines: give TLS files (%s), or choose --insecure",
             flag, address, files);
    return false;
}

static bool check_all_reaches(const struct tn__daemon_config *config, char *why, size_t why_size)
{
    static const char client_files[] = "--client-ca, --client-cert, --client-key";
    static const char peer_files[] = "--peer-ca, --peer-cert, --peer-key";
    const struct tn_node_options *node = &config->node;
    if (!check_reach("--listen-client", node->listen_client, &node->client_tls, node->client_plain,
                     client_files, why, why_size)) {
        return false;
    }
    for (uint32_t i = 0; i < node->members_count; i++) {
        if (!check_reach("--peers", node->members[i].peer_address, &node->peer_tls,
                         node->peer_plain, peer_files, why, why_size)) {
            return false;
        }
    }
    return check_reach("--listen-peer", node->listen_peer, &node->peer_tls, node->peer_plain,
                       peer_files, why, why_size);
}

static bool read_data_dir(struct tn__daemon_config *config, const struct tn__cmd_options *options,
                          char *why, size_t why_size)
{
    const char *given = tn__cmd_text(options, "data-dir");
    if (tn__cmd_switch(options, "diskless")) {
        if (given != NULL) {
            snprintf(why, why_size, "--diskless and --data-dir contradict each other");
            return false;
        }
        config->node.data_dir = NULL;
        return true;
    }
    int length = given != NULL ? snprintf(config->data_dir, sizeof(config->data_dir), "%s", given)
                               : snprintf(config->data_dir, sizeof(config->data_dir), "%s.tenure",
                                          config->node.name);
    if (length >= (int)sizeof(config->data_dir)) {
        snprintf(why, why_size, "--data-dir: this path is too long");
        return false;
    }
    config->node.data_dir = config->data_dir;
    return true;
}

bool tn__daemon_configure(struct tn__daemon_config *config, const struct tn__cmd_options *options,
                          char *why, size_t why_size)
{
    static const char *const peer_tls[3] = {"peer-ca", "peer-cert", "peer-key"};
    static const char *const client_tls[3] = {"client-ca", "client-cert", "client-key"};
    tn_assert(why_size >= TN_CMD_WHY_BYTES);
    memset(config, 0, sizeof(*config));
    struct tn_node_options *node = &config->node;
    node->name = tn__cmd_text(options, "name");
    node->cluster = tn__cmd_text(options, "cluster");
    node->bootstrap = tn__cmd_switch(options, "bootstrap");
    node->drift_ppm = (uint32_t)tn__cmd_number(options, "drift-ppm");
    node->listen_client = tn__cmd_text(options, "listen-client");
    node->listen_peer = tn__cmd_text(options, "listen-peer");
    node->client_url = tn__cmd_text(options, "advertise-client");
    node->peer_plain = node->client_plain = tn__cmd_switch(options, "insecure");
    char item[512];
    for (uint32_t i = 0; tn__cmd_item(options, "want", i, item, sizeof(item)); i++) {
        char reason[TN_CMD_WHY_BYTES];
        if (!tn__cmd_parse_name(item, reason)) {
            snprintf(why, why_size, "--want: %s", reason);
            return false;
        }
    }
    return read_members(config, options, why, why_size) &&
           read_tables(config, options, why, why_size) &&
           read_tls(&node->peer_tls, options, peer_tls, why, why_size) &&
           read_tls(&node->client_tls, options, client_tls, why, why_size) &&
           check_all_reaches(config, why, why_size) &&
           read_data_dir(config, options, why, why_size);
}
