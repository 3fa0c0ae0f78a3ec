/* Doubly linked lists by index: O(1) queues over records in arrays, without pointers.
 *
 * A link holds index + 1, so that zeroed memory is an unlinked record and an empty list. The links
 * lie inside the records; a list is told where by a base and a stride at each call (struct
 * tn__links), because state holds no pointers. */
#ifndef TN_BASE_INDEX_LIST_H
#define TN_BASE_INDEX_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"

struct tn__link {
    uint32_t next; /* index + 1; 0: none */
    uint32_t previous;
};

struct tn__index_list {
    uint32_t first; /* index + 1; 0: empty */
    uint32_t last;
};

/* Where the links of the records are: the link of record i is at base + i * stride. */
struct tn__links {
    void *base;
    size_t stride;
};

#define TN__INDEX_NONE UINT32_MAX

static inline struct tn__link *tn__link_at(struct tn__links links, uint32_t index)
{
    return (struct tn__link *)((char *)links.base + (size_t)index * links.stride);
}

static inline uint32_t tn__index_list_first(const struct tn__index_list *list)
{
    return list->first == 0 ? TN__INDEX_NONE : list->first - 1;
}

static inline uint32_t tn__index_list_last(const struct tn__index_list *list)
{
    return list->last == 0 ? TN__INDEX_NONE : list->last - 1;
}

static inline uint32_t tn__index_list_previous(struct tn__links links, uint32_t index)
{
    uint32_t previous = tn__link_at(links, index)->previous;
    return previous == 0 ? TN__INDEX_NONE : previous - 1;
}

/* Insert `index` behind `after`, or at the front if `after` is none. */
static inline void tn__index_list_insert(struct tn__index_list *list, struct tn__links links,
                                         uint32_t index, uint32_t after)
{
    struct tn__link *link = tn__link_at(links, index);
    tn_assert(link->next == 0 && link->previous == 0);
    uint32_t next = after == TN__INDEX_NONE ? list->first : tn__link_at(links, after)->next;
    link->previous = after == TN__INDEX_NONE ? 0 : after + 1;
    link->next = next;
    if (after == TN__INDEX_NONE) {
        list->first = index + 1;
    } else {
        tn__link_at(links, after)->next = index + 1;
    }
    if (next == 0) {
        list->last = index + 1;
    } else {
        tn__link_at(links, next - 1)->previous = index + 1;
    }
}

static inline void tn__index_list_append(struct tn__index_list *list, struct tn__links links,
                                         uint32_t index)
{
    tn__index_list_insert(list, links, index, tn__index_list_last(list));
}

static inline void tn__index_list_remove(struct tn__index_list *list, struct tn__links links,
                                         uint32_t index)
{
    struct tn__link *link = tn__link_at(links, index);
    tn_assert(link->previous != 0 || list->first == index + 1);
    tn_assert(link->next != 0 || list->last == index + 1);
    if (link->previous == 0) {
        list->first = link->next;
    } else {
        tn__link_at(links, link->previous - 1)->next = link->next;
    }
    if (link->next == 0) {
        list->last = link->previous;
    } else {
        tn__link_at(links, link->next - 1)->previous = link->previous;
    }
    *link = (struct tn__link){0};
}

#endif
