/* The target of a request: a path, and a query of key=value pairs, percent-decoded. Pure. */
#ifndef TN_HTTP_QUERY_H
#define TN_HTTP_QUERY_H

#include <stdbool.h>
#include <stddef.h>

/* A target cut at its first '?'. The pieces lie in the target's bytes. */
struct tn__http_target {
    const char *path;
    size_t path_length;
    const char *query; /* without the '?'; empty if there is none */
    size_t query_length;
};

/* Cut `target`. False if it does not begin with '/' or holds a fragment. */
bool tn__http_target_cut(const char *target, size_t length, struct tn__http_target *cut);

/* Is the path exactly this text? */
bool tn__http_target_is(const struct tn__http_target *target, const char *path);

enum tn__http_query_found {
    TN__HTTP_QUERY_ABSENT = 0,
    TN__HTTP_QUERY_FOUND,
    TN__HTTP_QUERY_TWICE, /* the key stands there more than once */
    TN__HTTP_QUERY_LONG,  /* the value does not fit */
    TN__HTTP_QUERY_BAD,   /* a '%' without two hexadecimal digits after it */
};

/* Look a key up and write its decoded value, terminated, to `value`; `value_length` (not NULL) is
 * its length, for a value may hold a zero byte. */
enum tn__http_query_found tn__http_query_find(const struct tn__http_target *target, const char *key,
                                              char *value, size_t value_size, size_t *value_length);

/* Is every key of the query one of `keys` (ended by NULL)? If not, `odd` gets the first that is
 * not, cut to fit and terminated. */
bool tn__http_query_only(const struct tn__http_target *target, const char *const *keys, char *odd,
                         size_t odd_size);

#endif
