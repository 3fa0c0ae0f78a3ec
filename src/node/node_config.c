/* The options of a node: checked, completed and copied, so that the caller's memory is free again.
 *
 * Everything that a person can get wrong in a flag or a file is refused here, with the option's
 * name, what is wrong and what to do. */
#include "node/node_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/assert.h"

#define APPLIERS_MAX 64U
#define LOG_SEGMENT_BYTES_MIN (1ULL << 20)
#define LOG_SEGMENT_BYTES_MAX (4ULL << 30)
#define CATCH_UP_BYTES_MIN (1ULL << 20) /* a second */
#define CATCH_UP_BYTES_MAX (64ULL << 30)
#define CATCH_UP_BYTES_DEFAULT (120ULL << 20)
#define LOG_SEGMENT_BYTES_DEFAULT (64ULL << 20)
#define DRIFT_PPM_DEFAULT 500U

struct context {
    struct tn__node_config *config;
    const struct tn_node_options *options;
    char *why;
    size_t why_size;
};

__attribute__((format(printf, 2, 3))) static int refuse(const struct context *context,
                                                        const char *format, ...)
{
    if (context->why != NULL && context->why_size > 0) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(context->why, context->why_size, format, arguments);
        va_end(arguments);
    }
    return TN_ERROR_INVALID;
}

/* Names of members, tables and clusters: what needs no quoting anywhere. */
static bool name_valid(const char *name, size_t bytes_max)
{
    size_t length = strnlen(name, bytes_max + 1);
    if (length < 1 || length > bytes_max) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        char c = name[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && c != '.' && c != '_' && c != '-') {
            return false;
        }
    }
    return true;
}

static int take_names(struct context *context)
{
    struct tn__node_config *config = context->config;
    const char *name = context->options->name != NULL ? context->options->name : "default";
    const char *cluster = context->options->cluster != NULL ? context->options->cluster : "tenure";
    if (!name_valid(name, TN_MEMBER_NAME_BYTES_MAX)) {
        return refuse(context,
                      "name \"%.80s\": write 1 to %d letters, digits, dots, underscores or hyphens",
                      name, TN_MEMBER_NAME_BYTES_MAX);
    }
    if (!name_valid(cluster, TN_NAME_BYTES_MAX)) {
        return refuse(
            context,
            "cluster \"%.80s\": write 1 to %d letters, digits, dots, underscores or hyphens",
            cluster, TN_NAME_BYTES_MAX);
    }
    snprintf(config->name, sizeof(config->name), "%s", name);
    snprintf(config->cluster, sizeof(config->cluster), "%s", cluster);
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned digest_bytes = 0;
    if (EVP_Digest(cluster, strlen(cluster), digest, &digest_bytes, EVP_sha256(), NULL) != 1) {
        return refuse(context, "cluster \"%.80s\": SHA-256 is not available", cluster);
    }
    tn_assert(digest_bytes >= sizeof(config->cluster_id));
    memcpy(config->cluster_id, digest, sizeof(config->cluster_id));
    return 0;
}

static int take_member(struct context *context, uint32_t index)
{
    const struct tn_node_member *given = &context->options->members[index];
    struct tn__peers_member *member = &context->config->members[index];
    if (given->name == NULL || !name_valid(given->name, TN_MEMBER_NAME_BYTES_MAX)) {
        return refuse(
            context,
            "member \"%.80s\": write 1 to %d letters, digits, dots, underscores or hyphens",
            given->name != NULL ? given->name : "", TN_MEMBER_NAME_BYTES_MAX);
    }
    snprintf(member->name, sizeof(member->name), "%s", given->name);
    for (uint32_t i = 0; i < index; i++) {
        if (strcmp(context->config->members[i].name, given->name) == 0) {
            return refuse(context, "member \"%s\" is listed twice", given->name);
        }
    }
    context->config->ids[index] = given->id;
    if (given->peer_address == NULL) {
        return refuse(context, "member \"%s\" has no peer address: write HOST:PORT", given->name);
    }
    char why[TN_WHY_BYTES_MAX];
    if (tn__address_parse(&member->address, given->peer_address, why, sizeof(why)) != 0) {
        return refuse(context, "member \"%s\": %s", given->name, why);
    }
    snprintf(member->address_text, sizeof(member->address_text), "%s", given->peer_address);
    return 0;
}

