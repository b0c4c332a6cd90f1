/* limit/book.c - see book.h */
#include "limit/book.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

struct limit_book {
    size_t count;
    struct limit limits[];
};

static struct limit_table *find_table(const struct limit_book *book, const struct config_limit *config) {
    for (size_t i = 0; book && i < book->count; i++) {
        struct limit_table *table = book->limits[i].table;
        if (!strcmp(limit_table_name(table), config->name) && !strcmp(limit_table_scope(table), config->scope))
            return table;
    }
    return NULL;
}

static struct pace pace_of(double rate, uint64_t burst) {
    return rate > 0 ? pace_make(rate, (double)burst) : (struct pace){0};
}

static struct limit limit_of(const struct config_limit *config, struct limit_table *table) {
    return (struct limit){
        .config = config,
        .table = table,
        .messages = pace_of((double)config->messages_per_second / (double)RATE_ONE, config->messages_burst),
        .bytes = pace_of((double)config->bytes_per_second, config->bytes_burst),
        .streams = pace_of((double)config->streams_per_second / (double)RATE_ONE, config->streams_burst),
        .is_of = {[WAY_IN] = config->direction != LIMIT_RESPONSE, [WAY_OUT] = config->direction != LIMIT_REQUEST},
        .is_shared = config->per != LIMIT_PER_STREAM && config->per != LIMIT_PER_CONNECTION,
        .is_timed = config->idle || config->age,
    };
}

struct limit_book *limit_book_new(const struct config *config, const struct limit_book *before) {
    struct limit_book *book = memory_new(sizeof *book + config->named_limit_count * sizeof *book->limits);
    for (; book->count < config->named_limit_count; book->count++) {
        const struct config_limit *one = &config->named_limits[book->count];
        struct limit_table *same = find_table(before, one);
        book->limits[book->count] =
            limit_of(one, same ? limit_table_ref(same) : limit_table_new(one->name, one->scope));
    }
    return book;
}

void limit_book_free(struct limit_book **handle) {
    struct limit_book *book = *handle;
    *handle = NULL;
    if (!book) return;
    for (size_t i = 0; i < book->count; i++) limit_table_unref(&book->limits[i].table);
    free(book);
}

static const struct limit *find(const struct limit_book *book, const struct config_limit *config) {
    for (size_t i = 0; i < book->count; i++)
        if (book->limits[i].config == config) return &book->limits[i];
    return NULL;
}

struct limit_set *limit_book_set(const struct limit_book *book, const struct config_limit *const *named,
                                 const char *owner) {
    size_t count = 0;
    while (named && named[count]) count++;
    if (!count || !book) return NULL;
    struct limit_set *set = memory_new(sizeof *set + count * sizeof *set->limits);
    set->owner = owner;
    for (; set->count < count; set->count++) set->limits[set->count] = find(book, named[set->count]);
    return set;
}

size_t limit_book_count(const struct limit_book *book) { return book ? book->count : 0; }
const struct limit *limit_book_at(const struct limit_book *book, size_t index) { return &book->limits[index]; }
