/* Values as people write them: see cmd_parse.h.
 *
 * Durations are read digit by digit into nanoseconds, without floating point, so that what is shown
 * again is what was written; every step is checked against overflow. */
#include "cmd/cmd_parse.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/random.h"

struct unit {
    const char *name;
    tn_time nanoseconds;
};

static const struct unit units[] = {
    {"ns", 1},
    {"us", TN_MICROSECOND},
    {"ms", TN_MILLISECOND},
    {"s", TN_SECOND},
    {"m", 60 * TN_SECOND},
    {"h", 3600 * TN_SECOND},
    {"d", 86400 * TN_SECOND},
};
#define UNITS_COUNT (sizeof(units) / sizeof(units[0]))

/* Longer than any value that is not a file name; a bound on what is read digit by digit. */
#define DURATION_DIGITS_MAX 18

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool refuse_duration(const char *text, char *why)
{
    snprintf(why, TN_CMD_WHY_BYTES,
             "\"%.64s\" is not a duration; write a number and a unit, such as 250ms, 1s or 5m",
             text);
    return false;
}

bool tn__cmd_parse_duration(const char *text, tn_time *duration, char *why)
{
    tn_assert(text != NULL && duration != NULL);
    if (strcmp(text, "0") == 0) {
        *duration = 0;
        return true;
    }
    uint64_t digits = 0;
    uint64_t scale = 1; /* ten for each digit behind the point */
    size_t count = 0;
    bool point = false;
    const char *at = text;
    for (; is_digit(*at) || (*at == '.' && !point); at++) {
        if (*at == '.') {
            point = true;
            continue;
        }
        if (++count > DURATION_DIGITS_MAX) {
            return refuse_duration(text, why);
        }
        digits = digits * 10 + (uint64_t)(*at - '0');
        scale *= point ? 10 : 1;
    }
    if (count == 0 || at[-1] == '.' || text[0] == '.') {
        return refuse_duration(text, why);
    }
    for (size_t i = 0; i < UNITS_COUNT; i++) {
        if (strcmp(at, units[i].name) == 0) {
            uint64_t whole = digits / scale;
            uint64_t part = digits % scale;
            if (whole >= (UINT64_MAX / 4) / units[i].nanoseconds) {
                return refuse_duration(text, why);
            }
            *duration = whole * units[i].nanoseconds +
                        (uint64_t)((tn__u128)part * units[i].nanoseconds / scale);
            return true;
        }
    }
    return refuse_duration(text, why);
}

void tn__cmd_print_duration(char *bytes, size_t size, tn_time duration)
{
    if (duration == 0) {
        snprintf(bytes, size, "0s");
        return;
    }
    /* The largest unit up to seconds; minutes and beyond only when they come out even. */
    size_t unit = duration < TN_MICROSECOND ? 0 : duration < TN_MILLISECOND ? 1 : 2;
    if (duration >= TN_SECOND) {
        unit = 3;
        while (unit + 1 < UNITS_COUNT && duration % units[unit + 1].nanoseconds == 0) {
            unit++;
        }
    }
    uint64_t whole = duration / units[unit].nanoseconds;
    uint64_t thousandths = duration % units[unit].nanoseconds * 1000 / units[unit].nanoseconds;
    if (thousandths == 0) {
        snprintf(bytes, size, "%llu%s", (unsigned long long)whole, units[unit].name);
        return;
    }
    char digits[8];
    snprintf(digits, sizeof(digits), "%03u", (unsigned)thousandths);
    for (size_t end = strlen(digits); end > 1 && digits[end - 1] == '0'; end--) {
        digits[end - 1] = '\0';
    }
    snprintf(bytes, size, "%llu.%s%s", (unsigned long long)whole, digits, units[unit].name);
}

bool tn__cmd_parse_number(const char *text, uint64_t least, uint64_t most, uint64_t *number,
                          char *why)
{
    tn_assert(least <= most);
    uint64_t value = 0;
    bool valid = *text != '\0';
    for (const char *at = text; *at != '\0' && valid; at++) {
        uint64_t digit = (uint64_t)(*at - '0');
        valid = is_digit(*at) && value <= (UINT64_MAX - digit) / 10;
        value = value * 10 + (valid ? digit : 0);
    }
    if (!valid || value < least || value > most) {
        snprintf(why, TN_CMD_WHY_BYTES, "\"%.64s\" is not a number from %llu to %llu", text,
                 (unsigned long long)least, (unsigned long long)most);
        return false;
    }
    *number = value;
    return true;
}

bool tn__cmd_parse_switch(const char *text, bool *on, char *why)
{
    static const char *const yes[] = {"true", "yes", "on", "1"};
    static const char *const no[] = {"false", "no", "off", "0"};
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
            *on = strcmp(text, yes[i]) == 0;
            return true;
        }
    }
    snprintf(why, TN_CMD_WHY_BYTES, "\"%.64s\" is neither true nor false", text);
    return false;
}

