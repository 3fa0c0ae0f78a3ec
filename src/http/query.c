/* Targets and queries: see query.h. A pair without '=' has an empty value; '+' is a space. */
#include "http/query.h"

#include <string.h>

#include "base/assert.h"

bool tn__http_target_cut(const char *target, size_t length, struct tn__http_target *cut)
{
    tn_assert(target != NULL && cut != NULL);
    if (length == 0 || target[0] != '/' || memchr(target, '#', length) != NULL) {
        return false;
    }
    const char *mark = memchr(target, '?', length);
    cut->path = target;
    cut->path_length = mark != NULL ? (size_t)(mark - target) : length;
    cut->query = mark != NULL ? mark + 1 : target + length;
    cut->query_length = mark != NULL ? length - cut->path_length - 1 : 0;
    return true;
}

bool tn__http_target_is(const struct tn__http_target *target, const char *path)
{
    return strlen(path) == target->path_length &&
           memcmp(target->path, path, target->path_length) == 0;
}

/* One pair of the query, not decoded. */
struct pair {
    const char *key;
    size_t key_length;
    const char *value;
    size_t value_length;
};

/* The next pair from *offset on; false at the end. Empty pairs ("a=1&&b=2") are passed over. */
static bool next_pair(const struct tn__http_target *target, size_t *offset, struct pair *pair)
{
    while (*offset < target->query_length && target->query[*offset] == '&') {
        (*offset)++;
    }
    if (*offset >= target->query_length) {
        return false;
    }
    const char *begin = target->query + *offset;
    size_t rest = target->query_length - *offset;
    const char *end = memchr(begin, '&', rest);
    size_t length = end != NULL ? (size_t)(end - begin) : rest;
    const char *equals = memchr(begin, '=', length);
    pair->key = begin;
    pair->key_length = equals != NULL ? (size_t)(equals - begin) : length;
    pair->value = equals != NULL ? equals + 1 : begin + length;
    pair->value_length = equals != NULL ? length - pair->key_length - 1 : 0;
    *offset += length;
    return true;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

static enum tn__http_query_found decode(const char *bytes, size_t length, char *value, size_t size,
                                        size_t *value_length)
{
    size_t written = 0;
    for (size_t i = 0; i < length; i++) {
        char c = bytes[i] == '+' ? ' ' : bytes[i];
        if (c == '%') {
            if (length - i < 3 || digit_of(bytes[i + 1]) < 0 || digit_of(bytes[i + 2]) < 0) {
                return TN__HTTP_QUERY_BAD;
            }
            c = (char)(unsigned char)(digit_of(bytes[i + 1]) * 16 + digit_of(bytes[i + 2]));
            i += 2;
        }
        if (written + 1 >= size) {
            return TN__HTTP_QUERY_LONG;
        }
        value[written++] = c;
    }
    tn_assert(written < size);
    value[written] = '\0';
    *value_length = written;
    return TN__HTTP_QUERY_FOUND;
}

static bool key_is(const struct pair *pair, const char *key)
{
    return strlen(key) == pair->key_length && memcmp(pair->key, key, pair->key_length) == 0;
}

enum tn__http_query_found tn__http_query_find(const struct tn__http_target *target, const char *key,
                                              char *value, size_t value_size, size_t *value_length)
{
    tn_assert(value_size > 0);
    enum tn__http_query_found found = TN__HTTP_QUERY_ABSENT;
    value[0] = '\0';
    *value_length = 0;
    size_t offset = 0;
    struct pair pair;
    while (next_pair(target, &offset, &pair)) {
        if (!key_is(&pair, key)) {
            continue;
        }
        if (found != TN__HTTP_QUERY_ABSENT) {
            return TN__HTTP_QUERY_TWICE;
        }
        found = decode(pair.value, pair.value_length, value, value_size, value_length);
        if (found != TN__HTTP_QUERY_FOUND) {
            return found;
        }
    }
    return found;
}

bool tn__http_query_only(const struct tn__http_target *target, const char *const *keys, char *odd,
                         size_t odd_size)
{
    tn_assert(odd_size > 0);
    size_t offset = 0;
    struct pair pair;
    while (next_pair(target, &offset, &pair)) {
        bool known = false;
        for (const char *const *key = keys; *key != NULL && !known; key++) {
            known = key_is(&pair, *key);
        }
        if (!known) {
            size_t length = pair.key_length < odd_size - 1 ? pair.key_length : odd_size - 1;
            memcpy(odd, pair.key, length);
            odd[length] = '\0';
            return false;
        }
    }
    return true;
}
