/* base/list.h - an intrusive, circular, doubly linked list.
 *
 * A list is a node that points at itself when empty. A node that is in no list points at itself too, so
 * list_remove() may be called twice. */
#ifndef TIDEWIRE_BASE_LIST_H
#define TIDEWIRE_BASE_LIST_H
#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *prev;
};

/* The object that holds `node` as its member `member`. */
#define container_of(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

static inline void list_init(struct list *list) { list->next = list->prev = list; }
static inline bool list_is_empty(const struct list *list) { return list->next == list; }
static inline void list_append(struct list *list, struct list *node) {
    node->prev = list->prev;
    node->next = list;
    list->prev->next = node;
    list->prev = node;
}
static inline void list_prepend(struct list *list, struct list *node) { list_append(list->next, node); }
static inline void list_remove(struct list *node) {
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}
/* Takes the first node out; NULL when the list is empty. */
static inline struct list *list_take(struct list *list) {
    struct list *node = list->next;
    if (node == list) return NULL;
    list_remove(node);
    return node;
}
/* Moves all nodes of `from` to the end of `to`. */
static inline void list_splice(struct list *to, struct list *from) {
    if (list_is_empty(from)) return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}
#endif