static bool refuse_address(const char *text, const char *what, char *why)
{
    snprintf(why, TN_CMD_WHY_BYTES,
             "\"%.64s\" %s; write HOST:PORT, such as 127.0.0.1:2379 or [::1]:2379", text, what);
    return false;
}

bool tn__cmd_parse_address(const char *text, bool any_port, struct tn__cmd_address *address,
                           char *why)
{
    const char *host = text;
    const char *host_end;
    const char *colon;
    if (*text == '[') {
        host = text + 1;
        host_end = strchr(text, ']');
        if (host_end == NULL || host_end[1] != ':') {
            return refuse_address(text, "has no \"]:PORT\"", why);
        }
        colon = host_end + 1;
    } else {
        colon = strchr(text, ':');
        if (colon == NULL) {
            return refuse_address(text, "has no port", why);
        }
        if (strchr(colon + 1, ':') != NULL) {
            return refuse_address(text, "is an IPv6 address without brackets", why);
        }
        host_end = colon;
    }
    size_t length = (size_t)(host_end - host);
    if (length == 0 || length >= sizeof(address->host)) {
        return refuse_address(text, length == 0 ? "has no host" : "has too long a host", why);
    }
    if (strcspn(host, " \t\r\n/@?#,=\"'\\") < length) {
        return refuse_address(text, "has a host with a sign that hosts have not", why);
    }
    uint64_t port;
    if (!tn__cmd_parse_number(colon + 1, any_port ? 0 : 1, UINT16_MAX, &port, why)) {
        return refuse_address(text, "has a port that is not a number from 1 to 65535", why);
    }
    memcpy(address->host, host, length);
    address->host[length] = '\0';
    address->port = (uint16_t)port;
    return true;
}

bool tn__cmd_parse_word(const char *text, char *why)
{
    size_t length = strlen(text);
    bool valid = length > 0 && length <= TN_MEMBER_NAME_BYTES_MAX;
    for (size_t i = 0; i < length && valid; i++) {
        char c = text[i];
        valid = is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
                c == '_' || c == '-';
    }
    if (!valid) {
        snprintf(why, TN_CMD_WHY_BYTES,
                 "\"%.80s\" is not a name; 1 to %d letters, digits, dots, dashes and underscores "
                 "are",
                 text, TN_MEMBER_NAME_BYTES_MAX);
    }
    return valid;
}

bool tn__cmd_parse_name(const char *text, char *why)
{
    size_t length = strlen(text);
    if (length == 0 || length > TN_NAME_BYTES_MAX) {
        snprintf(why, TN_CMD_WHY_BYTES, "the name of a lease has 1 to %d bytes, this one has %zu",
                 TN_NAME_BYTES_MAX, length);
        return false;
    }
    return true;
}

/* Copy what stands before '='; fails without one, or when it is not a word. */
static bool cut_word(const char *text, char *word, size_t word_size, const char *shape, char *why)
{
    const char *sign = strchr(text, '=');
    size_t length = sign == NULL ? 0 : (size_t)(sign - text);
    if (sign == NULL || length >= word_size) {
        snprintf(why, TN_CMD_WHY_BYTES, "\"%.80s\" is not %s", text, shape);
        return false;
    }
    memcpy(word, text, length);
    word[length] = '\0';
    return tn__cmd_parse_word(word, why);
}

bool tn__cmd_parse_peer(const char *text, struct tn__cmd_peer *peer, char *why)
{
    struct tn__cmd_address address;
    if (!cut_word(text, peer->name, sizeof(peer->name), "NAME=HOST:PORT", why)) {
        return false;
    }
    const char *written = strchr(text, '=') + 1;
    if (!tn__cmd_parse_address(written, false, &address, why)) {
        return false;
    }
    tn_assert(strlen(written) < sizeof(peer->address));
    memcpy(peer->address, written, strlen(written) + 1);
    return true;
}

bool tn__cmd_parse_table(const char *text, struct tn__cmd_table *table, char *why)
{
    memset(table, 0, sizeof(*table));
    if (!cut_word(text, table->name, sizeof(table->name), "NAME=DURATION[,DURATION[,DURATION]]",
                  why)) {
        return false;
    }
    tn_time *const fields[] = {&table->durations.proposer_ns, &table->durations.acceptor_ns,
                               &table->durations.quarantine_ns};
    const char *at = strchr(text, '=') + 1;
    for (size_t i = 0; i < 3; i++) {
        char one[32];
        size_t length = strcspn(at, ",");
        if (length >= sizeof(one)) {
            return refuse_duration(at, why);
        }
        memcpy(one, at, length);
        one[length] = '\0';
        if (!tn__cmd_parse_duration(one, fields[i], why)) {
            return false;
        }
        at += length;
        if (*at == '\0') {
            return true;
        }
        at++;
    }
    snprintf(why, TN_CMD_WHY_BYTES, "\"%.64s\" has more than three durations", text);
    return false;
}

bool tn__cmd_host_is_loopback(const char *host)
{
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0 ||
           strcmp(host, "localhost") == 0;
}
