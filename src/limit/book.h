/* limit/book.h - the limits that one config names, with what they have counted. Those that the config before it names,
 * too, with the same scope, go on with the same tables: what was counted survives a reload.
 *
 * Everything but limit_book_new() may be called by any thread. */
#ifndef TIDEWIRE_LIMIT_BOOK_H
#define TIDEWIRE_LIMIT_BOOK_H
#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"
#include "limit/pace.h"
#include "limit/table.h"

/* A `limit` section. Constant; the book's. */
struct limit {
    const struct config_limit *config;
    struct limit_table *table;
    struct pace messages, bytes, streams;
    bool is_of[WAYS]; /* whose messages are counted */
    bool is_shared;   /* by workers */
    bool is_timed;    /* it ends streams by the clock */
};

/* Those that hold for the calls of one route, or of a listener. */
struct limit_set {
    const char *owner; /* the service's name, or the listener's address; borrowed */
    size_t count;
    const struct limit *limits[];
};

struct limit_book;
/* `before` may be NULL. The config must outlive the book. */
struct limit_book *limit_book_new(const struct config *config, const struct limit_book *before);
void limit_book_free(struct limit_book **book);
/* The caller frees it, by free(), before the book. NULL where `named` is NULL, or the book. */
struct limit_set *limit_book_set(const struct limit_book *book, const struct config_limit *const *named,
                                 const char *owner);
size_t limit_book_count(const struct limit_book *book); /* of NULL: 0 */
const struct limit *limit_book_at(const struct limit_book *book, size_t index);
#endif
