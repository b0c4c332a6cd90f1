/* cli/json_split.h - finds where JSON values end in a text that is still arriving. It does not check them:
 * whatever is no value comes out as one, for json_read() to complain about. Private to cli/. */
#ifndef TIDEWIRE_CLI_JSON_SPLIT_H
#define TIDEWIRE_CLI_JSON_SPLIT_H
#include <stdbool.h>
#include <stddef.h>

/* Zeroed at first. Remembers how far the value at hand was looked at, so that no byte is seen twice. */
struct json_split {
    size_t passed; /* bytes of the value that were looked at */
    size_t depth;  /* objects and lists that are open */
    bool is_in_string, is_escaped;
};

/* How many bytes of white space stand in front of the next value. */
size_t json_split_blanks(const char *text, size_t length);
/* `text` starts with a value, the same one as last time if that was not complete. Its length, or 0: more
 * must come. */
size_t json_split_value(struct json_split *split, const char *text, size_t length);
#endif