static void swap_members(struct tn__node_config *config, uint32_t a, uint32_t b)
{
    struct tn__peers_member member = config->members[a];
    config->members[a] = config->members[b];
    config->members[b] = member;
    tn_node_id id = config->ids[a];
    config->ids[a] = config->ids[b];
    config->ids[b] = id;
}

/* Into the order of the ids, or of the names where no ids are given; at most 15, so simply. */
static void sort_members(struct tn__node_config *config, bool by_name)
{
    for (uint32_t i = 1; i < config->members_count; i++) {
        for (uint32_t j = i; j > 0; j--) {
            bool wrong = by_name ? strcmp(config->members[j - 1].name, config->members[j].name) > 0
                                 : config->ids[j - 1] > config->ids[j];
            if (!wrong) {
                break;
            }
            swap_members(config, j - 1, j);
        }
    }
}

static int number_members(struct context *context)
{
    struct tn__node_config *config = context->config;
    uint32_t given_count = 0;
    for (uint32_t i = 0; i < config->members_count; i++) {
        given_count += config->ids[i] != 0 ? 1 : 0;
    }
    if (given_count != 0 && given_count != config->members_count) {
        return refuse(context, "members: give an id to all of them, or to none");
    }
    sort_members(config, given_count == 0);
    for (uint32_t i = 0; i < config->members_count; i++) {
        if (given_count == 0) {
            config->ids[i] = (tn_node_id)(i + 1);
        } else if (i > 0 && config->ids[i] == config->ids[i - 1]) {
            return refuse(context, "members \"%s\" and \"%s\" have the same id %u",
                          config->members[i - 1].name, config->members[i].name,
                          (unsigned)config->ids[i]);
        }
    }
    int32_t self = tn__node_config_member(config, config->name);
    if (self < 0) {
        return refuse(context, "this node's name \"%s\" is not among its members", config->name);
    }
    config->self = (uint32_t)self;
    return 0;
}

static int take_members(struct context *context)
{
    struct tn__node_config *config = context->config;
    const struct tn_node_options *options = context->options;
    if (options->members_count > TN_MEMBERS_MAX) {
        return refuse(context, "%u members: at most %d can vote", options->members_count,
                      TN_MEMBERS_MAX);
    }
    if (options->members_count > 0 && options->members == NULL) {
        return refuse(context, "members_count is %u, but members is NULL", options->members_count);
    }
    if (options->members_count == 0) {
        config->members_count = 1;
        config->ids[0] = 1;
        snprintf(config->members[0].name, sizeof(config->members[0].name), "%s", config->name);
        return 0;
    }
    config->members_count = options->members_count;
    for (uint32_t i = 0; i < options->members_count; i++) {
        int error = take_member(context, i);
        if (error != 0) {
            return error;
        }
    }
    return number_members(context);
}

static const struct tn_node_table default_tables[] = {
    {.name = "names", .options = {.proposer_ns = 10 * TN_SECOND}},
    {.name = "leader", .options = {.proposer_ns = TN_SECOND}},
};

