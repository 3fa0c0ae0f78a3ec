/* The text of /metrics parses: by hand, after the exposition format. Each sample stands under a
 * HELP and a TYPE of its name, names and labels are well formed, nothing stands twice. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/metrics.h"

static char text[TN_METRICS_BYTES_MAX];

/* Values that are all different, and names that must be escaped. */
static size_t write_some(void)
{
    static struct tn_node_status status;
    static struct tn__lease_clients_status clients;
    static struct tn__api_counters api;
    memset(&status, 0, sizeof(status));
    snprintf(status.name, sizeof(status.name), "a");
    snprintf(status.cluster, sizeof(status.cluster), "od\"d\\\nname");
    status.members_count = TN_MEMBERS_MAX;
    for (uint32_t i = 0; i < TN_MEMBERS_MAX; i++) {
        memset(status.members[i].name, '"', TN_MEMBER_NAME_BYTES_MAX);
        status.members[i].id = (tn_node_id)(65520 + i);
        status.members[i].state = i % 2 == 0 ? TN_MEMBER_CONNECTED : TN_MEMBER_WAITING;
    }
    memset(&status.lease_counters, 0xff, sizeof(status.lease_counters));
    memset(&status.counters, 0xff, sizeof(status.counters));
    memset(&clients, 0xff, sizeof(clients));
    memset(&api, 0xff, sizeof(api));
    status.lease_counters.attempts = 12345;
    status.now = 5;
    status.lease.quarantine_end = 5 + 1500 * TN_MILLISECOND;
    static struct tn__metrics_groups groups;
    memset(&groups, 0xff, sizeof(groups));
    groups.shown_count = TN_METRICS_GROUPS_MAX;
    for (uint32_t i = 0; i < TN_METRICS_GROUPS_MAX; i++) {
        groups.shown[i].group = TN_GROUP_ID_MAX - i;
    }
    struct tn__metrics metrics = {.status = &status,
                                  .groups = &groups,
                                  .clients = &clients,
                                  .api = &api,
                                  .connections = 7,
                                  .watchers = 8,
                                  .version = "1.2.3"};
    return tn__metrics_write(&metrics, text, sizeof(text));
}

static size_t name_length(const char *line)
{
    size_t length = 0;
    while (isalnum((unsigned char)line[length]) || line[length] == '_' || line[length] == ':') {
        length++;
    }
    assert_true(length > 0 && !isdigit((unsigned char)line[0]));
    return length;
}

/* {name="value",...}: quotes and backslashes in values escaped. Returns what follows. */
static const char *after_labels(const char *at)
{
    if (*at != '{') {
        return at;
    }
    do {
        at++;
        at += name_length(at);
        assert_memory_equal(at, "=\"", 2);
        at += 2;
        while (*at != '"') {
            assert_true(*at != '\0' && *at != '\n');
            if (*at == '\\') {
                at++;
                assert_non_null(strchr("\\\"n", *at));
            }
            at++;
        }
        at++;
    } while (*at == ',');
    assert_int_equal(*at, '}');
    return at + 1;
}

static void every_sample_stands_under_its_help_and_type(void **state)
{
    (void)state;
    size_t length = write_some();
    assert_int_equal(length, strlen(text));
    assert_int_equal(text[length - 1], '\n');
    char help[128] = "";
    char type[128] = "";
    char kind[16] = "";
    int samples = 0;
    int types = 0;
    for (char *line = text; line < text + length; line += strlen(line) + 1) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "# HELP ", 7) == 0) {
            snprintf(help, sizeof(help), "%.*s", (int)name_length(line + 7), line + 7);
            assert_true(strlen(line + 7) > strlen(help) + 4);
        } else if (strncmp(line, "# TYPE ", 7) == 0) {
            assert_int_equal(sscanf(line + 7, "%127s %15s", type, kind), 2);
            assert_string_equal(type, help);
            assert_true(strcmp(kind, "counter") == 0 || strcmp(kind, "gauge") == 0);
            bool total = strlen(type) > 6 && strcmp(type + strlen(type) - 6, "_total") == 0;
            assert_int_equal(total, strcmp(kind, "counter") == 0);
            types++;
        } else {
            size_t name = name_length(line);
            assert_int_equal(name, strlen(type));
            assert_memory_equal(line, type, name);
            const char *value = after_labels(line + name);
            assert_int_equal(*value, ' ');
            char *end = NULL;
            (void)strtod(value + 1, &end);
            assert_true(end != value + 1 && *end == '\0');
            samples++;
        }
    }
    assert_true(types > 70);
    assert_true(samples >= types + TN_MEMBERS_MAX - 1);
}

static void no_metric_stands_twice(void **state)
{
    (void)state;
    write_some();
    for (const char *at = strstr(text, "# TYPE "); at != NULL; at = strstr(at + 1, "# TYPE ")) {
        char line[160];
        snprintf(line, sizeof(line), "# TYPE %.*s ", (int)name_length(at + 7), at + 7);
        assert_null(strstr(at + 1, line));
    }
}

static void values_are_those_given(void **state)
{
    (void)state;
    write_some();
    assert_non_null(strstr(text, "\ntenure_lease_attempts_total 12345\n"));
    assert_non_null(strstr(text, "\ntenure_quarantine_seconds 1.500000000\n"));
    assert_non_null(strstr(text, "\ntenure_client_connections 7\n"));
    assert_non_null(strstr(text, "cluster=\"od\\\"d\\\\\\nname\""));
    assert_non_null(strstr(text, "\ntenure_api_errors_total{error=\"held\"} "));
    assert_non_null(strstr(text, "\ntenure_lease_losses_total 18446744073709551615\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sample_stands_under_its_help_and_type),
        cmocka_unit_test(no_metric_stands_twice),
        cmocka_unit_test(values_are_those_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
