/* cli/json_split.c - see json_split.h */
#include "cli/json_split.h"

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

size_t json_split_blanks(const char *text, size_t length) {
    size_t count = 0;
    while (count < length && is_blank(text[count])) count++;
    return count;
}

/* The value ends behind this character. A line break ends a string that was not closed, so that a
 * forgotten quote does not swallow the lines after it. */
static bool ends_in_string(struct json_split *split, char c) {
    if (c == '\n') return true;
    if (split->is_escaped) split->is_escaped = false;
    else if (c == '\\') split->is_escaped = true;
    else if (c == '"') split->is_in_string = false;
    return !split->is_in_string && !split->depth;
}

static bool ends_with(struct json_split *split, char c) {
    if (split->is_in_string) return ends_in_string(split, c);
    switch (c) {
    case '"': split->is_in_string = true; return false;
    case '{':
    case '[': split->depth++; return false;
    case '}':
    case ']': return split->depth <= 1 || !--split->depth;
    default: return false;
    }
}

size_t json_split_value(struct json_split *split, const char *text, size_t length) {
    for (; split->passed < length; split->passed++) {
        char c = text[split->passed];
        size_t end = split->passed;
        bool is_word_end = !split->depth && !split->is_in_string && is_blank(c);
        if (!is_word_end && !ends_with(split, c)) continue;
        if (!is_word_end) end++;
        *split = (struct json_split){0};
        return end;
    }
    return 0;
}