static int take_tables(struct context *context)
{
    struct tn__node_config *config = context->config;
    const struct tn_node_options *options = context->options;
    const struct tn_node_table *tables = options->tables;
    uint32_t count = options->tables_count;
    if (count > TN_TABLES_MAX || (count > 0 && tables == NULL)) {
        return refuse(context, "tables: give at most %d, in an array", TN_TABLES_MAX);
    }
    if (count == 0) {
        tables = default_tables;
        count = sizeof(default_tables) / sizeof(default_tables[0]);
    }
    struct tn_lease_options *lease = &config->lease;
    lease->tables_count = count;
    for (uint32_t i = 0; i < count; i++) {
        if (tables[i].name == NULL || !name_valid(tables[i].name, TN_NAME_BYTES_MAX)) {
            return refuse(
                context,
                "table \"%.80s\": write 1 to %d letters, digits, dots, underscores or hyphens",
                tables[i].name != NULL ? tables[i].name : "", TN_NAME_BYTES_MAX);
        }
        for (uint32_t j = 0; j < i; j++) {
            if (strcmp(config->table_names[j], tables[i].name) == 0) {
                return refuse(context, "table \"%s\" is listed twice", tables[i].name);
            }
        }
        snprintf(config->table_names[i], sizeof(config->table_names[i]), "%s", tables[i].name);
        lease->tables[i] = tables[i].options;
    }
    memcpy(lease->members, config->ids, sizeof(config->ids));
    lease->members_count = config->members_count;
    lease->self = (uint16_t)config->self;
    lease->drift_ppm = config->drift_ppm;
    lease->diskless = config->diskless;
    lease->restart_word = 1; /* replaced at the start; here only so that all else can be checked */
    return tn_lease_options_complete(lease, context->why, context->why_size);
}

static int take_file(const struct context *context, char *copy, size_t copy_size,
                     const char *option, const char *path)
{
    if (path != NULL && strlen(path) >= copy_size) {
        return refuse(context, "%s: the path is longer than %zu bytes", option, copy_size - 1);
    }
    snprintf(copy, copy_size, "%s", path != NULL ? path : "");
    return 0;
}

static int take_tls(const struct context *context, struct tn__node_tls_files *files,
                    const struct tn_node_tls *given, const char *option)
{
    uint32_t count = (given->ca_file != NULL ? 1U : 0U) +
                     (given->certificate_file != NULL ? 1U : 0U) +
                     (given->key_file != NULL ? 1U : 0U);
    if (count == 0) {
        return 0;
    }
    if (count != 3) {
        return refuse(context,
                      "%s: give all three of the authority, the certificate and the key, or none",
                      option);
    }
    files->used = true;
    int error = take_file(context, files->ca_file, sizeof(files->ca_file), option, given->ca_file);
    if (error == 0) {
        error = take_file(context, files->certificate_file, sizeof(files->certificate_file), option,
                          given->certificate_file);
    }
    if (error == 0) {
        error =
            take_file(context, files->key_file, sizeof(files->key_file), option, given->key_file);
    }
    return error;
}

/* "" means: does not listen. Plain connections beyond this machine are a choice, never a default.
 */
static int take_address(const struct context *context, char *copy, const char *text, bool plain,
                        const char *option, const char *choice)
{
    if (text == NULL || text[0] == '\0') {
        return 0;
    }
    struct tn__address address;
    char why[TN_WHY_BYTES_MAX];
    if (tn__address_parse(&address, text, why, sizeof(why)) != 0) {
        return refuse(context, "%s: %s", option, why);
    }
    if (!plain && !tn__address_is_loopback(&address)) {
        return refuse(context,
                      "%s %s is reached from other machines: give certificates, or choose plain "
                      "connections by %s",
                      option, text, choice);
    }
    if (copy != NULL) {
        snprintf(copy, TN_ADDRESS_BYTES_MAX + 1, "%s", text);
    }
    return 0;
}

static int take_addresses(struct context *context)
{
    struct tn__node_config *config = context->config;
    const struct tn_node_options *options = context->options;
    bool peer_free = options->peer_plain != 0 || config->peer_tls.used;
    bool client_free = options->client_plain != 0 || config->client_tls.used;
    if (config->members_count > 1) {
        for (uint32_t i = 0; i < config->members_count; i++) {
            int error = take_address(context, NULL, config->members[i].address_text, peer_free,
                                     "member address", "peer_plain");
            if (error != 0) {
                return error;
            }
        }
    }
    const char *listen = options->listen_peer;
    if (listen == NULL && config->members_count > 1) {
        listen = config->members[config->self].address_text;
    }
    int error =
        take_address(context, config->listen_peer, listen, peer_free, "listen_peer", "peer_plain");
    if (error == 0) {
        error = take_address(context, config->listen_client, options->listen_client, client_free,
                             "listen_client", "client_plain");
    }
    if (error != 0) {
        return error;
    }
    if (options->client_url != NULL) {
        if (strlen(options->client_url) > TN_CLIENT_URL_BYTES_MAX) {
            return refuse(context, "client_url: longer than %d bytes", TN_CLIENT_URL_BYTES_MAX);
        }
        for (const char *c = options->client_url; *c != '\0'; c++) {
            if (*c <= ' ' || *c > '~') {
                return refuse(context, "client_url: a character that no address has");
            }
        }
        snprintf(config->client_url, sizeof(config->client_url), "%s", options->client_url);
    } /* else it is made once the port is bound: node.c */
    return 0;
}

