/* config/source.h - the text of a configuration as one run of tokens: comments gone, `${ENV}` filled in,
 * included files in the place of their include("…"). Every token knows the file and line that it came from.
 * Private to config/.
 *
 *   word        name, 4MiB, "quoted", 'raw', ${NAME:-default}
 *   comment     # …   // …   and C's; they begin where a word could
 *
 * Double quotes know \" \\ \n \r \t \$ and ${NAME}; single quotes nothing. A string ends in its line. Braces
 * close in the file that opened them. */
#ifndef TIDEWIRE_CONFIG_SOURCE_H
#define TIDEWIRE_CONFIG_SOURCE_H
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

enum {
    SOURCE_LARGEST_FILE = 1024 * 1024,
    SOURCE_MOST_TOKENS = 200000,
    SOURCE_MOST_FILES = 1000,
    SOURCE_DEEPEST_INCLUDE = 10
};

/* Where something was written; the name of the file lives as long as the source's list of them. */
struct place {
    const char *file;
    int line;
};

enum token_kind {
    TOKEN_WORD = 'w',
    TOKEN_EQUALS = '=',
    TOKEN_APPEND = '+', /* += */
    TOKEN_OPEN = '{',
    TOKEN_CLOSE = '}',
    TOKEN_COMMA = ','
};

struct token {
    enum token_kind kind;
    struct place place;
    char *text; /* of a word */
};

struct source {
    struct token *tokens;
    size_t count, capacity;
    char **files; /* ended by NULL; the first is the main one */
    size_t file_count;
};

/* `text` NULL: what is in the file. */
bool source_read(struct source *source, const char *file, const char *text, size_t length,
                 struct error *error);
/* `keeps_files`: the list of names has another owner now. */
void source_free(struct source *source, bool keeps_files);
/* `path` as seen from the folder of `file`; the caller frees it. */
char *source_resolve(const char *file, const char *path);

/* Both end with false, as error_at(). */
bool place_error(struct place place, struct error *error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
#endif