static int take_log(const struct context *context)
{
    const struct tn_node_options *options = context->options;
    struct tn__node_config *config = context->config;
    if (options->appliers_count > APPLIERS_MAX) {
        return refuse(context, "appliers_count: 1 to %u", APPLIERS_MAX);
    }
    if (options->log_segment_bytes != 0 && (options->log_segment_bytes < LOG_SEGMENT_BYTES_MIN ||
                                            options->log_segment_bytes > LOG_SEGMENT_BYTES_MAX)) {
        return refuse(context, "log_segment_bytes: 1 MiB to 4 GiB");
    }
    if (options->catch_up_bytes_per_second != 0 &&
        (options->catch_up_bytes_per_second < CATCH_UP_BYTES_MIN ||
         options->catch_up_bytes_per_second > CATCH_UP_BYTES_MAX)) {
        return refuse(context, "catch_up_bytes_per_second: 1 MiB to 64 GiB");
    }
    config->catch_up_bytes_per_second = options->catch_up_bytes_per_second != 0
                                            ? options->catch_up_bytes_per_second
                                            : CATCH_UP_BYTES_DEFAULT;
    config->appliers_count = options->appliers_count != 0 ? options->appliers_count : 1;
    config->log_segment_bytes = options->log_segment_bytes != 0
                                    ? options->log_segment_bytes / 4096 * 4096
                                    : LOG_SEGMENT_BYTES_DEFAULT;
    config->log_by_thread = options->log_by_thread != 0;
    return 0;
}

int tn__node_config_take(struct tn__node_config *config, const struct tn_node_options *options,
                         char *why, size_t why_size)
{
    tn_assert(options != NULL);
    struct context context = {
        .config = config, .options = options, .why = why, .why_size = why_size};
    memset(config, 0, sizeof(*config));
    config->drift_ppm = options->drift_ppm != 0 ? options->drift_ppm : DRIFT_PPM_DEFAULT;
    config->diskless = options->data_dir == NULL;
    config->on_notice = options->on_notice;
    config->on_log = options->on_log;
    config->data = options->data;
    int error = take_log(&context);
    if (error == 0) {
        error = take_names(&context);
    }
    if (error == 0) {
        error = take_members(&context);
    }
    if (error == 0) {
        error = take_tables(&context);
    }
    if (error == 0) {
        error = take_tls(&context, &config->peer_tls, &options->peer_tls, "peer_tls");
    }
    if (error == 0) {
        error = take_tls(&context, &config->client_tls, &options->client_tls, "client_tls");
    }
    if (error == 0) {
        error = take_addresses(&context);
    }
    if (error == 0) {
        error = take_file(&context, config->data_dir, sizeof(config->data_dir), "data_dir",
                          options->data_dir);
    }
    /* V4: a cell of one has nobody whom it could deceive about its votes. */
    config->bootstrap = options->bootstrap != 0 || config->members_count == 1;
    return error;
}

int32_t tn__node_config_table(const struct tn__node_config *config, const char *name)
{
    for (uint32_t i = 0; i < config->lease.tables_count; i++) {
        if (strcmp(config->table_names[i], name) == 0) {
            return (int32_t)i;
        }
    }
    return -1;
}

int32_t tn__node_config_member(const struct tn__node_config *config, const char *name)
{
    for (uint32_t i = 0; i < config->members_count; i++) {
        if (strcmp(config->members[i].name, name) == 0) {
            return (int32_t)i;
        }
    }
    return -1;
}
